"""Matrix products, and sums of products in Einstein's notation."""

import math

import numpy as np

from tinygrad_sm.backend import array_module
from tinygrad_sm.engine.primitive import primitive
from tinygrad_sm.precision import sum_dtype, sum_to_shape, total


@primitive(analytic=True)
def matmul(a, b, /):
    """Return the matrix product a @ b, with NumPy's rules for 1-D operands and batches.

    Shapes: (..., M, K) and (..., K, N) give (..., M, N), with leading axes broadcast. A 1-D a stands for one row and a
    1-D b for one column, and that axis is absent from the result.
    """
    if not (hasattr(a, "dtype") and hasattr(b, "dtype")):
        raise ValueError("expected arrays of at least one axis, got a number: * multiplies by numbers")
    return _product(a, b)


def _product(a, b):
    """Return a @ b; of one row and one column in half precision formed in float32, because CuPy adds them in half."""
    if a.size == b.size and a.ndim and a.size == a.shape[-1] and a.dtype == b.dtype == np.float16:
        return (a.astype(np.float32) @ b.astype(np.float32)).astype(np.float16)
    return a @ b


def _as_matrices(g, a, b):
    """Return g, a and b with the axes that a 1-D operand left out."""
    if b.ndim == 1:
        g, b = g[..., None], b[:, None]
    if a.ndim == 1:
        g, a = g[..., None, :], a[None, :]
    return g, a, b


def _matmul_rule_a(g, out, a, b):
    g, rows, columns = _as_matrices(g, a, b)
    return sum_to_shape(g @ columns.swapaxes(-1, -2), rows.shape).reshape(a.shape)  # ∂L/∂A = G Bᵀ


def _matmul_rule_b(g, out, a, b):
    g, rows, columns = _as_matrices(g, a, b)
    return sum_to_shape(rows.swapaxes(-1, -2) @ g, columns.shape).reshape(b.shape)  # ∂L/∂B = Aᵀ G


matmul.vjp(_matmul_rule_a, _matmul_rule_b)


@primitive(analytic=True)
def linear(x, weight, bias=None, /):
    """Return x Wᵀ + b, the affine map of a layer; for each example, W x + b.

    x : shape (N, D) or (..., D).  weight : shape (H, D), one row per output.  bias : shape (H,) or None.
    """
    out = _product(x, weight.T)
    return out if bias is None else out + bias


def _rows(x):
    return x if x.ndim == 2 else x.reshape(math.prod(x.shape[:-1]), x.shape[-1])  # not −1: x may be empty


linear.vjp(
    lambda g, out, x, weight, bias: g @ weight,
    lambda g, out, x, weight, bias: (_rows(x).T @ _rows(g)).T,  # gᵀx, in the layout that is quicker where H is small
    lambda g, out, x, weight, bias: total(_rows(g), axis=0),
)


@primitive(analytic=True)
def einsum(*xs, formula):
    """Return the sum of products that the formula gives: "ij,jk->ik" is Σ_j a_ij b_jk.

    This is the simplest form: the formula gives the output, no operand repeats an index, and each index of an operand
    occurs in the output or in another operand. `composed.einsum` reduces any formula to it.
    """
    return contracted(xs, formula, optimize=True)


def contracted(xs, formula, optimize):
    """Return the sum of products, formed in a dtype that can hold it; `optimize` plans in which order."""
    dtype = np.result_type(*(x.dtype for x in xs))
    wide = sum_dtype(dtype.type(), in_turn=_products_in_turn(xs, formula))
    if wide is not None:
        xs = tuple(x.astype(wide, copy=False) for x in xs)
    out = array_module(*xs).einsum(formula, *xs, optimize=optimize)
    return out if wide is None else out.astype(dtype)


def _products_in_turn(xs, formula):
    """Return how many products einsum adds one after the other, as NumPy 2.0 does if all terms share an output index.

    Other formulas become matrix products, which BLAS adds in blocks; newer NumPys, and GPUs, do so with every formula.
    """
    operands, output = formula.split("->")
    terms = operands.split(",")
    if not any(all(c in term for term in terms) for c in output):
        return 0
    lengths = {c: n for x, term in zip(xs, terms, strict=True) for c, n in zip(term, x.shape, strict=True)}
    return math.prod(n for c, n in lengths.items() if c not in output)


def _einsum_rule(i, g, out, *xs, formula):
    """Contract g with the other operands: g replaces the i-th operand, whose indices become those of the output."""
    operands, output = formula.split("->")
    indices = operands.split(",")
    others = [j for j in range(len(xs)) if j != i]
    formula = ",".join([output, *(indices[j] for j in others)]) + "->" + indices[i]
    return einsum(g, *(xs[j] for j in others), formula=formula)


einsum.vjp_each(_einsum_rule)
