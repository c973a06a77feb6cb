"""Elementary functions beyond those of `elementwise`, and functions with jumps: remainders and rounding.

Of a function with jumps the gradient is the derivative between them. There it is 0 for `floor`, `ceil`, `round` and
`floor_divide`; convention: it is the same at the jumps, where there is no derivative, as in PyTorch and JAX.
"""

from math import inf, log

from tinygrad_sm.backend import array_module
from tinygrad_sm.engine.primitive import primitive, zero
from tinygrad_sm.engine.tape import data_of
from tinygrad_sm.ops.elementwise import abs, maximum, sqrt, where

LN_2, LN_10 = log(2), log(10)


@primitive(analytic=True)
def tan(x, /):
    """Return tan x = sin x / cos x."""
    return array_module(x).tan(x)


tan.vjp(lambda g, out, x: g * (1 + out * out))


@primitive(analytic=True)
def sinh(x, /):
    """Return sinh x = (eˣ − e⁻ˣ) / 2."""
    return array_module(x).sinh(x)


sinh.vjp(lambda g, out, x: g * cosh(x))


@primitive(analytic=True)
def cosh(x, /):
    """Return cosh x = (eˣ + e⁻ˣ) / 2."""
    return array_module(x).cosh(x)


cosh.vjp(lambda g, out, x: g * sinh(x))


@primitive(analytic=True)
def arcsin(x, /):
    """Return arcsin x, between −π/2 and π/2; NaN outside of [−1, 1]. The gradient at ±1 is infinite, its limit."""
    return array_module(x).arcsin(x)


arcsin.vjp(lambda g, out, x: g / sqrt((1 - x) * (1 + x)))  # 1 − x² would lose digits near ±1


@primitive(analytic=True)
def arccos(x, /):
    """Return arccos x, between 0 and π; NaN outside of [−1, 1]. The gradient at ±1 is infinite, its limit."""
    return array_module(x).arccos(x)


arccos.vjp(lambda g, out, x: -g / sqrt((1 - x) * (1 + x)))


@primitive
def arctan2(y, x, /):
    """Return the angle of the point (x, y) from the first axis, between −π and π: arctan(y / x) where x > 0.

    Its gradient is (x, −y) / (x² + y²) with respect to y and x, and 0 at infinity, its limit. Conventions: at the
    origin, where there is no angle, it is 0, as in PyTorch. On the cut, y = 0 and x < 0, it is that of both sides.

    >>> import numpy as np
    >>> np.degrees(arctan2(np.array([1.0, 1.0]), np.array([1.0, -1.0])))
    array([ 45., 135.])
    """
    return array_module(y, x).arctan2(y, x)


def _in_units_of_the_larger(y, x):
    """Return y and x divided by the larger magnitude, and x² + y² divided by it once: no square overflows or is lost.

    At the origin and at infinity they are 0, 0 and 1, all constants.
    """
    largest = maximum(abs(data_of(y)), abs(data_of(x)))
    is_limit = (largest == 0) | (largest == inf)
    unit = where(is_limit, 1, largest)
    y, x = where(is_limit, 0, y) / unit, where(is_limit, 0, x) / unit
    return y, x, unit * (x * x + y * y + is_limit)


def _arctan2_rule_y(g, out, y, x):
    _, x, square = _in_units_of_the_larger(y, x)
    return g * x / square


def _arctan2_rule_x(g, out, y, x):
    y, _, square = _in_units_of_the_larger(y, x)
    return -g * y / square


arctan2.vjp(_arctan2_rule_y, _arctan2_rule_x)


@primitive(analytic=True)
def log2(x, /):
    """Return log₂ x; of a power of 2 exactly, which ln x / ln 2 is not always."""
    return array_module(x).log2(x)


log2.vjp(lambda g, out, x: g / (x * LN_2))


@primitive(analytic=True)
def log10(x, /):
    """Return log₁₀ x; of a power of 10 exactly, which ln x / ln 10 is not always."""
    return array_module(x).log10(x)


log10.vjp(lambda g, out, x: g / (x * LN_10))


@primitive(analytic=True)
def exp2(x, /):
    """Return 2ˣ."""
    return array_module(x).exp2(x)


exp2.vjp(lambda g, out, x: g * out * LN_2)


@primitive
def floor(x, /):
    """Return ⌊x⌋, the largest whole number that is not larger than x. Its gradient is 0, at the jumps too."""
    return array_module(x).floor(x)


floor.vjp(zero)


@primitive
def ceil(x, /):
    """Return ⌈x⌉, the smallest whole number that is not smaller than x. Its gradient is 0, at the jumps too."""
    return array_module(x).ceil(x)


ceil.vjp(zero)


@primitive
def round(x, /, decimals=0):
    """Return x rounded to so many decimals, to an even last digit where two are equally near. Its gradient is 0.

    >>> import numpy as np
    >>> round(np.array([0.5, 1.5, 2.5]))
    array([0., 2., 2.])
    """
    return array_module(x).round(x, decimals)


round.vjp(zero)


@primitive
def floor_divide(a, b, /):
    """Return ⌊a / b⌋, which is a // b. Its gradients are 0, at the jumps too.

    Floats divided by 0 give ±∞ or NaN with a warning, as in NumPy; integers give 0.
    """
    return a // b


floor_divide.vjp(zero, zero)


@primitive
def remainder(a, b, /):
    """Return a − b ⌊a / b⌋, which is a % b and has the sign of b.

    Its gradients are 1 for a and −⌊a / b⌋ for b; convention: at the jumps too, where b divides a, as in PyTorch.

    >>> remainder(7.5, 2.0), remainder(-7.5, 2.0)
    (1.5, 0.5)
    """
    return a % b


remainder.vjp(lambda g, out, a, b: g, lambda g, out, a, b: -g * floor_divide(a, b))

mod = remainder  # NumPy has both names
