"""Optimizers: they change parameters in place, following the gradients that backward() left in `.grad`.

    optimizer = Adam(model.parameters(), lr=0.001)
    for x, labels in loader:
        optimizer.zero_grad()
        cross_entropy(model(x), labels).backward()
        optimizer.step()

The formulas, the names of the options and their defaults are PyTorch's. In them θ is a parameter and g its gradient.
What SGD remembers has the dtype of the parameter; so has what Adam does, but for half precision (see there).
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from tinygrad_sm.backend import Array, HostArray, array_module
from tinygrad_sm.blocks import blocks
from tinygrad_sm.kernels import adam_step, momentum_step
from tinygrad_sm.nn.optimizer import Optimizer, Slot, number_at_least_0, numbers_at_least_0

__all__ = ["SGD", "Adam", "AdamW", "Optimizer"]


class SGD(Optimizer):
    """Stochastic gradient descent with momentum, Nesterov's or the classical, and weight decay (L2).

    With v the velocity, 0 at first:

        g ← g + weight_decay · θ
        v ← momentum · v + g
        θ ← θ − lr · v                      classical momentum; without momentum, v is g
        θ ← θ − lr · (g + momentum · v)     with nesterov

    These are PyTorch's formulas: v takes g undamped, and lr scales v when it is used.

    >>> from tinygrad_sm.creation import Parameter
    >>> w = Parameter([1.0])
    >>> optimizer = SGD([w], lr=0.25)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.data
    array([0.5], dtype=float32)
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.001,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ):
        super().__init__(params, lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay)

    def _checked(self, options: Mapping[str, Any]) -> dict[str, Any]:
        checked = numbers_at_least_0(type(self).__name__, options, "lr", "momentum", "weight_decay")
        if options["nesterov"] and checked["momentum"] == 0:
            raise ValueError("SGD: nesterov needs a momentum above 0, such as momentum=0.9")
        return {**checked, "nesterov": bool(options["nesterov"])}

    def _new_state(self, data: Array) -> dict[str, Any]:
        return {"velocity": array_module(data).zeros_like(data)}

    def _prepare(self, slot: Slot) -> tuple[dict[str, Any], list[tuple[Array, ...]]]:
        data, grad, state = slot.parameter.data, slot.parameter.grad, slot.state
        velocity = grad
        if slot.group["momentum"]:
            state = state or self._new_state(data)
            velocity = state["velocity"]
            if type(data) is not HostArray:  # a kernel computes in registers
                return state, [(data, grad, velocity, None)]
        return state, [(*part, slot.scratch("change", part[0])) for part in blocks(data, grad, velocity)]

    def _update(self, slot: Slot, parts: list[tuple[Array, ...]]) -> None:
        options = slot.group
        lr, momentum, weight_decay = options["lr"], options["momentum"], options["weight_decay"]
        for theta, g, v, scratch in parts:
            if momentum and type(theta) is not HostArray:
                momentum_step(g, lr, momentum, weight_decay, options["nesterov"], theta, v)
                continue
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


class Adam(Optimizer):
    """Adam: steps of about lr in every coordinate, however large its gradients are, with weight decay (L2) in g.

    With m and v the running means of g and g², 0 at first, and t the number of the step, 1 at first:

        g ← g + weight_decay · θ
        m ← β₁ m + (1 − β₁) g
        v ← β₂ v + (1 − β₂) g²
        θ ← θ − lr · m̂ / (√v̂ + eps)        m̂ = m / (1 − β₁ᵗ), v̂ = v / (1 − β₂ᵗ)

    m̂ and v̂ undo that m and v began at 0. `betas` are β₁ and β₂. t counts the steps of each parameter by itself.
    "Adam: A Method for Stochastic Optimization" (Kingma and Ba, 2015), algorithm 1.

    With parameters of float16, m, v and the change are computed in float32, and only θ is rounded to float16. There
    eps = 1e−8 would be 0, and so would the g² of a g below 2⁻¹²: where g is 0, θ would become NaN, as in PyTorch.

    >>> from tinygrad_sm.creation import Parameter
    >>> w = Parameter([1.0, 1.0])
    >>> optimizer = Adam([w], lr=0.25)
    >>> (w * [0.001, 1000.0]).sum().backward()
    >>> optimizer.step()
    >>> w.data.round(3)
    array([0.75, 0.75], dtype=float32)
    """

    _is_decoupled = False  # whether weight decay shrinks θ itself and is no part of g

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.001,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ):
        super().__init__(params, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay)

    def _checked(self, options: Mapping[str, Any]) -> dict[str, Any]:
        checked = numbers_at_least_0(type(self).__name__, options, "lr", "eps", "weight_decay")
        betas = options["betas"]
        if not (isinstance(betas, list | tuple) and len(betas) == 2):
            raise TypeError(f"{type(self).__name__}: expected betas as two numbers, got {betas!r}")
        betas = [number_at_least_0(f"{type(self).__name__}: expected each of betas", beta) for beta in betas]
        if not max(betas) < 1:
            raise ValueError(f"{type(self).__name__}: expected betas below 1, got {betas!r}")
        return {**checked, "betas": betas}

    def _new_state(self, data: Array) -> dict[str, Any]:
        zeros_like, dtype = array_module(data).zeros_like, _precise(data)
        return {"step": 0, "mean": zeros_like(data, dtype=dtype), "mean_square": zeros_like(data, dtype=dtype)}

    def _prepare(self, slot: Slot) -> tuple[dict[str, Any], list[tuple[Array, ...]]]:
        data, grad = slot.parameter.data, slot.parameter.grad
        state = slot.state or self._new_state(data)
        moments = state["mean"], state["mean_square"]
        if type(data) is not HostArray:  # a kernel computes in registers
            return state, [(data, grad, *moments, None)]
        parts = [(*part, slot.scratch("change", part[2])) for part in blocks(data, grad, *moments)]
        if slot.group["weight_decay"] and not self._is_decoupled:
            parts = [(*part, slot.scratch("decayed", part[2])) for part in parts]
        return state, parts

    def _update(self, slot: Slot, parts: list[tuple[Array, ...]]) -> None:
        slot.state["step"] += 1
        t, group = slot.state["step"], slot.group
        lr, eps, (beta1, beta2), weight_decay = group["lr"], group["eps"], group["betas"], group["weight_decay"]
        shrink = 1.0
        if self._is_decoupled:
            shrink, weight_decay = 1 - lr * weight_decay, 0.0
        root, rate = math.sqrt(1 - beta2**t), lr / (1 - beta1**t)
        for theta, g, m, v, scratch, *room in parts:
            if type(theta) is not HostArray:
                constants = shrink, weight_decay, beta1, 1 - beta1, beta2, 1 - beta2, root, eps, rate
                adam_step(g, *constants, theta, m, v)
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


class AdamW(Adam):
    """Adam with decoupled weight decay: it shrinks θ itself, and so is not scaled by √v̂ as in g.

        θ ← θ − lr · weight_decay · θ

    and then Adam's formulas without their first. "Decoupled Weight Decay Regularization" (Loshchilov and Hutter, 2019),
    where the decay has no factor lr; PyTorch has it, and so has this.

    >>> from tinygrad_sm.creation import Parameter
    >>> w = Parameter([1.0])
    >>> w.grad = w.data * 0
    >>> AdamW([w], lr=0.5, weight_decay=0.5).step()
    >>> w.data
    array([0.75], dtype=float32)
    """

    _is_decoupled = True

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.001,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.01,
    ):
        super().__init__(params, lr, betas, eps, weight_decay)


def _precise(data: Array) -> Any:
    """Return the dtype in which Adam computes: float32 for half precision, else that of the parameter."""
    return array_module(data).promote_types(data.dtype, "float32")
