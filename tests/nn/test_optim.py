"""Optimizers are their formulas and PyTorch's steps, allocate nothing, and go on from a state dict to the last bit."""

import copy
import json
import math
import re
import tracemalloc

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import of_the_wing
from tinygrad_sm import CheckpointError, GradientError, nn
from tinygrad_sm.nn.optim import SGD, Adam, AdamW

KINDS = [
    (SGD, {"lr": 0.1}),
    (SGD, {"lr": 0.1, "weight_decay": 0.1}),
    (SGD, {"lr": 0.1, "momentum": 0.9}),
    (SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.1}),
    (SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    (SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.1}),
    (Adam, {}),
    (Adam, {"lr": 0.1, "betas": (0.8, 0.95), "eps": 1e-3}),
    (Adam, {"lr": 0.1, "weight_decay": 0.1}),
    (Adam, {"lr": 0.1, "betas": (0.0, 0.0)}),
    (AdamW, {}),
    (AdamW, {"lr": 0.1, "betas": (0.8, 0.95), "eps": 1e-3, "weight_decay": 0.1}),
    (AdamW, {"lr": 0.1, "weight_decay": 0.0}),
]
every_kind = pytest.mark.parametrize(
    ("kind", "options"), KINDS, ids=[f"{kind.__name__}({', '.join(options)})" for kind, options in KINDS]
)


def by_hand_of_sgd(theta, gradients, lr, momentum=0.0, nesterov=False, weight_decay=0.0):
    """Unroll the formulas of SGD's docstring for one number."""
    v = 0.0
    for g in gradients:
        g = g + weight_decay * theta
        v = momentum * v + g
        theta = theta - lr * (g + momentum * v if nesterov else v)
    return theta


def by_hand_of_adam(theta, gradients, lr=0.001, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0, decoupled=False):
    """Unroll the formulas of Adam's docstring, or of AdamW's, for one number."""
    beta1, beta2 = betas
    m = v = 0.0
    for t, g in enumerate(gradients, 1):
        if decoupled:
            theta = theta - lr * weight_decay * theta
        else:
            g = g + weight_decay * theta
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        theta = theta - lr * (m / (1 - beta1**t)) / (math.sqrt(v / (1 - beta2**t)) + eps)
    return theta


BY_HAND = {
    SGD: by_hand_of_sgd,
    Adam: by_hand_of_adam,
    AdamW: lambda theta, gradients, weight_decay=0.01, **options: by_hand_of_adam(
        theta, gradients, weight_decay=weight_decay, decoupled=True, **options
    ),
}


def draws(*shape):
    return np.random.default_rng(0).standard_normal(shape)


@every_kind
def test_five_steps_are_the_formulas(kind, options):
    theta, gradients = draws(2, 3), draws(5, 2, 3)[::-1]
    w, untouched = nn.Parameter(theta.copy()), nn.Parameter([1.0])
    optimizer = kind([w, untouched], **options)
    data = w.data
    for g in gradients:
        optimizer.zero_grad()
        (w * g).sum().backward()
        optimizer.step()
        np.testing.assert_array_equal(w.grad, g)
    assert w.data is data
    expected = [BY_HAND[kind](theta[i], list(gradients[:, *i]), **options) for i in np.ndindex(2, 3)]
    np.testing.assert_allclose(w.data.ravel(), expected, rtol=1e-13)
    assert untouched.tolist() == [1]  # it had no gradient
    optimizer.lr = 0.0
    before = w.data.copy()
    optimizer.step()
    np.testing.assert_array_equal(w.data, before)


@every_kind
def test_fifty_steps_are_pytorchs(kind, options):
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(1)
    ours = [nn.Parameter(random.standard_normal(shape)) for shape in ((4, 3), (3,), (2,))]
    theirs = [torch.nn.Parameter(torch.tensor(p.data)) for p in ours]
    groups = [[{"params": p[:1]}, {"params": p[1:], "lr": 0.03}] for p in (ours, theirs)]
    optimizer, other = kind(groups[0], **options), getattr(torch.optim, kind.__name__)(groups[1], **options)
    for _ in range(50):
        for p, q in zip(ours, theirs, strict=True):
            p.grad = random.standard_normal(p.shape) if random.random() < 0.8 else None
            q.grad = None if p.grad is None else torch.tensor(p.grad)
        optimizer.step()
        other.step()
    for p, q in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(p.data, q.detach().numpy(), rtol=1e-12, atol=1e-12)


def test_defaults_are_pytorchs():
    torch = pytest.importorskip("torch")
    for kind in (SGD, Adam, AdamW):
        (group,) = kind([nn.Parameter(1.0)]).param_groups
        (other,) = getattr(torch.optim, kind.__name__)([torch.nn.Parameter(torch.ones(1))]).param_groups
        for name, value in group.items():
            if name != "params":
                assert value == (list(other[name]) if name == "betas" else other[name]), (kind, name)


@of_the_wing
@every_kind
def test_steps_allocate_nothing_after_the_first(kind, options):
    w = nn.Parameter(np.ones((500, 500)))  # beside which Python's own few kB are nothing
    w.grad = np.ones((500, 500))
    optimizer = kind([w], **options)
    optimizer.step()
    tracemalloc.start()
    optimizer.step()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < w.data.nbytes / 100


@every_kind
def test_dtypes_and_gradients_stay(kind, options):
    w = nn.Parameter(np.asfortranarray(draws(4, 3).astype(np.float32)))
    w.grad = draws(4, 3)  # of another dtype than backward() would leave
    w.grad.flags.writeable = False
    optimizer = kind([w], **{**options, "lr": np.float64(0.1)})
    for _ in range(2):
        optimizer.step()
    assert w.data.dtype == np.float32
    for values in optimizer.state_dict()["state"][0].values():
        assert isinstance(values, int) or values.dtype == np.float32


@pytest.mark.parametrize("kind", [SGD, Adam, AdamW])
def test_a_step_with_an_unfit_gradient_changes_nothing(kind):
    v, w = nn.Parameter([1.0, 2.0]), nn.Parameter(np.ones((2, 3)))
    optimizer = kind([v, w], lr=0.1)
    for wrong in (np.ones(3), tg.ones(2, 3), 1.0, np.ones((2, 3), complex)):
        v.grad, w.grad = np.ones(2, np.float32), wrong
        with pytest.raises(ValueError, match=r"step: expected the grad of a parameter .* like float\d\d \(2, 3\), got"):
            optimizer.step()
        assert v.tolist() == [1, 2]


@pytest.mark.parametrize("kind", [SGD, Adam, AdamW])
def test_a_step_makes_graphs_stale(kind):
    w = nn.Parameter([1.0])
    loss = w * w
    w.grad = np.array([1.0], np.float32)
    kind([w], lr=0.1).step()
    with pytest.raises(GradientError, match="was changed"):
        loss.backward()


def test_adams_count_is_each_parameters_own():
    early, late = nn.Parameter(1.0), nn.Parameter(1.0)
    optimizer = Adam([early, late], lr=0.5)
    early.grad = np.array(3.0)
    optimizer.step()
    late.grad = np.array(3.0)
    early.grad = None
    optimizer.step()
    assert early.item() == late.item() == pytest.approx(0.5)  # both made one first step, which is lr long
    assert [state["step"] for state in optimizer.state_dict()["state"]] == [1, 1]


def test_groups_have_options_of_their_own():
    body, head = nn.Linear(3, 2), nn.Parameter([1.0])
    optimizer = SGD([{"params": body.parameters(), "lr": 0.5, "momentum": 0.9}, {"params": [head]}], lr=0.25)
    assert [(len(g["params"]), g["lr"], g["momentum"]) for g in optimizer.param_groups] == [(2, 0.5, 0.9), (1, 0.25, 0)]
    with pytest.raises(ValueError, match=re.escape("lr: the groups have different ones, [0.5, 0.25]: read them from")):
        _ = optimizer.lr
    before = body.weight.data.copy()
    body.weight.grad, head.grad = np.ones((2, 3), np.float32), np.ones(1, np.float32)
    optimizer.step()
    np.testing.assert_array_equal(body.weight.data, before - np.float32(0.5))
    assert head.tolist() == [0.75]
    optimizer.lr = 0.125
    assert [g["lr"] for g in optimizer.param_groups] == [0.125, 0.125]
    assert optimizer.lr == 0.125
    optimizer.param_groups[1]["lr"] = 0.5
    optimizer.step()
    assert head.tolist() == [0.25]
    for wrong, error in ((-1.0, ValueError), (np.nan, ValueError), (np.inf, ValueError), ("0.1", TypeError)):
        with pytest.raises(error, match="SGD: expected lr to be a finite number of at least 0, got "):
            optimizer.lr = wrong
    assert [g["lr"] for g in optimizer.param_groups] == [0.125, 0.5]
    optimizer.zero_grad()
    assert body.weight.grad is None
    assert head.grad is None


@every_kind
def test_frozen_parameters_are_passed_over_and_may_learn_later(kind, options):
    frozen, other = nn.Parameter([1.0], requires_grad=False), nn.Parameter([1.0])
    optimizer = kind([frozen, other], **options)
    for p in (frozen, other):
        p.grad = np.ones(1, np.float32)
    optimizer.step()
    assert frozen.tolist() == [1] != other.tolist()
    assert optimizer.state_dict()["state"][0] == {}
    frozen.requires_grad_()
    optimizer.step()
    alone = nn.Parameter([1.0])
    alone.grad = np.ones(1, np.float32)
    kind([alone], **options).step()
    assert frozen.tolist() == alone.tolist()
    other.requires_grad_(False)
    before = other.tolist()
    optimizer.step()
    assert other.tolist() == before


def replaced(groups):
    groups[0] = {**groups[0], "lr": 1.0}


def test_groups_cannot_be_added_or_replaced():
    """What a step would not follow is no silent mistake."""
    for change in (
        replaced,
        lambda groups: groups.append(
            {"params": [W], "lr": 1.0, "momentum": 0.0, "nesterov": False, "weight_decay": 0.0}
        ),
        lambda groups: groups[0].update(params=(*groups[0]["params"], W)),
    ):
        w = nn.Parameter([1.0])
        optimizer = copy.deepcopy(SGD([w], lr=0.5))
        change(optimizer.param_groups)
        for action in (optimizer.step, optimizer.state_dict):
            with pytest.raises(ValueError, match="SGD: expected in param_groups the groups and parameters that it was"):
                action()


def train(model, optimizer, gradients):
    for g in gradients:
        for p, values in zip(model.parameters(), np.split(g, [6]), strict=True):
            p.grad = values.reshape(p.shape).astype(np.float32)
        optimizer.step()


def as_saved(state):
    """Return the state after its values went through JSON; the arrays stay arrays."""
    if isinstance(state, dict):
        return {name: as_saved(value) for name, value in state.items()}
    if isinstance(state, list):
        return [as_saved(value) for value in state]
    return state if isinstance(state, np.ndarray) else json.loads(json.dumps(state))


@every_kind
def test_a_loaded_optimizer_goes_on_to_the_last_bit(kind, options):
    gradients = draws(10, 8)
    model = nn.Linear(3, 2)
    optimizer = kind([{"params": [model.weight], "lr": 0.3}, {"params": [model.bias]}], **options)
    train(model, optimizer, gradients[:5])
    optimizer.param_groups[0]["lr"] = 0.2
    parameters, state = model.state_dict(), as_saved(optimizer.state_dict())
    kept = copy.deepcopy(state)
    train(model, optimizer, gradients[5:])
    for name, value in kept["state"][0].items():  # later steps did not change the state
        np.testing.assert_array_equal(value, state["state"][0][name])

    resumed = nn.Linear(3, 2)
    other = kind([{"params": [resumed.weight]}, {"params": [resumed.bias]}])
    for steps_before in (0, 3):  # into a new optimizer, and into one that has a past of its own
        train(resumed, other, gradients[:steps_before])
        resumed.load_state_dict(parameters)
        other.load_state_dict(state)
        train(resumed, other, gradients[5:])
        for p, q in zip(model.parameters(), resumed.parameters(), strict=True):
            np.testing.assert_array_equal(p.data, q.data)
    for name, value in kept["state"][0].items():  # nor did the other's
        np.testing.assert_array_equal(value, state["state"][0][name])


@pytest.mark.parametrize("kind", [SGD, Adam])
def test_a_state_from_before_the_first_step_forgets(kind):
    w, expected = nn.Parameter([1.0, 2.0]), nn.Parameter([1.0, 2.0])
    options = {"momentum": 0.9} if kind is SGD else {}
    optimizer, fresh = kind([w], lr=0.1, **options), kind([expected], lr=0.1, **options)
    w.grad = expected.grad = np.array([1.0, -2.0], np.float32)
    state = optimizer.state_dict()
    optimizer.step()
    w.assign(expected)
    optimizer.load_state_dict(state)
    optimizer.step()
    fresh.step()
    np.testing.assert_array_equal(w.data, expected.data)


def test_a_state_that_does_not_fit_changes_nothing_and_lists_all_differences():
    def adam(*shapes, kind=Adam, **options):
        parameters = [nn.Parameter(np.ones(shape, np.float32)) for shape in shapes]
        optimizer = kind(parameters, **options)
        for p in parameters:
            p.grad = np.ones(p.shape, np.float32)
        optimizer.step()
        return optimizer

    optimizer = adam((2, 3), (2,))
    before = optimizer.state_dict()
    state = copy.deepcopy(before)
    state["optimizer"] = "AdamW"
    state["surplus"] = None
    del state["param_groups"][0]["eps"]
    state["param_groups"][0]["lr"] = "fast"
    state["state"][0]["mean"] = np.ones((3, 2), np.float32)
    state["state"][0]["step"] = 1.5
    state["state"][1]["mean_square"] = np.ones(2)
    state["state"][1]["velocity"] = state["state"][1].pop("mean")
    cases = [
        (
            state,
            [
                "optimizer: expected 'Adam', got 'AdamW'",
                "param_groups[0].lr: expected float, got str 'fast'",
                "param_groups[0].eps: missing",
                "state[0].step: expected int, got float 1.5",
                "state[0].mean: expected float32 (2, 3), got float32 (3, 2)",
                "state[1].mean: missing",
                "state[1].mean_square: expected float32 (2,), got float64 (2,)",
                "state[1].velocity: unexpected",
                "surplus: unexpected",
            ],
        ),
        (
            adam((2, 3)).state_dict(),
            ["param_groups[0].params: expected 2 of them, got 1", "state: expected 2 of them, got 1"],
        ),
        ({**before, "state": before["state"][0]}, ["state: expected a list, got dict"]),
        ({**before, "state": [np.ones(2), {}]}, ["state[0]: expected a dict, got float64 (2,)"]),
        ([], ["expected a dict, got list"]),
        (
            {
                **before,
                "param_groups": [{**before["param_groups"][0], "lr": np.nan}],
                "state": [{**before["state"][0], "step": -1}, {}],
            },
            [
                "param_groups[0]: Adam: expected lr to be a finite number of at least 0, got nan",
                "state[0]: expected step to be an integer from 0 to 9007199254740992, got -1",
            ],
        ),
        (
            {**before, "param_groups": [{**before["param_groups"][0], "betas": [0.9, 1.0]}]},
            ["param_groups[0]: Adam: expected betas below 1, got [0.9, 1.0]"],
        ),
    ]
    for wrong, lines in cases:
        with pytest.raises(CheckpointError) as raised:
            optimizer.load_state_dict(wrong)
        head, *found = str(raised.value).splitlines()
        assert head == "the state does not fit Adam:"
        assert len(found) == len(lines)
        for line, expected in zip(found, lines, strict=True):
            assert line.startswith(f"  {expected}")
        assert repr(optimizer.state_dict()) == repr(before)


W = nn.Parameter([1.0])


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: SGD([W], 0.1, 0.9, 0.1), TypeError, "takes from 2 to 4 positional arguments but 5 were given"),
        (lambda: SGD([{"params": W}]), TypeError, "got one Tensor: put it in a list"),
        (lambda: SGD([{"params": []}]), ValueError, "expected parameters, got none"),
        (
            lambda: SGD([{"params": [W]}, W]),
            TypeError,
            r'every group to be a dict with "params", got float32 \(1,\) in place 1',
        ),
        (lambda: SGD([{"lr": 1.0}]), TypeError, 'every group to be a dict with "params", got dict .* in place 0'),
        (
            lambda: SGD([{"params": [W], "rate": 1.0}]),
            TypeError,
            "SGD: expected the options lr, momentum, .* got 'rate'",
        ),
        (lambda: SGD([{"params": [W]}, {"params": [W]}]), ValueError, "a parameter is given twice"),
        (
            lambda: SGD([{"params": [W], "lr": -1}]),
            ValueError,
            "SGD: expected lr to be a finite number of at least 0, got -1",
        ),
        (
            lambda: SGD([W], momentum=np.nan),
            ValueError,
            "SGD: expected momentum to be a finite number of at least 0, got nan",
        ),
        (
            lambda: SGD([W], weight_decay=None),
            TypeError,
            "SGD: expected weight_decay to be a finite number of at least 0, got NoneType None",
        ),
        (
            lambda: Adam([W], eps=-1e-8),
            ValueError,
            "Adam: expected eps to be a finite number of at least 0, got -1e-08",
        ),
        (lambda: Adam([W], betas=(0.9, 1.0)), ValueError, r"Adam: expected betas below 1, got \[0.9, 1.0\]"),
        (lambda: AdamW([W], betas=0.9), TypeError, "AdamW: expected betas to be two numbers, got float 0.9"),
        (
            lambda: AdamW([W], betas=("a", "b")),
            TypeError,
            "AdamW: expected each of betas to be a .* number .* got str 'a'",
        ),
        (lambda: AdamW([W.detach()]), ValueError, "AdamW: parameter 0, .*, requires no gradient: "),
    ],
)
def test_errors(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("options", [{"lr": 0.1}, {"lr": 0.1, "momentum": 0.9}])
def test_parameters_that_share_memory_fall_one_after_the_other(options):
    p = nn.Parameter(np.ones(4))
    q = p.detach().requires_grad_()
    p.grad = q.grad = np.ones(4)
    SGD([p, q], **options).step()
    np.testing.assert_allclose(p.data, 0.8)


@pytest.mark.parametrize("kind", [SGD, Adam, AdamW])
def test_an_infinite_parameter_stays_so_without_weight_decay(kind):
    p = nn.Parameter([1.0, np.inf])
    p.grad = np.ones(2, np.float32)
    optimizer = kind([p], lr=0.1, weight_decay=0)
    optimizer.step()
    np.testing.assert_allclose(p.data, [0.9, np.inf], rtol=1e-6)
    for value in optimizer.state_dict()["state"][0].values():
        assert np.isfinite(value).all()


def test_the_product_of_gradient_and_rate_is_rounded_and_neither_alone():
    for dtype, g, lr, expected in ((np.float16, 1e6, 1e-8, 1 - 0.01), (np.float32, 1e39, 1e-30, 1 - 1e9)):
        p = nn.Parameter(np.ones(2, dtype))
        p.grad = np.full(2, g, np.float32 if dtype is np.float16 else np.float64)
        SGD([p], lr=lr).step()
        np.testing.assert_allclose(p.data, expected, rtol=1e-3)


def test_an_array_of_another_shape_in_the_place_of_the_data():
    p, q = nn.Parameter(np.ones(3)), nn.Parameter(np.ones(2))
    optimizer = SGD([q, p], lr=0.1)
    for shape in ((3,), (5,), (5, 1), (1, 5)):
        p.data, p.grad, q.grad = np.ones(shape), np.ones(shape), np.ones(2)
        optimizer.step()
        np.testing.assert_allclose(p.data, np.full(shape, 0.9))
    np.testing.assert_allclose(q.data, 1 - 4 * 0.1)
