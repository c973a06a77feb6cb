"""Indices of every integer dtype name the same places: what is computed with them is computed in intp."""

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import leaf
from tinygrad_sm import Tensor
from tinygrad_sm.nn import functional
from tinygrad_sm.ops import indexing

INTEGERS = [f"{sign}int{bits}" for bits in (8, 16, 32, 64) for sign in ("", "u")]
every_integer = pytest.mark.parametrize("dtype", INTEGERS)

ROWS, COLUMNS = 120, 784  # the last row begins at 93,296, more than 16 bits hold
PLACES = np.array([[90, 3, 90], [119, 0, 64]])
FORMS = {
    "rows": (lambda x, i: x[i[0]], PLACES[0]),
    "rows, by an index of two axes": (lambda x, i: x[i], PLACES),
    "columns": (lambda x, i: x[:, i[1]], (slice(None), PLACES[1])),
    "pairs": (lambda x, i: x[i[0], i[1]], (PLACES[0], PLACES[1])),
    "pairs of an open grid": (lambda x, i: x[i[0][:, None], i[1]], (PLACES[0][:, None], PLACES[1])),
    "one row": (lambda x, i: x[i[1, 0]], 119),
    "take": (lambda x, i: tg.take(x, i[0], axis=0), PLACES[0]),
    "take along columns": (lambda x, i: tg.take(x, i, axis=-1), (slice(None), PLACES)),
    "take of all in one row": (lambda x, i: tg.take(x, i), np.unravel_index(PLACES, (ROWS, COLUMNS))),
    "take_along_axis": (lambda x, i: tg.take_along_axis(x[:, :3], i, 0), (PLACES, np.arange(3))),
}


def at(places, dtype, device):
    return Tensor(places.astype(dtype), device=device).data


@pytest.mark.parametrize("form", FORMS)
@every_integer
def test_values_and_gradients_are_at_the_places_of_the_index(dtype, form, device):
    f, places = FORMS[form]
    random = np.random.default_rng(0)
    data = random.random((ROWS, COLUMNS))
    x = Tensor(data, requires_grad=True, device=device)
    out = f(x, at(PLACES, dtype, device))
    np.testing.assert_array_equal(out.numpy(), data[places])
    g = random.random(out.shape)
    expected = np.zeros(data.shape)
    np.add.at(expected, places, g)
    incoming = Tensor(g, requires_grad=True, device=device)
    (first,) = tg.grad(out, x, incoming, create_graph=True)
    np.testing.assert_allclose(first.numpy(), expected, rtol=1e-14)
    weights = random.random(data.shape)
    (second,) = tg.grad((first * Tensor(weights, device=device)).sum(), incoming)
    np.testing.assert_array_equal(second.numpy(), weights[places])
    f(x, at(PLACES, dtype, device)).backward(g if device == "cpu" else incoming.data)
    np.testing.assert_allclose(Tensor(x.grad).numpy(), expected, rtol=1e-14)


@pytest.mark.parametrize("form", ["rows", "pairs", "take"])
@pytest.mark.parametrize("dtype", [name for name in INTEGERS if not name.startswith("u")])
def test_negative_indices_count_from_the_end(dtype, form, device):
    f, _ = FORMS[form]
    x, same = (leaf(np.ones((ROWS, COLUMNS))).to(device).detach().requires_grad_() for _ in range(2))
    f(x, at(PLACES - ROWS, dtype, device)).sum().backward()
    f(same, at(PLACES - ROWS, "int64", device)).sum().backward()
    np.testing.assert_array_equal(Tensor(x.grad).numpy(), Tensor(same.grad).numpy())
    assert Tensor(x.grad).numpy().any(axis=1)[[90, 3]].all()


def test_the_dtype_of_an_index_need_not_hold_its_places():
    values = np.ones((3, COLUMNS))
    for dtype, index in (("int16", [500, 50, 50]), ("uint8", [200, 50, 50])):
        right = indexing.put(values, (1000, COLUMNS), np.array(index))
        np.testing.assert_array_equal(indexing.put(values, (1000, COLUMNS), np.array(index, dtype)), right)
        assert right[index[0]].tolist() == [1] * COLUMNS


@pytest.mark.parametrize("index", [[], *(np.array([], dtype) for dtype in INTEGERS)], ids=["list", *INTEGERS])
@pytest.mark.parametrize("shape", [(0, 3), (0,), (2, 0), (2, 3), (0, 0)])
def test_nothing_taken(index, shape, device):
    w = leaf(np.ones(shape)).to(device).detach().requires_grad_()
    index = index if isinstance(index, list) else Tensor(index, device=device)
    out = w[index]
    assert out.shape == (0, *shape[1:])
    out.sum().backward()
    np.testing.assert_array_equal(Tensor(w.grad).numpy(), np.zeros(shape))


@every_integer
def test_an_index_out_of_range_is_an_error(dtype, device):
    x = Tensor(np.ones((100, 3)), device=device)
    with pytest.raises(IndexError):
        x[Tensor(np.array([3, 100], dtype), device=device)]


LOSSES = {
    "cross_entropy": functional.cross_entropy,
    "cross_entropy, smoothed": lambda z, y: functional.cross_entropy(z, y, label_smoothing=0.1),
    "cross_entropy, weighted": lambda z, y: functional.cross_entropy(z, y, weight=np.linspace(1, 2, z.shape[1])),
    "cross_entropy, one class ignored": lambda z, y: functional.cross_entropy(z, y, ignore_index=2),
    "cross_entropy, a class ignored that no label is of": lambda z, y: functional.cross_entropy(z, y, ignore_index=999),
    "nll_loss": functional.nll_loss,
    "nll_loss, by example": lambda z, y: functional.nll_loss(z, y, reduction="none").sum(),
    "sparsemax_loss": functional.sparsemax_loss,
    "entmax15_loss": functional.entmax15_loss,
    "one_hot": lambda z, y: (z * functional.one_hot(y, z.shape[1])).sum(),
}


@pytest.mark.parametrize("classes", [120, 300])  # 300 classes and more than 127 are more than an int8 holds
@pytest.mark.parametrize("loss", LOSSES)
@every_integer
def test_labels_of_every_integer_dtype(dtype, loss, classes, device):
    f, labels = LOSSES[loss], np.array([2, 119, 0, 64, 2])
    if device != "cpu" and loss == "cross_entropy, weighted":
        pytest.skip("weights that stand on the host are refused there")

    def loss_and_gradient(dtype):
        logits = Tensor(np.random.default_rng(0).normal(size=(5, classes)), requires_grad=True, device=device)
        out = f(logits, Tensor(labels.astype(dtype), device=device))
        out.backward()
        return out.numpy(), Tensor(logits.grad).numpy()

    for found, expected in zip(loss_and_gradient(dtype), loss_and_gradient("int64"), strict=True):
        np.testing.assert_array_equal(found, expected)


@every_integer
def test_counts_of_labels(dtype, device):
    labels = np.array([2, 119, 0, 64, 2, 119, 119])
    logits = Tensor(np.eye(300)[[2, 119, 1, 64, 119, 119, 299]], device=device)
    counts = functional.confusion_matrix(logits, Tensor(labels.astype(dtype), device=device))
    expected = np.zeros((300, 300), np.int64)
    np.add.at(expected, (labels, [2, 119, 1, 64, 119, 119, 299]), 1)
    np.testing.assert_array_equal(Tensor(counts).numpy(), expected)
    assert functional.accuracy(logits, Tensor(labels.astype(dtype), device=device)) == pytest.approx(4 / 7)


@every_integer
def test_a_shift_of_any_dtype_rolls_as_a_number_does(dtype):
    x = np.arange(1000.0)
    for shift in (np.dtype(dtype).type(3), np.array([3, 100], dtype)):
        axis = 0 if np.ndim(shift) == 0 else (0, 0)
        np.testing.assert_array_equal(tg.roll(x, shift, axis), np.roll(x, np.sum(shift, dtype=np.int64)))


def test_places_of_integers_are_counted_in_intp():
    index = indexing.as_intp((np.array([1, 2], np.uint8), slice(3), None, True, np.array([True]), [1, 2]))
    assert [getattr(part, "dtype", None) for part in index] == [np.intp, None, None, None, np.bool_, None]
    kept = np.array([1, 2], np.intp)
    assert indexing.as_intp(kept) is kept


def test_what_is_put_must_fit_and_have_its_place():
    for values, shape, index in (
        (np.ones((2, 3)), (4, 3), [0, 9]),
        (np.ones((2, 3)), (4, 3), [0, -5]),
        (np.ones((5, 3)), (4, 1, 3), [0, 1, 2, 3, 0]),
        (np.ones((1, 3)), (0, 3), [0]),
    ):
        with pytest.raises((IndexError, ValueError)):
            indexing.put(values, shape, np.array(index))
    assert indexing.put(np.ones((1, 3)), (4, 3), np.array([0, 0])).sum() == 6  # broadcast, as in NumPy
