"""Rules of softmax and log_softmax."""

import numpy as np

import tinygrad_sm as tg
from tinygrad_sm.exercises.chapters.asking import WRITES_INTO_G, At, at, axes_later, probes_of_rules, rule_in_place
from tinygrad_sm.exercises.exercise import Exercise, Rules

SOFTMAX = "softmax.vjp(lambda g, out, x, axis: {})"
LOG_SOFTMAX = "log_softmax.vjp(lambda g, out, x, axis: {})"
P = "softmax(x, axis)"
HALVES = np.log([1.0, 1.0])
QUARTERS = np.log([1.0, 2.0, 1.0])
TWO_ROWS = np.log([[1.0, 2.0, 1.0], [1.0, 1.0, 3.0]])
THREE_ROWS = np.log([[1.0, 3.0], [1.0, 1.0], [4.0, 1.0]])


def rows_later(call: At) -> int:
    """Return 0 for one row of logits, 1 for several along the last axis, 2 for those along others."""
    return 0 if call.operands[0].ndim == 1 else 1 + axes_later(call)


EXERCISES = (
    Exercise(
        name="softmax",
        title="The rule of softmax",
        path="ops/softmax.py",
        piece=Rules("softmax"),
        reading=(
            "docs/theory.md, Softmax from linear log-odds",
            "tinygrad_sm/ops/softmax.py, its first page",
            "examples/chain_rule.py, part 2",
        ),
        rows=(25, 37, 48),
        minutes=25,
        task="softmax gives the probabilities out = p along the axis, which is an int or a tuple. Its "
        "Jacobian is ∂p_i/∂x_j = p_i (δ_ij − p_j). Return ∂L/∂x_j = Σ_i g_i ∂p_i/∂x_j, in the "
        "shape of x, without building a matrix. `sum(x, axis, keepdims=True)` is the framework's.",
        hints=(
            "Put the Jacobian into the sum, and split it in two: one sum has δ_ij, the other p_j.",
            "Σ_i g_i p_i δ_ij is g_j p_j. In the other, p_j does not depend on i: it comes out of the sum.",
            "Σ_i g_i p_i is one number for each row: keep its axis, so that it broadcasts.",
        ),
        probes=probes_of_rules(
            tg.softmax, at(HALVES), at(QUARTERS), at(TWO_ROWS), at(THREE_ROWS, axis=0), stage=rows_later
        ),
        mistakes={
            "your rule keeps only the diagonal; the off-diagonal −pᵢpⱼ "
            "is missing, because every output depends on every logit": (SOFTMAX.format("g * out * (1 - out)")),
            "your rule has only the first of the two sums: a logit also lowers the probabilities of all others": (
                SOFTMAX.format("g * out"),
                SOFTMAX.format("g * softmax(x, axis)"),
            ),
            "your rule has only the second of the two sums, −pᵢpⱼ; the δ of the diagonal is missing": (
                SOFTMAX.format("-out * sum(g * out, axis, keepdims=True)")
            ),
            "your rule subtracts the plain sum of g, in which all count alike: a likely class counts more here": (
                SOFTMAX.format("out * (g - sum(g, axis, keepdims=True))")
            ),
            "your rule subtracts the plain mean of g, in which all count alike: a likely class counts more here": (
                SOFTMAX.format("out * (g - g.mean(axis=axis, keepdims=True))")
            ),
            "your rule lacks a factor p: a logit whose p is 0 moves nothing": (
                SOFTMAX.format("g - sum(g * out, axis, keepdims=True)")
            ),
            "your rule has a factor p too few in its first part, that of the diagonal": (
                SOFTMAX.format("g - out * sum(g * out, axis, keepdims=True)")
            ),
            "your rule has a factor p too few in its second part: −pᵢpⱼ has two": (
                SOFTMAX.format("g * out - sum(g * out, axis, keepdims=True)")
            ),
            "your rule adds up all of the array; each row along the axis must have its own sum": (
                SOFTMAX.format("out * (g - sum(g * out))"),
                SOFTMAX.format("out * (g - (g * out).sum())"),
            ),
            "your rule always adds up along the last axis; it must be the axis of the softmax": (
                SOFTMAX.format("out * (g - sum(g * out, -1, keepdims=True))"),
                SOFTMAX.format("out * (g - sum(g * out, 1, keepdims=True))"),
            ),
            "your rule adds up along the first axis, over the examples; it must be the axis of the softmax": (
                SOFTMAX.format("out * (g - sum(g * out, 0, keepdims=True))")
            ),
            "your rule drops the axis of the sums: it must stay, with length 1, so that they meet their own rows": (
                SOFTMAX.format("out * (g - sum(g * out, axis))")
            ),
            "your rule forgets g: it gives the diagonal of the Jacobian": SOFTMAX.format("out * (1 - out)"),
            "your rule has the wrong sign: a larger logit makes its own probability larger": (
                SOFTMAX.format("out * (sum(g * out, axis, keepdims=True) - g)")
            ),
            "your rule adds the two parts; −pᵢpⱼ has a minus, as what one class gains the others lose": (
                SOFTMAX.format("out * (g + sum(g * out, axis, keepdims=True))")
            ),
            "your rule is that of log_softmax, where the logarithm has taken a factor away": (
                SOFTMAX.format("g - out * sum(g, axis, keepdims=True)")
            ),
            "your rule subtracts g as a label: p − y is the rule of the cross-entropy of a softmax, not of a softmax": (
                SOFTMAX.format("out - g")
            ),
            "your rule hands g on as it came": SOFTMAX.format("g"),
            "your rule takes the logits where the probabilities belong": (
                SOFTMAX.format("x * (g - sum(g * x, axis, keepdims=True))")
            ),
            "your rule lacks the factor p of the diagonal, and all that lies off the diagonal": (
                SOFTMAX.format("g * (1 - out)")
            ),
            "your rule subtracts p from g, where a sum over all outputs belongs": SOFTMAX.format("out * (g - out)"),
            "your rule takes a mean of g p: all paths must be added": (
                SOFTMAX.format("out * (g - (g * out).mean(axis=axis, keepdims=True))")
            ),
            "your rule forgets g in its first part, that of the diagonal": (
                SOFTMAX.format("out * (1 - sum(g * out, axis, keepdims=True))")
            ),
            "your rule forgets g in its second part, which is Σ p² there": (
                SOFTMAX.format("out * (g - sum(out * out, axis, keepdims=True))")
            ),
            "your rule has a factor p too much in its second part: −pᵢpⱼ has two": (
                SOFTMAX.format("out * (g - out * sum(g * out, axis, keepdims=True))")
            ),
            "your rule has its second p before the sum, and it must be inside": (
                SOFTMAX.format("out * (g - out * sum(g, axis, keepdims=True))")
            ),
            "your rule takes the logits inside of the sum, where the probabilities belong": (
                SOFTMAX.format("out * (g - sum(g * x, axis, keepdims=True))")
            ),
            "your rule has −pᵢ² alone: the δ of the diagonal is missing, and so is what lies off it": (
                SOFTMAX.format("-g * out * out")
            ),
            "your rule subtracts 1, or Σ p, which is 1: what arrives must have a part in it": (
                SOFTMAX.format("out * (g - sum(out, axis, keepdims=True))"),
                SOFTMAX.format("out * (g - 1)"),
            ),
            "your rule multiplies by 1 − Σ p, which is always 0: what arrives must have a part in the sum": (
                SOFTMAX.format("g * out * (1 - sum(out, axis, keepdims=True))")
            ),
            WRITES_INTO_G: (
                rule_in_place("softmax", "x, axis", "g -= sum(g * out, axis, keepdims=True)", last="out * g"),
                rule_in_place("softmax", "x, axis", "g *= out", last="g - out * sum(g, axis, keepdims=True)"),
            ),
            "your rule divides by p: in the Jacobian p is a factor": (
                SOFTMAX.format("g / out"),
                SOFTMAX.format("(g - sum(g * out, axis, keepdims=True)) / out"),
            ),
            "your rule takes the largest of g p: all paths must be added": (
                SOFTMAX.format("out * (g - (g * out).max(axis=axis, keepdims=True))")
            ),
            "your rule squares p in its first part: a factor p is too much there": (
                SOFTMAX.format("g * out * out - out * sum(g * out, axis, keepdims=True)")
            ),
            "your rule multiplies by 1 − p after the sum was taken: the off-diagonal has been counted already": (
                SOFTMAX.format("out * (1 - out) * (g - sum(g * out, axis, keepdims=True))")
            ),
            "your rule multiplies by the plain sum of g: each g "
            "must have its own element of the Jacobian as a factor": (
                SOFTMAX.format("out * sum(g, axis, keepdims=True)"),
                SOFTMAX.format("out * (1 - out) * sum(g, axis, keepdims=True)"),
            ),
            "your rule takes the softmax of out, which is a softmax already": (
                SOFTMAX.format("softmax(out, axis) * (g - sum(g * softmax(out, axis), axis, keepdims=True))")
            ),
            "your rule takes the softmax of g: p must be that of x": (SOFTMAX.format("softmax(g, axis)")),
            "your rule forgets g in both of its parts": (
                SOFTMAX.format("out - out * sum(out * out, axis, keepdims=True)")
            ),
        },
        hides={
            "ops/softmax.py": (" = p ⊙ (g − ⟨p, g⟩)",),
            "check/mistakes.py": (", p ⊙ (g − ⟨p, g⟩)",),
        },
    ),
    Exercise(
        name="log_softmax",
        title="The rule of log_softmax",
        path="ops/softmax.py",
        piece=Rules("log_softmax"),
        reading=("tinygrad_sm/ops/softmax.py, its first page", "docs/theory.md, Which loss? Maximum likelihood"),
        rows=(40, 81),
        minutes=20,
        task="log_softmax gives out = ln p = x − logsumexp(x) along the axis, where p = "
        "softmax(x). Return ∂L/∂x, in the shape of x. `softmax(x, axis)` and `sum(x, "
        "axis, keepdims=True)` are there. Rows that are −∞ throughout are not asked for.",
        hints=(
            "The gradient of logsumexp is the softmax, so ∂out_i/∂x_j = δ_ij − p_j.",
            "Σ_i g_i (δ_ij − p_j): p_j does not depend on i.",
            "What remains of the second part is p_j times a sum over the axis.",
        ),
        probes=probes_of_rules(
            tg.log_softmax, at(HALVES), at(QUARTERS), at(TWO_ROWS), at(THREE_ROWS, axis=0), stage=rows_later
        ),
        mistakes={
            "your rule forgets the sum of g: every output depends on "
            "every logit, so p must be multiplied by all that arrives": (LOG_SOFTMAX.format(f"g - {P}")),
            "your rule keeps only the diagonal; the off-diagonal −pⱼ "
            "is missing, because every output depends on every logit": (
                LOG_SOFTMAX.format(f"g * (1 - {P})"),
                LOG_SOFTMAX.format(f"g - g * {P}"),
            ),
            "your rule takes out where p belongs, and out is ln p": (
                LOG_SOFTMAX.format("g - out * sum(g, axis, keepdims=True)")
            ),
            "your rule takes the logits where p belongs": LOG_SOFTMAX.format("g - x * sum(g, axis, keepdims=True)"),
            "your rule is that of softmax; the logarithm takes a factor p away": (
                LOG_SOFTMAX.format(f"{P} * (g - sum(g * {P}, axis, keepdims=True))")
            ),
            "your rule weights g by p inside of the sum: here the Jacobian's column has the same p_j in every row": (
                LOG_SOFTMAX.format(f"g - sum(g * {P}, axis, keepdims=True)")
            ),
            "your rule weights g by p inside of the sum, besides the p before it": (
                LOG_SOFTMAX.format(f"g - {P} * sum(g * {P}, axis, keepdims=True)")
            ),
            "your rule forgets p: a likely class pushes all others down more than an unlikely one": (
                LOG_SOFTMAX.format("g - sum(g, axis, keepdims=True)")
            ),
            "your rule subtracts the mean of g, as if all classes were equally likely": (
                LOG_SOFTMAX.format("g - g.mean(axis=axis, keepdims=True)")
            ),
            "your rule takes the mean of g where its sum belongs: all paths must be added": (
                LOG_SOFTMAX.format(f"g - {P} * g.mean(axis=axis, keepdims=True)")
            ),
            "your rule adds up all of the array; each row along the axis must have its own sum": (
                LOG_SOFTMAX.format(f"g - {P} * sum(g)")
            ),
            "your rule always adds up along the last axis; it must be the axis of the softmax": (
                LOG_SOFTMAX.format(f"g - {P} * sum(g, -1, keepdims=True)"),
                LOG_SOFTMAX.format(f"g - {P} * sum(g, 1, keepdims=True)"),
            ),
            "your rule takes the softmax along the last axis, whatever the axis is": (
                LOG_SOFTMAX.format("g - softmax(x) * sum(g, axis, keepdims=True)")
            ),
            "your rule takes the softmax and the sum along the last axis, whatever the axis is": (
                LOG_SOFTMAX.format("g - softmax(x) * sum(g, -1, keepdims=True)")
            ),
            "your rule adds up along the first axis, over the examples; it must be the axis of the softmax": (
                LOG_SOFTMAX.format(f"g - {P} * sum(g, 0, keepdims=True)")
            ),
            "your rule drops the axis of the sums: it must stay, with length 1, so that they meet their own rows": (
                LOG_SOFTMAX.format(f"g - {P} * sum(g, axis)")
            ),
            "your rule forgets g: it gives the diagonal of the Jacobian": LOG_SOFTMAX.format(f"1 - {P}"),
            "your rule has the wrong sign": LOG_SOFTMAX.format(f"{P} * sum(g, axis, keepdims=True) - g"),
            "your rule adds the two parts: a larger logit lowers the log-probabilities of the others": (
                LOG_SOFTMAX.format(f"g + {P} * sum(g, axis, keepdims=True)")
            ),
            "your rule is that of log alone: p depends on every logit": LOG_SOFTMAX.format(f"g / {P}"),
            "your rule hands g on as it came: logsumexp(x) depends on x too": LOG_SOFTMAX.format("g"),
            "your rule has only the part of logsumexp: out = x − logsumexp(x) has x itself too": (
                LOG_SOFTMAX.format(f"-{P} * sum(g, axis, keepdims=True)")
            ),
            "your rule has g p alone: the part of x itself is missing, and p must be multiplied by the sum of g": (
                LOG_SOFTMAX.format(f"g * {P}")
            ),
            "your rule divides by out, which is ln p": LOG_SOFTMAX.format("g / out"),
            "your rule has p − g: the sum of g is missing, and the sign is wrong": LOG_SOFTMAX.format(f"{P} - g"),
            "your rule takes p from the sum of g: g alone and the factor of p are missing": (
                LOG_SOFTMAX.format(f"sum(g, axis, keepdims=True) - {P}")
            ),
            "your rule keeps only the diagonal, with ln p where p belongs": LOG_SOFTMAX.format("g * (1 - out)"),
            "your rule has only the part of logsumexp, and its sign is wrong": (
                LOG_SOFTMAX.format(f"{P} * sum(g, axis, keepdims=True)")
            ),
            "your rule forgets g in its first part": LOG_SOFTMAX.format(f"1 - {P} * sum(g, axis, keepdims=True)"),
            WRITES_INTO_G: rule_in_place("log_softmax", "x, axis", f"g -= {P} * sum(g, axis, keepdims=True)"),
            "your rule multiplies the whole difference by p: the logarithm takes that factor away": (
                LOG_SOFTMAX.format(f"{P} * (g - sum(g, axis, keepdims=True))")
            ),
            "your rule multiplies the whole difference by p, and by p once more in its second part": (
                LOG_SOFTMAX.format(f"{P} * (g - {P} * sum(g, axis, keepdims=True))")
            ),
            "your rule has p in the wrong one of its two parts": (
                LOG_SOFTMAX.format(f"g * {P} - sum(g, axis, keepdims=True)")
            ),
            "your rule weights g by ln p inside of the sum: the Jacobian has no logarithm in it": (
                LOG_SOFTMAX.format(f"g - {P} * sum(g * out, axis, keepdims=True)")
            ),
            "your rule squares p: a factor p is too much": (
                LOG_SOFTMAX.format(f"g - {P} * {P} * sum(g, axis, keepdims=True)")
            ),
            "your rule has 1 − p before the sum: the diagonal's 1 belongs to the own g alone": (
                LOG_SOFTMAX.format(f"(1 - {P}) * sum(g, axis, keepdims=True)")
            ),
            "your rule multiplies g by the sum of g: the Jacobian's two parts are subtracted": (
                LOG_SOFTMAX.format(f"g * {P} * sum(g, axis, keepdims=True)"),
                LOG_SOFTMAX.format("g * sum(g, axis, keepdims=True)"),
            ),
            "your rule takes the softmax of g: p must be that of x": (
                LOG_SOFTMAX.format("g - softmax(g, axis) * sum(g, axis, keepdims=True)")
            ),
            "your rule gives p alone: g is missing, and the part of x itself": (LOG_SOFTMAX.format(f"{P}")),
            "your rule has the diagonal of softmax's Jacobian alone: its logarithm has another one": (
                LOG_SOFTMAX.format(f"g * {P} * (1 - {P})")
            ),
        },
        hides={"check/mistakes.py": (", g − p Σg",)},
    ),
)
