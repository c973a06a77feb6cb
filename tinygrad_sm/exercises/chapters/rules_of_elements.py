"""Rules of operations of one operand that work element by element."""

import tinygrad_sm as tg
from tinygrad_sm.exercises.chapters.asking import (
    EPS,
    WRITES_INTO_G,
    WRITES_INTO_OUT,
    at,
    broadcasts_later,
    probes_of_rules,
    rule_in_place,
)
from tinygrad_sm.exercises.exercise import Exercise, Rules

FORGETS_G = "your rule forgets g: it gives ∂out/∂x, and ∂L/∂x must be that times what arrives, ∂L/∂out"
HANDS_ON_G = "your rule hands g on as it came, as if out were x: the slope of the operation is missing"
WRONG_SIGN = "your rule has the wrong sign: where out grows with x, its gradient must say so"

EXP = "exp.vjp(lambda g, out, x: {})"
LOG = "log.vjp(lambda g, out, x: {})"
TANH = "tanh.vjp(lambda g, out, x: {})"
RELU = "relu.vjp(lambda g, out, x: {})"

EXERCISES = (
    Exercise(
        name="exp",
        title="The rule of exp",
        path="ops/elementwise.py",
        piece=Rules("exp"),
        reading=("tinygrad_sm/engine/tape.py, its first page", "tinygrad_sm/engine/primitive.py, its first page"),
        rows=(44,),
        minutes=5,
        task="exp gives out = eˣ. Return ∂L/∂x from g = ∂L/∂out; both have the shape of x.",
        hints=(
            "The derivative of eˣ is eˣ.",
            "By the chain rule it is multiplied by g.",
            "eˣ is there already: it is out.",
        ),
        probes=probes_of_rules(tg.exp, at([0.0]), at([0.0, 1.0])),
        mistakes={
            FORGETS_G: (EXP.format("out"), EXP.format("exp(x)")),
            HANDS_ON_G: EXP.format("g"),
            WRONG_SIGN: EXP.format("-g * out"),
            "your rule multiplies g by x, and x is where the slope is taken, not the slope": EXP.format("g * x"),
            "your rule differentiates eˣ like a power of x, with x as a factor: x is the exponent here, not the base": (
                EXP.format("g * x * exp(x - 1)"),
                EXP.format("g * x * out"),
            ),
            "your rule takes the exponential of out, which is an exponential already": EXP.format("g * exp(out)"),
            "your rule adds g: the factors of the chain rule must be multiplied, and only paths added": (
                EXP.format("g + out")
            ),
            "your rule divides by the slope where it must multiply by it": EXP.format("g / out"),
            "your rule forgets g, and differentiates eˣ like a power of x, with x as a factor": (
                EXP.format("x * out"),
                EXP.format("x * exp(x - 1)"),
            ),
            "your rule takes the exponential of g: the slope must depend on x, and not on what arrives": (
                EXP.format("g * exp(g)")
            ),
            "your rule has the square of eˣ: one factor eˣ is too much": (
                EXP.format("g * out * out"),
                EXP.format("g * exp(2 * x)"),
            ),
            "your rule is that of log: exp is its inverse, and another function": (EXP.format("g / x")),
            "your rule multiplies by ln x: the slope of eˣ has no logarithm in it": (EXP.format("g * log(x)")),
            "your rule takes e⁻ˣ, which falls: eˣ is the steeper, the larger x is": (EXP.format("g * exp(-x)")),
            "your rule is that of e⁻ˣ, which falls: out is eˣ": (EXP.format("-g * exp(-x)")),
            "your rule gives x, and forgets g: x is where the slope is taken, not the slope": (EXP.format("x")),
            "your rule always gives 0, as if out did not move with x": (EXP.format("x * 0.0")),
            WRITES_INTO_G: rule_in_place("exp", "x", "g *= out"),
            WRITES_INTO_OUT: rule_in_place("exp", "x", "out *= g", last="out"),
            "your rule takes 1 from the slope: at x = 0 the slope of eˣ must be 1, not 0": (
                EXP.format("g * (out - 1)")
            ),
            "your rule adds 1 to the slope: at x = 0 the slope of eˣ must be 1, not 2": (
                EXP.format("g * (out + 1)"),
                EXP.format("g + g * out"),
            ),
            "your rule multiplies by e, the slope at x = 1: elsewhere the slope must be another": (
                EXP.format("g * exp(1.0)"),
                EXP.format("g * 2.718281828459045"),
                EXP.format("g * exp(x * 0 + 1)"),
            ),
        },
    ),
    Exercise(
        name="log",
        title="The rule of log",
        path="ops/elementwise.py",
        piece=Rules("log"),
        reading=("examples/chain_rule.py, part 1",),
        rows=(44, 47),
        minutes=5,
        task="log gives out = ln x, the natural logarithm. Return ∂L/∂x from g = ∂L/∂out; both have the shape of x.",
        hints=("How steep is ln x at x = 1, and how steep at x = 100?", "The derivative of ln x is 1/x."),
        probes=probes_of_rules(tg.log, at([2.0]), at([1e-14]), at([1.0, 4.0]), stage=broadcasts_later),
        mistakes={
            "your rule gives the first element its gradient alone, and the others 0": (
                "def rule(g, out, x):\n    found = array_module(x).zeros_like(x)\n    for i in range(len(x)):\n"
                "        found[i] = g[i] / x[i]\n        return found\n\n\nlog.vjp(rule)"
            ),
            FORGETS_G: LOG.format("1 / x"),
            HANDS_ON_G: LOG.format("g"),
            WRONG_SIGN: LOG.format("-g / x"),
            "your rule multiplies by x: the larger x is, the flatter is ln x": LOG.format("g * x"),
            "your rule divides by out, which is ln x: the slope must depend on x itself": LOG.format("g / out"),
            "your rule multiplies by out, as that of exp does: only exp is its own derivative": (LOG.format("g * out")),
            "your rule has x squared, as the second derivative of ln x has: its first one is asked for": (
                LOG.format("g / (x * x)"),
                LOG.format("-g / (x * x)"),
            ),
            "your rule has g below the line: it must be a factor above it": LOG.format("1 / (g * x)"),
            "your rule forgets g, and divides by out, which is ln x": LOG.format("1 / out"),
            "your rule is that of exp: log is the inverse, and another function": LOG.format("g * exp(x)"),
            "your rule is that of the logarithm of another base: out is the natural one, of the base e": (
                LOG.format("g / (x * 2.302585092994046)"),
                LOG.format("g / (x * 0.6931471805599453)"),
            ),
            "your rule has g and x exchanged: what arrives must stand above the line": LOG.format("x / g"),
            "your rule has 1 + x below the line: out is the logarithm of x alone": (LOG.format("g / (1 + x)")),
            "your rule has 1 − x below the line: out is the logarithm of x alone": (LOG.format("g / (1 - x)")),
            "your rule divides by eˣ: the slope of an inverse is 1 over "
            "that of exp, which must be taken at another place than x": (LOG.format("g / exp(x)")),
            "your rule forgets g, and divides by eˣ": LOG.format("1 / exp(x)"),
            "your rule keeps what it divides by away from 0 with a "
            "small number: near 0 its slope is far from that of ln x": (
                *(LOG.format(f"g / (x + {eps})") for eps in EPS),
                *(LOG.format(f"g / where(x < {eps}, {eps}, x)") for eps in EPS[:-2]),
            ),
            "your rule divides by out besides: it is no part of the slope": LOG.format("g / (x * out)"),
            "your rule multiplies by out besides: it is no part of the slope": (LOG.format("g * out / x")),
            "your rule adds g: the factors of the chain rule must be multiplied, and only paths added": (
                LOG.format("g + 1 / x")
            ),
            "your rule has half of the slope: that must be 1 at x = 1": (LOG.format("g / (2 * x)")),
            "your rule has twice the slope: that must be 1 at x = 1": (LOG.format("2 * g / x")),
            "your rule divides by a root of x: ln x flattens faster": LOG.format("g / sqrt(x)"),
            WRITES_INTO_G: rule_in_place("log", "x", "g /= x"),
        },
    ),
    Exercise(
        name="tanh",
        title="The rule of tanh",
        path="ops/elementwise.py",
        piece=Rules("tanh"),
        reading=("docs/theory.md, Activation functions work on each element",),
        rows=(54,),
        minutes=5,
        task="tanh gives out = (eˣ − e⁻ˣ) / (eˣ + e⁻ˣ). Return ∂L/∂x from g = ∂L/∂out; both have the shape of x.",
        hints=(
            "The slope is 1 at x = 0, and nearly 0 where out is nearly 1 or −1.",
            "By the quotient rule, tanh′(x) is 1 less something that tanh x is a part of.",
            "tanh x is there already: it is out.",
        ),
        probes=probes_of_rules(tg.tanh, at([0.0]), at([0.5]), at([-1.0, 2.0])),
        mistakes={
            "your rule has a product of rows where a square belongs: each element has its own slope": (
                TANH.format("g * (1 - out @ out)"),
                TANH.format("g * (1 - sum(out * out))"),
            ),
            "your rule is that of a line which is cut off at −1 and 1: tanh bends everywhere": (
                TANH.format("where(abs(x) < 1, g, 0)"),
                TANH.format("where(abs(x) <= 1, g, 0)"),
            ),
            FORGETS_G: TANH.format("1 - out * out"),
            HANDS_ON_G: TANH.format("g"),
            WRONG_SIGN: (TANH.format("-g * (1 - out * out)"), TANH.format("g * (out * out - 1)")),
            "your rule takes x where out, tanh x, belongs": (TANH.format("g * (1 - x * x)")),
            "your rule forgets a square: tanh is as steep at −x as at x": TANH.format("g * (1 - out)"),
            "your rule adds where it should subtract: it grows where tanh flattens": TANH.format("g * (1 + out * out)"),
            "your rule is that of the sigmoid, which is another function: at x = 0 tanh has the slope 1": (
                TANH.format("g * out * (1 - out)"),
                TANH.format("g * sigmoid(x) * (1 - sigmoid(x))"),
            ),
            "your rule multiplies by out itself, as that of exp does: tanh is not its own derivative": (
                TANH.format("g * out")
            ),
            "your rule takes tanh of out, which is tanh x already": TANH.format("g * (1 - tanh(out) * tanh(out))"),
            "your rule squares 1 − tanh x: tanh is as steep at −x as at x, and this is not": (
                TANH.format("g * (1 - out) * (1 - out)")
            ),
            "your rule has tanh² alone for the slope, with a plus "
            "or a minus: at x = 0, where tanh is steepest, that is 0": (
                TANH.format("g * out * out"),
                TANH.format("-g * out * out"),
            ),
            "your rule divides by the slope where it must multiply by it": TANH.format("g / (1 - out * out)"),
            "your rule forgets g, and is that of the sigmoid": (TANH.format("out * (1 - out)")),
            "your rule has a constant factor too much: the slope at x = 0 must be 1": (
                TANH.format("g * (1 - out * out) / 2"),
                TANH.format("2 * g * (1 - out * out)"),
            ),
            "your rule takes a root too much": TANH.format("g * sqrt(1 - out * out)"),
            "your rule forgets g, and a square": TANH.format("1 - out"),
            "your rule forgets g, and takes x where tanh x belongs": TANH.format("1 - x * x"),
            WRITES_INTO_G: rule_in_place("tanh", "x", "g *= 1 - out * out"),
            WRITES_INTO_OUT: rule_in_place("tanh", "x", "out *= out", last="g * (1 - out)"),
            "your rule multiplies only one of the slope's two terms by g: g must multiply all of the slope": (
                TANH.format("g - out * out"),
                TANH.format("1 - g * out * out"),
            ),
            "your rule multiplies only one of the slope's two terms by g, and forgets a square": (
                TANH.format("1 - g * out"),
                TANH.format("g - out"),
            ),
            "your rule is that of arctan: tanh is another function": (TANH.format("g / (1 + x * x)")),
            "your rule is that of artanh, the inverse: tanh is another function": (TANH.format("g / (1 - x * x)")),
            "your rule divides by 1 + tanh², like that of arctan: tanh is another function": (
                TANH.format("g / (1 + out * out)")
            ),
            "your rule squares the whole slope": (TANH.format("g * (1 - out * out) * (1 - out * out)")),
            "your rule multiplies the slope by out besides: it is no part of it": (
                TANH.format("g * out * (1 - out * out)")
            ),
            "your rule has too high a power of tanh x": (
                TANH.format("g * (1 - out * out * out * out)"),
                TANH.format("g * (1 - out * out * out)"),
            ),
            "your rule is that of the second derivative, −2 tanh x times the first": (
                TANH.format("-2 * g * out * (1 - out * out)")
            ),
            "your rule has 1 + tanh x: the slope must be small where tanh x is nearly 1": TANH.format("g * (1 + out)"),
            "your rule adds g: the factors of the chain rule must be multiplied, and only paths added": (
                TANH.format("g + 1 - out * out")
            ),
        },
        hides={"check/mistakes.py": (" in tanh′ = 1 − tanh²", ", 1 − out²")},
    ),
    Exercise(
        name="relu",
        title="The rule of relu, and its kink",
        path="ops/elementwise.py",
        piece=Rules("relu"),
        reading=("docs/theory.md, Activation functions work on each element", "the docstring of tg.relu"),
        rows=(54,),
        minutes=10,
        task="relu gives out = max(x, 0). Return ∂L/∂x from g = ∂L/∂out; both have the shape of x. "
        "At the kink, x = 0, the convention is relu′(0) = 0. `where(condition, a, b)` is there.",
        hints=(
            "On one side of 0 the function is x, on the other it is 0.",
            "Which elements let g pass? At x = 0 the convention decides.",
            "where(condition, 0, g), with the condition for those that do not.",
        ),
        probes=probes_of_rules(tg.relu, at([2.0]), at([-1.0, 3.0]), at([-1.0, 0.0, 2.0])),
        mistakes={
            FORGETS_G: (RELU.format("where(out <= 0, 0.0, 1.0)"), RELU.format("where(x > 0, 1.0, 0.0)")),
            "your rule lets g pass everywhere: where x < 0, a small change of x changes nothing": (
                RELU.format("g"),
                RELU.format("where(out >= 0, g, 0)"),
                RELU.format("g * (out >= 0)"),
            ),
            WRONG_SIGN: RELU.format("where(out <= 0, 0, -g)"),
            "your rule lets g pass at the kink, x = 0: by the convention here relu′(0) = 0": (
                RELU.format("where(x < 0, 0, g)")
            ),
            "your rule splits g at the kink, x = 0, as that of maximum does: by the convention here relu′(0) = 0": (
                RELU.format("where(x < 0, 0, where(x == 0, g / 2, g))")
            ),
            "your rule lets g pass on the wrong side: where out is 0, a small change of x changes nothing": (
                RELU.format("where(out <= 0, g, 0)")
            ),
            "your rule multiplies g by the value of relu where its slope belongs": (
                RELU.format("g * out"),
                RELU.format("g * relu(x)"),
            ),
            "your rule applies relu to g: whether g passes must depend on x, and not on the sign of g": (
                RELU.format("relu(g)")
            ),
            "your rule lets −g pass where x < 0, as that of abs does: relu is flat there": RELU.format("g * sign(x)"),
            "your rule multiplies g by x: where x > 0, the slope must be the same for all x": RELU.format("g * x"),
            "your rule forgets g, and gives the value of relu where its slope belongs": (
                RELU.format("out"),
                RELU.format("where(x > 0, x, 0)"),
            ),
            "your rule lets g pass where x < 0, and not where x > 0": RELU.format("where(x < 0, g, 0)"),
            "your rule lets −g pass where x ≤ 0: relu is flat there": (
                RELU.format("where(x > 0, g, -g)"),
                RELU.format("where(out <= 0, -g, g)"),
            ),
            "your rule has a slope below 0, as that of a leaky relu does: relu is flat there": (
                RELU.format("where(x > 0, g, 0.01 * g)"),
                RELU.format("where(x > 0, g, 0.1 * g)"),
            ),
            "your rule forgets g, and its slope at the kink is 1: by the convention here relu′(0) = 0": (
                RELU.format("where(x >= 0, 1.0, 0.0)"),
                RELU.format("where(x < 0, 0.0, 1.0)"),
            ),
            "your rule looks at the sign of g, and multiplies by out: whether g passes must depend on x alone": (
                RELU.format("relu(g) * out")
            ),
            "your rule always gives 0: where x > 0, out moves with it": RELU.format("x * 0.0"),
            WRITES_INTO_G: (
                rule_in_place("relu", "x", "g[out <= 0] = 0"),
                rule_in_place("relu", "x", "g *= x > 0"),
            ),
            WRITES_INTO_OUT: (
                rule_in_place("relu", "x", "out[out > 0] = 1", last="g * out"),
                rule_in_place("relu", "x", "out[out > 0] = g[out > 0]", last="out"),
            ),
            "your rule is right above 0, and gives something else than 0 where relu is flat": (
                RELU.format("where(x > 0, g, x)"),
                RELU.format("where(x > 0, g, 1)"),
                RELU.format("where(x > 0, g, -1)"),
                RELU.format("where(x > 0, g, g * x)"),
                RELU.format("where(x > 0, g, g * exp(x))"),
            ),
            "your rule lets g pass where x > 1: the kink is at 0": RELU.format("where(x > 1, g, 0)"),
            "your rule lets g pass where x and g are both positive: what arrives may be negative": (
                RELU.format("where(x > 0, relu(g), 0)")
            ),
            "your rule is that of a smooth relu, softplus: this one has a kink, and slope 1 or 0": (
                RELU.format("g * sigmoid(x)")
            ),
            "your rule lets g pass on both sides of the kink: below 0 relu is flat": RELU.format("where(x != 0, g, 0)"),
        },
    ),
)
