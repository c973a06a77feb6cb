"""Functions that differentiate: they return gradients as values to compute with, and store nothing in `.grad`.

>>> from tinygrad_sm import Tensor
>>> x = Tensor(2.0, requires_grad=True)
>>> (slope,) = grad(x**3, x, create_graph=True)  # 3x² = 12
>>> (curvature,) = grad(slope, x)  # 6x = 12
>>> slope.item(), curvature.item()
(12.0, 12.0)

`grad` walks back from Tensors that are already computed. The others, in the form of `torch.autograd.functional`, take a
function f and call it on the inputs. J is the matrix of ∂output/∂input, H that of the second derivatives of one output.
One walk gives Jᵀg for one g; everything else is built from such walks.

- `inputs` is a Tensor, array, list or number, floating, or a tuple of these. f takes one Tensor for each, and returns
  one value or a tuple. One value gives one result, a tuple gives a tuple.
- v has the form of the outputs, or of the inputs, and may be left out if each of them has one element.
- The derivative of an output that does not depend on an input, or is no Tensor, is zero.
- create_graph : whether values and result keep their history, so that they can be differentiated again. By default,
  None, they keep it as any operation does, so transforms nest: if the mode records, and v or anything that the outputs
  depend on, an input or a parameter that f uses, requires a gradient. True keeps it in any mode; False is cheaper.
- f receives fresh Tensors, and is recorded in any mode. No walk changes a `.grad`. If f also uses one of the Tensors in
  `inputs` directly, and not through its arguments, then that use counts as a constant.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import Any

import numpy as np

from tinygrad_sm.arrays import described
from tinygrad_sm.backend import Array, array_module, owned_copy
from tinygrad_sm.creation import ones_like, zeros, zeros_like
from tinygrad_sm.engine.backward import seed_gradient
from tinygrad_sm.engine.mode import current_mode, enable_grad
from tinygrad_sm.engine.tape import Traced, count_uses, data_of, gradients, sequence_number
from tinygrad_sm.errors import GradientError
from tinygrad_sm.ops.composed import stack
from tinygrad_sm.tensors import Tensor

Function = Callable[..., Any]


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
    allow_unused : return None for an input that the outputs do not depend on, instead of raising GradientError.
    """
    outputs, inputs = _as_tuple("output", outputs), _as_tuple("input", inputs)
    if grad_outputs is None:
        grad_outputs = (None,) * len(outputs)
    elif not isinstance(grad_outputs, tuple | list):
        grad_outputs = (grad_outputs,)
    if len(grad_outputs) != len(outputs):
        raise ValueError(
            f"grad: expected one of grad_outputs for each of {len(outputs)} outputs, got {len(grad_outputs)}"
        )
    gs = []
    for output, g in zip(outputs, grad_outputs, strict=True):
        array = seed_gradient(output, g, "grad()")
        gs.append(g.astype(output.dtype) if create_graph and isinstance(g, Tensor) else array)
    uses = count_uses(outputs, frozenset(inputs))
    for i, x in enumerate(inputs):
        if not x.requires_grad:
            raise GradientError(f"grad: input {i} does not require a gradient: make it with requires_grad=True")
        if x not in uses and not allow_unused:
            raise GradientError(f"grad: the outputs do not depend on input {i}; pass allow_unused=True to get None")
    found = _walk(outputs, gs, inputs, uses, create_graph=create_graph)
    return tuple(g if x in uses else None for x, g in zip(inputs, found, strict=True))


def vjp(f: Function, inputs: Any, v: Any = None, create_graph: bool | None = None) -> tuple[Any, Any]:
    """Return (f(inputs), vᵀJ), where v has the outputs' shapes, and vᵀJ the inputs'.

    >>> vjp(lambda x: x**2, [1.0, 2.0, 3.0], [1.0, 10.0, 0.0])[1].tolist()
    [2.0, 40.0, 0.0]
    """
    call = _Call(f, inputs, create_graph, v)
    vectors = _vectors("vjp", v, "output", call.outputs)
    result = _walk(call.outputs, vectors, call.inputs, create_graph=call.create_graph)
    return call.values(), _repack(inputs, result)


def jvp(f: Function, inputs: Any, v: Any = None, create_graph: bool | None = None) -> tuple[Any, Any]:
    """Return (f(inputs), J v), where v has the inputs' shapes, and J v, the derivative along v, the outputs'.

    A walk gives Jᵀu, which is linear in u: so the vjp of that walk with v is (Jᵀ)ᵀv = J v, for any u.

    >>> jvp(lambda x: x.sum() ** 2, [1.0, 2.0, 3.0], [1.0, 0.0, 0.0])[1].item()
    12.0
    """
    call = _Call(f, inputs, create_graph, v)
    vectors = _vectors("jvp", v, "input", call.inputs)
    u = [zeros_like(output, requires_grad=output.requires_grad) for output in call.outputs]
    pulled = _walk(call.outputs, u, call.inputs, create_graph=True)
    result = _walk(pulled, vectors, u, create_graph=call.create_graph)
    return call.values(), _repack(call.returned, result)


def hvp(f: Function, inputs: Any, v: Any = None, create_graph: bool | None = None) -> tuple[Any, Any]:
    """Return (f(inputs), H v), where v and H v have the inputs' shapes; f returns one element.

    H is symmetric, so H v is the vjp of the gradient, and H itself is never formed.

    >>> hvp(lambda x: (x**3).sum(), [1.0, 2.0], [1.0, 1.0])[1].tolist()
    [6.0, 12.0]
    """
    call = _Call(f, inputs, create_graph, v)
    vectors = _vectors("hvp", v, "input", call.inputs)
    result = _walk(call.gradient("hvp"), vectors, call.inputs, create_graph=call.create_graph)
    return call.values(), _repack(inputs, result)


def jacobian(f: Function, inputs: Any, create_graph: bool | None = None, batched: bool = False) -> Any:
    """Return ∂output/∂input, of shape output.shape + input.shape; for tuples a tuple of tuples, J[output][input].

    batched : f maps inputs (N, ...) to outputs (N, ...), row n to row n, independently of the other rows. Then J has
        shape output.shape + input.shape[1:]: it leaves out the derivatives between different rows, which are 0. One
        walk does a column of the output in all rows. Raises ValueError if a random g shows that f mixes rows.

    >>> jacobian(lambda x: x.sum(axis=1), np.ones((5, 3)), batched=True).shape
    (5, 3)
    """
    call = _Call(f, inputs, create_graph)
    rows = [_repack(inputs, _jacobians(output, call.inputs, call.create_graph, batched)) for output in call.outputs]
    return _repack(call.returned, rows)


def hessian(f: Function, inputs: Any, create_graph: bool | None = None) -> Any:
    """Return ∂²f/∂input², of shape input.shape + input.shape; f returns one element.

    Of a tuple of inputs, H[i][j] is ∂²f/∂input_i∂input_j, of shape input_i.shape + input_j.shape.

    >>> hessian(lambda x: x[0] ** 2 * x[1], [1.0, 3.0]).tolist()
    [[6.0, 2.0], [2.0, 0.0]]
    """

    def gradient(*xs: Tensor) -> Any:
        return _repack(inputs, _Call(f, xs, create_graph=True).gradient("hessian"))

    return jacobian(gradient, inputs, create_graph)


class _Call:
    """A recorded call of f on fresh Tensors, with which every transform begins.

    If the result may keep its history, a reshape that changes nothing connects the fresh Tensors to the caller's.
    """

    def __init__(self, f: Function, inputs: Any, create_graph: bool | None, v: Any = None):
        keep = current_mode().record if create_graph is None else create_graph
        with enable_grad():
            given = [_tensor(x, f"input {i}") for i, x in enumerate(_parts(inputs))]
            self.inputs = [(x if keep else x.detach()).reshape(x.shape).requires_grad_() for x in given]
            self.returned = f(*self.inputs)
        self.outputs = [_tensor(y, f"output {i}") for i, y in enumerate(_parts(self.returned))]
        self.create_graph = keep and self._has_history(v)

    def _has_history(self, v: Any) -> bool:
        """Whether a leaf that v or the outputs come from requires a gradient, beside the fresh ones."""
        fresh = frozenset(self.inputs)
        if any(x.node is not None for x in fresh):  # connected to the caller's Tensors
            return True
        oldest = min((sequence_number(x) for x in fresh), default=math.inf)
        roots = [x for x in (*self.outputs, *_parts(v)) if isinstance(x, Tensor) and x.requires_grad]
        origins = count_uses(roots, oldest=oldest)  # an older value was made outside of f
        return any(x not in fresh and (x.node is None or sequence_number(x) < oldest) for x in origins)

    def values(self) -> Any:
        """Return the outputs of f as Tensors, with their history if the result keeps its own."""
        outputs = self.outputs if self.create_graph else [output.detach() for output in self.outputs]
        return _repack(self.returned, outputs)

    def gradient(self, caller: str) -> list[Tensor]:
        """Return the gradient of the one element that f returned, from a recorded walk."""
        if [output.size for output in self.outputs] != [1]:
            came = " and ".join(map(described, self.outputs))
            raise ValueError(f"{caller}: expected f to return one element, got {came}: reduce it, as with .sum()")
        return _walk(self.outputs, [ones_like(self.outputs[0])], self.inputs, create_graph=True)


def _parts(given: Any) -> tuple[Any, ...]:
    if isinstance(given, list) and any(isinstance(part, Tensor) for part in given):
        raise TypeError("expected a Tensor or a tuple of Tensors, got a list of them: make it a tuple")
    return given if isinstance(given, tuple) else (given,)


def _repack(given: Any, values: Sequence[Any]) -> Any:
    """Return the values as a tuple if `given` is one, else the one value."""
    return tuple(values) if isinstance(given, tuple) else values[0]


def _tensor(x: Any, role: str) -> Tensor:
    try:
        return x if isinstance(x, Tensor) else Tensor(x)
    except (TypeError, ValueError) as error:
        error.add_note(f"as {role} of f")
        raise


@enable_grad()
def _vectors(caller: str, v: Any, role: str, values: Sequence[Tensor]) -> list[Tensor]:
    """Return the parts of v, one for each of the values, as Tensors of their shapes and dtypes."""
    parts = (None,) * len(values) if v is None else _parts(v)
    if len(parts) != len(values):
        raise ValueError(f"{caller}: expected v for {len(values)} {role}s, a tuple, got {len(parts)}")
    vectors = []
    for i, (part, value) in enumerate(zip(parts, values, strict=True)):
        if part is None and value.size == 1:
            part = ones_like(value)
        if part is None or np.shape(data_of(part)) != value.shape:
            raise ValueError(f"{caller}: expected v of shape {value.shape}, as {role} {i} has, got {described(part)}")
        vectors.append((part if isinstance(part, Tensor) else Tensor(part)).astype(value.dtype))
    return vectors


def _walk(
    outputs: Sequence[Tensor],
    gs: Sequence[Any],
    inputs: Sequence[Tensor],
    uses: dict[Traced, int] | None = None,
    retain_graph: bool = False,
    create_graph: bool = False,
) -> list[Tensor]:
    """Return Jᵀg for each input, summed over the outputs; zeros if none depends on it. `uses` does not change."""
    wanted = frozenset(inputs)
    roots: dict[Traced, Any] = {}
    with enable_grad() if create_graph else nullcontext():
        for output, g in zip(outputs, gs, strict=True):
            if output.requires_grad:
                g = _as_tensor(g) if create_graph else data_of(g)
                roots[output] = roots[output] + g if output in roots else g
        uses = count_uses(roots, wanted) if uses is None else dict(uses)
        found = gradients(roots, uses, wanted, retain_graph=retain_graph, create_graph=create_graph)
    return [_as_tensor(found[x]) if x in found else zeros_like(x) for x in inputs]


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
        walks.append(_walk([output], [g], inputs, uses, retain_graph=True, create_graph=create_graph))
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
        (walked,) = _walk([output], [g], [x], uses, retain_graph=True)
        expected = xp.einsum("nc,nc...->n...", g.reshape(N, columns), J.reshape(N, columns, *x.shape[1:]))
        return abs(walked.data - expected).max(initial=0)

    allowed = np.finfo(x.dtype).eps ** 0.5 * columns * abs(J).max(initial=0)  # half of the digits
    found = error(random.uniform(0.5, 1.5, output.shape))
    if found > allowed and found > 1000 * max(error(random.uniform(0.5, 1.5, output.shape[1:])) for _ in range(20)):
        raise ValueError(
            "jacobian: batched=True needs each row of the outputs to depend on its own row of the inputs alone, and f "
            "mixes the rows, as batch normalisation does: use batched=False"
        )


def _as_tuple(role: str, tensors: Any) -> tuple[Tensor, ...]:
    """Return one Tensor, or several in any iterable, as a tuple."""
    tensors = (tensors,) if hasattr(tensors, "shape") else tuple(tensors)
    for x in tensors:
        if not isinstance(x, Tensor):
            raise TypeError(f"grad: expected a Tensor as {role}, got {described(x)}")
    return tensors


def _as_tensor(g: Any) -> Tensor:
    return g if isinstance(g, Tensor) else Tensor(owned_copy(g))
