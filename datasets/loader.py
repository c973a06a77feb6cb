"""Feed a data set to a training loop in batches.

    loader = DataLoader(mnist("train"), batch_size=128, shuffle=True, seed=0)
    for epoch in range(20):
        for images, labels in loader:           # (128, 1, 28, 28) and (128,), the last batch smaller
            ...

A fault of a data set shows when the loader is made, not in the middle of an epoch. The order is a function of seed and
epoch, so an interrupted run needs three numbers to go on:

    state = loader.state_dict()                 # {"epoch": 3, "position": 120, "seed": 0, ...}
    loader.load_state_dict(state)               # epoch 3 goes on with its 121st batch
"""

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from tinygrad_sm.arguments import integer
from tinygrad_sm.arrays import as_array, described
from tinygrad_sm.backend import Array, array_module, device_of, to_device, to_numpy
from tinygrad_sm.errors import refuse_state
from tinygrad_sm.targets import check_labels

# Held while a loader moves from one epoch to another, or says where it is, because threads may share it. A signal
# handler may ask for the state too, so the lock is reentrant. A forked process gets a new one.
_LOCK: Any = threading.RLock()
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_LOCK._at_fork_reinit)


class Iteration:
    """One pass over an epoch: the number of the epoch, and how many of its batches have been given, 0 at its end."""

    def __init__(self, epoch: int, position: int) -> None:
        self.epoch = epoch
        self.position = position


class Examples:
    """The examples of a data set, one by one: their number is len(examples), and examples[i] is the pair (x, y) of one.

    >>> examples = Examples(np.zeros((4, 3)), np.arange(4))
    >>> examples[2]
    (array([0., 0., 0.]), np.int64(2))
    >>> examples
    Examples(x=float64 (4, 3), y=int64 (4,))
    """

    def __init__(self, x: Array, y: Array) -> None:
        self.x = x
        self.y = y

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: Any) -> tuple[Any, Any]:
        return self.x[i], self.y[i]

    def __repr__(self) -> str:
        return f"Examples(x={described(self.x)}, y={described(self.y)})"


class DataLoader:
    """Iterate over the batches (x, y) of a data set, each time in the order of the next epoch.

    dataset : (x, y), two arrays of equal length, or a named tuple that begins with them, such as LabelledImages; if it
        has a field `classes`, y must hold integers in 0..len(classes)-1, or, where classes do not exclude each other,
        numbers from 0 to 1 in the shape (N, len(classes))
    shuffle : whether to draw a new order for each epoch, `numpy.random.default_rng([seed, epoch]).permutation(N)`
    drop_last : whether to leave out the last batch where it would be smaller than `batch_size`
    device : where the data set and its batches shall be, None for the default device
    transform : a function of the x of a batch, such as lambda pixels: pixels * np.float32(1 / 255); so the data set
        stays small, as uint8, and each batch is scaled on the device
    group : a tg.parallel.Group, whose processes share each batch: its rows are split among them in their order, as
        evenly as can be, and a process without any gets the first, which its group does not count; all processes must
        have the same data and options

    `epoch` is the number of finished epochs. An iteration advances it when it finishes: one that was broken off does
    not count, and the next repeats its order. Two iterations of one epoch that both finish count as one epoch, even in
    two threads. The order depends on seed and epoch alone, so a run goes on after `loader.epoch = n`. Batches are
    copies: they share no memory with each other or with the data set.

    Batches are made when they are asked for, by the process that asks. So a transform that draws, as by `tg.rand`, has
    used just the draws of the batches that were given, and `nn.save` with an optimizer saves the state after them; a
    loader's own state holds no draws. In a forked process the order stays the same, but a transform draws differently.

    `len(loader)` is the number of batches of an epoch, and `len(loader.dataset)` that of the examples.

    Raises TypeError, ValueError, IndexError (a label out of range) or DeviceError when it is made.

    >>> loader = DataLoader((np.arange(10.0), np.arange(10)), batch_size=4)
    >>> [y.tolist() for x, y in loader], len(loader), len(loader.dataset), loader.epoch
    ([[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]], 3, 10, 1)
    >>> loader
    DataLoader(Examples(x=float64 (10,), y=int64 (10,)), batch_size=4, shuffle=False, seed=0, drop_last=False, epoch=1)
    """

    def __init__(
        self,
        dataset: tuple[Any, ...],
        batch_size: int,
        shuffle: bool = False,
        seed: int = 0,
        drop_last: bool = False,
        device: str | None = None,
        transform: Callable[[Array], Array] | None = None,
        group: Any = None,
    ) -> None:
        is_pair = isinstance(dataset, tuple) and (len(dataset) == 2 or len(dataset) > 2 and hasattr(dataset, "_fields"))
        if not is_pair:
            raise TypeError(f"dataset must be a tuple (x, y) or a named tuple that begins so, got {described(dataset)}")
        integer("DataLoader", "batch_size", batch_size, smallest=1)
        integer("DataLoader", "seed", seed, smallest=0)
        if not (transform is None or callable(transform)):
            raise TypeError(f"transform must be a function of a batch of x, got {described(transform)}")
        if not (group is None or hasattr(group, "processes")):
            raise TypeError(f"group must be a tg.parallel.Group, got {described(group)}")
        self.x, self.y = as_array(dataset[0]), as_array(dataset[1])
        _check_lengths(self.x, self.y)
        if hasattr(dataset, "classes"):
            _check_classes(to_numpy(self.y), len(dataset.classes))  # once, on the host: losses on a GPU check no labels
        if drop_last and len(self.x) < batch_size:
            raise ValueError(
                f"drop_last leaves no batch of batch_size {batch_size} for {len(self.x)} examples: make it smaller"
            )
        self.x, self.y = (as_array(array, device=device, is_new=True) for array in (self.x, self.y))
        xp = array_module(self.x)
        self.x, self.y = xp.ascontiguousarray(self.x), xp.ascontiguousarray(self.y)  # else each take copies all of it
        self.transform = transform
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = seed
        self.drop_last = drop_last
        self.epoch = 0
        self.group: Any = None if group is None or group.size == 1 else group
        if self.group is not None:
            self.group.processes.refuse_unequal(
                "DataLoader", {"seed": seed, **self._settings(), "x": self.x, "y": self.y}
            )
        self._latest = self._restored = Iteration(epoch=0, position=0)

    @property
    def dataset(self) -> Examples:
        """The examples, as they are before `transform`; the arrays are those that batches are taken from."""
        return Examples(self.x, self.y)

    def __repr__(self) -> str:
        options = (
            f"{name}={getattr(self, name)!r}" for name in ("batch_size", "shuffle", "seed", "drop_last", "epoch")
        )
        transform = "" if self.transform is None else f", transform={getattr(self.transform, '__name__', 'given')}"
        return f"DataLoader({self.dataset}, {', '.join(options)}{transform})"

    def __len__(self) -> int:
        """Return the number of batches of an epoch."""
        whole, rest = divmod(len(self.x), self.batch_size)
        return whole if self.drop_last or rest == 0 else whole + 1

    def __iter__(self) -> Iterator[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
        """Begin an epoch. Its order is fixed here, so that several iterators can run at the same time."""
        with _LOCK:
            epoch, seed, restored = self.epoch, self.seed, self._restored
            iteration = self._latest = Iteration(epoch, restored.position if restored.epoch == epoch else 0)
        order = np.arange(len(self.x))
        if self.shuffle:
            order = np.random.default_rng([seed, epoch]).permutation(len(self.x))
        return self._batches(to_device(order, device_of(self.x)), iteration)

    def _batches(self, order: Array, iteration: Iteration) -> Iterator[tuple[Array, Array]]:
        for i in range(iteration.position, len(self)):
            rows = order[i * self.batch_size : (i + 1) * self.batch_size]
            part = None if self.group is None else self.group.processes.part_of(len(rows))
            if part is not None:
                rows = rows[part.start : part.stop]
                self.group.begin(part._replace(epoch=iteration.epoch, number=i))  # the transform may draw for its rows
            x, y = self.x.take(rows, axis=0), self.y.take(rows, axis=0)
            batch = x if self.transform is None else self.transform(x), y
            iteration.position = i + 1  # only now: the transform may raise
            yield batch
        if self.group is not None:
            self.group.end()
        with _LOCK:
            if self.epoch == iteration.epoch:  # unless another iteration has finished this epoch
                self.epoch += 1
            iteration.position = 0  # a finished epoch leaves nothing to go on with
            if self._restored.epoch == iteration.epoch:
                self._restored.position = 0

    def state_dict(self) -> dict[str, int]:
        """Return the position of the iteration that was begun last, and the data and options for which it holds.

        epoch : how many epochs are finished
        position : how many batches of the next epoch have been yielded
        seed : the seed of the order
        batch_size, shuffle, drop_last : the options of the loader; examples : N, the length of the data set
        """
        with _LOCK:
            epoch, seed, latest = int(self.epoch), int(self.seed), self._latest
            position = latest.position if latest.epoch == epoch else 0
        return {"epoch": epoch, "position": position, "seed": seed, **self._settings()}

    def _settings(self) -> dict[str, int]:
        """Return the options on which the meaning of a position depends."""
        return {
            "batch_size": int(self.batch_size),
            "shuffle": bool(self.shuffle),
            "drop_last": bool(self.drop_last),
            "examples": len(self.x),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where a loader with as many examples and the same batch_size, shuffle and drop_last was.

        Until the state's epoch is finished, each iteration of it begins at the state's position and yields the
        remaining batches; there may be none. Other epochs are whole. The seed becomes that of the state. Raises
        CheckpointError with every difference, and changes nothing, unless the state fits.
        """
        refuse_state("the DataLoader", _faults(state, self._settings(), batches=len(self)))
        epoch, position, seed = (int(state[name]) for name in ("epoch", "position", "seed"))
        iteration = Iteration(epoch, position)
        with _LOCK:  # in one call, so that Ctrl-C finds all of it done, or nothing
            vars(self).update(seed=seed, epoch=epoch, _latest=iteration, _restored=iteration)


def _faults(state: Any, settings: Mapping[str, int], batches: int) -> list[str]:
    """Return how a state differs from that of a loader with these settings and this number of batches."""
    if not isinstance(state, Mapping):
        return [f"expected a dict, got {described(state)}"]
    counts = ("epoch", "position", "seed")
    names = (*counts, *settings)
    faults = [f"{name}: missing" for name in names if name not in state]
    faults += [f"{name}: unexpected" for name in state if name not in names]
    for name in state:
        value = state[name]
        if name in counts:
            try:
                integer("state", name, value, smallest=0)
            except (TypeError, ValueError) as error:
                faults.append(str(error))
        elif name in settings and not (isinstance(value, int) and value == settings[name]):
            faults.append(f"{name}: expected {settings[name]}, got {described(value)}")
    if not faults and state["position"] > batches:
        faults.append(f"position must be at most {batches}, the batches of an epoch, got {state['position']}")
    return faults


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
