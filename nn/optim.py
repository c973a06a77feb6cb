"""Optimizers: they change parameters in place, following the gradients that backward() left in `.grad`.

    optimizer = Adam(model.parameters(), lr=0.001)
    for x, labels in loader:
        optimizer.zero_grad()
        cross_entropy(model(x), labels).backward()
        optimizer.step()

The formulas, the names of the options and their defaults are PyTorch's; θ is a parameter and g its gradient. State has
the dtype of its parameter, except Adam's for half precision (see there).
"""

from collections.abc import Iterable, Mapping
from itertools import chain
from operator import isub
from typing import TYPE_CHECKING, Any

from numpy import errstate

from tinygrad_sm import shares
from tinygrad_sm.advice import module_hooks
from tinygrad_sm.arguments import number
from tinygrad_sm.arrays import described
from tinygrad_sm.backend import Array, array_module, device_of, is_writable
from tinygrad_sm.dispatch import replaceable
from tinygrad_sm.engine.backward import check_grad
from tinygrad_sm.engine.versions import LEAVES_LOCK, change, write_all
from tinygrad_sm.nn.groups import Groups, Slot
from tinygrad_sm.nn.module import writes_of_zeros

__all__ = ["SGD", "Adam", "AdamW", "Optimizer"]

if not TYPE_CHECKING:  # for a type checker, a name that is missing is an error by itself
    __getattr__, __dir__ = module_hooks(__name__)


class Optimizer(Groups):
    """The base of all optimizers: parameters in groups, their state, and the step over them.

    params : parameters, which all get the constructor's options; or groups, dicts with "params" and the options that
        differ in a group: SGD([{"params": body, "lr": 0.01}, {"params": head}], lr=0.1).

    `param_groups` lists the groups, each with all of its options. Options may be set there between steps; the next step
    checks them before it changes anything. `add_param_group` adds a group; groups and parameters can neither be
    replaced nor removed. `lr` reads and sets the learning rate of all groups, and checks it at once. A step skips
    parameters that are frozen or whose `.grad` is None, and their state.

    A subclass defines the formulas in `_update`, the first state in `_new_state`, and legal options in `_checked`.
    """

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients: set `.grad` of every parameter to None; with False fill them, as Module.zero_grad."""
        write_all([(setattr, slot.parameter, "grad", None) for slot in self._slots] if set_to_none else self._zeros())

    def _zeros(self) -> list[tuple[Any, ...]]:
        return writes_of_zeros(slot.parameter for slot in self._slots)

    def step(self) -> None:
        """Change every parameter that has a gradient by the formulas of the class."""
        # Types come first: a value of another type may equal the old one, or may not be comparable with it.
        groups = [(*map(type, g.values()), id(g), id(g["params"]), *g.values()) for g in self.param_groups]
        if groups != self._checked_groups:
            self._check_groups()
            self._checked_groups = groups
        if shares.current is not None:
            shares.count_step((slot.parameter for slot in self._slots), self.param_groups)
        with LEAVES_LOCK:
            writes = {}  # all that can fail comes before any change: memory may run out
            for slot in self._slots:
                parameter, data = slot.parameter, slot.parameter.data
                if parameter.requires_grad and parameter.grad is not None:
                    check_grad("step", parameter)
                    if not is_writable(data):
                        raise ValueError(f"step: the array of {parameter.name or 'a parameter'} is read-only")
                    if device_of(data) != slot.device:
                        slot.move_state()
                    writes[parameter] = self._prepare_update(slot)
            with errstate(all="ignore"):  # np.errstate(all="raise") would stop half-way
                change(writes, write_all, chain.from_iterable(writes.values()))

    @replaceable
    def _prepare_update(self, slot: Slot) -> Iterable[tuple[Any, ...]]:
        """Return the writes, for `write_all`, that change a parameter and its state, and cannot fail."""
        change, state = self._update(slot.parameter.data, slot.parameter.grad, slot.state, slot.group)
        return (isub, slot.parameter.data, change), (setattr, slot, "state", state)

    def _update(self, theta: Array, g: Array, state: Any, options: Mapping[str, Any]) -> tuple[Array, Any]:
        """Return the decrease of θ, and its new state, as new arrays.

        state : the state so far, {} at the first step.  options : those of the group, checked.
        """
        raise NotImplementedError


class SGD(Optimizer):
    """Stochastic gradient descent with momentum, Nesterov's or the classical, and weight decay (L2).

    With v the velocity, 0 at first:

        g ← g + weight_decay · θ
        v ← momentum · v + g
        θ ← θ − lr · v                      classical momentum; without momentum, v is g
        θ ← θ − lr · (g + momentum · v)     with nesterov

    These are PyTorch's formulas: v takes g undamped, and lr scales v when it is used.

    >>> from tinygrad_sm.nn.module import Parameter
    >>> w = Parameter([1.0])
    >>> optimizer = SGD([w], lr=0.25)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w.data
    array([0.5], dtype=float32)
    >>> optimizer
    SGD (
    Parameter Group 0
        lr: 0.25
        momentum: 0.0
        weight_decay: 0.0
        nesterov: False
    )
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 0.001,
        momentum: float = 0.0,
        *,
        nesterov: bool = False,
        weight_decay: float = 0.0,
    ):
        super().__init__(params, lr=lr, momentum=momentum, nesterov=nesterov, weight_decay=weight_decay)

    def _checked(self, options: Mapping[str, Any]) -> dict[str, Any]:
        checked = self._at_least_0(options, "lr", "momentum", "weight_decay")
        if options["nesterov"] and checked["momentum"] == 0:
            raise ValueError("SGD: nesterov needs a momentum above 0, such as momentum=0.9")
        return {**checked, "nesterov": bool(options["nesterov"])}

    def _new_state(self, data: Array) -> dict[str, Any]:
        return {"velocity": array_module(data).zeros_like(data)}

    def _update(self, theta: Array, g: Array, state: Any, options: Mapping[str, Any]) -> tuple[Array, Any]:
        lr, momentum, weight_decay = options["lr"], options["momentum"], options["weight_decay"]
        if weight_decay:
            g = g + weight_decay * theta
        if not momentum:
            return lr * g, state
        v = (momentum * (state or self._new_state(theta))["velocity"] + g).astype(theta.dtype)
        return lr * (g + momentum * v if options["nesterov"] else v), {"velocity": v}


class Adam(Optimizer):
    """Adam: steps of about lr in every coordinate, however large its gradients are, with weight decay (L2) in g.

    With m and v the running means of g and g², 0 at first, and t the number of the step, 1 at first:

        g ← g + weight_decay · θ
        m ← β₁ m + (1 − β₁) g
        v ← β₂ v + (1 − β₂) g²
        θ ← θ − lr · m̂ / (√v̂ + eps)        m̂ = m / (1 − β₁ᵗ), v̂ = v / (1 − β₂ᵗ)

    m̂ and v̂ correct for m and v beginning at 0. `betas` are β₁ and β₂. t counts the steps of each parameter by itself.
    "Adam: A Method for Stochastic Optimization" (Kingma and Ba, 2015), algorithm 1.

    For float16 parameters m, v and the change are float32, and only θ is rounded to float16. In float16 eps = 1e−8
    would be 0, and so would g² for a g below 2⁻¹²: where g is 0, θ would become NaN, as in PyTorch.

    >>> from tinygrad_sm.nn.module import Parameter
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
        owner, betas = type(self).__name__, options["betas"]
        if not (isinstance(betas, list | tuple) and len(betas) == 2):
            raise TypeError(f"{owner}: expected betas to be two numbers, got {described(betas)}")
        betas = [number(owner, "each of betas", beta, smallest=0) for beta in betas]
        if not max(betas) < 1:
            raise ValueError(f"{owner}: expected betas below 1, got {betas}")
        return {**self._at_least_0(options, "lr", "eps", "weight_decay"), "betas": betas}

    def _new_state(self, data: Array) -> dict[str, Any]:
        zeros_like, dtype = array_module(data).zeros_like, _state_dtype(data)
        return {"step": 0, "mean": zeros_like(data, dtype=dtype), "mean_square": zeros_like(data, dtype=dtype)}

    def _update(self, theta: Array, g: Array, state: Any, options: Mapping[str, Any]) -> tuple[Array, Any]:
        lr, (beta1, beta2), eps, weight_decay = (options[name] for name in ("lr", "betas", "eps", "weight_decay"))
        state = state or self._new_state(theta)
        t, theta, g = state["step"] + 1, theta.astype(_state_dtype(theta)), g.astype(_state_dtype(theta))
        if weight_decay and not self._is_decoupled:
            g = g + weight_decay * theta
        m = beta1 * state["mean"] + (1 - beta1) * g
        v = beta2 * state["mean_square"] + (1 - beta2) * g * g
        m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)
        change = lr * m_hat / (array_module(v_hat).sqrt(v_hat) + eps)
        if weight_decay and self._is_decoupled:
            change += lr * weight_decay * theta
        return change, {"step": t, "mean": m, "mean_square": v}


class AdamW(Adam):
    """Adam with decoupled weight decay, which shrinks θ itself, so that √v̂ does not scale it.

        θ ← θ − lr · weight_decay · θ

    and then Adam's formulas without the first. "Decoupled Weight Decay Regularization" (Loshchilov and Hutter, 2019).
    There the decay has no factor lr; here it has, as in PyTorch.

    >>> from tinygrad_sm.nn.module import Parameter
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


def _state_dtype(data: Array) -> Any:
    """Return the dtype in which Adam computes: float32 for half precision, else that of the parameter."""
    return array_module(data).promote_types(data.dtype, "float32")
