"""Numerical differentiation that says how far it may be wrong: the checker compares the gradient rules with it.

    >>> slope = real_slope(lambda step: np.exp([1.0 + step]), 1, at=1.0, eps=EPS, rtol=1e-7)
    >>> abs(slope.low - np.e) < slope.uncertainty < 1e-10
    array([ True])

The function to differentiate maps one number, the step by which an element of an input is nudged, to an array, the
outputs. Each output is differentiated on its own: one that does not depend on the element drops out exactly, and the
rounding of a large one does not drown a small one. There are two ways:

- the complex step, f′(x) = Im f(x + ih) / h with h = 10⁻²⁰ (Squire and Trapp, 1998): nothing is subtracted, so nothing
  cancels. It needs forwards that are right on complex arrays;
- central differences D(h) = [f(x+h) − f(x−h)] / 2h, for which D(h) = f′ + c₂h² + c₄h⁴ + ... From three steps
  Richardson's extrapolation cancels the terms of h² and h⁴. The two values before the last cancellation differ by more
  than the error that is left, and noise and near kinks show there too: ten times that difference and the rounding of f
  are the uncertainty. Steps shrink until it is small enough, or rounding alone exceeds the smallest one found.

At a kink f has no derivative but one to the left and one to the right. They are differences [f(x±h) − f(x)] / ±h,
extrapolated likewise; where they lie further apart than they are uncertain, there is a kink.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from tinygrad_sm.backend import Array

COMPLEX_STEP = 1e-20
RATIO = 5**0.5  # of each step to the next: not rational, so that the roundings of f at them have nothing in common
MOST_STEPS = 24
SMALLEST_STEP = 1e-7  # relative to the number: a smaller one may change nothing in float32
BEST, ANY = 0.0, 1e300  # sufficient uncertainties: 0 finds the best steps, 1e300 takes the first ones
SMALL = 1e-2  # a derivative smaller than this part of the largest need not be more certain than if it were this large
SAFETY = 10  # the factor on the difference of approximations
ROUNDING = 1e-3  # the part of rtol that the rules may use for their own rounding
EPS = float(np.finfo(np.float64).eps)

Nudged = Callable[[Any], Array]
"""All outputs in one flat array, as a function of the step, real or imaginary, by which an element is nudged."""


class Slope(NamedTuple):
    """What is known of a derivative: it lies between low and high, give or take the uncertainty.

    At a kink low and high are the one-sided derivatives, elsewhere they are equal. Numbers, or arrays of many slopes.
    """

    low: Any
    high: Any
    uncertainty: Any

    def distance(self, g: Any) -> Any:
        """Return how far g is from the interval [low, high]."""
        return np.maximum(np.maximum(self.low - g, g - self.high), 0)

    def __str__(self) -> str:
        derivative = f"{self.low:.12g}"
        if self.low < self.high:
            derivative = f"a kink with one-sided derivatives {derivative} and {self.high:.12g},"
        return f"{derivative} ± {self.uncertainty:.1g}"


def step_unit(at: float) -> float:
    """Return the unit of steps from a number: its size, but at least 1."""
    return max(1.0, abs(at))


def first_step(unit: float, eps: float) -> float:
    """Return the step at which truncation, about h⁴/480, is as large as rounding, eps/h, if derivatives are near 1.

    That is the truncation after one extrapolation from h and h/2. From h and h/√5 it is h⁴/600, for which the step
    would be 5 % larger.
    """
    return unit * (480 * eps) ** 0.2


def complex_slope(nudged: Nudged, weights: Any) -> Slope:
    """Return the derivative of the weighted sum of the outputs by a complex step."""
    derivatives = nudged(1j * COMPLEX_STEP).imag / COMPLEX_STEP
    return _smooth(np.dot(weights, derivatives), 8 * EPS * np.dot(weights, np.abs(derivatives)))


def real_slope(
    nudged: Nudged,
    weights: Any,
    at: float,
    eps: float,
    rtol: float,
    *,
    thorough: bool = False,
    kinks: bool = True,
    unit: float | None = None,
) -> Slope:
    """Return the derivative of the weighted sum of the outputs by differences.

    weights : positive, one for each output; the number 1 leaves the outputs apart.
    at : the number that is nudged.  eps : the relative rounding error of the outputs.
    rtol : the first steps that reach a tenth of it are good enough, unless the look is thorough. A thorough look seeks
        the best steps, and allows that an output without any change has changed by less than its rounding.
    kinks : whether to look for them. If several outputs have one, the interval holds every combination of their slopes.
    unit : the unit of the steps, by default `step_unit(at)`.
    """
    first = first_step(step_unit(at) if unit is None else unit, eps)

    def differences(weights: Any, above: float, below: float) -> tuple[Array, Array]:
        upper, lower = nudged(above), nudged(below)
        unchanged = upper == lower  # ∞ − ∞ among them
        size = np.where(np.isfinite(upper) & (thorough | ~unchanged), np.abs(upper), 0)
        quotient = np.where(unchanged, 0, upper - lower) / (above - below)
        return np.dot(weights, quotient), np.sqrt(np.dot(np.square(weights), np.square(size)))

    def central(weights: Any) -> Slope:
        enough = BEST if thorough else rtol / 10
        return _smooth(*_extrapolated(lambda h: differences(weights, h, -h), (2, 4), at, eps, enough, first))

    with np.errstate(all="ignore"):
        slope = central(weights)
        if not kinks:
            return slope
        enough = BEST if thorough else ANY
        right, right_error = _extrapolated(lambda h: differences(1, h, 0.0), (1, 2), at, eps, enough, first)
        left, left_error = _extrapolated(lambda h: differences(1, 0.0, -h), (1, 2), at, eps, enough, first)
        kink = np.abs(right - left) > right_error + left_error
        if not kink.any():
            error = np.dot(weights, right_error + left_error)  # the smaller one where a higher derivative has a kink
            one_sided = _smooth(np.dot(weights, (right + left) / 2), error)
            return one_sided if np.all(error < slope.uncertainty) else slope
        slope = central(np.where(kink, 0, weights))
        weights = np.where(kink, weights, 0)
        return Slope(
            slope.low + np.dot(weights, np.where(kink, np.minimum(left, right), 0)),
            slope.high + np.dot(weights, np.where(kink, np.maximum(left, right), 0)),
            slope.uncertainty + np.dot(weights, np.where(kink, left_error + right_error, 0)),
        )


def _smooth(derivative: Array, uncertainty: Array) -> Slope:
    """Return the slope where there is no kink; one that is not finite has an infinite uncertainty."""
    known = np.isfinite(derivative) & np.isfinite(uncertainty)
    derivative = np.where(known, derivative, 0)
    return Slope(derivative, derivative, np.where(known, uncertainty, np.inf))


def _extrapolated(
    difference: Callable[[float], tuple[Array, Array]],
    powers: tuple[int, ...],
    at: float,
    eps: float,
    enough: float,
    first: float,
) -> tuple[Array, Array]:
    """Return the limit of the differences for h → 0, and its uncertainty, each output at the step that suits it best.

    difference : gives the difference quotient at h and the size of the values in it, to which rounding is relative. In
        sums of outputs the roundings are independent; where they are not, the sums of neighbouring steps show it.
    powers : the powers of h in the error of the quotient, to cancel one after the other.
    enough : the sufficient uncertainty, relative to the outputs together.
    first : the largest step.
    """
    best, least = np.array(np.nan), np.array(np.inf)
    changed = np.array(False)
    window: list[Array] = []
    found: list[Array] = []
    for k in range(MOST_STEPS):
        h = first / RATIO**k
        quotient, size = difference(h)
        window = [*window[-len(powers) :], quotient]
        if len(window) <= len(powers):
            continue
        row = window
        for power in powers:
            before, row = row, [(RATIO**power * fine - coarse) / (RATIO**power - 1) for coarse, fine in pairwise(row)]
        limit = row[0]
        rounding = 8 * eps * (size + abs(at) * np.abs(limit)) / h  # of the values, and of the step itself
        uncertainty = SAFETY * np.abs(before[1] - before[0]) + rounding
        changed = changed | (np.abs(quotient) > rounding)
        if enough == BEST:  # the best of many steps may be but the luckiest: three in a row must agree
            for earlier in found[-2:]:
                uncertainty = uncertainty + SAFETY * np.abs(limit - earlier)
        # An output that changed before, and does not any more, is constant only by its own rounding.
        uncertainty = np.where(changed & (quotient == 0), np.inf, uncertainty)
        found.append(limit)
        better = uncertainty < least  # False for NaN, outside the domain of f
        best, least = np.where(better, limit, best), np.where(better, uncertainty, least)
        total = least.sum()
        if total <= enough * np.abs(best).sum() or rounding.sum() >= total or h < SMALLEST_STEP * (abs(at) or 1):
            break
    return best, least


def most_certain(looks: list[Slope], rtol: float) -> Slope:
    """Return the most certain of several slopes; if others contradict it, it must reach rtol, or counts as unknown."""
    best = min(looks, key=lambda slope: slope.uncertainty / (max(abs(slope.low), abs(slope.high)) or 1e-300))
    contradicted = any(
        max(best.low - other.high, other.low - best.high) > best.uncertainty + other.uncertainty for other in looks
    )
    if contradicted and best.uncertainty > rtol * max(abs(best.low), abs(best.high)):
        return best._replace(uncertainty=np.array(np.inf))
    return best


class Verdict(NamedTuple):
    """For each derivative: whether it is right, or wrong, beyond doubt; its error, and a proved bound for it.

    scale : the largest derivative of the same input, or 1 where all of these are zero; the bound is relative to it.
    """

    right: Array
    wrong: Array
    error: Array
    error_bound: Array
    scale: Array


def largest_derivatives(slopes: list[Slope], inputs: Array, count: int, rounding: float) -> Array:
    """Return the size of the largest derivative of each of the inputs, and 1 where all are zero.

    inputs : for each slope, the number of its input.
    rounding : what the rounding of f alone can do to a derivative; if all of an input are smaller, they count as zero.
    """
    low, high, uncertainty = _columns(slopes)
    size = np.maximum(np.abs(low), np.abs(high))
    largest = np.zeros(count)
    is_known = size > 2 * np.maximum(uncertainty, rounding)  # among thousands of zeros, noise exceeds a bound or two
    np.maximum.at(largest, inputs, np.where(is_known, size, 0))
    return np.where(largest == 0, 1, largest)


def verdict_on(g: Array, slopes: list[Slope], scale: Array, least: Array, rtol: float) -> Verdict:
    """Judge the derivatives g by the slopes.

    scale : for each derivative, the largest one of the same input.
    least : a smaller derivative need not be more certain than if it were as large as this.

    A derivative is wrong if it differs by more than the uncertainty, and right if it does not and the uncertainty is
    small enough, by rtol. Otherwise it cannot be told: nor can a g that is not finite, where the slope is unknown.
    """
    numerical = _columns(slopes)
    uncertainty = numerical.uncertainty
    error = numerical.distance(g)
    demanded = rtol * np.maximum(np.maximum(np.abs(numerical.low), np.abs(numerical.high)), least)
    agrees = error <= uncertainty + ROUNDING * demanded  # NaN does not
    is_certain = uncertainty <= demanded
    return Verdict(
        right=agrees & is_certain,
        wrong=~agrees & (np.isfinite(g) | is_certain),
        error=error,
        error_bound=(error + uncertainty) / scale,
        scale=scale,
    )


def _columns(slopes: list[Slope]) -> Slope:
    """Return the slopes as one Slope of arrays."""
    return Slope(*np.array(slopes, float).reshape(-1, 3).T)
