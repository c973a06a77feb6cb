"""A small autograd framework to read and to import.

>>> import tinygrad_sm as tg
>>> w = tg.Tensor([1.0, 2.0], requires_grad=True)
>>> tg.sum(w * w).backward()
>>> w.grad
array([2., 4.], dtype=float32)
"""

from tinygrad_sm.backend import is_available, manual_seed
from tinygrad_sm.creation import arange, eye, full, ones, ones_like, rand, randn, zeros, zeros_like
from tinygrad_sm.errors import CheckpointError, DatasetError, DeviceError, GradcheckError, GradientError
from tinygrad_sm.gradcheck import gradcheck
from tinygrad_sm.mode import enable_grad, no_grad
from tinygrad_sm.ops.composed import swapaxes
from tinygrad_sm.ops.elementwise import (
    abs,
    add,
    divide,
    exp,
    log,
    maximum,
    multiply,
    negative,
    power,
    relu,
    sigmoid,
    sign,
    sqrt,
    subtract,
    tanh,
    where,
)
from tinygrad_sm.ops.linalg import matmul
from tinygrad_sm.ops.reductions import max, mean, sum
from tinygrad_sm.ops.shaping import broadcast_to, reshape, transpose
from tinygrad_sm.ops.softmax import log_softmax, logsumexp, softmax
from tinygrad_sm.primitive import primitive, zero
from tinygrad_sm.tensor import Tensor
from tinygrad_sm.transforms import grad

from tinygrad_sm import datasets, nn  # isort: skip  the last: these are built on what stands above

__version__ = "0.1.0"

__all__ = [
    "CheckpointError",
    "DatasetError",
    "DeviceError",
    "GradcheckError",
    "GradientError",
    "Tensor",
    "abs",
    "add",
    "arange",
    "broadcast_to",
    "datasets",
    "divide",
    "enable_grad",
    "exp",
    "eye",
    "full",
    "grad",
    "gradcheck",
    "is_available",
    "log",
    "log_softmax",
    "logsumexp",
    "manual_seed",
    "matmul",
    "max",
    "maximum",
    "mean",
    "multiply",
    "negative",
    "nn",
    "no_grad",
    "ones",
    "ones_like",
    "power",
    "primitive",
    "rand",
    "randn",
    "relu",
    "reshape",
    "sigmoid",
    "sign",
    "softmax",
    "sqrt",
    "subtract",
    "sum",
    "swapaxes",
    "tanh",
    "transpose",
    "where",
    "zero",
    "zeros",
    "zeros_like",
]
