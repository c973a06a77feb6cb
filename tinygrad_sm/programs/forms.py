"""Calls in forms that write their results into arrays that exist."""

import operator
from typing import Any

import numpy as np

from tinygrad_sm.programs.arrays import name_of
from tinygrad_sm.programs.passes import LIKE
from tinygrad_sm.programs.recording import Call, Value
from tinygrad_sm.structures import replaced

Form = tuple[Any, list[Any], dict[str, Any]]
"""A function with its arguments and options."""

_WITH_OUT = {
    *(np.ndarray.argmax, np.ndarray.argmin, np.ndarray.clip, np.ndarray.cumsum, np.ndarray.mean),
    *(np.concatenate, np.cumsum, np.einsum, np.max, np.mean, np.min, np.prod, np.stack),
}
"""Functions that take an array for their result as the option `out`."""


def forms_of(call: Call) -> list[Form] | None:
    """Return calls that write a call's result into its Value, or change what it changes; None if there are none."""
    function, arguments, options, out = call.function, list(call.arguments), call.options, call.result
    if function in (np.maximum, np.minimum):  # whose third argument is to be something else in future
        return [(function, arguments[:2], {**options, "out": arguments[2] if out is None else out})]
    if out is None:
        return [(function, arguments, options)]
    if call.draws:
        return None
    if name_of(function) in LIKE or not call.reads():  # it is made anew: the step changes it
        return [] if name_of(function) in ("empty", "empty_like") else [(np.copyto, [out, _anew(call)], {})]
    if hasattr(function, "nin"):  # a ufunc, NumPy's or CuPy's
        if isinstance(function, np.ufunc) and not options:
            arguments = _with_numbers_as_arrays(arguments)
        return [(function, [*arguments, out], options)] if function.nout == 1 else None
    if isinstance(getattr(function, "__self__", None), np.ufunc) and function.__name__ in ("reduce", "accumulate"):
        return [_with_output(function, arguments, options, out)]
    if function in (np.ndarray.astype, np.array):
        return [(np.copyto, [out, arguments[0], "unsafe"], {})]
    if function is operator.getitem and isinstance(arguments[1], Value) and arguments[1].array.dtype.kind in "iu":
        return [(np.ndarray.take, [*arguments, 0, out], {})]
    if function is np.where and len(arguments) == 3 and getattr(arguments[0], "array", np.False_).dtype == bool:
        condition, a, b = arguments
        return [(np.copyto, [out, b], {}), (np.copyto, [out, a, "same_kind", condition], {})]
    is_exact = out.array.dtype != np.float16 or "mean" not in function.__name__  # it would sum into the output
    return [(function, arguments, {**options, "out": out})] if function in _WITH_OUT and is_exact else None


def _with_numbers_as_arrays(operands: list[Any]) -> list[Any]:
    """Return the operands of NumPy's ufunc with Python's numbers as arrays, which it takes 0.2 µs sooner.

    NumPy itself would convert them so: where all arrays have one floating dtype, to that.
    """
    dtypes = {x.array.dtype for x in operands if isinstance(x, Value) and x.origin != "number"}
    if len(dtypes) != 1 or (dtype := dtypes.pop()).kind != "f" or not dtype.isnative:
        return operands
    return [np.asarray(x, dtype) if type(x) in (int, float) else x for x in operands]


def _with_output(function: Any, arguments: list[Any], options: dict[str, Any], out: Value) -> Form:
    """Return a reduction that writes into `out`: with arguments by position, which is quicker, where that can be."""
    given = (
        dict(zip(("array", "axis", "dtype", "out", "keepdims", "initial", "where"), arguments, strict=False)) | options
    )
    array, axis, dtype = given.pop("array"), given.pop("axis", 0), given.pop("dtype", None)
    given.pop("out", None)
    by_position = [array, axis, dtype, out]
    if function.__name__ == "reduce" and given.keys() <= {"keepdims"}:
        return function, [*by_position, bool(given.get("keepdims"))], {}
    return function, by_position, given


def _anew(call: Call) -> Any:
    """Return the array that a call makes of shapes and numbers, as it is before the step changes it."""
    arguments, options = replaced((call.arguments, call.options), lambda x: x.array if isinstance(x, Value) else x)
    return call.function(*arguments, **options)
