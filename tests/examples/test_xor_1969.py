"""The example of XOR notices a set that a line can do, hidden units that bend nothing, and runs that all fail."""

import re

import numpy as np
import pytest
import xor_1969

import tinygrad_sm as tg
from tinygrad_sm import nn

TRAIN = xor_1969.train

BREAKS = {
    "AND, which a line can do": ("Y", np.array([0, 0, 0, 1]), "expected 3 of 4 right, .* got 4"),
    "no bend": (
        "ACTIVATIONS",
        {"sigmoid": lambda z: 1.0 * z},
        "sigmoid, 2 units: expected 10 to 90 of 100 runs .* got 0$",
    ),
    "no time to learn": ("train", lambda H, h: TRAIN(H, h, steps=2), "ReLU, 8 units: expected 90 to 100 of 100 runs"),
}


@pytest.mark.parametrize("what", BREAKS)
def test_it_notices_what_is_not_so(what, run, monkeypatch, no_pictures):
    name, replacement, message = BREAKS[what]
    monkeypatch.setattr(xor_1969, name, replacement)
    monkeypatch.setattr(xor_1969, "WIDTHS", (2, 8) if what == "no time to learn" else (2,))
    status, text, _ = run(xor_1969)
    assert isinstance(status, str), text  # sys.exit prints it, with exit status 1
    assert re.search(message, status, re.DOTALL), status


def test_many_networks_learn_at_once_as_each_would_alone(monkeypatch):
    monkeypatch.setattr(xor_1969, "RUNS", 3)
    (W1, b1, W2, b2), _ = TRAIN(2, tg.sigmoid, steps=0)
    (*_, last_b2), losses = TRAIN(2, tg.sigmoid, steps=20)
    model = nn.Sequential(nn.Linear(2, 2), nn.Sigmoid(), nn.Linear(2, 2))
    for parameter, draw in zip(model.parameters(), (W1[1].T, b1[1, 0], W2[1].T, b2[1, 0]), strict=True):
        parameter.assign(draw)
    optimizer = nn.optim.Adam(model.parameters(), lr=0.05)
    for _ in range(20):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(xor_1969.X), xor_1969.Y, reduction="sum").backward()
        optimizer.step()
    np.testing.assert_allclose(last_b2[1, 0], model[2].bias.numpy(), rtol=1e-4)
    loss = nn.functional.cross_entropy(model(xor_1969.X), xor_1969.Y).item()
    assert losses[1] == pytest.approx(loss, rel=1e-5)
    assert b2[1, 0] != pytest.approx(last_b2[1, 0], rel=0.01)
