"""Kill processes of a group at random moments: the training goes on to the bits of one that was never broken.

python -m tests.parallel.stress [kills]        # make stress: 50
"""

import json
import os
import random
import signal
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from tests.parallel.helpers import run, start

EPOCHS = 12


def kill_trainings(kills, folder, processes=2):
    """Kill one process, whichever, until so many kills have hit a training; return kills and trainings that ended."""
    whole = folder / "whole"
    whole.mkdir()
    expected = run(processes, "resumed", whole, EPOCHS)
    killed = ended = 0
    while killed < kills or ended == 0:
        parts = folder / f"parts-{ended}"
        parts.mkdir(exist_ok=True)
        for path in parts.glob("pid-*"):
            path.unlink()
        process = start(processes, "resumed", parts, EPOCHS, SLOWLY="1")
        if killed < kills:
            killed += was_killed(process, parts, processes)
        text, errors = process.communicate(timeout=120)
        if process.returncode == 0:
            if json.loads(text.splitlines()[-1]) != expected:
                raise AssertionError(f"after {killed} kills the training ended with other bits")
            ended += 1
        elif "Error" in errors:
            raise AssertionError(f"the training did not go on after a kill:\n{errors}")
    return killed, ended


def was_killed(process, folder, processes):
    """Kill a process of a training that has begun, at a random moment; return whether it was still alive."""
    pids = [folder / f"pid-{rank}" for rank in range(processes)]
    while process.poll() is None and not all(path.exists() and path.read_text() for path in pids):
        time.sleep(0.01)
    time.sleep(random.uniform(0, 0.4))
    if process.poll() is not None:
        return False
    with suppress(ProcessLookupError):
        os.kill(int(random.choice(pids).read_text()), signal.SIGKILL)
        return True
    return False


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        began, wanted = time.perf_counter(), int(sys.argv[1]) if len(sys.argv) > 1 else 50
        kills, trainings = kill_trainings(wanted, Path(folder))
        seconds = time.perf_counter() - began
        print(f"{kills} kills in groups of 2; {trainings} trainings ended with the same bits; {seconds:.0f} s")
