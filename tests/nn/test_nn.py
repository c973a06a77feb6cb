"""Modules hold what they are given, in order and by name; layers and losses compute what their formulas say."""

import copy
import sys
import warnings

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import leaf
from tinygrad_sm import CheckpointError, GradientError, Tensor, nn
from tinygrad_sm.nn import functional


class TwoHeads(nn.Module):
    """A Module with parameters, a buffer, children and a shared layer."""

    def __init__(self):
        self.scale = nn.Parameter([2.0])
        self.body = nn.Sequential(nn.Linear(4, 3), nn.ReLU())
        self.offset = nn.Buffer([1.0, 1.0])
        self.head = nn.Linear(3, 2, bias=False)
        self.same_head = self.head
        self.note = "no tensor"

    def forward(self, x):
        return self.head(self.body(x)) * self.scale + self.offset


def test_parameters_come_in_the_order_of_definition_and_once():
    model = TwoHeads()
    names = ["scale", "body.0.weight", "body.0.bias", "head.weight"]
    assert [name for name, _ in model.named_parameters()] == names
    assert [p.name for p in model.parameters()] == names
    assert list(model.state_dict()) == [*names[:3], "offset", "head.weight"]
    assert next(model.parameters()) is model.scale
    assert [type(m).__name__ for m in model.modules()] == ["TwoHeads", "Sequential", "Linear", "ReLU", "Linear"]
    for wrong in (model.scale * 2, np.ones(1), "gone"):
        with pytest.raises(
            TypeError, match="scale is a Parameter: expected a Parameter, a Buffer or None in its place"
        ):
            model.scale = wrong
    model.note = model.scale * 2  # a result is no parameter
    assert len(list(model.parameters())) == 4
    model.head.weight.requires_grad_(False)  # frozen, and a parameter still
    assert len(list(model.parameters())) == 4
    assert len(model.state_dict()) == 5


def test_train_eval_and_zero_grad_reach_all_modules():
    model = TwoHeads()
    assert model.eval() is model
    assert not any(m.training for m in model.modules())
    model.train()
    assert all(m.training for m in model.modules())
    model(np.ones((5, 4), np.float32)).sum().backward()
    assert all(p.grad is not None for p in model.parameters())
    model.zero_grad()
    assert all(p.grad is None for p in model.parameters())


def test_repr_shows_the_tree():
    assert repr(TwoHeads()) == (
        "TwoHeads(\n"
        "  (body): Sequential(\n"
        "    (0): Linear(in_features=4, out_features=3, bias=True)\n"
        "    (1): ReLU()\n"
        "  )\n"
        "  (head): Linear(in_features=3, out_features=2, bias=False)\n"
        "  (same_head): Linear(in_features=3, out_features=2, bias=False)\n"
        ")"
    )
    assert repr(nn.LogSoftmax(dim=1)) == "LogSoftmax(dim=1)"


def test_state_dicts_are_copies_and_load_exactly():
    model, other = TwoHeads(), TwoHeads()
    state = model.state_dict()
    before = state["scale"].copy()
    model.scale.assign([9.0])
    assert state["scale"] == before
    keys = other.load_state_dict(model.state_dict())
    assert keys == ([], [])
    x = np.ones((5, 4), np.float32)
    np.testing.assert_array_equal(model(x).data, other(x).data)
    weight = other.head.weight
    other.load_state_dict({name: Tensor(a) for name, a in state.items()})
    assert other.head.weight is weight  # in place: optimizers keep their parameters
    loss = other(x).sum()
    other.load_state_dict(state)
    with pytest.raises(GradientError, match="was changed"):
        loss.backward()


def test_a_state_that_does_not_fit_changes_nothing_and_lists_all_differences():
    model = TwoHeads()
    before = model.state_dict()
    state = model.state_dict()
    state["scale"] = np.zeros(3, np.float32)
    state["offset"] = np.zeros(2)
    state["surplus"] = state.pop("head.weight")
    state["body.0.bias"] = np.zeros(3, np.float32)
    with pytest.raises(CheckpointError) as raised:
        model.load_state_dict(state)
    assert str(raised.value).splitlines() == [
        "the state does not fit TwoHeads:",
        "  scale: expected float32 (1,), got float32 (3,)",
        "  offset: expected float32 (2,), got float64 (2,)",
        "  head.weight: missing",
        "  surplus: unexpected",
    ]
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])
    offset, model.offset.data = model.offset.data, np.broadcast_to(np.float32(1), (2,))
    with pytest.raises(CheckpointError, match="offset: read-only"):
        model.load_state_dict(before)
    np.testing.assert_array_equal(model.scale.data, before["scale"])
    model.offset.data = offset
    keys = model.load_state_dict({"surplus": 1.0, "scale": np.array([5], np.float32)}, strict=False)
    assert keys.unexpected == ["surplus"]
    assert keys.missing == ["body.0.weight", "body.0.bias", "offset", "head.weight"]
    assert model.scale.tolist() == [5]


def test_models_are_copied_deeply():
    model = TwoHeads()
    copied = copy.deepcopy(model)
    copied.scale.assign([7.0])
    assert model.scale.tolist() == [2]
    assert copied.same_head is copied.head
    x = np.ones((1, 4), np.float32)
    model.scale.assign([7.0])
    np.testing.assert_array_equal(model(x).data, copied(x).data)


def test_linear_is_pytorchs():
    tg.manual_seed(0)
    layer = nn.Linear(100, 50)
    assert (layer.weight.shape, layer.bias.shape, layer.weight.dtype) == ((50, 100), (50,), np.float32)
    for parameter in layer.parameters():
        assert np.abs(parameter.data).max() <= 0.1
    assert np.abs(layer.weight.data).max() > 0.099  # U(−1/√in, 1/√in)
    np.testing.assert_allclose(layer.weight.data.std(), 0.1 / np.sqrt(3), rtol=0.03)
    x = np.random.default_rng(0).random((2, 3, 100)).astype(np.float32)
    np.testing.assert_allclose(layer(x).data, x @ layer.weight.data.T + layer.bias.data, rtol=1e-6)
    tg.manual_seed(0)
    np.testing.assert_array_equal(nn.Linear(100, 50).weight.data, layer.weight.data)
    assert nn.Linear(3, 2, bias=False).bias is None


def test_the_line_of_the_lecture_runs_verbatim():
    NUM_INPUTS, NUM_OUTPUTS = 784, 10
    model = nn.Sequential(nn.Linear(NUM_INPUTS, NUM_OUTPUTS), nn.LogSoftmax(dim=1))
    images, labels = np.random.default_rng(0).random((8, 784)).astype(np.float32), np.arange(8)
    log_probabilities = model(images)
    np.testing.assert_allclose(np.exp(log_probabilities.data).sum(axis=1), 1, rtol=1e-6)
    loss = nn.NLLLoss()(log_probabilities, labels)
    loss.backward()
    logits = Tensor(model[0](images).data, requires_grad=True)
    np.testing.assert_allclose(loss.item(), nn.CrossEntropyLoss()(logits, labels).item(), rtol=1e-6)
    error = tg.softmax(logits.data) - np.eye(10, dtype=np.float32)[labels]
    np.testing.assert_allclose(model[0].weight.grad, error.T @ images / 8, rtol=1e-4, atol=1e-7)


def test_layers_take_tensors_and_arrays_alike():
    x = np.random.default_rng(0).standard_normal((4, 2, 3))
    for layer, expected in (
        (nn.ReLU(), np.maximum(x, 0)),
        (nn.Sigmoid(), 1 / (1 + np.exp(-x))),
        (nn.Tanh(), np.tanh(x)),
        (nn.Flatten(), x.reshape(4, 6)),
        (nn.Softmax(dim=1), np.exp(x) / np.exp(x).sum(1, keepdims=True)),
        (nn.LogSoftmax(dim=0), x - np.log(np.exp(x).sum(0))),
    ):
        np.testing.assert_allclose(layer(x), expected)
        result = layer(Tensor(x, requires_grad=True))
        assert result.requires_grad
        np.testing.assert_allclose(result.data, expected)
    assert nn.Flatten()(np.zeros((0, 2, 3))).shape == (0, 6)
    np.testing.assert_array_equal(functional.softmax(x, dim=1), nn.Softmax(dim=1)(x))
    np.testing.assert_array_equal(functional.log_softmax(x, dim=1), nn.LogSoftmax(dim=1)(x))
    assert functional.one_hot([0, 2], 3).tolist() == [[1, 0, 0], [0, 0, 1]]


def test_a_sequential_is_a_sequence():
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
    assert len(model) == 3
    assert isinstance(model[1], nn.Tanh)
    assert model[-1] is list(model)[2]
    assert model(np.ones((5, 4), np.float32)).shape == (5, 2)


def test_models_survive_files(tmp_path):
    path = tmp_path / "model.safetensors"
    model, other = TwoHeads(), TwoHeads()
    model.body[0].weight.data = np.asfortranarray(model.body[0].weight.data)  # not contiguous as C has it
    nn.save(path, model)
    nn.load(path, other)
    for (name, a), b in zip(model.state_dict().items(), other.state_dict().values(), strict=True):
        np.testing.assert_array_equal(a, b, err_msg=name)


def test_bad_files_are_one_error_and_change_nothing(tmp_path):
    model = TwoHeads()
    before = model.state_dict()
    path = tmp_path / "model.safetensors"
    nn.save(path, nn.Linear(4, 3))
    with pytest.raises(CheckpointError, match=r"scale: missing"):
        nn.load(path, model)
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(CheckpointError, match="expected a safetensors file"):
        nn.load(path, model)
    path.write_bytes(b"not at all")
    with pytest.raises(CheckpointError, match=r"model\.safetensors: expected a safetensors file"):
        nn.load(path, model)
    with pytest.raises(FileNotFoundError):
        nn.load(tmp_path / "absent", model)
    for name, array in model.state_dict().items():
        np.testing.assert_array_equal(array, before[name])


def test_cross_entropy_warns_of_a_softmax_once_for_each_line():
    x, labels = leaf(((1.0, 2.0), (3.0, 1.0))), np.array([0, 1])
    model = nn.Sequential(nn.Softmax(dim=1))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for _ in range(3):
            nn.CrossEntropyLoss()(model(x), labels)
        nn.functional.cross_entropy(tg.softmax(x), labels)
        line = sys._getframe().f_lineno
    assert [str(w.filename) for w in caught] == [__file__] * 2
    assert [w.lineno for w in caught] == [line - 2, line - 1]
    assert "leave out the nn.Softmax that ends the model" in str(caught[0].message)
    nn.CrossEntropyLoss()(tg.log_softmax(x), labels)  # silent: warnings are errors here
    nn.CrossEntropyLoss()(x * 1.0, labels)
    nn.NLLLoss()(tg.log_softmax(x), labels)


def test_a_linear_layer_without_input_features_is_its_bias():
    layer = nn.Linear(0, 2)
    layer.bias.assign([1.0, -2.0])
    for shape in ((4, 0), (0,), (2, 3, 0), (2, 0, 0)):
        out = layer(np.zeros(shape, np.float32))
        np.testing.assert_array_equal(out.data, np.broadcast_to(np.float32([1, -2]), (*shape[:-1], 2)))
        layer.zero_grad()
        out.sum().backward()
        assert layer.weight.grad.shape == (2, 0)
        np.testing.assert_array_equal(layer.bias.grad, [out.data.size / 2] * 2)
