"""The loader gives every row once per epoch, in an order of seed and epoch alone, and refuses bad data when made."""

import doctest
import importlib
import json
import os
import sys
import threading
import time
import warnings
from collections import namedtuple
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tinygrad_sm import nn
from tinygrad_sm.datasets import DataLoader, LabelledImages
from tinygrad_sm.errors import CheckpointError, DeviceError

loader_module = importlib.import_module("tinygrad_sm.datasets.loader")
Array = np.ndarray[Any, Any]
x = np.arange(40.0, dtype=np.float32).reshape(10, 2, 2)
y = np.arange(10)


def rows_of(batches: list[tuple[Array, Array]]) -> list[int]:
    """Return the rows in the order in which the batches bring them, from batches of (x, y) above."""
    for images, labels in batches:
        np.testing.assert_array_equal(images, x[labels], strict=True)
    return [int(label) for _, labels in batches for label in labels]


def shuffled_rows(seed: int, epoch: int) -> list[int]:
    return np.random.default_rng([seed, epoch]).permutation(10).tolist()


@pytest.mark.parametrize(("drop_last", "sizes"), [(False, [4, 4, 2]), (True, [4, 4])])
def test_the_last_smaller_batch(drop_last: bool, sizes: list[int]) -> None:
    loader = DataLoader((x, y), 4, drop_last=drop_last)
    assert [len(labels) for _, labels in loader] == sizes
    assert len(loader) == len(sizes)
    assert rows_of(list(loader)) == list(range(sum(sizes)))


@given(N=st.integers(1, 50), batch_size=st.integers(1, 60), shuffle=st.booleans(), drop_last=st.booleans())
def test_batches_hold_every_row_once(N: int, batch_size: int, shuffle: bool, drop_last: bool) -> None:
    assume(batch_size <= N or not drop_last)
    loader = DataLoader((np.arange(N) * 2, np.arange(N)), batch_size, shuffle, drop_last=drop_last)
    batches = list(loader)
    labels = [label for _, labels in batches for label in labels.tolist()]
    assert len(loader) == len(batches)
    assert all(np.array_equal(doubled, 2 * labels) for doubled, labels in batches)
    assert all(len(labels) == batch_size for _, labels in batches[: len(batches) if drop_last else -1])
    assert len(labels) == (N - N % batch_size if drop_last else N)
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize("shuffle", [False, True])
def test_batches_are_distinct_writable_arrays(shuffle: bool) -> None:
    loader = DataLoader((x, y), 3, shuffle)
    before = x.copy(), y.copy()
    arrays = [array for batch in [*loader, *loader] for array in batch]
    for i, array in enumerate(arrays):
        assert array.flags.owndata
        assert not any(np.shares_memory(array, other) for other in [x, y, *arrays[:i]])
        array[...] = -1
    np.testing.assert_array_equal(x, before[0])
    np.testing.assert_array_equal(y, before[1])


@pytest.mark.parametrize("shuffle", [False, True])
def test_batches_keep_shape_and_dtype(shuffle: bool) -> None:
    strided = np.asfortranarray(x)[:, ::-1]
    for images, labels in DataLoader((strided, y.astype(np.uint8)), 5, shuffle):
        assert images.shape == (5, 2, 2)
        assert images.dtype == np.float32
        assert images.flags.c_contiguous
        assert labels.dtype == np.uint8


@pytest.mark.parametrize("seed", [0, 1, np.int64(7), 2**40])
def test_the_order_is_a_function_of_seed_and_epoch(seed: int) -> None:
    loader = DataLoader((x, y), 4, shuffle=True, seed=seed)
    assert [rows_of(list(loader)) for _ in range(3)] == [shuffled_rows(seed, epoch) for epoch in range(3)]
    assert loader.epoch == 3


def test_the_order_does_not_depend_on_the_batch_size_or_the_global_generator() -> None:
    np.random.seed(5)  # noqa: NPY002
    assert rows_of(list(DataLoader((x, y), 1, shuffle=True))) == rows_of(list(DataLoader((x, y), 7, shuffle=True)))


def test_without_shuffle_every_epoch_keeps_the_order() -> None:
    loader = DataLoader((x, y), 4)
    assert [rows_of(list(loader)) for _ in range(2)] == [list(range(10))] * 2
    assert loader.epoch == 2


def test_a_run_goes_on_at_a_given_epoch() -> None:
    loader = DataLoader((x, y), 4, shuffle=True, seed=3)
    loader.epoch = 5
    assert rows_of(list(loader)) == shuffled_rows(3, 5)
    assert loader.epoch == 6


def test_an_abandoned_iteration_does_not_count() -> None:
    loader = DataLoader((x, y), 4, shuffle=True)
    for _ in loader:
        break
    iterator = iter(loader)
    for _ in range(3):
        next(iterator)
    assert loader.epoch == 0  # the last batch is out, but its user may still be at work on it
    del iterator
    assert rows_of(list(loader)) == shuffled_rows(0, 0)


def test_the_epoch_advances_when_the_iteration_finishes() -> None:
    loader = DataLoader((x, y), 4, shuffle=True)
    assert [loader.epoch for _ in loader] == [0, 0, 0]
    assert loader.epoch == 1


def test_two_iterators_can_be_under_way_at_once() -> None:
    loader = DataLoader((x, y), 4, shuffle=True)
    first, second = iter(loader), iter(loader)
    batches: list[list[tuple[Array, Array]]] = [[], []]
    batches[0].append(next(first))
    batches[1] += [next(second), next(second)]
    batches[0] += list(first)
    batches[1] += list(second)
    assert [rows_of(each) for each in batches] == [shuffled_rows(0, 0)] * 2


def test_two_iterations_of_one_epoch_are_one_epoch() -> None:
    loader = DataLoader((x, y), 4, shuffle=True)
    pairs = list(zip(loader, loader, strict=True))
    assert rows_of([first for first, _ in pairs]) == rows_of([second for _, second in pairs]) == shuffled_rows(0, 0)
    assert loader.epoch == 1


def test_an_iteration_of_another_epoch_does_not_move_the_loader() -> None:
    loader = DataLoader((x, y), 4, shuffle=True)
    late = iter(loader)
    next(late)
    loader.epoch = 5
    list(late)
    assert loader.epoch == 5


def test_an_iterator_keeps_the_order_of_the_epoch_in_which_it_was_begun() -> None:
    loader = DataLoader((x, y), 4, shuffle=True)
    waiting = iter(loader)
    list(loader)
    assert rows_of(list(waiting)) == shuffled_rows(0, 0)


def test_named_tuples_are_data_sets() -> None:
    Pair = namedtuple("Pair", ["inputs", "targets"])  # noqa: PYI024
    data = LabelledImages(x, y, tuple("0123456789"))
    for dataset in (Pair(x, y), data):
        assert rows_of(list(DataLoader(dataset, 4))) == list(range(10))


def test_targets_without_classes_may_be_anything() -> None:
    ((_, targets),) = DataLoader((x, np.linspace(-1, 1, 20).reshape(10, 2)), 10)
    assert targets.shape == (10, 2)


def test_sequences_become_arrays() -> None:
    ((inputs, labels),) = DataLoader(([1.0, 2.0], [0, 1]), 2)
    assert (inputs.dtype, labels.dtype) == (np.float32, np.int64)


class Example(NamedTuple):
    """A data set with class names, as the loader knows it."""

    x: Any
    y: Any
    classes: tuple[str, ...] = ("cat", "dog", "emu")


three = np.zeros((4, 2))

ERRORS: dict[str, tuple[Any, dict[str, Any], type[Exception], str]] = {
    "an array alone": (x, {}, TypeError, r"tuple \(x, y\) .* got float32 \(10, 2, 2\)"),
    "a list": ([x, y], {}, TypeError, r"tuple \(x, y\) .* got list"),
    "three arrays": ((x, y, y), {}, TypeError, r"tuple \(x, y\) .* got tuple"),
    "one array": ((x,), {}, TypeError, r"tuple \(x, y\)"),
    "words": ((np.array(["a"]), [0]), {}, TypeError, "expected numbers"),
    "unequal lengths": ((x, y[:9]), {}, ValueError, r"got shapes \(10, 2, 2\) and \(9,\)"),
    "no rows": ((x[:0], y[:0]), {}, ValueError, r"must not be empty, got shapes \(0, 2, 2\) and \(0,\)"),
    "a scalar": ((np.float32(1), y), {}, ValueError, r"got shapes \(\) and \(10,\)"),
    "batch size 0": (
        (x, y),
        {"batch_size": 0},
        ValueError,
        "DataLoader: expected batch_size to be an integer of at least 1, got 0",
    ),
    "batch size -1": (
        (x, y),
        {"batch_size": -1},
        ValueError,
        "DataLoader: expected batch_size to be an integer of at least 1, got -1",
    ),
    "batch size 2.0": (
        (x, y),
        {"batch_size": 2.0},
        TypeError,
        "DataLoader: expected batch_size to be an integer of at least 1, got float 2.0",
    ),
    "batch size True": (
        (x, y),
        {"batch_size": True},
        TypeError,
        "DataLoader: expected batch_size to be an integer of at least 1, got bool True",
    ),
    "batch size None": (
        (x, y),
        {"batch_size": None},
        TypeError,
        "DataLoader: expected batch_size to be an integer of at least 1",
    ),
    "drop_last of all": (
        (x, y),
        {"batch_size": 11, "drop_last": True},
        ValueError,
        "drop_last leaves no batch of batch_size 11 for 10 examples: make it smaller",
    ),
    "seed -1": ((x, y), {"seed": -1}, ValueError, "DataLoader: expected seed to be an integer of at least 0, got -1"),
    "seed None": ((x, y), {"seed": None}, TypeError, "DataLoader: expected seed to be an integer of at least 0"),
    "device": ((x, y), {"device": "tpu"}, DeviceError, "got 'tpu'"),
    "label 3 of 3": (Example(three, np.array([0, 2, 3, -1])), {}, IndexError, r"0\.\.2 for 3 classes, got 3 in row 2"),
    "label -1": (Example(three, np.array([0, -1, 2, 9])), {}, IndexError, r"0\.\.2 for 3 classes, got -1 in row 1"),
    "float labels": (Example(three, np.zeros(4)), {}, TypeError, r"integers, got float64: .*astype"),
    "two tags of 3": (Example(three, np.zeros((4, 2))), {}, ValueError, r"of shape \(4, 3\), one for each class, got"),
    "tags of 2": (
        Example(three, np.full((4, 3), 2)),
        {},
        ValueError,
        r"numbers from 0 to 1 .* got int64 .* from 2 to 2",
    ),
    "a tag of NaN": (Example(three, np.full((4, 3), np.nan)), {}, ValueError, "numbers from 0 to 1"),
    "bool labels": (Example(three, np.zeros(4, bool)), {}, TypeError, "integers, got bool"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_bad_data_are_refused_when_the_loader_is_made(case: str) -> None:
    dataset, options, error, message = ERRORS[case]
    with pytest.raises(error, match=message):
        DataLoader(dataset, **{"batch_size": 2, **options})


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.int64, np.uint64])
def test_labels_of_any_integer_dtype_are_taken(dtype: type) -> None:
    ((_, labels),) = DataLoader(Example(three, np.array([0, 1, 2, 2], dtype)), 4)
    assert labels.tolist() == [0, 1, 2, 2]


def test_classes_that_do_not_exclude_each_other() -> None:
    tags = np.array([[0, 0, 0], [1, 1, 1], [1, 0, 0.5], [0, 1, 0]])
    ((_, targets),) = DataLoader(Example(three, tags), 4)
    np.testing.assert_array_equal(targets, tags)


def state_at(epoch: int, position: int, seed: int = 0, **settings: int) -> dict[str, int]:
    """Return the state of a loader of x and y in batches of 4."""
    counts = {"epoch": epoch, "position": position, "seed": seed}
    return {**counts, "batch_size": 4, "shuffle": False, "drop_last": False, "examples": 10, **settings}


def made_until(batches: int, **options: Any) -> DataLoader:
    """Return a loader from which, in all, so many batches were taken, as a training loop takes them."""
    loader = DataLoader((x, y), 4, **options)
    while batches:
        for _ in loader:
            batches -= 1
            if not batches:
                break
    return loader


@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("seed", [0, 3])
@pytest.mark.parametrize("taken", range(8))
def test_a_run_goes_on_in_the_middle_of_an_epoch(taken: int, seed: int, drop_last: bool) -> None:
    length, N = (2, 8) if drop_last else (3, 10)
    whole = [row for epoch in range(4) for row in shuffled_rows(seed, epoch)[:N]]
    start = taken // length * N + taken % length * 4

    state = made_until(taken, shuffle=True, seed=seed, drop_last=drop_last).state_dict()
    # the last batch of an epoch is out, but its user may still be at work on it: the epoch is not finished
    finished = (taken - 1) // length if taken else 0
    assert state == state_at(finished, taken - finished * length, seed, shuffle=True, drop_last=drop_last)

    resumed = DataLoader((x, y), 4, shuffle=True, seed=99, drop_last=drop_last)
    list(resumed)
    resumed.load_state_dict(json.loads(json.dumps(state)))
    assert resumed.state_dict() == state
    rows: list[int] = []
    while resumed.epoch < 4:
        rows += rows_of(list(resumed))
    assert rows == whole[start:]


def test_a_loader_between_epochs_has_position_0() -> None:
    loader = DataLoader((x, y), 4)
    assert loader.state_dict() == state_at(0, 0)
    list(loader)
    assert loader.state_dict() == state_at(1, 0)
    loader.epoch = 0  # to give it once more: what was given of it before is past
    assert loader.state_dict() == state_at(0, 0)
    loader.epoch = 1
    broken_off = iter(loader)
    next(broken_off)
    assert loader.state_dict()["position"] == 1
    iter(loader)
    assert loader.state_dict()["position"] == 0


def test_iterations_of_a_restored_epoch_begin_where_it_was_until_one_finishes() -> None:
    loader = DataLoader((x, y), 4)
    loader.load_state_dict(state_at(3, 1))
    for _ in range(3):
        assert next(iter(loader))[1].tolist() == [4, 5, 6, 7]  # a look, which does not count
    assert loader.state_dict() == state_at(3, 2)
    first, second = iter(loader), iter(loader)
    assert loader.state_dict() == state_at(3, 1)
    loader.epoch = 8
    assert rows_of(list(loader)) == list(range(10))  # another epoch is whole
    loader.epoch = 3
    assert rows_of(list(first)) == rows_of(list(second)) == [4, 5, 6, 7, 8, 9]
    assert loader.epoch == 4
    for epoch in (4, 3):
        loader.epoch = epoch
        assert rows_of(list(loader)) == list(range(10))


@pytest.mark.parametrize("broken", range(3))
def test_a_batch_that_was_never_given_is_given_after_resuming(broken: int) -> None:
    """The transform fails, or is interrupted, once: in the first, a middle or the last batch."""

    def transform(images: Array) -> Array:
        if failing and images[0, 0, 0] == x[4 * broken, 0, 0]:
            raise failing.pop()
        return images

    for error in (ValueError, KeyboardInterrupt):
        failing: list[type[BaseException]] = [error]
        loader, resumed = (DataLoader((x, y), 4, transform=transform) for _ in range(2))
        batches = []
        with pytest.raises(error):
            batches.extend(loader)
        assert loader.state_dict() == state_at(0, broken)
        resumed.load_state_dict(loader.state_dict())
        assert rows_of(list(resumed)) == list(range(4 * broken, 10))
        assert rows_of(list(loader)) == list(range(10))  # the loader itself begins the epoch anew
        assert loader.epoch == 1


@pytest.fixture
def busy_threads() -> Iterator[Callable[[Callable[[], Any]], list[Any]]]:
    """Return what calls a function in 8 threads, which take turns as often as can be, and returns the results."""

    def in_threads(function: Callable[[], Any]) -> list[Any]:
        with ThreadPoolExecutor(8) as pool:
            calls = [pool.submit(function) for _ in range(8)]
            return [call.result() for call in calls]

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield in_threads
    sys.setswitchinterval(interval)


class SlowNumber(int):
    """The number of an epoch that lets other threads run while it is compared."""

    def __eq__(self, other: object) -> bool:
        equal = int(self) == other
        time.sleep(1e-4)
        return equal

    __hash__ = int.__hash__


def test_threads_that_share_a_loader_get_every_row(busy_threads: Any) -> None:
    loader = DataLoader((x, y), 4)

    def iterate() -> None:
        for _ in range(400):
            assert rows_of(list(loader)) == list(range(10))

    busy_threads(iterate)


def test_iterations_that_finish_in_many_threads_at_once_are_one_epoch(busy_threads: Any) -> None:
    loader = DataLoader((x, y), 4)
    for epoch in range(10):
        loader.epoch = SlowNumber(epoch)
        iterators = [iter(loader) for _ in range(8)]
        start = threading.Barrier(8)

        def finish() -> None:
            batches = iterators.pop()  # noqa: B023  it runs within this turn of the loop
            start.wait()  # noqa: B023
            list(batches)

        busy_threads(finish)
        assert loader.epoch == epoch + 1


def test_a_thread_that_asks_where_a_loader_is_finds_no_row_twice_or_left_out(busy_threads: Any) -> None:
    """Between the last batch of one epoch and the end of it, the state is that of the one or of the other."""
    loader = DataLoader((x, y), 4)
    given, ended, found = [0], threading.Event(), []

    def watch() -> None:
        while not ended.is_set():
            before = given[0]
            state = loader.state_dict()
            found.append(before <= 3 * state["epoch"] + state["position"] <= given[0] + 1)  # one is on its way

    def train() -> None:
        for epoch in range(100):
            loader.epoch = SlowNumber(epoch)
            for _ in loader:
                given[0] += 1
        ended.set()

    jobs = [train, watch, watch]
    with ThreadPoolExecutor(3) as pool:
        for call in [pool.submit(job) for job in jobs]:
            call.result()
    assert all(found)


def test_a_signal_handler_and_a_forked_process_may_ask_where_a_loader_is() -> None:
    loader = DataLoader((x, y), 4)
    with loader_module._LOCK:  # as if the signal came, or another thread forked, while the loader moves
        assert loader.state_dict() == state_at(0, 0)
        if hasattr(os, "fork"):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # there are threads
                child = os.fork()
            if not child:
                thread = threading.Thread(target=loader.state_dict, daemon=True)
                thread.start()
                thread.join(20)
                os._exit(thread.is_alive())
            assert os.waitpid(child, 0)[1] == 0


SOUND_STATE = state_at(1, 2, seed=5, shuffle=True)
STATES: dict[str, tuple[Any, str]] = {
    "nothing": (None, "expected a dict, got NoneType None"),
    "a list": ([1, 2, 3], r"expected a dict, got list \[1, 2, 3\]"),
    "of the order alone": (
        {"epoch": 1, "position": 2, "seed": 5},
        "batch_size: missing\n  shuffle: missing\n  drop_last: missing\n  examples: missing",
    ),
    "too much": ({**SOUND_STATE, "lr": 0.1}, "lr: unexpected"),
    "epoch -1": ({**SOUND_STATE, "epoch": -1}, "state: expected epoch to be an integer of at least 0, got -1"),
    "epoch 1.0": ({**SOUND_STATE, "epoch": 1.0}, "state: expected epoch to be an integer of at least 0, got float 1.0"),
    "position True": (
        {**SOUND_STATE, "position": True},
        "state: expected position to be an integer of at least 0, got bool True",
    ),
    "position 4": ({**SOUND_STATE, "position": 4}, "position must be at most 3, the batches of an epoch, got 4"),
    "seed None": (
        {**SOUND_STATE, "seed": None},
        "state: expected seed to be an integer of at least 0, got NoneType None",
    ),
    "seed -1": ({**SOUND_STATE, "seed": -1}, "state: expected seed to be an integer of at least 0, got -1"),
    "other batches": ({**SOUND_STATE, "batch_size": 5}, "batch_size: expected 4, got int 5"),
    "not shuffled": ({**SOUND_STATE, "shuffle": False}, "shuffle: expected True, got bool False"),
    "without the last": ({**SOUND_STATE, "drop_last": True}, "drop_last: expected False, got bool True"),
    "more examples": ({**SOUND_STATE, "examples": 11}, "examples: expected 10, got int 11"),
    "an array": ({**SOUND_STATE, "batch_size": y}, r"batch_size: expected 4, got int64 \(10,\)"),
    "many unknown names": (
        {**SOUND_STATE, **{f"\x1b{i}": 0 for i in range(10**5)}},
        r"(\\x1b\d+: unexpected\n  ){19}\.\.\. and 99980 more, 100000 in all\n  \\x1b99999: unexpected",
    ),
    "all of it": (
        {"epoch": None, "position": -1, "batch_size": 9, "shuffle": 0, "drop_last": True, "examples": 0, "lr": 1},
        "seed: missing\n  lr: unexpected\n  state: expected epoch .*\n  state: expected position .* at least 0, .*\n  "
        "batch_size: .*\n  shuffle: .*\n  drop_last: .*\n  examples: .*",
    ),
}


@pytest.mark.parametrize("case", STATES)
def test_a_state_that_does_not_fit_changes_nothing(case: str) -> None:
    state, message = STATES[case]
    loader = made_until(4, seed=7, shuffle=True)
    before = loader.state_dict()
    with pytest.raises(CheckpointError, match=f"^the state does not fit the DataLoader:\n  {message}$"):
        loader.load_state_dict(state)
    assert loader.state_dict() == before == state_at(1, 1, seed=7, shuffle=True)


def gradient_by_hand(images: Array, labels: Array, weight: Array) -> Array:
    """Return d/dW of the mean cross-entropy of softmax(x Wᵀ): (p - y)ᵀ x / N, in plain NumPy."""
    flat = images.reshape(len(images), -1).astype(np.float64)
    p = np.exp(flat @ weight.T.astype(np.float64))
    p /= p.sum(axis=1, keepdims=True)
    p[np.arange(len(labels)), labels] -= 1
    return p.T @ flat / len(labels)


@pytest.mark.parametrize("shuffle", [False, True])
def test_two_live_batches_backpropagate_after_the_loader_has_moved_on(shuffle: bool) -> None:
    images = np.random.default_rng(0).standard_normal((10, 2, 2)).astype(np.float32)
    copies, losses = [], []
    layer = nn.Linear(4, 10, bias=False)
    iterator = iter(DataLoader((images, y), 3, shuffle))
    for _ in range(2):
        batch, labels = next(iterator)
        copies.append((batch.copy(), labels.copy()))
        losses.append(nn.functional.cross_entropy(layer(nn.Flatten()(batch)), labels))
    list(iterator)  # the loader goes on, and its epoch ends
    for loss, (batch, labels) in zip(losses, copies, strict=True):
        layer.weight.grad = None
        loss.backward()
        np.testing.assert_allclose(layer.weight.grad, gradient_by_hand(batch, labels, layer.weight.data), atol=1e-6)


def test_the_device_that_exists_is_taken() -> None:
    assert len(DataLoader((x, y), 4, device="cpu")) == 3


def test_the_example_in_the_documentation() -> None:
    results = doctest.testmod(importlib.import_module("tinygrad_sm.datasets.loader"))
    assert results.attempted
    assert not results.failed
