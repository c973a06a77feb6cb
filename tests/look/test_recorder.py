"""What a recording holds: every value, gradient, answer, sum, change, name, line and rule, as the tape had them."""

import gc
import inspect
import threading
import weakref
from contextlib import suppress

import numpy as np
import pytest

import tinygrad_sm as tg
from tinygrad_sm import nn
from tinygrad_sm.engine.mode import current_mode
from tinygrad_sm.look.entries import Arrival, Backward, Change, Forward
from tinygrad_sm.look.values import copied


def equal(a, b):
    return a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")


def softmax_regression(rows=5):
    """Return what a step of softmax regression by hand is made of."""
    random = np.random.default_rng(0)
    W = tg.Tensor(random.normal(size=(4, 3)), requires_grad=True)
    b = tg.Tensor(random.normal(size=3), requires_grad=True)
    return random.normal(size=(rows, 4)), random.integers(0, 3, rows), W, b


def loss_of(X, y, W, b):
    z = X @ W + b
    p = tg.softmax(z, axis=1)
    return -tg.log(p[np.arange(len(y)), y]).mean()


def test_every_value_and_gradient_of_the_tape_is_there():
    X, y, W, b = softmax_regression()
    with tg.look.record() as recording:
        z = X @ W + b
        p = tg.softmax(z, axis=1)
        loss = -tg.log(p[np.arange(len(y)), y]).mean()
        for value in (z, p, loss):
            value.retain_grad()
        loss.backward()
    assert [operation.label for operation in recording.operations] == [
        "matmul",
        "add",
        "softmax",
        "getitem",
        "log",
        "mean",
        "negative",
    ]
    for name, value in {"z": z, "p": p, "loss": loss, "W": W, "b": b}.items():
        assert equal(recording[name].value.array, value.data), name
        assert equal(recording[name].g.array, value.grad), name
    assert recording["X"].value.array.tolist() == X.tolist()
    assert recording["X"].g is None


def test_values_are_copied_when_they_are_seen():
    W = tg.Tensor([1.0, 2.0], requires_grad=True)
    with tg.look.record() as recording:
        (W * W).sum().backward()
        with tg.no_grad():
            W -= 1.0
        W.grad[:] = 7.0
    assert recording["W"].value.array.tolist() == [1.0, 2.0]
    assert recording["W"].g.array.tolist() == [2.0, 4.0]


def test_steps_come_in_the_order_in_which_they_happened():
    X, y, W, b = softmax_regression()
    optimizer = nn.optim.SGD([W, b], lr=0.1)
    with tg.look.record() as recording:
        loss_of(X, y, W, b).backward()
        optimizer.step()
    kinds = [type(step) for step in recording.steps]
    assert kinds[:7] == [Forward] * 7
    assert kinds[7:-2].count(Backward) == 7
    assert kinds[7:-2].count(Arrival) == 2
    assert kinds[-2:] == [Change, Change]
    walked = [step.operation.label for step in recording.steps if isinstance(step, Backward)]
    assert walked == ["negative", "mean", "log", "getitem", "softmax", "add", "matmul"]


@pytest.mark.parametrize("make", [nn.optim.SGD, nn.optim.Adam])
def test_what_an_optimizer_changes(make):
    W = tg.Tensor([1.0, 2.0], requires_grad=True)
    optimizer = make([W], lr=0.5)
    with tg.look.record() as recording:
        (W * W).sum().backward()
        optimizer.step()
    change = recording.steps[-1]
    assert isinstance(change, Change)
    assert change.leaf is recording["W"]
    assert change.before.array.tolist() == [1.0, 2.0]
    assert equal(change.after.array, W.data)
    assert "optimizer.step()" in change.line.text


def test_answers_of_rules_and_what_was_summed():
    X, y, W, b = softmax_regression(rows=5)
    with tg.look.record() as recording:
        z = X @ W + b
        z.sum().backward()
    added = next(s for s in recording.steps if isinstance(s, Backward) and s.operation is recording["z"])
    to_product, to_b = added.answers
    assert to_b.operand.source is recording["b"]
    assert to_b.operand.rule == "lambda g, out, a, b: g"
    assert (to_b.answer.shape, to_b.summed, to_b.part.shape) == ((5, 3), (0,), (3,))
    assert to_b.part.array.tolist() == [5.0, 5.0, 5.0]
    assert to_product.summed == ()
    assert to_product.operand.source.label == "matmul"


def test_rules_have_their_comments_and_formulas_stand_in_the_docstrings():
    x = tg.Tensor([1.0, 2.0], requires_grad=True)
    with tg.look.record() as recording:
        x * 2.0
    (product,) = recording.operations
    assert product.formula == "Return a ⊙ b, the product element by element."
    assert [operand.name for operand in product.operands] == ["a", "b"]
    assert product.operands[0].rule == "lambda g, out, a, b: g * b  # ∂L/∂a = g ⊙ b"
    assert [operand.needs_gradient for operand in product.operands] == [True, False]
    assert product.operands[1].source.label == "2"


def test_lines_are_those_of_the_user():
    x = tg.Tensor([1.0, 2.0], requires_grad=True)
    with tg.look.record() as recording:
        here, x = inspect.currentframe().f_lineno, nn.Softmax(dim=0)(x)
    (line,) = (operation.line for operation in recording.operations)
    assert (line.filename, line.lineno) == (__file__, here)
    assert line.text == "here, x = inspect.currentframe().f_lineno, nn.Softmax(dim=0)(x)"
    assert str(line) == f"{__file__}:{here}"


def test_parameters_are_known_by_their_paths():
    model = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.ReLU(), nn.Linear(3, 2))
    whole = nn.Sequential(model)
    with tg.look.record(model) as recording:
        whole(np.ones((5, 2, 2), np.float32)).sum().backward()
    paths = [leaf.label for leaf in recording.leaves if leaf.kind == "parameter"]
    assert paths == ["1.weight", "1.bias", "3.weight", "3.bias"]
    assert equal(recording["3.bias"].g.array, model[3].bias.grad)


def test_kinds_of_leaves():
    class Scaled(nn.Module):
        def __init__(self):
            self.weight = nn.Parameter([1.0, 2.0])
            self.frozen = nn.Parameter([1.0, 2.0], requires_grad=False)
            self.mean = nn.Buffer([0.5, 0.5])

        def forward(self, x):
            return (x - self.mean) * self.weight * 3.0 + self.frozen * before

    start = tg.Tensor([1.0], requires_grad=True)
    start.name = "start"
    before = start * 2.0
    model = Scaled()
    with tg.look.record(model) as recording:
        model(tg.Tensor([1.0, 1.0])).sum().backward()
    kinds = {leaf.label: leaf.kind for leaf in recording.leaves}
    named = {"weight": "parameter", "frozen": "constant", "before": "earlier", "start": "parameter"}
    assert kinds == named | {"3": "constant", "input": "input"}
    assert recording["before"].g.array.tolist() == [3.0]


def test_names_are_those_of_the_variables_the_outermost_first():
    def layer(x, w):
        inner = x @ w
        b = tg.tanh(inner)
        return b * 1.0

    w = tg.Tensor(np.eye(2), requires_grad=True)
    with tg.look.record() as recording:
        h = layer(np.ones((1, 2)), w)
        h = layer(h, w)
        out = h.sum()
    names = [" ".join(operation.names) for operation in recording.operations]
    assert names == ["inner", "b", "h x", "inner", "b", "h", "out"]
    assert recording["h"] is recording.operations[5]
    assert out.node.number == recording["out"].key
    with pytest.raises(KeyError, match="no value of the recording is named 'k'; there are: x, w, inner, b, h, out"):
        recording["k"]


def test_a_leaf_keeps_the_name_that_its_result_takes_over():
    x = tg.Tensor([1.0, 2.0], requires_grad=True)
    with tg.look.record() as recording:
        x = tg.tanh(x)
        x = x * x
        x.sum().backward()
    assert [entry.names for entry in recording.entries] == [("x",), ("x",), ("x",), ()]
    assert [entry.kind for entry in recording.entries] == ["parameter", "operation", "operation", "operation"]


def test_a_global_that_a_function_uses_has_its_name():
    program = """
W = tg.Tensor([2.0], requires_grad=True)
def step():
    with tg.look.record() as recording:
        z = W * W
        z.sum().backward()
    return recording
"""
    globals_ = {"tg": tg}
    exec(program, globals_)
    assert globals_["step"]()["W"].kind == "parameter"


def test_a_name_given_to_a_tensor_counts_too():
    x = tg.Tensor([1.0], requires_grad=True)
    x.name = "the weight"
    with tg.look.record() as recording:
        [x * 2.0][0].sum()
    assert recording["the weight"].label == "the weight"


def test_an_array_that_is_used_twice_is_one_leaf():
    X, w = np.ones((2, 2)), tg.Tensor(np.eye(2), requires_grad=True)
    with tg.look.record() as recording:
        (X @ w * X).sum()
    assert [leaf.label for leaf in recording.leaves] == ["X", "w"]


def test_large_values_are_statistics_with_a_sample():
    X = np.arange(20_000.0).reshape(200, 100)
    X[0, 0], X[0, 1] = np.nan, np.inf
    w = tg.Tensor(np.ones(100), requires_grad=True)
    with tg.look.record(largest=100) as recording:
        X @ w
    value = recording["X"].value
    assert not value.is_whole
    assert (value.shape, value.size, value.dtype) == ((200, 100), 20_000, np.float64)
    assert (value.nans, value.infs) == (1, 1)
    rest = X.ravel()[2:]
    assert (value.low, value.high) == (2.0, 19_999.0)
    assert np.allclose([value.mean, value.std], [rest.mean(), rest.std()], rtol=1e-12)
    assert equal(value.sample, X[:10])
    assert recording["w"].value.is_whole


@pytest.mark.parametrize(
    "x",
    [np.zeros((0, 3)), np.float32(2.0), 3, True, np.array([[True]]), np.array([np.nan, -np.inf]), np.array(5, np.int8)],
)
def test_values_of_every_kind(x):
    value = copied(x)
    assert value.is_whole
    assert value.shape == np.shape(x)
    assert equal(value.array, np.asarray(x))


def test_half_precision_and_the_ends_of_floats_have_statistics():
    value = copied(np.full(2000, 60_000, np.float16))
    assert (value.mean, value.std) == (60_000.0, 0.0)
    assert copied(np.array([1e308, 1e308, -1e308])).infs == 0


def test_nothing_is_recorded_outside_of_the_block_and_after_an_error():
    w = tg.Tensor([1.0], requires_grad=True)
    with suppress(ZeroDivisionError), tg.look.record() as recording:
        doubled = w * 2.0
        raise ZeroDivisionError
    doubled.sum().backward()
    assert recording.operations == [recording["doubled"]]
    assert recording["doubled"].g is None


def test_a_walk_that_fails_leaves_what_was_seen():
    @tg.primitive
    def odd(x, /):
        return x * 2.0

    odd.vjp(lambda g, out, x: 1 / 0)
    w = tg.Tensor([1.0], requires_grad=True)
    with tg.look.record() as recording:
        total = odd(w).sum()
        with pytest.raises(ZeroDivisionError):
            total.backward()
    assert [type(step) for step in recording.steps] == [Forward, Forward, Backward, Backward]
    assert recording.steps[-1].answers == []


def test_a_rule_typed_at_the_prompt_has_no_text():
    namespace = {"tg": tg}
    exec("@tg.primitive\ndef twice(x, /):\n    return x * 2.0\n\ntwice.vjp(lambda g, out, x: g * 2.0)", namespace)
    w = tg.Tensor([1.0], requires_grad=True)
    with tg.look.record() as recording:
        namespace["twice"](w).sum().backward()
    assert recording.operations[0].operands[0].rule == ""


def test_second_derivatives_are_on_the_tape_too():
    x = tg.Tensor([2.0], requires_grad=True)
    with tg.look.record() as recording:
        (slope,) = tg.grad((x * x * x).sum(), x, create_graph=True)
        slope.sum().backward()
    assert recording["slope"].value.array.tolist() == [12.0]
    assert recording["x"].g.array.tolist() == [12.0]  # 6x
    assert len(recording.operations) > 5


def test_the_outermost_name_stands_first_though_it_came_last():
    def double(x):
        a = x * 2.0
        a.sum()
        return a

    w = tg.Tensor([1.0], requires_grad=True)
    with tg.look.record() as recording:
        z = double(w)
        z.sum()
    assert recording.operations[0].names == ("z", "a")


def test_a_second_walk_over_the_same_graph():
    w = tg.Tensor([1.0, 2.0], requires_grad=True)
    with tg.look.record() as recording:
        y = w * 3.0
        y.backward(np.array([1.0, 1.0], np.float32), retain_graph=True)
        y.backward(np.array([5.0, 5.0], np.float32))
    first, second = (step for step in recording.steps if isinstance(step, Backward))
    assert [first.answers[0].part.array.tolist(), second.answers[0].part.array.tolist()] == [[3.0, 3.0], [15.0, 15.0]]
    assert len(first.answers) == len(second.answers) == 1
    assert recording["y"].g.array.tolist() == [5.0, 5.0]
    assert recording["w"].g.array.tolist() == [15.0, 15.0]


def test_hooks_and_wanted_values():
    x = tg.Tensor([2.0, 3.0], requires_grad=True)
    with tg.look.record() as recording:
        y = x * x
        y.register_hook(lambda g: g * 10.0)
        y.sum().backward()
    assert recording["y"].g.array.tolist() == [10.0, 10.0]
    assert recording["x"].g.array.tolist() == x.grad.tolist() == [40.0, 60.0]


def test_what_was_computed_before_is_no_gap():
    x = tg.Tensor([2.0, 3.0], requires_grad=True)
    loss = (x * x).sum()
    with tg.look.record() as recording:
        loss.backward()
    assert recording.operations == []
    assert recording["x"].g.array.tolist() == [4.0, 6.0]


def test_two_recordings_and_threads_do_not_mix():
    x = tg.Tensor([2.0], requires_grad=True)
    with tg.look.record() as outer:
        a = x * 2.0
        with tg.look.record() as inner:
            a.sum()
        thread = threading.Thread(target=lambda: x * 5.0)
        thread.start()
        thread.join()
    assert [operation.label for operation in inner.operations] == ["sum"]
    assert [operation.label for operation in outer.operations] == ["multiply", "sum"]
    assert inner["a"].kind == "earlier"


def test_a_compiled_step_is_seen_as_written():
    w = tg.Tensor([1.0, 2.0], requires_grad=True)
    optimizer = nn.optim.SGD([w], lr=0.1)

    @tg.compiled
    def step(x):
        optimizer.zero_grad()
        loss = (w * x).sum()
        loss.backward()
        optimizer.step()
        return loss

    x = np.ones(2, np.float32)
    for _ in range(4):
        step(x)
    with tg.look.record() as recording:
        step(x)
    assert [operation.label for operation in recording.operations] == ["multiply", "sum"]
    assert equal(recording["w"].g.array, x)


def test_no_graph_stays_alive():
    w = tg.Tensor([1.0, 2.0], requires_grad=True)
    gc.disable()
    try:
        with tg.look.record() as recording:
            squares = w * w
            seen = weakref.ref(squares)
            del squares
            assert seen() is None
            array = np.ones(2, np.float32)
            seen = weakref.ref(array)
            w * array
            del array
        assert seen() is None
    finally:
        gc.enable()
    assert recording.operations[0].value.array.tolist() == [1.0, 4.0]


def test_the_text_of_an_entry_is_short_however_often_values_are_used():
    w = tg.Tensor([1.0, 0.5], requires_grad=True)
    h = w * 1.0
    with tg.look.record() as recording:
        for _ in range(40):  # with the texts of its operands, 2⁴⁰ of them
            h = h * h
        h.sum().backward()
    assert repr(recording["w"]) == "<w, parameter: (2,) float32, with a gradient>"
    assert repr(recording["h"]) == "<multiply → h: (2,) float32, with a gradient>"
    assert repr(recording["h"].operands[1]) == "<operand b: <multiply → h: (2,) float32, with a gradient>>"
    assert len(repr(recording.steps)) < 100_000
    assert w.grad is not None


def test_a_model_must_be_a_module():
    with pytest.raises(TypeError, match="record: expected a Module or nothing, got list"):
        tg.look.record([1.0])
    with pytest.raises(TypeError, match="record: expected a Module or nothing, got type"):
        tg.look.record(nn.Linear)


def test_a_forgotten_with_is_said():
    recording = tg.look.record()
    with pytest.raises(
        AttributeError, match="record: this has no text, it is no recording yet: `with tg.look.record()"
    ):
        recording.text()
    with recording as entered, pytest.raises(ZeroDivisionError):
        1 / 0  # noqa: B018
    assert repr(entered) == "Recording(operations=0, leaves=0, steps=0)"
    assert current_mode().observers == ()


def test_what_is_asked_for_in_another_way_is_refused():
    with tg.look.record() as recording:
        pass
    for largest, kind in (("a", TypeError), (-1, ValueError), (1.5, TypeError)):
        with pytest.raises(kind, match="record: expected largest to be an integer of at least 0, got"):
            tg.look.record(largest=largest)
    with pytest.raises(TypeError, match=r"svg: it returns the text of the picture: Path\('x.svg'\).write_text\("):
        recording.svg("x.svg")
    with pytest.raises(TypeError, match="text: expected width to be an integer, got str 'x.txt'"):
        recording.text("x.txt")


def test_nothing_is_observed_when_nobody_records():
    with tg.look.record():
        assert len(current_mode().observers) == 1
    assert current_mode().observers == ()


def test_the_part_of_an_answer_has_the_dtype_of_the_operand():
    x = tg.Tensor(np.array([1.0, 2.0], np.float32), requires_grad=True)
    with tg.look.record() as recording:
        tg.sum(x * np.array([3.0, 4.0])).backward()
    (answer,) = next(s for s in recording.steps if isinstance(s, Backward) and s.operation.label == "multiply").answers
    assert (answer.answer.dtype, answer.part.dtype) == (np.float64, np.float32)
    assert answer.part.array.tolist() == [3.0, 4.0]


class Disguised:
    @property
    def __class__(self):
        raise RuntimeError("nobody may ask")


ODD = {
    "dead": lambda: weakref.proxy(Disguised()),
    "disguised": Disguised,
    "not made yet": lambda: tg.Tensor.__new__(tg.Tensor),
}


@pytest.mark.parametrize("name", ODD)
def test_objects_that_cannot_be_looked_at_are_passed_over(name):
    odd = ODD[name]()  # a variable, which the recorder meets
    w = tg.Tensor([1.0], requires_grad=True)
    with tg.look.record() as recording:
        doubled = w * 2.0
        doubled.sum()
    assert recording["doubled"].label == "multiply"
    del odd


def test_code_that_runs_with_a_mapping_or_with_odd_names():
    class Bare:
        def __init__(self):
            self.names = {}

        def __getitem__(self, name):
            return self.names[name]

        def __setitem__(self, name, value):
            self.names[name] = value

    w = tg.Tensor([1.0], requires_grad=True)
    given = {"tg": tg, "w": w, 5: w}
    exec("with tg.look.record() as recording:\n    y = w * 2.0\n    z = y * 2.0", given)
    assert [operation.names for operation in given["recording"].operations] == [("y",), ("z",)]
    bare = Bare()
    exec("with tg.look.record() as recording:\n    y = w * 2.0", given, bare)
    assert len(bare["recording"].operations) == 1


def test_an_array_that_is_written_to_between_two_uses_is_another_leaf():
    X, w = np.ones((2, 2)), tg.Tensor([1.0, 2.0], requires_grad=True)
    with tg.look.record() as recording:
        for k in (1.0, 3.0):
            X[:] = k
            w.grad = None
            (X @ w * X[0]).sum().backward()
    values = [leaf.value.array.tolist() for leaf in recording.leaves if leaf.names == ("X",)]
    assert values == [[[1.0, 1.0], [1.0, 1.0]], [[3.0, 3.0], [3.0, 3.0]]]
    found = recording.paths("w", 0)
    assert found.sum == found.autodiff == w.grad[0] == 18.0


def test_a_large_array_that_is_written_to_is_another_leaf():
    X, w = np.zeros((100, 3)), tg.Tensor(np.ones(3), requires_grad=True)
    with tg.look.record(largest=10) as recording:
        X @ w
        X @ w
        X[-1, -1] = np.nan
        X @ w
        X @ w
    assert [leaf.value.nans for leaf in recording.leaves if leaf.names == ("X",)] == [0, 1]


def test_batches_are_not_held_while_the_recording_runs():
    w, seen = tg.Tensor(np.ones(3), requires_grad=True), []
    with tg.look.record() as recording:
        for k in range(10):
            batch = np.full((2, 3), float(k))
            seen.append(weakref.ref(batch))
            (batch @ w).sum().backward()
        assert sum(array() is not None for array in seen) <= 2
    assert [leaf.value.sample[0, 0] for leaf in recording.leaves if leaf.names == ("batch",)] == [*range(10)]
