"""The text of a program reads as one would write it, and computes the same."""

import random
import re

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.cases import CASES
from tests.nn.stress import exactly
from tests.programs.test_both_ways import operation_step
from tinygrad_sm import nn
from tinygrad_sm.backend import to_numpy
from tinygrad_sm.engine.tape import data_of

RANDOM = np.random.default_rng(2)
X = RANDOM.normal(size=(6, 4)).astype(np.float32)
LABELS = RANDOM.integers(0, 3, 6)


def check_that_it_computes_the_same(step, arguments, name):
    given = {key: x.copy("K") if hasattr(x, "shape") else x for key, x in step.program.given().items()}
    text, result = str(step.program), to_numpy(data_of(step(*arguments)))
    exec(text, given)
    assert exactly([np.array(given[name])]) == exactly([result])


def text_of(step, *arguments):
    """Return the lines of a step's program, without what is given; the last line has to compute the result."""
    step = tg.compiled(step)
    for _ in range(4):
        step(*arguments)
    assert step.why_eager is None
    *_, lines = str(step.program).rstrip().partition("\n# forward\n")
    check_that_it_computes_the_same(step, arguments, lines.splitlines()[-1].split()[0])
    return lines


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_the_text_of_every_operation_computes_the_same(case, dtype):
    shapes = case.shapes.draw(np.random.default_rng(0))
    draws = [case.operands(shapes, seed, dtype) for seed in range(4)]
    step, run = operation_step(case, draws[0], is_compiled=True)
    with np.errstate(all="ignore"):
        for arrays in draws:
            run(arrays)
        if re.search(r"^out = ", str(step.program), re.MULTILINE):  # an output that is an operand has no line
            check_that_it_computes_the_same(step, (), "out")


FORMULAS = {
    "differences": (lambda a, b: a - (b - a) - (a - b), "difference = a - (b - a) - (a - b)"),
    "products": (lambda a, b: a * (b / a) / (a * b), "quotient = a * (b / a) / (a * b)"),
    "signs": (lambda a, b: -(a + b) * -b, "product = -(a + b) * -b"),
    "powers": (lambda a, b: (-a) ** 3 + -(a**3), "total = (-a) ** 3 + -a ** 3"),
    "negative numbers": (lambda a, b: a - -2.0 * b, "difference = a - -2.0 * b"),
    "comparisons": (lambda a, b: ((a < b) == (b < 0)) | (a > 0), "bitwise_or = ((a < b) == (b < 0)) | (a > 0)"),
    "methods": (lambda a, b: (a + b).sum(axis=0), "sums = (a + b).sum(axis=0)"),
    "the only axis": (lambda a, b: (a * b)[0].sum(axis=0), "sums = (a * b)[0].sum()"),
    "matrices": (lambda a, b: (a @ b.T) @ (b * 2), "product = a @ b.T @ (b * 2)"),
    "views": (lambda a, b: a.T[1:3, ::2] + b[2:4, :3], "total = a.T[1:3, ::2] + b[2:4, :3]"),
    "indices": (lambda a, b: a[np.array([0, 2]), 1] + b[(0, 1), (1, 1)], None),
    "classes as dtypes": (lambda a, b: a.astype(int) + b, "total = a.astype(int) + b"),
    "exponentials and a number": (lambda a, b: np.exp(a) / 2.0, "shares = np.exp(a) / 2.0"),
    "copies": (lambda a, b: np.exp(a.copy()), "exponentials = np.exp(a.copy())"),
}


@pytest.mark.parametrize("name", FORMULAS)
def test_what_is_used_once_stands_where_it_is_used(name):
    formula, text = FORMULAS[name]
    lines = text_of(formula, X, X + 1)
    assert text is None or lines == text


def changed_in_place(a):
    b = a * 2
    np.exp(b, out=b)
    total = b.sum(axis=0)
    b /= total
    return b + b.T.copy().T


def changed_in_part(a):
    b = a * 2
    first = b[0] + 1
    b[0] = 7
    return b + first


def changed_through_a_view(a):
    b = a * 2
    view = b.reshape(-1)
    b += 1
    view[:3] -= 5
    b *= 2
    view += 1
    return b + view.sum()


def changed_in_another_layout(a):
    b = a.T * 2
    np.add(a.T.copy(), 1, out=b)
    return b.sum(axis=1)


def changed_in_another_dtype(a):
    whole, b = a.astype(np.int64), a.astype(np.float64)
    np.add(whole, 1, out=b)
    return b / 2 + b


def changed_in_another_shape(a):
    b = a * 2
    np.add(a[0], 1, out=b)
    return b * b


def changed_between(a):
    b, c = a * 2, a * 3
    d, e = b + 1, c.T + 1
    b -= 1
    c[0] = 7
    return b + c + d + e.T


STEPS = {
    changed_between: "total = product_2.T + 1\nproduct_2[0] = 7",
    changed_in_place: "exponentials = np.exp(a * 2)\nprobabilities = exponentials / exponentials.sum(axis=0)",
    changed_in_part: "product = a * 2\ntotal = product[0] + 1\nproduct[0] = 7",
    changed_through_a_view: "-= 5\nproduct = total * 2\nnp.add(product.reshape(-1), 1, out=product.reshape(-1))",
    changed_in_another_layout: "out=product",
    changed_in_another_dtype: "out=copy",
    changed_in_another_shape: "out=product",
}


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__)
def test_what_is_changed(step):
    assert STEPS[step] in text_of(step, X)


def random_step(seed):
    """Return a step that makes, views, copies and changes arrays in a random order, and returns a sum of all."""

    def step(a, b):
        draw = random.Random(seed)
        arrays = [a * 1, b + 0, a.T.copy() * 2, (a - b).astype(np.float64)]
        changes = [
            lambda x, y: arrays.append(draw.choice([np.add, np.subtract, np.multiply])(x, y)),
            lambda x, y: arrays.append(draw.choice([np.negative, np.square])(x)),
            lambda x, y: draw.choice([np.add, np.maximum])(x, y, out=x),
            lambda x, y: np.subtract(x, y, out=draw.choice([z for z in arrays if z.dtype == x.dtype])),
            lambda x, y: np.sin(x, out=x),
            lambda x, y: arrays.append(x.T),
            lambda x, y: arrays.append(x.copy()),
            lambda x, y: x.__setitem__(draw.randrange(4), draw.randrange(9)),
            lambda x, y: x.reshape(-1).__imul__(0.5),
            lambda x, y: x[1:3].__iadd__(y.sum()),
        ]
        for _ in range(draw.randrange(4, 14)):
            x = draw.choice(arrays)
            draw.choice(changes)(x, draw.choice([y for y in arrays if y.dtype == x.dtype]))
        return sum(x.sum() for x in arrays)

    return step


@pytest.mark.parametrize("seed", range(60))
def test_the_text_of_random_steps_computes_the_same(seed):
    assert text_of(random_step(seed), X[:4], X[2:])


def test_names_of_gradients_and_groups_by_phase():
    tg.manual_seed(0)
    layer, top = nn.Linear(4, 3), nn.Linear(3, 3)
    optimizer = nn.optim.SGD(layer.parameters(), lr=0.1)

    def step(x, labels):
        hidden = layer(x)
        loss = nn.functional.cross_entropy(top(hidden), labels)
        optimizer.zero_grad()
        loss.backward()
        layer.weight.grad *= 2.0
        layer.bias.grad *= 2.0
        optimizer.step()
        return loss

    step = tg.compiled(step)
    for _ in range(5):
        step(X, LABELS)
    text = str(step.program)
    given = {name: np.copy(x) for name, x in step.program.given().items()}
    exec(text, given)
    step(X, LABELS)
    computed = [given["grad_weight"], given["grad_bias"], given["weight"], given["bias"]]
    assert exactly(computed) == exactly([layer.weight.grad, layer.bias.grad, layer.weight.data, layer.bias.data])
    assert re.findall(r"^# (forward|backward|update)$", text, re.MULTILINE) == ["forward", "backward", "update"]
    assert {"weight_2", "grad_weight_2"} < given.keys()  # those of the second Linear, which has the same paths
    assert "grad_hidden" not in text  # two Linears: which of them a rule belongs to is not recorded
    assert {"weight -= grad_weight * lr", "weight -= lr * grad_weight"} & set(text.splitlines())
