"""Train softmax regression on MNIST with the engine of this folder, in its plain form: `python mnist.py`.

    python mnist.py rules       # in the form that the check of this chapter trains: its pieces run there

All forms are the same model, and reach the same accuracy. One takes from 4 to 60 seconds.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

import tinygrad_sm as tg
from tinygrad_sm import nn
from tinygrad_sm.datasets import DataLoader, mnist
from tinygrad_sm.nn import functional as F

EPOCHS = 20


def by_cross_entropy(z: Any, labels: Any) -> Any:
    """Return the mean of −ln p of the label, p = softmax(z), as one operation."""
    return F.cross_entropy(z, labels)


def by_elements(z: Any, labels: Any) -> Any:
    """Return the same in elementary operations: p = eᶻ / Σ eᶻ, of z less its maximum."""
    e = tg.exp(z - z.max(axis=1, keepdims=True))
    p = e / e.sum(axis=1, keepdims=True)
    return -tg.log(p[np.arange(len(labels)), labels]).mean()


def by_softmax(z: Any, labels: Any) -> Any:
    """Return the same, −Σ y ln p with one-hot rows y."""
    return -(F.one_hot(labels, 10, z.dtype) * tg.log(tg.softmax(z, axis=1))).sum(axis=1).mean()


def by_log_softmax(z: Any, labels: Any) -> Any:
    """Return the same, with ln p as one operation."""
    return -(F.one_hot(labels, 10, z.dtype) * tg.log_softmax(z, axis=1)).sum(axis=1).mean()


def by_logsumexp(z: Any, labels: Any) -> Any:
    """Return the same, ln Σ eᶻ less the logit of the label."""
    return (tg.logsumexp(z, axis=1) - z[np.arange(len(labels)), labels]).mean()


def linear_layer() -> nn.Module:
    """Return the model: a row of each image, and ten logits."""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))


def matrix_product() -> nn.Module:
    """Return the same, with the product and the sum as operations of their own."""
    return nn.Sequential(nn.Flatten(), _Product())


class _Product(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(np.zeros((784, 10), "float32")), nn.Parameter(np.zeros(10, "float32"))

    def forward(self, x: Any) -> Any:
        return tg.matmul(x, self.weight) + self.bias


def with_dropout() -> nn.Module:
    """Return the same, where a twentieth of the pixels is dropped in training."""
    return nn.Sequential(nn.Flatten(), nn.Dropout(0.05), nn.Linear(784, 10))


def sgd(parameters: Any) -> nn.optim.Optimizer:
    """Return the flagship's optimizer."""
    return nn.optim.SGD(parameters, lr=0.4, momentum=0.9, weight_decay=1e-5)


def nesterov(parameters: Any) -> nn.optim.Optimizer:
    """Return the same, looking ahead."""
    return nn.optim.SGD(parameters, lr=0.4, momentum=0.9, weight_decay=1e-5, nesterov=True)


def adam(parameters: Any) -> nn.optim.Optimizer:
    """Return another one, by which each parameter has a step of its own."""
    return nn.optim.Adam(parameters, lr=0.005)


def adamw(parameters: Any) -> nn.optim.Optimizer:
    """Return the same, with weight decay beside its step."""
    return nn.optim.AdamW(parameters, lr=0.005, weight_decay=0.01)


class Form(NamedTuple):
    """A form of the flagship.

    losses : the epochs take them in turn, as all of them are one function.
    optimizers : the model is trained anew with each.
    checked : before, the derivatives of the losses are compared with difference quotients.
    """

    model: Callable[[], nn.Module] = linear_layer
    losses: Sequence[Callable[[Any, Any], Any]] = (by_cross_entropy,)
    optimizers: Sequence[Callable[[Any], nn.optim.Optimizer]] = (sgd,)
    checked: bool = False


FORMS = {
    "rules": Form(matrix_product, (by_elements, by_softmax, by_log_softmax, by_cross_entropy)),
    "engine": Form(),
    "numbers": Form(losses=(by_logsumexp, by_softmax), checked=True),
    "layers": Form(with_dropout, (by_log_softmax, by_cross_entropy)),
    "training": Form(optimizers=(nesterov, adam, adamw)),
}
"""The forms by the chapters whose pieces run in them."""


def main(chapter: str, epochs: int = EPOCHS) -> None:
    """Train the form of a chapter, and print what it reaches."""
    form = FORMS[chapter]
    if form.checked:
        for loss in form.losses:
            tg.gradcheck(lambda z: loss(z, np.array([2, 0])), np.linspace(-2.0, 2.0, 20).reshape(2, 10))  # noqa: B023
    for optimizer in form.optimizers:
        accuracy = _trained(form, optimizer, epochs)
        print(f"{optimizer.__name__}: test accuracy {accuracy:.2f} %", flush=True)


def _trained(form: Form, make_optimizer: Callable[[Any], nn.optim.Optimizer], epochs: int) -> float:
    """Train and test: a step is a loss, its gradients, and a small move against them."""
    training, test = mnist("train"), mnist("test")
    tg.manual_seed(0)
    model = form.model()
    optimizer = make_optimizer(model.parameters())
    loader = DataLoader(training, batch_size=512, shuffle=True, seed=0)
    first, accuracy = optimizer.lr, 0.0
    for epoch in range(epochs):
        optimizer.lr = first * (1 - epoch / epochs)
        loss_function = form.losses[epoch % len(form.losses)]
        model.train()
        for images, labels in loader:
            optimizer.zero_grad()
            loss_function(model(images), labels).backward()
            optimizer.step()
        model.eval()
        with tg.no_grad():
            accuracy = 100 * F.accuracy(model(test.images), test.labels)
        print(f"epoch {epoch + 1:2}  test accuracy {accuracy:.2f} %", flush=True)
    return accuracy


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "engine")
