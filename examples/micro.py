"""Automatic differentiation on one page, training softmax regression on MNIST with nothing but NumPy.

A `Value` is an array that remembers which operation made it, and from what. An operation is its forward on plain arrays
with one rule per operand: given the gradient g of the loss with respect to the output, the gradient with respect to
that operand. `backward` walks from the loss to the parameters and lets every rule pass its gradient on. That is all:
`small.py` is the next page, and the framework in `tinygrad_sm/` is this one made complete, checked and fast.

    python examples/micro.py
"""

import gzip
import pathlib

import numpy as np


class Value:
    """An array, and where it came from: an operation, its operands (Values or arrays) and static options (an axis)."""

    def __init__(self, data, op=None, operands=(), static=None):
        self.data, self.op, self.operands, self.static = np.asarray(data), op, operands, static

    def backward(self):
        """Differentiate this scalar. Each Value that it was computed from gets ∂self/∂value as its `.grad`."""
        order = []  # operands stand before what was made from them

        def visit(value):
            if isinstance(value, Value) and value not in order:
                for operand in value.operands:
                    visit(operand)
                order.append(value)
                value.grad = np.zeros_like(value.data)

        visit(self)
        self.grad = np.ones_like(self.data)
        for value in reversed(order):
            plain = [x.data if isinstance(x, Value) else x for x in value.operands]
            for i, operand in enumerate(value.operands):
                if isinstance(operand, Value):
                    g = value.op.rules[i](value.grad, value.data, *plain, **value.static)
                    operand.grad = operand.grad + sum_to(g, operand.data.shape)


def sum_to(g, shape):
    """Undo broadcasting: where one number was used many times, its gradients add up."""
    padded = (1,) * (g.ndim - len(shape)) + shape  # broadcasting first puts axes of length 1 in front
    repeated = tuple(i for i, n in enumerate(padded) if n == 1)  # and then repeats along axes of length 1
    return g.sum(axis=repeated, keepdims=True).reshape(shape)


class Primitive:
    """An operation: a forward on plain arrays and, given by `vjp`, one gradient rule per operand."""

    def __init__(self, forward):
        self.forward = forward

    def __call__(self, *operands, **static):
        plain = [x.data if isinstance(x, Value) else x for x in operands]
        return Value(self.forward(*plain, **static), self, operands, static)

    def vjp(self, *rules):
        self.rules = rules
        return self


add = Primitive(lambda a, b: a + b).vjp(lambda g, out, a, b: g, lambda g, out, a, b: g)
subtract = Primitive(lambda a, b: a - b).vjp(lambda g, out, a, b: g, lambda g, out, a, b: -g)
multiply = Primitive(lambda a, b: a * b).vjp(lambda g, out, a, b: g * b, lambda g, out, a, b: g * a)
divide = Primitive(lambda a, b: a / b).vjp(lambda g, out, a, b: g / b, lambda g, out, a, b: -g * out / b)
matmul = Primitive(lambda a, b: a @ b).vjp(lambda g, out, a, b: g @ b.T, lambda g, out, a, b: a.T @ g)
transpose = Primitive(np.transpose).vjp(lambda g, out, x: g.T)
exp = Primitive(np.exp).vjp(lambda g, out, x: g * out)
log = Primitive(np.log).vjp(lambda g, out, x: g / x)
sum = Primitive(lambda x, axis=None: x.sum(axis=axis, keepdims=axis is not None))
sum.vjp(lambda g, out, x, axis=None: np.broadcast_to(g, x.shape))  # the axis is still there, of length 1

Value.__add__ = lambda a, b: add(a, b)
Value.__sub__ = lambda a, b: subtract(a, b)
Value.__mul__ = lambda a, b: multiply(a, b)
Value.__truediv__ = lambda a, b: divide(a, b)
Value.__rmatmul__ = lambda b, a: matmul(a, b)
Value.T = property(lambda x: transpose(x))
# Python first asks the array on the left of `images @ W.T`. With this, NumPy declines, and Python asks __rmatmul__.
Value.__array_ufunc__ = None


def cross_entropy(logits, labels):
    """Return −1/N Σ_i Σ_j y_ij log p_ij with p = softmax(logits) and y one-hot: what softmax regression minimises."""
    z = logits - logits.data.max(axis=1, keepdims=True)  # exp cannot overflow; the loss is the same for any shift
    log_p = z - log(sum(exp(z), axis=1))
    y = np.eye(z.data.shape[1], dtype=z.data.dtype)[labels]
    return sum(log_p * y) / -len(labels)


def train(images, labels, weight, bias, steps, batch_size=128, lr=0.1):
    """Descend the gradient on mini-batches in order; `weight` (classes, pixels) and `bias` are changed in place."""
    for step in range(steps):
        rows = np.arange(step * batch_size, (step + 1) * batch_size) % len(images)
        W, b = Value(weight), Value(bias)
        loss = cross_entropy(images[rows] @ W.T + b, labels[rows])
        loss.backward()
        weight -= lr * W.grad
        bias -= lr * b.grad
    return float(loss.data)


def mnist(split):
    """Return the packaged MNIST: images as rows of 784 numbers in [0, 1], and their labels."""
    folder = pathlib.Path(__file__).parent.parent / "datasets"
    images = np.frombuffer(gzip.decompress((folder / f"{split}-images-idx3-ubyte.gz").read_bytes())[16:], np.uint8)
    labels = np.frombuffer(gzip.decompress((folder / f"{split}-labels-idx1-ubyte.gz").read_bytes())[8:], np.uint8)
    return images.reshape(len(labels), 784).astype(np.float32) / 255, labels


if __name__ == "__main__":
    weight, bias = np.zeros((10, 784), np.float32), np.zeros(10, np.float32)
    loss = train(*mnist("train"), weight, bias, steps=5 * 60_000 // 128)
    images, labels = mnist("t10k")
    correct = (images @ weight.T + bias).argmax(axis=1) == labels
    print(f"loss of the last batch: {loss:.3f}, test accuracy: {100 * correct.mean():.2f} %")
