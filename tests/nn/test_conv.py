"""Convolution and pooling without PyTorch: what they take, what they refuse, and what they leave in memory."""

import re
import tracemalloc

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import check_error, leaf, of_the_wing
from tinygrad_sm import GradientError, Tensor, nn
from tinygrad_sm.nn import functional as F

X = np.random.default_rng(0).uniform(-1, 1, (2, 3, 6, 5))
K = np.random.default_rng(1).uniform(-1, 1, (4, 3, 3, 2))


def test_a_kernel_slides_over_the_image_and_is_not_flipped():
    out = F.conv2d(X, K, stride=(2, 1))
    assert out.shape == (2, 4, 2, 4)
    for n, o, p, q in np.ndindex(out.shape):
        np.testing.assert_allclose(out[n, o, p, q], (X[n, :, 2 * p : 2 * p + 3, q : q + 2] * K[o]).sum())


def test_windows_are_a_view_of_their_array():
    x = leaf(X)
    view = tg.windows(x, (2, 2))
    assert np.shares_memory(view.data, x.data)
    loss = tg.sum(view * view)
    with tg.no_grad():
        x += 1
    with pytest.raises(GradientError, match="windows|multiply"):
        loss.backward()


def test_half_precision_is_summed_in_float32():
    x = np.full((1, 40, 8, 8), 10.0, np.float16)
    weight = np.full((1, 40, 8, 8), 1.0, np.float16)
    assert F.conv2d(x, weight).dtype == np.float16
    assert F.conv2d(x, weight).item() == 25600  # a sum in float16 stalls at 20480, where 10 more is rounded away
    assert F.avg_pool2d(np.full((1, 1, 4, 4), 60000.0, np.float16), 4).item() == 60000 // 32 * 32  # the sum overflows
    x = leaf(x, np.float16)
    F.conv2d(x, leaf(weight, np.float16)).backward(np.ones((1, 1, 1, 1), np.float16))
    assert x.grad.dtype == np.float16


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_dtypes_are_kept(dtype):
    x, weight = X.astype(dtype), K.astype(dtype)
    results = [F.conv2d(x, weight), F.max_pool2d(x, 2), F.avg_pool2d(x, 2), F.adaptive_avg_pool2d(x, 2)]
    assert {result.dtype for result in results} == {np.dtype(dtype)}
    assert F.max_pool2d((X * 9).astype(np.int64), 3, padding=1).dtype == np.int64
    assert F.conv2d((X * 99).astype(np.uint8), weight).dtype == np.result_type(np.uint8, dtype)


def test_padding_is_never_the_largest_element():
    assert (F.max_pool2d(-np.ones((1, 1, 3, 3)), 2, padding=1) == -1).all()
    assert (F.max_pool2d(-np.ones((1, 1, 3, 3), np.int8), 2, padding=1) == -1).all()


def test_elements_that_tie_for_the_largest_share_the_gradient():
    x = leaf(np.zeros((1, 1, 2, 4)))
    F.max_pool2d(x, 2).backward(np.array([[[[1.0, 2.0]]]]))
    np.testing.assert_array_equal(x.grad[0, 0], [[0.25, 0.25, 0.5, 0.5]] * 2)


def test_in_half_precision_any_number_of_elements_may_tie():
    x = leaf(np.zeros(2**17), np.float16)
    tg.max(x).backward()
    np.testing.assert_array_equal(x.grad, np.full(2**17, 2.0**-17, np.float16))


def test_in_ceil_mode_a_window_that_is_longer_than_the_image_stands_once():
    x = np.arange(12.0).reshape((1, 3, 4))
    np.testing.assert_array_equal(F.max_pool2d(x, 5, 3, ceil_mode=True), [[[11]]])
    np.testing.assert_array_equal(F.avg_pool2d(x, (5, 4), ceil_mode=True), [[[5.5]]])
    with pytest.raises(ValueError, match="max_pool2d: expected a kernel that fits"):
        F.max_pool2d(x, (5, 1), 2, ceil_mode=True)  # the next window would start behind the image


def test_pools_may_have_attributes_beside_their_options():
    for pool in (nn.MaxPool2d(2), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(1)):
        shown, out = repr(pool), pool(X)
        pool.note = "the first one"
        assert repr(pool) == shown
        np.testing.assert_array_equal(pool(X), out)


def test_means_of_parts_keep_infinities_to_themselves():
    x = np.array([[[[1.0, 2.0, np.inf, 4.0, 6.0]]]])
    np.testing.assert_array_equal(F.adaptive_avg_pool2d(x, (1, 3)).ravel(), [1.5, np.inf, 5.0])


@of_the_wing
def test_a_convolution_takes_little_more_than_its_unfolded_input():
    x, layer = leaf(np.ones((8, 32, 24, 24), np.float32), np.float32), nn.Conv2d(32, 32, 3, padding=1)
    unfolded = x.data.nbytes * 9

    def peak():
        tracemalloc.start()
        tg.sum(layer(x)).backward()
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        x.grad = None
        layer.zero_grad()
        return most

    assert 1.2 * unfolded < peak() <= 2.5 * unfolded


def test_layers_learn():
    tg.manual_seed(0)
    random = np.random.default_rng(0)
    images = random.normal(0, 0.3, (64, 1, 8, 8)).astype(np.float32)
    labels = random.integers(0, 2, 64)
    images[labels == 1, :, 2:5, 3] += 1  # a line that stands, or one that lies
    images[labels == 0, :, 3, 2:5] += 1
    model = nn.Sequential(
        *(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 8, 2), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2)),
    )
    optimizer = nn.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(60):
        loss = F.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert F.accuracy(model(images), labels) == 1.0


ERRORS = {
    "no image": (
        lambda: F.conv2d(X[0, 0], K),
        ValueError,
        "conv2d: expected x of shape (N, C, H, W) or (C, H, W), got float64 (6, 5)",
    ),
    "no sequence": (
        lambda: F.conv1d(X, K),
        ValueError,
        "conv1d: expected x of shape (N, C, L) or (C, L), got float64 (2, 3, 6, 5)",
    ),
    "a flat kernel": (
        lambda: F.conv2d(X, K[0]),
        ValueError,
        "conv2d: expected weight of shape (O, C/groups, K₁, K₂), got float64 (3, 3, 2)",
    ),
    "other channels": (
        lambda: F.conv2d(X, K[:, :2]),
        ValueError,
        "conv2d: expected weight of shape (4, 3, ...) for x of shape (2, 3, 6, 5), got float64 (4, 2, 3, 2)",
    ),
    "groups of channels": (
        lambda: F.conv2d(X, K, groups=2),
        ValueError,
        "conv2d: expected groups to divide the 3 channels of x and the 4 kernels, got groups=2",
    ),
    "groups of kernels": (
        lambda: F.conv2d(X, K[:, :1], groups=3),
        ValueError,
        "conv2d: expected groups to divide the 3 channels of x and the 4 kernels, got groups=3",
    ),
    "no groups": (
        lambda: F.conv2d(X, K, groups=0),
        ValueError,
        "conv2d: expected groups to be an integer of at least 1, got 0",
    ),
    "channels of groups": (
        lambda: F.conv2d(X[:, :2], K, groups=2),
        ValueError,
        "conv2d: expected weight of shape (4, 1, ...) for x of shape (2, 2, 6, 5) and groups=2, got float64 "
        "(4, 3, 3, 2)",
    ),
    "a bias of another length": (
        lambda: F.conv2d(X, K, np.ones(3)),
        ValueError,
        "conv2d: expected bias of shape (4,), one for each kernel, got float64 (3,)",
    ),
    "a large kernel": (
        lambda: F.conv2d(X, np.ones((1, 3, 7, 2))),
        ValueError,
        "conv2d: expected a kernel that fits into the padded x, got kernel (7, 2), for (6, 5)",
    ),
    "a spread kernel": (
        lambda: F.conv2d(X, K, dilation=3),
        ValueError,
        "conv2d: expected a kernel that fits into the padded x, got kernel (3, 2), spread over (7, 4) by "
        "dilation=(3, 3), for (6, 5)",
    ),
    "a padding by name": (
        lambda: F.conv2d(X, K, padding="full"),
        ValueError,
        "conv2d: expected padding to be 'valid' or 'same', got 'full'",
    ),
    "a stride of the same": (
        lambda: F.conv2d(X, K, stride=2, padding="same"),
        ValueError,
        "conv2d: expected stride 1 for padding='same', got (2, 2)",
    ),
    "a negative padding": (
        lambda: F.conv2d(X, K, padding=-1),
        ValueError,
        "conv2d: expected padding to be an integer of at least 0, got -1",
    ),
    "three strides": (
        lambda: F.conv2d(X, K, stride=(1, 1, 1)),
        ValueError,
        "conv2d: expected stride to be an integer, or 2 of them, got (1, 1, 1)",
    ),
    "half a stride": (
        lambda: F.conv2d(X, K, stride=0.5),
        TypeError,
        "conv2d: expected stride to be an integer of at least 1, got float 0.5",
    ),
    "layer, groups": (
        lambda: nn.Conv2d(3, 4, 3, groups=2),
        ValueError,
        "Conv2d: expected groups to divide in_channels=3 and out_channels=4, got groups=2",
    ),
    "layer, mode": (
        lambda: nn.Conv2d(3, 4, 3, padding_mode="zero"),
        ValueError,
        "Conv2d: expected padding_mode to be 'zeros', 'reflect', 'replicate' or 'circular', got 'zero'",
    ),
    "layer, input": (
        lambda: nn.Sequential(nn.Conv2d(1, 4, 3))(X),
        ValueError,
        "Conv2d(1, 4) at '0': expected x of 1 channels, got float64 (2, 3, 6, 5)",
    ),
    "a wide padding": (
        lambda: F.max_pool2d(X, 2, padding=2),
        ValueError,
        "max_pool2d: expected padding of at most half the window (2, 2), got (2, 2)",
    ),
    "a large window": (
        lambda: F.max_pool2d(X, 7),
        ValueError,
        "max_pool2d: expected a kernel that fits into the padded x, got kernel (7, 7), for (6, 5)",
    ),
    "layer, wide padding": (
        lambda: nn.AvgPool2d(2, padding=2),
        ValueError,
        "AvgPool2d: expected padding of at most half the window (2, 2), got (2, 2)",
    ),
    "no window": (
        lambda: nn.MaxPool2d(0),
        ValueError,
        "MaxPool2d: expected kernel_size to be an integer of at least 1, got 0",
    ),
    "three sizes": (
        lambda: F.adaptive_avg_pool2d(X, (1, 2, 3)),
        ValueError,
        "adaptive_avg_pool2d: expected output_size to be an integer, or 2 of them, got (1, 2, 3)",
    ),
    "means of nothing": (
        lambda: F.adaptive_avg_pool2d(X[:, :, :0], 2),
        ValueError,
        "adaptive_avg_pool2d: expected images of at least one element, got float64 (2, 3, 0, 5)",
    ),
    "an array as length": (
        lambda: tg.windows(X, np.array(2)),
        TypeError,
        "windows: expected shape to be an integer of at least 1, got int64 ()\nin windows(float64 (2, 3, 6, 5))",
    ),
    "long windows": (
        lambda: tg.windows(X, 7),
        ValueError,
        "windows: expected an array as long as a window, got a window (7,) for float64 (2, 3, 6, 5)\n"
        "in windows(float64 (2, 3, 6, 5))",
    ),
    "too many axes": (
        lambda: tg.windows(X[0, 0, 0], (2, 2)),
        ValueError,
        "windows: expected an array as long as a window, got a window (2, 2) for float64 (5,)\n"
        "in windows(float64 (5,))",
    ),
    "windows of no length": (
        lambda: tg.windows(X, ()),
        ValueError,
        "windows: expected shape to be an integer, or one for each axis, got ()\nin windows(float64 (2, 3, 6, 5))",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_say_what_was_expected(name, tmp_path):
    call, kind, message = ERRORS[name]
    check_error(call, kind, re.escape(message), tmp_path)


def test_a_layer_without_images_gives_none():
    assert nn.Conv2d(3, 4, 3)(Tensor(X[:0])).shape == (0, 4, 4, 3)
    assert nn.MaxPool2d(2)(X[:0]).shape == (0, 3, 3, 2)
