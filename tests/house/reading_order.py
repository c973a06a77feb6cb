"""Keeps the line counts of the reading order true: `make record` writes them."""

import re

from tests.helpers import ROOT

ROW = re.compile(r"(?<=\| \[`)(\S+)(`\]\(\S+\) \| )\d+(?= \|)")


def lines(path):
    return len((ROOT / path).read_text().splitlines())


def with_line_counts(page):
    """Return the text of the page with the number of lines that each file of the reading order has."""
    return ROW.sub(lambda row: f"{row[1]}{row[2]}{lines(row[1])}", page)


def record():
    """Write the line counts of today into the page."""
    path = ROOT / "docs/reading_order.md"
    path.write_text(with_line_counts(path.read_text()))
