"""The engine keeps its contract: eleven promises, each with a test that breaks when the promise does."""

import asyncio
import gc
import threading
import weakref

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given

import tinygrad_sm as tg
from tinygrad_sm import GradientError, Tensor, enable_grad, no_grad, primitive, zero
from tinygrad_sm.mode import observe
from tinygrad_sm.ops.linalg import linear
from tinygrad_sm.ops.softmax import cross_entropy
from tinygrad_sm.tape import Traced, mark_changed


def leaf(data=(1.0, 2.0, 3.0), dtype=np.float64):
    return Tensor(np.array(data, dtype), requires_grad=True)


def calls_of_rules(log):
    """Note the operation and the arguments of every rule that is called inside."""

    def note(phase, op, function):
        def call(*args, **kwargs):
            log.append((op.name, args))
            return function(*args, **kwargs)

        return call if phase == "backward" else function

    return observe(note)


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


# 5: no cycles; a graph dies by reference counting alone.


@pytest.fixture
def no_gc():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("no_gc")
def test_graphs_die_by_reference_counting():
    x = leaf()
    y = tg.exp(x)
    loss = (y * y).sum()
    watched = [weakref.ref(t) for t in (y, loss)] + [weakref.ref(y.data)]
    del y, loss  # without backward
    assert [ref() for ref in watched] == [None, None, None]

    y = tg.exp(x)
    loss = cross_entropy((y * y).reshape(1, 3), np.array([0]))
    watched = [weakref.ref(y), weakref.ref(loss), weakref.ref(y.data)]
    loss.backward()
    del y
    assert watched[0]() is None  # the node was freed: only `loss` is held
    assert watched[2]() is None
    del loss
    assert watched[1]() is None
    assert x.grad is not None


@pytest.mark.usefixtures("no_gc")
def test_values_die_as_the_walk_passes_them():
    x = leaf()
    alive_at_the_end = []

    @primitive
    def probe(x, /):
        return x * 1.0

    y = probe(x)
    z = tg.exp(y)
    watched = weakref.ref(z.data)
    probe.vjp(lambda g, out, x: (alive_at_the_end.append(watched() is not None), g)[1])
    loss = (z * 2.0).sum()
    del y, z
    assert watched() is not None
    loss.backward()
    assert alive_at_the_end == [False]


# 6: all that can be checked is checked before any rule runs; gradients reach the leaves at the end, or not at all.


def failing(x):
    @primitive
    def fail(x, /):
        return x * 1.0

    def rule(g, out, x):
        raise ZeroDivisionError("planted")

    fail.vjp(rule)
    return fail(x)


def test_a_rule_that_raises_consumes_the_graph_and_leaves_every_grad():
    x, y = leaf(), leaf()
    x.grad = np.array([7.0, 7.0, 7.0])
    loss = (y * 2.0).sum() + failing(x).sum() + (x * y).sum()
    with pytest.raises(ZeroDivisionError, match="planted") as raised:
        loss.backward()
    assert raised.value.__notes__ == ["in the gradient rule of fail for its operand 'x'"]
    np.testing.assert_array_equal(x.grad, [7, 7, 7])
    assert y.grad is None
    with pytest.raises(GradientError, match="freed"):
        loss.backward()


def _freed(x):
    shared = tg.exp(x)
    shared.sum().backward()
    return shared


def _stale(x):
    w = leaf()
    product = x * w
    w.assign([0.0, 0.0, 0.0])
    return product


def _missing(x):
    @primitive
    def no_rules(x, /):
        return x * 1.0

    return no_rules(x)


@pytest.mark.parametrize("bad", [_freed, _stale, _missing])
def test_a_bad_graph_is_refused_before_any_rule_runs(bad):
    x, y = leaf(), leaf()
    loss = bad(x).sum() + tg.exp(y).sum()
    x.grad = None
    log = []
    with calls_of_rules(log), pytest.raises(GradientError):
        loss.backward()
    assert log == []
    assert x.grad is None
    assert y.grad is None


def test_retained_graphs_can_be_walked_again():
    x = leaf()
    loss = (x * x).sum()
    loss.backward(retain_graph=True)
    loss.backward()
    np.testing.assert_array_equal(x.grad, 4 * x.data)
    with pytest.raises(GradientError, match="freed"):
        loss.backward()


# 7: the walk is iterative and linear.


def test_a_chain_of_100000_nodes():
    x = h = leaf()
    for _ in range(50_000):
        h = h * 1.0 + 0.0
    h.sum().backward()
    np.testing.assert_array_equal(x.grad, [1, 1, 1])
    for _ in range(50_000):  # and once more, to be deleted without a backward
        h = h * 1.0 + 0.0
    del h


def test_a_doubling_chain_has_as_many_steps_as_nodes():
    x = h = leaf()
    for _ in range(60):
        h = h + h
    log = []
    with calls_of_rules(log):
        h.sum().backward()
    np.testing.assert_array_equal(x.grad, [2.0**60] * 3)
    assert len(log) == 2 * 60 + 1


# 8: `.data` and `.grad` are arrays; `.grad` is owned, writable and shares memory with nothing.


def test_data_and_grad_are_always_arrays():
    x = Tensor(3.0, requires_grad=True)
    y = x * x
    assert (type(x.data), type(y.data), type(tg.sum(y).data)) == (np.ndarray,) * 3
    assert (x.dtype, y.dtype, y.shape) == (np.float32, np.float32, ())
    y.backward()
    assert type(x.grad) is np.ndarray
    (x * x).backward()  # added to what is there
    assert type(x.grad) is np.ndarray
    assert x.grad == 12
    v = leaf()
    (v @ v).backward()
    assert type((v @ v).data) is np.ndarray


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


# 9: Python scalars stay Python scalars, and every operator has its reflected form.


def test_python_scalars_do_not_promote():
    x = leaf(dtype=np.float32)
    for y in (x * 2.0, 2.0 * x, x + 1, 1 - x, x / 3.0, 3.0 / x, x**2, 2.0**x, -x, abs(x), tg.maximum(x, 0.5)):
        assert y.dtype == np.float32
        (g,) = tg.grad(y.sum(), x)
        assert g.dtype == np.float32
    assert (x * np.float64(2)).dtype == np.float64  # NumPy's scalars promote, as NumPy 2 says


def test_arrays_and_numpy_scalars_on_the_left():
    t, a = leaf((1.0, 2.0, 4.0)), np.array([2.0, 3.0, 5.0])
    for left in (a, np.float64(3), 3.0, [2.0, 3.0, 5.0]):
        array = np.asarray(left)
        pairs = [
            (left + t, array + t.data, t + left),
            (left - t, array - t.data, -(t - left)),
            (left * t, array * t.data, t * left),
            (left / t, array / t.data, 1 / (t / left)),
            (left**t, array**t.data, left**t),
        ]
        for reflected, expected, other in pairs:
            assert isinstance(reflected, Tensor)
            np.testing.assert_allclose(reflected.data, expected, rtol=1e-6)
            np.testing.assert_allclose(other.data, expected, rtol=1e-6)
    assert isinstance(a @ t, Tensor)
    assert (a @ t).item() == a @ t.data
    assert isinstance(np.ones((2, 3)) @ t, Tensor)
    assert isinstance(np.ones(3, np.float32) * t, Tensor)


# 10: the mode is one ContextVar.


def recording():
    return (leaf() * 2.0).requires_grad


def test_modes_nest_and_are_restored():
    scope = no_grad()
    with scope:
        assert not recording()
        with enable_grad():
            assert recording()
            with scope:  # the same one, entered again
                assert not recording()
            assert recording()
        assert not recording()
    assert recording()
    with pytest.raises(KeyError), no_grad():
        raise KeyError
    assert recording()


def test_modes_decorate_functions_generators_and_coroutines():
    @no_grad()
    def function(x):
        """Say what it is."""
        return x, recording()

    @no_grad()
    def generator():
        received = [recording()]
        try:
            while True:
                received.append((yield recording()))
        except ValueError:
            yield "caught"
        return received

    @no_grad()
    async def coroutine():
        before = recording()
        await asyncio.sleep(0)
        return before, recording()

    assert function(1) == (1, False)
    assert function.__doc__ == "Say what it is."
    steps = generator()
    assert next(steps) is False
    assert recording()  # while the generator waits, the mode is the caller's
    assert steps.send("a") is False
    assert recording()
    assert steps.throw(ValueError) == "caught"
    with pytest.raises(StopIteration) as stop:
        next(steps)
    assert stop.value.value == [False, "a"]
    steps = generator()
    next(steps)
    steps.close()
    assert recording()
    assert asyncio.run(coroutine()) == (False, False)
    with pytest.raises(TypeError, match="asynchronous generator"):

        @no_grad()
        async def asynchronous_generator():
            yield 1


def test_threads_and_tasks_have_their_own_mode():
    seen = {}
    inside, done = threading.Event(), threading.Event()

    def other():
        with no_grad():
            inside.set()
            done.wait()
            seen["thread"] = recording()

    thread = threading.Thread(target=other)
    thread.start()
    inside.wait()
    seen["main"] = recording()
    done.set()
    thread.join()
    assert seen == {"thread": False, "main": True}

    async def without():
        with no_grad():
            await asyncio.sleep(0.001)
            return recording()

    async def with_recording():
        await asyncio.sleep(0)
        return recording()

    async def both():
        return await asyncio.gather(without(), with_recording(), without(), with_recording())

    assert asyncio.run(both()) == [False, True, False, True]


def test_no_grad_keeps_no_graph():
    x = leaf()
    with no_grad():
        y = x * 2.0
    assert not y.requires_grad
    assert y.node is None


def test_observers_see_every_forward_and_rule_and_may_replace_them():
    log = []

    def note(phase, op, function):
        log.append((phase, op.name))
        return function

    x = leaf()
    with observe(note):
        loss = tg.exp(x * 2.0).sum()
        with no_grad():
            tg.log(x)
        loss.backward()
    tg.tanh(x)
    assert [name for phase, name in log if phase == "forward"][:4] == ["multiply", "exp", "sum", "log"]
    assert [name for phase, name in log if phase == "backward"] == ["sum", "exp", "multiply"]

    with observe(
        lambda phase, op, function: (lambda *a, **k: function(*a, **k) * 0) if phase == "backward" else function
    ):
        (x * 2.0).sum().backward()
    np.testing.assert_allclose(x.grad, 2 * np.exp(2 * x.data))  # the second walk added nothing


# 11: a graph recorded before a change of its leaves is refused.


def test_a_stale_graph_names_the_parameter_and_the_operation():
    w = leaf()
    w.name = "0.weight"
    loss = (w * 2.0).sum()
    w.assign(w.data + 1)
    with pytest.raises(GradientError, match=r"'0.weight' was changed .* after multiply had used it"):
        loss.backward()
    (w * 2.0).sum().backward()  # recorded after the change
    np.testing.assert_array_equal(w.grad, [2, 2, 2])


def test_a_change_of_another_leaf_makes_nothing_stale():
    w, other = leaf(), leaf()
    loss = (w * 2.0).sum()
    other.assign([0.0, 0.0, 0.0])
    loss.backward()
    data = Tensor(np.ones(3))
    loss = (w * data).sum()
    mark_changed(data)  # data that needs no gradient is an operand too
    with pytest.raises(GradientError, match="'b' was changed"):
        loss.backward()


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


def test_an_operand_without_a_rule_refuses_what_requires_a_gradient():
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
        lambda: tg.sum(x, 0, True, 1),
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
    assert zero is not None


def test_linear_is_softmax_regressions_three_nodes():
    """Two nodes make the loss of the flagship, and the walk over them gives p − y, transposed and summed."""
    x, labels = np.random.default_rng(0).random((5, 4)), np.array([0, 2, 1, 1, 0])
    w, b = leaf(np.zeros((3, 4))), leaf(np.zeros(3))
    loss = cross_entropy(linear(x, w, b), labels)
    loss.backward()
    error = (np.full((5, 3), 1 / 3) - np.eye(3)[labels]) / 5
    np.testing.assert_allclose(w.grad, error.T @ x)
    np.testing.assert_allclose(b.grad, error.sum(0), atol=1e-16)
    np.testing.assert_allclose(loss.item(), np.log(3))
