"""Many processes train one model: each takes its rows of every batch, and MPI sums the gradients.

    group = tg.parallel.Group()                       # mpiexec -n 4 python train.py: one of 4; without mpiexec, alone
    loader = DataLoader(mnist("train"), 512, shuffle=True, group=group)
    group.broadcast(model, optimizer)                 # all begin with the numbers of rank 0
    for images, labels in loader:                     # 128 rows in each process
        optimizer.zero_grad()
        loss = loss_function(model(images), labels)   # the mean over these rows
        loss.backward()                               # the gradient of the mean over all 512 rows
        optimizer.step()                              # the same step in each process
        losses.append(group.mean(loss))               # over all 512 rows

Every process runs the same lines. `backward()` sums the gradients before it adds to any `.grad`: so clipping sees the
gradient of the whole batch, and gradients of several batches add up. All gradients are one vector, and each `.grad` is
a view of the sum. `gradient_sums` has the formula.

A loss of your own must be a mean over its rows. Those of `nn` are right with "mean", also over some of the rows, and
with "sum", that of the whole batch. No forward sends a message: a loss is that of its own rows. `tg.grad` sums nothing.
"""

import copy
import sys
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from tinygrad_sm import shares
from tinygrad_sm.backend import is_array, to_numpy
from tinygrad_sm.engine import backward
from tinygrad_sm.engine.tape import data_of
from tinygrad_sm.engine.versions import next_number
from tinygrad_sm.errors import GroupError
from tinygrad_sm.gradient_sums import GradientSums
from tinygrad_sm.processes import Processes
from tinygrad_sm.random import get_rng_state, set_rng_state
from tinygrad_sm.tensors import Tensor

__all__ = ["Group"]


class Group:
    """The processes that mpiexec or srun has started together; without them, this process alone.

    rank, size : the number of this process, from 0, and how many there are
    communicator : one of mpi4py's, None for that of all processes

    All processes make their Group before anything that may fail, and use it in that thread alone. Where there are
    several, from here on an exception in one ends all, and so does one that ends while others wait for it.

    >>> group = Group()
    >>> group.rank, group.size, group.mean(2.5)
    (0, 1, 2.5)
    """

    def __init__(self, communicator: Any = None):
        if shares.current is not None:
            raise GroupError("Group: there is one already, which shares every batch: make one for the whole program")
        self.processes = Processes(communicator)
        self.rank, self.size = self.processes.rank, self.processes.size
        self._sums = GradientSums(self.processes)
        if self.size > 1:
            shares.current, shares.once = shares.Part(0, 0, self.size, 1), self.processes.by_rank_0
            backward.sum_over_processes = self._sums

    def __deepcopy__(self, memo: Any) -> "Group":
        return self

    def __reduce__(self) -> Any:
        raise TypeError("a Group belongs to its process, and cannot be pickled: set loader.group = None before")

    def begin(self, part: shares.Part) -> None:
        """Take what follows as computed from this part of a batch, until a loader gives the next one."""
        shares.current = part._replace(since=next_number())

    def end(self) -> None:
        """Take what follows as computed after the last batch of an epoch."""
        if shares.current:
            shares.current = shares.current._replace(is_over=True)

    def mean(self, x: Any) -> Any:
        """Return the mean over the whole batch of what is, in each process, a mean over its rows: a number or array.

        For the loss of a `backward()` this takes no message: it was summed with the gradients. A loss of nn is weighted
        by what it was divided by, and one with reduction="sum" is summed.
        """
        if id(x) in self._sums.means:
            _, mean = self._sums.means[id(x)]
            return np.full(np.shape(x), mean) if np.ndim(x) else mean
        return self._combined("mean", x, lambda own: self._sums.note_of(x) or shares.Note(own(), is_mean=True))

    def sum(self, x: Any) -> Any:
        """Return the sum over the whole batch of what is, in each process, a sum over its rows, as their number."""
        return self._combined("sum", x, lambda own: shares.Note(min(own(), 1), is_mean=False))

    def _combined(self, kind: str, x: Any, note_of: Callable[[Any], shares.Note]) -> Any:
        given = np.asarray(to_numpy(data_of(x)) if is_array(data_of(x)) else x)
        values: Any = given.astype(np.float64)
        if shares.current is not None:
            note, caller = note_of(shares.current.own_rows), sys._getframe(2)
            weight = float(note.weight)
            sums = np.append(weight * values if weight else np.zeros_like(values), weight)
            place = f"line {caller.f_lineno} of {caller.f_code.co_name}, {self._sums.place()}"
            self.processes.sum(sums, f"group.{kind} in {place}, {values.size} numbers")
            values = sums[:-1].reshape(values.shape) / note.divisor(sums[-1])
        values = values.astype(np.int64 if kind == "sum" and given.dtype.kind in "biu" else np.float64)
        return values if values.ndim else values.item()

    def broadcast(self, *things: Any) -> None:
        """Give all processes the states of rank 0: of Modules, Tensors, optimizers and loaders; and the random draws.

        From here on `backward()` sums the gradients of these Modules and Tensors. Raises GroupError in all processes if
        the states do not fit in one; nothing has changed then.
        """
        if self.size == 1:
            return
        before, fault = copy.deepcopy((list(map(_state_of, things)), get_rng_state())), None
        states, draws = self.processes.of_rank_0(before, "broadcast")
        try:
            if len(things) != len(states):
                raise ValueError(f"expected {len(states)} things, as there, got {len(things)}")
            _set_states(things, states, draws)
            for own, there in zip(before[0], states, strict=True):
                if isinstance(own, dict) and list(own) != list(there):  # gradients are summed in this order
                    raise ValueError(f"expected the order {', '.join(there)}, as there, got {', '.join(own)}")
        except (TypeError, ValueError) as error:
            fault = str(error)
        try:
            self.processes.refuse("broadcast", fault)
        except GroupError:
            _set_states(things, *before)
            raise
        for thing in things:
            parameters = [thing] if isinstance(thing, Tensor) else [*getattr(thing, "parameters", list)()]
            self._sums.models.append([parameter for parameter in parameters if id(parameter) not in shares.summed])
            shares.summed.update(map(id, parameters))

    def check_equal(self, *things: Any) -> None:
        """Raise GroupError, with the first difference, unless things, and draws, have the same bits in each process."""
        self.processes.refuse_unequal("check_equal", [*map(_state_of, things), get_rng_state()])


def _state_of(thing: Any) -> Any:
    return to_numpy(thing.data) if isinstance(thing, Tensor) else thing.state_dict()


def _set_states(things: Iterable[Any], states: Iterable[Any], draws: Any) -> None:
    for thing, state in zip(things, states, strict=True):
        (thing.assign if isinstance(thing, Tensor) else thing.load_state_dict)(state)
    set_rng_state(draws)
