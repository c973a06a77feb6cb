"""Random numbers: the one generator of all draws.

    manual_seed(0)
    random_generator().random(3)    # the same three numbers after each manual_seed(0)

It draws on the host, so that a seed means the same on every device.
"""

from __future__ import annotations

import numpy as np

_generator: np.random.Generator | None = None  # made when first used: NumPy imports its random numbers only then


def manual_seed(seed: int) -> None:
    """Seed all random draws from here on: initial parameters, dropout, `rand` and `randn`."""
    global _generator
    _generator = np.random.default_rng(seed)


def random_generator() -> np.random.Generator:
    """Return the one generator of all draws."""
    global _generator
    if _generator is None:
        _generator = np.random.default_rng()
    return _generator
