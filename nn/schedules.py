"""Schedules: learning rates that change as training goes on.

    schedule = CosineAnnealingLR(optimizer, T_max=epochs)
    for epoch in range(epochs):
        for x, labels in loader:
            ...
            optimizer.step()
        schedule.step()

A schedule is a factor, a function of t, the number of calls of `step()`. When it is made, it takes the lr of each group
of the optimizer as the base there, and sets lr ← base · factor(0). Each step sets

    lr ← lr · factor(t) / factor(t − 1)

So an lr that was set by hand, as by `optimizer.lr = 0.05`, is scaled as the old one would have been. Where the factor
was 0, as at the end of a cosine, nothing is left to scale, and lr ← base · factor(t). Several schedules of an optimizer
multiply, but for one whose factor was 0, which begins with its own base again. The caller decides whether a step is an
epoch or a batch. The base of a group that the optimizer got later is the lr that the next step finds there. Names,
formulas and defaults are PyTorch's.
"""

import math
from bisect import bisect_right
from collections.abc import Iterable, Mapping
from itertools import count, pairwise
from operator import setitem
from typing import TYPE_CHECKING, Any

from tinygrad_sm.advice import module_hooks
from tinygrad_sm.arguments import MAX_COUNT, integer, number
from tinygrad_sm.engine.versions import write_all
from tinygrad_sm.errors import refuse_state
from tinygrad_sm.nn.optim import Optimizer
from tinygrad_sm.nn.states import check_state, faults_of

__all__ = ["CosineAnnealingLR", "LinearLR", "Schedule", "SequentialLR", "StepLR"]

if not TYPE_CHECKING:  # for a type checker, a name that is missing is an error by itself
    __getattr__, __dir__ = module_hooks(__name__)

_NUMBERS = count()  # of schedules, in the order in which they are made


class Schedule:
    """What all schedules share: `last_epoch`, which is t, and `base_lrs`, the lr of each group at factor 1.

    A subclass defines its `factor`; its options are its attributes.
    """

    last_epoch: int
    eta_min = 0.0
    """The lr at factor 0: the factor scales the distance of lr above it."""

    def __init__(self, optimizer: Optimizer):
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(self).__name__}: expected an optimizer, got {type(optimizer).__name__}")
        self._option_names = tuple(vars(self))  # what a subclass has set before it calls this
        self._number = next(_NUMBERS)
        self.optimizer = optimizer
        self.base_lrs = self._first_lrs()
        self._set(0)

    def factor(self, t: int) -> float:
        """Return the factor on the base after t steps."""
        raise NotImplementedError

    def _next(self, lr: float, base: float, t: int) -> float:
        """Return the learning rate after t steps, where it is `lr` after t − 1."""
        before = self.factor(t - 1) if t else 0.0
        lr, ratio = (lr, self.factor(t) / before) if before else (base, self.factor(t))
        return self.eta_min + (lr - self.eta_min) * ratio

    def step(self) -> None:
        """Count one more step, and set the lr of every group.

        Raises ValueError, and changes nothing, if an lr was set by hand to an illegal value or the next is infinite.
        """
        self._set(self.last_epoch + 1)

    def _set(self, t: int) -> None:
        owner, name = type(self).__name__, f"lr after {t} steps"
        bases = self._bases()
        pairs = zip(self.get_last_lr(), bases, strict=True)
        try:
            lrs = [number(owner, name, self._next(lr, base, t), smallest=0) for lr, base in pairs]
        except OverflowError as error:
            raise ValueError(f"{owner}: expected {name} to be a finite number, got a factor beyond floats") from error
        self._write(t, bases, lrs)

    def _bases(self) -> list[float]:
        """Return the base of each group; of one that was added since the last step, its lr."""
        return [*self.base_lrs, *self.get_last_lr()[len(self.base_lrs) :]]

    def _write(self, t: int, base_lrs: list[float], lrs: Iterable[float]) -> None:
        """Set t, the bases and the lr of every group: all at once."""
        pairs = zip(self.optimizer.param_groups, lrs, strict=True)
        writes: list[tuple[Any, ...]] = [(setitem, group, "lr", float(lr)) for group, lr in pairs]
        write_all([*writes, (setattr, self, "last_epoch", t), (setattr, self, "base_lrs", base_lrs)])

    def _first_lrs(self) -> list[float]:
        return self.get_last_lr()

    def get_last_lr(self) -> list[float]:
        """Return the lr of each group of the optimizer; ValueError if one was set by hand to an illegal value."""
        owner = type(self).__name__
        return [number(owner, "lr", group["lr"], smallest=0) for group in self.optimizer.param_groups]

    def state_dict(self) -> dict[str, Any]:
        """Return all that the next steps depend on: the schedule as it prints itself, t, the bases, and the lrs.

        The optimizer's state holds the lrs too: training goes on with them whichever of the two is loaded, or both in
        any order.
        """
        state = {"schedule": repr(self), "last_epoch": self.last_epoch}
        return {**state, "base_lrs": self._bases(), "lrs": self.get_last_lr()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where a schedule with the same options was; the lr of every group is set to what it was.

        Raises CheckpointError with every difference if the state is of another class, other options or another number
        of groups, or holds illegal numbers; the schedule and the optimizer are then unchanged. To go on with other
        options, make a new schedule: it begins with the lr that it finds.
        """
        owner = type(self).__name__
        check_state(owner, self.state_dict(), state)
        faults = faults_of(integer, "state", "last_epoch", state["last_epoch"], 0, MAX_COUNT)
        for name in ("base_lrs", "lrs"):
            for i, lr in enumerate(state[name]):
                faults += faults_of(number, "state", f"{name}[{i}]", lr, 0)
        refuse_state(owner, faults)
        self._write(state["last_epoch"], [*map(float, state["base_lrs"])], state["lrs"])

    def __repr__(self) -> str:
        options = ", ".join(f"{name}={getattr(self, name)!r}" for name in self._option_names)
        return f"{type(self).__name__}({options})"


class StepLR(Schedule):
    """factor = gamma^⌊t / step_size⌋: a factor gamma every step_size steps."""

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1):
        self.step_size = integer("StepLR", "step_size", step_size, 1, MAX_COUNT)
        self.gamma = number("StepLR", "gamma", gamma, smallest=0)
        super().__init__(optimizer)

    def factor(self, t: int) -> float:
        return self.gamma ** (t // self.step_size)


class CosineAnnealingLR(Schedule):
    """factor = (1 + cos(π t / T_max)) / 2, of how far lr is above eta_min: half a cosine, down to eta_min at T_max.

        lr = eta_min + (base − eta_min) · (1 + cos(π t / T_max)) / 2

    After T_max the cosine, and lr with it, rises again. "SGDR: Stochastic Gradient Descent with Warm Restarts"
    (Loshchilov and Hutter, 2017), without the restarts.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0):
        self.T_max = integer("CosineAnnealingLR", "T_max", T_max, 1, MAX_COUNT)
        self.eta_min = number("CosineAnnealingLR", "eta_min", eta_min, smallest=0)
        super().__init__(optimizer)

    def factor(self, t: int) -> float:
        return (1 + math.cos(math.pi * t / self.T_max)) / 2


class LinearLR(Schedule):
    """factor = start_factor + (end_factor − start_factor) · min(t / total_iters, 1): a linear warm-up.

    The first steps are small while the gradients still point anywhere. With end_factor below start_factor, a decay.
    """

    def __init__(
        self, optimizer: Optimizer, start_factor: float = 1 / 3, end_factor: float = 1.0, total_iters: int = 5
    ):
        self.start_factor = number("LinearLR", "start_factor", start_factor, smallest=0)
        self.end_factor = number("LinearLR", "end_factor", end_factor, smallest=0)
        self.total_iters = integer("LinearLR", "total_iters", total_iters, 1, MAX_COUNT)
        super().__init__(optimizer)

    def factor(self, t: int) -> float:
        return self.start_factor + (self.end_factor - self.start_factor) * min(t / self.total_iters, 1)


class SequentialLR(Schedule):
    """One schedule after the other: the first up to milestones[0], the second, which counts from there, and so on.

    Each begins with base · factor(0), whatever lr was before. The base is the lr from before the first part was made.
    SequentialLR does not step the parts.

    >>> from tinygrad_sm.nn.module import Parameter
    >>> from tinygrad_sm.nn.optim import SGD
    >>> optimizer = SGD([Parameter(1.0)], lr=1.0)
    >>> warm_up = LinearLR(optimizer, start_factor=0.5, total_iters=2)
    >>> schedule = SequentialLR(optimizer, [warm_up, CosineAnnealingLR(optimizer, T_max=2)], milestones=[2])
    >>> for t in range(5):
    ...     print(optimizer.lr)
    ...     schedule.step()
    0.5
    0.75
    1.0
    0.5
    0.0
    """

    def __init__(self, optimizer: Optimizer, schedulers: Iterable[Schedule], milestones: Iterable[int]):
        self.schedulers = list(schedulers)
        for i, schedule in enumerate(self.schedulers):
            if not isinstance(schedule, Schedule) or schedule.optimizer is not optimizer:
                raise ValueError(f"SequentialLR: expected schedules of the same optimizer, got another in place {i}")
        self.milestones = [integer("SequentialLR", "milestones", t, 1, MAX_COUNT) for t in milestones]
        if len(self.milestones) != len(self.schedulers) - 1:
            raise ValueError(
                f"SequentialLR: expected one milestone less than schedules, of which there are {len(self.schedulers)}, "
                f"got {self.milestones}"
            )
        if any(t <= last for last, t in pairwise(self.milestones)):
            raise ValueError(f"SequentialLR: expected milestones that rise, got {self.milestones}")
        super().__init__(optimizer)

    def _first_lrs(self) -> list[float]:
        first = min(self.schedulers, key=lambda schedule: schedule._number)
        self._number = first._number  # for a sequence around this one
        return list(first.base_lrs)

    def _next(self, lr: float, base: float, t: int) -> float:
        """Return the learning rate of the schedule whose turn it is."""
        turn = bisect_right(self.milestones, t)
        return self.schedulers[turn]._next(lr, base, t - [0, *self.milestones][turn])
