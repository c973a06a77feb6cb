"""The training ledger's contributions rebuild the trained weights, with momentum and without."""

import numpy as np
import pytest
import training_ledger


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


def test_a_ledger_that_forgets_momentum_is_noticed(run, monkeypatch, no_pictures):
    monkeypatch.setattr(training_ledger, "step_weights", lambda rates, momentum: rates)
    assert "expected the contributions to add up" in run(training_ledger, "--quick")[0]


def test_the_total_is_drawn_as_one(run, drawn):
    assert run(training_ledger, "--quick")[0] == 0
    shares = drawn["shares.png"]
    [bars] = shares["panels"].values()
    *parts, total = bars.values()
    assert shares["total"] == list(bars)[-1] == "their sum, z₁ − z₇"
    np.testing.assert_allclose(sum(parts), total, rtol=1e-9)
