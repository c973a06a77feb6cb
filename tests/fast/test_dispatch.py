"""A quicker form runs where its condition holds, whoever imported the plain one; without the wing there is none."""

import os
import subprocess
import sys

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import ROOT
from tinygrad_sm import dispatch
from tinygrad_sm.dispatch import faster, replaceable


@pytest.fixture
def few_pairs(monkeypatch):
    monkeypatch.setattr(dispatch, "PAIRS", [])
    monkeypatch.setattr(dispatch, "HAS_WING", True)


def half(x):
    """Return x / 2."""
    return x / 2


class Halver:
    @replaceable
    def halve(self, x):
        return x / 2


def test_a_function_is_replaced_for_those_who_have_it_already(few_pairs):
    plain = replaceable(half)
    before = plain

    @faster(plain, when=lambda x: x == 4)
    def quick(x):
        return "quick"

    assert [before(4), before(6), plain(4)] == ["quick", 3, "quick"]
    assert (plain.plain(4), plain.__doc__) == (2, "Return x / 2.")
    (pair,) = dispatch.PAIRS
    assert (pair.plain(4), pair.quick(4), pair.when(4), pair.when(5), pair.within) == (2, "quick", True, False, 0)


def test_of_several_forms_the_last_one_that_holds_runs(few_pairs):
    plain = replaceable(half)
    faster(plain, when=lambda x: x > 0)(lambda x: "above 0")
    faster(plain, when=lambda x: x > 9)(lambda x: "above 9")
    assert [plain(-4), plain(4), plain(10)] == [-2, "above 0", "above 9"]
    assert [pair.plain(10) for pair in dispatch.PAIRS] == [5, 5]


def test_a_method_is_replaced_in_its_class(few_pairs, monkeypatch):
    monkeypatch.setattr(Halver, "halve", Halver.halve)
    halver = Halver()
    faster(Halver.halve)(lambda self, x: "quick")
    assert halver.halve(4) == "quick"


def test_the_forward_and_a_rule_of_an_operation_are_replaced(few_pairs):
    @tg.primitive
    def triple(x, /):
        return 3 * x

    triple.vjp(lambda g, out, x: 3 * g)
    faster(triple, when=lambda x: x.size > 1)(lambda x: 30 * x)
    faster(triple, rule=0, when=lambda g, out, x: x.size > 1)(lambda g, out, x: 30 * g)
    for size, factor in ((1, 3), (2, 30)):
        x = tg.ones(size, requires_grad=True)
        y = triple(x)
        y.sum().backward()
        assert (y.tolist(), x.grad.tolist()) == ([factor] * size, [factor] * size)
    assert triple.plain(np.ones(2)).tolist() == [3, 3]


@pytest.mark.parametrize(("value", "is_open"), [("1", False), ("", True), ("0", True)])
def test_the_environment_shuts_the_wing(value, is_open):
    code = (
        "import sys, tinygrad_sm.nn; from tinygrad_sm import dispatch; from tinygrad_sm.ops.elementwise import where\n"
        "print(len(dispatch.PAIRS), where.forward is where.plain, 'tinygrad_sm.nn.fast' in sys.modules)"
    )
    told = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "TINYGRAD_SM_PLAIN": value},
        cwd=ROOT,
    )
    found, is_plain, has_fast = told.stdout.split()
    assert (int(found) > 0, is_plain, has_fast) == (is_open, str(not is_open), str(is_open))
