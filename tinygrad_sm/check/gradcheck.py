"""The checker: gradients by the rules against gradients by numerical differentiation.

    >>> from tinygrad_sm import tanh
    >>> report = gradcheck(lambda x: (tanh(x) ** 2).sum(), [np.array([0.5, -1.0])])
    >>> report.method, report.elements, report.order, report.error_bound < 1e-9
    ('complex step', 4, 2, True)

A gradient rule is a claim, which f alone can test. `numerical` differentiates f with respect to every element of every
input, by complex steps where all operations are `analytic` and by differences elsewhere, and gives the uncertainty of
each derivative. So there are three outcomes. The rules are right; or they are wrong; or the uncertainty is too large to
tell. Then the check is inconclusive, which is an error too: what was not verified does not pass. For a wrong rule the
message shows the path of operations, names the one whose rule disagrees with its own forward, and says what the rule
forgets, if that is one of the classic `mistakes`.

A gradient is a function like f, so the next order is checked as this one was: as the gradient of a gradient.
"""

from collections.abc import Callable, Sequence
from functools import cache, cached_property
from typing import Any, NamedTuple

import numpy as np

from tinygrad_sm.arrays import as_array
from tinygrad_sm.backend import Array, to_numpy
from tinygrad_sm.check.mistakes import mistakes_in
from tinygrad_sm.check.numerical import (
    EPS,
    Nudged,
    Slope,
    complex_slope,
    first_step,
    most_certain,
    real_slope,
    step_unit,
    verdict_on,
)
from tinygrad_sm.engine.mode import Observer, enable_grad, no_grad, observe
from tinygrad_sm.engine.tape import Node, Traced, data_of, operand_name
from tinygrad_sm.errors import GradcheckError, GradientError
from tinygrad_sm.tensors import Tensor
from tinygrad_sm.transforms import grad

MOST_ELEMENTS = 512  # the most that are checked
ADVICE = (
    "scale f or the inputs so that the changes of f are not lost in its rounding, move the inputs away from kinks and "
    "poles, compute in float64 all the way, or ask for less with a larger rtol"
)

Place = tuple[int, tuple[int, ...]]
"""An element: the number of its input, and its index there."""

Outputs = Callable[[list[Tensor], bool], tuple[Any, ...]]
"""A function to differentiate, of the inputs and of a flag: if it is a gradient, whether its own walk is recorded."""


class GradcheckReport(NamedTuple):
    """What a check has compared, and what it has proved.

    method : that of the first order, "complex step" or "central differences"; higher orders use the latter.
    elements : how many derivatives were compared, in all orders together.
    largest_error : the largest distance from a numerical derivative.
    error_bound : the largest possible error of a derivative, its distance plus its uncertainty, relative to the largest
        derivative of its input and order, absolute where these are all zero. Kinks are left out.
    kinks : how many derivatives are at a kink; they lie between the one-sided derivatives.
    order : the highest order that was checked: after kinks there is no next one.
    """

    method: str
    elements: int
    largest_error: float
    error_bound: float
    kinks: int
    order: int


def gradcheck(f: Callable[..., Any], inputs: Any, order: int = 2, rtol: float = 1e-7) -> GradcheckReport:
    """Compare the gradients of f, up to the order, with numerical ones.

    f : takes one Tensor per input and returns a Tensor of any shape, or several. Its outputs are weighted with random
        numbers and summed; infinite ones, as of masks, are left out. It must give the same values for the same inputs.
    inputs : a list of arrays or Tensors, or a single one; they are converted to float64. Each finite element is
        checked, or, if there are more than 512 in all, a fixed choice of 512, with a fair share of each input.
    rtol : how certain a numerical derivative must be, relative to itself or to a hundredth of the largest one of the
        same input. The rules must agree within its uncertainty plus rtol / 1000 for their own rounding.

    Each order is checked twice: as backward() computes it, and with the walk itself recorded. At a kink, such as that
    of relu at 0, a derivative must lie between the one-sided ones, and higher orders are not checked.

    Returns a report, or raises GradcheckError: it names the order, the element and both numbers, the path of
    operations, the rule at fault, and the mistake if it is a classic one. It begins with "inconclusive" where numerical
    differentiation cannot tell.
    """
    given = inputs if isinstance(inputs, list | tuple) else [inputs]
    arrays = [np.array(to_numpy(as_array(data_of(x))), np.float64) for x in given]
    if not arrays or order < 1:
        raise ValueError(f"gradcheck: expected inputs and an order of at least 1, got {len(arrays)} and order {order}")
    with enable_grad():
        try:
            return _check(f, arrays, order, rtol)
        except _WrongRule as found:
            raise GradcheckError(f"{found}\n{_diagnosis(f, arrays, found.order, rtol)}") from None


class _WrongRule(GradcheckError):
    """The rules give a wrong gradient of this order beyond doubt, perhaps only where the walk is recorded."""

    def __init__(self, message: str, order: int, recorded: bool):
        super().__init__(message)
        self.order = order
        self.recorded = recorded


class _Trace(Observer):
    """Observes the operations that f calls: their nodes, their rounding, and whether all are analytic."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.analytic = True
        self.eps = EPS  # of the coarsest dtype among the results
        self.size = 0.0  # the largest sum of the absolute values in a result

    def forward(self, op: Any, forward: Callable[..., Any]) -> Callable[..., Any]:
        self.analytic = self.analytic and op.analytic

        def traced(*arrays: Any, **static: Any) -> Any:
            out = forward(*arrays, **static)
            result = np.asarray(out if op.saves is None else out[0])
            if result.dtype.kind == "f":
                self.eps = max(self.eps, float(np.finfo(result.dtype).eps))
                self.size = max(self.size, float(np.abs(result[np.isfinite(result)]).sum()))
            return out

        return traced

    def recorded(self, node: Any, out: Any, line: Any) -> None:
        self.nodes.append(node)


class _Point(NamedTuple):
    """Where gradients are compared, and how closely."""

    arrays: list[Array]
    places: list[Place]
    analytic: bool  # whether f has no kinks, and takes complex steps
    eps: float
    rounding: float  # of the largest result on the path
    rtol: float


def _check(f: Callable[..., Any], arrays: list[Array], order: int, rtol: float) -> GradcheckReport:
    def outputs(tensors: list[Tensor], recorded: bool) -> tuple[Any, ...]:
        out = f(*tensors)
        return tuple(out) if isinstance(out, tuple | list) else (out,)

    with observe(_Trace()) as trace:
        values = [np.asarray(data_of(out)) for out in outputs(_leaves(arrays), True)]
    again = outputs(_leaves(arrays), True)
    if not all(np.array_equal(a, data_of(b), equal_nan=True) for a, b in zip(values, again, strict=True)):
        raise GradcheckError("inconclusive: f gave different values for the same inputs: fix what it draws at random")
    random = np.random.default_rng(0)
    analytic = trace.analytic and _takes_complex(outputs, arrays)
    point = _Point(arrays, _places(arrays, random), analytic, trace.eps, 4 * trace.eps * trace.size, rtol)
    weights = [random.uniform(0.5, 1.5, value.shape) * ~np.isinf(value) for value in values]
    levels = [_Level(1, outputs, weights, point)]
    levels[0].check(random)
    while len(levels) < order and not levels[-1].kinks:
        weights = [random.uniform(0.5, 1.5, x.shape) for x in arrays]
        levels.append(_Level(len(levels) + 1, levels[-1].gradient, weights, point))
        levels[-1].check(random)
    return GradcheckReport(
        method=levels[0].method,
        elements=len(levels) * len(point.places),
        largest_error=max(level.largest_error for level in levels),
        error_bound=max(level.error_bound for level in levels),
        kinks=sum(level.kinks for level in levels),
        order=len(levels),
    )


def _leaves(arrays: list[Array]) -> list[Tensor]:
    """Return leaves that hold copies, which f may change."""
    return [Tensor(x.copy(), requires_grad=True) for x in arrays]


def _takes_complex(outputs: Outputs, arrays: list[Array]) -> bool:
    """Return whether f works on complex numbers: not if it takes gradients or Python floats, or meets 0·∞."""
    try:
        with no_grad(), np.errstate(all="ignore"):
            values = outputs([Tensor(x.astype(complex)) for x in arrays], False)
    except (TypeError, ValueError, GradientError):
        return False
    return not any(np.isnan(data_of(out)).any() for out in values)


def _places(arrays: list[Array], random: "np.random.Generator") -> list[Place]:
    """Return the elements to check: all finite ones or, if they are too many, a fair share of each input."""
    finite = [np.argwhere(np.isfinite(x)).tolist() for x in arrays]
    places: list[Place] = []
    left = MOST_ELEMENTS
    for done, k in enumerate(sorted(range(len(arrays)), key=lambda k: len(finite[k]))):
        share = min(len(finite[k]), max(1, left // (len(arrays) - done)))
        left -= share
        chosen = random.choice(len(finite[k]), share, replace=False) if share < len(finite[k]) else range(share)
        places += [(k, tuple(finite[k][i])) for i in chosen]
    return sorted(places)


class _Level:
    """One order of a check: the gradient of the weighted sum of outputs, by the rules and numerically."""

    def __init__(self, order: int, outputs: Outputs, weights: list[Array], point: _Point):
        self.order = order
        self.outputs = outputs
        self.weights = weights
        self.flat_weights = np.concatenate([w.ravel() for w in weights])
        self.point = point
        self.by_complex_steps = point.analytic and order == 1
        self.looks_for_kinks = not point.analytic
        self.noise = point.rounding / first_step(1.0, point.eps)  # the effect of rounding on a difference quotient
        self.kinks = 0
        self.largest_error = self.error_bound = 0.0

    @property
    def method(self) -> str:
        return "complex step" if self.by_complex_steps else "central differences"

    def gradient(self, tensors: list[Tensor], recorded: bool) -> tuple[Any, ...]:
        """Return the gradient by the rules, which is the outputs of the next order."""
        outputs = zip(self.outputs(tensors, True), self.weights, strict=True)
        tracked = [(out, w) for out, w in outputs if isinstance(out, Tensor) and out.requires_grad]
        found: Sequence[Tensor | None] = [None] * len(tensors)
        if tracked:
            roots, weights = zip(*tracked, strict=True)
            found = grad(roots, tensors, weights, create_graph=recorded, allow_unused=True)
        return tuple(Tensor(np.zeros(x.shape)) if g is None else g for x, g in zip(tensors, found, strict=True))

    def check(self, random: "np.random.Generator") -> None:
        """Compare the gradients by backward() and by a recorded walk with the numerical one."""
        slopes = [self.slope(place) for place in self.point.places]
        if self.by_complex_steps and self.finds_kink(slopes, random):
            self.by_complex_steps, self.looks_for_kinks = False, True
            slopes = [self.slope(place) for place in self.point.places]
        for recorded in (False, True):
            gradient = [data_of(g) for g in self.gradient(_leaves(self.point.arrays), recorded)]
            self.compare(np.array([gradient[k][i] for k, i in self.point.places]), slopes, recorded)
        self.kinks = sum(bool(slope.low < slope.high) for slope in slopes)

    def values(self, arrays: list[Array]) -> Array:
        """Return all outputs, end to end; all NaN if an observer in f refuses a value that is not finite."""
        is_real = arrays[0].dtype.kind == "f"
        try:
            with np.errstate(all="ignore"), enable_grad() if is_real else no_grad():
                outputs = self.outputs([Tensor(x, requires_grad=is_real) for x in arrays], False)
        except FloatingPointError:
            return np.full(self.flat_weights.shape, np.nan)
        return np.where(self.flat_weights == 0, 0, np.concatenate([np.ravel(data_of(out)) for out in outputs]))

    @cached_property
    def values_here(self) -> Array:
        return self.values([x.copy() for x in self.point.arrays])

    def nudged(self, directions: dict[Place, float]) -> Nudged:
        """Return the outputs as a function of the step that the elements take in these directions."""

        @cache
        def nudged(step: Any) -> Array:
            if step == 0:
                return self.values_here
            arrays = [x.astype(type(step)) for x in self.point.arrays]
            for (k, i), direction in directions.items():
                arrays[k][i] += step * direction
            return self.values(arrays)

        return nudged

    def slope(self, place: Place, thorough: bool = False) -> Slope:
        """Return the numerical derivative with respect to an element; a thorough one is always by differences."""
        k, i = place
        arrays, _, _, eps, _, rtol = self.point
        nudged = self.nudged({place: 1.0})
        if self.by_complex_steps and not thorough:
            return complex_slope(nudged, self.flat_weights)
        at = float(arrays[k][i])
        if not thorough:
            return real_slope(nudged, self.flat_weights, at, eps, rtol, kinks=self.looks_for_kinks)
        # Near a pole at 0, only steps in proportion to the number itself stay on its side of the pole.
        units = dict.fromkeys((step_unit(at), abs(at) or 1.0))
        looks = [real_slope(nudged, self.flat_weights, at, eps, rtol, thorough=True, unit=unit) for unit in units]
        return most_certain(looks, rtol)

    def finds_kink(self, slopes: list[Slope], random: "np.random.Generator") -> bool:
        """Return whether f has a kink along a random direction; if not, raise if differences refute complex steps."""
        arrays, places, _, eps, *_ = self.point
        directions = {(k, i): random.standard_normal() * (abs(arrays[k][i]) or 1.0) for k, i in places}
        terms = [slope.low * direction for slope, direction in zip(slopes, directions.values(), strict=True)]
        size = sum(map(abs, terms))
        differences = real_slope(self.nudged(directions), self.flat_weights, 1.0, eps, 1e-6, thorough=True)
        if differences.low < differences.high:
            return True
        _refuse_contradiction(sum(terms), differences, 1e-6 * size + self.noise, "along a random direction")
        if differences.uncertainty > max(1e-3 * size, 1e-9):
            raise GradcheckError(
                f"inconclusive: complex steps give the slope {sum(terms):.9g} along a random direction, central "
                f"differences {differences}, which is too uncertain to bear it out: {ADVICE}"
            )
        return False

    def compare(self, g: Array, slopes: list[Slope], recorded: bool) -> None:
        """Raise unless the slopes confirm the gradient g. Thorough ones first replace those that do not."""
        inputs = np.array([k for k, _ in self.point.places], int)
        *_, rounding, rtol = self.point
        rounding = rounding if self.by_complex_steps else self.noise
        for e in np.flatnonzero(~verdict_on(g, slopes, inputs, rounding, rtol).right):
            place, before = self.point.places[e], slopes[e]
            slopes[e] = self.slope(place, thorough=True)
            if self.by_complex_steps and before.uncertainty < np.inf:
                tolerance = rtol * abs(before.low) + self.noise
                _refuse_contradiction(before.low, slopes[e], tolerance, f"for {_element(place)}")
                if slopes[e].low == slopes[e].high and before.uncertainty < slopes[e].uncertainty:
                    slopes[e] = before
        verdict = verdict_on(g, slopes, inputs, rounding, rtol)
        if not verdict.right.all():
            is_wrong = bool(verdict.wrong.any())
            failed = verdict.wrong if is_wrong else ~verdict.right
            first = int(failed.argmax())
            message = (
                f"order {self.order}, {self.method}{', with create_graph' if recorded else ''}: the rules give "
                f"{g[first]:.12g} for the derivative with respect to {_element(self.point.places[first])}, numerical "
                f"differentiation gives {slopes[first]}; {failed.sum()} of {failed.size} elements "
            )
            if is_wrong:
                raise _WrongRule(message + "differ", self.order, recorded)
            raise GradcheckError(f"inconclusive: {message}cannot be told: {ADVICE}")
        smooth = [slope.low == slope.high for slope in slopes]
        self.largest_error = max(self.largest_error, float(verdict.error[smooth].max(initial=0)))
        self.error_bound = max(self.error_bound, float(verdict.error_bound[smooth].max(initial=0)))


def _refuse_contradiction(complex_step: float, differences: Slope, tolerance: float, where: str) -> None:
    if differences.distance(complex_step) > tolerance + differences.uncertainty:
        raise GradcheckError(
            f"complex steps give the slope {complex_step:.9g} {where}, central differences {differences}: an operation "
            "that is declared analytic is wrong on complex arrays, or a kink is near"
        )


def _element(place: Place) -> str:
    return f"element {place[1]} of input {place[0]}"


def _diagnosis(f: Callable[..., Any], arrays: list[Array], order: int, rtol: float) -> str:
    """Return the path of operations, and the first of them with a rule that is wrong when checked alone."""
    with observe(_Trace()) as trace:
        f(*_leaves(arrays))
    names = [node.op.name for node in trace.nodes]
    if len(names) > 12:
        names[6:-6] = ["..."]
    path = f"path: {' → '.join(names) or 'nothing was recorded'}\n"
    at_kinks: dict[str, None] = {}
    for node in trace.nodes:
        for i, operand in enumerate(node.operands):
            if isinstance(operand, Traced) and operand.requires_grad:
                try:
                    alone = _check(_alone(node, i), [np.array(node.arrays[i], np.float64)], order, rtol)
                    at_kinks |= {node.op.name: None} if alone.kinks else {}
                except _WrongRule as found:
                    rule = f"the rule of {node.op.name} for its operand {operand_name(node.op, i, operand)} is wrong"
                    return path + rule + _reason(node, i, found)
                except GradcheckError:
                    continue  # inconclusive
    advice = (
        "each rule agrees with the forward of its operation: look for what leaves the tape (.data, .detach(), "
        "no_grad(), NumPy's functions of arrays)"
    )
    if at_kinks:
        advice += f", or move the inputs off the kinks of {' and '.join(at_kinks)}: sums of kinks have no chain rule"
    return path + advice


def _alone(node: Node, i: int) -> Callable[[Tensor], Any]:
    """Return the operation as a function of its i-th operand."""
    return lambda x: node.op(*node.arrays[:i], x, *node.arrays[i + 1 :], **node.static)


def _reason(node: Node, i: int, found: _WrongRule) -> str:
    """Return what is known of why a rule is wrong."""
    if found.order > 1:
        return f" at order {found.order}: something in it is a constant to a recorded walk, as .data and .detach() are"
    if found.recorded:
        return ", but only where the walk is recorded: its residual's recipe (saves=), or what it does with Tensors"
    mistakes = mistakes_in(node, i)
    return f": it answers like a rule that {', or that '.join(mistakes)}" if mistakes else ""
