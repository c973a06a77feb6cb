"""Norms: how long a vector is, or how large a matrix.

>>> norm([3.0, -4.0]).item(), norm([3.0, -4.0], 1).item(), norm([3.0, -4.0], math.inf).item()
(5.0, 7.0, 4.0)
"""

import math
from numbers import Real

import numpy as np
from numpy.lib.array_utils import normalize_axis_tuple

from tinygrad_sm.backend import array_module, axis_of
from tinygrad_sm.engine.primitive import as_operand
from tinygrad_sm.engine.tape import data_of
from tinygrad_sm.ops.composed import root, square, squeeze
from tinygrad_sm.ops.elementwise import abs, sign, where
from tinygrad_sm.ops.reductions import max, min, sum
from tinygrad_sm.precision import as_precise_as, wide


def norm(x, ord=None, axis=None, keepdims=False):
    """Return the norm of vectors along one axis, or of matrices along two.

    axis : an integer for vectors, a pair (rows, columns) for matrices. None takes all of x, as a vector if it has one
        axis and as a matrix if it has two.
    ord : of a vector, None or 2, the Euclidean length √Σ x²; 1, Σ |x|; inf, the largest |x|; −inf, the smallest; 0, how
        many are not 0; any other number p, (Σ |x|ᵖ)^(1/p). Of a matrix, None or "fro", √Σ x²; 1 and −1, the largest and
        the smallest Σ |x| of a column; inf and −inf, those of a row. None takes any number of axes.

    Raises ValueError for another ord. For a matrix, 2, −2 and "nuc" need singular values, which have no gradient here.

    Conventions, as in PyTorch: where the norm is 0, and where p < 1 for elements that are 0, the gradient is 0; those
    that tie for the largest or the smallest share it equally.

    The elements are divided by the largest magnitude, because its power may overflow where the norm does not. This
    scale is never subnormal: the product of a subnormal number and a gradient would lose digits.

    >>> norm([[1.0, -2.0], [3.0, 4.0]], 1).item(), norm([[1.0, -2.0], [3.0, 4.0]], 1, axis=1).tolist()
    (6.0, [3.0, 7.0])
    """
    x = as_operand(x)
    result = _euclidean(wide(x), axis) if ord is None else _of_order(wide(x), ord, axis)
    result = as_precise_as(x, result)
    return result if keepdims else squeeze(result, axis)


def _of_order(x, ord, axis):
    """Return the norms with the axes at length 1."""
    axes = normalize_axis_tuple(range(x.ndim) if axis is None else axis, x.ndim)
    is_number = isinstance(ord, Real)
    if len(axes) == 1 and is_number:
        return _of_vectors(x, ord, axes)
    if len(axes) == 2 and ord in ("fro", "f"):
        return _euclidean(x, axes)
    if len(axes) == 2 and is_number and ord in (1, -1, math.inf, -math.inf):
        summed, compared = axes[::-1] if math.isinf(ord) else axes
        return _extremum(sum(abs(x), summed, keepdims=True), ord, compared)
    raise _ord_error(ord, len(axes))


def _extremum(x, order, axis):
    """Return the largest of the numbers x ≥ 0 along the axis, 0 if there is none; or for a negative order the least."""
    return (min if order < 0 else max if x.shape[axis] else sum)(x, axis, keepdims=True)


def _ord_error(ord, axes):
    if axes == 2 and ord in (2, -2, "nuc"):
        return ValueError(
            f"norm: the matrix norm of ord={ord!r} needs singular values, which have no gradient here: use ord='fro', "
            f"or np.linalg.norm(x.numpy(), {ord!r}) if none needs to pass"
        )
    expected = {1: "None or a number", 2: "None, 'fro', 1, -1, inf or -inf"}.get(axes, "None")
    return ValueError(f"norm: expected ord to be {expected} for a norm over {axes} axes, got {ord!r}")


def _of_vectors(x, p, axes):
    """Return the norms of order p, with the axis at length 1."""
    if p == 2:
        return _euclidean(x, axes)
    if p == 1:
        return sum(abs(x), axes, keepdims=True)
    if math.isinf(p):
        return _extremum(abs(x), p, axes[0])
    if p == 0:
        return sum(abs(sign(where(x != x, 1, x))), axes, keepdims=True)  # NaN is not 0
    is_zero, scale = x == 0, _scale(x, axes, smallest=p < 0)
    powers = abs(where(is_zero, 1, x / scale)) ** float(p)  # safe values: the power of 0 may have no derivative
    total = sum(where(is_zero, math.inf if p < 0 else 0, powers), axes, keepdims=True)
    return scale * (total ** (1 / p) if p < 0 else root(total, p))


def _euclidean(x, axes):
    scale = _scale(x, axes)
    return scale * root(sum(square(x / scale), axes, keepdims=True))


def _scale(x, axes, smallest=False):
    """Return the largest magnitude along the axes, or the smallest, as a plain array; 1 if it is infinite."""
    xp = array_module(data_of(x))
    extremum = xp.min if smallest else xp.max
    scale = extremum(xp.abs(data_of(x)), axis=axis_of(x, axes), keepdims=True) if x.size else xp.ones((), x.dtype)
    limits = np.finfo(scale.dtype)
    least = float(limits.tiny / limits.eps)
    return xp.where(xp.isfinite(scale), xp.maximum(scale, least), 1).astype(scale.dtype)
