"""The example of the perceptron notices a rule that is not Rosenblatt's, a bound that is broken, and wrong ends."""

import functools
import re

import numpy as np
import perceptron_1958
import pytest

import tinygrad_sm as tg

MARGIN, RULE, SOFTMAX = perceptron_1958.margin, perceptron_1958.rosenblatt, perceptron_1958.softmax_regression


def no_mistake_in_a_tie(x, y, epochs):
    """Return what comes if a tie is no mistake, but at the start, where everything is one."""
    w, steps = np.zeros(x.shape[1]), []
    for _ in range(epochs):
        for x_i, y_i in zip(x, y, strict=True):
            before = w
            w = w + y_i * x_i if y_i * (w @ x_i) < 0 or not steps else w
            steps.append((before, w))
        if np.array_equal(steps[-len(x)][0], w):
            break
    return np.array(steps).transpose(1, 0, 2).reshape(2, -1, *x.shape)


def double_steps(x, y, epochs):
    return [2 * w for w in RULE(x, y, epochs)]


def halves_of_a_gradient(x):
    """Return max(0, x) with the slope 1/2 at 0."""
    return tg.maximum(x, 0)


BREAKS = {
    "a tie is no mistake": ("rosenblatt", no_mistake_in_a_tie, "expected the rule to add y x in ties"),
    "steps of 2 y x": ("rosenblatt", double_steps, "expected the rule to .* subtract the gradient elsewhere"),
    "another slope at the kink": ("tg.relu", halves_of_a_gradient, "in ties, where the gradient is 0"),
    "margins that are too large": (
        "margin",
        lambda x, y: 10 * MARGIN(x, y),
        r"expected at most \(R/γ\)² mistakes, got",
    ),
    "a softmax that does not learn": (
        "softmax_regression",
        functools.partial(SOFTMAX, lr=0.0),
        "separable: expected just",
    ),
    "a softmax that has not ended": (
        "softmax_regression",
        lambda x, y, epochs: SOFTMAX(x, y, 61),
        "two labels flipped: expected just one of them to end",
    ),
    "no time to come back": (
        "rosenblatt",
        lambda x, y, epochs: RULE(x, y, min(epochs, 19)),
        "two labels flipped: expected just one of them to end",
    ),
}


@pytest.mark.parametrize("what", BREAKS)
def test_it_notices_what_is_not_so(what, run, monkeypatch, no_pictures):
    name, replacement, message = BREAKS[what]
    if name == "tg.relu":
        monkeypatch.setattr(tg, "relu", replacement)
    else:
        monkeypatch.setattr(perceptron_1958, name, replacement)
    status, text, _ = run(perceptron_1958)
    assert isinstance(status, str), text  # sys.exit prints it, with exit status 1
    assert re.search(message, status), status


def test_the_rule_by_hand():
    before, after = RULE(np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), np.array([1.0, -1.0, -1.0]), epochs=9)
    assert after[0].tolist() == [[1, 0], [1, -1], [0, -2]]  # three ties: at 0, at (1, 0) and at (1, −1)
    assert after[1].tolist() == [[1, -2], [1, -2], [1, -2]]
    assert (before[0, 0].tolist(), before[1, 0].tolist()) == ([0, 0], [0, -2])
    assert len(after) == 3
    assert np.array_equal(before[2], after[2])


def test_the_steps_of_softmax_regression_are_those_of_the_docstring():
    x, y = perceptron_1958.points(gap=0.1, seed=3)
    weights, losses = SOFTMAX(x, y, epochs=3, lr=0.5)
    w = np.zeros(2)
    for after, loss in zip(weights, losses, strict=True):
        assert loss == pytest.approx(np.log1p(np.exp(-y * (x @ w))).mean(), rel=1e-6)
        w = w + np.mean(2 * 0.5 / (1 + np.exp(y * (x @ w))) * y * x.T, axis=1)
        np.testing.assert_allclose(after, w, rtol=1e-5)


def test_the_margin_by_hand():
    x, y = np.array([[3.0, 4.0], [-3.0, -4.0]]), np.array([1.0, -1.0])
    assert MARGIN(x, y) == pytest.approx(5, abs=1e-5)
    assert MARGIN(x, np.array([1.0, 1.0])) == pytest.approx(0, abs=0.01)
    assert MARGIN(np.vstack([x, x]), np.array([1.0, -1.0, -1.0, 1.0])) < 0.01
