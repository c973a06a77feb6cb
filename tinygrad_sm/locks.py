"""Locks on files and folders, so that processes take turns; a process that ends, in any way, releases its locks.

And a way to open what is a file, and nothing else: a pipe may keep its reader waiting, and a device may have no end.
"""

import os
import stat
import time
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from io import BufferedReader
from typing import Any

fcntl: Any = import_module("fcntl") if find_spec("fcntl") else None  # neither Windows nor a browser has it


def lock(descriptor: int, wait: bool = True) -> bool:
    """Lock the file or folder until it is closed; return whether it is locked: not all file systems have locks."""
    if fcntl is None:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def lock_within(descriptor: int, seconds: float) -> bool:
    """Lock as `lock` does, but raise TimeoutError if another still holds the lock after so many seconds."""
    end = time.monotonic() + seconds
    while fcntl is not None:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        except BlockingIOError:
            if time.monotonic() >= end:
                raise TimeoutError(f"another process still holds the lock after {seconds:g} s") from None
            time.sleep(0.05)
        except OSError:
            break
    return False


def unlock(descriptor: int) -> None:
    """Unlock what `lock` has locked, before it is closed: a forked process may have it open too.

    An error is none of the caller's, whose work is done.
    """
    with suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def open_file(path: str | os.PathLike[str]) -> BufferedReader:
    """Open a file to read its bytes; ValueError, before anything is read, if it is a pipe or a device."""

    def at_once(name: str, flags: int) -> int:
        """Open without waiting, as a pipe waits for its writer."""
        return os.open(name, flags | getattr(os, "O_NONBLOCK", 0))

    file = open(path, "rb", opener=at_once)  # noqa: SIM115  the caller closes it
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise ValueError("a pipe or a device is at the path")
    return file
