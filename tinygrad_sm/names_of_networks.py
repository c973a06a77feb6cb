"""Names of PyTorch's networks and optimizers that do not exist here, and what to write; see `names.py`."""

_FORMULAS = {
    "avg_pool1d": "tg.windows(x, k, stride=k).mean(-1)",
    "max_pool1d": "tg.windows(x, k, stride=k).max(-1)",
    "elu": "tg.where(x > 0, x, alpha * tg.expm1(tg.minimum(x, 0)))",
    "hardtanh": "tg.clip(x, -1, 1)",
    "mish": "x * tg.tanh(tg.softplus(x))",
    "relu6": "tg.clip(x, 0, 6)",
}
"""Functions of PyTorch that are one line here."""

_NO_CONVOLUTION = "# not here; tg.windows of the last axes, then tg.einsum with the kernels, is a convolution"
_NO_TRANSPOSE = "# not here; it is the vjp of nn.functional.conv2d with respect to the images"
_NO_RECURRENCE = "# not here yet; a step is a Module with two Linear, called in a loop over the sequence"

FUNCTIONAL = {
    **_FORMULAS,
    "conv3d": _NO_CONVOLUTION,
    "conv_transpose2d": _NO_TRANSPOSE,
    "cosine_similarity": "(a * b).sum(-1) / (tg.norm(a, axis=-1) * tg.norm(b, axis=-1))",
    "interpolate": "# not here; tg.take(x, indices, axis) repeats or leaves out rows",
    "normalize": "x / tg.maximum(tg.norm(x, axis=-1, keepdims=True), eps)",
    "pad": "tg.pad(x, ((0, 0), (before, after)))  # NumPy's order, a pair for each axis",
    "softmin": "tg.softmax(-x, axis)",
}

_CLASSES = {
    "AvgPool1d": "avg_pool1d",
    "MaxPool1d": "max_pool1d",
    "ELU": "elu",
    "Hardtanh": "hardtanh",
    "Mish": "mish",
    "ReLU6": "relu6",
}

NN = {
    **{
        name: _FORMULAS[function] + ("; in forward" if "#" in _FORMULAS[function] else "  # in forward")
        for name, function in _CLASSES.items()
    },
    "Conv3d": _NO_CONVOLUTION,
    "ConvTranspose2d": _NO_TRANSPOSE,
    **dict.fromkeys(("GRU", "GRUCell", "LSTM", "LSTMCell", "RNN", "RNNCell"), _NO_RECURRENCE),
    "DataParallel": "# not here; a model is on one device, and tg.parallel.Group() lets several processes train it",
    "LogSigmoid": "tg.nn.functional.logsigmoid(x)  # in forward",
    "ParameterDict": "# not here; set each Parameter as an attribute, setattr(self, name, parameter)",
    "ParameterList": "# not here; set each Parameter as an attribute, setattr(self, name, parameter)",
    "Tensor": "tg.Tensor",
    "Unflatten": "x.reshape((len(x), *shape))  # in forward",
    "ZeroPad2d": "tg.pad(x, ((0, 0), (0, 0), (k, k), (k, k)))  # in forward",
    "clip_grad_norm_": "tg.nn.clip_grad_norm(model.parameters(), max_norm)",
    "clip_grad_value_": "tg.nn.clip_grad_value(model.parameters(), clip_value)",
    "utils": "tg.nn.clip_grad_norm(model.parameters(), max_norm)  # clip_grad_value too; else it is not here",
}

MODULE = {
    **dict.fromkeys(("bfloat16", "double", "half"), "# parameters keep the dtype in which nn.Parameter(data) was made"),
    **dict.fromkeys(
        ("register_backward_hook", "register_forward_hook", "register_forward_pre_hook"),
        "# not here; call what is to be done in forward, or w.register_hook(f) for a gradient",
    ),
    "add_module": "setattr(model, name, module)",
    "cpu": "model.to('cpu')",
    "cuda": "model.to('cuda')",
    "device": "next(model.parameters()).device",
    "float": "model  # parameters of Python floats are float32",
    "register_buffer": "setattr(model, name, tg.nn.Buffer(data))",
    "register_module": "setattr(model, name, module)",
    "register_parameter": "setattr(model, name, tg.nn.Parameter(data))",
}

_OWN_RULE = "# not here; SGD, Adam and AdamW are; a subclass of Optimizer gives the formula in _update and _new_state"
OPTIM = {
    **dict.fromkeys(("Adadelta", "Adagrad", "Adamax", "LBFGS", "NAdam", "RAdam", "RMSprop"), _OWN_RULE),
    "lr_scheduler": "tg.nn.schedules",
}

_OWN_SCHEDULE = "# not here; set optimizer.lr each epoch, or give the formula in the method factor of a Schedule"
SCHEDULES = dict.fromkeys(
    ("CosineAnnealingWarmRestarts", "ExponentialLR", "LambdaLR", "MultiStepLR", "OneCycleLR", "ReduceLROnPlateau"),
    _OWN_SCHEDULE,
)

_INIT = ("kaiming_normal", "kaiming_uniform", "normal", "ones", "uniform", "xavier_normal", "xavier_uniform", "zeros")
INIT = {
    **{name: f"tg.nn.init.{name}_(w)" for name in _INIT},
    "constant": "tg.nn.init.constant_(w, value)",
    "eye_": "w.assign(tg.eye(len(w)))",
    "glorot_normal": "tg.nn.init.xavier_normal_(w)",
    "glorot_uniform": "tg.nn.init.xavier_uniform_(w)",
    "he_normal": "tg.nn.init.kaiming_normal_(w)",
    "he_uniform": "tg.nn.init.kaiming_uniform_(w)",
    "orthogonal_": "w.assign(np.linalg.qr(tg.randn(w.shape).numpy())[0])  # not for more columns than rows",
}
