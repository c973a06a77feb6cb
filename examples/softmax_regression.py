"""Softmax regression in the plane: red, green and blue points, and the straight lines between their classes.

    python examples/softmax_regression.py

Each class m has a weight vector w_m and a bias b_m. Its logit z_m = w_mᵀx + b_m may be any number; the softmax makes
probabilities of all logits together, a_m = exp(z_m) / Σ_k exp(z_k), and the class label is argmax a = argmax z.

The softmax is nonlinear, and yet this is a linear model. In ln a_m = z_m − ln Σ_k exp(z_k) the sum is the same for all
classes, so that the log-odds of two classes are linear in x:  ln a_i/a_j = (w_i − w_j)ᵀx + b_i − b_j. The boundary of
the two classes, where they are 0, is a straight line.
"""

import argparse
import functools
import pathlib
import sys

import numpy as np
import pictures

from tinygrad_sm import nn
from tinygrad_sm.datasets import toys


def train(x, labels, steps=300, lr=0.5):
    """Return W of shape (3, 2), b of shape (3,) and the losses of gradient descent on the cross-entropy."""
    W, b = nn.Parameter(np.zeros((3, 2))), nn.Parameter(np.zeros(3))  # row m of W is w_m
    loss_function = nn.CrossEntropyLoss()  # takes the logits and applies the softmax itself
    optimizer = nn.optim.SGD([W, b], lr=lr)
    losses = []
    for _ in range(steps):
        loss = loss_function(x @ W.T + b, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return W, b, losses


def probabilities(W, b, x):
    """Return a = softmax(z) of each row of x, an array of shape (N, 3)."""
    return nn.functional.softmax(x @ W.T + b)


def crossing(predict, start, end, i, j):
    """Return the point between start and end where a_i = a_j, by bisection on the model's answers alone."""
    for _ in range(60):
        middle = (start + end) / 2
        a = predict(middle[np.newaxis])[0]
        start, end = (middle, end) if a[i] > a[j] else (start, middle)
    return middle


def check_linearity(predict, W, b, x):
    """Return None if log-odds are linear and boundaries straight, else what came instead."""
    a = predict(x)
    centers = np.array([[0, 2], [-np.sqrt(3), -1], [np.sqrt(3), -1]])  # of the three clouds
    for i, j in [(0, 1), (1, 2), (2, 0)]:
        log_odds, linear = np.log(a[:, i] / a[:, j]), x @ (W[i] - W[j]) + b[i] - b[j]
        if not np.allclose(log_odds, linear, rtol=0, atol=1e-9):
            return f"expected ln a_{i}/a_{j} = (w_{i} − w_{j})ᵀx + b_{i} − b_{j}, got {log_odds[0]} and {linear[0]}"
        across = np.array([[-0.8], [0.0], [0.8]]) * (centers[i] + centers[j]) / 2
        p, q, r = (crossing(predict, centers[i] + shift, centers[j] + shift, i, j) for shift in across)
        area = (q - p)[0] * (r - p)[1] - (q - p)[1] * (r - p)[0]
        print(f"  classes {i} and {j} meet at {p.round(3)}, {q.round(3)}, {r.round(3)}: in line to {abs(area):.0e}")
        if not abs(area) < 1e-9:
            return f"expected the boundary of classes {i} and {j} on a line, got three points that span {abs(area):.0e}"
    return None


def main():
    """Train, check what makes the model linear, draw the regions; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--output", type=pathlib.Path, default="runs/softmax_regression", help="folder for the pictures"
    )
    args = parser.parse_args()

    panels, curves = {}, {}
    for name, noise, least in (("apart", 0.5, 99.0), ("overlapping", 1.2, 82.0)):
        points, labels, classes = toys.red_green_blue(N=300, seed=0, noise=noise)
        x = points.astype(np.float64)
        W, b, losses = train(x, labels)
        predict = functools.partial(probabilities, W.numpy(), b.numpy())
        fresh = toys.red_green_blue(N=3000, seed=1, noise=noise)
        accuracy = 100 * (predict(fresh.inputs).argmax(axis=1) == fresh.labels).mean()
        print(f"{name} clouds: loss {losses[-1]:.4f}, {accuracy:.1f} % of 3000 new points get their label")
        if not accuracy >= least:
            return f"{name}: expected at least {least} % of new points right, got {accuracy:.1f} %"
        problem = check_linearity(predict, W.numpy(), b.numpy(), x)
        if problem:
            return f"{name}: {problem}"
        panels[name] = (predict, points, labels, classes)
        curves[name] = losses

    z, a = x[:3] @ W.numpy().T + b.numpy(), predict(x[:3])
    print("\nLogits may be negative and need not sum to 1: here the sum is 0, because the weights began at 0.")
    for row, (logits, p) in enumerate(zip(z, a, strict=True)):
        print(f"  z = {logits.round(2)}, sum {logits.sum():z5.2f}  a = {p.round(3)}, sum {p.sum():.2f}", end="  ")
        print(f"argmax {p.argmax()}: {classes[p.argmax()]}, true {classes[labels[row]]}")
    if not (z.min() < 0 and np.allclose(a.sum(axis=1), 1) and (z.argsort() == a.argsort()).all()):
        return f"expected a negative logit, and probabilities of sum 1 in the order of the logits, got z = {z}, a = {a}"

    # The learning rule −(y − a)x of logistic regression is that of softmax regression too, y being one-hot.
    W.grad = None
    nn.CrossEntropyLoss(reduction="sum")(x @ W.T + b, labels).backward()
    rule = -(nn.functional.one_hot(labels, 3) - predict(x)).T @ x
    if not np.allclose(W.grad, rule, rtol=1e-9, atol=1e-9):
        return f"expected the gradient −Σ (y − a)x = {rule}, got {W.grad}"

    title = "Softmax regression: the boundaries of the most likely class are straight"
    pictures.decision_regions(args.output / "regions.png", panels, title)
    pictures.curves(args.output / "loss.png", {"cross-entropy": curves}, "Gradient descent", "step")
    print(f"\nthe regions:  {args.output / 'regions.png'}\nthe losses:   {args.output / 'loss.png'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
