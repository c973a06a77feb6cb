"""Look inside: every number of one step, as a picture and as a page to step through, for three networks.

    python examples/look_inside.py

    cat         softmax regression on one image of 2×2 pixels: small enough to check every number with a pencil
    mlp         a network with a hidden layer on 40 points of a plane
    flagship    one step of softmax regression on a batch of MNIST, with what the optimizer changed

Open runs/look_inside/cat.html and press the right arrow key. What the pages and pictures show is what ran here: the
example reads the numbers back from them, and compares them with the tape's.
"""

import argparse
import base64
import json
import pathlib
import re
import sys

import numpy as np

import tinygrad_sm as tg
from tinygrad_sm import nn
from tinygrad_sm.datasets import mnist, toys


def record_cat():
    """Return the recording of softmax regression on a cat, with the loss in its parts, and the gradients by name."""
    images, labels, classes = toys.cat_chicken_dog(N=3, noise=0.2)
    x, y = images.reshape(-1, 4)[:1].round(2), labels[:1]  # one image, of class 0: the cat
    W = tg.Tensor(np.array([[0.2, -0.1, 0.3, 0.1], [-0.3, 0.2, 0.1, 0.4], [0.1, 0.3, -0.2, 0.2]]), requires_grad=True)
    b = tg.Tensor(np.zeros(3), requires_grad=True)
    with tg.look.record() as recording:
        z = x @ W.T + b
        loss = nn.functional.cross_entropy(z, y)
        loss.backward()
    a = np.exp(z.numpy()) / np.exp(z.numpy()).sum()
    dz = a - np.eye(len(classes))[y]
    print(tg.look.compare(recording, dz=dz, dW=dz.T @ x, db=dz.sum(axis=0)))
    unfolded = recording.unfolded()
    print(unfolded.paths("W", (1, 2)).text(fold=False))
    return unfolded, {"W": W.grad, "b": b.grad}


def record_mlp():
    """Return the recording of a network with a hidden layer, and the gradients of its parameters by path."""
    tg.manual_seed(0)
    points, labels, _ = toys.moons(N=40, noise=0.1)
    model = nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Linear(5, 2))
    with tg.look.record(model) as recording:
        loss = nn.functional.cross_entropy(model(points), labels)
        loss.backward()
    return recording, {path: parameter.grad for path, parameter in model.named_parameters()}


def record_flagship():
    """Return the recording of one step of softmax regression on 128 images of MNIST, and the gradients by path."""
    tg.manual_seed(0)
    images, labels, _ = mnist("test")
    batch, targets = images[:128], labels[:128]
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    optimizer = nn.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    with tg.look.record(model) as recording:
        loss = nn.functional.cross_entropy(model(batch), targets)
        loss.backward()
        optimizer.step()
    return recording, {path: parameter.grad for path, parameter in model.named_parameters()}


def faults_of(page, recording, gradients):
    """Return what a page shows other than the tape: entries that are missing, and gradients with other numbers."""
    shown = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)[1])
    keys = [entry["key"] for entry in shown["entries"]]
    faults = [entry.label for entry in (*recording.leaves, *recording.operations) if entry.key not in keys]
    labels = {entry["key"]: entry["label"] for entry in shown["entries"]}
    arrived = {labels[step["of"]]: shown["values"][step["g"]] for step in shown["steps"] if step["kind"] == "arrival"}
    for name, g in gradients.items():
        if "tables" in arrived[name]:
            table = arrived[name]["tables"][0]["rows"]
            corner, rtol, atol = np.atleast_2d(g)[: len(table), : len(table[0])], 1e-3, 0.0  # it rounds to four digits
        else:
            drawn = arrived[name]["pictures"]  # in 65,000 steps from the lowest number to the highest
            codes = np.frombuffer(base64.b64decode(drawn["codes"][0]["codes"]), "<u2")
            table, corner = drawn["low"] + codes * ((drawn["high"] - drawn["low"]) / 65_000), g[0]
            rtol, atol = 0.0, (drawn["high"] - drawn["low"]) / 65_000
        if not np.allclose(table, corner, rtol, atol):
            faults.append(f"the gradient of {name}: {table} where {corner} belongs")
    return faults


def main():
    """Write a picture and a page of each network, and compare them with the tape; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path, default="runs/look_inside", help="folder for pages and pictures")
    output = parser.parse_args().output
    output.mkdir(parents=True, exist_ok=True)

    titles = {
        "cat": "One image of a cat, one loss, every number",
        "mlp": "A network with a hidden layer: one step",
        "flagship": "Softmax regression on 128 digits: one step of training",
    }
    for (name, title), record in zip(titles.items(), (record_cat, record_mlp, record_flagship), strict=True):
        recording, gradients = record()
        page = recording.page(output / f"{name}.html", title=title, images=(28, 28) if name == "flagship" else None)
        (output / f"{name}.svg").write_text(recording.svg(), encoding="utf-8")
        if faults := faults_of(page.read_text("utf-8"), recording, gradients):
            return f"{page}: expected the numbers of the tape: {'; '.join(faults)}"
        kilobytes = page.stat().st_size / 1000
        print(f"{name:8}  {page}, {kilobytes:.0f} kB, {len(recording.steps)} steps; {output / f'{name}.svg'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
