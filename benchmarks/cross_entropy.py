"""The cross-entropy of many logits, (4096, 10000), forward and backward: time, and what it adds to memory at its peak.

Logits like these are the largest array of a language model's step. They take 156 MiB, so each pass over them that is
not needed, and each array of their size, shows. The value of a run depends on the loss and on the gradient.
"""

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.random import default_rng

from benchmarks.harness import Worker, check_agreement, installed, median_ratio, report, say, time_rounds, verdict

N, C = 4096, 10_000
ROUNDS, MEMORY_ROUNDS = 7, 3
LIMIT = 0.5  # × PyTorch
BUFFERS = 1  # of the logits' size, beside them
SPARE = 4  # MiB for all that is small


def logits_and_labels(N: int, C: int) -> tuple[np.ndarray, np.ndarray]:
    """Return what all get; no array of the logits' size is made on the way, which would count as a peak."""
    random = default_rng(0)
    return random.standard_normal((N, C), dtype=np.float32), random.integers(0, C, N)


def value(loss: float, gradient: np.ndarray) -> float:
    """Return a number that depends on the loss and on some rows of the gradient."""
    rows = gradient[:: max(len(gradient) // 16, 1)] * len(gradient)
    return float(loss) + float((rows * rows).mean(axis=0).sum())


def plain_numpy(N: int, C: int) -> Callable[[], float]:
    """Write it by the textbook, in place on the first copy."""
    logits, labels = logits_and_labels(N, C)

    def run() -> float:
        z = logits - logits.max(axis=1, keepdims=True)
        z_of_label = z[np.arange(N), labels]
        p = np.exp(z, out=z)
        sums = p.sum(axis=1, keepdims=True)
        p /= sums
        loss = (np.log(sums[:, 0]) - z_of_label).mean()
        p[np.arange(N), labels] -= 1
        p /= N
        return value(loss, p)

    return run


def best_numpy(N: int, C: int) -> Callable[[], float]:
    """Do all of it to a few rows while they are in the cache, and then to the next."""
    logits, labels = logits_and_labels(N, C)
    gradient = np.empty_like(logits)
    rows = max(2**17 // C, 1)  # 512 KiB of float32

    def run() -> float:
        loss = 0.0
        for start in range(0, N, rows):
            z, y, p = (array[start : start + rows] for array in (logits, labels, gradient))
            places = np.arange(len(z)), y
            maxima = z.max(axis=1, keepdims=True)
            np.subtract(z, maxima, out=p)
            loss -= p[places].sum(dtype=float)
            np.exp(p, out=p)
            sums = p.sum(axis=1, keepdims=True)
            loss += np.log(sums).sum(dtype=float)
            p *= 1 / (N * sums)
            p[places] -= 1 / N
        return value(loss / N, gradient)

    return run


def tinygrad_sm(N: int, C: int) -> Callable[[], float]:
    """Take the framework's function."""
    import tinygrad_sm as tg
    from tinygrad_sm.nn.functional import cross_entropy

    tg.keep_freed_memory()
    data, labels = logits_and_labels(N, C)
    logits = tg.Tensor(data, requires_grad=True)

    def run() -> float:
        logits.grad = None
        loss = cross_entropy(logits, labels)
        loss.backward()
        return value(loss.item(), logits.grad)

    return run


def pytorch(N: int, C: int) -> Callable[[], float]:
    """Take PyTorch's, eager."""
    import torch

    data, labels = map(torch.from_numpy, logits_and_labels(N, C))
    logits = data.requires_grad_()

    def run() -> float:
        logits.grad = None
        loss = torch.nn.functional.cross_entropy(logits, labels)
        loss.backward()
        return value(loss.item(), logits.grad.numpy())

    return run


def jax_jit(N: int, C: int) -> Callable[[], float]:
    """Compile loss and gradient together with JAX."""
    import jax
    import jax.numpy as jnp

    logits, labels = map(jnp.asarray, logits_and_labels(N, C))

    @jax.jit
    @jax.value_and_grad
    def loss_and_gradient(logits: Any, labels: Any) -> Any:
        log_p = jax.nn.log_softmax(logits)
        return -jnp.take_along_axis(log_p, labels[:, None], axis=1).mean()

    def run() -> float:
        loss, gradient = loss_and_gradient(logits, labels)
        return value(float(loss), np.asarray(gradient))

    return run


def mygrad(N: int, C: int) -> Callable[[], float]:
    """Take MyGrad's fused loss, without the guarding of memory."""
    import mygrad as mg
    from mygrad.nnet.losses import softmax_crossentropy

    mg.turn_memory_guarding_off()
    data, labels = logits_and_labels(N, C)
    logits = mg.tensor(data, copy=False)

    def run() -> float:
        loss = softmax_crossentropy(logits, labels)
        loss.backward()
        return value(loss.item(), logits.grad)

    return run


def hips_autograd(N: int, C: int) -> Callable[[], float]:
    """Let HIPS autograd differentiate the loss."""
    import autograd.numpy as anp
    from autograd import value_and_grad
    from autograd.scipy.special import logsumexp

    logits, labels = logits_and_labels(N, C)

    def loss_of(logits: Any) -> Any:
        z_of_label = logits[anp.arange(N), labels]
        return anp.mean(logsumexp(logits, axis=1) - z_of_label)

    def run() -> float:
        loss, gradient = value_and_grad(loss_of)(logits)
        return value(loss, gradient)

    return run


ALTERNATIVES = {
    "plain NumPy": plain_numpy,
    "best NumPy": best_numpy,
    "tinygrad_sm": tinygrad_sm,
    "PyTorch": pytorch,
    "JAX jit": jax_jit,
    "MyGrad": mygrad,
    "HIPS autograd": hips_autograd,
}


def benchmark(threads: list[int], rounds: int) -> None:
    """Compare the times for each number of threads, and what fresh processes add to their memory on one thread."""
    alternatives = installed(ALTERNATIVES)
    for n in threads:
        times = time_rounds(alternatives, n, min(rounds, ROUNDS), tolerance=1e-4, N=N, C=C)
        report(f"cross-entropy of ({N}, {C}) logits, forward and backward, threads: {n}", "ms", times, "plain NumPy")
        verdict(f"tinygrad_sm at most {LIMIT} × PyTorch", LIMIT, median_ratio(times, "tinygrad_sm", "PyTorch"))

    rises: dict[str, list[float]] = {name: [] for name in alternatives}
    for _ in range(min(rounds, MEMORY_ROUNDS)):
        replies = {}
        for name, alternative in alternatives.items():
            with Worker(alternative, 1, N=N, C=C) as worker:
                replies[name] = worker.run()
            before, after = worker.ready.peak, replies[name].peak
            if before is None or after is None:
                say("\ncross_entropy: this system does not tell the peak memory of a process: left out")
                return
            rises[name].append(after - before)
        check_agreement(replies, tolerance=1e-4)
    size = N * C * 4 / 2**20
    report(f"memory added to logits of {size:.0f} MiB", "MiB", rises, "plain NumPy", operator.sub)
    limit = BUFFERS * size + SPARE
    verdict(f"at most one buffer of their size, and {SPARE} MiB: {limit:.0f} MiB", limit, max(rises["tinygrad_sm"]))
