"""Answers that stand in no table: other forms of right ones, and of mistakes, with words of their sentences."""

RIGHT = {
    "record": (
        "node = None\nif record:\n    for x in traced:\n        if x.requires_grad and node is None:\n"
        "            self.check_differentiable(out, operands)\n"
        "            node = Node(self, operands, static, saved, number)",
    ),
    "no_grad": (
        "def off(mode):\n    return mode._replace(record=False)\n\nreturn ModeScope(off)",
        "return ModeScope(lambda mode: Mode(record=False, observers=mode.observers))",
    ),
    "first_gradient": ("return array_module(root.data).full(root.data.shape, 1, dtype=root.data.dtype)",),
    "count_uses": (
        "if operand in uses:\n    uses[operand] += 1\nelse:\n    uses[operand] = 1\n    to_visit.append(operand)",
        "if operand not in uses:\n    uses[operand] = 0\n    to_visit.insert(0, operand)\nuses[operand] += 1",
    ),
    "accumulate": (
        "arrived[operand] = arrived[operand] + part if operand in arrived else part",
        "arrived[operand] = arrived.get(operand, 0) + part",
        "if operand not in arrived:\n    arrived[operand] = part\nelse:\n    arrived[operand] = part + "
        "arrived[operand]",
    ),
    "order": (
        "if not uses[operand]:\n    ready.insert(0, operand)",
        "if uses[operand] <= 0:\n    ready += [operand]",
    ),
    "free": (
        "if retain:\n    return\nfor x in node.operands:\n    if is_traced(x) and x in uses:\n        node.operands "
        "= None\n"
        "        node.saved = None\n        return",
    ),
    "add_to_grad": (
        "writes = []\nfor v, g in owned.items():\n    if v.grad is None:\n"
        '        writes.append((setattr, v, "grad", g))\n    else:\n        writes.append((setattr, v, "grad", '
        "v.grad + g))",
    ),
    "shift": (
        "x = wide(x)\nm = x.max(axis=axis, keepdims=True)\nm = m.astype(x.dtype)\n"
        "return x - m.clip(finfo(x.dtype).min, finfo(x.dtype).max), m",
    ),
    "logsumexp": ("z, m = shifted(x, axes)\nout = as_precise_as(x, xp.log(normalizer(xp.exp(z), axes)) + m)",),
    "complex_step": (
        "h = COMPLEX_STEP\nderivatives = (nudged(1j * h) / h).imag",
        "derivatives = np.imag(nudged(complex(0, COMPLEX_STEP))) / COMPLEX_STEP",
    ),
    "central_difference": (
        "quotient = np.where(unchanged, 0, (upper - lower) / (above - below))",
        "rise = upper - lower\nrise[unchanged] = 0\nquotient = rise / (above - below)",
    ),
    "richardson": (
        "before = row\nrow = [fine + (fine - coarse) / (RATIO**power - 1) for coarse, fine in pairwise(before)]",
        "before, row = row, [(coarse - RATIO**power * fine) / (1 - RATIO**power) for coarse, fine in pairwise(row)]",
    ),
    "distance": (
        "return np.where(g < self.low, self.low - g, np.where(g > self.high, g - self.high, 0.0))",
        "return np.maximum(self.low - g, 0) + np.maximum(g - self.high, 0)",
        "return np.abs(g - np.clip(g, self.low, self.high))",
    ),
    "one_hot": (
        "xp = array_module(labels)\nreturn xp.eye(classes, dtype=dtype)[labels]",
        "xp = array_module(labels)\nrows = xp.zeros((len(labels), classes), dtype)\n"
        "rows[xp.arange(len(labels)), labels] = 1\nreturn rows",
    ),
    "linear": (
        "if bias is None:\n    return x @ weight.T\nreturn x @ weight.T + bias",
        "out = x @ weight.swapaxes(-1, -2)\nif bias is not None:\n    out = out + bias\nreturn out",
    ),
    "flatten": (
        "n = x.shape[0]\nreturn x.reshape(n, math.prod(x.shape[1:]))",
        "size = 1\nfor n in x.shape[1:]:\n    size *= n\nreturn x.reshape((len(x), size))",
    ),
    "dropout": ("dtype = wide(data).dtype\nmask = (kept / (1 - p)).astype(dtype) if p < 1 else kept.astype(dtype)",),
    "last_batch": (
        "n, size = len(self.x), self.batch_size\nif self.drop_last:\n    return n // size\nreturn (n + size - 1) // "
        "size",
        "whole = len(self.x) // self.batch_size\n"
        "if not self.drop_last and whole * self.batch_size < len(self.x):\n    whole += 1\nreturn whole",
    ),
    "batches": (
        "start = i * self.batch_size\nrows = order[start : min(start + self.batch_size, len(order))]",
        "rows = order[i * self.batch_size :][: self.batch_size]",
    ),
    "sgd": ("g = g + weight_decay * theta\nif momentum == 0:\n    return g * lr, state",),
    "momentum": (
        'v = state["velocity"] * momentum + g if state else g.copy()\n'
        'step = g + v * momentum if options["nesterov"] else v\nreturn step * lr, {"velocity": v}',
    ),
    "moments": (
        'm = state["mean"] + (1 - beta1) * (g - state["mean"])\nv = (1 - beta2) * g**2 + beta2 * state["mean_square"]',
    ),
    "bias_correction": ("m_hat = m / (1 - beta1**t)\nv_hat = v / (1 - beta2**t)",),
    "adam_step": (
        "root = array_module(v_hat).sqrt(v_hat)\nchange = m_hat / (root + eps) * lr",
        "change = lr * m_hat / (v_hat**0.5 + eps)",
    ),
    "decoupled_decay": ("if self._is_decoupled:\n    change = change + lr * weight_decay * theta",),
    "zero_grad": (
        "if not set_to_none:\n    return write_all(self._zeros())\nfor group in self.param_groups:\n"
        '    for parameter in group["params"]:\n        parameter.grad = None',
    ),
}

WRONG = {
    "record": {
        "node = Node(self, operands, static, saved, number) if record else None": "on constants too",
        "node = None\nif record and traced[0].requires_grad:\n    node = Node(self, operands, static, saved, number)": (
            "the first operand alone"
        ),
    },
    "accumulate": {
        "arrived.update({operand: part})": "only the part that came last",
        "if operand not in arrived:\n    arrived[operand] = part": "only the part that came first",
        "arrived[operand] = part * arrived.get(operand, 1)": "multiplies the parts",
    },
    "order": {
        "if True:\n    ready.append(operand)": "whenever a part arrives",
        "if uses[operand] < 2:\n    ready.append(operand)": "one use too early",
    },
    "free": {
        "node = None": "you free nothing",
        "if not retain:\n    node.operands, node.saved = None, None": "of which no rule has run",
    },
    "shift": {
        "x = wide(x)\nm = x.max(axis, keepdims=True)\nreturn x - m, m": "a row of −∞ alone",
    },
    "complex_step": {
        "derivatives = np.real(nudged(1j * COMPLEX_STEP)) / COMPLEX_STEP": "you take the real part",
    },
    "one_hot": {
        "xp = array_module(labels)\nreturn xp.eye(classes, dtype='float32')[labels]": "ignore the dtype",
        "xp = array_module(labels)\nreturn xp.eye(classes)[labels] > 0": "True and False",
    },
    "flatten": {
        "return x.reshape(len(x), -1)": "0 / 0",
        "return x.ravel()": "one row for all images",
    },
    "last_batch": {
        "return int(len(self.x) / self.batch_size)": "nobody asked",
    },
    "momentum": {
        'v = momentum * state.get("velocity", 0) + g\nreturn lr * v, {"velocity": v}': "classical one",
    },
    "bias_correction": {
        "m_hat = m\nv_hat = v": "nothing is corrected",
    },
    "zero_grad": {
        "for slot in self._slots:\n    slot.parameter.grad = slot.parameter.data * 0": "with zeros",
    },
}
