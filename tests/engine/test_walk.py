"""Points 5 to 9 and 11: graphs die by themselves, the walk is all or nothing and linear, stale graphs are refused."""

import pickle
import weakref

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import calls_of_rules, leaf, of_the_wing
from tinygrad_sm import GradientError, Tensor, primitive
from tinygrad_sm.engine.versions import change
from tinygrad_sm.ops.softmax import cross_entropy

# 5: no cycles; a graph dies by reference counting alone.


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
    watched = [weakref.ref(y), weakref.ref(loss), weakref.ref(y.data), weakref.ref(loss.node.saved)]
    loss.backward()
    del y
    assert watched[3]() is None  # the residual too
    assert watched[0]() is None  # the node was freed: only `loss` is held
    assert watched[2]() is None
    del loss
    assert watched[1]() is None
    assert x.grad is not None


@of_the_wing
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


def test_grad_walks_only_where_it_leads_to_an_input():
    x, w = leaf(), leaf()
    x.register_hook(lambda g: pytest.fail("nobody asked for the gradient of x"))
    y = tg.exp(x)
    loss = (y * tg.tanh(w)).sum()
    log = []
    with calls_of_rules(log):
        (g,) = tg.grad(loss, y)
    assert [name for name, _ in log] == ["sum", "multiply"]
    np.testing.assert_array_equal(g.data, np.tanh(w.data))
    x.hooks = ()
    y.sum().backward()  # what lies below y was not freed
    np.testing.assert_array_equal(x.grad, y.data)
    with pytest.raises(GradientError, match="freed"):
        loss.backward()

    z = x * w
    both = tg.grad((z * x).sum(), [z, x])  # an input that stands on the way to another
    np.testing.assert_array_equal(both[0].data, x.data)
    np.testing.assert_array_equal(both[1].data, 2 * x.data * w.data)


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
    change([data], data.data.fill, 2.0)  # data that needs no gradient is an operand too
    with pytest.raises(GradientError, match="'b' was changed"):
        loss.backward()


def _detached(w):
    return w.detach()


def _wrapped(w):
    return Tensor(w)


def _unrecorded_view(w):
    with tg.no_grad():
        return w.reshape(3, 1).T[0]


def _detached_view(w):
    return w.reshape(3, 1).T.detach()[0]


@tg.primitive
def returned_as_it_came(x, /):
    return x


def _unrecorded_self(w):
    with tg.no_grad():
        return returned_as_it_came(w)


@pytest.mark.parametrize("alias", [_detached, _wrapped, _unrecorded_view, _detached_view, _unrecorded_self])
@pytest.mark.parametrize("memory", [np.zeros, lambda n: np.frombuffer(bytearray(8 * n))], ids=["owned", "buffer"])
@pytest.mark.parametrize("changed", ["the leaf", "the alias"])
def test_what_shares_the_memory_of_a_leaf_is_stale_with_it(alias, changed, memory):
    w, x = Tensor(memory(3), requires_grad=True), leaf()
    other = alias(w)
    assert np.shares_memory(w.data, other.data)
    loss = (x * (w if changed == "the alias" else other)).sum()
    (w if changed == "the leaf" else other).assign([0.0, 0.0, 0.0])
    with pytest.raises(GradientError, match="'b' was changed"):
        loss.backward()


def test_results_are_stale_too_when_their_array_is_changed():
    x, z = leaf(), leaf()
    y = x * 2.0
    loss = (y * z).sum()
    y.detach().assign([0.0, 0.0, 0.0])
    with pytest.raises(GradientError, match="'a' was changed .* after multiply had used it"):
        loss.backward()


def test_a_copy_is_not_stale_with_what_it_was_copied_from():
    w, x = leaf(np.ones((2, 3))), leaf(np.ones(6))
    copies = [(w.T.reshape(-1)).detach(), (w * 1.0).reshape(-1).detach(), Tensor(w.data.ravel().copy())]
    loss = sum((x * copied).sum() for copied in copies)
    w.assign(np.zeros((2, 3)))
    loss.backward()
    np.testing.assert_array_equal(x.grad, np.full(6, 3.0))


def test_what_is_unpickled_is_not_stale():
    w, never = leaf(), leaf()
    w.assign([1.0, 2.0, 3.0])
    pair = pickle.loads(pickle.dumps([w, never]))
    assert pair[0].memory.changed_at == 0
    loss = (pair[0] * pair[1]).sum()
    leaf().assign([0.0, 0.0, 0.0])
    loss.backward()
    np.testing.assert_array_equal(pair[1].grad, [1, 2, 3])
    assert pair[1].memory is never.memory
    loss = (pair[0] * 2.0).sum()
    pair[0].assign([0.0, 0.0, 0.0])
    with pytest.raises(GradientError, match="was changed"):
        loss.backward()


def test_gradients_come_in_the_shape_and_dtype_of_what_they_are_of():
    x = leaf(dtype=np.float32)
    x.backward(np.array([1.0, 2.0, 3.0]))  # a leaf as the root, and a gradient of float64
    assert x.grad.dtype == np.float32
    with pytest.raises(ValueError, match=r"own shape \(3,\), got shape \(3, 1\)"):
        (x * 1).backward(np.ones((3, 1)))
    y = x * 1.0
    y.register_hook(lambda g: Tensor(g * 2.0))  # a Tensor is taken for its array
    y.sum().backward()
    assert type(x.grad) is np.ndarray
    np.testing.assert_array_equal(x.grad, [3, 4, 5])


def test_many_operands_are_joined_and_parted_in_linear_time():
    xs = [leaf([float(i)]) for i in range(50)]
    joined = tg.concatenate(xs)
    assert joined.node.saved == [slice(i, i + 1) for i in range(50)]  # computed once, not once for each operand
    joined.backward(np.arange(50.0))
    np.testing.assert_array_equal([x.grad.item() for x in xs], np.arange(50))
