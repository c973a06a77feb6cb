"""Training: what optimizers make of gradients, step by step."""

from tinygrad_sm.exercises.chapters import training_adam_means, training_adam_steps, training_sgd, training_zero_grad
from tinygrad_sm.exercises.exercise import Chapter

CHAPTER = Chapter(
    "training",
    "Training",
    "An optimizer changes the parameters, following the gradients.",
    (
        *training_sgd.EXERCISES,
        *training_adam_means.EXERCISES,
        *training_adam_steps.EXERCISES,
        *training_zero_grad.EXERCISES,
    ),
)
