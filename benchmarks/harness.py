"""Compare alternatives fairly: each in a process of its own, in turn, round by round.

An alternative is a function that prepares the work, importing what it needs, and returns `run`, which does the work
once and returns a number that must be the same for all. Only figures of one round are compared with each other: a
machine that is busy for a while slows both sides of a ratio. What is reported is the median of these comparisons.
"""

import math
import multiprocessing
import operator
import os
import random
import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from importlib.util import find_spec
from typing import Any, NamedTuple

SPAWN = multiprocessing.get_context("spawn")  # fresh interpreters, which have imported nothing

MODULES = {
    "PyTorch": "torch",
    "JAX jit": "jax",
    "MyGrad": "mygrad",
    "HIPS autograd": "autograd",
    "scikit-learn": "sklearn",
}
"""What must be importable for an alternative that may be left out."""

THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "VECLIB_MAXIMUM_THREADS", "NPROC")
"""Libraries read these when they are loaded; PyTorch takes its own threads from the third, JAX from the last."""

PAUSE = 0.3
"""Seconds before each run: the threads of a BLAS wait for more work in a busy loop, and would disturb the next one."""

ROUNDS_OF_A_PROCESS = 4
"""So many, and then a new process takes over: where the arrays of one come to lie in memory is chance, and where it is
such that the system takes pages back and gives new ones in each step, all its rounds are slow, up to 1.7 times."""


class Table(NamedTuple):
    """A comparison as it was printed: of each alternative but the reference the quartiles of its ratios."""

    title: str
    reference: str
    ratios: dict[str, tuple[float, float, float]]


PRINTED: list[str] = []
"""All that was printed, for a file of it."""

TABLES: list[Table] = []
"""All comparisons by ratios that were printed, for a plot of them."""


class Reply(NamedTuple):
    """The value and the time of a run, and the peak memory (MiB) of the process so far where it can be asked."""

    peak: float | None
    value: float = math.nan
    seconds: float = math.nan


class Worker:
    """A process that stays alive, holds one alternative and runs it on command.

    It is held to as many cores as it is given threads. None leaves it all cores, and the threads that it likes.
    """

    def __init__(self, alternative: Callable[..., Any], threads: int | None, **setting: Any):
        if threads is not None:
            os.environ.update(dict.fromkeys(THREADS, str(threads)))  # the new process begins with them
        self.pipe, theirs = SPAWN.Pipe()
        SPAWN.Process(target=serve, args=(theirs, threads, alternative, setting), daemon=True).start()
        theirs.close()  # so that the pipe breaks when the process dies
        self.ready: Reply = self.pipe.recv()

    def run(self) -> Reply:
        """Let it run once."""
        self.pipe.send(True)
        return self.pipe.recv()  # an EOFError here means that the process died; its traceback stands above

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *exception: object) -> None:
        self.pipe.close()


def serve(pipe: Any, threads: int | None, alternative: Callable[..., Any], setting: dict[str, Any]) -> None:
    """Be the process of a Worker: prepare, then run for each message until the pipe is closed.

    It gets as many cores as threads, where the system lets a process choose. Else one thread would be two in JAX, which
    computes in the background of the thread that Python runs in, whatever it is told.
    """
    if threads is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-threads:])
    run = alternative(**setting)
    pipe.send(Reply(peak_memory()))
    while True:
        try:
            pipe.recv()
        except EOFError:
            return
        start = time.perf_counter()
        value = run()
        seconds = time.perf_counter() - start
        pipe.send(Reply(peak_memory(), value, seconds))


def peak_memory() -> float | None:
    """Return the largest resident memory that this process has had, in MiB; None on Windows."""
    if not find_spec("resource"):
        return None
    import resource

    unit = 2**20 if os.uname().sysname == "Darwin" else 2**10  # macOS counts bytes, others KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit


def installed(alternatives: Mapping[str, Any]) -> dict[str, Any]:
    """Return the alternatives that this interpreter can run, and print which it cannot."""
    missing = [name for name in alternatives if name in MODULES and not find_spec(MODULES[name])]
    for name in missing:
        say(f"\n{name} is not installed: left out")
    return {name: alternative for name, alternative in alternatives.items() if name not in missing}


def time_rounds(
    alternatives: Mapping[str, Callable[..., Any]],
    threads: int,
    rounds: int,
    tolerance: float,
    beside: Mapping[str, Callable[..., Any]] | None = None,
    **setting: Any,
) -> dict[str, list[float]]:
    """Return the milliseconds of each run, by processes that warm up first and whose values are checked to agree.

    What stands `beside` the alternatives is timed like them and computes something else, such as a limit to them.
    """
    order = random.Random(0)
    started = {**alternatives, **(beside or {})}
    milliseconds: dict[str, list[float]] = {name: [] for name in started}
    for done in range(0, rounds, ROUNDS_OF_A_PROCESS):
        with ExitStack() as stack:
            workers = {n: stack.enter_context(Worker(a, threads, **setting)) for n, a in started.items()}
            replies = {name: worker.run() for name, worker in workers.items()}
            check_agreement({name: replies[name] for name in alternatives}, tolerance)
            for _ in range(min(ROUNDS_OF_A_PROCESS, rounds - done)):
                for name in order.sample(list(workers), len(workers)):
                    time.sleep(PAUSE)
                    milliseconds[name].append(1e3 * workers[name].run().seconds)
    return milliseconds


def check_agreement(replies: Mapping[str, Reply], tolerance: float) -> None:
    """Raise unless all values are equal within the relative tolerance: only equal work may be compared."""
    values = {name: reply.value for name, reply in replies.items()}
    first = next(iter(values.values()))
    if not all(math.isclose(value, first, rel_tol=tolerance) for value in values.values()):
        raise RuntimeError(f"the alternatives do not compute the same: {values}")


def say(text: str) -> None:
    """Print, and keep what was printed."""
    print(text, flush=True)
    PRINTED.append(text)


def report(
    title: str,
    unit: str,
    measured: Mapping[str, list[float]],
    reference: str,
    compare: Callable[[float, float], float] = operator.truediv,
    with_spread: bool = False,
) -> dict[str, float]:
    """Print a table of the medians, with those of the comparisons with the reference; return the latter.

    With spread, the quartiles of the figures stand beside their medians, with two decimals.
    """
    is_ratio = compare is operator.truediv
    words = "ratio to" if is_ratio else f"{unit} over"
    head = f"median {unit} [quartiles]" if with_spread else f"median {unit}"
    say(f"\n| {title} | {head} | {words} {reference} [quartiles] |\n| --- | ---: | ---: |")
    spreads = {}
    for name, figures in measured.items():
        shown = "1" if is_ratio else "0"
        if reference not in measured:
            shown = "—"
        elif name != reference:
            spreads[name] = quartiles([compare(*pair) for pair in zip(figures, measured[reference], strict=True)])
            low, median, high = spreads[name]
            shown = f"{median:.2f} [{low:.2f}, {high:.2f}]"
        low, median, high = quartiles(figures)
        figure = f"{median:.2f} [{low:.2f}, {high:.2f}]" if with_spread else f"{median:.1f}"
        say(f"| {name} | {figure} | {shown} |")
    if is_ratio:
        TABLES.append(Table(title, reference, spreads))
    return {name: median for name, (_, median, _) in spreads.items()}


def quartiles(figures: list[float]) -> tuple[float, float, float]:
    """Return the three quartiles; of one figure, three times that."""
    low, median, high = statistics.quantiles(figures * 2 if len(figures) == 1 else figures, n=4, method="inclusive")
    return low, median, high


def median_ratio(measured: Mapping[str, list[float]], name: str, reference: str) -> float | None:
    """Return the median of the ratios of two alternatives, None if one of them was left out."""
    if not {name, reference} <= measured.keys():
        return None
    return statistics.median(a / b for a, b in zip(measured[name], measured[reference], strict=True))


def verdict(target: str, limit: float, measured: float | None) -> None:
    """Print whether the target, of which `limit` is the number, was reached."""
    result = "not measured" if measured is None else f"{measured:.2f}, {'reached' if measured <= limit else 'missed'}"
    say(f"\ntarget: {target}: {result}")
