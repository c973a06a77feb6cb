"""The recorder: an array module whose arrays write down what is asked of them.

    x = recorded(recording, np.ones(3), "input")
    y = np.exp(x) * 2                       # computed, and written down in recording.calls

A recorded array is no `numpy.ndarray`: it holds an array of NumPy or CuPy, and passes each operator, method and
function on to it. So nothing can slip past it: what has no array of its own to compute with has to ask. In another
thread, and after the recording, it computes and writes nothing down.
"""

import operator
import weakref
from collections.abc import Callable
from functools import partial
from numbers import Real
from operator import attrgetter
from types import ModuleType
from typing import Any

import numpy as np
from numpy.lib.mixins import NDArrayOperatorsMixin

from tinygrad_sm.arrays import described
from tinygrad_sm.backend import (
    ARRAY_TYPES,
    PLAIN_OPERANDS,
    Array,
    HostArray,
    array_module,
    is_array,
    register_array_module,
)
from tinygrad_sm.engine.tape import Traced
from tinygrad_sm.fast.handover import forget_ones
from tinygrad_sm.programs.recording import Call, Part, Recording, Value, current
from tinygrad_sm.structures import leaves_of, replaced


class RecordedArray(NDArrayOperatorsMixin):
    """An array that records. base : the recorded array of which it is a view."""

    __slots__ = ("__weakref__", "array", "base", "recording", "value")
    array: Any
    base: Any
    recording: Recording
    value: Value
    xp: Any  # the module of the arrays inside; each has a class of its own

    __hash__ = None  # type: ignore[assignment]

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        if any(isinstance(x, Traced) for x in inputs):
            return NotImplemented  # the operation of that name will ask
        function = ufunc if self.xp is np else getattr(self.xp, ufunc.__name__)
        return record(function if method == "__call__" else getattr(function, method), *inputs, **options)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        if any(issubclass(kind, Traced) for kind in types):
            return NotImplemented
        return record(function, *args, **kwargs)

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        return np.array(_read(self), *args, **kwargs)

    def __bool__(self) -> bool:
        recording, answer = current(), bool(self.array)
        return answer if recording is None else recording.ask(value_of(recording, self), answer)

    dtype, shape = property(attrgetter("array.dtype")), property(attrgetter("array.shape"))  # which are asked most
    ndim, size = property(attrgetter("array.ndim")), property(attrgetter("array.size"))

    def __getattr__(self, name: str) -> Any:
        """Return what the array inside has by that name: a fact, such as its strides, or a method, which records."""
        attribute = getattr(type(self.array), name)
        if name in _FACTS or not callable(attribute):
            return getattr(self.array if name in _FACTS else _read(self), name)
        return partial(record, attribute, self)

    def __len__(self) -> int:
        return len(self.array)

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self.array)))

    def __repr__(self) -> str:
        return f"<a recorded array, {described(self.array)}>"

    def __getitem__(self, index: Any) -> Any:
        parts = index if isinstance(index, tuple) else (index,)
        if any(isinstance(part, RecordedArray) and part.array.dtype.kind == "b" for part in parts):
            _refuse("the shape of x[mask] depends on the values of the mask: choose with tg.where(mask, x, ...)")
        return record(operator.getitem, self, index)

    def __setitem__(self, index: Any, value: Any) -> None:
        record(operator.setitem, self, index, value)

    def __pow__(self, exponent: Any) -> Any:
        """Raise to a power by the function that NumPy's operator chooses, as it rounds in its own way."""
        is_square = type(exponent) is int and exponent == 2
        if type(exponent) in (int, float) and (self.array.dtype.kind == "f" or is_square):
            name = {1: "positive", -1: "reciprocal", 0.5: "sqrt", 2: "square"}.get(exponent)
            if name is not None:
                return record(getattr(self.xp, name), self)
        return super().__pow__(exponent)

    def copy(self, order: str = "C") -> Any:
        return record(self.xp.array, self, order=order)

    def fill(self, value: Any) -> None:
        self[...] = value

    T = property(lambda self: self.transpose())


def _reduction(name: str, ufunc: str) -> Any:
    def method(self: RecordedArray, axis: Any = None, *args: Any, **options: Any) -> Any:
        if self.xp is np and not args:  # whose method calls this one
            return record(getattr(np, ufunc).reduce, self, axis=axis, **options)
        return record(getattr(type(self.array), name), self, axis, *args, **options)

    return method


def _reader(name: str) -> Any:
    return lambda self, *args, **kwargs: getattr(_read(self), name)(*args, **kwargs)


_FACTS = ["dtype", "shape", "ndim", "size", "itemsize", "nbytes", "strides", "flags", "device"]
_READERS = (
    *("__dlpack__", "__float__", "__int__", "__index__", "__complex__", "__format__"),
    *("item", "tolist", "tobytes", "get"),
)
_REDUCTIONS = {"any": "logical_or", "all": "logical_and", "max": "maximum", "min": "minimum"} | {
    "sum": "add",
    "prod": "multiply",
}
for _name in _READERS:
    setattr(RecordedArray, _name, _reader(_name))
for _name, _ufunc in _REDUCTIONS.items():
    setattr(RecordedArray, _name, _reduction(_name, _ufunc))


class Number:
    """A plain number that is read anew at each call, such as a learning rate, or a formula of such numbers."""

    __slots__ = ("function", "operands", "value")
    __array_ufunc__ = None  # NumPy's arrays leave operators to this class

    def __init__(self, function: Callable[..., Any], *operands: Any):
        self.function = function
        self.operands = operands
        self.value = function(*[number_now(x) for x in operands])

    def now(self) -> Any:
        """Return its value, read anew."""
        return self.function(*[x.now() if isinstance(x, Number) else x for x in self.operands])

    def __bool__(self) -> bool:
        recording, answer = current(), bool(self.value)
        return answer if recording is None else recording.ask(recording.number(self), answer)

    __hash__ = object.__hash__


def _plain_number(name: str) -> Any:
    def method(self: Number, *args: Any) -> Any:
        _refuse("a number that may change from step to step is used as a plain one: compute with operators")
        return getattr(self.value, name)(*args)

    return method


for _name in ("float", "int", "index", "round", "abs", "format", "repr", "str", "trunc", "divmod", "floordiv", "mod"):
    setattr(Number, f"__{_name}__", _plain_number(f"__{_name}__"))
Real.register(Number)
PLAIN_OPERANDS.add(Number)


def number_now(x: Any) -> Any:
    """Return the value of a Number, and anything else as it is."""
    return x.value if isinstance(x, Number) else x


def _formula(function: Callable[..., Any], ufunc: str, is_reflected: bool = False) -> Any:
    def method(self: Number, *others: Any) -> Any:
        operands = (*others, self) if is_reflected else (self, *others)
        if any(isinstance(x, Traced) for x in others):
            return NotImplemented  # the operation of that name will ask
        for x in filter(is_array, others):
            return record(getattr(np, ufunc) if array_module(x) is np else getattr(x.xp, ufunc), *operands)
        return Number(function, *operands)

    return method


_ARITHMETIC = {"add": "add", "sub": "subtract", "mul": "multiply", "truediv": "true_divide", "pow": "power"}
_ORDER = {"lt": "less", "le": "less_equal", "gt": "greater", "ge": "greater_equal"}
_QUESTIONS = {"eq": "equal", "ne": "not_equal", **_ORDER}
for _name, _ufunc in {**_ARITHMETIC, **_QUESTIONS, "neg": "negative"}.items():
    setattr(Number, f"__{_name}__", _formula(getattr(operator, _name), _ufunc))
for _name, _ufunc in _ARITHMETIC.items():
    setattr(Number, f"__r{_name}__", _formula(getattr(operator, _name), _ufunc, is_reflected=True))


def _refuse(message: str) -> None:
    if (recording := current()) is not None:
        recording.refuse(message)


def _read(array: RecordedArray) -> Any:
    """Return the plain array; a program cannot know what becomes of it."""
    _refuse("the step reads an array into Python: return the array, and read it outside of the step")
    return array.array


_UNCHANGING = (
    *("asarray", "asanyarray", "ascontiguousarray", "asfortranarray", "array", "astype", "require", "real"),
    *("atleast_1d", "atleast_2d", "atleast_3d", "broadcast_to", "ravel", "reshape", "squeeze", "transpose"),
    *("conj", "conjugate", "positive"),
)
"""Functions that may return an argument as it is."""

_SHAPED_BY_VALUES = (
    *("unique", "nonzero", "flatnonzero", "argwhere", "compress", "extract", "bincount", "trim_zeros"),
    *("union1d", "intersect1d", "setdiff1d", "setxor1d", "delete", "histogram"),
)

_ABOUT_SHAPES = {
    *(np.shape, np.ndim, np.size, np.iscomplexobj, np.isrealobj),
    *(np.result_type, np.promote_types, np.can_cast),
}


def record(function: Any, *arguments: Any, **options: Any) -> Any:
    """Call a function of the array module, and write the call down."""
    recording, out = current(), options.get("out")
    plain, plain_options = replaced((arguments, options), plain_of)
    result = function(*plain, **plain_options)
    if recording is None or function in _ABOUT_SHAPES or isinstance(result, np.dtype):
        return result
    inputs = getattr(function, "nin", None)  # of a ufunc, NumPy's or CuPy's
    out = out[0] if isinstance(out, tuple) else out
    if inputs is not None:  # it takes its output by position too
        arguments = arguments if out is None else (*arguments, out)
        out = arguments[inputs] if len(arguments) > inputs else None
        options.pop("out", None)
    if name_of(function) in _SHAPED_BY_VALUES:
        recording.refuse(f"the shape of what {name_of(function)} gives depends on values")
    call = Call(function, _noted(recording, arguments), _noted(recording, options), recording.place)
    if result is None or out is not None:  # a function that returns nothing changes its first argument, as copyto does
        changed = _noted(recording, arguments[0] if result is None else out)
        if not isinstance(changed, Value):  # such as a file
            recording.refuse(f"{name_of(function)} does something that a program cannot do")
            return result
        call.changes = (changed,)
        recording.calls.append(call)
        return out
    if isinstance(result, tuple) and all(isinstance(x, np.generic) or is_array(x) for x in result):
        return tuple(record(Part(function, i), *arguments, **options) for i in range(len(result)))
    result = np.asarray(result) if isinstance(result, np.generic) else result
    if not is_array(result):
        recording.refuse(f"{name_of(function)} gives {described(result)}, which a program cannot follow")
        return result
    arrays = [x for x in leaves_of(arguments) if isinstance(x, RecordedArray)]
    # A strided view hides its base.
    base = next((x for x in arrays if name_of(function) == "as_strided" or _shares(result, x.array)), None)
    if base is not None and result is base.array:  # it has returned an argument, after changing it or as it was
        if name_of(function) not in _UNCHANGING:
            call.changes = (base.value,)
            recording.calls.append(call)
        return base
    recorded_result = recorded(recording, result, "new", base)
    call.result = recorded_result.value
    recording.calls.append(call)
    return recorded_result


def recorded(recording: Recording, array: Array, origin: str, base: Any = None) -> RecordedArray:
    """Return an array as a recorded one."""
    x = object.__new__(_type_for(array_module(array)))
    x.array, x.recording, x.base = array, recording, base
    x.value = (
        recording.state(array) if origin == "state" else Value(array, origin, None if base is None else base.value)
    )
    recording.arrays.append(weakref.ref(x))
    return x


def plain_of(x: Any) -> Any:
    """Return the array or number inside, and anything else as it is."""
    if isinstance(x, RecordedArray):
        return x.array
    return x.value if type(x) is Number else x


def value_of(recording: Recording, x: Any) -> Any:
    """Return the Value of an array or a Number, and anything else as it is."""
    if isinstance(x, RecordedArray):
        return x.value if x.recording is recording else recording.state(x.array)
    if type(x) is Number:
        return recording.number(x)
    return recording.state(x) if is_array(x) else x


def _noted(recording: Recording, x: Any) -> Any:
    return replaced(x, lambda leaf: value_of(recording, leaf))


def _shares(result: Array, array: Array) -> bool:
    """Whether a result is the array itself or a view of its memory."""
    if type(result) is HostArray:
        return result is array or (result.size > 0 and bool(np.may_share_memory(result, array)))
    return result is array or (result.base is not None and (result.base is array or result.base is array.base))


_types: dict[Any, type[RecordedArray]] = {}


def forget_walks() -> None:
    """Forget what was kept for later walks of a recording, when it has ended."""
    for array_type in _types.values():
        forget_ones(array_type)


def _type_for(xp: Any) -> type[RecordedArray]:
    """Return the class of recorded arrays that hold arrays of a module."""
    if xp not in _types:
        _types[xp] = type("RecordedArray", (RecordedArray,), {"xp": xp, "__slots__": ()})
    if _types[xp] not in ARRAY_TYPES:
        register_array_module(_types[xp], _Recorder(xp), has_all_of_numpy=xp is np)
    return _types[xp]


class _Recorder(ModuleType):
    """An array module whose functions record, also those that make arrays, such as zeros."""

    def __init__(self, xp: Any):
        super().__init__(f"{xp.__name__}, recorded")
        self._xp = xp

    def ElementwiseKernel(self, inputs: str, *others: Any) -> Any:
        """Make a kernel of CuPy that records."""
        return _RecordedKernel(self._xp.ElementwiseKernel(inputs, *others), inputs.count(",") + 1)

    def __getattr__(self, name: str) -> Any:
        function = getattr(self._xp, name)
        if isinstance(function, ModuleType):  # such as numpy.linalg
            return _Recorder(function)
        if not callable(function) or isinstance(function, type):
            return function
        vars(self)[name] = recorded_function = _RecordedFunction(function)
        return recorded_function


class _RecordedKernel:
    """A kernel of CuPy that records: a call of it with the arrays into which it writes, made by itself if need be."""

    def __init__(self, kernel: Any, inputs: int):
        self.kernel = kernel
        self.inputs = inputs

    def __call__(self, *arguments: Any) -> Any:
        recording, outputs = current(), arguments[self.inputs :]
        result = self.kernel(*map(plain_of, arguments))
        if recording is None:
            return result
        if not outputs:
            made = result if isinstance(result, tuple) else (result,)
            outputs = tuple([recorded(recording, array, "new") for array in made])
        values = _noted(recording, (*arguments[: self.inputs], *outputs))
        call = Call(self.kernel, values, {}, recording.place)
        call.changes = values[self.inputs :]
        recording.calls.append(call)
        return outputs if isinstance(result, tuple) else outputs[0]


class _RecordedFunction:
    """A function of an array module that records; a ufunc's methods do too."""

    def __init__(self, function: Any):
        self.function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return record(self.function, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return _RecordedFunction(getattr(self.function, name))


def name_of(function: Any) -> str:
    """Return a function's name as one writes it: exp, add.reduce."""
    owner = getattr(function, "__self__", None)
    name = str(getattr(function, "__name__", getattr(function, "name", function)))
    return f"{owner.__name__}.{name}" if isinstance(owner, np.ufunc) else name
