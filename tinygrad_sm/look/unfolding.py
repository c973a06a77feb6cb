"""A recording in which a fused loss stands as its parts: softmax, logarithm, the label's, the mean.

    loss = cross_entropy(logits, labels)

is one operation, because exponentials of logits overflow and logarithms of small numbers are −∞; fused, they meet no
such number. To see how p − y comes about, the parts are computed in its place, at the recorded logits, and walked back
from the recorded gradients: values and gradients are the framework's own. They must equal the fused ones to rounding.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from tinygrad_sm.engine.mode import Mode, ModeScope
from tinygrad_sm.engine.tape import sequence_number
from tinygrad_sm.errors import user_frames
from tinygrad_sm.look.entries import Arrival, Backward, Entry, Forward, Leaf, Operation, Step
from tinygrad_sm.look.labels import labels_of
from tinygrad_sm.look.recorder import Recorder
from tinygrad_sm.look.replay import operand_values, whole
from tinygrad_sm.look.values import Value, copied
from tinygrad_sm.ops import softmax as softmax_ops
from tinygrad_sm.ops.elementwise import log
from tinygrad_sm.ops.reductions import mean, sum
from tinygrad_sm.tensors import Tensor

ROUNDINGS = 64
"""How many roundings of the largest number the parts may be off from the fused operation."""


def cross_entropy_in_parts(logits: Any, target: Any, ignored: int) -> Any:
    """Return −1/N Σ_i Σ_j y_ij ln p_ij, one operation at a time: with labels, ln p of the label is picked."""
    log_p = log(softmax_ops.softmax(logits, axis=1))
    if target.ndim == 2:
        return -mean(sum(target * log_p, axis=1))
    kept = np.flatnonzero(target != ignored)
    picked = log_p[kept, target[kept]]
    return -mean(picked) if kept.size else -sum(picked)


def log_softmax_in_parts(x: Any, axis: int) -> Any:
    """Return ln softmax(x)."""
    return log(softmax_ops.softmax(x, axis=axis))


PARTS: dict[Any, Callable[..., Any]] = {
    softmax_ops.cross_entropy: cross_entropy_in_parts,
    softmax_ops.log_softmax: log_softmax_in_parts,
}
"""The fused operations, with their formulas. All other losses are recorded in parts already."""


def unfolded_entries(recording: Any) -> tuple[dict[int, Entry], list[Step]]:
    """Return the entries and the steps of `Recording.unfolded`."""
    unfolding = _Unfolding(recording)
    for entry in recording.entries:
        unfolding.add(entry)
    unfolding.drop_unused_leaves()
    return unfolding.entries, [new for step in recording.steps for new in unfolding.in_place.get(step, [step])]


class _Unfolding:
    """Builds the entries of the new recording; those that change nothing are shared with the old one.

    stands_for : by the key of an operation, what the later ones have as their operand in its place: the last part of
        an unfolded one, and a copy of one that uses such.
    in_place : the steps that stand for a step.
    """

    def __init__(self, recording: Any):
        self.largest = recording.largest
        self.labels = labels_of(recording)
        self.given = operand_values(recording)
        self.steps: dict[int, list[Any]] = {}  # forward, then backward, of each operation, by its key
        for step in recording.steps:
            if isinstance(step, Forward | Backward):
                self.steps.setdefault(step.operation.key, []).append(step)
        self.entries: dict[int, Entry] = {}
        self.stands_for: dict[int, Operation] = {}
        self.in_place: dict[Step, list[Step]] = {}
        self.given_to_folded: list[Entry] = []

    def add(self, entry: Entry) -> None:
        """Add an entry, or what stands for it."""
        if isinstance(entry, Leaf):
            self.entries[entry.key] = entry
            return
        sources = [self.stands_for.get(operand.source.key, operand.source) for operand in entry.operands]
        if entry.op in PARTS:
            self._unfold(entry, sources)
        elif any(source is not operand.source for source, operand in zip(sources, entry.operands, strict=True)):
            self._copy(entry, sources)
        else:
            self.entries[entry.key] = entry

    def drop_unused_leaves(self) -> None:
        """Drop the leaves that only an unfolded operation used, such as labels, which are an index now."""
        used = {x.source.key for entry in self.entries.values() if isinstance(entry, Operation) for x in entry.operands}
        for leaf in self.given_to_folded:
            if isinstance(leaf, Leaf) and leaf.key not in used:
                self.entries.pop(leaf.key, None)

    def _copy(self, entry: Operation, sources: list[Entry]) -> None:
        fitted = [replace(operand, source=source) for operand, source in zip(entry.operands, sources, strict=True)]
        by_old = dict(zip(entry.operands, fitted, strict=True))
        copy = replace(entry, operands=fitted)
        self.entries[entry.key] = self.stands_for[entry.key] = copy
        forward, *backward = self.steps[entry.key]
        self.in_place[forward] = [Forward(copy)]
        for step in backward:
            answers = [answer._replace(operand=by_old[answer.operand]) for answer in step.answers]
            self.in_place[step] = [Backward(copy, step.g, answers)]

    def _unfold(self, fused: Operation, sources: list[Entry]) -> None:
        """Add the parts, recorded at the operands of the fused operation; the last has its key and names."""
        label, (forward, *backward) = self.labels[fused.key], self.steps[fused.key]
        given = zip(self.given[fused.key], fused.operands, strict=True)
        arrays = [whole(value, f"unfolded: {self.labels[x.source.key]}") for value, x in given]
        gradients = [whole(step.g, f"unfolded: the gradient of {label}") for step in backward]
        recorder = Recorder(None, self.largest, user_frames()[0])
        with ModeScope(lambda mode: Mode(observers=(recorder,))), np.errstate(all="ignore"):
            xs: list[Any] = [
                Tensor(array, operand.needs_gradient, device="cpu") if array.dtype.kind == "f" else array
                for array, operand in zip(arrays, fused.operands, strict=True)
            ]
            out = PARTS[fused.op](*xs, **fused.static)
            eps = float(max(np.finfo(array.dtype).eps for array in arrays if array.dtype.kind == "f"))  # the coarsest
            _check_equal(fused, fused.value, copied(out), 1.0, eps)
            for step, g in zip(backward, gradients, strict=True):
                first = len(recorder.steps)
                answered = {answer.operand: answer.part for answer in step.answers}
                inputs = {operand: x for x, operand in zip(xs, fused.operands, strict=True) if operand in answered}
                out.backward(g, retain_graph=True, inputs=list(inputs.values()))
                walked = recorder.steps[first:]
                self.in_place[step] = [new for new in walked if isinstance(new, Backward)]
                arrived = {new.leaf.key: new.g for new in walked if isinstance(new, Arrival)}
                for operand, x in inputs.items():
                    scale = float(abs(g).sum())
                    _check_equal(fused, answered[operand], arrived[sequence_number(x)], scale, eps)
        recorder.finish()
        parts = [entry for entry in recorder.entries.values() if isinstance(entry, Operation)]
        outer = {sequence_number(x): source for x, source in zip(xs, sources, strict=True) if isinstance(x, Tensor)}
        for part in parts:
            part.line = fused.line
            for operand in part.operands:
                operand.source = outer.get(operand.source.key, operand.source)
        parts[-1].key, parts[-1].names = fused.key, fused.names
        self.entries |= {part.key: part for part in parts}
        self.stands_for[fused.key] = parts[-1]
        self.in_place[forward] = [Forward(part) for part in parts]
        self.given_to_folded += sources


def _check_equal(fused: Operation, expected: Value, came: Value, scale: float, eps: float) -> None:
    """Raise ValueError unless the parts give what the fused operation gave, to rounding."""
    a, b = expected.sample, came.sample
    largest = max(scale, float(abs(a[np.isfinite(a)]).max(initial=0)))
    is_equal = np.isclose(a, b, rtol=0, atol=ROUNDINGS * eps * largest, equal_nan=True)
    if not is_equal.all():
        place = tuple(map(int, np.argwhere(~is_equal)[0]))
        raise ValueError(
            f"unfolded: {fused.label} at {fused.line} gave {a[place]}, and its parts give {b[place]}: where a softmax "
            "rounds to 0, or nearly so, its logarithm is lost, which is why they are one operation"
        )
