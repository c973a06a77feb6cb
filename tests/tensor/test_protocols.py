"""NumPy's functions reach the operations with their gradients, answer questions with arrays, and refuse the rest."""

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import leaf
from tinygrad_sm import Tensor, protocols

A = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 7.0]])


def arguments(function):
    """Return arguments, with the array A among them, that NumPy's function takes."""
    special = {
        getattr(np, "astype", None): (A, np.float64),  # NumPy has it since 2.1
        np.broadcast_to: (A, (2, 2, 3)),
        np.clip: (A, 1.5, 4.5),
        np.concatenate: ([A, A],),
        np.einsum: ("ij,kj->ik", A, A),
        np.expand_dims: (A, 1),
        np.matmul: (A, A.T),
        np.linalg.matmul: (A, A.T),
        np.moveaxis: (A, 0, 1),
        np.outer: (A, A),
        np.pad: (A, 1),
        np.reshape: (A, (3, 2)),
        np.roll: (A, 1),
        np.split: (A, 3, 1),
        np.stack: ([A, A],),
        np.swapaxes: (A, 0, 1),
        np.take: (A, np.array([0, 4])),
        np.take_along_axis: (A, np.array([[0], [1]]), 1),
        np.where: (A > 2, A, -A),
    }
    return special.get(function, (A,) * getattr(function, "nin", 1))


def with_leaf(argument, x):
    """Return the argument with the leaf x in the place of A."""
    if isinstance(argument, list):
        return [with_leaf(part, x) for part in argument]
    return x if argument is A else argument


@pytest.mark.parametrize("function", protocols.TWINS, ids=lambda f: f.__name__)
def test_numpys_function_gives_its_value_and_the_gradient_of_its_twin(function):
    given = arguments(function)

    def call(x):
        result = function(*(with_leaf(argument, x) for argument in given))
        return result[1] if isinstance(result, list) else result

    result = call(Tensor(A, requires_grad=True))
    assert isinstance(result, Tensor)
    assert result.requires_grad
    np.testing.assert_allclose(result.data, call(A), rtol=1e-14)
    tg.gradcheck(call, [A])


def test_every_operation_that_numpy_has_is_reached():
    def numpys(name):
        return getattr(np, name, None) or getattr(np.linalg, name, None)

    ours = {name for name in tg.__all__ if callable(numpys(name))}
    creation = {"arange", "eye", "full", "ones", "ones_like", "zeros", "zeros_like"}
    assert ours - creation == {name for name in ours if numpys(name) in protocols.TWINS}
    assert len(protocols.TWINS) > 50


def test_keywords_pass_and_arrays_may_stand_beside_tensors():
    x = leaf([[1.0, 2.0], [3.0, 5.0]])
    np.testing.assert_array_equal(np.sum(x, axis=0, keepdims=True).data, [[4, 7]])
    np.testing.assert_allclose(np.std(x, axis=1, ddof=1).data, np.std(x.data, axis=1, ddof=1))
    y = np.add(np.ones(2), x)
    assert isinstance(y, Tensor)
    np.sum(np.concatenate([np.zeros((1, 2)), y * y])).backward()
    np.testing.assert_array_equal(x.grad, 2 * (x.data + 1))
    (g,) = tg.grad(np.linalg.norm(x), x)
    np.testing.assert_allclose(g.data, x.data / np.linalg.norm(x.data))


def test_questions_give_plain_arrays():
    x = leaf([3.0, 1.0, 2.0])
    assert type(np.greater(x, 2)) is np.ndarray
    np.testing.assert_array_equal(np.ones(3) * 2 < x, [True, False, False])
    np.testing.assert_array_equal(np.argsort(x), [1, 2, 0])
    assert np.shape(x) == (3,)
    assert np.allclose(x, x.data)
    assert np.array_equal(x, x.data)
    assert np.isfinite(x).all()
    assert type(np.zeros_like(x)) is np.ndarray


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: np.dot(x, x), r"np.dot has no twin here through which gradients pass: use a @ b, or tg.einsum, or"),
        (np.median, r"np.median has no twin .* use the operations of tinygrad_sm, or give it t.numpy\(\)"),
        (np.floor, "np.floor has no twin"),
        (np.linalg.det, "np.linalg.det has no twin"),
        (np.add.reduce, "np.add.reduce is not for Tensors: use tg.sum"),
        (lambda x: np.add(x, x, out=np.zeros(3)), "np.add on Tensors takes no out: they are not written into arrays"),
        (lambda x: np.exp(x, dtype="f4"), "np.exp on Tensors takes no dtype"),
        (lambda x: np.sum(x, dtype="f4"), "unexpected keyword argument 'dtype'"),
    ],
)
@pytest.mark.parametrize("requires_grad", [True, False])
def test_what_has_no_twin_is_refused_and_names_what_to_use(call, message, requires_grad):
    with pytest.raises(TypeError, match=message):
        call(Tensor([1.0, 2.0, 3.0], requires_grad=requires_grad))


def test_an_array_is_not_changed_by_a_tensor_in_place():
    a, x = np.ones(3), leaf()
    with pytest.raises(TypeError, match="write a = a \\+ t for a \\+= t"):
        a += x
    assert a.tolist() == [1, 1, 1]
