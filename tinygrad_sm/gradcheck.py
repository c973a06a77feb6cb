"""The checker: gradients by the rules against gradients by numerical differentiation.

    >>> from tinygrad_sm import tanh
    >>> gradcheck(lambda x: (tanh(x) ** 2).sum(), [np.array([0.5, -1.0])]).method
    'complex step'

A gradient rule is a claim, and f alone can test it. Two ways to differentiate f numerically are used:

- the complex step, f′(x) = Im f(x + ih) / h with h = 10⁻²⁰ (Squire and Trapp, 1998): there is no difference, so nothing
  cancels, and the result is exact to rounding. It needs a path of operations that are right on complex arrays
  (`analytic`); since a forward can be wrong there in silence, one central difference guards it;
- central differences with one step of Richardson's extrapolation, [8 (f(x+h) − f(x−h)) − (f(x+2h) − f(x−2h))] / 12h, of
  error O(h⁴), everywhere else. They mislead where a kink lies within 2h.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_sm.errors import GradcheckError
from tinygrad_sm.mode import Observer, observe
from tinygrad_sm.tape import plain
from tinygrad_sm.tensor import Tensor
from tinygrad_sm.transforms import grad

COMPLEX_STEP = 1e-20
DIFFERENCE_STEP = 3e-4  # truncation, about h⁴, and rounding, about 10⁻¹⁶/h, are then both near 10⁻¹³


class GradcheckReport(NamedTuple):
    """What a check found: the method of the first order, how many derivatives it compared, and the largest error."""

    method: str
    elements: int
    largest_error: float


def gradcheck(
    f: Callable[..., Any], inputs: Sequence[Any], order: int = 2, rtol: float = 1e-6, atol: float = 1e-9
) -> GradcheckReport:
    """Compare the gradients of f, up to the order, with numerical ones at every element of every input.

    f : takes one Tensor per input and returns a Tensor of any shape; it is weighted with random numbers and summed.
    inputs : arrays, converted to float64.
    rtol : how far an element may be from the numerical one, relative to it.
    atol : how far beside that, relative to the largest element; complex steps need none, and get 10⁻¹³ for rounding.

    Each order is checked as backward() computes it and as it is computed when the walk itself is recorded.
    Returns a report, or raises GradcheckError that names the order, the input, the element and both numbers.
    """
    arrays = [np.array(plain(x), np.float64) for x in inputs]
    if not arrays or order < 1:
        raise ValueError(f"gradcheck: expected inputs and an order of at least 1, got {len(arrays)} and order {order}")
    random = np.random.default_rng(0)
    weights = random.uniform(0.5, 1.5, f(*map(Tensor, arrays)).shape)

    def weighted(*tensors: Tensor) -> Tensor:
        return (f(*tensors) * weights).sum()

    analytic = _is_analytic(weighted, arrays)
    scalar: Callable[..., Any] = weighted
    methods = []
    largest_error = 0.0
    for k in range(1, order + 1):
        if analytic and k == 1:
            method, numerical = "complex step", _by_complex_steps(scalar, arrays)
            _guard(scalar, arrays, numerical, random)
            slack = 1e-13 * _largest(numerical)
        else:
            method, numerical = "central differences", _by_differences(scalar, arrays)
            slack = atol * _largest(numerical) + 1e-11 * abs(
                scalar(*map(Tensor, arrays)).item()
            )  # rounding, 10⁻¹⁶ f / h
        methods.append(method)
        for recorded in (False, True):
            by_rules = _gradient(scalar, arrays, recorded)
            what = f"order {k}, {method}{', with create_graph' if recorded else ''}"
            largest_error = max(largest_error, _compare(by_rules, numerical, rtol, slack, what))
        scalar = _directional_derivative(scalar, [random.uniform(0.5, 1.5, x.shape) for x in arrays])
    return GradcheckReport(methods[0], order * sum(x.size for x in arrays), largest_error)


def _is_analytic(scalar: Callable[..., Any], arrays: list[Any]) -> bool:
    """Whether every operation that f calls is right on complex arrays."""
    seen = []

    class Seen(Observer):
        def forward(self, op: Any, forward: Callable[..., Any]) -> Callable[..., Any]:
            seen.append(op.analytic)
            return forward

    with observe(Seen()):
        scalar(*map(Tensor, arrays))
    return all(seen)


def _gradient(scalar: Callable[..., Any], arrays: list[Any], recorded: bool) -> list[Any]:
    """Return the gradient of a scalar function as its rules give it; zeros where it depends on nothing."""
    tensors = [Tensor(x, requires_grad=True) for x in arrays]
    out = scalar(*tensors)
    if not out.requires_grad:
        return [np.zeros_like(x) for x in arrays]
    found = grad(out, tensors, create_graph=recorded, allow_unused=True)
    return [np.zeros_like(x) if g is None else g.data for x, g in zip(arrays, found, strict=True)]


def _directional_derivative(scalar: Callable[..., Any], directions: list[Any]) -> Callable[..., Any]:
    """Return the function x ↦ Σ ⟨direction, ∂scalar/∂x⟩, whose gradient is the next order."""

    def derivative(*tensors: Tensor) -> Tensor:
        tensors = tuple(x if x.requires_grad else x.detach().requires_grad_() for x in tensors)
        out = scalar(*tensors)
        found = grad(out, tensors, create_graph=True, allow_unused=True) if out.requires_grad else ()
        terms = [(g * d).sum() for g, d in zip(found, directions, strict=bool(found)) if g is not None]
        return sum(terms, start=Tensor(np.zeros(())))

    return derivative


def _by_complex_steps(scalar: Callable[..., Any], arrays: list[Any]) -> list[Any]:
    return _by_element(arrays, lambda nudged: nudged(1j * COMPLEX_STEP).imag / COMPLEX_STEP, scalar, np.complex128)


def _by_differences(scalar: Callable[..., Any], arrays: list[Any]) -> list[Any]:
    return _by_element(arrays, _central_difference, scalar, np.float64)


def _central_difference(nudged: Callable[[float], Any]) -> Any:
    h = DIFFERENCE_STEP
    return (8 * (nudged(h) - nudged(-h)) - (nudged(2 * h) - nudged(-2 * h))) / (12 * h)


def _by_element(arrays: list[Any], derivative: Callable[..., Any], scalar: Callable[..., Any], dtype: Any) -> list[Any]:
    """Return, for every element of every array, the derivative of the scalar function when that element is nudged."""
    arrays = [x.astype(dtype) for x in arrays]
    results = [np.zeros(x.shape) for x in arrays]
    for x, result in zip(arrays, results, strict=True):
        for i in np.ndindex(x.shape):
            at = x[i]

            def nudged(step: Any, x: Any = x, i: Any = i, at: Any = at) -> Any:
                x[i] = at + step
                return scalar(*(Tensor(y.copy()) for y in arrays)).item()

            result[i] = derivative(nudged)
            x[i] = at
    return results


def _guard(scalar: Callable[..., Any], arrays: list[Any], gradient: list[Any], random: "np.random.Generator") -> None:
    """Refuse complex steps that one central difference, along a random direction, does not bear out."""
    directions = [random.standard_normal(x.shape) for x in arrays]

    def nudged(step: float) -> Any:
        return scalar(*(Tensor(x + step * d) for x, d in zip(arrays, directions, strict=True))).item()

    expected = sum(float((g * d).sum()) for g, d in zip(gradient, directions, strict=True))
    found = _central_difference(nudged)
    if abs(found - expected) > 1e-5 * (1 + abs(expected)):
        raise GradcheckError(
            f"complex steps give the slope {expected:.9g} along a random direction, central differences {found:.9g}: "
            "an operation that is declared analytic is wrong on complex arrays, or a kink is near"
        )


def _largest(gradient: list[Any]) -> float:
    return max(float(np.abs(g).max(initial=0)) for g in gradient)


def _compare(by_rules: list[Any], numerical: list[Any], rtol: float, slack: float, what: str) -> float:
    """Return the largest error; raise GradcheckError where one is larger than rtol times the element plus the slack."""
    largest = 0.0
    for k, (g, n) in enumerate(zip(by_rules, numerical, strict=True)):
        error = np.abs(g - n)
        bad = ~(error <= rtol * np.abs(n) + slack)  # NaN is bad
        if bad.any():
            i = tuple(int(j) for j in np.argwhere(bad)[0])
            raise GradcheckError(
                f"{what}: the rules give {g[i]:.12g} for the derivative with respect to element {i} of input {k}, "
                f"numerical differentiation gives {n[i]:.12g}; {int(bad.sum())} of {bad.size} elements differ"
            )
        largest = max(largest, float(error.max(initial=0)))
    return largest
