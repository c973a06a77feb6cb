"""Convolution: a formula over the windows of images. Names, defaults and initial values are PyTorch's.

    patches = windows(x, (5, 5))    # x : (N, C, H, W); patches : (N, C, H − 4, W − 4, 5, 5)
    conv2d(x, weight)               # at each place, the sum of the products of the patch and a kernel

So a convolution is a matrix product: a row for each kernel times a column for each place. The rest follows from the
chain rule: the gradient of a kernel sums over the patches that it met, and that of an image is folded back, as an
element stands in several patches.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_sm.arguments import choice, integer, integers
from tinygrad_sm.arrays import described
from tinygrad_sm.engine.primitive import as_operand
from tinygrad_sm.engine.tape import data_of
from tinygrad_sm.nn import init
from tinygrad_sm.nn.layers import place_of
from tinygrad_sm.nn.module import Module, Parameter
from tinygrad_sm.ops.composed import pad
from tinygrad_sm.ops.indexing import put
from tinygrad_sm.ops.shaping import transpose
from tinygrad_sm.ops.windows import spans_of, windows
from tinygrad_sm.precision import wide
from tinygrad_sm.tensors import Tensor

Integers = int | Sequence[int]
"""One integer for all axes, or one for each."""

Widths = list[tuple[int, int]]
"""How wide a border is, before and behind, along each axis."""

BORDERS = {"zeros": "constant", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}
"""PyTorch's names of what a border is filled with, and NumPy's."""


def conv1d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Integers = 1,
    padding: Integers | str = 0,
    dilation: Integers = 1,
    groups: int = 1,
) -> Any:
    """Return the convolution of sequences, x of shape (N, C, L), with kernels, weight of shape (O, C/groups, K).

    As conv2d, with one axis.

    >>> conv1d([[[1.0, 2.0, 4.0, 8.0]]], [[[-1.0, 1.0]]])  # differences
    array([[[1., 2., 4.]]], dtype=float32)
    """
    return _convolution("conv1d", x, weight, bias, stride, padding, dilation, groups)


def conv2d(
    x: Any,
    weight: Any,
    bias: Any = None,
    stride: Integers = 1,
    padding: Integers | str = 0,
    dilation: Integers = 1,
    groups: int = 1,
) -> Any:
    """Return the convolution of images with kernels.

    x : shape (N, C, H, W): N images of C channels; (C, H, W) is one image.
    weight : shape (O, C/groups, K₁, K₂): a kernel for each of O output channels.  bias : shape (O,), or None.
    stride : the steps from place to place.  dilation : the steps inside of a kernel.
    padding : how many zeros stand before and behind each axis; "valid" is none, and "same", with stride 1, as many as
        give the output the size of the input, one more behind than before if their number is odd.
    groups : the channels are parted into groups, each with kernels of its own; C groups are a depthwise convolution.
    Result : shape (N, O, P₁, P₂), P = ⌊(L + 2 padding − dilation (K − 1) − 1) / stride⌋ + 1, and

        result[n, o, p, q] = bias[o] + Σ_cij weight[o, c, i, j] · x[n, c, stride p + dilation i, stride q + dilation j]

    of the padded x. The kernel is not flipped, so that mathematics would say cross-correlation. In half precision the
    sums are formed in float32. Raises ValueError if the shapes do not fit, the groups do not divide the channels, or
    the kernel is larger than the padded image. "Gradient-Based Learning Applied to Document Recognition" (LeCun,
    Bottou, Bengio and Haffner, 1998).

    >>> conv2d(np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2)), padding="same")[0, 0]
    array([[4., 4., 2.],
           [4., 4., 2.],
           [2., 2., 1.]])
    """
    return _convolution("conv2d", x, weight, bias, stride, padding, dilation, groups)


def _convolution(
    name: str,
    x: Any,
    weight: Any,
    bias: Any,
    stride: Integers,
    padding: Integers | str,
    dilation: Integers,
    groups: int,
) -> Any:
    d = 1 if name == "conv1d" else 2
    x, is_single = as_batch(name, x, d)
    weight = as_operand(weight, beside=x)
    stride, dilation = integers(name, "stride", stride, d), integers(name, "dilation", dilation, d)
    groups = integer(name, "groups", groups, smallest=1)
    _check_kernels(name, x, weight, bias, groups, d)
    N, kernels = x.shape[0], weight.shape[0]
    dtype = np.result_type(x.dtype, weight.dtype)
    if dtype == "float16":
        x, weight = wide(x), wide(weight)
    widths = _widths(name, padding, weight.shape[2:], stride, dilation)
    patches = patches_of(name, x, weight.shape[2:], stride, widths, dilation)
    places = patches.shape[2 : 2 + d]
    # In each column what one kernel meets, and the places of all images in a row: the images last, so that elements
    # which stand side by side in memory are copied, added and compared in long runs, here and in pooling.
    order = (1, *range(2 + d, 2 + 2 * d), *range(2, 2 + d), 0)
    columns = transpose(patches, order).reshape((groups, math.prod(weight.shape[1:]), math.prod(places) * N))
    out = weight.reshape((groups, kernels // groups, columns.shape[1])) @ columns
    if bias is not None:
        out = out + as_operand(bias, beside=x).reshape((groups, kernels // groups, 1))
    out = transpose(out.reshape((kernels, *places, N)), (1 + d, *range(1 + d)))
    if dtype == "float16":
        out = out.astype(dtype)
    return out[0] if is_single else out


def as_batch(name: str, x: Any, d: int) -> tuple[Any, bool]:
    """Return x with an axis of images in front, and whether it had none."""
    x = as_operand(x)
    if getattr(x, "ndim", 0) not in (d + 1, d + 2):
        lengths = "H, W" if d == 2 else "L"
        raise ValueError(f"{name}: expected x of shape (N, C, {lengths}) or (C, {lengths}), got {described(x)}")
    return (x[None], True) if x.ndim == d + 1 else (x, False)


def _check_kernels(name: str, x: Any, weight: Any, bias: Any, groups: int, d: int) -> None:
    """Raise ValueError unless the weight and the bias fit the images, and the groups divide the channels."""
    if getattr(weight, "ndim", 0) != d + 2 or 0 in weight.shape[2:]:
        lengths = "K₁, K₂" if d == 2 else "K"
        raise ValueError(f"{name}: expected weight of shape (O, C/groups, {lengths}), got {described(weight)}")
    channels, kernels = x.shape[1], weight.shape[0]
    if channels % groups or kernels % groups:
        raise ValueError(
            f"{name}: expected groups to divide the {channels} channels of x and the {kernels} kernels, got "
            f"groups={groups}"
        )
    if weight.shape[1] != channels // groups:
        of_groups = f" and groups={groups}" if groups > 1 else ""
        raise ValueError(
            f"{name}: expected weight of shape ({kernels}, {channels // groups}, ...) for x of shape {x.shape}"
            f"{of_groups}, got {described(weight)}"
        )
    if bias is not None and np.shape(data_of(bias)) != (kernels,):
        raise ValueError(f"{name}: expected bias of shape ({kernels},), one for each kernel, got {described(bias)}")


def _widths(
    name: str, padding: Integers | str, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> Widths:
    """Return the border that a padding means."""
    if isinstance(padding, str):
        choice(name, "padding", padding, ("valid", "same"))
        if padding == "valid":
            return [(0, 0)] * len(kernel)
        if any(step != 1 for step in stride):
            raise ValueError(f"{name}: expected stride 1 for padding='same', got {tuple(stride)}")
        missing = [step * (n - 1) for n, step in zip(kernel, dilation, strict=True)]
        return [(n // 2, n - n // 2) for n in missing]
    return [(n, n) for n in integers(name, "padding", padding, len(kernel), smallest=0)]


def patches_of(
    name: str,
    x: Any,
    kernel: Sequence[int],
    stride: Sequence[int],
    widths: Widths,
    dilation: Sequence[int],
    border: float = 0,
) -> Any:
    """Return the windows over the last axes of x in a border, shape (N, C, places..., kernel...)."""
    d = len(kernel)
    spans = spans_of(kernel, dilation)
    padded = [before + n + behind for n, (before, behind) in zip(x.shape[2:], widths, strict=True)]
    if any(n < span for n, span in zip(padded, spans, strict=True)):
        spread = f", spread over {spans} by dilation={tuple(dilation)}" if max(dilation) > 1 else ""
        raise ValueError(
            f"{name}: expected a kernel that fits into the padded x, got kernel {tuple(kernel)}{spread}, for "
            f"{tuple(padded)}"
        )
    x, widths = transpose(x, (*range(1, d + 2), 0)), [(0, 0), *widths, (0, 0)]  # the images last, as in `_convolution`
    if border and any(map(any, widths)):
        x = pad(x, widths, constant_values=border)
    else:  # without a border too: what follows is quicker on a copy in this order
        places = [slice(before, before + n) for n, (before, _) in zip(x.shape, widths, strict=True)]
        x = put(x, (x.shape[0], *padded, x.shape[-1]), tuple(places))
    return windows(transpose(x, (d + 1, *range(d + 1))), tuple(kernel), tuple(stride), tuple(dilation))


class Convolution(Module):
    """The base of Conv1d and Conv2d."""

    axes: int

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Integers,
        stride: Integers = 1,
        padding: Integers | str = 0,
        dilation: Integers = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
    ):
        name, d = type(self).__name__, self.axes
        self.in_channels = integer(name, "in_channels", in_channels, smallest=1)
        self.out_channels = integer(name, "out_channels", out_channels, smallest=1)
        self.kernel_size = integers(name, "kernel_size", kernel_size, d)
        self.stride, self.dilation = integers(name, "stride", stride, d), integers(name, "dilation", dilation, d)
        self._widths = _widths(name, padding, self.kernel_size, self.stride, self.dilation)
        self.padding = padding if isinstance(padding, str) else integers(name, "padding", padding, d, smallest=0)
        self.groups = integer(name, "groups", groups, smallest=1)
        if in_channels % groups or out_channels % groups:
            raise ValueError(
                f"{name}: expected groups to divide in_channels={in_channels} and out_channels={out_channels}, got "
                f"groups={groups}"
            )
        choice(name, "padding_mode", padding_mode, tuple(BORDERS))
        self.padding_mode = padding_mode
        weight = np.empty((out_channels, in_channels // groups, *self.kernel_size), np.float32)
        bound = 1 / math.sqrt(math.prod(weight.shape[1:]))
        self.weight = init.uniform_(Parameter(weight), -bound, bound)
        self.bias = init.uniform_(Parameter(np.empty(out_channels, np.float32)), -bound, bound) if bias else None

    def forward(self, x: Any) -> Tensor:
        """Return the convolution of x, of shape (N, C, ...) or (C, ...), with the kernels."""
        x = as_operand(x)
        if x.ndim not in (self.axes + 1, self.axes + 2) or x.shape[-self.axes - 1] != self.in_channels:
            raise ValueError(self._mismatch(x))
        options: tuple[Any, ...] = (self.stride, self.padding, self.dilation, self.groups)
        if self.padding_mode != "zeros":
            self._check_border(x)
            x = pad(x, [(0, 0)] * (x.ndim - self.axes) + self._widths, BORDERS[self.padding_mode])
            options = (self.stride, 0, self.dilation, self.groups)
        return (conv1d if self.axes == 1 else conv2d)(x, self.weight, self.bias, *options)

    def _check_border(self, x: Any) -> None:
        """Raise ValueError if the border would repeat the image more than once, as PyTorch does."""
        most = {"reflect": -1, "circular": 0}.get(self.padding_mode, math.inf)
        if any(max(widths) > n + most for n, widths in zip(x.shape[-self.axes :], self._widths, strict=True)):
            raise ValueError(
                f"{type(self).__name__}: expected padding {'below' if most else 'of at most'} the lengths of x for "
                f"padding_mode={self.padding_mode!r}, got padding={self.padding} for {described(x)}"
            )

    def _mismatch(self, x: Any) -> str:
        name = f"{type(self).__name__}({self.in_channels}, {self.out_channels}){place_of(self.weight)}"
        shape = f"{self.in_channels}, {'H, W' if self.axes == 2 else 'L'}"
        message = f"{name}: expected x of shape (N, {shape}) or ({shape}), got {described(x)}"
        if self.in_channels == 1 and x.ndim == self.axes + 1:
            return f"{message}: x[:, None] gives it an axis of channels"
        if x.ndim == self.axes + 2 and x.shape[-1] == self.in_channels:
            return f"{message}: tg.moveaxis(x, -1, 1) puts the channels before the places"
        return message

    def extra_repr(self) -> str:
        shown: dict[str, Any] = {"kernel_size": self.kernel_size, "stride": self.stride}
        usual = {"padding": (0,) * self.axes, "dilation": (1,) * self.axes, "groups": 1, "padding_mode": "zeros"}
        shown |= {name: getattr(self, name) for name, value in usual.items() if getattr(self, name) != value}
        shown |= {} if self.bias is not None else {"bias": False}
        return ", ".join([f"{self.in_channels}, {self.out_channels}", *(f"{k}={v!r}" for k, v in shown.items())])


class Conv1d(Convolution):
    """The convolution of sequences (N, C, L) with kernels that are learned; `functional.conv1d` gives the formula.

    weight : shape (out_channels, in_channels/groups, K); bias : shape (out_channels,), or None. Both begin as draws
    from U(−1/√n, 1/√n) with n = in_channels/groups · K, as in PyTorch.
    padding_mode : "zeros", "reflect", "replicate" or "circular": what stands in the padding; see `tg.pad`.

    >>> Conv1d(16, 33, 3, stride=2)
    Conv1d(16, 33, kernel_size=(3,), stride=(2,))
    """

    axes = 1


class Conv2d(Convolution):
    """The convolution of images (N, C, H, W) with kernels that are learned; `functional.conv2d` gives the formula.

    weight : shape (out_channels, in_channels/groups, K₁, K₂); bias : shape (out_channels,), or None. Both begin as
    draws from U(−1/√n, 1/√n) with n = in_channels/groups · K₁ · K₂, as in PyTorch. The options are those of Conv1d.

    >>> Conv2d(1, 6, 5, padding=2)
    Conv2d(1, 6, kernel_size=(5, 5), stride=(1, 1), padding=(2, 2))
    """

    axes = 2
