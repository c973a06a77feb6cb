"""Rules are proved on formulas: every row of the table of op cases, softmax's family, and no rule that is wrong."""

import builtins
import math

import numpy as np
import pytest
import sympy as sp

import tinygrad_sm as tg
from tests.check import proof_table
from tests.check.test_mistakes import PLANTS, spoilt
from tests.helpers import IN_FULL
from tinygrad_sm import GradcheckError, Tensor, primitive, prove
from tinygrad_sm.check.cases import CASES, UNPROVED
from tinygrad_sm.check.symbols import Formulas, formulas, sample_of, variables
from tinygrad_sm.ops.linalg import linear
from tinygrad_sm.ops.softmax import cross_entropy

FIRST = list({case.label.split("(")[0].split("#")[0]: case for case in reversed(CASES)}.values())


RANDOM = np.random.default_rng(0)


def made(forward, *rules, **options):
    op = primitive(forward, **options)
    op.vjp(*rules)
    return op


def cube(x, /):
    return x * x * x


# The table


@pytest.mark.parametrize("case", CASES if IN_FULL else FIRST[::2], ids=lambda case: case.label)
def test_the_page_of_proofs_has_what_is_proved(case):
    assert f"\n{proof_table.row(case)}\n" in proof_table.PAGE.read_text("utf-8")


def test_the_page_has_a_row_for_each_case_and_the_declared_ones_have_no_proof():
    rows = proof_table.PAGE.read_text("utf-8").split(proof_table.HEAD)[1].splitlines()
    assert len(rows) == len(CASES)
    for label in UNPROVED:
        (case,) = [case for case in CASES if case.label == label]
        with pytest.raises(GradcheckError, match="^not proved"):
            prove(case, case.operands(case.fixed))


# Softmax and its losses


@pytest.mark.parametrize("n", [1, 2])
@pytest.mark.parametrize("c", [2, 3, 4] if IN_FULL else [2, 3])
def test_softmax_and_its_losses_are_proved(n, c):
    labels = np.arange(n) % c
    for f, operands in (
        (tg.softmax, (n, c)),
        (tg.log_softmax, (n, c)),
        (lambda x: tg.logsumexp(x, axis=1), (n, c)),
        (cross_entropy, [(n, c), labels]),
        (cross_entropy, [(n, c), (n, c)]),
    ):
        proof = prove(f, operands)
        assert (proof.order, proof.rounding) == (2, 0)
    masked = prove(cross_entropy, [(n + 1, c), np.append(labels, -100)])  # the last row is ignored
    assert masked.rounding == 0


@pytest.mark.parametrize("c", [2, 3, 4])
def test_the_jacobian_of_softmax_is_diag_p_minus_p_p_transposed_and_its_laws_are_identities(c):
    x = variables("x", np.linspace(0.5, 1.5, c))
    p = tg.softmax(x)
    J = formulas(tg.jacobian(tg.softmax, Tensor(x)).data)

    def assert_zero(array):
        assert all(sp.simplify(formula.expression) == 0 for formula in formulas(array).flat)

    assert_zero(J - (np.eye(c) * p - p[:, None] * p))
    assert_zero(J - J.T)
    assert_zero(J.sum(axis=0))  # the probabilities always sum to 1
    assert_zero(J @ formulas(np.ones(c)))  # a number added to all logits changes nothing
    assert_zero(p.sum() - 1)


# Pieces


@pytest.mark.parametrize(
    ("f", "points", "region"),
    [
        (tg.relu, [1.0], ("x > 0",)),
        (tg.relu, [-1.0], ("x < 0",)),
        (tg.abs, [1.0], ("x > 0",)),
        (tg.abs, [-1.0], ("x < 0",)),
        (tg.sigmoid, [-1.0], ("x < 0",)),
        (tg.maximum, [1.0, 2.0], ("a < b",)),
        (tg.maximum, [2.0, 1.0], ("a > b",)),
        (tg.minimum, [2.0, 1.0], ("a > b",)),
    ],
)
def test_what_has_kinks_is_proved_piece_by_piece(f, points, region):
    assert prove(f, [np.array(x) for x in points]).conditions == region
    with pytest.raises(GradcheckError, match="^not proved: .* are equal at the sample point alone: choose another"):
        prove(f, [np.array(0.0)] * len(points))


# Wrong rules


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: f"{plant.op.name}-{plant.i}-{plant.mistake[:30]}")
def test_no_classic_mistake_is_proved(plant, monkeypatch):
    monkeypatch.setattr(plant.op, "rules", spoilt(plant))
    with pytest.raises(GradcheckError, match=f"^the rule of {plant.op.name} for its operand '.*' is wrong\norder 1, "):
        prove(lambda *xs: tg.sin(plant.op(*xs, **plant.static)), list(plant.operands), order=1)


@pytest.mark.parametrize("plant", PLANTS[::3], ids=lambda plant: f"{plant.op.name}-{plant.i}")
def test_no_rule_that_is_wrong_by_one_in_a_billion_is_proved(plant, monkeypatch):
    def wrong(*arguments, **static):
        return plant.op.plain_rules[plant.i](*arguments, **static) * (1 + 1e-9)

    rules = plant.op.rules
    monkeypatch.setattr(plant.op, "rules", (*rules[: plant.i], wrong, *rules[plant.i + 1 :]))
    with pytest.raises(GradcheckError, match=f"^the rule of {plant.op.name} .* is wrong\norder 1, "):
        prove(plant.op, list(plant.operands), order=1, **plant.static)


def test_the_message_shows_derivative_difference_and_path():
    wrong = made(cube, lambda g, out, x: g * 3 * x * x * (1 + 1e-9))
    with pytest.raises(GradcheckError) as raised:
        prove(lambda x: -wrong(x), (2,))
    assert str(raised.value).split("\n") == [
        "the rule of cube for its operand 'x' is wrong",
        "order 1, for x[0]: the derivative is -3.0*g[0]*x[0]**2, and the rules give -3.0e-9*g[0]*x[0]**2 more",
        "path: cube → negative",
    ]


def test_what_is_lost_from_the_tape_is_wrong_at_its_order():
    def constant(g):
        return g.detach() if isinstance(g, Tensor) else g

    drops_g = made(cube, lambda g, out, x: constant(g) * 3 * x * x)
    prove(drops_g, (2,), order=1)
    with pytest.raises(GradcheckError, match=r"of cube .* is wrong\norder 2, for g\[0\]: "):
        prove(drops_g, (2,))
    with pytest.raises(
        GradcheckError, match=r"leaves the tape .*\norder 1, for x\[0\]: .*\npath: nothing was recorded"
    ):
        prove(lambda x: tg.exp(x.detach()), (1,))
    two_faced = made(cube, lambda g, out, x: g * 3 * x * x * (7 if isinstance(x, Tensor) else 1))
    with pytest.raises(GradcheckError, match="order 1, "):
        prove(two_faced, (1,), order=1)


# What is compared, rounded, refused


def test_a_proof_says_what_it_holds_for():
    proof = prove(tg.max, np.array([1.0, 3.0, 2.0]))
    assert proof[:3] == ("max", 2, 7)
    assert set(proof.conditions) >= {"x[0] < x[1]", "x[1] > x[2]"}
    assert proof.path == ("max",)
    assert str(prove(tg.exp, (2,), order=3)) == "exp: proved at orders 1 to 3 with 10 variables"
    assert str(prove(tg.exp, (), order=1)) == "exp: proved at order 1 with 2 variables"
    assert prove(tg.where, [np.array([True, False]), (2,), (2,)]).conditions == ()
    assert prove(lambda *xs, axis=0: tg.relu(xs[0]), (1,)).conditions == ("x0[0] > 0",)
    two = prove(lambda x: (x, x * x), (2,))
    assert two.variables == 2 + 4 + 2


def test_floats_that_a_rule_multiplies_are_rounding_and_numbers_that_meet_formulas_are_exact():
    third = made(lambda x, /: x.mean(), lambda g, out, x: g * (1 / 3) * (x * 0 + 1))
    assert 0 < prove(third, (3,)).rounding < 1e-16
    assert "up to a rounding of" in str(prove(third, (3,)))
    tenth = made(lambda x, /: x * 0.1, lambda g, out, x: g * 0.1)
    assert prove(tenth, (3,)).rounding == 0
    off = made(lambda x, /: x.mean(), lambda g, out, x: g * (1 / 3 + 1e-13) * (x * 0 + 1))
    with pytest.raises(GradcheckError, match="is wrong"):
        prove(off, (3,))


def test_what_must_exist_is_a_condition():
    def conditions(f, points):
        return prove(f, np.array(points)).conditions

    assert conditions(tg.log, [2.0]) == conditions(tg.sqrt, [2.0]) == ("x[0] > 0",)
    assert "x[0] > -1" in conditions(tg.log1p, [-0.5])
    assert conditions(lambda x: 1 / x, [-2.0]) == conditions(lambda x: x**-2, [-2.0]) == ("x[0] ≠ 0",)
    assert conditions(lambda x: x**0.5, [2.0]) == ("x[0] > 0",)
    assert conditions(lambda x: 2**x, [-2.0]) == conditions(lambda x: x**3, [-2.0]) == ()
    by_logarithm = made(cube, lambda g, out, x: 3 * g * tg.exp(2 * tg.log(x)))
    assert conditions(by_logarithm, [2.0]) == ("x[0] > 0",)
    product = made(lambda x, /: x.prod(), lambda g, out, x: g * out / x)  # no rule where an element is 0
    assert conditions(product, [2.0, 3.0]) == ("x[0] ≠ 0", "x[1] ≠ 0")
    overflow = made(lambda x, /: np.where(np.exp(1000 * x) > 5, x * x, x), lambda g, out, x: g * 2 * x)
    assert conditions(overflow, [2.0]) == ("exp(1000*x[0]) > 5",)


def test_a_term_that_is_lost_beside_a_large_one_is_no_rounding():
    lost = made(lambda x, y, /: 1e20 * x + x * y, lambda g, out, x, y: g * 1e20, lambda g, out, x, y: g * x)
    with pytest.raises(GradcheckError, match="^not proved: SymPy cannot tell"):
        prove(lost, [(1,), (1,)])
    tiny = made(lambda x, /: np.sin(x), lambda g, out, x: g * tg.cos(x) + 1e-16 * g * tg.exp(x))
    with pytest.raises(GradcheckError, match="^not proved: SymPy cannot tell"):
        prove(tiny, (1,))


def test_a_derivative_that_is_a_difference_of_large_terms_may_be_rounded():
    spread = made(lambda x, /: ((x - x.sum() / 3) ** 2).sum(), lambda g, out, x: g * 2 * (x - x.sum() * (1 / 3)))
    for points in (np.array([1.0, 1.0, 1.0]), (3,)):
        assert 0 < prove(spread, points).rounding < 1e-16


def test_what_is_written_into_a_view_is_written():
    def forward(x, /):
        out = np.sin(x)
        np.ravel(out)[0] = 0
        return out

    with pytest.raises(GradcheckError, match="is wrong"):
        prove(made(forward, lambda g, out, x: g * tg.cos(x)), (2,))

    def multiplied_in_place(x, /):
        x *= 2.0
        return x

    assert prove(made(multiplied_in_place, lambda g, out, x: g * 2), (2,)).variables == 6
    view = formulas(np.arange(4.0)).reshape(2, 2)[:, 1]
    view *= 3.0
    view[0] = 7.0
    assert view.tolist() == view.base.reshape(2, 2)[:, 1].tolist()


def test_names_of_inputs_may_be_those_of_functions():
    assert prove(lambda exp, log: tg.exp(exp) * tg.log(log), [(), ()]).conditions == ("log > 0",)


def test_a_rule_that_loses_the_history_of_another_operand_is_named():
    product = made(
        lambda a, b, /: a * b,
        lambda g, out, a, b: g * b,
        lambda g, out, a, b: g * (a.detach() if isinstance(a, Tensor) else a),
    )
    with pytest.raises(GradcheckError, match="^a rule of <lambda> is wrong: it loses the history of another operand\n"):
        prove(product, [(1,), (1,)])


def test_the_order_of_what_is_compared_is_that_of_the_sample_point():
    x = variables("x", np.array([1.0, 2.0]))
    assert (x < 1.5).tolist() == [True, False]
    assert (x == x).all()
    assert x.argmax() == 1
    np.testing.assert_array_equal(sample_of(tg.log(x)), np.log([1.0, 2.0]))
    assert type(x[0]) is type(np.exp(x[0])) is type(np.where(x > 1.5, x, 0)) is Formulas
    assert formulas(0.1).item().expression == sp.Rational(0.1)
    third = x / 3 * 3 - 3 * (x / 3)  # no rounding makes equal formulas unequal
    assert (third == 0).all()
    assert (x / 49 * 49 == x).all()
    assert np.any(np.array([1.0, 2.0]) / 49 * 49 != [1.0, 2.0])


@pytest.mark.parametrize(
    ("f", "shapes", "message"),
    [
        (tg.exp, (1000, 1000), "expected shapes of at most 128 elements in all, got 1000000 in \\(1000, 1000\\)"),
        (tg.exp, [], "expected shapes of at most 128 elements in all, got 0 in none"),
        (lambda x: tg.broadcast_to(x, (100, 2)), (2,), "expected outputs of at most 128 elements in all, got 200 in "),
        (tg.exp, (-1,), "expected a shape such as \\(2, 3\\), an array, or a list of these, got tuple \\(-1,\\)"),
        (tg.exp, np.array(["a"]), "expected a shape such as"),
        (lambda x: None, (2,), "prove: expected f to return a Tensor, or several, got NoneType None"),
        (lambda x: x * RANDOM.random(), (2,), "^not proved: f gives other formulas each time: fix what it draws"),
        (tg.exp, np.array([800.0]), "^not proved: the outputs are not finite at the sample point: choose another one"),
        (tg.exp, 3, "expected a shape such as \\(2, 3\\), an array, or a list of these, got int 3"),
        (tg.exp, np.array([1, 2]), "expected an input that is no constant"),
        (tg.exp, np.array([np.inf]), "expected finite numbers as the sample point"),
        (
            lambda x: x * float(x.sum()),
            (2,),
            "^not proved: this does not run on formulas, as it may need numbers: TypeError: float",
        ),
        (made(lambda x, /: np.round(x), tg.zero), (2,), "^not proved: this does not run on formulas"),
        (
            made(lambda x, /: np.array(math.erf(x)), lambda g, out, x: g),
            (),
            "^not proved: this does not run on formulas",
        ),
        (made(cube, lambda g, out, x: 2.0), (2,), "expected a gradient of the operand's shape \\(2,\\), .* got float"),
        (made(cube, lambda g, out, x: np.ones(2)), (2,), "the rule of cube for its operand 'x' is wrong"),
        (tg.log, np.array([0.0]), "^not proved: x.0. and 0 are equal at the sample point alone: choose another point"),
        (tg.sqrt, np.array([0.0]), "^not proved: x.0. and 0 are equal at the sample point alone"),
        (tg.matmul, [(2, 3), (2, 3)], "matmul: Input operand 1 has a mismatch"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_bad_input_is_refused_in_a_sentence(f, shapes, message):
    with pytest.raises((GradcheckError, TypeError, ValueError), match=message):
        prove(f, shapes)


def test_an_order_of_less_than_1_is_refused():
    with pytest.raises(ValueError, match="prove: expected order to be an integer of at least 1, got 0"):
        prove(tg.exp, (2,), order=0)


def test_without_sympy_the_message_says_what_to_install(monkeypatch):
    original = builtins.__import__

    def without_sympy(name, *args, **kwargs):
        if name == "sympy" or "identities" in (args[2] if len(args) > 2 and args[2] else ()):
            raise ImportError("No module named 'sympy'")
        return original(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_sympy)
    with pytest.raises(ImportError, match=r'tg\.prove needs SymPy .*pip install "tinygrad_sm\[proofs\]"'):
        prove(tg.exp, (2,))


def test_a_module_is_proved_with_its_parameters_as_numbers():
    assert prove(tg.nn.Linear(3, 2), (2, 3)).path == ("linear",)
    assert prove(linear, [(2, 3), (4, 3), (4,)]).conditions == ()
