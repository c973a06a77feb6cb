"""One order of a check: the gradient of a weighted sum of outputs, by the rules and by numerical differentiation.

Order 1 weights the outputs of f with random numbers w, and compares the derivatives of ⟨w, f(x)⟩ with respect to x. By
the rules these are a function G(x, w), where w is the g that the rules are given. Order 2 weights G with random numbers
v, and compares the derivatives of ⟨v, G(x, w)⟩ with respect to x and to w: a rule that loses the history of g, or
computes with g by an operation whose own rule is wrong, is wrong only with respect to w. So the inputs of each order
are those of the order before and its weights.
"""

from functools import cache, cached_property
from typing import Any, NamedTuple

import numpy as np

from tinygrad_sm.backend import Array
from tinygrad_sm.check.directions import Direction, Input, Point, named_elements, output_names
from tinygrad_sm.check.gradients import Outputs, gradient_of
from tinygrad_sm.check.numerical import (
    ROUNDING,
    SMALL,
    Nudged,
    Slope,
    Verdict,
    complex_slope,
    first_step,
    largest_derivatives,
    most_certain,
    real_slope,
    step_unit,
    verdict_on,
)
from tinygrad_sm.engine.mode import enable_grad, no_grad
from tinygrad_sm.engine.tape import data_of
from tinygrad_sm.errors import GradcheckError
from tinygrad_sm.tensors import Tensor

FACTOR = -4  # by which weights are multiplied to see whether gradients are linear in them


class WrongRule(GradcheckError):
    """The rules give a wrong gradient of this order beyond doubt, perhaps only where the walk is recorded.

    of_g : whether it is wrong only in how it depends on g.  is_linear : False if another g shows that it is wrong.
    """

    def __init__(self, numbers: str, order: int, recorded: bool, of_g: bool, is_linear: bool = True):
        super().__init__(numbers)
        self.order = order
        self.recorded = recorded
        self.of_g = of_g
        self.is_linear = is_linear


class Inconclusive(GradcheckError):
    """Numerical differentiation cannot tell. The message is a sentence that helps and, on the next line, numbers."""

    def __init__(self, sentence: str, numbers: str):
        super().__init__(f"inconclusive: {sentence}\n{numbers}")


class Precision(NamedTuple):
    """How f can be differentiated numerically, and how closely."""

    analytic: bool  # whether f has no kinks, and takes complex steps
    eps: float  # of the coarsest dtype among the results
    rounding: float  # of the largest result on the path
    rtol: float


class Order:
    """One order of a check; `check` compares, and raises if the gradients differ or numbers cannot tell.

    outputs : the function to differentiate.  values : what it gives at the inputs. Outputs that are infinite, as those
        of masks are, get the weight 0. So do gradients, the outputs of higher orders, that are not finite: they belong
        to elements of x that are not checked.
    """

    def __init__(
        self,
        order: int,
        outputs: Outputs,
        inputs: list[Input],
        values: list[Array],
        precision: Precision,
        random: "np.random.Generator",
    ):
        self.order = order
        self.outputs = outputs
        self.gradient = gradient_of(outputs, len(inputs))
        self.point = Point(inputs)
        left_out = [np.isinf(value) if order == 1 else ~np.isfinite(value) for value in values]
        self.poles = named_elements([*zip(output_names(len(values)), left_out, strict=True)]) if order == 1 else ""
        self.weights = [random.uniform(0.5, 1.5, out.shape) * ~out for out in left_out]
        self.flat_weights = np.concatenate([w.ravel() for w in self.weights])
        self.precision = precision
        self.elements, self.directions = self.point.chosen(random)
        self.input_of = np.array([self.point.number_of(d) for d in (*self.elements, *self.directions)], int)
        self.random = random
        self.by_complex_steps = precision.analytic and order == 1
        self.looks_for_kinks = not precision.analytic
        self.noise = precision.rounding / first_step(1.0, precision.eps)  # what rounding does to a difference quotient
        self.kinks = 0
        self.largest_error = self.error_bound = 0.0
        self.gradient_here: list[Array] = []  # by backward(); `check` sets it

    @property
    def method(self) -> str:
        return "complex step" if self.by_complex_steps else "central differences"

    def next(self) -> "Order":
        """Return the next order, whose outputs are the gradients of this one."""
        of_order = "" if self.order == 1 and len(self.weights) == 1 else f" of order {self.order}"
        names = [f"g{of_order}" if len(self.weights) == 1 else f"g[{i}]{of_order}" for i in range(len(self.weights))]
        gs = [Input(name, w, w != 0, is_g=True) for name, w in zip(names, self.weights, strict=True)]
        inputs = [*self.point.inputs, *gs]
        following = Order(self.order + 1, self.gradient, inputs, self.gradient_here, self.precision, self.random)
        following.poles = self.poles
        return following

    def check(self) -> None:
        """Compare the gradients by backward() and by a recorded walk with the numerical one."""
        every = [*self.elements, *self.directions]
        slopes = [self.slope(direction) for direction in every]
        for recorded in (False, True):
            gradient = self.gradient_for(self.weights, recorded)
            g = np.concatenate([part.ravel() for part in gradient])
            if not recorded:
                self.gradient_here = gradient
                if self.by_complex_steps and self.finds_kink(slopes, g):
                    self.by_complex_steps, self.looks_for_kinks = False, True
                    slopes = [self.slope(direction) for direction in every]
            self.compare(g, slopes, recorded)
            self.check_linear(g, recorded)
        self.kinks = sum(bool(slope.low < slope.high) for slope in slopes)

    def gradient_for(self, weights: list[Array], recorded: bool) -> list[Array]:
        """Return the gradients by the rules, for outputs with these weights."""
        leaves = [Tensor(x, requires_grad=True) for x in self.point.parted(self.point.row.copy())]
        return [data_of(g) for g in self.gradient([*leaves, *map(Tensor, weights)], recorded)]

    def check_linear(self, g: Array, recorded: bool) -> None:
        """Raise WrongRule unless weights of another sign and size multiply the gradient g alike.

        The weights are positive: a rule that computes with |g| would be right. Powers of two multiply without rounding.
        """
        scaled = np.concatenate([x.ravel() for x in self.gradient_for([FACTOR * w for w in self.weights], recorded)])
        error = np.abs(scaled - FACTOR * g)
        wrong = np.flatnonzero(error > 1e3 * self.precision.eps * np.abs(g[np.isfinite(g)]).max(initial=0))
        if wrong.size:
            first = self.point.element(int(wrong[0]))
            numbers = (
                f"order {self.order}{', with create_graph' if recorded else ''}: with {FACTOR} g for g, the rules give "
                f"{scaled[wrong[0]]:.12g} for the derivative {self.point.with_respect_to(first)}, where {FACTOR} times "
                f"{g[wrong[0]]:.12g} belongs"
            )
            raise WrongRule(numbers, self.order, recorded, of_g=False, is_linear=False)

    def values(self, row: Array) -> Array:
        """Return all outputs, end to end; all NaN if an observer in f refuses a value that is not finite."""
        is_real = row.dtype.kind == "f"
        try:
            with np.errstate(all="ignore"), enable_grad() if is_real else no_grad():
                outputs = self.outputs([Tensor(x, requires_grad=is_real) for x in self.point.parted(row)], False)
        except FloatingPointError:
            return np.full(self.flat_weights.shape, np.nan)
        return np.where(self.flat_weights == 0, 0, np.concatenate([np.ravel(data_of(out)) for out in outputs]))

    @cached_property
    def values_here(self) -> Array:
        return self.values(self.point.row.copy())

    def nudged(self, direction: Direction) -> Nudged:
        """Return the outputs as a function of the step in this direction."""

        @cache
        def nudged(step: Any) -> Array:
            if step == 0:
                return self.values_here
            row = self.point.row.astype(type(step))
            row[direction.positions] += step * direction.steps
            return self.values(row)

        return nudged

    def slope(self, direction: Direction, thorough: bool = False) -> Slope:
        """Return the numerical derivative in a direction; a thorough one is always by differences."""
        eps, rtol = self.precision.eps, self.precision.rtol
        nudged, at = self.nudged(direction), direction.at
        if self.by_complex_steps and not thorough:
            return complex_slope(nudged, self.flat_weights)
        units = self.units_of(direction)
        if not thorough:
            return real_slope(nudged, self.flat_weights, at, eps, rtol, kinks=self.looks_for_kinks, unit=units[0])
        looks = [real_slope(nudged, self.flat_weights, at, eps, rtol, thorough=True, unit=unit) for unit in units]
        return most_certain(looks, rtol)

    def units_of(self, direction: Direction) -> list[float]:
        """Return the units of steps in a direction: the usual one first, then others for a thorough look."""
        unit, at = step_unit(direction.at), direction.at
        x = self.point.inputs[self.point.number_of(direction)]
        if x.is_g:  # a rule is linear in g, so a large step, at first 1/4, is exact and rounds less
            return [0.25 / first_step(1.0, self.precision.eps), unit]
        if len(direction.positions) > 1:  # among many elements some are near kinks and poles: small steps cross fewer
            return [1e-2, unit]
        # Near a pole at 0, only steps in proportion to the number itself stay on its side of the pole.
        return list(dict.fromkeys((unit, abs(at) or 1.0)))

    def finds_kink(self, slopes: list[Slope], g: Array) -> bool:
        """Return whether f has a kink along a random direction; if not, raise if differences refute complex steps."""
        positions = np.array([position for element in self.elements for position in element.positions], int)
        at = np.abs(self.point.row[positions])
        direction = Direction(positions, self.random.standard_normal(len(at)) * np.where(at == 0, 1, at), 1.0)
        of_elements = slopes[: len(positions)]  # those along directions follow
        terms = [slope.low * step for slope, step in zip(of_elements, direction.steps, strict=True)]
        size = sum(map(abs, terms))
        nudged = self.nudged(direction)
        differences = real_slope(nudged, self.flat_weights, 1.0, self.precision.eps, 1e-6, thorough=True)
        if differences.low < differences.high:
            return True
        _refuse_contradiction(sum(terms), differences, 1e-6 * size + self.noise, "along a random direction")
        if differences.uncertainty > max(1e-3 * size, 1e-9):
            raise self.inconclusive(
                f"complex steps give the slope {sum(terms):.9g} along a random direction, central differences "
                f"{differences}, which is too uncertain to bear it out",
                g[positions],
                differences,
            )
        return False

    def compare(self, g: Array, slopes: list[Slope], recorded: bool) -> None:
        """Raise unless the slopes confirm the gradient g. Thorough ones first replace those that do not."""
        rtol = self.precision.rtol
        directions = [*self.elements, *self.directions]
        along = np.array([direction.along(g) for direction in directions], float)
        for e in np.flatnonzero(~self.verdict(g, along, slopes).right):
            before = slopes[e]
            slopes[e] = self.slope(directions[e], thorough=True)
            if self.by_complex_steps and before.uncertainty < np.inf:
                tolerance = rtol * abs(before.low) + self.noise
                _refuse_contradiction(before.low, slopes[e], tolerance, f"for {self.point.name_of(directions[e])}")
                if slopes[e].low == slopes[e].high and before.uncertainty < slopes[e].uncertainty:
                    slopes[e] = before
        for e in np.flatnonzero(~self.verdict(g, along, slopes).right):
            if e >= len(self.elements) and not self.by_complex_steps:
                # Steps in proportion to the numbers keep them on their side of 0.
                positions, steps, at = directions[e]
                sizes = np.abs(self.point.row[positions])
                directions[e] = Direction(positions, np.sign(steps) * np.where(sizes == 0, 1, sizes), at)
                self.directions[e - len(self.elements)] = directions[e]
                along[e], slopes[e] = directions[e].along(g), self.slope(directions[e], thorough=True)
        verdict = self.verdict(g, along, slopes)
        if not verdict.right.all():
            raise self.refusal(g, along, slopes, verdict, recorded)
        smooth = np.array([slope.low == slope.high for slope in slopes], bool)
        self.largest_error = max(self.largest_error, float(verdict.error[smooth].max(initial=0)))
        self.error_bound = max(self.error_bound, float(verdict.error_bound[smooth].max(initial=0)))

    def verdict(self, g: Array, along: Array, slopes: list[Slope]) -> Verdict:
        """Judge the derivatives by the slopes.

        A derivative need not be more certain than if it were a hundredth of the largest one of its input. Of the sum of
        many, with random signs, the typical size counts: the root of the sum of the squares.
        """
        rounding = self.precision.rounding if self.by_complex_steps else self.noise
        n = len(self.elements)
        scale = largest_derivatives(slopes[:n], self.input_of[:n], len(self.point.inputs), rounding)[self.input_of]
        sizes = np.abs(np.where(np.isfinite(g), g, 0))
        least = SMALL * scale
        for e, (positions, steps, _) in enumerate(self.directions, n):
            least[e] = np.linalg.norm(np.maximum(sizes[positions], least[e]) * steps)
        return verdict_on(along, slopes, scale, least, self.precision.rtol)

    def refusal(
        self, g: Array, along: Array, slopes: list[Slope], verdict: Verdict, recorded: bool
    ) -> "WrongRule | Inconclusive":
        """Return the error: WrongRule if a derivative is wrong beyond doubt."""
        n = len(self.elements)
        directions = [*self.elements, *self.directions]
        is_wrong = bool(verdict.wrong.any())
        failed = verdict.wrong if is_wrong else ~verdict.right
        if is_wrong and np.isfinite(along[failed]).any():
            failed = failed & np.isfinite(along)  # beside a pole, only what is finite is wrong beyond doubt
        first = int(failed.argmax())
        numbers = (
            f"order {self.order}, {self.method}{', with create_graph' if recorded else ''}: the rules give "
            f"{along[first]:.12g} for the derivative {self.point.with_respect_to(directions[first])}, numerical "
            f"differentiation gives {slopes[first]}; {failed[:n].sum()} of {n} elements"
        )
        if self.directions:
            numbers += f" and {failed[n:].sum()} of {len(self.directions)} random directions"
        wrong_element = ""
        if is_wrong and first >= n:  # kinks and poles near some of many elements can mislead, but not about one
            located = (self.located(directions[e], g, verdict.scale[e]) for e in np.flatnonzero(failed))
            wrong_element = next(filter(None, located), "")
            is_wrong = wrong_element != ""
        if not is_wrong or (self.poles and not np.isfinite(along[first])):
            return self.inconclusive(f"{numbers} cannot be told", along[failed], slopes[first])
        of_g = all(self.point.inputs[k].is_g for k in self.input_of[failed])
        return WrongRule(f"{numbers} differ{wrong_element}", self.order, recorded, of_g)

    def located(self, direction: Direction, g: Array, scale: float) -> str:
        """Return which element makes a direction wrong, found by halving it, or "" if none is wrong beyond doubt."""

        def look(part: Direction) -> tuple[float, Slope]:
            slope = self.slope(part, thorough=not self.by_complex_steps)
            distance = np.nan_to_num(slope.distance(part.along(g)), nan=np.inf)
            return (float(distance - slope.uncertainty) if slope.uncertainty < np.inf else -np.inf), slope

        while len(direction.positions) > 1:
            middle = len(direction.positions) // 2
            parts = slice(middle), slice(middle, None)
            halves = [Direction(direction.positions[part], direction.steps[part], 1.0) for part in parts]
            direction = max(halves, key=lambda half: look(half)[0])
        element = self.point.element(int(direction.positions[0]))
        excess, slope = look(element)
        if excess <= ROUNDING * self.precision.rtol * max(abs(slope.low), abs(slope.high), SMALL * scale):
            return ""
        return (
            f"; halving the direction leads to {self.point.name_of(element)}, where the rules give "
            f"{element.along(g):.12g} and numerical differentiation gives {slope}"
        )

    def inconclusive(self, numbers: str, derivatives: Array, slope: Slope) -> Inconclusive:
        """Return the error that says what to change, given doubtful derivatives by the rules, and a numerical one."""
        if self.poles and not np.isfinite(derivatives).all():
            sentence = (
                f"f is infinite in {self.poles}, and there the rules multiply an infinite derivative by 0: move the "
                "inputs away from the pole, or mask: choose safe inputs with where() before the operation"
            )
        elif not np.isfinite(derivatives).all():
            sentence = (
                "the rules give a derivative that is not finite, which no difference can confirm: move the inputs away "
                "from where f has no finite derivative"
            )
        elif slope.uncertainty == np.inf:
            sentence = (
                "f jumps here, or is finite to one side only, or has no finite derivative: move the inputs away from "
                "jumps, from poles and from the edge of its domain"
            )
        else:
            sentence = (
                "numerical differentiation is too uncertain here: scale f or the inputs so that the changes of f are "
                "not lost in its rounding, move the inputs away from kinks and poles, compute in float64 all the way, "
                "or ask for less with a larger rtol"
            )
        return Inconclusive(sentence, numbers)


def _refuse_contradiction(complex_step: float, differences: Slope, tolerance: float, where: str) -> None:
    if differences.distance(complex_step) > tolerance + differences.uncertainty:
        raise GradcheckError(
            "an operation that is declared analytic is wrong on complex arrays, or a kink is near\n"
            f"complex steps give the slope {complex_step:.9g} {where}, central differences {differences}"
        )
