"""Exponentials that do not overflow: the shift of softmax, and logsumexp."""

from tinygrad_sm.exercises.chapters import slopes
from tinygrad_sm.exercises.exercise import Body, Exercise

SOFTMAX = "ops/softmax.py"


def _shift(number: str, maxima: str = "x.max(axis=axis, keepdims=True)", sign: str = "-") -> tuple[str, ...]:
    """Return answers to the exercise `shift`, with care for half precision and for rows of −∞, and without."""
    return tuple(
        f"{first}limits = finfo(x.dtype)\nmaxima = {maxima}\nreturn x {sign} ({number}){clip}, maxima"
        for first in ("x = wide(x)\n", "")
        for clip in (".clip(limits.min, limits.max)", "")
    )


def _logsumexp(result: str) -> tuple[str, str]:
    """Return answers to the exercise `logsumexp`, rounded to half precision and not."""
    return tuple(  # type: ignore[return-value]
        f"z, maxima = shifted(x, axes)\nout = {out}" for out in (f"as_precise_as(x, {result})", result)
    )


def _returning(pair: str) -> str:
    """Return an answer to the exercise `shift` that is right but for what it returns."""
    return f"x = wide(x)\nlimits = finfo(x.dtype)\nmaxima = x.max(axis=axis, keepdims=True)\nreturn {pair}"


EXERCISES = (
    Exercise(
        name="shift",
        title="The shift of softmax",
        path=SOFTMAX,
        piece=Body("shifted"),
        reading=("docs/theory.md, Softmax from linear log-odds", "tinygrad_sm/ops/softmax.py, its first page"),
        rows=(27, 77, 78),
        minutes=15,
        task=(
            "Softmax, log_softmax, logsumexp and cross_entropy begin with z, m = shifted(x, axis). Return z, which is "
            "x less a number for each row, so that no exponential of z overflows, and m, the maxima of x along the "
            "axis, which is kept as one of length 1. Compute in the dtype of wide(x), which is float32 for half "
            "precision. In a row of −∞ alone the maximum is −∞; z must be −∞ there too, and not NaN. finfo(x.dtype) "
            "has `min` and `max`, the limits of the finite numbers."
        ),
        hints=(
            "exp overflows above 709. The softmax does not change when one number is subtracted from a whole row.",
            (
                "After the shift the largest number of each row is 0, and its exponential 1: x.max(axis=axis, "
                "keepdims=True)."
            ),
            (
                "Where that is −∞, subtract the finite number that is nearest: maxima.clip(limits.min, limits.max) "
                "with limits = finfo(x.dtype)."
            ),
        ),
        probes=slopes.shifts,
        mistakes={
            "nothing is shifted: the exponential of 1000 overflows, and ∞/∞ is NaN": _shift("x * 0"),
            "you shift all rows by the largest number of all: in the other rows every exponential may be 0": _shift(
                "x.max()"
            ),
            "you shift all rows by the largest number of all, and give it as the maximum of each": _shift(
                "maxima", "x.max(keepdims=True)"
            ),
            "you shift by the smallest number of each row: the largest may still overflow": (
                *_shift("maxima", "x.min(axis=axis, keepdims=True)"),
                *_shift("x.min(axis=axis, keepdims=True)"),
            ),
            "you shift by the mean of each row: the largest may still overflow": (
                *_shift("maxima", "x.mean(axis=axis, keepdims=True)"),
                *_shift("x.mean(axis=axis, keepdims=True)"),
            ),
            "you take the largest absolute value: in a row of −1000s all exponentials become 0": (
                *_shift("maxima", "abs(x).max(axis=axis, keepdims=True)"),
                *_shift("abs(x).max(axis=axis, keepdims=True)"),
            ),
            "your maxima have lost their axis where you subtract them: they must still have it, with length 1": _shift(
                "maxima", "x.max(axis=axis)"
            ),
            "a row of −∞ alone becomes NaN: −∞ less −∞ is no number": (
                _shift("maxima")[1],
                _shift("maxima")[3],
            ),
            "half precision stays half precision: it has 3 digits, and ends at 65504": _shift("maxima")[2],
            "you add the maximum: it must be subtracted": _shift("maxima", sign="+"),
            "you give the finite numbers that you subtract: where a row is −∞ alone, its maximum must be −∞": (
                (
                    "x = wide(x)\nmaxima = x.max(axis=axis, keepdims=True)\nlimits = finfo(x.dtype)\n"
                    "maxima = maxima.clip(limits.min, limits.max)\nreturn x - maxima, maxima"
                ),
                (
                    "x = wide(x)\nlimits = finfo(x.dtype)\nmaxima = x.max(axis=axis, keepdims=True)\n"
                    "maxima = array_module(x).where(maxima == -inf, 0, maxima)\nreturn x - maxima, maxima"
                ),
            ),
            "you change the array that you were given: z must be a new one": (
                "x = wide(x)\nmaxima = x.max(axis=axis, keepdims=True)\nlimits = finfo(x.dtype)\n"
                "x -= maxima.clip(limits.min, limits.max)\nreturn x, maxima"
            ),
            "only the maxima that you return have lost their axis: it must be kept, with length 1": (
                _returning("x - maxima.clip(limits.min, limits.max), x.max(axis=axis)"),
                _returning("x - maxima, x.max(axis=axis)"),
                _returning("x - maxima.clip(limits.min, limits.max), maxima.squeeze(axis)"),
            ),
            "your pair is the wrong way round: what was shifted must come first": (
                _returning("maxima, x - maxima.clip(limits.min, limits.max)"),
                _returning("maxima, x - maxima"),
            ),
            "you return one array: it must be a pair": (
                _returning("x - maxima.clip(limits.min, limits.max)"),
                "x = wide(x)\nreturn x - x.max(axis=axis, keepdims=True)",
            ),
            "you divide by the maximum: that changes the softmax": (
                _returning("x / maxima.clip(limits.min, limits.max), maxima"),
                _returning("x / maxima, maxima"),
            ),
            "your maxima are along the last axis, whatever `axis` says": (
                *_shift("maxima", "x.max(axis=-1, keepdims=True)"),
                *_shift("maxima", "x.max(axis=1, keepdims=True)"),
            ),
            "your maxima are along the first axis, whatever `axis` says": _shift(
                "maxima", "x.max(axis=0, keepdims=True)"
            ),
            "your sign is the other one: you subtract x from the maximum": (
                _returning("maxima.clip(limits.min, limits.max) - x, maxima"),
                _returning("maxima - x, maxima"),
            ),
            "you take the exponentials already: the callers must do that": (
                _returning("array_module(x).exp(x - maxima.clip(limits.min, limits.max)), maxima"),
                _returning("array_module(x).exp(x - maxima), maxima"),
            ),
        },
        hides={
            SOFTMAX: (
                "The softmax does not change when a number is subtracted from all\nlogits of a row, so each row is "
                "shifted by its maximum, which is then 0 and its exponential 1: all begin with `shifted`.",
            )
        },
        docstring="Return x shifted along the axis, in a dtype to compute in, and its maxima, with the axis kept.",
    ),
    Exercise(
        name="logsumexp",
        title="ln Σ exp(x) that does not overflow",
        path=SOFTMAX,
        piece=Body(
            "logsumexp",
            "z, maxima = shifted(x, axes)",
            "out = as_precise_as(x, maxima + xp.log(normalizer(xp.exp(z), axes)))",
        ),
        reading=("docs/theory.md, Softmax from linear log-odds", "tinygrad_sm/ops/softmax.py"),
        rows=(40,),
        minutes=10,
        task=(
            "Set `out` to ln Σ exp(x) over the axes, which are kept as axes of length 1. xp is NumPy or CuPy; z, "
            "maxima = shifted(x, axes) gives x less its maxima, and the maxima; normalizer(y, axes) is the sum of y "
            "over the axes. as_precise_as(x, out) rounds to half precision if x is in half precision."
        ),
        hints=(
            "exp(x) = exp(z) · exp(m), so what can be taken out of the sum?",
            "The logarithm of a product is a sum of logarithms: ln Σ exp(x) = m + ...",
        ),
        probes=slopes.logsumexps,
        mistakes={
            "your result lacks the maxima, which were subtracted inside of the sum": _logsumexp(
                "xp.log(normalizer(xp.exp(z), axes))"
            ),
            "you take the exponentials of x, or what is as large, and they overflow": (
                *_logsumexp("xp.log(normalizer(xp.exp(x), axes))"),
                "out = xp.log(xp.exp(x).sum(axis=axes, keepdims=True))",
                *_logsumexp("xp.log(normalizer(xp.exp(z + maxima), axes))"),
            ),
            "you take the exponentials of x itself, and then add the maxima too": _logsumexp(
                "maxima + xp.log(normalizer(xp.exp(x), axes))"
            ),
            "the maxima are subtracted once more, where that must be undone": _logsumexp(
                "xp.log(normalizer(xp.exp(z), axes)) - maxima"
            ),
            "the logarithm is missing": (
                *_logsumexp("maxima + normalizer(xp.exp(z), axes)"),
                *_logsumexp("normalizer(xp.exp(z), axes)"),
            ),
            "the logarithm is multiplied by the maxima: the logarithm of a product must be a sum": _logsumexp(
                "maxima * xp.log(normalizer(xp.exp(z), axes))"
            ),
            "you add up z itself: that is the logarithm of a product, and it must be that of a sum of exponentials": (
                *_logsumexp("maxima + z.sum(axis=axes, keepdims=True)"),
                *_logsumexp("maxima + normalizer(z, axes)"),
                *_logsumexp("maxima + normalizer(xp.log(xp.exp(z)), axes)"),
            ),
            "your result is the logarithm of the mean: it lacks the logarithm of the number of elements": _logsumexp(
                "maxima + xp.log(xp.exp(z).mean(axis=axes, keepdims=True))"
            ),
            "your result for half precision is not rounded to it": (
                "z, maxima = shifted(x, axes)\nout = maxima + xp.log(normalizer(xp.exp(z), axes))",
                ("z, maxima = shifted(x, axes)\nout = maxima + as_precise_as(x, xp.log(normalizer(xp.exp(z), axes)))"),
            ),
            "you add the maxima inside of the logarithm, to a sum of exponentials": _logsumexp(
                "xp.log(normalizer(xp.exp(z), axes) + maxima)"
            ),
            "you multiply by the exponentials of the maxima, and they overflow": (
                *_logsumexp("xp.log(normalizer(xp.exp(z), axes) * xp.exp(maxima))"),
                *_logsumexp("xp.log(normalizer(xp.exp(z) * xp.exp(maxima), axes))"),
            ),
            "your result is the maxima: the logarithm of the sum of what is left is missing": _logsumexp("maxima"),
            "your logarithm is not the natural one": (
                *_logsumexp("maxima + xp.log10(normalizer(xp.exp(z), axes))"),
                *_logsumexp("maxima + xp.log2(normalizer(xp.exp(z), axes))"),
            ),
            "your result is that of log_softmax, in the shape of x: one number for each row is asked": (
                *_logsumexp("z - xp.log(normalizer(xp.exp(z), axes))"),
                *_logsumexp("x - xp.log(normalizer(xp.exp(x), axes))"),
            ),
            "your logarithm is that of 1 more than the sum": _logsumexp(
                "maxima + xp.log1p(normalizer(xp.exp(z), axes))"
            ),
        },
    ),
)
