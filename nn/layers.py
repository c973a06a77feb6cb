"""Layers: the Modules that models are made of.

>>> model = Sequential(Flatten(), Linear(784, 10), LogSoftmax(dim=1))
>>> model(np.zeros((128, 1, 28, 28), np.float32)).shape
(128, 10)
"""

import math
from typing import TYPE_CHECKING, Any, overload

import numpy as np

from tinygrad_sm.arguments import integer, number
from tinygrad_sm.arrays import as_array, described
from tinygrad_sm.backend import device_of
from tinygrad_sm.engine.tape import data_of
from tinygrad_sm.nn import init
from tinygrad_sm.nn.calls import HasForward, P, R
from tinygrad_sm.nn.module import Module, ModuleList, Parameter
from tinygrad_sm.ops import composed, elementwise
from tinygrad_sm.ops.linalg import linear
from tinygrad_sm.ops.softmax import log_softmax, softmax
from tinygrad_sm.precision import as_precise_as, wide
from tinygrad_sm.random import random_generator
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
        name = (self.weight.name or "").removesuffix("weight").removesuffix(".")
        message = (
            f"Linear({self.in_features}, {self.out_features}){f' at {name!r}' if name else ''}: "
            f"expected input of shape (..., {self.in_features}), got {described(x)}"
        )
        if len(shape) > 2 and math.prod(shape[1:]) == self.in_features:
            message += f": put Flatten() before it, which makes it ({shape[0]}, {self.in_features})"
        return message

    def extra_repr(self) -> str:
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


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


class GELU(_SameKind):
    """x Φ(x), Φ the normal distribution, in the tanh form: PyTorch's `GELU(approximate="tanh")`."""

    def forward(self, x: Any) -> Any:
        return composed.gelu(x)


class Dropout(_SameKind):
    """In training, set every element to 0 with probability p and divide the others by 1 − p; in evaluation, return x.

    So the next layer's input has the same mean in both (inverted dropout). Each call draws anew, on the host;
    `tg.manual_seed` sets the draws, `model.train()` and `model.eval()` the mode. A dropped infinity or NaN becomes NaN.
    "Dropout: A Simple Way to Prevent Neural Networks from Overfitting" (Srivastava et al., 2014).
    """

    def __init__(self, p: float = 0.5):
        self.p = number("Dropout", "p", p, 0, 1)

    def forward(self, x: Any) -> Any:
        if not self.training or self.p == 0:
            return x
        data = as_array(data_of(x))
        if data.dtype.kind != "f":
            raise TypeError(f"Dropout: expected floats, got {described(data)}")
        kept = random_generator().random(data.shape) >= self.p
        mask = kept * wide(data).dtype.type(1 / (1 - self.p) if self.p < 1 else 0)
        kept_or_0 = elementwise.multiply(wide(x), as_array(mask, device=device_of(data)))
        return as_precise_as(data, kept_or_0)

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
