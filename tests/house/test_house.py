"""The house keeps its plan: budgets, one copy of each module, documented public names, and examples that run."""

import ast
import doctest
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys

import pytest

import tinygrad_sm as tg
from tests.helpers import ROOT
from tests.house.reading_order import ROW, lines, with_line_counts
from tinygrad_sm.primitive import Primitive

FOLDERS = ("tinygrad_sm", "nn", "datasets", "examples", "benchmarks", "tests")
MODULES = sorted(m.name for m in pkgutil.walk_packages(tg.__path__, "tinygrad_sm.")) + [
    f"tinygrad_sm.{folder}.{path.stem}"
    for folder in ("nn", "datasets")
    for path in sorted((ROOT / folder).glob("*.py"))
    if path.stem != "__init__"
]


def test_budgets():
    operations = [f"tinygrad_sm/ops/{path.name}" for path in ROOT.glob("tinygrad_sm/ops/*.py")]
    beside_the_tape = ["tinygrad_sm/mode.py", "tinygrad_sm/memory.py", "tinygrad_sm/primitive.py"]
    assert lines("examples/micro.py") <= 120
    assert lines("tinygrad_sm/tape.py") <= 300
    assert sum(map(lines, ["tinygrad_sm/tape.py", "tinygrad_sm/tensor.py", *operations])) <= 1500
    assert sum(map(lines, beside_the_tape)) <= 370
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*.py"):
            assert lines(path) <= 400, path


def test_primitives_are_few():
    found = {x for name in MODULES for x in vars(importlib.import_module(name)).values() if isinstance(x, Primitive)}
    assert 30 < len(found) <= 45


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
    bare = {"nn", "datasets", "tensor", "tape", "ops"}
    assert not [name for name in sys.modules if name.split(".")[0] in bare]


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
    assert len(ROW.findall(readme)) >= 10
    assert with_line_counts(readme) == readme, "run python tests/house/reading_order.py"
