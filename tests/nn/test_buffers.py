"""A Module's state is its Parameters and Buffers, whatever forward keeps; a state is loaded whole or not at all."""

import copy
import inspect
import pickle
from abc import ABC, abstractmethod

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import leaf
from tinygrad_sm import CheckpointError, Tensor, nn

X = np.ones((2, 3), np.float32)


class Keeper(nn.Module):
    """Has a running mean as buffer, and keeps what passes through it."""

    def __init__(self):
        self.kept = None
        self.layer = nn.Linear(3, 3)
        self.mean = nn.Buffer(np.zeros(3, np.float32))
        self.mask = None
        self.note = Tensor([3.0])

    def forward(self, x):
        self.last_input = x
        self.mask = Tensor(np.ones(3, np.float32))
        self.layer.cached = Tensor([1.0])
        h = self.layer(x)
        self.hidden = h
        self.mean.assign(0.5 * self.mean + 0.5 * h.detach().mean(axis=0))
        self.kept = 1 * self.mean
        return h * self.mask


NAMES = ["layer.weight", "layer.bias", "mean"]


@pytest.mark.parametrize("mode", [tg.no_grad, tg.enable_grad])
@pytest.mark.parametrize("training", [True, False])
def test_forward_adds_nothing_to_the_state(mode, training, tmp_path):
    model, fresh = Keeper().train(training), Keeper()
    assert list(model.state_dict()) == NAMES
    with mode():
        for _ in range(2):
            model(Tensor(X))
    assert list(model.state_dict()) == NAMES
    assert [name for name, _ in model.named_parameters()] == NAMES[:2]
    assert model.mean.data.any()
    assert (model.last_input.name, model.mean.name) == (None, "mean")
    nn.save(tmp_path / "c", model)
    nn.load(tmp_path / "c", fresh)
    np.testing.assert_array_equal(fresh.mean.data, model.mean.data)


COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda x: pickle.loads(pickle.dumps(x)),
}
copied_each_way = pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)


@copied_each_way
def test_copies_know_their_state(copied):
    model = Keeper()
    with tg.no_grad():
        model(X)
    other = copied(model)
    assert list(other.state_dict()) == NAMES
    other.scale, other.late = nn.Parameter([1.0]), Tensor([1.0])
    other.scale.requires_grad_(False)
    assert list(other.state_dict()) == [*NAMES, "scale"]
    model.scale = Tensor([1.0])  # of which the copy's is no reason to be state
    assert list(model.state_dict()) == NAMES


@copied_each_way
@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.Parameter([1.0, 2.0]),
        lambda: nn.Parameter([1.0, 2.0], requires_grad=False),
        lambda: nn.Buffer([1, 2]),
    ],
    ids=["a parameter", "a frozen one", "a buffer"],
)
def test_the_class_is_the_mark(copied, make):
    state = make()
    other = copied(state)
    assert type(other) is type(state)
    assert other.requires_grad is state.requires_grad
    assert other.tolist() == [1, 2]
    before = other
    with tg.no_grad():
        other += 1
    assert other is before
    assert other.tolist() == [2, 3]
    for result in (other * 1, other.detach(), other[:1], tg.sum(other), np.multiply(other, 2), 1 - other):
        assert type(result) is Tensor
    assert type(other.requires_grad_(False)) is type(state)
    assert repr(other).startswith(f"{type(state).__name__}([2")


@pytest.mark.parametrize("kind", [nn.Parameter, nn.Buffer])
def test_both_copy_what_they_are_given(kind):
    array = np.array([1.0, 2.0])
    of_tensor, broadcast = Tensor(array), np.broadcast_to(np.float32(1), (2,))
    for given in (array, of_tensor, broadcast, of_tensor * 1):
        state = kind(given)
        state.assign(state * 0)
        assert state.node is None
        with tg.no_grad():
            state -= 1
        assert state.tolist() == [-1, -1]
    assert array.tolist() == [1, 2]
    assert broadcast.tolist() == [1, 1]


def test_parameters_are_floats():
    for given in ([1, 2], [True], np.arange(3)):
        for requires_grad in (True, False):
            with pytest.raises(TypeError, match="only floats carry gradients"):
                nn.Parameter(given, requires_grad)


def test_what_was_state_stays_so():
    model = Keeper()
    model.scale, model.note = nn.Parameter([2.0]), Tensor([3.0])
    assert list(model.state_dict()) == [*NAMES, "scale"]
    for parameter in model.parameters():
        parameter.requires_grad_(False)
    assert [name for name, _ in model.named_parameters()] == [*NAMES[:2], "scale"]  # frozen, and still parameters
    model.layer.bias = nn.Buffer(np.zeros(3, np.float32))
    assert list(model.state_dict()) == [*NAMES, "scale"]
    assert [name for name, _ in model.named_parameters()] == [NAMES[0], "scale"]
    model.scale = None
    assert list(model.state_dict()) == NAMES
    model.scale = Tensor([4.0])
    assert list(model.state_dict()) == NAMES


def test_state_gives_way_to_state_only():
    model = Keeper()
    for value, got in (
        (Tensor([1.0]), r"float32 \(1,\)"),
        (model.mean + leaf(), r"float64 \(3,\)"),
        (model.mean.data, r"float32 \(3,\)"),
        (0.5, "float 0.5"),
    ):
        message = f"expected a Parameter, a Buffer or None in its place, got {got}; write mean.assign.value. to change"
        with pytest.raises(TypeError, match=f"^mean is a Buffer: {message}"):
            model.mean = value
    with pytest.raises(TypeError, match="^weight is a Parameter: expected a Parameter, a Buffer or None"):
        model.layer.weight = Tensor(np.ones((3, 3)))
    assert list(model.state_dict()) == NAMES
    model.hidden = leaf() * 2  # results come and go where no state is
    model.hidden = leaf() * 3
    model.hidden = 0


def test_a_leaf_that_would_not_be_trained_is_refused():
    model = Keeper()
    for name in ("extra", "note", "mask"):
        with pytest.raises(
            TypeError, match=rf"^{name}: expected a Parameter, or .*, got .*float64 \(3,\); write nn.Param"
        ):
            setattr(model, name, leaf())
    assert list(model.state_dict()) == NAMES
    model.extra = leaf().detach()


def test_names_are_paths_and_what_is_shared_has_that_of_its_first():
    shared = nn.Linear(3, 3)
    model = nn.Sequential(shared, nn.ReLU(), shared)
    assert shared.weight.name == "0.weight"
    outer = Keeper()
    outer.body = model
    assert [p.name for p in outer.parameters()] == [name for name, _ in outer.named_parameters()]
    assert shared.bias.name == "body.0.bias"
    outer.again = shared.weight
    assert shared.weight.name == "body.0.weight"


def test_to_build_a_long_row_of_modules_is_linear():
    """Count the attributes that are set: a clock would say what the machine does meanwhile."""

    def names_given(n, build):
        given = []

        class Counted(nn.Parameter):
            __slots__ = ()

            def __setattr__(self, name, value):
                given.append(name) if name == "name" and value is not None else None
                super().__setattr__(name, value)

        class Layer(nn.Module):
            def __init__(self):
                self.weight = Counted([1.0])

        build([Layer() for _ in range(n)])
        return len(given)

    def one_by_one(layers):
        row = nn.ModuleList()
        for layer in layers:
            row.append(layer)

    for build in (nn.ModuleList, one_by_one, lambda layers: nn.Sequential(*layers)):
        assert names_given(200, build) == 2 * names_given(100, build)


@pytest.mark.parametrize("value", [nn.Parameter([1.0]), nn.ReLU()], ids=["parameter", "Module"])
def test_names_that_would_be_paths_of_other_tensors_are_refused(value):
    model = nn.Sequential(nn.Linear(2, 2))
    with pytest.raises(ValueError, match=r"expected a name without dots, .* got '0\.weight'"):
        setattr(model, "0.weight", value)
    assert list(model.state_dict()) == ["0.weight", "0.bias"]
    assert model[0].weight.shape == (2, 2)


def test_a_slice_and_a_list_keep_no_more_state_than_others():
    model = nn.Sequential(nn.ReLU(), nn.Linear(3, 3))
    for row in (model, model[:1], nn.ModuleList()):
        before = list(row.state_dict())
        row.last = Tensor([1.0])
        assert list(row.state_dict()) == before


def test_modules_are_classes_like_others():
    class Base(nn.Module, ABC):
        @abstractmethod
        def forward(self, x): ...

    class Twice(Base):
        def forward(self, x):
            return 2 * x

    with pytest.raises(TypeError, match="abstract"):
        Base()
    assert isinstance(Twice(), Base)
    assert not isinstance(nn.ReLU(), Base)
    assert str(inspect.signature(nn.Linear)) == "(in_features: int, out_features: int, bias: bool = True)"
    assert str(inspect.signature(Twice)) == "()"
    assert repr(nn.Linear(2, 1)).startswith("Linear(")


def test_forward_takes_keywords():
    class Masked(nn.Module):
        def forward(self, x, mask=1.0, *, shift=0.0):
            return x * mask + shift

    assert Masked()(X, mask=np.zeros(3), shift=2.0).tolist() == [[2] * 3] * 2
    assert Masked()(x=X).tolist() == X.tolist()
    with pytest.raises(TypeError, match="Module has no forward: define forward"):
        nn.Module()(x=X)


class Tied(nn.Module):
    """Shares a weight, under a first path, and under two others."""

    def __init__(self):
        self.encode = nn.Linear(3, 3, bias=False)
        self.decode = nn.Linear(3, 3)
        self.decode.weight = self.encode.weight
        self.again = self.encode


A, B, BIAS = np.eye(3, dtype=np.float32), np.ones((3, 3), np.float32), np.zeros(3, np.float32)


@pytest.mark.parametrize("paths", [["encode"], ["again"], ["decode", "encode"], ["encode", "decode", "again"]])
def test_a_shared_tensor_is_loaded_by_any_of_its_paths(paths):
    model = Tied()
    assert list(model.state_dict()) == ["encode.weight", "decode.bias"]
    keys = model.load_state_dict({**{f"{path}.weight": A for path in paths}, "decode.bias": BIAS})
    assert keys == ([], [])
    np.testing.assert_array_equal(model.decode.weight.data, A)
    assert model.decode.weight is model.encode.weight


@pytest.mark.parametrize(
    ("state", "differences"),
    [
        (
            {"encode.weight": A, "again.weight": B},
            ["again.weight: expected one value by all paths of this shared Tensor, got different ones"],
        ),
        (
            {"encode.weight": A, "again.weight": BIAS},
            ["again.weight: expected float32 (3, 3), got float32 (3,)"],
        ),
        ({"encode.bias": BIAS, "encode.weight": A}, ["encode.bias: unexpected"]),
        ({"weight": A, 3: A, "decode.weight.x": A}, [f"{k}: unexpected" for k in ("weight", 3, "decode.weight.x")]),
    ],
)
def test_other_paths_must_be_right_too(state, differences):
    model = Tied()
    before = model.state_dict()
    for refuse in (model.load_state_dict, model.check_state_dict):
        with pytest.raises(CheckpointError) as raised:
            refuse({**state, "decode.bias": BIAS})
        lines = [line.strip() for line in str(raised.value).splitlines()]
        assert [line for line in lines[1:] if line != "encode.weight: missing"] == differences
    np.testing.assert_array_equal(model.encode.weight.data, before["encode.weight"])


def test_pytorchs_state_of_shared_weights_loads():
    torch = pytest.importorskip("torch")
    theirs = torch.nn.Module()
    theirs.encode, theirs.decode = torch.nn.Linear(3, 3, bias=False), torch.nn.Linear(3, 3)
    theirs.decode.weight = theirs.encode.weight
    theirs.again = theirs.encode
    state = {name: tensor.numpy() for name, tensor in theirs.state_dict().items()}
    assert len(state) == 4
    model = Tied()
    model.load_state_dict(state)
    np.testing.assert_array_equal(model.encode.weight.data, theirs.encode.weight.detach().numpy())


@pytest.mark.parametrize(
    ("value", "got"),
    [
        ("abc", "str 'abc'"),
        (None, "NoneType None"),
        ([[1.0], [1.0, 2.0]], "list [[1.0], [1.0, 2.0]]"),
        (np.array([object()]), "object (1,)"),
        ({}, "dict {}"),
    ],
    ids=["str", "None", "rows of unlike lengths", "objects", "dict"],
)
def test_entries_that_are_no_arrays_are_named(value, got):
    model = nn.Linear(1, 2)
    before = model.state_dict()
    with pytest.raises(CheckpointError) as raised:
        model.load_state_dict({"weight": value, "bias": np.ones(3)})
    assert str(raised.value).splitlines()[1:] == [
        f"  weight: expected float32 (2, 1), got {got}",
        "  bias: expected float32 (2,), got float64 (3,)",
    ]
    np.testing.assert_array_equal(model.weight.data, before["weight"])


@pytest.mark.parametrize("state", [None, [1.0], "abc"])
def test_a_state_that_is_no_dict_is_refused(state):
    model = nn.Linear(1, 2)
    for refuse in (model.load_state_dict, model.check_state_dict):
        with pytest.raises(TypeError, match=f"Linear: expected as state a dict of arrays, got {type(state).__name__}"):
            refuse(state)


def test_a_check_changes_nothing():
    model = nn.Linear(1, 2)
    before = model.state_dict()
    loss = model(X[:, :1]).sum()
    assert model.check_state_dict({"weight": np.ones((2, 1), np.float32), "bias": np.ones(2, np.float32)}) is None
    assert model.check_state_dict({}, strict=False) is None
    np.testing.assert_array_equal(model.weight.data, before["weight"])
    loss.backward()


def test_a_module_gives_way_to_modules_only():
    class Slip(nn.Module):
        def __init__(self):
            self.fc = nn.Linear(2, 2)

        def forward(self, x):
            self.fc = self.fc(x)
            return self.fc

    model = Slip()
    with pytest.raises(TypeError, match="^fc is a Module: expected a Module or None in its place, got float32"):
        model(np.ones((1, 2), np.float32))
    assert len(list(model.parameters())) == 2
    model.fc = nn.ReLU()
    model.fc = None


def test_a_place_of_a_list_is_replaced_whatever_its_name():
    class Named(nn.Sequential):
        def __init__(self):
            self.head = nn.Linear(2, 2)
            super().__init__(nn.Linear(2, 2), nn.ReLU())

    model, first, last = Named(), nn.Tanh(), nn.Sigmoid()
    model[0], model[-1] = first, last
    assert (model[0], model.head, model[2], len(model)) == (first, first, last, 3)
    with pytest.raises(TypeError, match="integer"):
        model[0:2] = nn.Tanh()
