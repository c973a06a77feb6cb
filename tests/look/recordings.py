"""Recordings for the tests of what is made of them, and what a page has to show of each of their steps."""

import numpy as np

import tinygrad_sm as tg
from tinygrad_sm import nn
from tinygrad_sm.look.entries import Arrival, Backward, Change, Forward, Leaf

EVIL = "</script><script>document.title='taken'</script><!--{{data}}\u2028\"'&"


def softmax_regression():
    """Record softmax regression written by hand, on two images of 2×2 pixels, with a bias that is broadcast."""
    random = np.random.default_rng(0)
    X, y = random.random((2, 4)).astype(np.float32), np.array([0, 2])
    W = tg.Tensor(random.normal(size=(4, 3)).astype(np.float32), requires_grad=True)
    b = tg.Tensor(np.zeros(3, np.float32), requires_grad=True)
    with tg.look.record() as recording:
        logits = X @ W + b
        p = tg.softmax(logits, axis=1)
        loss = -tg.log(p[np.arange(2), y]).mean()
        loss.backward()
    return recording


def mlp(batch=128):
    """Record a training step of an MLP 784-128-10 on random images."""
    random = np.random.default_rng(0)
    images = random.random((batch, 1, 28, 28)).astype(np.float32)
    labels = random.integers(0, 10, batch)
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    optimizer = nn.optim.Adam(model.parameters())
    with tg.look.record(model) as recording:
        loss = nn.CrossEntropyLoss()(model(images), labels)
        loss.backward()
        optimizer.step()
    return recording


def two_steps():
    """Record two steps, so that the second one meets a parameter that has changed."""
    w = nn.Parameter([[1.0, -2.0], [3.0, 0.5]])
    optimizer = nn.optim.SGD([w], lr=0.25)
    with tg.look.record() as recording:
        for _ in range(2):
            optimizer.zero_grad()
            tg.sum(w * w).backward()
            optimizer.step()
    return recording


def oddities():
    """Record NaN, infinities, empty arrays, scalars, bools, integers, images, stacks and names that want to be HTML."""
    odd = tg.Tensor(np.array([[1.0, np.nan, np.inf], [-np.inf, 0.0, -2e-9]]), requires_grad=True)
    odd.name = EVIL
    empty = tg.Tensor(np.zeros((0, 3)), requires_grad=True)
    scalar = tg.Tensor(3.0, requires_grad=True)
    maps = tg.Tensor(np.random.default_rng(0).normal(size=(3, 20, 30)), requires_grad=True)
    huge = tg.Tensor(np.array([1.7e308, -1.7e308, 5e-324, 1.25e12]), requires_grad=True)
    long = np.arange(40.0) - 20
    long[[0, 7, 21]], long[[2, 30]], long[5] = np.nan, np.inf, -np.inf
    long = tg.Tensor(long, requires_grad=True)
    with tg.look.record() as recording, np.errstate(all="ignore"):
        a = tg.where(np.array([[True, False, True]]), odd * scalar, 0.0)
        b = maps[:, np.array([0, 5]), :4] * np.arange(4)
        total = tg.sum(a) + tg.sum(empty * 2.0) + tg.sum(b) + tg.sum(maps * 2.0) + tg.sum(huge * 0.5) + tg.sum(long * 3)
        total.backward()
    return recording


def chain(n):
    """Record n operations in a row."""
    x = tg.Tensor(np.array([0.5, -1.0]), requires_grad=True)
    with tg.look.record() as recording:
        h = x
        for _ in range(n):
            h = h * 1.01
        h.sum().backward()
    return recording


RECORDINGS = [softmax_regression, mlp, two_steps, oddities]


def values_of_steps(recording):
    """Return for each step the values that have to be seen there, in their order."""
    now = {leaf.key: leaf.value for leaf in recording.leaves}
    found = []
    for step in recording.steps:
        match step:
            case Forward(operation):
                sources = [operand.source for operand in operation.operands]
                values = [now[x.key] if isinstance(x, Leaf) else x.value for x in sources] + [operation.value]
            case Backward(operation, g, answers):
                told = {operation.operands.index(answer.operand): answer for answer in answers}
                values = [g]
                for _, answer in sorted(told.items()):
                    values += [answer.answer, answer.part] if answer.summed else [answer.part]
            case Arrival(leaf, g):
                values = [g, now[leaf.key]]
            case Change(leaf, before, after, _):
                now[leaf.key] = after
                values = [before, after]
        found.append(values)
    return found
