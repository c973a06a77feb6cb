"""A network with one hidden layer on MNIST: from the 92.6 % of softmax regression to 98 %.

    python examples/mnist_mlp.py              # ten seconds
    python examples/mnist_mlp.py --quick      # a tenth of the images, and a lower accuracy to reach

    q = relu(W⁽¹⁾x + b⁽¹⁾)        U hidden units, W⁽¹⁾ of shape U × 784
    a = softmax(W⁽²⁾q + b⁽²⁾)     the probabilities of the 10 digits, W⁽²⁾ of shape 10 × U

Without the relu both layers together would be one affine map, and no better than softmax regression. The status is 1 if
the accuracy on the test images is not reached.
"""

import argparse
import pathlib
import sys
import time

import drawings
import numpy as np
import pictures
from mnist_softmax import number

import tinygrad_sm as tg
from tinygrad_sm import nn
from tinygrad_sm.datasets import DataLoader, mnist


def train(model, training, test, epochs, lr=0.002, batch_size=128, seed=0):
    """Train with Adam on labelled images, print a line for each epoch, and return the curves for a picture.

    The learning rate falls along half a cosine to 0, step by step: the smaller the last steps, the less their noise.
    """
    loader = DataLoader(training, batch_size, shuffle=True, seed=seed)
    optimizer = nn.optim.Adam(model.parameters(), lr=lr)
    schedule = nn.schedules.CosineAnnealingLR(optimizer, T_max=epochs * len(loader))
    loss_function = nn.CrossEntropyLoss()  # takes the logits: the softmax is part of the loss
    losses, accuracies = {"training": [], "test": []}, {"training": [], "test": []}
    for epoch in range(1, epochs + 1):
        start, total, right = time.perf_counter(), 0.0, 0
        for images, labels in loader:
            logits = model(images)
            loss = loss_function(logits, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.item() * len(labels)
            right += (logits.argmax(axis=1) == labels).sum()
        seconds = time.perf_counter() - start

        logits = predict(model, test.images)
        losses["training"].append(total / len(training.labels))
        losses["test"].append(float(nn.functional.cross_entropy(logits, test.labels)))
        accuracies["training"].append(100 * right / len(training.labels))  # while the model was learning
        accuracies["test"].append(100 * nn.functional.accuracy(logits, test.labels))
        print(
            f"epoch {epoch}  training loss {losses['training'][-1]:.4f}  test loss {losses['test'][-1]:.4f}  "
            f"test accuracy {accuracies['test'][-1]:.2f} %  {seconds:.1f} s",
            flush=True,
        )
    return {"loss": losses, "accuracy in %": accuracies}


def predict(model, images):
    """Return the logits of all images, an array of shape (N, 10)."""
    with tg.no_grad():
        return model(images).numpy()


def by_the_formulas(model, images):
    """Return a of each image, shape (N, 10), as the docstring above writes it, in NumPy."""
    W1, b1, W2, b2 = (parameter.numpy() for parameter in model.parameters())
    x = images.reshape(len(images), 784).T  # each column is an image: the 28 rows of its pixels, one after the other
    q = np.maximum(W1 @ x + b1[:, np.newaxis], 0)
    z = W2 @ q + b2[:, np.newaxis]
    exps = np.exp(z - z.max(axis=0))
    return (exps / exps.sum(axis=0)).T


def main():
    """Train, check against the formulas, draw; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--hidden", type=number(int, 1), default=256, help="how many hidden units, U")
    parser.add_argument("--epochs", type=number(int, 1), default=6, help="how often to go through the training images")
    parser.add_argument("--quick", action="store_true", help="train on the first 6,000 images only")
    parser.add_argument("--output", type=pathlib.Path, default="runs/mnist_mlp", help="folder for the pictures")
    args = parser.parse_args()
    training, test, wanted = mnist("train"), mnist("test"), 97.5
    if args.quick:
        training, wanted = training._replace(images=training.images[:6000], labels=training.labels[:6000]), 90.0

    tg.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, args.hidden), nn.ReLU(), nn.Linear(args.hidden, 10))
    print(f"784 – {args.hidden} – 10: {sum(parameter.size for parameter in model.parameters()):,} parameters")
    curves = train(model, training, test, args.epochs)

    probabilities = tg.softmax(predict(model, test.images), axis=1)
    difference = np.abs(probabilities - by_the_formulas(model, test.images)).max()
    print(f"softmax(W⁽²⁾ relu(W⁽¹⁾x + b⁽¹⁾) + b⁽²⁾), written out, differs by {difference:.0e}")
    if not difference < 1e-5:
        return f"expected the model to equal its formulas to 1e-5, got a difference of {difference}"

    layers = [[f"{name}{i}" for i in ("₁", "₂")] + ["⋮", last] for name, last in (("x", "x₇₈₄"), ("q", "q_U"))]
    layers += [[f"{name}{i}" for i in ("₀", "₁")] + ["⋮", f"{name}₉"] for name in "za"]
    title = f"Two layers: U = {args.hidden} hidden units between pixels and digits"
    drawings.network(args.output / "network.png", layers, title)
    predicted = probabilities.argmax(axis=1)
    title = "A hidden layer on MNIST; training values are means over an epoch"
    pictures.curves(args.output / "curves.png", curves, title)
    title = "Confusion matrix of the test images"
    pictures.confusion_matrix(args.output / "confusion.png", test.labels, predicted, test.classes, title)
    title, images = "The most confident mistakes on the test images", test.images[:, 0]
    mistakes = args.output / "mistakes.png"
    pictures.confident_mistakes(mistakes, images, test.labels, probabilities, test.classes, title)
    print(f"loss and accuracy:   {args.output / 'curves.png'}\nconfusion matrix:    {args.output / 'confusion.png'}")
    print(f"confident mistakes:  {mistakes}\nthe network:         {args.output / 'network.png'}")

    accuracy = curves["accuracy in %"]["test"][-1]
    if accuracy < wanted:
        return f"expected a test accuracy of at least {wanted} %, got {accuracy:.2f} %"
    return 0


if __name__ == "__main__":
    sys.exit(main())
