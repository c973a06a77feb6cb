"""Norms, inverses, equations, determinants and Cholesky factors as in numpy.linalg, and their gradients at kinks."""

import inspect
import math

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import leaf
from tinygrad_sm import Tensor, protocols

RANDOM = np.random.default_rng(5)
A = RANDOM.normal(size=(4, 4))
B = RANDOM.normal(size=(4, 2))
DEFINITE = A @ A.T + np.eye(4)
INF = math.inf


def gradient(f, x):
    """Return the gradient of the sum of f at x."""
    (g,) = tg.grad(tg.sum(f(x := leaf(x))), x)
    return g.data


def gradient_of_dtype(f, x):
    """Return the same at x in its own dtype."""
    (g,) = tg.grad(tg.sum(f(x := Tensor(x, requires_grad=True))), x)
    return g.data


# As in NumPy


@pytest.mark.parametrize("name", tg.linalg.__all__)
def test_numpys_functions_reach_them_with_numpys_parameters(name):
    theirs, ours = getattr(np.linalg, name), getattr(tg.linalg, name)
    assert inspect.unwrap(protocols.TWINS[theirs]) is inspect.unwrap(ours)
    if name != "matmul":
        assert str(inspect.signature(theirs)) == str(inspect.signature(ours))
        given = [DEFINITE, B][: len(inspect.signature(theirs).parameters) if name == "solve" else 1]
        found, expected = theirs(Tensor(given[0], requires_grad=True), *given[1:]), theirs(*given)
        assert type(found).__name__ == ("SlogdetResult" if name == "slogdet" else "Tensor")
        for one, right in zip(*(x if isinstance(x, tuple) else (x,) for x in (found, expected)), strict=True):
            assert one.requires_grad
            np.testing.assert_allclose(one.data, right, rtol=1e-13)


def test_these_functions_are_there():
    assert " ".join(tg.linalg.__all__) == "cholesky det inv matmul norm slogdet solve"


def test_arrays_give_arrays():
    for name in tg.linalg.__all__:
        given = (DEFINITE, B) if name in ("solve", "matmul") else (DEFINITE,)
        found = getattr(tg.linalg, name)(*given)
        assert not any(isinstance(x, Tensor) for x in (found if name == "slogdet" else [found]))
    assert tg.linalg.slogdet(DEFINITE).logabsdet == np.linalg.slogdet(DEFINITE).logabsdet
    assert tg.linalg.inv([[2.0, 0.0], [0.0, 4.0]]).tolist() == [[0.5, 0], [0, 0.25]]
    assert tg.linalg.solve(Tensor(A), B.tolist()).dtype == np.float64


ORDERS = {1: (None, 1, 2, 3, 0.5, -1, -3.5, 0, INF, -INF), 2: (None, "fro", "f", 1, -1, INF, -INF)}


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("axis", [None, 0, -1, (1,), (0, 1), (-1, 0)])
@pytest.mark.parametrize("shape", [(3,), (2, 3), (2, 3, 4)])
def test_norms_are_numpys(shape, axis, keepdims):
    x = RANDOM.normal(size=shape)
    axes = len(shape) if axis is None else np.size(axis)
    if np.max(np.abs(axis or 0)) >= len(shape):
        return
    for order in ORDERS.get(axes, (None,)):
        found = tg.norm(Tensor(x), order, axis, keepdims)
        expected = np.linalg.norm(x, order, axis, keepdims)
        assert found.shape == np.shape(expected)
        np.testing.assert_allclose(found.data, expected, rtol=1e-13)


@pytest.mark.parametrize("order", [None, 1, 2, 3, 0, INF])
def test_the_norm_of_nothing_is_0(order):
    assert tg.norm(np.zeros(0), order) == 0
    assert tg.norm(np.zeros((2, 0)), order, axis=1).tolist() == [0, 0]
    assert order in (0, 2, 3) or tg.norm(np.zeros((0, 2)), order) == 0


def test_b_is_a_vector_only_if_it_has_one_axis():
    batch, b = np.stack([A, DEFINITE, A.T, -A]), np.ones(4)
    assert tg.linalg.solve(batch, b).shape == (4, 4)
    np.testing.assert_array_equal(tg.linalg.solve(batch, np.diag(b)), np.linalg.solve(batch, np.diag(b)))
    assert tg.linalg.solve(batch, np.diag(b)).shape == (4, 4, 4)


# Precision


def test_the_norm_of_order_0_counts_nan_as_numpy_does():
    x = leaf([np.nan, 0.0, -2.0])
    out = tg.norm(x, 0)
    assert out.item() == np.linalg.norm(x.data, 0) == 2
    out.backward()
    assert not x.grad.any()


@pytest.mark.parametrize("name", ["inv", "det", "slogdet", "cholesky", "norm"])
def test_half_precision_is_computed_in_float32_and_integers_in_float64(name, device):
    half = Tensor(DEFINITE.astype(np.float16), requires_grad=True, device=device)
    found, expected = getattr(tg.linalg, name)(half), getattr(np.linalg, name)(half.numpy().astype(np.float32))
    found, expected = (found[1], expected[1]) if name == "slogdet" else (found, expected)
    assert found.dtype == np.float16
    np.testing.assert_allclose(found.numpy(), expected, rtol=2e-3, atol=1e-3)
    found.sum().backward()
    (right,) = tg.grad(
        tg.sum(
            getattr(tg.linalg, name)(x := leaf(half.numpy()))
            if name != "slogdet"
            else tg.linalg.slogdet(x := leaf(half.numpy()))[1]
        ),
        x,
    )
    np.testing.assert_allclose(Tensor(half.grad).numpy(), right.data, rtol=3e-3, atol=2e-3)
    whole = getattr(tg.linalg, name)(np.array([[2, 0], [0, 4]], np.int32))
    assert np.asarray(whole).dtype == np.float64


def test_solve_has_the_dtype_that_numpy_gives():
    for one in (np.float32, np.float64, np.int64):
        for other in (np.float32, np.float64, np.int64):
            given = (np.eye(2) * 2).astype(one), np.ones(2).astype(other)
            assert tg.linalg.solve(*given).dtype == np.linalg.solve(*given).dtype
    assert tg.linalg.solve(np.eye(2, dtype=np.float16), np.ones(2, np.float16)).dtype == np.float16
    assert tg.linalg.solve(np.eye(2, dtype=np.float16), np.ones(2, np.float32)).dtype == np.float32


def test_powers_of_huge_and_tiny_elements_do_not_leave_the_range():
    for scale in (1e-200, 1e200):
        x = scale * np.array([3.0, -4.0, 5.0])
        for order in (3, 0.5, -2):
            np.testing.assert_allclose(tg.norm(x, order), scale * np.linalg.norm(x / scale, order), rtol=1e-14)
            np.testing.assert_allclose(
                gradient(lambda x, order=order: tg.norm(x, order), x),
                gradient(lambda x, order=order: tg.norm(x, order), x / scale),
                rtol=1e-14,
            )


def test_a_negative_power_of_elements_that_are_far_apart():
    assert tg.norm(np.array([1e-200, 1.0]), -2) == 1e-200
    assert gradient(lambda x: tg.norm(x, -2), np.array([1e-200, 1.0])).tolist() == [1, 0]


# Kinks of norms


@pytest.mark.parametrize("order", [None, 1, 2, 3, 1.5, 0.5, -1, 0, INF, -INF])
def test_a_norm_that_is_0_has_gradient_0(order, device):
    x = Tensor(np.zeros((2, 3)), requires_grad=True, device=device)
    out = tg.norm(x, order, axis=1)
    (g,) = tg.grad(out.sum(), x, create_graph=True)
    assert out.tolist() == [0, 0]
    assert g.tolist() == [[0, 0, 0]] * 2
    if g.requires_grad:
        second = tg.grad(g.sum(), x, allow_unused=True)[0]
        assert second is None or np.isfinite(second.numpy()).all()


@pytest.mark.parametrize("order", [0.5, 1, 1.5, 3, 0])
def test_elements_that_are_0_have_gradient_0(order):
    x = np.array([0.0, 3.0, -0.0, -4.0])
    g = gradient(lambda x: tg.norm(x, order), x)
    assert g[[0, 2]].tolist() == [0, 0]
    np.testing.assert_allclose(g[[1, 3]], gradient(lambda x: tg.norm(x, order), x[[1, 3]]), rtol=1e-14)


def test_ties_share_the_gradient():
    x = np.array([2.0, -2.0, 1.0])
    assert gradient(lambda x: tg.norm(x, INF), x).tolist() == [0.5, -0.5, 0]
    assert gradient(lambda x: tg.norm(x, -INF), x[:2]).tolist() == [0.5, -0.5]
    assert gradient(lambda x: tg.norm(x, 1), np.array([[1.0, -3.0], [2.0, 0.0]])).tolist() == [[0.5, -0.5], [0.5, 0]]


# Singular matrices


SINGULAR = np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [1.0, 0.0, 1.0]])


def leibniz(a):
    """Return the determinant of a 3 by 3 matrix, or of a batch, as a sum of products."""
    cyclic, other = ((0, 1, 2), (1, 2, 0), (2, 0, 1)), ((0, 2, 1), (1, 0, 2), (2, 1, 0))
    products = [[a[..., 0, i] * a[..., 1, j] * a[..., 2, k] for i, j, k in some] for some in (cyclic, other)]
    return sum(products[0]) - sum(products[1])


@pytest.mark.parametrize(
    "matrix", [SINGULAR, np.zeros((3, 3)), np.ones((3, 3)), np.stack([SINGULAR, A[:3, :3], 0 * SINGULAR])]
)
def test_the_gradients_of_a_determinant_are_those_of_its_polynomial(matrix, device):
    x, v = Tensor(matrix, device=device), Tensor(RANDOM.normal(size=matrix.shape), device=device)
    (value, first), (right_value, right_first) = (
        tg.vjp(lambda x, f=f: tg.sum(f(x)), x) for f in (tg.linalg.det, leibniz)
    )
    np.testing.assert_allclose(value.numpy(), right_value.numpy(), atol=1e-14)
    np.testing.assert_allclose(first.numpy(), right_first.numpy(), atol=1e-13)
    second, right_second = (tg.hvp(lambda x, f=f: tg.sum(f(x)), x, v)[1] for f in (tg.linalg.det, leibniz))
    np.testing.assert_allclose(second.numpy(), right_second.numpy(), atol=1e-12)


@pytest.mark.parametrize("n", [2, 12, 30])
def test_the_gradient_of_a_determinant_that_only_rounding_keeps_from_0(n):
    x = RANDOM.normal(size=(n, n))
    x[0] = x[1:].mean(axis=0)
    u, s, v = np.linalg.svd(x)
    cofactors = np.linalg.det(u) * np.linalg.det(v) * np.prod(s[:-1]) * np.outer(u[:, -1], v[-1])
    np.testing.assert_allclose(gradient(tg.linalg.det, x), cofactors, atol=1e-12 * np.abs(cofactors).max())


@pytest.mark.parametrize("n", [1, 2, 12, 20])
def test_the_gradient_of_a_determinant_with_a_row_of_zeros(n):
    x = RANDOM.normal(size=(n, n))
    x[0] = 0
    g = gradient(tg.linalg.det, x)
    cofactors = np.zeros((n, n))
    cofactors[0] = [(-1) ** j * np.linalg.det(np.delete(x[1:], j, axis=1)) for j in range(n)]
    np.testing.assert_allclose(g, cofactors, atol=1e-9 * np.abs(cofactors).max())


def test_a_singular_matrix_of_float32_loses_no_digits():
    x = RANDOM.normal(size=(12, 12)).astype(np.float32)
    x[0] = 0
    exact = gradient(tg.linalg.det, x)
    found = gradient_of_dtype(tg.linalg.det, x)
    np.testing.assert_allclose(found, exact, rtol=1e-6, atol=1e-7 * np.abs(exact).max())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: tg.linalg.inv(leaf(SINGULAR)), "Singular matrix"),
        (lambda: tg.linalg.solve(leaf(SINGULAR), leaf(np.ones(3))), "Singular matrix"),
        (lambda: tg.linalg.cholesky(leaf(-DEFINITE)), "Matrix is not positive definite"),
        (lambda: tg.linalg.det(leaf(B)), "must be square"),
        (lambda: tg.linalg.inv(leaf(B[0])), "at least two-dimensional"),
        (lambda: gradient(lambda x: tg.linalg.slogdet(x).logabsdet, SINGULAR), "Singular matrix"),
    ],
)
def test_matrices_without_a_result_raise_numpys_error_on_the_host(call, message):
    with pytest.raises(np.linalg.LinAlgError, match=message):
        call()


def test_slogdet_of_a_singular_matrix_and_of_a_large_one():
    assert [x.item() for x in tg.linalg.slogdet(leaf(SINGULAR))] == [0, -INF]
    large = 1000 * np.eye(200)
    sign, logarithm = tg.linalg.slogdet(leaf(large))
    assert (sign.item(), np.isclose(logarithm.item(), 200 * math.log(1000))) == (1, True)
    assert gradient(lambda x: tg.linalg.slogdet(x).sign, DEFINITE).tolist() == np.zeros((4, 4)).tolist()


# Cholesky factors


@pytest.mark.parametrize("upper", [False, True])
def test_cholesky_reads_one_triangle_and_its_gradient_is_symmetric(upper, device):
    rest = np.tril(np.full((4, 4), np.nan), -1) if upper else np.triu(np.full((4, 4), np.nan), 1)
    found = tg.linalg.cholesky(Tensor(DEFINITE + rest, device=device), upper=upper)
    np.testing.assert_allclose(found.numpy(), np.linalg.cholesky(DEFINITE, upper=upper), rtol=1e-14)
    x = Tensor(DEFINITE, requires_grad=True, device=device)
    weights = Tensor(RANDOM.normal(size=(4, 4)), device=device)
    (tg.linalg.cholesky(x, upper=upper) * weights).sum().backward()
    g = Tensor(x.grad).numpy()
    np.testing.assert_array_equal(g, g.T)

    def of_symmetric(x):
        return tg.sum(tg.linalg.cholesky((x + x.T) / 2, upper=upper) * weights.numpy())

    np.testing.assert_allclose(g, gradient(of_symmetric, DEFINITE), rtol=1e-12)


def test_where_the_mirror_image_differs_what_is_read_gets_the_whole_gradient():
    tg.gradcheck(tg.linalg.cholesky, np.tril(DEFINITE))
    assert not np.triu(gradient(tg.linalg.cholesky, np.tril(DEFINITE)), 1).any()


def test_the_log_likelihood_of_a_gaussian():
    """Its ln p is −½ (xᵀ Σ⁻¹ x + ln |Σ| + …), with the gradient ½ (Σ⁻¹ x xᵀ Σ⁻¹ − Σ⁻¹) for Σ, by three ways."""
    x = RANDOM.normal(size=4)
    inverse = np.linalg.inv(DEFINITE)
    expected = (np.outer(inverse @ x, inverse @ x) - inverse) / 2

    def by_slogdet(s):
        return -(x @ tg.linalg.solve(s, x) + tg.linalg.slogdet(s).logabsdet) / 2

    def by_inverse(s):
        return -(x @ (tg.linalg.inv(s) @ x) + tg.log(tg.linalg.det(s))) / 2

    def by_cholesky(s):
        factor = tg.linalg.cholesky(s)
        return -((tg.linalg.solve(factor, x) ** 2).sum() + 2 * tg.log(tg.einsum("ii->i", factor)).sum()) / 2

    for f in (by_slogdet, by_inverse, by_cholesky):
        np.testing.assert_allclose(gradient(f, DEFINITE), expected, rtol=1e-9, atol=1e-12)
