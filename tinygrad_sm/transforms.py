"""Functions that differentiate: they return gradients as values to compute with, and store nothing in `.grad`.

>>> from tinygrad_sm import Tensor
>>> x = Tensor(2.0, requires_grad=True)
>>> (slope,) = grad(x**3, x, create_graph=True)  # 3x² = 12
>>> (curvature,) = grad(slope, x)  # 6x = 12
>>> slope.item(), curvature.item()
(12.0, 12.0)

`grad` walks back from Tensors that are already computed; or it makes a function of f, with the arguments of f, that
gives its gradient, as `value_and_grad` does. The others, in the form of `torch.autograd.functional`, take a function f
and call it on the inputs. J is the matrix of ∂output/∂input, H that of the second derivatives of one output. One walk
gives Jᵀg for one g; everything else is built from such walks.

- `inputs` is a Tensor, array, list of numbers, or number, floating; or a tuple of these, of which f takes each as an
  argument of its own. In the place of one, a list, dict or named tuple may hold several, also nested; then f takes the
  same structure of Tensors, as one argument. A list or tuple in which there are numbers alone is one array.
- f returns one value, a tuple, or such a structure. Results have the form of the inputs, or of the outputs.
- v has the form of the outputs, or of the inputs, and may be left out if each of them has one element.
- The derivative of an output that does not depend on an input, or is no Tensor, is zero.
- create_graph : whether values and result keep their history, so that they can be differentiated again. By default,
  None, they keep it as any operation does, so transforms nest: if the mode records, and v or anything that the outputs
  depend on, an input or a parameter that f uses, requires a gradient. True keeps it in any mode; False is cheaper.
- f receives fresh Tensors, and is recorded in any mode. No walk changes a `.grad`. If f also uses one of the Tensors in
  `inputs` directly, and not through its arguments, then that use counts as a constant.
"""

import functools
import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from operator import itemgetter
from typing import Any, Literal, overload

import numpy as np

from tinygrad_sm.arguments import integer
from tinygrad_sm.arrays import described
from tinygrad_sm.backend import owned_copy
from tinygrad_sm.creation import ones_like, zeros_like
from tinygrad_sm.engine.backward import check_inputs, seed_gradient
from tinygrad_sm.engine.mode import current_mode, enable_grad
from tinygrad_sm.engine.tape import Traced, count_uses, data_of, gradients, is_traced, sequence_number
from tinygrad_sm.errors import GradientError
from tinygrad_sm.structures import array_leaves, leaf_names, leaves_like, leaves_of, replaced, with_leaves
from tinygrad_sm.tensors import Tensor

Function = Callable[..., Any]


@overload
def grad(
    outputs: Function,
    inputs: int | tuple[int, ...] | None = None,
    grad_outputs: None = None,
    create_graph: bool | None = None,
    *,
    argnums: int | tuple[int, ...] | None = None,
) -> Function: ...
@overload
def grad(
    outputs: Tensor | Iterable[Tensor],
    inputs: Tensor | Iterable[Tensor],
    grad_outputs: Any = None,
    create_graph: bool | None = None,
    allow_unused: Literal[False] = False,
    *,
    retain_graph: bool | None = None,
) -> tuple[Tensor, ...]: ...
@overload
def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    create_graph: bool | None = None,
    allow_unused: bool = False,
    *,
    retain_graph: bool | None = None,
) -> Any: ...
def grad(
    outputs: Any,
    inputs: Any = None,
    grad_outputs: Any = None,
    create_graph: bool | None = None,
    allow_unused: bool = False,
    *,
    retain_graph: bool | None = None,
    argnums: int | tuple[int, ...] | None = None,
) -> Any:
    """Return Σ ∂⟨g, output⟩/∂input for each input, and touch no `.grad`; or, of a function f, return ∂f as a function.

    outputs : one Tensor or several; inputs : one or several that require a gradient, leaves or not. The result is a
        tuple, with one part for each; where a part is a list, tuple or dict of Tensors, it has that form. A dict of
        inputs gives a dict.
    grad_outputs : g, one for each output, of its shape; None stands for 1, where the output has one element.
    create_graph : record the walk itself, so that the result can be differentiated again; the graph then stays.
    retain_graph : keep the graph for another walk. None keeps it if create_graph does.
    allow_unused : return None for an input that the outputs do not depend on, instead of raising GradientError.

    `grad(f)` is `value_and_grad(f)` without the value: the numbers of arguments may stand in the place of `inputs`.

    >>> grad(lambda x: (x**3).sum())(np.array([1.0, 2.0]))
    array([ 3., 12.])
    """
    if callable(outputs):
        if grad_outputs is not None or retain_graph is not None or allow_unused:
            raise TypeError("grad: grad_outputs, retain_graph and allow_unused are for Tensors, and this is a function")
        if inputs is not None and argnums is not None:
            raise TypeError(f"grad: expected argnums once, got {described(inputs)} by position, and argnums={argnums}")
        argnums = argnums if inputs is None else inputs
        return _gradient_function("grad", outputs, 0 if argnums is None else argnums, create_graph, itemgetter(1))
    if inputs is None or argnums is not None:
        raise TypeError("grad: expected outputs and inputs, both Tensors, or a function and perhaps argnums")
    outputs = _tensors_of(outputs)
    if not (type(inputs) is dict or hasattr(inputs, "_fields")):
        inputs = (inputs,) if hasattr(inputs, "shape") else tuple(inputs)
    xs = array_leaves(inputs)
    check_inputs("grad", xs)
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
    uses = count_uses(outputs, frozenset(xs))
    for i, x in enumerate(xs):
        if x not in uses and not allow_unused:
            name = leaf_names(inputs)[i]
            raise GradientError(f"grad: the outputs do not depend on input {name}; pass allow_unused=True to get None")
    found = walk(outputs, gs, xs, uses, bool(retain_graph), bool(create_graph))
    return with_leaves(inputs, [g if x in uses else None for x, g in zip(xs, found, strict=True)])


def value_and_grad(f: Function, argnums: int | tuple[int, ...] = 0, create_graph: bool | None = None) -> Function:
    """Return a function with the arguments of f that gives (f(...), ∂f/∂argument); f returns one element.

    argnums : which argument, by its position from 0 on; a tuple of them gives a tuple of gradients. All others, and
        keywords, are passed to f as they are. The gradient has the form of the argument, as for all transforms.

    Arrays, lists and numbers give arrays back, so that SciPy's optimizers can call it. Tensors, among any of the
    arguments, give Tensors; so does a result that keeps its history, because f uses something that requires a gradient.

    Raises ValueError if f returns more than one element, or if there is no such argument.

        scipy.optimize.minimize(tg.value_and_grad(loss), x0, jac=True)

    >>> value_and_grad(lambda x, y: (x * y).sum(), argnums=1)(np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    (array(11.), array([1., 2.]))
    """
    return _gradient_function("value_and_grad", f, argnums, create_graph, tuple)


def _gradient_function(caller: str, f: Function, argnums: Any, create_graph: bool | None, choose: Function) -> Function:
    """Return a function that gives `choose` of the pair (value, gradient)."""
    if not callable(f):
        raise TypeError(f"{caller}: expected a function, got {described(f)}")
    is_one = not isinstance(argnums, tuple | list)
    places = [_place(caller, place) for place in ((argnums,) if is_one else argnums)]
    if len(set(places)) < len(places):
        raise ValueError(f"{caller}: expected argnums that differ, got {argnums}")

    @functools.wraps(f)
    def gradient(*args: Any, **kwargs: Any) -> Any:
        if max(places, default=0) >= len(args):
            raise ValueError(
                f"{caller}: expected {max(places) + 1} or more arguments by position, because argnums is {argnums}, "
                f"got {len(args)}: argnums=0 is the first"
            )

        def of_chosen(*chosen: Any) -> Any:
            return f(*[chosen[places.index(i)] if i in places else x for i, x in enumerate(args)], **kwargs)

        inputs = tuple([args[place] for place in places])
        call = Call(of_chosen, inputs, create_graph)
        value, found = call.values(), with_leaves(inputs, call.gradient(caller, call.create_graph))
        if not (call.create_graph or any(map(is_traced, leaves_of((args, kwargs))))):
            value, found = (replaced(x, lambda t: owned_copy(t.data)) for x in (value, found))
        return choose((value, found[0] if is_one else found))

    return gradient


def _place(caller: str, argnum: Any) -> int:
    """Return the number of an argument, if it is one."""
    if hasattr(argnum, "shape") and not isinstance(argnum, np.generic):
        raise TypeError(
            f"{caller}: expected argnums beside a function, got {described(argnum)}: write tg.{caller}(f)(x)"
        )
    return integer(caller, "argnums", argnum, smallest=0)


def vjp(f: Function, inputs: Any, v: Any = None, create_graph: bool | None = None) -> tuple[Any, Any]:
    """Return (f(inputs), vᵀJ), where v has the outputs' shapes, and vᵀJ the inputs'.

    >>> vjp(lambda x: x**2, [1.0, 2.0, 3.0], [1.0, 10.0, 0.0])[1].tolist()
    [2.0, 40.0, 0.0]
    """
    call = Call(f, inputs, create_graph, v)
    vectors = _vectors("vjp", v, "output", call.returned, call.outputs)
    result = walk(call.outputs, vectors, call.inputs, create_graph=call.create_graph)
    return call.values(), with_leaves(inputs, result)


def jvp(f: Function, inputs: Any, v: Any = None, create_graph: bool | None = None) -> tuple[Any, Any]:
    """Return (f(inputs), J v), where v has the inputs' shapes, and J v, the derivative along v, the outputs'.

    A walk gives Jᵀu, which is linear in u: so the vjp of that walk with v is (Jᵀ)ᵀv = J v, for any u.

    >>> jvp(lambda x: x.sum() ** 2, [1.0, 2.0, 3.0], [1.0, 0.0, 0.0])[1].item()
    12.0
    """
    call = Call(f, inputs, create_graph, v)
    vectors = _vectors("jvp", v, "input", inputs, call.inputs)
    u = [zeros_like(output, requires_grad=output.requires_grad) for output in call.outputs]
    pulled = walk(call.outputs, u, call.inputs, create_graph=True)
    result = walk(pulled, vectors, u, create_graph=call.create_graph)
    return call.values(), with_leaves(call.returned, result)


def hvp(f: Function, inputs: Any, v: Any = None, create_graph: bool | None = None) -> tuple[Any, Any]:
    """Return (f(inputs), H v), where v and H v have the inputs' shapes; f returns one element.

    H is symmetric, so H v is the vjp of the gradient, and H itself is never formed.

    >>> hvp(lambda x: (x**3).sum(), [1.0, 2.0], [1.0, 1.0])[1].tolist()
    [6.0, 12.0]
    """
    call = Call(f, inputs, create_graph, v)
    vectors = _vectors("hvp", v, "input", inputs, call.inputs)
    result = walk(call.gradient("hvp"), vectors, call.inputs, create_graph=call.create_graph)
    return call.values(), with_leaves(inputs, result)


class Call:
    """A recorded call of f on fresh Tensors, with which every transform begins.

    If the result may keep its history, a reshape that changes nothing connects the fresh Tensors to the caller's.
    """

    def __init__(self, f: Function, inputs: Any, create_graph: bool | None, v: Any = None):
        keep = current_mode().record if create_graph is None else create_graph
        with enable_grad():
            self.inputs = _each(
                inputs, "input", lambda x: (x if keep else x.detach()).reshape(x.shape).requires_grad_()
            )
            given = with_leaves(inputs, self.inputs)
            self.returned = f(*given) if type(inputs) is tuple else f(given)
        self.outputs = _each(self.returned, "output")
        self.create_graph = keep and self._has_history(v)

    def _has_history(self, v: Any) -> bool:
        """Whether a leaf that v or the outputs come from requires a gradient, beside the fresh ones."""
        fresh = frozenset(self.inputs)
        if any(x.node is not None for x in fresh):  # connected to the caller's Tensors
            return True
        oldest = min((sequence_number(x) for x in fresh), default=math.inf)
        roots = [x for x in (*self.outputs, *array_leaves(v)) if isinstance(x, Tensor) and x.requires_grad]
        origins = count_uses(roots, oldest=oldest)  # an older value was made outside of f
        return any(x not in fresh and (x.node is None or sequence_number(x) < oldest) for x in origins)

    def values(self) -> Any:
        """Return the outputs of f as Tensors, with their history if the result keeps its own."""
        outputs = self.outputs if self.create_graph else [output.detach() for output in self.outputs]
        return with_leaves(self.returned, outputs)

    def gradient(self, caller: str, create_graph: bool = True) -> list[Tensor]:
        """Return the gradient of the one element that f returned, by default from a recorded walk."""
        if [output.size for output in self.outputs] != [1]:
            came = " and ".join(map(described, self.outputs))
            raise ValueError(f"{caller}: expected f to return one element, got {came}: reduce it, as with .sum()")
        return walk(self.outputs, [ones_like(self.outputs[0])], self.inputs, create_graph=create_graph)


def _each(structure: Any, role: str, finish: Function = lambda x: x) -> list[Tensor]:
    """Return the leaves of a structure as Tensors; an error names the one that it is about."""
    tensors = []
    for i, x in enumerate(array_leaves(structure)):
        try:
            if isinstance(x, dict) or hasattr(x, "__dataclass_fields__"):
                plain = "dict(x)" if isinstance(x, dict) else "vars(x)"
                raise TypeError(f"expected arrays in plain lists, tuples and dicts, got {described(x)}: give {plain}")
            tensors.append(finish(x if isinstance(x, Tensor) else Tensor(x)))
        except (TypeError, ValueError) as error:
            error.add_note(f"as {role} {leaf_names(structure)[i]} of f")
            raise
    return tensors


@enable_grad()
def _vectors(caller: str, v: Any, role: str, like: Any, values: Sequence[Tensor]) -> list[Tensor]:
    """Return the leaves of v, one for each of the values, as Tensors of their shapes and dtypes."""
    expected = f"{caller}: expected v in the form of the {role}s"
    parts = [None] * len(values) if v is None else leaves_like(expected, v, like)
    vectors = []
    for i, (part, value) in enumerate(zip(parts, values, strict=True)):
        if part is None and value.size == 1:
            part = ones_like(value)
        if part is None or np.shape(data_of(part)) != value.shape:
            place = f"{role} {leaf_names(like)[i]}"
            raise ValueError(f"{caller}: expected v of shape {value.shape}, as {place} has, got {described(part)}")
        vectors.append((part if isinstance(part, Tensor) else Tensor(part)).astype(value.dtype))
    return vectors


def walk(
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


def _tensors_of(outputs: Any) -> tuple[Tensor, ...]:
    """Return one Tensor, or several in any iterable, as a tuple."""
    outputs = (outputs,) if hasattr(outputs, "shape") else tuple(outputs)
    for x in outputs:
        if not isinstance(x, Tensor):
            raise TypeError(f"grad: expected a Tensor as output, got {described(x)}")
    return outputs


def _as_tensor(g: Any) -> Tensor:
    return g if isinstance(g, Tensor) else Tensor(owned_copy(g))
