"""Steps of optimizers in blocks are steps on whole arrays to the last bit, in little room, and none more on a GPU."""

import tracemalloc

import numpy as np
import pytest

import tinygrad_sm as tg
import tinygrad_sm.fast.blocks
from tests.helpers import of_the_wing
from tests.nn.test_optim import every_kind
from tinygrad_sm import nn
from tinygrad_sm.fast.blocks import blocks
from tinygrad_sm.nn.optim import SGD, Adam, AdamW

LAYOUTS = {
    "C": (np.array, np.array),
    "Fortran": (np.asfortranarray, np.asfortranarray),
    "C with a Fortran gradient": (np.array, np.asfortranarray),
    "Fortran with a C gradient": (np.asfortranarray, np.array),
    "with gaps": (lambda x: np.repeat(x, 2, axis=-1)[..., ::2], np.array),
    "with gaps in the gradient": (np.array, lambda x: np.repeat(x, 2, axis=0)[::2]),
    "one of them backwards": (lambda x: np.array(x[::-1])[::-1], np.array),
    "axes in another order": (lambda x: np.array(x.T.swapaxes(0, 1)).swapaxes(0, 1).T, np.array),
}


def stepped(block, kind, options, layouts, shape, dtype, monkeypatch):
    """Return θ and what is remembered after four steps with blocks of this size."""
    monkeypatch.setattr(tinygrad_sm.fast.blocks, "BLOCK", block)
    random, (of_data, of_grad) = np.random.default_rng(0), layouts
    w = nn.Parameter(of_data(random.standard_normal(shape).astype(dtype)))
    optimizer = kind([w], **options)
    for _ in range(4):
        w.grad = of_grad(random.standard_normal(shape).astype(dtype))
        w.grad.flags.writeable = False
        kept = w.grad.copy()
        optimizer.step()
        np.testing.assert_array_equal(w.grad, kept)
    return [w.data, *optimizer.state_dict()["state"][0].values()]


@pytest.mark.parametrize("layout", LAYOUTS)
@every_kind
def test_blocks_change_no_bit(kind, options, layout, monkeypatch):
    for dtype in (np.float16, np.float32, np.float64):
        job = kind, options, LAYOUTS[layout], (5, 3, 4), dtype, monkeypatch
        whole = stepped(60, *job)
        for block in (1, 7, 30, 59):
            for x, y in zip(stepped(block, *job), whole, strict=True):
                np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("shape", [(), (0,), (3, 0), (1,), (1, 5), (5, 1)])
@every_kind
def test_blocks_of_any_shape_change_no_bit(kind, options, shape, monkeypatch):
    job = kind, options, LAYOUTS["C"], shape, np.float32, monkeypatch
    for x, y in zip(stepped(2, *job), stepped(100, *job), strict=True):
        assert np.shape(x) == np.shape(y)
        np.testing.assert_array_equal(x, y)


def test_the_parts_are_stretches_of_memory(monkeypatch):
    monkeypatch.setattr(tinygrad_sm.fast.blocks, "BLOCK", 7)
    a = np.arange(20.0).reshape(4, 5)
    for x, y in ((a, a + 100), (a.T, (a + 100).T)):
        parts = list(blocks(x, y))
        assert [len(part) for part, _ in parts] == [7, 7, 6]
        assert all(np.shares_memory(part, x) and np.shares_memory(other, y) for part, other in parts)
        np.testing.assert_array_equal(np.concatenate([part for part, _ in parts]), np.arange(20))
        np.testing.assert_array_equal(np.concatenate([other for _, other in parts]), np.arange(100, 120))


def test_what_is_one_part(monkeypatch, strict):
    monkeypatch.setattr(tinygrad_sm.fast.blocks, "BLOCK", 7)
    a = np.ones((4, 5))
    there = nn.Parameter(a).to("cuda").data
    for arrays in ((a, a.T.copy().T), (a[::2],), (np.ones((5, 8))[:, ::2], a.T), (np.ones(7),), (there, there)):
        (part,) = blocks(*arrays)
        assert all(x is y for x, y in zip(part, arrays, strict=True))


def test_a_step_launches_no_more_on_a_gpu_for_large_parameters(monkeypatch, strict):
    launches = []
    for block in (100, 7):
        monkeypatch.setattr(tinygrad_sm.fast.blocks, "BLOCK", block)
        w = nn.Parameter(tg.Tensor(np.ones((4, 5), np.float32), device="cuda"))
        optimizer = SGD([w], lr=0.5, weight_decay=0.5)
        for _ in range(2):
            w.grad = w.data * 0.5
            strict.EVENTS.clear()
            optimizer.step()
        launches.append(strict.EVENTS["launch"])
        np.testing.assert_allclose(w.numpy(), 0.25)
    assert launches[0] == launches[1] > 0


@of_the_wing
@every_kind
def test_the_room_is_that_of_blocks(kind, options):
    size = 20 * tinygrad_sm.fast.blocks.BLOCK + 1000
    w = nn.Parameter(np.ones(size, np.float32))
    w.grad = np.ones(size, np.float32)
    optimizer = kind([w], **options)
    optimizer.load_state_dict({**optimizer.state_dict(), "state": [optimizer._new_state(w.data)]})
    peaks = []
    for _ in range(2):
        tracemalloc.start()
        optimizer.step()
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[0] < w.data.nbytes / 8
    assert peaks[1] < w.data.nbytes / 1000


@pytest.mark.parametrize(("kind", "options"), [(SGD, {"momentum": 0.9}), (Adam, {}), (AdamW, {"weight_decay": 0.1})])
def test_a_run_resumes_to_the_last_bit_in_another_layout(kind, options, monkeypatch):
    monkeypatch.setattr(tinygrad_sm.fast.blocks, "BLOCK", 7)
    gradients = np.random.default_rng(1).standard_normal((6, 4, 5)).astype(np.float32)
    w, other = nn.Parameter(np.ones((4, 5), np.float32)), nn.Parameter(np.zeros((4, 5), np.float32, order="F"))
    optimizer, resumed = kind([w], **options), kind([other], **options)
    for i, g in enumerate(gradients):
        if i == 3:
            other.assign(w)
            resumed.load_state_dict(optimizer.state_dict())
        w.grad = other.grad = g
        optimizer.step()
        if i >= 3:
            resumed.step()
    assert other.data.flags.f_contiguous
    np.testing.assert_array_equal(w.data, other.data)
