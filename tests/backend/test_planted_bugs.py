"""Bugs that are right on NumPy and wrong on a GPU are seen on the strict double: planted one by one, they are caught.

What is planted and what shows it stands in `planted_bugs.py` and `planted_waits.py`.
"""

import functools
import inspect
import sys
from contextlib import ExitStack, contextmanager, suppress
from types import ModuleType

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.backend import planted_waits  # noqa: F401  it enters its bugs into the table
from tests.backend.planted_bugs import BUGS, Bug, sums, train
from tinygrad_sm import Tensor
from tinygrad_sm.backend import ARRAY_TYPES
from tinygrad_sm.dispatch import HAS_WING

RUNS = 3
"""How often a probe runs on the double, where the order of stores and sums is another each time."""

Primitive = type(tg.sum)


def places():
    """Return the modules of the package, and the classes and operations that stand in them: what has functions."""
    modules = [module for name, module in sys.modules.items() if name.partition(".")[0] == "tinygrad_sm"]
    inside = {
        id(x): x
        for module in modules
        for x in vars(module).values()
        if isinstance(x, type | Primitive) and x.__module__.partition(".")[0] == "tinygrad_sm"
    }
    return [*modules, *inside.values()]


def the_one(name):
    """Return what has the name: "to_numpy" in some module, "Optimizer.step" or "sum.forward" in what stands before."""
    owner, _, own = name.rpartition(".")
    found = {}
    for place in places():
        if place.__name__.rpartition(".")[2] == owner if owner else isinstance(place, ModuleType):
            thing = vars(place).get(own)
            if isinstance(thing, tuple) or (callable(thing) and not isinstance(thing, type | Primitive)):
                found[id(thing)] = thing
    assert found, f"nothing in the package has the name {name}: a bug is planted there, and goes where that went"
    assert len(found) == 1, f"{len(found)} things have the name {name}: {[*found.values()]}"
    return next(iter(found.values()))


@contextmanager
def replaced(name, replacement):
    """Put what is made of the one thing of that name in its place wherever the package refers to it."""
    right = the_one(name)
    is_rules = isinstance(right, tuple)
    new = tuple(rule and replacement(rule) for rule in right) if is_rules else replacement(right)
    references = [(place, key) for place in places() for key, value in vars(place).items() if value is right]
    try:
        for place, key in references:
            setattr(place, key, new)
        yield
    finally:
        for place, key in references:
            setattr(place, key, right)


@contextmanager
def planted(bug):
    """Plant the bug for as long as the block runs, and give a list that grows with each call of the wrong function."""
    calls, running = [], []

    def wrong(right):
        @functools.wraps(right)
        def call(*args, **kwargs):
            if bug.within and not running:
                return right(*args, **kwargs)
            inspect.signature(bug.wrong).bind(right, *args, **kwargs)  # else it is no bug, but a call that cannot be
            calls.append(bug)
            return bug.wrong(right, *args, **kwargs)

        return call

    def noticed(right):
        @functools.wraps(right)
        def call(*args, **kwargs):
            running.append(bug)
            try:
                return right(*args, **kwargs)
            finally:
                running.pop()

        return call

    with ExitStack() as stack:
        stack.enter_context(replaced(bug.target, wrong))
        if bug.within:
            stack.enter_context(replaced(bug.within, noticed))
        yield calls


def kept_arrays():
    """Return the dicts in which the package keeps arrays from one call to the next."""
    dicts = [value for place in places() for value in vars(place).values() if type(value) is dict]
    return [kept for kept in dicts if any(type(array) in ARRAY_TYPES for array in kept.values())]


@contextmanager
def nothing_kept():
    """Let the package keep no arrays but its own of this block: a bug may spoil them."""
    before = [(kept, dict(kept)) for kept in kept_arrays()]
    for kept, _ in before:
        kept.clear()
    try:
        yield
    finally:
        for kept in kept_arrays():
            kept.clear()
        for kept, arrays in before:
            kept.update(arrays)


def observed(result):
    """Return of what a probe gave the place, the dtype and the values; of what is no array, the value alone.

    The framework is not asked: there may be a bug in it.
    """
    result = result.data if isinstance(result, Tensor) else result
    if isinstance(result, np.generic) or not hasattr(result, "dtype"):
        return None, None, result.item() if isinstance(result, np.generic) else result
    return str(result.device), result.dtype, result.get() if hasattr(result, "get") else result


def outcome(probe, device, strict):
    """Return what a probe gives on a device, or its error, and what it cost there."""
    tg.manual_seed(0)
    strict.EVENTS.clear()
    with nothing_kept():
        try:
            results = probe(device)
        except Exception as error:  # noqa: BLE001  whatever it is, it is how a bug shows
            return error, {}
        finally:
            tg.set_default_device("cpu")
            strict.namespace().cuda.Device(0).use()
        cost = dict(strict.EVENTS)
        return [observed(result) for result in results], cost


def alike(results, others, places=True):
    """Whether two runs gave the same, but for rounding, and, if that is asked for, in the same places."""
    if isinstance(results, Exception) or isinstance(others, Exception):
        return False
    for (place, dtype, value), (other_place, other_dtype, other) in zip(results, others, strict=True):
        if dtype != other_dtype or np.shape(value) != np.shape(other) or (places and place != other_place):
            return False
        if dtype is None and value != other:
            return False
        if dtype is not None and not np.allclose(value, other, rtol=1e-5, atol=1e-6, equal_nan=True):
            return False
    return True


def shown(probe, right, least, strict):
    """Return what shows on the double that something is wrong: an error, a result, a cost, with more words; or ""."""
    for _ in range(RUNS):
        results, cost = outcome(probe, "cuda", strict)
        if isinstance(results, Exception):
            # It must be refused as CuPy refuses it, not for want of a model.
            return "" if "does not model" in str(results) else f"error: {type(results).__name__}: {results}"
        if not alike(results, right):
            return "result: another"
        for event in ("sync", "h2d", "d2h", "launch"):
            if cost.get(event, 0) > least.get(event, 0):
                return f"{event}: {cost[event]} in place of {least.get(event, 0)}"
    return ""


def judged(bug, strict):
    """Return what shows the bug on the double, once it is found to be one: right on NumPy, and alive on the double."""
    here, _ = outcome(bug.probe, "cpu", strict)
    there, least = outcome(bug.probe, "cuda", strict)
    assert alike(there, here, places=False), f"the probe without the bug: {there} on the double, {here} on NumPy"
    assert shown(bug.probe, there, least, strict) == "", "the probe is caught without the bug"
    with planted(bug) as calls:
        with_bug, _ = outcome(bug.probe, "cpu", strict)
        assert alike(with_bug, here), f"the bug is not right on NumPy: {with_bug} in place of {here}"
        calls.clear()
        how = shown(bug.probe, there, least, strict)
    assert calls, f"the wrong {bug.target} never ran in the probe{' within ' * bool(bug.within)}{bug.within}: {how}"
    return how


@pytest.mark.parametrize("name", BUGS)
def test_right_on_numpy_and_caught_on_the_double(name, strict):
    if BUGS[name].in_wing and not HAS_WING:
        pytest.skip("TINYGRAD_SM_PLAIN: there is no such form")
    how = judged(BUGS[name], strict)
    print(f"{name}: {how or 'survives'}")
    assert how.partition(":")[0] == BUGS[name].shows


def test_there_are_enough_and_few_survive():
    assert len(BUGS) >= 65
    survivors = [name for name, bug in BUGS.items() if not bug.shows]
    assert len(survivors) <= 0.05 * len(BUGS), survivors


def same(right, *args, **kwargs):
    return right(*args, **kwargs)


def halved(right, *args, **kwargs):
    return right(*args, **kwargs) / 2


def never(right):
    raise AssertionError("nobody calls it without arguments")


def slope():
    x = Tensor(1.0, requires_grad=True)
    (x * 18.0).backward()
    return x.grad


@pytest.mark.parametrize(
    ("target", "within", "compute", "wrong"),
    [
        ("multiply.forward", "", lambda: tg.multiply(6.0, 3.0), 9),
        ("multiply.forward", "", lambda: (Tensor(6.0) * 3.0).item(), 9),
        ("multiply.rules", "", slope, 9),
        ("as_operand", "", lambda: float(tg.squeeze(18.0)), 9),
        ("Tensor.numpy", "", lambda: Tensor(18.0).numpy(), 9),
        ("multiply.forward", "square", lambda: tg.square(6.0) / 2, 9),
        ("multiply.forward", "square", lambda: tg.multiply(6.0, 3.0), 18),
    ],
)
def test_bugs_are_planted_where_they_should_be(target, within, compute, wrong):
    assert compute() == 18
    with planted(Bug(target, halved, None, within=within)):
        assert compute() == wrong
    assert compute() == 18


def test_planting_leaves_nothing():
    def everything():
        return {(id(place), key): value for place in places() for key, value in vars(place).items()}

    before = everything()
    for bug in BUGS.values():
        with suppress(ZeroDivisionError), planted(bug):
            changed = [key for key, value in everything().items() if value is not before[key]]
            assert changed
            raise ZeroDivisionError
    after = everything()
    assert after.keys() == before.keys()
    assert all(after[key] is before[key] for key in before)


@pytest.mark.parametrize(
    ("target", "within", "wrong", "probe", "message"),
    [
        ("no_such_function", "", same, sums, "nothing in the package has the name no_such_function"),
        ("Optimizer.no_such_method", "", same, sums, "nothing in the package has the name Optimizer.no_such_method"),
        ("sum.forward", "no_such_function", same, sums, "nothing in the package has the name no_such_function"),
        ("shifted", "", same, sums, "2 things have the name shifted"),
        ("tanh.forward", "", same, sums, "the wrong tanh.forward never ran"),
        ("sum.forward", "square", same, sums, "the wrong sum.forward never ran in the probe within square"),
        ("mean_of_kept", "", never, train(), "the wrong mean_of_kept never ran"),
        ("sum.forward", "", halved, sums, "the bug is not right on NumPy"),
        ("sum.forward", "", never, sums, "the bug is not right on NumPy"),
    ],
)
def test_what_is_no_bug_is_refused(target, within, wrong, probe, message, strict):
    with pytest.raises(AssertionError, match=message):
        judged(Bug(target, wrong, probe, within=within), strict)


def test_planting_alone_shows_nothing(strict):
    assert judged(Bug("sum.forward", same, sums), strict) == ""
    assert judged(Bug("array_module", same, sums, within="Tensor.backward"), strict) == ""
