"""What the tests of the examples share: the options and files of each, a way to start one, and a check of a run."""

import os
import re
import subprocess
import sys

from tests.helpers import ROOT

EXAMPLES = ROOT / "examples"

# One BLAS thread: two of them wait for each other where other tests keep the cores busy.
ONE_THREAD = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
ENVIRONMENT = {**os.environ, **ONE_THREAD, "PYTHONIOENCODING": "utf-8"}

RUNS = {
    "cat_chicken_dog": ([], ["images.png", "labels.png", "network.png", "numbers.png", "tape.html", "weights.png"]),
    "chain_rule": ([], ["network.png", "tape.svg"]),
    "choose_defaults": (["--seeds", "1", "--epochs", "1", "--rows", "1", "--train-size", "100"], []),
    "deep_network": ([], ["activations.png", "curve.png", "loss.png", "moons.png", "spirals.png"]),
    "fashion_mnist": ([], []),  # the images are not packaged, and these runs have no network
    "language_model": (["--epochs", "1"], ["loss.png", "next.png"]),
    "lenet_1998": (["--quick", "--epochs", "2"], ["filters.png", "maps.png", "mistakes.png", "second.png"]),
    "linear_regression": ([], ["fit.png", "loss.png"]),
    "logistic_regression": ([], ["regions.png", "sigmoid.png", "threshold.png"]),
    "look_inside": ([], [f"{name}.{kind}" for name in ("cat", "flagship", "mlp") for kind in ("html", "svg")]),
    "mnist_mlp": (["--quick"], ["confusion.png", "curves.png", "mistakes.png", "network.png"]),
    "mnist_parallel": (["--epochs", "2", "--train-size", "6000", "--min-accuracy", "85"], ["checkpoint.safetensors"]),
    "mnist_softmax": (
        ["--epochs", "3", "--train-size", "6000", "--min-accuracy", "85"],
        ["checkpoint.safetensors", "confusion.png", "curves.png", "mistakes.png", "model.safetensors", "weights.png"],
    ),
    "one_vs_rest": ([], ["car.png", "percentages.png", "stack.png"]),
    "optimum": (["--quick"], ["bounds.png", "weights.png"]),
    "perceptron_1958": ([], ["bound.png", "epochs.png", "regions.png"]),
    "scaling_study": (["--quick"], ["curves.png", "pixels.png"]),
    "show_digits": ([], ["answers.png", "hardest.png", "rows.png", "sevens.png", "tape.html"]),
    "softmax_regression": ([], ["loss.png", "regions.png"]),
    "step_as_program": ([], ["time.png"]),
    "textbook_walk": ([], []),
    "training_ledger": (["--quick"], ["for_1.png", "for_7.png", "shares.png"]),
    "transformer_2017": (["--quick"], ["heads.png", "loss.png"]),
    "two_perceptrons": ([], ["network.png", "regions.png", "temperatures.png"]),
    "xmax_family": ([], ["simplex.png", "steps.png"]),
    "xor_1969": ([], ["runs.png", "spaces.png"]),
}
"""The options with which an example is quick, and the files that it leaves then."""


def start(*arguments, python=sys.executable, cwd=None, env=ENVIRONMENT):
    """Run a Python with the arguments, and return its exit status and what it wrote, line ends as they came."""
    done = subprocess.run([python, *arguments], cwd=cwd, env=env, capture_output=True, timeout=120, check=False)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def check_run(status, text, errors, folder, pictures):
    """Check that a run has ended well, fits a terminal, and has drawn the pictures that it names, and no more."""
    assert (status, errors) == (0, "")
    text = text.replace(str(folder), "/runs")  # which is short, and has no spaces
    assert max(map(len, text.splitlines())) <= 100
    assert sorted(re.findall(r"\S+\.(?:png|svg)", text)) == sorted(f"/runs{os.sep}{name}" for name in pictures)
    assert sorted(path.name for path in folder.iterdir()) == sorted(pictures)
    first = {".png": b"\x89PNG", ".svg": b"<svg "}
    assert all(path.read_bytes().startswith(first[path.suffix]) for path in folder.iterdir())
