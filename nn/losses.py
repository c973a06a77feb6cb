"""Losses: Modules that compare what a model says with what it should say, and return one number to minimise."""

from typing import Any

from tinygrad_sm.nn import functional
from tinygrad_sm.nn.module import Module


class CrossEntropyLoss(Module):
    """The cross-entropy between the softmax of logits (N, C) and labels (N,) or probabilities (N, C), mean over N."""

    def forward(self, logits: Any, target: Any) -> Any:
        """Return nn.functional.cross_entropy(logits, target)."""
        return functional.cross_entropy(logits, target)


class NLLLoss(Module):
    """The negative log-likelihood of labels (N,) under log-probabilities (N, C), as of LogSoftmax, mean over N."""

    def forward(self, log_probabilities: Any, labels: Any) -> Any:
        """Return nn.functional.nll_loss(log_probabilities, labels)."""
        return functional.nll_loss(log_probabilities, labels)
