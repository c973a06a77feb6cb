"""Losses: Modules that compare what a model says with what it should say, and return one number to minimise.

Each has the options of the function of nn.functional that it names; reduction is "mean", "sum" or "none".
"""

from typing import Any

from tinygrad_sm.nn import functional
from tinygrad_sm.nn.module import Module
from tinygrad_sm.targets import check_reduction
from tinygrad_sm.tensors import Tensor


class _Loss(Module):
    """What the losses have in common: a reduction, and perhaps weights, which are buffers of the Module."""

    def __init__(self, reduction: str, **weights: Any):
        check_reduction(type(self).__name__, reduction)
        self.reduction = reduction
        for name, weight in weights.items():
            setattr(self, name, None if weight is None else Tensor(weight))


class CrossEntropyLoss(_Loss):
    """The cross-entropy between the softmax of logits (N, C, ...) and labels (N, ...) or probabilities (N, C, ...).

    >>> CrossEntropyLoss(label_smoothing=0.1)([[2.0, 0.0, 0.0]], [0]).round(4)
    np.float32(0.3729)
    """

    weight: Tensor | None

    def __init__(
        self, weight: Any = None, ignore_index: int = -100, reduction: str = "mean", label_smoothing: float = 0.0
    ):
        super().__init__(reduction, weight=weight)
        self.ignore_index = ignore_index
        self.label_smoothing = label_smoothing

    def forward(self, logits: Any, target: Any) -> Any:
        """Return nn.functional.cross_entropy of these with the options."""
        return functional.cross_entropy(
            logits, target, self.weight, self.ignore_index, self.reduction, self.label_smoothing
        )


class NLLLoss(_Loss):
    """The negative log-likelihood of labels (N, ...) under log-probabilities (N, C, ...), as of LogSoftmax(dim=1)."""

    weight: Tensor | None

    def __init__(self, weight: Any = None, ignore_index: int = -100, reduction: str = "mean"):
        super().__init__(reduction, weight=weight)
        self.ignore_index = ignore_index

    def forward(self, log_probabilities: Any, labels: Any) -> Any:
        """Return nn.functional.nll_loss of these with the options."""
        return functional.nll_loss(log_probabilities, labels, self.weight, self.ignore_index, self.reduction)


class MSELoss(_Loss):
    """The squared error (x − target)² of each element."""

    def __init__(self, reduction: str = "mean"):
        super().__init__(reduction)

    def forward(self, x: Any, target: Any) -> Any:
        """Return nn.functional.mse_loss of these with the reduction."""
        return functional.mse_loss(x, target, self.reduction)


class BCEWithLogitsLoss(_Loss):
    """The binary cross-entropy between the sigmoid of logits and targets of the same shape, element by element."""

    weight: Tensor | None
    pos_weight: Tensor | None

    def __init__(self, weight: Any = None, reduction: str = "mean", pos_weight: Any = None):
        super().__init__(reduction, weight=weight, pos_weight=pos_weight)

    def forward(self, logits: Any, target: Any) -> Any:
        """Return nn.functional.binary_cross_entropy_with_logits of these with the options."""
        return functional.binary_cross_entropy_with_logits(logits, target, self.weight, self.reduction, self.pos_weight)
