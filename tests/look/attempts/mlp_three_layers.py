"""An MLP with three layers (tanh, relu, linear) and a mean squared error; batch and both hidden widths are 5."""

import numpy as np

import tinygrad_sm as tg
from tests.look.attempts.marks import attempt


def arrays(v, names):
    """Return the named values of the forward pass as NumPy arrays."""
    return [v[name].numpy() if isinstance(v[name], tg.Tensor) else v[name] for name in names.split()]


def problem():
    """Run the forward pass with tinygrad_sm Tensors; return the loss and all values by name."""
    rng = np.random.default_rng(13)
    N, D, H, C = 5, 4, 5, 2
    X = rng.standard_normal((N, D))
    Y = rng.standard_normal((N, C))
    W1 = tg.Tensor(rng.standard_normal((D, H)) * 0.6, requires_grad=True)
    b1 = tg.Tensor(rng.standard_normal(H) * 0.3, requires_grad=True)
    W2 = tg.Tensor(rng.standard_normal((H, H)) * 0.7, requires_grad=True)
    b2 = tg.Tensor(rng.standard_normal(H) * 0.3, requires_grad=True)
    W3 = tg.Tensor(rng.standard_normal((H, C)) * 0.7, requires_grad=True)
    b3 = tg.Tensor(rng.standard_normal(C) * 0.3, requires_grad=True)
    h1pre = X @ W1 + b1
    h1 = h1pre.tanh()
    h2pre = h1 @ W2 + b2
    h2 = h2pre.relu()
    out = h2 @ W3 + b3
    diff = out - Y
    sq = diff * diff
    loss = sq.mean()
    return loss, locals()


NAMES = "X Y W1 W2 W3 h1pre h1 h2pre h2 out diff"


@attempt(right=["ddiff", "dout", "dW3", "db3", "dh2", "dh2pre", "dW2", "db2", "dh1", "dh1pre", "dW1", "db1"])
def diff_over_N(v):
    # Sees that 2 / (5 * 2) is 1 / 5, so writes diff / N: right here, because there are just two outputs.
    X, Y, W1, W2, W3, h1pre, h1, h2pre, h2, out, diff = arrays(v, NAMES)
    ddiff = diff / len(X)
    dout = ddiff
    dW3, db3 = h2.T @ dout, dout.sum(0)
    dh2 = dout @ W3.T
    dh2pre = np.where(h2 == 0, 0, dh2)
    dW2, db2 = h1.T @ dh2pre, dh2pre.sum(0)
    dh1 = dh2pre @ W2.T
    dh1pre = dh1 / np.cosh(h1pre) ** 2
    dW1, db1 = X.T @ dh1pre, dh1pre.sum(0)
    return {
        "ddiff": ddiff,
        "dout": dout,
        "dW3": dW3,
        "db3": db3,
        "dh2": dh2,
        "dh2pre": dh2pre,
        "dW2": dW2,
        "db2": db2,
        "dh1": dh1,
        "dh1pre": dh1pre,
        "dW1": dW1,
        "db1": db1,
    }


@attempt(
    wrong={"dsq": None},
    consequence=["ddiff", "dout", "dW3", "db3", "dh2", "dh2pre", "dW2", "db2", "dh1", "dh1pre", "dW1", "db1"],
)
def mean_over_the_rows_only(v):
    # Divides by the 5 rows, but the mean is over all 10 numbers: each gradient is twice too large. It looks
    # like a factor 2 of the square that is there twice; the square's step is right.
    X, Y, W1, W2, W3, h1pre, h1, h2pre, h2, out, diff = arrays(v, NAMES)
    dsq = np.ones_like(diff) / len(X)
    ddiff = 2 * diff * dsq
    dout = ddiff
    dW3, db3 = h2.T @ dout, dout.sum(0)
    dh2 = dout @ W3.T
    dh2pre = dh2 * (h2pre > 0)
    dW2, db2 = h1.T @ dh2pre, dh2pre.sum(0)
    dh1 = dh2pre @ W2.T
    dh1pre = dh1 * (1 - h1**2)
    dW1, db1 = X.T @ dh1pre, dh1pre.sum(0)
    return {
        "dsq": dsq,
        "ddiff": ddiff,
        "dout": dout,
        "dW3": dW3,
        "db3": db3,
        "dh2": dh2,
        "dh2pre": dh2pre,
        "dW2": dW2,
        "db2": db2,
        "dh1": dh1,
        "dh1pre": dh1pre,
        "dW1": dW1,
        "db1": db1,
    }


@attempt(
    wrong={"dh2pre": None}, right=["dout", "dW3", "dh2"], consequence=["dW2", "db2", "dh1", "dh1pre", "dW1", "db1"]
)
def mask_of_the_layer_before(v):
    # A slip of a digit: the relu mask is taken from h1, which has the same shape, not from h2.
    X, Y, W1, W2, W3, h1pre, h1, h2pre, h2, out, diff = arrays(v, NAMES)
    dout = 2 * diff / diff.size
    dW3 = h2.T @ dout
    dh2 = dout @ W3.T
    dh2pre = dh2 * (h1 > 0)
    dW2, db2 = h1.T @ dh2pre, dh2pre.sum(0)
    dh1 = dh2pre @ W2.T
    dh1pre = dh1 * (1 - h1**2)
    dW1, db1 = X.T @ dh1pre, dh1pre.sum(0)
    return {
        "dout": dout,
        "dW3": dW3,
        "dh2": dh2,
        "dh2pre": dh2pre,
        "dW2": dW2,
        "db2": db2,
        "dh1": dh1,
        "dh1pre": dh1pre,
        "dW1": dW1,
        "db1": db1,
    }


@attempt(
    wrong={"dh1": "W2 is used without its transpose"},
    right=["dout", "dh2", "dh2pre", "dW2", "db2"],
    consequence=["dh1pre", "dW1", "db1"],
)
def W2_is_square_anyway(v):
    # Transposes W3, since the shapes demand it, and not W2, since the shapes fit without.
    X, Y, W1, W2, W3, h1pre, h1, h2pre, h2, out, diff = arrays(v, NAMES)
    dout = 2 * diff / diff.size
    dh2 = dout @ W3.T
    dh2pre = dh2 * (h2pre > 0)
    dW2, db2 = h1.T @ dh2pre, dh2pre.sum(0)
    dh1 = dh2pre @ W2
    dh1pre = dh1 * (1 - h1**2)
    dW1, db1 = X.T @ dh1pre, dh1pre.sum(0)
    return {
        "dout": dout,
        "dh2": dh2,
        "dh2pre": dh2pre,
        "dW2": dW2,
        "db2": db2,
        "dh1": dh1,
        "dh1pre": dh1pre,
        "dW1": dW1,
        "db1": db1,
    }


@attempt(wrong={"dh1pre": None}, right=["dout", "dh2", "dh2pre", "dW2", "db2", "dh1"], consequence=["dW1", "db1"])
def bracket_in_the_wrong_place(v):
    # Writes the slope of tanh as (1 - h1)**2: one bracket from right. It looks like a slope with the pre-
    # activation in place of the activation; the variable is right.
    X, Y, W1, W2, W3, h1pre, h1, h2pre, h2, out, diff = arrays(v, NAMES)
    dout = 2 * diff / diff.size
    dh2 = dout @ W3.T
    dh2pre = dh2 * (h2pre > 0)
    dW2, db2 = h1.T @ dh2pre, dh2pre.sum(0)
    dh1 = dh2pre @ W2.T
    dh1pre = dh1 * (1 - h1) ** 2
    dW1, db1 = X.T @ dh1pre, dh1pre.sum(0)
    return {
        "dout": dout,
        "dh2": dh2,
        "dh2pre": dh2pre,
        "dW2": dW2,
        "db2": db2,
        "dh1": dh1,
        "dh1pre": dh1pre,
        "dW1": dW1,
        "db1": db1,
    }
