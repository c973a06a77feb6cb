"""One versus rest: a stack of logistic models for classes that may hold together, where softmax would be wrong.

    python examples/one_vs_rest.py

A picture can show a vehicle that is a car with a visible brand: the classes are not exclusive, so each gets a logistic
model of its own, with its own weight vector. The vectors w₁, w₂, w₃ are the rows of the matrix W of shape h × m, for h
classes and m features; a = σ(Wx + b), one sigmoid for each net input. The answers need not sum to 1: 33 %, 40 %, 70 %.
Exclusive classes share one softmax instead, which all net inputs enter: 10 %, 20 %, 70 %.
"""

import argparse
import pathlib
import sys

import drawings
import numpy as np
import pictures

import tinygrad_sm as tg
from tinygrad_sm import nn
from tinygrad_sm.datasets import toys

INDEPENDENT = np.array([0.33, 0.40, 0.70])  # of a stack of logistic models
EXCLUSIVE = np.array([0.10, 0.20, 0.70])  # of a softmax


def train(x, y, loss_function, steps=300, lr=2.0):
    """Return W of shape (h, m) and b of shape (h,) after gradient descent from zeros.

    x : the features, shape (N, m).  y : which of the h classes apply, or with what probability, shape (N, h).
    loss_function : of the net inputs and y, a sum over all examples; training minimises the mean.
    """
    W, b = nn.Parameter(np.zeros((y.shape[1], x.shape[1]))), nn.Parameter(np.zeros(y.shape[1]))
    optimizer = nn.optim.SGD([W, b], lr=lr)
    for _ in range(steps):
        optimizer.zero_grad()
        (loss_function(x @ W.T + b, y) / len(x)).backward()
        optimizer.step()
    return W.numpy(), b.numpy()


def worked_numbers():
    """Print the lecture's percentages and both Jacobians at them; return what is wrong, or None."""
    z = np.log(INDEPENDENT / (1 - INDEPENDENT))  # the net inputs that give these percentages
    a, rest = tg.sigmoid(z), tg.sigmoid(-z)
    print(f"stack:    P(yes) = {a.round(2)}, sum {a.sum():.2f};  P(no) = {rest.round(2)}; each pair sums to 1")
    if not np.allclose([a, rest], [INDEPENDENT, [0.67, 0.60, 0.30]], rtol=0, atol=1e-12):
        return f"expected 33 %, 40 %, 70 % with complements 67 %, 60 %, 30 %, got {a} with {rest}"
    of_stack = tg.jacobian(tg.sigmoid, z).numpy()

    z = np.log(EXCLUSIVE)
    p = tg.softmax(z)
    print(f"softmax:  P      = {p.round(2)}, sum {p.sum():.2f}\n")
    if not np.allclose(p, EXCLUSIVE, rtol=0, atol=1e-12):
        return f"expected 10 %, 20 %, 70 % with sum 1, got {p} with sum {p.sum()}"
    of_softmax = tg.jacobian(tg.softmax, z).numpy()

    print("how each probability (row) changes with each net input (column)")
    print("stack: diagonal, independent      softmax: −pᵢ pⱼ off the diagonal, not independent")
    for row in np.hstack([of_stack, of_softmax]):
        print("{:8.4f} {:8.4f} {:8.4f}        {:8.4f} {:8.4f} {:8.4f}".format(*row))
    if not np.allclose(of_stack, np.diag(a * (1 - a)), rtol=0, atol=1e-12):
        return f"expected the stack's Jacobian to be diagonal with a(1 − a), got {of_stack}"
    if not np.allclose(of_softmax, np.diag(p) - np.outer(p, p), rtol=0, atol=1e-12):
        return f"expected the softmax's Jacobian to be diag(p) − ppᵀ, got {of_softmax}"
    return None


def share_found(a, tags):
    """Return the share of the pictures with two or three tags whose tags all have a probability above 1/2."""
    several = tags.sum(axis=1) > 1
    return ((a > 0.5) | (tags == 0))[several].all(axis=1).mean()


def main():
    """Show the worked numbers, train the stack, its three models alone and a softmax; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path, default="runs/one_vs_rest", help="folder for the pictures")
    output = parser.parse_args().output
    if wrong := worked_numbers():
        return wrong

    x, tags, classes = toys.vehicles(N=600)
    x, y = x.astype(np.float64), tags.astype(np.float64)
    binary = nn.BCEWithLogitsLoss(reduction="sum")
    W, b = train(x, y, binary)
    alone = [train(x, y[:, [j]], binary) for j in range(len(classes))]
    difference = max(
        np.abs(W - np.vstack([w for w, _ in alone])).max(), np.abs(b - np.hstack([c for _, c in alone])).max()
    )
    print(f"\nW, one row for each of {classes}:\n{W.round(2)}")
    print(f"trained together or each model alone: the parameters differ by {difference:.0e}")
    if not difference < 1e-10:
        return f"expected the stack to be its three models trained alone, got a difference of {difference}"

    # A softmax can at best divide its 100 % among the tags that apply.
    some = y.sum(axis=1) > 0
    V, c = train(x[some], y[some] / y[some].sum(axis=1, keepdims=True), nn.CrossEntropyLoss(reduction="sum"))
    found, found_by_softmax = share_found(tg.sigmoid(x @ W.T + b), y), share_found(tg.softmax(x @ V.T + c), y)
    print(f"pictures with several tags, all found: {found:.1%} by the stack, {found_by_softmax:.0%} by a softmax")
    if not (found > 0.95 and found_by_softmax == 0):
        return f"expected more than 95 % by the stack and 0 % by a softmax, got {found:.1%} and {found_by_softmax:.1%}"

    worked = {"stack: sum 1.43": INDEPENDENT, "softmax: sum 1": EXCLUSIVE}
    panels = {title: dict(zip(("class 1", "class 2", "class 3"), p, strict=True)) for title, p in worked.items()}
    pictures.bars(output / "percentages.png", panels, "Yes or no three times; or one of three", "probability")
    car = np.ones(3)
    answers = {"stack": tg.sigmoid(W @ car + b), "softmax": tg.softmax(V @ car + c)}
    panels = {title: dict(zip(classes, a.tolist(), strict=True)) for title, a in answers.items()}
    pictures.bars(output / "car.png", panels, "A car with a visible brand: all three are true", "probability")
    layers = [[f"{name}{i}" for i in "₁₂₃"] for name in "xza"]
    title = "A stack: aⱼ = σ(wⱼᵀx + bⱼ), each class with a row of W and a sigmoid for itself; no box joins them"
    drawings.network(output / "stack.png", layers, title, output="sigmoid")
    print(f"the worked numbers:  {output / 'percentages.png'}\na car with a brand:  {output / 'car.png'}")
    print(f"the stack:           {output / 'stack.png'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
