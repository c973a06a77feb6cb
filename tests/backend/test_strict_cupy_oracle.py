"""The strict double and the front-end of the real CuPy, where one is installed, agree: results, errors and messages.

Real arrays are built over memory of the host where there is no GPU, so only what CuPy decides before it launches is
compared: refusals, views, shapes, dtypes, who is asked first by an operator.
"""

import re
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

from tests.backend import strict_cupy
from tests.backend.strict_cupy_table import TABLE

cupy = pytest.importorskip("cupy", reason=f"the strict double stands for CuPy {TABLE['version']}, which is not here")

pytestmark = pytest.mark.filterwarnings("ignore")


class Answers:
    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        return f"{ufunc.__name__} {method} {len(inputs)}"


class Refuses:
    __array_ufunc__ = None

    def __radd__(self, other):
        return "radd"

    def __rmatmul__(self, other):
        return "rmatmul"

    def __gt__(self, other):
        return "gt"

    def __eq__(self, other):
        return "eq"

    __hash__ = None


class Higher:
    __array_priority__ = 1000

    def __radd__(self, other):
        return "radd"

    def __gt__(self, other):
        return "gt"


class Plain:
    def __add__(self, other):
        return "add"


FOREIGN = {"n": np.arange(3.0), "np": np, "Answers": Answers, "Refuses": Refuses, "Higher": Higher, "Plain": Plain}


def on_host(array):
    """Return an array of the real CuPy, over memory of the host if there is no GPU."""
    if cupy.is_available():
        return cupy.asarray(array)
    memory = cupy.cuda.UnownedMemory(array.ctypes.data, array.nbytes, array, 0)
    return cupy.ndarray(array.shape, array.dtype, cupy.cuda.MemoryPointer(memory, 0), array.strides)


def names(xp, make):
    arrays = {"x": np.arange(6.0).reshape(2, 3), "i": np.array([0, 1]), "s": np.array(2.0), "f": np.ones(3, "f4")}
    arrays |= {"b": np.array([True, False]), "c": np.ones(2, "c8"), "u": np.ones(3, "u1")}
    return FOREIGN | {name: make(array) for name, array in arrays.items()} | {"xp": xp}


def facts(value):
    """Return what can be told of a result without looking at its elements."""
    if isinstance(value, list | tuple):
        return [facts(part) for part in value]
    if hasattr(value, "strides") and not isinstance(value, np.ndarray | np.generic):
        flags = SimpleNamespace(c=value.flags.c_contiguous, f=value.flags.f_contiguous)
        return "array", value.shape, value.dtype, value.strides, flags, value.base is None
    if isinstance(value, np.ndarray | np.generic):
        return type(value).__name__, value.shape, value.dtype
    return value


def outcome(text, variables):
    try:
        return facts(eval(text, dict(variables)))
    except (TypeError, ValueError, IndexError, AttributeError, KeyError, NotImplementedError) as error:
        return type(error), re.sub(r"'?(\w+\.)*(\w+)'?", r"\2", str(error).split("\n")[0])


RESULTS = """
x[0] | x[0, 0] | x[:, 1] | x[::-1] | x[None] | x[..., 0] | x[1:1] | x[1.5] | x[np.int64(1)] | x.T | x.mT | x.T.T
x.reshape(3, 2) | x.reshape((3, -1)) | x.ravel() | x.T.ravel('F') | x.squeeze() | x.swapaxes(0, 1) | x.transpose(1, 0)
x.transpose((1, 0)) | x.transpose(None) | x.view('f4') | x.real is x | c.real | c.imag | x.base | x[0].base is x
xp.expand_dims(x, 0) | xp.squeeze(x[None]) | xp.broadcast_to(x, (4, 2, 3)) | xp.moveaxis(x, 0, 1) | xp.flip(x, 0)
xp.transpose(x) | xp.swapaxes(x, 0, 1) | xp.rot90(x) | xp.rollaxis(x, 1) | xp.expand_dims(x, (0, 1)) | xp.ravel(x)
xp.reshape(x, (3, 2)) | xp.reshape(x, newshape=6) | xp.real(x) is x | xp.diagonal(x).shape
[a.shape for a in xp.split(x, 2)] | [a.shape for a in xp.array_split(x, 2, 1)] | xp.shape(x) | xp.ndim(x) | xp.size(x)
xp.result_type(x, np.float32) | xp.result_type(f, 1.0) | xp.result_type(u, 1) | xp.promote_types('f4', 'f8')
xp.can_cast('f4', 'f8') | xp.issubdtype('f4', np.floating) | xp.isscalar(s) | xp.isscalar(2.0) | xp.iscomplexobj(c)
xp.sum(n) | xp.max(n) | xp.mean(n) | xp.reshape(n, (3, 1)) | xp.transpose(n) | xp.squeeze(n) | xp.asnumpy(n) is n
x.flags.c_contiguous | x.T.flags.f_contiguous | x.flags['C_CONTIGUOUS'] | x.flags.owndata | x[0].flags.owndata
setattr(x.flags, 'writeable', False) | setattr(x, 'shape', (3, 2)) | x.astype('f8', copy=False) is x | len(x)
x + Answers() | x @ Answers() | x < Answers() | x + Refuses() | x @ Refuses() | x < Refuses() | x == Refuses()
x + Higher() | x < Higher() | Plain() + x | xp.empty(3).shape | xp.empty_like(x, shape=(2,)).shape
xp.empty_like(n).dtype | xp.ndarray((2, 3), 'f4').dtype | xp.float32 is np.float32 | xp.dtype is np.dtype | xp.newaxis
xp.pi | xp.get_array_module(x) is xp | xp.get_array_module(n) is np | xp.get_array_module(2) is np
xp.cuda.Device(1).id | x.itemsize | x.nbytes | x.__array_priority__ | xp.ndarray.__module__
xp.fuse(lambda a: a + 1)(n)
xp.ElementwiseKernel('T x', 'T y', 'y = x', 'k').name | xp.ElementwiseKernel('T x, S s', 'T y', 'y = x').nargs
"""

ERRORS = """
np.asarray(x) | np.array(x) | np.array([s, s]) | np.dot(n, x) | np.block([x]) | np.sum(x, initial=2) | np.matmul(x, n)
np.mean(x, where=True) | xp.dot(x, n) | xp.dot(x, 2) | xp.matmul(x, n) | x @ n | n @ x | x @ 2 | xp.matmul(x, 2)
xp.broadcast_to(n, (2, 3)) | xp.broadcast_to(2.0, (2, 3)) | xp.expand_dims(n, 0) | xp.expand_dims([1], 0)
xp.sum([1, 2]) | xp.sum(3) | xp.min([1, 2]) | xp.mean([1]) | xp.ravel([1]) | xp.reshape([1], 1) | xp.transpose([[1]])
xp.argsort([1]) | xp.squeeze([1]) | xp.clip([1], 0, 1) | xp.repeat([1], 2) | xp.trace([[1]])
xp.swapaxes([[1]], 0, 1) | x[5] | x[:, 5] | x[0, 0, 0] | x[s] | x.foo | setattr(x, 'foo', 1)
setattr(x, 'dtype', 'f4') | range(s) | iter(s) | len(s) | hash(x) | x.__array_interface__ | x.setflags
x.flags.writeable | x.flags['WRITEABLE'] | x.flags.foo | x.sum(where=b) | x.sum(initial=1) | xp.sum(x, where=b)
x.sum(1, None, None, False, 2) | x.sum(2) | xp.sum(x, axis=(0, 2)) | xp.exp(x, order='C') | xp.exp(x, where=True)
xp.exp(x, x, x) | xp.exp() | xp.add(x) | xp.exp(x, x, out=x) | xp.clip(x, min=0) | xp.clip(x, 0)
xp.take(x, [0], mode='wrap') | x.take([0], mode='wrap') | x.clip(0, 1, 2, 3) | xp.zeros(3, device='cuda')
xp.zeros(3, dtype=object) | xp.array('a') | xp.array([None]) | xp.array(n, dtype='M8[s]') | x.astype('U3')
x.reshape(4) | x.item() | x.fill(n) | x.set(n) | xp.copyto(x, n) | xp.where(x, x) | xp.where([True], 1, 2)
xp.tensordot(x, [1]) | xp.outer(x, [1]) | xp.isin(x, [1]) | xp.zeros_like(3) | xp.multiply.at(x, i, 2)
xp.maximum.reduce(x) | xp.exp.at(x, i) | xp.multiply.reduceat(x, i) | xp.subtract.accumulate(x)
xp.add.at(u, i, u[:2]) | xp.add.reduce(x, where=b) | xp.matmul.at | xp.errstate | xp.seterr | xp.linalg.norm([1])
s.sum(0) | s.sum(axis=-1, keepdims=True) | xp.max(s, axis=-1) | xp.min(s, 0) | xp.prod(s, axis=0)
xp.prod(s, axis=(0,)) | s.argmax(0) | xp.argmin(s, axis=-1) | xp.mean(s, axis=0)
xp.ElementwiseKernel('T x', 'T y', 'y = x', 'k')() | xp.ElementwiseKernel('T x', 'T y', 'y = x', 'k')(x, x, x)
xp.ElementwiseKernel('T x', 'T y', 'y = x', 'k')(x, foo=1) | xp.from_dlpack(n) | xp.from_dlpack(n, device='cpu')
"""

SAME_MESSAGE = [
    *("np.asarray(x)", "x @ n", "n @ x", "x @ 2", "xp.broadcast_to(n, (2, 3))", "xp.sum([1, 2])", "xp.sum(3)", "x[5]"),
    *("x[:, 5]", "x[0, 0, 0]", "x[s]", "x.foo", "x.setflags", "x.flags.writeable", "x.flags['WRITEABLE']", "hash(x)"),
    *("len(s)", "iter(s)", "range(s)", "x.sum(where=b)", "xp.exp(x, order='C')", "xp.exp(x, x, x)", "xp.add(x)"),
    *("xp.exp(x, x, out=x)", "xp.zeros(3, dtype=object)", "xp.array('a')", "x.item()", "x.fill(n)", "x.set(n)"),
    *("xp.copyto(x, n)", "xp.where(x, x)", "xp.multiply.at(x, i, 2)", "xp.maximum.reduce(x)", "x.sum(2)"),
    *("xp.array(n, dtype='M8[s]')", "xp.errstate", "xp.from_dlpack(n)", "xp.from_dlpack(n, device='cpu')"),
    *("xp.ElementwiseKernel('T x', 'T y', 'y = x', 'k')(x, x, x)"),
]


def listed(text):
    return [part.strip() for line in text.strip().split("\n") for part in line.split(" | ")]


@pytest.fixture(autouse=True)
def no_device():
    """Let real CuPy allocate memory of the host, where it has no device."""
    if cupy.is_available():
        yield
        return

    def allocate(size):
        buffer = np.zeros(max(size, 1), np.uint8)
        return cupy.cuda.MemoryPointer(cupy.cuda.UnownedMemory(buffer.ctypes.data, buffer.nbytes, buffer, 0), 0)

    with warnings.catch_warnings(), cupy.cuda.using_allocator(allocate):
        warnings.simplefilter("ignore")
        yield


def both(text):
    xp = strict_cupy.namespace()
    return outcome(text, names(cupy, on_host)), outcome(text, names(xp, xp.asarray))


@pytest.mark.parametrize("text", listed(RESULTS))
def test_results_are_cupys(text):
    real, double = both(text)
    assert double == real


@pytest.mark.parametrize("text", listed(ERRORS))
def test_refusals_are_cupys(text):
    real, double = both(text)
    if text in SAME_MESSAGE:
        assert double == real
    else:
        assert isinstance(double[0], type)
        assert {double[0], real[0]} <= {TypeError, AttributeError} or double[0] is real[0]


# Dtypes: CuPy chooses an operation by them before it asks for a device, in functions of its own.

CHARS = "?bBhHiIlLefd"
SCALARS = [True, 1, 1.0, np.float16(1), np.float32(1), np.float64(1), np.int64(1), np.uint8(1)]


def chosen(ufunc, operands):
    """Return the dtypes of the results of a real ufunc."""
    scalar = cupy._core._scalar.CScalar
    arrays = [on_host(x) if isinstance(x, np.ndarray) else scalar(x) for x in operands]
    try:
        operation = ufunc._ops.guess_routine(ufunc.name, {}, arrays, None, ufunc._out_ops)
    except TypeError:
        return TypeError
    if "routine=None" in repr(operation):  # an operation that stands for an error
        return TypeError
    return re.findall(r"dtype\('(\w+)'\)", repr(operation).split("), (")[1])


def made(ufunc, xp, operands):
    """Return the dtypes of the results of a ufunc of the double."""
    try:
        result = ufunc(*[xp.asarray(x) if isinstance(x, np.ndarray) else x for x in operands])
    except TypeError:
        return TypeError
    return [part.dtype.name for part in (result if isinstance(result, tuple) else (result,))]


@pytest.mark.skipif(cupy.__version__ != TABLE["version"], reason="looks into private parts of the frozen version")
@pytest.mark.parametrize("name", sorted(TABLE["ufuncs"].keys() - {"i0", "sinc"}))  # of these NumPy makes float64
def test_dtypes_are_cupys(name):
    xp = strict_cupy.namespace()
    arrays = [np.ones(2, char) for char in CHARS]
    real, double = getattr(cupy, name), getattr(xp, name)
    cases = [(a,) for a in arrays] if real.nin == 1 else [(a, b) for a in arrays for b in [*arrays, *SCALARS]]
    cases += [(b, a) for a in arrays for b in SCALARS] if real.nin == 2 else []
    for operands in cases:
        assert made(double, xp, operands) == chosen(real, operands), operands
