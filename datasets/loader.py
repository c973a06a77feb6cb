"""Feed a data set to a training loop in batches.

    loader = DataLoader(mnist("train"), batch_size=128, shuffle=True, seed=0)
    for epoch in range(20):
        for images, labels in loader:           # (128, 1, 28, 28) and (128,), the last batch smaller
            ...

Whatever is wrong with a data set shows when the loader is made, not in the middle of an epoch.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from tinygrad_sm.backend import Array, as_array, described
from tinygrad_sm.checks import check_labels


class DataLoader:
    """Iterate over the batches (x, y) of a data set, each time in the order of the next epoch.

    dataset : (x, y), two arrays of equal length, or a named tuple that begins with them, such as LabelledImages; if it
        has a field `classes`, y must hold integers in 0..len(classes)-1
    shuffle : whether to draw a new order for each epoch, `numpy.random.default_rng([seed, epoch]).permutation(N)`
    drop_last : whether to leave out the last batch where it would be smaller than `batch_size`
    device : where the batches should be, None for the default device

    `epoch` counts the iterations that came to their end; one that was broken off does not count, and the next repeats
    its order. As the order depends on seed and epoch alone, an interrupted run goes on after `loader.epoch = n`.
    Batches are copies: they share no memory with each other or with the data set.

    Raises TypeError, ValueError, IndexError (a label out of range) or DeviceError when it is made.

    >>> loader = DataLoader((np.arange(10.0), np.arange(10)), batch_size=4)
    >>> [y.tolist() for x, y in loader], len(loader), loader.epoch
    ([[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]], 3, 1)
    """

    def __init__(
        self,
        dataset: tuple[Any, ...],
        batch_size: int,
        shuffle: bool = False,
        seed: int = 0,
        drop_last: bool = False,
        device: str | None = None,
    ) -> None:
        is_pair = isinstance(dataset, tuple) and (len(dataset) == 2 or len(dataset) > 2 and hasattr(dataset, "_fields"))
        if not is_pair:
            raise TypeError(f"dataset must be a tuple (x, y) or a named tuple that begins so, got {described(dataset)}")
        _check_integer("batch_size", batch_size, smallest=1)
        _check_integer("seed", seed, smallest=0)
        self.x = as_array(dataset[0], device=device)
        self.y = as_array(dataset[1], device=device)
        _check_lengths(self.x, self.y)
        if hasattr(dataset, "classes"):
            check_labels(self.y, len(dataset.classes))
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.drop_last = drop_last
        self.epoch = 0

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        whole, rest = divmod(len(self.x), self.batch_size)
        return whole if self.drop_last or rest == 0 else whole + 1

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        """Begin an epoch; its order is settled here, so that several iterators can be under way at once."""
        order = np.arange(len(self.x))
        if self.shuffle:
            order = np.random.default_rng([self.seed, self.epoch]).permutation(len(self.x))
        return self._batches(order)

    def _batches(self, order: Array) -> Iterator[tuple[Array, Array]]:
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            rows = order[start : start + self.batch_size]
            yield self.x.take(rows, axis=0), self.y.take(rows, axis=0)
        self.epoch += 1


def _check_integer(name: str, value: Any, smallest: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be an integer, got {described(value)}")
    if value < smallest:
        raise ValueError(f"{name} must be at least {smallest}, got {value}")


def _check_lengths(x: Array, y: Array) -> None:
    if x.ndim == 0 or y.ndim == 0 or len(x) != len(y):
        raise ValueError(f"x and y must have one row for each example, got shapes {x.shape} and {y.shape}")
    if len(x) == 0:
        raise ValueError(f"the data set must not be empty, got shapes {x.shape} and {y.shape}")
