"""Of two runs of the training on MNIST in one folder, the second says so and stops, and the first is not disturbed."""

import os
import subprocess
import sys

import mnist_softmax
import pytest

from tests.examples.helpers import ENVIRONMENT, EXAMPLES, start
from tinygrad_sm import locks

pytestmark = pytest.mark.skipif(locks.fcntl is None, reason="needs locks, as POSIX has them")

# This run waits in the folder until it is told to go on, or is killed.
WAITING = """
import sys, pathlib
sys.path.insert(0, str(pathlib.Path(sys.argv.pop(1)).parent))
import mnist_softmax
train = mnist_softmax.train
mnist_softmax.train = lambda *args, **options: (print("ready", flush=True), input(), train(*args, **options))[-1]
sys.exit(mnist_softmax.main())
"""
SMALL = ["--train-size", "500", "--epochs", "1"]


def waiting_run(folder):
    """Start a run and return it once it is in the folder."""
    command = [sys.executable, "-c", WAITING, mnist_softmax.__file__, *SMALL, "--output", folder]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=ENVIRONMENT, text=True)
    assert process.stdout.readline() == "ready\n"
    return process


def second_run(folder, *options):
    return start(EXAMPLES / "mnist_softmax.py", *SMALL, "--output", folder, *options)


def content(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_the_second_run_in_a_folder_stops_and_the_first_goes_on(tmp_path):
    first = waiting_run(tmp_path)
    before = content(tmp_path)
    for options in ([], ["--resume"]):
        status, text, errors = second_run(tmp_path, *options)
        assert (status, text) == (1, "")
        assert errors.splitlines() == [
            f"--output: another run is at work in {tmp_path}: wait for its end, or give another folder"
        ]
        assert content(tmp_path) == before
    _, errors = first.communicate("\n", timeout=120)
    assert (first.returncode, errors) == (0, "")
    assert mnist_softmax.MODEL in content(tmp_path)
    assert mnist_softmax.LOCK not in content(tmp_path)


def test_a_run_that_was_killed_keeps_nobody_out(tmp_path):
    first = waiting_run(tmp_path)
    first.kill()
    first.communicate()
    status, _, errors = second_run(tmp_path)
    assert (status, errors) == (0, "")
    assert mnist_softmax.LOCK not in content(tmp_path)


def test_a_lock_whose_name_was_removed_meanwhile_is_none(tmp_path, monkeypatch):
    """A run opens the file of another that ends, and gets its lock: a third could make and lock a new file."""
    real = locks.lock_within

    def removed(descriptor, seconds):
        monkeypatch.setattr(mnist_softmax, "lock_within", real)
        os.unlink(tmp_path / mnist_softmax.LOCK)
        return real(descriptor, seconds)

    monkeypatch.setattr(mnist_softmax, "lock_within", removed)
    with mnist_softmax.only_run_in(tmp_path), pytest.raises(TimeoutError), mnist_softmax.only_run_in(tmp_path):
        pass
    assert content(tmp_path) == {}
