"""A training that is interrupted, even killed, and resumed ends with the very bits of one that was not."""

import os
import runpy
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import mnist_softmax
import numpy as np
import pytest

import tinygrad_sm as tg
from tests.nn import stress
from tinygrad_sm import nn
from tinygrad_sm.nn import machine


class Stop(Exception):
    pass


@pytest.mark.parametrize("steps", [1, 7, 15, 16, 17, 31, 32])
def test_a_training_goes_on_from_any_step(steps, tmp_path):
    """16 steps make an epoch: at its end, in its middle, and at its beginning."""
    whole = stress.toy_training()
    stress.train(*whole, after_step=lambda: None, epochs=3)

    interrupted = stress.toy_training()
    taken = []

    def after_step():
        taken.append(1)
        if len(taken) == steps:
            stress.save(tmp_path / "c", *interrupted)
            raise Stop

    with pytest.raises(Stop):
        stress.train(*interrupted, after_step=after_step, epochs=3)
    resumed = stress.toy_training(seed=5)
    stress.load(tmp_path / "c", *resumed)
    stress.train(*resumed, after_step=lambda: taken.append(1), epochs=3)
    assert len(taken) == 3 * stress.BATCHES
    assert stress.exactly(resumed[0].state_dict()) == stress.exactly(whole[0].state_dict())
    assert stress.exactly(resumed[1].state_dict()) == stress.exactly(whole[1].state_dict())


@pytest.mark.parametrize("forgotten", ["momentum", "random draws", "position", "schedule"])
def test_each_part_of_the_state_matters(forgotten, tmp_path):
    """The comparison is sharp enough: a training that forgets one part ends with other bits."""
    model, optimizer, loader, schedule = fresh = stress.toy_training()
    x, y = next(iter(loader))
    nn.functional.cross_entropy(model(x), y).backward()
    optimizer.step()
    schedule.step()
    stress.save(tmp_path / "c", *fresh)

    def finished(forgotten=None):
        model, optimizer, loader, schedule = resumed = stress.toy_training(seed=5)
        no_momentum, at_start = optimizer.state_dict()["state"], schedule.state_dict()
        stress.load(tmp_path / "c", *resumed)
        if forgotten == "momentum":
            optimizer.load_state_dict({**optimizer.state_dict(), "state": no_momentum})
        if forgotten == "random draws":
            tg.manual_seed(5)
        if forgotten == "position":
            loader.load_state_dict({**loader.state_dict(), "position": 0})
        if forgotten == "schedule":
            schedule.load_state_dict(at_start)
        stress.train(*resumed, after_step=lambda: None, epochs=3)
        return stress.exactly(model.state_dict())

    assert finished() == finished()
    assert finished(forgotten) != finished()


@pytest.mark.parametrize("steps", [1, 7, 16, 17])
def test_a_transform_that_draws_goes_on_with_the_next_draws(steps, tmp_path):
    """Also in the middle of an epoch: the loader has drawn for no batch that it has not given."""

    def training(seed=0):
        model, optimizer, loader, schedule = stress.toy_training(seed)
        loader.transform = lambda x: x + 0.3 * tg.randn(*x.shape).numpy()
        return model, optimizer, loader, schedule

    taken = []

    def save_once():
        taken.append(1)
        if len(taken) == steps:
            stress.save(tmp_path / "c", *whole)

    whole, resumed = training(), training(seed=5)
    stress.train(*whole, after_step=save_once, epochs=2)
    stress.load(tmp_path / "c", *resumed)
    stress.train(*resumed, after_step=lambda: None, epochs=2)
    assert stress.exactly(resumed[0].state_dict()) == stress.exactly(whole[0].state_dict())


needs_sigkill = pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has no SIGKILL")


@needs_sigkill
def test_trainings_that_are_killed_end_with_the_same_bits(tmp_path):
    kills, trainings = stress.kill_trainings(8, tmp_path)
    assert kills >= 8
    assert trainings >= 1


@needs_sigkill
def test_a_kill_while_saving_leaves_a_whole_file(tmp_path):
    assert 0 <= stress.kill_saves(30, tmp_path) <= 30


@needs_sigkill
def test_savers_to_one_path_leave_whole_files(tmp_path):
    reads, files = stress.read_while_others_save(300, tmp_path, kills=2)
    assert reads == 300
    assert files > 2


SMALL = ["--train-size", "500", "--epochs", "25", "--batch-size", "50", "--seed", "1"]

# With a clock on which a second passes at each look, every epoch is saved; it takes real time, to be killed in.
SAVING_OFTEN = """
import itertools, pathlib, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # processes in the background of a shell ignore it
sys.path.insert(0, str(pathlib.Path(sys.argv.pop(1)).parent))
import mnist_softmax
seconds, sleep = itertools.count(), time.sleep
mnist_softmax.time.perf_counter = lambda: sleep(0.01) or next(seconds)
sys.exit(mnist_softmax.main())
"""


def flagship(folder, *options):
    """Start mnist_softmax.py with few images."""
    command = [sys.executable, "-c", SAVING_OFTEN, mnist_softmax.__file__, *SMALL, "--output", folder, *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=stress.ENVIRONMENT, text=True)


def ended(process):
    text, errors = process.communicate(timeout=120)
    return process.returncode, text, errors


def wait_for(checkpoint, process):
    deadline = time.monotonic() + 60
    while not checkpoint.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)


def weights(path):
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    extra = nn.load(path, model)
    return stress.exactly(model.state_dict()), extra


@needs_sigkill
def test_the_flagship_resumes_after_a_kill(tmp_path):
    whole, other = tmp_path / "whole", tmp_path / "killed"
    status, text, errors = ended(flagship(whole, "--resume"))  # there is nothing to go on with: it starts
    assert (status, errors) == (0, "")

    process = flagship(other)
    checkpoint = other / "checkpoint.safetensors"
    wait_for(checkpoint, process)
    process.kill()
    process.communicate()
    assert not (other / "model.safetensors").exists()
    epochs_done = len(weights(checkpoint)[1]["history"])
    assert 1 <= epochs_done < 25

    status, rest, errors = ended(flagship(other, "--resume"))
    assert (status, errors) == (0, "")
    assert rest.splitlines()[0].split()[:2] == ["epoch", str(epochs_done + 1)]
    assert weights(other / "model.safetensors") == weights(whole / "model.safetensors")

    def without_times(text):
        return [line.rpartition("  ")[0] for line in text.splitlines() if line.startswith("epoch")]

    assert without_times(rest) == without_times(text)[epochs_done:]
    curves = [
        [row[:3] for row in weights(folder / "checkpoint.safetensors")[1]["history"]] for folder in (whole, other)
    ]
    assert curves[0] == curves[1]
    assert len(curves[0]) == 25


@needs_sigkill
def test_ctrl_c_ends_the_flagship_with_a_line_that_names_resume(tmp_path):
    process = flagship(tmp_path)
    wait_for(tmp_path / "checkpoint.safetensors", process)
    process.send_signal(signal.SIGINT)
    status, _, errors = ended(process)
    assert status == 130
    assert errors == "interrupted: the same command with --resume goes on from the last epoch that was saved\n"
    assert not (tmp_path / ".running").exists()
    status, _, errors = ended(flagship(tmp_path, "--resume"))
    assert (status, errors) == (0, "")


def test_ctrl_c_before_the_training_ends_with_the_same_line(monkeypatch, capsys):
    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(mnist_softmax, "parse_arguments", interrupted)
    assert mnist_softmax.main() == 130
    assert capsys.readouterr().err == mnist_softmax.INTERRUPTED + "\n"

    monkeypatch.delitem(sys.modules, "pictures")
    monkeypatch.setattr(sys, "meta_path", [SimpleNamespace(find_spec=interrupted), *sys.meta_path])
    with pytest.raises(SystemExit) as raised:
        runpy.run_path(mnist_softmax.__file__)
    assert raised.value.code == 130
    assert capsys.readouterr().err == mnist_softmax.INTERRUPTED + "\n"


def run_flagship(monkeypatch, folder, *options):
    arguments = ["--train-size", "200", "--epochs", "2", "--output", str(folder), *options]
    monkeypatch.setattr(sys, "argv", ["mnist_softmax.py", *arguments])
    monkeypatch.setattr(mnist_softmax, "write_results", lambda *args: None)
    return mnist_softmax.main()


def test_the_flagship_resumes_with_the_same_settings_only(monkeypatch, tmp_path):
    checkpoint = tmp_path / "checkpoint.safetensors"
    assert run_flagship(monkeypatch, tmp_path) == 0
    content = checkpoint.read_bytes()
    monkeypatch.setattr(mnist_softmax, "evaluate", lambda *args: 1 / 0)
    assert run_flagship(monkeypatch, tmp_path, "--resume") == 0  # nothing is left to do
    monkeypatch.undo()
    message = run_flagship(monkeypatch, tmp_path, "--resume", "--lr", "0.1", "--scale", "center")
    assert message == (
        f"--resume: {checkpoint} was saved with lr 0.4, scale unit: give the same, or begin anew, "
        "without --resume or in another --output"
    )
    assert checkpoint.read_bytes() == content
    assert run_flagship(monkeypatch, tmp_path, "--lr", "0.1") == 0  # without --resume it starts anew
    assert weights(checkpoint)[1]["settings"]["lr"] == 0.1


@pytest.mark.parametrize(("before", "after"), [([], ["--compiled"]), (["--compiled"], []), (["--compiled"],) * 2])
def test_a_compiled_training_resumes_with_the_same_bits(before, after, monkeypatch, tmp_path):
    options = ["--epochs", "6", "--batch-size", "48"]
    assert run_flagship(monkeypatch, tmp_path / "whole", *options) == 0

    clock, evaluate = iter(range(1000)), mnist_softmax.evaluate  # a second between any two looks: each epoch is saved
    with monkeypatch.context() as patch:
        patch.setattr(mnist_softmax.time, "perf_counter", lambda: next(clock))
        left = iter(range(3))
        patch.setattr(
            mnist_softmax, "evaluate", lambda *args: evaluate(*args) if next(left, None) is not None else 1 / 0
        )
        with pytest.raises(ZeroDivisionError):
            run_flagship(patch, tmp_path / "parts", *options, *before)
    assert len(weights(tmp_path / "parts/checkpoint.safetensors")[1]["history"]) == 3
    assert run_flagship(monkeypatch, tmp_path / "parts", *options, *after, "--resume") == 0

    (whole, then), (parts, now) = (weights(tmp_path / name / "checkpoint.safetensors") for name in ("whole", "parts"))
    assert parts == whole
    assert [row[:3] + row[4:] for row in now["history"]] == [row[:3] + row[4:] for row in then["history"]]


def test_a_checkpoint_from_before_the_training_accuracy_was_kept_resumes(monkeypatch, tmp_path):
    assert run_flagship(monkeypatch, tmp_path, "--epochs", "2") == 0
    checkpoint = tmp_path / "checkpoint.safetensors"
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    optimizer = nn.optim.SGD(model.parameters(), lr=0.4, momentum=0.9, weight_decay=1e-5)
    extra = nn.load(checkpoint, model, optimizer)
    nn.save(checkpoint, model, optimizer, **extra | {"history": [row[:4] for row in extra["history"][:1]]})
    assert run_flagship(monkeypatch, tmp_path, "--epochs", "2", "--resume") == 0
    first, second = weights(checkpoint)[1]["history"]
    assert np.isnan(first[4])
    assert second[4] > 10


def test_the_flagship_sets_the_threads_of_the_blas_and_resumes_with_as_many_only(monkeypatch, tmp_path):
    checkpoint = tmp_path / "checkpoint.safetensors"
    others = machine.blas_threads()
    seen, evaluate = [], mnist_softmax.evaluate
    monkeypatch.setattr(mnist_softmax, "evaluate", lambda *args: seen.append(machine.blas_threads()) or evaluate(*args))
    assert run_flagship(monkeypatch, tmp_path) == 0
    assert run_flagship(monkeypatch, tmp_path, "--threads", "2") == 0
    assert seen in ([1, 1, 2, 2], [None] * 4)
    assert machine.blas_threads() == others  # as before
    message = run_flagship(monkeypatch, tmp_path, "--resume")  # a warning besides would be an error
    assert message.startswith(f"--resume: {checkpoint} was saved with threads 2: give the same, or begin anew")
    assert run_flagship(monkeypatch, tmp_path, "--resume", "--threads", "2") == 0


def test_the_flagship_resumes_a_training_of_an_older_version(monkeypatch, tmp_path):
    """It did not save the number of threads among its settings."""
    assert run_flagship(monkeypatch, tmp_path) == 0
    save = mnist_softmax.nn.save

    def save_without_threads(*args, settings, **extra):
        save(*args, settings={name: value for name, value in settings.items() if name != "threads"}, **extra)

    with monkeypatch.context() as patch:
        patch.setattr(mnist_softmax.nn, "save", save_without_threads)
        assert run_flagship(patch, tmp_path) == 0
    assert "threads" not in weights(tmp_path / "checkpoint.safetensors")[1]["settings"]
    assert run_flagship(monkeypatch, tmp_path, "--resume") == 0


def test_the_flagship_refuses_a_damaged_checkpoint(monkeypatch, tmp_path):
    checkpoint = tmp_path / "checkpoint.safetensors"
    assert run_flagship(monkeypatch, tmp_path) == 0
    checkpoint.write_bytes(stress.flipped(checkpoint.read_bytes(), 8 * 20_000))
    assert run_flagship(monkeypatch, tmp_path, "--resume").startswith(f"--resume: {checkpoint}: the file is damaged")


@pytest.mark.parametrize("damaged", [False, True])
def test_a_run_that_starts_anew_replaces_the_checkpoint_when_it_first_saves(damaged, monkeypatch, tmp_path):
    checkpoint = tmp_path / "checkpoint.safetensors"
    assert run_flagship(monkeypatch, tmp_path) == 0
    old = checkpoint.read_bytes()
    if damaged:
        checkpoint.write_bytes(old[:-1])
    before = checkpoint.read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr(mnist_softmax, "evaluate", lambda *args: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run_flagship(patch, tmp_path, "--seed", "1")
    assert checkpoint.read_bytes() == before
    if not damaged:  # what is resumed is never another run than the one that was killed
        message = run_flagship(monkeypatch, tmp_path, "--seed", "1", "--resume")
        assert message.startswith(f"--resume: {checkpoint} was saved with seed 0: give the same, or begin anew")
    assert run_flagship(monkeypatch, tmp_path, "--seed", "1") == 0
    assert weights(checkpoint)[1]["settings"]["seed"] == 1
    (tmp_path / "old").write_bytes(old)
    assert run_flagship(monkeypatch, tmp_path) == 0
    assert weights(checkpoint)[0] == weights(tmp_path / "old")[0]  # equal settings make the same run


@pytest.mark.parametrize("name", ["checkpoint.safetensors", "model.safetensors"])
@pytest.mark.parametrize("options", [[], ["--resume"]], ids=["anew", "resume"])
def test_a_folder_where_a_file_must_stand_is_refused_at_once(name, options, monkeypatch, tmp_path, capsys):
    (tmp_path / name).mkdir()
    with pytest.raises(SystemExit) as raised:
        run_flagship(monkeypatch, tmp_path, *options)
    assert raised.value.code == 2
    assert f"argument --output: cannot write there: {tmp_path / name} is no file" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_flagship_saves_at_most_once_a_second_and_at_the_end(monkeypatch, tmp_path):
    saved = []
    monkeypatch.setattr(mnist_softmax.nn, "save", lambda path, *args, history, **extra: saved.append(len(history)))
    clock = iter(np.arange(0, 1000, 0.1))  # a tenth of a second between any two looks
    monkeypatch.setattr(mnist_softmax.time, "perf_counter", lambda: next(clock))
    assert run_flagship(monkeypatch, tmp_path, "--epochs", "12") == 0
    assert saved == [4, 8, 12]


def test_only_files_are_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    for name in ("pipe", "folder"):
        with pytest.raises(OSError, match="expected a file to write to, and this is none"):
            nn.save(tmp_path / name, nn.Linear(2, 2))
    assert (tmp_path / "pipe").is_fifo()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "pipe"]
