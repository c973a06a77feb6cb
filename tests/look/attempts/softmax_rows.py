"""Softmax regression with weights (C, d), as in a Linear layer; W is square (N 6, d 4, C 4)."""

import numpy as np

import tinygrad_sm as tg
from tests.look.attempts.marks import attempt


def problem():
    """Run the forward pass: logits = X @ W.T + b."""
    rng = np.random.default_rng(13)
    N, d, C = 6, 4, 4
    X = rng.standard_normal((N, d))
    y = rng.integers(0, C, N)
    W = tg.Tensor(rng.standard_normal((C, d)), requires_grad=True)
    b = tg.Tensor(rng.standard_normal(C), requires_grad=True)
    logits = X @ W.T + b
    logprobs = tg.log_softmax(logits, axis=1)
    loss = -logprobs[np.arange(N), y].mean()
    return loss, locals()


@attempt(right=["dlogprobs", "dlogits", "dW", "db"])
def works_in_float32(v):
    # All right, but the arrays were made float32, so it agrees to about seven digits.
    X, y, N = v["X"].astype(np.float32), v["y"], v["N"]
    p = np.exp(v["logprobs"].numpy().astype(np.float32))
    dlogprobs = np.zeros_like(p)
    dlogprobs[np.arange(N), y] = -1 / N
    dlogits = dlogprobs - p * dlogprobs.sum(1, keepdims=True)
    dW = dlogits.T @ X
    db = dlogits.sum(0)
    return {"dlogprobs": dlogprobs, "dlogits": dlogits, "dW": dW, "db": db}


@attempt(wrong={"dW": "the transpose: written for weights (d, C)"}, right=["dlogits", "db"])
def writes_dW_for_the_other_layout(v):
    # Uses X.T @ dlogits as in the lecture; W is square, and so NumPy does not complain.
    X, y, N = v["X"], v["y"], v["N"]
    dlogits = np.exp(v["logprobs"].numpy())
    dlogits[range(N), y] -= 1
    dlogits /= N
    return {"dlogits": dlogits, "dW": X.T @ dlogits, "db": dlogits.sum(axis=0)}


@attempt(wrong={"dW": "divided by N a second time", "db": "divided by N a second time"}, right=["dlogits"])
def averages_again(v):
    # Divides dlogits by N, and then averages over the batch in dW and db too.
    X, y, N = v["X"], v["y"], v["N"]
    dlogits = np.exp(v["logprobs"].numpy())
    dlogits[range(N), y] -= 1
    dlogits /= N
    dW = dlogits.T @ X / N
    db = dlogits.mean(axis=0)
    return {"dlogits": dlogits, "dW": dW, "db": db}
