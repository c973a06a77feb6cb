"""The network on MNIST computes what its formulas say, and ends with status 1 where it learns too little."""

import os
import re

import mnist_mlp
import numpy as np

from tests.examples.helpers import EXAMPLES, start
from tinygrad_sm import nn


def test_a_failed_check_is_status_1_and_says_why(tmp_path):
    options = ["--quick", "--epochs", "1", "--hidden", "2"]
    status, _, errors = start(EXAMPLES / "mnist_mlp.py", *options, cwd=tmp_path)
    assert status == 1
    assert re.fullmatch(rf"expected a test accuracy of at least 90.0 %, got \d+\.\d\d %{os.linesep}", errors)


def test_the_formulas_of_the_network_by_hand():
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 2), nn.ReLU(), nn.Linear(2, 2))
    for parameter, value in zip(model.parameters(), (0, [1, -1], [[1, 5], [0, 5]], [0, 0]), strict=True):
        parameter.assign(np.broadcast_to(np.float32(value), parameter.shape).copy())
    e = np.e  # the hidden units are 1 and relu(−1) = 0, the net inputs 1 and 0
    y = mnist_mlp.by_the_formulas(model, np.ones((1, 1, 28, 28), np.float32))
    np.testing.assert_allclose(y, [[e / (1 + e), 1 / (1 + e)]], rtol=1e-6)


def test_the_curves_have_both_accuracies_and_the_network_its_symbols(run, drawn):
    assert run(mnist_mlp, "--quick")[0] == 0
    accuracies = drawn["curves.png"]["panels"]["accuracy in %"]
    assert list(accuracies) == ["training", "test"]
    assert [len(values) for values in accuracies.values()] == [6, 6]
    assert 50 < accuracies["training"][0] < accuracies["training"][-1] <= 100
    assert accuracies["training"][-1] > accuracies["test"][-1]
    assert [layer[0][0] for layer in drawn["network.png"]["layers"]] == ["x", "q", "z", "a"]
