"""Functions that layers and losses are made of; names and signatures are PyTorch's."""

from typing import TYPE_CHECKING, Any

from tinygrad_sm.advice import module_hooks
from tinygrad_sm.arguments import integer
from tinygrad_sm.arrays import described
from tinygrad_sm.backend import Array, array_module, check_same_device, to_numpy
from tinygrad_sm.engine.primitive import as_operand
from tinygrad_sm.engine.tape import data_of
from tinygrad_sm.nn.activations import dropout, gelu, leaky_relu, logsigmoid, silu
from tinygrad_sm.nn.attention import scaled_dot_product_attention
from tinygrad_sm.nn.conv import conv1d, conv2d
from tinygrad_sm.nn.elementwise_losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    huber_loss,
    kl_div,
    l1_loss,
    mse_loss,
    smooth_l1_loss,
)
from tinygrad_sm.nn.embedding import embedding
from tinygrad_sm.nn.loss_base import operands
from tinygrad_sm.nn.losses import cross_entropy, entmax15_loss, nll_loss, sparsemax_loss
from tinygrad_sm.nn.normalization import batch_norm, layer_norm, rms_norm
from tinygrad_sm.nn.pooling import adaptive_avg_pool2d, avg_pool2d, max_pool2d
from tinygrad_sm.nn.xmax import entmax15, gumbel_softmax, softmax, sparsemax
from tinygrad_sm.ops import softmax as softmax_ops
from tinygrad_sm.ops.elementwise import relu, sigmoid, softplus, tanh
from tinygrad_sm.ops.indexing import scatter_add
from tinygrad_sm.ops.linalg import linear
from tinygrad_sm.targets import check_targets

__all__ = [
    "accuracy",
    "adaptive_avg_pool2d",
    "avg_pool2d",
    "batch_norm",
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "confusion_matrix",
    "conv1d",
    "conv2d",
    "cross_entropy",
    "dropout",
    "embedding",
    "entmax15",
    "entmax15_loss",
    "gelu",
    "gumbel_softmax",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "layer_norm",
    "leaky_relu",
    "linear",
    "log_softmax",
    "logsigmoid",
    "max_pool2d",
    "mse_loss",
    "nll_loss",
    "one_hot",
    "relu",
    "rms_norm",
    "scaled_dot_product_attention",
    "sigmoid",
    "silu",
    "smooth_l1_loss",
    "softmax",
    "softplus",
    "sparsemax",
    "sparsemax_loss",
    "tanh",
]

if not TYPE_CHECKING:  # for a type checker, a name that is missing is an error by itself
    __getattr__, __dir__ = module_hooks(__name__)


def log_softmax(x: Any, dim: int = -1) -> Any:
    """Return ln softmax(x) along the axis `dim`."""
    return softmax_ops.log_softmax(x, dim)


def one_hot(labels: Any, num_classes: int | None = -1, dtype: Any = "float32") -> Any:
    """Return a row for each label: 1 in the column of the label, 0 elsewhere.

    labels : integers 0..num_classes−1, of any shape.  Result : their shape, and an axis of num_classes behind it.
    num_classes : −1 or None stands for the largest label + 1. To find that, the host waits for a GPU, and a step of
        `tg.compiled` runs as it is written.

    PyTorch's has no dtype and gives int64; here the rows are floats, ready to be multiplied.

    >>> one_hot([[0], [2]], num_classes=3).tolist()
    [[[1.0, 0.0, 0.0]], [[0.0, 0.0, 1.0]]]
    """
    labels = as_operand(labels)
    if num_classes is None or num_classes == -1:
        num_classes = _classes_of(data_of(labels))
    num_classes = integer("one_hot", "num_classes", num_classes, smallest=1)
    rows = softmax_ops.one_hot(labels.reshape(-1), num_classes, dtype)
    return rows if labels.ndim == 1 else rows.reshape((*labels.shape, num_classes))


def _classes_of(labels: Array) -> int:
    """Return how many classes there are, if that of the largest label is the last."""
    if labels.size == 0:
        raise ValueError(f"one_hot: expected labels, or num_classes, got neither but {described(labels)}")
    return max(int(labels.max()), 0) + 1 if labels.dtype.kind in "iu" else 1  # else the labels are refused


def accuracy(logits: Any, labels: Any) -> float:
    """Return the share of examples whose largest logit is that of their label; of equal logits the first counts.

    logits : shape (N, C) or (N, C, d1, ...), or probabilities; (C,) is one example. labels : integers, shape
        (N, d1, ...); one integer for one example.

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
    classes = as_operand(logits).shape[:2][-1]
    return scatter_add(array_module(labels).ones_like(labels, "int64"), (classes, classes), (labels, predictions))


def _predictions(name: str, logits: Any, labels: Any) -> tuple[Array, Array]:
    """Return the classes of the largest logits and the labels, each in one row."""
    logits, labels = operands(name, data_of(logits), data_of(labels))
    check_same_device(name, [logits, labels])
    check_targets(name, logits, to_numpy(labels), probabilities_fit=False)  # on the host, where their range is checked
    return logits.argmax(axis=min(logits.ndim - 1, 1)).reshape(-1), labels.reshape(-1)
