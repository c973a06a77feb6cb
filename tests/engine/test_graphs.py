"""Random graphs, built and differentiated in any order, have the gradients of the slow engine of examples/micro.py."""

import hypothesis.strategies as st
import micro
import numpy as np
import pytest
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, rule

import tinygrad_sm as tg
from tests.engine import micro_operations
from tinygrad_sm import GradientError, Tensor
from tinygrad_sm.ops.softmax import cross_entropy

SHAPES = [(), (3,), (1, 3), (2, 1), (2, 3), (3, 2)]
UNARY = {"exp": lambda x: tg.exp(x * 0.25), "tanh": tg.tanh, "relu": tg.relu, "sum": tg.sum}
MICRO_UNARY = {
    "exp": lambda x: micro.exp(x * 0.25),
    "tanh": micro_operations.tanh,
    "relu": micro_operations.relu,
    "sum": micro.sum,
}
BINARY = ["add", "subtract", "multiply"]


class Pair:
    """A value in both engines, the leaves that it depends on, and the values whose graph one walk would free."""

    def __init__(self, tensor, value, parents=()):
        self.tensor, self.value, self.parents = tensor, value, parents
        self.freed = False

    def ancestors(self):
        found, to_visit = [], [self]
        while to_visit:
            pair = to_visit.pop()
            if pair not in found:
                found.append(pair)
                to_visit += pair.parents
        return found


class Graphs(RuleBasedStateMachine):
    pairs = Bundle("pairs")

    def __init__(self):
        super().__init__()
        self.leaves = []

    def made(self, tensor, value, *parents):
        np.testing.assert_allclose(tensor.data, value.data, rtol=1e-12, atol=1e-12)
        if np.abs(tensor.data).max() > 20:
            return parents[0]  # go no further: squares of squares would soon overflow
        return Pair(tensor, value, parents)

    @initialize(target=pairs)
    def first_leaf(self):
        return self.leaf((2, 3), 0)

    @rule(target=pairs, shape=st.sampled_from(SHAPES), seed=st.integers(0, 1000))
    def leaf(self, shape, seed):
        array = np.random.default_rng(seed).uniform(-1, 1, shape)
        pair = Pair(Tensor(array, requires_grad=True), micro.Value(array))
        self.leaves.append(pair)
        return pair

    @rule(target=pairs, a=pairs, name=st.sampled_from(sorted(UNARY)))
    def unary(self, a, name):
        return self.made(UNARY[name](a.tensor), MICRO_UNARY[name](a.value), a)

    @rule(target=pairs, a=pairs, b=pairs, name=st.sampled_from(BINARY))
    def binary(self, a, b, name):
        try:
            shape = np.broadcast_shapes(a.tensor.shape, b.tensor.shape)
        except ValueError:
            with pytest.raises(ValueError, match="broadcast"):
                getattr(tg, name)(a.tensor, b.tensor)
            return a
        scale = 1 / (1 + np.prod(shape))  # keeps values small in deep graphs
        result = getattr(tg, name)(a.tensor, b.tensor) * scale
        return self.made(result, getattr(micro, name)(a.value, b.value) * scale, a, b)

    @rule(target=pairs, a=pairs)
    def twice_the_same(self, a):
        return self.made(a.tensor * a.tensor + a.tensor, a.value * a.value + a.value, a)

    @rule(target=pairs, a=pairs, b=pairs)
    def matmul(self, a, b):
        if a.tensor.ndim != 2 or b.tensor.ndim != 2 or a.tensor.shape[1] != b.tensor.shape[0]:
            return a
        return self.made(a.tensor @ b.tensor, micro.matmul(a.value, b.value), a, b)

    @rule(target=pairs, a=pairs)
    def transpose_and_reshape(self, a):
        reshaped = micro_operations.reshape(a.value.T, shape=(-1,))
        return self.made(a.tensor.T.reshape(-1), reshaped, a)

    @rule(target=pairs, a=pairs, axis=st.integers(0, 1))
    def sum_along(self, a, axis):
        if a.tensor.ndim != 2:
            return a
        return self.made(a.tensor.sum(axis), micro_operations.sum(a.value, axis=axis), a)

    @rule(target=pairs, a=pairs)
    def cross_entropy(self, a):
        if a.tensor.ndim != 2:
            return a
        labels = np.arange(a.tensor.shape[0]) % a.tensor.shape[1]
        return self.made(cross_entropy(a.tensor, labels), micro.cross_entropy(a.value, labels), a)

    @rule(target=pairs, a=pairs)
    def cut(self, a):
        with tg.no_grad():
            tensor = a.tensor * 0.5
        return Pair(tensor, micro.Value(a.value.data * 0.5))

    @rule(a=pairs, retain=st.booleans())
    def differentiate(self, a, retain):
        for leaf in self.leaves:
            leaf.tensor.grad = leaf.value.grad = None
        ancestors = a.ancestors()
        loss, slow_loss = tg.sum(a.tensor), micro.sum(a.value)
        if not loss.requires_grad:
            with pytest.raises(GradientError, match="nothing to differentiate"):
                loss.backward()
            return
        if any(pair.freed for pair in ancestors):
            with pytest.raises(GradientError, match="freed"):
                loss.backward()
            assert all(leaf.tensor.grad is None for leaf in self.leaves)
            return
        loss.backward(retain_graph=retain)
        slow_loss.backward()
        if not retain:
            for pair in ancestors:
                pair.freed = pair.tensor.node is not None
        for leaf in self.leaves:
            if leaf in ancestors:
                np.testing.assert_allclose(leaf.tensor.grad, leaf.value.grad, rtol=1e-9, atol=1e-12)
            else:
                assert leaf.tensor.grad is None


TestGraphs = Graphs.TestCase
TestGraphs.settings = settings(max_examples=5 * settings.default.max_examples, stateful_step_count=40)


def test_a_hundred_steps_of_training_end_at_the_same_parameters():
    random = np.random.default_rng(0)
    images, labels = micro.mnist("t10k")
    images = images.astype(np.float64)
    start = random.uniform(-0.03, 0.03, (10, 784)), random.uniform(-0.03, 0.03, 10)
    weight, bias = (x.copy() for x in start)
    micro.train(images, labels, weight, bias, steps=100, batch_size=128, lr=0.1)

    model = tg.nn.Sequential(tg.nn.Flatten(), tg.nn.Linear(784, 10))
    model[1].weight, model[1].bias = (tg.nn.Parameter(x.copy()) for x in start)
    optimizer = tg.nn.optim.SGD(model.parameters(), lr=0.1)
    for step in range(100):
        rows = np.arange(step * 128, (step + 1) * 128) % len(images)
        x, y = images[rows].reshape(-1, 1, 28, 28), labels[rows]
        optimizer.zero_grad()
        tg.nn.CrossEntropyLoss()(model(x), y).backward()
        optimizer.step()
    np.testing.assert_allclose(model[1].weight.data, weight, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(model[1].bias.data, bias, rtol=1e-12, atol=1e-14)
    assert np.abs(weight - start[0]).max() > 0.01
