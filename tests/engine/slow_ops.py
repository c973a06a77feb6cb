"""The operations of random programs in the form of examples/micro.py: slow, obvious, composed of very few rules.

Whatever moves, repeats, joins or picks elements is one operation here, `picked`: NumPy's own function, applied to the
places of the elements instead of to the elements, says where each one goes.
"""

import math
from string import ascii_letters

import micro
import numpy as np
from micro import Primitive, Value, add, divide, exp, log, multiply, subtract

from tests.engine import micro_operations
from tests.engine.micro_operations import relu, tanh


def _put_back(g, out, x, places):
    gradient = np.zeros(x.size)
    for g_i, place in zip(g.ravel(), places.ravel(), strict=True):
        if place:
            gradient[place - 1] += g_i
    return gradient.reshape(x.shape)


sin = Primitive(np.sin).vjp(lambda g, out, x: g * np.cos(x))
cos = Primitive(np.cos).vjp(lambda g, out, x: -g * np.sin(x))
arctan = Primitive(np.arctan).vjp(lambda g, out, x: g / (1 + x**2))
picked = Primitive(lambda x, places: np.where(places > 0, x.ravel()[places - 1], 0.0)).vjp(_put_back)


def moved(numpy_function):
    """Return the operation that moves elements as the NumPy function does; elements that are not there are 0."""

    def operation(*xs, **static):
        arrays = [x.data for x in xs]
        parts = []
        for i, x in enumerate(arrays):
            numbers = [np.zeros(y.shape, int) for y in arrays]
            numbers[i] = np.arange(1, x.size + 1).reshape(x.shape)
            parts.append(picked(xs[i], places=np.asarray(numpy_function(*numbers, **static))))
        result = parts[0]
        for part in parts[1:]:
            result = add(result, part)
        return result

    return operation


def reshaped(x, shape):
    return moved(np.reshape)(x, shape=shape)


def negative(x):
    return subtract(0.0, x)


def sqrt(x):
    return exp(multiply(0.5, log(x)))


def sigmoid(x):
    return divide(1.0, add(1.0, exp(negative(x))))


def gelu(x):
    cubic = add(x, multiply(0.044715, multiply(x, multiply(x, x))))
    return multiply(multiply(0.5, x), add(1.0, tanh(multiply(math.sqrt(2 / math.pi), cubic))))


def chosen(condition, a, b):
    return add(multiply(a, condition * 1.0), multiply(b, 1.0 - condition))


def clip(x, low, high):
    return chosen(x.data < low, Value(low), chosen(x.data > high, Value(high), x))


def whole_power(x, b):
    result = add(multiply(x, 0.0), 1.0)
    for _ in range(b):
        result = multiply(result, x)
    return result


def reduction_shape(x, axis):
    return np.empty(x.data.shape).sum(axis=axis, keepdims=True).shape


def sum_over(x, axis, keepdims=True):
    out = micro_operations.sum(x, axis=axis)
    return reshaped(out, reduction_shape(x, axis)) if keepdims else out


def mean(x, axis, keepdims=True):
    out = sum_over(x, axis, keepdims)
    return divide(out, x.data.size / out.data.size)


def var(x, axis, keepdims):
    deviation = subtract(x, mean(x, axis))
    return mean(multiply(deviation, deviation), axis, keepdims)


def extreme(best):
    """Return the sum of those elements that are the best ones; there are no ties."""
    return lambda x, axis, keepdims: sum_over(multiply(x, x.data == best(x.data, axis, keepdims=True)), axis, keepdims)


def prod(x, axis, keepdims):
    axes = range(x.data.ndim) if axis is None else [a % x.data.ndim for a in np.atleast_1d(axis).astype(int).tolist()]
    index = [slice(None)] * x.data.ndim
    result = Value(np.ones(reduction_shape(x, axis)))
    for place in np.ndindex(*(x.data.shape[a] for a in axes)):
        for a, i in zip(axes, place, strict=True):
            index[a] = slice(i, i + 1)
        result = multiply(result, moved(lambda x: x[tuple(index)])(x))
    return result if keepdims else reshaped(result, np.empty(x.data.shape).sum(axis=axis).shape)


def cumsum(x, axis):
    if axis is None:
        x, axis = reshaped(x, (-1,)), 0
    rows = moved(lambda x: np.expand_dims(np.moveaxis(x, axis, -1), -2))(x)
    n = rows.data.shape[-1]
    return moved(lambda x: np.moveaxis(x, -1, axis))(micro_operations.sum(multiply(rows, np.tri(n)), axis=-1))


def softmax(x, axis):
    e = exp(x)
    return divide(e, sum_over(e, axis))


def logsumexp(x, axis, keepdims):
    return log(sum_over(exp(x), axis, keepdims))


def log_softmax(x, axis):
    return subtract(x, log(sum_over(exp(x), axis)))


def einsum(*xs, formula):
    """Spread every operand over all indices, multiply, and sum over those that the output has not."""
    terms, arrow, output = formula.partition("->")
    terms = terms.split(",")
    if not arrow:
        output = "".join(c for c in sorted(set(formula) - {","}) if formula.count(c) == 1)
    unnamed = [x.data.ndim - len(term.replace("...", "")) for x, term in zip(xs, terms, strict=True)]
    spare = [c for c in ascii_letters if c not in formula][: max(unnamed)]
    terms = [t.replace("...", "".join(spare[len(spare) - n :])) for t, n in zip(terms, unnamed, strict=True)]
    output = output.replace("...", "".join(spare))
    letters = output + "".join(sorted({*"".join(terms)} - {*output}))
    product = Value(1.0)
    for x, term in zip(xs, terms, strict=True):
        own = "".join(c for c in letters if c in term)
        diagonal = moved(lambda x, formula: np.einsum(formula, x))(x, formula=f"{term}->{own}")
        lengths = dict(zip(own, diagonal.data.shape, strict=True))
        product = multiply(product, reshaped(diagonal, tuple(lengths.get(c, 1) for c in letters)))
    return micro_operations.sum(product, axis=tuple(range(len(output), len(letters))))


def matmul(a, b):
    if a.data.ndim == b.data.ndim == 2:
        return micro.matmul(a, b)
    formula = "...j,...jk->...k" if a.data.ndim == 1 else "...ij,...jk->...ik"
    return einsum(a, b, formula=formula if b.data.ndim > 1 else "...j,j->...")


def joined(function):
    return moved(lambda *xs, axis: function(xs, axis))


SLOW = {
    "negative": negative,
    "exp": exp,
    "expm1": lambda x: subtract(exp(x), 1.0),
    "log": log,
    "log1p": lambda x: log(add(x, 1.0)),
    "sqrt": sqrt,
    "sin": sin,
    "cos": cos,
    "tanh": tanh,
    "arctan": arctan,
    "sigmoid": sigmoid,
    "softplus": lambda x: log(add(1.0, exp(x))),
    "gelu": gelu,
    "square": lambda x: multiply(x, x),
    "abs": lambda x, offset: multiply(subtract(x, offset), np.sign(x.data - offset)),
    "relu": lambda x, offset: relu(subtract(x, offset)),
    "sign": lambda x, offset: multiply(x, np.sign(x.data - offset)),
    "clip": clip,
    "whole power": whole_power,
    "scalars": lambda x: subtract(divide(2.0, x), multiply(subtract(1.0, x), 0.5)),
    "add": add,
    "subtract": subtract,
    "multiply": multiply,
    "divide": divide,
    "power": lambda a, b: exp(multiply(b, log(a))),
    "maximum": lambda a, b, offset: chosen(a.data - offset > b.data, subtract(a, offset), b),
    "minimum": lambda a, b, offset: chosen(a.data - offset < b.data, subtract(a, offset), b),
    "where": lambda a, b, condition: chosen(condition, a, b),
    "sum": sum_over,
    "mean": mean,
    "var": var,
    "std": lambda x, axis, keepdims: sqrt(var(x, axis, keepdims)),
    "norm": lambda x, axis, keepdims: sqrt(sum_over(multiply(x, x), axis, keepdims)),
    "prod": prod,
    "max": extreme(np.max),
    "min": extreme(np.min),
    "logsumexp": logsumexp,
    "cumsum": cumsum,
    "softmax": softmax,
    "log_softmax": log_softmax,
    "cross_entropy": micro.cross_entropy,
    "matmul": matmul,
    "linear": lambda x, w: add(einsum(x, w, formula="...d,hd->...h"), moved(lambda w: w[:, 0])(w)),
    "outer": lambda a, b: multiply(reshaped(a, (-1, 1)), reshaped(b, (1, -1))),
    "einsum of 1": einsum,
    "einsum of 2": einsum,
    "einsum of 3": einsum,
    "reshape": moved(np.reshape),
    "transpose": moved(np.transpose),
    "swapaxes": moved(np.swapaxes),
    "moveaxis": moved(np.moveaxis),
    "squeeze": moved(np.squeeze),
    "expand_dims": moved(np.expand_dims),
    "broadcast_to": moved(np.broadcast_to),
    "flip": moved(np.flip),
    "roll": moved(np.roll),
    "pad": lambda x, **static: add(
        moved(lambda x: np.pad(x, static["pad_width"]))(x), np.pad(np.zeros(x.data.shape), **static)
    ),
    "split": moved(lambda x, at, axis: np.split(x, [at, at + 1], axis)[1]),
    "getitem": moved(lambda x, index: x[index]),
    "take": moved(np.take),
    "take_along_axis": moved(np.take_along_axis),
    "concatenate": joined(np.concatenate),
    "stack": joined(np.stack),
    "scale": lambda x, factor: multiply(x, factor),
}
