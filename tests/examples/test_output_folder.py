"""An example makes the folder that --output names, and draws its pictures there."""

import importlib

import pytest

from tests.examples.helpers import RUNS, check_run
from tests.helpers import IN_FULL

NAMES = [  # fashion_mnist and mnist_softmax do so in the files of their own tests
    *("chain_rule", "training_ledger", "optimum", "scaling_study"),
    *("linear_regression", "logistic_regression", "one_vs_rest", "mnist_mlp", "language_model"),
]


@pytest.mark.parametrize("name", NAMES if IN_FULL else NAMES[::3])
def test_the_example_runs_and_draws(name, run, folder):
    options, pictures = RUNS[name]
    check_run(*run(importlib.import_module(name), *options), folder, pictures)
