"""Pictures of what was learned: arrays in, a PNG file out.

    curves("curves.png", {"loss": {"training": [0.9, 0.5], "test": [0.8, 0.6]}}, title="Softmax regression on MNIST")

The figures are made as objects, without pyplot, so that no screen is needed and none of them stays open. The
colour-blind can tell the colours apart, and no two curves differ by their colour alone.
"""

import itertools

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

STYLES = (("#0072B2", "o-"), ("#D55E00", "s--"), ("#009E73", "^:"), ("#CC79A7", "D-."))  # colours of Okabe and Ito
DPI = 120


def curves(path, panels, title, xlabel="epoch"):
    """Draw one panel for each quantity, with its curves over the epochs 1, 2, ...

    panels : what stands at each vertical axis, with the curves of that panel by name: {"loss": {"training": [...]}}
    """
    names = dict.fromkeys(name for series in panels.values() for name in series)
    styles = dict(zip(names, itertools.cycle(STYLES)))  # a name looks the same in all panels
    figure = Figure(figsize=(5 * len(panels), 3.8), layout="constrained")
    figure.suptitle(title)
    for axes, (ylabel, series) in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels.items(), strict=True):
        for name, values in series.items():
            color, style = styles[name]
            epochs, every = range(1, len(values) + 1), -(-len(values) // 20)
            axes.plot(epochs, values, style, color=color, markersize=4, markevery=every, linewidth=1.2, label=name)
        axes.set(xlabel=xlabel, ylabel=ylabel)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
        axes.grid(alpha=0.3)
        axes.legend()
    figure.savefig(path, dpi=DPI)


def weight_images(path, weights, classes, title, columns=5):
    """Draw the weights of each class as an image: red where they are positive, white at 0, blue where negative.

    weights : shape (C, H, W).
    """
    # The scale goes equally far to both sides, so that white is 0, and leaves it to the arrows at its ends to stand for
    # the largest few weights: they would make all others pale.
    end = np.quantile(np.abs(weights), 0.995, method="higher")
    figure, shown = _image_grid(weights, classes, title, columns, cmap="RdBu_r", vmin=-end, vmax=end)
    figure.colorbar(shown, ax=figure.axes, label="weight", shrink=0.9, extend="both")
    figure.savefig(path, dpi=DPI)


def confusion_matrix(path, labels, predicted, classes, title):
    """Draw a table that counts how often each class was taken for each other, the darker the more often.

    labels, predicted : the true and the predicted classes, integers 0..C−1, shape (N,).
    """
    C = len(classes)
    counts = np.bincount(C * labels + predicted, minlength=C * C).reshape(C, C)
    shade = np.cbrt(counts / counts.max())  # the root makes a few mistakes differ from none
    figure = Figure(figsize=(0.62 * C + 1, 0.62 * C + 0.8), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shade, cmap="Blues", vmin=0, vmax=1.15)
    for (row, column), count in np.ndenumerate(counts):
        color = "white" if shade[row, column] > 0.7 else "0.7" if count == 0 else "black"
        axes.text(column, row, count, ha="center", va="center", color=color)
    axes.set(title=title, xlabel="predicted class", ylabel="true class")
    axes.set_xticks(range(C), classes, rotation=45 if _are_long(classes) else 0)
    axes.set_yticks(range(C), classes)
    figure.savefig(path, dpi=DPI)


def confident_mistakes(path, images, labels, probabilities, classes, title, rows=4, columns=6):
    """Draw the images that were given a wrong class with the highest probability.

    images : shape (N, H, W).  labels : the true classes, shape (N,).  probabilities : of each class, shape (N, C).
    """
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wrong = np.flatnonzero(predicted != labels)
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")][: rows * columns]
    comma = ",\n" if _are_long(classes) else ", "
    captions = [
        f"true {classes[labels[i]]}{comma}said {classes[predicted[i]]}, {100 * confidence[i]:.1f} %" for i in worst
    ]
    figure, _ = _image_grid(images[worst], captions, title if len(worst) else f"{title}: none", columns, cmap="gray_r")
    figure.savefig(path, dpi=DPI)


def _image_grid(images, captions, title, columns, **options):
    """Return a figure of images in rows, each under its caption, and the last image, which has the scale of all."""
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(1.85 * columns, 2.05 * rows + 0.5), layout="constrained")
    figure.suptitle(title)
    shown = None
    for place, (image, caption) in enumerate(zip(images, captions, strict=True), start=1):
        axes = figure.add_subplot(rows, columns, place)
        axes.set_title(caption, fontsize=9 if len(caption) > 10 else 12)
        axes.set_axis_off()
        shown = axes.imshow(image, **options)
    return figure, shown


def _are_long(names):
    return max(map(len, names)) > 3
