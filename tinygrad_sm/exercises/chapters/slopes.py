"""The questions of the chapter on numbers: rows that overflow, and functions whose slopes are known."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from tinygrad_sm.check.numerical import ANY, EPS, Slope, _extrapolated, complex_slope, real_slope
from tinygrad_sm.exercises.exercise import Probe
from tinygrad_sm.ops.softmax import logsumexp, shifted, softmax

ROWS = {
    "[[1, 2, 4]]": [[1.0, 2.0, 4.0]],
    "[[1, 2], [30, 20]]": [[1.0, 2.0], [30.0, 20.0]],
    "[[-1, -3]]": [[-1.0, -3.0]],
    "[[1000, 1000]]": [[1000.0, 1000.0]],
    "[[0, 1000]]": [[0.0, 1000.0]],
    "[[-1000, -1000]]": [[-1000.0, -1000.0]],
    "[[0, 0], [1000, 1000]]": [[0.0, 0.0], [1000.0, 1000.0]],
    "[[-∞, 0, 1]]": [[-np.inf, 0.0, 1.0]],
    "[[-∞, -∞], [0, 1]]": [[-np.inf, -np.inf], [0.0, 1.0]],
}


def shifts() -> Iterator[Probe]:
    """Yield questions on shifted, and on the softmax that begins with it."""
    for name, rows in ROWS.items():
        yield Probe(f"shifted({name}, axis=1), the first array", partial(_shifted, rows, 1, 0), stage=int("∞" in name))
        yield Probe(f"shifted({name}, axis=1), the maxima", partial(_shifted, rows, 1, 1), stage=int("∞" in name))
    yield Probe(
        "shifted([[1, 2], [30, 20]], axis=0), the first array", partial(_shifted, ROWS["[[1, 2], [30, 20]]"], 0, 0)
    )
    for name, rows in ROWS.items():
        yield Probe(f"softmax({name})", partial(softmax, np.array(rows)), stage=1)
    yield Probe(
        "shifted([[0.1, 2049]], axis=1) in half precision, the first array",
        lambda: shifted(np.array([[0.1, 2049.0]], np.float16), 1)[0],
        stage=2,
    )
    yield Probe("x = [[1, 2, 4]]: x after shifted(x, axis=1)", _untouched, stage=2)


def _shifted(rows: list[list[float]], axis: int, i: int) -> Any:
    return shifted(np.array(rows), axis)[i]


def _untouched() -> Any:
    x = np.array([[1.0, 2.0, 4.0]])
    shifted(x, 1)
    return x


def logsumexps() -> Iterator[Probe]:
    """Yield questions on logsumexp."""
    yield Probe("logsumexp([0, 0])", lambda: logsumexp(np.array([0.0, 0.0])))
    for name, rows in ROWS.items():
        yield Probe(f"logsumexp({name}, axis=1)", partial(logsumexp, np.array(rows), axis=1))
    square = np.arange(6.0).reshape(2, 3)
    for axis in (0, None):
        yield Probe(f"logsumexp([[0, 1, 2], [3, 4, 5]], axis={axis})", partial(logsumexp, square, axis=axis))
    half = np.full((1, 4096), 5.0, np.float16)
    yield Probe("logsumexp of 4096 fives in half precision", lambda: logsumexp(half, axis=1), stage=1)


def _probe_of_slope(name: str, f: Callable[[Any], Any], at: float, method: str, weights: Any = 1) -> Probe:
    def nudged(step: Any) -> Any:
        return np.atleast_1d(f(at + step))

    def ask() -> Any:
        if method == "complex":
            return np.asarray(complex_slope(nudged, weights).low)
        return np.asarray(real_slope(nudged, weights, at, EPS, rtol=1e-7, kinks=False).low)

    return Probe(f"the derivative of {name} at x = {at:g}", ask)


def complex_steps() -> Iterator[Probe]:
    """Yield questions on derivatives by complex steps, of functions whose derivatives are known."""
    for name, f, at in (
        ("2·x", lambda x: 2 * x, 3.0),
        ("x²", lambda x: x * x, 3.0),
        ("exp(x)", np.exp, 1.0),
        ("sin(x)", np.sin, 1.0),
        ("exp(-1000·x²), which is nearly 0", lambda x: np.exp(-1000 * x * x), 0.5),
    ):
        yield _probe_of_slope(name, f, at, "complex")
    yield _probe_of_slope("1·x + 10·x³", lambda x: np.array([x, x**3]), 2.0, "complex", np.array([1.0, 10.0]))
    yield _probe_of_slope("-exp(x)", lambda x: -np.exp(x), 1.0, "complex")


def differences() -> Iterator[Probe]:
    """Yield questions on derivatives by differences, at kinks and outside of domains too."""
    for name, f, at in (
        ("2·x", lambda x: 2 * x, 3.0),
        ("x²", lambda x: x * x, 3.0),
        ("exp(x)", np.exp, 1.0),
        ("sin(x)", np.sin, 1.0),
        ("-exp(x)", lambda x: -np.exp(x), 1.0),
        ("a constant", lambda x: 0 * x + 5, 1.0),
        ("[x, ∞]", lambda x: np.array([x, np.inf]), 1.0),
    ):
        yield _probe_of_slope(name, f, at, "real")
    yield _probe_of_slope("1·x + 10·x³", lambda x: np.array([x, x**3]), 2.0, "real", np.array([1.0, 10.0]))

    def kink() -> Any:
        slope = real_slope(lambda step: np.maximum(np.array([step]), 0), 1, 0.0, EPS, rtol=1e-7)
        return [round(float(np.sum(slope.low)), 6), round(float(np.sum(slope.high)), 6)]

    def is_known() -> Any:
        slope = real_slope(lambda step: np.array([1.0 + step, np.inf]), 1, 1.0, EPS, rtol=1e-7, kinks=False)
        return np.isfinite(slope.uncertainty).tolist()

    yield Probe("the two derivatives of max(x, 0) at its kink", kink)

    def is_known_outside() -> Any:
        slope = real_slope(lambda step: np.log(np.array([step - 1.0])), 1, -1.0, EPS, rtol=1e-7, kinks=False)
        return np.isfinite(slope.uncertainty).tolist()

    def is_known_of_constant() -> Any:
        slope = real_slope(lambda step: np.array([5.0]), 1, 1.0, EPS, rtol=1e-7, kinks=False)
        return np.isfinite(slope.uncertainty).tolist()

    yield Probe("whether the slope of a constant is known", is_known_of_constant, stage=1)
    yield Probe("whether the slopes of [x, ∞] at x = 1 are known", is_known, stage=1)
    yield Probe("whether the slope of log(x) at x = -1 is known", is_known_outside, stage=1)


def extrapolations() -> Iterator[Probe]:
    """Yield questions on the limits of difference quotients whose terms are known."""

    def of(powers: tuple[int, ...], *terms: tuple[float, int]) -> Callable[[], Any]:
        def difference(h: float) -> tuple[Any, Any]:
            return np.array([1 + sum(c * h**power for c, power in terms)]), np.array([0.0])

        return lambda: _extrapolated(difference, powers, 0.0, EPS, ANY, 0.5)[0]

    yield Probe("D(h) = 1, and no term to cancel", of((2,)))
    yield Probe("D(h) = 1 + h²: the limit, with the term of h² cancelled", of((2,), (1.0, 2)))
    yield Probe("D(h) = 1 + 3·h: the limit, with the term of h cancelled", of((1,), (3.0, 1)))
    yield Probe("D(h) = 1 + h² + h⁴, with both cancelled", of((2, 4), (1.0, 2), (1.0, 4)))
    yield Probe("D(h) = 1 + h - h², with both cancelled", of((1, 2), (1.0, 1), (-1.0, 2)))
    yield Probe("D(h) = 1 + h² + h⁴, with only h² cancelled", of((2,), (1.0, 2), (1.0, 4)))


def _distance(low: float, high: float, g: float) -> Any:
    return np.asarray(Slope(low, high, 0.0).distance(g), float)


def distances() -> Iterator[Probe]:
    """Yield questions on how far numbers are from intervals."""
    for low, high in ((2.0, 2.0), (0.0, 1.0), (-3.0, -1.0)):
        for g in (-4.0, -1.0, 0.25, 2.0, 5.0):
            question = f"how far {g:g} is from the interval from {low:g} to {high:g}"
            yield Probe(question, partial(_distance, low, high, g))
    slopes = Slope(np.array([0.0, 1.0]), np.array([1.0, 1.0]), np.zeros(2))
    yield Probe(
        "how far 5 is from the interval from 0 to 1, which is uncertain by 0.5",
        lambda: Slope(0.0, 1.0, 0.5).distance(5.0),
        stage=1,
    )
    yield Probe(
        "how far [2, 0] is from two intervals: 2 from 0 to 1, and 0 from 1 to 1",
        lambda: slopes.distance(np.array([2.0, 0.0])),
        stage=1,
    )
