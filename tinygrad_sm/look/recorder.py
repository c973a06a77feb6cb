"""The observer that writes a recording while a program runs.

It is told of each node when it was recorded, of each gradient when it is complete, and of each answer of a rule; it
copies the values then, because the walk frees the graph and an optimizer changes the parameters. Names come from the
model, and from the variables of the functions that are running: `logits = x @ W + b` names the output of that addition.
"""

import linecache
import weakref
from collections.abc import Callable
from types import FrameType
from typing import Any

from tinygrad_sm.arrays import described
from tinygrad_sm.engine.mode import Observer
from tinygrad_sm.engine.tape import Traced, data_of, is_traced, sequence_number
from tinygrad_sm.engine.versions import next_number
from tinygrad_sm.errors import user_frames, user_line
from tinygrad_sm.look.entries import (
    Answer,
    Arrival,
    Backward,
    Change,
    Entry,
    Forward,
    Leaf,
    Line,
    Operand,
    Operation,
    Step,
    summed_axes,
)
from tinygrad_sm.look.values import Value, copied


class Recorder(Observer):
    """Writes entries and steps; see `recording.record`.

    Values are known by their sequence numbers, and plain arrays, which have none, by weak references, so that the
    recorder keeps neither a graph nor a batch alive.
    """

    def __init__(self, model: Any, largest: int, outermost: FrameType):
        if model is not None and (isinstance(model, type) or not hasattr(model, "named_parameters")):
            raise TypeError(f"record: expected a Module or nothing, got {described(model)}")
        self.paths = {} if model is None else {sequence_number(p): path for path, p in model.named_parameters()}
        self.largest = largest
        self.outermost = outermost
        self.entries: dict[int, Entry] = {}
        self.steps: list[Step] = []
        self.arrays: dict[int, tuple[Callable[[], Any], Leaf]] = {}  # by id; None is answered for one that is gone
        self.variables: dict[int, dict[str, int]] = {}  # by key: names, with the depth of their function
        self.before: dict[int, Value] = {}  # of leaves that are about to change
        self.rules: dict[tuple[Any, int], str] = {}  # the source texts; to find one takes longer than an operation

    def recorded(self, node: Any, out: Any, line: Any) -> None:
        """Write the operation and its operands, and the names that have appeared since the last one."""
        op = node.op
        operands = [
            Operand(
                op.operand_names[i] if op.operand_names else f"number {i}",
                self._entry_of(x),
                is_traced(x) and x.requires_grad,
                self._rule_text(op, i),
            )
            for i, x in enumerate(node.operands)
            if x is not None
        ]
        self.look_for_names()  # of the operands too, before `x = tanh(x)` gives the name of one away
        operation = Operation(
            node.number,
            op,
            (op.__doc__ or "").partition("\n")[0],
            dict(node.static),
            operands,
            self._copy(out),
            _with_text(line),
        )
        self.entries[node.number] = operation
        self.steps.append(Forward(operation))

    def complete(self, value: Any, g: Any) -> None:
        """Write the gradient; those of an operation that ran before the recording began have no entry unless used."""
        entry = self.entries.get(sequence_number(value))
        if entry is None:
            if value.node is not None:
                return
            entry = self._entry_of(value)
        entry.g = self._copy(g)
        self.steps.append(Backward(entry, entry.g) if isinstance(entry, Operation) else Arrival(entry, entry.g))

    def answered(self, node: Any, i: int, answer: Any, part: Any) -> None:
        """Write what a rule answered and what the walk made of it, into the step of the operation."""
        if not isinstance(self.entries.get(node.number), Operation):
            return  # it ran before the recording began; a search for its step would go through all of them
        step = next(
            (s for s in reversed(self.steps) if isinstance(s, Backward) and s.operation.key == node.number), None
        )
        if step is None:
            return
        given = [j for j, x in enumerate(node.operands) if x is not None]
        operand = step.operation.operands[given.index(i)]
        summed = summed_axes(answer.shape, part.shape)
        whole = self._copy(answer)
        is_fitted = bool(summed) or part.dtype != answer.dtype
        step.answers.append(Answer(operand, whole, self._copy(part) if is_fitted else whole, summed))

    def changing(self, leaves: tuple[Any, ...]) -> None:
        """Copy the data before the change."""
        for leaf in leaves:
            self._entry_of(leaf)
            self.before[sequence_number(leaf)] = self._copy(leaf)

    def changed(self, leaves: tuple[Any, ...]) -> None:
        """Write the change."""
        line = _with_text(user_line())
        for leaf in leaves:
            entry = self._entry_of(leaf)
            before = self.before.pop(entry.key)
            if isinstance(entry, Leaf):
                self.steps.append(Change(entry, before, self._copy(leaf), line))

    def finish(self) -> None:
        """Take the last names, and give each entry its own."""
        self.look_for_names(self.outermost)
        for key, entry in self.entries.items():
            found = self.variables.get(key, {})
            entry.names = tuple(dict.fromkeys([*entry.names, *sorted(found, key=found.__getitem__)]))

    def look_for_names(self, only: FrameType | None = None) -> None:
        """Note which variables of the running functions hold values of the recording."""
        frames = [only] if only else user_frames(until=self.outermost)
        for inside, frame in enumerate(reversed(frames)):
            variables = frame.f_locals  # of code that exec runs, whatever it was given
            local = dict(variables.items()) if hasattr(variables, "items") else {}
            used = {name: frame.f_globals[name] for name in frame.f_code.co_names if name in frame.f_globals}
            for name, x in {**used, **local}.items():
                key = self._key_of(x)
                if key is not None and isinstance(name, str) and not name.startswith("_") and name != "self":
                    self.variables.setdefault(key, {}).setdefault(name, inside)

    def _key_of(self, x: Any) -> int | None:
        if issubclass(type(x), Traced):  # isinstance asks x.__class__, which may raise, as that of a dead proxy
            number = sequence_number(x) if hasattr(x, "node") else None  # none before its __init__ has run
            return number if number in self.entries else None
        array, leaf = self.arrays.get(id(x), (None, None))
        return leaf.key if array is not None and leaf is not None and array() is x else None

    def _entry_of(self, x: Any) -> Entry:
        """Return the entry of an operand; what no recorded operation made is a leaf, written when it is first used.

        An array that has been written to since, as a buffer into which each batch is copied, is another leaf.
        """
        key = self._key_of(x)
        if key is not None and isinstance(x, Traced):
            return self.entries[key]
        value = self._copy(x)
        if key is not None and value.equals(self.entries[key].value):
            return self.entries[key]
        names: tuple[str, ...] = ()
        if isinstance(x, Traced):
            key = sequence_number(x)
            path = self.paths.get(key) or x.name
            names = (path,) if path else ()
            is_state = getattr(x, "is_state", False)
            kind = "earlier" if x.node else "parameter" if x.requires_grad else "constant" if is_state else "input"
        else:
            key, kind = next_number(), "input" if hasattr(x, "shape") and x.shape else "constant"
        leaf = Leaf(key, kind, value, names)
        self.entries[key] = leaf
        if not isinstance(x, Traced) and hasattr(x, "shape"):
            self.arrays[id(x)] = _reference(x), leaf
        return leaf

    def _rule_text(self, op: Any, i: int) -> str:
        if (op, i) not in self.rules:
            try:
                self.rules[op, i] = op.rule_source(i)
            except OSError:  # typed at the prompt
                self.rules[op, i] = ""
        return self.rules[op, i]

    def _copy(self, x: Any) -> Value:
        return copied(data_of(x), self.largest)


def _reference(x: Any) -> Callable[[], Any]:
    try:
        return weakref.ref(x)
    except TypeError:  # a NumPy scalar
        return lambda: x


def _with_text(line: Any) -> Line:
    return Line(line.filename, line.lineno, linecache.getline(line.filename, line.lineno).strip())
