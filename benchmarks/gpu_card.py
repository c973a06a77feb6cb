"""What a GPU is and can do, and the least that a training step asks of it."""

import importlib.util
import platform
import re
import statistics
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

import tinygrad_sm as tg
from benchmarks.gpu_steps import Task

COPIED = 2**28
"""Bytes of the array whose copy is timed: far more than any cache holds."""

LANES = {"70": 64, "75": 64, "80": 64, "86": 128, "87": 128, "89": 128, "90": 128, "100": 128, "103": 128, "120": 128}
"""Float32 units of a multiprocessor by compute capability: the CUDA C++ Programming Guide, table of throughputs."""


class Card(NamedTuple):
    """A GPU: its name, bytes a second that a copy moves, and float32 operations a second, None if not known."""

    name: str
    bandwidth: float
    peak: float | None


class Floor(NamedTuple):
    """What a step cannot do without: bytes through the GPU's memory, and floating-point operations."""

    bytes: int
    operations: int

    def microseconds(self, card: Card) -> float:
        """Return the time that the scarcer of the two takes at least; the bytes alone if the peak is not known."""
        return 1e6 * max(self.bytes / card.bandwidth, self.operations / card.peak if card.peak else 0)


def floor(task: Task) -> Floor:
    """Return the floor of a step, from shapes alone.

    Of each example the pixels (uint8), the label and its place in the order (int64) are read once; each parameter and
    its velocity (float32) are read and written once. What is between need never leave the chip. An operation is a
    multiplication or an addition: layers multiply their inputs forward, and backward for the gradient of the weights
    and, but for the first layer, for that of its inputs.
    """
    products = [n * m for n, m in zip(task.sizes, task.sizes[1:], strict=False)]
    parameters = sum(products) + sum(task.sizes[1:])
    example = task.sizes[0] + 8 + 8
    return Floor(
        bytes=task.batch_size * example + 4 * 4 * parameters,
        operations=2 * task.batch_size * (3 * sum(products) - products[0]),
    )


def peak(capability: str, attributes: Mapping[str, int]) -> float | None:
    """Return the float32 operations a second of a GPU: two, as a fused multiply-add, in each unit and cycle."""
    try:
        return 2.0 * LANES[capability] * attributes["MultiProcessorCount"] * 1e3 * attributes["ClockRate"]
    except KeyError:
        return None


def card() -> Card:
    """Return the current GPU, its bandwidth measured by copies from one of its arrays to another."""
    import cupy

    source = cupy.zeros(COPIED, np.uint8)
    target = cupy.zeros(COPIED, np.uint8)
    milliseconds = []
    for _ in range(11):
        start, end = cupy.cuda.Event(), cupy.cuda.Event()
        start.record()
        cupy.copyto(target, source)
        end.record()
        end.synchronize()
        milliseconds.append(cupy.cuda.get_elapsed_time(start, end))
    device = cupy.cuda.Device()
    bandwidth = 2 * COPIED / (1e-3 * statistics.median(milliseconds[1:]))  # read and written
    return Card(name(), bandwidth, peak(device.compute_capability, device.attributes))


def name() -> str:
    """Return the name of the current GPU."""
    import cupy

    return cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)["name"].decode()


def versions(pytorch: str) -> str:
    """Return the versions that figures depend on, in one line."""
    import cupy

    runtime = cupy.cuda.runtime
    toolkit, most = (f"{v // 1000}.{v % 1000 // 10}" for v in (runtime.runtimeGetVersion(), runtime.driverGetVersion()))
    about = [f"tinygrad_sm {tg.__version__}", f"driver {driver()} (up to CUDA {most})", f"CUDA {toolkit}"]
    about += [f"CuPy {cupy.__version__}", f"NumPy {np.__version__}", f"Python {platform.python_version()}", pytorch]
    return ", ".join(about)


def driver() -> str:
    """Return the version of the driver, which nvidia-smi tells."""
    told = output("nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader")
    return told.splitlines()[0] if told else "of unknown version"


def pytorch() -> tuple[str, bool]:
    """Return what is to be said of PyTorch, and whether it can be compared with; a process of its own looks."""
    if importlib.util.find_spec("torch") is None:
        return "PyTorch is not installed", False
    look = "import torch; print(torch.__version__, torch.version.cuda, torch.cuda.is_available())"
    found = re.fullmatch(r"(\S+) (\S+) (True|False)", output(sys.executable, "-c", look))
    if not found:
        return "PyTorch cannot be imported", False
    version, cuda, is_available = found.groups()
    if is_available == "False":
        return f"PyTorch {version} finds no GPU", False
    return f"PyTorch {version} with CUDA {cuda}", True


def output(*command: Any) -> str:
    """Return what a command prints, "" if it fails."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
