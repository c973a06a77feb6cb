"""What is wrong, for the type checkers and when it runs."""

import numpy as np
import pytest

import tinygrad_sm as tg
import tinygrad_sm.nn.functional as F
from tinygrad_sm import Tensor, nn

t = Tensor([[1.0, 2.0]], requires_grad=True)
model = nn.Linear(2, 2)
loss = nn.CrossEntropyLoss()


class Net(nn.Module):
    """A Module with an option."""

    def forward(self, x: Tensor, scale: float = 1.0) -> Tensor:
        """Return x, scaled."""
        return x * scale


@tg.compiled
def step(x: Tensor) -> Tensor:
    """Return the sum of squares."""
    return (x * x).sum()


# Names that are not there
with pytest.raises(AttributeError):
    tg.sotfmax(t)  # error
with pytest.raises(AttributeError):
    tg.nn.Linaer(2, 2)  # error
with pytest.raises(AttributeError):
    F.cros_entropy(t, [0])  # error
with pytest.raises(AttributeError):
    nn.optim.SDG(model.parameters())  # error
with pytest.raises(AttributeError):
    tg.datasets.mnits()  # error
with pytest.raises(AttributeError):
    t.sotfmax()  # error
with pytest.raises(AttributeError):
    model.wieght  # error  # noqa: B018

# Keywords and numbers of arguments
with pytest.raises(TypeError):
    tg.sum(t, dim=0)  # error
with pytest.raises(TypeError):
    t.sum(dim=0)  # error
with pytest.raises(TypeError):
    tg.softmax(x=t)  # error
with pytest.raises(TypeError):
    tg.exp(t, t)  # error
with pytest.raises(TypeError):
    tg.matmul(t)  # error
with pytest.raises(TypeError):
    tg.exp()  # error
with pytest.raises(TypeError):
    tg.concatenate([t, t], dim=1)  # error
with pytest.raises(TypeError):
    F.softmax(t, axis=1)  # error
with pytest.raises(TypeError):
    tg.zeros(2, requires_gard=True)  # error
with pytest.raises(TypeError):
    model(t, t)  # error
with pytest.raises(TypeError):
    Net()(t, sclae=2.0)  # error
with pytest.raises(TypeError):
    nn.ReLU()(t, t)  # error
with pytest.raises(TypeError):
    loss(t)  # error
with pytest.raises(TypeError):
    nn.Linear(2)  # error
with pytest.raises(TypeError):
    nn.optim.SGD(model.parameters(), learning_rate=0.1)  # error

with pytest.raises(TypeError):
    step(t, sclae=2.0)  # error

# Values of a wrong type
with pytest.raises((TypeError, ValueError)):
    t + None  # error
with pytest.raises((TypeError, IndexError)):
    tg.sum(t, axis=1.5)  # error
with pytest.raises(TypeError):
    nn.Sequential(tg.relu)  # error
with pytest.raises(TypeError):
    t.grad * 2  # error  (it may be None)
with pytest.raises(TypeError):
    np.ones(2) + t.grad  # error
