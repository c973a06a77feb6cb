"""SGD: its step, and the velocity of momentum."""

from tinygrad_sm.exercises.chapters import steps
from tinygrad_sm.exercises.exercise import Body, Exercise

OPTIM = "nn/optim.py"
AHEAD = 'lr * (g + momentum * v if options["nesterov"] else v)'


def _sgd(result: str, decay: str = "g = g + weight_decay * theta") -> str:
    return f"if weight_decay:\n    {decay}\nif not momentum:\n    return {result}"


def _momentum(v: str, result: str, kept: str = '{"velocity": v}') -> str:
    return f'old = (state or self._new_state(theta))["velocity"]\nv = {v}\nreturn {result}, {kept}'


EXERCISES = (
    Exercise(
        name="sgd",
        title="A step of SGD",
        path=OPTIM,
        piece=Body("SGD._update", "if weight_decay:", "return lr * g, state"),
        reading=("nn/optim.py, its first page", "docs/theory.md, Which loss? Maximum likelihood"),
        rows=(50,),
        minutes=10,
        task=(
            "theta is a parameter, g its gradient, lr the learning rate. Weight decay adds the gradient of "
            "weight_decay · θ²/2 to g. Then, if momentum is 0, return the decrease of θ, which the caller subtracts, "
            "and `state`, unchanged, as a pair. With momentum, go on: what stands after the piece uses the new g. "
            "Write into no array."
        ),
        hints=(
            "The derivative of weight_decay · θ²/2 is weight_decay · θ.",
            "g is somebody's .grad: make a new array, g = g + ...",
            "Down the slope by lr: θ ← θ − lr · g, so the decrease is lr · g.",
        ),
        probes=steps.descents,
        mistakes={
            "your step forgets lr, the learning rate": _sgd("g, state"),
            "your step goes up the slope: what you return is a decrease, and will be subtracted": _sgd(
                "-lr * g, state"
            ),
            "you return the new θ: it must be the decrease of θ": _sgd("theta - lr * g, state"),
            "you return one array: it must be a pair, the decrease of θ and the state": _sgd("lr * g"),
            "your weight decay is missing": "if not momentum:\n    return lr * g, state",
            "your weight decay makes weights larger: it must make them smaller": _sgd(
                "lr * g, state", "g = g - weight_decay * theta"
            ),
            "your weight decay is the same for all weights: it must be in proportion to θ": _sgd(
                "lr * g, state", "g = g + weight_decay"
            ),
            "your weight decay adds the square of θ, as the penalty does: it must be the gradient of that": (
                _sgd("lr * g, state", "g = g + weight_decay * theta**2 / 2"),
                _sgd("lr * g, state", "g = g + weight_decay * theta**2"),
            ),
            "your weight decay is twice as large as it must be: the penalty has a half": _sgd(
                "lr * g, state", "g = g + 2 * weight_decay * theta"
            ),
            "your weight decay writes into g, which is the parameter's .grad": _sgd(
                "lr * g, state", "g += weight_decay * theta"
            ),
            "you return with momentum too, so that it is never used": (
                "if weight_decay:\n    g = g + weight_decay * theta\nreturn lr * g, state"
            ),
            "your weight decay is not scaled by lr: it must be a part of g": (
                "if not momentum:\n    return lr * g + weight_decay * theta, state\ng = g + weight_decay * theta",
                "if not momentum:\n    return lr * g + weight_decay * theta, state",
            ),
            "with momentum your weight decay is missing: what stands after the piece uses g": (
                "if not momentum:\n    return lr * (g + weight_decay * theta), state",
                (
                    "if not momentum:\n    if weight_decay:\n        g = g + weight_decay * theta\n"
                    "    return lr * g, state"
                ),
            ),
            "without momentum your weight decay is missing": (
                "if not momentum:\n    return lr * g, state\ng = g + weight_decay * theta",
                "if momentum:\n    g = g + weight_decay * theta\nelse:\n    return lr * g, state",
            ),
            "your weight decay is in proportion to g: it must be in proportion to θ": (
                _sgd("lr * g, state", "g = g + weight_decay * g"),
                _sgd("lr * g, state", "g = g * (1 - weight_decay)"),
                _sgd("lr * g, state", "g = (1 + weight_decay) * g"),
            ),
            "your weight decay takes the place of g: both must be added": _sgd(
                "lr * g, state", "g = weight_decay * theta"
            ),
            "your weight decay has one size, as for the penalty |θ|: it must be in proportion to θ": _sgd(
                "lr * g, state", "g = g + weight_decay * (theta > 0) - weight_decay * (theta < 0)"
            ),
            "your weight decay makes negative weights more negative: it must make all smaller": _sgd(
                "lr * g, state", "g = g + weight_decay * abs(theta)"
            ),
            "lr scales your weight decay twice: it must scale it once": _sgd(
                "lr * g, state", "g = g + lr * weight_decay * theta"
            ),
            "your weight decay is half as large as it must be: the derivative of a square has a 2": _sgd(
                "lr * g, state", "g = g + weight_decay * theta / 2"
            ),
            "you divide by lr: it must be a factor of the step": _sgd("g / lr, state"),
            "your step has the direction of g and not its size: where g is large, it must be large": (
                _sgd("lr * g / abs(g).max(), state"),
                _sgd("lr * g / (g * g).sum() ** 0.5, state"),
            ),
            "you change θ yourself, and the caller subtracts once more": (
                "if weight_decay:\n    g = g + weight_decay * theta\nif not momentum:\n    theta -= lr * g\n"
                "    return lr * g, state"
            ),
        },
        hides={OPTIM: ("g ← g + weight_decay · θ", "θ ← θ − lr · v ", "θ ← θ − lr · (g + momentum · v) ")},
    ),
    Exercise(
        name="momentum",
        title="Momentum, and Nesterov's",
        path=OPTIM,
        piece=Body(
            "SGD._update",
            'v = (momentum * (state or self._new_state(theta))["velocity"] + g).astype(theta.dtype)',
            'return lr * (g + momentum * v if options["nesterov"] else v), {"velocity": v}',
        ),
        reading=("nn/optim.py, its first page",),
        rows=(50,),
        minutes=15,
        task=(
            'old = (state or self._new_state(theta))["velocity"] is the velocity, 0 at first. The new one is the old '
            "one times momentum, and the gradient, undamped. Return the decrease of θ, lr times the new velocity, and "
            'the new state {"velocity": v}. With options["nesterov"] the decrease looks ahead by one step: lr times '
            "the sum of g and momentum times the new velocity. Write into no array."
        ),
        hints=(
            "v = momentum · old + g",
            "With Nesterov's: as if the velocity were carried on once more, by the rule that made v.",
            "lr scales v where it is used, and not in what is kept.",
        ),
        probes=steps.velocities,
        mistakes={
            "your velocity takes only a part of g, 1 − momentum of it: g must count in full": (
                _momentum("momentum * old + (1 - momentum) * g", AHEAD),
                _momentum("momentum * old + (1 - momentum) * g", "lr * v"),
            ),
            "your velocity is forgotten: the state that you return must be the new one": (
                _momentum("momentum * old + g", AHEAD, "state"),
                _momentum("momentum * old + g", "lr * v", "state"),
            ),
            "you return one array: it must be a pair, the decrease of θ and the state": (
                'v = momentum * (state or self._new_state(theta))["velocity"] + g\n'
                'return lr * (g + momentum * v if options["nesterov"] else v)'
            ),
            "your step is that of plain SGD: the velocity must be used": _momentum("momentum * old + g", "lr * g"),
            "your old velocity is not slowed down: it must be, by momentum": (
                _momentum("old + g", AHEAD),
                _momentum("old + g", "lr * v"),
            ),
            "your factor momentum slows g down too: g must count in full": (
                _momentum("momentum * (old + g)", AHEAD),
                _momentum("momentum * (old + g)", "lr * v"),
            ),
            "your velocity holds lr too: after a change of lr the old steps would keep the old one": (
                _momentum("momentum * old + lr * g", 'lr * g + momentum * v if options["nesterov"] else v'),
                _momentum("momentum * old + lr * g", 'g + momentum * v if options["nesterov"] else v'),
                _momentum("momentum * old + lr * g", "v"),
                _momentum("momentum * old - lr * g", "-v"),
                _momentum("momentum * old + lr * g", 'momentum * v + lr * g if options["nesterov"] else v'),
                _momentum("momentum * old + lr * g", "lr * v"),
                _momentum("momentum * old + lr * g", AHEAD),
            ),
            "with nesterov your step is still the classical one": _momentum("momentum * old + g", "lr * v"),
            "your step looks ahead always: only with nesterov it must": _momentum(
                "momentum * old + g", "lr * (g + momentum * v)"
            ),
            "your step looks ahead without nesterov, and does not with it: it must be the other way round": _momentum(
                "momentum * old + g", 'lr * (v if options["nesterov"] else g + momentum * v)'
            ),
            "your step forgets lr": (
                _momentum("momentum * old + g", 'g + momentum * v if options["nesterov"] else v'),
                _momentum("momentum * old + g", "v"),
            ),
            "your step goes up the slope: what you return is a decrease, and will be subtracted": (
                _momentum("momentum * old + g", '-lr * (g + momentum * v if options["nesterov"] else v)'),
                _momentum("momentum * old + g", "-lr * v"),
            ),
            "with nesterov you keep what looks ahead: the velocity that is kept must be as it is without": (
                'old = (state or self._new_state(theta))["velocity"]\nv = momentum * old + g\n'
                'if options["nesterov"]:\n    v = g + momentum * v\nreturn lr * v, {"velocity": v}'
            ),
            "with nesterov you add the new velocity in full: the look-ahead must slow it down by momentum": _momentum(
                "momentum * old + g", 'lr * (g + v if options["nesterov"] else v)'
            ),
            "with nesterov you add the velocity to itself: g must be there in its place": _momentum(
                "momentum * old + g", 'lr * (v + momentum * v if options["nesterov"] else v)'
            ),
            "with nesterov your step lacks g": _momentum(
                "momentum * old + g", 'lr * (momentum * v if options["nesterov"] else v)'
            ),
            "with nesterov your factors are exchanged: it is g that must count in full": (
                _momentum("momentum * old + g", 'lr * (v + momentum * g if options["nesterov"] else v)'),
                _momentum("momentum * old + g", 'lr * (momentum * g + v if options["nesterov"] else v)'),
            ),
            "with nesterov lr scales g alone: it must scale the whole step": _momentum(
                "momentum * old + g", 'lr * g + momentum * v if options["nesterov"] else lr * v'
            ),
            "with nesterov your step damps g: it must count in full": _momentum(
                "momentum * old + g", 'lr * ((1 - momentum) * g + momentum * v if options["nesterov"] else v)'
            ),
            "with nesterov your step is that of plain SGD": _momentum(
                "momentum * old + g", 'lr * (g if options["nesterov"] else v)'
            ),
            "your velocity is g alone: the old one must go on in it": _momentum("g", AHEAD),
            "your velocity subtracts g: in a decrease of θ it must be added": (
                _momentum("momentum * old - g", AHEAD),
                _momentum("momentum * old - g", "lr * v"),
            ),
            "your velocity has the wrong sign in the state: it must be a sum of gradients": (
                _momentum("momentum * old - g", "-lr * v"),
                _momentum("momentum * old - g", 'lr * (g - momentum * v) if options["nesterov"] else -lr * v'),
            ),
            "your old velocity is subtracted: the old steps must go on in their direction": (
                _momentum("g - momentum * old", AHEAD),
                _momentum("g - momentum * old", "lr * v"),
            ),
            "you write into the old velocity, which is somebody's state": (
                (
                    'old = (state or self._new_state(theta))["velocity"]\nold *= momentum\nold += g\nv = old\n'
                    'return lr * (g + momentum * v if options["nesterov"] else v), {"velocity": v}'
                ),
                (
                    'old = (state or self._new_state(theta))["velocity"]\nv = old\nv *= momentum\nv += g\n'
                    'return lr * (g + momentum * v if options["nesterov"] else v), {"velocity": v}'
                ),
                (
                    'old = (state or self._new_state(theta))["velocity"]\nold *= momentum\nold += g\n'
                    'return lr * old, {"velocity": old}'
                ),
            ),
            "you write into g, which is the parameter's .grad": (
                (
                    'old = (state or self._new_state(theta))["velocity"]\ng += momentum * old\n'
                    'return lr * g, {"velocity": g}'
                ),
                (
                    'old = (state or self._new_state(theta))["velocity"]\nv = g\nv += momentum * old\n'
                    'return lr * (g + momentum * v if options["nesterov"] else v), {"velocity": v}'
                ),
            ),
            "you keep the step as the velocity: lr must not be in what is kept": (
                _momentum("momentum * old + g", AHEAD, '{"velocity": lr * v}'),
                _momentum("momentum * old + g", "lr * v", '{"velocity": lr * v}'),
            ),
            "you keep g as the velocity: it must be the new velocity": _momentum(
                "momentum * old + g", AHEAD, '{"velocity": g}'
            ),
            "you return v without its name: the state must be a dict": _momentum("momentum * old + g", AHEAD, "v"),
        },
        hides={OPTIM: ("v ← momentum · v + g", "θ ← θ − lr · v ", "θ ← θ − lr · (g + momentum · v) ")},
    ),
)
