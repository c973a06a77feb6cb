"""The strict double of CuPy has CuPy's names alone, its refusals, and its values and dtypes."""

import copy
import inspect
import json
import pickle
import re

import numpy as np
import pytest

from tests.backend import strict_cupy
from tests.backend.freeze_cupy import TABLE as FROZEN
from tests.backend.freeze_cupy import freeze, written
from tests.backend.strict_cupy_table import TABLE, Signature

xp = strict_cupy.namespace()

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture
def x():
    return xp.asarray(np.arange(6.0).reshape(2, 3))


def same(array, expected):
    assert type(array) is xp.ndarray
    expected = np.asarray(expected)
    got = array.get()
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(got, expected)


# Names.


def test_the_table_is_that_of_the_installed_cupy():
    cupy = pytest.importorskip("cupy", reason=f"the table was frozen from CuPy {TABLE['version']}, which is not here")
    if cupy.__version__ != TABLE["version"]:
        pytest.skip(f"the table was frozen from CuPy {TABLE['version']}, this is {cupy.__version__}")
    if not cupy.is_available():
        memory = cupy.cuda.MemoryPointer(cupy.cuda.UnownedMemory(8, 1, None, 0), 0)
        cupy.cuda.set_allocator(lambda size: memory)
    live = freeze(cupy)
    assert live.keys() == TABLE.keys()
    for owner, names in live.items():
        assert names == TABLE[owner], owner


def test_the_table_is_sorted_and_written_as_the_script_writes_it():
    assert FROZEN.read_text() == written(json.loads(FROZEN.read_text()))


def public_parts():
    yield xp, "namespace"
    yield xp.linalg, "linalg"
    yield xp.random, "random"
    yield xp.cuda, "cuda"
    yield xp.cuda.runtime, "runtime"
    yield xp.ndarray, "ndarray"
    yield xp.random.Generator, "generator"
    yield xp.zeros(1).flags, "flags"


@pytest.mark.parametrize(("part", "owner"), list(public_parts()), ids=lambda p: p if isinstance(p, str) else "")
def test_there_is_no_name_that_cupy_does_not_have(part, owner):
    names = {name for name in vars(part) if not name.startswith("_")}
    allowed = TABLE[owner].keys() | ({"CUDARuntimeError"} if owner == "runtime" else set())
    assert not names - allowed


def test_special_methods_are_cupys():
    mine = {n for n in vars(xp.ndarray) if n.startswith("__")} - set(dir(object))
    not_python = {"__weakref__", "__getattr__", "__annotations__", "__slots__", "__module__", "__static_attributes__"}
    assert mine - not_python - {"__firstlineno__"} <= TABLE["ndarray"].keys()
    for name in ("__index__", "__contains__", "__imatmul__", "__array_interface__", "__array_namespace__"):
        assert not hasattr(xp.ndarray, name)


@pytest.mark.parametrize(
    "name", ["errstate", "seterr", "block", "insert", "vecdot", "geomspace", "longdouble", "object_"]
)
def test_names_that_cupy_lacks_are_attribute_errors(name):
    assert hasattr(np, name)
    with pytest.raises(AttributeError, match=f"module 'cupy' has no attribute '{name}'"):
        getattr(xp, name)
    assert not hasattr(xp, name)


def test_names_that_the_double_lacks_say_so(x):
    with pytest.raises(NotImplementedError, match=r"does not model cupy\.RawKernel"):
        _ = xp.RawKernel
    with pytest.raises(NotImplementedError, match=r"does not model ndarray\.byteswap"):
        _ = x.byteswap
    with pytest.raises(AttributeError, match="'ndarray' object has no attribute 'setflags'"):
        _ = x.setflags
    with pytest.raises(AttributeError):
        x.note = 1


def own_functions():
    """Return what the double writes out itself: functions, and methods of the array, whose parameters CuPy names."""
    for owner, part in (("namespace", vars(xp)), ("ndarray", vars(xp.ndarray)), ("random", vars(xp.random))):
        for name, f in part.items():
            text = TABLE[owner].get(name)
            if inspect.isfunction(f) and text is not None and not name.startswith("__"):
                names = [name for name in inspect.signature(f).parameters if name not in ("self", "kwargs")]
                if "*" not in text.replace("*, ", "") and names != ["args"] and f is not xp.ndarray.take:
                    yield pytest.param(names, text, id=f"{owner}.{name}")


@pytest.mark.parametrize(("names", "text"), list(own_functions()))
def test_functions_have_cupys_parameters(names, text):
    theirs = [part.split("=")[0] for part in text.split(", ") if part not in ("*", "/", "")]
    assert (names[1:] if names[:1] == ["x"] != theirs[:1] else names) == theirs


def test_a_signature_refuses_what_python_would():
    sign = Signature("f", "a, /, b=..., *, c=..., d")
    sign.check((1,), {"d": 1})
    for args, kwargs, message in [
        ((1, 2, 3), {"d": 1}, "takes 2 positional arguments but 3 were given"),
        ((1,), {"d": 1, "e": 2}, "unexpected keyword argument 'e'"),
        ((1, 2), {"d": 1, "b": 2}, "multiple values for argument 'b'"),
        ((1,), {}, "missing required argument: 'd'"),
    ]:
        with pytest.raises(TypeError, match=re.escape(message)):
            sign.check(args, kwargs)


def test_the_namespace_is_one_object(x):
    assert strict_cupy.namespace() is xp
    assert xp.get_array_module(x) is xp.get_array_module(np.ones(1), x) is xp
    assert xp.get_array_module(np.ones(1), 2.0) is np
    assert type(x).__module__ == xp.__name__ == "cupy"


# Refusals.

NUMPYS = "Unsupported type <class 'numpy.ndarray'>"
HOST = "Implicit conversion to a NumPy array is not allowed"


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        (lambda x: x + np.ones(3), TypeError, NUMPYS),
        (lambda x: np.ones(3) * x, TypeError, NUMPYS),
        (lambda x: x + np.array(1.0), TypeError, NUMPYS),
        (lambda x: x < np.ones(3), TypeError, NUMPYS),
        (lambda x: x.__iadd__(np.ones(3)), TypeError, NUMPYS),
        (lambda x: xp.maximum(x, np.ones(3)), TypeError, NUMPYS),
        (lambda x: np.multiply(np.ones(3), x), TypeError, NUMPYS),
        (lambda x: xp.exp(np.ones(3)), TypeError, NUMPYS),
        (lambda x: xp.where(np.ones(3) > 0, 1.0, 2.0), TypeError, NUMPYS),
        (lambda x: xp.isclose(x, np.ones(3)), TypeError, NUMPYS),
        (lambda x: xp.concatenate([x, np.ones((2, 3))]), TypeError, "ndarray"),
        (lambda x: xp.add(x, 1, out=np.ones((2, 3))), TypeError, "ndarray"),
        (lambda x: xp.add(x, 1, np.ones((2, 3))), TypeError, "ndarray"),
        (lambda x: xp.sum(x, out=np.ones(())), TypeError, "ndarray"),
        (lambda x: x @ np.ones(3), TypeError, "Argument 'b' has incorrect type"),
        (lambda x: np.ones(2) @ x, TypeError, "Argument 'a' has incorrect type"),
        (lambda x: x @ 2, TypeError, "Argument 'b' has incorrect type"),
        (lambda x: x + [1, 2, 3], TypeError, "returned NotImplemented"),
        (lambda x: [1, 2, 3] + x, TypeError, "Unsupported type <class 'list'>"),
        (lambda x: x + None, TypeError, "returned NotImplemented"),
        (lambda x: xp.maximum(x, [1, 2, 3]), TypeError, "Unsupported type <class 'list'>"),
        (lambda x: xp.sum([1, 2]), AttributeError, "'list' object has no attribute 'sum'"),
        (lambda x: xp.min([1, 2]), AttributeError, "'list' object has no attribute 'min'"),
        (lambda x: xp.tensordot(x, [1, 2]), (TypeError, AttributeError), "list"),
        (lambda x: xp.isin(x, [1, 2]), (TypeError, AttributeError), "list"),
        (lambda x: xp.expand_dims([1], 0), (TypeError, AttributeError), "list"),
        (lambda x: xp.broadcast_to(2.0, (2, 3)), TypeError, "incorrect type"),
        (lambda x: np.asarray(x), TypeError, HOST),
        (lambda x: np.array([x[0, 0], x[0, 1]]), TypeError, HOST),
        (lambda x: np.ones((2, 3)).__setitem__(slice(None), x), TypeError, HOST),
        (lambda x: np.dot(np.ones(2), x), TypeError, HOST),
        (lambda x: np.block([x]), TypeError, "no implementation found"),
        (lambda x: np.add.reduce(x), TypeError, "NotImplemented"),
        (lambda x: np.add.at(x, [0], 1), TypeError, "NotImplemented"),
        (lambda x: range(xp.asarray(3)), TypeError, "cannot be interpreted as an integer"),
        (lambda x: [1, 2][xp.asarray(1)], TypeError, "must be integers"),
        (lambda x: hash(x), TypeError, "unhashable"),
        (lambda x: len(x[0, 0]), TypeError, "unsized"),
        (lambda x: x.__array_interface__, AttributeError, "__array_interface__"),
        (lambda x: xp.sum(x, where=x > 0), TypeError, "unexpected keyword argument 'where'"),
        (lambda x: x.sum(initial=0.0), TypeError, "unexpected keyword argument 'initial'"),
        (lambda x: x.max(initial=0.0), TypeError, "unexpected keyword argument 'initial'"),
        (lambda x: np.sum(x, initial=1.0), TypeError, "unexpected keyword argument 'initial'"),
        (lambda x: xp.exp(x, order="C"), TypeError, "Wrong arguments"),
        (lambda x: xp.exp(x, where=True), TypeError, "Wrong arguments"),
        (lambda x: xp.exp(x, x, x), TypeError, "Wrong number of arguments for 'cupy_exp'"),
        (lambda x: xp.zeros(3, device="cuda"), TypeError, "device"),
        (lambda x: xp.arange(3, device="cuda"), TypeError, "device"),
        (lambda x: xp.clip(x, min=0), TypeError, "'min'"),
        (lambda x: xp.clip(x, 0), TypeError, "a_max"),
        (lambda x: xp.take(x, xp.asarray([0]), mode="wrap"), TypeError, "mode"),
        (lambda x: x.take(xp.asarray([0]), mode="wrap"), TypeError, "mode"),
        (lambda x: xp.sort(x, stable=True), TypeError, "stable"),
        (lambda x: xp.einsum("ij->i", x, out=x), TypeError, "Did not understand the following kwargs"),
        (lambda x: xp.multiply.at(x, xp.asarray([0]), 2), NotImplementedError, r"`cupy_multiply\.at`"),
        (lambda x: xp.maximum.reduce(x), NotImplementedError, r"`cupy_maximum\.reduce`"),
        (lambda x: xp.add.reduceat(x, [0]), NotImplementedError, "reduceat"),
        (lambda x: xp.array("a"), ValueError, "Unsupported dtype <U1"),
        (lambda x: xp.array([None]), ValueError, "Unsupported dtype object"),
        (lambda x: xp.zeros(3, object), ValueError, "Unsupported dtype object"),
        (lambda x: x.astype(np.longdouble), ValueError, "Unsupported dtype"),
        (lambda x: xp.ones(3, np.uint8) + 300, OverflowError, "300"),
        (lambda x: x.fill(np.ones(3)), ValueError, "non-scalar numpy.ndarray cannot be used for fill"),
        (lambda x: xp.copyto(x, np.ones((2, 3))), ValueError, "non-scalar numpy.ndarray cannot be used for copyto"),
        (lambda x: x.__setitem__(..., np.ones((2, 3))), ValueError, "non-scalar numpy.ndarray"),
        (lambda x: x.__setitem__(0, [1, 2, 3]), ValueError, "non-scalar numpy.ndarray cannot be used for fill"),
        (lambda x: x[2], IndexError, "Index 2 is out of bounds for axis 0 with size 2"),
        (lambda x: x[:, -4], IndexError, "Index -4 is out of bounds for axis 1 with size 3"),
        (lambda x: x[0, 0, 0], IndexError, "too many indices for array: array is 2-dimensional, but 3 were indexed"),
        (lambda x: x[x], IndexError, "must be of integer or boolean type"),
        (lambda x: x.flags.writeable, AttributeError, "'Flags' object has no attribute 'writeable'"),
        (lambda x: x.item(), ValueError, "can only convert an array of size 1"),
        (lambda x: bool(x), ValueError, "ambiguous"),
    ],
)
def test_refusals(x, wrong, error, message):
    with pytest.raises(error, match=message):
        wrong(x)


def test_an_in_place_matrix_product_makes_a_new_array(x):
    before, square = x, xp.eye(3)
    x @= square
    assert x is not before


# Foreign operands: who is asked, as CuPy's rules have it.


class AnswersUfuncs:
    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        return "answered", ufunc.__name__


class WantsNone:
    __array_ufunc__ = None

    def __radd__(self, other):
        return "reflected"


class Plain:
    def __radd__(self, other):
        return "reflected"


class Higher(Plain):
    __array_priority__ = 1000


class Lower(Plain):
    __array_priority__ = 99


def test_operators_with_foreign_operands(x):
    assert x * AnswersUfuncs() == ("answered", "multiply")
    assert x @ AnswersUfuncs() == ("answered", "matmul")
    assert (x < AnswersUfuncs()) == ("answered", "less")
    assert x + WantsNone() == "reflected"
    assert x + Higher() == "reflected"
    for ignored in (Plain(), Lower()):
        with pytest.raises(TypeError, match="NotImplemented"):
            _ = x + ignored
    same(x == None, np.zeros((2, 3), bool))  # noqa: E711
    same(x != None, np.ones((2, 3), bool))  # noqa: E711
    same(x == np.array(1.0), np.arange(6.0).reshape(2, 3) == 1)


def test_numpys_functions_come_by_dispatch(x):
    host = np.arange(6.0).reshape(2, 3)
    same(np.exp(x), np.exp(host))
    same(np.sum(x, axis=0), host.sum(axis=0))
    same(np.linalg.norm(x), np.linalg.norm(host))
    same(np.concatenate([x, x]), np.concatenate([host, host]))
    same(np.float64(2) * x, 2 * host)


def test_functions_of_numpy_arrays_silently_stay_on_the_host():
    assert type(xp.sum(np.ones(3))) is np.float64
    assert type(xp.reshape(np.ones(4), (2, 2))) is np.ndarray
    assert type(xp.asnumpy(np.ones(3))) is np.ndarray
    with pytest.raises(TypeError):
        xp.expand_dims(np.ones(3), 0)


# Values and dtypes.


def test_results_are_0d_arrays_never_scalars(x):
    for result in (
        x.sum(),
        x.mean(),
        xp.max(x),
        x[0, 0],
        xp.linalg.norm(x),
        xp.allclose(x, x),
        x.argmax(),
        x[0] @ x[0],
    ):
        assert type(result) is xp.ndarray
        assert result.shape == ()
        assert not isinstance(result, float | np.generic)
    part = x[1, 2]
    x += 1
    assert float(part) == 6  # a view


def test_dtypes_are_those_of_nep_50():
    single = xp.ones(3, np.float32)
    assert (single * 2.0).dtype == (single + 1).dtype == np.float32
    assert (single + np.float64(3)).dtype == (np.float64(3) * single).dtype == np.float64
    assert (single + xp.zeros((), np.float64)).dtype == np.float64
    assert xp.zeros(3).dtype == xp.ones_like(xp.zeros(3)).dtype == np.float64
    assert xp.arange(3).dtype == single.argmax().dtype == np.int64
    assert single.mean().dtype == np.float32


def test_views_and_copies_are_shared_as_in_numpy(x):
    for view in (x.T, x[0], x[:, 1:], x.reshape(3, 2), x.ravel(), xp.transpose(x), xp.expand_dims(x, 0), x.real):
        assert view is x or view.base is x
    assert xp.asarray(x) is x
    assert x.astype(np.float64, copy=False) is x
    for made in (x.copy(), x.T.reshape(6), x.flatten(), x[xp.asarray([0])], xp.array(x), copy.deepcopy(x)):
        assert made.base is None
    same(pickle.loads(pickle.dumps(x)), x.get())


def test_writeable_flags_are_lost(x):
    x.flags.writeable = False
    x[...] = 7
    same(x, np.full((2, 3), 7.0))
    with pytest.raises(KeyError):
        _ = x.flags["WRITEABLE"]


def test_numpy_never_sees_the_memory(x):
    host = np.ones(3)
    device = xp.asarray(host)
    device += 1
    back = device.get()
    back += 1
    assert host.tolist() == [1, 1, 1]
    assert device.tolist() == [2, 2, 2]


def test_fresh_memory_is_poisoned():
    assert xp.isnan(xp.empty(3)).all()
    assert xp.isnan(xp.empty_like(xp.ones(3, np.complex64))).all()
    assert xp.isnan(xp.ndarray((2, 2), np.float16)).all()
    assert (xp.empty(3, np.int64) > 10**9).all()
    assert xp.empty(3, bool).all()


def test_silence_where_numpy_warns(x):
    same(xp.log(xp.zeros(1)), [-np.inf])
    same(x[:1, :1] / xp.zeros((1, 1)), [[np.nan]])
    assert xp.exp(xp.full(1, 1e4)).item() == np.inf


@pytest.mark.parametrize("name", ["sum", "prod", "max", "min", "cumsum", "cumprod", "argmax", "argmin", "any", "all"])
@pytest.mark.parametrize("axis", [0, -1])
def test_numpy_reduces_a_number_along_its_first_axis_and_cupy_refuses(name, axis):
    getattr(np, name)(np.array(2.0), axis=axis)
    with pytest.raises(np.exceptions.AxisError, match=f"axis {axis} is out of bounds for array of dimension 0"):
        getattr(xp, name)(xp.asarray(2.0), axis=axis)
    with pytest.raises(np.exceptions.AxisError):
        getattr(xp.asarray(2.0), name)(axis)
    getattr(xp, name)(xp.asarray(2.0))
