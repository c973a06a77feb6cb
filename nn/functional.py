"""Functions that layers and losses are made of; names and signatures are PyTorch's."""

from typing import TYPE_CHECKING, Any

from tinygrad_sm.advice import module_hooks
from tinygrad_sm.backend import Array, array_module, check_same_device, to_numpy
from tinygrad_sm.engine.primitive import as_operand
from tinygrad_sm.engine.tape import data_of
from tinygrad_sm.nn.losses import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    entmax15_loss,
    mse_loss,
    nll_loss,
    operands,
    sparsemax_loss,
)
from tinygrad_sm.nn.xmax import entmax15, gumbel_softmax, softmax, sparsemax
from tinygrad_sm.ops import softmax as softmax_ops
from tinygrad_sm.ops.indexing import scatter_add
from tinygrad_sm.ops.linalg import linear
from tinygrad_sm.ops.softmax import one_hot
from tinygrad_sm.targets import check_targets

__all__ = [
    "accuracy",
    "binary_cross_entropy_with_logits",
    "confusion_matrix",
    "cross_entropy",
    "entmax15",
    "entmax15_loss",
    "gumbel_softmax",
    "linear",
    "log_softmax",
    "mse_loss",
    "nll_loss",
    "one_hot",
    "softmax",
    "sparsemax",
    "sparsemax_loss",
]

if not TYPE_CHECKING:  # for a type checker, a name that is missing is an error by itself
    __getattr__, __dir__ = module_hooks(__name__)


def log_softmax(x: Any, dim: int = -1) -> Any:
    """Return ln softmax(x) along the axis `dim`."""
    return softmax_ops.log_softmax(x, dim)


def accuracy(logits: Any, labels: Any) -> float:
    """Return the share of examples whose largest logit is that of their label; of equal logits the first counts.

    logits : shape (N, C) or (N, C, d1, ...), or probabilities. labels : integers, shape (N, d1, ...).

    >>> accuracy([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]], [1, 0, 0])
    0.6666666666666666
    """
    predictions, labels = _predictions("accuracy", logits, labels)
    return float((predictions == labels).mean())


def confusion_matrix(logits: Any, labels: Any) -> Array:
    """Return how often each class was predicted as which: an integer array (C, C), a row for each true class.

    The arguments are those of accuracy, which is the share of the counts that stand on the diagonal.

    >>> confusion_matrix([[0.1, 0.9], [0.8, 0.2], [0.3, 0.7]], [1, 0, 0])
    array([[1, 1],
           [0, 1]])
    """
    predictions, labels = _predictions("confusion_matrix", logits, labels)
    classes = as_operand(logits).shape[1]
    return scatter_add(array_module(labels).ones_like(labels, "int64"), (classes, classes), (labels, predictions))


def _predictions(name: str, logits: Any, labels: Any) -> tuple[Array, Array]:
    """Return the classes of the largest logits and the labels, each in one row."""
    logits, labels = operands(name, data_of(logits), data_of(labels))
    check_same_device(name, [logits, labels])
    check_targets(name, logits, to_numpy(labels), probabilities_fit=False)  # on the host, where their range is checked
    return logits.argmax(axis=1).reshape(-1), labels.reshape(-1)
