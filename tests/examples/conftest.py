"""What the tests of the examples are given: a folder, a way to run an example in it, and a way to spare the drawing."""

import sys

import pictures
import pytest


@pytest.fixture
def folder(tmp_path):
    """Return the path of the folder that the examples draw into. It is not there before."""
    return tmp_path / "made with its parents" / "run"


@pytest.fixture
def run(folder, monkeypatch, capsys):
    """Return a function that runs the main of an example, and gives its status, its output and its errors."""

    def run(example, *options):
        arguments = [f"{example.__name__}.py", "--output", str(folder), *map(str, options)]
        monkeypatch.setattr(sys, "argv", arguments)
        status = example.main()
        return status, *capsys.readouterr()

    return run


@pytest.fixture
def no_pictures(monkeypatch):
    """Spare the tests that make an example fail the drawing."""
    for name in ("network", "bars", "lines", "curves", "image_grid", "weight_images", "decision_regions"):
        monkeypatch.setattr(pictures, name, lambda *args, **options: None)
