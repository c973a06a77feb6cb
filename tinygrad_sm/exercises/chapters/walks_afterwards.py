"""The questions on what a walk leaves behind: nodes that are freed, and gradients in .grad."""

import weakref
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

import tinygrad_sm as tg
from tinygrad_sm.exercises.chapters.walks import leaf
from tinygrad_sm.exercises.exercise import Probe
from tinygrad_sm.ops.softmax import cross_entropy


def freeing() -> Iterator[Probe]:
    """Yield questions on what a walk frees."""

    def dies() -> Any:
        x = leaf(0.5)
        y = tg.exp(x)
        reference, loss = weakref.ref(y), y * y
        del y
        loss.backward()
        return reference() is None

    def second(**options: Any) -> Callable[[], Any]:
        def ask() -> Any:
            x = leaf(3.0)
            loss = tg.exp(x * x * 0.1)
            loss.backward(**options)
            loss.backward()
            return x.grad

        return ask

    def residual() -> Any:
        z = leaf(0.0, 1.0, 2.0)
        loss = cross_entropy(z.reshape(1, 3), np.array([0]))
        kept: Any = loss.node
        loss.backward()
        return [kept.operands is None, kept.saved is None]

    def product(c: Any) -> Callable[[], Any]:
        def ask() -> Any:
            loss = tg.multiply(tg.exp(leaf(0.5)), c)
            node: Any = loss.node
            loss.backward()
            return node.operands is None

        return ask

    def product_with_array_first() -> Any:
        loss = tg.multiply(np.array(3.0), tg.exp(leaf(0.5)))
        node: Any = loss.node
        loss.backward()
        return node.operands is None

    def unwalked() -> Any:
        x = leaf(3.0)
        y = x * x
        tg.grad(y * 2.0, y)
        return tg.grad(y, x)[0]

    def retained() -> Any:
        x = leaf(0.5)
        y = tg.exp(x)
        loss = y * y
        loss.backward(retain_graph=True)
        return y.node is not None and y.node.operands is not None

    def two_uses() -> Any:
        y = tg.exp(leaf(0.5))
        a, b = tg.tanh(y), y * 2.0
        nodes: list[Any] = [a.node, b.node]
        (a + b).backward()
        return [node.operands is None for node in nodes]

    yield Probe("y = exp(x); loss = y * y; del y; loss.backward(): is y gone?", dies)
    yield Probe(
        "loss = exp(x) * c, where c requires no gradient: are the operands of this product gone?",
        product(tg.Tensor(np.array(3.0))),
    )
    yield Probe("x = 3, loss = exp(x·x/10): x.grad after loss.backward() twice", second())
    yield Probe(
        "x = 3, loss = exp(x·x/10): x.grad after loss.backward(retain_graph=True) and loss.backward()",
        second(retain_graph=True),
    )
    yield Probe("y = exp(x); loss = y * y; loss.backward(retain_graph=True): has the node of y its operands?", retained)
    yield Probe("y = exp(x); a = tanh(y); b = 2 * y; loss = a + b: are the operands of a and b gone?", two_uses)
    yield Probe("x = 3, y = x·x: the gradient of y with respect to x, after that of 2·y with respect to y", unwalked)
    yield Probe("loss = exp(x) * array(3): are the operands of this product gone?", product(np.array(3.0)), stage=1)
    yield Probe("loss = array(3) * exp(x): are the operands of this product gone?", product_with_array_first, stage=1)
    yield Probe("loss = cross_entropy(z, [0]): are its operands gone, and what its forward saved?", residual, stage=1)


def added_to_grad() -> Iterator[Probe]:
    """Yield questions on what several backward() leave in .grad."""

    def times(n: int) -> Callable[[], Any]:
        def ask() -> Any:
            x = leaf(1.0, 2.0)
            for i in range(n):
                (x * x).sum().backward() if i % 2 == 0 else (x * 10.0).sum().backward()
            return x.grad

        return ask

    def data() -> Any:
        x = leaf(1.0, 2.0)
        (x * x).sum().backward()
        (x * 10.0).sum().backward()
        return x.data

    def two_leaves() -> Any:
        a, b = leaf(1.0), leaf(2.0)
        (a * b).backward()
        (a * 3.0).backward()
        return [float(a.grad), float(b.grad)]  # type: ignore[arg-type]

    yield Probe("x = [1, 2]: x.grad after sum(x * x).backward()", times(1))
    yield Probe("x = [1, 2]: x.grad after sum(x * x).backward() and sum(10 * x).backward()", times(2))
    yield Probe(
        "x = [1, 2]: x.grad after sum(x * x).backward(), sum(10 * x).backward() and sum(x * x).backward()", times(3)
    )
    yield Probe("a = 1, b = 2: a.grad and b.grad after (a * b).backward() and (3 * a).backward()", two_leaves)
    yield Probe("x = [1, 2]: x.data after sum(x * x).backward() and sum(10 * x).backward(): it stays as it was", data)
