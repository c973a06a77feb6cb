"""The benchmarks compare equal work: alternatives agree on small settings, wrong ones are refused, results written."""

import contextlib
import math
import os
import sys
import time
from collections import Counter

import mnist_softmax
import numpy as np
import pytest

from benchmarks import (
    cross_entropy,
    data,
    embedding,
    epoch,
    harness,
    hvp,
    mlp,
    optimizers,
    results,
    small_ops,
    transformer,
    wall,
    wall_programs,
)

JOBS = {
    "epoch": (epoch.ALTERNATIVES, {"batch_size": 20}),
    "mlp": (mlp.ALTERNATIVES, {"steps": 2}),
    "scalars": (small_ops.ALTERNATIVES, {"kind": "scalars", "steps": 50}),
    "arrays": (small_ops.ALTERNATIVES, {"kind": "arrays", "steps": 50}),
    "cross_entropy": (cross_entropy.ALTERNATIVES, {"N": 70, "C": 3000}),
    "embedding": (embedding.ALTERNATIVES, {"N": 300, "times": 1}),
    "transformer": (transformer.ALTERNATIVES, {"layers": 1, "steps": 2, "activation": "gelu"}),
    "SGD": (optimizers.alternatives("SGD"), {"size": 140_000}),
    "Adam": (optimizers.alternatives("Adam"), {"size": 140_000}),
    "hvp": (hvp.ALTERNATIVES, {"repeats": 1}),
}


@pytest.fixture
def printed(monkeypatch):
    """Begin with nothing printed, and leave nothing."""
    monkeypatch.setattr(harness, "PRINTED", [])
    monkeypatch.setattr(harness, "TABLES", [])
    monkeypatch.setattr(results, "PRINTED", harness.PRINTED)
    monkeypatch.setattr(results, "TABLES", harness.TABLES)
    return harness.PRINTED


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder of few random images, so many that the last batch of 20 is smaller."""
    path = tmp_path_factory.mktemp("images")
    random = np.random.default_rng(1)
    pixels = random.integers(0, 256, (256, 1, 28, 28), dtype=np.uint8)
    data.save(path, pixels, random.integers(0, 10, len(pixels)))
    return str(path)


@pytest.mark.filterwarnings("default")  # those of other libraries are not ours
@pytest.mark.parametrize("job", JOBS)
def test_all_that_are_installed_compute_the_same(job, folder, printed):
    alternatives, setting = JOBS[job]
    if job in ("epoch", "mlp"):
        setting = {"folder": folder, **setting}
    runs = {name: alternative(**setting) for name, alternative in harness.installed(alternatives).items()}
    for _ in range(2):  # a run leaves nothing behind that changes the next; optimizers go on, all alike
        replies = {name: harness.Reply(None, run()) for name, run in runs.items()}
        harness.check_agreement(replies, tolerance=1e-5)
        assert all(math.isfinite(reply.value) for reply in replies.values())
    assert {"plain NumPy" if job != "transformer" else "tinygrad_sm, compiled", "tinygrad_sm"} <= replies.keys()


@pytest.mark.filterwarnings("default")
def test_whole_trainings_reach_the_same(printed):
    programs = harness.installed(wall_programs.PROGRAMS)
    results = {name: program(seed=3, epochs=4, size=1000) for name, program in programs.items()}
    losses = {name: result.loss for name, result in results.items()}
    assert losses["tinygrad_sm, compiled"] == losses["tinygrad_sm"]
    same = {name: harness.Reply(None, loss) for name, loss in losses.items() if name not in wall.OWN_WAY}
    harness.check_agreement(same, wall.TOLERANCE)
    assert all(50 < result.accuracy < 90 for result in results.values())
    assert wall_programs.tinygrad_sm(seed=4, epochs=4, size=1000).loss != losses["tinygrad_sm"]


def test_whole_trainings_have_the_options_of_the_flagship(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, "argv", ["mnist_softmax.py", "--output", str(tmp_path)])
    options = mnist_softmax.parse_arguments()
    for name in ("epochs", "batch_size", "lr", "momentum", "weight_decay", "threads"):
        assert getattr(options, name) == getattr(wall_programs, name.upper())
    assert options.train_size == wall_programs.SIZE


def test_a_whole_training_is_timed_in_an_interpreter_of_its_own():
    start = time.perf_counter()
    seconds, result = wall.timed("tinygrad_sm", seed=0)
    assert 0 < seconds < time.perf_counter() - start
    assert result.accuracy >= wall.ACCURACY


def test_trainings_are_timed_alone_and_beside_a_neighbour(printed, monkeypatch):
    neighbours, surroundings = [], []

    @contextlib.contextmanager
    def neighbour():
        neighbours.append(1)
        yield
        neighbours.pop()

    def timed(name, seed):
        surroundings.append((seed, name, len(neighbours)))
        return 2.0 + len(neighbours) + (name == "PyTorch"), wall_programs.Result(92.6, 0.25)

    monkeypatch.setattr(wall, "PROGRAMS", dict.fromkeys(["tinygrad_sm", "tinygrad_sm, compiled", "PyTorch"]))
    monkeypatch.setattr(wall, "installed", lambda programs: programs)
    monkeypatch.setattr(wall, "PAUSE", 0)
    monkeypatch.setattr(wall, "neighbour", neighbour)
    monkeypatch.setattr(wall, "timed", timed)
    wall.benchmark([1, 2], rounds=2)
    runs = Counter((seed, beside) for seed, _, beside in surroundings)
    assert runs == {(0, 0): 6, (0, 1): 3, (1, 0): 3, (1, 1): 3}  # once more at first, which is not timed
    text = "\n".join(printed)
    assert "| PyTorch | 3.00 [3.00, 3.00] | 1.50 [1.50, 1.50] |" in text
    assert "busy neighbour × alone: tinygrad_sm 1.50, tinygrad_sm, compiled 1.50, PyTorch 1.33" in text
    assert "compiled at most 0.9 × eager: 1.00, missed" in text
    assert "compiled with a busy neighbour at most 1.5 × alone: 1.50, reached" in text


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"PyTorch": (92.49, 0.25)}, "92.5 % was not reached: {'PyTorch': 92.49}"),
        ({"PyTorch": (math.nan, 0.25)}, "92.5 % was not reached"),
        ({"PyTorch": (92.6, 0.2501)}, "do not compute the same"),
        ({"tinygrad_sm, compiled": (92.6, 0.25 + 1e-12)}, "do not compute the same"),
    ],
)
def test_only_trainings_that_reach_the_same_are_compared(changed, message):
    right = {name: wall_programs.Result(92.6, 0.25) for name in wall_programs.PROGRAMS}
    wall.check({**right, "PyTorch": wall_programs.Result(92.5, 0.25 + 1e-9)})
    wall.check({**right, "scikit-learn": wall_programs.Result(92.5, 0.3)})
    with pytest.raises(RuntimeError, match=message):
        wall.check({**right, **{name: wall_programs.Result(*values) for name, values in changed.items()}})


def test_a_neighbour_is_busy_and_goes():
    with wall.neighbour() as process:
        assert process.poll() is None
        before = children_seconds()
        time.sleep(0.2)
    assert process.poll() is not None
    assert children_seconds() > before + 0.02


def children_seconds():
    """Return the CPU time of the processes that have ended, which this one has started."""
    times = os.times()
    return times.children_user + times.children_system


def test_what_is_timed_has_computed_the_same_in_its_own_process():
    alternatives = {"a": StandIn(1.0), "b": StandIn(1.0)}
    times = harness.time_rounds(alternatives, 1, 1, tolerance=1e-6, beside={"other": StandIn(7.0)})
    assert times.keys() == {"a", "b", "other"}
    with pytest.raises(RuntimeError, match="do not compute the same: {'a': 1.0, 'b': 1.00001}"):
        harness.time_rounds({**alternatives, "b": StandIn(1.00001)}, 1, 1, tolerance=1e-6)
    nan = {"a": harness.Reply(None, math.nan)}
    with pytest.raises(RuntimeError, match="do not compute the same"):
        harness.check_agreement(nan, tolerance=1)


class StandIn:
    """An alternative that can be sent to another process."""

    def __init__(self, value):
        self.value = value

    def __call__(self):
        return self.run

    def run(self):
        return self.value


def test_new_processes_take_over_after_some_rounds(tmp_path):
    rounds = harness.ROUNDS_OF_A_PROCESS + 1
    times = harness.time_rounds({"a": note_process}, 1, rounds, tolerance=0, path=tmp_path / "processes")
    assert len(times["a"]) == rounds
    runs = Counter((tmp_path / "processes").read_text().split())
    assert list(runs.values()) == [1 + harness.ROUNDS_OF_A_PROCESS, 1 + 1]  # each warms up first


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="the system lets no process choose its cores")
def test_a_process_is_held_to_its_threads_or_left_alone():
    for threads, cores in ((1, 1), (None, len(os.sched_getaffinity(0)))):
        with harness.Worker(count_cores, threads) as worker:
            assert worker.run().value == cores


def count_cores():
    """Be an alternative that tells how many cores it may use."""
    return lambda: len(os.sched_getaffinity(0))


def note_process(path):
    """Be an alternative that writes down which process runs it."""

    def run():
        with path.open("a") as file:
            print(os.getpid(), file=file)
        return 1.0

    return run


def test_a_wrong_gradient_of_the_large_cross_entropy_shows_in_its_value():
    gradient = np.random.default_rng(0).standard_normal((128, 5)) / 128
    right = cross_entropy.value(1.0, gradient)
    assert not math.isclose(cross_entropy.value(1.0, gradient * 1.01), right, rel_tol=1e-3)


def test_medians_and_quartiles_of_ratios_round_by_round(printed, capsys):
    measured = {"us": [1.0, 4.0, 9.0], "them": [1.0, 2.0, 3.0]}
    assert harness.report("work", "ms", measured, "them") == {"us": 2.0}
    assert harness.median_ratio(measured, "them", "us") == 0.5
    assert harness.median_ratio(measured, "us", "absent") is None
    harness.verdict("half", 0.5, 0.4)
    harness.verdict("quarter", 0.25, 0.4)
    harness.verdict("none", 0.25, None)
    out = capsys.readouterr().out
    assert out.strip() == "\n".join(printed).strip()
    for line in (
        "| us | 4.0 | 2.00 [1.50, 2.50] |",
        "half: 0.40, reached",
        "quarter: 0.40, missed",
        "none: not measured",
    ):
        assert line in out


def test_results_are_written(printed, tmp_path):
    harness.report("work", "ms", {"tinygrad_sm": [1.0, 4.0], "them": [1.0, 2.0]}, "them")
    harness.report("alone", "ms", {"them": [1.0]}, "them")
    results.write(tmp_path / "new")
    text = (tmp_path / "new/measured.md").read_text()
    assert text.startswith("# Measured\n\n| work |")
    assert "| them | 1.5 | 1 |" in text
    assert "(measured.svg)" in text
    picture = (tmp_path / "new/measured.svg").read_text()
    assert "<svg" in picture
    assert "work: ratio to them" in picture
    assert "alone: ratio to them" not in picture
