"""`mnist` gives the original MNIST, scaled as its documentation says, and each call gives arrays of its own."""

import doctest
import importlib
import math
from collections.abc import Callable
from fractions import Fraction
from functools import cache

import numpy as np
import pytest

from tinygrad_sm.backend import Array
from tinygrad_sm.datasets import LabelledImages, mnist
from tinygrad_sm.datasets.mnist import FILES, TRAIN_MEAN, TRAIN_STD
from tinygrad_sm.errors import DatasetError

module = importlib.import_module("tinygrad_sm.datasets.mnist")
stored = cache(lambda split: mnist(split, scale=None))


@pytest.mark.parametrize(
    ("split", "first", "counts"),
    [
        ("train", [5, 0, 4, 1, 9], [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]),
        ("test", [7, 2, 1, 0, 4], [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]),
    ],
)
def test_the_labels_of_each_split(split: str, first: list[int], counts: list[int]) -> None:
    data = stored(split)
    assert data.labels.dtype == np.int64
    assert data.labels.shape == (sum(counts),)
    assert data.labels[:5].tolist() == first
    assert np.bincount(data.labels).tolist() == counts
    assert data.classes == ("0", "1", "2", "3", "4", "5", "6", "7", "8", "9")


@pytest.mark.parametrize(("split", "N"), [("train", 60000), ("test", 10000)])
@pytest.mark.parametrize("scale", ["unit", "center", "standard", None])
def test_images_are_owned_arrays_in_the_order_nchw(split: str, N: int, scale: str | None) -> None:
    data = mnist(split, scale)
    assert isinstance(data, LabelledImages)
    assert data.images.shape == (N, 1, 28, 28)
    assert data.images.dtype == (np.uint8 if scale is None else np.float32)
    for array in (data.images, data.labels):
        assert array.flags.c_contiguous
        assert array.flags.writeable
        assert array.flags.owndata


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize(
    ("scale", "formula"),
    [
        ("unit", lambda p: p / 255),
        ("center", lambda p: p / 255 - 0.5),
        ("standard", lambda p: (p / 255 - TRAIN_MEAN) / TRAIN_STD),
    ],
)
def test_scales_follow_their_formulas(split: str, scale: str, formula: Callable[[Array], Array]) -> None:
    # a pixel has 256 values only: the formula in float64 fills a table, the stored pixels look it up
    images, pixels = mnist(split, scale).images, stored(split).images
    table = formula(np.arange(256, dtype=np.float64))
    for row in range(0, len(images), 1000):
        np.testing.assert_allclose(images[row : row + 1000], table[pixels[row : row + 1000]], rtol=0, atol=3e-7)


def test_unit_scale_and_train_split_are_the_defaults() -> None:
    assert np.array_equal(mnist().images, mnist("train", "unit").images)


def test_the_mean_and_deviation_are_those_of_the_training_set() -> None:
    # in whole numbers and fractions, so that nothing is rounded before the last step
    counts = [int(count) for count in np.bincount(stored("train").images.ravel(), minlength=256)]
    n = sum(counts)
    mean = Fraction(sum(count * p for p, count in enumerate(counts)), n)
    variance = Fraction(sum(count * p**2 for p, count in enumerate(counts)), n) - mean**2
    assert n == 60000 * 28 * 28
    assert float(mean / 255) == TRAIN_MEAN
    assert math.isclose(math.sqrt(variance / 255**2), TRAIN_STD, rel_tol=1e-15)
    assert (round(TRAIN_MEAN, 4), round(TRAIN_STD, 4)) == (0.1307, 0.3081)


def test_the_standard_scale_gives_the_training_set_mean_0_and_deviation_1() -> None:
    images = mnist("train", "standard").images
    assert abs(images.mean(dtype=np.float64)) < 1e-6
    assert abs(images.std(dtype=np.float64) - 1) < 1e-6
    assert mnist("test", "standard").images.mean(dtype=np.float64) > 1e-3  # which has a mean of its own


def test_calls_share_no_memory() -> None:
    first, second = mnist("test"), mnist("test")
    assert not np.shares_memory(first.images, second.images)
    first.images[:] = -1
    first.labels[:] = -1
    assert mnist("test").images.min() == 0
    assert mnist("test").labels[0] == 7


@pytest.mark.parametrize("split", ["validation", "Train", "", None, 0])
def test_an_unknown_split_is_refused(split: str) -> None:
    with pytest.raises(ValueError, match=r"split to be 'train' or 'test', got "):
        mnist(split)


@pytest.mark.parametrize("scale", ["zscore", "", 255, False])
def test_an_unknown_scale_is_refused(scale: str) -> None:
    with pytest.raises(ValueError, match=r"scale to be 'unit', 'center', 'standard' or None, got "):
        mnist("test", scale)


@pytest.mark.parametrize("row", [0, 1])
def test_each_packaged_file_is_held_to_its_sha256(monkeypatch: pytest.MonkeyPatch, row: int) -> None:
    files = list(FILES["test"])
    files[row] = (files[row][0], "0" * 64)
    monkeypatch.setitem(FILES, "test", tuple(files))
    with pytest.raises(DatasetError, match=f"{files[row][0]}: expected contents with SHA-256 0000"):
        mnist("test")


def test_the_examples_in_the_documentation() -> None:
    results = doctest.testmod(module)
    assert results.attempted
    assert not results.failed
