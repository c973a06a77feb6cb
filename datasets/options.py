"""What is asked of the options of data sets and loaders."""

from typing import Any

import numpy as np

from tinygrad_sm.arrays import described


def check_integer(name: str, value: Any, smallest: int) -> None:
    """Raise TypeError unless the value is an integer, ValueError unless it is at least the smallest."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be an integer, got {described(value)}")
    if value < smallest:
        raise ValueError(f"{name} must be at least {smallest}, got {value}")


def check_number(name: str, value: Any, smallest: float, largest: float) -> None:
    """Raise TypeError unless the value is a real number, ValueError unless it is within the bounds."""
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        raise TypeError(f"{name} must be a number, got {described(value)}")
    if not smallest <= value <= largest:
        raise ValueError(f"{name} must be from {smallest:g} to {largest:g}, got {described(value)}")


def check_choice(name: str, value: Any, choices: tuple[Any, ...]) -> None:
    """Raise ValueError unless the value is one of the choices."""
    if value not in choices:
        *first, last = map(repr, choices)
        raise ValueError(f"{name} must be {', '.join(first)} or {last}, got {value!r}")
