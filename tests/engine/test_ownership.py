"""Point 8: `.grad` belongs to its leaf alone, and is copied only where something else holds it."""

import numpy as np
import pytest

from tests.helpers import leaf, of_the_wing
from tinygrad_sm import primitive
from tinygrad_sm.ops.softmax import cross_entropy


def test_grads_share_memory_with_nothing():
    x, y = leaf(), leaf()
    out = x + y
    g = np.ones(3)
    out.retain_grad()
    out.backward(g)
    grads = [x.grad, y.grad, out.grad]
    for i, a in enumerate(grads):
        assert a.flags.writeable
        assert a.flags.owndata
        assert not any(np.shares_memory(a, b) for b in (*grads[:i], g, x.data, y.data))
    x.grad = y.grad = None
    x.sum().backward()  # sum's rule gives a read-only broadcast view
    x.grad += 1
    np.testing.assert_array_equal(x.grad, [2, 2, 2])


@of_the_wing
@pytest.mark.parametrize(
    "rule", [lambda g: g * 2, lambda g: (g.T * 2).T, lambda g: (2 * g).reshape(3, 2).reshape(2, 3)]
)
def test_gradients_that_nothing_else_holds_are_not_copied(rule):
    made = []  # where the arrays of the rule's results are

    @primitive
    def double(x, /):
        return x * 2

    double.vjp(lambda g, out, x: (made.append(result.ctypes.data), result)[1] if (result := rule(g)) is not None else 0)
    x = leaf(np.ones((2, 3)))
    double(x).backward(np.ones((2, 3)))
    assert made == [x.grad.ctypes.data]
    x.grad += 1
    np.testing.assert_array_equal(x.grad, np.full((2, 3), 3))


def read_only(g, out, x):
    result = np.ones((2, 3))
    result.flags.writeable = False
    return result


KEPT = np.arange(6.0).reshape(2, 3)


@pytest.mark.parametrize(
    "rule",
    [
        lambda g, out, x: g,  # what the caller has given
        lambda g, out, x: x,  # the data of the leaf
        lambda g, out, x: x[:],
        lambda g, out, x: out,  # the data of a result that is held outside
        lambda g, out, x: KEPT,
        lambda g, out, x: KEPT.reshape(3, 2).reshape(2, 3),
        lambda g, out, x: np.ones((4, 3))[:2],  # a part of a larger array
        lambda g, out, x: np.ones((2, 3))[::-1],  # in no usual layout
        read_only,
        lambda g, out, x: np.broadcast_to(np.ones(3), (2, 3)),
        lambda g, out, x: np.frombuffer(bytearray(48)).reshape(2, 3),
    ],
)
def test_gradients_that_others_hold_are_copied(rule):
    @primitive
    def same(x, /):
        return x * 1

    same.vjp(rule)
    x, g = leaf(np.ones((2, 3))), np.ones((2, 3))
    result = same(x)
    others = [x.data, g, result.data, KEPT]
    before = [array.copy() for array in others]
    result.backward(g)
    assert x.grad.flags.owndata
    assert x.grad.flags.writeable
    x.grad[...] = 7
    for array, values in zip(others, before, strict=True):
        np.testing.assert_array_equal(array, values)


def test_gradients_that_hooks_observers_and_retained_graphs_hold_are_copied():
    held = []
    x = leaf(np.ones(3))
    x.register_hook(held.append)
    (2 * x).backward(np.ones(3))
    loss = cross_entropy(y := leaf(np.ones((2, 3))), np.array([0, 1]))
    loss.backward(retain_graph=True)
    for array, grad in ((held[0], x.grad), (loss.node.saved, y.grad)):
        assert not np.shares_memory(array, grad)
    first = y.grad.copy()
    y.grad *= 100
    y.grad = None
    loss.backward()
    np.testing.assert_array_equal(y.grad, first)


def test_a_hook_that_writes_into_its_gradient_spoils_nothing_that_a_retained_graph_keeps():
    logits = leaf(np.arange(6.0).reshape(2, 3))
    loss = cross_entropy(logits, np.array([0, 1]))
    expected = loss.node.saved.copy()

    def multiply(g):
        g *= 7

    handle = logits.register_hook(multiply)
    loss.backward(retain_graph=True)
    handle.remove()
    logits.grad = None
    loss.backward()
    np.testing.assert_array_equal(logits.grad, expected)
