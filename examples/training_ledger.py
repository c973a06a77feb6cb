"""The training ledger: which training images made the model read this 7 as a 1, and how much each of them did.

    python examples/training_ledger.py

Every step of SGD adds to the weights of class c a multiple of each image of the batch: the gradient of the loss with
respect to the net input z_c of image i is (p_{ic} − y_{ic}) / B, so w_c moves by −lr (p_{ic} − y_{ic}) / B · xᵢ, and
the bias by the same without xᵢ. After the training, with the multiples of image i added up in the ledger a_{ic},

    w_c = w_c⁰ + Σᵢ a_{ic} xᵢ        b_c = b_c⁰ + Σᵢ a_{ic}        (w_c⁰, b_c⁰: where the training began)

and so each net input of any image x is a sum of what each training image has contributed, exactly:

    z_c(x) = (w_c⁰·x + b_c⁰) + Σᵢ a_{ic} (xᵢ·x + 1)

Momentum μ only repeats a step in all later ones, each time μ times as strong: together the step at time s counts
Σ_{t ≥ s} lr_t μ^{t−s}. There is no weight decay here, which would let the early entries fade.
"""

import argparse
import pathlib
import sys

import numpy as np
import pictures

from tinygrad_sm import nn
from tinygrad_sm.datasets import DataLoader, mnist


def step_weights(rates, momentum):
    """Return how much the gradient of each step counts in the end: Σ_{t ≥ s} lr_t μ^{t−s}, for all steps s."""
    weights = np.zeros(len(rates) + 1)
    for s in reversed(range(len(rates))):
        weights[s] = rates[s] + momentum * weights[s + 1]
    return weights[:-1]


def train_with_ledger(x, labels, *, epochs, batch_size, lr, momentum, seed):
    """Train softmax regression in float64; return (W, b), the (W⁰, b⁰) of the beginning, and the ledger (N, 10).

    x : the images as rows, shape (N, D).  labels : shape (N,).
    """
    random, bound = np.random.default_rng(seed), 1 / np.sqrt(x.shape[1])
    W = nn.Parameter(random.uniform(-bound, bound, (10, x.shape[1])))
    b = nn.Parameter(random.uniform(-bound, bound, 10))
    start = W.numpy().copy(), b.numpy().copy()
    optimizer = nn.optim.SGD([W, b], lr=lr, momentum=momentum)
    which = np.arange(len(x))  # images the loader gives: their places, not themselves
    loader = DataLoader((which, labels), batch_size, shuffle=True, seed=seed)
    rates = np.repeat(lr * (1 - np.arange(epochs) / epochs), len(loader))
    weights, ledger, step = step_weights(rates, momentum), np.zeros((len(x), 10)), 0
    for _ in range(epochs):
        for chosen, y in loader:
            optimizer.lr = rates[step]
            z = x[chosen].astype(np.float64) @ W.T + b
            z.retain_grad()  # so that backward() leaves (p − y) / B there
            loss = nn.functional.cross_entropy(z, y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            ledger[chosen] -= weights[step] * z.grad
            step += 1
    return (W.numpy(), b.numpy()), start, ledger


def main():
    """Train, find a misread 7, split its net inputs, check the sums, draw; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path, default="runs/training_ledger", help="folder for the pictures")
    parser.add_argument("--quick", action="store_true", help="train with the first 5,000 images only")
    args = parser.parse_args()

    (images, labels, _), test = mnist("train"), mnist("test")
    if args.quick:
        images, labels = images[:5000], labels[:5000]
    x = images.reshape(len(images), -1)
    options = {"epochs": 4, "batch_size": 512, "lr": 0.2, "momentum": 0.9, "seed": 0}
    (W, b), (W0, b0), ledger = train_with_ledger(x, labels, **options)

    test_x = test.images.reshape(len(test.images), -1).astype(np.float64)
    z = test_x @ W.T + b
    said = z.argmax(axis=1)
    accuracy = 100 * np.mean(said == test.labels)
    print(f"trained with {len(x):,} images in {options['epochs']} epochs, test accuracy {accuracy:.2f} %")
    if accuracy < (86 if args.quick else 91):
        return f"expected a test accuracy of at least {86 if args.quick else 91} %, got {accuracy:.2f} %"
    misread = np.flatnonzero((test.labels == 7) & (said == 1))
    if len(misread) == 0:
        return "expected the model to read some 7 of the test images as a 1, got none"
    margins = z[misread, 1] - z[misread, 7]
    this = misread[margins.argmax()]

    similarity = x @ test_x[this] + 1  # xᵢ·x + 1
    contributions = ledger * similarity[:, np.newaxis]  # (N, 10): of each training image to each net input
    initial = W0 @ test_x[this] + b0
    sums = initial + contributions.sum(axis=0)
    print(f"test image {this}, a 7, is read as a 1. Its net inputs, each a sum of {len(x):,} contributions:")
    print("  class   initial weights + training images =     their sum   net input z    difference")
    for c in range(10):
        print(
            f"  {c}    {initial[c]:17.6f} + {contributions[:, c].sum():15.6f} = {sums[c]:13.6f} {z[this, c]:13.6f}"
            f"    {sums[c] - z[this, c]:10.1e}"
        )
    largest = np.abs(contributions).sum(axis=0).max()
    error = np.abs(sums - z[this]).max()
    if not error < 1e-12 * largest:
        return f"expected the contributions to add up to the net inputs to rounding, got a difference of {error:.1e}"
    if not np.allclose(ledger.sum(axis=1), 0, rtol=0, atol=1e-12):
        return "expected what an image gives to one class to be taken from the others, got rows with other sums than 0"

    # Read as a 1 and not as a 7: what counts is z_1 − z_7, in which each image has a share too.
    share = contributions[:, 1] - contributions[:, 7]
    by_digit = {f"images of {digit}": share[labels == digit].sum() for digit in range(10)}
    by_digit["initial weights"] = initial[1] - initial[7]
    margin = z[this, 1] - z[this, 7]
    by_digit["their sum, z₁ − z₇"] = margin
    order = np.argsort(share)
    against, speaking = order[:11], order[::-1][:11]
    print(f"\nz_1 − z_7 = {margin:.6f}: above 0, so it is a 1. The images that speak most for the 1 and for the 7:")
    for name, few in (("for the 1", speaking[:4]), ("for the 7", against[:4])):
        print(f"  {name}:  " + "   ".join(f"#{i} (a {labels[i]}) {share[i]:+.4f}" for i in few))

    shown = [("for_1.png", "for reading it as a 1", speaking), ("for_7.png", "for reading it as a 7", against)]
    for file, title, few in shown:
        captions = ["the misread 7", *(f"a {labels[i]}: {share[i]:+.4f}".replace("-", "−") for i in few)]
        both = np.concatenate([test.images[[this], 0], images[few, 0]])
        title = f"The training images that speak most {title}, each with its share in z₁ − z₇"
        pictures.image_grid(args.output / file, both, captions, title)
    title = "Why this 7 is read as a 1: z₁ − z₇ is above 0"
    sums = {"what all training images have added": by_digit}
    pictures.bars(args.output / "shares.png", sums, title, "share in z₁ − z₇", total="their sum, z₁ − z₇")
    print(f"\nimages for the 1:  {args.output / 'for_1.png'}\nimages for the 7:  {args.output / 'for_7.png'}")
    print(f"shares of digits:  {args.output / 'shares.png'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
