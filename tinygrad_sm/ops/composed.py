"""Operations that need no rule of their own: they are formulas of the others, and the chain rule does the rest."""

import math
from typing import Any

from tinygrad_sm.ops.reductions import sum
from tinygrad_sm.ops.shaping import transpose


def mean(x: Any, axis: int | tuple[int, ...] | None = None, keepdims: bool = False) -> Any:
    """Return Σ x / n over the axes, n the number of elements that each sum has."""
    axes = range(x.ndim) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    return sum(x, axis, keepdims) / math.prod(x.shape[i] for i in axes)


def swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    """Return x with two axes exchanged."""
    axes = list(range(x.ndim))
    axes[axis1], axes[axis2] = axes[axis2], axes[axis1]
    return transpose(x, tuple(axes))
