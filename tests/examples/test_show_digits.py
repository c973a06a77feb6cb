"""The digits are shown only as what they are: features row by row, a model that has learned, and the most different."""

import numpy as np
import pytest
import show_digits

from tinygrad_sm import nn


@pytest.mark.parametrize(
    ("name", "replacement", "message"),
    [
        ("row_by_row", lambda image: image.T.ravel(), "expected 784 features, row after row"),
        (
            "train",
            lambda training: nn.Sequential(nn.Flatten(), nn.Linear(784, 10)),
            "expected more than 90 % right",
        ),
    ],
)
def test_show_digits_notices_what_is_not_so(name, replacement, message, run, monkeypatch):
    monkeypatch.setattr(show_digits, name, replacement)
    assert run(show_digits)[0].startswith(message)


def test_the_most_different_are_the_farthest():
    points = np.array([[0.0, 0.0], [10.0, 0.0], [9.0, 0.0], [0.0, 8.0], [4.0, 2.0]])
    assert show_digits.most_different(points, 4) == [4, 3, 1, 0]
