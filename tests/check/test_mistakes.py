"""Each classic mistake in a gradient rule is rejected by the checker, which names the mistake and the operation."""

from typing import Any, NamedTuple

import numpy as np
import pytest

import tinygrad_sm as tg
from tinygrad_sm import GradcheckError, gradcheck, primitive
from tinygrad_sm.arrays import as_array
from tinygrad_sm.check.mistakes import MISTAKES, Call
from tinygrad_sm.ops import elementwise, indexing, linalg, reductions, shaping, softmax
from tinygrad_sm.precision import sum_to_shape


class Plant(NamedTuple):
    """A mistake, the rule in which it is made (of the operation, for its i-th operand), and operands that show it."""

    mistake: str
    op: Any
    operands: tuple[Any, ...]
    i: int = 0
    static: dict[str, Any] = {}


random = np.random.default_rng(7)


def drawn(*shape):
    return random.uniform(0.3, 2, shape)


@primitive
def transposed_product(a, b, /):
    return np.swapaxes(a, -1, -2) @ b


transposed_product.vjp(lambda g, out, a, b: b @ g.swapaxes(-1, -2), lambda g, out, a, b: a @ g)

LABELS = np.array([2, 0, 1, 2])
WITH_IGNORED = np.array([2, -100, 1, 0, -100])
PLANTS = (
    Plant("has the wrong sign", elementwise.subtract, (drawn(3), drawn(3)), 1),
    Plant("has the wrong sign", elementwise.exp, (drawn(3),)),
    Plant("forgets the chain rule, g", elementwise.exp, (drawn(3),)),
    Plant("forgets the chain rule, g", softmax.softmax, (drawn(2, 3),)),
    Plant("hands g on as it came", elementwise.log, (drawn(3),)),
    Plant("hands g on as it came", elementwise.relu, (drawn(3) - 1,)),
    Plant("forgets a factor of 2", elementwise.multiply, (drawn(3), drawn(3)), 1),
    Plant("has a factor of 2 too much", elementwise.sqrt, (drawn(3),)),
    Plant("keeps only the diagonal of the Jacobian", softmax.softmax, (drawn(2, 3),)),
    Plant("keeps only the diagonal of the Jacobian", softmax.log_softmax, (drawn(2, 3),)),
    Plant("gives the gradient of the other operand", elementwise.multiply, (drawn(2, 3), 3 * drawn(2, 3) + 1)),
    Plant("gives the gradient transposed", linalg.matmul, (drawn(3, 3), drawn(3, 3)), 1),
    Plant("multiplies from the right by a matrix that should be transposed", linalg.matmul, (drawn(2, 3), drawn(3, 3))),
    Plant("multiplies from the left by a matrix that should be transposed", linalg.matmul, (drawn(3, 3), drawn(3)), 1),
    Plant(
        "multiplies from the right by a transposed matrix that should not be transposed",
        linalg.linear,
        (drawn(2, 3), drawn(3, 3), drawn(3)),
    ),
    Plant(
        "multiplies from the left by a transposed matrix that should not be transposed",
        transposed_product,
        (drawn(3, 3), drawn(3, 2)),
        1,
    ),
    Plant("reshapes where it should transpose", shaping.transpose, (drawn(2, 3),)),
    Plant(
        "assigns where the gradients of repeated indices should add up",
        indexing.getitem,
        (drawn(3, 2),),
        static={"index": np.array([2, 0, 2, 2])},
    ),
    Plant("forgets the division by N, the number of rows", softmax.cross_entropy, (drawn(4, 3), LABELS)),
    Plant("forgets the division by N, the number of rows", reductions.mean, (drawn(4, 3),), static={"axis": 0}),
    Plant("forgets the division by the number of elements", reductions.mean, (drawn(4, 3),)),
    Plant("divides by N, the number of rows, where the number of elements belongs", reductions.mean, (drawn(4, 3, 2),)),
    Plant("divides by N, the number of rows, once too often", softmax.cross_entropy, (drawn(4, 3), LABELS)),
    Plant(
        "takes the mean over the batch where the sum belongs", linalg.linear, (drawn(4, 3), drawn(2, 3), drawn(2)), 1
    ),
    Plant("takes the mean over the batch where the sum belongs", elementwise.add, (drawn(4, 3), drawn(3)), 1),
    Plant("counts only the first example of the batch", linalg.linear, (drawn(4, 3), drawn(2, 3), drawn(2)), 2),
    Plant("counts only the last example of the batch", linalg.linear, (drawn(4, 3), drawn(2, 3), drawn(2)), 1),
    Plant(
        "forgets the division by the number of examples that are not ignored",
        softmax.cross_entropy,
        (drawn(5, 3), WITH_IGNORED),
    ),
    Plant(
        "divides by the number of all examples, where the ignored ones do not count",
        softmax.cross_entropy,
        (drawn(5, 3), WITH_IGNORED),
    ),
    Plant("sums over the classes instead of over the batch", linalg.linear, (drawn(4, 3), drawn(4, 3), drawn(4)), 2),
    Plant("sums over the classes instead of over the batch", elementwise.add, (drawn(3, 3), drawn(3)), 1),
    Plant("forgets ⟨p, g⟩ in the gradient of softmax, p ⊙ (g − ⟨p, g⟩)", softmax.softmax, (drawn(2, 3),)),
    Plant(
        "forgets ⟨p, g⟩ in the gradient of softmax, p ⊙ (g − ⟨p, g⟩)", softmax.softmax, (drawn(2, 3),), 0, {"axis": 0}
    ),
    Plant("forgets the sum of g in the gradient of log_softmax, g − p Σg", softmax.log_softmax, (drawn(2, 3),)),
    Plant("forgets the factor 1 − σ in σ′ = σ(1 − σ)", elementwise.sigmoid, (drawn(3),)),
    Plant("forgets the factor σ in σ′ = σ(1 − σ)", elementwise.sigmoid, (drawn(3),)),
    Plant("forgets the square in tanh′ = 1 − tanh²", elementwise.tanh, (drawn(3),)),
    Plant("takes for tanh the derivative of the sigmoid, out (1 − out)", elementwise.tanh, (drawn(3),)),
    Plant("takes for the sigmoid the derivative of tanh, 1 − out²", elementwise.sigmoid, (drawn(3),)),
    Plant("takes x where exp x belongs", elementwise.exp, (drawn(3),)),
    Plant("forgets the factor b of b·aᵇ⁻¹", elementwise.power, (drawn(3), drawn(3))),
    Plant("forgets the ½ of the square root's 1/(2√x)", elementwise.sqrt, (drawn(3),)),
    Plant("forgets the 1/√x of the square root's 1/(2√x)", elementwise.sqrt, (drawn(3),)),
    Plant(
        "sums in the gradient of softmax over the batch instead of over the classes", softmax.softmax, (drawn(2, 3),)
    ),
    Plant("forgets the −y of cross-entropy: p/N where (p − y)/N belongs", softmax.cross_entropy, (drawn(4, 3), LABELS)),
    Plant("takes x where σ(x) belongs in σ′ = σ(1 − σ)", elementwise.sigmoid, (drawn(3),)),
    Plant("takes x where tanh x belongs in tanh′ = 1 − tanh²", elementwise.tanh, (drawn(3),)),
    Plant("leaves the exponent as it was: b·aᵇ where b·aᵇ⁻¹ belongs", elementwise.power, (drawn(3), drawn(3))),
    Plant("divides once by b where b² belongs, in −a/b²", elementwise.divide, (drawn(3), drawn(3) + 1), 1),
    Plant("multiplies by x where it should divide", elementwise.log, (drawn(3),)),
)


def test_every_mistake_of_the_table_is_made():
    assert {plant.mistake for plant in PLANTS} == MISTAKES.keys()


def spoilt(plant):
    """Return the rules of the operation with the mistake in one of them, which computes with the right rule."""
    rules = plant.op.rules

    def right(i, out, xs, static):
        return lambda g: sum_to_shape(as_array(rules[i](g, out, *xs, **static)), np.shape(xs[i]))

    def wrong(g, out, *xs, **static):
        i = plant.i
        exchanged = right(1 - i, out, xs, static) if len(xs) == 2 else None
        others = (*xs[:i], *xs[i + 1 :])
        return MISTAKES[plant.mistake](Call(g, out, xs[i], others, static, right(i, out, xs, static), exchanged))

    return (*rules[: plant.i], wrong, *rules[plant.i + 1 :])


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: f"{plant.op.name}-{plant.i}-{plant.mistake[:30]}")
def test_a_classic_mistake_is_rejected_and_named(plant, monkeypatch):
    floats = [x for x in plant.operands if x.dtype.kind == "f"]

    def f(*tensors):
        given = iter(tensors)
        out = plant.op(*(next(given) if x.dtype.kind == "f" else x for x in plant.operands), **plant.static)
        return tg.sin(out).sum()

    gradcheck(f, floats)
    monkeypatch.setattr(plant.op, "rules", spoilt(plant))
    with pytest.raises(GradcheckError) as raised:
        gradcheck(f, floats)
    diagnosis, numbers, path = str(raised.value).split("\n")
    assert numbers.startswith("order 1, ")
    assert path == f"path: {plant.op.name} → sin → sum"
    rule = f"the rule of {plant.op.name} for its operand {plant.op.operand_names[plant.i]!r}"
    assert diagnosis.startswith(f"{rule} is wrong: it answers like a rule that ")
    named = diagnosis.removeprefix(f"{rule} is wrong: it answers like a rule that ").split(", or that ")
    assert plant.mistake in named
    assert len(named) <= (1 if plant.op is shaping.transpose else 3)


OWN_FORMULAS = [mistake for mistake, row in MISTAKES.items() if row.__qualname__.startswith("_of.")]


def test_the_formula_of_one_function_is_not_named_for_another():
    x, other = drawn(2, 3), drawn(2, 3)
    call = Call(drawn(2, 3), np.arctan(x), x, (other,), {"axis": -1}, right=lambda g: g / (1 + x * x), exchanged=None)
    assert len(OWN_FORMULAS) == 16
    for mistake in OWN_FORMULAS:
        with pytest.raises(ValueError, match="another function"):
            MISTAKES[mistake](call)
