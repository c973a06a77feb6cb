"""What a row of the table of op cases is: an operation, its domains, shapes, static arguments and an oracle in NumPy.

A case draws its operands from domains that keep away from kinks and poles, by more than the steps that numerical
differentiation takes. What happens at kinks is tested on its own.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np

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

COSTLY: dict[str, tuple[float, str]] = {}
"""Operations whose forward and backward take more than 5 times the element operations of the forward: see test_cost.py.

By name the largest ratio among their rows, rounded up to a tenth, and the reason."""


def case(op, oracle, domains, fixed, shapes, label="", **static):
    name = op.__name__ if callable(op) and hasattr(op, "__name__") else ""
    given = ",".join(f"{k}={v}" for k, v in static.items() if not isinstance(v, np.ndarray))
    CASES.append(OpCase(f"{label or name}({given})", op, oracle, tuple(domains), fixed, shapes, static))


def unary(op, oracle, domain, **static):
    case(op, oracle, [domain], ((2, 3),), any_shape.map(lambda shape: (shape,)), **static)


def binary(op, oracle, domain_a, domain_b, label=""):
    case(op, oracle, [domain_a, domain_b], ((2, 3), (3,)), broadcastable(2), label)
