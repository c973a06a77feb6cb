"""A classifier with one hidden layer of tanh, on a batch drawn from more rows; W2 is square (N 7, d 3, H 4, C 4)."""

import numpy as np

import tinygrad_sm as tg
from tests.look.attempts.marks import attempt


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def problem():
    """Run the forward pass on the rows ix of the data."""
    rng = np.random.default_rng(15)
    N, d, H, C = 7, 3, 4, 4
    X_all = rng.standard_normal((20, d))
    y_all = rng.integers(0, C, 20)
    ix = rng.choice(20, N, replace=False)
    X, y = X_all[ix], y_all[ix]
    W1 = tg.Tensor(rng.standard_normal((d, H)), requires_grad=True)
    b1 = tg.Tensor(rng.standard_normal(H), requires_grad=True)
    W2 = tg.Tensor(rng.standard_normal((H, C)), requires_grad=True)
    b2 = tg.Tensor(rng.standard_normal(C), requires_grad=True)
    hpre = X @ W1 + b1
    h = tg.tanh(hpre)
    logits = h @ W2 + b2
    loss = tg.nn.functional.cross_entropy(logits, y)
    return loss, locals()


@attempt(right=["dlogits", "dW2", "db2", "dh", "dhpre", "dW1", "db1"])
def all_right(v):
    # The textbook.
    X, y, N, h, W2 = v["X"], v["y"], v["N"], v["h"].numpy(), v["W2"].numpy()
    dlogits = softmax(v["logits"].numpy())
    dlogits[np.arange(N), y] -= 1
    dlogits /= N
    dW2 = h.T @ dlogits
    db2 = dlogits.sum(0)
    dh = dlogits @ W2.T
    dhpre = dh * (1 - h**2)
    dW1 = X.T @ dhpre
    db1 = dhpre.sum(0)
    return {"dlogits": dlogits, "dW2": dW2, "db2": db2, "dh": dh, "dhpre": dhpre, "dW1": dW1, "db1": db1}


@attempt(right=["dW2", "dW1"])
def only_the_weights_row_by_row(v):
    # Adds outer products over the rows of the batch, and hands in the weights alone.
    X, y, N, W2 = v["X"], v["y"], v["N"], v["W2"].numpy()
    p = softmax(v["logits"].numpy())
    dW1, dW2 = np.zeros(v["W1"].shape), np.zeros(W2.shape)
    for i in range(N):
        hi = np.tanh(v["hpre"].numpy()[i])
        g = p[i].copy()
        g[y[i]] -= 1
        dW2 += np.outer(hi, g) / N
        dW1 += np.outer(X[i], (W2 @ g) / np.cosh(v["hpre"].numpy()[i]) ** 2) / N
    return {"dW2": dW2, "dW1": dW1}


@attempt(
    wrong={"dhpre": "the derivative of tanh with the pre-activation: 1 - hpre² and not 1 - h²"},
    right=["dlogits", "dW2", "db2", "dh"],
    consequence=["dW1", "db1"],
)
def derives_tanh_at_the_wrong_value(v):
    # Remembers 1 - x², and takes x for the input of tanh.
    X, y, N, C, h, hpre, W2 = v["X"], v["y"], v["N"], v["C"], v["h"].numpy(), v["hpre"].numpy(), v["W2"].numpy()
    dlogits = (softmax(v["logits"].numpy()) - np.eye(C)[y]) / N
    dW2, db2 = h.T @ dlogits, dlogits.sum(0)
    dh = dlogits @ W2.T
    dhpre = (1 - hpre**2) * dh
    dW1, db1 = X.T @ dhpre, dhpre.sum(0)
    return {"dlogits": dlogits, "dW2": dW2, "db2": db2, "dh": dh, "dhpre": dhpre, "dW1": dW1, "db1": db1}


@attempt(wrong={"dh": "W2 is not transposed"}, right=["dlogits", "dW2", "db2"], consequence=["dhpre", "dW1", "db1"])
def forgets_to_transpose_W2(v):
    # W2 is square, so dlogits @ W2 runs.
    X, y, N, C, h, W2 = v["X"], v["y"], v["N"], v["C"], v["h"].numpy(), v["W2"].numpy()
    dlogits = (softmax(v["logits"].numpy()) - np.eye(C)[y]) / N
    dW2, db2 = h.T @ dlogits, dlogits.sum(0)
    dh = dlogits @ W2
    dhpre = (1 - h * h) * dh
    dW1, db1 = X.T @ dhpre, dhpre.sum(0)
    return {"dlogits": dlogits, "dW2": dW2, "db2": db2, "dh": dh, "dhpre": dhpre, "dW1": dW1, "db1": db1}


@attempt(wrong={"dW2": None}, right=["dlogits", "db2", "dh", "dhpre"])
def takes_the_wrong_variable(v):
    # Types hpre for h in dW2: the two have the same shape.
    y, N, C, h, hpre, W2 = v["y"], v["N"], v["C"], v["h"].numpy(), v["hpre"].numpy(), v["W2"].numpy()
    dlogits = (softmax(v["logits"].numpy()) - np.eye(C)[y]) / N
    dW2, db2 = hpre.T @ dlogits, dlogits.sum(0)
    dh = dlogits @ W2.T
    dhpre = (1 - h**2) * dh
    return {"dlogits": dlogits, "dW2": dW2, "db2": db2, "dh": dh, "dhpre": dhpre}


@attempt(wrong={"dW1": None}, right=["dlogits", "dh", "dhpre", "db1"])
def takes_an_other_batch(v):
    # Multiplies by the first rows of the data, and not by those of the batch.
    y, N, C, h, W2 = v["y"], v["N"], v["C"], v["h"].numpy(), v["W2"].numpy()
    dlogits = (softmax(v["logits"].numpy()) - np.eye(C)[y]) / N
    dh = dlogits @ W2.T
    dhpre = (1 - h**2) * dh
    dW1 = v["X_all"][:N].T @ dhpre
    return {"dlogits": dlogits, "dh": dh, "dhpre": dhpre, "dW1": dW1, "db1": dhpre.sum(0)}


@attempt(wrong={"dhpre": None}, right=["dlogits", "dW2", "db2", "dh"], consequence=["dW1", "db1"])
def skips_the_square(v):
    # Writes 1 - h for the derivative of tanh: the square got lost.
    X, y, N, C, h, W2 = v["X"], v["y"], v["N"], v["C"], v["h"].numpy(), v["W2"].numpy()
    dlogits = (softmax(v["logits"].numpy()) - np.eye(C)[y]) / N
    dW2, db2 = h.T @ dlogits, dlogits.sum(0)
    dh = dlogits @ W2.T
    dhpre = (1 - h) * dh
    return {
        "dlogits": dlogits,
        "dW2": dW2,
        "db2": db2,
        "dh": dh,
        "dhpre": dhpre,
        "dW1": X.T @ dhpre,
        "db1": dhpre.sum(0),
    }
