"""PyTorch, where it is installed, has the same convolutions and poolings: values and gradients of both orders."""

import itertools

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import leaf
from tinygrad_sm import nn
from tinygrad_sm.nn import functional as F

torch = pytest.importorskip("torch")
theirs = torch.nn.functional
torch.set_num_threads(1)  # the arrays are small


def assert_agrees(ours, other, arrays, /, *args, **options):
    """Compare values, gradients, and the gradients of a sum of products of gradients."""
    random = np.random.default_rng(1)
    ts = [torch.tensor(array, requires_grad=True) for array in arrays]
    xs = [leaf(array, array.dtype) for array in arrays]
    out, expected = ours(*xs, *args, **options), other(*ts, *args, **options)
    np.testing.assert_allclose(
        out.data, expected.numpy(force=True), rtol=1e-12, atol=1e-12, err_msg=str((args, options))
    )
    g, weights = random.uniform(-1, 1, out.shape), [random.uniform(-1, 1, array.shape) for array in arrays]

    gradients = tg.grad(tg.sum(out * out * g), xs, create_graph=True)
    t_weights = [torch.tensor(w) for w in weights]
    t_gradients = torch.autograd.grad((expected * expected * torch.tensor(g)).sum(), ts, create_graph=True)
    for mine, their in zip(gradients, t_gradients, strict=True):
        np.testing.assert_allclose(
            mine.data, their.numpy(force=True), rtol=1e-12, atol=1e-11, err_msg=str((args, options))
        )
    mine = tg.grad(sum((tg.sum(w * d * x) for w, d, x in zip(weights, gradients, xs, strict=True)), 0.0), xs)
    their = torch.autograd.grad(sum((w * d * x).sum() for w, d, x in zip(t_weights, t_gradients, ts, strict=True)), ts)
    for m, t in zip(mine, their, strict=True):
        np.testing.assert_allclose(m.data, t.numpy(), rtol=1e-12, atol=1e-10, err_msg=str((args, options)))


def draws(*shapes):
    random = np.random.default_rng(0)
    return [random.permutation(np.linspace(-1, 1, int(np.prod(shape)))).reshape(shape) for shape in shapes]


@pytest.mark.filterwarnings("ignore:Using padding='same'")  # PyTorch's, of even kernels
@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("bias", [False, True])
def test_convolutions_of_images(groups, bias):
    shapes = [(3, 4, 7, 6), (8, 4 // groups, 3, 2), *([(8,)] if bias else [])]
    compared = 0
    for stride, padding, dilation in itertools.product((1, 2, (2, 1)), (0, 1, (2, 0), "same", "valid"), (1, (1, 2))):
        if padding != "same" or stride == 1:
            options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
            assert_agrees(F.conv2d, theirs.conv2d, draws(*shapes), **options)
            compared += 1
    assert compared == 26


def test_convolutions_of_one_image_and_of_sequences():
    assert_agrees(F.conv2d, theirs.conv2d, draws((2, 5, 4), (3, 2, 2, 2), (3,)), padding=1)
    assert_agrees(F.conv1d, theirs.conv1d, draws((2, 9), (3, 2, 4), (3,)), stride=2)
    assert_agrees(F.conv1d, theirs.conv1d, draws((5, 6, 9), (4, 3, 3), (4,)), dilation=2, padding=2, groups=2)
    assert_agrees(F.conv1d, theirs.conv1d, draws((5, 6, 9), (4, 6, 1)), stride=3)


@pytest.mark.parametrize("shape", [(2, 3, 7, 9), (3, 6, 5)])
def test_pooling(shape):
    compared = 0
    for kernel, stride, padding, ceil_mode in itertools.product(
        (2, 3, (3, 2)), (None, 1, 2, (3, 4)), (0, 1), (False, True)
    ):
        options = {"stride": stride, "padding": padding, "ceil_mode": ceil_mode}
        for dilation in (1, 2) if kernel == 2 else (1,):
            assert_agrees(F.max_pool2d, theirs.max_pool2d, draws(shape), kernel, dilation=dilation, **options)
        for count_include_pad in (False, True):
            options["count_include_pad"] = count_include_pad
            assert_agrees(F.avg_pool2d, theirs.avg_pool2d, draws(shape), kernel, **options)
            compared += 1
    assert compared == 96
    for size in (1, 2, 3, (2, 5), (None, 4), (9, 11)):
        assert_agrees(F.adaptive_avg_pool2d, theirs.adaptive_avg_pool2d, draws(shape), size)


LAYERS = [
    ("Conv2d", (4, 8, 3), {}),
    ("Conv2d", (4, 8, (3, 2)), {"stride": 2, "padding": (1, 2), "dilation": (1, 2), "groups": 2, "bias": False}),
    ("Conv2d", (4, 2, 3), {"padding": 2, "padding_mode": "reflect"}),
    ("Conv2d", (4, 2, 3), {"padding": "same", "padding_mode": "circular"}),
    ("Conv2d", (4, 2, 3), {"padding": (0, 1), "padding_mode": "replicate"}),
    ("Conv1d", (4, 8, 3), {"padding": 1, "padding_mode": "replicate"}),
    ("Conv1d", (4, 8, 3), {"stride": 2, "groups": 4}),
]


@pytest.mark.parametrize(("name", "args", "options"), LAYERS)
def test_layers_take_pytorchs_state_and_give_theirs(name, args, options):
    ours, other = getattr(nn, name)(*args, **options), getattr(torch.nn, name)(*args, **options).double()
    assert {key: value.shape for key, value in ours.state_dict().items()} == {
        key: tuple(value.shape) for key, value in other.state_dict().items()
    }
    bound = 1 / np.sqrt(np.prod(ours.weight.shape[1:]))
    assert 0.8 * bound < np.abs(ours.weight.data).max() <= bound
    (x,) = draws((3, 4, 8, 7) if name == "Conv2d" else (3, 4, 9))
    other.load_state_dict({key: torch.tensor(value, dtype=torch.float64) for key, value in ours.state_dict().items()})
    np.testing.assert_allclose(ours(x).data, other(torch.tensor(x)).numpy(force=True), rtol=1e-12, atol=1e-12)
    again = getattr(nn, name)(*args, **options)
    again.load_state_dict({key: value.numpy().astype(np.float32) for key, value in other.state_dict().items()})
    np.testing.assert_array_equal(again(x).data, ours(x).data)
    assert repr(ours).replace("'", "") == repr(other).replace("padding_mode=zeros, ", "")


def test_layers_show_what_pytorchs_show():
    for name, args in (("MaxPool2d", (2,)), ("MaxPool2d", ((2, 3), 1, (1, 0), 2)), ("AdaptiveAvgPool2d", ((None, 3),))):
        assert repr(getattr(nn, name)(*args)) == repr(getattr(torch.nn, name)(*args))
