"""The trainings that `gpu` compares: the framework's and PyTorch's, and one by hand in float64 that both must match.

All begin with the same parameters and see the same batches in the same order. The images stay on the GPU as uint8; a
step takes its batch from them, scales it, and goes on as the flagship does: loss, gradients, SGD with momentum. Nothing
in it makes the host wait. The libraries are imported where they are used, each in a process of its own.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.random import default_rng

LR, MOMENTUM, WEIGHT_DECAY = 0.1, 0.9, 1e-5
SEED = 0


class Task(NamedTuple):
    """A multi-layer perceptron with layers of these sizes, a softmax regression if there are two, on MNIST."""

    sizes: tuple[int, ...]
    batch_size: int
    examples: int = 60_000

    @property
    def steps(self) -> int:
        """Return the number of whole batches of an epoch: a smaller one at its end would be another task."""
        return self.examples // self.batch_size

    def __str__(self) -> str:
        return f"{'–'.join(map(str, self.sizes))}, batch {self.batch_size:,}"


class Program(Protocol):
    """A training on a GPU, ready to begin."""

    def __init__(self, task: Task) -> None: ...

    def epoch(self) -> Iterable[Any]:
        """Draw the order of the next epoch, bring it to the device, and return what the steps take, one by one."""

    def step(self, batch: Any) -> None:
        """Put one step into the device's queue."""

    def parameters(self) -> list[np.ndarray]:
        """Return the parameters, on the host, in the order of `first_parameters`."""

    def now(self) -> Any:
        """Return an event at the end of the device's queue."""

    def milliseconds(self, start: Any, end: Any) -> float:
        """Return the time between two events."""


def data(task: Task) -> tuple[np.ndarray, np.ndarray]:
    """Return the images as uint8 of shape (examples, 1, 28, 28), and the labels."""
    from tinygrad_sm.datasets import mnist

    images, labels, _ = mnist("train", scale=None)
    return images[: task.examples], labels[: task.examples]


def order(task: Task, epoch: int) -> np.ndarray:
    """Return the rows of the batches of an epoch, of shape (steps, batch_size), in the order of a DataLoader."""
    rows = default_rng([SEED, epoch]).permutation(task.examples)
    return rows[: task.steps * task.batch_size].reshape(task.steps, task.batch_size)


def first_parameters(task: Task) -> dict[str, np.ndarray]:
    """Return weights and biases by the names that they have in the model of either library."""
    generator, parameters = default_rng(SEED), {}
    for i, (n, m) in enumerate(zip(task.sizes, task.sizes[1:], strict=False)):
        for name, shape in (("weight", (m, n)), ("bias", (m,))):
            bound = 1 / math.sqrt(n)
            parameters[f"{2 * i + 1}.{name}"] = generator.uniform(-bound, bound, shape).astype(np.float32)
    return parameters


def model(library: Any, task: Task) -> Any:
    """Return the model, written with the modules of a library: names and arguments are the same in both."""
    layers = [library.Flatten()]
    for n, m in zip(task.sizes, task.sizes[1:], strict=False):
        layers += [library.Linear(n, m), library.ReLU()]
    return library.Sequential(*layers[:-1])


class TinygradSM:
    """The framework, as its users write it."""

    def __init__(self, task: Task) -> None:
        import cupy

        from tinygrad_sm import nn
        from tinygrad_sm.datasets import DataLoader, scaled_mnist

        self.cuda = cupy.cuda
        self.model = model(nn, task)
        self.model.load_state_dict(first_parameters(task))
        self.model.to("cuda")
        self.loss_function = nn.CrossEntropyLoss()
        self.optimizer = nn.optim.SGD(self.model.parameters(), lr=LR, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)
        self.loader = DataLoader(
            data(task),
            task.batch_size,
            shuffle=True,
            seed=SEED,
            drop_last=True,
            device="cuda",
            transform=scaled_mnist,
        )
        self.losses: list[Any] = []

    def epoch(self) -> Iterable[Any]:
        """Return the loader's batches; its iterator draws the order when it is made."""
        self.losses.clear()
        return iter(self.loader)

    def step(self, batch: Any) -> None:
        """Train on a batch, and keep its loss for the end of the epoch."""
        x, labels = batch
        loss = self.loss_function(self.model(x), labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.losses.append(loss.detach())

    def parameters(self) -> list[np.ndarray]:
        """Return copies on the host."""
        return [p.numpy() for p in self.model.parameters()]

    def now(self) -> Any:
        """Return an event of the current stream."""
        event = self.cuda.Event()
        event.record()
        return event

    def milliseconds(self, start: Any, end: Any) -> float:
        """Ask CUDA."""
        return self.cuda.get_elapsed_time(start, end)


class PyTorch:
    """PyTorch, eager; its matrix products are in float32, not TF32, by its default, as are CuPy's."""

    def __init__(self, task: Task, device: str = "cuda") -> None:
        import torch

        self.torch, self.task, self.epochs = torch, task, 0
        self.model = model(torch.nn, task)
        self.model.load_state_dict({name: torch.from_numpy(p) for name, p in first_parameters(task).items()})
        self.model.to(device)
        self.loss_function = torch.nn.CrossEntropyLoss()
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=LR, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY)
        self.images, self.labels = (torch.from_numpy(array).to(device) for array in data(task))
        self.losses: list[Any] = []

    def epoch(self) -> Iterable[Any]:
        """Return the rows of each batch."""
        self.losses.clear()
        self.epochs += 1
        return self.torch.from_numpy(order(self.task, self.epochs - 1)).to(self.images.device)

    def step(self, batch: Any) -> None:
        """Train on the rows, and keep the loss for the end of the epoch."""
        x, labels = self.images[batch] / 255, self.labels[batch]
        loss = self.loss_function(self.model(x), labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.losses.append(loss.detach())

    def parameters(self) -> list[np.ndarray]:
        """Return copies on the host."""
        return [p.detach().cpu().numpy() for p in self.model.parameters()]

    def now(self) -> Any:
        """Return an event of the current stream."""
        event = self.torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def milliseconds(self, start: Any, end: Any) -> float:
        """Ask CUDA."""
        return start.elapsed_time(end)


def reference(task: Task) -> list[np.ndarray]:
    """Return the parameters after one epoch, computed in float64 on the CPU, by hand."""
    images, labels = data(task)
    parameters = [p.astype(np.float64) for p in first_parameters(task).values()]
    velocities = [np.zeros_like(p) for p in parameters]
    weights, biases = parameters[::2], parameters[1::2]
    for rows in order(task, epoch=0):
        N = len(rows)
        inputs = [images[rows].reshape(N, -1) / 255]
        for weight, bias in zip(weights, biases, strict=True):
            z = inputs[-1] @ weight.T + bias
            inputs.append(np.maximum(z, 0))
        p = np.exp(z - z.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        p[np.arange(N), labels[rows]] -= 1
        g = p / N  # the gradient with respect to the logits
        gradients: list[np.ndarray] = []
        for weight, x in zip(weights[::-1], inputs[-2::-1], strict=True):
            gradients[:0] = [g.T @ x, g.sum(axis=0)]
            g = (g @ weight) * (x > 0)
        for theta, v, gradient in zip(parameters, velocities, gradients, strict=True):
            v *= MOMENTUM
            v += gradient + WEIGHT_DECAY * theta
            theta -= LR * v
    return parameters


def relative_error(program: type[Program], task: Task) -> Callable[[], float]:
    """Prepare a run that trains an epoch and returns the largest ‖θ − θ₆₄‖ / ‖θ₆₄‖ of its parameters."""

    def run() -> float:
        trained = program(task)
        for batch in trained.epoch():
            trained.step(batch)
        pairs = zip(trained.parameters(), reference(task), strict=True)
        errors = [np.linalg.norm(theta - right) / np.linalg.norm(right) for theta, right in pairs]
        return float(np.max(errors))  # NaN if any is

    return run


def microseconds(program: type[Program], task: Task, least_steps: int) -> Callable[[], float]:
    """Prepare a run that goes through whole epochs, at least so many steps, and returns the time of one by events.

    Each epoch is timed from an idle device to an idle device; its order is drawn before. So the time is that of
    whoever is slower, the host that launches or the device that computes.
    """
    trained = program(task)

    def run() -> float:
        steps, milliseconds = 0, 0.0
        while steps < least_steps:
            batches = trained.epoch()
            start = trained.now()
            start.synchronize()
            for batch in batches:
                trained.step(batch)
            end = trained.now()
            end.synchronize()
            milliseconds += trained.milliseconds(start, end)
            steps += task.steps
        return 1e3 * milliseconds / steps

    return run
