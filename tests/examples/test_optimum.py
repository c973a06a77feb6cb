"""The example of the optimum bounds the loss from below, and closes the gap where Newton's method ends."""

import re

import numpy as np
import optimum
import pytest

import tinygrad_sm as tg


def problem(N=40, D=5, C=3, decay=0.02):
    random = np.random.default_rng(0)
    x = np.pad(random.standard_normal((N, D)), ((0, 0), (0, 1)), constant_values=1)
    return x, random.integers(0, C, N), decay, random


def test_no_model_is_below_any_dual_bound():
    x, labels, decay, random = problem()
    for scale in (0.01, 0.1, 1, 10):
        thetas = scale * random.standard_normal((20, 3, 6))
        bounds = [
            optimum.dual(random.dirichlet(np.full(3, scale), len(x)), x, labels, decay),
            *(optimum.dual(tg.softmax(x @ theta.T), x, labels, decay) for theta in thetas),
        ]
        assert max(bounds) <= min(optimum.primal(theta, x, labels, decay) for theta in thetas)


def test_the_gap_closes_at_the_optimum_of_newtons_method():
    x, labels, decay, _ = problem()
    theta = np.zeros((3, 6))
    for _ in range(20):  # Newton's method, with the whole Hessian written out
        p = np.exp(x @ theta.T)
        p /= p.sum(axis=1, keepdims=True)
        g = ((p - np.eye(3)[labels]).T @ x / len(x) + decay * theta).ravel()
        curvature = np.einsum("nc,cd->ncd", p, np.eye(3)) - np.einsum("nc,nd->ncd", p, p)
        H = np.einsum("ncd,ni,nj->cidj", curvature, x, x).reshape(18, 18) / len(x) + decay * np.eye(18)
        theta = theta - np.linalg.solve(H, g).reshape(3, 6)
    value = optimum.primal(theta, x, labels, decay)
    np.testing.assert_allclose(optimum.dual(p, x, labels, decay), value, rtol=1e-12)
    found, bounds = optimum.minimise(np.ones((3, 6)), x, labels, decay, tolerance=1e-10)
    np.testing.assert_allclose(found, theta, atol=1e-4)
    np.testing.assert_allclose(bounds[-1], value, rtol=0, atol=1e-9)
    assert len(bounds) <= 30  # 21; with a wrong sign among the pairs it still descends, in 43


@pytest.mark.parametrize(
    ("name", "broken", "message"),
    [
        ("dual", lambda p, x, labels, decay: (-(p * np.log(p + 1e-300)).sum(axis=1)).mean(), r"expected the gap P − D"),
        ("minimise", lambda theta, *_: (theta, [(1.0, 0.0)]), r"expected L-BFGS to close the gap"),
    ],
)
def test_a_wrong_bound_or_a_poor_optimum_is_noticed(run, monkeypatch, no_pictures, name, broken, message):
    monkeypatch.setattr(optimum, name, broken)
    assert re.match(message, run(optimum, "--quick")[0])


def test_the_bounds_are_drawn_from_the_first_step_on(run, drawn):
    assert run(optimum, "--quick")[0] == 0
    bounds = drawn["bounds.png"]
    losses, gaps = bounds["panels"].values()
    (steps, upper), (_, lower), flagship = losses.values()
    assert steps[0] == 1
    np.testing.assert_array_equal(np.diff(steps), 1)
    assert lower.min() >= 0
    assert (lower <= upper).all()
    assert upper[-1] < flagship
    np.testing.assert_array_equal(gaps["gap"][1], upper - lower)
    assert bounds["log"] == list(bounds["panels"])[1:]
    assert "ink on red speaks for the digit" in drawn["weights.png"]["title"]
