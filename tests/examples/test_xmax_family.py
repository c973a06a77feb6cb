"""The example of the xmax family notices a function or an entropy that breaks the family's laws."""

import re

import pytest
import xmax_family

import tinygrad_sm as tg
from tinygrad_sm import nn


def normalised_relu(z):
    return tg.relu(z) / (tg.relu(z).sum(axis=-1, keepdims=True) + 1e-9)


BREAKS = {
    "no softmax": ("ENTROPIES", {"relu": (normalised_relu, xmax_family.entropy_softmax)}, "a breach of: Σ"),
    "the wrong entropy": (
        "ENTROPIES",
        {"softmax": (nn.functional.sparsemax, xmax_family.entropy_softmax)},
        "softmax: expected the laws of the family, got a breach of: a maximises",
    ),
}


@pytest.mark.parametrize("what", BREAKS)
def test_it_notices_what_is_not_so(what, run, monkeypatch):
    name, replacement, message = BREAKS[what]
    monkeypatch.setattr(xmax_family, name, replacement)
    status, text, _ = run(xmax_family)
    assert isinstance(status, str), text  # sys.exit prints it, with exit status 1
    assert re.search(message, status), status
