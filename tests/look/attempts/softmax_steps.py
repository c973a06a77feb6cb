"""Softmax regression, with every step from the logits to the mean loss written out (N 9, d 5, C 4)."""

import numpy as np

import tinygrad_sm as tg
from tests.look.attempts.marks import attempt


def problem():
    """Run the forward pass in small steps; return the loss and all values by name."""
    rng = np.random.default_rng(11)
    N, d, C = 9, 5, 4
    X = rng.standard_normal((N, d))
    y = rng.integers(0, C, N)
    W = tg.Tensor(rng.standard_normal((d, C)), requires_grad=True)
    b = tg.Tensor(rng.standard_normal(C), requires_grad=True)
    logits = X @ W + b
    logit_maxes = logits.max(axis=1, keepdims=True)
    norm_logits = logits - logit_maxes
    counts = tg.exp(norm_logits)
    counts_sum = counts.sum(axis=1, keepdims=True)
    counts_sum_inv = counts_sum**-1
    probs = counts * counts_sum_inv
    logprobs = tg.log(probs)
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
def walks_every_step(v):
    # Goes back line by line, and adds up where a value is used twice.
    X, y, N = v["X"], v["y"], v["N"]
    logits, counts, probs = v["logits"].numpy(), v["counts"].numpy(), v["probs"].numpy()
    counts_sum, counts_sum_inv = v["counts_sum"].numpy(), v["counts_sum_inv"].numpy()
    dlogprobs = np.zeros_like(probs)
    dlogprobs[np.arange(N), y] = -1.0 / N
    dprobs = dlogprobs / probs
    dcounts_sum_inv = (counts * dprobs).sum(1, keepdims=True)
    dcounts = counts_sum_inv * dprobs
    dcounts_sum = -(counts_sum**-2) * dcounts_sum_inv
    dcounts = dcounts + np.ones_like(counts) * dcounts_sum
    dnorm_logits = counts * dcounts
    dlogits = dnorm_logits.copy()
    dlogit_maxes = -dnorm_logits.sum(1, keepdims=True)
    hot = np.zeros_like(logits)
    hot[np.arange(N), logits.argmax(1)] = 1
    dlogits += hot * dlogit_maxes
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


@attempt(
    wrong={"dcounts": "only one of the two uses of counts: what comes through counts_sum is not added"},
    right=["dlogprobs", "dprobs", "dcounts_sum_inv", "dcounts_sum"],
    consequence=["dnorm_logits", "dlogits", "dW", "db"],
)
def overlooks_the_second_use_of_counts(v):
    # Computes dcounts from the product alone, and goes on; dcounts_sum is computed and then never used.
    X, y, N = v["X"], v["y"], v["N"]
    counts, probs = v["counts"].numpy(), v["probs"].numpy()
    counts_sum, counts_sum_inv = v["counts_sum"].numpy(), v["counts_sum_inv"].numpy()
    dlogprobs = np.zeros_like(probs)
    dlogprobs[np.arange(N), y] = -1.0 / N
    dprobs = dlogprobs / probs
    dcounts_sum_inv = (counts * dprobs).sum(1, keepdims=True)
    dcounts_sum = -dcounts_sum_inv / counts_sum**2
    dcounts = counts_sum_inv * dprobs
    dnorm_logits = counts * dcounts
    dlogits = dnorm_logits
    dW = X.T @ dlogits
    db = dlogits.sum(0)
    return {
        "dlogprobs": dlogprobs,
        "dprobs": dprobs,
        "dcounts_sum_inv": dcounts_sum_inv,
        "dcounts_sum": dcounts_sum,
        "dcounts": dcounts,
        "dnorm_logits": dnorm_logits,
        "dlogits": dlogits,
        "dW": dW,
        "db": db,
    }


@attempt(
    wrong={"dcounts_sum_inv": "not summed over the classes: counts_sum_inv was broadcast from (N, 1)"},
    right=["dlogprobs", "dprobs"],
    consequence=["dcounts_sum", "dcounts", "dnorm_logits", "dlogits"],
)
def forgets_that_the_product_broadcasts(v):
    # Treats probs = counts * counts_sum_inv as a product of equal shapes: nothing is summed.
    y, N = v["y"], v["N"]
    counts, probs = v["counts"].numpy(), v["probs"].numpy()
    counts_sum, counts_sum_inv = v["counts_sum"].numpy(), v["counts_sum_inv"].numpy()
    dlogprobs = np.zeros_like(probs)
    dlogprobs[np.arange(N), y] = -1.0 / N
    dprobs = (1 / probs) * dlogprobs
    dcounts_sum_inv = counts * dprobs
    dcounts_sum = (-(counts_sum**-2)) * dcounts_sum_inv
    dcounts = counts_sum_inv * dprobs + dcounts_sum
    dnorm_logits = dcounts * counts
    dlogits = dnorm_logits
    return {
        "dlogprobs": dlogprobs,
        "dprobs": dprobs,
        "dcounts_sum_inv": dcounts_sum_inv,
        "dcounts_sum": dcounts_sum,
        "dcounts": dcounts,
        "dnorm_logits": dnorm_logits,
        "dlogits": dlogits,
    }


@attempt(right=["dnorm_logits", "dlogits", "dW", "db"])
def skips_the_branch_of_the_maximum(v):
    # Takes the maximum for a constant, dlogits = dnorm_logits: right, as what comes through the maximum is 0.
    X, y, N, probs = v["X"], v["y"], v["N"], v["probs"].numpy()
    dnorm_logits = probs.copy()
    dnorm_logits[np.arange(N), y] -= 1
    dnorm_logits /= N
    dlogits = dnorm_logits
    return {"dnorm_logits": dnorm_logits, "dlogits": dlogits, "dW": np.dot(X.T, dlogits), "db": np.sum(dlogits, axis=0)}


@attempt(
    wrong={"dlogprobs": "not divided by N: the mean is taken for a sum", "dlogits": "the sign is turned around"},
    consequence=["dprobs", "dW", "db"],
)
def misses_the_mean_and_a_sign(v):
    # Writes -1 where the label is, without 1/N; later goes through softmax at once, with the difference turned around.
    X, y, N, probs = v["X"], v["y"], v["N"], v["probs"].numpy()
    dlogprobs = np.zeros(probs.shape)
    dlogprobs[np.arange(N), y] = -1.0
    dprobs = dlogprobs / probs
    dlogits = probs * ((dprobs * probs).sum(axis=1, keepdims=True) - dprobs)
    dW = X.T @ dlogits
    db = dlogits.sum(axis=0)
    return {"dlogprobs": dlogprobs, "dprobs": dprobs, "dlogits": dlogits, "dW": dW, "db": db}
