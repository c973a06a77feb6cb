"""Scopes: changes of a value that hold for one block of code, and end with it however it is left.

    with scope:                             batches = read()            # a generator that holds no_grad
        ...                                 next(batches)
                                            with enable_grad():
                                                batches.close()         # ends no_grad, not enable_grad

The plain form puts the old value back in `__exit__`. It goes wrong in three ways. A block in a generator may be left
before one that was entered later. A generator may be closed in another thread or task than the one that entered its
block. And Ctrl-C may arrive when `__exit__` has been called and has not yet done anything. So here

- the blocks that are open form a stack, and leaving one takes out its own change, wherever it stands;
- leaving it elsewhere changes the block itself, which the thread or task that entered it sees;
- what Python keeps to call at the end of a block is an object of its own for each block. Python drops it as the block
  is left, also if the call was broken off, and then the block ends.
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

    token : with it the ContextVar returns to what it held before, but only in the thread or task where it was set
    exit : a weak reference to what Python calls at the end of the block
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
        """Change the value of the block around; a block that was left has that value itself."""
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
    """End the block; to repeat it after it was broken off does what was not done."""
    scope = block.scope
    if block.outer is None:  # `scope.__exit__` was called by hand, so the block was entered under another name
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
    except (RuntimeError, TypeError, ValueError):  # it was used, or never noted; or comes from another thread or task
        return False
    return True


def _leave_dropped(variable: ContextVar[Block], exit: "weakref.ref[Any]") -> None:
    """End the block whose `__exit__` Python has dropped, though it has not ended: Ctrl-C came in between."""
    for block in _outwards(variable.get()):
        if block.exit is exit:
            _leave(block)
            break


_looked_up: ContextVar[Block | None] = ContextVar("tinygrad_sm.looked_up", default=None)


class _Exit:
    """The `__exit__` of a scope: it is looked up before a block is entered, and each time another object.

    Not even a traceback that is kept keeps this object: it stands on the stack of the with statement alone.
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
        """End the innermost block of the scope: so does ExitStack, which takes `__exit__` from the class."""
        _leave(Block(scope))


class Scope:
    """A change of a value for a block of code, as a context manager or a decorator.

    It holds no state of its own, so one scope can be nested in itself and shared by threads. `value` is what a with
    statement binds. A subclass has the ContextVar `innermost`, of which the innermost block is the value.
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
        """Return the function made to run in this scope: of a generator function, all that runs between its yields."""
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
