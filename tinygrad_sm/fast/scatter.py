"""Add rows at repeated indices, as in the gradient of an embedding."""

from typing import Any

import numpy as np

from tinygrad_sm.backend import HOST_TYPES, Array, array_module
from tinygrad_sm.dispatch import faster
from tinygrad_sm.ops.indexing import as_intp, put
from tinygrad_sm.precision import MOST_IN_TURN, sum_dtype


def _rows_on_the_host(values: Any, shape: tuple[int, ...], index: Any) -> bool:
    return (
        type(values) in HOST_TYPES
        and type(index) in HOST_TYPES
        and values.size > 0
        and values.ndim > index.ndim
        and index.dtype.kind in "iu"
        and values.shape == (*index.shape, *shape[1:])
        and -shape[0] <= index.min()
        and index.max() < shape[0]
    )


@faster(put, when=_rows_on_the_host, within=1e-5)
def put_rows(values: Array, shape: tuple[int, ...], index: Array) -> Array:
    """Add the elements of rows one by one, at their places in one long row: five times as quick as whole rows.

    Where no place repeats more often than float32 can bear, float64 is not needed: for (50000, 64) by 4,096 rows that
    takes 0.4 of the time.
    """
    xp = array_module(values)
    index = as_intp(index).reshape(-1) % shape[0]
    out = xp.zeros(shape, _dtype_of_sums(values, shape[0], index))
    added, row, sums = xp.ascontiguousarray(values, out.dtype).reshape(-1), out.size // shape[0], out.reshape(-1)
    if row % 2 == 0 and out.dtype.kind == "f" and out.itemsize <= 8:  # two floats are added at once as a complex number
        pair = f"c{2 * out.itemsize}"
        added, row, sums = added.view(pair), row // 2, sums.view(pair)
    places = index[:, np.newaxis] * row + xp.arange(row)
    xp.add.at(sums, places.reshape(-1), added)
    return out.astype(values.dtype, copy=False)


def _dtype_of_sums(values: Array, n: int, index: Array) -> Any:
    """Return the dtype in which to add at each of n places as many values as `index` says."""
    if index.size > MOST_IN_TURN:
        counts = array_module(index).zeros(n, np.intp)
        array_module(index).add.at(counts, index, 1)
        if counts.max() <= MOST_IN_TURN:
            return sum_dtype(values, in_turn=0) or values.dtype
    return sum_dtype(values, in_turn=index.size) or values.dtype
