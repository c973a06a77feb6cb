"""Runs the originals, each with its own library, and writes the numbers that they give.

.venv/bin/pip install torch autograd scipy
.venv/bin/python -m tests.ports.record
"""

import ast
import importlib
import json
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent
RECORDED = FOLDER / "recorded.json"
PROGRAMS = sorted(path.stem for path in (FOLDER / "originals").glob("[!_]*.py"))


def imported(path: Path) -> set[str]:
    """Return the names of the packages that a program imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


def libraries(path: Path) -> list[str]:
    """Return the packages besides the standard library and this one that a program needs."""
    return sorted(imported(path) & {"autograd", "numpy", "scipy", "torch"})


def numbers(module: str) -> dict[str, Any]:
    """Return what the program gives, as lists of Python numbers."""
    return {name: np.asarray(value).tolist() for name, value in importlib.import_module(module).main().items()}


def record() -> None:
    """Write recorded.json, a line for each program."""
    lines = []
    for name in PROGRAMS:
        versions = {library: metadata.version(library) for library in libraries(FOLDER / f"originals/{name}.py")}
        recorded = {"versions": versions, "numbers": numbers(f"tests.ports.originals.{name}")}
        lines.append(f'"{name}": {json.dumps(recorded)}')
    RECORDED.write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")


if __name__ == "__main__":
    record()
