"""Sums are as precise as their dtype, however many numbers they are of and however these lie in memory.

Half precision holds no whole number between 2048 and 2050, and none above 65,504: what adds ones in it stalls at the
first and overflows at the second. In float32, a million equal numbers that are added one after the other are 1 % off.
What the framework sums is formed in a wider dtype, and rounded once.
"""

import math

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import leaf
from tinygrad_sm import Tensor, nn, precision
from tinygrad_sm.engine.tape import data_of
from tinygrad_sm.nn import functional
from tinygrad_sm.ops import indexing
from tinygrad_sm.precision import sum_dtype, total

LENGTHS = [1000, 2049, 5000, 70_000]
ROUNDED_ONCE = {"rtol": 1.1 * 2.0**-11, "atol": 1.1 * 2.0**-25}  # half a unit in the last place of float16
LAYOUTS = {
    "C": lambda x: x,
    "Fortran": np.asfortranarray,
    "sliced": lambda x: np.repeat(np.repeat(x, 2, 0), 2, 1)[::2, ::2],
    "reversed": lambda x: np.ascontiguousarray(x[::-1, ::-1])[::-1, ::-1],
    "transposed": lambda x: np.ascontiguousarray(x.T).T,
    "one column of many": lambda x: np.repeat(x[:, :1], 3, 1)[:, :1],
}
every_length = pytest.mark.parametrize("n", LENGTHS)
every_layout = pytest.mark.parametrize("layout", LAYOUTS)


def halves(n, layout="C", columns=3):
    """Return n rows of numbers from 0 to 1/2, whose sums are in the range of float16."""
    return LAYOUTS[layout]((np.random.default_rng(n).random((n, columns)) / 2).astype(np.float16))


def exact_softmax(x, axis):
    e = np.exp(x - x.max(axis=axis, keepdims=True))
    return e / e.sum(axis=axis, keepdims=True)


OF_ROWS = {
    "sum": (tg.sum, np.sum),
    "mean": (tg.mean, np.mean),
    "var": (tg.var, np.var),
    "std": (tg.std, np.std),
    "norm": (lambda x, axis: tg.norm(x, axis=axis), lambda x, axis: np.sqrt(np.square(x).sum(axis=axis))),
    "cumsum": (tg.cumsum, np.cumsum),
    "logsumexp": (tg.logsumexp, lambda x, axis: np.log(np.exp(x).sum(axis=axis))),
    "softmax": (tg.softmax, exact_softmax),
    "log_softmax": (tg.log_softmax, lambda x, axis: np.log(exact_softmax(x, axis))),
    "nn.functional.softmax at a temperature": (
        lambda x, axis: functional.softmax(x, axis, temperature=2.0),
        lambda x, axis: exact_softmax(x / 2, axis),
    ),
    "sum of an einsum": (lambda x, axis: tg.einsum("ij->j" if axis == 0 else "ij->", x), np.sum),
    "sum of products": (
        lambda x, axis: tg.einsum("ij,ij->j" if axis == 0 else "ij,ij->", x, x),
        lambda x, axis: np.square(x).sum(axis=axis),
    ),
}
every_op = pytest.mark.parametrize("op", OF_ROWS)


@every_length
@every_layout
@pytest.mark.parametrize(
    ("op", "axis"), [(op, axis) for op in OF_ROWS for axis in (0, None) if axis == 0 or "nn" not in op]
)
def test_half_precision_is_rounded_once(op, axis, layout, n):
    f, exact = OF_ROWS[op]
    x = halves(n, layout)
    for given in (x, Tensor(x)):
        out = f(given, axis=axis)
        assert out.dtype == np.float16
        out = out.data if isinstance(out, Tensor) else out
        np.testing.assert_allclose(out.astype(np.float64), exact(x.astype(np.float64), axis=axis), **ROUNDED_ONCE)


@pytest.mark.parametrize("op", [name for name in OF_ROWS if name not in ("sum of products",)])
@pytest.mark.parametrize("layout", ["C", "Fortran", "sliced"])
def test_half_precision_on_every_device(op, layout, device):
    f, exact = OF_ROWS[op]
    x = halves(5000, layout)
    out = f(Tensor(x, device=device), axis=0)
    assert out.dtype == np.float16
    np.testing.assert_allclose(out.numpy().astype(np.float64), exact(x.astype(np.float64), axis=0), **ROUNDED_ONCE)


@every_length
@pytest.mark.parametrize("layout", ["C", "Fortran"])
@every_op
def test_gradients_of_half_precision_are_those_of_float64(op, layout, n):
    """That those are right is shown elsewhere: there is no sum in them that the dtype would make wrong."""
    f, _ = OF_ROWS[op]
    x = halves(n, layout)
    found, expected = [], []
    for dtype, gradients in ((np.float16, found), (np.float64, expected)):
        t = Tensor(x.astype(dtype), requires_grad=True)
        out = f(t, axis=0)
        g = np.random.default_rng(0).random(out.shape).astype(np.float16).astype(dtype)
        (first,) = tg.grad(out, t, g, create_graph=True)
        (unrecorded,) = tg.grad(f(t, axis=0), t, g)
        gradients += [first, unrecorded]
    for half, double in zip(found, expected, strict=True):
        assert half.dtype == np.float16
        lost = 2e-6 * np.abs(double.data).max()  # where differences of float32 cancel
        np.testing.assert_allclose(half.data, double.data, rtol=2e-3, atol=2.0**-24 + lost)


BROADCASTS = {
    "a row": lambda b, n: np.zeros((n, 3), b.dtype) + b,
    "a row among many axes": lambda b, n: np.zeros((n // 3 + 1, 1, 3, 3), b.dtype) * 0 + b,
    "a column": lambda b, n: np.zeros((3, n), b.dtype) + b.reshape((3, 1)),
    "a number": lambda b, n: np.zeros(n, b.dtype) + b[0] + b[1] + b[2],
    "broadcast_to": lambda b, n: tg.broadcast_to(b, (n, 3)),
    "a product": lambda b, n: np.ones((n, 3), b.dtype) * b,
    "a bias": lambda b, n: functional.linear(np.zeros((n, 2), b.dtype), np.zeros((3, 2), b.dtype), b),
    "a bias of many axes": lambda b, n: functional.linear(
        np.zeros((n // 3 + 1, 3, 2), b.dtype), np.zeros((3, 2), b.dtype), b
    ),
    "a matrix among many": lambda b, n: np.ones((n, 1, 1), b.dtype) @ b.reshape((1, 3)),
    "rows taken": lambda b, n: b.reshape((1, 3))[np.zeros(n, int)],
    "rows taken by an index of two axes": lambda b, n: b.reshape((1, 3))[np.zeros((n // 3 + 1, 3), int)],
    "rows taken by pairs": lambda b, n: b.reshape((1, 3))[np.zeros((n, 1), int), np.arange(3)],
    "rows taken by a list": lambda b, n: b.reshape((1, 3))[[0] * n],
    "einsum": lambda b, n: tg.einsum("ij,j->ij", np.ones((n, 3), b.dtype), b),
    "einsum of products": lambda b, n: tg.einsum("ij,ij->ij", np.ones((n, 3), b.dtype), tg.broadcast_to(b, (n, 3))),
}
every_broadcast = pytest.mark.parametrize("broadcast", BROADCASTS)


@pytest.mark.parametrize("create_graph", [False, True], ids=["plain", "recorded"])
@every_length
@every_broadcast
def test_the_gradient_of_what_is_repeated_in_half_precision(broadcast, n, create_graph):
    b = leaf([1.0, 2.0, 3.0], np.float16)
    out = BROADCASTS[broadcast](b, n)
    g = np.full(out.shape, 0.25, np.float16)
    (found,) = tg.grad(out, b, g, create_graph=create_graph)
    assert found.dtype == np.float16
    each = out.size / (1 if broadcast == "a number" else 3)
    np.testing.assert_allclose(found.data, np.full(3, each / 4), **ROUNDED_ONCE)


@pytest.mark.parametrize("name", ["softmax", "sparsemax", "entmax15"])
@every_layout
@every_length
def test_the_xmax_family_of_many_halves_is_a_distribution(n, layout, name):
    p = getattr(functional, name)(Tensor(halves(n, layout)), 0)
    np.testing.assert_allclose(p.data.astype(np.float64).sum(axis=0), 1, rtol=2e-3)


@pytest.mark.parametrize("layer", [nn.Softmax(0), nn.LogSoftmax(0)], ids=["Softmax", "LogSoftmax"])
def test_layers_of_5000_halves(layer):
    p = layer(Tensor(np.zeros((5000, 2), np.float16)))
    np.testing.assert_allclose(p.data, 1 / 5000 if type(layer) is nn.Softmax else -math.log(5000), **ROUNDED_ONCE)


def test_the_gradient_of_log_softmax_of_many_halves():
    x = leaf(np.zeros(70_000), np.float16)
    tg.log_softmax(x).backward(np.ones(70_000, np.float16))  # 1 − p Σ g: the sum is more than float16 holds
    np.testing.assert_allclose(x.grad, 0, atol=1e-3)


@pytest.mark.parametrize("axis", [0, 1])
def test_the_deviation_of_halves_whose_squares_are_out_of_range(axis):
    x = np.array([[-300.0, 300.0], [1e-4, -1e-4], [0, 0]], np.float16)
    x = x if axis == 1 else x.T
    t = Tensor(x, requires_grad=True)
    out = tg.std(t, axis=axis)
    np.testing.assert_allclose(out.data, [300, 1e-4, 0], **ROUNDED_ONCE)
    out.backward(np.ones(3, np.float16))
    rows = t.grad if axis == 1 else t.grad.T
    np.testing.assert_allclose(rows, [[-0.5, 0.5], [0.5, -0.5], [0, 0]], rtol=2e-3)


SMALLEST = {np.float16: 6e-8, np.float32: 1e-45, np.float64: 5e-324}


@pytest.mark.parametrize("dtype", SMALLEST)
def test_norm_of_subnormal_numbers(dtype, device):
    least = dtype(SMALLEST[dtype])
    for scale in (least, dtype(1000) * least, np.finfo(dtype).tiny, np.sqrt(np.finfo(dtype).tiny)):
        x = Tensor(np.array([scale, 0, 0], dtype), requires_grad=True, device=device)
        out = tg.norm(x)
        assert out.item() == scale
        out.backward()
        np.testing.assert_allclose(Tensor(x.grad).numpy(), [1, 0, 0], rtol=1e-3 if dtype is np.float16 else 1e-6)
        pair = Tensor(np.array([3, 4], dtype) * scale, requires_grad=True, device=device)
        tg.norm(pair).backward()
        np.testing.assert_allclose(Tensor(pair.grad).numpy(), [0.6, 0.8], rtol=1e-3 if dtype is np.float16 else 1e-6)


def test_einsum_of_few_halves():
    x = halves(1000, columns=2)  # so few that NumPy plans no products of matrices, which are formed in float32
    exact = np.square(x.astype(np.float64)).sum(axis=0)
    np.testing.assert_allclose(tg.einsum("ij,ij->j", x, x), exact, **ROUNDED_ONCE)


def of_gradients(*gradients):
    parameters = [nn.Parameter(np.zeros(g.shape, g.dtype)) for g in gradients]
    for parameter, g in zip(parameters, gradients, strict=True):
        parameter.grad = g.copy()
    return parameters


@every_length
@pytest.mark.parametrize("size", [0.01, 1.0, 6e4])
def test_clip_grad_norm_of_halves(n, size):
    g = np.full(n, size, np.float16)
    parameters = of_gradients(g, g.astype(np.float32))
    exact = float(g[0]) * math.sqrt(2 * n)
    assert nn.clip_grad_norm(parameters, 1.0).item() == pytest.approx(exact, rel=1e-5)
    assert [p.grad.dtype for p in parameters] == [np.float16, np.float32]
    for p in parameters:
        np.testing.assert_allclose(p.grad, float(g[0]) / max(exact, 1), rtol=1e-3)


@pytest.mark.parametrize("p", [0.5, 1 - 1e-5, 1 - 1e-7])
def test_dropout_of_halves_at_any_probability(p, device):
    tg.manual_seed(0)
    x = Tensor(np.full(1_000_000, 1e-3, np.float16), requires_grad=True, device=device)
    out = nn.Dropout(p)(x)
    out.backward(Tensor(np.full(x.shape, 1e-3, np.float16), device=device).data)
    for found in (out.numpy(), Tensor(x.grad).numpy()):
        assert found.dtype == np.float16
        kept = found[found != 0]
        assert 0.3 < len(kept) / (1e6 * (1 - p)) < 30 if p < 1 - 1e-6 else len(kept) < 30
        np.testing.assert_allclose(kept, float(np.float16(1e-3)) / (1 - p), rtol=1e-3)


# Long sums in float32.

MILLION = 1_000_000
LONG = {
    "leading axis": ((MILLION, 3), 0),
    "leading axis, from behind": ((MILLION, 3), -2),
    "two leading axes": ((1000, 1000, 3), (0, 1)),
    "an axis in the middle": ((2, MILLION // 2, 2), 1),
    "all axes": ((MILLION, 3), None),
    "all axes, named": ((MILLION, 3), (1, 0)),
    "last axis": ((3, MILLION), 1),
    "a row": ((MILLION,), 0),
    "a column": ((MILLION, 1), 0),
}
LONG_LAYOUTS = {
    "C": lambda x: x,
    "Fortran": np.asfortranarray,
    "sliced": lambda x: np.repeat(x, 2, -1)[..., ::2],
    "broadcast": lambda x: np.broadcast_to(x.reshape(-1)[0], x.shape),
}
LONG_OPS = {
    "sum": (tg.sum, lambda c, n: n * c),
    "mean": (tg.mean, lambda c, n: c),
    "norm": (lambda x, axis: tg.norm(x, axis=axis), lambda c, n: math.sqrt(n) * c),
    "logsumexp": (tg.logsumexp, lambda c, n: c + math.log(n)),
}
VALUES = [1 / 3e6, 0.1, 1 / 3, 0.7]  # added one after the other, a million of each are from 0.1 % to 1 % off


@pytest.mark.parametrize("layout", LONG_LAYOUTS)
@pytest.mark.parametrize("where", LONG)
@pytest.mark.parametrize("op", LONG_OPS)
def test_long_sums_in_float32(op, where, layout):
    f, exact = LONG_OPS[op]
    shape, axis = LONG[where]
    for value in VALUES[::3]:
        x = LONG_LAYOUTS[layout](np.full(shape, value, np.float32))
        out = f(x, axis=axis)
        assert out.dtype == np.float32
        expected = exact(float(np.float32(value)), x.size / np.size(out))
        np.testing.assert_allclose(out, expected, rtol=1e-5)


@pytest.mark.parametrize("value", VALUES)
def test_other_long_sums_in_float32(value):
    x = np.full((MILLION, 3), value, np.float32)
    c = float(np.float32(value))
    np.testing.assert_allclose(tg.cumsum(x, axis=0)[[9, MILLION - 1]], [[10 * c] * 3, [MILLION * c] * 3], rtol=1e-5)
    np.testing.assert_allclose(tg.einsum("ij->j", x), MILLION * c, rtol=1e-5)
    np.testing.assert_allclose(tg.einsum("ij,ij->j", x, x), MILLION * c**2, rtol=1e-5)
    np.testing.assert_allclose(tg.softmax(x, axis=0), 1 / MILLION, rtol=1e-5)
    np.testing.assert_allclose(tg.log_softmax(x, axis=0), -math.log(MILLION), rtol=1e-5)
    x[::2] *= 0.6
    np.testing.assert_allclose(tg.norm(x, axis=0), c * math.sqrt(MILLION * 1.36 / 2), rtol=1e-5)
    np.testing.assert_allclose(tg.var(x, axis=0), (c / 5) ** 2, rtol=1e-5)
    np.testing.assert_allclose(tg.std(x, axis=0), c / 5, rtol=1e-5)


@pytest.mark.parametrize(("name", "behind"), [("sparsemax", 1e-6), ("entmax15", 1e-3)])
def test_distributions_over_many_floats(name, behind):
    z = np.zeros((200_000, 2), np.float32)
    z[::2] = -behind  # all have a share still
    for given in (z, Tensor(z)):
        p = getattr(functional, name)(given, 0)
        assert (data_of(p) > 0).all()
        np.testing.assert_allclose(data_of(p).sum(axis=0, dtype=np.float64), 1, rtol=1e-5)


def test_cross_entropy_of_many_classes_that_lie_class_by_class():
    classes = 60_000  # a block of two examples
    target = np.asfortranarray(np.full((2, classes), 1 / classes, np.float32))
    loss = functional.cross_entropy(np.zeros((2, classes), np.float32), target)
    np.testing.assert_allclose(loss, math.log(classes), rtol=1e-5)


def test_the_recorded_gradient_of_a_loss_of_halves():
    logits = leaf([[8.0, 0, 0], [0, 7, 1]], np.float16)
    (recorded,) = tg.grad(functional.cross_entropy(logits, np.array([0, 1])), logits, create_graph=True)
    z = logits.data.astype(np.float64)
    exact = (exact_softmax(z, 1) - np.eye(3)[:2]) / 2
    np.testing.assert_allclose(recorded.data, exact, rtol=2e-3)


@pytest.mark.parametrize("create_graph", [False, True], ids=["plain", "recorded"])
@every_broadcast
def test_the_gradient_of_what_is_repeated_a_million_times(broadcast, create_graph):
    b = leaf([1.0, 2.0, 3.0], np.float32)
    out = BROADCASTS[broadcast](b, MILLION)
    g = np.full(out.shape, 1 / 3e6, np.float32)
    (found,) = tg.grad(out, b, g, create_graph=create_graph)
    assert found.dtype == np.float32
    each = out.size / (1 if broadcast == "a number" else 3)
    np.testing.assert_allclose(found.data, np.full(3, each * float(g.flat[0])), rtol=1e-5)


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_the_sum_of_numpy_itself_is_not_so_precise(dtype, monkeypatch):
    """The negative control: without the wider dtype, what these tests look at is wrong."""
    monkeypatch.setattr(precision, "sum_dtype", lambda x, axis=None, in_turn=None: None)
    monkeypatch.setattr(indexing, "sum_dtype", lambda x, axis=None, in_turn=None: None)
    n = 5000 if dtype is np.float16 else MILLION
    g = np.full((n, 3), 0.7, dtype)
    assert abs(total(g, axis=0)[0] / (n * float(g[0, 0])) - 1) > 5e-3
    assert abs(indexing.scatter_add(g, (1, 3), np.zeros(n, int))[0, 0] / (n * float(g[0, 0])) - 1) > 5e-3


def test_short_sums_and_other_dtypes_cost_nothing():
    for shape in [(1024, 784), (128, 10), (1, 1024, 3)]:
        x = np.random.default_rng(0).random(shape, np.float32)
        assert sum_dtype(x, tuple(range(x.ndim - 1))) is None
        np.testing.assert_array_equal(tg.sum(x, axis=-2), x.sum(axis=-2))
    for dtype in (np.float64, np.longdouble, np.complex64, np.int32, bool):
        x = np.ones((5000, 3), dtype)
        assert sum_dtype(x, 0) is None
        assert total(x, 0).dtype == x.sum(axis=0).dtype
    side_by_side = np.ones((2, 5000), np.float32)
    assert [sum_dtype(side_by_side, axis) for axis in (1, -1, (1,), None, (0, 1))] == [None] * 5
    assert sum_dtype(side_by_side.T, 0) is None
    assert sum_dtype(side_by_side[:, ::2], 1) is np.float64
    assert sum_dtype(np.ones((1025, 3), np.float32), 0) is np.float64
    assert sum_dtype(np.ones((1024, 3), np.float16), 0) is np.float32


@pytest.mark.parametrize("axis", [2, -3, (0, 2)])
@pytest.mark.parametrize("op", ["sum", "mean", "var", "norm"])
def test_an_axis_that_is_not_there_is_numpys_error(op, axis):
    with pytest.raises(np.exceptions.AxisError, match="out of bounds"):
        getattr(tg, op)(np.ones((2000, 3), np.float32), axis=axis)


# What NumPy adds one after the other though the axis has the smallest stride: another has it too, or 0.


@pytest.mark.parametrize(
    "layout",
    [
        lambda v: np.broadcast_to(v[:, None], (len(v), 3)),
        lambda v: np.lib.stride_tricks.sliding_window_view(v, 3),
        lambda v: np.broadcast_to(v[None, :, None], (2, len(v), 3))[0],
    ],
    ids=["broadcast", "windows", "broadcast twice"],
)
@pytest.mark.parametrize("operation", [tg.sum, tg.mean])
def test_long_sums_where_two_axes_share_the_smallest_stride(layout, operation):
    x = layout(np.full(1_000_000, 0.1, np.float32))
    right = np.sum(x, axis=0, dtype=np.float64) / (1 if operation is tg.sum else len(x))
    np.testing.assert_allclose(operation(x, axis=0), right, rtol=1e-6)


def test_the_bias_gradient_of_a_mean_over_classes():
    N = 1_000_000
    b, w = leaf(np.zeros(3), np.float32), np.full(N, 0.1, np.float32)
    ((np.zeros((N, 3), np.float32) + b).sum(axis=1) * w).sum().backward()
    np.testing.assert_allclose(b.grad, [100_000] * 3, rtol=1e-5)


@pytest.mark.parametrize("uses", [3, 5000])
def test_gradients_of_many_uses_of_one_half_are_added_in_float32(uses):
    p = leaf(np.ones(1), np.float16)
    tg.concatenate([p] * uses).sum().backward()
    assert (p.grad.dtype, p.grad.tolist()) == (np.float16, [uses])
    (g,) = tg.grad(tg.concatenate([p] * uses).sum(), p, create_graph=True)
    assert (g.dtype, g.tolist()) == (np.float16, [uses])


@pytest.mark.parametrize("formula", ["i,j->j", "ij,k->k", "ij,jk->k"])
def test_sums_of_sums_in_einsum_are_rounded_once(formula):
    shapes = {"i": 700, "j": 100, "k": 1}
    first, second = formula.split("->")[0].split(",")
    a = np.ones([70_000 if formula == "i,j->j" else shapes[c] for c in first], np.float16)
    b = np.full([1 if formula == "i,j->j" else shapes[c] for c in second], 1e-3, np.float16)
    expected = np.einsum(formula, a.astype(np.float64), b.astype(np.float64))
    out = tg.einsum(formula, a, b)
    assert out.dtype == np.float16
    np.testing.assert_allclose(out, expected, rtol=1e-3)


@pytest.mark.parametrize("loss", [functional.sparsemax_loss, functional.entmax15_loss])
def test_probabilities_in_half_precision_are_computed_with_in_float32(loss):
    y = np.array([[0.89990234375, 0.10009765625], [0.75, 0.25]], np.float16)
    z = np.array([[0.5, 0.0], [1.0, -1.0]], np.float32)
    np.testing.assert_allclose(loss(z, y), loss(z.astype(float), y.astype(float)), rtol=1e-5)


def test_small_shares_of_halves_do_not_stall():
    C = 20_000
    z = np.random.default_rng(0).normal(size=(1, C)).astype(np.float32)
    y = np.zeros((1, C), np.float16)
    y[0, 3] = 1
    found = functional.cross_entropy(z, y, label_smoothing=0.1)
    np.testing.assert_allclose(
        found, functional.cross_entropy(z.astype(float), y.astype(float), label_smoothing=0.1), 1e-5
    )
    y = np.full(1000, 3e-4, np.float16)
    z = np.full(1000, 0.3, np.float32)
    found = functional.binary_cross_entropy_with_logits(z, y, reduction="sum")
    expected = functional.binary_cross_entropy_with_logits(z.astype(float), y.astype(float), reduction="sum")
    np.testing.assert_allclose(found, expected, rtol=1e-6)


OF_PRODUCTS = {
    "dot": (tg.dot, np.dot),
    "dot of a matrix": (lambda a, b: tg.dot(a.reshape((1, -1)), b), lambda a, b: np.dot(a[None], b)),
    "inner": (tg.inner, np.inner),
    "inner of matrices": (
        lambda a, b: tg.inner(a.reshape((1, -1)), b.reshape((1, -1))),
        lambda a, b: np.inner(a[None], b[None]),
    ),
    "tensordot": (lambda a, b: tg.tensordot(a, b, 1), np.dot),
    "trace": (lambda a, b: tg.trace(tg.diag(a[:300])), lambda a, b: a[:300].sum()),
}


@pytest.mark.parametrize("name", OF_PRODUCTS)
@every_length
def test_sums_of_products_of_halves_are_rounded_once(name, n, device):
    f, exact = OF_PRODUCTS[name]
    a, b = halves(n, columns=2).T.copy()
    out = f(Tensor(a, device=device), Tensor(b, device=device))
    assert out.dtype == np.float16
    expected = exact(a.astype(np.float64), b.astype(np.float64))
    np.testing.assert_allclose(out.numpy().astype(np.float64), expected, **ROUNDED_ONCE)
