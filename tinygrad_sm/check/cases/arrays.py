"""Rows of the table of op cases: the same values in another shape or order, joined, parted, picked."""

import numpy as np

from tinygrad_sm.check.cases.case import AnyShape, OneOf, anything, case, unary
from tinygrad_sm.ops import composed, indexing, manipulation, shaping, windows

for shapes, shape in (
    ((((2, 6),), ((12,),), ((1, 3, 4),)), (4, 3)),
    ((((2, 6),), ((4, 0),), ((),)), (-1,)),
):
    case(
        shaping.reshape,
        lambda x, shape: x.reshape(shape),
        [anything],
        shapes[0],
        OneOf([*shapes]),
        shape=shape,
    )
unary(shaping.transpose, np.transpose, anything)
case(
    shaping.transpose,
    np.transpose,
    [anything],
    ((2, 3, 4),),
    AnyShape((3, 3), (0, 3)),
    axes=(-1, 0, 1),
)
case(shaping.transpose, np.transpose, [anything], ((3,),), OneOf([((3,),), ((0,),)]), label="transpose int", axes=0)
case(
    composed.swapaxes,
    np.swapaxes,
    [anything],
    ((2, 3, 4),),
    AnyShape((2, 3), (0, 3)),
    axis1=0,
    axis2=-1,
)
case(
    shaping.broadcast_to,
    np.broadcast_to,
    [anything],
    ((3, 1),),
    OneOf([((),), ((4,),), ((3, 1),), ((1, 1),)]),
    shape=(2, 3, 4),
)

INDICES = (
    0,
    -1,
    slice(None, None, -2),
    (slice(1, None), 2),
    (..., 1),
    (None, 1, None, ..., slice(0, 2)),
    np.array([2, 0, 2, 2]),
    [0, 0],
    (np.array([0, 2, 0]), np.array([1, 1, 1])),
    (np.array([[0], [2]]), np.array([0, -1])),
    (slice(None), np.array([1, 1, 0])),
    np.array([], dtype=np.int64),
    np.array([True, False, True]),
    np.arange(12).reshape(3, 4) % 3 == 0,
    (np.array([True, False, True]), np.array([1, 1])),
    ((0, 0, 2), (1, 1, 3)),
    ((0, 0, 2),),
    np.array([0, 0, 2]).view(np.recarray),  # a subclass of ndarray
    (True, 1),
)
for number, index in enumerate(INDICES):
    case(
        indexing.getitem,
        lambda x, index: x[index],
        [anything],
        ((3, 4),),
        OneOf([((3, 4),)]),
        label=f"getitem#{number}",
        index=index,
    )
case(
    indexing.put,
    lambda values, shape, index: np.array([0.0, values[0] + values[2], 0.0, values[1]], values.dtype),
    [anything],
    ((3,),),
    OneOf([((3,),)]),
    shape=(4,),
    index=np.array([1, 3, 1]),
)


def rows(*shapes):
    return shapes[0], OneOf([*shapes])


ARRAYS = rows(((2, 3, 4),), ((1, 3, 2),), ((2, 0, 1),))
for op, oracle, arguments in (
    (composed.moveaxis, np.moveaxis, {"source": 0, "destination": -1}),
    (composed.moveaxis, np.moveaxis, {"source": (-1, 0), "destination": (0, 1)}),
    (composed.expand_dims, np.expand_dims, {"axis": 1}),
    (composed.expand_dims, np.expand_dims, {"axis": (0, -1)}),
    (composed.flip, np.flip, {"axis": 1}),
    (composed.flip, np.flip, {"axis": (0, -1)}),
    (composed.roll, np.roll, {"shift": 4}),
    (composed.roll, np.roll, {"shift": -1, "axis": 1}),
    (composed.roll, np.roll, {"shift": (1, 2), "axis": (0, -1)}),
    (composed.roll, np.roll, {"shift": np.uint8(1), "axis": 1}),  # −1 in uint8 is 255
    (composed.pad, np.pad, {"pad_width": 1}),
    (composed.pad, np.pad, {"pad_width": ((0, 1), (2, 0), (1, 1)), "constant_values": 1.5}),
):
    case(op, oracle, [anything], *ARRAYS, **arguments)
for mode, pad_width in (("edge", 1), ("reflect", (2, 1)), ("symmetric", ((0, 1), (3, 0))), ("wrap", ((0, 0), (4, 1)))):
    case(composed.pad, np.pad, [anything], *rows(((2, 3),), ((3, 2),)), label="pad", pad_width=pad_width, mode=mode)
unary(composed.flip, np.flip, anything)
unary(composed.squeeze, np.squeeze, anything)
case(composed.squeeze, np.squeeze, [anything], *rows(((1, 3, 1),), ((1, 2, 1),), ((1, 0, 1),)), axis=(0, -1))
case(composed.squeeze, np.squeeze, [anything], *rows(((2, 1, 3),)), axis=1)
for axis in (0, -1, None):
    case(
        lambda a, b, c, axis: composed.concatenate([a, b, c], axis),
        lambda a, b, c, axis: np.concatenate([a, b, c], axis),
        [anything] * 3,
        *rows(((2, 3), (2, 3), (2, 3)), ((1, 1), (1, 1), (1, 1)), ((0, 2), (0, 2), (0, 2))),
        label="concatenate",
        axis=axis,
    )
    case(
        lambda a, b, axis: composed.stack([a, b, a], axis or 0),
        lambda a, b, axis: np.stack([a, b, a], axis or 0),
        [anything] * 2,
        *rows(((2, 3), (2, 3)), ((), ())) if axis != -1 else rows(((2, 3), (2, 3))),
        label="stack",
        axis=axis,
    )
case(
    lambda a, b: composed.concatenate([a, b], 1),
    lambda a, b: np.concatenate([a, b], 1),
    [anything] * 2,
    *rows(((2, 3), (2, 1)), ((2, 0), (2, 2))),
    label="concatenate of unequal lengths",
)
for parts, part in ((2, 1), ([1, 3], 1), ([0, 5], 1), ([3, 1], -1), ([-3, -1], 0), (np.array([1, 3], np.uint8), 1)):
    case(
        lambda x, parts, part: composed.split(x, parts, axis=1)[part],
        lambda x, parts, part: np.split(x, parts, axis=1)[part],
        [anything],
        *rows(((2, 4),), ((0, 4),)),
        label="split",
        parts=parts,
        part=part,
    )
for axis in (0, -1, None):
    case(
        composed.take, np.take, [anything], *rows(((3, 3),), ((4, 3),)), indices=np.array([[0, 2], [2, -1]]), axis=axis
    )
case(composed.take, np.take, [anything], *rows(((3, 2),), ((3,),)), label="take one", indices=1, axis=0)
BOOLEANS = np.array([True, False, True])  # the integers 1, 0, 1
case(composed.take, np.take, [anything], *rows(((3, 2),)), label="take booleans", indices=BOOLEANS, axis=0)
PLACES = np.array([[0, 2, 2], [1, 0, -1]])
for places, axis in ((PLACES, 1), (PLACES[:, :1], -1), (PLACES[0], None)):
    case(composed.take_along_axis, np.take_along_axis, [anything], *rows(((2, 3),)), indices=places, axis=axis)


def sliding(x, shape, stride=1, dilation=1):
    """Take NumPy's view of longer windows, with a stride of 1, and leave out of it what lies between."""
    (d,) = np.atleast_1d(shape).shape
    lengths, stride, dilation = (np.broadcast_to(n, d) for n in (shape, stride, dilation))
    view = np.lib.stride_tricks.sliding_window_view(x, dilation * (lengths - 1) + 1, tuple(range(-d, 0)))
    return view[(..., *(slice(None, None, step) for step in (*stride, *dilation)))]


def folded_by_places(values, shape, stride, dilation):
    out = np.zeros((len(values), shape[0]), values.dtype)
    for p, j in np.ndindex(values.shape[1:]):
        out[:, stride * p + dilation * j] += values[:, p, j]
    return out


SEQUENCES, IMAGES = rows(((2, 5),), ((6,),), ((0, 4),)), rows(((2, 5, 4),), ((3, 4),), ((1, 2, 6, 5),))
for shapes, arguments in (
    (SEQUENCES, {"shape": 3}),
    (SEQUENCES, {"shape": (2,), "stride": 2, "dilation": 2}),
    (IMAGES, {"shape": (2, 3), "stride": (1, 2)}),
    (IMAGES, {"shape": (2, 2), "stride": 2, "dilation": (2, 1)}),
):
    case(windows.windows, sliding, [anything], *shapes, **arguments)
case(windows.fold, folded_by_places, [anything], *rows(((2, 3, 2),), ((1, 3, 3),)), shape=(7,), stride=2, dilation=1)

unary(composed.ravel, np.ravel, anything)
case(manipulation.atleast_1d, np.atleast_1d, [anything], ((),), AnyShape())
case(manipulation.atleast_2d, np.atleast_2d, [anything], ((3,),), AnyShape())
for op, oracle, shapes in (
    (manipulation.hstack, np.hstack, rows(((2, 3), (2, 1)), ((3,), (2,)), ((), ()), ((1, 0, 2), (1, 2, 2)))),
    (manipulation.vstack, np.vstack, rows(((2, 3), (1, 3)), ((3,), (3,)), ((), ()), ((2,), (0, 2)))),
):
    case(
        lambda a, b, op=op: op([a, b]),
        lambda a, b, oracle=oracle: oracle([a, b]),
        [anything] * 2,
        *shapes,
        label=op.__name__,
    )
for repeats, axis in ((2, None), (3, 0), ([1, 0, 2], -1), (np.array([2], np.uint8), 1)):
    case(manipulation.repeat, np.repeat, [anything], *rows(((2, 3),), ((1, 3),)), repeats=repeats, axis=axis)
case(manipulation.repeat, np.repeat, [anything], *rows(((2, 3),), ((),), ((0, 2),)), repeats=2)
for reps in (2, (2, 1, 3), (0, 2)):
    case(manipulation.tile, np.tile, [anything], *rows(((2, 3),), ((3,),), ((),), ((0, 2),)), reps=reps)
for k in (0, 1, -2):
    case(manipulation.diag, np.diag, [anything], *rows(((3,),), ((2, 3),), ((3, 2),), ((0,),), ((0, 2),)), k=k)
    for op, oracle in ((manipulation.tril, np.tril), (manipulation.triu, np.triu)):
        case(op, oracle, [anything], *rows(((2, 3),), ((2, 3, 2),), ((3,),), ((0, 2),)), k=k)
for offset, axis1, axis2 in ((0, 0, 1), (1, -1, 0), (-1, 1, 2), (9, 0, 1)):
    case(
        manipulation.diagonal,
        np.diagonal,
        [anything],
        *rows(((2, 3, 2),), ((3, 2, 4),), ((2, 0, 1),)),
        offset=offset,
        axis1=axis1,
        axis2=axis2,
    )
for shapes, places in ((rows(((3, 3),), ((2, 4),)), {}), (rows(((2, 3, 2),)), {"offset": 1, "axis1": -1, "axis2": 0})):
    case(manipulation.trace, lambda x, **places: np.asarray(np.trace(x, **places)), [anything], *shapes, **places)
