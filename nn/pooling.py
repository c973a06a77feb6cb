"""Pooling: the largest element, or the mean, of each window of images. Names and defaults are PyTorch's.

>>> x = np.arange(16.0).reshape((1, 1, 4, 4))
>>> max_pool2d(x, 2)
array([[[[ 5.,  7.],
         [13., 15.]]]])
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_sm.arguments import integer, integers
from tinygrad_sm.arrays import as_array, described
from tinygrad_sm.backend import device_of
from tinygrad_sm.engine.tape import data_of
from tinygrad_sm.nn.conv import Integers, as_batch, patches_of
from tinygrad_sm.nn.layers import _SameKind
from tinygrad_sm.ops.composed import stack
from tinygrad_sm.ops.reductions import mean, sum
from tinygrad_sm.ops.windows import spans_of
from tinygrad_sm.precision import as_precise_as, wide


def max_pool2d(
    x: Any,
    kernel_size: Integers,
    stride: Integers | None = None,
    padding: Integers = 0,
    dilation: Integers = 1,
    ceil_mode: bool = False,
) -> Any:
    """Return the largest element of each window of images, x of shape (N, C, H, W) or (C, H, W).

    kernel_size : the lengths of a window.  stride : the steps from window to window, by default the lengths, so that
        windows stand side by side.  dilation : the steps inside of a window.
    padding : how many elements, −∞ or the smallest integer, stand before and behind each axis, at most half a window.
    ceil_mode : whether a last window may reach over the end, if it starts before the padding there; else what it covers
        is left out.
    Result : shape (N, C, P₁, P₂), P = ⌊(L + 2 padding − dilation (K − 1) − 1) / stride⌋ + 1, and ⌈...⌉ in ceil_mode.

    Raises ValueError if a window does not fit into the padded image, or the padding is more than half of it.
    Convention: elements that tie for the largest share the gradient equally, as in `tg.max`; in PyTorch the first of
    them takes all of it. PyTorch's return_indices is not here.

    >>> max_pool2d([[[1.0, 2.0, 5.0, 0.0], [4.0, 3.0, 0.0, 6.0]]], 2)
    array([[[4., 6.]]], dtype=float32)
    """
    x, is_single = as_batch("max_pool2d", x, 2)
    lowest = -math.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min if x.dtype.kind in "iu" else 0
    patches, _ = _pooled("max_pool2d", x, kernel_size, stride, padding, dilation, ceil_mode, lowest)
    out = patches.max((-2, -1))
    return out[0] if is_single else out


def avg_pool2d(
    x: Any,
    kernel_size: Integers,
    stride: Integers | None = None,
    padding: Integers = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:
    """Return the mean of each window of images, x of shape (N, C, H, W) or (C, H, W).

    kernel_size, stride, padding, ceil_mode : as in max_pool2d; the padding is zeros.
    count_include_pad : whether those zeros count as elements of the mean.
    Result : shape (N, C, P₁, P₂), as in max_pool2d.

    PyTorch's divisor_override is not here.

    >>> avg_pool2d([[[1.0, 2.0, 5.0, 0.0], [4.0, 3.0, 0.0, 6.0]]], 2)
    array([[[2.5 , 2.75]]], dtype=float32)
    """
    x, is_single = as_batch("avg_pool2d", x, 2)
    patches, bounds = _pooled("avg_pool2d", wide(x), kernel_size, stride, padding, 1, ceil_mode, 0)
    counts = [
        [min(end, n + p * count_include_pad) - max(start, -p * count_include_pad) for start, end in ends]
        for n, p, ends in bounds
    ]
    divisors = as_array(np.outer(counts[0], counts[1]), patches.dtype, device_of(data_of(x)))
    out = as_precise_as(x, sum(patches, (-2, -1)) / divisors)
    return out[0] if is_single else out


def _pooled(
    name: str,
    x: Any,
    kernel_size: Integers,
    stride: Integers | None,
    padding: Integers,
    dilation: Integers,
    ceil_mode: bool,
    border: float,
) -> tuple[Any, list[tuple[int, int, list[tuple[int, int]]]]]:
    """Return the windows of a pooling; and for each axis its length, its padding, and where windows start and end."""
    kernel, stride, padding, dilation = _windows_of(name, kernel_size, stride, padding, dilation)
    spans = spans_of(kernel, dilation)
    widths, bounds = [], []
    for n, span, s, p in zip(x.shape[2:], spans, stride, padding, strict=True):
        steps, rest = divmod(n + 2 * p - span, s)
        is_one_more = ceil_mode and rest > 0 and 0 <= (steps + 1) * s < n + p  # it starts before the padding at the end
        count = steps + 1 + is_one_more  # none if not even one fits, which `patches_of` refuses
        widths.append((p, max(p, (count - 1) * s + span - n - p)) if is_one_more else (p, p))
        bounds.append((n, p, [(i * s - p, i * s - p + span) for i in range(count)]))
    return patches_of(name, x, kernel, stride, widths, dilation, border), bounds


def _windows_of(
    name: str,
    kernel_size: Integers,
    stride: Integers | None,
    padding: Integers,
    dilation: Integers = 1,
) -> tuple[tuple[int, ...], ...]:
    """Return the lengths of windows, their stride, padding and dilation along two axes; raise unless they are such."""
    kernel = integers(name, "kernel_size", kernel_size, 2)
    stride = kernel if stride is None else integers(name, "stride", stride, 2)
    padding, dilation = integers(name, "padding", padding, 2, smallest=0), integers(name, "dilation", dilation, 2)
    spans = spans_of(kernel, dilation)
    if any(2 * p > span for p, span in zip(padding, spans, strict=True)):
        raise ValueError(f"{name}: expected padding of at most half the window {spans}, got {padding}")
    return kernel, stride, padding, dilation


def adaptive_avg_pool2d(x: Any, output_size: int | Sequence[int | None] | None) -> Any:
    """Return means over images, x of shape (N, C, H, W) or (C, H, W), so many that the result has the output size.

    output_size : (H′, W′), or one integer for both; None keeps an axis. Of m means along an axis of length n, number i
        is that of the elements from ⌊i n / m⌋ up to ⌈(i + 1) n / m⌉; they overlap where m does not divide n. So the
        size 1 gives the mean of each channel.

    >>> adaptive_avg_pool2d([[[1.0, 2.0, 3.0, 6.0]]], (1, 3))
    array([[[1.5, 2.5, 4.5]]], dtype=float32)
    """
    x, is_single = as_batch("adaptive_avg_pool2d", x, 2)
    out = wide(x)
    for axis, size in enumerate(_sizes("adaptive_avg_pool2d", output_size), 2):
        if size is not None:
            out = _means_along(out, axis, size)
    out = as_precise_as(x, out)
    return out[0] if is_single else out


def _sizes(name: str, output_size: int | Sequence[int | None] | None) -> tuple[int | None, ...]:
    """Return the lengths of two axes; None stands for one that is kept."""
    sizes = tuple(output_size) if isinstance(output_size, Sequence) else (output_size,) * 2
    if len(sizes) != 2:
        raise ValueError(f"{name}: expected output_size to be an integer, or 2 of them, got {output_size}")
    return tuple(n if n is None else integer(name, "output_size", n, smallest=1) for n in sizes)


def _means_along(x: Any, axis: int, m: int) -> Any:
    """Return m means along an axis, each of a part of it."""
    n = x.shape[axis]
    if n == 0:
        raise ValueError(f"adaptive_avg_pool2d: expected images of at least one element, got {described(x)}")
    parts = [slice(i * n // m, -(-(i + 1) * n // m)) for i in range(m)]
    return stack([mean(x[(slice(None),) * axis + (part,)], axis) for part in parts], axis)


class _Pool(_SameKind):
    """The base of pooling layers: they show the options that they keep."""

    _names: tuple[str, ...]

    def extra_repr(self) -> str:
        return ", ".join(f"{name}={value}" for name, value in self._options().items())

    def _options(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self._names}


class MaxPool2d(_Pool):
    """The largest element of each window of images (N, C, H, W); `functional.max_pool2d` says the rest.

    >>> MaxPool2d(2)
    MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)
    """

    _names = "kernel_size", "stride", "padding", "dilation", "ceil_mode"

    def __init__(
        self,
        kernel_size: Integers,
        stride: Integers | None = None,
        padding: Integers = 0,
        dilation: Integers = 1,
        *,  # PyTorch has return_indices here
        ceil_mode: bool = False,
    ):
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.ceil_mode = ceil_mode
        _windows_of("MaxPool2d", kernel_size, self.stride, padding, dilation)

    def forward(self, x: Any) -> Any:
        return max_pool2d(x, **self._options())


class AvgPool2d(_Pool):
    """The mean of each window of images (N, C, H, W); `functional.avg_pool2d` says the rest.

    >>> AvgPool2d((2, 3))
    AvgPool2d(kernel_size=(2, 3), stride=(2, 3), padding=0, ceil_mode=False, count_include_pad=True)
    """

    _names = "kernel_size", "stride", "padding", "ceil_mode", "count_include_pad"

    def __init__(
        self,
        kernel_size: Integers,
        stride: Integers | None = None,
        padding: Integers = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ):
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        _windows_of("AvgPool2d", kernel_size, self.stride, padding)

    def forward(self, x: Any) -> Any:
        return avg_pool2d(x, **self._options())


class AdaptiveAvgPool2d(_Pool):
    """Means over images (N, C, H, W) of any size, to a fixed size; `functional.adaptive_avg_pool2d` says the rest."""

    _names = ("output_size",)

    def __init__(self, output_size: int | Sequence[int | None] | None):
        self.output_size = _sizes("AdaptiveAvgPool2d", output_size)

    def forward(self, x: Any) -> Any:
        return adaptive_avg_pool2d(x, self.output_size)
