"""The table of op cases: every operation with its domain, shapes, static arguments and an oracle in plain NumPy.

A case draws its operands from domains that keep away from kinks and poles, by more than the steps that numerical
differentiation takes. What happens at kinks is tested on its own.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np

from tinygrad_sm.ops import composed, elementwise, indexing, linalg, reductions, shaping, softmax

Shapes = tuple[tuple[int, ...], ...]


def anything(random, shape):
    return random.uniform(-2, 2, shape)


def positive(random, shape):
    return random.uniform(0.3, 3, shape)


def whole_and_zero(random, shape):
    return random.integers(-1, 3, shape).astype(float)


def nonzero(random, shape):
    return random.uniform(0.3, 3, shape) * random.choice([-1.0, 1.0], shape)


def distinct(random, shape):
    """Multiples of 1/8 in random order, so that no two elements tie or nearly tie."""
    return random.permutation(np.arange(np.prod(shape, dtype=int))).reshape(shape) / 8 - 1


def between(random, shape):
    """Odd multiples of 1/16: never equal to, and never near, what `distinct` gives."""
    return random.integers(-16, 16, shape) / 8 + 1 / 16


def probabilities(random, shape):
    y = random.uniform(0.1, 1, shape)
    return y / y.sum(axis=-1, keepdims=True)


class OpCase(NamedTuple):
    """An operation with static arguments, its oracle, and where its operands come from."""

    label: str
    op: Callable[..., Any]
    oracle: Callable[..., Any]
    domains: tuple[Callable[..., Any], ...]
    fixed: Shapes  # shapes for tests that need one sample
    shapes: st.SearchStrategy[Shapes]
    static: dict[str, Any]

    def operands(self, shapes: Shapes, seed: int = 0, dtype: Any = np.float64) -> list[Any]:
        random = np.random.default_rng(seed)
        return [domain(random, shape).astype(dtype) for domain, shape in zip(self.domains, shapes, strict=True)]

    def __call__(self, *operands: Any) -> Any:
        return self.op(*operands, **self.static)

    def expected(self, *arrays: Any) -> Any:
        return self.oracle(*arrays, **self.static)


any_shape = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)


def broadcastable(n: int) -> st.SearchStrategy[Shapes]:
    shapes = hnp.mutually_broadcastable_shapes(num_shapes=n, min_dims=0, max_dims=3, min_side=0, max_side=3)
    return shapes.map(lambda drawn: drawn.input_shapes)


def fixed_shapes(*choices: Shapes) -> st.SearchStrategy[Shapes]:
    return st.sampled_from(choices)


CASES: list[OpCase] = []


def case(op, oracle, domains, fixed, shapes, label="", **static):
    name = op.__name__ if callable(op) and hasattr(op, "__name__") else ""
    given = ",".join(f"{k}={v}" for k, v in static.items() if not isinstance(v, np.ndarray))
    CASES.append(OpCase(f"{label or name}({given})", op, oracle, tuple(domains), fixed, shapes, static))


def unary(op, oracle, domain, **static):
    case(op, oracle, [domain], ((2, 3),), any_shape.map(lambda shape: (shape,)), **static)


def binary(op, oracle, domain_a, domain_b, label=""):
    case(op, oracle, [domain_a, domain_b], ((2, 3), (3,)), broadcastable(2), label)


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
binary(elementwise.power, np.power, positive, anything)
case(
    elementwise.power,
    np.power,
    [positive, whole_and_zero],
    ((2, 3), (2, 3)),
    fixed_shapes(((2, 3), (2, 3)), ((), (4,))),
    label="power with zero and whole exponents",
)
binary(elementwise.maximum, np.maximum, distinct, between)
case(
    lambda a, b, condition: elementwise.where(condition, a, b),
    lambda a, b, condition: np.where(condition, a, b),
    [anything, anything],
    ((2, 3), (3,)),
    fixed_shapes(((2, 3), (3,)), ((), (2, 3)), ((2, 1), (1, 3))),
    label="where",
    condition=np.array([[True, False, True], [False, False, True]]),
)
for exponent in (2, 3.0, 1, 0, -1, 0.5):
    case(
        lambda x, b: x**b,
        lambda x, b: x**b,
        [positive],
        ((2, 3),),
        any_shape.map(lambda s: (s,)),
        label="power",
        b=exponent,
    )
for scalar in (2.5, -1):
    case(
        lambda x, c: c / x + (c - x) * c + x / c - c**x if c > 0 else c * x + c,
        lambda x, c: c / x + (c - x) * c + x / c - c**x if c > 0 else c * x + c,
        [positive],
        ((2, 3),),
        any_shape.map(lambda s: (s,)),
        label="scalars",
        c=scalar,
    )

for axis, keepdims in ((None, False), (0, False), (-1, True), ((0, 2), False), ((2, -2), True), ((), False)):
    shapes = hnp.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=3).map(lambda shape: (shape,))
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
            hnp.array_shapes(min_dims=2, max_dims=3, min_side=1, max_side=3).map(lambda shape: (shape,)),
            axis=axis,
        )

for shapes, shape in (
    ((((2, 6),), ((12,),), ((1, 3, 4),)), (4, 3)),
    ((((2, 6),), ((4, 0),), ((),)), (-1,)),
):
    case(
        shaping.reshape,
        lambda x, shape: x.reshape(shape),
        [anything],
        shapes[0],
        fixed_shapes(*shapes),
        shape=shape,
    )
unary(shaping.transpose, np.transpose, anything)
case(
    shaping.transpose,
    np.transpose,
    [anything],
    ((2, 3, 4),),
    hnp.array_shapes(min_dims=3, max_dims=3, min_side=0, max_side=3).map(lambda shape: (shape,)),
    axes=(-1, 0, 1),
)
case(
    composed.swapaxes,
    np.swapaxes,
    [anything],
    ((2, 3, 4),),
    hnp.array_shapes(min_dims=2, max_dims=3, min_side=0, max_side=3).map(lambda shape: (shape,)),
    axis1=0,
    axis2=-1,
)
case(
    shaping.broadcast_to,
    np.broadcast_to,
    [anything],
    ((3, 1),),
    fixed_shapes(((),), ((4,),), ((3, 1),), ((1, 1),)),
    shape=(2, 3, 4),
)

INDICES = (
    0,
    -1,
    slice(None, None, -2),
    (slice(1, None), 2),
    (..., 1),
    (None, 1, None, ..., slice(0, 2)),
    np.array([2, 0, 2, 2]),
    [0, 0],
    (np.array([0, 2, 0]), np.array([1, 1, 1])),
    (np.array([[0], [2]]), np.array([0, -1])),
    (slice(None), np.array([1, 1, 0])),
    np.array([], dtype=np.int64),
    np.array([True, False, True]),
    np.arange(12).reshape(3, 4) % 3 == 0,
    (np.array([True, False, True]), np.array([1, 1])),
    ((0, 0, 2), (1, 1, 3)),
    ((0, 0, 2),),
    np.ma.array([0, 0, 2]),
    (True, 1),
)
for number, index in enumerate(INDICES):
    case(
        indexing.getitem,
        lambda x, index: x[index],
        [anything],
        ((3, 4),),
        fixed_shapes(((3, 4),)),
        label=f"getitem#{number}",
        index=index,
    )
case(
    indexing.put,
    lambda values, shape, index: np.array([0.0, values[0] + values[2], 0.0, values[1]], values.dtype),
    [anything],
    ((3,),),
    fixed_shapes(((3,),)),
    shape=(4,),
    index=np.array([1, 3, 1]),
)

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
        fixed_shapes(matmul_shapes),
        label=f"matmul{matmul_shapes}".replace(" ", ""),
    )
LINEAR_SHAPES = (
    ((4, 3), (2, 3), (2,)),
    ((3,), (2, 3), (2,)),
    ((2, 4, 3), (2, 3), (2,)),
    ((0, 3), (2, 3), (2,)),
)
case(
    linalg.linear,
    lambda x, weight, bias: np.einsum("...d,hd->...h", x, weight) + bias,
    [anything, anything, anything],
    LINEAR_SHAPES[0],
    fixed_shapes(*LINEAR_SHAPES),
)
case(
    linalg.linear,
    lambda x, weight: np.einsum("...d,hd->...h", x, weight),
    [anything, anything],
    ((4, 3), (2, 3)),
    fixed_shapes(*(shapes[:2] for shapes in LINEAR_SHAPES)),
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
    fixed_shapes(((3, 3),), ((3, 5),)),
    label="cross_entropy of labels",
    labels=LABELS,
)
case(
    softmax.cross_entropy,
    cross_entropy_by_loops,
    [anything, probabilities],
    ((3, 4), (3, 4)),
    fixed_shapes(((3, 4), (3, 4)), ((1, 2), (1, 2)), ((2, 1), (2, 1))),
    label="cross_entropy of probabilities",
)
case(
    softmax.cross_entropy,
    cross_entropy_by_loops,
    [anything, positive],
    ((3, 4), (3, 4)),
    fixed_shapes(((3, 4), (3, 4))),
    label="cross_entropy of weights that do not sum to 1",
)
