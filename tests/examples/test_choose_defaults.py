"""The choice of the defaults looks at the training set only, prints the best first, and has chosen those of today."""

import sys

import choose_defaults
import mnist_softmax
import numpy as np

from tests.examples.helpers import EXAMPLES, start
from tinygrad_sm.datasets import mnist


def test_the_defaults_were_among_the_choices(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["mnist_softmax.py", "--output", str(tmp_path)])
    options = vars(mnist_softmax.parse_arguments())
    chosen = {name: options[name] for name in ("epochs", "batch_size", "lr", "momentum", "weight_decay")}
    assert (options["scale"], chosen) in choose_defaults.CHOICES


def test_the_defaults_are_chosen_without_the_test_set(monkeypatch):
    asked_for = []

    def noted_mnist(split, scale):
        asked_for.append(split)
        return mnist(split, scale)

    monkeypatch.setattr(choose_defaults, "mnist", noted_mnist)
    choose_defaults.split.cache_clear()
    training, judging = choose_defaults.split("unit", 50_000)
    choose_defaults.split.cache_clear()
    assert asked_for == ["train"]
    images, labels, _ = mnist("train")
    np.testing.assert_array_equal(np.concatenate([training.images, judging.images]), images)
    np.testing.assert_array_equal(np.concatenate([training.labels, judging.labels]), labels)
    assert len(judging.labels) == 10_000


def test_choose_defaults_prints_the_best_choices_first():
    options = ["--seeds", "2", "--epochs", "1", "--rows", "6", "--train-size", "100"]
    status, text, errors = start(EXAMPLES / "choose_defaults.py", *options)
    assert (status, errors) == (0, "")
    header, *rows = text.splitlines()
    assert header.split()[:2] == ["loss", "accuracy"]
    losses = [float(row.split()[0]) for row in rows]
    assert len(losses) == 6
    assert losses == sorted(losses)
    assert 0 < losses[0] < np.log(10)  # better than to guess
