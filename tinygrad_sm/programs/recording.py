"""What a step asks of its arrays, written down: calls, in order, and questions about values among them.

    v1 = exp(v0)
    v2 = multiply(v1, 2)
    is `less(v2, 9)` true?  yes

A `Value` stands for an array, a `Call` for a call of an array module's function, and a `Guard` for a question with its
answer: a program is right only while the answer is the same. Where a step reads values in another way, it gets them,
and a *refusal* is noted: it then runs to its end as it would unrecorded, but can be no program.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from tinygrad_sm.backend import Array
from tinygrad_sm.errors import user_line
from tinygrad_sm.structures import leaves_of


class Value:
    """An array of a program; or a number, for a number that is read at each call.

    origin : "input", "state" for what exists outside of the step, "number", or "new", the result of a call.
    base : for a view, the value whose memory it shares.
    """

    __slots__ = ("array", "base", "origin")

    def __init__(self, array: Any, origin: str, base: "Value | None" = None):
        self.array = array
        self.origin = origin
        self.base = base

    @property
    def root(self) -> "Value":
        """The value that has the memory."""
        return self if self.base is None else self.base.root


class Call:
    """A call: Values stand in its arguments; it has a result, or changes the arrays of Values.

    place : where the step was: ("forward", operation, line of the user's program), or "backward", or "update".
    """

    __slots__ = ("_reads", "arguments", "changes", "function", "options", "place", "result")

    def __init__(self, function: Any, arguments: tuple[Any, ...], options: dict[str, Any], place: Any = None):
        self.function = function
        self.arguments = arguments
        self.options = options
        self.place = place
        self.result: Value | None = None
        self.changes: tuple[Value, ...] = ()
        self._reads: list[Value] | None = None

    @property
    def is_lasting(self) -> bool:
        """Whether it changes an array that exists outside of the step."""
        return any(value.root.origin != "new" for value in self.changes)

    @property
    def draws(self) -> bool:
        """Whether it draws random numbers."""
        return getattr(self.function, "draws", False)

    def reads(self) -> list[Value]:
        """Return the Values among the arguments."""
        if self._reads is None:
            self._reads = list(values_in((self.arguments, self.options)))
        return self._reads


class Part(NamedTuple):
    """A function that gives one of the arrays that another function gives, such as the sign of `slogdet`."""

    function: Any
    i: int

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)[self.i]


def written(function: Any, arguments: str) -> str:
    """Return a call as one writes it: np.exp(x), np.add.reduce(x), np.linalg.slogdet(x)[1]."""
    if isinstance(function, Part):
        return f"{written(function.function, arguments)}[{function.i}]"
    owner = getattr(function, "__self__", None)
    home = getattr(function, "__module__", None) or ""
    module = next((f"{name}." for name in ("linalg", "lib.stride_tricks") if f".{name}" in home), "")
    module = f"{owner.__name__}." if isinstance(owner, np.ufunc) else module
    return f"np.{module}{getattr(function, '__name__', '')}({arguments})"


class Guard(NamedTuple):
    """A question about the truth of a value, and its answer."""

    value: Value
    answer: bool
    place: Any = None

    def reads(self) -> list[Value]:
        """Return the value."""
        return [self.value]


def values_in(x: Any) -> Iterator[Value]:
    """Yield the Values in nested tuples, lists and dicts."""
    return (leaf for leaf in leaves_of(x) if type(leaf) is Value)


class Refusal(NamedTuple):
    """What a step does that a program cannot do, with what to write instead; and the line of the user's program."""

    message: str
    line: Any


class Recording:
    """The calls and guards of a step, and where in the step they were made."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.place: Any = ("forward", "", None)
        self.refusal: Refusal | None = None
        self.states: dict[int, Value] = {}  # by the id of the array, which its Value keeps alive
        self.numbers: dict[Any, Value] = {}
        self.outputs: list[tuple[Value, Any]] = []  # of recorded operations, with the lines of the user's program
        self.arrays: list[Any] = []  # weak references to the recorded arrays

    def refuse(self, message: str) -> None:
        """Note that this step can be no program."""
        self.refusal = self.refusal or Refusal(message, user_line())

    def state(self, array: Array) -> Value:
        """Return the Value of an array that exists outside of the step."""
        return self.states.setdefault(id(array), Value(array, "state"))

    def number(self, number: Any) -> Value:
        """Return the Value of a number."""
        return self.numbers.setdefault(number, Value(number, "number"))

    def ask(self, value: Value, answer: bool) -> bool:
        """Write down a question; return the answer."""
        self.calls.append(Guard(value, answer, self.place))
        return answer


_here = threading.local()
RECORDING = threading.RLock()
"""Held while a step is recorded: its arrays are in the place of those of Tensors, which other threads may share."""


def current() -> Recording | None:
    """Return the recording that is under way in this thread."""
    return getattr(_here, "recording", None)


@contextmanager
def under_way(recording: Recording) -> Iterator[None]:
    """Record what this thread does in the block."""
    with RECORDING:
        _here.recording = recording
        try:
            yield
        finally:
            _here.recording = None
