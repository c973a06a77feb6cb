"""The classic mistakes in gradient rules as formulas, so that the checker can name them and tests can plant them.

>>> x, g = np.array([1.0, 2.0]), np.array([1.0, 1.0])
>>> square = Call(g, out=x * x, x=x, others=(), static={}, right=lambda g: g * 2 * x, exchanged=None)
>>> MISTAKES["forgets a factor of 2"](square)
array([1., 2.])

A row of the table computes the answer of a rule with that mistake from the right answer. For the checker the right
answer is a numerical one; a test that plants a mistake takes the answer of the rule that it spoils. Rows take the
arrays of any module that NumPy's functions dispatch to, symbols among them.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from tinygrad_sm.backend import Array, HostArray
from tinygrad_sm.check.numerical import EPS, real_slope
from tinygrad_sm.engine.tape import Node, data_of
from tinygrad_sm.ops.elementwise import sigmoid
from tinygrad_sm.ops.softmax import log_softmax, softmax
from tinygrad_sm.precision import sum_to_shape
from tinygrad_sm.tensors import Tensor
from tinygrad_sm.transforms import grad

MOST_ENTRIES = 3 * 10**6
"""The most entries of a Jacobian for which the checker looks for mistakes."""


class Call(NamedTuple):
    """One call of a gradient rule, on arrays: of the rule for the operand x.

    right and exchanged are functions of g: the right gradient with respect to x, and that with respect to the other
    operand, None if there are not two.
    """

    g: Array
    out: Array
    x: Array
    others: tuple[Any, ...]
    static: dict[str, Any]
    right: Callable[[Array], Array]
    exchanged: Any


def _only(g: Array, row: int) -> Array:
    """Return g with 0 for all examples but one."""
    kept = np.zeros_like(g)
    kept[row] = g[row]
    return kept


def _diagonal(call: Call) -> Array:
    """Return g ⊙ diag(J), from right(e_i) = e_iᵀJ."""
    if call.x.size != call.out.size:
        raise ValueError("a Jacobian that is not square")
    answer = np.zeros_like(call.x)
    for i, place in enumerate(np.ndindex(call.x.shape)):
        unit = np.zeros_like(call.out)
        unit[np.unravel_index(i, call.out.shape)] = 1
        answer[place] = call.right(unit)[place]
    return call.g * answer


def _elements_in_each(call: Call) -> float:
    """Return how many elements of x each output is made of."""
    if call.x.size <= call.out.size:
        raise ValueError("not a reduction")
    return call.x.size / call.out.size


def _reshaped(call: Call) -> Array:
    if call.x.shape == call.out.shape:
        raise ValueError("nothing to reshape")
    return call.g.reshape(call.x.shape)


def _assigned(call: Call) -> Array:
    answer = np.zeros_like(call.x)
    answer[call.static["index"]] = call.g
    return answer


def _kept(call: Call) -> Any:
    """Return how many examples have a label that is not the ignored one."""
    kept = (call.others[0] != call.static["ignored"]).sum()
    if kept == len(call.x):
        raise ValueError("no example is ignored")
    return kept


def _of(function: Callable[[Call], Array], row: Callable[[Call], Array]) -> Callable[[Call], Array]:
    """Return the row for calls of one function: it raises ValueError where the output is not what that gives.

    Only numbers are compared: formulas come from a test, which knows the function whose rule it spoils.
    """

    def checked(call: Call) -> Array:
        if type(call.out) is HostArray:
            made = function(call)
            if made.shape != call.out.shape or not np.allclose(made, call.out) or not made.any():  # 0 from anything
                raise ValueError("another function")
        return row(call)

    return checked


def _softmax(call: Call) -> Array:
    return softmax(call.x, call.static.get("axis", -1))


def _log_softmax(call: Call) -> Array:
    return log_softmax(call.x, call.static.get("axis", -1))


def _sigmoid(call: Call) -> Array:
    return sigmoid(call.x)


def _tanh(call: Call) -> Array:
    return np.tanh(call.x)


def _sqrt(call: Call) -> Array:
    return np.sqrt(call.x)


def _without_labels(call: Call) -> Array:
    """Return g p/N, for a loss of logits."""
    if call.x.ndim != 2 or call.out.size != 1:
        raise ValueError("not a loss of logits")
    p = np.exp(call.x) / np.exp(call.x).sum(axis=1, keepdims=True)
    return call.g * p / len(call.x)


MISTAKES: dict[str, Callable[[Call], Array]] = {
    # Any rule
    "has the wrong sign": lambda c: -c.right(c.g),
    "forgets the chain rule, g": lambda c: c.right(np.ones_like(c.g)),
    "hands g on as it came": lambda c: c.g,
    "forgets a factor of 2": lambda c: c.right(c.g) / 2,
    "has a factor of 2 too much": lambda c: c.right(c.g) * 2,
    "keeps only the diagonal of the Jacobian": _diagonal,
    # Operations of two operands, and matrices
    "gives the gradient of the other operand": lambda c: c.exchanged(c.g),
    "gives the gradient transposed": lambda c: c.right(c.g).swapaxes(-1, -2),
    "multiplies from the right by a matrix that should be transposed": lambda c: c.g @ c.others[0],
    "multiplies from the left by a matrix that should be transposed": lambda c: c.others[0] @ c.g,
    "multiplies from the right by a transposed matrix that should not be transposed": (
        lambda c: c.g @ c.others[0].swapaxes(-1, -2)
    ),
    "multiplies from the left by a transposed matrix that should not be transposed": (
        lambda c: c.others[0].swapaxes(-1, -2) @ c.g
    ),
    "reshapes where it should transpose": _reshaped,
    "assigns where the gradients of repeated indices should add up": _assigned,
    # Batches
    "forgets the division by N, the number of rows": lambda c: c.right(c.g) * len(c.x),
    "forgets the division by the number of elements": lambda c: c.right(c.g) * _elements_in_each(c),
    "divides by N, the number of rows, where the number of elements belongs": (
        lambda c: c.right(c.g) * _elements_in_each(c) / len(c.x)
    ),
    "divides by N, the number of rows, once too often": lambda c: c.right(c.g) / len(c.x),
    "takes the mean over the batch where the sum belongs": lambda c: c.right(c.g) / len(c.g),
    "counts only the first example of the batch": lambda c: c.right(_only(c.g, 0)),
    "counts only the last example of the batch": lambda c: c.right(_only(c.g, -1)),
    "sums over the classes instead of over the batch": lambda c: c.g.sum(axis=1),
    "forgets the division by the number of examples that are not ignored": lambda c: c.right(c.g) * _kept(c),
    "divides by the number of all examples, where the ignored ones do not count": (
        lambda c: c.right(c.g) * _kept(c) / len(c.x)
    ),
    # Single operations
    "forgets ⟨p, g⟩ in the gradient of softmax, p ⊙ (g − ⟨p, g⟩)": _of(_softmax, lambda c: c.g * c.out),
    "sums in the gradient of softmax over the batch instead of over the classes": _of(
        _softmax, lambda c: c.out * (c.g - (c.g * c.out).sum(axis=0, keepdims=True))
    ),
    "forgets the sum of g in the gradient of log_softmax, g − p Σg": _of(_log_softmax, lambda c: c.g - np.exp(c.out)),
    "forgets the −y of cross-entropy: p/N where (p − y)/N belongs": _without_labels,
    "takes x where σ(x) belongs in σ′ = σ(1 − σ)": _of(_sigmoid, lambda c: c.g * c.x * (1 - c.x)),
    "forgets the factor 1 − σ in σ′ = σ(1 − σ)": _of(_sigmoid, lambda c: c.g * c.out),
    "forgets the factor σ in σ′ = σ(1 − σ)": _of(_sigmoid, lambda c: c.g * (1 - c.out)),
    "takes x where tanh x belongs in tanh′ = 1 − tanh²": _of(_tanh, lambda c: c.g * (1 - c.x * c.x)),
    "forgets the square in tanh′ = 1 − tanh²": _of(_tanh, lambda c: c.g * (1 - c.out)),
    "takes for tanh the derivative of the sigmoid, out (1 − out)": _of(_tanh, lambda c: c.g * c.out * (1 - c.out)),
    "takes for the sigmoid the derivative of tanh, 1 − out²": _of(_sigmoid, lambda c: c.g * (1 - c.out * c.out)),
    "takes x where exp x belongs": _of(lambda c: np.exp(c.x), lambda c: c.g * c.x),
    "forgets the ½ of the square root's 1/(2√x)": _of(_sqrt, lambda c: c.g / c.out),
    "forgets the 1/√x of the square root's 1/(2√x)": _of(_sqrt, lambda c: c.g / 2),
    "forgets the factor b of b·aᵇ⁻¹": _of(
        lambda c: np.power(c.x, c.others[0]), lambda c: c.g * np.power(c.x, c.others[0] - 1.0)
    ),
    "leaves the exponent as it was: b·aᵇ where b·aᵇ⁻¹ belongs": _of(
        lambda c: np.power(c.x, c.others[0]), lambda c: c.g * c.others[0] * c.out
    ),
    "divides once by b where b² belongs, in −a/b²": _of(
        lambda c: np.divide(c.others[0], c.x), lambda c: -c.g * c.others[0] / c.x
    ),
    "multiplies by x where it should divide": lambda c: c.right(c.g) * c.x * c.x,
}
"""What a wrong rule does, and what it then answers. A row that does not fit a call raises an error."""


def mistakes_in(node: Node, i: int) -> list[str]:
    """Return the classic mistakes that this call of the rule for the i-th operand shows.

    Only those that make a difference here: where N is 1, nobody can tell whether the division by N was forgotten.
    """
    arrays = [np.array(x, np.float64) if getattr(x, "dtype", np.dtype(int)).kind == "f" else x for x in node.arrays]
    x = Tensor(arrays[i], requires_grad=True)
    out = node.op(*arrays[:i], x, *arrays[i + 1 :], **node.static)
    if out.size * max(np.size(y) for y in arrays) > MOST_ENTRIES:
        return []
    g = np.random.default_rng(0).uniform(0.5, 1.5, out.shape)
    answer = data_of(grad(out, x, g)[0])
    call = Call(
        g,
        out.data,
        x.data,
        (*arrays[:i], *arrays[i + 1 :]),
        node.static,
        right=_numerical_rule(node, arrays, i),
        exchanged=_numerical_rule(node, arrays, 1 - i) if len(arrays) == 2 else None,
    )
    truth = call.right(g)
    return [sentence for sentence, wrong in MISTAKES.items() if _explains(wrong, call, answer, truth)]


def _numerical_rule(node: Node, arrays: list[Any], i: int) -> Callable[[Array], Array]:
    """Return g ↦ gᵀJ, J the numerical Jacobian of the operation with respect to its i-th operand."""

    @cache
    def jacobian() -> Array:
        x = arrays[i]

        def column(index: tuple[int, ...]) -> Array:
            def nudged(step: float) -> Array:
                changed = x.copy()
                changed[index] += step
                return np.ravel(node.op(*arrays[:i], changed, *arrays[i + 1 :], **node.static))

            return real_slope(nudged, 1, float(x[index]), EPS, rtol=1e-9, kinks=False).low

        return np.stack([column(index) for index in np.ndindex(x.shape)], axis=-1)

    return lambda g: (g.ravel() @ jacobian()).reshape(arrays[i].shape)


def answer_of(
    wrong: Callable[[Call], Array], call: Call, shape: tuple[int, ...], as_it_is: tuple[int, ...] | None = None
) -> Array | None:
    """Return what a rule with this mistake answers, summed to the shape; None if the row does not fit the call.

    as_it_is : a shape of which an answer is not summed.
    """
    try:
        with np.errstate(all="ignore"):
            made = wrong(call)
            if made.shape == as_it_is:
                return made
            return sum_to_shape(made, shape) if np.broadcast_shapes(made.shape, shape) == made.shape else None
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return None


def _explains(wrong: Callable[[Call], Array], call: Call, answer: Array, truth: Array) -> bool:
    """Whether the wrong rule gives the answer, and the answer is not the truth."""
    made = answer_of(wrong, call, answer.shape)
    atol = 1e-9 * np.abs(truth).max(initial=0)
    return (
        made is not None
        and np.allclose(made, answer, rtol=1e-6, atol=atol)
        and not np.allclose(made, truth, rtol=1e-6, atol=atol)
    )
