"""Hypothesis profiles: `ci` by default, `intense` with HYPOTHESIS_PROFILE=intense; and the devices to test on."""

import os
import sys

import hypothesis
import pytest

import tinygrad_sm as tg
from tests.backend import strict_cupy
from tests.fast import plain_kernels

hypothesis.settings.register_profile("ci", max_examples=30, deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.register_profile("intense", max_examples=1000, deadline=None)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))

strict_cupy.PLAIN_KERNELS.update(plain_kernels.BY_NAME)
HAS_GPU = tg.is_available("cuda")


@pytest.fixture
def strict(monkeypatch):
    """Put the strict double in the place of CuPy, and give it, its counts at zero."""
    monkeypatch.setitem(sys.modules, "cupy", strict_cupy.namespace())
    yield strict_cupy
    tg.set_default_device("cpu")
    strict_cupy.namespace().cuda.Device(0).use()


@pytest.fixture(params=["cpu", "strict", *(["cuda"] if HAS_GPU else [])])
def device(request):
    """Run the test on the host, on the strict double and, where there is one, on a GPU; give the device's name."""
    if request.param == "strict":
        request.getfixturevalue("strict")
    return "cpu" if request.param == "cpu" else "cuda"
