"""A Hessian-vector product: the second derivative of the flagship's loss along a direction, without the Hessian.

The loss is the cross-entropy of softmax regression on one batch of 128, a function of the weight (10, 784) alone. With
p the softmax of a row of logits and ż = x V its change along V, that of p is p ⊙ (ż − ⟨p, ż⟩), and H V = ṗᵀ x / N.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.random import default_rng

from benchmarks.harness import installed, report, time_rounds

N, D, C = 128, 784, 10
REPEATS = 100
Product = Callable[[np.ndarray], np.ndarray]


def batch() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return data (N, D), labels (N,), the weight (C, D) and the direction, of its shape."""
    random = default_rng(0)
    x, labels = random.random((N, D), dtype=np.float32), random.integers(0, C, N)
    weight, direction = 0.03 * random.standard_normal((2, C, D), dtype=np.float32)
    return x, labels, weight, direction


def repeated(product: Product, direction: np.ndarray, repeats: int) -> Callable[[], float]:
    """Return a run of so many products; its value is the length of H V, weighted by place."""
    weights = np.linspace(1, 2, direction.size).reshape(direction.shape)

    def run() -> float:
        for _ in range(repeats):
            result = product(direction)
        return float(np.sqrt((weights * np.square(result)).sum()))

    return run


def plain_numpy(repeats: int) -> Callable[[], float]:
    """Write the formula."""
    x, labels, weight, direction = batch()

    def product(direction: np.ndarray) -> np.ndarray:
        z = x @ weight.T
        p = np.exp(z - z.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        change = x @ direction.T
        change_of_p = p * (change - (p * change).sum(axis=1, keepdims=True))
        return change_of_p.T @ x / N

    return repeated(product, direction, repeats)


def tinygrad_sm(repeats: int) -> Callable[[], float]:
    """Take the framework's transform: a walk back over a walk back."""
    import tinygrad_sm as tg
    from tinygrad_sm.nn.functional import cross_entropy

    tg.keep_freed_memory()
    x, labels, weight, direction = batch()
    return repeated(lambda v: tg.hvp(lambda w: cross_entropy(x @ w.T, labels), weight, v)[1].data, direction, repeats)


def pytorch(repeats: int) -> Callable[[], float]:
    """Take PyTorch's function of the same form."""
    import torch

    x, labels, weight, direction = map(torch.from_numpy, batch())

    def loss_of(weight: Any) -> Any:
        return torch.nn.functional.cross_entropy(x @ weight.T, labels)

    def product(v: np.ndarray) -> np.ndarray:
        return torch.autograd.functional.hvp(loss_of, weight, torch.from_numpy(v))[1].numpy()

    return repeated(product, direction.numpy(), repeats)


def jax_jit(repeats: int) -> Callable[[], float]:
    """Compile the forward derivative of the gradient, as JAX's cookbook says."""
    import jax
    import jax.numpy as jnp

    x, labels, weight, direction = map(jnp.asarray, batch())

    def loss_of(weight: Any) -> Any:
        log_p = jax.nn.log_softmax(x @ weight.T)
        return -jnp.take_along_axis(log_p, labels[:, None], axis=1).mean()

    product = jax.jit(lambda v: jax.jvp(jax.grad(loss_of), (weight,), (v,))[1])
    return repeated(lambda v: np.asarray(product(v)), np.asarray(direction), repeats)


def hips_autograd(repeats: int) -> Callable[[], float]:
    """Take HIPS autograd's function."""
    import autograd.numpy as anp
    from autograd import hessian_vector_product
    from autograd.scipy.special import logsumexp

    x, labels, weight, direction = batch()

    def loss_of(weight: Any) -> Any:
        z = anp.dot(x, weight.T)
        return anp.mean(logsumexp(z, axis=1) - z[anp.arange(N), labels])

    product = hessian_vector_product(loss_of)
    return repeated(lambda v: product(weight, v), direction, repeats)


ALTERNATIVES = {
    "plain NumPy": plain_numpy,
    "tinygrad_sm": tinygrad_sm,
    "PyTorch": pytorch,
    "JAX jit": jax_jit,
    "HIPS autograd": hips_autograd,
}  # MyGrad has no second derivatives


def benchmark(threads: list[int], rounds: int) -> None:
    """Compare the time of the products, for each number of threads."""
    alternatives = installed(ALTERNATIVES)
    for n in threads:
        times = time_rounds(alternatives, n, rounds, tolerance=1e-3, repeats=REPEATS)
        report(f"{REPEATS} Hessian-vector products, BLAS threads: {n}", "ms", times, "plain NumPy")
