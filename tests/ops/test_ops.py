"""Every operation of the table has NumPy's values and dtypes, pure rules, and right gradients of both orders."""

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import tinygrad_sm as tg
from tests.cases import CASES
from tests.helpers import IN_FULL, OpLog
from tests.ops.strategies import shapes_of
from tinygrad_sm import Tensor, gradcheck
from tinygrad_sm.engine.mode import Observer, observe
from tinygrad_sm.engine.primitive import Primitive, zero
from tinygrad_sm.ops import (
    decompositions,
    elementary,
    elementwise,
    indexing,
    linalg,
    products,
    reductions,
    shaping,
    softmax,
    standardization,
    windows,
)

every_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)
seeds = st.integers(0, 2**32 - 1)

MODULES = (decompositions, elementary, elementwise, indexing, linalg, products, reductions, shaping, softmax)
PRIMITIVES = {
    value
    for module in (*MODULES, standardization, windows)
    for value in vars(module).values()
    if isinstance(value, Primitive)
}


class Freeze(Observer):
    """Makes every array read-only before a forward or a rule sees it."""

    def forward(self, op, forward):
        def frozen(*args, **kwargs):
            for x in (*args, *kwargs.values()):
                if isinstance(x, np.ndarray):
                    x.flags.writeable = False
            return forward(*args, **kwargs)

        return frozen

    def backward(self, node, i, rule):
        return self.forward(node.op, rule)


@every_case
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@given(data=st.data(), seed=seeds)
def test_value_and_dtype_are_numpys(case, dtype, data, seed):
    arrays = case.operands(data.draw(shapes_of(case)), seed, dtype)
    expected = case.expected(*arrays)
    plain = case(*arrays)
    traced = case(*map(Tensor, arrays))
    assert not isinstance(plain, Tensor)
    assert isinstance(traced, Tensor)
    assert type(traced.data) is np.ndarray
    tolerance = {"rtol": 1e-13, "atol": 1e-14} if dtype is np.float64 else {"rtol": 2e-5, "atol": 1e-5}
    for result in (plain, traced.data):
        assert result.shape == expected.shape
        assert result.dtype == expected.dtype
        np.testing.assert_allclose(result, expected, **tolerance)


@every_case
@given(data=st.data(), seed=seeds)
def test_rules_are_pure_and_fit(case, data, seed):
    arrays = case.operands(data.draw(shapes_of(case)), seed, np.float32)
    before = [x.copy() for x in arrays]
    tensors = [Tensor(x, requires_grad=True) for x in arrays]
    with observe(Freeze()):
        out = case(*tensors)
        g = np.random.default_rng(seed).standard_normal(out.shape).astype(out.dtype)
        g.flags.writeable = False
        out.backward(g)
    for tensor, array in zip(tensors, before, strict=True):
        np.testing.assert_array_equal(tensor.data, array)
        assert type(tensor.grad) is np.ndarray
        assert tensor.grad.shape == tensor.shape
        assert tensor.grad.dtype == tensor.dtype
        assert tensor.grad.flags.writeable
        assert not np.shares_memory(tensor.grad, g)


@every_case
@hypothesis.settings(max_examples=max(5, hypothesis.settings.default.max_examples // 4))  # 0.03 s each, in 350 rows
@given(data=st.data(), seed=seeds)
def test_gradients_of_both_orders(case, data, seed):
    gradcheck(case, case.operands(data.draw(shapes_of(case)), seed), order=2)


@every_case
def test_results_on_operands_that_are_not_contiguous(case):
    arrays = case.operands(case.fixed)
    strided = [np.repeat(x[..., None], 2, axis=-1)[..., 0] if x.ndim else x for x in arrays]
    given, expected = case(*map(Tensor, strided)).data, case(*map(Tensor, arrays)).data
    np.testing.assert_allclose(given, expected, rtol=1e-14, atol=1e-15)  # a sum may cancel to nearly 0


def _gradients(case, arrays):
    tensors = [Tensor(x, requires_grad=True) for x in arrays]
    out = case(*tensors)
    out.backward(np.full(out.shape, 0.7))
    return [x.grad for x in tensors]


def _rules(once=False):
    """Each rule of each primitive that some case of the table uses, with that case: the planted errors.

    once : give only the first case of each rule.
    """
    seen = set()
    for case in CASES:
        with observe(OpLog()) as log:
            case(*map(Tensor, case.operands(case.fixed)))
        for primitive in log.used:
            for i, rule in enumerate(primitive.rules or (primitive.rule_for_each,)):
                if rule not in (None, zero) and not (once and (primitive, i) in seen):
                    seen.add((primitive, i))
                    yield pytest.param(case, primitive, i, id=f"{case.label}-{primitive.name}-{i}")


def plant(monkeypatch, primitive, i, factor):
    """Multiply the answers of the i-th rule; of the rule for each operand, all answers."""
    rule = primitive.rules[i] if primitive.rules else primitive.rule_for_each

    def wrong(*args, **static):
        return rule(*args, **static) * factor

    if primitive.rules:
        monkeypatch.setattr(primitive, "rules", (*primitive.rules[:i], wrong, *primitive.rules[i + 1 :]))
    else:
        monkeypatch.setattr(primitive, "rule_for_each", wrong)


@pytest.mark.parametrize(("case", "primitive", "i"), list(_rules(once=not IN_FULL)))
def test_the_checker_rejects_every_rule_made_wrong_by_one_in_a_million(case, primitive, i, monkeypatch):
    arrays = case.operands(case.fixed)
    right = _gradients(case, arrays)
    with monkeypatch.context() as much:
        plant(much, primitive, i, 1000)
        if all(np.allclose(g, h, atol=1e-9) for g, h in zip(right, _gradients(case, arrays), strict=True)):
            return  # what the rule gives is zero here, or comes to nothing on the way
    plant(monkeypatch, primitive, i, 1 + 1e-6)
    with pytest.raises(tg.GradcheckError, match=f"the rule of {primitive.name} for its operand .* is wrong"):
        gradcheck(case, arrays, order=1)


def identity(rule):
    """Return an operation that changes nothing, with this rule."""
    op = tg.primitive(lambda x, /: x * 1.0, analytic=True)
    op.vjp(rule)
    return op


def plant_in_g(monkeypatch, primitive, i, bar):
    """Let the i-th rule, or of the rule for each operand all, compute with bar(g) in place of g."""
    rule = primitive.rules[i] if primitive.rules else primitive.rule_for_each

    def wrong(*args, **static):
        if primitive.rules:
            return rule(bar(args[0]), *args[1:], **static)
        return rule(args[0], bar(args[1]), *args[2:], **static)

    if primitive.rules:
        monkeypatch.setattr(primitive, "rules", (*primitive.rules[:i], wrong, *primitive.rules[i + 1 :]))
    else:
        monkeypatch.setattr(primitive, "rule_for_each", wrong)


def bar_of_order(order, factor):
    """Return an identity whose rule is wrong by the factor at this order, and right at the orders below."""
    bar = identity(lambda g, out, x: g * factor)
    for _ in range(order - 2):
        bar = identity(lambda g, out, x, bar=bar: bar(g))
    return bar


def _derivatives_with_respect_to_g(case, arrays, order):
    """Return ∂/∂g of the gradients, weighted with the next g, and so on up to the order."""
    xs = [Tensor(x, requires_grad=True) for x in arrays]
    values, gs = [case(*xs)], []
    for k in range(order - 1):
        new = [Tensor(np.full(value.shape, 0.7 + 0.1 * k), requires_grad=True) for value in values]
        weighted = [(value, g) for value, g in zip(values, new, strict=True) if value.requires_grad]
        if not weighted:
            return []
        roots, given = zip(*weighted, strict=True)
        found = tg.grad(roots, [*xs, *gs], given, create_graph=True, allow_unused=True)
        values = [0 * x if part is None else part for x, part in zip([*xs, *gs], found, strict=True)]
        gs += new
    loss = sum((value * 0.9).sum() for value in values)
    return [g.data for g in tg.grad(loss, gs, allow_unused=True) if g is not None] if loss.requires_grad else []


@pytest.mark.parametrize("order", [2, 3] if IN_FULL else [2])
@pytest.mark.parametrize(("case", "primitive", "i"), list(_rules(once=not IN_FULL)))
def test_the_checker_rejects_every_rule_whose_dependence_on_g_is_wrong_by_one_in_a_million(
    case, primitive, i, order, monkeypatch
):
    arrays = case.operands(case.fixed)
    right = _derivatives_with_respect_to_g(case, arrays, order)
    with monkeypatch.context() as much:
        plant_in_g(much, primitive, i, bar_of_order(order, 1000.0))
        wrong = _derivatives_with_respect_to_g(case, arrays, order)
    if all(np.allclose(a, b, atol=1e-9) for a, b in zip(right, wrong, strict=True)):
        return  # the rule does not depend on g here, or what it gives comes to nothing on the way
    plant_in_g(monkeypatch, primitive, i, bar_of_order(order, 1 + 1e-6))
    with pytest.raises(tg.GradcheckError, match=f"the rule of {primitive.name} for its .* is wrong at order {order}"):
        gradcheck(case, arrays, order=order)


def test_every_primitive_stands_in_the_table():
    with observe(OpLog()) as log:
        for case in CASES:
            case(*map(Tensor, case.operands(case.fixed)))
    assert {p.name for p in PRIMITIVES} - {p.name for p in log.used} == {"move", "one_hot"}
