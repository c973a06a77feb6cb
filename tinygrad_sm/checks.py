"""What is asked of labels and targets before anything is computed with them: a loss never broadcasts or wraps."""

from tinygrad_sm.backend import Array, described


def check_labels(labels: Array, classes: int) -> None:
    """Raise unless the labels are integers 0..classes−1 of shape (N,): IndexError names the first that is not."""
    if getattr(labels, "ndim", 0) != 1:
        raise ValueError(f"labels: expected shape (N,), got {described(labels)}: reshape them with .reshape(-1)")
    if labels.dtype.kind not in "iu":
        raise TypeError(f"labels: expected integers, got {labels.dtype}: convert them with .astype('int64')")
    # Read as unsigned, a negative label is larger than any class, so that one pass finds both kinds of bad label.
    if labels.size and labels.view(labels.dtype.str.replace("i", "u")).max() >= classes:
        row = int(((labels < 0) | (labels >= classes)).argmax())
        raise IndexError(f"labels: expected 0..{classes - 1} for {classes} classes, got {labels[row]} in row {row}")


def check_target(loss: str, logits: Array, target: Array, probabilities_fit: bool = True) -> None:
    """Raise unless logits (N, C) and target, labels (N,) or probabilities (N, C), fit: losses never broadcast."""
    if getattr(logits, "ndim", 0) != 2 or logits.shape[1] == 0:
        raise ValueError(f"{loss}: expected a matrix of shape (N, C), a row for each example, got {described(logits)}")
    N, C = logits.shape
    if N == 0:
        raise ValueError(f"{loss}: expected at least one example, got an empty batch of shape {logits.shape}")
    shape = getattr(target, "shape", ())
    if shape == (N,):
        check_labels(target, C)
    elif not (probabilities_fit and shape == (N, C)):
        expected = f"labels of shape ({N},)" + (f" or probabilities of shape ({N}, {C})" if probabilities_fit else "")
        advice = f": reshape it with .reshape({N})" if shape == (N, 1) else ""
        raise ValueError(f"{loss}: {logits.shape} needs {expected}, got {described(target)}{advice}")
    elif target.dtype.kind not in "fc":
        raise TypeError(
            f"{loss}: a target of shape {shape} holds probabilities and must be floating, got {target.dtype}: convert "
            f"it with .astype('float32'), or pass labels of shape ({N},)"
        )
