"""The updates of SGD and Adam in place, as functions of arrays and numbers; `nn/optim.py` has the formulas.

Each goes through its arrays part by part, as `blocks` splits them, and computes in arrays that it is given: `scratch`
has the shape of its part. It returns the writes, (function, *arguments), the last of which is where the result goes.
`write_all` then does those of all parameters at once.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any

from tinygrad_sm.backend import Array, array_module
from tinygrad_sm.fast.kernels import adam_step

Write = tuple[Any, ...]


def sgd_update(
    parts: Iterable[tuple[Array, ...]], lr: float, momentum: float, weight_decay: float, nesterov: bool
) -> list[Write]:
    """Return the writes that change each θ, and v where there is a momentum. parts : (θ, g, v, scratch)."""
    writes: list[Write] = []
    for theta, g, v, scratch in parts:
        xp = array_module(theta)
        add, multiply, subtraction = xp.add, xp.multiply, (xp.subtract, theta, scratch, theta)
        if weight_decay:
            writes += (multiply, theta, weight_decay, scratch), (add, scratch, g, scratch)
            g = scratch
        if not momentum:
            writes += (multiply, g, lr, scratch), subtraction
        elif not nesterov:
            writes += (multiply, v, momentum, v), (add, v, g, v), (multiply, v, lr, scratch), subtraction
        else:
            writes += (multiply, v, momentum, v), (add, v, g, v), (multiply, g, lr, scratch), subtraction
            writes += (multiply, v, lr * momentum, scratch), subtraction
    return writes


def adam_update(
    parts: Iterable[tuple[Any, ...]],
    t: int,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
    is_decoupled: bool,
) -> list[Write]:
    """Return the writes for each θ, m and v at step t.

    parts : (θ, g, m, v, scratch, decayed_g); without scratch a kernel computes.
    decayed_g : the array for g plus its weight decay, None where g has none.
    """
    (beta1, beta2), shrink = betas, 1.0
    if is_decoupled:
        shrink, weight_decay = 1 - lr * weight_decay, 0.0
    root, rate = (1 - beta2**t) ** 0.5, lr / (1 - beta1**t)
    writes: list[Write] = []
    for theta, g, m, v, scratch, decayed_g in parts:
        if scratch is None:  # on a GPU, where a kernel computes in registers
            constants = shrink, weight_decay, beta1, 1 - beta1, beta2, 1 - beta2, root, eps, rate
            writes.append((adam_step.of(array_module(theta)), g, *constants, theta, m, v))
            continue
        xp = array_module(theta)
        add, multiply = xp.add, xp.multiply
        # Where θ and g are in half precision, m and v are not, and neither is the scratch.
        wide_multiply = multiply if theta.dtype == g.dtype == m.dtype else partial(multiply, dtype=m.dtype)
        if shrink != 1:
            writes.append((wide_multiply, theta, shrink, theta))
        if weight_decay:
            writes += (wide_multiply, theta, weight_decay, decayed_g), (add, decayed_g, g, decayed_g)
            g = decayed_g
        writes += (
            (multiply, m, beta1, m),
            (wide_multiply, g, 1 - beta1, scratch),
            (add, m, scratch, m),
            (multiply, v, beta2, v),
            (wide_multiply, g, g, scratch),
            (multiply, scratch, 1 - beta2, scratch),
            (add, v, scratch, v),
            (xp.sqrt, v, scratch),  # m / (√v / root + eps) = root · m / (√v + root · eps): one pass less
            (add, scratch, root * eps, scratch),
            (xp.divide, m, scratch, scratch),
            (multiply, scratch, rate * root, scratch),
            (xp.subtract, theta, scratch, theta),
        )
    return writes
