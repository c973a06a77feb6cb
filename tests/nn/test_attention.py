"""Attention computes what its formula says, query by query; masks hide keys, and a query without keys gets 0."""

import math

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import check_error, leaf
from tinygrad_sm import Tensor, nn
from tinygrad_sm.nn import functional as F

INF = math.inf
RANDOM = np.random.default_rng(0)
Q, K, V = (RANDOM.normal(size=shape) for shape in ((2, 4, 3), (2, 5, 3), (2, 5, 2)))
ALLOWED = RANDOM.random((4, 5)) < 0.6
ALLOWED[0] = True


def attention_by_loops(query, key, value, allowed=None, added=None, scale=None):
    """Softmax and mean for one query after the other."""
    scale = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    out = np.zeros((*query.shape[:-1], value.shape[-1]))
    for place in np.ndindex(query.shape[:-1]):
        keys, values = key[place[:-1]], value[place[:-1]]
        seen = [j for j in range(len(keys)) if allowed is None or allowed[place[-1], j]]
        scores = [scale * sum(query[place] * keys[j]) + (0 if added is None else added[place[-1], j]) for j in seen]
        shares = [math.exp(score - max(scores)) for score in scores]
        out[place] = sum((share * values[j] for share, j in zip(shares, seen, strict=True)), np.zeros(value.shape[-1]))
        out[place] /= sum(shares) or 1
    return out


ADDED = np.where(ALLOWED, RANDOM.normal(size=ALLOWED.shape), -INF)
OPTIONS = {
    "plain": ({}, {}),
    "of a scale": ({"scale": 2.0}, {"scale": 2.0}),
    "with a mask of bools": ({"attn_mask": ALLOWED}, {"allowed": ALLOWED}),
    "with a mask of floats": ({"attn_mask": ADDED}, {"allowed": ALLOWED, "added": ADDED}),
    "causal": ({"is_causal": True}, {"allowed": np.tri(4, 5, dtype=bool)}),
}


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_values_are_the_formula(name, dtype, device):
    options, expected = OPTIONS[name]
    given = [x.astype(dtype) for x in (Q, K, V)]
    options = {k: Tensor(x, device=device) if isinstance(x, np.ndarray) else x for k, x in options.items()}
    out = F.scaled_dot_product_attention(*(Tensor(x, device=device) for x in given), **options)
    assert (out.dtype, out.shape, out.device) == (np.dtype(dtype), (2, 4, 2), Tensor(0.0, device=device).device)
    tolerance = {"float16": 1e-3, "float32": 1e-6, "float64": 1e-14}[dtype]
    right = attention_by_loops(*(x.astype(float) for x in given), **expected)
    np.testing.assert_allclose(out.numpy(), right, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", OPTIONS)
def test_the_checker_agrees_at_both_orders(name):
    options, _ = OPTIONS[name]
    tg.gradcheck(lambda q, k, v: F.scaled_dot_product_attention(q, k, v, **options), [Q[0], K[0], V[0]])


def test_a_mask_of_floats_has_a_gradient():
    tg.gradcheck(lambda mask: F.scaled_dot_product_attention(Q, K, V, mask), [np.zeros((4, 5))])


def test_leading_axes_broadcast():
    out = F.scaled_dot_product_attention(Q[:, None], K[0], V)
    assert out.shape == (2, 2, 4, 2)
    np.testing.assert_allclose(out[1, 0], attention_by_loops(Q[1], K[0], V[0]), rtol=1e-14)
    np.testing.assert_array_equal(F.scaled_dot_product_attention([[1.0]], [[2.0], [2.0]], [[3.0], [4.0]]), [[3.5]])
    assert F.scaled_dot_product_attention(Q, K[:, :0], V[:, :0]).tolist() == np.zeros((2, 4, 2)).tolist()


def test_a_query_that_may_attend_to_nothing_gets_0_and_the_gradient_0(device):
    nothing = np.array([[True, True, False], [False, False, False]])
    for mask in (nothing, np.where(nothing, 0, -INF)):
        q, k, v = (Tensor(x, device=device, requires_grad=True) for x in (Q[0, :2], K[0, :3], V[0, :3]))
        out = F.scaled_dot_product_attention(q, k, v, Tensor(mask, device=device))
        out.backward(Tensor(np.full((2, 2), 3.0), device=device).data)
        assert out.numpy()[1].tolist() == [0, 0]
        gradients = [Tensor(x.grad).numpy() for x in (q, k, v)]
        assert all(np.isfinite(g).all() for g in gradients)
        assert not gradients[0][1].any()
        assert not gradients[2][2].any()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_extreme_scores(dtype):
    far = {"float16": 2e2, "float32": 1e4, "float64": 1e150}[dtype]
    q, k, v = (leaf(x, dtype) for x in ([[far], [-far]], [[far], [-far]], [[1.0, 2.0], [3.0, 4.0]]))
    out = F.scaled_dot_product_attention(q, k, v)
    out.sum().backward()
    assert out.tolist() == [[1, 2], [3, 4]]
    assert v.grad.tolist() == [[1, 1], [1, 1]]
    assert q.grad.tolist() == k.grad.tolist() == [[0], [0]]


def test_half_precision_is_computed_in_float32():
    q = np.full((1, 4096), 16, np.float16)  # Q Kᵀ is 2²⁰: more than float16 can hold
    k = np.concatenate([q, q - 8])
    np.testing.assert_array_equal(
        F.scaled_dot_product_attention(q, k, np.array([[1], [2]], np.float16), scale=1.0), np.array([[1]], np.float16)
    )


def test_dropout_scales_the_weights_that_stay():
    tg.manual_seed(3)
    eye = np.eye(50)
    out = F.scaled_dot_product_attention(eye * 0, eye, eye, dropout_p=0.75)
    assert set(np.unique(out).tolist()) == {0, 4 / 50}
    assert (out == 0).mean() == pytest.approx(0.75, abs=0.03)
    tg.manual_seed(3)
    layer = nn.MultiheadAttention(4, 2, dropout=0.5)
    x = np.ones((6, 1, 4), np.float32)
    assert (layer(x, x, x)[1].data == 0).any()
    assert not (layer.eval()(x, x, x)[1].data == 0).any()


def heads_by_loops(layer, query, key, value, allowed):
    """Return the output and the weights of MultiheadAttention for one sequence, head by head."""
    state, E = layer.state_dict(), layer.embed_dim
    D = E // layer.num_heads
    names = ("q_proj_weight", "k_proj_weight", "v_proj_weight")
    weights = [state[name] for name in names] if names[0] in state else np.split(state["in_proj_weight"], 3)
    biases = np.split(state.get("in_proj_bias", np.zeros(3 * E)), 3)
    q, k, v = (x @ w.T + b for x, w, b in zip((query, key, value), weights, biases, strict=True))
    parts = [slice(h * D, (h + 1) * D) for h in range(layer.num_heads)]
    means = [attention_by_loops(q[:, part], k[:, part], v[:, part], allowed) for part in parts]
    shares = [attention_by_loops(q[:, part], k[:, part], np.eye(len(k)), allowed) for part in parts]
    return np.hstack(means) @ state["out_proj.weight"].T + state.get("out_proj.bias", 0), np.array(shares)


@pytest.mark.parametrize("widths", [{}, {"kdim": 3}, {"kdim": 3, "vdim": 5}])
@pytest.mark.parametrize("bias", [True, False])
def test_the_module_is_heads_side_by_side(widths, bias, device):
    layer = nn.MultiheadAttention(4, 2, bias=bias, **widths)
    for p in layer.parameters():
        p.assign(RANDOM.normal(size=p.shape))
    key_padding = np.array([[False, False, True], [False, True, False]])
    attn_mask = np.array([[False, True, False], [True, False, False]])
    x = [RANDOM.normal(size=(n, 2, d)).astype(np.float32) for n, d in ((2, 4), (3, layer.kdim), (3, layer.vdim))]
    expected = [
        heads_by_loops(layer, *(a[:, i] for a in x), ~(attn_mask | key_padding[i])) for i in range(2)
    ]  # here True hides
    layer.to(device)
    on_device = [Tensor(a, device=device) for a in (*x, key_padding, attn_mask)]
    out, weights = layer(*on_device[:4], attn_mask=on_device[4])
    for i, (output, shares) in enumerate(expected):
        np.testing.assert_allclose(out.numpy()[:, i], output, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(weights.numpy()[i], shares.mean(0), rtol=1e-5, atol=1e-6)
        one = layer(*(Tensor(a[:, i], device=device) for a in x), Tensor(key_padding[i], device=device), True,
                    on_device[4], average_attn_weights=False)  # fmt: skip
        np.testing.assert_allclose(one[0].numpy(), output, rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(one[1].numpy(), shares, rtol=1e-5, atol=1e-6)
    layer.batch_first = True
    swapped = layer(*(a.swapaxes(0, 1) for a in on_device[:3]), *on_device[3:4], attn_mask=on_device[4])
    np.testing.assert_array_equal(swapped[0].numpy(), out.numpy().swapaxes(0, 1))
    assert layer(*(a.swapaxes(0, 1) for a in on_device[:3]), need_weights=False)[1] is None


def test_masks_of_the_module_have_two_kinds_that_mix():
    layer = nn.MultiheadAttention(4, 2)
    x = RANDOM.normal(size=(3, 2, 4)).astype(np.float32)
    bools = np.array([[False, True, True], [False, False, True], [False, False, False]])
    padding = np.array([[False, True, False], [False, False, True]])
    floats = np.where(bools, -INF, 0).astype(np.float32)
    expected = layer(x, x, x, padding, attn_mask=bools)
    for given in (
        {"attn_mask": floats},
        {"attn_mask": np.repeat(bools[None], 4, 0)},
        {"attn_mask": np.repeat(floats[None], 4, 0)},
        {"is_causal": True},
        {"is_causal": True, "attn_mask": bools},
        {"is_causal": True, "attn_mask": 0 * bools.astype(float)},
    ):
        for hidden in (padding, np.where(padding, -INF, 0)):
            for ours, right in zip(layer(x, x, x, hidden, **given), expected, strict=True):
                np.testing.assert_allclose(ours.data, right.data, rtol=1e-6)
                assert ours.dtype == np.float32
    hidden = layer(x, x, x, np.ones((2, 3), bool))
    assert not hidden[1].data.any()
    np.testing.assert_array_equal(hidden[0].data, np.broadcast_to(layer.out_proj.bias.data, x.shape))


@pytest.mark.parametrize("widths", [{}, {"kdim": 3, "vdim": 1}])
def test_the_checker_agrees_on_the_whole_module(widths):
    layer = nn.MultiheadAttention(2, 2, **widths)
    owners = [(layer.out_proj if "." in name else layer, name.rpartition(".")[2]) for name in layer.state_dict()]
    state = [RANDOM.normal(size=p.shape) for p in layer.parameters()]
    q, k, v = (RANDOM.normal(size=(n, d)) for n, d in ((2, 2), (3, layer.kdim), (3, layer.vdim)))
    mask = np.array([[True, False, False], [False, False, True]])

    def f(q, k, v, *state):
        for (owner, name), x in zip(owners, state, strict=True):
            vars(owner)[name] = x
        output, weights = layer(q, k, v, attn_mask=mask)
        return tg.concatenate([tg.ravel(output), tg.ravel(weights)])

    tg.gradcheck(f, [q, k, v, *state])


def test_first_values():
    tg.manual_seed(0)
    layer = nn.MultiheadAttention(64, 4)
    bound = math.sqrt(6 / (64 + 192))
    largest = np.abs(layer.in_proj_weight.data).max()
    assert 0.99 * bound < largest <= bound
    assert 0.99 / 8 < np.abs(layer.out_proj.weight.data).max() <= 1 / 8
    assert not layer.in_proj_bias.data.any()
    assert not layer.out_proj.bias.data.any()
    assert list(layer.state_dict()) == ["in_proj_weight", "in_proj_bias", "out_proj.weight", "out_proj.bias"]
    other = nn.MultiheadAttention(4, 2, kdim=3, bias=False)
    assert list(other.state_dict()) == ["q_proj_weight", "k_proj_weight", "v_proj_weight", "out_proj.weight"]


def test_small_integers_of_numpy_as_options():
    layer = nn.MultiheadAttention(np.uint8(100), np.uint8(4))
    assert layer.in_proj_weight.shape == (300, 100)  # in uint8, 3 · 100 is 44
    assert type(layer.kdim) is int


@pytest.mark.parametrize(("L", "S", "N"), [(3, 5, 0), (0, 5, 2), (3, 0, 2)])
def test_no_sequences_and_sequences_of_no_length(L, S, N):
    layer = nn.MultiheadAttention(4, 2)
    output, weights = layer(np.ones((L, N, 4)), np.ones((S, N, 4)), np.ones((S, N, 4)))
    assert output.shape == (L, N, 4)
    assert weights.shape == (N, L, S)
    assert not output.data.any()  # the bias of out_proj begins as 0


def test_it_is_permuted_with_its_places():
    """Attention knows no order of keys, which is why models add positions to their inputs."""
    order = np.array([2, 0, 3, 1])
    layer = nn.MultiheadAttention(4, 2)
    x = RANDOM.normal(size=(4, 4)).astype(np.float32)
    np.testing.assert_allclose(layer(x[order], x[order], x[order])[0].data, layer(x, x, x)[0].data[order], atol=1e-6)


SDPA = "scaled_dot_product_attention"
X = np.zeros((3, 2, 4), np.float32)
SHAPES_OF_MODULE = (
    r"MultiheadAttention: expected query \(L, N, 4\), key \(S, N, 4\) and value \(S, N, 4\), or all without N; got the "
)


def attend(**options):
    return nn.MultiheadAttention(4, 2)(X, X, X, **options)


ERRORS = {
    "other features of keys": (
        lambda: F.scaled_dot_product_attention(Q, K[..., :2], V),
        ValueError,
        rf"{SDPA}: expected query \(\.\.\., L, E\), key \(\.\.\., S, E\) and value \(\.\.\., S, D\), got the shapes "
        r"\(2, 4, 3\), \(2, 5, 2\) and \(2, 5, 2\)",
    ),
    "other batches": (
        lambda: F.scaled_dot_product_attention(Q, K, np.zeros((3, 5, 2))),
        ValueError,
        rf"{SDPA}: expected query .* and \(3, 5, 2\)",
    ),
    "one vector": (lambda: F.scaled_dot_product_attention(Q[0, 0], K, V), ValueError, rf"{SDPA}: expected query .*"),
    "integers": (
        lambda: F.scaled_dot_product_attention(Q, K, V.astype(int)),
        TypeError,
        rf"{SDPA}: expected floats as value, got int64 \(2, 5, 2\)",
    ),
    "a mask of integers": (
        lambda: F.scaled_dot_product_attention(Q, K, V, ALLOWED.astype(int)),
        TypeError,
        rf"{SDPA}: expected attn_mask of bools, or of floats to add, got int64 \(4, 5\)",
    ),
    "a mask of another shape": (
        lambda: F.scaled_dot_product_attention(Q, K, V, ALLOWED.T),
        ValueError,
        rf"{SDPA}: expected attn_mask to broadcast to the scores' shape \(2, 4, 5\), got bool \(5, 4\)",
    ),
    "a mask of more axes": (
        lambda: F.scaled_dot_product_attention(Q, K, V, ALLOWED[None, None]),
        ValueError,
        rf"{SDPA}: expected attn_mask to broadcast to .*",
    ),
    "a mask and a causal one": (
        lambda: F.scaled_dot_product_attention(Q, K, V, ALLOWED, is_causal=True),
        ValueError,
        rf"{SDPA}: expected attn_mask or is_causal, got both: put what is causal into the mask",
    ),
    "dropout above 1": (
        lambda: F.scaled_dot_product_attention(Q, K, V, dropout_p=1.5),
        ValueError,
        rf"{SDPA}: expected dropout_p to be a number from 0 to 1, got 1\.5",
    ),
    "an infinite scale": (
        lambda: F.scaled_dot_product_attention(Q, K, V, scale=INF),
        ValueError,
        rf"{SDPA}: expected scale to be a finite number, got inf",
    ),
    "heads of unequal width": (
        lambda: nn.MultiheadAttention(5, 2),
        ValueError,
        "MultiheadAttention: expected heads of equal width, got embed_dim 5 for 2 heads",
    ),
    "no heads": (
        lambda: nn.MultiheadAttention(4, 0),
        ValueError,
        "MultiheadAttention: expected num_heads to be an integer of at least 1, got 0",
    ),
    "a width that is no integer": (
        lambda: nn.MultiheadAttention(4.0, 2),
        TypeError,
        r"MultiheadAttention: expected embed_dim to be an integer of at least 1, got float 4\.0",
    ),
    "what PyTorch adds to keys": (
        lambda: nn.MultiheadAttention(4, 2, add_bias_kv=True),
        TypeError,
        r".*unexpected keyword argument 'add_bias_kv'(.|\n)*",
    ),
    "other features": (
        lambda: nn.MultiheadAttention(4, 2)(X, X[..., :3], X),
        ValueError,
        SHAPES_OF_MODULE + r"shapes \(3, 2, 4\), \(3, 2, 3\) and \(3, 2, 4\)",
    ),
    "other batches of the module": (
        lambda: nn.MultiheadAttention(4, 2, batch_first=True)(X, X[:2], X[:2]),
        ValueError,
        r"MultiheadAttention: expected query \(N, L, 4\), key \(N, S, 4\) and value .*",
    ),
    "keys without their values": (
        lambda: nn.MultiheadAttention(4, 2)(X, X, X[:2]),
        ValueError,
        SHAPES_OF_MODULE + ".*",
    ),
    "one without a batch": (lambda: nn.MultiheadAttention(4, 2)(X, X[:, 0], X[:, 0]), ValueError, r"Multi.*"),
    "padding of another shape": (
        lambda: attend(key_padding_mask=np.zeros((3, 2), bool)),
        ValueError,
        r"MultiheadAttention: expected key_padding_mask of shape \(2, 3\), got bool \(3, 2\)",
    ),
    "a mask of the module of another shape": (
        lambda: attend(attn_mask=np.zeros((2, 3, 3))),
        ValueError,
        r"MultiheadAttention: expected attn_mask of shape \(3, 3\) or \(4, 3, 3\), got float64 \(2, 3, 3\)",
    ),
    "padding of integers": (
        lambda: attend(key_padding_mask=np.zeros((2, 3), int)),
        TypeError,
        r"MultiheadAttention: expected key_padding_mask of bools, or of floats to add, got int64 \(2, 3\)",
    ),
}


@pytest.mark.parametrize("name", ERRORS)
def test_the_error(name, tmp_path):
    check_error(*ERRORS[name], tmp_path)


def test_arrays_on_two_devices(strict):
    there = Tensor(Q, device="cuda")
    with pytest.raises(tg.DeviceError, match=f"{SDPA}: expected arrays on one device"):
        F.scaled_dot_product_attention(there, K, V)
    with pytest.raises(tg.DeviceError, match=f"{SDPA}: expected arrays on one device"):
        F.scaled_dot_product_attention(there, there, there, np.zeros((4, 4)))


class Block(nn.Module):
    """A causal block that looks rows up, attends and predicts."""

    def __init__(self):
        self.rows = nn.Embedding(7, 4, padding_idx=0)
        self.attention = nn.MultiheadAttention(4, 2, dropout=0.25, batch_first=True)
        self.head = nn.Linear(4, 7)

    def forward(self, indices):
        x = self.rows(indices)
        y, _ = self.attention(x, x, x, key_padding_mask=indices == 0, is_causal=True)
        y = y + F.scaled_dot_product_attention(x, x, x, is_causal=True)
        return self.head(x + y).reshape(-1, 7)


def test_a_compiled_step_is_the_step():
    found = []
    for wrap in (lambda step: step, tg.compiled):
        tg.manual_seed(0)
        model = Block()
        optimizer = nn.optim.AdamW(model.parameters(), lr=0.01)

        @wrap
        def step(indices, labels, model=model, optimizer=optimizer):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(indices), labels)
            loss.backward()
            optimizer.step()
            return loss

        draws = np.random.default_rng(5)
        losses = [step(draws.integers(0, 7, (3, 5)), draws.integers(0, 7, 15)).item() for _ in range(5)]
        found.append((losses, [p.tolist() for p in model.parameters()]))
    assert step.why_eager is None
    assert step.program is not None
    assert found[0] == found[1]
