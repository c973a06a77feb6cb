"""Files that are replaced in one step: at their path stands the whole old content or the whole new one.

    replace_file(path, content)

The content goes to a file beside it, which takes the name when it is on the disk. That file must be nobody else's: not
another saver's of the same path, nor the user's, nor one behind a link that somebody has laid. So its name is random,
and it is made and never found. Savers to one folder take turns, threads as well as processes; whose turn it is removes
what killed ones have left.
"""

import errno
import os
import re
import stat
import threading
from contextlib import suppress
from pathlib import Path

from tinygrad_sm.locks import lock, unlock

_PREFIX = ".tinygrad_sm-"
_TEMPORARY = re.compile(re.escape(_PREFIX) + "[0-9a-f]{32}")  # short, so that the path itself may have the longest name


class _Turn(threading.local):
    """Whether this thread is about to save: a signal handler that saves in the middle of it must not wait for it."""

    is_taken = False


_turn = _Turn()


def replace_file(path: Path, content: bytes) -> None:
    """Put a file with the content in the place of what is at the path, in one step that survives a loss of power.

    It has the permissions of the old file, or those of any new one. Raises OSError, and leaves the old file, if it
    cannot be written, or if something stands at the path that is no file.
    """
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "expected a file to write to, and this is none", str(path))
    folder = (
        os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY) if hasattr(os, "O_DIRECTORY") else None
    )  # Windows opens none
    is_inside, _turn.is_taken = _turn.is_taken, True
    is_locked = False
    try:  # not a context manager: Ctrl-C as its __exit__ is called would leave the folder locked
        is_locked = folder is not None and not is_inside and lock(folder)
        if is_locked:
            _remove_leftovers(path.parent)
        _write_beside_and_rename(path, content)
        if folder is not None:
            os.fsync(folder)  # the name itself
    finally:
        _turn.is_taken = is_inside
        if folder is not None:
            if is_locked:
                unlock(folder)
            os.close(folder)


def _write_beside_and_rename(path: Path, content: bytes) -> None:
    permissions = stat.S_IMODE(path.stat().st_mode) if path.exists() else None
    temporary = path.with_name(f"{_PREFIX}{os.urandom(16).hex()}")

    def create(name: str, flags: int) -> int:
        """Open with the flags of "x", which fail where anything has the name, also a link."""
        return os.open(name, flags, 0o666 if permissions is None else permissions)

    file = open(temporary, "xb", opener=create)  # noqa: SIM115  what it does not make, it must not remove
    try:
        with file:
            lock(file.fileno(), wait=False)  # while it is locked, nobody takes it for a leftover
            file.write(content)
            file.flush()
            if permissions not in (None, stat.S_IMODE(os.fstat(file.fileno()).st_mode)):
                with suppress(OSError):  # a file system that has no such permissions
                    os.chmod(temporary, permissions)
            os.fsync(file.fileno())  # the content must be on the disk before the name points to it
        os.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


def _remove_leftovers(folder: Path) -> None:
    """Remove files that have a name of ours, and that no living saver has locked."""
    for name in filter(_TEMPORARY.fullmatch, os.listdir(folder)):
        with suppress(OSError):
            descriptor = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                if stat.S_ISREG(os.fstat(descriptor).st_mode) and lock(descriptor, wait=False):
                    os.unlink(folder / name)
            finally:
                os.close(descriptor)
