"""The activations, dropout and one_hot of `nn.functional`: values, slopes, kinks, limits, dtypes, devices, draws."""

import math

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import leaf
from tinygrad_sm import Tensor, nn
from tinygrad_sm.nn import functional as F
from tinygrad_sm.ops.normal import ndtr

X = np.array([-3.0, -1.0, -0.125, 0.0, 0.5, 2.0])


def sigma(t):
    return 1 / (1 + math.exp(-t))


def phi(t):
    """Return the normal distribution up to t, by Python's own function."""
    return math.erfc(-t / math.sqrt(2)) / 2


def density(t):
    return math.exp(-t * t / 2) / math.sqrt(2 * math.pi)


# the function, and by formula its value and its slope at a number
FORMULAS = {
    "relu": (F.relu, lambda t: max(t, 0.0), lambda t: float(t > 0)),
    "tanh": (F.tanh, math.tanh, lambda t: 1 - math.tanh(t) ** 2),
    "sigmoid": (F.sigmoid, sigma, lambda t: sigma(t) * sigma(-t)),
    "softplus": (F.softplus, lambda t: math.log1p(math.exp(t)), sigma),
    "logsigmoid": (F.logsigmoid, lambda t: -math.log1p(math.exp(-t)), lambda t: sigma(-t)),
    "leaky_relu": (F.leaky_relu, lambda t: t if t > 0 else 0.01 * t, lambda t: 1 if t > 0 else 0.01),
    "leaky_relu of a slope": (
        lambda x: F.leaky_relu(x, negative_slope=0.25),
        lambda t: t if t > 0 else 0.25 * t,
        lambda t: 1 if t > 0 else 0.25,
    ),
    "silu": (F.silu, lambda t: t * sigma(t), lambda t: sigma(t) + t * sigma(t) * sigma(-t)),
    "gelu": (F.gelu, lambda t: t * phi(t), lambda t: phi(t) + t * density(t)),
}
TOLERANCE = {"float16": 2e-3, "float32": 1e-6, "float64": 1e-14}


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", FORMULAS)
def test_values_and_slopes_are_the_formulas(name, dtype, device):
    f, value, slope = FORMULAS[name]
    x = Tensor(X.astype(dtype), device=device, requires_grad=True)
    out = f(x)
    out.sum().backward()
    assert out.dtype == x.grad.dtype == x.dtype
    assert out.device == x.device
    tolerance = {"rtol": TOLERANCE[dtype], "atol": TOLERANCE[dtype]}
    np.testing.assert_allclose(out.numpy(), [value(t) for t in X], **tolerance)
    np.testing.assert_allclose(Tensor(x.grad).numpy(), [slope(t) for t in X], **tolerance)


@pytest.mark.parametrize("name", FORMULAS)
def test_arrays_lists_and_integers(name):
    f, value, _ = FORMULAS[name]
    assert type(f(X)) is np.ndarray
    np.testing.assert_allclose(f([-1.0, 2.0]), [value(-1.0), value(2.0)], rtol=1e-6)
    for dtype in (np.int64, np.int8):
        np.testing.assert_allclose(f(np.array([-3, 0, 2], dtype)), [value(-3.0), value(0.0), value(2.0)], rtol=3e-3)
    np.testing.assert_allclose(f(np.array([0, 2], np.uint8)), [value(0.0), value(2.0)], rtol=3e-3)
    tg.gradcheck(f, [X[X != 0]])


@pytest.mark.parametrize("name", ["silu", "gelu", "logsigmoid", "leaky_relu"])
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_far_out_they_are_their_limits(name, dtype):
    f, far = FORMULAS[name][0], float(np.finfo(dtype).max)
    with np.errstate(all="ignore"):
        x = Tensor(np.array([-np.inf, -far, far, np.inf, np.nan], dtype), requires_grad=True)
        out = f(x)
        out.backward(np.ones(5, dtype))
    below, slope_below, slope_above = {
        "logsigmoid": (x.data[:2], 1, 0),
        "leaky_relu": (x.data[:2] * x.dtype.type(0.01), 0.01, 1),
    }.get(name, (np.zeros(2), 0, 1))
    above = np.zeros(2) if name == "logsigmoid" else x.data[2:4]
    np.testing.assert_array_equal(out.data, [*below, *above, np.nan])
    np.testing.assert_array_equal(x.grad[:4], np.array([slope_below] * 2 + [slope_above] * 2, dtype))


def test_the_normal_distribution():
    """It has no row in the table of op cases: a proof of its polynomial of degree 23 would not end."""
    x = np.array([-np.inf, -1e300, -38.0, -5.0, -1e-9, 0.0, 1.0, 9.0, 1e300, np.inf])
    with np.errstate(under="ignore"):
        np.testing.assert_allclose(ndtr(x), [phi(t) for t in x], rtol=3e-13)
    assert np.isnan(ndtr(np.nan))
    tg.gradcheck(ndtr, [X])


def test_tails_of_gelu_have_all_their_digits():
    x = -np.linspace(1.0, 30.0, 59)
    np.testing.assert_allclose(F.gelu(x), [t * phi(t) for t in x], rtol=3e-13)
    with np.errstate(under="ignore"):
        assert F.gelu(np.float32([-13.0])) == pytest.approx(-13 * phi(-13.0), rel=1e-4)


def test_gelu_has_two_forms_and_the_module_asks_which():
    x = leaf(X)
    np.testing.assert_array_equal(F.gelu(x, approximate="tanh").data, tg.gelu(x).data)
    apart = np.abs(F.gelu(np.linspace(-6, 6, 4001)) - tg.gelu(np.linspace(-6, 6, 4001)))
    assert 1e-4 < apart.max() < 5e-4
    for approximate in ("none", "tanh"):
        module = nn.GELU(approximate=approximate)
        np.testing.assert_array_equal(module(x).data, F.gelu(x, approximate).data)
        assert repr(module) == f"GELU(approximate='{approximate}')"


def test_modules_are_the_functions():
    x = leaf(X)
    for module, f in (
        (nn.SiLU(), F.silu),
        (nn.LeakyReLU(), F.leaky_relu),
        (nn.LeakyReLU(0.5), lambda x: F.leaky_relu(x, 0.5)),
    ):
        np.testing.assert_array_equal(module(x).data, f(x).data)
    assert repr(nn.LeakyReLU(0.5)) == "LeakyReLU(negative_slope=0.5)"
    assert nn.Identity()(x) is x
    assert repr(nn.Identity()) == "Identity()"
    assert nn.Identity(64, 10, bias=False)(x) is x


def test_dropout_is_that_of_the_module(device):
    x = Tensor(np.ones((40, 5), np.float32), device=device, requires_grad=True)
    tg.manual_seed(1)
    expected = nn.Dropout(0.25)(x)
    tg.manual_seed(1)
    out = F.dropout(x, p=0.25)
    np.testing.assert_array_equal(out.numpy(), expected.numpy())
    out.sum().backward()
    np.testing.assert_array_equal(Tensor(x.grad).numpy(), out.numpy())
    assert set(np.unique(out.numpy()).tolist()) == {0, np.float32(1 / 0.75)}
    assert (F.dropout(x).numpy() == 0).mean() == pytest.approx(0.5, abs=0.2)
    state = tg.get_rng_state()
    assert F.dropout(x, 0.5, training=False) is x
    assert F.dropout(x, 0.0) is x
    assert tg.get_rng_state() == state


def test_one_hot_takes_pytorchs_arguments(device):
    labels = Tensor(np.array([[0, 2], [1, 0]]), device=device)
    expected = [[[1, 0, 0], [0, 0, 1]], [[0, 1, 0], [1, 0, 0]]]
    for given in ((), (-1,), (None,), (3,)):
        out = F.one_hot(labels, *given)
        assert (out.device, out.dtype) == (labels.device, np.float32)
        assert out.tolist() == expected
    assert F.one_hot(labels, num_classes=4).shape == (2, 2, 4)
    assert F.one_hot(np.array(1), num_classes=3).tolist() == [0, 1, 0]
    assert F.one_hot([0, 1], 2, dtype="int64").dtype == np.int64
    assert F.one_hot(np.zeros((0, 2), int), 3).shape == (0, 2, 3)


def test_one_hot_in_a_program():
    @tg.compiled
    def given(labels):
        return F.one_hot(labels, num_classes=3)

    @tg.compiled
    def inferred(labels):
        return F.one_hot(labels)

    rows = [np.array([[0, 1], [2, 0]]), np.array([[1, 1], [2, 2]]), np.array([[0, 0], [1, 0]])]
    for labels in rows:
        np.testing.assert_array_equal(given(labels).data, np.eye(3)[labels])
    assert given.program is not None
    with pytest.warns(UserWarning, match="the step reads an array into Python"):
        inferred(rows[0])
    for labels in rows:
        np.testing.assert_array_equal(inferred(labels).data, np.eye(labels.max() + 1)[labels])
