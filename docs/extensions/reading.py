"""Binds prose to source: a page of `docs/reading/` speaks of a file block by block, and each line stands on it once.

Such a page is Markdown that also reads as it is. Its title ends with the path of the file, and the title of each of its
sections with the beginning of the first line of a block and, in a comment, a hash of the block's text:

    # The whole idea on one page: `examples/micro.py`

    ## An array that remembers: `class Value:` <!-- c3bcffad -->

    `operands` are what it was computed from.

A block goes on to the next one, and takes the decorators above it along. Where the page is built, the source stands
beside the prose. The build fails if the source moved and the prose did not:

- a beginning is not that of exactly one line;
- the blocks are not in the order of the file, or leave its first lines out;
- a block has another hash than its title says. No command renews it: it says that somebody has read the prose again;
- a block is too long to stand beside its prose;
- the prose quotes, in backticks or "so", what does not stand in the block and is no file.

On the site, `docs/reading_order.md` has these pages below it, in the order of its tables.
"""

import hashlib
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
MOST_LINES = 50
TITLE = re.compile(r"^(#+) (.+): (`+) ?(.+?) ?\3(?: <!-- ([0-9a-f]{8}) -->)?$", re.MULTILINE)
LINK = re.compile(r"\]\(\.\./([^)]+)\)")
QUOTE = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)|\"(.+?)\"", re.DOTALL)


class Unbound(ValueError):
    """The prose does not fit the source."""


def blocks(page, source, where):
    """Return [(title, prose, number of the first line, lines)] of a page on a source, both given as text."""
    lines = source.splitlines()
    titles = list(TITLE.finditer(page))[1:]
    if len(titles) != len(re.findall("^##", page, re.MULTILINE)):
        raise Unbound(f"{where}: expected each title of a section to end with the beginning of a line, and a hash")
    ends = [title.start() for title in titles[1:]] + [len(page)]
    starts = [first_line(lines, title[4], where) for title in titles]
    if not starts or starts[0] != 0:
        raise Unbound(f"{where}: expected the first section to begin with the first line, `{lines[0]}`")
    if starts != sorted(set(starts)):
        raise Unbound(f"{where}: expected the sections in the order of the source, got the lines {starts}")
    found, faults = [], []
    for title, end, start, stop in zip(titles, ends, starts, [*starts[1:], len(lines)], strict=True):
        block, prose = lines[start:stop], page[title.end() : end].strip()
        faults += [f"{where}, section {title[2]!r}: {fault}" for fault in faults_of(block, prose, title[5])]
        found.append((title[2], prose, start, block))
    if faults:
        raise Unbound("\n".join(faults))
    return found


def first_line(lines, beginning, where):
    """Return the place of the one line that begins so, or of the first decorator above it."""
    places = [i for i, line in enumerate(lines) if line.lstrip().startswith(beginning)]
    if len(places) != 1:
        came = f"it begins the lines {[i + 1 for i in places]}" if places else "none does"
        raise Unbound(f"{where}: expected one line that begins with `{beginning}`; {came}: the source has moved")
    place = places[0]
    while place and lines[place - 1].lstrip().startswith("@"):
        place -= 1
    return place


def text_of(block):
    """Return the lines of a block as text, without what is not seen at the ends of lines and of the block."""
    return "\n".join(map(str.rstrip, block)).rstrip()


def faults_of(block, prose, read):
    """Yield what is wrong: the block is not that which was read, or too long; the prose is empty, or quotes wrongly."""
    text = text_of(block)
    lines, hashed = len(text.splitlines()), hashlib.sha256(text.encode()).hexdigest()[:8]
    if lines > MOST_LINES:
        yield f"expected at most {MOST_LINES} lines, got {lines}: make it two sections"
    if hashed != read:
        again = "read its lines and its prose again; when the prose fits"
        yield f"the source has changed: {again}, write {hashed} in its title"
    if not prose:
        yield "expected a word on these lines, got none"
    words_of_block = "".join(text.split())
    for _, code, words in QUOTE.findall(prose):
        quote = code or words
        if "".join(quote.split()) not in words_of_block and not (ROOT / quote.strip()).is_file():
            yield f"the prose quotes `{quote}`, which does not stand in these lines"


def source_of(page, where):
    """Return the path of the source that a page's title names."""
    title = TITLE.search(page)
    if title is None or title[1] != "#" or not (ROOT / title[4]).is_file():
        raise Unbound(
            f"{where}: expected a title that ends with the path of a file, as in # Title: `examples/micro.py`"
        )
    return title[4]


def pages():
    """Return {path of a source: path of its page}."""
    found = sorted((ROOT / "docs/reading").glob("*.md"))
    return {source_of(page.read_text("utf-8"), page.name): page.relative_to(ROOT).as_posix() for page in found}


def with_toctree(page):
    """Return the page of the reading order with a table of contents for the sidebar: the pages of what it links to."""
    known = pages()
    below = [known[path].removeprefix("docs/") for path in LINK.findall(page) if path in known]
    return "\n".join([page, "```{toctree}", ":hidden:", "", *below, "```", ""])


def beside(page, where):
    """Return the page with the source beside the prose, for MyST."""
    path = source_of(page, where)
    first = TITLE.search(page)
    head = page[first.end() : TITLE.search(page, first.end()).start()].strip()
    parts = [f"---\nhide-toc: true\n---\n\n# {first[2]}\n\n[`{path}`](source:{path})\n\n{head}"]
    for title, prose, start, block in blocks(page, (ROOT / path).read_text("utf-8"), where):
        parts.append(
            f"## {title}\n\n:::::{{container}} beside\n::::{{container}} prose\n{prose}\n::::\n"
            f"~~~~~{{code-block}} python\n:lineno-start: {start + 1}\n\n{text_of(block)}\n~~~~~\n:::::"
        )
    return "\n\n".join(parts) + "\n"


def setup(app):
    """Let Sphinx read the pages so."""

    def read(app, docname, text):
        if docname.startswith("reading/"):
            text[0] = beside(text[0], f"docs/{docname}.md")
        elif docname == "reading_order":
            text[0] = with_toctree(text[0])

    app.connect("source-read", read)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
