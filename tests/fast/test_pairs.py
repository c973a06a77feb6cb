"""Each quicker form gives what the plain one gives: bit for bit, or within the bound that it was registered with.

A row calls a form as the package would, on arguments for which its condition holds, and returns the arrays that come of
it. Every pair has rows, and every row a pair.
"""

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import of_the_wing
from tinygrad_sm import Tensor, nn
from tinygrad_sm.dispatch import HAS_WING, PAIRS
from tinygrad_sm.engine.backward import first_gradient, seed_gradient
from tinygrad_sm.engine.tape import count_uses
from tinygrad_sm.engine.versions import NEVER_CHANGED, write_all
from tinygrad_sm.ops.linalg import linear
from tinygrad_sm.ops.softmax import cross_entropy
from tinygrad_sm.ops.standardization import standardize

RANDOM = np.random.default_rng(0)
LARGE = RANDOM.normal(size=(64, 80)).astype(np.float32)
LARGE[0, :4] = np.inf, -np.inf, np.nan, -0.0
MASK = RANDOM.random(LARGE.shape) < 0.5
INDEX = np.array([3, -1, 3, 0, -5])
ROWS = {}


def row(name, devices=("cpu",)):
    """Enter a function of a form, and of a device, that returns the arrays which come of it."""

    def enter(run):
        ROWS[name] = [pytest.param(name, run, device, id=f"{name}-{device}") for device in devices]
        return run

    return enter


@row("select")
def chosen(form, device):
    beside_0 = [form(MASK, values.astype(dtype), 0) for values in (LARGE, -LARGE) for dtype in ("f8", "f4", "f2")]
    beside_numbers = [
        form(mask, *operands)
        for x in (LARGE, LARGE.astype("f8"), np.asfortranarray(LARGE.astype("f2")))
        for mask in (MASK, MASK[:1], MASK[:, :1], np.array(True))
        for number in (-np.inf, np.inf, -0.0, 0.0, -30, 3.5)
        for operands in ((x, number), (number, x))
    ]
    signs = np.signbit(form(MASK, LARGE, -0.0))  # to == it is 0
    return [*beside_0, form(MASK, 0, LARGE), *beside_numbers, signs]


@row("cube")
def cubes(form, device):
    return [form(x, b) for x in (LARGE, LARGE.astype(float), LARGE.T) for b in (3, 3.0)]


@row("sigmoid_without_branch")
def sigmoids(form, device):
    return [form(scale * LARGE.astype(dtype)) for scale in (1, -1, 100) for dtype in ("f4", "f8")]


def logits_and_labels(N, C, dtype):
    return RANDOM.normal(0, 5, (N, C)).astype(dtype), RANDOM.integers(0, C, N)


@row("cross_entropy_in_one_array")
def losses(form, device):
    found = []
    for N, C, dtype in ((1, 1, "f8"), (128, 10, "f4"), (7, 149, "f8"), (7, 150, "f4"), (400, 700, "f2"), (5, 4, int)):
        z, y = logits_and_labels(N, C, dtype)
        for same in (z, np.asfortranarray(z), z[::-1]):
            found += form(same, y.astype(np.int16), -100)
        z = z.astype(float)
        z[0, 0] = -np.inf
        found += form(z, np.minimum(y + 1, C - 1), -100)
    return found


@row("cross_entropy_in_four_launches", devices=["cuda"])
def losses_on_a_gpu(form, device):
    found = []
    for N, C, dtype in ((1, 1, np.float64), (128, 10, np.float32), (7, 64, np.float32), (5, 4, np.float16)):
        z, y = logits_and_labels(N, C, dtype)
        z[0] = -np.inf
        for labels in (y, np.where(y == 0, -100, y), y - 1, y + 1):
            found += form(Tensor(z, device="cuda").data, Tensor(labels, device="cuda").data, -100)
    return found


@row("residual_without_masks")
def recipes(form, device):
    found = []
    for N, C, dtype in ((1, 1, "f8"), (12, 5, "f4"), (3, 4, "f2")):
        z, y = logits_and_labels(N, C, dtype)
        x = Tensor(z, requires_grad=True)
        first = form(x, y, -100)
        found += [first.data, *(g.data for g in tg.grad((first**2).sum(), x))]
    return found


@row("residual_itself")
def products_by_g(form, device):
    z, y = logits_and_labels(6, 4, float)
    loss = cross_entropy(Tensor(z, requires_grad=True), y)
    gs = [seed_gradient(loss, None), np.array(2.0)]
    return [form(g, loss.data, z, y, ignored=-100, saved=loss.node.saved) for g in gs]


@row("einsum_unplanned")
def sums_of_products(form, device):
    a, b, c = RANDOM.normal(size=(4, 5)), RANDOM.normal(size=(5, 6)), RANDOM.normal(size=(6, 4)).astype(np.float32)
    return [form(a, b, formula="ij,jk->ik"), form(a, b, c, formula="ij,jk,ki->j"), form(c, formula="ij->ji")]


@row("linear_of_all_rows")
def affine_maps(form, device):
    x, w, b = (RANDOM.normal(size=shape) for shape in ((2, 3, 4), (5, 4), 5))
    single = [a.astype(np.float32) for a in (x, w.T.copy().T, b)]
    return [form(x, w, b), form(x, w, None), form(*single), form(x[:, None], np.asfortranarray(w), b)]


@row("gradient_of_all_rows")
def gradients_of_affine_maps(form, device):
    g, w = RANDOM.normal(size=(2, 3, 5)), RANDOM.normal(size=(5, 4))
    return [form(g, None, None, w, None), form(g[None], None, None, w[:, :1], None)]


@row("gradient_of_bias")
def gradients_of_biases(form, device):
    gs = [RANDOM.normal(size=shape) + 1 for shape in ((1024, 5), (8, 128, 4), (64, 64))]
    return [form(g.astype(dtype), None, None, None, None) for g in gs for dtype in (np.float64, np.float32)]


STANDARDIZED = [
    (RANDOM.normal(size=shape).astype(dtype) + offset, axis)
    for shape, axis in (((4, 6), -1), ((3, 1024), (1,)), ((2, 3, 4), (-2, -1)), ((5,), 0), ((0, 3), -1))
    for dtype, offset in ((np.float64, 0), (np.float32, 0), (np.float32, np.float32(100)))
]


@row("standardize_rows")
def standardized(form, device):
    return [part for x, axis in STANDARDIZED for part in form(x, axis, 0.01)]


@row("gradient_of_rows")
def gradients_of_rows(form, device):
    found = []
    for x, axis in STANDARDIZED:
        z, sigma = standardize.plain(x, axis, 0.01)
        for shape in (x.shape, x.shape[-1:]):
            g = np.broadcast_to(RANDOM.normal(size=shape).astype(x.dtype), x.shape)
            found.append(form(g, z, x, axis=axis, eps=0.01, saved=sigma))
    return found


@row("put_rows")
def rows_put(form, device):
    whole = [
        form(RANDOM.integers(-9, 9, (5, 2, 3)).astype(dtype), (6, 2, 3), INDEX) for dtype in (float, np.float16, int)
    ]
    few = [
        form(LARGE[1:6], (9, 80), INDEX.astype(np.int8)),
        form(LARGE[1:5].reshape(2, 2, 80), (9, 80), INDEX[:4].reshape(2, 2)),
    ]
    often = [np.arange(3000) % n for n in (2, 1000)]  # more often than float32 can bear, and less
    most = form(np.full((400_000, 1), 0.1, np.float32), (2, 1), np.arange(400_000) % 2)
    return [
        most,
        *whole,
        *few,
        *(form(RANDOM.random((3000, 2)).astype(dt), (1000, 2), i) for i in often for dt in ("f2", "f4", "f8")),
    ]


@row("pop_or_copy")
def left_in_leaves(form, device):
    found = {"own": np.ones((2, 3)), "view": np.arange(6.0).reshape(2, 3).T, "read-only": np.broadcast_to(2.0, (2,))}
    return [form(found, name) for name in list(found)]


@row("set_all_or_none")
def accumulated(form, device):
    first, second, third = (Tensor(np.ones(2), requires_grad=True) for _ in range(3))
    second.grad = np.array([1.0, -2.0])
    done = [form({first: np.array([3.0, 4.0]), third: np.zeros(2)}), form({second: np.array([0.5, np.inf])})]
    return [*done, first.grad, second.grad, third.grad]


@row("shared_one")
def first_gradients(form, device):
    roots = [
        Tensor(np.ones(shape, dtype), requires_grad=True)
        for shape in ((), (1,), (1, 1))
        for dtype in (np.float32, float)
    ]
    return [form(root) for root in roots]


@row("call")
def results(form, device):
    x, w = Tensor([[1.0, 2.0]], requires_grad=True), Tensor(np.ones((1, 2)))
    out = [form(tg.multiply, x, 3.0), form(tg.add, x, w), form(tg.sum, x, axis=1), form(tg.sum, x), form(tg.exp, w)]
    out += [form(tg.reshape, x, shape=(2, 1)), form(tg.where, np.array([True, False]), x, 0.0)]
    facts = [(y.node.op.name if y.node else "none", str(y.memory is NEVER_CHANGED)) for y in out]
    return [*(y.data for y in out), np.array(facts), form(tg.relu, [1.0, -1.0])]


@row("gradients_without_observers")
def gradients_of_a_graph(form, device):
    x, w, h = (Tensor(RANDOM.normal(size=shape), requires_grad=True) for shape in ((4, 3), (3, 2), (2,)))
    y = tg.tanh(x @ w + h)
    loss = (y * y + tg.concatenate([y[:2], y[2:]])).sum() * h.sum()
    found = []
    for wanted, retain in ((frozenset(), True), (frozenset([y, w]), True), (frozenset(), False)):
        roots = {loss: first_gradient(loss)}
        walked = form(roots, count_uses([loss], wanted or None), wanted, retain_graph=retain)
        found += [walked[v] for v in (x, w, h, y) if v in walked]
    assert loss.node.operands is None
    return found


@row("prepared_in_place", devices=["cpu", "cuda"])
def steps_of_optimizers(form, device):
    found = []
    for make in (
        lambda p: nn.optim.SGD(p, lr=0.1),
        lambda p: nn.optim.SGD(p, lr=0.1, weight_decay=0.1),
        lambda p: nn.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.1),
        lambda p: nn.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
        lambda p: nn.optim.Adam(p, lr=0.1, weight_decay=0.1),
        lambda p: nn.optim.AdamW(p, lr=0.1),
    ):
        for dtype in (np.float32, np.float64, np.float16):
            w = nn.Parameter(np.linspace(-1, 1, 12).reshape(3, 4).astype(dtype))
            w.data = Tensor(w.data, device=device).data
            optimizer = make([w])
            (slot,) = optimizer._slots
            for k in range(3):
                w.grad = Tensor(np.cos(np.arange(12.0) + k).reshape(3, 4).astype(dtype), device=device).data
                write_all(form(optimizer, slot))
            found += [w.data, *slot.state.values()]
    return found


def on_the_host(x):
    return x.get() if hasattr(x, "get") else np.asarray(x)


@of_the_wing
def test_every_pair_has_rows_and_every_row_a_pair():
    assert set(ROWS) == {pair.quick.__name__ for pair in PAIRS}
    assert len(PAIRS) == len(ROWS)


@pytest.mark.parametrize(("name", "run", "device"), [r for rows in ROWS.values() for r in rows] if HAS_WING else [])
def test_plain_and_fast_are_equal(name, run, device, request):
    global RANDOM
    if device == "cuda":
        request.getfixturevalue("strict")
    (pair,) = (pair for pair in PAIRS if pair.quick.__name__ == name)

    def quick(*args, **kwargs):
        assert pair.when(*args, **kwargs), "the row is one for which the condition does not hold"
        return pair.quick(*args, **kwargs)

    RANDOM = np.random.default_rng(1)
    expected = [on_the_host(x) for x in run(pair.plain, device)]
    RANDOM = np.random.default_rng(1)
    found = [on_the_host(x) for x in run(quick, device)]
    assert [(x.shape, x.dtype) for x in found] == [(x.shape, x.dtype) for x in expected]
    for x, right in zip(found, expected, strict=True):
        if pair.within == 0 or right.dtype.kind != "f":
            np.testing.assert_array_equal(x, right)
        else:
            within = max(pair.within, float(np.finfo(right.dtype).eps))
            size = np.abs(right, where=np.isfinite(right), out=np.zeros(right.shape)).max(initial=0)
            np.testing.assert_allclose(x, right, rtol=within, atol=within * size)


@of_the_wing
def test_an_affine_map_of_other_shapes_is_computed_as_it_stands():
    x, weight = RANDOM.normal(size=(2, 3, 4)), RANDOM.normal(size=(5, 4))
    for operands in ((x, weight, RANDOM.normal(size=(3, 5))), (x, weight[0], None)):
        np.testing.assert_array_equal(linear(*operands), linear.plain(*operands))
    with pytest.raises(ValueError, match="broadcast"):
        linear(x, weight, RANDOM.normal(size=(6, 1)))  # a bias for each of the six rows fits only if they are one axis
