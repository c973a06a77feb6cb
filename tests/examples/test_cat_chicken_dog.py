"""The example of cat, chicken and dog notices notations that differ, and labels that claim another order."""

import re

import cat_chicken_dog
import numpy as np
import pytest


def transposed(x, w, b):
    return [sum(x[i] * w.reshape(4, 3)[i, j] for i in range(4)) + b[j] for j in range(3)]


def one_hot_too(X, labels, number):
    return cat_chicken_dog.as_classes(X, labels, len(number))


BREAKS = {
    "w_ij for w_ji": ("written_out", transposed, "expected three notations to agree"),
    "an order that holds": ("as_numbers", one_hot_too, "expected one-hot labels to be"),
    "another order": ("NUMBER", np.array([1.0, 2.0, 3.0]), "expected a number near 2 and P"),
}


@pytest.mark.parametrize("what", BREAKS)
def test_it_notices_what_is_not_so(what, run, monkeypatch):
    name, replacement, message = BREAKS[what]
    monkeypatch.setattr(cat_chicken_dog, name, replacement)
    status, text, _ = run(cat_chicken_dog)
    assert isinstance(status, str), text  # sys.exit prints it, with exit status 1
    assert re.search(message, status), status
