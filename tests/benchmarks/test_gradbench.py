"""The tasks of GradBench: all libraries compute the same, and that is what the definitions say."""

import math
import sys

import numpy as np
import pytest

from benchmarks import gradbench, gradbench_tasks, harness
from benchmarks.gradbench_tasks import TASKS

SIZES = {
    "lse": {"n": 50},
    "llsq": {"n": 40, "m": 4},
    "gmm": {"N": 7, "D": 3, "K": 2},
    "kmeans": {"n": 20, "k": 3, "d": 2},
    "lstm": {"L": 2, "T": 3, "B": 4},
    "ode": {"n": 6, "s": 40},
    "det": {"n": 4},
}


@pytest.fixture(autouse=True)
def float32_afterwards(monkeypatch):
    """Keep what is said about libraries that are not there out of the results, and give JAX its own precision back."""
    monkeypatch.setattr(harness, "PRINTED", [])
    yield
    if "jax" in sys.modules:
        sys.modules["jax"].config.update("jax_enable_x64", False)


@pytest.mark.filterwarnings("default", "error:compiled")  # those of other libraries are not ours
@pytest.mark.parametrize("task", TASKS)
def test_all_that_are_installed_compute_the_same(task):
    setting = {"task": task, "size": SIZES[task], "repeats": 2}
    runs = {name: a(**setting) for name, a in harness.installed(gradbench.ALTERNATIVES).items()}
    for _ in range(2):
        replies = {name: harness.Reply(None, run()) for name, run in runs.items()}
        harness.check_agreement(replies, tolerance=1e-9)
        assert all(math.isfinite(reply.value) and reply.value for reply in replies.values())
    assert replies["tinygrad_sm"] == replies[gradbench.COMPILED]


@pytest.mark.parametrize("task", TASKS)
def test_programs_compute_what_is_computed_eagerly_to_the_last_bit(task):
    step = gradbench.prepared("tinygrad_sm", task, SIZES[task])
    compiled = gradbench.prepared(gradbench.COMPILED, task, SIZES[task])
    assert compiled.why_eager is None
    for seed in range(10, 13):
        numbers = TASKS[task].numbers(SIZES[task], seed)
        (value, gradients), (other, others) = step(*numbers), compiled(*numbers)
        for one, two in zip([value, *gradients], [other, *others], strict=True):
            assert one.numpy().tobytes() == two.numpy().tobytes()


@pytest.mark.parametrize("task", [name for name, task in TASKS.items() if not task.is_newton])
def test_gradients_are_those_of_the_values(task):
    step = gradbench.prepared("tinygrad_sm", task, SIZES[task])
    parameters, constants = TASKS[task].numbers(SIZES[task], 0)
    random, h = np.random.default_rng(1), 1e-5
    directions = [random.standard_normal(x.shape) for x in parameters]
    ahead, behind = (
        step([x + sign * h * v for x, v in zip(parameters, directions, strict=True)], constants)[0].item()
        for sign in (1, -1)
    )
    slope = sum(np.vdot(v, g.numpy()) for v, g in zip(directions, step(parameters, constants)[1], strict=True))
    assert math.isclose((ahead - behind) / (2 * h), slope, rel_tol=1e-6)


def values(task):
    """Return the numbers of a task as one list of arrays, and the value and gradients that the framework computes."""
    parameters, constants = TASKS[task].numbers(SIZES[task], 0)
    value, gradients = gradbench.prepared("tinygrad_sm", task, SIZES[task])(parameters, constants)
    return [*parameters, *constants], value.item(), [g.numpy() for g in gradients]


def test_logsumexp_and_least_squares_are_those_of_numpy():
    (x,), value, (gradient,) = values("lse")
    assert math.isclose(value, np.logaddexp.reduce(x), rel_tol=1e-12)
    np.testing.assert_allclose(gradient, np.exp(x - value), rtol=1e-12)

    (x, t, s), value, (gradient,) = values("llsq")
    residuals = s - np.polynomial.polynomial.polyval(t, x)
    assert math.isclose(value, (residuals**2).sum() / 2, rel_tol=1e-12)
    np.testing.assert_allclose(gradient, -np.vander(t, len(x), increasing=True).T @ residuals, rtol=1e-9)


def test_newtons_direction_leads_to_the_means():
    (centroids, points), value, (direction,) = values("kmeans")
    squares = ((points[:, None] - centroids) ** 2).sum(axis=2)
    assert math.isclose(value, squares.min(axis=1).sum(), rel_tol=1e-12)
    means = [points[squares.argmin(axis=1) == j].mean(axis=0) for j in range(len(centroids))]
    np.testing.assert_allclose(centroids - direction, means, rtol=1e-12)


def test_the_determinant_and_its_gradient_the_cofactors():
    (A,), value, (gradient,) = values("det")
    assert math.isclose(value, np.linalg.det(A), rel_tol=1e-9)
    np.testing.assert_allclose(gradient, value * np.linalg.inv(A).T, rtol=1e-9)


def test_the_solution_of_the_equations_is_a_product():
    (x, _), value, (gradient,) = values("ode")
    assert math.isclose(value, 2 ** len(x) / math.factorial(len(x)) * x.prod(), rel_tol=1e-5)  # as the steps are finite
    np.testing.assert_allclose(gradient, value / x, rtol=1e-9)


def test_the_mixture_is_that_of_densities():
    (alpha, mu, q, lower, x, _, _), value, _ = values("gmm")
    D, weights = x.shape[1], np.exp(alpha) / np.exp(alpha).sum()
    densities, prior = np.zeros(len(x)), 0.0
    for k, weight in enumerate(weights):
        Q = np.diag(np.exp(q[k]))
        Q[[1, 2, 2], [0, 0, 1]] = lower[k]
        z = (x - mu[k]) @ Q.T
        densities += weight * np.linalg.det(Q) * np.exp(-(z**2).sum(axis=1) / 2) / (2 * math.pi) ** (D / 2)
        prior += gradbench_tasks.WISHART_M * q[k].sum() - gradbench_tasks.WISHART_GAMMA**2 * (Q**2).sum() / 2
        prior += gradbench_tasks.log_of_wishart_constant(D)
    assert math.isclose(value, np.log(densities).sum() + prior, rel_tol=1e-12)


def test_the_lstm_is_that_of_its_formulas():
    (weights, biases, outer, state, sequence), value, _ = values("lstm")
    losses, state = [], state.copy()
    for x, target in zip(sequence, sequence[1:], strict=False):
        x = x * outer[0]
        for (h, c), weight, bias in zip(state, weights, biases, strict=True):
            forget, into, out, change = (w * y + b for w, y, b in zip(weight, (x, h, x, h), bias, strict=True))
            c[:] = c / (1 + np.exp(-forget)) + np.tanh(change) / (1 + np.exp(-into))
            h[:] = np.tanh(c) / (1 + np.exp(-out))
            x = h
        y = x * outer[1] + outer[2]
        losses.append(-target @ (y - np.log(2 + np.exp(y).sum())) / len(y))
    assert math.isclose(value, np.mean(losses), rel_tol=1e-12)


def test_what_cannot_be_compiled_is_told():
    assert gradbench.told("JAX jit", 1.234) == "JAX jit compiles for 1.23 s"
    assert gradbench.told("JAX jit", math.nan) == "JAX jit cannot compile it"
    assert gradbench.compile_time(gradbench.COMPILED, "det", SIZES["det"])() > 0
