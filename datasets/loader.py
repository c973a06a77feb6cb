"""Feed a data set to a training loop in batches.

    loader = DataLoader(mnist("train"), batch_size=128, shuffle=True, seed=0)
    for epoch in range(20):
        for images, labels in loader:           # (128, 1, 28, 28) and (128,), the last batch smaller
            ...

Whatever is wrong with a data set shows when the loader is made, not in the middle of an epoch. What a run needs to go
on where it was interrupted is three numbers, for the order is a function of seed and epoch:

    state = loader.state_dict()                 # {"epoch": 3, "position": 120, "seed": 0}
    loader.load_state_dict(state)               # the next iteration begins with the 121st batch of epoch 3
"""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tinygrad_sm.backend import Array, as_array, described
from tinygrad_sm.checks import check_labels
from tinygrad_sm.datasets.options import check_integer
from tinygrad_sm.errors import CheckpointError


class Iteration:
    """One pass over an epoch: the number of the epoch, how many of its batches have been given, whether it is begun."""

    def __init__(self, epoch: int, position: int, begun: bool) -> None:
        self.epoch = epoch
        self.position = position
        self.begun = begun


class DataLoader:
    """Iterate over the batches (x, y) of a data set, each time in the order of the next epoch.

    dataset : (x, y), two arrays of equal length, or a named tuple that begins with them, such as LabelledImages; if it
        has a field `classes`, y must hold integers in 0..len(classes)-1, or, where classes do not exclude each other,
        numbers from 0 to 1 in the shape (N, len(classes))
    shuffle : whether to draw a new order for each epoch, `numpy.random.default_rng([seed, epoch]).permutation(N)`
    drop_last : whether to leave out the last batch where it would be smaller than `batch_size`
    device : where the batches should be, None for the default device

    `epoch` is the number of epochs that came to their end. An iteration advances it when it finishes, not when it is
    begun: one that was broken off does not count, and the next repeats its order. Two iterations of one epoch that both
    finish are one epoch. As the order depends on seed and epoch alone, a run goes on after `loader.epoch = n`.
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
        check_integer("batch_size", batch_size, smallest=1)
        check_integer("seed", seed, smallest=0)
        self.x = as_array(dataset[0], device=device)
        self.y = as_array(dataset[1], device=device)
        _check_lengths(self.x, self.y)
        if hasattr(dataset, "classes"):
            _check_classes(self.y, len(dataset.classes))
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.drop_last = drop_last
        self.epoch = 0
        self._latest = Iteration(epoch=0, position=0, begun=False)

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        whole, rest = divmod(len(self.x), self.batch_size)
        return whole if self.drop_last or rest == 0 else whole + 1

    def __iter__(self) -> Iterator[tuple[Array, Array]]:
        """Begin an epoch; its order is settled here, so that several iterators can be under way at once."""
        restored = not self._latest.begun and self._latest.epoch == self.epoch
        self._latest = Iteration(self.epoch, self._latest.position if restored else 0, begun=True)
        order = np.arange(len(self.x))
        if self.shuffle:
            order = np.random.default_rng([self.seed, self.epoch]).permutation(len(self.x))
        return self._batches(order, self._latest)

    def _batches(self, order: Array, iteration: Iteration) -> Iterator[tuple[Array, Array]]:
        while iteration.position < len(self):
            start = iteration.position * self.batch_size
            rows = order[start : start + self.batch_size]
            iteration.position += 1
            yield self.x.take(rows, axis=0), self.y.take(rows, axis=0)
        if self.epoch == iteration.epoch:  # it is not if another iteration has finished this epoch
            self.epoch += 1

    def state_dict(self) -> dict[str, int]:
        """Return where the iteration that was begun last has arrived, as {"epoch", "position", "seed"}.

        position : the number of batches of the epoch that have been given, 0 when none has or the epoch is finished
        """
        position = self._latest.position if self._latest.epoch == self.epoch else 0
        return {"epoch": int(self.epoch), "position": position, "seed": int(self.seed)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where a loader was that had the same data, batch_size, shuffle and drop_last.

        The next iteration gives the batches of the epoch that were still to come: none, if only its end was. Later
        ones give whole epochs again. Raises CheckpointError, and changes nothing, unless the state fits this loader.
        """
        names = ("epoch", "position", "seed")
        if not isinstance(state, Mapping) or set(state) != set(names):
            raise CheckpointError(f"the state of a DataLoader must have {', '.join(names)}, got {described(state)}")
        try:
            for name in names:
                check_integer(name, state[name], smallest=0)
        except (TypeError, ValueError) as error:
            raise CheckpointError(f"the state of a DataLoader does not fit: {error}") from error
        epoch, position, seed = (int(state[name]) for name in names)
        if position > len(self):
            raise CheckpointError(
                f"the state of a DataLoader does not fit: position {position}, but an epoch has {len(self)} batches: "
                "make the loader with the data, batch_size and drop_last that it had"
            )
        self.seed, self.epoch = seed, epoch
        self._latest = Iteration(epoch, position, begun=False)


def _check_classes(y: Array, classes: int) -> None:
    """Raise unless y holds labels of shape (N,), or for each row which of the classes apply."""
    if y.ndim != 2:
        check_labels(y, classes)
    elif y.shape[1] != classes or not ((y >= 0) & (y <= 1)).all():
        raise ValueError(
            f"y: expected labels of shape ({len(y)},), or numbers from 0 to 1 of shape ({len(y)}, {classes}), one for "
            f"each class, got {described(y)} from {y.min()} to {y.max()}"
        )


def _check_lengths(x: Array, y: Array) -> None:
    if x.ndim == 0 or y.ndim == 0 or len(x) != len(y):
        raise ValueError(f"x and y must have one row for each example, got shapes {x.shape} and {y.shape}")
    if len(x) == 0:
        raise ValueError(f"the data set must not be empty, got shapes {x.shape} and {y.shape}")
