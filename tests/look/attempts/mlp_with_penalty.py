"""Regression with a hidden layer of relu, mean squared error and a penalty; X is square (N 6, d 6, H 5, K 3)."""

import numpy as np

import tinygrad_sm as tg
from tests.look.attempts.marks import attempt


def problem():
    """Run the forward pass in small steps; W1 and W2 are used twice, in the network and in the penalty."""
    rng = np.random.default_rng(16)
    N, d, H, K = 6, 6, 5, 3
    X = rng.standard_normal((N, d))
    Y = rng.standard_normal((N, K))
    W1 = tg.Tensor(rng.standard_normal((d, H)), requires_grad=True)
    b1 = tg.Tensor(rng.standard_normal(H), requires_grad=True)
    W2 = tg.Tensor(rng.standard_normal((H, K)), requires_grad=True)
    b2 = tg.Tensor(rng.standard_normal(K), requires_grad=True)
    strength = 0.05
    hpre = X @ W1 + b1
    h = tg.relu(hpre)
    out = h @ W2 + b2
    diff = out - Y
    sq = diff**2
    data_loss = sq.mean()
    penalty = strength * ((W1**2).sum() + (W2**2).sum())
    loss = data_loss + penalty
    return loss, locals()


@attempt(right=["dsq", "ddiff", "dout", "dW2", "db2", "dh", "dhpre", "dW1", "db1"])
def all_right(v):
    # Goes back step by step and does not forget the penalty.
    X, h, W1, W2, diff = v["X"], v["h"].numpy(), v["W1"].numpy(), v["W2"].numpy(), v["diff"].numpy()
    dsq = np.full(diff.shape, 1 / diff.size)
    ddiff = 2 * diff * dsq
    dout = ddiff
    dW2 = h.T @ dout + 2 * v["strength"] * W2
    db2 = dout.sum(0)
    dh = dout @ W2.T
    dhpre = dh * (v["hpre"].numpy() > 0)
    dW1 = X.T @ dhpre + 2 * v["strength"] * W1
    db1 = dhpre.sum(0)
    return {
        "dsq": dsq,
        "ddiff": ddiff,
        "dout": dout,
        "dW2": dW2,
        "db2": db2,
        "dh": dh,
        "dhpre": dhpre,
        "dW1": dW1,
        "db1": db1,
    }


@attempt(
    wrong={"ddiff": "the factor 2 of the square is missing"},
    right=["dsq"],
    consequence=["dout", "dW2", "db2", "dh", "dhpre", "dW1", "db1"],
)
def forgets_the_two(v):
    # Takes diff for the derivative of diff².
    X, h, W1, W2, diff = v["X"], v["h"].numpy(), v["W1"].numpy(), v["W2"].numpy(), v["diff"].numpy()
    dsq = np.ones_like(diff) / diff.size
    ddiff = diff * dsq
    dout = ddiff
    dW2 = h.T @ dout + 2 * v["strength"] * W2
    db2 = dout.sum(0)
    dh = dout @ W2.T
    dhpre = dh * (h > 0)
    dW1 = X.T @ dhpre + 2 * v["strength"] * W1
    db1 = dhpre.sum(0)
    return {
        "dsq": dsq,
        "ddiff": ddiff,
        "dout": dout,
        "dW2": dW2,
        "db2": db2,
        "dh": dh,
        "dhpre": dhpre,
        "dW1": dW1,
        "db1": db1,
    }


@attempt(
    wrong={"dsq": "divided by the number of rows and not by the number of elements"}, consequence=["dout", "dW2", "db2"]
)
def divides_by_the_rows(v):
    # Thinks that the mean is over the batch alone; it is over all N times K elements.
    N, h, W2, diff = v["N"], v["h"].numpy(), v["W2"].numpy(), v["diff"].numpy()
    dsq = np.ones_like(diff) / N
    dout = 2 * diff * dsq
    dW2 = h.T @ dout + 2 * v["strength"] * W2
    return {"dsq": dsq, "dout": dout, "dW2": dW2, "db2": dout.sum(0)}


@attempt(
    wrong={"dhpre": "the mask of relu is wrong: h >= 0 is true everywhere, so all of dh passes"},
    right=["dout", "dW2", "db2", "dh"],
    consequence=["dW1", "db1"],
)
def masks_with_h_at_least_zero(v):
    # Writes h >= 0; but h comes out of relu and is never negative.
    X, h, W1, W2, diff = v["X"], v["h"].numpy(), v["W1"].numpy(), v["W2"].numpy(), v["diff"].numpy()
    dout = 2 * diff / diff.size
    dW2 = h.T @ dout + 2 * v["strength"] * W2
    db2 = dout.sum(0)
    dh = dout @ W2.T
    dhpre = dh * (h >= 0)
    dW1 = X.T @ dhpre + 2 * v["strength"] * W1
    db1 = dhpre.sum(0)
    return {"dout": dout, "dW2": dW2, "db2": db2, "dh": dh, "dhpre": dhpre, "dW1": dW1, "db1": db1}


@attempt(
    wrong={
        "dW2": "only one of the two uses: the penalty is not added",
        "dW1": "only one of the two uses: the penalty is not added",
    },
    right=["dout", "db2", "dh", "dhpre", "db1"],
)
def forgets_the_penalty(v):
    # Goes back through the network alone.
    X, h, W2, diff = v["X"], v["h"].numpy(), v["W2"].numpy(), v["diff"].numpy()
    dout = 2 * diff / diff.size
    dW2, db2 = h.T @ dout, dout.sum(0)
    dh = dout @ W2.T
    dhpre = np.where(h > 0, dh, 0)
    dW1, db1 = X.T @ dhpre, dhpre.sum(0)
    return {"dout": dout, "dW2": dW2, "db2": db2, "dh": dh, "dhpre": dhpre, "dW1": dW1, "db1": db1}


@attempt(wrong={"dW1": "X is not transposed"}, right=["dout", "dW2", "db2", "dh", "dhpre", "db1"])
def forgets_to_transpose_X(v):
    # The batch has as many rows as features, and so X @ dhpre runs.
    X, h, W1, W2, diff = v["X"], v["h"].numpy(), v["W1"].numpy(), v["W2"].numpy(), v["diff"].numpy()
    dout = 2 * diff / diff.size
    dW2, db2 = h.T @ dout + 2 * v["strength"] * W2, dout.sum(0)
    dh = dout @ W2.T
    dhpre = np.where(h > 0, dh, 0)
    dW1, db1 = X @ dhpre + 2 * v["strength"] * W1, dhpre.sum(0)
    return {"dout": dout, "dW2": dW2, "db2": db2, "dh": dh, "dhpre": dhpre, "dW1": dW1, "db1": db1}


@attempt(wrong={"db2": None, "dhpre": None}, right=["dout", "dW2", "dh"], consequence=["dW1", "db1"])
def is_tired(v):
    # Two mistakes at once in db2, a mean and a sign; and dh is multiplied by h, where its mask was meant.
    X, h, W1, W2, diff = v["X"], v["h"].numpy(), v["W1"].numpy(), v["W2"].numpy(), v["diff"].numpy()
    dout = 2 * diff / diff.size
    dW2 = h.T @ dout + 2 * v["strength"] * W2
    db2 = -dout.mean(0)
    dh = dout @ W2.T
    dhpre = dh * h
    dW1 = X.T @ dhpre + 2 * v["strength"] * W1
    return {"dout": dout, "dW2": dW2, "db2": db2, "dh": dh, "dhpre": dhpre, "dW1": dW1, "db1": dhpre.sum(0)}
