"""A recording as one SVG picture: what was computed from what, with kinds, names, shapes and the loss.

    pathlib.Path("tape.svg").write_text(recording.svg(), encoding="utf-8")

`layout` says where the nodes stand and where the lines run; here they get their texts, outlines and colours. Browsers,
notebooks and vector programs read the picture, alone or inside of an HTML page. A page that steps through the tape
finds the node of an entry by the id `n<key>`, and the edge between two by `e<key>-<key>`.
"""

import re
from itertools import accumulate, pairwise
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from tinygrad_sm.errors import shown
from tinygrad_sm.look.digits import typeset
from tinygrad_sm.look.entries import Entry, Operand, Operation
from tinygrad_sm.look.layout import layered
from tinygrad_sm.look.style import FONT, SMALL, STYLE, outline, px, shortened, width_of
from tinygrad_sm.look.values import Value

MOST_ENTRIES = 2_000
"""The most leaves and operations that are drawn: more would be a picture that nobody can read."""

MOST_NUMBERS = 6
"""The most elements of an array that a node shows one by one."""

_NODES = {
    "operation": "operation",
    "parameter": "parameter",
    "input": "input",
    "constant": "constant",
    "earlier": "made before the recording",
}
_EDGES = {
    "gradient": "a gradient goes back",
    "no-gradient": "no gradient goes back",
    "twice": "several operands of one operation",
}

_ROW, _BETWEEN = 16, 3  # from line to line inside of a node, and more before the value and the gradient
_SHAPE = 17  # the height of the shape under a node
_GAP = (26, 36)
_MARGIN = 16
_ALONE = 6  # how many entries without edges stand in a row


def svg(recording: Any, numbers: bool = False, prefix: str = "") -> str:
    """Return what `Recording.svg` promises: operands above results, the shape of each value at the start of its edges.

    >>> import tinygrad_sm as tg
    >>> with tg.look.record() as recording:
    ...     squares = tg.Tensor([3.0, 4.0], requires_grad=True) ** 2
    >>> re.findall('class="label"[^>]*>([^<]*)', recording.svg())
    ['parameter', '2', 'power']
    """
    if not re.fullmatch(r"[\w.-]*", prefix):
        raise ValueError(f'svg: expected a prefix of letters, digits, "_", "-" and ".", got {shown(prefix, 100)!r}')
    entries = _in_order(recording)
    if len(entries) > MOST_ENTRIES:
        raise ValueError(
            f"svg: expected at most {MOST_ENTRIES:,} leaves and operations, because nobody can read a larger picture, "
            f"got {len(entries):,}: record fewer, as one step of a smaller model, or print the recording's text()"
        )
    if not entries:
        return _framed("Nothing was recorded.", 150, 20, ['<text class="said" y="14">Nothing was recorded.</text>'])
    boxes = {entry.key: _Box(entry, numbers) for entry in entries}
    edges: dict[tuple[int, int], list[Operand]] = {}
    for operation in recording.operations:
        for operand in operation.operands:
            edges.setdefault((operand.source.key, operation.key), []).append(operand)
    sizes = {key: (box.width, box.height + _SHAPE) for key, box in boxes.items()}
    used = {key for edge in edges for key in edge}
    alone = [key for key in boxes if key not in used]
    ties = zip(alone, alone[_ALONE:], strict=False)  # not drawn: they stack what would else be one endless row
    places, routes = layered(list(boxes), [*edges, *ties], sizes, _GAP)

    ends = [x + sign * boxes[key].width / 2 for key, (x, _) in places.items() for sign in (-1, 1)]
    ends += [x for route in routes.values() for x, _ in route]
    left, width = min(ends), max(ends) - min(ends)
    bottom = max(y + sizes[key][1] / 2 for key, (_, y) in places.items())
    marks = {kind for operands in edges.values() for kind in _kinds(operands)}
    legend, legend_width, top = _legend({entry.kind for entry in entries}, marks, max(width, 420))
    full = max(width, legend_width)
    drawn = [*legend, f'<g transform="translate({px((full - width) / 2 - left)},{px(top)})">']
    for (a, b), operands in edges.items():
        drawn.append(_edge(f"{prefix}e{a}-{b}", boxes[a].entry, boxes[b].entry, operands, routes[a, b]))
    for key, box in boxes.items():
        x, y = places[key]
        drawn.append(box.drawn(f"{prefix}n{key}", x, y - _SHAPE / 2))
    title = f"The tape: {len(recording.operations)} operations, {len(recording.leaves)} leaves"
    return _framed(title, full, top + bottom, [*drawn, "</g>"])


class _Box:
    """The node of an entry: what stands in it, and how large it is."""

    def __init__(self, entry: Entry, numbers: bool):
        self.entry = entry
        self.label, self.name = _label(entry)
        self.rows: list[tuple[str, list[str]]] = []  # the numbers: a key, which may be empty, and cells
        is_shown = numbers or entry.value.shape == ()
        if is_shown and not entry.is_number:
            self.rows += _rows("value", entry.value)
            self.rows += _rows("grad", entry.g) if entry.g else []
        across = max((len(cells) for _, cells in self.rows), default=0)
        self.columns = [
            max(width_of(cells[i], SMALL) for _, cells in self.rows if i < len(cells)) + 12 for i in range(across)
        ]
        self.key_width = width_of("value", SMALL) if self.rows else 0
        text = width_of(self.label, FONT) + (1.12 * width_of(f" → {self.name}", FONT) if self.name else 0)
        shape = width_of(_shape(entry.value), SMALL)
        self.width = max(text, self.key_width + sum(self.columns), shape - 24, 34) + 28
        self.height = 30 + sum(_ROW + (_BETWEEN if key else 0) for key, _ in self.rows) + 6 * (entry.kind == "earlier")

    def drawn(self, name: str, x: float, y: float) -> str:
        """Return the group; (x, y) is the centre of the box, under which the shape stands."""
        kind, top = self.entry.kind, -self.height / 2
        label = escape(self.label) + (f' → <tspan class="name">{escape(self.name)}</tspan>' if self.name else "")
        parts = [
            f'<g class="node {kind}" id="{name}" transform="translate({px(x)},{px(y)})">',
            f"<title>{escape(_about(self.entry))}</title>",
            f'<path class="box" d="{outline(kind, self.width, self.height)}"/>',
            f'<text class="label" y="{px(top + 20)}">{label}</text>',
        ]
        start = -(self.key_width + sum(self.columns)) / 2
        ends = [start + self.key_width + end for end in accumulate(self.columns)]
        baseline = top + 20.0
        for key, cells in self.rows:
            baseline += _ROW
            if key:
                baseline += _BETWEEN
                parts.append(f'<text class="key" x="{px(start)}" y="{px(baseline)}">{key}</text>')
            for cell, end in zip(cells, ends, strict=False):
                parts.append(f'<text class="number" x="{px(end)}" y="{px(baseline)}">{escape(cell)}</text>')
        parts.append(f'<text class="shape" y="{px(-top + 13)}">{_shape(self.entry.value)}</text></g>')
        return "".join(parts)


def _edge(name: str, a: Entry, b: Entry, operands: list[Operand], route: list[tuple[float, float]]) -> str:
    kinds, (x, y) = _kinds(operands), route[-1]
    is_what = " and ".join(operand.name for operand in operands)
    about = escape(shown(f"{_words(a)} is {is_what} of {_words(b)}; {_EDGES[kinds[0]]}", 300))
    head = f'<path class="head" d="M{px(x - 4)},{px(y - 8)}h8l-4,7.5z"/>'
    line = _line(_curve(route), len(operands) > 1)
    return f'<g class="edge {" ".join(kinds)}" id="{name}"><title>{about}</title>{line}{head}</g>'


def _kinds(operands: list[Operand]) -> list[str]:
    """Return the kinds of an edge, which may stand for several operands of one operation."""
    kind = "gradient" if any(operand.needs_gradient for operand in operands) else "no-gradient"
    return [kind, "twice"] if len(operands) > 1 else [kind]


def _line(path: str, is_double: bool) -> str:
    return f'<path class="line" d="{path}"/>' + f'<path class="inside" d="{path}"/>' * is_double


def _curve(route: list[tuple[float, float]]) -> str:
    """Return the path along the points, upright at each of them, and shorter by the arrow's head."""
    end = route[-1][1] - 7
    points = [(x, min(y, end)) for x, y in route]
    path = [f"M{px(points[0][0])},{px(points[0][1])}"]
    for (xa, ya), (xb, yb) in pairwise(points):
        half = px((ya + yb) / 2)
        if abs(xa - xb) > 0.05:
            path.append(f"C{px(xa)},{half} {px(xb)},{half} {px(xb)},{px(yb)}")
        elif yb > ya:
            path.append(f"V{px(yb)}")
    return "".join(path)


def _legend(nodes: set[str], edges: set[str], most: float) -> tuple[list[str], float, float]:
    """Return what explains the kinds that occur, in lines of at most this width, and its width and height."""
    parts, widest, y = [], 0.0, 10.0
    for words, kinds in ((_NODES, nodes), (_EDGES, edges)):
        x = 0.0
        for kind in [kind for kind in words if kind in kinds]:
            needed = 38 + width_of(words[kind], SMALL)
            if x and x + needed > most:
                x, y = 0.0, y + 26
            if words is _NODES:
                sample = f'<path class="box" transform="translate(15,0)" d="{outline(kind, 30, 16)}"/>'
            else:
                sample = _line("M0,0H30", is_double=kind == "twice")
            said = f'<text class="said" x="38" y="4">{words[kind]}</text>'
            parts.append(f'<g class="sample {kind}" transform="translate({px(x)},{px(y)})">{sample}{said}</g>')
            widest = max(widest, x + needed)
            x += needed + 22
        y += 26 if x else 0
    return ['<g class="legend">', *parts, "</g>"], widest, y + 8


def _framed(title: str, width: float, height: float, parts: list[str]) -> str:
    w, h = px(width + 2 * _MARGIN), px(height + 2 * _MARGIN)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="tape" width="{w}" height="{h}" viewBox="0 0 {w} {h}" '
            f'role="img" aria-label={quoteattr(title)}>',
            f"<style>{STYLE}</style>",
            f'<rect class="paper" width="{w}" height="{h}" rx="8"/>',
            f'<g transform="translate({_MARGIN},{_MARGIN})">',
            *parts,
            "</g>",
            "</svg>",
            "",
        ]
    )


def _in_order(recording: Any) -> list[Entry]:
    """Return the entries as they came: each leaf before its first use, at the end those that nothing used."""
    found: dict[int, Entry] = {}
    for operation in recording.operations:
        found.update({operand.source.key: operand.source for operand in operation.operands})
        found[operation.key] = operation
    return [*found.values(), *(leaf for leaf in recording.leaves if leaf.key not in found)]


def _label(entry: Entry) -> tuple[str, str]:
    """Return the first line of a node: the label, and the variable of an operation's output, which may be empty."""
    has_variable = isinstance(entry, Operation) and entry.names
    return shortened(entry.label), shortened(entry.names[0]) if has_variable else ""


def _words(entry: Entry) -> str:
    return f"{entry.label} → {entry.names[0]}" if isinstance(entry, Operation) and entry.names else entry.label


def _about(entry: Entry) -> str:
    """Return the text that a reader sees who points at the node."""
    lines = [", ".join(entry.names) if entry.names else entry.label]
    if isinstance(entry, Operation):
        lines[0] = f"{entry.label} → {lines[0]}" if entry.names else entry.label
        lines += [entry.formula, ", ".join(f"{name}={text}" for name, text in entry.options.items())]
        lines += [f"{entry.line.place}  {entry.line.text}"]
    else:
        lines[0] = f"{lines[0]}: {_NODES[entry.kind]}" if entry.names else lines[0]
    lines.append(f"{_shape(entry.value)}, {entry.value.dtype}")
    return "\n".join(shown(line, longest=300) for line in lines if line)


def _shape(value: Value) -> str:
    return "×".join(map(str, value.shape)) or "scalar"


def _rows(key: str, value: Value) -> list[tuple[str, list[str]]]:
    """Return the lines of a node that show a value: all of a few numbers, or where they lie."""
    if value.is_whole and 0 < value.size <= MOST_NUMBERS:
        rows = value.sample.reshape(-1, value.shape[-1] if value.shape else 1).tolist()
        return [(key if i == 0 else "", [typeset(x) for x in row]) for i, row in enumerate(rows)]
    kind = int if value.dtype.kind in "iu" else bool if value.dtype.kind == "b" else float
    finite = value.size - value.nans - value.infs
    ends = [typeset(kind(x)) for x in ((value.low, value.high) if finite else ())]
    parts = [f"{ends[0]} … {ends[1]}" if ends[0] != ends[1] else f"all {ends[0]}"] if finite else []
    parts += [f"{n} {what}" for n, what in ((value.nans, "NaN"), (value.infs, "±∞")) if n]
    return [(key, [", ".join(parts) or "empty"])]
