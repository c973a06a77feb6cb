"""The steps of SGD and Adam in place: what is only fast of them.

Each call of NumPy goes through its arrays once, and where they are larger than the caches, that is through main memory,
which is slower than the arithmetic: so all calls are made for one block, and then for the next. After the first step,
steps allocate no arrays; what they compute in is as large as the parameter, but of large ones, from 2¹⁸ elements on, no
more than a block or two of so many. On a GPU one kernel does all of it.
"""

import math
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from tinygrad_sm.backend import Array, HostArray, array_module
from tinygrad_sm.dispatch import faster
from tinygrad_sm.fast.blocks import BLOCK, blocks
from tinygrad_sm.fast.kernels import adam_step, momentum_step
from tinygrad_sm.nn.groups import Slot
from tinygrad_sm.nn.optim import SGD, Adam, Optimizer

_prepared = Optimizer._prepared  # the plain form


def _scratch(slot: Slot, name: str, block: Array) -> Array:
    """Return an array like the block to compute in, the same in every step, and for all blocks of its shape."""
    key = name, block.shape, block.dtype
    room = slot.scratch.get(key)
    if room is None:
        room = slot.scratch[key] = array_module(block).empty_like(block)
    return room


def _sgd_in_place(optimizer: Any, slot: Slot) -> Callable[[], None]:
    """Return what does a step of SGD: at 10 million parameters it takes a third of the plain form's time."""
    data, grad, state, options = slot.parameter.data, slot.parameter.grad, slot.state, slot.group
    velocity = grad
    if options["momentum"]:
        state = state or optimizer._new_state(data)
        velocity = state["velocity"]
        if type(data) is not HostArray:
            return partial(_sgd_kernel, slot, state, data, grad)
    if data.size <= BLOCK:
        return partial(_sgd_blocks, slot, state, ((data, grad, velocity, _scratch(slot, "change", data)),))
    parts = [(*part, _scratch(slot, "change", part[0])) for part in blocks(data, grad, velocity)]
    return partial(_sgd_blocks, slot, state, parts)


def _sgd_kernel(slot: Slot, state: dict[str, Any], data: Array, grad: Array) -> None:
    options, slot.state = slot.group, state
    constants = options["lr"], options["momentum"], options["weight_decay"], options["nesterov"]
    momentum_step(grad, *constants, data, state["velocity"])


def _sgd_blocks(slot: Slot, state: dict[str, Any], parts: Iterable[tuple[Array, ...]]) -> None:
    options, slot.state = slot.group, state
    lr, momentum, weight_decay = options["lr"], options["momentum"], options["weight_decay"]
    for theta, g, v, scratch in parts:
        xp = array_module(theta)
        if weight_decay:
            g = xp.add(xp.multiply(theta, weight_decay, out=scratch), g, out=scratch)
        if momentum:
            v *= momentum
            v += g
            if options["nesterov"]:
                theta -= xp.multiply(g, lr, out=scratch)
                theta -= xp.multiply(v, lr * momentum, out=scratch)
            else:
                theta -= xp.multiply(v, lr, out=scratch)
        else:
            theta -= xp.multiply(g, lr, out=scratch)


def _adam_in_place(optimizer: Any, slot: Slot) -> Callable[[], None]:
    """Return what does a step of Adam or AdamW: at 10 million parameters it takes a fifth of the plain form's time."""
    data, grad = slot.parameter.data, slot.parameter.grad
    state = slot.state or optimizer._new_state(data)
    moments = state["mean"], state["mean_square"]
    if type(data) is not HostArray:
        return partial(_adam, optimizer, slot, state, [(data, grad, *moments, None)])
    parts = [(*part, _scratch(slot, "change", part[2])) for part in blocks(data, grad, *moments)]
    if slot.group["weight_decay"] and not optimizer._is_decoupled:
        parts = [(*part, _scratch(slot, "decayed", part[2])) for part in parts]
    return partial(_adam, optimizer, slot, state, parts)


def _adam(optimizer: Adam, slot: Slot, state: dict[str, Any], parts: list[tuple[Any, ...]]) -> None:
    group, slot.state = slot.group, state
    state["step"] += 1
    t, lr, eps = state["step"], group["lr"], group["eps"]
    (beta1, beta2), weight_decay, shrink = group["betas"], group["weight_decay"], 1.0
    if optimizer._is_decoupled:
        shrink, weight_decay = 1 - lr * weight_decay, 0.0
    root, rate = math.sqrt(1 - beta2**t), lr / (1 - beta1**t)
    for theta, g, m, v, scratch, *room in parts:
        if scratch is None:  # on a GPU, where a kernel computes in registers
            adam_step(g, shrink, weight_decay, beta1, 1 - beta1, beta2, 1 - beta2, root, eps, rate, theta, m, v)
            continue
        xp, dtype = array_module(theta), m.dtype
        if shrink != 1:
            xp.multiply(theta, shrink, out=theta, dtype=dtype)
        if weight_decay:
            decayed = xp.multiply(theta, weight_decay, out=room[0], dtype=dtype)
            decayed += g
            g = decayed
        m *= beta1
        m += xp.multiply(g, 1 - beta1, out=scratch, dtype=dtype)
        v *= beta2
        v += xp.multiply(xp.multiply(g, g, out=scratch, dtype=dtype), 1 - beta2, out=scratch)
        denominator = xp.sqrt(v, out=scratch)  # m / (√v / root + eps) = root · m / (√v + root · eps): one pass less
        denominator += root * eps
        change = xp.divide(m, denominator, out=scratch)
        change *= rate * root
        theta -= change


_IN_PLACE: dict[Any, Callable[[Any, Slot], Callable[[], None]]] = {
    SGD._update: _sgd_in_place,
    Adam._update: _adam_in_place,
}


@faster(Optimizer._prepared, within=1e-5)
def prepared_in_place(optimizer: Optimizer, slot: Slot) -> Callable[[], None]:
    """Return a function that changes a parameter and what is remembered of it in place.

    It knows SGD, Adam and AdamW, and what is made of them without another formula.
    """
    prepared = _IN_PLACE.get(type(optimizer)._update)
    return _prepared(optimizer, slot) if prepared is None else prepared(optimizer, slot)
