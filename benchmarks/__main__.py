"""Run benchmarks from the root of the repository, all of them or those named.

    python -m benchmarks
    python -m benchmarks epoch imports --threads 1 --rounds 9

Each job prints Markdown tables and, under them, whether its target was reached.
"""

import argparse
import os
import platform
from importlib import metadata, util

import numpy as np

from benchmarks import chain, epoch, imports, memory, small_ops

JOBS = {job.__name__.rpartition(".")[2]: job.benchmark for job in (epoch, small_ops, chain, memory, imports)}


def main() -> None:
    """Print what the figures depend on, and run the jobs that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="Compare tinygrad_sm with alternatives.")
    parser.add_argument("jobs", nargs="*", metavar="job", help=f"any of {', '.join(JOBS)}; without one, all")
    parser.add_argument("--threads", nargs="+", type=positive, default=[1, 2], help="numbers of BLAS threads (1 2)")
    parser.add_argument("--rounds", type=positive, default=31, help="how often each alternative is timed (31)")
    options = parser.parse_args()
    for job in options.jobs:
        if job not in JOBS:
            parser.error(f"expected jobs among {', '.join(JOBS)}, got {job!r}")

    blas = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    print(
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores; Python {platform.python_version()}, ",
        end="",
    )
    print(f"NumPy {np.__version__} with {blas['name']} {blas['version']}, ", end="")
    print(f"PyTorch {metadata.version('torch')}" if util.find_spec("torch") else "no PyTorch")
    for job in options.jobs or JOBS:
        JOBS[job](options.threads, options.rounds)


def positive(text: str) -> int:
    """Return the integer that the text shows, if it is at least 1."""
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, got {number}")
    return number


if __name__ == "__main__":
    main()
