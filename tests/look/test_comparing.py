"""Gradients by hand beside a recording: how they are matched, judged and diagnosed, and what is refused."""

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import check_error, leaf
from tinygrad_sm import GradientError, nn
from tinygrad_sm.check.mistakes import MISTAKES, Call
from tinygrad_sm.look import compare, record, searching, slips
from tinygrad_sm.look.slips import of_a_loss

N, D, C = 6, 3, 4


class Regression:
    """Softmax regression in small steps, recorded; every value is an attribute, as an array."""

    def __init__(self, n=N, d=D, c=C, dtype=np.float64):
        random = np.random.default_rng(7)
        X, y = random.standard_normal((n, d)).astype(dtype), random.integers(0, c, n)
        W, b = leaf(random.standard_normal((d, c)), dtype), leaf(random.standard_normal(c), dtype)
        with record() as self.recording:
            logits = X @ W + b
            probs = tg.softmax(logits, axis=1)
            logprobs = tg.log(probs)
            loss = -logprobs[np.arange(n), y].mean()
            loss.backward()
        self.X, self.y, self.n, self.p, self.eye = X, y, n, probs.numpy(), np.eye(c)[y]
        self.W, self.logits = W.numpy(), logits.numpy()
        self.dlogits = (self.p - self.eye) / n
        self.dW, self.db = X.T @ self.dlogits, self.dlogits.sum(0)


@pytest.fixture(scope="module")
def r():
    return Regression()


# How gradients are matched


@pytest.mark.parametrize("name", ["dW", "d_W", "grad_W", "W_grad", "dL_dW"])
def test_the_gradient_of_a_value_has_these_names(r, name):
    row = compare(r.recording, **{name: r.dW})[name]
    assert row.verdict == "right"
    assert row.value is r.recording["W"]
    assert str(row) == f"`{name}` is right"


def test_a_dict_takes_paths_and_the_names_of_the_values_too():
    model = nn.Sequential(nn.Linear(3, 2))
    x = np.ones((5, 3), np.float32)
    with record(model) as recording:
        out = model(x)
        out.sum().backward()
    right = x.T @ np.ones((5, 2))
    rows = compare(recording, {"0.weight": right.T, "out": np.ones((5, 2)), "d0.bias": [5, 5]}, dout=np.ones((5, 2)))
    assert [(row.name, row.verdict) for row in rows] == [
        ("out", "right"),
        ("dout", "right"),
        ("d0.bias", "right"),
        ("0.weight", "right"),
    ]
    assert compare(recording, {"0.weight": right})["0.weight"].mistakes == ("gives the gradient transposed",)


@pytest.mark.parametrize("form", [tg.Tensor, np.asarray, np.ndarray.tolist], ids=["Tensor", "array", "list"])
def test_tensors_arrays_lists_and_numbers_are_taken(r, form):
    assert compare(r.recording, dW=form(r.dW), dloss=1)["dW"].verdict == "right"
    assert compare(r.recording, dW=form(r.dW), dloss=1.0)["dloss"].verdict == "right"


def test_only_a_loss_of_classes_forgets_its_labels():
    z = leaf(np.array([[1.0, 2.0], [3.0, 5.0]]))
    p = tg.softmax(z, axis=1).numpy()
    with record() as recording:
        loss = z.sum()
        loss.backward()
    assert "cross-entropy" not in str(compare(recording, dz=p / 2))
    with record() as recording:
        loss = -tg.log(tg.softmax(z, axis=1))[[0, 1], [1, 0]].mean()
        loss.backward()
    assert "it forgets the −y of cross-entropy" in str(compare(recording, dz=p / 2))


def test_what_has_no_gradient_in_the_recording_is_said():
    X, w, spare, big = np.ones((4, 2)), leaf(np.ones((2, 3))), leaf(), leaf(np.ones(30))
    with record(largest=25) as recording:
        out = X @ w
        other = spare * 2
        loss = out.sum() + (big * big).sum()
        loss.backward()
    rows = compare(recording, dfoo=1.0, dX=X, dother=[1, 1, 1], dbig=np.ones(30), dw=X.T @ np.ones((4, 3)))
    assert str(rows) == "\n".join(
        [
            "`dw` is right",
            "`dfoo`: no value of the recording is named foo; there are: X, w, spare, big, out, other, loss",
            "`dX`: `X` has no gradient in the recording, as it requires none: tg.Tensor(…, requires_grad=True)",
            "`dother`: no backward walk of the recording reached `other`",
            "`dbig`: `big` has 30 elements, of which the recording keeps statistics: tg.look.record(largest=30)",
        ]
    )
    assert [row.verdict for row in rows] == ["right"] + 4 * ["unknown"]
    assert rows.first is None
    assert rows["dX"].value is recording["X"]
    assert other.shape == (3,)


def exercise(database="db", dt=0.1):
    """Solve an exercise as one does in a notebook: everything is a local variable."""
    dropout, d, dtype, diff = None, 3, np.float64, "a difference"
    t, X = leaf(np.ones((D, 2))), np.arange(4.0 * D).reshape(4, D)
    data = [1, 2]
    with tg.look.record() as recording:
        h = X @ t
        loss = (h * h).mean()
        loss.backward()
    dloss = 1.0
    dh = h.numpy() / 4
    return compare(recording, **locals()), (dropout, d, dtype, diff, data, dloss, dh, database, dt)


def test_locals_are_taken_and_all_that_is_no_gradient_is_passed_over():
    comparison, _ = exercise()
    assert str(comparison) == "`dloss` is right\n`dh` is right"


def test_a_value_whose_name_looks_like_that_of_a_gradient_is_none():
    x = leaf()
    with record() as recording:
        dx = x - 1
        loss = (dx * dx).sum() / 2
        loss.backward()
    assert str(compare(recording, dx=dx)) == "`dx`: this is a value of the recording, not a gradient"
    with pytest.raises(ValueError, match="got none of them"):
        compare(recording, **locals())
    dx = dx.numpy()  # which is the gradient, too
    assert str(compare(recording, **locals())) == "`dx` is right"


def test_of_several_values_of_a_name_the_one_of_this_shape_and_this_gradient_is_taken():
    x = leaf(np.ones((2, 3)))
    with record() as recording:
        h = x * 2
        h = h * h
        h = h.sum(axis=0)
        loss = (h * h).sum()
        loss.backward()
    dh = {"last": 2 * h.numpy(), "second": np.full((2, 3), 16.0), "first": np.full((2, 3), 64.0)}
    rows = {which: compare(recording, dh=g)["dh"] for which, g in dh.items()}
    assert {row.verdict for row in rows.values()} == {"right"}
    assert [row.value.label for row in rows.values()] == ["sum", "multiply", "multiply"]
    assert [str(row)[:52] for row in rows.values()] == [
        f"`dh` is right, for the value number {i} of 3 with this "[:52] for i in (3, 2, 1)
    ]
    assert f"{recording.operations[1].line}" in str(rows["second"])
    wrong = compare(recording, dh=np.full((2, 3), 15.0))["dh"]
    assert (wrong.verdict, wrong.value) == ("wrong", recording.operations[1])


# What is right


@pytest.mark.parametrize(
    ("dtype", "of", "error", "verdict"),
    [
        (np.float64, np.float64, 1e-12, "right"),
        (np.float64, np.float64, 1e-7, "wrong"),
        (np.float64, np.float32, 1e-7, "right"),
        (np.float64, np.float32, 1e-3, "wrong"),
        (np.float32, np.float64, 1e-6, "right"),
        (np.float32, np.float64, 1e-3, "wrong"),
        (np.float64, np.float16, 1e-3, "right"),
        (np.float64, np.float16, 1e-1, "wrong"),
    ],
)
def test_right_is_what_differs_by_the_rounding_of_the_coarser_dtype(dtype, of, error, verdict):
    r = Regression(dtype=dtype)
    given = r.dW.copy()
    given[0, 0] += error * np.abs(r.dW).max()
    row = compare(r.recording, dW=given.astype(of))["dW"]
    assert row.verdict == verdict
    coarse = min(np.dtype(dtype), np.dtype(of), key=lambda d: d.itemsize)
    if verdict == "right" and coarse != np.float64:
        assert str(row) == f"`dW` is right, to the rounding of {coarse}"


def test_a_sum_whose_terms_cancel_is_right_to_the_rounding_of_the_terms():
    x = leaf(np.random.default_rng(0).standard_normal((50, 3)))
    b = leaf(np.zeros(3))
    with record() as recording:
        h = x + b
        centred = h - h.mean(axis=0)
        loss = (centred**3).sum()
        loss.backward()
    assert 0 < np.abs(b.grad).max() < 1e-12
    assert compare(recording, db=np.array([1e-13, -2e-14, 0.0]))["db"].verdict == "right"
    assert compare(recording, db=np.array([1e-3, 0.0, 0.0]))["db"].verdict == "wrong"


def test_rounding_that_is_passed_on_is_right(r):
    dlogits = r.dlogits.astype(np.float32)
    db = dlogits.astype(np.float64).sum(0)
    assert str(compare(r.recording, dlogits=dlogits, db=db)) == (
        "`dlogits` is right, to the rounding of float32\n`db` is right"
    )


def test_0_d_and_size_0():
    x, y = leaf(2.0), leaf(np.zeros((0, 3)))
    with record() as recording:
        square = x * x
        loss = square * 3 + y.sum()
        loss.backward()
    rows = compare(recording, dx=12.0, dsquare=np.float32(3), dy=np.zeros((0, 3)))
    assert {row.verdict for row in rows} == {"right"}
    assert compare(recording, dy=[]).first.facts == ("its shape is (0,), that of the value (0, 3)",)
    assert compare(recording, dx=[12.0]).first.mistakes == (
        "has the shape (1,) where () belongs: keepdims=False takes the axis away",
    )


def test_nan_is_wrong_unless_the_right_gradient_has_it_at_the_same_place():
    x = leaf([1.0, 4.0, 9.0])
    with record() as recording:
        root = tg.sqrt(x)
        loss = root.sum()
        loss.backward()
    given = np.array([0.5, np.nan, np.inf])
    row = compare(recording, dx=given).first
    assert str(row) == "`dx` is wrong: 2 of its 3 elements are not finite, the first at (1,)"
    odd = leaf([-1.0, 4.0])
    with record() as recording, np.errstate(all="ignore"):
        root = tg.sqrt(odd)
        loss = root.sum()
        loss.backward()
    assert compare(recording, dodd=[np.nan, 0.25])["dodd"].verdict == "right"
    assert compare(recording, dodd=[0.5, 0.25])["dodd"].verdict == "wrong"
    zero = leaf([0.0, 4.0])
    with record() as recording, np.errstate(all="ignore"):
        root = tg.sqrt(zero)
        loss = root.sum()
        loss.backward()
    verdicts = [compare(recording, dzero=[x, 0.25])["dzero"].verdict for x in (np.inf, -np.inf, np.nan)]
    assert verdicts == ["right", "wrong", "wrong"]


def test_what_follows_from_nan_follows(r):
    dlogits = r.dlogits.copy()
    dlogits[0, 0] = np.nan
    rows = compare(r.recording, dlogits=dlogits, db=dlogits.sum(0))
    assert [row.verdict for row in rows] == ["wrong", "follows"]


# What follows


def test_what_follows_from_wrong_gradients_is_right_by_itself(r):
    dlogits = 1.5 * r.dlogits
    rows = compare(r.recording, dlogits=dlogits, dW=r.X.T @ dlogits, db=-dlogits.sum(0))
    assert rows["dW"].causes == ("dlogits",)
    assert str(rows["dW"]) == "`dW` follows from the wrong `dlogits`: right by itself"
    assert rows["db"].mistakes == ("has the wrong sign",)
    lines = str(rows).split("\n")
    assert [line.endswith("◀ the first") for line in lines] == [True, False, False]
    assert lines[0].startswith("`dlogits` is wrong: it is 1.5 times the right one; the largest difference is ")


def test_a_right_gradient_after_a_wrong_one_is_right(r):
    rows = compare(r.recording, dlogits=r.dlogits * r.n, dW=r.dW, db=(r.dlogits * r.n).mean(0))
    assert [rows[name].verdict for name in ("dlogits", "dW", "db")] == ["wrong", "right", "right"]


def test_what_comes_after_a_right_one_again_is_compared_with_what_is_right(r):
    rows = compare(r.recording, dprobs=np.ones((N, C)), dlogits=r.dlogits, db=r.db * 1.5)
    assert [row.verdict for row in rows] == ["wrong", "right", "wrong"]
    assert rows["db"].facts[0] == "it is 1.5 times the right one"
    rows = compare(r.recording, dprobs=np.ones((N, C)), db=r.db * 1.5)
    assert rows["db"].facts[0].startswith("the largest difference is")  # with what follows from these dprobs


def test_a_mistake_that_was_not_made_with_the_students_own_gradients_is_found_too(r):
    rows = compare(r.recording, dlogits=r.dlogits + 0.1, dW=-r.dW)
    assert rows["dW"].mistakes == ("has the wrong sign",)


def test_what_a_wrong_shape_leaves_open_is_said_to_be_open(r):
    rows = compare(r.recording, dlogits=r.dlogits[:2], dW=np.ones((D, C)))
    assert rows["dlogits"].facts == (f"its shape is (2, {C}), that of the value {(N, C)}",)
    assert rows["dW"].verdict == "unknown"
    assert str(rows["dW"]) == (
        "`dW`: differs, and comes after the wrong `dlogits`, with which its rule cannot be computed"
    )


def test_what_would_be_right_with_right_gradients_follows():
    x = leaf(np.random.default_rng(2).standard_normal((5, 3)))
    with record() as recording:
        top = x.max(axis=1, keepdims=True)
        shifted = x - top
        e = tg.exp(shifted)
        loss = tg.log(e / e.sum(axis=1, keepdims=True))[:, 0].sum()
        loss.backward()
    right = recording["shifted"].g.array
    assert compare(recording, dshifted=right, dx=right)["dx"].verdict == "right"  # nothing comes through the maximum
    rows = compare(recording, dshifted=right + 1, dx=right + 1)
    assert [row.verdict for row in rows] == ["wrong", "follows"]


# Diagnoses. Each gradient is written as a student writes it, and not taken from the tables.


OF_REGRESSION = {
    "gives the gradient transposed": lambda r: {"dW": r.dlogits.T @ r.X},
    "has the wrong sign": lambda r: {"dlogits": (r.eye - r.p) / r.n},
    "takes the mean over the batch where the sum belongs": lambda r: {"dlogits": r.dlogits, "db": r.dlogits.mean(0)},
    "misses the sum over the batch": lambda r: {"db": r.dlogits},
    "counts only the first example of the batch": lambda r: {"db": r.dlogits[0]},
    "counts only the last example of the batch": lambda r: {"db": r.dlogits[-1]},
    "forgets the division by N, the number of rows": lambda r: {"dlogits": r.p - r.eye},
    "divides by N, the number of rows, once too often": lambda r: {"dlogits": r.dlogits / r.n},
    "forgets the −y of cross-entropy: p/N where (p − y)/N belongs": lambda r: {"dlogits": r.p / r.n},
    "divides p alone by N: p/N − y where (p − y)/N belongs": lambda r: {"dlogits": r.p / r.n - r.eye},
    "divides y alone by N: p − y/N where (p − y)/N belongs": lambda r: {"dlogits": r.p - r.eye / r.n},
    "sets −1 at the label, where p − 1 belongs": lambda r: {"dlogits": np.where(r.eye, -1, r.p) / r.n},
    "takes the logits where the probabilities p belong": lambda r: {"dlogits": (r.logits - r.eye) / r.n},
    "keeps only the diagonal of the Jacobian": lambda r: {"dlogits": -r.eye * (1 - r.p) / r.n},
    "forgets ⟨p, g⟩ in the gradient of softmax, p ⊙ (g − ⟨p, g⟩)": lambda r: {"dlogits": -r.eye / r.n},
    "multiplies by x where it should divide": lambda r: {"dprobs": -r.eye / r.n * r.p},
    "hands g on as it came": lambda r: {"dprobs": -r.eye / r.n},
    "hands g to all elements of a row, not to the picked one alone": lambda r: {"dlogprobs": np.full((N, C), -1 / r.n)},
}


@pytest.mark.parametrize("mistake", OF_REGRESSION)
def test_mistakes_of_softmax_regression(r, mistake):
    given = OF_REGRESSION[mistake](r)
    rows = compare(r.recording, **given)
    assert rows.first.mistakes == (mistake,)
    assert str(rows.first).startswith(f"`{rows.first.name}` is wrong: it {mistake}")


SQUARE = np.random.default_rng(3).uniform(0.5, 2, (4, 4))
TALL = np.random.default_rng(4).standard_normal((5, 3))
COLUMN = np.random.default_rng(5).uniform(0.5, 2, (5, 1))


def weighed(f, x):
    """Return the recording of Σ w ⊙ f(x), and the weights w, which are different everywhere."""
    x = leaf(x)
    with record() as recording:
        out = f(x)
        w = np.random.default_rng(6).standard_normal(out.shape)
        loss = (out * w).sum()
        loss.backward()
    return recording, w


def softly(x):
    e = tg.exp(x)
    return e / e.sum(axis=1, keepdims=True)


def P(x):
    return np.exp(x) / np.exp(x).sum(axis=1, keepdims=True)


def two_ways(x):
    side = x**2
    return side + tg.exp(x)


def nested(x):
    side = tg.exp(tg.sin(x))
    return side * side


def batch_norm(x):
    mean = x.mean(axis=0, keepdims=True)
    diff = x - mean
    var = (diff**2).mean(axis=0, keepdims=True)
    return diff * var**-0.5


def layer_norm(x):
    return nn.functional.layer_norm(x, (3,), eps=0.0)


STD = TALL.std(1, keepdims=True)
Z = (TALL - TALL.mean(1, keepdims=True)) / STD


def mean(x):
    return x.mean(1, keepdims=True)


SINGLE = [
    ("hands g on also where x is not positive", tg.relu, TALL, lambda w: w),
    ("keeps what is positive in g, not where x is positive", tg.relu, TALL, lambda w: np.maximum(w, 0)),
    ("keeps g where x is negative, not where it is positive", tg.relu, TALL, lambda w: w * (TALL < 0)),
    (
        "hands g to all elements, not to the extreme ones alone",
        lambda x: x.max(axis=1, keepdims=True),
        TALL,
        lambda w: w * np.ones_like(TALL),
    ),
    ("takes x where tanh x belongs in tanh′ = 1 − tanh²", tg.tanh, TALL, lambda w: w * (1 - TALL**2)),
    ("forgets the square in tanh′ = 1 − tanh²", tg.tanh, TALL, lambda w: w * (1 - np.tanh(TALL))),
    (
        "takes for tanh the derivative of the sigmoid, out (1 − out)",
        tg.tanh,
        TALL,
        lambda w: w * np.tanh(TALL) * (1 - np.tanh(TALL)),
    ),
    (
        "takes for the sigmoid the derivative of tanh, 1 − out²",
        lambda x: 1 / (1 + tg.exp(-x)),  # in several operations
        TALL,
        lambda w: w * (1 - (1 / (1 + np.exp(-TALL))) ** 2),
    ),
    ("takes x where exp x belongs", tg.exp, TALL, lambda w: w * TALL),
    ("hands g on as it came", tg.exp, TALL, lambda w: w),
    ("forgets the chain rule, g", tg.exp, TALL, lambda w: np.exp(TALL)),
    ("forgets a factor of 2", lambda x: x**2, SQUARE, lambda w: w * SQUARE),
    ("forgets the factor b of b·aᵇ⁻¹", lambda x: x**-1.5, SQUARE, lambda w: w * SQUARE**-2.5),
    ("leaves the exponent as it was: b·aᵇ where b·aᵇ⁻¹ belongs", lambda x: x**3, SQUARE, lambda w: w * 3 * SQUARE**3),
    ("forgets the factor 0.3", lambda x: tg.exp(x) * 0.3, TALL, lambda w: w * np.exp(TALL)),
    ("forgets the division by N", lambda x: x.sum(axis=0) / 5, TALL, lambda w: w * np.ones((5, 1))),
    ("forgets the division by N − 1", lambda x: x.sum(axis=0) / 4, TALL, lambda w: w * np.ones((5, 1))),
    ("divides by N where N − 1 belongs", lambda x: x.sum(axis=0) / 4, TALL, lambda w: w * np.ones((5, 1)) / 5),
    ("divides by N where N − 1 belongs", lambda x: (x**2).mean(axis=0) * (5 / 4), TALL, lambda w: w * 2 * TALL / 5),
    ("divides by N − 1 where N belongs", lambda x: (x**2).sum(axis=0) / 5, TALL, lambda w: w * 2 * TALL / 4),
    ("divides by N where N − 1 belongs", lambda x: (x**2 / 4).sum(axis=0), TALL, lambda w: w * 2 * TALL / 5),
    ("forgets the factor 0.25", lambda x: tg.exp(x) * 0.25, TALL, lambda w: w * np.exp(TALL)),  # 4 is no N − 1 here
    ("divides by N − 1 where N belongs", lambda x: (x * x).mean(axis=0), TALL, lambda w: w * 2 * TALL / 4),
    ("forgets the division by the number of elements", lambda x: x.mean(), TALL, lambda w: w * np.ones((5, 3))),
    (
        "divides by N, the number of rows, where the number of elements belongs",
        lambda x: x.mean(),
        TALL,
        lambda w: w * np.ones((5, 3)) / 5,
    ),
    ("misses the sum over axis 1", lambda x: x * TALL, COLUMN, lambda w: w * TALL),
    (
        "takes the mean over axis 1 where the sum belongs",
        lambda x: x * TALL,
        COLUMN,
        lambda w: (w * TALL).mean(1)[:, None],
    ),
    ("sums over axis 1 instead of axis 0", lambda x: x + SQUARE, SQUARE[0], lambda w: w.sum(1)),
    ("sums over axis 0 instead of axis 1", lambda x: x * TALL, COLUMN, lambda w: (w * TALL).sum(0)),
    (
        "has the shape (4,) where (1, 4) belongs: keepdims=True keeps the axis",
        lambda x: x + SQUARE,
        SQUARE[:1],
        lambda w: w.sum(0),
    ),
    (
        "has the shape (1, 4) where (4,) belongs: keepdims=False takes the axis away",
        lambda x: x + SQUARE,
        SQUARE[0],
        lambda w: w.sum(0, keepdims=True),
    ),
    ("reshapes where it should transpose", lambda x: x @ TALL.T, TALL[:4], lambda w: (w @ TALL).T.reshape(4, 3)),
    (
        "multiplies from the right by a transposed matrix that should not be transposed",
        lambda x: nn.functional.linear(x, SQUARE.copy()),  # without a name, which the sentence would say
        SQUARE - 1,
        lambda w: w @ SQUARE.T,
    ),
    ("keeps only the diagonal of the Jacobian", softly, TALL, lambda w: w * P(TALL) * (1 - P(TALL))),
    ("misses one of the two uses of `e`: what comes through sum", softly, TALL, lambda w: w * P(TALL)),
    ("forgets a factor of 2", lambda x: x * x, TALL, lambda w: w * TALL),
    (
        "misses one of the two uses of `x`: what comes through `side`",
        two_ways,
        TALL,
        lambda w: w * np.exp(TALL),
    ),
    (
        "has twice what comes through `side`, one of the two uses of `x`",
        two_ways,
        TALL,
        lambda w: w * (np.exp(TALL) + 4 * TALL),
    ),
    (
        "has only one of the three uses of `x`: what comes through exp",
        lambda x: x + tg.sin(x) + tg.exp(x),
        TALL,
        lambda w: w * np.exp(TALL),
    ),
    ("has the wrong sign, in what comes through `side`", two_ways, TALL, lambda w: w * (np.exp(TALL) - 2 * TALL)),
    (
        "misses one of the two uses of `x`: what comes through `mean`; "
        "and one of the two uses of `diff`: what comes through `var`",
        batch_norm,
        TALL,
        lambda w: w / TALL.std(0),
    ),
    ("misses what comes through the mean", layer_norm, TALL, lambda w: (w - Z * mean(w * Z)) / STD),
    ("misses what comes through the standard deviation", layer_norm, TALL, lambda w: (w - mean(w)) / STD),
    ("misses what comes through the mean and through the standard deviation", layer_norm, TALL, lambda w: w / STD),
    ("is the gradient of `side`", nested, TALL, lambda w: 2 * w * np.exp(np.sin(TALL))),
]


@pytest.mark.parametrize(("mistake", "f", "x", "dx"), SINGLE, ids=[row[0][:50] for row in SINGLE])
def test_mistakes_on_the_way_to_one_value(mistake, f, x, dx):
    recording, w = weighed(f, x)
    dx = dx(w)
    assert compare(recording, dout=w, dx=dx).first.mistakes == (mistake,)
    assert mistake in compare(recording, dx=dx).first.mistakes  # perhaps beside another, made nearer to the loss


def test_what_is_said_of_rows_is_said_of_rows_that_exist():
    named = {*slips.HOLDS, *slips.FACTORS, *searching.TRIED_ON_THE_WHOLE, *searching.FROM_ANYTHING}
    assert named <= MISTAKES.keys()


@pytest.mark.parametrize("x", [SQUARE, TALL, COLUMN, SQUARE[:1, :1]])
@pytest.mark.parametrize("f", [tg.exp, lambda x: x * x, lambda x: tg.softmax(x, axis=1) ** 2])
def test_without_labels_none_are_forgotten(f, x):
    x = leaf(x)
    with record() as recording:
        z = 1.5 * x
        f(z).sum().backward()
    p = tg.softmax(z, axis=1).numpy()
    for wrong in (1.0, np.ones(1), p, p / len(p)):  # the rows of p sum to 1
        for row in compare(recording, dx=wrong, dz=wrong):
            assert "−y" not in str(row)
            assert "label" not in str(row)


def test_an_array_of_another_shape_is_not_what_a_mistake_adds_up_to():
    recording, w = weighed(lambda x: x * x, SQUARE)
    for total in ((2 * w).sum(), (2 * w).sum(axis=0), w.sum(axis=0), [w.sum()]):
        assert compare(recording, dout=w, dx=total).first.mistakes == ()
    X, w = np.array([[1.0, 2.0, 3.0]]), leaf(np.ones((3, 1)))
    with record() as recording:
        out = X @ w
        (out * out).mean().backward()
    assert compare(recording, dout=[12.0]).first.mistakes == (
        "has the shape (1,) where (1, 1) belongs: keepdims=True keeps the axis",
    )


def test_quotients_and_negative_powers_do_not_divide_as_logarithms_do():
    for f in (lambda x: SQUARE.T / x, lambda x: x / SQUARE.T, lambda x: x**-1.0, lambda x: x**-2.0):
        recording, w = weighed(f, SQUARE)
        x, g = recording["x"].value.array, recording["x"].g.array
        assert compare(recording, dout=w, dx=g * x * x).first.mistakes == ()


def test_a_function_that_gives_zeros_everywhere_is_no_tanh():
    x = leaf(-SQUARE)
    with record() as recording:
        h = tg.relu(x)
        loss = (h * h).sum()
        loss.backward()
    assert compare(recording, dh=np.ones((4, 4))).first.mistakes == ()


def test_the_rows_of_single_rules_that_can_be_meant_are_all_planted():
    told = [*OF_REGRESSION, *(row[0] for row in SINGLE)]
    elsewhere = {  # in tests/look/test_attempts.py, or not by hand
        "multiplies from the right by a matrix that should be transposed",
        "multiplies from the left by a matrix that should be transposed",
        "assigns where the gradients of repeated indices should add up",
    }
    rest = MISTAKES.keys() - set(told) - elsewhere
    assert rest == {
        "has a factor of 2 too much",  # the ratio says it
        "gives the gradient of the other operand",
        "multiplies from the left by a transposed matrix that should not be transposed",
        "sums over the classes instead of over the batch",  # said with the numbers of the axes
        "forgets the division by the number of examples that are not ignored",
        "divides by the number of all examples, where the ignored ones do not count",
        "sums in the gradient of softmax over the batch instead of over the classes",
        "forgets the sum of g in the gradient of log_softmax, g − p Σg",
        "takes x where σ(x) belongs in σ′ = σ(1 − σ)",
        "forgets the factor 1 − σ in σ′ = σ(1 − σ)",
        "forgets the factor σ in σ′ = σ(1 − σ)",
        "forgets the ½ of the square root's 1/(2√x)",
        "forgets the 1/√x of the square root's 1/(2√x)",
        "divides once by b where b² belongs, in −a/b²",
    }


def test_what_is_wrong_in_an_earlier_rule_is_said_of_that_rule():
    """The gradient of k is not transposed: that of the scores is."""
    q, k = leaf(SQUARE[:, :2]), leaf(SQUARE[:, 2:])
    with record() as recording:
        scores = q @ k.T / 3
        loss = (scores * SQUARE).sum()
        loss.backward()
    rows = compare(recording, dscores=SQUARE, dk=SQUARE @ q.numpy() / 3, dq=SQUARE @ k.numpy())
    assert rows["dk"].mistakes == ("gives the gradient transposed, in the rule of divide",)
    assert rows["dq"].mistakes == ("forgets the factor 0.3333",)


def test_uses_that_lead_to_values_of_one_name_are_numbered():
    X, W = SQUARE, leaf(SQUARE - 1)
    with record() as recording:
        h = X
        for _ in range(3):
            pre = h @ W
            h = tg.tanh(pre)
        loss = (h * X).sum()
        loss.backward()
    last = recording.operations[-4].operands[0].source.value.array.T @ recording["pre"].g.array
    assert compare(recording, dpre=recording["pre"].g.array, dW=last).first.mistakes == (
        "has only one of the three uses of `W`: what comes through `pre`, number 3 of 3",
    )
    missing = recording["W"].g.array - last
    assert compare(recording, dW=missing).first.mistakes == (
        "misses one of the three uses of `W`: what comes through `pre`, number 3 of 3",
    )


def test_mistakes_of_a_binary_cross_entropy():
    X, y, w = TALL, np.array([0, 1, 1, 0, 1.0]), leaf([0.3, -0.2, 0.1])
    with record() as recording:
        z = X @ w
        p = tg.sigmoid(z)
        losses = -(y * tg.log(p) + (1 - y) * tg.log(1 - p))
        loss = losses.mean()
        loss.backward()
    P = p.numpy()
    dz = (P - y) / 5
    assert compare(recording, dz=dz, dw=X.T @ dz).first is None
    no_label = "forgets the −y of the binary cross-entropy: p/N where (p − y)/N belongs"
    assert compare(recording, dz=P / 5).first.mistakes == (no_label,)
    dlosses = np.full(5, 1 / 5)
    one_term, sign = -y / P / 5, (-y / P - (1 - y) / (1 - P)) / 5
    assert compare(recording, dlosses=dlosses, dp=one_term).first.mistakes == (
        "misses one of the two uses of `p`: what comes through subtract",
    )
    assert compare(recording, dlosses=dlosses, dp=sign).first.mistakes == (
        "has the wrong sign, in what comes through subtract",
    )


def test_mistakes_of_a_sum_of_cross_entropies():
    logits, y = leaf(SQUARE), np.array([2, 0, 1, 1])
    with record() as recording:
        loss = nn.functional.cross_entropy(logits, y, reduction="sum")
        loss.backward()
    p, eye = P(SQUARE), np.eye(4)[y]
    assert compare(recording, dlogits=p - eye).first is None
    assert compare(recording, dlogits=np.where(eye, -1, p)).first.mistakes == (
        "sets −1 at the label, where p − 1 belongs",
    )


def test_the_bias_of_a_linear_layer_is_summed_over_the_batch():
    model = nn.Linear(3, 5)
    with record(model) as recording:
        out = model(TALL)
        loss = (out * SQUARE[0, 0] * out).sum()
        loss.backward()
    dout = 2 * SQUARE[0, 0] * out.numpy()
    assert compare(recording, dout=dout, dbias=dout).first.mistakes == ("misses the sum over the batch",)
    assert compare(recording, dout=dout, dbias=dout.sum(1)).first.mistakes == ("sums over axis 1 instead of axis 0",)


# What would be an accident


def test_mistakes_that_come_to_the_same_are_all_named_unless_they_are_many(monkeypatch):
    recording, w = weighed(lambda x: (x * x).mean(axis=0), TALL[:2])
    assert compare(recording, dout=w, dx=w * TALL[:2] * 2).first.mistakes == (
        "divides by N − 1 where N belongs",
        "forgets the division by N, the number of rows",
        "has a factor of 2 too much",
    )
    monkeypatch.setattr(searching, "MOST_NAMES", 2)
    assert compare(recording, dout=w, dx=w * TALL[:2] * 2).first.mistakes == ()


def test_n_minus_1_is_no_explanation_where_there_is_no_variance():
    recording, w = weighed(lambda x: x.mean(axis=1), TALL)
    row = compare(recording, dout=w, dx=w[:, None] * np.ones((5, 3)) / 2).first
    assert (row.mistakes, row.facts[0]) == ((), "it is 1.5 times the right one")


def test_rows_of_quotients_and_of_matrices_are_no_explanation_elsewhere():
    recording, w = weighed(lambda x: x**2, SQUARE)
    assert compare(recording, dout=w, dx=w * 2 * SQUARE**3).first.mistakes == ()
    recording, w = weighed(lambda x: x * SQUARE.T, SQUARE)
    assert compare(recording, dout=w, dx=w @ SQUARE.T).first.mistakes == ()


def test_a_loss_that_is_no_cross_entropy_has_no_mistakes_of_one():
    call = Call(np.ones(()), np.ones(()), SQUARE, (), {}, right=lambda g: g * 2 * SQUARE, exchanged=None)
    assert list(of_a_loss(call)) == []


@pytest.mark.parametrize(
    "wrong",
    [
        lambda g: 1.02 * g,
        lambda g: 2 * g,
        lambda g: g / 3,
        lambda g: g + 0.01,
        lambda g: np.zeros_like(g),
        lambda g: np.ones_like(g),
        lambda g: np.roll(g, 1, axis=0),
        lambda g: -g / 4,
        lambda g: np.full(g.shape, g.mean()),
        lambda g: np.where(g > 0, g, 0),
        lambda g: g * g,
    ],
)
def test_other_mistakes_get_no_name(r, wrong):
    for name, g in [("dW", r.dW), ("db", r.db), ("dlogits", r.dlogits)]:
        row = compare(r.recording, **{name: wrong(g)})[name]
        assert (row.verdict, row.mistakes) == ("wrong", ())


def test_where_a_mistake_makes_no_difference_it_is_none():
    one = Regression(n=1)  # no mean, no sum over the batch to forget
    assert compare(one.recording, dlogits=one.p - one.eye, db=one.dlogits.mean(0)).first is None
    recording, w = weighed(lambda x: x @ (SQUARE + SQUARE.T), SQUARE)
    assert compare(recording, dx=w @ (SQUARE + SQUARE.T)).first is None


def test_what_is_zero_was_left_out_and_nothing_else():
    """Where ∂L/∂s is 0 if g is forgotten, since Σ(x − x̄) = 0, to forget g is no explanation of a missing branch."""
    recording, w = weighed(batch_norm, TALL)
    diff = w / TALL.std(0)
    assert compare(recording, ddiff=diff).first.mistakes == (
        "misses one of the two uses of `diff`: what comes through `var`",
    )

    c = leaf(SQUARE[0])
    with record() as recording:
        logits = SQUARE + tg.sin(c)
        loss = (tg.softmax(logits, axis=1) * TALL[:4, :1] * SQUARE.T).sum() + (c * SQUARE[1]).sum()
        loss.backward()
    assert np.abs(recording["logits"].g.array.sum(1)).max() < 1e-15
    assert compare(recording, dc=SQUARE[1]).first.mistakes == (
        "misses one of the two uses of `c`: what comes through `logits`",
    )


def test_zeros_and_ones_say_nothing():
    """They come from anything, even where a mistake would give them: all x are positive, and ∂(x + a)/∂x is 1."""
    recording, _ = weighed(tg.relu, SQUARE)
    assert compare(recording, dx=np.zeros_like(SQUARE)).first.mistakes == ()
    recording, _ = weighed(lambda x: x + TALL, TALL)
    assert compare(recording, dx=np.ones_like(TALL)).first.mistakes == ()


# Facts


def test_facts_that_help_where_no_mistake_is_named(r):
    assert compare(r.recording, dW=1.5 * r.dW).first.facts[0] == "it is 1.5 times the right one"
    wrong = r.db.copy()
    wrong[2] += 1
    row = compare(r.recording, db=wrong).first
    assert row.facts == (f"the largest difference is 1, at (2,): {wrong[2]:.4g} where {r.db[2]:.4g} belongs",)
    assert compare(r.recording, db=np.zeros(C)).first.facts == ("it is 0 everywhere",)
    assert compare(r.recording, db=np.ones((2, 7))).first.facts == (f"its shape is (2, 7), that of the value ({C},)",)
    close = r.db * (1 + 1e-6)
    assert "where " + f"{r.db[np.abs(r.db).argmax()]:.9g}" in compare(r.recording, db=close).first.facts[-1]


def test_another_value_in_the_place_of_the_right_one_is_found():
    X, W1, W2 = TALL, leaf(SQUARE[:3]), leaf(SQUARE[:, :2])
    with record() as recording:
        hpre = X @ W1
        h = tg.tanh(hpre)
        out = h @ W2
        loss = (out**2).sum()
        loss.backward()
    dout = 2 * out.numpy()
    row = compare(recording, dout=dout, dW2=hpre.numpy().T @ dout).first
    assert row.mistakes == ()
    assert row.facts[0] == "it is what the rule of matmul gives with `hpre` for `h`"
    dh = dout @ W2.numpy().T
    dhpre = dh * (1 - h.numpy() ** 2)
    row = compare(recording, dout=dout, dh=dh, dhpre=dhpre, dW1=X.T @ dh).first
    assert row.facts[0] == "it is what the rule of matmul gives to the gradient of `h`"


# The walk


def test_of_several_walks_the_last_one_counts():
    x = leaf()
    with record() as recording:
        square = x * x
        a = square.sum()
        b = (square * 3).sum()
        a.backward(retain_graph=True)
        b.backward()
    assert compare(recording, dx=6 * x.numpy(), dsquare=[3, 3, 3]).first is None
    assert compare(recording, dx=-6 * x.numpy()).first.mistakes == ("has the wrong sign",)


def test_the_operands_are_those_of_the_time_of_the_operation():
    w = nn.Parameter(np.array([1.0, 2.0]))
    optimizer = nn.optim.SGD([w], lr=0.1)
    with record() as recording:
        for _ in range(2):
            before = w.numpy().copy()
            square = w * w
            loss = square.sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    assert compare(recording, dsquare=[1, 1], dw=2 * before).first is None
    assert compare(recording, dsquare=[5, 5], dw=10 * before)["dw"].verdict == "follows"


def test_what_a_hook_changed_is_compared_but_no_consequence_is_claimed():
    x = leaf()
    with record() as recording:
        y = x * 2
        y.register_hook(lambda g: 10 * g)
        z = y * 3
        z.sum().backward()
    assert compare(recording, dz=[1, 1, 1], dy=[30, 30, 30], dx=[60, 60, 60]).first is None
    rows = compare(recording, dz=[5, 5, 5], dy=[150, 150, 150])
    assert [row.verdict for row in rows] == ["wrong", "unknown"]


def test_a_long_chain_takes_no_recursion():
    x = leaf([1.0, 2.0])
    with record() as recording:
        y = x
        for _ in range(3000):
            y = y * 1.0001
        loss = y.sum()
        loss.backward()
    right = recording["x"].g.array
    assert compare(recording, dx=right).first is None
    assert compare(recording, dx=-right).first.mistakes == ("has the wrong sign",)


def test_values_kept_as_statistics_leave_right_and_wrong_to_tell():
    X, W = np.random.default_rng(8).standard_normal((30, 4)), leaf(SQUARE)
    with record(largest=50) as recording:
        out = X @ W
        loss = (out * out).sum()
        loss.backward()
    right = recording["W"].g.array
    assert compare(recording, dW=right).first is None
    assert compare(recording, dW=right.T).first.mistakes == ("gives the gradient transposed",)
    assert compare(recording, dout=np.ones((30, 4)), dW=2 * right)["dout"].verdict == "unknown"


def test_gradients_on_a_device_come_to_the_host(device):
    x = tg.Tensor([1.0, 2.0], requires_grad=True, device=device)
    with record() as recording:
        y = x * x
        y.sum().backward()
    assert compare(recording, dx=2 * x, dy=tg.Tensor([1.0, 1.0], device=device)).first is None
    assert compare(recording, dx=x).first.mistakes[-1] == "forgets a factor of 2"


# The result, and what is refused


def test_the_result_is_asked_by_name_and_in_order(r):
    rows = compare(r.recording, db=r.db, dlogits=r.dlogits)
    assert [row.name for row in rows] == ["dlogits", "db"]
    assert len(rows) == 2
    assert rows["db"].verdict == "right"
    assert repr(rows) == str(rows) == "`dlogits` is right\n`db` is right"
    with pytest.raises(KeyError, match="no gradient 'dW' was compared; there are: dlogits, db"):
        rows["dW"]


def unwalked():
    x = leaf()
    with record() as recording:
        y = x * x
    return recording, y


REFUSED = [
    (lambda: compare(3, dx=1.0), TypeError, r"compare: expected a recording of tg.look.record, got int 3"),
    (
        lambda: compare(unwalked()[0], dx=1.0),
        GradientError,
        r"compare: the recording holds no gradients: call loss.backward\(\) inside of the block of tg.look.record\(\)",
    ),
    (
        lambda: compare(Regression().recording),
        ValueError,
        r"compare: expected gradients by name, as compare\(recording, dW=dW\), of dloss, .*dW.*; got none",
    ),
    (
        lambda: compare(Regression().recording, X=1, y=2),
        ValueError,
        r"compare: expected gradients by name, .*; got none of them",
    ),
    (
        lambda: compare(Regression().recording, [1.0]),
        TypeError,
        r"compare: expected a dict of gradients by name, got list \[1.0\]",
    ),
    (
        lambda: compare(Regression().recording, {3: 1.0}),
        TypeError,
        r"compare: expected a dict of gradients by name, got dict \{3: 1.0\}",
    ),
    (
        lambda: compare(Regression().recording, dW="0.5"),
        TypeError,
        r"compare: expected an array of numbers for dW, got str '0.5'",
    ),
    (
        lambda: compare(Regression().recording, dW=None),
        TypeError,
        r"compare: expected an array of numbers for dW, got NoneType None",
    ),
    (
        lambda: compare(Regression().recording, dW=[[1.0], [2.0, 3.0]]),
        TypeError,
        r"compare: expected an array of numbers for dW, got list \[\[1.0\], \[2.0, 3.0\]\]",
    ),
    (
        lambda: compare(Regression().recording, dW=np.ones((D, C)) * 1j),
        TypeError,
        r"compare: expected real numbers for dW, got complex128 \(3, 4\)",
    ),
]


@pytest.mark.parametrize(("action", "kind", "pattern"), REFUSED)
def test_misuse_is_refused(action, kind, pattern, tmp_path):
    check_error(action, kind, pattern, tmp_path)
