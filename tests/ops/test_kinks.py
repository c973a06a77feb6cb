"""At ties and kinks the gradients keep the promised conventions, between the exact one-sided derivatives."""

import math

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import tinygrad_sm as tg
from tests.helpers import leaf
from tinygrad_sm import Tensor

H = 1 / 8  # between neighbouring integers a piecewise linear function has no other kink: differences are exact
SHAPE = (2, 3, 2)
SCALES = hnp.arrays(np.float64, SHAPE, elements=st.sampled_from([-3.0, -1.0, 0.0, 1.0, 2.0]))  # of which g is a part


def whole(shape=SHAPE, least=-2, most=2):
    return hnp.arrays(np.float64, shape, elements=st.integers(least, most).map(float))


def gradients_of(f, arrays, scales):
    """Return g, of the shape of f(*arrays), and the gradient of ⟨g, f⟩ with respect to each of the arrays."""
    leaves = [leaf(x) for x in arrays]
    out = f(*leaves)
    g = np.resize(scales, out.shape)
    return g, [x.data for x in tg.grad(out, leaves, g)]


def assert_between_one_sided_derivatives(f, arrays, g, gradients):
    """Each output's part of the gradient lies between its one-sided derivatives, so the sum between their sums."""
    here = f(*arrays)
    for k, gradient in enumerate(gradients):
        for i in np.ndindex(gradient.shape):

            def at(step, k=k, i=i):
                moved = [x.copy() for x in arrays]
                moved[k][i] += step
                return f(*moved)

            to_the_right, to_the_left = g * (at(H) - here) / H, g * (here - at(-H)) / H
            low = np.minimum(to_the_left, to_the_right).sum()
            high = np.maximum(to_the_left, to_the_right).sum()
            assert low - 1e-12 <= gradient[i] <= high + 1e-12, (k, i)


def leaf_on(device, data, dtype=np.float64):
    return Tensor(np.array(data, dtype), requires_grad=True, device=device)


def is_zero_everywhere(gradient):
    """Whether a derivative is 0: it may also be None, where nothing depends on the input."""
    return gradient is None or not gradient.data.any()


AXES = [(axis, keepdims) for axis in (None, 0, -1, (0, 2), (-1, 1), (0, 1, 2), ()) for keepdims in (False, True)]


@pytest.mark.parametrize(("axis", "keepdims"), AXES)
@pytest.mark.parametrize(("op", "best"), [(tg.max, np.max), (tg.min, np.min)], ids=["max", "min"])
@given(x=whole(), scales=SCALES, v=whole())
def test_max_and_min_share_equally_among_ties(op, best, axis, keepdims, x, scales, v):
    def f(x):
        return op(x, axis=axis, keepdims=keepdims)

    g, (gradient,) = gradients_of(f, [x], scales)
    assert_between_one_sided_derivatives(f, [x], g, [gradient])
    shape = best(x, axis=axis, keepdims=True).shape
    group_of = np.broadcast_to(np.arange(g.size).reshape(shape), x.shape)
    jacobian_v = np.empty(g.size)
    for k, g_k in enumerate(g.flat):
        mine = group_of == k
        ties = mine & (x == best(x[mine]))
        np.testing.assert_array_equal(gradient[ties], g_k / ties.sum())
        np.testing.assert_array_equal(gradient[mine & ~ties], 0)
        np.testing.assert_allclose(gradient[mine].sum(), g_k, rtol=1e-15)
        jacobian_v[k] = v[ties].mean()
    t, incoming = leaf(x), leaf(g)
    (recorded,) = tg.grad(f(t), t, incoming, create_graph=True)
    np.testing.assert_array_equal(recorded.data, gradient)
    by_x, by_g = tg.grad(tg.sum(recorded * v), (t, incoming), allow_unused=True)
    assert is_zero_everywhere(by_x)
    np.testing.assert_allclose(by_g.data.ravel(), jacobian_v, rtol=1e-15, atol=1e-15)


@pytest.mark.parametrize(("op", "wins"), [(tg.maximum, np.greater), (tg.minimum, np.less)], ids=["maximum", "minimum"])
@given(a=whole(), b=whole((3, 1)), scales=SCALES)
def test_maximum_and_minimum_split_ties_in_halves(op, wins, a, b, scales):
    g, gradients = gradients_of(op, [a, b], scales)
    assert_between_one_sided_derivatives(op, [a, b], g, gradients)
    share_of_a = np.where(a == b, 0.5, np.where(wins(a, b), 1.0, 0.0))
    np.testing.assert_array_equal(gradients[0], g * share_of_a)
    np.testing.assert_array_equal(gradients[1], (g * (1 - share_of_a)).sum(axis=(0, 2), keepdims=True)[0])


@pytest.mark.parametrize("op", [tg.maximum, tg.minimum], ids=lambda op: op.__name__)
def test_a_maximum_with_itself_has_the_gradient_of_a_copy(op):
    x = leaf()
    np.testing.assert_array_equal(tg.grad(op(x, x), x, np.array([2.0, 3.0, 5.0]))[0].data, [2, 3, 5])


def test_an_infinite_g_is_not_made_nan_by_what_was_not_chosen():
    a, b, g = [-1.0, 0.0, 1.0], [1.0, 0.0, -1.0], [np.inf] * 3
    for op, shares in ((tg.maximum, ([0, np.inf, np.inf], [np.inf, np.inf, 0])), (tg.minimum, None)):
        x, y = leaf(a), leaf(b)
        found = [t.data for t in tg.grad(op(x, y), (x, y), np.array(g))]
        np.testing.assert_array_equal(found, shares or ([np.inf, np.inf, 0], [0, np.inf, np.inf]))
    x = leaf(a)
    np.testing.assert_array_equal(tg.grad(tg.relu(x), x, np.array(g))[0].data, [0, 0, np.inf])
    np.testing.assert_array_equal(tg.grad(tg.max(x), x, np.array(np.inf))[0].data, [0, 0, np.inf])
    np.testing.assert_array_equal(tg.grad(tg.clip(x, 0, None), x, np.array(g))[0].data, [0, np.inf, np.inf])


SLOPES = {  # on each side of 0, and what is promised at it
    "abs": (tg.abs, -1, 0, 1),
    "relu": (tg.relu, 0, 0, 1),
    "sign": (tg.sign, 0, 0, 0),
    "maximum(x, 0)": (lambda x: tg.maximum(x, 0), 0, 0.5, 1),
    "minimum(0, x)": (lambda x: tg.minimum(0, x), 1, 0.5, 0),
}


@pytest.mark.parametrize("name", SLOPES)
@given(x=whole(), scales=SCALES)
def test_slopes_beside_and_at_zero(name, x, scales):
    f, before, at, after = SLOPES[name]
    g, (gradient,) = gradients_of(f, [x], scales)
    np.testing.assert_array_equal(gradient, g * np.select([x < 0, x == 0, x > 0], [before, at, after]))
    t = leaf(x)
    (recorded,) = tg.grad(f(t), t, g, create_graph=True)
    np.testing.assert_array_equal(recorded.data, gradient)
    if recorded.requires_grad:
        assert is_zero_everywhere(tg.grad(tg.sum(recorded), t, allow_unused=True)[0])
    if name != "sign":  # which jumps
        assert_between_one_sided_derivatives(f, [x], g, [gradient])


@given(x=whole(), scales=SCALES, low=st.integers(-2, 1), width=st.integers(1, 3))
def test_clip_passes_the_gradient_in_the_closed_interval(x, scales, low, width):
    high = low + width
    for lower, upper in ((low, high), (low, None), (None, high), (float(low), np.array(high))):
        g, (gradient,) = gradients_of(lambda x, lower=lower, upper=upper: tg.clip(x, lower, upper), [x], scales)
        inside = (x >= (-9 if lower is None else low)) & (x <= (9 if upper is None else high))
        np.testing.assert_array_equal(gradient, g * inside)
        assert_between_one_sided_derivatives(
            lambda x, lower=lower, upper=upper: tg.clip(x, lower, upper), [x], g, [gradient]
        )


@given(x=whole(), low=whole((3, 1), -2, 0), width=whole((2, 1, 1), 1, 3), scales=SCALES)
def test_clip_gives_a_bound_the_gradient_of_what_lies_beyond_it(x, low, width, scales):
    high = low + width  # shape (2, 3, 1)
    g, gradients = gradients_of(tg.clip, [x, low, high], scales)
    np.testing.assert_array_equal(gradients[0], g * ((x >= low) & (x <= high)))
    np.testing.assert_array_equal(gradients[1], (g * (x < low)).sum(axis=(0, 2))[:, None])
    np.testing.assert_array_equal(gradients[2], (g * (x > high)).sum(axis=2, keepdims=True))
    assert_between_one_sided_derivatives(tg.clip, [x, low, high], g, gradients)


@given(c=hnp.arrays(np.bool_, (3, 1)), a=whole(), b=whole((2,)), scales=SCALES)
def test_where_passes_the_gradient_of_what_was_chosen(c, a, b, scales):
    g, gradients = gradients_of(lambda a, b: tg.where(c, a, b), [a, b], scales)
    np.testing.assert_array_equal(gradients[0], g * c)
    np.testing.assert_array_equal(gradients[1], (g * ~c).sum(axis=(0, 1)))
    assert_between_one_sided_derivatives(lambda a, b: tg.where(c, a, b), [a, b], g, gradients)


@pytest.mark.parametrize(("axis", "keepdims"), AXES)
@given(x=whole(least=-1, most=1), scales=SCALES)
def test_norm_has_gradient_0_where_it_is_0(axis, keepdims, x, scales):
    g, (gradient,) = gradients_of(lambda x: tg.norm(x, axis=axis, keepdims=keepdims), [x], scales)
    length = np.sqrt(np.square(x).sum(axis=axis, keepdims=True))
    expected = g.reshape(length.shape) * x / np.where(length == 0, 1, length)
    np.testing.assert_allclose(gradient, expected, rtol=1e-14, atol=0)
    assert_second_order_is_a_number(lambda x: tg.norm(x, axis=axis), x)


@pytest.mark.parametrize("axis", [None, 0, -1, (0, 2), (0, 1, 2), ()])
@pytest.mark.parametrize("ddof", [0, 1])
@given(x=whole(least=0, most=1), scales=SCALES)
def test_std_has_gradient_0_where_it_is_0(axis, ddof, x, scales):
    if ddof and axis == ():
        return  # one element has no standard deviation then
    g, (gradient,) = gradients_of(lambda x: tg.std(x, axis=axis, ddof=ddof), [x], scales)
    deviation = np.std(x, axis=axis, ddof=ddof, keepdims=True)
    n = x.size // deviation.size
    centered = x - x.mean(axis=axis, keepdims=True)
    expected = g.reshape(deviation.shape) * centered / np.where(deviation == 0, 1, deviation) / (n - ddof)
    np.testing.assert_allclose(gradient, expected, rtol=1e-12, atol=1e-15)
    np.testing.assert_array_equal(gradient[np.broadcast_to(deviation == 0, x.shape)], 0)
    assert_second_order_is_a_number(lambda x: tg.std(x, axis=axis, ddof=ddof), x)


def assert_second_order_is_a_number(f, x):
    t = leaf(x)
    (first,) = tg.grad(tg.sum(f(t)), t, create_graph=True)
    (second,) = tg.grad(tg.sum(first * np.arange(1.0, x.size + 1).reshape(x.shape)), t)
    assert np.isfinite(second.data).all()


@pytest.mark.parametrize("axis", [0, -1, (0, 2)])
@pytest.mark.parametrize("op", [tg.norm, tg.std])
@given(x=whole(least=0, most=1), scales=SCALES)
def test_norm_and_std_lie_between_difference_quotients(op, axis, x, scales):
    """Both are convex, so that also quotients of a finite step bound the gradient."""
    g, gradients = gradients_of(lambda x: op(x, axis=axis), [x], scales)
    assert_between_one_sided_derivatives(lambda x: op(x, axis=axis), [x], g, gradients)


EXPONENTS = hnp.arrays(np.float64, SHAPE, elements=st.sampled_from([-2.0, -1.0, 0.0, 1.0, 2.0, 3.0]))


@given(a=whole(), b=EXPONENTS, scales=SCALES)
def test_the_gradient_of_a_power_with_respect_to_its_base(a, b, scales):
    b = np.where((a == 0) & (b < 0), 0, b)  # there it is infinite
    g, (gradient,) = gradients_of(lambda a: tg.power(a, b), [a], scales)
    second = np.empty(SHAPE)
    expected = np.empty(SHAPE)
    for i in np.ndindex(SHAPE):
        expected[i] = _derivative_of_power(a[i], b[i], 1)
        second[i] = _derivative_of_power(a[i], b[i], 2)
    np.testing.assert_array_equal(gradient, g * expected)
    t = leaf(a)
    (first,) = tg.grad(tg.power(t, b), t, np.ones(SHAPE), create_graph=True)
    np.testing.assert_array_equal(tg.grad(tg.sum(first), t)[0].data, second)
    for exponent in (0, 1, 2, 3.0):  # a Python number
        _, (gradient,) = gradients_of(lambda a, exponent=exponent: a**exponent, [a], np.ones(SHAPE))
        expected = [_derivative_of_power(base, exponent, 1) for base in a.flat]
        np.testing.assert_array_equal(gradient.ravel(), expected)


def _derivative_of_power(a, b, order):
    """Return b (b−1) ... a**(b−order), and 0 where the factor is 0: whole powers are polynomials there."""
    factor = b if order == 1 else b * (b - 1)
    return factor * a ** (b - order) if factor else 0.0


@given(a=whole(least=0), b=EXPONENTS, scales=SCALES)
def test_the_gradient_of_a_power_with_respect_to_its_exponent(a, b, scales):
    b = np.where(a == 0, np.abs(b) + 0.5 * (b < 0), b)
    g, (of_base, of_exponent) = gradients_of(tg.power, [a, b], scales)
    expected = [x**y * math.log(x) if x else 0.0 for x, y in zip(a.flat, b.flat, strict=True)]
    np.testing.assert_allclose(of_exponent.ravel(), g.ravel() * expected, rtol=1e-15, atol=0)
    np.testing.assert_array_equal(of_exponent[a == 0], 0)
    expected = [_derivative_of_power(x, y, 1) for x, y in zip(a.flat, b.flat, strict=True)]
    np.testing.assert_allclose(of_base.ravel(), g.ravel() * expected, rtol=1e-15, atol=0)
    for base in (0, 2.0):  # a Python number
        _, (gradient,) = gradients_of(lambda b, base=base: base**b, [np.abs(b)], np.ones(SHAPE))
        expected = base ** np.abs(b) * math.log(base) if base else np.zeros(SHAPE)
        np.testing.assert_allclose(gradient, expected, rtol=1e-15)


ANY_BASE = [0.0, -0.0, 5e-324, -1e-310, 2.0**-1024, 2.0**-1023, 1e-300, -2.0, 1.0, 1e300, np.inf, np.nan]
"""Of these, 1/a overflows up to 2⁻¹⁰²⁴ in float64."""


@pytest.mark.filterwarnings("ignore:overflow")  # what a second derivative is at 2⁻¹⁰²³
def test_the_gradient_of_a_to_the_0_is_0_for_every_a(device):
    x = leaf_on(device, ANY_BASE)
    zeros = np.zeros(len(ANY_BASE))
    for exponent in (0, 0.0, np.float64(0), Tensor(zeros, device=device)):
        (first,) = tg.grad(x**exponent, x, Tensor(zeros + 3, device=device))
        np.testing.assert_array_equal(first.numpy(), zeros)
    (first,) = tg.grad(x**1, x, Tensor(zeros + 1, device=device), create_graph=True)  # a⁰ is a rule's own work here
    np.testing.assert_array_equal(first.numpy(), zeros + 1)
    (second,) = tg.grad(first, x, Tensor(zeros + 1, device=device))
    np.testing.assert_array_equal(second.numpy(), zeros)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_to_the_0_where_1_over_a_overflows_in_every_dtype(device, dtype):
    smallest = np.finfo(dtype).smallest_subnormal
    edge = dtype(1 / float(np.finfo(dtype).max))  # 1/a overflows here, and not at the next number
    x = leaf_on(device, np.array([smallest, edge, edge + smallest], dtype), dtype)
    b = leaf_on(device, [0.0] * 3, dtype)
    of_base, _ = tg.grad((x**b).sum(), [x, b], create_graph=True)
    np.testing.assert_array_equal(of_base.numpy(), [0, 0, 0])
    (mixed,) = tg.grad(of_base.sum(), b)
    with np.errstate(over="ignore"):
        assert mixed.numpy()[2] == dtype(1) / (edge + smallest)  # ∂²/∂a∂b of a**b at b = 0 is 1/a


def test_the_gradient_of_0_to_the_b_is_minus_infinite_below_0(device):
    exponents = [-2.0, -0.5, -1e-310, -0.0, 0.0, 1e-310, 0.5, 2.0, np.inf]
    expected = [-np.inf] * 3 + [0.0] * 6
    ones = Tensor(np.ones(len(exponents)), device=device)
    for base in (0, 0.0, Tensor(0.0, dtype=np.float64, device=device), Tensor(-0.0, dtype=np.float64, device=device)):
        b = leaf_on(device, exponents)
        with np.errstate(divide="ignore", invalid="ignore"):
            (gradient,) = tg.grad(base**b, b, ones)
        np.testing.assert_array_equal(gradient.numpy(), expected, err_msg=repr(base))
    b = leaf_on(device, exponents[:-1])
    (gradient,) = tg.grad((2.0**b).sum(), b)  # beside it: a base that is not 0
    np.testing.assert_allclose(gradient.numpy(), 2.0 ** np.array(exponents[:-1]) * math.log(2), rtol=1e-15)


NAN_BOUNDS = [
    (np.nan, 3.0),
    (0.0, np.nan),
    (None, np.float64(np.nan)),
    (np.nan, None),
    ([np.nan, 0.0, 1.5, -9.0], None),
    (np.array([[0.0], [np.nan]]), np.array([2.0, np.nan, 1.0, 9.0])),
]


@pytest.mark.parametrize(("low", "high"), NAN_BOUNDS)
@pytest.mark.parametrize("dtype", [np.float32, np.int8])
def test_a_bound_of_clip_that_is_nan_gives_nan(device, low, high, dtype):
    def on_device(bound):
        return Tensor(bound, dtype=np.float32, device=device) if isinstance(bound, list | np.ndarray) else bound

    x = np.array([1, 2, -3, 4], dtype)
    found = tg.clip(Tensor(x, device=device), on_device(low), on_device(high)).numpy()
    np.testing.assert_array_equal(found, np.clip(x, *(b if b is None else np.asarray(b) for b in (low, high))))
    assert np.isnan(found).any()


def test_a_bound_that_is_nan_takes_the_gradient(device):
    x = leaf_on(device, [1.0, np.nan, 2.0, -1.0])
    low, high = leaf_on(device, [np.nan, 0.0, 0.0, 0.0]), leaf_on(device, [9.0, 9.0, np.nan, 9.0])
    g = Tensor(np.array([2.0, 3.0, 5.0, 7.0]), device=device)
    found = [part.numpy() for part in tg.grad(tg.clip(x, low, high), [x, low, high], g)]
    np.testing.assert_array_equal(found, [[0, 3, 0, 0], [2, 0, 0, 7], [0, 0, 5, 0]])


def test_clip_of_integers_keeps_bounds_that_no_integer_reaches_away():
    x = np.array([0, 100, 255], np.uint8)
    assert tg.clip(x, -1, 300).tolist() == np.clip(x, -1, 300).tolist() == [0, 100, 255]
    assert tg.clip(x, 50, 300).dtype == np.uint8
    for bounds in ((300, None), (None, -1)):  # where(x < 300, 300, x) would give 44
        with pytest.raises(OverflowError, match="out of bounds for uint8"):
            tg.clip(x, *bounds)


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, bool])
def test_gelu_of_narrow_integers(device, dtype):
    x = np.array([0, 1, 3, 30, 100]).astype(dtype)
    for sign in (1, -1) if x.dtype.kind == "i" else (1,):
        np.testing.assert_allclose(tg.gelu(Tensor(sign * x, device=device)).numpy(), tg.gelu(sign * x.astype(float)))


def test_gelu_at_infinity():
    x = leaf([-np.inf, -1e300, 1e300, np.inf, np.nan])
    with np.errstate(invalid="ignore"):
        y = tg.gelu(x)
        (slope,) = tg.grad(y.sum(), x)
    np.testing.assert_array_equal(y.data, [0, 0, 1e300, np.inf, np.nan])
    np.testing.assert_array_equal(slope.data[:4], [0, 0, 1, 1])


def test_pad_keeps_the_sign_of_zero(device):
    x = np.array([-0.0, 0.0, -1.0, np.inf, np.nan])
    padded = tg.pad(Tensor(x, device=device), (1, 2), constant_values=3.0).numpy()
    np.testing.assert_array_equal(padded, np.pad(x, (1, 2), constant_values=3.0))
    np.testing.assert_array_equal(np.signbit(padded[1:5]), np.signbit(x[:4]))
    for dtype in (np.uint8, bool):
        whole_numbers = np.array([0, 1], dtype)
        padded = tg.pad(Tensor(whole_numbers, device=device), 1, constant_values=1).numpy()
        np.testing.assert_array_equal(padded, np.pad(whole_numbers, 1, constant_values=1))
        assert padded.dtype == dtype


@pytest.mark.parametrize(("axis", "keepdims"), AXES)
@given(x=whole(), scales=SCALES, v=whole())
def test_prod_is_right_with_any_number_of_zeros(axis, keepdims, x, scales, v):
    def f(x):
        return tg.prod(x, axis=axis, keepdims=keepdims)

    g, (gradient,) = gradients_of(f, [x], scales)
    shape = np.empty(SHAPE).sum(axis=axis, keepdims=True).shape
    group_of = np.broadcast_to(np.arange(g.size).reshape(shape), SHAPE)
    first, second, values = np.zeros(SHAPE), np.zeros(SHAPE), np.zeros(g.size)
    for k, g_k in enumerate(g.flat):
        members = [i for i in np.ndindex(SHAPE) if group_of[i] == k]
        values[k] = math.prod(x[i] for i in members)
        for i in members:
            first[i] = g_k * math.prod(x[j] for j in members if j != i)
            for j in members:
                if j != i:  # Σ_j v_j ∂²(Π x)/∂x_i∂x_j
                    second[i] += g_k * v[j] * math.prod(x[m] for m in members if m not in (i, j))
    np.testing.assert_array_equal(f(x).ravel(), values)
    np.testing.assert_array_equal(gradient, first)
    t = leaf(x)
    (recorded,) = tg.grad(f(t), t, g, create_graph=True)
    (found,) = tg.grad(tg.sum(recorded * v), t, allow_unused=True)
    np.testing.assert_array_equal(0 * second if found is None else found.data, second)


C = math.sqrt(2 / math.pi)
AT_ZERO = {  # the function, and its derivatives at 0 from the zeroth on
    "sigmoid": (tg.sigmoid, [1 / 2, 1 / 4, 0, -1 / 8, 0]),
    "softplus": (tg.softplus, [math.log(2), 1 / 2, 1 / 4, 0, -1 / 8]),
    "tanh": (tg.tanh, [0, 1, 0, -2, 0]),
    "gelu": (tg.gelu, [0, 1 / 2, C, 0, 4 * (6 * 0.044715 * C - 2 * C**3) / 2]),  # 4 (tanh ∘ u)‴ / 2
    "relu": (tg.relu, [0, 0]),
    "square": (tg.square, [0, 0, 2]),
    "cube": (lambda x: x**3, [0, 0, 0, 6, 0]),
    "arctan": (tg.arctan, [0, 1, 0, -2, 0]),
    "expm1": (tg.expm1, [0, 1, 1, 1, 1]),
    "log1p": (tg.log1p, [0, 1, -1, 2, -6]),
}


@pytest.mark.parametrize("name", AT_ZERO)
@pytest.mark.parametrize("zero", [0.0, -0.0])
def test_derivatives_of_every_order_at_exactly_zero(name, zero):
    f, derivatives = AT_ZERO[name]
    x = leaf([zero])
    value = f(x)
    for order, expected in enumerate(derivatives):
        np.testing.assert_allclose(value.data, [expected], rtol=1e-14, atol=1e-15, err_msg=f"order {order}")
        if order + 1 < len(derivatives):
            (value,) = tg.grad(value, x, create_graph=True)


def test_a_nan_takes_the_gradient_of_what_it_makes():
    x = tg.Tensor([[1.0, np.nan, 2.0], [1.0, 3.0, 3.0]], requires_grad=True)
    for op in (tg.max, tg.min):
        (g,) = tg.grad(op(x, axis=1), x, np.array([5.0, 7.0]))
        row = [0, 3.5, 3.5] if op is tg.max else [7, 0, 0]
        np.testing.assert_array_equal(g.data, [[0, 5, 0], row])
    a, b = (tg.Tensor(values, requires_grad=True) for values in ([1.0, np.nan, 2.0], [2.0, 1.0, np.nan]))
    for op in (tg.maximum, tg.minimum):
        g, h = tg.grad(op(a, b), [a, b], np.array([5.0, 7.0, 9.0]))
        first = [0, 5] if op is tg.maximum else [5, 0]
        np.testing.assert_array_equal(g.data, [first[0], 7, 9])
        np.testing.assert_array_equal(h.data, [first[1], 7, 9])


@pytest.mark.parametrize(("dtype", "small"), [(np.float16, 1e-3), (np.float32, 1e-20), (np.float64, 1e-160)])
@pytest.mark.parametrize("exponent", [lambda b: b, lambda b: Tensor(b), lambda b: b * np.ones(2, b.dtype)])
def test_the_second_derivative_of_a_to_the_0_is_0_near_0_too(dtype, small, exponent):
    a = np.array([small, 1.0], dtype)
    for power, expected in ((0, 0), (1, 0), (2, 2)):
        b = exponent(np.zeros(2, dtype) + dtype(power))
        _, second = tg.hvp(lambda q, b=b: (q**b).sum(), a, np.ones(2, dtype))
        np.testing.assert_allclose(second.numpy(), [expected] * 2, rtol=1e-3)
