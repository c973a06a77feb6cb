"""The parts of first contact, on the strict double: what they print, and what they return where something is wrong.

What is timed and launched here is the double, so no figure means anything.
"""

import functools
import re
import sys
from contextlib import contextmanager
from types import ModuleType, SimpleNamespace

import pytest

from benchmarks import gpu, gpu_card, gpu_parts, gpu_steps
from benchmarks.gpu_steps import TinygradSM
from tests.backend import strict_cupy_device
from tests.benchmarks.test_gpu_benchmark import FLAGSHIP, MLP, InProcess, SlightlyWrong, Twin
from tests.helpers import of_the_wing


@pytest.fixture
def small(strict, monkeypatch):
    """Let the parts run here: small tasks, no processes, an attribute that the double lacks, Twin as PyTorch."""
    monkeypatch.setattr(gpu, "Worker", InProcess)
    monkeypatch.setattr(gpu_steps, "data", functools.cache(gpu_steps.data))
    monkeypatch.setattr(gpu, "FLAGSHIP", [FLAGSHIP, FLAGSHIP._replace(batch_size=50)])
    monkeypatch.setattr(gpu, "MLP", [MLP])
    monkeypatch.setattr(gpu, "EAGER", {"tinygrad_sm": TinygradSM, "PyTorch": Twin})
    monkeypatch.setattr(gpu, "GRAPHS", dict.fromkeys(gpu.GRAPHS, Twin))
    monkeypatch.setattr(gpu_parts, "ROUNDS", 2)
    monkeypatch.setattr(gpu_parts, "STEPS", 1)
    monkeypatch.setattr(gpu_parts, "WARM_UP", 1)
    monkeypatch.setattr(gpu_parts, "WATCHED", 4)
    monkeypatch.setattr(gpu_card, "pytorch", lambda: ("PyTorch 2.11.0 with CUDA 13.0", True))
    monkeypatch.setattr(gpu_card, "COPIED", 2**20)
    attributes = {"MultiProcessorCount": 100, "ClockRate": 1_000_000}
    monkeypatch.setattr(strict.Device, "attributes", attributes, raising=False)
    return strict


def no_pytorch(monkeypatch):
    monkeypatch.setattr(gpu_card, "pytorch", lambda: ("PyTorch is not installed", False))


def rows(text):
    """Return the first cells of the rows of each table, but for the rule under its head."""
    tables = [part.splitlines() for part in text.split("\n\n") if part.startswith("|")]
    return [[line.split("|")[1].strip() for line in (lines[0], *lines[2:])] for lines in tables]


def test_versions(small, capsys):
    assert gpu_parts.versions() == 0
    text = capsys.readouterr().out
    for part in ("tinygrad_sm 0.", "CuPy 14.", "PyTorch 2.11.0 with CUDA 13.0.", "GB/s", "26 TFLOP/s in float32.\n"):
        assert part in text
    assert re.search(r"^Commit ([0-9a-f]{40}|unknown)\.$", text, re.MULTILINE)
    assert re.search(r"\bnumpy 2\.[\d.]*\d[,.]", text)


def test_error_and_time_of_the_framework_and_of_both(small, monkeypatch, capsys):
    tasks = [str(task) for task in (*gpu.FLAGSHIP, *gpu.MLP)]
    assert gpu_parts.ours() == 0
    assert rows(capsys.readouterr().out) == [[task, "tinygrad_sm"] for task in tasks]
    assert gpu_parts.pytorch() == 0
    text = capsys.readouterr().out
    assert rows(text) == [[task, "tinygrad_sm", "PyTorch"] for task in tasks]
    assert len(re.findall(r"^Target: .*: \d+\.\d\d, (reached|missed)\.$", text, re.MULTILINE)) == 3
    no_pytorch(monkeypatch)
    assert gpu_parts.pytorch() == 0
    assert capsys.readouterr().out == "Left out: PyTorch is not installed.\n"


def test_graphs_of_both_or_of_cupy_alone(small, monkeypatch, capsys):
    tasks = [str(task) for task in gpu.FLAGSHIP]
    assert gpu_parts.graphs() == 0
    text = capsys.readouterr().out
    assert rows(text) == [[task, "CuPy, a CUDA graph", "PyTorch, a CUDA graph"] for task in tasks]
    assert text.count("× as long as PyTorch's.") == 2
    no_pytorch(monkeypatch)
    assert gpu_parts.graphs() == 0
    text = capsys.readouterr().out
    assert text.startswith("CuPy's alone: PyTorch is not installed.\n")
    assert rows(text) == [[task, "CuPy, a CUDA graph"] for task in tasks]


def test_a_task_that_fails_does_not_keep_the_next_from_being_measured(small, monkeypatch, capsys):
    class WrongWithBias(SlightlyWrong):
        def __init__(self, task):
            super().__init__(task)
            self.parameters = TinygradSM.parameters.__get__(self) if task is MLP else self.parameters

    class Dead:
        def __init__(self, *arguments, **setting):
            raise EOFError

    assert gpu_parts.compare({"tinygrad_sm": WrongWithBias}, [FLAGSHIP, MLP]) == 1
    text = capsys.readouterr().out
    assert text.startswith(f"**{FLAGSHIP}: tinygrad_sm has trained parameters with a relative error of 1.0e-03, ")
    assert rows(text) == [[str(MLP), "tinygrad_sm"]]
    monkeypatch.setattr(gpu, "check", lambda programs, task: {})
    monkeypatch.setattr(gpu, "Worker", Dead)
    assert gpu_parts.compare({"tinygrad_sm": TinygradSM}, [FLAGSHIP]) == 1
    assert capsys.readouterr().out == f"**{FLAGSHIP}: a process has failed, and told above why**\n\n"


class DeviceSynchronized(RuntimeError):
    """As in `cupyx`."""


@contextmanager
def allow_synchronize(allowed):
    """Raise where the host waits, as CuPy's detector does; the double counts it there."""

    def refuse():
        raise DeviceSynchronized

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strict_cupy_device, "synchronized", refuse)
        yield


@pytest.fixture
def detector(small, monkeypatch):
    module = SimpleNamespace(DeviceSynchronized=DeviceSynchronized, allow_synchronize=allow_synchronize)
    monkeypatch.setitem(sys.modules, "cupyx", module)
    return module


def test_a_step_does_not_wait(detector, capsys):
    assert gpu_parts.waits() == 0
    tasks = [gpu.FLAGSHIP[1], MLP]
    _, *told = capsys.readouterr().out.split("\n\n")
    assert told == [*(f"{task}: in 4 steps the detector saw the host wait nowhere." for task in tasks), ""]


def test_where_a_step_waits_is_said(detector, monkeypatch, capsys):
    class Waits(TinygradSM):
        def step(self, batch):
            super().step(batch)
            if len(self.losses) > 2:
                self.losses[-1].item()  # here

    monkeypatch.setattr(gpu_parts, "TinygradSM", Waits)
    assert gpu_parts.waits() == 1
    text = capsys.readouterr().out
    assert text.count(": a step makes the host wait, here:\n\n```text\nTraceback") == 2
    assert "self.losses[-1].item()  # here" in text
    assert "nowhere" not in text


def test_a_blind_detector_is_seen(detector, monkeypatch, capsys):
    @contextmanager
    def blind(allowed):
        yield

    monkeypatch.setattr(detector, "allow_synchronize", blind)
    assert gpu_parts.waits() == 1
    assert ": the detector is blind, " in capsys.readouterr().out


class Profiler:
    """Stands for PyTorch's: of each session it tells one launch of a kernel a step, and what the host did."""

    def __init__(self, activities):
        self.activities = activities

    def __enter__(self):
        self.before = strict_cupy_device.EVENTS.copy()
        return self

    def __exit__(self, *exception):
        self.launched = strict_cupy_device.EVENTS["launch"] - self.before["launch"]

    def events(self):
        def event(name, device):
            interval = SimpleNamespace(elapsed_us=lambda: 1.5)
            return SimpleNamespace(name=name, device_type=SimpleNamespace(name=device), time_range=interval)

        return [event("cuLaunchKernel", "CPU")] + [event("kernel<a|b>", "CUDA")] * self.launched


@pytest.fixture
def profiler(small, monkeypatch):
    activities = SimpleNamespace(CPU="CPU", CUDA="CUDA")
    module = ModuleType("torch.profiler")
    vars(module).update(profile=Profiler, ProfilerActivity=activities)
    monkeypatch.setitem(sys.modules, "torch", ModuleType("torch"))
    monkeypatch.setitem(sys.modules, "torch.profiler", module)
    return module


@of_the_wing
def test_what_a_step_launches_is_counted_for_both(profiler, monkeypatch, capsys):
    assert gpu_parts.launches() == 0
    text = capsys.readouterr().out
    tasks = (gpu.FLAGSHIP[1], MLP)
    titles = [f"{name}, {task}" for task in tasks for name in gpu.EAGER]
    assert rows(text) == [[title, "`kernel<a/b>`", "all"] for title in titles]
    counts = [float(count) for count in re.findall(r"^\| all \| (\S+) \| \S+ \|$", text, re.MULTILINE)]
    assert all(10 <= count <= 30 for count in counts)
    assert counts[0] == counts[1] < counts[2] == counts[3]  # the perceptron has more layers
    no_pytorch(monkeypatch)
    assert gpu_parts.launches() == 0
    assert capsys.readouterr().out.startswith("Not counted: PyTorch is not installed, ")


def test_counts_and_times_are_those_of_a_step(small):
    lines = gpu_parts.table("A", [("f", 1.0), ("g", 2.0), ("f", 3.0), ("f", 4.0), ("f", 4.0)])
    assert lines == [
        "| A | a step | µs on the GPU |",
        "| --- | ---: | ---: |",
        "| `f` | 1 | 3.0 |",
        "| `g` | 0.25 | 0.5 |",
        "| all | 1.25 | 3.5 |",
        "",
    ]


def test_a_profiler_that_sees_nothing_is_a_failure(profiler, monkeypatch, capsys):
    monkeypatch.setattr(Profiler, "events", lambda self: [])
    assert gpu_parts.launches() == 1
    assert capsys.readouterr().out.count(": the profiler saw nothing.**") == 4
