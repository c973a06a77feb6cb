"""Each row of the pages for importers gives the same values in both columns, and nothing else differs in silence."""

import ast
import contextlib
import importlib.util
import re

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import ROOT

PAGES = ("from_pytorch", "from_numpy_and_autograd")
ROW = re.compile(r"^\| (`.+`) \| (`.+`) \| (.*?) ?\|$", re.MULTILINE)
VARIABLES = ("t", "u", "labels", "mask", "w", "loss", "model", "optimizer", "a", "b", "M", "x", "v")
HAS_TORCH, HAS_AUTOGRAD = (importlib.util.find_spec(name) is not None for name in ("torch", "autograd"))


def page(name):
    return (ROOT / f"docs/{name}.md").read_text("utf-8")


def forms(cell):
    """Return the pieces of code in a cell, which mean the same."""
    return re.findall(r"`([^`]+)`", cell)


ROWS = [(name, forms(theirs), forms(ours), note) for name in PAGES for theirs, ours, note in ROW.findall(page(name))]
IDS = [f"{name}: {theirs[0]}" for name, theirs, _, _ in ROWS]


class Unavailable(Exception):
    """The library of a left column is not installed."""


def beginning(name, side):
    """Return the program that a page shows for its left (0) or right (1) column."""
    code = re.findall(r"```python\n(.*?)```", page(name), re.DOTALL)[side]
    if side == 0 and name == "from_pytorch" and not HAS_TORCH:
        raise Unavailable
    if side == 0 and name == "from_numpy_and_autograd" and not HAS_AUTOGRAD:
        code = re.sub(r"^from autograd.*\n", "", code, flags=re.MULTILINE).replace("autograd.numpy", "numpy")
    return code


def plain(value):
    """Return what can be compared: arrays with their dtype and, of Tensors, whether a gradient passes."""
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, tuple | list):
        return [plain(part) for part in value]
    if hasattr(value, "param_groups"):
        return [group["lr"] for group in value.param_groups]
    if hasattr(value, "named_parameters"):
        return [(name, plain(parameter), gradient(parameter)) for name, parameter in value.named_parameters()]
    if hasattr(value, "requires_grad"):
        array = value.numpy() if isinstance(value, tg.Tensor) else value.detach().numpy()
        return [array.copy(), str(array.dtype), bool(value.requires_grad)]
    if isinstance(value, np.ndarray | np.generic):
        return [np.array(value), str(value.dtype), None]
    return str(value) if isinstance(value, np.dtype) else value


def gradient(value):
    """Return the gradient of a leaf, or 0 if there is none or it was forgotten."""
    is_leaf = getattr(value, "node", None) is None and getattr(value, "grad_fn", None) is None
    grad = getattr(value, "grad", None) if is_leaf else None
    return 0 if grad is None or not grad.any() else plain(grad)


def same(a, b):
    """Return whether two values are equal up to rounding, with their dtypes; None, what is not said, equals all."""
    if a is None or b is None:
        return True
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, float | np.ndarray) and isinstance(b, float | np.ndarray):
        return np.shape(a) == np.shape(b) and np.allclose(a, b, rtol=1e-5, atol=1e-6)
    return type(a) is type(b) and a == b


def answer(beginning, code, **names):
    """Return the value of the code's last expression, None if it is none, and the page's variables thereafter."""
    space = {**names}
    exec(beginning, space)
    variables = [name for name in VARIABLES if name in space]
    *statements, last = ast.parse(code).body
    exec(compile(ast.Module(statements, []), code, "exec"), space)
    value = None
    if isinstance(last, ast.Expr):
        value = plain(eval(compile(ast.Expression(last.value), code, "eval"), space))
    else:
        exec(compile(ast.Module([last], []), code, "exec"), space)
    return value, {name: (plain(space[name]), gradient(space[name])) for name in variables}


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # rows save files


@pytest.mark.parametrize(("name", "theirs", "ours", "note"), ROWS, ids=IDS)
def test_a_row_runs_here(name, theirs, ours, note):
    """All forms of the right column agree, and have an effect: a value, or a variable that changes."""
    start = beginning(name, 1)
    first = answer(start, ours[0])
    assert first[0] is not None or not same(first, answer(start, "pass"))
    for form in ours[1:]:
        assert same(first, answer(start, form)), form


@pytest.mark.parametrize(("name", "theirs", "ours", "note"), ROWS, ids=IDS)
def test_a_row_gives_what_the_original_gives(name, theirs, ours, note):
    try:
        start = beginning(name, 0)
        given = [answer(start, form) for form in theirs]
    except (Unavailable, NameError):
        assert not (HAS_TORCH if name == "from_pytorch" else HAS_AUTOGRAD)
        pytest.skip("the library of the left column is not installed")
    expected = answer(beginning(name, 1), ours[0])
    for form, found in zip(theirs, given, strict=True):
        assert same(found, expected), (form, found, expected)


@pytest.mark.parametrize(("name", "theirs", "ours", "note"), ROWS, ids=IDS)
def test_what_differs_in_silence_is_marked(name, theirs, ours, note):
    """Their words, run here, give what the row promises, or raise; only a marked row may give something else."""
    start = beginning(name, 1)
    expected = answer(start, ours[0])
    differs = []
    for form in theirs:
        with contextlib.suppress(Exception):
            differs.append(not same(answer(start, form, torch=tg), expected))
    assert any(differs) == note.startswith("≠")


def test_what_is_not_here_raises():
    refused = [code for code in forms(page("from_numpy_and_autograd").partition("## Not here")[2]) if "(" in code]
    assert len(refused) > 4
    for code in refused:
        with pytest.raises(TypeError, match="no twin here"):
            answer(beginning("from_numpy_and_autograd", 1), code)


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_readable(name):
    rows = [row for row in ROWS if row[0] == name]
    lines = [line for line in page(name).splitlines() if re.match(r"\| (?!---)", line)]
    tables = page(name).count("| --- | --- | --- |")
    assert len(rows) == len(lines) - tables, "each line of a table is a row that runs"
    assert 40 <= len(rows) <= 90
    assert f"docs/{name}.md" in (ROOT / "README.md").read_text("utf-8")
