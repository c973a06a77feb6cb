"""Drawings of networks, and of the numbers in them: names and arrays in, a PNG file out.

    network("network.png", [["x₁", "x₂"], ["z₁", "z₂"], ["a₁", "a₂"]], title="Softmax regression")

The symbols are those of docs/layouts.md: features x, hidden units q, net inputs z, probabilities a, and labels y.
"""

import collections
import itertools
import re
import sys

import numpy as np
import pictures

try:
    from matplotlib import colormaps
    from matplotlib.patches import Circle, FancyBboxPatch, Rectangle
except ModuleNotFoundError as error:
    sys.exit(f'{error.name} is missing: install what the examples need with  pip install "tinygrad_sm[examples]"')

DOTS = "⋮"
INK, PAPER, OUTPUT, BOX, EDGE = "#F0F0F0", "#FFFFFF", "#CDE7DE", "#FBE3D6", "#D55E00"


def network(path, layers, title, output="softmax"):
    """Draw a network from left to right: a circle for each node, a line for each weight between two layers.

    layers : the names of the nodes of each layer, from the inputs to the outputs. The name "⋮" stands for nodes that
        are left out. What stands behind a "_" is written as an index: "q_U".
    output : how the last layer comes from as many net inputs in the layer before. With "softmax" ONE box stands between
        the two, which all net inputs enter together; with "sigmoid" each has a box of its own. The arrows into a box
        and out of it are not weights. With None the last layer has weights like the others.
    """
    if output and (len(layers) < 3 or len(layers[-1]) != len(layers[-2])):
        sizes = [len(layer) for layer in layers]
        raise ValueError(
            f"network: expected inputs, ..., net inputs and as many probabilities, got layers of {sizes} nodes: add "
            "the probabilities as the last layer, or say output=None"
        )
    gap, radius, tallest = 2.2, 0.36, max(map(len, layers))
    width = gap * (len(layers) - 1) + 1.2
    figure = pictures.new_figure(max(1.1 * width, 5), 1.1 * tallest + 0.7, title)
    axes = figure.subplots()
    places = [[(gap * i, (len(layer) - 1) / 2 - j) for j in range(len(layer))] for i, layer in enumerate(layers)]
    for i in range(len(layers) - 2 if output else len(layers) - 1):
        for (start, a), (end, b) in itertools.product(
            zip(places[i], layers[i], strict=True), zip(places[i + 1], layers[i + 1], strict=True)
        ):
            if DOTS not in (a, b):
                axes.plot(*zip(start, end, strict=True), color="0.55", linewidth=0.9, zorder=1)
    if output:
        joined = [y for name, (_, y) in zip(layers[-1], places[-1], strict=True) if name != DOTS]
        ends = {"start": places[-2][0][0] + radius, "end": places[-1][0][0] - radius}
        for ys in [joined] if output == "softmax" else [[y] for y in joined]:
            _draw_box(axes, ys, "softmax" if output == "softmax" else "σ", **ends)
    colors = [INK, *[PAPER] * (len(layers) - 2), OUTPUT]
    for layer, spots, color in zip(layers, places, colors, strict=True):
        for name, spot in zip(layer, spots, strict=True):
            if name == DOTS:
                axes.text(*spot, name, ha="center", va="center", fontsize=18)
            else:
                _draw_node(axes, spot, name, color, radius)
    axes.set(xlim=(-0.6, width - 0.6), ylim=(-tallest / 2, tallest / 2), aspect="equal")
    axes.set_axis_off()
    pictures.save(figure, path)


def gradient_paths(path, layers, values, paths, sums, title):
    """Draw softmax regression with its numbers, and on it every path from the loss back to one weight.

    layers : the names of the inputs, of the net inputs and of the probabilities. The loss, "L", is drawn behind them.
    values : the number of each node by its name.
    paths : {name: steps} of the paths, each step (from, to, factor, number): ("L", "a₁", "∂L/∂a₁ = −y₁/a₁", −1.5).
    sums : lines of text below: the product of each path, in its order and its colour, then what they add up to.
    """
    x_of, radius, spread = (0.0, 4.2, 8.6), 0.42, 2.4
    places = {"L": (12.4, 0.0)}
    for x, layer in zip(x_of, layers, strict=True):
        places |= {name: (x, spread * ((len(layer) - 1) / 2 - j)) for j, name in enumerate(layer)}
    tallest = spread * (max(map(len, layers)) - 1) / 2 + 0.9
    bottom = -tallest - 0.5 * (len(sums) - 1)
    figure = pictures.new_figure(0.85 * 13.6, 0.85 * (tallest - bottom + 0.4), title)
    axes = figure.subplots()
    edges = [*itertools.product(layers[0], layers[1]), *((name, "L") for name in layers[2])]
    for start, end in edges:
        axes.plot(*zip(places[start], places[end], strict=True), color="0.75", linewidth=0.9, zorder=1)
    _draw_box(axes, [places[name][1] for name in layers[2]], "", x_of[1] + radius, x_of[2] - radius, half=1.55)
    axes.text((x_of[1] + x_of[2]) / 2, tallest - 0.3, "softmax", ha="center", va="center", fontsize=12, zorder=4)
    for layer, color in zip([*layers, ["L"]], [INK, PAPER, OUTPUT, PAPER], strict=True):
        for name in layer:
            _draw_node(axes, places[name], f"{name}\n{rounded(values[name])}", color, radius)
    shared = collections.Counter(step[:2] for steps in paths.values() for step in steps)
    for i, (steps, (color, style)) in enumerate(zip(paths.values(), pictures.STYLES, strict=False)):
        for start, end, factor, number in steps:
            is_shared = shared[start, end] > 1
            shift = 0.07 * (2 * i - len(paths) + 1) if is_shared else 0  # so that no arrow hides another
            goal, margin = places[end], radius
            if end in layers[0]:  # the path ends at a weight, which stands in the middle of its line
                goal, margin = np.add(places[start], places[end]) / 2, 1.55 * radius
            middle = _draw_step(axes, places[start], goal, (radius, margin), shift, color, style[1:])
            middle = goal if end in layers[0] else middle
            if i == 0 or not is_shared:
                ink = "black" if is_shared else color
                around = {"facecolor": "white", "edgecolor": ink, "boxstyle": "round,pad=0.25", "linewidth": 0.6}
                text = f"{factor}\n= {rounded(number)}"
                axes.text(*middle, text, ha="center", va="center", fontsize=9.5, color=ink, bbox=around, zorder=6)
    colors = [*(color for color, _ in pictures.STYLES[: len(paths)]), *["black"] * len(sums)]
    for i, (line, color) in enumerate(zip(sums, colors, strict=False)):
        axes.text(-0.6, -tallest - 0.1 - 0.5 * i, line, va="center", fontsize=12, color=color)
    axes.set(xlim=(-0.7, 13.0), ylim=(bottom - 0.3, tallest + 0.1), aspect="equal")
    axes.set_axis_off()
    pictures.save(figure, path)


def equation(path, parts, title):
    """Draw a computation with all its numbers: matrices as tables of shaded cells, and between them what is done.

    parts : from left to right; a text such as "+", or (name, matrix, names of the rows, names of the columns, colours).
        The names can be empty. The colours are "grey", white where 1 and black where 0, or "signs", red where positive
        and blue where negative, on one scale.
    """
    largest = max(np.abs(part[1]).max() for part in parts if not isinstance(part, str) and part[4] == "signs")
    tallest = max(len(part[1]) for part in parts if not isinstance(part, str))
    figure = pictures.new_figure(1, 1, "")
    axes, x = figure.subplots(), 0.0
    for part in parts:
        if isinstance(part, str):
            width = 0.45 + 0.16 * max(map(len, part.split("\n")))
            axes.text(x + width / 2, 0, part, ha="center", va="center", fontsize=13)
            x += width
            continue
        name, matrix, rows, columns, colours = part
        shades = colormaps["gray"](matrix) if colours == "grey" else colormaps["RdBu_r"](0.5 + matrix / (3 * largest))
        x += 0.13 * max([1, *map(len, rows)])
        top = len(matrix) / 2
        for (i, j), number in np.ndenumerate(matrix):
            axes.add_patch(Rectangle((x + j, top - i - 1), 1, 1, facecolor=shades[i, j], edgecolor="0.6"))
            color = pictures.legible(shades[i, j])
            axes.text(x + j + 0.5, top - i - 0.5, rounded(number, 2), ha="center", va="center", color=color)
        for i, row in enumerate(rows):
            axes.text(x - 0.1, top - i - 0.5, row, ha="right", va="center")
        for j, column in enumerate(columns):
            axes.text(x + j + 0.5, top + 0.12, column, ha="center", va="bottom")
        axes.text(x + matrix.shape[1] / 2, -top - 0.15, name, ha="center", va="top", fontsize=12)
        x += matrix.shape[1]
    axes.set(xlim=(-0.1, x + 0.2), ylim=(-tallest / 2 - 0.7, tallest / 2 + 0.6), aspect="equal")
    axes.set_axis_off()
    figure.set_size_inches(0.72 * (x + 0.3), 0.72 * (tallest + 1.3) + 0.5)
    figure.suptitle(title)
    pictures.save(figure, path)


def rows_of_an_image(path, image, rows, title):
    """Draw an image with some of its rows marked, the vector of all its rows, and in it the pieces that these rows are.

    rows : the number of each row to mark, by the name of its colour, in the order of the image.
    """
    height, width = image.shape
    figure = pictures.new_figure(12, 4.6, title)
    grid = figure.add_gridspec(2, 2, width_ratios=[1, 2.4])
    whole, vector, pieces = (figure.add_subplot(place) for place in (grid[:, 0], grid[0, 1], grid[1, 1]))
    options = {"cmap": "gray_r", "vmin": 0, "vmax": image.max()}
    whole.imshow(image, **options)
    whole.set(xlabel=f"{height} rows of {width} pixels", xticks=[], yticks=list(rows.values()))
    whole.set_yticklabels([f"row {row}" for row in rows.values()])
    x, first, last = image.reshape(1, -1), min(rows.values()), max(rows.values()) + 1
    vector.imshow(x, aspect="auto", extent=(-0.5, x.size - 0.5, 0, 1), **options)
    vector.set(title=f"all rows, one after the other: x, a vector of {x.size} features")
    pieces.imshow(image[first:last].reshape(1, -1), aspect="auto", **options)
    pieces.images[0].set_extent((first * width - 0.5, last * width - 0.5, 0, 1))
    pieces.set(title="the same, only where the marked rows are", xlabel=f"feature {width} · row + column")
    for axes, start, end in ((vector, 0, x.size), (pieces, first * width, last * width)):
        axes.set(
            yticks=[], ylim=(-0.3, 1.03), xlim=(start - 0.5 - 0.004 * (end - start), end - 0.5 + 0.004 * (end - start))
        )
        axes.spines[:].set_visible(False)
    for name, row in rows.items():
        color, start = pictures.NAMED[name][0], row * width
        mark = {"facecolor": "none", "edgecolor": color, "linewidth": 2.5}
        whole.add_patch(Rectangle((-0.5, row - 0.5), width, 1, **mark))
        whole.get_yticklabels()[list(rows).index(name)].set(color=color, fontweight="bold")
        for axes in (vector, pieces):
            axes.add_patch(Rectangle((start - 0.5, 0), width, 1, **mark))
        pieces.text(start + width / 2 - 0.5, -0.17, f"row {row}, {name}", ha="center", va="center", color=color)
    vector.text((first + last) / 2 * width, -0.17, "the marked rows", ha="center", va="center")
    pieces.set_xticks([row * width for row in range(first, last + 1)])
    pictures.save(figure, path)


def _draw_step(axes, start, end, margins, shift, color, linestyle):
    """Draw an arrow, shifted to its left, that keeps away from its ends; return the point in its middle."""
    start, end = np.array(start), np.array(end)
    along = (end - start) / np.hypot(*(end - start))
    across = shift * np.array([-along[1], along[0]])
    start, end = start + margins[0] * along + across, end - margins[1] * along + across
    arrow = {"arrowstyle": "-|>", "color": color, "linewidth": 2, "linestyle": linestyle, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", end, start, arrowprops=arrow, zorder=5)
    return (start + end) / 2


def _draw_node(axes, place, text, color, radius):
    """Draw a circle with the text in it."""
    axes.add_patch(Circle(place, radius, facecolor=color, edgecolor="black", linewidth=1.1, zorder=3))
    typeset = re.sub(r"(\w)_(\w+)", r"$\\mathregular{\1_{\2}}$", text)
    size = 10 if "\n" in text else 12 if len(text) < 5 else 8
    axes.text(*place, typeset, ha="center", va="center", fontsize=size, linespacing=1.3, zorder=4)


def _draw_box(axes, ys, text, start, end, half=0.26):
    """Draw a box with arrows into it and out of it at the heights ys, from the highest down."""
    middle = (start + end) / 2
    bottom, top = ys[-1] - 0.3, ys[0] + 0.3
    box = FancyBboxPatch((middle - half, bottom), 2 * half, top - bottom, "round,pad=0,rounding_size=0.1", zorder=2)
    box.set(facecolor=BOX, edgecolor=EDGE, linewidth=1.4)
    axes.add_patch(box)
    rotation = 90 if len(text) > 1 else 0
    axes.text(middle, (bottom + top) / 2, text, rotation=rotation, ha="center", va="center", fontsize=12, zorder=4)
    arrow = {"arrowstyle": "-|>", "color": EDGE, "linewidth": 0.9}
    for y in ys:
        axes.annotate("", (middle - half, y), (start, y), arrowprops=arrow)
        axes.annotate("", (end, y), (middle + half, y), arrowprops=arrow)


def rounded(number, digits=3):
    """Return the number with so many digits behind the point, but whole numbers without."""
    text = f"{number:.{digits}f}" if number != round(number) else f"{number:.0f}"
    return text.replace("-", "−")
