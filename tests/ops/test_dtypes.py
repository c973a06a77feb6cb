"""What sums, products and draws take as dtype, and that what selects and repeats keeps the dtype that it is given."""

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import leaf
from tinygrad_sm import Tensor

SUMS = {"sum": np.sum, "mean": np.mean, "prod": np.prod, "cumsum": np.cumsum, "cumprod": np.cumprod}
every_sum = pytest.mark.parametrize("name", SUMS)
X = np.array([[1.5, 2.25, -3.0], [0.5, 4.0, 1.0]])


@every_sum
@pytest.mark.parametrize("given", [np.float16, np.float32, np.float64, np.int64, np.int8, bool])
@pytest.mark.parametrize("dtype", [np.float32, "f8", float, int, np.int8, np.float16])
@pytest.mark.parametrize("axis", [None, 0])
def test_the_dtype_of_a_sum_is_numpys(name, given, dtype, axis):
    x = X.astype(given)
    expected = SUMS[name](x, axis=axis, dtype=dtype)
    for found in (
        getattr(tg, name)(x, axis=axis, dtype=dtype),
        getattr(tg, name)(Tensor(x), axis=axis, dtype=dtype).data,
        getattr(Tensor(x), name)(axis=axis, dtype=dtype).data,
        SUMS[name](Tensor(x), axis=axis, dtype=dtype).data,
        SUMS[name](Tensor(x), axis, dtype).data,
    ):
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found.astype(float), expected.astype(float), rtol=2e-3)


def test_the_dtype_of_a_trace_is_numpys():
    x = X.astype(np.float32)
    assert np.trace(Tensor(x), dtype=float).dtype == Tensor(x).trace(dtype="f8").dtype == np.float64
    assert tg.trace(Tensor(x), dtype=int).item() == np.trace(x, dtype=int) == 5


@every_sum
def test_the_gradient_comes_back_in_the_dtype_of_the_operand(name, device):
    x = Tensor(X.astype(np.float16), requires_grad=True, device=device)
    out = getattr(x, name)(axis=0, dtype=np.float32)
    assert out.dtype == np.float32
    out.sum().backward()
    assert x.grad.dtype == np.float16
    double = leaf(X)
    getattr(double, name)(axis=0).sum().backward()
    np.testing.assert_allclose(Tensor(x.grad).numpy(), double.grad, rtol=1e-3)


@every_sum
def test_the_elements_are_converted_before_they_are_summed(name):
    large = leaf([100.0] * 3 if "prod" in name else [30_000.0] * 3, np.float16)  # in float16, the results would be ∞
    out = getattr(tg, name)(large, axis=0, dtype=np.float32)
    np.testing.assert_array_equal(out.data, SUMS[name](large.data, axis=0, dtype=np.float32))
    assert np.isfinite(out.data).all()
    out.sum().backward()
    assert np.isfinite(large.grad).all()


@every_sum
def test_an_integer_dtype_of_what_requires_a_gradient_is_refused(name):
    with pytest.raises(TypeError, match="gives int64, and only floats carry gradients"):
        getattr(leaf(), name)(dtype=int)
    with pytest.raises(TypeError, match="expected a dtype of numbers"):
        getattr(leaf(), name)(dtype="U3")


def test_a_long_sum_in_another_dtype_is_right():
    x = np.full((1_000_000, 2), 0.1, np.float16)
    for dtype in (np.float32, np.float64):
        np.testing.assert_allclose(tg.sum(x, axis=0, dtype=dtype), float(np.float16(0.1)) * 1e6, rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.int8, np.uint16, bool, np.float16, np.float32])
def test_what_moves_elements_keeps_their_dtype(dtype, device):
    x = np.array([[1, 0, 3], [4, 5, 0]]).astype(dtype)
    t = Tensor(x, device=device)
    for ours, numpys in (
        (tg.tril(t), np.tril(x)),
        (tg.triu(t, 1), np.triu(x, 1)),
        (tg.diag(t[0], -1), np.diag(x[0], -1)),
        (tg.diagonal(t, 1), np.diagonal(x, 1)),
        (tg.repeat(t, 2, 1), np.repeat(x, 2, 1)),
        (tg.repeat(t, Tensor([1, 2], device=device), 0), np.repeat(x, [1, 2], 0)),
        (tg.tile(t, (2, 1)), np.tile(x, (2, 1))),
        (tg.hstack([t, t]), np.hstack([x, x])),
        (tg.vstack([t, t[0]]), np.vstack([x, x[0]])),
        (tg.atleast_2d(t[0]), np.atleast_2d(x[0])),
        (tg.pad(t, 1, "wrap"), np.pad(x, 1, "wrap")),
        (t.ravel(), x.ravel()),
    ):
        assert ours.dtype == numpys.dtype
        np.testing.assert_array_equal(ours.numpy(), numpys)
    assert tg.trace(t).dtype == np.trace(x).dtype


def test_numbers_beside_arrays_in_stacks(device):
    t = Tensor([1.0, 2.0], dtype=np.float16, device=device)
    out = tg.hstack([t, 0.5])
    assert out.dtype == np.float16
    assert out.device == t.device
    assert out.tolist() == [1, 2, 0.5]
    first, second = tg.atleast_1d(t, 0.5)
    assert (first.shape, second.shape) == ((2,), (1,))


@pytest.mark.parametrize("draw", [tg.rand, tg.randn], ids=["rand", "randn"])
def test_draws_have_the_dtype_that_is_asked_for(draw):
    assert draw(2).dtype == draw(2, dtype="float32").dtype == np.float32
    tg.manual_seed(0)
    x = draw(3, 4, dtype=float, requires_grad=True)
    assert (x.dtype, x.shape, x.requires_grad) == (np.float64, (3, 4), True)
    assert np.any(x.data != x.data.astype(np.float32))
    tg.manual_seed(0)
    np.testing.assert_array_equal(draw((3, 4), dtype=np.float64).data, x.data)
    for dtype, message in (
        (np.float16, "dtype float32 or float64, got"),
        (int, "dtype .*"),
        ("U1", "a dtype of numbers"),
    ):
        with pytest.raises(TypeError, match=f"expected {message}"):
            draw(2, dtype=dtype)


def test_places_of_extremes_are_plain_arrays(device):
    x = np.array([[1.0, 5.0, 2.0], [7.0, 0.0, 7.0]])
    t = Tensor(x, requires_grad=True, device=device)
    for name in ("argmax", "argmin"):
        numpys = getattr(np, name)
        for options in ({}, {"axis": 0}, {"axis": -1, "keepdims": True}, {"keepdims": True}):
            for found in (getattr(t, name)(**options), getattr(tg, name)(t, **options), numpys(t, **options)):
                assert not isinstance(found, Tensor)
                np.testing.assert_array_equal(Tensor(found).numpy(), numpys(x, **options))
        assert getattr(tg, name)(Tensor(2.0, device=device), -1) == 0
    assert tg.argmax([1.0, 3.0, 2.0]) == 1


@pytest.mark.parametrize("number", [300, -1])
@pytest.mark.parametrize(
    "join",
    [
        lambda t, x: tg.hstack([t, x]),
        lambda t, x: tg.vstack([x, t[:1]]),
        lambda t, x: tg.concatenate([t, x], None),
        lambda t, x: tg.abs([t[0], x]),
        lambda t, x: tg.sum([[x, 0], t]),
        lambda t, x: Tensor([1, x], dtype="uint8"),
        lambda t, x: Tensor(x, dtype=np.uint8),
        lambda t, x: Tensor([np.int8(1), x], dtype="uint8"),
    ],
)
def test_a_number_that_the_dtype_cannot_hold_is_refused_and_does_not_wrap_around(join, number):
    t = Tensor(np.array([1, 2], np.uint8))
    join(t, 255)
    with pytest.raises(OverflowError, match=rf"Python integer {number} out of bounds for uint8"):
        join(t, number)


def test_the_only_element_of_a_0d_array_is_repeated_along_axis_0():
    for axis in (0, -1, None):
        np.testing.assert_array_equal(tg.repeat(Tensor(5.0), 2, axis).data, np.repeat(np.array(5.0), 2, axis))
    with pytest.raises(ValueError, match="axis 1 is out of bounds"):
        tg.repeat(Tensor(5.0), 2, 1)
