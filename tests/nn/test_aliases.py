"""A training changes its parameters and nothing else: not the caller's arrays, nor what a state was loaded from."""

import copy

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import leaf
from tinygrad_sm import GradientError, Tensor, nn

KINDS = [nn.optim.SGD, nn.optim.Adam, nn.optim.AdamW]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("made_of", ["an array", "a Tensor", "a view"])
def test_a_parameter_is_a_copy(kind, made_of):
    array = np.ones((3, 2), np.float32)
    given = {"an array": array, "a Tensor": Tensor(array), "a view": array.T[::-1]}[made_of]
    parameter = nn.Parameter(given)
    assert not np.shares_memory(parameter.data, array)
    optimizer = kind([parameter], lr=0.5)
    (parameter * 2.0).sum().backward()
    optimizer.step()
    assert parameter.data.max() < 1
    assert array.min() == 1


def test_a_parameter_keeps_dtype_device_and_the_rules_of_python_numbers(device):
    x = nn.Parameter(Tensor(np.ones(2), device=device))
    assert (x.dtype, x.device, x.requires_grad) == (np.float64, Tensor(0.0, device=device).device, True)
    assert nn.Parameter([1.0]).dtype == np.float32
    with pytest.raises(TypeError, match="only floats carry gradients"):
        nn.Parameter([1])


class Pair(nn.Module):
    def __init__(self):
        self.first = nn.Parameter([1.0, 2.0, 3.0])
        self.second = nn.Parameter([4.0, 5.0, 6.0])


LIVE = {
    "exchanged": lambda m: {"first": m.second.data, "second": m.first.data},
    "views": lambda m: {"first": m.second.data[::-1], "second": m.first.data[::-1]},
    "Tensors": lambda m: {"first": m.second, "second": m.first.detach()},
}


@pytest.mark.parametrize("given", LIVE)
def test_a_state_may_be_made_of_arrays_of_the_same_model(given):
    model = Pair()
    state = LIVE[given](model)
    expected = {name: np.array(value.data if isinstance(value, Tensor) else value) for name, value in state.items()}
    model.load_state_dict(state)
    for name, value in expected.items():
        np.testing.assert_array_equal(getattr(model, name).data, value)
    model.first.assign([0.0, 0.0, 0.0])
    np.testing.assert_array_equal(model.second.data, expected["second"])


@pytest.mark.parametrize("kind", KINDS)
def test_the_state_of_an_optimizer_may_be_made_of_its_own_arrays(kind):
    model = Pair()
    optimizer = kind(model.parameters(), lr=0.1, **({"momentum": 0.9} if kind is nn.optim.SGD else {}))
    (model.first + model.second * 3.0).sum().backward()
    optimizer.step()
    own = [slot.state for slot in optimizer._slots]
    kept = copy.deepcopy(own)
    state = optimizer.state_dict() | {"state": own[::-1]}
    optimizer.load_state_dict(state)
    optimizer.step()
    again = kind(model.parameters(), lr=0.1, **({"momentum": 0.9} if kind is nn.optim.SGD else {}))
    again.load_state_dict(optimizer.state_dict() | {"state": kept[::-1]})
    again.step()
    for mine, theirs in zip(optimizer.state_dict()["state"], again.state_dict()["state"], strict=True):
        assert mine.keys() == theirs.keys()
        for name in mine:
            np.testing.assert_array_equal(mine[name], theirs[name])


def shallow_of_a_result(w):
    return copy.copy(w.reshape(3, 1)).reshape(3)


@pytest.mark.parametrize("copied", [copy.copy, lambda w: copy.copy(copy.copy(w)), shallow_of_a_result])
@pytest.mark.parametrize("changed", ["the original", "the copy"])
def test_a_shallow_copy_is_the_same_memory(copied, changed):
    w, x = leaf([1.0, 2.0, 3.0]), leaf([3.0, 3.0, 3.0])
    other = copied(w)
    if changed == "the copy" and other.node is not None:
        other = other.detach()
    assert np.shares_memory(w.data, other.data)
    loss = (x * (other if changed == "the original" else w)).sum()
    (w if changed == "the original" else other).assign([10.0, 10.0, 10.0])
    with pytest.raises(GradientError, match="was changed"):
        loss.backward()
    assert (w.grad, x.grad) == (None, None)


def test_a_shallow_copy_has_all_that_the_original_has():
    class Named(Tensor):
        pass

    w = Named(np.ones(2), requires_grad=True)
    w.name, w.extra, w.grad = "w", "more", np.ones(2)
    c = copy.copy(w)
    assert (type(c), c.name, c.extra, c.requires_grad) == (Named, "w", "more", True)
    assert c.data is w.data
    assert c.grad is w.grad
    (tg.sum(c) * 2.0).backward()
    assert w.grad.tolist() == [3, 3]  # in place: an array shared by both


def test_a_vector_may_be_made_of_the_parameters_own_arrays():
    base = np.arange(4.0)
    parameters = [Tensor(base[:2], requires_grad=True), Tensor(base[2:], requires_grad=True)]
    nn.vector_to_parameters(base[::-1], parameters)
    assert [p.tolist() for p in parameters] == [[3, 2], [1, 0]]
