"""Memory: when the arrays of leaves were last changed in place, by which the tape knows that a record is stale.

    loss = (weight * x).sum()
    weight.assign(new)
    loss.backward()  # the rule of multiply for x would compute with the new weight: refused

One counter numbers leaves, nodes and changes in the order in which they come. Every value has a memory, which says when
its array was last changed; a node has the number of its forward's beginning. While an array is being changed, its
memory says that it will change in the future: what another thread computes meanwhile, from some old elements and some
new ones, is stale too.
"""

import math
import os
import threading
from collections.abc import Callable, Collection, Iterable
from itertools import count
from typing import Any

from tinygrad_sm.backend import Array
from tinygrad_sm.engine.mode import innermost_block


class Memory:
    """When an array was last changed in place; the values that are views of one array share this."""

    __slots__ = ("changed_at",)

    def __init__(self) -> None:
        self.changed_at: float = 0

    def __reduce__(self) -> Any:
        # What is unpickled begins anew, as another process counts by itself; a string stands for the global itself.
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
    """Let `write` change the arrays of leaves in place: what was recorded with the old data is stale."""
    if not leaves:
        return
    observers = innermost_block().value.observers
    for observer in observers:
        observer.changing(tuple(leaves))
    with LEAVES_LOCK:
        begun = []
        for leaf in leaves:
            memory = _own_memory(leaf) if leaf.memory is NEVER_CHANGED else leaf.memory
            if memory not in _under_way:  # else a signal handler came in the middle of a change of the same array
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


def settle() -> None:
    """Wait until no other thread changes a leaf, and end the changes that Ctrl-C has kept from being ended."""
    if not LEAVES_LOCK._is_owned():  # type: ignore[attr-defined]  # else this thread itself is in the middle of one
        with LEAVES_LOCK:
            for memory in list(_under_way):
                memory.changed_at = LAST_CHANGE.changed_at = next_number()
                del _under_way[memory]


def share_views(result: Any, operands: Iterable[Any]) -> None:
    """Note of which operands the array of a result is a view."""
    for operand in operands:
        if is_view(result.data, operand.data):
            share_memory(operand, result)


def is_view(view: Array, array: Array) -> bool:
    """Whether `view` is the array, or a view of it or of what the array is a view of."""
    return view is array or (view.base is not None and (view.base is array or view.base is array.base))


def share_memory(value: Any, view: Any) -> None:
    """Note that two values share their array: what changes the one changes the other."""
    view.memory = _own_memory(value)


def _own_memory(value: Any) -> Memory:
    if value.memory is NEVER_CHANGED:
        with LEAVES_LOCK:
            if value.memory is NEVER_CHANGED:  # asked again: another thread may have been quicker
                value.memory = Memory()
    memory: Memory = value.memory
    return memory
