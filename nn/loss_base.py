"""What all losses share: the base of their Modules, operands on one device, weights, and the reduction."""

from typing import TYPE_CHECKING, Any, overload

from tinygrad_sm import shares
from tinygrad_sm.arrays import described
from tinygrad_sm.backend import Array, check_same_device
from tinygrad_sm.engine.primitive import as_operand
from tinygrad_sm.engine.tape import Traced, data_of
from tinygrad_sm.nn.calls import HasForward, P, R
from tinygrad_sm.nn.module import Module
from tinygrad_sm.ops.elementwise import where
from tinygrad_sm.ops.reductions import sum
from tinygrad_sm.precision import as_precise_as, broadcasts_to, wide
from tinygrad_sm.targets import REDUCTIONS, check_reduction, check_same_shape
from tinygrad_sm.tensors import Tensor


class Loss(Module):
    """The base of the losses as Modules: it keeps the reduction."""

    _reductions: tuple[str, ...] = REDUCTIONS

    def __init__(self, reduction: str = "mean"):
        check_reduction(type(self).__name__, reduction, self._reductions)
        self.reduction = reduction

    if TYPE_CHECKING:  # a Tensor for a Tensor

        @overload
        def __call__(self, x: Tensor, target: Any, /) -> Tensor: ...
        @overload
        def __call__(self: HasForward[P, R], *inputs: P.args, **options: P.kwargs) -> R: ...
        def __call__(self, *inputs: Any, **options: Any) -> Any: ...


def operands(name: str, x: Any, target: Any) -> tuple[Any, Any]:
    """Return x and the target as operands; DeviceError unless both are on the host or both on GPUs."""
    x = as_operand(x)
    target = as_operand(target, beside=x)
    check_both_on_host_or_gpu(name, x, target)
    return x, target


def check_both_on_host_or_gpu(name: str, x: Any, other: Any) -> None:
    """Raise DeviceError unless both are on the host or both on GPUs; the operations check which GPU."""
    if type(data_of(x)) is not type(data_of(other)):
        check_same_device(name, [data_of(x), data_of(other)])


def operands_of_one_shape(
    loss: str, x: Any, target: Any, reduction: str, reductions: tuple[str, ...] = REDUCTIONS
) -> tuple[Any, Any]:
    """Return x and the target as floats; a target of integers or bools takes the dtype of x, and does not widen it."""
    check_reduction(loss, reduction, reductions)
    x, target = operands(loss, x, target)
    check_same_shape(loss, x, target)
    x = wide(x)
    return x, wide(target) if target.dtype.kind == "f" else target.astype(x.dtype)


def checked_weights(
    loss: str, name: str, value: Any, beside: Any, shape: tuple[int, ...], may_broadcast: bool = False
) -> Array:
    """Return weights as an array of the dtype of `beside`; raise unless they have the shape, or may broadcast to it."""
    if isinstance(value, Traced) and value.requires_grad:
        raise TypeError(f"{loss} has no gradient with respect to {name}: pass {name}.detach()")
    value = as_operand(data_of(value), beside=beside)
    check_both_on_host_or_gpu(loss, beside, value)
    if not (value.shape == shape or (may_broadcast and broadcasts_to(value.shape, shape))):
        expected = f"{shape}, or one that broadcasts to it" if may_broadcast else f"{shape}, a number for each class"
        raise ValueError(f"{loss}: expected {name} of shape {expected}; got {described(value)}")
    return value.astype(beside.dtype)


def reduced(losses: Any, reduction: str, divisor: Any, given: Any) -> Any:
    """Return the losses, their sum or their mean, in half precision if `given` is; a mean with the divisor 0 is 0."""
    if reduction == "sum":
        losses = sum(losses)
    elif reduction == "mean":
        losses = sum(losses) / (divisor + (divisor == 0))
        if not isinstance(divisor, int):  # a sum of weights may be 0
            losses = where(divisor == 0, 0, losses)
    return noted(as_precise_as(given, losses), reduction, divisor, given)


def noted(loss: Any, reduction: str, divisor: Any, given: Any) -> Any:
    """Return a loss, and note what it was divided by, if several processes train and a walk may come to it.

    A loss of a parameter itself is of no rows, and gets no note: all processes have the same.
    """
    if shares.current is None or reduction == "none" or not isinstance(loss, Traced) or loss.node is None:
        return loss
    if id(given) not in shares.summed:
        weight = divisor if reduction == "mean" else 1
        shares.notes[loss.node] = shares.Note(weight if shares.current.own_rows() else 0, reduction == "mean")
    return loss
