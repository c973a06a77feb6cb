"""Logistic regression with sigmoid, binary cross-entropy and a halved L2 penalty written out."""

import numpy as np

import tinygrad_sm as tg
from tests.look.attempts.marks import attempt


def arrays(v, names):
    """Return the named values of the forward pass as NumPy arrays."""
    return [v[name].numpy() if isinstance(v[name], tg.Tensor) else v[name] for name in names.split()]


def problem():
    """Run the forward pass with tinygrad_sm Tensors; return the loss and all values by name."""
    rng = np.random.default_rng(12)
    N, D, lam = 8, 3, 0.3
    X = rng.standard_normal((N, D))
    y = np.array([1.0, 0.0, 0.0, 1.0, 1.0, 1.0, 0.0, 1.0])
    w = tg.Tensor(rng.standard_normal(D), requires_grad=True)
    b = tg.Tensor(np.float64(0.4), requires_grad=True)
    z = X @ w + b
    e = (-z).exp()
    q = 1 + e
    p = q**-1
    logp = p.log()
    one_minus_p = 1 - p
    log1mp = one_minus_p.log()
    ll = y * logp + (1 - y) * log1mp
    bce = -ll.mean()
    ww = w * w
    reg = 0.5 * lam * ww.sum()
    loss = bce + reg
    return loss, locals()


@attempt(right=["dz", "dw", "db"])
def half_angle_and_loops(v):
    # Never reads p: writes the sigmoid as (1 + tanh(z/2)) / 2, has labels -1 and +1, and adds up example by
    # example.
    X, y, z, w, lam = arrays(v, "X y z w lam")
    t = 2 * y - 1
    dz = -t * 0.5 * (1 - np.tanh(t * z / 2)) / len(t)
    dw, db = lam * w, np.float64(0.0)
    for g, x in zip(dz[::-1], X[::-1], strict=False):
        dw = dw + g * x
        db = db + g
    return {"dz": dz, "dw": dw, "db": db}


@attempt(wrong={"dz": "the slope of the sigmoid, p (1 - p), is applied twice"}, consequence=["dw", "db"])
def slope_on_top_of_the_shortcut(v):
    # Knows the shortcut p - y for cross-entropy, and still multiplies by the sigmoid's slope, as for a squared
    # error.
    X, y, p, w, lam = arrays(v, "X y p w lam")
    dz = (p - y) / len(y) * p * (1 - p)
    return {"dz": dz, "dw": X.T @ dz + lam * w, "db": dz.sum()}


@attempt(wrong={"dw": None}, right=["dz", "db", "dww"])
def penalty_without_the_half(v):
    # Remembers that a square gives 2 w, and takes lam * 2 w, but the forward pass has 0.5 * lam. It looks like
    # a missing factor 2 or like an accumulation done twice, and is a too eager factor 2 on one of two paths.
    X, y, p, w, lam = arrays(v, "X y p w lam")
    dww = np.full(w.shape, 0.5 * lam)
    dz = (p - y) / len(y)
    dw = X.T @ dz
    dw += 2 * lam * w
    return {"dww": dww, "dz": dz, "dw": dw, "db": dz.sum()}


@attempt(
    wrong={"dp": "the sign of the path through 1 - p"},
    right=["dlogp", "dlog1mp", "done_minus_p"],
    consequence=["dq", "de", "dz", "dw", "db"],
)
def loses_the_minus_of_one_minus_p(v):
    # Adds both paths to p, and forgets that 1 - p falls when p rises.
    X, y, z, e, q, p, r, w, lam = arrays(v, "X y z e q p one_minus_p w lam")
    n = len(y)
    dlogp = -y / n
    dlog1mp = -(1 - y) / n
    done_minus_p = dlog1mp / r
    dp = dlogp / p + done_minus_p
    dq = -dp / q**2
    de = dq
    dz = -e * de
    dw = X.T @ dz + lam * w
    return {
        "dlogp": dlogp,
        "dlog1mp": dlog1mp,
        "done_minus_p": done_minus_p,
        "dp": dp,
        "dq": dq,
        "de": de,
        "dz": dz,
        "dw": dw,
        "db": dz.sum(),
    }
