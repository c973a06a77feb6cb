"""The mode: whether operations record themselves, and who watches them.

    with no_grad():
        accuracy = (model(images).argmax(axis=1) == labels).mean()

Operations ask `current_mode()` each time. The mode stands in a ContextVar, so a change of it is seen by the code inside
the block and by nobody else: not by other threads, nor by the asyncio tasks that run while this one waits.
"""

import functools
import inspect
from collections.abc import Callable, Generator
from contextvars import ContextVar
from typing import Any, NamedTuple, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


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
    """What operations do beside computing; `outer` is the mode to return to when a scope ends."""

    record: bool = True
    observers: tuple[Observer, ...] = ()
    outer: "Mode | None" = None


_mode: ContextVar[Mode] = ContextVar("tinygrad_sm.mode", default=Mode())  # noqa: B039  a tuple, never changed
current_mode = _mode.get


class ModeScope:
    """A change of the mode for a block of code, as a context manager or a decorator.

    It holds no state of its own, so one scope can be nested in itself and shared by threads. `value` is what a with
    statement binds.
    """

    def __init__(self, change: Callable[[Mode], Mode], value: Any = None):
        self.change = change
        self.value = value

    def __enter__(self) -> Any:
        mode = _mode.get()
        _mode.set(self.change(mode)._replace(outer=mode))
        return self.value

    def __exit__(self, *exception: object) -> None:
        _mode.set(_mode.get().outer or Mode())

    def __call__(self, function: Function) -> Function:
        """Return the function made to run in this scope: of a generator function, all that runs between its yields."""
        if inspect.isasyncgenfunction(function):
            raise TypeError(f"{function.__name__} is an asynchronous generator: put the with block inside it instead")
        call: Any
        if inspect.iscoroutinefunction(function):

            async def call(*args: Any, **kwargs: Any) -> Any:
                with self:
                    return await function(*args, **kwargs)

        elif inspect.isgeneratorfunction(function):

            def call(*args: Any, **kwargs: Any) -> Any:
                return self._resumed(function(*args, **kwargs))

        else:

            def call(*args: Any, **kwargs: Any) -> Any:
                with self:
                    return function(*args, **kwargs)

        return functools.wraps(function)(call)  # type: ignore[return-value]

    def _resumed(self, generator: Generator[Any, Any, Any]) -> Generator[Any, Any, Any]:
        """Run the generator with each of its steps inside this scope, and its consumer outside."""
        resume: Callable[[Any], Any] = generator.send
        given = None
        while True:
            try:
                with self:
                    value = resume(given)
            except StopIteration as end:
                return end.value
            try:
                resume, given = generator.send, (yield value)
            except BaseException as error:  # noqa: BLE001  what is thrown in here is meant for the generator
                resume, given = generator.throw, error


def no_grad() -> ModeScope:
    """Do not record operations: inside, results require no gradient and hold no graph."""
    return ModeScope(lambda mode: mode._replace(record=False))


def enable_grad() -> ModeScope:
    """Record operations, also inside of `no_grad`."""
    return ModeScope(lambda mode: mode._replace(record=True))


def observe(observer: Observer) -> ModeScope:
    """Let the observer see, and replace, each forward and each gradient rule that is called inside."""
    return ModeScope(lambda mode: mode._replace(observers=(*mode.observers, observer)), observer)
