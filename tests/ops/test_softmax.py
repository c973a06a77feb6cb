"""Softmax and its kin keep their laws, at extreme logits and masks too, and agree with their composed forms."""

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import tinygrad_sm as tg
from tests.helpers import leaf
from tinygrad_sm import Tensor, nn
from tinygrad_sm.ops.softmax import cross_entropy, one_hot

INF = np.inf
logits_of_a_row = hnp.arrays(np.float64, st.integers(1, 6), elements=st.floats(-30, 30))


def jacobian(f, z):
    """Return ∂f_i/∂z_j, row by row in reverse mode."""
    z = Tensor(z, requires_grad=True)
    n = f(z).size
    return np.stack([tg.grad(f(z)[i], z)[0].data for i in range(n)])


def jacobian_by_columns(f, z):
    """Return ∂f_i/∂z_j, column by column in forward mode: the gradient of g ↦ ⟨v, Jᵀg⟩ is Jv."""
    z = Tensor(z, requires_grad=True)
    out = f(z)
    g = Tensor(np.ones(out.shape), requires_grad=True)
    (pulled,) = tg.grad(out, z, g, create_graph=True)
    columns = [tg.grad(pulled[j], g, create_graph=True)[0].data for j in range(z.size)]
    return np.stack(columns, axis=1)


@given(logits_of_a_row)
def test_the_jacobian_is_diag_p_minus_p_p_transposed(z):
    p = tg.softmax(z)
    J = jacobian(tg.softmax, z)
    closed_form = np.diag(p) - np.outer(p, p)
    np.testing.assert_allclose(J, closed_form, atol=1e-15)
    np.testing.assert_allclose(jacobian_by_columns(tg.softmax, z), closed_form, atol=1e-15)
    np.testing.assert_allclose(J, J.T, atol=1e-15)
    np.testing.assert_allclose(J.sum(axis=1), 0, atol=1e-15)
    np.testing.assert_allclose(J @ np.ones(len(z)), 0, atol=1e-15)  # the null vector
    assert np.linalg.eigvalsh(J).min() > -1e-15  # positive semi-definite


@given(logits_of_a_row, st.floats(-1e3, 1e3))
def test_softmax_is_a_distribution_in_the_order_of_the_logits(z, shift):
    p = tg.softmax(z)
    assert np.all(p >= 0)
    np.testing.assert_allclose(p.sum(), 1, rtol=1e-14)
    order = np.argsort(z, kind="stable")
    assert np.all(np.diff(p[order]) >= 0)
    np.testing.assert_allclose(tg.softmax(z + shift), p, rtol=1e-11)
    np.testing.assert_allclose(np.exp(tg.log_softmax(z)), p, rtol=1e-12)
    np.testing.assert_allclose(tg.logsumexp(z + shift), tg.logsumexp(z) + shift, rtol=1e-12, atol=1e-12)


@given(hnp.arrays(np.float64, (4, 3), elements=st.floats(-30, 30)), st.lists(st.integers(0, 2), min_size=4, max_size=4))
def test_the_gradient_of_cross_entropy_is_p_minus_y(z, labels):
    logits = Tensor(z, requires_grad=True)
    cross_entropy(logits, np.array(labels)).backward()
    np.testing.assert_allclose(logits.grad, (tg.softmax(z) - np.eye(3)[labels]) / 4, atol=1e-15)


@given(hnp.arrays(np.float64, (4, 3), elements=st.floats(-30, 30)), st.lists(st.integers(0, 2), min_size=4, max_size=4))
def test_cross_entropy_agrees_with_its_composed_forms(z, labels):
    labels = np.array(labels)
    y = np.eye(3)[labels]

    def by_logsumexp(logits):
        return tg.mean(tg.logsumexp(logits, axis=1) - (logits * y).sum(axis=1))

    def by_definition(logits):
        shifted = tg.exp(logits - tg.max(logits, axis=1, keepdims=True).detach())
        return -(y * tg.log(shifted / shifted.sum(axis=1, keepdims=True) + (1 - y))).sum() / 4

    forms = [
        lambda logits: cross_entropy(logits, labels),
        lambda logits: cross_entropy(logits, y),
        lambda logits: nn.functional.nll_loss(tg.log_softmax(logits), labels),
        by_logsumexp,
        by_definition,
    ]
    results = []
    for form in forms:
        logits = Tensor(z, requires_grad=True)
        loss = form(logits)
        (first,) = tg.grad(loss, logits, create_graph=True)
        (second,) = tg.grad((first * np.arange(12.0).reshape(4, 3)).sum(), logits)
        results.append((loss.data, first.data, second.data))
    for values in results[1:]:
        for value, expected in zip(values, results[0], strict=True):
            np.testing.assert_allclose(value, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize(("dtype", "huge"), [(np.float32, 1e4), (np.float64, 1e300)])
def test_extreme_logits_are_finite_and_right(dtype, huge):
    z = np.array([[huge, -huge, 0], [-huge, -huge, -huge], [huge, huge, -huge]], dtype)
    np.testing.assert_array_equal(tg.softmax(z), np.array([[1, 0, 0], [1 / 3] * 3, [0.5, 0.5, 0]], dtype))
    expected = [huge, dtype(-huge) + np.log(dtype(3)), dtype(huge) + np.log(dtype(2))]
    np.testing.assert_allclose(tg.logsumexp(z, axis=1), expected, rtol=1e-6)
    np.testing.assert_allclose(tg.log_softmax(z)[0], np.array([0, -2 * huge, -huge], dtype), rtol=1e-6)
    np.testing.assert_array_equal(tg.sigmoid(z[0]), np.array([1, 0, 0.5], dtype))
    logits = Tensor(z, requires_grad=True)
    loss = cross_entropy(logits, np.array([1, 0, 2]))
    np.testing.assert_allclose(loss.item(), (2 * huge + np.log(3) + 2 * huge + np.log(2)) / 3, rtol=1e-6)
    loss.backward()
    expected = np.array([[1, -1, 0], [-2 / 3, 1 / 3, 1 / 3], [0.5, 0.5, -1]]) / 3
    np.testing.assert_allclose(logits.grad, expected, rtol=1e-6, atol=1e-12)
    assert logits.grad.dtype == dtype


def test_sigmoid_is_exact_to_rounding_in_both_tails():
    x = np.array([-700.0, -40.0, -1.0, 1.0, 40.0, 700.0])
    expected = [np.exp(-700.0), np.exp(-40.0), 1 / (1 + np.e), np.e / (1 + np.e), 1.0, 1.0]
    np.testing.assert_allclose(tg.sigmoid(x), expected, rtol=1e-15)


MASKED = np.array([[0.0, -INF, 0.0], [-INF, -INF, -INF], [-INF, 3.0, -INF]])


def test_masked_rows():
    np.testing.assert_array_equal(tg.softmax(MASKED), [[0.5, 0, 0.5], [0, 0, 0], [0, 1, 0]])
    np.testing.assert_array_equal(tg.logsumexp(MASKED, axis=1), [np.log(2), -INF, 3])
    np.testing.assert_array_equal(
        tg.log_softmax(MASKED), [[-np.log(2), -INF, -np.log(2)], [-INF, -INF, -INF], [-INF, 0, -INF]]
    )


@pytest.mark.parametrize(
    "function",
    [
        lambda z: tg.softmax(z)[1],
        lambda z: tg.logsumexp(z, axis=1)[1],
        lambda z: tg.log_softmax(z)[1],
        lambda z: cross_entropy(z[1:2], np.array([2])),
        lambda z: cross_entropy(z[1:2], np.array([[0.5, 0.25, 0.25]])),
        lambda z: nn.functional.nll_loss(tg.log_softmax(z[1:2]), np.array([2])),
    ],
)
def test_a_fully_masked_row_has_gradient_0(function):
    z = Tensor(MASKED, requires_grad=True)
    out = function(z)
    (first,) = tg.grad(out, z, np.ones(out.shape), create_graph=True)
    np.testing.assert_array_equal(first.data, np.zeros((3, 3)))
    (second,) = tg.grad(first.sum(), z)
    np.testing.assert_array_equal(second.data, np.zeros((3, 3)))
    out = function(z)
    out.backward(np.ones(out.shape))
    np.testing.assert_array_equal(z.grad, np.zeros((3, 3)))


def test_masked_logits_get_no_gradient_and_leave_the_rest_right():
    z = Tensor(MASKED[[0, 2]], requires_grad=True)
    loss = cross_entropy(z, np.array([2, 1]))
    assert loss.item() == np.log(2) / 2
    loss.backward()
    np.testing.assert_array_equal(z.grad, [[0.25, 0, -0.25], [0, 0, 0]])
    soft = Tensor(MASKED[:1], requires_grad=True)
    loss = cross_entropy(soft, np.array([[0.25, 0.0, 0.75]]))  # 0·(−∞) is 0
    np.testing.assert_allclose(loss.item(), np.log(2))
    loss.backward()
    np.testing.assert_allclose(soft.grad, [[0.25, 0, -0.25]])
    assert cross_entropy(MASKED[:1], np.array([1])) == INF  # the label itself is masked


def test_half_precision_holds_many_classes_and_examples():
    logits = Tensor(np.zeros((256, 1000), np.float16), requires_grad=True)
    loss = cross_entropy(logits, np.zeros(256, np.int64))
    loss.backward()
    assert (loss.dtype, logits.grad.dtype) == (np.float16, np.float16)
    np.testing.assert_allclose(loss.item(), np.log(1000), rtol=2e-3)
    np.testing.assert_allclose(logits.grad[:, 0], -0.999 / 256, rtol=2e-3)
    np.testing.assert_allclose(logits.grad[:, 1:], 0.001 / 256, rtol=0.02)


def test_half_precision_of_very_many_classes_and_examples():
    for shape in ((2, 50_000), (20_000, 100), (70_000, 2)):
        logits = Tensor(np.zeros(shape, np.float16), requires_grad=True)
        loss = cross_entropy(logits, np.zeros(shape[0], np.int64))
        np.testing.assert_allclose(loss.item(), np.log(shape[1]), rtol=2e-3)
        loss.backward()
        np.testing.assert_allclose(logits.grad[:, 0], (1 / shape[1] - 1) / shape[0], rtol=2e-2)


@pytest.mark.parametrize("dtype", [np.int64, np.uint8, np.bool_])
def test_logits_of_whole_numbers_are_computed_in_float64(dtype):
    z = np.array([[1, 0, 1], [0, 0, 1]], dtype)
    for f in (tg.softmax, tg.log_softmax, lambda z: tg.logsumexp(z, axis=1), lambda z: cross_entropy(z, [0, 2])):
        assert f(z).dtype == np.float64
        np.testing.assert_array_equal(f(z), f(z.astype(np.float64)))
    x = np.array([0, 1, 3], np.int8).astype(dtype)
    np.testing.assert_array_equal(tg.sigmoid(x), tg.sigmoid(x.astype(np.float64)))
    assert tg.sigmoid(np.array([-128], np.int8)) < 1e-50


def test_nan_is_never_hidden():
    z = Tensor([[np.nan, 0.0], [0.0, 0.0]], requires_grad=True)
    loss = cross_entropy(z, np.array([0, 1]))
    assert np.isnan(loss.item())
    loss.backward()
    np.testing.assert_array_equal(np.isnan(z.grad), [[True, True], [False, False]])
    assert np.isnan(tg.softmax(z.data)[0]).all()


def test_the_notes_worked_numbers():
    for probability, loss in ((0.03, 3.5066), (0.68, 0.3857), (0.95, 0.0513)):
        z = np.log([[probability, 1 - probability]])
        np.testing.assert_allclose(cross_entropy(z, np.array([0])), loss, atol=5e-5)
    np.testing.assert_array_equal(one_hot(np.array([0, 1, 3, 2]), 4), np.eye(4)[[0, 1, 3, 2]])


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int32, np.int64, np.uint64])
def test_labels_of_every_integer_dtype(dtype):
    z = np.random.default_rng(0).random((3, 4))
    labels = np.array([3, 0, 2], dtype)
    expected = cross_entropy(z, np.array([3, 0, 2]))
    assert cross_entropy(z, labels) == expected
    assert cross_entropy(z, labels.repeat(2)[::2]) == expected  # not contiguous
    assert cross_entropy(z, Tensor(labels)).item() == expected
    assert cross_entropy(z, [3, 0, 2]) == expected
    assert cross_entropy(z, labels.astype(labels.dtype.newbyteorder())) == expected
    assert one_hot(labels[:0], 4).shape == (0, 4)


@pytest.mark.parametrize(("shape", "axis"), [((0,), 0), ((2, 0), 1), ((0, 2), 0), ((0, 2), 1), ((), -1)])
def test_rows_without_elements_and_numbers_without_axes(shape, axis):
    x = leaf(np.ones(shape))
    for op in (tg.softmax, tg.log_softmax):
        out = op(x, axis)
        assert out.shape == shape
        np.testing.assert_array_equal(out.data, np.full(shape, 1.0 if op is tg.softmax else 0.0))
        out.backward(np.ones(shape))
    assert x.grad.shape == shape
    total = tg.logsumexp(x)
    assert total.item() == (1 if shape == () else -np.inf)  # the sum of no exponentials is 0
    tg.sum(total).backward()


PAIRS = [(0.0, 0.0), (2.0, -1.0), (1e4, 1e4 + 1), (-1e4, 1e4), (-INF, 3.0), (3.0, -INF), (-INF, -INF), (-30.0, -30.5)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("pair", PAIRS)
def test_logaddexp_is_the_logsumexp_of_two(pair, dtype):
    def three_orders(f):
        a, b = leaf(pair[0], dtype), leaf(pair[1], dtype)
        out = f(a, b)
        first = tg.grad(out, [a, b], create_graph=True)
        second = tg.grad(2.0 * first[0] - first[1], [a, b])
        return [t.numpy() for t in (out, *first, *second)]

    found = three_orders(tg.logaddexp)
    assert all(x.dtype == dtype for x in found)
    expected = three_orders(lambda a, b: tg.logsumexp(tg.stack([a, b])))
    np.testing.assert_allclose(found, expected, rtol=4 * np.finfo(dtype).eps, atol=2 * np.finfo(dtype).eps)
