"""NumPy's functions reach the operations with their gradients, answer questions with arrays, and refuse the rest."""

import inspect

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import leaf
from tinygrad_sm import Tensor, protocols

A = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 7.0]])


def arguments(function):
    """Return arguments, with the array A among them, that NumPy's function takes."""
    special = {
        getattr(np, "astype", None): (A, np.float64),  # NumPy has it since 2.1
        np.broadcast_to: (A, (2, 2, 3)),
        np.clip: (A, 1.5, 4.5),
        np.concatenate: ([A, A],),
        np.einsum: ("ij,kj->ik", A, A),
        np.expand_dims: (A, 1),
        np.matmul: (A, A.T),
        np.linalg.matmul: (A, A.T),
        np.moveaxis: (A, 0, 1),
        np.outer: (A, A),
        np.pad: (A, 1),
        np.reshape: (A, (3, 2)),
        np.roll: (A, 1),
        np.split: (A, 3, 1),
        np.stack: ([A, A],),
        np.swapaxes: (A, 0, 1),
        np.take: (A, np.array([0, 4])),
        np.take_along_axis: (A, np.array([[0], [1]]), 1),
        np.where: (A > 2, A, -A),
    }
    return special.get(function, (A,) * getattr(function, "nin", 1))


def with_leaf(argument, x):
    """Return the argument with the leaf x in the place of A."""
    if isinstance(argument, list):
        return [with_leaf(part, x) for part in argument]
    return x if argument is A else argument


@pytest.mark.parametrize("function", protocols.TWINS, ids=lambda f: f.__name__)
def test_numpys_function_gives_its_value_and_the_gradient_of_its_twin(function):
    given = arguments(function)

    def call(x):
        result = function(*(with_leaf(argument, x) for argument in given))
        return result[1] if isinstance(result, list) else result

    result = call(Tensor(A, requires_grad=True))
    assert isinstance(result, Tensor)
    assert result.requires_grad
    np.testing.assert_allclose(result.data, call(A), rtol=1e-14)
    tg.gradcheck(call, [A])


def test_every_operation_that_numpy_has_is_reached():
    def numpys(name):
        return getattr(np, name, None) or getattr(np.linalg, name, None)

    ours = {name for name in tg.__all__ if callable(numpys(name))}
    creation = {"arange", "eye", "from_dlpack", "full", "ones", "ones_like", "zeros", "zeros_like"}
    assert ours - creation == {name for name in ours if numpys(name) in protocols.TWINS}
    assert len(protocols.TWINS) > 50


def test_keywords_pass_and_arrays_may_stand_beside_tensors():
    x = leaf([[1.0, 2.0], [3.0, 5.0]])
    np.testing.assert_array_equal(np.sum(x, axis=0, keepdims=True).data, [[4, 7]])
    np.testing.assert_allclose(np.std(x, axis=1, ddof=1).data, np.std(x.data, axis=1, ddof=1))
    y = np.add(np.ones(2), x)
    assert isinstance(y, Tensor)
    np.sum(np.concatenate([np.zeros((1, 2)), y * y])).backward()
    np.testing.assert_array_equal(x.grad, 2 * (x.data + 1))
    (g,) = tg.grad(np.linalg.norm(x), x)
    np.testing.assert_allclose(g.data, x.data / np.linalg.norm(x.data))


ARRAY_FUNCTIONS = [function for function in protocols.TWINS if not isinstance(function, np.ufunc)]


def parameters_of(function):
    """Return the parameters of NumPy's function, none where it is written in C and does not tell."""
    try:
        return list(inspect.signature(function).parameters.values())
    except ValueError:
        return []


@pytest.mark.parametrize("function", ARRAY_FUNCTIONS, ids=lambda f: f.__name__)
def test_arguments_may_have_numpys_names(function):
    given, parameters = arguments(function), parameters_of(function)
    takes_names = [p for p in parameters if p.kind is p.POSITIONAL_OR_KEYWORD]
    unnamed = len(given) if parameters[:1] and parameters[0].kind is inspect.Parameter.VAR_POSITIONAL else 0
    unnamed = unnamed or len([p for p in parameters if p.kind is p.POSITIONAL_ONLY]) or len(given) * (not parameters)
    by_position, named = given[:unnamed], dict(zip([p.name for p in takes_names], given[unnamed:], strict=False))
    x = Tensor(A, requires_grad=True)
    options = {name: with_leaf(argument, x) for name, argument in named.items()}
    result = function(*(with_leaf(argument, x) for argument in by_position), **options)
    expected = function(*given)
    for part, right in zip(*((r if isinstance(r, list) else [r]) for r in (result, expected)), strict=True):
        assert isinstance(part, Tensor)
        np.testing.assert_allclose(part.data, right, rtol=1e-14)


@pytest.mark.parametrize("function", ARRAY_FUNCTIONS, ids=lambda f: f.__name__)
def test_arguments_that_twins_do_not_know_are_refused_by_position_and_by_name(function):
    """Not one may be ignored or be taken for another: the fourth of np.clip is `out`, the third of np.sum `dtype`."""
    given, twin = [with_leaf(argument, Tensor(A)) for argument in arguments(function)], protocols.TWINS[function]
    ours = set(inspect.signature(twin).parameters) | {"a_min", "a_max", "correction"}
    parameters = parameters_of(function)
    for i, parameter in enumerate(parameters[len(given) :], len(given)):
        name, by_position = parameter.name, parameter.kind is parameter.POSITIONAL_OR_KEYWORD
        if name in ours or not (by_position or parameter.kind is parameter.KEYWORD_ONLY):
            continue
        with pytest.raises(TypeError, match=f"'{name}'"):
            function(*given, **{name: np.zeros(3)})
        if by_position:
            between = [p.default for p in parameters[len(given) : i]]
            with pytest.raises(TypeError, match=f"'{name}'"):
                function(*given, *between, np.zeros(3))
        if function is not np.einsum:  # whose operands are all that there is of positions
            function(*given, **{name: parameter.default})  # NumPy's own default asks for nothing


def test_positions_are_numpys():
    x = leaf(A)
    np.testing.assert_allclose(np.std(x, 0, None, None, 1, True).data, np.std(A, 0, None, None, 1, True))
    np.testing.assert_allclose(np.var(x, correction=1).data, np.var(A, ddof=1))
    np.testing.assert_array_equal(np.sum(x, 0, None, None, True).data, np.sum(A, 0, None, None, True))
    np.testing.assert_array_equal(np.take(x, [0], 1, mode="raise").data, A[:, :1])
    np.testing.assert_array_equal(np.take_along_axis(x, np.array([[0], [1]])).data, [[1], [5]])
    with pytest.raises(TypeError, match="np.clip: expected one min, got two"):
        np.clip(x, 0, 1, min=1)


@pytest.mark.parametrize("at", [[3, 1], [-1, 2], [2, 2], [7, 2], [-2], [1, 4], [-9], [], 5, np.array([4, 0], np.uint8)])
def test_split_has_the_parts_of_numpys(at):
    x = np.arange(5.0)
    found = [part.tolist() for part in np.split(Tensor(x), at)]
    assert found == [part.tolist() for part in np.split(x, at)]
    if isinstance(at, np.ndarray):
        assert [part.tolist() for part in np.split(Tensor(x), Tensor(at))] == found


@pytest.mark.parametrize(
    "write",
    [
        lambda a, s: np.full_like(Tensor(a), s),
        lambda a, s: np.full_like(a=Tensor(a), fill_value=s),
        lambda a, s: np.full_like(a, s),
        lambda a, s: np.full(3, s),
        lambda a, s: tg.full((3,), s),
        lambda a, s: np.copyto(a, s),
        lambda a, s: np.put(a, [0], s),
        lambda a, s: np.place(a, [True, False, True], s),
        lambda a, s: np.putmask(a, [True, False, True], s),
        lambda a, s: np.fill_diagonal(np.outer(a, a), s),
        lambda a, s: np.nan_to_num(a, nan=s),
        lambda a, s: np.nan_to_num(s),
        lambda a, s: np.select([a > 1], [s]),
        lambda a, s: np.select([a > 1], [a], default=s),
        lambda a, s: np.piecewise(a, [a > 1], [s]),
        lambda a, s: np.insert(a, 0, s),
        lambda a, s: np.append(a, s),
        lambda a, s: np.linspace(0, s, 3),
        lambda a, s: np.pad(a, 1, constant_values=s),
        lambda a, s: tg.pad(a, 1, constant_values=s),
        lambda a, s: np.array([s, s]),
        lambda a, s: a.__setitem__(slice(None), s),
    ],
)
def test_a_value_that_requires_a_gradient_never_loses_it(write):
    a = np.zeros(3)
    with pytest.raises(TypeError, match="no gradient passes|no twin here|does not become an array in silence"):
        write(a, leaf(2.0))
    assert not a.any()


def test_a_value_that_requires_no_gradient_may_fill_an_array():
    constant = leaf(2.0).detach()
    assert np.full_like(Tensor(A), constant).tolist() == np.full_like(Tensor(A), 2.0).tolist() == [[2.0] * 3] * 2
    assert tg.full((2,), constant).tolist() == tg.full((2,), 2).tolist() == [2, 2]
    assert tg.full((), 0.1, dtype=np.float64).item() == 0.1
    x = leaf(2.0)
    tg.broadcast_to(x, A.shape).sum().backward()  # what the refusal says to write
    assert x.grad == 6


def test_questions_give_plain_arrays():
    x = leaf([3.0, 1.0, 2.0])
    assert type(np.greater(x, 2)) is np.ndarray
    np.testing.assert_array_equal(np.ones(3) * 2 < x, [True, False, False])
    np.testing.assert_array_equal(np.argsort(x), [1, 2, 0])
    assert np.shape(x) == (3,)
    assert np.allclose(x, x.data)
    assert np.array_equal(x, x.data)
    assert np.isfinite(x).all()
    assert type(np.zeros_like(x)) is np.ndarray


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: np.dot(x, x), r"np.dot has no twin here through which gradients pass: use a @ b, or tg.einsum, or"),
        (np.median, r"np.median has no twin .* use the operations of tinygrad_sm, or give it t.numpy\(\)"),
        (np.floor, "np.floor has no twin"),
        (np.linalg.det, "np.linalg.det has no twin"),
        (np.frompyfunc(lambda a: a, 1, 1), r"<lambda> \(vectorized\) has no twin .* use the operations of tinygrad_sm"),
        (np.add.reduce, "np.add.reduce is not for Tensors: use tg.sum"),
        (lambda x: np.add(x, x, out=np.zeros(3)), "np.add on Tensors takes no out: they are not written into arrays"),
        (lambda x: np.exp(x, dtype="f4"), "np.exp on Tensors takes no dtype"),
        (lambda x: np.sum(x, dtype="f4"), "unexpected keyword argument 'dtype'"),
    ],
)
@pytest.mark.parametrize("requires_grad", [True, False])
def test_what_has_no_twin_is_refused_and_names_what_to_use(call, message, requires_grad):
    with pytest.raises(TypeError, match=message):
        call(Tensor([1.0, 2.0, 3.0], requires_grad=requires_grad))


def test_an_array_is_not_changed_by_a_tensor_in_place():
    a, x = np.ones(3), leaf()
    with pytest.raises(TypeError, match="write a = a \\+ t for a \\+= t"):
        a += x
    assert a.tolist() == [1, 1, 1]
