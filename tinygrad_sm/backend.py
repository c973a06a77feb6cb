"""Arrays: which module computes with them, where they live, and the few matters in which array modules differ.

Every other file computes with whatever arrays it is given and asks `array_module` which module they belong to, so that
no operation exists twice. Only this file may know that there is an array module besides NumPy: a second one joins by
its entry in `_MODULES` and by a branch in the functions that place, move or scatter data.
"""

from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np

from tinygrad_sm.errors import DeviceError

Array = Any
"""An array of any module, in annotations: array modules share no base class."""

_MODULES: dict[type, ModuleType] = {np.ndarray: np}

ARRAY_TYPES = _MODULES.keys()
"""The types of arrays of known modules."""

PLAIN_OPERANDS = {np.ndarray, float, int, bool, complex, type(None), *np.sctypeDict.values()}
"""The types that an operation takes as they are: Python scalars stay Python scalars, so that they never promote."""


def array_module(*arrays: Any) -> ModuleType:
    """Return the module that computes with these arrays, by custom called `xp`; Python scalars belong to any.

    >>> array_module(2.0, np.zeros(3)) is np
    True
    """
    for array in arrays:
        module = _MODULES.get(type(array))
        if module is not None:
            return module
    return np


def device_of(array: Array) -> str:
    """Return the name of the device that holds the array: "cpu"."""
    return "cpu"


def is_available(device: str) -> bool:
    """Whether arrays can be placed on the device: "cpu" always, any other not yet."""
    return device == "cpu"


def check_device(device: str | None) -> None:
    """Raise DeviceError unless arrays can be placed there; None stands for the default device."""
    if device is not None and not is_available(device):
        raise DeviceError(f"expected device 'cpu', got {device!r}: this version computes with NumPy, on the CPU alone")


def as_array(data: Any, dtype: Any = None, device: str | None = None) -> Array:
    """Return the data as an array: an array as it is, without a copy; Python floats as float32, ints as int64.

    >>> as_array([1.5, 2]).dtype, as_array(3).dtype, as_array(np.float64(1.5)).dtype
    (dtype('float32'), dtype('int64'), dtype('float64'))
    """
    check_device(device)
    array = np.asarray(data)
    if array.dtype.kind not in "biufc":
        raise TypeError(f"expected numbers, got {described(data)}")
    if dtype is None and array.dtype.kind in "fc" and _is_pure_python(data):
        dtype = np.float32 if array.dtype.kind == "f" else np.complex64
    return array if dtype is None else array.astype(dtype, copy=False)


def _is_pure_python(data: Any) -> bool:
    """Whether the data is a Python number or nested sequences of them, with no NumPy value that has a dtype to keep."""
    while isinstance(data, Sequence) and data:
        data = data[0]
    return not hasattr(data, "dtype")


def described(x: Any) -> str:
    """Return what messages say of a value: dtype and shape of an array, type and value of anything else."""
    if hasattr(x, "shape") and hasattr(x, "dtype"):
        return f"{x.dtype} {x.shape}"
    text = repr(x)
    return f"{type(x).__name__} {text if len(text) <= 60 else text[:57] + '...'}"


def is_view(view: Array, array: Array) -> bool:
    """Whether `view` is the array, or a view of it or of what the array is a view of."""
    return view is array or (view.base is not None and (view.base is array or view.base is array.base))


def unpacked(arguments: tuple[Any, ...]) -> Any:
    """Return (2, 3) for the arguments of both f(2, 3) and f((2, 3))."""
    return arguments[0] if len(arguments) == 1 and isinstance(arguments[0], tuple | list) else arguments


def owned_copy(array: Array) -> Array:
    """Return a writable array that shares memory with nothing; a NumPy scalar becomes a 0-d array."""
    return np.array(array)


def is_writable(array: Array) -> bool:
    """Whether the elements can be changed in place."""
    return bool(array.flags.writeable)


def to_numpy(array: Array) -> np.ndarray[Any, Any]:
    """Return the array on the host, without a copy where it stands there already."""
    return np.asarray(array)


def scatter_add(values: Array, shape: tuple[int, ...], index: Any) -> Array:
    """Return zeros of the shape to which `values` are added at `index`, as often as each place is named there.

    >>> scatter_add(np.array([1.0, 2.0, 4.0]), (3,), np.array([0, 2, 0]))
    array([5., 0., 2.])
    """
    out = array_module(values).zeros(shape, values.dtype)
    parts = index if isinstance(index, tuple) else (index,)
    if all(isinstance(part, int | np.integer | slice | type(None) | type(...)) for part in parts):
        out[index] = values
    else:
        np.add.at(out, index, values)  # places may repeat
    return out


_generator: "np.random.Generator | None" = None  # made when first used: NumPy imports its random numbers only then


def manual_seed(seed: int) -> None:
    """Make all random draws from here on (initial parameters, dropout, `rand`, `randn`) a function of the seed."""
    global _generator
    _generator = np.random.default_rng(seed)


def random_generator() -> "np.random.Generator":
    """Return the one generator of all draws. It draws on the host, so that a seed means the same on every device."""
    global _generator
    if _generator is None:
        _generator = np.random.default_rng()
    return _generator
