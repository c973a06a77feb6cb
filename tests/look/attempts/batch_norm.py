"""A layer, batch norm in small steps, tanh, a second layer (square), softmax and cross entropy in small steps."""

import numpy as np

import tinygrad_sm as tg
from tests.look.attempts.marks import attempt


def problem():
    """Run the forward pass with tinygrad_sm Tensors; return the loss and all values by name."""
    rng = np.random.default_rng(11)
    n = 6
    X = rng.standard_normal((n, 5))
    Y = np.array([2, 0, 3, 1, 1, 2])
    W1 = tg.Tensor(rng.standard_normal((5, 4)), requires_grad=True)
    b1 = tg.Tensor(rng.standard_normal(4), requires_grad=True)
    bngain = tg.Tensor(1 + 0.3 * rng.standard_normal((1, 4)), requires_grad=True)
    bnbias = tg.Tensor(0.3 * rng.standard_normal((1, 4)), requires_grad=True)
    W2 = tg.Tensor(rng.standard_normal((4, 4)), requires_grad=True)
    b2 = tg.Tensor(rng.standard_normal(4), requires_grad=True)
    hprebn = X @ W1 + b1
    bnmeani = hprebn.sum(axis=0, keepdims=True) * (1 / n)
    bndiff = hprebn - bnmeani
    bndiff2 = bndiff**2
    bnvar = bndiff2.sum(axis=0, keepdims=True) * (1 / (n - 1))
    bnvar_inv = (bnvar + 1e-5) ** -0.5
    bnraw = bndiff * bnvar_inv
    hpreact = bngain * bnraw + bnbias
    h = tg.tanh(hpreact)
    logits = h @ W2 + b2
    logit_maxes = logits.max(axis=1, keepdims=True)
    norm_logits = logits - logit_maxes
    counts = tg.exp(norm_logits)
    counts_sum = counts.sum(axis=1, keepdims=True)
    counts_sum_inv = counts_sum**-1.0
    probs = counts * counts_sum_inv
    logprobs = tg.log(probs)
    loss = -(logprobs[np.arange(n), Y].mean())
    return loss, locals()


HEAD = ["dlogprobs", "dprobs", "dcounts_sum_inv", "dcounts_sum", "dcounts", "dnorm_logits", "dlogit_maxes", "dlogits"]
SECOND = ["dh", "dW2", "db2"]
GAIN = ["dhpreact", "dbngain", "dbnbias", "dbnraw"]
NORM = ["dbnvar_inv", "dbnvar", "dbndiff2", "dbndiff", "dbnmeani", "dhprebn"]
FIRST = ["dW1", "db1"]


def numpy_values(v):
    """All values of the forward pass as arrays."""
    return {k: x.numpy() if hasattr(x, "numpy") else x for k, x in v.items()}


# The stretches that a learner has right, to be called before or after the stretch that is looked at.


def head(a):
    """From the loss to the logits, step by step."""
    n, Y = a["n"], a["Y"]
    dlogprobs = np.zeros_like(a["logprobs"])
    dlogprobs[np.arange(n), Y] = -1.0 / n
    return head_from(a, dlogprobs)


def head_from(a, dlogprobs):
    dprobs = dlogprobs / a["probs"]
    dcounts_sum_inv = (a["counts"] * dprobs).sum(1, keepdims=True)
    dcounts_sum = -(a["counts_sum"] ** -2) * dcounts_sum_inv
    dcounts = a["counts_sum_inv"] * dprobs
    dcounts = dcounts + np.ones_like(a["counts"]) * dcounts_sum
    dnorm_logits = a["counts"] * dcounts
    dlogit_maxes = -dnorm_logits.sum(1, keepdims=True)
    dlogits = dnorm_logits.copy()
    dlogits[np.arange(a["n"]), a["logits"].argmax(1)] += dlogit_maxes[:, 0]
    return {
        "dlogprobs": dlogprobs,
        "dprobs": dprobs,
        "dcounts_sum_inv": dcounts_sum_inv,
        "dcounts_sum": dcounts_sum,
        "dcounts": dcounts,
        "dnorm_logits": dnorm_logits,
        "dlogit_maxes": dlogit_maxes,
        "dlogits": dlogits,
    }


def second(a, dlogits):
    return {"dh": dlogits @ a["W2"].T, "dW2": a["h"].T @ dlogits, "db2": dlogits.sum(0)}


def gain(a, dhpreact):
    return {
        "dhpreact": dhpreact,
        "dbngain": (a["bnraw"] * dhpreact).sum(0, keepdims=True),
        "dbnbias": dhpreact.sum(0, keepdims=True),
        "dbnraw": a["bngain"] * dhpreact,
    }


def norm(a, dbnraw):
    n = a["n"]
    dbnvar_inv = (a["bndiff"] * dbnraw).sum(0, keepdims=True)
    dbnvar = -0.5 * (a["bnvar"] + 1e-5) ** -1.5 * dbnvar_inv
    dbndiff2 = 1 / (n - 1) * np.ones_like(a["bndiff2"]) * dbnvar
    dbndiff = a["bnvar_inv"] * dbnraw + 2 * a["bndiff"] * dbndiff2
    dbnmeani = -dbndiff.sum(0, keepdims=True)
    dhprebn = dbndiff + 1 / n * np.ones_like(a["hprebn"]) * dbnmeani
    return {
        "dbnvar_inv": dbnvar_inv,
        "dbnvar": dbnvar,
        "dbndiff2": dbndiff2,
        "dbndiff": dbndiff,
        "dbnmeani": dbnmeani,
        "dhprebn": dhprebn,
    }


def first(a, dhprebn):
    return {"dW1": a["X"].T @ dhprebn, "db1": dhprebn.sum(0)}


def up_to_gain(a):
    g = head(a)
    g |= second(a, g["dlogits"])
    return g | gain(a, g["dh"] * (1 - a["h"] ** 2))


@attempt(right=HEAD + SECOND + GAIN + NORM + FIRST)
def right_every_step(v):
    # Every step of the forward pass has its line here, in reverse order.
    a = numpy_values(v)
    g = up_to_gain(a)
    g |= norm(a, g["dbnraw"])
    return g | first(a, g["dhprebn"])


@attempt(right=["dlogits", "dh", "dhpreact", "dbngain", "dbnbias", "dhprebn", "dW2", "db2", "dW1", "db1"])
def right_in_one_line(v):
    # She has worked out both short formulas on paper: softmax with cross entropy, and batch norm.
    a = numpy_values(v)
    n, Y, bnraw = a["n"], a["Y"], a["bnraw"]
    dlogits = a["probs"].copy()
    dlogits[np.arange(n), Y] -= 1
    dlogits /= n
    dh = dlogits @ a["W2"].T
    dhpreact = dh * (1 - a["h"] ** 2)
    dhprebn = (
        a["bngain"]
        * a["bnvar_inv"]
        / n
        * (n * dhpreact - dhpreact.sum(0) - n / (n - 1) * bnraw * (dhpreact * bnraw).sum(0))
    )
    return {
        "dlogits": dlogits,
        "dh": dh,
        "dhpreact": dhpreact,
        "dbngain": (dhpreact * bnraw).sum(0, keepdims=True),
        "dbnbias": dhpreact.sum(0, keepdims=True),
        "dhprebn": dhprebn,
        "dW2": a["h"].T @ dlogits,
        "db2": dlogits.sum(0),
        "dW1": a["X"].T @ dhprebn,
        "db1": dhprebn.sum(0),
    }


@attempt(right=["dlogprobs", "dprobs", "dcounts", "dnorm_logits", "dlogits"] + SECOND + GAIN)
def right_without_the_maxima(v):
    # He skips the branch through the maxima: shifting a row of logits changes nothing, so its gradient is zero.
    a = numpy_values(v)
    g = head(a)
    g["dlogits"] = g["dnorm_logits"]
    del g["dlogit_maxes"], g["dcounts_sum"], g["dcounts_sum_inv"]
    g |= second(a, g["dlogits"])
    return g | gain(a, g["dh"] * (1 - a["h"] ** 2))


@attempt(right=["dlogits"] + SECOND + GAIN + NORM + ["dW1"])
def right_in_float32(v):
    # He computes all in float32, as he always does; only the rounding is different. He leaves db1 out.
    a = {k: x.astype(np.float32) if getattr(x, "dtype", None) == np.float64 else x for k, x in numpy_values(v).items()}
    g = up_to_gain(a)
    g |= norm(a, g["dbnraw"])
    g |= first(a, g["dhprebn"])
    return {k: g[k].astype(np.float32) for k in ["dlogits"] + SECOND + GAIN + NORM + ["dW1"]}


@attempt(
    wrong={"dbndiff2": "divided by N, not by N - 1: Bessel's correction is forgotten"},
    right=["dlogits"] + SECOND + GAIN + ["dbnvar_inv", "dbnvar", "dbnmeani", "db1"],
    consequence=["dbndiff", "dhprebn", "dW1"],
)
def forgets_bessel(v):
    # A variance is a mean of squares, so he divides by n.
    a = numpy_values(v)
    n = a["n"]
    g = up_to_gain(a)
    dbnvar_inv = (a["bndiff"] * g["dbnraw"]).sum(0, keepdims=True)
    dbnvar = -0.5 * (a["bnvar"] + 1e-5) ** -1.5 * dbnvar_inv
    dbndiff2 = 1 / n * np.ones_like(a["bndiff2"]) * dbnvar
    dbndiff = a["bnvar_inv"] * g["dbnraw"] + 2 * a["bndiff"] * dbndiff2
    dbnmeani = -dbndiff.sum(0, keepdims=True)
    dhprebn = dbndiff + 1 / n * dbnmeani
    keep = {k: g[k] for k in ["dlogits"] + SECOND + GAIN}
    return (
        keep
        | {
            "dbnvar_inv": dbnvar_inv,
            "dbnvar": dbnvar,
            "dbndiff2": dbndiff2,
            "dbndiff": dbndiff,
            "dbnmeani": dbnmeani,
            "dhprebn": dhprebn,
        }
        | first(a, dhprebn)
    )


@attempt(
    wrong={"dhprebn": "the branch through the mean is forgotten"},
    right=["dlogits"] + SECOND + GAIN + ["dbnvar_inv", "dbnvar", "dbndiff2", "dbndiff"],
    consequence=["dW1", "db1"],
)
def forgets_the_mean(v):
    # The mean is a constant of the batch, she thinks, so the difference has one branch only.
    a = numpy_values(v)
    g = up_to_gain(a)
    m = norm(a, g["dbnraw"])
    dhprebn = m["dbndiff"].copy()
    keep = {k: g[k] for k in ["dlogits"] + SECOND + GAIN}
    keep |= {k: m[k] for k in ("dbnvar_inv", "dbnvar", "dbndiff2", "dbndiff")}
    return keep | {"dhprebn": dhprebn} | first(a, dhprebn)


@attempt(
    wrong={"dbndiff": "the branch through the variance is forgotten"},
    right=["dlogits"] + SECOND + GAIN + ["dbnmeani", "db1"],
    consequence=["dhprebn", "dW1"],
)
def forgets_the_variance(v):
    # He scales back by the inverse root and takes it for a constant.
    a = numpy_values(v)
    n = a["n"]
    g = up_to_gain(a)
    dbndiff = a["bnvar_inv"] * g["dbnraw"]
    dbnmeani = -dbndiff.sum(0, keepdims=True)
    dhprebn = dbndiff + 1 / n * dbnmeani
    keep = {k: g[k] for k in ["dlogits"] + SECOND + GAIN}
    return keep | {"dbndiff": dbndiff, "dbnmeani": dbnmeani, "dhprebn": dhprebn} | first(a, dhprebn)


@attempt(
    wrong={"dbndiff": "not accumulated: the second branch overwrites the first"},
    right=HEAD + SECOND + GAIN + ["dbnvar_inv", "dbnvar", "dbndiff2", "db1"],
    consequence=["dbnmeani", "dhprebn", "dW1"],
)
def overwrites_the_difference(v):
    # She writes = where the second use of bndiff needs +=.
    a = numpy_values(v)
    n = a["n"]
    g = up_to_gain(a)
    m = norm(a, g["dbnraw"])
    dbndiff = a["bnvar_inv"] * g["dbnraw"]
    dbndiff = 2 * a["bndiff"] * m["dbndiff2"]
    dbnmeani = -dbndiff.sum(0, keepdims=True)
    dhprebn = dbndiff + 1 / n * np.ones_like(dbndiff) * dbnmeani
    g |= {k: m[k] for k in ("dbnvar_inv", "dbnvar", "dbndiff2")}
    return g | {"dbndiff": dbndiff, "dbnmeani": dbnmeani, "dhprebn": dhprebn} | first(a, dhprebn)


@attempt(
    wrong={"dbnvar_inv": "the sum over the batch is forgotten: it was broadcast over the rows"},
    right=["dlogits"] + SECOND + GAIN + ["db1"],
    consequence=["dbnvar", "dbndiff2", "dbndiff", "dbnmeani", "dhprebn", "dW1"],
)
def forgets_to_sum_over_the_batch(v):
    # He does not see that bnvar_inv is one row, used by all rows of bnraw.
    a = numpy_values(v)
    n = a["n"]
    g = up_to_gain(a)
    dbnvar_inv = a["bndiff"] * g["dbnraw"]
    dbnvar = -0.5 * (a["bnvar"] + 1e-5) ** -1.5 * dbnvar_inv
    dbndiff2 = 1 / (n - 1) * np.ones_like(a["bndiff2"]) * dbnvar
    dbndiff = a["bnvar_inv"] * g["dbnraw"] + 2 * a["bndiff"] * dbndiff2
    dbnmeani = -dbndiff.sum(0, keepdims=True)
    dhprebn = dbndiff + 1 / n * dbnmeani
    keep = {k: g[k] for k in ["dlogits"] + SECOND + GAIN}
    return (
        keep
        | {
            "dbnvar_inv": dbnvar_inv,
            "dbnvar": dbnvar,
            "dbndiff2": dbndiff2,
            "dbndiff": dbndiff,
            "dbnmeani": dbnmeani,
            "dhprebn": dhprebn,
        }
        | first(a, dhprebn)
    )


@attempt(
    wrong={"dhpreact": "the derivative of tanh is formed with the pre-activation, not with h"},
    right=HEAD + SECOND + ["db1"],
    consequence=["dbngain", "dbnbias", "dbnraw"] + NORM + ["dW1"],
)
def squares_the_pre_activation(v):
    # 1 - t**2 is in her notes; she puts the input of tanh for t.
    a = numpy_values(v)
    g = head(a)
    g |= second(a, g["dlogits"])
    g |= gain(a, g["dh"] * (1 - a["hpreact"] ** 2))
    g |= norm(a, g["dbnraw"])
    return g | first(a, g["dhprebn"])


@attempt(
    wrong={
        "dbngain": "summed over the features, not over the batch",
        "dbnbias": "summed over the features, not over the batch",
    },
    right=["dlogits"] + SECOND + ["dhpreact", "dbnraw"] + NORM + FIRST,
)
def sums_gain_over_features(v):
    # Both sums run over axis 1, as in the softmax above.
    a = numpy_values(v)
    g = up_to_gain(a)
    g["dbngain"] = (a["bnraw"] * g["dhpreact"]).sum(1, keepdims=True)
    g["dbnbias"] = g["dhpreact"].sum(1, keepdims=True)
    g |= norm(a, g["dbnraw"])
    g |= first(a, g["dhprebn"])
    return {k: g[k] for k in ["dlogits"] + SECOND + GAIN + NORM + FIRST}


@attempt(
    wrong={"dlogprobs": "not divided by N", "dbndiff2": "divided by N, not by N - 1: Bessel's correction is forgotten"},
    right=["db1"],
    consequence=["dprobs", "dcounts", "dlogits"] + SECOND + GAIN + ["dbnvar", "dbndiff", "dhprebn", "dW1"],
)
def two_mistakes_far_apart(v):
    # Minus one at each right class, and the mean is forgotten; further down, Bessel is forgotten too.
    a = numpy_values(v)
    n, Y = a["n"], a["Y"]
    dlogprobs = np.zeros_like(a["logprobs"])
    dlogprobs[np.arange(n), Y] = -1.0
    g = head_from(a, dlogprobs)
    g = {k: g[k] for k in ("dlogprobs", "dprobs", "dcounts", "dlogits")}
    g |= second(a, g["dlogits"])
    g |= gain(a, g["dh"] * (1 - a["h"] ** 2))
    dbnvar = -0.5 * a["bnvar_inv"] ** 3 * (a["bndiff"] * g["dbnraw"]).sum(0, keepdims=True)
    dbndiff2 = np.ones((n, 4)) * dbnvar / n
    dbndiff = a["bnvar_inv"] * g["dbnraw"] + 2 * a["bndiff"] * dbndiff2
    dhprebn = dbndiff - dbndiff.mean(0, keepdims=True)
    return g | {"dbnvar": dbnvar, "dbndiff2": dbndiff2, "dbndiff": dbndiff, "dhprebn": dhprebn} | first(a, dhprebn)


@attempt(
    wrong={"dbnvar": None},
    right=["dlogits"] + SECOND + GAIN + ["dbnvar_inv", "dbnmeani", "db1"],
    consequence=["dbndiff2", "dbndiff", "dhprebn", "dW1"],
)
def leaves_out_the_epsilon(v):
    # The 1e-5 is too small to matter, he thinks: the result is off by about one part in 100 000.
    a = numpy_values(v)
    n = a["n"]
    g = up_to_gain(a)
    dbnvar_inv = (a["bndiff"] * g["dbnraw"]).sum(0, keepdims=True)
    dbnvar = -0.5 * a["bnvar"] ** -1.5 * dbnvar_inv
    dbndiff2 = 1 / (n - 1) * np.ones_like(a["bndiff2"]) * dbnvar
    dbndiff = a["bnvar_inv"] * g["dbnraw"] + 2 * a["bndiff"] * dbndiff2
    dbnmeani = -dbndiff.sum(0, keepdims=True)
    dhprebn = dbndiff + 1 / n * dbnmeani
    keep = {k: g[k] for k in ["dlogits"] + SECOND + GAIN}
    return (
        keep
        | {
            "dbnvar_inv": dbnvar_inv,
            "dbnvar": dbnvar,
            "dbndiff2": dbndiff2,
            "dbndiff": dbndiff,
            "dbnmeani": dbnmeani,
            "dhprebn": dhprebn,
        }
        | first(a, dhprebn)
    )


@attempt(
    wrong={"dh": "the transpose of W2 is missing; W2 is square, so the shapes fit"},
    right=["dlogits", "dW2", "db2", "db1"],
    consequence=GAIN + ["dhprebn", "dW1"],
)
def forgets_to_transpose_the_square(v):
    # The product has the right shape, so it must be right.
    a = numpy_values(v)
    dlogits = head(a)["dlogits"]
    g = second(a, dlogits)
    g["dh"] = dlogits @ a["W2"]
    g |= gain(a, g["dh"] * (1 - a["h"] ** 2))
    dhprebn = norm(a, g["dbnraw"])["dhprebn"]
    return {"dlogits": dlogits, "dhprebn": dhprebn} | g | first(a, dhprebn)


@attempt(
    wrong={"dlogprobs": None},
    right=["db2", "db1"],  # the labels are only in another order, so the sum over the rows is the same
    consequence=["dprobs", "dcounts", "dlogits", "dh", "dW2"] + GAIN + ["dhprebn", "dW1"],
)
def labels_of_the_neighbours(v):
    # A slip in an index: each row takes the label of the row before it.
    a = numpy_values(v)
    n, Y = a["n"], a["Y"]
    dlogprobs = np.zeros_like(a["logprobs"])
    for i in range(n):
        dlogprobs[i, Y[i - 1]] = -1.0 / n
    g = head_from(a, dlogprobs)
    g = {k: g[k] for k in ("dlogprobs", "dprobs", "dcounts", "dlogits")}
    g |= second(a, g["dlogits"])
    g |= gain(a, g["dh"] * (1 - a["h"] ** 2))
    dhprebn = norm(a, g["dbnraw"])["dhprebn"]
    return g | {"dhprebn": dhprebn} | first(a, dhprebn)


@attempt(
    wrong={"dbnraw": None},
    right=["dlogits"] + SECOND + ["dhpreact", "dbngain", "dbnbias", "db1"],
    consequence=["dbnvar_inv", "dbnvar", "dbndiff2", "dbndiff", "dbnmeani", "dhprebn", "dW1"],
)
def takes_dh_for_dhpreact(v):
    # In one line of three she writes dh where dhpreact should stand: the tanh is skipped there.
    a = numpy_values(v)
    g = up_to_gain(a)
    g["dbnraw"] = a["bngain"] * g["dh"]
    g |= norm(a, g["dbnraw"])
    g |= first(a, g["dhprebn"])
    return {k: g[k] for k in ["dlogits"] + SECOND + GAIN + NORM + FIRST}
