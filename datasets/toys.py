"""Small data sets that are drawn at random: each shows one idea, in a size at which you can look at every number.

    inputs, labels, classes = toys.red_green_blue(N=300, seed=0)        # (300, 2), (300,), three names

All are functions of their arguments: the same seed gives the same arrays. Row i belongs to class i mod C, so that the
classes are as equal in size as they can be. Each raises TypeError or ValueError for an N below 1, a seed that is not a
natural number and a noise that is not a number from 0 to 1e30.
"""

from typing import Any, NamedTuple

import numpy as np

from tinygrad_sm.arguments import integer, number
from tinygrad_sm.backend import Array
from tinygrad_sm.datasets.images import LabelledImages

LARGEST_NOISE = 1e30
"""Up to this noise float32 holds every point: none is 10^8 standard deviations away."""


class LabelledPoints(NamedTuple):
    """Points as float32 of shape (N, D), a label for each as int64 of shape (N,), and the name of each class."""

    inputs: Array
    labels: Array
    classes: tuple[str, ...]


class TaggedPoints(NamedTuple):
    """Points as float32 of shape (N, D), and which of C classes apply: tags 0 or 1 as float32 of shape (N, C)."""

    inputs: Array
    tags: Array
    classes: tuple[str, ...]


class Curve(NamedTuple):
    """Places x as float32 of shape (N, 1) and the values to predict there, float32 of shape (N, 1)."""

    inputs: Array
    targets: Array


def red_green_blue(N: int = 300, seed: int = 0, noise: float = 0.5) -> LabelledPoints:
    """Return three clouds in the plane, which suit softmax regression: its boundaries are straight lines.

    The clouds are normal with standard deviation `noise` around the corners of a triangle, at distance 2 from 0.

    >>> inputs, labels, classes = red_green_blue(6)
    >>> inputs.shape, labels, classes
    ((6, 2), array([0, 1, 2, 0, 1, 2]), ('red', 'green', 'blue'))
    """
    random, labels = _begin(N, seed, noise, classes=3)
    angle = 2 * np.pi * (labels / 3 + 1 / 4)
    return LabelledPoints(_circle(angle, 2.0, random, noise), labels, ("red", "green", "blue"))


def moons(N: int = 200, seed: int = 0, noise: float = 0.1) -> LabelledPoints:
    """Return two interlocking half circles: no straight line separates them, but a network with two layers does.

    The upper is (cos t, sin t), the lower (1 - cos t, 1/2 - sin t), t uniform in 0..π.
    """
    random, labels = _begin(N, seed, noise, classes=2)
    t = random.uniform(0, np.pi, N)
    x = np.where(labels == 0, np.cos(t), 1 - np.cos(t))
    y = np.where(labels == 0, np.sin(t), 0.5 - np.sin(t))
    inputs = np.stack([x, y], axis=1) + noise * random.standard_normal((N, 2))
    return LabelledPoints(inputs.astype(np.float32), labels, ("upper moon", "lower moon"))


def spirals(N: int = 300, seed: int = 0, noise: float = 0.03, classes: int = 3) -> LabelledPoints:
    """Return arms that wind around 0 once: they are harder than the moons, and a network needs some width or depth.

    Arm c consists of the points of radius r at the angle 2π (r + c / classes), r uniform in 0.1..1.
    """
    integer("toys", "classes", classes, smallest=2)
    random, labels = _begin(N, seed, noise, classes)
    radius = random.uniform(0.1, 1, N)
    angle = 2 * np.pi * (radius + labels / classes)
    return LabelledPoints(
        _circle(angle, radius, random, noise), labels, tuple(f"arm {c + 1}" for c in range(int(classes)))
    )


PROTOTYPES = {
    "cat": ((0.9, 0.1), (0.1, 0.9)),
    "chicken": ((0.9, 0.9), (0.1, 0.1)),
    "dog": ((0.1, 0.9), (0.1, 0.9)),
}
"""The image of each animal before noise."""


def cat_chicken_dog(N: int = 300, seed: int = 0, noise: float = 0.1) -> LabelledImages:
    """Return grey images of 2 x 2 pixels, shape (N, 1, 2, 2): the smallest images that can be classified.

    The four features x₁..x₄ are the pixels 0 (black) to 1 (white), row by row, so softmax regression on three classes
    has 3 · 4 weights and 3 biases:  o_j = Σ_i x_i w_ji + b_j  for j = 1, 2, 3.

    The classes have no order. Given integers, a regression would take the chicken for something between cat and dog;
    the one-hot vectors (1, 0, 0), (0, 1, 0), (0, 0, 1) are all equally far from each other.

    >>> cat_chicken_dog(3, noise=0).images.reshape(3, 4)
    array([[0.9, 0.1, 0.1, 0.9],
           [0.9, 0.9, 0.1, 0.1],
           [0.1, 0.9, 0.1, 0.9]], dtype=float32)
    """
    random, labels = _begin(N, seed, noise, classes=3)
    images = np.array(list(PROTOTYPES.values()))[labels] + noise * random.standard_normal((N, 2, 2))
    return LabelledImages(images.clip(0, 1).astype(np.float32)[:, np.newaxis], labels, tuple(PROTOTYPES))


KINDS = ((0, 0, 0), (0, 0, 1), (1, 0, 0), (1, 0, 1), (1, 1, 0), (1, 1, 1))
"""What can be in a picture, as tags (vehicle, car, brand): a car is a vehicle, a brand can be seen on anything."""


def vehicles(N: int = 300, seed: int = 0, noise: float = 0.15) -> TaggedPoints:
    """Return descriptions of pictures with classes that do not exclude each other: vehicle, car, and a visible brand.

    A picture can have none of the tags or all three, so their probabilities need not sum to 1: sigmoids with binary
    cross-entropy are right here, a softmax is wrong. Each input is one tag, blurred by noise.

    >>> inputs, tags, classes = vehicles(6)
    >>> tags.sum(axis=1), classes
    (array([0., 1., 1., 2., 2., 3.], dtype=float32), ('vehicle', 'car', 'brand'))
    """
    random, kinds = _begin(N, seed, noise, classes=len(KINDS))
    tags = np.array(KINDS, np.float32)[kinds]
    inputs = tags + noise * random.standard_normal((N, 3))
    return TaggedPoints(inputs.astype(np.float32), tags, ("vehicle", "car", "brand"))


def curve(N: int = 100, seed: int = 0, noise: float = 0.1) -> Curve:
    """Return noisy values of a function of one variable, for regression: targets instead of classes.

    y = sin(2x) + x / 2 + noise · ε,  x uniform in -3..3,  ε standard normal
    """
    random, _ = _begin(N, seed, noise, classes=1)
    x = random.uniform(-3, 3, (N, 1))
    y = np.sin(2 * x) + x / 2 + noise * random.standard_normal((N, 1))
    return Curve(x.astype(np.float32), y.astype(np.float32))


def _begin(N: int, seed: int, noise: Any, classes: int) -> tuple["np.random.Generator", Array]:
    """Check the arguments; return the generator of a set, and its labels 0, 1, ..., 0, 1, ..."""
    integer("toys", "N", N, smallest=1)
    integer("toys", "seed", seed, smallest=0)
    number("toys", "noise", noise, 0, LARGEST_NOISE)
    return np.random.default_rng(seed), np.arange(N, dtype=np.int64) % classes


def _circle(angle: Array, radius: Any, random: "np.random.Generator", noise: float) -> Array:
    """Return points at these angles and radii around 0, each moved a little."""
    points = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
    return (points + noise * random.standard_normal(points.shape)).astype(np.float32)
