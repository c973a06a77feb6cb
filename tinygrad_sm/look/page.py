"""A recording as a page: one HTML file, without network or libraries, that is stepped through with the arrow keys.

    recording.page("tape.html")

The page holds what was recorded as JSON, with its numbers rounded as they are shown, and the drawing of the tape.
`page.js` puts them on the screen, one step at a time, and computes nothing but places and colours.
"""

import html
import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_sm.arguments import integers
from tinygrad_sm.look.drawing import MOST_ENTRIES, svg
from tinygrad_sm.look.entries import Arrival, Backward, Change, Entry, Forward, Leaf, Line, Step
from tinygrad_sm.look.values import Value, copied
from tinygrad_sm.look.views import DIGITS, view


def written(recording: Any, path: str | Path, title: str, images: tuple[int, int] | None) -> Path:
    """Write what `Recording.page` promises, and return the path."""
    text = page(recording, title, images)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text.encode("utf-8", "backslashreplace"))  # a name may hold half a surrogate
    return path


def page(recording: Any, title: str = "The tape, step by step", images: tuple[int, int] | None = None) -> str:
    """Return the page as the text of an HTML file. Raises ValueError if the recording is too large for one."""
    count = len(recording.entries)
    if count > MOST_ENTRIES:
        raise ValueError(
            f"page: expected a recording of at most {MOST_ENTRIES:,} leaves and operations, got {count:,}; record "
            "less, such as one step of training, a smaller model or a shorter loop"
        )
    if images is not None:
        height, width = integers("page", "images", images, count=2)
        images = height, width
    parts = {
        "title": html.escape(str(title)),
        "graph": svg(recording),
        "data": _safe(contents(recording, images)),
        "style": _text("page.css"),
        "script": _text("page.js"),
    }
    # In one pass, because a part may hold what looks like the place of another.
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _text("page.html"))


def contents(recording: Any, images: tuple[int, int] | None = None) -> dict[str, Any]:
    """Return what the page holds, as dicts, lists, numbers and text: entries, steps and values.

    Each value is written once, and known by its place in the list of values.
    """
    values = _Values(images, recording.largest)
    entries = [*recording.leaves, *recording.operations]
    uses: dict[int, int] = {}
    for operation in recording.operations:
        for operand in operation.operands:
            uses[operand.source.key] = uses.get(operand.source.key, 0) + operand.needs_gradient
    described = [_entry(entry, values) | {"uses": uses.get(entry.key, 0)} for entry in entries]
    current = {entry.key: values.place(entry.value) for entry in entries}  # an optimizer changes leaves on the way
    steps = []
    for step in recording.steps:
        steps.append(_step(step, values, current))
        if isinstance(step, Change):
            current[step.leaf.key] = values.place(step.after)
    return {"digits": DIGITS, "entries": described, "steps": steps, "values": values.views}


class _Values:
    """The list of what is shown of values; equal ones are one."""

    def __init__(self, images: tuple[int, int] | None, largest: int):
        self.images, self.largest = images, largest
        self.views: list[dict[str, Any]] = []
        self.places: dict[str, int] = {}
        self.known: dict[int, tuple[Value, int]] = {}  # by id

    def place(self, value: Value, is_input: bool = False) -> int:
        if id(value) not in self.known:
            shown = view(value, self.images, self.largest, is_input)
            place = self.places.setdefault(json.dumps(shown), len(self.views))
            if place == len(self.views):
                self.views.append(shown)
            self.known[id(value)] = value, place
        return self.known[id(value)][1]


def _entry(entry: Entry, values: _Values) -> dict[str, Any]:
    shown = {
        "key": entry.key,
        "kind": entry.kind,
        "label": entry.label,
        "names": list(entry.names),
        "value": values.place(entry.value, is_input=entry.kind == "input"),
    }
    if isinstance(entry, Leaf):
        return shown
    operands = [
        {"name": x.name, "from": x.source.key, "needs_gradient": x.needs_gradient, "rule": x.rule}
        for x in entry.operands
    ]
    return shown | {
        "formula": entry.formula,
        "options": entry.options,
        "line": _line(entry.line),
        "operands": operands,
    }


def _step(step: Step, values: _Values, current: dict[int, int]) -> dict[str, Any]:
    match step:
        case Forward(operation):
            operands = [current[operand.source.key] for operand in operation.operands]
            return {"kind": "forward", "of": operation.key, "operands": operands}
        case Backward(operation, g, answers):
            told = [
                {
                    "operand": operation.operands.index(answer.operand),
                    "answer": values.place(answer.answer),
                    "part": values.place(answer.part),
                    "summed": list(answer.summed),
                }
                for answer in answers
            ]
            return {"kind": "backward", "of": operation.key, "g": values.place(g), "answers": told}
        case Arrival(leaf, g):
            return {"kind": "arrival", "of": leaf.key, "g": values.place(g), "value": current[leaf.key]}
        case Change(leaf, before, after, line):
            return {
                "kind": "change",
                "of": leaf.key,
                "before": values.place(before),
                "after": values.place(after),
                "difference": values.place(_difference(before, after)),
                "line": _line(line),
            }


def _difference(before: Value, after: Value) -> Value:
    """Return what a change added; of values that are not whole, of their samples alone."""
    wide = np.int64 if before.dtype.kind in "bu" else before.dtype
    with np.errstate(all="ignore"):
        return copied(after.sample.astype(wide) - before.sample.astype(wide), before.sample.size)


def _line(line: Line) -> list[str]:
    return [line.place, line.text]


def _safe(contents: dict[str, Any]) -> str:
    """Return JSON that nothing in a page can end: no name may close its `<script>`."""
    text = json.dumps(contents, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return re.sub("[<>&\u2028\u2029]|[\ud800-\udfff]", lambda found: f"\\u{ord(found[0]):04x}", text)


def _text(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")
