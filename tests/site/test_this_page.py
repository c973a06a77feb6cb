"""What the programs of the page import, in Python as everywhere: pictures of models, errors, drawings, tapes."""

import importlib.util
import json
import re
import shutil

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import ROOT
from tests.site.conftest import build
from tinygrad_sm import nn
from tinygrad_sm.datasets import mnist, toys

PROGRAMS = sorted((ROOT / "site/try/programs").glob("*.py"))


@pytest.fixture(scope="module")
def this_page(tmp_path_factory):
    """Give the module, with the digits that the build puts beside it, and what it has sent as its list `sent`."""
    folder = tmp_path_factory.mktemp("page")
    path = shutil.copy(ROOT / "site/try/this_page.py", folder)
    build.digits(folder / "digits.npz")
    spec = importlib.util.spec_from_file_location("this_page", path)
    module = importlib.util.module_from_spec(spec)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(__import__("sys").modules, "this_page", module)
        spec.loader.exec_module(module)
        yield module


@pytest.fixture
def sent(this_page, monkeypatch):
    messages = []
    monkeypatch.setattr(this_page, "send", messages.append)
    monkeypatch.setattr(this_page, "_running", "")  # a test before may have run a program
    return messages


@pytest.mark.parametrize(
    ("name", "least"), [("digits", 0.83), ("hidden", 0.83), ("clouds", 0.97), ("spirals", 0.97), ("animals", 0.97)]
)
def test_each_program_learns(this_page, sent, name, least):
    assert name in {path.stem for path in PROGRAMS}
    code = (ROOT / f"site/try/programs/{name}.py").read_text("utf-8")
    assert max(map(len, code.splitlines())) <= 80
    assert this_page.run(name, code) is None
    assert sent[-1]["right"] >= least
    assert sent[-1]["loss"] < 0.5 * sent[0]["loss"]
    assert len(sent) > 10


def test_no_program_is_without_a_test():
    assert [path.stem for path in PROGRAMS] == ["animals", "clouds", "digits", "hidden", "spirals"]


def test_the_digits_are_of_the_training_set_and_of_the_test_set(this_page):
    train, test = mnist("train"), mnist("test")
    np.testing.assert_array_equal(this_page.digits.images, train.images[:2000])
    np.testing.assert_array_equal(this_page.digits.labels, train.labels[:2000])
    np.testing.assert_array_equal(this_page.test.images, test.images[:2000])
    assert this_page.sample(2003)["label"] == test.labels[3]
    np.testing.assert_array_equal(this_page.sample(1003)["pixels"], test.images[1003].ravel())


def test_regions_are_where_the_model_puts_them(this_page, sent):
    points = toys.red_green_blue(30)
    model = nn.Linear(2, 3)
    with tg.no_grad():  # the class is 0 right of the middle of x, 1 left of it, never 2
        middle = float((points.inputs[:, 0].min() + points.inputs[:, 0].max()) / 2)
        model.weight.data[:] = [[5, 0], [-5, 0], [0, 0]]
        model.bias.data[:] = [-5 * middle, 5 * middle, -9]
    this_page.show(model, points)
    (message,) = sent
    best = message["best"].reshape(message["grid"], message["grid"])
    assert (best[:, : best.shape[1] // 2] == 1).all()
    assert (best[:, best.shape[1] // 2 :] == 0).all()
    placed = message["points"].reshape(-1, 2)
    assert np.abs(placed).max() <= 1
    scale = (placed[1] - placed[0]) / (points.inputs[1] - points.inputs[0])
    np.testing.assert_allclose(scale, scale[0], rtol=1e-4)


def test_the_second_row_of_the_regions_is_below_the_first(this_page, sent):
    points, model = toys.red_green_blue(30), nn.Linear(2, 3)
    model.load_state_dict({"weight": np.array([[0, 9], [0, -9], [0, 0]], np.float32), "bias": np.zeros(3, np.float32)})
    this_page.show(model, points)
    best = sent[0]["best"].reshape(sent[0]["grid"], -1)
    assert (best[0] == 0).all()
    assert (best[-1] == 1).all()


def test_a_program_has_pictures_for_one_kind_of_data(this_page, sent, monkeypatch):
    monkeypatch.setattr(this_page, "_running", "clouds")
    with pytest.raises(ValueError, match="show: this program has a place for points, got digits: choose a program for"):
        this_page.show(nn.Sequential(nn.Flatten(), nn.Linear(784, 10)), this_page.test)
    assert sent == []
    this_page.show(nn.Linear(2, 3), toys.red_green_blue(30))
    assert len(sent) == 1


def test_what_is_shown_does_not_change_the_training(this_page, sent, monkeypatch):
    """Neither drop-out, nor statistics of a batch norm, nor gradients."""
    points = toys.spirals(30)
    model = nn.Sequential(nn.Linear(2, 4), nn.BatchNorm1d(4), nn.Dropout(0.5), nn.Linear(4, 3))
    nn.CrossEntropyLoss()(model(points.inputs), points.labels).backward()
    before = {name: array.copy() for name, array in model.state_dict().items()}
    gradient = model[0].weight.grad.copy()
    monkeypatch.setattr(this_page, "_running", "spirals")
    this_page.show(model, points)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    np.testing.assert_array_equal(model[0].weight.grad, gradient)
    assert model.training
    assert this_page._quiet(model)[0].weight.grad is None  # else a tape would add to it


@pytest.mark.parametrize(
    "loss", [1.5, np.float32(1.5), np.mean([1.0, 2.0]), np.array(1.5), tg.Tensor(1.5), tg.Tensor(np.float64(1.5))]
)
def test_a_loss_is_any_number(this_page, sent, loss):
    this_page.show(nn.Linear(2, 3), toys.red_green_blue(9), loss)
    assert sent[0]["batch"] == 1.5


@pytest.mark.parametrize(
    ("action", "kind", "said"),
    [
        (lambda page: page.show(1.0, page.test), TypeError, "expected a model, that is an nn.Module, got float"),
        (
            lambda page: page.show(nn.Linear(2, 3), (1, 2)),
            ValueError,
            r"toys.red_green_blue\(\) returns them, got tuple",
        ),
        (
            lambda page: page.show(nn.Linear(2, 3), page.test._replace(images=np.zeros((5, 3)))),
            ValueError,
            r"got \(3,\)",
        ),
        (
            lambda page: page.show(nn.Linear(2, 4), toys.red_green_blue(9)),
            ValueError,
            r"got \(9, 4\): let the last layer",
        ),
        (lambda page: page.digit("nothing", np.zeros(784)), LookupError, "train it first"),
    ],
)
def test_what_is_refused(this_page, sent, action, kind, said):
    with pytest.raises(kind, match=said):
        action(this_page)
    assert sent == []


@pytest.mark.parametrize(
    ("code", "said", "lines"),
    [
        ("x = 1\nx.shape", "AttributeError: 'int' object has no attribute 'shape'", [2]),
        ("x = (", r"SyntaxError: .\(. was never closed", [1]),
        (
            "def f(x):\n    return tg.cat([x])\nimport tinygrad_sm as tg\nf(1)",
            "AttributeError: .*tg.concatenate",
            [4, 2],
        ),
        ("raise SystemExit", "SystemExit", [1]),
        ("import torch.cuda.no", r"ModuleNotFoundError: .*\nThis page has Python, NumPy and tinygrad_sm alone\.$", [1]),
        ("from this_page import shwo", r"ImportError: cannot import name 'shwo'[^\n]*$", [1]),
        ("from tinygrad_sm import cat", r"ImportError: .*concatenate[^\n]*$", [1]),
        ("import tinygrad_sm as tg\ntg.ones(3).backward()" + 3000 * "\n#", "GradientError: ", [2]),
        ("def f():\n    f()\nf()", "RecursionError: ", [2] * 6),
        ("import tinygrad_sm as tg\nt = tg.ones(3)\nt.backward()", "GradientError: .*", [3]),
    ],
)
def test_errors_are_those_of_the_framework_with_the_lines_of_the_program(this_page, code, said, lines):
    error = this_page.run("digits", code)
    assert re.match(said, error["said"], re.DOTALL)
    assert [line["number"] for line in error["lines"]] == lines
    assert all(line["text"] == code.splitlines()[line["number"] - 1].strip() for line in error["lines"])


def test_an_image_of_mnist_stays_as_it_is(this_page):
    image = this_page.test.images[0, 0]
    np.testing.assert_array_equal(this_page.centred(image.ravel()), image)


@pytest.mark.parametrize("offset", [(0, 0), (90, 40), (150, 150)])
@pytest.mark.parametrize("i", [0, 2, 8])
def test_a_large_digit_anywhere_on_the_pad_becomes_the_one_of_mnist(this_page, offset, i):
    image = this_page.test.images[i, 0]
    drawing = np.zeros((280, 280), np.float32)
    large = np.kron(image[2:26, 2:26], np.ones((5, 5), np.float32))  # 120 pixels
    drawing[offset[0] : offset[0] + 120, offset[1] : offset[1] + 120] = large
    seen = this_page.centred(drawing)
    assert np.corrcoef(seen.ravel(), image.ravel())[0, 1] > 0.85
    total = seen.sum()
    assert abs(seen.sum(axis=1) @ np.arange(28) / total - 14) <= 0.6
    assert abs(seen.sum(axis=0) @ np.arange(28) / total - 14) <= 0.6
    rows, columns = np.nonzero(seen.max(axis=1))[0], np.nonzero(seen.max(axis=0))[0]
    assert 18 <= max(np.ptp(rows), np.ptp(columns)) + 1 <= 20


def test_an_empty_pad_is_an_empty_image(this_page):
    assert not this_page.centred(np.zeros(280 * 280, np.float32)).any()
    dot = np.zeros((280, 280), np.float32)
    dot[5, 5] = 1
    assert this_page.centred(dot).shape == (28, 28)


def test_the_gradient_by_a_pixel_is_what_a_change_of_it_makes(this_page, sent):
    this_page.run("digits", (ROOT / "site/try/programs/digits.py").read_text("utf-8").replace("range(15)", "range(1)"))
    image = this_page.test.images[3, 0].astype(np.float64)
    answer = this_page.digit("digits", image.ravel())
    assert answer["probabilities"].sum() == pytest.approx(1, abs=1e-5)
    row, column = 14, 14

    def log_p(change):
        moved = image.copy()
        moved[row, column] += change
        return np.log(this_page.digit("digits", moved.ravel())["probabilities"][answer["best"]].astype(float))

    slope = (log_p(0.1) - log_p(-0.1)) / 0.2
    assert answer["gradient"][28 * row + column] == pytest.approx(slope, rel=0.02, abs=1e-4)


def test_every_number_of_an_animal_adds_up(this_page, sent):
    this_page.run("animals", (ROOT / "site/try/programs/animals.py").read_text("utf-8"))
    answer = this_page.animal("animals", [0.9, 0.1, 0.1, 0.9])
    np.testing.assert_allclose(
        answer["terms"].reshape(3, 4).sum(axis=1) + answer["biases"], answer["logits"], rtol=1e-5
    )
    assert answer["best"] == 0


def test_a_program_that_fails_leaves_no_model(this_page, sent):
    code = (ROOT / "site/try/programs/animals.py").read_text("utf-8")
    assert this_page.run("animals", code) is None
    assert this_page.run("animals", "1 / 0")["said"] == "ZeroDivisionError: division by zero"
    with pytest.raises(LookupError, match="train it first"):
        this_page.animal("animals", [0.9, 0.1, 0.1, 0.9])


@pytest.mark.parametrize(("name", "label", "title"), [("digits", 7, "7"), ("animals", 1, "chicken")])
def test_a_tape_is_the_view_of_a_recording(this_page, sent, name, label, title):
    code = (ROOT / f"site/try/programs/{name}.py").read_text("utf-8").replace("range(15)", "range(1)")
    this_page.run(name, code)
    pixels = this_page.sample(0)["pixels"] if name == "digits" else np.array([0.9, 0.9, 0.1, 0.1])
    page = this_page.tape(name, pixels, label)
    assert f"<title>One image, its label {title}: every number</title>" in page
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])
    labels = [entry["label"] for entry in data["entries"]]
    assert {"softmax", "log"} <= {label.partition(" ")[0] for label in labels}
    (weight,) = (data["values"][entry["value"]] for entry in data["entries"] if entry["label"] == "1.weight")
    assert (weight.get("pictures") or {"size": None})["size"] == ([28, 28] if name == "digits" else None)


def test_a_tape_whose_parts_would_be_infinite_keeps_the_loss_whole(this_page, sent):
    this_page.run("animals", (ROOT / "site/try/programs/animals.py").read_text("utf-8"))
    this_page._models["animals"][1].weight.data[:] *= 1e4
    assert "cross_entropy" in this_page.tape("animals", [0.9, 0.1, 0.1, 0.9], 1)
