"""The checker: gradients by the rules against gradients by numerical differentiation.

    >>> from tinygrad_sm import tanh
    >>> report = gradcheck(lambda x: (tanh(x) ** 2).sum(), [np.array([0.5, -1.0])])
    >>> report.method, report.elements, report.order, report.error_bound < 1e-9
    ('complex step', 5, 2, True)

The five derivatives are two of order 1, and three of order 2: with respect to the two elements of x and to g.

A gradient rule is a claim, which values of f test. `numerical` differentiates f with respect to every element of every
input, by complex steps where all operations are `analytic` and by differences elsewhere, and gives the uncertainty of
each derivative. So there are three outcomes. The rules are right; or they are wrong; or the uncertainty is too large to
tell. Then the check is inconclusive, which is an error too: what was not verified does not pass. For a wrong rule the
message names the operation whose rule disagrees with its own forward, says what the rule forgets, if that is one of the
classic `mistakes`, and shows the path of operations.

A gradient is a function like f, of the inputs and of the g that the rules are given. So the next of the `orders` is
checked as this one was: as the gradient of a gradient, with respect to the inputs and to g.
"""

from collections.abc import Callable
from numbers import Integral
from typing import Any, NamedTuple

import numpy as np

from tinygrad_sm.arguments import integer, number
from tinygrad_sm.arrays import as_array
from tinygrad_sm.backend import Array, to_numpy
from tinygrad_sm.check.directions import Input, element_index, named_elements, output_names
from tinygrad_sm.check.gradients import Outputs, as_outputs
from tinygrad_sm.check.mistakes import mistakes_in
from tinygrad_sm.check.numerical import EPS
from tinygrad_sm.check.orders import Inconclusive, Order, Precision, WrongRule
from tinygrad_sm.engine.mode import Observer, enable_grad, no_grad, observe
from tinygrad_sm.engine.tape import Node, Traced, data_of, operand_name
from tinygrad_sm.errors import GradcheckError, GradientError
from tinygrad_sm.tensors import Tensor


class GradcheckReport(NamedTuple):
    """What a check has compared, and what it has proved; printed, it says so in sentences.

    method : that of the first order, "complex step" or "central differences"; higher orders use the latter.
    elements : how many derivatives were compared one by one, in all orders together.
    derivatives : how many there are. If there are more than were compared one by one, their sums along random
        directions were compared too, and an error in one of them had a chance of at most 2⁻²⁰ to escape.
    directions : how many random directions that were, in all orders together.
    largest_error : the largest distance from a numerical derivative.
    error_bound : the largest possible error of a derivative, its distance plus its uncertainty, relative to the largest
        derivative of its input and order, absolute where these are all zero. Kinks are left out.
    kinks : how many derivatives, of elements or along directions, are at a kink; they lie between the one-sided ones.
    order : the highest order that was checked: after kinks there is no next one.
    """

    method: str
    elements: int
    derivatives: int
    directions: int
    largest_error: float
    error_bound: float
    kinks: int
    order: int

    def __str__(self) -> str:
        orders = {1: "order 1", 2: "orders 1 and 2"}.get(self.order, f"orders 1 to {self.order}")
        later = ", central differences later" if self.order > 1 and self.method == "complex step" else ""
        text = (
            f"gradcheck: of {orders}, {self.elements} of {self.derivatives} derivatives agree with numerical ones "
            f"({self.method}{later})"
        )
        if self.directions:
            text += f", and so do the sums of all of them along {self.directions} random directions"
        text += f". None is wrong by more than {self.error_bound:.1g}, relative to the largest of its input"
        if self.kinks:
            text += f", but {self.kinks} are at kinks: they lie between the one-sided derivatives"
        return f"{text}."


def gradcheck(f: Callable[..., Any], inputs: Any, order: int = 2, rtol: float = 1e-7) -> GradcheckReport:
    """Compare the gradients of f, up to the order, with numerical ones.

    f : takes one Tensor per input and returns a Tensor of any shape, or several. Its outputs are weighted with random
        numbers and summed; infinite ones, as of masks, are left out. It must give the same values for the same inputs.
    inputs : a list of arrays or Tensors, or a single one; they are converted to float64. Each finite element is
        checked, or, if there are more than 512 in all, a fixed choice of 512, with a fair share of each input; then
        20 random directions through all elements of an input show whether one of the others is wrong.
    order : the highest. From order 2 on, gradients are differentiated with respect to the inputs and to the rules' g.
    rtol : how certain a numerical derivative must be, relative to itself or to a hundredth of the largest one of the
        same input. The rules must agree within its uncertainty plus rtol / 1000 for their own rounding.

    Each order is checked twice: as backward() computes it, and with the walk itself recorded. At a kink, such as that
    of relu at 0, a derivative must lie between the one-sided ones, and higher orders are not checked.

    Returns a report, or raises GradcheckError: it names the rule at fault, and the mistake if it is a classic one; then
    the order, the element and both numbers; then the path of operations. It begins with "inconclusive" where numerical
    differentiation cannot tell, and with what to change.
    """
    _refuse_second_input(order)
    order = integer("gradcheck", "order", order, smallest=1)
    rtol = number("gradcheck", "rtol", rtol, smallest=EPS)
    given = inputs if isinstance(inputs, list | tuple) else [inputs]
    arrays = [to_numpy(as_array(data_of(x))) for x in given]
    if any(x.dtype.kind == "c" for x in arrays):
        raise TypeError("gradcheck: expected real inputs, got complex ones")
    arrays = [np.array(x, np.float64, order="C") for x in arrays]
    if not arrays:
        raise ValueError("gradcheck: expected inputs, got an empty list")
    with enable_grad():
        try:
            return _check(f, arrays, order, rtol)
        except WrongRule as found:
            diagnosis, path = _diagnosis(f, arrays, found.order, rtol)
            raise GradcheckError(f"{diagnosis}\n{found}\npath: {path}") from None


def _refuse_second_input(order: Any) -> None:
    if not isinstance(order, Integral) and (hasattr(order, "shape") or isinstance(order, list | tuple)):
        raise TypeError("gradcheck: give the inputs as one list: gradcheck(f, [a, b])")


class _Trace(Observer):
    """Observes the operations that f calls: their nodes, their rounding, and whether all are analytic."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.poles: list[str] = []  # what operations make of finite numbers that is not finite
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
        if not np.isfinite(out.data).all() and all(np.isfinite(x).all() for x in node.arrays):
            self.poles.append(f"the result of {node.op.name} is {'NaN' if np.isnan(out.data).any() else 'infinite'}")


def _check(f: Callable[..., Any], arrays: list[Array], order: int, rtol: float) -> GradcheckReport:
    def outputs(tensors: list[Tensor], recorded: bool) -> tuple[Any, ...]:
        return as_outputs("gradcheck", f(*tensors))

    with observe(_Trace()) as trace:
        values = [np.asarray(data_of(out)) for out in outputs(_leaves(arrays), True)]
    _check_values(values, [np.asarray(data_of(out)) for out in outputs(_leaves(arrays), True)])
    analytic = trace.analytic and _takes_complex(outputs, arrays)
    rounding = 4 * trace.eps * trace.size  # with some room, for the sums that an operation forms inside
    precision = Precision(analytic=analytic, eps=trace.eps, rounding=rounding, rtol=rtol)
    inputs = [Input(f"input {k}", x, np.isfinite(x)) for k, x in enumerate(arrays)]
    orders = [Order(1, outputs, inputs, values, precision, np.random.default_rng(0))]
    orders[0].check()
    for name, parts in (("input", arrays), ("output", values)):
        if sum(x.size for x in parts) and not any(np.isfinite(x).any() for x in parts):
            raise Inconclusive(f"every {name} is infinite, so nothing is compared: move the inputs", f"{parts}")
    while len(orders) < order and not orders[-1].kinks:
        orders.append(orders[-1].next())
        orders[-1].check()
    return GradcheckReport(
        method=orders[0].method,
        elements=sum(len(one.elements) for one in orders),
        derivatives=sum(int(x.varies.sum()) for one in orders for x in one.point.inputs),
        directions=sum(len(one.directions) for one in orders),
        largest_error=max(one.largest_error for one in orders),
        error_bound=max(one.error_bound for one in orders),
        kinks=sum(one.kinks for one in orders),
        order=len(orders),
    )


def _leaves(arrays: list[Array]) -> list[Tensor]:
    """Return leaves that hold copies, which f may change."""
    return [Tensor(x.copy(), requires_grad=True) for x in arrays]


def _check_values(values: list[Array], again: list[Array]) -> None:
    """Raise unless f gave the same real values twice, and none of them is NaN."""
    if any(value.dtype.kind == "c" for value in values):
        raise TypeError("gradcheck: expected f to return real numbers, got complex ones")
    names = output_names(len(values))
    if [x.shape for x in values] != [x.shape for x in again]:
        raise Inconclusive("f gave outputs of different shapes for the same inputs", f"{values}, then {again}")
    for name, before, after in zip(names, values, again, strict=True):
        changed = np.flatnonzero(~((before == after) | ((before != before) & (after != after))))
        if changed.size:
            first = changed[0]
            raise Inconclusive(
                "f gave different values for the same inputs: fix what it draws at random",
                f"element {element_index(before, first)} of {name}: {before.flat[first]}, then {after.flat[first]}",
            )
    if any(np.isnan(value).any() for value in values):
        nan = named_elements([(name, np.isnan(value)) for name, value in zip(names, values, strict=True)])
        raise Inconclusive("f gives NaN: move the inputs into its domain", f"{nan} is NaN")


def _takes_complex(outputs: Outputs, arrays: list[Array]) -> bool:
    """Return whether f works on complex numbers: not if it takes gradients or Python floats, or meets 0·∞."""
    try:
        with no_grad(), np.errstate(all="ignore"):
            values = outputs([Tensor(x.astype(complex)) for x in arrays], False)
    except (TypeError, ValueError, GradientError):
        return False
    return not any(np.isnan(data_of(out)).any() for out in values)


def _diagnosis(f: Callable[..., Any], arrays: list[Array], order: int, rtol: float) -> tuple[str, str]:
    """Check each operation alone; return what is wrong, the first wrong rule if there is one, and the path."""
    with observe(_Trace()) as trace:
        f(*_leaves(arrays))
    names = [node.op.name for node in trace.nodes]
    if len(names) > 12:
        names[6:-6] = ["..."]
    path = " → ".join(names) or "nothing was recorded"
    at_kinks: dict[str, None] = {}
    for node in trace.nodes:
        for i in _differentiated(node):
            try:
                if _check_alone(node, [i], order, rtol).kinks:
                    at_kinks[node.op.name] = None
            except WrongRule as found:
                operand = operand_name(node.op, i, node.operands[i])
                return f"the rule of {node.op.name} for its operand {operand} is wrong{_reason(node, i, found)}", path
            except GradcheckError:
                continue  # inconclusive
    for node in trace.nodes if order > 1 else ():  # one operand's rule may lose the history of another operand
        try:
            _check_alone(node, _differentiated(node), order, rtol)
        except WrongRule as found:
            return f"a rule of {node.op.name} is wrong{_reason(node, 0, found)}", path
        except GradcheckError:
            continue
    if trace.poles:
        return (
            f"no rule is wrong, but {trace.poles[0]}, and the chain rule multiplies 0 by ∞ or NaN, which gives NaN: "
            "choose safe inputs with where() before the operation, or move the inputs away"
        ), path
    advice = (
        "each rule agrees with the forward of its operation: look for what leaves the tape (.data, .detach(), "
        "no_grad(), NumPy's functions of arrays)"
    )
    if at_kinks:
        advice += f", or move the inputs off the kinks of {' and '.join(at_kinks)}: sums of kinks have no chain rule"
    return advice, path


def _differentiated(node: Node) -> list[int]:
    """Return the numbers of the operands that require a gradient."""
    return [i for i, operand in enumerate(node.operands) if isinstance(operand, Traced) and operand.requires_grad]


def _check_alone(node: Node, free: list[int], order: int, rtol: float) -> GradcheckReport:
    """Check the operation as a function of some of its operands."""

    def alone(*xs: Tensor) -> Any:
        operands: list[Any] = list(node.arrays)
        for i, x in zip(free, xs, strict=True):
            operands[i] = x
        return node.op(*operands, **node.static)

    return _check(alone, [np.array(node.arrays[i], np.float64, order="C") for i in free], order, rtol)


def _reason(node: Node, i: int, found: WrongRule) -> str:
    """Return what is known of why a rule is wrong."""
    if not found.is_linear:
        at_order = f" at order {found.order}" if found.order > 1 else ""
        return f"{at_order}: it is not linear in g, and so right for some g only"
    if found.of_g:
        return (
            f" at order {found.order}, in its dependence on g: it loses the history of g, as .data and .detach() do, "
            "or an operation on g has a wrong rule itself"
        )
    if found.order > 1:
        return f" at order {found.order}: something in it is a constant to a recorded walk, as .data and .detach() are"
    if found.recorded:
        return ", but only where the walk is recorded: its residual's recipe (saves=), or what it does with Tensors"
    mistakes = mistakes_in(node, i)
    return f": it answers like a rule that {', or that '.join(mistakes)}" if mistakes else ""
