"""Automatic differentiation on one page, training softmax regression on MNIST with nothing but NumPy.

A `Value` is an array that remembers which operation made it, and from what. An operation is its forward on plain arrays
with one rule per operand: given the gradient g of the loss with respect to the output, the gradient with respect to
that operand. `backward` walks from the loss to the parameters and lets every rule pass its gradient on. That is all.

    python examples/micro.py

The framework in `tinygrad_sm/` is this page made complete, checked and fast; its operations have this same form.
"""

import gzip
import pathlib

import numpy as np


class Value:
    """An array, and where it came from: an operation, its operands (Values or plain arrays) and static arguments."""

    def __init__(self, data, op=None, operands=(), static=None):
        self.data, self.op, self.operands, self.static = np.asarray(data), op, operands, static
        self.grad = None

    def backward(self):
        """Leave in `.grad` of every Value that this one was computed from the gradient of this one, a scalar."""
        order = []  # operands stand before what was made from them

        def visit(value):
            if isinstance(value, Value) and value not in order:
                for operand in value.operands:
                    visit(operand)
                order.append(value)

        visit(self)
        for value in order:
            value.grad = np.zeros_like(value.data)
        self.grad = np.ones_like(self.data)
        for value in reversed(order):
            for i, operand in enumerate(value.operands):
                if isinstance(operand, Value):
                    plain = [x.data if isinstance(x, Value) else x for x in value.operands]
                    g = value.op.rules[i](value.grad, value.data, *plain, **value.static)
                    operand.grad = operand.grad + sum_to(g, operand.data.shape)


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


def sum_to(g, shape):
    """Undo broadcasting: where one number was used many times, its gradients add up."""
    g = g.sum(axis=tuple(range(g.ndim - len(shape))))
    return g.sum(axis=tuple(i for i, n in enumerate(shape) if n == 1 != g.shape[i]), keepdims=True)


add = Primitive(lambda a, b: a + b).vjp(lambda g, out, a, b: g, lambda g, out, a, b: g)
subtract = Primitive(lambda a, b: a - b).vjp(lambda g, out, a, b: g, lambda g, out, a, b: -g)
multiply = Primitive(lambda a, b: a * b).vjp(lambda g, out, a, b: g * b, lambda g, out, a, b: g * a)
divide = Primitive(lambda a, b: a / b).vjp(lambda g, out, a, b: g / b, lambda g, out, a, b: -g * out / b)
matmul = Primitive(lambda a, b: a @ b).vjp(lambda g, out, a, b: g @ b.T, lambda g, out, a, b: a.T @ g)
exp = Primitive(np.exp).vjp(lambda g, out, x: g * out)
log = Primitive(np.log).vjp(lambda g, out, x: g / x)
tanh = Primitive(np.tanh).vjp(lambda g, out, x: g * (1 - out**2))
relu = Primitive(lambda x: np.maximum(x, 0)).vjp(lambda g, out, x: g * (x > 0))
transpose = Primitive(np.transpose).vjp(lambda g, out, x: g.T)
reshape = Primitive(lambda x, shape: x.reshape(shape)).vjp(lambda g, out, x, shape: g.reshape(x.shape))
sum = Primitive(lambda x, axis=None: x.sum(axis=axis)).vjp(
    lambda g, out, x, axis=None: np.broadcast_to(g if axis is None else np.expand_dims(g, axis), x.shape)
)


def cross_entropy(logits, labels):
    """Return the mean over the batch of log Σ exp(logits) − logits[label]: what softmax regression minimises."""
    shifted = subtract(logits, logits.data.max(axis=1, keepdims=True))  # exp cannot overflow; the loss is unchanged
    one_hot = np.eye(logits.data.shape[1], dtype=logits.data.dtype)[labels]
    log_likelihood = subtract(sum(multiply(shifted, one_hot), axis=1), log(sum(exp(shifted), axis=1)))
    return divide(sum(log_likelihood), -len(labels))


def train(images, labels, weight, bias, steps, batch_size=128, lr=0.1):
    """Descend the gradient on mini-batches in order; `weight` (classes, pixels) and `bias` are changed in place."""
    for step in range(steps):
        rows = np.arange(step * batch_size, (step + 1) * batch_size) % len(images)
        W, b = Value(weight), Value(bias)
        loss = cross_entropy(add(matmul(images[rows], transpose(W)), b), labels[rows])
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
    images, labels = mnist("train")
    loss = train(images, labels, weight, bias, steps=5 * len(images) // 128)
    images, labels = mnist("t10k")
    correct = (images @ weight.T + bias).argmax(axis=1) == labels
    print(f"loss of the last batch: {loss:.3f}, test accuracy: {100 * correct.mean():.2f} %")
