"""A long chain of operations on 10 numbers, forward and backward: what a library costs beside the computing."""

from collections.abc import Callable
from typing import Any

from benchmarks.harness import installed, report, time_rounds, verdict

STEPS = 10_000
LIMIT = 0.8


def tinygrad_sm() -> Callable[[], float]:
    """Take the framework's Tensors."""
    import tinygrad_sm as tg

    return lambda: chain(tg.ones(10, requires_grad=True))


def pytorch() -> Callable[[], float]:
    """Take PyTorch's."""
    import torch

    return lambda: chain(torch.ones(10, requires_grad=True))


def chain(x: Any) -> float:
    """Go forward and back; both libraries write it with the same operators."""
    h = x
    for _ in range(STEPS):
        h = h * 1.0001 + 0.5
    h.sum().backward()
    return float(x.grad.sum())


def benchmark(threads: list[int], rounds: int) -> None:
    """Compare the time of the chain, on one thread: more have nothing to do on 10 numbers."""
    alternatives = installed({"tinygrad_sm": tinygrad_sm, "PyTorch": pytorch})
    times = time_rounds(alternatives, 1, rounds, tolerance=1e-3)
    ratios = report(f"{STEPS:,} times h * 1.0001 + 0.5, and backward", "ms", times, "PyTorch")
    verdict(f"tinygrad_sm at most {LIMIT} × PyTorch", LIMIT, ratios.get("tinygrad_sm"))
