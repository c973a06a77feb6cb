"""Recordings of programs whose arrays lie on a GPU: what is kept of them lies on the host."""

import copy

import numpy as np
import pytest

import tinygrad_sm as tg
from tinygrad_sm import nn

RANDOM = np.random.default_rng(0)
IMAGES, LABELS = RANDOM.normal(size=(4, 6)).astype(np.float32), np.array([0, 2, 1, 2])


def step(device):
    tg.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3))
    model.to(device)
    X, y = tg.Tensor(IMAGES, device=device), tg.Tensor(LABELS, device=device)
    optimizer = nn.optim.Adam(model.parameters())
    with tg.look.record(model) as recording:
        logits = model(X)
        loss = nn.functional.cross_entropy(logits, y) + (logits[y.data == 1] ** 2).sum()
        loss.backward()
        optimizer.step()
    return recording


def test_a_step_on_a_gpu_is_recorded_as_on_the_host(strict, tmp_path):
    here, there = step("cpu"), step("cuda")
    assert len(here.steps) == len(there.steps)
    for a, b in zip(here.entries, there.entries, strict=True):
        assert (a.label, a.names, type(b.value.sample)) == (b.label, b.names, np.ndarray)
        assert np.allclose(a.value.sample, b.value.sample, rtol=1e-4, atol=1e-5)
    for recording in (here, there):
        recording.svg(numbers=True)
        recording.page(tmp_path / "page.html")
        recording.text()
        copy.deepcopy(recording)
        assert "cross_entropy" not in [operation.label for operation in recording.unfolded().operations]
        found = recording.paths("3.bias", 0)
        assert found.sum == pytest.approx(found.autodiff, rel=1e-4)
    dlogits = there["logits"].g.array
    assert {row.verdict for row in tg.look.compare(there, {"3.bias": dlogits.sum(axis=0), "logits": dlogits})} == {
        "right"
    }
    on_device = tg.Tensor(dlogits, device="cuda")
    assert tg.look.compare(there, dlogits=on_device)["dlogits"].verdict == "right"
    assert tg.look.compare(there, dlogits=on_device.data)["dlogits"].verdict == "right"
