"""LeNet-5 computes what its formulas say, and ends with status 1 where a check fails or it learns too little."""

import re

import lenet_1998
import numpy as np
import pytest

import tinygrad_sm as tg
from tests.examples.helpers import RUNS
from tinygrad_sm import nn


@pytest.fixture
def short_run(run, monkeypatch):
    """Return a function that runs the example for an epoch on so few images that it takes a second."""
    whole = lenet_1998.mnist

    def few(split):
        data = whole(split)
        return data._replace(images=data.images[:320], labels=data.labels[:320])

    monkeypatch.setattr(lenet_1998, "mnist", few)
    return lambda: run(lenet_1998, "--epochs", 1)


def test_it_draws_where_it_is_told_to_and_says_that_it_learned_too_little(short_run, folder):
    status, text, errors = short_run()
    assert re.fullmatch(r"expected a test accuracy of at least 99.0 %, got \d+\.\d\d %", status)
    assert sorted(path.name for path in folder.iterdir()) == RUNS["lenet_1998"][1]
    assert "LeNet-5: 61,706 parameters" in text
    assert errors == ""


def test_a_convolution_of_one_pixel_is_the_kernel_backwards():
    q, W = np.zeros((1, 2, 7, 8), np.float32), np.arange(150, dtype=np.float32).reshape(3, 2, 5, 5)
    q[0, 1, 4, 4] = 2
    z = lenet_1998.convolve(q, W, np.float32([0, 10, 20]))
    assert z.shape == (1, 3, 3, 4)
    for k, i, j in np.ndindex(3, 3, 4):
        assert z[0, k, i, j] == 10 * k + 2 * W[k, 1, 4 - i, 4 - j]


def test_the_formulas_are_those_of_the_network():
    tg.manual_seed(3)
    model, images = lenet_1998.lenet(), tg.rand(4, 1, 28, 28).numpy()
    logits = lenet_1998.predict(model, images)
    assert logits.std() > 0.01
    np.testing.assert_allclose(lenet_1998.by_the_formulas(model, images), logits, rtol=0, atol=1e-6)


def test_another_network_than_that_of_the_formulas_is_noticed(short_run, monkeypatch, no_pictures):
    monkeypatch.setattr(nn, "MaxPool2d", nn.AvgPool2d)
    assert "expected the model to equal its formulas to 1e-3, got" in short_run()[0]


def test_maps_that_do_not_move_with_the_digit_are_noticed(short_run, monkeypatch, no_pictures):
    class Uneven(nn.Conv2d):
        """A convolution whose units have biases of their own."""

        def forward(self, x):
            return super().forward(x) + np.linspace(0, 1, 28, dtype=np.float32)

    even = lenet_1998.lenet
    monkeypatch.setattr(lenet_1998, "lenet", lambda: nn.Sequential(Uneven(1, 6, 5, padding=2), *even()[1:]))
    monkeypatch.setattr(lenet_1998, "by_the_formulas", lenet_1998.predict)
    assert "expected the maps of a digit to move with it, got" in short_run()[0]
