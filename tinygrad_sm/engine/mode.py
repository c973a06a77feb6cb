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
    """Sees all that operations, walks and optimizers do; a subclass overrides what it wants to see. See `observe`.

    It may wrap forwards and gradient rules, and is told the rest. What it is shown it must not change.
    """

    def forward(self, op: Any, forward: Callable[..., Any]) -> Callable[..., Any]:
        """Return what is to be called in place of the forward of an operation, on arrays."""
        return forward

    def recorded(self, node: Any, out: Any, line: Any) -> None:
        """Take note of a node that a forward has just left on the tape, of its output, and of the user's line.

        The line has `filename` and `lineno`. A node does not hold its output: who keeps both keeps the graph alive.
        """

    def backward(self, node: Any, i: int, rule: Callable[..., Any]) -> Callable[..., Any]:
        """Return what is to be called in place of the rule for the node's i-th operand."""
        return rule

    def answered(self, node: Any, i: int, answer: Any, part: Any) -> None:
        """Take note of what the rule for the i-th operand answered, and of what was made of it.

        part : the answer in the operand's shape and dtype: summed where the operand was broadcast, cast where promoted.
        """

    def complete(self, value: Any, g: Any) -> None:
        """Take note of the gradient of a value to which all parts have come, and its hooks."""

    def changing(self, leaves: tuple[Any, ...]) -> None:
        """Take note of leaves whose data are about to change in place."""

    def changed(self, leaves: tuple[Any, ...]) -> None:
        """Take note of leaves whose data have changed in place; not if that was broken off by an error."""


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
    """Let the observer see, and replace, what happens inside: a context manager, or a decorator.

    >>> import tinygrad_sm as tg
    >>> class Names(Observer):
    ...     def recorded(self, node, out, line):
    ...         print(node.op.name, out.shape)
    ...
    ...     def complete(self, value, g):
    ...         print(g)
    >>> x = tg.Tensor([1.0, 2.0], requires_grad=True)
    >>> with observe(Names()):
    ...     tg.sum(x * x).backward()
    multiply (2,)
    sum ()
    1.0
    [1. 1.]
    [2. 4.]
    """
    return ModeScope(lambda mode: mode._replace(observers=(*mode.observers, observer)), observer)
