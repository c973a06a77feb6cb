"""Schedules go on from a learning rate that is set by hand, as PyTorch's do, also after a resume."""

import json
import math

import numpy as np
import pytest

from tinygrad_sm import CheckpointError, nn
from tinygrad_sm.nn.optim import SGD
from tinygrad_sm.nn.schedules import CosineAnnealingLR, LinearLR, SequentialLR, StepLR


def optimizer_of(*rates):
    return SGD([{"params": [nn.Parameter([1.0])], "lr": rate} for rate in rates])


def rates_by_hand(module, make, optimizer, settings, steps):
    """Return the lr of each group after each step; before step t + 1, those in settings[t] are set by hand."""
    schedule = make(module, optimizer)
    rates = []
    for t in range(steps):
        for group, lr in zip(optimizer.param_groups, settings.get(t, ()), strict=t in settings):
            group["lr"] = lr
        if hasattr(optimizer, "state"):  # PyTorch warns of steps of a schedule before one of the optimizer
            optimizer.step()
        schedule.step()
        rates.append([group["lr"] for group in optimizer.param_groups])
    return rates


# (how it is made from a module that has PyTorch's names; its factor and offset after t steps)
SCHEDULES = {
    "step": (lambda module, optimizer: module.StepLR(optimizer, 3, 0.5), lambda t: (0.5 ** (t // 3), 0)),
    "exponential": (lambda module, optimizer: module.StepLR(optimizer, 1, 0.9), lambda t: (0.9**t, 0)),
    "cosine": (
        lambda module, optimizer: module.CosineAnnealingLR(optimizer, 12, eta_min=0.01),
        lambda t: ((1 + math.cos(math.pi * t / 12)) / 2, 0.01 * (1 - math.cos(math.pi * t / 12)) / 2),
    ),
    "warm-up": (
        lambda module, optimizer: module.LinearLR(optimizer, 0.25, total_iters=6),
        lambda t: (0.25 + 0.75 * min(t, 6) / 6, 0),
    ),
    "warm-up, then steps": (
        lambda module, optimizer: module.SequentialLR(
            optimizer, [module.LinearLR(optimizer, 0.5, total_iters=2), module.StepLR(optimizer, 3, 0.5)], [2]
        ),
        lambda t: ((0.5 + 0.25 * t) if t < 2 else 0.5 ** ((t - 2) // 3), 0),
    ),
}
every_schedule = pytest.mark.parametrize("name", SCHEDULES)


@every_schedule
@pytest.mark.parametrize("t", [0, 1, 5, 7])
def test_a_schedule_goes_on_from_an_lr_that_is_set_by_hand(name, t):
    make, terms = SCHEDULES[name]
    rates = rates_by_hand(nn.schedules, make, optimizer_of(0.4, 0.1), {t: [0.3, 0.1]}, 10)
    next_part = 2 if name == "warm-up, then steps" and t < 2 else 11  # it begins with its base again
    for i, (first, by_hand) in enumerate([(0.4, 0.3), (0.1, 0.1)]):
        factor, offset = terms(t)
        after = (by_hand - offset) / factor
        bases = [after if t < s < next_part else first for s in range(1, 11)]
        expected = [base * terms(s)[0] + terms(s)[1] for s, base in enumerate(bases, 1)]
        np.testing.assert_allclose([lr[i] for lr in rates], expected, rtol=1e-13)


@every_schedule
@pytest.mark.parametrize("t", [0, 1, 5, 7])
@pytest.mark.filterwarnings("ignore:The epoch parameter:UserWarning")
def test_the_rates_after_an_lr_by_hand_are_pytorchs(name, t):
    torch = pytest.importorskip("torch")
    make, _ = SCHEDULES[name]
    groups = [{"params": [torch.nn.Parameter(torch.ones(2))], "lr": rate} for rate in (0.4, 0.1)]
    settings = {t: [0.3, 0.2], 8: [0.05, 0.04]}
    theirs = rates_by_hand(torch.optim.lr_scheduler, make, torch.optim.SGD(groups), settings, 10)
    ours = rates_by_hand(nn.schedules, make, optimizer_of(0.4, 0.1), settings, 10)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_a_new_schedule_begins_with_the_lr_that_it_finds():
    optimizer = optimizer_of(1.0)
    LinearLR(optimizer, 0.5)
    assert CosineAnnealingLR(optimizer, 10).base_lrs == [0.5]
    optimizer.lr = 0.25
    schedule = StepLR(optimizer, 1, 0.5)
    assert (schedule.base_lrs, optimizer.lr) == ([0.25], 0.25)
    schedule.step()
    assert optimizer.lr == 0.125
    parts = [LinearLR(optimizer, 0.5, total_iters=2), StepLR(optimizer, 1, 0.5)]
    optimizer.lr = 3.0
    sequence = SequentialLR(optimizer, parts, [2])
    assert (sequence.base_lrs, optimizer.lr) == ([0.125], 0.0625)  # what the first part has found
    assert optimizer.state_dict()["param_groups"][0].keys() == {"lr", "momentum", "weight_decay", "nesterov", "params"}


def test_two_schedules_are_multiplied():
    optimizer = optimizer_of(1.0)
    halves, cosine = StepLR(optimizer, 1, 0.5), CosineAnnealingLR(optimizer, 4)
    for t in range(1, 4):
        halves.step()
        cosine.step()
        assert optimizer.lr == pytest.approx(0.5**t * math.cos(math.pi * t / 8) ** 2, rel=1e-14)


@pytest.mark.parametrize(
    ("make", "steps", "expected"),
    [
        (lambda optimizer: CosineAnnealingLR(optimizer, 3), 3, 2 * 0.25),
        (lambda optimizer: CosineAnnealingLR(optimizer, 3, eta_min=1.0), 3, 1 + 0.25),
        (lambda optimizer: LinearLR(optimizer, 0.0, 1.0, total_iters=2), 0, 2 * 0.5),
        (lambda optimizer: LinearLR(optimizer, 1.0, 0.0, total_iters=2), 4, 0),
        (lambda optimizer: StepLR(optimizer, 1, gamma=0.0), 1, 0),
    ],
)
def test_where_the_factor_is_0_the_base_counts(make, steps, expected):
    optimizer = optimizer_of(2.0)
    schedule = make(optimizer)
    for _ in range(steps):
        schedule.step()
    optimizer.lr = 0.1
    schedule.step()
    assert optimizer.lr == pytest.approx(expected, rel=1e-14)


def test_an_lr_that_was_set_wrong_is_refused_before_anything_changes():
    optimizer = optimizer_of(1.0, 2.0)
    schedule = StepLR(optimizer, 1)
    optimizer.param_groups[1]["lr"] = math.nan
    for action in (schedule.step, lambda: StepLR(optimizer, 1)):
        with pytest.raises(ValueError, match="expected lr to be a finite number of at least 0, got nan"):
            action()
        assert (optimizer.param_groups[0]["lr"], schedule.last_epoch) == (1.0, 0)


def test_an_lr_that_is_not_finite_is_refused_before_anything_changes():
    optimizer = optimizer_of(1.0, 1e300)
    schedule = StepLR(optimizer, 1, gamma=1e10)
    before = optimizer.state_dict(), schedule.state_dict()
    with pytest.raises(
        ValueError, match="StepLR: expected lr after 1 steps to be a finite number of at least 0, got inf"
    ):
        schedule.step()
    assert (optimizer.state_dict(), schedule.state_dict()) == before


def test_an_lr_of_0_stays():
    optimizer = optimizer_of(1.0)
    schedule = LinearLR(optimizer)
    optimizer.lr = 0
    schedule.step()
    assert optimizer.lr == 0


def finished(optimizer, *schedules, steps=4):
    rates = [optimizer.lr]
    for _ in range(steps):
        for schedule in schedules:
            schedule.step()
            rates.append(optimizer.lr)
    return rates


@every_schedule
@pytest.mark.parametrize("by_hand", [None, 0.3, np.float32(0.7), 1])
@pytest.mark.parametrize("order", ["optimizer first", "schedule first", "schedule made later", "schedule alone"])
def test_a_resumed_run_has_the_same_rates_to_the_last_bit(name, by_hand, order):
    make, _ = SCHEDULES[name]
    optimizer = optimizer_of(0.4)
    schedule = make(nn.schedules, optimizer)
    optimizer.lr = 0.6
    for _ in range(4):
        schedule.step()
    if by_hand is not None:
        optimizer.param_groups[0]["lr"] = by_hand
    mine, other = json.loads(json.dumps([optimizer.state_dict(), schedule.state_dict()]))
    expected = finished(optimizer, schedule)

    resumed = optimizer_of(0.123)
    if order == "schedule made later":
        resumed.load_state_dict(mine)
        later = make(nn.schedules, resumed)
    else:
        later = make(nn.schedules, resumed)
        resumed.param_groups[0]["lr"] = 2  # no float, but a number
    if order == "optimizer first":
        resumed.load_state_dict(mine)
    later.load_state_dict(other)
    if order == "schedule first":
        resumed.load_state_dict(mine)
    assert finished(resumed, later) == expected


def test_two_schedules_resume_in_any_order():
    def parts(lr):
        optimizer = optimizer_of(lr)
        return [optimizer, StepLR(optimizer, 2, 0.7), CosineAnnealingLR(optimizer, 9)]

    whole = parts(1.0)
    finished(*whole, steps=3)
    whole[1].step()  # whose lr it is now
    states = [part.state_dict() for part in whole]
    expected = finished(*whole)
    for order in ((0, 1, 2), (2, 1, 0), (1, 2, 0)):
        resumed = parts(0.2)
        for i in order:
            resumed[i].load_state_dict(states[i])
        assert finished(*resumed) == expected
    alone = parts(0.2)[0]
    alone.load_state_dict(states[0])
    assert alone.state_dict() == states[0]


def test_the_state_of_an_optimizer_without_schedule_counts_as_set_by_hand():
    state = optimizer_of(0.6).state_dict()
    assert state["param_groups"] == [
        {"lr": 0.6, "momentum": 0.0, "weight_decay": 0.0, "nesterov": False, "params": [0]}
    ]
    optimizer = optimizer_of(0.1)
    schedule = LinearLR(optimizer, 0.5, total_iters=2)
    optimizer.load_state_dict(state)
    assert optimizer.lr == 0.6
    schedule.step()
    assert optimizer.lr == pytest.approx(0.9)


def test_rates_that_no_lr_may_be_are_refused_with_all_differences():
    optimizer = optimizer_of(1.0, 2.0)
    schedule = CosineAnnealingLR(optimizer, 5)
    before = optimizer.state_dict(), schedule.state_dict()
    wrong = {"last_epoch": 10**400, "lrs": [-1.0, 1.0], "base_lrs": [math.nan, 10**400]}
    with pytest.raises(CheckpointError) as raised:
        schedule.load_state_dict({**before[1], **wrong})
    number, huge = "to be a finite number of at least 0, got", "an integer of too many digits"
    assert str(raised.value).splitlines()[1:] == [
        f"  state: expected last_epoch to be an integer from 0 to {2**53}, got {huge}",
        f"  state: expected base_lrs[0] {number} nan",
        f"  state: expected base_lrs[1] {number} {huge}",
        f"  state: expected lrs[0] {number} -1.0",
    ]
    assert (optimizer.state_dict(), schedule.state_dict()) == before


def test_a_training_with_a_schedule_that_version_0_1_saved_is_refused_with_the_reason():
    optimizer = optimizer_of(1.0)
    state = optimizer.state_dict()
    state["param_groups"][0] |= {"initial_lr": 1.0, "scheduled_lr": 1.0}
    with pytest.raises(
        CheckpointError, match=r"scheduled_lr: unexpected\n  tinygrad_sm 0\.1 saved it, with a schedule"
    ):
        optimizer.load_state_dict(state)


@pytest.mark.parametrize("inner_last", [False, True])
def test_a_sequence_in_a_sequence_begins_with_the_first_base(inner_last):
    optimizer = optimizer_of(1.0)
    warm_up = LinearLR(optimizer, 0.5, total_iters=2)
    if inner_last:
        halves = StepLR(optimizer, 2, 0.5)
    inner = SequentialLR(optimizer, [warm_up, StepLR(optimizer, 100)], [2])
    if not inner_last:
        halves = StepLR(optimizer, 2, 0.5)
    assert SequentialLR(optimizer, [inner, halves], [4]).base_lrs == [1.0]
    assert optimizer.lr == 0.5


def test_a_factor_beyond_floats_is_a_value_error():
    optimizer = optimizer_of(1e-300)
    schedule = StepLR(optimizer, 1, gamma=2.0)
    for _ in range(1023):
        schedule.step()
    with pytest.raises(ValueError, match="StepLR: expected lr after 1024 steps to be a finite number, got a factor"):
        schedule.step()
    assert schedule.last_epoch == 1023
