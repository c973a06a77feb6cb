"""Try to spoil checkpoints and to break resumption, and print how often that was tried: make stress.

Processes are killed with SIGKILL while they train and while they save; several save to one path; every bit of a
checkpoint is flipped; files are mutated in many ways; Ctrl-C comes in every line. The tests run a sample of each, with
the same functions.
"""

import contextlib
import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

import tinygrad_sm as tg
from tinygrad_sm import nn
from tinygrad_sm.datasets import DataLoader

ENVIRONMENT = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
BATCHES, EPOCHS = 16, 25


def toy_training(seed=0):
    """Return the parts of a training: a model, its optimizer with momentum, a loader of 16 batches and a schedule."""
    rng = np.random.default_rng(7)
    x = rng.normal(size=(16 * BATCHES - 5, 20)).astype(np.float32)
    y = (x @ rng.normal(size=(20, 5))).argmax(axis=1)
    tg.manual_seed(seed)
    model = nn.Sequential(nn.Linear(20, 5))
    optimizer = nn.optim.SGD(model.parameters(), lr=0.5, momentum=0.9)
    schedule = nn.schedules.CosineAnnealingLR(optimizer, EPOCHS * BATCHES)
    return model, optimizer, DataLoader((x, y), 16, shuffle=True, seed=3), schedule


def train(model, optimizer, loader, schedule, after_step, epochs=EPOCHS):
    """Train to the end, from where the loader stands, with noise on x and a learning rate that falls in each step."""
    while loader.epoch < epochs:
        for x, y in loader:
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x + 0.1 * tg.randn(*x.shape)), y).backward()
            optimizer.step()
            schedule.step()
            after_step()


def save(path, model, optimizer, loader, schedule):
    nn.save(path, model, optimizer, loader=loader.state_dict(), schedule=schedule.state_dict())


def load(path, model, optimizer, loader, schedule):
    extra = nn.load(path, model, optimizer)
    loader.load_state_dict(extra["loader"])
    schedule.load_state_dict(extra["schedule"])


def training_process(folder):
    """Train, from the checkpoint if there is one; save after one step in five, nobody knows which, and at the end."""
    checkpoint = folder / "checkpoint.safetensors"
    parts = toy_training(seed=None if checkpoint.exists() else 0)  # resumed, everything must come from the checkpoint
    if checkpoint.exists():
        load(checkpoint, *parts)
    print("ready", flush=True)
    moments = random.Random()

    def after_step():
        if moments.random() < 0.2:
            save(checkpoint, *parts)

    train(*parts, after_step)
    nn.save(folder / "final.safetensors", parts[0])


def saving_process(folder, quiet=False):
    """Save, for ever, 400 kB in which every number is the same."""
    model = nn.Linear(1000, 100)
    for number in range(10**9):
        for parameter in model.parameters():
            parameter.assign(np.full(parameter.shape, number % 1000, np.float32))
        nn.save(folder / "checkpoint.safetensors", model, number=number)
        if number == 0 and not quiet:
            print("ready", flush=True)


def killed(kind, folder, longest):
    """Run such a process and kill it, up to so many seconds after it is ready; return whether it was still alive."""
    command = [sys.executable, __file__, kind, folder]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT) as process:
        process.stdout.readline()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(random.uniform(0, longest))
        process.kill()
        errors = process.stderr.read().decode()
    if process.returncode not in (0, -signal.SIGKILL):
        raise AssertionError(f"the process did not go on after a kill:\n{errors}")
    return process.returncode != 0


def uninterrupted(folder):
    """Run the whole training in one process; return the final parameters."""
    command = [sys.executable, __file__, "training", folder]
    subprocess.run(command, env=ENVIRONMENT, check=True, stdout=subprocess.DEVNULL)
    return final_parameters(folder)


def final_parameters(folder):
    model = toy_training()[0]
    nn.load(folder / "final.safetensors", model)
    return {name: array.tobytes() for name, array in model.state_dict().items()}


def kill_trainings(kills, folder):
    """Kill trainings so many times and resume them each time; return the numbers of kills and of whole trainings."""
    expected = uninterrupted(folder)
    count = trainings = 0
    while count < kills:
        for name in ("checkpoint.safetensors", "final.safetensors"):
            (folder / name).unlink(missing_ok=True)
        while killed("training", folder, longest=0.25 if count < kills else 60):
            count += 1
        assert final_parameters(folder) == expected, "a resumed training ended with other parameters"
        trainings += 1
    return count, trainings


def kill_saves(kills, folder):
    """Kill saving processes so many times; return how many of them left an unfinished file beside the whole one."""
    checkpoint, leftovers = folder / "checkpoint.safetensors", 0
    model = nn.Linear(1000, 100)
    for _ in range(kills):
        assert killed("saving", folder, longest=0.03)
        number = nn.load(checkpoint, model)["number"]
        assert all((p.data == number % 1000).all() for p in model.parameters()), "two saves are mixed in a file"
        others = [path.name for path in folder.iterdir() if path != checkpoint]
        assert all(re.fullmatch(r"\.tinygrad_sm-[0-9a-f]{32}", name) for name in others), others
        assert len(others) <= 1, "a save has not removed what a kill had left"
        leftovers += len(others)
    return leftovers


def threads_saving_process(folder):
    """Save, for ever, in two threads."""
    with ThreadPoolExecutor(2) as pool:
        for call in [pool.submit(saving_process, folder, quiet) for quiet in (False, True)]:
            call.result()


def read_while_others_save(reads, folder, kills=0):
    """Load what two processes of two threads each save to one path, so many times, each time as a whole file.

    In between, one of them is killed and replaced so many times. Return how many reads there were, and how many
    different contents.
    """
    checkpoint, model, seen = folder / "checkpoint.safetensors", nn.Linear(1000, 100), set()
    with contextlib.ExitStack() as stack:

        def start():
            command = [sys.executable, __file__, "threads_saving", folder]
            process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, env=ENVIRONMENT))
            stack.callback(process.kill)
            process.stdout.readline()
            return process

        savers = [start(), start()]
        for read in range(reads):
            if kills and read % (reads // kills) == 0:
                savers[0].kill()
                savers = [savers[1], start()]
            number = nn.load(checkpoint, model)["number"]
            assert all((p.data == number % 1000).all() for p in model.parameters()), "two saves are mixed in a file"
            seen.add(number)
            assert [saver.poll() for saver in savers] == [None, None], "a saver has failed"
    nn.save(checkpoint, model)
    assert [path.name for path in folder.iterdir()] == [checkpoint.name]
    return reads, len(seen)


def small_checkpoint(path, inputs):
    """Write a checkpoint of Linear(inputs, 4) after one step of SGD, and return the file's content and a `Loading`."""
    tg.manual_seed(1)
    model = nn.Linear(inputs, 4)
    optimizer = nn.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    model(np.ones((1, inputs), np.float32)).sum().backward()
    optimizer.step()
    nn.save(path, model, optimizer, epoch=3, history=[(0.5, 0.25)], order=np.arange(5))
    return path.read_bytes(), Loading(path, model, optimizer)


def exactly(value):
    """Return a nested value with the bytes, dtypes and shapes of its arrays in their places, to compare."""
    if isinstance(value, dict):
        return [(key, exactly(item)) for key, item in value.items()]
    if isinstance(value, list | tuple):
        return type(value), [exactly(item) for item in value]
    return (value.dtype, value.shape, value.tobytes()) if hasattr(value, "dtype") else (type(value), repr(value))


class Loading:
    """Loads contents in place of a checkpoint: a refusal must change nothing, a load must give the truth."""

    def __init__(self, path, model, optimizer):
        self.path, self.model, self.optimizer = path, model, optimizer
        self.truth = self.state()
        self.extra = exactly({"epoch": 3, "history": [(0.5, 0.25)], "order": np.arange(5)})

    def state(self):
        draws = tg.random.random_generator().bit_generator.state
        return exactly([self.model.state_dict(), self.optimizer.state_dict(), draws])

    def is_refused(self, content):
        with open(self.path, "r+b") as file:  # much faster than to make the file anew
            file.write(content)
            file.truncate()
        try:
            extra = nn.load(self.path, self.model, self.optimizer)
        except tg.CheckpointError:
            assert self.state() == self.truth, "a refused file changed something"
            return True
        assert self.state() == self.truth, "a wrong file was loaded"
        assert exactly(extra) == self.extra
        return False


def flipped(content, bit):
    """Return the content with one bit flipped."""
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def mutated(content, draw):
    """Return the content after one to three random changes, of its bytes or of its header; draw(n) is one of 0..n-1."""
    for _ in range(1 + draw(3)):
        start, end = sorted((draw(len(content) + 1), draw(len(content) + 1)))
        end = min(end, start + 1 + draw(40))
        cut = content[start:end]
        match draw(9):
            case 0:
                content = content[:start] + content[end:]
            case 1:
                content = content[:end] + cut + content[end:]
            case 2:
                content = content[:start] + bytes(draw(256) for _ in cut) + content[end:]
            case 3:
                content = content[:start] + bytes(len(cut)) + content[end:]
            case 4:
                content = content[: max(start, 1)]
            case 5:
                content = content[:start] + cut[::-1] + content[end:]
            case 6 if len(content) > 8:
                content = content[:8] + content[8:].replace(*[b"%d" % draw(10) for _ in range(2)], 1)
            case _:
                content = with_mutated_header(content, draw)
        if not content:
            return b"\0"
    return content


def with_mutated_header(content, draw):
    """Return the content with a header in which a value was changed, a name was changed, or two were swapped."""
    length = int.from_bytes(content[:8], "little")
    try:
        header = json.loads(content[8 : 8 + length])
        names = list(header)
        one, other = names[draw(len(names))], names[draw(len(names))]
        match draw(6):
            case 0:
                header[one], header[other] = header[other], header[one]
            case 1:
                header[one + "x" * draw(2)] = header.pop(one)
            case 2:
                field = list(header[one])[draw(len(header[one]))]
                header[one][field] = header[other].get(field, "1")
            case 3:
                header[one]["dtype"] = ["F32", "I32", "U32", "F64", "BF16", "BOOL", "F8_E5M2"][draw(7)]
            case 4:
                header[one]["shape"] = [[draw(2**63), 0], [2, 8], [4, 4], [-1], [1], []][draw(6)]
            case _:
                del header[one]
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, ZeroDivisionError):
        return content[: len(content) // 2]
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + content[8 + length :]


def flip_all(folder):
    """Flip every bit of a checkpoint of 10 kB, and return how many there are; each must be refused."""
    content, loading = small_checkpoint(folder / "flipped.safetensors", inputs=270)
    assert not loading.is_refused(content)
    assert all(loading.is_refused(flipped(content, bit)) for bit in range(8 * len(content)))
    return 8 * len(content)


def mutate(count, folder, seed):
    """Load so many mutated checkpoints; return how many were refused. The others were as good as the original."""
    content, loading = small_checkpoint(folder / "mutated.safetensors", inputs=20)
    draw = random.Random(seed).randrange
    return sum(loading.is_refused(mutated(content, draw)) for _ in range(count))


def interrupt():
    """Interrupt what writes several things wherever it can be, and return how often; nothing may be half done."""
    from tests.interruptions import CASES, half_done  # which compares with `exactly`

    tried = 0
    for name, case in CASES.items():
        for event, every in (("line", 1), ("opcode", 7)):
            spoiled, points = half_done(case, KeyboardInterrupt, every, event)
            assert not spoiled, f"{name} is half done after an interruption at {spoiled}"
            tried += points
    return tried


def main():
    """Run everything in full, in a folder of its own for each."""
    parts = [
        ("{0[0]} kills of {0[1]} trainings: all resumed, with bit-identical results", lambda f: kill_trainings(200, f)),
        ("1,000 kills while saving: 0 damaged files; {} times an unfinished one beside", lambda f: kill_saves(1000, f)),
        (
            "{0[0]:,} reads of {0[1]} contents that two processes saved to one path, with 100 kills: 0 damaged",
            lambda f: read_while_others_save(20_000, f, kills=100),
        ),
        ("{:,} single-bit flips of a checkpoint of 10 kB: all refused", flip_all),
        ("100,000 mutated checkpoints: {:,} refused, the others equal", lambda f: mutate(100_000, f, time.time_ns())),
        (
            "{:,} interruptions, at every line and in every seventh instruction: all done or nothing",
            lambda f: interrupt(),
        ),
    ]
    for text, part in parts:
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            figures = part(Path(folder))
        print(f"{text.format(figures)}  ({time.perf_counter() - start:.0f} s)", flush=True)
    print(f"most memory in use: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


if __name__ == "__main__":
    if len(sys.argv) == 3:
        processes = {"training": training_process, "saving": saving_process, "threads_saving": threads_saving_process}
        processes[sys.argv[1]](Path(sys.argv[2]))
    else:
        main()
