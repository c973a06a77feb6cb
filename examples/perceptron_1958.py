"""Rosenblatt's rule beside the gradient of softmax regression: where one of them ends, the other does not.

    python examples/perceptron_1958.py

1958: a machine finds its weights by itself. The rule by mistakes came soon after: for an example x with y = ±1,

    perceptron                         w ← w + y x                  if y w·x ≤ 0
    softmax regression, two classes    w ← w + 2 lr σ(−y w·x) y x   where w is the difference of their weights

The first step is the negative gradient of max(0, −y w·x), so the engine needs relu, and a convention: for the rule, the
tie w·x = 0 is a mistake, but relu′(0) = 0, and from w = 0 the gradient would never begin.

If a line through 0 separates the points with margin γ, and R is the largest |x|, the rule ends after at most (R/γ)²
mistakes (Novikoff). Then the loss of softmax regression has no minimum, and its weights grow for ever. If no line does,
the rule never ends: w stays bounded (Block and Levin), and on a grid it comes back. Then softmax regression ends.

F. Rosenblatt, The perceptron: a probabilistic model for information storage and organization in the brain,
  Psychological Review 65 (1958) 386–408. The correction of errors, as here: Principles of Neurodynamics, 1962.
A. Novikoff, On convergence proofs on perceptrons, Symposium on the Mathematical Theory of Automata (1962) 615–622.
H. Block, S. Levin, On the boundedness of an iterative procedure for solving a system of linear inequalities,
  Proceedings of the American Mathematical Society 26 (1970) 229–235.
"""

import argparse
import pathlib
import sys

import numpy as np
import pictures

import tinygrad_sm as tg
from tinygrad_sm import nn

N = 60
AXES = (4, 16, 64, 256)  # D points, the axes of D dimensions, have R = 1 and γ = 1/√D: the rule makes D mistakes


def points(gap, seed):
    """Return N points of the unit disc, on a grid of 1/32, and the sides y = ±1 of a line from which all keep a gap."""
    x = np.round(32 * np.random.default_rng(seed).uniform(-1, 1, (20 * N, 2))) / 32
    side = x @ [0.8, 0.6]
    kept = np.flatnonzero((np.hypot(*x.T) <= 1) & (np.abs(side) >= gap))[:N]
    return x[kept], np.sign(side[kept])


def margin(x, y):
    """Return the largest γ = min y u·x of 3600 directions u, negative if no line through 0 separates the points."""
    angle = np.linspace(0, 2 * np.pi, 3600, endpoint=False)
    return (y[:, np.newaxis] * (x @ np.stack([np.cos(angle), np.sin(angle)]))).min(axis=0).max()


def rosenblatt(x, y, epochs):
    """Return w before each point is shown, shape (epochs, N, D), and after it; an epoch without a mistake ends it."""
    w, before, after = np.zeros(x.shape[1]), [], []
    for _ in range(epochs):
        for x_i, y_i in zip(x, y, strict=True):
            before.append(w)
            w = w + y_i * x_i if y_i * (w @ x_i) <= 0 else w
            after.append(w)
        if w is before[-len(x)]:
            break
    return np.reshape(before, (-1, *x.shape)), np.reshape(after, (-1, *x.shape))


def check_gradient(x, y, before, after):
    """Return None if all steps of the rule are −∂max(0, −y w·x)/∂w by the engine, but for ties, else what came."""
    w = tg.Tensor(before, requires_grad=True)
    tg.relu(-y * (w * x).sum(axis=-1)).sum().backward()
    ties = (before * x).sum(axis=-1) == 0
    print(f"  {ties.size} presentations, {ties.sum()} in ties; all other steps are the gradient's, bit for bit")
    expected = np.where(ties[..., np.newaxis], before + y[:, np.newaxis] * x, before - w.grad)
    if np.array_equal(after, expected) and not w.grad[ties].any():
        return None
    return "expected the rule to add y x in ties, where the gradient is 0, and to subtract the gradient elsewhere"


def softmax_regression(x, y, epochs, lr=8.0):
    """Return w = w₁ − w₀ of softmax regression after each epoch, a step down the gradient of all points; the losses."""
    model, labels = nn.Linear(2, 2, bias=False), (y > 0).astype(int)
    model.weight.assign(np.zeros((2, 2)))
    optimizer, weights, losses = nn.optim.SGD(model.parameters(), lr), [], []
    for _ in range(epochs):
        loss = nn.functional.cross_entropy(model(x), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        weights.append(np.diff(model.weight.numpy(), axis=0)[0])
        losses.append(loss.item())
    return np.array(weights), losses


def check_bound():
    """Return None if the rule keeps Novikoff's bound on all sets, else what came; log₁₀ of the bounds and mistakes."""
    sets = [points(gap, seed) for seed, gap in enumerate(np.repeat([0.3, 0.1, 0.05, 0.02], 10))]
    bounds = [(np.hypot(*x.T).max() / margin(x, y)) ** 2 for x, y in sets] + list(AXES)
    sets += [(np.eye(D), np.ones(D)) for D in AXES]
    counts = [np.not_equal(*rosenblatt(x, y, epochs=1000)).any(axis=2).sum() for x, y in sets]
    share = np.divide(counts, bounds)
    print(f"mistakes in {len(sets)} separable sets: from {share.min():.4f} to {share.max():.4f} of the bound (R/γ)²")
    problem = None if share.max() <= 1 else f"expected at most (R/γ)² mistakes, got {share.max():.3f} times that"
    return problem, np.log10([bounds, counts])


def compare(name, x, y, panels, epochs=1000, shown=60):
    """Run both on the points, and add their curves to the panels; return None or what went wrong, and both w."""
    before, after = rosenblatt(x, y, epochs)
    weights, losses = softmax_regression(x, y, epochs)
    wrong, starts, lengths = (before != after).any(axis=2).sum(axis=1), before[:, 0], np.hypot(*weights.T)
    print(f"\n{name}: margin {margin(x, y):.4f}\n  mistakes in the epochs 1, 2, ...: {wrong[:20].tolist()}")
    if wrong[-1] == 0:
        print(f"  the rule ends; w of softmax regression has length {lengths[shown]:.1f}, later {lengths[-1]:.1f}")
        is_so = margin(x, y) > 0 and (np.diff(lengths) > 0).all() and losses[-1] < 0.03
    else:
        back = next((k for k in range(1, len(starts)) if (starts[:k] == starts[k]).all(axis=1).any()), 0)
        first = (starts == starts[back]).all(axis=1).argmax()
        print(f"  w is the same before epochs {first + 1} and {back + 1}; the loss of softmax ends at {losses[-1]:.4f}")
        is_so = margin(x, y) < 0 and first < back and np.abs(weights[-1] - weights[-2]).max() < 1e-6
    mistakes, loss, length = panels.values()
    mistakes[f"perceptron, {name}"], loss[f"softmax, {name}"] = wrong[:shown], losses[:shown]
    length[f"perceptron, {name}"], length[f"softmax, {name}"] = np.hypot(*after[:shown, -1].T), lengths[:shown]
    problem = None if is_so else f"{name}: expected just one of them to end, got {wrong} mistakes, loss {losses[-1]}"
    return problem or check_gradient(x, y, before, after), after[:shown][-1, -1], weights[-1]


def main():
    """Run both on a separable set, and with two labels flipped; check and draw what comes; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path, default="runs/perceptron_1958", help="folder for the pictures")
    args = parser.parse_args()

    problem, counts = check_bound()
    problems, regions = [problem], {}
    panels = {"mistakes of the perceptron": {}, "cross-entropy of the softmax": {}, "length of w": {}}
    x, y = points(gap=0.02, seed=7)
    for name, y_i in (("separable", y), ("two labels flipped", np.where(np.arange(N) < 2, -y, y))):
        problem, w, v = compare(name, x, y_i, panels)
        problems.append(problem)
        drawn = (x, (y_i > 0).astype(int), ("y = −1", "y = +1"))
        regions[f"perceptron, {name}"] = (lambda x, w=w: (x @ w > 0).astype(float), *drawn)
        regions[f"softmax regression, {name}"] = (lambda x, v=v: tg.sigmoid(x @ v), *drawn)
    title = "The perceptron knows the sides of a line; softmax regression how sure it is"
    pictures.decision_regions(args.output / "regions.png", regions, title)
    pictures.curves(args.output / "epochs.png", panels, "Where one ends, the other does not")
    title = "Novikoff's bound: no set makes more mistakes"
    drawn = {
        "in a plane (points)": counts[:, :-4],
        "axes of D dimensions (points)": counts[:, -4:],
        "(R/γ)²": ([0, 3.5], [0, 3.5]),
    }
    pictures.lines(args.output / "bound.png", {"log₁₀ of the mistakes": drawn}, title, "log₁₀ of (R/γ)²")
    print("\n".join(f"{path.stem:8} {path}" for path in sorted(args.output.glob("*.png"))))
    return "; ".join(filter(None, problems)) or 0


if __name__ == "__main__":
    sys.exit(main())
