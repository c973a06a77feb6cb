"""The one-page engine is right by itself: its gradients are those of difference quotients, and it learns MNIST."""

import importlib.util
import sys
from types import FunctionType

import micro
import numpy as np

from tests.engine.micro_operations import relu, tanh
from tests.examples.helpers import EXAMPLES, start


def test_gradients_agree_with_difference_quotients():
    random = np.random.default_rng(0)
    images, labels = random.random((6, 4)), np.array([0, 2, 1, 1, 0, 2])
    weight, bias = random.standard_normal((3, 4)), random.standard_normal((1, 3))

    def loss_of(weight, bias):
        hidden = tanh(images @ weight.T + bias)
        return micro.cross_entropy(relu(hidden) / 0.5 - bias * hidden, labels)

    W, b = micro.Value(weight), micro.Value(bias)
    loss_of(W, b).backward()
    h = 1e-6
    for x, grad in ((weight, W.grad), (bias, b.grad)):
        assert grad.shape == x.shape
        for i in np.ndindex(x.shape):
            at = x[i]
            x[i] = at + h
            up = loss_of(micro.Value(weight), micro.Value(bias)).data
            x[i] = at - h
            down = loss_of(micro.Value(weight), micro.Value(bias)).data
            x[i] = at
            np.testing.assert_allclose(grad[i], (up - down) / (2 * h), rtol=1e-6, atol=1e-9)


def test_broadcasting_is_undone_over_new_axes_and_over_those_of_length_1():
    g = np.arange(24.0).reshape(2, 3, 4)
    np.testing.assert_array_equal(micro.sum_to(g, (3, 4)), g.sum(axis=0))
    np.testing.assert_array_equal(micro.sum_to(g, (2, 1, 4)), g.sum(axis=1, keepdims=True))
    np.testing.assert_array_equal(micro.sum_to(g, (3, 1)), g.sum(axis=(0, 2)).reshape(3, 1))
    np.testing.assert_array_equal(micro.sum_to(g, ()), g.sum())
    np.testing.assert_array_equal(micro.sum_to(g, g.shape), g)


def test_it_learns_mnist():
    weight, bias = np.zeros((10, 784), np.float32), np.zeros(10, np.float32)
    micro.train(*micro.mnist("train"), weight, bias, steps=400)
    images, labels = micro.mnist("t10k")
    assert np.mean((images @ weight.T + bias).argmax(axis=1) == labels) > 0.88


def test_it_runs():
    status, text, errors = start("-W", "error", EXAMPLES / "micro.py")
    assert (status, errors) == (0, "")
    assert text.startswith("loss of the last batch: 0.085, test accuracy: 91.")


def functions_of(page):
    """Return the functions of a page by name: those at its top, of its classes, and the rules of its operations."""
    found = dict(vars(page))
    for cls in (page.Value, page.Primitive):
        found |= {f"{cls.__name__}.{name}": getattr(x, "fget", x) for name, x in vars(cls).items()}
    for name, op in vars(page).items():
        if isinstance(op, page.Primitive):
            found |= {f"rule {i} of {name}": rule for i, rule in enumerate(op.rules)}
    return {name: f for name, f in found.items() if isinstance(f, FunctionType)}


def test_it_holds_nothing_that_its_training_does_not_use():
    called = set()

    def note(frame, event, argument):
        called.add(id(frame.f_code))

    spec = importlib.util.spec_from_file_location("a_fresh_micro", EXAMPLES / "micro.py")
    page = importlib.util.module_from_spec(spec)
    before = sys.getprofile()
    sys.setprofile(note)
    try:
        spec.loader.exec_module(page)
        page.train(*page.mnist("t10k"), np.zeros((10, 784), np.float32), np.zeros(10, np.float32), steps=1)
    finally:
        sys.setprofile(before)
    functions = functions_of(page)
    assert {"train", "Value.T", "Value.backward", "Primitive.vjp", "rule 0 of exp"} <= functions.keys()
    # An operation has all its rules. These are for operands that are data here: images, one-hot labels, their number.
    of_data = {"rule 0 of matmul", "rule 1 of multiply", "rule 1 of divide"}
    assert {name for name, f in functions.items() if id(f.__code__) not in called} == of_data
