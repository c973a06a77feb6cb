"""What notebooks show of Tensors, Modules, profiles and reports of `gradcheck`: HTML for light and dark pages.

    w = tg.Tensor([[1.0, -2.0]], requires_grad=True)
    w                           # at the end of a cell: a table of numbers on colours, its shape, dtype and device

`notebooks.show_in_notebooks` says which class is shown by which function here. `print` and `repr` give text.
"""

from html import escape
from typing import Any

from tinygrad_sm.backend import to_numpy
from tinygrad_sm.engine.tape import data_of
from tinygrad_sm.errors import package, shown
from tinygrad_sm.look.heat import BLUE, FAINT, ORANGE, array_html, note
from tinygrad_sm.look.trees import branches, module_html

__all__ = ["gradcheck_html", "module_html", "module_tree", "profile_html", "tensor_html", "tensor_tree"]

MOST_OPERATIONS = 100
"""So many operations of a profile are listed."""

DEEPEST_TREE = 40
"""Modules that are deeper are given to treescope as text, because it calls itself for each level."""


def tensor_html(t: Any) -> str:
    """Return a Tensor as HTML: what it is, its numbers or images, and its gradient folded; at most 60 kB."""
    facts = [f"shape {t.shape}", str(t.dtype), t.device]
    if t.name is not None:
        facts.append(f"name {shown(str(t.name), longest=200)}")
    if t.node is not None:
        facts.append(f"made by {t.node.op.name}")
    elif t.requires_grad:
        facts.append("requires a gradient")
    head = f'<b>{escape(type(t).__name__)}</b> <span style="{FAINT}">{escape(" · ".join(facts))}</span>'
    gradient = ""
    if t.grad is not None:
        gradient = f"<details><summary>gradient</summary>{array_html(data_of(t.grad))}</details>"
    return f"<div>{head}{array_html(t.data)}{gradient}</div>"


def gradcheck_html(report: Any) -> str:
    """Return the report of a check as HTML: its sentence, and its figures in a table."""
    figures = {
        "highest order": report.order,
        "method, of order 1": report.method,
        "derivatives compared one by one": f"{report.elements:,} of {report.derivatives:,}",
        "random directions": f"{report.directions:,}",
        "largest distance from a numerical derivative": f"{report.largest_error:.2g}",
        "largest possible error, relative": f"{report.error_bound:.2g}",
        "derivatives at kinks": f"{report.kinks:,}",
    }
    lines = [_cell(name, side="left") + _cell(escape(str(value))) for name, value in figures.items()]
    return f"<div>{escape(str(report))}{_table(lines)}</div>"


def profile_html(profile: Any) -> str:
    """Return a profile as a table, with a bar for the time of each operation: forward blue, backward orange."""
    rows = profile.rows
    listed = dict(list(rows.items())[:MOST_OPERATIONS])
    longest = max((row.forward + row.backward for row in listed.values()), default=0.0) or 1.0
    heads = ["calls", f"{_bar(BLUE, 0.7)} forward ms", f"{_bar(ORANGE, 0.7)} backward ms", "", "bytes"]
    lines = [_cell("operation", "left", "th") + "".join(_cell(head, tag="th") for head in heads)]
    for name, row in [*listed.items(), ("total", profile.total)]:
        bars = [_bar(BLUE, 12 * row.forward / longest), _bar(ORANGE, 12 * row.backward / longest)]
        lines.append(
            _cell(escape(name), side="left")
            + "".join(map(_cell, (f"{row.calls:,}", f"{1e3 * row.forward:,.3f}", f"{1e3 * row.backward:,.3f}")))
            + _cell("".join(bars) if name in listed else "", side="left")
            + _cell(f"{row.bytes:,}")
        )
    left_out = len(rows) - len(listed)
    more = note(f"{left_out:,} operations that took less time are left out") if left_out else ""
    return f"<div>{_table(lines)}{more}</div>"


def tensor_tree(t: Any, path: Any, subtree_renderer: Any) -> Any:
    """Return what treescope shows of a Tensor: its class, with its array and what is not as usual."""
    attributes: dict[str, Any] = {"data": to_numpy(t.data)}
    if t.name is not None:
        attributes["name"] = t.name
    if t.requires_grad:
        attributes["requires_grad"] = True
    if t.grad is not None:
        attributes["grad"] = to_numpy(data_of(t.grad))
    return _constructor(t, attributes, path, subtree_renderer)


def module_tree(module: Any, path: Any, subtree_renderer: Any) -> Any:
    """Return what treescope shows of a Module: its class, with its public attributes."""
    if max(branch.level for branch in branches(module)) > DEEPEST_TREE:
        return NotImplemented
    attributes = {name: value for name, value in vars(module).items() if not name.startswith("_")}
    return _constructor(module, attributes, path, subtree_renderer)


def _constructor(x: Any, attributes: dict[str, Any], path: Any, subtree_renderer: Any) -> Any:
    treescope = package("treescope.repr_lib", "to show a tree")  # it calls these functions, so it is there
    return treescope.repr_lib.render_object_constructor(type(x), attributes, path, subtree_renderer)


def _table(lines: list[str]) -> str:
    return f'<table style="border-collapse:collapse;margin:.3em 0"><tr>{"</tr><tr>".join(lines)}</tr></table>'


def _cell(markup: str, side: str = "right", tag: str = "td") -> str:
    style = f"padding:1px 8px;text-align:{side};font-variant-numeric:tabular-nums;white-space:nowrap"
    return f'<{tag} style="{style}">{markup}</{tag}>'


def _bar(color: tuple[int, int, int], width: float) -> str:
    style = f"display:inline-block;height:.7em;width:{width:.2f}em;background:rgb{color}".replace(" ", "")
    return f'<span style="{style}"></span>'
