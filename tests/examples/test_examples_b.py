"""Four examples run and check themselves, and their functions agree with what was computed in other ways."""

import re
import sys

import chain_rule
import numpy as np
import optimum
import pictures
import pytest
import scaling_study
import training_ledger

import tinygrad_sm as tg
from tinygrad_sm import nn

PICTURES = {
    chain_rule: ["network.png"],
    training_ledger: ["for_1.png", "for_7.png", "shares.png"],
    optimum: ["bounds.png", "weights.png"],
    scaling_study: ["curves.png", "pixels.png"],
}
QUICK = {chain_rule: [], training_ledger: ["--quick"], optimum: ["--quick"], scaling_study: ["--quick"]}


def run(monkeypatch, example, folder):
    """Run the example's main with small settings, and return its exit status."""
    monkeypatch.setattr(sys, "argv", [example.__name__, *QUICK[example], "--output", str(folder)])
    return example.main()


@pytest.fixture
def no_pictures(monkeypatch):
    """Spare the tests that make an example fail the drawing."""
    for name in ("network", "bars", "lines", "curves", "image_grid", "weight_images"):
        monkeypatch.setattr(pictures, name, lambda *args, **options: None)


@pytest.mark.parametrize("example", PICTURES, ids=lambda example: example.__name__)
def test_the_example_runs_and_draws(monkeypatch, capsys, tmp_path, example):
    folder = tmp_path / "made with its parents" / "run"
    assert run(monkeypatch, example, folder) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.replace(str(folder), "").splitlines())) <= 100
    assert sorted(path.name for path in folder.iterdir()) == PICTURES[example]
    for name in PICTURES[example]:
        assert str(folder / name) in text
        assert (folder / name).read_bytes().startswith(b"\x89PNG")


# chain_rule.py


@pytest.mark.parametrize("y", [[0.0, 1.0, 0.0], [0.2, 0.5, 0.3]])
@pytest.mark.parametrize(("j", "k"), [(1, 2), (3, 1), (2, 4)])
def test_the_paths_add_up_to_the_difference_quotient(capsys, y, j, k):
    random = np.random.default_rng(0)
    W, b, x, y, h = (
        random.standard_normal((3, 4)),
        random.standard_normal(3),
        random.standard_normal(4),
        np.array(y),
        1e-6,
    )

    def loss(change):
        changed = W.copy()
        changed[j - 1, k - 1] += change
        z = changed @ x + b
        return -(y * (z - np.log(np.exp(z).sum()))).sum()

    paths = chain_rule.explain(W, b, x, y, j, k)
    assert list(paths) == ["via a_1", "via a_2", "via a_3"]
    np.testing.assert_allclose(sum(paths.values()), (loss(h) - loss(-h)) / (2 * h), rtol=1e-6)
    p = np.exp(W @ x + b) / np.exp(W @ x + b).sum()
    by_hand = [-y[i] / p[i] * p[i] * ((i == j - 1) - p[j - 1]) * x[k - 1] for i in range(3)]
    np.testing.assert_allclose(list(paths.values()), by_hand, rtol=1e-9, atol=1e-15)
    assert f"∂L/∂w_{j},{k} = −(y_{j} − a_{j}) x_{k} = {sum(by_hand): .6f}" in capsys.readouterr().out


def test_weights_are_counted_from_1():
    with pytest.raises(IndexError, match="expected j from 1 to 2 and k from 1 to 3, got j = 0 and k = 1"):
        chain_rule.explain(np.ones((2, 3)), [0, 0], [1, 2, 3], [1, 0], j=0, k=1)


def test_what_autodiff_does_not_bear_out_is_not_printed(capsys):
    with pytest.raises(ArithmeticError, match=r"slope: expected 1\.0, as automatic differentiation has it, got 1\.001"):
        chain_rule.show("slope", 1.001, 1.0)
    assert capsys.readouterr().out == ""


def test_another_jacobian_of_the_softmax_is_noticed(monkeypatch, capsys, tmp_path, no_pictures):
    monkeypatch.setattr(tg, "jacobian", lambda f, at: tg.Tensor(np.eye(2)))
    assert re.match("∂a_1/∂z_1 .*: expected 1.0, as automatic", run(monkeypatch, chain_rule, tmp_path))


def test_other_losses_than_those_of_the_notes_are_noticed():
    with pytest.raises(ArithmeticError, match=r'reduction="mean": expected 0\.5, as in the notes, got 0\.69'):
        chain_rule.worked_cross_entropy(np.zeros((4, 2)), np.array([0, 1, 1, 0]), {"mean": 0.5})


# training_ledger.py


def test_each_step_counts_as_often_as_momentum_repeats_it():
    rates, momentum = [0.5, 0.25, 0.125], 0.5
    assert training_ledger.step_weights(rates, momentum).tolist() == [0.65625, 0.3125, 0.125]


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_the_ledger_rebuilds_the_weights(momentum):
    random = np.random.default_rng(0)
    x, labels = random.standard_normal((50, 6)), random.integers(0, 10, 50)
    options = {"epochs": 3, "batch_size": 8, "lr": 0.3, "momentum": momentum, "seed": 1}
    (W, b), (W0, b0), ledger = training_ledger.train_with_ledger(x, labels, **options)
    np.testing.assert_allclose(W, W0 + ledger.T @ x, rtol=0, atol=1e-13)
    np.testing.assert_allclose(b, b0 + ledger.sum(axis=0), rtol=0, atol=1e-13)
    assert np.abs(W - W0).max() > 0.1
    own = ledger[np.arange(50), labels]
    assert own.min() > 0  # an image speaks for its own class
    np.testing.assert_allclose(ledger.sum(axis=1), 0, atol=1e-13)


def test_a_ledger_that_forgets_momentum_is_noticed(monkeypatch, tmp_path, no_pictures):
    monkeypatch.setattr(training_ledger, "step_weights", lambda rates, momentum: rates)
    assert "expected the contributions to add up" in run(monkeypatch, training_ledger, tmp_path)


# optimum.py


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
def test_a_wrong_bound_or_a_poor_optimum_is_noticed(monkeypatch, tmp_path, no_pictures, name, broken, message):
    monkeypatch.setattr(optimum, name, broken)
    assert re.match(message, run(monkeypatch, optimum, tmp_path))


# scaling_study.py


def test_power_iteration_finds_the_largest_eigenvalue_of_the_hessian():
    random = np.random.default_rng(0)
    x, labels = random.standard_normal((30, 4)).astype(np.float32) + 2, random.integers(0, 10, 30)
    H = tg.hessian(lambda v: nn.functional.cross_entropy(x @ v[:40].reshape(10, 4).T + v[40:], labels), np.zeros(50))
    expected = np.linalg.eigvalsh(H.numpy())[-1]
    np.testing.assert_allclose(scaling_study.largest_eigenvalue(x, labels), expected, rtol=1e-4)
    np.testing.assert_allclose(scaling_study.eigenvalues_in_closed_form(x)[0], expected, rtol=1e-6)


def test_the_shape_of_a_normal_distribution_and_of_another():
    random = np.random.default_rng(0)
    np.testing.assert_allclose(scaling_study.shape_of(random.standard_normal(100_000) * 3 + 7), (0, 3), atol=0.06)
    np.testing.assert_allclose(scaling_study.shape_of(random.exponential(size=1_000_000)), (2, 9), rtol=0.05)


def test_another_eigenvalue_is_noticed(monkeypatch, tmp_path, no_pictures):
    monkeypatch.setattr(scaling_study, "largest_eigenvalue", lambda x, labels: 4.0)
    assert re.match(
        "raw, 0 to 255: expected λ = .*, in closed form, got 4.0", run(monkeypatch, scaling_study, tmp_path)
    )
