"""Labelled images as arrays, and the scales on which their pixels can be had."""

from typing import NamedTuple

import numpy as np

from tinygrad_sm.backend import Array

SCALES = ("unit", "center", "standard", None)


class LabelledImages(NamedTuple):
    """Images of shape (N, C, H, W), a label for each as int64 of shape (N,), and the name of each label's class."""

    images: Array
    labels: Array
    classes: tuple[str, ...]


def labelled_images(
    pixels: Array, labels: Array, classes: tuple[str, ...], scale: str | None, mean: float, std: float
) -> LabelledImages:
    """Return pixels 0 to 255, uint8 of shape (N, H, W), on a scale, with the labels: arrays that the caller owns.

    The docstring of `mnist` says what the scales are; mean and std are those of the training set, for "standard".
    """
    images: Array = pixels[:, np.newaxis].astype(np.uint8 if scale is None else np.float32)
    if scale is not None:
        images /= 255
    if scale == "center":
        images -= 0.5
    elif scale == "standard":
        images -= mean
        images /= std
    return LabelledImages(images, labels.astype(np.int64), tuple(classes))
