"""Runs the Python of a page: the examples, `>>>` in its blocks, in one go; a wrong one fails the build.

So does a block of Python without `>>>`, unless `PROGRAMS` names the test that runs it. Other blocks are `sh` or `text`.
"""

import doctest
import re

from sphinx.errors import ExtensionError

BLOCK = re.compile(r"^ *(`{3,}|~{3,})([^\n`]*)\n(.*?)^ *\1", re.DOTALL | re.MULTILINE)
PROGRAMS = {
    "from_numpy_and_autograd": (2, "tests/docs/test_pages_for_importers.py::test_a_row_runs_here"),
    "from_pytorch": (2, "tests/docs/test_pages_for_importers.py::test_a_row_runs_here"),
}
"""How many blocks of Python on a page are no examples, and the test that runs them."""


def run(text, names, where):
    """Run the examples of a text with these names; raise ExtensionError with what was expected and what came."""
    said = []
    examples = doctest.DocTestParser().get_doctest(text, names, where, None, 0)
    doctest.DocTestRunner(verbose=False).run(examples, out=said.append)  # else it takes the -v of who calls
    if said:
        raise ExtensionError(f"an example of {where} is wrong:\n{''.join(said)}")


def examples_of(text, docname):
    """Return the blocks of Python on a page that are examples; raise ExtensionError if there are others."""
    found, programs = [], []
    for _, language, block in BLOCK.findall(text):
        if language not in ("python", "sh", "text") and not language.startswith("{"):
            raise ExtensionError(f"{docname}: expected a block of python, sh or text, got {language!r}:\n{block}")
        if language == "python":
            (found if ">>> " in block else programs).append(block)
    expected, _ = PROGRAMS.get(docname, (0, None))
    if len(programs) != expected:
        raise ExtensionError(
            f"{docname}: expected {expected} blocks of Python without >>>, which the build does not run, got "
            f"{len(programs)}: write examples, or name the test that runs them in doctests.py:\n{''.join(programs)}"
        )
    return "\n".join(found)


def setup(app):
    """Connect to Sphinx, after `sources`: so the parts of other files are there, too."""

    def read(app, docname, text):
        run(examples_of(text[0], docname), {}, docname)

    app.connect("source-read", read, priority=700)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
