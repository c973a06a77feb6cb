"""What the model sees: digits as pictures, as numbers, and as one long vector; and what it answers.

    python examples/show_digits.py

    raw pixels  →  unrolled image x  →  net inputs z = Wx + b  →  softmax  →  a probability for each class by name

No two people write a 7 alike, so no list of rules says what a 7 is: it has to be learned from many. To the computer
an image is a matrix of 28×28 numbers from 0 (paper) to 1 (ink), with one colour channel as it is grey. Softmax
regression reads it as 784 features, so the rows are joined, the first, then the second, and so on. That loses which
pixels are neighbours: a convolutional network takes the batch as it is, N×C×H×W.
"""

import argparse
import pathlib
import sys

import drawings
import numpy as np
import pictures

import tinygrad_sm as tg
from tinygrad_sm import nn
from tinygrad_sm.datasets import DataLoader, mnist

ROWS = {"green": 4, "blue": 5, "red": 6}  # the first three rows of the 3 that have ink, and their colours


def most_different(images, count):
    """Return the indices of this many images, each the farthest from those before; the first is the most usual one."""
    x = images.reshape(len(images), -1)
    chosen = [int(((x - x.mean(axis=0)) ** 2).sum(axis=1).argmin())]
    nearest = np.full(len(x), np.inf)  # of each image the squared distance to the nearest that was chosen
    while len(chosen) < count:
        nearest = np.minimum(nearest, ((x - x[chosen[-1]]) ** 2).sum(axis=1))
        chosen.append(int(nearest.argmax()))
    return chosen


def print_pixels(image):
    """Print the pixels of an image of shape (28, 28) in tenths: "." for 0, 1 to 9, and # for more than 0.95."""
    for row in image:
        tenths = [int(round(10 * float(pixel))) for pixel in row]
        print("  " + " ".join("." if tenth == 0 else "#" if tenth == 10 else str(tenth) for tenth in tenths))


def row_by_row(image):
    """Return all pixels in one list, by two loops: pixel (r, c) of an image 28 wide is feature 28 r + c."""
    vector = []
    for row in image:
        for pixel in row:
            vector.append(pixel)
    return np.array(vector)


def train(training, epochs=1):
    """Return softmax regression after this number of passes over the training images."""
    tg.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    optimizer = nn.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for _ in range(epochs):
        for images, labels in DataLoader(training, batch_size=128, shuffle=True):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(images), labels).backward()
            optimizer.step()
    return model


def main():
    """Show the sevens, the numbers of a 3, its vector and what a model says of them; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path, default="runs/show_digits", help="folder for the pictures")
    output = parser.parse_args().output
    training, (images, labels, classes) = mnist("train"), mnist("test")

    sevens = training.images[training.labels == 7][:, 0]
    few = sevens[most_different(sevens, 24)]
    captions = ["the most usual", *[""] * 23]
    pictures.image_grid(output / "sevens.png", few, captions, "Sevens, as different as they come", columns=8)

    three = images[(labels == 3).argmax()]  # the first of the test images
    channels, height, width = three.shape
    print(f'a "3" of {channels} channel, {height} rows and {width} columns, ink in tenths:')
    print_pixels(three[0])
    x = nn.Flatten()(three[np.newaxis])[0]  # a batch of one image has a fourth axis in front: N×C×H×W
    print(f"as a vector it has {channels}·{height}·{width} = {x.size} features")
    if x.shape != (784,) or not np.array_equal(x, row_by_row(three[0])):
        return f"expected 784 features, row after row, got {x.shape}"
    drawings.rows_of_an_image(output / "rows.png", three[0], ROWS, "The rows of the 3, joined to one vector")

    model = train(training)
    with tg.no_grad():
        a = tg.softmax(model(images), axis=1).numpy()
    accuracy = 100 * (a.argmax(axis=1) == labels).mean()
    print(f"softmax regression after one pass over the training images: {accuracy:.1f} % of the test images right")
    if not accuracy > 90:
        return f"expected more than 90 % right, got {accuracy:.1f} %"
    is_seven = np.flatnonzero(labels == 7)
    order = is_seven[np.argsort(a[is_seven, 7], kind="stable")]
    hardest, doubtful = order[:24], is_seven[np.abs(a[is_seven, 7] - 0.5).argmin()]
    captions = [f"read as {classes[a[i].argmax()]}, P(7) {100 * a[i, 7]:.1f} %" for i in hardest]
    pictures.image_grid(
        output / "hardest.png",
        images[hardest, 0],
        captions,
        "Is that a 7? The sevens that get the least P(7)",
        columns=8,
    )
    if not (a[hardest, 7] < 0.5).all():
        return f"expected P(7) below 50 % for the hardest sevens, got up to {a[hardest, 7].max():.2f}"

    panels, few = {}, (("the 3", (labels == 3).argmax()), ("a 7 in doubt", doubtful), ("the hardest 7", hardest[0]))
    for name, i in few:
        panels[name] = {f"“{digit}”": round(p, 3) for digit, p in zip(classes, a[i].tolist(), strict=True)}
        likeliest = ", ".join(f"“{classes[c]}” {100 * a[i, c]:.1f} %" for c in np.argsort(-a[i])[:3])
        print(f"  {name:13}  {likeliest}")
        if not np.isclose(a[i].sum(), 1, atol=1e-5):
            return f"expected probabilities of sum 1, got {a[i].sum()}"
    title, digits = "Ten classes, one softmax: the bars of an image add up to 1", images[[i for _, i in few], 0]
    pictures.bars(output / "answers.png", panels, title, "probability", images=digits)
    with tg.look.record(model) as recording:
        x, y = three[np.newaxis], np.array([3])
        z = model(x)
        loss = nn.functional.cross_entropy(z, y)
        loss.backward()
    recording.page(output / "tape.html", "From the pixels of a 3 to its loss, and back", images=(height, width))
    print("\n".join(f"{path.stem:8} {path}" for path in sorted(output.glob("*.[ph]*"))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
