"""The dtype of a list of numbers, and the refusal of masked arrays.

    strong_dtype([0.2, 1])                     # None: Python's numbers have no dtype
    strong_dtype([0.2, np.float32(0.1)])       # float32, in any order: NumPy's numbers have one

NumPy itself makes float64 of both lists. Here a list follows the rule by which NumPy adds 0.2 to a float32 (NEP 50): a
Python number takes the dtype of the numbers beside it.
"""

import sys
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import numpy as np

_PYTHON_NUMBERS = (bool, int, float, complex)  # bool first, because a bool is an int too


def number_dtype(dtype: Any) -> np.dtype[Any]:
    """Return the dtype; TypeError unless it is one of numbers: not every device refuses the others."""
    try:
        found = np.dtype(dtype)
    except TypeError as error:
        raise TypeError(f"expected a dtype of NumPy, such as np.float32 or 'float32', got {dtype!r}") from error
    if found.kind not in "biufc":
        raise TypeError(f"expected a dtype of numbers, got {found}")
    return found


def is_masked(data: Any) -> bool:
    """Whether this is a masked array of NumPy."""
    masked = sys.modules.get("numpy.ma")  # without it, there are no masked arrays
    return masked is not None and isinstance(data, masked.MaskedArray)


def check_unmasked(data: Any) -> None:
    """Raise TypeError if this is a masked array: operations would ignore the mask, and use hidden elements."""
    if is_masked(data):
        refuse_masked()
    if isinstance(data, list | tuple):
        for part in data:
            check_unmasked(part)


def refuse_masked() -> NoReturn:
    """Raise the TypeError that says what to write instead of a masked array."""
    raise TypeError(
        "expected an array without a mask, got a masked array, whose mask would be lost: write x.filled(value), or "
        "tg.where(np.ma.getmaskarray(x), value, x.data)"
    )


def strong_dtype(data: Any) -> np.dtype[Any] | None:
    """Return the dtype that nested sequences of numbers get from the elements that have one, None where none has.

    The order of the elements does not matter. Raises TypeError if a part is a masked array.

    >>> strong_dtype([[1], [np.int8(2)]]), strong_dtype([1, np.int8(2), 0.5]), strong_dtype([1, 0.5])
    (dtype('int8'), dtype('float64'), None)
    """
    found = list(_kinds(data))
    dtypes = {kind for kind in found if isinstance(kind, np.dtype)}
    numbers = {kind for kind in found if isinstance(kind, type)}  # apart, because NumPy calls float and float64 equal
    if len(dtypes) == 1 and not numbers:
        return dtypes.pop()  # in its own byte order
    return np.result_type(*dtypes, *(kind() for kind in numbers)) if dtypes else None


def _kinds(data: Any) -> Iterator[Any]:
    """Give the dtypes of the elements that have one, and the types of Python's numbers."""
    if hasattr(data, "dtype"):
        check_unmasked(data)
        yield data.dtype if isinstance(data.dtype, np.dtype) else np.asarray(data).dtype
    elif isinstance(data, Sequence) and not isinstance(data, str | bytes | bytearray | memoryview):
        types = set(map(type, data))  # a long list of numbers is looked through at the speed of C
        yield from types.intersection(_PYTHON_NUMBERS)
        numpys = {kind for kind in types if issubclass(kind, np.generic)}
        yield from map(np.dtype, numpys)
        others = types.difference(numpys, _PYTHON_NUMBERS)
        for part in data if others else ():
            if type(part) in others:
                yield from _kinds(part)
    else:
        yield next((kind for kind in _PYTHON_NUMBERS if isinstance(data, kind)), None)
