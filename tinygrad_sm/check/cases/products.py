"""Rows of the table of op cases: products of matrices, einsum, cross-entropy."""

import numpy as np

from tinygrad_sm.check.cases.case import OneOf, anything, case, positive, probabilities
from tinygrad_sm.ops import composed, linalg, products, softmax

MATMUL_SHAPES = (
    ((2, 3), (3, 4)),
    ((3,), (3, 4)),
    ((2, 3), (3,)),
    ((3,), (3,)),
    ((5, 2, 3), (3, 4)),
    ((2, 3), (5, 3, 4)),
    ((5, 1, 2, 3), (2, 3, 4)),
    ((3,), (2, 3, 4)),
    ((2, 2, 3), (3,)),
    ((2, 0), (0, 4)),
    ((0, 3), (3, 4)),
)
for matmul_shapes in MATMUL_SHAPES:
    case(
        linalg.matmul,
        lambda a, b: np.matmul(a, b),
        [anything, anything],
        matmul_shapes,
        OneOf([matmul_shapes]),
        label=f"matmul{matmul_shapes}".replace(" ", ""),
    )
LINEAR_SHAPES = (
    ((4, 3), (2, 3), (2,)),
    ((3,), (2, 3), (2,)),
    ((2, 4, 3), (2, 3), (2,)),
    ((0, 3), (2, 3), (2,)),
    ((2, 0, 3), (2, 3), (2,)),
    ((2, 4, 0), (2, 0), (2,)),  # without features the result is the bias
    ((0,), (2, 0), (2,)),
)
case(
    linalg.linear,
    lambda x, weight, bias: np.einsum("...d,hd->...h", x, weight) + bias,
    [anything, anything, anything],
    LINEAR_SHAPES[0],
    OneOf([*LINEAR_SHAPES]),
)
case(
    linalg.linear,
    lambda x, weight: np.einsum("...d,hd->...h", x, weight),
    [anything, anything],
    ((4, 3), (2, 3)),
    OneOf([*(shapes[:2] for shapes in LINEAR_SHAPES)]),
    label="linear without bias",
)

LABELS = np.array([2, 0, 2])


def cross_entropy_by_loops(logits, target):
    """−1/N Σ_i Σ_j y_ij ln a_ij, term by term."""
    total = 0.0
    for z, y in zip(logits.astype(np.float64), target, strict=True):
        a = [np.exp(z_j) / sum(np.exp(z_k) for z_k in z) for z_j in z]
        row = [float(j == y) for j in range(len(z))] if np.ndim(y) == 0 else y
        total -= sum(y_j * np.log(a_j) for y_j, a_j in zip(row, a, strict=True))
    return np.asarray(total / len(logits), logits.dtype)


case(
    lambda logits, labels: softmax.cross_entropy(logits, labels),
    lambda logits, labels: cross_entropy_by_loops(logits, labels),
    [anything],
    ((3, 4),),
    OneOf([((3, 3),), ((3, 5),)]),
    label="cross_entropy of labels",
    labels=LABELS,
)
case(
    softmax.cross_entropy,
    cross_entropy_by_loops,
    [anything, probabilities],
    ((3, 4), (3, 4)),
    OneOf([((3, 4), (3, 4)), ((1, 2), (1, 2)), ((2, 1), (2, 1))]),
    label="cross_entropy of probabilities",
)
case(
    softmax.cross_entropy,
    cross_entropy_by_loops,
    [anything, positive],
    ((3, 4), (3, 4)),
    OneOf([((3, 4), (3, 4))]),
    label="cross_entropy of weights that do not sum to 1",
)


case(
    composed.outer,
    np.outer,
    [anything, anything],
    ((2,), (3,)),
    OneOf([((2,), (3,)), ((2, 2), (3,)), ((0,), (2,))]),
)
EINSUMS = (
    ("ij,jk->ik", (2, 3), (3, 4)),
    ("ij,jk", (2, 3), (3, 4)),
    ("ij , jk -> ki", (2, 3), (3, 4)),
    ("ba", (2, 3)),
    ("ii", (3, 3)),
    ("ii->i", (3, 3)),
    ("iji->ji", (3, 2, 3)),
    ("iii->i", (2, 2, 2)),
    ("ij->", (2, 3)),
    ("ij->i", (2, 0)),
    ("i,i", (3,), (3,)),
    ("i,j->ij", (2,), (3,)),
    ("ij,ij->j", (2, 3), (2, 3)),
    ("ij,ij->j", (2, 1), (2, 3)),
    ("i,i->", (1,), (3,)),
    ("i,i->", (3,), (1,)),
    ("ij,jk,kl->il", (1, 2), (1, 2), (1, 2)),
    ("ij,k->i", (2, 3), (4,)),
    (",ij->ji", (), (2, 3)),
    ("iij,jk->ik", (2, 2, 3), (3, 2)),
    ("ij,jk,kl->il", (2, 3), (3, 2), (2, 2)),
    ("i,ij,j", (2,), (2, 3), (3,)),
    ("...ij,...jk->...ik", (2, 1, 2, 3), (3, 3, 2)),
    ("...ij,jk", (2, 2, 3), (3, 2)),
    ("...a,a->...", (2, 3), (3,)),
    ("b...,b...->...", (2, 3), (2, 3)),
    ("...ii->...i", (2, 3, 3)),
    ("...,...->...", (2, 1), (3,)),
    ("ij,j->i", (0, 3), (3,)),
)
for formula, *shapes in EINSUMS:
    case(
        lambda *xs, formula: composed.einsum(formula, *xs),
        lambda *xs, formula: np.asarray(np.einsum(formula, *xs)),
        [anything] * len(shapes),
        tuple(shapes),
        OneOf([tuple(shapes)]),
        label=f"einsum {shapes}",
        formula=formula,
    )

for op, oracle, shapes in (
    (products.dot, np.dot, (((2, 3), (3, 4)), ((3,), (3,)), ((2, 2, 3), (2, 3, 2)), ((), (2,)), ((3,), (2, 3, 0)))),
    (products.inner, np.inner, (((2, 3), (4, 3)), ((3,), (3,)), ((2, 1, 3), (3,)), ((2,), ()), ((2, 0), (3, 0)))),
):
    for pair in shapes:
        case(
            op,
            lambda a, b, oracle=oracle: np.asarray(oracle(a, b)),
            [anything] * 2,
            pair,
            OneOf([pair]),
            label=f"{op.__name__} of {pair[0]} and {pair[1]}",
        )
for axes, *pair in (
    (2, (2, 3, 4), (3, 4, 2)),
    (0, (2,), (3,)),
    ((0, -1), (3, 2), (2, 3)),
    (([2, 0], [0, 1]), (2, 3, 4), (4, 2, 3)),
):
    case(
        products.tensordot,
        lambda a, b, axes: np.asarray(np.tensordot(a, b, axes)),
        [anything] * 2,
        tuple(pair),
        OneOf([tuple(pair)]),
        label=f"tensordot of {pair[0]} and {pair[1]}",
        axes=axes,
    )
