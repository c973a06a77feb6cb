"""One epoch of the flagship, softmax regression 784 → 10 on MNIST by SGD, as each library's own users would write it.

All begin with the same parameters, see the same batches in the same order, and return the mean loss of the epoch. The
libraries are imported where they are used: a process that holds one of them shall not load, nor pay for, the others.
"""

import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.random import default_rng

from benchmarks.harness import SPAWN, installed, report, time_rounds, verdict

LR = 0.1
SEED = 0
LIMIT = 1.35
ARRAYS = ("images", "labels", "weight", "bias")


def plain_numpy(folder: str, batch_size: int) -> Callable[[], float]:
    """Write the loop by hand, by the textbook: the measure of all others, and so not to be tuned any more."""
    images, labels, first_weight, first_bias = load(folder)
    images = images.reshape(-1, 784)

    def run() -> float:
        weight, bias = first_weight.T.copy(), first_bias.copy()  # (784, 10) and (10,)
        order = default_rng([SEED, 0]).permutation(len(images))
        losses = 0.0
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            x, y = images[rows], labels[rows]
            N = len(rows)

            z = x @ weight
            z += bias
            z -= z.max(axis=1, keepdims=True)  # exp cannot overflow, and the softmax is the same
            z_of_label = z[np.arange(N), y]
            p = np.exp(z, out=z)
            sums = p.sum(axis=1, keepdims=True)
            p /= sums
            losses += float((np.log(sums[:, 0]) - z_of_label).mean()) * N

            p[np.arange(N), y] -= 1
            p /= N  # now the gradient with respect to the logits
            weight -= LR * (x.T @ p)
            bias -= LR * p.sum(axis=0)
        return losses / len(images)

    return run


def tinygrad_sm(folder: str, batch_size: int) -> Callable[[], float]:
    """Take the framework's own loader, model, loss and optimizer."""
    from tinygrad_sm import nn
    from tinygrad_sm.datasets import DataLoader

    images, labels, weight, bias = load(folder)

    def run() -> float:
        model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
        model.load_state_dict({"1.weight": weight, "1.bias": bias})
        optimizer = nn.optim.SGD(model.parameters(), lr=LR)
        loader = DataLoader((images, labels), batch_size, shuffle=True, seed=SEED)
        return train(model, nn.CrossEntropyLoss(), optimizer, loader) / len(images)

    return run


def pytorch(folder: str, batch_size: int) -> Callable[[], float]:
    """Take PyTorch's, with the batches indexed from tensors in memory, which is quicker than its loader."""
    import torch

    images, labels, weight, bias = map(torch.from_numpy, load(folder))

    def run() -> float:
        model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10))
        model.load_state_dict({"1.weight": weight, "1.bias": bias})
        optimizer = torch.optim.SGD(model.parameters(), lr=LR)
        order = torch.from_numpy(default_rng([SEED, 0]).permutation(len(images)))
        batches = ((images[rows], labels[rows]) for rows in order.split(batch_size))
        return train(model, torch.nn.CrossEntropyLoss(), optimizer, batches) / len(images)

    return run


def train(model: Any, loss_function: Any, optimizer: Any, batches: Iterable[tuple[Any, Any]]) -> float:
    """Go once over the batches, as the documentation of both libraries does; return the sum of the examples' losses."""
    losses = 0.0
    for x, y in batches:
        loss = loss_function(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses += loss.item() * len(y)
    return losses


ALTERNATIVES = {"plain NumPy": plain_numpy, "tinygrad_sm": tinygrad_sm, "PyTorch": pytorch}


def benchmark(threads: list[int], rounds: int, batch_size: int = 128) -> None:
    """Compare the time of an epoch, for each number of BLAS threads."""
    alternatives = installed(ALTERNATIVES)
    with data_files() as folder:
        for n in threads:
            times = time_rounds(alternatives, n, rounds, tolerance=1e-4, folder=folder, batch_size=batch_size)
            ratios = report(f"epoch, batch {batch_size}, BLAS threads: {n}", "ms", times, "plain NumPy")
            verdict(f"tinygrad_sm at most {LIMIT} × plain NumPy", LIMIT, ratios["tinygrad_sm"])


@contextmanager
def data_files() -> Iterator[str]:
    """Make files of the arrays that all processes load, and remove them at the end; the value is their folder.

    Unpacking MNIST takes more memory than training on it. A process of its own does that, so that neither the
    processes whose peak is measured nor this one, whose peak they would inherit on Linux, ever hold so much.
    """
    with tempfile.TemporaryDirectory() as folder:
        process = SPAWN.Process(target=save, args=(folder,))
        process.start()
        process.join()
        yield folder


def save(folder: str) -> None:
    """Write what `load` reads."""
    from tinygrad_sm.datasets import mnist

    images, labels, _ = mnist("train", scale="unit")
    weight, bias = np.split(default_rng(SEED).uniform(-1 / 28, 1 / 28, (785, 10)).astype(np.float32), [784])
    for name, array in zip(ARRAYS, (images, labels, weight.T, bias[0]), strict=True):
        np.save(Path(folder, name), array)


def load(folder: str) -> list[np.ndarray]:
    """Return images (60000, 1, 28, 28), labels (60000,) and the first weight (10, 784) and bias (10,)."""
    return [np.load(Path(folder, f"{name}.npy")) for name in ARRAYS]
