"""Every mistake of a user is one error of the promised kind that says what was expected, what came and what to do."""

import gzip
import struct

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import check_error
from tinygrad_sm import CheckpointError, DatasetError, DeviceError, GradientError, Tensor, nn
from tinygrad_sm.datasets import DataLoader, mnist
from tinygrad_sm.datasets.idx import read_idx
from tinygrad_sm.nn.functional import cross_entropy, nll_loss, one_hot

X = np.zeros((4, 3), np.float32)


def leaf(shape=(4, 3)):
    return Tensor(np.ones(shape, np.float32), requires_grad=True)


def second_backward():
    loss = leaf().sum()
    loss.backward()
    loss.backward()


def condition_that_requires_a_gradient():
    condition = Tensor(X)
    chosen = tg.where(condition, leaf(), 0.0)
    condition.requires_grad_()
    chosen.sum().backward()


def stale(change):
    layer = nn.Linear(3, 2)
    model = nn.Sequential(layer)
    loss = model(X).sum()
    layer.weight.grad = np.ones((2, 3), np.float32)
    change(model)
    loss.backward()


def idx_file(content, compress=True):
    """Return a function that reads a file of this content."""

    def read(tmp_path):
        path = tmp_path / "digits.gz"
        path.write_bytes(gzip.compress(content) if compress else content)
        read_idx(path, 1, "0" * 64)

    return read


LABELS = struct.pack(">4BI", 0, 0, 8, 1, 3) + bytes([5, 0, 4])


def linear_mismatch():
    model = nn.Sequential(nn.ReLU(), nn.Linear(784, 10))
    model(np.zeros((128, 1, 28, 28), np.float32))


def masked_momentum():
    parameter = leaf()
    optimizer = nn.optim.SGD([parameter], 0.1, momentum=0.9)
    parameter.grad = X + 1
    optimizer.step()
    state = optimizer.state_dict()
    remembered = next(iter(state["state"]))
    remembered |= {name: np.ma.array(value) for name, value in remembered.items() if isinstance(value, np.ndarray)}
    optimizer.load_state_dict(state)


def masked_gradient():
    parameter = leaf()
    parameter.grad = np.ma.array(X)
    nn.optim.SGD([parameter], 0.1).step()


# (what is done, the error, a pattern of the whole message)
TABLE = {
    # backward
    "backward of a matrix": (
        lambda: (leaf((32, 10)) * 1).backward(),
        ValueError,
        r"backward\(\) needs a scalar, got shape \(32, 10\): reduce it with \.sum\(\) or \.mean\(\), or pass the "
        r"gradient of the loss with respect to it, of that shape",
    ),
    "gradient of a wrong shape": (
        lambda: (leaf() * 1).backward(np.ones(3)),
        ValueError,
        r"backward\(\) needs a gradient of the Tensor's own shape \(4, 3\), got shape \(3,\)",
    ),
    "second backward": (second_backward, GradientError, "this graph was freed.*went through sum.*retain_graph=True.*"),
    "nothing to differentiate": (
        lambda: Tensor(1.0).backward(),
        GradientError,
        "nothing to differentiate: this Tensor requires no gradient.*requires_grad=True.*no_grad.*detach.*",
    ),
    "stale by assign": (
        lambda: stale(lambda model: model[0].weight.assign(np.zeros((2, 3)))),
        GradientError,
        "'0.weight' was changed .* after linear had used it: compute the loss again after the change",
    ),
    "stale by step": (
        lambda: stale(lambda model: nn.optim.SGD(model.parameters(), 0.1).step()),
        GradientError,
        "'0.weight' was changed .* after linear had used it.*",
    ),
    "stale by load_state_dict": (
        lambda: stale(lambda model: model.load_state_dict(model.state_dict())),
        GradientError,
        "'0.weight' was changed .* after linear had used it.*",
    ),
    "operation without rules": (
        lambda: tg.primitive(lambda x, /: x * 1)(leaf()).sum().backward(),
        GradientError,
        r"<lambda> has no gradient rules: give them with <lambda>\.vjp\(\.\.\.\)",
    ),
    # Tensors
    "gradient of integers": (
        lambda: Tensor([1, 2], requires_grad=True),
        TypeError,
        r"only floats carry gradients, got int64: convert with \.astype\('float32'\) first",
    ),
    "text": (lambda: Tensor("abc"), TypeError, "expected numbers, got str 'abc': float.text. reads a number"),
    "objects": (lambda: Tensor([object]), TypeError, "expected numbers, got list .*"),
    "ragged lists": (lambda: Tensor([[1], [1, 2]]), ValueError, ".*inhomogeneous shape.*"),
    "an array of what requires a gradient": (
        lambda: np.asarray(leaf()),
        TypeError,
        r"a Tensor that requires a gradient does not become an array in silence, which would lose its history: write "
        r"X @ W for X\.dot\(W\), and tg\.stack\(\[t, u\]\) for np\.array\(\[t, u\]\); where no gradient is needed, as "
        r"for plots, t\.numpy\(\) or t\.detach\(\) gives the values",
    ),
    "assignment to elements": (lambda: leaf().__setitem__(0, 1.0), TypeError, "Tensors are not changed in place.*"),
    "assign of a wrong shape": (
        lambda: leaf().assign([1.0]),
        ValueError,
        r"assign: expected shape \(4, 3\), got .*\(1,\)",
    ),
    "assign to a read-only array": (
        lambda: Tensor(np.broadcast_to(1.0, (2,))).assign([1.0, 2.0]),
        ValueError,
        "assign: this Tensor has a read-only array.*",
    ),
    "moving to a device": (
        lambda: Tensor(1.0).to("tpu"),
        DeviceError,
        r"expected device 'cpu', 'cuda', or .*, got 'tpu': \.astype\(dtype\) converts to a dtype",
    ),
    "grad of a matrix": (lambda: tg.grad(leaf() * 1, leaf()), ValueError, r"grad\(\) needs a scalar, got .*"),
    "grad of an array": (lambda: tg.grad(X, leaf()), TypeError, "grad: expected a Tensor as output, got float32 .*"),
    "grad by an array": (
        lambda: tg.grad(leaf().sum(), X),
        TypeError,
        "grad: expected a Tensor as input, got float32 .*",
    ),
    "too few grad_outputs": (
        lambda: tg.grad([leaf(), leaf()], leaf(), [X]),
        ValueError,
        "grad: expected one of grad_outputs for each of 2 outputs, got 1",
    ),
    "device": (lambda: Tensor(1.0, device="tpu"), DeviceError, "expected device 'cpu', 'cuda', or .*, got 'tpu': .*"),
    # operations: NumPy's own message, with a note that names the operation and what came
    "shapes that do not broadcast": (
        lambda: leaf() + np.ones(4),
        ValueError,
        r"operands could not be broadcast together.*\(4,3\) \(4,\).*\nin add\(float32 \(4, 3\), float64 \(4,\)\)",
    ),
    "matrices that do not fit": (
        lambda: leaf() @ leaf(),
        ValueError,
        r"(?s)matmul.*mismatch.*\nin matmul\(float32 \(4, 3\), float32 \(4, 3\)\)",
    ),
    "an operand that is no number": (
        lambda: leaf() * "two",
        TypeError,
        "expected numbers, got str 'two': float.text. reads a number\nas an operand of multiply",
    ),
    "index out of range": (lambda: leaf()[np.array([4])], IndexError, r"index 4 is out of bounds.*\nin getitem\(.*\)"),
    "float index": (lambda: leaf()[1.5], IndexError, r"only integers.*\nin getitem\(.*\)"),
    "impossible reshape": (lambda: leaf().reshape(5), ValueError, r"cannot reshape.*\nin reshape\(float32 \(4, 3\)\)"),
    "axis out of range": (lambda: tg.flip(leaf(), 2), np.exceptions.AxisError, "axis 2 is out of bounds.*dimension 2"),
    "pad of another kind": (
        lambda: tg.pad(leaf(), 1, "empty"),
        ValueError,
        "pad: expected mode to be 'constant', 'edge', 'reflect', 'symmetric' or 'wrap', got 'empty'",
    ),
    "pad by constants in another mode": (
        lambda: tg.pad(leaf(), 1, "edge", constant_values=1.0),
        ValueError,
        "pad: expected constant_values for the mode 'constant' alone, got them for 'edge'",
    ),
    "a Tensor of Tensors": (
        lambda: Tensor([[leaf(()), 1.0]]),
        TypeError,
        r"Tensor: expected numbers, got a list with a Tensor that requires a gradient, .*: write tg\.stack\(list\).*",
    ),
    "a list of Tensors and of text": (
        lambda: tg.sum([leaf(()), "two"]),
        TypeError,
        r"expected numbers, got str 'two': float\(text\) reads a number\nas an operand of sum",
    ),
    "a list of Tensors of unlike shapes": (
        lambda: tg.var([leaf(3), 1.0]),
        ValueError,
        r"(?s).*same number of dimensions.*\nin concatenate\(float32 \(1, 3\), float32 \(1,\)\)",
    ),
    "products that do not fit": (
        lambda: tg.tensordot(leaf(), leaf(), 1),
        ValueError,
        r"tensordot: expected axes of equal lengths, got axes \(1,\) of shape \(4, 3\) and axes \(0,\) .*",
    ),
    "dot of matrices that do not fit": (
        lambda: tg.dot(leaf(), leaf()),
        ValueError,
        r"(?s)matmul.*mismatch.*\nin matmul\(float32 \(4, 3\), float32 \(4, 3\)\)",
    ),
    "the diagonal of a row": (
        lambda: np.trace(leaf(3)),
        ValueError,
        r"(?s)diagonal: expected at least two axes, got shape \(3,\): tg\.diag makes a matrix of a row.*",
    ),
    "diag of three axes": (
        lambda: tg.diag(leaf((2, 3, 4))),
        ValueError,
        r"diag: expected one axis or two, got shape \(2, 3, 4\): tg\.diagonal takes more",
    ),
    "a triangle of a number": (
        lambda: tg.tril(leaf(())),
        ValueError,
        r"tril: expected at least one axis, got shape \(\): .*",
    ),
    "a negative number of repetitions": (lambda: tg.repeat(leaf(), -1), ValueError, ".*negative.*"),
    "too few repetitions": (lambda: tg.repeat(leaf(), [1, 2], 0), ValueError, ".*broadcast together.*"),
    "a sum of floats in an integer dtype": (
        lambda: leaf().sum(dtype=int),
        TypeError,
        r"sum gives int64, and only floats carry gradients: pass \.detach\(\)",
    ),
    "a mean in a dtype of objects": (
        lambda: tg.mean(leaf(), dtype=object),
        TypeError,
        r"expected a dtype of numbers, got object\nin mean\(float32 \(4, 3\)\)",
    ),
    "draws in half precision": (
        lambda: tg.randn(2, dtype=np.float16),
        TypeError,
        "randn: expected dtype float32 or float64, got float16: convert the draws with .astype",
    ),
    "a whole quotient in place": (
        lambda: leaf().__ifloordiv__(2),
        GradientError,
        r"t //= u would change .*t = t // u .*",
    ),
    "a remainder in place": (
        lambda: leaf().__imod__(2),
        GradientError,
        r"t %= u would change a leaf.*t = t % u makes.*",
    ),
    "split that does not fit": (lambda: tg.split(leaf(), 3), ValueError, ".*does not result in an equal division"),
    "joining numbers": (
        lambda: tg.concatenate([1, leaf()]),
        ValueError,
        r"expected arrays of at least one axis, got a 0-d array: join .* with stack\nin concatenate\(int 1, .*\)",
    ),
    "joining nothing": (lambda: tg.stack([]), ValueError, r"need at least one array.*\nin concatenate\(\)"),
    "take_along_axis of other axes": (
        lambda: tg.take_along_axis(leaf(), [0, 1], 0),
        ValueError,
        r"take_along_axis: expected indices of 2 axes, got shape \(2,\)",
    ),
    "take_along_axis of a mask": (
        lambda: tg.take_along_axis(leaf(), X > 0, 0),
        IndexError,
        r"take_along_axis: expected integers as indices, got bool \(4, 3\): x\[mask\] takes a mask",
    ),
    "a number that the dtype of its list cannot hold": (
        lambda: Tensor([300, np.int8(1)]),
        OverflowError,
        "Python integer 300 out of bounds for int8",
    ),
    "a state with a masked array": (
        lambda: nn.Linear(3, 2, bias=False).load_state_dict({"weight": np.ma.array(X[:2])}),
        CheckpointError,
        r"the state does not fit Linear:\n  weight: expected float32 \(2, 3\), got masked float32 \(2, 3\)",
    ),
    "a state of an optimizer with a masked array": (
        lambda: masked_momentum(),
        CheckpointError,
        r"(?s)the state does not fit SGD:\n.*expected float32 \(4, 3\), got masked float32 \(4, 3\)",
    ),
    "a masked gradient": (
        lambda: masked_gradient(),
        ValueError,
        r"step: expected the grad of a parameter to be an array like float32 \(4, 3\), got masked float32 \(4, 3\)",
    ),
    "einsum of too few operands": (
        lambda: tg.einsum("ij,jk->ik", leaf()),
        ValueError,
        "einsum: 'ij,jk->ik' does not fit operands of 2 axes",
    ),
    "einsum of too few axes": (
        lambda: tg.einsum("ijk,...->k", leaf(), leaf()),
        ValueError,
        "einsum: 'ijk,...->k' does not fit operands of 2, 2 axes",
    ),
    "einsum of unequal lengths": (
        lambda: tg.einsum("ij,jk->ik", leaf(), leaf()),
        ValueError,
        r"(?s)operands could not be broadcast.*and requested shape \(4,4\)\nin broadcast_to\(float32 \(4, 3\)\)",
    ),
    "einsum of an unequal diagonal": (
        lambda: tg.einsum("...ii", leaf((2, 3, 4))),
        ValueError,
        "einsum: 'i' stands for axes of lengths 3 and 4 of one operand",
    ),
    "a condition that begins to require a gradient": (
        condition_that_requires_a_gradient,
        GradientError,
        "where has no gradient with respect to 'condition'",
    ),
    # losses
    "label too large": (
        lambda: cross_entropy(leaf(), np.array([0, 2, 3, 9])),
        IndexError,
        r"labels: expected 0\.\.2 for 3 classes, got 3 in row 2\nin cross_entropy\(float32 \(4, 3\), int64 \(4,\)\)",
    ),
    "negative label": (
        lambda: cross_entropy(leaf(), np.array([0, -1, 1, 2])),
        IndexError,
        r"labels: expected 0\.\.2 for 3 classes, got -1 in row 1\n.*",
    ),
    "float labels": (
        lambda: cross_entropy(leaf(), np.array([0.0, 1, 2, 0])),
        TypeError,
        r"labels: expected integers, got float64: convert them with \.astype\('int64'\)\n.*",
    ),
    "bool labels": (
        lambda: cross_entropy(leaf(), np.array([True, False, True, True])),
        TypeError,
        "labels: expected integers, got bool.*\n.*",
    ),
    "labels in a column": (
        lambda: cross_entropy(leaf(), np.array([[0], [1], [2], [0]])),
        ValueError,
        r"cross_entropy: \(4, 3\) needs labels of shape \(4,\) or probabilities of shape \(4, 3\), got int64 \(4, 1\): "
        r"reshape it with \.reshape\(4\)\n.*",
    ),
    "too few labels": (
        lambda: cross_entropy(leaf(), np.array([0, 1])),
        ValueError,
        r"cross_entropy: \(4, 3\) needs labels of shape \(4,\) .*, got int64 \(2,\)\n.*",
    ),
    "probabilities that are integers": (
        lambda: cross_entropy(leaf(), np.eye(4, 3, dtype=int)),
        TypeError,
        r"cross_entropy: a target of shape \(4, 3\) holds probabilities and must be floating, got int64.*\n.*",
    ),
    "logits that are a number": (lambda: cross_entropy(1.0, [0]), ValueError, r"cross_entropy: .* got float32 \(\)"),
    "no classes": (lambda: cross_entropy(leaf((4, 0)), [0] * 4), ValueError, r"cross_entropy: .*float32 \(4, 0\)\n.*"),
    "one number as target": (lambda: cross_entropy(leaf(), 1), ValueError, r"cross_entropy: .*, got int64 \(\)\n.*"),
    "empty batch": (
        lambda: cross_entropy(leaf((0, 3)), np.zeros(0, int)),
        ValueError,
        r"cross_entropy: expected at least one example, got an empty batch of shape \(0, 3\)\n.*",
    ),
    "labels of some places": (
        lambda: cross_entropy(leaf((4, 3, 2)), np.zeros(4, int)),
        ValueError,
        r"cross_entropy: \(4, 3, 2\) needs labels of shape \(4, 2\) or probabilities of shape .*, got int64 \(4,\)",
    ),
    "a gradient of labels' kind": (
        lambda: nn.functional.cross_entropy(leaf(), Tensor(np.full((4,), 1.0), requires_grad=True)),
        TypeError,
        "labels: expected integers, got float64.*\n.*",
    ),
    "nll_loss of probabilities as target": (
        lambda: nll_loss(leaf(), X),
        ValueError,
        r"nll_loss: \(4, 3\) needs labels of shape \(4,\), got float32 \(4, 3\)",
    ),
    "nll_loss of a bad label": (lambda: nll_loss(leaf(), [0, 1, 2, 3]), IndexError, ".*got 3 in row 3"),
    "one_hot of a bad label": (lambda: one_hot([0, 7], 3), IndexError, "labels: .*got 7 in row 1\n.*"),
    # Modules
    "Linear without Flatten": (
        linear_mismatch,
        ValueError,
        r"Linear\(784, 10\) at '1': expected input of shape \(\.\.\., 784\), got float32 \(128, 1, 28, 28\): put "
        r"Flatten\(\) before it, which makes it \(128, 784\)",
    ),
    "Linear of a wrong width": (
        lambda: nn.Linear(3, 2)(np.zeros((4, 5), np.float32)),
        ValueError,
        r"Linear\(3, 2\): expected input of shape \(\.\.\., 3\), got float32 \(4, 5\)",
    ),
    "Linear of a list": (lambda: nn.Linear(3, 2)([1.0, 2, 3]), ValueError, r"Linear.*got list \[1.0, 2, 3\]"),
    "Linear of less than no inputs": (
        lambda: nn.Linear(-1, 2),
        ValueError,
        "Linear: expected in_features to be an integer of at least 0, got -1",
    ),
    "Sequential of a function": (
        lambda: nn.Sequential(np.tanh),
        TypeError,
        r"Sequential: expected Modules, got ufunc .*place 0: a function is called in a forward of your own, and "
        r"nn\.ReLU\(\) is the Module of tg\.relu",
    ),
    "a Module without forward": (lambda: nn.Module()(X), TypeError, "Module has no forward: define forward.*"),
    "a state that does not fit": (
        lambda: nn.Linear(3, 2).load_state_dict({"weight": np.zeros((3, 2), np.float32)}),
        CheckpointError,
        r"the state does not fit Linear:\n  weight: expected float32 \(2, 3\), got float32 \(3, 2\)\n  bias: missing",
    ),
    # optimizers
    "no parameters": (lambda: nn.optim.SGD([], lr=0.1), ValueError, "expected parameters, got none.*"),
    "one parameter without a list": (
        lambda: nn.optim.SGD(leaf(), 0.1),
        TypeError,
        ".*got one Tensor: put it in a list",
    ),
    "an array as parameter": (lambda: nn.optim.SGD([X], 0.1), TypeError, "SGD: expected Tensors, got ndarray .*"),
    "a result as parameter": (
        lambda: nn.optim.SGD([leaf() * 2], 0.1),
        ValueError,
        r"SGD: parameter 0, float32 \(4, 3\), is no leaf of floats: give model\.parameters\(\)",
    ),
    "a parameter twice": (
        lambda: nn.optim.SGD([nn.Parameter(X)] * 2, 0.1),
        ValueError,
        "SGD: a parameter is .* twice.*",
    ),
    "a read-only parameter": (
        lambda: nn.optim.SGD([Tensor(np.broadcast_to(X[0], (2, 3)), requires_grad=True)], 0.1),
        ValueError,
        "SGD: parameter 0 has a read-only array.*",
    ),
    "a parameter that requires no gradient": (
        lambda: nn.optim.SGD([Tensor(X)], 0.1),
        ValueError,
        "SGD: .* no gradient.*",
    ),
    "endless lr": (lambda: nn.optim.SGD([leaf()], lr=np.inf), ValueError, "SGD: .* finite .*, got inf"),
    "negative lr": (lambda: nn.optim.SGD([leaf()], lr=-1), ValueError, "SGD: .* lr to be .* of at least 0, got -1"),
    "lr that is NaN": (lambda: nn.optim.SGD([leaf()], lr=np.nan), ValueError, "SGD: expected lr .*, got nan"),
    "nesterov without momentum": (
        lambda: nn.optim.SGD([leaf()], 0.1, nesterov=True),
        ValueError,
        "SGD: nesterov needs.*",
    ),
    # data
    "split": (lambda: mnist("validation"), ValueError, ".*'train'.*'test'.*got 'validation'"),
    "scale": (lambda: mnist("test", "zscore"), ValueError, ".*'unit'.*'standard'.*got 'zscore'"),
    "loader of unequal lengths": (lambda: DataLoader((X, np.zeros(5, int)), 2), ValueError, r".*\(4, 3\) and \(5,\)"),
    "loader without batch": (
        lambda: DataLoader((X, np.zeros(4, int)), 0),
        ValueError,
        "DataLoader: expected batch_size to be an integer of at least 1.*",
    ),
    "unreadable file": (
        lambda tmp_path: read_idx(tmp_path / "digits.gz", 1),
        DatasetError,
        r".*digits\.gz: expected a file.*",
    ),
    "truncated file": (idx_file(LABELS[:-1]), DatasetError, r".*digits\.gz: expected 3 bytes of data.*got 2.*"),
    "oversized file": (idx_file(LABELS + b"\0"), DatasetError, r".*digits\.gz: expected 3 bytes of data.*got more.*"),
    "file of another kind": (
        idx_file(b"PK\3\4" * 9, compress=False),
        DatasetError,
        r".*digits\.gz: expected the bytes.*",
    ),
    "tampered file": (idx_file(LABELS), DatasetError, r".*digits\.gz: expected contents with SHA-256 000.*"),
}


@pytest.mark.parametrize("name", TABLE)
def test_the_error(name, tmp_path):
    check_error(*TABLE[name], tmp_path)


V, LOGITS = np.array([0.5, 1.5, 2.5]), np.eye(3)


def given_to_a_hook(m):
    y = leaf(3) * 1
    y.register_hook(lambda g: m)
    y.sum().backward()


# What takes arrays: m is three floats, n three labels.
TAKES_ARRAYS = {
    "Tensor": lambda m, n: Tensor(m),
    "Tensor of a dtype": lambda m, n: Tensor(m, dtype="float32"),
    "a part of a list": lambda m, n: Tensor([V, m]),
    "an element of a list": lambda m, n: Tensor([1.0, [m][0][1]]),
    "Parameter": lambda m, n: nn.Parameter(m),
    "assign": lambda m, n: leaf(3).assign(m),
    "tensor + m": lambda m, n: leaf(3) + m,
    "m + tensor": lambda m, n: m + leaf(3),
    "m + constant": lambda m, n: m + Tensor(V),
    "m * constant": lambda m, n: m * Tensor(V),
    "m @ constant": lambda m, n: m @ Tensor(V),
    "m < constant": lambda m, n: m < Tensor(V),
    "constant < m": lambda m, n: Tensor(V) < m,
    "constant == m": lambda m, n: Tensor(V) == m,
    "np.add": lambda m, n: np.add(m, Tensor(V)),
    "np.concatenate": lambda m, n: np.concatenate([m, Tensor(V)]),
    "an operation on arrays": lambda m, n: tg.exp(m),
    "a formula on arrays": lambda m, n: tg.var(m),
    "clip": lambda m, n: tg.clip(Tensor(V), m, None),
    "where": lambda m, n: tg.where(m > 1, Tensor(V), 0.0),
    "full": lambda m, n: tg.full((3,), m),
    "pad": lambda m, n: tg.pad(Tensor(V), 1, constant_values=m[:2]),
    "an index": lambda m, n: Tensor(V)[n],
    "a part of an index": lambda m, n: Tensor(LOGITS)[n, 0],
    "take": lambda m, n: tg.take(Tensor(V), n),
    "take_along_axis": lambda m, n: tg.take_along_axis(Tensor(V), n, 0),
    "backward": lambda m, n: (leaf(3) * 1).backward(m),
    "a hook": lambda m, n: given_to_a_hook(m),
    "jvp": lambda m, n: tg.jvp(tg.exp, Tensor(V), m),
    "gradcheck": lambda m, n: tg.gradcheck(tg.exp, [m]),
    "labels": lambda m, n: cross_entropy(Tensor(LOGITS), n),
    "labels of nll_loss": lambda m, n: nll_loss(Tensor(LOGITS), n),
    "labels of accuracy": lambda m, n: nn.functional.accuracy(LOGITS, n),
    "one_hot": lambda m, n: one_hot(n, 3),
    "logits": lambda m, n: cross_entropy(m.reshape(1, 3), [0]),
    "class weights": lambda m, n: cross_entropy(Tensor(LOGITS), [0, 1, 2], weight=m),
    "the target of mse_loss": lambda m, n: nn.functional.mse_loss(Tensor(V), m),
    "a layer": lambda m, n: nn.Linear(3, 2)(m.astype(np.float32)),
    "the x of a DataLoader": lambda m, n: DataLoader((m, V), 2),
    "the y of a DataLoader": lambda m, n: DataLoader((V, n), 2),
}


@pytest.mark.parametrize("name", TAKES_ARRAYS)
def test_a_masked_array_is_refused_and_a_filled_one_is_not(name):
    action, mask = TAKES_ARRAYS[name], [False, True, False]
    m, n = np.ma.array(V, mask=mask), np.ma.array([0, 1, 2], mask=mask)
    with pytest.raises(TypeError, match=r"got a masked array, whose mask would be lost: write x\.filled\(value\), or"):
        action(m, n)
    action(m.filled(1), n.filled(1))


def test_what_a_masked_array_is_refused_for_can_be_written():
    m = np.ma.array(V, mask=[False, True, False])
    assert tg.where(np.ma.getmaskarray(m), 0.0, m.data).tolist() == m.filled(0).tolist() == [0.5, 0, 2.5]


def test_our_errors_are_builtin_kinds():
    for error, builtin in (
        (GradientError, RuntimeError),
        (DeviceError, RuntimeError),
        (DatasetError, ValueError),
        (CheckpointError, ValueError),
        (tg.GradcheckError, AssertionError),
    ):
        assert issubclass(error, builtin)


MASKED = np.ma.array([0, 1, 2], mask=[0, 1, 0])
INSIDE = {
    "a list as index": lambda t: t[[MASKED]],
    "the value of full_like": lambda t: np.full_like(t, np.ma.masked),
    "the values of full": lambda t: tg.full((2,), [1.0, np.ma.masked]),
    "the constants of pad": lambda t: tg.pad(t, 1, constant_values=[np.ma.masked, 1]),
    "the widths of pad": lambda t: tg.pad(t, np.ma.array([1, 2], mask=[0, 1])),
    "the indices of split": lambda t: tg.split(t, np.ma.array([1, 2], mask=[0, 1])),
    "the shift of roll": lambda t: tg.roll(t, np.ma.array(1, mask=True)),
}


@pytest.mark.parametrize("place", INSIDE)
def test_masks_are_not_lost_inside_of_arguments(place):
    with pytest.raises(TypeError, match="expected an array without a mask"):
        INSIDE[place](Tensor([1.0, 2.0, 3.0]))
