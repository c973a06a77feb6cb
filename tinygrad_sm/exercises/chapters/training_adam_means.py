"""Adam's running means, and their correction."""

from tinygrad_sm.exercises.chapters import steps
from tinygrad_sm.exercises.exercise import Body, Exercise

OPTIM = "nn/optim.py"


M = 'beta1 * state["mean"] + (1 - beta1) * g'
V = 'beta2 * state["mean_square"] + (1 - beta2) * g * g'


def _means(m: str = M, v: str = V) -> str:
    return f"m = {m}\nv = {v}"


EXERCISES = (
    Exercise(
        name="moments",
        title="Adam's moments",
        path=OPTIM,
        piece=Body(
            "Adam._update",
            'm = beta1 * state["mean"] + (1 - beta1) * g',
            'v = beta2 * state["mean_square"] + (1 - beta2) * g * g',
        ),
        reading=("nn/optim.py, Adam", "Kingma and Ba, Adam (2015), algorithm 1"),
        rows=(50,),
        minutes=10,
        task=(
            'Set m to the running mean of g, and v to that of g²: state["mean"] and state["mean_square"] are the old '
            "ones, 0 at first, and beta1 and beta2 how much of them is kept. The weights of the old mean and of the "
            "new number sum to 1. Write into no array."
        ),
        hints=(
            "With beta1 = 0.9, nine tenths are the old mean, and one tenth is g.",
            "Both have one form; the second has another β, and squares.",
        ),
        probes=steps.moments,
        mistakes={
            "your m and v take g and g² in full: the two weights of each must sum to 1": _means(
                'beta1 * state["mean"] + g', 'beta2 * state["mean_square"] + g * g'
            ),
            "your v takes g² in full: the two weights must sum to 1": _means(v='beta2 * state["mean_square"] + g * g'),
            "your m and v add up all that came: they must be means": _means(
                'state["mean"] + g', 'state["mean_square"] + g * g'
            ),
            "your m adds up all g: it must be their mean": _means('state["mean"] + g'),
            "your v adds up all g²: it must be their mean": _means(v='state["mean_square"] + g * g'),
            "your two betas are exchanged: beta1 must be that of the mean, beta2 that of the squares": _means(
                'beta2 * state["mean"] + (1 - beta2) * g', 'beta1 * state["mean_square"] + (1 - beta1) * g * g'
            ),
            "you use beta1 for both means: the squares must have their own": _means(
                v='beta1 * state["mean_square"] + (1 - beta1) * g * g'
            ),
            "your weights are exchanged: β must belong to the old mean": _means(
                '(1 - beta1) * state["mean"] + beta1 * g', '(1 - beta2) * state["mean_square"] + beta2 * g * g'
            ),
            "your v is a mean of g, and its weights are exchanged": _means(
                v='(1 - beta2) * state["mean_square"] + beta2 * g'
            ),
            "your v is a mean of g: it must be one of g²": _means(v='beta2 * state["mean_square"] + (1 - beta2) * g'),
            "your v is a mean of absolute values: it must be one of squares": _means(
                v='beta2 * state["mean_square"] + (1 - beta2) * abs(g)'
            ),
            "your v squares the mean: it must be the mean of the squares": _means(
                v='beta2 * state["mean_square"] + (1 - beta2) * m * m'
            ),
            "your v squares 1 − β too: only g must be squared": _means(
                v='beta2 * state["mean_square"] + ((1 - beta2) * g) ** 2'
            ),
            "your means lack the old ones, with which they must go on": _means(
                "(1 - beta1) * g", "(1 - beta2) * g * g"
            ),
            "your means are g and g² of this step alone: the old ones must go on in them": _means("g", "g * g"),
            "your v subtracts the mean, as a variance does: it must be the mean of g² itself": (
                _means(v='beta2 * state["mean_square"] + (1 - beta2) * (g - m) ** 2'),
                _means(v='beta2 * state["mean_square"] + (1 - beta2) * (g - state["mean"]) ** 2'),
                _means(v='beta2 * state["mean_square"] + (1 - beta2) * (g * g - m * m)'),
            ),
            "the weights of one of your means belong to two betas: they must sum to 1": (
                _means(v='beta2 * state["mean_square"] + (1 - beta1) * g * g'),
                _means(v='beta1 * state["mean_square"] + (1 - beta2) * g * g'),
                _means('beta1 * state["mean"] + (1 - beta2) * g'),
                _means('beta2 * state["mean"] + (1 - beta1) * g'),
            ),
            "you write into an array of the old state: the new mean must be a new array": (
                (
                    'm = state["mean"]\nm *= beta1\nm += (1 - beta1) * g\nv = state["mean_square"]\nv *= beta2\n'
                    "v += (1 - beta2) * g * g"
                ),
                (
                    'm = state["mean"]\nm *= beta1\nm += (1 - beta1) * g\n'
                    'v = beta2 * state["mean_square"] + (1 - beta2) * g * g'
                ),
                (
                    'm = beta1 * state["mean"] + (1 - beta1) * g\nv = state["mean_square"]\nv *= beta2\n'
                    "v += (1 - beta2) * g * g"
                ),
            ),
            "your m takes g in full: the two weights must sum to 1": _means('beta1 * state["mean"] + g'),
            "your m has its weights exchanged: β must belong to the old mean": _means(
                '(1 - beta1) * state["mean"] + beta1 * g'
            ),
            "your v has its weights exchanged: β must belong to the old mean": _means(
                v='(1 - beta2) * state["mean_square"] + beta2 * g * g'
            ),
            "your m has the β of the squares: it must be its own": _means('beta2 * state["mean"] + (1 - beta2) * g'),
            "your m lacks the old mean, with which it must go on": _means("(1 - beta1) * g"),
            "your v lacks the old mean, with which it must go on": _means(v="(1 - beta2) * g * g"),
            "your m is g of this step alone: the old mean must go on in it": _means("g"),
            "your v is g² of this step alone: the old mean must go on in it": _means(v="g * g"),
            "your m subtracts what is new: it must be a mean of g": _means('beta1 * state["mean"] - (1 - beta1) * g'),
            "your v subtracts what is new: a mean of squares must not be negative": _means(
                v='beta2 * state["mean_square"] - (1 - beta2) * g * g'
            ),
            "in your m the old mean counts in full: the two weights must sum to 1": _means(
                'state["mean"] + (1 - beta1) * g'
            ),
            "in your v the old mean counts in full: the two weights must sum to 1": _means(
                v='state["mean_square"] + (1 - beta2) * g * g'
            ),
            "in your m and v the old means count in full: the two weights of each must sum to 1": _means(
                'state["mean"] + (1 - beta1) * g', 'state["mean_square"] + (1 - beta2) * g * g'
            ),
            "your v squares the whole sum: only g must be squared": _means(
                v='(beta2 * state["mean_square"] + (1 - beta2) * g) ** 2'
            ),
            "your v squares the old mean too: only g must be squared": _means(
                v='beta2 * state["mean_square"] ** 2 + (1 - beta2) * g * g'
            ),
            "your v is a root: that must be taken later": _means(
                v='(beta2 * state["mean_square"] + (1 - beta2) * g * g) ** 0.5'
            ),
            "your v goes on from the mean of g: it must go on from that of g²": _means(
                v='beta2 * state["mean"] + (1 - beta2) * g * g'
            ),
            "your v multiplies g by its mean: it must be the mean of g²": _means(
                v='beta2 * state["mean_square"] + (1 - beta2) * g * m'
            ),
            "your m is a mean of g²: it must be one of g": _means('beta1 * state["mean"] + (1 - beta1) * g * g'),
            "your weights change with t: they must be the same at each step": (
                _means('beta1**t * state["mean"] + (1 - beta1**t) * g'),
                _means(v='beta2**t * state["mean_square"] + (1 - beta2**t) * g * g'),
                _means(
                    'beta1**t * state["mean"] + (1 - beta1**t) * g',
                    'beta2**t * state["mean_square"] + (1 - beta2**t) * g * g',
                ),
            ),
            "you correct for the first steps here already: what is kept must not be corrected": (
                _means('(beta1 * state["mean"] + (1 - beta1) * g) / (1 - beta1**t)'),
                _means(v='(beta2 * state["mean_square"] + (1 - beta2) * g * g) / (1 - beta2**t)'),
                _means(
                    '(beta1 * state["mean"] + (1 - beta1) * g) / (1 - beta1**t)',
                    '(beta2 * state["mean_square"] + (1 - beta2) * g * g) / (1 - beta2**t)',
                ),
            ),
        },
        hides={OPTIM: ("m ← β₁ m + (1 − β₁) g", "v ← β₂ v + (1 − β₂) g²")},
    ),
    Exercise(
        name="bias_correction",
        title="Adam's correction of the first steps",
        path=OPTIM,
        piece=Body("Adam._update", "m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)"),
        reading=("nn/optim.py, Adam", "Kingma and Ba, Adam (2015), section 3"),
        rows=(50,),
        minutes=10,
        task=(
            "m and v are running means that began at 0, so they are too small at first: after t steps (t is 1 at the "
            "first) the weights of all gradients in m sum to less than 1. beta1 is the part of m that each step "
            "keeps, and beta2 that of v. Set m_hat and v_hat to what m and v would be with weights that sum to 1."
        ),
        hints=(
            "If every g is the same, m is g after the first step times 1 − β₁, after two times 1 − β₁², ...",
            "Divide by the sum of the weights.",
            "(1 − β)(1 + β + ... + βᵗ⁻¹) = 1 − βᵗ",
        ),
        probes=steps.adams,
        mistakes={
            "nothing is corrected: in the first steps m and v are too small": "m_hat, v_hat = m, v",
            "you correct for one step at every step: after more steps the weights sum to more": (
                "m_hat, v_hat = m / (1 - beta1), v / (1 - beta2)"
            ),
            "you multiply by a sum of weights: you must divide by it": (
                "m_hat, v_hat = m * (1 - beta1**t), v * (1 - beta2**t)",
                "m_hat, v_hat = m * (1 - beta1**t), v / (1 - beta2**t)",
                "m_hat, v_hat = m / (1 - beta1**t), v * (1 - beta2**t)",
            ),
            "only m is corrected: v is too small at first too": "m_hat, v_hat = m / (1 - beta1**t), v",
            "only v is corrected: m is too small at first too": "m_hat, v_hat = m, v / (1 - beta2**t)",
            "your betas are exchanged: beta1 must be that of m, beta2 that of v": (
                "m_hat, v_hat = m / (1 - beta2**t), v / (1 - beta1**t)"
            ),
            "you use one β for both: m and v must each have their own": (
                "m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta1**t)",
                "m_hat, v_hat = m / (1 - beta2**t), v / (1 - beta2**t)",
            ),
            "your t is one too large: it is 1 at the first step already": (
                "m_hat, v_hat = m / (1 - beta1 ** (t + 1)), v / (1 - beta2 ** (t + 1))"
            ),
            "your t is one too small: it is 1 at the first step already, and with 0 you divide by 0": (
                "m_hat, v_hat = m / (1 - beta1 ** (t - 1)), v / (1 - beta2 ** (t - 1))"
            ),
            "you divide by 1 − β·t, which is no sum of weights: it may be negative": (
                "m_hat, v_hat = m / (1 - beta1 * t), v / (1 - beta2 * t)"
            ),
            "you divide by (1 − β)ᵗ, which shrinks with t: the sum of the weights grows": (
                "m_hat, v_hat = m / (1 - beta1) ** t, v / (1 - beta2) ** t"
            ),
            "you divide by βᵗ, which shrinks with t: the sum of the weights grows": (
                "m_hat, v_hat = m / beta1**t, v / beta2**t"
            ),
            "you change m or v itself: it is kept, and would be corrected again at the next step": (
                "m /= 1 - beta1**t\nv /= 1 - beta2**t\nm_hat, v_hat = m, v",
                "m = m / (1 - beta1**t)\nv = v / (1 - beta2**t)\nm_hat, v_hat = m, v",
                "m_hat = m = m / (1 - beta1**t)\nv_hat = v = v / (1 - beta2**t)",
                "m /= 1 - beta1**t\nm_hat, v_hat = m, v / (1 - beta2**t)",
                "v /= 1 - beta2**t\nm_hat, v_hat = m / (1 - beta1**t), v",
            ),
            "parentheses are missing: division comes before subtraction": (
                "m_hat, v_hat = m / 1 - beta1**t, v / 1 - beta2**t",
                "m_hat, v_hat = m / (1 - beta1**t), v / 1 - beta2**t",
                "m_hat, v_hat = m / 1 - beta1**t, v / (1 - beta2**t)",
                "m_hat, v_hat = m - beta1**t, v - beta2**t",
            ),
            "you divide by a negative number: the sum of the weights is positive": (
                "m_hat, v_hat = m / (beta1**t - 1), v / (beta2**t - 1)",
                "m_hat, v_hat = m / (beta1**t - 1), v / (1 - beta2**t)",
                "m_hat, v_hat = m / (1 - beta1**t), v / (beta2**t - 1)",
            ),
            "you divide by 1 + βᵗ, which is more than 1: m and v must become larger": (
                "m_hat, v_hat = m / (1 + beta1**t), v / (1 + beta2**t)"
            ),
            "you divide by the root of a sum of weights: it must be the sum itself": (
                "m_hat, v_hat = m / (1 - beta1**t) ** 0.5, v / (1 - beta2**t) ** 0.5",
                "m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t) ** 0.5",
            ),
            "you divide by t, as for a sum: m and v are means already, and too small at first": (
                "m_hat, v_hat = m / t, v / t"
            ),
            "you multiply by t: after many steps m and v need no correction": "m_hat, v_hat = m * t, v * t",
            "m and v are exchanged": (
                "m_hat, v_hat = v / (1 - beta2**t), m / (1 - beta1**t)",
                "m_hat, v_hat = v / (1 - beta1**t), m / (1 - beta2**t)",
            ),
            "you correct at the first step only: the next ones must be corrected too": (
                "m_hat = m / (1 - beta1**t) if t == 1 else m\nv_hat = v / (1 - beta2**t) if t == 1 else v"
            ),
            "you correct m for one step at every step: after more steps the weights sum to more": (
                "m_hat, v_hat = m / (1 - beta1), v / (1 - beta2**t)"
            ),
            "you correct v for one step at every step: after more steps the weights sum to more": (
                "m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2)"
            ),
        },
        hides={OPTIM: ("m̂ = m / (1 − β₁ᵗ), v̂ = v / (1 − β₂ᵗ)",)},
    ),
)
