"""Layers: the Modules that models are made of.

>>> model = Sequential(Flatten(), Linear(784, 10), LogSoftmax(dim=1))
>>> model(np.zeros((128, 1, 28, 28), np.float32)).shape
(128, 10)
"""

import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from operator import delitem, index, setitem
from typing import TYPE_CHECKING, Any, Self, overload

import numpy as np

from tinygrad_sm.advice import instead_of_module
from tinygrad_sm.arguments import choice, integer, number
from tinygrad_sm.arrays import described
from tinygrad_sm.engine.versions import write_all
from tinygrad_sm.nn import activations, init
from tinygrad_sm.nn.calls import HasForward, P, R
from tinygrad_sm.nn.module import NAMED_LEVELS, Module, Parameter
from tinygrad_sm.ops import elementwise
from tinygrad_sm.ops.linalg import linear
from tinygrad_sm.ops.softmax import log_softmax, softmax
from tinygrad_sm.tensors import Tensor


class Linear(Module):
    """The affine map y = x Wᵀ + b.

    weight : shape (out_features, in_features), one row per output; bias : shape (out_features,), or None.
    Both begin as draws from U(−1/√in_features, 1/√in_features), as in PyTorch; `tg.manual_seed` sets the draws. Without
    input features, y is the bias, which begins as 0.

    >>> Linear(784, 10)
    Linear(in_features=784, out_features=10, bias=True)
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True):
        self.in_features = integer("Linear", "in_features", in_features, smallest=0)
        self.out_features = integer("Linear", "out_features", out_features, smallest=1)
        bound = 1 / math.sqrt(in_features) if in_features else 0  # without inputs, the bias begins as 0
        # Fortran order: the gradient has it, and BLAS is quick on it
        self.weight = Parameter(np.empty((out_features, in_features), np.float32, order="F"))
        init.uniform_(self.weight, -bound, bound)
        self.bias = init.uniform_(Parameter(np.empty(out_features, np.float32)), -bound, bound) if bias else None

    def forward(self, x: Any) -> Tensor:
        """Return x Wᵀ + b for x of shape (..., in_features)."""
        shape = getattr(x, "shape", ())
        if shape[-1:] != (self.in_features,):
            raise ValueError(self._mismatch(x, shape))
        return linear(x, self.weight, self.bias)

    def _mismatch(self, x: Any, shape: tuple[int, ...]) -> str:
        message = (
            f"Linear({self.in_features}, {self.out_features}){place_of(self.weight)}: "
            f"expected input of shape (..., {self.in_features}), got {described(x)}"
        )
        if len(shape) > 2 and math.prod(shape[1:]) == self.in_features:
            message += f": put Flatten() before it, which makes it ({shape[0]}, {self.in_features})"
        return message

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


def place_of(weight: Parameter) -> str:
    """Return where in its model the layer of a weight stands, for messages: " at 'encoder.0'", or nothing."""
    path = (weight.name or "").rpartition(".")[0]
    return f" at {path!r}" if path else ""


class ModuleList(Module):
    """A list of Modules, named "0", "1", ..., whose parameters are found, unlike those in a plain list.

        self.layers = ModuleList(Linear(64, 64) for _ in range(3))
        ...
        for layer in self.layers:
            x = x + layer(x)

    A slice is another ModuleList of the same Modules. Inserting or deleting Modules renames those behind.
    """

    def __init__(self, modules: Iterable[Module] = ()):
        self.extend(modules)

    def append(self, module: Module) -> Self:
        return self.extend([module])

    def extend(self, modules: Iterable[Module]) -> Self:
        modules = list(modules)
        first = bisect_left(range(len(vars(self))), 1, key=lambda i: str(i) not in vars(self))  # the first free number
        for i, module in enumerate(modules, first):
            self._check_module(module, i)
            self._check_attribute(str(i), module)
        self._number(modules, first, self)
        return self

    __iadd__ = extend

    def insert(self, i: int, module: Module) -> None:
        """Insert a Module before index i; an index out of range means the nearest end, as in lists."""
        self._check_module(module, i)
        modules = list(self)
        modules.insert(i, module)
        self._renumber(modules)

    def __delitem__(self, i: int | slice) -> None:
        modules = list(self)
        del modules[i]
        self._renumber(modules)

    def _renumber(self, modules: list[Module]) -> None:
        others = Module()
        vars(others).update((name, x) for name, x in vars(self).items() if not isinstance(x, Module))
        self._number(modules, 0, others)

    def _number(self, modules: list[Module], first: int, kept: Module) -> None:
        """Name the Modules by numbers, from the first on, and keep only the attributes of `kept`: all at once."""
        numbered, names = Module(), dict[Tensor, str]()
        for i, module in enumerate(modules, first):
            vars(numbered)[str(i)] = module
            for path, tensor in module._named_tensors(f"{i}.", NAMED_LEVELS):  # see __setattr__
                if not any(list_._attribute_at(tensor.name) is tensor for list_ in (kept, numbered)):
                    names.setdefault(tensor, path)
        removed = [] if kept is self else list(self._children())
        writes: list[tuple[Any, ...]] = [(delitem, vars(self), name) for name, _ in removed]
        writes += [(setitem, vars(self), name, module) for name, module in vars(numbered).items()]
        write_all([*writes, *[(setattr, tensor, "name", path) for tensor, path in names.items()]])

    def _check_module(self, module: Any, i: int) -> None:
        if not isinstance(module, Module):
            hint = instead_of_module(type(self).__name__, module)
            raise TypeError(f"{type(self).__name__}: expected Modules, got {described(module)} in place {i}: {hint}")

    def __len__(self) -> int:
        return len(list(self._children()))

    def __iter__(self) -> Iterator[Module]:
        return iter([value for value in vars(self).values() if isinstance(value, Module)])

    def __getitem__(self, i: int | slice) -> Any:
        if not isinstance(i, slice):
            return list(self)[i]
        part = type(self).__new__(type(self))  # without __init__: a subclass makes its own Modules there
        vars(part).update((str(k), module) for k, module in enumerate(list(self)[i]))  # leaves their parameters' names
        return part

    def __setitem__(self, i: int, module: Module) -> None:
        self._check_module(module, i)
        setattr(self, [name for name, _ in self._children()][index(i)], module)


class Sequential(ModuleList):
    """Modules in a row: each gets the result of the one before. `model[0]` is the first.

    >>> Sequential(Linear(2, 3), ReLU())
    Sequential(
      (0): Linear(in_features=2, out_features=3, bias=True)
      (1): ReLU()
    )
    """

    def __init__(self, *layers: Module):
        super().__init__(layers)

    def forward(self, x: Any) -> Tensor:  # an array, if x is one and no layer has parameters
        if Sequential in map(type, vars(self).values()):
            return self._forward_of_rows(x)
        for layer in self:
            x = layer(x)
        return x

    def _forward_of_rows(self, x: Any) -> Any:
        """Compute as `forward` does, without a recursion into the rows inside, which would end at Python's limit."""
        rows = {self: iter(self)}  # the innermost last
        while rows:
            row = next(reversed(rows))
            for layer in rows[row]:
                if type(layer) is Sequential and "forward" not in vars(layer):
                    if layer in rows:
                        raise ValueError("Sequential: expected layers that end, got a Sequential inside itself")
                    rows[layer] = iter(layer)
                    break
                x = layer(x)
            else:
                del rows[row]
        return x


class _SameKind(Module):
    """The base of layers that give a Tensor for a Tensor, and an array for an array, as type checkers are told."""

    if TYPE_CHECKING:

        @overload
        def __call__(self, x: Tensor, /) -> Tensor: ...
        @overload
        def __call__(self, x: np.ndarray[Any, Any], /) -> np.ndarray[Any, Any]: ...
        @overload
        def __call__(self: HasForward[P, R], *inputs: P.args, **options: P.kwargs) -> R: ...
        def __call__(self, *inputs: Any, **options: Any) -> Any: ...


class Flatten(_SameKind):
    """Make a row of each example: (N, C, H, W) becomes (N, C·H·W), row after row of the image."""

    def forward(self, x: Any) -> Any:
        return x.reshape((x.shape[0], math.prod(x.shape[1:])))


class ReLU(_SameKind):
    """max(x, 0), element by element."""

    def forward(self, x: Any) -> Any:
        return elementwise.relu(x)


class Sigmoid(_SameKind):
    """σ(x) = 1 / (1 + e⁻ˣ), element by element."""

    def forward(self, x: Any) -> Any:
        return elementwise.sigmoid(x)


class Tanh(_SameKind):
    """The hyperbolic tangent, element by element."""

    def forward(self, x: Any) -> Any:
        return elementwise.tanh(x)


class Softplus(_SameKind):
    """ln(1 + eˣ), a smooth relu, element by element."""

    def forward(self, x: Any) -> Any:
        return elementwise.softplus(x)


class LeakyReLU(_SameKind):
    """x where it is positive, and negative_slope · x elsewhere."""

    def __init__(self, negative_slope: float = 0.01):
        self.negative_slope = number("LeakyReLU", "negative_slope", negative_slope)

    def forward(self, x: Any) -> Any:
        return activations.leaky_relu(x, self.negative_slope)

    def extra_repr(self) -> str:
        return f"negative_slope={self.negative_slope}"


class SiLU(_SameKind):
    """x σ(x), also called swish, element by element."""

    def forward(self, x: Any) -> Any:
        return activations.silu(x)


class GELU(_SameKind):
    """x Φ(x), Φ the normal distribution: approximate="none" is the exact form, approximate="tanh" the tanh form.

    One has to be written: PyTorch's GELU() is the exact form, and in version 0.1 of this package it was the other.

    >>> GELU(approximate="none")
    GELU(approximate='none')
    """

    def __init__(self, approximate: str | None = None):
        if approximate is None:
            raise TypeError(
                "GELU: expected approximate='none', the exact form, which PyTorch's GELU() is, or approximate='tanh', "
                "which GELU() was here in version 0.1: write one of them"
            )
        choice("GELU", "approximate", approximate, activations.APPROXIMATIONS)
        self.approximate = approximate

    def forward(self, x: Any) -> Any:
        return activations.gelu(x, self.approximate)

    def extra_repr(self) -> str:
        return f"approximate={self.approximate!r}"


class Identity(_SameKind):
    """x itself: it takes the place of a layer that is left out, as in model.head = Identity()."""

    def forward(self, x: Any) -> Any:
        return x


class Dropout(_SameKind):
    """In training, set every element to 0 with probability p and divide the others by 1 − p; in evaluation, return x.

    `model.train()` and `model.eval()` set the mode. `functional.dropout` says the rest.
    """

    def __init__(self, p: float = 0.5):
        self.p = number("Dropout", "p", p, 0, 1)

    def forward(self, x: Any) -> Any:
        return activations.dropout(x, self.p, self.training)

    def extra_repr(self) -> str:
        return f"p={self.p}"


class Softmax(_SameKind):
    """exp(x) / Σ exp(x) along the axis `dim`. Do not put it before CrossEntropyLoss, which contains it."""

    def __init__(self, dim: int = -1):
        self.dim = integer(type(self).__name__, "dim", dim)

    def forward(self, x: Any) -> Any:
        return softmax(x, self.dim)

    def extra_repr(self) -> str:
        return f"dim={self.dim}"


class LogSoftmax(Softmax):
    """ln softmax(x) along the axis `dim`: the input of NLLLoss."""

    def forward(self, x: Any) -> Any:
        return log_softmax(x, self.dim)
