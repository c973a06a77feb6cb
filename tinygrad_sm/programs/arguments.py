"""What a step is given, as recorded arrays, and whether it changes more than arrays, Tensors and optimizers."""

import random as python_random
from collections.abc import Iterator
from typing import Any

import numpy as np

from tinygrad_sm import random
from tinygrad_sm.backend import HostArray, is_array
from tinygrad_sm.engine.tape import Traced, data_of
from tinygrad_sm.programs.arrays import RecordedArray, plain_of, recorded
from tinygrad_sm.programs.recording import Recording, Value
from tinygrad_sm.programs.watch import Watch
from tinygrad_sm.structures import is_nested, rebuilt
from tinygrad_sm.tensors import Tensor

MOST_BYTES = 2**24
"""Larger arrays that no Tensor holds are not compared before and after a recorded call."""


class Arguments:
    """The arguments of a step: the step gets lists, dicts and Tensors of its own, of recorded arrays.

    inputs : gets the Values of the arrays, in order.
    """

    def __init__(self, recording: Recording, inputs: list[Value]):
        self.recording = recording
        self.inputs = inputs
        self._containers: list[tuple[Any, Any, list[Any]]] = []  # the caller's, the step's, and what was in it
        self._tensors: list[tuple[Any, Any]] = []  # the caller's and the step's

    def given(self, x: Any) -> Any:
        """Return what the step gets for an argument."""
        if not is_nested(x):
            return self._leaf(x)
        if isinstance(x, tuple):
            return rebuilt(x, [self.given(part) for part in x])
        own = {name: self.given(part) for name, part in x.items()} if type(x) is dict else [self.given(p) for p in x]
        self._containers.append((x, own, _parts(own)))
        return own

    def _leaf(self, x: Any) -> Any:
        data = data_of(x)
        if not is_array(data):
            return x
        if isinstance(x, Traced) and x.requires_grad:
            self.recording.refuse("an argument is a Tensor that requires a gradient: give its .detach()")
            return x
        array = recorded(self.recording, data, "input")
        self.inputs.append(array.value)
        if not isinstance(x, Traced):
            return array
        tensor = Tensor(array)
        self._tensors.append((x, tensor))
        return tensor

    def changes(self) -> Iterator[str]:
        """Yield what the step has changed that a program cannot change, after changing the caller's too."""
        for tensor, own in self._tensors:
            if own.requires_grad or own.grad is not None or own.name is not None:
                yield "the step sets an attribute of a Tensor that it is given: make that Tensor in the step"
                tensor._requires_grad, tensor.hooks, tensor.name = own._requires_grad, own.hooks, own.name
                tensor.grad = plain_of(own.grad)
        for container, own, parts in self._containers:
            now = _parts(own)
            if len(now) != len(parts) or any(a is not b for a, b in zip(now, parts, strict=True)):
                yield "the step changes a list or a dict that it is given: return the new values"
                if type(own) is dict:
                    container.clear()
                    container.update({name: self._back(part) for name, part in own.items()})
                else:
                    container[:] = map(self._back, own)

    def forget(self) -> None:
        """Let the recorded arrays go."""
        self._containers, self._tensors = [], []

    def _back(self, x: Any) -> Any:
        """Return what the caller has in the place of something of the step's."""
        for theirs, own in [*self._tensors, *(pair[:2] for pair in self._containers)]:
            if x is own:
                return theirs
        if isinstance(x, Traced) and isinstance(x.data, RecordedArray):
            x.data = x.data.array
        return plain_of(x)


def _parts(container: Any) -> list[Any]:
    return [*container, *container.values()] if type(container) is dict else list(container)


class Surroundings:
    """The states of random numbers, and arrays that no Tensor holds, before a recorded call."""

    def __init__(self, watch: Watch):
        self.watch = watch
        self._generator = random.random_generator()
        self._states = self._now()
        self._arrays = [x for x in watch.arrays if type(x) is HostArray and x.nbytes <= MOST_BYTES]
        self._contents = [x.tobytes() for x in self._arrays]

    def _now(self) -> list[Any]:
        return [
            python_random.getstate(),
            repr(np.random.get_state()),  # noqa: NPY002  those who draw from it are to be noticed
            *(repr(generator.bit_generator.state) for generator in self.watch.generators),
        ]

    def changes(self) -> Iterator[str]:
        """Yield what has changed that a program does not change."""
        if self._now() != self._states:
            yield "the step draws random numbers that are not tinygrad_sm's: draw them outside, or with tg.rand"
        if random.random_generator() is not self._generator:
            yield "the step sets the state of the random draws: do that outside of it"
        if self.watch.iterators:
            yield "the step uses an iterator, which gives something else each time: make what it gives an argument"
        if [x.tobytes() for x in self._arrays] != self._contents:
            yield "the step changes an array that no Module, Tensor or optimizer there holds"
