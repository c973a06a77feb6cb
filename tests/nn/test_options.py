"""Options and bounds are numbers that a float can hold, or nothing changes; float16 parameters learn as others do."""

import math
import re
import tracemalloc

import numpy as np
import pytest

from tests.helpers import of_the_wing
from tinygrad_sm import CheckpointError, nn
from tinygrad_sm.nn.optim import SGD, Adam, AdamW
from tinygrad_sm.nn.schedules import CosineAnnealingLR, LinearLR, SequentialLR, StepLR


def with_gradient(values=(1.0, 2.0)):
    w = nn.Parameter(np.ones(len(values), np.float32))
    w.grad = np.array(values, np.float32)
    return w


OPTIMIZER = SGD([with_gradient()], lr=1.0)
FINITE = {
    "lr": lambda x: SGD([with_gradient()], lr=x),
    "momentum": lambda x: SGD([with_gradient()], momentum=x),
    "weight_decay": lambda x: Adam([with_gradient()], weight_decay=x),
    "eps": lambda x: AdamW([with_gradient()], eps=x),
    "each of betas": lambda x: Adam([with_gradient()], betas=(0.5, x)),
    "gamma": lambda x: StepLR(OPTIMIZER, 2, x),
    "eta_min": lambda x: CosineAnnealingLR(OPTIMIZER, 2, x),
    "end_factor": lambda x: LinearLR(OPTIMIZER, 0.5, x),
}
BOUNDS = {
    "max_norm": lambda x: nn.clip_grad_norm([with_gradient()], x),
    "clip_value": lambda x: nn.clip_grad_value([with_gradient()], x),
}
HUGE = [
    (10**400, ValueError, "an integer of too many digits"),
    pytest.param(10**5000, ValueError, "an integer of too many digits", id="more digits than repr gives"),
    (True, TypeError, "bool True"),
    ("1", TypeError, "str '1'"),
    (None, TypeError, "NoneType None"),
    (-0.5, ValueError, "-0.5"),
    (math.nan, ValueError, "nan"),
]


@pytest.mark.parametrize("name", FINITE)
@pytest.mark.parametrize(("value", "error", "got"), [*HUGE, (math.inf, ValueError, "inf")])
def test_an_option_is_a_finite_number(name, value, error, got):
    with pytest.raises(error, match=re.escape(f"expected {name} to be a finite number of at least 0, got {got}")):
        FINITE[name](value)


@pytest.mark.parametrize("name", BOUNDS)
@pytest.mark.parametrize(("value", "error", "got"), HUGE)
def test_a_bound_is_a_number(name, value, error, got):
    with pytest.raises(error, match=re.escape(f"expected {name} to be a number of at least 0, got {got}")):
        BOUNDS[name](value)


def test_an_infinite_bound_clips_nothing():
    w = with_gradient([3.0, 4.0])
    assert nn.clip_grad_norm([w], math.inf).item() == 5
    nn.clip_grad_value([w], math.inf)
    assert w.grad.tolist() == [3, 4]


@pytest.mark.parametrize("value", [np.float64(0.5), np.float32(0.5), np.float16(0.5), 0])
def test_numbers_of_other_kinds_are_taken_as_floats(value):
    for make in (FINITE[name] for name in ("lr", "eps", "each of betas", "gamma")):
        make(value)
    optimizer = SGD([with_gradient()], lr=value)
    assert type(optimizer.lr) is float
    optimizer.param_groups[0]["lr"] = value
    optimizer.step()
    assert type(optimizer.lr) is float


@pytest.mark.parametrize(
    "make",
    [
        lambda x: StepLR(OPTIMIZER, x),
        lambda x: CosineAnnealingLR(OPTIMIZER, x),
        lambda x: LinearLR(OPTIMIZER, total_iters=x),
    ],
)
def test_a_count_is_an_integer_that_floats_hold(make):
    for value, error, got in (
        (10**400, ValueError, "an integer of too many digits"),
        (True, TypeError, "bool True"),
        (1.0, TypeError, "float 1.0"),
    ):
        with pytest.raises(error, match=f"to be an integer from 1 to {2**53}, got {got}"):
            make(value)
    make(np.int64(3)).step()
    part = StepLR(OPTIMIZER, 2)
    assert SequentialLR(OPTIMIZER, [part, part], [np.int32(2)]).milestones == [2]


@pytest.mark.parametrize(("kind", "name"), [(SGD, "momentum"), (Adam, "betas"), (AdamW, "lr")])
def test_a_step_with_an_option_that_was_set_wrong_changes_nothing(kind, name):
    first, second = with_gradient(), with_gradient()
    optimizer = kind([{"params": [first]}, {"params": [second]}], lr=0.1)
    optimizer.param_groups[1][name] = 10**400
    with pytest.raises((TypeError, ValueError), match=f"{kind.__name__}: expected {name}"):
        optimizer.step()
    assert first.tolist() == second.tolist() == [1, 1]


HALF = [(Adam, {}), (Adam, {"weight_decay": 0.1}), (AdamW, {}), (AdamW, {"weight_decay": 0.5})]


@pytest.mark.parametrize(("kind", "options"), HALF)
def test_adam_moves_float16_parameters_as_float32_ones(kind, options):
    random = np.random.default_rng(0)
    start = random.uniform(-1, 1, 200).astype(np.float16)
    scale = np.float16(10.0) ** random.integers(-7, 4, 200)  # from below what float16 can square to large
    half, single = nn.Parameter(start.copy()), nn.Parameter(start.astype(np.float32))
    optimizers = [kind([p], lr=0.01, **options) for p in (half, single)]
    for _ in range(10):
        half.grad = (random.standard_normal(200) * scale).astype(np.float16)
        single.grad = half.grad.astype(np.float32)
        half.grad.flags.writeable = False
        for optimizer in optimizers:
            optimizer.step()
    assert half.dtype == np.float16
    assert not np.allclose(half.data, start, atol=0.02)
    np.testing.assert_allclose(half.data, single.data, atol=10 * 2.0**-11)  # ten roundings of numbers around 1


@pytest.mark.parametrize("kind", [Adam, AdamW])
def test_a_gradient_of_0_leaves_float16_parameters(kind):
    w = nn.Parameter(np.ones(3, np.float16))
    w.grad = np.array([0.0, 1e-6, 1.0], np.float16)
    kind([w], lr=0.25, weight_decay=0.0).step()
    np.testing.assert_allclose(w.data, [1, 0.75, 0.75], atol=0.01)
    assert w.data[0] == 1


def test_the_decay_of_float16_parameters_is_rounded_once():
    start = np.linspace(-2, 2, 101).astype(np.float16)
    w = nn.Parameter(start.copy())
    w.grad = np.zeros(101, np.float16)
    AdamW([w], lr=0.5, weight_decay=0.0005).step()
    np.testing.assert_array_equal(w.data, (start.astype(np.float64) * 0.99975).astype(np.float16))


def test_what_is_remembered_of_float16_parameters():
    w = nn.Parameter(np.ones(3, np.float16))
    w.grad = np.full(3, 2.0**-20, np.float16)
    adam, sgd = Adam([w]), SGD([w], lr=0.5, momentum=0.5)
    for optimizer in (adam, sgd):
        optimizer.step()
    (state,) = adam.state_dict()["state"]
    assert (state["mean"].dtype, state["mean_square"].dtype) == (np.float32, np.float32)
    np.testing.assert_allclose(state["mean_square"], 0.001 * 2.0**-40, rtol=1e-6)
    velocity = sgd.state_dict()["state"][0]["velocity"]
    assert velocity.dtype == np.float16
    np.testing.assert_array_equal(velocity, w.grad)
    other = Adam([w])
    other.load_state_dict(adam.state_dict())
    assert other.state_dict()["state"][0]["mean"].dtype == np.float32
    old = {**state, "mean": state["mean"].astype(np.float16)}
    with pytest.raises(CheckpointError, match=r"state\[0\].mean: expected float32 \(3,\), got float16 \(3,\)"):
        adam.load_state_dict({**adam.state_dict(), "state": [old]})


@of_the_wing
@pytest.mark.parametrize(("kind", "options"), [*HALF, (SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1})])
def test_steps_of_float16_parameters_allocate_nothing_after_the_first(kind, options):
    w = nn.Parameter(np.ones(1_000_000, np.float16))
    w.grad = np.ones(1_000_000, np.float16)
    optimizer = kind([w], **options)
    optimizer.step()
    tracemalloc.start()
    optimizer.step()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < w.data.nbytes / 10  # NumPy converts some thousands of elements at a time


def test_the_norm_is_one_for_gradients_of_several_dtypes():
    mixed = [with_gradient([3.0, 0.0]), with_gradient([0.0, 4.0]), nn.Parameter(1.0)]
    mixed[1].grad = mixed[1].grad.astype(np.float64)
    norm = nn.clip_grad_norm(mixed, 10.0)
    assert (norm.item(), norm.dtype) == (5, np.float64)


@pytest.mark.parametrize("kind", [SGD, Adam, AdamW])
def test_a_step_is_whole_or_nothing_where_numpy_raises(kind):
    calm, small, large = with_gradient([1.0, 3.0]), with_gradient([1e-25, 1e-25]), with_gradient([3e38, 3e38])
    optimizer = kind([calm, small, large], lr=10.0)
    before = [w.tolist() for w in (calm, small, large)]
    try:
        with np.errstate(all="raise"):
            optimizer.step()
    except FloatingPointError:  # the plain form computes before it changes anything
        assert [w.tolist() for w in (calm, small, large)] == before
        assert optimizer.state_dict()["state"] == [{}, {}, {}]
    else:
        assert calm.tolist() != before[0]


@pytest.mark.parametrize("wrong", [np.float64(0.5), np.array(0.5), np.array([0.5, 0.5])])
def test_options_that_equal_the_old_ones_are_checked_too(wrong):
    w = with_gradient()
    optimizer = SGD([w], lr=0.5)
    optimizer.step()
    before = w.tolist()
    optimizer.param_groups[0]["lr"] = wrong
    if isinstance(wrong, np.float64):
        optimizer.step()
        assert type(optimizer.lr) is float
        return
    with pytest.raises(TypeError, match="SGD: expected lr to be a finite number"):
        optimizer.step()
    assert w.tolist() == before
