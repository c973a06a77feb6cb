"""Thousands of random programs of nearly all operations have the gradients of f itself, and of the slow engine.

A program is drawn from a seed: leaves of small shapes, 3 to 12 operations on whatever values there are by then, and at
the end a weighted sum of all that was not used. It is interpreted twice, by the framework and in the form of
examples/micro.py, where everything is composed of a few plain operations.
"""

from collections import Counter
from typing import Any, NamedTuple

import micro
import numpy as np
import pytest
import sympy as sp

import tinygrad_sm as tg
from tests.engine.random_operations import OPERATIONS
from tests.engine.slow_ops import SLOW
from tests.helpers import IN_FULL
from tinygrad_sm import GradcheckError, Tensor, gradcheck
from tinygrad_sm.check.formula import Formula
from tinygrad_sm.check.symbols import formulas
from tinygrad_sm.engine.tape import data_of
from tinygrad_sm.ops import elementwise, indexing, reductions, shaping

BATCHES = 20
GRAPHS = 500 if IN_FULL else 50  # in a batch


class Step(NamedTuple):
    name: str
    operands: list[int]  # numbers of values: the leaves, then the results of the steps
    static: dict[str, Any]


class Program(NamedTuple):
    """What is computed: steps from leaves, and the weights of the results that are summed at the end."""

    seed: int
    leaves: list[np.ndarray]
    steps: list[Step]
    weights: dict[int, np.ndarray]

    def run(self, operations, values, multiply, add, total):
        """Return the weighted sum that the program computes of its leaves with these operations."""
        values = list(values)
        for name, operands, static in self.steps:
            values.append(operations[name](*(values[i] for i in operands), **static))
        loss = None
        for i, weights in self.weights.items():
            part = total(multiply(values[i], weights))
            loss = part if loss is None else add(loss, part)
        return loss

    def __str__(self):
        lines = [f"program(seed={self.seed}):"]
        lines += [f"v{i} = {leaf.tolist()}  # a leaf of shape {leaf.shape}" for i, leaf in enumerate(self.leaves)]
        for number, (name, operands, static) in enumerate(self.steps, len(self.leaves)):
            arguments = [f"v{i}" for i in operands] + [f"{key}={value!r}" for key, value in static.items()]
            lines.append(f"v{number} = {name}({', '.join(arguments)})")
        lines += [f"loss += (v{i} * {weights.tolist()}).sum()" for i, weights in self.weights.items()]
        return "\n".join(lines)


def leaves(random):
    """Draw 1 to 3 arrays with sides of 1 to 3, mostly of shapes that broadcast with each other."""
    shape = random.integers(1, 4, random.integers(0, 4)).tolist()
    for _ in range(random.integers(1, 4)):
        own = [n if random.random() < 0.7 else 1 for n in shape[random.integers(0, len(shape) + 1) :]]
        kind = random.random()
        own = shape if kind < 0.5 else own if kind < 0.8 else random.integers(1, 4, random.integers(0, 3)).tolist()
        yield random.uniform(0.4, 2, own) if random.integers(2) else random.uniform(-2, 2, own)


def program(seed, names=tuple(OPERATIONS)):
    """Draw a program: each step takes what fits it; values that became too large are scaled down."""
    random = np.random.default_rng(seed)
    arrays = list(leaves(random))
    drawn = Program(seed, arrays.copy(), [], {})
    length = random.integers(3, 13)
    while len(drawn.steps) < length:
        name = names[random.integers(len(names))]
        for _ in range(6):
            step = a_step(random, name, arrays)
            if step is not None:
                break
        else:
            continue
        out = computed(step, arrays)
        if out is None:
            continue
        drawn.steps.append(step)
        arrays.append(out)
        if np.abs(out).max() > 3:
            scale = Step("scale", [len(arrays) - 1], {"factor": 2 / float(np.abs(out).max())})
            drawn.steps.append(scale)
            arrays.append(computed(scale, arrays))
    used = {i for step in drawn.steps for i in step.operands}
    drawn.weights.update(
        (i, random.uniform(0.5, 1.5, x.shape) * random.choice([-1, 1])) for i, x in enumerate(arrays) if i not in used
    )
    return drawn


def a_step(random, name, arrays):
    """Draw operands, rather recent ones, and static arguments; None if they do not fit."""
    count, drawn_static, _ = OPERATIONS[name]
    operands = [max(random.integers(0, len(arrays), 2).tolist()) for _ in range(count)]
    if random.random() < 0.25:
        operands[-1] = operands[0]  # shared
    chosen = [arrays[i] for i in operands]
    try:
        static = drawn_static(random, *chosen)
    except ValueError:  # shapes that do not broadcast
        return None
    return None if static is None else Step(name, operands, static)


def computed(step, arrays):
    """Return the result of a step, or None if the shapes do not fit or it is too large, too small or empty."""
    try:
        out = SLOW[step.name](*(micro.Value(arrays[i]) for i in step.operands), **step.static).data
    except ValueError:
        return None
    if not out.size or out.size > 40 or out.ndim > 4 or not 1e-2 < np.abs(out).max() < 100:
        return None
    return out


FAST = {name: operation for name, (_, _, operation) in OPERATIONS.items()}


def check(drawn):
    """Compare the gradients of a program with numerical ones, and with those of the slow engine."""
    try:
        # A program may round too much for rtol=1e-7 to be decided; the slow engine is held against a smaller one.
        order = 2 if drawn.seed % 10 == 0 else 1
        gradcheck(lambda *xs: drawn.run(FAST, xs, tg.multiply, tg.add, tg.sum), drawn.leaves, order=order, rtol=1e-5)
        tensors = [Tensor(x, requires_grad=True) for x in drawn.leaves]
        values = [micro.Value(x) for x in drawn.leaves]
        loss = drawn.run(FAST, tensors, tg.multiply, tg.add, tg.sum)
        slow_loss = drawn.run(SLOW, values, micro.multiply, micro.add, micro.sum)
        np.testing.assert_allclose(loss.data, slow_loss.data, rtol=1e-9, atol=1e-11)
        loss.backward()
        slow_loss.backward()
        for tensor, value in zip(tensors, values, strict=True):
            np.testing.assert_allclose(tensor.grad, value.grad, rtol=1e-9, atol=1e-11)
    except Exception as error:
        error.add_note(f"in {drawn}")
        raise


def check_all(seeds):
    for seed in seeds:
        check(program(seed))


POLYNOMIAL = (
    *("negative", "square", "whole power", "add", "subtract", "multiply", "where", "sum", "prod", "cumsum", "matmul"),
    *("linear", "outer", "einsum of 1", "einsum of 2", "einsum of 3", "reshape", "transpose", "swapaxes", "moveaxis"),
    *("squeeze", "expand_dims", "broadcast_to", "flip", "roll", "pad", "split", "getitem", "take", "take_along_axis"),
    *("concatenate", "stack"),
)


def check_exactly(drawn):
    """Compare the slope of a polynomial in rational numbers with that by the gradients: they are the same number.

    With leaves x + t d, the loss is a polynomial in t, and its slope at t = 0 comes from the forward alone.
    """
    random, t = np.random.default_rng(drawn.seed), sp.Symbol("t", real=True)
    directions = [formulas(random.integers(-9, 10, x.shape) / 8) for x in drawn.leaves]
    tensors = [Tensor(formulas(x), requires_grad=True) for x in drawn.leaves]
    drawn.run(FAST, tensors, tg.multiply, tg.add, tg.sum).backward()
    given = sum((tensor.grad * d).sum() for tensor, d in zip(tensors, directions, strict=True))
    moved = [x + d * formulas(Formula(t, 0.0)) for x, d in zip(drawn.leaves, directions, strict=True)]
    loss = drawn.run(FAST, moved, tg.multiply, tg.add, tg.sum)
    assert given.item().expression == sp.diff(loss.item().expression, t).subs(t, 0), f"in {drawn}"


@pytest.mark.parametrize("batch", range(4))
def test_gradients_of_polynomials_are_exact_in_rational_numbers(batch):
    for seed in range(batch * GRAPHS // 4, (batch + 1) * GRAPHS // 4):
        check_exactly(program(seed, POLYNOMIAL))


def test_no_polynomial_is_exact_with_a_rule_that_is_wrong_by_the_last_bit(monkeypatch):
    rule = elementwise.multiply.rules[0]
    wrong = (lambda g, out, a, b: rule(g, out, a, b) * (1 + 2**-52), elementwise.multiply.rules[1])
    monkeypatch.setattr(elementwise.multiply, "rules", wrong)
    with pytest.raises(AssertionError, match=r"in program\(seed="):
        check_exactly(program(0, POLYNOMIAL))


@pytest.mark.parametrize("batch", range(BATCHES))
def test_gradients_of_random_programs(batch):
    check_all(range(batch * GRAPHS, (batch + 1) * GRAPHS))


def test_every_operation_is_drawn_and_values_are_shared():
    programs = [program(seed) for seed in range(1000)]
    count = Counter(step.name for drawn in programs for step in drawn.steps)
    assert count.keys() == OPERATIONS.keys() == SLOW.keys()
    assert min(count.values()) >= 20
    uses = [Counter(i for step in drawn.steps for i in step.operands) for drawn in programs]
    assert sum(max(use.values()) > 1 for use in uses) > 500
    assert {x.ndim for drawn in programs for x in drawn.leaves} == {0, 1, 2, 3}
    assert len({str(drawn) for drawn in programs}) == len(programs)


PLANTED = [
    (elementwise.tanh, 0),
    (elementwise.divide, 1),
    (reductions.cumsum, 0),
    (reductions.prod, 0),
    (reductions.max, 0),
    (indexing.getitem, 0),
    (shaping.transpose, 0),
]


@pytest.mark.parametrize(("primitive", "i"), PLANTED, ids=lambda x: getattr(x, "name", x))
def test_a_rule_that_is_wrong_by_a_thousandth_is_found(primitive, i, monkeypatch):
    rule = primitive.rules[i]
    wrong = (*primitive.rules[:i], lambda *a, **k: rule(*a, **k) * 1.001, *primitive.rules[i + 1 :])
    monkeypatch.setattr(primitive, "rules", wrong)
    with pytest.raises((GradcheckError, AssertionError)) as caught:
        check_all(range(100))
    assert any("in program(seed=" in note for note in caught.value.__notes__)


def test_a_rule_that_loses_the_history_of_g_is_found(monkeypatch):
    rule = elementwise.tanh.rules[0]
    monkeypatch.setattr(elementwise.tanh, "rules", (lambda g, out, x: rule(data_of(g), out, x),))
    with pytest.raises(GradcheckError, match="^the rule of tanh .* is wrong at order 2, in its dependence on g"):
        check_all(range(0, 1000, 10))
