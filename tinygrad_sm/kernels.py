"""Kernels for GPUs: what would take many launches there, one after the other, in one.

On a GPU each NumPy-like call costs about 10 µs to launch, however small its arrays, so a step that makes 60 calls takes
600 µs where one of 15 takes 150. The kernels below are CUDA C in the form of CuPy's ElementwiseKernel: `operation` runs
once for each element of the arrays that are not `raw`, in its own thread, and `raw` arrays are indexed by hand. Nothing
here is needed to understand the framework: each kernel computes what plain array code beside its call computes too,
and tests hold the one against the other.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from tinygrad_sm.backend import Array, HostArray, array_module

MOST_CLASSES = 64
"""With so many classes a thread can still go through a row alone; with more, many threads share a row's work."""

IGNORED = -100
"""The label of examples that count for nothing where labels cannot be looked at beforehand, as they are on a GPU."""


class Kernel:
    """A kernel, made when it is first called: `kernel(*inputs, *outputs)`, with outputs that must exist if `raw`."""

    def __init__(self, name: str, inputs: str, outputs: str, operation: str):
        self.name = name
        self.inputs = inputs
        self.outputs = outputs
        self.operation = operation
        self._made: dict[Any, Any] = {}  # by array module

    def __call__(self, *arguments: Any) -> Any:
        """Launch it, on the device of the arrays."""
        xp = array_module(*arguments)
        if xp not in self._made:
            self._made[xp] = xp.ElementwiseKernel(self.inputs, self.outputs, self.operation, self.name)
        return self._made[xp](*arguments)


cross_entropy_rows = Kernel(
    "cross_entropy_rows",
    "raw T logits, L label, int64 C, int64 ignored",
    "T loss, T kept, raw T residual",
    """
    const long long row = i * C;
    T largest = logits[row];
    for (long long j = 1; j < C; ++j) largest = max(largest, logits[row + j]);
    // What the row is shifted by must be finite: an infinity less itself would be NaN.
    const T finite = sizeof(T) == 8 ? (T)1.7976931348623157e308 : (T)3.4028234663852886e38f;
    const T shift = min(max(largest, -finite), finite);
    T sum = 0;
    for (long long j = 0; j < C; ++j) sum += exp(logits[row + j] - shift);
    if (sum == 0) sum = 1;  // a row of -infinities, all masked: its softmax is 0

    const bool is_known = 0 <= (long long)label && (long long)label < C;
    const bool is_ignored = (long long)label == ignored;
    kept = is_ignored ? 0 : 1;
    loss = is_ignored ? (T)0 : is_known ? log(sum) - (logits[row + label] - shift) : (T)nan("");
    const T target = largest >= -finite || largest != largest ? 1 : 0;
    for (long long j = 0; j < C; ++j)
        residual[row + j] = is_known ? exp(logits[row + j] - shift) / sum - (j == label ? target : (T)0) : (T)0;
    """,
)

mean_of_kept = Kernel(
    "mean_of_kept",
    "T total, T kept",
    "T mean, T share",
    """
    share = 1 / (kept > 0 ? kept : (T)1);
    mean = total * share;
    """,
)

momentum_step = Kernel(
    "momentum_step",
    "T g, T lr, T momentum, T weight_decay, bool nesterov",
    "T theta, T v",
    """
    const T decayed = g + weight_decay * theta;
    v = momentum * v + decayed;
    theta -= lr * (nesterov ? (T)(decayed + momentum * v) : v);  // the sum of halves is a float
    """,
)

adam_step = Kernel(
    "adam_step",
    "T g, S shrink, S weight_decay, S beta1, S rest1, S beta2, S rest2, S root, S eps, S rate",
    "T theta, S m, S v",
    """
    S moved = shrink * (S)theta;
    const S decayed = (S)g + weight_decay * moved;
    m = beta1 * m + rest1 * decayed;
    v = beta2 * v + rest2 * decayed * decayed;
    moved -= rate * m / (sqrt(v) / root + eps);
    theta = (T)moved;
    """,
)

KERNELS = (cross_entropy_rows, mean_of_kept, momentum_step, adam_step)


def cross_entropy_of_labels(logits: Array, labels: Array) -> tuple[Array, Array]:
    """Return the cross-entropy of logits (N, C) and labels (N,) on a GPU, and its gradient by the logits.

    Nobody has looked at the labels, because the host would have to wait for them. The loss of a label that is out of
    range is NaN, and the gradient of its row 0; examples with the label `IGNORED` count for nothing.
    """
    xp, labels = array_module(logits), signed(labels)
    if logits.dtype.kind != "f":
        logits = logits.astype("float64")
    wide = xp.float32 if logits.dtype == xp.float16 else logits.dtype
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
    """Return labels of a dtype that holds −100 and −1 too: to compare others with them may be refused on a GPU."""
    return labels.astype("int64") if labels.dtype.kind == "u" else labels


def plain_cross_entropy_rows(logits: Array, labels: Array) -> tuple[Array, Array, Array]:
    """Return of each row its loss, whether it is kept, and p − y, as the kernel does, by calls of the array module."""
    xp = array_module(logits)
    is_known = (labels >= 0) & (labels < logits.shape[1])
    is_ignored = labels == IGNORED
    maxima = logits.max(axis=1, keepdims=True)
    limits = xp.finfo(logits.dtype)
    shifted = logits - xp.minimum(xp.maximum(maxima, limits.min), limits.max)
    p = xp.exp(shifted)
    sums = p.sum(axis=1, keepdims=True)
    sums = sums + (sums == 0)
    place = xp.arange(len(labels)), xp.where(is_known, labels, 0)
    losses = xp.log(sums[:, 0]) - shifted[place]
    losses = xp.where(is_ignored, 0, xp.where(is_known, losses, xp.nan))
    p /= sums
    p[place] -= maxima[:, 0] != -xp.inf
    return losses, ~is_ignored, xp.where(is_known[:, None], p, 0)


BLOCK = 2**18
"""So many elements of an array are worked on at a time: few enough for the caches, and enough to make calls cheap."""


def blocks(*arrays: Array) -> Iterable[tuple[Array, ...]]:
    """Return arrays of one shape part by part, so that what is computed with a part need not leave the caches.

        for theta, g in blocks(data, grad):
            theta -= 0.1 * g

    A formula that takes each element by itself gives to the last bit what it gives for whole arrays. The parts are
    views of shape (BLOCK,), stretches of memory; the last is shorter. Arrays that are small, on a GPU, with gaps or in
    different layouts (C and Fortran) are one part, as they are.

    >>> import numpy as np
    >>> x = np.zeros((10, 30_000))
    >>> [len(part) for (part,) in blocks(x)]
    [262144, 37856]
    """
    return (arrays,) if arrays[0].size <= BLOCK else _stretches(arrays)


def _stretches(arrays: tuple[Array, ...]) -> Iterator[tuple[Array, ...]]:
    """Yield the parts of arrays that are not small."""
    if type(arrays[0]) is HostArray:
        for order in ("C", "F"):
            if all(array.flags[f"{order}_CONTIGUOUS"] for array in arrays):
                flat = [array.reshape(-1, order=order) for array in arrays]
                for start in range(0, flat[0].size, BLOCK):
                    yield tuple([array[start : start + BLOCK] for array in flat])
                return
    yield arrays
