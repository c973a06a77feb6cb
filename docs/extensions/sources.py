"""Shows the files of the repository on the site: a page for each that is linked, links to them, and parts of them.

In a page, `[text](../examples/micro.py)` and the words `examples/micro.py` and `tests/file.py::a_name` in backticks
become links to the page of that file, the last one to the line that defines the name. `docs/theory.md::A heading` leads
to that heading. A comment of one line,

    <!-- here: README.md, from "## Examples" to "## On a GPU" -->

stands for that part of another file; without `to` it goes on to the end, without `from` it is all but the title.
"""

import os
import pathlib
import re

import reading
from docutils import nodes
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import TextLexer, get_lexer_for_filename
from pygments.util import ClassNotFound
from sphinx.addnodes import pending_xref

ROOT = pathlib.Path(__file__).resolve().parents[2]
PLACE = re.compile(r"(?:examples|tests|tinygrad_sm|nn|datasets|benchmarks|docs)/[\w/.]+\.(?:py|js|css)(?:::(\w+))?")
HEADING = re.compile(r"docs/(\w+)\.md::(.+)")
PART = re.compile(r'^<!-- here: (\S+?)(?:, from "(.+?)"(?: to "(.+)")?)? -->$', re.MULTILINE)
LINK = re.compile(r"(?<=\]\()([^)\s:#]+)((?:#[^)\s]*)?)(?=\))")
HERE = {
    "benchmarks/README.md": "docs/benchmarks.md",
    "benchmarks/README.md#on-a-gpu": "docs/benchmarks.md#on-a-gpu",
    "benchmarks/results/measured.md": "docs/benchmarks.md",
    **reading.pages(),
}
"""What pages of the site show of files elsewhere."""


def with_parts(text, page):
    """Return the Markdown of a page with the parts that it takes from elsewhere, and links that lead to this site."""

    def part(found):
        path, start, end = found.groups()
        whole = (ROOT / path).read_text("utf-8")
        inner = whole.partition(f"\n{start}\n" if start else "\n")[2]
        inner = inner.partition(f"\n{end}\n")[0] if end else inner
        if not inner:
            raise ValueError(f"{page}: {path} has no part from {start!r} to {end!r}")
        return with_links(inner, ROOT / path, page)

    return PART.sub(part, with_links(text, page, page))


def with_links(text, origin, page):
    """Return Markdown of one file as it is to stand in a page: links to the repository's files lead to this site."""

    def link(found):
        path, anchor = found.groups()
        target = pathlib.Path(os.path.normpath(origin.parent / path))
        if not target.is_file() or not target.is_relative_to(ROOT):
            return found[0]
        inside = target.relative_to(ROOT).as_posix()
        here = HERE.get(inside + anchor, inside + anchor)
        if here.startswith("docs/") or target.suffix in (".png", ".svg"):
            return os.path.relpath(ROOT / here, page.parent)
        return f"source:{inside}{anchor}"

    return LINK.sub(link, text)


def line_of(path, name):
    """Return the number of the line that defines a name in a file, or None."""
    defines = re.compile(rf"(?:(?:async )?def|class) {name}\b|{name} ?[:=]|    def {name}\b")
    lines = path.read_text("utf-8").splitlines()
    return next((i + 1 for i, line in enumerate(lines) if defines.match(line)), None)


def mark_links(app, doctree):
    """Make links of the places that stand in backticks, and remember which files are linked."""
    links = list(doctree.findall(lambda node: isinstance(node, nodes.reference | pending_xref)))
    in_links = {id(literal) for link in links for literal in link.findall(nodes.literal)}
    for literal in [literal for literal in doctree.findall(nodes.literal) if id(literal) not in in_links]:
        place, heading = PLACE.fullmatch(literal.astext()), HEADING.fullmatch(literal.astext())
        if heading:
            address = f"site:{heading[1]}.html#{nodes.make_id(heading[2])}"
            literal.replace_self(nodes.reference("", "", literal.deepcopy(), refuri=address))
        if place:
            path = literal.astext().partition("::")[0]
            if (ROOT / path).is_file():
                line = line_of(ROOT / path, place[1]) if place[1] else None
                address = f"source:{path}" + (f"#L-{line}" if line else "")
                literal.replace_self(nodes.reference("", "", literal.deepcopy(), refuri=address))
    linked = {link["refuri"][7:].partition("#")[0] for link in doctree.findall(nodes.reference) if is_source(link)}
    if not hasattr(app.env, "linked_sources"):
        app.env.linked_sources = {}
    app.env.linked_sources[app.env.docname] = linked


def is_source(link):
    """Whether a link leads to a file of the repository."""
    return link.get("refuri", "").startswith("source:")


def resolve(app, doctree, docname):
    """Turn source: into the addresses of the pages, and site: into those of what is built apart."""
    for link in doctree.findall(nodes.reference):
        kind, _, rest = link.get("refuri", "").partition(":")
        if kind == "source":
            path, _, anchor = rest.partition("#")
            address = app.builder.get_relative_uri(docname, f"source/{path}")
            link["refuri"] = f"{address}#{anchor}" if anchor else address
        elif kind == "site":
            link["refuri"] = app.builder.get_relative_uri(docname, "index").removesuffix("index.html") + rest


def pages(app):
    """Yield the page of each file that is linked."""
    formatter = HtmlFormatter(linenos="inline", lineanchors="L", anchorlinenos=True)
    linked = set().union(*getattr(app.env, "linked_sources", {}).values())
    for path in sorted(linked):
        if not (ROOT / path).is_file():
            raise FileNotFoundError(f"a page links to source:{path}, which is not there")
        try:
            lexer = get_lexer_for_filename(path, stripnl=False)
        except ClassNotFound:
            lexer = TextLexer(stripnl=False)
        code = highlight((ROOT / path).read_text("utf-8"), lexer, formatter)
        yield f"source/{path}", {"title": path, "body": f"<h1>{path}</h1>{code}"}, "page.html"


def setup(app):
    """Connect to Sphinx."""

    def read(app, docname, text):
        text[0] = with_parts(text[0], pathlib.Path(app.env.doc2path(docname)))

    app.connect("source-read", read, priority=600)  # after `reading`
    app.connect("doctree-read", mark_links)
    app.connect("doctree-resolved", resolve)
    app.connect("html-collect-pages", lambda app: list(pages(app)))
    return {"parallel_read_safe": False, "parallel_write_safe": True}
