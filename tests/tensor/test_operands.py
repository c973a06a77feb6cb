"""Operators know numbers, sequences and arrays; whoever else has operators, or answers NumPy's functions, is asked."""

import enum
import operator
from array import array
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest

from tests.helpers import leaf
from tinygrad_sm import Tensor

A = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 7.0]])


class Level(enum.IntEnum):
    TWO = 2


class Answering:
    """Answers NumPy's functions itself."""

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        return ("answer", ufunc.__name__)

    def __array_function__(self, function, types, args, kwargs):
        return ("answer", function.__name__)


@pytest.mark.parametrize("requires_grad", [True, False])
def test_whoever_answers_numpys_functions_is_asked_after_a_tensor(requires_grad):
    x, other = Tensor([1.0, 2.0], requires_grad=requires_grad), Answering()
    for operands in ((x, other), (other, x)):
        assert np.multiply(*operands) == ("answer", "multiply")
        assert np.concatenate(operands) == ("answer", "concatenate")
        assert np.append(*operands) == ("answer", "append")
    assert np.where(x.data > 1, x, other) == ("answer", "where")


class Labelled:
    """An array with a label, as in xarray: an operator between it and anything is its own matter."""

    def __init__(self, label):
        self.label = label

    def __array__(self, dtype=None, copy=None):
        return np.ones(3)


OPERATORS = {"add": operator.add, "sub": operator.sub, "mul": operator.mul, "truediv": operator.truediv}
OPERATORS |= {"pow": operator.pow, "matmul": operator.matmul}
for symbol in OPERATORS:
    setattr(Labelled, f"__r{symbol}__", lambda self, other, name=symbol: (name, self.label, other))


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("requires_grad", [True, False])
def test_an_operand_that_answers_itself_is_asked(name, requires_grad):
    x = Tensor([1.0, 2.0, 3.0], requires_grad=requires_grad)
    assert OPERATORS[name](x, Labelled("u")) == (name, "u", x)
    assert getattr(x, f"__{name}__")(Labelled("u")) is NotImplemented


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize(
    "other", [Fraction(1, 2), Decimal(1), "ab", b"ab", object(), {1}], ids=lambda x: type(x).__name__
)
def test_operands_that_nobody_knows_are_a_type_error_that_names_them(name, other):
    if (name, type(other)) == ("pow", Fraction):  # which answers t ** Fraction itself
        assert (leaf([4.0]) ** other).tolist() == [2.0]
        return
    for call in (lambda: OPERATORS[name](leaf([1.0]), other), lambda: OPERATORS[name](other, leaf([1.0]))):
        with pytest.raises(TypeError, match=rf"{type(other).__name__}"):
            call()


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize(
    "other",
    [
        2,
        2.5,
        True,
        np.float32(2),
        np.ones(3),
        [1.0, 2.0, 3.0],
        (1, 2, 3),
        range(1, 4),
        array("d", [1, 2, 3]),
        Level.TWO,
    ],
    ids=lambda x: type(x).__name__,
)
def test_numbers_and_sequences_are_operands(name, other):
    if name == "matmul" and np.ndim(other) == 0:
        return
    right = np.asarray(other, np.float64)
    np.testing.assert_allclose(OPERATORS[name](leaf(A), other).data, OPERATORS[name](A, right), rtol=1e-6)


def test_xarray_and_sparse_arrays_are_asked():
    xarray, sparse = pytest.importorskip("xarray"), pytest.importorskip("scipy.sparse")
    x, labelled = Tensor([1.0, 2.0]), xarray.DataArray([3.0, 4.0], dims="u")
    assert all(isinstance(y, xarray.DataArray) for y in (x * labelled, labelled * x, np.multiply(x, labelled)))
    with pytest.raises(TypeError, match=r"expected numbers, got csr_array float64 \(2, 2\)"):
        np.multiply(x, sparse.csr_array(np.eye(2)))
    np.testing.assert_array_equal(x @ sparse.csr_array([[1.0, 0.0], [2.0, 3.0]]), [5.0, 6.0])
