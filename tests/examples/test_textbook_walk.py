"""The textbook's walk, in the place of the engine's, gives the same bits: of operations, random programs, training."""

import ast
import inspect

import numpy as np
import pytest
import textbook_walk

import tinygrad_sm as tg
from tests.engine.test_random_graphs import FAST, program
from tinygrad_sm import Tensor, tensors
from tinygrad_sm.check.cases import CASES
from tinygrad_sm.ops.softmax import cross_entropy

ENGINES = tensors.backward


def by_the_textbook(root, g=None, retain_graph=False):
    textbook_walk.backward(root, g)


def gradients(walk, make_loss, arrays, monkeypatch):
    """Return what `.backward()` leaves in the leaves where this is the walk."""
    monkeypatch.setattr(tensors, "backward", walk)
    leaves = [Tensor(x, requires_grad=True) for x in arrays]
    loss = make_loss(leaves)
    for _ in range(2):  # the second is added to the first
        loss.backward(np.random.default_rng(1).uniform(0.5, 1.5, loss.shape).astype(loss.dtype), retain_graph=True)
    return [x.grad for x in leaves]


def assert_same_bits(make_loss, arrays, monkeypatch):
    ours, engines = (gradients(walk, make_loss, arrays, monkeypatch) for walk in (by_the_textbook, ENGINES))
    for mine, theirs in zip(ours, engines, strict=True):
        assert (mine is None) == (theirs is None)
        if mine is not None:
            assert mine.dtype == theirs.dtype
            np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])  # half precision the engine adds up in float32
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)
def test_every_operation(case, dtype, monkeypatch):
    assert_same_bits(lambda leaves: case(*leaves), case.operands(case.fixed, dtype=dtype), monkeypatch)


@pytest.mark.parametrize("batch", range(10))
def test_random_programs(batch, monkeypatch):
    for seed in range(50 * batch, 50 * (batch + 1)):
        drawn = program(seed)
        assert_same_bits(
            lambda leaves, drawn=drawn: drawn.run(FAST, leaves, tg.multiply, tg.add, tg.sum), drawn.leaves, monkeypatch
        )


def test_a_value_of_many_uses_has_its_gradients_added_in_the_same_order(monkeypatch):
    arrays = [np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)]

    def many_uses(leaves):
        (x,) = leaves
        parts = [x * float(k) ** 0.5 for k in range(1, 9)]
        return cross_entropy(
            parts[3] + parts[0] * parts[6] - parts[2] / (parts[1] + 9.0) + parts[4] * x, np.zeros(50, int)
        )

    assert_same_bits(many_uses, arrays, monkeypatch)


def test_an_epoch_of_the_flagship():
    ours, accuracy = textbook_walk.train(textbook_walk.backward)
    engines, _ = textbook_walk.train(lambda loss: loss.backward())
    assert accuracy > 0.9
    for name, theirs in engines.items():
        np.testing.assert_array_equal(ours[name], theirs)


def test_it_notices_another_gradient(monkeypatch):
    monkeypatch.setattr(textbook_walk, "sum_to_shape", lambda g, shape: 1.000001 * tg.precision.sum_to_shape(g, shape))
    assert textbook_walk.main() == "expected the engine's walk to give the same bits"


def test_it_is_a_page():
    tree = ast.parse(inspect.getsource(textbook_walk))
    said = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef) and ast.get_docstring(node):
            said.update(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    lines = inspect.getsource(textbook_walk).splitlines()
    code = [line.strip() for k, line in enumerate(lines, 1) if k not in said]
    assert len([line for line in code if line and not line.startswith("#")]) <= 60
