"""Losses as functions, beside the functions that the layers are made of; names and signatures are PyTorch's."""

from typing import Any

from tinygrad_sm.backend import array_module, as_array
from tinygrad_sm.checks import check_target
from tinygrad_sm.errors import warn_user
from tinygrad_sm.ops import softmax as _softmax_ops
from tinygrad_sm.ops.linalg import linear
from tinygrad_sm.ops.softmax import one_hot
from tinygrad_sm.tape import Traced, plain

__all__ = ["cross_entropy", "linear", "log_softmax", "nll_loss", "one_hot", "softmax"]


def softmax(x: Any, dim: int = -1) -> Any:
    """Return exp(x) / Σ exp(x) along the axis `dim`."""
    return _softmax_ops.softmax(x, dim)


def log_softmax(x: Any, dim: int = -1) -> Any:
    """Return ln softmax(x) along the axis `dim`."""
    return _softmax_ops.log_softmax(x, dim)


def cross_entropy(logits: Any, target: Any) -> Any:
    """Return −1/N Σ_i Σ_j y_ij ln softmax(logits)_ij, the mean cross-entropy of N examples.

    logits : shape (N, C), before any softmax: to give its output to this loss is a common mistake, which gives a loss
        that hardly falls. The tape knows where the logits came from, so it is a warning, once for each line of code.
    target : integer labels 0..C−1, shape (N,), or probabilities y, shape (N, C).
    """
    if isinstance(logits, Traced) and logits.node is not None and logits.node.op is _softmax_ops.softmax:
        warn_user(
            "cross_entropy was given the output of a softmax, and takes the softmax itself: pass it what the softmax "
            "was given (leave out the nn.Softmax that ends the model), or use nll_loss on the output of log_softmax"
        )
    return _softmax_ops.cross_entropy(logits, target)


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
