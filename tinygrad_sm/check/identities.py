"""Identities of formulas: the gradient that the engine gives is SymPy's derivative of the forward, at every order.

With f(x) and one g for each output, the gradient is ∂⟨g, f(x)⟩/∂x. It is a function of x and g, like f one of x, so the
next order differentiates it in turn, with respect to both. Each order is proved as backward() computes it, and with the
walk itself recorded.

A difference of two formulas vanishes if its numerator over the common denominator is 0 once it is multiplied out. To
refute it, its value at the sample point, of 40 digits, is enough.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import mpmath
import numpy as np
import sympy as sp

from tinygrad_sm.check.gradients import Outputs, gradient_of
from tinygrad_sm.check.symbols import CONDITIONS, Formulas, as_formula, formulas, sample_of, variables
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
        with observe(_Path()) as path, _needs_no_numbers():
            outputs(_leaves(inputs), True)
        try:
            count, rounding = _prove(outputs, inputs, order)
        except _WrongGradient as found:
            raise GradcheckError(f"{_diagnosis(path.nodes, order)}\n{found}\npath: {path}") from None
    return count, _texts(conditions), rounding, tuple(node.op.name for node in path.nodes)


def _texts(conditions: dict[Any, None]) -> tuple[str, ...]:
    """Return the texts of conditions, but for those that hold everywhere, or stand there the other way round."""
    texts = []
    for k, condition in enumerate(conditions):
        if condition != sp.true and condition.reversed not in list(conditions)[:k]:
            if any(number.q > MOST_DENOMINATOR for number in condition.atoms(sp.Rational)):
                condition = condition.evalf(6)
            texts.append(f"{condition.lhs} ≠ {condition.rhs}" if isinstance(condition, sp.Ne) else str(condition))
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
    return [Tensor(x, requires_grad=True) for x in inputs]


@contextmanager
def _needs_no_numbers() -> Iterator[None]:
    """Turn the error of code that formulas cannot pass into one that says so."""
    try:
        yield
    except (AttributeError, TypeError) as error:
        raise GradcheckError(f"not proved: the code needs numbers where it is given formulas: {error}") from error


def _prove(outputs: Outputs, inputs: list[Formulas], orders: int) -> tuple[int, float]:
    """Prove the gradients up to the order; return the number of variables, and the largest rounding."""
    rounding, random = 0.0, np.random.default_rng(1)
    for order in range(1, orders + 1):
        with _needs_no_numbers():
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
            with _needs_no_numbers():
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
    try:
        with mpmath.workdps(DIGITS):
            values = sp.lambdify(list(point), [difference, derivative], "mpmath", cse=True)(*point.values())
    except ZeroDivisionError:
        raise GradcheckError(
            f"not proved: at the sample point there is a pole; {where}: {_shown(derivative)}"
        ) from None
    if not abs(values[0]) <= MOST_ROUNDING * max(abs(values[1]), NEGLIGIBLE):  # NaN is not
        raise _WrongGradient(
            f"{where}: the derivative is {_shown(derivative)}, and the rules give {_shown(difference)} more"
        )
    numerator, denominator = _fraction(difference)
    if sp.expand(numerator) == 0:
        return 0.0
    of_derivative, below = _fraction(derivative)
    if of_derivative != 0:  # perhaps floats are rounded: compare the numerators over one denominator
        rounding = _largest_coefficient(numerator * below) / _largest_coefficient(of_derivative * denominator)
        if rounding <= MOST_ROUNDING:
            return float(rounding)
    if sp.simplify(difference) == 0:  # last, because it may take long
        return 0.0
    raise GradcheckError(
        f"not proved: SymPy cannot tell whether the difference vanishes; {where}: {_shown(difference)}"
    )


def _fraction(formula: Any) -> tuple[Any, Any]:
    """Return numerator and denominator, as they are where no variable is 0: there, xᵃ⁺ᵇ is xᵃ xᵇ for SymPy.

    This is enough for a proof, because a difference of formulas is continuous.
    """
    nonzero = {x: sp.Symbol(x.name, real=True, nonzero=True) for x in formula.free_symbols}
    formula = sp.expand_power_exp(formula.xreplace(nonzero))
    return sp.fraction(sp.expand(formula) if formula.is_polynomial() else sp.together(formula))


def _largest_coefficient(polynomial: Any) -> Any:
    """Return the largest coefficient of a polynomial in whatever it contains; numbers such as ln 2 are coefficients."""
    return max(map(abs, sp.Poly(polynomial.evalf(DIGITS)).coeffs()))


def _shown(expression: Any) -> str:
    """Return a formula's text with numbers of a few digits; a long one is cut."""
    text = str(sp.expand(expression).evalf(3))
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."


def _diagnosis(nodes: list[Node], order: int) -> str:
    """Return the first rule that is wrong when it is checked alone, at the numbers of the sample point."""
    for node in nodes:
        arrays = [sample_of(x) if type(x) is Formulas and x.dtype.kind == "f" else x for x in node.arrays]
        for i, operand in enumerate(node.operands):
            if isinstance(operand, Traced) and operand.requires_grad:

                def alone(tensors: list[Tensor], recorded: bool, node: Node = node, i: int = i) -> Sequence[Any]:
                    return (node.op(*arrays[:i], tensors[0], *arrays[i + 1 :], **node.static),)  # noqa: B023

                try:
                    _prove(alone, [variables("x", arrays[i])], order)
                except _WrongGradient:
                    return f"the rule of {node.op.name} for its operand {operand_name(node.op, i, operand)} is wrong"
                except (GradcheckError, ValueError):
                    continue
    return "each rule is right alone: look for what leaves the tape (.data, .detach(), no_grad())"
