"""The linear regression agrees with lstsq, and notices a descent that ends early and another formula."""

import re

import linear_regression
import numpy as np


def test_linear_regression_checks_where_the_descent_ends(run, monkeypatch):
    descend = linear_regression.descend
    monkeypatch.setattr(linear_regression, "descend", lambda x, y: descend(x, y, steps=20))
    assert re.match("ŷ = W₁x .*: expected gradient descent to end at the closed form's θ", run(linear_regression)[0])
    monkeypatch.setattr(linear_regression, "descend", descend)
    monkeypatch.setattr(linear_regression, "written_out", lambda W, b, x: W[0, 0] * x[0])
    assert re.match(r"ŷ = W₁x .*: expected Wx \+ b to equal", run(linear_regression)[0])


def test_the_normal_equations_give_what_lstsq_gives():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(20, 3)), random.normal(size=(20, 1))
    expected = np.linalg.lstsq(np.hstack([np.ones((20, 1)), x]), y)[0][:, 0]
    np.testing.assert_allclose(linear_regression.normal_equations(x, y), expected, rtol=1e-10)


def test_the_closed_form_is_drawn_with_the_descent_that_ends_there(run, drawn):
    assert run(linear_regression)[0] == 0
    losses = drawn["loss.png"]
    assert losses["share"]
    assert len(losses["panels"]) == 2
    for panel in losses["panels"].values():
        assert panel["closed form"] <= min(panel["gradient descent"])
        assert abs(panel["gradient descent"][-1] - panel["closed form"]) < 1e-3
