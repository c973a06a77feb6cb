"""The checker itself is checked: it rejects wrong rules of every kind that it should see, and accepts right ones."""

import re

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import IN_FULL
from tinygrad_sm import GradcheckError, Tensor, gradcheck, primitive
from tinygrad_sm.check import orders


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


def identity(rule):
    return made(lambda x, /: x * 1.0, rule, analytic=True)


def test_the_dependence_on_g_is_checked_from_order_two_on():
    bar = identity(lambda g, out, x: g * 2)
    double = made(lambda x, /: x * 2.0, lambda g, out, x: bar(g) * 2, analytic=True)
    gradcheck(double, [np.array([0.3, 1.0])], order=1)
    assert_rejected(
        double,
        [0.3, 1.0],
        match=r"^the rule of <lambda> for its operand 'x' is wrong at order 2, in its dependence on g: "
        r"it loses .*, or .*\norder 2, .* with respect to element \(0,\) of g, .* 2 of 4 elements differ",
    )
    cube = made(lambda x, /: x**3, lambda g, out, x: plain(g) * 3 * x * x, analytic=True)
    assert_rejected(
        cube, [0.3, 1.0], match=r"in its dependence on g: it loses the history of g, .*\n.* element \(0,\) of g,"
    )
    assert_rejected(lambda x: cube(x) ** 2, [0.3, 1.0], match="^the rule of <lambda> .* its dependence on g")
    both = lambda x: (x * 3.0, double(x))  # noqa: E731
    assert_rejected(both, [0.3], match=r"element \(0,\) of g\[1\] of order 1, numerical")


def test_a_rule_that_loses_the_history_of_the_other_operand_is_named():
    times = made(lambda a, b, /: a * b, lambda g, out, a, b: g * plain(b), lambda g, out, a, b: g * a, analytic=True)
    assert_rejected(
        lambda x, y: tg.sin(times(x, y)), [0.3], [0.7], match="^a rule of <lambda> is wrong at order 2: something in it"
    )


def test_order_three_varies_the_g_of_both_orders_below():
    later = identity(lambda g, out, x: g * (1 + 1e-6))
    bar = identity(lambda g, out, x: later(g))
    double = made(lambda x, /: x * 2.0, lambda g, out, x: bar(g) * 2, analytic=True)
    gradcheck(double, [np.array([0.3, 1.0])], order=2)
    assert_rejected(
        double, [0.3, 1.0], match=r"wrong at order 3.* g: it .*\norder 3.* element \(0,\) of g of order 2", order=3
    )
    report = gradcheck(tg.tanh, np.array([0.3, 1.0]), order=3)
    assert report.elements == 2 + 4 + 6


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
    assert report[:4] == ("complex step", 6, 6, 0)  # two of order 1; those with respect to x and to g of order 2
    assert report[-2:] == (0, 2)
    assert 0 < report.largest_error < 1e-11
    assert report.largest_error / 6 < report.error_bound < 1e-9
    report = gradcheck(lambda x: 5 * tg.sigmoid(x), [x], order=1)
    assert report[:2] == ("central differences", 2)
    assert 3 * report.largest_error < report.error_bound < 1e-10  # what is not certain counts
    assert x.tolist() == [[0.5, -1.0]]
    assert gradcheck(tg.sigmoid, [Tensor([0.5])]).largest_error < 1e-8  # float32 is converted


def test_arguments_that_are_none():
    with pytest.raises(ValueError, match=r"^gradcheck: expected inputs, got an empty list$"):
        gradcheck(tg.exp, [])
    with pytest.raises(ValueError, match=r"^gradcheck: expected order to be an integer of at least 1, got 0$"):
        gradcheck(tg.exp, 1.0, order=0)
    with pytest.raises(TypeError, match=r"^gradcheck: expected order to be an integer of at least 1, got "):
        gradcheck(tg.exp, 1.0, order=1.5)
    for rtol in (0, -1e-7, np.nan, np.inf):
        with pytest.raises(ValueError, match=r"^gradcheck: expected rtol to be a finite number of at least 2.2"):
            gradcheck(tg.exp, 1.0, rtol=rtol)
    for b in (np.ones(2), Tensor([1.0, 2.0]), [1.0, 2.0]):
        with pytest.raises(TypeError, match=r"^gradcheck: give the inputs as one list: gradcheck\(f, \[a, b\]\)$"):
            gradcheck(tg.multiply, np.ones(2), b)
    assert gradcheck(tg.exp, 1.0, order=np.int64(1)).order == 1


def test_a_report_reads_as_sentences():
    assert re.fullmatch(
        r"gradcheck: of orders 1 and 2, 3 of 3 derivatives agree with numerical ones \(complex step, central "
        r"differences later\)\. None is wrong by more than \de-\d\d, relative to the largest of its input\.",
        str(gradcheck(tg.exp, 1.0)),
    )
    assert re.fullmatch(
        r"gradcheck: of order 1, 512 of 1000 derivatives agree with numerical ones \(central differences\), and so do "
        r"the sums of all of them along 20 random directions\. None is .* of its input, but 29 are at kinks: they lie "
        r"between the one-sided derivatives\.",
        str(gradcheck(tg.abs, np.arange(-20.0, 980.0).clip(0))),
    )


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
    ],
    ids=["lost in rounding", "lost, analytic", "float32", "noise", "float32 inside", "jump"],
)
def test_what_differences_cannot_tell_is_inconclusive(f):
    with pytest.raises(GradcheckError, match="^inconclusive: .* scale f or the inputs .*\n.*central differences"):
        gradcheck(f, np.array([0.0, 0.7, 1.3]))


@pytest.mark.parametrize(
    ("f", "x", "where"),
    [
        (tg.log, [0.0, 1.0], r"element \(0,\) of its output"),
        (lambda x: tg.log(x)[0], [0.0, 1.0], r"element \(\) of its output"),
        (lambda x: (x, tg.log(x)), [0.0, 1.0], r"element \(0,\) of its output 1"),
        (lambda x: 1 / x, [0.0] * 5 + [1.0], r"element \(0,\) .*, element \(1,\) .*, element \(2,\) .* and 2 more"),
        (tg.log1p, [-1.0, 1.0], r"element \(0,\) of its output"),
        (tg.exp, [1.0, 800.0], r"element \(1,\) of its output"),
    ],
    ids=["log", "log, alone", "log, second", "1/x", "log1p", "exp"],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_at_a_pole_the_check_is_inconclusive_and_names_it(f, x, where):
    for order in (1, 2):
        with pytest.raises(
            GradcheckError, match=f"^inconclusive: f is infinite in {where}, and there .* mask.*\norder 1"
        ):
            gradcheck(f, np.array(x), order=order)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_beside_a_pole_a_wrong_rule_is_still_rejected():
    wrong = made(lambda x, /: np.log(x), lambda g, out, x: g / x * 1.001)
    assert_rejected(wrong, [0.0, 2.0], match=r"^the rule of <lambda> .* is wrong\n.*element \(1,\) of .* 1 of 2 elem")


@pytest.mark.parametrize(
    ("f", "x", "reason"),
    [
        (lambda x: 1 / (1 / x), [0.0, 1.0], "the result of divide is infinite"),
        (lambda x: tg.where(x > 0, tg.sqrt(x), 0.0), [-1.0, 1.0], "the result of sqrt is NaN"),
    ],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_where_only_an_intermediate_result_is_infinite_no_rule_is_blamed(f, x, reason):
    assert_rejected(f, x, match=f"^no rule is wrong, but {reason}, and .* multiplies 0 by ∞ or NaN, .* where\\(\\)")


@pytest.mark.parametrize(
    ("f", "x", "sentence"),
    [
        (tg.sqrt, [0.0, 1.0], "the rules give a derivative that is not finite, .*\ncomplex steps give"),
        (lambda x: x**1.5, [0.0, 1.0], "f jumps here, or is finite to one side only"),
        (lambda x: tg.abs(x) ** 1.5, [0.0, 1.0], "the rules give a derivative that is not finite, .*\norder 2"),
        (lambda x: tg.log(x) * 1.0, [-1.0, 1.0], r"f gives NaN: move the inputs into its domain\nelement \(0,\) of"),
    ],
    ids=["sqrt", "power", "power of abs", "log"],
)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_where_there_is_no_finite_derivative_the_check_is_inconclusive_and_says_so(f, x, sentence):
    assert_rejected(f, x, match=f"^inconclusive: {sentence}")


def test_an_input_of_small_derivatives_is_not_measured_by_one_of_large_ones():
    def f(a, b):
        return 1e6 * tg.abs(a) + 0.1 * tg.abs(b)

    with pytest.raises(GradcheckError, match=r"(?s)^inconclusive: .* element \(\) of input 1"):
        gradcheck(f, [1.0, 1.0])


def test_a_function_that_is_none_is_inconclusive():
    random = np.random.default_rng(0)
    values = r"element \(0,\) of its output: 0\.6\d+, then 0\.2"
    with pytest.raises(
        GradcheckError, match=f"^inconclusive: f gave different values for the same inputs: .*\n{values}"
    ):
        gradcheck(lambda x: x * random.random(), np.ones(3))
    with pytest.raises(GradcheckError, match="^inconclusive: f gave outputs of different shapes"):
        gradcheck(lambda x: x[: random.integers(4)], np.ones(3))


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
        assert_rejected(f, [1.0, 2.0], match=r"(?s)look for what leaves the tape.*path: nothing was recorded$")
    else:
        assert gradcheck(f, np.ones(2)).error_bound == 0


def test_inputs_of_all_kinds():
    assert gradcheck(tg.exp, Tensor([1.0, 2.0])).elements == 6
    assert gradcheck(tg.exp, np.array([True, False])).elements == 6
    assert gradcheck(tg.exp, 3).elements == 3
    assert gradcheck(tg.exp, np.zeros((0, 3)))[:5] == ("complex step", 0, 0, 0, 0)
    assert gradcheck(lambda x, y: x * x, [np.ones(3), np.ones(2)]).elements == 13
    assert gradcheck(lambda x: (x, [1.0, 2.0] * x), np.ones(2), order=3)[-2:] == (0, 3)
    masked = gradcheck(tg.log_softmax, np.array([-np.inf, 1.0, 2.0]), order=3)
    with np.errstate(invalid="ignore"):  # 0·∞ at the element that is not checked
        assert gradcheck(lambda x: x * x, np.array([np.inf, 1.0]), order=3).elements == 1 + 2 + 3
    assert masked[:2] == ("complex step", 13)  # what is infinite is left out: 2 of x; 2 of g; 3 of the next g
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
    one_by_one = np.zeros((100, 10), bool)

    def f(x, bias):
        nudged = plain(x) != 0.5
        if nudged.sum() == 1:
            one_by_one[nudged] = True
        return (tg.sigmoid(x) * bias).sum()

    report = gradcheck(f, [np.full((100, 10), 0.5), np.ones(10)], order=1)
    assert report[1:4] == (512, 1010, 20)
    assert one_by_one.sum() == 502
    everywhere = made(exponential, lambda g, out, x: g * out * np.where(np.arange(10) == 3, 1.1, 1), analytic=True)
    assert_rejected(lambda x, b: tg.sum(x) + everywhere(b), np.ones(5000), np.ones(10), match=r"\(3,\) of input 1")
    wrong = made(exponential, lambda g, out, x: g * out * 1.1)
    assert_rejected(
        lambda a, b, c: tg.sum(a + b) + wrong(c),
        *np.ones((3, 600)),
        match="of 512 elements and 20 of 60 random directions differ",
    )


@pytest.mark.parametrize("analytic", [True, False], ids=["complex", "differences"])
@pytest.mark.parametrize("at", [17, 1234, 2500, 4321] if IN_FULL else [17, 4321])
def test_one_wrong_element_of_five_thousand_is_found_and_located(analytic, at):
    error = np.zeros(5000)
    error[at] = 1e-5
    wrong = made(exponential, lambda g, out, x: g * out * (1 + error), analytic=analytic)
    x = np.random.default_rng(at).standard_normal(5000)
    match = (
        rf"0 of 512 elements and \d+ of 20 random directions differ; .* leads to element \({at},\) of input 0, where"
    )
    assert_rejected(wrong, x, match=match, order=1)


@pytest.mark.parametrize("at", [17, 4321])
def test_one_element_of_five_thousand_that_is_not_finite_is_located(at):
    for factor in (np.nan, np.inf):
        factors = np.ones(5000)
        factors[at] = factor
        wrong = made(exponential, lambda g, out, x, f=factors: g * out * f, analytic=True)
        assert_rejected(
            wrong, np.ones(5000), match=rf"element \({at},\) of input 0, where the rules give {factor}", order=1
        )


THOUSANDS = np.random.default_rng(1).standard_normal(5000)


@pytest.mark.parametrize(
    ("f", "x", "rtol"),
    [
        (tg.relu, THOUSANDS, 1e-7),
        (lambda x: tg.relu(x - 0.7), THOUSANDS, 1e-7),
        (lambda x: 1 / x, THOUSANDS, 1e-7),
        (tg.log, 10 ** (THOUSANDS[:2000].clip(-2, 2) * 1.5 - 3), 1e-7),
        (lambda x: tg.softmax(x).sum(), THOUSANDS, 1e-7),
        (tg.log_softmax, THOUSANDS[:500], 1e-7),
        (lambda x: tg.exp(x.astype(np.float32)), THOUSANDS[:1000], 1e-3),
    ],
    ids=["relu", "relu off 0", "1/x", "log near 0", "softmax, sum", "log_softmax", "float32"],
)
def test_right_rules_pass_on_thousands_of_elements_some_of_them_near_kinks_and_poles(f, x, rtol):
    report = gradcheck(f, x, rtol=rtol)
    assert report.order == 2
    assert report.directions >= 40


def test_a_direction_alone_makes_no_rule_wrong_without_an_element_that_is(monkeypatch):
    def misled(self, direction, thorough=False):
        found = slope(self, direction, thorough)
        return found if len(direction.positions) == 1 else found._replace(low=found.low + 1, high=found.high + 1)

    slope = orders.Order.slope
    monkeypatch.setattr(orders.Order, "slope", misled)
    with pytest.raises(GradcheckError, match=r"^inconclusive: .*\n.* 0 of 512 elements and 20 of 20 random directions"):
        gradcheck(tg.sigmoid, np.ones(600))


def test_kinks_of_elements_that_are_not_checked_one_by_one_end_the_check_too():
    x = np.ones(5000)
    x[4321] = 0
    assert gradcheck(tg.abs, x)[-2:] == (20, 1)
    wrong = made(lambda x, /: np.abs(x), lambda g, out, x: g * (tg.sign(x) + 1.1 * (plain(x) == 0)))
    assert_rejected(wrong, x, match=r"leads to element \(4321,\) of input 0, where .* a kink with one-sided")


def test_the_message_shows_path_operand_and_order():
    def cube(a, b, /):
        return a * b**3

    wrong = made(cube, lambda g, out, a, b: g * b**3, lambda g, out, a, b: 3 * g * a * b)

    def f(w, x):
        return tg.tanh(wrong(w, tg.exp(x)))

    with pytest.raises(GradcheckError) as raised:
        gradcheck(f, [np.array([0.3]), np.array([-0.2])])
    diagnosis, compared, path = str(raised.value).split("\n")
    numbers = r"the rules give 0\.\d+ for the derivative with respect to element \(0,\) of input 1, numerical"
    assert re.match(
        rf"order 1, central differences: {numbers} differentiation gives 0\.\d+ ± \de-\d\d; 1 of 2", compared
    )
    assert diagnosis == "the rule of cube for its operand 'b' is wrong"
    assert path == "path: exp → cube → tanh"


def test_long_paths_are_shortened():
    def f(x):
        for _ in range(20):
            x = x * 1.01
        return made(exponential, lambda g, out, x: g)(x)

    assert_rejected(f, [1.0], match=r"path: (multiply → ){6}\.\.\. → (multiply → ){5}exponential$")


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


@pytest.mark.parametrize(
    "rule",
    [
        lambda g, out, x: tg.abs(g) * tg.cos(x),
        lambda g, out, x: tg.relu(g) * tg.cos(x),
        lambda g, out, x: tg.where(g > 0, g, 0) * tg.cos(x),
        lambda g, out, x: tg.clip(g, -2, 2) * tg.cos(x),
        lambda g, out, x: tg.maximum(g, 0.3) * tg.cos(x),
    ],
    ids=["abs", "relu", "where", "clip", "maximum"],
)
@pytest.mark.parametrize("analytic", [True, False])
def test_a_rule_that_is_right_for_some_g_only_is_rejected(rule, analytic):
    sine = made(lambda x, /: np.sin(x), rule, analytic=analytic)
    sentence = (
        "^the rule of <lambda> for its operand 'x' is wrong: it is not linear in g, and so right for some g only\n"
    )
    assert_rejected(sine, [0.3, 1.0], match=sentence + r"order 1: with -4 g for g, the rules give ")
    assert_rejected(lambda x: sine(x).sum(), [0.3, 1.0], match=sentence)


@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_where_nothing_can_be_compared_nothing_passes():
    wrong = made(lambda x, /: np.tanh(x), lambda g, out, x: g * 7)
    with pytest.raises(GradcheckError, match="^inconclusive: every input is infinite, so nothing is compared"):
        gradcheck(wrong, np.full(2, np.inf))
    wrong = made(lambda x, /: np.log(x), lambda g, out, x: g * 7)
    with pytest.raises(GradcheckError, match="^inconclusive: every output is infinite, so nothing is compared"):
        gradcheck(wrong, np.zeros(2))


@pytest.mark.parametrize(
    ("out", "came"),
    [(None, "NoneType None"), ("a", "str 'a'"), ({}, "dict"), ((), "none"), (Tensor([1j]), "complex ones")],
)
def test_what_is_no_output_is_refused(out, came):
    with pytest.raises(TypeError, match=f"gradcheck: expected f to return .*, got {came}"):
        gradcheck(lambda x: out, np.ones(2))
    with pytest.raises(TypeError, match="gradcheck: expected real inputs, got complex ones"):
        gradcheck(tg.exp, np.array([1j]))
