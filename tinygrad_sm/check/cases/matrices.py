"""Rows of the table of op cases: norms, inverses, linear equations, determinants, Cholesky factors."""

import math

import numpy as np

from tinygrad_sm.check.cases.case import CASES, COSTLY, UNPROVED, OneOf, anything, case, nonzero
from tinygrad_sm.ops import composed, decompositions, norms


def regular(random, shape):
    """Draw matrices that are far from singular: dominant elements, one in each row and column, in random order."""
    n = shape[-1]
    return (random.uniform(-0.5, 0.5, shape) + 2 * np.eye(n))[..., random.permutation(n), :]


def singular(random, shape):
    """Draw matrices with a row of zeros, whose determinant is 0 without any rounding."""
    x = random.uniform(-2, 2, shape)
    x[..., random.integers(shape[-1]), :] = 0
    return x


def definite(random, shape):
    """Draw matrices whose symmetric parts are positive definite."""
    return random.uniform(-0.5, 0.5, shape) + 2 * np.eye(shape[-1])


def apart(random, shape):
    """Draw numbers of both signs whose magnitudes, and sums of these, do not nearly tie: powers of 1.25."""
    order = random.permutation(np.arange(math.prod(shape))).reshape(shape)
    return 1.25**order * random.choice([-1.0, 1.0], shape) / 4


def symmetric(a):
    return (a + a.swapaxes(-1, -2)) / 2


for order, domain in ((1, nonzero), (math.inf, apart), (-math.inf, apart), (0, nonzero), (4, nonzero), (2, nonzero)):
    for axis, keepdims in ((0, False), (-1, True)):
        case(
            norms.norm,
            np.linalg.norm,
            [domain],
            ((2, 3),),
            OneOf([((2, 3),), ((0, 2),), ((3, 1, 2),)] if axis else [((3, 2),), ((1, 2, 2),)]),
            ord=order,
            axis=axis,
            keepdims=keepdims,
        )
for order in (0.5, -2, 1.5):
    case(norms.norm, np.linalg.norm, [nonzero], ((3,),), OneOf([((3,),), ((1,),)]), ord=order)
for order in (1, -1, math.inf, -math.inf, "fro"):
    for axis, keepdims in ((None, False), ((-1, 0), True)):
        case(
            norms.norm,
            np.linalg.norm,
            [apart],
            ((2, 3),),
            OneOf([((2, 3),), ((3, 2),)] if axis is None else [((2, 2, 3),), ((2, 3),)]),
            label="matrix_norm",
            ord=order,
            axis=axis,
            keepdims=keepdims,
        )

SQUARE = OneOf([((3, 3),), ((2, 2),), ((1, 1),), ((0, 0),), ((0, 2, 2),), ((2, 2, 2),)])
SOLVE_SHAPES = (
    ((3, 3), (3,)),
    ((3, 3), (3, 2)),
    ((2, 2, 2), (2,)),
    ((2, 2, 2), (2, 2)),
    ((2, 2), (3, 2, 1)),
    ((2, 1, 2, 2), (3, 2, 1)),
    ((0, 0), (0, 2)),
)
case(decompositions.inv, np.linalg.inv, [regular], ((3, 3),), SQUARE)
for shapes in SOLVE_SHAPES:
    case(
        decompositions.solve,
        np.linalg.solve,
        [regular, anything],
        shapes,
        OneOf([shapes]),
        label=f"solve{shapes}".replace(" ", ""),
    )
case(decompositions.det, np.linalg.det, [regular], ((3, 3),), SQUARE)
case(
    decompositions.det,
    np.linalg.det,
    [singular],
    ((3, 3),),
    OneOf([((3, 3),), ((2, 2),), ((2, 3, 3),)]),
    label="det of singular matrices",
)
case(
    lambda a: composed.stack(decompositions.slogdet(a)),
    lambda a: np.stack(np.linalg.slogdet(a)),
    [regular],
    ((3, 3),),
    SQUARE,
    label="slogdet",
)
for upper in (False, True):
    case(
        lambda a, upper: decompositions.cholesky(symmetric(a), upper=upper),
        lambda a, upper: np.linalg.cholesky(symmetric(a), upper=upper),
        [definite],
        ((3, 3),),
        SQUARE,
        label="cholesky",
        upper=upper,
    )

UNPROVED |= dict.fromkeys(
    (case.label for case in CASES if case.op.__module__ == decompositions.__name__ or case.op.__module__ == __name__),
    "LAPACK computes with numbers alone",
)
UNPROVED["norm(ord=1.5)"] = "SymPy cannot tell that roots of sums of roots are equal"
COSTLY["det"] = 19.3, "an inverse takes three times a determinant; where it is 0, N products of matrices take its place"
COSTLY["cholesky"] = 5.9, "an inverse and three products, 2 N³ each; the factor takes N³ / 3"
