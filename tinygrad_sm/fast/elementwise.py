"""Cubes and sigmoids of large arrays, in the calls of NumPy that are quick."""

from typing import Any

import numpy as np

from tinygrad_sm.backend import HOST_TYPES, Array, array_module
from tinygrad_sm.dispatch import faster
from tinygrad_sm.ops.elementwise import power, sigmoid


def _large(x: Any) -> bool:
    return type(x) in HOST_TYPES and x.size >= 4096 and x.dtype in (np.float32, np.float64)


@faster(power, when=lambda a, b: type(b) in (int, float) and b == 3 and _large(a), within=1e-6)
def cube(a: Array, b: float) -> Array:
    """Return a · a · a: NumPy's power takes several times as long, and where numbers are negative hundreds of times.

    The tanh form of gelu has a cube in it.
    """
    return a * a * a


@faster(sigmoid, when=_large)
def sigmoid_without_branch(x: Array) -> Array:
    """Choose the numerator, 1 or e^−|x|, as the larger of e^−|x| and the truth of x ≥ 0: e^−|x| is at most 1.

    `where` branches for each element, which processors cannot predict; in (1024, 512) float32 numbers this takes 0.25
    of the time.
    """
    xp = array_module(x)
    e = xp.exp(-xp.abs(x))
    return xp.maximum(e, x >= 0) / (1 + e)
