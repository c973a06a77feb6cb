"""Copies and pickles of Tensors: copy.copy(t), copy.deepcopy(t), pickle.dumps(t).

A leaf can be copied and pickled, with its gradient. The result of an operation cannot: its history leads to operands
that others use too, and a copy of all of them would train apart from the originals in silence. Only copy.copy, which
shares the array and the history, takes any Tensor. Hooks stay with the original, except in a copy by copy.copy.
"""

from typing import Any

from tinygrad_sm.backend import owned_copy
from tinygrad_sm.engine.tape import Traced
from tinygrad_sm.engine.versions import LEAVES_LOCK, share_memory
from tinygrad_sm.errors import GradientError


def shallow_copy(tensor: Any) -> Any:
    """Return another Tensor with the same array and the same history."""
    copied = object.__new__(type(tensor))
    copied.__setstate__(object.__getstate__(tensor))
    if tensor.node is None:
        copied.number = tensor.number
    share_memory(tensor, copied)  # it is on the same array
    return copied


def deep_copy(tensor: Any, memo: dict[int, Any]) -> Any:
    """Return a leaf with copies of the data and of the gradient; GradientError for the result of an operation."""
    _check_is_leaf(tensor, "copied", "copy")
    copied = object.__new__(type(tensor))
    with LEAVES_LOCK:  # no other thread changes it meanwhile
        Traced.__init__(copied, owned_copy(tensor.data), requires_grad=tensor.requires_grad)
        copied.grad = None if tensor.grad is None else owned_copy(tensor.grad)
    copied.name = tensor.name
    return copied


def pickled_state(tensor: Any) -> Any:
    """Return what pickle writes of a leaf; GradientError for the result of an operation."""
    _check_is_leaf(tensor, "pickled", "pickle")
    with LEAVES_LOCK:  # pickle writes the data later, without the lock
        state: Any = object.__getstate__(tensor)
        attributes, slots = state
        return attributes, {**slots, "data": owned_copy(tensor.data), "hooks": ()}


def _check_is_leaf(tensor: Any, done: str, do: str) -> None:
    if tensor.node is not None:
        raise GradientError(f"only leaves can be {done}, and {tensor.node.op.name} made this: {do} its .detach()")
