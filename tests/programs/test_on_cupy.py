"""A program runs on CuPy's arrays too; here on the strict double, which counts launches and waits."""

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.backend.strict_cupy import EVENTS
from tests.helpers import HAS_WING
from tests.nn.stress import exactly
from tinygrad_sm import nn

pytestmark = pytest.mark.usefixtures("strict")


def training(optimizer, layer=nn.ReLU):
    tg.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 5), layer(), nn.Linear(5, 3)).to("cuda")
    optimizer = optimizer(model.parameters())
    loss_function = nn.CrossEntropyLoss()

    def step(x, labels):
        loss = loss_function(model(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    return step, model


OPTIMIZERS = {
    "SGD": lambda p: nn.optim.SGD(p, lr=0.1),
    "momentum": lambda p: nn.optim.SGD(p, lr=0.1, momentum=0.9),
    "AdamW": lambda p: nn.optim.AdamW(p),
}


NORMS = {
    "LayerNorm": lambda: nn.LayerNorm(5),
    "BatchNorm1d": lambda: nn.BatchNorm1d(5),
    "BatchNorm1d, all batches with the same weight": lambda: nn.BatchNorm1d(5, momentum=None),
}


@pytest.mark.parametrize(
    ("optimizer", "layer"), [*((name, nn.ReLU) for name in OPTIMIZERS), *(("SGD", norm) for norm in NORMS.values())]
)
def test_a_program_makes_no_more_launches_than_the_step_and_does_not_wait(optimizer, layer):
    random = np.random.default_rng(0)
    batches = [
        [tg.Tensor(x, device="cuda") for x in (random.normal(size=(6, 4)).astype("f4"), random.integers(0, 3, 6))]
        for _ in range(6)
    ]
    runs = []
    for wrap in (lambda step: step, tg.compiled):
        step, model = training(OPTIMIZERS[optimizer], layer)
        step, run = wrap(step), []
        for batch in batches:
            EVENTS.clear()
            loss = step(*batch)
            events = dict(EVENTS)
            run.append((loss.numpy(), [tg.Tensor(x).numpy() for x in model.state_dict().values()]))
        runs.append((run, events))
    (eager, eager_events), (compiled, events) = runs
    assert step.why_eager is None
    assert step.program is not None
    assert exactly(eager) == exactly(compiled)
    assert events.get("sync", 0) == 0
    if HAS_WING:  # the plain forms of AdamW make three more
        assert events["launch"] <= eager_events["launch"]
