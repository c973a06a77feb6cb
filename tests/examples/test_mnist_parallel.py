"""The flagship by several processes: the numbers of one, and a training that goes on with another number of them."""

import re
import subprocess
import sys

import mnist_parallel
import numpy as np
import pytest

from benchmarks.parallel import MPIEXEC
from tests.examples.helpers import EXAMPLES, RUNS
from tests.parallel.helpers import ENVIRONMENT, needs_mpi
from tinygrad_sm import nn

SMALL = ["--epochs", "3", "--train-size", "3001", "--batch-size", "300"]  # the last batch is one image


def by(processes, folder, *options):
    """Run the example by so many processes; return the losses and accuracies that it prints, and the weights."""
    command = [MPIEXEC, "-n", str(processes), sys.executable, "-W", "error", EXAMPLES / "mnist_parallel.py"]
    done = subprocess.run(
        [*command, "--output", folder, *options], capture_output=True, text=True, env=ENVIRONMENT, timeout=120
    )
    assert (done.returncode, done.stderr) == (0, "")
    figures = re.findall(r"train loss (\S+)  test accuracy (\S+) %", done.stdout)
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    nn.load(folder / "checkpoint.safetensors", model)
    return np.array(figures, float), model[1].weight.numpy()


@needs_mpi
def test_processes_train_as_one(tmp_path):
    figures, weights = by(1, tmp_path / "1", *SMALL)
    assert figures.shape == (3, 2)
    for processes in (2, 4):
        others, others_weights = by(processes, tmp_path / str(processes), *SMALL)
        np.testing.assert_allclose(others, figures, atol=2e-4)
        assert np.abs(others_weights - weights).max() < 1e-5 * np.abs(weights).max()


@needs_mpi
def test_what_two_have_begun_four_finish(tmp_path):
    ends = []
    for processes in (2, 4):
        folder = tmp_path / str(processes)
        by(2, folder, *SMALL[2:], "--epochs", "2")
        ends.append(by(processes, folder, *SMALL, "--resume"))
    (figures, weights), (others, others_weights) = ends
    assert len(figures) == len(others) == 1
    assert np.abs(others_weights - weights).max() < 1e-5 * np.abs(weights).max()


def test_below_the_accuracy_asked_for_the_status_is_1(run, folder):
    options, files = RUNS["mnist_parallel"]
    status, text, errors = run(mnist_parallel, *options, "--min-accuracy", "99")
    assert (status, errors) == (1, "the test accuracy is below the 99.0 % that --min-accuracy asks for\n")
    assert sorted(path.name for path in folder.iterdir()) == files
    assert "test accuracy, by 1 processes: " in text


def test_alone_it_resumes_with_the_same_bits(run, folder, monkeypatch):
    options = ["--train-size", "1000", "--epochs"]
    run(mnist_parallel, *options, "3")
    whole = (folder / "checkpoint.safetensors").read_bytes()
    (folder / "checkpoint.safetensors").unlink()
    evaluate, left = mnist_parallel.evaluate, iter(range(3))
    with monkeypatch.context() as patch:
        patch.setattr(
            mnist_parallel, "evaluate", lambda *args: evaluate(*args) if next(left, None) is not None else 1 / 0
        )
        with pytest.raises(ZeroDivisionError):
            run(mnist_parallel, *options, "3")
    run(mnist_parallel, *options, "3", "--resume")
    assert (folder / "checkpoint.safetensors").read_bytes() == whole
