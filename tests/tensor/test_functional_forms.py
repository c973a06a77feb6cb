"""Gradients as functions, structures of arrays as inputs, and backward() for some Tensors alone."""

from typing import NamedTuple

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import calls_of_rules, leaf
from tinygrad_sm import Tensor, nn
from tinygrad_sm.structures import leaf_names

RANDOM = np.random.default_rng(3)
X, Y = RANDOM.normal(size=(2, 3)), RANDOM.normal(size=3)


class Layer(NamedTuple):
    """Parameters of a layer."""

    w: object
    b: object


class Ordered(tuple):
    """A tuple whose constructor takes something else than its parts."""

    __slots__ = ()

    def __new__(cls, *parts):
        return super().__new__(cls, sorted(parts, key=np.ndim))


def equal(found, expected, kind=Tensor):
    """Compare structures: of the same types, with leaves of this kind."""
    if isinstance(expected, dict):
        assert type(found) is dict
        assert list(found) == list(expected)
        for key in expected:
            equal(found[key], expected[key], kind)
    elif isinstance(expected, list | tuple) and isinstance(found, list | tuple):
        assert type(found) is type(expected)
        assert len(found) == len(expected)
        for one, other in zip(found, expected, strict=True):
            equal(one, other, kind)
    else:
        assert isinstance(found, kind)
        assert found.shape == np.shape(expected)
        np.testing.assert_allclose(found.data if kind is Tensor else found, expected, rtol=1e-12)


# Functions that give gradients


def product(x, y, power=1):
    return ((x * y) ** power).sum()


def test_grad_and_value_and_grad_of_arrays_are_arrays():
    equal(tg.grad(product)(X, Y), np.broadcast_to(Y, (2, 3)), np.ndarray)
    equal(tg.grad(product, 1)(X, Y), X.sum(axis=0), np.ndarray)
    equal(tg.grad(product, argnums=(1, 0))(X, Y), (X.sum(axis=0), np.broadcast_to(Y, (2, 3))), np.ndarray)
    equal(tg.grad(product, (0,))(X, Y), (np.broadcast_to(Y, (2, 3)),), np.ndarray)
    value, g = tg.value_and_grad(product)(X, Y, power=2)
    equal((value, g), (((X * Y) ** 2).sum(), 2 * X * Y * Y), np.ndarray)
    assert g.flags.writeable
    assert not np.shares_memory(g, Y)


def test_tensors_give_tensors_beside_whatever_stands_there():
    for arguments in ((Tensor(X), Y), (X, Tensor(Y)), (X, leaf(Y))):
        value, g = tg.value_and_grad(product)(*arguments)
        equal((value, g), ((X * Y).sum(), np.broadcast_to(Y, (2, 3))))
        assert (
            g.requires_grad == value.requires_grad == any(isinstance(x, Tensor) and x.requires_grad for x in arguments)
        )


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_dtype_stays(dtype, device):
    x = Tensor(Y.astype(dtype), device=device).data
    value, g = tg.value_and_grad(lambda x: (x * x).sum())(x)
    assert type(value) is type(g) is type(x)
    assert value.dtype == g.dtype == dtype
    assert tg.grad(lambda x: x**3)(2.0) == 12
    assert tg.grad(lambda x: (x * x).sum())([1.0, 2.0]).tolist() == [2, 4]


def test_the_value_shares_no_memory_with_the_input():
    x = np.array(2.0)
    value, _ = tg.value_and_grad(lambda x: x)(x)
    assert not np.shares_memory(value, x)


def test_gradients_of_gradients():
    def f(x):
        return x**4

    assert tg.grad(tg.grad(f))(2.0) == 48
    assert tg.grad(tg.grad(tg.grad(f)))(2.0) == 48
    assert tg.value_and_grad(tg.grad(f))(2.0) == (32, 48)
    equal(tg.jacobian(tg.grad(lambda x: (x**3).sum()), Y), np.diag(6 * Y))
    equal(tg.grad(lambda x: (tg.grad(lambda x: (x**3).sum())(x) ** 2).sum())(Y), 36 * Y**3, np.ndarray)


def test_what_f_uses_beside_its_arguments_is_not_lost():
    """∂/∂w of ∂/∂x (w x²) is 2x, though the inner function is asked at plain arrays."""

    def mixed(w):
        return tg.sum(tg.grad(lambda x: tg.sum(w * x * x))(Y))

    equal(tg.grad(mixed)(leaf(X[0])), 2 * Y)
    equal(tg.grad(mixed, create_graph=False)(X[0]), 2 * Y, np.ndarray)
    model = nn.Linear(3, 1)
    g = tg.grad(lambda x: model(x).sum())(Y.astype(np.float32))
    (g * g).sum().backward()
    np.testing.assert_allclose(model.weight.grad, 2 * model.weight.data, rtol=1e-6)
    assert isinstance(tg.grad(lambda x: model(x).sum(), create_graph=False)(Y.astype(np.float32)), np.ndarray)
    with tg.no_grad():
        assert isinstance(tg.grad(lambda x: model(x).sum())(Y.astype(np.float32)), np.ndarray)


def test_create_graph_keeps_the_history_in_any_mode():
    x = leaf(Y)
    with tg.no_grad():
        assert not tg.grad(lambda x: (x**3).sum())(x).requires_grad
        kept = tg.grad(lambda x: (x**3).sum(), create_graph=True)(x)
    equal(tg.grad(kept, x, np.ones(3)), (6 * Y,))
    assert x.grad is None


def test_the_function_has_the_name_and_the_documentation_of_f():
    for made in (tg.grad(product), tg.value_and_grad(product, 1)):
        assert made.__name__ == "product"
        assert made.__wrapped__ is product


def test_other_arguments_pass_as_they_are():
    seen = []

    def f(x, *others, **options):
        seen.append((others, options))
        return x.sum()

    options = [np.arange(2), "text"]
    tg.grad(f)(Y, options, None, size=options)
    assert seen[0][0][0] is seen[0][1]["size"] is options


# Optimizers


def rosenbrock(x):
    return (100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum()


def test_a_minimizer_calls_it_as_it_stands():
    """Newton's method, on arrays alone."""
    f, hessian = tg.value_and_grad(rosenbrock), tg.grad(lambda x, v: tg.grad(rosenbrock)(x) @ v)
    x = np.array([-1.2, 1.0, 1.5])
    for _ in range(100):
        value, g = f(x)
        step = np.linalg.solve([hessian(x, row) for row in np.eye(3)], g)
        shrink = 1.0
        while f(x - shrink * step)[0] > value and shrink > 1e-8:
            shrink /= 2
        x = x - shrink * step
    np.testing.assert_allclose(x, 1, rtol=1e-9)
    assert type(value) is np.ndarray
    assert value.dtype == g.dtype == np.float64


@pytest.mark.parametrize("method", ["BFGS", "L-BFGS-B", "CG", "SLSQP", "trust-constr"])
def test_scipys_optimizers_call_it_as_it_stands(method):
    optimize = pytest.importorskip("scipy.optimize")
    found = optimize.minimize(tg.value_and_grad(rosenbrock), np.array([-1.2, 1.0, 1.5]), jac=True, method=method)
    np.testing.assert_allclose(found.x, 1, atol=1e-3)
    apart = optimize.minimize(rosenbrock, np.array([-1.2, 1.0]), jac=tg.grad(rosenbrock), method=method)
    np.testing.assert_allclose(apart.x, 1, atol=1e-3)


# Structures


def network(p, x):
    return tg.tanh(x @ p["layers"][0].w + p["layers"][0].b).sum() * p["scale"]


PARAMETERS = {"scale": 2.0, "layers": [Layer(RANDOM.normal(size=(3, 4)), np.zeros(4))]}
FLAT = (PARAMETERS["scale"], *PARAMETERS["layers"][0])


def of_parts(scale, w, b):
    return network({"scale": scale, "layers": [Layer(w, b)]}, X)


def in_form(scale, w, b):
    return {"scale": scale, "layers": [Layer(w, b)]}


def test_every_transform_takes_structures_and_gives_their_form():
    def f(p):
        return network(p, X)

    directions = [RANDOM.normal(size=np.shape(x)) for x in FLAT]
    arrays = [np.float64(x) if isinstance(x, float) else x for x in FLAT]
    p, v = in_form(*arrays), in_form(*directions)
    for transform, given in ((tg.vjp, None), (tg.jvp, v), (tg.hvp, v)):
        value, found = transform(f, p, given)
        value_of_parts, parts = transform(of_parts, tuple(arrays), tuple(directions) if given else None)
        assert value.item() == value_of_parts.item()
        equal(found, parts.data if transform is tg.jvp else in_form(*(x.data for x in parts)))
    equal(tg.jacobian(f, p), in_form(*(x.data for x in tg.jacobian(of_parts, tuple(arrays)))))
    rows = [in_form(*(x.data for x in row)) for row in tg.hessian(of_parts, tuple(arrays))]
    equal(tg.hessian(f, p), in_form(*rows))
    value, found = tg.value_and_grad(network)(p, X)
    equal(found, in_form(*(x.data for x in tg.vjp(of_parts, tuple(arrays))[1])), np.ndarray)
    tensors = in_form(*map(Tensor, arrays))
    equal(tg.grad(network)(tensors, X), found)


def test_outputs_may_be_structures():
    def f(x):
        return {"y": [x * 2, Layer(x.sum(), 3.0)], "x": x}

    value, found = tg.jvp(f, Y, np.ones(3))
    equal(value, {"y": [2 * Y, Layer(Y.sum(), 3.0)], "x": Y})
    equal(found, {"y": [2 * np.ones(3), Layer(3.0, 0.0)], "x": np.ones(3)})
    v = {"x": Y, "y": [Y, Layer(1.0, 5.0)]}  # in another order
    equal(tg.vjp(f, Y, v)[1], 3 * Y + 1)
    equal(tg.jacobian(f, Y), {"y": [2 * np.eye(3), Layer(np.ones(3), np.zeros(3))], "x": np.eye(3)})


def test_lists_of_numbers_are_arrays_and_lists_of_arrays_are_structures():
    assert tg.vjp(lambda x: (x * x).sum(), [[1.0, 2.0], [3.0, 4.0]])[1].tolist() == [[2, 4], [6, 8]]
    equal(tg.vjp(lambda x: (x[0] * x[1]).sum(), [[1.0, 2.0, 3.0], Y])[1], [Y.astype(np.float32), [1.0, 2.0, 3.0]])
    equal(tg.vjp(lambda x: x[0] * x[1], [np.array(2.0), 3.0])[1], [3.0, 2.0])
    assert leaf_names(([1.0, 2.0], [Y, 3.0], (4.0, 5.0))) == ["0", "1[0]", "1[1]", "2"]
    assert leaf_names(([np.float64(1), np.float32(2)], {})) == ["0"]


def test_tuples_of_other_classes_keep_them_and_are_one_argument():
    def f(p):
        return p[0] * p[1].sum()

    for given in (Layer(np.array(2.0), Y), Ordered(Y, np.array(2.0))):
        equal(tg.vjp(f, given)[1], type(given).__new__(type(given), np.array(Y.sum()), 2 * np.ones(3)))
        equal(tg.grad(f)(given), type(given).__new__(type(given), np.array(Y.sum()), 2 * np.ones(3)), np.ndarray)
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        tg.vjp(lambda w, b: w, Layer(Y, Y))


def test_grad_of_tensors_by_structures():
    w, b, s = leaf(X), leaf(Y), leaf(2.0)
    loss = ((w + b) * s).sum()
    gw, gb, gs = 2 * np.ones((2, 3)), 4 * np.ones(3), (X + Y).sum()
    again = {"create_graph": False, "retain_graph": True}
    equal(tg.grad(loss, {"w": w, "rest": [b, s]}, **again), {"w": gw, "rest": [gb, gs]})
    equal(tg.grad(loss, [w, {"b": b}, (s,)], **again), (gw, {"b": gb}, (gs,)))
    equal(tg.grad(loss, Layer(w, [b]), **again), Layer(gw, [gb]))
    equal(tg.grad(loss, (x for x in (w, b)), **again), (gw, gb))
    found = tg.grad(loss, {"w": w, "other": leaf()}, allow_unused=True)
    equal(found["w"], gw)
    assert found["other"] is None


def test_histories_of_structures_are_kept():
    p = {"w": leaf(Y)}
    value, g = tg.value_and_grad(lambda p: (p["w"] ** 3).sum())(p)
    equal(tg.grad(g["w"].sum(), p, retain_graph=True), {"w": 6 * Y})
    equal(tg.grad(value, p["w"]), (3 * Y**2,))
    v = {"w": leaf(np.ones(3))}
    equal(tg.grad(tg.jvp(lambda p: p["w"] * 2, {"w": Y}, v)[1].sum(), v), {"w": 2 * np.ones(3)})


# retain_graph and backward(inputs=...)


def test_retain_graph_keeps_the_graph():
    x = leaf(Y)
    y = (x**3).sum()
    for _ in range(2):
        equal(tg.grad(y, x, retain_graph=True), (3 * Y**2,))
    (kept,) = tg.grad(y, x, create_graph=True)
    assert kept.requires_grad
    equal(tg.grad(y, x, retain_graph=False), (3 * Y**2,))
    with pytest.raises(tg.GradientError, match="this graph was freed"):
        tg.grad(y, x)


def test_backward_adds_to_the_given_tensors_alone(device):
    x, y, unused = (Tensor(Y, requires_grad=True, device=device) for _ in range(3))
    middle = x * 2
    last = middle * y
    last.retain_grad()
    x.grad = before = Tensor(np.ones(3), device=device).data
    last.sum().backward(inputs=[middle, unused], retain_graph=True)
    np.testing.assert_array_equal(Tensor(middle.grad).numpy(), Y)
    assert y.grad is unused.grad is last.grad is None
    assert x.grad is before
    last.sum().backward(inputs=(t for t in (x, middle)))
    np.testing.assert_array_equal(Tensor(x.grad).numpy(), 2 * Y + 1)
    np.testing.assert_array_equal(Tensor(middle.grad).numpy(), 2 * Y)
    assert y.grad is None
    (y * y).sum().backward(inputs=y)
    np.testing.assert_array_equal(Tensor(y.grad).numpy(), 2 * Y)


def test_backward_visits_only_what_leads_to_the_inputs():
    x, y, log = leaf(Y), leaf(Y), []
    beside = tg.exp(x)
    with calls_of_rules(log):
        (beside * tg.sin(y)).sum().backward(inputs=y)
    assert [name for name, _ in log] == ["sum", "multiply", "sin"]
    np.testing.assert_allclose(y.grad, np.exp(Y) * np.cos(Y))


def test_a_wrong_grad_of_an_input_is_found_before_any_changes():
    x, y = leaf(Y), leaf(Y)
    y.grad = np.ones(2)
    (x * y).sum().backward(inputs=x)
    before = x.grad.copy()
    log = []
    with calls_of_rules(log), pytest.raises(ValueError, match="the grad of a parameter to be an array like"):
        (x * y).sum().backward(inputs=[x, y])
    assert log == []
    np.testing.assert_array_equal(x.grad, before)
