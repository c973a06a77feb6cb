# Written by `make record` from the running package: change the functions, or tests/typing/stubs.py, and not this file.
"""The Tensor: a `Traced` with NumPy's operators and methods, each of which names the operation that does the work.

Imports from later files: `protocols` (operators), `copies`, `exchange`, `hooks`; `composed`, `elementary`, `indexing`,
`linalg`, `manipulation`, `products`, `searching`, `shaping`.

    >>> w = Tensor([1.0, 2.0], requires_grad=True)
    >>> loss = (w * w).sum()
    >>> loss.backward()
    >>> w.grad
    array([2., 4.], dtype=float32)
"""

import numpy as np
from collections.abc import Callable, Iterator, Sequence
from numpy.typing import ArrayLike, DTypeLike
from tinygrad_sm.engine.hooks import HookHandle
from tinygrad_sm.engine.tape import Traced
from typing import Any, Self, SupportsIndex, TypeAlias

_Array: TypeAlias = np.ndarray[Any, Any]  # on a GPU it is CuPy's array, which has the same names
_Arrays: TypeAlias = _Array | Sequence[float] | Sequence[Sequence[float]] | Sequence[Sequence[Sequence[float]]]
_Plain: TypeAlias = _Arrays | complex | np.generic
_Operand: TypeAlias = Tensor | ArrayLike
_Other: TypeAlias = complex | np.generic | Sequence[_Operand]
_Axis: TypeAlias = SupportsIndex | Sequence[SupportsIndex] | None
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
    data: _Array
    grad: _Array | None
    is_state: bool
    def __array_ufunc__(tensor, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        """Compute for NumPy a ufunc, such as np.exp, that has a Tensor among its inputs.

        For an input that answers itself it returns NotImplemented, and so NumPy asks that one: np.add(t, x) is as t + x.
        """
    def __array_function__(tensor, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """Compute for NumPy a function, such as np.sum, that has a Tensor among its arguments."""
    def __dlpack__(tensor, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: bool | None = None) -> Any:
        """Return the memory of this Tensor for the `from_dlpack` of another library; keywords are the protocol's.

        backward() cannot see what the other library writes into the memory. The array module may refuse a keyword with a
        TypeError, as NumPy 2.0 refuses all but `stream`; libraries then ask again without it.

        Raises BufferError if the Tensor requires a gradient, which would not come back; if a stride is negative, since
        PyTorch 2.13 aborts the process for one; and where the array does, as for a foreign byte order.

        >>> import numpy as np
        >>> from tinygrad_sm.tensors import Tensor
        >>> t = Tensor([1.0, 2.0])
        >>> np.shares_memory(np.from_dlpack(t), t.data)
        True
        """
    def __dlpack_device__(tensor) -> Any:
        """Return the type and the number of the device with the memory, as DLPack numbers them: (1, 0) is the host."""
    def __copy__(tensor) -> Any:
        """Return another Tensor with the same array and the same history."""
    def __deepcopy__(tensor, memo: dict[int, Any]) -> Any:
        """Return a leaf with copies of the data and of the gradient; GradientError for the result of an operation."""
    def __getstate__(tensor) -> Any:
        """Return what pickle writes of a leaf; GradientError for the result of an operation."""
    def __hash__(self) -> int: ...
    def __init__(self, data: Any, requires_grad: bool = False, dtype: Any = None, device: str | None = None) -> None: ...
    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the axes."""
    @property
    def ndim(self) -> int:
        """The number of axes."""
    @property
    def size(self) -> int:
        """The number of elements."""
    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the elements."""
    @property
    def device(self) -> str:
        """The device that holds the array: "cpu", "cuda:0", ..."""
    @property
    def T(self) -> Tensor:
        """The Tensor with its axes reversed."""
    def requires_grad_(self, value: bool = True) -> Self:
        """Set whether this Tensor requires a gradient; only for leaves of a floating dtype."""
    @property
    def requires_grad(self) -> bool:
        """Whether backward() computes its gradient."""
    @requires_grad.setter
    def requires_grad(self, value: bool) -> None: ...
    def backward(root, gradient: Any = None, retain_graph: bool = False, inputs: Any = None) -> None:
        """Add the gradient of this Tensor to the `.grad` of every leaf it was computed from that requires one.

        gradient : the gradient of the loss with respect to this Tensor, of its shape; a scalar needs none.
        retain_graph : keep the graph for a second backward().
        inputs : one Tensor or several, leaves or not, to whose `.grad` alone it is added, if this Tensor depends on them.

        Raises ValueError if a gradient is missing or has a wrong shape, and GradientError if there is nothing to
        differentiate, or if the graph was freed or is stale. In each case, every `.grad` stays as it was.
        """
    def detach(self) -> Tensor:
        """Return a leaf with the same array and no history: differentiation treats it as a constant."""
    def retain_grad(self) -> None:
        """Make backward() store `.grad` in this Tensor too, although it is not a leaf."""
    def why_no_grad(self) -> str:
        """Return the reason why `.grad` is None, as far as it can be known."""
    def register_hook(self, hook: Callable[[Any], Any]) -> HookHandle:
        """Call the hook with the complete gradient of this Tensor in every backward walk.

        What the hook returns replaces the gradient, unless it is None. The hook must not change the gradient in place.
        The handle that is returned unregisters it: `handle.remove()`.
        """
    def assign(self, array: Any) -> Self:
        """Set the data of a leaf in place to an array of the same shape; graphs recorded before become stale."""
    def numpy(self) -> _Array:
        """Return the array on the host, without the history; on the CPU it shares memory with this Tensor."""
    def item(self) -> Any:
        """Return the one element as a Python number; on a GPU, as with every transfer, the host waits for it."""
    def tolist(self) -> Any:
        """Return the elements as nested lists of Python numbers."""
    def to(self, device: str) -> Tensor:
        """Return this Tensor on the device, itself if it is there already; the gradient returns to its own device."""
    def astype(self, dtype: Any) -> Tensor:
        """Return this Tensor with another dtype. No gradient passes through one that is not floating."""
    def __repr__(self) -> str: ...
    def __format__(self, spec: str) -> str: ...
    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray[Any, np.dtype[np.generic]]: ...
    def __len__(self) -> int: ...
    def __iter__(self) -> Iterator[Tensor]: ...
    def __float__(self) -> float:
        """Return the one element as a Python number, which has no history: no gradient passes through it.

        Whatever needs a plain number calls this, without a warning: float(t), math.exp(t) and, for a NumPy array a,
        a[0] = t, a.fill(t) and np.sum(a, initial=t). Write tg.exp(t) to let a gradient pass.
        """
    def __int__(self) -> int: ...
    def __index__(self) -> int: ...
    def __bool__(self) -> bool: ...
    def __getitem__(self, index: Any) -> Tensor: ...
    def __setitem__(self, index: Any, value: Any) -> None: ...
    def __add__(self, other: _Operand, /) -> Tensor: ...
    def __radd__(self, other: _Operand, /) -> Tensor: ...
    def __sub__(self, other: _Operand, /) -> Tensor: ...
    def __rsub__(self, other: _Operand, /) -> Tensor: ...
    def __mul__(self, other: _Operand, /) -> Tensor: ...
    def __rmul__(self, other: _Operand, /) -> Tensor: ...
    def __truediv__(self, other: _Operand, /) -> Tensor: ...
    def __rtruediv__(self, other: _Operand, /) -> Tensor: ...
    def __pow__(self, other: _Operand, /) -> Tensor: ...
    def __rpow__(self, other: _Operand, /) -> Tensor: ...
    def __mod__(self, other: _Operand, /) -> Tensor: ...
    def __rmod__(self, other: _Operand, /) -> Tensor: ...
    def __floordiv__(self, other: _Operand, /) -> Tensor: ...
    def __rfloordiv__(self, other: _Operand, /) -> Tensor: ...
    def __matmul__(self, other: _Operand, /) -> Tensor: ...
    def __rmatmul__(self, other: _Operand, /) -> Tensor: ...
    def __neg__(x, /) -> Tensor:
        """Return −x."""
    def __iadd__(self, other: _Operand, /) -> Self: ...
    def __isub__(self, other: _Operand, /) -> Self: ...
    def __imul__(self, other: _Operand, /) -> Self: ...
    def __itruediv__(self, other: _Operand, /) -> Self: ...
    def __ipow__(self, other: _Operand, /) -> Self: ...
    def __imod__(self, other: _Operand, /) -> Self: ...
    def __ifloordiv__(self, other: _Operand, /) -> Self: ...
    def __imatmul__(self, other: _Operand, /) -> Self: ...
    def __pos__(self) -> Tensor: ...
    def __eq__(self, other: object, /) -> _Array: ...  # type: ignore[override]
    def __ne__(self, other: object, /) -> _Array: ...  # type: ignore[override]
    def __lt__(self, other: _Operand, /) -> _Array: ...
    def __le__(self, other: _Operand, /) -> _Array: ...
    def __gt__(self, other: _Operand, /) -> _Array: ...
    def __ge__(self, other: _Operand, /) -> _Array: ...
    def reshape(self, *shape: Any) -> Tensor:
        """Return the same elements in another shape, given as reshape(2, 3) or reshape((2, 3))."""
    def transpose(self, *axes: Any) -> Tensor:
        """Return the Tensor with its axes in another order, by default reversed."""
    def swapaxes(x, axis1: Any, axis2: Any) -> Tensor:
        """Return x with two axes exchanged."""
    def squeeze(x, axis: _Axis = None) -> Tensor:
        """Return x without its axes of length 1, or without those of them that `axis` names."""
    def ravel(x) -> Tensor:
        """Return the elements of x in one row, in C order."""
    def repeat(x, repeats: Any, axis: _Axis = None) -> Tensor:
        """Return x with each element, or each slice along the axis, so many times in turn; `repeats` may differ by place.

        >>> repeat(np.array([[1, 2], [3, 4]]), 2, axis=1)
        array([[1, 1, 2, 2],
               [3, 3, 4, 4]])
        >>> repeat(np.array([5, 6]), [1, 3])
        array([5, 6, 6, 6])
        """
    def diagonal(x, offset: Any = 0, axis1: Any = 0, axis2: Any = 1) -> Tensor:
        """Return the diagonal of each matrix in two of the axes, as the last axis; `offset` > 0 is above the main one."""
    def take(x, indices: Any, axis: _Axis = None) -> Tensor:
        """Return the elements, or the slices along the axis, at integer indices; an index may repeat.

        Booleans count as the integers 0 and 1, as in NumPy; x[mask] selects by a mask.
        """
    def argmax(x, axis: _Axis = None, keepdims: bool = False) -> Any:
        """Return the index of the largest element along the axis, or of all elements in one row: a plain array."""
    def argmin(x, axis: _Axis = None, keepdims: bool = False) -> Any:
        """Return the index of the smallest element along the axis, or of all elements in one row: a plain array."""
    def clip(x, min: _Operand | None = None, max: _Operand | None = None) -> Tensor:
        """Return min where x is less, max where x is greater, and x elsewhere; None means no bound.

        Convention: the gradient passes to x inside the closed interval, at the bounds too, as in PyTorch's `clamp` up to
        2.13; since 2.14, an x that is equal to a bound has none there, or half of it if the bound is a tensor. Where a
        bound is NaN, the result is NaN, as in NumPy, and the bound takes the gradient. A bound that the integer dtype of x
        cannot hold does nothing where no x can be beyond it, and raises OverflowError where every x is beyond it.
        """
    def round(x, /, decimals: Any = 0) -> Tensor:
        """Return x rounded to so many decimals, to an even last digit where two are equally near. Its gradient is 0.

        >>> import numpy as np
        >>> round(np.array([0.5, 1.5, 2.5]))
        array([0., 2., 2.])
        """
    def sum(x, /, axis: _Axis = None, keepdims: bool = False, dtype: DTypeLike | None = None) -> Tensor:
        """Return Σ x over the axes. Its gradient gives each element the g of its sum, as a read-only broadcast view."""
    def mean(x, /, axis: _Axis = None, keepdims: bool = False, dtype: DTypeLike | None = None) -> Tensor:
        """Return Σ x / n over the axes, n the number of elements that each sum has."""
    def var(x, axis: _Axis = None, keepdims: bool = False, ddof: Any = 0) -> Tensor:
        """Return the variance Σ (x − x̄)² / (n − ddof) over the axes, x̄ the mean of the n elements."""
    def std(x, axis: _Axis = None, keepdims: bool = False, ddof: Any = 0) -> Tensor:
        """Return the standard deviation √var. Convention: where it is 0, the gradient is 0."""
    def trace(x, offset: Any = 0, axis1: Any = 0, axis2: Any = 1, dtype: DTypeLike | None = None) -> Tensor:
        """Return the sum along the diagonal of each matrix in two of the axes; see `diagonal`."""
    def prod(x, /, axis: _Axis = None, keepdims: bool = False, dtype: DTypeLike | None = None) -> Tensor:
        """Return Π x over the axes. The gradient is right with any number of zeros among the elements."""
    def max(x, /, axis: _Axis = None, keepdims: bool = False) -> Tensor:
        """Return the largest value along the axes. Convention: elements that tie for it share the gradient equally."""
    def min(x, /, axis: _Axis = None, keepdims: bool = False) -> Tensor:
        """Return the smallest value along the axes. Convention: elements that tie for it share the gradient equally."""
    def cumsum(x, /, axis: _Axis = None, dtype: DTypeLike | None = None) -> Tensor:
        """Return the sums of the first 1, 2, 3, ... elements along the axis; axis=None takes x as one row."""
    def cumprod(x, /, axis: _Axis = None, dtype: DTypeLike | None = None) -> Tensor:
        """Return the products of the first 1, 2, 3, ... elements along the axis; axis=None takes x as one row.

        The gradient is right with any number of zeros among the elements.

        dtype : that to which the elements are converted first, and that of the result.

        >>> cumprod(np.array([2.0, 3.0, 4.0]))
        array([ 2.,  6., 24.])
        """
    def dot(a, b: _Operand) -> Tensor:
        """Return the sums of products over the last axis of a and the last but one of b; over the only one of a 1-D b.

        Shapes: (..., K) and (K,) give (...); (..., K) and (K, N) give (..., N), as `matmul`; (..., K) and (..., K, N) give
        the axes of a, and then those of b. A number, or a 0-d array, multiplies each element.
        """
    def exp(x, /) -> Tensor:
        """Return eˣ."""
    def log(x, /) -> Tensor:
        """Return ln x, the natural logarithm."""
    def sqrt(x, /) -> Tensor:
        """Return √x. The gradient at 0 is infinite, as its limit is."""
    def abs(x, /) -> Tensor:
        """Return |x|. Convention: the gradient at the kink, x = 0, is 0, the middle of its subgradients [−1, 1]."""
    def __abs__(x, /) -> Tensor:
        """Return |x|. Convention: the gradient at the kink, x = 0, is 0, the middle of its subgradients [−1, 1]."""
    def relu(x, /) -> Tensor:
        """Return max(x, 0).

        Convention: relu′(0) = 0, as in "Numerical influence of ReLU'(0) on backpropagation" (Bertoin et al., 2021) and in
        PyTorch and JAX; `maximum(x, 0)` splits the gradient there and gives 1/2.
        """
    def sigmoid(x, /) -> Tensor:
        """Return σ(x) = 1 / (1 + e⁻ˣ) = eˣ / (1 + eˣ), the logistic function.

        Computed with e^−|x|, which cannot overflow, and exact to rounding in both tails.
        """
    def tanh(x, /) -> Tensor:
        """Return tanh x = (eˣ − e⁻ˣ) / (eˣ + e⁻ˣ)."""
    def logsumexp(x, /, axis: _Axis = None, keepdims: bool = False) -> Tensor:
        """Return ln Σ exp(x) over the axes, a smooth maximum; its gradient is the softmax.

        >>> import numpy as np
        >>> logsumexp(np.array([[0.0, 0.0], [1000.0, 1000.0]]), axis=1)
        array([6.93147181e-01, 1.00069315e+03])
        """
    def log_softmax(x, /, axis: _Axis = -1) -> Tensor:
        """Return ln softmax(x) = x − logsumexp(x) along the axis, accurate even where the softmax rounds to 0."""
    def softmax(x, /, axis: _Axis = -1) -> Tensor:
        """Return p_i = exp(x_i) / Σ_k exp(x_k) along the axis: positive, with sum 1, and ordered like the logits x.

        Vector form: softmax(x) = 1/Σ exp(x_k) · [exp x_1, ..., exp x_K]ᵀ, "exponential normalisation".

        >>> import numpy as np
        >>> softmax(np.log([1.0, 2.0, 7.0])).round(6)
        array([0.1, 0.2, 0.7])
        """
    def __dir__(self) -> list[str]: ...
    def __treescope_repr__(self, path: Any, subtree_renderer: Any) -> Any: ...
