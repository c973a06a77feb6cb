"""Kernels for GPUs: each does in one launch what would take many, one after the other.

On a GPU each NumPy-like call costs about 10 µs to launch, however small its arrays, so a step that makes 60 calls takes
600 µs where one of 15 takes 150. The kernels below are CUDA C in the form of CuPy's ElementwiseKernel: `operation` runs
once for each element of the arrays that are not `raw`, in its own thread, and `raw` arrays are indexed by hand. Nothing
here is needed to understand the framework: the plain form computes the same as each kernel, and tests compare the two.
"""

from typing import Any

from tinygrad_sm.backend import array_module

MOST_CLASSES = 64
"""Up to this number of classes a thread can go through a row alone; with more, many threads share a row's work."""


class Kernel:
    """A kernel, made when it is first needed: `kernel(*inputs, *outputs)`, with outputs that must exist if `raw`."""

    def __init__(self, name: str, inputs: str, outputs: str, operation: str):
        self.name = name
        self.inputs = inputs
        self.outputs = outputs
        self.operation = operation
        self._made: dict[Any, Any] = {}  # by array module

    def __call__(self, *arguments: Any) -> Any:
        """Launch it, on the device of the arrays."""
        return self.of(array_module(*arguments))(*arguments)

    def of(self, xp: Any) -> Any:
        """Return the array module's own kernel: in `write_all`, a call of this object would be a function of Python."""
        if xp not in self._made:
            self._made[xp] = xp.ElementwiseKernel(self.inputs, self.outputs, self.operation, self.name)
        return self._made[xp]


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
