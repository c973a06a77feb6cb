"""For each row of `names.py` that has code: what others write, what it gives in NumPy, and the values of the variables.

In the expressions A and U are the arrays of t and u, also called x and y, and a and b. Where NumPy's array cannot tell
the result, a function says whether it is right. None stands for names of NumPy or JAX, which PyTorch cannot check.
"""

import atexit
import shutil
from pathlib import Path
from tempfile import mkdtemp

import numpy as np

from tinygrad_sm import Tensor, nn

A = np.array([[1.5, -2.0, 0.5], [3.0, 4.0, -1.0]], np.float32)
U = np.array([[2.0, -2.0, 3.0], [0.5, 1.0, 2.0]], np.float32)
P = np.array([[0.5, 0.25, 0.75], [0.1, 0.9, 0.6]], np.float32)
X = np.random.default_rng(0).standard_normal((2, 3, 4, 6)).astype(np.float32)
LABELS, MASK = np.array([0, 2, 1]), A > 1
FOLDER = Path(mkdtemp())
atexit.register(shutil.rmtree, FOLDER)
nn.save(FOLDER / "loaded", nn.Linear(2, 2))


class Made(str):
    """The value of this expression of the other variables."""


def row(theirs, ours, **variables):
    return theirs, ours, variables


def draws(shape, kind="f"):
    return lambda got: got.shape == shape and got.dtype.kind == kind


def double(step):
    return step(2.0) == 4.0


_DTYPES = {"half": "float16", "float": "float32", "double": "float64"}
_DTYPES |= {"char": "int8", "byte": "uint8", "short": "int16", "int": "int32", "long": "int64"}
_SYMBOLS = {"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}
_OPERATORS = {"add": "A + U", "sub": "A - U", "mul": "A * U", "div": "A / U"}
_OF_ELEMENTS = {
    **{name: row(f"t.{name}(u)", ours) for name, ours in _OPERATORS.items()},
    "clamp": row("t.clamp(-1.0, 2.0)", "A.clip(-1, 2)", min=-1.0, max=2.0),
    "lerp": row("t.lerp(u, 0.25)", "0.75 * A + 0.25 * U", weight=0.25),
    "masked_fill": row("t.masked_fill(mask, 7.0)", "np.where(mask, np.float32(7), A)", mask=MASK, value=7.0),
    "neg": row("t.neg()", "-A"),
    "pow": row("t.pow(2)", "A**2", exponent=2),
}
_SIGMOID = "1 / (1 + np.exp(-t))"
_UNARY = {"abs": "abs(t)", "exp": "np.exp(t)", "log": "np.log(t)", "relu": "np.maximum(t, 0)", "sigmoid": _SIGMOID}
_UNARY |= {"sqrt": "np.sqrt(t)", "tanh": "np.tanh(t)"}

_SQUARE = np.array([[4, 1, 0.5], [1, 3, 0.2], [0.5, 0.2, 2]], np.float32)
_OF_MATRICES = {
    "det": "np.linalg.det({})",
    "inverse": "np.linalg.inv({})",
    "logdet": "np.log(np.linalg.det({}))",
    "slogdet": "list(np.linalg.slogdet({}))",
}

OF_TENSOR = {
    **{name: row(f"t.{name}()", ours.format("t"), t=_SQUARE) for name, ours in _OF_MATRICES.items()},
    "cholesky": row(None, "np.linalg.cholesky(t)", t=_SQUARE),
    **{name: row(f"t.{name}(1)", f"np.{name}(A, 1)", k=1) for name in ("tril", "triu")},
    "allclose": row("t.allclose(u)", "False"),
    "clamp_max": row("t.clamp_max(2.0)", "A.clip(None, 2)", max=2.0),
    "clamp_min": row("t.clamp_min(-1.0)", "A.clip(-1)", min=-1.0),
    "equal": row("t.equal(u)", "False"),
    "index_add_": row(
        "t.index_add_(0, indices, u)",
        "A + [U[0] + U[1], 0 * U[0]]",
        indices=np.array([0, 0]),
    ),
    **{name: row(f"t.{name}()", f"t.astype('{dtype}')", t=abs(A)) for name, dtype in _DTYPES.items()},
    **{name: row(f"t.{name}(u)", f"A {symbol} U") for name, symbol in _SYMBOLS.items()},
    **_OF_ELEMENTS,
    **{
        f"{name}_": row(theirs.replace(name, f"{name}_", 1), ours, **variables)
        for name, (theirs, ours, variables) in _OF_ELEMENTS.items()
    },
    **{f"{name}_": row(f"t.{name}_()", ours, t=P) for name, ours in _UNARY.items()},
    "all": row("t.all()", "A.all()"),
    "amax": row("t.amax(0)", "A.max(0)", axis=0),
    "amin": row("t.amin(0)", "A.min(0)", axis=0),
    "any": row("t.any()", "A.any()"),
    "argsort": row("t.argsort()", "A.argsort()"),
    "acos": row("t.acos()", "np.arccos(P)", t=P),
    "asin": row("t.asin()", "np.arcsin(P)", t=P),
    "atan": row("t.atan()", "np.arctan(A)"),
    "atan2": row("t.atan2(u)", "np.arctan2(A, U)"),
    "bmm": row("t.bmm(u)", "t @ u", t=X[0], u=X[0].swapaxes(1, 2)),
    "bool": row("t.bool()", "t.astype(bool)", t=A * MASK),
    "chunk": row("t.chunk(2)", "np.split(A, 2)", n=2),
    "clone": row("t.clone()", "A"),
    "contiguous": row("t.contiguous()", "A"),
    "copy": row(None, "A.copy()"),
    "copy_": row("t.copy_(u)", "U"),
    "cpu": row("t.cpu()", "A"),
    "cuda": row(None, lambda got: got.device == "cuda:0"),
    "data_ptr": row(None, lambda got: isinstance(got, int)),
    "detach_": row("t.detach_()", "A"),
    "diff": row("t.diff()", "np.diff(A)"),
    "dim": row("t.dim()", "A.ndim"),
    "element_size": row("t.element_size()", "4"),
    "expand": row("t.expand(2, 2, 3)", "np.broadcast_to(A, (2, 2, 3))", shape=(2, 2, 3)),
    "expand_as": row("t.expand_as(u)", "np.broadcast_to(A, (2, 2, 3))", u=np.array([U, U])),
    "fill": row(None, "0 * A + 7", value=7.0),
    "fill_": row("t.fill_(7.0)", "0 * A + 7", value=7.0),
    "flatten": row("t.flatten()", "A.flatten()"),
    "gather": row(
        "t.gather(1, indices)", "np.take_along_axis(A, indices, 1)", indices=np.array([[2, 0], [1, 1]]), axis=1
    ),
    "grad_fn": row("t.grad_fn", "None"),
    "index_select": row("t.index_select(1, indices)", "A.take(indices, 1)", indices=LABELS, axis=1),
    "is_contiguous": row("t.is_contiguous()", "True"),
    "is_cuda": row("t.is_cuda", "False"),
    "is_floating_point": row("t.is_floating_point()", "True"),
    "is_leaf": row("t.is_leaf", "True"),
    "isfinite": row("t.isfinite()", "np.isfinite(t)", t=np.where(MASK, A, np.float32(np.inf))),
    "isnan": row("t.isnan()", "np.isnan(A)"),
    "itemsize": row("t.itemsize", "A.itemsize"),
    "mT": row("t.mT", "t.swapaxes(-1, -2)", t=X),
    "masked_select": row("t.masked_select(mask)", "A[mask]", mask=MASK),
    "matmul": row("t.matmul(u)", "A @ u", u=U.T),
    "mm": row("t.mm(u)", "A @ u", u=U.T),
    "movedim": row("t.movedim(0, 2)", "np.moveaxis(t, 0, 2)", t=X, source=0, destination=2),
    "mv": row("t.mv(u)", "A @ u", u=U[0]),
    "nbytes": row("t.nbytes", "A.nbytes"),
    "ndimension": row("t.ndimension()", "A.ndim"),
    "nelement": row("t.nelement()", "A.size"),
    "new_empty": row(None, "np.zeros((4, 2), A.dtype)", shape=(4, 2)),
    "new_full": row("t.new_full((4, 2), 7.0)", "np.full((4, 2), 7, A.dtype)", shape=(4, 2), value=7.0),
    "new_ones": row("t.new_ones((4, 2))", "np.ones((4, 2), A.dtype)", shape=(4, 2)),
    "new_tensor": row("t.new_tensor([1, 2])", "np.array([1, 2], A.dtype)", data=[1, 2]),
    "new_zeros": row("t.new_zeros((4, 2))", "np.zeros((4, 2), A.dtype)", shape=(4, 2)),
    "nonzero": row(None, "t.nonzero()", t=A * MASK),
    "normal_": row(None, draws(A.shape)),
    "numel": row("t.numel()", "A.size"),
    "permute": row("t.permute(1, 3, 0, 2)", "t.transpose(axes)", t=X, axes=(1, 3, 0, 2)),
    "reciprocal": row("t.reciprocal()", "1 / A"),
    "repeat_interleave": row("t.repeat_interleave(2, 1)", "A.repeat(2, 1)", repeats=2, axis=1),
    "reshape_as": row("t.reshape_as(u)", "A.reshape(3, 2)", u=U.T),
    "rsqrt": row("t.rsqrt()", "1 / np.sqrt(t)", t=P),
    "sort": row("t.sort().values", "np.sort(A)"),
    "split": row("t.split(1)", "np.split(A, 2)", n=2),
    "strides": row(None, "A.strides"),
    "t": row("t.t()", "A.T"),
    "topk": row("t.topk(2).values", "np.sort(A)[:, :0:-1]", k=2),
    "type": row("t.type(torch.float64)", "A.astype('float64')", dtype="float64"),
    "type_as": row("t.type_as(u)", "A.astype(u.dtype)", u=U.astype("float64")),
    "unbind": row("t.unbind()", "list(A)"),
    "unfold": row("t.unfold(-1, 2, 1)", "np.lib.stride_tricks.sliding_window_view(A, 2, -1)", size=2, step=1),
    "uniform_": row(None, draws(A.shape)),
    "unique": row("t.unique()", "np.unique(A * MASK)", t=A * MASK),
    "unsqueeze": row("t.unsqueeze(-1)", "A[..., None]", axis=-1),
    "view": row("t.view(3, 2)", "A.reshape(3, 2)", shape=(3, 2)),
    "view_as": row("t.view_as(u)", "A.reshape(3, 2)", u=U.T),
    "zero_": row("t.zero_()", "0 * A"),
}

_OF_AUTOGRAD = {
    "elementwise_grad": "2 * x",
    "make_jvp": "2 * x * v",
    "make_vjp": "2 * x * v",
}

OF_PACKAGE = {
    **{name: row(None, ours, x=A[0], v=U[0], f=lambda x: x * x) for name, ours in _OF_AUTOGRAD.items()},
    **{
        name: row(None, "2 * v", x=A[0], v=U[0], f=lambda x: (x * x).sum())
        for name in ("hessian_vector_product", "make_hvp")
    },
    **{name: row(f"torch.{name}(x)", ours.format("x"), x=_SQUARE) for name, ours in _OF_MATRICES.items()},
    "cholesky": row(None, "np.linalg.cholesky(x)", x=_SQUARE),
    **{name: row(f"torch.{name}(a, b)", f"np.{name}(a, b)", a=MASK, b=U > 1) for name in ("logical_and", "logical_or")},
    **{name: row(f"torch.{name}(x)", f"np.{name}(x)", x=A * MASK) for name in ("argwhere", "count_nonzero")},
    "cdist": row("torch.cdist(a, b)", "np.sqrt(((A[:, None] - U) ** 2).sum(-1))"),
    "lerp": row("torch.lerp(a, b, 0.25)", "0.75 * A + 0.25 * U", weight=0.25),
    "set_printoptions": row(None, "None", precision=8),
    "swapdims": row("torch.swapdims(x, 0, 2)", "x.swapaxes(0, 2)", x=X, axis1=0, axis2=2),
    "true_divide": row("torch.true_divide(a, b)", "A / U"),
    **{name: row(None, f"np.dtype('{dtype}').type") for name, dtype in _DTYPES.items()},
    **{name: row(None, f"np.dtype('{name}').type") for name in _DTYPES.values()},
    **{name: row(f"torch.{name}(a, b)", f"A {symbol} U") for name, symbol in _SYMBOLS.items()},
    **{name: row(f"torch.{name}(x)", f"np.{name}(A)") for name in ("all", "any", "isfinite", "isinf", "isnan")},
    **{name: row(f"torch.{name}", f"np.{name}") for name in ("inf", "pi", "e", "newaxis")},
    "finfo": row(None, lambda got: got("float32").eps == 2**-23),
    "iinfo": row(None, lambda got: got("int8").max == 127),
    "nan": row(None, lambda got: got != got),
    "FloatTensor": row("torch.FloatTensor(data)", "np.array(data, 'float32')", data=[1, 2]),
    "LongTensor": row("torch.LongTensor(data)", "np.array(data, 'int64')", data=[1, 2]),
    "Module": row(None, lambda got: got is nn.Module),
    "Parameter": row(None, lambda got: got is nn.Parameter),
    "Variable": row("torch.autograd.Variable(torch.tensor(data), requires_grad=True)", "np.float32(data)", data=[1.0]),
    "absolute": row("torch.absolute(x)", "abs(A)"),
    "addmm": row("torch.addmm(c, a, b)", "c + A @ b", c=P[:, :2], b=U.T),
    "allclose": row("torch.allclose(a, b)", "np.allclose(A, U)"),
    "amax": row("torch.amax(x, 0)", "A.max(0)", axis=0),
    "amin": row("torch.amin(x, 0)", "A.min(0)", axis=0),
    "argsort": row("torch.argsort(x)", "A.argsort()"),
    "array": row(None, "np.array(data, 'float32')", data=[1.0]),
    "as_tensor": row("torch.as_tensor(data)", "np.array(data, 'float32')", data=[1.0]),
    "asarray": row("torch.asarray(data)", "np.array(data, 'float32')", data=[1.0]),
    "acos": row("torch.acos(x)", "np.arccos(P)", x=P),
    "asin": row("torch.asin(x)", "np.arcsin(P)", x=P),
    "atan": row("torch.atan(x)", "np.arctan(A)"),
    "atan2": row("torch.atan2(a, b)", "np.arctan2(A, U)"),
    "autograd": row("torch.autograd.grad((w * w).sum(), [w])", "(2 * A,)", loss=Made("(w * w).sum()")),
    "backward": row(None, "None", loss=Made("(w * w).sum()")),
    "bernoulli": row(None, draws(P.shape, "b"), p=P),
    "bincount": row("torch.bincount(labels)", "np.bincount(labels)", labels=LABELS),
    "bmm": row("torch.bmm(a, b)", "a @ b", a=X[0], b=X[0].swapaxes(1, 2)),
    "bool": row(None, "np.bool_"),
    "cat": row("torch.cat([t, u], 1)", "np.concatenate([A, U], 1)", xs=Made("[t, u]"), axis=1),
    "chunk": row("torch.chunk(x, 3, 1)", "np.split(A, 3, 1)", n=3, axis=1),
    "clamp": row("torch.clamp(x, -1.0, 2.0)", "A.clip(-1, 2)", min=-1.0, max=2.0),
    "compile": row(None, double, step=lambda x: x * x),
    "concat": row("torch.concat([t, u], 1)", "np.concatenate([A, U], 1)", xs=Made("[t, u]"), axis=1),
    "cuda": row(None, lambda got: isinstance(got, bool)),
    "device": row(None, "'cuda'"),
    "diff": row("torch.diff(x)", "np.diff(A)"),
    "div": row("torch.div(a, b)", "A / U"),
    "empty": row(None, draws((4, 2)), shape=(4, 2)),
    "empty_like": row(None, draws(A.shape)),
    "equal": row("torch.equal(a, b)", "np.array_equal(A, U)"),
    "flatten": row("torch.flatten(x)", "A.flatten()"),
    "from_numpy": row("torch.from_numpy(array)", "A", array=A),
    "full_like": row("torch.full_like(t, 7.0)", "np.full_like(A, 7)", value=7.0),
    "functional": row(None, lambda got: got is nn.functional),
    "gather": row("torch.gather(x, 1, indices)", "A[[[0], [1]], indices]", indices=np.array([[2, 0], [1, 1]]), axis=1),
    "ger": row("torch.ger(a, b)", "np.outer(a, b)", a=A[0], b=U[1]),
    "index_select": row("torch.index_select(x, 1, indices)", "A.take(indices, 1)", indices=LABELS, axis=1),
    "inference_mode": row(None, lambda got: hasattr(got, "__enter__")),
    "init": row(None, lambda got: got is nn.init),
    "is_tensor": row("torch.is_tensor(x)", "True"),
    "isclose": row("torch.isclose(a, b)", "np.isclose(A, U)"),
    "jacfwd": row(None, "np.diag(2 * x)", x=A[0], f=lambda x: x * x),
    "jacrev": row(None, "np.diag(2 * x)", x=A[0], f=lambda x: x * x),
    "jit": row(None, double, step=lambda x: x * x),
    "linspace": row("torch.linspace(0.0, 1.0, 5)", "np.float32([0, 0.25, 0.5, 0.75, 1])", start=0.0, stop=1.0, num=5),
    "load": row(None, lambda got: got == {}, path=FOLDER / "loaded", model=nn.Linear(2, 2), optimizer=None),
    "masked_fill": row(None, "np.where(mask, np.float32(7), A)", mask=MASK, value=7.0),
    "masked_select": row("torch.masked_select(x, mask)", "A[mask]", mask=MASK),
    "meshgrid": row("torch.meshgrid(a, b, indexing='ij')", "np.meshgrid(a, b, indexing='ij')", a=A[0], b=U[1]),
    "mm": row("torch.mm(a, b)", "A @ b", b=U.T),
    "movedim": row("torch.movedim(x, 0, 2)", "np.moveaxis(x, 0, 2)", x=X, source=0, destination=2),
    "mul": row("torch.mul(a, b)", "A * U"),
    "multinomial": row(None, draws((4,), "i"), p=[0.2, 0.3, 0.5], n=4, seed=0),
    "mv": row("torch.mv(a, b)", "A @ b", b=U[0]),
    "neg": row("torch.neg(x)", "-A"),
    "nonzero": row(None, "np.nonzero(x)", x=A * MASK),
    "normal": row(None, draws((4, 2)), mean=1.0, std=2.0, shape=(4, 2)),
    "numel": row("torch.numel(x)", "A.size"),
    "one_hot": row(
        "torch.nn.functional.one_hot(labels, 4).float()", "np.eye(4, dtype='f')[labels]", labels=LABELS, n=4
    ),
    "optim": row(None, lambda got: got is nn.optim),
    "permute": row("torch.permute(x, (1, 3, 0, 2))", "x.transpose(axes)", x=X, axes=(1, 3, 0, 2)),
    "pow": row("torch.pow(a, b)", "a**U", a=P),
    "rand_like": row(None, draws(A.shape)),
    "randint": row(None, draws((4, 2), "i"), seed=0, low=0, high=9, shape=(4, 2)),
    "randn_like": row(None, draws(A.shape)),
    "randperm": row(None, lambda got: sorted(got) == [0, 1, 2], seed=0, n=3),
    "reciprocal": row("torch.reciprocal(x)", "1 / A"),
    "repeat_interleave": row("torch.repeat_interleave(x, 2, 1)", "A.repeat(2, 1)", repeats=2, axis=1),
    "rsqrt": row("torch.rsqrt(x)", "1 / np.sqrt(x)", x=P),
    "save": row(
        None, lambda got: (FOLDER / "saved").exists(), path=FOLDER / "saved", model=nn.Linear(2, 2), optimizer=None
    ),
    "set_grad_enabled": row(None, lambda got: hasattr(got, "__enter__")),
    "sort": row("torch.sort(x).values", "np.sort(A)"),
    "sub": row("torch.sub(a, b)", "A - U"),
    "tensor": row("torch.tensor([[1.0, 2.0]])", "np.array(data, 'float32')", data=[[1.0, 2.0]]),
    "topk": row("torch.topk(x, 2).values", "np.sort(A)[:, :0:-1]", k=2),
    "unbind": row("torch.unbind(x)", "list(A)"),
    "unique": row("torch.unique(t)", "np.unique(t)", t=A * MASK),
    "unsqueeze": row("torch.unsqueeze(x, -1)", "A[..., None]", axis=-1),
    "utils": row(None, lambda got: got.__name__ == "DataLoader"),
}


def softmax(x):
    return np.exp(x) / np.exp(x).sum(-1, keepdims=True)


OF_FUNCTIONAL = {
    "avg_pool1d": row("F.avg_pool1d(x, 3)", "A.mean(1, keepdims=True)", k=3),
    "max_pool1d": row("F.max_pool1d(x, 3)", "A.max(1, keepdims=True)", k=3),
    "cosine_similarity": row(
        "F.cosine_similarity(a, b, -1)", "(A * U).sum(-1) / np.sqrt((A * A).sum(-1) * (U * U).sum(-1))"
    ),
    "elu": row("F.elu(x, 2.0)", "np.where(A > 0, A, 2 * (np.exp(A) - 1))", alpha=2.0),
    "hardtanh": row("F.hardtanh(x)", "A.clip(-1, 1)"),
    "mish": row("F.mish(x)", "A * np.tanh(np.log(1 + np.exp(A)))"),
    "normalize": row("F.normalize(x, dim=-1)", "A / np.sqrt((A * A).sum(-1, keepdims=True))", eps=1e-12),
    "pad": row("F.pad(x, (1, 2))", "np.pad(A, ((0, 0), (1, 2)))", before=1, after=2),
    "relu6": row("F.relu6(x)", "A.clip(0, 6)"),
    "softmin": row("F.softmin(x, -1)", "softmax(-A)", axis=-1),
}


def of_class(made, function, **variables):
    """Return the example of a class whose function has one."""
    _, ours, given = OF_FUNCTIONAL[function]
    return row(f"torch.nn.{made}", ours, **{**given, **variables})


OF_NN = {
    "AvgPool1d": of_class("AvgPool1d(3)(x)", "avg_pool1d"),
    "MaxPool1d": of_class("MaxPool1d(3)(x)", "max_pool1d"),
    "ELU": of_class("ELU(2.0)(x)", "elu"),
    "Hardtanh": of_class("Hardtanh()(x)", "hardtanh"),
    "LogSigmoid": row("torch.nn.LogSigmoid()(x)", "-np.log(1 + np.exp(-A))"),
    "Mish": of_class("Mish()(x)", "mish"),
    "ReLU6": of_class("ReLU6()(x)", "relu6"),
    "Tensor": row(None, lambda got: got is Tensor),
    "Unflatten": row("torch.nn.Unflatten(1, (3, 1))(x)", "A.reshape(2, 3, 1)", shape=(3, 1)),
    "ZeroPad2d": row("torch.nn.ZeroPad2d(1)(x)", "np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))", x=X, k=1),
    "clip_grad_norm_": row(None, "0.0", model=nn.Linear(2, 2), max_norm=1.0),
    "clip_grad_value_": row(None, "None", model=nn.Linear(2, 2), clip_value=1.0),
    "utils": row(None, "0.0", model=nn.Linear(2, 2), max_norm=1.0),
}


def in_state(name, kind):
    """Return whether the model got an attribute that is part of its state."""
    return lambda got: got is None and type(getattr(MODEL, name)) is kind


MODEL = nn.Linear(2, 2)
OF_MODULE = {
    "add_module": row(None, in_state("module", nn.ReLU), model=MODEL, name="module", module=nn.ReLU()),
    "cpu": row(None, lambda got: got.weight.device == "cpu", model=nn.Linear(2, 2)),
    "cuda": row(None, lambda got: got.weight.device == "cuda:0", model=Made("tg.nn.Linear(2, 2)")),
    "device": row(None, "'cpu'", model=nn.Linear(2, 2)),
    "float": row(None, lambda got: got.weight.dtype == "float32", model=nn.Linear(2, 2)),
    "register_buffer": row(None, in_state("buffer", nn.Buffer), model=MODEL, name="buffer", data=[1.0]),
    "register_module": row(None, in_state("module", nn.ReLU), model=MODEL, name="module", module=nn.ReLU()),
    "register_parameter": row(None, in_state("parameter", nn.Parameter), model=MODEL, name="parameter", data=[1.0]),
}

_DRAWS = ("kaiming_normal", "kaiming_uniform", "normal", "uniform", "xavier_normal", "xavier_uniform")
OF_INIT = {
    **{name: row(None, draws(A.shape)) for name in _DRAWS},
    **{name: row(None, draws(A.shape)) for name in ("glorot_normal", "glorot_uniform", "he_normal", "he_uniform")},
    "constant": row(None, "0 * A + 7", value=7.0),
    "eye_": row("torch.nn.init.eye_(w)", "np.eye(2)", w=A[:, :2]),
    "ones": row(None, "0 * A + 1"),
    "orthogonal_": row(None, lambda got: np.allclose(got.data.T @ got.data, np.eye(2), atol=1e-6), w=A.T),
    "zeros": row(None, "0 * A"),
}

OF_DATASETS = {
    "MNIST": row(None, lambda got: len(got.images) == 10_000),
    "Subset": row(None, "(A[:1], U[:1])", indices=[0]),
    "TensorDataset": row(None, "(A, U)"),
    "random_split": row(None, lambda got: [len(rows) for rows in got] == [1, 1], n=1, seed=0),
}

OF_LINALG = {
    "matrix_norm": row("torch.linalg.matrix_norm(x)", "np.linalg.norm(A)"),
    "vector_norm": row("torch.linalg.vector_norm(x, 1)", "abs(A).sum()", ord=1),
    "lstsq": row("torch.linalg.lstsq(a, b).solution", "np.linalg.lstsq(A.T, U.T)[0]", a=A.T, b=U.T),
    "pinv": row("torch.linalg.pinv(a)", "np.linalg.pinv(A.T)", a=A.T),
}

OF_MODULES = {
    "tinygrad_sm": OF_PACKAGE,
    "tinygrad_sm.datasets": OF_DATASETS,
    "tinygrad_sm.linalg": OF_LINALG,
    "tinygrad_sm.nn": OF_NN,
    "tinygrad_sm.nn.functional": OF_FUNCTIONAL,
    "tinygrad_sm.nn.init": OF_INIT,
    "tinygrad_sm.nn.optim": {"lr_scheduler": row(None, lambda got: got is nn.schedules)},
}
