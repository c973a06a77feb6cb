"""The point where gradients are compared: its elements, one by one, and random directions through all of them.

An input may have more elements than can be nudged one by one. Then it is nudged as a whole too, along random directions
d with d_i = ±u_i, where u_i is the unit of steps from the i-th element. If the rules make the errors e_i, the slope
along d is wrong by Σ e_i d_i. Whatever the other terms add up to, this sum is at least |e_i d_i| for one of the two
signs of d_i. So in each direction the error of an element shows in its full size with probability 1/2 or more, and it
escapes all 20 directions with probability 2⁻²⁰ or less.
"""

from typing import Any, NamedTuple

import numpy as np

from tinygrad_sm.backend import Array
from tinygrad_sm.check.numerical import step_unit

MOST_ELEMENTS = 512  # the most that are checked one by one
DIRECTIONS = 20  # through each input that has more elements than are checked one by one


class Input(NamedTuple):
    """An input of a function to differentiate: an x, or a g that its rules are given."""

    name: str
    array: Array
    varies: Array  # of each element, whether it is checked: those of x that are finite, those of g that are not 0
    is_g: bool = False


class Direction(NamedTuple):
    """A direction in which elements of one input, or of several, are nudged; a single element is one with one entry.

    positions : of the elements, in the row of all inputs end to end.  steps : by how much each is nudged.
    at : the number to which the rounding of the step is relative.
    """

    positions: Array
    steps: Array
    at: float

    def along(self, g: Array) -> Any:
        """Return the derivative in this direction, from the gradient with respect to all inputs end to end."""
        with np.errstate(invalid="ignore"):
            return (g[self.positions] * self.steps).sum()


class Point:
    """All inputs, end to end in one row."""

    def __init__(self, inputs: list[Input]):
        self.inputs = inputs
        self.row = np.concatenate([x.array.ravel() for x in inputs])
        self.ends: list[int] = np.cumsum([x.array.size for x in inputs]).tolist()

    def parted(self, row: Array) -> list[Array]:
        """Return the inputs in their shapes, as parts of a row."""
        parts = np.split(row, self.ends[:-1])
        return [part.reshape(x.array.shape) for part, x in zip(parts, self.inputs, strict=True)]

    def chosen(self, random: "np.random.Generator") -> tuple[list[Direction], list[Direction]]:
        """Return elements to check one by one, a fair share of each input, and directions through inputs with more."""
        of_inputs = [
            end - x.array.size + np.flatnonzero(x.varies) for end, x in zip(self.ends, self.inputs, strict=True)
        ]
        positions: list[int] = []
        directions = []
        left = MOST_ELEMENTS
        for done, varying in enumerate(sorted(of_inputs, key=len)):
            share = min(len(varying), max(1, left // (len(of_inputs) - done)))
            left -= share
            positions += (random.choice(varying, share, replace=False) if share < len(varying) else varying).tolist()
            if share < len(varying):
                units = np.array([step_unit(at) for at in self.row[varying]])
                signs = random.choice([-1.0, 1.0], (DIRECTIONS, len(varying)))
                directions += [Direction(varying, sign * units, 1.0) for sign in signs]
        return [self.element(position) for position in sorted(positions)], directions

    def element(self, position: int) -> Direction:
        """Return the direction of a single element."""
        return Direction(np.array([position]), np.ones(1), float(self.row[position]))

    def number_of(self, direction: Direction) -> int:
        """Return the number of the input of which these are elements."""
        return int(np.searchsorted(self.ends, direction.positions[0], side="right"))

    def name_of(self, direction: Direction) -> str:
        """Return the name of an element for messages, or of a direction through an input."""
        number = self.number_of(direction)
        x = self.inputs[number]
        if len(direction.positions) > 1:
            return f"a random direction through {len(direction.positions)} elements of {x.name}"
        position = int(direction.positions[0] - self.ends[number] + x.array.size)
        return f"element {element_index(x.array, position)} of {x.name}"

    def with_respect_to(self, direction: Direction) -> str:
        """Return what follows "the derivative" in messages."""
        name = self.name_of(direction)
        return f"along {name}" if len(direction.positions) > 1 else f"with respect to {name}"


def element_index(array: Array, position: int) -> tuple[int, ...]:
    """Return the index of an element of which the position in the flat array is given."""
    return tuple(int(i) for i in np.unravel_index(position, array.shape))


def named_elements(of: list[tuple[str, Array]]) -> str:
    """Return the names of the elements for which the arrays are true: the first three, and how many there are more.

    of : the arrays, each after its name.
    """
    names = [
        f"element {element_index(is_one, p)} of {name}" for name, is_one in of for p in np.flatnonzero(is_one).tolist()
    ]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def output_names(count: int) -> list[str]:
    """Return the names of the outputs of f for messages."""
    return ["its output"] if count == 1 else [f"its output {i}" for i in range(count)]
