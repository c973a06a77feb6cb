"""Whatever happens to one process, all end soon, the reason is shown, and the last checkpoint is whole."""

import os
import re
import signal
import time

import pytest

from tests.parallel import stress
from tests.parallel.helpers import needs_mpi, start
from tinygrad_sm import nn

pytestmark = needs_mpi
PLACE = "batch 1 of epoch 0, after 1 sums of gradients and 1 steps, lr [0.1]"
SECOND_WALK = f"backward(), {PLACE}, 65 numbers of models [0], [(4, 20)]"


def wait_for(path, process):
    deadline = time.monotonic() + 60
    while not path.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert path.exists()


def ended(kind, folder, processes=2):
    """Start a job to which this happens; return its status, errors and the seconds from the fault to its end."""
    process = start(processes, "fault", kind, folder)
    try:
        wait_for(folder / "now", process)
        began = time.monotonic()
        _, errors = process.communicate(timeout=30)
    except BaseException:
        process.kill()
        process.communicate()
        raise
    return process.returncode, errors, time.monotonic() - began


@pytest.mark.parametrize("processes", [2, 3])
def test_an_exception_ends_all_with_its_traceback(processes, tmp_path):
    status, errors, seconds = ended("exception", tmp_path, processes)
    assert status != 0
    assert "RuntimeError: this rank has had enough\n" in errors
    assert f"rank {processes - 1} ends all processes\n" in errors
    assert seconds < 5


def test_the_error_is_shown_of_a_process_that_saves_before_it_ends(tmp_path):
    """As in `try: train() finally: nn.save(...)`: it waits there for the others."""
    status, errors, seconds = ended("save after an exception", tmp_path)
    assert status != 0
    assert "rank 1 waits at nn.save of " in errors
    assert "RuntimeError: this rank has had enough\n" in errors
    assert seconds < 5


@pytest.mark.parametrize("kind", ["exit", "exit with 0", "return"])
def test_a_process_that_ends_early_ends_all(kind, tmp_path):
    status, errors, seconds = ended(kind, tmp_path)
    assert status != 0
    assert "rank 0 waits for rank 1, which has ended: all must run the same lines\n" in errors
    assert seconds < 5


def test_a_killed_process_ends_all(tmp_path):
    status, _, seconds = ended("kill", tmp_path)
    assert status != 0
    assert seconds < 5


@pytest.mark.filterwarnings("ignore:.* other facts decide the last bits")  # this process may have more BLAS threads
@pytest.mark.parametrize("to", ["mpiexec", "all of the terminal"])
def test_ctrl_c_ends_all_and_leaves_a_whole_checkpoint(to, tmp_path):
    process = start(2, "fault", "ctrl-c", tmp_path)
    wait_for(tmp_path / "now", process)
    began = time.monotonic()
    if to == "mpiexec":
        process.send_signal(signal.SIGINT)
    else:
        os.killpg(process.pid, signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode != 0
    assert time.monotonic() - began < 5
    model = nn.Linear(12, 5)
    extra = nn.load(tmp_path / "checkpoint.safetensors", model, nn.optim.SGD(model.parameters(), lr=0.1))
    assert extra["steps"] == 5  # the signal came as the next was written


def test_a_save_by_rank_0_alone_does_not_hang(tmp_path):
    process = start(2, "fault", "guarded save", tmp_path)
    text, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert text == '"done"\n'


def ended_apart(kind, processes=2):
    process = start(processes, "apart", kind)
    try:
        _, errors = process.communicate(timeout=30)
    except BaseException:
        process.kill()
        process.communicate()
        raise
    return process.returncode, errors


@pytest.mark.parametrize("processes", [2, 4])
@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("a mean", "group.mean in line "),
        ("a mean of many", "group.mean in line "),
        ("check_equal", "check_equal"),
    ],
)
def test_messages_that_do_not_belong_together_are_refused_by_both_names(kind, name, processes):
    status, errors = ended_apart(kind, processes)
    assert status != 0
    assert f"GroupError: rank 0 is at {name}" in errors, errors
    assert f"but rank 1 at {SECOND_WALK}: all must" in errors


def test_a_mean_that_one_process_takes_more_is_found_by_its_line():
    status, errors = ended_apart("a mean on another line")
    assert status != 0
    lines = re.search(r"rank 0 is at group\.mean in line (\d+) of .*, but rank 1 at group\.mean in line (\d+)", errors)
    assert int(lines[1]) + 1 == int(lines[2])


@pytest.mark.parametrize("processes", [2, 4])
def test_one_that_waits_for_what_nobody_does_ends_all(processes):
    status, errors = ended_apart("a save", processes)
    assert status != 0
    save = "nn.save of 'never written'"
    there = re.search(r"rank \d waits at (.*), but rank \d at (.*): all must run the same lines\n", errors)
    assert sorted(there.groups()) == [
        SECOND_WALK,
        save,
    ]


@pytest.mark.parametrize("processes", [2, 3])
@pytest.mark.parametrize("kind", ["slow", "slow transfer", "a loss"])
def test_a_slow_process_is_waited_for_and_a_loss_waits_for_nobody(kind, processes):
    assert ended_apart(kind, processes) == (0, "")


def test_trainings_of_a_group_that_are_killed_end_with_the_same_bits(tmp_path):
    kills, trainings = stress.kill_trainings(3, tmp_path)
    assert kills >= 3
    assert trainings >= 1
