"""Logistic regression: two classes, one net input, and a threshold γ that decides how bold the answer is.

    python examples/logistic_regression.py

    feature vector · weight vector + bias = net input z  →  logistic sigmoid  →  a = P(y = 1 | x)  →  1 if a ≥ γ, else 0

The sigmoid e^z / (1 + e^z) squashes any number into 0..1. What is left belongs to the other class, P(y = 0 | x) =
1 − P(y = 1 | x). The boundary P = γ is the straight line wᵀx + b = ln(γ / (1 − γ)), whatever γ is.
"""

import argparse
import pathlib
import sys

import numpy as np
import pictures

import tinygrad_sm as tg
from tinygrad_sm import nn
from tinygrad_sm.datasets import toys

THRESHOLDS = (0.2, 0.5, 0.8)


def net_input(x, w, b):
    """Return z = wᵀx + b of each row of x, shape (N,)."""
    return x @ w + b


def train(x, y, steps=600, lr=1.0):
    """Return w of shape (2,) and b of shape (1,) after gradient descent on the binary cross-entropy, and the losses.

    The loss takes the net input and applies the sigmoid itself, so that no logarithm of a rounded 0 can arise.
    """
    w, b = nn.Parameter(np.zeros(2)), nn.Parameter(np.zeros(1))
    optimizer = nn.optim.SGD([w, b], lr=lr, momentum=0.9)
    loss_function = nn.BCEWithLogitsLoss()
    losses = []
    for _ in range(steps):
        loss = loss_function(net_input(x, w, b), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return w, b, losses


def newton(x, y, steps=20):
    """Return the θ = [b w]ᵀ of least loss by Newton's method, in NumPy alone (iteratively reweighted least squares).

    With A the inputs behind a column of ones and a = σ(Aθ), the gradient is −Aᵀ(y − a): the learning rule (y − a)x,
    summed over the examples. The second derivatives are AᵀSA, S the diagonal matrix of a(1 − a).
    """
    A, theta = np.hstack([np.ones((len(x), 1)), x]), np.zeros(3)
    for _ in range(steps):
        a = 1 / (1 + np.exp(-A @ theta))
        theta += np.linalg.solve(A.T * (a * (1 - a)) @ A, A.T @ (y - a))
    return theta


def judged(a, y, threshold):
    """Return the precision and the recall of "class 1 where a ≥ γ".

    precision = right among those said to be 1;   recall = found among those that are 1
    """
    said = a >= threshold
    right = (said & (y == 1)).sum()
    return right / said.sum(), right / (y == 1).sum()


def main():
    """Train, compare with Newton's method, move the threshold, draw; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path, default="runs/logistic_regression", help="where the pictures go")
    output = parser.parse_args().output

    points, labels, classes = toys.moons(N=400, noise=0.25)
    x, y = points.astype(np.float64), labels.astype(np.float64)
    w, b, losses = train(x, y)
    theta, best = nn.parameters_to_vector([b, w]).numpy(), newton(x, y)
    print(f"gradient descent  θ = [b w]ᵀ = {theta.round(6)}, loss {losses[-1]:.6f}")
    print(f"Newton's method   θ = [b w]ᵀ = {best.round(6)}")
    if not np.allclose(theta, best, rtol=0, atol=1e-5):
        return f"expected gradient descent to end where Newton's method does, at θ = {best}, got {theta}"

    with tg.no_grad():
        z = net_input(x, w, b).numpy()
    a, not_a = tg.sigmoid(z), tg.sigmoid(-z)  # σ(−z) is the same model with the classes exchanged
    i = int(np.abs(z).argmin())
    print(f"\nx = {x[i].round(3)}: net input {z[i]:.4f}, P(1) = {a[i]:.4f}, P(0) = 1 − P(1) = {not_a[i]:.4f}\n")
    if not np.allclose(not_a, 1 - a, rtol=0, atol=1e-15):
        return f"expected P(0) = 1 − P(1), got sums from {(a + not_a).min()} to {(a + not_a).max()}"

    print("  γ    boundary wᵀx + b =    precision    recall")
    results = {}
    for gamma in THRESHOLDS:
        at = np.log(gamma / (1 - gamma))
        results[gamma] = precision, recall = judged(a, y, gamma)
        print(f"{gamma:5}  {at:>18.4f}  {precision:>11.1%}  {recall:>8.1%}")
        if not np.array_equal(a >= gamma, z >= at):
            return f"expected P ≥ {gamma} exactly where the net input is at least {at:.4f}, got another set"
    (shy, wide), _, (sure, narrow) = results.values()
    if not (shy < sure and wide > narrow):
        return f"expected a higher γ to raise the precision and lower the recall, got {results}"

    names = [f"class {c}, {name}" for c, name in enumerate(classes)]
    panel = (lambda x: tg.sigmoid(net_input(x, w.data, b.data)), points, labels, names)
    panels = {f"γ = {gamma}: hatched is said to be class 1": panel for gamma in THRESHOLDS}
    title = "The colours are the probabilities, white is 0.5: the threshold γ moves the boundary, and never bends it"
    pictures.decision_regions(output / "regions.png", panels, title, thresholds=THRESHOLDS)
    grid = np.linspace(z.min(), z.max(), 200)
    curve = {"examples (points)": (z, y), "σ(z)": (grid, tg.sigmoid(grid))}
    pictures.lines(output / "sigmoid.png", {"a = P(y = 1 | x)": curve}, "From net input to probability", "net input z")
    steps = np.linspace(0.05, 0.95, 91)
    precision, recall = np.transpose([judged(a, y, gamma) for gamma in steps])
    right = {"precision, of those said to be 1": precision, "recall, of those that are 1": recall}
    shares = {"share that is right": {name: (steps, values) for name, values in right.items()}}
    pictures.lines(output / "threshold.png", shares, "What a threshold gains, and what it costs", "threshold γ")
    print(f"\nboundaries: {output / 'regions.png'}\nsigmoid:    {output / 'sigmoid.png'}")
    print(f"thresholds: {output / 'threshold.png'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
