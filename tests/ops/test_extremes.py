"""Where numbers are huge, tiny or masked, values and gradients agree with 50 digits to a few units in the last place.

An error is measured in units of rounding, eps times the size of the terms that an ideal computation in the same dtype
would have to round: for p = softmax(z) that is p (1 + |z − max z|), because the difference rounds before it is raised.
"""

import hypothesis.strategies as st
import mpmath
import numpy as np
import pytest
from hypothesis import example, given

import tinygrad_sm as tg
from tests.helpers import leaf
from tinygrad_sm.ops.softmax import cross_entropy

INF = np.inf
LIMIT = {np.float32: 1e4, np.float64: 1e300}
every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])

mp = mpmath.MPContext()
mp.dps = 50


def exact(x):
    return [mp.mpf(float(element)) for element in np.ravel(x)]


def total(terms):
    return sum(terms, mp.mpf(0))


def assert_close(found, expected, sizes, ulps=8, subnormals=4):
    """Assert that each number found is within so many units of rounding of the expected one, and never NaN.

    Where numbers underflow, the unit is some of the smallest subnormal number.
    """
    found = np.asarray(found)
    limits = np.finfo(found.dtype)
    for i, (x, value, size) in enumerate(zip(found.ravel().tolist(), expected, sizes, strict=True)):
        where = f"element {i}: {x!r}, expected {mp.nstr(mp.mpf(value), 20)}"
        if mp.isinf(value):
            assert x == value, where
        else:
            assert np.isfinite(x), where
            tolerance = mp.mpf(float(limits.eps)) * size + subnormals * mp.mpf(float(limits.smallest_subnormal))
            assert abs(mp.mpf(x) - value) <= ulps * tolerance, where


class ExactRow:
    """The softmax of a row of logits and what belongs to it, with 50 digits; zeros where all logits are masked."""

    def __init__(self, z):
        z = exact(z)
        self.max = max(z)
        self.masked = self.max == -INF
        # exp of less than −10⁵ is far below every float, and a number of very many digits
        self.below = [mp.inf if x == -INF else self.max - x for x in z]
        e = [mp.exp(-s) if s < 1e5 else mp.mpf(0) for s in self.below]
        self.log_sum = mp.log(total(e)) if not self.masked else mp.mpf(0)
        self.p = [mp.mpf(0) if self.masked else x / total(e) for x in e]
        self.logsumexp = self.max + self.log_sum
        self.log_p = [-mp.inf if s == mp.inf else -s - self.log_sum for s in self.below]
        self.sizes = [p * (1 + s) if p else p for p, s in zip(self.p, self.below, strict=True)]

    def pull(self, v):
        """Return p ⊙ (v − ⟨p, v⟩), the Jacobian of the softmax times v, and the sizes of its terms."""
        mean = total(p * x for p, x in zip(self.p, v, strict=True))
        size = 2 * max(abs(x) for x in v)
        return [p * (x - mean) for p, x in zip(self.p, v, strict=True)], [size * s for s in self.sizes]


def drawn_from(dtype):
    limit, limits = LIMIT[dtype], np.finfo(dtype)
    special = [0.0, -0.0, limit, -limit, -INF, float(limits.smallest_subnormal), float(limits.tiny), 88.7, -745.2, 1.0]
    width = 32 if dtype is np.float32 else 64
    wild = st.floats(-float(dtype(limit)), float(dtype(limit)), width=width)
    single = wild | st.floats(-40, 40, width=width) | st.sampled_from(special)
    rows = st.lists(single, min_size=1, max_size=6)
    steps = st.lists(st.integers(-3, 3), min_size=2, max_size=6)
    nearly_equal = st.tuples(wild, steps).map(lambda t: [t[0] * (1 + k * float(limits.eps)) for k in t[1]])
    masked = rows.map(lambda row: [x if i % 2 else -INF for i, x in enumerate(row)])
    return (rows | nearly_equal | masked).map(lambda row: np.clip(np.array(row, dtype), -INF, dtype(limit)))


def nasty(dtype):
    limit, limits = dtype(LIMIT[dtype]), np.finfo(dtype)
    tiny, eps = limits.smallest_subnormal, limits.eps
    return [
        np.array(row, dtype)
        for row in (
            [limit, -limit, 0],
            [-limit] * 3,
            [limit, limit, -limit, limit],
            [limit, limit * (1 - eps)],
            [-limit, -INF, -limit],
            [-INF],
            [-INF] * 4,
            [-INF, limit],
            [0, -INF, 0, -1],
            [tiny, -tiny, 0],
            [limits.tiny, tiny, -limits.tiny],
            [1, 1 + eps, 1 - eps],
            [0, -88, -100, -104],
            [0, -700, -740, -750],
            [0, -36, -37, -17],
            [np.log(dtype(0.5)), np.log(dtype(0.5))],
            [0],
            [limit],
        )
    ]


def for_rows(test):
    """Run the test for every nasty row, and for rows that Hypothesis draws, in both dtypes."""

    @every_dtype
    @given(data=st.data(), weights=st.lists(st.sampled_from([-2.0, -1.0, 0.0, 0.5, 1.0]), min_size=12, max_size=12))
    @example(data=None, weights=[1.0] + 11 * [0.0])
    @example(data=None, weights=[0.5, -2.0, 1.0, -1.0, 0.0, 2.0] * 2)
    def for_each(dtype, data, weights):
        for z in [data.draw(drawn_from(dtype))] if data else nasty(dtype):
            test(z, np.array(weights[: z.size], dtype), np.array(weights[-z.size :], dtype))

    for_each.__name__ = for_each.__qualname__ = test.__name__
    return for_each


def three_orders(f, z, g, w):
    """Return f(z), the gradient of ⟨g, f⟩, and that of ⟨w, gradient⟩, zeros where nothing depends on z."""
    z = leaf(z, z.dtype)
    out = f(z)
    (first,) = tg.grad(out, z, np.resize(g, out.shape), create_graph=True)
    (backwards,) = tg.grad(f(z), z, np.resize(g, out.shape))
    np.testing.assert_array_equal(first.data, backwards.data)
    assert out.dtype == first.dtype == z.dtype
    if not first.requires_grad:
        return out.data, first.data, np.zeros_like(z.data)
    (second,) = tg.grad(first, z, np.resize(w, z.shape), allow_unused=True)
    return out.data, first.data, np.zeros_like(z.data) if second is None else second.data


@for_rows
def test_softmax(z, g, w):
    row, v, u = ExactRow(z), exact(g), exact(w)
    value, first, second = three_orders(tg.softmax, z, g, w)
    assert_close(value, row.p, row.sizes)
    pulled, sizes = row.pull(v)
    assert_close(first, pulled, sizes)
    mean = total(p * x for p, x in zip(row.p, v, strict=True))
    mean_of_both = total(x * y for x, y in zip(u, pulled, strict=True))
    weight = total(p * x for p, x in zip(row.p, u, strict=True))
    expected = [
        p * (u_l * (v_l - mean) - mean_of_both) - weight * p_l
        for p, u_l, v_l, p_l in zip(row.p, u, v, pulled, strict=True)
    ]
    assert_close(second, expected, [4 * max(map(abs, u)) * s for s in sizes])


@for_rows
def test_log_softmax(z, g, w):
    row, v, u = ExactRow(z), exact(g), exact(w)
    value, first, second = three_orders(tg.log_softmax, z, g, w)
    # The logarithm of a sum near 1 is as exact as the sum: 1 is the size of its largest term
    assert_close(value, row.log_p, [1 + abs(x) for x in row.log_p])
    weight = total(v)
    sizes = [abs(x) + s * total(map(abs, v)) for x, s in zip(v, row.sizes, strict=True)]
    expected = [(0 if row.masked else x) - p * weight for x, p in zip(v, row.p, strict=True)]
    assert_close(first, expected, sizes)
    pulled, sizes = row.pull(u)
    assert_close(second, [-weight * x for x in pulled], [total(map(abs, v)) * s for s in sizes])


@for_rows
def test_logsumexp(z, g, w):
    row, v, u = ExactRow(z), exact(g)[0], exact(w)
    for axis in (None, -1):
        value, first, second = three_orders(lambda z, axis=axis: tg.logsumexp(z, axis=axis), z, g[:1], w)
        assert_close(value, [row.logsumexp], [1 + abs(row.max)])
        assert_close(first, [v * p for p in row.p], [abs(v) * s for s in row.sizes])
        pulled, sizes = row.pull(u)
        assert_close(second, [v * x for x in pulled], [abs(v) * s for s in sizes])


@for_rows
def test_cross_entropy_of_labels(z, g, w):
    row, u = ExactRow(z), exact(w)
    label = int(np.argmax(g))
    value, first, second = three_orders(lambda z: cross_entropy(z.reshape(1, -1), np.array([label])), z, np.ones(1), w)
    assert_close(value, [-row.log_p[label]], [1 + abs(row.log_p[label])])
    y = [mp.mpf(i == label and not row.masked) for i in range(z.size)]
    assert_close(
        first, [p - t for p, t in zip(row.p, y, strict=True)], [s + t for s, t in zip(row.sizes, y, strict=True)]
    )
    assert_close(second, *row.pull(u))


@for_rows
def test_cross_entropy_of_probabilities(z, g, w):
    row, u = ExactRow(z), exact(w)
    y = np.where(np.isinf(z), 0, np.abs(g))  # 0·(−∞) is 0
    value, first, second = three_orders(lambda z: cross_entropy(z.reshape(1, -1), y.reshape(1, -1)), z, np.ones(1), w)
    terms = [-t * x for t, x in zip(exact(y), row.log_p, strict=True) if t]
    assert_close(value, [total(terms)], [total(map(abs, terms)) + total(exact(y))])
    mass = total(exact(y))
    expected = [p * mass - t for p, t in zip(row.p, exact(y), strict=True)]
    assert_close(first, expected, [s * mass + t for s, t in zip(row.sizes, exact(y), strict=True)])
    pulled, sizes = row.pull(u)
    assert_close(second, [mass * x for x in pulled], [mass * s for s in sizes])
    if not (row.masked or np.isinf(z).any()):
        target = leaf(y.reshape(1, -1), y.dtype)
        (of_target,) = tg.grad(cross_entropy(z.reshape(1, -1), target), target)
        assert_close(of_target.data, [-x for x in row.log_p], [1 + abs(x) for x in row.log_p])


@every_dtype
def test_a_batch_of_all_the_nasty_rows_at_once(dtype):
    width = max(row.size for row in nasty(dtype))
    z = np.array([np.pad(row, (0, width - row.size), constant_values=-INF) for row in nasty(dtype)])
    rows = [ExactRow(row) for row in z]
    labels = z.argmax(axis=1)
    for kept in (np.isfinite(z).any(axis=1), np.ones(len(z), bool)):
        t = leaf(z[kept], dtype)
        loss = cross_entropy(t, labels[kept])
        (gradient,) = tg.grad(loss, t)
        chosen = [(row, label) for row, label, keep in zip(rows, labels, kept, strict=True) if keep]
        losses = [-row.log_p[label] for row, label in chosen]  # ∞ in a row of which all is masked
        assert_close(loss.data, [total(losses) / len(losses)], [1 + total(losses)])
        expected = [
            (p - (i == label and not row.masked)) / len(losses) for row, label in chosen for i, p in enumerate(row.p)
        ]
        assert_close(gradient.data, expected, [size + 1 for row, _ in chosen for size in row.sizes])
    assert_close(tg.softmax(z), [p for row in rows for p in row.p], [size for row in rows for size in row.sizes])
    assert_close(tg.logsumexp(z, axis=1), [row.logsumexp for row in rows], [1 + abs(row.max) for row in rows])


def logistic(x):
    return 1 / (1 + mp.exp(-x)) if x > -1e5 else mp.mpf(0)


def numbers(dtype, largest, *special):
    width = 32 if dtype is np.float32 else 64
    largest = float(dtype(largest))
    limits = np.finfo(dtype)
    points = [0.0, -0.0, limits.smallest_subnormal, -limits.smallest_subnormal, limits.tiny, limits.eps, *special]
    points += [largest, -largest]
    drawn = st.floats(-largest, largest, width=width) | st.floats(-40, 40, width=width)
    return np.array(points, dtype), drawn


def for_numbers(largest, *special):
    """Run the test for the fixed numbers, and for lists that Hypothesis draws, in both dtypes."""

    def decorated(test):
        @every_dtype
        @given(data=st.data())
        @example(data=None)
        def for_each(dtype, data):
            points, drawn = numbers(dtype, largest.get(dtype) if isinstance(largest, dict) else largest, *special)
            test(np.array(data.draw(st.lists(drawn, min_size=1, max_size=4)), dtype) if data else points)

        for_each.__name__ = for_each.__qualname__ = test.__name__
        return for_each

    return decorated


@for_numbers(LIMIT, -745.0, -100.0, -88.0, -30.0, 17.0, 36.0, 37.0, 700.0)
def test_sigmoid(x):
    value, first, second = three_orders(tg.sigmoid, x, np.ones(1), np.ones(1))
    s = [logistic(t) for t in exact(x)]
    others = [logistic(-t) for t in exact(x)]
    assert_close(value, s, s, ulps=3)
    assert_close(first, [a * b for a, b in zip(s, others, strict=True)], s, ulps=3)
    assert_close(second, [a * b * (b - a) for a, b in zip(s, others, strict=True)], s, ulps=6)


@for_numbers(LIMIT, -745.0, -100.0, -88.0, -30.0, 17.0, 36.0, 37.0, 700.0)
def test_softplus(x):
    value, first, second = three_orders(tg.softplus, x, np.ones(1), np.ones(1))
    s = [logistic(t) for t in exact(x)]
    values = [max(t, 0) + (mp.log1p(mp.exp(-abs(t))) if abs(t) < 1e5 else 0) for t in exact(x)]
    assert_close(value, values, values, ulps=3)
    assert_close(first, s, s, ulps=3)
    assert_close(second, [a * logistic(-t) for a, t in zip(s, exact(x), strict=True)], s, ulps=3)


@for_numbers({np.float32: 80, np.float64: 700}, 1e-8, -1e-8, 1e-20, 1e-3)
def test_expm1(x):
    value, first, second = three_orders(tg.expm1, x, np.ones(1), np.ones(1))
    assert_close(value, map(mp.expm1, exact(x)), [abs(mp.expm1(t)) for t in exact(x)], ulps=3)
    sizes = [max(1, mp.exp(t)) for t in exact(x)]
    for derivative in (first, second):
        assert_close(derivative, map(mp.exp, exact(x)), sizes, ulps=3)


@for_numbers({np.float32: 1e37, np.float64: 1e300}, 1e-8, 1e-20, 1e-3)
def test_log1p(x):
    x = np.abs(x)
    x[::2] = -x[::2] / (1 + x[::2])  # in (−1, 0)
    x = np.maximum(x, -0.999).astype(x.dtype)
    value, first, _ = three_orders(tg.log1p, x, np.ones(1), np.ones(1))
    values = [mp.log1p(t) for t in exact(x)]
    assert_close(value, values, map(abs, values), ulps=3)
    slopes = [1 / (1 + t) for t in exact(x)]
    assert_close(first, slopes, [t * max(1, t) for t in slopes], ulps=3)


def exact_gelu(x):
    """Return gelu(x), its derivative, and the sizes of what is added in each: x σ(v), v = √(8/π) (x + 0.044715 x³)."""
    c, k = mp.sqrt(8 / mp.pi), mp.mpf(0.044715)
    v, slope = c * (x + k * x**3), c * (1 + 3 * k * x**2)
    s, other = logistic(v), logistic(-v)
    wide = s * (1 + abs(v)) if abs(v) < 1e5 else s  # the rounding of v is raised, where it is not cut off
    bend = abs(x * slope) if abs(v) < 1e5 else 0
    return x * s, s + x * s * other * slope, abs(x) * wide, wide * (1 + bend)


@for_numbers({np.float32: 1e37, np.float64: 1e300}, -13.0, -5.0, -0.75, 2.5, 6.0, 30.0, -30.0, 31.0, -31.0, 1e5, -1e5)
def test_gelu(x):
    value, first, second = three_orders(tg.gelu, x, np.ones(1), np.ones(1))
    values, slopes, sizes, sizes_of_slopes = zip(*map(exact_gelu, exact(x)), strict=True)
    assert_close(value, values, sizes)
    assert_close(first, slopes, sizes_of_slopes, subnormals=2500)  # x v′ is so large where σ underflows
    assert np.isfinite(second).all()
    np.testing.assert_array_equal(second[np.abs(x) > 30], 0)


@every_dtype
@pytest.mark.parametrize("sign", [1, -1])
@given(x=st.lists(st.floats(1, 10, width=32) | st.sampled_from([0.0, -2.0]), min_size=1, max_size=6), v=st.data())
def test_norm_of_huge_and_tiny_vectors(dtype, sign, x, v):
    scale = {np.float32: 30, np.float64: 200}[dtype] * sign
    x = (np.array(x) * 10.0**scale).astype(dtype)
    w = np.array(v.draw(st.lists(st.sampled_from([-1.0, 0.0, 1.0, 2.0]), min_size=6, max_size=6)))[: x.size]
    value, first, second = three_orders(tg.norm, x, np.ones(1), w)
    length = mp.sqrt(total(t * t for t in exact(x)))
    assert_close(value, [length], [length])
    if length == 0:
        np.testing.assert_array_equal([first, second], 0)
        return
    unit = [t / length for t in exact(x)]
    assert_close(first, unit, map(abs, unit))
    along = total(a * b for a, b in zip(unit, exact(w), strict=True))
    expected = [(b - a * along) / length for a, b in zip(unit, exact(w), strict=True)]
    assert_close(second, expected, [4 / length] * x.size)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("g", [1.0, 0.3, 1e-3])
def test_norm_of_subnormals(device, dtype, g):
    """There a gradient times the largest element would be rounded to few digits, or to 0."""
    smallest = float(np.finfo(dtype).smallest_subnormal)
    for whole in ([1], [3, 0, -4], [0, 1, 1], [1000, 7], [0, 0], [[1], [3000]]):
        x = tg.Tensor((np.array(whole) * smallest).astype(dtype), requires_grad=True, device=device)
        assert x.numpy().any() == np.any(whole)
        length = tg.norm(x)
        (gradient,) = tg.grad(length, x, tg.Tensor(dtype(g), device=device))
        exact_length = np.sqrt(np.square(whole).sum())
        eps = float(np.finfo(dtype).eps)
        assert length.dtype == gradient.dtype == dtype
        np.testing.assert_allclose(length.numpy() / smallest, exact_length, atol=0.5 + 4 * eps * exact_length)
        unit = np.array(whole) / (exact_length or 1)
        np.testing.assert_allclose(gradient.numpy(), float(dtype(g)) * unit, rtol=4 * eps, atol=smallest)


def test_norm_of_integers_is_of_double_precision():
    for dtype in (np.int8, np.uint8, np.int64, bool):
        x = np.array([3, 4, 0]).astype(dtype)
        assert tg.norm(x).dtype == np.float64
        np.testing.assert_allclose(tg.norm(x), np.linalg.norm(x), rtol=1e-15)
    assert tg.norm(np.array([-128], np.int8)) == 128  # of which int8 has no absolute value


@every_dtype
@pytest.mark.parametrize("ddof", [0, 1])
@given(
    offset=st.sampled_from([0.0, 1.0, 1e4, 1e6]),
    scale=st.sampled_from([-15, -3, 0, 3, 12]),
    x=st.lists(st.integers(-8, 8), min_size=2, max_size=6).filter(lambda x: len(set(x)) > 1),
)
def test_var_and_std_beside_a_large_mean_and_far_from_one(dtype, ddof, offset, scale, x):
    x = ((np.array(x) + offset) * 2.0 ** (3 * scale)).astype(dtype)
    values = exact(x)
    mean = total(values) / x.size
    n, centered = x.size - ddof, [t - mean for t in values]
    var = total(t * t for t in centered) / n
    # Two passes: the mean rounds, by eps times its size, and this enters the deviations
    slip = max(map(abs, values)) + max(map(abs, centered))
    deviation = mp.sqrt(var)
    value, first, _ = three_orders(lambda x: tg.var(x, ddof=ddof), x, np.ones(1), np.ones(1))
    assert_close(value, [var], [var + deviation * slip])
    assert_close(first, [2 * t / n for t in centered], [slip] * x.size)
    value, first, _ = three_orders(lambda x: tg.std(x, ddof=ddof), x, np.ones(1), np.ones(1))
    assert_close(value, [deviation], [deviation + slip])
    assert_close(first, [t / n / deviation for t in centered], [4 * slip / deviation] * x.size)
