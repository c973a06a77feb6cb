"""Rules of indexing and of windows."""

from collections.abc import Iterator
from typing import Any

import numpy as np

import tinygrad_sm as tg
from tinygrad_sm.exercises.chapters.asking import At, at, probes_of_rules, shown
from tinygrad_sm.exercises.exercise import Body, Exercise, Probe
from tinygrad_sm.ops.indexing import getitem
from tinygrad_sm.ops.windows import fold

SCATTER = "out = xp.zeros(shape, dtype)\n{}\nreturn out.astype(values.dtype, copy=False)"
FOLD = """for offset in product(*map(range, kernel)):
    starts = [i * step for i, step in zip(offset, {}, strict=True)]
    places = [slice({}) for a, s, p in zip(starts, {}, positions, strict=True)]
    out[(..., *places)] {} added[(..., *{})]"""
ROOM = "a, a + s * (p - 1) + 1, s"


def probes_of_getitem() -> Iterator[Probe]:
    """Yield the questions to `scatter_add`, and, a stage later, one in half precision."""
    many = np.zeros(4096, int)

    def often() -> Any:
        x = tg.Tensor(np.zeros(2, "float16"), requires_grad=True)
        return tg.grad(getitem(x, many), x, np.ones(many.shape, "float16"))[0]

    def tenths() -> Any:
        x = tg.Tensor(np.array([5.0, 6.0, 7.0]), requires_grad=True)
        return tg.grad(getitem(x, np.array([2, 0, 2])), x, np.array([0.1, 0.2, 0.4]))[0]

    yield from sorted(
        [
            *probes_of_rules(
                getitem, at([5.0, 6.0], index=np.array([1, 0])), at([5.0, 6.0, 7.0], index=np.array([2, 0, 2]))
            )(),
            Probe("∂L/∂x of getitem([5., 6., 7.], index=array([2, 0, 2])), where g is 0.1, 0.2, 0.4", tenths, stage=1),
            Probe("∂L/∂x of x[index] in float16, where index has 4096 times 0, and g is 1 throughout", often, stage=1),
        ],
        key=lambda probe: probe.stage,
    )


def axes_of_windows(call: At) -> int:
    """Return 0 for windows over one axis, 1 for those over several."""
    return int(np.size(call.static["shape"]) > 1)


def probes_of_fold() -> Iterator[Probe]:
    """Yield the questions to `fold`: small ones, others with strides and dilations, and gradients of windows."""

    def folded(values: Any, shape: Any, stride: Any = 1, dilation: Any = 1) -> Probe:
        question = f"fold({shown(values)}, {shape}, stride={stride}, dilation={dilation})"
        return Probe(question, lambda: fold(values, shape, stride, dilation), stage=int(np.size(shape) > 1))

    yield folded(np.array([[1.0, 2.0]]), 2)
    yield folded(np.array([[1.0, 2.0], [3.0, 5.0]]), 3)
    yield folded(np.array([[1.0, 2.0], [3.0, 5.0]]), 4, stride=2)
    yield folded(np.array([[1.0, 2.0], [3.0, 5.0]]), 4, dilation=2)
    yield folded(np.array([[1.0, 2.0, 4.0], [7.0, 8.0, 9.0]]), 8, stride=3, dilation=2)
    yield folded(np.arange(1.0, 25.0).reshape(2, 3, 2, 2), (3, 4))
    yield folded(np.arange(1.0, 25.0).reshape(2, 3, 2, 2) ** 2, (5, 6), stride=(2, 1), dilation=(1, 3))
    yield folded(np.arange(1.0, 25.0).reshape(2, 2, 3, 2), (7,), stride=2)
    yield from probes_of_rules(tg.windows, at([1.0, 2.0, 3.0], shape=2), stage=axes_of_windows)()


EXERCISES = (
    Exercise(
        name="getitem",
        title="The gradient of x[index], where places repeat",
        path="ops/indexing.py",
        piece=Body(
            "scatter_add",
            first="out, added = xp.zeros(shape, dtype), values.astype(dtype, copy=False)",
            last="return out.astype(values.dtype, copy=False)",
        ),
        docstring="Return an array of the shape with the values where the index points; 0 elsewhere.",
        reading=("tinygrad_sm/ops/indexing.py",),
        rows=(46,),
        minutes=10,
        task="The rule of x[index] puts g back in its place: it calls scatter_add(g, x.shape, index), whose "
        "parameters are named `values`, `shape` and `index`. Slices are done; here index is an array "
        "of integers, or a tuple with some. Return an array of that shape, 0 where nothing was taken; "
        "each of the values belongs where index points. `xp` is NumPy, and `dtype` the dtype to add in.",
        hints=(
            "x[[2, 0, 2]] takes element 2 twice: two paths lead to it.",
            "out[index] += values reads all places first and then writes: of two values for one place, one is lost.",
            "NumPy's ufuncs have a method for that: `at`.",
        ),
        probes=probes_of_getitem,
        mistakes={
            "your answer keeps one value for a place that repeats; "
            "every use of an element is a path, and paths must be added": (
                SCATTER.format("out[index] = values"),
                SCATTER.format("out[index] += values"),
            ),
            "your answer keeps the first value for a place that repeats; "
            "every use of an element is a path, and paths must be added": (
                "out = xp.zeros(shape, dtype)\n"
                "places = xp.arange(out.size).reshape(shape)[index]\n"
                "where, first = xp.unique(places.ravel(), return_index=True)\n"
                "out.reshape(-1)[where] = xp.broadcast_to(values, places.shape).ravel()[first]\n"
                "return out"
            ),
            "your answer counts how often each element was taken: it is the values that must be added": (
                SCATTER.format("xp.add.at(out, index, 1)")
            ),
            "your answer takes elements out of the values, as the forward does out of x: the rule must put them back": (
                "return values[index]"
            ),
            "your answer gives the values as they came: each must be put where index points": ("return values"),
            "your answer is the mean of the values for a place that repeats: each path must add its whole part": (
                "out, count = xp.zeros(shape, dtype), xp.zeros(shape, dtype)\n"
                "xp.add.at(out, index, values)\nxp.add.at(count, index, 1)\nreturn out / xp.maximum(count, 1)"
            ),
            "your answer keeps the largest value for a place that repeats: paths must be added": (
                SCATTER.format("xp.maximum.at(out, index, values)")
            ),
            "your answer has the wrong sign": SCATTER.format("xp.subtract.at(out, index, values)"),
            "your answer adds in the dtype of the values: in float16, a place that was taken often gets no further": (
                "out = xp.zeros(shape, values.dtype)\nxp.add.at(out, index, values)\nreturn out"
            ),
            "your answer adds in float32, whatever the dtype: digits of others are lost": (
                "out = xp.zeros(shape, 'float32')\nxp.add.at(out, index, values)\nreturn out"
            ),
            "your answer adds in float16, whatever the dtype: digits of others are lost": (
                "out = xp.zeros(shape, 'float16')\nxp.add.at(out, index, values)\nreturn out"
            ),
            "your answer multiplies the values of a place that repeats: paths must be added": (
                "out = xp.ones(shape, dtype)\nxp.multiply.at(out, index, values)\nreturn out"
            ),
            "your answer begins with ones where nothing was taken: there the gradient must be 0": (
                "out = xp.ones(shape, dtype)\nxp.add.at(out, index, values)\nreturn out"
            ),
            "your answer is all zeros: the values were not written into it": SCATTER.format("out[index]"),
            "your answer puts 1 where an element was taken: the values must go there": SCATTER.format("out[index] = 1"),
            "your answer begins with ones, and keeps one value for a place that repeats": (
                "out = xp.ones(shape, dtype)\nout[index] = values\nreturn out"
            ),
            "your answer takes the index for places in a flat array; "
            "it may be a tuple, and rows have places of their own": (
                "out = xp.zeros(shape, dtype)\nxp.put(out, index, values)\nreturn out"
            ),
            "your answer has the shape of the values; it must have the shape that was indexed": (
                "out = xp.zeros_like(values)\nxp.add.at(out, index, values)\nreturn out"
            ),
            "your answer puts the sum of all values at each place: each value has a place of its own": (
                SCATTER.format("out[index] = values.sum()")
            ),
            "your answer goes through a tuple of indices as if it were a list of places": (
                "out = xp.zeros(shape, dtype)\nfor i, v in zip(index, values):\n    out[i] += v\nreturn out"
            ),
            "your answer goes through the places one by one, and assigns, so that the last value for a place is left": (
                "out = xp.zeros(shape, dtype)\nfor i, v in zip(index, values):\n    out[i] = v\nreturn out"
            ),
        },
        hides={"ops/indexing.py": (": its gradients add up",)},
    ),
    Exercise(
        name="fold",
        title="The gradient of windows",
        path="ops/windows.py",
        piece=Body(
            "fold",
            first="for offset in product(*map(range, kernel)):  # one slice "
            "for each place in a window, whatever the number of windows",
            last="out[(..., *places)] += added[(..., *offset)]",
        ),
        reading=("tinygrad_sm/ops/windows.py, its first page", "examples/lenet_1998.py"),
        rows=(16, 46),
        minutes=30,
        task="windows lays a window of K elements at P positions, and fold is its rule: added[..., p, "
        "j] belongs to out[..., stride · p + dilation · j], for each axis. Add all of it into out, "
        "which is zeros. `positions`, `kernel`, `stride` and `dilation` are tuples with one number "
        "for each axis; `product` is that of itertools. One axis first; then write it for several.",
        hints=(
            "An element of x stands in several windows: it adds up what all of them have.",
            "Loop over the places j inside of a window, and do all "
            "positions at once: with a slice whose step is the stride.",
            "For the place j the slice begins at dilation · j and has positions many elements, stride apart.",
        ),
        probes=probes_of_fold,
        mistakes={
            "your answer assigns where windows overlap: an element must add up what all of its windows have": (
                FOLD.format("dilation", ROOM, "stride", "=", "offset")
            ),
            "your answer forgets the stride: the next window must begin stride elements further on": (
                FOLD.format("dilation", "a, a + p", "stride", "+=", "offset")
            ),
            "your answer forgets the dilation: the next element of a window must stand dilation elements further on": (
                FOLD.format("[1] * d", ROOM, "stride", "+=", "offset")
            ),
            "your answer forgets both the stride and the dilation": (
                FOLD.format("[1] * d", "a, a + p", "stride", "+=", "offset")
            ),
            "your answer exchanges stride and dilation: the stride "
            "is from window to window, the dilation inside of one": (
                FOLD.format("stride", ROOM, "dilation", "+=", "offset"),
                "for p in product(*map(range, positions)):\n    for j in product(*map(range, kernel)):\n"
                "        place = tuple(k * a + s * b for k, a, s, b in zip(dilation, p, stride, j, strict=True))\n"
                "        out[(..., *place)] += added[(..., *p, *j)]",
            ),
            "your answer steps by the stride inside of a window too: there the step must be the dilation": (
                FOLD.format("stride", ROOM, "stride", "+=", "offset")
            ),
            "your slices end one window too early: the end of a slice is not part of it": (
                FOLD.format("dilation", "a, a + s * (p - 1), s", "stride", "+=", "offset")
            ),
            "your slices have no end, so they may hold more places than there are windows": (
                FOLD.format("dilation", "a, None, s", "stride", "+=", "offset")
            ),
            "your answer writes the windows mirrored: place j of a window is its j-th from the start": (
                FOLD.format("dilation", ROOM, "stride", "+=", "(k - 1 - i for k, i in zip(kernel, offset))")
            ),
            "your answer uses the first element of each window only: all K of them must be added": (
                "first = (0,) * d\nplaces = [slice(0, s * (p - 1) + 1, s) for s, p in zip(stride, positions)]\n"
                "out[(..., *places)] += added[(..., *first)]"
            ),
            "your answer is a mean over the windows' places: each path must add its whole part": (
                FOLD.format("dilation", ROOM, "stride", "+=", "offset") + " / prod(kernel)"
            ),
            "your answer is right along one axis; windows over several axes need a step in each of them": (
                "for j in range(kernel[-1]):\n"
                "    a = j * dilation[-1]\n"
                "    out[..., a : a + stride[-1] * (positions[-1] - 1) + 1 : stride[-1]] += added[..., j]",
                "for p in range(positions[-1]):\n    for j in range(kernel[-1]):\n"
                "        out[..., stride[-1] * p + dilation[-1] * j] += added[..., p, j]",
                "for p in range(positions[0]):\n    for j in range(kernel[0]):\n"
                "        out[..., stride[0] * p + dilation[0] * j] += added[..., p, j]",
                "for j in range(kernel[0]):\n    a = j * dilation[0]\n"
                "    out[..., a : a + stride[0] * (positions[0] - 1) + 1 : stride[0]] += added[..., j]",
                "for p in range(positions[0]):\n    a = p * stride[0]\n"
                "    out[..., a : a + dilation[0] * (kernel[0] - 1) + 1 : dilation[0]] += added[..., p, :]",
                "xp = array_module(values)\np = xp.arange(positions[0])[:, None]\nj = xp.arange(kernel[0])\n"
                "xp.add.at(out, (..., stride[0] * p + dilation[0] * j), added)",
            ),
            "your answer adds to an array of places at once: += reads all before "
            "it writes, so a place that occurs twice gets one of its values": (
                "xp = array_module(values)\np = xp.arange(positions[0])[:, None]\nj = xp.arange(kernel[0])\n"
                "out[..., stride[0] * p + dilation[0] * j] += added",
                "xp = array_module(values)\np = xp.arange(positions[-1])[:, None]\nj = xp.arange(kernel[-1])\n"
                "out[..., stride[-1] * p + dilation[-1] * j] += added",
            ),
            "your answer leaves the last place of each window out": (
                FOLD.format("dilation", ROOM, "stride", "+=", "offset").replace(
                    "range, kernel", "range, [k - 1 for k in kernel]"
                ),
                "for j in range(kernel[0] - 1):\n    a = j * dilation[0]\n"
                "    out[..., a : a + stride[0] * (positions[0] - 1) + 1 : stride[0]] += added[..., j]",
            ),
            "your answer leaves the last window out": (
                "for p in range(positions[0] - 1):\n    a = p * stride[0]\n"
                "    out[..., a : a + dilation[0] * (kernel[0] - 1) + 1 : dilation[0]] += added[..., p, :]"
            ),
            "your answer takes added by the place for the position, and by the position for the place": (
                "for p in range(positions[0]):\n    for j in range(kernel[0]):\n"
                "        out[..., stride[0] * p + dilation[0] * j] += added[..., j, p]"
            ),
            "your answer leaves out as it was, all zeros": "pass",
            "your slices have no step: two windows must begin stride elements apart": (
                FOLD.format("dilation", "a, a + s * p", "stride", "+=", "offset"),
                FOLD.format("dilation", "a, a + s * (p - 1) + 1", "stride", "+=", "offset"),
            ),
            "your answer has the wrong sign": FOLD.format("dilation", ROOM, "stride", "-=", "offset"),
            "your answer exchanges the axes inside of a window": (
                FOLD.format("dilation", ROOM, "stride", "+=", "offset[::-1]")
            ),
            "your answer multiplies stride and dilation: one is from window to window, the other inside of one": (
                FOLD.format("[s * k for s, k in zip(stride, dilation)]", ROOM, "stride", "+=", "offset")
            ),
            "your answer steps by the dilation from window to window too: there the step must be the stride": (
                FOLD.format("dilation", "a, a + s * (p - 1) + 1, s", "dilation", "+=", "offset")
            ),
            "your answer is right for a stride and a dilation of 1, along one axis": (
                "for j in range(kernel[0]):\n    out[j : j + positions[0]] += added[:, j]",
                "for j in range(kernel[-1]):\n    out[..., j : j + positions[-1]] += added[..., j]",
            ),
            "your slices end at the number of positions: they must end that many strides after their start": (
                FOLD.format("dilation", "a, p, s", "stride", "+=", "offset")
            ),
            "your answer assigns where windows overlap, window by "
            "window: an element must add up what all of its windows have": (
                "for p in product(*map(range, positions)):\n"
                "    steps = zip(p, stride, dilation, kernel)\n"
                "    places = tuple(slice(a * s, a * s + k * (n - 1) + 1, k) for a, s, k, n in steps)\n"
                "    out[(..., *places)] = added[(..., *p, *[slice(None)] * len(p))]"
            ),
        },
    ),
)
