"""The rule of the largest element and of the smallest."""

from collections.abc import Iterator

import tinygrad_sm as tg
from tinygrad_sm.exercises.chapters.asking import at, axes_later, probes_of_rules
from tinygrad_sm.exercises.exercise import Body, Exercise, Probe

LARGEST = "largest = x == with_reduced_axes(out, x, axis, keepdims)\n"
BACK = "with_reduced_axes(g, x, axis, keepdims)"
AT_THE_END = "if axis is not None and not keepdims:\n    g, out = g[..., None], out[..., None]\n"


def probes_of_extrema() -> Iterator[Probe]:
    """Yield the questions to the rule of max, and, a stage later, some to that of min, which is the same."""
    of_max = probes_of_rules(
        tg.max,
        at([1.0, 3.0]),
        at([2.0, 2.0, 1.0]),
        at([[2.0, 2.0], [4.0, 3.0]], axis=-1, keepdims=True),
        at([[1.0, 2.0], [4.0, 3.0]], axis=1),
        at([[2.0, 2.0], [4.0, 3.0]], axis=1),
        at([[2.0, 2.0], [4.0, 4.0]], axis=0),
        stage=axes_later,
    )
    of_min = probes_of_rules(
        tg.min, at([1.0, 3.0]), at([2.0, 2.0, 3.0]), at([[4.0, 3.0], [1.0, 3.0]], axis=0), stage=lambda call: 2
    )
    yield from sorted([*of_max(), *of_min()], key=lambda probe: probe.stage)


EXERCISES = (
    Exercise(
        name="max",
        title="The rule of max, and of min",
        path="ops/reductions.py",
        piece=Body("_extremum_rule"),
        reading=("docs/curriculum.md, row 74", "the docstring of tg.max"),
        rows=(74,),
        minutes=20,
        task="max gives out, the largest element along axes, and min the smallest; this is the rule of "
        "both. Return ∂L/∂x, in the shape of x, from g = ∂L/∂out, in the shape of out. By the "
        "convention here, elements that tie share the gradient equally. `where(condition, a, b)` "
        "and `sum(x, axis, keepdims=True)` are there, and `with_reduced_axes(g, x, axis, keepdims)` "
        "puts the reduced axes of g, or of out, back with length 1. NaN is not asked for.",
        hints=(
            "If an element that is not the largest grows a little, the maximum does not change.",
            "Where x equals the maximum of its row, it is the largest, or one of them.",
            "Count the ties along the same axes, and divide g by their number.",
        ),
        probes=probes_of_extrema,
        mistakes={
            "your rule forgets g: it gives each of the largest 1, or its share of 1": (
                LARGEST + "return where(largest, 1.0, 0.0)",
                LARGEST + "return where(largest, 1 / sum(largest, axis, keepdims=True), 0.0)",
                LARGEST + "return 1.0 * largest",
            ),
            "your rule gives each of the elements that tie the "
            "whole g: together they must get g once, in equal shares": (LARGEST + f"return where(largest, {BACK}, 0)"),
            "your rule gives g to all elements: only what is the largest moves the maximum": (
                f"return broadcast_to({BACK}, x.shape)"
            ),
            "your rule divides g among all elements of a row, as "
            "that of mean does: only the largest moves the maximum": (
                f"return broadcast_to({BACK} * (out.size / x.size), x.shape)"
            ),
            "your rule divides by the length of the row: it is those that tie that must share": (
                LARGEST + f"return where(largest, {BACK} * (out.size / x.size), 0)"
            ),
            "your rule counts the ties of the whole array: each row must share its own g among its own": (
                LARGEST + f"return where(largest, {BACK} / sum(largest), 0)"
            ),
            "your rule looks for the largest element of the whole array: each row along the axis has one": (
                f"largest = x == x.max()\nreturn where(largest, {BACK} / sum(largest, axis, keepdims=True), 0)",
                f"largest = x == x.max()\nreturn where(largest, {BACK} / sum(largest), 0)",
                f"return where(x == x.max(), {BACK}, 0)",
            ),
            "your rule loses track of the axes: out must get the reduced axes back before x is compared with it": (
                f"largest = x == out\nreturn where(largest, {BACK} / sum(largest, axis, keepdims=True), 0)",
                f"return where(x == out, {BACK}, 0)",
                "largest = x == out\nreturn where(largest, g / sum(largest, axis, keepdims=True), 0)",
                "return where(x == out, g, 0)",
                "largest = x == out\nreturn g * largest / sum(largest, axis, keepdims=True)",
            ),
            "your rule finds the maximum anew: it is the rule of min too, and out is what was found": (
                "largest = x == max(x, axis, keepdims=True)\n"
                f"return where(largest, {BACK} / sum(largest, axis, keepdims=True), 0)",
                f"return where(x == max(x, axis, keepdims=True), {BACK}, 0)",
            ),
            "your rule loses track of the axes of g: they must come back before g meets x": (
                LARGEST + "return where(largest, g / sum(largest, axis, keepdims=True), 0)",
                LARGEST + "return where(largest, g, 0)",
                LARGEST + "return g * largest / sum(largest, axis, keepdims=True)",
                LARGEST + "return g * where(largest, 1.0, 0.0) / sum(largest, axis, keepdims=True)",
            ),
            "your rule multiplies by the largest value where the slope, 1, belongs": (
                LARGEST + f"return where(largest, {BACK} * x / sum(largest, axis, keepdims=True), 0)",
                LARGEST + f"return where(largest, {BACK} * x, 0)",
            ),
            "your rule gives g to the elements that are not the largest: they are the ones that do not matter": (
                LARGEST + f"return where(largest, 0, {BACK})"
            ),
            "your rule has the wrong sign: the maximum grows with the largest element": (
                LARGEST + f"return where(largest, -{BACK} / sum(largest, axis, keepdims=True), 0)"
            ),
            "your rule always gives 0: where x is the largest, the maximum moves with it": "return x * 0.0",
            "your rule gives all of g to the first of the elements that tie: they must share it equally": (
                "axes = tuple(range(x.ndim)) if axis is None else normalize_axis_tuple(axis, x.ndim) if x.ndim else "
                "()\n"
                "xp = array_module(x)\n"
                "largest = x == with_reduced_axes(out, x, axis, keepdims)\n"
                "order = (*(i for i in range(x.ndim) if i not in axes), *axes)\n"
                "moved = largest.transpose(order)\n"
                "rows = moved.reshape(*moved.shape[: x.ndim - len(axes)], -1)\n"
                "first = rows & (xp.cumsum(rows, axis=-1) == 1)\n"
                f"return where(first.reshape(moved.shape).transpose(inverse_order(order)), {BACK}, 0)"
            ),
            "your rule divides by the number of all elements: it is those that tie that must share": (
                LARGEST + f"return where(largest, {BACK} / x.size, 0)"
            ),
            "your rule lets g pass where x > 0, as that of relu does: what matters is which element is the largest": (
                f"return where(x > 0, {BACK}, 0)"
            ),
            "your rule halves g: at a tie of two that is right, but there may be one or three": (
                LARGEST + f"return where(largest, {BACK} / 2, 0)"
            ),
            "your rule halves what each of the largest gets, ties or not": (
                LARGEST + f"return where(largest, {BACK} / sum(largest, axis, keepdims=True) / 2, 0)"
            ),
            "your rule drops the axis of the counts: they must keep it, to meet their own rows": (
                LARGEST + f"return where(largest, {BACK} / sum(largest, axis), 0)",
                LARGEST + f"return where(largest, {BACK} / sum(largest, axis, keepdims), 0)",
            ),
            "your rule asks for x ≥ out: that finds the largest of a row, and the rule of min is the same one": (
                LARGEST.replace("==", ">=") + f"return where(largest, {BACK} / sum(largest, axis, keepdims=True), 0)"
            ),
            "your rule asks for x ≥ out, which finds the largest alone, and gives each that ties the whole g": (
                LARGEST.replace("==", ">=") + f"return where(largest, {BACK}, 0)"
            ),
            "your rule asks for x ≤ out: all of a row are no larger than its maximum": (
                LARGEST.replace("==", "<=") + f"return where(largest, {BACK} / sum(largest, axis, keepdims=True), 0)",
                LARGEST.replace("==", "<=") + f"return where(largest, {BACK}, 0)",
            ),
            "your rule puts the reduced axis back at the end, whatever the axis is": (
                AT_THE_END + "largest = x == out\nreturn where(largest, g / sum(largest, axis, keepdims=True), 0)"
            ),
            "your rule puts the reduced axis back at the end, whatever it is, and gives each that ties all of g": (
                AT_THE_END + "return where(x == out, g, 0)"
            ),
            "your rule multiplies by the number of ties: they must share g": (
                LARGEST + f"return where(largest, {BACK} * sum(largest, axis, keepdims=True), 0)"
            ),
            "your rule gives each element a part of g by the size of its "
            "value: those that tie must get equal parts, and the others nothing": (
                f"return {BACK} * x / sum(x, axis, keepdims=True)",
                f"return {BACK} * x / with_reduced_axes(out, x, axis, keepdims)",
            ),
            "your rule gives −g to those that are not the largest: they do not matter": (
                LARGEST + f"return where(largest, {BACK}, -{BACK})"
            ),
            "your rule always counts the ties along the last axis": (
                LARGEST + f"return where(largest, {BACK} / sum(largest, -1, keepdims=True), 0)"
            ),
            "your rule always counts the ties along the first axis": (
                LARGEST + f"return where(largest, {BACK} / sum(largest, 0, keepdims=True), 0)"
            ),
            "your answer has the shape of the maxima: x has more elements, and each of them needs a gradient": (
                "return g",
                f"return {BACK}",
                "return out",
            ),
            "your rule gives x, at the largest, where a part of g belongs": LARGEST + "return where(largest, x, 0)",
        },
    ),
)
