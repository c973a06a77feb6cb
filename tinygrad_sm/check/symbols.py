"""Arrays of formulas: an array module on which a forward, and its gradient rules, give formulas instead of numbers.

>>> from tinygrad_sm.ops.softmax import softmax
>>> softmax(variables("x", np.array([0.0, 1.0]))).tolist()
[exp(x[0] - x[1])/(exp(x[0] - x[1]) + 1), 1/(exp(x[0] - x[1]) + 1)]

NumPy computes with all objects that have operators, and np.exp with those that have a method `exp`. So its own arrays
of objects will do: this class lets them pass for float64, and keeps every element a `Formula`.
"""

from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import sympy as sp

from tinygrad_sm.backend import register_array_module
from tinygrad_sm.check.formula import Formula, as_formula


class Formulas(np.ndarray[Any, Any]):
    """An array of formulas, which stand for float64; what a comparison of them gives is of this class too."""

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(float) if super().dtype == object else super().dtype

    def astype(self, dtype: Any, *args: Any, **kwargs: Any) -> Any:
        """Return formulas for a floating dtype, and a comparison's answers in any other."""
        return formulas(self) if np.dtype(dtype).kind == "f" else super().astype(dtype, *args, **kwargs)

    def __getitem__(self, index: Any) -> Any:
        result = super().__getitem__(index)  # a view, into which NumPy writes for x[index] = y
        return formulas(result) if isinstance(result, Formula) else result

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        return _as_formulas(array)  # also of shape (), where NumPy would return the element

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        return _as_formulas(super().__array_function__(function, types, args, kwargs))

    def __repr__(self) -> str:
        return repr(self.view(np.ndarray))


def formulas(numbers: Any) -> Formulas:
    """Return numbers as an array of formulas."""
    return np.asarray(np.frompyfunc(as_formula, 1, 1)(numbers), object).view(Formulas)


def _as_formulas(result: Any) -> Any:
    """Return a result of NumPy in this class, also one number; formulas take the place of numbers in its memory.

    So a view stays a view: what is written into it is written into the array.
    """
    if not isinstance(result, np.ndarray):
        return formulas(result) if isinstance(result, Formula) else result
    plain = result.view(np.ndarray)
    if plain.dtype == object and not all(isinstance(x, Formula) for x in plain.flat):
        plain[...] = formulas(plain)
    return formulas(plain) if plain.dtype.kind == "f" else plain.view(Formulas)


def sample_of(x: Formulas) -> Any:
    """Return the values at the sample point, in float64."""
    return np.asarray(np.frompyfunc(lambda formula: formula.value, 1, 1)(x.view(np.ndarray)), float)


def variables(name: str, values: Any) -> Formulas:
    """Return an array of variables, real numbers that have these values at the sample point."""
    made = np.empty(np.shape(values), object)
    for place, value in np.ndenumerate(values):
        subscript = f"[{','.join(map(str, place))}]" if place else ""
        made[place] = Formula(sp.Symbol(name + subscript, real=True), value)
    return made.view(Formulas)


def _as_strided(x: Formulas, shape: Any, strides: Any) -> Any:
    return np.lib.stride_tricks.as_strided(x.view(np.ndarray), shape, strides).view(Formulas)


_module = ModuleType("NumPy, except for what makes arrays, and functions that are not for objects")
vars(_module).update(
    vars(np),
    array=formulas,
    zeros=lambda shape, dtype: formulas(np.zeros(shape, dtype)),
    isfinite=lambda x: np.isfinite(sample_of(x)),
    lib=SimpleNamespace(stride_tricks=SimpleNamespace(as_strided=_as_strided)),
    logaddexp=lambda a, b: np.log(np.exp(a) + np.exp(b)),
)
register_array_module(Formulas, _module)
