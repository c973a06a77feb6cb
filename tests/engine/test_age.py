"""A walk to wanted values looks at nothing older than they are, so that nested differentiation in a loop is linear."""

import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import leaf
from tinygrad_sm import GradientError, Tensor
from tinygrad_sm.engine.tape import Node, sequence_number

ONE = Tensor(1.0, dtype="float64")


def cube(u):
    return (u * u * u).sum()


STEPS = {
    "grad": lambda x: tg.grad(cube(x), x, create_graph=True)[0],
    "vjp": lambda x: tg.vjp(cube, x)[1],
    "jvp": lambda x: tg.jvp(cube, x, ONE)[1],
    "hvp": lambda x: tg.hvp(cube, x, ONE)[1],
    "vjp over grad": lambda x: tg.vjp(lambda u: tg.grad(cube(u), u, create_graph=True)[0], x, ONE)[1],
    "grad of vjp": lambda x: tg.grad(tg.vjp(cube, x)[1], x, create_graph=True)[0],
    "the Jacobian": lambda x: tg.jacobian(cube, x),
    "the Hessian": lambda x: tg.hessian(cube, x),
}


def descended(step, count):
    """Return where so many steps from 1 end, and where they began, without a graph that is cut."""
    start = Tensor(1.0, requires_grad=True, dtype="float64")
    x = start
    for _ in range(count):
        x = x - 0.01 * STEPS[step](x)
    return x, start


class LookedAt(Node):
    """A node that counts how often it is asked what it was made of."""

    count = 0

    @property
    def operands(self):
        LookedAt.count += 1
        return self._operands

    @operands.setter
    def operands(self, operands):
        self._operands = operands


@pytest.mark.parametrize("step", STEPS)
def test_the_hundredth_step_looks_at_no_more_nodes_than_the_third(step, monkeypatch):
    for name in ("tinygrad_sm.engine.primitive", "tinygrad_sm.fast.engine"):
        if name in sys.modules:
            monkeypatch.setattr(sys.modules[name], "Node", LookedAt)
    monkeypatch.setattr(LookedAt, "count", 0)
    x, looks = Tensor(1.0, requires_grad=True, dtype="float64"), []
    for _ in range(100):
        before = LookedAt.count
        x = x - 0.01 * STEPS[step](x)
        looks.append(LookedAt.count - before)
    assert 0 < looks[2] == looks[-1]


@pytest.mark.parametrize("step", STEPS)
def test_the_derivative_through_all_steps_is_that_of_differences(step):
    end, start = descended(step, 5)
    (g,) = tg.grad(end, start)
    ends = [descended_from(step, 1.0 + h) for h in (1e-6, -1e-6)]
    np.testing.assert_allclose(g.item(), (ends[0] - ends[1]) / 2e-6, rtol=1e-6)


def descended_from(step, start):
    x = Tensor(start, requires_grad=True, dtype="float64")
    for _ in range(5):
        x = (x - 0.01 * STEPS[step](x)).detach().requires_grad_()
    return x.item()


def test_what_is_older_may_be_freed_and_changed():
    w = leaf()
    x = w * 2.0
    x.sum().backward()  # frees the graph behind x
    w.assign([0.0, 0.0, 0.0])
    y = x.detach().requires_grad_()
    z = x * y  # x is older than y
    assert tg.grad(z.sum(), y)[0].tolist() == [2, 4, 6]
    with pytest.raises(GradientError, match="freed"):
        tg.grad((x * y).sum(), w)


def test_what_the_walk_reads_is_looked_at_however_old_it_is():
    w = leaf()
    y = leaf()
    z = (w * y).sum()
    w.assign([0.0, 0.0, 0.0])
    with pytest.raises(GradientError, match="'a' was changed"):
        tg.grad(z, y)


def test_copies_are_as_old_as_what_they_are_copied_from_and_pickles_are_new():
    x = leaf()
    y = x * 2.0
    same, deep, unpickled = copy.copy(y), copy.deepcopy(x), pickle.loads(pickle.dumps(x))
    assert sequence_number(same) == sequence_number(y)
    assert sequence_number(copy.copy(x)) == sequence_number(x)
    assert sequence_number(x) < sequence_number(y) < sequence_number(deep) < sequence_number(unpickled)
    assert tg.grad(same.sum(), x)[0].tolist() == [2, 2, 2]
    for new in (deep, unpickled):
        assert tg.grad((new * 3.0).sum(), new)[0].tolist() == [3, 3, 3]


def test_a_pickle_of_a_process_that_has_made_more_is_no_newer(tmp_path):
    program = (
        "import pickle, sys, tinygrad_sm as tg\n"
        "for _ in range(10_000_000): tg.engine.versions.next_number()\n"
        "sys.stdout.buffer.write(pickle.dumps(tg.Tensor([1.0], requires_grad=True)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    x = pickle.loads(done.stdout)
    assert tg.grad((x * 2.0).sum(), x)[0].tolist() == [2]
    assert sequence_number(x) < 10_000_000
