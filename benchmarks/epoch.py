"""One epoch of the flagship, softmax regression 784 → 10 on MNIST by SGD, as each library's own users would write it.

All begin with the same parameters, see the same batches in the same order, and return the mean loss of the epoch. The
libraries are imported where they are used: a process that holds one of them shall not load, nor pay for, the others.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.random import default_rng

from benchmarks.data import SEED, batches, data_files, load, torch_batches, train, training_step
from benchmarks.harness import installed, median_ratio, report, time_rounds, verdict

LR = 0.1
LIMITS = {128: 1.10, 1024: 1.00}  # by batch size, × plain NumPy
COMPILED_LIMITS = {32: 1.10, 128: 1.05, 1024: 1.05}  # by batch size, × the quickest NumPy
RIVALS = ("JAX jit", "PyTorch", "MyGrad")


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


def best_numpy(folder: str, batch_size: int) -> Callable[[], float]:
    """Write the loop by hand as quick as it can be made: class-major, in buffers that all steps share.

    The products give the logits with a row per class: to reduce over the classes is then to add long rows. The weight
    is (10, 784), each of its rows and of the data's in one piece, and the learning rate scales the small (10, N).
    """
    images, labels, first_weight, first_bias = load(folder)
    images = images.reshape(-1, 784)
    C, D = first_weight.shape

    def run() -> float:
        weight, bias = first_weight.copy(order="C"), first_bias[:, None].copy()
        step, step_of_bias = np.empty_like(weight), np.empty_like(bias)
        order = default_rng([SEED, 0]).permutation(len(images))
        losses, size = 0.0, 0
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            if len(rows) != size:  # at first, and for the last batch if it is smaller
                N = size = len(rows)
                x, y = np.empty((N, D), images.dtype), np.empty(N, labels.dtype)
                z, row, columns = np.empty((C, N), images.dtype), np.empty((1, N), images.dtype), np.arange(N)
            images.take(rows, axis=0, out=x, mode="clip")  # any other mode would go through a copy
            labels.take(rows, out=y, mode="clip")

            np.matmul(weight, x.T, out=z)
            z += bias
            z -= np.maximum.reduce(z, axis=0, keepdims=True, out=row)
            y *= N
            y += columns  # the places of the labels in z as one row
            z_of_label = z.take(y)
            p = np.exp(z, out=z)
            np.add.reduce(p, axis=0, keepdims=True, out=row)
            p *= np.divide(LR / N, row)
            losses += float(np.add.reduce(np.log(row, out=row), axis=1)[0] - np.add.reduce(z_of_label))

            p.reshape(-1)[y] -= LR / N
            weight -= np.matmul(p, x, out=step)
            bias -= np.add.reduce(p, axis=1, keepdims=True, out=step_of_bias)
        return losses / len(images)

    return run


def tinygrad_sm(folder: str, batch_size: int, in_bytes: bool = False) -> Callable[[], float]:
    """Take the framework's own loader, model, loss and optimizer.

    In bytes, the images are kept as uint8 and scaled batch by batch, as `examples/mnist_softmax.py` does.
    """
    from tinygrad_sm import keep_freed_memory, nn
    from tinygrad_sm.datasets import DataLoader, scaled_mnist

    keep_freed_memory()
    images, labels, weight, bias = load(folder, "pixels" if in_bytes else "images")
    transform = scaled_mnist if in_bytes else None

    def run() -> float:
        model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
        model.load_state_dict({"1.weight": weight, "1.bias": bias})
        optimizer = nn.optim.SGD(model.parameters(), lr=LR)
        loader = DataLoader((images, labels), batch_size, shuffle=True, seed=SEED, transform=transform)
        return train(training_step(model, nn.CrossEntropyLoss(), optimizer), loader) / len(images)

    return run


def compiled(folder: str, batch_size: int, as_text: bool = False) -> Callable[[], float]:
    """Let the framework's step run as a program, or as the text of that program; neither is timed while it is recorded.

    One model and one step serve all runs, as they serve all epochs of a training.
    """
    import tinygrad_sm as tg
    from tinygrad_sm import nn
    from tinygrad_sm.datasets import DataLoader

    tg.keep_freed_memory()
    images, labels, weight, bias = load(folder)
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    optimizer = nn.optim.SGD(model.parameters(), lr=LR)
    step = tg.compiled(training_step(model, nn.CrossEntropyLoss(), optimizer))
    texts = {}
    for size in {batch_size, len(images) % batch_size} - {0}:
        for _ in range(3):
            step(images[:size], labels[:size])
        texts[size] = compile(str(step.program), "program", "exec"), step.program.given()

    def step_by_text(x: Any, y: Any) -> Any:
        code, given = texts[len(y)]
        given["x"], given["y"] = x, y
        exec(code, given)
        return given["loss"]

    def run() -> float:
        model.load_state_dict({"1.weight": weight, "1.bias": bias})
        loader = DataLoader((images, labels), batch_size, shuffle=True, seed=SEED)
        return train(step_by_text if as_text else step, loader) / len(images)

    return run


def pytorch(folder: str, batch_size: int) -> Callable[[], float]:
    """Take PyTorch's, eager."""
    import torch

    images, labels, weight, bias = map(torch.from_numpy, load(folder))

    def run() -> float:
        model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10))
        model.load_state_dict({"1.weight": weight, "1.bias": bias})
        optimizer = torch.optim.SGD(model.parameters(), lr=LR)
        loader = torch_batches(images, labels, batch_size)
        return train(training_step(model, torch.nn.CrossEntropyLoss(), optimizer), loader) / len(images)

    return run


def jax_jit(folder: str, batch_size: int) -> Callable[[], float]:
    """Compile the whole step with JAX; the losses stay where they are until the end, so that nothing waits for them."""
    import jax

    images, labels, first_weight, first_bias = load(folder)
    images = images.reshape(-1, 784)

    def loss_of(parameters: Any, x: Any, y: Any) -> Any:
        weight, bias = parameters
        log_p = jax.nn.log_softmax(x @ weight.T + bias)
        return -(log_p * jax.nn.one_hot(y, 10)).sum() / len(y)

    @jax.jit
    def step(parameters: Any, x: Any, y: Any) -> Any:
        loss, gradients = jax.value_and_grad(loss_of)(parameters, x, y)
        return jax.tree.map(lambda theta, g: theta - LR * g, parameters, gradients), loss

    def run() -> float:
        parameters, losses = (first_weight, first_bias), []
        for x, y in batches(images, labels, batch_size):
            parameters, loss = step(parameters, x, y)
            losses.append((loss, len(y)))
        return sum(float(loss) * N for loss, N in losses) / len(images)

    return run


def mygrad(folder: str, batch_size: int) -> Callable[[], float]:
    """Take MyGrad's Tensors and its fused loss, without the guarding of memory, as its performance tips say."""
    import mygrad as mg
    from mygrad.nnet.losses import softmax_crossentropy

    mg.turn_memory_guarding_off()
    images, labels, first_weight, first_bias = load(folder)
    images = images.reshape(-1, 784)

    def run() -> float:
        weight, bias = mg.tensor(first_weight.T.copy()), mg.tensor(first_bias.copy())
        losses = 0.0
        for x, y in batches(images, labels, batch_size):
            loss = softmax_crossentropy(x @ weight + bias, y)
            loss.backward()
            for parameter in (weight, bias):
                parameter.data -= LR * parameter.grad
            losses += loss.item() * len(y)
        return losses / len(images)

    return run


def hips_autograd(folder: str, batch_size: int) -> Callable[[], float]:
    """Let HIPS autograd differentiate the loss, written in its NumPy with one-hot targets, as in its examples."""
    import autograd.numpy as anp
    from autograd import value_and_grad
    from autograd.scipy.special import logsumexp

    images, labels, first_weight, first_bias = load(folder)
    images, one_hot = images.reshape(-1, 784), np.eye(10, dtype=np.float32)[labels]

    def loss_of(parameters: Any, x: Any, target: Any) -> Any:
        weight, bias = parameters
        z = anp.dot(x, weight) + bias
        return -anp.sum((z - logsumexp(z, axis=1, keepdims=True)) * target) / len(x)

    def run() -> float:
        weight, bias = first_weight.T.copy(), first_bias.copy()
        losses = 0.0
        for x, target in batches(images, one_hot, batch_size):
            loss, gradients = value_and_grad(loss_of)((weight, bias), x, target)
            for parameter, gradient in zip((weight, bias), gradients, strict=True):
                parameter -= LR * gradient
            losses += float(loss) * len(x)
        return losses / len(images)

    return run


ALTERNATIVES = {
    "plain NumPy": plain_numpy,
    "best NumPy": best_numpy,
    "tinygrad_sm": tinygrad_sm,
    "tinygrad_sm, uint8 images": partial(tinygrad_sm, in_bytes=True),
    "tinygrad_sm, compiled": compiled,
    "the program's text": partial(compiled, as_text=True),
    "PyTorch": pytorch,
    "JAX jit": jax_jit,
    "MyGrad": mygrad,
    "HIPS autograd": hips_autograd,
}


def benchmark(threads: list[int], rounds: int) -> None:
    """Compare the time of an epoch, for each number of BLAS threads and each size of batches."""
    alternatives = installed(ALTERNATIVES)
    with data_files() as folder:
        for n in threads:
            for batch_size in (32, 128, 1024):
                times = time_rounds(alternatives, n, rounds, tolerance=1e-4, folder=folder, batch_size=batch_size)
                ratios = report(f"epoch, batch {batch_size}, BLAS threads: {n}", "ms", times, "plain NumPy")
                measure = "best NumPy", "the program's text"
                quickest = min(ratios[name] for name in measure)
                ratio = ratios["tinygrad_sm, compiled"] / quickest
                limit = COMPILED_LIMITS[batch_size]
                verdict(f"compiled at most {limit:.2f} × the quicker of {' and '.join(measure)}", limit, ratio)
                rival = median_ratio(times, "tinygrad_sm, compiled", "JAX jit")
                verdict("compiled ahead of JAX jit", 1, rival)
                if limit := LIMITS.get(batch_size):
                    for ours in ("tinygrad_sm", "tinygrad_sm, uint8 images"):
                        verdict(f"{ours} at most {limit:.2f} × plain NumPy", limit, ratios[ours])
                    for rival in RIVALS:
                        verdict(f"tinygrad_sm ahead of {rival}", 1, median_ratio(times, "tinygrad_sm", rival))
