"""Keywords and forms of PyTorch, NumPy and JAX that are not those here: the error says what to write instead."""

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import check_error, leaf
from tinygrad_sm import Tensor, nn
from tinygrad_sm.nn import functional

X, LABELS = np.ones((4, 2), np.float32), np.array([0, 1, 1, 0])
MODEL = nn.Linear(2, 2)


class Dtype:
    """A dtype of another library."""

    def __repr__(self):
        return "torch.float32"


def unknown(function, keyword, note):
    """Return the pattern of the error of a keyword that a function does not have; what came stands between the two."""
    return rf"(?s){function}\(\) got an unexpected keyword argument '{keyword}'.*\n{note}"


BY_POSITION = "give {} by position, without its name"
NEW_TENSOR = "leave it out: the result is a new Tensor, as in x = f\\(x\\)"
OPTIONS = "{0} takes options when it is made, and arrays when it is called: {0}\\(...\\)\\(x\\)"
NO_ARRAY = (
    r"a Tensor that requires a gradient does not become an array in silence, which would lose its history: write X @ W "
    r"for X\.dot\(W\), and tg\.stack\(\[t, u\]\) for np\.array\(\[t, u\]\); where no gradient is needed, as for plots, "
    r"t\.numpy\(\) or t\.detach\(\) gives the values"
)
DTYPE = "expected a dtype of NumPy, such as np.float32 or 'float32', got torch.float32"
NONE = r"is it the result of a function without return, or a \.grad before backward\(\)\?"

# (what is done, the error, a pattern of the whole message)
TABLE = {
    # what is given by position
    "Tensor's shape, as in torch.Tensor(2, 3)": (
        lambda: Tensor(2, 3),
        TypeError,
        r"requires_grad: expected True or False, got 3: write dtype= for a dtype, and tg\.zeros\(shape\) for a shape",
    ),
    "Tensor's dtype, as in np.array(x, np.float64)": (
        lambda: Tensor([1.0], np.float64),
        TypeError,
        r"requires_grad: expected True or False, got .*float64.*: write dtype= for a dtype, and tg\.zeros.*",
    ),
    "transpose's two axes": (
        lambda: Tensor(np.ones((2, 3, 4))).transpose(1, 2),
        ValueError,
        r"axes: expected all 3 axes in their new order, got \(1, 2\): swapaxes exchanges two\nin transpose\(.*\)",
    ),
    "norm's p": (lambda: tg.norm(X, p=1), TypeError, unknown("norm", "p", "write ord= for p=")),
    "tril's diagonal": (
        lambda: tg.tril(X, diagonal=1),
        TypeError,
        unknown("tril", "diagonal", "write k= for diagonal="),
    ),
    "tensordot's dims": (
        lambda: tg.tensordot(X, X, dims=2),
        TypeError,
        unknown("tensordot", "dims", "write axes= for dims="),
    ),
    "grad's argnum": (
        lambda: tg.grad(sum, argnum=1),
        TypeError,
        unknown("grad", "argnum", "write argnums= for argnum="),
    ),
    # dim and axis
    "an operation": (lambda: tg.sum(X, dim=0), TypeError, unknown("sum", "dim", "write axis= for dim=")),
    "an operation on a Tensor": (
        lambda: leaf(X).sum(dim=0, keepdim=True),
        TypeError,
        r"sum\(\) got an unexpected keyword argument 'dim'\nin sum\(float64 \(4, 2\)\)\nwrite axis= for dim=\nwrite "
        r"keepdims= for keepdim=",
    ),
    "softmax": (lambda: tg.softmax(leaf(X), dim=1), TypeError, unknown("softmax", "dim", "write axis= for dim=")),
    "a formula": (lambda: tg.std(X, dim=0), TypeError, unknown("std", "dim", "write axis= for dim=")),
    "a method that is a formula": (
        lambda: leaf(X).var(dim=0, keepdim=True),
        TypeError,
        unknown("var", "dim", "write axis= for dim=\nwrite keepdims= for keepdim="),
    ),
    "a method": (lambda: leaf(X).argmax(dim=1), TypeError, unknown("argmax", "dim", "write axis= for dim=")),
    "joining": (lambda: tg.stack([X, X], dim=1), TypeError, unknown("stack", "dim", "write axis= for dim=")),
    "joining what has another name": (
        lambda: tg.concatenate(tensors=[X, X]),
        TypeError,
        unknown("concatenate", "tensors", "write xs= for tensors="),
    ),
    "an order of axes": (
        lambda: tg.transpose(leaf(X), dims=(1, 0)),
        TypeError,
        unknown("transpose", "dims", "write axes= for dims="),
    ),
    "the reverse in nn.functional": (
        lambda: functional.softmax(X, axis=1),
        TypeError,
        unknown("softmax", "axis", "write dim= for axis="),
    ),
    "the reverse in a layer": (
        lambda: nn.LogSoftmax(axis=1),
        TypeError,
        unknown("Softmax.__init__", "axis", "write dim= for axis="),
    ),
    # other keywords
    "the unbiased std": (
        lambda: leaf(X).std(unbiased=True),
        TypeError,
        unknown("std", "unbiased", "write ddof=1 for unbiased=True: the divisor is n - ddof, by default n"),
    ),
    "a correction": (
        lambda: tg.var(X, correction=0),
        TypeError,
        unknown("var", "correction", "write ddof=0 for correction=0: the divisor is n - ddof, by default n"),
    ),
    "bounds": (
        lambda: tg.clip(X, a_min=0, a_max=1),
        TypeError,
        unknown("clip", "a_min", "write min= .*\nwrite max= .*"),
    ),
    "an operand by name": (
        lambda: tg.add(leaf(X), other=X),
        TypeError,
        "missing a required argument: 'b'\n" + BY_POSITION.format("other"),
    ),
    "an operand by its own name": (lambda: tg.exp(x=X), TypeError, "'x' parameter.*\n" + BY_POSITION.format("x")),
    "the input by name": (lambda: tg.norm(input=X), TypeError, unknown("norm", "input", BY_POSITION.format("input"))),
    "the input of a layer by name": (
        lambda: MODEL(input=X),
        TypeError,
        unknown("Linear.forward", "input", BY_POSITION.format("input")),
    ),
    "a size": (lambda: tg.zeros(size=(2, 3)), TypeError, unknown("zeros", "size", BY_POSITION.format("size"))),
    "the size of full": (
        lambda: tg.full(size=2, value=1.0),
        TypeError,
        unknown("full", "size", "write shape= for size="),
    ),
    "inplace of an operation": (
        lambda: tg.relu(leaf(X), inplace=True),
        TypeError,
        unknown("relu", "inplace", "inplace: " + NEW_TENSOR),
    ),
    "inplace of a layer": (
        lambda: nn.ReLU(inplace=True),
        TypeError,
        unknown("ReLU.__init__", "inplace", "inplace: " + NEW_TENSOR),
    ),
    "out": (lambda: tg.add(leaf(X), X, out=X), TypeError, unknown("add", "out", "out: " + NEW_TENSOR)),
    "a generator": (
        lambda: tg.rand(2, generator=None),
        TypeError,
        unknown("rand", "generator", r"generator: leave it out: tg\.manual_seed\(seed\) sets the one generator"),
    ),
    "a dtype where there is none": (
        lambda: tg.exp(leaf(X), dtype="float64"),
        TypeError,
        unknown("exp", "dtype", r"dtype: convert with \.astype\(dtype\)"),
    ),
    "a device where there is none": (
        lambda: nn.Linear(2, 2, device="cpu"),
        TypeError,
        unknown("Linear.__init__", "device", r"device: move the result with \.to\(device\)"),
    ),
    # dtypes and devices
    "another library's dtype": (lambda: Tensor(X, dtype=Dtype()), TypeError, DTYPE),
    "another library's dtype of zeros": (lambda: tg.zeros(2, dtype=Dtype()), TypeError, DTYPE),
    "another library's dtype of arange": (lambda: tg.arange(2, dtype=Dtype()), TypeError, DTYPE),
    "another library's dtype of eye": (lambda: tg.eye(2, dtype=Dtype()), TypeError, DTYPE),
    "another library's dtype of full": (lambda: tg.full(2, 1.0, dtype=Dtype()), TypeError, DTYPE),
    "another library's dtype of ones": (lambda: tg.ones(2, dtype=Dtype()), TypeError, DTYPE),
    "another library's dtype in astype": (lambda: leaf(X).astype(Dtype()), TypeError, DTYPE),
    "a dtype as device": (
        lambda: leaf(X).to("float32"),
        tg.DeviceError,
        r"expected device 'cpu', .*, got 'float32': \.astype\(dtype\) converts to a dtype",
    ),
    # what becomes no array
    "dot of an array": (lambda: X.T.dot(leaf(X)), TypeError, NO_ARRAY),
    "an array of Tensors": (lambda: np.array([leaf(X), leaf(X)]), TypeError, NO_ARRAY),
    "asarray": (lambda: np.asarray(leaf(X)), TypeError, NO_ARRAY),
    # operands
    "None": (
        lambda: leaf(X) + None,
        TypeError,
        r"unsupported operand type.*\nin add\(float64 \(4, 2\), NoneType None\)\n" + NONE,
    ),
    "None on the left": (lambda: None * leaf(X), TypeError, r"(?s)unsupported operand type.*\n" + NONE),
    "None to an operation": (lambda: tg.exp(None), TypeError, r"(?s).*NoneType.*\n" + NONE),
    "a Tensor of None": (lambda: Tensor(None), TypeError, "expected numbers, got NoneType None: " + NONE),
    "text": (
        lambda: leaf(X) + "a",
        TypeError,
        r"expected numbers, got str 'a': float\(text\) reads a number\nas an operand of add",
    ),
    "a method that is not called": (
        lambda: leaf(1.0) * leaf(1.0).item,
        TypeError,
        r"expected numbers, got method <bound method .*: call it, as in f\(\)\nas an operand of multiply",
    ),
    # Modules
    "two inputs": (
        lambda: MODEL(X, X),
        TypeError,
        r"Linear.forward\(\) takes 2 positional .*\nexpected Linear\(...\)\(x\), got \(\.\.\., \.\.\.\)",
    ),
    "no input": (lambda: MODEL(), TypeError, r"Linear.forward\(\) missing .*\nexpected Linear\(...\)\(x\), got \(\)"),
    "no width": (
        lambda: nn.Linear(2),
        TypeError,
        r"Linear.__init__\(\) missing .*\nexpected Linear\(in_features, out_features, bias=True\), got \(\.\.\.\)",
    ),
    "a loss that is made of arrays": (
        lambda: nn.CrossEntropyLoss(leaf(X), LABELS),
        TypeError,
        r"CrossEntropyLoss: expected ignore_index to be an integer, got int64 \(4,\)\n"
        + OPTIONS.format("CrossEntropyLoss"),
    ),
    "nll_loss that is made of arrays": (
        lambda: nn.NLLLoss(leaf(X), LABELS),
        TypeError,
        r"NLLLoss: expected ignore_index .*\n" + OPTIONS.format("NLLLoss"),
    ),
    "mse_loss that is made of arrays": (lambda: nn.MSELoss(X, X), TypeError, r".*\n" + OPTIONS.format("MSELoss")),
    "a binary loss that is made of arrays": (
        lambda: nn.BCEWithLogitsLoss(X, X),
        ValueError,
        r"(?s)BCEWithLogitsLoss: expected reduction .*\n" + OPTIONS.format("BCEWithLogitsLoss"),
    ),
    "a width of NumPy is no array": (
        lambda: nn.Linear(np.int64(-1), 2),
        ValueError,
        "Linear: expected in_features to be an integer of at least 0, got -1",
    ),
    "a layer that is made of an array": (lambda: nn.ReLU(X), TypeError, r".*\n" + OPTIONS.format("ReLU")),
    "weights are an array of options": (
        lambda: nn.CrossEntropyLoss(X[0], reduction="average"),
        ValueError,
        "CrossEntropyLoss: expected reduction to be 'none', 'mean' or 'sum', got 'average'",
    ),
    "Sequential of an operation": (
        lambda: nn.Sequential(MODEL, tg.relu),
        TypeError,
        r"Sequential: expected Modules, got Primitive <primitive relu\(x, /\)> in place 1: a function is called in a "
        r"forward of your own, and nn\.ReLU\(\) is the Module of tg\.relu",
    ),
    "Sequential of a list": (
        lambda: nn.Sequential([nn.ReLU()]),
        TypeError,
        r"Sequential: expected Modules, got list \[ReLU\(\)\] in place 0: write Sequential\(\*modules\) for "
        r"Sequential\(modules\)",
    ),
    "Sequential of a class": (
        lambda: nn.Sequential(nn.ReLU),
        TypeError,
        r"Sequential: expected Modules, got type <class .*ReLU'> in place 0: make one, ReLU\(\.\.\.\)",
    ),
    # optimizers
    "a Module as parameters": (
        lambda: nn.optim.SGD(MODEL),
        TypeError,
        r"expected parameters, got the Module Linear: give its \.parameters\(\)",
    ),
    "a Sequential as parameters": (
        lambda: nn.optim.Adam(nn.Sequential(MODEL)),
        TypeError,
        r"expected parameters, got the Module Sequential: give its \.parameters\(\)",
    ),
    "parameters that are not called": (
        lambda: nn.optim.SGD(MODEL.parameters),
        TypeError,
        r"expected an iterable of parameters, got method .*: call it, as in model\.parameters\(\)",
    ),
    "a number as parameters": (
        lambda: nn.optim.SGD(0.1),
        TypeError,
        r"expected an iterable of parameters, got float 0\.1: give model\.parameters\(\)",
    ),
    "named parameters": (
        lambda: nn.optim.SGD(MODEL.named_parameters()),
        TypeError,
        r"SGD: expected Tensors, got tuple in place 0: give model\.parameters\(\)",
    ),
    "clipping a Module": (
        lambda: nn.clip_grad_norm(MODEL, 1.0),
        TypeError,
        r"expected parameters, got the Module Linear: give its \.parameters\(\)",
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_the_error(name, tmp_path):
    check_error(*TABLE[name], tmp_path)


class Width:
    """A class to mix in."""

    def __init__(self, width=3):
        self.width = width


class Mixed(nn.Module, Width):
    pass


def test_constructors_of_classes_that_are_mixed_in_are_still_called():
    assert Mixed(5).width == 5
    assert type("Activation", (nn.ReLU, Width), {})().width == 3


def test_an_error_inside_of_a_call_gets_no_advice_on_it():
    def fails(x):
        raise TypeError("its own")

    for call in (lambda: tg.take(X, "text", axis=0), lambda: tg.vjp(fails, X)):
        with pytest.raises(TypeError) as raised:
            call()
        assert "expected" not in "".join(getattr(raised.value, "__notes__", ()))


def test_nothing_is_half_changed_by_a_call_that_does_not_fit():
    model = nn.Sequential(nn.Linear(2, 2))
    before = model.state_dict().keys(), repr(model)
    with pytest.raises(TypeError):
        model.append(tg.relu)
    with pytest.raises(TypeError):
        model.extend([nn.ReLU(), nn.ReLU])
    assert (model.state_dict().keys(), repr(model)) == before
