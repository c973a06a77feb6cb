"""The last check of a chapter is real: the flagship trains on what the learner wrote.

    train(chapter, {exercise: "exp.vjp(lambda g, out, x: g * out)", ...})
    Training(accuracy=92.6, sentence="")

It is trained in a form in which the chapter's pieces run. Everything else in the copy is the solution. It runs in its
plain form, in a process of its own.
"""

import re
import subprocess
from collections.abc import Mapping
from typing import NamedTuple

from tinygrad_sm.exercises.exercise import Chapter, Exercise
from tinygrad_sm.exercises.flagship import FORMS
from tinygrad_sm.exercises.running import copy_with, run

ENOUGH = 92.5
"""The accuracy, in percent of the test images, with which a training is passed. The solution reaches 92.6."""

LONGEST = 300.0
"""The seconds after which a training is ended. It takes from 4, on a quick machine, to 60 on two slow cores."""


class Training(NamedTuple):
    """What a training reached, in percent, and what went wrong; "" if nothing did."""

    accuracy: float
    sentence: str


def train(chapter: Chapter, answers: Mapping[Exercise, str]) -> Training:
    """Train the flagship with these answers in the source, and test it."""
    with copy_with(answers, with_data=True) as folder:
        try:
            done = run(folder, "-m", "tinygrad_sm.exercises.flagship", chapter.name, seconds=LONGEST)
        except subprocess.TimeoutExpired:
            return Training(0.0, f"the training had not ended after {LONGEST:.0f} seconds")
    if done.returncode:
        *_, last = done.stderr.strip().splitlines() or ["the process ended without a word"]
        return Training(0.0, f"the training broke off: {last}")
    reached = [float(number) for number in re.findall(r": test accuracy ([\d.]+) %", done.stdout)]
    if len(reached) < len(FORMS[chapter.name].optimizers):
        return Training(0.0, "the training ended before its end: does a piece call exit()?")
    accuracy = min(reached)
    if accuracy < ENOUGH:
        said = f"the training reaches {accuracy:.2f} % of the test images, and {ENOUGH} % is expected"
        return Training(accuracy, f"{said}: some piece is right on the questions, and not in float32 or on many images")
    return Training(accuracy, "")
