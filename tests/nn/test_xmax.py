"""The x-max family keeps its laws: each map is the distribution of its formula, with one form of Jacobian for all."""

import math

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import assume, given

import tinygrad_sm as tg
from tests.helpers import leaf
from tinygrad_sm import Tensor
from tinygrad_sm.nn import functional
from tinygrad_sm.nn.functional import entmax15, gumbel_softmax, softmax, sparsemax

INF, NAN = np.inf, np.nan


def by_exponentials(z):
    e = [math.exp(t - max(z)) for t in z]
    return np.array([t / math.fsum(e) for t in e])


def by_bisection(z, power):
    """Return p_i = [z_i − τ]₊^power with the τ that makes the sum 1, which is found by halving."""
    low, high = max(z) - 1.0, max(z)
    for _ in range(100):
        tau = (low + high) / 2
        too_much = math.fsum(max(t - tau, 0.0) ** power for t in z) > 1
        low, high = (tau, high) if too_much else (low, tau)
    return np.array([max(t - high, 0.0) ** power for t in z])


def gumbel_of_a_seed(z):
    tg.manual_seed(7)
    return gumbel_softmax(z, tau=0.8)


def with_noise(z):
    return (z + np.random.default_rng(7).gumbel(size=z.shape)) / 0.8


FAMILY = {  # the map, p by other means, and the s of its Jacobian diag(s) − s sᵀ/Σs
    "softmax": (softmax, by_exponentials, lambda p: p),
    "softmax of half the temperature": (
        lambda z: softmax(z, temperature=0.5),
        lambda z: by_exponentials(2 * z),
        lambda p: 2 * p,
    ),
    "gumbel_softmax": (gumbel_of_a_seed, lambda z: by_exponentials(with_noise(z)), lambda p: p / 0.8),
    "entmax15": (entmax15, lambda z: by_bisection(z / 2, 2), np.sqrt),
    "sparsemax": (sparsemax, lambda z: by_bisection(z, 1), lambda p: 1.0 * (p > 0)),
}
whole_family = pytest.mark.parametrize(("f", "oracle", "root"), FAMILY.values(), ids=FAMILY)
without_noise = pytest.mark.parametrize("f", [f for f, _, _ in FAMILY.values() if f is not gumbel_of_a_seed])
rows = hnp.arrays(np.float64, st.integers(1, 7), elements=st.floats(-3, 3) | st.integers(-4, 4).map(lambda n: n / 2))


@whole_family
@given(rows)
def test_p_is_the_distribution_of_the_formula(f, oracle, root, z):
    p = f(z)
    assert np.all(p >= 0)
    np.testing.assert_allclose(p.sum(), 1, rtol=1e-14)
    np.testing.assert_allclose(p, oracle(z), atol=1e-14)


@without_noise
@given(rows, st.floats(-100, 100))
def test_the_order_is_kept_and_shifts_change_nothing(f, z, shift):
    p = f(z)
    assert np.all(np.diff(p[np.argsort(z)]) >= 0)
    assert np.all(p[z == z.max()] == p.max())
    np.testing.assert_allclose(f(z + shift), p, atol=1e-13)
    np.testing.assert_allclose(f(z[::-1])[::-1], p, atol=1e-15)


@whole_family
@given(rows)
def test_the_jacobian_has_one_form(f, oracle, root, z):
    p = oracle(z)
    if f is sparsemax:  # which has no Jacobian where a p begins to be positive
        assume(np.abs(z - (z[p > 0].sum() - 1) / (p > 0).sum()).min() > 1e-9)
    J = tg.jacobian(f, Tensor(z)).data
    s = root(p)
    of_rounding = 1e-7 if f is entmax15 else 1e-14  # by which p rounds, and so √p by the root of it
    np.testing.assert_allclose(J, np.diag(s) - np.outer(s, s) / s.sum(), atol=of_rounding)
    np.testing.assert_allclose(J, J.T, atol=1e-14)
    np.testing.assert_allclose(J.sum(axis=1), 0, atol=1e-14)
    assert np.linalg.eigvalsh((J + J.T) / 2).min() > -1e-14


@whole_family
@pytest.mark.parametrize("seed", range(5))
def test_gradients_of_both_orders(f, oracle, root, seed):
    report = tg.gradcheck(f, [np.random.default_rng(seed).uniform(-1.5, 1.5, (3, 4))])
    assert (report.order, report.kinks) == (2, 0)


@pytest.mark.parametrize(("f", "z"), [(sparsemax, [1.0, 0.0, 0.0]), (entmax15, [2.0, 0.0, 0.0])])
def test_where_a_p_begins_to_be_positive_the_gradient_is_that_of_0(f, z):
    np.testing.assert_array_equal(f(np.array(z)), [1, 0, 0])
    np.testing.assert_array_equal(tg.jacobian(f, leaf(z)).data, np.zeros((3, 3)))


@without_noise
@given(hnp.arrays(np.float64, 5, elements=st.integers(-9, 9).map(float), unique=True))
def test_argmax_is_the_limit_of_low_temperatures(f, z):
    one_hot = np.eye(5)[z.argmax()]
    np.testing.assert_allclose(f(z / 1e-2), one_hot, atol=1e-40)
    second, first = np.sort(z)[-2:]
    for of_gap, g in ((1, sparsemax), (0.5, entmax15)):
        temperature = of_gap * (first - second)
        np.testing.assert_allclose(g(z / temperature), one_hot, atol=1e-15)
        assert g(z / (1.01 * temperature)).max() < 1
    for temperature in (1e-3, 1e-300, 5e-324):
        with np.errstate(over="ignore"):
            np.testing.assert_array_equal(softmax(z, temperature=temperature), one_hot)
    np.testing.assert_allclose(softmax(z, temperature=1e12), np.full(5, 0.2), rtol=1e-9)


@without_noise
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_every_axis_and_dtype(f, dtype):
    z = np.random.default_rng(0).uniform(-2, 2, (3, 4, 2)).astype(dtype)
    name = {sparsemax: sparsemax, entmax15: entmax15}.get(f, softmax)
    for axis in (0, 1, -1):
        x = leaf(z, dtype)
        p = name(x, axis)
        assert p.dtype == dtype
        rows = np.moveaxis(z, axis, -1)
        np.testing.assert_allclose(np.moveaxis(p.data, axis, -1), name(rows), rtol=1e-6)
        (p * p).sum().backward()
        np.testing.assert_allclose(x.grad.astype(float).sum(axis=axis), 0, atol=8 * np.finfo(dtype).eps)
    integers = np.array([[1, 2], [5, 0]])
    np.testing.assert_array_equal(name(integers), name(integers.astype(float)))
    assert name([1.0, 2.0]).dtype == np.float32


@without_noise
@pytest.mark.parametrize(("dtype", "huge"), [(np.float32, 1e4), (np.float32, 5e37), (np.float64, 1e300)])
def test_extreme_numbers_and_masks(f, dtype, huge):
    z = np.array([[huge, -huge, 0], [huge, huge, -INF], [-INF, 1, -INF], [-INF, -INF, -INF]], dtype)
    x = leaf(z, dtype)
    p = f(x)
    np.testing.assert_allclose(p.data, [[1, 0, 0], [0.5, 0.5, 0], [0, 1, 0], [0, 0, 0]], rtol=1e-6)
    assert p.dtype == dtype
    (first,) = tg.grad(p, x, np.arange(12.0).reshape(4, 3), create_graph=True)
    assert np.isfinite(first.data).all()
    np.testing.assert_array_equal(first.data[[0, 2, 3]], 0)
    np.testing.assert_allclose(first.data[1, 0], -first.data[1, 1], rtol=1e-6)
    assert first.data[1, 0] < -0.2
    assert first.data[1, 2] == 0
    if f is not sparsemax:  # which is made of straight pieces
        assert np.isfinite(tg.grad((first * first).sum(), x)[0].data).all()
    assert np.isnan(f(np.array([0, NAN, 1], dtype))).all()  # is never hidden


def test_half_precision_of_many_barely_positive():
    z = (-2 + 1e-2 * np.random.default_rng(0).random(20_000)).astype(np.float16)
    z[0] = 0
    x = leaf(z, np.float16)
    p = entmax15(x)
    p[0].backward()
    assert np.isfinite(x.grad).all()
    assert abs(p.data.astype(float).sum() - 1) < 1e-2


def entropies(p):
    """Return Shannon's entropy, and those of entmax15 and sparsemax, of a row."""
    return (
        -math.fsum(t * math.log(t) for t in p if t > 0),
        4 / 3 * (1 - math.fsum(t**1.5 for t in p)),
        (1 - math.fsum(t * t for t in p)) / 2,
    )


LOSSES = {
    "softmax": (functional.cross_entropy, 0),
    "entmax15": (functional.entmax15_loss, 1),
    "sparsemax": (functional.sparsemax_loss, 2),
}
fenchel_young = pytest.mark.parametrize("name", LOSSES)


def drawn(data, N=3, C=4):
    """Return logits, labels, and probabilities of which some are 0."""
    z = data.draw(hnp.arrays(np.float64, (N, C), elements=st.floats(-3, 3)))
    labels = np.array(data.draw(st.lists(st.integers(0, C - 1), min_size=N, max_size=N)))
    y = data.draw(hnp.arrays(np.float64, (N, C), elements=st.integers(0, 4).map(float))) + np.eye(C)[labels]
    return z, labels, y / y.sum(axis=1, keepdims=True)


@fenchel_young
@given(data=st.data())
def test_fenchel_young_losses_are_their_definition_with_gradient_p_minus_y(name, data):
    loss, which = LOSSES[name]
    _, oracle, _ = FAMILY[name]
    z, labels, soft = drawn(data)
    for target, y in ((labels, np.eye(4)[labels]), (soft, soft)):
        expected = []
        for row, of_target in zip(z, y, strict=True):
            p = oracle(row)
            conjugate = p @ row + entropies(p)[which]
            expected.append(conjugate - of_target @ row - (0 if which == 0 else entropies(of_target)[which]))
        x = leaf(z)
        out = loss(x, target)
        np.testing.assert_allclose(out.data, np.mean(expected), atol=1e-13)
        assert out.item() > -1e-15
        out.backward()
        np.testing.assert_allclose(x.grad, (np.array([oracle(row) for row in z]) - y) / 3, atol=1e-14)
        np.testing.assert_allclose(loss(z, target, reduction="none"), expected, atol=1e-13)
        np.testing.assert_allclose(loss(z, target, reduction="sum"), sum(expected), atol=1e-13)
        for shift in (-1e6, 1e6):
            np.testing.assert_allclose(loss(z + shift, target), out.data, atol=2e-9)  # by which z + shift rounds


@fenchel_young
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
def test_fenchel_young_losses_keep_the_dtype(name, dtype, reduction):
    x = leaf([[1.0, 0.5], [0.0, 2.0], [0.0, 0.0]], dtype)
    loss = LOSSES[name][0](x, np.array([0, 1, -100]), reduction=reduction)
    assert loss.dtype == LOSSES[name][0](x.data, [0, 1, 1], reduction=reduction).dtype == dtype
    assert loss.shape == ((3,) if reduction == "none" else ())


@fenchel_young
def test_fenchel_young_losses_at_both_orders_places_masks_and_their_minimum(name):
    loss, which = LOSSES[name]
    random = np.random.default_rng(0)
    z, labels = random.uniform(-1, 1, (2, 3, 2)), random.integers(0, 3, (2, 2))
    tg.gradcheck(lambda z: loss(z, labels, reduction="none"), [z])
    moved, flat = np.moveaxis(z, 1, -1).reshape(4, 3), labels.reshape(-1)
    np.testing.assert_allclose(loss(z, labels), loss(moved, flat), rtol=1e-15)
    z = np.array([[3.0, 1.0, -INF, 0.5]])
    x = leaf(z)
    value = loss(x, np.array([0]))
    value.backward()
    assert x.grad[0, 2] == 0
    np.testing.assert_allclose(value.data, loss(z[:, [0, 1, 3]], np.array([0])), rtol=1e-14)
    lead = {"softmax": 40.0, "entmax15": 2.0, "sparsemax": 1.0}[name]  # where float64 rounds softmax to 0 and 1
    assert loss(np.array([[lead, 0.0]]), [0]) == 0
    assert loss(np.array([[0.9 * lead, 0.0]]), [0]) > 0


def test_the_largest_of_gumbel_softmax_is_a_draw_from_softmax():
    tg.manual_seed(0)
    z = np.array([0.5, -1.0, 2.0, -INF])
    draws = gumbel_softmax(np.broadcast_to(z, (100_000, 4)), hard=True)
    assert set(np.unique(draws)) == {0, 1}
    np.testing.assert_array_equal(draws.sum(axis=1), 1)
    np.testing.assert_allclose(draws.mean(axis=0), softmax(z), atol=6e-3)  # 4 deviations of the mean
    assert draws[:, 3].max() == 0


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_straight_through_is_one_hot_and_has_the_gradient_of_the_soft_one(dtype):
    z = np.random.default_rng(0).uniform(-1, 1, (3, 4, 5)).astype(dtype)
    z[0, :, 0] = -INF
    v = np.random.default_rng(1).uniform(-1, 1, z.shape)
    found = []
    for hard in (False, True):
        tg.manual_seed(3)
        x = leaf(z, dtype)
        y = gumbel_softmax(x, tau=0.5, hard=hard, dim=1)
        (first,) = tg.grad(y, x, v, create_graph=True)
        (second,) = tg.grad((first * first).sum(), x)
        found.append((y.data, first.data, second.data))
    (soft, *gradients), (one_hot, *straight_through) = found
    assert one_hot.dtype == soft.dtype == dtype
    expected = soft == soft.max(axis=1, keepdims=True)
    expected[0, :, 0] = False  # where all are masked nothing is drawn
    np.testing.assert_array_equal(one_hot, expected)
    np.testing.assert_array_equal(straight_through, gradients)
    assert np.abs(gradients[0]).max() > 0.1


def test_draws_follow_the_seed():
    z = np.zeros((2, 3))
    tg.manual_seed(1)
    first, second = gumbel_softmax(z), gumbel_softmax(z)
    tg.manual_seed(1)
    np.testing.assert_array_equal(gumbel_softmax(z), first)
    assert np.all(first != second)


@pytest.mark.parametrize("temperature", [0, -1.0, np.array(NAN), np.array(-1)])
def test_temperatures_are_positive(temperature):
    message = "expected {} (greater than 0, got .*argmax is the limit|to be a number of at least 0, got -1)"
    with pytest.raises(ValueError, match="^softmax: " + message.format("temperature")):
        softmax(np.zeros(3), temperature=temperature)
    with pytest.raises(ValueError, match="^gumbel_softmax: " + message.format("tau")):
        gumbel_softmax(np.zeros(3), tau=temperature)


NOT_ONE_NUMBER = {
    "two": (np.array([1.0, 2.0]), ValueError, r"expected one number as {}, got float64 \(2,\): divide x by an array"),
    "learned ones": (Tensor([1.0, 2.0]), ValueError, r"expected one number as {}, got float32 \(2,\)"),
    "a condition": (np.array(True), ValueError, r"expected one number as {}, got bool \(\)"),
    "a bool": (True, TypeError, "expected {} to be a number of at least 0, got bool True"),
    "nothing": (None, TypeError, "expected {} to be a number of at least 0, got NoneType None"),
    "a word": ("0.5", TypeError, "expected {} to be a number of at least 0, got str '0.5'"),
    "a complex number": (1j, TypeError, "expected {} to be a number of at least 0, got complex 1j"),
    "beyond floats": (
        10**400,
        ValueError,
        "expected {} to be a number of at least 0, got an integer of too many digits",
    ),
}


@pytest.mark.parametrize("case", NOT_ONE_NUMBER)
def test_temperatures_are_one_number(case):
    temperature, error, message = NOT_ONE_NUMBER[case]
    with pytest.raises(error, match="^softmax: " + message.format("temperature")):
        softmax(np.zeros(2), temperature=temperature)
    tg.manual_seed(0)
    with pytest.raises(error, match="^gumbel_softmax: " + message.format("tau")):
        gumbel_softmax(np.zeros(2), tau=temperature)
    after = gumbel_softmax(np.zeros(2))
    tg.manual_seed(0)
    np.testing.assert_array_equal(after, gumbel_softmax(np.zeros(2)))  # nothing had been drawn


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_at_infinite_temperature_all_that_is_not_masked_is_alike(dtype):
    z = np.array([[3.0, -INF, -5.0], [-INF, -INF, 1.0], [-INF, -INF, -INF]], dtype)
    expected = [[0.5, 0, 0.5], [0, 0, 1], [0, 0, 0]]
    for infinite in (INF, np.float32(INF), np.array([INF], dtype), Tensor(np.array(INF, dtype))):
        p = softmax(Tensor(z), temperature=infinite)
        np.testing.assert_array_equal(p.data, expected)
        assert p.dtype == dtype
    np.testing.assert_array_equal(softmax(z, temperature=1e306), expected)  # more than float16 and float32 can hold
    with np.errstate(over="ignore"):
        np.testing.assert_array_equal(softmax(z[:, [0, 2]], temperature=1e-306), [[1, 0], [0, 1], [0, 0]])  # and less
    assert (gumbel_softmax(z, tau=INF)[:, 1] == 0).all()
    x = leaf(z, dtype)
    softmax(x, temperature=INF)[0, 0].backward()
    np.testing.assert_array_equal(x.grad, np.zeros((3, 3)))


def test_a_mask_leaves_a_learned_temperature_its_gradient():
    tau, whole = Tensor(np.array([[2.0]]), requires_grad=True), Tensor(np.array(2.0), requires_grad=True)
    z = np.array([1.0, -INF, 3.0, 0.5])
    p = softmax(z, temperature=tau)
    assert p.shape == (4,)
    p[0].backward()
    softmax(z[[0, 2, 3]], temperature=whole)[0].backward()
    np.testing.assert_allclose(tau.grad, [[whole.grad]], rtol=1e-14)


def hard_gumbel_softmax(x, dim=-1):
    return gumbel_softmax(x, hard=True, dim=dim)


def tepid_softmax(x, dim=-1):
    return softmax(x, dim, temperature=2.0)


NAMES = {sparsemax: "sparsemax", entmax15: "entmax15", softmax: "softmax", tepid_softmax: "softmax"}
every_name = pytest.mark.parametrize("f", [*NAMES, hard_gumbel_softmax])


@every_name
def test_axes_that_are_not_there(f):
    name = NAMES.get(f, "gumbel_softmax")
    for dim in (2, -3):
        message = rf"^{name} of float64 \(2, 3\): axis {dim} is out of bounds for array of dimension 2"
        with pytest.raises(np.exceptions.AxisError, match=message):
            f(np.zeros((2, 3)), dim=dim)
    with pytest.raises(np.exceptions.AxisError, match=rf"^{name} of float64 \(\): axis 1"):
        f(np.array(1.0), dim=1)
    for dim in (1.5, True, None, "0", (0, 1)):
        with pytest.raises(TypeError, match=f"^{name}: expected dim to be an integer, got {type(dim).__name__}"):
            f(np.zeros((2, 3)), dim=dim)
    np.testing.assert_array_equal(f(np.zeros((1, 3)), dim=np.int64(0)), np.ones((1, 3)))


@every_name
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_single_number_is_1_and_no_numbers_are_none(f, dtype):
    for dim in (0, -1):
        x = leaf(-7.0, dtype)
        p = f(x, dim=dim)
        p.backward()
        assert (p.item(), p.shape, p.dtype, x.grad) == (1, (), dtype, 0)
        assert f(np.array(-INF, dtype), dim=dim) == 0
    assert f(3) == 1
    for shape in ((3, 0), (0, 3)):
        p = f(np.zeros(shape, dtype))
        assert (p.shape, p.dtype) == (shape, dtype)


def test_a_temperature_that_is_learned_has_a_gradient_at_1_too():
    tau = Tensor(1.0, requires_grad=True)
    z = np.array([1.0, 2.0, 4.0], np.float32)
    functional.softmax(z, temperature=tau)[0].backward()
    p = functional.softmax(z)
    np.testing.assert_allclose(tau.grad, -p[0] * (z[0] - (p * z).sum()), rtol=1e-5)
