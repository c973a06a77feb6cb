"""The deep network notices parameters that are left out, activations that are missing, and depth that does not help."""

import re

import deep_network
import numpy as np
import pytest

from tinygrad_sm import nn

BY_HAND = deep_network.by_hand


def in_part(theta, sizes, x):
    return BY_HAND(np.where(np.arange(theta.size) == theta.size - 1, 0, theta), sizes, x)


BREAKS = {
    "θ in part": ("by_hand", in_part, "expected θ of 643 numbers that give"),
    "no activation": ("ACTIVATIONS", {"sigmoid": nn.Flatten}, "expected more than 99 % right"),
    "narrow is not deep": (
        "NETWORKS",
        {"deep": [2, 16, 16, 16, 3], "wide": [2, 16, 16, 16, 3]},
        r"expected less than half the loss from \(deep, sigmoid\)",
    ),
}


@pytest.mark.parametrize("what", BREAKS)
def test_it_notices_what_is_not_so(what, run, monkeypatch):
    name, replacement, message = BREAKS[what]
    monkeypatch.setattr(deep_network, name, replacement)
    status, text, _ = run(deep_network)
    assert isinstance(status, str), text  # sys.exit prints it, with exit status 1
    assert re.search(message, status), status
