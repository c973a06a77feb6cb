"""Run benchmarks from the root of the repository, all of them or those named.

    python -m benchmarks
    python -m benchmarks epoch imports --threads 1 --rounds 9
    python -m benchmarks --quick

Each job prints Markdown tables and, under them, whether its targets were reached. At the end all that was printed goes
into a file, and the ratios into a picture beside it.
"""

import argparse
import os
import platform
from importlib import metadata, util
from pathlib import Path

import numpy as np

from benchmarks import (
    chain,
    cross_entropy,
    embedding,
    epoch,
    gradbench,
    hvp,
    imports,
    lenet,
    memory,
    mlp,
    optimizers,
    results,
    small_ops,
    transformer,
    wall,
)
from benchmarks.harness import MODULES, say

MODULES_OF_JOBS = (
    *(epoch, mlp, lenet, small_ops, chain, cross_entropy, embedding, transformer, optimizers, hvp, gradbench),
    *(memory, imports, wall),
)
JOBS = {job.__name__.rpartition(".")[2]: job.benchmark for job in MODULES_OF_JOBS}
ROUNDS, QUICK = 12, 3


def main() -> None:
    """Print what the figures depend on, run the jobs that the command line names, and write the results."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Compare tinygrad_sm with alternatives.")
    parser.add_argument("jobs", nargs="*", metavar="job", help=f"any of {', '.join(JOBS)}; without one, all")
    parser.add_argument("--threads", nargs="+", type=positive, default=[1, 2], help="numbers of BLAS threads (1 2)")
    parser.add_argument("--rounds", type=positive, help=f"how often each alternative is timed ({ROUNDS})")
    parser.add_argument("--quick", action="store_true", help=f"{QUICK} rounds, for a look")
    parser.add_argument(
        "--output", type=Path, help="folder for table and picture (benchmarks/results; of a part, runs/benchmarks)"
    )
    options = parser.parse_args()
    for job in options.jobs:
        if job not in JOBS:
            parser.error(f"expected jobs among {', '.join(JOBS)}, got {job!r}")

    is_part = bool(options.jobs) or options.quick
    rounds = options.rounds or (QUICK if options.quick else ROUNDS)
    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    installed = metadata.packages_distributions()  # scikit-learn is imported by another name
    versions = [
        f"{library} {metadata.version(installed[name][0])}" if util.find_spec(name) else f"no {library}"
        for library, name in MODULES.items()
    ]
    say(
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores; Python {platform.python_version()}, "
        f"NumPy {np.__version__} with {blas['name']} {blas['version']}, {', '.join(versions)}; {rounds} rounds"
    )
    for job in options.jobs or JOBS:
        JOBS[job](options.threads, rounds)
    results.write(options.output or Path("runs/benchmarks" if is_part else "benchmarks/results"))


def positive(text: str) -> int:
    """Return the integer that the text shows, if it is at least 1."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, got {number}")
    return number


if __name__ == "__main__":
    main()
