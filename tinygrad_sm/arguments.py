"""Numbers and choices as arguments: one check and one wording for all functions that take them.

>>> number("SGD", "lr", 1, smallest=0)
1.0
>>> number("SGD", "lr", -1, smallest=0)
Traceback (most recent call last):
...
ValueError: SGD: expected lr to be a finite number of at least 0, got -1
"""

from math import inf, nan
from numbers import Integral, Real
from sys import float_info
from typing import Any

from tinygrad_sm.arrays import described

MAX_COUNT = 2**53
"""The largest count: up to it, floats hold every integer."""


def integer(owner: str, name: str, value: Any, smallest: float = -inf, largest: float = inf) -> int:
    """Return the value as an int; TypeError unless it is an integer, ValueError unless it is within the bounds.

    A bool is no number, here and in `number`.
    """
    expected = f"{owner}: expected {name} to be an integer{_bounds(smallest, largest)}"
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{expected}, got {described(value)}")
    value = int(value)
    if not smallest <= value <= largest:
        raise ValueError(f"{expected}, got {_shown(value)}")
    return value


def integers(owner: str, name: str, value: Any, count: int | None = None, smallest: int = 1) -> tuple[int, ...]:
    """Return the value as a tuple of ints: so many, or as many as there are; one integer stands for all of them.

    Raises ValueError if there are more or fewer, and the errors of `integer`.

    >>> integers("Conv2d", "stride", 2, count=2)
    (2, 2)
    """
    has_items = hasattr(value, "__len__") and getattr(value, "ndim", None) != 0  # arrays of no axes have none
    values = tuple(value) if has_items else (value,) * (count or 1)
    if not values or (count is not None and len(values) != count):
        expected = "an integer, or one for each axis" if count is None else f"an integer, or {count} of them"
        raise ValueError(f"{owner}: expected {name} to be {expected}, got {value}")
    return tuple(integer(owner, name, n, smallest) for n in values)


def number(
    owner: str, name: str, value: Any, smallest: float = -inf, largest: float = inf, finite: bool = True
) -> float:
    """Return the value as a float; TypeError unless it is a real number, ValueError unless it is within the bounds.

    finite : whether an infinity is refused; NaN always is.
    """
    kind = "a finite number" if finite and inf in (-smallest, largest) else "a number"
    expected = f"{owner}: expected {name} to be {kind}{_bounds(smallest, largest)}"
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{expected}, got {described(value)}")
    try:
        result = float(value)
    except OverflowError:
        result = nan
    if not smallest <= result <= largest or (finite and abs(result) == inf):
        raise ValueError(f"{expected}, got {_shown(value)}")
    return result


def choice(owner: str, name: str, value: Any, choices: tuple[Any, ...]) -> None:
    """Raise ValueError unless the value is one of the choices."""
    if not any(isinstance(value, type(one)) and value == one for one in choices):
        *first, last = map(repr, choices)
        raise ValueError(f"{owner}: expected {name} to be {', '.join(first)} or {last}, got {value!r}")


def _bounds(smallest: float, largest: float) -> str:
    low, high = (f"{bound:g}" if isinstance(bound, float) else f"{bound}" for bound in (smallest, largest))
    if largest < inf:
        return f" from {low} to {high}"
    return "" if smallest == -inf else f" of at least {low}"


def _is_huge(value: Any) -> bool:
    """Whether this is an integer that no float can hold."""
    return isinstance(value, Integral) and abs(int(value)) > float_info.max


def _shown(value: Any) -> str:
    """Return a number's text for messages; Python refuses to write integers of thousands of digits."""
    return "an integer of too many digits" if _is_huge(value) else f"{value}"
