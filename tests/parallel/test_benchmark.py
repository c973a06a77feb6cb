"""The benchmark of several processes compares equal work, and says what its message takes."""

import pytest

from benchmarks import harness, parallel
from tests.parallel.helpers import needs_mpi

TINY = {"layers": [12, 9, 5], "batch": 33, "steps": 2}


@pytest.fixture
def printed(monkeypatch):
    monkeypatch.setattr(harness, "PRINTED", [])
    monkeypatch.setattr(harness, "TABLES", [])
    monkeypatch.setattr(parallel, "SETTINGS", {"mlp tiny": TINY})
    ours = {name: way for name, way in parallel.WAYS.items() if way.program != "torch"}
    monkeypatch.setattr(parallel, "WAYS", ours)
    return harness.PRINTED


@needs_mpi
def test_it_prints_a_table_and_its_targets(printed):
    parallel.compare("mlp tiny", rounds=1)
    text = "\n".join(printed)
    assert all(f"| {name} | " in text for name in parallel.WAYS)
    assert "of it 2 processes spend " in text
    assert text.count("target: ") == 2


@needs_mpi
def test_it_refuses_to_compare_different_work(printed, monkeypatch):
    timed = parallel.timed

    def wrong(way, setting):
        found = timed(way, setting)
        return {**found, "loss": found["loss"] * (1.01 if way.processes == 2 else 1)}

    monkeypatch.setattr(parallel, "timed", wrong)
    with pytest.raises(RuntimeError, match="the alternatives do not compute the same"):
        parallel.compare("mlp tiny", rounds=1)
