"""Names of PyTorch, NumPy and JAX that do not exist here, and what to write instead: one table for each place.

A row is the code to write, or several forms with "or" between them; behind # stands what to know about it. A row that
is a remark alone says why there is no code. In the code t and u are Tensors, w is a leaf, x, y, a and b are Tensors or
arrays, and the other names are what they say. A test runs the code of each row and compares the result with what the
name gives there, and fails if the name exists here. `advice.py` shows users the rows.
"""

_DTYPES = {"half": "float16", "float": "float32", "double": "float64"}
_DTYPES |= {"char": "int8", "byte": "uint8", "short": "int16", "int": "int32", "long": "int64"}
_SYMBOLS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_NO_GRADIENT = "# not here; NumPy's function takes t.numpy(), and no gradient passes"

_OF_AUTOGRAD = {
    "elementwise_grad": "tg.grad(lambda x: tg.sum(f(x)))(x)",
    "hessian_vector_product": "tg.hvp(f, x, v)[1]",
    "make_hvp": "tg.hvp(f, x, v)[1]",
    "make_jvp": "tg.jvp(f, x, v)[1]",
    "make_vjp": "tg.vjp(f, x, v)[1]",
}
"""What HIPS autograd has: functions there, values here."""

_OF_MATRICES = {
    "cholesky": "tg.linalg.cholesky(x)",
    "det": "tg.linalg.det(x)",
    "inverse": "tg.linalg.inv(x)",
    "logdet": "tg.linalg.slogdet(x)[1]",
    "slogdet": "tg.linalg.slogdet(x)",
}
"""What stands in tg.linalg alone."""

_OF_ELEMENTS = {
    "add": "t + u",
    "clamp": "t.clip(min, max)",
    "div": "t / u",
    "lerp": "t + weight * (u - t)",
    "masked_fill": "tg.where(mask, value, t)",
    "mul": "t * u",
    "neg": "-t",
    "pow": "t ** exponent",
    "sub": "t - u",
}
_IN_PLACE = {
    **{f"{name}_": code for name, code in _OF_ELEMENTS.items()},
    **{f"{name}_": f"t.{name}()" for name in ("abs", "exp", "log", "relu", "sigmoid", "sqrt", "tanh")},
    "copy_": "u",
    "fill": "tg.full(t.shape, value)",
    "fill_": "tg.full(t.shape, value)",
    "zero_": "tg.zeros_like(t)",
}
"""What is written in place there. Here only the data of a leaf can change, and by one method."""

TENSOR = {
    **{name: f"t.astype('{dtype}')" for name, dtype in _DTYPES.items()},
    **{name: f"t {symbol} u  # the result is a plain array" for name, symbol in _SYMBOLS.items()},
    **_OF_ELEMENTS,
    **{
        name: f"t.assign({code})  # that sets the data of a leaf; elsewhere t = {code}"
        for name, code in _IN_PLACE.items()
    },
    **{name: code.replace("(x)", "(t)") for name, code in _OF_MATRICES.items()},
    **{name: f"tg.{name}(t, k)" for name in ("tril", "triu")},
    "all": "np.all(t)",
    "allclose": "np.allclose(t, u)",
    "amax": "t.max(axis)",
    "amin": "t.min(axis)",
    "any": "np.any(t)",
    "argsort": "np.argsort(t)  # the result is a plain array",
    "at": "# Tensors are not changed in place: tg.where(condition, a, b) builds a new one",
    "acos": "tg.arccos(t)",
    "asin": "tg.arcsin(t)",
    "atan": "tg.arctan(t)",
    "atan2": "tg.arctan2(t, u)",
    "bmm": "t @ u",
    "bool": "t != 0  # the result is a plain array",
    "chunk": "tg.split(t, n)  # n equal parts",
    "clamp_max": "t.clip(None, max)",
    "clamp_min": "t.clip(min)",
    "clone": "1 * t  # gradients pass; copy.deepcopy(t) copies a leaf",
    "contiguous": "t  # operations take any layout",
    "copy": "1 * t  # gradients pass; copy.deepcopy(t) copies a leaf",
    "cpu": "t.to('cpu')",
    "cuda": "t.to('cuda')",
    "data_ptr": "t.data.ctypes.data  # np.shares_memory(t, u) says whether two share memory",
    "detach_": "t.detach()",
    "diff": "t[..., 1:] - t[..., :-1]",
    "dim": "t.ndim  # it is an attribute",
    "element_size": "t.data.itemsize",
    "equal": "np.array_equal(t, u)",
    "expand": "tg.broadcast_to(t, shape)",
    "expand_as": "tg.broadcast_to(t, u.shape)",
    "flatten": "t.ravel()  # but for t.flatten(1) write t.reshape(len(t), -1)",
    "gather": "tg.take_along_axis(t, indices, axis)",
    "grad_fn": "t.node",
    "index_add_": "t.assign(t + tg.nn.functional.one_hot(indices, len(t)).T @ u)  # that sets the data of a leaf",
    "index_select": "t.take(indices, axis)",
    "is_contiguous": "t.data.flags.c_contiguous",
    "is_cuda": "t.device != 'cpu'",
    "is_floating_point": "t.dtype.kind == 'f'",
    "is_leaf": "t.node is None",
    "isfinite": "np.isfinite(t)",
    "isnan": "np.isnan(t)",
    "itemsize": "t.data.itemsize",
    "mT": "t.swapaxes(-1, -2)",
    "masked_select": "t[mask]",
    "matmul": "t @ u",
    "median": _NO_GRADIENT,
    "mm": "t @ u",
    "movedim": "tg.moveaxis(t, source, destination)",
    "mv": "t @ u",
    "nbytes": "t.data.nbytes",
    "ndimension": "t.ndim  # it is an attribute",
    "nelement": "t.size  # it is an attribute",
    "new_empty": "tg.zeros(shape, dtype=t.dtype)",
    "new_full": "tg.full(shape, value, dtype=t.dtype)",
    "new_ones": "tg.ones(shape, dtype=t.dtype)",
    "new_tensor": "tg.Tensor(data, dtype=t.dtype)",
    "new_zeros": "tg.zeros(shape, dtype=t.dtype)",
    "nonzero": "np.nonzero(t)  # NumPy's form; PyTorch's is np.argwhere(t)",
    "normal_": "tg.nn.init.normal_(w)",
    "numel": "t.size  # it is an attribute",
    "permute": "t.transpose(axes)",
    "quantile": _NO_GRADIENT,
    "reciprocal": "1 / t",
    "repeat_interleave": "t.repeat(repeats, axis)",
    "reshape_as": "t.reshape(u.shape)",
    "rsqrt": "1 / t.sqrt()",
    "sort": "tg.take_along_axis(t, np.argsort(t), -1)  # the values alone",
    "split": "tg.split(t, n)  # n equal parts, as in NumPy; for PyTorch, n is the length of a part",
    "strides": "t.data.strides  # in bytes",
    "t": "t.T  # it is an attribute",
    "topk": "tg.take_along_axis(t, np.argsort(-t)[..., :k], -1)  # the values alone",
    "type": "t.astype(dtype)",
    "type_as": "t.astype(u.dtype)",
    "unbind": "list(t)",
    "unfold": "tg.take(t, np.lib.stride_tricks.sliding_window_view(np.arange(t.shape[-1]), size)[::step], -1)",
    "uniform_": "tg.nn.init.uniform_(w)",
    "unique": "np.unique(t.numpy())  # values without gradients",
    "unsqueeze": "tg.expand_dims(t, axis) or t[..., None]",
    "view": "t.reshape(shape)",
    "view_as": "t.reshape(u.shape)",
}

PACKAGE = {
    **{name: f"np.{dtype}  # dtypes are NumPy's" for name, dtype in _DTYPES.items()},
    **{dtype: f"np.{dtype}  # dtypes are NumPy's" for dtype in _DTYPES.values()},
    **{name: f"a {symbol} b  # the result is a plain array" for name, symbol in _SYMBOLS.items()},
    **_OF_AUTOGRAD,
    **_OF_MATRICES,
    **{name: f"np.{name}(a, b)  # the result is a plain array" for name in ("logical_and", "logical_or")},
    **{name: f"np.{name}(x)" for name in ("all", "any", "argwhere", "count_nonzero", "isfinite", "isinf", "isnan")},
    **{name: f"np.{name}" for name in ("e", "finfo", "iinfo", "inf", "nan", "newaxis", "pi")},
    "FloatTensor": "tg.Tensor(data, dtype='float32')",
    "Generator": "# there is one generator: tg.manual_seed(seed) sets it, tg.get_rng_state() reads it",
    "LongTensor": "tg.Tensor(data, dtype='int64')",
    "Module": "tg.nn.Module",
    "Parameter": "tg.nn.Parameter",
    "Variable": "tg.Tensor(data, requires_grad=True)",
    "absolute": "tg.abs(x)",
    "addmm": "c + a @ b",
    "allclose": "np.allclose(a, b)",
    "amax": "tg.max(x, axis)",
    "amin": "tg.min(x, axis)",
    "argsort": "np.argsort(x)  # the result is a plain array",
    "array": "tg.Tensor(data)",
    "as_tensor": "tg.Tensor(data)",
    "asarray": "tg.Tensor(data)",
    "acos": "tg.arccos(x)",
    "asin": "tg.arcsin(x)",
    "atan": "tg.arctan(x)",
    "atan2": "tg.arctan2(a, b)",
    "autograd": "tg.grad(loss, [w])  # a Function is a tg.primitive; tg has vjp, jvp, hvp, jacobian, hessian too",
    "backward": "loss.backward()",
    "bernoulli": "tg.rand(*p.shape) < p  # the result is a plain array of bools",
    "bincount": "np.bincount(labels)",
    "bmm": "a @ b",
    "bool": "np.bool_  # dtypes are NumPy's",
    "cat": "tg.concatenate(xs, axis)",
    "cdist": "tg.norm(tg.expand_dims(a, 1) - b, axis=-1)",
    "chunk": "tg.split(x, n, axis)  # n equal parts",
    "clamp": "tg.clip(x, min, max)",
    "compile": "tg.compiled(step)",
    "complex64": "# not here; numbers are real",
    "concat": "tg.concatenate(xs, axis)",
    "conj": "# not here; numbers are real",
    "cuda": "tg.is_available('cuda')  # t.to('cuda') and tg.set_default_device('cuda') choose the device",
    "device": "'cuda'  # a device is its name, as in t.to('cuda')",
    "diff": "x[..., 1:] - x[..., :-1]",
    "distributions": "# not here; draws are tg.randn and tg.rand, and the logarithm of a density is its formula",
    "div": "tg.divide(a, b)",
    "empty": "tg.zeros(shape)",
    "empty_like": "tg.zeros_like(t)",
    "equal": "np.array_equal(a, b)",
    "erf": "# not here; tg.tanh and tg.sigmoid are of the same shape",
    "fft": _NO_GRADIENT,
    "flatten": "tg.ravel(x)  # but for flatten(x, 1) write x.reshape(len(x), -1)",
    "from_numpy": "tg.Tensor(array)",
    "full_like": "tg.full(t.shape, value, dtype=t.dtype)",
    "func": "# its functions stand in tg: tg.grad, tg.vjp, tg.jvp, tg.jacobian, tg.hessian",
    "functional": "tg.nn.functional",
    "gather": "tg.take_along_axis(x, indices, axis)",
    "ger": "tg.outer(a, b)",
    "index_select": "tg.take(x, indices, axis)",
    "inference_mode": "tg.no_grad()",
    "init": "tg.nn.init",
    "is_tensor": "isinstance(x, tg.Tensor)",
    "isclose": "np.isclose(a, b)",
    "jacfwd": "tg.jacobian(f, x)",
    "jacrev": "tg.jacobian(f, x)",
    "jit": "tg.compiled(step)",
    "lerp": "a + weight * (b - a)",
    "linspace": "tg.Tensor(np.linspace(start, stop, num), dtype='float32')",
    "load": "tg.nn.load(path, model, optimizer)",
    "masked_fill": "tg.where(mask, value, x)",
    "masked_select": "x[mask]",
    "median": _NO_GRADIENT,
    "meshgrid": "np.meshgrid(a, b, indexing='ij')  # arrays; PyTorch's order, NumPy's own default is 'xy'",
    "mm": "a @ b",
    "movedim": "tg.moveaxis(x, source, destination)",
    "mul": "tg.multiply(a, b)",
    "multinomial": "np.random.default_rng(seed).choice(len(p), n, p=p)",
    "mv": "a @ b",
    "neg": "tg.negative(x)",
    "nonzero": "np.nonzero(x)  # NumPy's form; PyTorch's is np.argwhere(x)",
    "normal": "mean + std * tg.randn(shape)",
    "numel": "x.size",
    "numpy": "# jax.numpy's functions stand in tg; import numpy as np for NumPy's",
    "one_hot": "tg.nn.functional.one_hot(labels, n)",
    "optim": "tg.nn.optim",
    "permute": "tg.transpose(x, axes)",
    "pow": "tg.power(a, b)",
    "quantile": _NO_GRADIENT,
    "rand_like": "tg.rand(t.shape)",
    "randint": "np.random.default_rng(seed).integers(low, high, shape)",
    "randn_like": "tg.randn(t.shape)",
    "randperm": "np.random.default_rng(seed).permutation(n)",
    "reciprocal": "1 / x",
    "repeat_interleave": "tg.repeat(x, repeats, axis)",
    "rsqrt": "1 / tg.sqrt(x)",
    "save": "tg.nn.save(path, model, optimizer)",
    "set_default_dtype": "# Python floats become float32; tg.Tensor(data, dtype=dtype) makes another",
    "set_printoptions": "np.set_printoptions(precision)",
    "set_grad_enabled": "tg.no_grad()  # and tg.enable_grad()",
    "sort": "tg.take_along_axis(x, np.argsort(x), -1)  # the values alone",
    "sub": "tg.subtract(a, b)",
    "swapdims": "tg.swapaxes(x, axis1, axis2)",
    "tensor": "tg.Tensor(data)",
    "topk": "tg.take_along_axis(x, np.argsort(-x)[..., :k], -1)  # the values alone",
    "true_divide": "tg.divide(a, b)",
    "unbind": "list(x)",
    "unique": "np.unique(t.numpy())  # values without gradients",
    "unsqueeze": "tg.expand_dims(x, axis) or x[..., None]",
    "utils": "tg.datasets.DataLoader",
    "vmap": "# not here; operations work along any leading axes, so write f for a batch",
}

LINALG = {
    **dict.fromkeys(
        ("cond", "eig", "eigh", "eigvals", "eigvalsh", "matrix_rank", "qr", "svd", "svdvals"), _NO_GRADIENT
    ),
    "lstsq": "tg.linalg.solve(a.T @ a, a.T @ b)  # the normal equations",
    "matrix_norm": "tg.linalg.norm(x)",
    "pinv": "tg.linalg.solve(a.T @ a, a.T)  # if the columns of a are independent",
    "vector_norm": "tg.norm(tg.ravel(x), ord)",
}

_NORMALIZED = "(x - x.mean({axis}, keepdims=True)) / tg.sqrt(x.var({axis}, keepdims=True) + eps)"
_FORMULAS = {
    "avg_pool2d": "x.reshape(N, C, H // k, k, W // k, k).mean((3, 5))",
    "batch_norm": _NORMALIZED.format(axis="0") + "  # of a batch; in a Module, running means are Buffers",
    "elu": "tg.where(x > 0, x, alpha * tg.expm1(tg.minimum(x, 0)))",
    "embedding": "weight[labels]  # weight = nn.Parameter(tg.randn(n, dim))",
    "huber_loss": "tg.mean(tg.where(tg.abs(x - y) < delta, (x - y) ** 2 / 2, delta * (tg.abs(x - y) - delta / 2)))",
    "hardtanh": "tg.clip(x, -1, 1)",
    "layer_norm": _NORMALIZED.format(axis="-1"),
    "max_pool2d": "x.reshape(N, C, H // k, k, W // k, k).max((3, 5))",
    "mish": "x * tg.tanh(tg.softplus(x))",
    "relu6": "tg.clip(x, 0, 6)",
    "binary_cross_entropy": "-tg.mean(y * tg.log(p) + (1 - y) * tg.log(1 - p))  # exact on logits: "
    "nn.BCEWithLogitsLoss",
    "kl_div": "tg.mean(y * (tg.log(y) - log_p))  # with reduction='batchmean', tg.sum(...) / len(y)",
    "l1_loss": "tg.mean(tg.abs(x - y))",
    "smooth_l1_loss": "tg.mean(tg.where(tg.abs(x - y) < 1, 0.5 * (x - y) ** 2, tg.abs(x - y) - 0.5))",
}
"""Functions of PyTorch that are one line here."""

_NO_CONVOLUTION = "# not here yet; tg.take of the windows, then tg.einsum with the kernels, is a convolution"
_NO_RECURRENCE = "# not here yet; a step is a Module with two Linear, called in a loop over the sequence"

FUNCTIONAL = {
    **_FORMULAS,
    **dict.fromkeys(("conv1d", "conv2d", "conv3d", "conv_transpose2d"), _NO_CONVOLUTION),
    "cosine_similarity": "(a * b).sum(-1) / (tg.norm(a, axis=-1) * tg.norm(b, axis=-1))",
    "interpolate": "# not here; tg.take(x, indices, axis) repeats or leaves out rows",
    "normalize": "x / tg.maximum(tg.norm(x, axis=-1, keepdims=True), eps)",
    "pad": "tg.pad(x, ((0, 0), (before, after)))  # NumPy's order, a pair for each axis",
    "scaled_dot_product_attention": "tg.softmax(q @ tg.swapaxes(k, -1, -2) / q.shape[-1] ** 0.5) @ v",
    "softmin": "tg.softmax(-x, axis)",
}

_CLASSES = {
    "AvgPool2d": "avg_pool2d",
    "BCELoss": "binary_cross_entropy",
    "BatchNorm1d": "batch_norm",
    "ELU": "elu",
    "Embedding": "embedding",
    "Hardtanh": "hardtanh",
    "HuberLoss": "huber_loss",
    "KLDivLoss": "kl_div",
    "L1Loss": "l1_loss",
    "LayerNorm": "layer_norm",
    "MaxPool2d": "max_pool2d",
    "Mish": "mish",
    "ReLU6": "relu6",
    "SmoothL1Loss": "smooth_l1_loss",
}

NN = {
    **{
        name: _FORMULAS[function] + ("; in forward" if "#" in _FORMULAS[function] else "  # in forward")
        for name, function in _CLASSES.items()
    },
    **dict.fromkeys(("Conv1d", "Conv2d", "Conv3d", "ConvTranspose2d"), _NO_CONVOLUTION),
    **dict.fromkeys(("GRU", "GRUCell", "LSTM", "LSTMCell", "RNN", "RNNCell"), _NO_RECURRENCE),
    "BatchNorm2d": _NORMALIZED.format(axis="(0, 2, 3)") + "  # of a batch; in forward",
    "DataParallel": "# not here; a model is on one device",
    "LogSigmoid": "tg.nn.functional.logsigmoid(x)  # in forward",
    "ModuleDict": "# not here; set each Module as an attribute, setattr(self, name, module)",
    "MultiheadAttention": FUNCTIONAL["scaled_dot_product_attention"] + "  # in forward, for heads of equal width",
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

DATASETS = {
    "Dataset": "# not here; a data set is two arrays of equal length, DataLoader((x, y), batch_size)",
    "FashionMNIST": "# tg.datasets.fashion_mnist(split) is it",
    "MNIST": "tg.datasets.mnist('test')",
    "Subset": "(x[indices], y[indices])",
    "TensorDataset": "(x, y)  # as in DataLoader((x, y), batch_size)",
    "random_split": "np.split(np.random.default_rng(seed).permutation(len(x)), [n])  # of each part (x[rows], y[rows])",
}

MODULES = {
    "tinygrad_sm": PACKAGE,
    "tinygrad_sm.datasets": DATASETS,
    "tinygrad_sm.linalg": LINALG,
    "tinygrad_sm.nn": NN,
    "tinygrad_sm.nn.functional": FUNCTIONAL,
    "tinygrad_sm.nn.init": INIT,
    "tinygrad_sm.nn.optim": OPTIM,
    "tinygrad_sm.nn.schedules": SCHEDULES,
}
"""The tables of modules by name; those of classes are TENSOR and MODULE."""
