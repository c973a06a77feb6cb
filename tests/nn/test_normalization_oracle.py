"""PyTorch, where it is installed, has the same norms: options, both modes, two orders, statistics and states."""

import inspect
import itertools

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import leaf
from tinygrad_sm import nn
from tinygrad_sm.nn import functional

torch = pytest.importorskip("torch")
F = torch.nn.functional
torch.set_num_threads(1)  # the arrays are small

SHAPES = {"LayerNorm": (4, 3, 5), "RMSNorm": (4, 3, 5), "BatchNorm1d": (4, 3, 5), "BatchNorm2d": (4, 3, 2, 2)}
OPTIONS = {
    "LayerNorm": {
        "normalized_shape": [5, (3, 5)],
        "eps": [1e-5, 0.1],
        "elementwise_affine": [True, False],
        "bias": [True, False],
    },
    "RMSNorm": {"normalized_shape": [5, (3, 5)], "eps": [None, 0.1], "elementwise_affine": [True, False]},
    **dict.fromkeys(
        ("BatchNorm1d", "BatchNorm2d"),
        {
            "num_features": [3],
            "eps": [1e-5, 0.1],
            "momentum": [0.1, 0.7, None],
            "affine": [True, False],
            "track_running_stats": [True, False],
        },
    ),
}
LAYERS = [
    (name, dict(zip(options, values, strict=True)))
    for name, options in OPTIONS.items()
    for values in itertools.product(*options.values())
]


def pair(name, options, random):
    """Return the two layers, in float64, with the same numbers in their states."""
    mine, other = getattr(nn, name)(**options), getattr(torch.nn, name)(**options).double()
    for key, tensor in list(vars(mine).items()):
        if isinstance(tensor, nn.Parameter | nn.Buffer) and tensor.dtype == np.float32:
            values = random.uniform(0.5, 1.5, tensor.shape)
            setattr(mine, key, type(tensor)(values))
            with torch.no_grad():
                getattr(other, key).copy_(torch.tensor(values))
    return mine, other


def assert_close(mine, other, message=""):
    np.testing.assert_allclose(mine, other.detach().numpy(), rtol=1e-12, atol=1e-12, err_msg=str(message))


def assert_same_state(mine, other):
    state, theirs = mine.state_dict(), other.state_dict()
    assert list(state) == list(theirs)
    for key, array in state.items():
        assert array.shape == tuple(theirs[key].shape)
        assert_close(array, theirs[key], key)


def derivatives(layer, x, grad):
    """Return the square of the value, its gradients, and the gradients of the sum of their cubes."""
    xs = [x, *layer.parameters()]
    y = layer(x) ** 2  # without weights, a batch norm in evaluation is linear
    first = grad(y, xs, np.random.default_rng(5).normal(size=tuple(y.shape)))
    return [y, *first, *grad(sum((g * g * g).sum() for g in first), xs, np.array(1.0))]


def our_grad(y, xs, g):
    gradients = tg.grad(y, xs, g, create_graph=True, allow_unused=True)
    return [tg.zeros(x.shape) if t is None else t for t, x in zip(gradients, xs, strict=True)]


def their_grad(y, xs, g):
    options = {"create_graph": True, "allow_unused": True, "materialize_grads": True}
    return torch.autograd.grad(y, xs, torch.tensor(g), **options)


@pytest.mark.parametrize(("name", "options"), LAYERS, ids=lambda x: str(x))
def test_layers(name, options):
    """Several steps in training, then evaluation; each with both orders."""
    random = np.random.default_rng(0)
    mine, other = pair(name, options, random)
    assert repr(mine) == repr(other)
    for training in (True, True, True, False):
        x = random.normal(size=SHAPES[name]) * 2 + 1
        mine.train(training)
        other.train(training)
        ours = derivatives(mine, leaf(x), our_grad)
        theirs = derivatives(other, torch.tensor(x, requires_grad=True), their_grad)
        for k, (a, b) in enumerate(zip(ours, theirs, strict=True)):
            np.testing.assert_allclose(a.data, b.detach().numpy(), rtol=1e-10, atol=1e-11, err_msg=f"{k}, {training}")
        assert_close(ours[0].data, theirs[0])
        assert_same_state(mine, other)


@pytest.mark.parametrize("name", SHAPES)
def test_states_go_both_ways(name):
    first = next(iter(OPTIONS[name]))
    options = {first: OPTIONS[name][first][0]}
    mine, other = pair(name, options, np.random.default_rng(0))
    x = np.random.default_rng(1).normal(size=SHAPES[name])
    mine(x)
    other.load_state_dict({key: torch.tensor(array) for key, array in mine.state_dict().items()})
    assert_close(mine.eval()(x).data, other.eval()(torch.tensor(x)))
    fresh, _ = pair(name, options, np.random.default_rng(2))
    other.train()(torch.tensor(x))
    fresh.load_state_dict({key: tensor.numpy() for key, tensor in other.state_dict().items()})
    assert_same_state(fresh, other)
    assert_close(fresh.eval()(x).data, other.eval()(torch.tensor(x)))


@pytest.mark.parametrize("name", SHAPES)
def test_parameters_of_the_constructors_are_the_same(name):
    theirs = inspect.signature(getattr(torch.nn, name)).parameters
    ours = inspect.signature(getattr(nn, name)).parameters
    for key, parameter in ours.items():
        if key in theirs:  # `bias` of a batch norm is there since 2.14
            assert (parameter.default, parameter.kind) == (theirs[key].default, theirs[key].kind)
    positional = [key for key, p in ours.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    assert positional == list(theirs)[: len(positional)]


def test_functions():
    random = np.random.default_rng(0)
    x, w, b = random.normal(size=(4, 3, 2)), random.normal(size=3), random.normal(size=3)
    mean, var = random.normal(size=3), random.uniform(0.5, 2, 3)
    t = torch.tensor
    for training, momentum in ((True, 0.1), (True, 0.0), (True, 1.0), (False, 0.1)):
        mine, other = (mean.copy(), var.copy()), (t(mean), t(var))
        found = functional.batch_norm(x, *mine, w, b, training, momentum, 0.01)
        assert_close(found, F.batch_norm(t(x), *other, t(w), t(b), training, momentum, 0.01))
        for ours, theirs in zip(mine, other, strict=True):
            assert_close(ours, theirs)
    x = x.swapaxes(1, 2)
    assert_close(functional.layer_norm(x, (3,), w, b, 0.01), F.layer_norm(t(x), (3,), t(w), t(b), 0.01))
    assert_close(functional.rms_norm(x, (3,), w), F.rms_norm(t(x), (3,), t(w)))


@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_dtypes_and_half_precision(dtype):
    x = (np.random.default_rng(0).normal(size=(6, 300)) * 10 + 50).astype(dtype)
    pairs = [
        (functional.layer_norm(x, 300), F.layer_norm(torch.tensor(x), (300,))),
        (functional.rms_norm(x / 10000, 300), F.rms_norm(torch.tensor(x / 10000), (300,))),
        (nn.BatchNorm1d(300)(x).data, torch.nn.BatchNorm1d(300)(torch.tensor(x)).detach()),
    ]
    for mine, other in pairs:
        assert mine.dtype == other.numpy().dtype == dtype
        np.testing.assert_allclose(mine, other.numpy(), rtol=1e-2, atol=2e-3 if dtype is np.float16 else 1e-4)
