"""The table of op cases: every operation with its domain, shapes, static arguments and an oracle in plain NumPy.

>>> import numpy as np
>>> case = next(case for case in CASES if case.label == "exp()")
>>> operands = case.operands(case.shapes.draw(np.random.default_rng(0)))
>>> bool(np.all(case(*operands) == case.expected(*operands)))
True
"""

from tinygrad_sm.check.cases import arrays, elementwise, matrices, products, reductions
from tinygrad_sm.check.cases.case import CASES, COSTLY, UNPROVED, OpCase

__all__ = ["CASES", "COSTLY", "UNPROVED", "OpCase", "arrays", "elementwise", "matrices", "products", "reductions"]
