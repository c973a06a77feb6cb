"""What a step costs does not grow: a guard for speed that looks at no clock.

A time holds for one machine in one hour, and a test of it must be lax or fail by chance. What a program *does* is the
same in every run; and in a step as small as softmax regression's the time goes into just that: into calls of Python,
into calls of NumPy however small their arrays, into memory that is made, written and read. A step that does more is
slower. Three things are held.

**What 50 steps of fixed jobs do** (`cost_jobs.py`), against the figures in `cost_recorded.json`:

- calls: of functions of the package, and by these of functions in C, such as `isinstance`;
- operations: calls of primitives;
- array_calls, elements: calls of NumPy and the element operations that they take, as `cost_counter.py` counts them;
- arrays_made, bytes_made: the arrays that those calls allocate, so not views;
- peak_bytes: the most memory that five steps hold at once, the objects of the tape included.

So too the elements that forward and backward of each row of the table of op cases take. **Arrays and bytes are exact**,
and the same in Python 3.11 to 3.13 with NumPy 2.0 to 2.5: one array more in a step fails. **Calls may grow by 3 %**, or
by one for each operation if that is more, so that whoever makes a clearer form by a function of its own is not refused;
peak_bytes, and all in Pythons that nobody has tried, by 5 %. What has fallen by more than 5 % asks to be recorded, lest
new waste hide in the gap. `make record` records what is measured: the diff of the record shows what a change costs.

**The cheap-gradient bound**: forward and backward together take at most 5 times the element operations of the forward
alone, in every operation and in whole steps. That a small constant is enough for any function, of however many
operands, is the cheap gradient principle: "Evaluating Derivatives" (Griewank and Walther, 2nd ed., 2008), sections 3.3
and 4.6; it is 3 to 4 in their model of time. `COSTLY`, beside the rows of the table of op cases, names the operations
that take more, how much, and why.

**No page faults**: after `keep_freed_memory()`, what a step frees the next one gets, without asking the system.
"""

import itertools
import json
import math
import os
import platform
import re
import subprocess
import sys
import textwrap
import tracemalloc

import numpy as np
import pytest

from tests.helpers import of_the_wing
from tests.house import cost_counter, cost_jobs
from tests.house.cost_counter import CountedArray, counted
from tests.house.cost_jobs import JOBS, ROWS, case_id, cost, elements
from tinygrad_sm import Tensor, nn
from tinygrad_sm.backend import owned_copy
from tinygrad_sm.check.cases import COSTLY
from tinygrad_sm.engine import backward, tape
from tinygrad_sm.engine.mode import Observer, observe
from tinygrad_sm.engine.tape import count_uses, gradients
from tinygrad_sm.ops.softmax import cross_entropy

BOUND = 5
TOLERANCE = 0.05
TOLERANCE_OF_CALLS = 0.03
IS_TRIED = sys.version_info < (3, 14)


def figures(name):
    return json.loads(cost_jobs.RECORDED.read_text())[name]


def faults(measured, recorded):
    """Return a line for each figure that has grown, or has fallen so far that it must be recorded."""
    found = []
    for name, now in measured.items():
        before = recorded.get(name)
        if before is None:
            found.append(f"{name} is {now}, and nothing is recorded")
            continue
        change = f"from {before} to {now} ({now / before - 1:+.1%})"
        most = before
        if name == "calls":
            most = max(before * (1 + TOLERANCE_OF_CALLS), before + recorded["operations"])
        elif not IS_TRIED or name == "peak_bytes":  # Python's objects are 3 % larger in one version than in another
            most = before * (1 + TOLERANCE)
        if now > most:
            found.append(f"{name} grew {change}: find where; if it is worth its price, record it")
        elif now < before * (1 - TOLERANCE):
            found.append(f"{name} fell {change}: record it")
    return found


def check(measured, recorded):
    found = faults(measured, recorded)
    assert not found, "\n".join(["", *found, "To record what is measured: make record"])


@of_the_wing
@pytest.mark.parametrize("job", JOBS)
def test_steps_cost_what_is_recorded(job):
    check(cost(JOBS[job]), figures(job))


@of_the_wing
@pytest.mark.parametrize("case", ROWS, ids=case_id)
def test_operations_cost_what_is_recorded(case):
    check({case_id(case): elements(case)[1]}, figures("elements of operations"))


def test_the_record_is_of_what_there_is():
    names = {case_id(case) for case in ROWS}
    assert len(names) == len(ROWS)
    recorded = json.loads(cost_jobs.RECORDED.read_text())
    assert set(recorded.pop("elements of operations")) == names
    assert {name: set(job) for name, job in recorded.items()} == {name: set(cost(JOBS["chain"], 2)) for name in JOBS}


@pytest.mark.parametrize("job", JOBS)
def test_counts_are_the_same_each_time(job):
    cost(JOBS[job], steps=1)  # makes what is made once in a process, such as the 1 that walks share
    runs = [cost(JOBS[job], steps=3) for _ in range(3)]
    for run in runs:
        assert run.pop("peak_bytes") > 0
    assert runs[0] == runs[1] == runs[2]


def twice(function):
    """Return the function, which does its work a second time."""

    def wasteful(*args, **kwargs):
        function(*args, **kwargs)
        return function(*args, **kwargs)

    return wasteful


KEPT = []
OF_ARRAYS = {"array_calls", "elements", "arrays_made", "bytes_made"}
LEFT = (backward, "owned_gradient")
PLANTS = {
    "the loss is computed twice": (cross_entropy, "forward", twice, {"calls", *OF_ARRAYS}),
    "the first gradient is made eight times": (backward, "seed_gradient", lambda f: twice(twice(twice(f))), {"calls"}),
    "gradients are copied": (*LEFT, lambda f: lambda *which: owned_copy(f(*which)), {"calls", *OF_ARRAYS}),
    "gradients are negated": (*LEFT, lambda f: lambda *which: -f(*which), OF_ARRAYS),
    "gradients are kept": (*LEFT, lambda f: lambda *which: KEPT.append(f(*which)) or KEPT[-1], {"peak_bytes"}),
}


@of_the_wing
@pytest.mark.parametrize("plant", PLANTS)
def test_waste_in_a_step_is_seen(plant, monkeypatch):
    module, name, wasteful, grown = PLANTS[plant]
    usual = cost(JOBS["flagship"])
    monkeypatch.setattr(module, name, wasteful(getattr(module, name)))
    monkeypatch.setitem(globals(), "IS_TRIED", True)  # both were measured by one Python
    found = faults(cost(JOBS["flagship"]), usual)
    KEPT.clear()
    assert {line.split()[0] for line in found} == grown
    assert all("grew from" in line for line in found)


def through_a_function_more(function):
    """Return the function, reached through one that counts as the package's own."""
    source, names = "def through(*args, **kwargs): return function(*args, **kwargs)", {"function": function}
    exec(compile(source, tape.__file__, "exec"), names)
    return names["through"]


@of_the_wing
@pytest.mark.parametrize("job", JOBS)
def test_a_function_more_on_the_way_of_every_operation_may_be_the_clearer_form(job, monkeypatch):
    usual = cost(JOBS[job])
    monkeypatch.setattr(tape.Node, "__init__", through_a_function_more(tape.Node.__init__))
    once = cost(JOBS[job])
    assert once["calls"] > usual["calls"]
    assert faults(once | {"peak_bytes": usual["peak_bytes"]}, usual) == []
    for _ in range(3):
        monkeypatch.setattr(tape.Node, "__init__", through_a_function_more(tape.Node.__init__))
    many = cost(JOBS[job])
    assert ["calls" in line for line in faults(many | {"peak_bytes": usual["peak_bytes"]}, usual)] == [True]


def test_what_has_fallen_asks_to_be_recorded(monkeypatch):
    monkeypatch.setitem(globals(), "IS_TRIED", True)
    assert faults({"elements": 94, "calls": 96}, {"elements": 100, "calls": 100, "operations": 1}) == [
        "elements fell from 100 to 94 (-6.0%): record it"
    ]
    with pytest.raises(AssertionError, match=r"grew from 100 to 101 \(\+1.0%\): find where(.|\n)*make record"):
        check({"elements": 101}, {"elements": 100})
    with pytest.raises(AssertionError, match="nothing is recorded"):
        check({"elements": 1}, {})


# The cheap-gradient bound.


def operation(case):
    return re.split(r"[ (#]", case.label)[0]


def ratio(case):
    forward, both = elements(case)
    return both / forward


@pytest.mark.parametrize("case", [case for case in ROWS if operation(case) not in COSTLY], ids=case_id)
def test_cheap_gradients(case):
    bound = math.ceil(10 * ratio(case)) / 10
    assert bound <= BOUND, f'if it cannot be cheaper: COSTLY["{operation(case)}"] = {bound:g}, "why", beside its row'


@pytest.mark.parametrize("name", COSTLY)
def test_gradients_that_are_not_cheap(name):
    worst = max(ratio(case) for case in ROWS if operation(case) == name)
    bound, reason = COSTLY[name]
    assert reason
    assert worst > BOUND, "leave it out of COSTLY"
    assert bound - 0.1 < worst <= bound, f"it is {worst:g} in COSTLY"


@pytest.mark.parametrize("model", ["softmax regression", "perceptron"])
def test_cheap_gradients_of_a_step(model):
    layers = [784, 10] if model == "softmax regression" else [784, 256, 10]
    with counted() as counts:
        linear = [nn.Linear(n, m) for n, m in itertools.pairwise(layers)]
        model = nn.Sequential(*linear[:1], *(layer for each in linear[1:] for layer in (nn.ReLU(), each)))
        x, labels = Tensor(np.ones((128, 784), np.float32)), np.arange(128) % 10
        counts.reset()
        loss = nn.CrossEntropyLoss()(model(x), labels)
        forward = counts.elements
        loss.backward()
    assert forward > 2 * 128 * 784 * layers[1]
    # The first layer's products are nearly all there is: one forward, one for the weight, and none for the data.
    assert 1.9 * forward < counts.elements < 2.1 * forward


class Wasteful(Observer):
    """Lets every rule compute everything twice, three times over."""

    def backward(self, node, i, rule):
        return twice(twice(twice(rule)))


NO_WORK = {
    *("add", "astype", "atleast_1d", "atleast_2d", "broadcast_to", "concatenate", "diag", "expand_dims", "fold"),
    *("hstack", "moveaxis", "ravel", "reshape", "squeeze", "stack", "sum", "swapaxes", "tile", "transpose", "vstack"),
    *("einsum [(2, 3)](formula=ba)", "pad(pad_width=1)"),
    "pad(pad_width=((0, 1), (2, 0), (1, 1)),constant_values=1.5)",
}
"""Operations of which no rule computes anything: g itself, or a view of it. What the tape sums is not their work."""


@pytest.mark.parametrize("case", ROWS, ids=case_id)
def test_wasteful_rules_are_seen(case):
    forward, both = elements(case)
    with observe(Wasteful()):
        wasted = elements(case)
    assert wasted[0] == forward
    found = faults({"elements": wasted[1]}, {"elements": both})
    assert bool(found) != (operation(case) in NO_WORK or case.label in NO_WORK)


@pytest.mark.parametrize("name", ["exp", "multiply", "relu", "matmul", "softmax", "where", "take"])
def test_wasteful_rules_break_the_bound(name):
    with observe(Wasteful()):
        for case in ROWS:
            if operation(case) == name:
                assert ratio(case) > BOUND, case_id(case)


# The counter.

A = np.arange(12, dtype=np.float32).reshape(4, 3)
CALLS = {
    "elementwise, broadcast": (lambda xp, a: a + a[:1], 12, 1),
    "in place": (lambda xp, a: xp.multiply(a, 2, out=a), 12, 0),
    "reduction": (lambda xp, a: a.sum(axis=0), 12, 1),
    "mean of all": (lambda xp, a: xp.mean(a), 12, 1),
    "cumulative": (lambda xp, a: xp.cumsum(a, axis=1), 12, 1),
    "matrix product": (lambda xp, a: a @ xp.ones((3, 5), "float32"), 15 + 2 * 4 * 3 * 5, 2),
    "matrix product in place": (lambda xp, a: xp.dot(a, a.T, out=xp.empty((4, 4), "float32")), 2 * 4 * 3 * 4, 1),
    "batches of them": (lambda xp, a: xp.ones((2, 1, 4), "float32") @ a, 8 + 2 * 2 * 4 * 3, 2),
    "einsum": (lambda xp, a: xp.einsum("ij,kj->ik", a, a), 2 * 4 * 3 * 4, 1),
    "views": (lambda xp, a: xp.broadcast_to(a.T[1:].reshape(2, 2, 2)[0], (3, 2, 2)), 0, 0),
    "a reshape that must copy": (lambda xp, a: a.T.reshape(-1), 12, 1),
    "gather": (lambda xp, a: a[[0, 0, 1, 3, 2]], 15, 1),
    "take": (lambda xp, a: a.take([0, 2], axis=0), 6, 1),
    "take in place": (lambda xp, a: a.take([0, 2], axis=0, out=xp.empty((2, 3), "float32"), mode="clip"), 6, 1),
    "fill": (lambda xp, a: a.fill(3), 12, 0),
    "copy in place": (lambda xp, a: xp.copyto(a, a[:1]), 12, 0),
    "store": (lambda xp, a: a.__setitem__(slice(1, 3), 0), 6, 0),
    "scatter": (lambda xp, a: xp.add.at(a, [0, 0, 1], xp.float32(1)), 9, 0),
    "memory": (lambda xp, a: xp.empty((7, 0), "float32"), 0, 1),
    "zeros": (lambda xp, a: xp.zeros((7, 7), "float32"), 49, 1),
    "copies": (lambda xp, a: xp.array(a.astype("float32").copy()), 36, 3),
    "what is no copy": (lambda xp, a: xp.asarray(a.astype("float32", copy=False)), 0, 0),
    "joined": (lambda xp, a: xp.concatenate([a, a]), 24, 1),
    "chosen": (lambda xp, a: xp.where(a > 0, a, 0), 24, 2),
}


@pytest.mark.parametrize("call", CALLS)
def test_the_counter(call):
    function, worth, made = CALLS[call]
    expected = np.array(A)
    returned = function(np, expected)
    with counted() as counts:
        array = np.array(A).view(CountedArray)
        ours = function(cost_counter.COUNTING, array)
    assert (counts.elements, counts.arrays_made) == (worth, made)
    np.testing.assert_array_equal(array.view(np.ndarray), expected)
    if returned is not None:
        assert type(ours) is CountedArray
        assert (ours.dtype, ours.shape) == (returned.dtype, returned.shape)
        np.testing.assert_array_equal(ours.view(np.ndarray), returned)


def test_the_counter_sees_the_arrays_that_numpy_allocates(monkeypatch):
    kept = []
    add = cost_counter.Counts.add
    monkeypatch.setattr(
        cost_counter.Counts, "add", lambda self, elements, made=None: (kept.append(made), add(self, elements, made))
    )
    with counted() as counts:
        model = nn.Sequential(nn.Linear(20, 30), nn.Tanh(), nn.Linear(30, 10))
        optimizer = nn.optim.Adam(model.parameters())
        x, labels = Tensor(np.ones((8, 20), np.float32)), np.arange(8)
        tracemalloc.start()
        try:
            counts.reset()
            nn.CrossEntropyLoss()(model(x), labels).backward()
            optimizer.step()
            seen = tracemalloc.take_snapshot()
        finally:
            tracemalloc.stop()
    of_arrays = seen.filter_traces([tracemalloc.DomainFilter(True, np.lib.tracemalloc_domain)]).traces
    assert (counts.arrays_made, counts.bytes_made) == (len(of_arrays), sum(trace.size for trace in of_arrays))


@pytest.mark.parametrize("case", ROWS, ids=case_id)
def test_counting_changes_no_value(case):
    def values():
        operands = [Tensor(array, requires_grad=True) for array in case.operands(case.fixed)]
        out = case(*operands)
        found = gradients({out: np.ones_like(out.data)}, count_uses([out]))
        return [np.array(array) for array in (out.data, *(found.get(operand) for operand in operands))]

    expected = values()
    with counted():
        ours = values()
    for mine, theirs in zip(ours, expected, strict=True):
        assert mine.dtype == theirs.dtype
        np.testing.assert_array_equal(mine, theirs)


KEEPS_MEMORY = platform.libc_ver()[0] == "glibc" and sys.maxsize > 2**32


@pytest.mark.skipif(not KEEPS_MEMORY, reason="other C libraries decide otherwise what they keep of freed memory")
def test_a_step_computes_in_the_memory_of_the_step_before_where_that_is_asked_for():
    assert page_faults_of_20_steps("tg.keep_freed_memory()") < 20 * 10
    assert page_faults_of_20_steps("") > 20 * 100  # the import alone changes nothing in the process


@pytest.mark.skipif(not KEEPS_MEMORY, reason="other C libraries decide otherwise what they keep of freed memory")
def test_as_much_as_the_gradients_of_ten_million_parameters_is_kept():
    assert page_faults_of_20_steps("tg.keep_freed_memory()", size=2_000_000) < 20 * 10


def page_faults_of_20_steps(first, size=100_000):
    program = f"""
        import resource
        import tinygrad_sm as tg
        {first}

        def steps(count):
            for _ in range(count):
                ((a * 2 + 1) * a).sum().backward()
                a.grad = None
            return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

        a = tg.ones({size}, requires_grad=True)
        before = steps(5)
        print(steps(20) - before)
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}
    command = [sys.executable, "-c", textwrap.dedent(program)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True, env=environment).stdout)
