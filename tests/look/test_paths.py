"""∂L/∂w as the lecture's sum over paths: all paths are there, no other, and they add up to what autodiff gave."""

import math

import chain_rule
import hypothesis
import numpy as np
import pytest

import tinygrad_sm as tg
from tests.engine.test_random_graphs import FAST, program
from tests.helpers import leaf
from tinygrad_sm import nn
from tinygrad_sm.look import paths as paths_module
from tinygrad_sm.look.replay import Replay
from tinygrad_sm.ops.elementwise import relu
from tinygrad_sm.ops.softmax import softmax

LECTURE = {  # the numbers of examples/chain_rule.py
    "W": np.array([[0.5, -0.3], [-0.2, 0.4]]),
    "b": np.array([0.1, -0.1]),
    "x": np.array([1.0, 2.0]),
    "y": np.array([0.0, 1.0]),
}


def lecture(y=LECTURE["y"]):
    """Record the lecture's single layer."""
    W, x, b = tg.Tensor(LECTURE["W"], requires_grad=True), LECTURE["x"], LECTURE["b"]
    with tg.look.record() as recording:
        z = W @ x + b
        a = tg.softmax(z)
        L = -(y * tg.log(a)).sum()
        L.backward()
    return recording


def mlp(examples=2, dtype=np.float64):
    """Record an MLP of ReLUs with a fused loss on a few examples."""
    tg.manual_seed(3)
    model = nn.Sequential(nn.Linear(2, 4), nn.ReLU(), nn.Linear(4, 3))
    for parameter in model.parameters():
        parameter.data = parameter.data.astype(dtype)
    X = np.random.default_rng(0).normal(size=(examples, 2)).astype(dtype)
    with tg.look.record(model) as recording:
        loss = nn.CrossEntropyLoss()(model(X), np.arange(examples) % 3)
        loss.backward()
    return recording


def assert_adds_up(found, rtol=1e-12):
    assert math.isclose(found.sum, found.autodiff, rel_tol=rtol, abs_tol=1e-300)
    assert math.isclose(found.sum, math.fsum(path.product for path in found.paths), rel_tol=1e-15, abs_tol=1e-300)
    for path in found.paths:
        assert path.product == math.prod(factor.value for factor in path.factors)
        assert path.factors[0].out == found.loss
        assert path.factors[-1].operand == found.element
        for above, below in zip(path.factors, path.factors[1:], strict=False):
            assert above.operand == below.out
            assert above.operand.value is below.operation


@pytest.mark.parametrize("y", [LECTURE["y"], np.array([0.3, 0.7])])
def test_two_paths_lead_to_a_weight_of_softmax_regression(y, capsys):
    factors = chain_rule.explain(LECTURE["W"], LECTURE["b"], LECTURE["x"], y, j=1, k=2)
    expected = {name: np.prod(path) for name, path in factors.items()}
    found = lecture(y).paths("W", (0, 1), zeros=True)
    assert_adds_up(found)
    through = {path.factors[4].out.index[0]: path for path in found.paths}
    assert {f"via a_{i + 1}": path.product for i, path in through.items()} == pytest.approx(expected, abs=1e-15)
    a = found.paths[0].factors[4].out.value.value.array
    for i, path in through.items():
        factors = [factor.value for factor in path.factors]
        assert [factor.operation.label for factor in path.factors] == [
            "negative",
            "sum",
            "multiply",
            "log",
            "softmax",
            "add",
            "matmul",
        ]
        assert factors == pytest.approx([-1, 1, y[i], 1 / a[i], a[i] * ((i == 0) - a[0]), 1, LECTURE["x"][1]])


def test_it_prints_as_the_lecture_writes_it():
    assert str(lecture(np.array([0.3, 0.7])).paths("W", (0, 1))).splitlines() == [
        "∂L/∂W₁,₂ at W[0, 1], the sum over 2 paths",
        "  via a₁: ∂L/∂a₁ · ∂a₁/∂z₁ · ∂z₁/∂W₁,₂",
        "    = (−0.794616) · (0.235004) · (2) = −0.373476",  # −0.3/a₁, a₁(1 − a₁), x₂
        "  via a₂: ∂L/∂a₂ · ∂a₂/∂z₁ · ∂z₁/∂W₁,₂",
        "    = (−1.12457) · (−0.235004) · (2) = 0.528557",
        "  the sum:  0.155081",
        "  autodiff: 0.155081",
    ]


def test_a_path_with_a_factor_0_is_counted_and_left_out():
    recording = lecture()
    found = recording.paths("W", (0, 1))
    assert len(found.paths) == found.dropped == 1
    assert str(found).startswith(
        "∂L/∂W₁,₂ at W[0, 1], the sum over 1 path; 1 more, with a factor 0, is left out\n"
        "  ∂L/∂a₂ · ∂a₂/∂z₁ · ∂z₁/∂W₁,₂\n"
        "    = (−1.60653) · (−0.235004) · (2) = 0.755081\n"
    )
    kept = recording.paths("W", (0, 1), zeros=True)
    assert (len(kept.paths), kept.dropped) == (2, 0)
    assert [path.product for path in kept.paths if path.product] == [path.product for path in found.paths]


def test_what_is_folded_and_what_is_not():
    found = lecture(np.array([0.3, 0.7])).paths("W", (0, 1))
    whole = " ".join(found.text(fold=False).split())
    assert "∂L/∂sum · ∂sum/∂multiply₁ · ∂multiply₁/∂log₁ · ∂log₁/∂a₁ · ∂a₁/∂z₁ · ∂z₁/∂matmul₁ · ∂matmul₁/∂W₁,₂" in whole
    assert "(−1) · (1) · (0.3) · (2.64872) · (0.235004) · (1) · (2) = −0.373476" in whole
    assert repr(found) == str(found) == found.text(fold=True)
    assert max(map(len, found.text(fold=False, width=50).splitlines())) <= 50

    recording = mlp()
    is_on = int(np.flatnonzero(recording["0.bias"].g.array)[0])
    found = recording.paths("0.bias", is_on)  # nothing on the way has a name: factors of 1 are left out
    subscript = "₁₂₃₄"[is_on]
    assert ": ∂L/∂linear#2₁,₁ · " in str(found)  # whatever the name of the loss
    assert f"∂linear₁,{subscript}/∂0.bias{subscript}" not in str(found)
    assert f"∂linear₁,{subscript}/∂0.bias{subscript}" in found.text(fold=False)


@pytest.mark.parametrize("name", ["0.weight", "0.bias", "2.weight", "2.bias"])
def test_all_elements_of_an_mlp(name):
    recording = mlp()
    g = recording[name].g.array
    for index in np.ndindex(g.shape):
        found = recording.paths(name, index)
        assert_adds_up(found)
        assert found.autodiff == g[index]
        assert len(found.paths) + found.dropped == {"2": 2, "0": 2 * 3}[name[0]]  # of each example and class


def test_the_paths_of_a_hidden_unit_that_is_off_are_those_with_a_factor_0():
    recording = mlp(examples=1)
    (hidden,) = recording["0.bias"].value.shape
    pre = next(operation.operands[0].source for operation in recording.operations if operation.op is relu)
    is_on = pre.value.array[0] > 0
    assert 0 < is_on.sum() < hidden
    for unit in range(hidden):
        found = recording.paths("0.bias", unit)
        assert (len(found.paths), found.dropped) == ((3, 0) if is_on[unit] else (0, 3))
        assert_adds_up(found)


def test_a_bias_over_a_batch_has_a_path_for_each_example():
    X, b = np.arange(12.0).reshape(4, 3), leaf([0.1, 0.2, 0.3])
    with tg.look.record() as recording:
        loss = tg.sum((X + b) ** 2)
        loss.backward()
    found = recording.paths("b", 1)
    assert_adds_up(found)
    assert [path.factors[-1].out.index for path in found.paths] == [(n, 1) for n in range(4)]
    assert [path.product for path in found.paths] == pytest.approx(2 * (X + b.data)[:, 1])


def test_two_uses_of_a_value_are_two_paths():
    w = leaf([3.0, 4.0])
    with tg.look.record() as recording:
        loss = tg.sum(w * w + tg.exp(w))
        loss.backward()
    found = recording.paths("w", 1)
    assert sorted(path.product for path in found.paths) == pytest.approx([4, 4, math.exp(4)])
    assert_adds_up(found)


def test_any_value_on_the_way_and_the_loss_itself():
    recording = lecture(np.array([0.3, 0.7]))
    found = recording.paths("a", 1)
    assert [path.product for path in found.paths] == pytest.approx([-0.7 / recording["a"].value.array[1]])
    (path,) = recording.paths("L").paths
    assert (path.factors, path.product) == ((), 1)
    assert recording.paths("W", (-2, -1)).element.index == (0, 1)
    assert recording.paths("z", np.int64(1)).element == recording.paths("z", [1]).element


def test_what_depends_on_an_element_only_at_other_values_is_a_path_with_a_factor_0():
    x = leaf([1.0, 5.0, 2.0])
    with tg.look.record() as recording:
        loss = tg.max(x)
        loss.backward()
    for i in (0, 2):  # not the largest: it would be at other values
        found = recording.paths("x", i)
        assert (len(found.paths), found.dropped, found.sum) == (0, 1, 0)

    x, b = np.array([1.0, 2.0]), leaf([1.0, 1.0])
    with tg.look.record() as recording:
        loss = tg.sum(x**b)
        loss.backward()
    assert recording.paths("b", 0).dropped == 1  # ∂(xᵇ)/∂b = xᵇ ln x
    assert recording.paths("b", 1).dropped == 0

    x = leaf([2.0, 2.0])
    with tg.look.record() as recording:
        loss = tg.sum(x * tg.log(tg.Tensor([1.0, 1.0], requires_grad=True)))  # ln 1 is 0
        loss.backward()
    assert recording.paths("x", 1).dropped == 1


def test_factors_are_in_float64_at_the_recorded_values():
    x = tg.Tensor(np.array([0.1, 3.0], np.float32), requires_grad=True)
    with tg.look.record() as recording:
        e = tg.exp(x)
        h = tg.log(x)
        loss = tg.sum(e * h)
        loss.backward()
    values = {factor.operation.label: factor.value for path in recording.paths("x", 1).paths for factor in path.factors}
    assert values["log"] == 1 / 3.0
    assert values["exp"] == float(recording["e"].value.array[1])  # the recorded output, which the rule is given


def test_an_operand_in_the_middle_may_be_left_out():
    @tg.primitive
    def affine(a, b=None, c=None, /):
        return a + 3 * c if b is None else a + b + 3 * c

    affine.vjp(lambda g, out, a, b, c: g, lambda g, out, a, b, c: g, lambda g, out, a, b, c: 3 * g)
    a, c = leaf([1.0, 2.0]), leaf([3.0, 4.0])
    with tg.look.record() as recording:
        loss = tg.sum(affine(a, None, c))
        loss.backward()
    assert (recording.paths("a", 1).sum, recording.paths("c", 1).sum) == (1, 3)


def test_through_dropout_the_mask_is_the_recorded_one():
    x, dropout = leaf(np.ones(8)), nn.Dropout(0.5)
    tg.manual_seed(0)
    with tg.look.record() as recording:
        loss = (dropout(x) ** 2).sum()
        loss.backward()
    for i in range(8):
        found = recording.paths("x", i)
        assert_adds_up(found)
        assert (len(found.paths), found.dropped) == ((1, 0) if x.grad[i] else (0, 1))
    assert 0 < np.count_nonzero(x.grad) < 8


def test_on_every_device(device):
    tg.set_default_device(device)
    W, x = tg.Tensor(LECTURE["W"], requires_grad=True), tg.Tensor([[1.0, 2.0], [0.5, -1.0]], dtype="float64")
    rows, labels = tg.Tensor([1, 0]).data, tg.Tensor([0, 1]).data
    with tg.look.record() as recording:
        loss = nn.functional.cross_entropy((x @ W)[rows], labels) + tg.log_softmax(W)[0, 1]
        loss.backward()
    for each in (recording, recording.unfolded()):
        assert "getitem" in each.text()
        for index in np.ndindex(2, 2):
            found = each.paths("W", index)
            assert_adds_up(found, rtol=1e-9)
            assert len(found.paths) > 1


def test_values_are_those_of_the_operation_although_an_optimizer_has_changed_them():
    w, x = leaf([1.0, 2.0]), np.array([3.0, 4.0])
    optimizer = nn.optim.SGD([w], lr=0.5)
    with tg.look.record() as recording:
        for _ in range(3):
            optimizer.zero_grad()
            loss = tg.sum(tg.exp(-0.1 * w * x) * w)
            loss.backward()
            optimizer.step()
    found = recording.paths("w", 1)  # of the last walk
    assert found.autodiff == recording["w"].g.array[1] == w.grad[1]
    assert_adds_up(found)


def test_of_several_walks_the_last_counts():
    w = leaf([1.0, 2.0])
    with tg.look.record() as recording:
        first, second = (w * w).sum(), (3 * w).sum()
        first.backward()
        second.backward()
    assert recording.paths("w", 1).sum == 3
    assert recording.paths("w", 1).loss.value is recording["second"]


@pytest.mark.parametrize("again", [False, True])
def test_a_walk_that_an_error_broke_off_does_not_count(again):
    @tg.primitive
    def broken(x, /):
        return x * 2

    def rule(g, out, x):
        if fails:
            raise RuntimeError("no")
        return 2 * g

    broken.vjp(rule)
    w, fails = leaf([1.0, 2.0]), True
    with tg.look.record() as recording:
        loss = (broken(w) * w).sum()
        with pytest.raises(RuntimeError):
            loss.backward(retain_graph=True)
        fails = False
        if again:
            loss = (broken(w) * w).sum()
        loss.backward()
    assert sorted(path.product for path in recording.paths("w", 1).paths) == [4, 4]


def test_a_chain_of_a_thousand_operations():
    h = leaf(1.0)
    with tg.look.record() as recording:
        for _ in range(1000):
            h = h * 1.001
        h.backward()
    recording.leaves[0].names = ("first",)
    found = recording.paths("first")
    assert len(found.paths[0].factors) == 1000
    assert_adds_up(found)
    assert " · … · " in str(found)
    assert len(str(found)) < 1000


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
@hypothesis.given(seed=hypothesis.strategies.integers(0, 10**6), zeros=hypothesis.strategies.booleans())
def test_paths_of_random_programs_add_up(dtype, seed, zeros):
    drawn, random = program(seed), np.random.default_rng(seed)
    leaves = [tg.Tensor(x.astype(dtype), requires_grad=True) for x in drawn.leaves]
    with tg.look.record() as recording, np.errstate(all="ignore"):
        loss = drawn.run(FAST, leaves, tg.multiply, tg.add, tg.sum)
        loss.backward()
    for entry in [entry for entry in recording.leaves if entry.kind == "parameter"]:
        entry.names = ("of the leaf",)
        index = tuple(random.integers(0, n) for n in entry.value.shape)
        try:
            found = recording.paths("of the leaf", index, zeros=zeros, most=10_000)
        except ValueError as error:
            assert "paths lead to" in str(error)  # noqa: PT017  most others are few
            continue
        if dtype == np.float64:
            scale = math.fsum(abs(path.product) for path in found.paths)
            assert abs(found.sum - found.autodiff) <= 1e-9 * scale + 1e-300
        entry.names = ()


def test_paths_of_saturated_networks_add_up_in_single_precision():
    W = tg.Tensor(np.array([[40.0, -40.0, 5.0], [-30.0, 60.0, 4.0]], np.float32), requires_grad=True)
    with tg.look.record() as recording:
        a = tg.sigmoid(W @ np.array([1.0, 0.1, 0.01], np.float32))
        p = tg.softmax(10 * tg.tanh(a))
        loss = -tg.log(p[0])
        loss.backward()
    for index in np.ndindex(2, 3):
        recording.paths("W", index)


def test_sums_of_many_examples_are_rounded_as_such_sums_are():
    X = np.random.default_rng(0).uniform(0.1, 1, (900, 1)).astype(np.float32)
    for dtype in (np.float16, np.float32):
        w = tg.Tensor(np.ones(1, dtype), requires_grad=True)
        with tg.look.record() as recording:
            h = w
            for _ in range(3):
                h = h * np.float32(1.1).astype(dtype)
            loss = sum(h * x for x in X.astype(dtype))[0]
            loss.backward()
        assert len(recording.paths("w", 0).paths) == 900


def test_what_a_rule_loses_of_large_inputs_is_no_fault():
    x = tg.Tensor((1e6 + np.random.default_rng(0).normal(size=(2, 6))).astype(np.float32), requires_grad=True)
    with tg.look.record() as recording:
        loss = (nn.LayerNorm(6)(x) ** 3).sum()
        loss.backward()
    for index in np.ndindex(2, 6):
        recording.paths("x", index)


def planted_rule(monkeypatch, factor):
    pulled = Replay.pulled
    monkeypatch.setattr(Replay, "pulled", lambda self, i, g: pulled(self, i, g) * (factor if self.op is softmax else 1))


@pytest.mark.parametrize(("dtype", "error"), [(np.float64, 1e-10), (np.float32, 1e-3)])
def test_a_wrong_factor_is_seen(dtype, error, monkeypatch):
    W = tg.Tensor(LECTURE["W"].astype(dtype), requires_grad=True)
    with tg.look.record() as recording:
        loss = -tg.log(tg.softmax(W @ LECTURE["x"].astype(dtype)))[0]
        loss.backward()
    assert recording.paths("W", (0, 1)).sum
    planted_rule(monkeypatch, 1 + error)
    with pytest.raises(
        ArithmeticError, match=r"paths: the paths to W\[0, 1\] add up to .*, and autodiff gave .*softmax"
    ):
        recording.paths("W", (0, 1))


def test_a_lost_path_is_seen(monkeypatch):
    recording = lecture(np.array([0.3, 0.7]))
    row = paths_module._Derivatives.row

    def without_the_first(self, answer, out, only):
        found = row(self, answer, out, only)
        return found[1:] if len(found) > 1 else found

    assert len(recording.paths("W", (0, 1)).paths) == 2
    monkeypatch.setattr(paths_module._Derivatives, "row", without_the_first)
    with pytest.raises(ArithmeticError):
        recording.paths("W", (1, 1))


def test_a_gradient_that_a_hook_replaced_is_seen():
    w = leaf([1.0, 2.0])
    with tg.look.record() as recording:
        h = tg.exp(w)
        h.register_hook(lambda g: 2 * g)
        h.sum().backward()
    with pytest.raises(ArithmeticError, match="a hook has replaced a gradient"):
        recording.paths("w", 0)


def test_factors_that_are_not_finite():
    x = leaf([0.0, 1.0])
    with tg.look.record() as recording, np.errstate(all="ignore"):
        loss = tg.log(x).sum()
        loss.backward()
    assert recording.paths("x", 0).sum == math.inf
    assert recording.paths("x", 1).sum == 1  # 0·∞ at the other element is no path


@pytest.mark.parametrize("f", [tg.sqrt, tg.arcsin, tg.log, lambda x: tg.arcsin(x / 2), lambda x: x**-0.5])
def test_an_element_depends_on_itself_alone_although_others_are_at_the_border_of_the_domain(f):
    x = leaf([0.0, 0.25, 1.0])
    with tg.look.record() as recording, np.errstate(all="ignore"):
        loss = f(x).sum()
        loss.backward()
    found = recording.paths("x", 1)
    assert len(found.paths) == 1
    assert_adds_up(found)


def not_walked():
    w = leaf()
    with tg.look.record() as recording:
        tg.sum(w * w)
    return recording


def vector_root():
    w = leaf()
    with tg.look.record() as recording:
        y = w * w
        y.backward(np.ones(3))
    return recording


def seeded():
    w = leaf()
    with tg.look.record() as recording:
        y = tg.sum(w * w)
        y.backward(np.array(0.5))
    return recording


def two_roots():
    w = leaf()
    with tg.look.record() as recording:
        u, v = tg.sum(w * w), tg.sum(w)
        tg.grad([u, v], w)
    return recording


def large():
    w = leaf(np.ones(30))
    with tg.look.record(largest=20) as recording:
        tg.sum(w * w).backward()
    return recording


def many():
    w = leaf(np.ones((3, 20)))
    with tg.look.record() as recording:
        s = w.sum(axis=0)
        loss = tg.sum(s[:, None] * s * s[:, None])
        loss.backward()
    return recording


REFUSED = {
    "no walk": (not_walked, 0, ValueError, r"no backward walk that reached w: call backward\(\), of a loss"),
    "no scalar": (vector_root, 0, ValueError, r"it began at y, of shape \(3,\)"),
    "another g": (seeded, 0, ValueError, r"it began at y, of shape \(\), with g = 0\.5"),
    "two roots": (two_roots, 0, ValueError, r"it began at (u|v), of shape \(\) and (u|v), of shape \(\)"),
    "not whole": (
        large,
        0,
        ValueError,
        r"multiply of shape \(30,\) was not kept whole.*record\(largest=30\) keeps them",
    ),
    "no index": (vector_root, (), IndexError, r"one element of shape \(3,\), such as \(0,\), got \(\)"),
    "out of range": (vector_root, 3, IndexError, r"one element of shape \(3,\), such as \(0,\), got 3"),
    "two axes": (vector_root, (0, 0), IndexError, r"got \(0, 0\)"),
    "a float": (vector_root, 0.5, TypeError, r"such as \(0,\), got 0\.5, which is no integer or tuple of integers"),
    "a slice": (vector_root, slice(2), TypeError, r"got slice\(None, 2, None\), which is no integer"),
}


@pytest.mark.parametrize("row", REFUSED)
def test_what_is_refused(row):
    record, index, kind, message = REFUSED[row]
    with pytest.raises(kind, match=message):
        record().paths("w", index)


def test_a_derivative_has_one_value_where_two_paths_have_the_same_names():
    z = leaf([0.0, 0.0])
    with tg.look.record() as recording:
        e = tg.exp(z)
        a = e / e.sum()
        loss = a[0] * 1.0
        loss.backward()
    said = str(recording.paths("z", 0)).splitlines()
    assert said[1:5] == [
        "  path 1: ∂L/∂a₁ · ∂a₁/∂e₁ · ∂e₁/∂z₁",
        "    = (1) · (0.5) · (1) = 0.5",
        "  via sum: ∂L/∂a₁ · ∂a₁/∂sum · ∂sum/∂e₁ · ∂e₁/∂z₁",
        "    = (1) · (−0.25) · (1) · (1) = −0.25",
    ]


def test_too_many_paths_are_refused(monkeypatch):
    recording = many()
    with pytest.raises(ValueError, match=r"paths: 60 paths lead to w\[0, 0\], more than 59, and they are for small"):
        recording.paths("w", (0, 0), most=59)
    assert_adds_up(recording.paths("w", (0, 0), most=60))
    monkeypatch.setattr(paths_module, "MOST_FACTORS", 100)
    with pytest.raises(ValueError, match="more than 100 factors lie between the loss and w"):
        recording.paths("w", (0, 0))


def test_what_has_no_gradient_and_what_is_no_name():
    recording = lecture()
    with pytest.raises(ValueError, match="paths: x has no gradient in the recording, as it requires none: tg.Tensor"):
        recording.paths("x", 0)
    with pytest.raises(TypeError, match=r"paths: expected the name of a value, such as 'W', got float64 \(2, 2\)"):
        recording.paths(tg.Tensor(LECTURE["W"]), (0, 0))


def test_an_unknown_name_is_a_key_error():
    with pytest.raises(KeyError, match=r"no value of the recording is named 'v'"):
        not_walked().paths("v", 0)


def test_it_may_be_asked_inside_of_the_block_and_records_nothing():
    w = leaf([1.0])
    with tg.look.record() as recording:
        h = tg.exp(w)
        tg.sum(h * h).backward()
        recording.entries[0].names = ("w",)
        before = len(recording.steps)
        with tg.profile() as profile, tg.no_grad():
            assert_adds_up(recording.paths("w", 0))
        assert len(recording.steps) == before
    assert not profile.rows
