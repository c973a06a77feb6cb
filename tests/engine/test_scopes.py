"""A scope takes back exactly its own change, wherever and however its block is left."""

import asyncio
import contextlib
import contextvars
import gc
import inspect
import random
import signal
import threading
import traceback
import weakref

import numpy as np
import pytest

from tests.helpers import leaf
from tinygrad_sm import detect_anomaly, enable_grad, no_grad, profile
from tinygrad_sm.engine.mode import ModeScope, Observer, current_mode, observe

RECORDING = current_mode()

shared = no_grad()


def recording():
    return (leaf() * 2.0).requires_grad


def inside(scope):
    """Hold the scope in a with block, and say at each step whether operations are recorded."""
    with scope:
        while True:
            yield recording()


def begun(scope=None):
    generator = inside(no_grad() if scope is None else scope)
    next(generator)
    return generator


@pytest.fixture(autouse=True)
def the_mode_is_what_it_was():
    before = ModeScope.innermost.get()
    yield
    after = current_mode()
    ModeScope.innermost.set(before)  # so that other tests do not fail in their turn
    assert after is RECORDING


# Blocks that end in another order than that in which they began.


def close(generator):
    generator.close()


def throw(generator):
    with pytest.raises(KeyError):
        generator.throw(KeyError)


def drop(generator):
    pass  # the caller keeps none


@pytest.mark.parametrize("end", [close, throw, drop])
@pytest.mark.parametrize("scope", [no_grad, lambda: shared], ids=["own", "shared"])
def test_a_generator_that_ends_inside_another_scope_ends_its_own(scope, end):
    generators = [begun(scope())]
    assert not recording()
    with enable_grad():
        assert recording()
        end(generators.pop())
        assert recording()
        with scope():
            assert not recording()
        assert recording()
    assert recording()


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
def test_blocks_that_end_in_any_order_leave_what_the_others_changed(order):
    first, second = Observer(), Observer()
    scopes = [observe(first), no_grad(), observe(second)]
    generators = [begun(scope) for scope in scopes]
    is_open = [True, True, True]
    for i in order:
        generators[i].close()
        is_open[i] = False
        assert current_mode().record is not is_open[1]
        assert current_mode().observers == (first,) * is_open[0] + (second,) * is_open[2]


def test_blocks_of_one_scope_are_told_apart():
    first = begun(shared)
    with enable_grad():
        second = begun(shared)
        first.close()
        assert not recording()  # the second is the inner one, and still open
        second.close()
        assert recording()


def test_generators_in_turns_in_a_long_loop_leave_nothing_behind():
    with enable_grad():
        watched, generator = [], begun(observe(Observer()))
        for _ in range(200):
            watched.append(weakref.ref(current_mode().observers[-1]))
            following = begun(observe(Observer()))
            generator.close()  # the earlier one, from under the later one
            generator = following
        assert len(current_mode().observers) == 1
        generator.close()
        assert current_mode().observers == ()
    del generator, following
    assert [ref() for ref in watched] == [None] * 200


def test_blocks_are_freed_without_the_garbage_collector():
    gc.collect()
    gc.disable()
    try:
        observer = Observer()
        watched = weakref.ref(observer)
        with observe(observer):
            with observe(observer):
                pass
            contextvars.copy_context().run(recording)
            generator = begun(observe(observer))
            with no_grad():
                generator.close()
        del observer, generator
        assert watched() is None
    finally:
        gc.enable()


def test_scopes_are_entered_by_hand_and_by_stacks():
    scope = no_grad()
    scope.__enter__()
    assert not recording()
    with scope, enable_grad():
        assert recording()
    assert not recording()
    assert hasattr(scope, "__exit__")  # to look it up changes nothing
    assert not recording()
    scope.__exit__(None, None, None)
    assert recording()
    scope.__exit__(None, None, None)  # there is nothing to leave
    with contextlib.ExitStack() as stack:
        stack.enter_context(scope)
        stack.enter_context(enable_grad())
        stack.enter_context(scope)
        assert not recording()
        stack.pop_all().close()
        assert recording()


class Evaluating(type(no_grad())):
    """A scope of a user, that does something more."""

    def __enter__(self):
        return super().__enter__()

    def __exit__(self, *exception):
        super().__exit__(*exception)


def test_a_subclass_may_extend_both_ends():
    with Evaluating(no_grad().change):
        assert not recording()
        with Evaluating(enable_grad().change):
            assert recording()
        assert not recording()


def test_a_generator_makes_a_context_manager():
    @contextlib.contextmanager
    def evaluating():
        with no_grad():
            yield

    with evaluating(), enable_grad(), evaluating():
        assert not recording()


# Other threads and tasks.


@pytest.mark.parametrize("around", [contextlib.nullcontext, enable_grad])
def test_a_generator_that_is_closed_by_another_thread_ends_its_block_here(around):
    generator = begun()
    with around():
        thread = threading.Thread(target=generator.close)
        thread.start()
        thread.join()
        assert recording()
    assert recording()
    with no_grad():
        assert not recording()


def test_closing_a_generator_of_another_thread_changes_nothing_here():
    generators = []
    thread = threading.Thread(target=lambda: generators.append(begun(shared)))
    thread.start()
    thread.join()
    with shared:
        generators.pop().close()
        assert not recording()


def test_one_scope_serves_threads_at_once():
    start, wrong = threading.Barrier(8), []

    def work():
        start.wait()
        for _ in range(500):
            with shared:
                generator = begun(shared)
                with enable_grad():
                    generator.close()
                    wrong.extend([] if recording() else ["inside"])
                wrong.extend(["after"] if recording() else [])
            wrong.extend([] if current_mode() is RECORDING else ["outside"])

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_task_keeps_the_mode_in_which_it_was_begun():
    async def later():
        await asyncio.sleep(0.001)
        return recording()

    async def main():
        with no_grad():
            task = asyncio.create_task(later())
        assert recording()
        return await task

    assert asyncio.run(main()) is False


async def held():
    with no_grad():
        for _ in range(3):
            await asyncio.sleep(0)
            yield recording()


@no_grad()
async def decorated():
    for _ in range(3):
        await asyncio.sleep(0)
        yield recording()


@pytest.mark.parametrize("batches", [held, decorated])
def test_an_asynchronous_generator_that_is_left_by_break_ends_its_block(batches):
    async def main():
        assert [step async for step in batches()] == [False, False, False]
        assert recording()
        async for step in batches():
            assert not step
            break
        await asyncio.sleep(0.001)  # the loop closes it in a task of its own
        assert recording()
        with enable_grad():
            async for _ in batches():
                break
            await asyncio.sleep(0.001)
            assert recording()
        assert recording()
        async with contextlib.aclosing(batches()) as steps:
            async for _ in steps:
                break
        return recording()

    assert asyncio.run(main())


def test_a_decorated_asynchronous_generator_is_driven_as_any_other():
    @no_grad()
    async def batches(first):
        """Say what it is."""
        received = [first, recording()]
        while True:
            try:
                received.append((yield recording()))
            except ValueError:
                received.append("caught")
            except GeneratorExit:
                ended.append((received, recording()))
                raise

    ended = []

    async def main():
        steps = batches(1)
        assert await anext(steps) is False
        assert recording()  # while the generator waits, the mode is the caller's
        assert await steps.asend("a") is False
        assert await steps.athrow(ValueError) is False
        assert recording()
        await steps.aclose()
        steps = batches(1)
        await anext(steps)
        with pytest.raises(KeyError):
            await steps.athrow(KeyError)
        assert recording()
        with pytest.raises(StopAsyncIteration):
            await anext(steps)

    asyncio.run(main())
    assert ended == [([1, False, "a", "caught"], False)]
    assert batches.__doc__ == "Say what it is."


@pytest.mark.parametrize("kind", ["iscoroutinefunction", "isgeneratorfunction", "isasyncgenfunction"])
def test_a_decorated_function_keeps_its_kind_so_that_it_can_be_decorated_again(kind):
    async def coroutine():
        return current_mode()

    def generator():
        yield current_mode()

    async def asynchronous_generator():
        yield current_mode()

    async def only(steps):
        return [step async for step in steps]

    function = {f.__name__: f for f in (coroutine, generator, asynchronous_generator)}
    run = {
        "iscoroutinefunction": ("coroutine", lambda made: asyncio.run(made)),
        "isgeneratorfunction": ("generator", lambda made: next(iter(list(made)))),
        "isasyncgenfunction": ("asynchronous_generator", lambda made: asyncio.run(only(made))[0]),
    }[kind]
    observer = Observer()
    twice = observe(observer)(no_grad()(function[run[0]]))
    assert getattr(inspect, kind)(twice)
    assert run[1](twice()) == (False, (observer,))


# Ctrl-C.


def new_scopes():
    while True:
        with no_grad():
            pass


def one_scope():
    while True:
        with shared:
            pass


def nested_scopes():
    while True:
        with no_grad(), enable_grad(), shared:
            pass


def profiles():
    p = profile()
    while True:
        with p, detect_anomaly():
            pass


def array_products():
    """Be interrupted in the last operation of the block: its KeyboardInterrupt rises when `__exit__` is called."""
    a = np.ones((100, 100))
    while True:
        with no_grad():
            a @ a


def decorated_functions():
    function = no_grad()(lambda: None)
    while True:
        function()


def decorated_generators():
    @no_grad()
    def generator():
        yield
        yield

    while True:
        for _ in generator():
            pass


def generators_closed_inside():
    while True:
        generator = begun()
        with enable_grad():
            generator.close()


@contextlib.contextmanager
def interrupts():
    """Let timers of the real time raise KeyboardInterrupt, as Ctrl-C does."""
    gc.collect()
    gc.disable()  # what a finalizer of others raises is lost, also a KeyboardInterrupt
    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        gc.enable()


def run_until_interrupted(job):
    """Run the job, which never ends, and interrupt it within a fifth of a millisecond; return the KeyboardInterrupt."""
    try:
        signal.setitimer(signal.ITIMER_REAL, random.uniform(2e-5, 2e-4))
        job()
    except KeyboardInterrupt as error:
        return error


def interrupted(job, times):
    """Interrupt the job so many times; return how often this left the mode changed."""
    left = 0
    with interrupts():
        for _ in range(times):
            error = run_until_interrupted(job)  # kept with all its frames, as an interactive session keeps the last one
            if job is generators_closed_inside:
                traceback.clear_frames(error.__traceback__)  # while a generator waits there, its block is open
            left += current_mode() is not RECORDING
    return left


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="Windows has no timers that signal")
@pytest.mark.parametrize(
    "job",
    [
        *(new_scopes, one_scope, nested_scopes, profiles, array_products),
        *(decorated_functions, decorated_generators, generators_closed_inside),
    ],
)
def test_an_interrupt_leaves_no_scope_open(job):
    assert interrupted(job, times=500) == 0


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="Windows has no timers that signal")
def test_an_interrupt_ends_only_the_blocks_that_it_leaves():
    with interrupts(), observe(Observer()) as observer, no_grad():
        for _ in range(200):
            run_until_interrupted(one_scope)
            assert current_mode() == (False, (observer,))
