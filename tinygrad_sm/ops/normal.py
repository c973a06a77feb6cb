"""The cumulative distribution of the normal distribution, by which the exact form of gelu is defined.

NumPy has neither it nor the error function. Tails need care: 1 − Φ(8) is 6e-16, and would be lost in Φ(8) = 1.
"""

import math

from tinygrad_sm.backend import array_module
from tinygrad_sm.engine.primitive import primitive
from tinygrad_sm.ops.elementwise import exp
from tinygrad_sm.precision import as_precise_as, wide

COEFFICIENTS = (
    9.862533510345587e-10,
    -3.1813541434969274e-09,
    -1.3312919661038687e-08,
    2.7843881265502222e-08,
    1.0183620603842736e-07,
    -1.205414228648938e-07,
    -6.166011460398726e-07,
    3.3669790806407595e-07,
    3.472370944977168e-06,
    -7.187883834404266e-07,
    -2.0100542268525612e-05,
    4.94412434222366e-06,
    0.0001250993424583729,
    -0.00010515831297813128,
    -0.0007798322696543306,
    0.0018886900977441495,
    0.0025293918156939696,
    -0.023770514891530075,
    0.0683080273440099,
    -0.11927366341676002,
    0.1296451587027594,
    -0.04756229435342038,
    -0.13562110612458117,
    1.2530080582697296,
)
"""Of the polynomial P of degree 23, the highest power first: P(t) = (1 + 2s) e^(s²) erfc(s) with t = (s − 3) / (s + 3).

t is from −1 to 1 for all s from 0 to ∞, and there the function is smooth, from 1 to 1.3. P is its Chebyshev
interpolation in 60 points, computed with 50 digits and cut, and differs from it by less than 2e-16.
"""


@primitive
def ndtr(x, /):
    """Return Φ(x) = ½ erfc(−x/√2), the probability that a number drawn from the normal distribution is at most x.

    Name and meaning are those of `torch.special.ndtr`. Computed as ½ erfc(s) with s = |x|/√2, or 1 minus that for
    x ≥ 0: so small results have as many digits as large ones, until they are 0 below −38.

    >>> import numpy as np
    >>> ndtr(np.array([-1.96, 0.0, 1.0])).round(4)
    array([0.025 , 0.5   , 0.8413])
    """
    xp = array_module(x)
    s = xp.minimum(xp.abs(wide(x)), 40) * math.sqrt(0.5)  # e^−s² is 0 from there on, and s² may overflow
    t, p = 1 - 6 / (s + 3), 0.0
    for coefficient in COEFFICIENTS:
        p = p * t + coefficient
    tail = p / (2 + 4 * s) * xp.exp(-s * s)
    return as_precise_as(x, xp.where(x < 0, tail, 1 - tail))


def _density(x):
    return exp(x * x / -2) / math.sqrt(2 * math.pi)


ndtr.vjp(lambda g, out, x: g * _density(wide(x)))
