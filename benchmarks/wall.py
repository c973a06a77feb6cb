"""What a user waits for: a fresh interpreter that trains until 92.5 % of MNIST's test images are right, and ends.

Imports, reading the files, compilation and 20 epochs are included. [`wall_programs.py`](wall_programs.py) has the
programs. Each uses the threads that it likes. A round has a seed of its own. In it each program runs once alone, and
once beside a neighbour, a process that keeps one core busy.
"""

import math
import os
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from benchmarks.harness import PAUSE, THREADS, installed, median_ratio, report, say, verdict
from benchmarks.wall_programs import FILES, PROGRAMS, Result

SEEDS = 5
ACCURACY = 92.5  # percent
TOLERANCE = 1e-5
"""The losses on the test images differ by rounding alone."""

OWN_WAY = ("scikit-learn",)
"""These take other steps, and reach another loss."""

COMPILED_LIMIT, BUSY_LIMIT = 0.9, 1.5  # × eager, × alone

ENVIRONMENT = {name: value for name, value in os.environ.items() if name not in (*THREADS, "PYTHONDONTWRITEBYTECODE")}
"""Other jobs set the threads. Bytecode is kept, as installers do."""

SPIN = """
import os
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, [sorted(os.sched_getaffinity(0))[-1]])
print("ready", flush=True)
while True:
    pass
"""


def benchmark(threads: list[int], rounds: int) -> None:
    """Compare the times of whole processes, alone and beside a neighbour."""
    names = list(installed(PROGRAMS))
    order = random.Random(0)
    alone: dict[str, list[float]] = {name: [] for name in names}
    beside: dict[str, list[float]] = {name: [] for name in names}
    check({name: timed(name, seed=0)[1] for name in names})  # and the files come into memory, and the bytecode is made
    for seed in range(min(rounds, SEEDS)):
        for times, surroundings in ((alone, nullcontext), (beside, neighbour)):
            results = {}
            with surroundings():
                for name in order.sample(names, len(names)):
                    time.sleep(PAUSE)
                    seconds, results[name] = timed(name, seed)
                    times[name].append(seconds)
            check(results)

    report(f"fresh interpreter to {ACCURACY} %", "s", alone, "tinygrad_sm", with_spread=True)
    report(f"fresh interpreter to {ACCURACY} %, busy neighbour", "s", beside, "tinygrad_sm", with_spread=True)
    both = {name: {"alone": alone[name], "beside": beside[name]} for name in names}
    slower = {name: median_ratio(times, "beside", "alone") for name, times in both.items()}
    say(f"\nbusy neighbour × alone: {', '.join(f'{name} {ratio:.2f}' for name, ratio in slower.items())}")
    compiled = "tinygrad_sm, compiled"
    verdict(
        f"{compiled} at most {COMPILED_LIMIT} × eager", COMPILED_LIMIT, median_ratio(alone, compiled, "tinygrad_sm")
    )
    for ours in ("tinygrad_sm", compiled):
        verdict(f"{ours} with a busy neighbour at most {BUSY_LIMIT} × alone", BUSY_LIMIT, slower[ours])


def timed(name: str, seed: int) -> tuple[float, Result]:
    """Return the seconds of a process that trains by the named program, and what its model reaches."""
    command = [sys.executable, "-m", "benchmarks.wall_programs", name, str(seed)]
    start = time.perf_counter()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT, cwd=FILES.parent)
    seconds = time.perf_counter() - start
    accuracy, loss = map(float, done.stdout.split())
    return seconds, Result(accuracy, loss)


def check(results: dict[str, Result]) -> None:
    """Raise unless all reach the accuracy, and those that take the same steps the same loss.

    That of the compiled step must be the eager one's bit for bit.
    """
    low = {name: result.accuracy for name, result in results.items() if not result.accuracy >= ACCURACY}
    if low:
        raise RuntimeError(f"{ACCURACY} % was not reached: {low}")
    losses = {name: result.loss for name, result in results.items() if name not in OWN_WAY}
    eager = losses["tinygrad_sm"]
    if losses["tinygrad_sm, compiled"] != eager or not all(
        math.isclose(loss, eager, rel_tol=TOLERANCE) for loss in losses.values()
    ):
        raise RuntimeError(f"the alternatives do not compute the same: {losses}")


@contextmanager
def neighbour() -> Iterator[subprocess.Popen[bytes]]:
    """Keep the last core busy by a process, where the system lets it choose; else any core."""
    with subprocess.Popen([sys.executable, "-c", SPIN], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield process
        finally:
            process.kill()
