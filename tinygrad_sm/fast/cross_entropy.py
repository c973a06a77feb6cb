"""The cross-entropy of labels in one array of the size of the logits; on a GPU, in few launches."""

import functools
from math import inf, nan
from typing import Any

import numpy as np

from tinygrad_sm.backend import HOST_TYPES, Array, array_module, device_of
from tinygrad_sm.dispatch import faster
from tinygrad_sm.engine.tape import data_of
from tinygrad_sm.fast.kernels import MOST_CLASSES, cross_entropy_rows, mean_of_kept
from tinygrad_sm.ops.softmax import IGNORED, cross_entropy, one_hot, residual_of_cross_entropy, softmax
from tinygrad_sm.precision import total, wide, wide_dtype
from tinygrad_sm.targets import check_target

FEW_CLASSES = 150
"""With fewer classes a copy that is contiguous for each class is quicker; with more, slower. Measured."""

BLOCK_BYTES = 2**19
"""The size of a block of rows: it fits the cache together with its results, and the calls are few. Measured."""


def _labels_on_a_gpu(logits: Any, target: Any, ignored: int = IGNORED) -> bool:
    is_on_gpu = len(getattr(target, "shape", ())) == 1 and device_of(logits) != "cpu"
    return is_on_gpu and logits.size > 0 and logits.shape[1:] <= (MOST_CLASSES,)


@faster(cross_entropy, when=_labels_on_a_gpu, within=1e-5)
def cross_entropy_in_four_launches(logits: Array, labels: Array, ignored: int = IGNORED) -> tuple[Array, Array]:
    """Return the loss and its residual; a thread goes through a row, where the plain form makes 30 launches."""
    check_target("cross_entropy", logits, labels, ignored)
    xp, dtype = array_module(logits), wide_dtype(logits)
    z = xp.ascontiguousarray(logits, dtype)
    by_row, residual = xp.empty((2, len(z)), dtype), xp.empty_like(z)
    cross_entropy_rows(z, labels.astype("int64", copy=False), z.shape[1], ignored, by_row[0], by_row[1], residual)
    loss, share = mean_of_kept(*by_row.sum(axis=1))
    residual *= share
    return loss.astype(logits.dtype, copy=False) if logits.dtype.kind == "f" else loss, residual


def _all_labels_are_classes(logits: Any, target: Any, ignored: int = IGNORED) -> bool:
    """Hold on the host for real logits where every label is a class, and none of them is ignored."""
    return (
        type(logits) in HOST_TYPES
        and type(target) in HOST_TYPES
        and logits.ndim == 2
        and target.shape == logits.shape[:1]
        and target.dtype.kind in "iu"
        and logits.size > 0
        and logits.dtype.kind != "c"
        and (ignored is None or not 0 <= ignored < logits.shape[1])
        # Read as unsigned, a negative label of b bits is at least 2ᵇ⁻¹: so one pass finds labels that are no class.
        and (logits.shape[1] <= 1 << (8 * target.itemsize - 1) or target.min() >= 0)
        and target.view(_unsigned(target.dtype)).max() < logits.shape[1]
    )


@functools.cache
def _unsigned(dtype: Any) -> Any:
    return np.dtype(dtype.str.replace("i", "u"))


@faster(cross_entropy, when=_all_labels_are_classes, within=1e-5)
def cross_entropy_in_one_array(logits: Array, labels: Array, ignored: int = IGNORED) -> tuple[Array, Array]:
    """Return the loss, and (p − y)/N, written over the exponentials of the shifted logits.

    NumPy is slow at reducing over a short last axis, so with few classes all examples of a class lie side by side. With
    many classes, all calls are made on a block of rows while it is in the cache, and then on the next. This takes 0.4
    of the plain form's time, from (128, 10) to (4096, 10000), and half of its memory. The plain form handles logits
    that are not finite.
    """
    (N, C), dtype, xp = logits.shape, wide_dtype(logits), array_module(logits)
    if C < FEW_CLASSES:
        z = logits.T.astype(dtype, order="C", copy=False)
        losses, residual = _losses_and_residual(xp, z, labels, N)
    else:
        residual = xp.empty((C, N), dtype, order="F")
        losses = xp.empty(N, dtype)
        rows = max(BLOCK_BYTES // (C * residual.itemsize), 1)
        for start in range(0, N, rows):
            block = slice(start, start + rows)
            z = logits[block].T.astype(dtype, copy=False)
            losses[block], _ = _losses_and_residual(xp, z, labels[block], N, residual[:, block])
    loss = xp.add.reduce(losses) / N
    if not loss < inf:  # or it is NaN
        return cross_entropy.plain(logits, labels, ignored)
    return (loss.astype(logits.dtype) if logits.dtype == "float16" else loss), residual.T


def _losses_and_residual(xp: Any, z: Array, labels: Array, N: int, out: Any = None) -> tuple[Any, Any]:
    """Return the losses of n of the N examples, a column for each, and (p − y)/N, written into `out` if it is given.

    If logits are not finite, the losses are NaN.
    """
    maxima = xp.maximum.reduce(z, axis=0)
    if not xp.logical_and.reduce(xp.isfinite(maxima)):
        return nan, out
    residual = xp.subtract(z, maxima, out=out)
    # In one long row, as one index is quicker than two: label j of example i is at j · per_class + i · per_example.
    flat = residual.reshape(-1, order="A")
    size, (per_class, per_example) = residual.itemsize, residual.strides
    place = xp.multiply(labels, per_class // size, dtype=np.intp)
    place += xp.arange(0, per_example // size * len(labels), per_example // size)
    z_of_labels = flat[place]
    xp.exp(residual, out=residual)
    sums = total(residual, axis=0)
    residual /= sums * N
    flat[place] -= 1 / N
    return xp.log(sums) - z_of_labels, residual


def _nothing_masked_or_ignored(logits: Any, target: Any, ignored: int) -> bool:
    z = data_of(logits)
    return _all_labels_are_classes(z, data_of(target), ignored) and bool(array_module(z).isfinite(z.max(axis=1)).all())


@faster(residual_of_cross_entropy, when=_nothing_masked_or_ignored, within=1e-6)
def residual_without_masks(logits: Any, target: Any, ignored: int) -> Any:
    """Return (p − y)/N where nothing is masked or ignored: a Hessian times a vector takes 0.8 of the time."""
    p = softmax(wide(logits))
    return (p - one_hot(data_of(target), p.shape[1], p.dtype)) / len(target)
