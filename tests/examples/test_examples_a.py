"""The examples on softmax regression and deep networks run and draw, and notice when what they claim is not so."""

import os
import pathlib
import re
import shutil
import subprocess
import sys

import cat_chicken_dog
import deep_network
import matplotlib.image
import numpy as np
import pictures
import pytest
import softmax_regression
import two_perceptrons
import xmax_family

import tinygrad_sm as tg
from tinygrad_sm import nn

PICTURES = {
    "softmax_regression": ["loss", "regions"],
    "cat_chicken_dog": ["images", "labels", "network", "weights"],
    "two_perceptrons": ["network", "regions", "temperatures"],
    "xmax_family": ["simplex", "steps"],
    "deep_network": ["activations", "curve", "loss", "moons", "spirals"],
}
# One BLAS thread: two of them wait for each other where other tests keep the cores busy.
ENVIRONMENT = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"}


@pytest.mark.parametrize("name", PICTURES)
def test_it_runs_where_it_was_copied_to(name, tmp_path):
    for module in (name, "pictures"):
        shutil.copy(pathlib.Path(pictures.__file__).with_name(f"{module}.py"), tmp_path)
    command = [sys.executable, "-W", "error", f"{name}.py"]
    done = subprocess.run(
        command, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, encoding="utf-8", timeout=120, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert max(map(len, done.stdout.splitlines())) <= 100
    drawn = sorted((tmp_path / "runs" / name).iterdir())
    assert [path.name for path in drawn] == [f"{picture}.png" for picture in PICTURES[name]]
    for path in drawn:
        assert str(path.relative_to(tmp_path)) in done.stdout
        pixels = matplotlib.image.imread(path)[..., :3]
        assert 0.01 < np.mean(pixels.min(axis=2) < 0.9) < 0.9  # neither an empty page nor a full one


TRAIN, BY_HAND = two_perceptrons.train, deep_network.by_hand


def curved(W, b, x):
    """Be probabilities with logits that are not linear in x."""
    return nn.functional.softmax(x @ W.T + b + 0.1 * x[:, :1] ** 2 * np.array([1.0, 0.0, 0.0]))


def untrained(x, labels):
    return nn.Parameter(np.ones((3, 2))), nn.Parameter(np.zeros(3)), [1.0]


def transposed(x, w, b):
    return [sum(x[i] * w.reshape(4, 3)[i, j] for i in range(4)) + b[j] for j in range(3)]


def one_hot_too(X, labels, number):
    return cat_chicken_dog.as_classes(X, labels, len(number))


def at_equal_rates(model, loss_of, steps, **options):
    return TRAIN(model, loss_of, steps, **options | {"lr": 0.1})


def normalised_relu(z):
    return tg.relu(z) / (tg.relu(z).sum(axis=-1, keepdims=True) + 1e-9)


def in_part(theta, sizes, x):
    return BY_HAND(np.where(np.arange(theta.size) == theta.size - 1, 0, theta), sizes, x)


BREAKS = {
    "boundaries that bend": (softmax_regression, "probabilities", curved, r"expected ln a_0/a_1 = \(w_0 − w_1\)ᵀx"),
    "an untrained softmax": (
        softmax_regression,
        "train",
        untrained,
        "expected at least 99.0 % of new points right",
    ),
    "w_ij for w_ji": (cat_chicken_dog, "written_out", transposed, "expected three notations to agree"),
    "an order that holds": (cat_chicken_dog, "as_numbers", one_hot_too, "expected one-hot labels to be"),
    "another order": (cat_chicken_dog, "NUMBER", np.array([1.0, 2.0, 3.0]), "expected a number near 2 and P"),
    "equal learning rates": (
        two_perceptrons,
        "train",
        at_equal_rates,
        "expected w₁ − w₂ of the perceptrons to be the unit's w",
    ),
    "no softmax": (
        xmax_family,
        "ENTROPIES",
        {"relu": (normalised_relu, xmax_family.entropy_softmax)},
        "a breach of: Σ",
    ),
    "the wrong entropy": (
        xmax_family,
        "ENTROPIES",
        {"softmax": (nn.functional.sparsemax, xmax_family.entropy_softmax)},
        "softmax: expected the laws of the family, got a breach of: p maximises",
    ),
    "θ in part": (deep_network, "by_hand", in_part, "expected θ of 643 numbers that give"),
    "no activation": (deep_network, "ACTIVATIONS", {"sigmoid": nn.Flatten}, "expected more than 99 % right"),
    "narrow is not deep": (
        deep_network,
        "NETWORKS",
        {"deep": [2, 16, 16, 16, 3], "wide": [2, 16, 16, 16, 3]},
        r"expected less than half the loss from \(deep, sigmoid\)",
    ),
}


@pytest.mark.parametrize("what", BREAKS)
def test_it_notices_what_is_not_so(what, tmp_path, monkeypatch, capsys):
    module, name, replacement, message = BREAKS[what]
    monkeypatch.setattr(module, name, replacement)
    monkeypatch.setattr(sys, "argv", [f"{module.__name__}.py", "--output", str(tmp_path)])
    status = module.main()
    assert isinstance(status, str), capsys.readouterr().out  # sys.exit prints it, with exit status 1
    assert re.search(message, status), status
