"""What `.backward()` does before and after a walk: it chooses the first gradient, and adds the results to `.grad`.

    loss.backward()         # w.grad is None before, and ∂loss/∂w afterwards
    next_loss.backward()    # adds to w.grad; optimizer.zero_grad() would have set it to None first

All checks run before any `.grad` changes.
"""

from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from itertools import chain, repeat
from operator import attrgetter, iadd, is_
from typing import Any

from numpy import errstate

from tinygrad_sm.arrays import as_array, described
from tinygrad_sm.backend import Array, array_module, check_same_device, device_of, is_writable, owned_copy
from tinygrad_sm.dispatch import replaceable
from tinygrad_sm.engine.tape import Traced, count_uses, data_of, gradients
from tinygrad_sm.engine.versions import LEAVES_LOCK, write_all
from tinygrad_sm.errors import GradientError

sum_over_processes: Callable[..., tuple[dict[Traced, Any], dict[Traced, Array]]] | None = None
"""Walks in a group of processes: takes the roots, their uses and the walk; returns what only this process adds to
`.grad`s, and the sums over all processes, in arrays that nobody else has. `parallel` sets it."""


def seed_gradient(root: Traced, g: Any, caller: str = "backward()") -> Array:
    """Return g, the gradient that a walk from the root starts with, as an array of the root's shape and dtype."""
    data = root.data
    if not root.requires_grad:
        raise GradientError(
            "nothing to differentiate: this Tensor requires no gradient. Nothing that it was computed from has "
            "requires_grad=True, or it was computed under no_grad() or from plain arrays (.data, .numpy(), .detach())"
        )
    if g is not None or data.size != 1:
        return _given_gradient(data, g, caller)
    if device_of(data) != "cpu":
        check_same_device(caller, [data])  # else the first gradient would be made on the current GPU
    return first_gradient(root)


@replaceable
def first_gradient(root: Traced) -> Array:
    """Return the gradient of one element with respect to itself, 1."""
    return array_module(root.data).ones_like(root.data)


def _given_gradient(data: Array, g: Any, caller: str) -> Array:
    if g is None:
        raise ValueError(
            f"{caller} needs a scalar, got shape {data.shape}: reduce it with .sum() or .mean(), or pass the gradient "
            "of the loss with respect to it, of that shape"
        )
    g = as_array(data_of(g), data.dtype)
    if g.shape != data.shape:
        raise ValueError(f"{caller} needs a gradient of the Tensor's own shape {data.shape}, got shape {g.shape}")
    check_same_device(caller, [data, g])
    return g


def backward(root: Traced, gradient: Any = None, retain_graph: bool = False, inputs: Any = None) -> None:
    """Add the gradient of this Tensor to the `.grad` of every leaf it was computed from that requires one.

    gradient : the gradient of the loss with respect to this Tensor, of its shape; a scalar needs none.
    retain_graph : keep the graph for a second backward().
    inputs : one Tensor or several, leaves or not, to whose `.grad` alone it is added, if this Tensor depends on them.

    Raises ValueError if a gradient is missing or has a wrong shape, and GradientError if there is nothing to
    differentiate, or if the graph was freed or is stale. In each case, every `.grad` stays as it was.
    """
    roots: dict[Traced, Any] = {root: seed_gradient(root, gradient)}
    wanted = frozenset() if inputs is None else _wanted(inputs)
    uses = count_uses(roots, wanted or None)
    for value in [value for value in wanted or uses if value.grad is not None]:
        check_grad("backward()", value, writes=True, same_dtype=True)
    walk = partial(gradients, roots, uses, wanted, retain_graph=retain_graph)
    found, sums = (walk(), {}) if sum_over_processes is None else sum_over_processes(roots, uses, walk)
    _accumulate_into_grad({x: found[x] for x in wanted if x in found} if wanted else found, sums)


def _wanted(inputs: Any) -> frozenset[Traced]:
    """Return the Tensors to whose `.grad` alone a walk adds, as a set."""
    inputs = (inputs,) if hasattr(inputs, "shape") else tuple(inputs)
    if not inputs:
        raise ValueError("backward(): expected inputs to be one Tensor or several, got none")
    check_inputs("backward()", inputs)
    return frozenset(inputs)


def check_inputs(caller: str, inputs: Iterable[Any]) -> None:
    """Raise TypeError unless all inputs are Tensors, GradientError unless they require a gradient."""
    for i, x in enumerate(inputs):
        if not isinstance(x, Traced):
            raise TypeError(f"{caller}: expected a Tensor as input, got {described(x)}")
        if not x.requires_grad:
            raise GradientError(f"{caller}: input {i} does not require a gradient: make it with requires_grad=True")


def _accumulate_into_grad(found: dict[Traced, Any], owned: dict[Traced, Array]) -> None:
    """Add gradients to `.grad`s, in copies unless they are owned; all that can fail comes before the first write."""
    with LEAVES_LOCK:
        for value in [value for value in (*found, *owned) if value.grad is not None]:
            check_grad("backward()", value, writes=True, same_dtype=True)  # again: a hook may have set it
        owned |= {value: owned_gradient(found, value) for value in list(found)}
        while not add_all_or_none(owned):
            pass  # a signal handler has changed a .grad since, and it counts


@replaceable
def add_all_or_none(owned: dict[Traced, Array]) -> bool:
    """Add all gradients to the `.grad`s at once, or none and return False if one has changed meanwhile."""
    same = map(is_, map(attrgetter("grad"), owned), [v.grad for v in owned])  # evaluated just before the writes
    writes = [(setattr, v, "grad", g) if v.grad is None else (iadd, v.grad, g) for v, g in owned.items()]
    with suppress(KeyError), errstate(all="ignore"):  # KeyError: from False. np.errstate(all="raise") stops half-way
        write_all(chain(zip(repeat({True: None}.__getitem__), same), writes))
        return True
    return False


@replaceable
def owned_gradient(found: dict[Traced, Any], value: Traced) -> Array:
    """Remove the gradient of a value from `found`, and return it as an array that shares memory with nothing else."""
    return owned_copy(found.pop(value))


def check_grad(caller: str, value: Traced, writes: bool = False, same_dtype: bool = False) -> None:
    """Raise ValueError unless `.grad` is an array like the data, so that the caller does not fail half-way.

    writes : whether the caller writes into it.  same_dtype : whether only the data's dtype will do, not any real one.
    """
    grad: Any = value.grad
    data = value.data
    is_like = type(grad) is type(data) and grad.shape == data.shape
    if not (is_like and (grad.dtype == data.dtype if same_dtype else grad.dtype.kind != "c")):
        raise ValueError(
            f"{caller}: expected the grad of {value.name or 'a parameter'} to be an array like {described(data)}, "
            f"got {described(grad)}"
        )
    if writes and not is_writable(grad):
        raise ValueError(f"{caller}: the grad of {value.name or 'a parameter'} is read-only: give a copy")
