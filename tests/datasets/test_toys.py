"""The toy data sets are what they say: their shapes, classes and geometry, and the same for the same seed."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tinygrad_sm import nn
from tinygrad_sm.datasets import DataLoader, LabelledImages, toys

Array = np.ndarray[Any, Any]
CLASSES = {
    toys.red_green_blue: ("red", "green", "blue"),
    toys.moons: ("upper moon", "lower moon"),
    toys.spirals: ("arm 1", "arm 2", "arm 3"),
    toys.cat_chicken_dog: ("cat", "chicken", "dog"),
}
ALL = [*CLASSES, toys.vehicles, toys.curve]
each = pytest.mark.parametrize("toy", ALL, ids=lambda toy: toy.__name__)
each_labelled = pytest.mark.parametrize("toy", CLASSES, ids=lambda toy: toy.__name__)


@each
@pytest.mark.parametrize("N", [1, 7, 100])
def test_a_set_has_a_row_for_each_example(toy: Callable[..., Any], N: int) -> None:
    data = toy(N)
    for array in data[:2]:
        assert len(array) == N
        assert array.flags.writeable
    assert data[0].dtype == np.float32
    assert np.isfinite(data[0]).all()
    assert sum(len(inputs) for inputs, _ in DataLoader(data, 3)) == N


@each
def test_a_set_is_a_function_of_its_seed(toy: Callable[..., Any]) -> None:
    np.random.seed(1)  # noqa: NPY002
    first, second, other = toy(50, seed=4), toy(50, seed=4), toy(50, seed=5)
    for one, two in zip(first[:2], second[:2], strict=True):
        np.testing.assert_array_equal(one, two, strict=True)
        assert not np.shares_memory(one, two)
    assert not np.allclose(first[0], other[0])


@each_labelled
def test_labels_are_balanced_and_have_names(toy: Callable[..., Any]) -> None:
    data = toy(100)
    assert data.classes == CLASSES[toy]
    assert data.labels.dtype == np.int64
    known, counts = np.unique(data.labels, return_counts=True)
    assert known.tolist() == list(range(len(data.classes)))
    assert counts.max() - counts.min() <= 1


def linear_accuracy(inputs: Array, labels: Array) -> float:
    """Return the accuracy of the best linear map to one-hot vectors, by least squares: straight boundaries only."""
    features = np.column_stack([inputs.reshape(len(inputs), -1), np.ones(len(inputs))])
    one_hot = np.eye(labels.max() + 1)[labels]
    weights = np.linalg.lstsq(features, one_hot, rcond=None)[0]
    return float(((features @ weights).argmax(axis=1) == labels).mean())


def neighbour_accuracy(inputs: Array, labels: Array) -> float:
    """Return how often the nearest other point has the same label: near 1 if the classes are apart in any shape."""
    distances = np.linalg.norm(inputs[:, None] - inputs[None], axis=2)
    np.fill_diagonal(distances, np.inf)
    return float((labels[distances.argmin(axis=1)] == labels).mean())


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("toy", [toys.red_green_blue, toys.cat_chicken_dog])
def test_straight_lines_part_the_linear_sets(toy: Callable[..., Any], seed: int) -> None:
    data = toy(300, seed)
    assert linear_accuracy(*data[:2]) > 0.99


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("toy", "most"), [(toys.moons, 0.93), (toys.spirals, 0.7)])
def test_straight_lines_do_not_part_the_curved_sets(toy: Callable[..., Any], most: float, seed: int) -> None:
    data = toy(300, seed)
    assert linear_accuracy(*data[:2]) < most
    assert neighbour_accuracy(*data[:2]) > 0.97


def test_the_clouds_stand_at_the_corners_of_a_triangle() -> None:
    inputs, labels, _ = toys.red_green_blue(3, noise=0)
    np.testing.assert_allclose(inputs, [[0, 2], [-(3**0.5), -1], [3**0.5, -1]], atol=1e-6)
    inputs, labels, _ = toys.red_green_blue(30000)
    np.testing.assert_allclose(inputs[labels == 1].mean(axis=0), [-(3**0.5), -1], atol=0.02)
    np.testing.assert_allclose(inputs[labels == 1].std(axis=0), 0.5, atol=0.02)


def test_the_moons_are_half_circles() -> None:
    inputs, labels, _ = toys.moons(200, noise=0)
    upper, lower = inputs[labels == 0], inputs[labels == 1]
    np.testing.assert_allclose(np.linalg.norm(upper, axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(lower - [1, 0.5], axis=1), 1, rtol=1e-6)
    assert upper[:, 1].min() > -1e-6
    assert lower[:, 1].max() < 0.5 + 1e-6


@pytest.mark.parametrize("classes", [2, 5])
def test_the_arms_wind_once(classes: int) -> None:
    inputs, labels, names = toys.spirals(500, noise=0, classes=classes)
    assert len(names) == classes
    radius = np.linalg.norm(inputs, axis=1)
    assert radius.min() > 0.1 - 1e-6
    assert radius.max() < 1 + 1e-6
    turns = np.arctan2(inputs[:, 1], inputs[:, 0]) / (2 * np.pi) - radius - labels / classes
    np.testing.assert_allclose(turns, turns.round(), atol=1e-5)


def test_cat_chicken_and_dog_are_images_of_four_features() -> None:
    data = toys.cat_chicken_dog(90)
    assert isinstance(data, LabelledImages)
    assert data.images.shape == (90, 1, 2, 2)
    assert 0 <= data.images.min() < data.images.max() <= 1
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, len(data.classes)))
    weight, bias = model.parameters()
    assert (weight.size, bias.size) == (12, 3)
    assert model(data.images).shape == (90, 3)
    # one-hot, (1, 0, 0) is the cat, (0, 1, 0) the chicken, (0, 0, 1) the dog
    clean = toys.cat_chicken_dog(3, noise=0)
    assert [np.eye(3)[label].tolist() for label in clean.labels] == [[1, 0, 0], [0, 1, 0], [0, 0, 1]]
    assert [data.classes[label] for label in clean.labels] == ["cat", "chicken", "dog"]
    for image, name in zip(clean.images, data.classes, strict=True):
        np.testing.assert_allclose(image[0], toys.PROTOTYPES[name])


def test_vehicle_car_and_brand_do_not_exclude_each_other() -> None:
    inputs, tags, classes = toys.vehicles(60)
    assert classes == ("vehicle", "car", "brand")
    assert inputs.shape == tags.shape == (60, 3)
    assert tags.dtype == np.float32
    vehicle, car, brand = tags.T
    assert set(np.unique(tags)) == {0, 1}
    assert (car <= vehicle).all()  # each car is a vehicle
    assert {(v, b) for v, b in zip(vehicle, brand, strict=True)} == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert {int(n) for n in tags.sum(axis=1)} == {0, 1, 2, 3}
    assert ((inputs > 0.5) == tags).mean() > 0.98


def test_the_curve_is_its_formula_and_noise() -> None:
    x, y = toys.curve(2000, noise=0)
    assert x.shape == y.shape == (2000, 1)
    assert y.dtype == np.float32
    assert -3 <= x.min() < -2.9 < 2.9 < x.max() <= 3
    np.testing.assert_allclose(y, np.sin(2 * x) + x / 2, atol=1e-6)
    x, y = toys.curve(2000, noise=0.2)
    assert abs((y - np.sin(2 * x) - x / 2).std() - 0.2) < 0.01


@each
@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"N": 0}, ValueError, "toys: expected N to be an integer of at least 1, got 0"),
        ({"N": 10.0}, TypeError, "toys: expected N to be an integer of at least 1, got float 10.0"),
        ({"seed": -1}, ValueError, "toys: expected seed to be an integer of at least 0, got -1"),
        ({"seed": None}, TypeError, "toys: expected seed to be an integer of at least 0, got NoneType None"),
        ({"noise": -0.1}, ValueError, r"toys: expected noise to be a number from 0 to 1e\+30, got -0.1"),
        ({"noise": float("nan")}, ValueError, r"toys: expected noise to be a number from 0 to 1e\+30, got nan"),
        ({"noise": float("inf")}, ValueError, r"toys: expected noise to be a number from 0 to 1e\+30, got inf"),
        (
            {"noise": 1e39},
            ValueError,
            r"toys: expected noise to be a number from 0 to 1e\+30, got 1e\+39",
        ),  # float32 does not hold it
        (
            {"noise": 10**400},
            ValueError,
            r"toys: expected noise to be a number from 0 to 1e\+30, got an integer of too many digits",
        ),
        ({"noise": np.complex64(1)}, TypeError, r"toys: expected noise to be a number from 0 to 1e\+30, got complex64"),
        ({"noise": "much"}, TypeError, r"toys: expected noise to be a number from 0 to 1e\+30, got str 'much'"),
        ({"noise": True}, TypeError, r"toys: expected noise to be a number from 0 to 1e\+30, got bool True"),
    ],
)
def test_bad_arguments_are_refused(
    toy: Callable[..., Any], options: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        toy(**options)


@each
@pytest.mark.parametrize("noise", [toys.LARGEST_NOISE, np.float32(0.1), np.int8(1)])
def test_noise_of_any_size_that_is_taken_leaves_numbers(toy: Callable[..., Any], noise: float) -> None:
    assert all(np.isfinite(array).all() for array in toy(1000, noise=noise)[:2])


def test_a_spiral_has_two_arms_at_least() -> None:
    with pytest.raises(ValueError, match="toys: expected classes to be an integer of at least 2, got 1"):
        toys.spirals(classes=1)
