"""Operations that reduce axes: `axis` is an int, a tuple or None for all; with `keepdims` they stay, of length 1."""

from tinygrad_sm.backend import array_module
from tinygrad_sm.ops.elementwise import where
from tinygrad_sm.ops.shaping import broadcast_to
from tinygrad_sm.primitive import primitive


def with_reduced_axes(reduced, x, axis, keepdims):
    """Return a reduction of x, or its gradient, with the reduced axes back at length 1, so that it broadcasts with x.

    >>> import numpy as np
    >>> x = np.zeros((2, 3, 4))
    >>> with_reduced_axes(x.sum(axis=-2), x, -2, keepdims=False).shape
    (2, 1, 4)
    """
    if axis is None or keepdims or x.ndim == 0:
        return reduced
    axes = {a % x.ndim for a in (axis if isinstance(axis, tuple) else (axis,))}
    return reduced.reshape(tuple(1 if i in axes else n for i, n in enumerate(x.shape)))


@primitive(analytic=True)
def sum(x, /, axis=None, keepdims=False):
    """Return Σ x over the axes. Its gradient gives each element the g of its sum, as a read-only broadcast view."""
    return array_module(x).sum(x, axis=axis, keepdims=keepdims)


sum.vjp(lambda g, out, x, axis, keepdims: broadcast_to(with_reduced_axes(g, x, axis, keepdims), x.shape))


@primitive(analytic=True)
def mean(x, /, axis=None, keepdims=False):
    """Return Σ x / n over the axes, n the number of elements that each sum has."""
    return array_module(x).mean(x, axis=axis, keepdims=keepdims)


def _mean_rule(g, out, x, axis, keepdims):
    n = x.size // out.size if out.size else 1
    return broadcast_to(with_reduced_axes(g * (1 / n), x, axis, keepdims), x.shape)


mean.vjp(_mean_rule)


@primitive
def max(x, /, axis=None, keepdims=False):
    """Return the largest value along the axes. Convention: elements that tie for it share the gradient equally."""
    return array_module(x).max(x, axis=axis, keepdims=keepdims)


def _max_rule(g, out, x, axis, keepdims):
    is_largest = x == with_reduced_axes(out, x, axis, keepdims)
    ties = is_largest.sum(axis=axis, keepdims=True)
    return where(is_largest, with_reduced_axes(g, x, axis, keepdims) / ties, 0)


max.vjp(_max_rule)
