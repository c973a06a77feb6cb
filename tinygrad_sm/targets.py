"""Checks of labels and targets before anything is computed with them: a loss never broadcasts or wraps around."""

from math import inf
from typing import Any

import numpy as np

from tinygrad_sm import shares
from tinygrad_sm.arguments import choice
from tinygrad_sm.arrays import described
from tinygrad_sm.backend import Array, device_of

REDUCTIONS = ("none", "mean", "sum")
"""How a loss is made of the losses of its elements or examples."""


def check_labels(labels: Array, classes: int) -> None:
    """Raise unless the labels are integers 0..classes−1 of shape (N,): IndexError names the first that is not.

    On a GPU their range is not checked, because the host would have to wait for them in every step.
    """
    if getattr(labels, "ndim", 0) != 1:
        raise ValueError(f"labels: expected shape (N,), got {described(labels)}: reshape them with .reshape(-1)")
    _check_range(labels, classes)


def _check_range(labels: Array, classes: int, ignored: int | None = None) -> None:
    if labels.dtype.kind not in "iu":
        raise TypeError(f"labels: expected integers, got {labels.dtype}: convert them with .astype('int64')")
    if device_of(labels) == "cpu":
        is_wrong = (labels < 0) | (labels >= classes)
        is_wrong = is_wrong if ignored is None else is_wrong & (labels != ignored)
        if is_wrong.any():
            raise _no_class(labels, is_wrong, classes)


def _no_class(labels: Array, is_wrong: Array, classes: int) -> IndexError:
    first, place = first_place(is_wrong)
    return IndexError(f"labels: expected 0..{classes - 1} for {classes} classes, got {labels[first]}{place}")


def first_place(is_wrong: Array) -> tuple[Any, str]:
    """Return the index of the first element that is True, and the words that say where it is: in row 2, at [1, 0]."""
    first = np.unravel_index(int(is_wrong.argmax()), is_wrong.shape)
    place = f" in row {first[0]}" if is_wrong.ndim == 1 else f" at [{', '.join(map(str, first))}]" if first else ""
    return first, place


def check_target(loss: str, logits: Array, target: Array, ignored: int | None = None) -> None:
    """Raise unless logits (N, C) and target, labels (N,) or probabilities (N, C), fit: losses never broadcast."""
    if getattr(logits, "ndim", 0) != 2 or logits.shape[1] == 0:
        raise ValueError(f"{loss}: expected a matrix of shape (N, C), a row for each example, got {described(logits)}")
    check_targets(loss, logits, target, ignored)


def without_classes(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the shape of the labels, (N, d1, ...), for logits (N, C, d1, ...); () for one example, (C,)."""
    return shape[:1] + shape[2:] if len(shape) > 1 else ()


def check_targets(
    loss: str, logits: Array, target: Array, ignored: int | None = None, probabilities_fit: bool = True
) -> None:
    """Raise unless logits (N, C, d1, ...) fit the target: labels (N, d1, ...), or probabilities of the logits' shape.

    (C,) is one example, whose label has no axes. Labels are classes 0..C−1 or, if it is given, the label `ignored`.
    """
    shape = getattr(target, "shape", ())
    if logits.size == 0 or logits.ndim == 0:
        _refuse_empty(loss, logits)
    if shape == without_classes(logits.shape):
        _check_range(target, logits.shape[:2][-1], ignored)
    elif not (probabilities_fit and shape == logits.shape and target.dtype.kind in "fc"):
        raise _no_target(loss, logits, target, probabilities_fit)


def _refuse_empty(loss: str, logits: Array) -> None:
    if logits.ndim < 2 or logits.shape[1] == 0:
        expected = "(N, C) or (N, C, d1, ...), or (C,) for one example"
        raise ValueError(f"{loss}: expected an array of shape {expected}, got {described(logits)}")
    if not _may_have_no_rows(logits):
        raise ValueError(f"{loss}: expected at least one example, got an empty batch of shape {logits.shape}")


def _may_have_no_rows(x: Array) -> bool:
    """Whether this may be the share of a process that has none of the rows that a loss is of."""
    return shares.current is not None and x.shape[:1] == (0,) and 0 not in x.shape[1:]


def _no_target(loss: str, logits: Array, target: Array, probabilities_fit: bool) -> ValueError | TypeError:
    shape, labels_shape = getattr(target, "shape", ()), without_classes(logits.shape)
    if probabilities_fit and shape == logits.shape:
        return TypeError(
            f"{loss}: a target of shape {shape} holds probabilities and must be floating, got {target.dtype}: convert "
            f"it with .astype('float32'), or pass labels of shape {labels_shape}"
        )
    expected = f"labels of shape {labels_shape}"
    expected += f" or probabilities of shape {logits.shape}" if probabilities_fit else ""
    advice = _reshape_advice(shape, labels_shape, "it")
    return ValueError(f"{loss}: {logits.shape} needs {expected}, got {described(target)}{advice}")


def check_same_shape(loss: str, x: Array, target: Array) -> None:
    """Raise unless the target has the shape of x, which is not empty: losses never broadcast."""
    if x.shape != target.shape:
        advice = _reshape_advice(target.shape, x.shape, "the target")
        raise ValueError(f"{loss}: expected a target of the input's shape {x.shape}, got {described(target)}{advice}")
    if x.size == 0 and not _may_have_no_rows(x):
        raise ValueError(f"{loss}: expected at least one element, got an empty input of shape {x.shape}")


def _reshape_advice(shape: tuple[int, ...], expected: tuple[int, ...], name: str) -> str:
    """Return the advice to reshape, if the shapes differ only by axes of length 1."""
    if [n for n in shape if n != 1] != [n for n in expected if n != 1]:
        return ""
    return f": reshape {name} with .reshape({', '.join(map(str, expected)) or '()'})"


def check_numbers(loss: str, name: str, x: Array, largest: float, advice: str = "") -> None:
    """Raise ValueError unless all numbers are from 0 to the largest: it names the first that is not.

    On a GPU this is not checked, because the host would have to wait for them in every step.
    """
    if device_of(x) == "cpu":
        is_right = (x >= 0) & (x <= largest)
        if not is_right.all():
            first, place = first_place(~is_right)
            expected = f"from 0 to {largest}" if largest < inf else "of at least 0"
            raise ValueError(f"{loss}: expected {name} {expected}, got {x[first]}{place}{advice}")


def check_reduction(loss: str, reduction: Any, reductions: tuple[str, ...] = REDUCTIONS) -> None:
    """Raise ValueError unless the reduction is one of these."""
    choice(loss, "reduction", reduction, reductions)
