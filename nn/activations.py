"""Activations and dropout as functions, which `functional` lists and `layers` has as Modules; names are PyTorch's."""

from collections.abc import Callable
from typing import Any

from tinygrad_sm.arguments import choice, number
from tinygrad_sm.arrays import as_array, described
from tinygrad_sm.backend import device_of
from tinygrad_sm.engine.primitive import as_operand
from tinygrad_sm.engine.tape import data_of
from tinygrad_sm.ops import composed
from tinygrad_sm.ops.elementwise import as_floats, multiply, sigmoid, softplus, where
from tinygrad_sm.ops.normal import ndtr
from tinygrad_sm.precision import as_precise_as, wide
from tinygrad_sm.shares import uniform_draws

APPROXIMATIONS = ("none", "tanh")
"""The forms of gelu."""


def leaky_relu(x: Any, negative_slope: float = 0.01) -> Any:
    """Return x where it is positive, and negative_slope · x elsewhere.

    Convention: the gradient at the kink, x = 0, is negative_slope, as in PyTorch.

    >>> leaky_relu([-2.0, 0.0, 3.0], 0.25)
    array([-0.5,  0. ,  3. ], dtype=float32)
    """
    negative_slope = number("leaky_relu", "negative_slope", negative_slope)
    x = as_operand(x)
    return where(x > 0, x, negative_slope * x)


def silu(x: Any) -> Any:
    """Return x σ(x), also called swish. Convention: at −∞ it is 0, its limit, where PyTorch has NaN.

    "Gaussian Error Linear Units" (Hendrycks and Gimpel, 2016) names it; "Sigmoid-Weighted Linear Units" (Elfwing,
    Uchibe and Doya, 2018) tries it.

    >>> silu([-1.0, 0.0, 1.0]).round(4)
    array([-0.2689,  0.    ,  0.7311], dtype=float32)
    """
    return _gated(x, sigmoid, 750)


def gelu(x: Any, approximate: str = "none") -> Any:
    """Return x Φ(x) with Φ(x) the probability that a number from the normal distribution is at most x.

    approximate : "tanh" gives the tanh form, which `tg.gelu` is; it differs by at most 5e-4. "Gaussian Error Linear
        Units" (Hendrycks and Gimpel, 2016) has both.

    Convention: at −∞ it is 0, its limit, where PyTorch has NaN.

    >>> gelu([-1.0, 0.0, 1.0]).round(4), gelu([-1.0, 0.0, 1.0], approximate="tanh").round(4)
    (array([-0.1587,  0.    ,  0.8413], dtype=float32), array([-0.1588,  0.    ,  0.8412], dtype=float32))
    """
    choice("gelu", "approximate", approximate, APPROXIMATIONS)
    if approximate == "tanh":
        return composed.gelu(x)
    return _gated(x, ndtr, 40)


def _gated(x: Any, gate: Callable[[Any], Any], bound: int) -> Any:
    """Return x · gate(x), where the gate is 0 from −bound downwards, and 1 from bound upwards."""
    x = composed.clip(as_floats(as_operand(x)), -bound)  # −∞·0 would be NaN
    return x * gate(composed.clip(x, None, bound))  # and so would, in the gradient at ∞, ∞·0


def logsigmoid(x: Any) -> Any:
    """Return ln σ(x) = −ln(1 + e⁻ˣ), accurate even where σ(x) rounds to 0 or 1.

    >>> logsigmoid([-100.0, 0.0]).round(4)
    array([-100.    ,   -0.6931], dtype=float32)
    """
    return -softplus(-as_floats(as_operand(x)))


def dropout(x: Any, p: float = 0.5, training: bool = True) -> Any:
    """Set every element to 0 with probability p and divide the others by 1 − p; return x itself without `training`.

    So the next layer's input has the same mean in both (inverted dropout). Each call draws anew, on the host;
    `tg.manual_seed` sets the draws. A dropped infinity or NaN becomes NaN. "Dropout: A Simple Way to Prevent Neural
    Networks from Overfitting" (Srivastava et al., 2014).
    """
    p = number("dropout", "p", p, 0, 1)
    if not training or p == 0:
        return x
    data = as_array(data_of(x))
    if data.dtype.kind != "f":
        raise TypeError(f"dropout: expected floats, got {described(data)}")
    kept = uniform_draws(data.shape) >= p
    mask = kept * wide(data).dtype.type(1 / (1 - p) if p < 1 else 0)
    return as_precise_as(data, multiply(wide(x), as_array(mask, device=device_of(data))))
