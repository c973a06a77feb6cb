"""Scopes: changes of a value that hold for one block of code, and end with it however it is left.

    with scope:                             batches = read()            # a generator that holds no_grad
        ...                                 next(batches)
                                            with enable_grad():
                                                batches.close()         # ends no_grad, not enable_grad

The simple form restores the old value in `__exit__`. It fails in three cases. A generator may leave its block before
one that was entered later. Another thread or task than the one that entered a block may close the generator. And
Ctrl-C may arrive when Python has called `__exit__`, but before it has done anything. So here

- the open blocks form a stack, and leaving a block removes that block's change, wherever it is in the stack;
- leaving a block in another thread or task marks the block itself, and the one that entered it sees the mark;
- each block has an `__exit__` object of its own, which Python keeps until it leaves the block. Python drops the object
  even if Ctrl-C has broken off the call, and dropping it ends the block.
"""

import functools
import inspect
import weakref
from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from contextvars import ContextVar
from typing import Any, ClassVar, Optional, TypeVar

Function = TypeVar("Function", bound=Callable[..., Any])


class Block:
    """A block of code with a value of its own: that of the block around it, `outer`, changed by the scope.

    token : resets the ContextVar to what it held before, but only in the thread or task that set it
    exit : a weak reference to the object that Python calls at the end of the block
    """

    __slots__ = ("exit", "is_open", "outer", "scope", "token", "value")

    def __init__(self, scope: Any, value: Any = None):
        self.scope = scope
        self.value = value
        self.outer: Any = None
        self.is_open = scope is None
        self.token: Any = None
        self.exit: weakref.ref[Any] | None = None

    def form_value(self) -> None:
        """Compute the value from the outer block's; a block that was left has the outer value unchanged."""
        around = self.outer.value
        self.value = self.scope.change(around) if self.is_open else around


def outermost(value: Any) -> Block:
    """Return the block around all others, with the value that holds outside of every scope."""
    return Block(None, value)


def _outwards(block: Block | None) -> Iterator[Block]:
    while block is not None:
        yield block
        block = block.outer


def _innermost_open(block: Block) -> Block:
    return next(each for each in _outwards(block) if each.is_open)


def _leave(block: Block, *exception: object) -> None:
    """End the block; if an interrupt breaks this off, a second call completes it."""
    scope = block.scope
    if block.outer is None:  # a direct call of `scope.__exit__`: find the block that was entered
        mine = (each for each in _outwards(scope.innermost.get()) if each.scope is scope and each.is_open)
        found = next(mine, None)
        if found is None:
            return
        block = found
    if not (scope.innermost.get() is block and _has_reset(scope.innermost, block.token)):
        block.is_open = False
        blocks = list(_outwards(scope.innermost.get()))
        inside = blocks[: blocks.index(block)] if block in blocks else []
        for each in (block, *reversed(inside)):
            each.form_value()
    if not scope.innermost.get().is_open:
        scope.innermost.set(_innermost_open(scope.innermost.get()))
    block.exit = block.token = None


def _has_reset(variable: ContextVar[Block], token: Any) -> bool:
    try:
        variable.reset(token)
    except (RuntimeError, TypeError, ValueError):  # the token was used, never set, or set in another thread or task
        return False
    return True


def _leave_dropped(variable: ContextVar[Block], exit: "weakref.ref[Any]") -> None:
    """End a block that is still open although Python has dropped its `__exit__`: Ctrl-C broke off the call."""
    for block in _outwards(variable.get()):
        if block.exit is exit:
            _leave(block)
            break


_looked_up: ContextVar[Block | None] = ContextVar("tinygrad_sm.looked_up", default=None)


class _Exit:
    """The `__exit__` of a scope: Python looks it up before it enters a block, and gets a new object each time.

    Only the stack of the with statement refers to that object; not even a traceback does.
    """

    def __get__(self, scope: Optional["Scope"], owner: type) -> Callable[..., None]:
        if scope is None:
            return self
        block = Block(scope)
        exit = functools.partial(_leave, block)
        block.exit = weakref.ref(exit, functools.partial(_leave_dropped, scope.innermost))
        _looked_up.set(block)
        return exit

    def __call__(self, scope: "Scope", *exception: object) -> None:
        """End the innermost block of the scope, for ExitStack, which takes `__exit__` from the class."""
        _leave(Block(scope))


class Scope:
    """A change of a value for a block of code, as a context manager or a decorator.

    A scope holds no state of its own, so it can be nested in itself and shared by threads. A with statement binds
    `value`. A subclass has the ContextVar `innermost`, which holds the innermost block.
    """

    innermost: ClassVar[ContextVar[Block]]

    def __init__(self, change: Callable[[Any], Any], value: Any = None):
        self.change = change
        self.value = value

    def __enter__(self) -> Any:
        block = _looked_up.get()
        if block is None or block.scope is not self or block.outer is not None:
            block = Block(self)  # `scope.__enter__` was called by hand
        _looked_up.set(None)
        block.outer = _innermost_open(self.innermost.get())
        block.is_open = True
        block.form_value()
        block.token = self.innermost.set(block)
        return self.value

    __exit__ = _Exit()

    def __call__(self, function: Function) -> Function:
        """Return the function wrapped to run in this scope; a generator runs in it between its yields."""
        call: Any
        if inspect.iscoroutinefunction(function):

            async def call(*args: Any, **kwargs: Any) -> Any:
                with self:
                    return await function(*args, **kwargs)

        elif inspect.isasyncgenfunction(function):

            async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
                generator = function(*args, **kwargs)
                step, given = generator.asend, None
                while True:
                    try:
                        with self:
                            value = await step(given)
                    except StopAsyncIteration:
                        return
                    try:
                        step, given = generator.asend, (yield value)
                    except BaseException as error:  # noqa: BLE001  what is thrown in here is meant for the generator
                        step, given = generator.athrow, error

        elif inspect.isgeneratorfunction(function):

            def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
                generator = function(*args, **kwargs)
                step, given = generator.send, None
                while True:
                    try:
                        with self:
                            value = step(given)
                    except StopIteration as end:
                        return end.value
                    try:
                        step, given = generator.send, (yield value)
                    except BaseException as error:  # noqa: BLE001  what is thrown in here is meant for the generator
                        step, given = generator.throw, error

        else:

            def call(*args: Any, **kwargs: Any) -> Any:
                with self:
                    return function(*args, **kwargs)

        return functools.wraps(function)(call)  # type: ignore[return-value]
