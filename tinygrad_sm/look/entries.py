"""What a recording holds: the leaves and operations of the tape, and the steps in which it was written and walked.

    Operation("multiply") ── operands ──▶ Operand("a") ── source ──▶ Leaf("w")

Where the tape's nodes hold what a walk needs, an entry holds what a reader wants to see, and keeps no graph alive.
"""

from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Any, NamedTuple

import numpy as np

from tinygrad_sm.look.digits import typeset
from tinygrad_sm.look.values import Value


class Line(NamedTuple):
    """A line of the user's program, with its text, which is empty if there is no source."""

    filename: str
    lineno: int
    text: str

    def __str__(self) -> str:
        return f"{self.filename}:{self.lineno}"

    @property
    def place(self) -> str:
        """The name of the file and the number of the line, such as "train.py:7"."""
        return f"{PurePath(self.filename).name}:{self.lineno}"


@dataclass(eq=False, repr=False)
class Leaf:
    """A value that no operation of the recording made.

    kind : "parameter" requires a gradient; an "input" is an array or Tensor that requires none; a "constant" is a
        number, a buffer or a frozen parameter; "earlier" was made by an operation before the recording began.
    names : the path in the model first, then the variables that held it, the outermost function's first.
    value : when it was first used.  g : the last complete gradient, None if no walk has reached it.
    """

    key: int
    kind: str
    value: Value
    names: tuple[str, ...] = ()
    g: Value | None = None

    @property
    def is_number(self) -> bool:
        """Whether this is a constant of one element without a name, whose label is its value."""
        return self.kind == "constant" and not self.names and self.value.size == 1

    @property
    def label(self) -> str:
        """The name to show: the first one, or else the kind; of a constant number its value."""
        if self.is_number:
            return typeset(self.value.sample.item())
        return self.names[0] if self.names else self.kind

    def __repr__(self) -> str:
        return _as_text(self, self.label if self.label == self.kind else f"{self.label}, {self.kind}")


@dataclass(eq=False, repr=False)
class Operand:
    """One operand of an operation: its name in the operation's own signature, and where it came from.

    needs_gradient : whether the walk calls the rule.
    rule : the source text of the gradient rule with its comment; "None" if the operand has no gradient, and "" if there
        is no source file.
    """

    name: str
    source: "Leaf | Operation"
    needs_gradient: bool
    rule: str

    def __repr__(self) -> str:
        return f"<operand {self.name}: {self.source!r}>"


@dataclass(eq=False, repr=False)
class Operation:
    """One recorded operation.

    op : the primitive.  formula : the first line of its docstring.  static : its static arguments, with defaults.
    value : the output.  g : its last complete gradient, None if no walk has reached it.
    names : the variables that held the output, the outermost function's first.
    """

    key: int
    op: Any
    formula: str
    static: dict[str, Any]
    operands: list[Operand]
    value: Value
    line: Line
    names: tuple[str, ...] = ()
    g: Value | None = None

    kind = "operation"
    is_number = False

    @property
    def label(self) -> str:
        """The name of the operation, such as "multiply"."""
        return str(self.op.name)

    @property
    def options(self) -> dict[str, str]:
        """The static arguments that are not the defaults, as short text."""
        with np.printoptions(threshold=20, edgeitems=3, linewidth=10_000):
            shown = {name: repr(value) for name, value in self.static.items()}
            default = {name: repr(value) for name, value in self.op.defaults.items()}
        return {name: _shortened(text) for name, text in shown.items() if text != default.get(name)}

    def __repr__(self) -> str:
        return _as_text(self, f"{self.label} → {self.names[0]}" if self.names else self.label)


class Answer(NamedTuple):
    """What the rule for one operand answered, and the part of the operand's gradient that the walk made of it.

    summed : the axes of the answer over which was summed, because the operand had been broadcast along them.
    """

    operand: Operand
    answer: Value
    part: Value
    summed: tuple[int, ...]


@dataclass(eq=False)
class Forward:
    """A step of the recording: an operation ran."""

    operation: Operation


@dataclass(eq=False)
class Backward:
    """A step: the gradient of an operation's output was complete, and the rules answered."""

    operation: Operation
    g: Value
    answers: list[Answer] = field(default_factory=list)

    @property
    def entry(self) -> Operation:
        """The value whose gradient is complete."""
        return self.operation


@dataclass(eq=False)
class Arrival:
    """A step: the gradient of a leaf was complete."""

    leaf: Leaf
    g: Value

    answers = ()  # no rule goes on from a leaf

    @property
    def entry(self) -> Leaf:
        """The value whose gradient is complete."""
        return self.leaf


@dataclass(eq=False)
class Change:
    """A step: a leaf was changed in place, as by an optimizer."""

    leaf: Leaf
    before: Value
    after: Value
    line: Line


Entry = Leaf | Operation
Step = Forward | Backward | Arrival | Change


def summed_axes(shape: tuple[int, ...], fitted: tuple[int, ...]) -> tuple[int, ...]:
    """Return the axes over which an answer of this shape was summed to fit the operand.

    >>> summed_axes((5, 3, 2), (3, 1))
    (0, 2)
    """
    new = len(shape) - len(fitted)
    return tuple(i for i, n in enumerate(shape) if i < new or (fitted[i - new] == 1 and n != 1))


def _as_text(entry: Entry, title: str) -> str:
    """Return one line without the operands, because a text of theirs would double with each value used twice."""
    return f"<{title}: {entry.value.shape} {entry.value.dtype}{', with a gradient' if entry.g else ''}>"


def _shortened(text: str, longest: int = 120) -> str:
    text = " ".join(text.split())
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
