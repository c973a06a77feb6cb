"""A residual block out = x + relu(x W1 + b1) W2 + b2 with all sizes 4, and a halved squared error."""

import numpy as np

import tinygrad_sm as tg
from tests.look.attempts.marks import attempt


def arrays(v, names):
    """Return the named values of the forward pass as NumPy arrays."""
    return [v[name].numpy() if isinstance(v[name], tg.Tensor) else v[name] for name in names.split()]


def problem():
    """Run the forward pass with tinygrad_sm Tensors; return the loss and all values by name."""
    rng = np.random.default_rng(15)
    N, D = 4, 4
    X = rng.standard_normal((N, 3))
    T = rng.standard_normal((N, D))
    W0 = tg.Tensor(rng.standard_normal((3, D)), requires_grad=True)
    W1 = tg.Tensor(rng.standard_normal((D, D)) * 0.7, requires_grad=True)
    b1 = tg.Tensor(rng.standard_normal(D) * 0.3, requires_grad=True)
    W2 = tg.Tensor(rng.standard_normal((D, D)) * 0.7, requires_grad=True)
    b2 = tg.Tensor(rng.standard_normal(D) * 0.3, requires_grad=True)
    x = X @ W0
    a = x @ W1 + b1
    r = a.relu()
    f = r @ W2 + b2
    out = x + f
    diff = out - T
    diff2 = diff * diff
    loss = 0.5 / N * diff2.sum()
    return loss, locals()


@attempt(wrong={"dout": None}, right=["dr", "da", "dW1", "db1", "dx", "dW0"], consequence=["dW2", "db2"])
def plus_equals_on_an_alias(v):
    # Starts dx as dout without a copy; the += for the second path then changes dout also, before dW2 is
    # computed. It looks like an accumulation done at the wrong place; each formula is right, and dr, da and dx
    # are right.
    X, x, a, r, diff, W1, W2 = arrays(v, "X x a r diff W1 W2")
    dout = diff / len(X)
    dx = dout
    dr = dout @ W2.T
    da = dr * (a > 0)
    dx += da @ W1.T
    dW2, db2 = r.T @ dout, dout.sum(0)
    dW1, db1 = x.T @ da, da.sum(0)
    return {"dout": dout, "dr": dr, "da": da, "dx": dx, "dW2": dW2, "db2": db2, "dW1": dW1, "db1": db1, "dW0": X.T @ dx}


@attempt(
    wrong={"dx": "the path of the skip connection is not added"},
    right=["dout", "df", "dW2", "db2", "dr", "da", "dW1", "db1"],
    consequence=["dW0"],
)
def forgets_the_skip(v):
    # Walks back through the two layers only; x is used twice, and the sum x + f is forgotten.
    X, x, a, r, diff, W1, W2 = arrays(v, "X x a r diff W1 W2")
    dout = diff / len(X)
    df = dout
    dW2, db2 = r.T @ df, df.sum(0)
    dr = df @ W2.T
    da = dr * (a > 0)
    dW1, db1 = x.T @ da, da.sum(0)
    dx = da @ W1.T
    return {
        "dout": dout,
        "df": df,
        "dW2": dW2,
        "db2": db2,
        "dr": dr,
        "da": da,
        "dW1": dW1,
        "db1": db1,
        "dx": dx,
        "dW0": X.T @ dx,
    }


@attempt(right=["ddiff", "dout", "df", "dW2", "db2", "dr", "da", "dW1", "db1", "dx", "dW0"])
def all_in_float32(v):
    # Right throughout, but every array is made float32 first: agrees to about 1e-6 only.
    X, x, a, r, diff, W1, W2 = (array.astype(np.float32) for array in arrays(v, "X x a r diff W1 W2"))
    ddiff = diff / np.float32(len(X))
    dout = ddiff
    df = dout.copy()
    dW2, db2 = r.T @ df, df.sum(0)
    dr = df @ W2.T
    da = dr * (r > 0)
    dW1, db1 = x.T @ da, da.sum(0)
    dx = dout + da @ W1.T
    return {
        "ddiff": ddiff,
        "dout": dout,
        "df": df,
        "dW2": dW2,
        "db2": db2,
        "dr": dr,
        "da": da,
        "dW1": dW1,
        "db1": db1,
        "dx": dx,
        "dW0": X.T @ dx,
    }
