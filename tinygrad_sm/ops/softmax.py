"""Softmax and what is computed with it: logsumexp, log_softmax, cross_entropy.

Imports from later files: `reductions` (sums), `targets` (checks of labels), `precision` (half precision is computed in
float32, here and in the rules, and rounded once, because float16 ends at 65,504).

With p = softmax(z), the Jacobian ∂p_i/∂z_j = p_i (δ_ij − p_j) is the matrix diag(p) − p pᵀ. Softmax's rule
multiplies it by g without building it:

    (diag(p) − p pᵀ) g = p ⊙ (g − ⟨p, g⟩)

Exponentials of logits overflow where they are large. The softmax does not change when a number is subtracted from all
logits of a row, so each row is shifted by its maximum, which is then 0 and its exponential 1: all begin with `shifted`.
A row of −∞ (all masked) has no softmax; by convention it is 0 there, logsumexp and log_softmax −∞, the gradient 0.
"""

from math import inf, nan

from numpy import finfo

from tinygrad_sm.backend import array_module, axis_of
from tinygrad_sm.dispatch import replaceable
from tinygrad_sm.engine.primitive import primitive
from tinygrad_sm.engine.tape import data_of
from tinygrad_sm.ops.elementwise import where
from tinygrad_sm.ops.reductions import sum, with_reduced_axes
from tinygrad_sm.precision import as_precise_as, total, wide, wide_dtype
from tinygrad_sm.targets import check_labels, check_target

IGNORED = -100
"""The label of examples that the loss leaves out, as in PyTorch."""


def shifted(x, axis):
    """Return x minus its maxima along the axis, in a dtype to compute in, and the maxima, with the axis kept.

    An infinite maximum counts as the finite number that is nearest to it: ∞ − ∞ would be NaN.
    """
    x = wide(x)
    maxima = x.max(axis=axis, keepdims=True) if x.size else x.sum(axis=axis, keepdims=True) - inf
    limits = finfo(x.dtype)
    return x - maxima.clip(limits.min, limits.max), maxima


def normalizer(exponentials, axis):
    """Return the sums of the exponentials along the axis, which is kept; 1 for a fully masked row: its softmax is 0."""
    sums = total(exponentials, axis, keepdims=True)
    return sums + (sums == 0)


@primitive(analytic=True)
def logsumexp(x, /, axis=None, keepdims=False):
    """Return ln Σ exp(x) over the axes, a smooth maximum; its gradient is the softmax.

    >>> import numpy as np
    >>> logsumexp(np.array([[0.0, 0.0], [1000.0, 1000.0]]), axis=1)
    array([6.93147181e-01, 1.00069315e+03])
    """
    xp, axes = array_module(x), axis_of(x, axis)
    z, maxima = shifted(x, axes)
    out = as_precise_as(x, maxima + xp.log(normalizer(xp.exp(z), axes)))
    return out if keepdims else xp.squeeze(out, axis=axis)


logsumexp.vjp(lambda g, out, x, axis, keepdims: with_reduced_axes(g, x, axis, keepdims) * softmax(wide(x), axis))


@primitive(analytic=True)
def softmax(x, /, axis=-1):
    """Return p_i = exp(x_i) / Σ_k exp(x_k) along the axis: positive, with sum 1, and ordered like the logits x.

    Vector form: softmax(x) = 1/Σ exp(x_k) · [exp x_1, ..., exp x_K]ᵀ, "exponential normalisation".

    >>> import numpy as np
    >>> softmax(np.log([1.0, 2.0, 7.0])).round(6)
    array([0.1, 0.2, 0.7])
    """
    axis = axis_of(x, axis)
    exponentials = array_module(x).exp(shifted(x, axis)[0])
    return as_precise_as(x, exponentials / normalizer(exponentials, axis))


def _softmax_rule(g, out, x, axis):
    p = wide(out)
    return p * (g - sum(g * p, axis, keepdims=True))


softmax.vjp(_softmax_rule)


@primitive(analytic=True)
def log_softmax(x, /, axis=-1):
    """Return ln softmax(x) = x − logsumexp(x) along the axis, accurate even where the softmax rounds to 0."""
    xp, axis = array_module(x), axis_of(x, axis)
    z, _ = shifted(x, axis)
    return as_precise_as(x, z - xp.log(normalizer(xp.exp(z), axis)))


def _log_softmax_rule(g, out, x, axis):
    p, g = softmax(wide(x), axis), wide(g)
    is_unmasked = sum(p, axis, keepdims=True) > 0  # False for a fully masked row
    return is_unmasked * g - p * sum(g, axis, keepdims=True)  # (I − 1 pᵀ)ᵀ g, row by row


log_softmax.vjp(_log_softmax_rule)


@primitive
def one_hot(labels, /, classes, dtype="float32"):
    """Return a matrix with a row for each label: 1 in the column of the label, 0 elsewhere.

    labels : integers 0..classes−1, shape (N,).  Result : shape (N, classes).

    >>> import numpy as np
    >>> one_hot(np.array([0, 1, 3, 2]), 4)[0]
    array([1., 0., 0., 0.], dtype=float32)
    """
    check_labels(labels, classes)
    return (labels[:, None] == array_module(labels).arange(classes)).astype(dtype)


one_hot.vjp(None)


@replaceable
def residual_of_cross_entropy(logits, target, ignored):
    """Return ∂L/∂z of cross_entropy in the framework's operations: for a walk that is to be differentiated in turn."""
    is_constant = data_of(logits).max(axis=1, keepdims=True) == -inf  # the loss of a fully masked row is
    if target.ndim == 1:
        labels, is_class, n = class_indices(data_of(target), logits, ignored)
        y, is_constant = one_hot(labels, logits.shape[1], wide_dtype(logits)), is_constant | ~is_class[:, None]
    else:
        y, n = wide(target), max(len(target), 1)
    y = y * ~is_constant
    p = softmax(where(is_constant, 0, wide(logits)))
    return (p * sum(y, axis=1, keepdims=True) - y) / n


def labels_as_int64(labels):
    """Return labels in int64, which holds −100, but uint64 unchanged: a GPU compares in the dtype of the labels."""
    return labels if labels.dtype == "uint64" else labels.astype("int64", copy=False)


def class_indices(labels, logits, ignored):
    """Return the labels, with 0 for those that are no class; a mask of those that are; and the number of kept labels.

    Kept are all but the ignored. Labels on a GPU are not checked, because that would block: a kept one may be no class.
    """
    xp, labels = array_module(labels), labels_as_int64(labels)
    is_kept = labels != ignored
    is_class = is_kept & (labels >= 0) & (labels < logits.shape[1])
    kept = xp.maximum(is_kept.sum(), 1).astype(wide_dtype(logits))
    return xp.where(is_class, labels, 0).astype("int64", copy=False), is_class, kept


@primitive(analytic=True, saves=residual_of_cross_entropy)
def cross_entropy(logits, target, /, ignored=IGNORED):
    """Return −1/N Σ_i Σ_j y_ij ln p_ij with p = softmax(z): the mean over N examples of the cross-entropy.

    logits : z, shape (N, C), before any softmax.
    target : integer labels, shape (N,), of classes 0..C−1, where the loss is −1/N Σ_i ln p_{i, label_i};
        or the probabilities y, shape (N, C), of a floating dtype.
    ignored : examples with this label count for nothing, and not in N.

    ∂L/∂z = (p − y)/N if the rows of y sum to 1. With probabilities, 0·(−∞) counts as 0. A label that is neither a class
    nor ignored raises IndexError; on a GPU, where a check would block, the loss is NaN and the row's gradient 0.

    >>> import numpy as np
    >>> cross_entropy(np.log([[0.03, 0.97], [0.05, 0.95]]), np.array([0, 1])).round(4)  # (3.5066 + 0.0513) / 2
    np.float64(1.7789)
    """
    check_target("cross_entropy", logits, target, ignored)
    xp = array_module(logits)
    z, maxima = shifted(logits, 1)
    p = xp.exp(z)
    sums = normalizer(p, 1)
    p /= sums
    if target.ndim == 1:
        labels, is_class, n = class_indices(target, z, ignored)
        place = xp.arange(len(z)), labels
        losses = xp.where(is_class, xp.log(sums[:, 0]) - z[place], nan)
        losses = xp.where(target == ignored, 0, losses)
        residual, is_constant = p, ~is_class[:, None]
        residual[place] -= 1
    else:
        y, n, is_constant = wide(target), max(len(target), 1), False
        mass = total(y, axis=1, keepdims=True)
        losses = mass * xp.log(sums) - total(y * xp.where(y == 0, 0, z), axis=1, keepdims=True)
        residual = p * mass - y
    xp.copyto(residual, 0, where=is_constant | (maxima == -inf))
    residual /= n
    return as_precise_as(logits, total(losses) / n), residual


cross_entropy.vjp(
    lambda g, out, logits, target, ignored, saved: g * saved,
    lambda g, out, logits, target, ignored, saved: g * log_softmax(logits) / -len(logits),
)
