"""A Module without annotations, as learners write it: pyright reads its result from its body, mypy does not."""

from typing import assert_type

import tinygrad_sm as tg
from tinygrad_sm import Tensor, nn


class Perceptron(nn.Module):
    """A Module as one writes it in a notebook."""

    def __init__(self):
        self.layer = nn.Linear(3, 2)

    def forward(self, x):
        """Return the logits."""
        return tg.relu(self.layer(x))


model = Perceptron()
assert_type(model.layer(tg.ones(4, 3)), Tensor)
assert_type(model(tg.ones(4, 3)), Tensor)  # error: mypy  says Any of every function without annotations
