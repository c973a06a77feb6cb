"""First contact with a GPU: everything that can be learned in nine minutes, without an installation, the best first.

    python -m benchmarks.gpu --first-contact             # all parts, from the root of the repository, on Linux
    python -m benchmarks.gpu --first-contact nvrtc gpu   # some of them

Each part is a process of its own with a time limit. What it prints goes straight into the result file, so that it is
kept whatever becomes of the part, of the next, or of the machine. `gpu_parts` says what the parts do.
"""

import importlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, NamedTuple

ROOT = Path(__file__).parent.parent
TOTAL = 540
"""Seconds for all parts together."""

LEAST = 2
"""Seconds without which a part is not begun: the imports alone take so long."""

WORKERS = 12
"""Processes for the tests: they wait for the compilation of some 400 kernels."""

GRACE = 0.1
"""Of a limit, what is left when a part is asked to end: pytest says then what has failed so far."""


class Part(NamedTuple):
    """What a part is about, its limit in seconds, what Python is to run, and whether that prints no Markdown."""

    title: str
    limit: float
    command: tuple[str, ...]
    is_raw: bool = False


def own(name: str) -> tuple[str, ...]:
    """Return what runs a function of `gpu_parts`."""
    return "-m", "benchmarks.gpu_parts", name


def tests(*arguments: str) -> tuple[str, ...]:
    """Return what runs tests; `-rs` says why one was skipped, since what was not run shows nothing."""
    return "-m", "pytest", "-q", "--tb=short", "-rs", *arguments


def flagship(folder: str, *options: str) -> tuple[str, ...]:
    """Return what trains the flagship for three epochs."""
    command = "examples/mnist_softmax.py", "--device=cuda", "--epochs=3", "--min-accuracy=90"
    return *command, f"--output=runs/{folder}", *options


IN_PARALLEL = ("-n", str(WORKERS)) if find_spec("xdist") else ()

PARTS = {
    "versions": Part("Versions and device", 20, own("versions")),
    "ours": Part("Error and time of the framework", 80, own("ours")),
    "pytorch": Part("The framework beside PyTorch, both eager", 100, own("pytorch")),
    "graphs": Part("CUDA graphs of both", 80, own("graphs")),
    "waits": Part("Where the host waits", 25, own("waits")),
    "launches": Part("What a step launches", 45, own("launches")),
    "gpu": Part("The tests on the GPU", 120, tests("-m", "gpu", *IN_PARALLEL), is_raw=True),
    "nvrtc": Part(
        "NVRTC compiles the kernels",
        30,
        tests(
            "tests/fast/test_cuda_code.py::test_nvrtc_compiles_the_code",
            "tests/benchmarks/test_gpu_benchmark.py::test_the_graphs_kernels_are_cuda",
        ),
        is_raw=True,
    ),
    "flagship": Part("Three epochs of the flagship", 25, flagship("contact"), is_raw=True),
    "compiled": Part("Three epochs of the flagship as a program", 15, flagship("compiled", "--compiled"), is_raw=True),
}
"""By the name that the command line has for it, in the order of their worth."""


def main(names: Sequence[str], path: Path, title: str) -> int:
    """Run the parts of these names, or all, into the file; return the exit status: 1 if a part did not end well.

    A file that is there goes on: nothing that was measured on a GPU is overwritten.
    """
    deadline = time.monotonic() + TOTAL
    path.parent.mkdir(parents=True, exist_ok=True)
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # so that `finally` is heeded
    try:
        with path.open("a", encoding="utf-8") as file, importable(ROOT):
            write(file, f"# {title}\n")
            all_well = True
            for name in names or PARTS:
                all_well &= run(PARTS[name], file, path, deadline)
    finally:
        signal.signal(signal.SIGTERM, before)
    print(f"\nwritten to {path}")
    return 0 if all_well else 1


@contextmanager
def importable(root: Path) -> Iterator[None]:
    """Let `nn` and `datasets` be importable where the package is not installed: by links, which go at the end.

    Links are there for every process that the parts and the tests begin; a path would be for those alone that get it.
    """
    made = []
    try:
        for name in ("nn", "datasets"):
            if find_spec(f"tinygrad_sm.{name}") is None:
                link = root / "tinygrad_sm" / name
                link.symlink_to(Path("..", name))
                made.append(link)
        importlib.invalidate_caches()
        yield
    finally:
        for link in made:
            link.unlink()


def run(part: Part, file: IO[str], path: Path, deadline: float) -> bool:
    """Run a part, write its heading, its output and how it ended, and print them; return whether it ended well."""
    begin = path.stat().st_size
    seconds = min(part.limit, deadline - time.monotonic())
    write(file, f"\n## {part.title}\n\n`python {' '.join(part.command)}`, at most {max(seconds, 0):.0f} s\n\n")
    if seconds < LEAST:
        failure = f"not begun: the {TOTAL} s for all parts are over"
    else:
        write(file, "```text\n" if part.is_raw else "")
        started = time.monotonic()
        failure = execute(part.command, seconds, file)
        took = f"after {time.monotonic() - started:.1f} s"
        with path.open("rb") as written:
            written.seek(-1, os.SEEK_END)
            write(file, "" if written.read() == b"\n" else "\n")
        write(file, "```\n" if part.is_raw else "")
    write(file, f"\n**{failure}**\n" if failure else f"\nended well {took}\n")
    print(path.read_bytes()[begin:].decode(errors="replace"), end="", flush=True)
    return not failure


def execute(command: Sequence[str], seconds: float, file: IO[str]) -> str:
    """Run Python with its output into the file; return "" if it ended well in the time, else what became of it.

    It leads a group of processes, which are all killed at the end, so that no worker of it takes time from the next.
    """
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}  # what it has printed is in the file, though it be killed
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), environment.get("PYTHONPATH")]))
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=file,
        stderr=subprocess.STDOUT,
        process_group=0,
    )
    try:
        status = process.wait((1 - GRACE) * seconds)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGINT)
        wait(process, GRACE * seconds)
        return f"stopped after {time.monotonic() - started:.1f} s"
    finally:
        kill(process)
    return f"failed, exit status {status}, after {time.monotonic() - started:.1f} s" if status else ""


def wait(process: subprocess.Popen[Any], seconds: float) -> None:
    """Wait for the process to end, so long at most."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)


def kill(process: subprocess.Popen[Any]) -> None:
    """Kill what is left of the group that the process leads."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def write(file: IO[str], text: str) -> None:
    """Write to the disk, at once."""
    file.write(text)
    file.flush()
    os.fsync(file.fileno())
