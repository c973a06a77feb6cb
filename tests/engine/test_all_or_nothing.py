"""What fails has changed nothing: a walk no gradient, a step no parameter, a move no Module."""

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import leaf, of_the_wing
from tinygrad_sm import Tensor, nn
from tinygrad_sm.engine import backward
from tinygrad_sm.nn import module

READ_ONLY = np.ones(3)
READ_ONLY.flags.writeable = False
UNLIKE = {
    "another shape": np.ones((5, 3)),
    "one that broadcasts": np.ones(()),
    "another precision": np.ones(3, np.float32),
    "integers": np.ones(3, np.int64),
    "complex": np.ones(3, np.complex128),
    "a list": [1.0, 1.0, 1.0],
    "a Tensor": Tensor(np.ones(3)),
    "read-only": READ_ONLY,
}


@pytest.mark.parametrize("unlike", UNLIKE)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_gradient_unlike_the_data_stops_the_walk_before_it_begins(unlike, place):
    leaves = [leaf() for _ in range(3)]
    loss = (leaves[0] * leaves[1] + leaves[2]).sum()
    for x in leaves:
        x.grad = np.full(3, 7.0)
    leaves[place].grad = UNLIKE[unlike]
    leaves[place].name = "0.weight"
    with pytest.raises(ValueError, match=r"backward\(\): .*the grad of 0.weight"):
        loss.backward()
    assert leaves[place].grad is UNLIKE[unlike]
    assert all(x.grad.tolist() == [7, 7, 7] for i, x in enumerate(leaves) if i != place)
    leaves[place].grad = None
    loss.backward()  # the graph is whole
    assert leaves[place].grad.tolist() == ([1, 1, 1] if place == 2 else [1, 2, 3])


def test_a_retained_gradient_is_asked_too():
    x = leaf()
    y = x * 2.0
    y.retain_grad()
    y.grad, x.grad = np.ones(2), np.ones(3)
    with pytest.raises(ValueError, match=r"expected the grad of a parameter to be an array like float64 \(3,\), got"):
        y.sum().backward()
    assert x.grad.tolist() == [1, 1, 1]


def test_an_overflow_in_one_sum_does_not_keep_the_others_from_their_part():
    x, y = leaf([1.0]), leaf([1.0])
    for first, second in ((x, y), (y, x)):
        x.grad, y.grad = np.array([1.7e308]), np.array([1.0])
        with np.errstate(all="raise"):
            (first + second).sum().backward(1.7e308)
        assert (x.grad.tolist(), y.grad.tolist()) == ([np.inf], [1.7e308])


KINDS = {
    "SGD": lambda p: nn.optim.SGD(p, lr=0.1),
    "SGD with momentum": lambda p: nn.optim.SGD(p, lr=0.1, momentum=0.9),
    "Adam": lambda p: nn.optim.Adam(p, lr=0.1),
    "Adam with decay": lambda p: nn.optim.Adam(p, lr=0.1, weight_decay=0.1),
    "AdamW": lambda p: nn.optim.AdamW(p, lr=0.1),
}


def without_room(monkeypatch, fails_at):
    """Let the so-manieth array that an optimizer makes find no memory; return how many were asked for."""
    asked = []
    array_module = nn.optim.array_module

    class Narrow:
        def __init__(self, xp):
            self.xp = xp

        def __getattr__(self, name):
            found = getattr(self.xp, name)
            if name not in ("empty_like", "zeros_like"):
                return found

            def make(*args, **kwargs):
                asked.append(name)
                if len(asked) == fails_at:
                    raise MemoryError
                return found(*args, **kwargs)

            return make

    for where in (nn.fast, nn.optim):
        monkeypatch.setattr(where, "array_module", lambda *arrays: Narrow(array_module(*arrays)))
    return asked


def three_steps(kind, monkeypatch, fails_at=None):
    """Return the parameters after three steps, of which the first failed before it was repeated."""
    parameters = [nn.Parameter(np.arange(1.0, 4.0)), nn.Parameter(np.ones((2, 2))), nn.Parameter(np.ones(5))]
    made = KINDS[kind](parameters)
    for p in parameters:
        p.grad = 0.5 * p.data
    before = made.state_dict(), [p.data.copy() for p in parameters]
    with monkeypatch.context() as patches:
        asked = without_room(patches, fails_at)
        if fails_at:
            with pytest.raises(MemoryError):
                made.step()
            assert made.state_dict()["state"] == before[0]["state"] == [{}, {}, {}]
            for p, data in zip(parameters, before[1], strict=True):
                np.testing.assert_array_equal(p.data, data)
        made.step()
    for _ in range(2):
        made.step()
    return [p.data for p in parameters], len(asked)


@of_the_wing
@pytest.mark.parametrize("kind", KINDS)
def test_a_step_without_room_changes_nothing(kind, monkeypatch):
    expected, asked = three_steps(kind, monkeypatch)
    assert asked >= 3
    for fails_at in range(1, asked + 1):
        found, _ = three_steps(kind, monkeypatch, fails_at)
        for data, right in zip(found, expected, strict=True):
            np.testing.assert_array_equal(data, right)


def test_a_module_that_finds_no_room_on_a_device_stays_where_it_is(strict, monkeypatch):
    model = nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 2))
    model(np.ones((1, 3), np.float32)).sum().backward()
    state, moved, to_device = model.state_dict(), [], module.to_device

    def narrow(array, device):
        moved.append(array)
        if len(moved) == 6:
            raise MemoryError
        return to_device(array, device)

    with monkeypatch.context() as patches:
        patches.setattr(module, "to_device", narrow)
        with pytest.raises(MemoryError):
            model.to("cuda")
    assert {(p.device, type(p.grad)) for p in model.parameters()} == {("cpu", np.ndarray)}
    model.to("cuda")
    assert {p.device for p in model.parameters()} == {"cuda:0"}
    for name, p in model.named_parameters():
        np.testing.assert_array_equal(p.numpy(), state[name])
        assert tg.backend.device_of(p.grad) == "cuda:0"


def test_a_hook_that_spoils_the_gradient_of_another_leaf_stops_before_any_is_added():
    leaves = [leaf() for _ in range(3)]
    loss = (leaves[0] * leaves[1] * leaves[2]).sum()
    for x in leaves:
        x.grad = np.full(3, 7.0)
    for x, other in zip(leaves, (leaves[1], leaves[2], leaves[0]), strict=True):
        x.register_hook(lambda g, other=other: setattr(other, "grad", np.ones((5, 3))))
    with pytest.raises(ValueError, match=r"backward\(\): expected the grad of"):
        loss.backward()
    assert all(x.grad.shape == (5, 3) for x in leaves)  # the hooks' own doing, and no more


def test_a_walk_without_room_for_its_gradients_leaves_none(monkeypatch):
    leaves = [leaf() for _ in range(3)]
    taken, asked = backward.owned_gradient, []

    def narrow(found, value):
        asked.append(value)
        if len(asked) == 3:
            raise MemoryError
        return taken(found, value)

    with monkeypatch.context() as patches:
        patches.setattr(backward, "owned_gradient", narrow)
        with pytest.raises(MemoryError):
            (leaves[0] + leaves[1] * leaves[2]).sum().backward()
    assert [x.grad for x in leaves] == [None] * 3


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_to_a_read_only_array_changes_nothing(kind):
    parameters = [nn.Parameter(np.ones(3)) for _ in range(3)]
    made = KINDS[kind](parameters)
    for p in parameters:
        p.grad = np.ones(3)
    parameters[1].data.flags.writeable = False
    with pytest.raises(ValueError, match="step: the array of a parameter is read-only"):
        made.step()
    assert all(p.tolist() == [1, 1, 1] for p in parameters)
    assert made.state_dict()["state"] == [{}, {}, {}]
