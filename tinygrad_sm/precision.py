"""The precision to compute in: half precision is computed in float32, and long sums in float64, and rounded once.

>>> ones = np.ones(4096, np.float16)
>>> int(np.add.accumulate(ones)[-1]), int(total(ones))  # in half precision 2048 + 1 is 2048
(2048, 4096)

NumPy adds in pairs along what lies side by side in memory, and then the error grows with the logarithm of the number.
Along other axes it adds one after the other, in the dtype of the array: there 10⁶ numbers of float32 are off by 1 %.
"""

import math
from typing import Any

import numpy as np

from tinygrad_sm.backend import ARRAY_TYPES, Array


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
    """Return a result that was computed from wide(x), rounded to half precision if x is of that."""
    return result.astype("float16") if getattr(x, "dtype", None) == "float16" else result


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


def broadcasts(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    return len(shape) <= len(to) and all(n in (1, m) for n, m in zip(reversed(shape), reversed(to), strict=False))


def sum_to_shape(g: Any, shape: tuple[int, ...]) -> Any:
    """Undo the broadcasting of an operand of this shape: sum over the axes along which its values were repeated."""
    if g.shape == shape:
        return g
    new_axes = g.ndim - len(shape)
    stretched = (i for i, n in enumerate(shape, new_axes) if n == 1 != g.shape[i])
    return total(g, axis=(*range(new_axes), *stretched)).reshape(shape)


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
