"""Every exercise: its hole, its solution, its mistakes, and other answers that are right too."""

import json
import re
from itertools import combinations
from pathlib import Path

import pytest

import tinygrad_sm as tg
from tests.exercises.many import Copy, agree, alike
from tests.exercises.other_answers import RIGHT, WRONG
from tests.helpers import IN_FULL, ROOT
from tinygrad_sm.exercises import grading
from tinygrad_sm.exercises.chapters import CHAPTERS, exercise_named
from tinygrad_sm.exercises.package import source_of
from tinygrad_sm.exercises.pieces import HIDDEN, Answer, answer_in, closing, cut, find, hole, opening, solution, spliced
from tinygrad_sm.exercises.workbook import _is_left_out

COLLECTED = json.loads(Path(__file__).with_name("collected.json").read_text("utf-8"))
"""Wrong answers of writers who saw the exercises, and neither the solutions nor the names of mistakes.

belief : what a teacher would say.  said : what the grader says.  is_named : whether that names the mistake.
is_true : whether a reader has found it true of the answer; who changes a sentence reads it against these answers again.
round : names were added for those of the first round, and then the second was collected: 89 of its 105 answers had a
name at first sight, and one of these names was not true.
"""

EXERCISES = [exercise for chapter in CHAPTERS for exercise in chapter.exercises]
every_exercise = pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)


@pytest.fixture(scope="session")
def copy(tmp_path_factory):
    return Copy(tmp_path_factory.mktemp("package"))


def test_names_are_unique_and_exercises_are_many():
    assert len({exercise.name for exercise in EXERCISES}) == len(EXERCISES) >= 24
    assert len({chapter.name for chapter in CHAPTERS}) == len(CHAPTERS)


@every_exercise
def test_each_has_what_a_learner_reads(exercise):
    curriculum = (ROOT / "docs/curriculum.md").read_text("utf-8")
    assert exercise.title
    assert exercise.task.endswith(".")
    assert 2 <= len(exercise.hints) <= 3
    assert 1 <= exercise.minutes <= 60
    assert len(exercise.mistakes) >= 4
    assert set(exercise.rows) <= {int(n) for n in re.findall(r"^\| (\d+) \|", curriculum, re.MULTILINE)}
    for place in re.findall(r"[\w/]+\.(?:py|md)", " ".join(exercise.reading)):
        assert (ROOT / place).exists(), place
    for reading in exercise.reading:
        path, _, section = reading.partition(", ")
        if path.startswith("the docstring of tg."):
            assert getattr(tg, path.removeprefix("the docstring of tg.")).__doc__
        elif path.endswith(".md") and not section.startswith("row "):
            assert not section or f"## {section}\n" in (ROOT / path).read_text("utf-8"), reading


@every_exercise
def test_only_its_piece_is_cut(exercise):
    texts = cut([exercise], source_of)
    text, source = texts[exercise.path], source_of(exercise.path)
    span, lines = find(source, exercise.piece), source.splitlines(keepends=True)
    assert "".join(lines[span.first : span.end]) not in text
    for path, hidden in exercise.hides.items():
        assert not _is_left_out(path), "this file is not in a learner's folder"
        for each in hidden:
            assert each in source_of(path), each  # else the source has changed
            assert each not in texts[path]
    compile(text, exercise.path, "exec")
    assert "raise NotImplementedError" in answer_in(text, exercise.name, exercise.path).text
    before, after = text.split(opening(exercise.name))[0], text.split(closing(exercise.name))[1]
    kept = [line.rstrip() for line in (before + after).splitlines() if HIDDEN not in line]
    given = (exercise.docstring or "").splitlines()
    assert all(line in source.splitlines() or any(part in line for part in given) for line in kept)


ASK = """
import sys, tinygrad_sm.nn, tinygrad_sm.datasets, tinygrad_sm.exercises.outcomes as outcomes
outcomes.main("{name}", "20", "found.json")
"""


def asked(copy, exercise, texts):
    """Return the outcomes of an exercise's probes where files of the package have these texts."""
    (copy.folder / "found.json").unlink(missing_ok=True)
    done = copy.run_with(texts, "-W", "error", "-c", ASK.format(name=exercise.name))
    assert done.returncode == 0, done.stderr  # it can be imported
    return grading._read(copy.folder / "found.json")[0]


def test_first_gradients_are_asked_through_no_rule_but_the_exercises_own(copy):
    (rules,) = [chapter.exercises for chapter in CHAPTERS if chapter.name == "rules"]
    for asking in (exercise for exercise in rules if exercise.name in ("exp", "softmax", "sum")):
        others = [exercise for exercise in rules if exercise is not asking]
        found = asked(copy, asking, cut(others, source_of))
        firsts = [
            (a, b) for a, b in zip(found, grading.right_outcomes(asking), strict=True) if "∂L/∂x of" in a.question
        ]
        assert len(firsts) >= 3
        assert all(a.same(b) for a, b in firsts)


def test_mistakes_are_named_and_names_are_true():
    named = [answer for answer in COLLECTED if answer["is_named"]]
    assert len(COLLECTED) >= 300
    assert {answer["exercise"] for answer in COLLECTED} == {exercise.name for exercise in EXERCISES}
    assert len(named) >= 0.85 * len(COLLECTED)
    assert len([answer for answer in named if not answer["is_true"]]) <= 0.01 * len(named)


def without_pythons_words(said):
    """Return a sentence without what differs between versions of Python and NumPy."""
    return re.sub(r"^(this is not Python|it raises \w+).*", r"\1", said, flags=re.DOTALL)


@pytest.mark.parametrize("exercise", EXERCISES if IN_FULL else EXERCISES[::3], ids=lambda exercise: exercise.name)
def test_every_answer_has_the_name_that_it_deserves(exercise, copy):
    """And a hole says which it is. All of them are planted, in one process."""
    mistakes, others = list(exercise.wrong_answers()), WRONG.get(exercise.name, {})
    rights = [solution(source_of(exercise.path), exercise), *RIGHT.get(exercise.name, ())]
    assert spliced(source_of(exercise.path), {exercise: rights[0]}) == source_of(exercise.path)
    collected = [answer for answer in COLLECTED if answer["exercise"] == exercise.name]
    answers = [*rights, *(answer for _, answer in mistakes), *others]
    empty = hole(source_of(exercise.path), exercise)
    of_hole, *found, expected = copy.outcomes(exercise, [empty, *answers, *(answer["answer"] for answer in collected)])
    assert any(f"exercise {exercise.name}: write this piece" in str(outcome.value) for outcome in of_hole)
    found, of_collected = found[: len(answers)], found[len(answers) :]
    assert None not in found, [answer for answer, outcomes in zip(answers, found, strict=True) if outcomes is None]
    for answer, outcomes in zip(rights, found[: len(rights)], strict=True):
        assert agree(expected, outcomes), answer
    named = list(zip((sentence for sentence, _ in mistakes), found[len(rights) :], strict=False))
    for sentence, outcomes in named:
        assert not agree(expected, outcomes), sentence
        assert not any(outcome.dtype == "NameError" for outcome in outcomes), sentence
    for (one, of_one), (other, of_other) in combinations(named, 2):
        assert one == other or not alike(of_one, of_other), (one, other)
    for (answer, words), outcomes in zip(others.items(), found[len(rights) + len(mistakes) :], strict=True):
        said = {sentence for sentence, of_mistake in named if alike(outcomes, of_mistake)}
        assert len(said) == 1, (answer, said)
        assert words in said.pop()
    of_mistakes = [outcomes for _, outcomes in named[: len(mistakes)]]
    for row, outcomes in zip(collected, of_collected, strict=True):
        answer = Answer(row["answer"], 1)
        if outcomes is None:  # it is not Python, or cannot be planted
            verdict = grading.judge(exercise, answer)
        else:
            verdict = grading.compared(exercise, answer, outcomes, expected, lambda: of_mistakes)
        assert without_pythons_words(verdict.sentence) == without_pythons_words(row["said"]), row["answer"]
        assert verdict.is_named == row["is_named"]


@pytest.mark.parametrize("name", ["exp", "broadcast", "record", "central_difference", "dropout", "batches", "moments"])
def test_an_answer_that_is_planted_does_what_it_does_in_the_source(name, copy):
    exercise = exercise_named(name)
    sentence, answer = list(exercise.wrong_answers())[-1]
    (planted, _) = copy.outcomes(exercise, [answer])
    found = asked(copy, exercise, {exercise.path: spliced(source_of(exercise.path), {exercise: answer})})
    assert agree(planted, found), sentence
