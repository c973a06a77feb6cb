"""The mark of an attempt: a function of a problem's values that returns gradients by name, and the truth about them."""

from typing import NamedTuple


class Truth(NamedTuple):
    """What the author of an attempt says of it.

    wrong : by name, in the order of the walk, what is wrong; None for what no list of mistakes has.
    right : the names of those that are right.  consequence : of those that are wrong only because earlier ones are.
    """

    wrong: dict
    right: list
    consequence: list


def attempt(wrong=None, right=(), consequence=()):
    def mark(f):
        f.truth = Truth(dict(wrong or {}), list(right), list(consequence))
        return f

    return mark


def attempts_of(module):
    """Return the attempts in a module, in its order."""
    return [f for f in vars(module).values() if hasattr(f, "truth")]
