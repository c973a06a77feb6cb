"""CuPy without a GPU: NumPy behind a class that behaves as `cupy.ndarray` does wherever the two differ.

A program that is right on NumPy can be wrong on CuPy: a list as an operand, an index out of range, an `initial=`, a
hidden copy to the host in every step. Here is the stand-in with which tests find that on any machine:

    xp = strict_cupy.namespace()
    strict_cupy.EVENTS.clear()
    loss = f(xp.asarray(images))
    assert strict_cupy.EVENTS["sync"] == 0

The double grants only the names, keywords and methods of `cupy_names.json`, which `freeze_cupy.py` takes from a real
CuPy. A name that CuPy lacks is an AttributeError; one that CuPy has and the double does not model, a
NotImplementedError. It shows what a program may not rely on: places named twice get any of their values, sums by
`add.at` any order, fresh memory NaN. It computes with NumPy, so that FMA, flushed denormals and true asynchrony are not
shown. Where CuPy's values or layouts are others than NumPy's, they are as `cupy_answers.json` records them; and of
sums that depend on the order of their terms the last bit is another than NumPy's: see `strict_cupy_rules`.

What counts as a launch, a synchronisation and a copy: see `strict_cupy_device.EVENTS`.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from tests.backend import strict_cupy_random
from tests.backend.strict_cupy_array import memory, ndarray, new
from tests.backend.strict_cupy_device import (
    DEVICES,
    EVENTS,
    STATE,
    CUDARuntimeError,
    Device,
    Event,
    Stream,
    current_stream,
    elapsed_time,
    launched,
    set_device,
    synchronized,
)
from tests.backend.strict_cupy_functions import function, functions, method
from tests.backend.strict_cupy_index import take
from tests.backend.strict_cupy_kernels import PLAIN_KERNELS, ElementwiseKernel, fuse
from tests.backend.strict_cupy_table import MODELLED, TABLE, StrictModule
from tests.backend.strict_cupy_ufuncs import UFUNCS, matmul, ufunc

__all__ = ["EVENTS", "PLAIN_KERNELS", "namespace"]

_CUDA_VERSION = 13000


@cache
def namespace() -> Any:
    """Return what stands for the module `cupy`: the same object each time."""
    table: dict[str, Any] = functions()
    cupy = StrictModule("cupy", "namespace", table | _constants())
    linalg = {name: function(name, getattr(np.linalg, name), "linalg") for name in MODELLED["linalg"]}
    linalg |= {"matmul": matmul, "LinAlgError": np.linalg.LinAlgError}

    def get_array_module(*arrays: Any) -> Any:
        return cupy if any(type(x) is ndarray for x in arrays) else np

    vars(cupy).update(
        __version__=TABLE["version"],
        ndarray=ndarray,
        ufunc=ufunc,
        matmul=matmul,
        fuse=fuse,
        ElementwiseKernel=ElementwiseKernel,
        get_array_module=get_array_module,
        is_available=lambda: True,
        random=strict_cupy_random.module(),
        linalg=StrictModule("cupy.linalg", "linalg", linalg),
        lib=StrictModule("cupy.lib", "lib", {"stride_tricks": _stride_tricks()}),
        cuda=_cuda(),
    )
    _complete_array(cupy, table)
    return cupy


def _constants() -> dict[str, Any]:
    """Return the constants, and NumPy's own types, which CuPy names too."""
    names = ("e", "euler_gamma", "inf", "nan", "newaxis", "pi", "dtype", "finfo", "iinfo")
    types = [n for n in TABLE["namespace"] if isinstance(t := getattr(np, n, None), type) and issubclass(t, np.generic)]
    return {name: getattr(np, name) for name in (*names, *types)}


def _cuda() -> StrictModule:
    """Return `cupy.cuda`."""
    runtime = {
        "CUDARuntimeError": CUDARuntimeError,
        "deviceSynchronize": synchronized,
        "driverGetVersion": lambda: _CUDA_VERSION,
        "getDevice": lambda: STATE.device,
        "getDeviceCount": lambda: DEVICES,
        "getDeviceProperties": lambda device: {"name": b"Strict double of a GPU", "totalGlobalMem": 2**34},
        "runtimeGetVersion": lambda: _CUDA_VERSION,
        "setDevice": set_device,
    }
    cuda = {
        "Device": Device,
        "Event": Event,
        "Stream": Stream,
        "get_current_stream": current_stream,
        "get_device_id": lambda: STATE.device,
        "get_elapsed_time": elapsed_time,
        "is_available": lambda: True,
        "runtime": StrictModule("cupy.cuda.runtime", "runtime", runtime),
    }
    return StrictModule("cupy.cuda", "cuda", cuda)


def _stride_tricks() -> StrictModule:
    """Return `cupy.lib.stride_tricks`, whose view, unlike all others, does not say of which array it is one."""

    def as_strided(x: ndarray, shape: Any = None, strides: Any = None) -> ndarray:
        shape = x.shape if shape is None else tuple(shape)
        strides = x.strides if strides is None else tuple(strides)
        return new(np.lib.stride_tricks.as_strided(memory(x), shape, strides))

    return StrictModule("cupy.lib.stride_tricks", "stride_tricks", {"as_strided": as_strided})


def _complete_array(cupy: Any, table: dict[str, Callable[..., Any]]) -> None:
    """Give the array the methods that are functions of the namespace, and its answer to NumPy's functions."""
    for name in MODELLED["methods"]:
        setattr(ndarray, name, method(name, table[name]))
    methods: dict[str, Callable[..., Any]] = {
        "clip": lambda x, min=None, max=None, out=None: table["clip"](x, min, max, out),
        "conj": _conj,
        "conjugate": _conj,
        "take": take,
        "sort": _sort,
        "scatter_add": lambda x, slices, value: UFUNCS["add"].at(x, slices, value),
    }
    for name, plain in methods.items():
        setattr(ndarray, name, _bound(plain))

    def array_function(x: ndarray, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        """Answer `np.sum(x)` by the function of that name: NumPy's, on arrays of the host, do not come here."""
        module = cupy
        try:
            for part in func.__module__.split(".")[1:]:
                module = getattr(module, part)
            ours = getattr(module, func.__name__)
        except AttributeError:
            return NotImplemented
        if ours is func or not all(t in (ndarray, np.ndarray) for t in types):
            return NotImplemented
        return ours(*args, **kwargs)

    ndarray.__array_function__ = array_function


def _bound(plain: Callable[..., Any]) -> Callable[..., Any]:
    """Return a method: an instance of `ufunc`, unlike a function, does not bind itself."""
    return lambda self, *args, **kwargs: plain(self, *args, **kwargs)


def _conj(x: ndarray) -> ndarray:
    """Return the complex conjugate: of real numbers the array itself."""
    conjugate: ndarray = UFUNCS["conjugate"](x) if x.dtype.kind == "c" else x
    return conjugate


def _sort(x: ndarray, axis: int = -1, kind: str | None = None) -> None:
    memory(x).sort(axis, kind)
    launched()
