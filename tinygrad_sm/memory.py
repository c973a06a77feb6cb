"""Memory: when the arrays of leaves were last changed in place, by which the tape knows that a record is stale.

    loss = (weight * x).sum()
    weight.assign(new)
    loss.backward()  # the rule of multiply for x would compute with the new weight: refused

Every value has a memory; a node notes when it was recorded, on the same clock.
"""

import threading
from typing import Any


class Memory:
    """When an array was last changed in place; the values that are views of one array share this."""

    __slots__ = ("changed_at",)

    def __init__(self) -> None:
        self.changed_at = 0

    def __reduce__(self) -> Any:
        # What is unpickled begins anew, as another process has another clock; a string stands for the global itself.
        return "NEVER_CHANGED" if self is NEVER_CHANGED else (Memory, ())


NEVER_CHANGED = Memory()  # of all values that nothing has changed yet and that share their array with no other
CLOCK = Memory()  # of all arrays together: how many changes there have been
LEAVES_LOCK = threading.Lock()  # held while leaves change: threads may share them


def mark_changed(leaf: Any) -> None:
    """Note that the array of a leaf was changed in place: what was recorded with the old data is stale."""
    with LEAVES_LOCK:
        CLOCK.changed_at += 1
        _own_memory(leaf).changed_at = CLOCK.changed_at


def share_memory(value: Any, view: Any) -> None:
    """Note that two values share their array: what changes the one changes the other."""
    view.memory = _own_memory(value)


def _own_memory(value: Any) -> Memory:
    if value.memory is NEVER_CHANGED:
        value.memory = Memory()
    return value.memory
