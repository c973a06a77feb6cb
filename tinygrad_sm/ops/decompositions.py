"""Inverses, solutions of linear equations, determinants and Cholesky factors, by the factorizations of LAPACK.

The functions at the end have NumPy's names. They compute in a precision that LAPACK has, in primitives that stand
before them: integers in float64, half precision in float32, rounded once.

>>> solve(np.array([[2.0, 0.0], [0.0, 4.0]]), np.array([1.0, 1.0])).tolist()
[0.5, 0.25]
"""

from typing import Any, NamedTuple

import numpy as np

from tinygrad_sm.backend import array_module
from tinygrad_sm.engine.primitive import as_operand, primitive
from tinygrad_sm.engine.tape import data_of
from tinygrad_sm.ops.elementwise import where
from tinygrad_sm.ops.reductions import sum
from tinygrad_sm.precision import as_precise_as, sum_to_shape, wide


def _transposed(a):
    return a.swapaxes(-1, -2)


def _identity_like(a):
    """Return the identity matrix, a plain array on the device of the matrices a."""
    data = data_of(a)
    return array_module(data).eye(data.shape[-1], dtype=data.dtype)


@primitive
def inverse(a, /):
    """Return A⁻¹."""
    return array_module(a).linalg.inv(a)


inverse.vjp(lambda g, out, a: -(_transposed(out) @ g @ _transposed(out)))  # from d(A⁻¹) = −A⁻¹ dA A⁻¹


@primitive
def solution(a, b, /):
    """Return X with A X = B; b holds matrices too."""
    xp = array_module(a)
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])  # CuPy broadcasts neither of the two
    return xp.linalg.solve(xp.broadcast_to(a, batch + a.shape[-2:]), xp.broadcast_to(b, batch + b.shape[-2:]))


solution.vjp(
    lambda g, out, a, b: sum_to_shape(-(solution(_transposed(a), g) @ _transposed(out)), a.shape),  # −(A⁻ᵀ G) Xᵀ
    lambda g, out, a, b: sum_to_shape(solution(_transposed(a), g), b.shape),  # A⁻ᵀ G
)


@primitive
def determinant(a, /):
    """Return det A."""
    return array_module(a).linalg.det(a)


determinant.vjp(lambda g, out, a: g[..., None, None] * _cofactors(a, out))


def _cofactors(a, det):
    """Return ∂det/∂a_ij, (−1)^(i+j) times the determinant of A without row i and column j.

    This is det A · A⁻ᵀ where A has an inverse. Where it has none, it comes from the recursion of Faddeev and LeVerrier,
    which needs no division by a number that may be 0, and so is right for every order.
    """
    is_singular = (data_of(det) == 0)[..., None, None]
    if not is_singular.any():
        return det[..., None, None] * _transposed(inverse(a))
    identity = _identity_like(a)
    of_regular = det[..., None, None] * _transposed(inverse(where(is_singular, identity, a)))
    return where(is_singular, _cofactors_by_recursion(where(is_singular, a, identity)), of_regular)


def _cofactors_by_recursion(a):
    """Return (−1)^(n−1) Mₙᵀ, where M₁ = I and Mₖ₊₁ = A Mₖ − tr(A Mₖ)/k · I; in float64, as digits are lost with n."""
    exact = a.astype("float64")
    n, identity = a.shape[-1], _identity_like(exact)
    m = identity
    for k in range(1, n):
        product = exact @ m
        m = product - sum(product * identity, (-2, -1), keepdims=True) / k * identity
    return ((-1.0) ** (n - 1) * _transposed(m)).astype(a.dtype)


@primitive
def sign_and_logarithm(a, /):
    """Return the sign of det A and ln |det A|, one after the other: shape (2, ...)."""
    sign, logarithm = array_module(a).linalg.slogdet(a)
    return array_module(a).stack([sign, logarithm])


sign_and_logarithm.vjp(lambda g, out, a: g[1][..., None, None] * _transposed(inverse(a)))  # ∂ ln |det A| = A⁻ᵀ


@primitive
def lower_factor(a, /):
    """Return the lower triangular L with L Lᵀ = A, of which only the lower triangle is read."""
    return array_module(a).linalg.cholesky(a)


def _lower_factor_rule(g, out, a):
    """Return Φ(S + Sᵀ) of S = L⁻ᵀ Φ(Lᵀ G) L⁻¹; Φ keeps what is below the diagonal, and half of the diagonal.

    It comes from dL = L Φ(L⁻¹ dA L⁻ᵀ), which follows from dA = dL Lᵀ + L dLᵀ.
    """
    identity = _identity_like(out)
    kept = array_module(identity).tri(len(identity), dtype=identity.dtype) - identity / 2
    inverse_factor = inverse(out)
    s = _transposed(inverse_factor) @ (_transposed(out) @ g * kept) @ inverse_factor
    return (s + _transposed(s)) * kept


lower_factor.vjp(_lower_factor_rule)


class SlogdetResult(NamedTuple):
    """The sign of a determinant, and the logarithm of its magnitude."""

    sign: Any
    logabsdet: Any


def inv(a):
    """Return the inverse matrix A⁻¹, shape (..., N, N) as a.

    Raises LinAlgError if a matrix is singular; on a GPU see `tinygrad_sm.linalg`.

    >>> inv(np.array([[2.0, 0.0], [0.0, 4.0]])).tolist()
    [[0.5, 0.0], [0.0, 0.25]]
    """
    a = as_operand(a)
    return as_precise_as(a, inverse(wide(a)))


def solve(a, b):
    """Return x with A x = b, which is more accurate than inv(a) @ b.

    a : shape (..., N, N).  b : shape (N,), a vector, or (..., N, K), matrices; leading axes broadcast. As in NumPy
    since 2.0, b is a vector only if it has one axis: give a batch of vectors as b[..., None].

    Raises LinAlgError if a matrix is singular; on a GPU see `tinygrad_sm.linalg`.

    >>> solve(np.array([[1.0, 1.0], [0.0, 2.0]]), np.array([3.0, 4.0])).tolist()
    [1.0, 2.0]
    """
    a = as_operand(a, beside=b)
    b = as_operand(b, beside=a)
    is_vector = b.ndim == 1
    x = solution(wide(a), wide(b[:, None] if is_vector else b))
    x = as_precise_as(a, x) if a.dtype == b.dtype else x
    return x[..., 0] if is_vector else x


def det(a):
    """Return the determinant of each matrix: shape (..., N, N) gives (...).

    The gradient is the matrix of cofactors, also of a singular matrix. Where the determinant is exactly 0, all orders
    are right up to a rounding that grows with N: of float64's 16 digits, 12 are left at N = 12, and 8 at N = 30. Where
    only rounding keeps it from 0, the first order is right, but higher ones lose their digits, as inverses do. The
    determinant of a large matrix easily overflows: `slogdet` does not.

    >>> det(np.array([[1.0, 2.0], [3.0, 4.0]])).round(12).item()
    -2.0
    """
    a = as_operand(a)
    return as_precise_as(a, determinant(wide(a)))


def slogdet(a):
    """Return (sign, logabsdet), the sign of the determinant and the logarithm of its magnitude, as a named tuple.

    a : shape (..., N, N); both results have shape (...). A singular matrix gives (0, −∞).

    The sign has the gradient 0. That of logabsdet is A⁻ᵀ; for a singular matrix it is no number, and so backward()
    raises LinAlgError there; on a GPU see `tinygrad_sm.linalg`.

    >>> sign, logabsdet = slogdet(np.array([[0.0, 1.0], [1.0, 0.0]]))
    >>> sign.item(), logabsdet.item()
    (-1.0, 0.0)
    """
    a = as_operand(a)
    both = as_precise_as(a, sign_and_logarithm(wide(a)))
    return SlogdetResult(both[0], both[1])


def cholesky(a, /, *, upper=False):
    """Return the Cholesky factor of each symmetric positive definite matrix A: lower triangular L with L Lᵀ = A.

    a : shape (..., N, N). Only its lower triangle is read, as in NumPy.
    upper : read the upper triangle instead, and return the upper triangular U with Uᵀ U = A.

    Convention, as in PyTorch: the gradient is symmetric, as A is. An element and its mirror image each get half of what
    they do together, though only one of them is read. Where they are not equal, the one that is read gets all.

    Raises LinAlgError if a matrix is not positive definite; on a GPU see `tinygrad_sm.linalg`.

    >>> cholesky(np.array([[4.0, 2.0], [2.0, 5.0]])).tolist()
    [[2.0, 0.0], [1.0, 2.0]]
    """
    if upper:
        return _transposed(cholesky(_transposed(as_operand(a))))
    a = as_operand(a)
    x = wide(a)
    is_mirrored = data_of(x) == data_of(_transposed(x))
    return as_precise_as(a, lower_factor(where(is_mirrored, x / 2 + _transposed(x) / 2, x)))
