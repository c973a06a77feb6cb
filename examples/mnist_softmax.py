"""Softmax regression on MNIST: train it, test it, and draw what it has learned.

    python examples/mnist_softmax.py

For each of the ten digits the model adds up the 784 pixels of an image, each times a weight of its own, and the softmax
turns the ten sums into probabilities. Read `train` first: it is the whole of learning. The rest of the file reads the
command line and shows the result.
"""

import argparse
import contextlib
import functools
import math
import os
import pathlib
import stat
import sys
import tempfile
import time
from typing import NamedTuple

INTERRUPTED = "interrupted: the same command with --resume goes on from the last epoch that was saved"

try:
    import numpy as np
    import pictures
    from threadpoolctl import threadpool_limits
    from tqdm import tqdm

    import tinygrad_sm as tg
    from tinygrad_sm import nn
    from tinygrad_sm.datasets import DataLoader, mnist, scaled_mnist
    from tinygrad_sm.locks import lock_within
except ModuleNotFoundError as error:
    sys.exit(f'{error.name} is missing: install what the examples need with  pip install "tinygrad_sm[examples]"')
except KeyboardInterrupt:
    print(INTERRUPTED, file=sys.stderr)
    sys.exit(130)


CHECKPOINT, MODEL, LOCK = "checkpoint.safetensors", "model.safetensors", ".running"

THREADS = 1
"""The threads of the BLAS. The products of a batch are so small that two threads gain nothing, and at the end of each
product one waits for the other. On two cores an epoch took 0.05 s with one thread, and 0.06 with two. With a busy
process on the second core it still took 0.05 s with one, and from 0.1 to 2 with two."""


class Epoch(NamedTuple):
    """The results of an epoch. Those of the training are means over its batches, while the model was learning."""

    train_loss: float
    test_loss: float
    test_accuracy: float  # in percent
    images_per_second: float  # while training
    train_accuracy: float = math.nan  # in percent; files of older versions do not have it


def train(
    training,
    test,
    *,
    epochs,
    batch_size,
    lr,
    momentum,
    weight_decay,
    seed,
    transform=None,
    device="cpu",
    compiled=False,
    quiet=False,
    checkpoint=None,
    resume=False,
    settings=None,
):
    """Train a new model, test it after each epoch, and return it with the list of Epochs.

    The `transform` is applied to the images of each training batch. Nothing in the loop over the batches makes the host
    wait for a GPU: the results stay there until the epoch is over. A `compiled` step computes the same, bit for bit.

    With a `checkpoint`, the path of a file, the training saves itself there at the end of epochs, at most once a
    second. With `resume` it goes on from that file, if there is one. The file must have been saved with the same
    `settings`. Until a training first saves itself, the file of an older one stays.
    """
    tg.manual_seed(seed)
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10)).to(device)
    loss_function = nn.CrossEntropyLoss()
    optimizer = nn.optim.SGD(model.parameters(), lr=lr, momentum=momentum, weight_decay=weight_decay)
    loader = DataLoader(training, batch_size, shuffle=True, seed=seed, device=device, transform=transform)
    test = tg.Tensor(test.images, device=device), test.labels

    def step(images, labels):
        logits = model(images)
        loss = loss_function(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach(), tg.Tensor(logits.argmax(axis=1) == labels).mean()

    step = tg.compiled(step) if compiled else step
    history = []
    if resume and checkpoint.exists():
        history = load_checkpoint(checkpoint, model, optimizer, settings)
        loader.epoch = len(history)  # the order of an epoch depends on its number and the seed alone
    saved = time.perf_counter()
    bar = tqdm(total=epochs * len(loader), unit="batch", leave=False, disable=quiet or None)  # None: if no terminal
    bar.update(len(history) * len(loader))
    for epoch in range(len(history) + 1, epochs + 1):
        start = time.perf_counter()
        results, sizes = [], []
        optimizer.lr = lr * (1 - (epoch - 1) / epochs)  # the smaller the last steps, the less their noise shows
        for images, labels in loader:
            results.append(step(images, labels))
            sizes.append(len(labels))
            bar.update()
        losses, shares = (tg.stack(column).numpy() for column in zip(*results, strict=True))
        train_loss, train_share = np.average([losses, shares], axis=1, weights=sizes).tolist()
        seconds = time.perf_counter() - start

        test_loss, test_accuracy = evaluate(model, *test)
        if not math.isfinite(train_loss + test_loss):
            raise FloatingPointError(
                f"the training diverged in epoch {epoch}: loss {train_loss}, on the test {test_loss}"
            )
        images_per_second = len(training.labels) / seconds
        history.append(Epoch(train_loss, test_loss, test_accuracy, images_per_second, 100 * train_share))
        if not quiet:
            tqdm.write(
                f"epoch {epoch:2}  train loss {train_loss:.4f}  test loss {test_loss:.4f}  "
                f"test accuracy {test_accuracy:.2f} %  {images_per_second:,.0f} images/s"
            )
        if checkpoint and (epoch == epochs or time.perf_counter() - saved > 1):
            nn.save(checkpoint, model, optimizer, history=[tuple(row) for row in history], settings=settings)
            saved = time.perf_counter()
    bar.close()
    return model, history


def load_checkpoint(path, model, optimizer, settings):
    """Load model and optimizer, if they were saved with the same settings, and return the list of Epochs."""
    extra = nn.load(path, model)  # without the optimizer: a run with other settings is refused, not warned about
    then = {"threads": settings.get("threads"), **extra.get("settings", {})}  # older versions did not save the threads
    differences = [f"{name} {then.get(name)}" for name, now in settings.items() if then.get(name) != now]
    if differences:
        raise tg.CheckpointError(
            f"{path} was saved with {', '.join(differences)}: give the same, or begin anew, without --resume or in "
            "another --output"
        )
    nn.load(path, model, optimizer)
    return [Epoch(*row) for row in extra["history"]]


def evaluate(model, images, labels):
    """Return the mean loss on images, and the percentage of them that are given the right label."""
    logits = predict(model, images)
    return nn.functional.cross_entropy(logits, labels).item(), 100 * nn.functional.accuracy(logits, labels)


def predict(model, images):
    """Return the logits of images, a NumPy array of shape (N, 10)."""
    with tg.no_grad():
        return model(images).numpy()


def write_results(folder, model, history, test, device):
    """Write the model and the pictures of what it has learned into the folder, and say where they are."""
    losses = {"training": [epoch.train_loss for epoch in history], "test": [epoch.test_loss for epoch in history]}
    accuracies = {
        "training": [epoch.train_accuracy for epoch in history],
        "test": [epoch.test_accuracy for epoch in history],
    }
    weights = model[1].weight.numpy().reshape(10, 28, 28)
    logits = predict(model, tg.Tensor(test.images, device=device))
    probabilities = nn.functional.softmax(logits, dim=1)
    images, labels, classes = test

    nn.save(folder / MODEL, model)
    title = "Softmax regression on MNIST; training values are means over an epoch"
    pictures.curves(folder / "curves.png", {"loss": losses, "accuracy in %": accuracies}, title)
    title = "Weights: ink on red speaks for the digit, ink on blue against it"
    pictures.weight_images(folder / "weights.png", weights, classes, title)
    title = "Confusion matrix of the test images"
    pictures.confusion_matrix(folder / "confusion.png", labels, logits.argmax(axis=1), classes, title)
    title = "The most confident mistakes on the test images"
    pictures.confident_mistakes(folder / "mistakes.png", images[:, 0], labels, probabilities, classes, title)

    print(f"the model:              {folder / MODEL}")
    print(f"loss and accuracy:      {folder / 'curves.png'}")
    print(f"weights of each digit:  {folder / 'weights.png'}")
    print(f"confusion matrix:       {folder / 'confusion.png'}")
    print(f"confident mistakes:     {folder / 'mistakes.png'}")


def number(kind, low, high=math.inf):
    """Return the argparse type of numbers, of kind int or float, from low to high and finite."""

    def parse(text):
        value = kind(text)
        if not low <= value <= high or value == math.inf:
            upper = "" if high == math.inf else f" and at most {high}"
            raise argparse.ArgumentTypeError(f"expected a number of at least {low}{upper}, got {text}")
        return value

    parse.__name__ = kind.__name__  # argparse's own message on what is no number: "invalid int value: 'x'"
    return parse


def available_device(text):
    """Return the name of an available device: an argparse type."""
    try:
        tg.zeros(1, device=text)
    except tg.DeviceError as error:
        raise argparse.ArgumentTypeError(error) from error
    return text


def parse_arguments():
    """Return the command line's options, and make the folder for the results."""
    parser = argparse.ArgumentParser(
        description="Train softmax regression on MNIST.", formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("--epochs", type=number(int, 1), default=20, help="how often to go through the training images")
    add("--batch-size", type=number(int, 1), default=512, help="images per step")
    add(
        "--lr",
        type=number(float, 0),
        default=0.4,
        help="first learning rate; it falls linearly towards 0, epoch by epoch",
    )
    add("--momentum", type=number(float, 0, 1), default=0.9, help="how much of its velocity a step keeps")
    add("--weight-decay", type=number(float, 0), default=1e-5, help="factor of the L2 penalty")
    add("--scale", choices=("unit", "center", "standard"), default="unit", help="what becomes of the pixels")
    add("--train-size", type=number(int, 1, 60_000), default=60_000, help="how many images to train with, the first")
    add("--seed", type=number(int, 0), default=0, help="seed of the first weights and of the order of the images")
    add("--device", type=available_device, default="cpu", help="where to compute")
    add("--threads", type=number(int, 1), default=THREADS, help="threads of the BLAS, which computes matrix products")
    add("--compiled", action="store_true", help="run the steps as a program that was recorded: the same bits, sooner")
    add("--output", type=pathlib.Path, default="runs/mnist_softmax", help="folder for the model and the pictures")
    add("--resume", action="store_true", help="go on with the training in --output, or start if there is none")
    add("--min-accuracy", type=number(float, 0, 100), default=0.0, help="exit with status 1 below it, in percent")
    args = parser.parse_args()
    try:
        args.output.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=args.output).close()  # fail now, not when the training is done
        for path in (args.output / CHECKPOINT, args.output / MODEL, args.output / LOCK):
            with contextlib.suppress(FileNotFoundError):
                if not stat.S_ISREG(os.stat(path).st_mode):  # which raises OSError for links in a circle
                    parser.error(f"argument --output: cannot write there: {path} is no file")
    except OSError as error:
        parser.error(f"argument --output: cannot write there: {error}")
    return args


@contextlib.contextmanager
def only_run_in(folder):
    """Keep other runs out of the folder, or raise TimeoutError if one is in it: it would replace the files of this one.

    The lock is gone with the process, however it ends; a file that it leaves behind locks nothing. Windows has no such
    locks.
    """
    path = folder / LOCK
    while True:
        with open(path, "ab") as file:
            is_locked = lock_within(file.fileno(), 0)
            # Another run may have ended after this one opened its file, and have removed the name.
            if is_locked and not (path.exists() and os.path.samestat(os.stat(path), os.fstat(file.fileno()))):
                continue
            try:
                yield
            finally:
                if is_locked:
                    path.unlink(missing_ok=True)
            return


def main():
    """Train, test, show; return the exit status."""
    try:
        args = parse_arguments()
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(only_run_in(args.output))
            except TimeoutError:
                return f"--output: another run is at work in {args.output}: wait for its end, or give another folder"
            stack.enter_context(threadpool_limits(args.threads, user_api="blas"))
            return run(args)
    except KeyboardInterrupt:
        tqdm.write(INTERRUPTED, file=sys.stderr)  # which first removes the bar
        return 130  # what shells report of a program that Ctrl-C has ended


def run(args):
    """Train, test, show, with the options from the command line; return the exit status."""
    tg.keep_freed_memory()
    training, test = mnist("train", scale=None), mnist("test", args.scale)
    n = args.train_size
    training = training._replace(images=training.images[:n], labels=training.labels[:n])
    names = ("epochs", "batch_size", "lr", "momentum", "weight_decay", "seed")
    settings = {name: getattr(args, name) for name in names}
    try:
        model, history = train(
            training,
            test,
            **settings,
            transform=functools.partial(scaled_mnist, scale=args.scale),
            device=args.device,
            compiled=args.compiled,
            checkpoint=args.output / CHECKPOINT,
            resume=args.resume,
            settings={**settings, "scale": args.scale, "train_size": n, "threads": args.threads},
        )
    except FloatingPointError as error:
        return f"{error}: try a smaller --lr"
    except tg.CheckpointError as error:
        return f"--resume: {error}"

    accuracy = history[-1].test_accuracy
    print(f"test accuracy: {accuracy:.2f} %")
    write_results(args.output, model, history, test, args.device)
    if accuracy < args.min_accuracy:
        return f"the test accuracy is below the {args.min_accuracy} % that --min-accuracy asks for"
    return 0


if __name__ == "__main__":
    sys.exit(main())
