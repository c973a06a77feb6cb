"""PyTorch has the same values, gradients and second derivatives, wherever it is installed (the extra `oracle`).

Every operation of the table of op cases, and every loss of nn, is compared on many samples in float64.
"""

import re
from collections import Counter

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import tinygrad_sm as tg
from tests.helpers import leaf
from tests.ops.strategies import shapes_of
from tinygrad_sm import nn
from tinygrad_sm.check.cases import CASES
from tinygrad_sm.ops.softmax import cross_entropy

torch = pytest.importorskip("torch")
F = torch.nn.functional
torch.set_num_threads(1)  # the arrays are small

SAMPLES = max(25, settings.default.max_examples)
AGREED = {what: Counter() for what in ("samples", "values", "gradients", "second derivatives")}


def operation(case):
    """Return the name of the operation of a case: the label without arguments and remarks."""
    name = re.split(r"[(#\[ ]", case.label)[0]
    return name if twin_of(name) else name.rstrip("0123456789")


def twin_of(name):
    """Return PyTorch's function for the operation: of the same name and arguments, if the table has no other."""
    return TWINS.get(name) or getattr(torch, name, None)


def along_one(f):
    """Return f as a reduction over several axes, or none, moved to be the last one."""

    def reduced(x, axis=None, keepdims=False, dtype=None, **static):  # all that is compared is in float64
        axes = tuple(range(x.ndim)) if axis is None or not x.ndim else axis if isinstance(axis, tuple) else (axis,)
        kept = [1 if i in {a % x.ndim for a in axes} else n for i, n in enumerate(x.shape)]
        moved = torch.movedim(x, axes, tuple(range(x.ndim - len(axes), x.ndim)))
        moved = moved.reshape(*moved.shape[: x.ndim - len(axes)], int(np.prod([x.shape[a] for a in axes])))
        out = f(moved, dim=-1, **static)
        return out.reshape(kept) if keepdims else out

    return reduced


def along_one_of_equal_shape(f):
    """Return f over several axes, which gives a result of the shape of x, as one over the last axis."""

    def computed(x, axis):
        axes = axis if isinstance(axis, tuple) else (axis,)
        last = tuple(range(x.ndim - len(axes), x.ndim))
        moved = torch.movedim(x, axes, last)
        out = f(moved.flatten(x.ndim - len(axes)), dim=-1)
        return torch.movedim(out.reshape(moved.shape), last, axes)

    return computed


def standardize(x, axis, eps):
    return along_one_of_equal_shape(lambda x, dim: F.layer_norm(x, x.shape[dim:], eps=eps))(x, axis)


def places(index):
    return torch.from_numpy(np.array(index, np.int64))


def getitem(x, index):
    """NumPy says which elements these are, PyTorch takes them: its own indices know no negative steps."""
    numbers = np.arange(x.numel()).reshape(x.shape)[index]
    return x.reshape(-1)[places(numbers)]


def take(x, indices, axis):
    if axis is None:
        return torch.take(x, places(indices))
    return x[(slice(None),) * (axis % x.ndim) + (places(indices),)]


def take_along_axis(x, indices, axis):
    n = x.numel() if axis is None else x.shape[axis]
    return torch.take_along_dim(x, places(indices % n), axis)


def roll(x, shift, axis=None):
    return torch.roll(x, shift) if axis is None else torch.roll(x, shift, axis)


def pad(x, pad_width, mode="constant", constant_values=0):
    if mode != "constant":  # PyTorch's own pad the last axes alone
        numbers = np.pad(np.arange(x.numel()).reshape(x.shape), pad_width, mode)
        return x.reshape(-1)[places(numbers)]
    widths = np.broadcast_to(pad_width, (x.ndim, 2))[::-1].ravel().tolist()
    return F.pad(x, widths, value=constant_values)


def put(values, shape, index):
    return torch.zeros(shape, dtype=values.dtype).index_put((places(index),), values, accumulate=True)


def in_turn(f):
    """Return f, of partial sums or products, with NumPy's axis."""
    return lambda x, axis=None, dtype=None: f(x.reshape(-1), 0) if axis is None else f(x, axis)


def repeat(x, repeats, axis=None):
    return torch.repeat_interleave(x, places(repeats), axis)


def summed(product):
    """Return a sum of products of arrays; a 0-d array multiplies."""
    return lambda a, b: product(a, b) if a.ndim and b.ndim else a * b


def dot(a, b):
    return torch.matmul(a, b) if b.ndim <= 2 else torch.tensordot(a, b, ([a.ndim - 1], [b.ndim - 2]))


def tensordot(a, b, axes):
    if isinstance(axes, int):
        return torch.tensordot(a, b, axes)
    return torch.tensordot(a, b, [np.atleast_1d(part).tolist() for part in axes])


def triangle(f):
    return lambda x, k: f(x.expand(x.shape[-1], -1) if x.ndim == 1 else x, k)


def clip(x, min=None, max=None):
    return torch.clamp(x, min, max)


def concatenate(*xs, axis=1):
    return torch.cat([x.reshape(-1) for x in xs], 0) if axis is None else torch.cat(xs, axis)


def split(x, parts, part):
    return torch.tensor_split(x, parts if isinstance(parts, int) else [int(k) for k in parts], dim=1)[part]


def solve(a, b):
    """Solve for a vector if b has one axis, as NumPy does; PyTorch also takes a batch of vectors."""
    if b.ndim == 1:
        return torch.linalg.solve(a, b[:, None])[..., 0]
    return torch.linalg.solve(a, b[(None,) * (a.ndim - b.ndim)])  # of fewer axes, it takes b as vectors


def matrix_norm(x, ord, axis, keepdims):
    return torch.linalg.matrix_norm(x, ord, (-2, -1) if axis is None else axis, keepdims)


def symmetric(a):
    return (a + a.mT) / 2


def var_of(f):
    return along_one(lambda x, dim, ddof=0: f(x, dim=dim, correction=ddof))


TWINS = {
    "reshape": lambda x, shape: x.reshape(shape),
    "transpose": lambda x, axes=None: x.permute(tuple(range(x.ndim))[::-1] if axes is None else axes),
    "swapaxes": lambda x, axis1, axis2: torch.swapaxes(x, axis1, axis2),
    "moveaxis": torch.movedim,
    "broadcast_to": lambda x, shape: torch.broadcast_to(x, shape),
    "expand_dims": lambda x, axis: x.reshape(np.expand_dims(np.empty(x.shape), axis).shape),
    "squeeze": lambda x, axis=None: torch.squeeze(x) if axis is None else torch.squeeze(x, axis),
    "flip": lambda x, axis=None: torch.flip(x, tuple(range(x.ndim)) if axis is None else np.atleast_1d(axis).tolist()),
    "roll": roll,
    "pad": pad,
    "getitem": getitem,
    "put": put,
    "take": take,
    "take_along_axis": take_along_axis,
    "concatenate": concatenate,
    "stack": lambda a, b, axis: torch.stack([a, b, a], axis or 0),
    "split": split,
    "negative": torch.neg,
    "softplus": F.softplus,
    "gelu": lambda x: F.gelu(x, approximate="tanh"),
    "astype": lambda x, dtype: x.to(torch.float64),
    "power": lambda a, b: torch.pow(a, b),
    "scalars": lambda x, c: c / x + (c - x) * c + x / c - c**x if c > 0 else c * x + c,
    "where": lambda a, b, condition: torch.where(torch.from_numpy(condition), a, b),
    "clip": clip,
    "sum": along_one(torch.sum),
    "mean": along_one(torch.mean),
    "prod": along_one(torch.prod),
    "max": along_one(torch.amax),
    "min": along_one(torch.amin),
    "var": var_of(torch.var),
    "std": var_of(torch.std),
    "norm": along_one(torch.linalg.vector_norm),
    "matrix_norm": matrix_norm,
    "inv": torch.linalg.inv,
    "solve": solve,
    "det": torch.linalg.det,
    "slogdet": lambda a: torch.stack(torch.linalg.slogdet(a)),
    "cholesky": lambda a, upper: torch.linalg.cholesky(symmetric(a), upper=upper),
    "logsumexp": along_one(torch.logsumexp),
    "softmax": along_one_of_equal_shape(torch.softmax),
    "log_softmax": along_one_of_equal_shape(torch.log_softmax),
    "standardize": standardize,
    "cumsum": in_turn(torch.cumsum),
    "cumprod": in_turn(torch.cumprod),
    "floor_divide": lambda a, b: torch.floor(a / b),  # its own has no gradient at all
    "round": lambda x, decimals=0: torch.round(x, decimals=decimals),
    "dot": summed(dot),
    "inner": summed(torch.inner),
    "tensordot": tensordot,
    "trace": lambda x, offset=0, axis1=0, axis2=1: torch.diagonal(x, offset, axis1, axis2).sum(-1),
    "diagonal": lambda x, offset, axis1, axis2: torch.diagonal(x, offset, axis1, axis2),
    "diag": lambda x, k: torch.diag(x, k),
    "tril": triangle(torch.tril),
    "triu": triangle(torch.triu),
    "repeat": repeat,
    "tile": lambda x, reps: torch.tile(x, tuple(np.atleast_1d(reps).tolist())),
    "hstack": lambda a, b: torch.hstack([a, b]),
    "vstack": lambda a, b: torch.vstack([a, b]),
    "linear": F.linear,
    "outer": lambda a, b: torch.outer(a.reshape(-1), b.reshape(-1)),
    "einsum": lambda *xs, formula: torch.einsum(formula, *xs),
    "cross_entropy": lambda z, *y, labels=None: F.cross_entropy(z, *y or [places(labels)]),
}
WITHOUT_TWIN: dict[str, str] = {}  # name: why PyTorch has nothing to compare with


def three_orders(f, arrays, seed):
    """Return the value of f, its gradient and that of ⟨v, gradient⟩, in this framework."""
    xs = [leaf(x) for x in arrays]
    out = f(*xs)
    random = np.random.default_rng(seed)
    first = tg.grad(out, xs, random.uniform(-1, 1, out.shape), create_graph=True, allow_unused=True)
    first = [tg.zeros(x.shape, dtype=x.dtype) if t is None else t for x, t in zip(xs, first, strict=True)]
    weighted = sum(tg.sum(t * random.uniform(-1, 1, t.shape)) for t in first)
    second = tg.grad(weighted, xs, allow_unused=True) if weighted.requires_grad else [None] * len(xs)
    second = [np.zeros(x.shape) if t is None else t.data for x, t in zip(xs, second, strict=True)]
    return [out.data], [t.data for t in first], second


def three_orders_of_torch(f, arrays, seed):
    """Return the same of PyTorch."""
    xs = [torch.tensor(x, requires_grad=True) for x in arrays]
    out = f(*xs)
    random = np.random.default_rng(seed)
    options = {"create_graph": True, "allow_unused": True, "materialize_grads": True}
    first = torch.autograd.grad(out, xs, torch.tensor(random.uniform(-1, 1, tuple(out.shape))), **options)
    weighted = sum((t * torch.tensor(random.uniform(-1, 1, tuple(t.shape)))).sum() for t in first)
    second = torch.autograd.grad(weighted, xs, **options) if weighted.requires_grad else map(torch.zeros_like, xs)
    # A clone has memory of its own: PyTorch 2.4 has zeros without any, of which numpy(force=True) gives garbage.
    return [[t.detach().clone().numpy() for t in tensors] for tensors in ([out], first, second)]


def assert_agrees(name, f, twin, arrays, seed, until=3):
    """Compare the orders, all three or fewer, and count what agreed."""
    ours, theirs = three_orders(f, arrays, seed), three_orders_of_torch(twin, arrays, seed)
    orders = ("values", "gradients", "second derivatives")[:until]
    for what, mine, other in zip(orders, ours, theirs, strict=False):
        for x, y in zip(mine, other, strict=True):
            scale = max(1.0, float(np.abs(y).max(initial=0)))  # sums of terms of this size may cancel
            assert x.shape == y.shape
            np.testing.assert_allclose(x, y, rtol=1e-10, atol=1e-14 * scale, err_msg=f"{what} of {name}")
        AGREED[what][name] += 1
    AGREED["samples"][name] += 1


seeds = st.integers(0, 2**32 - 1)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)
@settings(max_examples=SAMPLES)
@given(data=st.data(), seed=seeds)
def test_operations(case, data, seed):
    name = operation(case)
    if name not in WITHOUT_TWIN:
        arrays = case.operands(data.draw(shapes_of(case)), seed)
        until = 2 if case.label.startswith("power with zero") else 3  # see DIFFERENCES
        assert_agrees(name, case, lambda *xs: twin_of(name)(*xs, **case.static), arrays, seed, until)


def labels_and_logits(random, N, C):
    return [random.uniform(-9, 9, (N, C))], [random.integers(0, C, N)]


def two_of_a_shape(random, N, C):
    return [random.uniform(-9, 9, (N, C)), random.uniform(0, 1, (N, C))], []


LOSSES = {
    "CrossEntropyLoss": (labels_and_logits, two_of_a_shape),
    "NLLLoss": (labels_and_logits,),
    "MSELoss": (two_of_a_shape,),
    "BCEWithLogitsLoss": (two_of_a_shape,),
}


@pytest.mark.parametrize("name", [name for name in nn.__all__ if name.endswith("Loss")])
@settings(max_examples=SAMPLES)
@given(N=st.integers(1, 5), C=st.integers(1, 5), seed=seeds)
def test_losses(name, N, C, seed):
    for drawn in LOSSES[name]:
        arrays, constants = drawn(np.random.default_rng(seed), N, C)
        ours = on_the_first(getattr(nn, name)(), *constants)
        theirs = on_the_first(getattr(torch.nn, name)(), *map(places, constants))
        assert_agrees(name, ours, theirs, arrays, seed)


def on_the_first(f, *constants):
    """Return f of the operands and these constants: labels, or bounds."""
    return lambda *xs: f(*xs, *constants)


def test_every_operation_of_the_table_has_a_twin_or_a_reason():
    names = {operation(case) for case in CASES}
    assert names >= TWINS.keys() | WITHOUT_TWIN.keys()
    assert {name for name in names if not twin_of(name)} == WITHOUT_TWIN.keys()
    assert not TWINS.keys() & WITHOUT_TWIN.keys()


NAN, INF = np.nan, np.inf
MASKED = [[-INF, -INF]]
TWO = torch.tensor([2.0], dtype=torch.float64, requires_grad=True)
DIFFERENCES = {  # on purpose: why, the point, and of ours and PyTorch's the function, its value, and the gradient of it
    "max along an axis": (
        "ties share the gradient, as in amax; PyTorch's max(dim) gives all to the one whose index it returns",
        [1.0, 1.0],
        (lambda x: tg.max(x, axis=0), 1, [0.5, 0.5]),
        (lambda x: torch.max(x, dim=0).values, 1, [1, 0]),
    ),
    "softmax of a masked row": (
        "a row of which every logit is −∞ has probabilities 0, and no gradient, instead of NaN",
        MASKED,
        (tg.softmax, [[0, 0]], [[0, 0]]),
        (lambda x: torch.softmax(x, -1), [[NAN, NAN]], [[NAN, NAN]]),
    ),
    "log_softmax of a masked row": (
        "as for softmax",
        MASKED,
        (tg.log_softmax, MASKED, [[0, 0]]),
        (lambda x: torch.log_softmax(x, -1), [[NAN, NAN]], [[NAN, NAN]]),
    ),
    "logsumexp of a masked row": (
        "as for softmax, which is its gradient",
        MASKED,
        (lambda x: tg.logsumexp(x, -1), [-INF], [[0, 0]]),
        (lambda x: torch.logsumexp(x, -1), [-INF], [[NAN, NAN]]),
    ),
    "cross_entropy of a masked row": (
        "the masked label has probability 0, so the loss is infinite; nothing can lower it",
        MASKED,
        (on_the_first(cross_entropy, np.array([0])), INF, [[0, 0]]),
        (on_the_first(F.cross_entropy, torch.tensor([0])), NAN, [[NAN, NAN]]),
    ),
    "cross_entropy of soft targets with a masked class": (
        "0·(−∞) is 0",
        [[0.0, -INF]],
        (on_the_first(cross_entropy, np.array([[1.0, 0.0]])), 0, [[0, 0]]),
        (on_the_first(F.cross_entropy, torch.tensor([[1.0, 0.0]]).double()), NAN, [[0, 0]]),
    ),
    "softplus beyond 20": (
        "it is never cut off; PyTorch's is x beyond its `threshold`",
        [21.0],
        (tg.softplus, [21 + 7.582560422162385e-10], [1 - 7.582560422162385e-10]),
        (F.softplus, [21], [1]),
    ),
    "var without ddof": (
        "ddof is 0, as in NumPy; PyTorch's correction is 1",
        [1.0, 3.0],
        (tg.var, 1, [-1, 1]),
        (torch.var, 2, [-2, 2]),
    ),
    "the derivative of a power by base and exponent at exponent 0": (
        "(1 + b ln a) a**(b−1) is 1/a there; PyTorch takes the zero that ∂/∂a is there for a constant",
        [0.0],
        (lambda b: tg.grad(tg.power(a := leaf([2.0]), b), a, create_graph=True)[0], [0], [0.5]),
        (lambda b: torch.autograd.grad(torch.pow(a := TWO.clone(), b), a, create_graph=True)[0], [0], [0]),
    ),
    "norm of tiny numbers": (
        "the elements are scaled, so that their squares do not underflow",
        [3e-200, 4e-200],
        (tg.norm, 5e-200, [0.6, 0.8]),
        (torch.linalg.vector_norm, 0, [0, 0]),
    ),
    "arctan2 of large numbers": (
        "no square overflows",
        [1e200],
        (lambda y: tg.arctan2(y, 1e200), [np.pi / 4], [0.5e-200]),
        (lambda y: torch.atan2(y, torch.tensor(1e200, dtype=torch.float64)), [np.pi / 4], [0]),
    ),
    "gelu far out": (
        "the gradient is right where x³ overflows",
        [1e300, -1e300],
        (tg.gelu, [1e300, 0], [1, 0]),
        (TWINS["gelu"], [1e300, 0], [NAN, NAN]),
    ),
}


@pytest.mark.parametrize("name", DIFFERENCES)
def test_differences_are_as_they_are_described(name):
    why, point, (f, value, gradient), (twin, value_there, gradient_there) = DIFFERENCES[name]
    assert why
    x, y = leaf(point), torch.tensor(point, dtype=torch.float64, requires_grad=True)
    out, other = f(x), twin(y)
    found = out.data, tg.grad(out, x, np.ones(out.shape))[0].data
    found_there = other.detach().numpy(), torch.autograd.grad(other.sum(), y)[0].numpy()
    for results, expected in ((found, (value, gradient)), (found_there, (value_there, gradient_there))):
        for result, number in zip(results, expected, strict=True):
            np.testing.assert_allclose(result, np.array(number, float), rtol=1e-15)


AT_KINKS = {
    "abs": [[0.0, -0.0]],
    "relu": [[0.0, -0.0]],
    "sign": [[0.0, -0.0]],
    "maximum": [[1.0, 2.0], [1.0, 1.0]],
    "minimum": [[1.0, 2.0], [1.0, 3.0]],
    "max": [[2.0, 1.0, 2.0, 2.0]],
    "min": [[1.0, 1.0, 2.0]],
    "power": [[0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 2.0, 3.0]],
    "prod": [[0.0, 3.0, 0.0, 2.0]],
    "arctan2": [[0.0, 0.0, -0.0], [0.0, -1.0, -1.0]],
    "cumprod": [[2.0, 0.0, 3.0, 0.0]],
    "floor": [[-1.0, 0.0, 2.0]],
    "ceil": [[-1.0, 0.0, 2.0]],
    "round": [[-0.5, 0.5, 1.5]],
    "remainder": [[6.0, -6.0, 0.0], [2.0, 3.0, 2.0]],
    "norm": [[0.0, 0.0]],
    "std": [[2.0, 2.0]],
}


@pytest.mark.parametrize("name", AT_KINKS)
def test_conventions_at_kinks_are_those_of_pytorch(name):
    arrays = list(map(np.array, AT_KINKS[name]))
    ours, theirs = three_orders(getattr(tg, name), arrays, 0), three_orders_of_torch(twin_of(name), arrays, 0)
    for mine, other in zip(ours[:2], theirs[:2], strict=True):
        for x, y in zip(mine, other, strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-15)


def test_the_agreement_is_told(capsys):
    """The last test, which prints what the others counted."""
    samples, *orders = AGREED.values()
    assert all(n >= SAMPLES for n in samples.values())
    told = ", ".join(f"{counter.total()} {what}" for what, counter in zip([*AGREED][1:], orders, strict=True))
    with capsys.disabled():
        print(
            f"\noracle: {len(samples)} operations and losses × {min(samples.values(), default=0)} samples or more: "
            f"{told} agree with PyTorch {torch.__version__}; {len(DIFFERENCES)} differences on purpose"
        )
