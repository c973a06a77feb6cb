"""Points 1 to 4 of the engine's contract: rules are pure, serve every order, run only if needed, and must fit."""

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given

import tinygrad_sm as tg
from tests.helpers import calls_of_rules, leaf
from tinygrad_sm import Tensor, primitive
from tinygrad_sm.engine.tape import Traced
from tinygrad_sm.ops.linalg import linear
from tinygrad_sm.ops.softmax import cross_entropy

# 1 and 2: rules are pure (test_ops.py makes their arguments read-only), and get plain arrays at the first order.


def test_first_order_hands_rules_arrays_and_makes_no_tensor(monkeypatch):
    x, w = leaf(np.ones((4, 3))), leaf(np.ones((2, 3)))
    loss = cross_entropy(tg.relu(linear(x, w)) * 2.0, np.array([0, 1, 1, 0])) + tg.max(x) ** 2 + x[0, 1]
    made = []
    original = Traced.__init__
    monkeypatch.setattr(
        Traced, "__init__", lambda self, *args, **kw: (made.append(self), original(self, *args, **kw))[1]
    )
    log = []
    with calls_of_rules(log):
        loss.backward()
    assert len(log) > 8
    assert not any(isinstance(a, Traced) for _, args in log for a in args)
    assert made == []
    leaf()
    assert len(made) == 1  # the count does count


def test_create_graph_hands_the_same_rules_traced_values():
    x = leaf()
    log = []
    with calls_of_rules(log):
        (slope,) = tg.grad(tg.exp(x).sum(), x, create_graph=True)
    g, out, operand = dict(log)["exp"]
    assert all(isinstance(a, Tensor) for a in (g, out, operand))
    (curvature,) = tg.grad(slope.sum(), x)
    np.testing.assert_allclose(curvature.data, np.exp(x.data))


def test_a_residual_has_a_recipe_for_every_order():
    @primitive(saves=lambda x: tg.exp(x))
    def exp_that_saves(x, /):
        out = np.exp(x)
        return out, out

    exp_that_saves.vjp(lambda g, out, x, saved: g * saved)
    x = leaf()
    (first,) = tg.grad(exp_that_saves(x).sum(), x, create_graph=True)
    (second,) = tg.grad(first.sum(), x, create_graph=True)
    (third,) = tg.grad(second.sum(), x)
    for g in (first, second, third):
        np.testing.assert_allclose(g.data, np.exp(x.data))
    assert type(exp_that_saves(x.data)) is np.ndarray  # on plain arrays: the value alone


def test_one_rule_serves_all_operands_of_a_variadic_operation():
    @primitive(analytic=True)
    def weighted_sum(*xs, weight=2.0):
        return weight * sum(xs)

    weighted_sum.vjp_each(lambda i, g, out, *xs, weight: g * weight * (xs[i] * 0 + 1))
    x, y = leaf(), leaf((4.0, 5.0, 6.0))
    weighted_sum(x, 1.0, y, x, weight=3.0).sum().backward()
    np.testing.assert_array_equal(x.grad, [6, 6, 6])
    np.testing.assert_array_equal(y.grad, [3, 3, 3])
    tg.gradcheck(lambda a, b: weighted_sum(a, b, a) ** 2, [x.data, y.data])


def test_zero_is_a_gradient_of_zeros():
    x = leaf()
    (tg.sign(x) * x).sum().backward()
    np.testing.assert_array_equal(x.grad, np.sign(x.data))
    y = leaf()
    tg.sign(y).sum().backward()
    np.testing.assert_array_equal(y.grad, [0, 0, 0])
    (first,) = tg.grad((tg.sign(y) * y).sum(), y, create_graph=True)
    assert first.shape == (3,)


# 3: a rule runs only if its operand needs a gradient.


def test_no_gradient_is_computed_for_data():
    images, w, b = Tensor(np.ones((4, 3))), leaf(np.ones((2, 3))), leaf((0.0, 0.0))
    linear(images, w, b).sum().backward()
    assert images.grad is None
    log = []
    with calls_of_rules(log):
        linear(images, w, b).sum().backward()
    assert [name for name, _ in log].count("linear") == 2  # of three rules: weight and bias


# 4: broadcasting is undone once, strictly; gradient and data agree in shape and dtype.


@given(hnp.mutually_broadcastable_shapes(num_shapes=3, max_dims=4, min_side=0, max_side=3))
def test_broadcasting_is_undone(shapes):
    random = np.random.default_rng(0)
    dtypes = (np.float32, np.float64, np.float16)
    xs = [
        Tensor(random.random(s).astype(d), requires_grad=True) for s, d in zip(shapes.input_shapes, dtypes, strict=True)
    ]
    out = xs[0] + xs[1] * 2.0 + xs[2]
    assert out.shape == shapes.result_shape
    out.backward(np.ones(out.shape))
    for x, factor in zip(xs, (1, 2, 1), strict=True):
        assert x.grad.shape == x.shape
        assert x.grad.dtype == x.dtype
        repeats = out.size // x.size if x.size else 0
        np.testing.assert_array_equal(x.grad, np.full(x.shape, factor * repeats))


@pytest.mark.parametrize("result", [np.ones(2), np.ones((1, 3)), np.ones(()), 1.0, None])
def test_a_rule_of_a_wrong_shape_is_named(result):
    @primitive
    def stretch(x, /):
        return np.broadcast_to(x, (2, 3)) + 0.0

    stretch.vjp(lambda g, out, x: result)
    x = leaf()
    with pytest.raises(
        ValueError, match=r"expected a gradient of the operand's shape \(3,\), or .* \(2, 3\)"
    ) as raised:
        stretch(x).sum().backward()
    assert "in the gradient rule of stretch for its operand 'x'" in raised.value.__notes__
    assert x.grad is None


def test_a_gradient_of_the_outputs_shape_is_no_answer_where_nothing_was_broadcast():
    @primitive
    def first_two(x, /):
        return x[:2]

    first_two.vjp(lambda g, out, x: g)
    with pytest.raises(ValueError, match=r"operand's shape \(3,\).*got shape \(2,\)"):
        first_two(leaf()).sum().backward()


# Defining operations.


def test_the_number_of_rules_is_checked_when_they_are_given():
    @primitive
    def two(a, b, /):
        return a + b

    @primitive
    def many(*xs):
        return sum(xs)

    with pytest.raises(TypeError, match="the gradient of two needs 2 rules, for a, b; got 1 rules"):
        two.vjp(lambda g, out, a, b: g)
    with pytest.raises(TypeError, match="needs vjp_each"):
        many.vjp(lambda g, out, a: g)
    with pytest.raises(TypeError, match="two has 2 operands"):
        two.vjp_each(lambda i, g, out, *xs: g)


def test_what_is_no_operation_is_refused_when_it_is_defined_or_called():
    with pytest.raises(TypeError, match=r"f has no operands: put / after them in its signature"):

        @primitive
        def f(x):
            return x

    with pytest.raises(TypeError, match="multiply gives complex128, and only floats carry gradients"):
        leaf() * 1j
    assert (Tensor([1.0]) * 1j).dtype == np.complex64

    @primitive
    def to_python(x, /):
        return float(x.sum())

    assert type(to_python(Tensor([1.0])).data) is np.ndarray


def test_an_operand_without_a_rule_refuses_what_requires_a_gradient():
    assert tg.where(Tensor([True, False, True]), leaf(), leaf()).requires_grad
    condition = leaf()
    with pytest.raises(TypeError, match=r"where has no gradient with respect to condition: pass condition.detach\(\)"):
        tg.where(condition, 1.0, leaf())
    assert tg.where(condition.detach() > 1.5, 1.0, leaf()).shape == (3,)


def test_static_arguments_by_position_keyword_and_default():
    x = leaf(np.ones((2, 3)))
    assert tg.sum(x, 0).shape == tg.sum(x, axis=0).shape == x.sum(0).shape == (3,)
    assert tg.sum(x, 0, True).shape == tg.sum(x, 0, keepdims=True).shape == (1, 3)
    for wrong in (
        lambda: tg.sum(x, 0, axis=0),
        lambda: tg.sum(x, 0, True, None, 1),
        lambda: tg.sum(),
        lambda: tg.sum(x, axes=0),
    ):
        with pytest.raises(TypeError, match="argument"):
            wrong()
    seen = []

    @primitive
    def scaled(x, /, factor, power=1):
        return x * factor**power

    scaled.vjp(lambda g, out, x, factor, power: (seen.append((factor, power)), g * factor**power)[1])
    scaled(x, 3.0).sum().backward()
    scaled(x, power=2, factor=3.0).sum().backward()
    assert seen == [(3.0, 1), (3.0, 2)]
    assert scaled(2.0, 3.0) == 6.0


def test_two_nodes_are_the_loss_of_softmax_regression():
    """The walk over them gives (p − y)ᵀ x for the weight and its sum over the examples for the bias."""
    x, labels = np.random.default_rng(0).random((5, 4)), np.array([0, 2, 1, 1, 0])
    w, b = leaf(np.zeros((3, 4))), leaf(np.zeros(3))
    loss = cross_entropy(linear(x, w, b), labels)
    loss.backward()
    error = (np.full((5, 3), 1 / 3) - np.eye(3)[labels]) / 5
    np.testing.assert_allclose(w.grad, error.T @ x)
    np.testing.assert_allclose(b.grad, error.sum(0), atol=1e-16)
    np.testing.assert_allclose(loss.item(), np.log(3))


# Where one of two choices is 0, `where` works on bits.


def values_of(dtype, size):
    random = np.random.default_rng(0)
    values = random.standard_normal(size).astype(dtype)
    values[random.integers(0, size, 300)] = np.nan
    values[random.integers(0, size, 300)] = np.inf
    values[random.integers(0, size, 300)] = -np.inf
    values[random.integers(0, size, 300)] = -0.0
    return values, random.random(size) < 0.5


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "longdouble", ">f4"])
@pytest.mark.parametrize("size", [5, 4099])
def test_choosing_zero_or_a_value_keeps_the_value_as_it_is(dtype, size):
    values, condition = values_of(dtype, size)
    before = values.copy()
    for chosen, others, result in (
        (condition, ~condition, tg.where(condition, values, 0)),
        (~condition, condition, tg.where(condition, 0, values)),
    ):
        assert result.dtype == np.dtype(dtype).newbyteorder("native")
        np.testing.assert_array_equal(result[chosen], values[chosen])
        np.testing.assert_array_equal(np.signbit(result[chosen]), np.signbit(values[chosen]))
        assert not result[others].any()
        assert not np.signbit(result[others]).any()
        assert not np.shares_memory(result, values)
    np.testing.assert_array_equal(values, before)


def test_choosing_between_others_is_numpys():
    values, condition = values_of("float32", 4099)
    turned = np.ones((4099, 2), "float32")[:, 0]
    turned[...] = values
    for a, b in (
        (turned, 0),
        (values, 0.0),
        (values, 1),
        (0, 1),
        (values, values + 1),
        (np.float64(2), 0),
        (values[0], 0),
        (np.array([2.0]), 0),
        (values, False),
        (values > 0, 0),
        (np.stack([values, values]), 0),
    ):
        for choice in ((a, b), (b, a)):
            result, expected = tg.where(condition, *choice), np.where(condition, *choice)
            assert result.dtype == expected.dtype
            np.testing.assert_array_equal(result, expected)
    tall = np.array([[True], [False]])
    np.testing.assert_array_equal(tg.where(tall, values, 0), np.where(tall, values, 0))
    with_number = tg.where(condition.astype("float32"), values, 0)  # a condition that is no mask
    np.testing.assert_array_equal(with_number, np.where(condition, values, 0))


def test_relu_passes_nothing_where_it_is_0_even_of_an_infinite_gradient():
    x = leaf(np.where(np.arange(5000) % 2, 1.0, -1.0))
    tg.relu(x).backward(np.full(5000, np.inf))
    np.testing.assert_array_equal(x.grad, np.where(np.arange(5000) % 2, np.inf, 0.0))


@pytest.mark.parametrize("number", [2.0, 2, True])
def test_a_number_that_is_the_only_operand_gives_the_right_answer(number):
    for op in (tg.softmax, tg.log_softmax, tg.logsumexp, tg.exp, tg.sum, tg.transpose, tg.relu, tg.max):
        result, expected = op(number), op(np.asarray(number))
        assert (result, np.asarray(result).dtype) == (expected, np.asarray(expected).dtype)
    assert (tg.softmax(number), tg.logsumexp(number), tg.reshape(number, (1, 1)).tolist()) == (1, number, [[number]])
    assert (tg.zeros_like(number).item(), tg.ones_like(number).shape) == (0, ())
    assert tg.multiply(number, 3.0) == 3 * number
    assert type(tg.multiply(number, 3.0)) is float  # what operators give for Python's numbers is one itself
    assert (tg.negative(number), type(tg.negative(number)) is type(-number)) == (-number, True)
