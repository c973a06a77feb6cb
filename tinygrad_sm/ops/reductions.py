"""Operations that reduce axes: `axis` is an int, a tuple, or None for all; `keepdims` keeps them, with length 1.

Where there is a `dtype`, the elements are converted to it first, and the result is in it.
"""

from numpy.lib.array_utils import normalize_axis_tuple

from tinygrad_sm.backend import ARRAY_TYPES, array_module, axis_of
from tinygrad_sm.engine.primitive import primitive
from tinygrad_sm.ops.elementwise import where
from tinygrad_sm.ops.shaping import broadcast_to, concatenate, inverse_order
from tinygrad_sm.precision import formed_in, in_dtype, sum_dtype, total, wide_dtype


def with_reduced_axes(reduced, x, axis, keepdims):
    """Return a reduction of x, or its gradient, with the reduced axes back at length 1, so that it broadcasts with x.

    >>> import numpy as np
    >>> with_reduced_axes(np.zeros((2, 4)), np.zeros((2, 3, 4)), axis=-2, keepdims=False).shape
    (2, 1, 4)
    """
    if axis is None or keepdims or x.ndim == 0:
        return reduced
    axes = normalize_axis_tuple(axis, x.ndim)
    return reduced.reshape(tuple(1 if i in axes else n for i, n in enumerate(x.shape)))


@primitive(analytic=True)
def sum(x, /, axis=None, keepdims=False, dtype=None):
    """Return Σ x over the axes. Its gradient gives each element the g of its sum, as a read-only broadcast view."""
    if dtype is not None:
        return formed_in(dtype, sum.plain, x, axis, keepdims)
    return total(x, axis_of(x, axis), keepdims)


sum.vjp(lambda g, out, x, axis, keepdims, dtype: broadcast_to(with_reduced_axes(g, x, axis, keepdims), x.shape))


@primitive(analytic=True)
def mean(x, /, axis=None, keepdims=False, dtype=None):
    """Return Σ x / n over the axes, n the number of elements that each sum has."""
    if dtype is not None:
        return formed_in(dtype, mean.plain, x, axis, keepdims)
    wider = sum_dtype(x, axis) if type(x) in ARRAY_TYPES else None
    out = array_module(x).mean(x, axis=axis, dtype=wider, keepdims=keepdims)
    return out if wider is None else out.astype(x.dtype.type)


mean.vjp(
    lambda g, out, x, axis, keepdims, dtype: broadcast_to(
        with_reduced_axes(g * (out.size / (x.size or 1)), x, axis, keepdims), x.shape
    )
)


@primitive
def max(x, /, axis=None, keepdims=False):
    """Return the largest value along the axes. Convention: elements that tie for it share the gradient equally."""
    return array_module(x).max(x, axis=axis_of(x, axis), keepdims=keepdims)


def _extremum_rule(g, out, x, axis, keepdims):
    is_extreme = (x == with_reduced_axes(out, x, axis, keepdims)) | (x != x)  # NaN is the extremum of its row
    ties = sum(is_extreme, axis, keepdims=True).astype(wide_dtype(g))  # int64 would make float32 float64
    return where(is_extreme, with_reduced_axes(g, x, axis, keepdims) / ties, 0)


max.vjp(_extremum_rule)


@primitive
def min(x, /, axis=None, keepdims=False):
    """Return the smallest value along the axes. Convention: elements that tie for it share the gradient equally."""
    return array_module(x).min(x, axis=axis_of(x, axis), keepdims=keepdims)


min.vjp(_extremum_rule)


@primitive(analytic=True)
def prod(x, /, axis=None, keepdims=False, dtype=None):
    """Return Π x over the axes. The gradient is right with any number of zeros among the elements."""
    if dtype is not None:
        return formed_in(dtype, prod.plain, x, axis, keepdims)
    return array_module(x).prod(x, axis=axis_of(x, axis), keepdims=keepdims)


def _prod_rule(g, out, x, axis, keepdims, dtype):
    """Return g times, for each element, ∂(Π x)/∂x_i, which is the product of all the others."""
    if x.size == 0:
        return x
    x = in_dtype(x, dtype)
    reduced = normalize_axis_tuple(range(x.ndim) if axis is None or x.ndim == 0 else axis, x.ndim)
    order = (*(i for i in range(x.ndim) if i not in reduced), *reduced)
    moved = x.transpose(order)
    others = _products_of_others(moved.reshape((*moved.shape[: x.ndim - len(reduced)], -1)))
    return with_reduced_axes(g, x, axis, keepdims) * others.reshape(moved.shape).transpose(inverse_order(order))


def _products_of_others(x):
    """Return for each element the product of all others along the last axis, without a division.

    This works in pairs: the others of an element are its neighbour and all other pairs, which are half as many.
    """
    n = x.shape[-1]
    if n < 2:
        return x**0
    left, right, unpaired = x[..., 0 : n - 1 : 2], x[..., 1:n:2], x[..., n - n % 2 :]
    others = _products_of_others(concatenate(left * right, unpaired, axis=-1))
    others_of_pairs, of_unpaired = others[..., : n // 2], others[..., n // 2 :]
    of_left, of_right = (others_of_pairs * right)[..., None], (others_of_pairs * left)[..., None]
    of_paired = concatenate(of_left, of_right, axis=-1).reshape((*x.shape[:-1], n - n % 2))
    return concatenate(of_paired, of_unpaired, axis=-1)


prod.vjp(_prod_rule)


@primitive(analytic=True)
def cumsum(x, /, axis=None, dtype=None):
    """Return the sums of the first 1, 2, 3, ... elements along the axis; axis=None takes x as one row."""
    if dtype is not None:
        return formed_in(dtype, cumsum.plain, x, axis)
    wider = sum_dtype(x, in_turn=x.size) if type(x) in ARRAY_TYPES else None
    out = array_module(x).cumsum(x, axis=axis_of(x, axis), dtype=wider)
    return out if wider is None else out.astype(x.dtype.type)


def _cumsum_rule(g, out, x, axis, dtype):
    """Sum g from the end: each element is part of its own sum and of all later ones."""
    along = 0 if axis is None else axis % out.ndim
    reverse = (slice(None),) * along + (slice(None, None, -1),)
    return cumsum(g[reverse], along)[reverse].reshape(x.shape)


cumsum.vjp(_cumsum_rule)
