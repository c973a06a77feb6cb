"""The chapters, in the order in which a course would take them."""

from tinygrad_sm.exercises.chapters import engine, layers, numbers, rules, training
from tinygrad_sm.exercises.exercise import Chapter, Exercise

CHAPTERS: tuple[Chapter, ...] = (rules.CHAPTER, engine.CHAPTER, numbers.CHAPTER, layers.CHAPTER, training.CHAPTER)

EXERCISES = tuple(exercise for chapter in CHAPTERS for exercise in chapter.exercises)


def exercise_named(name: str) -> Exercise:
    """Return the exercise of a name; LookupError with all names if there is none."""
    named = {exercise.name: exercise for exercise in EXERCISES}
    if name not in named:
        raise LookupError(f"there is no exercise {name!r}; there are: {', '.join(named)}")
    return named[name]
