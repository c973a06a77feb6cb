"""Data sets as plain arrays, and the loader that feeds them to a training loop."""

from tinygrad_sm.datasets.loader import DataLoader
from tinygrad_sm.datasets.mnist import LabelledImages, mnist

__all__ = ["DataLoader", "LabelledImages", "mnist"]
