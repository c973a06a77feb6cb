"""Optimizers: they change parameters in place, following the gradients that backward() left in `.grad`."""

import math
from collections.abc import Iterable
from typing import Any

from tinygrad_sm.backend import ARRAY_TYPES, array_module, described
from tinygrad_sm.memory import mark_changed
from tinygrad_sm.tensor import Tensor


class SGD:
    """Stochastic gradient descent with momentum, Nesterov's or the classical, and weight decay (L2).

    With θ a parameter, g its gradient, v its velocity, 0 at first:

        g ← g + weight_decay · θ
        v ← momentum · v + g
        θ ← θ − lr · v                      classical momentum; without momentum, v is g
        θ ← θ − lr · (g + momentum · v)     with nesterov

    These are PyTorch's formulas (v takes g undamped, and lr scales v when it is used). After the first step nothing is
    allocated. A parameter whose `.grad` is None is left alone. `lr` may be set between steps.

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
        params: Iterable[Tensor],
        lr: float,
        momentum: float = 0.0,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ):
        for name, value in (("lr", lr), ("momentum", momentum), ("weight_decay", weight_decay)):
            if not (value >= 0 and math.isfinite(value)):
                raise ValueError(f"SGD: expected {name} of at least 0, got {value}")
        if nesterov and momentum == 0:
            raise ValueError("SGD: nesterov needs a momentum above 0, such as momentum=0.9")
        self.params = _checked(params)
        self.lr = lr
        self.momentum = momentum
        self.nesterov = nesterov
        self.weight_decay = weight_decay
        self._velocities: dict[int, Any] = {}
        self._scratch: dict[int, Any] = {}

    def zero_grad(self) -> None:
        """Forget the gradients: set `.grad` of every parameter to None."""
        for parameter in self.params:
            parameter.grad = None

    def step(self) -> None:
        """Change every parameter that has a gradient by the formulas above."""
        lr, momentum, weight_decay = float(self.lr), float(self.momentum), float(self.weight_decay)
        for parameter in self.params:
            _check_grad(parameter)
        for i, parameter in enumerate(self.params):
            if parameter.grad is None:
                continue
            data, g = parameter.data, parameter.grad
            xp = array_module(data)
            if i not in self._scratch:
                self._scratch[i] = xp.empty_like(data)
            scratch = self._scratch[i]
            if weight_decay:
                g = xp.add(xp.multiply(data, weight_decay, out=scratch), g, out=scratch)
            if momentum:
                if i not in self._velocities:
                    self._velocities[i] = xp.zeros_like(data)
                v = self._velocities[i]
                v *= momentum
                v += g
                if self.nesterov:
                    data -= xp.multiply(g, lr, out=scratch)
                    data -= xp.multiply(v, lr * momentum, out=scratch)
                else:
                    data -= xp.multiply(v, lr, out=scratch)
            else:
                data -= xp.multiply(g, lr, out=scratch)
            mark_changed(parameter)


def _check_grad(parameter: Tensor) -> None:
    """Raise unless `.grad` is None or an array like the data, as backward() leaves it: no step stops half-way."""
    grad = parameter.grad
    if grad is not None and not (type(grad) in ARRAY_TYPES and grad.shape == parameter.shape):
        name = parameter.name or "a parameter"
        raise ValueError(
            f"step: expected the grad of {name} to be an array of {parameter.shape}, got {described(grad)}"
        )


def _checked(parameters: Iterable[Tensor]) -> list[Tensor]:
    """Return the parameters as a list, if they are what an optimizer can change."""
    if isinstance(parameters, Tensor):
        raise TypeError("expected an iterable of parameters, got one Tensor: put it in a list")
    parameters = list(parameters)
    if not parameters:
        raise ValueError("expected parameters, got none: is the model without any, or the iterator used up?")
    for i, parameter in enumerate(parameters):
        if not isinstance(parameter, Tensor):
            raise TypeError(f"expected Tensors, got {type(parameter).__name__} in place {i}")
        if parameter.node is not None or not parameter.requires_grad:
            raise ValueError(
                f"parameter {i}, {described(parameter)}, is no leaf that requires a gradient: give model.parameters()"
            )
        if not parameter.data.flags.writeable:
            raise ValueError(f"parameter {i} has a read-only array, which cannot be changed in place: give it a copy")
    if len({id(parameter) for parameter in parameters}) < len(parameters):
        raise ValueError("a parameter is given twice: it would be changed twice in each step")
    return parameters
