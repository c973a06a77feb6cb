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


def test_every_number_of_an_image_is_drawn(run, drawn):
    assert run(cat_chicken_dog)[0] == 0
    tables = {part[0].partition(",")[0]: part[1] for part in drawn["numbers.png"]["parts"] if not isinstance(part, str)}
    image, W, x, b, z, a, y = tables.values()
    assert list(tables) == ["the image", "W", "x", "b", "z", "a", "y"]
    assert (W.shape, b.shape, image.shape) == ((3, 4), (3, 1), (2, 2))
    np.testing.assert_array_equal(image.ravel(), x.ravel())
    np.testing.assert_allclose(z, W @ x + b, rtol=1e-6)
    np.testing.assert_allclose(a, np.exp(z) / np.exp(z).sum(), rtol=1e-5)
    assert y.sum() == 1
    assert 0.3 < a[y == 1].item() < 0.9  # it is neither 0.00 nor 1.00 in the picture
    assert drawn["numbers.png"]["title"].endswith(f"{-np.log(a[y == 1].item()):.2f}")
