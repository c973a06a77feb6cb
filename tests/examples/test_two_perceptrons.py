"""The example of two perceptrons notices weights whose difference is not that of the logistic unit."""

import re

import pytest
import two_perceptrons

TRAIN = two_perceptrons.train


def at_equal_rates(model, loss_of, steps, **options):
    return TRAIN(model, loss_of, steps, **options | {"lr": 0.1})


BREAKS = {
    "equal learning rates": ("train", at_equal_rates, "expected w₁ − w₂ of the perceptrons to be the unit's w"),
}


@pytest.mark.parametrize("what", BREAKS)
def test_it_notices_what_is_not_so(what, run, monkeypatch):
    name, replacement, message = BREAKS[what]
    monkeypatch.setattr(two_perceptrons, name, replacement)
    status, text, _ = run(two_perceptrons)
    assert isinstance(status, str), text  # sys.exit prints it, with exit status 1
    assert re.search(message, status), status
