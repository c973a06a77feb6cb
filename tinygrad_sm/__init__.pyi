# Written by `make record` from the running package: change the functions, or tests/typing/stubs.py, and not this file.
"""A small autograd framework to read and to import.

>>> import tinygrad_sm as tg
>>> w = tg.Tensor([1.0, 2.0], requires_grad=True)
>>> tg.sum(w * w).backward()
>>> w.grad
array([2., 4.], dtype=float32)
"""

import numpy as np
from collections.abc import Sequence
from numpy.typing import ArrayLike, DTypeLike
from tinygrad_sm import datasets as datasets
from tinygrad_sm import linalg as linalg
from tinygrad_sm import look as look
from tinygrad_sm import nn as nn
from tinygrad_sm import parallel as parallel
from tinygrad_sm.backend import is_available as is_available
from tinygrad_sm.backend import set_default_device as set_default_device
from tinygrad_sm.check.gradcheck import gradcheck as gradcheck
from tinygrad_sm.check.proofs import prove as prove
from tinygrad_sm.creation import arange as arange
from tinygrad_sm.creation import eye as eye
from tinygrad_sm.creation import from_dlpack as from_dlpack
from tinygrad_sm.creation import full as full
from tinygrad_sm.creation import ones as ones
from tinygrad_sm.creation import ones_like as ones_like
from tinygrad_sm.creation import rand as rand
from tinygrad_sm.creation import randn as randn
from tinygrad_sm.creation import zeros as zeros
from tinygrad_sm.creation import zeros_like as zeros_like
from tinygrad_sm.engine.mode import Observer as Observer
from tinygrad_sm.engine.mode import enable_grad as enable_grad
from tinygrad_sm.engine.mode import no_grad as no_grad
from tinygrad_sm.engine.mode import observe as observe
from tinygrad_sm.engine.primitive import primitive as primitive
from tinygrad_sm.engine.primitive import zero as zero
from tinygrad_sm.errors import CheckpointError as CheckpointError
from tinygrad_sm.errors import DatasetError as DatasetError
from tinygrad_sm.errors import DeviceError as DeviceError
from tinygrad_sm.errors import GradcheckError as GradcheckError
from tinygrad_sm.errors import GradientError as GradientError
from tinygrad_sm.errors import GroupError as GroupError
from tinygrad_sm.fast.allocator import keep_freed_memory as keep_freed_memory
from tinygrad_sm.jacobians import hessian as hessian
from tinygrad_sm.jacobians import jacobian as jacobian
from tinygrad_sm.observers import detect_anomaly as detect_anomaly
from tinygrad_sm.observers import profile as profile
from tinygrad_sm.ops.manipulation import atleast_1d as atleast_1d
from tinygrad_sm.ops.manipulation import atleast_2d as atleast_2d
from tinygrad_sm.programs.steps import compiled as compiled
from tinygrad_sm.random import get_rng_state as get_rng_state
from tinygrad_sm.random import manual_seed as manual_seed
from tinygrad_sm.random import set_rng_state as set_rng_state
from tinygrad_sm.tensors import Tensor as Tensor
from tinygrad_sm.transforms import grad as grad
from tinygrad_sm.transforms import hvp as hvp
from tinygrad_sm.transforms import jvp as jvp
from tinygrad_sm.transforms import value_and_grad as value_and_grad
from tinygrad_sm.transforms import vjp as vjp
from typing import Any, SupportsIndex, TypeAlias, overload

_Array: TypeAlias = np.ndarray[Any, Any]  # on a GPU it is CuPy's array, which has the same names
_Arrays: TypeAlias = _Array | Sequence[float] | Sequence[Sequence[float]] | Sequence[Sequence[Sequence[float]]]
_Plain: TypeAlias = _Arrays | complex | np.generic
_Operand: TypeAlias = Tensor | ArrayLike
_Other: TypeAlias = complex | np.generic | Sequence[_Operand]
_Axis: TypeAlias = SupportsIndex | Sequence[SupportsIndex] | None
__version__: str
__all__ = [
    "CheckpointError",
    "DatasetError",
    "DeviceError",
    "GradcheckError",
    "GradientError",
    "GroupError",
    "Observer",
    "Tensor",
    "abs",
    "add",
    "arange",
    "arccos",
    "arcsin",
    "arctan",
    "arctan2",
    "argmax",
    "argmin",
    "atleast_1d",
    "atleast_2d",
    "broadcast_to",
    "ceil",
    "clip",
    "compiled",
    "concatenate",
    "cos",
    "cosh",
    "cumprod",
    "cumsum",
    "datasets",
    "detect_anomaly",
    "diag",
    "diagonal",
    "divide",
    "dot",
    "einsum",
    "enable_grad",
    "exp",
    "exp2",
    "expand_dims",
    "expm1",
    "eye",
    "flip",
    "floor",
    "floor_divide",
    "from_dlpack",
    "full",
    "gelu",
    "get_rng_state",
    "grad",
    "gradcheck",
    "hessian",
    "hstack",
    "hvp",
    "inner",
    "is_available",
    "jacobian",
    "jvp",
    "keep_freed_memory",
    "linalg",
    "log",
    "log10",
    "log1p",
    "log2",
    "log_softmax",
    "logaddexp",
    "logsumexp",
    "look",
    "manual_seed",
    "matmul",
    "max",
    "maximum",
    "mean",
    "min",
    "minimum",
    "mod",
    "moveaxis",
    "multiply",
    "negative",
    "nn",
    "no_grad",
    "norm",
    "observe",
    "ones",
    "ones_like",
    "outer",
    "pad",
    "parallel",
    "power",
    "primitive",
    "prod",
    "profile",
    "prove",
    "rand",
    "randn",
    "ravel",
    "relu",
    "remainder",
    "repeat",
    "reshape",
    "roll",
    "round",
    "set_default_device",
    "set_rng_state",
    "sigmoid",
    "sign",
    "sin",
    "sinh",
    "softmax",
    "softplus",
    "split",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "std",
    "subtract",
    "sum",
    "swapaxes",
    "take",
    "take_along_axis",
    "tan",
    "tanh",
    "tensordot",
    "tile",
    "trace",
    "transpose",
    "tril",
    "triu",
    "value_and_grad",
    "var",
    "vjp",
    "vstack",
    "where",
    "windows",
    "zero",
    "zeros",
    "zeros_like",
]

@overload
def abs(x: Tensor | Sequence[Tensor], /) -> Tensor:
    """Return |x|. Convention: the gradient at the kink, x = 0, is 0, the middle of its subgradients [−1, 1]."""
@overload
def abs(x: _Arrays, /) -> _Array: ...
@overload
def abs(x: _Other, /) -> Any: ...

@overload
def add(a: Tensor | Sequence[Tensor], b: _Operand, /) -> Tensor:
    """Return a + b."""
@overload
def add(a: _Operand, b: Tensor | Sequence[Tensor], /) -> Tensor: ...
@overload
def add(a: _Arrays, b: _Plain, /) -> _Array: ...
@overload
def add(a: _Plain, b: _Arrays, /) -> _Array: ...
@overload
def add(a: _Other, b: _Other, /) -> Any: ...

@overload
def arccos(x: Tensor | Sequence[Tensor], /) -> Tensor:
    """Return arccos x, between 0 and π; NaN outside of [−1, 1]. The gradient at ±1 is infinite, its limit."""
@overload
def arccos(x: _Arrays, /) -> _Array: ...
@overload
def arccos(x: _Other, /) -> Any: ...

@overload
def arcsin(x: Tensor | Sequence[Tensor], /) -> Tensor:
    """Return arcsin x, between −π/2 and π/2; NaN outside of [−1, 1]. The gradient at ±1 is infinite, its limit."""
@overload
def arcsin(x: _Arrays, /) -> _Array: ...
@overload
def arcsin(x: _Other, /) -> Any: ...

@overload
def arctan(x: Tensor | Sequence[Tensor], /) -> Tensor:
    """Return arctan x, between −π/2 and π/2."""
@overload
def arctan(x: _Arrays, /) -> _Array: ...
@overload
def arctan(x: _Other, /) -> Any: ...

@overload
def arctan2(y: Tensor | Sequence[Tensor], x: _Operand, /) -> Tensor:
    """Return the angle of the point (x, y) from the first axis, between −π and π: arctan(y / x) where x > 0.

    Its gradient is (x, −y) / (x² + y²) with respect to y and x, and 0 at infinity, its limit. Conventions: at the
    origin, where there is no angle, it is 0, as in PyTorch. On the cut, y = 0 and x < 0, it is that of both sides.

    >>> import numpy as np
    >>> np.degrees(arctan2(np.array([1.0, 1.0]), np.array([1.0, -1.0])))
    array([ 45., 135.])
    """
@overload
def arctan2(y: _Operand, x: Tensor | Sequence[Tensor], /) -> Tensor: ...
@overload
def arctan2(y: _Arrays, x: _Plain, /) -> _Array: ...
@overload
def arctan2(y: _Plain, x: _Arrays, /) -> _Array: ...
@overload
def arctan2(y: _Other, x: _Other, /) -> Any: ...

def argmax(x: Any, axis: _Axis = None, keepdims: bool = False) -> Any:
    """Return the index of the largest element along the axis, or of all elements in one row: a plain array."""

def argmin(x: Any, axis: _Axis = None, keepdims: bool = False) -> Any:
    """Return the index of the smallest element along the axis, or of all elements in one row: a plain array."""

@overload
def broadcast_to(x: Tensor | Sequence[Tensor], /, shape: Any) -> Tensor:
    """Return x repeated to the shape, without a copy. Its gradient sums over the repetitions, as for any broadcast."""
@overload
def broadcast_to(x: _Arrays, /, shape: Any) -> _Array: ...
@overload
def broadcast_to(x: _Other, /, shape: Any) -> Any: ...

@overload
def ceil(x: Tensor | Sequence[Tensor], /) -> Tensor:
    """Return ⌈x⌉, the smallest whole number that is not smaller than x. Its gradient is 0, at the jumps too."""
@overload
def ceil(x: _Arrays, /) -> _Array: ...
@overload
def ceil(x: _Other, /) -> Any: ...

@overload
def clip(x: Tensor | Sequence[Tensor], min: _Operand | None = None, max: _Operand | None = None) -> Tensor:
    """Return min where x is less, max where x is greater, and x elsewhere; None means no bound.

    Convention: the gradient passes to x inside the closed interval, at the bounds too, as in PyTorch's `clamp` up to
    2.13; since 2.14, an x that is equal to a bound has none there, or half of it if the bound is a tensor. Where a
    bound is NaN, the result is NaN, as in NumPy, and the bound takes the gradient. A bound that the integer dtype of x
    cannot hold does nothing where no x can be beyond it, and raises OverflowError where every x is beyond it.
    """
@overload
def clip(x: _Operand, min: Tensor | Sequence[Tensor], max: _Operand | None = None) -> Tensor: ...
@overload
def clip(x: _Operand, min: _Operand | None, max: Tensor | Sequence[Tensor]) -> Tensor: ...
@overload
def clip(x: _Operand, min: _Operand | None = None, *, max: Tensor | Sequence[Tensor]) -> Tensor: ...
@overload
def clip(x: _Arrays, min: _Plain | None = None, max: _Plain | None = None) -> _Array: ...
@overload
def clip(x: _Other, min: _Other | None = None, max: _Other | None = None) -> Any: ...

@overload
def concatenate(xs: Tensor | Sequence[Tensor], axis: _Axis = 0) -> Tensor:
    """Return the arrays of a sequence joined along an axis; with None, their elements in one row."""
@overload
def concatenate(xs: _Array | Sequence[_Plain], axis: _Axis = 0) -> _Array: ...  # type: ignore[overload-overlap]
@overload
def concatenate(xs: Sequence[_Operand], axis: _Axis = 0) -> Tensor: ...

@overload
def cos(x: Tensor | Sequence[Tensor], /) -> Tensor:
    """Return cos x."""
@overload
def cos(x: _Arrays, /) -> _Array: ...
@overload
def cos(x: _Other, /) -> Any: ...

@overload
def cosh(x: Tensor | Sequence[Tensor], /) -> Tensor:
    """Return cosh x = (eˣ + e⁻ˣ) / 2."""
@overload
def cosh(x: _Arrays, /) -> _Array: ...
@overload
def cosh(x: _Other, /) -> Any: ...

@overload
def cumprod(x: Tensor | Sequence[Tensor], /, axis: _Axis = None, dtype: DTypeLike | None = None) -> Tensor:
    """Return the products of the first 1, 2, 3, ... elements along the axis; axis=None takes x as one row.

    The gradient is right with any number of zeros among the elements.

    dtype : that to which the elements are converted first, and that of the result.

    >>> cumprod(np.array([2.0, 3.0, 4.0]))
    array([ 2.,  6., 24.])
    """
@overload
def cumprod(x: _Arrays, /, axis: _Axis = None, dtype: DTypeLike | None = None) -> _Array: ...
@overload
def cumprod(x: _Other, /, axis: _Axis = None, dtype: DTypeLike | None = None) -> Any: ...

@overload
def cumsum(x: Tensor | Sequence[Tensor], /, axis: _Axis = None, dtype: DTypeLike | None = None) -> Tensor:
    """Return the sums of the first 1, 2, 3, ... elements along the axis; axis=None takes x as one row."""
@overload
def cumsum(x: _Arrays, /, axis: _Axis = None, dtype: DTypeLike | None = None) -> _Array: ...
@overload
def cumsum(x: _Other, /, axis: _Axis = None, dtype: DTypeLike | None = None) -> Any: ...

@overload
def diag(v: Tensor | Sequence[Tensor], k: Any = 0) -> Tensor:
    """Return the k-th diagonal of a matrix; of a 1-D v, the matrix with v as its k-th diagonal, and 0 elsewhere."""
@overload
def diag(v: _Arrays, k: Any = 0) -> _Array: ...
@overload
def diag(v: _Other, k: Any = 0) -> Any: ...

@overload
def diagonal(x: Tensor | Sequence[Tensor], offset: Any = 0, axis1: Any = 0, axis2: Any = 1) -> Tensor:
    """Return the diagonal of each matrix in two of the axes, as the last axis; `offset` > 0 is above the main one."""
@overload
def diagonal(x: _Arrays, offset: Any = 0, axis1: Any = 0, axis2: Any = 1) -> _Array: ...
@overload
def diagonal(x: _Other, offset: Any = 0, axis1: Any = 0, axis2: Any = 1) -> Any: ...

@overload
def divide(a: Tensor | Sequence[Tensor], b: _Operand, /) -> Tensor:
    """Return a / b."""
@overload
def divide(a: _Operand, b: Tensor | Sequence[Tensor], /) -> Tensor: ...
@overload
def divide(a: _Arrays, b: _Plain, /) -> _Array: ...
@overload
def divide(a: _Plain, b: _Arrays, /) -> _Array: ...
@overload
def divide(a: _Other, b: _Other, /) -> Any: ...

@overload
def dot(a: Tensor | Sequence[Tensor], b: _Operand) -> Tensor:
    """Return the sums of products over the last axis of a and the last but one of b; over the only one of a 1-D b.

    Shapes: (..., K) and (K,) give (...); (..., K) and (K, N) give (..., N), as `matmul`; (..., K) and (..., K, N) give
    the axes of a, and then those of b. A number, or a 0-d array, multiplies each element.
    """
@overload
def dot(a: _Operand, b: Tensor | Sequence[Tensor]) -> Tensor: ...
@overload
def dot(a: _Operand, b: _Operand) -> Any: ...

@overload
def einsum(formula: Any, *xs: Tensor, optimize: bool = True) -> Tensor:
    """Return the sum of products that the formula gives: "ij,jk->ik" is Σ_j a_ij b_jk, the matrix product.

    Without an arrow, the output has the indices that occur once, in alphabetical order. An index that is repeated in an
    operand takes its diagonal; an index that is not in the output is summed over; "..." stands for all other axes.
    NumPy's other form numbers the indices, behind each operand: einsum(a, [0, 1], b, [1, 2], [0, 2]).

    optimize : NumPy's choice of the order of products. It is accepted and changes nothing: a good order is always used.

    >>> a = np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> einsum("ii", a), einsum("ij->j", a), einsum("...j->...", a)
    (np.float64(5.0), array([4., 6.]), array([3., 7.]))
    """
@overload
def einsum(formula: Any, *xs: _Plain, optimize: bool = True) -> Any: ...
@overload
def einsum(formula: Any, *xs: _Operand, optimize: bool = True) -> Tensor: ...

@overload
def exp(x: Tensor | Sequence[Tensor], /) -> Tensor:
    """Return eˣ."""
@overload
def exp(x: _Arrays, /) -> _Array: ...
@overload
def exp(x: _Other, /) -> Any: ...

@overload
def exp2(x: Tensor | Sequence[Tensor], /) -> Tensor:
    """Return 2ˣ."""
@overload
def exp2(x: _Arrays, /) -> _Array: ...
@overload
def exp2(x: _Other, /) -> Any: ...

@overload
def expand_dims(x: Tensor | Sequence[Tensor], axis: _Axis) -> Tensor:
    """Return x with new axes of length 1, at the positions `axis` of the result."""
@overload
def expand_dims(x: _Arrays, axis: _Axis) -> _Array: ...
@overload
def expand_dims(x: _Other, axis: _Axis) -> Any: ...

@overload
def expm1(x: Tensor | Sequence[Tensor], /) -> Tensor:
    """Return eˣ − 1, accurate to the last digit even where x is small and eˣ rounds to 1."""
@overload
def expm1(x: _Arrays, /) -> _Array: ...
@overload
def expm1(x: _Other, /) -> Any: ...

@overload
def flip(x: Tensor | Sequence[Tensor], axis: _Axis = None) -> Tensor:
    """Return x with the order of its elements reversed along the axes, by default along all."""
@overload
def flip(x: _Arrays, axis: _Axis = None) -> _Array: ...
@overload
def flip(x: _Other, axis: _Axis = None) -> Any: ...

@overload
def floor(x: Tensor | Sequence[Tensor], /) -> Tensor:
    """Return ⌊x⌋, the largest whole number that is not larger than x. Its gradient is 0, at the jumps too."""
@overload
def floor(x: _Arrays, /) -> _Array: ...
@overload
def floor(x: _Other, /) -> Any: ...

@overload
def floor_divide(a: Tensor | Sequence[Tensor], b: _Operand, /) -> Tensor:
    """Return ⌊a / b⌋, which is a // b. Its gradients are 0, at the jumps too.

    Floats divided by 0 give ±∞ or NaN with a warning, as in NumPy; integers give 0.
    """
@overload
def floor_divide(a: _Operand, b: Tensor | Sequence[Tensor], /) -> Tensor: ...
@overload
def floor_divide(a: _Arrays, b: _Plain, /) -> _Array: ...
@overload
def floor_divide(a: _Plain, b: _Arrays, /) -> _Array: ...
@overload
def floor_divide(a: _Other, b: _Other, /) -> Any: ...

@overload
def gelu(x: Tensor | Sequence[Tensor]) -> Tensor:
    """Return x Φ(x), Φ the normal CDF, in the tanh form ½ x (1 + tanh u) with u = √(2/π) (x + 0.044715 x³).

    The exact form is `nn.functional.gelu`. "Gaussian Error Linear Units" (Hendrycks and Gimpel, 2016) has both.
    Computed as x σ(2u), which is equal, and accurate even where 1 + tanh u rounds to 0. Convention: at −∞ it is 0, its
    limit.
    """
@overload
def gelu(x: _Arrays) -> _Array: ...
@overload
def gelu(x: _Other) -> Any: ...

@overload
def hstack(tup: Tensor | Sequence[Tensor]) -> Tensor:
    """Return the arrays of a sequence joined side by side: along the second axis, or the only one."""
@overload
def hstack(tup: _Array | Sequence[_Plain]) -> _Array: ...  # type: ignore[overload-overlap]
@overload
def hstack(tup: Sequence[_Operand]) -> Tensor: ...

@overload
def inner(a: Tensor | Sequence[Tensor], b: _Operand) -> Tensor:
    """Return the sums of products over the last axes: shapes (..., K) and (..., K) give the other axes of a, then of b.

    A number, or a 0-d array, multiplies each element.
    """
@overload
def inner(a: _Operand, b: Tensor | Sequence[Tensor]) -> Tensor: ...
@overload
def inner(a: _Operand, b: _Operand) -> Any: ...

@overload
def log(x: Tensor | Sequence[Tensor], /) -> Tensor:
    """Return ln x, the natural logarithm."""
@overload
def log(x: _Arrays, /) -> _Array: ...
@overload
def log(x: _Other, /) -> Any: ...

@overload
def log10(x: Tensor | Sequence[Tensor], /) -> Tensor:
    """Return log₁₀ x; of a power of 10 exactly, which ln x / ln 10 is not always."""
@overload
def log10(x: _Arrays, /) -> _Array: ...
@overload
def log10(x: _Other, /) -> Any: ...

@overload
def log1p(x: Tensor | Sequence[Tensor], /) -> Tensor:
    """Return ln(1 + x), accurate to the last digit even where x is small and 1 + x rounds to 1."""
@overload
def log1p(x: _Arrays, /) -> _Array: ...
@overload
def log1p(x: _Other, /) -> Any: ...

@overload
def log2(x: Tensor | Sequence[Tensor], /) -> Tensor:
    """Return log₂ x; of a power of 2 exactly, which ln x / ln 2 is not always."""
@overload
def log2(x: _Arrays, /) -> _Array: ...
@overload
def log2(x: _Other, /) -> Any: ...

@overload
def log_softmax(x: Tensor | Sequence[Tensor], /, axis: _Axis = -1) -> Tensor:
    """Return ln softmax(x) = x − logsumexp(x) along the axis, accurate even where the softmax rounds to 0."""
@overload
def log_softmax(x: _Arrays, /, axis: _Axis = -1) -> _Array: ...
@overload
def log_softmax(x: _Other, /, axis: _Axis = -1) -> Any: ...

@overload
def logaddexp(a: Tensor | Sequence[Tensor], b: _Operand, /) -> Tensor:
    """Return ln(eᵃ + eᵇ), a smooth maximum, accurate even where eᵃ and eᵇ overflow or round to 0.

    Its gradients are eᵃ / (eᵃ + eᵇ) and eᵇ / (eᵃ + eᵇ), the softmax of a and b. Convention: where both are −∞,
    and so the result is ln(0 + 0), the gradients are 0, as in `logsumexp`.

    >>> import numpy as np
    >>> np.exp(logaddexp(np.log(2.0), np.log(3.0))).round(6)
    np.float64(5.0)
    """
@overload
def logaddexp(a: _Operand, b: Tensor | Sequence[Tensor], /) -> Tensor: ...
@overload
def logaddexp(a: _Arrays, b: _Plain, /) -> _Array: ...
@overload
def logaddexp(a: _Plain, b: _Arrays, /) -> _Array: ...
@overload
def logaddexp(a: _Other, b: _Other, /) -> Any: ...

@overload
def logsumexp(x: Tensor | Sequence[Tensor], /, axis: _Axis = None, keepdims: bool = False) -> Tensor:
    """Return ln Σ exp(x) over the axes, a smooth maximum; its gradient is the softmax.

    >>> import numpy as np
    >>> logsumexp(np.array([[0.0, 0.0], [1000.0, 1000.0]]), axis=1)
    array([6.93147181e-01, 1.00069315e+03])
    """
@overload
def logsumexp(x: _Operand, /, axis: _Axis = None, keepdims: bool = False) -> Any: ...

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
def max(x: Tensor | Sequence[Tensor], /, axis: _Axis = None, keepdims: bool = False) -> Tensor:
    """Return the largest value along the axes. Convention: elements that tie for it share the gradient equally."""
@overload
def max(x: _Operand, /, axis: _Axis = None, keepdims: bool = False) -> Any: ...

@overload
def maximum(a: Tensor | Sequence[Tensor], b: _Operand, /) -> Tensor:
    """Return the larger of a and b. Convention: where a = b, the gradient is split equally between the two.

    −0 and +0 are equal: of the two, NumPy may return either one, a GPU returns +0, and `minimum` there −0.
    """
@overload
def maximum(a: _Operand, b: Tensor | Sequence[Tensor], /) -> Tensor: ...
@overload
def maximum(a: _Arrays, b: _Plain, /) -> _Array: ...
@overload
def maximum(a: _Plain, b: _Arrays, /) -> _Array: ...
@overload
def maximum(a: _Other, b: _Other, /) -> Any: ...

@overload
def mean(x: Tensor | Sequence[Tensor], /, axis: _Axis = None, keepdims: bool = False, dtype: DTypeLike | None = None) -> Tensor:
    """Return Σ x / n over the axes, n the number of elements that each sum has."""
@overload
def mean(x: _Operand, /, axis: _Axis = None, keepdims: bool = False, dtype: DTypeLike | None = None) -> Any: ...

@overload
def min(x: Tensor | Sequence[Tensor], /, axis: _Axis = None, keepdims: bool = False) -> Tensor:
    """Return the smallest value along the axes. Convention: elements that tie for it share the gradient equally."""
@overload
def min(x: _Operand, /, axis: _Axis = None, keepdims: bool = False) -> Any: ...

@overload
def minimum(a: Tensor | Sequence[Tensor], b: _Operand, /) -> Tensor:
    """Return the smaller of a and b. Convention: where a = b, the gradient is split equally between the two."""
@overload
def minimum(a: _Operand, b: Tensor | Sequence[Tensor], /) -> Tensor: ...
@overload
def minimum(a: _Arrays, b: _Plain, /) -> _Array: ...
@overload
def minimum(a: _Plain, b: _Arrays, /) -> _Array: ...
@overload
def minimum(a: _Other, b: _Other, /) -> Any: ...

@overload
def mod(a: Tensor | Sequence[Tensor], b: _Operand, /) -> Tensor:
    """Return a − b ⌊a / b⌋, which is a % b and has the sign of b.

    Its gradients are 1 for a and −⌊a / b⌋ for b; convention: at the jumps too, where b divides a, as in PyTorch.

    >>> remainder(7.5, 2.0), remainder(-7.5, 2.0)
    (1.5, 0.5)
    """
@overload
def mod(a: _Operand, b: Tensor | Sequence[Tensor], /) -> Tensor: ...
@overload
def mod(a: _Arrays, b: _Plain, /) -> _Array: ...
@overload
def mod(a: _Plain, b: _Arrays, /) -> _Array: ...
@overload
def mod(a: _Other, b: _Other, /) -> Any: ...

@overload
def moveaxis(x: Tensor | Sequence[Tensor], source: Any, destination: Any) -> Tensor:
    """Return x with an axis, or several, moved to other places; the others stay in their order."""
@overload
def moveaxis(x: _Arrays, source: Any, destination: Any) -> _Array: ...
@overload
def moveaxis(x: _Other, source: Any, destination: Any) -> Any: ...

@overload
def multiply(a: Tensor | Sequence[Tensor], b: _Operand, /) -> Tensor:
    """Return a ⊙ b, the product element by element."""
@overload
def multiply(a: _Operand, b: Tensor | Sequence[Tensor], /) -> Tensor: ...
@overload
def multiply(a: _Arrays, b: _Plain, /) -> _Array: ...
@overload
def multiply(a: _Plain, b: _Arrays, /) -> _Array: ...
@overload
def multiply(a: _Other, b: _Other, /) -> Any: ...

@overload
def negative(x: Tensor | Sequence[Tensor], /) -> Tensor:
    """Return −x."""
@overload
def negative(x: _Arrays, /) -> _Array: ...
@overload
def negative(x: _Other, /) -> Any: ...

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

@overload
def outer(a: Tensor | Sequence[Tensor], b: _Operand) -> Tensor:
    """Return all products a_i b_j, shape (M, N), of the elements of two arrays."""
@overload
def outer(a: _Operand, b: Tensor | Sequence[Tensor]) -> Tensor: ...
@overload
def outer(a: _Arrays, b: _Plain) -> _Array: ...
@overload
def outer(a: _Plain, b: _Arrays) -> _Array: ...
@overload
def outer(a: _Other, b: _Other) -> Any: ...

@overload
def pad(x: Tensor | Sequence[Tensor], pad_width: Any, mode: str = 'constant', constant_values: Any = 0) -> Tensor:
    """Return x in a border: `pad_width` at each end, or (before, after), or such a pair for each axis.

    mode : what the border is of: "constant", of `constant_values`; "edge", of the first and the last elements;
        "reflect", of those that a mirror at these shows, and "symmetric" with these too; "wrap", of those of the other
        end.

    >>> pad(np.array([1.0, 2.0, 3.0]), (2, 1), "reflect")
    array([3., 2., 1., 2., 3., 2.])
    """
@overload
def pad(x: _Arrays, pad_width: Any, mode: str = 'constant', constant_values: Any = 0) -> _Array: ...
@overload
def pad(x: _Other, pad_width: Any, mode: str = 'constant', constant_values: Any = 0) -> Any: ...

@overload
def power(a: Tensor | Sequence[Tensor], b: _Operand, /) -> Tensor:
    """Return a**b.

    Conventions where the rules' formulas give 0·∞, as in PyTorch: ∂(a**0)/∂a is 0 for every a, because a**0 is 1, even
    where 1/a overflows. At a = 0, ∂(a**b)/∂b is 0 for b > 0 and −∞ for b < 0, its limits from a > 0; for b = 0 it is 0.
    For a < 0, ∂(a**b)/∂b does not exist: it is NaN.

    A negative int is no exponent for integers: ValueError. Among the exponents of an integer array NumPy refuses
    negative ones too, but CuPy, which would have to wait for the GPU, gives 0, or ±1 where a is ±1. On the CPU a**0.5
    is √a, NaN at −∞; on a GPU it is ∞ there, as for other exponents. The square of a boolean is an int8 on the CPU, an
    int64 on a GPU.
    """
@overload
def power(a: _Operand, b: Tensor | Sequence[Tensor], /) -> Tensor: ...
@overload
def power(a: _Arrays, b: _Plain, /) -> _Array: ...
@overload
def power(a: _Plain, b: _Arrays, /) -> _Array: ...
@overload
def power(a: _Other, b: _Other, /) -> Any: ...

@overload
def prod(x: Tensor | Sequence[Tensor], /, axis: _Axis = None, keepdims: bool = False, dtype: DTypeLike | None = None) -> Tensor:
    """Return Π x over the axes. The gradient is right with any number of zeros among the elements."""
@overload
def prod(x: _Operand, /, axis: _Axis = None, keepdims: bool = False, dtype: DTypeLike | None = None) -> Any: ...

@overload
def ravel(x: Tensor | Sequence[Tensor]) -> Tensor:
    """Return the elements of x in one row, in C order."""
@overload
def ravel(x: _Arrays) -> _Array: ...
@overload
def ravel(x: _Other) -> Any: ...

@overload
def relu(x: Tensor | Sequence[Tensor], /) -> Tensor:
    """Return max(x, 0).

    Convention: relu′(0) = 0, as in "Numerical influence of ReLU'(0) on backpropagation" (Bertoin et al., 2021) and in
    PyTorch and JAX; `maximum(x, 0)` splits the gradient there and gives 1/2.
    """
@overload
def relu(x: _Arrays, /) -> _Array: ...
@overload
def relu(x: _Other, /) -> Any: ...

@overload
def remainder(a: Tensor | Sequence[Tensor], b: _Operand, /) -> Tensor:
    """Return a − b ⌊a / b⌋, which is a % b and has the sign of b.

    Its gradients are 1 for a and −⌊a / b⌋ for b; convention: at the jumps too, where b divides a, as in PyTorch.

    >>> remainder(7.5, 2.0), remainder(-7.5, 2.0)
    (1.5, 0.5)
    """
@overload
def remainder(a: _Operand, b: Tensor | Sequence[Tensor], /) -> Tensor: ...
@overload
def remainder(a: _Arrays, b: _Plain, /) -> _Array: ...
@overload
def remainder(a: _Plain, b: _Arrays, /) -> _Array: ...
@overload
def remainder(a: _Other, b: _Other, /) -> Any: ...

@overload
def repeat(x: Tensor | Sequence[Tensor], repeats: Any, axis: _Axis = None) -> Tensor:
    """Return x with each element, or each slice along the axis, so many times in turn; `repeats` may differ by place.

    >>> repeat(np.array([[1, 2], [3, 4]]), 2, axis=1)
    array([[1, 1, 2, 2],
           [3, 3, 4, 4]])
    >>> repeat(np.array([5, 6]), [1, 3])
    array([5, 6, 6, 6])
    """
@overload
def repeat(x: _Arrays, repeats: Any, axis: _Axis = None) -> _Array: ...
@overload
def repeat(x: _Other, repeats: Any, axis: _Axis = None) -> Any: ...

@overload
def reshape(x: Tensor | Sequence[Tensor], /, shape: Any) -> Tensor:
    """Return the values of x in the given shape, in C order; one length may be −1, and follows from the others.

    >>> import numpy as np
    >>> reshape(np.zeros((128, 1, 28, 28)), (128, -1)).shape
    (128, 784)
    """
@overload
def reshape(x: _Arrays, /, shape: Any) -> _Array: ...
@overload
def reshape(x: _Other, /, shape: Any) -> Any: ...

@overload
def roll(x: Tensor | Sequence[Tensor], shift: Any, axis: _Axis = None) -> Tensor:
    """Return x with its elements moved by `shift` along the axis; those that leave at the end enter at the beginning.

    Without an axis, all elements form one row. Several shifts and axes are applied one after the other.
    """
@overload
def roll(x: _Arrays, shift: Any, axis: _Axis = None) -> _Array: ...
@overload
def roll(x: _Other, shift: Any, axis: _Axis = None) -> Any: ...

@overload
def round(x: Tensor | Sequence[Tensor], /, decimals: Any = 0) -> Tensor:
    """Return x rounded to so many decimals, to an even last digit where two are equally near. Its gradient is 0.

    >>> import numpy as np
    >>> round(np.array([0.5, 1.5, 2.5]))
    array([0., 2., 2.])
    """
@overload
def round(x: _Arrays, /, decimals: Any = 0) -> _Array: ...
@overload
def round(x: _Other, /, decimals: Any = 0) -> Any: ...

@overload
def sigmoid(x: Tensor | Sequence[Tensor], /) -> Tensor:
    """Return σ(x) = 1 / (1 + e⁻ˣ) = eˣ / (1 + eˣ), the logistic function.

    Computed with e^−|x|, which cannot overflow, and exact to rounding in both tails.
    """
@overload
def sigmoid(x: _Arrays, /) -> _Array: ...
@overload
def sigmoid(x: _Other, /) -> Any: ...

@overload
def sign(x: Tensor | Sequence[Tensor], /) -> Tensor:
    """Return −1, 0 or 1: the sign of x. Its gradient is 0; convention: 0 at the jump, x = 0, too.

    Booleans have no sign in NumPy, which raises TypeError; CuPy gives 0 and 1.
    """
@overload
def sign(x: _Arrays, /) -> _Array: ...
@overload
def sign(x: _Other, /) -> Any: ...

@overload
def sin(x: Tensor | Sequence[Tensor], /) -> Tensor:
    """Return sin x."""
@overload
def sin(x: _Arrays, /) -> _Array: ...
@overload
def sin(x: _Other, /) -> Any: ...

@overload
def sinh(x: Tensor | Sequence[Tensor], /) -> Tensor:
    """Return sinh x = (eˣ − e⁻ˣ) / 2."""
@overload
def sinh(x: _Arrays, /) -> _Array: ...
@overload
def sinh(x: _Other, /) -> Any: ...

@overload
def softmax(x: Tensor | Sequence[Tensor], /, axis: _Axis = -1) -> Tensor:
    """Return p_i = exp(x_i) / Σ_k exp(x_k) along the axis: positive, with sum 1, and ordered like the logits x.

    Vector form: softmax(x) = 1/Σ exp(x_k) · [exp x_1, ..., exp x_K]ᵀ, "exponential normalisation".

    >>> import numpy as np
    >>> softmax(np.log([1.0, 2.0, 7.0])).round(6)
    array([0.1, 0.2, 0.7])
    """
@overload
def softmax(x: _Arrays, /, axis: _Axis = -1) -> _Array: ...
@overload
def softmax(x: _Other, /, axis: _Axis = -1) -> Any: ...

@overload
def softplus(x: Tensor | Sequence[Tensor], /) -> Tensor:
    """Return ln(1 + eˣ), a smooth relu; its gradient is the sigmoid. Computed as max(x, 0) + ln(1 + e^−|x|)."""
@overload
def softplus(x: _Arrays, /) -> _Array: ...
@overload
def softplus(x: _Other, /) -> Any: ...

@overload
def split(x: Tensor | Sequence[Tensor], indices_or_sections: Any, axis: _Axis = 0) -> list[Tensor]:
    """Return a list of parts of x: the given number of equal parts, or the parts between the given indices."""
@overload
def split(x: _Arrays, indices_or_sections: Any, axis: _Axis = 0) -> list[_Array]: ...
@overload
def split(x: _Other, indices_or_sections: Any, axis: _Axis = 0) -> Any: ...

@overload
def sqrt(x: Tensor | Sequence[Tensor], /) -> Tensor:
    """Return √x. The gradient at 0 is infinite, as its limit is."""
@overload
def sqrt(x: _Arrays, /) -> _Array: ...
@overload
def sqrt(x: _Other, /) -> Any: ...

@overload
def square(x: Tensor | Sequence[Tensor]) -> Tensor:
    """Return x²."""
@overload
def square(x: _Arrays) -> _Array: ...
@overload
def square(x: _Other) -> Any: ...

@overload
def squeeze(x: Tensor | Sequence[Tensor], axis: _Axis = None) -> Tensor:
    """Return x without its axes of length 1, or without those of them that `axis` names."""
@overload
def squeeze(x: _Arrays, axis: _Axis = None) -> _Array: ...
@overload
def squeeze(x: _Other, axis: _Axis = None) -> Any: ...

@overload
def stack(xs: Tensor | Sequence[Tensor], axis: _Axis = 0) -> Tensor:
    """Return arrays of one shape as the slices of a new axis."""
@overload
def stack(xs: _Array | Sequence[_Plain], axis: _Axis = 0) -> _Array: ...  # type: ignore[overload-overlap]
@overload
def stack(xs: Sequence[_Operand], axis: _Axis = 0) -> Tensor: ...

@overload
def std(x: Tensor | Sequence[Tensor], axis: _Axis = None, keepdims: bool = False, ddof: Any = 0) -> Tensor:
    """Return the standard deviation √var. Convention: where it is 0, the gradient is 0."""
@overload
def std(x: _Operand, axis: _Axis = None, keepdims: bool = False, ddof: Any = 0) -> Any: ...

@overload
def subtract(a: Tensor | Sequence[Tensor], b: _Operand, /) -> Tensor:
    """Return a − b."""
@overload
def subtract(a: _Operand, b: Tensor | Sequence[Tensor], /) -> Tensor: ...
@overload
def subtract(a: _Arrays, b: _Plain, /) -> _Array: ...
@overload
def subtract(a: _Plain, b: _Arrays, /) -> _Array: ...
@overload
def subtract(a: _Other, b: _Other, /) -> Any: ...

@overload
def sum(x: Tensor | Sequence[Tensor], /, axis: _Axis = None, keepdims: bool = False, dtype: DTypeLike | None = None) -> Tensor:
    """Return Σ x over the axes. Its gradient gives each element the g of its sum, as a read-only broadcast view."""
@overload
def sum(x: _Operand, /, axis: _Axis = None, keepdims: bool = False, dtype: DTypeLike | None = None) -> Any: ...

@overload
def swapaxes(x: Tensor | Sequence[Tensor], axis1: Any, axis2: Any) -> Tensor:
    """Return x with two axes exchanged."""
@overload
def swapaxes(x: _Arrays, axis1: Any, axis2: Any) -> _Array: ...
@overload
def swapaxes(x: _Other, axis1: Any, axis2: Any) -> Any: ...

@overload
def take(x: Tensor | Sequence[Tensor], indices: Any, axis: _Axis = None) -> Tensor:
    """Return the elements, or the slices along the axis, at integer indices; an index may repeat.

    Booleans count as the integers 0 and 1, as in NumPy; x[mask] selects by a mask.
    """
@overload
def take(x: _Operand, indices: Any, axis: _Axis = None) -> Any: ...

@overload
def take_along_axis(x: Tensor | Sequence[Tensor], indices: Any, axis: _Axis = -1) -> Tensor:
    """Return the elements of x at the indices along the axis, such as argsort gives: one index for each result."""
@overload
def take_along_axis(x: _Arrays, indices: Any, axis: _Axis = -1) -> _Array: ...
@overload
def take_along_axis(x: _Other, indices: Any, axis: _Axis = -1) -> Any: ...

@overload
def tan(x: Tensor | Sequence[Tensor], /) -> Tensor:
    """Return tan x = sin x / cos x."""
@overload
def tan(x: _Arrays, /) -> _Array: ...
@overload
def tan(x: _Other, /) -> Any: ...

@overload
def tanh(x: Tensor | Sequence[Tensor], /) -> Tensor:
    """Return tanh x = (eˣ − e⁻ˣ) / (eˣ + e⁻ˣ)."""
@overload
def tanh(x: _Arrays, /) -> _Array: ...
@overload
def tanh(x: _Other, /) -> Any: ...

@overload
def tensordot(a: Tensor | Sequence[Tensor], b: _Operand, axes: Any = 2) -> Tensor:
    """Return the sums of products over several axes; the other axes of a come first in the result, then those of b.

    axes : how many of the last axes of a, and of the first of b; or a pair, an axis or a list of axes of each.

    >>> tensordot(np.ones((2, 3, 4)), np.ones((4, 3, 5)), axes=([1, 2], [1, 0])).shape
    (2, 5)
    """
@overload
def tensordot(a: _Operand, b: Tensor | Sequence[Tensor], axes: Any = 2) -> Tensor: ...
@overload
def tensordot(a: _Arrays, b: _Plain, axes: Any = 2) -> _Array: ...
@overload
def tensordot(a: _Plain, b: _Arrays, axes: Any = 2) -> _Array: ...
@overload
def tensordot(a: _Other, b: _Other, axes: Any = 2) -> Any: ...

@overload
def tile(x: Tensor | Sequence[Tensor], reps: Any) -> Tensor:
    """Return x repeated as a whole, `reps` times along each axis; the last of `reps` is for the last axis.

    >>> tile(np.array([1, 2]), (2, 2))
    array([[1, 2, 1, 2],
           [1, 2, 1, 2]])
    """
@overload
def tile(x: _Arrays, reps: Any) -> _Array: ...
@overload
def tile(x: _Other, reps: Any) -> Any: ...

@overload
def trace(x: Tensor | Sequence[Tensor], offset: Any = 0, axis1: Any = 0, axis2: Any = 1, dtype: DTypeLike | None = None) -> Tensor:
    """Return the sum along the diagonal of each matrix in two of the axes; see `diagonal`."""
@overload
def trace(x: _Operand, offset: Any = 0, axis1: Any = 0, axis2: Any = 1, dtype: DTypeLike | None = None) -> Any: ...

@overload
def transpose(x: Tensor | Sequence[Tensor], /, axes: Any = None) -> Tensor:
    """Return x with its axes in the order `axes`; by default reversed, which for a matrix is xᵀ."""
@overload
def transpose(x: _Arrays, /, axes: Any = None) -> _Array: ...
@overload
def transpose(x: _Other, /, axes: Any = None) -> Any: ...

@overload
def tril(m: Tensor | Sequence[Tensor], k: Any = 0) -> Tensor:
    """Return each matrix in the last two axes with 0 above its k-th diagonal."""
@overload
def tril(m: _Arrays, k: Any = 0) -> _Array: ...
@overload
def tril(m: _Other, k: Any = 0) -> Any: ...

@overload
def triu(m: Tensor | Sequence[Tensor], k: Any = 0) -> Tensor:
    """Return each matrix in the last two axes with 0 below its k-th diagonal."""
@overload
def triu(m: _Arrays, k: Any = 0) -> _Array: ...
@overload
def triu(m: _Other, k: Any = 0) -> Any: ...

@overload
def var(x: Tensor | Sequence[Tensor], axis: _Axis = None, keepdims: bool = False, ddof: Any = 0) -> Tensor:
    """Return the variance Σ (x − x̄)² / (n − ddof) over the axes, x̄ the mean of the n elements."""
@overload
def var(x: _Operand, axis: _Axis = None, keepdims: bool = False, ddof: Any = 0) -> Any: ...

@overload
def vstack(tup: Tensor | Sequence[Tensor]) -> Tensor:
    """Return the arrays of a sequence joined one below the other, along the first axis; each 1-D array is a row."""
@overload
def vstack(tup: _Array | Sequence[_Plain]) -> _Array: ...  # type: ignore[overload-overlap]
@overload
def vstack(tup: Sequence[_Operand]) -> Tensor: ...

@overload
def where(condition: Tensor, a: _Operand, b: _Operand, /) -> Tensor:
    """Return a where the condition holds and b elsewhere.

    The gradient passes only to the operand that was chosen. An operand that is not finite where it was not chosen can
    still give 0·∞ = NaN in the rule of what made it: choose safe values first, where(c, log(where(c, x, 1)), 0).
    An int that the integer dtype of the other operand cannot hold is an OverflowError.
    """
@overload
def where(condition: _Operand, a: Tensor | Sequence[Tensor], b: _Operand, /) -> Tensor: ...
@overload
def where(condition: _Operand, a: _Operand, b: Tensor | Sequence[Tensor], /) -> Tensor: ...
@overload
def where(condition: _Arrays, a: _Plain, b: _Plain, /) -> _Array: ...
@overload
def where(condition: _Plain, a: _Arrays, b: _Plain, /) -> _Array: ...
@overload
def where(condition: _Plain, a: _Plain, b: _Arrays, /) -> _Array: ...
@overload
def where(condition: _Other, a: _Other, b: _Other, /) -> Any: ...

@overload
def windows(x: Tensor | Sequence[Tensor], /, shape: Any, stride: Any = 1, dilation: Any = 1) -> Tensor:
    """Return all windows of a shape over the last axes of x, as a view: the positions, and behind them the windows.

    x : shape (..., L₁, ..., L_d).  shape : the lengths (K₁, ..., K_d) of a window, or one integer for a window over the
    last axis.  stride : the steps from window to window; dilation : those from element to element inside of a window;
    one integer for all axes, or one for each.  Result : shape (..., P₁, ..., P_d, K₁, ..., K_d), where

        result[..., p, j] = x[..., stride · p + dilation · j],        P = ⌊(L − dilation · (K − 1) − 1) / stride⌋ + 1

    What does not fill a window at the end is left out. The view is read-only. Raises ValueError if a window is longer
    than its axis. PyTorch's name is `Tensor.unfold`, NumPy's `sliding_window_view`.

    >>> import numpy as np
    >>> windows(np.arange(6.0), 2, stride=2, dilation=3)
    array([[0., 3.],
           [2., 5.]])
    >>> windows(np.zeros((64, 3, 28, 28)), (5, 5)).shape
    (64, 3, 24, 24, 5, 5)
    """
@overload
def windows(x: _Arrays, /, shape: Any, stride: Any = 1, dilation: Any = 1) -> _Array: ...
@overload
def windows(x: _Other, /, shape: Any, stride: Any = 1, dilation: Any = 1) -> Any: ...
