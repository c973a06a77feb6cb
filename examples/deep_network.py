"""Deep networks on sets that no straight line separates: L layers, sigmoid against ReLU, deep against wide.

    python examples/deep_network.py

    q⁽⁰⁾ = x        q⁽ˡ⁾ = h(W⁽ˡ⁾q⁽ˡ⁻¹⁾ + b⁽ˡ⁾)  for l = 1, ..., L−1        z = W⁽ᴸ⁾q⁽ᴸ⁻¹⁾ + b⁽ᴸ⁾

The activation h works on each element by itself: the sigmoid e^z / (1 + e^z), which squashes, or ReLU, max(0, z).
Without it all layers would be one, a product of matrices. All parameters are one vector θ = [vec(W⁽¹⁾), b⁽¹⁾, ...].
The meaning of z depends on the task: ŷ itself in regression; the net input of a sigmoid, the probability of one of two
classes; or the logits of a softmax.
"""

import argparse
import itertools
import pathlib
import sys

import numpy as np
import pictures

import tinygrad_sm as tg
from tinygrad_sm import nn
from tinygrad_sm.datasets import toys

ACTIVATIONS = {"sigmoid": nn.Sigmoid, "ReLU": nn.ReLU}
NETWORKS = {"deep": [2, 16, 16, 16, 3], "wide": [2, 105, 3]}  # the numbers of units, with 643 and 633 parameters
BETTER = (("deep, sigmoid", "wide, sigmoid"), ("deep, ReLU", "wide, ReLU"), ("wide, ReLU", "wide, sigmoid"))


def network(sizes, h):
    """Return the network whose layer l turns sizes[l − 1] numbers into sizes[l], with h after all but the last."""
    layers = [nn.Linear(sizes[0], sizes[1])]
    for before, after in itertools.pairwise(sizes[1:]):
        layers += [h(), nn.Linear(before, after)]
    return nn.Sequential(*layers)


def train(model, loss_function, x, y, steps, lr=0.01):
    """Train the model with Adam on all examples at once, and return the loss of each step."""
    optimizer = nn.optim.Adam(model.parameters(), lr=lr)
    losses = []
    for _ in range(steps):
        loss = loss_function(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def by_hand(theta, sizes, x):
    """Return z for one x, from the vector θ and the formula at the top, with h = ReLU."""
    q, start, L = x, 0, len(sizes) - 1
    for layer in range(1, L + 1):
        W = theta[start : start + sizes[layer] * sizes[layer - 1]].reshape(sizes[layer], sizes[layer - 1])
        b = theta[start + W.size : start + W.size + sizes[layer]]  # vec goes row by row here
        start += W.size + b.size
        q = W @ q + b if layer == L else np.maximum(0, W @ q + b)
    return q


def check_theta(model, sizes, x):
    """Return None if θ is all of the model, in the order of the formula, else what came instead."""
    theta, z = nn.parameters_to_vector(model.parameters()).numpy(), model(x).numpy()
    size = sum(after * (before + 1) for before, after in itertools.pairwise(sizes))
    z_by_hand = np.array([by_hand(theta, sizes, row) for row in x])
    if theta.shape != (size,) or not np.allclose(z, z_by_hand, rtol=0, atol=1e-4):
        return f"expected θ of {size} numbers that give z = {z[0]}, got {theta.size} that give {z_by_hand[0]}"
    twin = network(sizes, nn.ReLU)
    nn.vector_to_parameters(theta, twin.parameters())
    return None if np.array_equal(twin(x).numpy(), z) else f"expected z = {z[0]} of a new network with the same θ"


def spirals(output):
    """Train each network with each activation on three arms and draw them; return None or what went wrong."""
    (x, labels, arms), (new_x, new_labels, _) = toys.spirals(N=300, seed=0), toys.spirals(N=3000, seed=1)
    losses, panels = {}, {}
    for (shape, sizes), (activation, h) in itertools.product(NETWORKS.items(), ACTIVATIONS.items()):
        name = f"{shape}, {activation}"
        tg.manual_seed(0)
        model = network(sizes, h)
        losses[name] = train(model, nn.CrossEntropyLoss(), x, labels, steps=600)
        right = 100 * nn.functional.accuracy(model(new_x), new_labels)
        panels[name] = (lambda x, model=model: nn.functional.softmax(model(x)).numpy(), x, labels, arms)
        count = nn.parameters_to_vector(model.parameters()).size
        print(f"spirals, {name:14} {count} parameters, loss {losses[name][-1]:.4f}, {right:.1f} % of new points right")
        if not right > (99 if shape == "deep" else 85):
            return f"expected more than 99 % right from deep networks and 85 % from wide, got {right:.1f} % from {name}"
        problem = name == "deep, ReLU" and check_theta(model, sizes, x)
        if problem:
            return problem
    pictures.decision_regions(output / "spirals.png", panels, "Deep and wide, with equally many parameters")
    pictures.curves(output / "loss.png", {"cross-entropy": losses}, "Learning the spirals", "step")
    for better, worse in BETTER:
        if not losses[better][-1] < losses[worse][-1] / 2:
            ends = {name: values[-1] for name, values in losses.items()}
            return f"expected less than half the loss from ({better}) than from ({worse}), got {ends}"
    return None


def moons(output):
    """Classify two moons, where p(y = 1 | x, θ) = f(z) with the sigmoid f; return None or what went wrong."""
    (x, labels, names), (new_x, new_labels, _) = toys.moons(N=200, seed=0), toys.moons(N=3000, seed=1)
    y = labels.astype(np.float32)[:, np.newaxis]
    panels = {}
    for sizes, low, high in (([2, 1], 80, 92), ([2, 32, 1], 97, 100), ([2, 16, 16, 1], 97, 100)):
        tg.manual_seed(0)
        model, name = network(sizes, nn.ReLU), f"L = {len(sizes) - 1}"
        train(model, nn.BCEWithLogitsLoss(), x, y, steps=400)
        panels[name] = (lambda x, model=model: tg.sigmoid(model(x)).numpy(), x, labels, names)
        right = 100 * ((model(new_x).numpy()[:, 0] > 0) == new_labels).mean()
        print(f"moons, {name}: {right:.1f} % of new points right")
        if not low <= right <= high:
            return f"expected {low} to {high} % of the moons right with {name}, got {right:.1f} %"
    pictures.decision_regions(output / "moons.png", panels, "Two moons: one layer draws a straight line, more bend it")
    return None


def curve(output):
    """Predict a curve, where ŷ = z; return None or what went wrong."""
    (x, y), (new_x, new_y) = toys.curve(N=200, seed=0, noise=0.1), toys.curve(N=3000, seed=1, noise=0.1)
    tg.manual_seed(0)
    model = network([1, 32, 32, 1], nn.ReLU)
    train(model, nn.MSELoss(), x, y, steps=600)
    error = nn.functional.mse_loss(model(new_x), new_y).item()
    print(f"curve: mean squared error {error:.4f} on new points, of which 0.01 is noise")
    grid = np.linspace(-3, 3, 300, dtype=np.float32)[:, np.newaxis]
    drawn = {"examples (points)": (x[:, 0], y[:, 0]), "ŷ": (grid[:, 0], model(grid).numpy()[:, 0])}
    pictures.lines(output / "curve.png", {"y": drawn}, "Regression with L = 3 layers", "x")
    return None if 0.009 < error < 0.016 else f"expected an error between the noise's 0.01 and 0.016, got {error}"


def main():
    """Learn three sets, check and draw the results; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path, default="runs/deep_network", help="folder for the pictures")
    args = parser.parse_args()
    z = np.linspace(-4, 4, 161)
    functions = {name: (z, h()(z)) for name, h in ACTIVATIONS.items()}
    pictures.lines(args.output / "activations.png", {"h(z)": functions}, "Activation functions", "z, one element")
    problem = spirals(args.output) or moons(args.output) or curve(args.output)
    print("\n".join(f"{path.stem:11} {path}" for path in sorted(args.output.glob("*.png"))))
    return problem or 0


if __name__ == "__main__":
    sys.exit(main())
