"""Copies of the package that hold answers, and the processes that run in them.

with copy_with({exercise_named("exp"): "exp.vjp(lambda g, out, x: g)"}) as folder:
    done = run(folder, "-m", "tinygrad_sm.exercises.outcomes", "exp", "20", "found.json", seconds=40)
"""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from tinygrad_sm.exercises.exercise import Exercise
from tinygrad_sm.exercises.package import copy_source, source_of
from tinygrad_sm.exercises.pieces import spliced

MOST = 20_000
"""So many bytes of what a process writes are read, from its end: an answer may print without one."""


@contextmanager
def copy_with(answers: Mapping[Exercise, str], with_data: bool = False) -> Iterator[Path]:
    """Copy the package into a folder, with these answers in it, and remove it afterwards."""
    with tempfile.TemporaryDirectory() as name:
        package = copy_source(Path(name), with_data)
        for path in {exercise.path for exercise in answers}:
            mine = {exercise: answer for exercise, answer in answers.items() if exercise.path == path}
            (package / path).write_text(spliced(source_of(path), mine), encoding="utf-8")
        yield Path(name)


def run(folder: Path, *arguments: str, seconds: float) -> subprocess.CompletedProcess[str]:
    """Run Python where the package in a folder is the package, in its plain form: a wing would pass an answer by.

    Nothing can be read by it, and what it has started ends with it.
    """
    environment = {
        **os.environ,
        "PYTHONPATH": str(folder),
        "TINYGRAD_SM_PLAIN": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONIOENCODING": "utf-8:backslashreplace",
    }
    command = [sys.executable, "-P", *arguments]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as error:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=error,
            env=environment,
            cwd=folder,
            start_new_session=True,
        )
        try:
            status = process.wait(seconds)
        finally:
            _end(process)
        return subprocess.CompletedProcess(command, status, _end_of(out), _end_of(error))


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a process and all that it has started."""
    with suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()
    process.wait()


def _end_of(file: IO[bytes]) -> str:
    file.seek(max(0, file.seek(0, os.SEEK_END) - MOST))
    return file.read().decode("utf-8", "replace")
