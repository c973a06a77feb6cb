"""The chain rule's paths add up to the derivative, and the example notices where autodiff or the notes disagree."""

import re

import chain_rule
import numpy as np
import pytest

import tinygrad_sm as tg


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
    np.testing.assert_allclose(sum(map(np.prod, paths.values())), (loss(h) - loss(-h)) / (2 * h), rtol=1e-6)
    p = np.exp(W @ x + b) / np.exp(W @ x + b).sum()
    by_hand = [-y[i] / p[i] * p[i] * ((i == j - 1) - p[j - 1]) * x[k - 1] for i in range(3)]
    np.testing.assert_allclose([np.prod(factors) for factors in paths.values()], by_hand, rtol=1e-9, atol=1e-15)
    assert f"∂L/∂w_{j},{k} = −(y_{j} − a_{j}) x_{k} = {sum(by_hand): .6f}" in capsys.readouterr().out


def test_weights_are_counted_from_1():
    with pytest.raises(IndexError, match="expected j from 1 to 2 and k from 1 to 3, got j = 0 and k = 1"):
        chain_rule.explain(np.ones((2, 3)), [0, 0], [1, 2, 3], [1, 0], j=0, k=1)


def test_what_autodiff_does_not_bear_out_is_not_printed(capsys):
    with pytest.raises(ArithmeticError, match=r"slope: expected 1\.0, as automatic differentiation has it, got 1\.001"):
        chain_rule.show("slope", 1.001, 1.0)
    assert capsys.readouterr().out == ""


def test_another_jacobian_of_the_softmax_is_noticed(run, monkeypatch, no_pictures):
    monkeypatch.setattr(tg, "jacobian", lambda f, at: tg.Tensor(np.eye(2)))
    assert re.match("∂a_1/∂z_1 .*: expected 1.0, as automatic", run(chain_rule)[0])


def test_other_losses_than_those_of_the_notes_are_noticed():
    with pytest.raises(ArithmeticError, match=r'reduction="mean": expected 0\.5, as in the notes, got 0\.69'):
        chain_rule.worked_cross_entropy(np.zeros((4, 2)), np.array([0, 1, 1, 0]), {"mean": 0.5})


def test_the_picture_has_the_paths_that_were_explained(run, drawn, monkeypatch):
    explained, explain = {}, chain_rule.explain
    monkeypatch.setattr(
        chain_rule, "explain", lambda *args, **options: explained.update(explain(*args, **options)) or explained
    )
    assert run(chain_rule)[0] == 0
    shown = drawn["network.png"]
    for steps, factors in zip(shown["paths"].values(), explained.values(), strict=True):
        assert [step[3] for step in steps] == factors
        assert [step[0] for step in steps] + [steps[-1][1]] == ["L", steps[1][0], "z₁", "x₂"]
    a = np.exp([0.0, 0.5]) / np.exp([0.0, 0.5]).sum()
    expected = {"x₁": 1, "x₂": 2, "z₁": 0, "z₂": 0.5, "a₁": a[0], "a₂": a[1], "L": -np.log(a[1])}
    assert shown["values"] == pytest.approx(expected, abs=1e-12)
    assert f"∂L/∂w₁₂ = {2 * a[0]:.3f} = −(y₁ − a₁) x₂" in shown["sums"][2]
