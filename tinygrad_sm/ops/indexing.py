"""Indexing and its opposite. What `getitem` takes out of an array, the gradient of `getitem` puts back in its place.

>>> import numpy as np
>>> x = np.array([5.0, 6.0, 7.0])
>>> getitem(x, np.array([2, 0, 2]))
array([7., 5., 7.])
>>> put(np.array([1.0, 1.0, 1.0]), x.shape, np.array([2, 0, 2]))  # 7 was taken twice: its gradients add up
array([1., 0., 2.])
"""

from tinygrad_sm.backend import item, scatter_add
from tinygrad_sm.primitive import primitive


@primitive(analytic=True)
def getitem(x, /, index):
    """Return x[index]: slices, integers, integer arrays with repeats, boolean masks, None, ..., and tuples of these."""
    return item(x, index)


getitem.vjp(lambda g, out, x, index: put(g, x.shape, index))


@primitive(analytic=True)
def put(values, /, shape, index):
    """Return zeros of the shape with the values added at the index."""
    return scatter_add(values, shape, index)


put.vjp(lambda g, out, values, shape, index: g[index])
