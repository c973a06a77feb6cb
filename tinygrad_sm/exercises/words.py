"""What is said of answers and of hints, as text, in a terminal and in a notebook."""

from typing import Protocol

from tinygrad_sm.exercises.exercise import Exercise

SIGNS = {"right": "✓", "wrong": "✗", "empty": "–", "lost": "✗"}


class Said(Protocol):
    """What a verdict has, and a result of a check."""

    @property
    def name(self) -> str: ...
    @property
    def state(self) -> str: ...
    @property
    def sentence(self) -> str: ...
    @property
    def question(self) -> str: ...
    @property
    def expected(self) -> str: ...
    @property
    def got(self) -> str: ...
    @property
    def printed(self) -> str: ...


def in_lines(said: Said, where: str = "") -> str:
    """Return a verdict as text: the sentence that helps first, then the line, the question and the two outcomes."""
    lines = [f"{SIGNS[said.state]} {said.name}{f': {said.sentence}' if said.sentence else ''}"]
    if where:
        lines.append(where)
    if said.question:
        lines += [f"{said.question}:", f"  expected {_under(said.expected)}", f"  got      {_under(said.got)}"]
    if said.printed:
        lines.append(f"  printed  {_under(said.printed.rstrip())}")
    return "\n    ".join("\n".join(lines).splitlines())


def _under(text: str) -> str:
    """Return text whose later lines stand under its first one."""
    return text.replace("\n", "\n" + 11 * " ")


def next_hint(exercise: Exercise, given: int) -> int:
    """Return the number of the hint that comes after so many, from 1; after the last one, that again."""
    return min(given + 1, len(exercise.hints))


def hint_in_words(exercise: Exercise, number: int) -> str:
    """Return a hint, its number and how many there are."""
    most = len(exercise.hints)
    if not most:
        return f"there is no hint for {exercise.name}"
    end = "" if number < most else f"\nThat is the last hint. `solution` shows the piece of {exercise.name}."
    return f"hint {number} of {most}: {exercise.hints[number - 1]}{end}"
