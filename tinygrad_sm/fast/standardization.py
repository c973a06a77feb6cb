"""Standardizing rows in few passes: the means are products with a vector, and the rest is written in place."""

from math import prod
from typing import Any

from numpy.lib.array_utils import normalize_axis_tuple

from tinygrad_sm.backend import HOST_TYPES, Array, array_module
from tinygrad_sm.dispatch import faster
from tinygrad_sm.ops.standardization import standardize
from tinygrad_sm.precision import MOST_IN_TURN


def _are_rows(x: Any, axis: Any, eps: float) -> bool:
    """Hold on the host for float32 or float64 in C order, where the axes are the last ones, and not too long.

    Without eps, elements that are all equal give NaN, but here their mean may be rounded to another number.
    """
    if not (
        eps > 0 and type(x) in HOST_TYPES and x.dtype in ("float32", "float64") and x.ndim and x.flags.c_contiguous
    ):
        return False
    axes = normalize_axis_tuple(axis, x.ndim)
    return axes == (*range(x.ndim - len(axes), x.ndim),) and 0 < prod(x.shape[i] for i in axes) <= MOST_IN_TURN


def _share(x: Array, axis: Any) -> Array:
    """Return a vector of 1/n: the product of rows with it is their mean."""
    n = prod(x.shape[i] for i in normalize_axis_tuple(axis, x.ndim))
    return array_module(x).full(n, 1 / n, x.dtype)


@faster(standardize, when=_are_rows, within=1e-5)
def standardize_rows(x: Array, axis: Any, eps: float) -> tuple[Array, Array]:
    """Return z and σ of rows.

    With the rule below, forward and backward of a layer norm of (16, 64, 128) in float32, with weight and bias, take
    0.7 of the time, on one thread. The formula without a rule of its own takes twice as long.
    """
    xp, share = array_module(x), _share(x, axis)
    rows = x.reshape((-1, share.size))
    z = rows - (rows @ share)[:, None]
    z -= (z @ share)[:, None]
    sigma = xp.sqrt(xp.vecdot(z, z) * share[0] + eps)[:, None]
    z /= sigma
    kept = x.ndim - len(normalize_axis_tuple(axis, x.ndim))
    return z.reshape(x.shape), sigma.reshape(x.shape[:kept] + (1,) * (x.ndim - kept))


def _are_rows_and_arrays(g: Any, out: Any, x: Any, axis: Any, eps: float, saved: Any) -> bool:
    return type(g) in HOST_TYPES and g.dtype == out.dtype and type(out) in HOST_TYPES and _are_rows(out, axis, eps)


@faster(standardize, rule=0, when=_are_rows_and_arrays, within=1e-5)
def gradient_of_rows(g: Array, out: Array, x: Array, axis: Any, eps: float, saved: Array) -> Array:
    """Return (g − mean of g − z · mean of g z) / σ, in one array."""
    xp, share = array_module(out), _share(out, axis)
    g, z = g.reshape((-1, share.size)), out.reshape((-1, share.size))
    result = z * (xp.vecdot(g, z) * -share[0])[:, None]
    result += g
    result -= (g @ share)[:, None]
    result /= saved.reshape((-1, 1))
    return result.reshape(out.shape)
