"""How the tests start several processes, and what they take from them."""

import functools
import json
import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

from benchmarks.parallel import MPIEXEC
from tests.helpers import ROOT

needs_mpi = pytest.mark.skipif(
    find_spec("mpi4py") is None or MPIEXEC is None, reason='needs mpi4py and mpiexec: pip install -e ".[mpi]"'
)

ENVIRONMENT = {
    **os.environ,
    **dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1"),
    "PYTHONPATH": str(ROOT),
}


def start(processes, name, *arguments, **environment):
    """Start a job of `jobs.py` in so many processes."""
    command = [MPIEXEC, "-n", str(processes), sys.executable, "-m", "tests.parallel.jobs", name, *map(str, arguments)]
    pipe = subprocess.PIPE
    environment = {**ENVIRONMENT, **environment}
    return subprocess.Popen(  # in a session of its own, as a terminal makes one
        command, stdout=pipe, stderr=pipe, text=True, cwd=ROOT, env=environment, start_new_session=True
    )


def run(processes, name, *arguments, **environment):
    """Run a job to its end; return what rank 0 has printed, as JSON."""
    process = start(processes, name, *arguments, **environment)
    try:
        text, errors = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    assert process.returncode == 0, errors
    return json.loads(text.splitlines()[-1])


@functools.cache
def result(processes, name):
    """Return what a job without arguments gives; it runs once for all tests of a worker."""
    return run(processes, name)
