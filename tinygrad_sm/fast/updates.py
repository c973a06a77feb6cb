"""The updates of SGD and Adam in place, as functions of arrays and numbers; `nn/optim.py` has the formulas.

Each goes through its arrays part by part, as `blocks` splits them, and computes in arrays that it is given: `scratch`
has the shape of its part.
"""

import math
from collections.abc import Iterable
from typing import Any

from tinygrad_sm.backend import Array, array_module
from tinygrad_sm.fast.kernels import adam_step


def sgd_update(
    parts: Iterable[tuple[Array, ...]], lr: float, momentum: float, weight_decay: float, nesterov: bool
) -> None:
    """Change each θ, and v where there is a momentum. parts : (θ, g, v, scratch)."""
    for theta, g, v, scratch in parts:
        xp = array_module(theta)
        if weight_decay:
            g = xp.add(xp.multiply(theta, weight_decay, out=scratch), g, out=scratch)
        if momentum:
            v *= momentum
            v += g
            if nesterov:
                theta -= xp.multiply(g, lr, out=scratch)
                theta -= xp.multiply(v, lr * momentum, out=scratch)
            else:
                theta -= xp.multiply(v, lr, out=scratch)
        else:
            theta -= xp.multiply(g, lr, out=scratch)


def adam_update(
    parts: Iterable[tuple[Any, ...]],
    t: int,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    is_decoupled: bool,
) -> None:
    """Update each θ, m and v at step t. parts : (θ, g, m, v, scratch, decayed_g); without scratch a kernel computes.

    decayed_g : the array for g plus its weight decay, None where g has none.
    """
    (beta1, beta2), shrink = betas, 1.0
    if is_decoupled:
        shrink, weight_decay = 1 - lr * weight_decay, 0.0
    root, rate = math.sqrt(1 - beta2**t), lr / (1 - beta1**t)
    for theta, g, m, v, scratch, decayed_g in parts:
        if scratch is None:  # on a GPU, where a kernel computes in registers
            adam_step(g, shrink, weight_decay, beta1, 1 - beta1, beta2, 1 - beta2, root, eps, rate, theta, m, v)
            continue
        xp, dtype = array_module(theta), m.dtype
        if shrink != 1:
            xp.multiply(theta, shrink, out=theta, dtype=dtype)
        if weight_decay:
            g = xp.add(xp.multiply(theta, weight_decay, out=decayed_g, dtype=dtype), g, out=decayed_g)
        m *= beta1
        m += xp.multiply(g, 1 - beta1, out=scratch, dtype=dtype)
        v *= beta2
        v += xp.multiply(xp.multiply(g, g, out=scratch, dtype=dtype), 1 - beta2, out=scratch)
        denominator = xp.sqrt(v, out=scratch)  # m / (√v / root + eps) = root · m / (√v + root · eps): one pass less
        denominator += root * eps
        change = xp.divide(m, denominator, out=scratch)
        change *= rate * root
        theta -= change
