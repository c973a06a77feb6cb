"""Where NumPy and CuPy answer differently, the framework answers alike, on every device."""

import numpy as np
import pytest

import tinygrad_sm as tg
from tinygrad_sm import Tensor, nn


@pytest.mark.parametrize("shape", [(0,), (3, 0)])
def test_an_empty_tensor_has_no_truth_value(device, shape):
    with pytest.raises(ValueError, match="expected one element, got an empty Tensor"):
        bool(Tensor(np.zeros(shape), device=device))


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.int64])
def test_integers_have_no_negative_powers(device, dtype):
    x = Tensor(np.array([1, 2, 3], dtype), device=device)
    for power in (lambda: x**-1, lambda: tg.power(x, -2)):
        with pytest.raises(ValueError, match=f"floating base for the exponent -[12], got {x.dtype}"):
            power()
    np.testing.assert_allclose(tg.power(1.0 * x, -1).numpy(), 1 / np.array([1, 2, 3.0]))


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
