"""The house keeps its plan: budgets, one copy of each module, documented public names, and examples that run."""

import ast
import doctest
import importlib
import inspect
import os
import pkgutil
import re
import subprocess
import sys

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import ROOT
from tests.house.reading_order import ROW, lines, with_line_counts
from tests.house.step_reading import flagship_step, reading
from tinygrad_sm.check import numerical
from tinygrad_sm.engine import tape
from tinygrad_sm.engine.primitive import Primitive

MOST_LINES, MOST_FILES = 604, 15
"""So much of the package a plain training step of the flagship may enter: see `step_reading.py`."""

PRODUCT = ("tinygrad_sm", "nn", "datasets", "examples", "benchmarks")
MODULES = sorted(m.name for m in pkgutil.walk_packages(tg.__path__, "tinygrad_sm.")) + [
    f"tinygrad_sm.{folder}.{path.stem}"
    for folder in ("nn", "datasets")
    for path in sorted((ROOT / folder).glob("*.py"))
    if path.stem != "__init__"
]


def test_a_file_of_the_product_is_one_room():
    assert lines("examples/micro.py") <= 120
    assert lines("examples/small.py") <= 160
    for folder in PRODUCT:
        for path in (ROOT / folder).rglob("*.py"):
            assert lines(path) <= 400, path


def test_a_step_can_be_read():
    """It is the plain step that is read: what is only fast stands beside it."""
    plain = "from tests.house.step_reading import *; found = reading(flagship_step()); print(found.lines, found.files)"
    environment = {**os.environ, "TINYGRAD_SM_PLAIN": "1"}
    told = subprocess.run([sys.executable, "-c", plain], capture_output=True, text=True, env=environment, cwd=ROOT)
    lines, files = map(int, told.stdout.split())
    assert lines <= MOST_LINES
    assert files <= MOST_FILES


def test_what_a_step_enters_is_what_is_read():
    step = flagship_step()
    usual = reading(step)
    one_more = reading(lambda: (step(), numerical.step_unit(1.0), numerical.step_unit(2.0)))
    assert (one_more.functions, one_more.files) == (usual.functions + 1, usual.files + 1)
    assert one_more.lines == usual.lines + len(inspect.getsource(numerical.step_unit).splitlines())
    assert one_more.calls == usual.calls + 2
    assert usual.lines_by_file["engine/tape.py"] > len(inspect.getsource(tape.gradients).splitlines())


def test_primitives_are_few():
    found = {x for name in MODULES for x in vars(importlib.import_module(name)).values() if isinstance(x, Primitive)}
    assert 30 < len(found) <= 72


def test_the_one_page_engine_needs_numpy_alone():
    tree = ast.parse((ROOT / "examples/micro.py").read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert imported == {"gzip", "numpy", "pathlib"}
    assert not any(isinstance(node, ast.ImportFrom) for node in ast.walk(tree))


def test_no_module_was_loaded_twice():
    for name in MODULES:
        importlib.import_module(name)
    assert "tinygrad_sm.nn.layers" in sys.modules
    assert "tinygrad_sm.datasets.idx" in sys.modules
    bare = {"nn", "datasets", "tensors", "engine", "ops"}
    assert not [name for name in sys.modules if name.split(".")[0] in bare]


def test_no_module_stands_where_people_call_a_function():
    modules = {name.rpartition(".")[2] for name in MODULES if name.count(".") == 1}
    called = {name for name in dir(np) if callable(getattr(np, name))} | {"tensor", "observe", "gradcheck", "primitive"}
    assert not modules & (called | set(tg.__all__) - {"datasets", "linalg", "look", "nn", "parallel"})


def lent_to(path):
    """Return {module: names} of what a file imports from the package and from other examples."""
    found = {}
    for node in ast.walk(ast.parse((ROOT / path).read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module.startswith("tinygrad_sm"):
            for name in (alias.name for alias in node.names):
                inner = f"{node.module}.{name}"
                module = inner if inner in (*MODULES, "tinygrad_sm.nn") else node.module
                found.setdefault(module, set()).add(name)
        elif isinstance(node, ast.Import):
            found |= {f"examples.{x.name}": set() for x in node.names if (ROOT / f"examples/{x.name}.py").exists()}
    return found


def unexplained(paths):
    """Return {path: modules} of what files import though neither a file before them nor their first lines name it."""
    explained, found = set(), {}
    for path in paths:
        first_lines = "\n".join(ast.get_docstring(ast.parse((ROOT / path).read_text("utf-8"))).splitlines()[:4])
        said = set(re.findall(r"`@?(\w+)", first_lines))
        lent = lent_to(path)
        explained |= {m for m, names in lent.items() if said & {*m.split(".")[1:]} or (names and names <= said)}
        if lent.keys() - explained:
            found[path] = lent.keys() - explained
        explained.add(path.removesuffix(".py").replace("/", "."))
    return found


def test_nothing_is_met_before_it_was_explained():
    page = (ROOT / "docs/reading_order.md").read_text("utf-8")
    first_evening = page.partition("\nThe first evening")[2].partition("\nThe second evening")[0]
    paths = [path for path, _ in ROW.findall(first_evening)]
    assert len(paths) == 9
    assert unexplained(paths) == {}
    assert "tinygrad_sm/engine/backward.py" in unexplained(reversed(paths))


def test_importing_is_light():
    heavy = {"matplotlib", "tqdm", "safetensors", "pooch", "requests", "cupy"}
    code = f"import sys, tinygrad_sm; print(*{heavy}.intersection(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "\n"


@pytest.mark.parametrize("module", [tg, tg.nn, tg.nn.functional, tg.datasets], ids=lambda module: module.__name__)
def test_public_names_are_listed_in_order_and_documented(module):
    assert list(module.__all__) == sorted(module.__all__)
    for name in module.__all__:
        assert inspect.getdoc(getattr(module, name)), name


@pytest.mark.parametrize("name", ["tinygrad_sm", *MODULES])
def test_doctests(name):
    module = importlib.import_module(name)
    assert module.__doc__, "a module says what it lets you do"
    result = doctest.testmod(module)
    assert result.failed == 0
    if name in ("tinygrad_sm.ops.softmax", "tinygrad_sm.nn.layers"):
        assert result.attempted > 3  # primitives are found too, though they are objects


def test_the_readme_is_true():
    readme = (ROOT / "README.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    assert len(code.strip().splitlines()) <= 16
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, cwd=ROOT)
    assert len(readme.splitlines()) <= 80


def test_the_reading_order_is_true():
    page = (ROOT / "docs/reading_order.md").read_text("utf-8")
    assert len(ROW.findall(page)) >= 10
    assert with_line_counts(page) == page, "run make record"
