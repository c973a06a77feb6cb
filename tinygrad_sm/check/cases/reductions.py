"""Rows of the table of op cases: reductions, and what is computed along axes."""

import numpy as np

from tinygrad_sm.check.cases.case import (
    COSTLY,
    AnyShape,
    OneOf,
    anything,
    case,
    distinct,
    nonzero,
    unary,
    whole_and_zero,
)
from tinygrad_sm.ops import composed, norms, products, reductions, softmax, standardization

for axis, keepdims in ((None, False), (0, False), (-1, True), ((0, 2), False), ((2, -2), True), ((), False)):
    shapes = AnyShape((3, 3), (1, 3))
    for op, oracle, domain in (
        (reductions.sum, np.sum, anything),
        (reductions.mean, np.mean, anything),
        (reductions.max, np.max, distinct),
        (softmax.logsumexp, lambda x, axis, keepdims: np.log(np.exp(x).sum(axis=axis, keepdims=keepdims)), anything),
    ):
        case(op, oracle, [domain], ((2, 3, 2),), shapes, axis=axis, keepdims=keepdims)
unary(reductions.sum, np.sum, anything)

for axis in (-1, 0, 1, (0, 1)):
    for op, oracle in (
        (softmax.softmax, lambda x, axis: np.exp(x) / np.exp(x).sum(axis=axis, keepdims=True)),
        (softmax.log_softmax, lambda x, axis: x - np.log(np.exp(x).sum(axis=axis, keepdims=True))),
    ):
        case(
            op,
            oracle,
            [anything],
            ((2, 3, 2),),
            AnyShape((2, 3), (1, 3)),
            axis=axis,
        )


for axis, keepdims in ((None, False), (1, False), ((0, -1), True), ((), False)):
    shapes = AnyShape((3, 3), (2, 3))
    given = {"axis": axis, "keepdims": keepdims}
    case(reductions.min, np.min, [distinct], ((2, 3, 2),), shapes, **given)
    case(reductions.prod, np.prod, [anything], ((2, 3, 2),), shapes, **given)
    case(reductions.prod, np.prod, [whole_and_zero], ((2, 3, 2),), shapes, label="prod with zeros", **given)
    case(composed.var, np.var, [anything], ((2, 3, 2),), shapes, **given)
    case(
        norms.norm,
        lambda x, axis, keepdims: np.sqrt((x * x).sum(axis=axis, keepdims=keepdims)),
        [nonzero],
        ((2, 3, 2),),
        shapes,
        **given,
    )
    if axis != ():
        case(composed.var, np.var, [anything], ((2, 3, 2),), shapes, ddof=1, **given)
        case(composed.std, np.std, [distinct], ((2, 3, 2),), shapes, ddof=1, **given)
        case(composed.std, np.std, [distinct], ((2, 3, 2),), shapes, **given)
for axis in (-1, (0, 2)):
    case(
        standardization.standardize,
        lambda x, axis, eps: (x - x.mean(axis, keepdims=True)) / np.sqrt(x.var(axis, keepdims=True) + eps),
        [anything],
        ((2, 3, 2),),
        AnyShape((3, 3), (1, 3)),
        axis=axis,
        eps=0.125,
    )
unary(reductions.prod, np.prod, anything)
unary(norms.norm, lambda x: np.sqrt(np.square(x).sum()), nonzero)
for axis in (None, 0, -1):
    case(reductions.cumsum, np.cumsum, [anything], ((2, 3),), OneOf([((2, 3),), ((3, 1, 2),), ((0, 2),)]), axis=axis)
unary(reductions.cumsum, np.cumsum, anything)
for shapes, axis in (
    ((((2, 3),), ((5,),), ((0, 2),)), None),
    ((((4, 3),), ((5, 2),), ((1, 3),)), 0),
    ((((2, 7),),), -1),
):
    for domain, label in ((anything, ""), (whole_and_zero, "cumprod with zeros")):
        case(products.cumprod, np.cumprod, [domain], shapes[0], OneOf([*shapes]), label=label, axis=axis)
unary(products.cumprod, np.cumprod, anything)
for op, oracle in ((reductions.sum, np.sum), (reductions.mean, np.mean), (reductions.prod, np.prod)):
    case(op, oracle, [anything], ((2, 3),), AnyShape((2, 2), (1, 3)), axis=0, dtype=np.float64)
for op, oracle in ((reductions.cumsum, np.cumsum), (products.cumprod, np.cumprod)):
    case(op, oracle, [anything], ((2, 3),), AnyShape((1, 2), (1, 3)), axis=0, dtype=np.float64)
for op, oracle in ((reductions.prod, np.prod), (reductions.max, np.max), (reductions.sum, np.sum)):
    case(op, oracle, [anything], ((),), OneOf([((),)]), label=f"{op.__name__} of a number", axis=-1)

COSTLY["max"] = 8, "who is the largest, a NaN too, how many they are, and their share: five operations of x's size"
COSTLY["min"] = 8, "as max"
COSTLY["prod"] = 9.6, "products of all others without a division, in pairs, so that they are right with zeros"
COSTLY["cumprod"] = 8.9, "products and sums without a division, in pairs, so that they are right with zeros"
