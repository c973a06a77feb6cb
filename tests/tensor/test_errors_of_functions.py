"""Rows of the table of errors, in the form of `tests/tensor/test_errors.py`: linear algebra, and what takes functions."""

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import check_error, leaf

A = np.ones((2, 3))

TABLE = {
    "the largest singular value": (
        lambda: tg.norm(leaf(A), 2),
        ValueError,
        r"norm: the matrix norm of ord=2 needs singular values, which have no gradient here: use ord='fro', or "
        r"np\.linalg\.norm\(x\.numpy\(\), 2\) if none needs to pass",
    ),
    "the sum of singular values": (lambda: tg.linalg.norm(A, "nuc"), ValueError, "norm: .* of ord='nuc' needs .*"),
    "a norm of matrices for vectors": (
        lambda: tg.norm(leaf(), "fro"),
        ValueError,
        "norm: expected ord to be None or a number for a norm over 1 axes, got 'fro'",
    ),
    "a norm of another order for matrices": (
        lambda: tg.norm(leaf(A), 3),
        ValueError,
        "norm: expected ord to be None, 'fro', 1, -1, inf or -inf for a norm over 2 axes, got 3",
    ),
    "an order for three axes": (
        lambda: tg.norm(np.ones((1, 2, 3)), 1),
        ValueError,
        "norm: expected ord to be None for a norm over 3 axes, got 1",
    ),
    "the order of a norm by another name": (lambda: tg.norm(leaf(), "inf"), ValueError, "norm: expected .*, got 'inf'"),
}


@pytest.mark.parametrize("name", TABLE)
def test_the_error(name, tmp_path):
    check_error(*TABLE[name], tmp_path)
