"""The softmax loss on plain arrays: one formula, and the order of memory in which it is quickest.

`losses_and_residual` is the formula, for all array modules, for labels and for probabilities. `mean_loss_and_residual`
chooses how it goes through memory, which on a CPU costs more than the arithmetic:

    few classes     class-major: all examples at once, a long row for each class
    many classes    blocks of rows, small enough that all that is computed with one stays in the cache
    on a GPU        one launch for all rows, in which a thread goes through a row (`kernels.py`)

The operation with its gradient rule is `cross_entropy` in `ops/softmax.py`.
"""

from typing import Any

from numpy import finfo, float16

from tinygrad_sm.backend import Array, HostArray, array_module, total
from tinygrad_sm.dtypes import wide_dtype
from tinygrad_sm.kernels import MOST_CLASSES, cross_entropy_rows, mean_of_kept

MANY_CLASSES = 256
"""From so many classes on, blocks of rows are quicker on a CPU than a class-major copy; to 150, they are slower."""

BLOCK_BYTES = 2**19
"""So large is a block: with what is computed of it, it fits the cache, and its calls are few. Measured."""

IGNORED = -100
"""The label of examples that count for nothing where labels cannot be looked at beforehand, as they are on a GPU."""


def shifted_exponentials(x: Array, axis: Any) -> tuple[Array, Array, Array, Array, bool]:
    """Return in `wide_dtype` the row maxima, the shifted x, its exponentials, their sums; and if all is surely finite.

    Reduced axes are kept. A sum is never 0 but 1 for a fully masked row, whose exponentials are 0.
    """
    xp = array_module(x)
    if x.dtype.kind in "biu" or x.dtype == float16:
        x = x.astype(wide_dtype(x))
    maxima = x.max(axis=axis, keepdims=True) if x.size else x.sum(axis=axis, keepdims=True) - xp.inf
    is_usual = type(x) is HostArray and xp.isfinite(maxima).all()  # on a GPU the answer would have to be waited for
    shift = maxima if is_usual else maxima.clip(finfo(x.dtype).min, finfo(x.dtype).max)  # ∞ − ∞ would be NaN
    shifted = x - shift
    exponentials = xp.exp(shifted)
    sums = total(exponentials, axis, keepdims=True)
    return maxima, shifted, exponentials, sums if is_usual else sums + (sums == 0), is_usual


def losses_and_residual(logits: Array, target: Array, N: int, residual: Array | None = None) -> tuple[Array, Array]:
    """Return the cross-entropy −Σ_j y_j ln p_j of each example, and (p − y)/N, written into `residual` if it is given.

    logits : of n among the N examples, a column for each, shape (C, n).
    target : their labels, all of them 0..C−1, shape (n,), or their probabilities y, shape (C, n).
    """
    xp = array_module(logits)
    maxima, z, p, sums, is_usual = shifted_exponentials(logits, axis=0)
    is_unmasked = 1 if is_usual else maxima[0] != -xp.inf  # False for a fully masked example
    if target.ndim == 1:
        place = target, xp.arange(len(target))
        losses = xp.log(sums[0]) - z[place]
        residual = xp.divide(p, sums * N, out=p if residual is None else residual)
        residual[place] -= is_unmasked / N
    else:
        y = target.astype(xp.result_type(p, target), copy=False)
        mass = total(y, axis=0)
        losses = mass * xp.log(sums[0]) - total(y * xp.where(y == 0, 0, z), axis=0)
        p /= sums * N
        residual = xp.subtract(p * mass, y / N * is_unmasked, out=residual)
    return losses, residual


def mean_loss_and_residual(logits: Array, target: Array) -> tuple[Array, Array]:
    """Return the mean of the losses over the N examples, and its gradient by the logits, (p − y)/N.

    logits : shape (N, C).  target : labels, shape (N,), or probabilities, shape (N, C).
    """
    if target.ndim == 1 and type(logits) is not HostArray:
        return cross_entropy_of_labels(logits, target)
    N, C = logits.shape
    if C >= MANY_CLASSES and type(logits) is HostArray:
        losses, residual = cross_entropy_in_blocks(logits, target, wide_dtype(logits))
    else:  # class-major: NumPy is slow at reducing over a last axis that is short, as C usually is
        z = logits.T.astype(logits.dtype, order="C", copy=False)
        losses, residual = losses_and_residual(z, target.T, N)
        residual = residual.T
    loss = losses.sum() / N
    return (loss.astype(logits.dtype) if logits.dtype == "float16" else loss), residual


def cross_entropy_in_blocks(logits: Array, target: Array, dtype: Any) -> tuple[Array, Array]:
    """Return the loss of each row of logits (N, C), and (p − y)/N, where no array but this one has their size.

    All is done to a block of rows while they are in the cache, and then to the next.
    """
    xp = array_module(logits)
    N, C = logits.shape
    residual = xp.empty((N, C), dtype if target.ndim == 1 else xp.result_type(dtype, target))
    rows = max(BLOCK_BYTES // (C * residual.itemsize), 1)
    losses = []
    for start in range(0, N, rows):
        block = slice(start, start + rows)
        z = logits[block].astype(dtype, copy=False)
        losses.append(losses_and_residual(z.T, target[block].T, N, residual[block].T)[0])
    return xp.concatenate(losses), residual


def cross_entropy_of_labels(logits: Array, labels: Array) -> tuple[Array, Array]:
    """Return the cross-entropy of logits (N, C) and labels (N,) on a GPU, and its gradient by the logits.

    Nobody has looked at the labels, because the host would have to wait for them. The loss of a label that is out of
    range is NaN, and the gradient of its row 0; examples with the label `IGNORED` count for nothing.
    """
    xp, labels = array_module(logits), signed(labels)
    if logits.dtype.kind != "f":
        logits = logits.astype("float64")
    wide = wide_dtype(logits)
    z = xp.ascontiguousarray(logits, wide)
    by_row = xp.empty((2, len(labels)), wide)
    if z.shape[1] <= MOST_CLASSES:
        residual = xp.empty_like(z)
        cross_entropy_rows(z, labels, z.shape[1], IGNORED, by_row[0], by_row[1], residual)
    else:
        by_row[0], by_row[1], residual = plain_cross_entropy_rows(z, labels)
    loss, share = mean_of_kept(*by_row.sum(axis=1))
    residual *= share
    return loss.astype(logits.dtype, copy=False), residual.astype(logits.dtype, copy=False)


def number_kept(target: Array) -> Any:
    """Return how many examples the mean of a cross-entropy is over; of labels on a GPU, those that are not ignored."""
    if type(target) is HostArray or target.ndim != 1:
        return len(target)
    return array_module(target).maximum((signed(target) != IGNORED).sum(), 1)


def signed(labels: Array) -> Array:
    """Return integer labels as int64, which holds −100 and any place: a GPU computes in the dtype that it is given."""
    return labels.astype("int64", copy=False) if labels.dtype.kind in "iu" else labels


def plain_cross_entropy_rows(logits: Array, labels: Array) -> tuple[Array, Array, Array]:
    """Return of each row its loss, whether it is kept, and p − y, as the kernel does, by calls of the array module."""
    xp = array_module(logits)
    is_known = (labels >= 0) & (labels < logits.shape[1])
    is_kept = labels != IGNORED
    losses, residual = losses_and_residual(logits.T, xp.where(is_known, labels, 0), 1)
    losses = xp.where(is_known, losses, xp.where(is_kept, xp.nan, 0))
    return losses, is_kept, xp.where(is_known[:, None], residual.T, 0)
