"""What a page shows of a value: numbers in tables, pictures of larger arrays, statistics, and what was left out.

    view(value)

The numbers of a table are rounded to the digits that are shown. A picture holds two bytes for each number: its place
between the lowest and the highest one of the array.
"""

import math
from base64 import b64encode
from itertools import islice
from typing import Any

import numpy as np

from tinygrad_sm.look.values import LARGEST, Value

DIGITS = 4
"""The significant digits of the numbers that are shown."""

ROWS, COLUMNS = 12, 10
"""The largest matrix that is written out; of a larger one, so many of its first rows and columns."""

MATRICES = 12
"""The most matrices that are shown of an array of more than two axes."""

PIXELS = LARGEST
"""The most numbers in the pictures of an array."""

SMALLEST_IMAGE = 8
"""The least height and width of what is shown as an image."""

NAN, INFINITE, MINUS_INFINITE, FINITE = 65_535, 65_534, 65_533, 65_000
"""The codes in pictures of what is not finite, and the largest code of what is."""


def view(
    value: Value, images: tuple[int, int] | None = None, largest: int = LARGEST, is_input: bool = False
) -> dict[str, Any]:
    """Return what a page shows of a value, as dicts, lists, numbers and text.

    images : (height, width); a row or column of height · width elements is shown as an image.
    largest : how many elements the recording kept whole.
    is_input : whether images of it are images alone, grey if nothing in it is negative; all else has numbers too, and
        the colours of signs.
    """
    shown: dict[str, Any] = {"shape": list(value.shape), "type": str(value.dtype), "notes": []}
    notes = shown["notes"]
    if not value.is_whole:
        notes.append(
            f"More than {largest:,} elements are kept as statistics of all of them and a sample: here the first "
            f"{value.sample.shape} of {value.shape}."
        )
    if not value.sample.size:
        return shown
    stack, labels, what = _matrices(value, images)
    rows, columns = stack.shape[1:]
    is_small = rows <= ROWS and columns <= COLUMNS
    is_written = is_small and (what == "matrix" or min(rows, columns) < SMALLEST_IMAGE)
    if not is_written or len(stack) > MATRICES or not value.is_whole:
        statistics = {"low": value.low, "high": value.high, "mean": value.mean, "std": value.std}
        shown["statistics"] = {name: number(x) for name, x in statistics.items()}
        shown |= {"nans": value.nans, "infs": value.infs}
    count = min(len(stack), MATRICES, MATRICES if is_written else max(1, PIXELS // (rows * columns)))
    if what in ("row", "column"):
        notes.append(f"Each {what} is shown as an image of {rows}×{columns}.")
    if count < len(stack):
        notes.append(f"Shown: the first {count} of {len(stack):,} {'matrices' if what == 'matrix' else what + 's'}.")
    if is_written:
        shown["tables"] = [_table(matrix, label) for matrix, label in zip(stack[:count], labels, strict=False)]
        return shown
    drawn = stack[:count, : max(1, PIXELS // columns), :PIXELS]
    shown["pictures"] = _pictures(drawn, labels, value)
    shown["is_grey"] = is_input and what != "matrix" and not value.low < 0
    if drawn.shape[1:] != stack.shape[1:]:
        notes.append(f"The picture has the first {drawn.shape[1:]} of {stack.shape[1:]}.")
    if what == "matrix" or (what == "image" and not is_input):
        shown["tables"] = [_table(stack[0], labels[0])]
        of = f" of {labels[0]}" if labels[0] else ""
        notes.append(f"In numbers: the first {_corner(stack[0]).shape} of {(rows, columns)}{of}.")
    return shown


def number(x: Any) -> int | float | str | bool:
    """Return one number as JSON can hold it: a float rounded to four digits; NaN, infinities and huge integers as text.

    >>> [number(x) for x in (0.123456, 2.0, float("-inf"), 7, True, 2**53 + 1)]
    [0.1235, 2, '-∞', 7, True, '9007199254740993']
    """
    if isinstance(x, bool):
        return x
    if isinstance(x, int):
        return x if abs(x) <= 2**53 else str(x)
    if not math.isfinite(x):
        return "NaN" if math.isnan(x) else "∞" if x > 0 else "-∞"
    rounded = float(f"{x:.{DIGITS}g}")
    if math.isinf(rounded):  # the largest floats round up to what is none
        return f"{x:.{DIGITS - 1}e}"
    return int(rounded) if rounded.is_integer() and abs(rounded) < 10**DIGITS else rounded


def _matrices(value: Value, images: tuple[int, int] | None) -> tuple[np.ndarray[Any, Any], list[str], str]:
    """Return the matrices of an array, the index of each, and what they are: a matrix, image, row or column."""
    array = value.sample
    rows, columns = (1, 1, *array.shape)[-2:]
    if images and array.ndim in (1, 2):
        pixels = images[0] * images[1]
        if columns == pixels:
            return array.reshape(-1, *images), [f"[{i}]" if array.ndim == 2 else "" for i in range(rows)], "row"
        if array.shape[0] == pixels:
            return array.T.reshape(-1, *images), [f"[:, {i}]" for i in range(columns)], "column"
    indices = islice(np.ndindex(array.shape[:-2]), MATRICES)
    labels = [f"[{', '.join(map(str, index))}]" if index else "" for index in indices]
    is_image = array.ndim > 2 and min(rows, columns) >= SMALLEST_IMAGE
    return array.reshape(-1, rows, columns), labels, "image" if is_image or array.shape == images else "matrix"


def _table(matrix: np.ndarray[Any, Any], label: str) -> dict[str, Any]:
    corner = _corner(matrix)
    rows = [[number(x) for x in row] for row in corner.tolist()]
    return {"at": label, "rows": rows, "more": [len(matrix) > len(corner), matrix.shape[1] > corner.shape[1]]}


def _corner(matrix: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return matrix[:ROWS, :COLUMNS]


def _pictures(stack: np.ndarray[Any, Any], labels: list[str], value: Value) -> dict[str, Any]:
    """Return matrices as codes of two bytes, the low one first: 0 is the lowest finite number, FINITE the highest."""
    x = stack.astype(np.float64)
    low, high = (0.0, 0.0) if math.isnan(value.low) else (value.low, value.high)
    with np.errstate(all="ignore"):
        place = (x / 2 - low / 2) / (high / 2 - low / 2) if high > low else np.zeros_like(x)
        codes = np.where(np.isfinite(x), np.round(FINITE * np.clip(place, 0, 1)), NAN)
    codes[x == np.inf], codes[x == -np.inf] = INFINITE, MINUS_INFINITE
    drawn = [b64encode(matrix.astype("<u2").tobytes()).decode() for matrix in codes]
    return {
        "size": list(stack.shape[1:]),
        "low": float(low),
        "high": float(high),
        "codes": [{"at": label, "codes": text} for label, text in zip(labels, drawn, strict=False)],
    }
