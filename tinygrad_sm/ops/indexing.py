"""Indexing and its opposite: `getitem` takes elements out of an array, and its rule puts their gradients back in place.

>>> import numpy as np
>>> x = np.array([5.0, 6.0, 7.0])
>>> getitem(x, np.array([2, 0, 2]))
array([7., 5., 7.])
>>> put(np.array([1.0, 1.0, 1.0]), x.shape, np.array([2, 0, 2]))  # 7 was taken twice: its gradients add up
array([1., 0., 2.])
"""

import numpy as np

from tinygrad_sm.backend import ARRAY_TYPES, array_module, check_same_device, device_of, to_numpy
from tinygrad_sm.engine.primitive import primitive
from tinygrad_sm.precision import sum_dtype


@primitive(analytic=True)
def getitem(x, /, index):
    """Return x[index]: slices, integers, integer arrays with repeats, boolean masks, None, ..., and tuples of these."""
    return checked_getitem(x, index)


getitem.vjp(lambda g, out, x, index: put(g, x.shape, index))


@primitive(analytic=True)
def put(values, /, shape, index):
    """Return zeros of the shape with the values added at the index."""
    return scatter_add(values, shape, index)


put.vjp(lambda g, out, values, shape, index: g[as_intp(index)])


def checked_getitem(array, index):
    """Return array[index]; an index out of range raises IndexError on a GPU too, where CuPy would wrap it around.

    If the indices themselves are on the GPU, this check makes the host wait for them.

    >>> checked_getitem(np.array([5.0, 6.0, 7.0]), np.array([2, 0, 2]))
    array([7., 5., 7.])
    """
    parts = index if isinstance(index, tuple) else (index,)
    if device_of(array) != "cpu":
        on_host = tuple(to_numpy(part) if type(part) in ARRAY_TYPES else part for part in parts)
        np.broadcast_to(np.False_, array.shape)[on_host]  # NumPy itself checks them, on an array of the shape
        index = as_intp(index)
    try:
        return array[index]
    except TypeError:
        check_same_device("indexing", [array, *parts])  # raises for a host array with indices on a GPU
        raise


def as_intp(index):
    """Return the index with its integer arrays in intp, which can hold any place; int16 cannot hold 500 · 784.

    CuPy too computes places in the dtype of the index, and wraps negative indices around in it.
    """
    if isinstance(index, tuple):
        return tuple(map(as_intp, index))
    return index.astype(np.intp, copy=False) if hasattr(index, "dtype") and index.dtype.kind in "iu" else index


def scatter_add(values, shape, index):
    """Return zeros of the shape with `values` added at `index`; a place that repeats receives all of its values.

    On a GPU, the order of several additions to one place is undetermined, and so are the last bits of their sum.

    >>> scatter_add(np.array([1.0, 2.0, 4.0]), (3,), np.array([0, 2, 0]))
    array([5., 0., 2.])
    """
    xp, index = array_module(values), as_intp(index)
    parts = index if isinstance(index, tuple) else (index,)
    is_array = hasattr(index, "dtype")
    is_simple = all(isinstance(part, int | np.integer | slice | type(None) | type(...)) for part in parts)
    if is_simple or (is_array and index.dtype.kind == "b"):  # no place repeats
        out = xp.zeros(shape, values.dtype)
        out[index] = values
        return out
    dtype = sum_dtype(values, in_turn=index.size if is_array else values.size) or values.dtype
    out, added = xp.zeros(shape, dtype), values.astype(dtype, copy=False)
    if values.size:  # CuPy cannot add an empty array: its kernel divides by the size
        xp.add.at(out, index, added)  # places may repeat
    return out.astype(values.dtype, copy=False)
