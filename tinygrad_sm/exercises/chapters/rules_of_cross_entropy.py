"""The residual of the cross-entropy: of the forward, and once more in the framework's operations."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import tinygrad_sm as tg
from tinygrad_sm.exercises.chapters.asking import At, at, shown
from tinygrad_sm.exercises.chapters.rules_of_softmax import THREE_ROWS, TWO_ROWS
from tinygrad_sm.exercises.exercise import LAST, Body, Exercise, Probe
from tinygrad_sm.ops.softmax import cross_entropy, residual_of_cross_entropy

LABELS = (
    at(np.log([[1.0, 3.0]]), [0]),
    at(np.log([[1.0, 3.0], [1.0, 1.0]]), [1, 0]),
    at(THREE_ROWS, [1, 1, 0]),
    at(TWO_ROWS, [2, 2]),
    at(THREE_ROWS, [0, -100, 1]),
    at(np.log([[1.0, 2.0, 5.0], [1.0, 1.0, 3.0], [2.0, 2.0, 1.0], [7.0, 1.0, 1.0]]), [0, 2, 1, 2]),
)
"""The first have probabilities of quarters and halves; one of them has an example that is ignored."""

PROBABILITIES = (
    at(np.log([[1.0, 3.0], [1.0, 1.0]]), [[0.5, 0.5], [0.0, 1.0]]),
    at(TWO_ROWS, [[0.25, 0.25, 0.5], [1.0, 0.0, 0.0]]),
    at(TWO_ROWS, [[0.5, 0.5, 1.0], [0.25, 0.0, 0.25]]),
)
"""Those of the last do not sum to 1."""


def probes_of_cross_entropy() -> Iterator[Probe]:
    """Yield the questions to the forward of cross_entropy: gradients of one walk, with labels."""
    for call in LABELS:
        yield Probe(f"∂L/∂logits of {_described(call)}, where L is the loss", _gradient(call, False))


def probes_of_residual() -> Iterator[Probe]:
    """Yield the questions to the residual in the framework's operations: itself, and its derivative."""
    for call in (*LABELS, *PROBABILITIES):
        yield Probe(f"∂L/∂logits of {_described(call)}, where L is the loss", _residual(call))
    for call in (*LABELS, *PROBABILITIES):
        yield Probe(
            f"the Hessian of {_described(call)}, times 2, 3, 4, ... in the shape of the logits",
            _gradient(call, True),
            stage=LAST,
        )


def _described(call: At) -> str:
    return f"cross_entropy({', '.join(map(shown, call.operands))})"


def _residual(call: At) -> Callable[[], Any]:
    return lambda: residual_of_cross_entropy(tg.Tensor(call.operands[0]), call.operands[1], -100)


def _gradient(call: At, is_second: bool) -> Callable[[], Any]:
    def ask() -> Any:
        logits, target = call.operands
        z = tg.Tensor(logits, requires_grad=True)
        (first,) = tg.grad(cross_entropy(z, target), z, create_graph=is_second)
        if not is_second:
            return first
        if not first.requires_grad:
            return np.zeros(z.shape)
        weights = np.arange(2.0, first.size + 2).reshape(first.shape)
        (second,) = tg.grad(first, z, weights, allow_unused=True)
        return np.zeros(z.shape) if second is None else second

    return ask


SLIPS = (
    ": p/N where (p − y)/N belongs",
    "is p − y, so y is known",
    ": (p − y)/N, or their sum",
    "is (p − y)/N, or p − y, of some y",
    ", where p − 1 belongs",
)
"""What `look/slips.py` says of the residual."""

EXERCISES = (
    Exercise(
        name="cross_entropy",
        title="The residual of the cross-entropy",
        path="ops/softmax.py",
        piece=Body("cross_entropy", first="residual[place] -= 1", last="residual[place] -= 1"),
        reading=("docs/theory.md, Which loss? Maximum likelihood", "examples/chain_rule.py"),
        rows=(40, 42, 50),
        minutes=10,
        task="The forward of cross_entropy already has what its gradient needs, and saves it: the "
        "residual, of shape (N, C). Here it is p, the softmax of each row. Turn it, in "
        "place, into the gradient of Σ_i −ln p_{i, label_i} with respect to the logits. "
        "`labels` has the class of each row, and `place` is the pair (0..N−1, labels). The "
        "lines below divide by the number of examples, and put 0 where an example is ignored.",
        hints=(
            "−ln p_label = logsumexp(z) − z_label. What is the gradient of each of the two?",
            "The gradient of logsumexp is p. That of z_label is 1 at the label, and 0 at the other classes: one-hot.",
            "residual[place] are the N elements at the labels, one in each row.",
        ),
        probes=probes_of_cross_entropy,
        mistakes={
            "your residual is left as p, so even the right class is pushed down: it must be changed, and in place": (
                "pass",
                "residual -= 0",
                "residual - 1",
            ),
            "your residual adds y, which pushes the right class down: the loss falls when its logit grows": (
                "residual[place] += 1"
            ),
            "your residual has the wrong sign, y − p: with it, training would raise the loss": (
                "residual *= -1\nresidual[place] += 1"
            ),
            "your residual subtracts 1 in the columns of all labels in every row: each row has one label of its own": (
                "residual[:, labels] -= 1"
            ),
            "your residual subtracts 1 in whole rows, and takes the "
            "labels for row numbers: the class must be the second index": ("residual[labels] -= 1"),
            "your residual subtracts 1 from every class; y is 1 at the label only": "residual -= 1",
            "your residual subtracts 1 from the class after the label: labels count from 0": (
                "residual[xp.arange(len(z)), (labels + 1) % residual.shape[1]] -= 1"
            ),
            "your residual subtracts 1 from the class before the label: labels count from 0, as columns do": (
                "residual[xp.arange(len(z)), labels - 1] -= 1"
            ),
            "your residual is 0 at the label: however likely, the right class is never pulled up": (
                "residual[place] = 0",
                "residual[place] -= residual[place]",
            ),
            "your residual forgets p at the label: there it is −1 whatever the prediction is": "residual[place] = -1",
            "your residual has 1 − p at the label, the wrong sign there: the loss falls when that logit grows": (
                "residual[place] = 1 - residual[place]"
            ),
            "your residual has −p at the label: only the sign was changed, and y must be subtracted": (
                "residual[place] *= -1"
            ),
            "your residual divides y by the number of examples here, and the lines below do it again": (
                "residual[place] -= 1 / n",
                "residual[place] -= 1 / len(labels)",
                "for i in range(len(labels)):\n    residual[i, labels[i]] -= 1 / len(labels)",
            ),
            "your residual is divided by the number of examples here, and the lines below do it again": (
                "residual[place] -= 1\nresidual /= n",
                "residual[place] -= 1\nresidual /= len(residual)",
            ),
            "your residual subtracts the label itself, a number: y is 1 at the label, whichever it is": (
                "residual[place] -= labels",
                "residual -= labels[:, None]",
            ),
            "your residual is −1/p at the label: that is ∂L/∂p, and the path through the softmax is missing": (
                "residual[place] = -1 / residual[place]"
            ),
            "your residual is −1/p at the label and 0 elsewhere: that "
            "is ∂L/∂p, and the path through the softmax is missing": (
                "at_label = -1 / residual[place]\nresidual[...] = 0\nresidual[place] = at_label"
            ),
            "your residual subtracts the loss, −ln p, at the label: its gradient has no logarithm in it": (
                "residual[place] -= losses"
            ),
            "your residual is −y alone: p, the gradient of logsumexp, is missing": (
                "residual[...] = 0\nresidual[place] = -1"
            ),
            "your residual keeps only the elements at the labels: the other classes must be pushed down by their p": (
                "at_label = residual[place] - 1\nresidual[...] = 0\nresidual[place] = at_label"
            ),
            "your residual is 1 at the label, which is y there: p must have a part in it": "residual[place] = 1",
            "your residual is −ln p, the loss: its gradient is asked for": ("residual = -xp.log(residual)"),
            "your residual is −ln p, the loss, at the label: its gradient is asked for": (
                "residual[place] = -xp.log(residual[place])"
            ),
            "your residual is the softmax's own slope, p(1 − p): the path through the logarithm is missing": (
                "residual = residual * (1 - residual)"
            ),
            "your residual subtracts all labels in the first row: each row has its own": "residual[0, labels] -= 1",
            "your residual subtracts 2 at the label": "residual[place] -= 2",
            "your residual subtracts the number of examples at the "
            "label: y is 1 there, and the lines below divide all of it": (
                "residual[place] -= n",
                "residual[place] -= len(z)",
            ),
            "your residual is −1 at the label, and −p at the others: only at the label must anything be subtracted": (
                "residual *= -1\nresidual[place] = -1"
            ),
            "your residual subtracts the classes' numbers, column by column": (
                "residual -= xp.arange(residual.shape[1])"
            ),
            "your residual has row and column exchanged: the first "
            "index must be the example, and the second the class": ("residual[labels, xp.arange(len(z))] -= 1"),
        },
        hides={
            "ops/softmax.py": ("(p − y)/N if the rows of y sum to 1",),
            "check/mistakes.py": (": p/N where (p − y)/N belongs",),
            "look/slips.py": SLIPS,
            "look/unfolding.py": ("how p − y comes about",),
        },
    ),
    Exercise(
        name="cross_entropy_twice",
        title="The residual once more, to be differentiated in turn",
        path="ops/softmax.py",
        piece=Body(
            "residual_of_cross_entropy",
            first="p = softmax(where(is_constant, 0, wide(logits)))",
            last="return (p * sum(y, axis=1, keepdims=True) - y) / n",
        ),
        reading=("tinygrad_sm/engine/primitive.py, what it says of `saves`", "docs/layouts.md, Losses: sum or mean"),
        rows=(40, 85),
        minutes=15,
        task="A walk that is to be differentiated again cannot use numbers that the forward saved: it "
        "computes the residual from the logits, in the framework's operations. Return ∂L/∂logits of "
        "L = −1/N Σ_i Σ_j y_ij ln p_ij. y has a row for each example, one-hot or any other numbers, "
        "all 0 where an example is ignored; n is the number of examples that count. `softmax(x)` "
        "and `sum(x, axis, keepdims=True)` are the framework's. Rows that are −∞ are not asked for.",
        hints=(
            "Σ_j y_j ln p_j = Σ_j y_j z_j − (Σ_j y_j) logsumexp(z), for each row.",
            "The gradient of logsumexp is p. If a row of y sums to 1, there is p − y.",
            "If it sums to something else, 0 where it is ignored, p is multiplied by that; and all is divided by n.",
        ),
        probes=probes_of_residual,
        mistakes={
            "your rule adds up y over the examples, and forgets the division by n: each row has a sum of its own": (
                "return softmax(logits) * sum(y, axis=0, keepdims=True) - y"
            ),
            "your rule asks only whether y is positive: it may be any number, and all 0 where an example is ignored": (
                "p = softmax(logits)\nreturn where(y > 0, p - 1, p) / n",
                "p = softmax(logits)\nreturn (p - (y > 0)) / n",
            ),
            "your residual forgets the division by n: the loss is a mean over the examples": (
                "p = softmax(logits)\nreturn p * sum(y, axis=1, keepdims=True) - y",
                "return softmax(logits) - y",
            ),
            "your residual forgets the −y: even the right class is pushed down": (
                "return softmax(logits) / n",
                "return softmax(logits) * sum(y, axis=1, keepdims=True) / n",
            ),
            "your residual has the wrong sign, y − p: with it, training would raise the loss": (
                "return (y - softmax(logits)) / n",
                "return (y - softmax(logits) * sum(y, axis=1, keepdims=True)) / n",
            ),
            "your residual is right where a row of y sums to 1: an ignored one sums to 0, and must have no gradient": (
                "return (softmax(logits) - y) / n"
            ),
            "your residual divides by the number of all examples; those that are ignored must not count": (
                "return (softmax(logits) * sum(y, axis=1, keepdims=True) - y) / len(y)",
                "return (softmax(logits) - y) / len(y)",
            ),
            "your residual divides by the number of classes too; the loss is a mean over the examples only": (
                "return (softmax(logits) * sum(y, axis=1, keepdims=True) - y) / (n * y.shape[1])",
                "return (softmax(logits) * sum(y, axis=1, keepdims=True) - y) / y.size",
                "return (softmax(logits) - y) / y.size",
            ),
            "your residual divides by the number of classes; the loss is a mean over the examples": (
                "return (softmax(logits) * sum(y, axis=1, keepdims=True) - y) / y.shape[1]",
                "return (softmax(logits) - y) / y.shape[1]",
            ),
            "your residual divides by n twice": "return (softmax(logits) * sum(y, axis=1, keepdims=True) - y) / n / n",
            "your residual takes the softmax over the examples; the probabilities of one example sum to 1": (
                "return (softmax(logits, 0) * sum(y, axis=1, keepdims=True) - y) / n",
                "return (softmax(logits, 0) - y) / n",
            ),
            "your residual adds up y over the examples; its factor must be the sum of each row": (
                "return (softmax(logits) * sum(y, axis=0, keepdims=True) - y) / n"
            ),
            "your residual adds up all of y; its factor must be the sum of each row": (
                "return (softmax(logits) * sum(y) - y) / n"
            ),
            "your residual takes its numbers out of the graph: it is right itself, and its derivative is not": (
                "return (softmax(data_of(logits)) * sum(y, axis=1, keepdims=True) - y) / n"
            ),
            "your residual is y ln p, which is the loss: its gradient is asked for": (
                "return -y * log_softmax(logits) / n"
            ),
            "your residual is −y/p: that is ∂L/∂p, and the path through the softmax is missing": (
                "return -y / softmax(logits) / n"
            ),
            "your residual keeps only the classes with a label: the others must be pushed down by their p": (
                "return y * (softmax(logits) - 1) / n",
                "return y * (softmax(logits) - y) / n",
            ),
            "your residual takes the logits where their softmax belongs": (
                "return (logits - y) / n",
                "return (logits * sum(y, axis=1, keepdims=True) - y) / n",
            ),
            "your residual takes ln p where p belongs": (
                "return (log_softmax(logits) - y) / n",
                "return (log_softmax(logits) * sum(y, axis=1, keepdims=True) - y) / n",
            ),
            "your residual is −y alone: p, the gradient of logsumexp, is missing": "return -y / n + 0 * logits",
            "your residual is multiplied by p once more: p is a factor too much": (
                "p = softmax(logits)\nreturn p * (p * sum(y, axis=1, keepdims=True) - y) / n",
                "p = softmax(logits)\nreturn p * (p - y) / n",
            ),
            "your residual divides only y by n: p must be divided too": (
                "return softmax(logits) - y / n",
                "return softmax(logits) * sum(y, axis=1, keepdims=True) - y / n",
            ),
            "your residual divides only p by n: y must be divided too": "return softmax(logits) / n - y",
            "your residual adds y, which pushes the right class down": (
                "return (softmax(logits) + y) / n",
                "return (softmax(logits) * sum(y, axis=1, keepdims=True) + y) / n",
            ),
            "your residual drops the axis of the sums of y: they must stay beside their own rows": (
                "return (softmax(logits) * sum(y, axis=1) - y) / n"
            ),
            "your residual has p as a factor of y too: y must be subtracted as it is": (
                "p = softmax(logits)\nreturn p * (sum(y, axis=1, keepdims=True) - y) / n"
            ),
            "your residual has p(1 − y): it is 0 at the label, however wrong the prediction is": (
                "return softmax(logits) * (1 - y) / n"
            ),
            "your residual adds up over the examples: each row of the logits must have its own gradient": (
                "return sum(softmax(logits) - y, axis=0, keepdims=True) / n + 0 * logits"
            ),
        },
        hides={
            "ops/softmax.py": ("(p − y)/N if the rows of y sum to 1",),
            "check/mistakes.py": (": p/N where (p − y)/N belongs",),
            "look/slips.py": SLIPS,
            "look/unfolding.py": ("how p − y comes about",),
        },
    ),
)
