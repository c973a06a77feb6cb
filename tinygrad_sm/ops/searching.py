"""Where the extreme elements are: plain arrays of places, as these have no gradient."""

from tinygrad_sm.backend import array_module, axis_of
from tinygrad_sm.engine.primitive import as_operand
from tinygrad_sm.engine.tape import data_of


def argmax(x, axis=None, keepdims=False):
    """Return the index of the largest element along the axis, or of all elements in one row: a plain array."""
    x = data_of(as_operand(x))
    return array_module(x).argmax(x, axis_of(x, axis), keepdims=keepdims)


def argmin(x, axis=None, keepdims=False):
    """Return the index of the smallest element along the axis, or of all elements in one row: a plain array."""
    x = data_of(as_operand(x))
    return array_module(x).argmin(x, axis_of(x, axis), keepdims=keepdims)
