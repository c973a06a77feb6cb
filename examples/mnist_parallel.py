"""Softmax regression on MNIST by several processes, each with its share of every batch.

    mpiexec -n 2 python examples/mnist_parallel.py
    mpiexec -n 4 python examples/mnist_parallel.py --resume       # goes on with what 2 have saved
    python examples/mnist_parallel.py                             # one process trains alone, with the same program

Read `train` beside that of mnist_softmax.py: the `group` in the loader and `broadcast` are all that is new, and every
process runs every line. With any number of processes the numbers are those of one, but for rounding. The status is 1 if
the accuracy on the test images is not reached.
"""

import argparse
import os
import pathlib
import sys
import time

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # before NumPy is imported: the processes share the cores

import tinygrad_sm as tg
from tinygrad_sm import nn
from tinygrad_sm.datasets import DataLoader, mnist, scaled_mnist


def train(group, model, training, test, *, epochs, batch_size, lr=0.4, seed=0, checkpoint=None, resume=False):
    """Train, and return the accuracy on the test images, in percent; rank 0 prints a line for each epoch.

    It saves itself in the checkpoint at the end of each epoch: rank 0 writes the file, and the others wait until it is
    there. With `resume` it goes on from that file, if there is one, with any number of processes.
    """
    optimizer = nn.optim.SGD(model.parameters(), lr=lr, momentum=0.9, weight_decay=1e-5)
    loss_function = nn.CrossEntropyLoss()
    loader = DataLoader(training, batch_size, shuffle=True, seed=seed, transform=scaled_mnist, group=group)
    all_of_test = DataLoader(test, len(test.labels), group=group)  # one batch
    group.broadcast(model, optimizer)  # of rank 0: the others may have begun with other numbers
    if resume and checkpoint.exists():
        loader.load_state_dict(nn.load(checkpoint, model, optimizer)["loader"])
    accuracy = evaluate(group, model, all_of_test)
    while loader.epoch < epochs:
        optimizer.lr = lr * (1 - loader.epoch / epochs)
        start, losses = time.perf_counter(), []
        for images, labels in loader:
            loss = loss_function(model(images), labels)
            optimizer.zero_grad()
            loss.backward()  # sums the gradients of all processes
            optimizer.step()  # which is the same in all
            losses.append(group.mean(loss))
        seconds = time.perf_counter() - start
        accuracy = evaluate(group, model, all_of_test)
        if group.rank == 0:
            print(
                f"epoch {loader.epoch:2}  train loss {sum(losses) / len(losses):.4f}  test accuracy {accuracy:.2f} %  "
                f"{len(training.labels) / seconds:,.0f} images/s",
                flush=True,
            )
        if checkpoint:
            nn.save(checkpoint, model, optimizer, loader=loader.state_dict())
    return accuracy


def evaluate(group, model, test):
    """Return the percentage of the test images that are given the right label; each process looks at its share."""
    ((images, labels),) = test
    with tg.no_grad():
        return 100 * group.mean((model(images).argmax(axis=1) == labels).mean())


def main():
    """Train as one of the processes; return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("--epochs", type=int, default=20, help="how often to go through the training images")
    add("--batch-size", type=int, default=512, help="images per step, in all processes together")
    add("--train-size", type=int, default=60_000, help="how many images to train with, the first")
    add("--seed", type=int, default=0, help="seed of the first weights and of the order of the images")
    add("--output", type=pathlib.Path, default="runs/mnist_parallel", help="folder for the checkpoint")
    add("--resume", action="store_true", help="go on with the training in --output, or start if there is none")
    add("--min-accuracy", type=float, default=0.0, help="exit with status 1 below it, in percent")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)

    tg.keep_freed_memory()
    group = tg.parallel.Group()
    training, n = mnist("train", scale=None), args.train_size
    training = training._replace(images=training.images[:n], labels=training.labels[:n])
    tg.manual_seed(args.seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    options = {name: getattr(args, name) for name in ("epochs", "batch_size", "seed", "resume")}
    checkpoint = args.output / "checkpoint.safetensors"
    accuracy = train(group, model, training, mnist("test"), checkpoint=checkpoint, **options)
    if group.rank == 0:
        print(f"test accuracy, by {group.size} processes: {accuracy:.2f} %\nthe checkpoint: {checkpoint}")
    if accuracy < args.min_accuracy:
        if group.rank == 0:
            print(f"the test accuracy is below the {args.min_accuracy} % that --min-accuracy asks for", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
