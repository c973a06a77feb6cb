"""Random numbers: the one generator of all draws.

    manual_seed(0)
    random_generator().random(3)    # the same three numbers after each manual_seed(0)

    state = get_rng_state()
    set_rng_state(state)            # from here on the draws that followed `state` come again

It draws on the host, so that a seed means the same on every device. A process that is forked draws other numbers than
its parent and its siblings: its seed is made from the parent's state and the number of forks before it. So the same
program, with the same seed, forks processes that draw the same in each run, and the parent draws as if it had not
forked. A process that is started in another way (multiprocessing's "spawn") imports everything anew: seed it there.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np

from tinygrad_sm.errors import shown

_generator: np.random.Generator | None = None  # made when first used: NumPy imports its random numbers only then

_forks = 0
"""How many processes were forked since the generator was seeded or its state set."""


def manual_seed(seed: int) -> None:
    """Seed all random draws from here on: initial parameters, dropout, `rand` and `randn`."""
    global _generator, _forks
    _generator, _forks = np.random.default_rng(seed), 0


def random_generator() -> np.random.Generator:
    """Return the one generator of all draws."""
    global _generator
    if _generator is None:
        _generator = np.random.default_rng()
    stand_in = _watched.get()
    return _generator if stand_in is None else stand_in(_generator)


_watched: ContextVar[Callable[[np.random.Generator], Any] | None] = ContextVar("tinygrad_sm.random", default=None)


@contextmanager
def watched(stand_in: Callable[[np.random.Generator], Any] | None) -> Iterator[None]:
    """Let `random_generator` return what a function makes of the generator, for a block of code of this thread."""
    token = _watched.set(stand_in)
    try:
        yield
    finally:
        _watched.reset(token)


def get_rng_state() -> dict[str, Any]:
    """Return the state of the random draws, as plain numbers that JSON and `nn.save` hold.

    It is NumPy's state of the generator and, as `forks`, the number of forks, which decides what the next forked
    process draws. `nn.save` with an optimizer saves it, so it is needed only for what goes on in another way.

    >>> manual_seed(0)
    >>> state = get_rng_state()
    >>> first = random_generator().random()
    >>> set_rng_state(state)
    >>> random_generator().random() == first
    True
    """
    return {**random_generator().bit_generator.state, "forks": _forks}


def set_rng_state(state: dict[str, Any]) -> None:
    """Go on with the random draws from a state of `get_rng_state`; ValueError, and nothing changes, if it is none."""
    write, variables = rng_write(state)
    write(variables)


def rng_write(state: Any) -> tuple[Callable[[Any], None], dict[str, Any]]:
    """Return the function of C, and its argument, that go on from a state; ValueError if it is none.

    A state without `forks` is of a process without forks.
    """
    try:
        numpys = dict(state)
        forks = numpys.pop("forks", 0)
        generator = np.random.default_rng(0)
        generator.bit_generator.state = numpys
        # NumPy cuts fractions off and passes over what it does not know.
        fits = generator.bit_generator.state == numpys and type(forks) is int and forks >= 0
        reason = "" if fits else ": it has parts that are no whole numbers, or unknown"
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        reason = f": {type(error).__name__}: {shown(str(error), 200)}"
    if reason:
        raise ValueError(
            f"expected a state of the random draws, as get_rng_state returns it, got {shown(repr(state), 300)}{reason}"
        )
    return globals().update, {"_generator": generator, "_forks": forks}


_FORKING: Any = threading.RLock()
"""Held from before a fork until after it: two threads that fork at once would take one seed for both children."""

_seeds: list[np.random.SeedSequence | None] = []
"""The seeds of children about to be forked. There are two if a signal handler forks while a fork begins."""


def _before_fork() -> None:
    """Make the child's seed, in the parent, so that the next fork counts this one."""
    global _forks
    _FORKING.acquire()
    seed = None
    if _generator is not None:
        state = random_generator().bit_generator.state
        numbers = [*state["state"].values(), state["has_uint32"], state["uinteger"]]
        seed = np.random.SeedSequence(numbers, spawn_key=(_forks,))
        _forks += 1
    _seeds.append(seed)


def _after_fork_in_parent() -> None:
    del _seeds[-1:]
    _FORKING.release()


def _after_fork_in_child() -> None:
    """Make the child's generator; without a seed the child makes one when it first draws, as any new process does.

    The parent's is left: if a thread was drawing from it, its lock is never released here.
    """
    global _generator, _forks
    seed = _seeds[-1] if _seeds else None
    _seeds.clear()
    _generator, _forks = None if seed is None else np.random.default_rng(seed), 0
    _FORKING._at_fork_reinit()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(before=_before_fork, after_in_parent=_after_fork_in_parent, after_in_child=_after_fork_in_child)
