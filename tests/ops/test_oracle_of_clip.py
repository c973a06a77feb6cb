"""The rule by which `clip` shares its gradient is its own, and PyTorch's `clamp` changed its rule in 2.14."""

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import leaf

NUMBERS = np.array([0.0, 1.0, 1.5, 2.0, 3.0])
CLIPS = {  # x and the bounds: our gradients of them, those of PyTorch up to 2.13, and since 2.14
    "numbers": (
        [NUMBERS, 1.0, 2.0],
        ([[0, 1, 1, 1, 0]], [[0, 1, 1, 1, 0]], [[0, 0, 1, 0, 0]]),
    ),
    "a number below": (
        [NUMBERS, 1.0, None],
        ([[0, 1, 1, 1, 1]], [[0, 1, 1, 1, 1]], [[0, 0, 1, 1, 1]]),
    ),
    "a number above": (
        [NUMBERS, None, 2.0],
        ([[1, 1, 1, 1, 0]], [[1, 1, 1, 1, 0]], [[1, 1, 1, 0, 0]]),
    ),
    "equal numbers": (
        [NUMBERS, 1.0, 1.0],
        ([[0, 1, 0, 0, 0]], [[0, 1, 0, 0, 0]], [[0, 0, 0, 0, 0]]),
    ),
    "arrays": (
        [NUMBERS, np.ones(5), np.full(5, 2.0)],
        (
            [[0, 1, 1, 1, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 1]],
            [[0, 1, 1, 1, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 1]],
            [[0, 0.5, 1, 0.5, 0], [1, 0.5, 0, 0, 0], [0, 0, 0, 0.5, 1]],
        ),
    ),
    "equal arrays": (
        [NUMBERS, np.ones(5), np.ones(5)],
        (
            [[0, 1, 0, 0, 0], [1, 0, 0, 0, 0], [0, 0, 1, 1, 1]],
            [[0, 1, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 1, 1, 1]],
            [[0, 1, 0, 0, 0], [1, 0, 0, 0, 0], [0, 0, 1, 1, 1]],
        ),
    ),
    "a lower bound above the upper": (
        [NUMBERS, np.full(5, 2.0), np.ones(5)],
        ([[0] * 5, [0] * 5, [1] * 5],) * 3,
    ),
    "a lower bound that is NaN": (
        [NUMBERS, np.full(5, np.nan), np.full(5, 4.0)],
        ([[0] * 5, [1] * 5, [0] * 5], [[0] * 5, [0] * 5, [0] * 5], [[1] * 5, [0] * 5, [0] * 5]),
    ),
    "NaN": (
        [np.array([np.nan]), 0.0, 1.0],
        ([[1]], [[0]], [[0]]),
    ),
}


def gradients_of_clip(f, operands, as_leaf, grad):
    """Return the gradients of f of the operands with respect to those of them that are arrays."""
    operands = [as_leaf(x) if isinstance(x, np.ndarray) else x for x in operands]
    leaves = [x for x in operands if x is not None and not isinstance(x, float)]
    return [g.tolist() for g in grad(f(*operands).sum(), leaves)]


@pytest.mark.parametrize("name", CLIPS)
def test_clip_follows_its_own_rule(name):
    operands, (ours, *_) = CLIPS[name]
    assert gradients_of_clip(tg.clip, operands, leaf, tg.grad) == ours


def test_the_installed_pytorch_has_the_rule_of_one_of_its_versions():
    torch = pytest.importorskip("torch")

    def theirs(operands):
        return gradients_of_clip(
            torch.clamp, operands, lambda x: torch.tensor(x, requires_grad=True), torch.autograd.grad
        )

    until_2_13, since_2_14 = ([answers[i] for _, answers in CLIPS.values()] for i in (1, 2))
    assert [theirs(operands) for operands, _ in CLIPS.values()] in (until_2_13, since_2_14)
