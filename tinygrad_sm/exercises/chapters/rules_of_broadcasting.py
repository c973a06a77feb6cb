"""What undoes the broadcasting of an operand, behind each rule of two operands."""

from collections.abc import Iterator
from typing import Any

import numpy as np

import tinygrad_sm as tg
from tinygrad_sm.exercises.chapters.asking import at, probes_of_rules, shown
from tinygrad_sm.exercises.exercise import Body, Exercise, Probe
from tinygrad_sm.precision import sum_to_shape

STRETCHED = "stretched = [i for i, n in enumerate(shape, g.ndim - len(shape)) if n == 1]\n"


def probes_of_broadcasting() -> Iterator[Probe]:
    """Yield the questions to `sum_to_shape`: arrays first, and then gradients that come through it."""

    def summed(g: Any, shape: tuple[int, ...]) -> Probe:
        return Probe(f"sum_to_shape({shown(g)}, {shape})", lambda: sum_to_shape(g, shape))

    yield summed(np.array([1.0, 2.0]), (2,))
    yield summed(np.array([[1.0, 2.0], [3.0, 5.0]]), (2,))
    yield summed(np.array([[1.0, 2.0], [3.0, 5.0]]), (2, 1))
    yield summed(np.array([[1.0, 2.0], [3.0, 5.0]]), (1, 2))
    yield summed(np.array([1.0, 2.0, 4.0]), ())
    of_three_axes = np.arange(1.0, 13.0).reshape(2, 2, 3) ** 2
    for shape in [(3,), (2, 3), (2, 1), (1, 3), (1, 1), (1,), (2, 1, 3), (1, 2, 1), (1, 1, 1), ()]:
        yield summed(of_three_axes, shape)
    yield summed(np.ones((4, 1, 3)), (1, 1))
    yield from probes_of_rules(tg.multiply, at([[1.0, 2.0], [3.0, 4.0]], [5.0, 6.0]), at([[1.0], [2.0]], [5.0, 6.0]))()


EXERCISES = (
    Exercise(
        name="broadcast",
        title="Undoing a broadcast",
        path="precision.py",
        piece=Body("sum_to_shape"),
        docstring="Undo the broadcasting of an operand of this shape: return its gradient, of this shape.",
        reading=("docs/layouts.md, Weights: Wx, XW and xᵀw", "tinygrad_sm/engine/tape.py, where it calls this"),
        rows=(39, 46),
        minutes=20,
        task="An operand was broadcast: NumPy put axes before its own, and stretched axes of "
        "length 1. g is the gradient of what it became, and `shape` is the operand's own "
        "shape, a tuple. Return the gradient of the operand, in that shape. `total(x, "
        "axis, keepdims)` adds up, of arrays and Tensors alike; axis may be a tuple.",
        hints=(
            "The bias b of shape (10,) is added to 128 rows: 128 "
            "paths lead to each of its elements, and paths are added.",
            "There are two kinds of axes to add over: the first g.ndim − len(shape), "
            "which are new, and those where shape has a 1 and g has more.",
            "After the sums the numbers are right; reshape(shape) brings axes of length 1 back.",
        ),
        probes=probes_of_broadcasting,
        mistakes={
            "your answer is g as it came: it has the shape of the result, and the operand is smaller": "return g",
            "your answer adds over the new axes only; an axis of length 1 that was stretched has been repeated too": (
                "return total(g, axis=tuple(range(g.ndim - len(shape))))",
                "return total(g, axis=tuple(range(g.ndim - len(shape)))).reshape(shape)",
                "while g.ndim > len(shape):\n    g = total(g, axis=0)\nreturn g",
                "while g.ndim > len(shape):\n    g = total(g, axis=0)\nreturn g.reshape(shape)",
            ),
            "your answer adds over stretched axes only; axes that "
            "broadcasting put before the operand's own repeat it too": (
                "for i, n in enumerate(shape):\n    if n == 1 and g.shape[i] != 1:\n        g = total(g, i, True)\n"
                "return g",
                STRETCHED + "return total(g, tuple(stretched), True)",
            ),
            "your answer is a mean over what was repeated: each path must add its whole part": (
                STRETCHED + "axes = (*range(g.ndim - len(shape)), *stretched)\n"
                "n = math.prod(g.shape[i] for i in axes)\nreturn total(g, axes).reshape(shape) / n",
                STRETCHED + "axes = (*range(g.ndim - len(shape)), *stretched)\nreturn g.mean(axis=axes).reshape(shape)",
            ),
            "your answer keeps one of the repeated values, by an index: "
            "every one of them is a path, and paths must be added": (
                "while g.ndim > len(shape):\n    g = g[0]\n"
                "return g[tuple(slice(0, 1) if n == 1 else slice(None) for n in shape)]",
                "return g[0]",
                "return g if g.shape == shape else g[0]",
                "while g.ndim > len(shape):\n    g = g[0]\nreturn g",
            ),
            "your answer adds up all of g: only axes that were repeated must be summed": (
                "return total(g)",
                "return g if g.shape == shape else total(g) + 0 * g.reshape(-1)[: math.prod(shape)].reshape(shape)",
            ),
            "your answer compares the shapes from the left: broadcasting aligns them at the right": (
                "if g.shape == shape:\n    return g\n"
                "axes = tuple(i for i, n in enumerate(g.shape) if i >= len(shape) or (shape[i] == 1 and n != 1))\n"
                "return total(g, axes).reshape(shape)",
                "axes = tuple(i for i, (a, b) in enumerate(zip(g.shape, shape)) if a != b)\n"
                "return total(g, axis=axes, keepdims=True)",
                "axes = tuple(i for i, (a, b) in enumerate(zip(g.shape, shape)) if a != b)\n"
                "return total(g, axis=axes, keepdims=True).reshape(shape)",
            ),
            "your answer has lost the axes of length 1: after a sum they are gone, unless they are kept or put back": (
                STRETCHED + "return total(g, axis=(*range(g.ndim - len(shape)), *stretched))"
            ),
            "your answer adds over the first axis only; several axes may have been repeated": (
                "return g if g.shape == shape else total(g, axis=0)",
                "return g if g.shape == shape else total(g, axis=0).reshape(shape)",
            ),
            "your answer keeps the new axes, with length 1; the operand does not have them": (
                STRETCHED + "return total(g, (*range(g.ndim - len(shape)), *stretched), True)"
            ),
            "your answer reshapes, and adds up nothing: there are more numbers in g than in the operand": (
                "return g.reshape(shape)"
            ),
            "your answer adds up over the first axis whatever the "
            "shapes are: only axes that were repeated must be summed": (
                "return total(g, axis=0)",
                "return g.sum(axis=0)",
                "return total(g, axis=0).reshape(shape)",
            ),
            "your answer adds up over the last axis whatever the "
            "shapes are: only axes that were repeated must be summed": (
                "return total(g, axis=-1)",
                "return g.sum(axis=-1)",
            ),
            "your answer adds up over as many axes as the operand has, "
            "counted from the left: new axes are put before the operand's own": (
                "return total(g, axis=tuple(range(len(shape))))"
            ),
            "your answer is a mean over the first axis: each path must add its whole part": (
                "return g.mean(axis=0)",
                "return g if g.shape == shape else g.mean(axis=0)",
            ),
            "your answer adds up all of g, and one number cannot be reshaped to the operand's shape": (
                "return total(g).reshape(shape)"
            ),
            "your answer takes the place of a stretched axis from the operand; in g it stands behind the new axes": (
                "extra = g.ndim - len(shape)\nstretched = tuple(i for i, n in enumerate(shape) if n == 1)\n"
                "g = total(g, stretched, True)\nreturn total(g, tuple(range(extra)))",
                "extra = g.ndim - len(shape)\nstretched = tuple(i for i, n in enumerate(shape) if n == 1)\n"
                "g = total(g, stretched, True)\nreturn total(g, tuple(range(extra))).reshape(shape)",
                "for i, n in enumerate(shape):\n    if n == 1 and g.shape[i] != 1:\n        g = total(g, i, True)\n"
                "return total(g, tuple(range(g.ndim - len(shape))))",
                "for i, n in enumerate(shape):\n    if n == 1 and g.shape[i] != 1:\n        g = total(g, i, True)\n"
                "return total(g, tuple(range(g.ndim - len(shape)))).reshape(shape)",
                "n = g.ndim - len(shape)\naxes = (*range(n), *(i for i, m in enumerate(shape) if m == 1))\n"
                "return total(g, axis=axes).reshape(shape)",
                "n = g.ndim - len(shape)\naxes = tuple({*range(n), *(i for i, m in enumerate(shape) if m == 1)})\n"
                "return total(g, axis=axes).reshape(shape)",
            ),
            "your answer takes the largest of the repeated values: paths must be added": (
                STRETCHED + "return g.max(axis=(*range(g.ndim - len(shape)), *stretched)).reshape(shape)"
            ),
            "your answer goes on to the next axis after one is summed away: those behind it have moved up by one": (
                "for i in range(g.ndim - len(shape)):\n    g = total(g, i)\nfor i, n in enumerate(shape):\n"
                "    if n == 1:\n        g = total(g, i, True)\nreturn g",
                "for i in range(g.ndim - len(shape)):\n    g = total(g, i)\nfor i, n in enumerate(shape):\n"
                "    if n == 1:\n        g = total(g, i, True)\nreturn g.reshape(shape)",
                "for i in range(g.ndim - len(shape)):\n    g = total(g, i)\nreturn g",
                "for i in range(g.ndim - len(shape)):\n    g = total(g, i)\nreturn g.reshape(shape)",
                "g = total(g, tuple(range(g.ndim - len(shape))))\nfor i, n in enumerate(shape):\n"
                "    if n == 1:\n        g = total(g, i)\nreturn g.reshape(shape)",
            ),
            "your answer takes the new axes for the last ones; broadcasting puts them before the operand's own": (
                "while g.ndim > len(shape):\n    g = total(g, -1)\nfor i, n in enumerate(shape):\n"
                "    if n == 1:\n        g = total(g, i, True)\nreturn g",
                "while g.ndim > len(shape):\n    g = total(g, -1)\nreturn g",
                "while g.ndim > len(shape):\n    g = total(g, -1)\nreturn g.reshape(shape)",
            ),
            "your answer adds over the first new axis only; broadcasting may have put several before": (
                "if g.ndim > len(shape):\n    g = total(g, 0)\nfor i, n in enumerate(shape):\n"
                "    if n == 1:\n        g = total(g, i, True)\nreturn g",
                "if g.ndim > len(shape):\n    g = total(g, 0)\nfor i, n in enumerate(shape):\n"
                "    if n == 1:\n        g = total(g, i, True)\nreturn g.reshape(shape)",
                "return total(g, 0) if g.ndim > len(shape) else g",
                "return (total(g, 0) if g.ndim > len(shape) else g).reshape(shape)",
            ),
            "your answer averages over the stretched axes: they must be summed, as the new ones are": (
                STRETCHED + "g = total(g, tuple(range(g.ndim - len(shape))), True)\n"
                "return g.mean(axis=tuple(stretched), keepdims=True).reshape(shape)"
            ),
            "your answer averages over the new axes: they must be summed, as the stretched ones are": (
                STRETCHED + "g = total(g, tuple(stretched), True)\n"
                "return g.mean(axis=tuple(range(g.ndim - len(shape)))).reshape(shape)"
            ),
            "your answer asks only whether a length occurs in the shape: compare axis by axis, from the right": (
                "axes = tuple(i for i, n in enumerate(g.shape) if n not in shape)\n"
                "return total(g, axes).reshape(shape)",
                "axes = tuple(i for i, n in enumerate(g.shape) if n not in shape)\nreturn total(g, axes)",
            ),
        },
    ),
)
