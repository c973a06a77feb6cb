"""An optimizer's state goes to the parameters of the same names, or is refused: never to others by their places."""

import re

import numpy as np
import pytest

from tinygrad_sm import CheckpointError, nn


class Model(nn.Module):
    def __init__(self, *names):
        for name in names:
            setattr(self, name, nn.Parameter(np.arange(3.0)))


def trained(kind, *names):
    model = Model(*names)
    optimizer = kind(model.parameters())
    for i, parameter in enumerate(model.parameters(), 1):
        parameter.grad = np.full(3, float(i))
    optimizer.step()
    return model, optimizer


KINDS = [lambda p: nn.optim.SGD(p, lr=0.1, momentum=0.9), nn.optim.Adam, nn.optim.AdamW]


@pytest.mark.parametrize("kind", KINDS)
def test_another_order_is_refused_and_changes_nothing(kind, tmp_path):
    model, optimizer = trained(kind, "a", "b")
    other, others_optimizer = trained(kind, "b", "a")
    before = others_optimizer.state_dict()
    message = r"param_groups\[0\]\.param_names\[0\]: expected 'b', got 'a'\n.*\[1\]: expected 'a', got 'b'"
    nn.save(tmp_path / "file", model, optimizer)
    with pytest.raises(CheckpointError, match=message):
        nn.load(tmp_path / "file", other, others_optimizer)
    with pytest.raises(CheckpointError, match=message):
        others_optimizer.load_state_dict(optimizer.state_dict())
    assert repr(others_optimizer.state_dict()) == repr(before)


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_order_is_taken(kind, tmp_path):
    model, optimizer = trained(kind, "a", "b")
    other = Model("a", "b")
    others_optimizer = kind(other.parameters())
    nn.save(tmp_path / "file", model, optimizer)
    nn.load(tmp_path / "file", other, others_optimizer)
    assert repr(others_optimizer.state_dict()) == repr(optimizer.state_dict())
    assert others_optimizer.state_dict()["param_groups"][0]["param_names"] == ["a", "b"]


def test_groups_know_the_names_of_their_own_parameters():
    model = Model("a", "b", "c")
    groups = [{"params": [model.c], "lr": 0.5}, {"params": [model.a, model.b]}]
    state = nn.optim.SGD(groups, lr=0.1).state_dict()
    assert [(group["params"], group["param_names"]) for group in state["param_groups"]] == [
        ([0], ["c"]),
        ([1, 2], ["a", "b"]),
    ]
    other = nn.optim.SGD([{"params": [model.a], "lr": 0.5}, {"params": [model.c, model.b]}], lr=0.1)
    with pytest.raises(CheckpointError, match=re.escape("param_groups[1].param_names[0]: expected 'c', got 'a'")):
        other.load_state_dict(state)


def test_where_one_of_the_two_has_no_name_the_place_decides():
    nameless = nn.optim.SGD([nn.Parameter(np.arange(3.0)), nn.Parameter(np.arange(3.0))], lr=0.1, momentum=0.9)
    assert "param_names" not in nameless.state_dict()["param_groups"][0]
    _, named = trained(KINDS[0], "a", "b")
    nameless.load_state_dict(named.state_dict())
    assert [s["velocity"].tolist() for s in nameless.state_dict()["state"]] == [[1, 1, 1], [2, 2, 2]]
    state = nameless.state_dict()  # as one of version 0.1, which noted no names
    named.load_state_dict(state)
    state["param_groups"][0]["param_names"] = ["a", None]
    named.load_state_dict(state)


@pytest.mark.parametrize("names", [["a"], ["a", "b", "c"], "ab", [1, 2], {"a": "b"}])
def test_what_are_no_names_is_refused(names):
    _, optimizer = trained(KINDS[0], "a", "b")
    state = optimizer.state_dict()
    state["param_groups"][0]["param_names"] = names
    with pytest.raises(CheckpointError, match="param_names"):
        optimizer.load_state_dict(state)


class Grown(nn.Module):
    """Has lists that are filled after they were assigned, so that their layers know only their names in the list."""

    def __init__(self, *names):
        for name in names:
            setattr(self, name, nn.ModuleList())
            getattr(self, name).append(nn.Linear(2, 2, bias=False))


@pytest.mark.parametrize("kind", KINDS)
def test_names_are_paths_from_the_model_whose_parameters_were_asked_for(kind):
    model, other = Grown("a", "b"), Grown("b", "a")
    state = kind(model.parameters()).state_dict()
    assert state["param_groups"][0]["param_names"] == ["a.0.weight", "b.0.weight"]
    with pytest.raises(CheckpointError, match=r"expected 'b\.0\.weight', got 'a\.0\.weight'"):
        kind(other.parameters()).load_state_dict(state)


def test_the_names_are_those_of_when_the_optimizer_was_made():
    layer = nn.Linear(2, 2)
    optimizer = nn.optim.SGD(layer.parameters())
    state = optimizer.state_dict()
    model = nn.Sequential(layer, nn.Softmax())
    assert [p.name for p in model.parameters()] == ["0.weight", "0.bias"]
    assert optimizer.state_dict() == state
    optimizer.load_state_dict(state)
