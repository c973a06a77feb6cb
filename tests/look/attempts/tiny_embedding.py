"""The mean of three rows of a table, a square layer, and scores against all rows of the same table; cross entropy."""

import numpy as np

import tinygrad_sm as tg
from tests.look.attempts.marks import attempt


def problem():
    """Run the forward pass with tinygrad_sm Tensors; return the loss and all values by name."""
    rng = np.random.default_rng(8)
    N, T, V, E = 5, 3, 7, 4
    Xb = np.array([[0, 1, 1], [2, 1, 4], [4, 4, 4], [6, 0, 2], [1, 3, 0]])
    Yb = np.array([2, 4, 6, 1, 0])
    C = tg.Tensor(rng.standard_normal((V, E)), requires_grad=True)
    Wq = tg.Tensor(rng.standard_normal((E, E)), requires_grad=True)
    b = tg.Tensor(rng.standard_normal(V), requires_grad=True)
    emb = C[Xb]
    h = emb.mean(axis=1)
    q = h @ Wq
    logits = q @ C.T + b
    counts = tg.exp(logits)
    counts_sum = counts.sum(axis=1, keepdims=True)
    probs = counts / counts_sum
    logprobs = tg.log(probs)
    loss = -(logprobs[np.arange(N), Yb].mean())
    return loss, locals()


def numpy_values(v):
    """All values of the forward pass as arrays."""
    return {k: x.numpy() if hasattr(x, "numpy") else x for k, x in v.items()}


def right_logits(a):
    dlogits = a["probs"].copy()
    dlogits[np.arange(a["N"]), a["Yb"]] -= 1
    return dlogits / a["N"]


@attempt(right=["dlogprobs", "dprobs", "dlogits", "db", "dq", "dWq", "dh", "demb", "dC"])
def right_with_add_at(v):
    # He adds both uses of the table, and uses np.add.at for rows that come several times.
    a = numpy_values(v)
    N, T = a["N"], a["T"]
    dlogprobs = np.zeros_like(a["logprobs"])
    dlogprobs[np.arange(N), a["Yb"]] = -1 / N
    dprobs = dlogprobs / a["probs"]
    dlogits = right_logits(a)
    dq = dlogits @ a["C"]
    dC = dlogits.T @ a["q"]
    dh = dq @ a["Wq"].T
    demb = np.repeat(dh[:, None, :], T, axis=1) / T
    np.add.at(dC, a["Xb"], demb)
    return {
        "dlogprobs": dlogprobs,
        "dprobs": dprobs,
        "dlogits": dlogits,
        "db": dlogits.sum(0),
        "dq": dq,
        "dWq": a["h"].T @ dq,
        "dh": dh,
        "demb": demb,
        "dC": dC,
    }


@attempt(
    wrong={"dC": "rows that come several times in the batch are not accumulated"},
    right=["dlogits", "db", "dq", "dWq", "dh", "demb"],
)
def adds_with_fancy_indexing(v):
    # dC[Xb] += demb looks as if it added all; NumPy keeps only the last of each row.
    a = numpy_values(v)
    dlogits = right_logits(a)
    dq = dlogits @ a["C"]
    dh = dq @ a["Wq"].T
    demb = np.ones((1, a["T"], 1)) * dh[:, None, :] / a["T"]
    dC = dlogits.T @ a["q"]
    dC[a["Xb"]] += demb
    return {"dlogits": dlogits, "db": dlogits.sum(0), "dq": dq, "dWq": a["h"].T @ dq, "dh": dh, "demb": demb, "dC": dC}


@attempt(
    wrong={"dC": "the use of the table in the logits is forgotten"}, right=["dlogits", "db", "dq", "dWq", "dh", "demb"]
)
def forgets_the_second_use_of_the_table(v):
    # She thinks of C as the table of the inputs; that the scores use it too is forgotten.
    a = numpy_values(v)
    dlogits = right_logits(a)
    dq = dlogits @ a["C"]
    dh = dq @ a["Wq"].T
    demb = np.repeat(dh[:, None, :], a["T"], axis=1) / a["T"]
    dC = np.zeros_like(a["C"])
    for i in range(a["N"]):
        for j in range(a["T"]):
            dC[a["Xb"][i, j]] += demb[i, j]
    return {"dlogits": dlogits, "db": dlogits.sum(0), "dq": dq, "dWq": a["h"].T @ dq, "dh": dh, "demb": demb, "dC": dC}


@attempt(
    wrong={"demb": "not divided by the length of the mean"},
    right=["dlogits", "db", "dq", "dWq", "dh"],
    consequence=["dC"],
)
def copies_the_mean(v):
    # The gradient of a sum is copied to all parts; he treats the mean in the same way.
    a = numpy_values(v)
    dlogits = right_logits(a)
    dq = dlogits @ a["C"]
    dh = dq @ a["Wq"].T
    demb = np.repeat(dh[:, None, :], a["T"], axis=1)
    dC = dlogits.T @ a["q"]
    np.add.at(dC, a["Xb"], demb)
    return {"dlogits": dlogits, "db": dlogits.sum(0), "dq": dq, "dWq": a["h"].T @ dq, "dh": dh, "demb": demb, "dC": dC}


@attempt(
    wrong={"dlogits": "only the diagonal of the softmax's Jacobian"},
    right=["dlogprobs", "dprobs"],
    consequence=["db", "dq", "dWq", "dh", "demb", "dC"],
)
def softmax_like_a_sigmoid(v):
    # p * (1 - p), as for the sigmoid; that each logit changes all probabilities is forgotten.
    a = numpy_values(v)
    N, p = a["N"], a["probs"]
    dlogprobs = np.zeros_like(p)
    dlogprobs[np.arange(N), a["Yb"]] = -1 / N
    dprobs = dlogprobs / p
    dlogits = dprobs * p * (1 - p)
    dq = dlogits @ a["C"]
    dh = dq @ a["Wq"].T
    demb = np.repeat(dh[:, None, :], a["T"], axis=1) / a["T"]
    dC = dlogits.T @ a["q"]
    np.add.at(dC, a["Xb"], demb)
    return {
        "dlogprobs": dlogprobs,
        "dprobs": dprobs,
        "dlogits": dlogits,
        "db": dlogits.sum(0),
        "dq": dq,
        "dWq": a["h"].T @ dq,
        "dh": dh,
        "demb": demb,
        "dC": dC,
    }


@attempt(wrong={"dWq": None}, right=["dlogits", "db", "dq", "dh", "demb", "dC"])
def h_of_another_batch(v):
    # In her notebook, h is still that of the batch before; only dWq uses it.
    a = numpy_values(v)
    other = np.array([[3, 2, 6], [0, 0, 5], [1, 6, 2], [5, 4, 3], [2, 2, 1]])
    h = a["C"][other].mean(1)
    dlogits = right_logits(a)
    dq = dlogits @ a["C"]
    dWq = h.T @ dq
    dh = dq @ a["Wq"].T
    demb = np.repeat(dh[:, None, :], a["T"], axis=1) / a["T"]
    dC = dlogits.T @ a["q"]
    np.add.at(dC, a["Xb"], demb)
    return {"dlogits": dlogits, "db": dlogits.sum(0), "dq": dq, "dWq": dWq, "dh": dh, "demb": demb, "dC": dC}
