"""The walk of a recording once more, with other gradients: what would have come if one of them had been another.

    tape = Tape(recording)
    walk = Walk(tape, {dlogits.key: what_a_student_computed})
    walk.expected(W)        # the gradient of W that follows from it

The rules run on the copies that the recording has, in float64, so that only the recording's own rounding differs.
"""

from collections.abc import Collection, Iterable
from typing import Any, NamedTuple

import numpy as np

from tinygrad_sm.backend import HostArray
from tinygrad_sm.look.entries import Arrival, Backward, Entry, Operation, summed_axes
from tinygrad_sm.look.replay import Replay, in_float64, operand_values, position
from tinygrad_sm.look.values import Value
from tinygrad_sm.precision import broadcasts_to, sum_to_shape

ROUNDING = {2: 1e-2, 4: 1e-5, 8: 1e-9}
"""By the bytes of a float: the share of its largest element by which a gradient may differ and be right."""

PERTURBATION = 2.0**-20
"""The relative change of elements that shows how large rounding errors can become."""


class Use(NamedTuple):
    """A use of a value: by this operation, as its i-th operand."""

    operation: Operation
    i: int


class Tape:
    """What the last walk of a recording did: the order of its gradients, and from which uses each was summed.

    order : the entries whose gradient was complete, by key, in the order of the walk.
    uses : by key, the uses whose rules answered.
    """

    def __init__(self, recording: Any):
        self.order: dict[int, Entry] = {}
        self.uses: dict[int, list[Use]] = {}
        self._given = operand_values(recording)
        self._replays: dict[int, Replay | None] = {}
        arrived: dict[int, list[Use]] = {}
        for step in recording.steps:
            if isinstance(step, Backward | Arrival):
                entry = step.entry
                self.order.pop(entry.key, None)  # a later walk counts, not an earlier one
                self.order[entry.key] = entry
                self.uses[entry.key] = arrived.pop(entry.key, [])
            if isinstance(step, Backward):
                for answer in step.answers:
                    use = Use(step.operation, position(step.operation, answer.operand))
                    arrived.setdefault(answer.operand.source.key, []).append(use)
        self.place = {key: i for i, key in enumerate(self.order)}

    def replay(self, operation: Operation) -> Replay | None:
        """Return the operation on what it was given; None if an operand or the output was not kept whole."""
        if operation.key not in self._replays:
            given = self._given.get(operation.key, [])
            is_whole = bool(given) and all(value.is_whole for value in (*given, operation.value))
            arrays = map(_argument, (operand.source for operand in operation.operands), given)
            self._replays[operation.key] = Replay(operation, arrays, operation.value.array) if is_whole else None
        return self._replays[operation.key]

    def answer(self, use: Use, g: HostArray, replay: Replay | None = None) -> HostArray | None:
        """Return what the rule answers to g; None if it cannot, as to a g of another shape than it is made for.

        replay : the operation on other operands than those of the recording.
        """
        replay = replay or self.replay(use.operation)
        try:
            return None if replay is None else replay.answer(use.i, g)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            return None

    def part(self, use: Use, g: HostArray, replay: Replay | None = None) -> HostArray | None:
        """Return the answer as the walk adds it to the gradient of the operand: summed where that was broadcast."""
        replay = replay or self.replay(use.operation)
        answer = self.answer(use, g, replay)
        if answer is None or replay is None:
            return None
        return _fitted(answer, np.shape(replay.operands[use.i]), use.operation.value.shape)

    def summed(self, key: int, gradients: dict[int, HostArray | None], in_part: bool = False) -> HostArray | None:
        """Return the gradient of a value as the sum over its uses, None if one is unknown.

        in_part : whether only the uses are summed whose operation has a gradient.
        """
        total = None
        for use in self.uses[key]:
            if in_part and use.operation.key not in gradients:
                continue
            g = gradients.get(use.operation.key)
            part = None if g is None else self.part(use, g)
            try:
                total = part if total is None else total + part
            except (TypeError, ValueError):  # unknown, or of shapes that do not go together
                return None
            if total is None:
                return None
        return None if total is None else np.asarray(total)

    def users(self, key: int) -> list[Operation]:
        """Return the operations that used a value, each once: x·x uses x once."""
        return list({use.operation.key: use.operation for use in self.uses[key]}.values())

    def between(self, key: int, stops: Collection[int] = (), most: int = 10**9) -> list[int]:
        """Return the keys of the values between this one and the `stops`, in the order of the walk.

        most : how many; the nearest are kept.
        """
        found, to_visit = set[int](), [key]
        while to_visit:
            for use in self.uses[to_visit.pop()]:
                user = use.operation.key
                if user not in found and user not in stops and user in self.order:
                    found.add(user)
                    to_visit.append(user)
        return sorted(found, key=self.place.__getitem__)[-most:]

    def pull(self, start: dict[int, HostArray], key: int, between: Iterable[int]) -> HostArray | None:
        """Return what gradients of values add to that of this one, on the way over those `between` alone."""
        gradients: dict[int, HostArray | None] = dict(start)
        for one in (*between, key):
            if any(use.operation.key in gradients for use in self.uses[one]):
                gradients[one] = self.summed(one, gradients, in_part=True)
        return gradients.get(key)

    def dominators(self, key: int) -> list[int]:
        """Return the keys of the values through which all paths from this one to the loss go, the nearest first."""
        found, open_ = [], {use.operation.key for use in self.uses[key]}
        for one in reversed(self.between(key)):
            if open_ == {one}:
                found.append(one)
            open_ = open_ - {one} | {use.operation.key for use in self.uses[one]}
        return found


class Walk:
    """The gradients that follow from those that are given, each with the scale of its rounding errors.

    A sum of numbers that cancel, as in the gradient of a bias before a batch norm, is rounding alone. So the walk is
    done twice, the second time with each number perturbed by about one part in a million. The errors of rounding are in
    proportion to what that changes.
    """

    def __init__(self, tape: Tape):
        self.tape = tape
        self.g: dict[int, HostArray | None] = {}
        self._perturbed: dict[int, HostArray | None] = {}
        self._changes: dict[int, HostArray] = {}
        self._random = np.random.default_rng(0)

    def expected(self, entry: Entry) -> tuple[HostArray | None, float]:
        """Return the gradient that follows from those that are set, and the scale of its rounding errors."""
        if not self.tape.uses[entry.key]:  # where the walk began
            return (None if entry.g is None or entry.g.array is None else in_float64(entry.g.array)), 0.0
        g, perturbed = self.tape.summed(entry.key, self.g), self.tape.summed(entry.key, self._perturbed)
        if g is None or perturbed is None or g.shape != perturbed.shape:
            return g, 0.0
        self._changes[entry.key] = perturbed - g
        return g, largest(perturbed - g) / PERTURBATION

    def set(self, entry: Entry, g: HostArray | None) -> None:
        """Let what comes later follow from this gradient."""
        self.g[entry.key] = self._perturbed[entry.key] = g
        if g is not None:
            change = self._changes.get(entry.key, np.zeros(()))
            perturbed = g * (1 + PERTURBATION * self._random.standard_normal(g.shape))
            self._perturbed[entry.key] = perturbed + change if change.shape == g.shape else perturbed


def largest(x: HostArray) -> float:
    """Return the largest absolute value of the finite elements, 0 if there are none."""
    magnitudes = np.abs(x[np.isfinite(x)])
    return float(magnitudes.max(initial=0))


def is_close(a: HostArray, b: HostArray, rounding: float, scale: float = 0.0) -> bool:
    """Whether two arrays agree in shape, in where they are not finite, and in the rest to rounding.

    scale : of the terms of which b is the sum, if they are larger than b because they cancel.
    """
    if a.shape != b.shape:
        return False
    finite = np.isfinite(b)
    if not np.array_equal(finite, np.isfinite(a)) or not np.array_equal(a[~finite], b[~finite], equal_nan=True):
        return False
    return largest(a[finite] - b[finite]) <= rounding * max(largest(b), scale)


def _argument(source: Entry, value: Value) -> Any:
    """Return the array of an operand, all of which was kept; a number as the number that it was."""
    return value.sample.item() if source.kind == "constant" and value.shape == () else value.array


def _fitted(answer: HostArray, shape: tuple[int, ...], out_shape: tuple[int, ...]) -> HostArray:
    """Return an answer summed over the axes along which the operand was broadcast to the output.

    An answer to a gradient of a wrong shape may have more axes, or longer ones: they stay.
    """
    if answer.shape == shape:
        return answer
    if answer.shape == out_shape and broadcasts_to(shape, out_shape):
        return np.asarray(sum_to_shape(answer, shape))
    new = len(out_shape) - len(shape)
    if answer.ndim != len(out_shape) or new < 0:
        return answer
    kept = answer.sum(axis=summed_axes(out_shape, shape), keepdims=True)
    return np.asarray(kept.reshape(kept.shape[new:]))
