"""What operations give: a Tensor where an operand is one, and arrays where all are arrays."""

from typing import Any, assert_type

import numpy as np

import tinygrad_sm as tg
from tinygrad_sm import Tensor

Array = np.ndarray[Any, Any]
t = Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
a = np.ones((2, 2))
of_any_dtype: Array = np.asarray([[0.5, 0.25], [1.0, 2.0]])

# Operators
assert_type(t * 2, Tensor)
assert_type(2 * t, Tensor)
assert_type(t + t, Tensor)
assert_type(t - a, Tensor)
assert_type(t - of_any_dtype, Tensor)
assert_type(a - t, Tensor)
assert_type(a * t, Tensor)
assert_type(a @ t, Tensor)
assert_type(a.astype(np.float32) / t, Tensor)
assert_type(np.ones((2, 2), np.int64) + t, Tensor)
assert_type(np.float32(2) * t, Tensor)
assert_type(t @ t, Tensor)
assert_type(t**2, Tensor)
assert_type(1 / t, Tensor)
assert_type(-t, Tensor)
assert_type(abs(t), Tensor)
assert_type(t > 0, Array)
assert_type(t == t, Array)

# Attributes and methods
assert_type(t.T, Tensor)
assert_type(t[0], Tensor)
assert_type(t[t > 0], Tensor)
assert_type(t.sum(), Tensor)
assert_type(t.mean(axis=0, keepdims=True), Tensor)
assert_type(t.reshape(-1), Tensor)
assert_type(t.clip(0, 1), Tensor)
assert_type(t.softmax(axis=1), Tensor)
assert_type(t.astype("float64"), Tensor)
assert_type(t.detach().requires_grad_(), Tensor)
assert_type(t.shape, tuple[int, ...])
assert_type(t.ndim, int)
assert_type(t.requires_grad, bool)
assert_type(t.device, str)
assert_type(t.numpy(), Array)
assert_type(t.data, Array)
for row in t:
    assert_type(row, Tensor)
t.sum().backward()
assert_type(t.grad, Array | None)
t.grad = None

# Functions: a Tensor among the operands gives a Tensor
assert_type(tg.softmax(t), Tensor)
assert_type(tg.sum(t, axis=0), Tensor)
assert_type(tg.exp(t), Tensor)
assert_type(tg.matmul(a, t), Tensor)
assert_type(tg.where(t > 0, t, 0), Tensor)
assert_type(tg.where(t > 0, 0.0, t), Tensor)
assert_type(tg.maximum(0, t), Tensor)
assert_type(tg.clip(a, t), Tensor)
assert_type(tg.clip(a, max=t), Tensor)
assert_type(tg.concatenate([t, t]), Tensor)
assert_type(tg.concatenate([t, a]), Tensor)
assert_type(tg.concatenate((a, t), axis=1), Tensor)
assert_type(tg.stack([t, t], 1), Tensor)
assert_type(tg.split(t, 2), list[Tensor])
assert_type(tg.einsum("ij,jk->ik", t, t), Tensor)
assert_type(tg.einsum("ij,jk->ik", a, t), Tensor)
assert_type(tg.norm(t), Tensor)
assert_type(tg.take(t, [0, 1], axis=0), Tensor)

# Arrays give arrays
assert_type(tg.softmax(np.ones(3)), Array)
assert_type(tg.softmax([1.0, 2.0]), Array)
assert_type(tg.softmax([[1, 2], [3, 4]]), Array)
assert_type(tg.softmax([[[1], [2]], [[3], [4]]]), Array)
assert_type(tg.exp(a), Array)
assert_type(tg.exp(of_any_dtype), Array)
assert_type(tg.add(of_any_dtype, of_any_dtype), Array)
assert_type(tg.multiply(of_any_dtype, t), Tensor)
assert_type(tg.add(a, 1), Array)
assert_type(tg.add(1.0, a), Array)
assert_type(tg.where(a > 1, a, 0), Array)
assert_type(tg.clip(a, 0, 1), Array)
assert_type(tg.concatenate([a, a]), Array)
assert_type(tg.split(a, 2), list[Array])

# Where no axis may be left, NumPy gives a scalar, and its stubs say Any
assert_type(tg.sum(a), Any)
assert_type(tg.sum(a, axis=0), Any)
assert_type(tg.matmul(a, a), Any)
assert_type(tg.softmax(2.0), Any)

# Lists of Tensors, remainders, linear algebra
assert_type(tg.sum([t, 2 * t]), Tensor)
assert_type(t % 2, Tensor)
assert_type(t // 2, Tensor)
assert_type(tg.linalg.solve(t, a), Tensor)
assert_type(tg.linalg.inv(2 * np.eye(2)), Array)
assert_type(tg.argmax(t, axis=0), Any)

# Creation and transforms
assert_type(tg.zeros(2, 3), Tensor)
assert_type(tg.randn(3, requires_grad=True), Tensor)
w = tg.ones(2, requires_grad=True)
found = tg.grad((w * w).sum(), [w])
assert_type(found, tuple[Tensor, ...])
with tg.no_grad():
    w -= 0.1
assert_type(w, Tensor)


@tg.no_grad()
def predicted(x: Tensor) -> Tensor:
    """Return a Tensor without history."""
    return x * 2


assert_type(predicted(w), Tensor)
assert_type(tg.__version__, str)
