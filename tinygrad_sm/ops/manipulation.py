"""Formulas that repeat, join and select elements: the same values in more places, or in fewer."""

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from tinygrad_sm.arrays import as_array
from tinygrad_sm.backend import array_module, device_of
from tinygrad_sm.dtypes import check_unmasked, strong_dtype
from tinygrad_sm.engine.primitive import as_operand, holds_traced
from tinygrad_sm.engine.tape import Traced, data_of
from tinygrad_sm.ops import reductions
from tinygrad_sm.ops.composed import as_arrays, concatenate, moveaxis, on_host, ravel, stack, take
from tinygrad_sm.ops.elementwise import where
from tinygrad_sm.ops.indexing import put
from tinygrad_sm.ops.shaping import broadcast_to, reshape


def stack_nested(x):
    """Return nested lists of Tensors, arrays and numbers as one Tensor, to which gradients pass.

    Numbers take the dtype and the device of the others, as in `tg.Tensor`. Operations call it for a list as operand.
    """
    dtype, device = strong_dtype(x), _device_within(x)

    def stacked(part):
        if holds_traced(part):
            return part if isinstance(part, Traced) else stack(list(map(stacked, part)))
        return as_array(part, dtype, None if hasattr(part, "shape") else device)

    return stacked(x)


def _device_within(x):
    """Return the device of the first Tensor in nested lists."""
    while not isinstance(x, Traced):
        x = next(filter(holds_traced, x))
    return device_of(x.data)


def atleast_1d(*xs):
    """Return x with one axis if it has none; of several arrays, a tuple."""
    return _each(lambda x: x if x.ndim else reshape(x, (1,)), xs)


def atleast_2d(*xs):
    """Return x with two axes if it has less, as one row; of several arrays, a tuple."""
    return _each(lambda x: x if x.ndim > 1 else reshape(x, (1, x.size)), xs)


def _each(f, xs):
    found = tuple(f(as_operand(x)) for x in xs)
    return found[0] if len(found) == 1 else found


def hstack(tup):
    """Return the arrays of a sequence joined side by side: along the second axis, or the only one."""
    xs = [atleast_1d(x) for x in as_arrays(tup)]
    return concatenate(xs, 0 if xs and xs[0].ndim == 1 else 1)


def vstack(tup):
    """Return the arrays of a sequence joined one below the other, along the first axis; each 1-D array is a row."""
    return concatenate([atleast_2d(x) for x in as_arrays(tup)], 0)


def repeat(x, repeats, axis=None):
    """Return x with each element, or each slice along the axis, so many times in turn; `repeats` may differ by place.

    >>> repeat(np.array([[1, 2], [3, 4]]), 2, axis=1)
    array([[1, 1, 2, 2],
           [3, 3, 4, 4]])
    >>> repeat(np.array([5, 6]), [1, 3])
    array([5, 6, 6, 6])
    """
    check_unmasked(repeats)
    x = as_operand(x)
    x = ravel(x) if axis is None or x.ndim == 0 else x
    axis = normalize_axis_index(axis or 0, x.ndim)
    return take(x, np.repeat(np.arange(x.shape[axis]), on_host(repeats)), axis)


def tile(x, reps):
    """Return x repeated as a whole, `reps` times along each axis; the last of `reps` is for the last axis.

    >>> tile(np.array([1, 2]), (2, 2))
    array([[1, 2, 1, 2],
           [1, 2, 1, 2]])
    """
    x, reps = as_operand(x), on_host(reps)
    reps = tuple(reps) if np.ndim(reps) else (reps,)
    ndim = max(x.ndim, len(reps))
    reps, shape = (1,) * (ndim - len(reps)) + reps, (1,) * (ndim - x.ndim) + x.shape
    blocks = broadcast_to(reshape(x, _in_turn((1,) * ndim, shape)), _in_turn(reps, shape))
    return reshape(blocks, tuple(r * n for r, n in zip(reps, shape, strict=True)))


def _in_turn(a, b):
    """Return (a0, b0, a1, b1, ...)."""
    return tuple(n for pair in zip(a, b, strict=True) for n in pair)


def diagonal(x, offset=0, axis1=0, axis2=1):
    """Return the diagonal of each matrix in two of the axes, as the last axis; `offset` > 0 is above the main one."""
    x = as_operand(x)
    if x.ndim < 2:
        raise ValueError(f"diagonal: expected at least two axes, got shape {x.shape}: tg.diag makes a matrix of a row")
    x = moveaxis(x, (axis1, axis2), (-2, -1))
    *others, rows, columns = x.shape
    n = max(0, min(rows + min(offset, 0), columns - max(offset, 0)))
    return reshape(x, (*others, rows * columns))[..., _diagonal_places(n, offset, columns)]


def _diagonal_places(n, offset, columns):
    """Return the slice of n places on a diagonal of a matrix whose rows stand one after the other."""
    first = offset if offset >= 0 else -offset * columns
    return slice(first, first + n * (columns + 1), columns + 1)


def trace(x, offset=0, axis1=0, axis2=1, dtype=None):
    """Return the sum along the diagonal of each matrix in two of the axes; see `diagonal`."""
    return reductions.sum(diagonal(x, offset, axis1, axis2), -1, dtype=dtype)


def diag(v, k=0):
    """Return the k-th diagonal of a matrix; of a 1-D v, the matrix with v as its k-th diagonal, and 0 elsewhere."""
    v = as_operand(v)
    if v.ndim == 2:
        return diagonal(v, k)
    if v.ndim != 1:
        raise ValueError(f"diag: expected one axis or two, got shape {v.shape}: tg.diagonal takes more")
    n = v.size + abs(k)
    return reshape(put(v, (n * n,), _diagonal_places(v.size, k, n)), (n, n))


def tril(m, k=0):
    """Return each matrix in the last two axes with 0 above its k-th diagonal."""
    m, is_below, zero = _triangle("tril", m, k)
    return where(is_below, m, zero)


def triu(m, k=0):
    """Return each matrix in the last two axes with 0 below its k-th diagonal."""
    m, is_below, zero = _triangle("triu", m, k - 1)
    return where(is_below, zero, m)


def _triangle(caller, m, k):
    """Return m, where its elements are on its k-th diagonal or below, and a zero of its dtype."""
    m = as_operand(m)
    if not m.ndim:
        raise ValueError(f"{caller}: expected at least one axis, got shape (): give it a row or a matrix")
    xp = array_module(data_of(m))
    return m, xp.tri(*m.shape[-2:], k=k, dtype=bool), xp.zeros((), m.dtype)
