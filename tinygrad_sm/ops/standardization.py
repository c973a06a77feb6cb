"""Standardizing: numbers are shifted and scaled to have the mean 0 and the variance 1; layer and batch norms do it.

>>> import numpy as np
>>> standardize(np.array([[1.0, 3.0], [10.0, 50.0]]), axis=-1, eps=0.0)
array([[-1.,  1.],
       [-1.,  1.]])
"""

from tinygrad_sm.backend import array_module
from tinygrad_sm.engine.primitive import primitive
from tinygrad_sm.ops.composed import var
from tinygrad_sm.ops.elementwise import sqrt
from tinygrad_sm.ops.reductions import mean
from tinygrad_sm.precision import as_precise_as, wide


def deviation(x, axis, eps):
    """Return σ = √(mean of (x − x̄)² + eps), with the axes at length 1: for a walk that is to be differentiated."""
    return sqrt(var(wide(x), axis, keepdims=True) + eps)


@primitive(analytic=True, saves=deviation)
def standardize(x, /, axis, eps):
    """Return z = (x − x̄) / σ with σ = √(mean of (x − x̄)² + eps), x̄ the mean over the axis, or over several.

    With n elements in each mean, ∂z_i/∂x_j = (δ_ij − 1/n − z_i z_j / n) / σ. Convention: where all elements are equal
    and eps is 0, z and the gradient are NaN, as in PyTorch.

    The mean is subtracted twice: the first one is rounded, in float32 around 10⁴ by 1e-3, and the second finds that.
    """
    z = wide(x) - mean.plain(wide(x), axis, keepdims=True)
    z = z - mean.plain(z, axis, keepdims=True)
    sigma = array_module(x).sqrt(mean.plain(z * z, axis, keepdims=True) + eps)
    return as_precise_as(x, z / sigma), sigma


def _standardize_rule(g, out, x, axis, eps, saved):
    """Take from g its mean, and its part along z, for both change nothing in z; then divide by σ."""
    g, z, sigma = wide(g), wide(out), saved
    return (g - mean(g, axis, keepdims=True) - z * mean(g * z, axis, keepdims=True)) / sigma


standardize.vjp(_standardize_rule)
