"""The table of op cases: every operation with its domain, shapes, static arguments and an oracle in plain NumPy."""

from tests.ops import cases_arrays, cases_elementwise, cases_products, cases_reductions
from tests.ops.op_case import CASES, OpCase

__all__ = ["CASES", "OpCase", "cases_arrays", "cases_elementwise", "cases_products", "cases_reductions"]
