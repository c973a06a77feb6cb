"""Operations are pickled by name, as functions are; leaves are copied and pickled, and results say what to write."""

import copy
import importlib
import pickle

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import leaf
from tests.house.test_house import MODULES
from tinygrad_sm import Tensor, nn
from tinygrad_sm.engine.primitive import Primitive

PRIMITIVES = sorted(
    {x for name in MODULES for x in vars(importlib.import_module(name)).values() if isinstance(x, Primitive)},
    key=lambda op: (op.__module__, op.name),
)
PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


@tg.primitive
def doubled(x, /):
    return x + x


class Holder:
    @tg.primitive
    def tripled(x, /):
        return 3 * x


def test_all_primitives_are_tried():
    assert len(PRIMITIVES) > 30


@pytest.mark.parametrize(
    "op", [*PRIMITIVES, doubled, Holder.tripled], ids=lambda op: f"{op.__module__}.{op.__qualname__}"
)
def test_a_primitive_stays_itself(op):
    assert copy.copy(op) is op
    assert copy.deepcopy([op])[0] is op
    for protocol in PROTOCOLS:
        assert pickle.loads(pickle.dumps(op, protocol)) is op


class Activated(nn.Module):
    def __init__(self, activation):
        self.weight = nn.Parameter([1.0, -2.0])
        self.activation = activation

    def forward(self, x):
        return self.activation(self.weight * x)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))], ids=["deepcopy", "pickle"])
@pytest.mark.parametrize("op", [tg.relu, tg.softmax, doubled, tg.gelu], ids=lambda op: op.__name__)
def test_a_module_keeps_its_primitive(op, copied):
    model = Activated(op)
    other = copied(model)
    assert other.activation is op
    np.testing.assert_array_equal(other(np.ones(2)).data, model(np.ones(2)).data)


def test_a_local_primitive_is_refused_as_a_local_function_is():
    @tg.primitive
    def local(x, /):
        return x

    assert copy.deepcopy(local) is local
    with pytest.raises((AttributeError, pickle.PicklingError), match="local"):
        pickle.dumps(local)


@pytest.mark.parametrize(
    ("copied", "advice"),
    [(pickle.dumps, "only leaves can be pickled, and multiply made this: pickle its .detach"),
     (copy.deepcopy, "only leaves can be copied, and multiply made this: copy its .detach")],
    ids=["pickle", "deepcopy"],
)  # fmt: skip
def test_a_result_with_a_history_says_what_to_write(copied, advice):
    y = leaf([1.0, 2.0]) * 2
    for whole in (y, [y], {"loss": y}, Activated(y)):
        with pytest.raises(tg.GradientError, match=advice):
            copied(whole)
    copied(y.detach())


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))], ids=["deepcopy", "pickle"])
def test_hooks_stay_with_the_original(copied):
    x, seen = leaf([1.0, 2.0]), []
    x.register_hook(lambda g: seen.append(g.tolist()))
    other = copied(x)
    (other * 2).sum().backward()
    assert (other.grad.tolist(), seen) == ([2, 2], [])
    (x * 2).sum().backward()
    assert seen == [[2, 2]]


def test_results_without_a_history_and_leaves_are_pickled_whole():
    x = leaf([1.0, 2.0])
    (x * x).sum().backward()
    again, product = pickle.loads(pickle.dumps([x, Tensor([1.0]) * 2]))
    assert again.requires_grad
    np.testing.assert_array_equal(again.grad, x.grad)
    assert product.tolist() == [2.0]
