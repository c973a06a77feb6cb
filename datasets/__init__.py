"""Data sets as plain arrays, and the loader that feeds them to a training loop."""

from typing import TYPE_CHECKING

from tinygrad_sm.advice import module_hooks
from tinygrad_sm.datasets import toys
from tinygrad_sm.datasets.download import IdxFile, idx_images
from tinygrad_sm.datasets.fashion import fashion_mnist
from tinygrad_sm.datasets.images import LabelledImages
from tinygrad_sm.datasets.loader import DataLoader
from tinygrad_sm.datasets.mnist import mnist, scaled_mnist

__all__ = ["DataLoader", "IdxFile", "LabelledImages", "fashion_mnist", "idx_images", "mnist", "scaled_mnist", "toys"]

if not TYPE_CHECKING:  # for a type checker, a name that is missing is an error by itself
    __getattr__, __dir__ = module_hooks(__name__)
