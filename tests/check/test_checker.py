"""The checker itself is checked: it rejects wrong rules of every kind that it should see, and accepts right ones."""

import re

import numpy as np
import pytest

import tinygrad_sm as tg
from tinygrad_sm import GradcheckError, Tensor, gradcheck, primitive


def made(forward, *rules, **options):
    op = primitive(forward, **options)
    op.vjp(*rules)
    return op


def assert_rejected(f, *inputs, match="the rules give", order=2):
    with pytest.raises(GradcheckError, match=match):
        gradcheck(f, [np.array(x, float) for x in inputs], order=order)


def plain(x):
    return x.data if isinstance(x, Tensor) else x


def exponential(x, /):
    return np.exp(x)


def test_a_wrong_rule_of_order_two_is_rejected_and_only_then():
    cut = made(exponential, lambda g, out, x: g * plain(out), analytic=True)  # right, but a constant to the next order
    gradcheck(cut, [np.array([0.3, 1.0])], order=1)
    assert_rejected(cut, [0.3, 1.0], match="order 2, central differences: the rules give 0 for")
    assert_rejected(
        cut, [0.3, 1.0], match="the rule of exponential for its operand 'x' is wrong at order 2: something in"
    )


def test_a_rule_that_is_wrong_only_where_the_walk_is_recorded_is_rejected():
    two_faced = made(exponential, lambda g, out, x: g * out * (7 if isinstance(x, Tensor) else 1), analytic=True)
    assert_rejected(two_faced, [0.3, 1.0], match="order 1, complex step, with create_graph")


def test_a_wrong_recipe_of_a_residual_is_rejected():
    def forward(x, /):
        return np.exp(x), np.exp(x)

    wrong = made(forward, lambda g, out, x, saved: g * saved, analytic=True, saves=lambda x: 7 * tg.exp(x))
    assert_rejected(wrong, [0.3, 1.0], match="order 1, complex step, with create_graph")
    assert_rejected(wrong, [0.3, 1.0], match=r"is wrong, but only where the walk is recorded: its residual's recipe")


def test_small_gradients_are_not_lost_beside_large_ones_or_beside_one():
    wrong_below = made(exponential, lambda g, out, x: g * out * (1 + 3.0 * (x < 0)), analytic=True)
    assert_rejected(wrong_below, [-20.0, 5.0], match=r"element \(0,\) of input 0")
    wrong = made(lambda x, /: x * 2e-10, lambda g, out, x: g * 5e-10)
    assert_rejected(wrong, [1.0, 2.0], match="central differences")


def test_rules_that_differ_only_where_rows_are_summed_are_rejected():
    only_diagonal = made(
        lambda x, /: np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True),
        lambda g, out, x: g * out * (1 - out),
        analytic=True,
    )
    assert_rejected(only_diagonal, [[0.1, 0.5, -0.3]], order=1)
    plus_constant = made(lambda x, /: x * 1.0, lambda g, out, x: g + 0.1 * (g - g.mean()))
    assert_rejected(plus_constant, [0.1, 0.5, -0.3], order=1)


def test_nan_and_missing_gradients_are_rejected():
    assert_rejected(made(exponential, lambda g, out, x: g * np.nan), [0.3], order=1)
    assert_rejected(lambda x: tg.exp(x.detach()), [0.3], order=1)


def test_an_operation_that_only_claims_to_be_analytic_is_found_out():
    claims = made(lambda x, /: np.abs(x), lambda g, out, x: g * tg.sign(x), analytic=True)
    with pytest.raises(GradcheckError):
        gradcheck(claims, [np.array([1.0, -2.0])])
    conjugates = made(lambda x, /: np.conj(x) * x, lambda g, out, x: g * 0, analytic=True)  # x², and constant to both
    assert_rejected(conjugates, [1.0, 2.0], match="declared analytic is wrong on complex arrays", order=1)


def test_operations_that_are_not_analytic_do_not_claim_it():
    for op in (tg.abs, tg.relu, tg.maximum, tg.max, tg.sigmoid, tg.sign):
        assert not op.analytic


def test_the_report_says_what_was_done_and_inputs_stay():
    x = np.array([[0.5, -1.0]])
    report = gradcheck(lambda x: tg.tanh(x) * 3, [x], order=2)
    assert report[:2] == ("complex step", 4)
    assert report[-2:] == (0, 2)
    assert 0 < report.largest_error < 1e-11
    assert report.largest_error / 6 < report.error_bound < 1e-9
    report = gradcheck(lambda x: 5 * tg.sigmoid(x), [x], order=1)
    assert report[:2] == ("central differences", 2)
    assert 3 * report.largest_error < report.error_bound < 1e-10  # what is not certain counts
    assert x.tolist() == [[0.5, -1.0]]
    assert gradcheck(tg.sigmoid, [Tensor([0.5])]).largest_error < 1e-8  # float32 is converted
    for inputs, order in (([], 1), ([x], 0)):
        with pytest.raises(ValueError, match="gradcheck: expected inputs and an order"):
            gradcheck(tg.exp, inputs, order=order)


def test_a_rule_that_is_wrong_by_one_in_a_million_is_rejected_by_both_methods():
    for analytic in (True, False):
        gradcheck(made(exponential, lambda g, out, x: g * out, analytic=analytic), np.array([0.3, 1.0]))
        slightly = made(exponential, lambda g, out, x: g * out * (1 + 1e-6), analytic=analytic)
        assert_rejected(slightly, [0.3, 1.0], match="2 of 2 elements differ")


def test_one_wrong_element_among_many_is_named():
    at = np.zeros((20, 25))
    at[7, 11] = 1e-5
    wrong = made(exponential, lambda g, out, x: g * out * (1 + at), analytic=True)
    x = np.linspace(-1, 1, 500).reshape(20, 25)
    assert_rejected(wrong, x, match=r"element \(7, 11\) of input 0, .* 1 of 500 elements differ")


@pytest.mark.parametrize(
    "f",
    [tg.abs, tg.relu, tg.max, tg.norm, lambda x: tg.maximum(x, 0.0), lambda x: tg.clip(x, 0.0, 1.0)],
    ids=["abs", "relu", "max", "norm", "maximum", "clip"],
)
def test_at_a_kink_a_derivative_between_the_one_sided_ones_is_right_and_there_is_no_second_order(f):
    report = gradcheck(f, np.zeros(3))
    assert report[-2:] == (3, 1)
    assert report.elements == 3


def test_kinks_of_the_gradient_end_the_check_one_order_later():
    report = gradcheck(lambda x: tg.relu(x) ** 2, np.array([-1.0, 0.0, 2.0]), order=3)
    assert report[-2:] == (1, 2)


def test_a_kink_that_is_near_is_no_kink():
    for d in (1e-2, 1e-4, 1e-5):
        for at in (0.0, 0.7):
            assert gradcheck(lambda x, at=at: 3 * tg.relu(x - at) + x * x, np.array([at - d, at + d]))[-2:] == (0, 2)
    assert_rejected(lambda x: tg.relu(x) * 1.0 + x.detach(), [1e-5], match="gives 2")


@pytest.mark.parametrize(("slope", "wrong"), [(1.1, True), (1.0, False), (-0.3, False), (-1.0, False), (-1.001, True)])
def test_at_a_kink_a_derivative_outside_of_the_one_sided_ones_is_rejected(slope, wrong):
    f = made(lambda x, /: np.abs(x), lambda g, out, x: g * (tg.sign(x) + slope * (plain(x) == 0)))
    if wrong:
        assert_rejected(f, [0.5, 0.0], match=r"element \(1,\) .* a kink with one-sided derivatives -.* and ")
    else:
        assert gradcheck(f, [[0.5, 0.0]]).kinks == 1


def test_kinks_that_meet_are_no_kink_and_the_message_says_so():
    with pytest.raises(GradcheckError, match="move the inputs off the kinks of relu: sums of kinks have no chain rule"):
        gradcheck(lambda x: tg.relu(x) - tg.relu(-x), np.array([1.0, 0.0]))


def step_noise(x, /):
    return np.sin(x) + 1e-9 * np.sin(1e11 * x)


def through_float32(x, /):
    return np.sin(x.astype(np.float32)).astype(np.float64)


@pytest.mark.parametrize(
    "f",
    [
        lambda x: 1e9 + 1e-9 * tg.abs(x),
        lambda x: 1e9 + 1e-9 * x,
        lambda x: tg.exp(x.astype(np.float32)),
        made(step_noise, lambda g, out, x: g * tg.cos(x)),
        made(through_float32, lambda g, out, x: g * tg.cos(x)),
        tg.sign,
        tg.sqrt,
    ],
    ids=["lost in rounding", "lost, analytic", "float32", "noise", "float32 inside", "jump", "infinite slope"],
)
@pytest.mark.filterwarnings("ignore:divide by zero")
def test_what_differences_cannot_tell_is_inconclusive(f):
    with pytest.raises(GradcheckError, match="^inconclusive: .* scale f or the inputs"):
        gradcheck(f, np.array([0.0, 0.7, 1.3]))


def test_an_input_of_small_derivatives_is_not_measured_by_one_of_large_ones():
    def f(a, b):
        return 1e6 * tg.abs(a) + 0.1 * tg.abs(b)

    with pytest.raises(GradcheckError, match=r"^inconclusive: .* element \(\) of input 1"):
        gradcheck(f, [1.0, 1.0])


def test_a_function_that_is_none_is_inconclusive():
    random = np.random.default_rng(0)
    with pytest.raises(GradcheckError, match="^inconclusive: f gave different values for the same inputs"):
        gradcheck(lambda x: x * random.random(), np.ones(3))


def test_float32_passes_where_less_is_asked_for_and_gross_errors_do_not():
    report = gradcheck(lambda x: tg.exp(x.astype(np.float32)), np.array([0.3, 0.7]), rtol=1e-3)
    assert 1e-8 < report.error_bound < 1e-3
    wrong = made(exponential, lambda g, out, x: g * out * 1.01)
    assert_rejected(lambda x: wrong(x.astype(np.float32)), [0.3, 0.7], match="the rule of exponential .* is wrong")


def test_derivatives_that_are_zero_by_mathematics_are_right_in_spite_of_rounding():
    x = np.random.default_rng(0).standard_normal((3, 4))
    for f in (
        lambda x: tg.softmax(x).sum(),
        lambda x: tg.exp(tg.log_softmax(x)),
        lambda x: tg.sigmoid(x) + tg.sigmoid(-x),
        lambda x: (x - x.mean(axis=1, keepdims=True)).sum(),
        lambda x: x * 0 + 3.0,
    ):
        assert gradcheck(f, x).kinks == 0


@pytest.mark.parametrize("f", [lambda x: x.data * 2, lambda x: Tensor(3.0), lambda x: np.float64(3), lambda x: 3.0])
def test_what_is_no_function_of_the_inputs_to_the_tape(f):
    if np.ndim(plain(f(Tensor([1.0])))):
        assert_rejected(f, [1.0, 2.0], match=r"(?s)path: nothing was recorded.*look for what leaves the tape")
    else:
        assert gradcheck(f, np.ones(2)).error_bound == 0


def test_inputs_of_all_kinds():
    assert gradcheck(tg.exp, Tensor([1.0, 2.0])).elements == 4
    assert gradcheck(tg.exp, np.array([True, False])).elements == 4
    assert gradcheck(tg.exp, 3).elements == 2
    assert gradcheck(tg.exp, np.zeros((0, 3)))[:4] == ("complex step", 0, 0, 0)
    assert gradcheck(lambda x, y: x * x, [np.ones(3), np.ones(2)]).elements == 10
    assert gradcheck(lambda x: (x, [1.0, 2.0] * x), np.ones(2), order=3)[-2:] == (0, 3)
    assert gradcheck(tg.log_softmax, np.array([-np.inf, 1.0, 2.0])).elements == 4  # what is infinite is left out
    assert gradcheck(tg.log, np.array([1e-6, 1e6])).error_bound < 1e-8  # steps that leave the domain are too large
    assert gradcheck(lambda x: tg.abs(x) ** 0.5, np.array([1e6])).error_bound < 1e-8  # steps grow with the inputs
    not_for_complex = lambda x: 1 / (x.detach() * np.inf) + x  # noqa: E731  1/∞ is 0, and with 0·∞ i it is NaN
    assert gradcheck(not_for_complex, np.ones(2)).method == "central differences"


def test_a_function_may_itself_ask_for_gradients_and_models_stay_as_they_are():
    squared_slope = lambda x: tg.grad((x**3).sum(), x, create_graph=True)[0] ** 2  # noqa: E731
    assert gradcheck(squared_slope, np.array([1.0, 2.0])).method == "central differences"
    model = tg.nn.Linear(3, 2)
    with tg.no_grad():
        assert gradcheck(model, np.ones((2, 3))).method == "complex step"
    assert [p.grad for p in model.parameters()] == [None, None]
    with tg.detect_anomaly():
        gradcheck(lambda x: tg.abs(x) * tg.log(x), np.array([1e-3]))


def test_of_large_inputs_a_fair_share_is_checked():
    seen = np.zeros((100, 10), bool)

    def f(x, bias):
        seen[plain(x) != 0.5] = True
        return (tg.sigmoid(x) * bias).sum()

    report = gradcheck(f, [np.full((100, 10), 0.5), np.ones(10)], order=1)
    assert report.elements == 512
    assert seen.sum() == 502
    everywhere = made(exponential, lambda g, out, x: g * out * np.where(np.arange(10) == 3, 1.1, 1), analytic=True)
    assert_rejected(lambda x, b: tg.sum(x) + everywhere(b), np.ones(5000), np.ones(10), match=r"\(3,\) of input 1")
    wrong = made(exponential, lambda g, out, x: g * out * 1.1)
    assert_rejected(lambda a, b, c: tg.sum(a + b) + wrong(c), *np.ones((3, 600)), match="of 512 elements differ")


def test_the_message_shows_path_operand_and_order():
    def cube(a, b, /):
        return a * b**3

    wrong = made(cube, lambda g, out, a, b: g * b**3, lambda g, out, a, b: 3 * g * a * b)

    def f(w, x):
        return tg.tanh(wrong(w, tg.exp(x)))

    with pytest.raises(GradcheckError) as raised:
        gradcheck(f, [np.array([0.3]), np.array([-0.2])])
    first, *diagnosis = str(raised.value).split("\n")
    numbers = r"the rules give 0\.\d+ for the derivative with respect to element \(0,\) of input 1, numerical"
    assert re.match(rf"order 1, central differences: {numbers} differentiation gives 0\.\d+ ± \de-\d\d; 1 of 2", first)
    assert diagnosis == ["path: exp → cube → tanh", "the rule of cube for its operand 'b' is wrong"]


def test_long_paths_are_shortened():
    def f(x):
        for _ in range(20):
            x = x * 1.01
        return made(exponential, lambda g, out, x: g)(x)

    assert_rejected(f, [1.0], match=r"path: (multiply → ){6}\.\.\. → (multiply → ){5}exponential\n")


def test_the_error_bound_bounds_the_error():
    for factor in (1e-10, 3e-9):
        wrong = made(exponential, lambda g, out, x, e=factor: g * out * (1 + e))
        x = np.linspace(-1, 1, 20)
        try:
            assert gradcheck(wrong, x, order=1).error_bound >= 0.999 * factor
        except GradcheckError:
            assert factor > 1e-9


def test_a_pole_nearer_than_the_first_step_misleads_nobody():
    for f, x in ((tg.log, 1e-8), (lambda x: 1 / x, 1e-8), (lambda x: tg.log(tg.abs(x) + 1e-8), 1e-9)):
        assert gradcheck(f, np.array([x])).error_bound < 1e-6


def test_stairs_that_rounding_makes_inside_of_f_are_inconclusive():
    for f, x in ((lambda x: tg.log(1 - tg.sigmoid(x) + 1e-8), [30.0, 0.5]), (lambda x: tg.sigmoid(100 * x), [0.3])):
        with pytest.raises(GradcheckError, match="^inconclusive"):
            gradcheck(f, np.array(x))


def test_what_a_complex_step_knows_for_certain_no_difference_makes_doubtful():
    def wrong_below(g, out, x):
        return g * 3 * x**2 * (1 + 1e-5 * (plain(x) < 5))

    cube = made(lambda x, /: x**3, wrong_below, analytic=True)
    assert_rejected(cube, [100.0, 0.1], match=r"element \(1,\) of input 0", order=1)
    assert_rejected(lambda a, b: (a * 1e8).sum() + cube(b).sum(), [1.0], [0.1], match="rules give", order=1)
