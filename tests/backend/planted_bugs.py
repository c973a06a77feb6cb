"""Portability bugs to plant into the framework: each is right on NumPy, and wrong or slow on a GPU.

A bug is a wrong function, as somebody might write it who tries it on NumPy only, the name of what it takes the place
of, and the probe that shows it:

    @bug("np.asarray to the host", "to_numpy", numbers)
    def _(right, array):
        return np.asarray(array)

It takes the right function first, and then what that takes; so it need not copy what it does not spoil. The names are
those of interfaces, and say nothing of where or how something is written: a function ("to_numpy"), also one of
kernels.py, a method ("Optimizer.step"), or what an operation has ("sum.forward", "cross_entropy.rules"). Functions are
looked for in the whole package; of two that have one name, the module is named too ("creation.ones_like"). With
`within`, the wrong function takes the place of the right one only while another is running. `shows` is what shows the
bug on the double: an "error", another "result", or more of what costs time there, "sync", "h2d", "d2h" or "launch".

`test_planted_bugs.py` plants them. Here are the bugs of what CuPy lacks, and of what it does otherwise; those of places
and of waiting stand in `planted_waits.py`.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import tinygrad_sm as tg
from tests.backend import planted_probes as probes
from tests.backend.planted_probes import gradient_of, loss_of, train
from tinygrad_sm import Tensor
from tinygrad_sm.backend import array_module, is_writable
from tinygrad_sm.nn import functional


class Bug(NamedTuple):
    """What the wrong function takes the place of, and the probe that shows it."""

    target: str
    wrong: Callable[..., Any]
    probe: Callable[[str], list[Any]]
    shows: str = "error"
    within: str = ""
    in_wing: bool = False  # whether it is one only in a quicker form


BUGS: dict[str, Bug] = {}
"""By name."""


def bug(name, target, probe, shows="error", within="", in_wing=False):
    """Enter the decorated function into the table."""

    def enter(wrong):
        assert name not in BUGS, f"there are two bugs with the name {name!r}"
        BUGS[name] = Bug(target, wrong, probe, shows, within, in_wing)
        return wrong

    return enter


class AlteredModule:
    """An array module of which some functions are wrong; they too take the right one first."""

    def __init__(self, xp, **wrong):
        self._xp, self._wrong = xp, wrong

    def __getattr__(self, name):
        right = getattr(self._xp, name)
        return partial(self._wrong[name], right) if name in self._wrong else right


softmax = gradient_of(lambda x: x.softmax(1))
sums = gradient_of(lambda x: x.sum(axis=1))
means = gradient_of(lambda x: x.mean(axis=0))
weighted = loss_of(lambda x, labels: functional.cross_entropy(x, labels, weight=[1.0, 2.0, 0.5, 1.0, 1.0]))
halves = loss_of(lambda x, labels: functional.cross_entropy(x.astype("float16"), labels))
gather = gradient_of(lambda x: x[Tensor(probes.LABELS, device=x.device)] * x)


# Keywords, functions, dtypes and operands that CuPy does not have or take.


@bug("initial= in the maxima of softmax", "softmax.forward", softmax)
def _(right, x, axis):
    return right(x - x.max(initial=-np.inf, axis=axis, keepdims=True), axis=axis)


@bug("initial= in sum", "sum.forward", sums)
def _(right, x, axis, keepdims, dtype):
    return array_module(x).sum(x, initial=0, axis=axis, keepdims=keepdims)


@bug("where= in mean", "mean.forward", means)
def _(right, x, axis, keepdims, dtype):
    return array_module(x).mean(x, axis=axis, keepdims=keepdims, where=x == x)


@bug("initial= in prod", "prod.forward", gradient_of(lambda x: x.prod(axis=1)))
def _(right, x, axis, keepdims, dtype):
    return array_module(x).prod(x, initial=1, axis=axis, keepdims=keepdims)


@bug("a mean in longdouble", "mean.forward", means)
def _(right, x, axis, keepdims, dtype):
    return array_module(x).mean(x, axis=axis, keepdims=keepdims, dtype="longdouble").astype(x.dtype)


@bug("a ufunc with where=", "relu.forward", gradient_of(tg.relu))
def _(right, x):
    return array_module(x).maximum(x, 0, where=x > 0, out=x * 0)


@bug("a ufunc with order=", "tanh.forward", gradient_of(tg.tanh))
def _(right, x):
    return array_module(x).tanh(x, order="C")


@bug("errstate of the array module", "log.forward", gradient_of(lambda x: tg.log(x * x)))
def _(right, x):
    with array_module(x).errstate(divide="ignore"):
        return right(x)


@bug("a sort with stable=", "array_module", gradient_of(lambda x: functional.sparsemax(x)), within="sparsemax")
def _(right, *arrays):
    return AlteredModule(right(*arrays), sort=lambda right, x, axis: right(x, axis=axis, stable=True))


@bug("maximum.reduce", "max.forward", gradient_of(lambda x: x.max(axis=1)))
def _(right, x, axis, keepdims):
    return array_module(x).maximum.reduce(x, axis=axis, keepdims=keepdims)


@bug("take with mode=", "getitem.forward", gather)
def _(right, x, index):
    return x.take(index, axis=0, mode="clip")


@bug("einsum with casting=", "einsum.forward", gradient_of(lambda x: tg.einsum("ij,kj->ik", x, x)))
def _(right, *xs, formula):
    return array_module(*xs).einsum(formula, *xs, casting="safe")


@bug("clip with where=", "clip_grad_value", probes.clipped_values)
def _(right, parameters, clip_value):
    for g in [parameter.grad for parameter in parameters]:
        array_module(g).clip(g, -clip_value, clip_value, out=g, where=g == g)


@bug("a list as operand", "one_hot.forward", weighted)
def _(right, labels, classes, dtype):
    return (labels[:, None] == [*range(classes)]).astype(dtype)


@bug("a list in where", "where.forward", gradient_of(lambda x: tg.where(x > 0, x, 0)))
def _(right, condition, a, b):
    return array_module(a).where(condition, a, [b]).astype(a.dtype)


@bug("add.at of NumPy", "scatter_add", gather)
def _(right, values, shape, index):
    out = array_module(values).zeros(shape, values.dtype)
    np.add.at(out, index, values)
    return out


@bug("a NumPy scalar of no axes among arrays", "scaled_mnist", train())
def _(right, pixels):
    return pixels / np.array(255, np.float32)


@bug("a constant as an array of NumPy", "composed.gelu", gradient_of(lambda x: tg.gelu(x)))
def _(right, x):
    return right(np.array(1, np.float32) * x)


# What silently is another thing on a GPU.


@bug("out-of-range indices are left to the array", "getitem.forward", probes.index_out_of_range, shows="result")
def _(right, x, index):
    return x[index]


@bug("out-of-range labels are left to the index", "cross_entropy.forward", probes.bad_labels(5), shows="result")
def _(right, logits, target, ignored):
    y = array_module(logits).zeros_like(logits)
    y[array_module(y).arange(len(y)), target] = 1
    return right(logits, y, ignored)


@bug("no NaN for bad labels of the operation", "cross_entropy.forward", probes.bad_labels(100), shows="result")
def _(right, logits, target, ignored):
    loss, residual = right(logits, target, ignored)
    return array_module(logits).nan_to_num(loss), residual


@bug("a gradient for bad labels", "cross_entropy.forward", probes.bad_labels(100), shows="result")
def _(right, logits, target, ignored):
    loss, _ = right(logits, target, ignored)
    return loss, right(logits, target.clip(0, logits.shape[1] - 1), ignored)[1]


@bug("no NaN for bad labels of the formula", "cross_entropy", probes.bad_labels(5, label_smoothing=0.1), shows="result")
def _(right, logits, target, **options):
    return right(logits, functional.one_hot(target, logits.shape[1]), **options)


@bug("bad labels are not looked for on the host by detect_anomaly", "to_numpy", probes.anomaly_in_labels)
def _(right, array):
    return array


@bug("trust in a flag that CuPy ignores", "owned_copy", probes.one_backward_and_another, "result", in_wing=True)
def _(right, array):
    return array if is_writable(array) else right(array)


@bug("the last of duplicate stores wins", "confusion_matrix", probes.many_in_few_classes, shows="result")
def _(right, logits, labels):
    xp, classes = array_module(labels.data), logits.shape[1]
    places = xp.sort(labels.data * classes + logits.argmax(axis=1))
    counts = xp.zeros(classes**2, "int64")
    counts[places] = xp.arange(len(places)) - xp.searchsorted(places, places) + 1
    return counts.reshape(classes, classes)


@bug("a reduction is taken for a float", "accuracy", probes.measured, shows="result")
def _(right, logits, labels):
    return (logits.argmax(axis=1) == labels.data).mean()


@bug(
    "a state that is not copied",
    "owned_copy",
    probes.state_before_a_step,
    shows="result",
    within="Groups.state_dict",
    in_wing=True,
)
def _(right, array):
    return right(array) if hasattr(array, "setflags") else array


@bug("random numbers of the array module", "Dropout.forward", probes.dropped, shows="result")
def _(right, layer, x):
    kept = array_module(x.data).random.default_rng(0).random(x.shape) >= layer.p
    return x * (kept * np.float32(1 / (1 - layer.p)))


@bug("initial values drawn on the device", "uniform_", probes.drawn_into, shows="result")
def _(right, tensor):
    return tensor.assign(array_module(tensor.data).random.default_rng(0).uniform(0, 1, tensor.shape))


@bug("a gradient in float64", "scatter_add", gather, shows="launch")
def _(right, values, shape, index):
    out = array_module(values).zeros(shape)
    array_module(values).add.at(out, index, values)
    return out


@bug("room in float64 for a kernel", "cross_entropy_rows", train(), in_wing=True)
def _(right, *inputs_and_outputs):
    *inputs, loss, kept, residual = inputs_and_outputs
    right(*inputs, loss.astype("float64"), kept.astype("float64"), residual)


@bug("a half-precision loss in float32", "cross_entropy.forward", halves, shows="result")
def _(right, logits, target, ignored):
    loss, residual = right(logits, target, ignored)
    return loss if type(logits) is np.ndarray else loss.astype("float32"), residual


@bug("a kernel without its last output", "cross_entropy_rows", train(), in_wing=True)
def _(right, *inputs_and_outputs):
    right(*inputs_and_outputs[:-1])


@bug("a kernel with its outputs exchanged", "Kernel.of", train(momentum=0.9), shows="result", in_wing=True)
def _(right, kernel, xp):
    def exchanged(*inputs_and_outputs):
        *inputs, data, velocity = inputs_and_outputs
        right(kernel, xp)(*inputs, velocity, data)

    return exchanged if kernel.name == "momentum_step" else right(kernel, xp)


@bug("unwritten memory where a kernel should write", "cross_entropy_rows", train(), shows="result", in_wing=True)
def _(right, *inputs_and_outputs):
    *others, residual = inputs_and_outputs
    right(*others, array_module(residual).empty_like(residual))


@bug("a denormal number as guard", "std", gradient_of(lambda x: tg.std(x * 0, axis=1)), shows="")
def _(right, x, axis):  # nothing shows it: the double computes with NumPy, which keeps what a GPU flushes to 0
    var = tg.var(x, axis)
    is_zero = var < 1e-40
    return tg.where(is_zero, 0, tg.sqrt(tg.where(is_zero, 1, var)))
