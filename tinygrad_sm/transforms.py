"""Functions that differentiate: gradients as values that can be computed with, instead of `.grad` left in leaves.

>>> from tinygrad_sm import Tensor
>>> x = Tensor(2.0, requires_grad=True)
>>> (slope,) = grad(x**3, x, create_graph=True)  # 3x² = 12
>>> (curvature,) = grad(slope, x)  # 6x = 12
>>> slope.item(), curvature.item()
(12.0, 12.0)
"""

from collections.abc import Iterable
from contextlib import nullcontext
from typing import Any

from tinygrad_sm.backend import described, owned_copy
from tinygrad_sm.errors import GradientError
from tinygrad_sm.mode import enable_grad
from tinygrad_sm.tape import Traced, check_gradient, count_uses, gradients
from tinygrad_sm.tensor import Tensor


def grad(
    outputs: Tensor | Iterable[Tensor],
    inputs: Tensor | Iterable[Tensor],
    grad_outputs: Any = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Tensor | None, ...]:
    """Return Σ ∂⟨g, output⟩/∂input for each input; no `.grad` is touched.

    outputs : one Tensor or several; inputs : one or several that require a gradient, leaves or not.
    grad_outputs : g, one for each output, of its shape; None stands for 1, where the output has one element.
    create_graph : record the walk itself, so that the result can be differentiated again; the graph then stays.
    allow_unused : give None for an input that the outputs do not depend on, which is a GradientError otherwise.
    """
    outputs, inputs = _as_tuple("output", outputs), _as_tuple("input", inputs)
    if grad_outputs is None:
        grad_outputs = (None,) * len(outputs)
    elif not isinstance(grad_outputs, tuple | list):
        grad_outputs = (grad_outputs,)
    roots: dict[Traced, Any] = {}
    if len(grad_outputs) != len(outputs):
        raise ValueError(
            f"grad: expected one of grad_outputs for each of {len(outputs)} outputs, got {len(grad_outputs)}"
        )
    for output, g in zip(outputs, grad_outputs, strict=True):
        array = check_gradient(output, g, "grad()")
        if create_graph:
            array = g.astype(output.dtype) if isinstance(g, Tensor) else Tensor(array)
        roots[output] = array if output not in roots else roots[output] + array
    wanted = frozenset(inputs)
    uses = count_uses(roots, wanted)
    for i, x in enumerate(inputs):
        if not x.requires_grad:
            raise GradientError(f"grad: input {i} does not require a gradient: make it with requires_grad=True")
        if x not in uses and not allow_unused:
            raise GradientError(f"grad: the outputs do not depend on input {i}; pass allow_unused=True to get None")
    with enable_grad() if create_graph else nullcontext():
        found = gradients(roots, uses, wanted, create_graph=create_graph)
    return tuple(_as_tensor(found.get(x)) for x in inputs)


def _as_tuple(role: str, tensors: Any) -> tuple[Tensor, ...]:
    """Return one Tensor, or several in any iterable, as a tuple."""
    tensors = (tensors,) if hasattr(tensors, "shape") else tuple(tensors)
    for x in tensors:
        if not isinstance(x, Tensor):
            raise TypeError(f"grad: expected a Tensor as {role}, got {described(x)}")
    return tensors


def _as_tensor(g: Any) -> Tensor | None:
    return g if g is None or isinstance(g, Tensor) else Tensor(owned_copy(g))
