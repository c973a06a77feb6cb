"""Choose the defaults of mnist_softmax.py by validation, without the test set.

    python examples/choose_defaults.py

Each choice trains on the first 50,000 training images, with several seeds, and is judged by the other 10,000. The table
begins with the smallest mean loss: where two accuracies differ by chance, the loss still tells the choices apart.
"""

import argparse
import functools
import itertools

import numpy as np
from mnist_softmax import mnist, number, tqdm, train

N = 50_000  # training images that train
STEPS = {"unit": (1.0, 2.0, 4.0), "center": (0.5, 1.0, 2.0), "standard": (0.1, 0.2, 0.4)}
"""The values of lr / (1 - momentum) to try with each scale: what the first learning rate amounts to in the long run.

The greater the mean square of the pixels is, the smaller the steps must be.
"""
MOMENTUM = 0.9
CHOICES = [
    (
        scale,
        {
            "epochs": epochs,
            "batch_size": batch_size,
            "lr": round(step * (1 - MOMENTUM), 6),
            "momentum": MOMENTUM,
            "weight_decay": decay,
        },
    )
    for scale, steps in STEPS.items()
    for epochs, batch_size, step, decay in itertools.product((20, 30), (256, 512), steps, (1e-5, 1e-4))
]


@functools.lru_cache(maxsize=1)
def split(scale, train_size):
    """Return the training images to train with, and those to judge by."""
    dataset = mnist("train", scale)
    training = dataset._replace(images=dataset.images[:train_size], labels=dataset.labels[:train_size])
    return training, dataset._replace(images=dataset.images[N:], labels=dataset.labels[N:])


def main():
    """Train every choice with every seed, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("--seeds", type=number(int, 1), default=3, help="how many seeds to train each choice with")
    add("--epochs", type=number(int, 1), default=None, help="length of all runs, to be quick; by default, two lengths")
    add("--train-size", type=number(int, 1, N), default=N, help="how many of the images to train with, the first")
    add("--rows", type=number(int, 1), default=20, help="how many rows of the table to print")
    args = parser.parse_args()

    table = []
    for scale, options in tqdm(CHOICES, unit="choice", disable=None):
        if args.epochs is not None:
            options = options | {"epochs": args.epochs}
        ends = [
            train(*split(scale, args.train_size), **options, seed=seed, quiet=True)[1][-1] for seed in range(args.seeds)
        ]
        judged = np.array([(end.test_loss, end.test_accuracy) for end in ends])
        (loss, accuracy), (loss_spread, accuracy_spread) = judged.mean(axis=0), judged.std(axis=0)
        row = f"{loss:.4f} ± {loss_spread:.4f}  {accuracy:.2f} ± {accuracy_spread:.2f} %  {scale:8}"
        table.append((loss, row + "".join(f"  {value:>12g}" for value in options.values())))

    print(f"{'loss':17}{'accuracy':17}{'scale':8}" + "".join(f"  {name:>12}" for name in options))
    for _, row in sorted(table)[: args.rows]:
        print(row)


if __name__ == "__main__":
    main()
