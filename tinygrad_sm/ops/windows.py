"""Windows that slide over the last axes of an array: what convolution and pooling are made of.

>>> import numpy as np
>>> x = np.array([1.0, 2.0, 4.0, 8.0])
>>> windows(x, 2)  # a window of two at each of three positions
array([[1., 2.],
       [2., 4.],
       [4., 8.]])
>>> windows(x, 2) @ np.array([-1.0, 1.0])  # a convolution, with a kernel that takes differences
array([1., 2., 4.])
>>> fold(np.ones((3, 2)), 4, 1, 1)  # an element receives a gradient from each window that it stands in
array([1., 2., 2., 1.])

No element is copied: element j of the window at position p is x[stride · p + dilation · j], so a step to the next
window is `stride` steps in x, and a step inside of a window `dilation` steps.
"""

from itertools import product
from math import prod

from tinygrad_sm.arguments import integers
from tinygrad_sm.arrays import described
from tinygrad_sm.backend import array_module
from tinygrad_sm.engine.primitive import primitive
from tinygrad_sm.precision import sum_dtype


@primitive(analytic=True, is_view=True)
def windows(x, /, shape, stride=1, dilation=1):
    """Return all windows of a shape over the last axes of x, as a view: the positions, and behind them the windows.

    x : shape (..., L₁, ..., L_d).  shape : the lengths (K₁, ..., K_d) of a window, or one integer for a window over the
    last axis.  stride : the steps from window to window; dilation : those from element to element inside of a window;
    one integer for all axes, or one for each.  Result : shape (..., P₁, ..., P_d, K₁, ..., K_d), where

        result[..., p, j] = x[..., stride · p + dilation · j],        P = ⌊(L − dilation · (K − 1) − 1) / stride⌋ + 1

    What does not fill a window at the end is left out. The view is read-only. Raises ValueError if a window is longer
    than its axis. PyTorch's name is `Tensor.unfold`, NumPy's `sliding_window_view`.

    >>> import numpy as np
    >>> windows(np.arange(6.0), 2, stride=2, dilation=3)
    array([[0., 3.],
           [2., 5.]])
    >>> windows(np.zeros((64, 3, 28, 28)), (5, 5)).shape
    (64, 3, 24, 24, 5, 5)
    """
    shape = integers("windows", "shape", shape)
    d = len(shape)
    stride, dilation = integers("windows", "stride", stride, d), integers("windows", "dilation", dilation, d)
    spans = spans_of(shape, dilation)
    if x.ndim < d or any(n < span for n, span in zip(x.shape[-d:], spans, strict=True)):
        spread = "" if set(dilation) == {1} else f", which dilation={dilation} spreads over {spans},"
        raise ValueError(f"windows: expected a window that fits into x, got {shape}{spread} for {described(x)}")
    leading, axes = x.ndim - d, range(d)
    positions = [(x.shape[leading + i] - spans[i]) // stride[i] + 1 for i in axes]
    between, inside = ([x.strides[leading + i] * steps[i] for i in axes] for steps in (stride, dilation))
    as_strided = array_module(x).lib.stride_tricks.as_strided
    view = as_strided(x, (*x.shape[:leading], *positions, *shape), (*x.strides[:leading], *between, *inside))
    view.flags.writeable = False  # an element stands in several windows
    return view


windows.vjp(lambda g, out, x, shape, stride, dilation: fold(g, x.shape[x.ndim - out.ndim :], stride, dilation))


@primitive(analytic=True)
def fold(values, /, shape, stride, dilation):
    """Return zeros with the values of windows added where the windows stand: an element adds up what all of them have.

    values : shape (..., P₁, ..., P_d, K₁, ..., K_d), as `windows` gives them.  shape : the lengths L₁, ..., L_d of the
    last axes of the result.
    """
    shape = integers("fold", "shape", shape)
    d = len(shape)
    stride, dilation = integers("fold", "stride", stride, d), integers("fold", "dilation", dilation, d)
    leading, positions, kernel = values.shape[: -2 * d], values.shape[-2 * d : -d], values.shape[-d:]
    dtype = sum_dtype(values, in_turn=prod(kernel)) or values.dtype
    added, first = values.astype(dtype, copy=False), (..., *(0,) * d)
    out = array_module(values).zeros_like(
        added[first], shape=(*leading, *shape)
    )  # with the axes in the order of theirs
    for offset in product(*map(range, kernel)):  # one slice for each place in a window, whatever the number of windows
        starts = [i * step for i, step in zip(offset, dilation, strict=True)]
        places = [slice(a, a + s * (p - 1) + 1, s) for a, s, p in zip(starts, stride, positions, strict=True)]
        out[(..., *places)] += added[(..., *offset)]
    return out.astype(values.dtype, copy=False)


def spans_of(shape, dilation):
    """Return how many elements of an axis a window reaches over, for each axis."""
    return tuple(step * (n - 1) + 1 for n, step in zip(shape, dilation, strict=True))


def _fold_rule(g, out, values, shape, stride, dilation):
    of_windows = windows(g, values.shape[out.ndim - values.ndim :], stride, dilation)
    return of_windows[tuple(map(slice, values.shape))]  # behind them there may be room for more windows


fold.vjp(_fold_rule)
