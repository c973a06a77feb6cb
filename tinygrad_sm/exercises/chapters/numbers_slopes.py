"""Derivatives by numerical differentiation: steps, differences, and what they leave open."""

from tinygrad_sm.exercises.chapters import slopes
from tinygrad_sm.exercises.exercise import Body, Exercise

NUMERICAL = "check/numerical.py"


def _quotient(divisor: str, rise: str = "upper - lower") -> tuple[str, str]:
    """Return answers to the exercise `central_difference`, which ask what is unchanged, and do not."""
    return f"quotient = np.where(unchanged, 0, {rise}) {divisor}", f"quotient = ({rise}) {divisor}"


def _row(extrapolated: str) -> str:
    """Return an answer to the exercise `richardson` with this in the place of two quotients."""
    return f"before, row = row, [{extrapolated} for coarse, fine in pairwise(row)]"


EXERCISES = (
    Exercise(
        name="complex_step",
        title="A derivative by a complex step",
        path=NUMERICAL,
        piece=Body("complex_slope", "derivatives = nudged(1j * COMPLEX_STEP).imag / COMPLEX_STEP"),
        reading=("tinygrad_sm/check/numerical.py, its first page", "tinygrad_sm/check/gradcheck.py"),
        rows=(44,),
        minutes=10,
        task=(
            "nudged(step) gives f(x + step), an array of outputs, and f takes complex numbers. h is COMPLEX_STEP, "
            "10⁻²⁰. Set `derivatives` to f′(x), one for each output, from one call of nudged, and with no difference "
            "in it: f(x + h) − f(x) is 0, because x + h is x."
        ),
        hints=(
            "Taylor: f(x + ih) = f(x) + ih f′(x) − h² f″(x)/2 − ...",
            "The real part is f(x), and the derivative stands in the other one.",
            "1j is i in Python, and z.imag the imaginary part.",
        ),
        probes=slopes.complex_steps,
        mistakes={
            "you take the real part, which is f(x) and tells nothing of its derivative": (
                "derivatives = nudged(1j * COMPLEX_STEP).real / COMPLEX_STEP"
            ),
            "your result is h times the derivative: it must be divided by h": (
                "derivatives = nudged(1j * COMPLEX_STEP).imag"
            ),
            "all of your derivatives are 0: neither a real step nor a real part shows what changes by so small an h": (
                "derivatives = nudged(COMPLEX_STEP).imag / COMPLEX_STEP",
                "derivatives = (nudged(COMPLEX_STEP) - nudged(0)) / COMPLEX_STEP",
                "derivatives = (nudged(COMPLEX_STEP) - nudged(-COMPLEX_STEP)) / (2 * COMPLEX_STEP)",
                "derivatives = (nudged(1j * COMPLEX_STEP) - nudged(0)).real / COMPLEX_STEP",
            ),
            "your result is half of the derivative: 2h is for a central difference, which has two steps": (
                "derivatives = nudged(1j * COMPLEX_STEP).imag / (2 * COMPLEX_STEP)"
            ),
            "you take the absolute value, which is that of f(x)": (
                "derivatives = abs(nudged(1j * COMPLEX_STEP)) / COMPLEX_STEP"
            ),
            "your result is a complex number: the derivative must be taken out of it": (
                "derivatives = nudged(1j * COMPLEX_STEP) / (1j * COMPLEX_STEP)",
                "derivatives = nudged(1j * COMPLEX_STEP) / COMPLEX_STEP",
                "derivatives = (nudged(1j * COMPLEX_STEP) - nudged(0)) / (1j * COMPLEX_STEP)",
                "derivatives = (nudged(1j * COMPLEX_STEP) - nudged(0)) / COMPLEX_STEP",
            ),
            "your sign is the other one: step and divisor do not go together": (
                "derivatives = nudged(-1j * COMPLEX_STEP).imag / COMPLEX_STEP"
            ),
            "your derivative is imaginary: you divide by ih what is a real number already": (
                "derivatives = nudged(1j * COMPLEX_STEP).imag / (1j * COMPLEX_STEP)"
            ),
            "you divide by h once too often": "derivatives = nudged(1j * COMPLEX_STEP).imag / COMPLEX_STEP**2",
            "you multiply by h: you must divide by it": "derivatives = nudged(1j * COMPLEX_STEP).imag * COMPLEX_STEP",
            "your step is i, which is large: it must be tiny": "derivatives = nudged(1j).imag",
            "your step is i, which is large, and you divide by h": "derivatives = nudged(1j).imag / COMPLEX_STEP",
            "your result is twice the derivative, as where two places 2h apart are taken and h is the divisor": (
                "derivatives = (nudged(1j * COMPLEX_STEP) - nudged(-1j * COMPLEX_STEP)).imag / COMPLEX_STEP"
            ),
        },
        hides={NUMERICAL: ("f′(x) = Im f(x + ih) / h with h = 10⁻²⁰",)},
    ),
    Exercise(
        name="central_difference",
        title="A difference quotient",
        path=NUMERICAL,
        piece=Body("real_slope.differences", "quotient = np.where(unchanged, 0, upper - lower) / (above - below)"),
        reading=("tinygrad_sm/check/numerical.py, its first page",),
        rows=(44,),
        minutes=10,
        task=(
            "upper and lower are f(x + above) and f(x + below): for a central difference above is h and below is −h; "
            "for a one-sided one, one of them is 0. Set `quotient` to the slope of the line through both points. "
            "Where `unchanged` is true the two values are equal, maybe infinite, and the slope "
            "must be 0: ∞ − ∞ is NaN."
        ),
        hints=(
            "Rise over run: how far apart are the two places?",
            "np.where(condition, a, b) chooses element by element.",
        ),
        probes=slopes.differences,
        mistakes={
            "you divide by one step, and between x + h and x − h there are two": (
                *_quotient("/ above"),
                *_quotient("/ max(above, -below)"),
                *_quotient("/ -below"),
            ),
            "you divide by 2h, which is right for a central difference only: a one-sided one spans h": (
                *_quotient("/ (2 * max(above, -below))"),
                *_quotient("/ (2 * above)"),
                *_quotient("/ (-2 * below)"),
            ),
            "you do not divide by how far the two places are apart": _quotient(""),
            "you divide by 2, however far the two places are apart": _quotient("/ 2"),
            "your sign is the other one: run and rise must be counted in the same direction": (
                *_quotient("/ (above - below)", "lower - upper"),
                *_quotient("/ (below - above)"),
            ),
            "where an output is infinite, your quotient is NaN: its slope must be 0, as it is `unchanged`": (
                "quotient = (upper - lower) / (above - below)"
            ),
            "you add the two values: it must be their difference": (
                *_quotient("/ (above - below)", "upper + lower"),
                *_quotient("/ 2", "upper + lower"),
            ),
            "you add the two steps, and h + (−h) is 0": _quotient("/ (above + below)"),
            "your slope is 0 where the values have changed: the two cases are exchanged": (
                "quotient = np.where(unchanged, upper - lower, 0) / (above - below)",
                "quotient = np.where(unchanged, (upper - lower) / (above - below), 0)",
            ),
            "your slope is 0 wherever the quotient is no finite number: outside of its domain f has no slope": (
                "quotient = np.nan_to_num((upper - lower) / (above - below))",
                "quotient = np.nan_to_num(upper - lower) / (above - below)",
                "quotient = np.where(np.isnan(upper - lower), 0, upper - lower) / (above - below)",
                "quotient = np.where(np.isfinite(upper - lower), upper - lower, 0) / (above - below)",
            ),
            "you multiply by the run: you must divide by it": _quotient("* (above - below)"),
            "your slope is half of the right one: the whole run must divide, and no 2": _quotient(
                "/ (above - below) / 2"
            ),
            "your slope is never negative: it must keep its sign": _quotient(
                "/ (above - below)", "np.abs(upper - lower)"
            ),
            "your slope is upside down: it must be rise over run": (
                "quotient = (above - below) / (upper - lower)",
                "quotient = np.where(unchanged, 0, (above - below) / (upper - lower))",
            ),
            "your slope is unknown where the values are `unchanged`: it must be 0 there": (
                "quotient = np.where(unchanged, np.nan, upper - lower) / (above - below)"
            ),
            "parentheses are missing: division comes before subtraction": (
                "quotient = np.where(unchanged, 0, upper - lower) / above - below",
                "quotient = np.where(unchanged, 0, upper - lower / (above - below))",
                "quotient = np.where(unchanged, 0, (upper - lower) / above - below)",
                "quotient = (upper - lower) / above - below",
                "quotient = upper - lower / (above - below)",
            ),
            "you divide by the square of the run: that is for second derivatives": (
                *_quotient("/ (above - below) ** 2"),
                *_quotient("/ above**2"),
            ),
        },
        hides={NUMERICAL: ("D(h) = [f(x+h) − f(x−h)] / 2h, for which ", "They are differences [f(x±h) − f(x)] / ±h,")},
    ),
    Exercise(
        name="richardson",
        title="Richardson's extrapolation",
        path=NUMERICAL,
        piece=Body(
            "_extrapolated",
            "before, row = row, [(RATIO**power * fine - coarse) / (RATIO**power - 1) for coarse, fine in "
            "pairwise(row)]",
        ),
        reading=("tinygrad_sm/check/numerical.py, its first page",),
        rows=(44,),
        minutes=20,
        task=(
            "`row` has difference quotients D at steps h, h/RATIO, h/RATIO², ..., the coarsest first, and D(h) = f′ + "
            "c·h^power + terms of higher powers. Set `before` to this row, and `row` to a new one, shorter by 1: for "
            "each coarse quotient and the fine one after it, in pairwise(row), the combination in which the term of "
            "h^power cancels, and f′ stays."
        ),
        hints=(
            "coarse = f′ + c·h^p, and fine = f′ + c·(h/R)^p: multiply the second so that both have the same term.",
            "R^p · fine − coarse has no term of h^p; how many f′ are in it?",
            "(R^p · fine − coarse) / (R^p − 1)",
        ),
        probes=slopes.extrapolations,
        mistakes={
            "coarse and fine are exchanged: it is fine that has the smaller error": _row(
                "(RATIO**power * coarse - fine) / (RATIO**power - 1)"
            ),
            "you forget to divide: f′ must be left once, and not as a multiple": _row("RATIO**power * fine - coarse"),
            "your factor is RATIO, which is right for power 1 only": _row("(RATIO * fine - coarse) / (RATIO - 1)"),
            "your factor is always RATIO², which is right for power 2 only": _row(
                "(RATIO**2 * fine - coarse) / (RATIO**2 - 1)"
            ),
            "your factor is 2^p, as for steps that are halved: here each is h/RATIO": _row(
                "(2**power * fine - coarse) / (2**power - 1)"
            ),
            "your two weights sum to less than 1, so f′ does not stay: your divisor is R^p": _row(
                "(RATIO**power * fine - coarse) / RATIO**power"
            ),
            "you add the two quotients: the term of h^p must cancel, and in a sum it does not": _row(
                "(RATIO**power * fine + coarse) / (RATIO**power + 1)"
            ),
            "you take the mean of each two quotients: the term of h^p must cancel": _row("(fine + coarse) / 2"),
            "you take the fine quotient alone: the term of h^p must cancel": _row("fine"),
            "your weights are fixed, as for halved steps and a term of h²": (
                _row("(4 * fine - coarse) / 3"),
                _row("fine + (fine - coarse) / 3"),
            ),
            "your weights are fixed, as for halved steps and a term of h": _row("2 * fine - coarse"),
            "your factor is the power itself, in which RATIO is missing": _row("(power * fine - coarse) / (power - 1)"),
            "your factor is RATIO times the power: a term of h^p shrinks by another one": _row(
                "(RATIO * power * fine - coarse) / (RATIO * power - 1)"
            ),
            "base and exponent of your factor are exchanged": _row(
                "(power**RATIO * fine - coarse) / (power**RATIO - 1)"
            ),
            "your two weights sum to less than 1, so f′ does not stay: your divisor is R^p + 1": _row(
                "(RATIO**power * fine - coarse) / (RATIO**power + 1)"
            ),
            "your sign is the other one: numerator and divisor do not go together": (
                _row("(coarse - RATIO**power * fine) / (RATIO**power - 1)"),
                _row("(RATIO**power * fine - coarse) / (1 - RATIO**power)"),
            ),
            "your row has the corrections alone: it must have the corrected quotients": _row(
                "(fine - coarse) / (RATIO**power - 1)"
            ),
            "your correction of fine is too small: a part of the term of h^p stays": _row(
                "fine + (fine - coarse) / RATIO**power"
            ),
            "your correction of fine goes the wrong way: the term of h^p does not cancel": (
                _row("fine - (fine - coarse) / (RATIO**power - 1)"),
                _row("fine + (coarse - fine) / (RATIO**power - 1)"),
            ),
            "you correct the coarse quotient, by what belongs to the fine one": _row(
                "coarse + (fine - coarse) / (RATIO**power - 1)"
            ),
            "parentheses are missing: division comes before subtraction": (
                _row("(RATIO**power * fine - coarse) / RATIO**power - 1"),
                _row("RATIO**power * fine - coarse / (RATIO**power - 1)"),
            ),
            "you multiply the whole difference of the two quotients: f′ drops out of it": _row(
                "RATIO**power * (fine - coarse) / (RATIO**power - 1)"
            ),
        },
    ),
    Exercise(
        name="distance",
        title="How far a gradient is from what it may be",
        path=NUMERICAL,
        piece=Body("Slope.distance"),
        reading=("tinygrad_sm/check/numerical.py",),
        rows=(44,),
        minutes=5,
        task=(
            "Numerical differentiation says that a derivative lies between self.low and self.high; at a kink these "
            "differ. Return how far g is from this interval: 0 inside, and positive on both sides. All may be arrays."
        ),
        hints=(
            "Below the interval it is low − g, and above it g − high.",
            "The one that does not apply is negative, or 0.",
            "np.maximum takes the larger one, element by element.",
        ),
        probes=slopes.distances,
        mistakes={
            "above the interval your distance is 0: it must be positive there": "return np.maximum(self.low - g, 0)",
            "below the interval your distance is 0: it must be positive there": "return np.maximum(g - self.high, 0)",
            "inside of the interval your distance is negative: it must be 0 there": (
                "return np.maximum(self.low - g, g - self.high)",
                "return np.where(g < self.low, self.low - g, g - self.high)",
                "return np.where(g > self.high, g - self.high, self.low - g)",
            ),
            "inside of the interval you measure from its lower end: the distance must be 0 there": (
                "return np.abs(g - self.low)",
                "return np.where(g > self.high, g - self.high, np.abs(g - self.low))",
            ),
            "inside of the interval you measure from its upper end: the distance must be 0 there": (
                "return np.abs(g - self.high)",
                "return np.where(g < self.low, self.low - g, np.abs(g - self.high))",
            ),
            "you measure from the middle of the interval, everywhere: inside of it the distance must be 0": (
                "return np.abs(g - (self.low + self.high) / 2)"
            ),
            "your distance is 0 everywhere, as where the smaller of both sides is taken": (
                "return np.maximum(np.minimum(self.low - g, g - self.high), 0)"
            ),
            "max and if of Python ask for single numbers, and these may be arrays: NumPy goes element by element": (
                "return max(self.low - g, g - self.high, 0)",
                "if self.low <= g <= self.high:\n    return 0\nreturn min(abs(g - self.low), abs(g - self.high))",
                "if g < self.low:\n    return self.low - g\nif g > self.high:\n    return g - self.high\nreturn 0",
            ),
            "np.maximum takes two arrays: a third one would be where it writes": (
                "return np.maximum(self.low - g, g - self.high, 0)"
            ),
            "you add the distances from both ends: one of them must count": (
                "return np.abs(self.low - g) + np.abs(g - self.high)"
            ),
            "you measure from the nearer end, but inside of the interval too: the distance must be 0 there": (
                "return np.minimum(np.abs(self.low - g), np.abs(g - self.high))"
            ),
            "below the interval your distance is negative: it must be positive on both sides": (
                "return np.where(g < self.low, g - self.low, np.where(g > self.high, g - self.high, 0))",
                "return g - np.clip(g, self.low, self.high)",
                "return np.maximum(g - self.high, 0) - np.maximum(self.low - g, 0)",
            ),
            "above the interval your distance is negative: it must be positive on both sides": (
                "return np.where(g < self.low, self.low - g, np.where(g > self.high, self.high - g, 0))",
                "return np.clip(g, self.low, self.high) - g",
                "return np.maximum(self.low - g, 0) - np.maximum(g - self.high, 0)",
            ),
            "your distance is negative on both sides: it must be positive": (
                "return np.minimum(np.minimum(g - self.low, self.high - g), 0)",
                "return -np.maximum(np.maximum(self.low - g, g - self.high), 0)",
            ),
            "you measure from the far end: it must be the nearer one, and 0 inside": (
                "return np.maximum(np.maximum(g - self.low, self.high - g), 0)"
            ),
            "your distance is negative inside of the interval, and 0 outside: it must be positive outside": (
                "return np.minimum(np.maximum(self.low - g, g - self.high), 0)"
            ),
            "outside of the interval you measure from its lower end on both sides: it must be the nearer end": (
                "return np.where((g >= self.low) & (g <= self.high), 0, np.abs(g - self.low))"
            ),
            "outside of the interval you measure from its upper end on both sides: it must be the nearer end": (
                "return np.where((g >= self.low) & (g <= self.high), 0, np.abs(g - self.high))"
            ),
            "outside of the interval you measure from its middle: it must be the nearer end": (
                "return np.where((g >= self.low) & (g <= self.high), 0, np.abs(g - (self.low + self.high) / 2))"
            ),
            "you return the nearest number of the interval: it must be how far that is": (
                "return np.clip(g, self.low, self.high)"
            ),
            "you subtract the uncertainty: it must be how far g is from the interval alone": (
                "return np.maximum(np.maximum(self.low - g, g - self.high) - self.uncertainty, 0)"
            ),
            "you add the uncertainty: it must be how far g is from the interval alone": (
                "return np.maximum(np.maximum(self.low - g, g - self.high), 0) + self.uncertainty"
            ),
            "you return whether g is outside: it must be how far": "return (g < self.low) | (g > self.high)",
        },
    ),
)
