"""Transforms give the closed forms, agree with one another, nest, keep to their modes and leave nothing behind."""

import re

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import tinygrad_sm as tg
from tests.helpers import calls_of_rules, leaf
from tinygrad_sm import Tensor, nn
from tinygrad_sm.ops.softmax import cross_entropy

random = np.random.default_rng(7)
A, B = random.normal(size=(4, 3)), random.normal(size=(3, 3))
X, Y = random.normal(size=(2, 3)), random.normal(size=3)
V, W = random.normal(size=(2, 3)), random.normal(size=3)
rows = hnp.arrays(np.float64, st.integers(1, 6), elements=st.floats(-30, 30))
any_shape = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=3)


def close(actual, expected):
    """Compare trees of tuples: the same structure, shapes and values."""
    if isinstance(expected, tuple):
        assert isinstance(actual, tuple)
        assert len(actual) == len(expected)
        for a, e in zip(actual, expected, strict=True):
            close(a, e)
    else:
        assert isinstance(actual, Tensor)
        expected = expected.data if isinstance(expected, Tensor) else np.asarray(expected)
        assert actual.shape == expected.shape
        np.testing.assert_allclose(actual.data, expected, rtol=1e-12, atol=1e-13)


def two_to_three(x, y):
    return tg.tanh(x * y), x @ tg.exp(y), (x * x).sum()


def scalar(x, y):  # of which no second derivative is zero
    return tg.tanh(x @ B).sum() * tg.exp(y).sum() + (x * y).sum() ** 2


@given(rows)
def test_the_jacobian_of_softmax_is_diag_p_minus_p_p_transposed(z):
    p = tg.softmax(z)
    expected = np.diag(p) - np.outer(p, p)
    close(tg.jacobian(tg.softmax, z), expected)
    by_columns = [tg.jvp(tg.softmax, z, column)[1].data for column in np.eye(len(z))]
    np.testing.assert_allclose(np.transpose(by_columns), expected, atol=1e-15)


def test_the_jacobian_of_a_linear_map_is_its_matrix():
    close(tg.jacobian(lambda x: A @ x, Y), A)
    close(tg.jacobian(lambda x: x @ A.T, X), np.einsum("nm,ij->nimj", np.eye(2), A))
    close(tg.jacobian(lambda x: x.T, X), np.einsum("nm,ij->jnmi", np.eye(2), np.eye(3)))
    close(tg.jacobian(lambda x: x, Y), np.eye(3))


def test_the_hessian_of_a_quadratic_form_is_a_plus_a_transposed():
    close(tg.hessian(lambda x: x @ (B @ x), Y), B + B.T)
    close(tg.hessian(lambda x, y: x @ (B @ y), (Y, W)), ((np.zeros((3, 3)), B), (B.T, np.zeros((3, 3)))))
    close(tg.hvp(lambda x: x @ (B @ x), Y, W), (Y @ B @ Y, (B + B.T) @ W))


@given(hnp.arrays(np.float64, (4, 3), elements=st.floats(-10, 10)), st.lists(st.integers(0, 2), min_size=4, max_size=4))
def test_the_hessian_of_cross_entropy_is_a_block_for_each_example(z, labels):
    p = tg.softmax(z)
    expected = np.zeros((4, 3, 4, 3))
    for n in range(4):
        expected[n, :, n] = (np.diag(p[n]) - np.outer(p[n], p[n])) / 4
    close(tg.hessian(lambda logits: cross_entropy(logits, np.array(labels)), z), expected)


def dot(J, v):
    """Return J v: the sum over the last axes of J."""
    return np.tensordot(J.data, v, v.ndim)


def test_vjp_jvp_and_hvp_are_products_with_the_jacobian_and_the_hessian():
    values = two_to_three(X, Y)
    J = tg.jacobian(two_to_three, (X, Y))
    shapes = [[block.shape for block in row] for row in J]
    assert shapes == [[(2, 3, 2, 3), (2, 3, 3)], [(2, 2, 3), (2, 3)], [(2, 3), (3,)]]
    close(tg.jvp(two_to_three, (X, Y), (V, W)), (values, tuple(dot(a, V) + dot(b, W) for a, b in J)))
    u = V, np.array([3.0, -2.0]), np.array(5.0)
    transposed = (sum(np.tensordot(g, row[i].data, g.ndim) for row, g in zip(J, u, strict=True)) for i in (0, 1))
    close(tg.vjp(two_to_three, (X, Y), u), (values, tuple(transposed)))
    (xx, xy), (yx, yy) = H = tg.hessian(scalar, (X, Y))
    close(H, tg.jacobian(lambda x, y: tg.vjp(scalar, (x, y))[1], (X, Y)))
    close(xy, yx.data.transpose(1, 2, 0))
    product = dot(xx, V) + dot(xy, W), dot(yx, V) + dot(yy, W)
    close(tg.hvp(scalar, (X, Y), (V, W)), (scalar(X, Y), product))


@given(any_shape, st.integers(0, 10**6))
def test_elementwise_functions_of_every_shape(shape, seed):
    x, v = np.random.default_rng(seed).normal(size=(2, *shape))
    diagonal = np.eye(x.size).reshape(shape + shape)
    close(tg.jacobian(tg.sin, x), diagonal * np.cos(x))
    close(tg.vjp(tg.sin, x, v), (np.sin(x), np.cos(x) * v))
    close(tg.jvp(tg.sin, x, v), (np.sin(x), np.cos(x) * v))
    close(tg.hessian(lambda x: tg.sin(x).sum(), x), diagonal * -np.sin(x))
    close(tg.hvp(lambda x: tg.sin(x).sum(), x, v), (np.sin(x).sum(), -np.sin(x) * v))
    if shape:
        columns = np.eye(np.prod(shape[1:], dtype=int)).reshape(shape[1:] * 2)
        close(tg.jacobian(tg.sin, x, batched=True), columns * np.cos(x).reshape(shape + (1,) * (len(shape) - 1)))


def test_tuples_give_tuples_and_one_gives_one():
    one, both = (lambda x: x * x), (lambda x, y: (x * y, x + y))
    close(tg.jacobian(one, (Y,)), (np.diag(2 * Y),))
    close(tg.jacobian(lambda x: (x * x,), Y), (np.diag(2 * Y),))
    close(tg.jacobian(both, (Y, W)), ((np.diag(W), np.diag(Y)), (np.eye(3), np.eye(3))))
    close(tg.hessian(lambda x: (x * x).sum(), (Y,)), ((2 * np.eye(3),),))
    close(tg.vjp(lambda x: (x * x,), (Y,), (W,)), ((Y * Y,), (2 * Y * W,)))
    close(tg.jvp(lambda x: (x * x,), Y, W), ((Y * Y,), (2 * Y * W,)))
    close(tg.jvp(lambda x: (x, x, 2 * x), Y, W), ((Y, Y, 2 * Y), (W, W, 2 * W)))  # the same Tensor twice
    close(tg.vjp(lambda x: (x, x), Y, (W, Y)), ((Y, Y), W + Y))
    close(tg.jvp(lambda x, y: x + y, (Y, W), (Y, W)), (Y + W, Y + W))  # add hands the same u to both


def test_numbers_lists_and_every_floating_dtype():
    assert tg.jacobian(lambda x: x**2, 3.0).item() == tg.vjp(lambda x: x**2, 3.0)[1].item() == 6
    assert tg.jvp(lambda x: x**2, 3.0)[1].item() == tg.hvp(lambda x: x**3, 1.0)[1].item() == 6
    assert tg.hessian(lambda x, y: x * y, (3.0, 2.0))[0][1].item() == 1
    assert tg.jacobian(lambda x: x * x, [1.0, 2.0]).tolist() == [[2, 0], [0, 4]]
    for dtype in (np.float16, np.float32, np.float64):
        x, v = X.astype(dtype), V  # v becomes what the derivative is
        results = [
            tg.jacobian(tg.tanh, x),
            tg.jacobian(tg.tanh, x, batched=True),
            tg.hessian(lambda x: tg.tanh(x).sum(), x),
            *tg.vjp(tg.tanh, x, v),
            *tg.jvp(tg.tanh, x, v),
            *tg.hvp(lambda x: tg.tanh(x).sum(), x, v),
            tg.jacobian(lambda x: x[:0], x),
            tg.jacobian(lambda x: 1.0, x),
        ]
        assert {result.dtype for result in results} == {np.dtype(dtype)}
    mixed = tg.jvp(lambda x: x.astype(np.float64), X.astype(np.float32), V)
    assert [result.dtype for result in mixed] == [np.float64] * 2


def test_what_does_not_depend_on_an_input_has_derivative_0():
    w = leaf(Y)
    constants = (lambda x: Y, lambda x: Tensor(Y), lambda x: w * 2, lambda x: tg.sign(x), lambda x: x.detach())
    for constant in constants:
        value = constant(Tensor(W))
        value = value.data if isinstance(value, Tensor) else value
        close(tg.jacobian(constant, W), np.zeros((3, 3)))
        close(tg.vjp(constant, W, W), (value, np.zeros(3)))
        close(tg.jvp(constant, W, W), (value, np.zeros(3)))
        close(tg.hessian(lambda x, constant=constant: tg.sum(constant(x)), W), np.zeros((3, 3)))
    two = tg.jacobian(lambda x, y: (x * 2, y.sum()), (Y, X))
    close(two, ((2 * np.eye(3), np.zeros((3, 2, 3))), (np.zeros(3), np.ones((2, 3)))))
    batched = tg.jacobian(lambda x, y: y * 2, (X, np.ones((2, 1))), batched=True)
    close(batched, (np.zeros((2, 1, 3)), np.full((2, 1, 1), 2)))
    close(tg.hessian(lambda x: (A @ x).sum(), Y), np.zeros((3, 3)))
    close(tg.hvp(lambda x, y: (x * x).sum(), (Y, X), (W, V)), ((Y * Y).sum(), (2 * W, np.zeros((2, 3)))))
    labels = tg.jvp(lambda x: x.data.argmax(), Y, W)
    assert [result.tolist() for result in labels] == [int(Y.argmax()), 0]


def test_the_gradient_of_the_norm_of_a_hessian():
    def squared_norm(x):
        return tg.sum(tg.hessian(lambda x: (x**4).sum(), x) ** 2)  # Σ (12 x²)²

    x = leaf(Y)
    (g,) = tg.grad(squared_norm(x), x)
    close(g, 4 * 144 * Y**3)
    tg.gradcheck(squared_norm, [Y])
    tg.gradcheck(lambda x, y: sum(tg.sum(h**2) for row in tg.hessian(scalar, (x, y)) for h in row), [X, Y], order=1)
    squared_norm(x).backward()
    np.testing.assert_allclose(x.grad, 4 * 144 * Y**3)


def test_every_transform_can_be_differentiated():
    by_element = np.einsum("ij,jk->ijk", np.eye(3), np.eye(3))
    close(tg.jacobian(lambda x: tg.jacobian(lambda x: x**3, x), Y), by_element * 6 * Y)
    third = tg.jacobian(lambda x: tg.hessian(lambda x: tg.exp(x).prod(), x), Y)
    close(third, np.full((3, 3, 3), np.exp(Y.sum())))
    tg.gradcheck(lambda x, v: tg.vjp(tg.tanh, x, v)[1], [Y, W])
    tg.gradcheck(lambda x, v: tg.jvp(lambda x: tg.tanh(B @ x), x, v)[1], [Y, W])
    tg.gradcheck(lambda x, v: tg.hvp(lambda x: tg.tanh(B @ x).sum(), x, v)[1], [Y, W])
    tg.gradcheck(lambda x: tg.jacobian(lambda x: tg.softmax(x) * x, x, batched=True), [X])
    tg.gradcheck(lambda x: tg.jvp(tg.tanh, x, np.ones(3))[0] * tg.vjp(tg.tanh, x, np.ones(3))[0], [Y])  # the values too


def test_products_inside_one_another():
    def f(x):
        return tg.tanh(A @ x)

    def gradient(x):
        return tg.vjp(lambda x: f(x).sum(), x)[1]

    J, u = tg.jacobian(f, Y).data, np.ones(4)
    close(tg.jacobian(lambda u: tg.vjp(f, Y, u)[1], u), J.T)
    close(tg.jacobian(lambda v: tg.jvp(f, Y, v)[1], W), J)
    close(tg.jvp(lambda u: tg.vjp(f, Y, u)[1], u, A @ W)[1], J.T @ (A @ W))
    product = tg.hvp(lambda x: f(x).sum(), Y, W)[1]
    close(tg.jvp(gradient, Y, W)[1], product)
    close(tg.vjp(lambda x: tg.jvp(f, x, W)[1], Y, u)[1], product)


def test_what_f_uses_beside_its_input_is_seen_by_transforms_outside():
    """∂²(w x²)/∂w∂x = 2x, though the inner transform is asked at a plain array and w is not among its inputs."""
    mixed = tg.jacobian(lambda w: tg.jacobian(lambda x: w * x**2, Y), W)
    close(mixed, np.einsum("ij,jk->ijk", np.eye(3), np.eye(3)) * 2 * Y)
    model = nn.Linear(3, 2)
    tg.sum(tg.jacobian(model, Y.astype(np.float32)) ** 2).backward()
    np.testing.assert_allclose(model.weight.grad, 2 * model.weight.data, rtol=1e-6)


def test_the_tensor_that_f_uses_beside_its_input_is_a_constant_there():
    x = leaf(Y)
    close(tg.jacobian(lambda y: x * y, x), np.diag(Y))
    close(tg.hessian(lambda y: (x * y * y).sum(), x), np.diag(2 * Y))
    (g,) = tg.grad(tg.jacobian(lambda y: x * y * y, x).sum(), x)  # Σ 2 x y at y = x, both now variables
    close(g, 4 * Y)


TRANSFORMS = {
    "vjp": lambda x, **options: tg.vjp(tg.tanh, x, W, **options),
    "jvp": lambda x, **options: tg.jvp(tg.tanh, x, W, **options),
    "hvp": lambda x, **options: tg.hvp(lambda x: tg.tanh(x).sum(), x, W, **options),
    "jacobian": lambda x, **options: (tg.jacobian(tg.tanh, x, **options),),
    "batched": lambda x, **options: (tg.jacobian(tg.tanh, x, batched=True, **options),),
    "hessian": lambda x, **options: (tg.hessian(lambda x: tg.tanh(x).sum(), x, **options),),
}


@pytest.mark.parametrize("transform", TRANSFORMS.values(), ids=TRANSFORMS)
def test_history_is_kept_if_an_input_requires_a_gradient_and_the_mode_records(transform):
    def kept(x, **options):
        return {result.requires_grad for result in transform(x, **options)}

    x = leaf(Y)
    expected = transform(Y)
    assert kept(Y) == kept(Tensor(Y)) == kept(x, create_graph=False) == {False}
    assert kept(x) == kept(x, create_graph=True) == kept(x * 2) == {True}
    with tg.no_grad():
        assert kept(x) == {False}
        assert kept(x, create_graph=True) == {True}
        close(tuple(transform(x)), tuple(expected))
        (g,) = tg.grad(tg.enable_grad()(tg.sum)(transform(x, create_graph=True)[-1]), x)
    assert np.all(g.data != 0)
    for options in ({}, {"create_graph": True}, {"create_graph": False}):
        close(tuple(transform(x, **options)), tuple(expected))


def test_a_v_that_requires_a_gradient_keeps_the_history_too():
    v = leaf(W)
    for transform, f in ((tg.vjp, tg.tanh), (tg.jvp, tg.tanh), (tg.hvp, lambda x: tg.tanh(x).sum())):
        with tg.no_grad():
            assert not transform(f, Y, v)[1].requires_grad
            in_no_grad = transform(f, Y, v, create_graph=True)[1]
        for result in (in_no_grad, transform(f, Y, v)[1]):
            close(tg.grad(result, v, np.ones(3)), (transform(f, Y, np.ones(3))[1],))  # these Jacobians are symmetric
        assert not transform(f, Y, v, create_graph=False)[1].requires_grad


@pytest.mark.parametrize("create_graph", [None, True, False])
def test_no_grad_is_left_behind_and_no_hook_of_the_inputs_is_called(create_graph):
    layer = nn.Linear(3, 3)

    def model(x):
        return tg.tanh(layer(x))

    x = Tensor(X, requires_grad=True, dtype=np.float32)
    h = x * 2
    h.retain_grad()
    for value in (x, h):
        value.register_hook(lambda g: pytest.fail("a walk came to a Tensor of the caller's"))
    v = Tensor(V, requires_grad=True, dtype=np.float32)
    for batched in (False, True):
        tg.jacobian(model, h, create_graph, batched)
    tg.vjp(model, h, v, create_graph)
    tg.jvp(model, h, v, create_graph)
    tg.hvp(lambda x: model(x).sum(), h, v, create_graph)
    tg.hessian(lambda x: tg.sum(model(x) ** 2), h, create_graph)
    assert [value.grad for value in (x, h, v, *layer.parameters())] == [None] * 5
    assert (x.requires_grad, x.node, h.requires_grad) == (True, None, True)
    h.hooks = x.hooks = ()
    h.sum().backward()  # the graph of the caller's own was not freed
    np.testing.assert_array_equal(x.grad, np.full((2, 3), 2))
    tg.jacobian(model, h, create_graph=False)  # now it was


def test_results_share_memory_with_nothing_of_the_callers():
    v = np.ones(3)
    for x in (Y, leaf(Y)):
        for result in (tg.vjp(lambda x: x, x, v)[1], tg.jvp(lambda x: x + 0.0, x, v)[1]):
            assert not np.shares_memory(result.data, v)
    assert tg.vjp(tg.sum, Y)[1].data.flags.writeable  # sum's rule gives a broadcast view


def test_a_change_of_the_input_makes_the_history_stale():
    x = leaf(Y)
    H = tg.hessian(lambda x: (x**3).sum(), x)
    x.assign(W)
    with pytest.raises(tg.GradientError, match="was changed"):
        tg.grad(H.sum(), x)


def test_batched_is_the_diagonal_of_blocks_in_one_walk_for_each_column():
    def f(x):
        return tg.softmax(x @ A.T)

    x = np.concatenate([X, B])
    full, log = tg.jacobian(f, x).data, []
    with calls_of_rules(log):
        J = tg.jacobian(f, x, batched=True)
    close(J, np.stack([full[n, :, n] for n in range(5)]))
    assert [name for name, _ in log].count("softmax") == 4 + 1  # the columns, and the check
    log.clear()
    with calls_of_rules(log):
        tg.jacobian(f, x)
    assert [name for name, _ in log].count("softmax") == 5 * 4


def test_batched_takes_tuples_and_axes_of_any_number():
    def f(x, y):
        return tg.einsum("nij,nj->ni", x, y), (y * y).sum(axis=1), x * 2

    x, y = np.stack([X, V, X * V, X - V]), A
    full, batched = tg.jacobian(f, (x, y)), tg.jacobian(f, (x, y), batched=True)
    for full_row, row in zip(full, batched, strict=True):
        for whole, block, z in zip(full_row, row, (x, y), strict=True):
            n = whole.ndim - z.ndim
            close(block, np.stack([np.take(whole.data[i], i, axis=n - 1) for i in range(4)]))


@given(st.integers(0, 10**6), st.sampled_from([np.float16, np.float32, np.float64]), st.sampled_from([0.1, 30, 1e4]))
def test_rounding_is_not_taken_for_a_mixing_of_rows(seed, dtype, scale):
    z = (scale * np.random.default_rng(seed).normal(size=(4, 5))).astype(dtype)
    for f in (tg.softmax, tg.log_softmax, lambda z: tg.logsumexp(z, axis=1), lambda z: tg.softmax(tg.softmax(z) * 3.0)):
        tg.jacobian(f, z, batched=True)  # where softmax is saturated, its J is nothing but rounding


def normalized(x):
    return (x - x.mean(axis=0)) / tg.sqrt(((x - x.mean(axis=0)) ** 2).mean(axis=0) + 1e-5)


MIXING = {
    "the mean of the batch": lambda x: x - x.mean(axis=0),
    "a share of the mean": lambda x: x - 0.01 * x.mean(axis=0),
    "batch normalisation": normalized,
    "the next row": lambda x: x * tg.roll(x, 1, 0),
    "rows that cancel for equal weights": lambda x: tg.tanh(x) + tg.concatenate([x[1:2], -x[1:2], 0 * x[2:]]),
    "nothing but what cancels": lambda x: tg.concatenate([x[1:2], -x[1:2], 0 * x[2:]]),
    "tiny values": lambda x: 1e-20 * (x - x.mean(axis=0)),
    "one column": lambda x: (x.sum() * x).sum(axis=1),
}


@pytest.mark.parametrize("f", MIXING.values(), ids=MIXING)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_batched_refuses_functions_that_mix_rows(f, dtype):
    x = np.random.default_rng(3).normal(size=(6, 3)).astype(dtype)
    with pytest.raises(ValueError, match="mixes the rows, as batch normalisation does: use batched=False"):
        tg.jacobian(f, x, batched=True)
    with pytest.raises(ValueError, match="mixes the rows"):
        tg.jacobian(lambda x, y: (x * y, f(y)), (x, x), batched=True)


TYPE_ERRORS = {
    "expected numbers, got str 'x': .* reads a number\nas input 1 of f": lambda: tg.jvp(scalar, (Y, "x")),
    "expected numbers, got NoneType None: is it the result of a function without return.*\nas output 0 of f": lambda: (
        tg.vjp(lambda x: None, Y)
    ),
    "only floats carry gradients, got int64: convert with .*\nas input 0 of f": lambda: tg.jacobian(tg.sin, [1, 2]),
}
VALUE_ERRORS = {
    r"vjp: expected v of shape \(3,\), as output 0 has, got NoneType None": lambda: tg.vjp(tg.sin, Y),
    r"jvp: expected v of shape \(3,\), as input 1 .*float64 \(2, 3\)": lambda: tg.jvp(scalar, (X, Y), (V, V)),
    r"hvp: expected v of shape \(3,\), as input 0 has, got float 1\.0": lambda: tg.hvp(tg.sum, Y, 1.0),
    r"hessian: expected f to return one element, got float64 \(3,\): reduce it, .*": lambda: tg.hessian(tg.sin, Y),
    r"hvp: .*, got float64 \(\) and float64 \(\): .*": lambda: tg.hvp(lambda x: (x, x), Y[0], W[0]),
    r"jacobian: .* of one N, got shapes \(2, 3\), \(3,\), \(2, 3\)": lambda: tg.jacobian(tg.add, (X, Y), batched=True),
    r"jacobian: batched=True .*, got shapes \(2, 3\), \(\)": lambda: tg.jacobian(tg.sum, X, batched=True),
    r"jacobian: batched=True .*, got shapes \(\), \(\)": lambda: tg.jacobian(tg.sin, 1.0, batched=True),
}


@pytest.mark.parametrize(
    ("kind", "pattern", "action"),
    [(TypeError, *row) for row in TYPE_ERRORS.items()] + [(ValueError, *row) for row in VALUE_ERRORS.items()],
)
def test_errors_say_what_was_expected_and_what_came(kind, pattern, action):
    with pytest.raises(kind) as raised:  # noqa: PT011  the whole message is matched below
        action()
    message = "\n".join([str(raised.value), *getattr(raised.value, "__notes__", ())])
    assert type(raised.value) is kind
    assert re.fullmatch(pattern, message), message


def test_a_function_of_nothing_has_its_value():
    value, pulled = tg.vjp(lambda: Tensor(3.0), ())
    assert (value.item(), pulled) == (3, ())
