"""What CuPy computes otherwise than NumPy: powers of integers, zeros of two signs, half precision; noise in sums."""

import math
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

Host = np.ndarray[Any, Any]

NOISE = True
"""Whether sums and products of floating point numbers differ from NumPy's by a unit in the last place."""


def in_c_order(result: Any) -> Any:
    """Return NumPy's result as a kernel writes it: in C order, whatever the order of the operands."""
    if type(result) is tuple:
        return tuple(in_c_order(part) for part in result)
    return result if result.ndim < 2 or result.flags.c_contiguous else result.copy()


def written(result: Any, out: tuple[Host, ...], dtype: Any = None, casting: str = "same_kind") -> Any:
    """Return a result in the dtype that is asked for, or write it into the output."""
    if out:
        np.copyto(out[0], result, casting)  # type: ignore[arg-type]
        return out[0]
    return np.asarray(result) if dtype is None else np.asarray(result).astype(dtype)


def power(a: Any, b: Any, *out: Host, **kwargs: Any) -> Any:
    """Return a**b; of integers also where b is negative, which NumPy refuses: 0, unless a is 1 or −1.

    NumPy takes the root for the exponent 0.5, if it is a single number: then −∞ gives NaN, and −0 itself.
    """
    dtype = np.result_type(a, b)
    if dtype.kind == "f" and np.size(b) == 1 and b == 0.5:
        result = np.where(np.equal(a, -np.inf), np.inf, np.power(a, b, **kwargs) + 0.0)
        return written(result, out, **kwargs)
    if dtype.kind not in "iu" or not np.any(np.less(b, 0)):
        return np.power(a, b, *out, **kwargs)
    base, exponent = np.broadcast_arrays(np.asarray(a, dtype), np.asarray(b, dtype))
    unit = np.where(base == -1, 1 - 2 * (exponent & 1), base == 1)
    result = np.where(exponent < 0, unit, np.power(base, np.maximum(exponent, 0)))
    return written(result.astype(dtype), out, **kwargs)


def sign(x: Any, *out: Host, **kwargs: Any) -> Any:
    """Return the sign; of booleans an int8, where NumPy refuses."""
    if np.asarray(x).dtype == bool:
        x = np.asarray(x, np.int8)
    return np.sign(x, *out, **kwargs)


def maximum(a: Any, b: Any, *out: Host, **kwargs: Any) -> Any:
    """Return the greater one; of two zeros +0, in either order, where NumPy returns one of them."""
    return _signed_zeros(np.maximum, np.logical_and, a, b, out, kwargs)


def minimum(a: Any, b: Any, *out: Host, **kwargs: Any) -> Any:
    """Return the smaller one; of two zeros −0 if one of them is."""
    return _signed_zeros(np.minimum, np.logical_or, a, b, out, kwargs)


def _signed_zeros(plain: Any, is_negative: Any, a: Any, b: Any, out: Any, kwargs: Any) -> Any:
    if np.result_type(a, b).kind != "f":
        return plain(a, b, out=out or None, **kwargs)
    are_zeros = np.logical_and(np.equal(a, 0), np.equal(b, 0))
    negative = is_negative(*(np.signbit(float(x) if type(x) is int else x) for x in (a, b)))
    result = np.asarray(plain(a, b, **kwargs))
    result[are_zeros] = np.where(negative, -0.0, 0.0)[are_zeros]
    return written(result, out)


UNLIKE_NUMPY: dict[str, Callable[..., Any]] = {"power": power, "sign": sign, "maximum": maximum, "minimum": minimum}
"""The ufuncs that give other values than NumPy's, by NumPy's names."""


def check_scalars(dtype: "np.dtype[Any]", *operands: Any) -> None:
    """Raise OverflowError for a Python integer that an integer dtype cannot hold, where NumPy may wrap or take it."""
    if dtype.kind in "iu":
        for operand in operands:
            if type(operand) is int:
                dtype.type(operand)


def clipped(x: Host, low: Any, high: Any) -> Any:
    """Return x between the bounds by CuPy's formula, in which a NaN compares as False and so bounds nothing."""
    kind = x.dtype.kind
    if kind in "fiu":
        limits = (-np.inf, np.inf) if kind == "f" else (np.iinfo(x.dtype).min, np.iinfo(x.dtype).max)
        low = x.dtype.type(limits[0]) if low is None else low
        high = x.dtype.type(limits[1]) if high is None else high
    if low is None or high is None:
        return np.clip(x, low, high) if low is not None or high is not None else x.copy()
    dtype = np.result_type(x, low, high)
    check_scalars(dtype, low, high)
    low, high = np.asarray(low, dtype), np.asarray(high, dtype)
    inside = np.where(x < low, low, np.where(x > high, high, x))
    return np.where(low > high, high, inside).astype(dtype, copy=False)


def scanned(plain: np.ufunc, x: Host, axis: int | None) -> Host:
    """Return the partial sums or products in half precision: each step of the scan rounds."""
    x = x.reshape(-1) if axis is None else np.moveaxis(x, axis, 0)
    made, step = x.copy(), 1
    while step < len(made):
        made[step:], step = plain(made[step:], made[:-step]), 2 * step
    return made if axis is None else np.moveaxis(made, 0, axis)


def is_half_dot(a: Host, b: Host) -> bool:
    """Whether this is one row times one column in half precision, in one axis or two: CuPy leaves it to no cuBLAS."""
    return (
        a.dtype == b.dtype == np.float16
        and 1 <= a.ndim <= 2
        and 1 <= b.ndim <= 2
        and a.size == b.size == a.shape[-1] == b.shape[0]
    )


def half_dot(a: Host, b: Host) -> Host:
    """Return the product of a row and a column: each product and each sum rounds to half, and may overflow."""
    if not a.size:
        return np.zeros(a.shape[:-1] + b.shape[1:], np.float16)
    terms = a.reshape(-1) * b.reshape(-1)
    while len(terms) > 1:
        middle = (len(terms) + 1) // 2
        rest = terms[middle:]
        terms = np.concatenate([terms[: len(rest)] + rest, terms[len(rest) : middle]])
    return terms[:1].reshape(a.shape[:-1] + b.shape[1:])


# Noise: a GPU adds in another order than NumPy. Only sums that are exact in every order have the same bits everywhere.


def is_noisy(*operands: Any) -> bool:
    """Whether a sum of products of these operands is one of float32 or float64, and noise is asked for."""
    return NOISE and np.result_type(*operands).char in "fd"


def noisy_sum(x: Host, axis: Any, keepdims: bool, result: Any) -> Any:
    """Return the sum or mean with noise, except where it has at most two terms, which have one order only."""
    if result.dtype != x.dtype or x.size <= 2 * result.size:
        return result
    kept: dict[str, Any] = {"axis": axis, "keepdims": keepdims}
    return _noisy(result, np.abs(x).sum(**kept), _lowest_bits(x).min(**kept))


def noisy_product(operands: list[Host], product: Callable[..., Any], result: Any) -> Any:
    """Return a sum of products with noise, `product` being the one that does it on NumPy's arrays."""
    arrays = [np.asarray(x, result.dtype) for x in operands]
    if any(not x.size for x in arrays) or not result.size:
        return result
    if product(*[np.ones_like(x) for x in arrays]).max() <= 1:
        return result  # each element has one term: nothing is summed
    bound = product(*[np.abs(x) for x in arrays])
    return _noisy(result, bound, sum(float(_lowest_bits(x).min()) for x in arrays))


def _lowest_bits(x: Host) -> Host:
    """Return the exponents of the last bits that are set: x is a multiple of 2 to this power."""
    fractions, exponents = np.frexp(np.where(np.isfinite(x), x, 0).astype(np.float64))
    bits = (fractions * 2.0**53).astype(np.int64)
    lowest = np.frexp((bits & -bits).astype(np.float64))[1] - 1
    return np.where(bits == 0, math.inf, exponents - 53.0 + lowest)


def _noisy(result: Any, bound: Any, lowest: Any) -> Any:
    """Return the result with a unit in the last place more, or less, or as it is, as its shape and place say.

    Sums of multiples of one power of two, 2^`lowest`, are exact if the sum of magnitudes `bound` fits the mantissa.
    """
    mantissa = np.finfo(result.dtype).nmant + 1
    with np.errstate(all="ignore"):
        is_exact = np.asarray(bound) <= np.exp2(np.asarray(lowest, np.float64) + mantissa)
    seed = zlib.crc32(repr((result.shape, result.dtype.char)).encode())
    direction = ((np.arange(result.size, dtype=np.int64) + seed) % 3 - 1).reshape(result.shape)
    still = is_exact | (direction == 0) | (result == 0) | ~np.isfinite(result)
    moved = np.nextafter(result, np.where(direction > 0, np.inf, -np.inf).astype(result.dtype))
    return np.where(still | ~np.isfinite(moved), result, moved)
