"""The mode: whether operations record themselves, and who watches them.

    with no_grad():
        accuracy = (model(images).argmax(axis=1) == labels).mean()

Each call of an operation reads the mode. A ContextVar holds it, so only the code inside the block sees a change: other
threads do not, nor do the asyncio tasks that run while this one waits. `scopes` makes a change end with its block,
however the program leaves the block.
"""

from collections.abc import Callable
from contextvars import ContextVar
from typing import Any, NamedTuple

from tinygrad_sm.engine.scopes import Scope, outermost


class Observer:
    """Sees what operations, walks and optimizers do; a subclass overrides the methods that it needs. See `observe`.

    An observer may wrap forwards and gradient rules, and is told of the rest. It must not change what it is shown.
    """

    def forward(self, op: Any, forward: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function to call on arrays in place of an operation's forward."""
        return forward

    def recorded(self, node: Any, out: Any, line: Any) -> None:
        """Receive a node that was just recorded, its output, and the line of the user's program.

        The line has `filename` and `lineno`. A node does not hold its output; keeping both keeps the graph alive.
        """

    def backward(self, node: Any, i: int, rule: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function to call in place of the rule for the node's i-th operand."""
        return rule

    def answered(self, node: Any, i: int, answer: Any, part: Any) -> None:
        """Receive the answer of the rule for the i-th operand, and the part that the walk makes of it.

        part : the answer in the operand's shape and dtype: summed where the operand was broadcast, cast where promoted.
        """

    def complete(self, value: Any, g: Any) -> None:
        """Receive the complete gradient of a value: the sum of all parts, after its hooks."""

    def changing(self, leaves: tuple[Any, ...]) -> None:
        """Receive the leaves whose data are about to change in place."""

    def changed(self, leaves: tuple[Any, ...]) -> None:
        """Receive the leaves whose data have changed in place; not called if an error broke off the change."""


class Mode(NamedTuple):
    """Whether operations record themselves, and who observes them."""

    record: bool = True
    observers: tuple[Observer, ...] = ()


class ModeScope(Scope):
    """A change of the mode for a block of code, as a context manager or a decorator."""

    innermost = ContextVar("tinygrad_sm.mode", default=outermost(Mode()))  # noqa: B039  one for all is meant


innermost_block = ModeScope.innermost.get


def current_mode() -> Mode:
    """Return the mode of the innermost block; operations read `innermost_block` themselves, to save a call."""
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
