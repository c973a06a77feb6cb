"""Locks on files and folders, so that processes take turns; a process that ends, in any way, releases its locks."""

from importlib import import_module
from importlib.util import find_spec
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


def unlock(descriptor: int) -> None:
    """Unlock what `lock` has locked: closing it is not enough if a forked process has it open too."""
    fcntl.flock(descriptor, fcntl.LOCK_UN)
