"""The Tensor: a `Traced` with NumPy's operators and methods, each of which names the operation that does the work.

Imports from later files: `protocols` (operators), `copies`, `exchange`, `hooks`; `composed`, `elementary`, `indexing`,
`linalg`, `manipulation`, `products`, `searching`, `shaping`.

    >>> w = Tensor([1.0, 2.0], requires_grad=True)
    >>> loss = (w * w).sum()
    >>> loss.backward()
    >>> w.grad
    array([2., 4.], dtype=float32)
"""

import operator
from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Any, NoReturn, Self

import numpy as np

from tinygrad_sm import copies, exchange, protocols
from tinygrad_sm.arrays import as_array, as_exact_array, unpacked
from tinygrad_sm.backend import device_name, device_of, is_writable, to_numpy
from tinygrad_sm.dtypes import check_unmasked, number_dtype, refuse_masked
from tinygrad_sm.engine.backward import backward
from tinygrad_sm.engine.hooks import HookHandle
from tinygrad_sm.engine.tape import Traced, data_of
from tinygrad_sm.engine.versions import change, share_memory
from tinygrad_sm.errors import GradientError
from tinygrad_sm.ops import (
    composed,
    elementary,
    elementwise,
    indexing,
    linalg,
    manipulation,
    products,
    reductions,
    searching,
    shaping,
)
from tinygrad_sm.ops import softmax as softmax_ops


class Tensor(Traced):
    """An array that can be differentiated.

    data : array, number, or nested lists of numbers. An array keeps its dtype and is not copied. Python floats become
        float32, ints int64, bools bool; in a list, the elements that have a dtype decide, in any order. A masked array
        raises TypeError. A Tensor made from another one shares its array, but not its history.
    requires_grad : whether backward() stores the gradient with respect to this Tensor in `.grad`; only for floats.
    dtype, device : convert to these. Without a device, numbers and NumPy arrays go to the default device.

    `.data` is the array and `.grad` an array like it, or None. Data change in place only through optimizers,
    `load_state_dict`, `assign` and, under no_grad(), `w -= step`, if w is a leaf that requires a gradient or the state
    of a Module; while recording, that is a GradientError. For other Tensors `t -= u` makes a new one. After a change,
    backward() refuses older graphs that used this Tensor or one on the same memory: a copy, `detach()` or view. It
    cannot see a change of an array: of `.data`, or of an array that was itself an operand or an index.

    >>> Tensor([[1, 2], [3, 4]])
    Tensor([[1, 2],
            [3, 4]], shape=(2, 2), dtype=int64, device=cpu)
    """

    __slots__ = ()
    is_state = False  # True for `nn.Parameter` and `nn.Buffer`: the state of Modules changes in place
    __array_ufunc__, __array_function__ = protocols.array_ufunc, protocols.array_function
    __dlpack__, __dlpack_device__ = exchange.dlpack, exchange.dlpack_device
    __copy__, __deepcopy__, __getstate__ = copies.shallow_copy, copies.deep_copy, copies.pickled_state
    __hash__ = Traced.__hash__  # `__eq__` below would remove it

    def __init__(self, data: Any, requires_grad: bool = False, dtype: Any = None, device: str | None = None):
        if isinstance(data, list | tuple):
            protocols.check_history(data)
        super().__init__(as_array(data_of(data), dtype, device, is_new=not isinstance(data, Traced)))
        if isinstance(data, Traced) and self.data is data.data:
            share_memory(data, self)
        if requires_grad:
            if not isinstance(requires_grad, bool | np.bool_):
                raise TypeError(
                    f"requires_grad: expected True or False, got {requires_grad!r}: "
                    "write dtype= for a dtype, and tg.zeros(shape) for a shape"
                )
            self.requires_grad_()

    shape = property(attrgetter("data.shape"), doc="The lengths of the axes.")
    ndim = property(attrgetter("data.ndim"), doc="The number of axes.")
    size = property(attrgetter("data.size"), doc="The number of elements.")
    dtype = property(attrgetter("data.dtype"), doc="The type of the elements.")
    device = property(lambda self: device_of(self.data), doc='The device that holds the array: "cpu", "cuda:0", ...')
    T = property(lambda self: shaping.transpose(self), doc="The Tensor with its axes reversed.")

    def requires_grad_(self, value: bool = True) -> Self:
        """Set whether this Tensor requires a gradient; only for leaves of a floating dtype."""
        if self.node is not None and not value:
            raise GradientError(f"the result of {self.node.op.name} is not a leaf: use .detach() to get a constant")
        if value and self.dtype.kind != "f":
            raise TypeError(f"only floats carry gradients, got {self.dtype}: convert with .astype('float32') first")
        self._requires_grad = bool(value)
        return self

    requires_grad = Traced.requires_grad.setter(lambda t, on: t.requires_grad_(on))

    backward = backward  # the function is a method

    def detach(self) -> "Tensor":
        """Return a leaf with the same array and no history: differentiation treats it as a constant."""
        return Tensor(self)

    def retain_grad(self) -> None:
        """Make backward() store `.grad` in this Tensor too, although it is not a leaf."""
        self._check_requires_grad("retain_grad")
        self.retains_grad = True

    def why_no_grad(self) -> str:
        """Return the reason why `.grad` is None, as far as it can be known."""
        if self.grad is not None:
            return "there is a gradient: .grad is not None"
        if self.dtype.kind != "f":
            return f"only floats carry gradients, and this holds {self.dtype}: convert with .astype('float32') first"
        if not self.requires_grad:
            return "requires_grad is False: it was not set, or this was computed under no_grad() or from plain arrays"
        if self.node is not None and not self.retains_grad:
            return f"it is not a leaf but the result of {self.node.op.name}: call .retain_grad() before backward()"
        if self.node is not None and self.node.operands is None:
            return "its graph was freed by a grad(), or by a backward() before .retain_grad(): compute it again"
        return "no backward() has reached it, or none since .grad was cleared: does the loss depend on it?"

    def register_hook(self, hook: Callable[[Any], Any]) -> HookHandle:
        """Call the hook with the complete gradient of this Tensor in every backward walk.

        What the hook returns replaces the gradient, unless it is None. The hook must not change the gradient in place.
        The handle that is returned unregisters it: `handle.remove()`.
        """
        self._check_requires_grad("register_hook")
        return HookHandle(self, hook)

    def _check_requires_grad(self, method: str) -> None:
        if not self.requires_grad:
            raise GradientError(f"{method}: this Tensor requires no gradient, so backward() will never reach it")

    def assign(self, array: Any) -> Self:
        """Set the data of a leaf in place to an array of the same shape; graphs recorded before become stale."""
        return self._set(array, "assign")

    def _set(self, array: Any, caller: str) -> Self:
        new = as_exact_array(data_of(array), self.device)
        if self.node is not None:
            raise GradientError(f"{caller}: the result of {self.node.op.name} is not a leaf: change what it is made of")
        if new.shape != self.shape:
            raise ValueError(f"{caller}: expected shape {self.shape}, got shape {new.shape}")
        if not is_writable(self.data):
            raise ValueError(f"{caller}: this Tensor has a read-only array, as a broadcast view is: make it of a copy")
        if not np.can_cast(new.dtype, self.dtype, "same_kind"):
            raise TypeError(f"{caller}: expected {self.dtype}, got {new.dtype}: convert with .astype first")
        change([self], operator.setitem, self.data, ..., new)  # self.data[...] = new
        return self

    def numpy(self) -> np.ndarray[Any, Any]:
        """Return the array on the host, without the history; on the CPU it shares memory with this Tensor."""
        return to_numpy(self.data)

    def item(self) -> Any:
        """Return the one element as a Python number; on a GPU, as with every transfer, the host waits for it."""
        return self.data.item()

    def tolist(self) -> Any:
        """Return the elements as nested lists of Python numbers."""
        return self.data.tolist()

    def to(self, device: str) -> "Tensor":
        """Return this Tensor on the device, itself if it is there already; the gradient returns to its own device."""
        return self if device_name(device) == self.device else shaping.move(self, device)

    def astype(self, dtype: Any) -> "Tensor":
        """Return this Tensor with another dtype. No gradient passes through one that is not floating."""
        dtype = number_dtype(dtype)
        if dtype.kind != "f":
            return Tensor(self.data.astype(dtype))
        return elementwise.astype(self, dtype)

    def __repr__(self) -> str:
        data = np.array2string(self.numpy(), separator=", ", prefix=f"{type(self).__name__}(")
        facts = f"shape={self.shape}, dtype={self.dtype}, device={self.device}"
        if self.name is not None:
            facts += f", name={self.name!r}"
        if self.node is not None:
            facts += f", made_by={self.node.op.name}"
        elif self.requires_grad:
            facts += ", requires_grad=True"
        return f"{type(self).__name__}({data}, {facts})"

    def __format__(self, spec: str) -> str:
        return format(self.item(), spec) if spec else str(self)

    # With np.dtype[Any] as its dtype, type checkers would take array * t for an array.
    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, np.dtype[np.generic]]:
        if self.requires_grad:
            raise TypeError(
                "a Tensor that requires a gradient does not become an array in silence, which would lose its history: "
                "write X @ W for X.dot(W), and tg.stack([t, u]) for np.array([t, u]); where no gradient is needed, as "
                "for plots, t.numpy() or t.detach() gives the values"
            )
        return np.array(self.numpy(), dtype, copy=copy)

    @property
    def _data(self) -> NoReturn:
        """Raise TypeError: a masked array asks the other operand for this, as in masked + t; see `check_unmasked`."""
        refuse_masked()

    def __len__(self) -> int:
        return len(self.data)

    def __iter__(self) -> Iterator["Tensor"]:
        return (self[i] for i in range(len(self)))

    def __float__(self) -> float:
        """Return the one element as a Python number, which has no history: no gradient passes through it.

        Whatever needs a plain number calls this, without a warning: float(t), math.exp(t) and, for a NumPy array a,
        a[0] = t, a.fill(t) and np.sum(a, initial=t). Write tg.exp(t) to let a gradient pass.
        """
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        return operator.index(self.item())

    def __bool__(self) -> bool:
        if not self.data.size:  # NumPy refuses, and CuPy says False
            raise ValueError(f"bool: expected one element, got an empty Tensor of shape {self.shape}: ask t.size > 0")
        return bool(self.data)

    def __getitem__(self, index: Any) -> "Tensor":
        for part in index if isinstance(index, tuple) else (index,):
            check_unmasked(part)
        index = tuple(map(data_of, index)) if isinstance(index, tuple) else data_of(index)
        return indexing.getitem(self, index=index)

    def __setitem__(self, index: Any, value: Any) -> None:
        raise TypeError(
            "Tensors are not changed in place: build the result with tg.where(condition, a, b), or set the data of a "
            "leaf with t.assign(array)"
        )

    __add__, __radd__ = protocols.operators(elementwise.add, "add")
    __sub__, __rsub__ = protocols.operators(elementwise.subtract, "sub")
    __mul__, __rmul__ = protocols.operators(elementwise.multiply, "mul")
    __truediv__, __rtruediv__ = protocols.operators(elementwise.divide, "truediv")
    __pow__, __rpow__ = protocols.operators(elementwise.power, "pow")
    __mod__, __rmod__ = protocols.operators(elementary.remainder, "mod")
    __floordiv__, __rfloordiv__ = protocols.operators(elementary.floor_divide, "floordiv")
    __matmul__, __rmatmul__ = protocols.operators(linalg.matmul, "matmul")
    __neg__ = elementwise.negative
    __iadd__ = protocols.in_place("+=", operator.add)
    __isub__ = protocols.in_place("-=", operator.sub)
    __imul__ = protocols.in_place("*=", operator.mul)
    __itruediv__ = protocols.in_place("/=", operator.truediv)
    __ipow__ = protocols.in_place("**=", operator.pow)
    __imod__ = protocols.in_place("%=", operator.mod)
    __ifloordiv__ = protocols.in_place("//=", operator.floordiv)
    __imatmul__ = protocols.in_place("@=", operator.matmul)

    def __pos__(self) -> "Tensor":
        return self

    __eq__ = protocols.comparison(operator.eq)
    __ne__ = protocols.comparison(operator.ne)
    __lt__ = protocols.comparison(operator.lt)
    __le__ = protocols.comparison(operator.le)
    __gt__ = protocols.comparison(operator.gt)
    __ge__ = protocols.comparison(operator.ge)

    def reshape(self, *shape: Any) -> "Tensor":
        """Return the same elements in another shape, given as reshape(2, 3) or reshape((2, 3))."""
        return shaping.reshape(self, shape=unpacked(shape))

    def transpose(self, *axes: Any) -> "Tensor":
        """Return the Tensor with its axes in another order, by default reversed."""
        return shaping.transpose(self, axes=None if axes in ((), (None,)) else unpacked(axes))

    swapaxes = composed.swapaxes
    squeeze = composed.squeeze
    ravel = composed.ravel
    repeat = manipulation.repeat
    diagonal = manipulation.diagonal
    take = composed.take
    argmax = searching.argmax
    argmin = searching.argmin
    clip = composed.clip
    round = elementary.round
    sum = reductions.sum
    mean = reductions.mean
    var = composed.var
    std = composed.std
    trace = manipulation.trace
    prod = reductions.prod
    max = reductions.max
    min = reductions.min
    cumsum = reductions.cumsum
    cumprod = products.cumprod
    dot = products.dot
    exp = elementwise.exp
    log = elementwise.log
    sqrt = elementwise.sqrt
    abs = __abs__ = elementwise.abs
    relu = elementwise.relu
    sigmoid = elementwise.sigmoid
    tanh = elementwise.tanh
    logsumexp = softmax_ops.logsumexp
    log_softmax = softmax_ops.log_softmax
    softmax = softmax_ops.softmax


Tensor.result_type = Tensor
Traced.stack_nested = manipulation.stack_nested
