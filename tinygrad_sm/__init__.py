"""A small autograd framework to read and to import.

>>> import tinygrad_sm as tg
>>> w = tg.Tensor([1.0, 2.0], requires_grad=True)
>>> tg.sum(w * w).backward()
>>> w.grad
array([2., 4.], dtype=float32)
"""

import importlib
from typing import TYPE_CHECKING, Any

from tinygrad_sm.dispatch import HAS_WING

if HAS_WING:
    from tinygrad_sm.fast import engine as _engine  # noqa: F401  first, because operators bind the call of an operation

from tinygrad_sm import advice as _advice
from tinygrad_sm import linalg, parallel
from tinygrad_sm import names as _names
from tinygrad_sm.backend import is_available, set_default_device
from tinygrad_sm.check.gradcheck import GradcheckReport as _GradcheckReport
from tinygrad_sm.check.gradcheck import gradcheck
from tinygrad_sm.check.proofs import prove
from tinygrad_sm.creation import arange, eye, from_dlpack, full, ones, ones_like, rand, randn, zeros, zeros_like
from tinygrad_sm.engine.mode import Observer, enable_grad, no_grad, observe
from tinygrad_sm.engine.primitive import primitive, zero
from tinygrad_sm.errors import CheckpointError, DatasetError, DeviceError, GradcheckError, GradientError, GroupError
from tinygrad_sm.fast.allocator import keep_freed_memory
from tinygrad_sm.jacobians import hessian, jacobian
from tinygrad_sm.notebooks import show_in_notebooks as _show_in_notebooks
from tinygrad_sm.observers import Profile as _Profile
from tinygrad_sm.observers import detect_anomaly, profile
from tinygrad_sm.ops.composed import (
    clip,
    concatenate,
    einsum,
    expand_dims,
    flip,
    gelu,
    moveaxis,
    outer,
    pad,
    ravel,
    roll,
    split,
    square,
    squeeze,
    stack,
    std,
    swapaxes,
    take,
    take_along_axis,
    var,
)
from tinygrad_sm.ops.elementary import (
    arccos,
    arcsin,
    arctan2,
    ceil,
    cosh,
    exp2,
    floor,
    floor_divide,
    log2,
    log10,
    mod,
    remainder,
    round,
    sinh,
    tan,
)
from tinygrad_sm.ops.elementwise import (
    abs,
    add,
    arctan,
    cos,
    divide,
    exp,
    expm1,
    log,
    log1p,
    logaddexp,
    maximum,
    minimum,
    multiply,
    negative,
    power,
    relu,
    sigmoid,
    sign,
    sin,
    softplus,
    sqrt,
    subtract,
    tanh,
    where,
)
from tinygrad_sm.ops.linalg import matmul
from tinygrad_sm.ops.manipulation import (
    atleast_1d,
    atleast_2d,
    diag,
    diagonal,
    hstack,
    repeat,
    tile,
    trace,
    tril,
    triu,
    vstack,
)
from tinygrad_sm.ops.norms import norm
from tinygrad_sm.ops.products import cumprod, dot, inner, tensordot
from tinygrad_sm.ops.reductions import cumsum, max, mean, min, prod, sum
from tinygrad_sm.ops.searching import argmax, argmin
from tinygrad_sm.ops.shaping import broadcast_to, reshape, transpose
from tinygrad_sm.ops.softmax import log_softmax, logsumexp, softmax
from tinygrad_sm.ops.windows import windows
from tinygrad_sm.programs.steps import compiled
from tinygrad_sm.random import get_rng_state, manual_seed, set_rng_state
from tinygrad_sm.tensors import Tensor
from tinygrad_sm.transforms import grad, hvp, jvp, value_and_grad, vjp

if HAS_WING:
    from tinygrad_sm.fast import forms as _forms  # noqa: F401  they register themselves

if TYPE_CHECKING:
    from tinygrad_sm import datasets, look, nn


def __getattr__(name: str) -> Any:
    """Import `nn`, `datasets` and `look` when they are first used: a program without them does not wait for them."""
    if name in ("datasets", "look", "nn"):
        return importlib.import_module(f"tinygrad_sm.{name}")
    return _missing(name)


_missing, __dir__ = _advice.module_hooks(__name__)


__version__ = "0.2.0"

__all__ = [
    "CheckpointError",
    "DatasetError",
    "DeviceError",
    "GradcheckError",
    "GradientError",
    "GroupError",
    "Observer",
    "Tensor",
    "abs",
    "add",
    "arange",
    "arccos",
    "arcsin",
    "arctan",
    "arctan2",
    "argmax",
    "argmin",
    "atleast_1d",
    "atleast_2d",
    "broadcast_to",
    "ceil",
    "clip",
    "compiled",
    "concatenate",
    "cos",
    "cosh",
    "cumprod",
    "cumsum",
    "datasets",
    "detect_anomaly",
    "diag",
    "diagonal",
    "divide",
    "dot",
    "einsum",
    "enable_grad",
    "exp",
    "exp2",
    "expand_dims",
    "expm1",
    "eye",
    "flip",
    "floor",
    "floor_divide",
    "from_dlpack",
    "full",
    "gelu",
    "get_rng_state",
    "grad",
    "gradcheck",
    "hessian",
    "hstack",
    "hvp",
    "inner",
    "is_available",
    "jacobian",
    "jvp",
    "keep_freed_memory",
    "linalg",
    "log",
    "log10",
    "log1p",
    "log2",
    "log_softmax",
    "logaddexp",
    "logsumexp",
    "look",
    "manual_seed",
    "matmul",
    "max",
    "maximum",
    "mean",
    "min",
    "minimum",
    "mod",
    "moveaxis",
    "multiply",
    "negative",
    "nn",
    "no_grad",
    "norm",
    "observe",
    "ones",
    "ones_like",
    "outer",
    "pad",
    "parallel",
    "power",
    "primitive",
    "prod",
    "profile",
    "prove",
    "rand",
    "randn",
    "ravel",
    "relu",
    "remainder",
    "repeat",
    "reshape",
    "roll",
    "round",
    "set_default_device",
    "set_rng_state",
    "sigmoid",
    "sign",
    "sin",
    "sinh",
    "softmax",
    "softplus",
    "split",
    "sqrt",
    "square",
    "squeeze",
    "stack",
    "std",
    "subtract",
    "sum",
    "swapaxes",
    "take",
    "take_along_axis",
    "tan",
    "tanh",
    "tensordot",
    "tile",
    "trace",
    "transpose",
    "tril",
    "triu",
    "value_and_grad",
    "var",
    "vjp",
    "vstack",
    "where",
    "windows",
    "zero",
    "zeros",
    "zeros_like",
]

_advice.advise_on_class(Tensor, {**_advice.rows_of_functions(__name__), **_names.TENSOR})
_advice.advise_on_keywords(__name__, linalg.__name__)

_show_in_notebooks(Tensor, html="tensor_html", tree="tensor_tree")
_show_in_notebooks(_GradcheckReport, html="gradcheck_html")
_show_in_notebooks(_Profile, html="profile_html")
