"""Linear regression: a straight line by gradient descent, and the closed form that says where the descent must end.

    python examples/linear_regression.py

The model is ŷ = W₁x₁ + ... + W_p x_p + b = Wx + b. All its parameters are one vector θ = [b W]ᵀ; b is called offset,
bias or intercept: where the line meets the axis x = 0. Linear means linear in θ: with sin(2x) as a second input the
same model draws a curve.
"""

import argparse
import pathlib
import sys

import numpy as np
import pictures

import tinygrad_sm as tg
from tinygrad_sm import nn
from tinygrad_sm.datasets import toys

NOISE = 0.1


def descend(x, y, steps=300, lr=0.15):
    """Return W of shape (1, p) and b of shape (1,) after gradient descent on the mean of (y − ŷ)², and the losses.

    x : the inputs, shape (N, p).  y : the values to predict, shape (N, 1).
    """
    W, b = nn.Parameter(np.zeros((1, x.shape[1]))), nn.Parameter(np.zeros(1))
    optimizer = nn.optim.SGD([W, b], lr=lr)
    losses = []
    for _ in range(steps):
        predicted = x @ W.T + b  # all examples at once: row i is W xᵢ + b
        loss = nn.functional.mse_loss(predicted, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return W, b, losses


def normal_equations(x, y):
    """Return the θ = [b W]ᵀ of least loss: the gradient 2 Aᵀ(Aθ − y)/N is zero where AᵀA θ = Aᵀy.

    The row of A that belongs to an example is [1 x₁ ... x_p]: the 1 is what the bias is multiplied by.
    """
    A = np.hstack([np.ones((len(x), 1)), x])
    return np.linalg.solve(A.T @ A, A.T @ y)[:, 0]


def written_out(W, b, x):
    """Return Σ_j W_j x_j + b for one x of shape (p,), term by term."""
    predicted = b[0]
    for j in range(len(x)):
        predicted = predicted + W[0, j] * x[j]
    return predicted


def main():
    """Fit the straight line and the curve, compare both with the closed form, draw them; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path, default="runs/linear_regression", help="folder for the pictures")
    args = parser.parse_args()

    x, y = (array.astype(np.float64) for array in toys.curve(N=200, noise=NOISE))  # y = sin(2x) + x/2 + noise
    grid = np.linspace(-3, 3, 200)[:, np.newaxis]
    inputs = {"ŷ = W₁x + b": lambda x: x, "ŷ = W₁x + W₂ sin(2x) + b": lambda x: np.hstack([x, np.sin(2 * x)])}
    drawn, curves = {"examples (points)": (x[:, 0], y[:, 0])}, {}
    for name, features in inputs.items():
        W, b, losses = descend(features(x), y)
        theta = nn.parameters_to_vector([b, W]).numpy()
        best = normal_equations(features(x), y)
        print(f"{name}\n  gradient descent  θ = [b W]ᵀ = {theta.round(6)}, loss {losses[-1]:.6f}")
        print(f"  closed form       θ = [b W]ᵀ = {best.round(6)}")
        if not np.allclose(theta, best, rtol=0, atol=1e-6):
            return f"{name}: expected gradient descent to end at the closed form's θ = {best}, got {theta}"

        with tg.no_grad():
            matrix_form = (features(x) @ W.T + b).numpy()
            one_by_one = [[written_out(W, b, row).item()] for row in features(x)]
        if not np.allclose(matrix_form, one_by_one, rtol=0, atol=1e-12):
            return f"{name}: expected Wx + b to equal Σ W_j x_j + b, got a difference"
        drawn[name] = (grid[:, 0], features(grid) @ W.numpy()[0] + b.item())
        curves[f"mean squared error\nof {name}"] = {"gradient descent": losses[:40]}
        A = np.hstack([np.ones((len(x), 1)), features(x)])
        curves[f"mean squared error\nof {name}"]["closed form"] = np.square(A @ best - y[:, 0]).mean()

    # The data were made with W = [1/2 1] and b = 0. N noisy examples tell that to about noise / √N.
    true = np.array([0, 0.5, 1])
    tolerance = 5 * NOISE / np.sqrt(len(x))
    print(f"the data were made with       {true}; known to within {tolerance:.3f}")
    if not np.abs(theta - true).max() < tolerance:
        return f"expected θ within {tolerance:.3f} of {true}, with which the data were made, got {theta}"

    pictures.lines(args.output / "fit.png", {"y": drawn}, "Linear regression: linear in θ, not in x", "x")
    title = "Gradient descent ends where the closed form says"
    pictures.curves(args.output / "loss.png", curves, title, "step", share=True)
    print(f"the fits:    {args.output / 'fit.png'}\nthe losses:  {args.output / 'loss.png'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
