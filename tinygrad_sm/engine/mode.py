"""The mode: whether operations record themselves, and who watches them.

    with no_grad():
        accuracy = (model(images).argmax(axis=1) == labels).mean()

Operations ask for the mode each time. It stands in a ContextVar, so a change of it is seen by the code inside the block
and by nobody else: not by other threads, nor by the asyncio tasks that run while this one waits. How a change ends with
its block, in whatever way that is left, is the matter of `scopes`.
"""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, NamedTuple

from tinygrad_sm.engine.scopes import Scope, outermost


class Observer:
    """Sees all that operations do; a subclass overrides what it wants to see. See `observe`."""

    def forward(self, op: Any, forward: Callable[..., Any]) -> Callable[..., Any]:
        """Return what is to be called in place of the forward of an operation, on arrays."""
        return forward

    def recorded(self, node: Any) -> None:
        """Take note of a node that a forward has just left on the tape."""

    def backward(self, node: Any, i: int, rule: Callable[..., Any]) -> Callable[..., Any]:
        """Return what is to be called in place of the rule for the node's i-th operand."""
        return rule


class Mode(NamedTuple):
    """What operations do beside computing."""

    record: bool = True
    observers: tuple[Observer, ...] = ()


class ModeScope(Scope):
    """A change of the mode for a block of code, as a context manager or a decorator."""

    innermost = ContextVar("tinygrad_sm.mode", default=outermost(Mode()))  # noqa: B039  one for all is meant


innermost_block = ModeScope.innermost.get


def current_mode() -> Mode:
    """Return the mode of the innermost block; operations, which ask each time, do the same in their own line."""
    mode: Mode = innermost_block().value
    return mode


def no_grad() -> ModeScope:
    """Do not record operations: inside, results require no gradient and hold no graph."""
    return ModeScope(lambda mode: mode._replace(record=False))


def enable_grad() -> ModeScope:
    """Record operations, also inside of `no_grad`."""
    return ModeScope(lambda mode: mode._replace(record=True))


def observe(observer: Observer) -> ModeScope:
    """Let the observer see, and replace, each forward and each gradient rule that is called inside."""
    return ModeScope(lambda mode: mode._replace(observers=(*mode.observers, observer)), observer)
