"""Layer norm written out over the last axis of a 5 x 5 matrix, and a mean squared error."""

import numpy as np

import tinygrad_sm as tg
from tests.look.attempts.marks import attempt


def arrays(v, names):
    """Return the named values of the forward pass as NumPy arrays."""
    return [v[name].numpy() if isinstance(v[name], tg.Tensor) else v[name] for name in names.split()]


def problem():
    """Run the forward pass with tinygrad_sm Tensors; return the loss and all values by name."""
    rng = np.random.default_rng(16)
    N, D, eps = 5, 5, 1e-5
    X = rng.standard_normal((N, 3))
    T = rng.standard_normal((N, D))
    W = tg.Tensor(rng.standard_normal((3, D)), requires_grad=True)
    gamma = tg.Tensor(1 + 0.3 * rng.standard_normal(D), requires_grad=True)
    beta = tg.Tensor(0.3 * rng.standard_normal(D), requires_grad=True)
    x = X @ W
    mu = x.mean(axis=1, keepdims=True)
    xc = x - mu
    sq = xc * xc
    var = sq.mean(axis=1, keepdims=True)
    std = (var + eps).sqrt()
    xhat = xc / std
    out = gamma * xhat + beta
    loss = ((out - T) ** 2).mean()
    return loss, locals()


NAMES = "X T gamma xc std xhat out"


@attempt(right=["dout", "dgamma", "dbeta", "dxhat", "dx", "dW"])
def closed_form(v):
    # Has the closed form of layer norm by heart: take off the mean, and the part along xhat.
    X, T, gamma, xc, std, xhat, out = arrays(v, NAMES)
    dout = 2 * (out - T) / out.size
    dgamma, dbeta = (dout * xhat).sum(0), dout.sum(0)
    dxhat = dout * gamma
    dx = (dxhat - dxhat.mean(1, keepdims=True) - xhat * (dxhat * xhat).mean(1, keepdims=True)) / std
    return {"dout": dout, "dgamma": dgamma, "dbeta": dbeta, "dxhat": dxhat, "dx": dx, "dW": X.T @ dx}


@attempt(
    wrong={"dxc": "a factor 2 is missing in the square"},
    right=["dout", "dgamma", "dbeta", "dxhat", "dstd", "dvar", "dsq"],
    consequence=["dx", "dW"],
)
def square_used_once(v):
    # sq = xc * xc: takes xc as the factor of the one use, and forgets that it stands there twice.
    X, T, gamma, xc, std, xhat, out = arrays(v, NAMES)
    dout = 2 * (out - T) / out.size
    dgamma, dbeta = (dout * xhat).sum(0), dout.sum(0)
    dxhat = dout * gamma
    dstd = -(dxhat * xc / std**2).sum(1, keepdims=True)
    dvar = dstd * 0.5 / std
    dsq = np.repeat(dvar / xc.shape[1], xc.shape[1], axis=1)
    dxc = dxhat / std
    dxc += dsq * xc
    dx = dxc - dxc.mean(1, keepdims=True)
    return {
        "dout": dout,
        "dgamma": dgamma,
        "dbeta": dbeta,
        "dxhat": dxhat,
        "dstd": dstd,
        "dvar": dvar,
        "dsq": dsq,
        "dxc": dxc,
        "dx": dx,
        "dW": X.T @ dx,
    }


@attempt(
    wrong={"dxc": None},
    right=["dout", "dgamma", "dbeta", "dxhat", "dstd", "dvar", "dsq"],
    consequence=["dx", "dW"],
)
def spread_squeezed_to_a_row(v):
    # Squeezes std to (5,) for a neater print, then divides by it: example i's std now divides feature i. It
    # looks like a sum over the wrong axis; every sum is right, and only the quotient is stretched along the
    # wrong axis.
    X, T, gamma, xc, std, xhat, out = arrays(v, NAMES)
    dout = 2 * (out - T) / out.size
    dgamma, dbeta = (dout * xhat).sum(0), dout.sum(0)
    dxhat = dout * gamma
    dstd = -(dxhat * xc / std**2).sum(1, keepdims=True)
    dvar = dstd / (2 * std)
    dsq = np.ones_like(xc) / 5 * dvar
    std = std.squeeze()
    dxc = dxhat / std + 2 * xc * dsq
    dx = dxc - dxc.mean(1, keepdims=True)
    return {
        "dout": dout,
        "dgamma": dgamma,
        "dbeta": dbeta,
        "dxhat": dxhat,
        "dstd": dstd,
        "dvar": dvar,
        "dsq": dsq,
        "dxc": dxc,
        "dx": dx,
        "dW": X.T @ dx,
    }
