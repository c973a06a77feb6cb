"""What `nn.save` and `nn.load` refuse says why, and has changed neither file, model, optimizer nor random draws."""

import json
import threading

import numpy as np
import pytest
import safetensors.numpy

import tinygrad_sm as tg
from tests.nn.stress import exactly
from tinygrad_sm import CheckpointError, nn
from tinygrad_sm.random import random_generator


class Uncopyable(nn.Linear):
    """Cannot be copied deeply: it has a lock, and keeps an activation."""

    def __init__(self, inputs, outputs):
        super().__init__(inputs, outputs)
        self.lock = threading.Lock()

    def forward(self, x):
        self.hidden = super().forward(x)
        return self.hidden


class Renaming(nn.Linear):
    """Loads states in its own way, and fails in the midst of it if `error` is set."""

    error = None

    def load_state_dict(self, state, strict=True):
        self.version = 2
        self.weight.assign(state["weight"])
        self.bias = nn.Parameter(state["offset" if "offset" in state else "bias"])
        if self.error:
            raise self.error
        return super().load_state_dict({"weight": state["weight"], "bias": self.bias})


def trained(model, parameters=None, lr=0.1):
    """Return the model and an optimizer with momentum after one step."""
    optimizer = nn.optim.SGD(parameters or model.parameters(), lr=lr, momentum=0.9)
    model(np.ones((1, model.in_features), np.float32)).sum().backward()
    optimizer.step()
    return model, optimizer


def state(model, optimizer):
    attributes = [(name, id(value)) for name, value in vars(model).items()]
    return attributes, exactly([model.state_dict(), optimizer.state_dict(), random_generator().bit_generator.state])


@pytest.fixture
def saved(tmp_path):
    """Return the path of a checkpoint of Linear(3, 2)."""
    tg.manual_seed(0)
    nn.save(tmp_path / "c", *trained(nn.Linear(3, 2), lr=0.2))
    return tmp_path / "c"


@pytest.mark.parametrize("sizes", [(4, 2), (3, 2)])
@pytest.mark.parametrize("surplus", [True, False])
def test_models_that_cannot_be_copied(sizes, surplus, saved):
    """Whether the model fits, the optimizer, both or none: all differences are listed, or all is loaded."""
    model = Uncopyable(*sizes)
    more = [nn.Parameter([1.0])] if surplus else []
    model, optimizer = trained(model, [*model.parameters(), *more])
    before = state(model, optimizer)
    if sizes == (3, 2) and not surplus:
        assert nn.load(saved, model, optimizer) == {}
        assert state(model, optimizer) != before
        return
    with pytest.raises(CheckpointError) as raised:
        nn.load(saved, model, optimizer)
    message = str(raised.value)
    assert ("fit Uncopyable:\n  weight: expected float32 (2, 4), got float32 (2, 3)" in message) == (sizes == (4, 2))
    assert ("does not fit SGD" in message) == (surplus or sizes == (4, 2))
    assert state(model, optimizer) == before


def test_a_refusal_leaves_recorded_graphs_as_they_were(saved):
    model, optimizer = trained(nn.Linear(3, 2, bias=False))
    loss = model(np.ones((1, 3), np.float32)).sum()
    with pytest.raises(CheckpointError, match="bias: unexpected"):
        nn.load(saved, model, optimizer)
    loss.backward()


@pytest.mark.parametrize("error", [ValueError("mine"), RuntimeError("mine"), KeyboardInterrupt()], ids=repr)
@pytest.mark.parametrize("with_optimizer", [True, False])
def test_a_users_own_way_to_load_is_undone_where_it_raises(error, with_optimizer, saved):
    model, optimizer = trained(Renaming(3, 2))
    before = state(model, optimizer)
    model.error = error
    model_state = state(model, optimizer)
    with pytest.raises(CheckpointError if type(error) is ValueError else type(error)):
        nn.load(saved, model, optimizer if with_optimizer else None)
    assert state(model, optimizer) == model_state
    del model.error
    assert state(model, optimizer) == before
    nn.load(saved, model, optimizer)
    assert model.version == 2


def test_a_users_own_way_to_load_may_take_what_ours_does_not(tmp_path):
    content = {"weight": np.ones((2, 3), np.float32), "offset": np.ones(2, np.float32)}
    (tmp_path / "c").write_bytes(safetensors.numpy.save(content))
    nn.load(tmp_path / "c", model := Renaming(3, 2))
    assert model.bias.tolist() == [1, 1]


def test_an_optimizer_that_is_refused_keeps_a_users_model_from_being_tried(saved):
    model = Renaming(3, 2)
    model, optimizer = trained(model, [*model.parameters(), nn.Parameter([1.0])])
    before = state(model, optimizer)
    with pytest.raises(CheckpointError, match="does not fit SGD"):
        nn.load(saved, model, optimizer)
    assert state(model, optimizer) == before


@pytest.mark.parametrize("dtype", ["BF16", "F8_E4M3", "F8_E5M2"])
@pytest.mark.parametrize("others", [0, 2])
def test_dtypes_that_numpy_lacks_are_named(dtype, others, tmp_path):
    size = 2 if dtype == "BF16" else 1
    names = ["0.weight", *(f"{i}.bias" for i in range(others))]
    header = {
        name: {"dtype": dtype, "shape": [1], "data_offsets": [i * size, (i + 1) * size]} for i, name in enumerate(names)
    }
    header["__metadata__"] = {"dtype": dtype}
    text = json.dumps(header).encode()
    (tmp_path / "c").write_bytes(len(text).to_bytes(8, "little") + text + bytes(size * len(names)))
    with pytest.raises(CheckpointError) as raised:
        nn.load(tmp_path / "c", nn.Linear(1, 1))
    also = " (and 2 others)" if others else ""
    assert str(raised.value) == (
        f"{tmp_path / 'c'}: expected a safetensors file, but the tensor '0.weight'{also} has dtype {dtype}, which "
        "NumPy lacks: convert before you save, as by PyTorch's .float()"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (lambda path: (nn.Linear(2, 1), path), r"\(path, model\), got Linear Linear\(.*\) and PosixPath .*"),
        (lambda path: (path, {"w": 1.0}), r"expected the path of a file and a Module, .* and dict .*"),
        (lambda path: (3, nn.Linear(2, 1)), r"expected the path of a file and a Module, .* got int 3 and Linear .*"),
        (lambda path: (path, nn.Linear(2, 1), 7), "expected an optimizer or None after the model, got int 7"),
    ],
)
def test_arguments_in_a_wrong_order_are_named(arguments, message, tmp_path):
    for function in (nn.save, nn.load):
        with pytest.raises(TypeError, match=f"{function.__name__}: .*{message}"):
            function(*arguments(tmp_path / "c"))
    assert list(tmp_path.iterdir()) == []


def test_names_of_parameters_are_no_names_of_extras(tmp_path):
    for name in ("path", "model"):
        with pytest.raises(TypeError, match=f"multiple values for argument '{name}'"):
            nn.save(tmp_path / "c", nn.Linear(2, 1), **{name: 3})
    assert list(tmp_path.iterdir()) == []


def nested(levels, wrap):
    value = 1.0
    for _ in range(levels):
        value = wrap(value)
    return value


WRAPS = [lambda x: [x], lambda x: (x,), lambda x: {"a": x}, lambda x: [(x, x)] if x == 1.0 else [x]]


@pytest.mark.parametrize("wrap", WRAPS)
def test_what_is_nested_deeply_comes_back_or_is_not_saved(wrap, tmp_path):
    deep, model = nested(98, wrap), nn.Linear(2, 1)
    nn.save(tmp_path / "c", model, deep=deep)
    assert nn.load(tmp_path / "c", model) == {"deep": deep}
    content = (tmp_path / "c").read_bytes()
    for levels in (100, 100_000):
        with pytest.raises(
            ValueError, match=r"save: extra\['deep'\].*\.\.\. is more than 100 levels deep: does it cont"
        ):
            nn.save(tmp_path / "c", model, deep=nested(levels, wrap))
    itself = []
    itself += [itself, itself]
    with pytest.raises(ValueError, match="levels deep: does it contain itself"):
        nn.save(tmp_path / "c", model, x={"a": itself})
    assert (tmp_path / "c").read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == ["c"]
