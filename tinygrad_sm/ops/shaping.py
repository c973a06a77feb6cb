"""Operations that change the shape or the place of values; they compute nothing, and may return a view."""

from itertools import accumulate, pairwise

from tinygrad_sm.backend import array_module, device_of, to_device
from tinygrad_sm.engine.primitive import primitive
from tinygrad_sm.engine.tape import data_of


@primitive(analytic=True)
def reshape(x, /, shape):
    """Return the values of x in the given shape, in C order; one length may be −1, and follows from the others.

    >>> import numpy as np
    >>> reshape(np.zeros((128, 1, 28, 28)), (128, -1)).shape
    (128, 784)
    """
    return x.reshape(shape)


reshape.vjp(lambda g, out, x, shape: g.reshape(x.shape))


@primitive(analytic=True)
def transpose(x, /, axes=None):
    """Return x with its axes in the order `axes`; by default reversed, which for a matrix is xᵀ."""
    try:
        return x.transpose(axes)
    except ValueError:
        message = f"axes: expected all {x.ndim} axes in their new order, got {axes}: swapaxes exchanges two"
        raise ValueError(message) from None


transpose.vjp(lambda g, out, x, axes: transpose(g, None if axes is None else inverse_order(axes)))


def inverse_order(axes):
    """Return the order of axes that undoes the order `axes`: (1, 2, 0) for (2, 0, 1); one axis may be an int."""
    axes = axes if hasattr(axes, "__len__") else (axes,)
    return tuple(sorted(range(len(axes)), key=lambda i: axes[i] % len(axes)))


@primitive(analytic=True)
def broadcast_to(x, /, shape):
    """Return x repeated to the shape, without a copy. Its gradient sums over the repetitions, as for any broadcast."""
    return array_module(x).broadcast_to(x, shape)


broadcast_to.vjp(lambda g, out, x, shape: g)


@primitive
def move(x, /, device):
    """Return x on another device; the gradient returns to the device of x."""
    return to_device(x, device)


move.vjp(lambda g, out, x, device: move(g, device_of(data_of(x))))


def _places(*xs, axis):
    return [slice(*bounds) for bounds in pairwise(accumulate((x.shape[axis] for x in xs), initial=0))]


@primitive(analytic=True, saves=_places)
def concatenate(*xs, axis):
    """Return the arrays joined along an axis. They are operands here, where NumPy's function takes a sequence."""
    if any(getattr(x, "ndim", 0) == 0 for x in xs):  # numbers have no ndim
        raise ValueError("expected arrays of at least one axis, got a 0-d array: join 0-d arrays with stack")
    return array_module(*xs).concatenate(xs, axis), _places(*xs, axis=axis)


concatenate.vjp_each(lambda i, g, out, *xs, axis, saved: g[(slice(None),) * (axis % g.ndim) + (saved[i],)])
