"""The precision to compute in: half precision is computed in float32, and long sums in float64, and rounded once.

>>> ones = np.ones(4096, np.float16)
>>> int(np.add.accumulate(ones)[-1]), int(total(ones))  # in half precision 2048 + 1 is 2048
(2048, 4096)

NumPy adds contiguous numbers in pairs, and then the error grows with the logarithm of their count. Along other axes it
adds one number after the other, in the dtype of the array: a sum of 10⁶ float32 numbers is then off by 1 %.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_sm.backend import ARRAY_TYPES, Array
from tinygrad_sm.dtypes import number_dtype


def wide_dtype(x: Any) -> Any:
    """Return the dtype to compute in. Sums of many float16 numbers overflow or stall in float16."""
    if x.dtype.kind in "biu":
        return np.float64
    return np.float32 if x.dtype == np.float16 else x.dtype


def wide(x: Any) -> Any:
    """Return x, an array or a Tensor, in the dtype to compute in: integers as float64, half precision as float32."""
    dtype = wide_dtype(x)
    return x if x.dtype == dtype else x.astype(dtype)


def as_precise_as(x: Any, result: Any) -> Any:
    """Return a result that was computed from wide(x), rounded to half precision if x is in half precision."""
    return result.astype("float16") if getattr(x, "dtype", None) == "float16" else result


def in_dtype(x: Any, dtype: Any) -> Any:
    """Return x, an array or a Tensor, in another dtype; None stands for its own.

    Complex numbers stay complex: the checker gives them to a forward whose caller gives it floats.
    """
    if dtype is None:
        return x
    dtype = number_dtype(dtype)
    return x.astype(np.result_type(dtype, np.complex64) if x.dtype.kind == "c" else dtype)


def formed_in(dtype: Any, f: Callable[..., Any], x: Any, *options: Any) -> Any:
    """Return a sum or product f(x, ...) in the dtype that was asked for, and formed in it, or in a wider one."""
    return in_dtype(f(in_dtype(x, dtype), *options), dtype)


MOST_IN_TURN = 1024
"""The most numbers to add one after the other in float32: their sum is off by at most 1e-5, that of 10⁶ by 1e-2."""


def total(x: Any, axis: Any = None, keepdims: bool = False) -> Any:
    """Return Σ x over the axes, of an array or a Tensor: formed in `sum_dtype`, and rounded once to the dtype of x."""
    if type(x) not in ARRAY_TYPES:
        return np.sum(x, axis=axis, keepdims=keepdims)  # for a Tensor, this calls `tg.sum`, which calls `total`
    dtype = sum_dtype(x, axis)
    if dtype is None:
        return x.sum(axis=axis, keepdims=keepdims)
    return x.sum(axis=axis, dtype=dtype, keepdims=keepdims).astype(x.dtype.type)


def broadcasts_to(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    return len(shape) <= len(to) and all(n in (1, m) for n, m in zip(reversed(shape), reversed(to), strict=False))


def sum_to_shape(g: Any, shape: tuple[int, ...]) -> Any:
    """Undo the broadcasting of an operand of this shape: sum over the axes along which its values were repeated."""
    if g.shape == shape:
        return g
    new_axes = g.ndim - len(shape)
    stretched = (i for i, n in enumerate(shape, new_axes) if n == 1 != g.shape[i])
    return total(g, axis=(*range(new_axes), *stretched)).reshape(shape)


def sum_dtype(x: Array, axis: Any = None, in_turn: int | None = None) -> Any:
    """Return the dtype to sum x in: float32 for float16, float64 for long sums of float16 or float32; else None.

    in_turn : how many numbers are added one after the other; by default, as many as in x.sum(axis).
    """
    if x.dtype.kind != "f" or x.itemsize > 4:
        return None
    if in_turn is None:
        in_turn = x.shape[axis] if type(axis) is int and -x.ndim <= axis < x.ndim else x.size  # at most
        if in_turn > MOST_IN_TURN:
            in_turn = _added_in_turn(x, axis)
    return np.float64 if in_turn > MOST_IN_TURN else np.float32 if x.itemsize == 2 else None


def _added_in_turn(x: Array, axis: Any) -> int:
    """Return how many numbers x.sum(axis) adds one after the other; 0 if they are contiguous, and so added in pairs.

    An axis out of range gives 0 too: NumPy will raise its own error.
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
