"""The table of op cases, with the rows of `nn.functional`: the checker, which ships the others, does not know nn."""

import numpy as np

from tinygrad_sm.check.cases import CASES as OF_OPERATIONS
from tinygrad_sm.check.cases.case import OneOf, OpCase, anything, distinct, op_case
from tinygrad_sm.nn import conv, pooling

OF_NETWORKS: list[OpCase] = []

CASES = [*OF_OPERATIONS]


def case(op, oracle, domains, *shapes, **static):
    OF_NETWORKS.append(op_case(op, oracle, domains, shapes[0], OneOf(shapes), **static))


def sliding(x, kernel):
    return np.lib.stride_tricks.sliding_window_view(x, kernel, tuple(range(-len(kernel), 0)))


def padded(x, widths, value=0.0):
    return np.pad(x, [(0, 0), (0, 0), *widths], constant_values=value)


def conv2d(x, weight, bias):
    """Stride (2, 1), padding 1, dilation (1, 2)."""
    patches = sliding(padded(x, [(1, 1)] * 2), (2, 3))[:, :, ::2, :, :, ::2]
    return np.einsum("ncpqij,ocij->nopq", patches, weight) + bias[:, None, None]


case(
    lambda x, weight, bias: conv.conv2d(x, weight, bias, stride=(2, 1), padding=1, dilation=(1, 2)),
    conv2d,
    [anything] * 3,
    ((2, 2, 3, 3), (3, 2, 2, 2), (3,)),
    ((1, 1, 4, 3), (2, 1, 2, 2), (2,)),
    ((0, 2, 3, 3), (1, 2, 2, 2), (1,)),
    label="conv2d",
)
case(
    lambda x, weight: conv.conv1d(x, weight, groups=2),
    lambda x, weight: np.concatenate(
        [np.einsum("ncpi,oci->nop", sliding(x[:, i : i + 1], (2,)), weight[i : i + 1]) for i in (0, 1)], axis=1
    ),
    [anything] * 2,
    ((2, 2, 4), (2, 1, 2)),
    label="conv1d",
)
case(
    lambda x: pooling.max_pool2d(x, 2, stride=(1, 2), padding=(1, 0)),
    lambda x: sliding(padded(x, [(1, 1), (0, 0)], -np.inf), (2, 2))[:, :, :, ::2].max((-2, -1)),
    [distinct],
    ((2, 1, 3, 4),),
    ((1, 3, 2, 2),),
    label="max_pool2d",
)
case(
    lambda x: pooling.avg_pool2d(x, (2, 3), stride=1),
    lambda x: sliding(x, (2, 3)).mean((-2, -1)),
    [anything],
    ((2, 1, 3, 4),),
    ((1, 3, 2, 3),),
    label="avg_pool2d",
)
case(
    lambda x: pooling.adaptive_avg_pool2d(x, (2, 1)),
    lambda x: np.stack([x[:, :, part].mean((2, 3))[..., None] for part in (slice(0, 2), slice(1, 3))], axis=2),
    [anything],
    ((2, 2, 3, 4),),
    ((1, 1, 3, 2),),
    label="adaptive_avg_pool2d",
)

CASES += OF_NETWORKS
"""All rows."""
