"""Arrays: which module computes with them, where they live, and the few matters in which array modules differ.

    x = as_array([1.0, 2.0], device="cuda")     # a CuPy array, on the GPU
    xp = array_module(x)                        # the module cupy
    xp.exp(x)                                   # computed there

Every other file computes with whatever arrays it is given and asks `array_module` which module they belong to, so that
no operation exists twice. Only this file knows that there is an array module besides NumPy: CuPy, which is imported
when the first array is to be on a GPU. Where the two really differ, one function here has a branch for each.
"""

import math
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np

from tinygrad_sm.dtypes import is_masked, strong_dtype
from tinygrad_sm.errors import DeviceError

Array = Any
"""An array of any module, in annotations: array modules share no base class."""

HostArray = np.ndarray
"""The type of arrays on the host."""

_MODULES: dict[type, ModuleType] = {HostArray: np}

ARRAY_TYPES = _MODULES.keys()
"""The types of arrays of known modules."""

PLAIN_OPERANDS = {HostArray, float, int, bool, complex, type(None), *np.sctypeDict.values()}
"""The types that an operation takes as they are: Python scalars stay Python scalars, so that they never promote."""

_default_device = "cpu"


def array_module(*arrays: Any) -> ModuleType:
    """Return the module that computes with these arrays, by custom called `xp`; Python scalars belong to any.

    >>> array_module(2.0, np.zeros(3)) is np
    True
    """
    for array in arrays:
        module = _MODULES.get(type(array))
        if module is not None:
            return module
    return _MODULES[next((type(array) for array in arrays if _is_cupy_array(array)), HostArray)]


def _cupy() -> Any:
    """Return CuPy, its arrays made known; raise DeviceError, saying what is missing, where it cannot compute."""
    try:
        import cupy  # not before it is needed: it takes half a second
    except ImportError as error:
        raise DeviceError(
            f'a GPU needs CuPy, which cannot be imported ({error}): pip install "tinygrad_sm[cuda13]" for a driver of '
            'CUDA 13, "tinygrad_sm[cuda12]" for one of CUDA 12; nvidia-smi shows which it is'
        ) from error
    if cupy.ndarray not in _MODULES:
        try:
            count = cupy.cuda.runtime.getDeviceCount()
        except cupy.cuda.runtime.CUDARuntimeError as error:
            missing = "GPU" if "cudaErrorNoDevice" in str(error) else "driver that it can use"
            raise DeviceError(
                f"CuPy {cupy.__version__} is installed, but it finds no NVIDIA {missing}: {error}; nvidia-smi shows "
                "the driver and its GPUs"
            ) from error
        if count == 0:
            raise DeviceError(f"CuPy {cupy.__version__} and a driver are installed, but there is no NVIDIA GPU")
        _MODULES[cupy.ndarray] = cupy
        PLAIN_OPERANDS.add(cupy.ndarray)
    return cupy


def _cuda_index(device: str) -> int:
    """Return the number of a GPU from its name, "cuda:1"; "cuda" is the current one. DeviceError if it is not there."""
    kind, _, number = device.partition(":")
    if kind != "cuda" or not (number.isdecimal() or device == "cuda"):
        raise DeviceError(f"expected device 'cpu', 'cuda', or 'cuda:1' and so on, got {device!r}")
    cupy = _cupy()
    if device == "cuda":
        return int(cupy.cuda.Device().id)
    index, count = int(number), cupy.cuda.runtime.getDeviceCount()
    if index >= count:
        raise DeviceError(f"{device!r} is not there: the GPUs are cuda:0 to cuda:{count - 1}")
    return index


def device_of(array: Array) -> str:
    """Return the name of the device that holds the array, "cpu" or "cuda:0" and so on; numbers are on the host."""
    if type(array) is HostArray or not (type(array) in _MODULES or _is_cupy_array(array)):
        return "cpu"
    return f"cuda:{array.device.id}"


def device_name(device: str | None) -> str:
    """Return the full name of a device, "cuda:0" for "cuda"; None stands for the default device.

    Raises DeviceError unless arrays can be placed there.
    """
    device = _default_device if device is None else device
    return "cpu" if device == "cpu" else f"cuda:{_cuda_index(str(device))}"


def is_available(device: str) -> bool:
    """Whether arrays can be placed on the device: "cpu" always, "cuda" and "cuda:0" where CuPy, driver and GPU are."""
    try:
        device_name(device)
    except DeviceError:
        return False
    return True


def set_default_device(device: str) -> None:
    """Make new Tensors on this device where none is named; of several GPUs, make it the current one.

    Operations run on the current GPU, cuda:0 at first, and refuse arrays that are on another.
    """
    global _default_device
    if device_name(device) != "cpu":
        _cupy().cuda.Device(_cuda_index(device)).use()
    _default_device = device_name(device)


def array_report() -> list[str]:
    """Return lines that say which array modules, drivers and GPUs there are, or what is missing of them."""
    lines = [f"NumPy {np.__version__}"]
    try:
        cupy = _cupy()
    except DeviceError as error:
        return [*lines, f"no GPU: {error}"]
    runtime = cupy.cuda.runtime
    driver, toolkit = (
        f"{v // 1000}.{v % 1000 // 10}" for v in (runtime.driverGetVersion(), runtime.runtimeGetVersion())
    )
    lines.append(f"CuPy {cupy.__version__}, CUDA {toolkit}, driver for CUDA {driver}")
    for i in range(runtime.getDeviceCount()):
        about = runtime.getDeviceProperties(i)
        lines.append(f"cuda:{i}: {about['name'].decode()}, {about['totalGlobalMem'] / 2**30:.0f} GiB")
    return lines


def check_same_device(caller: str, arrays: Sequence[Any]) -> None:
    """Raise DeviceError unless all arrays are on the device that computes; numbers are on any."""
    devices = list(dict.fromkeys(device_of(array) for array in arrays if type(array) in _MODULES))
    if len(devices) > 1:
        raise DeviceError(
            f"{caller}: expected arrays on one device, got some on {' and some on '.join(devices)}: move them with "
            f".to({devices[0]!r}) or .to({devices[1]!r})"
        )
    if devices and devices != ["cpu"] and devices[0] != f"cuda:{_cupy().cuda.Device().id}":
        raise DeviceError(
            f"{caller}: the arrays are on {devices[0]}, but the current GPU is cuda:{_cupy().cuda.Device().id}: change "
            f"it with tg.set_default_device({devices[0]!r})"
        )


def to_device(array: Array, device: str | None) -> Array:
    """Return the array on the device, itself if it is there already or None is asked for."""
    if device is None or (device := device_name(device)) == device_of(array):
        return array
    if device == "cpu":
        return to_numpy(array)
    with _cupy().cuda.Device(_cuda_index(device)):
        return _cupy().asarray(array)


_OF_PYTHON = {"f": np.float32, "c": np.complex64, "i": np.int64}  # NumPy's own int may have 32 bits, as in a browser


def as_array(data: Any, dtype: Any = None, device: str | None = None, is_new: bool = False) -> Array:
    """Return the data as an array: an array as it is, without a copy; Python floats as float32, ints as int64.

    device : where it shall be. None leaves arrays where they are and numbers on the host; but what is new to the
        framework, other than an array on a GPU, goes to the default device then.

    In a list of numbers, those that have a dtype decide, in any order; see `dtypes`. A masked array is a TypeError.

    >>> as_array([1.5, 2]).dtype, as_array(3).dtype, as_array([1.5, np.float64(2)]).dtype
    (dtype('float32'), dtype('int64'), dtype('float64'))
    """
    is_array = type(data) in _MODULES or _is_cupy_array(data)
    strong = None if is_array else strong_dtype(data)
    array = data if is_array else np.asarray(data)
    if array.dtype.kind not in "biufc":
        raise TypeError(f"expected numbers, got {described(data)}")
    if dtype is None and strong is not None and array.dtype != strong:
        array = np.asarray(data, strong)  # an OverflowError for what it cannot hold, which astype would wrap around
    elif dtype is None and strong is None and not is_array:
        dtype = _OF_PYTHON.get(array.dtype.kind)
    if device is None and is_new and type(array) is HostArray:
        device = _default_device
    return to_device(array if dtype is None else array.astype(dtype, copy=False), device)


def _is_cupy_array(data: Any) -> bool:
    """Whether this is a CuPy array, which a program may have made or unpickled; if so, they are known from here on."""
    cupy = sys.modules.get("cupy")
    return cupy is not None and isinstance(data, cupy.ndarray) and _cupy() is cupy


def as_result(out: Any, caller: str, arrays: Sequence[Any]) -> Array:
    """Return what a forward made as an array: NumPy makes scalars of 0-d results. Devices are not to be mixed."""
    if isinstance(out, np.generic):
        return np.asarray(out)
    if type(out) not in _MODULES:
        return as_array(out)
    if len(arrays) > 1:
        check_same_device(caller, arrays)
    return out


def described(x: Any) -> str:
    """Return what messages say of a value: dtype and shape of an array, type and value of anything else."""
    if hasattr(x, "shape") and hasattr(x, "dtype"):
        device = device_of(x)
        kind = "masked " if is_masked(x) else ""
        return f"{kind}{x.dtype} {x.shape}" + ("" if device == "cpu" else f" on {device}")
    text = repr(x)
    return f"{type(x).__name__} {text if len(text) <= 60 else text[:57] + '...'}"


def is_view(view: Array, array: Array) -> bool:
    """Whether `view` is the array, or a view of it or of what the array is a view of."""
    return view is array or (view.base is not None and (view.base is array or view.base is array.base))


def unpacked(arguments: tuple[Any, ...]) -> Any:
    """Return (2, 3) for the arguments of both f(2, 3) and f((2, 3))."""
    return arguments[0] if len(arguments) == 1 and isinstance(arguments[0], tuple | list) else arguments


def axis_of(array: Array, axis: Any) -> Any:
    """Return the axis along which an array is reduced: None for an array of no axes where its first or last is meant.

    NumPy takes 0 and −1 for them in most reductions, CuPy in none.

    >>> axis_of(np.zeros((2, 3)), -1), axis_of(np.zeros(()), -1)
    (-1, None)
    """
    return None if axis in (0, -1) and np.ndim(array) == 0 else axis


MOST_IN_TURN = 1024
"""So many numbers may be added one after the other in float32: the sum is off by 1e-5 at most, of 10⁶ it is by 1e-2."""


def total(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Return Σ x over the axes, of an array or a Tensor: formed in `sum_dtype`, and rounded once to the dtype of x."""
    if type(x) not in ARRAY_TYPES:
        return np.sum(x, axis=axis, keepdims=keepdims)  # a Tensor answers with its own sum, which comes here again
    dtype = sum_dtype(x, axis)
    if dtype is None:
        return x.sum(axis=axis, keepdims=keepdims)
    return x.sum(axis=axis, dtype=dtype, keepdims=keepdims).astype(x.dtype.type)


def sum_dtype(x: Array, axis: Any = None, in_turn: int | None = None) -> Any:
    """Return the dtype to form sums of x in: float32 for float16, float64 for long sums of either; else None.

    in_turn : how many numbers are added one after the other; by default, so many as x.sum(axis) adds so.
    """
    if x.dtype.kind != "f" or x.itemsize > 4:
        return None
    if in_turn is None:
        in_turn = x.shape[axis] if type(axis) is int and -x.ndim <= axis < x.ndim else x.size  # at most
        if in_turn > MOST_IN_TURN:
            in_turn = _added_in_turn(x, axis)
    return np.float64 if in_turn > MOST_IN_TURN else np.float32 if x.itemsize == 2 else None


def _added_in_turn(x: Array, axis: Any) -> int:
    """Return how many numbers x.sum(axis) adds one after the other: what lies side by side in memory, it adds in pairs.

    In pairs, the error grows with the logarithm of the number. An axis that is not there is left to NumPy's own error.
    """
    if type(axis) is tuple and len(axis) in (1, x.ndim):
        axis = axis[0] if len(axis) == 1 else None
    try:
        if axis is None:
            return 0 if x.flags.forc else x.size
        if type(axis) is tuple:
            return math.prod(x.shape[i] for i in axis)
        others = [
            abs(s) for i, (s, n) in enumerate(zip(x.strides, x.shape, strict=True)) if n > 1 and i != axis % x.ndim
        ]
        is_innermost = x.strides[axis] == x.itemsize and min(others, default=x.nbytes) > x.itemsize
        return 0 if is_innermost else x.shape[axis]
    except IndexError:
        return 0


def ones_like(array: Array, shared: bool = True) -> Array:
    """Return ones of the shape and dtype of the array, on its device; if they may be shared, not to be written to."""
    if array.ndim or not shared:
        return array_module(array).ones_like(array)
    key = type(array), device_of(array), array.dtype
    if type(array) is not HostArray:
        check_same_device("backward()", [array])  # else the ones were made, and kept, on the current GPU
    if key not in _ones:
        _ones[key] = array_module(array).ones_like(array)
        if type(array) is HostArray:
            _ones[key].flags.writeable = False
    return _ones[key]


# 0-d ones, with which every backward() begins: two modules may both call the device of their arrays "cuda:0".
_ones: dict[tuple[type, str, Any], Array] = {}


def scaled(array: Any, g: Any) -> Any:
    """Return g · array, which is the array itself where g is one of the shared ones that a walk begins with.

    Compares identity, because reading a value from the GPU would block.
    """
    for one in _ones.values():
        if g is one:
            return array
    return g * array


def owned_copy(array: Array) -> Array:
    """Return a writable array that shares memory with nothing; a NumPy scalar becomes a 0-d array."""
    return array_module(array).array(array)


def taken(arrays: dict[Any, Array], key: Any) -> Array:
    """Remove an array from the dict and return it, to be written to: a copy, if anything else refers to its elements.

    Python counts the references to an object: to an array that nothing but the dict held there are then as many as to
    any new object, and one more to what it is a view of. On a GPU it is always a copy.

    >>> gradients = {"w": np.ones((2, 3)).T, "b": (shared := np.ones(3))}
    >>> view = gradients["w"].view()
    >>> taken(gradients, "b") is shared
    False
    """
    array, new = arrays.pop(key), object()
    alone = sys.getrefcount(new)
    if type(array) is not HostArray or sys.getrefcount(array) != alone:
        return owned_copy(array)
    owner = array
    if array.base is not None:
        owner = array.base
        if type(owner) is not HostArray or sys.getrefcount(owner) != alone + 1:
            return owned_copy(array)
    is_whole = array.flags.writeable and array.flags.forc and owner.flags.owndata and owner.size == array.size
    return array if is_whole else owned_copy(array)


def is_writable(array: Array) -> bool:
    """Whether the elements can be changed in place; on a GPU they always can."""
    return type(array) is not HostArray or bool(array.flags.writeable)


def to_numpy(array: Array) -> np.ndarray[Any, Any]:
    """Return the array on the host, without a copy where it stands there already."""
    return np.asarray(array) if device_of(array) == "cpu" else array.get()


def select(condition: Array, a: Any, b: Any) -> Array:
    """Return a where the condition holds, and b elsewhere.

    NumPy's `where` is a branch for each element, which processors cannot foresee. Where a or b is the number 0, as in
    most gradients, the bits of the other are kept or cleared instead: in large arrays that takes a fifth of the time.

    >>> select(np.array([True, False]), np.array([np.inf, np.nan]), 0)
    array([inf,  0.])
    """
    xp = array_module(condition, a, b)
    if xp is np and type(b) is int and b == 0 and _is_mask_for(condition, a):
        return _kept(a, condition)
    if xp is np and type(a) is int and a == 0 and _is_mask_for(condition, b):
        return _kept(b, ~condition)
    return xp.where(condition, a, b)


def _is_mask_for(condition: Any, values: Any) -> bool:
    return (
        type(condition) is type(values) is HostArray
        and values.size >= 4096  # for fewer the calls would take longer
        and condition.dtype.kind == "b"
        and values.dtype.kind == "f"
        and values.dtype.isnative
        and values.itemsize <= 8
    )


def _kept(values: Array, condition: Array) -> Array:
    """Return the values where the condition holds, and 0 elsewhere: their bits, as integers, times 1 or 0."""
    return (values.view(f"i{values.itemsize}") * condition).view(values.dtype)
