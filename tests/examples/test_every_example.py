"""Every example runs outside of the repository, draws what it names, and stands in docs/examples.md.

EXAMPLES_PYTHON names the Python that runs them, in which a wheel of tinygrad_sm is installed, as in `.ci/run`. Without
it they are not run here: each has a file of tests that runs it in the repository.
"""

import os
import re
import shutil

import matplotlib.image
import numpy as np
import pytest

from tests.examples.helpers import ENVIRONMENT, EXAMPLES, RUNS, start
from tests.helpers import ROOT

PYTHON = os.environ.get("EXAMPLES_PYTHON")
NO_EXAMPLES = {"pictures", "drawings"}  # what they share
IMPORTED = {  # besides pictures and drawings
    "choose_defaults": ["mnist_softmax"],
    "fashion_mnist": ["mnist_mlp", "mnist_softmax"],
    "language_model": ["mnist_softmax"],
    "lenet_1998": ["mnist_softmax"],
    "mnist_mlp": ["mnist_softmax"],
    "optimum": ["mnist_softmax"],
    "step_as_program": ["micro"],
    "transformer_2017": ["language_model", "mnist_softmax"],
}
STATUS = {"fashion_mnist": 3}  # the images are not packaged, and these runs have no network
DRAW_NOTHING = {"choose_defaults", "look_inside", "micro", "mnist_parallel", "small", "textbook_walk"}
PAGES = {"micro", "small"}  # they read MNIST where the repository has it


def examples():
    return {path.stem for path in EXAMPLES.glob("*.py")} - NO_EXAMPLES


@pytest.mark.skipif(not PYTHON, reason="EXAMPLES_PYTHON names no Python in which a wheel is installed")
@pytest.mark.parametrize("name", sorted(RUNS))
def test_it_runs_outside_of_the_repository(name, tmp_path):
    options, files = RUNS[name]
    (tmp_path / "examples").mkdir()
    for module in (name, *NO_EXAMPLES, *IMPORTED.get(name, [])):
        shutil.copy(EXAMPLES / f"{module}.py", tmp_path / "examples")
    environment = {key: value for key, value in ENVIRONMENT.items() if key != "PYTHONPATH"} | {
        "TINYGRAD_SM_DATA": str(tmp_path / "no data"),
        "https_proxy": "http://127.0.0.1:9",  # where nobody answers
    }
    command = ["-W", "error", f"examples/{name}.py", *options]
    status, text, errors = start(*command, python=PYTHON, cwd=tmp_path, env=environment)
    assert status == STATUS.get(name, 0), errors
    assert (errors == "") == (status == 0)
    left = sorted((tmp_path / "runs" / name).glob("*"))
    assert [path.name for path in left] == files
    drawn = [path for path in left if path.suffix == ".png"]
    assert sorted(str(path.relative_to(tmp_path)) for path in drawn) == sorted(re.findall(r"\S+\.png", text))
    assert bool(drawn) == (status == 0 and name not in DRAW_NOTHING)
    if drawn:
        assert max(map(len, text.splitlines())) <= 100
    for path in drawn:
        pixels = matplotlib.image.imread(path)[..., :3]
        assert min(pixels.shape[:2]) > 150
        assert 0.01 < np.mean(pixels.min(axis=2) < 0.9) < 0.9  # neither an empty page nor a full one


def test_none_is_forgotten():
    assert RUNS.keys() | PAGES == examples()
    assert {name for name in examples() if not (ROOT / f"tests/examples/test_{name}.py").exists()} == set()


def test_the_page_of_examples_shows_every_one():
    section = (ROOT / "docs/examples.md").read_text("utf-8").partition("\n## ")[0]
    lines = re.findall(r"^\| (.*) \| \[`(\w+)\.py`\]\(\.\./examples/\2\.py\) \| (.{20,}) \|$", section, re.MULTILINE)
    assert sorted(name for _, name, _ in lines) == sorted(examples())
    shown = {name: re.findall(r"\((thumbnails/\w+\.png)\)", picture) for picture, name, _ in lines}
    without = {name for name, files in shown.items() if files != [f"thumbnails/{name}.png"]}
    assert without == DRAW_NOTHING
    thumbnails = list((ROOT / "docs/thumbnails").iterdir())
    assert {path.stem for path in thumbnails} == shown.keys() - without
    assert sum(path.stat().st_size for path in thumbnails) < 600_000
    for path in thumbnails:
        height, width, *_ = matplotlib.image.imread(path).shape
        assert height <= 240
        assert 100 < width <= 240
