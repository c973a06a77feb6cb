"""Softmax regression with the fused cross entropy (N 8, d 3, C 5)."""

import numpy as np

import tinygrad_sm as tg
from tests.look.attempts.marks import attempt


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def problem():
    """Run the forward pass; the loss takes the logits in one step."""
    rng = np.random.default_rng(12)
    N, d, C = 8, 3, 5
    X = rng.standard_normal((N, d))
    y = rng.integers(0, C, N)
    W = tg.Tensor(rng.standard_normal((d, C)), requires_grad=True)
    b = tg.Tensor(rng.standard_normal(C), requires_grad=True)
    logits = X @ W + b
    loss = tg.nn.functional.cross_entropy(logits, y)
    return loss, locals()


@attempt(right=["dlogits", "dW", "db"])
def knows_p_minus_y(v):
    # Remembers that dlogits is (p - y) / N.
    X, y, N, C = v["X"], v["y"], v["N"], v["C"]
    p = softmax(v["logits"].numpy())
    dlogits = (p - np.eye(C)[y]) / N
    return {"dlogits": dlogits, "dW": X.T @ dlogits, "db": dlogits.sum(0)}


@attempt(wrong={"dlogits": "the label is not subtracted: p / N and not (p - y) / N"}, consequence=["dW", "db"])
def forgets_the_label(v):
    # Thinks that the gradient of the loss with respect to the logits is the probabilities.
    X, N = v["X"], v["N"]
    p = softmax(v["logits"].numpy())
    dlogits = p / N
    return {"dlogits": dlogits, "dW": X.T @ dlogits, "db": dlogits.sum(0)}


@attempt(wrong={"dlogits": None}, consequence=["dW", "db"])
def smooths_the_labels(v):
    # Copies dlogits from a notebook that smoothed its labels by 0.02.
    X, y, N, C = v["X"], v["y"], v["N"], v["C"]
    p = softmax(v["logits"].numpy())
    target = 0.98 * np.eye(C)[y] + 0.02 / C
    dlogits = (p - target) / N
    return {"dlogits": dlogits, "dW": X.T @ dlogits, "db": dlogits.sum(0)}
