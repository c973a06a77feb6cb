"""The table of op cases: every operation with its domain, shapes, static arguments and an oracle in plain NumPy."""

import cases_arrays
import cases_elementwise
import cases_products
import cases_reductions
from op_case import CASES, OpCase

__all__ = ["CASES", "OpCase", "cases_arrays", "cases_elementwise", "cases_products", "cases_reductions"]
