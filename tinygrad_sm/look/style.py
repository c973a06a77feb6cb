"""What pictures of a recording are drawn with: colours of both schemes, outlines of the kinds, widths of texts.

Fonts differ from machine to machine, so widths of texts are estimates, from a font that is wider than most.
"""

import unicodedata
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate

from tinygrad_sm.errors import shown

FONT, SMALL = 14, 12
"""The sizes of labels, and of shapes and numbers, in pixels."""

WIDEST = 230
"""How wide a name may be, in pixels, before its middle is left out."""

# By Okabe and Ito, whose colours the colour-blind can tell apart; some a little darker or lighter, to stand out.
LIGHT = {
    "paper": "#ffffff",
    "text": "#1a1a1a",
    "soft": "#595959",
    "line": "#6e6e6e",
    "operation-fill": "#e8f2fa",
    "operation": "#0072b2",
    "parameter-fill": "#fdeee2",
    "parameter": "#d55e00",
    "input-fill": "#e3f5ee",
    "input": "#009e73",
    "constant-fill": "#f2f2f2",
    "constant": "#6e6e6e",
    "earlier-fill": "#f9ecf3",
    "earlier": "#b8578f",
}
DARK = {
    "paper": "#14171a",
    "text": "#f2f2f2",
    "soft": "#b3b8bd",
    "line": "#98a0a7",
    "operation-fill": "#12303f",
    "operation": "#56b4e9",
    "parameter-fill": "#3a2a0e",
    "parameter": "#e69f00",
    "input-fill": "#0f3327",
    "input": "#2bbf94",
    "constant-fill": "#2a2e32",
    "constant": "#98a0a7",
    "earlier-fill": "#3a2433",
    "earlier": "#cc79a7",
}

_KINDS = ("operation", "parameter", "input", "constant", "earlier")
_PAINT = {  # selector: the property and its colour
    ".paper": ("fill", "paper"),
    "text": ("fill", "text"),
    ".shape": ("fill", "soft"),
    ".key": ("fill", "soft"),
    ".head": ("fill", "line"),
    ".line": ("stroke", "line"),
    ".inside": ("stroke", "paper"),
    **{f".{kind} .box": ("fill", f"{kind}-fill") for kind in _KINDS},
    **{f".{kind} path.box": ("stroke", kind) for kind in _KINDS},
}


def _properties(colours: dict[str, str]) -> str:
    return "".join(f"--{name}:{colour};" for name, colour in colours.items())


_LIGHT_PAINT = "".join(f".tape {where}{{{what}:{LIGHT[name]}}}" for where, (what, name) in _PAINT.items())
_PAINT_BY_SCHEME = "".join(f".tape {where}{{{what}:var(--{name})}}" for where, (what, name) in _PAINT.items())

# Programs that know no custom properties, as some for printing, skip what they do not know: the light colours remain.
STYLE = f"""
.tape{{{_properties(LIGHT)}}}
@media screen and (prefers-color-scheme:dark){{.tape{{{_properties(DARK)}}}}}
.tape text{{font-family:system-ui,"DejaVu Sans",Arial,sans-serif;font-size:{FONT}px;text-anchor:middle}}
.tape .name{{font-weight:600}}
.tape .shape,.tape .key,.tape .number,.tape .said{{font-size:{SMALL}px}}
.tape .number{{text-anchor:end;font-variant-numeric:tabular-nums}}
.tape .key,.tape .said{{text-anchor:start}}
.tape .box{{stroke-width:1.5;stroke-linejoin:round}}
.tape .line,.tape .inside{{fill:none;stroke-width:1.5}}
.tape .no-gradient .line{{stroke-dasharray:5 3}}
.tape .twice .line{{stroke-width:4.5}}
{_LIGHT_PAINT}
@supports (--a:b){{.tape{{max-width:100%;height:auto}}{_PAINT_BY_SCHEME}}}
"""


def px(x: float) -> str:
    """Return a number of pixels as text, to a tenth.

    >>> px(2.0), px(-0.04), px(1234.56)
    ('2', '0', '1234.6')
    """
    return f"{round(x, 1) + 0.0:.10g}"


def outline(kind: str, width: float, height: float) -> str:
    """Return the path of the outline of a kind, with its centre at (0, 0).

    An operation is a rectangle, a parameter has round ends, an input leans, a constant has six corners, and what was
    made before the recording points down.
    """
    w, h, slope = width / 2, height / 2, min(8, height / 3)
    if kind == "operation":
        return _rounded(w, h, 4)
    if kind == "parameter":
        return _rounded(w, h, min(h, 15))
    corners = {
        "input": [(slope - w, -h), (w, -h), (w - slope, h), (-w, h)],
        "constant": [(slope - w, -h), (w - slope, -h), (w, 0), (w - slope, h), (slope - w, h), (-w, 0)],
        "earlier": [(-w, -h), (w, -h), (w, h - slope), (0, h), (-w, h - slope)],
    }[kind]
    return f"M{'L'.join(f'{px(x)},{px(y)}' for x, y in corners)}z"


def _rounded(w: float, h: float, radius: float) -> str:
    r, back, across, down = px(radius), px(-radius), px(2 * (w - radius)), px(2 * (h - radius))
    corners = [f"a{r},{r} 0 0 1 {x},{y}" for x, y in ((r, r), (back, r), (back, back), (r, back))]
    sides = [f"h{across}", f"v{down}", f"h-{across}", f"v-{down}"]
    return f"M{px(radius - w)},{px(-h)}{''.join(map(str.__add__, sides, corners))}z"


def shortened(text: str) -> str:
    """Return text that can be printed, its middle replaced by "…" if it is too wide: of a path both ends say much."""
    if len(text) > 400:
        text = f"{text[:200]}…{text[-200:]}"
    text = shown(text)
    if width_of(text, FONT) <= WIDEST:
        return text
    head, tail = _fitting(text), _fitting(text[::-1])
    return f"{text[:head]}…{text[len(text) - tail :]}"


def _fitting(text: str) -> int:
    """Return how many of the first characters are half as wide as a name may be."""
    return bisect_right(list(accumulate(_widths(text, FONT))), (WIDEST - FONT) / 2)


def width_of(text: str, size: float) -> float:
    """Return an estimate of how wide a text is."""
    return sum(_widths(text, size))


def _widths(text: str, size: float) -> Iterator[float]:
    """Estimate how wide each character is, for any font that is not wider than DejaVu Sans."""
    for c in text:
        if c in "fijlrtI.,:;!|'()[]/\\ -":
            yield 0.42 * size
        elif c.isascii() and (c.islower() or c.isdigit() or c in '_?*"`{}$') and c not in "mw":
            yield 0.65 * size
        elif unicodedata.combining(c):
            yield 0
        else:
            yield (1.1 if c in "mwMW@%" or not (c.isascii() or c in "−×→±") else 0.85) * size
