"""Arrays as HTML for light and dark pages: a table of numbers on a ground of colour, or a picture.

The colour of a number says its sign, and how strong it is says its size beside the largest one that is shown:

    orange if x > 0, blue if x < 0, opacity = |x| / max |x|         the colour-blind can tell blue and orange apart

Text has the page's own colour. All styles stand in the elements, because some notebooks remove style sheets.
"""

import base64
import html
import struct
import zlib
from typing import Any

import numpy as np

from tinygrad_sm.backend import to_numpy
from tinygrad_sm.look.digits import rounded
from tinygrad_sm.look.values import copied

BLUE, ORANGE = (0, 114, 178), (213, 94, 0)
"""Of Okabe and Ito, "#0072B2" and "#D55E00"."""

POSITIVE, NEGATIVE = ORANGE, BLUE

STRONGEST = 0.55
"""The opacity under the largest number: text on it can be read on white and on black pages."""

MOST_ROWS = MOST_COLUMNS = 12
"""The size of the corner that is shown of a larger matrix."""

LEAST_SIDE, MOST_SIDE, MOST_IMAGES, MOST_PIXELS = 8, 64, 8, 16_384
"""Smaller matrices are no images; of larger ones, and of more, a part is shown."""

COUNTED = 1_000_000
"""The most elements over which the range is taken: to look at more would take longer than one waits for a display."""

FAINT = "opacity:.65"


def array_html(array: Any) -> str:
    """Return an array of any module as HTML: its numbers, a corner of many, or images; it says what is left out.

    An array of shape (..., 1, H, W) with H and W of at least 8 is shown as images, and of any other with more than two
    axes, the first matrix.
    """
    if array.size == 0:
        return note("no elements")
    if array.ndim == 0:
        return f"<div>{_number(to_numpy(array)[()])}</div>"
    if array.ndim > 2 and array.shape[-3] == 1 and min(array.shape[-2:]) >= LEAST_SIDE and array.dtype.kind != "c":
        return _images(array)
    matrix = array[(0,) * (array.ndim - 2)]  # of a vector, all of it
    corner = matrix[:MOST_COLUMNS] if array.ndim == 1 else matrix[:MOST_ROWS, :MOST_COLUMNS]
    notes = []
    if array.ndim > 2:
        notes.append(f"[{', '.join('0' * (array.ndim - 2))}], the first of {array.size // matrix.size:,} matrices")
    if corner.size < matrix.size:
        kept = [f"{n} of {of:,}" for n, of in zip(corner.shape, matrix.shape, strict=True)]
        notes.append("the first " + (f"{kept[0]} rows and {kept[1]} columns" if array.ndim > 1 else kept[0]))
    if corner.size < array.size <= COUNTED and array.dtype.kind != "c":
        notes.append(_range(array))
    numbers = to_numpy(corner)
    more = [n < of for n, of in zip(np.atleast_2d(numbers).shape, (1, *matrix.shape)[-2:], strict=True)]
    return heat_table(numbers, *more) + (note("; ".join(notes)) if notes else "")


def heat_table(numbers: np.ndarray[Any, Any], more_rows: bool = False, more_columns: bool = False) -> str:
    """Return a vector, as a row, or a matrix as a table, with "…" where there is more of it.

    Pointing at a rounded number shows all its digits.
    """
    matrix = np.atleast_2d(numbers)
    is_vector, more = numbers.ndim == 1, "<td>…</td>"
    rows = ["".join(f"<th{_HEAD}>{j}</th>" for j in ["", *range(matrix.shape[1])][is_vector:])]
    for i, (row, strengths) in enumerate(zip(matrix, _strengths(matrix), strict=True)):
        cells = "".join(map(_cell, row, strengths))
        rows.append(("" if is_vector else f"<th{_HEAD}>{i}</th>") + cells + more * more_columns)
    if more_rows:
        rows.append(f"<th{_HEAD}>…</th>" + more * (matrix.shape[1] + more_columns))
    return f'<div style="overflow-x:auto"><table{_TABLE}><tr>{"</tr><tr>".join(rows)}</tr></table></div>'


_TABLE = ' style="border-collapse:collapse;text-align:right;font-variant-numeric:tabular-nums;margin:.3em 0"'
_HEAD = f' style="padding:2px 6px;font-weight:normal;font-size:.8em;text-align:right;{FAINT}"'


def text(x: Any) -> str:
    """Return a number with at most four digits after rounding, integers with all.

    >>> [text(x) for x in (np.float32(0.123456), 1234567, True, np.nan, -np.inf)]
    ['0.1235', '1234567', 'True', 'NaN', '-∞']
    """
    return str(x) if isinstance(x, int | np.integer) else rounded(x)


def note(sentence: str) -> str:
    """Return a small line of text."""
    return f'<div style="font-size:.85em;{FAINT}">{html.escape(sentence)}</div>'


def _cell(x: Any, strength: float) -> str:
    red, green, blue = NEGATIVE if strength < 0 else POSITIVE
    ground = f";background:rgba({red},{green},{blue},{STRONGEST * abs(strength):.2f})" if strength else ""
    if np.isnan(strength):
        ground = ";background:rgba(128,128,128,.35)"
    return f'<td style="padding:2px 6px{ground}">{_number(x)}</td>'


def _number(x: Any) -> str:
    exact, shown = str(x), text(x)
    return shown if exact == shown else f'<span title="{exact}">{shown}</span>'


def _strengths(numbers: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return numbers from −1 to 1 in proportion to the elements, which may be infinite; NaN stays NaN.

    >>> _strengths(np.array([1, -4, -np.inf]))
    array([ 0.25, -1.  , -1.  ])
    """
    with np.errstate(all="ignore"):
        x = np.abs(numbers).astype(np.float64) if numbers.dtype.kind == "c" else numbers.astype(np.float64)
        largest = np.abs(x[np.isfinite(x)]).max(initial=0)
        return np.where(np.isinf(x), np.sign(x), x / largest if largest else x * 0)


def _range(array: Any) -> str:
    """Return in words between which numbers all elements are, and how many are not finite."""
    value = copied(array)
    words = [f"all are from {rounded(value.low)} to {rounded(value.high)}"] if np.isfinite(value.low) else []
    words += [f"{value.nans:,} NaN"] if value.nans else []
    words += [f"{value.infs:,} infinite"] if value.infs else []
    return ", ".join(words)


def _images(array: Any) -> str:
    """Return the first images of shape (..., 1, H, W) beside each other: grey, or by sign if a pixel is negative."""
    height, width = array.shape[-2:]
    every = -(-max(height, width) // MOST_SIDE)
    images = array.reshape(-1, height, width)
    shown = images[:MOST_IMAGES, ::every, ::every]
    x = to_numpy(shown[: MOST_PIXELS // shown[0].size]).astype(np.float64)
    finite = x[np.isfinite(x)]
    low, high = finite.min(initial=0), finite.max(initial=0)
    levels = np.arange(256)
    with np.errstate(all="ignore"):
        if low < 0:
            top = max(-low, high)
            index = 128 + 127 * (x / top).clip(-1, 1)
            opacity = (255 * np.abs(levels - 128) / 127).clip(0, 255)
            palette = np.where(levels[:, np.newaxis] < 128, NEGATIVE, POSITIVE)
            said = f"orange up to {rounded(top)}, blue down to {rounded(-top)}"
        else:
            index = 1 + 254 * (x / (high or 1)).clip(0, 1)
            opacity = np.full(256, 255)
            palette = np.repeat(np.rint((levels[:, np.newaxis] - 1).clip(0) * (255 / 254)), 3, axis=1)
            said = f"black is 0, white is {rounded(high)}"
        index = np.where(np.isnan(x), 0, np.rint(index)).astype(np.uint8)  # 0 is transparent
    opacity[0] = 0
    strip = np.hstack([np.pad(image, ((0, 0), (0, 1))) for image in index])[:, :-1]
    notes = [said]
    if len(x) < len(images):
        notes.insert(0, f"the first {len(x)} of {len(images):,} images")
    if every > 1:
        notes.append(f"one pixel of each {every} × {every}, of {height} × {width}")
    if missing := int(np.isnan(x).sum()):
        notes.append(f"{missing:,} NaN are transparent")
    scale = max(1, round(112 / max(index.shape[1:])))
    source = base64.b64encode(_png(strip, palette, opacity)).decode()
    style = f"width:{scale * strip.shape[1]}px;max-width:100%;image-rendering:pixelated;margin:.3em 0"
    return f'<div><img style="{style}" alt="" src="data:image/png;base64,{source}"></div>' + note("; ".join(notes))


def _png(index: np.ndarray[Any, Any], palette: np.ndarray[Any, Any], opacity: np.ndarray[Any, Any]) -> bytes:
    """Return a PNG file of a matrix of indices into a palette; source: the PNG specification, sections 5 and 11."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = index.shape
    lines = b"".join(b"\0" + row.tobytes() for row in index)  # 0: the line is not filtered
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">2I5B", width, height, 8, 3, 0, 0, 0))  # 8 bits, 3: indices into the palette
        + chunk(b"PLTE", palette.astype(np.uint8).tobytes())
        + chunk(b"tRNS", opacity.astype(np.uint8).tobytes())
        + chunk(b"IDAT", zlib.compress(lines, 9))
        + chunk(b"IEND", b"")
    )
