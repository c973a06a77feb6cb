"""Rules of matrix products."""

import tinygrad_sm as tg
from tinygrad_sm.exercises.chapters.asking import At, at, probes_of_rules
from tinygrad_sm.exercises.exercise import Exercise, Rules

MATMUL = "matmul.vjp(lambda g, out, a, b: {}, lambda g, out, a, b: {})"
FULL_A = """def _matmul_rule_a(g, out, a, b):
    g, rows, columns = _as_matrices(g, a, b)
    return {}
"""
FULL_B = """def _matmul_rule_b(g, out, a, b):
    g, rows, columns = _as_matrices(g, a, b)
    return {}
"""
A, B = (
    "sum_to_shape(g @ columns.swapaxes(-1, -2), rows.shape).reshape(a.shape)",
    "sum_to_shape(rows.swapaxes(-1, -2) @ g, columns.shape).reshape(b.shape)",
)


def matmul(a: str = A, b: str = B) -> str:
    """Return an answer to the exercise of matmul with these two rules on matrices."""
    return FULL_A.format(a) + "\n\n" + FULL_B.format(b) + "\n\nmatmul.vjp(_matmul_rule_a, _matmul_rule_b)"


def matrices_first(call: At) -> int:
    """Return 0 for two matrices, 1 where an operand has one axis, 2 for batches."""
    axes = [x.ndim for x in call.operands]
    return 0 if axes == [2, 2] else 1 if max(axes) <= 2 else 2


EXERCISES = (
    Exercise(
        name="matmul",
        title="The rules of a matrix product",
        path="ops/linalg.py",
        piece=Rules("matmul"),
        reading=("docs/layouts.md, Weights: Wx, XW and xᵀw", "examples/chain_rule.py, part 3"),
        rows=(39, 49, 57),
        minutes=30,
        task="matmul gives out = a @ b: (..., M, K) and (..., K, N) give (..., M, N). Return ∂L/∂a and ∂L/∂b, each "
        "in the shape of its operand, from g of the shape of out. First for two matrices. Then for operands "
        "of one axis, which stand for a row or a column: `_as_matrices(g, a, b)` puts the axes back. Last for "
        "batches: where one operand was repeated for all of a batch, `sum_to_shape(g, shape)` adds up.",
        hints=(
            "Look at the shapes: g is M×N and b is K×N, and ∂L/∂a must be M×K. There is one product that fits.",
            "out_mn = Σ_k a_mk b_kn: so ∂L/∂a_mk = Σ_n g_mn b_kn. Which of the two matrices is transposed there?",
            "x.swapaxes(-1, -2) transposes each matrix of a batch.",
        ),
        probes=probes_of_rules(
            tg.matmul,
            at([[2.0]], [[3.0]]),
            at([[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 9.0]]),
            at([[1.0, 2.0], [3.0, 4.0]], [5.0, 6.0]),
            at([1.0, 2.0], [[3.0, 4.0], [5.0, 6.0]]),
            at([1.0, 2.0], [3.0, 5.0]),
            at([[[1.0, 2.0]], [[3.0, 4.0]]], [[5.0, 6.0], [7.0, 9.0]]),
            at([[1.0, 2.0]], [[[3.0], [4.0]], [[5.0], [6.0]]]),
            at([[1.0, 2.0]], [[3.0], [5.0]]),
            stage=matrices_first,
        ),
        mistakes={
            "your rule for a forgets to transpose b": (
                MATMUL.format("g @ b", "a.swapaxes(-1, -2) @ g"),
                matmul(a="sum_to_shape(g @ columns, rows.shape).reshape(a.shape)"),
            ),
            "your rule for b forgets to transpose a": (
                MATMUL.format("g @ b.swapaxes(-1, -2)", "a @ g"),
                matmul(b="sum_to_shape(rows @ g, columns.shape).reshape(b.shape)"),
            ),
            "your rules forget to transpose: with matrices that are not square the shapes do not even fit": (
                MATMUL.format("g @ b", "a @ g"),
                matmul("g @ columns", "rows @ g"),
            ),
            "your rules multiply from the wrong side: matrices do not commute": (
                MATMUL.format("b.swapaxes(-1, -2) @ g", "g @ a.swapaxes(-1, -2)"),
                matmul("columns.swapaxes(-1, -2) @ g", "g @ rows.swapaxes(-1, -2)"),
            ),
            "your rule for a multiplies from the wrong side: matrices do not commute": (
                MATMUL.format("b.swapaxes(-1, -2) @ g", "a.swapaxes(-1, -2) @ g")
            ),
            "your rule for b multiplies from the wrong side: matrices do not commute": (
                MATMUL.format("g @ b.swapaxes(-1, -2)", "g @ a.swapaxes(-1, -2)")
            ),
            "your rules multiply element by element, as for a ⊙ b: each element of a meets a whole row of b": (
                MATMUL.format("g * b", "g * a")
            ),
            "your rules forget g: what arrives, ∂L/∂out, must be one of the two matrices in the product": (
                MATMUL.format("b.swapaxes(-1, -2)", "a.swapaxes(-1, -2)"),
                MATMUL.format("b", "a"),
            ),
            "your rules are right for two matrices; an operand of one axis stands for "
            "a row or a column, which must be put back before a matrix is transposed": (
                MATMUL.format("g @ b.swapaxes(-1, -2)", "a.swapaxes(-1, -2) @ g"),
                MATMUL.format(
                    "sum_to_shape(g @ b.swapaxes(-1, -2), a.shape)", "sum_to_shape(a.swapaxes(-1, -2) @ g, b.shape)"
                ),
            ),
            "your rules are right for two matrices: an operand of one axis has "
            "nothing to transpose, and for a batch .T turns all axes around": (MATMUL.format("g @ b.T", "a.T @ g")),
            "your rules are right for operands of one axis or two; for a "
            "batch of them, .T turns all axes around, not only the last two": (
                matmul(
                    "sum_to_shape(g @ columns.T, rows.shape).reshape(a.shape)",
                    B.replace("rows.swapaxes(-1, -2)", "rows.T"),
                )
            ),
            "your rules are right without batches: an operand that "
            "was repeated for all of a batch must get the sum over it": (
                matmul(
                    "(g @ columns.swapaxes(-1, -2)).reshape(a.shape)", "(rows.swapaxes(-1, -2) @ g).reshape(b.shape)"
                )
            ),
            "your answer for an operand of one axis has two: the axis that was put back must go again": (
                matmul(A.removesuffix(".reshape(a.shape)"), B.removesuffix(".reshape(b.shape)")),
                matmul("g @ columns.swapaxes(-1, -2)", "rows.swapaxes(-1, -2) @ g"),
            ),
            "your rules are exchanged: that of a must come first": (
                MATMUL.format("a.swapaxes(-1, -2) @ g", "g @ b.swapaxes(-1, -2)"),
                matmul(
                    B.replace("b.shape", "a.shape").replace("columns.shape", "rows.shape"),
                    A.replace("a.shape", "b.shape").replace("rows.shape", "columns.shape"),
                ),
            ),
            "your rules give the gradients transposed": (
                MATMUL.format("b @ g.swapaxes(-1, -2)", "g.swapaxes(-1, -2) @ a"),
                MATMUL.format("(g @ b.swapaxes(-1, -2)).swapaxes(-1, -2)", "(a.swapaxes(-1, -2) @ g).swapaxes(-1, -2)"),
            ),
            "your rules reshape where they should transpose: a reshape keeps the order of the numbers": (
                MATMUL.format("g @ b.reshape(b.shape[::-1])", "a.reshape(a.shape[::-1]) @ g")
            ),
            "your rule for a is right, and that of b forgets g": (
                MATMUL.format("g @ b.swapaxes(-1, -2)", "a.swapaxes(-1, -2)")
            ),
            "your rule for a forgets g: what arrives, ∂L/∂out, must be one of the two matrices in the product": (
                MATMUL.format("b.swapaxes(-1, -2)", "a.swapaxes(-1, -2) @ g"),
                MATMUL.format("b", "a.swapaxes(-1, -2) @ g"),
            ),
            "your rule for a multiplies g by a: how fast a @ b grows with a depends on b": (
                MATMUL.format("g @ a.swapaxes(-1, -2)", "a.swapaxes(-1, -2) @ g"),
                MATMUL.format("g @ a", "a.swapaxes(-1, -2) @ g"),
            ),
            "your rule for b multiplies g by b: how fast a @ b grows with b depends on a": (
                MATMUL.format("g @ b.swapaxes(-1, -2)", "b.swapaxes(-1, -2) @ g"),
                MATMUL.format("g @ b.swapaxes(-1, -2)", "b @ g"),
            ),
            "each of your rules multiplies g by its own operand: how fast a @ b grows with one depends on the other": (
                MATMUL.format("g @ a.swapaxes(-1, -2)", "b.swapaxes(-1, -2) @ g")
            ),
            "your rule for a transposes g, and b is left as it is: exactly the other way round": (
                MATMUL.format("g.swapaxes(-1, -2) @ b", "a.swapaxes(-1, -2) @ g")
            ),
            "your rule for a transposes g, which must stay as it is": (
                MATMUL.format("g.swapaxes(-1, -2) @ b.swapaxes(-1, -2)", "a.swapaxes(-1, -2) @ g")
            ),
            "your rule for b transposes g, and a is left as it is: exactly the other way round": (
                MATMUL.format("g @ b.swapaxes(-1, -2)", "a @ g.swapaxes(-1, -2)")
            ),
            "your rule for b transposes g, which must stay as it is": (
                MATMUL.format("g @ b.swapaxes(-1, -2)", "a.swapaxes(-1, -2) @ g.swapaxes(-1, -2)")
            ),
            "your rule for b gives the gradient transposed": (
                MATMUL.format("g @ b.swapaxes(-1, -2)", "g.swapaxes(-1, -2) @ a")
            ),
            "your rule for a gives the gradient transposed": (
                MATMUL.format("b @ g.swapaxes(-1, -2)", "a.swapaxes(-1, -2) @ g")
            ),
            "your rules multiply from the wrong side, and forget to transpose": MATMUL.format("b @ g", "g @ a"),
            "your rules hand g on as it came: the other matrix is missing": MATMUL.format("g", "g"),
            "your rules have the wrong sign": MATMUL.format("-g @ b.swapaxes(-1, -2)", "-a.swapaxes(-1, -2) @ g"),
        },
    ),
)
