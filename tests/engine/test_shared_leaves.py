"""Leaves that threads, forks, signal handlers, finalizers and hooks share: nothing hangs, is lost or is torn."""

import copy
import gc
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import leaf
from tinygrad_sm import GradientError, Tensor, nn
from tinygrad_sm.engine import backward, tape, versions
from tinygrad_sm.engine.versions import LEAVES_LOCK, change

posix = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX")


def add_one(w):
    (w * 1.0).sum().backward()


FORKS = """
    import os, sys, threading
    import numpy as np
    import tinygrad_sm as tg

    w = tg.Tensor(np.ones(1000), requires_grad=True)
    stopped = threading.Event()

    def walk():
        while not stopped.is_set():
            (w * 1.0).sum().backward()
            w.assign(np.ones(1000))

    threads = [threading.Thread(target=walk) for _ in range(3)]
    for thread in threads:
        thread.start()
    ended = 0
    for _ in range(int(sys.argv[1])):
        child = os.fork()
        if child == 0:
            v = tg.Tensor(np.ones(3), requires_grad=True)
            (v * 2.0).sum().backward()
            w.assign(np.zeros(1000))
            os._exit(0 if v.grad.tolist() == [2, 2, 2] else 1)
        ended += os.waitpid(child, 0)[1] == 0
    stopped.set()
    print(ended)
"""


@posix
def test_a_child_that_is_forked_beside_threads_in_backward_goes_on():
    command = [sys.executable, "-c", textwrap.dedent(FORKS), "60"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "60\n"


@posix
def test_a_signal_handler_may_walk_to_the_same_leaf_and_no_gradient_is_lost():
    w, handled, is_armed = Tensor(np.zeros(100), requires_grad=True), 0, False

    def arm(on):
        nonlocal is_armed
        is_armed = on
        signal.setitimer(signal.ITIMER_REAL, 1e-4 if on else 0)

    def handler(*_):
        nonlocal handled
        handled += 1
        add_one(w)
        if is_armed:  # not before: on a slow machine handlers would interrupt each other for ever
            signal.setitimer(signal.ITIMER_REAL, 1e-4)

    before = signal.signal(signal.SIGALRM, handler)
    try:
        walks, end, lost = 0, time.monotonic() + 1.0, []
        arm(True)
        while time.monotonic() < end:
            walks += 1
            add_one(w)
            if walks % 50 == 0:  # begin anew: the first gradient of a leaf is placed in another way than the next
                arm(False)
                lost.append(walks + handled - w.grad[0])
                walks, handled, w.grad = 0, 0, None
                arm(True)
    finally:
        arm(False)
        signal.signal(signal.SIGALRM, before)
    assert len(lost) > 10
    assert not any(lost)


def test_a_gradient_that_comes_in_the_middle_of_a_walk_to_the_same_leaf_is_not_lost(monkeypatch):
    w, taken = leaf(), backward.owned_gradient

    def interrupted(found, value):
        g = taken(found, value)
        monkeypatch.setattr(backward, "owned_gradient", taken)
        add_one(w)
        return g

    monkeypatch.setattr(backward, "owned_gradient", interrupted)
    add_one(w)
    assert w.grad.tolist() == [2, 2, 2]


def test_a_finalizer_may_change_a_leaf_while_another_changes():
    w, other, done = leaf(), leaf(), []

    class Assigns:
        def __init__(self):
            self.itself = self  # a cycle, which the collector ends

        def __del__(self):
            other.assign(np.zeros(3))
            add_one(other)
            done.append(True)

    def collecting():
        Assigns()
        gc.collect()

    thread = threading.Thread(target=change, args=([w], collecting), daemon=True)  # where it hung, this thread would
    thread.start()
    thread.join(10)
    assert done == [True]
    assert other.tolist() == [0, 0, 0]
    with LEAVES_LOCK:
        add_one(w)
    assert w.grad.tolist() == [1, 1, 1]


def beside(write, read, seconds=1.0):
    """Call `write` in a thread for as long as `read` is called in this one; return what `read` gave."""
    stopped = threading.Event()

    def writing():
        k = 0
        while not stopped.is_set():
            k = 1 - k
            write(k)

    thread = threading.Thread(target=writing)
    thread.start()
    try:
        found, end = [], time.monotonic() + seconds
        while time.monotonic() < end:
            found.append(read())
    finally:
        stopped.set()
        thread.join()
    return found


SIZE = 300_000
CHANGES = ["assign", "in place", "an optimizer", "load_state_dict"]


@pytest.mark.parametrize("by", CHANGES)
def test_a_gradient_is_of_one_state_of_the_data_or_refused(by):
    model = nn.Module()
    model.w = nn.Parameter(np.zeros(SIZE))
    optimizer = nn.optim.SGD(model.parameters(), lr=1.0)
    x = Tensor(np.ones(SIZE), requires_grad=True)
    w, states = model.w, [np.zeros(SIZE), np.ones(SIZE)]

    def write(k):
        if by == "assign":
            w.assign(states[k])
        elif by == "load_state_dict":
            model.load_state_dict({"w": states[k]})
        elif by == "in place":
            with tg.no_grad():
                w.__iadd__(2 * k - 1)
        else:
            w.grad = np.full(SIZE, 1.0 - 2 * k)
            optimizer.step()
            w.grad = None

    def read():
        x.grad = None
        try:
            (x * w.detach()).sum().backward()
        except GradientError:
            return "refused"
        return "of one state" if x.grad.min() == x.grad.max() else "torn"

    found = beside(write, read)
    assert set(found) <= {"of one state", "refused"}
    assert len(found) > 20
    write(0)
    assert read() == "of one state"


def test_a_change_by_a_hook_in_the_walk_is_seen():
    w, x = leaf([2.0]), leaf([3.0])
    y = w * x
    z = y * 1.0
    z.register_hook(lambda g: w.assign([100.0]) and None)
    with pytest.raises(GradientError, match=r"'a' was changed .* after multiply had used it"):
        z.sum().backward()
    assert (w.grad, x.grad) == (None, None)


def test_a_hook_may_change_what_the_walk_does_not_read_any_more():
    w, x = leaf([2.0]), leaf([3.0])
    x.register_hook(lambda g: x.assign([100.0]) and None)
    (w * x).sum().backward()
    assert (w.grad.tolist(), x.grad.tolist(), x.tolist()) == ([3], [2], [100])


def test_a_hook_that_walks_the_same_graph_is_told_so():
    x = leaf()
    y = x * 2.0
    loss = y.sum()

    def walk(g):
        handle.remove()
        y.sum().backward()

    handle = y.register_hook(walk)
    with pytest.raises(GradientError, match=r"this graph was freed: .* multiply"):
        loss.backward()


@posix
def test_an_interrupt_in_a_change_spoils_no_later_graph():
    w, interrupted = Tensor(np.zeros(1000), requires_grad=True), 0

    def handler(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, handler)
    try:
        for _ in range(3000):
            try:
                signal.setitimer(signal.ITIMER_REAL, 1e-5 + 2e-5 * np.random.default_rng(interrupted).random())
                while True:
                    w.assign(np.ones(1000))
            except KeyboardInterrupt:
                interrupted += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert interrupted > 1000
    assert not LEAVES_LOCK._is_owned()  # else other threads would wait for ever
    x = leaf(np.ones(1000))
    try:
        (w * x).sum().backward()
    except GradientError:  # one graph may be refused, as the change looked unfinished; the next is not
        (w * x).sum().backward()
    assert x.grad.tolist() == w.tolist()  # where every change was interrupted early, it is 0
    assert tape.LAST_CHANGE.changed_at < np.inf


def test_values_that_share_an_array_agree_on_its_memory_in_threads_too():
    disagreed = []

    def look(w, start, views):
        start.wait()
        views.append(w.detach())

    for _ in range(300):
        w, start, views = leaf(), threading.Barrier(3), []
        threads = [threading.Thread(target=look, args=(w, start, views)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        disagreed += [view for view in views if view.memory is not w.memory]
    assert disagreed == []


def test_the_memory_of_a_value_is_made_once_whoever_asks(monkeypatch):
    """The race itself: another thread gives the value its memory between the question and the answer."""
    w, other = leaf(), leaf()

    class Meanwhile:
        def __enter__(self):
            if w.memory is versions.NEVER_CHANGED:
                w.memory = versions.Memory()
                other.memory = w.memory

        def __exit__(self, *exception):
            pass

    monkeypatch.setattr(versions, "LEAVES_LOCK", Meanwhile())
    view = w.detach()
    assert view.memory is w.memory is other.memory


READS = {
    "state_dict": lambda model, optimizer: model.state_dict()["w"],
    "deepcopy": lambda model, optimizer: copy.deepcopy(model.w).data,
    "pickle": lambda model, optimizer: pickle.loads(pickle.dumps(model.w)).data,
    "an optimizer's state": lambda model, optimizer: optimizer.state_dict()["state"][0]["velocity"],
}


@pytest.mark.parametrize("way", READS)
def test_a_copy_is_of_one_state_of_the_data(way):
    model = nn.Module()
    model.w = nn.Parameter(np.zeros(SIZE))
    optimizer = nn.optim.SGD(model.parameters(), lr=1.0, momentum=1.0)
    model.w.grad = np.zeros(SIZE)
    optimizer.step()

    def write(k):
        model.w.grad = np.full(SIZE, 1.0 - 2 * k)  # the velocity is 1 and 0 in turn
        optimizer.step()
        model.w.assign(np.full(SIZE, float(k)))

    def read():
        array = READS[way](model, optimizer)
        return array.min() == array.max()

    found = beside(write, read)
    assert all(found)
    assert len(found) > 20
