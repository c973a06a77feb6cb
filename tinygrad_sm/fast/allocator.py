"""Keep the memory that a step frees for the next step."""

import numpy as np


def keep_freed_memory() -> None:
    """Let the C library of Linux, glibc, keep freed memory, up to 64 MiB, for the rest of the process.

    glibc gives freed memory back to the system, and asks for it again in the next step. That costs a page fault every
    4 KiB, at worst a third of a step. glibc learns how much to keep: twice the largest block of up to 32 MiB that was
    freed so far (mallopt(3): the dynamic threshold). So this function frees a block of almost 32 MiB, never touched.
    What is larger is given back as before. With another C library, or with the MALLOC_ variables of the environment
    set, nothing changes.

    Importing does not call it, because it changes the whole process: a program calls it once, before it trains.
    """
    np.empty(2**25 - 2**13, np.uint8)
