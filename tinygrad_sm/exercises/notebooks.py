"""The exercises as notebooks, one for each chapter, and the magics by which their cells are judged.

    %load_ext tinygrad_sm.exercises

    %%exercise exp                  judges the text of the cell
    %hint exp                       gives a hint, and one more each time
    %solution exp                   shows the piece as it stands in the source
    %chapter rules                  trains the flagship with the chapter's pieces that were found right

A notebook is plain JSON of nbformat 4. IPython loads this file, and is not imported by it.
"""

import json
from collections.abc import Iterator
from typing import Any

from tinygrad_sm.exercises import cutting, readme
from tinygrad_sm.exercises.chapter_check import train
from tinygrad_sm.exercises.chapters import CHAPTERS, EXERCISES, exercise_named
from tinygrad_sm.exercises.exercise import Chapter, Exercise
from tinygrad_sm.exercises.grading import judge
from tinygrad_sm.exercises.package import source_of
from tinygrad_sm.exercises.pieces import Answer, AnswerError, around, hole, solution
from tinygrad_sm.exercises.words import hint_in_words, in_lines, next_hint

MAGIC = "%%exercise"


def notebook(chapter: Chapter) -> str:
    """Return the text of a chapter's notebook."""
    cells = [_markdown("title", f"# {chapter.title}\n\n{chapter.introduction}")]
    cells.append(_code("load", "%load_ext tinygrad_sm.exercises"))
    for exercise in chapter.exercises:
        cells += _cells_of(exercise)
    last = "When all are right, the flagship trains on MNIST with your pieces: from 4 to 60 seconds."
    cells += [_markdown("last", last), _code("training", f"%chapter {chapter.name}")]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    whole = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, ensure_ascii=False, indent=1) + "\n"


def _cells_of(exercise: Exercise) -> Iterator[dict[str, Any]]:
    where = f"In the source it stands in `tinygrad_sm/{exercise.path}`. About {exercise.minutes} minutes."
    said = f"## {exercise.title}\n\nRead before: {readme.reading(exercise)}.\n\n{exercise.task}\n\n{where}"
    if stands_in := around(exercise, EXERCISES, source_of):
        said += f"\n\n```python\n{stands_in}```"
    yield _markdown(f"{exercise.name}-task", said)
    yield _code(f"{exercise.name}-answer", cell_of(exercise).rstrip())
    yield _code(f"{exercise.name}-hint", f"# %hint {exercise.name}")


def cell_of(exercise: Exercise) -> str:
    """Return the cell in which an answer is to be written: the magic, the task and the hole."""
    return f"{MAGIC} {exercise.name}\n{cutting.task(exercise)}{hole(source_of(exercise.path), exercise)}"


def _markdown(name: str, text: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "id": name, "metadata": {}, "source": text.splitlines(keepends=True)}


def _code(name: str, text: str) -> dict[str, Any]:
    cell = {"cell_type": "code", "id": name, "metadata": {}, "source": text.splitlines(keepends=True)}
    return {**cell, "execution_count": None, "outputs": []}


def answer_in(text: str, name: str, where: str) -> Answer:
    """Return what stands in the cell of an exercise, of a notebook's text; AnswerError if there is not one cell."""
    try:
        cells = json.loads(text)["cells"]
        sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise AnswerError(f"{where} is no notebook: save it again in Jupyter") from None
    found = [source for source in map(str.lstrip, sources) if source.partition("\n")[0].split() == [MAGIC, name]]
    if len(found) != 1:
        raise AnswerError(
            f"{where}: expected one cell whose first line is '{MAGIC} {name}', and {len(found)} are there"
        )
    return Answer(found[0].partition("\n")[2] + "\n", 2)


class Session:
    """What a running notebook knows: the answers that were right, and how many hints were given."""

    def __init__(self) -> None:
        self.right: dict[Exercise, str] = {}
        self.hints: dict[str, int] = {}

    def exercise(self, line: str, cell: str) -> None:
        """Judge the text of a cell, and print the verdict."""
        exercise = _named(line)
        if exercise is None:
            return
        self.right.pop(exercise, None)
        verdict = judge(exercise, Answer(cell, 2))
        print(in_lines(verdict, f"line {verdict.line} of the cell" if verdict.line else ""))
        if verdict.state == "right":
            self.right[exercise] = cell

    def hint(self, line: str) -> None:
        """Print a hint of an exercise, and one more each time."""
        exercise = _named(line)
        if exercise is None:
            return
        self.hints[exercise.name] = next_hint(exercise, self.hints.get(exercise.name, 0))
        print(hint_in_words(exercise, self.hints[exercise.name]))

    def solution(self, line: str) -> None:
        """Print the piece of an exercise as it stands in the source."""
        exercise = _named(line)
        if exercise is not None:
            print(solution(source_of(exercise.path), exercise))

    def chapter(self, line: str) -> None:
        """Train the flagship with the right answers of a chapter, if they are all there."""
        chapter = next((c for c in CHAPTERS if c.name == line.strip()), None)
        if chapter is None:
            print(f"there is no chapter {line.strip()!r}; there are: {', '.join(c.name for c in CHAPTERS)}")
            return
        missing = [exercise.name for exercise in chapter.exercises if exercise not in self.right]
        if missing:
            print(f"not yet right, or not yet run in this session: {', '.join(missing)}")
            return
        print("The flagship trains with your pieces: from 4 to 60 seconds.", flush=True)
        training = train(chapter, {exercise: self.right[exercise] for exercise in chapter.exercises})
        print(f"✗ {training.sentence}" if training.sentence else f"✓ {training.accuracy:.2f} % of the test images")


def _named(line: str) -> Exercise | None:
    """Return the exercise that is named behind a magic, or None, when it has been said that there is none."""
    try:
        return exercise_named(line.strip())
    except LookupError as error:
        print(error.args[0])
        return None


def load(ipython: Any) -> None:
    """Register the magics."""
    session = Session()
    ipython.register_magic_function(session.exercise, magic_kind="cell", magic_name="exercise")
    ipython.register_magic_function(session.hint, magic_kind="line", magic_name="hint")
    ipython.register_magic_function(session.solution, magic_kind="line", magic_name="solution")
    ipython.register_magic_function(session.chapter, magic_kind="line", magic_name="chapter")
