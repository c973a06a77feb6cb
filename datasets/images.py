"""Labelled images as arrays, and the scales of their pixels."""

from typing import NamedTuple

import numpy as np

from tinygrad_sm.arrays import described
from tinygrad_sm.backend import Array

SCALES = ("unit", "center", "standard", None)


class LabelledImages(NamedTuple):
    """Images of shape (N, C, H, W), a label for each as int64 of shape (N,), and the name of each label's class."""

    images: Array
    labels: Array
    classes: tuple[str, ...]

    def __repr__(self) -> str:
        images, labels = described(self.images), described(self.labels)
        return f"{type(self).__name__}(images={images}, labels={labels}, classes={self.classes})"


def rescale(pixels: Array, scale: str | None, mean: float, std: float) -> Array:
    """Return uint8 pixels 0 to 255 on a scale, as float32, or a copy for None; `mnist` defines the scales."""
    if scale is None:
        return pixels.copy()
    result: Array = pixels / np.float32(255)  # in one launch on a GPU, the cast included
    if scale == "center":
        result -= 0.5
    elif scale == "standard":
        result -= mean
        result /= std
    return result


def labelled_images(
    pixels: Array, labels: Array, classes: tuple[str, ...], scale: str | None, mean: float, std: float
) -> LabelledImages:
    """Return pixels 0 to 255, uint8 of shape (N, H, W), on a scale, with the labels: arrays that the caller owns.

    mean and std are those of the training set, for the scale "standard".
    """
    return LabelledImages(rescale(pixels[:, np.newaxis], scale, mean, std), labels.astype(np.int64), tuple(classes))
