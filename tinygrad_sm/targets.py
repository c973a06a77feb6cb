"""What is asked of labels and targets before anything is computed with them: a loss never broadcasts or wraps."""

import functools
from typing import Any

import numpy as np

from tinygrad_sm.backend import Array, HostArray, described


def check_labels(labels: Array, classes: int) -> None:
    """Raise unless the labels are integers 0..classes−1 of shape (N,): IndexError names the first that is not.

    On a GPU their range is not looked at, because the host would have to wait for them in every step.
    """
    if getattr(labels, "ndim", 0) != 1:
        raise ValueError(f"labels: expected shape (N,), got {described(labels)}: reshape them with .reshape(-1)")
    _check_range(labels, classes)


def _check_range(labels: Array, classes: int) -> None:
    if labels.dtype.kind not in "iu":
        raise TypeError(f"labels: expected integers, got {labels.dtype}: convert them with .astype('int64')")
    if type(labels) is not HostArray:
        return
    # Read as unsigned, a negative label is larger than any class, so that one pass finds both kinds of bad label.
    if labels.size and labels.view(_unsigned(labels.dtype)).max() >= classes:
        first = np.unravel_index(int(((labels < 0) | (labels >= classes)).argmax()), labels.shape)
        place = f"in row {first[0]}" if labels.ndim == 1 else f"at [{', '.join(map(str, first))}]"
        raise IndexError(f"labels: expected 0..{classes - 1} for {classes} classes, got {labels[first]} {place}")


@functools.cache
def _unsigned(dtype: Any) -> Any:
    return np.dtype(dtype.str.replace("i", "u"))


def check_target(loss: str, logits: Array, target: Array, probabilities_fit: bool = True) -> None:
    """Raise unless logits (N, C) and target, labels (N,) or probabilities (N, C), fit: losses never broadcast."""
    if getattr(logits, "ndim", 0) != 2 or logits.shape[1] == 0:
        raise ValueError(f"{loss}: expected a matrix of shape (N, C), a row for each example, got {described(logits)}")
    check_targets(loss, logits, target, probabilities_fit)


def check_targets(loss: str, logits: Array, target: Array, probabilities_fit: bool = True) -> None:
    """Raise unless logits (N, C, d1, ...) and target, labels (N, d1, ...) or probabilities of their shape, fit."""
    if logits.ndim < 2 or logits.shape[1] == 0:
        raise ValueError(f"{loss}: expected an array of shape (N, C) or (N, C, d1, ...), got {described(logits)}")
    if logits.size == 0:
        raise ValueError(f"{loss}: expected at least one example, got an empty batch of shape {logits.shape}")
    N, C, *places = logits.shape
    expected_shape = (N, *places)
    shape = getattr(target, "shape", ())
    if shape == expected_shape:
        _check_range(target, C)
    elif not (probabilities_fit and shape == logits.shape):
        expected = f"labels of shape {expected_shape}"
        expected += f" or probabilities of shape {logits.shape}" if probabilities_fit else ""
        advice = _reshape_advice(shape, expected_shape, "it")
        raise ValueError(f"{loss}: {logits.shape} needs {expected}, got {described(target)}{advice}")
    elif target.dtype.kind not in "fc":
        raise TypeError(
            f"{loss}: a target of shape {shape} holds probabilities and must be floating, got {target.dtype}: convert "
            f"it with .astype('float32'), or pass labels of shape {expected_shape}"
        )


def check_same_shape(loss: str, x: Array, target: Array) -> None:
    """Raise unless the target has the shape of x, which is not empty: losses never broadcast."""
    if x.shape != target.shape:
        advice = _reshape_advice(target.shape, x.shape, "the target")
        raise ValueError(f"{loss}: expected a target of the input's shape {x.shape}, got {described(target)}{advice}")
    if x.size == 0:
        raise ValueError(f"{loss}: expected at least one element, got an empty input of shape {x.shape}")


def _reshape_advice(shape: tuple[int, ...], expected: tuple[int, ...], name: str) -> str:
    """Return what to do where the shapes differ by axes of length 1 alone."""
    if [n for n in shape if n != 1] != [n for n in expected if n != 1]:
        return ""
    return f": reshape {name} with .reshape({', '.join(map(str, expected))})"


def check_reduction(loss: str, reduction: Any) -> None:
    """Raise ValueError unless the reduction is one of the three."""
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{loss}: expected reduction 'none', 'mean' or 'sum', got {reduction!r}")
