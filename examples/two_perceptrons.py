"""Two perceptrons and a softmax are one logistic unit: the binary case of softmax regression.

    python examples/two_perceptrons.py

A perceptron for each class gives a logit, z₁ = w₁ᵀx + b₁ and z₂ = w₂ᵀx + b₂. To take the class of the larger one is to
take the max, which cannot be learned by its gradient: argmax is a step, flat wherever it has a derivative. The softmax
is a smooth step, and of two logits it is the sigmoid of their difference:

    softmax([z₁, z₂])₁ = exp z₁ / (exp z₁ + exp z₂) = 1 / (1 + exp(−(z₁ − z₂))) = σ(z₁ − z₂)

So the two perceptrons are one logistic unit with w = w₁ − w₂ and b = b₁ − b₂, and they learn as it does.
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

F = nn.functional


def check_function():
    """Return None if σ(z₁ − z₂) = softmax([z₁, z₂])₁ and both have the same slope, else what came instead."""
    z = 5 * np.random.default_rng(0).standard_normal((1000, 2))
    quotient = np.exp(z[:, 0]) / np.exp(z).sum(axis=1)
    first, sigmoid = F.softmax(z)[:, 0], tg.sigmoid(z[:, 0] - z[:, 1])
    differences = [np.abs(first - other).max().item() for other in (sigmoid, quotient)]
    print(f"softmax([z₁, z₂])₁ is σ(z₁ − z₂) to {differences[0]:.1e}, and the quotient to {differences[1]:.1e}")
    if not max(differences) < 1e-14:
        return f"expected softmax([z₁, z₂])₁ = σ(z₁ − z₂) = the quotient that defines it, got {differences} apart"
    slopes = tg.jacobian(lambda z: F.softmax(z)[0], z[0]).numpy()
    a = first[0]
    if not np.allclose(slopes, [a * (1 - a), -a * (1 - a)], rtol=1e-12):
        return f"expected ∂a₁/∂z₁ = a₁(1 − a₁) = −∂a₁/∂z₂ with a₁ = {a}, got {slopes}"
    return None


def train(model, loss_of, steps, **options):
    """Train the model by gradient descent, and return the gradients of all its parameters in the first step."""
    optimizer = nn.optim.SGD(model.parameters(), **options)
    first = None
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of(model).backward()
        first = first or [parameter.grad.copy() for parameter in model.parameters()]
        optimizer.step()
    return first


def train_both(x, is_first, lr=0.1, momentum=0.9, weight_decay=0.01, steps=50):
    """Train two perceptrons with a softmax, and one logistic unit; return both, and their first gradients.

    In each step w₁ changes by −lr·g and w₂ by +lr·g, so that w₁ − w₂ changes by −2 lr·g: the two perceptrons are the
    unit at twice the learning rate. Their penalty λ/2 (|w₁|² + |w₂|²) counts half for the difference.
    """
    tg.manual_seed(0)
    perceptrons, unit = nn.Linear(2, 2), nn.Linear(2, 1)
    unit.weight.assign(perceptrons.weight.numpy()[:1] - perceptrons.weight.numpy()[1:])
    unit.bias.assign(perceptrons.bias.numpy()[:1] - perceptrons.bias.numpy()[1:])
    labels = 1 - is_first  # the first class is number 0
    options = {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
    gradients = train(perceptrons, lambda model: F.cross_entropy(model(x), labels), steps, **options)
    options |= {"lr": 2 * lr, "weight_decay": weight_decay / 2}
    y = is_first.astype(np.float32)
    gradient = train(unit, lambda model: F.binary_cross_entropy_with_logits(model(x)[:, 0], y), steps, **options)
    return perceptrons, unit, gradients, gradient


def check_temperature(z, temperatures):
    """Return None if the softmax of z/T goes to one-hot argmax as T falls, else what came instead; print the table."""
    print(f"\nexp boosts higher logits: p_i/p_j = exp((z_i − z_j)/T), here of z = {z}")
    largest = []
    for T in temperatures:
        p = F.softmax(z, temperature=T)
        largest.append(p.max())
        slope = np.abs(tg.jacobian(lambda z, T=T: F.softmax(z, temperature=T), z).numpy()).max()
        print(f"  T = {T:5}  softmax(z/T) = {p.round(4)}  largest slope {slope:.4f}")
        if not np.isclose(p[2] / p[1], np.exp((z[2] - z[1]) / T), rtol=1e-9):
            return f"expected p₃/p₂ = exp((z₃ − z₂)/T) at T = {T}, got {p[2] / p[1]}"
    hard = F.one_hot(np.array([z.argmax()]), len(z))[0]
    print(f"  argmax     one-hot      = {hard.astype(float)}  slope 0, and at a tie none")
    if not (largest == sorted(largest) and np.allclose(p, hard, atol=1e-4)):
        return f"expected the largest p to grow up to {hard} as T falls, got {largest}"
    return None


def main():
    """Compare the functions, their gradients and their training; draw both; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path, default="runs/two_perceptrons", help="folder for the pictures")
    args = parser.parse_args()

    problem = check_function()
    if problem:
        return problem
    points, moon, classes = toys.moons(N=200, seed=0)
    perceptrons, unit, (G, g_b), (g, _) = train_both(points, 1 - moon)
    W, w = perceptrons.weight.numpy(), unit.weight.numpy()[0]
    print(f"first gradients: perceptrons {G[0].round(5)} and {G[1].round(5)}, unit {g[0].round(5)}")
    if not (np.allclose(G, [g[0], -g[0]], atol=1e-6) and np.allclose(g_b.sum(), 0, atol=1e-6)):
        return f"expected the gradients of the perceptrons to be g and −g with the unit's g = {g[0]}, got {G}"
    print(f"after 50 steps:  w₁ − w₂ = {(W[0] - W[1]).round(5)}, the unit's w = {w.round(5)}")
    if not np.allclose(W[0] - W[1], w, rtol=0, atol=1e-5):
        return f"expected w₁ − w₂ of the perceptrons to be the unit's w = {w}, got {W[0] - W[1]}"
    z = np.array([1.0, 1.5, 2.0])
    problem = check_temperature(z, temperatures=(4.0, 1.0, 0.5, 0.25, 0.05))
    if problem:
        return problem
    if isinstance(tg.Tensor(z, requires_grad=True).argmax(), tg.Tensor):
        return "expected argmax to give a plain array, as no gradient passes through it, got a Tensor"

    panels = {
        "two perceptrons and a softmax": (lambda x: F.softmax(perceptrons(x)).numpy(), points, moon, classes),
        "one logistic unit": (lambda x: 1 - tg.sigmoid(unit(x)).numpy(), points, moon, classes),
    }
    pictures.decision_regions(args.output / "regions.png", panels, "The same model twice")
    layers = [["x₁", "x₂"], ["z₁", "z₂"], ["a₁", "a₂"]]
    title = "Two perceptrons and a softmax: a₁ = σ(z₁ − z₂)"
    drawings.network(args.output / "network.png", layers, title)
    difference = np.linspace(-4, 4, 401)
    steps = {f"softmax, T = {T}": (difference, tg.sigmoid(difference / T)) for T in (2.0, 1.0, 0.25)}
    steps["argmax"] = (difference, (difference > 0).astype(float))
    title = "The softmax is a smooth argmax"
    pictures.lines(
        args.output / "temperatures.png", {"a₁, the probability of the first class": steps}, title, "z₁ − z₂"
    )
    print("\n".join(f"{path.stem:13} {path}" for path in sorted(args.output.glob("*.png"))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
