"""Arrays: which module computes with them, which device holds them, and the few points where modules differ.

    x = as_array([1.0, 2.0], device="cuda")     # a CuPy array, on the GPU
    xp = array_module(x)                        # the module cupy
    xp.exp(x)                                   # computed there

Every other file computes with whatever arrays it is given and asks `array_module` which module they belong to, so that
no operation exists twice. Only this file knows that there is an array module besides NumPy: CuPy, which is imported
when the first array is to be on a GPU. Where the two really differ, one function here has a branch for each.
"""

import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np

from tinygrad_sm.errors import DeviceError

Array = Any
"""An array of any module, in annotations: array modules share no base class."""

HostArray = np.ndarray
"""The type of arrays on the host."""

_MODULES: dict[type, ModuleType] = {HostArray: np}

HOST_TYPES: set[type] = {HostArray}
"""The types of arrays on the host whose module has all that NumPy has."""

ARRAY_TYPES = _MODULES.keys()
"""The types of arrays of known modules."""

NUMBERS = (float, int, bool, complex)
"""The types of Python's numbers."""

PLAIN_OPERANDS = {HostArray, *NUMBERS, type(None), *np.sctypeDict.values()}
"""The types of operands that are not converted: Python scalars stay Python scalars, so that they never promote."""

_DLPACK_HOST, _DLPACK_CUDA = (1, 3), (2, 13)  # kDLCPU and pinned kDLCUDAHost, kDLCUDA and kDLCUDAManaged

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


def is_array(data: Any) -> bool:
    """Whether this is an array of a module that can compute here, and not a number or a list."""
    return type(data) in _MODULES or _is_cupy_array(data)


def register_array_module(array_type: type, module: ModuleType, has_all_of_numpy: bool = False) -> None:
    """Let `module` compute with the arrays of a type."""
    _MODULES[array_type] = module
    if has_all_of_numpy:
        HOST_TYPES.add(array_type)
    PLAIN_OPERANDS.add(array_type)


def _cupy() -> Any:
    """Return CuPy, and register its arrays; if it cannot compute, raise a DeviceError that says what is missing."""
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
        register_array_module(cupy.ndarray, cupy)
    return cupy


def _cuda_index(device: str) -> int:
    """Return the number of a GPU from its name, "cuda:1"; "cuda" is the current one. DeviceError if it is not there."""
    kind, _, number = device.partition(":")
    if kind != "cuda" or not (number.isdecimal() or device == "cuda"):
        raise DeviceError(
            f"expected device 'cpu', 'cuda', or 'cuda:1' and so on, got {device!r}: .astype(dtype) converts to a dtype"
        )
    cupy = _cupy()
    if device == "cuda":
        return int(cupy.cuda.Device().id)
    index, count = int(number), cupy.cuda.runtime.getDeviceCount()
    if index >= count:
        raise DeviceError(f"{device!r} is not there: the GPUs are cuda:0 to cuda:{count - 1}")
    return index


def device_of(array: Array) -> str:
    """Return the name of the device that holds the array, "cpu" or "cuda:0" and so on; numbers are on the host."""
    if type(array) is HostArray or not is_array(array) or array.device == "cpu":
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
    """Make new Tensors on this device unless another is named; if it is a GPU, make it the current one.

    Operations run on the current GPU, cuda:0 at first, and refuse arrays that are on another.
    """
    global _default_device
    if device_name(device) != "cpu":
        _cupy().cuda.Device(_cuda_index(device)).use()
    _default_device = device_name(device)


def array_report() -> list[str]:
    """Return lines that name the array modules, drivers and GPUs that were found, or say what is missing."""
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
    """Raise DeviceError unless all arrays are on the CPU, or all on the current GPU; numbers fit anywhere."""
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
    """Return the array on the device, itself if it is there already or `device` is None.

    Numbers whose bytes stand in the other order (">f4") are turned round on the way to a GPU, which has one order only.
    """
    if device is None or (device := device_name(device)) == device_of(array):
        return array
    if device == "cpu":
        return to_numpy(array)
    with _cupy().cuda.Device(_cuda_index(device)):
        return _cupy().asarray(array)


def borrowed_array(x: Any) -> Array:
    """Return an array on the memory of another library's array, by DLPack; read-only where NumPy says so.

    Raises TypeError if x is no such array, DeviceError if it is on another kind of device.
    """
    if not (hasattr(x, "__dlpack__") and hasattr(x, "__dlpack_device__")):
        raise TypeError(f"from_dlpack: expected an array that knows DLPack, got {type(x).__name__}: use tg.Tensor(x)")
    kind = int(x.__dlpack_device__()[0])
    if kind not in _DLPACK_HOST + _DLPACK_CUDA:
        raise DeviceError(f"from_dlpack: expected memory of the host or of CUDA, got DLPack device type {kind}")
    return (np if kind in _DLPACK_HOST else _cupy()).from_dlpack(x)


def _is_cupy_array(data: Any) -> bool:
    """Whether this is a CuPy array; if so, register the type, as a program may make or unpickle arrays by itself."""
    cupy = sys.modules.get("cupy")
    return cupy is not None and isinstance(data, cupy.ndarray) and _cupy() is cupy


def axis_of(array: Array, axis: Any) -> Any:
    """Return the axis along which to reduce an array: None instead of 0 or −1 if the array is 0-d, else `axis` itself.

    Most of NumPy's reductions take 0 and −1 for a 0-d array, but none of CuPy's does.

    >>> axis_of(np.zeros((2, 3)), -1), axis_of(np.zeros(()), -1)
    (-1, None)
    """
    return None if axis in (0, -1) and np.ndim(array) == 0 else axis


def owned_copy(array: Array) -> Array:
    """Return a writable array that shares memory with nothing; a NumPy scalar becomes a 0-d array."""
    return array_module(array).array(array)


def is_writable(array: Array) -> bool:
    """Whether the elements can be changed in place; on a GPU they always can."""
    return type(array) is not HostArray or bool(array.flags.writeable)


def to_numpy(array: Array) -> np.ndarray[Any, Any]:
    """Return the array on the host, without a copy where it stands there already."""
    return np.asarray(array) if device_of(array) == "cpu" else array.get()
