"""Every example runs outside of the repository, draws what it names, and stands in the README.

The examples that other test files start from a copy are left out here, unless EXAMPLES_PYTHON names a Python: with that
one, in which an installed tinygrad_sm may be, all of them are run.
"""

import os
import re
import shutil
import subprocess
import sys

import matplotlib.image
import numpy as np
import pytest
import show_digits

from tests.helpers import ROOT
from tinygrad_sm import nn

PYTHON = os.environ.get("EXAMPLES_PYTHON")
NO_EXAMPLES = {"pictures"}  # what they share
SMALL = {
    "cat_chicken_dog": [],
    "chain_rule": [],
    "choose_defaults": ["--seeds", "1", "--epochs", "1", "--rows", "1", "--train-size", "100"],
    "deep_network": [],
    "fashion_mnist": [],
    "language_model": ["--epochs", "1"],
    "linear_regression": [],
    "logistic_regression": [],
    "mnist_mlp": ["--quick"],
    "mnist_softmax": ["--epochs", "3", "--train-size", "6000", "--min-accuracy", "85"],
    "one_vs_rest": [],
    "optimum": ["--quick"],
    "scaling_study": ["--quick"],
    "show_digits": [],
    "softmax_regression": [],
    "training_ledger": ["--quick"],
    "two_perceptrons": [],
    "xmax_family": [],
}
"""The options with which they are quick. All but micro.py, which reads the data of the checkout that it stands in."""

STATUS = {"fashion_mnist": 3}  # the images are not packaged, and these runs have no network
STARTED_ELSEWHERE = {  # from a copy, by test_examples*.py
    *("cat_chicken_dog", "choose_defaults", "deep_network", "linear_regression", "mnist_softmax"),
    *("softmax_regression", "two_perceptrons", "xmax_family"),
}


def examples():
    return {path.stem for path in (ROOT / "examples").glob("*.py")} - NO_EXAMPLES


@pytest.fixture(scope="module")
def copied(tmp_path_factory):
    """Return a folder outside of the repository, in which there is a copy of the examples and nothing else."""
    folder = tmp_path_factory.mktemp("outside")
    shutil.copytree(ROOT / "examples", folder / "examples", ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.mark.parametrize("name", sorted(SMALL if PYTHON else SMALL.keys() - STARTED_ELSEWHERE))
def test_it_runs_outside_of_the_repository(name, copied, tmp_path):
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {
        "OPENBLAS_NUM_THREADS": "1",  # two of them wait for each other where other tests keep the cores busy
        "PYTHONIOENCODING": "utf-8",
        "TINYGRAD_SM_DATA": str(tmp_path / "no data"),
        "https_proxy": "http://127.0.0.1:9",  # where nobody answers
    }
    command = [PYTHON or sys.executable, "-W", "error", "examples/" + name + ".py", *SMALL[name]]
    done = subprocess.run(command, cwd=copied, env=environment, capture_output=True, encoding="utf-8", check=False)
    status = STATUS.get(name, 0)
    assert done.returncode == status, done.stderr
    assert (done.stderr == "") == (status == 0)
    drawn = list((copied / "runs" / name).glob("*.png"))
    assert sorted(map(str, (path.relative_to(copied) for path in drawn))) == sorted(
        re.findall(r"\S+\.png", done.stdout)
    )
    assert bool(drawn) == (status == 0 and name != "choose_defaults")
    if drawn:
        assert max(map(len, done.stdout.splitlines())) <= 100
    for path in drawn:
        pixels = matplotlib.image.imread(path)[..., :3]
        assert min(pixels.shape[:2]) > 150
        assert 0.005 < np.mean(pixels.min(axis=2) < 0.9) < 0.95  # neither an empty page nor a full one


def test_none_is_forgotten():
    assert SMALL.keys() | {"micro"} == examples()
    started = "".join(path.read_text("utf-8") for path in (ROOT / "tests/examples").glob("test_examples*.py"))
    assert [name for name in STARTED_ELSEWHERE if name not in started] == []


def test_the_readme_shows_every_example():
    readme = (ROOT / "README.md").read_text("utf-8")
    section = readme.partition("## Examples\n")[2].partition("\n## ")[0]
    lines = re.findall(r"^\| (.*) \| \[`(\w+)\.py`\]\(examples/\2\.py\) \| (.{20,}) \|$", section, re.MULTILINE)
    assert sorted(name for _, name, _ in lines) == sorted(examples())
    shown = {name: re.findall(r"\((docs/thumbnails/\w+\.png)\)", picture) for picture, name, _ in lines}
    without = {name for name, files in shown.items() if files != [f"docs/thumbnails/{name}.png"]}
    assert without == {"choose_defaults", "micro"}  # which draw nothing
    thumbnails = list((ROOT / "docs/thumbnails").iterdir())
    assert {path.stem for path in thumbnails} == shown.keys() - without
    assert sum(path.stat().st_size for path in thumbnails) < 600_000
    for path in thumbnails:
        height, width, *_ = matplotlib.image.imread(path).shape
        assert height <= 240
        assert 100 < width <= 240


@pytest.mark.parametrize(
    ("name", "replacement", "message"),
    [
        ("row_by_row", lambda image: image.T.ravel(), "expected 784 features, row after row"),
        (
            "train",
            lambda training: nn.Sequential(nn.Flatten(), nn.Linear(784, 10)),
            "expected more than 90 % right",
        ),
    ],
)
def test_show_digits_notices_what_is_not_so(name, replacement, message, monkeypatch, tmp_path):
    monkeypatch.setattr(show_digits, name, replacement)
    monkeypatch.setattr(sys, "argv", ["show_digits.py", "--output", str(tmp_path)])
    assert show_digits.main().startswith(message)


def test_the_most_different_are_the_farthest():
    points = np.array([[0.0, 0.0], [10.0, 0.0], [9.0, 0.0], [0.0, 8.0], [4.0, 2.0]])
    assert show_digits.most_different(points, 4) == [4, 3, 1, 0]
