"""XOR: why a layer is needed. No line does it, two hidden units can, and learning does not always find how.

    python examples/xor_1969.py

1969: Minsky and Papert proved what perceptrons of one layer cannot do, however they learn; among it is the parity of
bits. That of two bits is XOR, where (0, 1) and (1, 0) alone are of class 1. But every affine z = w·x + b has

    z(0, 0) + z(1, 1) = z(0, 1) + z(1, 0)

and XOR needs a negative left side and a positive right one. So a line gets at most 3 of the 4 points right. The loss of
softmax regression is convex, and its gradient is 0 at w = 0: the best it can do is to say p = 1/2 everywhere, with the
loss ln 2. Hidden units q = h(x W⁽¹⁾ + b⁽¹⁾) move the points into another space, where a line is enough.

That takes a gradient for weights that do not touch the output. The engine needs the chain rule through the product with
W⁽²⁾, and an h that is not flat, as in Rumelhart, Hinton and Williams. The loss is not convex any more: some runs stay
where the hidden space hardly tells points of both classes apart. With more units fewer of them do.

M. Minsky, S. Papert, Perceptrons: an introduction to computational geometry, MIT Press, 1969.
D. Rumelhart, G. Hinton, R. Williams, Learning representations by back-propagating errors, Nature 323 (1986) 533–536.
"""

import argparse
import itertools
import pathlib
import sys

import numpy as np
import pictures

import tinygrad_sm as tg
from tinygrad_sm import nn

F = nn.functional
X = np.array([[0, 0], [0, 1], [1, 0], [1, 1]], np.float32)
Y = np.array([0, 1, 1, 0])
RUNS = 100
WIDTHS = (2, 3, 4, 8)
ACTIVATIONS = {"sigmoid": tg.sigmoid, "ReLU": tg.relu}
STUCK = {  # the least loss of a network that gives so many points the same p, and is sure of the others
    "four": np.log(2),
    "three": (3 * np.log(3) - 2 * np.log(2)) / 4,
    "two": np.log(2) / 2,
}


def check_lines():
    """Return None if no line gets XOR and the best softmax regression is p = 1/2 with the loss ln 2, else what came."""
    random = np.random.default_rng(0)
    z = X @ random.normal(size=(2, 100_000)) + random.normal(size=100_000)
    right = ((z > 0) == Y[:, np.newaxis]).sum(axis=0).max()
    tg.manual_seed(0)
    model = nn.Linear(2, 2)
    optimizer = nn.optim.SGD(model.parameters(), lr=2.0)
    for _ in range(300):
        optimizer.zero_grad()
        F.cross_entropy(model(X), Y).backward()
        optimizer.step()
    p, loss = F.softmax(model(X)).numpy(), F.cross_entropy(model(X), Y).item()
    print(f"100,000 lines: at most {right} of 4 right; softmax regression: loss {loss:.6f}, ln 2 = {np.log(2):.6f}")
    W = tg.Tensor(np.zeros((3, 2)), requires_grad=True)
    F.cross_entropy(X @ W[:2] + W[2], Y).backward()
    if right == 3 and abs(loss - np.log(2)) < 1e-6 and np.abs(p - 0.5).max() < 1e-3 and not W.grad.any():
        return None
    return f"expected 3 of 4 right, p = 1/2, the loss ln 2 and at 0 the gradient 0, got {right}, {p}, {loss}, {W.grad}"


def hidden(theta, x, h):
    """Return q = h(x W⁽¹⁾ + b⁽¹⁾), shape (..., N, H), of one network or of many at once, one in each row of all θ."""
    return h(x @ theta[0] + theta[1])


def logits(theta, x, h):
    """Return q W⁽²⁾ + b⁽²⁾, shape (..., N, 2)."""
    return hidden(theta, x, h) @ theta[2] + theta[3]


def train(H, h, seed=0, steps=1000, lr=0.05):
    """Train RUNS networks with H hidden units, each from draws of its own; return their θ, and each one's loss."""
    tg.manual_seed(seed)
    draws = [(tg.rand(RUNS, n, m) * 2 - 1) / fan**0.5 for n, m, fan in ((2, H, 2), (1, H, 2), (H, 2, H), (1, 2, H))]
    theta = [nn.Parameter(draw) for draw in draws]
    optimizer, labels = nn.optim.Adam(theta, lr=lr), np.tile(Y, RUNS)

    @tg.compiled
    def step():
        loss = F.cross_entropy(logits(theta, X, h).reshape(-1, 2), labels, reduction="sum")  # so none changes another
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    for _ in range(steps):
        step()
    losses = F.cross_entropy(logits(theta, X, h).reshape(-1, 2), labels, reduction="none").reshape(RUNS, 4).mean(axis=1)
    return [parameter.numpy() for parameter in theta], losses.numpy()


def main():
    """Learn XOR by a line and by networks; check and draw what comes; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path, default="runs/xor_1969", help="folder for the pictures")
    args = parser.parse_args()

    problems, panels, found = [check_lines()], {}, {}
    print(f"\nof {RUNS} runs: how many get all four right, and how many say the same of several, with which loss")
    for (name, h), H in itertools.product(ACTIVATIONS.items(), WIDTHS):
        theta, losses = found[name, H] = train(H, h)
        right = (losses < np.log(2) / 4).sum()  # one point with p ≤ 1/2 makes it more
        alike = [f"{(np.abs(losses - v) < 0.01).sum():2} {k} alike ({v:.3f})" for k, v in STUCK.items()]
        print(f"  {name:7}  {H} units: {right:3} right, {', '.join(alike)}")
        panels.setdefault(f"loss, {name}", {})[f"{H} hidden units"] = (range(1, RUNS + 1), np.sort(losses))
        low, high = {2: (10, 90), 8: (90, 100)}.get(H, (0, 100))
        if not low <= right <= high:
            problems.append(f"{name}, {H} units: expected {low} to {high} of {RUNS} runs to get XOR, got {right}")
    for panel in panels.values():
        panel |= {f"{name} points alike": loss for name, loss in STUCK.items()}
    title = f"{RUNS} runs each, from the best to the worst; who gets stuck finds several points alike"
    pictures.lines(args.output / "runs.png", panels, title, "run", share=True)

    theta, losses = found["sigmoid", 2]
    near = X[:, np.newaxis] + 0.08 * np.random.default_rng(0).normal(size=(4, 40, 2))
    near, h, drawn = near.reshape(-1, 2), ACTIVATIONS["sigmoid"], (np.repeat(Y, 40), ("class 0", "class 1"))
    best, stuck = losses.argmin(), np.abs(losses - STUCK["two"]).argmin()
    one, other = [values[best] for values in theta], [values[stuck] for values in theta]
    spaces = {
        "softmax regression: a = 1/2": (lambda x: np.full(len(x), 0.5), near, *drawn),
        "two hidden units, a run that stays": (lambda x: F.softmax(logits(other, x, h)), near, *drawn),
        "two hidden units, a run that succeeds": (lambda x: F.softmax(logits(one, x, h)), near, *drawn),
        "the same in its hidden space": (lambda q: F.softmax(q @ one[2] + one[3]), hidden(one, near, h), *drawn),
    }
    axes = [["x₁"] * 3 + ["q₁"], ["x₂"] * 3 + ["q₂"]]
    pictures.decision_regions(args.output / "spaces.png", spaces, "XOR, and what two hidden units make of it", *axes)
    print("\n".join(f"{path.stem:6} {path}" for path in sorted(args.output.glob("*.png"))))
    return "; ".join(filter(None, problems)) or 0


if __name__ == "__main__":
    sys.exit(main())
