"""Blocks: large arrays part by part, so that the calls of a formula find their operands in the cache.

Each call of NumPy goes through its arrays once. Where they are larger than the caches, it goes through main memory,
which is slower than the arithmetic. So a formula makes all its calls on one part, and then on the next.
"""

from collections.abc import Iterable, Iterator

from tinygrad_sm.backend import HOST_TYPES, Array

BLOCK = 2**18
"""The number of elements of a part: few enough for the caches, and enough to make calls cheap."""


def blocks(*arrays: Array) -> Iterable[tuple[Array, ...]]:
    """Return arrays of one shape part by part, so that what is computed with a part need not leave the caches.

        for theta, g in blocks(data, grad):
            theta -= 0.1 * g

    An elementwise formula gives the same bits as on whole arrays. The parts are views of contiguous memory, of shape
    (BLOCK,); the last is shorter. Arrays that are small, on a GPU, with gaps or in different layouts (C and Fortran)
    are one part, unchanged.

    >>> import numpy as np
    >>> x = np.zeros((10, 30_000))
    >>> [len(part) for (part,) in blocks(x)]
    [262144, 37856]
    """
    return (arrays,) if arrays[0].size <= BLOCK else _contiguous_parts(arrays)


def _contiguous_parts(arrays: tuple[Array, ...]) -> Iterator[tuple[Array, ...]]:
    """Yield the parts of arrays that are not small."""
    if type(arrays[0]) in HOST_TYPES:
        for order in ("C", "F"):
            if all(array.flags[f"{order}_CONTIGUOUS"] for array in arrays):
                flat = [array.reshape(-1, order=order) for array in arrays]
                for start in range(0, flat[0].size, BLOCK):
                    yield tuple([array[start : start + BLOCK] for array in flat])
                return
    yield arrays
