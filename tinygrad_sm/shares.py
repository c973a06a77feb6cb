"""What a process knows of its share where several train one model; `parallel` sets it and asks it, `nn` reads it.

    current             # the part of the batch that a loader gave last, None where one process trains alone
    notes[loss.node]    # what a loss of nn was divided by: Note(weight=128, is_mean=True)

Nothing here sends a message. So a forward computes what it computes in one process, on the rows of its own.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

from tinygrad_sm.errors import GradientError
from tinygrad_sm.random import random_generator


class Part(NamedTuple):
    """The rows of a batch that a process gets: those from `start` to `stop`, of so many `rows`.

    own : how many of the rows these are. It is 0 where there is no row for a process. Such a process gets the first.
    number : how many batches of its epoch came before.  since : what is computed from it has larger sequence numbers
    is_over : whether it was the last of its epoch, and its loader has been asked for one more
    """

    start: int
    stop: int
    rows: int
    own: int
    epoch: int = 0
    number: int = 0
    since: int = 0
    is_over: bool = False

    def own_rows(self) -> int:
        """Return how many rows of the batch this process has, by which it weights what it computes from them.

        GradientError if it has none and the batch is over: what is computed then may be of other rows, which count.
        """
        if self.is_over and not self.own:
            raise GradientError(
                "the last batch had no row for this process, and its loader is at the end: what is computed now, from "
                "other rows, would count for nothing: make the loader with drop_last=True, or compute it before the "
                "next batch is asked for, or under no_grad() if it is no loss of the training"
            )
        return self.own


class Note(NamedTuple):
    """How a loss of nn and those of the other processes make one of the whole batch: Σ weight · loss / divisor.

    weight : of a mean, what this process has divided by; of a sum, 1. It is 0 where no row of the batch is its own.
    """

    weight: Any
    is_mean: bool

    def divisor(self, total: float) -> float:
        """Return the divisor, from Σ weight; without any row or label the loss is 0, and so shall be the mean."""
        return total if self.is_mean and total else 1.0


current: Part | None = None

notes: WeakKeyDictionary[Any, Note] = WeakKeyDictionary()
"""By the node of a loss: nodes compare by identity, and are there as long as the loss is."""

summed: set[int] = set()
"""The ids of the parameters whose gradients `backward()` sums over the processes; their Group keeps them alive."""


def once(name: str, action: Callable[[], None]) -> None:
    """Act in one process for all, and return when that is done; the name says what it is."""
    action()


steps = 0
last_rates: list[Any] = []
"""How many steps the optimizers of this process have taken, and the rates of the last one: where processes differ in
these, their parameters do."""


def count_step(parameters: Iterable[Any], groups: Iterable[dict[str, Any]]) -> None:
    """Count a step of these parameters; GradientError if the processes would train one apart from each other."""
    global steps, last_rates
    for parameter in parameters:
        if id(parameter) not in summed:
            raise GradientError(
                f"step: {parameter.name or 'a parameter'} was not broadcast, so each process would train it alone: "
                "call group.broadcast(model, optimizer) before the training"
            )
    steps, last_rates = steps + 1, [group.get("lr") for group in groups]


def uniform_draws(shape: tuple[int, ...]) -> Any:
    """Return draws from [0, 1), on the host; for rows of a batch, those that one process alone would draw for them."""
    generator = random_generator()
    rows = 0 if current is None else current.stop - current.start
    if current is None or not rows or not shape or shape[0] % rows:  # no axis of rows: the same draws in all processes
        return generator.random(shape)
    per_row = math.prod(shape) // rows
    bits: Any = generator.bit_generator  # each draw takes one step of it
    half = {name: bits.state[name] for name in ("has_uint32", "uinteger")}  # of a step, which `advance` throws away
    bits.advance(current.start * per_row)
    draws = generator.random(shape)
    bits.advance((current.rows - current.stop) * per_row)
    bits.state = {**bits.state, **half}
    return draws
