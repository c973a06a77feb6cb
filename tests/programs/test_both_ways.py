"""A compiled step has the bits of the step itself: every operation, all losses, optimizers and layers, random steps."""

import copy

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import tinygrad_sm as tg
from tests.cases import CASES
from tests.nn.stress import exactly
from tinygrad_sm import nn
from tinygrad_sm.nn import functional as F

RANDOM = np.random.default_rng(1)
X = RANDOM.normal(size=(7, 12, 20)).astype(np.float32)
LABELS = RANDOM.integers(0, 5, (7, 12))
TARGETS = RANDOM.dirichlet(np.ones(5), (7, 12)).astype(np.float32)


def operation_step(case, arrays, is_compiled):
    """Return a step that computes an operation of leaves, and their gradients; and a function that sets the leaves."""
    leaves = [tg.Tensor(np.copy(a), requires_grad=np.asarray(a).dtype.kind == "f") for a in arrays]

    def step():
        for leaf in leaves:
            leaf.grad = None
        out = case(*leaves)
        if out.requires_grad:
            (out * out).sum().backward()
        return out

    def run(new):
        for leaf, array in zip(leaves, new, strict=True):
            leaf.data[...] = array
        return exactly([program().data, *[leaf.grad for leaf in leaves]])

    program = tg.compiled(step) if is_compiled else step
    return program, run


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_every_operation(case, dtype):
    shapes = case.shapes.draw(np.random.default_rng(0))
    draws = [case.operands(shapes, seed, dtype) for seed in range(5)]
    _, eager = operation_step(case, draws[0], is_compiled=False)
    step, compiled = operation_step(case, draws[0], is_compiled=True)
    with np.errstate(all="ignore"):
        assert [eager(arrays) for arrays in draws] == [compiled(arrays) for arrays in draws]
    assert step.why_eager is None
    assert step.program is not None


class Function(nn.Module):
    """A function as a layer."""

    def __init__(self, function):
        self.function = function

    def forward(self, x):
        return self.function(x)


class Attending(nn.Module):
    """Rows of four places of five numbers, which attend to each other."""

    def __init__(self):
        self.attention = nn.MultiheadAttention(5, 1, dropout=0.25, batch_first=True)

    def forward(self, x):
        x = x.reshape((12, 4, 5))
        hidden = np.arange(4) > 2
        y, weights = self.attention(x, x, x, attn_mask=np.broadcast_to(hidden, (4, 4)), is_causal=True)
        y = y + F.scaled_dot_product_attention(x, y, y, weights)
        return y.sum(axis=1)


class LookingUp(nn.Module):
    """Rows that are looked up at places which depend on the input."""

    def __init__(self, classes):
        self.table = nn.Embedding(7, classes, padding_idx=2)

    def forward(self, x):
        return self.table((abs(x) * 3).astype(np.int64) % 7).sum(axis=1)


def training(model, loss, optimizer, clip=None, zero_grad=nn.optim.SGD.zero_grad):
    """Return a function that makes a step of such a training, with its model and optimizer."""

    def make():
        tg.manual_seed(0)
        network = model()
        updates = optimizer(network.parameters())

        def step(x, y):
            value = loss(network(x), y)
            if zero_grad is not None:
                zero_grad(updates)
            value.backward()
            if clip is not None:
                clip(network.parameters())
            updates.step()
            return value

        return step, network, updates

    return make


def mlp(*between):
    return lambda: nn.Sequential(nn.Linear(20, 16), *between, nn.Linear(16, 5))


def sgd(**options):
    return lambda parameters: nn.optim.SGD(parameters, lr=0.1, **options)


CE = nn.CrossEntropyLoss()
LOSSES = {
    "of labels": (CE, LABELS),
    "of probabilities": (CE, TARGETS),
    "smoothed": (nn.CrossEntropyLoss(label_smoothing=0.1), LABELS),
    "weighted": (nn.CrossEntropyLoss(weight=np.arange(1.0, 6.0)), LABELS),
    "summed": (nn.CrossEntropyLoss(reduction="sum"), LABELS),
    "without a class": (nn.CrossEntropyLoss(ignore_index=2), LABELS),
    "nll": (lambda z, y: F.nll_loss(F.log_softmax(z, 1), y), LABELS),
    "mse": (nn.MSELoss(), TARGETS),
    "bce": (nn.BCEWithLogitsLoss(), TARGETS),
    "huber": (nn.HuberLoss(delta=0.25), TARGETS),
    "kl": (lambda z, y: F.kl_div(F.log_softmax(z, 1), y, "batchmean"), TARGETS),
    "bce of probabilities": (lambda z, y: F.binary_cross_entropy(F.sigmoid(z), y), TARGETS),
    "sparsemax": (F.sparsemax_loss, LABELS),
    "entmax15": (F.entmax15_loss, LABELS),
}
TRAININGS = {
    **{f"a loss {name}": (training(mlp(nn.ReLU()), loss, sgd()), y) for name, (loss, y) in LOSSES.items()},
    **{
        f"a layer {layer.__name__}": (training(mlp(layer()), CE, sgd()), LABELS)
        for layer in (nn.ReLU, nn.Tanh, nn.Sigmoid, nn.Softplus, nn.LeakyReLU, nn.SiLU, nn.Identity, nn.Dropout)
    },
    **{f"a layer GELU({form})": (training(mlp(nn.GELU(form)), CE, sgd()), LABELS) for form in ("none", "tanh")},
    **{
        f"a layer {name}": (training(lambda make=make: mlp(make())(), CE, sgd()), LABELS)  # a new one for each run
        for name, make in {
            "LayerNorm": lambda: nn.LayerNorm(16),
            "RMSNorm": lambda: nn.RMSNorm(16),
            "BatchNorm1d": lambda: nn.BatchNorm1d(16),
            "BatchNorm1d(momentum=None)": lambda: nn.BatchNorm1d(16, momentum=None),
        }.items()
    },
    "dropout, a function": (training(mlp(Function(lambda x: F.dropout(x, 0.25))), CE, sgd()), LABELS),
    "logsigmoid, a function": (training(mlp(Function(F.logsigmoid)), CE, sgd()), LABELS),
    "attention": (training(Attending, CE, sgd()), LABELS),
    "rows of a table": (training(lambda: LookingUp(5), CE, sgd()), LABELS),
    "a loss of one example": (training(mlp(nn.ReLU()), lambda z, y: CE(z[0], y[0]), sgd()), LABELS),
    "zeroed gradients": (
        training(mlp(nn.ReLU()), CE, sgd(momentum=0.9), zero_grad=lambda o: o.zero_grad(set_to_none=False)),
        LABELS,
    ),
    **{
        f"SGD({options})": (training(mlp(nn.ReLU()), CE, sgd(**options)), LABELS)
        for options in ({"momentum": 0.9}, {"momentum": 0.9, "nesterov": True}, {"momentum": 0.5, "weight_decay": 0.1})
    },
    **{
        kind.__name__: (training(mlp(nn.ReLU()), CE, lambda p, kind=kind: kind(p, lr=0.01, weight_decay=0.1)), LABELS)
        for kind in (nn.optim.Adam, nn.optim.AdamW)
    },
    "gradients that add up": (training(mlp(nn.ReLU()), CE, sgd(momentum=0.9), zero_grad=None), LABELS),
    "clipped norm": (training(mlp(nn.ReLU()), CE, sgd(), clip=lambda p: nn.clip_grad_norm(p, 0.1)), LABELS),
    "clipped values": (training(mlp(nn.ReLU()), CE, sgd(), clip=lambda p: nn.clip_grad_value(p, 0.01)), LABELS),
    "many classes": (
        training(lambda: nn.Linear(20, 300), CE, sgd()),
        RANDOM.integers(0, 300, (7, 12)).astype(np.uint16),
    ),
    "half precision": (
        training(
            lambda: nn.Sequential(nn.Linear(20, 5)),
            lambda z, y: CE(z.astype(np.float16), y),
            lambda p: nn.optim.Adam(p, weight_decay=0.1),
        ),
        LABELS,
    ),
}
every_training = pytest.mark.parametrize("name", TRAININGS)


def state_of(loss, network, updates):
    gradients = [p.grad for p in network.parameters()]
    return exactly([loss.data, network.state_dict(), gradients, updates.state_dict(), tg.get_rng_state()])


@every_training
def test_every_loss_layer_and_optimizer(name):
    make, targets = TRAININGS[name]
    runs = []
    for wrap in (lambda step: step, tg.compiled):
        step, network, updates = make()
        step = wrap(step)
        runs.append([state_of(step(x, y), network, updates) for x, y in zip(X, targets, strict=True)])
    assert runs[0] == runs[1]
    assert step.why_eager is None
    assert step.program is not None


@every_training
def test_the_text_alone_computes_the_same(name):
    make, targets = TRAININGS[name]
    step, network, _ = make()
    step = tg.compiled(step)
    for x, y in zip(X[:-1], targets[:-1], strict=True):
        step(x, y)
    given = {key: np.copy(x) if hasattr(x, "shape") else x for key, x in step.program.given().items()}
    given |= {"x": X[-1], "y": targets[-1], "generator": copy.deepcopy(tg.random.random_generator())}
    with np.errstate(all="ignore"):
        exec(str(step.program), given)
    step(X[-1], targets[-1])
    for p in network.parameters():
        path = p.name.replace(".", "_")
        name_of_data = f"model_{path}" if path[0].isdigit() else path
        assert exactly([given[name_of_data], given[f"grad_{path}"]]) == exactly([p.data, p.grad])


OPERATIONS = {
    "add": lambda a, b: a + b,
    "multiply": lambda a, b: a * b,
    "subtract": lambda a, b: a - b * 0.5,
    "matmul": lambda a, b: a @ b,
    "maximum": tg.maximum,
    "tanh": lambda a, b: tg.tanh(a),
    "square": lambda a, b: a**2,
    "softmax": lambda a, b: tg.softmax(a, axis=0) + b.T,
    "sum": lambda a, b: a.sum(axis=0) + b,
    "mean": lambda a, b: b.mean(axis=1, keepdims=True) * a,
    "take": lambda a, b: a[np.array([2, 0, 2])] + b,
    "slice": lambda a, b: tg.concatenate([a[1:], b[:1]]),
    "where": lambda a, b: tg.where(a.data > 0, a, b),
    "relu": lambda a, b: tg.relu(a - 0.1),
    "detach": lambda a, b: a.detach() * b,
    "same": lambda a, b: a * a * b,
}


@given(
    names=st.lists(st.tuples(st.sampled_from(list(OPERATIONS)), st.integers(0, 99), st.integers(0, 99)), max_size=12),
    dtype=st.sampled_from([np.float32, np.float64]),
    momentum=st.sampled_from([0.0, 0.9]),
    seed=st.integers(0, 2**32 - 1),
)
def test_random_steps(names, dtype, momentum, seed):
    draws = np.random.default_rng(seed).normal(size=(6, 3, 3)).astype(dtype)
    runs = []
    for wrap in (lambda step: step, tg.compiled):
        w, v = (nn.Parameter(draws[i]) for i in (0, 1))
        updates = nn.optim.SGD([w, v], lr=0.01, momentum=momentum)

        def step(x, w=w, v=v, updates=updates):
            values = [tg.Tensor(x), w, v]
            for name, i, j in names:
                values.append(OPERATIONS[name](values[i % len(values)], values[j % len(values)]))
            loss = (values[-1] * w).sum() + v.sum()
            updates.zero_grad()
            loss.backward()
            updates.step()
            return loss, values[-1]

        program, run = wrap(step), []
        for x in draws:
            results = program(x)
            run.append(exactly([[r.data for r in results], w.data, v.data, w.grad, v.grad, updates.state_dict()]))
        runs.append(run)
    assert runs[0] == runs[1]
