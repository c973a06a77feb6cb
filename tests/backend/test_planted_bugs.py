"""Bugs that are right on NumPy and wrong on a GPU are seen on the strict double: planted one by one, they are caught.

What is planted and what shows it stands in `planted_bugs.py`.
"""

import gc
import importlib
import inspect
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FunctionType

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.backend.planted_bugs import BUGS, SURVIVORS, Bug
from tinygrad_sm import Tensor, backend
from tinygrad_sm.ops import elementwise

RUNS = 3
"""How often a probe runs on the double, where the order of stores and sums is another each time."""


def functions(code):
    """Return the code of each function that the code of a module or class defines, those of its classes too."""
    found = []
    for part in code.co_consts:
        if isinstance(part, CodeType):
            found += [part] if part.co_flags & inspect.CO_OPTIMIZED else functions(part)
    return found


def essence(code):
    """Return what a function does, without the lines on which it stands."""
    constants = [essence(c) if isinstance(c, CodeType) else repr(c) for c in code.co_consts]
    return code.co_code, code.co_names, code.co_varnames, constants


@contextmanager
def planted(bug):
    """Give the function that the replacement changes the code that it has then, for as long as the block runs.

    So the function itself stays the object that others have imported, and nothing else knows of the bug.
    """
    module = importlib.import_module(f"tinygrad_sm.{bug.module}")
    source = Path(module.__file__).read_text(encoding="utf-8")
    assert source.count(bug.old) == 1, f"in {bug.module}, {source.count(bug.old)} times: {bug.old}"
    versions = source, source.replace(bug.old, bug.new)
    right, wrong = (functions(compile(text, module.__file__, "exec", dont_inherit=True)) for text in versions)
    changed = [(a, b) for a, b in zip(right, wrong, strict=True) if essence(a) != essence(b)]
    assert len(changed) == 1, f"{[a.co_qualname for a, _ in changed]} change in {bug.module}, not one function"
    own, code = changed[0]
    alive = [f for f in gc.get_objects() if type(f) is FunctionType and f.__code__ == own]
    assert alive, f"{own.co_qualname} does not run as it stands in {bug.module}"
    for function in alive:
        function.__code__ = code
    try:
        yield
    finally:
        for function in alive:
            function.__code__ = own


def observed(result):
    """Return of what a probe gave the place, the dtype and the values; of what is no array, the value alone."""
    result = result.data if isinstance(result, Tensor) else result
    if type(result) not in backend.ARRAY_TYPES:
        return None, None, result.item() if isinstance(result, np.generic) else result
    return backend.device_of(result), result.dtype, backend.to_numpy(result)


def outcome(probe, device, strict, monkeypatch):
    """Return what a probe gives on a device, or its error, and what it cost there."""
    tg.manual_seed(0)
    strict.EVENTS.clear()
    with monkeypatch.context() as fresh:
        fresh.setattr(backend, "_ones", {})
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


def shown(probe, right, least, strict, monkeypatch):
    """Return what shows on the double that something is wrong: an error, another result, more cost; or ""."""
    for _ in range(RUNS):
        results, cost = outcome(probe, "cuda", strict, monkeypatch)
        if isinstance(results, Exception):
            # It must be refused as CuPy refuses it, not for want of a model.
            return "" if "does not model" in str(results) else f"{type(results).__name__}: {results}"
        if not alike(results, right):
            return "another result"
        for event in ("sync", "h2d", "d2h", "launch"):
            if cost.get(event, 0) > least.get(event, 0):
                return f"{event}: {cost[event]} in place of {least.get(event, 0)}"
    return ""


@pytest.mark.parametrize("name", BUGS)
def test_right_on_numpy_and_caught_on_the_double(name, strict, monkeypatch):
    bug = BUGS[name]
    here, _ = outcome(bug.probe, "cpu", strict, monkeypatch)
    there, least = outcome(bug.probe, "cuda", strict, monkeypatch)
    assert alike(there, here, places=False), f"the probe without the bug: {there} on the double, {here} on NumPy"
    assert shown(bug.probe, there, least, strict, monkeypatch) == "", "the probe is caught without the bug"
    with planted(bug):
        with_bug, _ = outcome(bug.probe, "cpu", strict, monkeypatch)
        assert alike(with_bug, here), f"the bug is not right on NumPy: {with_bug} in place of {here}"
        how = shown(bug.probe, there, least, strict, monkeypatch)
    print(f"{name}: {how or 'survives'}")
    assert bool(how) == (name not in SURVIVORS)


def test_there_are_enough_and_few_survive():
    assert len(BUGS) >= 34
    assert BUGS.keys() >= SURVIVORS
    assert len(SURVIVORS) <= 0.05 * len(BUGS), SURVIVORS


def test_bugs_are_planted_where_they_should_be_and_leave_nothing():
    bug = Bug("ops.elementwise", "    return a * b\n", "    return a / b\n", None)
    with planted(bug):
        assert (tg.multiply(6.0, 3.0), elementwise.multiply(6.0, 3.0)) == (2, 2)
        assert tg.Tensor(6.0).__mul__(3.0).item() == 2
    assert tg.multiply(6.0, 3.0) == 18
    for old, new, message in (
        ("    return a ** b\n", "", "0 times"),
        ("    return a", "    return b", "times"),
        ("# ∂L/∂a = g ⊙ b", "# the rule of a", "not one function"),
        ("import array_module, select\n", "import array_module, select as chosen\n", "not one function"),
    ):
        with pytest.raises(AssertionError, match=message), planted(bug._replace(old=old, new=new)):
            pass
