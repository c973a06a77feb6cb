"""Rules of sums and means."""

import tinygrad_sm as tg
from tinygrad_sm.exercises.chapters.asking import WRITES_INTO_G, at, axes_later, probes_of_rules, rule_in_place
from tinygrad_sm.exercises.exercise import Exercise, Rules

SUM = "sum.vjp(lambda g, out, x, axis, keepdims, dtype: {})"
MEAN = "mean.vjp(lambda g, out, x, axis, keepdims, dtype: {})"
SPREAD = "broadcast_to(with_reduced_axes({}, x, axis, keepdims), x.shape)"
BACK = "with_reduced_axes(g, x, axis, keepdims)"
BY_HAND = ("if axis is not None and not keepdims:", "    g = g.reshape(g.shape[:axis] + (1,) + g.shape[axis:])")
BY_HAND_IN_PLACE = (
    "if axis is not None and not keepdims:",
    "    shape = list(g.shape)",
    "    shape.insert(axis, 1)",
    "    g = g.reshape(shape)",
)
OF_REDUCTION = "x, axis, keepdims, dtype"
LENGTHS = (
    "axes = normalize_axis_tuple(range(x.ndim) if axis is None or x.ndim == 0 else axis, x.ndim)",
    "lengths = [x.shape[i] for i in axes]",
)


def mean_with(n: str, *lines: str) -> str:
    """Return an answer to the exercise of mean that divides by this n."""
    return rule_in_place("mean", OF_REDUCTION, *LENGTHS, *lines, last=SPREAD.format("g") + f" / {n}")


EXERCISES = (
    Exercise(
        name="sum",
        title="The rule of sum",
        path="ops/reductions.py",
        piece=Rules("sum"),
        reading=("examples/chain_rule.py, where two paths meet", "tinygrad_sm/ops/reductions.py, its first page"),
        rows=(46, 85),
        minutes=15,
        task="sum adds up x over axes: axis is an int, a tuple, or None for all; keepdims keeps the summed axes with "
        "length 1. Return ∂L/∂x, in the shape of x, from g = ∂L/∂out, in the shape of out. `broadcast_to(x, "
        "shape)` repeats, and `with_reduced_axes(g, x, axis, keepdims)` puts summed axes back with length 1.",
        hints=(
            "If an element of x grows by ε, by how much does its sum grow?",
            "Each element gets the g of the sum that it is part of.",
            "Put the summed axes back first: then g broadcasts to x.shape as it should.",
        ),
        probes=probes_of_rules(
            tg.sum,
            at([1.0, 5.0]),
            at([[1.0, 2.0], [3.0, 4.0]], axis=-1, keepdims=True),
            at([[1.0, 2.0], [3.0, 4.0]], axis=0),
            at([[1.0, 2.0], [3.0, 4.0]], axis=1),
            stage=axes_later,
        ),
        mistakes={
            "your rule forgets g: it gives ones, as if 1 had arrived for every sum": (
                SUM.format("x * 0 + 1"),
                SUM.format(SPREAD.format("out * 0 + 1")),
            ),
            "your answer has the shape of the sums: x has more elements, and each of them needs a gradient": (
                SUM.format("g"),
                SUM.format(BACK),
                SUM.format("out"),
            ),
            "your rule reshapes g to the shape of x: x has more elements, and each of them needs a gradient": (
                SUM.format("g.reshape(x.shape)")
            ),
            "your rule loses track of the axes: g must get the summed "
            "axes back before it is spread, or it goes along others": (
                SUM.format("broadcast_to(g, x.shape)"),
                SUM.format("g * (x * 0 + 1)"),
                SUM.format("g + 0 * x"),
            ),
            "your rule divides by the number of elements: that is the rule of mean": (
                SUM.format(SPREAD.format("g * (out.size / x.size)")),
                SUM.format(SPREAD.format("g") + " * out.size / x.size"),
            ),
            "your rule multiplies by the number of elements: each of them is in its sum once": (
                SUM.format(SPREAD.format("g * (x.size / out.size)"))
            ),
            "your rule multiplies by x: a sum grows by what an element grows by, whatever its value is": (
                SUM.format(f"{BACK} * x")
            ),
            "your rule multiplies by out: the slope of a sum does not depend on its value": (
                SUM.format(SPREAD.format("g * out"))
            ),
            "your rule gives every element the sum of all g: an element is part of one sum only": (
                SUM.format("broadcast_to(sum(g), x.shape)")
            ),
            "your rule has the wrong sign: a sum grows with each of its elements": SUM.format(SPREAD.format("-g")),
            "your rule puts the summed axes at the end: they must go where they were": (
                SUM.format("broadcast_to(g.reshape(g.shape + (1,) * (x.ndim - g.ndim)), x.shape)")
            ),
            "your rule gives each element its share of the sum, x/out: all have the same slope": (
                SUM.format(f"{BACK} * x / with_reduced_axes(out, x, axis, keepdims)")
            ),
            "your rule divides by the number of all elements: nothing is divided in a sum": (
                SUM.format(SPREAD.format("g / x.size")),
                SUM.format(SPREAD.format("g") + " / x.size"),
            ),
            "your rule multiplies by the number of all elements: each of them is in its sum once": (
                SUM.format(SPREAD.format("g * x.size"))
            ),
            "your rule gives x where g belongs: the gradient does not depend on the values that are added": (
                SUM.format("x")
            ),
            "your rule gives out where g belongs: what arrives, ∂L/∂out, is another number": (
                SUM.format(SPREAD.format("out"))
            ),
            "your rule makes a column of g, whatever the axis was": (
                SUM.format("broadcast_to(g.reshape(-1, 1), x.shape)"),
                SUM.format("g.reshape(-1, 1) + 0 * x"),
            ),
            "your rule puts one axis back, at the end, whatever the axes are": (
                SUM.format("broadcast_to(g if axis is None or keepdims else g[..., None], x.shape)"),
                SUM.format("broadcast_to(g if keepdims else g[..., None], x.shape)"),
                SUM.format("broadcast_to(g[..., None], x.shape)"),
            ),
            "your rule puts one axis back, at the beginning, whatever the axes are": (
                SUM.format("broadcast_to(g if axis is None or keepdims else g[None], x.shape)"),
                SUM.format("broadcast_to(g[None], x.shape)"),
            ),
            "your rule lets g pass where x > 0, as that of relu does: each element adds, whatever its sign": (
                SUM.format(f"where(x > 0, {BACK}, 0)")
            ),
            "your rule puts a 1 into the shape at the place of axis, which may be negative, or a tuple": (
                rule_in_place("sum", OF_REDUCTION, *BY_HAND, last="broadcast_to(g, x.shape)"),
                rule_in_place("sum", OF_REDUCTION, *BY_HAND_IN_PLACE, last="broadcast_to(g, x.shape)"),
            ),
            "your rule divides by the number of sums: each element is in one of them, and must get its g whole": (
                SUM.format(SPREAD.format("g / out.size"))
            ),
            "your rule multiplies by the number of sums: each element is in one of them, and must get its g once": (
                SUM.format(SPREAD.format("g * out.size"))
            ),
        },
        hides={
            "ops/reductions.py": (" Its gradient gives each element the g of its sum, as a read-only broadcast view.",),
        },
    ),
    Exercise(
        name="mean",
        title="The rule of mean",
        path="ops/reductions.py",
        piece=Rules("mean"),
        reading=("docs/layouts.md, Losses: sum or mean",),
        rows=(85,),
        minutes=10,
        task="mean gives Σ x / n over axes, n the number of elements that each sum has. "
        "Return ∂L/∂x, in the shape of x, from g = ∂L/∂out, in the shape of out. "
        "`broadcast_to` and `with_reduced_axes(g, x, axis, keepdims)` are there.",
        hints=(
            "A mean is a sum divided by n, and so is its gradient.",
            "x.size elements make out.size means: how many are there for each?",
        ),
        probes=probes_of_rules(
            tg.mean,
            at([1.0, 5.0]),
            at([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]),
            at([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], axis=-1, keepdims=True),
            at([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], axis=0),
            at([[1.0, 2.0], [3.0, 4.0]], axis=1),
            stage=axes_later,
        ),
        mistakes={
            "your rule gives each element all of g, as that of sum "
            "does: the division by n is missing, or your n is 1": (
                MEAN.format(SPREAD.format("g")),
                rule_in_place("mean", OF_REDUCTION, f"g = {SPREAD.format('g')}", last="g / (x.size // g.size)"),
            ),
            "your rule divides by the number of all elements; a mean over an axis has only those along it": (
                MEAN.format(SPREAD.format("g / x.size"))
            ),
            "your rule divides by the length of the first axis; n must be the number of elements in each mean": (
                MEAN.format(SPREAD.format("g / len(x)")),
                MEAN.format(SPREAD.format("g / (x.shape[0] if x.ndim else 1)")),
            ),
            "your rule forgets g: it gives 1/n, and that must still be multiplied by what arrives": (
                MEAN.format("(x * 0 + 1) * (out.size / x.size)"),
                MEAN.format(SPREAD.format("out * 0 + out.size / x.size")),
            ),
            "your rule multiplies by n where it should divide": MEAN.format(SPREAD.format("g * (x.size / out.size)")),
            "your rule divides by the number of means; n must be the number of elements in each of them": (
                MEAN.format(SPREAD.format("g / out.size"))
            ),
            "your rule loses track of the axes: g must get them back before it is spread, or it goes along others": (
                MEAN.format("broadcast_to(g * (out.size / x.size), x.shape)"),
                MEAN.format("broadcast_to(g / (x.size if axis is None else x.shape[axis]), x.shape)"),
                MEAN.format("broadcast_to(g / x.size, x.shape)"),
            ),
            "your rule multiplies by x: a mean grows by 1/n of what an element grows by, whatever its value is": (
                MEAN.format(f"{BACK} * x * (out.size / x.size)")
            ),
            "your rule divides by n twice": MEAN.format(SPREAD.format("g * (out.size / x.size) ** 2")),
            "your rule has the wrong sign: a mean grows with each of its elements": (
                MEAN.format(SPREAD.format("-g * (out.size / x.size)"))
            ),
            "your rule takes the mean of g: each mean must hand on its own g": (
                MEAN.format("broadcast_to(mean(g), x.shape)")
            ),
            "your answer has the shape of the means: x has more elements, and each of them needs a gradient": (
                MEAN.format("g"),
                MEAN.format(BACK),
                MEAN.format("g / x.size"),
                MEAN.format("g * out.size / x.size"),
                MEAN.format(f"{BACK} * out.size / x.size"),
            ),
            "your rule multiplies by the number of means: it must divide by how many elements each of them has": (
                MEAN.format(SPREAD.format("g * out.size"))
            ),
            "your rule forgets g, and divides by the number of all elements": (
                MEAN.format("(x * 0 + 1) / x.size"),
                MEAN.format(SPREAD.format("out * 0 + 1 / x.size")),
            ),
            "your rule gives out where g belongs: what arrives, ∂L/∂out, is another number": (
                MEAN.format(SPREAD.format("out * (out.size / x.size)"))
            ),
            "your rule takes x.shape[axis] for n, and axis may be a tuple, or None for all": (
                MEAN.format(SPREAD.format("g / x.shape[axis]")),
                MEAN.format(SPREAD.format("g / (x.size if axis is None else x.shape[axis])")),
            ),
            "your rule adds the lengths of the axes: how many elements do two axes of lengths 2 and 3 have?": (
                mean_with("n", "n = 0", "for length in lengths:", "    n += length"),
                mean_with("(n or 1)", "n = 0", "for length in lengths:", "    n += length"),
                mean_with("n", "n = 0", "for length in x.shape:", "    n += length"),
            ),
            "your rule divides by the number of axes; n must be the number of elements in each mean": (
                mean_with("(len(axes) or 1)"),
                mean_with("len(axes)"),
                MEAN.format(SPREAD.format("g / x.ndim")),
                MEAN.format(SPREAD.format("g / (x.ndim or 1)")),
            ),
            "your rule divides by the length of one axis, and there may be several": (
                mean_with("(lengths[0] if lengths else 1)"),
                mean_with("(lengths[-1] if lengths else 1)"),
                mean_with("lengths[0]"),
                mean_with("lengths[-1]"),
            ),
            "your rule divides by the length of the last axis; n must be the number of elements in each mean": (
                MEAN.format(SPREAD.format("g / x.shape[-1]")),
                MEAN.format(SPREAD.format("g / (x.shape[-1] if x.ndim else 1)")),
            ),
            "your rule divides by n − 1: that is for a variance, and a mean divides by n": (
                MEAN.format(SPREAD.format("g / (x.size / out.size - 1)")),
                MEAN.format(SPREAD.format("g / (x.size // out.size - 1)")),
            ),
            "your rule puts the axes back at the end: they must go where they were": (
                MEAN.format("broadcast_to(g.reshape(g.shape + (1,) * (x.ndim - g.ndim)), x.shape) * out.size / x.size")
            ),
            "your rule puts one axis back, at the end, whatever the axes are": (
                MEAN.format(
                    "broadcast_to(g if axis is None or keepdims else g[..., None], x.shape) * out.size / x.size"
                )
            ),
            "your rule puts one axis back, at the beginning, whatever the axes are": (
                MEAN.format("broadcast_to(g if axis is None or keepdims else g[None], x.shape) * out.size / x.size")
            ),
            "your rule puts a 1 into the shape at the place of axis, which may be negative, or a tuple": (
                rule_in_place("mean", OF_REDUCTION, *BY_HAND, last="broadcast_to(g, x.shape) * out.size / x.size"),
                rule_in_place(
                    "mean", OF_REDUCTION, *BY_HAND_IN_PLACE, last="broadcast_to(g, x.shape) * out.size / x.size"
                ),
            ),
            "your rule gives 0 wherever n is more than 1: do you divide integers without a remainder?": (
                MEAN.format(SPREAD.format("g * (out.size // x.size)"))
            ),
            "your rule gives each element its part of the sum, x/n: all have the same slope": (
                MEAN.format("x * (out.size / x.size)")
            ),
            WRITES_INTO_G: rule_in_place("mean", OF_REDUCTION, "g /= x.size / out.size", last=SPREAD.format("g")),
        },
    ),
)
