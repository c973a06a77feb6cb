"""The gradient rules of single operations, from exp to the cross-entropy."""

from tinygrad_sm.exercises.chapters import (
    rules_of_arrays,
    rules_of_broadcasting,
    rules_of_cross_entropy,
    rules_of_elements,
    rules_of_extrema,
    rules_of_matrices,
    rules_of_pairs,
    rules_of_reductions,
    rules_of_softmax,
)
from tinygrad_sm.exercises.exercise import Chapter

CHAPTER = Chapter(
    "rules",
    "Gradient rules",
    "Each operation has a rule for each operand: from g = ∂L/∂out, what arrives, it makes ∂L/∂x, what it hands on. "
    "A rule is written in the framework's own operations, so it can be differentiated again, and each of these is.",
    (
        *rules_of_elements.EXERCISES,
        *rules_of_pairs.EXERCISES,
        *rules_of_broadcasting.EXERCISES,
        *rules_of_reductions.EXERCISES,
        *rules_of_extrema.EXERCISES,
        *rules_of_matrices.EXERCISES,
        *rules_of_arrays.EXERCISES,
        *rules_of_softmax.EXERCISES,
        *rules_of_cross_entropy.EXERCISES,
    ),
)
