"""Losses of elements: each element of x has its own target, so that a target has the shape of x.

Some compare numbers, others probabilities. Names and signatures are PyTorch's. With the
reduction "none" they give the loss of each element, with "sum" their sum, and with "mean" their mean.
"""

from collections.abc import Callable
from math import inf
from typing import Any

from tinygrad_sm.arguments import number
from tinygrad_sm.backend import array_module
from tinygrad_sm.engine.tape import data_of
from tinygrad_sm.nn.loss_base import Loss, checked_weights, operands_of_one_shape, reduced
from tinygrad_sm.nn.module import Buffer
from tinygrad_sm.nn.xmax import weigh
from tinygrad_sm.ops.composed import clip
from tinygrad_sm.ops.elementwise import abs, exp, log, log1p, softplus, where
from tinygrad_sm.targets import REDUCTIONS, check_numbers


def mse_loss(x: Any, target: Any, reduction: str = "mean") -> Any:
    """Return (x − target)², by default the mean over all elements; the target has the shape of x."""
    z, y = operands_of_one_shape("mse_loss", x, target, reduction)
    difference = z - y
    return reduced(difference * difference, reduction, z.size, x)


class MSELoss(Loss):
    """The squared error (x − target)² of each element."""

    def forward(self, x: Any, target: Any) -> Any:
        return mse_loss(x, target, self.reduction)


def l1_loss(x: Any, target: Any, reduction: str = "mean") -> Any:
    """Return |x − target|, by default the mean over all elements; the target has the shape of x.

    Convention: the gradient where they are equal is 0, as in PyTorch.

    >>> l1_loss([1.0, 2.0], [1.5, 4.0])
    np.float32(1.25)
    """
    z, y = operands_of_one_shape("l1_loss", x, target, reduction)
    return reduced(abs(z - y), reduction, z.size, x)


class L1Loss(Loss):
    """The distance |x − target| of each element."""

    def forward(self, x: Any, target: Any) -> Any:
        return l1_loss(x, target, self.reduction)


def huber_loss(x: Any, target: Any, reduction: str = "mean", delta: float = 1.0) -> Any:
    """Return d²/2 where |d| ≤ δ, and δ (|d| − δ/2) elsewhere, with d = x − target; by default the mean.

    Computed as c (d − c/2), where c is d clipped to [−δ, δ]. This is its gradient too, so that far targets pull no
    more than those at the distance δ. "Robust Estimation of a Location Parameter" (Huber, 1964).

    delta : δ, greater than 0.

    Convention: the second derivative at |d| = δ is 1, that of the square, where PyTorch has 0.

    >>> huber_loss([0.5, 3.0], [0.0, 0.0], reduction="none")
    array([0.125, 2.5  ], dtype=float32)
    """
    delta = _checked_delta("huber_loss", delta)
    z, y = operands_of_one_shape("huber_loss", x, target, reduction)
    return reduced(_huber(z - y, delta), reduction, z.size, x)


class HuberLoss(Loss):
    """The squared error of near targets and the distance of far ones, element by element: see `huber_loss`."""

    def __init__(self, reduction: str = "mean", delta: float = 1.0):
        super().__init__(reduction)
        self.delta = _checked_delta(type(self).__name__, delta)

    def forward(self, x: Any, target: Any) -> Any:
        return huber_loss(x, target, self.reduction, self.delta)


def smooth_l1_loss(x: Any, target: Any, reduction: str = "mean", beta: float = 1.0) -> Any:
    """Return d²/(2β) where |d| ≤ β, and |d| − β/2 elsewhere, with d = x − target: huber_loss with δ = β, divided by β.

    beta : β, at least 0; with 0 this is l1_loss. "Fast R-CNN" (Girshick, 2015).

    >>> smooth_l1_loss([0.25, 3.0], [0.0, 0.0], reduction="none", beta=0.5)
    array([0.0625, 2.75  ], dtype=float32)
    """
    beta = number("smooth_l1_loss", "beta", beta, smallest=0)
    z, y = operands_of_one_shape("smooth_l1_loss", x, target, reduction)
    losses = _huber(z - y, beta) / beta if beta else abs(z - y)
    return reduced(losses, reduction, z.size, x)


class SmoothL1Loss(Loss):
    """The distance of each element from its target, but smooth where they are nearly equal: see `smooth_l1_loss`."""

    def __init__(self, reduction: str = "mean", beta: float = 1.0):
        super().__init__(reduction)
        self.beta = number(type(self).__name__, "beta", beta, smallest=0)

    def forward(self, x: Any, target: Any) -> Any:
        return smooth_l1_loss(x, target, self.reduction, self.beta)


def _huber(d: Any, delta: float) -> Any:
    c = clip(d, -delta, delta)
    return c * (d - c / 2)


def _checked_delta(owner: str, delta: Any) -> float:
    delta = number(owner, "delta", delta, smallest=0)
    if delta == 0:
        raise ValueError(f"{owner}: expected delta greater than 0, got {delta:g}")
    return delta


_OF_DIVERGENCE = (*REDUCTIONS, "batchmean")


def kl_div(log_probabilities: Any, target: Any, reduction: str = "mean", log_target: bool = False) -> Any:
    """Return y (ln y − ln p) for each element: Σ of it over a distribution is the divergence of Kullback and Leibler.

    log_probabilities : ln p, as log_softmax gives it, of any shape.
    target : y, of the same shape, at least 0; or, with log_target=True, ln y. Where y = 0, the element is 0.
    reduction : "batchmean" divides the sum by the number of rows, and gives the mean of the divergences. "mean", the
        default as in PyTorch, divides by the number of all elements, which is no divergence.

    Conventions: 0·∞ is 0, where PyTorch has NaN, so that both may be masked. The gradient with respect to a target of 0
    leaves out ln 0, and is −ln p. "On Information and Sufficiency" (Kullback and Leibler, 1951).

    >>> kl_div([[-0.75, -0.75]], [[1.0, 0.0]], reduction="batchmean"), kl_div([[-0.75, -0.75]], [[1.0, 0.0]])
    (np.float32(0.75), np.float32(0.375))
    """
    log_p, y = operands_of_one_shape("kl_div", log_probabilities, target, reduction, _OF_DIVERGENCE)
    if log_target:
        y, log_y = exp(y), y
    else:
        check_numbers("kl_div", "a target", data_of(y), inf, ": write log_target=True for its logarithms")
        log_y = log(where(data_of(y) == 0, 1, y))
    losses = weigh(y, log_y) - weigh(y, log_p)
    divisor = log_p.size
    if reduction == "batchmean":
        reduction, divisor = "mean", log_p.shape[0] if log_p.ndim else 1
    return reduced(losses, reduction, divisor, log_probabilities)


class KLDivLoss(Loss):
    """The divergence of Kullback and Leibler from log-probabilities to targets of the same shape: see `kl_div`."""

    _reductions = _OF_DIVERGENCE

    def __init__(self, reduction: str = "mean", log_target: bool = False):
        super().__init__(reduction)
        self.log_target = log_target

    def forward(self, log_probabilities: Any, target: Any) -> Any:
        return kl_div(log_probabilities, target, self.reduction, self.log_target)


def binary_cross_entropy(probabilities: Any, target: Any, weight: Any = None, reduction: str = "mean") -> Any:
    """Return −w (y ln p + (1 − y) ln(1 − p)), by default the mean over all elements, each a yes or no.

    probabilities : p, of any shape, as sigmoid gives them; ValueError unless they are from 0 to 1, or on a GPU, where
        nobody waits to look, NaN. Better, binary_cross_entropy_with_logits takes the input of the sigmoid, and is
        right for all.
    target : y, of the same shape: 0 and 1, or probabilities between them.
    weight : w, constants that broadcast to the shape of the probabilities.

    Conventions: a logarithm is at least −100, and its derivative at most 1e12, as in PyTorch. So at p = 0 and y = 1 the
    loss is 100 and the gradient −1e12. At p = y = 0 the gradient is 1, and at p = y = 1 it is −1, the derivatives of
    the formula, where PyTorch has 0.

    >>> binary_cross_entropy([0.5, 0.0], [1.0, 1.0], reduction="none").round(4)
    array([  0.6931, 100.    ], dtype=float32)
    """
    loss = "binary_cross_entropy"
    p, y = operands_of_one_shape(loss, probabilities, target, reduction)
    check_numbers(loss, "probabilities", data_of(p), 1, f": {loss}_with_logits takes logits")
    check_numbers(loss, "a target", data_of(y), 1)
    losses = -y * _bounded(log, p, p) - (1 - y) * _bounded(log1p, -p, 1 - p)
    return reduced(_weighed(loss, weight, losses), reduction, p.size, probabilities)


class BCELoss(Loss):
    """The binary cross-entropy between probabilities and targets of the same shape, element by element."""

    def __init__(self, weight: Any = None, reduction: str = "mean"):
        super().__init__(reduction)
        self.weight = None if weight is None else Buffer(weight)

    def forward(self, probabilities: Any, target: Any) -> Any:
        return binary_cross_entropy(probabilities, target, self.weight, self.reduction)


def _bounded(f: Callable[[Any], Any], x: Any, q: Any) -> Any:
    """Return ln q = f(x), but at least −100, and with the derivative 1e12 where q < 1e-12."""
    data = data_of(q)
    xp = array_module(data)
    is_small = (data >= 0) & (data < 1e-12)
    smallest = xp.maximum(xp.log(xp.maximum(data, 1e-44)), -100)  # ln 1e-44 is less, and ln 0 would warn
    return where(is_small, smallest + (q - data) * 1e12, f(where(is_small, 0.5, x)))


def binary_cross_entropy_with_logits(
    logits: Any, target: Any, weight: Any = None, reduction: str = "mean", pos_weight: Any = None
) -> Any:
    """Return −w (q y ln σ(z) + (1 − y) ln(1 − σ(z))), by default the mean over all elements, each a yes or no.

    logits : z, of any shape, before any sigmoid.
    target : y, of the same shape: 0 and 1, or probabilities between them.
    weight : w, and pos_weight : q, the weight of the positive; constants that broadcast to the shape of the logits.

    Computed as w (q y softplus(−z) + (1 − y) softplus(z)), which is right for all logits; 0·∞ is 0.
    """
    loss = "binary_cross_entropy_with_logits"
    z, y = operands_of_one_shape(loss, logits, target, reduction)
    q = 1.0 if pos_weight is None else checked_weights(loss, "pos_weight", pos_weight, z, z.shape, may_broadcast=True)
    losses = weigh(q * y, softplus(-z)) + weigh(1 - y, softplus(z))
    return reduced(_weighed(loss, weight, losses), reduction, z.size, logits)


class BCEWithLogitsLoss(Loss):
    """The binary cross-entropy between the sigmoid of logits and targets of the same shape, element by element."""

    def __init__(self, weight: Any = None, reduction: str = "mean", pos_weight: Any = None):
        super().__init__(reduction)
        self.weight = None if weight is None else Buffer(weight)
        self.pos_weight = None if pos_weight is None else Buffer(pos_weight)

    def forward(self, logits: Any, target: Any) -> Any:
        return binary_cross_entropy_with_logits(logits, target, self.weight, self.reduction, self.pos_weight)


def _weighed(loss: str, weight: Any, losses: Any) -> Any:
    """Return the losses times weights that may broadcast to their shape, if there are any; 0·∞ is 0."""
    if weight is None:
        return losses
    return weigh(checked_weights(loss, "weight", weight, losses, losses.shape, may_broadcast=True), losses)
