"""Matrices of derivatives: `jacobian` and `hessian`, of one walk for each element of the output.

They are transforms, and their arguments are as `transforms.py` says.

>>> jacobian(lambda x: x**2, [1.0, 3.0]).tolist()
[[2.0, 0.0], [0.0, 6.0]]
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_sm.backend import Array, array_module
from tinygrad_sm.creation import zeros, zeros_like
from tinygrad_sm.engine.mode import enable_grad
from tinygrad_sm.engine.tape import Traced, count_uses
from tinygrad_sm.ops.composed import stack
from tinygrad_sm.structures import with_leaves
from tinygrad_sm.tensors import Tensor
from tinygrad_sm.transforms import Call, Function, walk


def jacobian(f: Function, inputs: Any, create_graph: bool | None = None, batched: bool = False) -> Any:
    """Return ∂output/∂input, of shape output.shape + input.shape; of tuples and structures, J[output][input].

    batched : f maps inputs (N, ...) to outputs (N, ...), row n to row n, independently of the other rows. Then J has
        shape output.shape + input.shape[1:]: it leaves out the derivatives between different rows, which are 0. One
        walk does a column of the output in all rows. Raises ValueError if a random g shows that f mixes rows.

    >>> jacobian(lambda x: x.sum(axis=1), np.ones((5, 3)), batched=True).shape
    (5, 3)
    """
    call = Call(f, inputs, create_graph)
    rows = [with_leaves(inputs, _jacobians(output, call.inputs, call.create_graph, batched)) for output in call.outputs]
    return with_leaves(call.returned, rows)


def hessian(f: Function, inputs: Any, create_graph: bool | None = None) -> Any:
    """Return ∂²f/∂input², of shape input.shape + input.shape; f returns one element.

    Of a tuple or structure of inputs, H[i][j] is ∂²f/∂input_i∂input_j, of shape input_i.shape + input_j.shape.

    >>> hessian(lambda x: x[0] ** 2 * x[1], [1.0, 3.0]).tolist()
    [[6.0, 2.0], [2.0, 0.0]]
    """

    def gradient(*xs: Any) -> Any:
        given = xs if type(inputs) is tuple else xs[0]
        return with_leaves(given, Call(f, given, create_graph=True).gradient("hessian"))

    return jacobian(gradient, inputs, create_graph)


@enable_grad()
def _jacobians(output: Tensor, inputs: Sequence[Tensor], create_graph: bool, batched: bool) -> list[Tensor]:
    """Return ∂output/∂input for each input: one walk per element of the output or, if batched, of one row."""
    lengths = {x.shape[:1] for x in (*inputs, output)}
    if batched and (len(lengths) > 1 or () in lengths):
        came = ", ".join(str(x.shape) for x in (*inputs, output))
        raise ValueError(f"jacobian: batched=True expects inputs and outputs (N, ...) of one N, got shapes {came}")
    first = 1 if batched else 0  # one walk does all rows of a batch, which are axis 0
    uses = count_uses([output], frozenset(inputs))
    walks = []
    for place in np.ndindex(output.shape[first:]):
        g = zeros_like(output).data
        g[(..., *place)] = 1
        walks.append(walk([output], [g], inputs, uses, retain_graph=True, create_graph=create_graph))
    jacobians = []
    for x, *slices in zip(inputs, *walks, strict=True):
        shape = output.shape + x.shape[first:]
        J = stack(slices, axis=first).reshape(shape) if slices else zeros(shape, dtype=x.dtype)
        if batched and len(x) > 1:
            _check_rows(output, x, uses, J.data)
        jacobians.append(J)
    return jacobians


def _check_rows(output: Tensor, x: Tensor, uses: dict[Traced, int], J: Array) -> None:
    """Raise ValueError unless each row of the output depends on its own row of x alone.

    Then the gradient of ⟨g, output⟩ in row n is Σ_c g[n, c] J[n, c] for any g; a random g tests this. If the rows of g
    are equal, it holds for every f up to rounding: that error is the scale for judging others where J is near 0.
    """
    xp, random = array_module(J), np.random.default_rng(0)
    N, columns = len(output), output.size // len(output)

    def error(weights: Any) -> float:
        g = xp.broadcast_to(xp.asarray(weights, output.dtype), output.shape)
        (walked,) = walk([output], [g], [x], uses, retain_graph=True)
        expected = xp.einsum("nc,nc...->n...", g.reshape(N, columns), J.reshape(N, columns, *x.shape[1:]))
        return abs(walked.data - expected).max(initial=0)

    allowed = np.finfo(x.dtype).eps ** 0.5 * columns * abs(J).max(initial=0)  # half of the digits
    found = error(random.uniform(0.5, 1.5, output.shape))
    if found > allowed and found > 1000 * max(error(random.uniform(0.5, 1.5, output.shape[1:])) for _ in range(20)):
        raise ValueError(
            "jacobian: batched=True needs each row of the outputs to depend on its own row of the inputs alone, and f "
            "mixes the rows, as batch normalisation does: use batched=False"
        )
