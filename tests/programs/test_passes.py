"""What the passes leave out, what they keep, and how much memory a program takes."""

import gc
import tracemalloc

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.interruptions import half_done
from tests.nn.stress import exactly
from tinygrad_sm import nn
from tinygrad_sm.programs.arrays import name_of
from tinygrad_sm.programs.passes import LARGE, _Block
from tinygrad_sm.programs.recording import Call


def names_of(step):
    return [name_of(call.function) for call in step.program.calls if isinstance(call, Call)]


def called(step, *arguments, times=3):
    step = tg.compiled(step)
    for _ in range(times):
        result = step(*arguments)
    return step, result


def test_what_nothing_needs_is_not_computed():
    def step(x):
        tg.exp(x)
        return tg.tanh(x)

    step, _ = called(step, np.ones(3))
    assert names_of(step) == ["tanh"]


def test_a_gradient_becomes_grad_without_a_copy():
    w = nn.Parameter(np.ones((3, 2)))

    def step(x):
        w.grad = None
        (x @ w).sum().backward()

    step, _ = called(step, np.ones((4, 3)))
    assert "array" not in names_of(step)
    np.testing.assert_array_equal(w.grad, np.full((3, 2), 4.0))


def test_a_gradient_that_two_leaves_share_is_copied_for_one():
    w, v = nn.Parameter(np.ones(3)), nn.Parameter(np.ones(3))

    def step(x):
        w.grad = v.grad = None
        ((w + v) * x).sum().backward()

    step, _ = called(step, np.arange(3.0))
    assert names_of(step).count("array") == 1
    w.grad[0] = 7
    assert v.grad.tolist() == [0, 1, 2]
    step(np.arange(3.0))
    assert w.grad.tolist() == v.grad.tolist() == [0, 1, 2]


def test_a_gradient_that_is_a_constant_is_made_anew_in_each_run():
    w = nn.Parameter(np.ones(3))

    def step():
        w.grad = None
        w.sum().backward()

    step, _ = called(step)
    w.grad *= 5
    step()
    assert w.grad.tolist() == [1, 1, 1]


def test_a_constant_that_the_step_changes_is_made_anew_in_each_run():
    step, result = called(lambda x: tg.Tensor(x)[np.array([0, 0, 1])].sum() + tg.ones(3), np.ones(2), times=5)
    assert result.tolist() == [4, 4, 4]
    w = nn.Parameter(np.ones(4))

    def lookup():
        w.grad = None
        w[np.array([1, 1, 3])].sum().backward()

    called(lookup, times=5)
    assert w.grad.tolist() == [0, 2, 0, 1]


@pytest.mark.parametrize("size", [8, LARGE])
def test_results_share_memory_and_large_ones_are_written_over_operands(size):
    def step(x):
        for _ in range(50):
            x = tg.tanh(x * 0.5)
        return x

    x = np.ones(size)
    step, result = called(step, x)
    with_copies = x.copy()
    for _ in range(50):
        with_copies = np.tanh(with_copies * 0.5)
    np.testing.assert_array_equal(result.data, with_copies)
    assert step.program.nbytes <= (1 if size == LARGE else 2) * x.nbytes + 200


@pytest.mark.parametrize("layers", [1, 6])
def test_a_program_takes_no_more_memory_than_the_peak_of_the_step(layers):
    model = nn.Sequential(
        *[layer for _ in range(layers) for layer in (nn.Linear(64, 64), nn.ReLU())], nn.Linear(64, 10)
    )
    optimizer, loss_function = nn.optim.SGD(model.parameters(), lr=0.1, momentum=0.9), nn.CrossEntropyLoss()
    x, y = np.ones((256, 64), np.float32), np.arange(256) % 10

    def step(x, y):
        loss = loss_function(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    for _ in range(2):
        step(x, y)
    for p in model.parameters():
        p.grad = None
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    step(x, y)
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    compiled, _ = called(step, x, y, times=4)
    assert compiled.program.nbytes <= peak


def test_a_block_gives_what_was_returned_and_joins_it():
    block = _Block()
    starts = [block.take(64) for _ in range(4)]
    assert starts == [0, 64, 128, 192]
    block.give(64, 64)
    block.give(192, 64)
    assert block.take(64) == 64
    block.give(64, 64)
    block.give(128, 64)
    assert block.free == [(64, 256)]
    assert block.take(128) == 64
    assert block.take(128) == 256
    assert block.size == 384


def compiled_case():
    tg.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    optimizer, loss_function = nn.optim.Adam(model.parameters(), lr=0.1), nn.CrossEntropyLoss()
    x, y = np.ones((5, 3), np.float32), np.arange(5) % 2

    @tg.compiled
    def step(x, y):
        loss = loss_function(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    for _ in range(4):
        step(x, y)
    assert step.program is not None

    def state():
        return exactly([model.state_dict(), optimizer.state_dict()])  # gradients are valid until the call

    return lambda: step(x, y), state


def test_an_interruption_finds_all_of_a_step_done_or_nothing():
    spoiled, points = half_done(compiled_case, KeyboardInterrupt)
    assert points > 30
    assert spoiled == []
