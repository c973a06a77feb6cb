"""PyTorch, where it is installed, has the same attention: values, gradients and their gradients, for all options.

`tests/ops/test_oracle.py` says how the comparison is made.
"""

import itertools

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import leaf
from tinygrad_sm import nn
from tinygrad_sm.nn import functional

torch = pytest.importorskip("torch")
torch.set_num_threads(1)  # the arrays are small

INF = np.inf
RANDOM = np.random.default_rng(0)
N, H, L, S, E = 2, 2, 3, 4, 4
HIDDEN = np.array([[False, True, False, True], [False, False, False, False], [True, False, True, True]])
FLOATS = np.where(HIDDEN, -INF, RANDOM.normal(size=(L, S)))
PADDING = np.array([[False, False, True, False], [False, False, False, True]])  # leaves each query a key


def as_theirs(x):
    return torch.tensor(x) if isinstance(x, np.ndarray) else x


def assert_agrees(mine, other, leaves, others, message):
    """Compare outputs, gradients, and the gradients of a sum of squares of gradients."""
    random = np.random.default_rng(1)
    gs = [random.uniform(-1, 1, x.shape) for x in mine]
    mine_sum = sum((x * g).sum() for x, g in zip(mine, gs, strict=True))
    other_sum = sum((x * torch.tensor(g)).sum() for x, g in zip(other, gs, strict=True))
    first = tg.grad(mine_sum, leaves, create_graph=True)
    theirs = torch.autograd.grad(other_sum, others, create_graph=True)
    second = tg.grad(sum((g**2).sum() for g in first), leaves, allow_unused=True)
    their_second = torch.autograd.grad(sum((g**2).sum() for g in theirs), others, materialize_grads=True)
    for x, y in zip([*mine, *first, *second], [*other, *theirs, *their_second], strict=True):
        if x is None:  # the last bias adds to the output alone
            assert not y.any()
            continue
        np.testing.assert_allclose(x.data, y.numpy(force=True), rtol=1e-12, atol=1e-12, err_msg=str(message))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"scale": 0.7},
        {"is_causal": True},
        {"attn_mask": ~HIDDEN},
        {"attn_mask": FLOATS, "scale": -1.5},
        {"attn_mask": RANDOM.normal(size=(N, 1, S))},
    ],
    ids=lambda options: " ".join(options) or "plain",
)
def test_scaled_dot_product_attention(options):
    arrays = [RANDOM.uniform(-3, 3, shape) for shape in ((N, L, 3), (N, S, 3), (N, S, 2))]
    leaves, others = list(map(leaf, arrays)), [torch.tensor(x, requires_grad=True) for x in arrays]
    mine = functional.scaled_dot_product_attention(*leaves, **options)
    there = {name: as_theirs(x) for name, x in options.items()}
    with torch.nn.attention.sdpa_kernel(torch.nn.attention.SDPBackend.MATH):
        other = torch.nn.functional.scaled_dot_product_attention(*others, **there)
    assert_agrees([mine], [other], leaves, others, options)


def twins(**options):
    """Return the two Modules, of one state; with random biases, which begin as 0."""
    theirs = torch.nn.MultiheadAttention(E, H, dtype=torch.float64, **options)
    ours = nn.MultiheadAttention(E, H, **options)
    for p in ours.parameters():
        p.data = RANDOM.uniform(-1, 1, p.shape)
    theirs.load_state_dict({name: torch.tensor(x) for name, x in ours.state_dict().items()})
    return ours, theirs


@pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask")
def test_multihead_attention():
    masks = (None, HIDDEN, FLOATS, np.repeat(HIDDEN[None], N * H, 0))
    paddings = (None, PADDING, np.where(PADDING, -INF, 0.5))
    for kdim, bias, mask, padding, average in itertools.product((None, 3), (True, False), masks, paddings, (0, 1)):
        ours, theirs = twins(kdim=kdim, bias=bias)
        arrays = [RANDOM.uniform(-2, 2, (n, N, d)) for n, d in ((L, E), (S, ours.kdim), (S, E))]
        leaves, others = list(map(leaf, arrays)), [torch.tensor(x, requires_grad=True) for x in arrays]
        options = {"key_padding_mask": padding, "attn_mask": mask, "average_attn_weights": bool(average)}
        mine = ours(*leaves, **options)
        other = theirs(*others, **{name: as_theirs(x) for name, x in options.items()})
        named = dict(theirs.named_parameters())
        leaves += [p for _, p in ours.named_parameters()]
        others += [named[name] for name, _ in ours.named_parameters()]
        assert_agrees(mine, other, leaves, others, (kdim, bias, mask, padding))


def test_self_attention_batch_first_and_one_sequence():
    ours, theirs = twins(batch_first=True)
    x, causal = RANDOM.normal(size=(N, L, E)), np.triu(np.ones((L, L), bool), 1)
    for given, mask in itertools.product((x, x[0]), (None, causal)):
        z, t = leaf(given), torch.tensor(given, requires_grad=True)
        there = as_theirs(mask)
        mine, other = ours(z, z, z, attn_mask=mask), theirs(t, t, t, attn_mask=there)
        assert_agrees(mine, other, [z], [t], given.shape)
        alone, nothing = ours(z, z, z, attn_mask=mask, need_weights=False)
        assert nothing is None
        assert theirs(t, t, t, attn_mask=there, need_weights=False)[1] is None
        np.testing.assert_allclose(alone.data, mine[0].data, rtol=1e-14)
        if mask is not None:
            for_short = ours(z, z, z, is_causal=True)
            np.testing.assert_array_equal(for_short[1].data, mine[1].data)


@pytest.mark.parametrize("options", [{}, {"bias": False}, {"kdim": 3, "vdim": 5}])
def test_states_go_both_ways(options):
    theirs, ours = torch.nn.MultiheadAttention(E, H, **options), nn.MultiheadAttention(E, H, **options)
    assert list(theirs.state_dict()) == list(ours.state_dict())
    ours.load_state_dict({name: x.numpy() for name, x in theirs.state_dict().items()})
    given = [RANDOM.normal(size=(L, N, d)).astype(np.float32) for d in (E, ours.kdim, ours.vdim)]
    for mine, other in zip(ours(*given), theirs(*map(torch.tensor, given)), strict=True):
        np.testing.assert_allclose(mine.data, other.numpy(force=True), rtol=1e-5, atol=1e-6)
    theirs.load_state_dict({name: torch.tensor(x) for name, x in ours.state_dict().items()})


def test_first_values_have_the_same_bounds():
    theirs, ours = torch.nn.MultiheadAttention(96, 2), nn.MultiheadAttention(96, 2)
    for name, x in theirs.state_dict().items():
        largest = np.abs(x.numpy()).max(initial=0)
        np.testing.assert_allclose(np.abs(ours.state_dict()[name]).max(initial=0), largest, rtol=0.01, err_msg=name)


def test_a_query_that_may_attend_to_nothing_is_nan_in_their_module():
    ours, theirs = twins()
    x = RANDOM.normal(size=(L, N, E))
    hidden = np.ones((N, L), bool)
    t = torch.tensor(x)
    assert theirs(t, t, t, torch.tensor(hidden))[1].isnan().all()
    assert not ours(x, x, x, hidden)[1].data.any()
