"""Numbers in any form as an array, and how messages describe a value.

>>> as_array([1.5, 2]), described(as_array([1.5, 2]))
(array([1.5, 2. ], dtype=float32), 'float32 (2,)')
"""

from typing import Any

import numpy as np

from tinygrad_sm.advice import hint
from tinygrad_sm.backend import Array, device_name, device_of, is_array, to_device
from tinygrad_sm.dtypes import is_masked, number_dtype, strong_dtype

_OF_PYTHON = {"f": np.float32, "c": np.complex64, "i": np.int64}  # NumPy's own int may have 32 bits, as in a browser


def as_array(data: Any, dtype: Any = None, device: str | None = None, is_new: bool = False) -> Array:
    """Return the data as an array: an array as it is, without a copy; Python floats as float32, ints as int64.

    device : where to put the array. None leaves arrays where they are and numbers on the host; but if `is_new`, all
        except an array on a GPU goes to the default device.

    In a list of numbers, those that have a dtype decide, in any order; see `dtypes`. A masked array raises TypeError.

    >>> as_array([1.5, 2]).dtype, as_array(3).dtype, as_array([1.5, np.float64(2)]).dtype
    (dtype('float32'), dtype('int64'), dtype('float64'))
    """
    has_dtype = is_array(data)
    strong = None if has_dtype else strong_dtype(data)
    array = data if has_dtype else np.asarray(data)
    if array.dtype.kind not in "biufc":
        kind = "" if has_dtype or not hasattr(data, "shape") else type(data).__name__ + " "  # such as SciPy's csr_array
        raise TypeError(": ".join(filter(None, [f"expected numbers, got {kind}{described(data)}", hint(data)])))
    dtype = None if dtype is None else number_dtype(dtype)
    if dtype is None and strong is not None and array.dtype != strong:
        array = np.asarray(data, strong)  # raises OverflowError for a number that astype would wrap around
    elif dtype is not None and not has_dtype and array.dtype.kind in "iu" and dtype.kind in "iu":
        array = np.asarray(data, dtype)  # raises it too
    elif dtype is None and strong is None and not has_dtype:
        dtype = _OF_PYTHON.get(array.dtype.kind)
    if device is None and is_new and device_of(array) == "cpu":
        device = device_name(None)
    return to_device(array if dtype is None else array.astype(dtype, copy=False), device)


def as_exact_array(data: Any, device: str | None = None) -> Array:
    """Return the data as an array that will be cast to another's dtype: Python floats are float64, and so lose nothing.

    >>> as_exact_array([0.1, 2]).dtype, as_exact_array(np.float32(0.1)).dtype
    (dtype('float64'), dtype('float32'))
    """
    array = as_array(data, device=device)
    is_exact = is_array(data) or array.dtype.kind != "f" or strong_dtype(data) is not None
    return array if is_exact else as_array(data, np.float64, device)


def described(x: Any) -> str:
    """Return a value's description for messages: dtype and shape of an array, type and value of anything else."""
    if hasattr(x, "shape") and hasattr(x, "dtype"):
        device = device_of(x)
        kind = "masked " if is_masked(x) else ""
        return f"{kind}{x.dtype} {x.shape}" + ("" if device == "cpu" else f" on {device}")
    text = repr(x)
    return f"{type(x).__name__} {text if len(text) <= 60 else text[:57] + '...'}"


def unpacked(arguments: tuple[Any, ...]) -> Any:
    """Return (2, 3) for the arguments of both f(2, 3) and f((2, 3))."""
    return arguments[0] if len(arguments) == 1 and isinstance(arguments[0], tuple | list) else arguments
