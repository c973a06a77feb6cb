"""Chains of operations, built, walked back and dropped: whether a node costs the same among ten thousand and a million.

Each run makes a million nodes on 10 numbers: in a hundred chains, in ten, or in one. So the milliseconds of a run are
the nanoseconds of a node. What can grow with the length is the work of Python's collector of cycles, which looks
through all that is alive each time that a quarter has been added, and of the processor's caches.
"""

import tracemalloc
from collections.abc import Callable
from functools import partial
from typing import Any

from benchmarks.harness import Worker, report, time_rounds, verdict

NODES = 1_000_000
SHORT, MIDDLE, LONG = 10_000, 100_000, 1_000_000
ROUNDS = 5
LIMIT, FLAT = 2, 1.25
BYTES = 800


def chains(length: int) -> Callable[[], float]:
    """Make as many chains of the length as give all nodes, one after the other."""
    import tinygrad_sm as tg

    tg.keep_freed_memory()

    def run() -> float:
        x = tg.ones(10, requires_grad=True)
        for _ in range(NODES // length):
            x.grad = None
            h = chain(x, length - 1)
            h.sum().backward()
            del h
        return float(x.grad.sum())

    return run


def chain(x: Any, steps: int) -> Any:
    """Return the end of a chain."""
    h = x
    for _ in range(steps):
        h = h * 1.0
    return h


def node_bytes(length: int = MIDDLE) -> Callable[[], float]:
    """Measure what a node adds to memory beside its array: the Tensor, the node and what they hold."""
    import tinygrad_sm as tg

    def grown(make: Callable[[], Any]) -> tuple[float, Any]:
        before, _ = tracemalloc.get_traced_memory()
        made = make()
        after, _ = tracemalloc.get_traced_memory()
        return (after - before) / length, made

    def run() -> float:
        x = tg.ones(10, requires_grad=True)
        held: list[Any] = [None] * length

        def arrays() -> None:
            for i in range(length):
                held[i] = x.data * 1.0

        tracemalloc.start()
        whole, _ = grown(lambda: chain(x, length))
        array, _ = grown(arrays)
        tracemalloc.stop()
        return whole - array

    return run


def benchmark(threads: list[int], rounds: int) -> None:
    """Compare the lengths, and measure the memory."""
    lengths = {f"{n:,} nodes": partial(chains, n) for n in (SHORT, MIDDLE, LONG)}
    times = time_rounds(lengths, 1, min(rounds, ROUNDS), tolerance=1e-6)
    short, middle, long = times
    ratios = report("a node of a chain of", "ns", times, short)
    verdict(f"at {long} at most {LIMIT} × that at {short}", LIMIT, ratios[long])
    verdict(f"at {long} at most {FLAT} × that at {middle}", FLAT, ratios[long] / ratios[middle])
    with Worker(node_bytes, 1) as worker:
        verdict(f"at most {BYTES} bytes a node beside its array", BYTES, worker.run().value)
