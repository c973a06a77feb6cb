"""The x-max family: differentiable ways to say which of several numbers is the largest.

Each of these maps gives numbers z the distribution p that maximises ⟨p, z⟩ + H(p). A larger z gets a larger p, and the
entropy H rewards an even distribution. Without H the largest z would get everything, as in argmax.

    softmax     H = −Σ p ln p                p = exp(z) / Σ exp(z)
    entmax15    H = 4/3 Σ (p − p^1.5)        p = [z/2 − τ]₊²
    sparsemax   H = 1/2 Σ (p − p²)           p = [z − τ]₊

with the threshold τ that makes the sum 1. They obey the same laws: p is a distribution in the order of z, and z + c
gives the same p. The Jacobian is diag(s) − s sᵀ/Σs with s = p, √p and [p > 0]: it is symmetric and positive
semi-definite, and its rows sum to 0. For z/T each map becomes argmax in the limit of temperature T → 0. Sparsemax is
argmax already once T is at most the gap between the largest two numbers, entmax15 at half of that.

"From Softmax to Sparsemax" (Martins and Astudillo, 2016); "Sparse Sequence-to-Sequence Models" (Peters, Niculae and
Martins, 2019). Here a number −∞ is masked: its p is 0. Where all are masked, p and its gradient are 0.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy import finfo
from numpy.exceptions import AxisError

from tinygrad_sm.arguments import integer, number
from tinygrad_sm.arrays import as_array, described
from tinygrad_sm.backend import ARRAY_TYPES, Array, array_module, device_of
from tinygrad_sm.engine.primitive import as_operand
from tinygrad_sm.engine.tape import Traced, data_of
from tinygrad_sm.ops import softmax as _softmax_ops
from tinygrad_sm.ops.elementwise import relu, sqrt, where
from tinygrad_sm.ops.reductions import sum
from tinygrad_sm.precision import as_precise_as, wide
from tinygrad_sm.shares import uniform_draws


def softmax(x: Any, dim: int = -1, temperature: Any = 1.0) -> Any:
    """Return exp(x/T) / Σ exp(x/T) along the axis `dim`; T → 0 gives argmax, T → ∞ equal shares.

    The temperature T is a number or, if learned, a Tensor of one element; ∞ gives all that are not masked equal shares.

    >>> softmax([1.0, 1.5, 2.0], temperature=0.25).round(4)
    array([0.0159, 0.1173, 0.8668], dtype=float32)
    """
    x = _checked_operand("softmax", x, dim)
    return _softmax(x, dim, _temperature("softmax", "temperature", temperature))


def sparsemax(x: Any, dim: int = -1) -> Any:
    """Return [x − τ]₊ along the axis `dim`, the point of the simplex nearest to x: exactly 0 for numbers far behind.

    The gradient at the kinks, where a p begins to be positive, is that of p = 0.

    >>> sparsemax([1.0, 1.5, 0.5])
    array([0.25, 0.75, 0.  ], dtype=float32)
    """
    return _of_shifted(_sparsemax_of_shifted, _checked_operand("sparsemax", x, dim), dim)


def entmax15(x: Any, dim: int = -1) -> Any:
    """Return [x/2 − τ]₊² along the axis `dim`, between softmax and sparsemax: smooth where a p becomes 0.

    >>> entmax15([1.0, 1.5, 0.5, -2.0]).round(4)
    array([0.2917, 0.6242, 0.0841, 0.    ], dtype=float32)
    """
    return _of_shifted(_entmax15_of_shifted, _checked_operand("entmax15", x, dim), dim)


def gumbel_softmax(logits: Any, tau: Any = 1.0, hard: bool = False, dim: int = -1) -> Any:
    """Return softmax((logits + G)/τ) with G from the Gumbel distribution; `tg.manual_seed` sets the draws.

    The index of its largest number is a draw from softmax(logits). With `hard` the result is 1 there and 0 elsewhere,
    but has the gradient of the soft one, as if nothing had been rounded (straight through). "Categorical
    Reparameterization with Gumbel-Softmax" (Jang, Gu and Poole, 2017).
    """
    logits, tau = _checked_operand("gumbel_softmax", logits, dim), _temperature("gumbel_softmax", "tau", tau)
    data = data_of(logits)
    draws = np.maximum(uniform_draws(data.shape), 2.0**-54)  # never 0
    noise = as_array(-np.log(-np.log1p(-draws)), device=device_of(data))
    noise = noise.astype(data.dtype if data.dtype.kind == "f" else noise.dtype)
    soft = _softmax(logits + noise, dim, tau)
    if not hard or soft.ndim == 0 or soft.size == 0:  # a single number is 1 in any case
        return soft
    p = data_of(soft)
    is_drawn = (positions_along(p, dim) == p.argmax(axis=dim, keepdims=True)) & (p > 0)  # none where all are masked
    return is_drawn.astype(p.dtype) + (soft - p)  # soft − p is 0, with the gradient of soft


def shifted(x: Any, dim: int) -> Any:
    """Return wide(x) minus its maximum along the axis, which gets no gradient; rows that are all −∞ stay so."""
    x = wide(as_operand(x))
    data = data_of(x)
    xp = array_module(data)
    largest = data.max(axis=dim, keepdims=True)
    return x - xp.where(xp.isneginf(largest), 0, largest)


def positions_along(x: Array, dim: int) -> Array:
    """Return 0, 1, 2, ... along the axis, of length 1 along the others."""
    shape = [1] * x.ndim
    shape[dim] = x.shape[dim]
    return array_module(x).arange(x.shape[dim]).reshape(shape)


def sparsemax_conjugate(z: Any, dim: int) -> Any:
    """Return max ⟨p, z⟩ + H(p) of the shifted z with H = (1 − Σ p²)/2; its gradient is sparsemax."""
    p = _sparsemax_of_shifted(z, dim)
    return sum(weigh(p, z) - p * p / 2, axis=dim) + 1 / 2


def entmax15_conjugate(z: Any, dim: int) -> Any:
    """Return max ⟨p, z⟩ + H(p) of the shifted z with H = 4/3 (1 − Σ p^1.5); its gradient is entmax15."""
    root = _entmax15_root(z, dim)
    p = root * root
    return sum(weigh(p, z) - 4 / 3 * p * root, axis=dim) + 4 / 3


def weigh(weights: Any, x: Any) -> Any:
    """Return weights ⊙ x where 0·∞ is 0: an element of weight 0 adds nothing to a sum."""
    unweighted = (data_of(weights) == 0) & array_module(data_of(x)).isinf(data_of(x))
    return weights * where(unweighted, 0, x)


def _checked_operand(name: str, x: Any, dim: Any) -> Any:
    """Return x as an operand; AxisError unless it has the axis `dim`. A number has one axis, as in tg.softmax."""
    x = as_operand(x)
    ndim = max(x.ndim, 1)
    if not -ndim <= integer(name, "dim", dim) < ndim:
        raise AxisError(dim, x.ndim, f"{name} of {described(x)}")
    return x


def _of_shifted(f: Callable[[Any, int], Any], x: Any, dim: int) -> Any:
    """Return f(z, dim) of the shifted x, in the precision of x, where f is one of the family."""
    if x.ndim == 0 or x.size == 0:  # there all of the family are alike
        return _softmax_ops.softmax(x, dim)
    return as_precise_as(x, f(shifted(x, dim), dim))


def _softmax(x: Any, dim: int, temperature: Any) -> Any:
    """Return softmax(x/T) along the axis, where the temperature T has been checked."""
    if isinstance(temperature, float) and temperature == 1:
        return _softmax_ops.softmax(x, dim)
    return _of_shifted(lambda z, dim: _softmax_ops.softmax(_divide_by_temperature(z, temperature), dim), x, dim)


def _divide_by_temperature(z: Any, temperature: Any) -> Any:
    """Return z/T of the shifted z; masked numbers stay −∞: −∞/∞ and the gradient of −∞/T by T would be NaN."""
    if isinstance(temperature, float) and temperature < math.inf:
        limits = finfo(z.dtype)  # a T out of this range gives the limit for T → 0 or ∞
        temperature = min(max(temperature, float(limits.tiny)), float(limits.max))
    is_masked = array_module(data_of(z)).isneginf(data_of(z))
    return where(is_masked, -math.inf, where(is_masked, 0, z) / temperature)


def _sparsemax_of_shifted(z: Any, dim: int) -> Any:
    """Return [z − τ]₊ with τ = (Σ z − 1)/k over the k numbers of the support."""
    support, k = _support(z, dim, lambda sums, squares, k: (sums - 1) / k)
    return relu(z - (sum(where(support, z, 0), axis=dim, keepdims=True) - 1) / k)


def _entmax15_of_shifted(z: Any, dim: int) -> Any:
    """Return [z/2 − τ]₊²."""
    root = _entmax15_root(z, dim)
    return root * root


def _entmax15_root(z: Any, dim: int) -> Any:
    """Return [z/2 − τ]₊, whose squares have sum 1.

    Over the k numbers of the support, with mean m of z/2 and S = Σ (z/2 − m)², this sum is S + k (m − τ)². So
    τ = m − √((1 − S)/k). The radicand is (Σ √p / k)², at least 1/k² as the p have sum 1.
    """
    z = z / 2

    def threshold(sums: Array, squares: Array, k: Array) -> Array:
        xp = array_module(sums)
        return sums / k - xp.sqrt(xp.maximum(1 - squares + sums * sums / k, 0) / k)

    support, k = _support(z, dim, threshold)
    mean = sum(where(support, z, 0), axis=dim, keepdims=True) / k
    deviations = where(support, z - mean, 0)
    below_root = (1 - sum(deviations * deviations, axis=dim, keepdims=True)) / k
    return relu(z - mean + sqrt(below_root))


def _support(z: Any, dim: int, threshold: Callable[[Array, Array, Array], Array]) -> tuple[Array, Array]:
    """Return which of the shifted z are greater than τ, the support, and their number, at least 1.

    If the support were the k largest, τ would be `threshold` of their sum, the sum of their squares, and k. The right k
    is the last one whose smallest number is greater than that. No τ is less than −1, as no p is more than 1.
    """
    data = data_of(z)
    xp = array_module(data)
    descending = -xp.sort(-xp.maximum(data, -1).astype(xp.float64), axis=dim)
    k = positions_along(data, dim) + 1
    thresholds = threshold(xp.cumsum(descending, axis=dim), xp.cumsum(descending**2, axis=dim), k)
    size = (descending > thresholds).sum(axis=dim, keepdims=True)
    support = data > xp.where(k == size, thresholds, 0).sum(axis=dim, keepdims=True)
    return support, xp.maximum(support.sum(axis=dim, keepdims=True), 1).astype(data.dtype)


def _temperature(name: str, option: str, given: Any) -> Any:
    """Return a number greater than 0 as a float, and an array or Tensor of one element in the shape ()."""
    if not (isinstance(given, Traced) or type(given) in ARRAY_TYPES):
        temperature = number(name, option, given, smallest=0, finite=False)
    elif given.size != 1 or given.dtype.kind not in "fiu":
        raise ValueError(
            f"{name}: expected one number as {option}, got {described(given)}: divide x by an array itself"
        )
    else:
        temperature = given.reshape(())
    if not temperature > 0:
        raise ValueError(f"{name}: expected {option} greater than 0, got {given}: argmax is the limit at 0")
    return temperature
