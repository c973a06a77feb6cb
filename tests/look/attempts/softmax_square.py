"""Softmax regression with as many rows as classes, so that the shapes hide a wrong axis (N 5, d 3, C 5)."""

import numpy as np

import tinygrad_sm as tg
from tests.look.attempts.marks import attempt


def problem():
    """Run the forward pass; y has whole numbers from 0 to C - 1."""
    rng = np.random.default_rng(14)
    N, d, C = 5, 3, 5
    X = rng.standard_normal((N, d))
    y = np.array([3, 0, 3, 1, 4])
    W = tg.Tensor(rng.standard_normal((d, C)), requires_grad=True)
    b = tg.Tensor(rng.standard_normal(C), requires_grad=True)
    logits = X @ W + b
    probs = tg.softmax(logits, axis=1)
    logprobs = tg.log(probs)
    loss = -logprobs[np.arange(N), y].mean()
    return loss, locals()


@attempt(
    wrong={"dlogits": "only the diagonal of the Jacobian of softmax, p (1 - p)"},
    right=["dlogprobs", "dprobs"],
    consequence=["dW", "db"],
)
def takes_softmax_for_a_sigmoid(v):
    # Uses the derivative p (1 - p), as for a sigmoid.
    X, y, N, p = v["X"], v["y"], v["N"], v["probs"].numpy()
    dlogprobs = np.zeros_like(p)
    dlogprobs[np.arange(N), y] = -1 / N
    dprobs = dlogprobs / p
    dlogits = dprobs * p * (1 - p)
    dW = X.T @ dlogits
    db = dlogits.sum(0)
    return {"dlogprobs": dlogprobs, "dprobs": dprobs, "dlogits": dlogits, "dW": dW, "db": db}


@attempt(wrong={"db": "summed over the classes (axis 1) and not over the batch"}, right=["dlogits", "dW"])
def sums_the_bias_over_the_classes(v):
    # Mixes up the axes in db; the shape is right, as N and C are equal.
    X, y, N, C, p = v["X"], v["y"], v["N"], v["C"], v["probs"].numpy()
    dlogits = (p - (y[:, None] == np.arange(C))) / N
    dW = X.T @ dlogits
    db = dlogits.sum(1)
    return {"dlogits": dlogits, "dW": dW, "db": db}


@attempt(wrong={"dlogits": None}, consequence=["dW", "db"])
def counts_labels_from_one(v):
    # The last course had the labels 1 to C; so this learner still writes y - 1, and label 0 becomes the last class.
    X, y, N, p = v["X"], v["y"], v["N"], v["probs"].numpy()
    dlogits = p.copy()
    dlogits[np.arange(N), y - 1] -= 1
    dlogits /= N
    return {"dlogits": dlogits, "dW": X.T @ dlogits, "db": dlogits.sum(0)}
