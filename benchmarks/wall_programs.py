"""Whole trainings, from the files of MNIST to the accuracy on its test images, as each library's own users write them.

    python -m benchmarks.wall_programs "JAX jit" 0          # the seed 0; prints the accuracy in percent, and the loss

All learn softmax regression with the flagship's options. They begin with the same parameters and see the same batches
in the same order, but for scikit-learn, which has a solver of its own. The libraries are imported where they are used:
an interpreter pays for its own alone.
"""

import gzip
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.random import default_rng

EPOCHS, SIZE = 20, 60_000
BATCH_SIZE, LR, MOMENTUM, WEIGHT_DECAY = 512, 0.4, 0.9, 1e-5
"""The defaults of `examples/mnist_softmax.py`."""

THREADS = 1
"""Its default too: with two BLAS threads a product waits for its slower half."""

FILES = Path(__file__).parent.parent / "datasets"


class Result(NamedTuple):
    """How well the model does on the test images: the accuracy in percent, and the mean loss."""

    accuracy: float
    loss: float


def first_parameters(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the weight (10, 784) and the bias (10,) that all begin with."""
    weight, bias = np.split(default_rng(seed).uniform(-1 / 28, 1 / 28, (785, 10)).astype(np.float32), [784])
    return np.ascontiguousarray(weight.T), bias[0]


def rates(epochs: int) -> Iterator[tuple[int, float]]:
    """Yield each epoch with its learning rate, which falls linearly."""
    return ((epoch, LR * (1 - epoch / epochs)) for epoch in range(epochs))


def orders(N: int, seed: int, epoch: int) -> Iterator[np.ndarray]:
    """Yield the rows of each batch of the epoch, in the order that the loader of tinygrad_sm takes."""
    order = default_rng([seed, epoch]).permutation(N)
    return (order[start : start + BATCH_SIZE] for start in range(0, N, BATCH_SIZE))


def read(name: str, header: int) -> np.ndarray:
    """Return the bytes behind the header of a packed file."""
    return np.frombuffer(gzip.decompress((FILES / name).read_bytes()), np.uint8, offset=header)


def read_mnist() -> list[np.ndarray]:
    """Return the images as float32 from 0 to 1, (N, 784), and their labels, of training and test."""
    arrays = []
    for split in ("train", "t10k"):
        images = read(f"{split}-images-idx3-ubyte.gz", 16).reshape(-1, 784) / np.float32(255)
        arrays += [images, read(f"{split}-labels-idx1-ubyte.gz", 8).astype(np.int64)]
    return arrays


def tinygrad_sm(seed: int, epochs: int, size: int, compiled: bool = False) -> Result:
    """Train as the flagship does: images stay uint8, and each batch is scaled."""
    from threadpoolctl import threadpool_limits

    import tinygrad_sm as tg
    from tinygrad_sm import nn
    from tinygrad_sm.datasets import DataLoader, mnist, scaled_mnist

    tg.keep_freed_memory()
    (images, labels, _), test = mnist("train", scale=None), mnist("test")
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    weight, bias = first_parameters(seed)
    model.load_state_dict({"1.weight": weight, "1.bias": bias})
    loss_function = nn.CrossEntropyLoss()
    optimizer = nn.optim.SGD(model.parameters(), lr=LR, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)
    loader = DataLoader((images[:size], labels[:size]), BATCH_SIZE, shuffle=True, seed=seed, transform=scaled_mnist)

    def step(images: Any, labels: Any) -> Any:
        loss = loss_function(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    step = tg.compiled(step) if compiled else step
    with threadpool_limits(THREADS, user_api="blas"):
        for _, lr in rates(epochs):
            optimizer.lr = lr
            for x, y in loader:
                step(x, y)
        with tg.no_grad():
            logits = model(test.images)
            return result(logits.numpy(), test.labels)


def pytorch(seed: int, epochs: int, size: int) -> Result:
    """Take PyTorch's, eager; its tensors are indexed in memory, which is quicker than its loader."""
    import torch

    x, y, x_test, y_test = map(torch.from_numpy, read_mnist())
    model = torch.nn.Linear(784, 10)
    weight, bias = map(torch.from_numpy, first_parameters(seed))
    model.load_state_dict({"weight": weight, "bias": bias})
    loss_function = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=LR, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)
    for epoch, lr in rates(epochs):
        optimizer.param_groups[0]["lr"] = lr
        for rows in map(torch.from_numpy, orders(size, seed, epoch)):
            loss = loss_function(model(x[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    with torch.no_grad():
        return result(model(x_test).numpy(), y_test.numpy())


def jax_jit(seed: int, epochs: int, size: int) -> Result:
    """Compile the whole step with JAX; nothing waits for a step but the next one."""
    import jax

    x, y, x_test, y_test = read_mnist()

    def loss_of(parameters: Any, x: Any, y: Any) -> Any:
        weight, bias = parameters
        log_p = jax.nn.log_softmax(x @ weight.T + bias)
        return -(log_p * jax.nn.one_hot(y, 10)).sum() / len(y)

    @jax.jit
    def step(parameters: Any, velocities: Any, lr: Any, x: Any, y: Any) -> Any:
        gradients = jax.grad(loss_of)(parameters, x, y)
        velocities = jax.tree.map(
            lambda theta, v, g: MOMENTUM * v + g + WEIGHT_DECAY * theta, parameters, velocities, gradients
        )
        return jax.tree.map(lambda theta, v: theta - lr * v, parameters, velocities), velocities

    parameters = first_parameters(seed)
    velocities = jax.tree.map(np.zeros_like, parameters)
    for epoch, lr in rates(epochs):
        for rows in orders(size, seed, epoch):
            parameters, velocities = step(parameters, velocities, lr, x[rows], y[rows])
    weight, bias = map(np.asarray, parameters)
    return result(x_test @ weight.T + bias, y_test)


def scikit_learn(seed: int, epochs: int, size: int) -> Result:
    """Fit LogisticRegression with its defaults: 100 iterations of L-BFGS, with a penalty."""
    import warnings

    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    warnings.simplefilter("ignore", ConvergenceWarning)  # it stops before the optimum, as the others do
    x, y, x_test, y_test = read_mnist()
    model = LogisticRegression(random_state=seed).fit(x[:size], y[:size])
    return result(model.decision_function(x_test), y_test)


def result(logits: np.ndarray, labels: np.ndarray) -> Result:
    """Return the accuracy and the loss of logits (N, 10)."""
    logits = logits.astype(np.float64) - logits.max(axis=1, keepdims=True)
    losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(labels)), labels]
    return Result(100 * float((logits.argmax(axis=1) == labels).mean()), float(losses.mean()))


PROGRAMS: dict[str, Callable[[int, int, int], Result]] = {
    "tinygrad_sm": tinygrad_sm,
    "tinygrad_sm, compiled": partial(tinygrad_sm, compiled=True),
    "JAX jit": jax_jit,
    "PyTorch": pytorch,
    "scikit-learn": scikit_learn,
}


if __name__ == "__main__":
    program, seed = sys.argv[1:]
    print(*PROGRAMS[program](int(seed), EPOCHS, SIZE))
