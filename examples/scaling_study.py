"""How to scale pixels before training: raw 0..255, /255, −0.5, z-scores; and why that matters at all.

    python examples/scaling_study.py

Gradient descent on a loss with the Hessian H must take steps below 2/λ, where λ is the largest eigenvalue of H: beyond
that it climbs the steepest direction instead of descending it. λ grows with the square of the inputs. At weights of 0
softmax regression with C classes has the Hessian (I/C − 11ᵀ/C²) ⊗ X̃ᵀX̃/N, where the rows of X̃ are (x, 1), so λ is that
of X̃ᵀX̃/N divided by C. Here it is found without forming H: multiply a vector by H again and again, and it turns into the
eigenvector of λ. `tg.hvp` multiplies.
"""

import argparse
import pathlib
import sys

import numpy as np
import pictures

import tinygrad_sm as tg
from tinygrad_sm import nn
from tinygrad_sm.datasets import DataLoader, mnist

SCALES = {"raw, 0 to 255": None, "/255": "unit", "/255 − 0.5": "center", "z-score": "standard"}


def rows(dataset):
    """Return the images as rows of float32, shape (N, 784), and the labels."""
    return dataset.images.reshape(len(dataset.images), -1).astype(np.float32), dataset.labels


def largest_eigenvalue(x, labels, iterations=20):
    """Return λ of the Hessian at weights of 0, by power iteration with Hessian-vector products."""
    random = np.random.default_rng(0)
    at = np.zeros((10, x.shape[1]), np.float32), np.zeros(10, np.float32)
    v = tuple(random.standard_normal(a.shape).astype(np.float32) for a in at)
    for _ in range(iterations):
        length = np.sqrt(sum((part**2).sum() for part in v))
        v = tuple(part / length for part in v)
        _, Hv = tg.hvp(lambda W, b: nn.functional.cross_entropy(x @ W.T + b, labels), at, v)
        eigenvalue = sum((part * product.numpy()).sum() for part, product in zip(v, Hv, strict=True))  # vᵀHv, |v| = 1
        v = tuple(product.numpy() for product in Hv)
    return eigenvalue


def eigenvalues_in_closed_form(x):
    """Return the eigenvalues of X̃ᵀX̃/N divided by C = 10, the largest first."""
    x = np.pad(x, ((0, 0), (0, 1)), constant_values=1).astype(np.float64)
    return np.linalg.eigvalsh(x.T @ x / len(x))[::-1] / 10


def train(training, test, lr, epochs):
    """Train softmax regression from weights of 0; return it, and the test loss and accuracy in % of each epoch."""
    model = nn.Linear(784, 10)
    model.weight.assign(np.zeros((10, 784), np.float32))
    model.bias.assign(np.zeros(10, np.float32))
    optimizer = nn.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    losses, accuracies = [], []
    loader = DataLoader(training, batch_size=512, shuffle=True)
    for _ in range(epochs):
        for x, labels in loader:
            loss = nn.functional.cross_entropy(model(x), labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with tg.no_grad():
            z = model(test[0]).numpy()
        losses.append(nn.functional.cross_entropy(z, test[1]).item())
        accuracies.append(100 * nn.functional.accuracy(z, test[1]))
    return model, losses, accuracies


def shape_of(pixels):
    """Return skewness and kurtosis, the means of u³ and u⁴ of the standardised u: 0 and 3 if u is normal."""
    u = (pixels - pixels.mean(dtype=np.float64)) / pixels.std(dtype=np.float64)
    return (u**3).mean(), (u**4).mean()


def draw(folder, trained, z_scores):
    """Draw the training curves of all scales, and how the z-scores are distributed."""
    panels = {"test loss": {}, "test accuracy in %": {}}
    for name, (_, losses, accuracies) in trained.items():
        panels["test loss"][name], panels["test accuracy in %"][name] = losses, accuracies
    pictures.curves(folder / "curves.png", panels, "Softmax regression on MNIST, each scale with the learning rate 1/λ")
    edges = np.linspace(-3, 3, 61)
    middles, width = (edges[1:] + edges[:-1]) / 2, edges[1] - edges[0]
    shares = np.histogram(z_scores, edges)[0] / z_scores.size
    normal = np.exp(-(middles**2) / 2) / np.sqrt(2 * np.pi) * width
    histogram = {
        f"share of the pixels, in bins of {width:.1f}": {
            "z-scores of pixels": (np.repeat(edges, 2)[1:-1], np.repeat(shares, 2)),  # from edge to edge, not sloping
            "normal": (middles, normal),
        }
    }
    title = "Standardised is not normal: most pixels are paper, one and the same number"
    pictures.lines(folder / "pixels.png", histogram, title, "z-score")
    print(f"\nthe curves:  {folder / 'curves.png'}\nthe pixels:  {folder / 'pixels.png'}")


def main():
    """Compare the scales, check what the notes say of them, draw; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path, default="runs/scaling_study", help="folder for the pictures")
    parser.add_argument("--quick", action="store_true", help="train with the first 10,000 images only")
    args = parser.parse_args()
    n, few = (10_000 if args.quick else 60_000), slice(2000)

    largest, spread, trained, data = {}, {}, {}, {}
    print("                          λ    λ / λ₁₀₀   learning rate 1/λ   test accuracy, epoch by epoch")
    for name, scale in SCALES.items():
        (x, labels), test = rows(mnist("train", scale)), rows(mnist("test", scale))
        data[name] = (x[:n], labels[:n]), test
        eigenvalues = eigenvalues_in_closed_form(x[few])
        largest[name] = largest_eigenvalue(x[few], labels[few])
        if not np.isclose(largest[name], eigenvalues[0], rtol=1e-3):
            return f"{name}: expected λ = {eigenvalues[0]}, in closed form, got {largest[name]} by hvp"
        trained[name] = train(*data[name], lr=1 / largest[name], epochs=5)
        accuracies = "  ".join(f"{accuracy:.1f}" for accuracy in trained[name][2])
        spread[name] = eigenvalues[0] / eigenvalues[99]  # the smallest are 0: pixels in the corners never have ink
        print(f"{name:14}  {largest[name]:11.2f}  {spread[name]:10.0f}   {1 / largest[name]:17.2g}   {accuracies}")

    ratio = largest["raw, 0 to 255"] / largest["/255"]
    print(f"\nRaw pixels are 255 times as large, and λ {ratio:,.0f} times: nearly 255² = {255**2:,}.")
    if not 0.9 < ratio / 255**2 < 1.001:
        return f"expected λ of the raw pixels to be nearly 255² = {255**2} times that of /255, got {ratio:.0f} times"
    _, (loss,), _ = train(*data["raw, 0 to 255"], lr=1 / largest["/255"], epochs=1)
    print(f"Trained with the learning rate of /255, they give the test loss {loss:,.0f}; guessing gives 2.3.")
    if not loss > 100 * np.log(10):
        return f"expected raw pixels to fail with the learning rate of /255, got the test loss {loss:.3f}"
    ends = [accuracies[-1] for _, _, accuracies in trained.values()]
    print(f"With a rate that fits there is no big difference: {min(ends):.1f} to {max(ends):.1f} % at the end.")
    if not (max(ends) - min(ends) < 2 and min(ends) > 88):
        return f"expected all scales above 88 % and within 2 % of each other, got {ends}"
    slowest, widest = min(trained, key=lambda name: trained[name][2][0]), max(spread, key=spread.get)
    print(f"Slowest at first is {slowest}: a rate that suits the steepest direction is small for flat ones.")
    if slowest != widest:
        return f"expected the scale with the largest λ / λ₁₀₀, {widest}, to be the slowest, got {slowest}"

    (raw, _), (z_scores, _) = data["raw, 0 to 255"][0], data["z-score"][0]
    slope, offset = np.polyfit(raw[few].ravel(), z_scores[few].ravel(), 1)
    model = trained["z-score"][0]
    W, b = model.weight.numpy(), model.bias.numpy()
    of_raw = raw[few] @ (slope * W).T + (b + offset * W.sum(axis=1))
    difference = np.abs(of_raw - (z_scores[few] @ W.T + b)).max()
    print(f"All pixels share one range, so one map makes z-scores of all: {slope:.6f} p {offset:+.6f}. A model of")
    print(f"z-scores is a model of raw pixels with other weights: the net inputs differ by {difference:.0e}.")
    if not difference < 1e-2:
        return f"expected the same net inputs from raw pixels and from z-scores, got a difference of {difference}"

    before, after = shape_of(raw[:10_000]), shape_of(z_scores[:10_000])
    paper = np.mean(z_scores == z_scores.min())
    print("Standardising does not make data normal: the shape of the distribution stays")
    for name, one, other, normal in zip(("skewness", "kurtosis"), before, after, (0, 3), strict=True):
        print(f"  {name}  raw {one:.4f}   z-score {other:.4f}   normal {normal}")
    print(f"  and {100 * paper:.0f} % of the pixels are paper, one and the same number")
    if not (np.allclose(before, after, rtol=1e-4) and after[0] > 1 and paper > 0.5):
        return f"expected raw pixels and z-scores to have one shape, far from normal, got {before} and {after}"
    draw(args.output, trained, z_scores)
    return 0


if __name__ == "__main__":
    sys.exit(main())
