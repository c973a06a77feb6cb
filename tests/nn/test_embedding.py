"""An embedding gives rows of its table, and adds up what comes back for them; padding gets nothing."""

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import check_error, leaf
from tinygrad_sm import Tensor, nn
from tinygrad_sm.nn import functional as F

TABLE = np.random.default_rng(0).normal(size=(5, 3))
INDICES = np.array([[4, 0, 4], [1, 4, 0]])


def as_one_hot(indices):
    """Return the rows of the identity: the table's product with them is what an embedding gives."""
    return (np.asarray(indices)[..., None] == np.arange(5)).astype(float)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("kind", ["int8", "uint8", "int64", "uint64"])
@pytest.mark.parametrize("shape", [(), (6,), (2, 3), (3, 1, 2), (0, 2)])
def test_values_and_gradients_are_those_of_one_hot_rows(dtype, kind, shape, device):
    indices = np.resize(INDICES, shape).astype(kind)
    weight = Tensor(TABLE.astype(dtype), device=device, requires_grad=True)
    out = F.embedding(Tensor(indices, device=device), weight)
    assert (out.shape, out.dtype, out.device) == ((*shape, 3), weight.dtype, weight.device)
    rows = as_one_hot(indices)
    np.testing.assert_array_equal(out.numpy(), (rows @ TABLE.astype(dtype)).astype(dtype))
    g = np.random.default_rng(1).normal(size=out.shape).astype(dtype)
    out.backward(Tensor(g, device=device).data)
    expected = rows.reshape(-1, 5).T @ g.reshape(-1, 3).astype(float)
    np.testing.assert_allclose(Tensor(weight.grad).numpy(), expected, rtol=1e-3 if dtype == "float16" else 1e-5)


def test_lists_and_arrays_give_arrays():
    assert type(F.embedding(INDICES, TABLE)) is np.ndarray
    np.testing.assert_array_equal(F.embedding([[1, 2]], TABLE), TABLE[None, 1:3])
    np.testing.assert_array_equal(F.embedding(3, TABLE), TABLE[3])


@pytest.mark.parametrize("padding_idx", [None, 4, -1, -5])
def test_the_checker_agrees_at_both_orders(padding_idx):
    def f(weight):
        return F.embedding(INDICES, weight, padding_idx) ** 2

    weight = leaf(TABLE)
    (gradient,) = tg.grad(f(weight).sum(), weight)
    expected = 2 * TABLE * as_one_hot(INDICES).sum((0, 1))[:, None]
    if padding_idx is None:
        tg.gradcheck(f, [TABLE])
    else:
        expected[padding_idx] = 0
        np.testing.assert_array_equal(f(weight).data, F.embedding(INDICES, TABLE) ** 2)
        others = np.where(padding_idx % 5 == INDICES, 2, INDICES)
        tg.gradcheck(lambda weight: F.embedding(others, weight, padding_idx) ** 2, [TABLE])
    np.testing.assert_allclose(gradient.data, expected, rtol=1e-14)


def test_many_float16_gradients_of_one_row_are_added_in_float32():
    weight = Tensor(np.zeros((3, 2), np.float16), requires_grad=True)
    F.embedding(np.ones(5000, int), weight).sum().backward()
    assert weight.grad.tolist() == [[0, 0], [5000, 5000], [0, 0]]


def test_the_module_begins_as_draws_with_padding_0():
    tg.manual_seed(0)
    layer = nn.Embedding(400, 50, padding_idx=-3)
    weight = layer.weight.data
    assert (layer.padding_idx, weight.dtype, weight.shape) == (397, np.float32, (400, 50))
    assert not weight[397].any()
    others = np.delete(weight, 397, axis=0)
    np.testing.assert_allclose([others.mean(), others.var()], [0, 1], atol=0.03)
    optimizer = nn.optim.AdamW(layer.parameters(), lr=0.1, weight_decay=0.1)
    for _ in range(2):
        layer([[397, 1], [2, 397]]).sum().backward()
        optimizer.step()
    assert not layer.weight.data[397].any()
    assert list(layer.state_dict()) == ["weight"]
    assert repr(layer) == "Embedding(400, 50, padding_idx=397)"
    assert repr(nn.Embedding(2, 3)) == "Embedding(2, 3)"


def test_pretrained_rows_are_copied_and_frozen():
    rows = TABLE.astype(np.float32)
    layer = nn.Embedding.from_pretrained(rows, padding_idx=0)
    assert (layer.num_embeddings, layer.embedding_dim, layer.padding_idx) == (5, 3, 0)
    assert not layer.weight.requires_grad
    assert layer.weight.name == "weight"
    np.testing.assert_array_equal(layer([0, 2]).data, rows[[0, 2]])  # the row of padding is what was given
    rows[2] = 7
    assert layer.weight.data[2, 0] != 7
    trained = nn.Embedding.from_pretrained(Tensor(TABLE), freeze=False)
    assert trained.weight.requires_grad
    assert trained.weight.dtype == np.float64

    class Named(nn.Embedding):
        pass

    assert type(Named.from_pretrained(rows)) is Named


ERRORS = {
    "an index beyond the table": (
        lambda: F.embedding([[0, 1], [5, 7]], TABLE),
        IndexError,
        r"embedding: expected indices 0\.\.4 for 5 rows, got 5 at \[1, 0\]",
    ),
    "a negative index": (
        lambda: nn.Embedding(5, 3)([3, -1]),
        IndexError,
        r"embedding: expected indices 0\.\.4 for 5 rows, got -1 in row 1",
    ),
    "one wrong index": (lambda: F.embedding(9, TABLE), IndexError, r"embedding: .* for 5 rows, got 9"),
    "floats as indices": (
        lambda: F.embedding([1.0], TABLE),
        TypeError,
        r"embedding: expected integers as indices, got float32 \(1,\)",
    ),
    "bools as indices": (lambda: F.embedding([True], TABLE), TypeError, r"embedding: .* got bool \(1,\)"),
    "arguments the wrong way round": (
        lambda: F.embedding(TABLE, np.array([1, 2])),
        ValueError,
        r"embedding: expected weight of shape \(N, D\), a row for each index, got int64 \(2,\)",
    ),
    "padding beyond the table": (
        lambda: nn.Embedding(5, 3, padding_idx=5),
        ValueError,
        "Embedding: expected padding_idx to be an integer from -5 to 4, got 5",
    ),
    "padding that is no integer": (
        lambda: F.embedding([1], TABLE, padding_idx=1.0),
        TypeError,
        "embedding: expected padding_idx to be an integer from -5 to 4, got float 1.0",
    ),
    "no rows": (
        lambda: nn.Embedding(0, 3),
        ValueError,
        "Embedding: expected num_embeddings to be an integer of at least 1, got 0",
    ),
    "pretrained rows of one axis": (
        lambda: nn.Embedding.from_pretrained([1.0, 2.0]),
        ValueError,
        r"Embedding\.from_pretrained: expected rows of shape \(N, D\), got list \[1\.0, 2\.0\]",
    ),
    "pretrained integers": (
        lambda: nn.Embedding.from_pretrained([[1, 2]]),
        TypeError,
        ".*int64.*",
    ),
    "padding of pretrained rows": (
        lambda: nn.Embedding.from_pretrained(TABLE, padding_idx=-6),
        ValueError,
        r"Embedding\.from_pretrained: expected padding_idx to be an integer from -5 to 4, got -6",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_the_error(name, tmp_path):
    check_error(*ERRORS[name], tmp_path)


def test_a_wrong_index_on_a_gpu_is_an_error_too(strict):
    weight = Tensor(TABLE, device="cuda", requires_grad=True)
    for wrong in (-1, 5):
        with pytest.raises(IndexError, match=f"expected indices 0..4 for 5 rows, got {wrong} in row 1"):
            F.embedding(Tensor([0, wrong], device="cuda"), weight)
    with pytest.raises(tg.DeviceError, match="embedding: expected arrays on one device"):
        F.embedding(np.array([0, 1]), weight)
    assert F.embedding([0, 1], weight).device == "cuda:0"  # a list goes where the table is


def test_a_compiled_step_refuses_a_wrong_index_too():
    layer = nn.Embedding(5, 3, padding_idx=1)
    optimizer = nn.optim.SGD(layer.parameters(), lr=0.1)

    @tg.compiled
    def step(indices):
        optimizer.zero_grad()
        loss = (layer(indices) ** 2).sum()
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(3):
        step(INDICES)
    assert step.program is not None
    before = layer.weight.numpy().copy()
    with pytest.raises(IndexError, match=r"expected indices 0\.\.4 for 5 rows, got 5 at \[0, 0\]"):
        step(INDICES + 1)
    np.testing.assert_array_equal(layer.weight.numpy(), before)


def test_it_is_pytorchs():
    torch = pytest.importorskip("torch")
    for padding_idx in (None, 0, -2):
        weight, theirs = leaf(TABLE), torch.tensor(TABLE, requires_grad=True)
        out = F.embedding(INDICES, weight, padding_idx)
        other = torch.nn.functional.embedding(torch.tensor(INDICES), theirs, padding_idx)
        np.testing.assert_array_equal(out.data, other.numpy(force=True))
        (out**3).sum().backward()
        (other**3).sum().backward()
        np.testing.assert_allclose(weight.grad, theirs.grad.numpy(), rtol=1e-12)
    ours, there = nn.Embedding(5, 3, padding_idx=2), torch.nn.Embedding(5, 3, padding_idx=2)
    ours.load_state_dict({name: x.numpy() for name, x in there.state_dict().items()})
    np.testing.assert_array_equal(ours(INDICES).data, there(torch.tensor(INDICES)).numpy(force=True))
    there.load_state_dict({name: torch.tensor(x) for name, x in nn.Embedding(5, 3).state_dict().items()})
    assert repr(ours) == repr(there)
