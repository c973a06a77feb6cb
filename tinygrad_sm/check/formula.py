"""A formula: an element of the arrays on which `symbols` lets forwards and rules run.

>>> x = Formula(sp.Symbol("x", real=True), value=2.0)
>>> (x * x + 0.5).log()
log(x**2 + 1/2)

It is a SymPy expression, in which a float is the binary fraction that it is, and its value at one sample point. Two
things become conditions, which hold at that point: how comparisons turn out there, and that what is computed exists, as
a logarithm does for positive numbers only. So formulas hold in the region where all conditions do.
"""

import operator
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import numpy as np
import sympy as sp

from tinygrad_sm.errors import GradcheckError

CONDITIONS: ContextVar[dict[Any, None]] = ContextVar("conditions")  # relations of SymPy; outside a proof, none is kept


class Formula:
    """An expression of variables, and its value at the sample point."""

    def __init__(self, expression: Any, value: Any):
        self.expression, self.value = expression, np.float64(value)

    __neg__ = lambda self: self * -1  # noqa: E731
    __abs__ = lambda self: self if self > 0 else -self  # noqa: E731
    __bool__ = lambda self: self != 0  # noqa: E731
    __ceil__ = lambda self: -(-self).__floor__()  # noqa: E731
    __mod__ = lambda self, other: self - other * (self // other)  # noqa: E731
    __floordiv__ = lambda self, other: (self / other).__floor__()  # noqa: E731

    def __floor__(self: Any) -> "Formula":
        """Return ⌊self⌋, which is the same number as long as self is between it and the next one."""
        below: Any = as_formula(np.floor(self.value))
        is_known = below < self and self < below + 1  # this makes both conditions of the proof
        return as_formula(below if is_known else np.nan)

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


def _method(value: Callable[..., Any], expression: Callable[..., Any], exists: Callable[..., Any] | None = None) -> Any:
    """Return the method that computes the value with one function, and the expression with another.

    exists : compares the operands, so that where the result exists becomes a condition.
    """

    def method(*operands: Any) -> Formula:
        given = list(map(as_formula, operands))
        if exists is not None:
            exists(*given)
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
        if not {x, y} & {sp.oo, -sp.oo, sp.nan}:  # variables are finite
            relation = sp.Ne if holds in (operator.eq, operator.ne) else sp.Lt if a.value < b.value else sp.Gt
            CONDITIONS.get({})[relation(x, y)] = None
        return bool(holds(a.value, b.value))

    return method


def _power_exists(a: Any, b: Any) -> bool:
    """Compare the base with 0, unless the exponent is a natural number, or unless the base is a number."""
    if a.expression.is_number or (b.expression.is_integer and b.value >= 0):
        return True
    return bool(a != 0) if b.expression.is_integer else bool(a > 0)


for _name in ("lt", "le", "gt", "ge", "eq", "ne"):
    setattr(Formula, f"__{_name}__", _comparison(getattr(operator, _name)))
_EXISTS: dict[str, Callable[..., Any]] = {
    "truediv": lambda a, b: b != 0,
    "pow": _power_exists,
    "log": lambda x: x > 0,
    "log2": lambda x: x > 0,
    "log10": lambda x: x > 0,
    "log1p": lambda x: x > -1,
    "sqrt": lambda x: x > 0,  # where its derivative exists too
}
for _name in ("add", "sub", "mul", "truediv", "pow"):
    _forward = _method(getattr(operator, _name), getattr(operator, _name), _EXISTS.get(_name))
    setattr(Formula, f"__{_name}__", _forward)
    setattr(Formula, f"__r{_name}__", lambda self, other, forward=_forward: forward(other, self))
_EXPRESSIONS = {name: getattr(sp, name) for name in ("exp", "log", "sin", "cos", "tan", "sinh", "cosh", "tanh", "sqrt")}
_EXPRESSIONS |= {"arctan": sp.atan, "arctan2": sp.atan2, "arcsin": sp.asin, "arccos": sp.acos, "exp2": lambda x: 2**x}
_EXPRESSIONS |= {"log2": lambda x: sp.log(x, 2), "log10": lambda x: sp.log(x, 10), "log1p": lambda x: sp.log(1 + x)}
_EXPRESSIONS |= {"expm1": lambda x: sp.exp(x) - 1}
for _name, _expression in _EXPRESSIONS.items():  # np.exp calls the method `exp` of each element
    setattr(Formula, _name, _method(getattr(np, _name), _expression, _EXISTS.get(_name)))
