"""A ModuleDict has the main methods of a dict, its Modules are found, and it changes as a whole or not at all."""

import copy
import pickle

import numpy as np
import pytest

from tests.helpers import check_error
from tinygrad_sm import nn


class Heads(nn.Module):
    """Layers by names, as a plain dict would not register them."""

    def __init__(self, **widths):
        self.heads = nn.ModuleDict({name: nn.Linear(3, width, bias=False) for name, width in widths.items()})

    def forward(self, x, name):
        return self.heads[name](x)


def paths(model):
    """Return the paths of the parameters, after which their names are theirs too."""
    found = dict(model.named_parameters())
    assert [parameter.name for parameter in found.values()] == list(found)
    return list(found)


def test_it_registers_its_modules():
    model = Heads(age=1, size=2)
    assert paths(model) == list(model.state_dict()) == ["heads.age.weight", "heads.size.weight"]
    assert model(np.ones((4, 3), np.float32), "size").shape == (4, 2)
    assert repr(model) == (
        "Heads(\n  (heads): ModuleDict(\n    (age): Linear(in_features=3, out_features=1, bias=False)\n"
        "    (size): Linear(in_features=3, out_features=2, bias=False)\n  )\n)"
    )
    other = Heads(age=1, size=2)
    other.load_state_dict(model.state_dict())
    np.testing.assert_array_equal(other.heads["age"].weight.data, model.heads["age"].weight.data)


def test_it_has_the_methods_of_a_dict():
    a, b, c = (nn.Linear(i, 1) for i in (1, 2, 3))
    modules, expected = nn.ModuleDict({"b": b, "a": a}), {"b": b, "a": a}

    def check():
        assert list(modules) == list(modules.keys()) == list(expected)
        assert list(modules.values()) == list(expected.values())
        assert list(modules.items()) == list(expected.items())
        assert len(modules) == len(expected)
        assert [key in modules for key in ("a", "b", "c", 3)] == [key in expected for key in ("a", "b", "c", 3)]
        assert "training" not in modules

    check()
    assert modules["b"] is modules.b is b
    for changed in (modules, expected):  # a key that is there keeps its place
        changed["c"] = a
        changed["b"] = c
        changed.update({"d": b, "a": b})
        changed.update([("e", c)])
        changed.update(nn.ModuleDict({"f": a}))
    check()
    assert modules.pop("d") is expected.pop("d")
    del modules["a"], expected["a"]
    check()
    for key in modules:  # an iteration is over what it held when it began
        del modules[key]
    assert modules.clear() is modules.update({}) is None
    for empty in (modules, nn.ModuleDict(), nn.ModuleDict({}), nn.ModuleDict(None)):
        assert (len(empty), list(empty), repr(empty)) == (0, [], "ModuleDict()")
    for action in (lambda: modules["a"], lambda: modules.pop("training"), lambda: modules.__delitem__("forward")):
        with pytest.raises(KeyError):
            action()


def test_the_names_of_shared_parameters_follow():
    model = Heads(a=1, b=2)
    heads, layer = model.heads, model.heads["a"]
    heads["a"] = nn.Sequential(layer)
    heads.update({"c": layer})
    assert paths(model) == ["heads.a.0.weight", "heads.b.weight"]
    del heads["a"]
    assert paths(model) == ["heads.b.weight", "heads.c.weight"]
    heads.update({"b": layer, "c": nn.ReLU()})
    assert paths(model) == ["heads.b.weight"]
    heads = nn.ModuleDict({"a": nn.Sequential(layer)})
    heads.update({"a": layer})  # whose parameters know a longer path, which is no more
    assert paths(heads) == ["a.weight"]
    row = nn.ModuleList([nn.ReLU(), layer])
    del row[0]
    assert paths(row) == ["0.weight"]
    assert nn.ModuleDict([("x", nn.Linear(1, 1))])["x"].bias.name == "x.bias"


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_copies(copied):
    model = Heads(a=1, b=2)
    other = copied(model)
    assert type(other.heads) is nn.ModuleDict
    assert paths(other) == paths(model)
    assert other.heads["a"].weight is not model.heads["a"].weight


def test_other_attributes_are_no_elements():
    class Scaled(nn.ModuleDict):
        def __init__(self):
            super().__init__({"layer": nn.Linear(1, 1)})
            self.scale = nn.Parameter(2.0)

        def forward(self, x):
            return self.scale * self["layer"](x)

    model = Scaled().eval()
    assert list(model) == ["layer"]
    assert paths(model) == ["layer.weight", "layer.bias", "scale"]
    model.clear()
    assert (list(model), paths(model), model.training) == ([], ["scale"], False)
    with pytest.raises(TypeError, match="scale is a Parameter: expected a Parameter, a Buffer or None in its place"):
        model["scale"] = nn.ReLU()


def given(modules):
    return lambda: nn.ModuleDict({"kept": nn.ReLU()}).update(modules)


NO_TEXT = r"ModuleDict: expected a text that is not empty as key of each Module, got "
NO_DICT = r"ModuleDict: expected a dict of Modules, or pairs of a key and a Module, got "
ERRORS = {
    "a key with a dot": (given({"a.b": nn.ReLU()}), ValueError, r"expected a name without dots, .*, got 'a\.b'"),
    "a method": (
        given({"keys": nn.ReLU()}),
        ValueError,
        "ModuleDict has an attribute 'keys' of its own: give the Module another key",
    ),
    "a mode": (given({"training": nn.ReLU()}), ValueError, "ModuleDict has an attribute 'training' of its own: .*"),
    "a key without letters": (given({"": nn.ReLU()}), TypeError, NO_TEXT + "''"),
    "a key that is a number": (given({1: nn.ReLU()}), TypeError, NO_TEXT + "1"),
    "a class": (
        given({"a": nn.ReLU}),
        TypeError,
        r"ModuleDict: expected Modules, got type <class '.*ReLU'> in place 'a': make one, ReLU\(\.\.\.\)",
    ),
    "a list of Modules": (given([nn.ReLU()]), TypeError, NO_DICT + r"list \[ReLU\(\)\]"),
    "triples": (given([("a", nn.ReLU(), 1)]), TypeError, NO_DICT + "list .*"),
    "no Modules": (given(5), TypeError, NO_DICT + "int 5"),
    "a call": (
        lambda: nn.ModuleDict()(np.ones(3)),
        TypeError,
        r"ModuleDict has no forward: define forward\(self, x\) in its class",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_the_error(name, tmp_path):
    check_error(*ERRORS[name], tmp_path)


@pytest.mark.parametrize("wrong", [{"b.c": nn.ReLU()}, {"keys": nn.ReLU()}, {1: nn.ReLU()}, {"b": np.tanh}])
def test_after_an_error_it_is_as_it_was(wrong):
    layer = nn.Linear(1, 1)
    model = Heads(a=1)
    for action in (model.heads.update, nn.ModuleDict):
        with pytest.raises((TypeError, ValueError)):
            action({"a": layer, **wrong})
    with pytest.raises((TypeError, ValueError)):
        model.heads.__setitem__(*next(iter(wrong.items())))
    assert paths(model) == ["heads.a.weight"]
    assert layer.weight.name == "weight"


def test_containers_of_before_are_found_where_older_pickles_name_them():
    for kind in (nn.ModuleList, nn.Sequential):
        text = pickle.dumps(kind(), protocol=0)
        assert b"tinygrad_sm.nn.containers" in text
        for file in (text, text.replace(b"nn.containers", b"nn.layers")):
            assert type(pickle.loads(file)) is kind
