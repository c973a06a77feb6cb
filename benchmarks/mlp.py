"""100 steps of an MLP 784 → 256 → 10 with ReLU on MNIST by SGD, batch 128: matrix products take most of the time.

As in `epoch`, all begin with the same parameters and see the same batches; a run returns the mean loss of the steps.
Parameters are (weight, bias) of the first layer and then of the second, weights of shape (out, in).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.random import default_rng

from benchmarks.data import SEED, batches, data_files, load, torch_batches, train, training_step
from benchmarks.harness import installed, median_ratio, report, time_rounds, verdict

D, H, C = 784, 256, 10
BATCH, STEPS = 128, 100
LR = 0.1
LIMIT = 1.08  # × plain NumPy
COMPILED_LIMIT = 1.05  # × best NumPy


def examples(folder: str, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Return as many images (N, D) and labels (N,) as the steps take."""
    images, labels, _, _ = load(folder)
    return images[: steps * BATCH].reshape(-1, D), labels[: steps * BATCH]


def first_parameters() -> list[np.ndarray]:
    """Return what all begin with."""
    random = default_rng(SEED)
    shapes = {(H, D): D, (H,): D, (C, H): H, (C,): H}
    return [random.uniform(-(n**-0.5), n**-0.5, shape).astype(np.float32) for shape, n in shapes.items()]


def plain_numpy(folder: str, steps: int) -> Callable[[], float]:
    """Write the loop by hand, by the textbook: the measure of all others, and so not to be tuned any more."""
    images, labels = examples(folder, steps)

    def run() -> float:
        W1, b1, W2, b2 = (theta.T.copy() for theta in first_parameters())  # (784, 256), (256,), (256, 10), (10,)
        losses = 0.0
        for x, y in batches(images, labels, BATCH):
            N = len(x)
            h = x @ W1
            h += b1
            np.maximum(h, 0, out=h)
            z = h @ W2
            z += b2
            z -= z.max(axis=1, keepdims=True)
            z_of_label = z[np.arange(N), y]
            p = np.exp(z, out=z)
            sums = p.sum(axis=1, keepdims=True)
            p /= sums
            losses += float((np.log(sums[:, 0]) - z_of_label).mean()) * N

            p[np.arange(N), y] -= 1
            p /= N
            g = p @ W2.T
            g *= h > 0
            W2 -= LR * (h.T @ p)
            b2 -= LR * p.sum(axis=0)
            W1 -= LR * (x.T @ g)
            b1 -= LR * g.sum(axis=0)
        return losses / len(images)

    return run


def best_numpy(folder: str, steps: int) -> Callable[[], float]:
    """Write it as quick as it can be made: logits class-major, in buffers that all steps share.

    The learning rate scales the small gradient of the logits, and with it all gradients that come from there.
    """
    images, labels = examples(folder, steps)
    x, y = np.empty((BATCH, D), images.dtype), np.empty(BATCH, labels.dtype)
    h, g = np.empty((BATCH, H), x.dtype), np.empty((BATCH, H), x.dtype)
    z, row, columns = np.empty((C, BATCH), x.dtype), np.empty((1, BATCH), x.dtype), np.arange(BATCH)
    is_positive = np.empty(h.shape, bool)
    W1_step, W2_step = np.empty((D, H), x.dtype), np.empty((C, H), x.dtype)
    ones = np.ones(BATCH, x.dtype)

    def run() -> float:
        W1, b1, W2, b2 = first_parameters()
        W1, b2 = W1.T.copy(), b2[:, None]
        order = default_rng([SEED, 0]).permutation(len(images))
        losses = 0.0
        for start in range(0, len(order), BATCH):
            rows = order[start : start + BATCH]
            images.take(rows, axis=0, out=x, mode="clip")
            labels.take(rows, out=y, mode="clip")
            np.matmul(x, W1, out=h)
            np.add(h, b1, out=h)
            np.maximum(h, 0, out=h)
            np.matmul(W2, h.T, out=z)
            np.add(z, b2, out=z)
            np.subtract(z, np.maximum.reduce(z, axis=0, keepdims=True, out=row), out=z)
            np.multiply(y, BATCH, out=y)
            np.add(y, columns, out=y)  # the places of the labels in z as one row
            z_of_label = z.take(y)
            p = np.exp(z, out=z)
            np.add.reduce(p, axis=0, keepdims=True, out=row)
            p *= np.divide(LR / BATCH, row)
            losses += float(np.add.reduce(np.log(row, out=row), axis=1)[0] - np.add.reduce(z_of_label))

            p.reshape(-1)[y] -= LR / BATCH
            np.matmul(p.T, W2, out=g)
            np.multiply(g, np.greater(h, 0, out=is_positive), out=g)
            W2 -= np.matmul(p, h, out=W2_step)
            b2 -= np.add.reduce(p, axis=1, keepdims=True)
            W1 -= np.matmul(x.T, g, out=W1_step)
            b1 -= ones @ g
        return losses / len(images)

    return run


def tinygrad_sm(folder: str, steps: int) -> Callable[[], float]:
    """Take the framework's own loader, model, loss and optimizer."""
    from tinygrad_sm import keep_freed_memory, nn
    from tinygrad_sm.datasets import DataLoader

    keep_freed_memory()
    images, labels = examples(folder, steps)

    def run() -> float:
        model = nn.Sequential(nn.Linear(D, H), nn.ReLU(), nn.Linear(H, C))
        model.load_state_dict(dict(zip(model.state_dict(), first_parameters(), strict=True)))
        optimizer = nn.optim.SGD(model.parameters(), lr=LR)
        loader = DataLoader((images, labels), BATCH, shuffle=True, seed=SEED)
        return train(training_step(model, nn.CrossEntropyLoss(), optimizer), loader) / len(images)

    return run


def compiled(folder: str, steps: int) -> Callable[[], float]:
    """Let the framework's step run as a program, which is recorded before; one model and one step serve all runs."""
    import tinygrad_sm as tg
    from tinygrad_sm import nn
    from tinygrad_sm.datasets import DataLoader

    tg.keep_freed_memory()
    images, labels = examples(folder, steps)
    model = nn.Sequential(nn.Linear(D, H), nn.ReLU(), nn.Linear(H, C))
    optimizer = nn.optim.SGD(model.parameters(), lr=LR)
    step = tg.compiled(training_step(model, nn.CrossEntropyLoss(), optimizer))
    for _ in range(3):
        step(images[:BATCH], labels[:BATCH])

    def run() -> float:
        model.load_state_dict(dict(zip(model.state_dict(), first_parameters(), strict=True)))
        return train(step, DataLoader((images, labels), BATCH, shuffle=True, seed=SEED)) / len(images)

    return run


def pytorch(folder: str, steps: int) -> Callable[[], float]:
    """Take PyTorch's, eager."""
    import torch
    from torch import nn

    images, labels = map(torch.from_numpy, examples(folder, steps))

    def run() -> float:
        model = nn.Sequential(nn.Linear(D, H), nn.ReLU(), nn.Linear(H, C))
        model.load_state_dict(dict(zip(model.state_dict(), map(torch.from_numpy, first_parameters()), strict=True)))
        optimizer = torch.optim.SGD(model.parameters(), lr=LR)
        loader = torch_batches(images, labels, BATCH)
        return train(training_step(model, nn.CrossEntropyLoss(), optimizer), loader) / len(images)

    return run


def jax_jit(folder: str, steps: int) -> Callable[[], float]:
    """Compile the whole step with JAX; the losses stay where they are until the end."""
    import jax

    images, labels = examples(folder, steps)

    def loss_of(parameters: Any, x: Any, y: Any) -> Any:
        W1, b1, W2, b2 = parameters
        h = jax.nn.relu(x @ W1.T + b1)
        log_p = jax.nn.log_softmax(h @ W2.T + b2)
        return -(log_p * jax.nn.one_hot(y, C)).sum() / len(y)

    @jax.jit
    def step(parameters: Any, x: Any, y: Any) -> Any:
        loss, gradients = jax.value_and_grad(loss_of)(parameters, x, y)
        return jax.tree.map(lambda theta, g: theta - LR * g, parameters, gradients), loss

    def run() -> float:
        parameters, losses = first_parameters(), []
        for x, y in batches(images, labels, BATCH):
            parameters, loss = step(parameters, x, y)
            losses.append(loss)
        return sum(map(float, losses)) / len(losses)

    return run


def mygrad(folder: str, steps: int) -> Callable[[], float]:
    """Take MyGrad's Tensors, its relu and its fused loss, without the guarding of memory."""
    import mygrad as mg
    from mygrad.nnet.activations import relu
    from mygrad.nnet.losses import softmax_crossentropy

    mg.turn_memory_guarding_off()
    images, labels = examples(folder, steps)

    def run() -> float:
        parameters = W1, b1, W2, b2 = [mg.tensor(theta.T.copy()) for theta in first_parameters()]
        losses = 0.0
        for x, y in batches(images, labels, BATCH):
            loss = softmax_crossentropy(relu(x @ W1 + b1) @ W2 + b2, y)
            loss.backward()
            for parameter in parameters:
                parameter.data -= LR * parameter.grad
            losses += loss.item() * len(y)
        return losses / len(images)

    return run


def hips_autograd(folder: str, steps: int) -> Callable[[], float]:
    """Let HIPS autograd differentiate the loss, written in its NumPy with one-hot targets, as in its examples."""
    import autograd.numpy as anp
    from autograd import value_and_grad
    from autograd.scipy.special import logsumexp

    images, labels = examples(folder, steps)
    one_hot = np.eye(C, dtype=np.float32)[labels]

    def loss_of(parameters: Any, x: Any, target: Any) -> Any:
        W1, b1, W2, b2 = parameters
        z = anp.dot(anp.maximum(anp.dot(x, W1) + b1, 0), W2) + b2
        return -anp.sum((z - logsumexp(z, axis=1, keepdims=True)) * target) / len(x)

    def run() -> float:
        parameters = [theta.T.copy() for theta in first_parameters()]
        losses = 0.0
        for x, target in batches(images, one_hot, BATCH):
            loss, gradients = value_and_grad(loss_of)(parameters, x, target)
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter -= LR * gradient
            losses += float(loss) * len(x)
        return losses / len(images)

    return run


ALTERNATIVES = {
    "plain NumPy": plain_numpy,
    "best NumPy": best_numpy,
    "tinygrad_sm": tinygrad_sm,
    "tinygrad_sm, compiled": compiled,
    "PyTorch": pytorch,
    "JAX jit": jax_jit,
    "MyGrad": mygrad,
    "HIPS autograd": hips_autograd,
}


def benchmark(threads: list[int], rounds: int) -> None:
    """Compare the time of the steps, for each number of BLAS threads."""
    alternatives = installed(ALTERNATIVES)
    with data_files() as folder:
        for n in threads:
            times = time_rounds(alternatives, n, rounds, tolerance=1e-4, folder=folder, steps=STEPS)
            ratios = report(f"{STEPS} steps of an MLP, BLAS threads: {n}", "ms", times, "plain NumPy")
            verdict(f"tinygrad_sm at most {LIMIT} × plain NumPy", LIMIT, ratios["tinygrad_sm"])
            ratio = median_ratio(times, "tinygrad_sm, compiled", "best NumPy")
            verdict(f"compiled at most {COMPILED_LIMIT} × best NumPy", COMPILED_LIMIT, ratio)
            verdict("tinygrad_sm ahead of PyTorch", 1, median_ratio(times, "tinygrad_sm", "PyTorch"))
