"""Operations that random programs are drawn from: how many operands each has, and what arguments suit them."""

import numpy as np

import tinygrad_sm as tg
from tinygrad_sm.ops.linalg import linear
from tinygrad_sm.ops.softmax import cross_entropy


def always(random, *arrays):
    return {}


def when(condition):
    return lambda random, *arrays: {} if condition(*arrays) else None


def off_kinks(random, *arrays):
    """Draw an offset that lies in a gap of the values: of x, or of the difference of a and b."""
    x = np.sort(np.ravel(arrays[0] if len(arrays) == 1 else arrays[0] - arrays[1]))
    x = np.concatenate([[x[0] - 1], x, [x[-1] + 1]])
    gaps = np.flatnonzero(np.diff(x) > 0.1)
    at = random.choice(gaps)
    return {"offset": float(x[at] + x[at + 1]) / 2}


def an_axis(random, x):
    return {"axis": int(random.integers(-x.ndim, x.ndim))} if x.ndim else None


def axis_or_none(random, x):
    return {"axis": None} if random.random() < 0.3 else an_axis(random, x)


def axes(random, x):
    """Draw what a reduction is given: None, an int, or a tuple."""
    kind = random.integers(3)
    chosen = random.permutation(x.ndim)[: random.integers(x.ndim + 1)].tolist()
    axis = None if kind == 0 or not x.ndim else chosen[0] - x.ndim if kind == 1 and chosen else tuple(chosen)
    return {"axis": axis, "keepdims": bool(random.integers(2))}


def axes_without_ties(sign):
    def drawn(random, x):
        static = axes(random, x)
        best = (sign * x).max(axis=static["axis"], keepdims=True)
        return static if np.sum(sign * x > best - 0.1) == best.size else None

    return drawn


def axes_of_spread(random, x):
    static = axes(random, x)
    return static if np.all(x.std(axis=static["axis"]) > 0.1) else None


def axes_of_length(random, x):
    static = axes(random, x)
    return static if np.all(np.square(x).sum(axis=static["axis"]) > 0.1) else None


def a_shape(random, x):
    divisors = [n for n in range(1, x.size + 1) if x.size % n == 0]
    first = int(random.choice(divisors))
    return {"shape": [(first, -1), (-1, first), (-1,), (1, first, x.size // first)][random.integers(4)]}


def an_order(random, x):
    return {"axes": None if random.random() < 0.3 else tuple((random.permutation(x.ndim) - x.ndim).tolist())}


def two_axes(random, x):
    return dict(zip(("axis1", "axis2"), random.integers(-x.ndim, x.ndim, 2).tolist(), strict=True)) if x.ndim else None


def moved_axes(random, x):
    return (
        dict(zip(("source", "destination"), random.integers(-x.ndim, x.ndim, 2).tolist(), strict=True))
        if x.ndim
        else None
    )


def a_larger_shape(random, x):
    widened = tuple(int(random.integers(1, 4)) if n == 1 else n for n in x.shape)
    return {"shape": (int(random.integers(1, 3)), *widened) if random.integers(2) else widened}


def a_border(random, x):
    return {"pad_width": random.integers(0, 2, (x.ndim, 2)).tolist(), "constant_values": 0.5} if x.ndim else None


def a_shift(random, x):
    static = axis_or_none(random, x)
    return static and {"shift": int(random.integers(-3, 4)), **static}


def an_index(random, x):
    """Draw slices, integer arrays with repeats, masks, None, and mixtures of these."""
    if not x.ndim:
        return {"index": [(), None, (..., None)][random.integers(3)]}
    if random.random() < 0.2:
        mask = random.random(x.shape) < 0.6
        return {"index": mask} if mask.any() else None
    lengths = (int(random.integers(1, 4)),) if random.integers(2) else (2, int(random.integers(1, 3)))
    index = []
    for n in x.shape:
        a, b = sorted(random.integers(0, n + 1, 2).tolist())
        kind = random.integers(6)
        if kind == 0:
            index.append(int(random.integers(-n, n)))
        elif kind == 1:
            index.append(random.integers(-n, n, lengths))
        elif kind == 2:
            index.append(slice(a, b) if a < b else slice(None, None, -1))
        elif kind == 3:
            index += [None, slice(None)]
        else:
            index.append(slice(None, None, int(random.choice([1, 2, -1, -2]))))
    return {"index": tuple(index)}


def indices_along(random, x):
    static = axis_or_none(random, x)
    n = x.size if static and static["axis"] is None else x.shape[static["axis"]] if static else 0
    return static and {"indices": random.integers(-n, n, (2, int(random.integers(1, 3)))), **static}


def places_along(random, x):
    static = an_axis(random, x)
    return static and {"indices": random.integers(-x.shape[static["axis"]], x.shape[static["axis"]], x.shape), **static}


def a_part(random, x):
    static = an_axis(random, x)
    return static and {"at": int(random.integers(0, x.shape[static["axis"]])), **static}


def joined(random, *arrays):
    shapes = {x.shape for x in arrays}
    return an_axis(random, arrays[0]) if len(shapes) == 1 else None


def a_mask(random, a, b):
    return {"condition": random.random(np.broadcast_shapes(a.shape, b.shape)) < 0.5}


def bounds(random, x):
    return dict(zip(("low", "high"), sorted(off_kinks(random, x)["offset"] for _ in range(2)), strict=True))


def labels(random, x):
    return {"labels": random.integers(0, x.shape[1], x.shape[0])} if x.ndim == 2 else None


FORMULAS = (
    *("ij->j", "ij->ji", "ii->i", "ii", "iji->j", "ijk->ki", "...i->...", "i->", "...->..."),
    *(
        "i,i",
        "i,j->ji",
        "ij,jk->ik",
        "ij,kj",
        "ij,ij->i",
        "ijk,kj->i",
        "...i,i->...",
        "ij,j",
        ",ij->ji",
        "...j,jk->...k",
    ),
    *("i,ij,j", "ij,jk,kl->il", "i,j,k->kij"),
)


def a_formula(random, *arrays):
    formula = str(random.choice([f for f in FORMULAS if f.count(",") == len(arrays) - 1]))
    try:
        np.einsum(formula, *arrays)
    except ValueError:
        return None
    return {"formula": formula}


def small(x):
    return np.abs(x).max() < 2.5


def einsum(*xs, formula):
    return tg.einsum(formula, *xs)


OPERATIONS = {  # name: how many operands, what static arguments suit them (None if they do not fit), the operation
    "negative": (1, always, tg.negative),
    "exp": (1, when(small), tg.exp),
    "expm1": (1, when(small), tg.expm1),
    "log": (1, when(lambda x: x.min() > 0.2), tg.log),
    "log1p": (1, when(lambda x: x.min() > -0.7), tg.log1p),
    "sqrt": (1, when(lambda x: x.min() > 0.2), tg.sqrt),
    "sin": (1, always, tg.sin),
    "cos": (1, always, tg.cos),
    "tanh": (1, when(small), tg.tanh),
    "arctan": (1, always, tg.arctan),
    "sigmoid": (1, always, tg.sigmoid),
    "softplus": (1, always, tg.softplus),
    "gelu": (1, always, tg.gelu),
    "square": (1, always, tg.square),
    "abs": (1, off_kinks, lambda x, offset: tg.abs(x - offset)),
    "relu": (1, off_kinks, lambda x, offset: tg.relu(x - offset)),
    "sign": (1, off_kinks, lambda x, offset: tg.sign(x - offset) * x),
    "clip": (1, bounds, lambda x, low, high: tg.clip(x, low, high)),
    "whole power": (1, lambda random, x: {"b": int(random.integers(0, 4))}, lambda x, b: x**b),
    "scalars": (1, when(lambda x: np.abs(x).min() > 0.3), lambda x: 2 / x - (1 - x) * 0.5),
    "add": (2, always, tg.add),
    "subtract": (2, always, tg.subtract),
    "multiply": (2, always, tg.multiply),
    "divide": (2, when(lambda a, b: np.abs(b).min() > 0.3), tg.divide),
    "power": (2, when(lambda a, b: a.min() > 0.3 and small(a) and small(b)), tg.power),
    "maximum": (2, off_kinks, lambda a, b, offset: tg.maximum(a - offset, b)),
    "minimum": (2, off_kinks, lambda a, b, offset: tg.minimum(a - offset, b)),
    "where": (2, a_mask, lambda a, b, condition: tg.where(condition, a, b)),
    "sum": (1, axes, tg.sum),
    "mean": (1, axes, tg.mean),
    "var": (1, axes, tg.var),
    "std": (1, axes_of_spread, tg.std),
    "norm": (1, axes_of_length, lambda x, axis, keepdims: tg.norm(x, axis=axis, keepdims=keepdims)),
    "prod": (1, axes, tg.prod),
    "max": (1, axes_without_ties(1), tg.max),
    "min": (1, axes_without_ties(-1), tg.min),
    "logsumexp": (1, axes, tg.logsumexp),
    "cumsum": (1, axis_or_none, tg.cumsum),
    "softmax": (1, an_axis, tg.softmax),
    "log_softmax": (1, an_axis, tg.log_softmax),
    "cross_entropy": (1, labels, lambda x, labels: cross_entropy(x, labels)),
    "matmul": (2, when(lambda a, b: a.ndim and b.ndim and a.shape[-1] == b.shape[-min(b.ndim, 2)]), lambda a, b: a @ b),
    "linear": (
        2,
        when(lambda x, w: x.ndim and w.ndim == 2 and x.shape[-1] == w.shape[1]),
        lambda x, w: linear(x, w, w[:, 0]),
    ),
    "outer": (2, always, tg.outer),
    "einsum of 1": (1, a_formula, einsum),
    "einsum of 2": (2, a_formula, einsum),
    "einsum of 3": (3, a_formula, einsum),
    "reshape": (1, a_shape, tg.reshape),
    "transpose": (1, an_order, tg.transpose),
    "swapaxes": (1, two_axes, tg.swapaxes),
    "moveaxis": (1, moved_axes, tg.moveaxis),
    "squeeze": (1, always, tg.squeeze),
    "expand_dims": (1, lambda random, x: {"axis": int(random.integers(-x.ndim - 1, x.ndim + 1))}, tg.expand_dims),
    "broadcast_to": (1, a_larger_shape, tg.broadcast_to),
    "flip": (1, axis_or_none, tg.flip),
    "roll": (1, a_shift, tg.roll),
    "pad": (1, a_border, tg.pad),
    "split": (1, a_part, lambda x, at, axis: tg.split(x, [at, at + 1], axis)[1]),
    "getitem": (1, an_index, lambda x, index: x[index]),
    "take": (1, indices_along, tg.take),
    "take_along_axis": (1, places_along, tg.take_along_axis),
    "concatenate": (3, joined, lambda *xs, axis: tg.concatenate(xs, axis)),
    "stack": (2, joined, lambda *xs, axis: tg.stack(xs, axis)),
    "scale": (1, lambda random, x: None, lambda x, factor: x * factor),  # drawn where values became large
}
