"""Layers: the Modules that models are made of; `containers` puts them in a row.

>>> model = Sequential(Flatten(), Linear(784, 10), LogSoftmax(dim=1))
>>> model(np.zeros((128, 1, 28, 28), np.float32)).shape
(128, 10)
"""

import math
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from tinygrad_sm.arguments import choice, integer, number
from tinygrad_sm.arrays import described
from tinygrad_sm.nn import activations, init
from tinygrad_sm.nn.calls import HasForward, P, R
from tinygrad_sm.nn.containers import ModuleList, Sequential  # noqa: F401  older pickles name them here
from tinygrad_sm.nn.module import Module, Parameter
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
    """x itself: it takes the place of a layer that is left out, as in model.head = Identity().

    It takes the options of any layer and ignores them, as PyTorch's does: Identity(64, 10, bias=False).
    """

    def __init__(self, *options: Any, **others: Any):
        pass

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
