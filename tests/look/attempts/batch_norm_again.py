"""Batch norm written out (variance with N - 1) between a linear layer and tanh, then cross-entropy."""

import numpy as np

import tinygrad_sm as tg
from tests.look.attempts.marks import attempt


def arrays(v, names):
    """Return the named values of the forward pass as NumPy arrays."""
    return [v[name].numpy() if isinstance(v[name], tg.Tensor) else v[name] for name in names.split()]


def problem():
    """Run the forward pass with tinygrad_sm Tensors; return the loss and all values by name."""
    rng = np.random.default_rng(14)
    N, D, H, C, eps = 6, 5, 4, 3, 1e-3
    X = rng.standard_normal((N, D))
    y = np.array([0, 2, 1, 2, 2, 0])
    W1 = tg.Tensor(rng.standard_normal((D, H)) * 0.5, requires_grad=True)
    b1 = tg.Tensor(rng.standard_normal(H) * 0.1, requires_grad=True)
    bngain = tg.Tensor(1 + 0.2 * rng.standard_normal((1, H)), requires_grad=True)
    bnbias = tg.Tensor(0.2 * rng.standard_normal((1, H)), requires_grad=True)
    W2 = tg.Tensor(rng.standard_normal((H, C)), requires_grad=True)
    b2 = tg.Tensor(rng.standard_normal(C) * 0.1, requires_grad=True)
    hprebn = X @ W1 + b1
    bnmeani = 1 / N * hprebn.sum(axis=0, keepdims=True)
    bndiff = hprebn - bnmeani
    bndiff2 = bndiff**2
    bnvar = 1 / (N - 1) * bndiff2.sum(axis=0, keepdims=True)
    bnvar_inv = (bnvar + eps) ** -0.5
    bnraw = bndiff * bnvar_inv
    hpre = bngain * bnraw + bnbias
    h = hpre.tanh()
    logits = h @ W2 + b2
    logprobs = logits.log_softmax(axis=1)
    loss = -logprobs[np.arange(N), y].mean()
    return loss, locals()


def to_hpre(v):
    """Return the first, right half of the walk back, which all these learners share."""
    y, logprobs, h, W2 = arrays(v, "y logprobs h W2")
    n = len(y)
    dlogits = np.exp(logprobs)
    dlogits[range(n), y] -= 1
    dlogits /= n
    dh = dlogits @ W2.T
    return {"dlogits": dlogits, "dW2": h.T @ dlogits, "db2": dlogits.sum(0), "dh": dh, "dhpre": dh * (1 - h**2)}


BN = "X bngain bnraw bnvar_inv bnvar bndiff eps"
FIRST = ["dlogits", "dW2", "db2", "dh", "dhpre"]


@attempt(right=[*FIRST, "dbngain", "dbnbias", "dhprebn", "dW1", "db1"])
def as_a_projection(v):
    # Builds the whole Jacobian of one column of the norm, (I - 1/n) and a rank-one part, and multiplies by it
    # column by column.
    X, gain, raw, inv, var, diff, eps = arrays(v, BN)
    d = to_hpre(v)
    n = len(X)
    center = np.eye(n) - np.full((n, n), 1 / n)
    dhprebn = np.empty_like(diff)
    for j in range(diff.shape[1]):
        r = raw[:, j]
        J = inv[0, j] * (center - np.outer(r, r) / (n - 1))
        dhprebn[:, j] = gain[0, j] * (J @ d["dhpre"][:, j])
    dbngain = np.einsum("nh,nh->h", d["dhpre"], raw)[None, :]
    dbnbias = np.ones((1, n)) @ d["dhpre"]
    db1 = np.zeros(diff.shape[1])  # the mean takes every constant away
    return dict(**d, dbngain=dbngain, dbnbias=dbnbias, dhprebn=dhprebn, dW1=X.T @ dhprebn, db1=db1)


@attempt(
    wrong={"dbndiff2": "1/N for the variance, where the forward pass has 1/(N - 1)"},
    right=[*FIRST, "dbngain", "dbnbias", "dbnraw", "dbnvar_inv", "dbnvar", "dbnmeani"],
    consequence=["dbndiff", "dhprebn", "dW1"],
)
def variance_with_one_over_n(v):
    # Thinks of a variance as a mean of squares, so spreads 1/N. dbnmeani is right all the same: bndiff sums to
    # nought.
    X, gain, raw, inv, var, diff, eps = arrays(v, BN)
    d = to_hpre(v)
    n = len(X)
    dbngain = (raw * d["dhpre"]).sum(0, keepdims=True)
    dbnbias = d["dhpre"].sum(0, keepdims=True)
    dbnraw = gain * d["dhpre"]
    dbnvar_inv = (diff * dbnraw).sum(0, keepdims=True)
    dbnvar = -0.5 * (var + eps) ** -1.5 * dbnvar_inv
    dbndiff2 = (1.0 / n) * np.ones_like(diff) * dbnvar
    dbndiff = inv * dbnraw + 2 * diff * dbndiff2
    dbnmeani = -dbndiff.sum(0, keepdims=True)
    dhprebn = dbndiff + 1.0 / n * np.ones_like(diff) * dbnmeani
    return dict(
        **d,
        dbngain=dbngain,
        dbnbias=dbnbias,
        dbnraw=dbnraw,
        dbnvar_inv=dbnvar_inv,
        dbnvar=dbnvar,
        dbndiff2=dbndiff2,
        dbndiff=dbndiff,
        dbnmeani=dbnmeani,
        dhprebn=dhprebn,
        dW1=X.T @ dhprebn,
    )


@attempt(
    wrong={"dhprebn": None},
    right=[*FIRST, "dbngain", "dbnbias", "dbnraw", "dbnvar_inv", "dbnvar", "dbndiff2", "dbndiff", "dbnmeani"],
    consequence=["dW1", "db1"],
)
def mean_with_n_minus_one(v):
    # Has just learned of Bessel's correction and uses n - 1 for the mean too. It looks like the classic
    # confusion of N and N - 1 in the variance; the variance's step is right.
    X, gain, raw, inv, var, diff, eps = arrays(v, BN)
    d = to_hpre(v)
    n = len(X)
    dbngain = (raw * d["dhpre"]).sum(0, keepdims=True)
    dbnbias = d["dhpre"].sum(0, keepdims=True)
    dbnraw = gain * d["dhpre"]
    dbnvar_inv = (diff * dbnraw).sum(0, keepdims=True)
    dbnvar = -0.5 * inv**3 * dbnvar_inv
    dbndiff2 = np.broadcast_to(dbnvar / (n - 1), diff.shape)
    dbndiff = inv * dbnraw + 2 * diff * dbndiff2
    dbnmeani = -dbndiff.sum(0, keepdims=True)
    dhprebn = dbndiff + dbnmeani / (n - 1)
    return dict(
        **d,
        dbngain=dbngain,
        dbnbias=dbnbias,
        dbnraw=dbnraw,
        dbnvar_inv=dbnvar_inv,
        dbnvar=dbnvar,
        dbndiff2=dbndiff2,
        dbndiff=dbndiff,
        dbnmeani=dbnmeani,
        dhprebn=dhprebn,
        dW1=X.T @ dhprebn,
        db1=dhprebn.sum(0),
    )


@attempt(
    wrong={"dbndiff": "the path through the square (the variance) is not added"},
    right=[*FIRST, "dbngain", "dbnbias", "dbnraw", "dbnmeani"],
    consequence=["dhprebn", "dW1"],
)
def variance_as_a_constant(v):
    # Thinks of the variance as a fixed number. The mean's gradient is right all the same: the lost part sums to
    # nought.
    X, gain, raw, inv, var, diff, eps = arrays(v, BN)
    d = to_hpre(v)
    n = len(X)
    dbngain = (raw * d["dhpre"]).sum(0, keepdims=True)
    dbnbias = d["dhpre"].sum(0, keepdims=True)
    dbnraw = gain * d["dhpre"]
    dbndiff = inv * dbnraw
    dbnmeani = -dbndiff.sum(0, keepdims=True)
    dhprebn = dbndiff + dbnmeani / n
    return dict(
        **d,
        dbngain=dbngain,
        dbnbias=dbnbias,
        dbnraw=dbnraw,
        dbndiff=dbndiff,
        dbnmeani=dbnmeani,
        dhprebn=dhprebn,
        dW1=X.T @ dhprebn,
    )
