"""Copies of values for pictures: small ones whole, large ones as statistics with a sample.

A recording outlives the step that it shows, and a training step may hold gigabytes. So an array of more than `largest`
elements is kept as what can be said of it in a line, and its first rows.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_sm.backend import to_numpy
from tinygrad_sm.engine.tape import data_of

LARGEST = 10_000
"""The most elements that are copied whole, unless `record` is told another number."""

SAMPLE = 1_000
"""The most elements in the sample of a larger array."""


@dataclass(frozen=True, eq=False)
class Value:
    """What was kept of an array: all of it, or statistics and a sample.

    array : a copy of it on the host; None if it has more than the recording's `largest` elements.
    sample : `array`, or of a larger one as many of its first rows as make at most 1,000 elements.
    low, high, mean, std : of the finite elements; NaN if there is none.
    nans, infs : how many elements are not finite.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    array: np.ndarray[Any, Any] | None
    sample: np.ndarray[Any, Any]
    low: float
    high: float
    mean: float
    std: float
    nans: int
    infs: int

    @property
    def is_whole(self) -> bool:
        """Whether every element was kept."""
        return self.array is not None

    @property
    def size(self) -> int:
        """The number of elements of the array."""
        return int(np.prod(self.shape, dtype=np.int64))

    def equals(self, other: "Value") -> bool:
        """Whether all that was kept is equal, NaN to NaN."""
        mine, its = (np.array([x.low, x.high, x.mean, x.std, x.nans, x.infs]) for x in (self, other))
        is_like = self.shape == other.shape and self.dtype == other.dtype and np.array_equal(mine, its, equal_nan=True)
        return bool(is_like and self.sample.tobytes() == other.sample.tobytes())


def copied(x: Any, largest: int = LARGEST) -> Value:
    """Return a copy of an array, of a Tensor's array or of a number, which no later change of it reaches."""
    array = to_numpy(data_of(x)) if hasattr(x, "shape") else np.asarray(x)
    finite = array if array.dtype.kind in "biu" else array[np.isfinite(array)]
    low, high, mean, std = np.nan, np.nan, np.nan, np.nan
    if finite.size:
        with np.errstate(all="ignore"):
            low, high = float(finite.min()), float(finite.max())
            mean, std = float(finite.mean(dtype=np.float64)), float(finite.std(dtype=np.float64))
    nans = int(np.isnan(array).sum()) if array.dtype.kind == "f" else 0
    sample = (array if array.size <= largest else _first_rows(array)).copy()
    whole = sample if array.size <= largest else None
    return Value(array.shape, array.dtype, whole, sample, low, high, mean, std, nans, array.size - finite.size - nans)


def _first_rows(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return as many of the first rows as are at most SAMPLE elements; of a larger row, its own first rows.

    >>> _first_rows(np.zeros((128, 1, 28, 28))).shape, _first_rows(np.zeros((5000, 10))).shape
    ((1, 1, 28, 28), (100, 10))
    """
    rows = SAMPLE * len(array) // array.size
    return array[:rows] if rows else _first_rows(array[0])[np.newaxis]
