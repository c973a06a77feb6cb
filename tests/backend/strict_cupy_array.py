"""The array of the strict double: NumPy's memory behind the refusals and the silence of `cupy.ndarray`."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

from tests.backend.strict_cupy_device import (
    STATE,
    Device,
    check_device,
    copied_to_device,
    copied_to_host,
    launched,
    not_fusable,
)
from tests.backend.strict_cupy_table import missing

SCALARS = {bool, int, float, complex, *(np.dtype(char).type for char in "?bBhHiIlLqQefdFD")}
"""The types that a kernel takes besides arrays."""

Host = np.ndarray[Any, Any]


def check_dtype(dtype: Any) -> "np.dtype[Any]":
    """Return the dtype if a GPU can hold it."""
    dtype = np.dtype(dtype)
    if dtype.kind not in "?biufc" or dtype.char in "gG":
        raise ValueError(f"Unsupported dtype {dtype}")
    return dtype


def poison(host: Host) -> Host:
    """Fill memory that nobody has written yet with what shows in every result: NaN, or a large integer."""
    host[...] = np.nan if host.dtype.kind in "fc" else host.dtype.type(True if host.dtype == bool else 0x5A)
    if host.dtype.kind in "iu":
        host.ravel("K").view(np.uint8)[...] = 0x5A
    return host


def unsupported(value: Any) -> TypeError:
    """Return CuPy's error for an operand that is neither on the device nor a scalar."""
    return TypeError(f"Unsupported type {type(value)}")


class Flags:
    """Memory layout. What is set here is lost, as on CuPy: every look at `x.flags` makes a new one."""

    def __init__(self, host: Host, owndata: bool) -> None:
        self.c_contiguous = host.flags.c_contiguous
        self.f_contiguous = host.flags.f_contiguous
        self.owndata = owndata
        self.forc = self.c_contiguous or self.f_contiguous
        self.fnc = self.f_contiguous and not self.c_contiguous

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"'Flags' object has no attribute {name!r}")

    def __getitem__(self, name: str) -> bool:
        if name not in ("C_CONTIGUOUS", "F_CONTIGUOUS", "OWNDATA"):
            raise KeyError(f"{name} is not defined for cupy.ndarray.flags")
        return bool(getattr(self, name.lower()))


class ndarray:  # noqa: N801
    """An array on a device. `_host` is the memory, `_device` where it pretends to be, `base` what it is a view of."""

    __slots__ = ("__weakref__", "_device", "_host", "base")
    __module__ = "cupy"
    __array_priority__ = 100
    __hash__ = None

    _host: Host
    _device: int
    base: "ndarray | None"

    def __init__(
        self, shape: Any, dtype: Any = float, memptr: Any = None, strides: Any = None, order: str = "C"
    ) -> None:
        if memptr is not None or strides is not None:
            raise NotImplementedError("the strict double of CuPy does not model arrays over given memory")
        self._host = poison(np.empty(shape, check_dtype(dtype), order))
        self._device = STATE.device
        self.base = None

    def __getattr__(self, name: str) -> Any:
        error = missing("ndarray", "ndarray", name)
        raise AttributeError(f"'ndarray' object has no attribute {name!r}") if type(error) is AttributeError else error

    # What an array is.

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape; setting it reshapes in place, if that needs no copy."""
        return self._host.shape

    @shape.setter
    def shape(self, shape: Any) -> None:
        view = self._host.reshape(shape)
        if view.size and not np.may_share_memory(view, self._host):
            raise AttributeError("incompatible shape")
        self._host = view

    @property
    def dtype(self) -> "np.dtype[Any]":
        """The type of its elements."""
        return self._host.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return self._host.ndim

    @property
    def size(self) -> int:
        """The number of elements."""
        return self._host.size

    @property
    def itemsize(self) -> int:
        """The bytes of an element."""
        return self._host.itemsize

    @property
    def nbytes(self) -> int:
        """The bytes of all elements."""
        return self._host.nbytes

    @property
    def strides(self) -> tuple[int, ...]:
        """The bytes from one element of an axis to the next."""
        return self._host.strides

    @property
    def flags(self) -> Flags:
        """Its memory layout."""
        return Flags(self._host, self.base is None)

    @property
    def device(self) -> Device:
        """Where it is."""
        return Device(self._device)

    @property
    def data(self) -> SimpleNamespace:
        """What stands for the pointer to its memory: an address, and where it is."""
        return SimpleNamespace(ptr=self._host.ctypes.data, device=self.device, device_id=self._device)

    @property
    def T(self) -> "ndarray":  # noqa: N802
        """The view with reversed axes."""
        return self.transpose()

    @property
    def mT(self) -> "ndarray":  # noqa: N802
        """The view with the last two axes exchanged."""
        return view(self, self._host.mT)

    @property
    def real(self) -> "ndarray":
        """The real part: itself, or a view."""
        return view(self, self._host.real) if self.dtype.kind == "c" else self

    @property
    def imag(self) -> "ndarray":
        """The imaginary part: a view, or zeros."""
        return view(self, self._host.imag) if self.dtype.kind == "c" else new(np.zeros_like(self._host))

    def __len__(self) -> int:
        if not self.ndim:
            raise TypeError("len() of unsized object")
        return len(self._host)

    def __iter__(self) -> Iterator[Any]:
        if not self.ndim:
            raise TypeError("iteration over a 0-d array")
        return (self[i] for i in range(len(self)))

    # To the host: each of these waits for the device, and copies.

    def get(self, stream: Any = None, order: str = "C", out: Host | None = None, blocking: bool = True) -> Host:
        """Return a copy on the host."""
        copied_to_host()
        if out is None:
            return self._host.copy(order)
        if out.dtype != self.dtype or out.shape != self.shape:
            raise ValueError(f"Shape mismatch. Expected shape: {self.shape}, actual shape: {out.shape}")
        out[...] = self._host
        return out

    def item(self) -> Any:
        """Return the only element as a Python scalar."""
        return self.get().item()

    def tolist(self) -> Any:
        """Return the elements as nested lists."""
        return self.get().tolist()

    def tobytes(self, order: str = "C") -> bytes:
        """Return the elements as bytes."""
        return self.get(order=order).tobytes()

    def __float__(self) -> float:
        return float(self.get())

    def __int__(self) -> int:
        return int(self.get())

    def __complex__(self) -> complex:
        return complex(self.get())

    def __bool__(self) -> bool:
        host = self.get()
        return bool(host) if host.size else False  # where NumPy refuses

    def __repr__(self) -> str:
        return repr(self.get())

    def __str__(self) -> str:
        return str(self.get())

    def __format__(self, spec: str) -> str:
        return format(self.get(), spec)

    def __reduce__(self) -> Any:
        return _unpickled, (self.get(order="A"),)

    def __array__(self, dtype: Any = None, copy: Any = None) -> Host:
        raise TypeError(
            "Implicit conversion to a NumPy array is not allowed. "
            "Please use `.get()` to construct a NumPy array explicitly."
        )

    def __dlpack_device__(self) -> tuple[int, int]:
        return 2, self._device  # kDLCUDA

    def __dlpack__(
        self, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: Any = None
    ) -> Any:
        """Return its memory as a capsule, which can only say that it is on the host."""
        if (dl_device is not None and tuple(dl_device) != self.__dlpack_device__()) or copy:
            raise NotImplementedError("the strict double of CuPy does not model __dlpack__ with a copy")
        return self._host.__dlpack__()

    def set(self, arr: Host, stream: Any = None) -> None:
        """Copy an array of the host into this one."""
        if not isinstance(arr, np.ndarray):
            raise TypeError("Only numpy.ndarray can be set to cupy.ndarray")
        if self.dtype != arr.dtype:
            raise TypeError(f"{arr.dtype} array cannot be set to {self.dtype} array")
        if self.shape != arr.shape:
            raise ValueError(f"Shape mismatch. Old shape: {self.shape}, new shape: {arr.shape}")
        copied_to_device()
        self._host[...] = arr

    # On the device.

    def copy(self, order: str = "C") -> "ndarray":
        """Return a copy on the current device: the one way, with `asarray`, from device to device."""
        launched()
        return new(self._host.copy(order))

    def __copy__(self) -> "ndarray":
        with self.device:
            return self.copy()

    def __deepcopy__(self, memo: Any) -> "ndarray":
        return self.__copy__()

    def astype(
        self, dtype: Any, order: str = "K", casting: Any = None, subok: Any = None, copy: bool = True
    ) -> "ndarray":
        """Return the elements as another dtype."""
        dtype = check_dtype(dtype)
        flags, wanted = self._host.flags, {"C": "c_contiguous", "F": "f_contiguous"}.get(order)
        if dtype == self.dtype and not copy and (wanted is None or getattr(flags, wanted)):
            return self
        launched()
        with np.errstate(all="ignore"):
            cast = memory(self).astype(dtype, order, casting or "unsafe", copy=True)
        return new(cast)

    def fill(self, value: Any) -> None:
        """Write a scalar into every element."""
        if isinstance(value, np.ndarray):
            if value.ndim:
                raise ValueError("non-scalar numpy.ndarray cannot be used for fill")
            value = value.item()
        launched()
        with np.errstate(all="ignore"):
            memory(self)[...] = to_host(value)

    def view(self, dtype: Any = None, type: Any = None) -> "ndarray":
        """Return a view of the same memory, as another dtype."""
        return view(self, self._host.view() if dtype is None else self._host.view(check_dtype(dtype)))

    def reshape(self, *shape: Any, order: str = "C", copy: Any = None) -> "ndarray":
        """Return the elements in another shape: a view where strides allow it, which costs nothing, else a copy."""
        if STATE.fusing:
            not_fusable("reshape")
        shape = shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape
        return _view_or_copy(self, self._host.reshape(shape, order=order), bool(copy))

    def ravel(self, order: str = "C") -> "ndarray":
        """Return the elements in one axis: a view of contiguous memory, else a copy."""
        return _view_or_copy(self, self._host.ravel(order))

    def flatten(self, order: str = "C") -> "ndarray":
        """Return a copy of the elements in one axis."""
        return _view_or_copy(self, self._host.ravel(order), copy=True)

    def transpose(self, *axes: Any) -> "ndarray":
        """Return the view with permuted axes."""
        if STATE.fusing:
            not_fusable("transpose")
        return view(self, self._host.transpose(*axes))


def new(host: Any) -> ndarray:
    """Return what a kernel computed as an array of the current device; NumPy's scalars become 0-d arrays."""
    array = object.__new__(ndarray)
    array._host = host if type(host) is np.ndarray else np.asarray(host)
    check_dtype(array._host.dtype)
    array._device = STATE.device
    array.base = None
    return array


def view(array: ndarray, host: Host) -> ndarray:
    """Return a view of the array's memory, on the array's device."""
    result = new(host)
    result._device = array._device
    result.base = array if array.base is None else array.base
    return result


def memory(array: ndarray) -> Host:
    """Return the array's memory to a kernel on the current device."""
    if array._device != STATE.device:
        check_device(array._device)
    return array._host


def to_host(value: Any) -> Any:
    """Return what a kernel sees of an operand: an array's memory, or a scalar; anything else is refused."""
    kind = type(value)
    if kind is ndarray:
        return memory(value)
    if kind in SCALARS:
        return value
    raise unsupported(value)


def _view_or_copy(array: ndarray, host: Host, copy: bool = False) -> ndarray:
    """Return the result of a reshape, counting a launch if it is a copy."""
    if np.may_share_memory(host, array._host) and not copy:
        return view(array, host)
    check_device(array._device)
    launched()
    return new(host.copy() if copy else host)


def _unpickled(host: Host) -> ndarray:
    copied_to_device()
    return new(host.copy("A"))
