"""Measure the framework on a GPU beside PyTorch on the same GPU, from the root of the repository.

    python -m benchmarks.gpu        # `make gpu` runs the tests on the GPU before
    python -m benchmarks.gpu --first-contact    # all that a GPU can tell in nine minutes, see `gpu_first_contact`

First each alternative trains an epoch, and its parameters are compared with those of float64 on the CPU: nothing is
timed that does not compute the same. Then they take turns, each in a process of its own, timed by the GPU's events.
The tables are printed, and written to a dated file with the versions of everything. The steps themselves stand in
`gpu_steps`, the study of CUDA graphs in `gpu_graph`, what the GPU allows at best in `gpu_card`.
"""

import argparse
import datetime
import random
import re
import statistics
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import tinygrad_sm as tg
from benchmarks import gpu_card, gpu_first_contact
from benchmarks.__main__ import positive
from benchmarks.gpu_card import Card, card, floor, pytorch, versions
from benchmarks.gpu_graph import CuPyGraph, PyTorchGraph
from benchmarks.gpu_steps import Program, PyTorch, Task, TinygradSM, microseconds, relative_error
from benchmarks.harness import Worker

FLAGSHIP = [Task((784, 10), batch_size) for batch_size in (128, 1024, 8192)]
MLP = [Task((784, 256, 10), 1024)]
"""At batch 128 its hundreds of steps let float32 and float64 part, whoever computes: nothing could be compared."""

EAGER: dict[str, type[Program]] = {"tinygrad_sm": TinygradSM, "PyTorch": PyTorch}
GRAPHS: dict[str, type[Program]] = {"CuPy, a CUDA graph": CuPyGraph, "PyTorch, a CUDA graph": PyTorchGraph}
TASKS = [*((task, EAGER) for task in FLAGSHIP + MLP), *((task, EAGER | GRAPHS) for task in FLAGSHIP)]

TOLERANCE = 1e-4
LIMIT = 1.0
RESULTS = Path(__file__).parent / "results"

ALL_CORES = None
"""Of a process: PyTorch goes backward in a thread of its own, which on one core would wait for the first."""


class WrongResultError(RuntimeError):
    """An alternative does not compute what it should, or nothing at all."""


def check(programs: Mapping[str, type[Program]], task: Task) -> dict[str, float]:
    """Return the error of the parameters of each after an epoch; raise WrongResultError unless all are small."""
    errors = {}
    for name, program in programs.items():
        try:
            with Worker(relative_error, ALL_CORES, program=program, task=task) as worker:
                errors[name] = worker.run().value
        except EOFError as ended:
            raise WrongResultError(f"{task}: {name} has failed; its process has told above why") from ended
        if not errors[name] < TOLERANCE:
            raise WrongResultError(
                f"{task}: {name} has trained parameters with a relative error of {errors[name]:.1e}, against float64 "
                f"on the CPU; expected less than {TOLERANCE:.0e}: nothing is timed"
            )
    return errors


def measure(programs: Mapping[str, type[Program]], task: Task, rounds: int, steps: int) -> dict[str, list[float]]:
    """Return the microseconds of a step of each, round by round, after a round that warms up."""
    shuffled = random.Random(0)
    times: dict[str, list[float]] = {name: [] for name in programs}
    with ExitStack() as stack:
        workers = {
            name: stack.enter_context(Worker(microseconds, ALL_CORES, program=program, task=task, least_steps=steps))
            for name, program in programs.items()
        }
        for worker in workers.values():
            worker.run()
        for _ in range(rounds):
            for name in shuffled.sample(list(workers), len(workers)):
                times[name].append(workers[name].run().value)
    return times


def table(task: Task, times: Mapping[str, list[float]], errors: Mapping[str, float], gpu: Card) -> list[str]:
    """Return the lines of a task: a row for each alternative, the floor, and whether the target was reached."""
    lines = [
        f"| {task} | µs a step [quartiles] | ratio to PyTorch [quartiles] | relative error |",
        "| --- | ---: | ---: | ---: |",
    ]
    for name, figures in times.items():
        ratio = "—"
        if name == "PyTorch":
            ratio = "1"
        elif "PyTorch" in times:
            ratio = spread(ratios(figures, times["PyTorch"]), 2)
        lines.append(f"| {name} | {spread(figures, 1)} | {ratio} | {errors[name]:.1e} |")
    least = floor(task)
    lines += ["", f"Floor: {least.bytes:,} bytes, {least.operations:,} operations: {least.microseconds(gpu):.2f} µs."]
    result = "not measured"
    if "PyTorch" in times:
        ratio_to_eager = statistics.median(ratios(times["tinygrad_sm"], times["PyTorch"]))
        result = f"{ratio_to_eager:.2f}, {'reached' if ratio_to_eager <= LIMIT else 'missed'}"
    lines.append(f"Target: tinygrad_sm at most {LIMIT} × PyTorch, both eager: {result}.")
    if times.keys() >= GRAPHS.keys():
        ours, theirs = (times[name] for name in GRAPHS)
        lines.append(f"Of the graphs, CuPy's takes {spread(ratios(ours, theirs), 2)} × as long as PyTorch's.")
    return lines


def ratios(figures: Sequence[float], reference: Sequence[float]) -> list[float]:
    """Return the quotients, round by round: a GPU that slows down for a while slows both sides."""
    return [a / b for a, b in zip(figures, reference, strict=True)]


def spread(figures: Sequence[float], digits: int) -> str:
    """Return median and quartiles."""
    low, median, high = statistics.quantiles([*figures] * 2 if len(figures) == 1 else figures, n=4, method="inclusive")
    return f"{median:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def result_file(folder: Path, name: str, day: datetime.date, kind: str = "gpu") -> Path:
    """Return where the result of a day on a GPU of this name stands."""
    return folder / f"{kind}-{day.isoformat()}-{re.sub(r'[^A-Za-z0-9]+', '-', name).strip('-')}.md"


def parse_arguments(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the command line's options."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description="Compare with PyTorch on a GPU.")
    parser.add_argument("--rounds", type=positive, default=31, help="how often each alternative is timed (31)")
    parser.add_argument("--steps", type=positive, default=400, help="steps of a round at least; epochs are whole (400)")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the result file (benchmarks/results)")
    parser.add_argument(
        "--first-contact",
        nargs="*",
        metavar="PART",
        choices=gpu_first_contact.PARTS,
        help="needs no installation and takes at most nine minutes; parts: " + ", ".join(gpu_first_contact.PARTS),
    )
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Check, measure, print and write; return the exit status: 1 for a wrong result, 2 without a GPU."""
    options = parse_arguments(arguments)
    try:
        tg.zeros(1, device="cuda")
    except tg.DeviceError as error:
        print(f"benchmarks.gpu: {error}", file=sys.stderr)
        return 2
    day = datetime.date.today()
    if options.first_contact is not None:
        name = gpu_card.name()
        path = result_file(options.results, name, day, "gpu-first-contact")
        return gpu_first_contact.main(options.first_contact, path, f"First contact with {name}, {day}")
    gpu = card()
    about, has_pytorch = pytorch()
    options.results.mkdir(parents=True, exist_ok=True)  # fail now, not when all is measured
    most = f"{gpu.peak / 1e12:.0f} TFLOP/s in float32" if gpu.peak else "of unknown peak"
    lines = [
        f"# {gpu.name}, {day}",
        "",
        f"{versions(about)}. The GPU: {gpu.bandwidth / 1e9:,.0f} GB/s by copying, {most}.",
        f"Medians of {options.rounds} rounds of at least {options.steps} steps. The error is ‖θ − θ₆₄‖ / ‖θ₆₄‖, of the",
        "parameters after one epoch to those computed in float64 on the CPU.",
    ]
    print("\n".join(lines))
    path = result_file(options.results, gpu.name, day)
    for task, alternatives in TASKS:
        programs = {name: p for name, p in alternatives.items() if has_pytorch or not name.startswith("PyTorch")}
        try:
            errors = check(programs, task)
        except WrongResultError as wrong:
            print(f"benchmarks.gpu: {wrong}", file=sys.stderr)
            return 1
        part = ["", *table(task, measure(programs, task, options.rounds, options.steps), errors, gpu)]
        print("\n".join(part), flush=True)
        lines += part
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")  # whatever becomes of the rest
    print(f"\nwritten to {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
