"""Rows of the error table, in the form of `tests/tensor/test_errors.py`: linear algebra, and what takes functions."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import check_error, leaf
from tinygrad_sm import GradientError

A = np.ones((2, 3))


class Pair(NamedTuple):
    """Two arrays."""

    a: Any
    b: Any


@dataclass
class Weights:
    """One array."""

    w: Any


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
    # functions that give gradients
    "value_and_grad of a value": (
        lambda: tg.value_and_grad(leaf()),
        TypeError,
        r"value_and_grad: expected a function, got float64 \(3,\)",
    ),
    "grad of Tensors without inputs": (
        lambda: tg.grad(leaf()),
        TypeError,
        "grad: expected outputs and inputs, both Tensors, or a function and perhaps argnums",
    ),
    "argnums twice": (
        lambda: tg.grad(tg.sum, 0, argnums=1),
        TypeError,
        "grad: expected argnums once, got int 0 by position, and argnums=1",
    ),
    "grad of Tensors with argnums": (
        lambda: tg.grad(leaf(), leaf(), argnums=0),
        TypeError,
        "grad: expected outputs .*",
    ),
    "grad of a function at a point": (
        lambda: tg.grad(tg.sum, leaf()),
        TypeError,
        r"grad: expected argnums beside a function, got float64 \(3,\): write tg\.grad\(f\)\(x\)",
    ),
    "grad of a function and of Tensors at once": (
        lambda: tg.grad(tg.sum, grad_outputs=A),
        TypeError,
        "grad: grad_outputs, retain_graph and allow_unused are for Tensors, and this is a function",
    ),
    "an argument that is not there": (
        lambda: tg.value_and_grad(tg.sum, argnums=(0, 2))(A, 0),
        ValueError,
        r"value_and_grad: expected 3 or more arguments by position, because argnums is \(0, 2\), got 2: argnums=0 is "
        "the first",
    ),
    "an argument by keyword": (
        lambda: tg.grad(lambda x: x)(x=1.0),
        ValueError,
        "grad: expected 1 or more arguments by position, because argnums is 0, got 0: argnums=0 is the first",
    ),
    "an argument from the end": (
        lambda: tg.grad(tg.sum, -1),
        ValueError,
        "grad: expected argnums to be an integer of at least 0, got -1",
    ),
    "an argument by name": (
        lambda: tg.value_and_grad(tg.sum, "x"),
        TypeError,
        "value_and_grad: expected argnums to be an integer of at least 0, got str 'x'",
    ),
    "an argument twice": (
        lambda: tg.grad(tg.sum, (1, 1)),
        ValueError,
        r"grad: expected argnums that differ, got \(1, 1\)",
    ),
    "a gradient of several elements": (
        lambda: tg.value_and_grad(tg.sin)(A),
        ValueError,
        r"value_and_grad: expected f to return one element, got float64 \(2, 3\): reduce it, as with \.sum\(\)",
    ),
    "a gradient of nothing": (
        lambda: tg.grad(lambda x: None)(A),
        TypeError,
        "(?s)expected numbers, got NoneType None.*\nas output 0 of f",
    ),
    "a gradient at integers": (
        lambda: tg.grad(tg.sum)([1, 2]),
        TypeError,
        r"only floats carry gradients, got int64: convert with \.astype\('float32'\) first\nas input 0 of f",
    ),
    # structures
    "integers inside of a structure": (
        lambda: tg.vjp(lambda p: p["w"][1], {"w": [A, np.arange(3)]}),
        TypeError,
        r"(?s)only floats carry gradients, got int64: .*\nas input 0\['w'\]\[1\] of f",
    ),
    "no number in a field": (
        lambda: tg.jvp(lambda x, p: x, (A, Pair(A, "two"))),
        TypeError,
        r"(?s)expected numbers, got str 'two'.*\nas input 1\.b of f",
    ),
    "a dict of another class": (
        lambda: tg.jacobian(lambda p: p["w"], OrderedDict(w=A)),
        TypeError,
        r"(?s)expected arrays in plain lists, tuples and dicts, got OrderedDict .*: give dict\(x\)\nas input 0 of f",
    ),
    "a dataclass": (
        lambda: tg.grad(lambda p: p.w.sum())(Weights(A)),
        TypeError,
        r"(?s)expected arrays in plain lists, tuples and dicts, got Weights .*: give vars\(x\)\nas input 0 of f",
    ),
    "v for some of the inputs": (
        lambda: tg.hvp(lambda x, y: (x * y).sum(), (A, A), A),
        ValueError,
        r"hvp: expected v in the form of the inputs, a tuple of 2, got float64 \(2, 3\)",
    ),
    "v of too many parts": (
        lambda: tg.jvp(lambda p: p[0], [A, A], [A, A, A]),
        ValueError,
        "jvp: expected v in the form of the inputs, a list of 2, got a list of 3",
    ),
    "v of other keys": (
        lambda: tg.vjp(lambda x: {"a": x, "b": (x, x)}, A, {"a": A, "c": (A, A)}),
        ValueError,
        "vjp: expected v in the form of the outputs, a dict with the keys 'a', 'b', got a dict with the keys 'a', 'c'",
    ),
    "v of another form inside": (
        lambda: tg.vjp(lambda x: {"a": x, "b": (x, x)}, A, {"a": A, "b": A}),
        ValueError,
        r"vjp: expected v in the form of the outputs, a tuple of 2, got float64 \(2, 3\)",
    ),
    "v of another shape inside": (
        lambda: tg.jvp(lambda p: p["w"], {"w": A}, {"w": A[0]}),
        ValueError,
        r"jvp: expected v of shape \(2, 3\), as input 0\['w'\] has, got float64 \(3,\)",
    ),
    "grad by a dict with an array": (
        lambda: tg.grad(leaf().sum(), {"w": A}),
        TypeError,
        r"grad: expected a Tensor as input, got float64 \(2, 3\)",
    ),
    "grad by a part that is not used": (
        lambda: tg.grad(leaf().sum(), [{"w": leaf()}]),
        GradientError,
        r"grad: the outputs do not depend on input 0\['w'\]; pass allow_unused=True to get None",
    ),
    # backward(inputs=...)
    "backward by an array": (
        lambda: leaf().sum().backward(inputs=A),
        TypeError,
        r"backward\(\): expected a Tensor as input, got float64 \(2, 3\)",
    ),
    "backward by a constant": (
        lambda: leaf().sum().backward(inputs=[leaf(), tg.ones(2)]),
        GradientError,
        r"backward\(\): input 1 does not require a gradient: make it with requires_grad=True",
    ),
    "backward by no input": (
        lambda: leaf().sum().backward(inputs=[]),
        ValueError,
        r"backward\(\): expected inputs to be one Tensor or several, got none",
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_the_error(name, tmp_path):
    check_error(*TABLE[name], tmp_path)
