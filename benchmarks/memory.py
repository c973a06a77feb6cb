"""The peak memory of a process that trains one epoch: the loops of `epoch`, each time in a fresh process.

Counted is the largest resident set (`ru_maxrss`): all pages in memory at the worst moment, those of the interpreter, of
the libraries' code and of the data set (180 MiB of images, or 45 as uint8) beside what training adds. So the second
table shows by how much the peak rose in the epoch itself, above that of the process when it was ready to begin.
"""

import operator

from benchmarks.data import data_files
from benchmarks.epoch import ALTERNATIVES
from benchmarks.harness import Worker, check_agreement, installed, report, say, verdict

ROUNDS = 5  # of fresh processes, which differ by less than 1 MiB
LIMIT = 1.1


def benchmark(threads: list[int], rounds: int) -> None:
    """Compare the peaks, on one BLAS thread."""
    alternatives = installed(ALTERNATIVES)
    peaks: dict[str, list[float]] = {name: [] for name in alternatives}
    rises: dict[str, list[float]] = {name: [] for name in alternatives}
    with data_files() as folder:
        for _ in range(min(rounds, ROUNDS)):
            replies = {}
            for name, alternative in alternatives.items():
                with Worker(alternative, 1, folder=folder, batch_size=128) as worker:
                    replies[name] = worker.run()
                before, after = worker.ready.peak, replies[name].peak
                if before is None or after is None:
                    say("\nmemory: this system does not tell the peak memory of a process: left out")
                    return
                peaks[name].append(after)
                rises[name].append(after - before)
            check_agreement(replies, tolerance=1e-4)
    ratios = report("peak memory of an epoch", "MiB", peaks, "plain NumPy")
    report("of it added by the epoch", "MiB", rises, "plain NumPy", operator.sub)
    verdict(f"tinygrad_sm at most {LIMIT} × plain NumPy", LIMIT, ratios["tinygrad_sm"])
