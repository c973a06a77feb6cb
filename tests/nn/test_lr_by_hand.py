"""A learning rate that is set by hand is never undone in silence: schedules go on from it, also after a resume."""

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


# (how it is made from a module that has PyTorch's names; its factor and offset after t steps, where base is not 0)
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
    for i, (first, by_hand) in enumerate([(0.4, 0.3), (0.1, 0.1)]):
        factor, offset = terms(t)
        after = (by_hand - offset) / factor
        expected = [(first if s <= t else after) * terms(s)[0] + terms(s)[1] for s in range(1, 11)]
        np.testing.assert_allclose([lr[i] for lr in rates], expected, rtol=1e-13)


@every_schedule
@pytest.mark.parametrize("t", [0, 1, 5, 7])
@pytest.mark.filterwarnings("ignore:The epoch parameter:UserWarning")
def test_the_rates_after_an_lr_by_hand_are_pytorchs(name, t):
    torch = pytest.importorskip("torch")
    make, _ = SCHEDULES[name]
    if name == "warm-up, then steps" and t < 2:
        pytest.skip("PyTorch forgets it when the next part begins")
    groups = [{"params": [torch.nn.Parameter(torch.ones(2))], "lr": rate} for rate in (0.4, 0.1)]
    settings = {t: [0.3, 0.2], 8: [0.05, 0.04]}
    theirs = rates_by_hand(torch.optim.lr_scheduler, make, torch.optim.SGD(groups), settings, 10)
    ours = rates_by_hand(nn.schedules, make, optimizer_of(0.4, 0.1), settings, 10)
    np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_a_new_schedule_begins_with_an_lr_that_is_set_by_hand():
    optimizer = optimizer_of(1.0)
    LinearLR(optimizer, 0.5)
    assert optimizer.lr == 0.5
    assert CosineAnnealingLR(optimizer, 10).base_lrs == [1.0]  # the 0.5 was the warm-up's
    optimizer.lr = 0.25
    schedule = StepLR(optimizer, 1, 0.5)
    assert (schedule.base_lrs, optimizer.lr) == ([0.25], 0.25)
    schedule.step()
    assert optimizer.lr == 0.125
    parts = [LinearLR(optimizer, 0.5, total_iters=2), StepLR(optimizer, 1, 0.5)]
    assert SequentialLR(optimizer, parts, [2]).optimizer.lr == 0.125  # half of the base that the parts have
    optimizer.lr = 3.0
    assert SequentialLR(optimizer, parts, [2]).base_lrs == [3.0]


def test_of_two_schedules_the_last_that_steps_has_its_way():
    optimizer = optimizer_of(1.0)
    steps, cosine = StepLR(optimizer, 1, 0.5), CosineAnnealingLR(optimizer, 4)
    steps.step()
    cosine.step()
    assert optimizer.lr == pytest.approx(math.cos(math.pi / 8) ** 2)
    steps.step()
    assert optimizer.lr == 0.25
    optimizer.lr = 0.5  # on the curve of steps, that is base 2
    steps.step()
    assert optimizer.lr == 0.25
    cosine.step()
    assert optimizer.lr == pytest.approx(2 * math.cos(math.pi / 4) ** 2)


@pytest.mark.parametrize(
    ("make", "steps", "lr"),
    [
        (lambda optimizer: CosineAnnealingLR(optimizer, 3), 3, 0.1),
        (lambda optimizer: LinearLR(optimizer, 1.0, 0.0, total_iters=2), 4, 0.1),
        (lambda optimizer: StepLR(optimizer, 1, gamma=0.0), 1, 0.1),
        (lambda optimizer: CosineAnnealingLR(optimizer, 10, eta_min=0.3), 5, 0.1),  # base would be below 0
        (lambda optimizer: StepLR(optimizer, 1, gamma=1e-200), 1, 1e200),  # base would be infinite
    ],
)
def test_an_lr_that_no_base_leads_to_is_refused_before_anything_changes(make, steps, lr):
    optimizer = optimizer_of(1.0, 2.0)
    schedule = make(optimizer)
    for _ in range(steps):
        schedule.step()
    optimizer.param_groups[1]["lr"] = lr
    before = optimizer.state_dict(), schedule.state_dict()
    message = f"no base leads to lr {lr}, set by hand, after {steps} steps of this schedule: make a new schedule, which"
    with pytest.raises(ValueError, match=message.replace("+", r"\+")):
        schedule.step()
    assert (optimizer.state_dict(), schedule.state_dict()) == before
    assert make(optimizer).base_lrs[1] == lr  # as the message says
    optimizer.param_groups[1]["lr"] = math.nan
    for action in (schedule.step, lambda: make(optimizer)):
        with pytest.raises(ValueError, match="expected lr as a finite number of at least 0, got nan"):
            action()


def test_an_lr_that_is_not_finite_is_refused_before_anything_changes():
    optimizer = optimizer_of(1.0, 1e300)
    schedule = StepLR(optimizer, 1, gamma=1e10)
    before = optimizer.state_dict(), schedule.state_dict()
    with pytest.raises(ValueError, match="StepLR: expected lr after 1 steps as a finite number of at least 0, got inf"):
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
    bad = [{"lr": -1.0, "initial_lr": math.nan, "scheduled_lr": 1.0}, {"lr": 1.0, "initial_lr": 10**400}]
    of_schedule = {**before[1], "last_epoch": 10**400, "T_max": -(10**5000), "param_groups": bad}
    bad[1]["scheduled_lr"] = 1.0
    with pytest.raises(CheckpointError) as raised:
        schedule.load_state_dict(of_schedule)
    number = "as a finite number of at least 0, got"
    assert str(raised.value).splitlines()[1:] == [
        "  last_epoch: expected an integer from 0 to 2**53, got one beyond it",
        "  CosineAnnealingLR: expected T_max as an integer from 1 to 2**53, got one beyond it",
        f"  param_groups[0]: expected lr {number} -1.0",
        f"  param_groups[0]: expected initial_lr {number} nan",
        f"  param_groups[1]: expected initial_lr {number} a number beyond the range of floats",
    ]
    wrong, other = (dict(group) for group in before[0]["param_groups"])
    groups = [{**wrong, "scheduled_lr": -1.0}, {**other, "initial_lr": math.inf}]
    with pytest.raises(CheckpointError) as raised:
        optimizer.load_state_dict({**before[0], "param_groups": groups})
    assert str(raised.value).splitlines()[1:] == [
        f"  param_groups[0]: SGD: expected scheduled_lr {number} -1.0",
        f"  param_groups[1]: SGD: expected initial_lr {number} inf",
    ]
    del wrong["initial_lr"]
    with pytest.raises(CheckpointError, match=r"param_groups\[0\].initial_lr: missing"):
        optimizer.load_state_dict({**before[0], "param_groups": [wrong, other]})
    assert (optimizer.state_dict(), schedule.state_dict()) == before
