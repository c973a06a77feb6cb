"""The gradient of one element as the lecture writes it: a sum over paths, each a product of factors.

    z = W @ x + b
    a = softmax(z)
    loss = -(y * log(a)).sum()

W₁,₂ changes z₁, which changes a₁ and a₂, and each of these the loss. So two paths lead from the loss to W₁,₂:

    ∂L/∂W₁,₂ = ∂L/∂a₁ · ∂a₁/∂z₁ · ∂z₁/∂W₁,₂ + ∂L/∂a₂ · ∂a₂/∂z₁ · ∂z₁/∂W₁,₂

The walk never sees a path: it adds up at a₁ and a₂ what has arrived, and goes on with the sums. Here each path is
followed by itself, element by element, over the answers that the recorded walk had. A factor ∂out/∂operand is what the
operation's own rule answers for g = 1 at that element of the output and 0 elsewhere, at the recorded values. The sum
must be what the walk gave, or ArithmeticError is raised.

A factor may be 0, as that of relu for a negative number; then so is the path. No path at all leads from z₂ to W₁,₂:
that derivative is 0 whatever the values. To tell one from the other, rules are asked again at other values.
"""

import math
import operator
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from tinygrad_sm.arrays import described
from tinygrad_sm.look.entries import Answer, Arrival, Backward, Entry, Forward, Operation
from tinygrad_sm.look.labels import labels_of
from tinygrad_sm.look.path_text import text_of_paths
from tinygrad_sm.look.replay import Replay, operand_values, position, whole
from tinygrad_sm.look.values import Value

Index = tuple[int, ...]
Factors = dict["Element", list["Factor"]]
"""Of each element that the loss depends on, the factors to the elements below it; from the loss down."""

MOST_FACTORS = 50_000
"""The most factors that are computed, those of no path to the element included: a few seconds."""

ROUNDINGS = 8
"""How many roundings, of the largest number of each operation, autodiff's answer may be off by."""


@dataclass(frozen=True, slots=True)
class Element:
    """An element of a value of the recording; indices count from 0."""

    value: Entry
    index: Index


class Factor(NamedTuple):
    """The derivative ∂out/∂operand between elements, by the rule of one operation."""

    value: float
    out: Element
    operand: Element
    operation: Operation


@dataclass(frozen=True, eq=False)
class Path:
    """A path from the loss to an element: its factors, beginning with that of the loss, and their product."""

    factors: tuple[Factor, ...]
    product: float


@dataclass(frozen=True, eq=False)
class Paths:
    """∂L/∂w of one element w as a sum over paths; it prints as the lecture writes it.

    loss : the element L.  element : w.  paths : each with its factors and its product.  sum : of the products.
    autodiff : what the recorded walk gave.
    dropped : how many paths are left out because a factor is 0.
    labels : the names of values, by their keys.
    """

    loss: Element
    element: Element
    paths: tuple[Path, ...]
    sum: float
    autodiff: float
    dropped: int
    labels: dict[int, str]

    def text(self, fold: bool = True, width: int = 120) -> str:
        """Return the sum as text.

        fold : show only values that have a name in the program, with the product of the factors between them; if there
            is none on the way, leave out factors of 1, as of an addition or a reshape. False shows every factor.
        """
        return text_of_paths(self, fold, width)

    def __str__(self) -> str:
        return self.text()

    __repr__ = __str__


def paths_to(recording: Any, name: str, index: Any = (), zeros: bool = False, most: int = 1000) -> Paths:
    """Return what `Recording.paths` promises."""
    return _Search(recording, name, index).result(zeros, most)


class _Search:
    """The search for paths: first the factors from the loss down, then how many paths begin with each of them.

    walk : the steps that lead to the element, in the last walk that reached it; the last one completes its gradient.
    """

    def __init__(self, recording: Any, name: str, index: Any):
        if not isinstance(name, str):
            raise TypeError(f"paths: expected the name of a value, such as 'W', got {described(name)}")
        entry = recording[name]
        self.labels = labels_of(recording)
        self.given = operand_values(recording)
        self.element = Element(entry, _checked_index(entry, index))
        self.name = f"{self.labels[entry.key]}{list(self.element.index) or ''}"
        self.walk = _walk_to(recording, entry)
        if not self.walk:
            if entry.kind in ("input", "constant"):
                raise ValueError(
                    f"paths: {self.labels[entry.key]} has no gradient in the recording, as it requires none: "
                    "tg.Tensor(…, requires_grad=True)"
                )
            raise ValueError(
                f"paths: the recording has no backward walk that reached {self.labels[entry.key]}: call backward(), of "
                "a loss that depends on it, inside of the block"
            )
        self.loss = self._find_loss()

    def result(self, zeros: bool, most: int) -> Paths:
        """Enumerate the paths and check their sum."""
        every = kept = self._computed_factors()
        if not zeros:
            kept = {out: [factor for factor in below if factor.value != 0] for out, below in every.items()}
        total, count = (self._sums(factors, lambda factor: 1)[self.loss] for factors in (every, kept))
        if count > most:
            raise ValueError(
                f"paths: {count:,} paths lead to {self.name}, more than {most:,}, and they are for small networks: "
                "take fewer examples or units, or give most=..."
            )
        paths = tuple(Path(path, math.prod(factor.value for factor in path)) for path in self._enumerated(kept))
        autodiff = float(whole(self.walk[-1].g, f"the gradient of {self.name}")[self.element.index])
        found = Paths(
            self.loss, self.element, paths, _sum(path.product for path in paths), autodiff, total - count, self.labels
        )
        self._check(found, every)
        return found

    def _find_loss(self) -> Element:
        """Drop the steps that do not lead to the element, and return the element with which the walk began."""
        leading, kept = {self.element.value.key}, [self.walk[-1]]
        for step in reversed(self.walk[:-1]):
            if any(answer.operand.source.key in leading for answer in step.answers):
                leading.add(step.entry.key)
                kept.append(step)
        self.walk = kept[::-1]
        answered = {answer.operand.source.key for step in self.walk[:-1] for answer in step.answers}
        roots = [step for step in self.walk if step.entry.key not in answered]
        loss, g = roots[0].entry, roots[0].g
        if len(roots) > 1 or g.size != 1 or g.sample.item() != 1:
            began = " and ".join(f"{self.labels[step.entry.key]}, of shape {step.g.shape}" for step in roots)
            began += f", with g = {g.sample.item()}" if len(roots) == g.size == 1 else ""
            raise ValueError(f"paths: expected a walk from one scalar, the loss, with g = 1; it began at {began}")
        return Element(loss, (0,) * len(g.shape))

    def _computed_factors(self) -> Factors:
        """Compute the factors between all elements that the loss depends on, zeros included, from the loss down."""
        leading = {step.entry.key for step in self.walk}
        reached: dict[int, dict[Element, None]] = {self.loss.value.key: {self.loss: None}}  # by key, in order
        factors: Factors = {}
        work = 0
        for step in self.walk[:-1]:
            operation = step.entry
            local = _Derivatives(operation, self.given[operation.key], self.labels)
            answers = [answer for answer in step.answers if answer.operand.source.key in leading]
            for out in reached.get(operation.key, ()):
                factors[out] = []
                for answer in answers:
                    source = answer.operand.source
                    row = local.row(answer, out.index, self.element.index if source is self.element.value else None)
                    work += 1 + len(row)
                    for index, value in row:
                        operand = Element(source, index)
                        factors[out].append(Factor(value, out, operand, operation))
                        reached.setdefault(source.key, {})[operand] = None
                if work > MOST_FACTORS:
                    raise ValueError(
                        f"paths: more than {MOST_FACTORS:,} factors lie between the loss and {self.name}, and paths "
                        "are for small networks: take fewer examples or units"
                    )
        return factors

    def _sums(self, factors: Factors, weight: Callable[[Factor], Any]) -> dict[Element, Any]:
        """Return for each element the sum, over the paths that begin at it, of the products of the weights."""
        sums: dict[Element, Any] = {self.loss: 0, self.element: 1}
        for out in reversed(factors):
            sums[out] = sum(weight(factor) * sums.get(factor.operand, 0) for factor in factors[out])
        return sums

    def _enumerated(self, factors: Factors) -> Iterator[tuple[Factor, ...]]:
        """Yield the factors of each path, depth first; without recursion, because a chain may be long."""
        leads = self._sums(factors, lambda factor: 1)
        if self.loss == self.element:
            yield ()
            return
        path, to_try = list[Factor](), [iter(factors[self.loss])]
        while to_try:
            factor = next(to_try[-1], None)
            if factor is None:
                to_try.pop()
                del path[-1:]
            elif factor.operand == self.element:
                yield (*path, factor)
            elif leads.get(factor.operand):
                path.append(factor)
                to_try.append(iter(factors[factor.operand]))

    def _check(self, found: Paths, factors: Factors) -> None:
        """Raise ArithmeticError if the sum is farther from autodiff's than roundings explain; NaN and ∞ pass.

        A rule rounds numbers as large as its g, times its factors or 1, as in g − Σ p g. What it rounds at an operand
        reaches the element multiplied by the factors from there on. And each step rounds sums of what the paths bring.
        """
        if not math.isfinite(found.autodiff):
            return
        largest = dict[int, float]()  # factor of each operation, by key
        operands = set[tuple[int, Element]]()
        for factor in (factor for below in factors.values() for factor in below):
            key = factor.operation.key
            largest[key] = max(largest.get(key, 1.0), abs(factor.value))
            operands.add((key, factor.operand))
        g, worst = {step.entry.key: step.g for step in self.walk}, 0.0
        for key, bound in largest.items():
            eps = _eps(g[key], *self.given[key])
            largest[key] = eps * _size(g[key]) * bound
            worst = max(worst, eps)
        reach = self._sums(factors, lambda factor: abs(factor.value))
        rounded = sum(largest[key] * reach.get(operand, 0.0) for key, operand in operands)
        allowed = ROUNDINGS * (rounded + worst * len(self.walk) * reach[self.loss])
        tiny = float(np.finfo(self.walk[-1].g.dtype).tiny)
        if not abs(found.sum - found.autodiff) <= allowed + tiny:
            operations = ", ".join(dict.fromkeys(step.entry.label for step in self.walk[:-1]))
            raise ArithmeticError(
                f"paths: the paths to {self.name} add up to {found.sum}, and autodiff gave {found.autodiff}: a hook "
                f"has replaced a gradient, data were written to in place, or a rule is wrong, of {operations}"
            )


class _Derivatives:
    """The derivatives of the elements of an operation's output by those of its operands.

    The rules answer at the recorded values. They answer at others too, to see which derivatives are not always 0: at 1,
    where ties let each of them pass through max, and at two draws of positive numbers. Labels and masks stay.
    """

    def __init__(self, operation: Operation, given: list[Value], labels: dict[int, str]):
        self.operation = operation
        arrays = [
            whole(value, f"paths: {labels[operand.source.key]}")
            for value, operand in zip(given, operation.operands, strict=True)
        ]
        self.recorded = Replay(operation, arrays, whole(operation.value, f"paths: {labels[operation.key]}"))
        self.others = []
        random = np.random.default_rng(0)
        for spread in (0, 0.5, 0.5):
            drawn = [1 + spread * random.uniform(-1, 1, x.shape) if x.dtype.kind == "f" else x for x in arrays]
            with np.errstate(all="ignore"), suppress(ArithmeticError, ValueError, RuntimeError):  # singular, no device
                self.others.append(Replay(operation, drawn))

    def row(self, answer: Answer, out: Index, only: Index | None) -> list[tuple[Index, float]]:
        """Return the places in the operand, or that one, on which this output depends, and the derivatives."""
        i = position(self.operation, answer.operand)
        with np.errstate(all="ignore"):
            derivatives = self.recorded.row(i, out)
            rows = [derivatives, *(other.row(i, out) for other in self.others)]
        depends = np.any([(row != 0) & (row == row) for row in rows], axis=0)  # NaN may be 0·∞, at any element
        if only is not None:
            return [(only, float(derivatives[only]))] if depends[only] else []
        return [(tuple(map(int, place)), float(derivatives[tuple(place)])) for place in np.argwhere(depends)]


def _walk_to(recording: Any, entry: Entry) -> list[Any]:
    """Return the steps of the last walk that reached the entry, until its gradient was complete; [] if none did.

    A walk has ended when each operand that was answered for is complete. An error may have broken it off before: then
    the next step is that of a value which was complete already, or which was computed since.
    """
    found, walk, began, complete, expected = list[Any](), list[Any](), 0, set[int](), set[int]()
    ran = dict[int, int]()  # by key, the place of the step in which the operation ran
    for i, step in enumerate(recording.steps):
        if isinstance(step, Forward):
            ran[step.operation.key] = i
        elif isinstance(step, Backward | Arrival):
            key = step.entry.key
            if not expected or key in complete or ran.get(key, 0) > began:
                walk, began, complete, expected = [], i, set(), set()
            walk.append(step)
            complete.add(key)
            expected.discard(key)
            expected.update(answer.operand.source.key for answer in step.answers)
            if step.entry is entry:
                found = walk.copy()
    return found


def _checked_index(entry: Entry, index: Any) -> Index:
    """Return the index of one element, counted from 0 on."""
    shape, given = entry.value.shape, index if isinstance(index, tuple | list) else (index,)
    expected = f"paths: expected the index of one element of shape {shape}, such as {(0,) * len(shape)}, got {index}"
    try:
        places = [operator.index(i) for i in given]
    except TypeError as error:
        raise TypeError(f"{expected}, which is no integer or tuple of integers") from error
    if len(places) != len(shape) or not all(-n <= i < n for i, n in zip(places, shape, strict=True)):
        raise IndexError(expected)
    return tuple(i % n for i, n in zip(places, shape, strict=True))


def _sum(products: Iterable[float]) -> float:
    """Return the sum, rounded once; NaN or ∞ if there are such products."""
    products = list(products)
    return math.fsum(products) if all(map(math.isfinite, products)) else sum(products)


def _size(value: Value) -> float:
    """Return the largest absolute value of the finite elements."""
    return max(abs(value.low), abs(value.high)) if value.low == value.low else 0.0


def _eps(*values: Value) -> float:
    """Return the distance of 1 from the next number, in the coarsest of the floating dtypes."""
    return max(float(np.finfo(value.dtype).eps) for value in values if value.dtype.kind == "f")
