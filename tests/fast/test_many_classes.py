"""Cross-entropy of any number of classes has the values of its definition; with the wing, in one array."""

import tracemalloc

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import leaf
from tinygrad_sm import Tensor, backend
from tinygrad_sm.dispatch import HAS_WING
from tinygrad_sm.engine.backward import seed_gradient
from tinygrad_sm.engine.tape import count_uses, gradients
from tinygrad_sm.ops.softmax import cross_entropy

INF = np.inf
FEW = 150
"""So many classes are no longer few: see `fast/cross_entropy.py`."""

BORDER = (FEW - 1, FEW, FEW + 1)
at_the_border = pytest.mark.parametrize("C", BORDER)


def normal(N, C, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).normal(0, 3, (N, C)).astype(dtype)


def labels_of(N, C):
    return np.random.default_rng(1).integers(0, C, N)


def probabilities(N, C, dtype=np.float64):
    """Return targets of which some are 0, and whose rows do not sum to 1."""
    y = np.random.default_rng(2).random((N, C))
    return (np.where(y < 0.3, 0, y) * 3 / C).astype(dtype)


def oracle(z, y):
    """Return loss and gradient by their definitions in longdouble, a row at a time; 0·(−∞) is 0."""
    N, C = z.shape
    if y.ndim == 1:
        labels, y = y, np.zeros((N, C))
        y[np.arange(N), labels] = 1
    losses, gradients = [], []
    for z_row, y_row in zip(z.astype(np.longdouble), y.astype(np.longdouble), strict=True):
        if z_row.max() == -INF:
            losses.append(INF if y_row.any() else 0)
            gradients.append(np.zeros(C))
            continue
        p = np.exp(z_row - z_row.max())
        p /= p.sum()
        some = y_row != 0
        with np.errstate(divide="ignore"):
            losses.append(-(y_row[some] * np.log(p[some])).sum())
        gradients.append(p * y_row.sum() - y_row)
    return sum(losses) / N, np.stack(gradients) / N


def loss_and_gradient(z, y):
    logits = Tensor(z, requires_grad=True)
    loss = cross_entropy(logits, y)
    loss.backward()
    assert type(loss.data) is type(logits.grad) is np.ndarray
    assert logits.grad.flags.writeable
    return loss.data, logits.grad


@pytest.mark.parametrize("target", [labels_of, probabilities])
@pytest.mark.parametrize(("dtype", "rtol"), [(np.float32, 1e-6), (np.float64, 1e-14)])
@pytest.mark.parametrize(("N", "C"), [*((7, C) for C in BORDER), (1, 1000), (300, 1000), (1100, 300), (2, 140_000)])
def test_values_of_many_classes(N, C, dtype, rtol, target):
    z, y = normal(N, C, dtype), target(N, C)
    y = y if y.ndim == 1 else y.astype(dtype)
    loss, gradient = loss_and_gradient(z, y)
    expected, expected_gradient = oracle(z, y)
    assert (loss.dtype, gradient.dtype) == (dtype, dtype)
    np.testing.assert_allclose(loss, float(expected), rtol=rtol)
    np.testing.assert_allclose(gradient, expected_gradient.astype(float), rtol=20 * rtol, atol=rtol / N)


@pytest.mark.parametrize("target", [labels_of, probabilities])
def test_masked_columns_change_nothing(target):
    """Rows of few classes, and the same of many of which all others are masked: both layouts agree."""
    few, y = normal(9, 10), target(9, 10)
    many = np.full((9, 2 * FEW), -INF)
    many[:, :10] = few
    loss, gradient = loss_and_gradient(few, y)
    padded = y if y.ndim == 1 else np.pad(y, ((0, 0), (0, 2 * FEW - 10)))
    loss_of_many, gradient_of_many = loss_and_gradient(many, padded)
    np.testing.assert_allclose(loss_of_many, loss, rtol=1e-14)
    np.testing.assert_allclose(gradient_of_many[:, :10], gradient, rtol=1e-13, atol=1e-15)
    np.testing.assert_array_equal(gradient_of_many[:, 10:], 0)


def nasty_rows(C):
    """Return rows that are masked, wholly and in part, of infinities and of NaN, among usual ones."""
    z = normal(11, C)
    z[[0, 4, 10]] = -INF
    z[2, 1::2] = -INF
    z[5, 0] = INF
    z[7, 1] = np.nan
    z[8] = 1e300
    return z


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("C", [5, *BORDER])
def test_rows_that_are_masked_infinite_or_nan(C):
    """What is in one row is seen in no other, and conventions hold on both sides."""
    z = nasty_rows(C)
    labels = np.zeros(11, int)
    loss, gradient = loss_and_gradient(z, labels)
    assert np.isnan(loss)
    is_nan = np.isnan(gradient)
    np.testing.assert_array_equal(is_nan.any(axis=1), [i in (5, 7) for i in range(11)])
    assert is_nan[5, 0]
    assert is_nan[7].all()
    usual = [i for i in range(11) if i not in (5, 7)]
    _, expected = oracle(z[usual], labels[usual])
    np.testing.assert_allclose(gradient[usual] * 11, expected.astype(float) * 9, rtol=1e-13, atol=1e-15)
    np.testing.assert_array_equal(gradient[[0, 4, 10]], 0)

    unmasked = [1, 2, 3, 6, 8, 9]
    loss, _ = loss_and_gradient(z[unmasked], labels[unmasked])
    np.testing.assert_allclose(loss, float(oracle(z[unmasked], labels[unmasked])[0]), rtol=1e-14)
    assert cross_entropy(z[usual], labels[usual]) == INF  # the label of a masked row is masked
    y = np.where(np.isinf(z), 0, probabilities(11, C))  # 0·(−∞) is 0
    y[4] = 1 / C  # and in a masked row there is no gradient, whatever the target
    loss, gradient = loss_and_gradient(z[usual], y[usual])
    assert loss == INF
    np.testing.assert_allclose(gradient, oracle(z[usual], y[usual])[1].astype(float), rtol=1e-13, atol=1e-15)
    y[4] = 0
    np.testing.assert_allclose(cross_entropy(z[usual], y[usual]), float(oracle(z[usual], y[usual])[0]), rtol=1e-14)


@at_the_border
def test_dtypes(C):
    labels = labels_of(40, C)
    halves = normal(40, C, np.float16)
    for y in (labels, probabilities(40, C, np.float16)):
        loss, gradient = loss_and_gradient(halves, y)
        expected, expected_gradient = oracle(halves, y)
        assert (loss.dtype, gradient.dtype) == (np.float16, np.float16)
        np.testing.assert_allclose(loss, float(expected), rtol=1e-3)
        np.testing.assert_allclose(gradient, expected_gradient.astype(float), rtol=2e-3, atol=1e-7)
    # The residual keeps what half precision cannot hold: a factor that scales the loss brings it back.
    logits = Tensor(np.zeros((4096, C), np.float16), requires_grad=True)
    (cross_entropy(logits, np.zeros(4096, int)) * 1024.0).backward()
    np.testing.assert_allclose(logits.grad[:, 1:], 1024 / 4096 / C, rtol=1e-3)
    for dtype in (np.int64, np.uint8, np.bool_):
        whole = np.abs(normal(40, C)).astype(dtype)
        loss = cross_entropy(whole, labels)
        assert loss.dtype == np.float64
        assert loss == cross_entropy(whole.astype(float), labels)
    mixed, expected = cross_entropy(normal(40, C, np.float32), probabilities(40, C)), np.float64
    assert mixed.dtype == expected
    z = normal(40, C)
    expected = cross_entropy(z, labels)
    for dtype in (np.uint8, np.int8, np.uint64):
        small = labels % 100
        assert cross_entropy(z, small.astype(dtype)) == cross_entropy(z, small)
    for same in (np.asfortranarray(z), z.repeat(2, axis=1)[:, ::2], z.astype(">f8")):
        np.testing.assert_allclose(cross_entropy(same, labels), expected, rtol=1e-14)


def test_the_loss_is_summed_exactly_enough():
    """The mean of 100,000 equal losses in float32 is right to rounding: with a running sum in float32 it is not."""
    z = np.zeros((100_000, FEW), np.float32)
    z[:, 0] = 0.1
    y = np.zeros(len(z), int)
    row, _ = oracle(z[:1], y[:1])
    np.testing.assert_allclose(cross_entropy(z, y), float(row), rtol=3e-7)


@at_the_border
def test_what_is_wrong_is_refused(C):
    z = normal(3000, C, np.float32)
    y = labels_of(3000, C)
    for bad in (C, -1):
        y[2500] = bad
        with pytest.raises(IndexError, match=rf"expected 0..{C - 1} for {C} classes, got {bad} in row 2500"):
            cross_entropy(z, y)
    with pytest.raises(ValueError, match="at least one example, got an empty batch"):
        cross_entropy(z[:0], y[:0])
    with pytest.raises(TypeError, match="must be floating"):
        cross_entropy(z, z.astype(int))


@pytest.mark.parametrize("target", [labels_of, probabilities])
def test_gradients_of_both_orders(target):
    tg.gradcheck(lambda z: cross_entropy(z, target(7, 5)), normal(7, 5))
    z = normal(7, 5)
    z[3] = -INF
    masked = leaf(z)
    (first,) = tg.grad(cross_entropy(masked, target(7, 5)), masked, create_graph=True)
    np.testing.assert_allclose(first.data, oracle(z, target(7, 5))[1].astype(float), rtol=1e-13, atol=1e-16)


def test_the_gradient_by_probabilities():
    tg.gradcheck(lambda y: cross_entropy(normal(7, 5), y), probabilities(7, 5) + 0.1)


def test_gradients_of_many_classes():
    tg.gradcheck(lambda z: cross_entropy(z, labels_of(2, FEW)), normal(2, FEW), order=1)


# Memory, and the residual that is handed over.


def peak_of(f):
    """Return how many bytes were in use at once, beyond those before."""
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        kept = f()
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    del kept
    return peak


SPARE = 2**20
"""For what has the size of a row or a column."""


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("target", "most"), [(labels_of, 1 if HAS_WING else 2), (probabilities, 4)])
def test_arrays_of_the_size_of_the_logits_are_few(dtype, target, most):
    logits = Tensor(normal(2000, 2000, dtype), requires_grad=True)
    y = target(2000, 2000)
    y = y if y.ndim == 1 else y.astype(dtype)
    size = logits.data.nbytes
    assert size > 3 * SPARE
    assert size < peak_of(lambda: cross_entropy(logits, y)) < most * size + SPARE
    assert size < peak_of(lambda: walked(cross_entropy(logits, y))) < most * size + SPARE
    assert size < peak_of(lambda: cross_entropy(logits, y).backward()) < most * size + SPARE


def walked(loss):
    """Return what a walk finds, before any of it is left in a `.grad`."""
    return gradients({loss: seed_gradient(loss, None)}, count_uses([loss]))


def test_a_loss_that_is_multiplied_gives_a_product():
    z, y = leaf(normal(6, 4)), labels_of(6, 4)
    residual = cross_entropy(z, y).node.saved
    for g in (1.0, 2.0, 0.0):
        (found,) = tg.grad(cross_entropy(z, y), z, g)
        np.testing.assert_array_equal(found.data, g * residual)


def cases(device):
    """Return logits of few and of many classes, their labels, and the gradient of their loss."""
    for C in (4, 2 * FEW):
        z, y = normal(6, C), labels_of(6, C)
        logits = Tensor(z, requires_grad=True, device=device)
        yield logits, Tensor(y, device=device), oracle(z, y)[1].astype(float)


def assert_grad(logits, expected):
    np.testing.assert_allclose(backend.to_numpy(logits.grad), expected, rtol=1e-12, atol=1e-15)


def test_the_first_gradient_and_what_comes_of_it(device):
    for logits, y, expected in cases(device):
        for g, factor in ((None, 1), (1.0, 1), (np.float64(2), 2)):
            logits.grad = None
            cross_entropy(logits, y).backward(g if g is None else Tensor(g, device=device))
            assert_grad(logits, factor * expected)
        logits.grad = None
        (3 * cross_entropy(logits, y)).backward()
        assert_grad(logits, 3 * expected)
        logits.grad = None
        (cross_entropy(logits, y) + cross_entropy(logits, y)).backward()
        assert_grad(logits, 2 * expected)


def test_a_retained_graph_gives_the_same_again(device):
    for logits, y, expected in cases(device):
        loss = cross_entropy(logits, y)
        loss.backward(retain_graph=True)
        logits.grad *= 100  # the gradient is the user's own
        logits.grad[...] = 0
        loss.backward(retain_graph=True)
        once = logits.grad.copy()
        assert_grad(logits, expected)
        loss.backward()
        np.testing.assert_array_equal(backend.to_numpy(logits.grad), backend.to_numpy(2 * once))


def test_hooks_that_keep_and_change_gradients(device):
    for logits, y, expected in cases(device):
        kept = []
        logits.register_hook(kept.append)
        loss = cross_entropy(logits, y)
        loss.backward(retain_graph=True)
        logits.grad *= 100  # what the hook has kept is not `.grad`
        np.testing.assert_allclose(backend.to_numpy(kept[0]), expected, rtol=1e-12, atol=1e-15)
        logits.grad = None
        logits.register_hook(lambda g: g * 2)
        loss.backward(retain_graph=True)
        assert_grad(logits, 2 * expected)
        logits.grad = None
        five = loss.register_hook(lambda g: g * 5)
        loss.backward(retain_graph=True)
        assert_grad(logits, 10 * expected)
        five.remove()

        def write(g):
            g *= 7

        logits.grad = None
        loss.register_hook(write)  # it must not, but the one it writes into is its own
        loss.backward()
        assert_grad(logits, 14 * expected)


def test_the_residual_is_read_only_to_all_that_follows():
    """What lies before the loss gets the residual itself, and is pure too."""
    x, w = leaf(normal(6, 3)), leaf(normal(3, 2 * FEW))
    y = labels_of(6, 2 * FEW)
    z = x @ w + 0.0
    loss = cross_entropy(z + z * 0.0, y)
    loss.node.saved.flags.writeable = False
    loss.backward(retain_graph=True)
    _, residual = oracle(x.data @ w.data, y)
    np.testing.assert_allclose(w.grad, (x.data.T @ residual).astype(float), rtol=1e-11, atol=1e-14)
    np.testing.assert_allclose(x.grad, (residual @ w.data.T).astype(float), rtol=1e-11, atol=1e-14)


def test_walks_that_are_recorded_and_observed():
    for logits, y, expected in cases("cpu"):
        (first,) = tg.grad(cross_entropy(logits, y), logits, create_graph=True)
        np.testing.assert_allclose(first.data, expected, rtol=1e-12, atol=1e-15)
        v = normal(6, logits.shape[1], seed=3)
        (second,) = tg.grad((first * v).sum(), logits)
        p = np.exp(logits.data - logits.data.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        np.testing.assert_allclose(second.data, p * (v - (p * v).sum(axis=1, keepdims=True)) / 6, rtol=1e-9, atol=1e-12)
        logits.grad = None
        with tg.detect_anomaly(), tg.profile():
            cross_entropy(logits, y).backward()
        assert_grad(logits, expected)
