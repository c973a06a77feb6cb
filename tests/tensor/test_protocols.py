"""NumPy's functions reach the operations with their gradients, answer questions with arrays, and refuse the rest."""

import inspect

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import leaf
from tinygrad_sm import Tensor, protocols

A = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 7.0]])

SMALL, BETWEEN = A / 10, A + 0.3
"""Where arcsin is defined, and where what has jumps at whole numbers has none."""

FOREIGN = np.frompyfunc(lambda a, b: a, 2, 1)
"""A ufunc that is not NumPy's, as those of scipy.special."""

OPTIONS = {
    "axis": [None, 0, 1, -1, (0, 1)],
    "axes": [(1, 0), (1, 1), 0],
    "keepdims": [True, False],
    "ddof": [0, 1],
    "correction": [1],
    "shift": [2, -1],
    "shape": [(6,), (3, 2), (1, 2, 3)],
    "a_max": [3.0, None],
    "indices": [[], (), range(0), [1], 0],
    "pad_width": [2, ((0, 1), (2, 0))],
    "constant_values": [0.0, 2.0],
    "indices_or_sections": [1, [1]],
    "optimize": [True, "greedy"],
    "repeats": [3, [1, 2], [2]],
    "reps": [2, (2, 1), (2, 1, 1)],
    "k": [1, -1],
    "offset": [1, -1],
    "axis1": [1, -1],
    "axis2": [0, -1],
    "decimals": [1],
    "mode": ["edge", "reflect", "symmetric"],
}
"""By NumPy's names of options, values for them."""


def arguments(function):
    """Return arguments, with the array A among them, that NumPy's function takes."""
    special = {
        getattr(np, "astype", None): (A, np.float64),  # NumPy has it since 2.1
        np.broadcast_to: (A, (2, 2, 3)),
        **dict.fromkeys((np.ceil, np.floor, np.round, np.around), (BETWEEN,)),
        np.arccos: (SMALL,),
        np.arcsin: (SMALL,),
        np.clip: (A, 1.5, 4.5),
        np.concatenate: ([A, A],),
        np.einsum: ("ij,kj->ik", A, A),
        np.expand_dims: (A, 1),
        np.dot: (A, A.T),
        np.floor_divide: (A, 1.7),
        np.hstack: ([A, A],),
        np.inner: (A, A),
        np.matmul: (A, A.T),
        np.linalg.matmul: (A, A.T),
        np.moveaxis: (A, 0, 1),
        np.outer: (A, A),
        np.pad: (A, 1),
        np.remainder: (A, 1.7),
        np.repeat: (A, 2),
        np.reshape: (A, (3, 2)),
        np.roll: (A, 1),
        np.split: (A, 3, 1),
        np.stack: ([A, A],),
        np.swapaxes: (A, 0, 1),
        np.take: (A, np.array([0, 4])),
        np.take_along_axis: (A, np.array([[0], [1]]), 1),
        np.tensordot: (A, A),
        np.tile: (A, 2),
        np.vstack: ([A, A],),
        np.where: (A > 2, A, -A),
    }
    return special.get(function, (A,) * getattr(function, "nin", 1))


def array_of(given):
    """Return the array among the arguments: A, or another one where A is no point for the function."""
    return next((x for x in (SMALL, BETWEEN) if given[0] is x), A)


def with_leaf(argument, x):
    """Return the argument with the leaf x in the place of the array."""
    if isinstance(argument, list):
        return [with_leaf(part, x) for part in argument]
    return x if any(argument is array for array in (A, SMALL, BETWEEN)) else argument


OF_SQUARE_MATRICES = [np.linalg.cholesky, np.linalg.det, np.linalg.inv, np.linalg.slogdet, np.linalg.solve]
"""Functions that do not take A: tests/ops/test_linalg.py reaches them."""
OF_ANY_SHAPE = [function for function in protocols.TWINS if function not in OF_SQUARE_MATRICES]


@pytest.mark.parametrize("function", OF_ANY_SHAPE, ids=lambda f: f.__name__)
def test_numpys_function_gives_its_value_and_the_gradient_of_its_twin(function):
    given = arguments(function)

    def call(x):
        result = function(*(with_leaf(argument, x) for argument in given))
        return result[1] if isinstance(result, list) else result

    at = array_of(given)
    result = call(Tensor(at, requires_grad=True))
    assert isinstance(result, Tensor)
    assert result.requires_grad
    np.testing.assert_allclose(result.data, call(at), rtol=1e-14)
    tg.gradcheck(call, [at])


def test_every_operation_that_numpy_has_is_reached():
    def numpys(name):
        return getattr(np, name, None) or getattr(np.linalg, name, None)

    ours = {name for name in tg.__all__ if callable(numpys(name))}
    arrays = {"arange", "argmax", "argmin", "eye", "from_dlpack", "full", "ones", "ones_like", "zeros", "zeros_like"}
    assert ours - arrays == {name for name in ours if numpys(name) in protocols.TWINS}
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


ARRAY_FUNCTIONS = [function for function in OF_ANY_SHAPE if not isinstance(function, np.ufunc)]


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
    x = Tensor(array_of(given), requires_grad=True)
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
        (
            lambda x: np.hypot(x, x),
            r"np.hypot has no twin here through which gradients pass: use tg.sqrt\(a \* a \+ b \* b",
        ),
        (np.median, r"np.median has no twin .* use the operations of tinygrad_sm, or give it t.numpy\(\)"),
        (np.trunc, r"np.trunc has no twin .* use tg.sign\(t\) \* tg.floor\(tg.abs\(t\)\)"),
        (np.fft.fft, r"np.fft.fft has no twin .* use another framework, as complex numbers carry no gradients here"),
        (np.angle, r"np.angle has no twin .* complex numbers"),
        (np.linalg.svd, r"np.linalg.svd has no twin .* use tg.linalg.solve or cholesky, or give it t.numpy\(\)"),
        (np.frompyfunc(lambda a: a, 1, 1), r"<lambda> \(vectorized\) has no twin .* use the operations of tinygrad_sm"),
        (lambda x: np.dstack([x, x]), r"np.dstack has no twin .* use tg.stack\(..., axis=2\)"),
    ],
)
def test_what_has_no_twin_is_refused_and_names_what_to_use(call, message):
    with pytest.raises(TypeError, match=message):
        call(Tensor([1.0, 2.0, 3.0], requires_grad=True))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda x: FOREIGN(x, x),
            r"<lambda> \(vectorized\) has no twin .* use the operations of tinygrad_sm, or give it t.numpy\(\)",
        ),
        (lambda x: FOREIGN(1.0, x), r"<lambda> \(vectorized\) has no twin"),
        (lambda x: FOREIGN(x, 1.0, dtype=object), r"^<lambda> \(vectorized\) on Tensors takes no dtype"),
        (FOREIGN.reduce, r"^<lambda> \(vectorized\).reduce is not for Tensors: use tg.sum.* t.numpy\(\) if no"),
        (np.add.reduce, "np.add.reduce is not for Tensors: use tg.sum"),
        (lambda x: np.add(x, x, out=np.zeros(3)), "np.add on Tensors takes no out: they are not written into arrays"),
        (lambda x: np.exp(x, dtype="f4"), "np.exp on Tensors takes no dtype"),
        (lambda x: np.sum(x, out=np.zeros(3)), "unexpected keyword argument 'out'"),
        (lambda x: np.var(x, dtype="f4"), "unexpected keyword argument 'dtype'"),
    ],
)
@pytest.mark.parametrize("requires_grad", [True, False])
def test_what_is_refused_without_gradients_too(call, message, requires_grad):
    with pytest.raises(TypeError, match=message):
        call(Tensor([1.0, 2.0, 3.0], requires_grad=requires_grad))


def test_ufuncs_of_scipy_are_refused():
    special = pytest.importorskip("scipy.special")
    for requires_grad in (True, False):
        with pytest.raises(TypeError, match=r"expit has no twin .* or give it t.numpy\(\)"):
            special.expit(Tensor([1.0], requires_grad=requires_grad))


WITHOUT_A_TWIN = {
    "median": np.median,
    "median by name": lambda x: np.median(a=x, axis=0),
    "histogram": lambda x: np.histogram(x, bins=3),
    "unique": lambda x: np.unique(x, return_counts=True),
    "percentile": lambda x: np.percentile(x, [10, 90], axis=1),
    "vdot": lambda x: np.vdot(x, A),
    "kron": lambda x: np.kron(A, x),
    "dstack": lambda x: np.dstack([x, A]),
    "block": lambda x: np.block([[x, x], [x, A]]),
    "sort": np.sort,
    "diff": np.diff,
    "trunc": np.trunc,
    "partition": lambda x: np.partition(x, 1),
    "eigvals": lambda x: np.linalg.eigvals(x[:, :2]),
    "svd": np.linalg.svd,
    "select": lambda x: np.select([A > 2], [x], default=x[0, 0]),
    "isin": lambda x: np.isin(A, x[0]),
    "array2string": np.array2string,
    "nan_to_num": np.nan_to_num,
    "interp": lambda x: np.interp([1.5], x[0], x[1]),
    "average": lambda x: np.average(A, weights=x),
    "digitize": lambda x: np.digitize(A, bins=x[0]),
}


@pytest.mark.parametrize("name", WITHOUT_A_TWIN)
def test_what_has_no_twin_works_on_constants_as_on_arrays(name):
    call, x = WITHOUT_A_TWIN[name], Tensor(A)
    found, expected = call(x), call(A)
    assert type(found) is type(expected)
    for part, right in zip(*((r if isinstance(r, tuple) else (r,)) for r in (found, expected)), strict=True):
        assert type(part) is type(right)
        np.testing.assert_array_equal(part, right)
    np.testing.assert_array_equal(x.data, A)
    with pytest.raises(TypeError, match="no twin here|does not become an array in silence"):
        call(Tensor(A, requires_grad=True))


def test_constants_are_saved_as_arrays(tmp_path):
    np.save(tmp_path / "x.npy", Tensor(A))
    np.savez(tmp_path / "x.npz", x=Tensor(A))
    np.savetxt(tmp_path / "x.txt", Tensor(A))
    for x in (np.load(tmp_path / "x.npy"), np.load(tmp_path / "x.npz")["x"], np.loadtxt(tmp_path / "x.txt")):
        np.testing.assert_array_equal(x, A)
    with pytest.raises(TypeError, match=r"np.save has no twin .* give it t.numpy\(\)"):
        np.save(tmp_path / "y.npy", leaf(A))
    assert not (tmp_path / "y.npy").exists()


@pytest.mark.parametrize(
    ("write", "error"),
    [
        (lambda t: np.copyto(t, 0), TypeError),
        (lambda t: np.copyto(dst=t, src=0), TypeError),
        (lambda t: np.fill_diagonal(t, 0), TypeError),
        (lambda t: np.put(t, [0], 9), TypeError),
        (lambda t: np.put(ind=[0], v=9, a=t), TypeError),
        (lambda t: np.place(t, A > 2, [0]), TypeError),
        (lambda t: np.putmask(t, A > 2, 0), TypeError),
        (lambda t: np.put_along_axis(t, np.array([[0], [1]]), 9, 1), TypeError),
        (lambda t: np.median(A, axis=0, out=t[0]), TypeError),
        (lambda t: np.median(t, overwrite_input=True), ValueError),
        (lambda t: np.nan_to_num(t / 0, copy=False), ValueError),
        (lambda t: np.diagflat(t, 0).fill(0) or np.array_split(t, 2)[0].fill(0), ValueError),
        (lambda t: np.add.at(t, ([0],), 1), TypeError),
    ],
)
def test_no_function_changes_a_tensor_in_place(write, error):
    x = Tensor(A.copy())
    with np.errstate(all="ignore"), pytest.raises(error, match="in place|read-only|is not for Tensors"):
        write(x)
    np.testing.assert_array_equal(x.data, A)


@pytest.mark.parametrize("function", [*ARRAY_FUNCTIONS], ids=lambda f: f.__name__)
def test_all_arguments_may_have_numpys_names_at_once(function):
    """Of every twin each option, by every one of NumPy's names, has NumPy's meaning or is refused by its name."""
    given, parameters = arguments(function), parameters_of(function)
    named = {p.name: x for p, x in zip(parameters, given, strict=False) if p.kind is p.POSITIONAL_OR_KEYWORD}
    unnamed = given[: len(given) - len(named)]
    x, tried = Tensor(array_of(given)), 0
    for name in [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]:
        for value in OPTIONS.get(name, ()):
            try:
                expected = function(*unnamed, **{**named, name: value})
            except (AttributeError, IndexError, TypeError, ValueError):  # NumPy does not take it
                continue
            ours = {key: with_leaf(part, x) for key, part in {**named, name: value}.items()}
            result = function(*(with_leaf(part, x) for part in unnamed), **ours)
            tried += 1
            for part, right in zip(*((r if isinstance(r, list) else [r]) for r in (result, expected)), strict=True):
                np.testing.assert_allclose(part.data, right, rtol=1e-14)
    assert tried or not OPTIONS.keys() & {p.name for p in parameters}


@pytest.mark.parametrize("names", [("a_min", "a_max"), ("min", "max")])
def test_bounds_of_clip_have_both_of_their_names(names):
    for bounds in ((2, 4), (None, 4), (2, None)):
        options = dict(zip(names, bounds, strict=True))
        np.testing.assert_array_equal(np.clip(a=Tensor(A), **options).data, np.clip(A, *bounds))


EINSUMS = [
    (A, [0, 1], A, [2, 1], [0, 2]),
    (A, [0, 1], A, [2, 1]),
    (A, [3, 1], [1, 3]),
    (A, [30, 2]),
    (A, [0, 1], []),
    (A, [..., 0], [0, ...]),
    (A.T @ A, (1, 1)),
    (A, [0, 1], A[0], [1], A[:, 0], [0], [1]),
    ("ij,kj->ik", A, A),
]


@pytest.mark.parametrize("given", EINSUMS, ids=range(len(EINSUMS)))
@pytest.mark.parametrize("options", [{}, {"optimize": True}, {"optimize": False}, {"optimize": "greedy"}], ids=str)
def test_einsum_takes_numbered_axes_and_optimize(given, options):
    expected = np.einsum(*given, **options)
    for einsum in (np.einsum, tg.einsum):
        found = einsum(*(leaf(x) if isinstance(x, np.ndarray) else x for x in given), **options)
        np.testing.assert_allclose(found.data, expected, rtol=1e-12)
        assert found.requires_grad
    assert np.einsum("ij->i", leaf(A), out=None, dtype=None, order="K", casting="safe").shape == (2,)


@pytest.mark.parametrize("given", [(A, "u"), (A, [0, 99]), (A, [-1, 0]), (A, A), (A,)], ids=range(5))
def test_einsum_says_what_it_takes(given):
    with pytest.raises((TypeError, ValueError), match="einsum"):
        tg.einsum(*(leaf(x) if isinstance(x, np.ndarray) else x for x in given))


@pytest.mark.parametrize("indices", [[], (), [[]], [[], []], np.zeros((0, 2), int), Tensor(np.zeros(0, int))], ids=repr)
@pytest.mark.parametrize("axis", [None, 0, -1])
def test_take_of_no_indices(indices, axis):
    given = indices.data if isinstance(indices, Tensor) else indices
    for take in (np.take, tg.take):
        found = take(leaf(A), indices, axis=axis)
        assert found.requires_grad
        assert found.shape == np.take(A, given, axis=axis).shape


F4 = np.ones(2, np.float32)
NUMBERS = {
    "reshape": (lambda n, t: tg.reshape(n, (1, 1)), lambda n, a: np.reshape(n, (1, 1))),
    "take": (lambda n, t: tg.take(n, [0, 0]), lambda n, a: np.take(n, [0, 0])),
    "take of": (lambda n, t: tg.take(t, int(n) - 1), lambda n, a: np.take(a, int(n) - 1)),
    "outer": (lambda n, t: tg.outer(n, n), lambda n, a: np.outer(n, n)),
    "outer left": (lambda n, t: tg.outer(n, t), lambda n, a: n * a[None]),
    "outer right": (lambda n, t: tg.outer(t, n), lambda n, a: a[:, None] * n),
    "np.outer": (lambda n, t: np.outer(t, n), lambda n, a: a[:, None] * n),
    "concatenate": (
        lambda n, t: tg.concatenate([n, t, n], axis=None),
        lambda n, a: np.concatenate([n, a, n], axis=None),
    ),
    "np.concatenate": (
        lambda n, t: np.concatenate([t, n], axis=None),
        lambda n, a: np.concatenate([a, n], axis=None),
    ),
    "numbers alone": (
        lambda n, t: tg.concatenate([n, n], axis=None),
        lambda n, a: np.concatenate([n, n], axis=None),
    ),
}


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("number", [1, 2.0, True], ids=repr)
@pytest.mark.parametrize("dtype", [np.float32, np.float16, np.float64, np.int8])
def test_pythons_numbers_are_operands_and_promote_nothing(name, number, dtype):
    ours, numpys = NUMBERS[name]
    a = np.ones(2, dtype)
    found, expected = ours(number, Tensor(a)), numpys(number, a)
    alone = name in ("reshape", "take", "outer", "numbers alone")
    assert found.dtype == expected.dtype  # a number alone is NumPy's matter, as in tg.exp(2.0)
    np.testing.assert_array_equal(getattr(found, "data", found) if not alone else found, expected)


def test_an_array_is_not_changed_by_a_tensor_in_place():
    a, x = np.ones(3), leaf()
    with pytest.raises(TypeError, match="write a = a \\+ t for a \\+= t"):
        a += x
    assert a.tolist() == [1, 1, 1]
