"""A program: the calls of a recorded step in a form that runs again, without the framework.

Each call becomes an *entry*, [function, *arguments], which writes its result into memory that the program has. One
instruction of Python then makes all calls up to the next *stop*: a call that Python must make, because its result
cannot be written into memory that exists.

What changes from run to run is *dynamic*: inputs, numbers such as a learning rate, results of stops, and views of them.
A dynamic value is put into the entries where it occurs as soon as it is known.
"""

import operator
from collections import deque
from collections.abc import Callable, Iterable
from functools import partial
from itertools import starmap
from typing import Any

import numpy as np

from tinygrad_sm.backend import HostArray
from tinygrad_sm.engine.versions import change
from tinygrad_sm.programs.arrays import Number, name_of
from tinygrad_sm.programs.forms import Form, forms_of
from tinygrad_sm.programs.passes import (
    constants_of,
    shared_memory,
    with_early_questions,
    with_late_changes,
    without_copies,
    without_dead_calls,
)
from tinygrad_sm.programs.recording import Call, Guard, Value, values_in
from tinygrad_sm.programs.text import Text
from tinygrad_sm.programs.tracing import Trace
from tinygrad_sm.structures import replaced

Entry = list[Any]
Segment = tuple[list[Entry], Callable[[], None] | None]


SMALL = 4096
"""Inputs of so many bytes or fewer are copied into the program's memory: so views of them are there already."""


class GuardError(Exception):
    """A question about values was answered otherwise than when the step was recorded."""


class Program:
    """A recorded step that can run again.

    memory : returns a block of so many bytes.
    names : of inputs, and of arrays outside of the step, by the ids of Values and arrays.
    """

    def __init__(self, trace: Trace, memory: Callable[[int], Any], names: dict[int, str]):
        kept = [*trace.results(), *values_in(trace.effects)]
        calls = without_dead_calls(with_late_changes(with_early_questions(trace.recording.calls)), kept)
        self.calls, self._stands_for = without_copies(calls, kept)
        self.effects = self._replaced = [tuple(map(self._now, effect)) for effect in trace.effects]
        self.leaves, self.inputs = trace.leaves, trace.inputs
        self.draws = any(isinstance(call, Call) and call.draws for call in self.calls)
        self._results, self._names, self._memory = trace.results(), names, memory
        self._outputs = [(self._now(value), line) for value, line in trace.recording.outputs]
        self._env: list[Any] = []  # of the dynamic values
        self._dynamic: dict[int, int] = {}  # their places in `_env`, by their ids
        self._uses: list[list[tuple[Entry, int]]] = []  # of each, the entries and the places in them
        self._arrays: dict[int, Any] = {}  # of other values, by their ids, where they are not those of the recording
        self._numbers: list[tuple[int, Number]] = []
        self._own: set[int] = set()  # the ids of arrays that outlive a run, such as gradients
        self._kept: list[Any] = []
        self._large: list[tuple[int, int]] = []  # the numbers of inputs that are dynamic, and their places
        self._copies: list[tuple[int, Any]] = []  # the numbers of small inputs, and where they are copied
        self._gradients = [(t, self._make_dynamic(value)) for t, value in trace.used_gradients]
        self._prepare()

    def _prepare(self) -> None:
        """Find what is dynamic, give the rest its memory, and make entries and stops of the calls."""
        changed = [value.root.origin for call in self.calls if isinstance(call, Call) for value in call.changes]
        changes_inputs = "input" in changed  # of which others may be views
        for i, value in enumerate(self.inputs):
            copy: Any = np.empty_like(value.array) if type(value.array) is HostArray else None
            is_small = copy is not None and copy.nbytes <= SMALL and copy.strides == value.array.strides
            if is_small and not changes_inputs:
                copy[...] = value.array
                self._arrays[id(value)] = copy
                self._copies.append((i, copy))
            else:
                self._large.append((i, self._make_dynamic(value)))
        read = [*(v for call in self.calls for v in call.reads()), *values_in(self.effects)]
        for value in read:
            if value.origin == "number" and id(value) not in self._dynamic:
                self._numbers.append((self._make_dynamic(value), value.array))
        self._states = {id(value.array) for value in read if value.origin == "state"}
        self._copy_gradients()
        outliving = list(values_in(self.effects))
        constants = constants_of(self.calls, outliving)
        forms = [self._forms(call, constants) for call in self.calls]
        self._place(constants, outliving)
        self._views = [self._stop(call) for call in self.calls if self._is_view_of_input(call)]
        written, first = self._firsts(outliving)
        self._early = self._segments(self.calls[:written], forms[:written])
        self._middle = self._segments(self.calls[written:first], forms[written:first], is_late=True)
        self._late = self._segments(self.calls[first:], forms[first:], is_late=True)
        self._late[-1][0].extend(self._entry(function, arguments, {}) for function, *arguments in self.effects)
        guards = [call for call in self.calls if isinstance(call, Guard)]
        self._asked, self._answers = [guard.value for guard in guards], [guard.answer for guard in guards]
        is_fixed = not any(id(value) in self._dynamic for value in self._asked)
        self._questions = list(map(self.array_of, self._asked)) if is_fixed else []
        self.late_guard = next((call for call in self.calls[first:] if isinstance(call, Guard)), None)

    def _firsts(self, outliving: list[Value]) -> tuple[int, int]:
        """Return the numbers of the first call that writes what outlives the run, and of the first lasting change."""
        own = {id(value.root) for value in outliving if value.origin == "new"}
        written = first = len(self.calls)
        for i, call in reversed(list(enumerate(self.calls))):
            if isinstance(call, Call):
                results = (*call.changes, call.result) if call.result is not None else call.changes
                written = i if any(id(value.root) in own for value in results) else written
                first = i if call.is_lasting else first
        return min(written, first), first

    def _copy_gradients(self) -> None:
        """Where a question comes after gradients, let them be copied at the end: until then `.grad` is the old one."""
        written, _ = self._firsts(list(values_in(self.effects)))
        if any(isinstance(call, Guard) for call in self.calls[written:]):
            effects: list[tuple[Any, ...]] = []
            for effect in self.effects:
                if effect[0] is setattr and isinstance(effect[3], Value) and effect[3].origin == "new":
                    own = effect[3].array.copy(order="K")
                    self._own.add(id(own))
                    self._kept.append(own)
                    effects += [(operator.setitem, own, ..., effect[3]), (setattr, effect[1], effect[2], own)]
                    self._results.append(effect[3])
                else:
                    effects.append(effect)
            self.effects = effects

    def run(self, arrays: list[Any]) -> None:
        """Make all calls, with these arrays as inputs. Raises GuardError before any lasting change, or nothing."""
        for array in arrays:
            if id(array) in self._states or id(getattr(array, "base", None)) in self._states:
                raise GuardError  # the step may change it while it reads it
        for i, copy in self._copies:
            copy[...] = arrays[i]
        for i, place in self._large:
            array = arrays[i]
            is_own = id(array) in self._own or id(getattr(array, "base", None)) in self._own
            self._set(place, array.copy(order="K") if is_own else array)
        for tensor, place in self._gradients:
            self._set(place, tensor.grad)
        try:
            for i, number in self._numbers:
                self._set(i, number.now())
            for view in self._views:
                view()
            _run(self._early)
        except Exception as error:  # such as an index out of range: the step itself says what is wrong
            raise GuardError from error
        if list(map(bool, self._questions or map(self.array_of, self._asked))) != self._answers:
            raise GuardError
        if self._middle[0][0] or len(self._middle) > 1:
            _run(self._middle)
        with np.errstate(all="ignore"):  # np.errstate(all="raise") would stop half-way
            if self.leaves:
                change(self.leaves, _run, self._late)
            else:
                _run(self._late)

    def array_of(self, value: Value) -> Any:
        """Return the array, or the number, of a value in the last run."""
        value = self._now(value)
        if id(value) in self._dynamic:
            now = self._env[self._dynamic[id(value)]]
            return value.array if now is None else now  # None before the first run
        return self._arrays.get(id(value), value.array)

    @property
    def nbytes(self) -> int:
        """The memory that the program takes, beside parameters and the state of optimizers."""
        roots = {id(x): x for x in map(self.array_of, self._fixed_roots)}
        return self._size + sum(x.nbytes for x in roots.values())

    def __str__(self) -> str:
        return str(Text(self.calls, self._replaced, self._names, self._outputs))

    def given(self) -> dict[str, Any]:
        """Return the arrays and numbers that the text of the program names, as they are now."""
        given = Text(self.calls, self._replaced, self._names, self._outputs).given
        inputs = {self._names[id(value)]: self.array_of(value) for value in self.inputs}
        return {name: x.now() if isinstance(x, Number) else x for name, x in given.items()} | inputs

    def _now(self, x: Any) -> Any:
        return self._stands_for.get(id(x), x)

    def _set(self, i: int, array: Any) -> None:
        self._env[i] = array
        for entry, position in self._uses[i]:
            entry[position] = array

    def _make_dynamic(self, value: Value) -> int:
        self._dynamic[id(value)] = len(self._env)
        self._env.append(None)
        self._uses.append([])
        return len(self._env) - 1

    def _forms(self, call: Any, constants: set[int]) -> list[Form] | None:
        """Return the calls that entries make for a call; None, and its result is dynamic, if Python must make it."""
        result = call.result if isinstance(call, Call) else None
        if isinstance(call, Guard) or id(result) in constants:
            return []
        if result is not None and result.base is not None:
            forms: list[Form] | None = None if id(result.base) in self._dynamic else []
        else:
            forms = forms_of(call)
            if forms is not None and any(self._is_nested(arguments, options) for _, arguments, options in forms):
                forms = None
        if forms is None and result is not None:
            self._make_dynamic(result)
        return forms

    def _is_nested(self, arguments: Iterable[Any], options: dict[str, Any]) -> bool:
        """Whether a dynamic value stands inside of a tuple, or among the options, where it cannot be put in place."""
        nested = [options, *(x for x in arguments if not isinstance(x, Value))]
        return any(id(value) in self._dynamic for value in values_in(nested))

    def _place(self, constants: set[int], outliving: list[Value]) -> None:
        """Give results places in the program's memory, but not those that outlive a run, such as gradients."""
        own = {id(value.root) for value in outliving}
        fixed = constants | own | self._dynamic.keys()

        def is_placed(value: Value) -> bool:
            return type(value.array) is HostArray and id(value) not in fixed

        kept = [
            *map(self._now, self._results),
            *outliving,
            *(call.value for call in self.calls if isinstance(call, Guard)),
        ]
        places, size = shared_memory(self.calls, kept, is_placed)
        block = self._memory(size)
        for value in (call.result for call in self.calls if isinstance(call, Call) and call.result is not None):
            if id(value) in places:
                x = value.array
                self._arrays[id(value)] = np.ndarray(x.shape, x.dtype, block, places[id(value)], x.strides)
        for call in self.calls:
            result = call.result if isinstance(call, Call) else None
            if result is not None and result.base is not None and id(result) not in self._dynamic:
                arguments, options = replaced((call.arguments, call.options), self._fixed)
                self._arrays[id(result)] = call.function(*arguments, **options)
        self._own |= {id(self.array_of(value)) for value in outliving if value.origin == "new"}
        results = [call.result for call in self.calls if isinstance(call, Call) and call.result is not None]
        self._size = size
        self._fixed_roots = [
            x for x in results if x.base is None and id(x) not in places and id(x) not in self._dynamic
        ]

    def _segments(self, calls: list[Any], forms: list[list[Form] | None], is_late: bool = False) -> list[Segment]:
        """Return the entries up to each stop, with the stop, and those after the last with None."""
        segments: list[Segment] = [([], None)]
        for call, forms_of_call in zip(calls, forms, strict=True):
            if forms_of_call is not None:
                segments[-1][0].extend(self._entry(*form) for form in forms_of_call)
            elif not self._is_view_of_input(call):
                segments[-1:] = [(segments[-1][0], self._stop(call, is_late)), ([], None)]
        return segments

    def _is_view_of_input(self, call: Any) -> bool:
        """Whether a call makes a view of a dynamic input, which can be made before all other calls."""
        result = call.result if isinstance(call, Call) else None
        is_view = result is not None and result.base is not None and result.root.origin == "input"
        return is_view and id(result) in self._dynamic

    def _entry(self, function: Any, arguments: Iterable[Any], options: dict[str, Any]) -> Entry:
        """Return a call as an entry, with the arrays of Values that are not dynamic."""
        entry = [partial(function, **replaced(options, self._fixed)) if options else function]
        for position, x in enumerate(arguments, 1):
            if id(x) in self._dynamic:
                self._uses[self._dynamic[id(x)]].append((entry, position))
            entry.append(x if type(x) is dict else replaced(x, self._fixed))  # an optimizer's state is a dict
        return entry

    def _fixed(self, x: Any) -> Any:
        return self.array_of(x) if isinstance(x, Value) else x

    def _stop(self, call: Call, is_late: bool = False) -> Callable[[], None]:
        """Return a function that makes a call and sets its result; late, another shape would come too late."""
        i, function, arguments, options = (
            self._dynamic.get(id(call.result)),
            call.function,
            call.arguments,
            call.options,
        )
        entry = None if self._is_nested(arguments, options) else self._entry(function, arguments, options)
        shape = None if call.result is None else call.result.array.shape

        def make() -> None:
            if entry is not None:
                result = entry[0](*entry[1:])
            else:
                now, options_now = replaced((arguments, options), self._fixed)
                result = function(*now, **options_now)
            if i is not None:
                if result.shape != shape and is_late:
                    raise RuntimeError(
                        f"{name_of(function)} gives shape {result.shape}, and gave {shape} when recorded"
                    )
                if result.shape != shape:
                    raise GuardError
                self._set(i, np.asarray(result) if isinstance(result, np.generic) else result)

        return make


def _run(segments: list[Segment]) -> None:
    for entries, stop in segments:
        deque(starmap(operator.call, entries), maxlen=0)  # as `write_all` does
        if stop is not None:
            stop()
