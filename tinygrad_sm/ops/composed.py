"""Operations that need no rule of their own: they are formulas of the others, and the chain rule does the rest."""

from typing import Any

from tinygrad_sm.ops.shaping import transpose


def swapaxes(x: Any, axis1: int, axis2: int) -> Any:
    """Return x with two axes exchanged."""
    axes = list(range(x.ndim))
    axes[axis1], axes[axis2] = axes[axis2], axes[axis1]
    return transpose(x, tuple(axes))
