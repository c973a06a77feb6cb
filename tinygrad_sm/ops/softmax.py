"""Softmax and what is computed with it: logsumexp, log_softmax, cross_entropy.

With p = softmax(z), the Jacobian ∂p_i/∂z_j = p_i (δ_ij − p_j) is the matrix diag(p) − p pᵀ; what softmax's rule
computes is that matrix times g, without ever building it:

    (diag(p) − p pᵀ) g = p ⊙ (g − ⟨p, g⟩)

Exponentials of logits overflow where they are large. The softmax does not change when a number is subtracted from all
logits of a row, so each row is shifted by its maximum, which is then 0 and its exponential 1: all here begin with
`shifted_exponentials`. A row of which every logit is −∞ (all masked) has no softmax; by convention it is 0 there,
logsumexp and log_softmax are −∞, and the gradient is 0.

Half precision is computed in float32, here and in the rules, and rounded once: 70,000 exponentials have no sum in it.
"""

from tinygrad_sm.backend import array_module, axis_of, scaled
from tinygrad_sm.engine.primitive import primitive
from tinygrad_sm.engine.tape import plain
from tinygrad_sm.ops.elementwise import as_precise_as, wide
from tinygrad_sm.ops.reductions import sum, with_reduced_axes
from tinygrad_sm.softmax_loss import mean_loss_and_residual, number_kept, shifted_exponentials
from tinygrad_sm.targets import check_labels, check_target


@primitive(analytic=True)
def logsumexp(x, /, axis=None, keepdims=False):
    """Return ln Σ exp(x) over the axes, a smooth maximum; its gradient is the softmax.

    >>> import numpy as np
    >>> logsumexp(np.array([[0.0, 0.0], [1000.0, 1000.0]]), axis=1)
    array([6.93147181e-01, 1.00069315e+03])
    """
    xp = array_module(x)
    maxima, _, _, sums, _ = shifted_exponentials(x, axis_of(x, axis))
    out = as_precise_as(x, maxima + xp.log(sums))
    return out if keepdims else xp.squeeze(out, axis=axis)


logsumexp.vjp(lambda g, out, x, axis, keepdims: with_reduced_axes(g, x, axis, keepdims) * softmax(wide(x), axis))


@primitive(analytic=True)
def softmax(x, /, axis=-1):
    """Return p_i = exp(x_i) / Σ_k exp(x_k) along the axis: positive, of sum 1, in the order of the logits x.

    Vector form: softmax(x) = 1/Σ exp(x_k) · [exp x_1, ..., exp x_K]ᵀ, "exponential normalisation".

    >>> import numpy as np
    >>> softmax(np.log([1.0, 2.0, 7.0])).round(6)
    array([0.1, 0.2, 0.7])
    """
    _, _, exponentials, sums, _ = shifted_exponentials(x, axis_of(x, axis))
    return as_precise_as(x, exponentials / sums)


def _softmax_rule(g, out, x, axis):
    p = wide(out)
    return p * (g - sum(g * p, axis, keepdims=True))


softmax.vjp(_softmax_rule)


@primitive(analytic=True)
def log_softmax(x, /, axis=-1):
    """Return ln softmax(x) = x − logsumexp(x) along the axis, right also where the softmax rounds to 0."""
    _, shifted, _, sums, _ = shifted_exponentials(x, axis_of(x, axis))
    return as_precise_as(x, shifted - array_module(x).log(sums))


def _log_softmax_rule(g, out, x, axis):
    p, g = softmax(wide(x), axis), wide(g)
    is_unmasked = sum(p, axis, keepdims=True) > 0  # False for a fully masked row
    return is_unmasked * g - p * sum(g, axis, keepdims=True)  # (I − p 1ᵀ)ᵀ g, row by row


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


def _residual(logits, target):
    """Return (p − y)/N, the gradient of cross_entropy by the logits, in the framework's operations."""
    p = softmax(wide(logits))
    y = one_hot(target, logits.shape[1], p.dtype) if target.ndim == 1 else wide(target)
    is_unmasked = sum(p, axis=1, keepdims=True) > 0
    return (p * sum(y, axis=1, keepdims=True) - y * is_unmasked) / number_kept(plain(target))


@primitive(analytic=True, saves=_residual)
def cross_entropy(logits, target, /):
    """Return −1/N Σ_i Σ_j y_ij ln a_ij with a = softmax(z): the mean over N examples of the cross-entropy.

    logits : z, shape (N, C), before any softmax.
    target : integer labels, shape (N,), of classes 0..C−1, where the loss is −1/N Σ_i ln a_{i, label_i};
        or the probabilities y, shape (N, C), of a floating dtype.

    ∂L/∂z = (a − y)/N where the rows of y sum to 1. In the probabilities, 0·(−∞) is 0. How the loss and this gradient
    are computed together stands in `softmax_loss`.

    >>> import numpy as np
    >>> cross_entropy(np.log([[0.03, 0.97], [0.05, 0.95]]), np.array([0, 1])).round(4)  # (3.5066 + 0.0513) / 2
    np.float64(1.7789)
    """
    check_target("cross_entropy", logits, target)
    return mean_loss_and_residual(logits, target)


cross_entropy.vjp(
    lambda g, out, logits, target, saved: scaled(saved, g),
    lambda g, out, logits, target, saved: g * log_softmax(logits) / -len(logits),
)
