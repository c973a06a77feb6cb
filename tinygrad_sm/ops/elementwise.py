"""Operations that work element by element, with NumPy's broadcasting.

Import from a later file: `array_module(x)` of `backend`, NumPy or CuPy. The shapes of two operands need not be equal:
(128, 10) and (10,) give (128, 10). The rules answer in the shape of the output, and the tape sums what was repeated.
"""

from math import inf
from numbers import Integral

from numpy import finfo

from tinygrad_sm.backend import array_module
from tinygrad_sm.engine.primitive import primitive, zero


@primitive(analytic=True)
def add(a, b, /):
    """Return a + b."""
    return a + b


add.vjp(lambda g, out, a, b: g, lambda g, out, a, b: g)


@primitive(analytic=True)
def subtract(a, b, /):
    """Return a − b."""
    return a - b


subtract.vjp(lambda g, out, a, b: g, lambda g, out, a, b: -g)


@primitive(analytic=True)
def multiply(a, b, /):
    """Return a ⊙ b, the product element by element."""
    return a * b


multiply.vjp(
    lambda g, out, a, b: g * b,  # ∂L/∂a = g ⊙ b
    lambda g, out, a, b: g * a,
)


@primitive(analytic=True)
def divide(a, b, /):
    """Return a / b."""
    return a / b


divide.vjp(lambda g, out, a, b: g / b, lambda g, out, a, b: -g * out / b)  # ∂(a/b)/∂b = −a/b² = −out/b


@primitive(analytic=True)
def negative(x, /):
    """Return −x."""
    return -x


negative.vjp(lambda g, out, x: -g)


@primitive(analytic=True)
def power(a, b, /):
    """Return a**b.

    Conventions where the rules' formulas give 0·∞, as in PyTorch: ∂(a**0)/∂a is 0 for every a, because a**0 is 1, even
    where 1/a overflows. At a = 0, ∂(a**b)/∂b is 0 for b > 0 and −∞ for b < 0, its limits from a > 0; for b = 0 it is 0.
    For a < 0, ∂(a**b)/∂b does not exist: it is NaN.

    A negative int is no exponent for integers: ValueError. Among the exponents of an integer array NumPy refuses
    negative ones too, but CuPy, which would have to wait for the GPU, gives 0, or ±1 where a is ±1. On the CPU a**0.5
    is √a, NaN at −∞; on a GPU it is ∞ there, as for other exponents. The square of a boolean is an int8 on the CPU, an
    int64 on a GPU.
    """
    if isinstance(b, Integral) and b < 0 and hasattr(a, "dtype") and a.dtype.kind in "biu":
        raise ValueError(f"expected a floating base for the exponent {b}, got {a.dtype}: write power(1.0 * a, {b})")
    return a**b


def _power_rule_a(g, out, a, b):
    """Return g b a**(b−1); where b = 0 as g b/a, which is 0 too, but keeps 0·∞ out of its derivatives in a and b."""
    if type(b) in (int, float):  # without masks, as in x**2
        return g * b * a ** (b - 1.0) if b else zero(g, out)
    is_0, has_inverse = b == 0, abs(a) > 1 / float(finfo(out.dtype).max)  # else 1/a overflows, or is NaN
    base, divisor = where(is_0, 1, a), where(is_0 & has_inverse, a, 1)  # 1 is a safe value, also for what is not chosen
    return g * where(is_0, b / divisor, b * base ** (b - 1.0))


def _power_rule_b(g, out, a, b):
    """Return g a**b ln a; where a = 0 and b ≥ 0, it is 0: ln(0 + 1) replaces ln 0, as 0·(−∞) would be NaN."""
    is_nonzero_number = type(a) in (int, float) and a  # which needs no mask
    return g * out * log(float(a) if is_nonzero_number else 1.0 * a + ((a == 0) & (b >= 0)))


power.vjp(_power_rule_a, _power_rule_b)


@primitive(analytic=True)
def exp(x, /):
    """Return eˣ."""
    return array_module(x).exp(x)


exp.vjp(lambda g, out, x: g * out)


@primitive(analytic=True)
def expm1(x, /):
    """Return eˣ − 1, accurate to the last digit even where x is small and eˣ rounds to 1."""
    return array_module(x).expm1(x)


expm1.vjp(lambda g, out, x: g * exp(x))


@primitive(analytic=True)
def log(x, /):
    """Return ln x, the natural logarithm."""
    return array_module(x).log(x)


log.vjp(lambda g, out, x: g / x)


@primitive(analytic=True)
def log1p(x, /):
    """Return ln(1 + x), accurate to the last digit even where x is small and 1 + x rounds to 1."""
    return array_module(x).log1p(x)


log1p.vjp(lambda g, out, x: g / (1 + x))


@primitive(analytic=True)
def sqrt(x, /):
    """Return √x. The gradient at 0 is infinite, as its limit is."""
    return array_module(x).sqrt(x)


sqrt.vjp(lambda g, out, x: g / (2 * out))


@primitive(analytic=True)
def sin(x, /):
    """Return sin x."""
    return array_module(x).sin(x)


sin.vjp(lambda g, out, x: g * cos(x))


@primitive(analytic=True)
def cos(x, /):
    """Return cos x."""
    return array_module(x).cos(x)


cos.vjp(lambda g, out, x: -g * sin(x))


@primitive(analytic=True)
def arctan(x, /):
    """Return arctan x, between −π/2 and π/2."""
    return array_module(x).arctan(x)


arctan.vjp(lambda g, out, x: g / (1 + x * x))


@primitive
def abs(x, /):
    """Return |x|. Convention: the gradient at the kink, x = 0, is 0, the middle of its subgradients [−1, 1]."""
    return array_module(x).abs(x)


abs.vjp(lambda g, out, x: g * sign(x))


@primitive
def sign(x, /):
    """Return −1, 0 or 1: the sign of x. Its gradient is 0; convention: 0 at the jump, x = 0, too.

    Booleans have no sign in NumPy, which raises TypeError; CuPy gives 0 and 1.
    """
    return array_module(x).sign(x)


sign.vjp(zero)


@primitive
def maximum(a, b, /):
    """Return the larger of a and b. Convention: where a = b, the gradient is split equally between the two.

    −0 and +0 are equal: of the two, NumPy may return either one, a GPU returns +0, and `minimum` there −0.
    """
    return array_module(a, b).maximum(a, b)


def _max_min_rule(g, out, mine, other):
    """Return one operand's part of g: half at a tie, all if either is NaN. A mask times an infinite g would be NaN."""
    return where(mine == other, g / 2, where(other == out, 0, g))


maximum.vjp(lambda g, out, a, b: _max_min_rule(g, out, a, b), lambda g, out, a, b: _max_min_rule(g, out, b, a))


@primitive
def minimum(a, b, /):
    """Return the smaller of a and b. Convention: where a = b, the gradient is split equally between the two."""
    return array_module(a, b).minimum(a, b)


minimum.vjp(lambda g, out, a, b: _max_min_rule(g, out, a, b), lambda g, out, a, b: _max_min_rule(g, out, b, a))


@primitive
def relu(x, /):
    """Return max(x, 0).

    Convention: relu′(0) = 0, as in "Numerical influence of ReLU'(0) on backpropagation" (Bertoin et al., 2021) and in
    PyTorch and JAX; `maximum(x, 0)` splits the gradient there and gives 1/2.
    """
    return array_module(x).maximum(x, 0)


relu.vjp(lambda g, out, x: where(out <= 0, 0, g))  # not g ⊙ (out > 0): where g is ∞, 0·∞ is NaN


@primitive
def sigmoid(x, /):
    """Return σ(x) = 1 / (1 + e⁻ˣ) = eˣ / (1 + eˣ), the logistic function.

    Computed with e^−|x|, which cannot overflow, and exact to rounding in both tails.
    """
    xp = array_module(x)
    e = xp.exp(-xp.abs(as_floats(x)))
    return xp.where(x >= 0, 1, e) / (1 + e)


sigmoid.vjp(lambda g, out, x: g * out * (1 - out))


@primitive
def softplus(x, /):
    """Return ln(1 + eˣ), a smooth relu; its gradient is the sigmoid. Computed as max(x, 0) + ln(1 + e^−|x|)."""
    xp = array_module(x)
    return xp.maximum(x, 0) + xp.log1p(xp.exp(-xp.abs(as_floats(x))))


def as_floats(x):
    """Return integers as floats: in a dtype of integers |x|, −x and x³ may overflow."""
    return x if x.dtype.kind == "f" else 1.0 * x


softplus.vjp(lambda g, out, x: g * sigmoid(x))


@primitive
def logaddexp(a, b, /):
    """Return ln(eᵃ + eᵇ), a smooth maximum, accurate even where eᵃ and eᵇ overflow or round to 0.

    Its gradients are eᵃ / (eᵃ + eᵇ) and eᵇ / (eᵃ + eᵇ), the softmax of a and b. Convention: where both are −∞,
    and so the result is ln(0 + 0), the gradients are 0, as in `logsumexp`.

    >>> import numpy as np
    >>> np.exp(logaddexp(np.log(2.0), np.log(3.0))).round(6)
    np.float64(5.0)
    """
    return array_module(a, b).logaddexp(a, b)


def _logaddexp_rule(g, out, mine, other):
    """Return g σ(mine − other): the difference of large numbers is exact, where mine − out is rounded."""
    is_masked = out == -inf
    return where(is_masked, 0, g * sigmoid(where(is_masked, 0, mine) - other))  # −∞ less −∞ would be NaN


logaddexp.vjp(lambda g, out, a, b: _logaddexp_rule(g, out, a, b), lambda g, out, a, b: _logaddexp_rule(g, out, b, a))


@primitive(analytic=True)
def tanh(x, /):
    """Return tanh x = (eˣ − e⁻ˣ) / (eˣ + e⁻ˣ)."""
    return array_module(x).tanh(x)


tanh.vjp(lambda g, out, x: g * (1 - out * out))


@primitive(analytic=True)
def where(condition, a, b, /):
    """Return a where the condition holds and b elsewhere.

    The gradient passes only to the operand that was chosen. An operand that is not finite where it was not chosen can
    still give 0·∞ = NaN in the rule of what made it: choose safe values first, where(c, log(where(c, x, 1)), 0).
    An int that the integer dtype of the other operand cannot hold is an OverflowError.
    """
    if a is None or b is None:
        raise TypeError("expected numbers to choose from, got None")
    for number, other in ((a, b), (b, a)):
        if isinstance(number, int) and number and hasattr(other, "dtype") and other.dtype.kind in "iu":
            other.dtype.type(number)  # raises OverflowError, where NumPy would wrap around
    xp = array_module(condition, a, b)
    return xp.where(condition if hasattr(condition, "dtype") else xp.asarray(condition), a, b)  # CuPy takes no bool


where.vjp(
    None,
    lambda g, out, condition, a, b: where(condition, g, 0),
    lambda g, out, condition, a, b: where(condition, 0, g),
)


@primitive
def astype(x, /, dtype):
    """Return x in another floating dtype; the gradient has the dtype of x again."""
    return x.astype(dtype)


astype.vjp(lambda g, out, x, dtype: g)  # which the tape casts
