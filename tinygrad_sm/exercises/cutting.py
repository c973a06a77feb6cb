"""The texts of a workbook: files with holes, in which stands what is to be written, and no text that gives it away."""

import textwrap
from collections.abc import Iterable, Sequence

from tinygrad_sm.exercises.exercise import Exercise
from tinygrad_sm.exercises.package import source_of
from tinygrad_sm.exercises.pieces import cut, opening

FORWARDER = '''"""Ask the installed package: this copy of it has holes."""

import os
import subprocess
import sys
from pathlib import Path


def main() -> int:
    here = Path(__file__).resolve().parents[2]
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    others = [path for path in paths if path and Path(path).resolve() != here]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(others), "TINYGRAD_SM_ASKED": "1"}
    if "TINYGRAD_SM_ASKED" in os.environ:
        print("there is only this copy, with holes, and no installed package to ask: install it", file=sys.stderr)
        return 2
    return subprocess.call([sys.executable, "-P", "-m", "tinygrad_sm.exercises", *sys.argv[1:]], env=environment)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
'''
"""The copy's own `python -m tinygrad_sm.exercises`, which runs if somebody works inside of the folder."""


def texts_with_holes(exercises: Sequence[Exercise]) -> dict[str, str]:
    """Return {path: text} of the files that have holes, or texts to hide, for these exercises."""
    texts = cut(exercises, source_of)
    return {path: with_tasks(text, [e for e in exercises if e.path == path]) for path, text in texts.items()}


def with_tasks(text: str, exercises: Iterable[Exercise]) -> str:
    """Return a file in which the task stands below the mark of each hole."""
    lines = text.splitlines(keepends=True)
    for exercise in exercises:
        place = next(i for i, line in enumerate(lines) if line.strip() == opening(exercise.name))
        indent = lines[place].partition("#")[0]
        lines[place] += textwrap.indent(task(exercise), indent)
    return "".join(lines)


def task(exercise: Exercise) -> str:
    """Return the task as lines of comment."""
    return "".join(f"# {line}\n" for line in textwrap.wrap(exercise.task, 100))
