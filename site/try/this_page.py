"""What the programs of the page import: digits to learn from, and `show`, which draws what a model does.

    from this_page import digits, show, test
    show(model, test, loss)         # in a training loop: a point of the curves, and the pictures below them

The page itself calls `run`, and then asks the model of the last `show`: `digit`, `animal`, `tape`. What is to be drawn
leaves by `send`, as a dict of numbers, texts and arrays; worker.js puts the function there that posts it to the page.
"""

import contextlib
import copy
import linecache
import pathlib
import sys
import tempfile
import traceback

import numpy as np

import tinygrad_sm as tg
from tinygrad_sm import nn
from tinygrad_sm.datasets import LabelledImages, toys
from tinygrad_sm.nn import functional as F

PROGRAM = "program.py"
"""The name of the file that holds the learner's program."""

GRID = 72
"""The regions of a plane are drawn from so many by so many points."""

PLACES = {"digits": "digits", "hidden": "digits", "clouds": "points", "spirals": "points", "animals": "animals"}
"""What a program of the page has pictures for."""

LINES = 6
"""An error shows at most so many lines of the program: a recursion has a thousand."""


def send(message):
    """Hand a message to the page; the worker puts its own function in this place."""


def _thousands():
    """Return the first digits of the training set and of the test set, which the page brings along."""
    with np.load(pathlib.Path(__file__).with_name("digits.npz")) as file:
        return [
            LabelledImages(
                (file[f"{split}_pixels"] / np.float32(255))[:, np.newaxis],
                file[f"{split}_labels"].astype(np.int64),
                tuple("0123456789"),
            )
            for split in ("train", "test")
        ]


digits, test = _thousands()
_models = {}  # by the name of the program: the model of its last `show`
_running = ""  # the name of the program that runs


# ---- while a program runs


def show(model, data, loss=None):
    """Draw what the model does on the data: a point of the curves, and what it has learned.

    data : digits, points of a plane, or images of 2×2 pixels, with their labels and the names of their classes: `test`,
        or what a function of `tinygrad_sm.datasets.toys` returns.
    loss : that of the last batch or step; it is the second curve.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"show: expected a model, that is an nn.Module, got {type(model).__name__}")
    kind = _kind(data)
    place = PLACES.get(_running, kind)
    if kind != place:
        raise ValueError(f"show: this program has a place for {place}, got {kind}: choose a program for {kind} above")
    inputs, labels, classes = data
    quiet = _quiet(model)
    with tg.no_grad():
        logits = quiet(tg.Tensor(inputs)).numpy()
    if logits.shape != (len(labels), len(classes)):
        raise ValueError(
            f"show: expected logits of shape ({len(labels)}, {len(classes)}), for {len(labels)} examples and "
            f"{len(classes)} classes, got {logits.shape}: let the last layer have {len(classes)} outputs"
        )
    _models[_running] = model
    pictures = {"digits": _weights, "points": _regions, "animals": _weights}[kind]
    send(
        {
            "kind": "shown",
            "loss": float(F.cross_entropy(logits, labels)),
            "batch": None if loss is None else float(loss.data if isinstance(loss, tg.Tensor) else loss),
            "right": float(F.accuracy(logits, labels)),
            "count": len(labels),
            **pictures(quiet, data),
        }
    )


def _kind(data):
    shapes = {(1, 28, 28): "digits", (2,): "points", (1, 2, 2): "animals"}
    shape = np.shape(data[0])[1:] if isinstance(data, tuple) and len(data) == 3 else None
    if shape not in shapes:
        raise ValueError(
            "show: expected images of 28×28 or 2×2 pixels or points of a plane, with labels and classes, as "
            f"toys.red_green_blue() returns them, got {shape or type(data).__name__}: give the data, not a batch of it"
        )
    return shapes[shape]


def _quiet(model):
    """Return a copy that does not drop out, and whose gradients are its own."""
    twin = copy.deepcopy(model).eval()
    for parameter in twin.parameters():
        parameter.grad = None
    return twin


def _weights(model, data):
    """Return the weights of the first linear layer, a row for each output, if it sees the pixels."""
    pixels = data.images[0].size
    found = [module for module in model.modules() if isinstance(module, nn.Linear)][:1]
    if not found or found[0].weight.shape[1] != pixels:
        return {"weights": [], "classes": list(data.classes), "outputs": 0}
    weight = found[0].weight.numpy()
    return {
        "weights": [row.astype(np.float32) for row in weight[:20]],
        "classes": list(data.classes),
        "outputs": len(weight),
    }


def _regions(model, data):
    """Return which class is the most likely at each point of a grid, row by row from the top, and how likely it is."""
    inputs, labels, classes = data
    low, high = inputs.min(axis=0), inputs.max(axis=0)
    middle, reach = (low + high) / 2, 0.58 * float((high - low).max())
    steps = np.linspace(-reach, reach, GRID, dtype=np.float32)
    x, y = np.meshgrid(middle[0] + steps, middle[1] - steps)
    with tg.no_grad():
        p = F.softmax(model(tg.Tensor(np.stack([x, y], axis=-1).reshape(-1, 2))), dim=1).numpy()
    return {
        "best": p.argmax(axis=1).astype(np.uint8),
        "sure": p.max(axis=1).astype(np.float32),
        "grid": GRID,
        "points": ((inputs - middle) / reach).astype(np.float32).ravel(),
        "labels": labels.astype(np.uint8),
        "classes": list(classes),
    }


# ---- run a program, and say what is wrong with it


def run(name, code):
    """Run a program. Return None, or its error: what it says, and the lines of the program that led there."""
    global _running
    _running = name
    _models.pop(name, None)
    linecache.cache[PROGRAM] = len(code), None, code.splitlines(keepends=True), PROGRAM
    try:
        exec(compile(code, PROGRAM, "exec"), {"__name__": "__main__", "__file__": PROGRAM})
    except BaseException as error:  # noqa: BLE001  whatever it is, the page says it
        return _described(error, code.splitlines())
    finally:
        sys.stdout.flush()
    return None


def _hints(error):
    """Return what an error means in this page."""
    if isinstance(error, tg.DatasetError):
        return ["This page has no large data sets. It brings digits: from this_page import digits, test"]
    is_foreign = isinstance(error, ImportError) and (error.name or "").partition(".")[0] not in (
        "this_page",
        "tinygrad_sm",
    )
    return ["This page has Python, NumPy and tinygrad_sm alone."] if is_foreign else []


def _described(error, code):
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == PROGRAM]
    numbers = [frame.lineno for frame in frames]
    if isinstance(error, SyntaxError) and error.filename == PROGRAM:
        numbers = [error.lineno]
    said = [f"{type(error).__name__}: {error.msg if isinstance(error, SyntaxError) else error}".removesuffix(": ")]
    said += _hints(error)
    known = [n for n in numbers[-LINES:] if n and n <= len(code)]
    return {
        "said": "\n".join([*said, *getattr(error, "__notes__", ())]),
        "lines": [{"number": n, "text": code[n - 1].strip()} for n in known],
    }


# ---- ask the model of the last `show`


class Untrained(LookupError):
    """There is no model yet that could be asked."""


def _model(name):
    if name not in _models:
        raise Untrained("There is no model yet: train it first.")
    return _quiet(_models[name])


def digit(name, pixels):
    """Return what a program's model says of a drawing: what it sees, the probabilities, and ∂ log p / ∂ pixel."""
    return _asked(_model(name), centred(np.asarray(pixels, np.float32)))


def animal(name, pixels):
    """Return what a program's model says of an image of 2×2 pixels, with every number on the way if it is linear."""
    model, x = _model(name), np.asarray(pixels, np.float32).reshape(2, 2)
    linear = [module for module in model.modules() if isinstance(module, nn.Linear)]
    answer = _asked(model, x)
    if len(linear) == 1 and linear[0].bias is not None:
        weight, bias = linear[0].weight.numpy(), linear[0].bias.numpy()
        terms = weight * x.ravel()
        answer |= {"weights": weight.ravel(), "terms": terms.ravel(), "biases": bias}
    return answer


def _asked(model, image):
    x = tg.Tensor(image[np.newaxis, np.newaxis], requires_grad=True)
    logits = model(x)
    log_p = F.log_softmax(logits, dim=1)
    log_p.max().backward()
    return {
        "seen": image.ravel(),
        "logits": logits.numpy().astype(np.float32).ravel(),
        "probabilities": np.exp(log_p.numpy()).astype(np.float32).ravel(),
        "gradient": x.grad.astype(np.float32).ravel(),
        "best": int(log_p.numpy().argmax()),
    }


def tape(name, pixels, label):
    """Return a page that steps through one image's way to its loss and back: the view of `recording.page`."""
    model, image = _model(name), np.asarray(pixels, np.float32)
    image = image.reshape(1, 1, 2, 2) if image.size == 4 else centred(image)[np.newaxis, np.newaxis]
    with tg.look.record(model) as recording:
        z = model(tg.Tensor(image))
        loss = F.cross_entropy(z, np.array([label]))
        loss.backward()
    with contextlib.suppress(ValueError):  # a probability rounds to 0: the parts of the loss would give ∞
        recording = recording.unfolded()
    named = tuple(toys.PROTOTYPES)[label] if image.size == 4 else label
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "tape.html"
        recording.page(path, f"One image, its label {named}: every number", None if image.size == 4 else (28, 28))
        return path.read_text("utf-8")


def sample(i):
    """Return the pixels of a digit of the test set, and its label."""
    return {"pixels": test.images[i % len(test.images)].ravel(), "label": int(test.labels[i % len(test.labels)])}


# ---- a drawing becomes an image as those of MNIST


def centred(drawing):
    """Return a drawing as MNIST has its digits: 20 pixels large, the centre of its ink at the pixel (14, 14) of 28×28.

    drawing : ink from 0 to 1, a square of any size, flat or not; one of 28×28 that was made so stays as it is.
    """
    side = round(drawing.size**0.5)
    drawing = drawing.reshape(side, side)
    if side == 28:
        return drawing
    rows, columns = np.nonzero(drawing.max(axis=1) > 0.1)[0], np.nonzero(drawing.max(axis=0) > 0.1)[0]
    if not len(rows):
        return np.zeros((28, 28), np.float32)
    ink = drawing[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    longest = max(ink.shape)
    height, width = (max(1, round(20 * n / longest)) for n in ink.shape)
    small = _shrinking(height, ink.shape[0]) @ ink @ _shrinking(width, ink.shape[1]).T
    weights = small / small.sum()
    y, x = weights.sum(axis=1) @ np.arange(height), weights.sum(axis=0) @ np.arange(width)
    top, left = np.clip([round(14 - y), round(14 - x)], 0, [28 - height, 28 - width])
    image = np.zeros((28, 28), np.float32)
    image[top : top + height, left : left + width] = small
    return image


def _shrinking(few, many):
    """Return the matrix, shape (few, many), that averages many pixels in a row to few, by the parts that they cover."""
    edges = np.linspace(0, many, few + 1)
    starts = np.arange(many)
    covered = np.minimum(edges[1:, np.newaxis], starts + 1) - np.maximum(edges[:-1, np.newaxis], starts)
    return (covered.clip(0) * few / many).astype(np.float32)
