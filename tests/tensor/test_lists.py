"""Lists of Tensors are operands, also nested, and mixed with numbers: they are stacked, and gradients pass."""

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import leaf
from tinygrad_sm import Tensor, nn

OPERATIONS = {
    "a primitive": (lambda x: tg.sum(x), np.sum),
    "a reduction along an axis": (lambda x: tg.max(x, axis=0), lambda x: np.max(x, axis=0)),
    "a formula": (lambda x: tg.var(x), np.var),
    "an operator on the left": (lambda x: leaf([1.0, 2.0]) * x, lambda x: np.array([1.0, 2.0]) * x),
    "an operator on the right": (lambda x: x @ leaf([1.0, 2.0]), lambda x: x @ np.array([1.0, 2.0])),
    "dot": (lambda x: tg.dot(x, [1.0, 2.0]), lambda x: np.dot(x, [1.0, 2.0])),
    "both operands": (lambda x: tg.add(x, x), lambda x: x + x),
    "concatenate": (lambda x: tg.concatenate([x, x]), lambda x: np.concatenate([x, x])),
    "stack": (lambda x: tg.stack([x, x], -1), lambda x: np.stack([x, x], -1)),
    "reshape": (lambda x: tg.reshape(x, (-1,)), lambda x: np.reshape(x, (-1,))),
    "einsum": (lambda x: tg.einsum("ij->j", x), lambda x: np.einsum("ij->j", x)),
    "where": (lambda x: tg.where(np.array([True, False]), x, 0.0), lambda x: np.where(np.array([True, False]), x, 0.0)),
    "moveaxis": (lambda x: tg.moveaxis(x, 0, 1), lambda x: np.moveaxis(x, 0, 1)),
    "bounds of clip": (lambda x: tg.clip(leaf([[1.0, 0.0]]), x, None), lambda x: np.clip([[1.0, 0.0]], x, None)),
    "norm": (lambda x: tg.norm(x), np.linalg.norm),
    "a loss": (lambda x: nn.functional.mse_loss(x, np.ones((2, 2))), lambda x: np.mean((x - 1) ** 2)),
    "an array function of NumPy": (lambda x: np.dot(x, leaf([1.0, 2.0])), lambda x: np.dot(x, [1.0, 2.0])),
}
LISTS = {
    "Tensors": lambda t, u: [t, u],
    "a tuple": lambda t, u: (t, u),
    "results": lambda t, u: [t * 2, u.sum() * t],
    "numbers": lambda t, u: [[t[0], 0.1], [2, u[1]]],
    "lists of numbers": lambda t, u: [[0.1, 3], t * u],
    "arrays": lambda t, u: [np.array([0.1, 0.2]), t * u],
    "numbers of NumPy": lambda t, u: [[np.float64(0.1), t[1]], (u[0], np.int8(3))],
}


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("kind", LISTS)
def test_an_operation_of_a_list_is_that_of_what_it_stacks(name, kind):
    f, numpys = OPERATIONS[name]
    make, points = LISTS[kind], [np.array([1.5, -2.0]), np.array([0.5, 3.0])]
    out = f(make(*map(leaf, points)))
    assert out.requires_grad
    np.testing.assert_allclose(out.data, numpys(np.array([[float(x) for x in row] for row in make(*points)])))
    tg.gradcheck(lambda t, u: f(make(t, u)), points)


def test_numbers_take_the_dtype_of_the_tensors_beside_them():
    for dtype in (np.float64, np.float32, np.float16):
        out = tg.negative([[0.1, 2], [leaf(1.0, dtype), 3]])
        assert out.dtype == dtype
        assert out.data[0, 0] == -dtype(0.1)
    assert tg.negative([0.5, Tensor(3)]).dtype == np.result_type(np.int64, 0.5)
    assert tg.negative([Tensor(3), np.float32(1)]).dtype == np.result_type(np.int64, np.float32)


def test_lists_on_every_device(device):
    t = Tensor([1.0, 2.0], requires_grad=True, device=device)
    out = tg.sum([t * t, [3.0, 4.0]], axis=0)
    assert out.device == t.device
    out.backward(Tensor([1.0, 10.0], device=device).data)
    np.testing.assert_array_equal(Tensor(t.grad).numpy(), [2, 40])
    assert tg.argmax([t, [3.0, 0.0]]) == 2
    with tg.no_grad():
        t += [t[0], 1.0]
    np.testing.assert_array_equal(t.numpy(), [2, 3])


def test_a_list_can_be_compared(device):
    t = Tensor([1.0, 2.0], requires_grad=True, device=device)
    assert Tensor(t < [t[1], 2.0]).tolist() == [True, False]
    assert Tensor(t == (t[0], t[0])).tolist() == [True, False]
    assert Tensor([t[1].detach(), 2.0] >= t).tolist() == [True, True]


def test_what_is_recorded_is_recorded_in_the_mode_of_the_operation():
    t = leaf()
    with tg.no_grad():
        assert not tg.sum([t, t]).requires_grad
    assert not tg.sum([t.detach(), t.detach()]).requires_grad
    assert isinstance(tg.sum([t.detach(), t.detach()]), Tensor)


def test_lists_of_numbers_are_arrays_as_before():
    assert type(tg.negative([1.0, 2.0])) is np.ndarray
    assert tg.negative([[1, 2], [3, 4]]).dtype == np.int64
    assert tg.sum([]) == 0


def test_a_tensor_of_constants_is_made_and_one_of_a_history_is_refused():
    t = leaf([1.0, 2.0])
    assert Tensor([t.detach(), t.detach()]).tolist() == [[1, 2], [1, 2]]
    assert Tensor([[1.0, t.detach()[0]]]).dtype == np.float64
    for lists in ([t, t], [[t[0], 1.0]], (1.0, t[0])):
        with pytest.raises(TypeError, match=r"a list with a Tensor that requires a gradient, which would be lost"):
            Tensor(lists)
        with pytest.raises(TypeError, match=r"\bTensor that requires a gradient"):
            nn.Parameter(lists)
    with tg.no_grad(), pytest.raises(TypeError, match=r"tg\.stack"):
        Tensor([t])


def test_a_masked_array_in_a_list_is_refused():
    with pytest.raises(TypeError, match="masked"):
        tg.sum([leaf([1.0, 2.0]), np.ma.array([1.0, 2.0], mask=[0, 1])])
