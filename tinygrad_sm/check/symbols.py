"""Arrays of formulas: an array module on which a forward, and its gradient rules, give formulas instead of numbers.

>>> x = variables("x", np.array([0.5, 1.5]))
>>> (np.exp(x) / x.max()).tolist()
[exp(x[0])/x[1], exp(x[1])/x[1]]

NumPy computes with all objects that have operators, and np.exp with those that have a method `exp`. So an element is a
`Formula`: a SymPy expression, in which a float is the binary fraction that it is, and its value at one sample point.
Comparisons turn out as they do at that point, and become conditions: formulas hold in the region where these all do.
"""

import operator
from collections.abc import Callable
from contextvars import ContextVar
from types import ModuleType
from typing import Any

import numpy as np
import sympy as sp

from tinygrad_sm.backend import register_array_module
from tinygrad_sm.errors import GradcheckError

CONDITIONS: ContextVar[dict[Any, None]] = ContextVar("conditions")  # what was compared, as relations that are true


class Formula:
    """An expression of variables, and its value at the sample point."""

    def __init__(self, expression: Any, value: Any):
        self.expression, self.value = expression, np.float64(value)

    __neg__ = lambda self: self * -1  # noqa: E731
    __abs__ = lambda self: self if self > 0 else -self  # noqa: E731
    __bool__ = lambda self: self != 0  # noqa: E731

    def __repr__(self) -> str:
        return str(self.expression)


def as_formula(x: Any) -> Formula:
    """Return a number as a formula, exactly; the largest float stands for infinity, which no variable reaches."""
    number = x.item() if isinstance(x, np.generic | np.ndarray) else x
    if isinstance(number, Formula):
        return number
    if number is None or number != number:  # np.empty makes None
        return Formula(sp.nan, np.nan)
    return Formula(np.sign(number) * sp.oo if abs(number) >= np.finfo(float).max else sp.Rational(number), number)


def _method(value: Callable[..., Any], expression: Callable[..., Any]) -> Any:
    """Return the method that computes the value with one function, and the expression with another."""

    def method(*operands: Any) -> Formula:
        given = list(map(as_formula, operands))
        return Formula(expression(*(x.expression for x in given)), value(*(x.value for x in given)))

    return method


def _comparison(holds: Callable[[Any, Any], Any]) -> Any:
    """Return the method of a comparison: it answers for the sample point, and adds its answer to the conditions."""

    def method(a: Formula, b: Any) -> bool:
        b = as_formula(b)
        x, y = a.expression, b.expression
        if x == y or (np.isclose(a.value, b.value) and sp.simplify(x - y) == 0):
            return bool(holds(a.value, a.value))  # whatever rounding makes of their values
        if a.value == b.value:
            raise GradcheckError(f"not proved: {a} and {b} are equal at the sample point alone: choose another point")
        if np.isfinite(a.value - b.value):  # variables are finite
            relation = sp.Ne if holds in (operator.eq, operator.ne) else sp.Lt if a.value < b.value else sp.Gt
            CONDITIONS.get({})[relation(x, y)] = None
        return bool(holds(a.value, b.value))

    return method


for _name in ("lt", "le", "gt", "ge", "eq", "ne"):
    setattr(Formula, f"__{_name}__", _comparison(getattr(operator, _name)))
for _name in ("add", "sub", "mul", "truediv", "pow"):
    _forward = _method(getattr(operator, _name), getattr(operator, _name))
    setattr(Formula, f"__{_name}__", _forward)
    setattr(Formula, f"__r{_name}__", lambda self, other, forward=_forward: forward(other, self))
_EXPRESSIONS = {name: getattr(sp, name) for name in ("exp", "log", "sin", "cos", "tanh", "sqrt")}
_EXPRESSIONS |= {"arctan": sp.atan, "expm1": lambda x: sp.exp(x) - 1, "log1p": lambda x: sp.log(1 + x)}
for _name, _expression in _EXPRESSIONS.items():  # np.exp calls the method `exp` of each element
    setattr(Formula, _name, _method(getattr(np, _name), _expression))


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
    """Return a result of NumPy in this class, also one number; formulas stand where NumPy put numbers beside them."""
    if isinstance(result, Formula) or (isinstance(result, np.ndarray) and result.dtype.kind in "Of"):
        return formulas(result)
    return result.view(Formulas) if isinstance(result, np.ndarray) else result


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


_module = ModuleType("NumPy, except for what makes arrays, and functions that are not for objects")
vars(_module).update(
    vars(np),
    array=formulas,
    zeros=lambda shape, dtype: formulas(np.zeros(shape, dtype)),
    isfinite=lambda x: np.isfinite(sample_of(x)),
    logaddexp=lambda a, b: np.log(np.exp(a) + np.exp(b)),
)
register_array_module(Formulas, _module)
