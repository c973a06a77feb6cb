"""The directive `names` of the site: each operation has an example that runs, its rules, and how far it is proved."""

import re
import sys
from types import SimpleNamespace

import pytest

import tinygrad_sm as tg
from tests.docs.test_site import extension
from tests.helpers import ROOT
from tinygrad_sm import nn
from tinygrad_sm.check.cases import CASES
from tinygrad_sm.ops import decompositions, normal, shaping

EXAMPLE = ">>> print(tg.exp(0.0))\n1.0\n"


@pytest.fixture(scope="module")
def names():
    pytest.importorskip("sphinx", reason="Sphinx is not installed: make site installs it")
    sys.path.append(str(ROOT / "docs/extensions"))
    yield extension("extensions/names")
    sys.path.remove(str(ROOT / "docs/extensions"))


def section(names, prefix, name, example=""):
    """Return the text of a section."""
    page = SimpleNamespace(state=SimpleNamespace(document=SimpleNamespace(note_explicit_target=lambda target: None)))
    return names.Names.section(page, prefix, names.MODULES[prefix], name, example).astext()


# Examples


def test_an_example_stands_under_its_name(names):
    lines = ["softmax logsumexp", "exp", *("    " + line for line in EXAMPLE.splitlines()), "log"]
    assert names.parted(lines) == [("softmax", ""), ("logsumexp", ""), ("exp", EXAMPLE.strip()), ("log", "")]
    with pytest.raises(Exception, match=r"expected one name above the example '>>> 1', got \['exp', 'log'\]"):
        names.parted(["exp log", "    >>> 1"])
    with pytest.raises(Exception, match=r"got \[\]"):
        names.parted(["    >>> 1"])


def test_the_example_of_a_page_is_shown_after_the_docstring(names):
    text = section(names, "tg", "exp", EXAMPLE)
    assert text.index("Return eˣ.") < text.index("Example") < text.index(">>> print(tg.exp(0.0))\n1.0")
    assert text.index("1.0") < text.index("Forward") < text.index("Gradient rules") < text.index("How far")


@pytest.mark.parametrize(
    ("prefix", "name", "example", "says"),
    [
        ("tg", "exp", "", r"tg\.exp has no example: write one under its name in docs/api/, or in its docstring"),
        ("tg", "clip", "", r"tg\.clip has no example"),
        ("nn.functional", "mse_loss", "", r"nn\.functional\.mse_loss has no example"),
        ("tg", "exp", "It is 1.", r"tg\.exp has no example"),
        ("tg", "exp", ">>> print(tg.exp(0.0))\n2.0\n", r"(?s)an example of tg\.exp is wrong.*Expected:\n    2.0"),
        ("tg", "exp", ">>> exp(0.0)\n", r"an example of tg\.exp is wrong"),
        ("tg", "softmax", EXAMPLE, r"tg\.softmax has two examples, in its docstring and on its page: remove one"),
        ("nn.functional", "relu", EXAMPLE, r"nn\.functional\.relu is tg\.relu: write its example there"),
    ],
)
def test_an_operation_has_one_example_that_is_right_or_the_build_stops(names, prefix, name, example, says):
    with pytest.raises(Exception, match=says):
        section(names, prefix, name, example)


def test_what_is_no_operation_needs_no_example(names):
    assert "Example" not in section(names, "tg", "zeros")


def test_a_function_with_several_names_is_shown_once(names):
    assert section(names, "nn.functional", "relu").endswith("The same as tg.relu.")
    assert section(names, "tg", "mod").endswith("The same as tg.remainder.")
    assert "Forward" in section(names, "tg", "remainder")
    assert [names.first_name(x) for x in (tg.norm, shaping.move)] == ["tg.norm", None]


def test_examples_of_methods_run(names):
    class Wrong:
        def method(self, x=1):
            return x

    Wrong.method.__doc__ = "Return 2.\n\n>>> 1 + 1\n2\n"
    (listed,) = names.methods(Wrong, "Wrong")
    assert ".method(x=1)" in listed.astext()
    Wrong.method.__doc__ = "Return 3.\n\n>>> 1 + 1\n3\n"
    with pytest.raises(Exception, match=r"an example of Wrong\.method is wrong"):
        list(names.methods(Wrong, "Wrong"))


def test_methods_are_listed_with_their_own_docstrings(names):
    def listed(x):
        return "".join(part.astext() for part in names.methods(x, "x"))

    assert ".extra_repr()" in listed(nn.Module)
    assert ".extra_repr()" not in listed(nn.Linear), "it says what Module's says"
    assert ".forward(" in listed(tg.Observer), "only a Module's is shown as its formula"
    assert ".forward(" not in listed(nn.Linear)


# Docstrings


def test_parameters_stand_one_below_the_other_with_the_lines_that_belong_to_them(names):
    (parameters,) = names.content_of(
        "a : shape (N, D).  b, c : numbers; d : the rest\nof the arguments, by kind\n    'one'    1\n    'two'    2"
    )
    assert [term.astext() for term in parameters.findall(lambda node: node.tagname == "term")] == ["a", "b, c", "d"]
    told = [node.astext() for node in parameters.findall(lambda node: node.tagname == "definition")]
    assert told == ["shape (N, D).", "numbers", "the rest of the arguments, by kind\n\n'one'    1\n'two'    2"]


def test_formulas_begin_at_the_left_and_dtypes_have_their_names(names):
    _, block = names.content_of("With v:\n\n    v = x\n      + y")
    assert block.astext() == "v = x\n  + y"
    assert names.signature(tg.zeros).startswith("(*shape, dtype=np.float32,")


# Rules


def test_rules_are_shown_as_they_stand(names):
    rules = dict(names.rules_of(tg.maximum))
    assert rules["∂L/∂a"] == "lambda g, out, a, b: _max_min_rule(g, out, a, b)"
    assert rules["_max_min_rule"].startswith("def _max_min_rule(g, out, mine, other):")
    assert dict(names.rules_of(tg.where))["∂L/∂condition"] == "None: it has no gradient"
    assert dict(names.rules_of(tg.sign)) == {"∂L/∂x": "zero"}
    assert names.source_of(tg.exp.plain).splitlines()[-1] == "    return array_module(x).exp(x)"
    assert '"""' not in names.source_of(tg.exp.plain)


# How far it is proved


@pytest.mark.parametrize(
    ("op", "says"),
    [
        (tg.exp, "It is proved as a formula at orders 1 and 2 in its row of the table, for all numbers. "),
        (tg.transpose, "It is proved as a formula at orders 1 and 2 in all its 3 rows of the"),
        (tg.sqrt, "table, for the numbers of a region: where x0[0,0] > 0 and 5 more conditions hold (x0 is x). "),
        (tg.maximum, "where x0[0,0] > x1[0] and 5 more conditions hold (x0 is a, x1 is b). "),
        (tg.max, "in 5 of them for the numbers of a region, such as where x0[0,0,0] < x0[1,0,0] and 3 more"),
        (tg.softmax, "in all its 4 rows of the table, each for the numbers of a region, such as where x0"),
        (tg.std, "each for the numbers of a region. "),
        (tg.norm, "in 29 of 30 rows of the table, each for"),  # matrix norms too
        (tg.exp2, "for all numbers, up to a rounding of at most 3e-17. "),
        (
            tg.power,
            "in 7 of 8 rows of the table, in 3 of them for the numbers of a region, such as where x1[0] > 0 and",
        ),
        (tg.power, "Not proved in 1 of 8 rows of the table, only checked on random numbers: at exponents 0 and 1"),
        (tg.round, "Not proved in any of its 2 rows of the table, only checked on random numbers: NumPy does not"),
        (nn.functional.log_softmax, "in all its 4 rows of the table"),
    ],
)
def test_how_far_an_operation_is_proved(names, op, says):
    assert says in names.proved.paragraph(op, "tg.op").astext()


@pytest.mark.parametrize(
    ("op", "says"),
    [
        (
            decompositions.solution,
            "Its rows are those of tg.linalg.solve, which calls it. Not proved in any of its 7 rows",
        ),
        (decompositions.inverse, "Its rows are those of tg.linalg.inv, which calls it. Not proved in its row of the"),
        (decompositions.determinant, "Its rows are those of tg.linalg.det, which calls it. Not proved in any of its 2"),
        (decompositions.sign_and_logarithm, "Its rows are those of tg.linalg.slogdet, which calls it. Not proved"),
        (decompositions.lower_factor, "Its rows are those of tg.linalg.cholesky, which calls it. Not proved in any"),
        (shaping.move, "tests/backend/test_devices.py::test_gradients_come_back_to_where_the_leaf_is checks its"),
        (normal.ndtr, "tests/nn/test_functional.py::test_the_normal_distribution checks values and gradients"),
        (nn.functional.one_hot, "It has no gradient to be proved."),
        (tg.argmax, "It has no gradient to be proved."),
    ],
)
def test_what_is_said_of_an_operation_that_has_no_row_of_its_own(names, op, says):
    assert says in names.proved.paragraph(op, "op").astext()


def test_an_operation_is_in_the_table_or_in_the_list_of_those_that_are_not(names, monkeypatch):
    @tg.primitive
    def unknown(x, /):
        return x

    with pytest.raises(Exception, match=r"^tg\.unknown has no row in docs/proofs\.md: write a case"):
        names.proved.paragraph(unknown, "tg.unknown")
    monkeypatch.setitem(names.proved.NO_ROW, "exp", "Not proved")
    with pytest.raises(Exception, match=r"^tg\.exp has a row in docs/proofs\.md: take it out of NO_ROW"):
        names.proved.paragraph(tg.exp, "tg.exp")
    monkeypatch.setitem(names.proved.NO_ROW, "unknown", "`tests/docs/test_api_pages.py::test_no_such` checks it")
    with pytest.raises(Exception, match=r"test_no_such, which NO_ROW names, is not there"):
        names.proved.paragraph(unknown, "tg.unknown")


def test_each_row_of_the_table_has_an_id_to_which_the_links_lead(names):
    from docutils import nodes

    body = nodes.tbody("", *(nodes.row() for _ in CASES))
    names.proved.number_rows(SimpleNamespace(env=SimpleNamespace(docname="proofs")), nodes.paragraph("", "", body))
    ids = [row["ids"] for row in body]
    assert len({anchor for (anchor,) in ids}) == len(CASES)
    (power,) = [row.anchor for row in names.proved.table() if row.label == "power with zero and whole exponents()"]
    links = [link["refuri"] for link in names.proved.paragraph(tg.power, "tg.power").findall(nodes.reference)]
    assert links == ["site:proofs.html#power-1", "site:proofs.html#power-1", f"site:proofs.html#{power}"]


# All names


def listed(names):
    """Return (prefix, name, page) of each name on the pages, as the build finds them."""
    found = []
    for path in (ROOT / "docs/api").glob("*.md"):
        for prefix, content in re.findall(r"^```{names} (\S+)\n(.*?)^```", path.read_text("utf-8"), re.DOTALL | re.M):
            found += [(prefix, name, f"api/{path.stem}") for name, _ in names.parted(content.splitlines())]
    return found


def test_every_public_name_and_operation_stands_on_one_page(names):
    all_names = listed(names)
    names.check_all_are_shown(None, SimpleNamespace(shown_names=all_names))
    for prefix, name in (("tg", "exp"), ("nn", "Linear"), ("tinygrad_sm.ops.normal", "ndtr")):
        (there,) = [place for place in all_names if place[:2] == (prefix, name)]
        without = [place for place in all_names if place != there]
        with pytest.raises(Exception, match=rf"lack the names \[\('{prefix}', '{name}'\)"):
            names.check_all_are_shown(None, SimpleNamespace(shown_names=without))
        with pytest.raises(Exception, match=rf"have twice \[\('{prefix}', '{name}'\)\]"):
            names.check_all_are_shown(None, SimpleNamespace(shown_names=[*all_names, there]))


def test_names_in_backticks_are_links(names):
    from docutils import nodes

    page = nodes.paragraph(
        "", "", *(nodes.literal("", text) for text in ("tinygrad_sm.exp(x)", "tg.none", "@nn.Linear"))
    )
    page.document = None
    app = SimpleNamespace(
        env=SimpleNamespace(shown_names=listed(names)),
        builder=SimpleNamespace(get_relative_uri=lambda here, there: f"{there}.html"),
    )
    names.link_names(app, page, "index")
    assert [link["refuri"] for link in page.findall(nodes.reference)] == [
        "api/elementwise.html#tg-exp",
        "api/modules.html#nn-linear",
    ]
