"""What layers, initial values and losses are given is asked for by name, and nothing is changed where it is wrong."""

import re

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import leaf
from tinygrad_sm import nn
from tinygrad_sm.nn import functional, init

NO_NUMBERS = {"bool True": True, "NoneType None": None, "str '1'": "1"}
TOO_LARGE = 10**400

NUMBERS = {  # (what takes the number, its name, numbers beside NaN and ∞ that it refuses)
    "uniform_": [
        (lambda w, v: init.uniform_(w, a=v), "a", (1e39,)),
        (lambda w, v: init.uniform_(w, b=v), "b", (1e39,)),
    ],
    "normal_": [
        (lambda w, v: init.normal_(w, mean=v), "mean", (-1e39,)),
        (lambda w, v: init.normal_(w, std=v), "std", (-1, 1e39)),
    ],
    "xavier_uniform_": [(init.xavier_uniform_, "gain", (-1, 1e39))],
    "xavier_normal_": [(init.xavier_normal_, "gain", (-1, 1e39))],
    "kaiming_uniform_": [(init.kaiming_uniform_, "a", (1e39,))],
    "kaiming_normal_": [(init.kaiming_normal_, "a", (1e39,))],
}


@pytest.mark.parametrize("name", NUMBERS)
def test_initial_values_name_the_function_called_and_its_option(name):
    for f, option, refused in NUMBERS[name]:
        weight = tg.ones(2, 3)
        for described, value in NO_NUMBERS.items():
            with pytest.raises(
                TypeError, match=f"^{name}: expected {option} to be a number from .* to .*, got {described}$"
            ):
                f(weight, value)
        with pytest.raises(
            ValueError, match=f"^{name}: expected {option} to be a number .*, got an integer of too many"
        ):
            f(weight, TOO_LARGE)
        for value in (*refused, np.inf, np.nan):
            message = rf"{name}: expected {option} to be a number from .* to 3\.40282e\+38, got {re.escape(str(value))}"
            with pytest.raises(ValueError, match=f"^{message}$"):
                f(weight, value)
        np.testing.assert_array_equal(weight.data, np.ones((2, 3)))
        assert (f(weight, np.float64(0.5)).data != 1).all()


def test_constants_are_numbers_and_may_be_infinite():
    weight = tg.ones(2)
    for described, value in NO_NUMBERS.items():
        with pytest.raises(TypeError, match=f"^constant_: expected val to be a number from .*, got {described}$"):
            init.constant_(weight, value)
    for value, got in ((TOO_LARGE, "an integer of too many digits"), (1e39, r"1e\+39")):
        with pytest.raises(ValueError, match=rf"^constant_: expected val to be a number from .*e\+38, got {got}$"):
            init.constant_(weight, value)
    assert weight.tolist() == [1, 1]
    assert init.constant_(weight, -np.inf).tolist() == [-np.inf] * 2
    assert init.constant_(tg.Tensor([1, 2]), 2**53 + 1).tolist() == [2**53 + 1] * 2  # of integers, to the last digit


def test_gains():
    weight = tg.ones(2, 3)
    for value in (True, "1"):
        with pytest.raises(TypeError, match="^calculate_gain: expected param to be a finite number, got "):
            init.calculate_gain("leaky_relu", value)
    assert init.calculate_gain("leaky_relu", 1e200) == pytest.approx(2**0.5 * 1e-200, rel=1e-15)
    for nonlinearity in ("selu", None, ["relu"]):
        message = f"kaiming_normal_: expected a nonlinearity among linear, .*, got {re.escape(repr(nonlinearity))}"
        with pytest.raises(ValueError, match=f"^{message}$"):
            init.kaiming_normal_(weight, nonlinearity=nonlinearity)
    with pytest.raises(ValueError, match="^uniform_: expected bounds a ≤ b with a finite b − a"):
        init.uniform_(leaf([1.0]), -1e308, 1e308)
    assert weight.tolist() == [[1] * 3] * 2


@pytest.mark.parametrize(
    ("action", "error", "message"),
    [
        (
            lambda: nn.Linear(784.0, 10),
            TypeError,
            "Linear: expected in_features to be an integer of at least 0, got float 784.0",
        ),
        (
            lambda: nn.Linear("3", 10),
            TypeError,
            "Linear: expected in_features to be an integer of at least 0, got str '3'",
        ),
        (
            lambda: nn.Linear(True, 10),
            TypeError,
            "Linear: expected in_features to be an integer of at least 0, got bool True",
        ),
        (
            lambda: nn.Linear(3, None),
            TypeError,
            "Linear: expected out_features to be an integer of at least 1, got NoneType None",
        ),
        (lambda: nn.Linear(3, -1), ValueError, "Linear: expected out_features to be an integer of at least 1, got -1"),
        (lambda: nn.Dropout("0.5"), TypeError, "Dropout: expected p to be a number from 0 to 1, got str '0.5'"),
        (lambda: nn.Dropout(None), TypeError, "Dropout: expected p to be a number from 0 to 1, got NoneType None"),
        (lambda: nn.Dropout(True), TypeError, "Dropout: expected p to be a number from 0 to 1, got bool True"),
        (lambda: nn.Dropout(np.nan), ValueError, "Dropout: expected p to be a number from 0 to 1, got nan"),
        (
            lambda: nn.Dropout(TOO_LARGE),
            ValueError,
            "Dropout: expected p to be a number from 0 to 1, got an integer of too many digits",
        ),
        (lambda: nn.Softmax(dim=1.5), TypeError, "Softmax: expected dim to be an integer, got float 1.5"),
        (lambda: nn.Softmax(dim=None), TypeError, "Softmax: expected dim to be an integer, got NoneType None"),
        (lambda: nn.LogSoftmax(dim="1"), TypeError, "LogSoftmax: expected dim to be an integer, got str '1'"),
    ],
)
def test_layers_say_what_they_expect(action, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        action()


def test_layers_take_numbers_of_numpy():
    layer = nn.Linear(np.int64(3), np.uint8(2))
    assert repr(layer) == "Linear(in_features=3, out_features=2, bias=True)"
    assert layer.weight.shape == (2, 3)
    assert repr(nn.Dropout(np.float32(0.5))) == "Dropout(p=0.5)"
    assert repr(nn.LogSoftmax(np.int32(1))) == "LogSoftmax(dim=1)"


@pytest.mark.parametrize("label_smoothing", ["0.1", None, True])
def test_label_smoothing_is_a_number(label_smoothing):
    with pytest.raises(TypeError, match="^cross_entropy: expected label_smoothing to be a number from 0 to 1, got "):
        nn.functional.cross_entropy(np.zeros((1, 2)), [0], label_smoothing=label_smoothing)


ignoring = {"ignore_index": 1}


@pytest.mark.parametrize("options", [{}, ignoring, {"weight": np.ones(3)}, {"reduction": "sum"}], ids=str)
def test_a_bad_label_is_found_beside_an_ignored_one(options):
    ignored = options.get("ignore_index", -100)
    for bad in (3, -7):
        for labels in ([0, ignored, bad, 2], [0, 2, bad, 0]):
            for loss in (functional.cross_entropy, functional.nll_loss):
                with pytest.raises(IndexError, match=f"labels: expected 0..2 for 3 classes, got {bad} in row 2"):
                    loss(leaf(np.zeros((4, 3))), np.array(labels), **options)
    for labels in ([0.0, ignored, 1.0, 2.0], [True, False, True, True]):
        with pytest.raises(TypeError, match="labels: expected integers, got (float64|bool)"):
            functional.cross_entropy(leaf(np.zeros((4, 3))), np.array(labels), **options)


@pytest.mark.parametrize("ignored", [-100, 255, 1, 0])
@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int64])
def test_ignored_labels_of_any_kind_leave_the_mean_of_the_others(ignored, dtype):
    if not np.iinfo(dtype).min <= ignored <= np.iinfo(dtype).max:
        pytest.skip("no such label")
    z = np.random.default_rng(0).normal(size=(4, 3))
    labels, kept = np.array([2, ignored, 2, ignored], dtype), np.array([2, 2])
    found, expected = leaf(z), leaf(z[[0, 2]])
    functional.cross_entropy(found, labels, ignore_index=ignored).backward()
    functional.cross_entropy(expected, kept).backward()
    np.testing.assert_allclose(found.grad[[0, 2]], expected.grad, rtol=1e-14)
    np.testing.assert_array_equal(found.grad[[1, 3]], np.zeros((2, 3)))


def test_the_default_loss_is_the_operation_itself():
    z, labels = leaf(np.zeros((4, 3))), np.array([0, 1, 2, 0])
    assert nn.CrossEntropyLoss()(z, labels).node.op is tg.ops.softmax.cross_entropy
