"""A regression with one hidden layer of relu, mean squared error and weight decay; X is square."""

import numpy as np

import tinygrad_sm as tg
from tests.look.attempts.marks import attempt


def problem():
    """Run the forward pass with tinygrad_sm Tensors; return the loss and all values by name."""
    rng = np.random.default_rng(5)
    N, K, lam = 6, 2, 0.05
    X = rng.standard_normal((N, 6))
    y = rng.standard_normal((N, K))
    W1 = tg.Tensor(rng.standard_normal((6, 3)), requires_grad=True)
    b1 = tg.Tensor(rng.standard_normal(3), requires_grad=True)
    W2 = tg.Tensor(rng.standard_normal((3, K)), requires_grad=True)
    b2 = tg.Tensor(rng.standard_normal(K), requires_grad=True)
    hpre = X @ W1 + b1
    h = tg.relu(hpre)
    yhat = h @ W2 + b2
    err = yhat - y
    sq = err**2
    mse = sq.mean()
    decay = (W1**2).sum() + (W2**2).sum()
    loss = mse + lam * decay
    return loss, locals()


def numpy_values(v):
    """All values of the forward pass as arrays."""
    return {k: x.numpy() if hasattr(x, "numpy") else x for k, x in v.items()}


@attempt(right=["dsq", "derr", "dyhat", "dh", "dhpre", "dW2", "db2", "dW1", "db1"])
def right_every_step(v):
    # Each step has its line.
    a = numpy_values(v)
    N, K, lam = a["N"], a["K"], a["lam"]
    dsq = np.full((N, K), 1 / (N * K))
    derr = 2 * a["err"] * dsq
    dyhat = derr
    dh = dyhat @ a["W2"].T
    dW2 = a["h"].T @ dyhat + 2 * lam * a["W2"]
    db2 = dyhat.sum(0)
    dhpre = dh * (a["hpre"] > 0)
    dW1 = a["X"].T @ dhpre + 2 * lam * a["W1"]
    db1 = dhpre.sum(0)
    return {
        "dsq": dsq,
        "derr": derr,
        "dyhat": dyhat,
        "dh": dh,
        "dhpre": dhpre,
        "dW2": dW2,
        "db2": db2,
        "dW1": dW1,
        "db1": db1,
    }


@attempt(right=["dW1", "dW2"])
def right_weights_only(v):
    # She writes only what the step of gradient descent needs, sample by sample.
    a = numpy_values(v)
    dW1, dW2 = 2 * a["lam"] * a["W1"], 2 * a["lam"] * a["W2"]
    for x, h, e in zip(a["X"], a["h"], a["err"], strict=True):
        delta = 2 * e / a["err"].size
        dW2 += np.outer(h, delta)
        dW1 += np.outer(x, (a["W2"] @ delta) * (h > 0))
    return {"dW1": dW1, "dW2": dW2}


@attempt(
    wrong={"dW2": "the part of the weight decay is missing", "dW1": "the part of the weight decay is missing"},
    right=["derr", "dh", "dhpre", "db2", "db1"],
)
def forgets_the_weight_decay(v):
    # He differentiates the mean squared error and forgets that the loss has a second term.
    a = numpy_values(v)
    derr = 2 * a["err"] / a["err"].size
    dh = derr @ a["W2"].T
    dhpre = dh * (a["h"] > 0)
    return {
        "derr": derr,
        "dh": dh,
        "dhpre": dhpre,
        "dW2": a["h"].T @ derr,
        "db2": derr.sum(0),
        "dW1": a["X"].T @ dhpre,
        "db1": dhpre.sum(0),
    }


@attempt(
    wrong={"derr": "the factor 2 of the square is missing"},
    right=["dsq"],
    consequence=["dyhat", "dh", "dhpre", "dW2", "db2", "dW1", "db1"],
)
def forgets_the_two(v):
    # His lecture has one half before the squares, this loss has not.
    a = numpy_values(v)
    N, K, lam = a["N"], a["K"], a["lam"]
    dsq = np.ones((N, K)) / (N * K)
    derr = a["err"] * dsq
    dyhat = derr.copy()
    dh = dyhat @ a["W2"].T
    dhpre = np.where(a["hpre"] > 0, dh, 0)
    return {
        "dsq": dsq,
        "derr": derr,
        "dyhat": dyhat,
        "dh": dh,
        "dhpre": dhpre,
        "dW2": a["h"].T @ dyhat + 2 * lam * a["W2"],
        "db2": dyhat.sum(0),
        "dW1": a["X"].T @ dhpre + 2 * lam * a["W1"],
        "db1": dhpre.sum(0),
    }


@attempt(
    wrong={"dsq": "divided by N, not by N times K: the mean runs over all numbers"},
    consequence=["derr", "dyhat", "dh", "dhpre", "dW2", "db2", "dW1", "db1"],
)
def divides_by_the_rows(v):
    # The mean over the batch, she thinks, so she divides by the number of rows.
    a = numpy_values(v)
    N, K, lam = a["N"], a["K"], a["lam"]
    dsq = np.ones((N, K)) / N
    derr = 2 * a["err"] * dsq
    dyhat = derr
    dh = dyhat @ a["W2"].T
    dhpre = dh * (a["hpre"] > 0)
    return {
        "dsq": dsq,
        "derr": derr,
        "dyhat": dyhat,
        "dh": dh,
        "dhpre": dhpre,
        "dW2": a["h"].T @ dyhat + 2 * lam * a["W2"],
        "db2": dyhat.sum(0),
        "dW1": a["X"].T @ dhpre + 2 * lam * a["W1"],
        "db1": dhpre.sum(0),
    }


@attempt(
    wrong={"dhpre": "the mask of relu is taken from dh, not from hpre"},
    right=["dyhat", "dh", "dW2", "db2"],
    consequence=["dW1", "db1"],
)
def masks_the_gradient_by_its_sign(v):
    # Relu makes negative numbers zero, so he makes the negative gradients zero.
    a = numpy_values(v)
    lam = a["lam"]
    dyhat = 2 * a["err"] / a["err"].size
    dh = dyhat @ a["W2"].T
    dhpre = np.maximum(dh, 0)
    return {
        "dyhat": dyhat,
        "dh": dh,
        "dhpre": dhpre,
        "dW2": a["h"].T @ dyhat + 2 * lam * a["W2"],
        "db2": dyhat.sum(0),
        "dW1": a["X"].T @ dhpre + 2 * lam * a["W1"],
        "db1": dhpre.sum(0),
    }


@attempt(
    wrong={"dW1": "X is not transposed; X is square, so the shapes fit"},
    right=["dyhat", "dh", "dhpre", "dW2", "db2", "db1"],
)
def forgets_to_transpose_x(v):
    # Six rows, six features: the product fits without the transpose.
    a = numpy_values(v)
    lam = a["lam"]
    dyhat = 2 * a["err"] / a["err"].size
    dh = dyhat @ a["W2"].T
    dhpre = dh * (a["hpre"] > 0)
    return {
        "dyhat": dyhat,
        "dh": dh,
        "dhpre": dhpre,
        "dW2": a["h"].T @ dyhat + 2 * lam * a["W2"],
        "db2": dyhat.sum(0),
        "dW1": a["X"] @ dhpre + 2 * lam * a["W1"],
        "db1": dhpre.sum(0),
    }


@attempt(wrong={"db2": None, "db1": None}, right=["dyhat", "dh", "dhpre", "dW2", "dW1"])
def decays_the_biases_too(v):
    # All parameters decay, she thinks; the loss has the weights only.
    a = numpy_values(v)
    lam = a["lam"]
    dyhat = 2 * a["err"] / a["err"].size
    dh = dyhat @ a["W2"].T
    dhpre = dh * (a["hpre"] > 0)
    g = {"dW2": a["h"].T @ dyhat, "db2": dyhat.sum(0), "dW1": a["X"].T @ dhpre, "db1": dhpre.sum(0)}
    for name in ("W2", "b2", "W1", "b1"):
        g["d" + name] = g["d" + name] + 2 * lam * a[name]
    return {"dyhat": dyhat, "dh": dh, "dhpre": dhpre} | g
