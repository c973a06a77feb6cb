"""A checkpoint knows the facts that decide the last bits of a training, and resuming elsewhere says what differs."""

import ctypes
import json
import os
import platform
import subprocess
import sys

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.nn.stress import ENVIRONMENT
from tests.nn.test_checkpoint import change_contents, trained
from tinygrad_sm import CheckpointError, nn
from tinygrad_sm.nn import checkpoint, machine

HERE = {"NumPy": "2.0.0", "SIMD": "SSE2 AVX2", "BLAS": "OpenBLAS", "BLAS version": "0.3.31", "BLAS core": "Haswell"}
HERE["BLAS threads"] = 2
SAME_PLACE = "go on where it was saved, with the same environment variables"


def is_told(name):
    return pytest.mark.skipif(machine.facts()[name] is None, reason=f"this machine does not tell its {name}")


def python(code, *arguments, **environment):
    command = [sys.executable, "-W", "error::RuntimeWarning", "-c", code, *map(str, arguments)]
    return subprocess.run(command, env={**ENVIRONMENT, **environment}, capture_output=True, check=True, text=True)


def facts_with(**environment):
    code = "import json; from tinygrad_sm.nn.machine import facts; print(json.dumps(facts()))"
    return json.loads(python(code, **environment).stdout)


def test_facts_are_the_same_in_another_process_and_texts_or_numbers():
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": str(machine.blas_threads() or 1)}
    assert facts_with(**environment) == machine.check_facts(machine.facts())
    assert machine.facts()["NumPy"] == np.__version__
    assert [*machine.facts()] == [*HERE]


@is_told("BLAS threads")
def test_the_library_is_asked_for_its_threads():
    for number in {1, min(2, os.cpu_count())}:
        told = facts_with(OPENBLAS_NUM_THREADS=str(number), MKL_NUM_THREADS=str(number))
        assert told["BLAS threads"] == number


# A core that every CPU of the architecture can run.
OLD_CORE = {"x86_64": "Nehalem", "AMD64": "Nehalem", "aarch64": "ARMV8", "arm64": "ARMV8"}


@is_told("BLAS core")
def test_the_library_is_asked_for_its_core():
    core = OLD_CORE.get(platform.machine()) or pytest.skip("no core is known that this CPU can run")
    told = facts_with(OPENBLAS_CORETYPE=core)["BLAS core"]
    assert told.lower() == core.lower()


@is_told("SIMD")
def test_instructions_that_numpy_is_told_to_leave_out_are_left_out():
    dispatched = np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])
    if not dispatched:
        pytest.skip("NumPy uses nothing here beyond its baseline")
    told = facts_with(NPY_DISABLE_CPU_FEATURES=dispatched[-1])["SIMD"]
    assert told == machine.facts()["SIMD"].removesuffix(f" {dispatched[-1]}") != machine.facts()["SIMD"]


def test_what_a_machine_does_not_tell_is_unknown(monkeypatch):
    def no_library(path):
        raise OSError

    monkeypatch.setattr(ctypes, "CDLL", no_library)
    monkeypatch.setattr(np, "show_config", lambda mode: {})
    assert machine.facts() == {**dict.fromkeys(HERE), "NumPy": np.__version__}
    assert machine.differences(machine.facts(), HERE | {"NumPy": np.__version__}) == []


@pytest.mark.parametrize(
    ("changes", "lines", "remedy"),
    [
        ({}, [], SAME_PLACE),
        *(({name: None}, [], SAME_PLACE) for name in HERE),
        ({"a fact of a later version": 3}, [], SAME_PLACE),
        ({"BLAS core": "Zen"}, ["BLAS core Zen then, Haswell now"], SAME_PLACE),
        ({"SIMD": "SSE2"}, ["SIMD SSE2 then, SSE2 AVX2 now"], SAME_PLACE),
        ({"BLAS version": "0.3"}, ["BLAS version 0.3 then, 0.3.31 now"], SAME_PLACE),
        ({"BLAS": "\x1b[2J"}, ["BLAS \\x1b[2J then, OpenBLAS now"], SAME_PLACE),
        (
            {"NumPy": "1.9", "BLAS threads": 1},
            ["NumPy 1.9 then, 2.0.0 now", "BLAS threads 1 then, 2 now"],
            "install numpy==1.9, set OPENBLAS_NUM_THREADS=1, or for MKL MKL_NUM_THREADS=1, before Python starts, "
            f"or {SAME_PLACE}",
        ),
    ],
)
def test_a_difference_is_one_warning_at_the_users_line(changes, lines, remedy, tmp_path, monkeypatch, recwarn):
    model, optimizer = trained()
    monkeypatch.setattr(checkpoint, "facts", lambda: {**HERE, **changes})
    nn.save(tmp_path / "c", model, optimizer, epoch=3)
    monkeypatch.setattr(checkpoint, "facts", lambda: HERE)
    assert nn.load(tmp_path / "c", model) == {"epoch": 3}  # to use the model needs no exact resume
    assert not recwarn
    if not lines:
        nn.load(tmp_path / "c", model, optimizer)
        assert not recwarn
        return
    with pytest.warns(UserWarning, match="other facts") as warned:
        assert nn.load(tmp_path / "c", model, optimizer) == {"epoch": 3}
    [warning] = warned
    assert warning.filename == __file__
    assert str(warning.message) == (
        f"{tmp_path / 'c'} was saved where other facts decide the last bits: {'; '.join(lines)}. "
        f"The training goes on, but perhaps not bit for bit; for equal bits {remedy}"
    )


@is_told("BLAS core")
def test_another_core_is_told_for_real(tmp_path):
    model, optimizer = trained()
    nn.save(tmp_path / "c", model, optimizer)
    code = """
import sys
from tinygrad_sm import nn
model = nn.Linear(3, 2)
nn.load(sys.argv[1], model, nn.optim.SGD(model.parameters(), lr=0.1, momentum=0.9))
"""
    core = OLD_CORE.get(platform.machine()) or pytest.skip("no core is known that this CPU can run")
    same = {"OPENBLAS_NUM_THREADS": str(machine.blas_threads())}
    assert python(code, tmp_path / "c", **same).stderr == ""
    told = python(code, tmp_path / "c", **same, OPENBLAS_CORETYPE=core).stderr
    assert f"BLAS core {machine.facts()['BLAS core']} then, {core} now" in told


def old_file(path, **changed):
    """Change a checkpoint to one of version 2, with this instead of the facts."""
    change_contents(path, removed=["machine"], version=2, **changed)


def test_an_older_checkpoint_tells_its_threads_or_nothing(tmp_path, monkeypatch, recwarn):
    model, optimizer = trained()
    monkeypatch.setattr(checkpoint, "facts", lambda: HERE)
    for changed in ({}, {"blas_threads": None}, {"blas_threads": 2}):
        nn.save(tmp_path / "c", model, optimizer)
        old_file(tmp_path / "c", **changed)
        nn.load(tmp_path / "c", model, optimizer)
        assert not recwarn
    nn.save(tmp_path / "c", model, optimizer)
    old_file(tmp_path / "c", blas_threads=1)
    with pytest.warns(UserWarning, match="decide the last bits: BLAS threads 1 then, 2 now. The training goes on"):
        nn.load(tmp_path / "c", model, optimizer)


def test_a_file_of_a_model_alone_has_no_facts(tmp_path):
    nn.save(tmp_path / "model", nn.Linear(2, 2))
    assert b"NumPy" not in (tmp_path / "model").read_bytes()


@pytest.mark.parametrize("facts", [3, [], {"dict": [["NumPy", [1]]]}, {"dict": [["BLAS", True]]}, {"tuple": []}])
def test_facts_that_are_none_are_refused(facts, tmp_path):
    model, optimizer = trained()
    nn.save(tmp_path / "c", model, optimizer)
    change_contents(tmp_path / "c", machine=facts)
    before = tg.get_rng_state()
    with pytest.raises(CheckpointError, match="c: its metadata cannot be understood"):
        nn.load(tmp_path / "c", model, optimizer)
    assert tg.get_rng_state() == before
