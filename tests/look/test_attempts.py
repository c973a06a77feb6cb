"""What `compare` says of attempts that others wrote: verdicts, and the names of classic mistakes and of no others."""

import pytest

import tinygrad_sm as tg
from tests.look.attempts import (
    batch_norm,
    batch_norm_again,
    layer_norm,
    logistic_regression,
    mlp_tanh,
    mlp_three_layers,
    mlp_with_decay,
    mlp_with_penalty,
    residual_block,
    softmax_fused,
    softmax_in_steps,
    softmax_rows,
    softmax_square,
    softmax_steps,
    tiny_embedding,
)
from tests.look.attempts.marks import attempts_of

WITH_DIAGNOSES = (  # the author of the diagnoses had these
    batch_norm,
    mlp_tanh,
    mlp_with_decay,
    mlp_with_penalty,
    softmax_fused,
    softmax_rows,
    softmax_square,
    softmax_steps,
    tiny_embedding,
)
HELD_BACK = (  # and saw these when the diagnoses were done; two of those were mended then
    batch_norm_again,
    layer_norm,
    logistic_regression,
    mlp_three_layers,
    residual_block,
    softmax_in_steps,
)
PROBLEMS = WITH_DIAGNOSES + HELD_BACK
ATTEMPTS = [(problem, f) for problem in PROBLEMS for f in attempts_of(problem)]

SAYS = {
    # In the words of the attempt's author: in the words of `compare`, of which other mistakes may follow after "or"
    "the transpose: written for weights (d, C)": "gives the gradient transposed",
    "X is not transposed": "multiplies from the left by a matrix, `X`, that should be transposed",
    "X is not transposed; X is square, so the shapes fit": (
        "multiplies from the left by a matrix, `X`, that should be transposed"
    ),
    "W2 is not transposed": "multiplies from the right by a matrix, `W2`, that should be transposed",
    "the transpose of W2 is missing; W2 is square, so the shapes fit": (
        "multiplies from the right by a matrix, `W2`, that should be transposed"
    ),
    "summed over the classes (axis 1) and not over the batch": "sums over axis 1 instead of axis 0",
    "summed over the features, not over the batch": "sums over axis 1 instead of axis 0",
    "the sum over the batch is forgotten: it was broadcast over the rows": "misses the sum over the batch",
    "not summed over the classes: counts_sum_inv was broadcast from (N, 1)": "misses the sum over axis 1",
    "not divided by N": "forgets the division by N, the number of rows",
    "not divided by N: the mean is taken for a sum": "forgets the division by N, the number of rows",
    "not divided by the length of the mean": "forgets the division by the number of elements",
    "divided by N a second time": "takes the mean over the batch where the sum belongs",
    "divided by the number of rows and not by the number of elements": (
        "divides by N, the number of rows, where the number of elements belongs"
    ),
    "divided by N, not by N times K: the mean runs over all numbers": (
        "divides by N, the number of rows, where the number of elements belongs"
    ),
    "divided by N, not by N - 1: Bessel's correction is forgotten": "divides by N where N − 1 belongs",
    "the sign is turned around": "has the wrong sign",
    "the factor 2 of the square is missing": "forgets a factor of 2",
    "the label is not subtracted: p / N and not (p - y) / N": (
        "forgets the −y of cross-entropy: p/N where (p − y)/N belongs"
    ),
    "only the diagonal of the Jacobian of softmax, p (1 - p)": "keeps only the diagonal of the Jacobian",
    "only the diagonal of the softmax's Jacobian": "keeps only the diagonal of the Jacobian",
    "the derivative of tanh with the pre-activation: 1 - hpre² and not 1 - h²": (
        "takes x where tanh x belongs in tanh′ = 1 − tanh²"
    ),
    "the derivative of tanh is formed with the pre-activation, not with h": (
        "takes x where tanh x belongs in tanh′ = 1 − tanh²"
    ),
    "the mask of relu is wrong: h >= 0 is true everywhere, so all of dh passes": (
        "hands g on also where x is not positive"
    ),
    "the mask of relu is taken from dh, not from hpre": "keeps what is positive in g, not where x is positive",
    "rows that come several times in the batch are not accumulated": (
        "assigns where the gradients of repeated indices should add up"
    ),
    "only one of the two uses: the penalty is not added": "misses one of the two uses of `W",
    "the part of the weight decay is missing": "misses one of the two uses of `W",
    "the use of the table in the logits is forgotten": (
        "misses one of the two uses of `C`: what comes through `logits`"
    ),
    "only one of the two uses of counts: what comes through counts_sum is not added": (
        "misses one of the two uses of `counts`: what comes through `counts_sum`"
    ),
    "the branch through the mean is forgotten": (
        "misses one of the two uses of `hprebn`: what comes through `bnmeani`"
    ),
    "the branch through the variance is forgotten": (
        "misses one of the two uses of `bndiff`: what comes through `bndiff2`"
    ),
    "not accumulated: the second branch overwrites the first": (
        "misses one of the two uses of `bndiff`: what comes through `bnraw`"
    ),
    # Of those that were held back
    "1/N for the variance, where the forward pass has 1/(N - 1)": "divides by N where N − 1 belongs",
    "the path through the square (the variance) is not added": (
        "misses one of the two uses of `bndiff`: what comes through `bndiff2`"
    ),
    "a factor 2 is missing in the square": "forgets a factor of 2",
    "the slope of the sigmoid, p (1 - p), is applied twice": None,  # it is told as wrong, and no more
    "the sign of the path through 1 - p": "has the wrong sign",
    "W2 is used without its transpose": "multiplies from the right by a matrix, `W2`, that should be transposed",
    "the path of the skip connection is not added": ("misses one of the two uses of `x`: what comes through `out`"),
    "X is used without its transpose (X @ dlogits)": (
        "multiplies from the left by a matrix, `X`, that should be transposed"
    ),
    "no division by N": "forgets the division by N, the number of rows",
}

NAMED_ALL_THE_SAME = {
    # The author gave it no name, but says in a comment what it is: "1 - h: the square got lost".
    ("skips_the_square", "dhpre"): "forgets the square in tanh′ = 1 − tanh²",
    # Here too the comment says it: "divides by the 5 rows, but the mean is over all 10 numbers".
    ("mean_over_the_rows_only", "dsq"): "divides by N, the number of rows, where the number of elements belongs",
    # "Takes lam * 2 w, but the forward pass has 0.5 * lam."
    ("penalty_without_the_half", "dw"): "has twice what comes through `ww`, one of the two uses of `w`",
    # The += into an alias: what stands in dout is dx.
    ("plus_equals_on_an_alias", "dout"): "is the gradient of `x`",
}


def compared(problem, f):
    with tg.look.record() as recording:
        loss, values = problem.problem()
        loss.backward()
    return tg.look.compare(recording, **f(values))


def ids(x):
    return x.__name__.removeprefix("tests.look.attempts.")


@pytest.mark.parametrize(("problem", "f"), ATTEMPTS, ids=ids)
def test_each_gradient_is_right_wrong_or_a_consequence_as_its_author_says(problem, f):
    comparison = compared(problem, f)
    said = {row.name: row.verdict for row in comparison}
    wrong, right, consequence = f.truth
    truth = dict.fromkeys(wrong, "wrong") | dict.fromkeys(right, "right") | dict.fromkeys(consequence, "follows")
    assert said == truth
    before = [row.verdict for row in comparison][: comparison.rows.index(comparison.first)] if wrong else said.values()
    assert set(before) <= {"right"}


@pytest.mark.parametrize(("problem", "f"), [x for x in ATTEMPTS if x[1].truth.wrong], ids=ids)
def test_classic_mistakes_are_named_and_others_are_not(problem, f):
    comparison = compared(problem, f)
    for name, words in f.truth.wrong.items():
        mistakes = comparison[name].mistakes
        says = NAMED_ALL_THE_SAME.get((f.__name__, name)) if words is None else SAYS[words]
        if says is None:
            assert mistakes == ()
        else:
            assert mistakes[0].startswith(says)
            assert mistakes[1:] in ((), ("has a factor of 2 too much",))  # K is 2 in mlp_with_decay


def test_there_are_enough_attempts_of_each_kind():
    wrong = [words for _, f in ATTEMPTS for words in f.truth.wrong.values()]
    assert len(ATTEMPTS) == 82
    assert sum(not f.truth.wrong for _, f in ATTEMPTS) == 20
    assert len(wrong) == 70
    assert wrong.count(None) == 22
    assert set(wrong) - {None} == SAYS.keys()
