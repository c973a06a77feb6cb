"""The second page: what `micro.py` lacks for real use. From there come `Primitive`, `sum_to` and `mnist`.

    python examples/small.py

Four programs fail with micro.py, or keep too much in memory:

- `for _ in range(100_000): y = y * 1.00001`. There the walk calls itself for each operation, and searches a list: it is
  quadratic, and ends in a RecursionError. Here it is a loop; a count of uses says when a gradient is complete.
- `losses.append(loss)`. There a loss keeps all that it was computed from. Here the walk frees what it has passed.
- `grad(grad(y, x, create_graph=True), x)`. There a gradient is an array, without a history. Here it is a Value.
- `with no_grad(): cross_entropy(images @ W.T + b, labels)`. There a test is recorded as training is. Here it is not.

Next is `textbook_walk.py`: this walk, over what the framework records. Then comes `tinygrad_sm/engine/tape.py`.
"""

import contextlib

import micro
import numpy as np


class Value:
    """An array, and where it came from: an operation, its operands (Values or arrays) and static options (an axis)."""

    def __init__(self, data, op=None, operands=(), static=None):
        self.data, self.op, self.operands, self.static = np.asarray(data), op, operands, static

    def backward(self, retain_graph=False):
        """Differentiate this scalar. Each leaf, a Value that no operation made, gets ∂self/∂leaf as its `.grad`."""
        with no_grad():
            for leaf, g in gradients(self, retain_graph).items():
                leaf.grad = g.data


class Primitive(micro.Primitive):
    """An operation as in micro.py, but its rules are given Values, and it is recorded only if `recording` is True."""

    recording = True

    def __call__(self, *operands, **static):
        out = self.forward(*(x.data if isinstance(x, Value) else x for x in operands), **static)
        return Value(out, self, operands, static) if Primitive.recording else Value(out)


@contextlib.contextmanager
def no_grad():
    """Record nothing in this block: a result is a leaf, and holds nothing of what it was computed from."""
    before, Primitive.recording = Primitive.recording, False
    try:
        yield
    finally:  # after an error too
        Primitive.recording = before


# The rules are those of micro.py, because their operators compute with Values as well as with arrays. Only the rule of
# `sum` called NumPy. It calls `broadcast_to` now, an operation; so is `sum_to`, and each stands in the other's rule.
add = Primitive(lambda a, b: a + b).vjp(lambda g, out, a, b: g, lambda g, out, a, b: g)
subtract = Primitive(lambda a, b: a - b).vjp(lambda g, out, a, b: g, lambda g, out, a, b: -g)
multiply = Primitive(lambda a, b: a * b).vjp(lambda g, out, a, b: g * b, lambda g, out, a, b: g * a)
divide = Primitive(lambda a, b: a / b).vjp(lambda g, out, a, b: g / b, lambda g, out, a, b: -g * out / b)
matmul = Primitive(lambda a, b: a @ b).vjp(lambda g, out, a, b: g @ b.T, lambda g, out, a, b: a.T @ g)
transpose = Primitive(np.transpose).vjp(lambda g, out, x: g.T)
exp = Primitive(np.exp).vjp(lambda g, out, x: g * out)
log = Primitive(np.log).vjp(lambda g, out, x: g / x)
sum = Primitive(lambda x, axis=None: x.sum(axis=axis, keepdims=axis is not None))
sum.vjp(lambda g, out, x, axis=None: broadcast_to(g, shape=x.shape))
broadcast_to = Primitive(np.broadcast_to).vjp(lambda g, out, x, shape: sum_to(g, shape=x.shape))
sum_to = Primitive(micro.sum_to).vjp(lambda g, out, x, shape: broadcast_to(g, shape=x.shape))

Value.__add__, Value.__sub__ = lambda a, b: add(a, b), lambda a, b: subtract(a, b)
Value.__mul__, Value.__truediv__ = lambda a, b: multiply(a, b), lambda a, b: divide(a, b)
Value.__matmul__, Value.__rmatmul__ = lambda a, b: matmul(a, b), lambda b, a: matmul(a, b)
Value.__neg__, Value.T = lambda x: subtract(0, x), property(lambda x: transpose(x))
Value.shape, Value.__array_ufunc__ = property(lambda x: x.data.shape), None


def count_uses(root):
    """Return how often each Value that the root was made of is an operand: as many gradients will come to it."""
    uses, to_visit = {}, [root]
    while to_visit:
        value = to_visit.pop()
        if value.operands is None:  # `gradients` has freed it
            raise RuntimeError("an earlier walk has freed this graph: compute it again, or keep it: retain_graph=True")
        for operand in value.operands:
            if isinstance(operand, Value):
                if operand not in uses:
                    to_visit.append(operand)
                uses[operand] = uses.get(operand, 0) + 1
    return uses


def gradients(root, retain_graph):
    """Walk back from the root, a scalar; return {leaf: ∂root/∂leaf}, which the operations above compute as Values."""
    uses, ready = count_uses(root), [root]
    arrived = {root: Value(np.ones_like(root.data))}  # the sum of the gradients that have come to a Value
    while ready:
        value = ready.pop()
        if value.op is None:  # a leaf, whose gradient stays
            continue
        g = arrived.pop(value)
        for i, operand in enumerate(value.operands):
            if isinstance(operand, Value):
                part = sum_to(value.op.rules[i](g, value, *value.operands, **value.static), shape=operand.shape)
                arrived[operand] = arrived[operand] + part if operand in arrived else part
                uses[operand] -= 1
                if uses[operand] == 0:  # all that was made of it has been passed
                    del uses[operand]  # which would keep it alive
                    ready.append(operand)
        if not retain_graph:
            value.operands = None  # arrays that nothing else refers to are freed here
    return arrived


def grad(y, x, create_graph=False):
    """Return ∂y/∂x for a leaf x. With `create_graph` the walk is recorded, so that the result can be differentiated."""
    with contextlib.nullcontext() if create_graph else no_grad():
        found = gradients(y, retain_graph=create_graph)  # what a walk records refers to the graph
    if x not in found:
        raise ValueError("no record leads from y to x: was y computed under no_grad, or without create_graph=True?")
    return found[x]


def cross_entropy(logits, labels):
    """Return −1/N Σ_i Σ_j y_ij log p_ij with p = softmax(logits) and y one-hot: what softmax regression minimises."""
    z = logits - logits.data.max(axis=1, keepdims=True)
    log_p = z - log(sum(exp(z), axis=1))
    y = np.eye(z.shape[1], dtype=z.data.dtype)[labels]
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


if __name__ == "__main__":
    weight, bias = np.zeros((10, 784), np.float32), np.zeros(10, np.float32)
    train(*micro.mnist("train"), weight, bias, steps=5 * 60_000 // 128)
    images, labels = micro.mnist("t10k")
    with no_grad():
        correct = (images @ Value(weight).T + Value(bias)).data.argmax(axis=1) == labels
    print(f"softmax regression on MNIST: {100 * correct.mean():.2f} % of the test images right")

    x = y = Value(1.0)
    for _ in range(100_000):
        y = y * 1.00001
    print(f"y = 1.00001 · ... · 1.00001 · x, of 100,000 operations: ∂y/∂x = {grad(y, x).data:.5f}, nearly e")

    x = Value(2.0)
    y = x * x * x * x
    for n, formula in enumerate(("4x³", "12x²", "24x", "24"), start=1):
        y = grad(y, x, create_graph=True)
        print(f"derivative {n} of x⁴ at x = 2: {formula} = {y.data:g}")
