"""Schedules: learning rates that change as training goes on.

    schedule = CosineAnnealingLR(optimizer, T_max=epochs)
    for epoch in range(epochs):
        for x, labels in loader:
            ...
            optimizer.step()
        schedule.step()

A schedule sets the lr of every group of the optimizer when it is made, and again at each of its steps. It is a formula
for lr as a function of t, how often `step()` was called, and of base, the lr of the group before the first schedule was
made, so a run that is resumed at t goes on with the same numbers. Whether a step is an epoch or a batch is for the
caller to say. Names, formulas and defaults are PyTorch's.

An lr that was set by hand, as by `optimizer.lr = 0.05`, stands until the next step, which goes on from it: base becomes
that of which the formula makes this lr at this t, so where the formula is a factor, all further rates are scaled. If
there is none (the factor is 0, as at the end of a cosine), step() is a ValueError. A schedule that is made takes an lr
that was set by hand as its base.

All schedules of an optimizer share base, "initial_lr" of the group; "scheduled_lr" there is what one of them set last,
and any other lr was set by hand. Of two schedules, the one that steps last has its way, and a new one begins with base,
wherever the others are. `SequentialLR` makes one schedule of several.

PyTorch's schedules multiply the lr that they find. An lr set by hand comes to the same there, except that SequentialLR
forgets it when it is made and when a part ends, that a cosine forgets it after T_max, and that it stands where the
factor is 0. Two schedules are multiplied there, and a new one begins with the lr that it finds.
"""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral
from typing import Any

from tinygrad_sm.nn.groups import SCHEDULED, number_at_least_0, numbers_at_least_0
from tinygrad_sm.nn.optim import Optimizer
from tinygrad_sm.nn.states import check_state, refuse_state

MAX_COUNT = 2**53
"""The most that is counted: up to it, floats hold every integer."""


class Schedule:
    """What all schedules share: the count t, which is `last_epoch`, and the lr that follows from it.

    A kind of schedule says the formula (`rate`), and which values its options, attributes all, may have (`_checked`).
    The formula has the form factor(t) · base + offset(t), so that an lr set by hand can be traced back to its base.
    """

    def __init__(self, optimizer: Optimizer, **options: Any):
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(self).__name__}: expected an optimizer, got {type(optimizer).__name__}")
        checked = self._checked(options)
        bases = [
            group["initial_lr"] if group.get("scheduled_lr") == lr else lr
            for group, lr in zip(optimizer.param_groups, self._rates_of(optimizer), strict=True)
        ]
        vars(self).update(checked)
        self._names = tuple(options)
        self.optimizer = optimizer
        self._set_lr(bases, t=0)

    @property
    def base_lrs(self) -> list[float]:
        """The lr that each group of the optimizer has without schedules."""
        return [group["initial_lr"] for group in self.optimizer.param_groups]

    def rate(self, base: float, t: int) -> float:
        """Return the learning rate after t steps where it is `base` without a schedule."""
        raise NotImplementedError

    def _checked(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options as plain Python values, if they are what they may be."""
        raise NotImplementedError

    def step(self) -> None:
        """Count one more step, and set the lr of every group.

        Raises ValueError where an lr was set by hand and no base leads to it, or the next lr would not be finite;
        nothing is changed then.
        """
        groups, rates = self.optimizer.param_groups, self._rates_of(self.optimizer)
        bases = [self._base(group, lr) for group, lr in zip(groups, rates, strict=True)]
        self._set_lr(bases, self.last_epoch + 1)

    def _rates_of(self, optimizer: Optimizer) -> list[float]:
        """Return the lr of each group, if all are what they may be: by hand they can be set to anything."""
        return [numbers_at_least_0(type(self).__name__, group, "lr")["lr"] for group in optimizer.param_groups]

    def _base(self, group: dict[str, Any], lr: float) -> float:
        """Return the base of a group, from which the formula makes its lr."""
        if lr == group["scheduled_lr"]:
            return float(group["initial_lr"])
        offset = self.rate(0.0, self.last_epoch)
        factor = self.rate(1.0, self.last_epoch) - offset
        base = (lr - offset) / factor if factor else math.nan
        if not 0 <= base < math.inf:
            raise ValueError(
                f"{type(self).__name__}: no base leads to lr {lr}, set by hand, after {self.last_epoch} steps of this "
                f"schedule: make a new schedule, which begins with it, or step this one no more"
            )
        return base

    def _set_lr(self, bases: list[float], t: int) -> None:
        expected = f"{type(self).__name__}: expected lr after {t} steps"
        rates = [number_at_least_0(expected, self.rate(base, t)) for base in bases]
        self.last_epoch = t
        for group, base, lr in zip(self.optimizer.param_groups, bases, rates, strict=True):
            group |= {"lr": lr, "initial_lr": base, "scheduled_lr": lr}

    def get_last_lr(self) -> list[float]:
        """Return the lr of each group of the optimizer."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Return all that the next steps depend on: the class, the count, the options, and the rates of the groups.

        Under "param_groups" are the lr of each group and what schedules note there, as in the optimizer's state dict:
        whichever of the two is loaded, or in whatever order both, training goes on with them.
        """
        owner, groups = type(self).__name__, self.optimizer.param_groups
        rates = [numbers_at_least_0(owner, group, "lr", *SCHEDULED) for group in groups]
        return {**self._own_state(), "param_groups": rates}

    def _own_state(self) -> dict[str, Any]:
        """Return the state without what is the optimizer's."""
        options = {name: getattr(self, name) for name in self._names}
        return {"schedule": type(self).__name__, "last_epoch": self.last_epoch, **options}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where the schedule of a state dict was, with its options; the lr of every group is set to what it was.

        Raises CheckpointError with every difference if it is of another class or number of groups, or has options that
        the constructor refuses, or rates that no lr may be; the schedule and the optimizer are then as they were.
        """
        owner = type(self).__name__
        check_state(owner, self.state_dict(), state)
        refused = self._refused(state)
        for i, group in enumerate(state["param_groups"]):
            for name in group:
                refused += _why_refused(numbers_at_least_0, f"param_groups[{i}]", group, name)
        refuse_state(owner, refused)
        self._take_state(state)
        for group, rates in zip(self.optimizer.param_groups, state["param_groups"], strict=True):
            group |= numbers_at_least_0(owner, rates, *rates)

    def _refused(self, state: Mapping[str, Any]) -> list[str]:
        """Return why values of a state that is built like ours are refused, or nothing."""
        t = state["last_epoch"]
        wrong = [] if 0 <= t <= MAX_COUNT else [f"last_epoch: expected an integer from 0 to 2**53, got {_shown(t)}"]
        return wrong + _why_refused(self._checked, state)

    def _take_state(self, state: Mapping[str, Any]) -> None:
        vars(self).update(self._checked(state))
        self.last_epoch = state["last_epoch"]

    def _count(self, options: Mapping[str, Any], name: str) -> dict[str, int]:
        """Return this of the options as an int; raise unless it counts something."""
        value = options[name]
        expected = f"{type(self).__name__}: expected {name} as an integer from 1 to 2**53, got"
        if isinstance(value, bool) or not isinstance(value, Integral):
            raise TypeError(f"{expected} {value!r}")
        count = int(value)
        if not 1 <= count <= MAX_COUNT:
            raise ValueError(f"{expected} {_shown(count)}")
        return {name: count}


def _shown(count: int) -> str:
    """Return what messages say of an int, which may have more digits than a message should."""
    return str(count) if abs(count) <= MAX_COUNT else "one beyond it"


def _why_refused(check: Callable[..., Any], *arguments: Any) -> list[str]:
    """Return the message of the error that the check raises, or nothing."""
    try:
        check(*arguments)
    except (TypeError, ValueError) as error:
        return [str(error)]
    return []


class StepLR(Schedule):
    """lr = base · gamma^⌊t / step_size⌋: a factor gamma every step_size steps."""

    step_size: int
    gamma: float

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1):
        super().__init__(optimizer, step_size=step_size, gamma=gamma)

    def _checked(self, options: Mapping[str, Any]) -> dict[str, Any]:
        return self._count(options, "step_size") | numbers_at_least_0("StepLR", options, "gamma")

    def rate(self, base: float, t: int) -> float:
        """Return base · gamma^⌊t / step_size⌋."""
        return base * self.gamma ** (t // self.step_size)


class CosineAnnealingLR(Schedule):
    """lr = eta_min + (base − eta_min) · (1 + cos(π t / T_max)) / 2: half a cosine down, from base to eta_min at T_max.

    After T_max the cosine, and lr with it, rises again, as in PyTorch: to base, which is large if an lr was set by hand
    shortly before T_max. "SGDR: Stochastic Gradient Descent with Warm Restarts" (Loshchilov and Hutter, 2017), without
    the restarts.
    """

    T_max: int
    eta_min: float

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0):
        super().__init__(optimizer, T_max=T_max, eta_min=eta_min)

    def _checked(self, options: Mapping[str, Any]) -> dict[str, Any]:
        return self._count(options, "T_max") | numbers_at_least_0("CosineAnnealingLR", options, "eta_min")

    def rate(self, base: float, t: int) -> float:
        """Return eta_min + (base − eta_min) · (1 + cos(π t / T_max)) / 2."""
        return self.eta_min + (base - self.eta_min) * (1 + math.cos(math.pi * t / self.T_max)) / 2


class LinearLR(Schedule):
    """lr = base · (start_factor + (end_factor − start_factor) · min(t / total_iters, 1)): a linear warm-up.

    The first steps are small while the gradients still point anywhere. With end_factor below start_factor, a decay.
    """

    start_factor: float
    end_factor: float
    total_iters: int

    def __init__(
        self, optimizer: Optimizer, start_factor: float = 1 / 3, end_factor: float = 1.0, total_iters: int = 5
    ):
        super().__init__(optimizer, start_factor=start_factor, end_factor=end_factor, total_iters=total_iters)

    def _checked(self, options: Mapping[str, Any]) -> dict[str, Any]:
        factors = numbers_at_least_0("LinearLR", options, "start_factor", "end_factor")
        return factors | self._count(options, "total_iters")

    def rate(self, base: float, t: int) -> float:
        """Return base · (start_factor + (end_factor − start_factor) · min(t / total_iters, 1))."""
        return base * (self.start_factor + (self.end_factor - self.start_factor) * min(t / self.total_iters, 1))


class SequentialLR(Schedule):
    """One schedule after the other: the first up to milestones[0], the second, which counts from there, and so on.

    The parts are never stepped themselves. They are made before it and so change lr: it begins anew with base.

    >>> from tinygrad_sm.creation import Parameter
    >>> from tinygrad_sm.nn.optim import SGD
    >>> optimizer = SGD([Parameter(1.0)], lr=1.0)
    >>> warm_up = LinearLR(optimizer, start_factor=0.5, total_iters=2)
    >>> schedule = SequentialLR(optimizer, [warm_up, CosineAnnealingLR(optimizer, T_max=2)], milestones=[2])
    >>> [schedule.rate(1.0, t) for t in range(5)]
    [0.5, 0.75, 1.0, 0.5, 0.0]
    """

    milestones: list[int]

    def __init__(self, optimizer: Optimizer, schedulers: Iterable[Schedule], milestones: Iterable[int]):
        self.schedulers = list(schedulers)
        for i, schedule in enumerate(self.schedulers):
            if not isinstance(schedule, Schedule) or schedule.optimizer is not optimizer:
                raise ValueError(f"SequentialLR: expected schedules of the same optimizer, got another in place {i}")
        super().__init__(optimizer, milestones=list(milestones))

    def _checked(self, options: Mapping[str, Any]) -> dict[str, Any]:
        milestones = list(options["milestones"])
        if not all(isinstance(t, Integral) and not isinstance(t, bool) for t in milestones):
            raise TypeError(f"SequentialLR: expected milestones as integers, got {milestones}")
        if any(abs(t) > MAX_COUNT for t in milestones):
            raise ValueError("SequentialLR: expected milestones from 1 to 2**53, got one beyond it")
        if len(milestones) != len(self.schedulers) - 1:
            raise ValueError(
                f"SequentialLR: expected one milestone less than schedules, of which there are {len(self.schedulers)}, "
                f"got {milestones}"
            )
        if not all(t > last for last, t in zip([0, *milestones], milestones, strict=False)):
            raise ValueError(f"SequentialLR: expected milestones that rise from at least 1, got {milestones}")
        return {"milestones": [*map(int, milestones)]}

    def rate(self, base: float, t: int) -> float:
        """Return what the schedule gives whose turn it is."""
        turn = bisect_right(self.milestones, t)
        return self.schedulers[turn].rate(base, t - [0, *self.milestones][turn])

    def _own_state(self) -> dict[str, Any]:
        parts = [schedule._own_state() for schedule in self.schedulers]
        return {**super()._own_state(), "milestones": list(self.milestones), "schedulers": parts}

    def _refused(self, state: Mapping[str, Any]) -> list[str]:
        parts = enumerate(zip(self.schedulers, state["schedulers"], strict=True))
        inside = [f"schedulers[{i}]: {line}" for i, (part, own) in parts for line in part._refused(own)]
        return super()._refused(state) + inside

    def _take_state(self, state: Mapping[str, Any]) -> None:
        super()._take_state(state)
        for schedule, part in zip(self.schedulers, state["schedulers"], strict=True):
            schedule._take_state(part)
