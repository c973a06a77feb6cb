"""Hypothesis profiles: `ci`, or what HYPOTHESIS_PROFILE says, `browser` or `intense`; the devices to test on."""

import contextlib
import gc
import os
import sys
import unittest.mock

import hypothesis
import pytest

import tinygrad_sm as tg
from tests.backend import strict_cupy
from tests.fast import plain_kernels
from tinygrad_sm import backend
from tinygrad_sm.fast import handover, kernels
from tinygrad_sm.programs import arrays

hypothesis.settings.register_profile("ci", max_examples=20, deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.register_profile("browser", hypothesis.settings.get_profile("ci"), max_examples=3)
hypothesis.settings.register_profile("intense", max_examples=1000, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

strict_cupy.PLAIN_KERNELS.update(plain_kernels.BY_NAME)
HAS_GPU = tg.is_available("cuda")


def pytest_collection_finish():
    gc.collect()
    gc.freeze()  # what was collected stays: a full collection, of which some tests make many, need not look at it


@pytest.fixture
def strict(monkeypatch):
    """Put the strict double in the place of CuPy, and give it, its counts at zero; the test leaves nothing of it.

    Where there is a GPU, the real CuPy is in the same process: what the framework keeps by array module must go.
    """
    double = strict_cupy.namespace()
    monkeypatch.setitem(sys.modules, "cupy", double)
    strict_cupy.EVENTS.clear()
    kept_by_module = [backend._MODULES, handover._ones, arrays._types, *(kernel._made for kernel in kernels.KERNELS)]
    with contextlib.ExitStack() as restored:
        for kept in kept_by_module:
            restored.enter_context(unittest.mock.patch.dict(kept))
        yield strict_cupy
        tg.set_default_device("cpu")
        double.cuda.Device(0).use()
    backend.PLAIN_OPERANDS.discard(double.ndarray)
    assert left_of(double) == []


@pytest.fixture(scope="module")  # in one thread Playwright may be started once at a time
def browser():
    """Give a browser for pages, or skip where there is none; see tests/browser.py."""
    from tests.browser import chromium

    with chromium() as browser:
        yield browser


def left_of(double):
    """Return where modules of the package hold something of the double, in a dict or set or by itself."""
    found = []
    for name in [name for name in sys.modules if name.partition(".")[0] == "tinygrad_sm"]:
        for variable, value in vars(sys.modules[name]).items():
            parts = list(value) if isinstance(value, dict | set) else []
            parts += list(value.values()) if isinstance(value, dict) else [value]
            parts = [inner for part in parts for inner in (part if isinstance(part, tuple) else (part,))]
            if any(part is double or part is double.ndarray or type(part) is double.ndarray for part in parts):
                found.append(f"{name}.{variable}")
    return found


@pytest.fixture(params=["cpu", "strict", *([pytest.param("cuda", marks=pytest.mark.gpu)] if HAS_GPU else [])])
def device(request):
    """Run the test on the host, on the strict double and, where there is one, on a GPU; give the device's name."""
    if request.param == "strict":
        request.getfixturevalue("strict")
    return "cpu" if request.param == "cpu" else "cuda"


@pytest.fixture
def no_gc():
    """Leave it to reference counting alone what dies in a test."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()
