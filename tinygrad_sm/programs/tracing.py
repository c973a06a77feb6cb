"""A step run once on recorded arrays: its calls, what it returns and what it changes."""

import gc
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from types import CellType
from typing import Any

from tinygrad_sm import random
from tinygrad_sm.arrays import described
from tinygrad_sm.backend import is_array, to_numpy
from tinygrad_sm.engine.mode import Observer, current_mode, observe
from tinygrad_sm.engine.tape import Traced, data_of
from tinygrad_sm.engine.versions import next_number
from tinygrad_sm.errors import user_line
from tinygrad_sm.programs.arguments import Arguments, Surroundings
from tinygrad_sm.programs.arrays import Number, RecordedArray, forget_walks, number_now, value_of
from tinygrad_sm.programs.recording import Call, Guard, Recording, Value, under_way
from tinygrad_sm.programs.swapping import Draws, Swapped
from tinygrad_sm.programs.watch import PLAIN, Watch, are_equal
from tinygrad_sm.structures import is_nested, leaves_of, replaced
from tinygrad_sm.tensors import Tensor


@dataclass(frozen=True, slots=True)
class Result:
    """The place of an array in what a step returns."""

    value: Value
    is_tensor: bool


class Trace:
    """A recorded run of a step.

    returned : what the step returned, with a Result in the place of each array.
    leaves : the Tensors whose data the step has changed.
    used_gradients : Tensors whose `.grad` was there before, and used, with the Values of these gradients.
    makes_state : whether an optimizer made its first state, as it does only once.
    changes_values : whether a plain value has changed, such as a counter, or whether a Module is in training mode.
    """

    def __init__(self, step: Callable[..., Any], args: Any, kwargs: Any, watch: Watch):
        self.recording = Recording()
        self.inputs: list[Value] = []
        self.names = _names_of(step, args, kwargs)  # of the inputs
        arguments = Arguments(self.recording, self.inputs)
        swapped, surroundings = Swapped(self.recording, watch), Surroundings(watch)
        before, versions = watch.now(), [t.memory.changed_at for t in watch.tensors]
        with under_way(self.recording), swapped, random.watched(Draws), observe(_Follower(self.recording)):
            swapped.swap()
            given = arguments.given(args), arguments.given(kwargs)
            result = step(*given[0], **given[1])
            self.returned = replaced(result, self._described)
            del result, given  # what refers to recorded arrays from now on was kept by the step
        self.effects, self.gradients = swapped.effects, swapped.gradients
        used = [(t, grad) for t, grad, is_used in self.gradients if is_used and grad is not None]
        self.used_gradients = [(t, self.recording.state(grad)) for t, grad in used]
        self.makes_state = swapped.makes_state
        self.changes_values = not (self.makes_state or are_equal(before, watch.now()))
        self.leaves = [t for t, then in zip(watch.tensors, versions, strict=True) if t.memory.changed_at != then]
        for message in (*arguments.changes(), *surroundings.changes()):
            self.recording.refuse(message)
        arguments.forget()
        self._look_for_escapes(swapped.known)

    def result(self) -> Any:
        """Return what the step returned, as arrays of its own."""
        return made(self.returned, lambda value: value.array)

    def results(self) -> list[Value]:
        """Return the Values among what the step returned."""
        return [x.value for x in leaves_of(self.returned) if isinstance(x, Result)]

    def _described(self, x: Any) -> Any:
        if is_array(data_of(x)) or type(x) is Number:
            return Result(value_of(self.recording, data_of(x)), isinstance(x, Traced))
        if not isinstance(x, PLAIN):
            self.recording.refuse(f"the step returns {described(x)}: return Tensors, arrays and plain numbers")
        return x

    def _kept(self) -> list[RecordedArray]:
        """Return the recorded arrays that something still refers to."""
        return [x for reference in self.recording.arrays if (x := reference()) is not None]

    def _look_for_escapes(self, known: set[int]) -> None:
        """Refuse a step that has kept a result, or has changed an array, of which a program cannot know."""
        forget_walks()
        kept = self._kept()
        if kept:
            gc.collect()  # what only garbage refers to was not kept
            kept = self._kept()
        for array in kept:
            self.recording.refuse("the step keeps an array, as in a list outside of it: return it from the step")
            _make_plain(array)
        for call in self.recording.calls:
            for value in call.changes if isinstance(call, Call) else ():
                if value.root.origin == "state" and id(value.root.array) not in known:
                    self.recording.refuse("the step changes an array that no Module, Tensor or optimizer there holds")


def _names_of(step: Any, args: Any, kwargs: Any) -> list[str]:
    """Return a name for each array among the arguments: that of its parameter, with a number if it holds several."""
    try:
        bound = inspect.signature(step).bind(*args, **kwargs).arguments
    except (TypeError, ValueError):
        bound = {"argument": args} | kwargs
    names: list[str] = []
    for name, x in bound.items():
        arrays = sum(is_array(data_of(part)) for part in leaves_of(x))
        names += [name] if arrays == 1 else [f"{name}_{i}" for i in range(arrays)]
    return names


def made(x: Any, array_of: Callable[[Value], Any]) -> Any:
    """Return a result with copies of arrays, and Tensors of them, in the place of Results."""
    if type(x) is not Result:
        return replaced(x, lambda part: made(part, array_of)) if is_nested(x) else x
    array = array_of(x.value)
    if x.value.origin == "number":
        return number_now(array)
    array = array.copy()
    if not x.is_tensor:
        return array
    tensor = object.__new__(Tensor)
    Traced.__init__(tensor, array)
    return tensor


def _make_plain(array: RecordedArray) -> None:
    """Put the plain array in the place of a recorded one where a Tensor, a list, a dict or a closure has kept it."""
    plain = array.array
    for holder in gc.get_referrers(array):
        if isinstance(holder, Traced) and holder.data is array:
            holder.data = plain
        elif isinstance(holder, list | dict):
            for key, x in list(enumerate(holder) if isinstance(holder, list) else holder.items()):
                if x is array:
                    holder[key] = plain
        elif isinstance(holder, CellType):  # a variable of a function around the step; here is no such function
            holder.cell_contents = plain


class _Follower(Observer):
    """Tells the recording which operation computes, at which line; refuses what must run at each step."""

    def __init__(self, recording: Recording):
        self.recording = recording
        self.began_at = next_number()  # of leaves made in the step: they have larger ones

    def forward(self, op: Any, forward: Any) -> Any:
        if len(current_mode().observers) > 1:
            self.recording.refuse("an observer, such as profile or detect_anomaly, watches the step from inside")
        before = self.recording.place
        place = before if before[0] == "backward" else ("forward", op.name, user_line())
        return self._at(place, forward, before)

    def backward(self, node: Any, i: int, rule: Any) -> Any:
        return self._at(("backward", node.op.name, None), rule, ("update", "", None))

    def _at(self, place: Any, function: Any, after: Any) -> Any:
        def followed(*args: Any, **kwargs: Any) -> Any:
            self.recording.place = place
            try:
                return function(*args, **kwargs)
            finally:
                self.recording.place = after

        return followed

    def recorded(self, node: Any, out: Any, line: Any) -> None:
        self.recording.outputs.append((value_of(self.recording, out.data), line))
        for x in node.operands:
            is_leaf = isinstance(x, Traced) and x.node is None and x.requires_grad and x.number < self.began_at
            if is_leaf and not isinstance(x.data, RecordedArray):
                self.recording.refuse(
                    f"a Tensor that requires a gradient, {described(x.data)}, is found in no variable, list, dict or "
                    "Module of the step"
                )

    def complete(self, value: Any, g: Any) -> None:
        if value.hooks:
            self.recording.refuse("a Tensor has a hook, which must run at each step")


def difference(one: Trace, other: Trace) -> Any:
    """Return the first call of `other` that is not the same as in `one`, with the same constants; None if all are.

    Where the calls are the same, but not the results or effects, return these.
    """
    forms = [_Form(trace) for trace in (one, other)]
    for a, b in zip(one.recording.calls, other.recording.calls, strict=False):
        if forms[0].of_call(a) != forms[1].of_call(b):
            return b
    ends = [
        (len(t.recording.calls), form.of(t.returned), form.of(t.effects))
        for t, form in zip((one, other), forms, strict=True)
    ]
    return None if ends[0] == ends[1] else ends[1]


class _Form:
    """Forms of a trace's calls that are equal for equal calls: a Value is the number of the call that made it."""

    def __init__(self, trace: Trace):
        given = [*trace.inputs, *(value for _, value in trace.used_gradients)]
        self.numbers = {id(value): i for i, value in enumerate(given)}

    def of_call(self, call: Any) -> Any:
        if isinstance(call, Guard):
            return self.of(call.value), call.answer
        form = call.function, self.of((call.arguments, call.options))
        if call.result is None:
            return form
        self.numbers[id(call.result)] = len(self.numbers)
        array = call.result.array
        return *form, array.shape, array.strides, array.dtype

    def of(self, x: Any) -> Any:
        return replaced(x, self._leaf)

    def _leaf(self, x: Any) -> Any:
        if type(x) is Value:
            if x.origin == "number":
                return self._leaf(x.array)
            if x.origin == "state" and id(x) not in self.numbers:
                return _Array(x.array), x.array.shape, x.array.strides, x.array.dtype
            return self.numbers.setdefault(id(x), len(self.numbers))
        if type(x) is Result:
            return x.is_tensor, self._leaf(x.value)
        if type(x) is Number:
            return x.function, self.of(x.operands)
        return type(x), x if type(x) in (int, str) else _Same(x)


class _Same:
    """A plain value, equal to itself even if it is NaN."""

    def __init__(self, x: Any):
        self.x = x

    def __eq__(self, other: Any) -> bool:
        return bool(self.x is other.x or self.x == other.x or (self.x != self.x and other.x != other.x))


class _Array:
    """An array from outside: equal to itself, and to one with the same bytes."""

    def __init__(self, array: Any):
        self.array = array

    def __eq__(self, other: Any) -> bool:
        return self.array is other.array or to_numpy(self.array).tobytes() == to_numpy(other.array).tobytes()
