"""detect_anomaly names the first operation that makes a NaN or an Inf, its line and its inputs, and nothing else."""

import asyncio
import gc
import re
import sys
import threading
import weakref

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import leaf
from tinygrad_sm import Tensor, detect_anomaly, nn, primitive, profile
from tinygrad_sm.check.cases import CASES
from tinygrad_sm.engine.mode import current_mode
from tinygrad_sm.errors import user_line
from tinygrad_sm.nn.functional import cross_entropy, log_softmax
from tinygrad_sm.ops import composed, reductions


def line(ahead=0):
    """Return the place in the caller's file as messages name it, some lines further down."""
    return f"{__file__}:{sys._getframe(1).f_lineno + ahead}"


def anomaly():
    return pytest.raises(FloatingPointError)


# The user's line.


def test_the_users_line_is_the_innermost_outside_of_the_package():
    here, found = line(), user_line()
    assert (str(found), found.filename) == (here, __file__)
    assert found.registry is __warningregistry__  # noqa: F821  user_line made it, where warnings look for it
    seen = []

    @primitive
    def probe(x, /):
        return x * 1.0

    class Probe(nn.Module):
        def forward(self, x):
            seen.append(line(1))
            return tg.sqrt(x - 2.0)

    with detect_anomaly(), anomaly() as raised:
        nn.Sequential(Probe())(leaf())  # the package calls the Module, which calls the package
    assert f"called at {seen[0]}: " in str(raised.value)


# Forward.


def test_the_first_operation_is_named_with_its_line_and_inputs():
    x = Tensor([1.0, 2.0, 6.0], requires_grad=True)
    with detect_anomaly(), anomaly() as raised:
        where = line(1)
        y = tg.sqrt(x - 2)
        tg.sqrt(y)
    first, inputs, advice = str(raised.value).splitlines()
    assert first == f"in sqrt, called at {where}: 1 NaN made of"
    assert inputs == "    x: float32 (3,), -1 .. 4, 0 NaN, 0 Inf"
    assert advice.startswith("Keep these values where sqrt and its gradient are finite: ")
    assert raised.value.__notes__ == ["in sqrt(float32 (3,))"]


@pytest.mark.parametrize(
    ("compute", "message"),
    [
        (lambda: tg.log(leaf([0.0, 1.0, 0.0])), "in log, .*: 2 Inf made of\n    x: float64 .3,., 0 .. 1, 0 NaN, 0 Inf"),
        (lambda: tg.log(leaf([0.0, -1.0])), "in log, .*: 1 NaN and 1 Inf made of"),
        (lambda: tg.divide(leaf(), 0), "in divide, .* 3 Inf made of\n    a: float64 .3,., 1 .. 3, .*\n    b: int 0"),
        (lambda: 1 / Tensor(0), "in divide, .*\n    a: int 1\n    b: int64 .., 0 .. 0, 0 NaN, 0 Inf"),
        (lambda: tg.exp(np.float32(1000)), "in exp, .*\n    x: float32 .., 1000 .. 1000, 0 NaN, 0 Inf"),
        (lambda: tg.exp(1000.0), "in exp, .*\n    x: float 1000.0"),
        (lambda: tg.log(np.array([True, False])), "in log, .*\n    x: bool .2,., 0 .. 1, 0 NaN, 0 Inf"),
        (lambda: leaf([np.inf, 1.0]) - np.inf, "in subtract, .* 1 NaN made of\n    a: .*, 1 .. 1, 0 NaN, 1 Inf\n"),
        (lambda: leaf([1e200]).sum() * np.full(2, 1e200), "in multiply, .*: 2 Inf made of"),
        (lambda: Tensor([1e300], dtype="float64").astype("float32"), "in astype, .*: 1 Inf made of"),
        (
            lambda: tg.sqrt(np.array([-1.0, np.inf])),
            "in sqrt, .*: 1 NaN made of\n    x: float64 .2,., -1 .. -1, .* 1 Inf",
        ),
        (
            lambda: leaf(np.full((1, 2), np.inf)) @ np.zeros((2, 1)),
            "in matmul, .* 1 NaN .*\n    a: .* no finite value, ",
        ),
        (lambda: tg.logsumexp(leaf([1e308, 1e308]) * 10, axis=0), "in multiply, "),
        (
            lambda: tg.sum(leaf([1e308, 1e308]), axis=0),
            "in sum, .* 1 Inf .*\n    x: .*\n    axis: int 0\n    keepdims: ",
        ),
        (
            lambda: composed.einsum("i,i->", leaf([1e200]), leaf([1e200])),
            "in einsum, .*: 1 Inf made of\n    number 0: .*\n    ",
        ),
    ],
)
def test_what_an_operation_makes_is_found(compute, message):
    with detect_anomaly(), anomaly() as raised:
        compute()
    assert re.match(message, str(raised.value), re.MULTILINE), raised.value
    with tg.no_grad(), detect_anomaly(), anomaly():  # without a tape too
        compute()


def masked():
    return np.array([[True, False, True], [False, True, True], [False, False, False]])


@pytest.mark.parametrize(
    "loss",
    [
        lambda z: cross_entropy(z, np.array([0, 1, 2])),
        lambda z: cross_entropy(z, np.array([[0.5, 0, 0.5], [0, 0.5, 0.5], [0, 0, 0]])),
        lambda z: tg.softmax(z)[0, 0],
        lambda z: log_softmax(z, 1)[0, 0],
        lambda z: tg.logsumexp(z[:2], axis=1).sum(),
        lambda z: tg.max(z[:2], axis=1).sum(),
        lambda z: tg.exp(z).sum(),
        lambda z: tg.maximum(z, -1e9).sum(),
    ],
)
def test_masks_pass_forward_and_backward(loss):
    x = leaf(np.arange(9.0).reshape(3, 3))
    with detect_anomaly():
        logits = tg.where(masked(), x, -np.inf)
        loss(logits).backward()
        loss(x + np.where(masked(), 0, -np.inf)).backward()
        (slope,) = tg.grad(loss(tg.where(masked(), x, -np.inf)), x, create_graph=True)
        (slope * x).sum().backward()
    assert np.isfinite(x.grad).all()


@pytest.mark.parametrize(
    "kink",
    [
        lambda x: tg.norm(x),
        lambda x: tg.norm(x, 3),
        lambda x: tg.norm(x, 0.5),
        lambda x: composed.std(x),
        lambda x: reductions.prod(x),
        lambda x: tg.abs(x).sum(),
        lambda x: (x**2).sum(),
        lambda x: (x**0.0).sum(),
        lambda x: composed.clip(x, -np.inf, np.inf).sum(),
    ],
)
def test_conventions_at_kinks_are_no_anomalies(kink):
    x = leaf([0.0, 0.0, 0.0])
    with detect_anomaly():
        kink(x).backward()


def test_what_came_in_passes():
    x = leaf([np.nan, np.inf, 1.0])
    with detect_anomaly():
        (tg.sqrt(tg.exp(x * 2.0)) + np.nan).sum().backward()
        y = leaf()
        tg.exp(y).backward(np.array([np.inf, np.nan, 1.0]))
    assert np.isnan(y.grad[1])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)
def test_every_operation_passes_on_ordinary_values(case):
    leaves = [leaf(x) for x in case.operands(case.fixed)]
    with detect_anomaly():
        out = tg.sum(case(*leaves))
        out.backward(retain_graph=True)
        slopes = tg.grad(out, leaves, create_graph=True)
        if any(slope.requires_grad for slope in slopes):
            tg.grad(sum((slope * slope).sum() for slope in slopes), leaves, allow_unused=True)


def test_static_arguments_are_inputs_too():
    @primitive
    def filled(x, /, value):
        return x * 0 + value

    filled.vjp(lambda g, out, x, value: g * value)
    x = leaf()
    with detect_anomaly():
        filled(x, -np.inf).sum().backward()
        filled(x, np.array([np.nan, 1.0, 2.0]))
    np.testing.assert_array_equal(x.grad, [-np.inf] * 3)


def test_values_of_every_kind_are_looked_at():
    with detect_anomaly():
        assert tg.exp(Tensor(np.zeros((0, 3)))).shape == (0, 3)
        tg.sum(leaf(np.zeros((0, 3)))).backward()
        assert tg.add(np.array([1, 2]), 3).tolist() == [4, 5]
        assert tg.where(np.array(True), 1, 2) == 1
        assert tg.exp(np.array(1j)).dtype == np.complex128
        leaf(2.0).sum().backward()
        with anomaly():
            tg.log(np.array(0j))


# Backward.


def test_an_anomaly_in_a_rule_names_the_line_of_its_forward():
    x = leaf([0.0, 1.0, 4.0])
    with detect_anomaly(), anomaly() as raised:
        where = line(1)
        y = tg.sqrt(x)
        y.sum().backward()
    first, g, out, operand, advice = str(raised.value).splitlines()
    assert first == f"in the gradient rule of sqrt for its operand 'x', recorded at {where}: 1 Inf made of"
    assert g == "    g: float64 (3,), 1 .. 1, 0 NaN, 0 Inf"
    assert out == "    out: float64 (3,), 0 .. 2, 0 NaN, 0 Inf"
    assert operand == "    x: float64 (3,), 0 .. 4, 0 NaN, 0 Inf"
    assert advice.startswith("Keep")
    assert x.grad is None


def test_an_anomaly_in_a_walk_that_is_recorded_is_named_in_the_same_way():
    x = leaf([0.0, 1.0])
    x.name = "0.weight"
    with detect_anomaly(), anomaly() as raised:
        where = line(1)
        y = tg.sqrt(x)
        tg.grad(y.sum(), x, create_graph=True)  # here the rule calls `divide`, which must not be blamed
    assert str(raised.value).startswith(
        f"in the gradient rule of sqrt for its operand '0.weight', recorded at {where}: 1 Inf made of\n    g: "
    )


def test_an_anomaly_of_second_order_names_the_line_of_the_first_forward():
    x = leaf([0.0, 1.0])
    with detect_anomaly():
        where = line(1)
        y = tg.power(x, 1.5)
        (slope,) = tg.grad(y.sum(), x, create_graph=True)  # 1.5 √x
        with anomaly() as raised:
            slope.sum().backward()
    assert str(raised.value).startswith(
        "in the gradient rule of power for its operand 'a', "
        f"recorded at {where}, in the gradient rule of power: 1 Inf made of\n"
    )


def test_a_rule_is_judged_by_its_result():
    @primitive
    def safe_sqrt(x, /):
        return tg.where(x > 0, tg.sqrt(x), 0)  # a NaN that is not taken

    safe_sqrt.vjp(lambda g, out, x: tg.where(out > 0, g / (2 * out), 0))  # an Inf that is not taken
    x = leaf([-1.0, 0.0, 4.0])
    with detect_anomaly():
        safe_sqrt(x).sum().backward()
        tg.grad(safe_sqrt(x).sum(), x, create_graph=True)
    np.testing.assert_array_equal(x.grad, [0, 0, 0.25])


def test_a_residual_is_not_taken_for_the_result():
    @primitive(saves=lambda x: 1 / x)
    def absolute(x, /):
        return abs(x), 1 / x

    absolute.vjp(lambda g, out, x, saved: g * out * saved)
    x = leaf([0.0, 2.0])
    with detect_anomaly():
        y = absolute(x)
        with anomaly() as raised:
            y.sum().backward()
    # 0·∞: the NaN is made in the rule, and the Inf that it was made of is shown
    assert re.search(
        r": 1 NaN made of\n(.*\n)*    saved: float64 \(2,\), 0.5 .. 0.5, 0 NaN, 1 Inf\n", str(raised.value)
    )


def test_a_graph_from_outside_is_watched_too():
    y = tg.sqrt(leaf([0.0]))
    with detect_anomaly(), anomaly() as raised:
        y.backward()
    assert "recorded at a line outside of this detect_anomaly(): " in str(raised.value)


# The scope.


def test_detection_ends_with_its_block():
    x = leaf([-1.0])
    with detect_anomaly():
        with detect_anomaly():
            with anomaly():
                tg.sqrt(x)
            assert len(current_mode().observers) == 2
        with anomaly():
            tg.sqrt(x)
    assert current_mode().observers == ()
    with pytest.warns(RuntimeWarning, match="invalid value"):  # NumPy's word again
        tg.sqrt(x)

    @detect_anomaly()
    def decorated(n):
        """Say what it is."""
        return decorated(n - 1) if n else tg.sqrt(x)

    @detect_anomaly()
    async def coroutine():
        await asyncio.sleep(0)
        return tg.sqrt(x)

    assert decorated.__doc__ == "Say what it is."
    with anomaly():
        decorated(0)
    with anomaly():
        decorated(2)
    with anomaly():
        asyncio.run(coroutine())
    assert current_mode().observers == ()


def test_other_threads_are_not_watched():
    seen = []

    def other():
        seen.append(current_mode().observers)

    with detect_anomaly(), profile() as p:
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert seen == [()]
    assert p.rows == {}


def test_detection_keeps_nothing_alive():
    gc.collect()
    gc.disable()
    try:
        x = leaf()
        with detect_anomaly():
            y = tg.exp(x)
            loss = (y * y).sum()
            (slope,) = tg.grad(loss, x, create_graph=True)
            watched = [weakref.ref(o) for o in (y, y.data, y.node, loss, loss.node, slope, slope.node)]
            (detector,) = current_mode().observers
            assert len(detector.lines) > 3
            del y, loss, slope
            assert [ref() for ref in watched] == [None] * len(watched)
            assert len(detector.lines) == 0
    finally:
        gc.enable()


def test_detection_changes_no_number():
    def gradients():
        model.zero_grad()
        cross_entropy(model(images), labels).backward()
        return [parameter.grad for parameter in model.parameters()]

    model = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    images, labels = np.random.default_rng(0).random((5, 4), np.float32), np.array([0, 1, 1, 0, 1])
    expected = gradients()
    with detect_anomaly(), profile():
        watched = gradients()
    for a, b in zip(expected, watched, strict=True):
        np.testing.assert_array_equal(a, b, strict=True)
