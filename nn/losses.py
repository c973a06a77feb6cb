"""Losses of classes: the target of an example is a label, or probabilities; `elementwise_losses` has the others.

Losses compare a model's outputs with their targets and return one number to minimise. Most also have a Module that
keeps their options; names and signatures are PyTorch's. Every loss has a `reduction`: "none" gives the loss of each
example, "sum" their sum, and "mean" their mean. No loss broadcasts its target.
"""

import math
from collections.abc import Callable
from typing import Any

from tinygrad_sm import shares
from tinygrad_sm.arguments import integer, number
from tinygrad_sm.backend import Array, array_module
from tinygrad_sm.engine.tape import Traced, data_of
from tinygrad_sm.errors import warn_user
from tinygrad_sm.nn.elementwise_losses import BCEWithLogitsLoss, MSELoss  # noqa: F401  older pickles name them here
from tinygrad_sm.nn.loss_base import Loss, checked_weights, noted, operands, reduced
from tinygrad_sm.nn.module import Buffer
from tinygrad_sm.nn.xmax import entmax15_conjugate, shifted, sparsemax_conjugate, weigh
from tinygrad_sm.ops import softmax as softmax_ops
from tinygrad_sm.ops.composed import moveaxis
from tinygrad_sm.ops.elementwise import where
from tinygrad_sm.ops.reductions import sum
from tinygrad_sm.ops.softmax import labels_as_int64, one_hot
from tinygrad_sm.precision import wide
from tinygrad_sm.targets import check_reduction, check_targets, without_classes


def cross_entropy(
    logits: Any,
    target: Any,
    weight: Any = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """Return the cross-entropy between targets and the softmax of logits, by default its mean over the examples.

    logits : shape (N, C) or (N, C, d1, ...), or (C,) for one example, before any softmax. Passing a softmax's output is
        a common mistake, after which the loss hardly falls: cross_entropy warns, once for each line of code.
    target : integer labels 0..C−1, shape (N, d1, ...), or () for one example; or probabilities y, shaped as the logits.
    weight : w, one for each class, shape (C,); a constant.
    ignore_index : examples with this label do not count: their loss and their gradient are 0.
    label_smoothing : ε in [0, 1], the share of each target that is spread evenly over the classes.

    For an example i, with p = softmax(logits), and for labels y = 1 at the class of the label and 0 elsewhere,

        loss_i = −Σ_c w_c ((1 − ε) y_ic + ε/C) ln p_ic,        where 0·(−∞) is 0

    For labels the mean is Σ loss_i / Σ w_{label_i} over the examples that are not ignored. For probabilities it is
    Σ loss_i / N, with or without weights. N counts the examples of all places d1, ...

    All this is PyTorch's, with four exceptions on purpose. Where no example counts, because all are ignored or have
    weight 0, the mean and its gradient are 0, not NaN. 0·(−∞) is 0, not NaN. The weights take the dtype of the logits.
    With probabilities any ignore_index is allowed and means nothing; PyTorch refuses one that is not negative.
    """
    if isinstance(logits, Traced) and logits.node is not None and logits.node.op is softmax_ops.softmax:
        warn_user(
            "cross_entropy was given the output of a softmax, and applies softmax itself: pass it the input of that "
            "softmax (leave out the nn.Softmax that ends the model), or use nll_loss on the output of log_softmax"
        )
    logits, target = operands("cross_entropy", logits, target)
    if logits.ndim == 2 and weight is None and reduction == "mean" and label_smoothing == 0:
        loss = softmax_ops.cross_entropy(logits, target, ignored=ignore_index)
        return loss if shares.current is None else noted(loss, reduction, _count(target, ignore_index), logits)
    number("cross_entropy", "label_smoothing", label_smoothing, 0, 1)
    return _log_loss("cross_entropy", logits, target, weight, ignore_index, reduction, label_smoothing)


class CrossEntropyLoss(Loss):
    """The cross-entropy between the softmax of logits (N, C, ...) and labels (N, ...) or probabilities (N, C, ...).

    >>> CrossEntropyLoss(label_smoothing=0.1)([[2.0, 0.0, 0.0]], [0]).round(4)
    np.float32(0.3729)
    """

    def __init__(
        self, weight: Any = None, ignore_index: int = -100, reduction: str = "mean", label_smoothing: float = 0.0
    ):
        super().__init__(reduction)
        self.weight = None if weight is None else Buffer(weight)
        self.ignore_index = integer(type(self).__name__, "ignore_index", ignore_index)
        self.label_smoothing = label_smoothing

    def forward(self, logits: Any, target: Any) -> Any:
        return cross_entropy(logits, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing)


def nll_loss(
    log_probabilities: Any, labels: Any, weight: Any = None, ignore_index: int = -100, reduction: str = "mean"
) -> Any:
    """Return the negative log-likelihood of labels, −Σ w_{label_i} log_probabilities[i, label_i] / Σ w_{label_i}.

    log_probabilities : shape (N, C) or (N, C, d1, ...), what log_softmax gives along the axis 1, or (C,) for one
        example. The rest is as in cross_entropy: nll_loss(log_softmax(logits, 1), labels) is
        cross_entropy(logits, labels), with these options too.
    """
    log_probabilities, labels = operands("nll_loss", log_probabilities, data_of(labels))
    return _log_loss("nll_loss", log_probabilities, labels, weight, ignore_index, reduction)


class NLLLoss(Loss):
    """The negative log-likelihood of labels (N, ...) under log-probabilities (N, C, ...), as of LogSoftmax(dim=1)."""

    def __init__(self, weight: Any = None, ignore_index: int = -100, reduction: str = "mean"):
        super().__init__(reduction)
        self.weight = None if weight is None else Buffer(weight)
        self.ignore_index = integer(type(self).__name__, "ignore_index", ignore_index)

    def forward(self, log_probabilities: Any, labels: Any) -> Any:
        return nll_loss(log_probabilities, labels, self.weight, self.ignore_index, self.reduction)


def _log_loss(
    loss: str, x: Any, target: Any, weight: Any, ignore_index: int, reduction: str, label_smoothing: float = 0.0
) -> Any:
    """Compute the formula of cross_entropy's docstring; for nll_loss, x is ln p itself."""
    check_reduction(loss, reduction)
    of_logits = loss == "cross_entropy"
    z, y, is_kept = _as_rows(loss, x, target, ignore_index, probabilities_fit=of_logits)
    log_p = softmax_ops.log_softmax(z) if of_logits else z
    C = z.shape[1]
    w = 1.0 if weight is None else checked_weights(loss, "weight", weight, z, (C,))
    divisor = len(z) if target.ndim == x.ndim else sum(w * y)
    if label_smoothing:
        y = ((1 - label_smoothing) * y + label_smoothing / C) * is_kept[:, None]
    losses = sum(weigh(w * y, -log_p), axis=1)
    return reduced(losses.reshape(without_classes(x.shape)), reduction, divisor, x)


def _count(target: Any, ignore_index: int) -> Any:
    """Return the number of the labels that are not ignored, or of the rows of probabilities."""
    return (labels_as_int64(data_of(target)) != ignore_index).sum() if target.ndim == 1 else len(target)


def sparsemax_loss(logits: Any, target: Any, ignore_index: int = -100, reduction: str = "mean") -> Any:
    """Return the Fenchel–Young loss of sparsemax, for an example max_p (⟨p, z⟩ + H(p)) − ⟨y, z⟩ − H(y).

    H(p) = (1 − Σ p²)/2. The gradient with respect to the logits z is p − y with p = sparsemax(z), as that of
    cross_entropy, the loss of softmax. The loss is 0 where p = y, which holds once the logit of the label leads by 1,
    and positive elsewhere. Shapes and options are those of cross_entropy; probabilities y must have sum 1. "Learning
    with Fenchel–Young losses" (Blondel, Martins and Niculae, 2020).
    """

    def entropy(y: Any) -> Any:
        return (1 - sum(y * y, axis=1)) / 2

    return _fenchel_young_loss("sparsemax_loss", sparsemax_conjugate, entropy, logits, target, ignore_index, reduction)


def entmax15_loss(logits: Any, target: Any, ignore_index: int = -100, reduction: str = "mean") -> Any:
    """Return the Fenchel–Young loss of entmax15, as in sparsemax_loss, with H(p) = 4/3 (1 − Σ p^1.5).

    Its gradient is p − y with p = entmax15(logits); it is 0 once the logit of the label leads by 2.
    """

    def entropy(y: Any) -> Any:
        return 4 / 3 * (1 - sum(y**1.5, axis=1))

    return _fenchel_young_loss("entmax15_loss", entmax15_conjugate, entropy, logits, target, ignore_index, reduction)


def _fenchel_young_loss(
    loss: str,
    conjugate: Callable[[Any, int], Any],
    entropy: Callable[[Any], Any],
    logits: Any,
    target: Any,
    ignore_index: int,
    reduction: str,
) -> Any:
    check_reduction(loss, reduction)
    logits, target = operands(loss, logits, target)
    z, y, is_kept = _as_rows(loss, logits, target, ignore_index)
    z = shifted(z, 1)  # changes nothing, as p and y have sum 1, but saves the digits of large logits
    losses = (conjugate(z, 1) - sum(weigh(y, z), axis=1) - entropy(y)) * is_kept
    return reduced(losses.reshape(without_classes(logits.shape)), reduction, is_kept.sum(dtype=z.dtype), logits)


def _as_rows(
    loss: str, x: Any, target: Any, ignore_index: int, probabilities_fit: bool = True
) -> tuple[Any, Any, Array]:
    """Return x (N, C, d1, ...) or (C,) as rows (M, C), the target as probabilities (M, C), and which are kept, (M,).

    The row of an ignored label is constant in x, so that no gradient passes, and 0 in the probabilities.
    """
    if probabilities_fit and target.ndim == x.ndim:
        check_targets(loss, x, data_of(target))
        z = _matrix(wide(x))
        return z, _matrix(wide(target)), array_module(data_of(z)).ones(len(z), bool)
    check_targets(loss, x, data_of(target), ignore_index, probabilities_fit)
    z, labels = _matrix(wide(x)), labels_as_int64(data_of(target)).reshape(-1)
    is_kept = labels != ignore_index
    y = one_hot(labels * is_kept, z.shape[1], z.dtype)
    z = where(is_kept[:, None], z, 0)
    z = where(y.sum(axis=1, keepdims=True) == 0, math.nan, z)  # an unknown label, on a GPU
    return z, y * is_kept[:, None], is_kept


def _matrix(x: Any) -> Any:
    """Return x of shape (N, C, d1, ...) as a matrix with a row for each example of each place; (C,) is one row."""
    if x.ndim > 2:
        x = moveaxis(x, 1, -1)
    return x if x.ndim == 2 else x.reshape((-1, x.shape[-1]))
