"""Products with NumPy's names: sums of products over axes, of which `matmul` is the core, and partial products."""

import math

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from tinygrad_sm.backend import ARRAY_TYPES, NUMBERS, array_module, axis_of
from tinygrad_sm.engine.primitive import as_operand, primitive
from tinygrad_sm.engine.tape import data_of
from tinygrad_sm.ops.composed import moveaxis
from tinygrad_sm.ops.elementwise import multiply
from tinygrad_sm.ops.linalg import matmul
from tinygrad_sm.ops.shaping import concatenate, reshape
from tinygrad_sm.precision import formed_in, in_dtype, wide


def dot(a, b):
    """Return the sums of products over the last axis of a and the last but one of b; over the only one of a 1-D b.

    Shapes: (..., K) and (K,) give (...); (..., K) and (K, N) give (..., N), as `matmul`; (..., K) and (..., K, N) give
    the axes of a, and then those of b. A number, or a 0-d array, multiplies each element.
    """
    return _summed(a, b, lambda a, b: matmul(a, b) if b.ndim <= 2 else tensordot(a, b, (-1, -2)))


def inner(a, b):
    """Return the sums of products over the last axes: shapes (..., K) and (..., K) give the other axes of a, then of b.

    A number, or a 0-d array, multiplies each element.
    """
    return _summed(a, b, lambda a, b: matmul(a, b) if a.ndim == b.ndim == 1 else tensordot(a, b, (-1, -1)))


def _summed(a, b, product):
    """Return the product of two arrays, or a multiple of one of them."""
    a, b = (x if type(x) in NUMBERS else as_operand(x, beside) for x, beside in ((a, b), (b, a)))
    return product(a, b) if np.ndim(data_of(a)) and np.ndim(data_of(b)) else multiply(a, b)


def tensordot(a, b, axes=2):
    """Return the sums of products over several axes; the other axes of a come first in the result, then those of b.

    axes : how many of the last axes of a, and of the first of b; or a pair, an axis or a list of axes of each.

    >>> tensordot(np.ones((2, 3, 4)), np.ones((4, 3, 5)), axes=([1, 2], [1, 0])).shape
    (2, 5)
    """
    a, b = as_operand(a, b), as_operand(b, a)
    axes_a, axes_b = axes if hasattr(axes, "__len__") else (range(a.ndim - axes, a.ndim), range(axes))
    axes_a, axes_b = normalize_axis_tuple(axes_a, a.ndim), normalize_axis_tuple(axes_b, b.ndim)
    summed = [a.shape[i] for i in axes_a]
    if summed != [b.shape[i] for i in axes_b]:
        raise ValueError(
            f"tensordot: expected axes of equal lengths, got axes {axes_a} of shape {a.shape} and axes {axes_b} of "
            f"shape {b.shape}"
        )
    a = moveaxis(a, axes_a, range(a.ndim - len(axes_a), a.ndim))
    b = moveaxis(b, axes_b, range(len(axes_b)))
    rows, columns = a.shape[: a.ndim - len(summed)], b.shape[len(summed) :]
    n = math.prod(summed)
    product = matmul(reshape(a, (math.prod(rows), n)), reshape(b, (n, math.prod(columns))))
    return reshape(product, rows + columns)


@primitive(analytic=True)
def cumprod(x, /, axis=None, dtype=None):
    """Return the products of the first 1, 2, 3, ... elements along the axis; axis=None takes x as one row.

    The gradient is right with any number of zeros among the elements.

    dtype : that to which the elements are converted first, and that of the result.

    >>> cumprod(np.array([2.0, 3.0, 4.0]))
    array([ 2.,  6., 24.])
    """
    if dtype is not None:
        return formed_in(dtype, cumprod.plain, x, axis)
    is_half = type(x) in ARRAY_TYPES and x.dtype == np.float16
    out = array_module(x).cumprod(x, axis=axis_of(x, axis), dtype=np.float32 if is_half else None)
    return out.astype(np.float16) if is_half else out


def _cumprod_rule(g, out, x, axis, dtype):
    """Return for x_i the product of all before it, times Σ_k g_k Π x_j over k ≥ i and i < j ≤ k."""
    along = 0 if axis is None else axis
    rows, g, out = (
        wide(t).swapaxes(along, -1) for t in (in_dtype(x, dtype).reshape(out.shape), g, out)
    )  # the axis is the last one
    before = concatenate(out[..., :1] ** 0, out[..., :-1], axis=-1)
    return (before * _folded(g, rows[..., 1:])).swapaxes(along, -1).reshape(x.shape)


def _folded(g, x):
    """Return s with s_i = g_i + x_i s_(i+1) along the last axis, where x is shorter by 1 and s_n = g_n at the end.

    This works in pairs: s_i = (g_i + x_i g_(i+1)) + x_i x_(i+1) s_(i+2), an equation for every second s.
    """
    n = g.shape[-1]
    if n < 2:
        return g
    if n % 2:
        rest = _folded(g[..., 1:], x[..., 1:])
        return concatenate(g[..., :1] + x[..., :1] * rest[..., :1], rest, axis=-1)
    x_even, x_odd = x[..., 0::2], x[..., 1::2]
    even = _folded(g[..., 0::2] + x_even * g[..., 1::2], x_even[..., :-1] * x_odd)
    odd = concatenate(g[..., 1:-1:2] + x_odd * even[..., 1:], g[..., -1:], axis=-1)
    return concatenate(even[..., None], odd[..., None], axis=-1).reshape(g.shape)


cumprod.vjp(_cumprod_rule)
