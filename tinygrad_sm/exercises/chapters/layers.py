"""Layers and data: what a model of images is made of, and the batches that it is given."""

from tinygrad_sm.exercises.chapters import layers_batches, layers_of_models
from tinygrad_sm.exercises.exercise import Chapter

CHAPTER = Chapter(
    "layers",
    "Layers and data",
    "Batches of images become rows, rows become logits, and labels become rows too.",
    (
        *layers_of_models.EXERCISES,
        *layers_batches.EXERCISES,
    ),
)
