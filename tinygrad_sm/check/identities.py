"""Identities of formulas: the gradient that the engine gives is SymPy's derivative of the forward, at every order.

With f(x) and one g for each output, the gradient is ∂⟨g, f(x)⟩/∂x. It is a function of x and g, like f one of x, so the
next order differentiates it in turn, with respect to both. Each order is proved as backward() computes it, and with the
walk itself recorded.

A difference of two formulas vanishes if its numerator over the common denominator is 0 once it is multiplied out. To
refute it, its value at the sample point, of 40 digits, is enough.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import mpmath
import numpy as np
import sympy as sp

from tinygrad_sm.check.formula import CONDITIONS, as_formula
from tinygrad_sm.check.gradients import Outputs, gradient_of
from tinygrad_sm.check.symbols import Formulas, formulas, sample_of, variables
from tinygrad_sm.engine.mode import Observer, enable_grad, observe
from tinygrad_sm.engine.tape import Node, Traced, data_of, operand_name
from tinygrad_sm.errors import GradcheckError
from tinygrad_sm.tensors import Tensor

DIGITS = 40  # of values at the sample point
NEGLIGIBLE = 1e-20  # a derivative that may be 0, and is not but for the rounding of so many digits
MOST_ROUNDING = 1e-14  # of numbers in a rule that are floats before they meet a formula, as 1/3 is
MOST_SHOWN = 200  # characters of a formula in a message
MOST_DENOMINATOR = 200  # of a fraction in a condition; one with a larger denominator was a float, and is shown as one


def prove_gradients(
    f: Callable[..., Sequence[Any]], points: dict[str, Any], order: int
) -> tuple[int, tuple[str, ...], float, tuple[str, ...]]:
    """Prove the gradients of f; `Proof` says what the results are: variables, conditions, rounding and path."""
    arguments = [variables(name, x) if x.dtype.kind == "f" else x for name, x in points.items()]
    inputs = [x for x in arguments if type(x) is Formulas]

    def outputs(tensors: list[Tensor], recorded: bool) -> Sequence[Any]:
        given = iter(tensors)
        return f(*(next(given) if type(x) is Formulas else x for x in arguments))

    conditions: dict[Any, None] = {}
    CONDITIONS.set(conditions)
    with enable_grad(), np.errstate(all="ignore"):
        with observe(_Path()) as path, _runs_on_formulas():
            first = outputs(_leaves(inputs), True)
        if _expressions(first) != _expressions(outputs(_leaves(inputs), True)):
            raise GradcheckError("not proved: f gives other formulas each time: fix what it draws at random")
        try:
            count, rounding = _prove(outputs, inputs, order)
        except _WrongGradient as found:
            raise GradcheckError(f"{_diagnosis(path.nodes, order)}\n{found}\npath: {path}") from None
    return count, _texts(list(conditions)), rounding, tuple(node.op.name for node in path.nodes)


def _texts(conditions: list[Any]) -> tuple[str, ...]:
    """Return the texts of conditions, but for those that follow from others, and so say nothing new."""
    orders = {frozenset(c.args): c for c in conditions if isinstance(c, sp.Lt | sp.Gt)}  # a < b is b > a, and so a ≠ b
    signs = {c.lhs: sp.Dummy(positive=True) for c in orders.values() if isinstance(c, sp.Gt) and c.rhs == 0}
    texts: dict[str, None] = {}
    for condition in conditions:
        if condition == sp.true:
            continue  # it holds everywhere
        found = orders.get(frozenset(condition.args), condition)
        if found in orders.values() or found.xreplace(signs) != sp.true:
            if any(number.q > MOST_DENOMINATOR for number in found.atoms(sp.Rational)):
                found = found.evalf(6)
            texts[f"{found.lhs} ≠ {found.rhs}" if isinstance(found, sp.Ne) else str(found)] = None
    return tuple(texts)


class _WrongGradient(GradcheckError):
    """A gradient differs from the derivative at the sample point."""


class _Path(Observer):
    """Observes which operations f calls."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []

    def recorded(self, node: Any, out: Any, line: Any) -> None:
        self.nodes.append(node)

    def __str__(self) -> str:
        return " → ".join(node.op.name for node in self.nodes) or "nothing was recorded"


def _leaves(inputs: list[Formulas]) -> list[Tensor]:
    return [Tensor(x.copy(), requires_grad=True) for x in inputs]  # which f may change


@contextmanager
def _runs_on_formulas() -> Iterator[None]:
    """Turn the error of code that does not run on formulas into one that says so."""
    try:
        yield
    except (AttributeError, TypeError) as error:
        kind = type(error).__name__
        raise GradcheckError(
            f"not proved: this does not run on formulas, as it may need numbers: {kind}: {error}"
        ) from error


def _expressions(outputs: Sequence[Any]) -> list[Any]:
    return [x.expression for x in _flat([formulas(data_of(out)) for out in outputs])]


def _prove(outputs: Outputs, inputs: list[Formulas], orders: int) -> tuple[int, float]:
    """Prove the gradients up to the order; return the number of variables, and the largest rounding."""
    rounding, random = 0.0, np.random.default_rng(1)
    for order in range(1, orders + 1):
        with _runs_on_formulas():
            values = [formulas(data_of(out)) for out in outputs(_leaves(inputs), False)]
        if not all(np.isfinite(sample_of(value)).all() for value in values):
            raise GradcheckError("not proved: the outputs are not finite at the sample point: choose another one")
        gs = []
        for k, value in enumerate(values):
            name = ("g" if order == 1 else f"g{order}") + (f"_{k}" if len(values) > 1 else "")
            gs.append(variables(name, random.uniform(0.5, 1.5, value.shape)))
        total = as_formula(sum(np.sum(g * value) for g, value in zip(gs, values, strict=True))).expression
        point = {x.expression: mpmath.mpf(x.value) for x in _flat([*inputs, *gs])}
        proved: set[tuple[Any, Any]] = set()
        gradient = gradient_of(outputs, len(inputs))
        for recorded in (False, True):
            with _runs_on_formulas():
                answers = [formulas(data_of(g)) for g in gradient(_leaves([*inputs, *gs]), recorded)]
            pairs = {(x.expression, g.expression) for x, g in zip(_flat(inputs), _flat(answers), strict=True)}
            for x, answer in sorted(pairs - proved, key=str):  # both walks mostly give the same
                where = f"order {order}, for {x}{', with create_graph' if recorded else ''}"
                rounding = max(rounding, _rounding(where, sp.diff(total, x), answer, point))
            proved |= pairs
        outputs, inputs = gradient, [*inputs, *gs]
    return len(point), rounding


def _flat(arrays: list[Formulas]) -> Iterator[Any]:
    return (formula for array in arrays for formula in array.flat)


def _rounding(where: str, derivative: Any, answer: Any, point: dict[Any, Any]) -> float:
    """Prove that the answer is the derivative, or raise; return how far its coefficients are rounded, 0 if not at all.

    The value at the sample point refutes a wrong answer, and quickly. It proves nothing: that takes the formulas.
    """
    difference = answer - derivative
    with mpmath.workdps(DIGITS):
        at_point = sp.lambdify(list(point), [difference, derivative], "mpmath", cse=True, dummify=True)
        error, size = map(abs, at_point(*point.values()))
    if error <= MOST_ROUNDING * max(size, 1):  # else, or with NaN, it is wrong
        numerator, denominator = _fraction(difference)
        if sp.expand(numerator) == 0:
            return 0.0
        of_derivative, below = _fraction(derivative)
        rounding = _largest_rounding(numerator * below, of_derivative * denominator)  # over one denominator
        if rounding <= MOST_ROUNDING:
            return rounding
        if sp.simplify(difference) == 0:  # last, because it may take long
            return 0.0
    if error <= MOST_ROUNDING * max(size, NEGLIGIBLE):
        doubt = "not proved: SymPy cannot tell whether the difference vanishes"
        raise GradcheckError(f"{doubt}; {where}: {_shown(difference)}")
    derivative, difference = _shown(derivative), _shown(difference)
    raise _WrongGradient(f"{where}: the derivative is {derivative}, and the rules give {difference} more")


def _fraction(formula: Any) -> tuple[Any, Any]:
    """Return numerator and denominator, as they are where no variable is 0: there, xᵃ⁺ᵇ is xᵃ xᵇ for SymPy.

    This is enough for a proof, because a difference of formulas is continuous.
    """
    nonzero = {x: sp.Symbol(x.name, real=True, nonzero=True) for x in formula.free_symbols}
    formula = sp.expand_power_exp(formula.xreplace(nonzero))
    return sp.fraction(sp.expand(formula) if formula.is_polynomial() else sp.together(formula))


def _largest_rounding(difference: Any, derivative: Any) -> float:
    """Return the largest coefficient of a difference, relative to that of the same term in the derivative.

    Both are polynomials in whatever they contain; numbers such as ln 2 are coefficients.
    """
    terms = sp.Poly(derivative.evalf(DIGITS), *_generators(difference, derivative)).as_dict()
    errors = sp.Poly(difference.evalf(DIGITS), *_generators(difference, derivative)).as_dict()
    return max(float(abs(error) / abs(terms[term])) if terms.get(term) else math.inf for term, error in errors.items())


def _generators(*expressions: Any) -> Any:
    """Return what the expressions are polynomials in: variables, and functions of them."""
    return sp.Poly(sp.Add(*(sp.Dummy() * x.evalf(DIGITS) for x in expressions))).gens


def _shown(expression: Any) -> str:
    """Return a formula's text with numbers of a few digits; a long one is cut."""
    text = str(sp.expand(expression).evalf(3))
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


def _diagnosis(nodes: list[Node], order: int) -> str:
    """Check each operation alone, at the numbers of the sample point; return what is wrong, the first wrong rule."""
    for node in nodes:
        differentiated = [i for i, x in enumerate(node.operands) if isinstance(x, Traced) and x.requires_grad]
        for i in differentiated:
            if _is_wrong_alone(node, [i], order):
                return (
                    f"the rule of {node.op.name} for its operand {operand_name(node.op, i, node.operands[i])} is wrong"
                )
        if len(differentiated) > 1 and _is_wrong_alone(node, differentiated, order):  # it loses another's history
            return f"a rule of {node.op.name} is wrong: it loses the history of another operand"
    return "each rule is right alone: look for what leaves the tape (.data, .detach(), no_grad())"


def _is_wrong_alone(node: Node, free: list[int], order: int) -> bool:
    """Whether the operation gives a wrong gradient as a function of some of its operands, the others being numbers."""
    arrays = [sample_of(x) if type(x) is Formulas and x.dtype.kind == "f" else x for x in node.arrays]

    def alone(tensors: list[Tensor], recorded: bool) -> Sequence[Any]:
        given = dict(zip(free, tensors, strict=True))
        return (node.op(*(given.get(i, x) for i, x in enumerate(arrays)), **node.static),)

    try:
        _prove(alone, [variables(f"x{i}", arrays[i]) for i in free], order)
    except _WrongGradient:
        return True
    except (GradcheckError, ValueError):
        return False
    return False
