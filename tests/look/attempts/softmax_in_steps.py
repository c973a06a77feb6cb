"""Softmax regression in small steps: six examples, six features (X is square), three classes."""

import numpy as np

import tinygrad_sm as tg
from tests.look.attempts.marks import attempt


def arrays(v, names):
    """Return the named values of the forward pass as NumPy arrays."""
    return [v[name].numpy() if isinstance(v[name], tg.Tensor) else v[name] for name in names.split()]


def problem():
    """Run the forward pass with tinygrad_sm Tensors; return the loss and all values by name."""
    rng = np.random.default_rng(11)
    N, D, C = 6, 6, 3
    X = rng.standard_normal((N, D))
    y = np.array([2, 0, 1, 2, 2, 0])
    W = tg.Tensor(rng.standard_normal((D, C)) * 0.7, requires_grad=True)
    b = tg.Tensor(rng.standard_normal(C), requires_grad=True)
    logits = X @ W + b
    logit_maxes = logits.max(axis=1, keepdims=True)
    norm_logits = logits - logit_maxes
    counts = norm_logits.exp()
    counts_sum = counts.sum(axis=1, keepdims=True)
    counts_sum_inv = counts_sum**-1
    probs = counts * counts_sum_inv
    logprobs = probs.log()
    loss = -logprobs[np.arange(N), y].mean()
    return loss, locals()


@attempt(
    right=[
        "dlogprobs",
        "dprobs",
        "dcounts_sum_inv",
        "dcounts_sum",
        "dcounts",
        "dnorm_logits",
        "dlogit_maxes",
        "dlogits",
        "dW",
        "db",
    ]
)
def all_small_steps(v):
    # Walks back through every step, the largest logit too, whose gradient is nought but for rounding.
    X, y, probs, counts, s, s_inv, logits = arrays(v, "X y probs counts counts_sum counts_sum_inv logits")
    n = len(y)
    dlogprobs = np.zeros_like(probs)
    dlogprobs[range(n), y] = -1.0 / n
    dprobs = dlogprobs / probs
    dcounts_sum_inv = (dprobs * counts).sum(1, keepdims=True)
    dcounts = dprobs * s_inv
    dcounts_sum = -(s**-2) * dcounts_sum_inv
    dcounts += np.ones_like(counts) * dcounts_sum
    dnorm_logits = counts * dcounts
    dlogit_maxes = -dnorm_logits.sum(1, keepdims=True)
    dlogits = dnorm_logits.copy()
    dlogits += np.eye(logits.shape[1])[logits.argmax(1)] * dlogit_maxes
    dW = X.T @ dlogits
    db = dlogits.sum(0)
    return {
        "dlogprobs": dlogprobs,
        "dprobs": dprobs,
        "dcounts_sum_inv": dcounts_sum_inv,
        "dcounts_sum": dcounts_sum,
        "dcounts": dcounts,
        "dnorm_logits": dnorm_logits,
        "dlogit_maxes": dlogit_maxes,
        "dlogits": dlogits,
        "dW": dW,
        "db": db,
    }


@attempt(wrong={"dlogits": None}, consequence=["dW", "db"])
def divides_by_the_classes(v):
    # Took logits.shape[1] for the batch size: divides by 3 classes, not by 6 examples. It looks like a factor 2
    # too many, or like a forgotten division by N, and is neither.
    X, y, probs = arrays(v, "X y probs")
    n = probs.shape[1]
    dlogits = probs.copy()
    dlogits[np.arange(len(y)), y] -= 1
    dlogits /= n
    return {"dlogits": dlogits, "dW": X.T @ dlogits, "db": dlogits.sum(0)}


@attempt(wrong={"dW": "X is used without its transpose (X @ dlogits)"}, right=["dlogits", "db"])
def X_is_square_anyway(v):
    # The shapes of X @ dlogits fitted at once, so no transpose was looked for. It is not the transpose of the
    # right dW: that would have the shape (3, 6).
    X, y, probs = arrays(v, "X y probs")
    dlogits = (probs - np.eye(3)[y]) / len(y)
    return {"dlogits": dlogits, "dW": X @ dlogits, "db": dlogits.sum(0)}


@attempt(wrong={"dlogits": "no division by N"}, right=["dW"], consequence=["db"])
def divides_later(v):
    # Means to divide by N at the end, as old course notes do: does so for dW, forgets it for db. dW is right in
    # value, though it does not follow from this learner's own dlogits.
    X, y, probs = arrays(v, "X y probs")
    n = len(y)
    dlogits = probs - np.eye(3)[y]
    dW = X.T @ dlogits / n
    db = dlogits.sum(axis=0)
    return {"dlogits": dlogits, "dW": dW, "db": db}


@attempt(wrong={"dlogits": None}, consequence=["dW", "db"])
def labels_from_one(v):
    # Believes that the classes are numbered from 1, so takes 1 off the column y - 1; label 0 wraps round to the
    # last. It looks like a forgotten -y: each row still has one 1 taken off, but in another column.
    X, y, probs = arrays(v, "X y probs")
    n = len(y)
    dlogits = probs.copy()
    for i in range(n):
        dlogits[i, y[i] - 1] -= 1
    dlogits = dlogits / n
    return {"dlogits": dlogits, "dW": X.T @ dlogits, "db": dlogits.sum(0)}
