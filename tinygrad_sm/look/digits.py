"""Numbers as short text, the same in pictures, texts, notebooks and labels."""

from typing import Any

import numpy as np


def rounded(x: Any, digits: int = 4) -> str:
    """Return a number with so many significant digits; booleans, and integers of at most six digits, in full.

    >>> [rounded(x) for x in (-0.123456, -0.0, 12345, 1234567, True, float("nan"), -float("inf"))]
    ['-0.1235', '0', '12345', '1.235e+06', 'True', 'NaN', '-∞']
    """
    if isinstance(x, bool | np.bool_) or (isinstance(x, int | np.integer) and -(10**6) < x < 10**6):
        return str(x)
    return f"{x + 0.0:.{digits}g}".replace("nan", "NaN").replace("inf", "∞")


def typeset(x: Any, digits: int = 4) -> str:
    """Return the rounded number with a real minus sign.

    >>> typeset(-0.123456789, 6)
    '−0.123457'
    """
    return rounded(x, digits).replace("-", "−")
