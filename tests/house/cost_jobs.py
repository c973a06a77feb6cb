"""Fixed jobs and what they cost, in figures that are the same in every run; what is done with them: `test_cost.py`.

`make record` writes the figures of today into cost_recorded.json. The data are random numbers of a fixed seed, and so
are the first parameters.
"""

import json
import math
import os
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import numpy as np

import tinygrad_sm as tg
from tests.house.cost_counter import CountedArray, counted
from tinygrad_sm import datasets, nn
from tinygrad_sm.check.cases import CASES, OpCase
from tinygrad_sm.engine.mode import Observer, observe
from tinygrad_sm.engine.tape import count_uses, gradients

RECORDED = Path(__file__).parent / "cost_recorded.json"
BATCH = 128
PACKAGE = tuple(f"{Path(module.__file__).parent}{os.sep}" for module in (tg, nn, datasets))
INLINED = {"<listcomp>", "<dictcomp>", "<setcomp>"}
"""Comprehensions are functions to Python 3.11, and no more to 3.12."""

Job = Callable[[], None]


def flagship(steps: int) -> Job:
    """Return steps of softmax regression on images of MNIST's shape, by SGD, with the loss read in each."""
    return _training(steps, nn.Sequential(nn.Flatten(), nn.Linear(784, 10)), nn.optim.SGD)


def mlp(steps: int) -> Job:
    """Return steps of a perceptron 784-256-10 on such images, by Adam."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))
    return _training(steps, model, nn.optim.Adam)


def _training(steps: int, model: nn.Module, optimizer_type: type[nn.optim.Optimizer]) -> Job:
    random = np.random.default_rng(0)
    for parameter in model.parameters():
        parameter.assign(random.uniform(-0.03, 0.03, parameter.shape).astype(np.float32))
    images = random.random((steps * BATCH, 1, 28, 28), np.float32)
    loader = datasets.DataLoader((images, random.integers(0, 10, len(images))), BATCH, shuffle=True)
    loss_function, optimizer = nn.CrossEntropyLoss(), optimizer_type(model.parameters(), lr=0.01)

    def run() -> None:
        for x, labels in loader:
            loss = loss_function(model(x), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()

    return run


def chain(steps: int) -> Job:
    """Return 20 small operations for each step, all in one chain, each of 10 numbers and a scalar; and their backward.

    50 steps are 1,000 operations.
    """
    x = tg.ones(10, requires_grad=True)

    def run() -> None:
        h = x
        for _ in range(10 * steps):
            h = h * 1.0001 + 0.5
        h.sum().backward()

    return run


ROWS = [case for case in CASES if all(math.prod(shape) for shape in case.fixed)]
"""The rows of the table of op cases, but for those of empty arrays: there is nothing to count."""

JOBS = {job.__name__: job for job in (flagship, mlp, chain)}


def cost(make_job: Callable[[int], Job], steps: int = 50) -> dict[str, int]:
    """Return what so many steps of a job cost: see `test_cost.py`."""
    make_job(2)()  # what is made once, when it is first needed, is no cost of a step
    calls, operations = _calls(make_job(steps)), OperationCount()
    with observe(operations):
        make_job(steps)()
    with counted() as counts:
        make_job(2)()  # arrays that count are another type, for which some things are made once too
        job = make_job(steps)
        counts.reset()
        job()
    return {"calls": calls, **vars(operations), **vars(counts), "peak_bytes": _peak(make_job(5))}


class OperationCount(Observer):
    """Counts the operations that are called."""

    def __init__(self) -> None:
        self.operations = 0

    def forward(self, op: Any, forward: Callable[..., Any]) -> Callable[..., Any]:
        """Count one."""
        self.operations += 1
        return forward


def _calls(job: Job) -> int:
    """Return how often functions of the package were called, and by these functions that are written in C."""
    found = 0
    is_ours: dict[CodeType, bool] = {}

    def count(frame: FrameType, event: str, argument: Any) -> None:
        nonlocal found
        if event in ("call", "c_call"):
            code = frame.f_code
            if code not in is_ours:
                is_ours[code] = code.co_filename.startswith(PACKAGE)
            if is_ours[code] and not (event == "call" and code.co_name in INLINED):
                found += 1

    watch(job, count)
    return found


def watch(job: Callable[[], Any], note: Callable[[FrameType, str, Any], None]) -> None:
    """Run the job, and let `note` be told of each call that it makes."""
    before = sys.getprofile()
    sys.setprofile(note)
    try:
        job()
    finally:
        sys.setprofile(before)


def _peak(job: Job) -> int:
    """Return how many bytes more than before it the job holds at its worst, in arrays and other objects."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        job()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


def case_id(case: OpCase) -> str:
    """Return the name of a row of the table of op cases in the record."""
    return f"{case.label} of {', '.join(map(str, case.fixed))}"


def elements(case: OpCase) -> tuple[int, int]:
    """Return the element operations of the forward, and of forward and backward together.

    Where the forward computes less, as a view does, it counts as much as its largest operand or result has elements:
    a function reads its arguments and writes its values at the least, and a gradient is as large as they are.
    """
    with counted() as counts:
        operands = [tg.Tensor(x, requires_grad=True) for x in case.operands(case.fixed)]
        counts.reset()
        out = case(*operands)
        forward = counts.elements
        g = np.ones(out.shape, out.dtype).view(CountedArray)
        gradients({out: g}, count_uses([out]))
        backward = counts.elements - forward
    forward = max(forward, *(x.size for x in (*operands, out)))
    return forward, forward + backward


def measured() -> dict[str, dict[str, int]]:
    """Return all figures of today."""
    figures = {name: cost(make_job) for name, make_job in JOBS.items()}
    return {**figures, "elements of operations": {case_id(case): elements(case)[1] for case in ROWS}}


def record() -> None:
    """Write the figures of today into the record."""
    RECORDED.write_text(json.dumps(measured(), indent=1) + "\n")
