"""Rows of the table of op cases: element by element."""

import numpy as np

from tinygrad_sm.check.cases.case import (
    CASES,
    COSTLY,
    UNPROVED,
    AnyShape,
    OneOf,
    anything,
    between,
    binary,
    case,
    distinct,
    divisors,
    nonzero,
    positive,
    unary,
    whole_and_zero,
    within_one,
)
from tinygrad_sm.ops import composed, elementary, elementwise

unary(elementwise.negative, np.negative, anything)
unary(elementwise.exp, np.exp, anything)
unary(elementwise.log, np.log, positive)
unary(elementwise.sqrt, np.sqrt, positive)
unary(elementwise.abs, np.abs, nonzero)
unary(elementwise.sign, np.sign, nonzero)
unary(elementwise.relu, lambda x: np.where(x > 0, x, np.zeros_like(x)), nonzero)
unary(elementwise.sigmoid, lambda x: 1 / (1 + np.exp(-x)), anything)
unary(elementwise.tanh, np.tanh, anything)
unary(elementwise.astype, lambda x, dtype: x.astype(dtype), anything, dtype=np.float64)
binary(elementwise.add, np.add, anything, anything)
binary(elementwise.subtract, np.subtract, anything, anything)
binary(elementwise.multiply, np.multiply, anything, anything)
binary(elementwise.divide, np.divide, anything, nonzero)
COSTLY["divide"] = 6, "g / b for a, and −g·out / b for b, which takes three operations and then a sum if b is broadcast"
binary(elementwise.power, np.power, positive, anything)
case(
    elementwise.power,
    np.power,
    [positive, whole_and_zero],
    ((2, 3), (2, 3)),
    OneOf([((2, 3), (2, 3)), ((), (4,))]),
    label="power with zero and whole exponents",
)
UNPROVED["power with zero and whole exponents()"] = (
    "at exponents 0 and 1 the rules take a way that they take there alone"
)
COSTLY["power"] = 21, "a**b ln a and b a**(b−1) are powers and logarithms again, and both keep 0·∞ away with masks"
binary(elementwise.maximum, np.maximum, distinct, between)
COSTLY["maximum"] = 12, "five operations per operand: ties are halved, and a mask times an infinite g would be NaN"
case(
    lambda a, b, condition: elementwise.where(condition, a, b),
    lambda a, b, condition: np.where(condition, a, b),
    [anything, anything],
    ((2, 3), (3,)),
    OneOf([((2, 3), (3,)), ((), (2, 3)), ((2, 1), (1, 3))]),
    label="where",
    condition=np.array([[True, False, True], [False, False, True]]),
)
for exponent in (2, 3.0, 1, 0, -1, 0.5):
    case(
        lambda x, b: x**b,
        lambda x, b: x**b,
        [positive],
        ((2, 3),),
        AnyShape(),
        label="power",
        b=exponent,
    )
for scalar in (2.5, -1):
    case(
        lambda x, c: c / x + (c - x) * c + x / c - c**x if c > 0 else c * x + c,
        lambda x, c: c / x + (c - x) * c + x / c - c**x if c > 0 else c * x + c,
        [positive],
        ((2, 3),),
        AnyShape(),
        label="scalars",
        c=scalar,
    )

unary(elementwise.expm1, np.expm1, anything)
unary(elementwise.log1p, np.log1p, positive)
unary(elementwise.sin, np.sin, anything)
unary(elementwise.cos, np.cos, anything)
unary(elementwise.arctan, np.arctan, anything)
unary(elementwise.softplus, lambda x: np.logaddexp(x, np.zeros_like(x)), anything)
unary(composed.square, np.square, anything)
unary(
    composed.gelu, lambda x: x / 2 * (1 + np.tanh((x + 0.044715 * x**3) * np.sqrt(2 / np.pi, dtype=x.dtype))), anything
)
binary(elementwise.logaddexp, np.logaddexp, anything, anything)
COSTLY["logaddexp"] = 26, "σ of a difference, and −∞ kept away, for each operand; NumPy has no operation for either"
binary(elementwise.minimum, np.minimum, distinct, between)
COSTLY["minimum"] = 12, "as maximum"
for bounds in ({"min": -0.31, "max": 0.44}, {"min": 0.06}, {"max": -0.19}):
    unary(composed.clip, lambda x, min=-np.inf, max=np.inf: np.clip(x, min, max), distinct, **bounds)
case(
    composed.clip,
    np.clip,
    [distinct, between, lambda random, shape: between(random, shape) + 5],
    ((2, 3), (3,), (2, 1)),
    OneOf([((2, 3), (3,), (2, 1)), ((4,), (), ())]),
    label="clip with bounds that carry gradients",
)

unary(elementary.tan, np.tan, within_one)
unary(elementary.sinh, np.sinh, anything)
unary(elementary.cosh, np.cosh, anything)
unary(elementary.arcsin, np.arcsin, within_one)
unary(elementary.arccos, np.arccos, within_one)
COSTLY["arcsin"] = 6, "1 / √((1 − x)(1 + x)), of which NumPy has no single operation"
COSTLY["arccos"] = 7, "as arcsin, negated"
unary(elementary.log2, np.log2, positive)
unary(elementary.log10, np.log10, positive)
unary(elementary.exp2, np.exp2, anything)
binary(elementary.arctan2, np.arctan2, anything, nonzero)
COSTLY["arctan2"] = 38, "x / (x² + y²) and y / (x² + y²) in units of the larger magnitude, so that no square overflows"
binary(elementary.remainder, np.remainder, between, divisors)
binary(elementary.floor_divide, np.floor_divide, between, divisors)
unary(elementary.floor, np.floor, between)
unary(elementary.ceil, np.ceil, between)
for options in ({}, {"decimals": 1}):
    unary(elementary.round, np.round, between, **options)
    UNPROVED[CASES[-1].label] = "NumPy does not round formulas"
