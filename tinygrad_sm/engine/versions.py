"""Memory: when the arrays of leaves were last changed in place, so that the tape can refuse a stale record.

    loss = (weight * x).sum()
    weight.assign(new)
    loss.backward()  # the rule of multiply for x would compute with the new weight: refused

One counter numbers leaves, nodes and changes as they occur. Every value has a memory, which holds the number of its
array's last change; a node has the number at which its forward began, and is stale if an operand changed after that.
While an array is being changed, its memory holds ∞: what another thread computes meanwhile, from some old elements and
some new ones, is therefore stale too.

Whoever changes several things prepares the new values first, and then writes them all with one `write_all`:

    write_all([(operator.setitem, w.data, ..., new), (setattr, slot, "state", state)])

Python runs signal handlers, and so raises KeyboardInterrupt, only between instructions of Python. All writes are one
instruction, so Ctrl-C finds all of them done, or none. A function of Python among them would end that.

Two cases remain in which some are done and some are not. Preparing does what needs much memory, but a write of C may
itself find none for a small object, or for the buffer in which NumPy casts between two dtypes; no write can be undone
without memory either. And CuPy is partly written in Python: it compiles a kernel when it is first launched, so Ctrl-C
in the first step of a training may come between the parameters of two dtypes.
"""

import math
import os
import threading
from collections import deque
from collections.abc import Callable, Collection, Iterable
from itertools import count, starmap
from operator import call
from typing import Any

from tinygrad_sm.backend import Array
from tinygrad_sm.engine.mode import innermost_block


class Memory:
    """When an array was last changed in place; values that are views of one array share one Memory."""

    __slots__ = ("changed_at",)

    def __init__(self) -> None:
        self.changed_at: float = 0

    def __reduce__(self) -> Any:
        # An unpickled memory starts at 0, as each process has its own counter; a string makes pickle find the global.
        return "NEVER_CHANGED" if self is NEVER_CHANGED else (Memory, ())


NEVER_CHANGED = Memory()  # of all values that nothing has changed yet and that share their array with no other
LAST_CHANGE = Memory()  # of any array

next_number = count(1).__next__  # what came later has the larger number

# Held while leaves or their gradients change: threads may share them. It is reentrant, because a signal handler or a
# finalizer can run in the middle of a change, in the thread that holds it, and change a leaf itself.
LEAVES_LOCK = threading.RLock()

if hasattr(os, "register_at_fork"):
    # A child has only the thread that forked. If another one held the lock, nobody would ever release it there: so the
    # fork waits for the lock, and parent and child release it afterwards.
    os.register_at_fork(
        before=LEAVES_LOCK.acquire, after_in_parent=LEAVES_LOCK.release, after_in_child=LEAVES_LOCK.release
    )


_under_way: dict[Memory, None] = {}  # of arrays that are being changed


def change(leaves: Collection[Any], write: Callable[..., Any], *arguments: Any) -> None:
    """Let `write` change the arrays of leaves in place, and mark what was recorded with the old data as stale."""
    if not leaves:
        write(*arguments)
        return
    observers = innermost_block().value.observers
    for observer in observers:
        observer.changing(tuple(leaves))
    with LEAVES_LOCK:
        begun = []
        for leaf in leaves:
            memory = _own_memory(leaf) if leaf.memory is NEVER_CHANGED else leaf.memory
            if memory not in _under_way:  # else this is a signal handler, inside a change of the same array
                _under_way[memory] = None
                begun.append(memory)
            memory.changed_at = LAST_CHANGE.changed_at = math.inf
        try:
            write(*arguments)
        finally:
            now = next_number()
            for memory in begun:
                memory.changed_at = now
                del _under_way[memory]
            LAST_CHANGE.changed_at = math.inf if _under_way else now
    for observer in observers:
        observer.changed(tuple(leaves))


def write_all(writes: Iterable[tuple[Any, ...]]) -> None:
    """Call functions of C, such as setattr or np.add, one after the other: writes are (function, *arguments)."""
    deque(starmap(call, writes), maxlen=0)


def wait_for_changes() -> None:
    """Wait until no other thread is changing a leaf, and close the changes that Ctrl-C left open."""
    if not LEAVES_LOCK._is_owned():  # type: ignore[attr-defined]  # else this thread is itself in a change
        with LEAVES_LOCK:
            for memory in list(_under_way):
                memory.changed_at = LAST_CHANGE.changed_at = next_number()
                del _under_way[memory]


def share_views(result: Any, operands: Iterable[Any], is_known: bool) -> None:
    """Let a result share the memory of each operand of which its array is a view, or is known to be one."""
    for operand in operands:
        if is_known or is_view(result.data, operand.data):
            share_memory(operand, result)


def is_view(view: Array, array: Array) -> bool:
    """Whether `view` is the array itself, a view of it, or a view of the same base."""
    return view is array or (view.base is not None and (view.base is array or view.base is array.base))


def share_memory(value: Any, view: Any) -> None:
    """Let two values that share their array share one memory: a change of one is a change of both."""
    view.memory = _own_memory(value)


def _own_memory(value: Any) -> Memory:
    if value.memory is NEVER_CHANGED:
        with LEAVES_LOCK:
            if value.memory is NEVER_CHANGED:  # asked again: another thread may have been quicker
                value.memory = Memory()
    memory: Memory = value.memory
    return memory
