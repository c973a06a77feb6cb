"""Many answers to an exercise, asked in one process: each is planted into a copy of the package."""

from tinygrad_sm.exercises import grading
from tinygrad_sm.exercises.package import copy_source, source_of
from tinygrad_sm.exercises.pieces import solution
from tinygrad_sm.exercises.running import run


class Copy:
    """A copy of the package in a folder."""

    def __init__(self, folder):
        self.folder = folder
        self.package = copy_source(folder)

    def outcomes(self, exercise, answers):
        """Return the outcomes of each answer, planted, and last those of the source."""
        return grading.outcomes_of_answers(exercise, [*answers, solution(source_of(exercise.path), exercise)])

    def run_with(self, texts, *arguments):
        """Run Python where files of the package have these texts; return the finished process."""
        for path, text in texts.items():
            (self.package / path).write_text(text, encoding="utf-8")
        try:
            return run(self.folder, *arguments, seconds=60)
        finally:
            for path in texts:
                (self.package / path).write_text(source_of(path), encoding="utf-8")


def agree(one, other):
    """Whether two answers have the same outcomes."""
    return all(a.same(b) for a, b in zip(one, other, strict=True))


def alike(one, other):
    """Whether two answers have the same outcomes, and the same messages of errors: they are one mistake."""
    return all(a.alike(b) for a, b in zip(one, other, strict=True))
