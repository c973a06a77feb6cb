"""The table of proofs, docs/proofs.md: each row of the table of op cases, proved at orders 1 and 2, or declared.

`make proofs` writes it; a test makes each line anew.
"""

import multiprocessing

import tinygrad_sm as tg
from tests.helpers import ROOT
from tinygrad_sm.check.cases import CASES, UNPROVED

PAGE = ROOT / "docs/proofs.md"
SMALLER = {((2, 3, 2),): ((2, 2, 2),), ((3, 4), (3, 4)): ((2, 3), (2, 3))}
"""Shapes that say as much as those of the table, in formulas that are short enough."""

INTRODUCTION = """\
# What is proved

The checker of gradients compares numbers. `tg.prove` compares formulas: it runs a forward, and the gradient rules under
it, on arrays of SymPy's symbols, and shows that the gradient which the engine computes from them is the derivative of
the forward, for all real numbers of a region. At order 2 it shows the same for
the gradient itself, as a function of the inputs and of g, the gradient that comes in.

```python
>>> import tinygrad_sm as tg
>>> print(tg.prove(tg.softmax, (1, 3)))
softmax: proved at orders 1 and 2 with 9 variables, where x[0,0] > x[0,1], x[0,0] > x[0,2]
```

A region is what forward and rules compare on the way, as softmax looks for the largest element of a row, and where all
that they compute exists, as a logarithm does for positive numbers. "Rounded by ..." says that a rule multiplies numbers
that are floats, such as 1/3: the formulas agree but for coefficients that differ by that much. A row without orders is
declared, with the reason. Numbers are real here: casts are not seen, nor are the faster forms, which tests compare with
the plain ones. The inputs are x0, x1, and so on; the proof that `tg.prove` returns has all conditions. `getitem#6`
takes index 6 of those in `tinygrad_sm/check/cases/arrays.py`.

`make proofs` makes this table, and the tests make each of its rows anew.

"""
HEAD = "| operation | shapes | orders | path | region |\n| --- | --- | --- | --- | --- |\n"


def shapes_of(case):
    """Return the shapes for which a case is proved: those of the table, or smaller ones that it takes too."""
    if case.label.startswith("std"):
        return ((2, 2, 1),)  # roots make the longest formulas
    return case.fixed if case.label.startswith("getitem") else SMALLER.get(case.fixed, case.fixed)


def row(case):
    """Prove a case, and return its line of the table."""
    operands = case.operands(shapes_of(case))
    shapes = ", ".join(str(x.shape) for x in operands)
    label = f"`{' '.join(case.label.split())}`".replace("](", "] (")  # no link
    if case.label in UNPROVED:
        return f"| {label} | {shapes} | – | – | {UNPROVED[case.label]} |"
    proof = tg.prove(lambda *xs: case(*xs), operands)
    region = "everywhere"
    if proof.conditions:
        shortest = min(proof.conditions, key=lambda condition: (len(condition), condition))
        shortest = shortest if len(shortest) <= 60 else f"{shortest[:30]} ... {shortest[-25:]}"
        region = f"where {shortest}" + f", and {len(proof.conditions) - 1} more" * (len(proof.conditions) > 1)
    if proof.rounding:
        region += f"; rounded by {proof.rounding:.0e}"
    orders = " and ".join(str(k + 1) for k in range(proof.order))
    return f"| {label} | {shapes} | {orders} | {' → '.join(dict.fromkeys(proof.path))} | {region} |"


def main():
    with multiprocessing.Pool() as pool:
        rows = pool.map(row_number, range(len(CASES)), chunksize=1)
    PAGE.write_text(INTRODUCTION + HEAD + "\n".join(rows) + "\n", "utf-8")


def row_number(number):
    try:
        return row(CASES[number])
    except Exception as error:
        raise RuntimeError(f"in {CASES[number].label}") from error


if __name__ == "__main__":
    main()
