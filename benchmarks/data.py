"""What the trainings learn from: MNIST in files that all processes load, and its batches in one order.

The libraries' own loops are the same twice: `train` is the loop of tinygrad_sm and of PyTorch, and `batches` feeds all
that take NumPy arrays.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import default_rng

from benchmarks.harness import SPAWN

SEED = 0


@contextmanager
def data_files() -> Iterator[str]:
    """Make files of the arrays that all processes load, and remove them at the end; the value is their folder.

    Unpacking MNIST takes more memory than training on it. A process of its own does that, so that neither the
    processes whose peak is measured nor this one, whose peak they would inherit on Linux, ever hold so much.
    """
    with tempfile.TemporaryDirectory() as folder:
        process = SPAWN.Process(target=save_mnist, args=(folder,))
        process.start()
        process.join()
        yield folder


def save_mnist(folder: str) -> None:
    """Write what `load` reads."""
    from tinygrad_sm.datasets import mnist

    pixels, labels, _ = mnist("train", scale=None)
    save(folder, pixels, labels)


def save(folder: str, pixels: np.ndarray, labels: np.ndarray) -> None:
    """Write images and labels, and with them the parameters that all begin with."""
    from tinygrad_sm.datasets import scaled_mnist

    weight, bias = np.split(default_rng(SEED).uniform(-1 / 28, 1 / 28, (785, 10)).astype(np.float32), [784])
    arrays = {"images": scaled_mnist(pixels), "pixels": pixels, "labels": labels, "weight": weight.T, "bias": bias[0]}
    for name, array in arrays.items():
        np.save(Path(folder, name), array)


def load(folder: str, images: str = "images") -> list[np.ndarray]:
    """Return images (60000, 1, 28, 28), labels (60000,) and the first weight (10, 784) and bias (10,).

    The images are float32 from 0 to 1; those of the name "pixels" are uint8 as MNIST stores them.
    """
    return [np.load(Path(folder, f"{name}.npy")) for name in (images, "labels", "weight", "bias")]


def batches(x: np.ndarray, y: np.ndarray, batch_size: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield the batches of the epoch, in the order that all take."""
    order = default_rng([SEED, 0]).permutation(len(x))
    for start in range(0, len(order), batch_size):
        rows = order[start : start + batch_size]
        yield x[rows], y[rows]


def torch_batches(x: Any, y: Any, batch_size: int) -> Iterator[tuple[Any, Any]]:
    """Yield the same of PyTorch's tensors, indexed in memory, which is quicker than its loader."""
    import torch

    order = torch.from_numpy(default_rng([SEED, 0]).permutation(len(x)))
    return ((x[rows], y[rows]) for rows in order.split(batch_size))


def training_step(model: Any, loss_function: Any, optimizer: Any) -> Callable[[Any, Any], Any]:
    """Return a step of the training, as the documentation of both libraries writes it."""

    def step(x: Any, y: Any) -> Any:
        loss = loss_function(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step


def train(step: Callable[[Any, Any], Any], batches: Iterable[tuple[Any, Any]]) -> float:
    """Go once over the batches; return the sum of the examples' losses."""
    return sum(step(x, y).item() * len(y) for x, y in batches)
