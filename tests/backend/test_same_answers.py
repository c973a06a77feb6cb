"""Where NumPy and CuPy answer differently, the framework answers alike, on every device."""

import numpy as np
import pytest

import tinygrad_sm as tg
from tinygrad_sm import Tensor, nn


@pytest.mark.parametrize("shape", [(0,), (3, 0)])
def test_an_empty_tensor_has_no_truth_value(device, shape):
    with pytest.raises(ValueError, match="expected one element, got an empty Tensor"):
        bool(Tensor(np.zeros(shape), device=device))


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int32, np.int64])
def test_integers_have_no_negative_powers(device, dtype):
    x = Tensor(np.array([1, 2, 3], dtype), device=device)
    for power in (lambda: x**-1, lambda: tg.power(x, -2), lambda: x ** np.int64(-1), lambda: x ** np.int8(-2)):
        with pytest.raises(ValueError, match=f"floating base for the exponent -[12], got {x.dtype}"):
            power()
    np.testing.assert_allclose(tg.power(1.0 * x, -1).numpy(), 1 / x.numpy().astype(float))


@pytest.mark.parametrize("number", [-1, 300])
def test_where_never_wraps_a_number_around(device, number):
    x = Tensor(np.array([1, 2], np.uint8), device=device)
    is_first = Tensor(np.array([True, False]), device=device)
    for operands in ((x, number), (number, x)):
        with pytest.raises(OverflowError, match=f"{number} out of bounds for uint8"):
            tg.where(is_first, *operands)
    assert tg.where(is_first, x, 255).numpy().tolist() == [1, 255]
    assert tg.where(is_first, x, number + 0.5).numpy().tolist() == [1, number + 0.5]


def test_joining_0_d_tensors_is_a_value_error(device):
    x = Tensor(1.0, device=device)
    with pytest.raises(ValueError, match="got a 0-d array: join 0-d arrays with stack"):
        tg.concatenate([x, x])
    assert tg.stack([x, x]).numpy().tolist() == [1, 1]


def test_a_product_of_matrices_takes_no_numbers(device):
    x = Tensor(np.ones((2, 2)), device=device)
    for product in (lambda: x @ 2, lambda: 2.5 @ x, lambda: np.matmul(x, True), lambda: tg.matmul(3, x)):
        with pytest.raises(ValueError, match=r"expected arrays of at least one axis, got a number: \* multiplies"):
            product()


@pytest.mark.parametrize(
    "shapes", [((2,), (2,)), ((1, 2), (2,)), ((2,), (2, 1)), ((1, 2), (2, 1)), ((3, 1, 2), (2, 1))]
)
def test_a_half_precision_product_of_a_row_and_a_column_is_formed_in_float32(device, shapes):
    row, column = np.array([300, -300], np.float16), np.array([300, 300], np.float16)  # in half, 300·300 is infinite
    a, b = np.broadcast_to(row.reshape(shapes[0][-2:]), shapes[0]), column.reshape(shapes[1])
    assert not tg.matmul(Tensor(a, device=device), Tensor(b, device=device)).numpy().any()


def test_linear_with_one_output_of_one_example_is_formed_in_float32(device):
    x, weight = (Tensor(np.array([row], np.float16), device=device) for row in ([300, -300], [300, 300]))
    assert nn.functional.linear(x, weight).numpy().tolist() == [[0]]
    many = Tensor(np.ones((1, 4096), np.float16), device=device)
    assert nn.functional.linear(many, many).numpy().tolist() == [[4096]]


def test_numbers_in_the_other_byte_order_arrive(device):
    x = Tensor(np.array([1.0, 2.0], ">f4"), device=device)
    assert (x + x).numpy().tolist() == [2, 4]


@pytest.mark.parametrize("condition", [True, False, np.True_, 0])
def test_one_condition_may_choose_between_whole_tensors(device, condition):
    x = Tensor([1.0, 2.0], requires_grad=True, device=device)
    out = tg.where(condition, x, 0.5)
    assert out.numpy().tolist() == ([1, 2] if condition else [0.5, 0.5])
    assert tg.grad(out.sum(), x)[0].numpy().tolist() == [float(condition)] * 2
    assert tg.grad((x**True).sum(), x)[0].numpy().tolist() == [1, 1]  # whose rule has such a condition
    with pytest.raises(TypeError, match="expected numbers to choose from, got None"):
        tg.where(x > 1, x, None)


@pytest.mark.parametrize("number", [np.float64(3), np.float32(3), np.int64(3), 3, 3.0, True])
def test_numbers_of_numpy_and_python_fit_arrays_on_every_device(device, number):
    x = np.array([1.0, 2.0], np.float32)
    there = Tensor(x, device=device)
    for found, expected in (
        (tg.outer(there, number), np.outer(x, number)),
        (tg.outer(number, there), np.outer(number, x)),
        (tg.concatenate([there, number, number], axis=None), np.concatenate([x, number, number], axis=None)),
        (tg.maximum(there, number), np.maximum(x, number)),
    ):
        assert found.device == there.device
        assert found.numpy().tolist() == expected.tolist()


@pytest.mark.parametrize("width", [1, [1, 0], np.array(1), np.array([[0, 1]])])
def test_widths_may_be_an_array(device, width):
    x = np.array([1, 2])
    padded = [
        tg.pad(Tensor(x, device=device), w).tolist() for w in (width, Tensor(width), Tensor(width, device=device))
    ]
    assert padded == [np.pad(x, width).tolist()] * 3


def test_a_0_d_tensor_is_padded_and_indexed(device):
    one, x = Tensor(1, device=device), Tensor(2.5, requires_grad=True, device=device)
    assert tg.pad(one, 1).tolist() == 1
    for index, gradient in ((True, 1), (x > 2, 1), (x > 3, 0)):
        assert tg.grad(x[index].sum(), x)[0].item() == gradient


@pytest.mark.parametrize("dtype", ["U3", object, "M8[s]"])
def test_a_dtype_that_is_none_of_numbers_is_a_type_error(device, dtype):
    x = Tensor([1.0], device=device)
    for convert in (lambda: x.astype(dtype), lambda: Tensor(x, dtype=dtype), lambda: Tensor([1.0], dtype=dtype)):
        with pytest.raises(TypeError, match="expected a dtype of numbers, got"):
            convert()
