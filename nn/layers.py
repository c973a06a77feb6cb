"""Layers: the Modules that models are made of.

>>> model = Sequential(Flatten(), Linear(784, 10), LogSoftmax(dim=1))
>>> model(np.zeros((128, 1, 28, 28), np.float32)).shape
(128, 10)
"""

import math
from typing import Any

import numpy as np

from tinygrad_sm.backend import described, random_generator
from tinygrad_sm.creation import Parameter
from tinygrad_sm.nn.module import Module
from tinygrad_sm.ops import elementwise
from tinygrad_sm.ops.linalg import linear
from tinygrad_sm.ops.shaping import reshape
from tinygrad_sm.ops.softmax import log_softmax, softmax
from tinygrad_sm.tensor import Tensor


class Linear(Module):
    """The affine map y = x Wᵀ + b.

    weight : shape (out_features, in_features), one row per output; bias : shape (out_features,), or None.
    Both begin as draws from U(−1/√in_features, 1/√in_features), as in PyTorch; `tg.manual_seed` sets the draws.

    >>> Linear(784, 10)
    Linear(in_features=784, out_features=10, bias=True)
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True):
        for name, value in (("in_features", in_features), ("out_features", out_features)):
            if value < 1:
                raise ValueError(f"Linear: expected {name} of at least 1, got {value}")
        self.in_features = in_features
        self.out_features = out_features
        bound = 1 / math.sqrt(in_features)
        draw = random_generator().uniform
        weight = draw(-bound, bound, (out_features, in_features)).astype(np.float32)
        self.weight = Parameter(np.asfortranarray(weight))  # the layout in which its gradient comes and BLAS is quick
        self.bias = Parameter(draw(-bound, bound, out_features).astype(np.float32)) if bias else None

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
        """Return the sizes."""
        return f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"


class Sequential(Module):
    """Modules in a row, each given what the one before returned; `model[0]` is the first.

    >>> Sequential(Linear(2, 3), ReLU())
    Sequential(
      (0): Linear(in_features=2, out_features=3, bias=True)
      (1): ReLU()
    )
    """

    def __init__(self, *layers: Module):
        for i, layer in enumerate(layers):
            if not isinstance(layer, Module):
                raise TypeError(f"Sequential: expected Modules, got {layer!r} in place {i}")
            setattr(self, str(i), layer)

    def forward(self, x: Any) -> Any:
        """Return the last Module's result."""
        for layer in self:
            x = layer(x)
        return x

    def __len__(self) -> int:
        return len(list(self._children()))

    def __getitem__(self, i: int) -> Module:
        return list(self)[i]

    def __iter__(self) -> Any:
        return (layer for _, layer in self._children())


class Flatten(Module):
    """Make a row of each example: (N, C, H, W) becomes (N, C·H·W), row after row of the image."""

    def forward(self, x: Any) -> Any:
        """Return x of shape (N, ...) in the shape (N, D)."""
        return reshape(x, (x.shape[0], math.prod(x.shape[1:])))


class ReLU(Module):
    """max(x, 0), element by element."""

    def forward(self, x: Any) -> Any:
        """Return tg.relu(x)."""
        return elementwise.relu(x)


class Sigmoid(Module):
    """σ(x) = 1 / (1 + e⁻ˣ), element by element."""

    def forward(self, x: Any) -> Any:
        """Return tg.sigmoid(x)."""
        return elementwise.sigmoid(x)


class Tanh(Module):
    """The hyperbolic tangent, element by element."""

    def forward(self, x: Any) -> Any:
        """Return tg.tanh(x)."""
        return elementwise.tanh(x)


class Softmax(Module):
    """exp(x) / Σ exp(x) along the axis `dim`. Do not put it before CrossEntropyLoss, which contains it."""

    def __init__(self, dim: int = -1):
        self.dim = dim

    def forward(self, x: Any) -> Any:
        """Return tg.softmax(x, dim)."""
        return softmax(x, self.dim)

    def extra_repr(self) -> str:
        """Return the axis."""
        return f"dim={self.dim}"


class LogSoftmax(Softmax):
    """ln softmax(x) along the axis `dim`: what NLLLoss takes."""

    def forward(self, x: Any) -> Any:
        """Return tg.log_softmax(x, dim)."""
        return log_softmax(x, self.dim)
