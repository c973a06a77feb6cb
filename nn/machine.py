"""The facts about the machine and its libraries that decide the last bits of a training.

    then = facts()                  # {"NumPy": "2.4.6", "BLAS core": "Haswell", "BLAS threads": 2, ...}
    differences(then, facts())      # [] on the same machine, and "BLAS threads 2 then, 1 now" with fewer threads

A sum depends on the order of its terms. Each kernel of the BLAS has its own order, and so has each number of threads;
NumPy chooses its own loops by the instructions of the CPU. A checkpoint holds these facts, so that `nn.load` can say
when exact resume is not to be expected. A fact that a machine does not tell is None, and is not compared.
"""

import ctypes
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from tinygrad_sm.errors import shown

Facts = dict[str, str | int | None]

_OPENBLAS = ("scipy_openblas_{}64_", "scipy_openblas_{}", "openblas_{}64_", "openblas_{}")
"""The names of OpenBLAS's functions: in NumPy's wheels, and in other builds."""

_REMEDIES = {
    "NumPy": "install numpy=={}",
    "BLAS threads": "set OPENBLAS_NUM_THREADS={}, or for MKL MKL_NUM_THREADS={}, before Python starts",
}
"""What a user can do about a difference. A core is not to be set by hand: the CPU may lack its instructions."""


def facts() -> Facts:
    """Return the facts by name."""
    config: Any = np.show_config(mode="dicts")  # of this CPU its instructions, but the BLAS of the build
    simd = config.get("SIMD Extensions", {})
    features = [*simd.get("baseline", []), *simd.get("found", [])]
    build = config.get("Build Dependencies", {}).get("blas", {})
    name, version = build.get("name"), build.get("version")
    running = _openblas("get_config", ctypes.c_char_p)  # b"OpenBLAS 0.3.31 DYNAMIC_ARCH ...", the one that is here
    if running:
        name, version = [*running.decode(errors="replace").split(), "", ""][:2]
    core = _openblas("get_corename", ctypes.c_char_p)
    return {
        "NumPy": np.__version__,
        "SIMD": " ".join(features) or None,
        "BLAS": name or None,
        "BLAS version": version or None,
        "BLAS core": core.decode(errors="replace") if core else None,
        "BLAS threads": blas_threads(),
    }


def blas_threads() -> int | None:
    """Return the number of threads in NumPy's matrix products, or None where its BLAS does not say.

    Asks the library itself: an environment variable may have been set too late to have an effect.
    """
    names = ("MKL_Get_Max_Threads", "bli_thread_get_num_threads")
    return _called([*(name.format("get_num_threads") for name in _OPENBLAS), *names], ctypes.c_int)


def check_facts(facts: Any) -> Facts:
    """Return the facts that a file holds; ValueError unless they are texts, numbers or None by name."""
    if not isinstance(facts, dict) or not all(type(value) in (str, int, type(None)) for value in facts.values()):
        raise ValueError("expected texts and numbers as the facts about the machine")
    return facts


def differences(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return a line for each fact that is known in both and differs."""
    return [
        f"{name} {shown(str(then[name]), 200)} then, {shown(str(now[name]), 200)} now" for name in _differ(then, now)
    ]


def remedies(then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """Return what to do for equal bits where the facts differ."""
    known = [
        _REMEDIES[name].replace("{}", shown(str(then[name]), 60)) for name in _differ(then, now) if name in _REMEDIES
    ]
    place = "go on where it was saved, with the same environment variables"
    return ", ".join([*known, f"or {place}"]) if known else place


def _differ(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    return [name for name in now if None not in (then.get(name), now[name]) and then[name] != now[name]]


def _openblas(function: str, result: Any) -> Any:
    return _called([name.format(function) for name in _OPENBLAS], result)


def _called(names: list[str], result: Any) -> Any:
    """Return what the first of these functions that NumPy's BLAS has returns, or None if it has none."""
    umath = sys.modules.get("numpy._core._multiarray_umath")
    try:
        library = ctypes.CDLL(getattr(umath, "__file__", ""))  # its symbols include those of the BLAS it is linked to
    except (OSError, TypeError):
        return None
    for name in names:
        if hasattr(library, name):
            function = getattr(library, name)
            function.restype = result
            return function()
    return None
