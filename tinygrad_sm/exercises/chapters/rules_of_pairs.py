"""Rules of operations of two operands that work element by element."""

import tinygrad_sm as tg
from tinygrad_sm.exercises.chapters.asking import (
    EPS,
    WRITES_INTO_G,
    at,
    broadcasts_later,
    probes_of_rules,
    rule_in_place,
)
from tinygrad_sm.exercises.exercise import Exercise, Rules

MULTIPLY = "multiply.vjp(lambda g, out, a, b: {}, lambda g, out, a, b: {})"
DIVIDE = "divide.vjp(lambda g, out, a, b: {}, lambda g, out, a, b: {})"


FIRST_AXIS = """def summed(g, x, out):
    return g if x.shape == out.shape else g.sum(axis=0{1})


{0}.vjp(lambda g, out, a, b: {2}, lambda g, out, a, b: {3})"""
OF_FIRST_AXIS_ONLY = (
    "a rule of yours undoes the broadcast itself, over the first axis only: "
    "another one may have been repeated, or several, and the tape does this anyway"
)


def over_first_axis(name: str, a: str, b: str) -> tuple[str, ...]:
    """Return answers in which both rules, or one, add up over the first axis where their operand was broadcast."""
    of_a, of_b = f"summed({a}, a, out)", f"summed({b}, b, out)"
    rules = ((of_a, of_b), (a, of_b), (of_a, b))
    return tuple(FIRST_AXIS.format(name, kept, *pair) for kept in ("", ", keepdims=True") for pair in rules)


EXERCISES = (
    Exercise(
        name="multiply",
        title="The rules of a ⊙ b",
        path="ops/elementwise.py",
        piece=Rules("multiply"),
        reading=("tinygrad_sm/engine/primitive.py, its first page", "examples/chain_rule.py, part 3"),
        rows=(44, 49),
        minutes=5,
        task="multiply gives out = a ⊙ b, element by element. Return ∂L/∂a and ∂L/∂b from g = ∂L/∂out, each in a rule "
        "of its own. Where a or b was broadcast, answer in the shape of out: the tape sums what was repeated.",
        hints=(
            "Hold b still: a · b is then a straight line in a. What is its slope?",
            "The slope in a is b, and the slope in b is a.",
            "Each slope is multiplied by g.",
        ),
        probes=probes_of_rules(
            tg.multiply,
            at([3.0], [5.0]),
            at([2.0, 0.0], [3.0, 4.0]),
            at([[1.0, 2.0], [3.0, 4.0]], [[5.0], [6.0]]),
            at([[5.0], [6.0]], [[1.0, 2.0], [3.0, 4.0]]),
            at([[1.0, 2.0], [3.0, 4.0]], [5.0, 6.0]),
            stage=broadcasts_later,
        ),
        mistakes={
            "your rules forget g: they give ∂out/∂a and ∂out/∂b, and each must still be multiplied by ∂L/∂out": (
                MULTIPLY.format("b", "a")
            ),
            "your rule for a forgets g: what arrives, ∂L/∂out, must be a factor": MULTIPLY.format("b", "g * a"),
            "your rule for b forgets g: what arrives, ∂L/∂out, must be a factor": MULTIPLY.format("g * b", "a"),
            "each of your rules multiplies by its own operand: how fast a · b grows with a depends on the other one": (
                MULTIPLY.format("g * a", "g * b")
            ),
            "your rule for a multiplies by a: how fast a · b grows with a depends on the other one": (
                MULTIPLY.format("g * a", "g * a")
            ),
            "your rule for b multiplies by b: how fast a · b grows with b depends on the other one": (
                MULTIPLY.format("g * b", "g * b")
            ),
            "your rules hand g on as it came: those are the rules of a + b": MULTIPLY.format("g", "g"),
            "your rules multiply by out: only one of its two factors is the slope": (
                MULTIPLY.format("g * out", "g * out")
            ),
            "your rules add where the chain rule multiplies": MULTIPLY.format("g + b", "g + a"),
            "your rules divide out by an operand, which gives 0/0 where that is 0": (
                MULTIPLY.format("g * out / a", "g * out / b")
            ),
            "your rule for b has the wrong sign: nothing is subtracted in a · b": MULTIPLY.format("g * b", "-g * a"),
            "your rules divide where they should multiply": MULTIPLY.format("g / b", "g / a"),
            "each of your rules adds both slopes: hold the other operand still": (
                MULTIPLY.format("g * b + g * a", "g * a + g * b")
            ),
            "your rule for a hands g on as it came: its slope, which depends on b, is missing": (
                MULTIPLY.format("g", "g * a")
            ),
            "your rule for b hands g on as it came: its slope, which depends on a, is missing": (
                MULTIPLY.format("g * b", "g")
            ),
            "your rule for a multiplies by out: only one of its two factors is the slope": (
                MULTIPLY.format("g * out", "g * a")
            ),
            "your rule for b multiplies by out: only one of its two factors is the slope": (
                MULTIPLY.format("g * b", "g * out")
            ),
            "your rule for a has the wrong sign: nothing is subtracted in a · b": MULTIPLY.format("-g * b", "g * a"),
            "your rules have the wrong sign: nothing is subtracted in a · b": MULTIPLY.format("-g * b", "-g * a"),
            "your rules have a factor of 2 too much: each operand occurs once in a · b": (
                MULTIPLY.format("2 * g * b", "2 * g * a")
            ),
            "your rules forget g, and each gives its own operand: the slope in one is the other": (
                MULTIPLY.format("a", "b")
            ),
            "your rule for a adds where the chain rule multiplies": MULTIPLY.format("g + b", "g * a"),
            "your rule for a divides where it should multiply": MULTIPLY.format("g / b", "g * a"),
            "your rules are those of matrix products: ⊙ works element by element": (
                MULTIPLY.format("g @ b", "g @ a"),
                MULTIPLY.format("g @ b.T", "a.T @ g"),
            ),
            "your rules add up over the first axis, which is not theirs to do: the tape sums what was repeated": (
                MULTIPLY.format("(g * b).sum(axis=0)", "(g * a).sum(axis=0)")
            ),
            "your rule for b adds up over the first axis, which is not its to do: the tape sums what was repeated": (
                MULTIPLY.format("g * b", "(g * a).sum(axis=0)")
            ),
            "your rules add up all elements: each element must have a gradient of its own": (
                MULTIPLY.format("(g * b).sum()", "(g * a).sum()")
            ),
            OF_FIRST_AXIS_ONLY: over_first_axis("multiply", "g * b", "g * a"),
            WRITES_INTO_G: (
                rule_in_place("multiply", "a, b", "g *= b").replace("rule)", "rule, lambda g, out, a, b: g * a)"),
                "def rule(g, out, a, b):\n    g *= a\n    return g\n\n\nmultiply.vjp(lambda g, out, a, b: g * b, rule)",
                "def rule_a(g, out, a, b):\n    g *= b\n    return g\n\n\ndef rule_b(g, out, a, b):\n    g *= a\n"
                "    return g\n\n\nmultiply.vjp(rule_a, rule_b)",
            ),
            "your rule for b adds where the chain rule multiplies": MULTIPLY.format("g * b", "g + a"),
            "your rule for b divides where it should multiply": MULTIPLY.format("g * b", "g / a"),
            "your rule for a adds both slopes: hold the other operand still": MULTIPLY.format("g * b + g * a", "g * a"),
            "your rule for b adds both slopes: hold the other operand still": MULTIPLY.format("g * b", "g * a + g * b"),
            "your rules forget g, and give out: only one of its two factors is the slope": (
                MULTIPLY.format("out", "out")
            ),
            "your rule for a forgets g, and gives its own operand: the slope in one is the other": (
                MULTIPLY.format("a", "g * a")
            ),
            "your rule for b forgets g, and gives its own operand: the slope in one is the other": (
                MULTIPLY.format("g * b", "b")
            ),
            "your rules have half of what belongs there": MULTIPLY.format("g * b / 2", "g * a / 2"),
            "your rules square an operand: each occurs once in a · b": MULTIPLY.format("g * b * b", "g * a * a"),
        },
        hides={
            "engine/sources.py": ("'lambda g, out, a, b: g * b  # ∂L/∂a = g ⊙ b'",),
            "engine/primitive.py": (
                "lambda g, out, a, b: g * b,        # ∂L/∂a = g ⊙ b",
                "lambda g, out, a, b: g * a)        # ∂L/∂b = g ⊙ a",
            ),
        },
    ),
    Exercise(
        name="divide",
        title="The rules of a / b",
        path="ops/elementwise.py",
        piece=Rules("divide"),
        reading=("examples/chain_rule.py, part 2",),
        rows=(44, 48),
        minutes=10,
        task="divide gives out = a / b, element by element. Return ∂L/∂a and ∂L/∂b from g = ∂L/∂out, each in a rule "
        "of its own. Where a or b was broadcast, answer in the shape of out: the tape sums what was repeated.",
        hints=(
            "In a it is a straight line, in b it is a hyperbola, which falls.",
            "The derivative of 1/b is −1/b².",
            "a/b² is out/b.",
        ),
        probes=probes_of_rules(
            tg.divide,
            at([3.0], [5.0]),
            at([6.0, 0.0], [2.0, -4.0]),
            at([1.0], [1e-14]),
            at([[1.0, 2.0], [3.0, 4.0]], [[2.0], [5.0]]),
            at([[2.0], [5.0]], [[1.0, 2.0], [3.0, 4.0]]),
            at([[1.0, 2.0], [3.0, 4.0]], [2.0, 5.0]),
            stage=broadcasts_later,
        ),
        mistakes={
            "your rule for b has another sign where b is negative: a / b has one formula on both sides": (
                DIVIDE.format("g / b", "where(b > 0, -g * a / (b * b), g * a / (b * b))"),
                DIVIDE.format("g / b", "-g * a / (b * abs(b))"),
            ),
            "your rules forget g: each slope must still be multiplied by ∂L/∂out": DIVIDE.format("1 / b", "-out / b"),
            "your rule for a forgets g: what arrives, ∂L/∂out, must be a factor": (
                DIVIDE.format("1 / b", "-g * out / b")
            ),
            "your rule for b forgets g: what arrives, ∂L/∂out, must be a factor": DIVIDE.format("g / b", "-out / b"),
            "your rule for b has the wrong sign: the larger b is, the smaller is a / b": (
                DIVIDE.format("g / b", "g * out / b")
            ),
            "your rule for b divides by b only once: the derivative of 1/b is not −1/b": (
                DIVIDE.format("g / b", "-g * a / b"),
                DIVIDE.format("g / b", "-g * out"),
            ),
            "your rule for b divides by b only once, and its sign is wrong too": DIVIDE.format("g / b", "g * out"),
            "your rule for b forgets a, the numerator": (
                DIVIDE.format("g / b", "-g / (b * b)"),
                DIVIDE.format("g / b", "-g / b**2"),
            ),
            "your rule for b has 2 b where a power of b belongs": DIVIDE.format("g / b", "-g * a / (2 * b)"),
            "your rule for b divides out by a, so that a cancels: how fast a / b falls with b must depend on a": (
                DIVIDE.format("g / b", "-g * out / a")
            ),
            "your rule for b is that of a product: a / b does not grow in proportion to b": (
                DIVIDE.format("g / b", "g * a")
            ),
            "your rules are those of a product: in a / b, b must divide": (DIVIDE.format("g * b", "g * a")),
            "your rule for b is that of a, with the names exchanged: b must stay below the line": (
                DIVIDE.format("g / b", "g / a")
            ),
            "your rule for a multiplies by b, and b must divide": DIVIDE.format("g * b", "-g * out / b"),
            "your rule for a hands g on as it came: if a grows by ε, a / b grows by something else than ε": (
                DIVIDE.format("g", "-g * out / b")
            ),
            "your rules stand in the wrong order: that of a must come first, then that of b": (
                DIVIDE.format("-g * out / b", "g / b")
            ),
            "your rule for b has b to the third power": DIVIDE.format("g / b", "-g * out / (b * b)"),
            "your rule for a divides by a: it is b that divides a": DIVIDE.format("g / a", "-g * out / b"),
            "your rule for a divides by b twice: in a / b, a is divided by it once": (
                DIVIDE.format("g / (b * b)", "-g * out / b")
            ),
            "your rule for a has the wrong sign: a / b grows with a": DIVIDE.format("-g / b", "-g * out / b"),
            "your rule for a multiplies by out: that has a in it, and the slope in a must not": (
                DIVIDE.format("g * out", "-g * out / b")
            ),
            "your rule for b multiplies by b where it should divide": (
                DIVIDE.format("g / b", "-g * a * b"),
                DIVIDE.format("g / b", "-g * a * b * b"),
            ),
            "your rule for b has the two operands exchanged": (
                DIVIDE.format("g / b", "-g * b / (a * a)"),
                DIVIDE.format("g / b", "g * b / (a * a)"),
            ),
            "your rule for b is that of a: a / b falls as b grows, and how fast depends on a": (
                DIVIDE.format("g / b", "g / b")
            ),
            "your rule for b has a squared: a must stand above the line once": (
                DIVIDE.format("g / b", "-g * a * a / (b * b)")
            ),
            "your rule for b comes to −g a, and b must divide: note "
            "that / and * go from left to right, so that a / b * b is a": (
                DIVIDE.format("g / b", "-g * a"),
                DIVIDE.format("g / b", "-g * a / b * b"),
            ),
            "your rule for b multiplies by b, and forgets a: b must stand below the line": (
                DIVIDE.format("g / b", "-g * b")
            ),
            "your rule for b has a logarithm, as that of an exponent does: b is no exponent": (
                DIVIDE.format("g / b", "-g * a * log(b)"),
                DIVIDE.format("g / b", "g * a * log(b)"),
            ),
            "your rule for b hands on g, or −g: its slope is missing": (
                DIVIDE.format("g / b", "g"),
                DIVIDE.format("g / b", "-g"),
            ),
            "your rule for b has the wrong sign, and forgets a": DIVIDE.format("g / b", "g / (b * b)"),
            "your rule for a has both terms of the quotient rule: "
            "b must be held still there, so that one of them is 0": (
                DIVIDE.format("g * (b - a) / (b * b)", "-g * out / b"),
                DIVIDE.format("g * (a - b) / (b * b)", "-g * out / b"),
            ),
            "your rule for b has both terms of the quotient rule: "
            "a must be held still there, so that one of them is 0": (
                DIVIDE.format("g / b", "g * (b - a) / (b * b)"),
                DIVIDE.format("g / b", "g * (a - b) / (b * b)"),
            ),
            OF_FIRST_AXIS_ONLY: over_first_axis("divide", "g / b", "-g * out / b"),
            WRITES_INTO_G: (
                rule_in_place("divide", "a, b", "g /= b").replace("rule)", "rule, lambda g, out, a, b: -g * out / b)"),
                "def rule(g, out, a, b):\n    g *= -out / b\n    return g\n\n\n"
                "divide.vjp(lambda g, out, a, b: g / b, rule)",
                "def rule_a(g, out, a, b):\n    g /= b\n    return g\n\n\ndef rule_b(g, out, a, b):\n"
                "    g *= -out / b\n    return g\n\n\ndivide.vjp(rule_a, rule_b)",
            ),
            "a small number is added to b, or to its square, for safety: the slope is then not that of a / b": (
                *(DIVIDE.format(f"g / (b + {eps})", "-g * out / b") for eps in EPS),
                *(DIVIDE.format("g / b", f"-g * a / (b * b + {eps})") for eps in EPS),
                *(DIVIDE.format("g / b", f"-g * out / (b + {eps})") for eps in EPS),
                *(DIVIDE.format("g / b", f"-g * a / ((b + {eps}) * (b + {eps}))") for eps in EPS),
                *(DIVIDE.format(f"g / (b + {eps})", f"-g * a / (b * b + {eps})") for eps in EPS),
                *(DIVIDE.format(f"g / (b + {eps})", f"-g * out / (b + {eps})") for eps in EPS),
            ),
            "your rule for b divides by b only once, and forgets a": (DIVIDE.format("g / b", "-g / b")),
            "your rule for b has a factor of 2 too much: the slope of 1/b has no 2 in it": (
                DIVIDE.format("g / b", "-2 * g * a / (b * b)")
            ),
            "your rule for b has a factor of 2, and b to the third power: the second derivative has these": (
                DIVIDE.format("g / b", "-2 * g * a / (b * b * b)"),
                DIVIDE.format("g / b", "2 * g * a / (b * b * b)"),
            ),
            "your rule for b has half of what belongs there": (DIVIDE.format("g / b", "-g * a / (2 * b * b)")),
            "your rule for b divides by a: a must stand above the line, and b below": (
                DIVIDE.format("g / b", "g * b / a"),
                DIVIDE.format("g / b", "-g * b / a"),
                DIVIDE.format("g / b", "-g / a"),
                DIVIDE.format("g / b", "-g / (a * a)"),
            ),
            "your rule for b has the square of out: how fast a / b falls with b must be in proportion to a": (
                DIVIDE.format("g / b", "-g * out * out"),
                DIVIDE.format("g / b", "g * out * out"),
            ),
            "your rule for a has a in it: a / b is a straight line in a, which is as steep everywhere": (
                DIVIDE.format("g * a / b / b", "-g * out / b"),
                DIVIDE.format("-g * a / b / b", "-g * out / b"),
                DIVIDE.format("g * a", "-g * out / b"),
            ),
            "your rule for a has −1/b², which is the slope of 1/b": (DIVIDE.format("-g / (b * b)", "-g * out / b")),
            "each of your rules has the slopes in both operands, as the "
            "quotient rule has: the other operand must be held still": (
                DIVIDE.format("g / b - g * a / (b * b)", "g / b - g * a / (b * b)")
            ),
            "your rule for a forgets g, and gives out": DIVIDE.format("out", "-g * out / b"),
            "your rule for b forgets g, and has the wrong sign": DIVIDE.format("g / b", "out / b"),
            "your rule for b forgets g, and divides by b only once": DIVIDE.format("g / b", "-out"),
            "your rule for b forgets g, and a": DIVIDE.format("g / b", "-1 / (b * b)"),
        },
        hides={"check/cases/elementwise.py": ("g / b for a, and −g·out / b for b",)},
    ),
)
