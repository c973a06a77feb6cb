"""What several test files need: leaves to differentiate, and a record of the rules that a walk calls."""

import numpy as np

from tinygrad_sm import Tensor
from tinygrad_sm.mode import observe


def leaf(data=(1.0, 2.0, 3.0), dtype=np.float64):
    return Tensor(np.array(data, dtype), requires_grad=True)


def calls_of_rules(log):
    """Note the operation and the arguments of every rule that is called inside."""

    def note(phase, op, function):
        def call(*args, **kwargs):
            log.append((op.name, args))
            return function(*args, **kwargs)

        return call if phase == "backward" else function

    return observe(note)
