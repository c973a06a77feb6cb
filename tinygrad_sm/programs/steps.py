"""`compiled`: a step that runs as a program from its third call on."""

import functools
import threading
import warnings
from collections.abc import Callable
from types import MethodType
from typing import Any, Generic, ParamSpec, TypeVar

import numpy as np

from tinygrad_sm import random, shares
from tinygrad_sm.backend import HostArray, is_array
from tinygrad_sm.engine.mode import innermost_block
from tinygrad_sm.engine.tape import Traced, data_of
from tinygrad_sm.errors import user_line
from tinygrad_sm.programs.arrays import name_of
from tinygrad_sm.programs.program import GuardError, Program
from tinygrad_sm.programs.recording import RECORDING, Call, Guard, current
from tinygrad_sm.programs.text import identifier
from tinygrad_sm.programs.tracing import Trace, difference, made
from tinygrad_sm.programs.watch import PLAIN, Watch, are_equal
from tinygrad_sm.structures import leaves_of

MOST_PROGRAMS = 16
"""A step keeps so many programs; the one that was not used for longest goes."""

MOST_CHANGES, MOST_IN_VAIN, MOST_FAILURES = 2, 40, 10
"""So often in turn a step may change a plain value, be recorded in vain, or have its program raise an exception."""

MOST_PENDING = 4
"""It keeps so many recordings that were made once, with their arrays."""


P = ParamSpec("P")
R = TypeVar("R")


class _Case:
    """A recorded run of a step, with the conditions under which a program of it may run; then also the program."""

    def __init__(self, trace: Trace, watch: Watch, then: list[Any], signature: Any):
        self.trace: Any = trace
        self.watch = watch
        self.then = then
        self.ids = list(map(id, then))
        self.signature = signature
        self.returned = trace.returned
        self.needed = [(t, _layout(grad)) for t, grad, is_needed in trace.gradients if is_needed]
        self.program: Any = None

    def make_program(self, memory: Callable[[int], Any]) -> None:
        trace, self.trace = self.trace, None
        inputs = {id(value): name for value, name in zip(trace.inputs, trace.names, strict=True)}
        self.program = Program(trace, memory, _names_of_state(self.watch) | inputs)

    def fits(self, signature: Any) -> bool:
        """Whether the arguments, and all else that the step depends on, are as they were."""
        if signature != self.signature:
            return False
        now = self.watch.now()
        if self.ids != (ids := list(map(id, now))):
            if not are_equal(self.then, now):
                return False
            self.then, self.ids = now, ids
        return all(_layout(t.grad) == layout for t, layout in self.needed)

    def run(self, arrays: list[Any]) -> Any:
        """Run the program; return what the step returns."""
        draws = random.get_rng_state() if self.program.draws else None
        try:
            self.program.run(arrays)
        except GuardError:
            if draws is not None:
                random.set_rng_state(draws)
            raise
        return made(self.returned, self.program.array_of)

    def answers(self) -> list[bool]:
        """Return the answers to the questions about values."""
        return [call.answer for call in self.trace.recording.calls if isinstance(call, Guard)]


class CompiledStep(Generic[P, R]):
    """A step that runs as a program; see `compiled`."""

    def __init__(self, step: Callable[P, R]):
        functools.update_wrapper(self, step)
        self.step = step
        self.why_eager: str | None = None
        self._cases: list[_Case] = []  # the one that was used last comes first
        self._pending: list[_Case] = []
        self._lock = threading.RLock()
        self._block = np.empty(0, np.uint8)
        self._in_vain = self._changing = self._failures = 0  # recordings, changes and exceptions since a program ran

    def __get__(self, instance: Any, owner: type) -> Any:
        """Act as a method in a class, as functions do."""
        return self if instance is None else MethodType(self, instance)

    @property
    def program(self) -> Program | None:
        """The program that ran last, None before the third call."""
        return self._cases[0].program if self._cases else None

    def __reduce__(self) -> Any:
        return compiled, (self.step,)

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> R:
        record, observers = innermost_block().value
        if self.why_eager is None and shares.current is not None:
            self._stop_recording("several processes sum their gradients in it, which is no call of the program", None)
        if self.why_eager is not None or observers or current() is not None:
            return self.step(*args, **kwargs)
        with self._lock:
            arrays: list[Any] = []
            signature = [record, *[_signature(x, arrays) for x in args]]
            if kwargs:
                signature.append(_signature(kwargs, arrays))
            if len(set(map(id, arrays))) < len(arrays):  # one array for two arguments
                signature.append([list(map(id, arrays)).index(id(x)) for x in arrays])
            for i, case in enumerate(self._cases):
                if case.fits(signature):
                    try:
                        result = case.run(arrays)
                    except GuardError as error:
                        self._failures += error.__cause__ is not None
                        continue
                    if i:
                        self._cases.insert(0, self._cases.pop(i))
                    self._in_vain = self._failures = 0
                    return result
            with RECORDING:
                return self._record(args, kwargs, signature)

    def _record(self, args: Any, kwargs: Any, signature: Any) -> Any:
        """Run the step once, recorded, and make a program of it if an earlier recording was the same."""
        watch = Watch(self.step, *(x for x in leaves_of((args, kwargs)) if not is_array(data_of(x))))
        then = watch.now()
        trace = Trace(self.step, args, kwargs, watch)
        self._in_vain += 1
        self._changing = self._changing + 1 if trace.changes_values else 0
        if trace.recording.refusal is not None:
            self._stop_recording(*trace.recording.refusal)
        elif self._changing == MOST_CHANGES:
            self._stop_recording("the step changes a plain value each time, such as a counter: do that outside", None)
        elif self._in_vain == MOST_IN_VAIN:
            self._stop_recording(f"something that it depends on differs in each of {MOST_IN_VAIN} calls", None)
        elif self._failures == MOST_FAILURES:
            self._stop_recording(f"its program raised an exception in {MOST_FAILURES} calls, one after the other", None)
        elif not (trace.makes_state or trace.changes_values):
            self._compare(_Case(trace, watch, then, signature))
        return trace.result()

    def _compare(self, case: _Case) -> None:
        """Make a program of a recording that is the same as an earlier one, else keep it for later ones."""
        for other in self._pending:
            if (
                other.signature == case.signature
                and are_equal(other.then, case.then)
                and other.answers() == case.answers()
            ):
                found = difference(other.trace, case.trace)
                if found is None:
                    case.make_program(self._memory)
                    if case.program.late_guard is not None:
                        line = case.program.late_guard.place[2]
                        self._stop_recording("it asks about values after it has changed parameters: ask before", line)
                        return
                    self._pending.remove(other)
                    self._cases = [case, *self._cases][:MOST_PROGRAMS]
                    return
                if _same_gradients(other, case):
                    name = name_of(found.function) if isinstance(found, Call) else "the result"
                    line = found.place[2] if isinstance(found, Call) else None
                    self._stop_recording(f"{name} has numbers that differ from call to call: make them arguments", line)
                    return
        self._pending = [case, *self._pending][:MOST_PENDING]

    def _memory(self, size: int) -> Any:
        """Return the block of memory that all programs of this step share."""
        if size > self._block.size:
            self._block = np.empty(size, np.uint8)
        return self._block

    def _stop_recording(self, why: str, line: Any) -> None:
        """Run as written from now on, and say once why."""
        self.why_eager, self._cases, self._pending = why, [], []
        line = line or user_line()
        name = getattr(self.step, "__name__", repr(self.step))
        message = f"compiled: {name} runs as it is written, not as a program: {why}"
        warnings.warn_explicit(message, UserWarning, line.filename, line.lineno, registry=line.registry)


def compiled(step: Callable[P, R]) -> CompiledStep[P, R]:
    """Return a step that runs as a program: the list of the calls of NumPy, or CuPy, that it makes.

        @tg.compiled
        def step(images, labels):
            loss = loss_function(model(images), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss

        for images, labels in loader:
            loss = step(images, labels)
        print(step.program)  # forward, backward and update, as one would write them by hand

    The first two calls run as they are written, on arrays that write down what is asked of them; both must ask the
    same, with the same constants. From the third call on, that list runs again without the framework, in the memory of
    the recorded call, with the same numbers on the host, bit for bit. Optimizers with a state need one call more.

    A program is right for arguments of the same shapes, dtypes and layouts, and while nothing else has changed that the
    step depends on: plain values in its closure, its globals and the attributes of the objects that these lead to,
    Modules and optimizers among them; which arrays parameters have; the answers to questions about values, such as
    `if loss > 1`. Where something has changed, the step runs as it is written, and is recorded anew. Learning rates are
    read at each call. At most 16 programs are kept.

    What a program cannot do is refused, with one warning that names the line; the step then always runs as it is
    written, and `why_eager` says why. So are: numbers read out of arrays, as by `item()`; results that are kept in
    other ways than by `return`; counters; hooks and observers inside; questions about what depends on a change of
    parameters in the same call.

    Results are copies, without history; NumPy's numbers come as arrays of no axes. The gradients are valid until the
    next call. What else Python does in a step, such as printing, or setting `np.errstate`, is done in recorded calls
    only; and there a learning rate is no float, but an object that computes as one. What stands in lists of more than
    1,000 elements, and numbers that are read out of NumPy's own arrays, are taken to stay as they were.

    Raises what the step raises. `step.program` is the Program that ran last; its text runs by itself, in a namespace
    that holds what `step.program.given()` returns.

    >>> import tinygrad_sm as tg
    >>> @tg.compiled
    ... def step(x):
    ...     return tg.sum(x * x)
    >>> [step(np.array([1.0, i])).item() for i in range(4)]
    [1.0, 2.0, 5.0, 10.0]
    """
    return CompiledStep(step)


def _layout(array: Any) -> Any:
    return None if array is None else (type(array), array.shape, array.strides, array.dtype)


def _names_of_state(watch: Watch) -> dict[int, str]:
    """Return names for the arrays of Tensors and optimizers, by their ids: the paths of parameters are in them."""
    names: dict[int, str] = {}
    for i, t in enumerate(watch.tensors):
        path = identifier(t.name or f"tensor_{i}")
        names[id(t.data)] = f"model_{path}" if path[0].isdigit() else path
        if t.grad is not None:
            names[id(t.grad)] = f"grad_{path}"
    for slot in (slot for optimizer in watch.optimizers for slot in optimizer._slots):
        path = identifier(slot.parameter.name or "parameter")
        names |= {id(x): f"{name}_{path}" for name, x in slot.state.items() if is_array(x)}
    return names


def _same_gradients(one: _Case, other: _Case) -> bool:
    """Whether the same Tensors had gradients when the two runs began."""
    before = [[grad is None for _, grad, _ in case.trace.gradients] for case in (one, other)]
    return before[0] == before[1]


def _signature(x: Any, arrays: list[Any]) -> Any:
    """Return what a program depends on in an argument, and append the arrays in it to the list."""
    if type(x) is HostArray:
        arrays.append(x)
        return x.shape, x.strides, x.dtype
    if isinstance(x, Traced):
        return Traced, x.requires_grad, _signature(x.data, arrays)
    if is_array(x):
        arrays.append(x)
        return type(x), x.shape, x.strides, x.dtype, x.device
    if type(x) is list or isinstance(x, tuple):
        return type(x), [_signature(part, arrays) for part in x]
    if type(x) is dict:
        return dict, [(name, _signature(part, arrays)) for name, part in x.items()]
    return (type(x), repr(x)) if isinstance(x, (*PLAIN, slice)) else (type(x), id(x))  # 0.0 is not −0.0
