"""How far an operation is proved, in words with links to the table of proofs."""

import functools
import inspect
import pathlib
import re
from typing import NamedTuple

from docstrings import words
from docutils import nodes
from public import MODULES, plain
from sources import line_of
from sphinx.errors import ExtensionError

import tinygrad_sm as tg
from tinygrad_sm.check.cases import CASES

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| `((\w+).*)` \| .* \| (.*) \| .* \| (.*) \|$", re.MULTILINE)
NO_ROW = {
    "move": "Not proved, as it only copies. "
    "`tests/backend/test_devices.py::test_gradients_come_back_to_where_the_leaf_is` checks its gradients on numbers",
    "ndtr": "Not proved: with its polynomial of degree 23 a proof would not end. "
    "`tests/nn/test_functional.py::test_the_normal_distribution` checks values and gradients on numbers",
    **dict.fromkeys(("argmax", "argmin", "one_hot", "accuracy", "confusion_matrix"), "It has no gradient to be proved"),
}
"""What is said of the operations that no row of the table of proofs calls."""


class Row(NamedTuple):
    """A row of the table of proofs, and the case that it proves; `word` is the first of its label."""

    label: str
    word: str
    orders: str
    region: str
    case: object
    anchor: str


class Calls(tg.Observer):
    """Notes which operations are called."""

    def __init__(self):
        self.ops = set()

    def forward(self, op, forward):
        """Note the operation."""
        self.ops.add(op)
        return forward


@functools.cache
def table():
    """Return the rows of docs/proofs.md, which are those of the table of cases."""
    found = ROW.findall((ROOT / "docs/proofs.md").read_text("utf-8"))
    words = [word for _, word, *_ in found]
    return [
        Row(*row, case, anchor=f"{row[1]}-{words[: i + 1].count(row[1])}")
        for i, (row, case) in enumerate(zip(found, CASES, strict=True))
    ]


@functools.cache
def called():
    """Return the operations that the case of each row calls."""
    found = []
    for row in table():
        with tg.observe(Calls()) as calls:
            row.case(*map(tg.Tensor, row.case.operands(row.case.fixed)))
        found.append(calls.ops)
    return found


def rows_of(x):
    """Return the rows of an operation in the table of proofs, and those of others that call it, if it has none."""
    own = [row for row in table() if row.case.op is x or row.word == plain(x).__name__]
    return own, [] if own else [row for row, ops in zip(table(), called(), strict=True) if x in ops]


def paragraph(x, title):
    """Return a paragraph on how far an operation is proved."""
    own, callers = rows_of(x)
    rows, name = own or callers, plain(x).__name__
    if bool(rows) == (name in NO_ROW):
        what = (
            "a row in docs/proofs.md: take it out of NO_ROW"
            if rows
            else "no row in docs/proofs.md: write a case for it"
        )
        raise ExtensionError(f"{title} has {what}")
    found = nodes.paragraph("", "", nodes.strong("", "How far it is proved. "))
    if not rows:
        for test in re.findall(r"(tests/[\w/]+\.py)::(\w+)", NO_ROW[name]):
            if line_of(ROOT / test[0], test[1]) is None:
                raise ExtensionError(f"{title}: {'::'.join(test)}, which NO_ROW names, is not there")
        found += words(NO_ROW[name] + ".")
        return found
    if callers:
        names = " and ".join(dict.fromkeys(f"`{public_name(row)}`" for row in callers))
        found += words(f"Its rows are those of {names}, which calls it. ")
    of_them = [row for row in rows if row.orders != "–"]
    if of_them:
        orders = " or ".join(sorted({row.orders for row in of_them}))
        found += [
            nodes.Text(f"It is proved as a formula at orders {orders} in "),
            link(of_them[0], counted(of_them, rows, "all")),
        ]
        found += regions(x, of_them)
    for reason in dict.fromkeys(row.region for row in rows if row.orders == "–"):
        without = [row for row in rows if row.region == reason]
        found += [nodes.Text("Not proved in "), link(without[0], counted(without, rows, "any of"))]
        found.append(nodes.Text(f", only checked on random numbers: {reason}. "))
    return found


def public_name(row):
    """Return the name by which users call what a row calls."""
    home = next((prefix for prefix, module in MODULES.items() if row.word in module.__all__), None)
    return f"{home}.{row.word}" if home else row.word


def link(row, text):
    """Return a link to a row of the table of proofs."""
    return nodes.reference("", text, refuri=f"site:proofs.html#{row.anchor}")


def counted(some, rows, each):
    """Return how many these are of all rows, in words."""
    if len(some) < len(rows):
        return f"{len(some)} of {len(rows)} rows of the table"
    return "its row of the table" if len(rows) == 1 else f"{each} its {len(rows)} rows of the table"


def regions(x, rows):
    """Return what follows the number of rows that are proved: for which numbers they are."""
    bounded = [row for row in rows if not row.region.startswith("everywhere")]
    found = [nodes.Text(", for all numbers")]
    if bounded:
        some = f" in {len(bounded)} of them" if len(bounded) < len(rows) else " each" if len(rows) > 1 else ""
        found = [nodes.Text(f",{some} for the numbers of a region")]
        example = min(bounded, key=lambda row: ("..." in row.region, len(row.region)))
        condition, _, more = example.region.partition(";")[0].removeprefix("where ").partition(", and ")
        if "..." not in condition:  # the table has room for short ones alone
            more = more and f" and {more} condition{'s' * (more != '1 more')} hold"
            found += [nodes.Text(", such as " if some else ": "), link(example, f"where {condition}{more}")]
            found.append(nodes.Text(inputs_in(x, condition)))
    rounding = [row.region.partition("rounded by ")[2] for row in rows if "rounded by" in row.region]
    if rounding:
        found.append(nodes.Text(f", up to a rounding of at most {max(rounding, key=float)}"))
    return [*found, nodes.Text(". ")]


def inputs_in(x, condition):
    """Return which parameters the inputs x0, x1, ... of a condition are."""
    kinds = inspect.signature(plain(x)).parameters.values()
    names = [p.name for p in kinds if p.kind is not p.VAR_POSITIONAL]
    numbers = sorted({int(number) for number in re.findall(r"\bx(\d)", condition)})
    return f" ({', '.join(f'x{i} is {names[i]}' for i in numbers)})" if numbers else ""


def number_rows(app, doctree):
    """Give the rows of the table of proofs the ids to which links lead."""
    if app.env.docname == "proofs":
        (body,) = doctree.findall(nodes.tbody)
        for row, known in zip(body, table(), strict=True):
            row["ids"].append(known.anchor)


def setup(app):
    """Connect to Sphinx."""
    app.connect("doctree-read", number_rows)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
