"""Cat, chicken or dog: softmax regression on images of 2×2 pixels, small enough to write every number out.

    python examples/cat_chicken_dog.py

The four grey pixels x₁..x₄ are the features. There is one logit for each class, and all of them see all the features:

    z₁ = x₁w₁₁ + x₂w₁₂ + x₃w₁₃ + x₄w₁₄ + b₁          12 weights
    z₂ = x₁w₂₁ + x₂w₂₂ + x₃w₂₃ + x₄w₂₄ + b₂           3 biases
    z₃ = x₁w₃₁ + x₂w₃₂ + x₃w₃₃ + x₄w₃₄ + b₃           a single layer, fully connected

Some notes write o for the logits z, and ŷ for the probabilities a = softmax(z).

The label is one-hot: (1, 0, 0) is a cat, (0, 1, 0) a chicken, (0, 0, 1) a dog. Why not a number, 1 for dog, 2 for cat,
3 for chicken? Because that claims an order, dog < cat < chicken, and that a cat is half a dog and half a chicken.
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

NUMBER = np.array([2.0, 3.0, 1.0])  # of cat, chicken and dog
STAGES = ("baby", "child", "adolescent", "youth", "middle-aged", "elderly")


def written_out(x, w, b):
    """Return [z₁, z₂, z₃], term by term as above, for one x of shape (4,); w has shape (3, 4)."""
    z = []
    for j in range(3):
        z.append(x[0] * w[j, 0] + x[1] * w[j, 1] + x[2] * w[j, 2] + x[3] * w[j, 3] + b[j])
    return z


def fit(X, targets, outputs, loss_function, steps=2000, lr=1.0):
    """Return the linear model that gradient descent finds for these targets."""
    tg.manual_seed(0)
    model = nn.Linear(X.shape[1], outputs)
    optimizer = nn.optim.SGD(model.parameters(), lr=lr, momentum=0.9)
    for _ in range(steps):
        loss = loss_function(model(X), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


def as_classes(X, labels, C):
    """Return the function that names the most likely class of each row, after softmax regression on one-hot labels."""
    model = fit(X, nn.functional.one_hot(labels, C), C, nn.CrossEntropyLoss())
    return model, lambda X: model(X).argmax(axis=1)


def as_numbers(X, labels, number):
    """Return the function that names the class with the nearest number, after linear regression on the numbers."""
    number = number.astype(np.float32)
    model = fit(X, number[labels][:, np.newaxis], 1, nn.MSELoss(), lr=0.05)
    return model, lambda X: np.abs(model(X).numpy() - number).argmin(axis=1)


def stages(N, seed):
    """Return two blurred signs of age, float32 of shape (N, 2), and the stage of life 0..5: classes with an order."""
    random, labels = np.random.default_rng(seed), np.arange(N) % len(STAGES)
    age = labels[:, np.newaxis] / (len(STAGES) - 1)
    return (age + 0.1 * random.standard_normal((N, 2))).astype(np.float32), labels


def percent(predicted, labels):
    """Return how many predictions are right."""
    return 100 * (predicted == labels).mean().item()


def draw_numbers(path, image, label, w, b, classes):
    """Draw every number of one image, shape (2, 2), on its way through the model."""
    x = image.reshape(4, 1)
    z = w @ x + b[:, np.newaxis]
    a, y = nn.functional.softmax(z, dim=0), nn.functional.one_hot(np.array([label]), 3).T
    z_names, features, nobody = ["z₁", "z₂", "z₃"], ["x₁", "x₂", "x₃", "x₄"], [""] * 3
    parts = [
        ("the image", image, ["x₁ x₂", "x₃ x₄"], ["", ""], "grey"),
        "→",
        ("W, 12 weights", w, list(classes), features, "signs"),
        "·",
        ("x", x, features, [""], "grey"),
        "+",
        ("b, 3 biases", b[:, np.newaxis], nobody, [""], "signs"),
        "=",
        ("z, logits", z, z_names, [""], "signs"),
        "softmax\n→",
        ("a, sum 1", a, ["a₁", "a₂", "a₃"], [""], "grey"),
        "against",
        ("y, the label", y, list(classes), [""], "grey"),
    ]
    title = f"Every number of one {classes[label]}: a = softmax(Wx + b), and the loss −ln a of its class = "
    drawings.equation(path, parts, title + f"{-np.log(a[label, 0]):.2f}")


def main():
    """Compare the notations, then one-hot labels with numbers; return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=pathlib.Path, default="runs/cat_chicken_dog", help="folder for the pictures")
    args = parser.parse_args()

    images, labels, classes = toys.cat_chicken_dog(N=600, noise=0.3)
    X = images.reshape(-1, 4)  # n×d, an example in each row, its pixels row by row
    new_images, new_labels, _ = toys.cat_chicken_dog(N=3000, seed=1, noise=0.3)
    new_X = new_images.reshape(-1, 4)
    model, one_hot_says = as_classes(X, labels, C=3)

    w, b = model.weight.numpy(), model.bias.numpy()
    count = nn.parameters_to_vector(model.parameters()).size
    print(f"{w.size} weights + {b.size} biases = {count} parameters")
    if (w.size, b.size, count) != (12, 3, 15):
        return f"expected 12 weights and 3 biases, got {w.size} and {b.size}, {count} in all"
    for x, batch_row in zip(X[:3], X[:3] @ w.T + b, strict=True):  # Z = XW + b: W is d×q = 4×3, b is added to each row
        out, matrix_form = np.array(written_out(x, w, b)), w @ x + b
        a = nn.functional.softmax(matrix_form)
        print(f"  x = {x.round(2)}  z = {out.round(2)}  a = softmax(z) = {a.round(3)}: {classes[a.argmax()]}")
        if not (np.allclose(out, matrix_form, atol=1e-5) and np.allclose(out, batch_row, atol=1e-5)):
            return f"expected three notations to agree, got {out} written out, {matrix_form} and {batch_row}"

    numbers_model, numbers_say = as_numbers(X, labels, NUMBER)
    right = {"one-hot": percent(one_hot_says(new_X), new_labels), "numbers": percent(numbers_say(new_X), new_labels)}
    print(f"\nnew images right: {right['one-hot']:.1f} % with one-hot labels, {right['numbers']:.1f} % with 1, 2, 3")
    if not (right["one-hot"] > 93 and right["one-hot"] > right["numbers"] + 8):
        return f"expected one-hot labels to be right for 93 % and more than 8 % ahead of the numbers, got {right}"
    dog, chicken = np.array(toys.PROTOTYPES["dog"]).ravel(), np.array(toys.PROTOTYPES["chicken"]).ravel()
    between = ((dog + chicken) / 2).astype(np.float32)[np.newaxis]
    value, p_cat = numbers_model(between).item(), nn.functional.softmax(model(between)).numpy()[0, 0]
    print(f"half dog, half chicken: the number is {value:.2f}, a cat; with one-hot labels P(cat) = {p_cat:.3f}")
    if not (abs(value - 2) < 0.2 and p_cat < 0.05):
        return f"expected a number near 2 and P(cat) below 0.05 between dog and chicken, got {value} and {p_cat}"

    (S, stage), (new_S, new_stage) = stages(60, seed=0), stages(3000, seed=1)
    _, classes_say = as_classes(S, stage, len(STAGES))
    _, ages_say = as_numbers(S, stage, np.arange(1.0, 1 + len(STAGES)))
    ordered = {"one-hot": percent(classes_say(new_S), new_stage), "numbers": percent(ages_say(new_S), new_stage)}
    print(f"\n{', '.join(STAGES)} do have an order:")
    print(f"{ordered['one-hot']:.1f} % right with one-hot labels, {ordered['numbers']:.1f} % with 1, ..., 6")
    if not ordered["numbers"] > ordered["one-hot"] - 1:
        return f"expected numbers to do as well as one-hot labels for classes with an order, got {ordered}"

    layers = [["x₁", "x₂", "x₃", "x₄"], ["z₁", "z₂", "z₃"], ["a₁", "a₂", "a₃"]]
    title = "Softmax regression: each grey line is one of 12 weights; the softmax is one box for all logits"
    drawings.network(args.output / "network.png", layers, title)
    sure = nn.functional.softmax(model(X), dim=1).numpy()[np.arange(len(X)), labels]
    i = np.abs(sure - 0.6 + (X.min(axis=1) < 0.1)).argmin()  # neither certain nor wrong, and no pixel is black
    draw_numbers(args.output / "numbers.png", images[i, 0], labels[i], w, b, classes)
    captions = [classes[label] for label in labels[:12]]
    pictures.image_grid(
        args.output / "images.png", images[:12, 0], captions, "Images of 2×2 pixels: 1 is white", ink=False
    )
    title = "Weights: a light pixel on red speaks for the class, on blue against it"
    pictures.weight_images(args.output / "weights.png", w.reshape(3, 2, 2), classes, title, columns=3)
    bars = {"cat, chicken, dog: no order": right, "six stages of life: an order": ordered}
    pictures.bars(
        args.output / "labels.png", bars, "One-hot labels against numbers: without an order they win", "right in %"
    )
    with tg.look.record(model) as recording:
        z = model(X[i : i + 1])
        loss = nn.functional.cross_entropy(z, labels[i : i + 1])
        loss.backward()
    recording.unfolded().page(args.output / "tape.html", f"One image of a {classes[labels[i]]}, one loss, every number")
    print("\n".join(f"{path.stem:8} {path}" for path in sorted(args.output.glob("*.[ph]*"))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
