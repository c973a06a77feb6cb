"""Losses of elements are their formulas, number by number, and right at kinks, at both orders and in half precision."""

import itertools
import math
import pickle

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import check_error, leaf
from tests.nn.test_losses import REDUCTIONS, TOLERANCE, assert_close, value_and_gradient
from tinygrad_sm import nn
from tinygrad_sm.nn import functional
from tinygrad_sm.nn.functional import binary_cross_entropy, huber_loss, kl_div, l1_loss, smooth_l1_loss

INF, NAN = np.inf, np.nan


def huber(d, delta):
    """Return the loss of a distance and its derivative."""
    return (d * d / 2, d) if abs(d) <= delta else (delta * (abs(d) - delta / 2), math.copysign(delta, d))


def smooth(d, beta):
    return tuple(x / beta for x in huber(d, beta))


def distance(d):
    return abs(d), float(np.sign(d))


DISTANCES = {
    "l1": (l1_loss, {}, distance),
    "huber": (huber_loss, {}, lambda d: huber(d, 1.0)),
    "huber of 0.75": (huber_loss, {"delta": 0.75}, lambda d: huber(d, 0.75)),
    "smooth": (smooth_l1_loss, {}, lambda d: smooth(d, 1.0)),
    "smooth of 0.5": (smooth_l1_loss, {"beta": 0.5}, lambda d: smooth(d, 0.5)),
    "smooth of 0": (smooth_l1_loss, {"beta": 0}, distance),
}


def reduced(losses, gradient, reduction, rows=None):
    """Return what a reduction makes of losses, and the gradient of its sum."""
    divisor = {"mean": losses.size, "batchmean": rows}.get(reduction, 1)
    return (losses if reduction == "none" else losses.sum() / divisor), gradient / divisor


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", DISTANCES)
@pytest.mark.parametrize("shape", [(), (2, 3)])
def test_distances(name, dtype, shape):
    loss, options, formula = DISTANCES[name]
    x = np.random.default_rng(0).uniform(-3, 3, shape).astype(dtype)
    for y in (np.full(shape, 1), np.full(shape, 0.5, dtype)):  # integers do not widen x
        both = np.array([formula(float(d)) for d in np.ravel(x.astype(float) - y)])
        losses, gradient = both.T.reshape(2, *shape)
        for reduction in REDUCTIONS:
            found = value_and_gradient(loss, x, y, reduction=reduction, **options)
            assert_close(found, reduced(losses, gradient, reduction), dtype, reduction)


@pytest.mark.parametrize("name", DISTANCES)
def test_distances_at_kinks_and_far_away(name):
    loss, options, formula = DISTANCES[name]
    x = np.array([0.0, -0.0, 0.5, -0.75, 1.0, 1e300, -INF])
    value, gradient = value_and_gradient(loss, x, np.zeros(7), reduction="none", **options)
    expected = np.array([formula(float(d)) for d in x])
    np.testing.assert_array_equal(value, expected[:, 0])
    np.testing.assert_array_equal(gradient, expected[:, 1])


def test_the_second_derivative_of_huber_loss_at_the_kink_is_that_of_the_square():
    for loss in (huber_loss, smooth_l1_loss):
        x = leaf([0.0, 0.999, 1.0, -1.0, 1.001])
        (first,) = tg.grad(loss(x, np.zeros(5), reduction="sum"), x, create_graph=True)
        np.testing.assert_array_equal(tg.grad(first.sum(), x)[0].data, [1, 1, 1, 1, 0])


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("log_target", [False, True])
def test_kl_div_is_its_formula(dtype, log_target):
    random = np.random.default_rng(0)
    for shape in ((), (3,), (4, 3, 2)):
        log_p = np.log(random.uniform(0.05, 1, shape)).astype(dtype)
        y = random.uniform(0.1, 1, shape).astype(dtype)
        target = np.log(y).astype(dtype) if log_target else y
        y = np.exp(target.astype(float)) if log_target else y.astype(float)
        losses = np.array([t * (math.log(t) - z) for t, z in zip(y.flat, log_p.astype(float).flat, strict=True)])
        for reduction in (*REDUCTIONS, "batchmean"):
            found = value_and_gradient(kl_div, log_p, target, reduction=reduction, log_target=log_target)
            expected = reduced(losses.reshape(shape), -y, reduction, rows=shape[0] if shape else 1)
            assert_close(found, expected, dtype, (shape, reduction))


@pytest.mark.parametrize("log_target", [False, True])
def test_kl_div_where_a_target_is_0(log_target):
    log_p, y = np.array([1.0, -INF, -INF, -2.0]), np.array([0.0, 0.0, 0.5, 1.0])
    with np.errstate(divide="ignore"):
        target = np.log(y) if log_target else y
    x, t = leaf(log_p), leaf(target)
    losses = kl_div(x, t, reduction="none", log_target=log_target)
    np.testing.assert_array_equal(losses.data, [0, 0, INF, 2])
    gradients = tg.grad(losses, [x, t], np.ones(4))
    np.testing.assert_array_equal(gradients[0].data, -y)
    expected = [0, 0, INF, 3] if log_target else [-1, 0, INF, 3]
    np.testing.assert_array_equal(gradients[1].data, expected)


def test_kl_div_of_distributions_is_0_where_they_are_equal_and_masked():
    z = np.random.default_rng(0).normal(size=(4, 5))
    z[:, 2] = -INF
    log_p = tg.log_softmax(leaf(z), 1)
    for target, log_target in ((np.exp(log_p.data), False), (log_p.data, True)):
        loss = kl_div(log_p, target, "batchmean", log_target)
        np.testing.assert_allclose(loss.data, 0, atol=1e-15)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_binary_cross_entropy_is_its_formula(dtype):
    random = np.random.default_rng(0)
    p, y = random.uniform(0.1, 0.9, (4, 3)).astype(dtype), random.uniform(0, 1, (4, 3)).round(1).astype(dtype)
    for weight, reduction in itertools.product((None, random.uniform(0.5, 2, (4, 1))), REDUCTIONS):
        losses, gradient = np.zeros((4, 3)), np.zeros((4, 3))
        for i, j in itertools.product(range(4), range(3)):
            w, t, q = 1.0 if weight is None else weight[i, 0], float(y[i, j]), float(p[i, j])
            losses[i, j] = -w * (t * math.log(q) + (1 - t) * math.log(1 - q))
            gradient[i, j] = w * (q - t) / (q * (1 - q))
        found = value_and_gradient(binary_cross_entropy, p, y, weight, reduction)
        assert_close(found, reduced(losses, gradient, reduction), dtype, reduction)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_logarithms_of_binary_cross_entropy_are_bounded(dtype):
    p = np.array([0, 0, 1, 1, 1e-44, 1e-20, 1e-20, 1e-13], dtype)
    y = np.array([1, 0, 0, 1, 1, 1, 0, 1], dtype)
    value, gradient = value_and_gradient(binary_cross_entropy, p, y, reduction="none")
    log_20, log_13 = 20 * math.log(10), 13 * math.log(10)
    np.testing.assert_allclose(value, [100, 0, 100, 0, 100, log_20, 1e-20, log_13], rtol=1e-6)
    np.testing.assert_allclose(gradient, [-1e12, 1, 1e12, -1, -1e12, -1e12, 1, -1e12], rtol=1e-6)
    t = leaf(y, dtype)
    (by_target,) = tg.grad(binary_cross_entropy(p, t, reduction="sum"), t)
    np.testing.assert_allclose(by_target.data, [100, 100, -100, -100, 100, log_20, log_20, log_13], rtol=1e-6)


def test_behind_a_sigmoid_the_gradient_is_p_minus_y():
    z = leaf([-20.0, 20.0])
    (gradient,) = tg.grad(binary_cross_entropy(tg.sigmoid(z), [1.0, 0.0], reduction="sum"), z)
    np.testing.assert_allclose(gradient.data, [-1, 1], rtol=1e-6)


def test_all_are_right_at_both_orders_for_both_operands():
    random = np.random.default_rng(0)
    x, y = random.uniform(-3, 3, (2, 3)), random.uniform(0.1, 0.9, (2, 3))
    for loss, options in ((l1_loss, {}), (huber_loss, {"delta": 1.5}), (smooth_l1_loss, {"beta": 0.5})):
        tg.gradcheck(lambda x, y, loss=loss, options=options: loss(x, y, **options), [x, y])
    tg.gradcheck(kl_div, [x, y])
    tg.gradcheck(lambda x, y: kl_div(x, y, "batchmean", log_target=True), [x, y])
    w = np.array([[1.0], [2.0]])
    tg.gradcheck(lambda p, y: binary_cross_entropy(p, y, w), [random.uniform(0.1, 0.9, (2, 3)), y])


def test_half_precision_neither_overflows_nor_stalls():
    x = np.full(70_000, 2.0, np.float16)
    assert l1_loss(x, -x) == 4
    assert huber_loss(x, -x) == 3.5
    assert smooth_l1_loss(x, -x) == 3.5
    assert huber_loss(np.array([400, 0, 0, 0], np.float16), 0 * x[:4], delta=1000) == 20_000  # the first loss is 80,000
    assert abs(kl_div(-x, x) - 2 * (math.log(2) + 2)) < 4e-3
    assert abs(binary_cross_entropy(x / 8, np.zeros_like(x)) - math.log(4 / 3)) < 2e-4
    assert binary_cross_entropy(np.zeros(1, np.float16), np.ones(1, np.float16)) == 100


def test_modules_pass_their_options_on():
    random = np.random.default_rng(0)
    x, y, p, w = *random.random((3, 4, 3)), np.array([1.0, 2.0, 3.0])
    pairs = [
        (nn.L1Loss("sum"), l1_loss(x, y, "sum"), x),
        (nn.HuberLoss("none", 0.25), huber_loss(x, y, "none", 0.25), x),
        (nn.SmoothL1Loss("sum", 0.25), smooth_l1_loss(x, y, "sum", 0.25), x),
        (nn.KLDivLoss("batchmean", True), kl_div(x, y, "batchmean", True), x),
        (nn.KLDivLoss(), kl_div(x, y), x),
        (nn.BCELoss(w, "none"), binary_cross_entropy(p, y, w, "none"), p),
    ]
    for module, expected, given in pairs:
        np.testing.assert_array_equal(module(given, y), expected)
    assert list(nn.BCELoss(w).state_dict()) == ["weight"]


def test_losses_of_before_are_found_where_older_pickles_name_them():
    text = pickle.dumps(nn.MSELoss("sum"), protocol=0)
    assert b"tinygrad_sm.nn.elementwise_losses" in text
    for file in (text, text.replace(b"nn.elementwise_losses", b"nn.losses")):
        assert pickle.loads(file).reduction == "sum"


X = np.full((4, 3), 0.5)
ERRORS = {
    **{
        f"another shape for {loss.__name__}": (
            lambda loss=loss: loss(np.zeros(4), np.zeros((4, 1))),
            ValueError,
            rf"{loss.__name__}: expected a target of the input's shape \(4,\), got float64 \(4, 1\): reshape the "
            r"target with \.reshape\(4\)",
        )
        for loss in (l1_loss, huber_loss, smooth_l1_loss, kl_div, binary_cross_entropy)
    },
    "nothing": (lambda: l1_loss([], []), ValueError, "l1_loss: expected at least one element, got an empty .*"),
    "batchmean for another": (
        lambda: l1_loss(X, X, "batchmean"),
        ValueError,
        "l1_loss: expected reduction to be 'none', 'mean' or 'sum', got 'batchmean'",
    ),
    "an unknown reduction of kl_div": (
        lambda: kl_div(X, X, "rows"),
        ValueError,
        "kl_div: expected reduction to be 'none', 'mean', 'sum' or 'batchmean', got 'rows'",
    ),
    "an unknown reduction of KLDivLoss": (lambda: nn.KLDivLoss("rows"), ValueError, "KLDivLoss: .* 'batchmean', .*"),
    "no delta": (
        lambda: huber_loss(X, X, delta=0),
        ValueError,
        "huber_loss: expected delta greater than 0, got 0",
    ),
    "a negative delta": (
        lambda: nn.HuberLoss(delta=-1.0),
        ValueError,
        r"HuberLoss: expected delta to be a finite number of at least 0, got -1\.0",
    ),
    "a negative beta": (
        lambda: nn.SmoothL1Loss(beta=-1.0),
        ValueError,
        r"SmoothL1Loss: expected beta to be a finite number of at least 0, got -1\.0",
    ),
    "logarithms as a target": (
        lambda: kl_div(X, [[0.5, -0.5, 0.5]] * 4),
        ValueError,
        r"kl_div: expected a target of at least 0, got -0\.5 at \[0, 1\]: write log_target=True for its logarithms",
    ),
    "logits": (
        lambda: binary_cross_entropy(np.array([0.5, 1.5]), [1.0, 0.0]),
        ValueError,
        r"binary_cross_entropy: expected probabilities from 0 to 1, got 1\.5 in row 1: "
        "binary_cross_entropy_with_logits takes logits",
    ),
    "NaN": (lambda: nn.BCELoss()(NAN, 1.0), ValueError, ".* probabilities from 0 to 1, got nan: .*"),
    "a target out of bounds": (
        lambda: binary_cross_entropy(X, X - 1),
        ValueError,
        r"binary_cross_entropy: expected a target from 0 to 1, got -0\.5 at \[0, 0\]",
    ),
    "weights that do not fit": (
        lambda: binary_cross_entropy(X, X, weight=[1.0, 2.0]),
        ValueError,
        r"binary_cross_entropy: expected weight of shape \(4, 3\), or one that broadcasts to it; got float32 \(2,\)",
    ),
    "weights that require a gradient": (
        lambda: binary_cross_entropy(X, X, weight=leaf()),
        TypeError,
        r"binary_cross_entropy has no gradient with respect to weight: pass weight\.detach\(\)",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_the_error(name, tmp_path):
    check_error(*ERRORS[name], tmp_path)


def test_a_compiled_step_refuses_the_same_numbers():
    loss = tg.compiled(lambda p, y: functional.binary_cross_entropy(p, y))
    p, y = np.full((4, 3), 0.25), np.ones((4, 3))
    for _ in range(4):
        np.testing.assert_allclose(loss(p, y), math.log(4))
    assert loss.program is not None
    for wrong in ((p + 1, y), (p, y + 1)):
        with pytest.raises(ValueError, match="binary_cross_entropy: expected .* from 0 to 1, got"):
            loss(*wrong)
    np.testing.assert_allclose(loss(p, y), math.log(4))
