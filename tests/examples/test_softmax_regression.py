"""The softmax regression notices boundaries that are not linear, and a model that has not learned."""

import re

import numpy as np
import pytest
import softmax_regression

from tinygrad_sm import nn


def curved(W, b, x):
    """Be probabilities with logits that are not linear in x."""
    return nn.functional.softmax(x @ W.T + b + 0.1 * x[:, :1] ** 2 * np.array([1.0, 0.0, 0.0]))


def untrained(x, labels):
    return nn.Parameter(np.ones((3, 2))), nn.Parameter(np.zeros(3)), [1.0]


BREAKS = {
    "boundaries that bend": ("probabilities", curved, r"expected ln a_0/a_1 = \(w_0 − w_1\)ᵀx"),
    "an untrained softmax": ("train", untrained, "expected at least 99.0 % of new points right"),
}


@pytest.mark.parametrize("what", BREAKS)
def test_it_notices_what_is_not_so(what, run, monkeypatch):
    name, replacement, message = BREAKS[what]
    monkeypatch.setattr(softmax_regression, name, replacement)
    status, text, _ = run(softmax_regression)
    assert isinstance(status, str), text  # sys.exit prints it, with exit status 1
    assert re.search(message, status), status
