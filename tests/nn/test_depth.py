"""Modules stand thousands of levels inside each other, or in themselves: all works, or says what is wrong."""

import copy
import pickle

import numpy as np
import pytest

from tinygrad_sm import Tensor, nn

DEPTHS = [3, 63, 64, 65, 300, 1000, 5000]


def nested(depth):
    model = nn.Sequential(nn.Linear(2, 2))
    for _ in range(depth):
        model = nn.Sequential(model)
    return model


X = np.ones((3, 2), np.float32)
COPIES = {
    "deepcopy": copy.deepcopy,
    "pickle": lambda m: pickle.loads(pickle.dumps(m)),
    "pickle 2": lambda m: pickle.loads(pickle.dumps(m, 2)),
}


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_nested_row_computes_and_trains(depth):
    model = nested(depth)
    (linear,) = (m for m in model.modules() if isinstance(m, nn.Linear))
    np.testing.assert_array_equal(model(X).data, linear(X).data)
    model(X).sum().backward()
    assert [p.grad.shape for p in model.parameters()] == [(2, 2), (2,)]
    path = "0." * (depth + 1)
    assert [name for name, _ in model.named_parameters()] == [path + "weight", path + "bias"]
    assert linear.weight.name == path + "weight"
    model.load_state_dict(model.state_dict())
    assert not model.eval().training
    assert not linear.training


@pytest.mark.parametrize("depth", [d for d in DEPTHS if d <= 1000])
def test_repr_of_a_nested_row(depth):
    lines = repr(nested(depth)).split("\n")
    assert len(lines) == 2 * depth + 3
    assert lines[:2] == ["Sequential(", "  (0): Sequential("]
    assert lines[depth + 1] == "  " * (depth + 1) + "(0): Linear(in_features=2, out_features=2, bias=True)"
    assert [len(line) for line in lines[depth + 2 :]] == [2 * i + 1 for i in range(depth, -1, -1)]


def test_repr_of_5000_levels():
    assert repr(nested(5000)).count("Sequential(") == 5001


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("copied", COPIES)
def test_copies_of_a_nested_row(depth, copied):
    model = nested(depth)
    other = COPIES[copied](model)
    theirs, ours = list(other.modules()), list(model.modules())
    assert [type(m) for m in theirs] == [type(m) for m in ours]
    assert all(list(vars(a)) == list(vars(b)) for a, b in zip(theirs, ours, strict=True))
    assert not {id(m) for m in theirs} & {id(m) for m in ours}
    np.testing.assert_array_equal(other(X).data, model(X).data)


@pytest.mark.parametrize("copied", COPIES)
def test_copies_keep_what_is_shared(copied):
    shared = nested(100)
    model = nn.Sequential(shared, nn.Sequential(shared, nn.ReLU()), nested(70))
    whole, part = COPIES[copied]((model, shared))
    assert whole[0] is whole[1][0] is part
    assert len(list(whole.modules())) == len(list(model.modules()))


class Slotted(nn.Module):
    __slots__ = ("size",)

    def __init__(self, inner):
        self.inner = inner
        self.size = 3


@pytest.mark.parametrize("copied", COPIES)
def test_copies_of_a_module_with_slots(copied):
    other = COPIES[copied](Slotted(nested(3)))
    assert (other.size, list(vars(other))) == (3, ["inner"])


class Calling(nn.Module):
    def __init__(self, inner=None):
        self.inner = self if inner is None else inner

    def forward(self, x):
        return self.inner(x)


def calling(depth):
    model = nn.ReLU()
    for _ in range(depth):
        model = Calling(model)
    return model


@pytest.mark.parametrize("model", [Calling(), calling(5000)], ids=["itself", "5000"])
def test_a_forward_that_goes_too_deep_says_so(model):
    with pytest.raises(RuntimeError, match=r"the forward of Calling goes deeper than .* it calls itself, or") as raised:
        model(X)
    assert not isinstance(raised.value, RecursionError)


def in_itself():
    model = nn.Sequential(nn.ReLU())
    model.append(model)
    return model


def with_its_parent():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    model[0].parent = model
    return model


@pytest.mark.parametrize("depth", [0, 3000])
def test_a_row_in_itself_is_refused_when_it_is_called(depth):
    model = inner = in_itself()
    for _ in range(depth):
        model = nn.Sequential(model)
    with pytest.raises(ValueError, match="expected layers that end, got a Sequential inside itself"):
        model(X)
    assert len(list(inner.modules())) == 2


@pytest.mark.parametrize("copied", COPIES)
@pytest.mark.parametrize("make", [in_itself, with_its_parent, Calling])
def test_a_module_in_itself_can_be_shown_and_copied(make, copied):
    model = make()
    other = COPIES[copied](model)
    assert repr(other) == repr(model)
    assert len(list(other.modules())) == len(list(model.modules()))
    assert "(...)" in repr(model)
    assert len(model.state_dict()) == len(other.state_dict())


def test_a_child_that_knows_its_parent_computes_with_it():
    model = with_its_parent()
    assert repr(model) == "Sequential(\n  (0): Linear(\n    (parent): Sequential(...)\n  )\n  (1): ReLU()\n)"
    assert isinstance(model(X), Tensor)


class Child(nn.Module):
    """Knows its parent, and its child."""

    def __init__(self, child):
        self.child = child
        child.parent = self


def family(depth):
    model = nn.Linear(2, 2)
    for _ in range(depth):
        model = Child(model)
    return model


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("which", [0, -1], ids=["outermost", "innermost"])
def test_a_deep_copy_of_modules_that_know_their_parents(depth, which):
    model = [*family(depth).modules()][which]
    other = copy.deepcopy(model)
    theirs, ours = list(other.modules()), list(model.modules())
    assert [type(m) for m in theirs] == [type(m) for m in ours]
    assert not {id(m) for m in theirs} & {id(m) for m in ours}
    assert [*other.state_dict()] == [*model.state_dict()]


@pytest.mark.parametrize("copied", [name for name in COPIES if name.startswith("pickle")])
def test_a_pickle_of_modules_that_know_their_parents_works_or_says_what_is_wrong(copied):
    assert len(list(COPIES[copied](family(100)).modules())) == 101
    with pytest.raises(RuntimeError, match=r"pickle goes deeper .* in circles; nn.save has no such limit") as raised:
        COPIES[copied](family(5000))
    assert not isinstance(raised.value, RecursionError)


class Reduced(nn.Module):
    """Is pickled, and so copied, in its own way."""

    def __init__(self, size):
        self.size = size

    def __reduce__(self):
        return Reduced, (self.size + 1,)


def test_a_module_with_its_own_way_to_be_pickled_is_copied_in_it():
    assert copy.deepcopy(Reduced(1)).size == 2
    assert [m.size for m in copy.deepcopy(nn.ModuleList([Reduced(1), Reduced(5)]))] == [2, 6]
    assert vars(copy.deepcopy(nn.Module())) == {}
