"""Trainings that run both ways: as they are written, and as programs."""

import tinygrad_sm as tg
from tests.nn.stress import exactly
from tinygrad_sm import nn


class Training:
    """A small model with its step."""

    def __init__(self, momentum=0.0, zero_grad=True, dropout=0.0):
        tg.manual_seed(3)
        self.model = nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Dropout(dropout), nn.Linear(5, 3))
        self.optimizer = nn.optim.SGD(self.model.parameters(), lr=0.1, momentum=momentum)
        self.loss_function = nn.CrossEntropyLoss()
        self.scale, self.zero_grad = 1.0, zero_grad

        def step(x, labels):
            loss = self.loss_function(self.model(x), labels) * self.scale
            if self.zero_grad:
                self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            return loss

        self.step = step

    def state(self):
        """Return all that a step may change."""
        tensors = [(p.data, p.grad) for p in self.model.parameters()]
        return [tensors, self.optimizer.state_dict(), tg.get_rng_state()]


def same(one, other):
    """Whether two nested values are equal, bit for bit."""
    return exactly(one) == exactly(other)


def both_ways(batches, change=lambda training, i: None, programs=None, **options):
    """Train with the step and with a program of it; after each call, all is to be equal. Return the compiled one."""
    runs = []
    for wrap in (lambda step: step, tg.compiled):
        training = Training(**options)
        training.step, run = wrap(training.step), []
        for i, batch in enumerate(batches):
            change(training, i)
            loss = training.step(*batch)
            run.append(exactly([loss.data, *training.state()]))
        runs.append(run)
    for i, (eager, compiled) in enumerate(zip(*runs, strict=True)):
        assert eager == compiled, f"call {i} differs"
    assert training.step.program is not None
    if programs is not None:
        assert len(training.step._cases) == programs
    return training
