"""A recording of a tape: every number of it, forward and backward, to be drawn, printed, stepped through and asked.

    with tg.look.record(model) as recording:
        loss = cross_entropy(model(images), labels)
        loss.backward()
    print(recording.text())

The observer in `recorder` writes it.
"""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NoReturn

from tinygrad_sm.arguments import integer
from tinygrad_sm.engine.mode import observe
from tinygrad_sm.errors import user_frames
from tinygrad_sm.look import drawing, page
from tinygrad_sm.look.entries import Entry, Leaf, Operation, Step
from tinygrad_sm.look.paths import Paths, paths_to
from tinygrad_sm.look.recorder import Recorder
from tinygrad_sm.look.text import text_of
from tinygrad_sm.look.unfolding import unfolded_entries
from tinygrad_sm.look.values import LARGEST


class Recording:
    """The leaves, the operations and the steps that `record` has seen, each in the order in which they came."""

    def __init__(self, entries: dict[int, Entry], steps: list[Step], largest: int = LARGEST):
        self._entries = entries  # by key; `record` adds to them
        self.steps = steps
        self.largest = largest

    @property
    def entries(self) -> list[Entry]:
        """The leaves and the operations, in the order in which they were first seen."""
        return list(self._entries.values())

    @property
    def leaves(self) -> list[Leaf]:
        """What no recorded operation made: parameters, inputs, constants."""
        return [entry for entry in self._entries.values() if isinstance(entry, Leaf)]

    @property
    def operations(self) -> list[Operation]:
        """The recorded operations."""
        return [entry for entry in self._entries.values() if isinstance(entry, Operation)]

    def __getitem__(self, name: str) -> Entry:
        """Return the last entry of this name: a parameter's path, or a variable of the program."""
        found = [entry for entry in self._entries.values() if name in entry.names]
        if not found:
            known = ", ".join(dict.fromkeys(name for entry in self._entries.values() for name in entry.names))
            raise KeyError(f"no value of the recording is named {name!r}; there are: {known or 'none'}")
        return found[-1]

    def svg(self, numbers: bool = False, prefix: str = "") -> str:
        """Return the tape as an SVG picture, light or dark as the reader's scheme. Dashed edges take no gradient.

        numbers : whether nodes show value and gradient of every array, those of more than 6 elements as ranges;
            otherwise of scalars alone, as the loss.
        prefix : what the ids begin with, for several pictures in one page: letters, digits, "_", "-" and ".".

        Raises ValueError if there are more than 2,000 leaves and operations.
        """
        given: Any = numbers
        if isinstance(given, str | Path):
            raise TypeError(
                f"svg: it returns the text of the picture: Path({str(given)!r}).write_text(recording.svg())"
            )
        return drawing.svg(self, numbers, prefix)

    def _repr_svg_(self) -> str | None:
        """Return what a notebook shows, None if the recording is too large to be drawn."""
        return self.svg() if len(self._entries) <= drawing.MOST_ENTRIES else None

    def page(
        self,
        path: str | Path,
        title: str = "The tape, step by step",
        images: tuple[int, int] | None = None,
    ) -> Path:
        """Write a page that is stepped through with the arrow keys, and return its path.

        path : of one HTML file, which needs no network and nothing beside it. Its folder is made if there is none.
        images : (height, width) of images that the program has flattened, as (28, 28): rows and columns of so many
            elements are shown as images. Arrays of 3 and more axes, the last two of at least 8 elements, are anyway.

        ValueError if the recording has more than 2,000 leaves and operations.
        """
        return page.written(self, path, title, images)

    def text(self, width: int | None = None, most: int = 100) -> str:
        """Return every step with its numbers, for a terminal: what ran and where, the rules and what they answered.

        width : how many columns; None means the terminal's, but at most 120.  most : at most so many leaves and steps
            of each kind, forward, backward, arrivals and changes; how many more there are is said.

        Arrays of at most 100 elements are written whole, larger ones as shape, range and a few elements.
        """
        width = width if width is None else integer("text", "width", width)
        return text_of(self, width, integer("text", "most", most))

    def paths(self, name: str, index: Any = (), zeros: bool = False, most: int = 1000) -> Paths:
        """Return ∂L/∂w of one element w as the lecture's sum over paths, each a product of factors ∂out/∂operand.

        name : of a parameter, an input or a value on the way, as in `recording[name]`; the last walk that reached it
            counts.  index : the element, counted from 0 on: an int or a tuple; none for a value without axes.
        zeros : keep paths with a factor 0, which are otherwise left out and counted.

        A value that is used twice, or by each example of a batch, has a path through each use. The factors come from
        the operations' own rules at the recorded values. `print` writes the sum with subscripts that count from 1.

        Raises ArithmeticError if the products do not add up to what autodiff gave, within rounding. Raises ValueError
        if there are more than `most` paths, if a value on the way was not kept whole, or without a walk from a scalar.

        >>> import tinygrad_sm as tg
        >>> w = tg.Tensor([3.0, 4.0], requires_grad=True)
        >>> w.name = "w"
        >>> with tg.look.record() as recording:
        ...     tg.sum(w * w).backward()
        >>> recording.paths("w", 1)
        ∂L/∂w₂ at w[1], the sum over 2 paths
          path 1: ∂L/∂multiply₂ · ∂multiply₂/∂w₂
            = (1) · (4) = 4
          path 2: ∂L/∂multiply₂ · ∂multiply₂/∂w₂
            = (1) · (4) = 4
          the sum:  8
          autodiff: 8
        """
        return paths_to(self, name, index, zeros, most)

    def unfolded(self) -> "Recording":
        """Return a recording in which each cross_entropy and each log_softmax stands as its parts.

        cross_entropy is softmax, log, picking the labels (or the product with the targets and its sum), mean and
        negative; log_softmax is softmax and log. Values and gradients are computed at the recorded logits, and equal
        the fused ones to rounding. Labels are no operand of a part, but its index, so they are no leaf any more. Other
        losses are recorded in parts already.

        Raises ValueError if logits or gradients were not kept whole; and where a softmax rounds to 0, as the parts then
        give ∞ or NaN.

        >>> import tinygrad_sm as tg
        >>> from tinygrad_sm.nn.functional import cross_entropy
        >>> z = tg.Tensor([[1.0, 2.0]], requires_grad=True)
        >>> with tg.look.record() as recording:
        ...     cross_entropy(z, [1]).backward()
        >>> [operation.label for operation in recording.unfolded().operations]
        ['softmax', 'log', 'getitem', 'mean', 'negative']
        """
        return Recording(*unfolded_entries(self), self.largest)

    def __repr__(self) -> str:
        return f"Recording(operations={len(self.operations)}, leaves={len(self.leaves)}, steps={len(self.steps)})"


def record(model: Any = None, largest: int = LARGEST) -> AbstractContextManager[Recording]:
    """Record what operations, backward walks and optimizers do inside of a block, with every number.

    model : a Module whose parameters are to be known by their paths in it, as "0.weight".
    largest : arrays of more elements are kept as statistics and a sample of at most 1,000 elements: see `look.values`.

    A context manager; `with` binds the Recording. Values are copied when they are seen. Operations on values that
    require no gradient are not on the tape, and not here. Names of other values are those of the variables, in the
    functions that run between `record` and the operation, that hold them when the next operation is recorded.

    >>> import tinygrad_sm as tg
    >>> w = tg.Tensor([1.0, 2.0], requires_grad=True)
    >>> with tg.look.record() as recording:
    ...     squares = w * w
    ...     tg.sum(squares).backward()
    >>> recording
    Recording(operations=2, leaves=1, steps=5)
    >>> recording.operations[0].value.array, recording.leaves[0].g.array
    (array([1., 4.], dtype=float32), array([2., 4.], dtype=float32))
    """
    largest = integer("record", "largest", largest, smallest=0)
    return _Block(_record(Recorder(model, largest, user_frames()[0])))


class _Block(AbstractContextManager[Recording]):
    """What `record` returns; a program that forgets the `with` reads how to write it."""

    def __init__(self, block: AbstractContextManager[Recording]):
        self._block = block

    def __enter__(self) -> Recording:
        return self._block.__enter__()

    def __exit__(self, *error: Any) -> bool | None:
        return self._block.__exit__(*error)

    def __getattr__(self, name: str) -> NoReturn:
        raise AttributeError(
            f"record: this has no {name}, it is no recording yet: `with tg.look.record() as recording:` makes one"
        )


@contextmanager
def _record(recorder: Recorder) -> Iterator[Recording]:
    with observe(recorder):
        try:
            yield Recording(recorder.entries, recorder.steps, recorder.largest)
        finally:
            recorder.finish()
