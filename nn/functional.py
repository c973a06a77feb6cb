"""Losses as functions, beside the functions that the layers are made of; names and signatures are PyTorch's."""

from typing import Any

from tinygrad_sm.backend import array_module, as_array
from tinygrad_sm.ops import softmax as _softmax_ops
from tinygrad_sm.ops.linalg import linear
from tinygrad_sm.ops.softmax import check_target, cross_entropy, one_hot
from tinygrad_sm.tape import Traced, plain

__all__ = ["cross_entropy", "linear", "log_softmax", "nll_loss", "one_hot", "softmax"]


def softmax(x: Any, dim: int = -1) -> Any:
    """Return exp(x) / Σ exp(x) along the axis `dim`."""
    return _softmax_ops.softmax(x, dim)


def log_softmax(x: Any, dim: int = -1) -> Any:
    """Return ln softmax(x) along the axis `dim`."""
    return _softmax_ops.log_softmax(x, dim)


def nll_loss(log_probabilities: Any, labels: Any) -> Any:
    """Return −1/N Σ_i log_probabilities[i, labels[i]], the mean negative log-likelihood.

    log_probabilities : shape (N, C), what log_softmax gives. labels : integers 0..C−1, shape (N,).
    Of logits, nll_loss(log_softmax(logits), labels) is cross_entropy(logits, labels).
    """
    labels = as_array(plain(labels))
    if not isinstance(log_probabilities, Traced):
        log_probabilities = as_array(log_probabilities)
    check_target("nll_loss", log_probabilities, labels, probabilities_fit=False)
    rows = array_module(labels).arange(len(labels))
    return log_probabilities[rows, labels].sum() / -len(labels)
