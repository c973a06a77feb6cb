"""When a mistake has a name, and what is said where none has."""

import re

import pytest

from tinygrad_sm.exercises import grading
from tinygrad_sm.exercises.chapters import CHAPTERS, exercise_named
from tinygrad_sm.exercises.exercise import Body, Exercise
from tinygrad_sm.exercises.outcomes import Outcome

EXERCISES = [exercise for chapter in CHAPTERS for exercise in chapter.exercises]
EXP = exercise_named("exp")


def outcomes(*values):
    """Return outcomes: of part a in stage 0, of part b in stage 0, and of stage 1; an error is named by a text."""
    return [
        Outcome(f"question {i}", "error", value, (), "ValueError", part=part, stage=stage)
        if isinstance(value, str)
        else Outcome(f"question {i}", "array", value, (), "float64", part=part, stage=stage)
        for i, (value, part, stage) in enumerate(zip(values, ("a", "b", ""), (0, 0, 1), strict=True))
    ]


RIGHT = outcomes(1.0, 2.0, 3.0)


def named(got, **mistakes):
    """Return the names of an answer's outcomes, among mistakes that are given by their outcomes."""
    names = Exercise("", "", "", Body(""), (), (), 0, "", (), lambda: (), dict.fromkeys(mistakes, ""))
    return grading._mistakes_with(names, outcomes(*got), RIGHT, [outcomes(*made) for made in mistakes.values()])


def test_a_mistake_is_named_if_an_answer_does_all_that_it_does():
    assert named((5.0, 2.0, 7.0), one=(5.0, 2.0, 7.0), other=(5.0, 2.0, 8.0)) == ["one"]
    assert named((5.0, 2.0, 7.0), other=(6.0, 2.0, 7.0)) == []
    assert named((1.0, 2.0, 7.0), other=(1.0, 2.0, 8.0)) == []


def test_what_comes_after_the_first_wrong_stage_does_not_matter():
    assert named((5.0, 2.0, 7.0), other=(5.0, 2.0, 8.0)) == ["other"]
    assert named((5.0, 4.0, 7.0), other=(5.0, 6.0, 7.0)) == []


def test_each_part_may_have_a_mistake_and_the_first_wrong_one_is_named():
    mistakes = {"of a": (5.0, 2.0, 9.0), "of b": (1.0, 4.0, 9.0)}
    assert named((5.0, 4.0, 7.0), **mistakes) == ["of a"]
    assert named((1.0, 4.0, 7.0), **mistakes) == ["of b"]
    assert named((5.0, 4.0, 7.0), both=(5.0, 6.0, 9.0)) == []  # it is wrong elsewhere in another way


def test_mistakes_that_cannot_be_told_apart_are_both_named():
    assert named((5.0, 2.0, 7.0), one=(5.0, 2.0, 8.0), other=(5.0, 2.0, 9.0)) == ["one", "other"]


def test_an_error_is_a_mistakes_only_with_its_message():
    assert named(("no", 2.0, 3.0), one=("no", 2.0, 3.0)) == ["one"]
    assert named(("nothing", 2.0, 3.0), one=("no", 2.0, 3.0)) == []


def test_of_two_errors_the_type_decides_whether_an_answer_is_right():
    assert outcomes("no", 2.0, 3.0)[0].same(outcomes("other words", 2.0, 3.0)[0])


ARRAY = Outcome("?", "array", [1.0], (1,), "float64")
ERROR = Outcome("?", "error", "no", (), "ValueError")


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        (ARRAY, ARRAY._replace(value=[2.0]), "the numbers are wrong"),
        (ARRAY, ARRAY._replace(value=[[1.0]], shape=(1, 1)), "its answer has shape (1, 1), and (1,) is expected"),
        (ARRAY, ARRAY._replace(dtype="float32"), "its answer is float32, and float64 is expected"),
        (ARRAY, Outcome("?", "value", None), "it gives None: is a `return` missing?"),
        (ARRAY, Outcome("?", "value", "text"), "its answer to this question is another one"),
        (ARRAY, ERROR, "it raises ValueError: no"),
        (ERROR, ARRAY, "it raises no error where ValueError is expected"),
        (ERROR, ERROR._replace(dtype="KeyError"), "it raises KeyError: no; ValueError is expected"),
        (Outcome("?", "value", [True]), Outcome("?", "value", [False]), "its answer to this question is another one"),
    ],
)
def test_without_a_name_it_is_said_what_differs(right, wrong, said):
    answer = grading.Answer("", 1)
    verdict = grading.compared(EXP, answer, [wrong], [right], lambda: [[right]] * len(list(EXP.wrong_answers())))
    assert verdict.sentence == said
    assert verdict.state == "wrong"
    assert verdict.is_named == (wrong.kind == "error" != right.kind)


def test_dtypes_are_shown_where_they_differ():
    assert grading.in_words(ARRAY, ARRAY._replace(dtype="float32")) == ("[1.] (float64)", "[1.] (float32)")
    assert grading.in_words(ARRAY, ARRAY) == ("[1.]", "[1.]")


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.name)
def test_each_question_can_be_understood_alone(exercise):
    questions = [probe.question for probe in exercise.probes()]
    assert len(questions) >= 3
    assert [q for q in questions if re.match(r"(and|the same|their|does|it|a second|an?other|of) ", q)] == []
