"""What type checkers know of a call of a Module: it takes what its `forward` takes, and gives what that gives.

With `def forward(self, x: Tensor, scale: float = 1.0) -> Tensor`, a call model(x, scale=2.0) is a Tensor to an editor,
and model(x, sclae=2.0) is an error.
"""

from typing import ParamSpec, Protocol, TypeVar

P = ParamSpec("P")
R = TypeVar("R", covariant=True)


class HasForward(Protocol[P, R]):
    """An object whose `forward` has the parameters P and the result R."""

    def forward(self, *inputs: P.args, **options: P.kwargs) -> R:
        """Compute the result."""
