"""30 steps of LeNet-5 on MNIST by SGD, batch 64, with the mean or the largest element of each window in its pooling.

All begin with the same parameters and see the same batches; a run returns the mean loss of the steps.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.random import default_rng

from benchmarks.data import SEED, data_files, load, torch_batches, train, training_step
from benchmarks.harness import installed, median_ratio, report, time_rounds, verdict

BATCH, STEPS = 64, 30
LR = 0.05
LIMIT = 1.5  # × PyTorch
LAYERS = {"0": (6, 1, 5, 5), "3": (16, 6, 5, 5), "7": (120, 400), "9": (84, 120), "11": (10, 84)}
"""The shapes of the weights, by the number of the layer in the Sequential."""


def layers(nn: Any, pooling: str) -> list[Any]:
    """Return the layers, by the same names in both libraries."""
    pool, act = getattr(nn, f"{pooling}Pool2d"), nn.Tanh if pooling == "Avg" else nn.ReLU
    return [
        *(nn.Conv2d(1, 6, 5, padding=2), act(), pool(2)),
        *(nn.Conv2d(6, 16, 5), act(), pool(2), nn.Flatten()),
        *(nn.Linear(400, 120), act(), nn.Linear(120, 84), act(), nn.Linear(84, 10)),
    ]


def first_parameters() -> dict[str, np.ndarray]:
    """Return what all begin with, by the names that both libraries give them."""
    random, parameters = default_rng(SEED), {}
    for name, shape in LAYERS.items():
        bound = 1 / np.sqrt(np.prod(shape[1:]))
        parameters[f"{name}.weight"] = random.uniform(-bound, bound, shape).astype(np.float32)
        parameters[f"{name}.bias"] = random.uniform(-bound, bound, shape[0]).astype(np.float32)
    return parameters


def examples(folder: str, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """Return as many images (N, 1, 28, 28) and labels (N,) as the steps take."""
    images, labels, _, _ = load(folder)
    return images[: steps * BATCH], labels[: steps * BATCH]


def tinygrad_sm(folder: str, steps: int, pooling: str, is_compiled: bool = False) -> Callable[[], float]:
    """Take the framework's own loader, model, loss and optimizer; one model and one step serve all runs."""
    import tinygrad_sm as tg
    from tinygrad_sm import nn
    from tinygrad_sm.datasets import DataLoader

    tg.keep_freed_memory()
    images, labels = examples(folder, steps)
    model = nn.Sequential(*layers(nn, pooling))
    step = training_step(model, nn.CrossEntropyLoss(), nn.optim.SGD(model.parameters(), lr=LR))
    if is_compiled:
        step = tg.compiled(step)
        for _ in range(3):
            step(images[:BATCH], labels[:BATCH])

    def run() -> float:
        model.load_state_dict(first_parameters())
        return train(step, DataLoader((images, labels), BATCH, shuffle=True, seed=SEED)) / len(images)

    return run


def compiled(folder: str, steps: int, pooling: str) -> Callable[[], float]:
    """Let the framework's step run as a program, which is recorded before."""
    return tinygrad_sm(folder, steps, pooling, is_compiled=True)


def pytorch(folder: str, steps: int, pooling: str) -> Callable[[], float]:
    """Take PyTorch's, eager."""
    import torch
    from torch import nn

    images, labels = map(torch.from_numpy, examples(folder, steps))
    model = nn.Sequential(*layers(nn, pooling))
    step = training_step(model, nn.CrossEntropyLoss(), torch.optim.SGD(model.parameters(), lr=LR))

    def run() -> float:
        model.load_state_dict({name: torch.from_numpy(array) for name, array in first_parameters().items()})
        return train(step, torch_batches(images, labels, BATCH)) / len(images)

    return run


ALTERNATIVES = {"tinygrad_sm": tinygrad_sm, "tinygrad_sm, compiled": compiled, "PyTorch": pytorch}


def benchmark(threads: list[int], rounds: int) -> None:
    """Compare the time of the steps, for each number of BLAS threads and each pooling."""
    alternatives = installed(ALTERNATIVES)
    with data_files() as folder:
        for n in threads:
            for pooling in ("Avg", "Max"):
                setting = {"folder": folder, "steps": STEPS, "pooling": pooling}
                times = time_rounds(alternatives, n, rounds, tolerance=1e-4, **setting)
                title = f"{STEPS} steps of LeNet-5 with {pooling}Pool2d, BLAS threads: {n}"
                report(title, "ms", times, "PyTorch" if "PyTorch" in alternatives else "tinygrad_sm")
                for name in ("tinygrad_sm", "tinygrad_sm, compiled"):
                    verdict(f"{name} at most {LIMIT} × PyTorch", LIMIT, median_ratio(times, name, "PyTorch"))
