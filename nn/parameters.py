"""All parameters of a model at once: clip their gradients, or copy them to one vector and back.

>>> from tinygrad_sm import nn
>>> model = nn.Linear(3, 2)
>>> vector = parameters_to_vector(model.parameters())
>>> vector.shape
(8,)
>>> vector_to_parameters([0, 1, 2, 3, 4, 5, 6, 7], model.parameters())
>>> model.bias.tolist()
[6.0, 7.0]
"""

from collections.abc import Iterable
from functools import partial
from operator import setitem
from typing import Any

from numpy import errstate

from tinygrad_sm.arguments import number
from tinygrad_sm.arrays import as_exact_array, described
from tinygrad_sm.backend import array_module, owned_copy, to_device
from tinygrad_sm.engine.backward import check_grad
from tinygrad_sm.engine.tape import data_of
from tinygrad_sm.engine.versions import change, write_all
from tinygrad_sm.nn.groups import as_list, check_leaves, check_tensors
from tinygrad_sm.ops import composed, norms
from tinygrad_sm.precision import wide, wide_dtype
from tinygrad_sm.tensors import Tensor


def clip_grad_norm(parameters: Iterable[Tensor], max_norm: float, error_if_nonfinite: bool = False) -> Tensor:
    """Scale the gradients in place so that their joint norm is at most max_norm; return the norm before that.

        norm = √Σ g², over all elements of all gradients
        g ← g · min(1, max_norm / (norm + 1e−6))

    This is PyTorch's formula: its 1e−6 avoids a division by 0, and makes the norm afterwards a little less than
    max_norm. An infinite or NaN norm makes every gradient 0 or NaN; with error_if_nonfinite it raises
    FloatingPointError and changes nothing; then the host waits for a GPU, and otherwise not. Parameters whose `.grad`
    is None count as 0. An infinite max_norm clips nothing. For float16 the norm and the factor are float32, because
    either can exceed float16's range where the gradients do not.
    """
    gradients = _gradients("clip_grad_norm", parameters)
    max_norm = number("clip_grad_norm", "max_norm", max_norm, smallest=0, finite=False)
    if not gradients:
        return Tensor(0.0)
    xp = array_module(gradients[0])
    norm = norms.norm(xp.stack([norms.norm(wide(g)) for g in gradients]))
    if error_if_nonfinite and not xp.isfinite(norm):
        raise FloatingPointError(
            f"clip_grad_norm: the norm of the gradients is {norm}; tg.detect_anomaly() finds where that began"
        )
    factor = xp.minimum(max_norm / (norm + 1e-6), 1)  # NaN stays NaN
    with errstate(all="ignore"):  # np.errstate(all="raise") would stop half-way
        write_all([(partial(xp.multiply, dtype=wide_dtype(g)), g, factor, g) for g in gradients])
    return Tensor(norm)


def clip_grad_value(parameters: Iterable[Tensor], clip_value: float) -> None:
    """Clip every element of the gradients, in place, to [−clip_value, clip_value]; NaN stays NaN."""
    gradients = _gradients("clip_grad_value", parameters)
    clip_value = number("clip_grad_value", "clip_value", clip_value, smallest=0, finite=False)
    writes: list[tuple[Any, ...]] = []
    for g in gradients:
        xp = array_module(g)  # whose `clip` is a function of Python
        writes += (partial(xp.minimum, out=g), g, clip_value), (partial(xp.maximum, out=g), g, -clip_value)
    with errstate(all="ignore"):  # np.errstate(all="raise") would stop half-way
        write_all(writes)


def parameters_to_vector(parameters: Iterable[Tensor]) -> Any:
    """Return the elements of all parameters, one after the other and each in C order, as one Tensor of shape (D,).

    It is differentiable: (parameters_to_vector(model.parameters()) ** 2).sum() is the squared norm of the model.
    """
    parameters = as_list(parameters)
    check_tensors("parameters_to_vector", parameters)
    return composed.concatenate(parameters, axis=None)


def vector_to_parameters(vector: Any, parameters: Iterable[Tensor]) -> None:
    """Set the parameters in place from a vector of shape (D,), laid out as by `parameters_to_vector`.

    Raises ValueError, and changes nothing, if the number of elements differs. Graphs that were recorded before are
    stale, as after `Tensor.assign`.
    """
    parameters = as_list(parameters)
    check_leaves("vector_to_parameters", parameters)
    values = owned_copy(as_exact_array(data_of(vector)))  # it may be a view of the parameters' own arrays
    size = sum(parameter.size for parameter in parameters)
    if values.shape != (size,):
        raise ValueError(f"vector_to_parameters: expected a vector of shape ({size},), got {described(values)}")
    if values.dtype.kind not in "fiu":
        raise TypeError(f"vector_to_parameters: expected a vector of floats, got {described(values)}")
    start, writes = 0, []
    for parameter in parameters:
        part = values[start : start + parameter.size].reshape(parameter.shape)
        writes.append((setitem, parameter.data, ..., to_device(part, parameter.device)))
        start += parameter.size
    with errstate(all="ignore"):  # np.errstate(all="raise") would stop half-way
        change(parameters, write_all, writes)


def _gradients(caller: str, parameters: Iterable[Tensor]) -> list[Any]:
    """Return the gradients that are not None; raise unless all can be changed in place."""
    parameters, gradients = as_list(parameters), []
    check_tensors(caller, parameters)
    for parameter in parameters:
        if parameter.grad is not None:
            check_grad(caller, parameter, writes=True)
            gradients.append(parameter.grad)
    return gradients
