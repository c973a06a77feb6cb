"""Recorded arrays in the place of those of Tensors and optimizers, while a step is recorded.

Afterwards the old arrays are in their places, which the step has changed; gradients are those that it has computed.
"""

from functools import cache, partial
from math import inf
from operator import setitem
from typing import Any

import numpy as np

from tinygrad_sm import random
from tinygrad_sm.backend import is_array
from tinygrad_sm.engine.versions import write_all
from tinygrad_sm.programs.arrays import Number, number_now, plain_of, record, recorded, value_of
from tinygrad_sm.programs.recording import Call, Recording, current
from tinygrad_sm.programs.watch import Watch


class Swapped:
    """A block of code in which the Tensors and optimizers of a watch hold recorded arrays.

    effects : after the block, calls that make what it has replaced: gradients, and the state of optimizers.
    gradients : of each Tensor before the block, and whether the block needed it: (Tensor, array or None, whether).
    makes_state : whether an optimizer has made its first state there, as it does only once.
    """

    def __init__(self, recording: Recording, watch: Watch):
        self.recording = recording
        for optimizer in watch.optimizers:
            optimizer._check_groups()  # as a step does if something was set there
        self.optimizers = [(optimizer, optimizer._checked_groups) for optimizer in watch.optimizers]
        self.tensors = [(t, t.data, t.grad) for t in watch.tensors]
        self.slots = [(slot, slot.state, slot.scratch) for o in watch.optimizers for slot in o._slots]
        self.groups = [(group, dict(group)) for o in watch.optimizers for group in o.param_groups]
        self.known = {id(x) for _, *arrays in self.tensors for x in arrays}
        self.known |= {id(x) for _, state, _ in self.slots for x in state.values()}
        self.effects: list[tuple[Any, ...]] = []
        self.gradients: list[tuple[Any, Any, bool]] = []
        self.makes_state = False

    def _recorded(self, x: Any) -> Any:
        return recorded(self.recording, x, "state") if is_array(x) else x

    def __enter__(self) -> "Swapped":
        return self

    def swap(self) -> None:
        """Put recorded arrays, and numbers that are read at each call, in the places; in the block, which ends it."""
        writes: list[tuple[Any, ...]] = []
        for t, data, grad in self.tensors:
            writes += (setattr, t, "data", self._recorded(data)), (setattr, t, "grad", self._recorded(grad))
        for slot, state, _ in self.slots:
            swapped = {
                name: Number(_state, slot, name) if type(x) in (int, float) else self._recorded(x)
                for name, x in state.items()
            }
            writes += (setattr, slot, "state", swapped), (setattr, slot, "scratch", {})
        writes += [(setitem, group, "lr", Number(_option, group, "lr")) for group, _ in self.groups if "lr" in group]
        writes += [(setattr, optimizer, "_checked_groups", _Unchanged()) for optimizer, _ in self.optimizers]
        write_all(writes)

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        used = {id(v) for call in self.recording.calls if isinstance(call, Call) for v in call.reads()}
        for t, data, grad in self.tensors:
            self._restore_tensor(t, data, grad, used)
        for slot, state, scratch in self.slots:
            self._restore_state(slot, state)
            slot.scratch = scratch
        for group, before in self.groups:
            for name, x in group.items():
                if isinstance(x, Number) and x.function is _option:
                    group[name] = before[name]
                elif x is not before.get(name):
                    self.recording.refuse(f"the step changes the option {name} of an optimizer: do that outside")
                    group[name] = number_now(x)
        for optimizer, checked in self.optimizers:
            optimizer._checked_groups = checked

    def _restore_tensor(self, t: Any, data: Any, grad: Any, used: set[int]) -> None:
        if plain_of(t.data) is not data:
            self.recording.refuse("the step gives a Tensor another array: change it in place, as assign does")
            data = plain_of(t.data)
        is_replaced = plain_of(t.grad) is not grad
        is_used = id(self.recording.state(grad)) in used if grad is not None else is_replaced
        self.gradients.append((t, grad, is_used))
        if is_replaced:
            self.effects.append((setattr, t, "grad", value_of(self.recording, t.grad)))
        t.data, t.grad = data, plain_of(t.grad)

    def _restore_state(self, slot: Any, state: dict[str, Any]) -> None:
        """Write what the step has put into a new state, or into its own, into the arrays of the old state."""
        for name, x in slot.state.items():
            if name not in state:
                self.makes_state = True
                state[name] = plain_of(x)
            elif isinstance(x, Number) and x.function is not _state:
                self.effects.append((setitem, state, name, self.recording.number(x)))
                state[name] = x.value
            elif is_array(x) and plain_of(x) is not state[name]:
                self.effects.append((np.copyto, self.recording.state(state[name]), value_of(self.recording, x)))
                state[name][...] = plain_of(x)
        slot.state = state


class _Unchanged:
    """What an optimizer takes for the contents of its groups when they were last checked, whatever they are."""

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = None  # type: ignore[assignment]


def _option(group: dict[str, Any], name: str) -> Any:
    """Return the option; ValueError where the optimizer would refuse it, or make another number of it."""
    value = group[name]
    if isinstance(value, Number):
        return value.value
    if type(value) is not float or not 0 <= value < inf:
        raise ValueError(f"{name} is {value!r}")
    return value


def _state(slot: Any, name: str) -> Any:
    return number_now(slot.state[name])


class Draws:
    """The generator of random draws, recorded."""

    def __init__(self, generator: Any):
        self._generator = generator

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._generator, name)
        if callable(method):
            return partial(_record_draw, name)
        if (recording := current()) is not None:
            recording.refuse("the step reads the state of the random draws: do that outside of it")
        return method


def _record_draw(name: str, *args: Any, **kwargs: Any) -> Any:
    with random.watched(None):
        return record(_draw(name), *args, **kwargs)


class _Draw:
    """A method of the generator of random draws, the one that is there when it is called."""

    draws = True

    def __init__(self, name: str):
        self.__name__ = name

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return getattr(random.random_generator(), self.__name__)(*args, **kwargs)


_draw = cache(_Draw)
