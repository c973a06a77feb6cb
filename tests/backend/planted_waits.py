"""Portability bugs to plant into the framework, the second half: data on the wrong device, waits and copies.

What a bug is and how it is written stands in `planted_bugs.py`.
"""

import math
import sys

import numpy as np

import tinygrad_sm as tg
from tests.backend import planted_probes as probes
from tests.backend.planted_bugs import AlteredModule, bug, weighted
from tests.backend.planted_probes import gradient_of, train
from tinygrad_sm import Tensor, nn
from tinygrad_sm.backend import array_module, device_of, to_device, to_numpy
from tinygrad_sm.nn import functional

# What is on the wrong device.


@bug("np.asarray of data", "Dropout.forward", probes.dropped)
def _(right, layer, x):
    return right(layer, Tensor(np.asarray(x.data)))


@bug("np.asarray to print", "Tensor.__repr__", probes.printed)
def _(right, tensor):
    return right(Tensor(np.asarray(tensor.data)))


@bug("np.asarray to save", "to_numpy", probes.state_from_a_file, within="save")
@bug("np.asarray to the host", "to_numpy", lambda device: [Tensor(probes.X, device=device).numpy()])
def _(right, array):
    return np.asarray(array)


@bug("np.asarray to find anomalies", "AnomalyDetector.forward", probes.anomaly)
def _(right, detector, op, forward):
    checked = right(detector, op, forward)
    return lambda x, *others: checked(x if np.isfinite(np.asarray(x)).all() else x, *others)


@bug("the first gradient made by NumPy", "first_gradient", probes.backward_of_one_element, shows="result")
@bug("the first gradient of a scalar made by NumPy", "first_gradient", probes.one_backward_and_another)
def _(right, root):
    return np.ones(root.shape, root.dtype)


@bug("one constant for all devices", "first_gradient", probes.backward_here_and_there, shows="result")
def _(right, root, kept={}):  # noqa: B006  it is kept from call to call
    return kept.setdefault(root.dtype, right(root))


@bug("a target stays on the host", "as_array", gradient_of(lambda x: functional.cross_entropy(x, [0, 4, 1, 1, 3, 2])))
@bug("an operand stays on the host", "as_array", gradient_of(lambda x: x * [1.0, 2.0, 3.0, 4.0, 5.0]))
@bug("noise stays on the host", "as_array", probes.noisy)
@bug("a mask stays on the host", "as_array", probes.dropped)
@bug("assign of an array of the host", "as_array", lambda device: [tg.zeros(2, device=device).assign([3.0, 4.0])])
@bug(
    "a state is loaded from the host",
    "as_array",
    probes.state_from_a_file,
    shows="result",
    within="Groups._load_writes",
)
def _(right, data, dtype=None, device=None, is_new=False):
    return right(data, dtype, device if is_new else None, is_new)


@bug(
    "zeros_like of an array makes them on the host",
    "zeros_like",
    lambda device: [tg.zeros_like(Tensor(probes.X, device=device))],
    shows="result",
)
def _(right, x):
    return Tensor(np.zeros(x.shape, x.dtype))


@bug("a copy is made on the host", "Tensor.__deepcopy__", probes.copied, shows="result")
def _(right, tensor, memo):
    return Tensor(tensor.numpy().copy(), tensor.requires_grad)


@bug("velocities are left on the old device", "to_device", probes.moving(nn.optim.Adam), within="Optimizer.step")
def _(right, array, device):
    return array


@bug("scratch is made on the host", "array_module", train(), within="Optimizer.step", in_wing=True)
def _(right, *arrays):
    return AlteredModule(right(*arrays), empty_like=lambda right, array: np.empty(array.shape, array.dtype))


@bug(
    "scratch is left on the old device", "device_of", probes.moving(nn.optim.SGD), within="Optimizer.step", in_wing=True
)
def _(right, array):
    return "cpu"  # where the parameters were before they moved


@bug("gradients are left on the old device", "Module.to", probes.moved_before_a_step)
def _(right, module, device):
    gradients = [parameter.grad for parameter in module.parameters()]
    right(module, device)
    for parameter, g in zip(module.parameters(), gradients, strict=True):
        parameter.grad = g


@bug("the current GPU for any", "to_device", probes.second_device, shows="result")
def _(right, array, device):
    return right(array, device and device.partition(":")[0])


@bug("the default device is not made the current one", "set_default_device", probes.second_device_by_default)
def _(right, device):
    right(device)
    if device != "cpu":
        sys.modules["cupy"].cuda.Device(0).use()


# What makes the host wait, or copies, in every step.


@bug("labels are looked at in every step", "cross_entropy.forward", train(), shows="sync")
def _(right, logits, target, ignored):
    if ((target < 0) | (target >= logits.shape[1])).any():
        raise IndexError("a label is out of range")
    return right(logits, target, ignored)


@bug("ignore_index in labels", "cross_entropy", train(), shows="sync")
def _(right, logits, target):
    return right(logits, target, reduction="mean" if -100 in target else "mean")


@bug("if any gradient is not 0", "Optimizer.step", train(), shows="sync")
def _(right, optimizer):
    if any(parameter.grad.any() for group in optimizer.param_groups for parameter in group["params"]):
        right(optimizer)


@bug("if the loss is not NaN", "Tensor.backward", train(), shows="sync")
def _(right, tensor):
    if tensor.data == tensor.data:
        right(tensor)


@bug("the first gradient is known by its value", "cross_entropy.rules", train(), shows="sync")
def _(right, g, *others, **static):
    return static["saved"] if g == 1 else right(g, *others, **static)


@bug("blocks for the cache of a CPU", "cross_entropy.forward", probes.probabilities_of_many_classes, shows="launch")
def _(right, logits, target, ignored):
    xp, blocks = array_module(logits), 6  # of equal size
    parts = [right(*block, ignored) for block in zip(xp.split(logits, blocks), xp.split(target, blocks), strict=True)]
    return sum(loss for loss, _ in parts) / blocks, xp.concatenate([residual for _, residual in parts]) / blocks


@bug("float() of a divisor", "cross_entropy", weighted, shows="sync")
def _(right, logits, target, weight):
    total = (functional.one_hot(target, logits.shape[1]) * weight).sum()
    return right(logits, target, weight, reduction="sum") / float(total)


@bug(".item() of a scale", "Optimizer.step", train(weight_decay=0.1), shows="sync")
def _(right, optimizer):
    for group in optimizer.param_groups:
        group["weight_decay"] *= any(parameter.data.any().item() for parameter in group["params"])
    right(optimizer)


@bug("one transfer for each norm", "clip_grad_norm", probes.clipped_norm, shows="sync")
def _(right, parameters, max_norm):
    norm = math.hypot(*(float(tg.norm(parameter.grad)) for parameter in parameters))
    for parameter in parameters:
        parameter.grad *= max_norm / (norm + 1e-6)
    return tg.Tensor(norm, device=parameters[0].device)


@bug("sums on the host", "mean_of_kept", train(), shows="sync", in_wing=True)
def _(right, total, kept):
    return right(*(array_module(x).asarray(float(x), x.dtype) for x in (total, kept)))


@bug("a mask as index", "relu.forward", gradient_of(tg.relu), shows="sync")
def _(right, x):
    out = x.copy()
    out[x < 0] = 0
    return out


@bug("the whole array comes to check an index", "getitem.forward", gradient_of(lambda x: x[1:3]), shows="sync")
def _(right, x, index):
    to_numpy(x)[index]
    return right(x, index)


@bug("the order of an epoch stays on the host", "to_device", train(), shows="h2d", within="DataLoader.__iter__")
def _(right, array, device):
    return array


@bug("each batch comes from the host", "DataLoader.__iter__", train(), shows="sync")
def _(right, loader):
    return (tuple(to_device(to_numpy(array), device_of(array)) for array in batch) for batch in right(loader))


@bug("indices made by NumPy along an axis", "take_along_axis", probes.along_an_axis, shows="h2d")
def _(right, x, indices, axis):
    return x[np.arange(len(x))[:, None], indices]


@bug("indices made by NumPy for a diagonal", "einsum", gradient_of(lambda x: tg.einsum("ii->i", x[:5])), shows="h2d")
def _(right, formula, x):
    return x[np.arange(len(x)), np.arange(len(x))]
