"""Replace a file in one step: its path holds the whole old content or the whole new one at every moment.

    replace_file(path, content)

The content goes to a temporary file beside it, which takes the name once it is on the disk. Nobody else may own that
file: no other saver, not the user, and nobody through a link. So its name is random, and opening it fails if the name
exists. Threads and processes that save to one folder take turns; each first removes what killed savers left behind.

A folder that may be written to and not be read, or whose file system does not synchronize folders, is good enough: the
file is saved, and a warning says what is missing.
"""

import errno
import os
import re
import stat
import threading
from contextlib import suppress
from pathlib import Path

from tinygrad_sm.errors import shown, warn_user
from tinygrad_sm.locks import lock, unlock

_NO_ACCESS = (errno.EACCES, errno.EPERM, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS)
"""Why a folder may not be opened although files in it can be replaced: its permissions, as 0733, or its file system."""

_PREFIX = ".tinygrad_sm-"
_TEMPORARY = re.compile(re.escape(_PREFIX) + "[0-9a-f]{32}")  # short even if the path's own name is the longest


class _Turn(threading.local):
    """Whether this thread is saving: a signal handler that saves too must not wait for the thread it interrupts."""

    is_taken = False


_turn = _Turn()


def replace_file(path: Path, content: bytes) -> None:
    """Replace the file at the path by one with this content, in one step that survives a loss of power.

    The new file gets the old one's permissions, or else the default ones. Raises OSError, and leaves the old file, if
    it cannot be written, or if something other than a file is at the path. Once the new file has the name, nothing is
    raised: a warning says so if a loss of power may still bring the old one back.
    """
    permissions = _permissions(path)
    folder, fault = _opened_folder(path.parent)
    is_inside, _turn.is_taken = _turn.is_taken, True
    is_locked = False
    try:  # not a context manager: Ctrl-C as its __exit__ is called would leave the folder locked
        is_locked = folder is not None and not is_inside and lock(folder)
        if is_locked:
            _remove_leftovers(path.parent)
        _write_beside_and_rename(path, content, permissions)
        if folder is not None:
            try:
                os.fsync(folder)  # makes the new name durable
            except OSError as error:
                fault = error
    finally:
        _turn.is_taken = is_inside
        if folder is not None:
            try:
                if is_locked:
                    unlock(folder)
            finally:  # Ctrl-C may come as `unlock` begins, and closing unlocks too
                os.close(folder)
    if fault is not None:
        warn_user(
            f"{shown(str(path))} was saved, but its folder could not be synchronized with the disk ({fault.strerror}): "
            "until the system does so, a loss of power may bring the old file back"
        )


def _permissions(path: Path) -> int | None:
    """Return the permissions of the file at the path, None if there is none; OSError if something else is there."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        raise OSError(errno.ELOOP, "expected a file to write to, and its links lead in a circle", str(path)) from None
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "expected a file to write to, and this is none", str(path))
    return stat.S_IMODE(mode)


def _opened_folder(folder: Path) -> tuple[int | None, OSError | None]:
    """Return the descriptor of the folder, and no error; or None, and the error that is no reason not to save."""
    if not hasattr(os, "O_DIRECTORY"):
        return None, None  # Windows opens no folders
    try:
        return os.open(folder, os.O_RDONLY | os.O_DIRECTORY), None
    except OSError as error:
        if error.errno not in _NO_ACCESS:
            raise
        return None, error


def _write_beside_and_rename(path: Path, content: bytes, permissions: int | None) -> None:
    temporary = path.with_name(f"{_PREFIX}{os.urandom(16).hex()}")

    def create(name: str, flags: int) -> int:
        """Open with the flags of mode "x", which fail if the name exists, even as a link."""
        return os.open(name, flags, 0o666 if permissions is None else permissions)

    file = open(temporary, "xb", opener=create)  # noqa: SIM115  outside `try`, which removes only a file that this made
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
    """Remove temporary files that no living saver has locked."""
    for name in filter(_TEMPORARY.fullmatch, os.listdir(folder)):
        with suppress(OSError):
            descriptor = os.open(folder / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                if stat.S_ISREG(os.fstat(descriptor).st_mode) and lock(descriptor, wait=False):
                    os.unlink(folder / name)
            finally:
                os.close(descriptor)
