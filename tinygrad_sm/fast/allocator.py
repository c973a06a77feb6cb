"""The memory that a step frees, kept for the next step."""

import numpy as np


def keep_freed_memory() -> None:
    """Let the C library of Linux, glibc, keep freed memory, up to 32 MiB, for the rest of the process.

    glibc gives freed memory back to the system, and asks for it again in the next step: a page fault every 4 KiB, at
    worst a third of a step. How much it keeps, it learns: twice the largest block that was freed so far, of those up to
    32 MiB (mallopt(3): the dynamic threshold). So a block of 16 MiB, never touched, is freed here. With another C
    library, or with the MALLOC_ variables of the environment set, nothing changes.

    It is a function to call, because it changes the whole process: a program calls it once, where it begins to train.
    """
    np.empty(2**24, np.uint8)
