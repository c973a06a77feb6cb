"""Rows of the table of errors, in the form of `tests/tensor/test_errors.py`: PyTorch's habits in `nn`."""

import numpy as np
import pytest

from tests.helpers import check_error
from tinygrad_sm import nn
from tinygrad_sm.nn import functional as F

Z = np.zeros(3)


def added(group):
    nn.optim.SGD([nn.Parameter([1.0])], lr=0.1).add_param_group(group)


TABLE = {
    "GELU without its form": (
        lambda: nn.GELU(),
        TypeError,
        r"GELU: expected approximate='none', the exact form, which PyTorch's GELU\(\) is, or approximate='tanh', which "
        r"GELU\(\) was here in version 0\.1: write one of them",
    ),
    "GELU of another form": (
        lambda: nn.GELU("fast"),
        ValueError,
        "GELU: expected approximate to be 'none' or 'tanh', got 'fast'",
    ),
    "gelu of another form": (
        lambda: F.gelu(Z, approximate=True),
        ValueError,
        "gelu: expected approximate to be 'none' or 'tanh', got True",
    ),
    "leaky_relu of a slope that is no number": (
        lambda: F.leaky_relu(Z, "steep"),
        TypeError,
        "leaky_relu: expected negative_slope to be a finite number, got str 'steep'",
    ),
    "LeakyReLU of an infinite slope": (
        lambda: nn.LeakyReLU(np.inf),
        ValueError,
        "LeakyReLU: expected negative_slope to be a finite number, got inf",
    ),
    "dropout of a share above 1": (
        lambda: F.dropout(Z, 1.5, training=False),
        ValueError,
        "dropout: expected p to be a number from 0 to 1, got 1.5",
    ),
    "dropout of integers": (
        lambda: F.dropout([1, 2]),
        TypeError,
        r"dropout: expected floats, got int64 \(2,\)",
    ),
    "one_hot of nothing": (
        lambda: F.one_hot(np.zeros((0, 2), int)),
        ValueError,
        r"one_hot: expected labels, or num_classes, got neither but int64 \(0, 2\)",
    ),
    "one_hot of no classes": (
        lambda: F.one_hot([0], num_classes=0),
        ValueError,
        "one_hot: expected num_classes to be an integer of at least 1, got 0",
    ),
    "one_hot of a negative label": (lambda: F.one_hot([2, -1]), IndexError, r"labels: .* got -1 in row 1\n.*"),
    "one_hot of floats": (lambda: F.one_hot([1.0]), TypeError, r"labels: expected integers, got float32: .*\n.*"),
    "several labels for one example": (
        lambda: F.cross_entropy(Z, [0, 1]),
        ValueError,
        r"cross_entropy: \(3,\) needs labels of shape \(\) or probabilities of shape \(3,\), got int64 \(2,\)",
    ),
    "a row of one label for one example": (
        lambda: F.nll_loss(Z, [1]),
        ValueError,
        r"nll_loss: \(3,\) needs labels of shape \(\), got int64 \(1,\): reshape it with \.reshape\(\(\)\)",
    ),
    "a label of one example that is no class": (
        lambda: F.cross_entropy(Z, 3),
        IndexError,
        "labels: expected 0..2 for 3 classes, got 3",
    ),
    "probabilities of one example that are integers": (
        lambda: F.cross_entropy(Z, [0, 1, 0]),
        TypeError,
        r"cross_entropy: a target of shape \(3,\) holds probabilities and must be floating, got int64: convert it with "
        r"\.astype\('float32'\), or pass labels of shape \(\)",
    ),
    "one example without classes": (
        lambda: F.cross_entropy(np.zeros(0), 0),
        ValueError,
        r"cross_entropy: expected an array of shape \(N, C\) or \(N, C, d1, \.\.\.\), or \(C,\) for one example, got "
        r"float64 \(0,\)",
    ),
    "a group that is no dict": (
        lambda: added(nn.Parameter([1.0])),
        TypeError,
        'expected every group to be a dict with "params", got float32 .* in place 1',
    ),
    "a group without parameters": (
        lambda: added({"lr": 0.1}),
        TypeError,
        'expected every group to be a dict with "params", got dict .* in place 1',
    ),
    "a group with an unknown option": (
        lambda: added({"params": [nn.Parameter([1.0])], "betas": (0.9, 0.99)}),
        TypeError,
        "SGD: expected the options lr, momentum, weight_decay, nesterov in a group, got 'betas'",
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_the_error(name, tmp_path):
    check_error(*TABLE[name], tmp_path)
