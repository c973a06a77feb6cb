"""Exercises cut from the real source: write a piece of the engine, and the rest of it runs on what you wrote."""

from typing import Any


def load_ipython_extension(ipython: Any) -> None:
    """Give a notebook the magics of the exercises: `%load_ext tinygrad_sm.exercises`."""
    from tinygrad_sm.exercises import notebooks  # not before: the judging process runs modules of this package

    notebooks.load(ipython)
