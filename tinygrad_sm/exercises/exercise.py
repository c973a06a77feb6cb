"""What an exercise is: a piece that is cut out of the real source, and what is said, asked and answered about it.

    Exercise(
        name="exp",
        path="ops/elementwise.py",
        piece=Rules("exp"),                     # what is cut: the statement exp.vjp(...)
        probes=rules_of("exp"),                 # what is asked of an answer, the smallest questions first
        mistakes={"forgets g": "exp.vjp(lambda g, out, x: out)"},
        ...
    )

An answer is text that stands in the place of the piece. It is judged by what it does: each probe is a question with a
number, an array or an error as its outcome, and a right answer has the outcomes of the source. A mistake is an answer
too, a wrong one with its name: whoever has its outcomes has made it.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Rules(NamedTuple):
    """The piece that gives an operation its rules: the statement `name.vjp(...)`, and the functions named in it."""

    name: str


class Body(NamedTuple):
    """The body of a function or method, `name` or `Class.name`, without its docstring.

    first, last : of only some statements of it, the first line and the last one, stripped; None stands for all.
    """

    name: str
    first: str | None = None
    last: str | None = None


LAST = 9
"""The last stage: questions that go on from the answers to others, such as gradients of gradients."""


class Probe(NamedTuple):
    """A question to an answer: what it is in words, and the call whose outcome counts.

    part : which part of the piece it asks, such as the rule of one operand. Each part has its own mistakes.
    stage : the questions of a stage do not matter while one of a stage before is answered wrongly.
    """

    question: str
    ask: Callable[[], Any]
    part: str = ""
    stage: int = 0


@dataclass(frozen=True, eq=False)
class Exercise:
    """One exercise; a chapter is a list of them.

    name : what the command line calls it.  title : a line.
    path : the file in the package, such as "ops/elementwise.py".  piece : what is cut out of it.
    reading : pages and files to read before.  rows : of the curriculum.  minutes : how long it takes, roughly.
    task : what to write, in sentences.  hints : from the least to the most telling.
    hides : other texts in the package that would give the piece away, by file; they are replaced by "…" in the copy.
    docstring : what stands in the place of a docstring that would give the piece away.
    probes : returns the questions, the smallest first.
    mistakes : wrong answers by the sentence that says what is wrong; several answers where they are one mistake.
    """

    name: str
    title: str
    path: str
    piece: Rules | Body
    reading: tuple[str, ...]
    rows: tuple[int, ...]
    minutes: int
    task: str
    hints: tuple[str, ...]
    probes: Callable[[], Iterable[Probe]]
    mistakes: Mapping[str, str | tuple[str, ...]] = field(default_factory=dict)
    hides: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    docstring: str | None = None

    def wrong_answers(self) -> Iterator[tuple[str, str]]:
        """Yield the sentence and the text of each wrong answer."""
        for sentence, answers in self.mistakes.items():
            for answer in (answers,) if isinstance(answers, str) else answers:
                yield sentence, answer


class Chapter(NamedTuple):
    """Exercises that belong together, in their order."""

    name: str
    title: str
    introduction: str
    exercises: tuple[Exercise, ...]
