# Written by `make record` from the running package: change the functions, or tests/typing/stubs.py, and not this file.
"""Linear algebra under the names of numpy.linalg, with gradients: tg.linalg.solve(a, b), or np.linalg.solve(a, b).

Every matrix may be a batch, shape (..., N, N). Integers are computed in float64, and half precision in float32, which
numpy.linalg refuses.

- On the host, a matrix that has no result (a singular one for `inv` and `solve`, one that is not positive definite for
  `cholesky`) raises numpy.linalg.LinAlgError, as in NumPy.
- On a GPU nobody waits to look, as in CuPy: the result of such a matrix is no LinAlgError but NaN, an infinity or a
  meaningless number. To see it, run the step in a block of `with cupyx.errstate(linalg="raise")`, which waits.

>>> import numpy as np
>>> from tinygrad_sm import Tensor
>>> a = Tensor(np.array([[2.0, 1.0], [1.0, 3.0]]), requires_grad=True)
>>> det(a).backward()
>>> a.grad.round(12).tolist()  # the cofactors
[[3.0, -1.0], [-1.0, 2.0]]
"""

import numpy as np
from collections.abc import Sequence
from numpy.typing import ArrayLike
from tinygrad_sm.ops.decompositions import SlogdetResult
from tinygrad_sm.tensors import Tensor
from typing import Any, SupportsIndex, TypeAlias, overload

_Array: TypeAlias = np.ndarray[Any, Any]  # on a GPU it is CuPy's array, which has the same names
_Arrays: TypeAlias = _Array | Sequence[float] | Sequence[Sequence[float]] | Sequence[Sequence[Sequence[float]]]
_Plain: TypeAlias = _Arrays | complex | np.generic
_Operand: TypeAlias = Tensor | ArrayLike
_Other: TypeAlias = complex | np.generic | Sequence[_Operand]
_Axis: TypeAlias = SupportsIndex | Sequence[SupportsIndex] | None
__all__ = [
    "cholesky",
    "det",
    "inv",
    "matmul",
    "norm",
    "slogdet",
    "solve",
]

@overload
def cholesky(a: Tensor, /, *, upper: bool = False) -> Tensor:
    """Return the Cholesky factor of each symmetric positive definite matrix A: lower triangular L with L Lᵀ = A.

    a : shape (..., N, N). Only its lower triangle is read, as in NumPy.
    upper : read the upper triangle instead, and return the upper triangular U with Uᵀ U = A.

    Convention, as in PyTorch: the gradient is symmetric, as A is. An element and its mirror image each get half of what
    they do together, though only one of them is read. Where they are not equal, the one that is read gets all.

    Raises LinAlgError if a matrix is not positive definite; on a GPU see `tinygrad_sm.linalg`.

    >>> cholesky(np.array([[4.0, 2.0], [2.0, 5.0]])).tolist()
    [[2.0, 0.0], [1.0, 2.0]]
    """
@overload
def cholesky(a: _Arrays, /, *, upper: bool = False) -> _Array: ...
@overload
def cholesky(a: _Other, /, *, upper: bool = False) -> Any: ...

@overload
def det(a: Tensor | Sequence[Tensor]) -> Tensor:
    """Return the determinant of each matrix: shape (..., N, N) gives (...).

    The gradient is the matrix of cofactors, also of a singular matrix. Where the determinant is exactly 0, all orders
    are right up to a rounding that grows with N: of float64's 16 digits, 12 are left at N = 12, and 8 at N = 30. Where
    only rounding keeps it from 0, the first order is right, but higher ones lose their digits, as inverses do. The
    determinant of a large matrix easily overflows: `slogdet` does not.

    >>> det(np.array([[1.0, 2.0], [3.0, 4.0]])).round(12).item()
    -2.0
    """
@overload
def det(a: _Operand) -> Any: ...

@overload
def inv(a: Tensor | Sequence[Tensor]) -> Tensor:
    """Return the inverse matrix A⁻¹, shape (..., N, N) as a.

    Raises LinAlgError if a matrix is singular; on a GPU see `tinygrad_sm.linalg`.

    >>> inv(np.array([[2.0, 0.0], [0.0, 4.0]])).tolist()
    [[0.5, 0.0], [0.0, 0.25]]
    """
@overload
def inv(a: _Arrays) -> _Array: ...
@overload
def inv(a: _Other) -> Any: ...

@overload
def matmul(a: Tensor | Sequence[Tensor], b: _Operand, /) -> Tensor:
    """Return the matrix product a @ b, with NumPy's rules for 1-D operands and batches.

    Shapes: (..., M, K) and (..., K, N) give (..., M, N), with leading axes broadcast. A 1-D a stands for one row and a
    1-D b for one column, and that axis is absent from the result.
    """
@overload
def matmul(a: _Operand, b: Tensor | Sequence[Tensor], /) -> Tensor: ...
@overload
def matmul(a: _Operand, b: _Operand, /) -> Any: ...

@overload
def norm(x: Tensor | Sequence[Tensor], ord: Any = None, axis: _Axis = None, keepdims: bool = False) -> Tensor:
    """Return the norm of vectors along one axis, or of matrices along two.

    axis : an integer for vectors, a pair (rows, columns) for matrices. None takes all of x, as a vector if it has one
        axis and as a matrix if it has two.
    ord : of a vector, None or 2, the Euclidean length √Σ x²; 1, Σ |x|; inf, the largest |x|; −inf, the smallest; 0, how
        many are not 0; any other number p, (Σ |x|ᵖ)^(1/p). Of a matrix, None or "fro", √Σ x²; 1 and −1, the largest and
        the smallest Σ |x| of a column; inf and −inf, those of a row. None takes any number of axes.

    Raises ValueError for another ord. For a matrix, 2, −2 and "nuc" need singular values, which have no gradient here.

    Conventions, as in PyTorch: where the norm is 0, and where p < 1 for elements that are 0, the gradient is 0; those
    that tie for the largest or the smallest share it equally.

    The elements are divided by the largest magnitude, because its power may overflow where the norm does not. This
    scale is never subnormal: the product of a subnormal number and a gradient would lose digits.

    >>> norm([[1.0, -2.0], [3.0, 4.0]], 1).item(), norm([[1.0, -2.0], [3.0, 4.0]], 1, axis=1).tolist()
    (6.0, [3.0, 7.0])
    """
@overload
def norm(x: _Operand, ord: Any = None, axis: _Axis = None, keepdims: bool = False) -> Any: ...

def slogdet(a: Any) -> SlogdetResult:
    """Return (sign, logabsdet), the sign of the determinant and the logarithm of its magnitude, as a named tuple.

    a : shape (..., N, N); both results have shape (...). A singular matrix gives (0, −∞).

    The sign has the gradient 0. That of logabsdet is A⁻ᵀ; for a singular matrix it is no number, and so backward()
    raises LinAlgError there; on a GPU see `tinygrad_sm.linalg`.

    >>> sign, logabsdet = slogdet(np.array([[0.0, 1.0], [1.0, 0.0]]))
    >>> sign.item(), logabsdet.item()
    (-1.0, 0.0)
    """

@overload
def solve(a: Tensor | Sequence[Tensor], b: _Operand) -> Tensor:
    """Return x with A x = b, which is more accurate than inv(a) @ b.

    a : shape (..., N, N).  b : shape (N,), a vector, or (..., N, K), matrices; leading axes broadcast. As in NumPy
    since 2.0, b is a vector only if it has one axis: give a batch of vectors as b[..., None].

    Raises LinAlgError if a matrix is singular; on a GPU see `tinygrad_sm.linalg`.

    >>> solve(np.array([[1.0, 1.0], [0.0, 2.0]]), np.array([3.0, 4.0])).tolist()
    [1.0, 2.0]
    """
@overload
def solve(a: _Operand, b: Tensor | Sequence[Tensor]) -> Tensor: ...
@overload
def solve(a: _Arrays, b: _Plain) -> _Array: ...
@overload
def solve(a: _Plain, b: _Arrays) -> _Array: ...
@overload
def solve(a: _Other, b: _Other) -> Any: ...
