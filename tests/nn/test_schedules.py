"""Schedules are their formulas and PyTorch's learning rates, and go on from a state dict to the last bit."""

import copy
import json
import math
import re

import numpy as np
import pytest

from tinygrad_sm import CheckpointError, nn
from tinygrad_sm.nn.optim import SGD, Adam
from tinygrad_sm.nn.schedules import CosineAnnealingLR, LinearLR, SequentialLR, StepLR

COUNT = f"an integer from 1 to {2**53}"


def optimizer_of(*rates, kind=SGD):
    return kind([{"params": [nn.Parameter([1.0, 2.0])], "lr": rate} for rate in rates], lr=0.1)


def rates_of(schedule, steps):
    """Return the lr of each group before and after each step, as the optimizer has them."""
    rates = [[group["lr"] for group in schedule.optimizer.param_groups]]
    for _ in range(steps):
        schedule.step()
        rates.append([group["lr"] for group in schedule.optimizer.param_groups])
        assert schedule.get_last_lr() == rates[-1]
    return rates


def warm_up_and_cosine(module, optimizer):
    """Three steps of warm-up, eight down a cosine, and then steps of a half."""
    parts = [
        module.LinearLR(optimizer, 0.25, total_iters=3),
        module.CosineAnnealingLR(optimizer, 8, eta_min=0.01),
        module.StepLR(optimizer, 2, gamma=0.5),
    ]
    return module.SequentialLR(optimizer, parts, milestones=[3, 11])


# (how it is made, from a module that has PyTorch's names; lr after t steps)
SCHEDULES = {
    "step": (
        lambda module, optimizer: module.StepLR(optimizer, 3),
        lambda base, t: base * 0.1 ** math.floor(t / 3),
    ),
    "cosine": (
        lambda module, optimizer: module.CosineAnnealingLR(optimizer, 10, eta_min=0.02),
        lambda base, t: (base + 0.02) / 2 + (base - 0.02) / 2 * math.cos(math.pi * t / 10),
    ),
    "cosine to 0": (
        lambda module, optimizer: module.CosineAnnealingLR(optimizer, T_max=15),
        lambda base, t: base * math.cos(math.pi * t / 30) ** 2,
    ),
    "warm-up": (
        lambda module, optimizer: module.LinearLR(optimizer),
        lambda base, t: base * [1 / 3, 7 / 15, 9 / 15, 11 / 15, 13 / 15, 1][min(t, 5)],
    ),
    "decay": (
        lambda module, optimizer: module.LinearLR(optimizer, 1.0, 0.0, total_iters=12),
        lambda base, t: base * max(0, 12 - t) / 12,
    ),
    "warm-up, cosine, steps": (
        warm_up_and_cosine,
        lambda base, t: (
            base * (1 + t) / 4
            if t < 3
            else (base + 0.01) / 2 + (base - 0.01) / 2 * math.cos(math.pi * (t - 3) / 8)
            if t < 11
            else base * 0.5 ** ((t - 11) // 2)
        ),
    ),
}
every_schedule = pytest.mark.parametrize("name", SCHEDULES)


@every_schedule
def test_the_rates_are_the_formulas(name):
    make, formula = SCHEDULES[name]
    rates = rates_of(make(nn.schedules, optimizer_of(0.4, 0.05)), 15)
    np.testing.assert_allclose(rates, [[formula(0.4, t), formula(0.05, t)] for t in range(16)], rtol=1e-13, atol=1e-16)


@every_schedule
@pytest.mark.filterwarnings("ignore:.*lr_scheduler:UserWarning", "ignore:The epoch parameter:UserWarning")
def test_the_rates_are_pytorchs(name):
    torch = pytest.importorskip("torch")
    make, _ = SCHEDULES[name]
    groups = [{"params": [torch.nn.Parameter(torch.ones(2))], "lr": rate} for rate in (0.4, 0.05)]
    schedule = make(torch.optim.lr_scheduler, torch.optim.SGD(groups))
    expected = [schedule.get_last_lr()]
    for _ in range(15):
        schedule.optimizer.step() if hasattr(schedule, "optimizer") else None
        schedule.step()
        expected.append(schedule.get_last_lr())
    np.testing.assert_allclose(rates_of(make(nn.schedules, optimizer_of(0.4, 0.05)), 15), expected, rtol=1e-12)


@every_schedule
@pytest.mark.parametrize("kind", [SGD, Adam])
def test_a_resumed_run_is_the_same_to_the_last_bit(name, kind):
    make, _ = SCHEDULES[name]
    gradients = np.random.default_rng(0).standard_normal((15, 2)).astype(np.float32)

    def train(optimizer, schedule, gradients):
        (w,) = optimizer.param_groups[0]["params"]
        rates = []
        for g in gradients:
            w.grad = g
            optimizer.step()
            schedule.step()
            rates.append(optimizer.lr)
        return w, rates

    optimizer = optimizer_of(0.4, kind=kind)
    schedule = make(nn.schedules, optimizer)
    w, _ = train(optimizer, schedule, gradients[:7])
    data = w.data.copy()
    states = optimizer.state_dict(), json.loads(json.dumps(schedule.state_dict()))
    w, rates = train(optimizer, schedule, gradients[7:])

    for first in (0, 1):  # whichever is loaded first
        resumed = optimizer_of(0.123, kind=kind)
        other = make(nn.schedules, resumed)
        for loaded, state in sorted(
            zip((resumed, other), states, strict=True), key=lambda x: x[0] is other, reverse=first
        ):
            loaded.load_state_dict(state)
        resumed.param_groups[0]["params"][0].assign(data)
        v, resumed_rates = train(resumed, other, gradients[7:])
        assert resumed_rates == rates
        np.testing.assert_array_equal(v.data, w.data)


def test_the_state_sets_the_rates():
    optimizer = optimizer_of(1.0)
    schedule = StepLR(optimizer, 2, gamma=0.5)
    for _ in range(5):
        schedule.step()
    state = schedule.state_dict()
    expected = {"schedule": "StepLR(step_size=2, gamma=0.5)", "last_epoch": 5, "base_lrs": [1.0], "lrs": [0.25]}
    assert state == expected
    schedule.step()
    assert state == expected
    other = StepLR(optimizer_of(0.3), 2, gamma=0.5)
    other.load_state_dict(state)
    assert (other.last_epoch, other.base_lrs, other.optimizer.lr) == (5, [1.0], 0.25)
    other.base_lrs[0] = 3.0
    assert state == expected


def test_a_state_that_does_not_fit_changes_nothing():
    schedule, sequence = StepLR(optimizer_of(1.0), 2), warm_up_and_cosine(nn.schedules, optimizer_of(1.0))
    state = schedule.state_dict()
    for owner, wrong, lines in (
        (
            schedule,
            {**state, "schedule": "LinearLR()", "last_epoch": "x", "lrs": [1.0, 1.0], "base_lrs": [None], "more": 1},
            [
                "schedule: expected 'StepLR(step_size=2, gamma=0.1)', got 'LinearLR()'",
                "last_epoch: expected int, got str 'x'",
                "base_lrs[0]: expected float, got NoneType None",
                "lrs: expected 1 of them, got 2",
                "more: unexpected",
            ],
        ),
        (
            schedule,
            {**state, "last_epoch": -1},
            [f"state: expected last_epoch to be an integer from 0 to {2**53}, got -1"],
        ),
        (
            schedule,
            StepLR(optimizer_of(1.0), 3).state_dict(),
            ["schedule: expected 'StepLR(step_size=2, gamma=0.1)', got 'StepLR(step_size=3, gamma=0.1)'"],
        ),
        (sequence, state, [f"schedule: expected {repr(sequence)!r}, got 'StepLR(step_size=2, gamma=0.1)'"]),
    ):
        before = owner.state_dict()
        with pytest.raises(CheckpointError) as raised:
            owner.load_state_dict(wrong)
        assert str(raised.value).splitlines()[1:] == [f"  {line}" for line in lines]
        assert owner.state_dict() == before
    assert repr(sequence) == (
        "SequentialLR(schedulers=[LinearLR(start_factor=0.25, end_factor=1.0, total_iters=3), "
        "CosineAnnealingLR(T_max=8, eta_min=0.01), StepLR(step_size=2, gamma=0.5)], milestones=[3, 11])"
    )


def test_the_order_in_which_schedules_are_made_does_not_matter():
    rates = []
    for first in (0, 1):
        optimizer = optimizer_of(1.0)
        made = {}
        for kind in sorted((LinearLR, StepLR), key=lambda kind: kind is StepLR, reverse=first):
            made[kind] = kind(optimizer, 0.25) if kind is LinearLR else kind(optimizer, 2)
        rates.append(rates_of(SequentialLR(optimizer, [made[StepLR], made[LinearLR]], [3]), 6))
    assert rates[0] == rates[1]
    assert rates[0][0] == [1.0]


OPTIMIZER = optimizer_of(1.0)
PART = StepLR(OPTIMIZER, 2)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: StepLR([], 2), TypeError, "StepLR: expected an optimizer, got list"),
        (
            lambda: StepLR(OPTIMIZER, 0),
            ValueError,
            f"StepLR: expected step_size to be {COUNT}, got 0",
        ),
        (
            lambda: StepLR(OPTIMIZER, 2.5),
            TypeError,
            f"StepLR: expected step_size to be {COUNT}, got float 2.5",
        ),
        (
            lambda: StepLR(OPTIMIZER, 2, -0.1),
            ValueError,
            "StepLR: expected gamma to be a finite number of at least 0, got -0.1",
        ),
        (
            lambda: CosineAnnealingLR(OPTIMIZER, -1),
            ValueError,
            f"expected T_max to be {COUNT}, got -1",
        ),
        (
            lambda: CosineAnnealingLR(OPTIMIZER, 5, np.nan),
            ValueError,
            "expected eta_min to be a finite number of at least 0, got nan",
        ),
        (
            lambda: LinearLR(OPTIMIZER, "0.1"),
            TypeError,
            "LinearLR: expected start_factor to be a finite number of at least 0, got str '0.1'",
        ),
        (
            lambda: SequentialLR(OPTIMIZER, [], []),
            ValueError,
            "one milestone less than schedules, of which there are 0",
        ),
        (
            lambda: SequentialLR(OPTIMIZER, [PART], [1]),
            ValueError,
            re.escape("SequentialLR: expected one milestone less than schedules, of which there are 1, got [1]"),
        ),
        (
            lambda: SequentialLR(OPTIMIZER, [PART] * 3, [2, 2]),
            ValueError,
            re.escape("SequentialLR: expected milestones that rise, got [2, 2]"),
        ),
        (
            lambda: SequentialLR(OPTIMIZER, [PART] * 2, [True]),
            TypeError,
            f"SequentialLR: expected milestones to be {COUNT}, got bool True",
        ),
        (
            lambda: SequentialLR(OPTIMIZER, [PART] * 2, [10**5000]),
            ValueError,
            f"SequentialLR: expected milestones to be {COUNT}, got an integer of too many digits",
        ),
        (
            lambda: SequentialLR(OPTIMIZER, [PART, StepLR(optimizer_of(1.0), 2)], [2]),
            ValueError,
            "SequentialLR: expected schedules of the same optimizer, got another in place 1",
        ),
    ],
)
def test_errors(make, error, message):
    before = copy.deepcopy(OPTIMIZER.state_dict())
    with pytest.raises(error, match=message):
        make()
    assert OPTIMIZER.state_dict() == before
