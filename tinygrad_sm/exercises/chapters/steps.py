"""The questions of the chapter on training: what a few steps make of two numbers."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tinygrad_sm.exercises.exercise import Probe
from tinygrad_sm.nn.module import Parameter
from tinygrad_sm.nn.optim import SGD, Adam, AdamW

GRADIENTS = ([1.0, -2.0], [0.5, 0.0], [-3.0, 4.0], [0.25, 8.0])
"""What the questions give as gradients, a row for each step."""


def _after(kind: Any, steps: int, start: Any = (1.0, -1.0), lrs: tuple[float, ...] = (), **options: Any) -> Any:
    """Return a parameter after steps with the gradients above; lrs are learning rates for later steps."""
    w = Parameter(np.array(start))
    optimizer = kind([w], **options)
    for g, lr in zip(GRADIENTS[:steps], [*lrs, *[optimizer.lr] * steps], strict=False):
        w.grad = np.array(g, w.dtype)
        optimizer.lr = lr
        optimizer.step()
    return w.data


def _told(kind: Any, steps: int, **options: Any) -> Probe:
    said = ", ".join(f"{name}={value}" for name, value in options.items())
    given = ", ".join(str(g) for g in GRADIENTS[:steps])
    question = f"θ = [1, -1] after {steps} step{'s' * (steps > 1)} of {kind.__name__}({said}) with g = {given}"
    return Probe(question, lambda: _after(kind, steps, **options))


def _grad_after(kind: Any, steps: int = 1, **options: Any) -> Callable[[], Any]:
    def ask() -> Any:
        w = Parameter(np.array([1.0, -1.0]))
        w.grad = np.array([1.0, 2.0])
        optimizer = kind([w], **options)
        for _ in range(steps):
            optimizer.step()
        return w.grad

    return ask


def _state_after(kind: Any, name: str, steps: int, **options: Any) -> Callable[[], Any]:
    def ask() -> Any:
        w = Parameter(np.array([1.0, -1.0]))
        optimizer = kind([w], **options)
        for g in GRADIENTS[:steps]:
            w.grad = np.array(g)
            optimizer.step()
        return optimizer.state_dict()["state"][0][name]

    return ask


def _old_state_after(kind: Any, name: str, **options: Any) -> Callable[[], Any]:
    """Return a call that gives an array of a state from which the step after it was computed."""

    def ask() -> Any:
        w = Parameter(np.array([1.0, -1.0]))
        optimizer = kind([w], **options)
        state = {**optimizer._new_state(w.data), name: np.array([1.0, 2.0])}
        optimizer._update(w.data, np.array([0.5, 0.25]), state, optimizer.param_groups[0])
        return state[name]

    return ask


def descents() -> Iterator[Probe]:
    """Yield questions on steps of SGD."""
    yield _told(SGD, 1, lr=1.0)
    yield _told(SGD, 1, lr=0.5)
    yield _told(SGD, 2, lr=0.5)
    yield _told(SGD, 1, lr=0.5, weight_decay=0.1)._replace(stage=1)
    yield _told(SGD, 3, lr=0.5, weight_decay=0.1)._replace(stage=1)
    yield _told(SGD, 1, lr=0.25, weight_decay=0.5)._replace(stage=1)
    yield _told(SGD, 3, lr=0.5, momentum=0.9)._replace(stage=2)
    yield _told(SGD, 3, lr=0.5, momentum=0.9, weight_decay=0.1)._replace(stage=2)
    yield Probe(
        "θ.grad = [1, 2] after a step of SGD(lr=0.5, weight_decay=0.1): it stays as it was",
        _grad_after(SGD, lr=0.5, weight_decay=0.1),
        stage=1,
    )


def velocities() -> Iterator[Probe]:
    """Yield questions on SGD with momentum, and on the velocity that it keeps."""
    yield _told(SGD, 1, lr=1.0, momentum=0.5)
    yield _told(SGD, 2, lr=1.0, momentum=0.5)
    yield _told(SGD, 3, lr=0.5, momentum=0.9)
    yield _told(SGD, 1, lr=1.0, momentum=0.5, nesterov=True)._replace(part="nesterov")
    yield _told(SGD, 3, lr=0.5, momentum=0.9, nesterov=True)._replace(part="nesterov")
    question = (
        "θ = [1, -1] after 3 steps of SGD(lr=0.5, momentum=0.9), where lr is 0.1 from the second on, "
        f"with g = {', '.join(map(str, GRADIENTS[:3]))}"
    )
    yield Probe(question, lambda: _after(SGD, 3, lrs=(0.5, 0.1, 0.1), lr=0.5, momentum=0.9))
    yield _told(SGD, 3, lr=0.5)
    yield Probe(
        "θ.grad = [1, 2] after two steps of SGD(lr=0.5, momentum=0.9): it stays as it was",
        _grad_after(SGD, 2, lr=0.5, momentum=0.9),
        stage=1,
    )
    options = {"lr": 0.5, "momentum": 0.9}
    yield Probe(
        "old velocity [1, 2], after a step of SGD(lr=0.5, momentum=0.9): it stays as it was",
        _old_state_after(SGD, "velocity", **options),
        stage=1,
    )
    yield Probe(
        "the velocity that SGD(lr=0.5, momentum=0.9) keeps after g = [1.0, -2.0], [0.5, 0.0]",
        _state_after(SGD, "velocity", 2, **options),
        stage=1,
    )


def moments() -> Iterator[Probe]:
    """Yield questions on the means that Adam keeps."""
    for steps in (1, 2, 3):
        given = ", ".join(str(g) for g in GRADIENTS[:steps])
        for name, short in (("mean", "m"), ("mean_square", "v")):
            kept = _state_after(Adam, name, steps, betas=(0.5, 0.75))
            yield Probe(f"{short} after g = {given}, with betas (0.5, 0.75)", kept, part=short)
    yield _told(Adam, 3, lr=0.1)._replace(stage=1)
    yield Probe("θ.grad = [1, 2] after a step of Adam: it stays as it was", _grad_after(Adam), stage=1)
    for name, short in (("mean", "m"), ("mean_square", "v")):
        yield Probe(
            f"old {short} = [1, 2], after a step of Adam: it stays as it was", _old_state_after(Adam, name), stage=1
        )


def adams() -> Iterator[Probe]:
    """Yield questions on steps of Adam."""
    yield _told(Adam, 1, lr=0.1, eps=0)
    yield _told(Adam, 1, lr=0.5, betas=(0.5, 0.75), eps=0)
    yield _told(Adam, 2, lr=0.5, betas=(0.5, 0.75), eps=0)
    yield _told(Adam, 4, lr=0.1, eps=0)
    yield _told(Adam, 2, lr=0.5, betas=(0.0, 0.5), eps=0)
    yield _told(Adam, 4, lr=0.1, weight_decay=0.5, eps=0)
    yield _told(Adam, 4, lr=0.1)._replace(stage=1)
    yield _told(Adam, 3, lr=0.1, eps=1.0)._replace(stage=1)

    def still() -> Any:
        w = Parameter(np.array([1.0, -1.0]))
        w.grad = np.zeros(2)
        Adam([w], lr=0.1).step()
        return w.data

    yield Probe("θ = [1, -1] after a step of Adam(lr=0.1) with g = [0, 0]", still, stage=1)


def decays() -> Iterator[Probe]:
    """Yield questions on the weight decay of AdamW, and of Adam."""

    def alone(kind: Any, **options: Any) -> Callable[[], Any]:
        def ask() -> Any:
            w = Parameter(np.array([1.0, -4.0]))
            w.grad = np.zeros(2)
            kind([w], **options).step()
            return w.data

        return ask

    yield Probe(
        "θ = [1, -4] after a step of AdamW(lr=0.5, weight_decay=0.5) with g = 0", alone(AdamW, lr=0.5, weight_decay=0.5)
    )
    yield Probe(
        "θ = [1, -4] after a step of AdamW(lr=0.1, weight_decay=0.5) with g = 0", alone(AdamW, lr=0.1, weight_decay=0.5)
    )
    yield _told(AdamW, 3, lr=0.1, weight_decay=0.5)
    yield _told(AdamW, 3, lr=0.1, weight_decay=0.0)
    yield _told(Adam, 3, lr=0.1, weight_decay=0.5)
    yield _told(Adam, 3, lr=0.1)


def zeroed() -> Iterator[Probe]:
    """Yield questions on gradients after zero_grad, and on steps after it."""

    def pair() -> tuple[Any, Any, SGD]:
        a, b = Parameter(np.array([1.0, 2.0])), Parameter(np.array([3.0]))
        a.grad, b.grad = np.array([5.0, 6.0]), np.array([7.0])
        return a, b, SGD([a, b], lr=0.1)

    def gone() -> Any:
        a, b, optimizer = pair()
        optimizer.zero_grad()
        return [a.grad is None, b.grad is None]

    def data() -> Any:
        a, b, optimizer = pair()
        optimizer.zero_grad()
        return np.concatenate([a.data, b.data])

    def kept() -> Any:
        a, _, optimizer = pair()
        before = a.grad
        optimizer.zero_grad()
        return before

    def filled() -> Any:
        a, b, optimizer = pair()
        optimizer.zero_grad(set_to_none=False)
        return np.concatenate([a.grad, b.grad])

    def without() -> Any:
        a, b, optimizer = pair()
        a.grad = None
        optimizer.zero_grad(set_to_none=False)
        return [a.grad is None, b.grad is None]

    def two_steps() -> Any:
        w = Parameter(np.array([1.0, 2.0]))
        optimizer = SGD([w], lr=0.25)
        for _ in range(2):
            optimizer.zero_grad()
            (w * w).sum().backward()
            optimizer.step()
        return w.data

    def frozen() -> Any:
        w = Parameter(np.array([1.0, 2.0]))
        optimizer = SGD([w], lr=0.25, weight_decay=1.0)
        w.grad = np.array([1.0, 1.0])
        optimizer.zero_grad()
        optimizer.step()
        return w.data

    def with_momentum() -> Any:
        w = Parameter(np.array([1.0, 2.0]))
        optimizer = SGD([w], lr=0.25, momentum=0.5)
        for _ in range(3):
            optimizer.zero_grad()
            (w * w).sum().backward()
            optimizer.step()
        return w.data

    yield Probe("two parameters that have gradients: whether .grad is None after zero_grad()", gone)
    yield Probe("two parameters, [1, 2] and [3]: their data after zero_grad(): they stay as they were", data)
    yield Probe("the array [5, 6] that was a.grad, after zero_grad(): it stays as it was", kept)
    yield Probe("two parameters, [1, 2] and [3]: their gradients after zero_grad(set_to_none=False)", filled, stage=1)
    yield Probe(
        "a.grad is None, b.grad is not: whether they are None after zero_grad(set_to_none=False)", without, stage=1
    )
    yield Probe("θ = [1, 2] after two steps of zero_grad, (w * w).sum().backward(), step", two_steps)
    yield Probe(
        "θ = [1, 2] after three steps of zero_grad, (w * w).sum().backward(), step, with momentum=0.5",
        with_momentum,
        stage=1,
    )
    yield Probe("θ = [1, 2] after zero_grad() and a step with weight_decay: it has no gradient", frozen)
