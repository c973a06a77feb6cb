"""An embedding of 50,000 rows of 64 numbers, 4,096 of them looked up, forward and backward, the gradient dense.

The table takes 12 MiB and what is looked up 1 MiB. So most of the time goes into zeros for the gradient, and into
adding rows at places that may repeat. The value of a run depends on the rows and on the gradient.
"""

from collections.abc import Callable

import numpy as np
from numpy.random import default_rng

from benchmarks.harness import installed, median_ratio, report, time_rounds, verdict

N, D = 50_000, 64
SHAPE = (16, 256)  # of the indices
TIMES = 10  # in one run
LIMIT = 1.2  # × PyTorch


def table_and_indices(N: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return what all get: the table, the indices, and the gradient of the rows."""
    random = default_rng(0)
    g = random.standard_normal((*SHAPE, D), dtype=np.float32)
    return random.standard_normal((N, D), dtype=np.float32), random.integers(0, N, SHAPE), g


def value(rows: np.ndarray, gradient: np.ndarray) -> float:
    """Return a number that depends on what was looked up and on the gradient."""
    return float(rows[0, 0] @ rows[-1, -1]) + float((gradient[::97] ** 2).sum())


def plain_numpy(N: int, times: int) -> Callable[[], float]:
    """Write it by the textbook."""
    table, indices, g = table_and_indices(N)

    def run() -> float:
        for _ in range(times):
            rows = table[indices]
            gradient = np.zeros_like(table)
            np.add.at(gradient, indices, g)
        return value(rows, gradient)

    return run


def tinygrad_sm(N: int, times: int) -> Callable[[], float]:
    """Take the framework's layer."""
    import tinygrad_sm as tg
    from tinygrad_sm import nn

    tg.keep_freed_memory()
    table, indices, g = table_and_indices(N)
    layer = nn.Embedding.from_pretrained(table, freeze=False)

    def run() -> float:
        for _ in range(times):
            layer.zero_grad()
            rows = layer(indices)
            rows.backward(g)
        return value(rows.data, layer.weight.grad)

    return run


def pytorch(N: int, times: int) -> Callable[[], float]:
    """Take PyTorch's, eager."""
    import torch

    table, indices, g = map(torch.from_numpy, table_and_indices(N))
    layer = torch.nn.Embedding.from_pretrained(table, freeze=False)

    def run() -> float:
        for _ in range(times):
            layer.zero_grad()
            rows = layer(indices)
            rows.backward(g)
        return value(rows.detach().numpy(), layer.weight.grad.numpy())

    return run


ALTERNATIVES = {"plain NumPy": plain_numpy, "tinygrad_sm": tinygrad_sm, "PyTorch": pytorch}


def benchmark(threads: list[int], rounds: int) -> None:
    """Compare the time of forward and backward, for each number of threads."""
    alternatives = installed(ALTERNATIVES)
    for n in threads:
        times = time_rounds(alternatives, n, rounds, tolerance=1e-4, N=N, times=TIMES)
        report(f"{TIMES} × an embedding ({N}, {D}) of {SHAPE} indices, threads: {n}", "ms", times, "plain NumPy")
        verdict(f"tinygrad_sm at most {LIMIT} × PyTorch", LIMIT, median_ratio(times, "tinygrad_sm", "PyTorch"))
