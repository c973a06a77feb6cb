"""Functions that differentiate: gradients as values that can be computed with, instead of `.grad` left in leaves.

>>> from tinygrad_sm import Tensor
>>> x = Tensor(2.0, requires_grad=True)
>>> (slope,) = grad(x**3, x, create_graph=True)  # 3x² = 12
>>> (curvature,) = grad(slope, x)  # 6x = 12
>>> slope.item(), curvature.item()
(12.0, 12.0)
"""

from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any

from tinygrad_sm.errors import GradientError
from tinygrad_sm.mode import enable_grad
from tinygrad_sm.tape import Traced, check_gradient, gradients
from tinygrad_sm.tensor import Tensor


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
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
    outputs = (outputs,) if isinstance(outputs, Tensor) else tuple(outputs)
    inputs = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    if grad_outputs is None:
        grad_outputs = (None,) * len(outputs)
    elif not isinstance(grad_outputs, tuple | list):
        grad_outputs = (grad_outputs,)
    roots: dict[Traced, Any] = {}
    for output, g in zip(outputs, grad_outputs, strict=True):
        array = check_gradient(output, g)
        if create_graph:
            array = g if isinstance(g, Tensor) else Tensor(array)
        roots[output] = array if output not in roots else roots[output] + array
    for i, x in enumerate(inputs):
        if not x.requires_grad:
            raise GradientError(f"grad: input {i} does not require a gradient: make it with requires_grad=True")
    with enable_grad() if create_graph else nullcontext():
        found = gradients(roots, frozenset(inputs), create_graph=create_graph)
    unused = [i for i, x in enumerate(inputs) if x not in found]
    if unused and not allow_unused:
        raise GradientError(
            f"grad: the outputs do not depend on input {unused[0]}; pass allow_unused=True to get None for it"
        )
    return tuple(_as_tensor(found.get(x)) for x in inputs)


def _as_tensor(g: Any) -> Tensor | None:
    return g if g is None or isinstance(g, Tensor) else Tensor(g)
