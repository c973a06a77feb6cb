"""A program from PyTorch, HIPS autograd or NumPy gives its own numbers here, and at most 8 of its lines change."""

import ast
import difflib
import json
import re

import numpy as np
import pytest

from tests.ports.record import FOLDER, PROGRAMS, RECORDED, imported, libraries, numbers

MOST_LINES = 8

TOLERANCES = {
    "autoencoder": 2e-6,
    "character_mlp": 2e-6,
    "from_tensors_to_modules": 2e-6,
    "gaussian_process": 1e-12,
    "logistic_regression": 1e-12,
    "network_by_lbfgs": 1e-10,
    "pendulum": 1e-12,
    "softmax_chapter": 2e-6,
    "spiral_network": 1e-13,
    "transformer_block": 2e-6,
    "wgan_gp": 2e-6,
}
"""How far the numbers may be apart, absolute or relative. Those of PyTorch are float32, and drift in a training."""


def assert_same_numbers(found, expected, tolerance):
    assert found.keys() == expected.keys()
    for name, numbers_ in expected.items():
        np.testing.assert_allclose(found[name], numbers_, rtol=tolerance, atol=tolerance, err_msg=name)


def code(text):
    """Return the lines of a program that are neither empty nor an import; `torch.exp` stands there as `tg.exp`.

    By which name a module is called is a matter of its import.
    """
    lines = text.splitlines()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            lines[node.lineno - 1 : node.end_lineno] = [""] * (node.end_lineno - node.lineno + 1)
    return [re.sub(r"\btorch\.", "tg.", line) for line in lines if line.strip()]


def changes(original, port):
    """Return the lines that the port's author writes anew, and the lines of the original that go."""
    original, port = code(original), code(port)
    written, gone = [], []
    for tag, i1, i2, j1, j2 in difflib.SequenceMatcher(None, original, port, autojunk=False).get_opcodes():
        if tag != "equal":
            gone += original[i1:i2]
            written += port[j1:j2]
    return written, gone


def both(name):
    return [(FOLDER / folder / f"{name}.py").read_text("utf-8") for folder in ("originals", "")]


def test_each_program_is_there_twice_and_recorded():
    ports = sorted(path.stem for path in FOLDER.glob("[!_]*.py") if not path.stem.startswith(("test_", "record")))
    assert PROGRAMS == ports == sorted(TOLERANCES) == sorted(json.loads(RECORDED.read_text("utf-8")))
    assert len(PROGRAMS) >= 10
    for name in PROGRAMS:
        assert not imported(FOLDER / f"{name}.py") & {"autograd", "torch"}
        assert "tinygrad_sm" not in imported(FOLDER / f"originals/{name}.py")
        assert all(30 <= len(text.splitlines()) <= 90 for text in both(name))


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_port_gives_the_numbers_of_the_original(name):
    for library in libraries(FOLDER / f"{name}.py"):
        pytest.importorskip(library)
    expected = json.loads(RECORDED.read_text("utf-8"))[name]["numbers"]
    assert_same_numbers(numbers(f"tests.ports.{name}"), expected, TOLERANCES[name])


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_original_still_gives_them(name):
    for library in libraries(FOLDER / f"originals/{name}.py"):
        pytest.importorskip(library)
    expected = json.loads(RECORDED.read_text("utf-8"))[name]["numbers"]
    assert_same_numbers(numbers(f"tests.ports.originals.{name}"), expected, TOLERANCES[name])


@pytest.mark.parametrize("name", PROGRAMS)
def test_few_lines_change(name):
    original, port = both(name)
    written, gone = changes(original, port)
    print(f"{name}: {len(written)} lines are written anew, {len(gone)} of {len(code(original))} go")
    assert len(written) <= MOST_LINES, "\n".join(written)


def test_what_counts_as_a_change():
    original = "import torch\n\n\ndef f(x):\n    y = torch.exp(x)\n    return y.view(-1)\n"
    port = "import tinygrad_sm as tg\n\n\ndef f(x):\n    y = tg.exp(x)\n    return y.reshape(-1)\n"
    assert changes(original, port) == (["    return y.reshape(-1)"], ["    return y.view(-1)"])
    assert changes(original, original) == ([], [])
