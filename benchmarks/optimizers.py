"""A step of SGD and one of Adam over 10 million parameters, beside what the memory needs for its reads and writes.

40 MB an array are more than a core's caches hold, so a step cannot be quicker than its arrays can be read and written:
θ and g read and θ written for SGD; θ, g, m and v read and θ, m and v written for Adam. The floor is as many reads and
writes of arrays of this size, by the simplest of NumPy's operations, on one core, where all of NumPy's run.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.random import default_rng

from benchmarks.harness import installed, report, time_rounds, verdict

SIZE = 10_000_000
LIMIT = 1.1  # × the floor
LR, BETA1, BETA2, EPS = 0.001, 0.9, 0.999, 1e-8
FLOOR = "memory floor"
Run = Callable[[], float]


def parameters_and_gradient(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return θ and the g of the first step."""
    random = default_rng(0)
    return random.standard_normal(size, dtype=np.float32), random.standard_normal(size, dtype=np.float32)


def stepping(theta: np.ndarray, g: np.ndarray, step: Callable[[], Any]) -> Run:
    """Take a first step, change the gradient, and return what takes a step more.

    The first step of Adam is of the same length in every coordinate; only from the second on its formulas show.
    """
    step()
    g *= -0.25

    def run() -> float:
        step()
        return float(np.abs(theta[:: max(len(theta) // 1000, 1)]).sum())

    return run


def plain_sgd(size: int) -> Run:
    """Write the formula."""
    theta, g = parameters_and_gradient(size)

    def step() -> None:
        nonlocal theta
        theta -= LR * g

    return stepping(theta, g, step)


def plain_adam(size: int) -> Run:
    """Write the formulas."""
    theta, g = parameters_and_gradient(size)
    m, v, t = np.zeros_like(theta), np.zeros_like(theta), 0

    def step() -> None:
        nonlocal theta, m, v, t
        t += 1
        m *= BETA1
        m += (1 - BETA1) * g
        v *= BETA2
        v += (1 - BETA2) * g * g
        theta -= LR / (1 - BETA1**t) * m / (np.sqrt(v / (1 - BETA2**t)) + EPS)

    return stepping(theta, g, step)


BLOCK = 2**17
"""So many elements at a time: the arrays that are worked on stay in the caches, and calls cost little beside."""


def best_sgd(size: int) -> Run:
    """Compute block by block, so that the change never leaves the cache."""
    theta, g = parameters_and_gradient(size)
    change = np.empty(BLOCK, theta.dtype)

    def step() -> None:
        for start in range(0, size, BLOCK):
            part = theta[start : start + BLOCK]
            part -= np.multiply(g[start : start + BLOCK], LR, out=change[: len(part)])

    return stepping(theta, g, step)


def best_adam(size: int) -> Run:
    """Compute block by block, with the corrections of m and v made part of the constants."""
    theta, g = parameters_and_gradient(size)
    m, v, t = np.zeros_like(theta), np.zeros_like(theta), 0
    buffer = np.empty(BLOCK, theta.dtype)

    def step() -> None:
        nonlocal t
        t += 1
        root = (1 - BETA2**t) ** 0.5
        rate, eps = LR * root / (1 - BETA1**t), EPS * root
        for start in range(0, size, BLOCK):
            theta_part, g_part, m_part, v_part = (array[start : start + BLOCK] for array in (theta, g, m, v))
            change = buffer[: len(g_part)]
            m_part *= BETA1
            m_part += np.multiply(g_part, 1 - BETA1, out=change)
            np.multiply(g_part, g_part, out=change)
            change *= 1 - BETA2
            v_part *= BETA2
            v_part += change
            np.sqrt(v_part, out=change)
            change += eps
            np.divide(m_part, change, out=change)
            change *= rate
            theta_part -= change

    return stepping(theta, g, step)


def tinygrad_sm(name: str, size: int) -> Run:
    """Take the framework's optimizer."""
    from tinygrad_sm import keep_freed_memory, nn

    keep_freed_memory()
    theta, g = parameters_and_gradient(size)
    parameter = nn.Parameter(theta)
    parameter.grad = g
    return stepping(parameter.data, g, getattr(nn.optim, name)([parameter], lr=LR).step)


def pytorch(name: str, size: int) -> Run:
    """Take PyTorch's; the tensors share the memory of the arrays."""
    import torch

    theta, g = parameters_and_gradient(size)
    parameter = torch.nn.Parameter(torch.from_numpy(theta))
    parameter.grad = torch.from_numpy(g)
    return stepping(theta, g, getattr(torch.optim, name)([parameter], lr=LR).step)


def floor(name: str, size: int) -> Run:
    """Read and write as many arrays as the step does: to add reads two and writes one, to double one and one."""
    theta, g = parameters_and_gradient(size)
    others = [theta.copy(), g.copy()] if name == "Adam" else []

    def run() -> float:
        np.add(theta, g, out=theta)
        for array in others:
            np.add(array, 1, out=array)
        return 0.0

    return run


def jax_jit(name: str, size: int) -> Run:
    """Compile the formulas with JAX, which may write the results where the operands were."""
    import jax
    import jax.numpy as jnp

    theta, g = map(jnp.asarray, parameters_and_gradient(size))
    m, v, t = jnp.zeros_like(theta), jnp.zeros_like(theta), 0

    @partial(jax.jit, donate_argnums=0)
    def sgd(theta: Any, g: Any) -> Any:
        return theta - LR * g

    @partial(jax.jit, donate_argnums=(0, 2, 3))
    def adam(theta: Any, g: Any, m: Any, v: Any, t: Any) -> Any:
        m = BETA1 * m + (1 - BETA1) * g
        v = BETA2 * v + (1 - BETA2) * g * g
        return theta - LR / (1 - BETA1**t) * m / (jnp.sqrt(v / (1 - BETA2**t)) + EPS), m, v

    def run() -> float:
        nonlocal theta, m, v, t
        t += 1
        if name == "SGD":
            theta = sgd(theta, g)
        else:
            theta, m, v = adam(theta, g, m, v, t)
        theta.block_until_ready()
        return float(np.abs(np.asarray(theta)[:: max(size // 1000, 1)]).sum())

    run()
    g *= -0.25
    return run


def alternatives(name: str) -> dict[str, Callable[[int], Run]]:
    """Return those of an optimizer."""
    return {
        "plain NumPy": plain_sgd if name == "SGD" else plain_adam,
        "best NumPy": best_sgd if name == "SGD" else best_adam,
        "tinygrad_sm": partial(tinygrad_sm, name),
        "PyTorch": partial(pytorch, name),
        "JAX jit": partial(jax_jit, name),
    }


def benchmark(threads: list[int], rounds: int) -> None:
    """Compare the time of a step of each, for each number of threads."""
    for name in ("SGD", "Adam"):
        for n in threads:
            beside = {FLOOR: partial(floor, name)}
            times = time_rounds(installed(alternatives(name)), n, rounds, tolerance=1e-4, beside=beside, size=SIZE)
            ratios = report(f"a step of {name} over {SIZE:,} parameters, threads: {n}", "ms", times, FLOOR)
            verdict(f"{name}: tinygrad_sm at most {LIMIT} × the floor", LIMIT, ratios["tinygrad_sm"])
