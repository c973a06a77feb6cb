"""The questions of the chapter on layers and data: arrays of few numbers, and what becomes of them."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

import tinygrad_sm as tg
from tinygrad_sm.datasets import DataLoader
from tinygrad_sm.exercises.exercise import Probe
from tinygrad_sm.nn.activations import dropout
from tinygrad_sm.nn.layers import Flatten
from tinygrad_sm.ops.linalg import linear
from tinygrad_sm.ops.softmax import one_hot


def _one_hot(labels: list[int], classes: int) -> Any:
    return one_hot(np.array(labels), classes).astype(float)


def one_hots() -> Iterator[Probe]:
    """Yield questions on one_hot."""
    for labels, classes in (([0], 2), ([1], 3), ([0, 1, 3, 2], 4), ([2, 2, 0], 3), ([1, 0], 5)):
        yield Probe(f"one_hot({labels}, {classes})", partial(_one_hot, labels, classes))
    yield Probe("one_hot([1], 3, dtype='float64')", lambda: one_hot(np.array([1]), 3, "float64"), stage=1)
    yield Probe("one_hot([1], 3)", lambda: one_hot(np.array([1]), 3), stage=1)
    yield Probe("one_hot of no labels, 3 classes", lambda: one_hot(np.zeros(0, np.int64), 3), stage=1)


def maps() -> Iterator[Probe]:
    """Yield questions on linear, the map of a layer."""
    weight = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    bias = np.array([10.0, 20.0, 30.0])
    square = np.array([[1.0, 2.0], [3.0, 4.0]])
    yield Probe("x = [[1, 0]], W = [[1, 2], [3, 4]], no bias", lambda: linear(np.array([[1.0, 0.0]]), square))
    yield Probe("x = [[1, 1]], W = [[1, 2], [3, 4], [5, 6]], no bias", lambda: linear(np.ones((1, 2)), weight))
    yield Probe(
        "x = [[1, 1]], W = [[1, 2], [3, 4], [5, 6]], b = [10, 20, 30]", lambda: linear(np.ones((1, 2)), weight, bias)
    )
    yield Probe(
        "x = [[1, 2], [3, 4]], W = [[1, 2], [3, 4]], b = [5, 6]", lambda: linear(square, square, np.array([5.0, 6.0]))
    )
    yield Probe(
        "x = [[0, 1], [2, 3], [4, 5]], W = [[1, 2], [3, 4], [5, 6]], b = [10, 20, 30]",
        lambda: linear(np.arange(6.0).reshape(3, 2), weight, bias),
    )
    yield Probe(
        "x = 0, 1, ..., 11 in the shape (2, 3, 2), W = [[1, 2], [3, 4], [5, 6]], b = [10, 20, 30]",
        lambda: linear(np.arange(12.0).reshape(2, 3, 2), weight, bias),
        stage=1,
    )
    yield Probe(
        "x = [1, 1], of shape (2,), W = [[1, 2], [3, 4], [5, 6]], b = [10, 20, 30]",
        lambda: linear(np.ones(2), weight, bias),
        stage=1,
    )
    yield Probe(
        "b = [10, 20, 30] after the call with x = [[1, 1]]: it stays as it was",
        lambda: (linear(np.ones((1, 2)), weight, bias), bias.copy())[1],
    )


def rows() -> Iterator[Probe]:
    """Yield questions on Flatten."""

    def of(*shape: int) -> Callable[[], Any]:
        return lambda: Flatten()(np.arange(float(np.prod(shape))).reshape(shape))

    def gradient() -> Any:
        x = tg.Tensor(np.arange(8.0).reshape(2, 1, 2, 2), requires_grad=True)
        (Flatten()(x) * np.arange(8.0).reshape(2, 4)).sum().backward()
        return x.grad

    yield Probe("one image of 1×2×2, which has the numbers 0, 1, 2, 3", of(1, 1, 2, 2))
    yield Probe("two images of 1×2×2, which have the numbers 0, 1, ..., 7", of(2, 1, 2, 2))
    yield Probe("two images of 3×2×2, which have the numbers 0, 1, ..., 23", of(2, 3, 2, 2))
    yield Probe("three images of 2×1×4, which have the numbers 0, 1, ..., 23", of(3, 2, 1, 4))
    yield Probe("two examples that are rows already, of shape (2, 3)", of(2, 3))
    yield Probe("x of shape (0, 1, 2, 2): no image at all", of(0, 1, 2, 2), stage=1)
    yield Probe("three numbers, of shape (3,): each is an example", of(3))
    yield Probe("two images of 1×2×2: the gradient of Σ Flatten(x)·[[0, 1, 2, 3], [4, 5, 6, 7]]", gradient, stage=1)


def dropouts() -> Iterator[Probe]:
    """Yield questions on dropout; each sets the draws by a seed."""

    def of(x: Any, p: float, training: bool = True) -> Callable[[], Any]:
        def ask() -> Any:
            tg.manual_seed(1)
            return dropout(x, p, training)

        return ask

    def mean() -> Any:
        tg.manual_seed(2)
        return round(float(dropout(np.full(10_000, 3.0), 0.9).mean()), 1)

    def gradient() -> Any:
        tg.manual_seed(1)
        x = tg.Tensor(np.ones(8), requires_grad=True)
        dropout(x, 0.5).sum().backward()
        return x.grad

    yield Probe("eight ones, p = 0.5", of(np.ones(8), 0.5))
    yield Probe("eight ones, p = 0.2", of(np.ones(8), 0.2))
    yield Probe("eight ones, p = 0.75", of(np.ones(8), 0.75))
    yield Probe("eight ones, p = 1: all are dropped", of(np.ones(8), 1.0), stage=1)
    yield Probe("eight ones, p = 0", of(np.ones(8), 0.0))
    yield Probe("eight ones, p = 0.3", of(np.ones(8), 0.3), stage=1)
    yield Probe("eight ones in float32, p = 0.2", of(np.ones(8, np.float32), 0.2), stage=1)
    yield Probe("eight numbers in float16, p = 0.1", of(np.linspace(1, 9, 8).astype(np.float16), 0.1), stage=2)
    yield Probe("eight ones in evaluation, p = 0.5", of(np.ones(8), 0.5, False))
    yield Probe("10,000 threes, p = 0.9: the mean of what dropout gives, rounded to a tenth", mean)
    yield Probe("eight ones, p = 0.5: the gradient of the sum of what dropout gives", gradient)


def _loader(n: int, batch_size: int, **options: Any) -> DataLoader:
    return DataLoader((np.arange(float(n)), np.arange(n)), batch_size, **options)


def lengths() -> Iterator[Probe]:
    """Yield questions on how many batches there are, and how long they are."""
    for n, size, drop_last in (
        (8, 4, False),
        (10, 4, False),
        (3, 4, False),
        (11, 4, False),
        (9, 4, False),
        (10, 4, True),
        (8, 4, True),
        (11, 4, True),
        (1, 1, False),
    ):
        name = f"{n} example{'s' * (n > 1)} in batches of {size}" + (", drop_last=True" if drop_last else "")
        part = "drop_last" if drop_last else ""
        yield Probe(f"{name}: len(loader)", partial(_number_of_batches, n, size, drop_last), part=part)
        yield Probe(f"{name}: the length of each batch", partial(_lengths_of_batches, n, size, drop_last), part=part)


def _number_of_batches(n: int, size: int, drop_last: bool) -> Any:
    return len(_loader(n, size, drop_last=drop_last))


def _lengths_of_batches(n: int, size: int, drop_last: bool) -> Any:
    return [len(y) for _, y in _loader(n, size, drop_last=drop_last)]


def batches() -> Iterator[Probe]:
    """Yield questions on which examples are in which batch."""

    def of(n: int, size: int, **options: Any) -> Callable[[], Any]:
        return lambda: [y.tolist() for _, y in _loader(n, size, **options)]

    def is_each_once() -> Any:
        return sorted(label for _, y in _loader(10, 3, shuffle=True, seed=1) for label in y.tolist())

    def resumed() -> Any:
        first, second = _loader(10, 4), _loader(10, 4)
        next(iter(first))
        second.load_state_dict(first.state_dict())
        return [y.tolist() for _, y in second]

    yield Probe("4 examples in batches of 2: the labels", of(4, 2))
    yield Probe("8 examples in batches of 4: the labels", of(8, 4))
    yield Probe("10 examples in batches of 4: the labels", of(10, 4))
    yield Probe("3 examples in batches of 4: the labels", of(3, 4))
    yield Probe("10 examples in batches of 4, drop_last=True: the labels", of(10, 4, drop_last=True))
    yield Probe("6 examples in batches of 2, shuffle=True, seed=0: the labels", of(6, 2, shuffle=True))
    yield Probe("10 examples in batches of 3, shuffled: all labels, sorted", is_each_once)
    yield Probe(
        "10 examples in batches of 4: the labels after the first batch, by a loader with its state", resumed, stage=1
    )
