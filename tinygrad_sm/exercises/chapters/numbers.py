"""Numbers: exponentials that do not overflow, and derivatives by numerical differentiation, which check the rules."""

from tinygrad_sm.exercises.chapters import numbers_slopes, numbers_softmax
from tinygrad_sm.exercises.exercise import Chapter

CHAPTER = Chapter(
    "numbers",
    "Numbers",
    "Formulas that are right on paper overflow on a machine, and derivatives can be had from values alone, to check "
    "rules.",
    (
        *numbers_softmax.EXERCISES,
        *numbers_slopes.EXERCISES,
    ),
)
