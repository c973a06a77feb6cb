"""Operations that need no rule of their own: they are formulas of the others, and the chain rule does the rest."""

import math
from string import ascii_letters

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from tinygrad_sm.arguments import choice
from tinygrad_sm.arrays import as_array, described
from tinygrad_sm.backend import NUMBERS, array_module, device_of
from tinygrad_sm.dtypes import check_unmasked
from tinygrad_sm.engine.primitive import as_operand
from tinygrad_sm.engine.tape import data_of
from tinygrad_sm.ops import linalg, shaping
from tinygrad_sm.ops.elementwise import as_floats, multiply, sigmoid, sqrt, where
from tinygrad_sm.ops.indexing import put
from tinygrad_sm.ops.reductions import mean, sum
from tinygrad_sm.ops.shaping import broadcast_to, reshape, transpose
from tinygrad_sm.precision import as_precise_as, wide


def square(x):
    """Return x²."""
    return multiply(x, x)


def clip(x, min=None, max=None):
    """Return min where x is less, max where x is greater, and x elsewhere; None means no bound.

    Convention: the gradient passes to x inside the closed interval, at the bounds too, as in PyTorch's `clamp` up to
    2.13; since 2.14, an x that is equal to a bound has none there, or half of it if the bound is a tensor. Where a
    bound is NaN, the result is NaN, as in NumPy, and the bound takes the gradient. A bound that the integer dtype of x
    cannot hold does nothing where no x can be beyond it, and raises OverflowError where every x is beyond it.
    """
    x = as_operand(x)
    min, max = (bound if bound is None or type(bound) in NUMBERS else as_operand(bound, x) for bound in (min, max))
    if x.dtype.kind in "iu":
        limits = np.iinfo(x.dtype)
        min = None if isinstance(min, int) and min < limits.min else min
        max = None if isinstance(max, int) and max > limits.max else max
    if min is not None:
        x = where(_or_nan(x < data_of(min), min), min, x)
    if max is not None:
        x = where(_or_nan(x > data_of(max), max), max, x)
    return x


def _or_nan(is_beyond, bound):
    """Return the mask of x beyond the bound, and also where the bound is NaN, for which comparisons are False."""
    bound = data_of(bound)
    if isinstance(bound, int | float) and bound == bound:
        return is_beyond  # most bounds need no second mask
    return is_beyond | (bound != bound)


def gelu(x):
    """Return x Φ(x), Φ the normal CDF, in the tanh form ½ x (1 + tanh u) with u = √(2/π) (x + 0.044715 x³).

    The exact form is `nn.functional.gelu`. "Gaussian Error Linear Units" (Hendrycks and Gimpel, 2016) has both.
    Computed as x σ(2u), which is equal, and accurate even where 1 + tanh u rounds to 0. Convention: at −∞ it is 0, its
    limit.
    """
    x = as_floats(as_operand(x))
    x = clip(x, -30)  # from there on σ is 0, and −∞·0 would be NaN
    bounded = clip(x, None, 30)  # above 30, σ rounds to 1, and x³ may overflow
    return x * sigmoid(math.sqrt(8 / math.pi) * (bounded + 0.044715 * bounded**3))


def var(x, axis=None, keepdims=False, ddof=0):
    """Return the variance Σ (x − x̄)² / (n − ddof) over the axes, x̄ the mean of the n elements."""
    x = as_operand(x)
    return as_precise_as(x, _wide_var(x, axis, keepdims, ddof))


def std(x, axis=None, keepdims=False, ddof=0):
    """Return the standard deviation √var. Convention: where it is 0, the gradient is 0."""
    x = as_operand(x)
    return as_precise_as(x, root(_wide_var(x, axis, keepdims, ddof)))


def _wide_var(x, axis, keepdims, ddof):
    """Return the variance of wide(x): in half precision, the square of 256 overflows, and that of 1e-4 is 0."""
    x = wide(x)
    center = mean(x, axis, keepdims=True)
    n = x.size // center.size if center.size else 0
    correction = n / (n - ddof) if n > ddof else math.inf
    return mean(square(x - center), axis, keepdims) * correction


def root(x, degree=2):
    """Return x^(1/degree) of x ≥ 0, with the gradient 0 where x is 0: there the root's own may be infinite."""
    is_zero = x == 0
    x = where(is_zero, 1, x)  # 0·∞ would be NaN
    return where(is_zero, 0, sqrt(x) if degree == 2 else x ** (1 / degree))


def ravel(x):
    """Return the elements of x in one row, in C order."""
    return reshape(x, (-1,))


def swapaxes(x, axis1, axis2):
    """Return x with two axes exchanged."""
    x = as_operand(x)
    return transpose(x, _axis_tracker(x).swapaxes(axis1, axis2).shape)


def moveaxis(x, source, destination):
    """Return x with an axis, or several, moved to other places; the others stay in their order."""
    x = as_operand(x)
    return transpose(x, np.moveaxis(_axis_tracker(x), source, destination).shape)


def _axis_tracker(x):
    """Return an empty array of shape (0, 1, 2, ...): when NumPy moves an axis, the axis's length says which it was."""
    return np.empty(range(x.ndim))


def squeeze(x, axis=None):
    """Return x without its axes of length 1, or without those of them that `axis` names."""
    x = as_operand(x)
    return reshape(x, data_of(x).squeeze(axis).shape)


def expand_dims(x, axis):
    """Return x with new axes of length 1, at the positions `axis` of the result."""
    x = as_operand(x)
    return reshape(x, array_module(data_of(x)).expand_dims(data_of(x), axis).shape)


def _index_along(axis, index, x):
    """Return the index that applies `index` to one axis of x and takes all of the others."""
    return (slice(None),) * normalize_axis_index(axis, x.ndim) + (index,)


def flip(x, axis=None):
    """Return x with the order of its elements reversed along the axes, by default along all."""
    x = as_operand(x)
    for i in range(x.ndim) if axis is None else np.atleast_1d(axis):
        x = x[_index_along(i, slice(None, None, -1), x)]
    return x


def roll(x, shift, axis=None):
    """Return x with its elements moved by `shift` along the axis; those that leave at the end enter at the beginning.

    Without an axis, all elements form one row. Several shifts and axes are applied one after the other.
    """
    check_unmasked(shift)
    x = as_operand(x)
    if axis is None:
        return reshape(roll(ravel(x), shift, 0), x.shape)
    for by, i in np.broadcast(shift, axis):
        first = -int(by) % x.shape[i] if x.shape[i] else 0  # int, because a narrow integer of NumPy may overflow
        x = concatenate([x[_index_along(i, slice(first, None), x)], x[_index_along(i, slice(first), x)]], i)
    return x


def pad(x, pad_width, mode="constant", constant_values=0):
    """Return x in a border: `pad_width` at each end, or (before, after), or such a pair for each axis.

    mode : what the border is of: "constant", of `constant_values`; "edge", of the first and the last elements;
        "reflect", of those that a mirror at these shows, and "symmetric" with these too; "wrap", of those of the other
        end.

    >>> pad(np.array([1.0, 2.0, 3.0]), (2, 1), "reflect")
    array([3., 2., 1., 2., 3., 2.])
    """
    choice("pad", "mode", mode, ("constant", "edge", "reflect", "symmetric", "wrap"))
    check_unmasked((pad_width, constant_values))
    x, pad_width = as_operand(x), on_host(pad_width)
    if mode == "constant":
        return _pad_by_constants(x, pad_width, constant_values)
    if type(constant_values) is not int or constant_values:
        raise ValueError(f"pad: expected constant_values for the mode 'constant' alone, got them for {mode!r}")
    for i, widths in enumerate(np.broadcast_to(pad_width, (x.ndim, 2)).tolist()):
        if any(widths):
            x = x[_index_along(i, np.pad(np.arange(x.shape[i]), widths, mode), x)]  # NumPy decides which they are
    return x


def _pad_by_constants(x, pad_width, constant_values):
    """Return x plus the border, an array with −0 in the middle: x + (−0) is x, even where x is −0."""
    xp = array_module(data_of(x))
    border = xp.pad(xp.full(x.shape, -0.0, x.dtype), pad_width, constant_values=constant_values)
    before = np.broadcast_to(pad_width, (x.ndim, 2))[:, 0].tolist()
    return put(x, border.shape, tuple(slice(k, k + n) for k, n in zip(before, x.shape, strict=True))) + border


def concatenate(xs, axis=0):
    """Return the arrays of a sequence joined along an axis; with None, their elements in one row."""
    if axis is None:
        xs, axis = [ravel(x) for x in as_arrays(xs)], 0
    return shaping.concatenate(*xs, axis=axis)


def as_arrays(xs):
    """Return the arrays of a sequence, and numbers, if it has arrays, on their device; Python's in their dtype too."""
    xs = [x if _is_number(x) else as_operand(x) for x in xs]
    arrays = [data_of(x) for x in xs if not _is_number(x)]
    for i, x in enumerate(xs):
        if _is_number(x) and arrays:
            xs[i] = as_array(x, np.result_type(x, *(array.dtype for array in arrays)), device_of(arrays[0]))
    return xs


def _is_number(x):
    """Whether this is a number of Python or of NumPy, which fits arrays on any device."""
    return type(x) in NUMBERS or isinstance(x, np.generic)


def stack(xs, axis=0):
    """Return arrays of one shape as the slices of a new axis."""
    return concatenate([expand_dims(x, axis) for x in xs], axis)


def split(x, indices_or_sections, axis=0):
    """Return a list of parts of x: the given number of equal parts, or the parts between the given indices."""
    check_unmasked(indices_or_sections)
    x = as_operand(x)
    parts = np.split(np.arange(x.shape[axis]), on_host(indices_or_sections))  # NumPy decides which range each part is
    slices = [slice(int(part[0]), int(part[-1]) + 1) if part.size else slice(0) for part in parts]
    return [x[_index_along(axis, part, x)] for part in slices]


def on_host(numbers):
    """Return numbers that say where to cut or how wide to pad as Python's own: the host makes slices of them."""
    numbers = data_of(numbers)
    return numbers.tolist() if hasattr(numbers, "shape") else numbers


def take(x, indices, axis=None):
    """Return the elements, or the slices along the axis, at integer indices; an index may repeat.

    Booleans count as the integers 0 and 1, as in NumPy; x[mask] selects by a mask.
    """
    x = ravel(x) if axis is None else as_operand(x)
    is_empty = not hasattr(indices, "dtype") and np.size(indices) == 0  # which has no dtype
    indices = data_of(as_operand(indices))
    indices = indices.astype("intp") if is_empty or indices.dtype.kind == "b" else indices
    return x[_index_along(axis or 0, indices, x)]


def take_along_axis(x, indices, axis=-1):
    """Return the elements of x at the indices along the axis, such as argsort gives: one index for each result."""
    x = ravel(x) if axis is None else as_operand(x)
    indices = data_of(as_operand(indices))
    if indices.dtype.kind not in "iu":
        raise IndexError(
            f"take_along_axis: expected integers as indices, got {described(indices)}: x[mask] takes a mask"
        )
    if indices.ndim != x.ndim:
        raise ValueError(f"take_along_axis: expected indices of {x.ndim} axes, got shape {indices.shape}")
    along = array_module(indices).arange
    places = [along(n).reshape((-1,) + (1,) * (x.ndim - 1 - i)) for i, n in enumerate(x.shape)]
    places[normalize_axis_index(axis or 0, x.ndim)] = indices
    return x[tuple(places)]


def outer(a, b):
    """Return all products a_i b_j, shape (M, N), of the elements of two arrays."""
    if not _is_number(a) or _is_number(b):  # one number keeps to the dtype and the device of the array beside it
        a = reshape(a, (-1, 1))
    if not _is_number(b):
        b = reshape(b, (1, -1))
    return multiply(a, b)


def einsum(formula, *xs, optimize=True):
    """Return the sum of products that the formula gives: "ij,jk->ik" is Σ_j a_ij b_jk, the matrix product.

    Without an arrow, the output has the indices that occur once, in alphabetical order. An index that is repeated in an
    operand takes its diagonal; an index that is not in the output is summed over; "..." stands for all other axes.
    NumPy's other form numbers the indices, behind each operand: einsum(a, [0, 1], b, [1, 2], [0, 2]).

    optimize : NumPy's choice of the order of products. It is accepted and changes nothing: a good order is always used.

    >>> a = np.array([[1.0, 2.0], [3.0, 4.0]])
    >>> einsum("ii", a), einsum("ij->j", a), einsum("...j->...", a)
    (np.float64(5.0), array([4., 6.]), array([3., 7.]))
    """
    if not isinstance(formula, str):
        formula, xs = _formula_of_numbers(formula, *xs)
    xs = tuple(as_operand(x) for x in xs)
    *terms, output = _named_axes(formula, [x.ndim for x in xs])
    if np.result_type(*(x.dtype for x in xs)) == "float16":  # partial sums are not rounded to float16
        return einsum(formula, *map(wide, xs)).astype("float16")
    operands = [_diagonal(x, term) for x, term in zip(xs, terms, strict=True)]
    lengths = dict.fromkeys("".join(terms), 1)
    for x, term in operands:
        lengths |= {c: n for c, n in zip(term, x.shape, strict=True) if n != 1}
    for k, (x, term) in enumerate(operands):
        shape = tuple(lengths[c] for c in term)
        elsewhere = output + "".join(other for i, (_, other) in enumerate(operands) if i != k)
        lone = tuple(i for i, c in enumerate(term) if c not in elsewhere)  # summed over first
        x = x if x.shape == shape else broadcast_to(x, shape)
        operands[k] = sum(x, lone) if lone else x, "".join(c for c in term if c in elsewhere)
    formula = ",".join(term for _, term in operands) + "->" + output
    return linalg.einsum(*(x for x, _ in operands), formula=formula)


def _formula_of_numbers(*arguments):
    """Return the formula, and the operands, of a, [0, 1], b, [1, 2], [0, 2]; without the last list, of no arrow."""
    xs, indices = arguments[: len(arguments) // 2 * 2 : 2], arguments[1::2] + arguments[len(arguments) // 2 * 2 :]
    if len(arguments) < 2 or not all(isinstance(term, list | tuple) for term in indices):
        raise TypeError(
            "einsum: expected a formula such as 'ij,jk->ik' before the operands, or a list of numbers behind each, got "
            + described(arguments[0])
        )
    if any(i is not ... and not 0 <= i < len(ascii_letters) for term in indices for i in term):
        raise ValueError(f"einsum: expected numbers from 0 to {len(ascii_letters) - 1} and ..., got {indices}")
    letters = sorted(ascii_letters)  # NumPy's order: an output that is not given is sorted by the numbers
    terms = ["".join("..." if i is ... else letters[i] for i in term) for term in indices]
    inputs = ",".join(terms[: len(xs)])
    return inputs + ("->" + terms[-1] if len(terms) > len(xs) else ""), xs


def _named_axes(formula, ndims):
    """Return the indices of each operand, and then of the output, with a letter for each axis that "..." stands for."""
    inputs, arrow, output = formula.replace(" ", "").partition("->")
    terms = inputs.split(",")
    unnamed = [ndim - len(term.replace("...", "")) for term, ndim in zip(terms, ndims, strict=False)]
    if len(terms) != len(ndims) or any(
        n < 0 or (n and "..." not in term) for n, term in zip(unnamed, terms, strict=True)
    ):
        raise ValueError(f"einsum: {formula!r} does not fit operands of {', '.join(map(str, ndims))} axes")
    if not arrow:
        output = "..." * ("..." in inputs) + "".join(c for c in sorted(inputs) if c.isalpha() and inputs.count(c) == 1)
    spare = "".join(c for c in ascii_letters if c not in formula)[: max(unnamed)]
    return [
        term.replace("...", spare[len(spare) - n :])
        for term, n in zip([*terms, output], [*unnamed, len(spare)], strict=True)
    ]


def _diagonal(x, term):
    """Return the operand, and its indices, with each index once: where it was repeated, the diagonal."""
    for c in term:
        if term.count(c) > 1:
            i, j = term.index(c), term.rindex(c)
            if x.shape[i] != x.shape[j]:
                raise ValueError(
                    f"einsum: {c!r} stands for axes of lengths {x.shape[i]} and {x.shape[j]} of one operand"
                )
            along = array_module(data_of(x)).arange(x.shape[i])
            rest = "".join(d for k, d in enumerate(term) if k not in (i, j))
            return _diagonal(moveaxis(x, (i, j), (0, 1))[along, along], c + rest)
    return x, term
