"""The state of the random draws can be read and set; forked processes draw differently, and the same in each run."""

import copy
import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest

import tinygrad_sm as tg
from tinygrad_sm import nn

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows does not fork")


@pytest.fixture(autouse=True)
def draws_stay():
    """Leave the draws of other tests as they are."""
    state = tg.get_rng_state()
    yield
    tg.set_rng_state(state)


def draws():
    return [tg.rand(3).tolist(), tg.randn(2).tolist(), nn.Dropout()(np.ones(20)).tolist(), nn.Linear(2, 1).weight.data]


def test_draws_come_again_from_a_state():
    tg.manual_seed(3)
    tg.rand(5)
    state = tg.get_rng_state()
    unchanged = copy.deepcopy(state)
    first = str(draws())
    assert str(draws()) != first
    tg.set_rng_state(state)
    assert str(draws()) == first
    tg.set_rng_state(json.loads(json.dumps(state)))
    assert str(draws()) == first
    assert state == unchanged  # it is no view of the generator


def test_a_state_of_numpy_alone_can_be_set():
    tg.set_rng_state(np.random.default_rng(5).bit_generator.state)
    state = tg.get_rng_state()
    tg.manual_seed(5)
    assert tg.get_rng_state() == state


STATE = {**np.random.default_rng(0).bit_generator.state, "forks": 2}


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        *((None, "got None: TypeError"), (3, "got 3: TypeError"), ({}, "got {}: ValueError")),
        (np.random.MT19937(0).state, "ValueError: state must be for a PCG64"),
        *(({**STATE, "forks": wrong}, "no whole numbers, or unknown") for wrong in (-1, 1.0, None, True)),
        *(({**STATE, "uinteger": 0.5}, "no whole numbers"), ({**STATE, "position": 3}, "or unknown")),
        *(({**STATE, "state": wrong}, "Error") for wrong in (3, {}, {"state": -1, "inc": 1}, {"state": 2**200})),
    ],
)
def test_what_is_no_state_is_refused_and_changes_nothing(state, reason):
    before = tg.get_rng_state()
    message = r"expected a state of the random draws, as get_rng_state returns it, .*"
    with pytest.raises(ValueError, match=message + re.escape(reason)):
        tg.set_rng_state(state)
    assert tg.get_rng_state() == before


# Each child writes a line: an interpreter of its own keeps pytest, and the threads of other tests, out of the children.
FORKING = """
import os, sys, json
import tinygrad_sm as tg

def fork(then):
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.write(write, json.dumps(then()).encode())
        os._exit(0)
    os.close(write)
    with open(read) as file:
        text = file.read()
    assert os.waitpid(child, 0)[1] == 0
    return json.loads(text)

def draw():
    return tg.rand(2).tolist()
"""


def run(code, *arguments, first=""):
    """Run the code, and before the import what must come first; return what it prints."""
    command = [sys.executable, "-W", "error", "-c", first + FORKING + code, *arguments]
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
    return json.loads(subprocess.run(command, env=environment, capture_output=True, check=True, text=True).stdout)


def flat(lines):
    return [tuple(line) for line in lines]


@needs_fork
def test_forked_processes_draw_differently_and_the_same_in_each_run():
    code = """
tg.manual_seed(0)
children = [fork(draw), fork(draw), *fork(lambda: [draw(), fork(draw), fork(draw)])]
parent = draw()
children.append(fork(draw))
print(json.dumps([parent, *children]))
"""
    all_draws = run(code)
    assert len(set(flat(all_draws))) == len(all_draws) == 7
    assert run(code) == all_draws
    assert run(code.replace("seed(0)", "seed(1)")) != all_draws
    tg.manual_seed(0)
    assert tg.rand(2).tolist() == all_draws[0]  # the parent draws as if it had not forked


@needs_fork
def test_forked_processes_of_an_unseeded_parent_draw_differently():
    never_drew = run("print(json.dumps([fork(draw), fork(draw), draw()]))")
    drew = run("print(json.dumps([draw(), fork(draw), fork(draw), draw()]))")
    assert len(set(flat(never_drew + drew))) == 7


@needs_fork
def test_a_child_that_is_seeded_or_restored_draws_as_its_seed_or_state_says():
    [state, child], restored, seeded, expected = run("""
tg.manual_seed(0)
child = fork(lambda: [tg.get_rng_state(), draw()])
def restored():
    tg.set_rng_state(child[0])
    return draw()
def seeded():
    tg.manual_seed(7)
    return draw()
print(json.dumps([child, fork(restored), fork(seeded), seeded()]))
""")
    assert restored == child
    assert seeded == expected
    tg.set_rng_state(state)
    assert tg.rand(2).tolist() == child


@needs_fork
def test_a_resumed_process_forks_the_children_that_the_first_would_have_forked(tmp_path):
    first = run(
        """
from tinygrad_sm import nn
tg.manual_seed(0)
model = nn.Linear(2, 2)
fork(draw), draw(), fork(draw), fork(draw)
nn.save(sys.argv[1], model, nn.optim.SGD(model.parameters(), lr=0.1))
print(json.dumps([fork(draw), draw(), fork(draw)]))
""",
        str(tmp_path / "c"),
    )
    resumed = run(
        """
from tinygrad_sm import nn
model = nn.Linear(2, 2)
nn.load(sys.argv[1], model, nn.optim.SGD(model.parameters(), lr=0.1))
print(json.dumps([fork(draw), draw(), fork(draw)]))
""",
        str(tmp_path / "c"),
    )
    assert resumed == first


@needs_fork
def test_workers_of_multiprocessing_draw_differently():
    lines = run("""
import multiprocessing
def work(queue):
    queue.put(draw())
if __name__ == "__main__":
    tg.manual_seed(0)
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    workers = [context.Process(target=work, args=(queue,)) for _ in range(4)]
    for worker in workers:
        worker.start()
        worker.join()
    print(json.dumps([queue.get() for _ in workers] + [draw()]))
""")
    assert len(set(flat(lines))) == 5


@needs_fork
def test_threads_that_fork_at_once_get_children_that_draw_differently():
    """Two threads meet before they fork and before they end it, unless one keeps the other out.

    Hooks that were registered first run last before a fork and first after it. Those of the engine's lock are left out:
    they would keep the other thread out too, depending on which module is imported first.
    """
    first = """
import contextlib, os, threading
meeting = threading.Barrier(2)
def meet():
    with contextlib.suppress(threading.BrokenBarrierError):
        meeting.wait(0.3)
os.register_at_fork(before=meet, after_in_parent=meet)
register = os.register_at_fork
def register_draws_only(before=None, **hooks):
    if getattr(before, "__module__", None) == "tinygrad_sm.random":
        register(before=before, **hooks)
os.register_at_fork = register_draws_only
"""
    code = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of forks beside threads
tg.manual_seed(0)
lines = []
threads = [threading.Thread(target=lambda: lines.append(fork(draw))) for _ in range(2)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps(lines))
"""
    lines = run(code, first=first)
    assert len(set(flat(lines))) == len(lines) == 2


@needs_fork
def test_a_signal_handler_that_forks_while_a_fork_begins():
    first = """
import os, signal
lines, interrupted = [], []
def interrupt():
    if not interrupted:
        interrupted.append(1)
        signal.raise_signal(signal.SIGUSR1)
signal.signal(signal.SIGUSR1, lambda *_: lines.append(fork(draw)))
os.register_at_fork(before=interrupt)
"""
    lines = run("tg.manual_seed(0); lines += [fork(draw), fork(draw), draw()]; print(json.dumps(lines))", first=first)
    assert len(set(flat(lines))) == len(lines) == 4


@needs_fork
def test_a_child_draws_while_a_thread_of_the_parent_was_drawing():
    """The lock of the generator that the thread holds stays held in the child; the pause lets it begin to draw."""
    pause = "import os, time; os.register_at_fork(before=lambda: time.sleep(0.05))"
    code = """
import signal, threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)
from tinygrad_sm.random import random_generator
tg.manual_seed(0)
threading.Thread(target=lambda: [random_generator().random(10**7) for _ in range(10**6)], daemon=True).start()
def in_time():
    signal.alarm(10)
    return draw()
print(json.dumps([fork(in_time) for _ in range(3)]), flush=True)
os._exit(0)
"""
    lines = run(code, first=pause)
    assert len(set(flat(lines))) == 3


@needs_fork
def test_a_worker_goes_on_from_the_state_of_a_loader_and_of_the_draws():
    """The order of a loader is the same in every process; what its transform draws is not, unless it is restored."""
    worker, sibling, parent, restored = run("""
import numpy as np
from tinygrad_sm.datasets import DataLoader
def new_loader():
    x = np.zeros((10, 1), np.float32)
    return DataLoader((x, np.arange(10)), 2, shuffle=True, transform=lambda x: x + tg.randn(*x.shape).numpy())
def rest(batches):
    return [[x.tolist(), y.tolist()] for x, y in batches]
def work():
    loader = new_loader()
    batches = iter(loader)
    next(batches)
    states = loader.state_dict(), tg.get_rng_state()
    return *states, rest(batches)
tg.manual_seed(0)
worker, sibling = fork(work), fork(work)
def restored():
    loader = new_loader()
    loader.load_state_dict(worker[0])
    tg.set_rng_state(worker[1])
    return rest(loader)
print(json.dumps([worker[2], sibling[2], work()[2], fork(restored)]))
""")
    orders = [[y for _, y in batches] for batches in (worker, sibling, parent)]
    assert orders[0] == orders[1] == orders[2]
    drawn = {str([x for x, _ in batches]) for batches in (worker, sibling, parent)}
    assert len(drawn) == 3
    assert restored == worker
