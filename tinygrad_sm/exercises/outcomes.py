"""What an answer does: the outcomes of an exercise's probes, in the process whose package holds the answer.

    python -m tinygrad_sm.exercises.outcomes softmax 20 found.json                # writes them there
    python -m tinygrad_sm.exercises.outcomes softmax 20 found.json answers.json   # those of each of these answers

An outcome is an array, another value, or an error with the lines of the answer's file that led to it. Two answers are
the same if all of their outcomes are. Numbers agree within 1e-9 of the largest: an answer may add in another order.
They are written to a file, because an answer may print.
"""

import faulthandler
import io
import json
import sys
import traceback
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tinygrad_sm.exercises.chapters import exercise_named
from tinygrad_sm.exercises.exercise import Exercise
from tinygrad_sm.exercises.planting import planted

RTOL = 1e-9

MOST_PRINTED = 1000


class Outcome(NamedTuple):
    """The outcome of a probe.

    value : nested lists of numbers, or text; of an error, its message.
    kind : "array", with shape and dtype; "value"; "error", with the error's type as dtype.
    lines : of an error the lines of the exercise's file that led to it, the innermost one last.
    printed : what the answer printed meanwhile, or the beginning of it.
    part, stage : of the question.
    """

    question: str
    kind: str
    value: Any
    shape: tuple[int, ...] = ()
    dtype: str = ""
    lines: tuple[int, ...] = ()
    printed: str = ""
    part: str = ""
    stage: int = 0

    def same(self, other: "Outcome") -> bool:
        """Whether two outcomes are the same; of errors the type decides."""
        if (self.kind, self.dtype, tuple(self.shape)) != (other.kind, other.dtype, tuple(other.shape)):
            return False
        if self.kind == "error":
            return True
        if self.kind == "value":
            return bool(self.value == other.value)
        a, b = np.array(self.value, float), np.array(other.value, float)
        size = np.abs(b[np.isfinite(b)]).max(initial=0)
        return bool(np.allclose(a, b, rtol=RTOL, atol=RTOL * size, equal_nan=True))

    def alike(self, other: "Outcome") -> bool:
        """Whether they are the same, and of errors the message too: other mistakes raise errors of the same type."""
        return self.same(other) and (self.kind != "error" or self.value == other.value)


class _Printed(io.StringIO):
    """Keeps the beginning of what is printed: an answer may print without an end."""

    def write(self, text: str) -> int:
        super().write(text[: max(0, MOST_PRINTED - self.tell())])
        return len(text)


def outcomes_of(exercise: Exercise) -> list[Outcome]:
    """Return the outcomes of the probes, with what the package is now."""
    found = []
    for probe in exercise.probes():
        try:
            with np.errstate(all="ignore"), redirect_stdout(_Printed()) as printed:
                outcome = _outcome(probe.question, probe.ask())
        except BaseException as error:  # noqa: BLE001  whatever an answer raises is its outcome, exit() too
            outcome = _of_error(probe.question, error, exercise.path)
        found.append(outcome._replace(part=probe.part, stage=probe.stage, printed=printed.getvalue()))
    return found


def _outcome(question: str, value: Any) -> Outcome:
    if hasattr(value, "numpy"):
        value = value.numpy()
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biufc":
        numbers = np.stack([value.real, value.imag], -1) if value.dtype.kind == "c" else np.asarray(value)
        return Outcome(question, "array", numbers.tolist(), np.shape(value), str(value.dtype))
    return Outcome(question, "value", json.loads(json.dumps(value, default=repr)))


def _of_error(question: str, error: BaseException, path: str) -> Outcome:
    frames = traceback.extract_tb(error.__traceback__)
    lines = tuple(frame.lineno or 0 for frame in frames if Path(frame.filename).as_posix().endswith(path))
    try:
        message = "\n".join([str(error), *getattr(error, "__notes__", ())])
    except Exception:  # noqa: BLE001  an error of the answer's own may not know its message
        message = ""
    return Outcome(question, "error", message, (), type(error).__name__, lines)


def outcomes_with(exercise: Exercise, answer: str) -> list[Outcome] | None:
    """Return the outcomes of an answer that is put into the running package; None if it cannot be."""
    try:
        with planted(exercise, answer):
            return outcomes_of(exercise)
    except (LookupError, SyntaxError, TypeError, ValueError):
        return None


def main(name: str, seconds: str, place: str, answers: str = "") -> None:
    """Write the outcomes of an exercise to a file, as JSON: a list, or one for each answer of a file with answers.

    seconds : after which an answer is taken to run forever. Then the process ends, and says at which line it was.
    """
    exercise = exercise_named(name)
    found: list[list[Outcome] | None] = []
    for answer in json.loads(Path(answers).read_text("utf-8")) if answers else [None]:
        faulthandler.dump_traceback_later(float(seconds), exit=True)
        found.append(outcomes_of(exercise) if answer is None else outcomes_with(exercise, answer))
    lists = [None if outcomes is None else [outcome._asdict() for outcome in outcomes] for outcomes in found]
    Path(place).write_text(json.dumps(lists), "utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
