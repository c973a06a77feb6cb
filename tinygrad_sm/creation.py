"""Tensors from nothing but a shape: zeros, ones, ranges and random draws; float32 unless another dtype is asked for.

They are made on the host, so that draws are the same for every device, and then moved to `device`, or to the default
one of `set_default_device`.
"""

from typing import Any

import numpy as np

from tinygrad_sm.arrays import as_array, unpacked
from tinygrad_sm.backend import borrowed_array, device_of, to_numpy
from tinygrad_sm.dtypes import check_unmasked, number_dtype
from tinygrad_sm.engine.primitive import as_operand
from tinygrad_sm.engine.tape import Traced, data_of
from tinygrad_sm.engine.versions import share_memory
from tinygrad_sm.protocols import check_constant
from tinygrad_sm.random import random_generator
from tinygrad_sm.tensors import Tensor


def zeros(*shape: Any, dtype: Any = np.float32, requires_grad: bool = False, device: str | None = None) -> Tensor:
    """Return a Tensor of zeros.

    >>> zeros(2, 3).shape, zeros((2, 3)).shape
    ((2, 3), (2, 3))
    """
    return Tensor(np.zeros(unpacked(shape), number_dtype(dtype)), requires_grad, device=device)


def ones(*shape: Any, dtype: Any = np.float32, requires_grad: bool = False, device: str | None = None) -> Tensor:
    """Return a Tensor of ones."""
    return Tensor(np.ones(unpacked(shape), number_dtype(dtype)), requires_grad, device=device)


def full(
    shape: Any, value: Any, dtype: Any = np.float32, requires_grad: bool = False, device: str | None = None
) -> Tensor:
    """Return a Tensor of the shape with the same value everywhere, a constant.

    Raises TypeError if the value is a Tensor that requires a gradient: use `broadcast_to`, which passes it.
    """
    check_constant("full", value)
    return Tensor(np.full(shape, to_numpy(data_of(value)), number_dtype(dtype)), requires_grad, device=device)


def zeros_like(x: Any, requires_grad: bool = False, device: str | None = None) -> Tensor:
    """Return zeros of the shape and dtype of x, a Tensor, an array or a number, by default on its device."""
    x = as_operand(x)
    return Tensor(np.zeros(x.shape, x.dtype), requires_grad, device=device_of(data_of(x)) if device is None else device)


def ones_like(x: Any, requires_grad: bool = False, device: str | None = None) -> Tensor:
    """Return ones of the shape and dtype of x, a Tensor, an array or a number, by default on its device."""
    x = as_operand(x)
    return Tensor(np.ones(x.shape, x.dtype), requires_grad, device=device_of(data_of(x)) if device is None else device)


def arange(*bounds: Any, dtype: Any = None, requires_grad: bool = False, device: str | None = None) -> Tensor:
    """Return evenly spaced numbers: arange(stop), arange(start, stop) or arange(start, stop, step).

    They are int64, or float32 where a bound is a float.
    """
    dtype = as_array(list(bounds)).dtype if dtype is None else number_dtype(dtype)
    return Tensor(np.arange(*bounds, dtype=dtype), requires_grad, device=device)


def eye(n: int, dtype: Any = np.float32, requires_grad: bool = False, device: str | None = None) -> Tensor:
    """Return the identity matrix of n rows and columns."""
    return Tensor(np.eye(n, dtype=number_dtype(dtype)), requires_grad, device=device)


def rand(*shape: Any, dtype: Any = np.float32, requires_grad: bool = False, device: str | None = None) -> Tensor:
    """Return draws from the uniform distribution on [0, 1), in float32 or float64; see `manual_seed`."""
    drawn = random_generator().random(unpacked(shape), _drawn_dtype("rand", dtype))
    return Tensor(drawn, requires_grad, device=device)


def randn(*shape: Any, dtype: Any = np.float32, requires_grad: bool = False, device: str | None = None) -> Tensor:
    """Return draws from the standard normal distribution, in float32 or float64; see `manual_seed`."""
    drawn = random_generator().standard_normal(unpacked(shape), _drawn_dtype("randn", dtype))
    return Tensor(drawn, requires_grad, device=device)


def _drawn_dtype(caller: str, dtype: Any) -> Any:
    """Return the dtype as a class; TypeError unless the generator draws in it. In float16, draws of [0, 1) may be 1."""
    dtype = number_dtype(dtype)
    if dtype.type not in (np.float32, np.float64):
        raise TypeError(f"{caller}: expected dtype float32 or float64, got {dtype}: convert the draws with .astype")
    return dtype.type


def from_dlpack(x: Any) -> Tensor:
    """Return a Tensor on the memory of an array of another library, such as PyTorch or JAX: no copy, and no history.

    x : any array with the methods `__dlpack__` and `__dlpack_device__`, on the host or on an NVIDIA GPU.

    The Tensor stays on the device of x. It is read-only where x is, as arrays of JAX are, and on the host before NumPy
    2.2. Otherwise what changes the one changes the other; backward() cannot see a change that the other library makes.

    Raises TypeError if x is no such array or a masked one, DeviceError if it is on another kind of device. Where its
    library or NumPy refuses, their error is passed on, mostly a BufferError: PyTorch refuses what requires a gradient,
    NumPy the dtype bfloat16.

    >>> x = np.zeros(2)
    >>> t = from_dlpack(x).requires_grad_()
    >>> np.shares_memory(t.data, x)
    True
    """
    check_unmasked(x)
    array = borrowed_array(x)
    tensor = Tensor(array, device=device_of(array))
    if isinstance(x, Traced):
        share_memory(x, tensor)  # a change of the one makes stale what was recorded of the other
    return tensor
