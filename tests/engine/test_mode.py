"""Point 10: whether to record, and who observes, is one mode that nests and that other threads and tasks do not see."""

import asyncio
import threading

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import leaf
from tinygrad_sm import enable_grad, no_grad
from tinygrad_sm.engine.mode import Observer, observe


def recording():
    return (leaf() * 2.0).requires_grad


def test_modes_nest_and_are_restored():
    scope = no_grad()
    with scope:
        assert not recording()
        with enable_grad():
            assert recording()
            with scope:  # the same one, entered again
                assert not recording()
            assert recording()
        assert not recording()
    assert recording()
    with pytest.raises(KeyError), no_grad():
        raise KeyError
    assert recording()


def test_modes_decorate_functions_generators_and_coroutines():
    @no_grad()
    def function(x):
        """Say what it is."""
        return x, recording()

    @no_grad()
    def generator():
        received = [recording()]
        try:
            while True:
                received.append((yield recording()))
        except ValueError:
            yield "caught"
        return received

    @no_grad()
    async def coroutine():
        before = recording()
        await asyncio.sleep(0)
        return before, recording()

    assert function(1) == (1, False)
    assert function.__doc__ == "Say what it is."
    steps = generator()
    assert next(steps) is False
    assert recording()  # while the generator waits, the mode is the caller's
    assert steps.send("a") is False
    assert recording()
    assert steps.throw(ValueError) == "caught"
    with pytest.raises(StopIteration) as stop:
        next(steps)
    assert stop.value.value == [False, "a"]
    steps = generator()
    next(steps)
    with pytest.raises(KeyboardInterrupt):  # goes into the generator, and through it
        steps.throw(KeyboardInterrupt)
    assert recording()
    steps = generator()
    next(steps)
    steps.close()
    assert recording()
    assert asyncio.run(coroutine()) == (False, False)


def test_threads_and_tasks_have_their_own_mode():
    seen = {}
    inside, done = threading.Event(), threading.Event()

    def other():
        with no_grad():
            inside.set()
            done.wait()
            seen["thread"] = recording()

    thread = threading.Thread(target=other)
    thread.start()
    inside.wait()
    seen["main"] = recording()
    done.set()
    thread.join()
    assert seen == {"thread": False, "main": True}

    async def without():
        with no_grad():
            await asyncio.sleep(0.001)
            return recording()

    async def with_recording():
        await asyncio.sleep(0)
        return recording()

    async def both():
        return await asyncio.gather(without(), with_recording(), without(), with_recording())

    assert asyncio.run(both()) == [False, True, False, True]


def test_no_grad_keeps_no_graph():
    x = leaf()
    with no_grad():
        y = x * 2.0
    assert not y.requires_grad
    assert y.node is None


def test_observers_see_every_forward_node_and_rule():
    class Log(Observer):
        def __init__(self):
            self.lines = []

        def forward(self, op, forward):
            self.lines.append(("forward", op.name))
            return forward

        def recorded(self, node, out, line):
            self.lines.append(("recorded", node.op.name))

        def backward(self, node, i, rule):
            self.lines.append(("backward", node.op.name, i))
            return rule

    x = leaf()
    with observe(Log()) as log:
        loss = tg.sum(x * 2.0)
        with no_grad():
            tg.log(x)
        assert log.lines == [
            ("forward", "multiply"),
            ("recorded", "multiply"),
            ("forward", "sum"),
            ("recorded", "sum"),
            ("forward", "log"),
        ]
        loss.backward()
    tg.tanh(x)
    assert [line[1:] for line in log.lines if line[0] == "backward"] == [("sum", 0), ("multiply", 0)]


def test_observers_may_replace_forwards_and_rules():
    class Plus(Observer):
        def __init__(self, n):
            self.n = n

        def forward(self, op, forward):
            return lambda *args, **kwargs: forward(*args, **kwargs) + self.n

    class Nothing(Observer):
        def backward(self, node, i, rule):
            return lambda *args, **kwargs: rule(*args, **kwargs) * 0

    nodes = []

    class Nodes(Observer):
        def recorded(self, node, out, line):
            nodes.append(node.op.name)

    with observe(Nodes()), observe(Nodes()):
        tg.exp(leaf())
    assert nodes == ["exp", "exp"]
    with observe(Plus(1)), observe(Plus(10)):
        assert tg.exp(0.0) == 12  # both, one around the other
    x = leaf()
    with observe(Nothing()):
        (x * 2.0).sum().backward()
    np.testing.assert_array_equal(x.grad, [0, 0, 0])
