"""The functions of the strict double: NumPy's, behind CuPy's signatures, its refusals, and its counts."""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.backend.strict_cupy_array import SCALARS, Host, memory, ndarray, new, to_host, unsupported, view
from tests.backend.strict_cupy_creation import creation, maker
from tests.backend.strict_cupy_device import STATE, launched, not_fusable, synchronized
from tests.backend.strict_cupy_index import setitem, take
from tests.backend.strict_cupy_rules import (
    check_scalars,
    clipped,
    half_dot,
    in_c_order,
    is_half_dot,
    is_noisy,
    noisy_product,
    noisy_sum,
    scanned,
    written,
)
from tests.backend.strict_cupy_table import MODELLED, TABLE, Signature, signature
from tests.backend.strict_cupy_ufuncs import UFUNCS

_SEQUENCES = {"column_stack", "concat", "concatenate", "dstack", "hstack", "lexsort", "select", "stack", "vstack"}
_PRODUCTS = {"dot", "inner", "kron", "outer", "tensordot", "vdot"}
_VARIADIC = {"atleast_1d", "atleast_2d", "atleast_3d", "broadcast_arrays"}
_REDUCTIONS = {"all", "any", "argmax", "argmin", "cumprod", "cumsum", "max", "min", "prod", "sum"}
_REDUCTIONS |= {"amax", "amin"} | {f"nan{name}" for name in _REDUCTIONS - {"all", "any"}}
_OPERANDS = {"b", "y", "a2", "a_min", "a_max", "test_elements", "v", "weights", "x2"}


def wrapped(result: Any, source: Any = None) -> Any:
    """Return NumPy's result as arrays of the device; a Python scalar becomes a 0-d array, as all results are."""
    if isinstance(result, list):
        return [wrapped(part, source) for part in result]
    if isinstance(result, tuple):
        parts = [wrapped(part, source) for part in result]
        return type(result)(*parts) if hasattr(result, "_fields") else tuple(parts)
    if type(source) is ndarray:
        if result is source._host:
            return source
        if np.may_share_memory(result, source._host):
            return view(source, result)
    return new(result)


def _hosts(value: Any) -> Any:
    """Return an argument for NumPy: arrays' memory, also inside of sequences; NumPy's own arrays are refused."""
    if type(value) is ndarray:
        return memory(value)
    if isinstance(value, list | tuple):
        return type(value)([_hosts(part) for part in value])
    if isinstance(value, np.ndarray):
        raise unsupported(value)
    return value


def _renamed(sign: Signature, plain: Callable[..., Any]) -> dict[str, str]:
    """Return NumPy's names of the keywords that it calls otherwise."""
    try:
        theirs = list(inspect.signature(plain).parameters)
    except ValueError:
        return {}
    pairs = zip(sign.positional, theirs, strict=False)
    return {ours: name for ours, name in pairs if ours != name and ours not in theirs}


def function(name: str, plain: Callable[..., Any], owner: str = "namespace") -> Callable[..., Any]:
    """Return NumPy's function as CuPy's of that name."""
    sign = signature(owner, name)
    renamed = _renamed(sign, plain)
    first = sign.positional[0] if sign.positional else ""
    out_at = sign.positional.index("out") if "out" in sign.positional else None
    watched = {i: p for i, p in enumerate(sign.positional) if p in _OPERANDS and i}
    fusable = name in MODELLED["fusable"]
    sharing, waits = name in MODELLED["views"], name in MODELLED["syncs"]
    handed_on = TABLE["handed_on"].get(name)
    compute = _UNLIKE_NUMPY.get(name, plain) if owner == "namespace" else plain
    axis_at = sign.positional.index("axis") if name in _REDUCTIONS else None

    def call(*args: Any, **kwargs: Any) -> Any:
        sign.check(args, kwargs)
        if STATE.fusing and not fusable:
            not_fusable(name)
        source = args[0] if args else kwargs.get(first)
        if type(source) is not ndarray and name not in _VARIADIC:
            if handed_on and not isinstance(source, list | tuple):  # `cp.sum(numpy_array)` is `numpy_array.sum()`
                return getattr(source, handed_on)(*args[1:], **kwargs)
            _check_first(source)
        if axis_at is not None and type(source) is ndarray and source.ndim == 0:
            axis = args[axis_at] if axis_at < len(args) else kwargs.get("axis")
            if isinstance(axis, int):  # NumPy takes 0 and −1
                raise np.exceptions.AxisError(axis, 0)
        for position, parameter in watched.items():
            operand = args[position] if position < len(args) else kwargs.get(parameter)
            if isinstance(operand, list | tuple):
                raise unsupported(operand)
            if name in _PRODUCTS and parameter == "b" and type(operand) is not ndarray:
                raise _no_array(parameter, operand)
        out = kwargs.get("out")
        if out_at is not None and out_at < len(args):
            out = args[out_at]
        if out is not None and type(out) is not ndarray:
            raise TypeError(f"Argument 'out' has incorrect type (expected ndarray, got {type(out).__name__})")
        hosts = [x._host if sharing and type(x) is ndarray else _hosts(x) for x in args]
        keywords = {renamed.get(key, key): _hosts(value) for key, value in kwargs.items()} if kwargs else {}
        with np.errstate(all="ignore"):
            result = compute(*hosts, **keywords)
        if waits:
            synchronized()
        if out is not None:
            launched()
            return out
        if name in _VARIADIC and len(args) > 1:
            arrays = tuple(wrapped(part, each) for part, each in zip(result, args, strict=True))
        else:
            arrays = wrapped(
                result if sharing or owner == "linalg" else _in_c_order(result), source if sharing else None
            )
        if not (sharing and _are_views(arrays, args)):
            launched()
        return arrays

    def _check_first(source: Any) -> None:
        if name in _SEQUENCES:
            for part in source:
                if type(part) is ndarray and not part.ndim and name in ("concat", "concatenate"):
                    raise TypeError("zero-dimensional arrays cannot be concatenated")
                if type(part) is not ndarray:
                    raise TypeError(f"Only cupy arrays can be joined, got {type(part)}")
        elif isinstance(source, list | tuple):
            raise AttributeError(f"{type(source).__name__!r} object has no attribute {handed_on or name!r}")
        elif isinstance(source, np.ndarray) or type(source) not in SCALARS or name not in ("allclose", "isclose"):
            raise _no_array(first, source)

    call.__name__ = name
    return call


def _in_c_order(result: Any) -> Any:
    return in_c_order(result) if isinstance(result, np.ndarray) else result


def _no_array(parameter: str, value: Any) -> TypeError:
    return TypeError(
        f"Argument {parameter!r} has incorrect type (expected cupy._core.core._ndarray_base, "
        f"got {type(value).__name__})"
    )


def _are_views(arrays: Any, args: tuple[Any, ...]) -> bool:
    """Whether all results are views, or the arguments themselves."""
    parts = arrays if isinstance(arrays, list | tuple) else [arrays]
    return all(part.base is not None or any(part is x for x in args) for part in parts)


def _arg_extreme(plain: Callable[..., Any]) -> Callable[..., Any]:
    def index(a: Any, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        found = np.asarray(plain(a, axis=axis, out=out, keepdims=keepdims))
        return found if dtype is None else found.astype(dtype)

    return index


def _summed(plain: Callable[..., Any]) -> Callable[..., Any]:
    """Return the sum or mean as a GPU forms it: in another order than NumPy."""

    def summed(a: Host, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Any:
        result = plain(a, axis=axis, dtype=dtype, keepdims=keepdims)
        if is_noisy(a):
            result = noisy_sum(a, axis, keepdims, result)
        return result if out is None else written(result, (out,), casting="unsafe")

    return summed


def _scanned(plain: Callable[..., Any], step: np.ufunc) -> Callable[..., Any]:
    def partial(a: Host, axis: Any = None, dtype: Any = None, out: Any = None) -> Any:
        if a.dtype != np.float16 or dtype is not None or out is not None:
            return plain(a, axis, dtype, out)
        return scanned(step, a, axis)

    return partial


def _dotted(plain: Callable[..., Any]) -> Callable[..., Any]:
    def dotted(a: Host, b: Host, *args: Any, **kwargs: Any) -> Any:
        if is_half_dot(a, b) and not (args or kwargs):
            return half_dot(a, b)
        result = np.asarray(plain(a, b, *args, **kwargs))
        out = kwargs.get("out")
        if not is_noisy(a, b) or max(a.size, b.size) <= 1 or out is not None:
            return result
        options = {name: value for name, value in kwargs.items() if name != "out"}
        return noisy_product([a, b], lambda x, y: plain(x, y, *args, **options), result)

    return dotted


_UNLIKE_NUMPY = {
    "sum": _summed(np.sum),
    "mean": _summed(np.mean),
    "cumsum": _scanned(np.cumsum, np.add),
    "cumprod": _scanned(np.cumprod, np.multiply),
    **{name: _dotted(getattr(np, name)) for name in ("dot", "inner", "tensordot", "vdot")},
}
"""The functions that give other values than NumPy's."""


def method(name: str, host: Callable[..., Any]) -> Callable[..., Any]:
    """Return `x.sum(...)`, say, from `cp.sum(x, ...)`."""
    sign = signature("ndarray", name)

    def call(self: ndarray, *args: Any, **kwargs: Any) -> Any:
        return host(self, **sign.named(args, kwargs))

    call.__name__ = name
    return call


# Where CuPy's rules are not NumPy's.


def where(condition: Any, x: Any = None, y: Any = None) -> Any:
    """Return x where the condition holds, else y; of the condition alone, the indices where it does."""
    if (x is None) != (y is None):
        raise ValueError("Must provide both 'x' and 'y' or neither.")
    if x is None:
        return function("nonzero", np.nonzero)(condition)
    mask, x, y = to_host(condition.astype("?", copy=False)), to_host(x), to_host(y)
    check_scalars(np.result_type(x, y), x, y)
    result = in_c_order(np.where(mask, x, y))
    if type(condition) is ndarray and condition.dtype != bool:
        launched()
    launched()
    return new(result)


def clip(a: Any, a_min: Any, a_max: Any, out: Any = None) -> Any:
    """Return the array limited to an interval; both limits must be given."""
    if type(a) is not ndarray:
        return a.clip(a_min, a_max, out)
    low, high = [None if bound is None else to_host(bound) for bound in (a_min, a_max)]
    result = in_c_order(clipped(memory(a), low, high))
    if out is not None:
        written(result, (memory(out),))
    launched()
    return new(result) if out is None else out


def take_along_axis(a: ndarray, indices: ndarray, axis: int | None) -> ndarray:
    """Return one element for each index, along an axis; indices beyond it wrap round."""
    source, at = memory(a), memory(indices)
    launched()
    return new(np.take_along_axis(source, at % (source.size if axis is None else source.shape[axis]), axis))


def put_along_axis(arr: ndarray, indices: ndarray, values: Any, axis: int) -> None:
    """Store one element for each index, along an axis; indices beyond it wrap round."""
    at = memory(indices)
    index = list(np.ogrid[tuple(slice(n) for n in at.shape)])
    setitem(arr, tuple(new(part) for part in [*index[:axis], at, *index[axis + 1 :]]), values)


def copyto(dst: ndarray, src: Any, casting: str = "same_kind", where: Any = None) -> None:
    """Copy values into an array."""
    if isinstance(src, np.ndarray):
        if src.ndim:
            raise ValueError("non-scalar numpy.ndarray cannot be used for copyto")
        src = src.item()
    np.copyto(memory(dst), to_host(src), casting, True if where is None else to_host(where))
    launched()


def einsum(*operands: Any, **kwargs: Any) -> ndarray:
    """Return Einstein's sum: one launch, here; CuPy makes of it transposes, products and sums."""
    options = {name: kwargs.pop(name) for name in ("dtype", "optimize") if name in kwargs}
    if kwargs:
        raise TypeError(f"Did not understand the following kwargs: {list(kwargs)}")
    hosts = [x if isinstance(x, str | list) else to_host(x) for x in operands]
    arrays = [x for x in operands if type(x) is ndarray]
    with np.errstate(all="ignore"):
        made = np.asarray(np.einsum(*hosts, **options))
    if len(arrays) == 1 and np.may_share_memory(made, arrays[0]._host):
        return view(arrays[0], made)
    memories = [x._host for x in arrays]
    if is_noisy(*memories):

        def product(*sizes: Any) -> Any:
            left = iter(sizes)
            return np.einsum(*[next(left) if isinstance(x, np.ndarray) else x for x in hosts], **options)

        made = noisy_product(memories, product, made)
    launched()
    return new(np.array(made))


def functions() -> dict[str, Callable[..., Any]]:
    """Return all functions of the namespace that this file models."""
    table: dict[str, Callable[..., Any]] = {**UFUNCS, **creation()}
    for name in (*MODELLED["views"], *MODELLED["syncs"], *MODELLED["launches"]):
        plain = getattr(np, name)
        table[name] = function(name, _arg_extreme(plain) if name.removeprefix("nan") in ("argmax", "argmin") else plain)
    for name in MODELLED["host"]:
        table[name] = _looking(name)
    for name in MODELLED["makers"]:
        table[name] = maker(name)
    table |= {f.__name__: f for f in (where, clip, take, take_along_axis, put_along_axis, copyto, einsum)}
    for name in ("astype", "copy", "reshape", "transpose"):
        table[name] = _by_method(name)
    return table


def _looking(name: str) -> Callable[..., Any]:
    sign, plain = signature("namespace", name), getattr(np, name)

    def look(*args: Any, **kwargs: Any) -> Any:
        sign.check(args, kwargs)
        return plain(*[x._host if type(x) is ndarray else x for x in args], **kwargs)

    return look


def _by_method(name: str) -> Callable[..., Any]:
    sign = signature("namespace", name)

    def call(*args: Any, **kwargs: Any) -> Any:
        arguments = list(sign.named(args, kwargs).values())
        return getattr(arguments[0], name)(*[x for x in arguments[1:] if x is not None])

    return call
