"""Arrays that count what is computed with them: calls of NumPy, element operations, arrays made and their bytes.

    with counted() as counts:
        x = Tensor(np.ones((128, 784), np.float32))     # its array is a CountedArray
        x @ x.T
    counts.elements                                     # 2 · 128 · 128 · 784

Time is noisy; what a program asks of NumPy is the same number on every machine, in every run. What a call is worth:

- elementwise: one operation for each element of its result, broadcast;
- a reduction, and a cumulative sum: one for each element that goes in;
- a matrix product of (M, K) and (K, N): 2·M·N·K, a product and a sum each; einsum: for each combination of indices, as
  many as it has operands;
- a factorization of an N by N matrix: the highest power of N in what LAPACK takes, such as 2·N³/3 for a determinant;
- a copy, a conversion, a fill, a gather and a scatter: one for each element that is written;
- a view, and memory that is not filled: none.

Only calls that the framework makes are seen, not what NumPy does inside them, so that the figures do not depend on the
version of NumPy. Numbers that are no arrays are not counted: 0-d results are arrays here.
"""

import math
import operator
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np

from tinygrad_sm import arrays, backend


@dataclass
class Counts:
    """What was counted so far."""

    array_calls: int = 0
    elements: int = 0
    arrays_made: int = 0
    bytes_made: int = 0

    def reset(self) -> None:
        """Forget what was counted."""
        vars(self).update(vars(Counts()))

    def add(self, elements: int, made: Any = None) -> None:
        """Count one call, and the array that it made if it is no view."""
        self.array_calls += 1
        self.elements += elements
        if made is not None:
            self.arrays_made += 1
            self.bytes_made += made.nbytes


COUNTS = Counts()


@contextmanager
def counted() -> Iterator[Counts]:
    """Let the framework take CountedArray for NumPy's array, the counts at zero; all arrays it makes are counted.

    It must be the very paths of the host that are counted, and they ask for `HostArray` and `HOST_TYPES`.
    """
    global COUNTS
    COUNTS = Counts()
    modules = [module for name, module in sys.modules.items() if name.startswith("tinygrad_sm")]
    with ExitStack() as patches:
        for module in modules:
            if vars(module).get("HostArray") is np.ndarray:
                patches.enter_context(patch.object(module, "HostArray", CountedArray))
        for module in (arrays, backend):
            patches.enter_context(patch.object(module, "np", COUNTING))
        patches.enter_context(patch.dict(backend._MODULES, {CountedArray: COUNTING}, clear=True))
        patches.callback(backend.HOST_TYPES.symmetric_difference_update, {CountedArray, np.ndarray})
        backend.HOST_TYPES.symmetric_difference_update({CountedArray, np.ndarray})
        patches.callback(backend.PLAIN_OPERANDS.symmetric_difference_update, {CountedArray, np.ndarray})
        backend.PLAIN_OPERANDS.symmetric_difference_update({CountedArray, np.ndarray})
        yield COUNTS


class CountedArray(np.ndarray[Any, Any]):
    """An array of NumPy whose operators, methods and functions count themselves."""

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **kwargs: Any) -> Any:
        if method == "at":
            target, index, *values = _plain(inputs)
            COUNTS.add(np.size(target[index]))
            return ufunc.at(target, index, *values)
        name = ufunc.__name__ if method == "__call__" else method
        return _call(name, getattr(ufunc, method), inputs, kwargs)

    def __array_function__(self, func: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return _call(func.__name__, func, args, kwargs)

    def __getitem__(self, index: Any) -> Any:
        return _call("getitem", operator.getitem, (self, index), {})

    def __setitem__(self, index: Any, value: Any) -> None:
        target, index = _plain(self), _plain(index)
        COUNTS.add(np.size(target[index]))
        target[index] = _plain(value)

    @property
    def T(self) -> Any:  # noqa: N802
        """The view with reversed axes."""
        return self.transpose()


def _method(name: str) -> Callable[..., Any]:
    plain = getattr(np.ndarray, name)
    return lambda self, *args, **kwargs: _call(name, plain, (self, *args), kwargs)


METHODS = (
    *(
        "all",
        "any",
        "argmax",
        "argmin",
        "argpartition",
        "argsort",
        "astype",
        "clip",
        "conj",
        "copy",
        "cumprod",
        "cumsum",
    ),
    *(
        "diagonal",
        "dot",
        "fill",
        "flatten",
        "max",
        "mean",
        "min",
        "nonzero",
        "partition",
        "prod",
        "put",
        "ravel",
        "repeat",
    ),
    *("reshape", "round", "searchsorted", "sort", "squeeze", "sum", "swapaxes", "take", "trace", "transpose"),
)
"""Methods that NumPy does not make of ufuncs, or not in every version. Of these, var and std are made."""

for _name in METHODS:
    setattr(CountedArray, _name, _method(_name))


class CountingModule(ModuleType):
    """NumPy, of which each function gives a CountedArray and counts itself, as ufuncs do; types are NumPy's own."""

    def __getattr__(self, name: str) -> Any:
        value = getattr(np, name)
        if isinstance(value, type | ModuleType | np.ufunc) or not callable(value):
            return value
        return lambda *args, **kwargs: _call(name, value, args, kwargs)


COUNTING = CountingModule("counting")


def _plain(x: Any) -> Any:
    """Return NumPy's own arrays for counted ones, also in sequences and dicts."""
    if isinstance(x, CountedArray):
        return x.view(np.ndarray)
    if isinstance(x, list | tuple):
        return type(x)([_plain(part) for part in x])
    return {key: _plain(part) for key, part in x.items()} if isinstance(x, dict) else x


def _call(name: str, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
    """Call a function of NumPy on what is inside of counted arrays, count it, and give a counted array."""
    result = function(*_plain(args), **_plain(kwargs))
    if name == "slogdet":
        sign, logarithm = map(np.asarray, result)
        COUNTS.add(_elements(name, args, sign), sign)
        return sign.view(CountedArray), logarithm.view(CountedArray)
    if isinstance(result, list | tuple):
        raise NotImplementedError(f"{name} has several results: the counter does not know what they cost")
    out = args[0] if result is None else kwargs.get("out")  # what changes an array in place gives None
    if out is not None:
        COUNTS.add(_elements(name, args, result))
        return result if result is None else out[0] if isinstance(out, tuple) else out
    if not isinstance(result, np.ndarray | np.generic):
        return result
    array = np.asarray(result)
    for x in _arrays_in(args):
        if np.may_share_memory(array, x):
            COUNTS.add(0)
            is_itself = type(x) is CountedArray and x.__array_interface__ == array.__array_interface__
            return x if is_itself else array.view(CountedArray)
    COUNTS.add(_elements(name, args, result), array)
    return array.view(CountedArray)


def _arrays_in(args: Any) -> list[Any]:
    """Return the arrays among the arguments, also those in a sequence, as concatenate has them."""
    parts = [part for x in args for part in (x if isinstance(x, list | tuple) else [x])]
    return [x for x in parts if isinstance(x, np.ndarray)]


FACTORIZATIONS = {"inv": 2, "solve": 2 / 3, "det": 2 / 3, "slogdet": 2 / 3, "cholesky": 1 / 3}
"""Functions of numpy.linalg, and how many operations they take for each N³; `solve` takes 2·N² more for each column."""


def _elements(name: str, args: Any, result: Any) -> int:
    """Return how many element operations a call took that is not a view."""
    if name in ("matmul", "dot", "inner", "vecdot"):
        return 2 * np.size(result) * args[0].shape[-1]
    if name == "einsum":
        formula, *operands = args
        terms = formula.split("->")[0].split(",")
        lengths = {c: n for term, x in zip(terms, operands, strict=True) for c, n in zip(term, x.shape, strict=True)}
        return math.prod(lengths.values()) * len(operands)
    if name in FACTORIZATIONS:
        n = args[0].shape[-1]
        return round(FACTORIZATIONS[name] * args[0].size * n) + (2 * np.size(result) * n if name == "solve" else 0)
    if name in ("empty", "empty_like"):
        return 0
    if name in ("getitem", "take"):
        return np.size(result)
    if result is None:
        return np.size(args[0])
    return max([np.size(result), *(x.size for x in _arrays_in(args))])
