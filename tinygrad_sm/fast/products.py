"""Products: small sums of products without a plan of their order, and the affine map of many rows in one product."""

from typing import Any

from tinygrad_sm.backend import HOST_TYPES, Array, array_module, device_of
from tinygrad_sm.dispatch import faster
from tinygrad_sm.ops.linalg import contracted, einsum, linear
from tinygrad_sm.precision import MOST_IN_TURN


def _few_on_the_host(*xs: Array, formula: str) -> bool:
    return sum(x.size for x in xs) <= 4000 and device_of(xs[0]) == "cpu"


@faster(einsum, when=_few_on_the_host, within=1e-6)
def einsum_unplanned(*xs: Array, formula: str) -> Array:
    """Compute the formula as it stands: planning costs 50 µs, which small operands do not win back."""
    return contracted(xs, formula, optimize=False)


def _batch_of_rows(x: Any, weight: Any, bias: Any) -> bool:
    """Hold for floats (N, L, ..., D) whose rows lie one after the other, and parameters of their dtype."""
    return (
        type(x) in HOST_TYPES
        and x.ndim > 2
        and x.size > 0
        and x.dtype.kind == "f"
        and x.itemsize >= 4
        and x.flags.c_contiguous
        and type(weight) in HOST_TYPES
        and weight.dtype == x.dtype
        and weight.ndim == 2
        and (bias is None or (type(bias) in HOST_TYPES and bias.dtype == x.dtype and bias.ndim == 1))
    )


def _batch_of_gradients(g: Any, out: Any, x: Any, weight: Any, bias: Any) -> bool:
    return type(g) in HOST_TYPES and g.ndim > 2 and _batch_of_rows(g, weight, None)


@faster(linear, when=_batch_of_rows, within=1e-6)
def linear_of_all_rows(x: Array, weight: Array, bias: Array | None) -> Array:
    """Multiply the rows of all N matrices at once, where NumPy calls BLAS for each: 0.8 of the time for (16, 64, 128).

    The bias is added in place.
    """
    out = x.reshape(-1, x.shape[-1]) @ weight.T
    if bias is not None:
        out += bias
    return out.reshape((*x.shape[:-1], len(weight)))


@faster(linear, rule=0, when=_batch_of_gradients, within=1e-6)
def gradient_of_all_rows(g: Array, out: Any, x: Any, weight: Array, bias: Any) -> Array:
    """Do the same in the gradient, g W."""
    return (g.reshape(-1, g.shape[-1]) @ weight).reshape((*g.shape[:-1], weight.shape[1]))


def _many_gradients(g: Any, out: Any, x: Any, weight: Any, bias: Any) -> bool:
    """Hold for floats in C order that are many, in no more rows than float32 can add."""
    return (
        type(g) in HOST_TYPES
        and g.size >= 4096
        and g.size <= MOST_IN_TURN * g.shape[-1]
        and g.dtype.kind == "f"
        and g.itemsize >= 4
        and g.flags.c_contiguous
    )


@faster(linear, rule=2, when=_many_gradients, within=1e-5)
def gradient_of_bias(g: Array, out: Any, x: Any, weight: Any, bias: Any) -> Array:
    """Add the rows as a product with ones, which BLAS does in blocks: 0.4 of the time for (1024, 512) float32."""
    rows = g.reshape(-1, g.shape[-1])
    return array_module(g).ones(len(rows), g.dtype) @ rows
