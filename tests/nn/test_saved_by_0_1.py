"""What version 0.1 saved loads, and trains on as it did there; what cannot is refused with the reason.

Version 0.1.0 wrote the files: a model of two Linears and a buffer after three steps, by itself, with SGD and with
Adam; the models two steps later; and a training with a schedule.
"""

from pathlib import Path

import numpy as np
import pytest

import tinygrad_sm as tg
from tinygrad_sm import CheckpointError, nn

SAVED = Path(__file__).parent / "saved_by_0_1"
X = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)


class Normed(nn.Module):
    def __init__(self):
        self.body = nn.Sequential(nn.Linear(3, 2), nn.Tanh())
        self.mean = nn.Buffer(np.zeros(2, np.float32))
        self.head = nn.Linear(2, 2, bias=False)

    def forward(self, x):
        return self.head(self.body(x) - self.mean)


def test_a_model():
    model = Normed()
    assert nn.load(SAVED / "model.safetensors", model) == {}
    assert model.mean.tolist() == [0.5, -1.5]
    assert nn.functional.cross_entropy(model(X), [0, 1, 1, 0]).item() == pytest.approx(1.0126407)  # as 0.1 says


KINDS = {"sgd": lambda p: nn.optim.SGD(p, lr=0.5, momentum=0.5), "adam": nn.optim.Adam}


@pytest.mark.filterwarnings("ignore:.*BLAS threads")  # two wrote the file
@pytest.mark.parametrize("name", KINDS)
def test_a_checkpoint_goes_on(name):
    model, later = Normed(), Normed()
    optimizer = KINDS[name](model.parameters())
    assert nn.load(SAVED / f"{name}.safetensors", model, optimizer) == {"epoch": 3}
    for _ in range(2):
        optimizer.zero_grad()
        nn.CrossEntropyLoss()(model(X), np.array([0, 1, 1, 0])).backward()
        optimizer.step()
    nn.load(SAVED / f"{name}_two_steps_later.safetensors", later)
    for (path, ours), theirs in zip(model.state_dict().items(), later.state_dict().values(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-7, err_msg=path)


def test_a_checkpoint_with_a_schedule_is_refused_with_the_reason():
    tg.manual_seed(0)
    model = Normed()
    optimizer = nn.optim.SGD(model.parameters(), lr=0.1)
    before = model.state_dict()
    with pytest.raises(
        CheckpointError, match=r"tinygrad_sm 0\.1 saved it, with a schedule: end the training there, or"
    ):
        nn.load(SAVED / "with_schedule.safetensors", model, optimizer)
    for path, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[path])
    nn.load(SAVED / "with_schedule.safetensors", model)  # as the message says
