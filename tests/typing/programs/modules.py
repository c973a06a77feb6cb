"""What Modules, losses and optimizers give."""

from typing import Any, assert_type

import numpy as np

import tinygrad_sm as tg
import tinygrad_sm.nn.functional as F
from tinygrad_sm import Tensor, datasets, nn

Array = np.ndarray[Any, Any]
x = tg.randn(4, 3)
images = np.ones((4, 3), np.float32)
y = np.array([0, 1, 1, 0])


class Annotated(nn.Module):
    """A Module as one writes it for a type checker."""

    def __init__(self) -> None:
        self.first = nn.Linear(3, 5)
        self.scale = nn.Parameter(1.0)
        self.second = nn.Linear(5, 2, bias=False)

    def forward(self, x: Tensor, twice: bool = False) -> Tensor:
        """Return the logits."""
        x = tg.relu(self.first(x)) * self.scale
        return self.second(2 * x if twice else x)


class Pair(nn.Module):
    """A Module with two results."""

    def forward(self, x: Tensor) -> tuple[Tensor, float]:
        """Return x and a number."""
        return x, 1.0


model = Annotated()
assert_type(model(x), Tensor)
assert_type(model(x, twice=True), Tensor)
assert_type(model.first, nn.Linear)
assert_type(model.first(images), Tensor)
assert_type(model.first.weight, nn.Parameter)
assert_type(model.first.weight * 2, Tensor)
assert_type(model.train(), Annotated)
assert_type(model.to("cpu").eval(), Annotated)
assert_type(model.requires_grad_(True).apply(print), Annotated)
assert_type(Pair()(x), tuple[Tensor, float])
for parameter in model.parameters():
    assert_type(parameter, nn.Parameter)
    assert_type(parameter.grad, Array | None)

row = nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2))
assert_type(row(x), Tensor)
assert_type(row(images), Tensor)
assert_type(nn.Conv1d(4, 2, 3)(x), Tensor)
assert_type(nn.Conv2d(1, 2, 3, padding="same")(images[None]), Tensor)
assert_type(nn.MaxPool2d(2)(x[None]), Tensor)
assert_type(nn.AvgPool2d((2, 1))(images[None]), Array)
assert_type(nn.AdaptiveAvgPool2d((None, 1))(x[None]), Tensor)
assert_type(nn.ReLU()(x), Tensor)
assert_type(nn.ReLU()(images), Array)
assert_type(nn.GELU(approximate="tanh")(x), Tensor)
assert_type(nn.LeakyReLU()(x), Tensor)
assert_type(nn.SiLU()(x), Tensor)
assert_type(nn.Identity()(x), Tensor)
assert_type(nn.Identity()(images), Array)
assert_type(nn.Sigmoid()(x), Tensor)
assert_type(nn.Softplus()(x), Tensor)
assert_type(nn.Tanh()(x), Tensor)
assert_type(nn.Softmax(dim=1)(x), Tensor)
assert_type(nn.LogSoftmax(dim=1)(images), Array)
assert_type(nn.LayerNorm(3)(x), Tensor)
assert_type(nn.LayerNorm((4, 3), bias=False)(images), Tensor)
assert_type(nn.RMSNorm(3)(x), Tensor)
assert_type(nn.BatchNorm1d(3, momentum=None)(x), Tensor)
assert_type(nn.BatchNorm2d(3)(x.reshape(2, 3, 2, 1)), Tensor)
assert_type(nn.Dropout(0.5)(x), Tensor)
assert_type(nn.Flatten()(images), Array)
assert_type(nn.Embedding(65, 3)(y), Tensor)
assert_type(nn.Embedding.from_pretrained(images), nn.Embedding)
assert_type(nn.MultiheadAttention(3, 1)(x, images, images, need_weights=False), tuple[Tensor, Tensor | None])

for layer in nn.ModuleList([nn.ReLU()]):
    assert_type(layer, nn.Module)
heads = nn.ModuleDict({"first": nn.ReLU()})
heads["second"] = nn.Linear(3, 5)
heads.update([("third", nn.Flatten())])
assert_type(heads["first"], nn.Module)
assert_type(heads.pop("third"), nn.Module)
assert_type(heads["first"](x), Any)
for name, layer in heads.items():
    assert_type(name, str)
    assert_type(layer, nn.Module)

loss = F.cross_entropy(model(x), y)
assert_type(loss, Tensor)
assert_type(tg.nn.functional.cross_entropy(row(images), y, label_smoothing=0.1), Tensor)
assert_type(nn.CrossEntropyLoss()(model(x), y), Tensor)
assert_type(nn.NLLLoss()(nn.LogSoftmax()(model(x)), y), Tensor)
assert_type(nn.MSELoss(reduction="sum")(x, images), Tensor)
assert_type(nn.BCEWithLogitsLoss()(x, np.ones((4, 3))), Tensor)
assert_type(nn.L1Loss()(x, images), Tensor)
assert_type(nn.SmoothL1Loss(beta=0.5)(x, images), Tensor)
assert_type(nn.HuberLoss(delta=2.0)(x, images), Tensor)
assert_type(nn.KLDivLoss(reduction="batchmean")(F.log_softmax(x), images / 3), Tensor)
assert_type(nn.BCELoss()(tg.sigmoid(x), images), Tensor)
assert_type(F.mse_loss(x, images), Tensor)
assert_type(F.mse_loss(images, x), Tensor)
assert_type(F.l1_loss(x, images), Tensor)
assert_type(F.smooth_l1_loss(images, x), Tensor)
assert_type(F.huber_loss(x, images, delta=2.0), Tensor)
assert_type(F.kl_div(F.log_softmax(x), images / 3, reduction="batchmean"), Tensor)
assert_type(F.binary_cross_entropy(tg.sigmoid(x), images), Tensor)
assert_type(F.nll_loss(F.log_softmax(model(x)), y), Tensor)
assert_type(F.softmax(x, dim=1), Tensor)
assert_type(F.softmax(images, dim=1), Array)
assert_type(F.softmax(images, temperature=Tensor(2.0)), Tensor)
assert_type(F.linear(x, model.first.weight), Tensor)
assert_type(F.layer_norm(x, 3), Tensor)
assert_type(F.accuracy(model(x), y), float)
assert_type(F.mse_loss(images, images), Any)
assert_type(nn.CrossEntropyLoss()(images, y), Any)


@tg.compiled
def step(x: Tensor, scale: float = 1.0) -> Tensor:
    """Return the sum of squares."""
    return (x * x).sum() * scale


assert_type(step(x), Tensor)
assert_type(step(x, scale=2.0), Tensor)

optimizer = nn.optim.SGD(model.parameters(), lr=0.1)
loss.backward()
optimizer.step()
optimizer.zero_grad()
assert_type(optimizer, nn.optim.SGD)
assert_type(nn.Parameter([1.0]), nn.Parameter)
weight: Tensor = nn.Parameter([1.0])
assert_type(nn.Parameter([1.0]).requires_grad_(False), nn.Parameter)
assert_type(nn.clip_grad_norm(model.parameters(), 1.0), Tensor)

loader = datasets.DataLoader((images, y), batch_size=2)
for batch, labels in loader:
    assert_type(labels, Array)
    assert_type(row(batch), Tensor)
assert_type(tg.datasets.DataLoader, type[datasets.DataLoader])
group = tg.parallel.Group()
assert_type(group.rank, int)
group.broadcast(model)
shared = datasets.DataLoader((images, y), batch_size=2, group=group)
assert_type(shared, datasets.DataLoader)
