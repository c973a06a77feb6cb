"""Normalization: layers that keep the mean and the size of what passes through a network; names are PyTorch's.

    layer norm : each example by itself, over its features           (N, D)        → mean 0, variance 1 in each row
    RMS norm   : the same without the mean                           (N, D)        → mean square 1 in each row
    batch norm : each channel by itself, over all examples, places   (N, C, H, W)  → mean 0, variance 1 in each channel

A batch norm keeps running means of the statistics of its batches, and uses them in evaluation.

>>> batch_norm([[1.0, 5.0], [3.0, 9.0]], None, None, training=True).round(3)
array([[-1., -1.],
       [ 1.,  1.]], dtype=float32)
"""

from collections.abc import Sequence
from operator import setitem
from typing import Any

import numpy as np

from tinygrad_sm.arguments import integer, number
from tinygrad_sm.arrays import described
from tinygrad_sm.backend import check_same_device, is_array, is_writable
from tinygrad_sm.engine.primitive import as_operand
from tinygrad_sm.engine.tape import Traced, data_of
from tinygrad_sm.engine.versions import change, write_all
from tinygrad_sm.nn.module import Buffer, Module, Parameter
from tinygrad_sm.ops.composed import square, var
from tinygrad_sm.ops.elementwise import as_floats, sqrt
from tinygrad_sm.ops.reductions import mean
from tinygrad_sm.ops.standardization import standardize
from tinygrad_sm.precision import as_precise_as, wide
from tinygrad_sm.tensors import Tensor


def layer_norm(
    x: Any, normalized_shape: int | Sequence[int], weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """Return (x − x̄) / √(σ² + eps) · weight + bias, with mean x̄ and variance σ² over the last axes of x.

    x : shape (..., *normalized_shape); half precision is computed in float32.
    normalized_shape : the lengths of these axes, a tuple, or an integer for one.
    weight, bias : shape normalized_shape, or None for none.

    σ² is the mean of (x − x̄)², the biased variance. "Layer Normalization" (Ba, Kiros and Hinton, 2016).

    >>> layer_norm([[1.0, 3.0], [10.0, 50.0]], 2, bias=[0.0, 100.0]).round(3)
    array([[ -1., 101.],
           [ -1., 101.]], dtype=float32)
    """
    x, axes, (weight, bias) = _over_last_axes("layer_norm", x, normalized_shape, weight=weight, bias=bias)
    z = standardize(wide(x), axes, number("layer_norm", "eps", eps, smallest=0))
    return as_precise_as(x, _affine(z, weight, bias))


def rms_norm(x: Any, normalized_shape: int | Sequence[int], weight: Any = None, eps: float | None = None) -> Any:
    """Return x / √(mean of x² + eps) · weight, with the mean over the last axes of x.

    x, normalized_shape, weight : as in layer_norm.
    eps : None stands for the distance of 1 to the next larger number, in the dtype of x; in float32 for half precision,
        in which nothing is computed.

    "Root Mean Square Layer Normalization" (Zhang and Sennrich, 2019).

    >>> rms_norm([3.0, -3.0, 1.0, 1.0], 4).round(4)
    array([ 1.3416, -1.3416,  0.4472,  0.4472], dtype=float32)
    """
    x, axes, (weight,) = _over_last_axes("rms_norm", x, normalized_shape, weight=weight)
    z = wide(x)
    eps = float(np.finfo(z.dtype).eps) if eps is None else number("rms_norm", "eps", eps, smallest=0)
    z = z / sqrt(mean(square(z), axes, keepdims=True) + eps)
    return as_precise_as(x, _affine(z, weight, None))


def batch_norm(
    x: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Return (x − μ) / √(σ² + eps) · weight + bias, with mean μ and variance σ² of each channel.

    x : shape (N, C) or (N, C, d1, ...), with C channels; half precision is computed in float32.
    running_mean, running_var : shape (C,); Tensors or arrays, which training changes in place, or both None.
    weight, bias : shape (C,), or None for none.

    Without `training`, μ is running_mean and σ² running_var. With it, they are the mean of the n numbers of the channel
    and the mean of (x − μ)², through which gradients pass too; and then, unless they are None,

        running_mean ← (1 − momentum) running_mean + momentum μ
        running_var ← (1 − momentum) running_var + momentum σ² n / (n − 1)

    A call that raises an error leaves them as they were. Raises ValueError in training if n is not at least 2. "Batch
    Normalization: Accelerating Deep Network Training by Reducing Internal Covariate Shift" (Ioffe and Szegedy, 2015).

    >>> running_mean, running_var = np.zeros(1), np.ones(1)
    >>> batch_norm([[1.0], [5.0]], running_mean, running_var, training=True).round(3).tolist()
    [[-1.0], [1.0]]
    >>> running_mean.round(4), running_var.round(4)  # 0.9 · 0 + 0.1 · 3, and 0.9 · 1 + 0.1 · 8
    (array([0.3]), array([1.7]))
    """
    momentum = number("batch_norm", "momentum", momentum, 0, 1)
    return _batch_norm(x, running_mean, running_var, weight, bias, training, momentum, eps)


def _batch_norm(
    x: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any,
    bias: Any,
    training: bool,
    momentum: float | None,
    eps: float,
    batches: Any = None,
) -> Any:
    """Compute batch_norm; count in `batches`, if it is given. With momentum=None, all batches have the same weight."""
    x, eps = as_floats(as_operand(x)), number("batch_norm", "eps", eps, smallest=0)
    if x.ndim < 2:
        raise ValueError(f"batch_norm: expected an input of shape (N, C) or (N, C, d1, ...), got {described(x)}")
    C, axes = x.shape[1], (0, *range(2, x.ndim))
    weight, bias = _of_shape("batch_norm", (C,), x, weight=weight, bias=bias)
    running = _checked_statistics(C, training, running_mean=running_mean, running_var=running_var)
    if batches is not None and training:
        _check_writable("num_batches_tracked", batches)
    check_same_device("batch_norm", [data_of(t) for t in (x, weight, bias, *running)])
    per_channel = (C,) + (1,) * (x.ndim - 2)
    weight, bias = (t if t is None else t.reshape(per_channel) for t in (weight, bias))
    if not training:
        mu, variance = (wide(data_of(r)).reshape(per_channel) for r in running)
        return as_precise_as(x, _affine((wide(x) - mu) / sqrt(variance + eps), weight, bias))
    if x.size < 2 * C or C == 0:
        raise ValueError(
            f"batch_norm: expected more than one value per channel in training, got {described(x)}: take more examples "
            "at once, or evaluation mode, which uses running statistics"
        )
    result = as_precise_as(x, _affine(standardize(wide(x), axes, eps), weight, bias))
    if running:
        values = wide(data_of(x))
        _update(running, (mean(values, axes), var(values, axes, ddof=1)), momentum, batches)
    return result


def _update(running: tuple[Any, ...], statistics: tuple[Any, ...], momentum: float | None, batches: Any) -> None:
    """Move the running statistics towards those of a batch, and count it: all at once."""
    changed = running if batches is None else (*running, batches)
    new = [] if batches is None else [data_of(batches) + 1]
    share = 1 / new[0] if momentum is None else momentum
    moved = [(1 - share) * wide(data_of(r)) + share * s for r, s in zip(running, statistics, strict=True)]
    values = [value.astype(r.dtype, copy=False) for r, value in zip(changed, moved + new, strict=True)]
    writes = [(setitem, data_of(r), ..., value) for r, value in zip(changed, values, strict=True)]
    change([r for r in changed if isinstance(r, Traced)], write_all, writes)


def _checked_statistics(C: int, training: bool, **statistics: Any) -> tuple[Any, ...]:
    """Return the running statistics, or () without any; raise unless they can be used, and in training changed."""
    given = {name: r for name, r in statistics.items() if r is not None}
    if len(given) == 1 or not (given or training):
        expected = "or None for both" if training else "which are needed without training"
        got = " and ".join(f"{name}=None" for name in statistics if name not in given)
        raise ValueError(f"batch_norm: expected running_mean and running_var, {expected}, got {got}")
    for name, r in given.items():
        if not (isinstance(r, Traced) or is_array(r)):
            raise TypeError(f"batch_norm: expected {name} to be a Tensor or an array, got {described(r)}")
        if isinstance(r, Traced) and r.requires_grad:
            raise TypeError(f"batch_norm has no gradient with respect to {name}: pass {name}.detach()")
        if r.shape != (C,) or r.dtype.kind != "f":
            raise ValueError(f"batch_norm: expected {name} to be floats of shape {(C,)}, got {described(r)}")
        if training:
            _check_writable(name, r)
    return tuple(given.values())


def _check_writable(name: str, r: Any) -> None:
    if not is_writable(data_of(r)):
        raise ValueError(f"batch_norm: {name} has a read-only array, which training cannot change: pass a copy")


def _lengths(owner: str, normalized_shape: Any) -> tuple[int, ...]:
    """Return a normalized_shape as a tuple of integers."""
    lengths = normalized_shape if isinstance(normalized_shape, list | tuple) else (normalized_shape,)
    if not lengths:
        raise ValueError(f"{owner}: expected normalized_shape to be the lengths of one axis or more, got {lengths}")
    return tuple(integer(owner, "normalized_shape", n, smallest=1) for n in lengths)


def _over_last_axes(caller: str, x: Any, normalized_shape: Any, **weights: Any) -> tuple[Any, Any, list[Any]]:
    """Return x as floats, the axes to normalize over, and the weights as operands; raise unless all fit together."""
    x, shape = as_floats(as_operand(x)), _lengths(caller, normalized_shape)
    if x.shape[-len(shape) :] != shape:
        expected = f"(..., {', '.join(map(str, shape))})"
        raise ValueError(f"{caller}: expected an input of shape {expected}, got {described(x)}")
    return x, tuple(range(-len(shape), 0)), _of_shape(caller, shape, x, **weights)


def _of_shape(caller: str, shape: tuple[int, ...], x: Any, **weights: Any) -> list[Any]:
    """Return weights as operands beside x; integers take its dtype. Raise unless each has the shape, or is None."""
    found = []
    for name, weight in weights.items():
        weight = weight if weight is None else as_operand(weight, beside=x)
        if weight is not None and weight.shape != shape:
            raise ValueError(f"{caller}: expected {name} to have shape {shape}, got {described(weight)}")
        found.append(weight if weight is None or weight.dtype.kind == "f" else weight.astype(x.dtype))
    return found


def _affine(z: Any, weight: Any, bias: Any) -> Any:
    """Return z · weight + bias, without what is None."""
    z = z if weight is None else z * weight
    return z if bias is None else z + bias


class LayerNorm(Module):
    """Normalize each example over its last axes: (x − x̄) / √(σ² + eps) · weight + bias; see `functional.layer_norm`.

    weight, bias : shape normalized_shape; they begin as 1 and 0. Without elementwise_affine both are None.

    >>> LayerNorm(64)
    LayerNorm((64,), eps=1e-05, elementwise_affine=True, bias=True)
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
    ):
        self.normalized_shape = _lengths("LayerNorm", normalized_shape)
        self.eps = number("LayerNorm", "eps", eps, smallest=0)
        self.elementwise_affine = elementwise_affine
        self.weight = Parameter(np.ones(self.normalized_shape, np.float32)) if elementwise_affine else None
        self.bias = Parameter(np.zeros(self.normalized_shape, np.float32)) if elementwise_affine and bias else None

    def forward(self, x: Any) -> Tensor:  # an array, if x is one and there are no weights
        return layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        affine = f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        return f"{self.normalized_shape}, eps={self.eps}, {affine}"


class RMSNorm(Module):
    """Divide each example by the root of its mean square over its last axes; see `functional.rms_norm`.

    weight : shape normalized_shape; it begins as 1. Without elementwise_affine it is None.

    >>> RMSNorm(64)
    RMSNorm((64,), eps=None, elementwise_affine=True)
    """

    def __init__(
        self, normalized_shape: int | Sequence[int], eps: float | None = None, elementwise_affine: bool = True
    ):
        self.normalized_shape = _lengths("RMSNorm", normalized_shape)
        self.eps = eps if eps is None else number("RMSNorm", "eps", eps, smallest=0)
        self.elementwise_affine = elementwise_affine
        self.weight = Parameter(np.ones(self.normalized_shape, np.float32)) if elementwise_affine else None

    def forward(self, x: Any) -> Tensor:  # an array, if x is one and there are no weights
        return rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class _BatchNorm(Module):
    """The base of batch norms, which differ in the shapes that they take."""

    _shapes: tuple[str, ...] = ()

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        *,
        bias: bool = True,
    ):
        name = type(self).__name__
        self.num_features = integer(name, "num_features", num_features, smallest=1)
        self.eps = number(name, "eps", eps, smallest=0)
        self.momentum = momentum if momentum is None else number(name, "momentum", momentum, 0, 1)
        self.affine, self.track_running_stats = affine, track_running_stats
        zeros, ones = np.zeros(num_features, np.float32), np.ones(num_features, np.float32)
        self.weight = Parameter(ones) if affine else None
        self.bias = Parameter(zeros) if affine and bias else None
        self.running_mean = Buffer(zeros) if track_running_stats else None
        self.running_var = Buffer(ones) if track_running_stats else None
        self.num_batches_tracked = Buffer(np.zeros((), np.int64)) if track_running_stats else None

    def forward(self, x: Any) -> Tensor:  # an array, if x is one and there are no weights
        """Normalize x by its own statistics in training, or where none are kept; else by the running ones."""
        shape: tuple[int, ...] = getattr(x, "shape", ())
        if len(shape) not in [expected.count(",") + 1 for expected in self._shapes] or shape[1] != self.num_features:
            expected = " or ".join(self._shapes).replace("C", str(self.num_features))
            raise ValueError(
                f"{type(self).__name__}({self.num_features}): expected an input of shape {expected}, got {described(x)}"
            )
        is_kept = self.track_running_stats or not self.training
        return _batch_norm(
            x,
            self.running_mean if is_kept else None,
            self.running_var if is_kept else None,
            self.weight,
            self.bias,
            self.training or self.running_mean is None,
            self.momentum,
            self.eps,
            self.num_batches_tracked,
        )

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class BatchNorm1d(_BatchNorm):
    """Normalize each of C channels over a batch of shape (N, C) or (N, C, L); see `functional.batch_norm`.

    momentum : of the running statistics; with None they are the means of those of all batches.
    weight, bias : shape (C,); they begin as 1 and 0. Without affine both are None.
    running_mean, running_var, num_batches_tracked : Buffers, which begin as 0, 1 and 0. Without track_running_stats
        they are None, and the statistics of the batch are used in evaluation too.

    >>> BatchNorm1d(64)
    BatchNorm1d(64, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)
    """

    _shapes = "(N, C)", "(N, C, L)"


class BatchNorm2d(_BatchNorm):
    """Normalize each of C channels over a batch of images, of shape (N, C, H, W); the rest is as in BatchNorm1d."""

    _shapes = ("(N, C, H, W)",)
