"""Indexing as CuPy does it: integers and slices are checked, integer arrays wrap round, order is undefined.

An index that is a list or an array of the host is copied to the device, silently. A boolean mask makes the host wait
for the number of its true elements.
"""

import math
from typing import Any

import numpy as np

from tests.backend.strict_cupy_array import Host, check_dtype, memory, ndarray, new, to_host, view
from tests.backend.strict_cupy_device import (
    STATE,
    CUDARuntimeError,
    copied_to_device,
    launched,
    not_fusable,
    synchronized,
)

_random = np.random.default_rng(20260)

_SCATTERED = {  # the dtypes that CuPy's atomic operations have
    "add": "iIlLqQefd",
    "subtract": "iI",
    "maximum": "iIlLqQfd",
    "minimum": "iIlLqQfd",
    "bitwise_and": "iIlLqQ",
    "bitwise_or": "iIlLqQ",
    "bitwise_xor": "iIlLqQ",
}


def take(a: ndarray, indices: Any, axis: int | None = None, out: ndarray | None = None) -> ndarray:
    """Return the elements at the indices of an axis; indices beyond it wrap round, both ways."""
    if STATE.fusing:
        not_fusable("take")
    source = memory(a) if axis is not None else memory(a).reshape(-1)
    where = _index_array(indices).astype(np.int64) if not np.isscalar(indices) else np.asarray(indices, np.int64)
    length = source.shape[axis or 0] if source.ndim else 1
    if source.size == 0 and where.size:
        raise IndexError("cannot do a non-empty take from an empty axes.")
    launched()
    taken = np.asarray(np.take(source, where % max(length, 1), axis or 0), order="C")
    if out is None:
        return new(taken)
    if out.dtype != taken.dtype:
        raise TypeError("Output dtype mismatch")
    if out.shape != taken.shape:
        raise ValueError("Output shape mismatch")
    memory(out)[...] = taken
    return out


def getitem(array: ndarray, index: Any) -> ndarray:
    """Return a view for integers and slices, 0-d included; a copy for integer arrays and masks."""
    resolved, advanced = _resolved(array, index, "read")
    if not advanced:
        return view(array, array._host[resolved])
    launched()
    return new(np.asarray(memory(array)[resolved], order="C"))


def setitem(array: ndarray, index: Any, value: Any) -> None:
    """Store values; where a place is named more than once, any of its values may win."""
    resolved, advanced = _resolved(array, index, "write")
    if not advanced:
        _store(array, resolved, value)
        return
    target = np.atleast_1d(memory(array))
    values = _values(value, target.dtype)
    places, values = _shuffled(array.shape, resolved, values)
    launched()
    with np.errstate(all="ignore"):
        target[places] = values


def scatter(ufunc: str, array: ndarray, index: Any, value: Any) -> None:
    """Apply `ufunc.at`: every occurrence of a place counts, in any order."""
    resolved, advanced = _resolved(array, index, "write")
    target = np.atleast_1d(memory(array))
    if advanced and target.dtype.char not in _SCATTERED[ufunc]:
        names = ", ".join(dict.fromkeys(np.dtype(char).name for char in _SCATTERED[ufunc]))
        raise TypeError(f"cupy.{ufunc}.at only supports {names} as data type")
    places, values = _shuffled(array.shape, resolved, _values(value, target.dtype))
    launched()
    with np.errstate(all="ignore"):
        getattr(np, ufunc).at(target, places, values)


def _store(array: ndarray, index: Any, value: Any) -> None:
    """Write into the view that integers and slices select: only scalars and device arrays are taken there."""
    if isinstance(value, np.ndarray | list | tuple):
        if np.ndim(value):
            raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
        value = value.item()
    source = to_host(value)
    launched()
    with np.errstate(all="ignore"):
        memory(array)[index] = source


def _values(value: Any, dtype: "np.dtype[Any]") -> Host:
    """Return the values to scatter: what stands on the host is copied to the device, silently."""
    if type(value) is ndarray:
        return memory(value).astype(dtype, copy=False)
    if not np.isscalar(value):
        copied_to_device()
    return np.asarray(value).astype(dtype, copy=False)


def _shuffled(shape: tuple[int, ...], index: Any, values: Host) -> tuple[tuple[Host, ...], Host]:
    """Return the places that an index names, and their values, in an order that means nothing."""
    named = np.arange(math.prod(shape)).reshape(shape)[index]
    flat = np.broadcast_to(values, named.shape).reshape(-1)
    order = _random.permutation(named.size)
    return np.unravel_index(named.reshape(-1)[order], shape or (1,)), flat[order]  # a 0-d array is a row of one


def _index_array(index: Any) -> Host:
    """Return the memory of an index that is an array, or is silently made one."""
    if type(index) is ndarray:
        return memory(index)
    copied_to_device()
    empty_list = isinstance(index, list | tuple) and not np.size(index)
    host = np.asarray(index, np.int32 if empty_list else None)
    check_dtype(host.dtype)
    return host


def _resolved(array: ndarray, index: Any, purpose: str) -> tuple[tuple[Any, ...], bool]:
    """Return the index for NumPy, its integer arrays wrapped into range, and whether it has arrays at all."""
    if type(index) is ndarray and index.dtype.kind in "iu" and array.ndim:  # the usual case
        return (_wrapped(memory(index), array.shape[0], purpose),), True
    parts = [_part(part) for part in (index if isinstance(index, tuple) else (index,))]
    axes = sum(_axes(part) for part in parts)
    if axes > array.ndim:
        raise IndexError(f"too many indices for array: array is {array.ndim}-dimensional, but {axes} were indexed")
    if not any(part is Ellipsis for part in parts):
        parts.append(Ellipsis)
    axis, advanced = 0, False
    for i, part in enumerate(parts):
        if part is Ellipsis:
            axis += array.ndim - axes
        elif isinstance(part, np.ndarray):
            advanced = True
            if part.dtype == bool:
                synchronized()  # the host must know how many elements are true
            else:
                parts[i] = _wrapped(part, array.shape[axis], purpose)
            axis += _axes(part)
        elif isinstance(part, int):
            if not -array.shape[axis] <= part < array.shape[axis]:
                raise IndexError(f"Index {part} is out of bounds for axis {axis} with size {array.shape[axis]}")
            axis += 1
        else:
            axis += _axes(part)
    return tuple(parts), advanced


def _part(part: Any) -> Any:
    """Return a part of an index as NumPy takes it: scalars become integers, even floats."""
    if part is None or part is Ellipsis or isinstance(part, slice):
        return part
    if np.isscalar(part) and not isinstance(part, bool | np.bool_):
        return int(part)
    try:
        host = _index_array(part)
    except ValueError:
        raise IndexError(
            "only integers, slices (`:`), ellipsis (`...`),numpy.newaxis (`None`) and integer or boolean arrays are "
            "valid indices"
        ) from None
    if host.dtype.kind not in "biu":
        raise IndexError(f"arrays used as indices must be of integer or boolean type. (actual: {host.dtype.type})")
    return host


def _axes(part: Any) -> int:
    """Return how many axes a part of an index consumes."""
    if part is None or part is Ellipsis:
        return 0
    return part.ndim if isinstance(part, np.ndarray) and part.dtype == bool else 1


def _wrapped(index: Host, length: int, purpose: str) -> Host:
    """Return the indices modulo the length of their axis: kernels check nothing."""
    if length:
        return index % length
    if index.size and purpose == "read":
        raise IndexError("cannot do a non-empty take from an empty axes.")
    if index.size:
        raise CUDARuntimeError(
            "cudaErrorIllegalAddress: a store into an axis of length 0 by an array of indices divides by zero on the "
            "device, and no CUDA call of this process works after it"
        )
    return index
