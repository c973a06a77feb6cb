"""Hooks: functions that a backward walk calls with the complete gradient of a value, and their handles.

    handle = weight.register_hook(lambda g: g.clip(-1, 1))
    loss.backward()             # weight.grad is clipped
    handle.remove()

A value holds its hooks, and a handle holds the value.
"""

from collections.abc import Callable
from typing import Any


class HookHandle:
    """The handle of a registered hook; `remove()` unregisters it."""

    def __init__(self, value: Any, hook: Callable[[Any], Any]):
        self.value = value
        self.registered = lambda g: hook(g)  # a new object each time, as the same hook may be registered twice
        value.hooks += (self.registered,)

    def remove(self) -> None:
        """Take the hook off; a second time does nothing."""
        self.value.hooks = tuple(other for other in self.value.hooks if other is not self.registered)
