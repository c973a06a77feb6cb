"""Images of clothes instead of digits: softmax regression, and a network with one hidden layer, on Fashion-MNIST.

    python examples/fashion_mnist.py

Digits are drawn to be told apart; a shirt, a coat and a pullover are not. So the same two models that reach 92.6 % and
98 % on MNIST reach about 84 % and 89 % here, and the confusion matrix shows which classes look alike.

The images, 30 MB, are downloaded on first use. If they are not available, as without a network, the program says how to
get them and ends with the status 3. It ends with the status 1 if an accuracy is not reached.
"""

import argparse
import pathlib
import sys

import pictures
from mnist_mlp import predict, train
from mnist_softmax import number

import tinygrad_sm as tg
from tinygrad_sm import nn
from tinygrad_sm.datasets import fashion_mnist

NO_DATA = 3
"""The exit status if the images are not available."""


def models():
    """Return new models by name, each with the accuracy, in percent, that it must reach."""
    tg.manual_seed(0)
    return {
        "softmax regression": (nn.Sequential(nn.Flatten(), nn.Linear(784, 10)), 82.0),
        "one hidden layer": (nn.Sequential(nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10)), 86.0),
    }


def main():
    """Train both models, compare them, draw; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--epochs", type=number(int, 1), default=10, help="how often to go through the training images")
    parser.add_argument("--output", type=pathlib.Path, default="runs/fashion_mnist", help="folder for the pictures")
    args = parser.parse_args()
    output = args.output
    try:
        training, test = fashion_mnist("train"), fashion_mnist("test")
    except tg.DatasetError as error:
        print(f"Fashion-MNIST is not here, and could not be fetched.\n{error}", file=sys.stderr)
        return NO_DATA
    images, labels, classes = test
    first = [int((training.labels == c).argmax()) for c in range(len(classes))]
    title = "One image of each class"
    pictures.image_grid(output / "classes.png", training.images[first, 0], classes, title, columns=5)

    panels, reached = {"loss": {}, "accuracy in %": {}}, {}
    for name, (model, wanted) in models().items():
        print(f"{name}: {sum(parameter.size for parameter in model.parameters()):,} parameters")
        curves = train(model, training, test, args.epochs)
        for quantity, panel in panels.items():
            panel |= {f"{name}, {split}": values for split, values in curves[quantity].items()}
        reached[name] = curves["accuracy in %"]["test"][-1]
        if reached[name] < wanted:
            return f"{name}: expected a test accuracy of at least {wanted} %, got {reached[name]:.2f} %"
    of_linear, of_network = reached.values()
    if not of_linear < of_network:
        return f"expected the hidden layer to help, got {of_linear:.2f} % without it and {of_network:.2f} % with it"

    probabilities = tg.softmax(predict(model, images), axis=1)  # of the last model, the network
    title = "Fashion-MNIST; training values are means over an epoch"
    pictures.curves(output / "curves.png", panels, title)
    title = "Which clothes the network takes for which"
    pictures.confusion_matrix(output / "confusion.png", labels, probabilities.argmax(axis=1), classes, title)
    title = "The network's most confident mistakes"
    pictures.confident_mistakes(output / "mistakes.png", images[:, 0], labels, probabilities, classes, title)
    print(f"the classes:         {output / 'classes.png'}\nloss and accuracy:   {output / 'curves.png'}")
    print(f"confusion matrix:    {output / 'confusion.png'}\nconfident mistakes:  {output / 'mistakes.png'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
