"""The benchmark for GPUs, on the strict double: right steps pass, wrong ones stop it, and the file says what was found.

What is timed here is the double, so no figure means anything; that there is one, and where it goes, is tested.
"""

import contextlib
import datetime
import pickle
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import tinygrad_sm as tg
from benchmarks import gpu, gpu_card, gpu_graph, gpu_steps
from benchmarks.gpu_card import Card, Floor
from benchmarks.gpu_steps import Task, TinygradSM
from benchmarks.harness import Reply
from tests.backend import strict_cupy
from tests.fast import cuda_on_the_host, plain_kernels
from tests.helpers import IN_FULL, ROOT, of_the_wing

HAS_GPU = tg.is_available("cuda")
FLAGSHIP, MLP = Task((784, 10), 64, examples=1000), Task((784, 16, 10), 100, examples=1000)
DAY = datetime.date(2026, 2, 3)


class InProcess:
    """A Worker without a process: others would not have the double."""

    def __init__(self, alternative, threads, **setting):
        assert threads is None, "on one core the two threads of PyTorch would wait for each other"
        self.alternative = alternative(**setting)

    def run(self):
        return Reply(None, self.alternative(), 0.0)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        pass


class SlightlyWrong(TinygradSM):
    """One of its parameters is wrong by a thousandth."""

    def parameters(self):
        weight, bias = super().parameters()
        return [weight, bias * 1.001]


class Twin(TinygradSM):
    """Stands for PyTorch."""


@pytest.fixture
def small(strict, monkeypatch):
    """Let the benchmark run here: small tasks, no processes, an attribute that the double lacks, no PyTorch."""
    monkeypatch.setattr(gpu, "Worker", InProcess)
    monkeypatch.setattr(gpu, "TASKS", [(FLAGSHIP, {"tinygrad_sm": TinygradSM}), (MLP, {"tinygrad_sm": TinygradSM})])
    monkeypatch.setattr(gpu, "pytorch", lambda: ("PyTorch is not installed", False))
    monkeypatch.setattr(gpu_card, "COPIED", 2**20)
    attributes = {"MultiProcessorCount": 100, "ClockRate": 1_000_000}
    monkeypatch.setattr(strict.Device, "attributes", attributes, raising=False)
    return strict


@pytest.mark.parametrize("task", [FLAGSHIP, MLP], ids=str)
def test_the_framework_trains_as_float64_by_hand_does(task, strict):
    assert gpu_steps.relative_error(TinygradSM, task)() < 2e-6


@pytest.mark.parametrize("task", [FLAGSHIP, MLP], ids=str)
def test_pytorch_trains_as_float64_by_hand_does(task):
    pytest.importorskip("torch")

    class OnHost(gpu_steps.PyTorch):
        def __init__(self, task):
            super().__init__(task, device="cpu")

    assert gpu_steps.relative_error(OnHost, task)() < 2e-6


def test_pytorchs_graph_takes_the_right_batches_from_the_first_parameters(monkeypatch):
    torch = pytest.importorskip("torch")
    stream = SimpleNamespace(wait_stream=lambda other: None)
    graph = SimpleNamespace()
    for name in ("Stream", "current_stream"):
        monkeypatch.setattr(torch.cuda, name, lambda: stream)
    for name in ("stream", "graph"):
        monkeypatch.setattr(torch.cuda, name, contextlib.nullcontext)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", lambda: graph)

    class OnHost(gpu_graph.PyTorchGraph):
        def __init__(self, task):
            super().__init__(task, device="cpu")
            graph.replay = self.counted_step

    assert gpu_steps.relative_error(OnHost, FLAGSHIP)() < 2e-6


def test_no_steps_are_as_wrong_as_the_training_is_long(strict):
    class Idle(TinygradSM):
        def step(self, batch):
            pass

    assert gpu_steps.relative_error(Idle, FLAGSHIP)() > 0.01


@of_the_wing
@pytest.mark.parametrize("task", [FLAGSHIP, MLP], ids=str)
def test_a_run_goes_through_whole_epochs_and_waits_only_around_them(task, strict):
    run = gpu_steps.microseconds(TinygradSM, task, least_steps=task.steps + 1)
    run()
    strict.EVENTS.clear()
    assert run() > 0
    assert (strict.EVENTS["sync"], strict.EVENTS["h2d"], strict.EVENTS["d2h"]) == (4, 2, 0)  # of two epochs
    assert 2 * task.steps * 10 <= strict.EVENTS["launch"] <= 2 * task.steps * 30


def test_the_time_of_a_step_is_that_of_the_events():
    class Counted:
        steps = epochs = 0

        def __init__(self, task):
            self.task = task

        def epoch(self):
            Counted.epochs += 1
            return range(self.task.steps)

        def step(self, batch):
            Counted.steps += 1

        def now(self):
            return self

        def synchronize(self):
            pass

        def milliseconds(self, start, end):
            return 3.0

    run = gpu_steps.microseconds(Counted, Task((784, 10), 100, examples=1050), least_steps=11)
    assert run() == pytest.approx(300)  # 3 ms for the 10 whole batches of an epoch
    assert (Counted.epochs, Counted.steps) == (2, 20)


def test_the_floor_is_that_of_the_shapes():
    example = 784 + 8 + 8
    assert gpu_card.floor(Task((784, 10), 128)) == (128 * example + 16 * 7850, 128 * 31_360)
    forward = 784 * 256 + 256 * 10
    bytes_moved, operations = gpu_card.floor(Task((784, 256, 10), 1))
    assert bytes_moved == example + 16 * (forward + 256 + 10)
    assert operations == 2 * forward + 2 * forward + 2 * 256 * 10
    floor = Floor(bytes=2_000, operations=6_000)
    assert floor.microseconds(Card("", bandwidth=1e9, peak=1e9)) == pytest.approx(6)
    assert floor.microseconds(Card("", bandwidth=1e9, peak=1e12)) == pytest.approx(2)
    assert floor.microseconds(Card("", bandwidth=1e9, peak=None)) == pytest.approx(2)


def test_the_peak_is_that_of_the_data_sheet():
    assert gpu_card.peak("90", {"MultiProcessorCount": 132, "ClockRate": 1_980_000}) == pytest.approx(67e12, rel=0.01)
    assert gpu_card.peak("80", {"MultiProcessorCount": 108, "ClockRate": 1_410_000}) == pytest.approx(19.5e12, rel=0.01)
    assert gpu_card.peak("999", {"MultiProcessorCount": 132, "ClockRate": 1_980_000}) is None
    assert gpu_card.peak("90", {"MultiProcessorCount": 132}) is None


def test_the_bandwidth_counts_what_is_read_and_what_is_written(small, monkeypatch):
    monkeypatch.setattr(small.namespace().cuda, "get_elapsed_time", lambda start, end: 0.5)
    assert gpu_card.card() == ("Strict double of a GPU", 2 * 2**20 / 0.5e-3, 2 * 128 * 100 * 1e9)


def test_the_result_is_printed_and_written(small, monkeypatch, tmp_path, capsys):
    assert gpu.main(["--rounds", "2", "--steps", "1", "--results", str(tmp_path / "new")]) == 0
    [path] = (tmp_path / "new").iterdir()
    assert re.fullmatch(r"gpu-\d{4}-\d\d-\d\d-Strict-double-of-a-GPU\.md", path.name)
    text = path.read_text(encoding="utf-8")
    printed, errors = capsys.readouterr()
    assert (printed, errors) == (text + f"\nwritten to {path}\n", "")
    title, _, about, *_ = text.splitlines()
    assert title.startswith("# Strict double of a GPU, 20")
    for part in ("tinygrad_sm 0.", "driver ", "CUDA 13.0", "CuPy 14.", f"NumPy {np.__version__}", "Python 3.", "GB/s"):
        assert part in about
    assert "PyTorch is not installed" in about
    assert "26 TFLOP/s in float32" in about
    rows = re.findall(r"^\| tinygrad_sm \| \d+\.\d \[\d+\.\d, \d+\.\d\] \| — \| (\S+) \|$", text, re.MULTILINE)
    assert [float(row) < 2e-6 for row in rows] == [True, True]
    for task in (FLAGSHIP, MLP):
        assert f"| {task} | µs a step [quartiles] | ratio to PyTorch [quartiles] | relative error |" in text
        assert f"Floor: {gpu_card.floor(task).bytes:,} bytes, {gpu_card.floor(task).operations:,} operations: " in text
    assert text.count("Target: tinygrad_sm at most 1.0 × PyTorch, both eager: not measured.") == 2


def test_alternatives_take_turns_and_the_first_round_does_not_count(small, monkeypatch):
    runs = []

    def prepare(program, task, least_steps):
        def run():
            runs.append(program)
            return float(len(runs))

        return run

    monkeypatch.setattr(gpu, "microseconds", prepare)
    times = gpu.measure({"tinygrad_sm": TinygradSM, "PyTorch": Twin}, FLAGSHIP, rounds=20, steps=1)
    rounds = [set(runs[i : i + 2]) for i in range(0, 42, 2)]
    assert rounds == [{TinygradSM, Twin}] * 21
    assert len({tuple(runs[i : i + 2]) for i in range(0, 42, 2)}) == 2  # neither is always the first
    assert sorted(times["tinygrad_sm"] + times["PyTorch"]) == list(range(3, 43))


def test_the_tables_compare_with_pytorch():
    card = Card("X", bandwidth=1e9, peak=1e12)
    times = {"tinygrad_sm": [10.0, 12.0, 8.0], "PyTorch": [20.0, 20.0, 20.0]}
    times |= {"CuPy, a CUDA graph": [5.0] * 3, "PyTorch, a CUDA graph": [10.0] * 3}
    lines = gpu.table(FLAGSHIP, times, dict.fromkeys(times, 1e-6), card)
    assert lines[2] == "| tinygrad_sm | 10.0 [9.0, 11.0] | 0.50 [0.45, 0.55] | 1.0e-06 |"
    assert lines[3] == "| PyTorch | 20.0 [20.0, 20.0] | 1 | 1.0e-06 |"
    assert lines[-2] == "Target: tinygrad_sm at most 1.0 × PyTorch, both eager: 0.50, reached."
    assert lines[-1] == "Of the graphs, CuPy's takes 0.50 [0.50, 0.50] × as long as PyTorch's."
    slow = {"tinygrad_sm": [30.0] * 3, "PyTorch": [20.0] * 3}
    assert gpu.table(MLP, slow, dict.fromkeys(slow, 1e-6), card)[-1].endswith("both eager: 1.50, missed.")


def test_what_computes_something_else_is_not_timed(small, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(gpu, "TASKS", [(FLAGSHIP, {"tinygrad_sm": TinygradSM, "other": SlightlyWrong})])
    monkeypatch.setattr(gpu, "measure", lambda *args: pytest.fail("it was timed"))
    assert gpu.main(["--rounds", "1", "--results", str(tmp_path)]) == 1
    message = capsys.readouterr().err
    start = "benchmarks.gpu: 784–10, batch 64: other has trained parameters with a relative error of 1.0e-03, against "
    assert message == start + "float64 on the CPU; expected less than 1e-04: nothing is timed\n"
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_dies_is_named(small, monkeypatch, tmp_path, capsys):
    class Dead(InProcess):
        def run(self):
            raise EOFError

    tasks = [(FLAGSHIP, {"tinygrad_sm": TinygradSM}), (MLP, {"tinygrad_sm": TinygradSM})]
    monkeypatch.setattr(gpu, "TASKS", tasks)
    monkeypatch.setattr(
        gpu, "Worker", lambda *args, **setting: (Dead if setting["task"] is MLP else InProcess)(*args, **setting)
    )
    assert gpu.main(["--rounds", "1", "--steps", "1", "--results", str(tmp_path)]) == 1
    message = capsys.readouterr().err
    assert message == f"benchmarks.gpu: {MLP}: tinygrad_sm has failed; its process has told above why\n"
    [path] = tmp_path.iterdir()
    assert str(FLAGSHIP) in path.read_text(encoding="utf-8")  # what was measured before is kept


def test_what_is_measured_can_be_sent_to_other_processes():
    sent = gpu.TASKS, gpu_steps.relative_error, gpu_steps.microseconds
    assert pickle.loads(pickle.dumps(sent)) == sent
    eager = [task for task, programs in gpu.TASKS if programs is gpu.EAGER]
    assert [(task.sizes, task.batch_size) for task in eager[:3]] == [((784, 10), n) for n in (128, 1024, 8192)]
    assert eager[3].sizes == (784, 256, 10)


def wrong_kernel(g, lr, momentum, weight_decay, nesterov, theta, v):
    plain_kernels.momentum_step(g, lr, momentum * 0.999, weight_decay, nesterov, theta, v)


def nan_kernel(g, lr, momentum, weight_decay, nesterov, theta, v):
    plain_kernels.momentum_step(g * np.float32(np.nan), lr, momentum, weight_decay, nesterov, theta, v)


@of_the_wing
@pytest.mark.parametrize("kernel", [wrong_kernel, nan_kernel])
def test_an_error_in_a_kernel_is_found(kernel, small, monkeypatch):
    gpu.check({"tinygrad_sm": TinygradSM}, FLAGSHIP)
    monkeypatch.setitem(strict_cupy.PLAIN_KERNELS, "momentum_step", kernel)
    with pytest.raises(gpu.WrongResultError, match="tinygrad_sm has trained parameters with a relative error of"):
        gpu.check({"tinygrad_sm": TinygradSM}, FLAGSHIP)


def test_the_file_has_the_day_and_the_gpu_in_its_name():
    names = {"NVIDIA H200": "NVIDIA-H200", "Quadro RTX 4000 (Max-Q)": "Quadro-RTX-4000-Max-Q"}
    for name, part in names.items():
        path = gpu.result_file(Path("results"), name, DAY)
        assert path == Path("results", f"gpu-2026-02-03-{part}.md")


@pytest.mark.gpu
@pytest.mark.skipif(not HAS_GPU, reason="needs a GPU")
@pytest.mark.parametrize("program", [TinygradSM, gpu_graph.CuPyGraph])
def test_on_a_gpu(program):
    assert gpu_steps.relative_error(program, FLAGSHIP)() < 2e-5
    assert gpu_steps.microseconds(program, FLAGSHIP, least_steps=1)() > 0


@pytest.mark.skipif(HAS_GPU, reason="there is a GPU here")
def test_without_a_gpu_it_says_what_is_missing(tmp_path):
    command = [sys.executable, "-m", "benchmarks.gpu", "--results", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, list(tmp_path.iterdir())) == (2, "", [])
    [line] = done.stderr.splitlines()
    assert line.startswith("benchmarks.gpu: ")
    assert "CuPy" in line


@pytest.mark.parametrize(
    ("installed", "printed", "expected"),
    [
        (False, "", ("PyTorch is not installed", False)),
        (True, "2.9.0+cpu None False", ("PyTorch 2.9.0+cpu finds no GPU", False)),
        (True, "2.9.0+cu130 13.0 True", ("PyTorch 2.9.0+cu130 with CUDA 13.0", True)),
        (True, "", ("PyTorch cannot be imported", False)),
    ],
)
def test_what_is_said_of_pytorch(installed, printed, expected, monkeypatch):
    monkeypatch.setattr(gpu_card.importlib.util, "find_spec", lambda name: installed or None)
    monkeypatch.setattr(gpu_card, "output", lambda *command: printed)
    assert gpu_card.pytorch() == expected


def test_a_program_that_is_not_there_or_fails_prints_nothing():
    assert gpu_card.output(sys.executable, "-c", "print(3)") == "3"
    assert gpu_card.output(sys.executable, "-c", "print(3); raise SystemExit(1)") == ""
    assert gpu_card.output("no such program") == ""


needs_compiler = pytest.mark.skipif(cuda_on_the_host.COMPILER is None, reason="needs a C++ compiler")
GRAPH_TASK = Task((784, 10), 18, examples=60)  # not a multiple of what a block holds; of its slices, one is longer
KERNELS = [launch.kernel for launch in gpu_graph.launches(GRAPH_TASK)]


@needs_compiler
def test_the_graph_trains_as_float64_by_hand_does(strict, monkeypatch, tmp_path):
    cuda_on_the_host.replace_raw_modules(monkeypatch, tmp_path, KERNELS)
    trained = gpu_graph.CuPyGraph(GRAPH_TASK)
    strict.EVENTS.clear()
    for batch in trained.epoch():
        trained.step(batch)
    assert (strict.EVENTS["sync"], strict.EVENTS["launch"]) == (0, 1 + 3 * GRAPH_TASK.steps)
    for theta, right in zip(trained.parameters(), gpu_steps.reference(GRAPH_TASK), strict=True):
        np.testing.assert_allclose(theta, right, rtol=1e-4, atol=1e-6)

    images, labels = gpu_steps.data(GRAPH_TASK)
    weight, bias = (p.astype(float) for p in gpu_steps.first_parameters(GRAPH_TASK).values())
    rows = gpu_steps.order(GRAPH_TASK, 0)[0]
    z = images[rows].reshape(len(rows), -1) / 255 @ weight.T + bias
    losses = np.log(np.exp(z).sum(axis=1)) - z[range(len(rows)), labels[rows]]
    np.testing.assert_allclose(trained.buffers["losses"].get()[0], losses, rtol=1e-5)
    assert trained.buffers["losses"].get().all()


ERRORS = [
    ("(c == labels[row] ? 1.0f : 0.0f)", "(c == 3 ? 1.0f : 0.0f)"),
    ("if (i == 0) ++*step;", ""),
    ("b += SLICES", "b += SLICES + 1"),
    ("MOMENTUM * velocity[i] + g", "velocity[i] + g"),
]


@needs_compiler
@pytest.mark.parametrize(("right", "wrong"), ERRORS if IN_FULL else ERRORS[:1])
def test_an_error_in_the_graphs_kernels_is_found(right, wrong, small, monkeypatch, tmp_path):
    assert gpu_graph.SOURCE.count(right) == 1
    monkeypatch.setattr(gpu_graph, "SOURCE", gpu_graph.SOURCE.replace(right, wrong))
    cuda_on_the_host.replace_raw_modules(monkeypatch, tmp_path, KERNELS)
    with pytest.raises(gpu.WrongResultError, match="graph has trained"):
        gpu.check({"graph": gpu_graph.CuPyGraph}, GRAPH_TASK)


def test_the_graphs_kernels_are_cuda(tmp_path):
    cubin = compiled(gpu_graph.source(Task((784, 10), 128)), tmp_path)
    assert all(name.encode() in cubin for name in KERNELS)


def compiled(code, folder):
    """Return machine code made by NVRTC, as CuPy would, or else by nvcc; neither needs a GPU."""
    options = ("-std=c++17", "-arch=sm_90")
    try:
        from cupy.cuda.compiler import _NVRTCProgram

        program = _NVRTCProgram(code, "kernels.cu", method="cubin")
    except (ImportError, RuntimeError):  # no CuPy, or none of CUDA's libraries
        nvcc = shutil.which("nvcc") or pytest.skip("needs CuPy with NVRTC, or nvcc")
        source, cubin = folder / "kernels.cu", folder / "kernels.cubin"
        source.write_text(code)
        subprocess.run([nvcc, *options, "-cubin", "-o", cubin, source], check=True, capture_output=True)
        return cubin.read_bytes()
    return program.compile(options)[0]
