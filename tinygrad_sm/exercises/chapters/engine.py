"""The engine: how a computation is recorded, and the walk back over the record.

`walks` and the two files beside it have the questions; most of them are programs of a few lines, whose gradients a
learner can check by hand.
"""

from tinygrad_sm.exercises.chapters import engine_afterwards, engine_recording, engine_walk
from tinygrad_sm.exercises.exercise import Chapter

CHAPTER = Chapter(
    "engine",
    "The walk",
    "What was computed is recorded in nodes; the walk goes back over them from the loss, and adds what arrives.",
    (
        *engine_recording.EXERCISES,
        *engine_walk.EXERCISES,
        *engine_afterwards.EXERCISES,
    ),
)
