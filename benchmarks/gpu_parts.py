"""What first contact with a GPU measures itself: the parts of `gpu_first_contact` that are no tests and no example.

    python -m benchmarks.gpu_parts waits

Each prints Markdown and returns an exit status, 1 if the GPU does not do what it should.
"""

import sys
import traceback
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from typing import Any

from benchmarks import gpu, gpu_card
from benchmarks.gpu_steps import Program, Task, TinygradSM

ROUNDS, STEPS = 9, 200
"""Of `gpu.measure`: few, since in so short a time a second task tells more than a narrower quartile."""

WARM_UP, WATCHED = 3, 10
"""Steps that may compile and wait, and those after them that are looked at."""

LIBRARIES = ("cuda", "cupy", "numpy", "nvidia", "torch", "triton")
"""How the names of the packages begin whose versions matter."""

ASKED = "name,memory.total,clocks.sm,clocks.max.sm,temperature.gpu,power.limit,utilization.gpu,pstate"
"""What is asked of nvidia-smi beside the driver: whether the GPU is as quick as it could be, and free."""


def versions() -> int:
    """Print what the figures depend on."""
    about, _ = gpu_card.pytorch()
    card = gpu_card.card()
    peak = f"{card.peak / 1e12:.0f} TFLOP/s in float32" if card.peak else "of unknown peak"
    print(f"{gpu_card.versions(about)}.\n")
    print(f"{card.name}: {card.bandwidth / 1e9:,.0f} GB/s by copying, {peak}.\n")
    print(f"Commit {gpu_card.output('git', 'rev-parse', 'HEAD') or 'unknown'}.\n")
    print(f"```text\n{gpu_card.output('nvidia-smi', f'--query-gpu={ASKED}', '--format=csv') or 'no nvidia-smi'}\n```\n")
    packages = {d.name: d.version for d in metadata.distributions() if d.name.lower().startswith(LIBRARIES)}
    print(", ".join(f"{name} {packages[name]}" for name in sorted(packages)) + ".")
    return 0


def ours() -> int:
    """Print error and time of the framework alone: these figures are there, whatever PyTorch does."""
    return compare({"tinygrad_sm": TinygradSM}, [*gpu.FLAGSHIP, *gpu.MLP])


def pytorch() -> int:
    """Print those of the framework and of PyTorch, which take turns."""
    about, has_pytorch = gpu_card.pytorch()
    if not has_pytorch:
        print(f"Left out: {about}.")
        return 0
    return compare(gpu.EAGER, [*gpu.FLAGSHIP, *gpu.MLP])


def graphs() -> int:
    """Print those of the flagship's step as a CUDA graph, of both where there is PyTorch."""
    about, has_pytorch = gpu_card.pytorch()
    if not has_pytorch:
        print(f"CuPy's alone: {about}.\n")
    programs = {name: p for name, p in gpu.GRAPHS.items() if has_pytorch or not name.startswith("PyTorch")}
    return compare(programs, gpu.FLAGSHIP)


def compare(programs: Mapping[str, type[Program]], tasks: Sequence[Task]) -> int:
    """Print a table for each task; one that fails does not keep the next from being measured."""
    card, status = gpu_card.card(), 0
    for task in tasks:
        try:
            errors = gpu.check(programs, task)
            times = gpu.measure(programs, task, ROUNDS, STEPS)
        except (gpu.WrongResultError, EOFError) as failure:
            print(f"**{str(failure) or f'{task}: a process has failed, and told above why'}**\n", flush=True)
            status = 1
        else:
            print("\n".join([*gpu.table(task, times, errors, card), ""]), flush=True)
    return status


def waits() -> int:
    """Print whether a step makes the host wait for the GPU, and where; before, whether CuPy's detector sees that."""
    import cupyx

    print("By CuPy's detector of synchronisations, of which CuPy says that it does not find all.\n")
    warnings.filterwarnings("ignore", "cupyx.allow_synchronize")  # that says so each time
    status = 0
    for task in (gpu.FLAGSHIP[1], *gpu.MLP):
        trained, steps = begun(TinygradSM, task)
        try:
            with cupyx.allow_synchronize(False):
                trained.losses[-1].item()
        except cupyx.DeviceSynchronized:
            pass
        else:
            print(f"{task}: the detector is blind, it did not see the host wait for `.item()`.\n")
            status = 1
        try:
            with cupyx.allow_synchronize(False):
                for _ in range(WATCHED):
                    next(steps)
        except cupyx.DeviceSynchronized:
            print(f"{task}: a step makes the host wait, here:\n\n```text\n{traceback.format_exc()}```\n", flush=True)
            status = 1
        else:
            print(f"{task}: in {WATCHED} steps the detector saw the host wait nowhere.\n", flush=True)
    return status


def launches() -> int:
    """Print what the GPU ran for a step, of the framework and of PyTorch."""
    about, has_pytorch = gpu_card.pytorch()
    if not has_pytorch:
        print(f"Not counted: {about}, and it is PyTorch's profiler that counts.")
        return 0
    print("Counted by CUPTI, through PyTorch's profiler: all kernels, copies and fills that the GPU ran, whoever asked")
    print(f"for them, in {WATCHED} steps, the gathering of the batch included.\n")
    status = 0
    for task in (gpu.FLAGSHIP[1], *gpu.MLP):
        for name, program in gpu.EAGER.items():
            events = ran(program, task)
            if events:
                print("\n".join(table(f"{name}, {task}", events)), flush=True)
            else:
                print(f"**{name}, {task}: the profiler saw nothing.**\n", flush=True)
                status = 1
    return status


def ran(program: type[Program], task: Task) -> list[tuple[str, float]]:
    """Return the name and the microseconds of everything that the GPU ran in the steps that are watched."""
    from torch.profiler import ProfilerActivity, profile

    trained, steps = begun(program, task)
    for _ in range(2):  # a first session starts CUPTI, and may miss some
        with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as profiler:
            for _ in range(WATCHED):
                next(steps)
            trained.now().synchronize()  # what ends after the session is not in it
    return [(e.name, e.time_range.elapsed_us()) for e in profiler.events() if e.device_type.name == "CUDA"]


def table(title: str, events: Sequence[tuple[str, float]]) -> list[str]:
    """Return the lines of a table: how often each was run in a step, and how long it took the GPU."""
    counts = Counter(name for name, _ in events)
    times: defaultdict[str, float] = defaultdict(float)
    for name, microseconds in events:
        times[name] += microseconds
    lines = [f"| {title} | a step | µs on the GPU |", "| --- | ---: | ---: |"]
    for name, count in counts.most_common():
        lines.append(f"| `{name[:100].replace('|', '/')}` | {count / WATCHED:g} | {times[name] / WATCHED:.1f} |")
    total = f"| all | {counts.total() / WATCHED:g} | {sum(times.values()) / WATCHED:.1f} |"
    return [*lines, total, ""]


def begun(program: type[Program], task: Task) -> tuple[Any, Iterator[None]]:
    """Return a training after some steps, and what takes the next steps of its epoch, one by one."""
    trained = program(task)
    batches = iter(trained.epoch())
    for _ in range(WARM_UP):
        trained.step(next(batches))
    return trained, (trained.step(batch) for batch in batches)


PARTS = {f.__name__: f for f in (versions, ours, pytorch, graphs, waits, launches)}

if __name__ == "__main__":
    sys.exit(PARTS[sys.argv[1]]())
