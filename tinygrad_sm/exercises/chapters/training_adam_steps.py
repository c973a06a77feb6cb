"""Adam's step, and AdamW's weight decay."""

from tinygrad_sm.exercises.chapters import steps
from tinygrad_sm.exercises.exercise import Body, Exercise

OPTIM = "nn/optim.py"


def _decay(change: str) -> str:
    return f"if weight_decay and self._is_decoupled:\n    {change}"


EXERCISES = (
    Exercise(
        name="adam_step",
        title="Adam's step",
        path=OPTIM,
        piece=Body("Adam._update", "change = lr * m_hat / (array_module(v_hat).sqrt(v_hat) + eps)"),
        reading=("nn/optim.py, Adam", "Kingma and Ba, Adam (2015), algorithm 1"),
        rows=(50,),
        minutes=10,
        task=(
            "m_hat is the mean of g, v_hat that of g². Set `change` to the decrease of θ: about lr in every "
            "coordinate, however large its gradients are. eps keeps it from dividing by 0, and is added outside of "
            "the root. array_module(v_hat).sqrt is the root, element by element."
        ),
        hints=(
            "If all g are alike, m_hat is g and v_hat is g²: what quotient of both is 1 or −1?",
            "lr · m̂ / (√v̂ + eps)",
        ),
        probes=steps.adams,
        mistakes={
            "the root is missing: the step would be about lr / g": "change = lr * m_hat / (v_hat + eps)",
            "your eps stands inside of the root: it must stand outside": (
                "change = lr * m_hat / array_module(v_hat).sqrt(v_hat + eps)"
            ),
            "your eps is missing: where every gradient was 0, 0/0 is NaN": (
                "change = lr * m_hat / array_module(v_hat).sqrt(v_hat)"
            ),
            "you use m and v without their correction": "change = lr * m / (array_module(v).sqrt(v) + eps)",
            "you use m without its correction": "change = lr * m / (array_module(v_hat).sqrt(v_hat) + eps)",
            "you use v without its correction": "change = lr * m_hat / (array_module(v).sqrt(v) + eps)",
            "you use g of this step: it must be its mean": "change = lr * g / (array_module(v_hat).sqrt(v_hat) + eps)",
            "lr is missing: your step is about 1 in every coordinate": (
                "change = m_hat / (array_module(v_hat).sqrt(v_hat) + eps)"
            ),
            "you multiply by the root: you must divide by it": (
                "change = lr * m_hat * (array_module(v_hat).sqrt(v_hat) + eps)"
            ),
            "your step goes up the slope: the caller subtracts `change`": (
                "change = -lr * m_hat / (array_module(v_hat).sqrt(v_hat) + eps)",
                "change = -lr * m_hat / array_module(v_hat).sqrt(v_hat + eps)",
            ),
            "your step ignores v: its size must not depend on that of the gradients": (
                "change = lr * m_hat",
                "change = lr * m",
            ),
            "eps is added to the whole step: it must be added to the divisor": (
                "change = lr * m_hat / array_module(v_hat).sqrt(v_hat) + eps"
            ),
            "you take the root of m too: it may be negative, and the step must have its sign": (
                "change = lr * array_module(v_hat).sqrt(m_hat) / (array_module(v_hat).sqrt(v_hat) + eps)"
            ),
            "you take the root of m: it must be that of v": (
                "change = lr * array_module(v_hat).sqrt(m_hat) / (v_hat + eps)"
            ),
            "you square v, which is a mean of squares already: it must be a root": (
                "change = lr * m_hat / (v_hat**2 + eps)"
            ),
            "your step is upside down: it must grow with m, and shrink where v is large": (
                "change = lr * array_module(v_hat).sqrt(v_hat) / (m_hat + eps)",
                "change = lr * (array_module(v_hat).sqrt(v_hat) + eps) / m_hat",
                "change = lr * v_hat / (m_hat + eps)",
            ),
            "you divide by lr: the step must be about as large as lr": (
                "change = m_hat / (lr * (array_module(v_hat).sqrt(v_hat) + eps))",
                "change = m_hat / lr / (array_module(v_hat).sqrt(v_hat) + eps)",
            ),
            "your `change` is the new θ: it must be the decrease of θ": (
                "change = theta - lr * m_hat / (array_module(v_hat).sqrt(v_hat) + eps)"
            ),
            "your root is that of the whole quotient: it must be that of v alone": (
                "change = lr * array_module(v_hat).sqrt(abs(m_hat) / (v_hat + eps))",
            ),
            "you take the larger one of root and eps: it must be the sum of both": (
                "change = lr * m_hat / array_module(v_hat).maximum(array_module(v_hat).sqrt(v_hat), eps)"
            ),
            "you subtract eps: it must be added": "change = lr * m_hat / (array_module(v_hat).sqrt(v_hat) - eps)",
            "you multiply by eps: it must be added": "change = lr * m_hat / (array_module(v_hat).sqrt(v_hat) * eps)",
            "eps is added above the line: it must be added to the divisor": (
                "change = (lr * m_hat + eps) / array_module(v_hat).sqrt(v_hat)",
                "change = lr * (m_hat + eps) / (array_module(v_hat).sqrt(v_hat) + eps)",
            ),
            "you divide by the size of m: every step is lr then, and v is not used": (
                "change = lr * m_hat / (abs(m_hat) + eps)"
            ),
            "your step has the sign of m and the size lr alone: v is not used": (
                "change = lr * array_module(v_hat).sign(m_hat)"
            ),
        },
        hides={OPTIM: ("θ ← θ − lr · m̂ / (√v̂ + eps)",)},
    ),
    Exercise(
        name="decoupled_decay",
        title="AdamW's weight decay",
        path=OPTIM,
        piece=Body("Adam._update", "if weight_decay and self._is_decoupled:", "change += lr * weight_decay * theta"),
        reading=("nn/optim.py, AdamW", "Loshchilov and Hutter, Decoupled Weight Decay Regularization (2019)"),
        rows=(50,),
        minutes=5,
        task=(
            "`change` is the decrease of θ, a new array. In AdamW self._is_decoupled is true, and each step also "
            "shrinks the parameter, theta, by the part lr · weight_decay of it. In Adam weight decay is in g already."
        ),
        hints=(
            "θ ← θ − lr · weight_decay · θ, beside Adam's own step.",
            "Only if self._is_decoupled.",
        ),
        probes=steps.decays,
        mistakes={
            "your weight decay forgets lr, which must scale it": _decay("change += weight_decay * theta"),
            "your weight decay makes weights larger: the caller subtracts `change`": _decay(
                "change -= lr * weight_decay * theta"
            ),
            "you decay the weights of Adam too, where weight decay is in g already": (
                "if weight_decay:\n    change += lr * weight_decay * theta"
            ),
            "you decay the weights of Adam and not those of AdamW: it must be the other way round": (
                "if weight_decay and not self._is_decoupled:\n    change += lr * weight_decay * theta"
            ),
            "your AdamW does not decay its weights: only what is in `change` reaches the parameter": (
                "pass",
                _decay("g = g + weight_decay * theta"),
                _decay("theta = theta - lr * weight_decay * theta"),
                _decay("theta *= 1 - lr * weight_decay"),
            ),
            "your weight decay is the same for all weights: it must be in proportion to θ": _decay(
                "change += lr * weight_decay"
            ),
            "your weight decay is divided by √v̂: decoupled means that it must not be": _decay(
                "change += lr * weight_decay * theta / (array_module(v_hat).sqrt(v_hat) + eps)"
            ),
            "your weight decay takes the place of Adam's step: both must be subtracted": _decay(
                "change = lr * weight_decay * theta"
            ),
            "you multiply the step by the decay: both must be added": _decay("change *= lr * weight_decay * theta"),
            "your weight decay is in proportion to g: it must be in proportion to θ": _decay(
                "change += lr * weight_decay * g"
            ),
            "your weight decay is in proportion to Adam's step: it must be in proportion to θ": (
                _decay("change += lr * weight_decay * change"),
                _decay("change *= 1 + lr * weight_decay"),
                _decay("change = change * (1 - lr * weight_decay)"),
                _decay("change += weight_decay * change"),
            ),
            "your weight decay is in proportion to the square of θ, as the penalty is: it must be to θ itself": (
                _decay("change += lr * weight_decay * theta**2"),
                _decay("change += lr * weight_decay * theta**2 / 2"),
            ),
            "your weight decay makes negative weights more negative: it must make all smaller": _decay(
                "change += lr * weight_decay * abs(theta)"
            ),
            "your decrease has θ itself in it: only a small part of θ must go": (
                _decay("change += (1 - lr * weight_decay) * theta"),
                _decay("change += theta - lr * weight_decay * theta"),
                _decay("change = theta * (1 - lr * weight_decay) - change"),
                _decay("change = (1 - lr * weight_decay) * theta + change"),
            ),
            "your weight decay is half as large as it must be": _decay("change += lr * weight_decay * theta / 2"),
            "your weight decay is twice as large as it must be": _decay("change += 2 * lr * weight_decay * theta"),
            "lr scales your weight decay twice: it must scale it once": _decay(
                "change += lr * (lr * weight_decay * theta)"
            ),
            "your weight decay divides by lr: lr must be a factor of it": _decay("change += weight_decay * theta / lr"),
            "lr scales Adam's step a second time: it is in `change` already": _decay(
                "change = lr * (change + weight_decay * theta)"
            ),
            "your weight decay is in proportion to the mean of g: it must be in proportion to θ": (
                _decay("change += lr * weight_decay * m_hat"),
                _decay("change += lr * weight_decay * m"),
            ),
        },
        hides={OPTIM: ("θ ← θ − lr · weight_decay · θ",)},
    ),
)
