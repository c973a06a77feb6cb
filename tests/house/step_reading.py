"""How much one must read to follow a training step of the flagship: the functions of the package that it enters.

    TINYGRAD_SM_PLAIN=1 python -m tests.house.step_reading

Lines are those of the functions entered, docstrings and comments included, since they are what is read. A comprehension
belongs to its function; a rule that is a lambda counts by itself, as it stands by itself under its forward.
"""

import inspect
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, NamedTuple

import numpy as np

from tests.house.cost_jobs import INLINED, PACKAGE, watch
from tinygrad_sm import nn


class Reading(NamedTuple):
    """What a step enters: how many functions, their lines by file, and how many calls it makes of them."""

    functions: int
    lines_by_file: Counter[str]
    calls: int

    @property
    def lines(self) -> int:
        """Return the lines of all files together."""
        return self.lines_by_file.total()

    @property
    def files(self) -> int:
        """Return the number of files."""
        return len(self.lines_by_file)

    def __str__(self) -> str:
        rows = [f"{lines:4} {name}" for name, lines in self.lines_by_file.most_common()]
        total = f"{self.functions} functions, {self.lines} lines, {self.files} files, by {self.calls} calls"
        return "\n".join([*rows, total])


def flagship_step() -> Callable[[], Any]:
    """Return one training step of softmax regression, after two that made what is made once."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    optimizer = nn.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    loss_function = nn.CrossEntropyLoss()
    images, labels = np.random.default_rng(0).random((8, 1, 28, 28), np.float32), np.arange(8)

    def step() -> None:
        loss = loss_function(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    step()
    step()
    return step


def reading(step: Callable[[], Any]) -> Reading:
    """Return what the step enters of the package."""
    entered: Counter[CodeType] = Counter()

    def note(frame: FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(PACKAGE) and code.co_name not in INLINED:
            entered[code] += 1

    watch(step, note)
    lines: Counter[str] = Counter()
    for code in entered:
        file = Path(code.co_filename)
        lines[f"{file.parent.name}{os.sep}{file.name}"] += len(inspect.getsource(code).rstrip().splitlines())
    return Reading(len(entered), lines, entered.total())


if __name__ == "__main__":
    print(reading(flagship_step()))
