"""The checker itself is checked: it rejects wrong rules of every kind that it should see, and accepts right ones."""

import numpy as np
import pytest

import tinygrad_sm as tg
from tinygrad_sm import GradcheckError, Tensor, gradcheck, primitive


def made(forward, *rules, **options):
    op = primitive(forward, **options)
    op.vjp(*rules)
    return op


def assert_rejected(f, *inputs, match="the rules give", order=2):
    with pytest.raises(GradcheckError, match=match):
        gradcheck(f, [np.array(x, float) for x in inputs], order=order)


def plain(x):
    return x.data if isinstance(x, Tensor) else x


def exponential(x, /):
    return np.exp(x)


def test_a_wrong_rule_of_order_two_is_rejected_and_only_then():
    cut = made(exponential, lambda g, out, x: g * plain(out), analytic=True)  # right, but a constant to the next order
    gradcheck(cut, [np.array([0.3, 1.0])], order=1)
    assert_rejected(cut, [0.3, 1.0], match="order 2, central differences: the rules give 0 for")


def test_a_rule_that_is_wrong_only_where_the_walk_is_recorded_is_rejected():
    two_faced = made(exponential, lambda g, out, x: g * out * (7 if isinstance(x, Tensor) else 1), analytic=True)
    assert_rejected(two_faced, [0.3, 1.0], match="order 1, complex step, with create_graph")


def test_a_wrong_recipe_of_a_residual_is_rejected():
    def forward(x, /):
        return np.exp(x), np.exp(x)

    wrong = made(forward, lambda g, out, x, saved: g * saved, analytic=True, saves=lambda x: 7 * tg.exp(x))
    assert_rejected(wrong, [0.3, 1.0], match="order 1, complex step, with create_graph")


def test_small_gradients_are_not_lost_beside_large_ones_or_beside_one():
    wrong_below = made(exponential, lambda g, out, x: g * out * (1 + 3.0 * (x < 0)), analytic=True)
    assert_rejected(wrong_below, [-20.0, 5.0], match=r"element \(0,\) of input 0")
    wrong = made(lambda x, /: x * 2e-10, lambda g, out, x: g * 5e-10)
    assert_rejected(wrong, [1.0, 2.0], match="central differences")


def test_rules_that_differ_only_where_rows_are_summed_are_rejected():
    only_diagonal = made(
        lambda x, /: np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True),
        lambda g, out, x: g * out * (1 - out),
        analytic=True,
    )
    assert_rejected(only_diagonal, [[0.1, 0.5, -0.3]], order=1)
    plus_constant = made(lambda x, /: x * 1.0, lambda g, out, x: g + 0.1 * (g - g.mean()))
    assert_rejected(plus_constant, [0.1, 0.5, -0.3], order=1)


def test_nan_and_missing_gradients_are_rejected():
    assert_rejected(made(exponential, lambda g, out, x: g * np.nan), [0.3], order=1)
    assert_rejected(lambda x: tg.exp(x.detach()), [0.3], order=1)


def test_an_operation_that_only_claims_to_be_analytic_is_found_out():
    claims = made(lambda x, /: np.abs(x), lambda g, out, x: g * tg.sign(x), analytic=True)
    with pytest.raises(GradcheckError):
        gradcheck(claims, [np.array([1.0, -2.0])])
    conjugates = made(lambda x, /: np.conj(x) * x, lambda g, out, x: g * 0, analytic=True)  # x², and constant to both
    assert_rejected(conjugates, [1.0, 2.0], match="declared analytic is wrong on complex arrays", order=1)


def test_operations_that_are_not_analytic_do_not_claim_it():
    for op in (tg.abs, tg.relu, tg.maximum, tg.max, tg.sigmoid, tg.sign):
        assert not op.analytic


def test_the_report_says_what_was_done_and_inputs_stay():
    x = np.array([[0.5, -1.0]])
    report = gradcheck(lambda x: tg.tanh(x) * 3, [x], order=2)
    assert report[:2] == ("complex step", 4)
    assert 0 < report.largest_error < 1e-8
    assert gradcheck(tg.sigmoid, [x], order=1)[:2] == ("central differences", 2)
    assert x.tolist() == [[0.5, -1.0]]
    assert gradcheck(tg.sigmoid, [Tensor([0.5])]).largest_error < 1e-8  # float32 is converted
    for inputs, order in (([], 1), ([x], 0)):
        with pytest.raises(ValueError, match="gradcheck: expected inputs and an order"):
            gradcheck(tg.exp, inputs, order=order)
