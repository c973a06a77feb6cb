"""The mistakes of gradients written by hand, beside those of single rules in `check.mistakes`.

>>> import tinygrad_sm as tg
>>> layer = tg.nn.Linear(2, 2)
>>> with tg.look.record(layer) as recording:
...     layer(tg.ones((3, 2))).sum().backward()
>>> tg.look.compare(recording, dbias=[[1.0, 1.0], [1.0, 1.0], [1.0, 1.0]])
`dbias` is wrong: it misses the sum over the batch (its shape is (3, 2), that of the value (2,))  ◀ the first

A row here is a function of a `Rule`, a rule on the way to a value with the arrays that it was called with. It yields
sentences with what the rule would answer with that mistake. `searching` tries them, and those of the checker.
"""

import math
from collections.abc import Callable, Iterator
from itertools import combinations
from typing import NamedTuple

import numpy as np

from tinygrad_sm.backend import HostArray
from tinygrad_sm.check.mistakes import MISTAKES, Call
from tinygrad_sm.look.entries import Entry, Leaf, Operation, summed_axes
from tinygrad_sm.look.retracing import Tape, Use
from tinygrad_sm.ops.elementwise import sigmoid
from tinygrad_sm.ops.softmax import log_softmax, softmax
from tinygrad_sm.precision import broadcasts_to

Made = Iterator[tuple[str, HostArray]]
"""Mistakes, each with the answer of the rule that makes it."""

MOST_ENTRIES = 10**5
"""The most entries of a Jacobian of which the diagonal is looked at."""


class Rule(NamedTuple):
    """A rule on the way to a value: that of one use of `source`.

    part : the right answer, summed to the shape of the operand.  answer : before it was summed. Where the operation has
        the value as both operands, as in x·x, they are those of both.
    """

    tape: Tape
    use: Use
    source: Entry
    call: Call
    part: HostArray
    answer: HostArray

    @property
    def op(self) -> str:
        """The name of the operation."""
        return self.use.operation.label

    @property
    def summed(self) -> tuple[int, ...]:
        """The axes over which the answer is summed, because the operand was broadcast along them."""
        return summed_axes(self.answer.shape, self.part.shape) if self.answer.shape != self.part.shape else ()

    @property
    def is_over_the_batch(self) -> bool:
        """Whether the gradient is a sum over the first axis of g."""
        return 0 in self.summed or (_is_product(self) and self.use.i > 0)

    @property
    def factor(self) -> float | None:
        """The constant number by which the operation multiplies; None if it does not."""
        if self.op not in ("multiply", "divide") or (self.op == "divide" and self.use.i == 1):
            return None
        other = self.use.operation.operands[1 - self.use.i].source
        if not isinstance(other, Leaf) or other.kind == "parameter" or other.value.size != 1:
            return None
        number = float(other.value.sample.reshape(()))
        return (number if self.op == "multiply" else 1 / number) if number else None

    @property
    def squares(self) -> bool:
        """Whether a factor of 2 can be forgotten: in a square, or in a square root."""
        if self.op == "power":
            return any(np.size(x) == 1 and abs(float(np.reshape(x, ()))) == 2 for x in self.call.others)
        both = {operand.source.key for operand in self.use.operation.operands}
        return self.op == "sqrt" or (self.op == "multiply" and len(both) == 1)


def _unsummed(rule: Rule) -> Made:
    if rule.summed:
        yield f"misses the sum over {'the batch' if rule.summed == (0,) else _named(rule.summed)}", rule.answer


def _summed_elsewhere(rule: Rule) -> Made:
    for wrong in combinations(range(rule.answer.ndim), len(rule.summed)) if rule.summed else ():
        if wrong != rule.summed:
            for keepdims in (False, True):
                sentence = f"sums over {_named(wrong)} instead of {_named(rule.summed)}"
                yield sentence, rule.answer.sum(axis=wrong, keepdims=keepdims)
    if rule.summed and 0 not in rule.summed:
        n = math.prod(rule.answer.shape[axis] for axis in rule.summed)
        yield f"takes the mean over {_named(rule.summed)} where the sum belongs", rule.part / n


def _masked(rule: Rule) -> Made:
    g, x = rule.call.g, rule.call.x
    if rule.op == "relu":
        yield "hands g on also where x is not positive", g
        yield "keeps what is positive in g, not where x is positive", np.maximum(g, 0)
        yield "keeps g where x is negative, not where it is positive", np.where(x < 0, g, 0)
    if rule.op in ("max", "min") and broadcasts_to(g.shape, x.shape):
        yield "hands g to all elements, not to the extreme ones alone", np.broadcast_to(g, x.shape)
    if rule.op == "getitem" and g.ndim + 1 == x.ndim and len(g) == len(x):
        to_all = np.broadcast_to(g[..., None], x.shape) if broadcasts_to((*g.shape, 1), x.shape) else g
        yield "hands g to all elements of a row, not to the picked one alone", to_all


def _standardized(rule: Rule) -> Made:
    """Take the mean, or the deviation, for a constant: the branches of a batch norm in one operation."""
    if rule.op == "standardize":
        g, z, sigma, axis = rule.call.g, rule.call.out, rule.call.static["saved"], rule.call.static["axis"]
        by_mean, by_deviation = g.mean(axis, keepdims=True), z * (g * z).mean(axis, keepdims=True)
        yield "misses what comes through the mean", (g - by_deviation) / sigma
        yield "misses what comes through the standard deviation", (g - by_mean) / sigma
        yield "misses what comes through the mean and through the standard deviation", g / sigma


def _constants(rule: Rule) -> Made:
    """Forget a constant factor, or take N for N − 1 where it belongs to a sum."""
    k, n, rows = rule.factor, _elements_of_each(rule), rule.call.out.shape[:1]
    if k is None:
        return
    if n > 1 and _equal(k, 1 / n) and _is_of_squares(rule.source):
        yield "divides by N − 1 where N belongs", rule.part * n / (n - 1)
    if n > 1 and (_equal(k, 1 / (n - 1)) or _equal(k, n / (n - 1))):
        yield "divides by N where N − 1 belongs", rule.part * (n - 1) / n
        if _equal(k, 1 / (n - 1)):
            yield "forgets the division by N − 1", rule.part / k
    elif any(_equal(k, 1 / count) for count in (n, *rows) if count):
        yield "forgets the division by N", rule.part / k
    else:
        yield f"forgets the factor {k:.4g}", rule.part / k


def _elements_of_each(rule: Rule) -> int:
    """Return how many elements each sum has before or after it is multiplied by a constant, 0 if there is no sum."""
    before, after = rule.source, rule.tape.users(rule.use.operation.key)
    if isinstance(before, Operation) and before.label in ("sum", "mean") and before.value.size:
        return before.operands[0].source.value.size // before.value.size
    if len(after) == 1 and after[0].label == "sum" and after[0].value.size:
        return rule.use.operation.value.size // after[0].value.size
    return 0


def _averaged_otherwise(rule: Rule) -> Made:
    """Take N − 1 for N in a mean of squares."""
    if rule.op == "mean" and rule.part.size > rule.call.out.size > 0 and _is_of_squares(rule.source):
        n = rule.part.size // rule.call.out.size
        yield "divides by N − 1 where N belongs", rule.part * n / (n - 1)


def _is_of_squares(entry: Entry) -> bool:
    """Whether this is a square, or a sum or mean of squares, as in a variance."""
    if isinstance(entry, Operation) and entry.label in ("sum", "mean"):
        entry = entry.operands[0].source
    if not isinstance(entry, Operation):
        return False
    return entry.label == "power" or (entry.label == "multiply" and len({x.source.key for x in entry.operands}) == 1)


SLIPS: tuple[Callable[[Rule], Made], ...] = (
    _unsummed,
    _summed_elsewhere,
    _masked,
    _standardized,
    _constants,
    _averaged_otherwise,
)


WITHOUT_LABELS = "forgets the −y of cross-entropy: p/N where (p − y)/N belongs"


def has_labels(call: Call) -> bool:
    """Whether this is a cross-entropy of logits, of two classes or more."""
    return next(_labels(call), None) is not None and call.x.shape[1] > 1


def _labels(call: Call) -> Iterator[tuple[int, str, HostArray, HostArray]]:
    """Yield N, by which the loss divides, the formula of the gradient, p and y, if it is a cross-entropy of logits.

    Its gradient is p − y, so y is known. The rows of y must sum to 1, and the loss must be what comes of such y.
    """
    right = call.right(call.g) if call.out.size == 1 and call.x.ndim == 2 and call.x.size else None
    for n, whole in ((1, "p − y"), (len(call.x), "(p − y)/N")) if right is not None else ():
        p = softmax(call.x)
        y = p - right / call.g.reshape(()) * n
        is_target = np.allclose(y.sum(axis=1), 1) and y.min() > -1e-6
        if is_target and np.allclose(-(y * log_softmax(call.x)).sum() / n, call.out):
            yield n, whole, p, y


def of_a_loss(call: Call) -> Made:
    """Yield mistakes in the gradient of a cross-entropy with respect to logits, if it is one: (p − y)/N, or their sum.

    The logits are those of a softmax, of shape (N, C), or those of a sigmoid.
    """
    right = call.right(call.g) if call.out.size == 1 else None
    if right is None or not call.x.size:
        return
    x, g = call.x, call.g.reshape(())
    for n, whole, p, y in _labels(call) if has_labels(call) else ():
        yield "sets −1 at the label, where p − 1 belongs", g * np.where(y > 0.5, -1, p) / n
        yield "takes the logits where the probabilities p belong", g * (x - y) / n
        if n > 1:
            yield f"divides p alone by N: p/N − y where {whole} belongs", g * (p / n - y)
            yield f"divides y alone by N: p − y/N where {whole} belongs", g * (p - y / n)
    for n, half, whole in ((1, "p", "p − y"), (x.size, "p/N", "(p − y)/N")):
        p = sigmoid(x)
        y = p - right / g * n
        if np.all(np.minimum(abs(y), abs(y - 1)) < 1e-6):
            yield f"forgets the −y of the binary cross-entropy: {half} where {whole} belongs", g * p / n


def _divides_by_rows(rule: Rule) -> bool:
    axis = rule.call.static.get("axis")
    axes = range(rule.call.x.ndim) if axis is None else [i % rule.call.x.ndim for i in np.atleast_1d(axis)]
    return rule.op == "cross_entropy" or (rule.op == "mean" and 0 in axes)


def _is_mean(rule: Rule) -> bool:
    return rule.op == "mean"


def _is_loss(rule: Rule) -> bool:
    return rule.op == "cross_entropy"


def _is_cross_entropy(rule: Rule) -> bool:
    """Whether the derivative is (p − y)/N, or p − y, of some y whose rows have the sum 1; that of a sum is not."""
    x, right = rule.call.x, rule.call.right(rule.call.g)
    return _is_loss(rule) or (x.ndim == 2 and np.allclose(right.sum(axis=1), 0, atol=1e-6 * abs(right).max(initial=0)))


def _keeps_rows(rule: Rule) -> bool:
    shapes = [rule.call.x.shape, rule.call.out.shape]
    return rule.op in ("mean", "cross_entropy") or (all(shapes) and shapes[0][0] == shapes[1][0])


def _is_small(rule: Rule) -> bool:
    return rule.call.x.size * rule.call.out.size <= MOST_ENTRIES


def _is_product(rule: Rule) -> bool:
    return rule.op in ("matmul", "linear", "einsum")


HOLDS: dict[str, Callable[[Rule], bool]] = {
    **dict.fromkeys([sentence for sentence in MISTAKES if sentence.startswith("multiplies from the")], _is_product),
    "multiplies by x where it should divide": lambda rule: rule.op in ("log", "log2", "log10"),
    "reshapes where it should transpose": lambda rule: sum(n > 1 for n in rule.call.x.shape) > 1,
    WITHOUT_LABELS: lambda rule: has_labels(rule.call),
    "keeps only the diagonal of the Jacobian": _is_small,
    "forgets the division by N, the number of rows": _divides_by_rows,
    "forgets the division by the number of elements": _is_mean,
    "divides by N, the number of rows, where the number of elements belongs": _is_mean,
    "divides by N, the number of rows, once too often": _keeps_rows,
    "takes the mean over the batch where the sum belongs": lambda rule: rule.is_over_the_batch,
    "counts only the first example of the batch": lambda rule: rule.is_over_the_batch,
    "counts only the last example of the batch": lambda rule: rule.is_over_the_batch,
    "sums over the classes instead of over the batch": lambda rule: False,  # `_summed_elsewhere` says which axes
    "forgets the division by the number of examples that are not ignored": _is_loss,
    "forgets the −y of cross-entropy: p/N where (p − y)/N belongs": _is_cross_entropy,
    "divides by the number of all examples, where the ignored ones do not count": _is_loss,
}
"""Where a row of MISTAKES can be meant, if not in every rule. The checker knows which rule is wrong; here a number may
be equal to N by accident."""

OF_MANY = [
    sentence
    for sentence, row in MISTAKES.items()
    if row.__qualname__.startswith("_of.") or sentence.startswith(("keeps only the diagonal", "forgets the −y"))
]
"""The rows of MISTAKES that also hold for a function which several operations compute."""

OF_THE_WHOLE = (
    "has the wrong sign",
    "divides ",
    "forgets the division",
    "forgets a factor",
    "has a factor",
    "forgets the factor",
)
"""How sentences begin that say the same of a gradient as of one before it on the only way."""

FACTORS = ("forgets a factor of 2", "has a factor of 2 too much")
"""They stand beside another mistake that comes to the same. Alone, only the first does, where there is a square or a
square root; else the ratio says it."""

WEAKER: dict[str, tuple[str, ...]] = {
    "hands g on as it came": ("",),
    "gives the gradient of the other operand": ("",),
    "forgets the chain rule, g": ("",),
    "forgets the factor b of b·aᵇ⁻¹": ("forgets a factor of 2", "has the wrong sign"),
    "divides by N, the number of rows, once too often": ("takes the mean over the batch",),
    "forgets the division by the number of elements": ("forgets the division by N",),
    "reshapes where it should transpose": ("gives the gradient transposed",),
    "multiplies from the left by a transposed matrix": ("gives the gradient transposed",),
    "multiplies from the right by a transposed matrix": ("gives the gradient transposed",),
    "has a factor of 2 too much": ("has twice", "forgets the factor 0.5"),
}
"""Sentences, or their beginnings, that say less than others, whose beginnings stand beside them; "" is the beginning of
all but FACTORS."""


def _named(axes: tuple[int, ...]) -> str:
    return f"axis {axes[0]}" if len(axes) == 1 else f"the axes {axes}"


def _equal(a: float, b: float) -> bool:
    return math.isclose(a, b, rel_tol=1e-6)
