"""A recording as text for a terminal: every step with its numbers.

     5. loss = mean(squares)                                                                        () float32
        train.py:7: loss = (error * error).mean()
        Return Σ x / n over the axes, n the number of elements that each sum has.
        0.25

A step of the walk shows the gradient of the output, and for each operand the rule, what it answered, and over which
axes that was summed because the operand had been broadcast.
"""

import shutil
import textwrap
import unicodedata
from typing import Any

import numpy as np

from tinygrad_sm.errors import shown
from tinygrad_sm.look.digits import typeset
from tinygrad_sm.look.entries import Answer, Arrival, Backward, Change, Forward, Leaf, Line, Operation, Step
from tinygrad_sm.look.labels import labels_of
from tinygrad_sm.look.values import Value

NARROWEST, WIDEST = 20, 120
"""The fewest and the most columns of a line, unless a width is given."""

SMALL = 100
"""The most elements of an array that is written whole."""

LONG = 300
"""The most characters of a line from a program; longer ones end with an ellipsis."""

FEW = 6
"""How many elements of a larger array are written."""


def text_of(recording: Any, width: int | None = None, most: int = 100) -> str:
    """Return what `Recording.text` promises."""
    if width is None:
        width = min(WIDEST, max(NARROWEST, shutil.get_terminal_size((WIDEST, 0)).columns))
    if width < NARROWEST or most < 1:
        raise ValueError(f"text: expected a width of at least {NARROWEST} and at least 1 step, got {width} and {most}")
    lines = _Writer(recording, width).lines(most)
    return "\n".join(part.rstrip() for line in lines for part in wrapped(line, width))


class _Writer:
    """Writes the steps of a recording, one after the other."""

    def __init__(self, recording: Any, width: int):
        self.recording = recording
        self.width = width
        self.labels = labels_of(recording)
        self.rules: dict[str, int] = {}  # long ones, with the number of the step that shows them

    def lines(self, most: int) -> list[str]:
        """Return all lines: the leaves, then the steps, of each kind at most so many."""
        steps, leaves = self.recording.steps, [x for x in self.recording.leaves if not x.is_number]
        counted = [_counted(self.recording.operations, "operation"), _counted(self.recording.leaves, "leaf", "leaves")]
        lines = [f"{', '.join(counted)}, {_counted(steps, 'step')}"]
        if not steps:
            lines.append("nothing was recorded: no operation ran on a value that requires a gradient")
        for leaf in leaves[:most]:
            lines += ["", *self._leaf(leaf)]
        lines += _left_out(len(leaves) - most, "leaf", "leaves")
        written, omitted = dict[type, int](), 0
        for number, step in enumerate(steps, 1):
            written[type(step)] = written.get(type(step), 0) + 1
            if written[type(step)] > most:
                omitted += 1
                continue
            lines += [*_left_out(omitted, "step"), "", *self._step(number, step)]
            omitted = 0
        return lines + _left_out(omitted, "step")

    def _leaf(self, leaf: Leaf) -> list[str]:
        left = "" if self.labels[leaf.key] == leaf.kind else f", {leaf.kind}"
        return [self._heading(f"{self.labels[leaf.key]}{left}", leaf.value), *self._numbers(leaf.value, 4)]

    def _step(self, number: int, step: Step) -> list[str]:
        if isinstance(step, Forward):
            title, value, rest = self._call(step.operation), step.operation.value, self._forward(step.operation)
        elif isinstance(step, Backward):
            title, value, rest = self._derivative(step.operation), step.g, self._backward(number, step)
        elif isinstance(step, Arrival):
            title, value, rest = f"{self._derivative(step.leaf)}, complete", step.g, self._numbers(step.g, 8)
        else:
            title, value = f"{self.labels[step.leaf.key]} changes", step.after
            rest = [*_place(step.line), *self._change(step)]
        return [self._heading(f"{number:4}. {title}", value), *rest]

    def _call(self, operation: Operation) -> str:
        """Return a line such as z = add(matmul, b)."""
        given = [self.labels[operand.source.key] for operand in operation.operands]
        given += [f"{name}={shown(text)}" for name, text in operation.options.items()]
        label, name = self.labels[operation.key], operation.label
        return f"{'' if label == name else f'{label} = '}{name}({', '.join(given)})"

    def _forward(self, operation: Operation) -> list[str]:
        formula = [f"        {shown(operation.formula, LONG)}"] if operation.formula else []
        return [*_place(operation.line), *formula, *self._numbers(operation.value, 8)]

    def _backward(self, number: int, step: Backward) -> list[str]:
        lines = self._numbers(step.g, 8)
        for answer in step.answers:
            lines += self._answer(number, step.operation, answer)
        return lines

    def _answer(self, number: int, operation: Operation, answer: Answer) -> list[str]:
        operand, source = answer.operand, self.labels[answer.operand.source.key]
        name = operand.name if operand.name == source else f"{operand.name}, which is {source}"
        lines = [f"        {operation.label}'s rule for {name}:"]
        if operand.rule in self.rules:
            lines.append(f"            as in step {self.rules[operand.rule]}")
        else:
            lines += [f"            {line}" for line in rule_lines(operand.rule)]
            if "\n" in operand.rule:
                self.rules[operand.rule] = number
        lines += self._numbers(answer.answer, 12)
        if answer.summed:
            axes = f"axis {answer.summed[0]}" if len(answer.summed) == 1 else f"the axes {answer.summed}"
            lines.append(f"        summed over {axes}, along which it had been broadcast:")
            lines += self._numbers(answer.part, 12)
        return lines

    def _change(self, step: Change) -> list[str]:
        return [
            *("        before:", *self._numbers(step.before, 12)),
            *("        after:", *self._numbers(step.after, 12)),
        ]

    def _derivative(self, entry: Any) -> str:
        return f"∂L/∂{self.labels[entry.key]}"

    def _heading(self, left: str, value: Value) -> str:
        """Return the line with shape and dtype at its right, if there is room."""
        right = f"{value.shape} {value.dtype}"
        return f"{left}{' ' * max(2, self.width - columns(left) - columns(right))}{right}"

    def _numbers(self, value: Value, indent: int) -> list[str]:
        return [f"{' ' * indent}{line}" for line in numbers(value, self.width - indent)]


def numbers(value: Value, width: int) -> list[str]:
    """Return the lines that show a value: a small array whole, of a larger one the range and a few elements.

    >>> from tinygrad_sm.look.values import copied
    >>> numbers(copied(np.array([[1.5, -2.0]])), 80), numbers(copied(np.arange(1000)), 80)
    (['[[ 1.5 -2. ]]'], ['from 0 to 999, mean 499.5, std 288.7', 'begins 0, 1, 2, 3, 4, 5, …'])
    """
    if value.size == 0:
        return ["empty"]
    if value.array is not None and value.size <= SMALL:
        text = np.array2string(value.array, max_line_width=max(width, 20), precision=4, threshold=SMALL)
        return [line for line in text.splitlines() if line]
    facts = []
    if value.low == value.low:
        facts.append(f"from {typeset(value.low)} to {typeset(value.high)}")
        facts.append(f"mean {typeset(value.mean)}, std {typeset(value.std)}")
    facts += [f"{count:,} {name}" for count, name in ((value.nans, "NaN"), (value.infs, "±∞")) if count]
    few = [typeset(float(x)) for x in value.sample.reshape(-1)[:FEW]]
    return [", ".join(facts), f"begins {', '.join(few)}, …"]


def columns(text: str) -> int:
    """Return how many columns of a terminal the text takes: a Chinese character takes two."""
    return len(text) if text.isascii() else sum(1 + (unicodedata.east_asian_width(c) in "WF") for c in text)


def rule_lines(rule: str) -> list[str]:
    r"""Return the lines of a rule's source text, as they look if its first line begins at the margin.

    >>> rule_lines("lambda g, out, x: f(\n            g * x\n        )")
    ['lambda g, out, x: f(', '        g * x', '    )']
    """
    first, _, rest = rule.expandtabs(4).partition("\n")
    return [shown(line, LONG) for line in [first, *textwrap.indent(textwrap.dedent(rest), "    ").splitlines()]]


def wrapped(line: str, width: int) -> list[str]:
    """Return the line in parts of at most so many columns, of which those after the first stand further in.

    >>> wrapped("  a long line", 10)
    ['  a long', '      line']
    """
    if columns(line) <= width:
        return [line]
    indent = line[: min(len(line) - len(line.lstrip()), width // 2)]
    further = f"{indent}    "
    parts = textwrap.wrap(line.strip(), width, initial_indent=indent, subsequent_indent=further)
    return [cut(part, width) for part in parts]


def cut(line: str, width: int) -> str:
    """Return the line, of at most so many columns.

    >>> cut("a long line", 6)
    'a lon…'
    """
    if columns(line) <= width:
        return line
    while columns(line) > width - 1:
        line = line[: min(len(line) - 1, width - 1)]
    return f"{line}…"


def _place(line: Line) -> list[str]:
    return [shown(f"        {line.place}: {line.text}" if line.text else f"        {line.place}", LONG)]


def _counted(things: Any, one: str, many: str = "") -> str:
    return f"{len(things):,} {one if len(things) == 1 else many or f'{one}s'}"


def _left_out(count: int, one: str, many: str = "") -> list[str]:
    return ["", f"… {_counted(range(count), one, many).replace(' ', ' more ', 1)}"] if count > 0 else []
