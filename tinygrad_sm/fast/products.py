"""Small sums of products, without planning the order of the products."""

from tinygrad_sm.backend import Array, device_of
from tinygrad_sm.dispatch import faster
from tinygrad_sm.ops.linalg import contracted, einsum


def _few_on_the_host(*xs: Array, formula: str) -> bool:
    return sum(x.size for x in xs) <= 4000 and device_of(xs[0]) == "cpu"


@faster(einsum, when=_few_on_the_host, within=1e-6)
def einsum_unplanned(*xs: Array, formula: str) -> Array:
    """Compute the formula as it stands: planning costs 50 µs, which small operands do not win back."""
    return contracted(xs, formula, optimize=False)
