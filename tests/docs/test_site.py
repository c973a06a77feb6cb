"""The site's prose is bound to the source, its Python runs, and its font has what its pages need."""

import html
import re
import sys
from types import SimpleNamespace

import pytest

from tests.browser import MUST_BE_THERE
from tests.helpers import ROOT, loaded
from tests.house.reading_order import ROW


def extension(path):
    """Import a file of docs/, which is no package."""
    return loaded(ROOT / f"docs/{path}.py", f"site_{path.rpartition('/')[2]}")


reading, font = extension("extensions/reading"), extension("glossary_font")
PAGES = sorted((ROOT / "docs/reading").glob("*.md"))
SITE = ROOT / "build/site"
built = pytest.mark.skipif(not MUST_BE_THERE, reason="make test-site builds the site, and tests it")
SOURCE = '"""Doubles."""\n\n\n@cache\ndef f(x):\n    return 2 * x\n\n\nclass C:\n    """More."""\n'
PAGE = """\
# A page: `examples/micro.py`

## One: `\"\"\"Doubles` <!-- 21ce3ac8 -->

Word.

## Two: `def f` <!-- f63c9e05 -->

It gives `2 * x`.

## Three: `class C` <!-- 0fe4f24a -->

More.
"""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_prose_fits_the_source(page):
    text = page.read_text("utf-8")
    reading.blocks(text, (ROOT / reading.source_of(text, page.name)).read_text("utf-8"), page.name)


@built
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_line_of_the_source_stands_once_on_the_built_page(page):
    """With its number; but for empty lines at the end of a block."""
    source = (ROOT / reading.source_of(page.read_text("utf-8"), page.name)).read_text("utf-8").splitlines()
    blocks = re.findall(r"<pre><span></span>(.*?)</pre>", (SITE / f"reading/{page.stem}.html").read_text("utf-8"), re.S)
    numbered = re.compile(r'<span class="linenos"> *(\d+)</span>(.*)')
    lines = [numbered.fullmatch(line).groups() for block in blocks for line in block.splitlines()]
    shown = [(int(number), html.unescape(re.sub("<[^>]*>", "", text))) for number, text in lines]
    numbers = {number for number, _ in shown}
    expected = [(i, line) for i, line in enumerate(source, start=1) if line or i in numbers]
    assert shown == expected, "make site builds it anew"


def test_the_pages_are_those_of_the_two_evenings_in_their_order():
    page = (ROOT / "docs/reading_order.md").read_text("utf-8")
    evenings = page.partition("\nThe first evening")[2].partition("\nThen what is made of them")[0]
    pages = reading.pages()
    below = reading.with_toctree(page).partition("```{toctree}\n:hidden:\n\n")[2].partition("\n```")[0]
    assert [f"docs/{name}" for name in below.splitlines()] == [pages[path] for path, _ in ROW.findall(evenings)]
    assert len(below.splitlines()) == len(PAGES)


@built
def test_the_tables_of_the_two_evenings_lead_to_their_pages():
    cell = r'<td><p><a class="reference internal" href="reading/(\w+)\.html"><span class="std std-doc"><code [^>]*>'
    leads = re.findall(cell, (SITE / "reading_order.html").read_text("utf-8"))
    assert sorted(leads) == [page.stem for page in PAGES]


def test_a_block_takes_its_decorators_along():
    assert [(title, start) for title, _, start, _ in reading.blocks(PAGE, SOURCE, "page")] == [
        ("One", 0),
        ("Two", 3),
        ("Three", 8),
    ]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("def f(x)", "def g(x)", "none does: the source has moved"),
        (
            "return 2 * x",
            "return 2 * x  # twice",
            "section 'Two': the source has changed: .* write [0-9a-f]{8} in its title",
        ),
        ("return 2 * x", "return x + x", "quotes `2 \\* x`"),
        ("class C:", "def f(y):\n    pass\n\n\nclass C:", r"begins the lines \[5, 9\]"),
        ('"""Doubles."""', "import this\n", "expected the first section to begin|none does"),
        ("    return", "    pass\n" * 60 + "    return", "at most 50 lines"),
    ],
)
def test_a_source_that_moves_breaks_the_page(old, new, says):
    assert old in SOURCE
    with pytest.raises(reading.Unbound, match=says):
        reading.blocks(PAGE, SOURCE.replace(old, new), "page")


def test_blocks_in_another_order_break_the_page():
    one, two = PAGE.index("## Two"), PAGE.index("## Three")
    with pytest.raises(reading.Unbound, match="in the order of the source"):
        reading.blocks(PAGE[:one] + PAGE[two:] + "\n" + PAGE[one:two], SOURCE, "page")


def test_a_section_says_something():
    with pytest.raises(reading.Unbound, match="expected a word"):
        reading.blocks(PAGE.replace("Word.\n", ""), SOURCE, "page")


def test_the_font_has_the_characters_of_the_pages():
    assert len(font.characters()) > 400
    assert font.characters() - font.has() == set(), "run docs/glossary_font.py"


@pytest.fixture(scope="module")
def sphinx():
    """Give the extensions that need Sphinx."""
    pytest.importorskip("sphinx", reason="Sphinx is not installed: make site installs it")
    sys.path.append(str(ROOT / "docs/extensions"))
    yield {name: extension(f"extensions/{name}") for name in ("access", "doctests", "notebooks", "sources")}
    sys.path.remove(str(ROOT / "docs/extensions"))


def test_a_theme_that_writes_something_else_stops_the_build(sphinx, tmp_path):
    old, new = next(iter(sphinx["access"].CHANGES.items()))
    page = tmp_path / "index.html"
    page.write_text(f"<p {old}</p>")
    sphinx["access"].change_pages(SimpleNamespace(outdir=tmp_path), None)
    assert page.read_text() == f"<p {new}</p>"
    page.write_text("<p></p>")
    with pytest.raises(ValueError, match="expected the theme to write"):
        sphinx["access"].change_pages(SimpleNamespace(outdir=tmp_path), None)


def test_notebooks_that_run_for_long_or_not_at_all_stop_the_build(sphinx):
    check, pages = sphinx["notebooks"].check, ["notebooks/index", "notebooks/a", "notebooks/b"]
    ran = {"notebooks/a": {"exec_data": {"runtime": 60}}, "notebooks/b": {"exec_data": {"runtime": 29}}}
    app = SimpleNamespace(env=SimpleNamespace(found_docs=pages, nb_metadata=ran))
    check(app, None)
    ran["notebooks/b"]["exec_data"]["runtime"] = 31
    with pytest.raises(Exception, match="expected the notebooks to run in 90 seconds, got 91"):
        check(app, None)
    check(app, ValueError("the build has failed already"))
    del ran["notebooks/b"]
    with pytest.raises(KeyError):
        check(app, None)


def test_an_example_that_is_wrong_stops_the_build(sphinx):
    run = sphinx["doctests"].run
    run(">>> 1 + 1\n2\n", {}, "page")
    with pytest.raises(Exception, match="(?s)an example of page is wrong.*Expected:\n    3"):
        run(">>> 1 + 1\n3\n", {}, "page")


@pytest.mark.parametrize(
    ("block", "says"),
    [
        ("```python\nx = 1\n```", "expected 0 blocks of Python without >>>.* got 1"),
        ("~~~python\nx = 1\n~~~", "expected 0 blocks of Python without >>>.* got 1"),
        ("```py\n>>> x = 1\n```", "expected a block of python, sh or text, got 'py'"),
        ("```\n>>> x = 1\n```", "expected a block of python, sh or text, got ''"),
    ],
)
def test_python_that_nothing_runs_stops_the_build(sphinx, block, says):
    examples_of = sphinx["doctests"].examples_of
    fine = "```sh\nmake\n```\n\n```python\n>>> x = 1\n```\n\n```{toctree}\nstart/run\n```\n"
    assert examples_of(fine, "page") == ">>> x = 1\n"
    with pytest.raises(Exception, match=f"(?s){says}"):
        examples_of(f"{fine}\n{block}\n", "page")


def test_the_tests_that_run_programs_of_pages_are_there(sphinx):
    for name, (count, test) in sphinx["doctests"].PROGRAMS.items():
        path, _, function = test.partition("::")
        text = (ROOT / path).read_text("utf-8")
        assert f"def {function}(" in text
        assert f'"{name}"' in text
        with pytest.raises(Exception, match=f"expected {count} blocks"):
            sphinx["doctests"].examples_of("", name)


def test_parts_of_other_files_come_with_their_links(sphinx):
    page = ROOT / "docs/examples.md"
    text = sphinx["sources"].with_parts(page.read_text("utf-8"), page)
    assert "](source:examples/mnist_softmax.py)" in text
    assert "](reading/micro.md)" in text  # where there is prose beside the lines
    assert "](thumbnails/mnist_softmax.png)" in text
    page = ROOT / "docs/benchmarks.md"
    assert "| `wall` |" in sphinx["sources"].with_parts(page.read_text("utf-8"), page)
    with pytest.raises(ValueError, match="no part from '## No such'"):
        sphinx["sources"].with_parts('<!-- here: README.md, from "## No such" -->', page)
