"""What the tests of the examples are given: a folder, a way to run an example in it, and a way to spare the drawing."""

import inspect
import sys

import drawings
import matplotlib.figure
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
    for name in ("bars", "lines", "curves", "image_grid", "weight_images", "decision_regions"):
        monkeypatch.setattr(pictures, name, lambda *args, **options: None)
    for name in ("network", "gradient_paths", "equation", "rows_of_an_image"):
        monkeypatch.setattr(drawings, name, lambda *args, **options: None)


@pytest.fixture
def figures(monkeypatch):
    """Return the list of the figures that were saved."""
    saved = []

    class Figure(matplotlib.figure.Figure):
        def savefig(self, *args, **options):
            super().savefig(*args, **options)
            saved.append(self)

    monkeypatch.setattr(pictures, "Figure", Figure)
    return saved


@pytest.fixture
def drawn(monkeypatch):
    """Return what each function of pictures and of drawings is given, by the name of the file; nothing is drawn."""
    given = {}

    def note(function):
        signature = inspect.signature(function)

        def noted(path, *args, **options):
            given[path.name] = signature.bind(path, *args, **options).arguments

        return noted

    for module in (pictures, drawings):
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if function.__module__ == module.__name__ and "path" in inspect.signature(function).parameters:
                monkeypatch.setattr(module, name, note(function))
    return given
