"""Charts and images of data and of what was learned: arrays in, a PNG file out, its folder made if there is none.

    curves("curves.png", {"loss": {"training": [0.9, 0.5], "test": [0.8, 0.6]}}, title="Softmax regression on MNIST")

Networks and the numbers in them are drawn by `drawings.py`. The figures are made as objects, without pyplot, so that no
screen is needed and none of them stays open. The colour-blind can tell the colours apart, and nothing differs by its
colour alone. Panels that show the same quantity share one scale. All pictures have the symbols x, q, z, a and y of
docs/layouts.md.
"""

import itertools
import numbers
import pathlib
import sys
import textwrap

import numpy as np

try:
    from matplotlib.colors import to_rgb
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator
except ModuleNotFoundError as error:
    sys.exit(f'{error.name} is missing: install what the examples need with  pip install "tinygrad_sm[examples]"')

STYLES = (  # colours of Okabe and Ito
    ("#0072B2", "o-"),
    ("#D55E00", "s--"),
    ("#009E73", "^:"),
    ("#CC79A7", "D-."),
    ("#56B4E9", "v-"),
    ("#E69F00", "P--"),
    ("#000000", "X:"),
)
NAMED = {"blue": STYLES[0], "red": STYLES[1], "green": STYLES[2]}  # what bears the name of a colour looks like it
POSITIVE, NEGATIVE = "#0072B2", "#D55E00"
POINTS = " (points)"
DPI = 120


def curves(path, panels, title, xlabel="epoch", share=False):
    """Draw one panel for each quantity, with its curves over the epochs 1, 2, ...

    panels : the label of each vertical axis, with the curves of that panel by name: {"loss": {"training": [...]}}. A
        number in the place of a curve is what the curves are compared with: a line across the panel.
    share : all panels show the same quantity, and have one vertical scale.
    """
    numbered = {
        ylabel: {name: v if np.ndim(v) == 0 else (range(1, len(v) + 1), v) for name, v in series.items()}
        for ylabel, series in panels.items()
    }
    figure = _lines(numbered, title, xlabel, share)
    for axes in figure.axes:
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    save(figure, path)


def lines(path, panels, title, xlabel, log=(), share=False):
    """Draw one panel for each quantity, with its curves over any horizontal axis.

    panels : {label of the vertical axis: {name: (xs, ys)}}. A name that ends in " (points)" is drawn as dots, and a
        number in the place of (xs, ys) as a line across the panel.
    log : the labels of the vertical axes that are logarithmic.
    share : all panels show the same quantity, and have one vertical scale.
    """
    figure = _lines(panels, title, xlabel, share)
    for axes in figure.axes:
        axes.set_yscale("log" if axes.get_ylabel() in log else "linear")
    save(figure, path)


def _lines(panels, title, xlabel, share):
    names = [name for series in panels.values() for name in series]
    styles = _styles(sorted(names, key=lambda name: name.endswith(POINTS)))  # lines first: they get the plain styles
    figure, grid = _figure(len(panels), title, width=5, height=4)
    handles = {}
    for axes, (ylabel, series) in zip(grid, panels.items(), strict=True):
        for name, values in series.items():
            color, style = styles[name]
            label = name.removesuffix(POINTS)
            if isinstance(values, numbers.Real):  # a level, not a curve
                handles[label] = axes.axhline(values, color=color, linestyle=style[1:], zorder=1, label=label)
                continue
            xs, ys = values
            if name.endswith(POINTS):
                [handles[label]] = axes.plot(xs, ys, style[0], color=color, markersize=3, alpha=0.6, label=label)
            else:
                options = {"markersize": 4, "markevery": -(-len(ys) // 20), "linewidth": 1.2}
                [handles[label]] = axes.plot(xs, ys, style, color=color, label=label, **options)
        axes.set(xlabel=xlabel, ylabel=ylabel)
        axes.grid(alpha=0.3)
    if share:
        low, high = zip(*(axes.get_ylim() for axes in grid), strict=True)
        for axes in grid:
            axes.set_ylim(min(low), max(high))
    # Below the panels it lies over no line. An entry takes 0.7 inches, and 0.08 for each letter of its name.
    ncols = max(1, int(figure.get_figwidth() / (0.7 + 0.08 * max(map(len, handles)))))
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=ncols)
    return figure


def bars(path, panels, title, xlabel, columns=3, images=None, total=None):
    """Draw one panel for each thing to explain, with a horizontal bar for each of its names, negative ones orange.

    All panels have one scale, so that bars of equal length are equal.

    panels : {panel title: {name: value}}; the first name is at the top.
    images : the image beside each panel's bars, shape (panels, H, W); large numbers are black.
    total : the name of the sum of the others, which is no share: a hatched bar under a line.
    """
    longest, everything = max(map(len, panels.values())), [v for values in panels.values() for v in values.values()]
    low, high = min(0, *everything), max(0, *everything)
    high = high if high > low else 1  # all are 0
    room = 0.18 * (high - low)  # for the numbers
    figure, grid = _figure(len(panels), title, width=5, height=1.3 + 0.32 * longest, columns=columns)
    for axes, (heading, values) in zip(grid, panels.items(), strict=True):
        places, numbers = range(len(values)), list(values.values())
        shown = axes.barh(places, numbers, color=[POSITIVE if number >= 0 else NEGATIVE for number in numbers])
        axes.bar_label(shown, list(map(_written, numbers)), padding=3, fontsize=9)
        if total in values:
            place = list(values).index(total)
            shown[place].set(facecolor="white", edgecolor="black", hatch="////")
            axes.axhline(place - 0.5, color="black", linewidth=0.8)
        axes.set_yticks(places, list(values))
        axes.invert_yaxis()
        axes.axvline(0, color="black", linewidth=0.8)
        axes.set(title=heading, xlabel=xlabel, xlim=(low - room * (low < 0), high + room * (high > 0)))
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
    for axes, image in zip(grid, [] if images is None else images, strict=images is not None):
        beside = axes.inset_axes([1.03, 0, 0.4, 1], anchor="W")
        beside.imshow(image, cmap="gray_r")
        beside.set(xticks=[], yticks=[])
    save(figure, path)


def _written(number):
    """Return the number in three digits, or as a whole number if it has more than three before the point."""
    return (f"{number:,.0f}" if abs(number) >= 1000 else f"{number:.3g}").replace("-", "−")


def decision_regions(path, panels, title, xlabel="x₁", ylabel="x₂", thresholds=None):
    """Shade the plane by the most likely class, the stronger the surer, with the boundaries and the points.

    Where no class is likelier than the others, the plane is white. Panels whose axes have the same names show the same
    part of the plane.

    panels : {panel title: (predict, points, labels, classes)}. `predict` maps points, float32 of shape (M, 2), to
        probabilities of shape (M, C), or (M,) or (M, 1) if of two classes they are those of the second. The points have
        shape (N, 2), their labels are 0..C−1, and the classes are C names.
    xlabel, ylabel : the names of the axes, of all panels or a list with one for each.
    thresholds : for two classes, the γ of each panel. The boundary is where the probability of the second class is γ,
        and the side where it is at least γ, which is said to be the second class, is hatched. The shades are the same.
    """
    styles = _styles(name for *_, classes in panels.values() for name in classes)
    figure, grid = _figure(len(panels), title, width=4.3, height=4)
    handles = {}
    xlabels, ylabels = ([name] * len(panels) if isinstance(name, str) else name for name in (xlabel, ylabel))
    planes = {}
    for (_, points, *_), *names in zip(panels.values(), xlabels, ylabels, strict=True):
        planes.setdefault(tuple(names), []).append(points)
    drawn = zip(grid, panels.items(), xlabels, ylabels, thresholds or [None] * len(panels), strict=True)
    for axes, (heading, (predict, points, labels, classes)), xlabel, ylabel, threshold in drawn:
        together = np.concatenate(planes[xlabel, ylabel])
        low, high = together.min(axis=0), together.max(axis=0)
        low, high = low - 0.15 * (high - low), high + 0.15 * (high - low)
        x, y = np.meshgrid(np.linspace(low[0], high[0], 240), np.linspace(low[1], high[1], 240))
        places = np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32)
        p = np.asarray(predict(places), np.float64).reshape(len(places), -1)
        if p.shape[1] == 1:
            p = np.hstack([1 - p, p])
        colors = np.array([to_rgb(styles[name][0]) for name in classes])
        surest, C = p.max(axis=1), len(classes)
        strength = 0.45 * (surest - 1 / C) / (1 - 1 / C)
        shade = 1 - strength[:, np.newaxis] * (1 - colors[p.argmax(axis=1)])
        edges = (low[0], high[0], low[1], high[1])
        axes.imshow(shade.reshape(*x.shape, 3).clip(0, 1), origin="lower", extent=edges, aspect="auto")
        if threshold is not None:
            said = axes.contourf(x, y, p[:, 1].reshape(x.shape), levels=[threshold, 2], colors="none", hatches=["//"])
            said.set(edgecolor="0.6", linewidth=0)
        for c, name in enumerate(classes):
            lead = p[:, c] - (
                np.delete(p, c, axis=1).max(axis=1) if threshold is None else [1 - threshold, threshold][c]
            )
            if lead.min() < 0 < lead.max():
                axes.contour(x, y, lead.reshape(x.shape), levels=[0], colors="black", linewidths=1.1)
            (color, style), mine = styles[name], labels == c
            options = {"color": color, "markeredgecolor": "white", "markeredgewidth": 0.4, "markersize": 5}
            [handles[name]] = axes.plot(*points[mine].T, style[0], **options, label=name)
        axes.set(title=heading, xlabel=xlabel, ylabel=ylabel, xlim=edges[:2], ylim=edges[2:])
    figure.legend(handles.values(), handles, loc="outside lower center", ncols=6)
    save(figure, path)


def simplex(path, panels, title, corners, label=None):
    """Draw distributions over three classes as points of a triangle: the nearer to a corner, the likelier its class.

    Where several coincide, one larger point stands for them, in the colour of their mean value.

    panels : {panel title: (probabilities of shape (N, 3), values of shape (N,) that give the points their colours)}
    corners : the names of the three classes, at the left, at the right and at the top.
    label : what the values are; with it the colours are explained by a bar.
    """
    triangle = np.array([[0, 0], [1, 0], [0.5, np.sqrt(0.75)]])
    values = [np.asarray(of_panel) for _, of_panel in panels.values()]
    scale = {"vmin": min(map(np.min, values)), "vmax": max(map(np.max, values)), "cmap": "viridis"}
    figure, grid = _figure(len(panels), title, width=3.4, height=3.4, columns=4)
    for axes, (heading, (probabilities, of_panel)) in zip(grid, panels.items(), strict=True):
        axes.plot(*triangle[[0, 1, 2, 0]].T, color="0.4", linewidth=1, zorder=1)
        _, one, spot_of, counts = np.unique(
            probabilities.round(3), return_index=True, return_inverse=True, return_counts=True, axis=0
        )
        mean, places = np.bincount(spot_of.ravel(), of_panel) / counts, probabilities[one] @ triangle
        shown = axes.scatter(*places.T, c=mean, s=14 * np.sqrt(counts), linewidths=0, zorder=2, **scale)
        for corner, name, side in zip(triangle, corners, ("top", "top", "bottom"), strict=True):
            axes.annotate(
                name, corner, (0, 9 if side == "bottom" else -9), textcoords="offset points", ha="center", va=side
            )
        axes.set(title=heading, xlim=(-0.12, 1.12), ylim=(-0.12, 0.99), aspect="equal")
        axes.set_axis_off()
    if label:
        figure.colorbar(shown, ax=list(grid), label=label, shrink=0.8)
    save(figure, path)


def image_grid(path, images, captions, title, columns=6, diverging=False, ink=True):
    """Draw images in rows, each under its caption, all on the same scale.

    images : shape (K, H, W), grey: large numbers are black, as ink, or white with ink=False. If diverging, they are red
        where positive, white at 0 and blue where negative.
    """
    if diverging:
        _draw_diverging(path, images, captions, title, columns, label=None)
        return
    scale = {"vmin": np.min(images), "vmax": np.max(images), "cmap": "gray_r" if ink else "gray"}
    save(_image_grid(images, captions, title, columns, **scale)[0], path)


def weight_images(path, weights, classes, title, columns=5):
    """Draw the weights of each class as an image: red where they are positive, white at 0, blue where negative.

    weights : shape (C, H, W).
    """
    _draw_diverging(path, weights, classes, title, columns, label="weight")


def attention_maps(path, maps, characters, title):
    """Draw for each head how much each character of a line (rows) looks at each other (columns): the darker, the more.

    maps : shape (layers, heads, T, T), numbers 0 to 1.  characters : the T names of the rows and of the columns.
    """
    layers, heads, *_ = maps.shape
    captions = [f"layer {i}, head {j}" for i in range(1, layers + 1) for j in range(1, heads + 1)]
    options = {"size": 0.11 * len(characters) + 0.6, "cmap": "Blues", "vmin": 0, "vmax": 1}
    figure, _ = _image_grid(maps.reshape(-1, *maps.shape[2:]), captions, title, heads, **options)
    names = [character.replace(" ", "␣") for character in characters]
    for axes in figure.axes:
        axes.set_xticks(range(len(names)), names, fontsize=6, family="monospace")
        axes.set_yticks(range(len(names)), names, fontsize=6, family="monospace")
        axes.tick_params(length=0, pad=1)
    save(figure, path)


def confusion_matrix(path, labels, predicted, classes, title):
    """Draw a table that counts how often each class was taken for each other, the darker the more often.

    labels, predicted : the true and the predicted classes, integers 0..C−1, shape (N,).
    """
    C = len(classes)
    counts = np.bincount(C * labels + predicted, minlength=C * C).reshape(C, C)
    shade = np.cbrt(counts / counts.max())  # the root makes a few mistakes differ from none
    figure = new_figure(0.62 * C + 1, 0.62 * C + 0.8, title)
    axes = figure.subplots()
    axes.imshow(shade, cmap="Blues", vmin=0, vmax=1.15)
    for (row, column), count in np.ndenumerate(counts):
        color = "white" if shade[row, column] > 0.7 else "0.7" if count == 0 else "black"
        axes.text(column, row, count, ha="center", va="center", color=color)
    axes.set(xlabel="predicted class", ylabel="true class")
    axes.set_xticks(range(C), classes, rotation=45 if _are_long(classes) else 0)
    axes.set_yticks(range(C), classes)
    save(figure, path)


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
    save(figure, path)


def _draw_diverging(path, images, captions, title, columns, label):
    # The scale goes equally far to both sides, so that white is 0, and leaves it to the arrows at its ends to stand for
    # the largest few weights: they would make all others pale.
    end = np.quantile(np.abs(images), 0.995, method="higher") or 1.0
    figure, shown = _image_grid(images, captions, title, columns, cmap="RdBu_r", vmin=-end, vmax=end)
    beyond = "both" if np.abs(images).max() > end else "neither"
    figure.colorbar(shown, ax=figure.axes, label=label, shrink=0.9, extend=beyond)
    save(figure, path)


def _image_grid(images, captions, title, columns, size=1.85, **options):
    """Return a figure of images in rows, each under its caption, and the last image, which has the scale of all."""
    rows = -(-len(images) // columns)
    figure = new_figure(size * columns, (size + 0.2) * rows + 0.5, title)
    shown = None
    for place, (image, caption) in enumerate(zip(images, captions, strict=True), start=1):
        axes = figure.add_subplot(rows, columns, place)
        axes.set_title(caption, fontsize=9 if len(caption) > 10 else 12)
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_color("0.7")  # a white image has an edge too
        shown = axes.imshow(image, **options)
        for (row, column), number in np.ndenumerate(image if image.size <= 9 else []):  # so few can be read
            color = legible(shown.to_rgba(np.array([number]))[0])
            axes.text(column, row, f"{number:.2f}".replace("-", "−"), ha="center", va="center", color=color)
    return figure, shown


def legible(shade):
    """Return the colour of text on this shade: white on dark ones, else black."""
    return "white" if shade[:3] @ [0.3, 0.6, 0.1] < 0.5 else "black"


def _figure(count, title, width, height, columns=3):
    """Return a figure with this number of panels in rows, each of this width and height in inches, and their axes."""
    rows = -(-count // columns)
    columns = -(-count // rows)  # 4 panels stand better in two rows of 2 than of 3 and 1
    figure = new_figure(width * columns, height * rows, title)
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.08)  # so that a label stands nearer to its panel than to others
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[count:]:
        axes.remove()
    return figure, grid[:count]


def new_figure(width, height, title):
    """Return an empty figure of this size in inches, with a title in as many lines as the width asks for."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.suptitle(textwrap.fill(title, int(9 * width)))
    return figure


def _styles(names):
    """Return the colour and the style of each name: a name looks the same in all panels."""
    names = list(dict.fromkeys(names))
    free = itertools.cycle([style for style in STYLES if style not in [NAMED.get(name) for name in names]])
    return {name: NAMED.get(name) or next(free) for name in names}


def save(figure, path):
    """Write the figure as a PNG file, and make its folder if there is none."""
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=DPI)


def _are_long(names):
    return max(map(len, names)) > 3
