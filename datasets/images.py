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


def scaled_images(pixels: Array, scale: str | None, mean: float, std: float) -> Array:
    """Return the pixels 0 to 255, uint8 of shape (N, H, W), as images of shape (N, 1, H, W) that the caller owns.

    scale : what becomes of a pixel p, in float32 (None keeps uint8)
        "unit"      p / 255                     0 to 1
        "center"    p / 255 - 0.5               -0.5 to 0.5
        "standard"  (p / 255 - mean) / std      mean 0 and standard deviation 1 over the set that has these two
        None        p                           as stored
    """
    images: Array = pixels[:, np.newaxis].astype(np.uint8 if scale is None else np.float32)
    if scale is not None:
        images /= 255
    if scale == "center":
        images -= 0.5
    elif scale == "standard":
        images -= mean
        images /= std
    return images
