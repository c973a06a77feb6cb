"""Elementary functions at their poles and jumps, remainders as NumPy has them, and partial products with zeros."""

import math

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import leaf
from tinygrad_sm import Tensor

STEPS = {"floor": tg.floor, "ceil": tg.ceil, "round": tg.round, "floor_divide": lambda x: x // 0.5}


def leaf_on(device, data, dtype=np.float64):
    return Tensor(np.array(data, dtype), requires_grad=True, device=device)


def gradients(f, *leaves):
    """Return the gradients of the sum of f, on the host."""
    return [Tensor(g.data).numpy() for g in tg.grad(f(*leaves).sum(), leaves)]


@pytest.mark.parametrize("name", STEPS)
def test_steps_have_the_gradient_0_at_their_jumps_too(name, device):
    x = leaf_on(device, [-1.0, -0.5, -0.0, 0.0, 0.2, 0.5, 1.0, 2.5])
    out = STEPS[name](x)
    assert out.requires_grad
    g = np.array([1.0, np.inf, 1.0, np.nan, 1.0, 1.0, 1.0, 1.0])
    (found,) = tg.grad(out, x, Tensor(g, device=device).data)
    assert not Tensor(found.data).numpy().any()


def test_round_takes_the_even_digit_as_numpy():
    x = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 12.345, 1250.0])
    for decimals in (0, 1, 2, -2):
        np.testing.assert_array_equal(tg.round(x, decimals), np.round(x, decimals))
        np.testing.assert_array_equal(Tensor(x).round(decimals).data, np.around(x, decimals))


A = np.array([-7.5, -7.0, -0.5, 0.0, 0.5, 7.0, 7.5])


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64, np.int8])
@pytest.mark.parametrize("b", [2, -2, 3, np.array([3, -3, 1, -1, 2, -2, 7])], ids=str)
def test_remainders_and_whole_quotients_are_numpys(dtype, b):
    a = A.astype(dtype)
    b = b.astype(dtype) if isinstance(b, np.ndarray) else b
    for ours, numpys in (
        (Tensor(a) % b, a % b),
        (Tensor(a) // b, a // b),
        (tg.remainder(a, b), a % b),
        (tg.mod(Tensor(a), b), np.mod(a, b)),
        (np.floor_divide(Tensor(a), b), np.floor_divide(a, b)),
    ):
        found = getattr(ours, "data", ours) if isinstance(ours, Tensor) else ours
        assert found.dtype == numpys.dtype
        np.testing.assert_array_equal(found, numpys)
    c = np.array([2, -3, 5], dtype)
    np.testing.assert_array_equal((7 % Tensor(c)).data, 7 % c)
    np.testing.assert_array_equal((7 // Tensor(c)).data, 7 // c)
    t = Tensor(a)
    t %= 2
    np.testing.assert_array_equal(t.data, a % 2)
    t //= 2
    np.testing.assert_array_equal(t.data, a % 2 // 2)


def test_augmented_remainders_change_leaves_under_no_grad():
    x = leaf([7.5, -7.5])
    before = x.data
    with tg.no_grad():
        x %= 4
        assert x.data.tolist() == [3.5, 0.5]
        x //= 2
    assert x.data is before
    assert before.tolist() == [1, 0]


def test_remainders_by_zero_are_numpys():
    a, b = leaf([1.0, -1.0, 0.0]), leaf([0.0, 0.0, 0.0])
    with np.errstate(all="ignore"):
        assert np.isnan((a % b).data).all()
        np.testing.assert_array_equal((a // b).data, [np.inf, -np.inf, np.nan])
    with pytest.warns(RuntimeWarning, match="divide by zero"):
        assert (np.array([5]) // Tensor([0])).data.tolist() == [0]


def test_the_gradient_of_a_remainder_is_that_between_the_jumps_at_them_too(device):
    a, b = leaf_on(device, [6.0, 7.0, -7.0, 0.0]), leaf_on(device, [2.0, 2.0, 2.0, 3.0])
    of_a, of_b = gradients(tg.remainder, a, b)
    np.testing.assert_array_equal(of_a, 1)
    np.testing.assert_array_equal(of_b, [-3, -3, 4, 0])


def test_arctan2_in_all_directions_and_at_the_origin(device):
    y, x = leaf_on(device, [1.0, 1.0, -1.0, 0.0, 0.0, 0.0]), leaf_on(device, [1.0, -1.0, -1.0, -2.0, 0.0, -0.0])
    out = tg.arctan2(y, x).numpy()
    np.testing.assert_allclose(out, np.pi * np.array([0.25, 0.75, -0.75, 1, 0, 1]))
    of_y, of_x = gradients(tg.arctan2, y, x)
    np.testing.assert_allclose(of_y, [0.5, -0.5, -0.5, -0.5, 0, 0])
    np.testing.assert_allclose(of_x, [-0.5, -0.5, 0.5, 0, 0, 0])


@pytest.mark.parametrize(("dtype", "size"), [(np.float64, 1e200), (np.float32, 1e30), (np.float64, 1e-200)])
def test_no_square_in_the_gradient_of_arctan2_overflows_or_is_lost(dtype, size):
    of_y, of_x = gradients(tg.arctan2, leaf([3 * size], dtype), leaf([4 * size], dtype))
    np.testing.assert_allclose(of_y, [0.16 / size], rtol=1e-6)
    np.testing.assert_allclose(of_x, [-0.12 / size], rtol=1e-6)


def test_derivatives_of_arctan2_at_the_origin_and_at_infinity_are_0(device):
    y, x = leaf_on(device, [0, 0, np.inf, 1, -np.inf, np.inf]), leaf_on(device, [0, -0.0, 2, -np.inf, 0, -np.inf])
    first = tg.grad(tg.arctan2(y, x).sum(), [y, x], create_graph=True)
    second = tg.grad(first[0].sum() + 2 * first[1].sum(), [y, x])
    assert not any(Tensor(g.data).numpy().any() for g in (*first, *second))


def test_the_gradient_of_arctan2_of_nan_is_nan():
    of_y, of_x = gradients(tg.arctan2, leaf([np.nan, np.inf]), leaf([1.0, np.nan]))
    assert np.isnan([of_y, of_x]).all()


def test_the_ends_of_arcsin_and_arccos(device):
    x = leaf_on(device, [-1.0, 1.0])
    with np.errstate(all="ignore"):
        assert gradients(tg.arcsin, x)[0].tolist() == [np.inf, np.inf]
        assert gradients(tg.arccos, x)[0].tolist() == [-np.inf, -np.inf]
        assert np.isnan(tg.arcsin(Tensor([2.0], device=device)).numpy()).all()
    near = leaf([1 - 2.0**-40])
    np.testing.assert_allclose(gradients(tg.arcsin, near)[0], 1 / math.sqrt(2.0**-39 - 2.0**-80), rtol=1e-14)


def test_logarithms_of_powers_of_their_base_are_exact():
    n = np.arange(-20, 20)
    assert tg.log2(Tensor(2.0**n)).tolist() == n.tolist()
    assert tg.log10(Tensor([1.0, 10.0, 1000.0], dtype=np.float64)).tolist() == [0, 1, 3]
    assert tg.exp2(Tensor(n.astype(float))).tolist() == (2.0**n).tolist()
    with np.errstate(all="ignore"):
        assert tg.log2(leaf([0.0])).tolist() == tg.log10(leaf([0.0])).tolist() == [-np.inf]


@pytest.mark.parametrize("name", ["tan", "sinh", "cosh", "arcsin", "arccos", "log2", "log10", "exp2"])
def test_integers_are_computed_as_numpy_does(name):
    x = np.array([1, 1], np.int8)
    found, expected = getattr(tg, name)(Tensor(x)), getattr(np, name)(x)
    assert found.dtype == expected.dtype
    np.testing.assert_array_equal(found.data, expected)


def jacobian_of_cumprod(x):
    """Return ∂(x_0 ··· x_k)/∂x_i by the definition: the product of the others, as long as x_i is one of them."""
    n = len(x)
    return np.array([[np.prod(np.delete(x[: k + 1], i)) if i <= k else 0.0 for i in range(n)] for k in range(n)])


@pytest.mark.parametrize("n", [1, 2, 3, 6, 7, 16])
@pytest.mark.parametrize("zeros", [0, 1, 2, 5])
def test_the_gradient_of_partial_products_with_zeros(n, zeros, device):
    random = np.random.default_rng(n)
    x = random.uniform(0.5, 2, n)
    x[random.permutation(n)[:zeros]] = 0
    g = random.uniform(-1, 1, n)
    t = leaf_on(device, x)
    (found,) = tg.grad(tg.cumprod(t), t, Tensor(g, device=device).data)
    np.testing.assert_allclose(Tensor(found.data).numpy(), g @ jacobian_of_cumprod(x), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("x", [[0.0, 0.0, 2.0, 3.0], [2.0, 0.0, 3.0, 0.0], [1.5, 2.0, 0.5, 3.0]])
def test_derivatives_of_partial_products_of_order_3(x):
    assert tg.gradcheck(tg.cumprod, [np.array(x)], order=3).order == 3


@pytest.mark.parametrize("axis", [None, 0, 1])
def test_partial_products_in_half_precision_are_rounded_once(axis, device):
    x = (1 + np.random.default_rng(0).uniform(-1, 1, (500, 3)) / 20).astype(np.float16)
    t = leaf_on(device, x, np.float16)
    out, exact = tg.cumprod(t, axis=axis), np.cumprod(x.astype(np.float64), axis=axis)
    assert out.dtype == np.float16
    np.testing.assert_allclose(out.numpy(), exact.astype(np.float16), rtol=2.0**-10)
    double = leaf(x)
    (expected,) = tg.grad(tg.cumprod(double, axis=axis).sum(), double)
    (found,) = tg.grad(out.sum(), t)
    assert found.dtype == np.float16
    np.testing.assert_allclose(Tensor(found.data).numpy(), expected.data, rtol=3e-3)
