"""Two processes, with one BLAS thread each, against one process: what a step takes, and what its message takes of it.

    python -m benchmarks.parallel                          # needs the extra `mpi`; PyTorch is compared where it is
    python -m benchmarks.parallel --rounds 3 --settings mlp

A round starts every alternative once, in turn, by mpiexec; each times its steps after some that are not counted. The
processes of an alternative share the cores as mpiexec gives them. The rows of a batch are those of all processes
together.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.harness import PAUSE, THREADS, median_ratio, quartiles, report, say, verdict

ROUNDS = 8
MPIEXEC = shutil.which("mpiexec", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
"""That of the environment which runs this, if the extra `mpi` has brought it, else of the machine."""

SETTINGS = {
    "flagship 512": {"layers": [784, 10], "batch": 512, "steps": 300},
    "flagship 4096": {"layers": [784, 10], "batch": 4096, "steps": 100},
    "mlp 512": {"layers": [784, 2048, 2048, 2048, 10], "batch": 512, "steps": 6},
    "mlp 4096": {"layers": [784, 2048, 2048, 2048, 10], "batch": 4096, "steps": 3},
}
"""The MLP has ten million parameters."""


class Way(NamedTuple):
    """How a training is run: by which program of this file, and with how many processes and BLAS threads each."""

    program: str
    processes: int
    threads: int


WAYS = {
    "1 process, 1 thread": Way("alone", 1, 1),
    "1 process, 2 threads": Way("alone", 1, 2),
    "a group of one, 1 thread": Way("group", 1, 1),
    "2 processes": Way("group", 2, 1),
    "PyTorch, 1 process, 1 thread": Way("torch", 1, 1),
    "PyTorch, 2 processes, DDP over gloo": Way("torch", 2, 1),
}
REFERENCE = "1 process, 1 thread"


def timed(way: Way, setting: dict[str, Any]) -> dict[str, float]:
    """Run a training in new processes; return the milliseconds of a step, those in its message, and the loss."""
    if MPIEXEC is None:
        raise SystemExit('mpiexec is missing: pip install "tinygrad_sm[mpi]"')
    command = [MPIEXEC, "-n", str(way.processes), sys.executable, "-m", "benchmarks.parallel"]
    environment = {**os.environ, **dict.fromkeys(THREADS, str(way.threads))}
    done = subprocess.run(
        [*command, "--program", way.program, "--setting", json.dumps(setting)],
        env=environment,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def data(setting: dict[str, Any]) -> tuple[Any, Any]:
    """Return as many random rows and labels as two batches have."""
    import numpy as np

    rng = np.random.default_rng(0)
    rows = 2 * setting["batch"]
    return rng.random((rows, setting["layers"][0]), np.float32), rng.integers(0, setting["layers"][-1], rows)


def steps_of(setting: dict[str, Any], step: Any) -> tuple[float, float]:
    """Return the milliseconds of a step, after some that are not counted, and the last loss."""
    for i in range(2):
        step(i)
    start = time.perf_counter()
    for i in range(setting["steps"]):
        loss = step(i)
    return 1e3 * (time.perf_counter() - start) / setting["steps"], loss


def by_tinygrad_sm(setting: dict[str, Any], with_group: bool) -> dict[str, float] | None:
    """Train as one process of those that mpiexec has started; rank 0 returns what it took."""
    import tinygrad_sm as tg
    from tinygrad_sm import nn
    from tinygrad_sm.datasets import DataLoader

    tg.keep_freed_memory()
    tg.manual_seed(0)
    layers = [nn.Linear(*sizes) for sizes in zip(setting["layers"], setting["layers"][1:], strict=False)]
    model = nn.Sequential(*[part for layer in layers for part in (layer, nn.ReLU())][:-1])
    optimizer = nn.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    loss_function = nn.CrossEntropyLoss()
    group = tg.parallel.Group() if with_group else None
    loader = DataLoader(data(setting), setting["batch"], group=group)
    messages = [0.0]
    if group is not None:
        group.broadcast(model, optimizer)
        add = group.processes._add_up

        def timed_sum(array: Any) -> None:
            start = time.perf_counter()
            add(array)
            messages[0] += time.perf_counter() - start

        group.processes._add_up = timed_sum

    def step(i: int) -> float:
        nonlocal batches
        if i % 2 == 0:
            batches = iter(loader)
            messages[0] *= i > 0
        x, y = next(batches)
        optimizer.zero_grad()
        loss = loss_function(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.item() if group is None else group.mean(loss)

    batches = iter(loader)
    milliseconds, loss = steps_of(setting, step)
    if group is not None and group.rank:
        return None
    return {"ms": milliseconds, "in messages": 1e3 * messages[0] / setting["steps"], "loss": loss}


def by_torch(setting: dict[str, Any]) -> dict[str, float] | None:
    """Train as one process of PyTorch's DistributedDataParallel over gloo, started by mpiexec too."""
    import torch
    from torch.nn.parallel import DistributedDataParallel

    rank, size = (int(os.environ.get(name, default)) for name, default in (("PMI_RANK", "0"), ("PMI_SIZE", "1")))
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    torch.manual_seed(0)
    parts = [torch.nn.Linear(*sizes) for sizes in zip(setting["layers"], setting["layers"][1:], strict=False)]
    model: Any = torch.nn.Sequential(*[part for layer in parts for part in (layer, torch.nn.ReLU())][:-1])
    if size > 1:
        place = Path(tempfile.gettempdir(), f"tinygrad_sm-gloo-{os.getppid()}")  # the parent is one for all
        torch.distributed.init_process_group("gloo", init_method=place.as_uri(), rank=rank, world_size=size)
        model = DistributedDataParallel(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    x, y = (torch.as_tensor(array) for array in data(setting))
    rows = setting["batch"]
    own = slice(rows * rank // size, rows * (rank + 1) // size)

    def step(i: int) -> float:
        start = i % 2 * rows
        images, labels = (array[start : start + rows][own].clone() for array in (x, y))
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        return loss.item()

    milliseconds, loss = steps_of(setting, step)
    if size > 1:
        torch.distributed.destroy_process_group()
    return None if rank else {"ms": milliseconds, "in messages": 0.0, "loss": loss}


def compare(name: str, rounds: int) -> None:
    """Time the alternatives of a setting in turn, and print what they took."""
    ways = {way: how for way, how in WAYS.items() if how.program != "torch" or find_spec("torch")}
    taken: dict[str, list[dict[str, float]]] = {way: [] for way in ways}
    order = random.Random(0)
    for _ in range(rounds):
        for way in order.sample(list(ways), len(ways)):
            time.sleep(PAUSE)
            taken[way].append(timed(ways[way], SETTINGS[name]))
    losses = [one["loss"] for way, found in taken.items() if ways[way].program != "torch" for one in found]
    if max(losses) - min(losses) > 1e-3 * max(losses):
        raise RuntimeError(f"the alternatives do not compute the same: {sorted(set(losses))}")
    milliseconds = {way: [one["ms"] for one in found] for way, found in taken.items()}
    report(f"{name}, a step", "ms", milliseconds, REFERENCE, with_spread=True)
    in_messages = sorted(one["in messages"] for one in taken["2 processes"])
    say(f"\nof it 2 processes spend {in_messages[len(in_messages) // 2]:.2f} ms in their message, waiting included")
    if name.startswith("mlp"):
        verdict("2 processes at most 1/1.6 of one", 1 / 1.6, median_ratio(milliseconds, "2 processes", REFERENCE))
    pairs = zip(milliseconds["a group of one, 1 thread"], milliseconds[REFERENCE], strict=True)
    low, _, _ = quartiles([a / b for a, b in pairs])
    verdict("a group of one at most 1.01, by the lower quartile of its ratios", 1.01, low)


def main() -> None:
    """Compare, or be one of the processes that are compared."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.parallel", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"how often each alternative is timed ({ROUNDS})")
    parser.add_argument("--settings", nargs="+", default=["flagship", "mlp"], help="how the names of settings begin")
    parser.add_argument("--program", help=argparse.SUPPRESS)
    parser.add_argument("--setting", type=json.loads, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.program is None:
        say(f"{os.cpu_count()} cores, {options.rounds} rounds")
        for name in SETTINGS:
            if name.startswith(tuple(options.settings)):
                compare(name, options.rounds)
        return
    is_torch = options.program == "torch"
    found = by_torch(options.setting) if is_torch else by_tinygrad_sm(options.setting, options.program == "group")
    if found is not None:
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
