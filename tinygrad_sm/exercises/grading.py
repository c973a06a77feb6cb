r"""Judging an answer: it is put into a copy of the source, runs there in a process of its own, and is compared.

    judge(exercise_named("exp"), Answer("exp.vjp(lambda g, out, x: out)\n", lineno=1))
    Verdict(name="exp", state="wrong", sentence="your rule forgets g: ...", is_named=True, ...)

Everything else in the copy is the solution, so that no answer is judged by what another exercise lacks.
"""

import ast
import json
import re
import signal
import subprocess
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from tinygrad_sm.exercises.exercise import Exercise
from tinygrad_sm.exercises.outcomes import Outcome
from tinygrad_sm.exercises.package import source_of
from tinygrad_sm.exercises.pieces import Answer, find, hole, solution, spliced
from tinygrad_sm.exercises.running import copy_with, run

LONGEST = 20.0
"""The seconds after which an answer is taken to run forever: the right ones take less than one."""


class Verdict(NamedTuple):
    """What is said of an answer.

    state : "right", "wrong", or "empty" for a hole nobody has written into.
    sentence : what is wrong, in the learner's words; "" if nothing is.  is_named : whether it names the mistake.
    question, expected, got : the smallest failing question, and the two outcomes in words.
    line : of the learner's file, of an error; 0 if there is none.
    printed : what the answer printed while it was asked this question.
    """

    name: str
    state: str
    sentence: str = ""
    is_named: bool = False
    question: str = ""
    expected: str = ""
    got: str = ""
    line: int = 0
    printed: str = ""


class Broken(NamedTuple):
    """An answer with which the package cannot be asked anything, and the lines of the file that are to blame."""

    sentence: str
    lines: tuple[int, ...] = ()


def judge(exercise: Exercise, answer: Answer) -> Verdict:
    """Judge an answer."""
    name = exercise.name
    if _is_unwritten(exercise, answer.text):
        return Verdict(name, "empty", "nothing is written here yet")
    try:
        ast.parse(spliced(source_of(exercise.path), {exercise: answer.text}))
    except SyntaxError as error:
        return _not_python(exercise, answer, error)
    except (ValueError, RecursionError, MemoryError) as error:
        return Verdict(name, "wrong", f"this is not Python: {error or 'it is nested too deeply'}", True)
    got = outcomes_with(exercise, answer.text)
    if isinstance(got, Broken):
        return Verdict(name, "wrong", got.sentence, True, line=_line_of_answer(exercise, answer, got.lines))
    return compared(exercise, answer, got, right_outcomes(exercise), lambda: outcomes_of_mistakes(exercise))


def compared(
    exercise: Exercise,
    answer: Answer,
    got: Sequence[Outcome],
    expected: Sequence[Outcome],
    of_mistakes: Callable[[], Sequence[Sequence[Outcome] | Broken]],
) -> Verdict:
    """Return what is to be said of the outcomes of an answer.

    of_mistakes : returns the outcomes of the exercise's wrong answers; a right answer does not need them.
    """
    failing = [(e, g) for e, g in zip(expected, got, strict=True) if not e.same(g)]
    if not failing:
        return Verdict(exercise.name, "right")
    right, wrong = failing[0]
    named = _mistakes_with(exercise, got, expected, of_mistakes())
    is_own_error = wrong.kind == "error" and right.kind != "error"
    said = " or ".join(named) or _plain_sentence(right, wrong)
    line, shown = _line_of_answer(exercise, answer, wrong.lines), in_words(right, wrong)
    is_named = bool(named) or is_own_error
    return Verdict(exercise.name, "wrong", said, is_named, right.question, *shown, line, wrong.printed)


def _is_unwritten(exercise: Exercise, text: str) -> bool:
    """Whether there are no statements but those of the hole."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return not tree.body or ast.dump(tree) == ast.dump(ast.parse(hole(source_of(exercise.path), exercise)))


def _not_python(exercise: Exercise, answer: Answer, error: SyntaxError) -> Verdict:
    """Return what is said of a SyntaxError, in which Python may name lines of the copy: they become the learner's."""
    line = _line_of_answer(exercise, answer, [error.lineno or 0])
    moved = line - (error.lineno or 0) if line else 0
    message = re.sub(r"\bline (\d+)", lambda found: f"line {int(found[1]) + moved}", error.msg)
    at = (error.text or "").strip()
    shown = at if len(at) <= 80 else at[:77] + "..."
    return Verdict(exercise.name, "wrong", f"this is not Python: {message}, at {shown!r}", True, line=line)


def outcomes_with(exercise: Exercise, answer: str) -> list[Outcome] | Broken:
    """Return the outcomes of an exercise's probes where the answer stands in the source."""
    with copy_with({exercise: answer}) as folder:
        try:
            done = run(folder, *_ASK, exercise.name, str(LONGEST), "found.json", seconds=2 * LONGEST)
        except subprocess.TimeoutExpired:
            return _broken(exercise, _HANGS)
        found = _read(folder / "found.json")
    return _broken(exercise, done.stderr, done.returncode) if found is None or found[0] is None else found[0]


_ASK = ("-m", "tinygrad_sm.exercises.outcomes")


def _read(place: Path) -> list[list[Outcome] | None] | None:
    """Return the lists of outcomes that a process has written; None if it has not."""
    if not place.exists():
        return None
    lists = json.loads(place.read_text("utf-8"))
    return [None if outcomes is None else [Outcome(**outcome) for outcome in outcomes] for outcomes in lists]


_HANGS = "Timeout ("
"""Python writes it of a process that it ends for taking too long, and then the lines, the innermost one first."""


def _broken(exercise: Exercise, said: str, status: int = 0) -> Broken:
    """Return what the end of a process says of an answer with which nothing could be asked."""
    lines = said.strip().splitlines()
    places = [re.search(r'File ".*", line (\d+)', line) for line in lines if exercise.path in line]
    numbers = tuple(int(place[1]) for place in places if place)
    if _HANGS in said:
        seconds = f"it had not ended after {LONGEST:.0f} seconds"
        return Broken(f"{seconds}: is there a loop that never ends, or does it wait for something?", numbers[::-1])
    if status < 0:
        return Broken(f"its process was ended by {signal.Signals(-status).name}: does it need too much memory?")
    if status == 0 or not lines:
        return Broken("it ended the process before everything was asked: an answer must not do that")
    return Broken(f"with it the package cannot be imported: {lines[-1]}", numbers)


@cache
def right_outcomes(exercise: Exercise) -> tuple[Outcome, ...]:
    """Return the outcomes of the source itself."""
    found = outcomes_with(exercise, solution(source_of(exercise.path), exercise))
    if isinstance(found, Broken):
        raise RuntimeError(f"{exercise.name}: the package's own source does not run: {found.sentence}")
    return tuple(found)


@cache
def outcomes_of_mistakes(exercise: Exercise) -> tuple[Sequence[Outcome] | Broken, ...]:
    """Return the outcomes of each wrong answer of an exercise, made in one process, or else in one for each."""
    answers = [answer for _, answer in exercise.wrong_answers()]
    together = outcomes_of_answers(exercise, answers)
    return tuple(
        outcomes_with(exercise, answer) if outcomes is None else outcomes
        for answer, outcomes in zip(answers, together, strict=True)
    )


def outcomes_of_answers(exercise: Exercise, answers: Sequence[str]) -> list[list[Outcome] | None]:
    """Return the outcomes of several answers of our own, made in one process; None for those that need their own."""
    with copy_with({}) as folder:
        (folder / "answers.json").write_text(json.dumps(answers), "utf-8")
        seconds = 2 * LONGEST + len(answers)
        try:
            run(folder, *_ASK, exercise.name, str(LONGEST), "found.json", "answers.json", seconds=seconds)
        except subprocess.TimeoutExpired:
            return [None] * len(answers)
        return _read(folder / "found.json") or [None] * len(answers)


def _mistakes_with(
    exercise: Exercise, got: Sequence[Outcome], right: Sequence[Outcome], made: Sequence[Sequence[Outcome] | Broken]
) -> list[str]:
    """Return the sentences of the mistakes that have these outcomes; several if they cannot be told apart.

    If none has all of them, those that explain the first stage in which the answer is wrong, or a part of that.
    """
    mistakes = [
        (sentence, outcomes)
        for (sentence, _), outcomes in zip(exercise.wrong_answers(), made, strict=True)
        if not isinstance(outcomes, Broken)
    ]
    for explains in (_is_same, _explains_stage, _explains_part):
        if found := [sentence for sentence, outcomes in mistakes if explains(outcomes, got, right)]:
            return list(dict.fromkeys(found))
    return []


def _is_same(mistake: Sequence[Outcome], got: Sequence[Outcome], right: Sequence[Outcome]) -> bool:
    return all(m.alike(g) for m, g in zip(mistake, got, strict=True))


def _explains_stage(mistake: Sequence[Outcome], got: Sequence[Outcome], right: Sequence[Outcome]) -> bool:
    """Whether a mistake answers as was answered, up to the stage in which that is first wrong."""
    first = _first_wrong(got, right)
    return all(m.alike(g) for m, g in zip(mistake, got, strict=True) if g.stage <= first.stage)


def _explains_part(mistake: Sequence[Outcome], got: Sequence[Outcome], right: Sequence[Outcome]) -> bool:
    """Whether it does so in the part that is first wrong, and is right elsewhere: each part may have a mistake."""
    first = _first_wrong(got, right)
    return all(
        m.alike(g) if g.part == first.part else m.same(r)
        for m, g, r in zip(mistake, got, right, strict=True)
        if g.stage <= first.stage
    )


def _first_wrong(got: Sequence[Outcome], right: Sequence[Outcome]) -> Outcome:
    return next(g for g, r in zip(got, right, strict=True) if not g.same(r))


def _line_of_answer(exercise: Exercise, answer: Answer, lines: Sequence[int]) -> int:
    """Return the line of the learner's file for the innermost line of the copy that is in the answer, or 0."""
    first = find(source_of(exercise.path), exercise.piece).first
    inside = [line - 1 - first for line in lines if 0 <= line - 1 - first < len(answer.text.splitlines())]
    return answer.lineno + inside[-1] if inside else 0


def _plain_sentence(right: Outcome, wrong: Outcome) -> str:
    """Return what can be said of a wrong outcome without a name for the mistake."""
    if wrong.kind == "error":
        said = f"it raises {wrong.dtype}: {wrong.value}"
        return f"{said}; {right.dtype} is expected" if right.kind == "error" else said
    if right.kind == "error":
        return f"it raises no error where {right.dtype} is expected"
    if wrong.value is None:
        return "it gives None: is a `return` missing?"
    if wrong.kind != right.kind or wrong.kind == "value":
        return "its answer to this question is another one"
    if tuple(wrong.shape) != tuple(right.shape):
        return f"its answer has shape {tuple(wrong.shape)}, and {tuple(right.shape)} is expected"
    if wrong.dtype != right.dtype:
        return f"its answer is {wrong.dtype}, and {right.dtype} is expected"
    return "the numbers are wrong"


def in_words(expected: Outcome, got: Outcome) -> tuple[str, str]:
    """Return two outcomes as short texts, with their dtypes, where they differ."""
    if expected.kind == got.kind == "array" and expected.dtype != got.dtype:
        return f"{_in_words(expected)} ({expected.dtype})", f"{_in_words(got)} ({got.dtype})"
    return _in_words(expected), _in_words(got)


def _in_words(outcome: Outcome) -> str:
    if outcome.kind == "error":
        return f"{outcome.dtype}: {outcome.value.splitlines()[0] if outcome.value else ''}"
    if outcome.kind == "value":
        return str(outcome.value)
    return np.array2string(np.array(outcome.value), precision=6, threshold=40, separator=", ")
