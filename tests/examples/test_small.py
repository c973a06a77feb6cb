"""The second page does what the first cannot, and comes to the same parameters, as the framework itself does."""

import ast
import weakref

import micro
import numpy as np
import pytest
import small
from small import Value, grad, no_grad

import tinygrad_sm as tg
from tests.examples.helpers import EXAMPLES, start
from tinygrad_sm import Tensor

STEPS, LR = 100, 0.1


def drawn(dtype):
    """Return images and labels, and parameters to begin with."""
    random = np.random.default_rng(0)
    images, labels = micro.mnist("t10k")
    weight, bias = random.uniform(-0.03, 0.03, (10, 784)), random.uniform(-0.03, 0.03, 10)
    return images.astype(dtype), labels, weight.astype(dtype), bias.astype(dtype)


def trained_by(page, dtype):
    images, labels, weight, bias = drawn(dtype)
    page.train(images, labels, weight, bias, STEPS, lr=LR)
    return weight, bias


def trained_by_the_engine(cross_entropy, dtype):
    images, labels, weight, bias = drawn(dtype)
    W, b = Tensor(weight, requires_grad=True), Tensor(bias, requires_grad=True)
    for step in range(STEPS):
        rows = np.arange(step * 128, (step + 1) * 128) % len(images)
        W.grad = b.grad = None
        cross_entropy(images[rows] @ W.T + b, labels[rows]).backward()
        with tg.no_grad():
            W -= LR * W.grad
            b -= LR * b.grad
    return W.data, b.data


def formula(logits, labels):
    """Return the cross-entropy of the two pages in the framework's operations."""
    z = logits - logits.data.max(axis=1, keepdims=True)
    log_p = z - tg.log(tg.sum(tg.exp(z), axis=1, keepdims=True))
    y = np.eye(z.shape[1], dtype=z.dtype)[labels]
    return tg.sum(log_p * y) / -len(labels)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_both_pages_and_the_engine_end_at_the_same_bits(dtype):
    start = drawn(dtype)[2:]
    ours = trained_by(small, dtype)
    for theirs in (trained_by(micro, dtype), trained_by_the_engine(formula, dtype)):
        for mine, other, before in zip(ours, theirs, start, strict=True):
            assert mine.dtype == other.dtype == dtype
            np.testing.assert_array_equal(mine, other)
            assert np.abs(mine - before).max() > 0.003


def test_the_loss_of_the_framework_is_the_same_but_for_rounding():
    """It forms the gradient in one step, (p − y)/N, which rounds elsewhere."""
    theirs = trained_by_the_engine(tg.nn.functional.cross_entropy, np.float64)
    for mine, other in zip(trained_by(small, np.float64), theirs, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-12, atol=1e-14)


def chain(x, operations):
    y = x
    for _ in range(operations):
        y = y * 1.00001
    return y


def test_a_chain_of_100_000_operations():
    with pytest.raises(RecursionError):
        chain(micro.Value(1.0), 100_000).backward()
    x = Value(1.0)
    y = chain(x, 100_000)
    y.backward(retain_graph=True)
    np.testing.assert_allclose(x.grad, 1.00001**100_000, rtol=1e-9)
    del y  # the graph is still there: a hundred thousand Values die, each with the next
    slope = grad(chain(x, 10_000) * x, x, create_graph=True)
    np.testing.assert_allclose(grad(slope, x).data, 2 * 1.00001**10_000, rtol=1e-9)


def test_a_value_waits_for_all_its_gradients():
    x = Value(3.0)
    early = x * 2.0
    late = early * early  # walked first, and leads to `early`, whose other use is farther away
    for _ in range(5):
        late = late * 1.0
    y = early * late  # 8x³
    y.backward()
    assert x.grad == 24 * 9
    y = x = Value(1.0)
    for _ in range(60):
        y = y + y  # 2⁶⁰ paths
    y.backward()
    assert x.grad == 2.0**60


@pytest.mark.usefixtures("no_gc")
def test_a_walk_frees_the_graph():
    x = Value(np.ones(3))
    y = small.exp(x)
    loss = small.sum(y * y)
    watched = [weakref.ref(y), weakref.ref(y.data)]
    del y
    loss.backward(retain_graph=True)
    assert all(ref() is not None for ref in watched)
    loss.backward()
    assert [ref() for ref in watched] == [None, None]
    y = small.exp(x)
    loss = small.sum(y * y)
    watched = [weakref.ref(y), weakref.ref(loss)]
    del y, loss  # without a walk
    assert [ref() for ref in watched] == [None, None]


@pytest.mark.usefixtures("no_gc")
def test_values_die_as_the_walk_passes_them():
    alive = []

    def rule(g, out, x):
        alive.append(watched() is not None)
        return g

    identity = small.Primitive(lambda x: x + 0.0).vjp(rule)
    later = identity(small.exp(small.exp(identity(Value(1.0)))))
    watched = weakref.ref(later)
    loss = later * 2.0
    del later
    loss.backward()
    assert alive == [True, False]  # its own rule, and that of an operation long before it


def test_a_second_walk_is_refused():
    x = Value(2.0)
    y = x * x
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad == 4.0  # the gradient, not a sum of both
    x.grad = "as it was"
    for walk in (y.backward, lambda: grad(y, x), lambda: grad(y + x, x), (y * 1.0).backward):
        with pytest.raises(RuntimeError, match="freed this graph.*retain_graph=True"):
            walk()
    assert x.grad == "as it was"
    (x * 3.0).backward()  # a leaf is never freed
    assert x.grad == 3.0


def all_operations(m, x, w):
    """Return a scalar in which each operation of the page has a second derivative; m is the page or the framework."""
    kept = {} if m is small else {"keepdims": True}
    h = m.exp(x @ w.T - x / (w + 3.0) * 0.5)
    p = h / m.sum(h, axis=1, **kept)
    return m.sum(m.log(p + w) * x - m.sum(p.T @ x)) / 7


def test_gradients_of_gradients_agree_with_the_framework():
    random = np.random.default_rng(0)
    x, w, v = (random.uniform(0.5, 1.5, (3, 3)) for _ in range(3))
    w[0] = 1.0  # (1, 3) below, and broadcast
    results = []
    for m, leaf, differentiate in (
        (small, Value, lambda y, x, again: grad(y, x, create_graph=again)),
        (tg, lambda a: Tensor(a, requires_grad=True), lambda y, x, again: tg.grad(y, x, create_graph=again)[0]),
    ):
        for broadcast in (False, True):
            a, b = leaf(x), leaf(w[:1] if broadcast else w)
            y = all_operations(m, a, b) if not broadcast else m.sum(m.exp(a * b) / b)
            for first, second in ((a, a), (a, b), (b, a), (b, b)):
                slope = differentiate(y, first, True)
                mixed = differentiate(m.sum(slope * v[: slope.shape[0]]), second, True)
                third = differentiate(m.sum(mixed * v[: mixed.shape[0]]), a, True)
                results.append((slope.data, mixed.data, third.data))
    half = len(results) // 2
    for ours, theirs in zip(results[:half], results[half:], strict=True):
        for mine, other in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-11, atol=1e-12)
            assert np.abs(mine).max() > 1e-3


def test_derivatives_agree_with_their_closed_forms():
    at = np.array([-1.0, 0.5, 2.0])
    x = Value(at)
    y = small.sum(small.exp(x) * x)
    for n in range(1, 5):
        y = grad(y, x, create_graph=True)
        np.testing.assert_allclose(y.data, np.exp(at) * (at + n), rtol=1e-14)
    z = Value(np.array([[0.3, -1.2, 2.0]]))
    p = np.exp(z.data) / np.exp(z.data).sum()
    slope = grad(small.cross_entropy(z, np.array([1])), z, create_graph=True)
    np.testing.assert_allclose(slope.data, p - [[0, 1, 0]], rtol=1e-13)
    hessian = [grad(small.sum(slope * row), z, create_graph=True).data[0] for row in np.eye(3)]
    np.testing.assert_allclose(hessian, np.diag(p[0]) - p.T @ p, rtol=1e-12)


def test_what_was_not_recorded_is_not_differentiated():
    x = Value(2.0)
    unrecorded = [grad(x * x * x, x), Value(1.0) * 2.0]
    y = x * x
    with no_grad():
        unrecorded += [x * x, grad(y, x, create_graph=True)]
    for y in unrecorded:
        with pytest.raises(ValueError, match="no record leads from y to x.*no_grad.*create_graph=True"):
            grad(y, x)


@pytest.mark.usefixtures("no_gc")
def test_no_grad_records_nothing():
    x = Value(np.ones(3))
    with no_grad():
        y = small.exp(x)
        watched = weakref.ref(y)
        z = small.sum(y * x)
        assert (z.op, z.operands) == (None, ())
        del y
        assert watched() is None
        with no_grad():
            pass
        assert (x * x).op is None
    assert (x * x).op is small.multiply
    np.testing.assert_allclose(z.data, 3 * np.e)


def test_an_error_leaves_the_mode_as_it_was():
    def rule(g, out, x):
        assert not small.Primitive.recording
        raise ZeroDivisionError

    broken = small.Primitive(lambda x: x * 1.0).vjp(rule)
    x = Value(1.0)
    with pytest.raises(ZeroDivisionError), no_grad():
        raise ZeroDivisionError
    assert small.Primitive.recording
    for walk in (lambda: broken(x).backward(), lambda: grad(broken(x), x)):
        with pytest.raises(ZeroDivisionError):
            walk()
        assert small.Primitive.recording
    y = broken(x)
    with no_grad():
        with pytest.raises(ZeroDivisionError):
            y.backward()
        assert not small.Primitive.recording
    assert small.Primitive.recording


def test_it_runs():
    status, text, errors = start("-W", "error", EXAMPLES / "small.py")
    assert (status, errors) == (0, "")
    assert max(map(len, text.splitlines())) <= 100
    assert text.startswith("softmax regression on MNIST: 91.")
    assert "∂y/∂x = 2.71827, nearly e" in text
    assert [line.rpartition(": ")[2] for line in text.splitlines()[2:]] == [
        "4x³ = 32",
        "12x² = 48",
        "24x = 48",
        "24 = 24",
    ]


def test_the_operations_are_those_of_the_first_page():
    """The rules are the same text, but that of `sum`, which called NumPy."""

    def operations(page):
        lines = (EXAMPLES / f"{page}.py").read_text("utf-8").splitlines()
        return {line for line in lines if " = Primitive(" in line and not line.startswith(" ")}

    new = operations("small") - operations("micro")
    assert operations("micro") < operations("small")
    assert sorted(line.partition(" ")[0] for line in new) == ["broadcast_to", "sum_to"]


def test_it_needs_numpy_and_the_first_page_alone():
    tree = ast.parse((EXAMPLES / "small.py").read_text("utf-8"))
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert imported == {"contextlib", "micro", "numpy"}
    assert not any(isinstance(node, ast.ImportFrom) for node in ast.walk(tree))
    of_micro = {
        n.attr for n in ast.walk(tree) if isinstance(n, ast.Attribute) and getattr(n.value, "id", "") == "micro"
    }
    first_line = ast.get_docstring(tree).splitlines()[0]
    assert all(f"`{name}`" in first_line for name in of_micro | {"micro.py"})
