"""Hypothesis strategies for the shapes of op cases."""

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st

from tinygrad_sm.check.cases.case import AnyShape, OneOf


def shapes_of(case):
    """Return the strategy of the shapes that a case may have."""
    kind = case.shapes
    if isinstance(kind, OneOf):
        return st.sampled_from(kind.choices)
    if isinstance(kind, AnyShape):
        (least, most), (shortest, longest) = kind
        shape = hnp.array_shapes(min_dims=least, max_dims=most, min_side=shortest, max_side=longest)
        return shape.map(lambda shape: (shape,))
    drawn = hnp.mutually_broadcastable_shapes(num_shapes=kind.operands, min_dims=0, max_dims=3, min_side=0, max_side=3)
    return drawn.map(lambda drawn: drawn.input_shapes)
