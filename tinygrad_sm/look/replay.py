"""The operations of a recording once more, on the values that they were given.

A recording keeps the operation itself, its static arguments, and its operands; the operands of

    y = x * w

are those that x and w were then, though an optimizer has changed w since. So a forward and its rules can run again, for
what the walk did not ask of them: `paths` asks for the derivative of one element by another, and `retracing` for the
answer to another gradient.
"""

import copy
from collections.abc import Iterable
from functools import partial
from typing import Any

import numpy as np

from tinygrad_sm.backend import HostArray, is_array, to_numpy
from tinygrad_sm.engine.mode import Mode, ModeScope
from tinygrad_sm.engine.tape import data_of, unbroadcast
from tinygrad_sm.look.entries import Change, Forward, Operand, Operation
from tinygrad_sm.look.values import Value
from tinygrad_sm.structures import replaced


def operand_values(recording: Any) -> dict[int, list[Value]]:
    """Return what the operands of each operation were when it ran, by the operation's key."""
    changed: dict[int, Value] = {}  # of leaves, by key
    values = {}
    for step in recording.steps:
        if isinstance(step, Change):
            changed[step.leaf.key] = step.after
        elif isinstance(step, Forward):
            sources = [operand.source for operand in step.operation.operands]
            values[step.operation.key] = [changed.get(source.key, source.value) for source in sources]
    return values


def whole(value: Value, what: str) -> HostArray:
    """Return the array; raise ValueError if only statistics of it were kept."""
    if value.array is None:
        raise ValueError(
            f"{what} of shape {value.shape} was not kept whole, and this needs all its elements: "
            f"record(largest={value.size}) keeps them"
        )
    return value.array


class Replay:
    """An operation on given operands, in float64.

    given : the recorded operands, of which floats become float64.
    out : its output; None has the forward compute it.
    operands : what the forward and the rules take: None where an operand was left out.
    """

    def __init__(self, operation: Operation, given: Iterable[Any], out: HostArray | None = None):
        self.op = operation.op
        by_name = {operand.name: in_float64(x) for operand, x in zip(operation.operands, given, strict=True)}
        self.operands: list[Any] = [by_name.get(name) for name in self.op.operand_names or by_name]
        self.static = replaced(operation.static, _on_host)
        with ModeScope(lambda mode: Mode(record=False)):
            if out is None:
                out = self.op.plain(*self.operands, **self.static)
                out = out if self.op.saves is None else out[0]
            if self.op.saves is not None:
                self.static["saved"] = self.op.saves(*self.operands, **self.static)
        self.out = in_float64(np.asarray(out))

    def instead(self, i: int, x: Any) -> "Replay":
        """Return the same operation with another array in the place of its i-th operand."""
        other = copy.copy(self)
        other.operands = [*self.operands[:i], x, *self.operands[i + 1 :]]
        return other

    def answer(self, i: int, g: HostArray) -> HostArray:
        """Return what the plain rule for the i-th operand answers to g."""
        rule = self.op.plain_rules[i] if self.op.plain_rules else partial(self.op.rule_for_each, i)
        with ModeScope(lambda mode: Mode(record=False)):
            return np.asarray(rule(g, self.out, *self.operands, **self.static))

    def pulled(self, i: int, g: HostArray) -> HostArray:
        """Return the gradient of the i-th operand for g of the output: the answer, summed where it was broadcast."""
        return np.asarray(unbroadcast(self.answer(i, g), self.operands[i], self.out.shape))

    def row(self, i: int, place: tuple[int, ...]) -> HostArray:
        """Return the derivatives of one element of the output by all elements of the i-th operand."""
        g = np.zeros(self.out.shape)
        g[place] = 1
        return self.pulled(i, g)


def position(operation: Operation, operand: Operand) -> int:
    """Return which operand of the primitive this is: others may have been left out."""
    names = operation.op.operand_names
    return int(names.index(operand.name)) if names else operation.operands.index(operand)


def in_float64(x: Any) -> Any:
    """Return floats as float64, and anything else as it is."""
    return x.astype(np.float64) if getattr(x, "dtype", np.dtype(int)).kind == "f" else x


def _on_host(x: Any) -> Any:
    """Return a static argument, such as an index, as it is on the host."""
    return to_numpy(data_of(x)) if is_array(data_of(x)) else x
