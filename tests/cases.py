"""The table of op cases, with the rows of `nn.functional`: the checker, which ships the others, does not know nn."""

import numpy as np

from tinygrad_sm.check.cases import CASES as OF_OPERATIONS
from tinygrad_sm.check.cases.case import OneOf, OpCase, anything, between, distinct, op_case, positive, probabilities
from tinygrad_sm.nn import attention, conv, elementwise_losses, embedding, normalization, pooling

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


def normalized(x, axis):
    return (x - x.mean(axis, keepdims=True)) / np.sqrt(x.var(axis, keepdims=True) + 0.125)


def attend(query, key, value, attn_mask, scale):
    exponentials = np.exp(query @ key.swapaxes(-1, -2) * query.dtype.type(scale)) * attn_mask
    sums = exponentials.sum(-1, keepdims=True)
    return exponentials @ value / np.where(sums == 0, 1, sums)


case(
    lambda x, weight, bias: normalization.layer_norm(x, (2, 3), weight, bias, eps=0.125),
    lambda x, weight, bias: normalized(x, (-2, -1)) * weight + bias,
    [anything] * 3,
    ((2, 2, 3), (2, 3), (2, 3)),
    ((0, 2, 3), (2, 3), (2, 3)),
    label="layer_norm",
)
case(
    lambda x, weight: normalization.rms_norm(x, 3, weight, eps=0.125),
    lambda x, weight: x / np.sqrt((x * x).mean(-1, keepdims=True) + 0.125) * weight,
    [anything] * 2,
    ((2, 3), (3,)),
    label="rms_norm",
)
case(
    lambda x, weight, bias: normalization.batch_norm(x, None, None, weight, bias, training=True, eps=0.125),
    lambda x, weight, bias: normalized(x, (0, 2)) * weight[:, None] + bias[:, None],
    [anything] * 3,
    ((2, 3, 2), (3,), (3,)),
    label="batch_norm",
)
case(
    lambda weight, indices: embedding.embedding(indices, weight),
    lambda weight, indices: weight[indices],
    [anything],
    ((3, 2),),
    label="embedding",
    indices=np.array([[2, 0], [2, 1]]),
)
case(
    attention.scaled_dot_product_attention,
    attend,
    [anything] * 3,
    ((2, 3, 2), (2, 3, 2), (3, 4)),
    attn_mask=np.array([[True, True, False]] * 2 + [[False] * 3]),
    scale=0.5,
)
case(
    attention.scaled_dot_product_attention,
    lambda query, key, value, mask: attend(query, key, value, np.exp(mask), query.dtype.type(1 / np.sqrt(2))),
    [anything] * 4,
    ((2, 2), (1, 3, 2), (3, 1), (2, 3)),
    label="scaled_dot_product_attention of a mask to add",
)
for loss, oracle, domains in (
    (elementwise_losses.l1_loss, lambda x, y: abs(x - y).mean(), [distinct, between]),
    (
        elementwise_losses.huber_loss,
        lambda x, y: np.where(abs(x - y) < 1, (x - y) ** 2 / 2, abs(x - y) - 0.5).mean(),
        [distinct, between],
    ),
    (elementwise_losses.kl_div, lambda x, y: (y * (np.log(y) - x)).mean(), [anything, positive]),
    (
        elementwise_losses.binary_cross_entropy,
        lambda p, y: -(y * np.log(p) + (1 - y) * np.log(1 - p)).mean(),
        [probabilities] * 2,
    ),
):
    case(loss, lambda x, y, oracle=oracle: np.asarray(oracle(x, y)), domains, ((2, 3), (2, 3)))

CASES += OF_NETWORKS
"""All rows."""
