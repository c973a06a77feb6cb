"""What `import tinygrad_sm` costs over `import numpy`: the time of whole interpreters that do nothing else."""

import operator
import os
import subprocess
import sys
import time

from benchmarks.harness import installed, report, say, verdict

STATEMENTS = {
    "NumPy": "import numpy",
    "tinygrad_sm": "import tinygrad_sm",
    "PyTorch": "import torch",
    "JAX jit": "import jax",
    "MyGrad": "import mygrad",
    "HIPS autograd": "import autograd",
}
LIMIT = 30  # ms

ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
"""Installers compile what they install, so what is imported shall not be compiled anew each time: bytecode is kept."""


def benchmark(threads: list[int], rounds: int) -> None:
    """Compare the times, and show which modules take most of the framework's."""
    statements = installed(STATEMENTS)
    times: dict[str, list[float]] = {name: [] for name in statements}
    for i in range(rounds + 1):
        for name, statement in statements.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", statement], check=True, env=ENVIRONMENT)
            if i:  # the first round brings the files into memory and writes the bytecode
                times[name].append(1e3 * (time.perf_counter() - start))
    extra = report("an interpreter that imports", "ms", times, "NumPy", operator.sub)
    longest = ", ".join(f"{name} {ms:.1f} ms" for name, ms in own_times()[:5])
    say(f"\nlongest, by -X importtime: {longest}")
    verdict(f"tinygrad_sm at most {LIMIT} ms over NumPy", LIMIT, extra["tinygrad_sm"])


def own_times() -> list[tuple[str, float]]:
    """Return what is imported for tinygrad_sm after NumPy, with the time (ms) of each module alone, longest first."""
    command = [sys.executable, "-X", "importtime", "-c", "import numpy; import tinygrad_sm"]
    log = subprocess.run(command, check=True, capture_output=True, text=True, env=ENVIRONMENT).stderr
    _, _, after = log.partition("| numpy\n")  # a module stands under those that it imports
    rows = [line.removeprefix("import time:").split("|") for line in after.splitlines()]
    return sorted(((name.strip(), int(own) / 1e3) for own, _, name in rows), key=lambda row: -row[1])
