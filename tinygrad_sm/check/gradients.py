"""Gradients as functions, so that the next order can differentiate them like any other function.

The gradient of outputs f(x), weighted with g, is ∂⟨g, f(x)⟩/∂x: a function of x and of g. `orders` compares it with
numbers, `identities` with formulas.
"""

from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any

import numpy as np

from tinygrad_sm.arrays import described
from tinygrad_sm.tensors import Tensor
from tinygrad_sm.transforms import grad

Outputs = Callable[[list[Tensor], bool], Sequence[Any]]
"""A function to differentiate, of Tensors and of a flag: if it is a gradient, whether its own walk is recorded."""


def as_outputs(caller: str, out: Any) -> tuple[Any, ...]:
    """Return what f returned as a tuple; TypeError unless it is one Tensor or several, or arrays or numbers."""
    outputs = tuple(out) if isinstance(out, tuple | list) else (out,)
    for one in outputs:
        kind = getattr(getattr(one, "dtype", None), "kind", "f" if isinstance(one, Real) else "")
        if kind not in tuple("biufc"):
            raise TypeError(f"{caller}: expected f to return a Tensor, or several, got {described(one)}")
    if not outputs:
        raise TypeError(f"{caller}: expected f to return a Tensor, or several, got none")
    return outputs


def gradient_of(outputs: Outputs, count: int) -> Outputs:
    """Return the gradient of the outputs as a function: it takes their inputs, `count` of them, then a g per output.

    It returns one Tensor per input: zeros where no output depends on the input.
    """

    def gradient(tensors: list[Tensor], recorded: bool) -> Sequence[Any]:
        inputs, gs = tensors[:count], tensors[count:]
        # If the outputs are gradients, their walk must be recorded, because the walk below differentiates it.
        pairs = zip(outputs(inputs, True), gs, strict=True)
        tracked = [(out, g) for out, g in pairs if isinstance(out, Tensor) and out.requires_grad]
        found: Sequence[Tensor | None] = [None] * count
        if tracked:
            roots, given = zip(*tracked, strict=True)
            found = grad(roots, inputs, given, create_graph=recorded, allow_unused=True)
        return [Tensor(np.zeros(x.shape)) if g is None else g for x, g in zip(inputs, found, strict=True)]

    return gradient
