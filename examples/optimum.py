"""How far the flagship is from the best linear model: a bound that needs no trust in any optimizer.

    python examples/optimum.py

`mnist_softmax.py` minimises a convex function. With x̃ = (x, 1), Θ = (W, b) of shape (C, D + 1), and SGD's weight
decay λ, which includes the biases, it is

    P(Θ) = 1/N Σₙ [ln Σ_c exp(Θx̃ₙ)_c − (Θx̃ₙ)_{yₙ}] + λ/2 |Θ|²

Dual bound. With p in the simplex and H(p) = −Σ_c p_c ln p_c, ln Σ exp z = max_p (p·z + H(p)), which is reached at
p = softmax(z): the convex conjugate of ln Σ exp is −H. So for ANY pₙ in the simplex, with eₙ the one-hot label,

    P(Θ) ≥ 1/N Σₙ [(pₙ − eₙ)·Θx̃ₙ + H(pₙ)] + λ/2 |Θ|² = ⟨G, Θ⟩ + λ/2 |Θ|² + 1/N Σₙ H(pₙ),    G = 1/N Σₙ (pₙ − eₙ) x̃ₙᵀ

The right side is least at Θ = −G/λ (so the conjugate of λ/2 |·|² comes in), and what is left does not contain Θ:

    P(Θ) ≥ D(p) = 1/N Σₙ H(pₙ) − |G|² / 2λ        for every Θ and every p

No linear model at all is better than D(p). At p = softmax(Θx̃) the difference P(Θ) − D(p), the duality gap, is
⟨G, Θ⟩ + λ/2 |Θ|² + |G|²/2λ = |G + λΘ|² / 2λ = |∇P(Θ)|² / 2λ: it closes at the optimum. So a model with a tiny gradient,
found here by L-BFGS on all images at once, proves how good the best one is, and that it is the best itself.
"""

import argparse
import pathlib
import sys
import time

import mnist_softmax
import numpy as np
import pictures

import tinygrad_sm as tg
from tinygrad_sm import nn
from tinygrad_sm.datasets import mnist


def primal(theta, x, labels, decay):
    """Return P(Θ) for Θ of shape (C, D + 1) and the rows x̃ of x, shape (N, D + 1): an array or a Tensor as Θ is one."""
    z = (x @ theta.astype(x.dtype).T).astype("float64")  # the products in the precision of x, all else in float64
    return nn.functional.cross_entropy(z, labels) + decay / 2 * (theta**2).sum()


def dual(p, x, labels, decay):
    """Return D(p), a lower bound of every P(Θ), for probabilities p, shape (N, C), float64."""
    entropy = -(p * np.log(np.where(p > 0, p, 1))).sum(axis=1).mean()  # 0 ln 0 is 0
    G = (p - np.eye(p.shape[1])[labels]).T @ x / len(x)
    return entropy - (G**2).sum() / (2 * decay)


def minimise(theta, x, labels, decay, tolerance, memory=20):
    """Follow L-BFGS from Θ until the gap is below the tolerance; return Θ and after each step (P, P − gap).

    The steps s and the changes y of the gradient stand for the curvature: "Numerical Optimization" (Nocedal and Wright,
    2006), algorithm 7.4. To begin with, the Hessian is taken for 0.01 XᵀX/N + λ, as if all p(1 − p) were 0.01.
    """
    values, vectors = np.linalg.eigh((x.T @ x / len(x)).astype(np.float64))
    inverse = 1 / (0.01 * values.clip(0) + decay)

    def value_and_gradient(theta):
        theta = tg.Tensor(theta, requires_grad=True)
        value = primal(theta, x, labels, decay)
        value.backward()
        return value.item(), theta.grad

    value, g = value_and_gradient(theta)
    bounds, pairs = [], []
    while (g**2).sum() / (2 * decay) > tolerance and len(bounds) < 500:
        direction, factors = -g, []
        for s, y in reversed(pairs):
            factors.append((s * direction).sum() / (s * y).sum())
            direction = direction - factors[-1] * y
        direction = ((direction @ vectors) * inverse) @ vectors.T
        for s, y in pairs:
            direction = direction + (factors.pop() - (y * direction).sum() / (s * y).sum()) * s
        size, slope = 1.0, (direction * g).sum()
        while True:  # half the step until it gains what its slope has promised, or a ten-thousandth of that
            new_value, new_g = value_and_gradient(theta + size * direction)
            if new_value <= value + 1e-4 * size * slope or size < 1e-6:
                break
            size /= 2
        s, y = size * direction, new_g - g
        if (s * y).sum() > 0:
            pairs = [*pairs, (s, y)][-memory:]
        theta, value, g = theta + s, new_value, new_g
        bounds.append((value, value - (g**2).sum() / (2 * decay)))
    return theta, bounds


def with_ones(images):
    """Return the rows x̃ = (x, 1) of images (N, 1, H, W), shape (N, D + 1)."""
    return np.pad(images.reshape(len(images), -1), ((0, 0), (0, 1)), constant_values=1)


def main():
    """Train the flagship, find the optimum, prove both by the dual bound, draw; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path, default="runs/optimum", help="folder for the pictures")
    parser.add_argument("--quick", action="store_true", help="5,000 images and more weight decay: a few seconds")
    args = parser.parse_args()
    n, epochs, decay, tolerance = (5000, 20, 1e-3, 1e-4) if args.quick else (60_000, 20, 1e-5, 1e-4)

    training, test = mnist("train"), mnist("test")
    training = training._replace(images=training.images[:n], labels=training.labels[:n])
    options = {"epochs": epochs, "batch_size": 512, "lr": 0.4, "momentum": 0.9, "weight_decay": decay, "seed": 0}
    model, _ = mnist_softmax.train(training, test, **options, quiet=True)
    flagship = np.hstack([model[1].weight.numpy(), model[1].bias.numpy()[:, np.newaxis]]).astype(np.float64)
    x, labels = with_ones(training.images), training.labels
    start = time.perf_counter()
    best, bounds = minimise(flagship, x, labels, decay, tolerance)
    print(f"L-BFGS on all {n:,} images at once: {len(bounds)} steps, {time.perf_counter() - start:.0f} s")

    x = x.astype(np.float64)  # what follows is the proof
    theta = tg.Tensor(best, requires_grad=True)
    primal(theta, x, labels, decay).backward()
    gap = (theta.grad**2).sum() / (2 * decay)
    reached, possible = primal(flagship, x, labels, decay), primal(best, x, labels, decay)
    duals = {
        "one-hot labels": dual(np.eye(10)[labels], x, labels, decay),
        "flagship": dual(tg.softmax(x @ flagship.T), x, labels, decay),
        "optimum": dual(tg.softmax(x @ best.T), x, labels, decay),
    }
    lowest = duals["optimum"]
    print("                      P(Θ)         D(p)   test accuracy")
    for name, theta, value in (("flagship", flagship, reached), ("optimum", best, possible)):
        accuracy = 100 * nn.functional.accuracy(with_ones(test.images) @ theta.T, test.labels)
        print(f"  {name:14}  {value:8.6f}  {duals[name]:11.6f}  {accuracy:12.2f} %")
    print(f"No linear model has P < {lowest:.6f}; this optimum is within {possible - lowest:.1e} of the best.")
    print(f"The flagship is above the best by {reached - possible:.6f} to {reached - lowest:.6f}.")

    if not np.isclose(possible - lowest, gap, rtol=1e-6, atol=1e-10):
        return f"expected the gap P − D to be |∇P|²/2λ = {gap:.6e}, by autodiff, got {possible - lowest:.6e}"
    if not abs(duals["one-hot labels"]) < 1e-12:
        return f"expected D = 0 of the one-hot labels, whose G and H are 0, got {duals['one-hot labels']}"
    if not max(duals.values()) <= possible <= reached:
        return f"expected every D(p) ≤ P of the optimum ≤ P of the flagship, got {duals}, {possible} and {reached}"
    if not possible - lowest < 2 * tolerance:
        return f"expected L-BFGS to close the gap to {tolerance}, got {possible - lowest:.1e} after {len(bounds)} steps"
    if not reached - lowest < 0.03:
        return f"expected the flagship within 0.03 of the best linear model, got {reached - lowest:.6f}"

    steps, (upper, lower) = np.arange(len(bounds)) + 1, np.transpose(bounds)
    lower = np.maximum(lower, 0)  # no loss is below 0 either, as the first D are by far
    of_loss = {"P, an upper bound": (steps, upper), "D, or 0, a lower bound": (steps, lower), "flagship": reached}
    of_gap = {"gap": (steps, upper - lower), "tolerance": tolerance}
    panels, log = {"loss with penalty": of_loss, "gap between the bounds": of_gap}, ["gap between the bounds"]
    title = "The best linear model is between the bounds, and the gap closes"
    pictures.lines(args.output / "bounds.png", panels, title, "step of L-BFGS", log)
    weights = best[:, :-1].reshape(10, 28, 28)
    title = "The best linear model: ink on red speaks for the digit, on blue against it; most where ink is rare"
    pictures.weight_images(args.output / "weights.png", weights, test.classes, title)
    print(f"the bounds:  {args.output / 'bounds.png'}\nits weights:  {args.output / 'weights.png'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
