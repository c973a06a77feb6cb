"""What is asked of the sizes and numbers that layers and functions are given."""

from numbers import Integral, Real
from typing import Any

from tinygrad_sm.arrays import described


def integer(owner: str, name: str, value: Any, smallest: int | None = None) -> int:
    """Return the value as an int; TypeError unless it is an integer, ValueError unless it is at least the smallest."""
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{owner}: expected {name} to be an integer, got {described(value)}")
    if smallest is not None and value < smallest:
        raise ValueError(f"{owner}: expected {name} of at least {smallest}, got {value}")
    return int(value)


def real(owner: str, name: str, value: Any) -> float:
    """Return the value as a float; TypeError unless it is a real number, ValueError if a float cannot hold it."""
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{owner}: expected {name} to be a number, got {described(value)}")
    try:
        return float(value)
    except OverflowError as error:
        raise ValueError(f"{owner}: expected {name} that a float can hold, got a larger number") from error
