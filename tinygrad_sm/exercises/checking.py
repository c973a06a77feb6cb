"""Checking a workbook: every answer is judged, and where a chapter is complete, its training runs.

for result in check(open_book(Path("work")), exercises):
    print(result.name, result.state, result.sentence)
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import NamedTuple

from tinygrad_sm.exercises.chapter_check import Training, train
from tinygrad_sm.exercises.exercise import Chapter, Exercise
from tinygrad_sm.exercises.grading import Verdict, judge
from tinygrad_sm.exercises.pieces import AnswerError
from tinygrad_sm.exercises.workbook import Book, BookError, answer_of, changed_files, digest, place_of


class Result(NamedTuple):
    """What a check says of an exercise, a chapter or a file; `check --json` prints these as a list of dicts.

    kind : "exercise", "chapter" or "file".
    state : of an exercise "right", "wrong", "empty", or "lost" if the answer cannot be found or read; of a chapter
        "right", "wrong", or "empty" while exercises of it are not right; of a file "changed".
    sentence, is_named, question, expected, got, printed : as in `Verdict`.
    file, line : where the answer stands, or its error.  accuracy : of a chapter's training, in percent.
    hints : how many were shown.  is_solution_shown : whether the solution was.
    """

    kind: str
    name: str
    chapter: str
    state: str
    sentence: str = ""
    is_named: bool = False
    question: str = ""
    expected: str = ""
    got: str = ""
    file: str = ""
    line: int = 0
    printed: str = ""
    accuracy: float = 0.0
    hints: int = 0
    is_solution_shown: bool = False


def check(
    book: Book, exercises: Sequence[Exercise], afresh: bool = False, say: Callable[[str], None] = print
) -> Iterator[Result]:
    """Yield what is to be said of the files, of these exercises, and of the chapters that have any of them.

    afresh : believe nothing that the folder says of itself; otherwise what was found right before stays right.
    say : told before something takes long.
    """
    for path in changed_files(book):
        said = "this file was changed outside of the marks, or is gone; what stands between them is judged nevertheless"
        yield Result("file", path, "", "changed", said, file=path)
    if afresh:
        book.verdicts, book.trainings = {}, {}
    chapter_of = {exercise.name: chapter.name for chapter in book.chapters() for exercise in chapter.exercises}
    for exercise in exercises:
        yield _judged(book, exercise, chapter_of[exercise.name])
    for chapter in book.chapters():
        if not set(exercises).isdisjoint(chapter.exercises):
            yield _trained(book, chapter, say)


def _judged(book: Book, exercise: Exercise, chapter: str) -> Result:
    name = exercise.name
    hints, is_shown = book.hints.get(name, 0), name in book.shown
    file = place_of(book, exercise)
    try:
        answer = answer_of(book, exercise)
    except AnswerError as error:
        book.verdicts.pop(name, None)
        return Result("exercise", name, chapter, "lost", str(error), file=file, hints=hints, is_solution_shown=is_shown)
    if book.is_known_right(name, answer.text):
        verdict = Verdict(name, "right")
    else:
        try:
            verdict = judge(exercise, answer)
        except OSError as error:
            raise BookError(
                f"an answer runs in a copy of the package, in a process of its own, and none can be had here: {error}"
            ) from error
    book.verdicts[name] = [digest(answer.text), verdict.state]
    result = Result("exercise", name, chapter, verdict.state, file=file, hints=hints, is_solution_shown=is_shown)
    return result._replace(**{**verdict._asdict(), "line": verdict.line or answer.lineno})


def _right_answers(book: Book, chapter: Chapter) -> dict[Exercise, str]:
    """Return the answers to a chapter that stand in the folder and were found right."""
    found = {}
    for exercise in chapter.exercises:
        with suppress(AnswerError):
            answer = answer_of(book, exercise)
            if book.is_known_right(exercise.name, answer.text):
                found[exercise] = answer.text
    return found


def _trained(book: Book, chapter: Chapter, say: Callable[[str], None]) -> Result:
    """Return what the training of a chapter reached; it runs if all of its exercises are right and it has not yet."""
    right = _right_answers(book, chapter)
    missing = [exercise.name for exercise in chapter.exercises if exercise not in right]
    if missing:
        said = f"the flagship trains with your pieces as soon as these are right too: {', '.join(missing)}"
        return Result("chapter", chapter.name, chapter.name, "empty", said)
    mine = digest("".join(right.values()))
    if book.trainings.get(chapter.name, [""])[0] != mine:
        say(f"{chapter.title}: all right. The flagship trains with your pieces: from 4 to 60 seconds.")
        training = _training(chapter, right)
        if training.sentence:
            return Result("chapter", chapter.name, chapter.name, "wrong", training.sentence, accuracy=training.accuracy)
        book.trainings[chapter.name] = [mine, training.accuracy]
    accuracy = book.trainings[chapter.name][1]
    said = f"the flagship reaches {accuracy:.2f} % of MNIST's test images with your pieces"
    return Result("chapter", chapter.name, chapter.name, "right", said, accuracy=accuracy)


def _training(chapter: Chapter, answers: dict[Exercise, str]) -> Training:
    try:
        return train(chapter, answers)
    except OSError as error:
        raise BookError(f"the training runs in a process of its own, and none can be had here: {error}") from error
