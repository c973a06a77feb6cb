"""Schedules: learning rates that change as training goes on.

    schedule = CosineAnnealingLR(optimizer, T_max=epochs)
    for epoch in range(epochs):
        for x, labels in loader:
            ...
            optimizer.step()
        schedule.step()

A schedule sets the lr of every group of the optimizer when it is made, and again at each of its steps. It is a formula
for lr as a function of t, how often `step()` was called, and of base, the lr of the group before the first schedule was
made: so a run that is resumed at t goes on with the same numbers. Names, formulas and defaults are PyTorch's. Whether a
step is an epoch or a batch is for the caller to say. Of two schedules of one optimizer, the one that steps last has its
way; `SequentialLR` makes one of them.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from numbers import Integral
from typing import Any

from tinygrad_sm.nn.optimizer import Optimizer, numbers_at_least_0
from tinygrad_sm.nn.states import check_state, refuse_state


class Schedule:
    """What all schedules share: the count t, which is `last_epoch`, and the lr that follows from it.

    A kind of schedule says the formula (`rate`), and which values its options, attributes all, may have (`_checked`).
    """

    def __init__(self, optimizer: Optimizer, **options: Any):
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(self).__name__}: expected an optimizer, got {type(optimizer).__name__}")
        vars(self).update(self._checked(options))
        self._names = tuple(options)
        if optimizer.base_lrs is None:
            optimizer.base_lrs = [group["lr"] for group in optimizer.param_groups]
        self.optimizer = optimizer
        self.base_lrs = list(optimizer.base_lrs)
        self.last_epoch = 0
        self._set_lr()

    def rate(self, base: float, t: int) -> float:
        """Return the learning rate after t steps where it is `base` without a schedule."""
        raise NotImplementedError

    def _checked(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options as plain Python values, if they are what they may be."""
        raise NotImplementedError

    def step(self) -> None:
        """Count one more step, and set the lr of every group."""
        self.last_epoch += 1
        self._set_lr()

    def _set_lr(self) -> None:
        for group, base in zip(self.optimizer.param_groups, self.base_lrs, strict=True):
            group["lr"] = self.rate(base, self.last_epoch)

    def get_last_lr(self) -> list[float]:
        """Return the lr of each group of the optimizer."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Return all that the next steps depend on: the class, the count, the base of each group, the options."""
        return {
            "schedule": type(self).__name__,
            "last_epoch": self.last_epoch,
            "base_lrs": list(self.base_lrs),
            **{name: getattr(self, name) for name in self._names},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where the schedule of a state dict was, with its options; the lr of every group is set to what it was.

        Raises CheckpointError with every difference if it is of another class or number of groups, or has options that
        the constructor refuses; the schedule is then as it was.
        """
        self._check_state(state)
        self._take_state(state)
        self._set_lr()

    def _check_state(self, state: Mapping[str, Any]) -> None:
        owner = type(self).__name__
        check_state(owner, self.state_dict(), state)
        refused = []
        if state["last_epoch"] < 0:
            refused.append(f"last_epoch: expected at least 0, got {state['last_epoch']}")
        try:
            self._checked(state)
        except (TypeError, ValueError) as error:
            refused.append(str(error))
        refuse_state(owner, refused)

    def _take_state(self, state: Mapping[str, Any]) -> None:
        vars(self).update(self._checked(state))
        self.last_epoch = state["last_epoch"]
        self.base_lrs = list(state["base_lrs"])

    def _count(self, options: Mapping[str, Any], name: str) -> dict[str, int]:
        """Return this of the options as an int; raise unless it counts something."""
        value = options[name]
        if not isinstance(value, Integral) or value < 1:
            error = ValueError if isinstance(value, Integral) else TypeError
            raise error(f"{type(self).__name__}: expected {name} as an integer of at least 1, got {value!r}")
        return {name: int(value)}


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

    After T_max the cosine, and lr with it, rises again, as in PyTorch. "SGDR: Stochastic Gradient Descent with Warm
    Restarts" (Loshchilov and Hutter, 2017), without the restarts.
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

    The parts are never stepped themselves.

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
        if len(milestones) != len(self.schedulers) - 1:
            raise ValueError(
                f"SequentialLR: expected one milestone less than schedules, of which there are {len(self.schedulers)}, "
                f"got {milestones}"
            )
        if not all(isinstance(t, Integral) and t > last for last, t in zip([0, *milestones], milestones, strict=False)):
            raise ValueError(f"SequentialLR: expected milestones that rise from at least 1, got {milestones}")
        return {"milestones": [*map(int, milestones)]}

    def rate(self, base: float, t: int) -> float:
        """Return what the schedule gives whose turn it is."""
        turn = bisect_right(self.milestones, t)
        return self.schedulers[turn].rate(base, t - [0, *self.milestones][turn])

    def state_dict(self) -> dict[str, Any]:
        """Return the state dict of this schedule, with those of its parts under "schedulers"."""
        parts = [schedule.state_dict() for schedule in self.schedulers]
        return {**super().state_dict(), "milestones": list(self.milestones), "schedulers": parts}

    def _check_state(self, state: Mapping[str, Any]) -> None:
        super()._check_state(state)
        for schedule, part in zip(self.schedulers, state["schedulers"], strict=True):
            schedule._check_state(part)

    def _take_state(self, state: Mapping[str, Any]) -> None:
        super()._take_state(state)
        for schedule, part in zip(self.schedulers, state["schedulers"], strict=True):
            schedule._take_state(part)
