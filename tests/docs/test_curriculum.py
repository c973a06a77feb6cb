"""The map from the lecture notes to this project leads nowhere in vain, and the code on the pages beside it runs."""

import ast
import doctest
import functools
import importlib
import inspect
import re
import subprocess
import sys

import pytest

from tests.helpers import ROOT

PAGES = sorted((ROOT / "docs").glob("*.md"))
NUMBERS = [number for number in range(1, 87) if number not in (41, 68, 83)]  # these three are not used
ROW = re.compile(r"^\| (\d+) \| (.+) \| (.+) \|$", re.MULTILINE)
PLACE = re.compile(r"`([^`]+)`")


def rows():
    """Return {number: (what the notes say, [places])} of the map, and see that no number stands there twice."""
    found = ROW.findall((ROOT / "docs/curriculum.md").read_text("utf-8"))
    assert len(found) == len({number for number, *_ in found})
    return {int(number): (said, PLACE.findall(places)) for number, said, places in found}


def steps():
    """Return {what came before the notes or after them: [places]}, of the table below the map."""
    page = (ROOT / "docs/curriculum.md").read_text("utf-8")
    section = page.partition("\n## What came before and after the notes\n")[2].partition("\n## ")[0]
    lines = re.findall(r"^\| (.+) \| (.+) \|$", section, re.MULTILINE)
    return {step: PLACE.findall(places) for step, places in lines[2:]}  # after the head and the line below it


@functools.cache
def tree(path):
    return ast.parse((ROOT / path).read_text("utf-8"))


def defined(path):
    """Return the names of a file's functions, classes and constants, without running it."""
    names = set()
    for node in tree(path).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names.update(target.id for target in node.targets if isinstance(target, ast.Name))
    return names


@functools.cache
def collected():
    """Return the ids, without parameters, of the tests in all files that the map names, as pytest itself finds them."""
    named = [*(places for _, places in rows().values()), *steps().values()]
    files = sorted({place.partition("::")[0] for places in named for place in places})
    command = [sys.executable, "-m", "pytest", "--collect-only", "--quiet", "-p", "no:cacheprovider"]
    command += [file for file in files if file.startswith("tests/")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stdout
    return {line.partition("[")[0] for line in done.stdout.splitlines() if "::" in line}


def headings(path):
    without_code = re.sub(r"```.*?```", "", (ROOT / path).read_text("utf-8"), flags=re.DOTALL)
    return set(re.findall(r"^#+ (.+)$", without_code, re.MULTILINE))


def exists(place):
    """Return whether a place is there.

    file.md::a heading, examples/file.py::a name in it, tests/file.py::a test that pytest collects, or what can be
    imported, tinygrad_sm.name. Of an example or an import, "words" of its docstring may follow the ::.
    """
    path, _, name = place.partition("::")
    if re.fullmatch(r"tinygrad_sm(\.\w+)+", path):
        found = imported(path)
        return found is not None and name.strip('"') in inspect.getdoc(found)
    if not name:
        return False
    if not (ROOT / path).is_file():
        return False
    if path.endswith(".md"):
        return name in headings(path)
    if path.startswith("tests/"):
        return place in collected()
    if name.startswith('"'):
        return name.endswith('"') and name.strip('"') in " ".join(ast.get_docstring(tree(path)).split())
    return name in defined(path)


def imported(dotted):
    """Return what stands under a dotted name of the package, or None."""
    first, *names = dotted.split(".")
    try:
        return functools.reduce(getattr, names, importlib.import_module(first))
    except AttributeError:
        return None


def test_every_number_of_the_notes_has_its_line():
    assert sorted(rows()) == list(rows()) == NUMBERS


@pytest.mark.parametrize("number", NUMBERS)
def test_the_places_of_a_line_are_there(number):
    said, places = rows()[number]
    assert len(said) > 10
    assert places, "a line names a place at least"
    assert [place for place in places if not exists(place)] == []


@pytest.mark.parametrize("step", steps())
def test_the_places_of_a_step_before_or_after_the_notes_are_there(step):
    assert steps()[step], "a step names a place at least"
    assert [place for place in steps()[step] if not exists(place)] == []


@pytest.mark.parametrize(
    "place",
    [
        "tinygrad_sm.softmaxx",
        'tinygrad_sm.softmax::"exponential normalization"',
        "tinygrad_sm",
        "numpy.exp",
        "examples/softmax_regression.py",
        "examples/softmax_regression.py::trian",
        "examples/no_such.py::main",
        'examples/language_model.py::"Irresponsible use"',
        "tests/ops/test_softmax.py::test_the_jacobian",
        "tests/helpers.py::leaf",
        "docs/layouts.md::Labels count from 1",
        "docs/layouts.md::Images",
    ],
)
def test_a_place_that_is_not_there_is_found_out(place):
    assert not exists(place)


def test_the_map_names_no_file_that_is_not_here():
    for page in PAGES:
        text = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
        files = re.findall(r"`((?:examples|tests|docs|nn|datasets|tinygrad_sm|benchmarks)/[\w/.]+)", text)
        words = re.sub(r"`[^`\n]*`", "", text)  # x[0](v) is code, and no link
        links = [
            link
            for link in re.findall(r"\]\(([^)#]+)[^)]*\)", words)
            if "://" not in link and not link.startswith("site:")
        ]
        assert [name for name in files if not (ROOT / name).exists()] == []
        assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_code_of_the_pages_gives_what_stands_there(page):
    text = page.read_text("utf-8")
    code = "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))
    assert text.count(">>> ") == code.count(">>> ")
    examples = doctest.DocTestParser().get_doctest(code, {}, page.name, str(page), 0)
    report = []
    doctest.DocTestRunner().run(examples, out=report.append)
    assert report == []
    if page.name in ("layouts.md", "theory.md"):
        assert len(examples.examples) > 10


def test_the_glossary_has_each_term_in_both_languages():
    lines = re.findall(r"^\| (.+) \| (.+) \| (.+) \| (.+) \|$", (ROOT / "docs/glossary.md").read_text("utf-8"), re.M)
    terms = [english for english, *_ in lines[2:]]
    assert terms == sorted(terms, key=str.lower)
    for english, chinese, sentence, satz in lines[2:]:
        assert re.match(r"[A-Za-z]", english)
        assert re.search("[\u4e00-\u9fff]", chinese), english
        assert sentence.endswith("."), english
        assert satz.endswith("。"), english
        assert len(re.findall("[\u4e00-\u9fff]", satz)) > 8, english
        assert not re.search("[\u4e00-\u9fff]", sentence), english
    assert {"Activation function", "Hidden units", "Neural network", "One-hot", "Softmax"} <= set(terms)
    assert {"Perceptron rule", "Linear separability", "Margin", "XOR, exclusive or", "Hidden space"} <= set(terms)
    assert {"Convolution", "Kernel, filter", "Stride", "Padding", "Pooling", "Receptive field"} <= set(terms)
    assert {"Attention", "Query, key, value", "Embedding", "Residual connection", "Transformer"} <= set(terms)
