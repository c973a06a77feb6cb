"""How Python's operators and NumPy's own functions reach the operations: t + u, 2 * t, np.sum(t, axis=0).

Python calls a method of one of the operands: `__add__` of the one on the left, or `__radd__` of the one on the right.

NumPy lets an argument take over a function, by its method `__array_ufunc__` (NEP 13) or `__array_function__` (NEP 18).
A Tensor then calls the function's twin: the operation that does the same and has a gradient rule. Functions that only
ask a question about values return plain arrays, as comparisons do. So do all others if no Tensor among their arguments
requires a gradient, and else they are refused: a result without its history would make gradients silently wrong.
"""

import functools
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tinygrad_sm import linalg as linalg_names
from tinygrad_sm import names
from tinygrad_sm.backend import NUMBERS, PLAIN_OPERANDS, Array, HostArray, axis_of, check_same_device
from tinygrad_sm.dtypes import check_unmasked
from tinygrad_sm.engine.mode import current_mode
from tinygrad_sm.engine.primitive import as_operand, holds_traced
from tinygrad_sm.engine.tape import Traced, data_of
from tinygrad_sm.engine.versions import LEAVES_LOCK
from tinygrad_sm.errors import GradientError
from tinygrad_sm.ops import composed, elementary, elementwise, linalg, manipulation, products, reductions, shaping

TWINS: dict[Callable[..., Any], Callable[..., Any]] = {
    getattr(np, name): operation
    for module in (elementwise, elementary, shaping, reductions, linalg, composed, manipulation, products)
    for name, operation in vars(module).items()
    if hasattr(np, name) and getattr(operation, "__module__", None) == module.__name__
}
"""For each NumPy function the operation of the same name; if two files have one, that of the later, as in `tg`."""

TWINS |= {
    np.amax: reductions.max,
    np.amin: reductions.min,
    np.around: elementary.round,
    **{getattr(np.linalg, name): getattr(linalg_names, name) for name in linalg_names.__all__},
}

_OUR_NAMES = {"a_min": "min", "a_max": "max", "newshape": "shape", "correction": "ddof"}
"""NumPy's names of parameters, and the twins' names for them, where they differ."""

NON_DIFFERENTIABLE = {
    *(np.equal, np.not_equal, np.less, np.less_equal, np.greater, np.greater_equal),
    *(np.isfinite, np.isinf, np.isnan, np.signbit, np.isclose, np.allclose, np.array_equal),
    *(np.any, np.all, np.logical_and, np.logical_or, np.logical_xor, np.logical_not),
    *(np.iscomplexobj, np.shares_memory, np.may_share_memory),
    *(np.argmax, np.argmin, np.argsort, np.argwhere, np.nonzero, np.count_nonzero, np.searchsorted),
    *(np.shape, np.ndim, np.size, np.result_type, np.zeros_like, np.ones_like, np.empty_like),
    np.full_like,  # of a value that requires no gradient
}
"""Functions whose results can have no gradient: they are computed on the arrays."""

_WRITERS = {np.copyto, np.fill_diagonal, np.place, np.put, np.put_along_axis, np.putmask}
"""Functions that change their first argument in place."""

_NO_COMPLEX = "another framework, as complex numbers carry no gradients here"

_ADVICE: dict[Any, str] = {
    np.append: "tg.concatenate",
    np.atleast_3d: "t.reshape",
    np.average: "(weights * t).sum() / weights.sum()",
    np.block: "tg.hstack and tg.vstack",
    np.column_stack: "tg.stack(..., axis=1) or tg.hstack",
    np.dstack: "tg.stack(..., axis=2)",
    np.fliplr: "tg.flip(t, 1)",
    np.flipud: "tg.flip(t, 0)",
    np.fmod: "tg.remainder, which has the sign of b",
    np.hypot: "tg.sqrt(a * a + b * b)",
    np.nan_to_num: "tg.where",
    np.ptp: "t.max() - t.min()",
    np.select: "tg.where",
    np.trunc: "tg.sign(t) * tg.floor(tg.abs(t))",
    np.vdot: "tg.dot(tg.ravel(a), tg.ravel(b))",
    **{getattr(np, name): names.PACKAGE[name].replace("  #", ",") for name in ("diff", "sort")},
    **{getattr(np.linalg, name): names.LINALG[name].replace("  #", ",") for name in ("lstsq", "pinv")},
    **dict.fromkeys((np.linalg.eigh, np.linalg.eigvalsh, np.linalg.qr, np.linalg.svd), "tg.linalg.solve or cholesky"),
    **dict.fromkeys((np.angle, np.linalg.eig, np.linalg.eigvals), _NO_COMPLEX),
}
"""What to write instead of NumPy's functions that have no twin; for those of np.fft see `_no_twin`."""


def operators(op: Any, name: str) -> tuple[Callable[[Any, Any], Any], Callable[[Any, Any], Any]]:
    """Return the methods of a binary operator, with the Tensor on the left and on the right; `name` is as in `__mul__`.

    For an operand of an unknown type that has a method of its own for the right side, the left one returns
    NotImplemented, and so Python calls that method: t * x is x.__rmul__(t), for x of xarray or SciPy's sparse arrays.
    """
    call, reflected = op.__call__, f"__r{name}__"  # calling `op` itself would look its method up each time

    def left(self: Any, other: Any) -> Any:
        if type(other) in PLAIN_OPERANDS or isinstance(other, _KNOWN):
            return call(self, other)
        return NotImplemented if _answers_itself(other, reflected) else call(self, other)

    return left, lambda self, other: call(other, self)


_KNOWN = (Traced, HostArray, np.generic, *NUMBERS)


def _answers_itself(x: Any, method: str) -> bool:
    """Whether x has a method for what is to be done; sequences, and arrays that know DLPack, become operands here."""
    is_ours = isinstance(x, (*_KNOWN, Sequence)) or hasattr(x, "__dlpack__")
    return not is_ours and hasattr(type(x), method)


def comparison(compare: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Array]:
    """Return the method of a comparison, which gives a plain array: no gradient passes through it."""

    def method(self: Any, other: Any) -> Array:
        check_unmasked(other)
        try:
            return compare(self.data, data_of(other))
        except TypeError:
            if isinstance(other, list | tuple) and holds_traced(other):
                return compare(self.data, data_of(as_operand(other)))
            check_same_device("a comparison", [self.data, data_of(other)])
            raise

    return method


def in_place(name: str, compute: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return the method of an augmented operator such as `-=`.

    It changes in place what training changes: leaves that require a gradient, and the state of Modules. As in NumPy,
    shape and dtype stay. For other Tensors it returns NotImplemented, and so Python makes a new Tensor.
    """

    def method(self: Any, other: Any) -> Any:
        if self.node is not None or not (self.requires_grad or self.is_state):
            return NotImplemented
        if current_mode().record:
            raise GradientError(
                f"t {name} u would change a leaf in place while operations are recorded: put it into a block of "
                f"with tg.no_grad(), or let an optimizer of nn.optim do it; t = t {name[:-1]} u makes a new Tensor"
            )
        if type(other) not in NUMBERS:  # which take the dtype of the data
            other = data_of(as_operand(other, beside=self))
        check_same_device(name, [self.data, other])
        with LEAVES_LOCK:  # nobody else may change it between reading and writing
            return self._set(compute(self.data, other), name)

    return method


def array_ufunc(tensor: Any, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
    """Compute for NumPy a ufunc, such as np.exp, that has a Tensor among its inputs.

    For an input that answers itself it returns NotImplemented, and so NumPy asks that one: np.add(t, x) is as t + x.
    """
    if any(_answers_itself(x, "__array_ufunc__") for x in inputs):
        return NotImplemented
    if method != "__call__":
        raise TypeError(
            f"{_name(ufunc)}.{method} is not for Tensors: use tg.sum, tg.prod, tg.cumsum, tg.outer, ..., or give it "
            "t.numpy() if no gradient needs to pass"
        )
    if kwargs:
        raise TypeError(
            f"{_name(ufunc)} on Tensors takes no {', '.join(kwargs)}: they are not written into arrays, so write "
            "a = a + t for a += t, and convert with .astype"
        )
    if getattr(np, ufunc.__name__, None) is not ufunc:  # another library's
        raise _no_twin(ufunc)
    return _dispatch(ufunc, inputs, {})


def array_function(tensor: Any, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
    """Compute for NumPy a function, such as np.sum, that has a Tensor among its arguments."""
    if not all(issubclass(kind, (Traced, HostArray)) or hasattr(kind, "__dlpack__") for kind in types):
        return NotImplemented  # another library's, which NumPy then asks
    if function in TWINS:
        args, kwargs = _translate_arguments(TWINS[function], function, args, kwargs)
    return _dispatch(function, args, kwargs)


def _dispatch(function: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    if function in TWINS:
        twin = TWINS[function]
        try:
            return twin(*args, **kwargs)
        except TypeError as error:
            error.add_note(f"np.{function.__name__} on Tensors is {twin!r}: out= and the like are not for them")
            raise
    if function is np.full_like:
        _check_fill_value(*args, **kwargs)
    if function not in NON_DIFFERENTIABLE and any(x.requires_grad for x in _tensors([args, kwargs])):
        raise _no_twin(function)
    first = [*args[:1], *(kwargs.get(name) for name in ("a", "arr", "dst"))] if function in _WRITERS else []
    if list(_tensors([*first, kwargs.get("out")])):
        raise TypeError(
            f"{_name(function)} would change a Tensor in place: set the data of a leaf with t.assign(array)"
        )
    arrays, options = _with_arrays(list(args)), _with_arrays(kwargs)
    if arrays and "axis" in options and function in NON_DIFFERENTIABLE:
        options["axis"] = axis_of(arrays[0], options["axis"])
    return function(*arrays, **options)


def _tensors(x: Any) -> Iterator[Traced]:
    """Yield the Tensors in nested lists, tuples and dicts."""
    if isinstance(x, Traced):
        yield x
    elif isinstance(x, list | tuple | dict):
        for part in x.values() if isinstance(x, dict) else x:
            yield from _tensors(part)


def _with_arrays(x: Any) -> Any:
    """Return x with the arrays of the Tensors in it, as read-only views: no function may change a Tensor in place."""
    if isinstance(x, dict):
        return {name: _with_arrays(part) for name, part in x.items()}
    if type(x) in (list, tuple):
        return type(x)(map(_with_arrays, x))
    if not isinstance(x, Traced) or type(x.data) is not HostArray:
        return data_of(x)
    view = x.data.view()
    view.flags.writeable = False
    return view


def _no_twin(function: Any) -> TypeError:
    name = _name(function)
    usual = _NO_COMPLEX if name.startswith("np.fft.") else "the operations of tinygrad_sm"
    return TypeError(
        f"{name} has no twin here through which gradients pass: use {_ADVICE.get(function, usual)}, or give it "
        "t.numpy() if none needs to pass"
    )


def _name(function: Any) -> str:
    """Return a function's name as one writes it, np.exp; ufuncs of other libraries do not tell their module."""
    module = "numpy" if getattr(np, function.__name__, None) is function else getattr(function, "__module__", None)
    return f"{module.replace('numpy', 'np')}.{function.__name__}" if module else str(function.__name__)


@functools.cache
def _signature(function: Any) -> inspect.Signature | None:
    """Return the parameters of a function, None for those that are written in C and do not tell them."""
    try:
        return inspect.signature(function)
    except ValueError:
        return None


def _translate_arguments(twin: Any, function: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the arguments of NumPy's function as its twin takes them: operands by position, all else by our names.

    Positions are NumPy's: the third argument of np.sum is dtype, that of tg.sum is keepdims. The twin refuses arguments
    that it does not have, such as `out`, unless they have NumPy's default.
    """
    ours, theirs = _signature(twin), _signature(function)
    if theirs is None or ours is None:
        return args, kwargs
    if any(p.kind is p.VAR_POSITIONAL for p in theirs.parameters.values()):  # np.einsum, whose operands have no names
        defaults = {"out": None, "dtype": None, "order": "K", "casting": "safe"}
        return args, {
            name: value
            for name, value in kwargs.items()
            if not (name in defaults and _is_default(value, defaults[name]))
        }
    bound = theirs.bind(*args, **kwargs)
    operands = max(1, sum(p.kind is p.POSITIONAL_ONLY for p in ours.parameters.values()))
    given: list[Any] = []
    named: dict[str, Any] = {}
    for name, value in bound.arguments.items():
        parameter, our_name = theirs.parameters[name], _OUR_NAMES.get(name, name)
        if our_name in named:
            raise TypeError(f"np.{function.__name__}: expected one {our_name}, got two: NumPy has another name for it")
        if parameter.kind is parameter.VAR_KEYWORD:
            named |= value
        elif len(given) < operands:
            given.append(value)
        elif our_name in ours.parameters or not _is_default(value, parameter.default):
            named[our_name] = value
    return given, named


def _is_default(value: Any, default: Any) -> bool:
    return value is default or (isinstance(value, str) and value == default)


def check_history(data: Any) -> None:
    """Raise TypeError if nested lists hold a Tensor that requires a gradient, which would be lost in an array."""
    if holds_traced(data) and any(x.requires_grad for x in _tensors(data)):
        raise TypeError(
            "Tensor: expected numbers, got a list with a Tensor that requires a gradient, which would be lost: write "
            "tg.stack(list), through which it passes, or t.detach()"
        )


def _check_fill_value(a: Any, fill_value: Any, *args: Any, **kwargs: Any) -> None:
    check_constant("np.full_like", fill_value)


def check_constant(caller: str, value: Any) -> None:
    """Raise TypeError if the value to fill an array with requires a gradient, which would be lost, or is masked."""
    check_unmasked(value)
    if isinstance(value, Traced) and value.requires_grad:
        raise TypeError(
            f"{caller}: no gradient passes to the value: write tg.broadcast_to(value, shape) or value.detach()"
        )
