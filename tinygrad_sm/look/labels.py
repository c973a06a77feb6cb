"""What the values of a recording are called where each needs a name of its own."""

from typing import Any

from tinygrad_sm.errors import shown

LONGEST = 40
"""The most characters of a name."""


def labels_of(recording: Any) -> dict[int, str]:
    """Return a label for each entry, by its key: its name, or else the operation's; a second h is h#2.

    >>> import tinygrad_sm as tg
    >>> from tinygrad_sm.look import record
    >>> x = tg.Tensor(0.5, requires_grad=True)
    >>> with record() as recording:
    ...     y = tg.exp(2 * tg.exp(x))
    >>> list(labels_of(recording).values())
    ['parameter', 'exp', '2', 'multiply', 'exp#2']
    """
    labels, times = dict[int, str](), dict[str, int]()
    for entry in recording.entries:
        label = shown(entry.names[0] if entry.names else entry.label, LONGEST)
        if not entry.is_number:
            times[label] = times.get(label, 0) + 1
            label += f"#{times[label]}" if times[label] > 1 else ""
        labels[entry.key] = label
    return labels
