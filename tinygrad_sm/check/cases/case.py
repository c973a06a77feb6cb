"""What a row of the table of op cases is: an operation, its domains, shapes, static arguments and an oracle in NumPy.

A case draws its operands from domains that keep away from kinks and poles, by more than the steps that numerical
differentiation takes. What happens at kinks is another matter.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

Shapes = tuple[tuple[int, ...], ...]
"""The shapes of all operands."""

Domain = Callable[[np.random.Generator, tuple[int, ...]], Any]
"""What draws an operand of a shape."""


def anything(random: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """Draw from (−2, 2)."""
    return random.uniform(-2, 2, shape)


def positive(random: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """Draw positive numbers away from 0."""
    return random.uniform(0.3, 3, shape)


def whole_and_zero(random: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """Draw from −1, 0, 1 and 2."""
    return random.integers(-1, 3, shape).astype(float)


def nonzero(random: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """Draw numbers of both signs away from 0."""
    return random.uniform(0.3, 3, shape) * random.choice([-1.0, 1.0], shape)


def distinct(random: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """Draw multiples of 1/8 in random order, so that no two elements tie or nearly tie."""
    return random.permutation(np.arange(np.prod(shape, dtype=int))).reshape(shape) / 8 - 1


def between(random: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """Draw odd multiples of 1/16: never equal to, and never near, what `distinct` gives."""
    return random.integers(-16, 16, shape) / 8 + 1 / 16


def within_one(random: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """Draw from (−0.9, 0.9)."""
    return random.uniform(-0.9, 0.9, shape)


def divisors(random: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """Draw multiples of 1/8, not 0, which divide nothing that `between` gives, nor anything near it."""
    return random.choice([-1.5, -1.0, -0.5, 0.5, 0.75, 1.25], shape)


def probabilities(random: np.random.Generator, shape: tuple[int, ...]) -> Any:
    """Draw positive numbers whose sum along the last axis is 1."""
    y = random.uniform(0.1, 1, shape)
    return y / y.sum(axis=-1, keepdims=True)


class OneOf(NamedTuple):
    """The shapes of a case: one of these."""

    choices: Sequence[Shapes]

    def draw(self, random: np.random.Generator) -> Shapes:
        """Choose one of them."""
        return self.choices[int(random.integers(len(self.choices)))]


class AnyShape(NamedTuple):
    """The shape of the one operand of a case: so many axes, each of such a length."""

    axes: tuple[int, int] = (0, 3)
    lengths: tuple[int, int] = (0, 3)

    def draw(self, random: np.random.Generator) -> Shapes:
        """Draw the number of axes, and then their lengths."""
        ndim = random.integers(*self.axes, endpoint=True)
        return (tuple(random.integers(*self.lengths, size=ndim, endpoint=True).tolist()),)


class Broadcastable(NamedTuple):
    """The shapes of a case: those of so many operands that broadcast, of at most 3 axes of at most length 3."""

    operands: int

    def draw(self, random: np.random.Generator) -> Shapes:
        """Draw the shape of the result, and let each operand leave out axes, or have some of length 1."""
        (whole,) = AnyShape().draw(random)
        shapes = [tuple(n if random.integers(3) else 1 for n in whole) for _ in range(self.operands)]
        return tuple(shape[random.integers(len(shape) + 1) :] for shape in shapes)


class OpCase(NamedTuple):
    """An operation with static arguments, its oracle, and where its operands come from."""

    label: str
    op: Callable[..., Any]
    oracle: Callable[..., Any]
    domains: tuple[Domain, ...]
    fixed: Shapes  # shapes for tests that need one sample
    shapes: OneOf | AnyShape | Broadcastable
    static: dict[str, Any]

    def operands(self, shapes: Shapes, seed: int = 0, dtype: Any = np.float64) -> list[Any]:
        """Draw operands of these shapes."""
        random = np.random.default_rng(seed)
        return [domain(random, shape).astype(dtype) for domain, shape in zip(self.domains, shapes, strict=True)]

    def __call__(self, *operands: Any) -> Any:
        """Call the operation."""
        return self.op(*operands, **self.static)

    def expected(self, *arrays: Any) -> Any:
        """Return what the oracle says."""
        return self.oracle(*arrays, **self.static)


CASES: list[OpCase] = []

COSTLY: dict[str, tuple[float, str]] = {}
"""Operations whose forward and backward take more than 5 times the element operations of the forward; a test holds it.

By name the largest ratio among their rows, rounded up to a tenth, and the reason."""

UNPROVED: dict[str, str] = {}
"""Rows that `tg.prove` cannot prove, by label, each with the reason; a test proves all others."""


def op_case(
    op: Callable[..., Any],
    oracle: Callable[..., Any],
    domains: Sequence[Domain],
    fixed: Shapes,
    shapes: OneOf | AnyShape | Broadcastable,
    label: str = "",
    **static: Any,
) -> OpCase:
    """Return a row, with its label."""
    name = op.__name__ if callable(op) and hasattr(op, "__name__") else ""
    given = ",".join(f"{k}={v}" for k, v in static.items() if not isinstance(v, np.ndarray))
    return OpCase(f"{label or name}({given})", op, oracle, tuple(domains), fixed, shapes, static)


def case(*parts: Any, **options: Any) -> None:
    """Enter a row of the table; the arguments are those of `op_case`."""
    CASES.append(op_case(*parts, **options))


def unary(op: Callable[..., Any], oracle: Callable[..., Any], domain: Domain, **static: Any) -> None:
    """Enter a row for an operation of one operand of any shape."""
    case(op, oracle, [domain], ((2, 3),), AnyShape(), **static)


def binary(op: Callable[..., Any], oracle: Callable[..., Any], domain_a: Domain, domain_b: Domain) -> None:
    """Enter a row for an operation of two operands that broadcast."""
    case(op, oracle, [domain_a, domain_b], ((2, 3), (3,)), Broadcastable(2))
