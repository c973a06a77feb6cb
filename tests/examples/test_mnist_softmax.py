"""The training on MNIST leaves the files it names, can be repeated with its seed, and refuses bad options at once."""

import os
import re
import subprocess
import sys

import matplotlib.image
import mnist_softmax
import numpy as np
import pytest

import tinygrad_sm as tg
from tests.examples.helpers import ENVIRONMENT, EXAMPLES, start
from tinygrad_sm import nn
from tinygrad_sm.datasets import mnist

FILES = ["model.safetensors", "curves.png", "weights.png", "confusion.png", "mistakes.png"]
LEFT = sorted(["checkpoint.safetensors", *FILES])
SMALL = ["--train-size", "1000", "--epochs", "3"]


def run(*arguments):
    """Run mnist_softmax.py with few images, and return its exit status and what it wrote, line ends as they came."""
    return start(EXAMPLES / "mnist_softmax.py", *SMALL, *arguments)


def accuracy_line(text):
    [line] = re.findall(r"^test accuracy: \d+\.\d\d %$", text, re.MULTILINE)
    return line


@pytest.fixture(scope="module")
def small_run(tmp_path_factory):
    """Return the folder of one small run with seed 1, its exit status and what it wrote."""
    folder = tmp_path_factory.mktemp("runs") / "made with its parents" / "run"
    return folder, *run("--output", folder, "--seed", "1")


def test_a_small_run_names_the_files_it_leaves(small_run):
    folder, status, text, errors = small_run
    assert (status, errors) == (0, "")
    lines = text.replace(os.linesep, "\n").splitlines()
    assert [re.sub(r"[\d.,]+", "#", line) for line in lines[:3]] == [
        "epoch  #  train loss #  test loss #  test accuracy # %  # images/s"
    ] * 3
    assert lines[3] == accuracy_line(text)
    assert lines[3].removeprefix("test accuracy: ") in lines[2]
    assert [line.partition(":")[2].strip() for line in lines[4:]] == [str(folder / name) for name in FILES]
    assert sorted(path.name for path in folder.iterdir()) == LEFT


@pytest.mark.parametrize("name", FILES[1:])
def test_the_pictures_are_pngs_that_show_something(small_run, name):
    path = small_run[0] / name
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    pixels = matplotlib.image.imread(path)
    assert min(pixels.shape[:2]) > 300
    assert 0.02 < np.mean(pixels[..., :3].min(axis=2) < 0.9) < 0.9  # neither an empty page nor a full one


def test_the_saved_model_has_the_printed_accuracy(small_run):
    folder, _, text, _ = small_run
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    nn.load(folder / "model.safetensors", model)
    images, labels, _ = mnist("test")
    correct = (model(images).argmax(axis=1) == labels).mean()
    assert accuracy_line(text) == f"test accuracy: {100 * correct:.2f} %"


def test_the_same_seed_gives_the_same_run(small_run, tmp_path):
    folder, _, text, _ = small_run

    def weights(folder):
        model = nn.Linear(784, 10)
        nn.load(folder / "model.safetensors", nn.Sequential(nn.Flatten(), model))
        return np.hstack([model.weight.data, model.bias.data[:, np.newaxis]])

    _, again, _ = run("--output", tmp_path / "again", "--seed", "1")
    _, other, _ = run("--output", tmp_path / "other", "--seed", "2")
    assert accuracy_line(again) == accuracy_line(text)
    assert accuracy_line(other) != accuracy_line(text)
    assert weights(tmp_path / "again").tobytes() == weights(folder).tobytes()
    assert np.abs(weights(tmp_path / "other") - weights(folder)).max() > 0.01


def test_an_accuracy_below_the_least_that_is_asked_for_is_status_1(tmp_path):
    status, text, errors = run("--output", tmp_path, "--min-accuracy", "99.9")
    assert status == 1
    assert accuracy_line(text)
    assert errors.splitlines() == ["the test accuracy is below the 99.9 % that --min-accuracy asks for"]
    assert sorted(path.name for path in tmp_path.iterdir()) == LEFT


def test_a_training_that_diverges_says_so(tmp_path):
    status, text, errors = run("--output", tmp_path, "--lr", "1e30")
    assert status == 1
    assert "test accuracy:" not in text
    assert re.fullmatch("the training diverged in epoch [12]: .*: try a smaller --lr", errors.splitlines()[-1])
    assert "Traceback" not in errors


def test_the_bar_is_for_terminals_only(small_run, tmp_path):
    _, _, text, errors = small_run
    assert "\r" not in (text + errors).replace(os.linesep, "\n")
    assert "%|" not in text + errors

    pty, termios = pytest.importorskip("pty"), pytest.importorskip("termios")
    terminal, its_end = pty.openpty()
    termios.tcsetwinsize(its_end, (24, 100))
    command = [sys.executable, EXAMPLES / "mnist_softmax.py", *SMALL, "--output", tmp_path]
    shown = b""
    with subprocess.Popen(command, stdout=its_end, stderr=its_end, env=ENVIRONMENT) as program:
        os.close(its_end)
        try:
            while part := os.read(terminal, 4096):
                shown += part
        except OSError:  # Linux's way to say that the program has closed its end
            pass
        finally:
            os.close(terminal)
    assert program.returncode == 0
    assert b"\r  0%|" in shown
    assert accuracy_line(shown.decode().replace("\r", "\n"))


BAD_VALUES = {
    "--epochs": ["0", "-1", "1.5", "many"],
    "--batch-size": ["0", "-128", "32.0"],
    "--lr": ["-0.1", "nan", "inf", "fast"],
    "--momentum": ["-0.1", "1.1", "nan"],
    "--weight-decay": ["-1e-4", "inf"],
    "--scale": ["none", "Unit", ""],
    "--train-size": ["0", "60001"],
    "--seed": ["-1", "0.5", ""],
    "--device": ["cuda:99", "tpu", ""],
    "--threads": ["0", "-1", "1.5", "all"],
    "--min-accuracy": ["-1", "101", "nan"],
    "--output": ["a file", "a file/below"],
}
BAD_OPTIONS = [
    *([name, value] for name, values in BAD_VALUES.items() for value in values),
    *([name] for name in BAD_VALUES),  # without a value
    ["--optimizer", "adam"],
    ["images"],
]


@pytest.mark.parametrize("options", BAD_OPTIONS, ids=" ".join)
def test_bad_options_are_refused_before_anything_is_done(options, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a file").touch()
    monkeypatch.setattr(sys, "argv", ["mnist_softmax.py", *options])
    with pytest.raises(SystemExit) as ended:
        mnist_softmax.main()
    text, errors = capsys.readouterr()
    assert (ended.value.code, text) == (2, "")
    assert re.search(f"error: .*{options[0]}", errors.splitlines()[-1])
    assert [path.name for path in tmp_path.iterdir()] == ["a file"]


@pytest.mark.parametrize("options", [["--lr", "-1"], ["--device", "cuda:99"], ["--output", __file__]])
def test_a_refusal_is_status_2_and_no_traceback(options):
    status, text, errors = run(*options)
    assert (status, text) == (2, "")
    assert errors.startswith("usage: mnist_softmax.py")
    assert "Traceback" not in errors


@pytest.mark.parametrize("name", ["matplotlib", "threadpoolctl", "tqdm"])
def test_what_is_not_installed_is_named_with_the_way_to_install_it(name):
    program = f"import sys; sys.modules[{name!r}] = None; sys.path[0] = sys.argv[1]; import mnist_softmax"
    status, _, errors = start("-c", program, EXAMPLES)
    assert status == 1
    [message] = errors.splitlines()
    assert message.startswith(name)
    assert message.endswith('is missing: install what the examples need with  pip install "tinygrad_sm[examples]"')


def few_images(n):
    """Return the first n images of the test."""
    test = mnist("test")
    return test._replace(images=test.images[:n], labels=test.labels[:n])


def test_a_compiled_training_is_the_same_bit_for_bit(monkeypatch):
    steps, results = [], []
    compiled = tg.compiled
    monkeypatch.setattr(mnist_softmax.tg, "compiled", lambda step: steps.append(compiled(step)) or steps[-1])
    options = {"batch_size": 64, "lr": 0.4, "momentum": 0.9, "weight_decay": 1e-5, "seed": 0, "quiet": True}
    for is_compiled in (False, True):
        model, history = mnist_softmax.train(
            few_images(300), few_images(100), epochs=4, **options, compiled=is_compiled
        )  # the last batch is smaller, and takes a program of its own
        state = {name: array.tobytes() for name, array in model.state_dict().items()}
        results.append((state, [epoch[:3] + epoch[4:] for epoch in history]))  # all but the time
    assert results[0] == results[1]
    [step] = steps
    assert step.why_eager is None
    assert step.program is not None


def test_the_learning_rate_falls_linearly_epoch_by_epoch(monkeypatch):
    rates = []

    class NotedSGD(mnist_softmax.nn.optim.SGD):
        def step(self):
            rates.append(self.lr)
            super().step()

    monkeypatch.setattr(mnist_softmax.nn.optim, "SGD", NotedSGD)
    few = few_images(20)
    options = {"batch_size": 10, "lr": 0.4, "momentum": 0.0, "weight_decay": 0.0, "seed": 0}
    mnist_softmax.train(few, few, epochs=4, **options, quiet=True)
    np.testing.assert_allclose(rates, [0.4, 0.4, 0.3, 0.3, 0.2, 0.2, 0.1, 0.1])


def test_the_training_accuracy_is_that_of_the_batches_while_they_were_learned():
    few, options = few_images(30), {"batch_size": 30, "momentum": 0.0, "weight_decay": 0.0, "seed": 3}
    _, [epoch] = mnist_softmax.train(few, few, epochs=1, lr=0.0, **options, quiet=True)  # one batch, and no step
    assert epoch.train_accuracy == pytest.approx(epoch.test_accuracy, rel=1e-6)
    assert epoch.train_loss == pytest.approx(epoch.test_loss, rel=1e-6)


def test_the_curves_have_the_accuracy_on_training_and_on_test_images(drawn, tmp_path):
    history = [mnist_softmax.Epoch(0.4, 0.3, 91.0, 1e6, 88.0), mnist_softmax.Epoch(0.3, 0.3, 92.0, 1e6, 91.5)]
    model = mnist_softmax.nn.Sequential(mnist_softmax.nn.Flatten(), mnist_softmax.nn.Linear(784, 10))
    mnist_softmax.write_results(tmp_path, model, history, few_images(50), "cpu")
    accuracies = {"training": [88.0, 91.5], "test": [91.0, 92.0]}
    assert drawn["curves.png"]["panels"] == {
        "loss": {"training": [0.4, 0.3], "test": [0.3, 0.3]},
        "accuracy in %": accuracies,
    }
