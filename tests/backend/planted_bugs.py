"""Portability bugs to plant into the framework: each is right on NumPy, and wrong or slow on a GPU.

A bug is one replacement in the source of a module, as somebody might write it who tries it on NumPy only, and the probe
that shows it. `test_planted_bugs.py` plants them.
"""

from typing import Any, NamedTuple

import tinygrad_sm as tg
from tests.backend import planted_probes as probes
from tests.backend.planted_probes import gradient_of, loss_of, train
from tinygrad_sm import Tensor, nn
from tinygrad_sm.nn import functional


class Bug(NamedTuple):
    """What stands in a module in place of what, and the probe that shows it."""

    module: str
    old: str
    new: str
    probe: Any


ITEM = "        np.broadcast_to(np.False_, array.shape)[on_host]  # NumPy itself checks them, on an array of the shape"
GATHER = "x, y = self.x.take(rows, axis=0), self.y.take(rows, axis=0)"
COUNTS = (
    'return scatter_add(array_module(labels).ones_like(labels, "int64"), (classes, classes), (labels, predictions))'
)

softmax = gradient_of(lambda x: x.softmax(1))
sparsemax = gradient_of(functional.sparsemax)
sums = gradient_of(lambda x: x.sum(axis=1))
weighted = loss_of(lambda x, labels: functional.cross_entropy(x, labels, weight=[1.0, 2.0, 0.5, 1.0, 1.0]))
halves = loss_of(lambda x, labels: functional.cross_entropy(x.astype("float16"), labels))
gather = gradient_of(lambda x: x[Tensor(probes.LABELS, device=x.device)] * x)
momentum = train(momentum=0.9)

BUGS = {
    # Keywords, functions, dtypes and operands that CuPy does not have or take.
    "initial= in the maxima of softmax": Bug(
        "softmax_loss", "x.max(axis=axis, keep", "x.max(initial=-xp.inf, axis=axis, keep", softmax
    ),
    "initial= in sum": Bug("ops.reductions", ".sum(x, axis=axis_of", ".sum(x, initial=0, axis=axis_of", sums),
    "where= in mean": Bug(
        "ops.reductions",
        ".mean(x, axis=axis, keepdims=keepdims)",
        ".mean(x, axis=axis, keepdims=keepdims, where=x == x)",
        gradient_of(lambda x: x.mean(axis=0)),
    ),
    "initial= in prod": Bug(
        "ops.reductions", ".prod(x, axis", ".prod(x, initial=1, axis", gradient_of(lambda x: x.prod(axis=1))
    ),
    "a mean in longdouble": Bug(
        "ops.reductions",
        ".mean(x, axis=axis, keepdims=keepdims)",
        '.mean(x, axis=axis, keepdims=keepdims, dtype="longdouble").astype(x.dtype)',
        gradient_of(lambda x: x.mean(axis=0)),
    ),
    "a ufunc with where=": Bug(
        "ops.elementwise",
        "array_module(x).maximum(x, 0)",
        "array_module(x).maximum(x, 0, where=x > 0, out=x * 0)",
        gradient_of(tg.relu),
    ),
    "a ufunc with order=": Bug(
        "ops.elementwise",
        "array_module(x).tanh(x)",
        'array_module(x).tanh(x, order="C")',
        gradient_of(tg.tanh),
    ),
    "errstate of the array module": Bug(
        "ops.elementwise",
        "    return array_module(x).log(x)\n",
        '    with array_module(x).errstate(divide="ignore"):\n        return array_module(x).log(x)\n',
        gradient_of(lambda x: tg.log(x * x)),
    ),
    "a sort with stable=": Bug(
        "nn.xmax", "astype(xp.float64), axis=dim)", "astype(xp.float64), axis=dim, stable=True)", sparsemax
    ),
    "maximum.reduce": Bug(
        "nn.xmax", "data.max(axis=dim, keepdims=True)", "xp.maximum.reduce(data, axis=dim, keepdims=True)", sparsemax
    ),
    "take with mode=": Bug("datasets.loader", GATHER, GATHER.replace("axis=0", 'axis=0, mode="clip"'), train()),
    "einsum with casting=": Bug(
        "ops.linalg",
        "einsum(formula, *xs, optimize",
        'einsum(formula, *xs, casting="safe", optimize',
        gradient_of(lambda x: tg.einsum("ij,kj->ik", x, x)),
    ),
    "clip with where=": Bug(
        "nn.parameters",
        "array_module(g).clip(g, -clip_value, clip_value, out=g)",
        "array_module(g).clip(g, a_min=-clip_value, a_max=clip_value, out=g, where=g == g)",
        probes.clipped_values,
    ),
    "a list as operand": Bug("ops.softmax", "array_module(labels).arange(classes))", "[*range(classes)])", weighted),
    "a list in where": Bug(
        "ops.composed",
        "& xp.isfinite(scale), scale, 1)",
        "& xp.isfinite(scale), scale, [1])",
        gradient_of(tg.norm),
    ),
    "add.at of NumPy": Bug("backend", "xp.add.at(out", "np.add.at(out", gather),
    "a NumPy scalar of no axes among arrays": Bug(
        "datasets.images", "pixels / np.float32(255)", "pixels / np.array(255, np.float32)", train()
    ),
    "a constant as an array of NumPy": Bug(
        "ops.composed",
        "sigmoid(math.sqrt(8 / math.pi) *",
        "sigmoid(np.array(math.sqrt(8 / math.pi), x.dtype) *",
        gradient_of(tg.gelu),
    ),
    # What silently is another thing on a GPU.
    "out-of-range indices are left to the array": Bug("backend", ITEM, "        pass", probes.index_out_of_range),
    "out-of-range labels are left to the index": Bug(
        "softmax_loss",
        "if target.ndim == 1 and type(logits) is not HostArray:",
        "if False:",
        probes.bad_labels(5),
    ),
    "no NaN for bad labels of the kernel": Bug(
        "softmax_loss",
        "xp.where(is_known, losses, xp.where(is_kept, xp.nan, 0))",
        "xp.where(is_kept, losses, 0)",
        probes.bad_labels(100),
    ),
    "a gradient for bad labels": Bug(
        "softmax_loss", "xp.where(is_known[:, None], residual.T, 0)", "residual.T", probes.bad_labels(100)
    ),
    "no NaN for bad labels of the formula": Bug(
        "nn.functional",
        "if type(y) is not HostArray:",
        "if False:",
        probes.bad_labels(5, label_smoothing=0.1),
    ),
    "bad labels are not looked for by detect_anomaly": Bug(
        "observe",
        '            if device_of(out) != "cpu" and (made or op.refused):\n',
        "            if False:\n",
        probes.anomaly_in_labels,
    ),
    "trust in a flag that CuPy ignores": Bug(
        "backend",
        "    if type(array) is not HostArray or sys.getrefcount(array) != alone:\n        return owned_copy(array)\n",
        "    if type(array) is not HostArray or sys.getrefcount(array) != alone:\n"
        "        return array if is_writable(array) else owned_copy(array)\n",
        probes.one_backward_and_another,
    ),
    "the last of duplicate stores wins": Bug(
        "nn.functional",
        COUNTS,
        "xp = array_module(labels)\n"
        "    places = xp.sort(labels * classes + predictions)\n"
        '    counts = xp.zeros(classes**2, "int64")\n'
        "    counts[places] = xp.arange(len(places)) - xp.searchsorted(places, places) + 1\n"
        "    return counts.reshape(classes, classes)",
        probes.many_in_few_classes,
    ),
    "a reduction is taken for a float": Bug(
        "nn.functional",
        "return float((predictions == labels).mean())",
        "return (predictions == labels).mean()",
        probes.measured,
    ),
    "a state that is not copied": Bug(
        "nn.optimizer",
        "owned_copy(value) if type(value) in ARRAY_TYPES else value",
        'owned_copy(value) if hasattr(value, "setflags") else value',
        probes.state_before_a_step,
    ),
    "random numbers of the array module": Bug(
        "nn.layers",
        "        kept = random_generator().random(",
        "        from tinygrad_sm.backend import array_module\n\n"
        "        kept = array_module(data).random.default_rng(0).random(",
        probes.dropped,
    ),
    "initial values drawn on the device": Bug(
        "nn.init",
        "random_generator().uniform(low",
        "array_module(tensor.data).random.default_rng(0).uniform(low",
        probes.drawn_into,
    ),
    "a gradient in float64": Bug("backend", "out = xp.zeros(shape, values.dtype)", "out = xp.zeros(shape)", gather),
    "room in float64 for a kernel": Bug(
        "softmax_loss", "xp.empty((2, len(labels)), wide)", "xp.empty((2, len(labels)))", train()
    ),
    "a half-precision loss in float32": Bug(
        "softmax_loss", "return loss.astype(logits.dtype, copy=False), ", "return loss, ", halves
    ),
    "a kernel without its last output": Bug(
        "softmax_loss", "by_row[0], by_row[1], residual)\n    else", "by_row[0], by_row[1])\n    else", train()
    ),
    "a kernel with its outputs exchanged": Bug(
        "nn.optim", 'options["nesterov"], data, velocity)', 'options["nesterov"], velocity, data)', momentum
    ),
    "unwritten memory where a kernel should write": Bug(
        "softmax_loss",
        "        cross_entropy_rows(z, labels, z.shape[1], IGNORED, by_row[0], by_row[1], residual)\n",
        "        cross_entropy_rows(z, labels, z.shape[1], IGNORED, by_row[0], by_row[1], xp.empty_like(z))\n",
        train(),
    ),
    "a denormal number as guard": Bug(
        "ops.composed", "is_zero = x == 0", "is_zero = x < 1e-40", gradient_of(lambda x: tg.std(x * 0, axis=1))
    ),
    # What is on the wrong device.
    "np.asarray of data": Bug("nn.layers", "data = as_array(plain(x))", "data = np.asarray(plain(x))", probes.dropped),
    "np.asarray to print": Bug(
        "tensor",
        "np.array2string(self.numpy(),",
        "np.array2string(np.asarray(self.data),",
        probes.printed,
    ),
    "np.asarray to the host": Bug(
        "backend",
        'return np.asarray(array) if device_of(array) == "cpu" else array.get()',
        "return np.asarray(array)",
        lambda device: [Tensor(probes.X, device=device).numpy()],
    ),
    "np.asarray to save": Bug(
        "nn.checkpoint", "    array = to_numpy(array)\n", "    array = np.asarray(array)\n", probes.state_from_a_file
    ),
    "np.asarray to find anomalies": Bug(
        "observe", "array = xp.asarray(x)\n    if array", "array = np.asarray(x)\n    if array", probes.anomaly
    ),
    "the first gradient made by NumPy": Bug(
        "backend",
        "return array_module(array).ones_like(array)",
        "return np.ones(array.shape, array.dtype)",
        probes.backward_of_one_element,
    ),
    "the first gradient of a scalar made by NumPy": Bug(
        "backend",
        "_ones[key] = array_module(array).ones_like(array)",
        "_ones[key] = np.ones(array.shape, array.dtype)",
        probes.one_backward_and_another,
    ),
    "one constant for all devices": Bug(
        "backend",
        "key = type(array), device_of(array), array.dtype",
        'key = "cpu", "cpu", array.dtype',
        probes.backward_here_and_there,
    ),
    "a target stays on the host": Bug(
        "primitive",
        "as_array(x, device=device_of(plain(beside)))",
        "as_array(x)",
        gradient_of(lambda x: functional.cross_entropy(x, [0, 4, 1, 1, 3, 2])),
    ),
    "an operand stays on the host": Bug(
        "primitive",
        'device=None if hasattr(x, "shape") else device)',
        "device=None)",
        gradient_of(lambda x: x * [1.0, 2.0, 3.0, 4.0, 5.0]),
    ),
    "noise stays on the host": Bug(
        "nn.xmax", ".gumbel(size=data.shape), device=device_of(data))", ".gumbel(size=data.shape))", probes.noisy
    ),
    "a mask stays on the host": Bug(
        "nn.layers", "as_array(mask, device=device_of(data))", "as_array(mask)", probes.dropped
    ),
    "assign of an array of the host": Bug(
        "tensor",
        "new = as_array(plain(array), device=self.device)",
        "new = as_array(plain(array))",
        lambda device: [Tensor([1.0, 2.0], device=device).assign([3.0, 4.0])],
    ),
    "zeros_like of an array makes them on the host": Bug(
        "creation",
        "Tensor(np.zeros(x.shape, x.dtype), requires_grad, device=device_of(plain(x)) if device is None else device)",
        "Tensor(np.zeros(x.shape, x.dtype), requires_grad, device=device)",
        lambda device: [tg.zeros_like(Tensor(probes.X, device=device))],
    ),
    "a copy is made on the host": Bug(
        "tensor",
        "Tensor(owned_copy(self.data), self.requires_grad)",
        "Tensor(self.numpy().copy(), self.requires_grad)",
        probes.copied,
    ),
    "a state is loaded from the host": Bug(
        "nn.optimizer",
        "as_array(plain(value), device=device_of(slot.state[name]))",
        "plain(value)",
        probes.state_from_a_file,
    ),
    "velocities are left on the old device": Bug(
        "nn.optimizer",
        "                    slot.follow()\n",
        "                    pass\n",
        probes.moving(nn.optim.Adam),
    ),
    "scratch is made on the host": Bug(
        "nn.optimizer",
        "array_module(block).empty_like(block)",
        '__import__("numpy").empty(block.shape, block.dtype)',
        train(),
    ),
    "scratch is left on the old device": Bug(
        "nn.optimizer", "\n        self._scratch = {}\n\n", "\n", probes.moving(nn.optim.SGD)
    ),
    "gradients are left on the old device": Bug(
        "nn.module",
        "tensor.grad = None if tensor.grad is None else to_device(tensor.grad, device)",
        "pass",
        probes.moved_before_a_step,
    ),
    "the current GPU for any": Bug(
        "backend",
        "    with _cupy().cuda.Device(_cuda_index(device)):\n        return _cupy().asarray(array)",
        "    return _cupy().asarray(array)",
        probes.second_device,
    ),
    "the default device is not made the current one": Bug(
        "backend",
        "        _cupy().cuda.Device(_cuda_index(device)).use()\n",
        "        pass\n",
        probes.second_device_by_default,
    ),
    # What makes the host wait, or copies, in every step.
    "labels are looked at in every step": Bug(
        "checks", "    if type(labels) is not HostArray:\n        return\n", "", train()
    ),
    "ignore_index in labels": Bug(
        "nn.functional",
        "return ignore_index != IGNORED and target.ndim == 1",
        "return ignore_index in plain(target)",
        train(),
    ),
    "if any gradient is not 0": Bug(
        "nn.optimizer",
        "            if parameter.grad is not None:\n",
        "            if parameter.grad is not None and parameter.grad.any():\n",
        train(),
    ),
    "if the loss is not NaN": Bug(
        "tape",
        "        return ones_like(root.data, shared=not (root.hooks or retain_graph))\n",
        "        return ones_like(root.data if root.data == root.data else 1 / root.data)\n",
        train(),
    ),
    "the first gradient is known by its value": Bug(
        "backend", "        if g is one:", "        if g.ndim == 0 and g == 1:", train()
    ),
    "blocks for the cache of a CPU": Bug(
        "softmax_loss",
        "if C >= MANY_CLASSES and type(logits) is HostArray:",
        "if C >= MANY_CLASSES:",
        probes.probabilities_of_many_classes,
    ),
    "float() of a divisor": Bug(
        "nn.functional", "losses.sum() / (divisor + (divisor == 0))", "losses.sum() / (float(divisor) or 1.0)", weighted
    ),
    ".item() of a scale": Bug(
        "nn.optim",
        "xp.add(xp.multiply(theta, weight_decay, out=scratch), g, out=scratch)",
        "xp.add(xp.multiply(theta, weight_decay if theta.any().item() else 0.0, out=scratch), g, out=scratch)",
        train(weight_decay=0.1),
    ),
    "one transfer for each norm": Bug(
        "nn.parameters", "to_numpy(norms).tolist()", "map(float, norms)", probes.clipped_norm
    ),
    "sums on the host": Bug(
        "softmax_loss", "*by_row.sum(axis=1))", "*xp.asarray(by_row.sum(axis=1).tolist(), wide))", train()
    ),
    "a mask as index": Bug(
        "ops.composed",
        "    scale = xp.where((scale > 0) & xp.isfinite(scale), scale, 1).astype(scale.dtype)\n",
        "    scale[~((scale > 0) & xp.isfinite(scale))] = 1\n",
        gradient_of(lambda x: tg.norm(x, axis=1)),
    ),
    "the whole array comes to check an index": Bug(
        "backend", ITEM, "        to_numpy(array)[on_host]", gradient_of(lambda x: x[1:3])
    ),
    "the order of an epoch stays on the host": Bug(
        "datasets.loader", "self._batches(to_device(order, device_of(self.x)),", "self._batches(order,", train()
    ),
    "each batch comes from the host": Bug(
        "datasets.loader",
        GATHER,
        "x, y = (to_device(to_numpy(z)[to_numpy(rows)], device_of(z)) for z in (self.x, self.y))",
        train(),
    ),
    "indices made by NumPy along an axis": Bug(
        "ops.composed", "along = array_module(indices).arange\n", "along = np.arange\n", probes.along_an_axis
    ),
    "indices made by NumPy for a diagonal": Bug(
        "ops.composed",
        "along = array_module(plain(x)).arange(",
        "along = np.arange(",
        gradient_of(lambda x: tg.einsum("ii->i", x[:5])),
    ),
}
"""By name."""

SURVIVORS = {"a denormal number as guard"}
"""Those that the double cannot show: it computes with NumPy, which keeps the numbers that a GPU flushes to 0."""
