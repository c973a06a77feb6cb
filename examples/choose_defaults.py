"""Choose the defaults of mnist_softmax.py by validation: the test set has no say in them.

    python examples/choose_defaults.py

Each choice trains on the first 50,000 training images, with several seeds, and is judged by the other 10,000. The table
begins with the smallest mean loss: where two accuracies differ by chance, the loss still tells the choices apart. As
the learning rate is constant, a long run has the shorter ones in it, so that the number of epochs costs nothing to try.
"""

import argparse
import functools
import itertools
import math

import numpy as np
from mnist_softmax import mnist, number, tqdm, train

N = 50_000  # training images that train
STEPS = {"unit": (0.5, 1.0, 2.0), "center": (0.25, 0.5, 1.0), "standard": (0.05, 0.1, 0.2)}
"""The values of lr / (1 - momentum) to try with each scale: what the learning rate amounts to in the long run.

The greater the mean square of the pixels is, the smaller the steps must be.
"""
CHOICES = [
    (scale, {"batch_size": size, "lr": round(step * (1 - momentum), 6), "momentum": momentum, "weight_decay": decay})
    for scale, steps in STEPS.items()
    for size, step, momentum, decay in itertools.product((256, 1024), steps, (0.0, 0.9), (1e-5, 1e-4))
]


@functools.lru_cache(maxsize=1)
def split(scale, train_size):
    """Return the training images that train, and those that judge."""
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
    add("--epochs", type=number(int, 1), default=90, help="length of the runs")
    add("--train-size", type=number(int, 1, N), default=N, help="how many of the images to train with, the first")
    add("--rows", type=number(int, 1), default=20, help="how many rows of the table to print")
    args = parser.parse_args()

    table = []
    for scale, options in tqdm(CHOICES, unit="choice", disable=None):
        histories = [
            train(*split(scale, args.train_size), epochs=args.epochs, **options, seed=seed, quiet=True)[1]
            for seed in range(args.seeds)
        ]
        judged = np.array([[(epoch.test_loss, epoch.test_accuracy) for epoch in history] for history in histories])
        means, spreads = judged.mean(axis=0), judged.std(axis=0)  # over the seeds, for each epoch
        for epochs in sorted({math.ceil(args.epochs * part / 3) for part in (1, 2, 3)}):
            (loss, accuracy), (loss_spread, accuracy_spread) = means[epochs - 1], spreads[epochs - 1]
            row = f"{loss:.4f} ± {loss_spread:.4f}  {accuracy:.2f} ± {accuracy_spread:.2f} %  {scale:8}  {epochs:6}"
            table.append((loss, row + "".join(f"  {value:>12g}" for value in options.values())))

    print("loss             accuracy         scale     epochs    batch size            lr      momentum  weight decay")
    for _, row in sorted(table)[: args.rows]:
        print(row)


if __name__ == "__main__":
    main()
