"""The example of a step as a program draws its time, and notices a program whose lines are not the lecture's."""

import re

import numpy as np
import pytest
import step_as_program

import tinygrad_sm as tg
from tests.examples.helpers import EXAMPLES, check_run
from tinygrad_sm.datasets import mnist
from tinygrad_sm.dispatch import HAS_WING


def test_it_runs_and_draws(run, folder):
    check_run(*run(step_as_program), folder, ["time.png"])


def test_its_formulas_stand_in_micro():
    micro = (EXAMPLES / "micro.py").read_text("utf-8")
    formulas = set(step_as_program.IN_MICRO.values()) - {"logits.grad"}  # which the walk of micro.py leaves
    assert {formula for formula in formulas if formula not in micro} == set()


@pytest.fixture(scope="module")
def trained():
    """Return a model, its compiled step after a few calls, and the text of its program."""
    images, labels, _ = mnist("test")
    model, step = step_as_program.training()
    step = tg.compiled(step)
    for batch in step_as_program.batches(images, labels, 32, 20):
        step(*batch)
    return model, step, str(step.program)


WRONG_LINES = {
    "+ bias": ("- bias", "XWᵀ + b"),
    "logits_T - maxima": ("logits_T + maxima", "z − max z"),
    "logits_T.max(axis=0)": ("logits_T.min(axis=0)", "z − max z"),
    "np.exp(shifted)": ("np.exp2(shifted)", "exp z"),
    "exponentials.sum(axis=0)": ("exponentials.max(axis=0)", "Σ exp z"),
    "-= 0.03125": ("-= 0.03", "(p − y)/N"),
    "places = labels * 32": ("places = labels[::-1] * 32", "(p − y)/N"),
    "(np.log(sums) - picked)": ("(np.log(sums) + picked)", "−1/N Σ y log p"),
    "(images.T @ grad_logits).T": ("(images.T @ grad_logits * 2).T", "(p − y)ᵀX/N"),
    "grad_logits.sum(axis=0)": ("grad_logits.mean(axis=0)", "Σ (p − y)/N"),
    "weight -= grad_weight": ("weight += grad_weight", "W − lr · ∂L/∂W"),
    "bias -= grad_bias * lr": ("bias -= grad_bias * lr * 0", "b − lr · ∂L/∂b"),
}


@pytest.mark.skipif(not HAS_WING, reason="the plain form has other lines")
@pytest.mark.parametrize("line", WRONG_LINES)
def test_it_notices_a_wrong_line(line, trained, capsys):
    model, step, text = trained
    wrong, formula = WRONG_LINES[line]
    assert text.count(line) == 1
    problem = step_as_program.check_program(text.replace(line, wrong), step.program.given(), step, model)
    assert problem.startswith("expected a line for each formula, got none that computes ")
    assert formula in problem.partition("computes ")[2].split(", ")
    assert re.search(rf"^{re.escape(formula)} .*\n +in no line$", capsys.readouterr().out, re.MULTILINE)


def test_it_notices_parameters_that_differ_in_their_last_bits(trained):
    model, step, text = trained
    text += "bias *= 1.0000001"
    problem = step_as_program.check_program(text, step.program.given(), step, model)
    assert problem == "expected the text of the program to leave the parameters that the step leaves, got others"


def test_it_notices_that_micro_computes_something_else(trained, monkeypatch):
    model, step, text = trained
    cross_entropy = step_as_program.micro.cross_entropy
    monkeypatch.setattr(step_as_program.micro, "cross_entropy", lambda z, labels: cross_entropy(z, labels[::-1]))
    problem = step_as_program.check_program(text, step.program.given(), step, model)
    assert re.match(r"expected micro\.py to give what the lecture does, got .* \(p − y\)/N", problem)


def test_each_line_comes_with_what_it_makes_or_changes():
    text = "import numpy as np\n\n# a\nx = np.zeros(4)\nx.reshape(2, 2)[1] += 2\nassert x.any()\nx -= 1\ny = x.T\n"
    lines = [(line, value.tolist()) for line, value in step_as_program.run_line_by_line(text, {})]
    assert lines == [
        ("x = np.zeros(4)", [0, 0, 0, 0]),
        ("x.reshape(2, 2)[1] += 2", [0, 0, 2, 2]),
        ("x -= 1", [-1, -1, 1, 1]),
        ("y = x.T", [-1, -1, 1, 1]),
    ]


def test_steps_that_learn_other_weights_are_noticed(run, monkeypatch, no_pictures):
    monkeypatch.setattr(step_as_program, "by_hand", lambda model: lambda images, labels: np.zeros(()))
    status, _, _ = run(step_as_program)
    assert "expected three steps with batches of 32 to learn the same weights, got others" in status
