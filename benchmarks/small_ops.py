"""Long chains of operations on 10 numbers, forward and backward: what a library costs beside the computing.

The factor and the summand are Python scalars, or arrays of 10 numbers of which no gradient is asked.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.harness import installed, report, time_rounds, verdict

STEPS = 10_000
FACTOR, SUMMAND = 1.0001, 0.5
LIMITS = {"scalars": 0.6, "arrays": 0.85}  # × PyTorch
COMPILED_LIMITS = {"scalars": 0.10, "arrays": 0.15}  # × PyTorch


def given(kind: str) -> tuple[Any, Any]:
    """Return factor and summand: two floats, or two arrays."""
    if kind == "scalars":
        return FACTOR, SUMMAND
    return np.full(10, FACTOR, np.float32), np.full(10, SUMMAND, np.float32)


def plain_numpy(kind: str, steps: int) -> Callable[[], float]:
    """Compute the chain, and by hand what its rules come to."""
    factor, summand = given(kind)

    def run() -> float:
        h = np.ones(10, np.float32)
        for _ in range(steps):
            h = h * factor + summand
        g = np.ones(10, np.float32)
        for _ in range(steps):
            g = g * factor
        return float(h[0] + g.sum())

    return run


def tinygrad_sm(kind: str, steps: int) -> Callable[[], float]:
    """Take the framework's Tensors."""
    import tinygrad_sm as tg

    tg.keep_freed_memory()
    factor, summand = given(kind)
    return lambda: chain(tg.ones(10, requires_grad=True), factor, summand, steps)


def compiled(kind: str, steps: int) -> Callable[[], float]:
    """Let the same chain run as a program, which is recorded before."""
    import tinygrad_sm as tg

    tg.keep_freed_memory()
    factor, summand = given(kind)
    x = tg.ones(10, requires_grad=True)

    @tg.compiled
    def step() -> Any:
        x.grad = None
        h = x
        for _ in range(steps):
            h = h * factor + summand
        h.sum().backward()
        return h

    for _ in range(3):
        step()

    def run() -> float:
        h = step()
        return float(x.grad.sum()) + h[0].item()

    return run


def pytorch(kind: str, steps: int) -> Callable[[], float]:
    """Take PyTorch's."""
    import torch

    factor, summand = given(kind)
    if kind == "arrays":
        factor, summand = torch.from_numpy(factor), torch.from_numpy(summand)
    return lambda: chain(torch.ones(10, requires_grad=True), factor, summand, steps)


def mygrad(kind: str, steps: int) -> Callable[[], float]:
    """Take MyGrad's, without the guarding of memory."""
    import mygrad as mg

    mg.turn_memory_guarding_off()
    factor, summand = given(kind)
    return lambda: chain(mg.ones(10, dtype=np.float32), factor, summand, steps)


def hips_autograd(kind: str, steps: int) -> Callable[[], float]:
    """Let HIPS autograd differentiate the function."""
    from autograd import grad

    factor, summand = given(kind)
    last = 0.0

    def end_of(x: Any) -> Any:
        nonlocal last
        h = x
        for _ in range(steps):
            h = h * factor + summand
        last = h._value[0]
        return h.sum()

    return lambda: float(grad(end_of)(np.ones(10, np.float32)).sum()) + float(last)


def jax_jit(kind: str, steps: int) -> Callable[[], float]:
    """Compile the chain as one loop, which JAX offers instead of a Python loop: nothing runs between the ops."""
    import jax
    import jax.numpy as jnp

    factor, summand = given(kind)

    def end_of(x: Any) -> Any:
        h, _ = jax.lax.scan(lambda h, _: (h * factor + summand, None), x, length=steps)
        return h.sum(), h[0]

    gradient = jax.jit(jax.grad(end_of, has_aux=True))

    def run() -> float:
        g, last = gradient(jnp.ones(10))
        return float(g.sum() + last)

    return run


def chain(x: Any, factor: Any, summand: Any, steps: int) -> float:
    """Go forward and back; three libraries write it with the same operators."""
    h = x
    for _ in range(steps):
        h = h * factor + summand
    h.sum().backward()
    return float(x.grad.sum()) + h[0].item()


ALTERNATIVES = {
    "plain NumPy": plain_numpy,
    "tinygrad_sm": tinygrad_sm,
    "tinygrad_sm, compiled": compiled,
    "PyTorch": pytorch,
    "JAX jit": jax_jit,
    "MyGrad": mygrad,
    "HIPS autograd": hips_autograd,
}


def benchmark(threads: list[int], rounds: int) -> None:
    """Compare the time of the chains, on one thread: more have nothing to do on 10 numbers."""
    alternatives = installed(ALTERNATIVES)
    for kind, limit in LIMITS.items():
        times = time_rounds(alternatives, 1, rounds, tolerance=1e-3, kind=kind, steps=STEPS)
        ratios = report(f"{STEPS:,} times h * a + b, of {kind}, and backward", "ms", times, "PyTorch")
        verdict(f"with {kind}, tinygrad_sm at most {limit} × PyTorch", limit, ratios.get("tinygrad_sm"))
        limit, ratio = COMPILED_LIMITS[kind], ratios.get("tinygrad_sm, compiled")
        verdict(f"with {kind}, compiled at most {limit} × PyTorch", limit, ratio)
