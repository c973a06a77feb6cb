"""How arrays of the strict double are made, on the current device, and how they come back to the host."""

from collections.abc import Callable
from typing import Any

import numpy as np

from tests.backend.strict_cupy_array import check_dtype, ndarray, new, poison, to_host
from tests.backend.strict_cupy_device import STATE, Device, copied_to_device, launched
from tests.backend.strict_cupy_table import signature


def _stacked(data: Any) -> Any:
    """Return nested sequences of arrays for NumPy to stack."""
    return [_stacked(part) for part in data] if isinstance(data, list | tuple) else to_host(data)


def _contains_ours(data: Any) -> bool:
    while isinstance(data, list | tuple) and data:
        data = data[0]
    return type(data) is ndarray


def array(
    obj: Any, dtype: Any = None, copy: Any = True, order: Any = "K", subok: bool = False, ndmin: int = 0, *,
    blocking: bool = False
) -> ndarray:  # fmt: skip
    """Return the data as an array of the current device: a copy from the host, from another device, or of itself."""
    if type(obj) is ndarray:
        if obj._device != STATE.device:
            obj, copy = obj.copy(order or "K"), False
        made = obj.astype(obj.dtype if dtype is None else dtype, order or "K", copy=bool(copy))
    elif _contains_ours(obj):
        launched()
        made = new(np.array(_stacked(obj), None if dtype is None else check_dtype(dtype)))
    else:
        host = np.array(obj, dtype, order=order or "K", ndmin=ndmin)
        check_dtype(host.dtype)
        copied_to_device()
        made = new(host.astype(host.dtype.newbyteorder("<"), copy=False))
    return made.reshape((1,) * (ndmin - made.ndim) + made.shape) if ndmin > made.ndim else made


def asarray(a: Any, dtype: Any = None, order: Any = None, *, copy: Any = None, blocking: bool = False) -> ndarray:
    """Return the data as an array of the current device, itself if it is one already."""
    return array(a, dtype, bool(copy), order)


def ascontiguousarray(a: Any, dtype: Any = None) -> ndarray:
    """Return the array with its elements in order, itself if they are."""
    made = asarray(a, dtype)
    return made if made._host.flags.c_contiguous and made.ndim else made.copy("C").reshape(made.shape or (1,))


class _OnHost:
    """A capsule of DLPack as NumPy takes one: said to be on the host, where the double's memory is."""

    def __init__(self, capsule: Any) -> None:
        self._capsule = capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return 1, 0

    def __dlpack__(self, **options: Any) -> Any:
        return self._capsule


def from_dlpack(array: Any, *, device: Any = None, copy: Any = None) -> ndarray:
    """Return an array on the memory of another library's array, which must be on a device."""
    kind, number = array.__dlpack_device__()
    if device is not None:
        raise NotImplementedError("from_dlpack() does not support device yet.")
    if kind == 1:
        raise TypeError(
            "CPU arrays cannot be directly imported to CuPy. Use `cupy.array(numpy.from_dlpack(input))` instead."
        )
    if kind not in (2, 13):
        raise TypeError(f"Unsupported array type: {kind}")
    with Device(number):
        try:
            capsule = array.__dlpack__(stream=1, max_version=(1, 0), copy=copy)
        except TypeError:
            if copy is not None:
                raise
            capsule = array.__dlpack__(stream=1)
        return new(np.from_dlpack(_OnHost(capsule)))


def asnumpy(a: Any, stream: Any = None, order: str = "C", out: Any = None, *, blocking: bool = True) -> Any:
    """Return the array on the host; what stands there already passes through."""
    return a.get(stream, order, out) if type(a) is ndarray else np.asarray(a)


def empty(shape: Any, dtype: Any = float, order: str = "C") -> ndarray:
    """Return memory with whatever stood in it."""
    return ndarray(shape, dtype, order=order)


def empty_like(prototype: Any, dtype: Any = None, order: str = "K", subok: Any = None, shape: Any = None) -> ndarray:
    """Return memory of the shape and dtype of another array."""
    like = prototype._host if type(prototype) is ndarray else prototype
    check_dtype(like.dtype if dtype is None else dtype)
    return new(poison(np.empty_like(like, dtype, order, False, shape)))


def full(shape: Any, fill_value: Any, dtype: Any = None, order: str = "C") -> ndarray:
    """Return an array filled with one value."""
    value = to_host(fill_value)
    made = empty(shape, np.asarray(value).dtype if dtype is None else dtype, order)
    made.fill(fill_value)
    return made


def full_like(
    a: Any, fill_value: Any, dtype: Any = None, order: str = "K", subok: Any = None, shape: Any = None
) -> ndarray:
    """Return an array of the shape and dtype of another one, filled with one value."""
    made = empty_like(a, dtype, order, subok, shape)
    made.fill(fill_value)
    return made


def zeros(shape: Any, dtype: Any = float, order: str = "C") -> ndarray:
    """Return zeros."""
    return full(shape, 0, dtype, order)


def zeros_like(a: Any, dtype: Any = None, order: str = "K", subok: Any = None, shape: Any = None) -> ndarray:
    """Return zeros of the shape and dtype of another array."""
    return full_like(a, 0, dtype, order, subok, shape)


def ones(shape: Any, dtype: Any = float, order: str = "C") -> ndarray:
    """Return ones."""
    return full(shape, 1, dtype, order)


def ones_like(a: Any, dtype: Any = None, order: str = "K", subok: Any = None, shape: Any = None) -> ndarray:
    """Return ones of the shape and dtype of another array."""
    return full_like(a, 1, dtype, order, subok, shape)


def maker(name: str) -> Callable[..., Any]:
    """Return a function that makes an array of numbers alone: `arange`, `eye`, ..."""
    sign, plain = signature("namespace", name), getattr(np, name)

    def make(*args: Any, **kwargs: Any) -> Any:
        sign.check(args, kwargs)
        made = plain(*map(_number, args), **{key: _number(value) for key, value in kwargs.items()})
        launched()
        if isinstance(made, tuple):
            return tuple(new(part) for part in made)
        check_dtype(made.dtype)
        return new(made)

    return make


def _number(value: Any) -> Any:
    if type(value) is ndarray:
        raise TypeError("the strict double of CuPy refuses an array where a size is expected: it would be copied back")
    return value


def creation() -> dict[str, Callable[..., Any]]:
    """Return the functions of the namespace that make arrays of something else."""
    made = [array, asarray, ascontiguousarray, asnumpy, empty, empty_like, full, full_like, zeros, zeros_like, ones]
    return {f.__name__: f for f in [*made, ones_like, from_dlpack]}
