"""Observers are told all that happens, and each rule of each operation can say its source."""

import re

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import leaf
from tests.ops.test_ops import PRIMITIVES
from tinygrad_sm import Tensor, nn
from tinygrad_sm.engine.primitive import zero

HERE = __file__


class Diary(tg.Observer):
    """Writes down everything."""

    def __init__(self):
        self.entries = []

    def forward(self, op, forward):
        self.entries.append(("forward", op.name))
        return forward

    def recorded(self, node, out, line):
        self.entries.append(("recorded", node.op.name, out, line))

    def backward(self, node, i, rule):
        self.entries.append(("backward", node.op.name, i))
        return rule

    def answered(self, node, i, answer, part):
        self.entries.append(("answered", node.op.name, i, answer, part))

    def complete(self, value, g):
        self.entries.append(("complete", value, g))

    def changing(self, leaves):
        self.entries.append(("changing", leaves, [x.data.copy() for x in leaves]))

    def changed(self, leaves):
        self.entries.append(("changed", leaves, [x.data.copy() for x in leaves]))

    def of(self, kind):
        return [entry[1:] for entry in self.entries if entry[0] == kind]


def test_a_node_is_told_with_its_output_and_the_users_line():
    x = leaf([1.0, 2.0])
    with tg.observe(Diary()) as diary:
        y = x * 2.0
        tg.square(y)  # a formula: the line is that of its caller
        with tg.no_grad():
            x * 3.0
    (name, out, line), (_, _, second) = diary.of("recorded")
    assert (name, out is y, line.filename) == ("multiply", True, HERE)
    assert second.lineno == line.lineno + 1
    assert [name for (name,) in diary.of("forward")] == ["multiply", "multiply", "multiply"]


def test_what_a_rule_answered_and_what_was_made_of_it():
    x, b = leaf(np.ones((2, 3))), Tensor(np.ones(3, np.float32), requires_grad=True)
    with tg.observe(Diary()) as diary:
        (x + b).backward(np.full((2, 3), 2.0))
    (name, first, answer, part), (_, second, wide, narrow) = diary.of("answered")
    assert (name, first, second) == ("add", 0, 1)
    assert answer is part
    assert (wide.shape, wide.dtype) == ((2, 3), np.float64)
    assert (narrow.tolist(), narrow.dtype) == ([4, 4, 4], np.float32)


def test_a_gradient_is_complete_once_at_each_value():
    x = leaf([1.0, 2.0])
    x.register_hook(lambda g: 10 * g)
    y = x * x
    loss = (y + y).sum()
    with tg.observe(Diary()) as diary:
        loss.backward()
    found = diary.of("complete")
    ids = [id(value) for value, _ in found]
    assert (ids[0], ids.count(id(y)), ids[-1]) == (id(loss), 1, id(x))
    assert {id(value): g.tolist() for value, g in found}[id(y)] == [2, 2]
    assert found[-1][1].tolist() == x.grad.tolist() == [40, 80]
    with tg.observe(Diary()) as diary:
        tg.grad((x * x).sum(), x, create_graph=True)
    assert isinstance(diary.of("complete")[-1][1], Tensor)


@pytest.mark.parametrize("way", ["step", "assign", "in place", "load_state_dict"])
def test_leaves_are_told_before_and_after_they_change(way):
    module = nn.Linear(2, 1)
    w, b = module.parameters()
    for p in (w, b):
        p.grad = np.ones_like(p.data)
    old = w.data.copy()
    with tg.observe(Diary()) as diary:
        if way == "step":
            nn.optim.SGD([w, b], lr=1.0).step()
        elif way == "assign":
            w.assign(old - 1)
        elif way == "in place":
            with tg.no_grad():
                w -= 1.0
        else:
            module.load_state_dict({"weight": old - 1, "bias": b.data})
    (before, data), (after, new) = diary.of("changing")[0], diary.of("changed")[0]
    assert before[0] is after[0] is w
    np.testing.assert_array_equal(data[0], old)
    np.testing.assert_allclose(new[0], old - 1)
    assert len(before) == (2 if way in ("step", "load_state_dict") else 1)


def test_a_change_that_fails_has_not_happened():
    w = leaf()
    with tg.observe(Diary()) as diary, pytest.raises(ValueError, match="expected shape"):
        w.assign(np.ones(7))
    assert diary.of("changed") == []


def test_nothing_is_told_outside():
    diary = Diary()
    with tg.observe(diary):
        pass
    x = leaf()
    (x * x).sum().backward()
    x.assign(x.data)
    assert diary.entries == []


RULES = [(op, i) for op in sorted(PRIMITIVES, key=lambda op: op.name) for i in range(len(op.plain_rules or (1,)))]


@pytest.mark.parametrize(("op", "i"), RULES, ids=lambda x: getattr(x, "name", str(x)))
def test_a_rule_says_its_source(op, i):
    text = op.rule_source(i)
    rule = op.plain_rules[i] if op.plain_rules else op.rule_for_each
    if rule is None:
        assert text == "None"
    elif rule.__code__.co_name == "<lambda>":
        assert text.startswith("lambda ")
        arguments = re.match(r"lambda ([^:]*):", text)[1].replace("*", "").split(", ")
        assert set(arguments) == set(rule.__code__.co_varnames[: len(arguments)])
        assert compile(text, "rule", "eval").co_consts[0].co_code == rule.__code__.co_code
    else:
        assert text.startswith(f"def {rule.__name__}(")
        assert rule is zero or "g" in text


def test_sources_of_rules_that_stand_in_one_line_and_of_those_with_a_comment():
    @tg.primitive
    def both(a, b, /):
        return a + 2 * b

    both.vjp(lambda g, out, a, b: g, lambda g, out, a, b: 2 * g)  # twice
    assert [both.rule_source(i) for i in (0, 1)] == ["lambda g, out, a, b: g", "lambda g, out, a, b: 2 * g  # twice"]
    assert tg.multiply.rule_source(0) == "lambda g, out, a, b: g * b  # ∂L/∂a = g ⊙ b"
    typed = {"tg": tg}
    exec("@tg.primitive\ndef f(x, /): return x\nf.vjp(lambda g, out, x: g)", typed)
    with pytest.raises(OSError, match="there is no source"):
        typed["f"].rule_source(0)


@pytest.mark.parametrize("told", ["changing", "changed"])
def test_an_observer_that_raises_leaves_no_state_half_loaded(told):
    module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    new = {name: np.full_like(x, 7) for name, x in module.state_dict().items()}

    class Raises(tg.Observer):
        pass

    def fails(leaves):
        raise KeyError(told)

    observer = Raises()
    setattr(observer, told, fails)
    old = module.state_dict()
    with tg.observe(observer), pytest.raises(KeyError):
        module.load_state_dict(new)
    for name, x in module.state_dict().items():
        np.testing.assert_array_equal(x, (old if told == "changing" else new)[name])
    nn.optim.SGD(module.parameters(), lr=0.1).step()  # no gradients: no change
    with tg.observe(observer):
        nn.optim.SGD(module.parameters(), lr=0.1).step()
