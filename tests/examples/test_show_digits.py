"""The digits are shown only as what they are: features row by row, a model that has learned, and the most different."""

import numpy as np
import pytest
import show_digits

from tinygrad_sm import nn
from tinygrad_sm.datasets import mnist


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


def test_the_digits_stand_beside_their_answers_and_the_rows_in_the_3(run, drawn):
    assert run(show_digits)[0] == 0
    images, labels, _ = mnist("test")
    rows, answers = drawn["rows.png"], drawn["answers.png"]
    np.testing.assert_array_equal(rows["image"], images[labels == 3][0, 0])
    assert rows["rows"] == {"green": 4, "blue": 5, "red": 6}
    assert not rows["image"][:4].any()  # the first that has ink is green
    assert rows["image"][4].any()
    assert answers["images"].shape == (3, 28, 28)
    np.testing.assert_array_equal(answers["images"][0], rows["image"])
    for image in answers["images"][1:]:
        assert labels[(images[:, 0] == image).all(axis=(1, 2))].tolist() == [7]
