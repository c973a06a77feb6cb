"""The table of op cases needs no Hypothesis: it draws shapes itself, and ships with the package."""

import subprocess
import sys

import numpy as np
import pytest

from tests.helpers import ROOT
from tinygrad_sm.check.cases import CASES
from tinygrad_sm.check.cases.case import AnyShape, Broadcastable, OneOf


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)
def test_operations_are_as_their_oracles_on_drawn_shapes(case):
    random = np.random.default_rng(0)
    for seed in range(5):
        arrays = case.operands(case.shapes.draw(random), seed)
        np.testing.assert_allclose(case(*arrays), case.expected(*arrays), rtol=1e-13, atol=1e-14)


def test_drawn_shapes_are_of_their_kind_and_of_many_kinds():
    random = np.random.default_rng(0)
    pairs = {Broadcastable(2).draw(random) for _ in range(300)}
    assert len({np.broadcast_shapes(*shapes) for shapes in pairs}) > 20
    assert any(a != b for a, b in pairs)
    shapes = {AnyShape((2, 3), (1, 3)).draw(random) for _ in range(300)}
    assert {len(shape) for (shape,) in shapes} == {2, 3}
    assert {n for (shape,) in shapes for n in shape} == {1, 2, 3}
    assert {OneOf([((1,),), ((2,),)]).draw(random) for _ in range(30)} == {((1,),), ((2,),)}


def test_the_table_is_imported_without_hypothesis():
    code = "import sys; sys.modules['hypothesis'] = None; from tinygrad_sm.check.cases import CASES; print(len(CASES))"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert int(told.stdout) == len(CASES) > 150
