"""The package's own exceptions, the line of the user's program that caused one, and packages that may be missing.

Wrong shapes and values are ValueError, wrong types and dtypes TypeError, indices and labels out of range IndexError, as
in NumPy. Where none of these fits, one of the following is raised; each is a subclass of a built-in exception.
"""

import importlib
import sys
import warnings
from collections.abc import Sequence
from types import FrameType
from typing import Any, NamedTuple

_MOST_LINES = 20
"""The most differences that a message lists: a file of another model may have a million."""


class GradientError(RuntimeError):
    """Backward cannot run: nothing to differentiate, a graph that was freed, or one that is stale."""


class DeviceError(RuntimeError):
    """A device does not exist, or arrays on two devices were mixed."""


class DatasetError(ValueError):
    """A data file is unreadable, truncated, oversized or not what it claims to be."""


class GroupError(ValueError):
    """Processes that train one model differ where they must be equal: in data, in options, or in the lines they run."""


class CheckpointError(ValueError):
    """Saved parameters cannot be read, or do not fit the model that should take them."""


class GradcheckError(AssertionError):
    """A gradient rule disagrees with numerical differentiation."""


class UserLine(NamedTuple):
    """A line of the user's program. `registry` is where Python notes which warnings that module has had."""

    filename: str
    lineno: int
    registry: dict[Any, Any]

    def __str__(self) -> str:
        return f"{self.filename}:{self.lineno}"


def user_line() -> UserLine:
    """Return the line that called this package: that of the innermost frame outside of it and of NumPy."""
    frame = _user_frame(sys._getframe())
    return UserLine(frame.f_code.co_filename, frame.f_lineno, frame.f_globals.setdefault("__warningregistry__", {}))


def user_frames(until: FrameType | None = None) -> list[FrameType]:
    """Return the frames of the user's program from the innermost outwards, as far as `until`, or all."""
    frame, found = _user_frame(sys._getframe()), list[FrameType]()
    while True:
        if _is_user_frame(frame):
            found.append(frame)
        if frame is until or not frame.f_back:
            return found
        frame = frame.f_back


def _user_frame(frame: FrameType) -> FrameType:
    while frame.f_back and not _is_user_frame(frame):
        frame = frame.f_back
    return frame


def _is_user_frame(frame: FrameType) -> bool:
    return not f"{frame.f_globals.get('__name__')}.".startswith(("tinygrad_sm.", "numpy."))


def shown(text: str, longest: int = 4000) -> str:
    r"""Return text from outside for a message: without line ends and control characters, and cut if it is too long.

    A name may hold the codes that move a terminal's cursor, or be longer than the rest of the message.

    >>> shown("weight\n"), shown("w" * 100, longest=8)
    ('weight\\n', 'wwwww...')
    """
    text = text if len(text) <= longest else text[: longest - 3] + "..."
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def refuse_state(owner: str, faults: Sequence[str]) -> None:
    """Raise CheckpointError with the faults of a state, if it has any: a few, the last one, and their number."""
    if not faults:
        return
    listed = faults if len(faults) <= _MOST_LINES else [*faults[: _MOST_LINES - 1], faults[-1]]
    lines = [shown(fault, longest=300) for fault in listed]
    if len(faults) > _MOST_LINES:
        lines.insert(-1, f"... and {len(faults) - _MOST_LINES} more, {len(faults)} in all")
    raise CheckpointError(f"the state does not fit {owner}:\n  " + "\n  ".join(lines))


def package(module: str, purpose: str) -> Any:
    """Import an optional module, and return its package; the ImportError says what the package is needed for."""
    name = module.partition(".")[0]
    try:
        importlib.import_module(module)
    except ImportError as error:
        message = f"{purpose} the package {name} is needed, which cannot be imported ({error}): pip install {name}"
        raise ImportError(message, name=name) from error
    return sys.modules[name]


def warn_user(message: str) -> None:
    """Warn at the line of the user's program; by Python's default filter once for each line."""
    line = user_line()
    warnings.warn_explicit(message, UserWarning, line.filename, line.lineno, registry=line.registry)
