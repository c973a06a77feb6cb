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


MODES = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


def by_loops(x, layer, border, stride=1, dilation=1, groups=1):
    """Convolve images, kernel by kernel and place by place; `border` says how wide it is at the ends of both axes."""
    weight, bias = layer.weight.data, np.zeros(layer.out_channels) if layer.bias is None else layer.bias.data
    weight = weight if weight.ndim == 4 else weight[:, :, None]
    x = np.pad(x, [(0, 0), (0, 0), *border], MODES[layer.padding_mode])
    kernels, channels, *kernel = weight.shape
    places = [range(0, n - dilation * (k - 1), stride) for n, k in zip(x.shape[2:], kernel, strict=True)]
    out = np.empty((len(x), kernels, *map(len, places)))
    for n, o, p, q in np.ndindex(out.shape):
        group = x[n, o // (kernels // groups) * channels :][:channels]
        rows, columns = (places[i][j] + dilation * np.arange(kernel[i]) for i, j in enumerate((p, q)))
        out[n, o, p, q] = bias[o] + (group[:, rows][:, :, columns] * weight[o]).sum()
    return out


@pytest.mark.parametrize("mode", MODES)
def test_layers_convolve_as_loops_do(mode):
    x = np.random.default_rng(2).uniform(-1, 1, (2, 4, 6, 5))
    for options in ({}, {"stride": 2, "groups": 2}, {"dilation": 2}, {"groups": 4}):
        layer = nn.Conv2d(4, 8, 3, padding=2, padding_mode=mode, **options)
        np.testing.assert_allclose(layer(x).data, by_loops(x, layer, [(2, 2)] * 2, **options), rtol=1e-6, atol=1e-6)
    layer = nn.Conv2d(4, 8, (4, 4), padding="same", padding_mode=mode, bias=False)
    np.testing.assert_allclose(layer(x).data, by_loops(x, layer, [(1, 2)] * 2), rtol=1e-6, atol=1e-6)
    layer, x = nn.Conv1d(4, 2, 3, stride=2, padding=1, padding_mode=mode), x.reshape((2, 4, 1, 30))
    expected = by_loops(x, layer, [(0, 0), (1, 1)], stride=2)[:, :, 0]
    np.testing.assert_allclose(layer(x[:, :, 0]).data, expected, rtol=1e-6, atol=1e-6)


def test_first_weights_are_draws_from_pytorchs_range():
    tg.manual_seed(0)
    for layer, fan_in in ((nn.Conv2d(6, 80, (5, 3), groups=2), 45), (nn.Conv1d(7, 300, 3), 21)):
        for parameter in layer.parameters():
            largest = np.abs(parameter.data).max()
            assert 0.95 < largest * np.sqrt(fan_in) <= 1


def windows_by_loops(n, k, stride, padding, dilation, ceil_mode):
    """Return the places of each window along an axis of length n, those in the padding too."""
    starts, span = range(-padding, n + padding, stride), dilation * (k - 1) + 1
    starts = [a for a in starts if a + span <= n + padding or (ceil_mode and a < n and a - stride + span < n + padding)]
    return [[a + dilation * j for j in range(k)] for a in starts]


@pytest.mark.parametrize("ceil_mode", [False, True])
@pytest.mark.parametrize(
    "options", [{}, {"stride": 3}, {"padding": 1}, {"stride": 2, "padding": 1}, {"stride": 4, "padding": 1}]
)
def test_pools_are_as_loops(options, ceil_mode):
    for n, m, k in ((7, 6, 2), (5, 8, 3), (6, 6, 3)):
        x = np.random.default_rng(n).uniform(-1, 1, (2, 3, n, m))
        stride, padding = options.get("stride", k), options.get("padding", 0)
        for dilation in (1, 2):
            both = [windows_by_loops(length, k, stride, padding, dilation, ceil_mode) for length in (n, m)]
            largest, means, means_of_image = np.empty((3, 2, 3, *map(len, both)))
            for p, q in np.ndindex(largest.shape[2:]):
                rows, columns = both[0][p], both[1][q]
                inside = x[:, :, [i for i in rows if 0 <= i < n]][:, :, :, [j for j in columns if 0 <= j < m]]
                largest[:, :, p, q], means_of_image[:, :, p, q] = inside.max((2, 3)), inside.mean((2, 3))
                counted = sum(i < n + padding for i in rows) * sum(j < m + padding for j in columns)
                means[:, :, p, q] = inside.sum((2, 3)) / counted
            given = (k, options.get("stride"), padding)
            np.testing.assert_array_equal(F.max_pool2d(x, *given, dilation, ceil_mode), largest)
            np.testing.assert_array_equal(nn.MaxPool2d(*given, dilation, ceil_mode=ceil_mode)(x), largest)
            if dilation == 1:
                np.testing.assert_allclose(F.avg_pool2d(x, *given, ceil_mode), means, rtol=1e-13)
                np.testing.assert_allclose(nn.AvgPool2d(*given, ceil_mode, False)(x), means_of_image, rtol=1e-13)
                np.testing.assert_allclose(nn.AvgPool2d(*given, ceil_mode)(x), means, rtol=1e-13)


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
        "Conv2d(1, 4) at '0': expected x of shape (N, 1, H, W) or (1, H, W), got float64 (2, 3, 6, 5)",
    ),
    "layer, images without channels": (
        lambda: nn.Conv2d(1, 4, 3)(X[:, 0]),
        ValueError,
        "Conv2d(1, 4): expected x of shape (N, 1, H, W) or (1, H, W), got float64 (2, 6, 5): "
        "x[:, None] gives it an axis of channels",
    ),
    "layer, channels last": (
        lambda: nn.Conv2d(3, 4, 3)(X.transpose(0, 2, 3, 1)),
        ValueError,
        "Conv2d(3, 4): expected x of shape (N, 3, H, W) or (3, H, W), got float64 (2, 6, 5, 3): "
        "tg.moveaxis(x, -1, 1) puts the channels before the places",
    ),
    "layer, images as sequences": (
        lambda: nn.Conv1d(3, 4, 3)(X),
        ValueError,
        "Conv1d(3, 4): expected x of shape (N, 3, L) or (3, L), got float64 (2, 3, 6, 5)",
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
        "windows: expected a window that fits into x, got (7,) for float64 (2, 3, 6, 5)\n"
        "in windows(float64 (2, 3, 6, 5))",
    ),
    "too many axes": (
        lambda: tg.windows(X[0, 0, 0], (2, 2)),
        ValueError,
        "windows: expected a window that fits into x, got (2, 2) for float64 (5,)\nin windows(float64 (5,))",
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


class Foreign:
    """An array of another library, whose dtype is not NumPy's."""

    shape, dtype, ndim = X.shape, "another float", X.ndim

    def __array__(self, dtype=None, copy=None):
        return X


def test_arrays_of_other_libraries_are_read():
    layer = nn.Conv2d(3, 4, 3)
    np.testing.assert_array_equal(layer(Foreign()).data, layer(X).data)
    np.testing.assert_array_equal(F.max_pool2d(Foreign(), 2), F.max_pool2d(X, 2))
    np.testing.assert_array_equal(nn.BatchNorm2d(3)(Foreign()).data, nn.BatchNorm2d(3)(X).data)


def test_a_layer_without_images_gives_none():
    assert nn.Conv2d(3, 4, 3)(Tensor(X[:0])).shape == (0, 4, 4, 3)
    assert nn.MaxPool2d(2)(X[:0]).shape == (0, 3, 3, 2)
