"""Between two steps: the gradients are forgotten."""

from tinygrad_sm.exercises.chapters import steps
from tinygrad_sm.exercises.exercise import Body, Exercise

OPTIM = "nn/optim.py"
ALL_NONE = "for slot in self._slots:\n        slot.parameter.grad = None"


def _zero_grad(first: str, second: str = "write_all(self._zeros())") -> str:
    return f"if set_to_none:\n    {first}\nelse:\n    {second}"


EXERCISES = (
    Exercise(
        name="zero_grad",
        title="Forgetting the gradients",
        path=OPTIM,
        piece=Body("Optimizer.zero_grad"),
        reading=("nn/optim.py, its first page", "tinygrad_sm/engine/backward.py, its first page"),
        rows=(50,),
        minutes=5,
        task=(
            "backward() adds to .grad, so the gradients must be forgotten before the next one. Set .grad of every "
            "parameter to None: the parameters are slot.parameter for each slot of self._slots. If set_to_none is "
            "false, write_all(self._zeros()) fills their .grad with zeros instead."
        ),
        hints=(
            "A loop over self._slots.",
            "None is not 0: a step leaves out a parameter whose .grad is None, and its momentum and decay too.",
        ),
        probes=steps.zeroed,
        mistakes={
            "you fill the gradients with zeros: they must be None, so that a step leaves the parameter out": (
                "write_all(self._zeros())",
                "for slot in self._slots:\n    slot.parameter.grad = slot.parameter.data * 0",
                "for slot in self._slots:\n    slot.parameter.grad[...] = 0",
                _zero_grad("for slot in self._slots:\n        slot.parameter.grad = slot.parameter.data * 0"),
                _zero_grad("for slot in self._slots:\n        slot.parameter.grad[...] = 0"),
                "for slot in self._slots:\n    slot.parameter.grad = 0",
                _zero_grad("for slot in self._slots:\n        slot.parameter.grad = 0"),
            ),
            "with set_to_none=False your gradients are None: they must be zeros": (
                "for slot in self._slots:\n    slot.parameter.grad = None",
                "write_all([(setattr, slot.parameter, 'grad', None) for slot in self._slots])",
            ),
            "you have set_to_none the wrong way round: it is True that must give None": _zero_grad(
                "write_all(self._zeros())", ALL_NONE
            ),
            "you forget the gradient of the first parameter alone": _zero_grad("self._slots[0].parameter.grad = None"),
            "you forget the gradient of the last parameter alone": _zero_grad("self._slots[-1].parameter.grad = None"),
            "you set the parameters themselves to 0, and forget what was learned": _zero_grad(
                "for slot in self._slots:\n        slot.parameter.data[...] = 0\n        slot.parameter.grad = None"
            ),
            "you write zeros into an array that somebody may have kept, before you forget it": _zero_grad(
                "for slot in self._slots:\n        slot.parameter.grad[...] = 0\n        slot.parameter.grad = None"
            ),
            "nothing is forgotten: the gradients of all steps add up": "pass",
            "your assignment does not reach the parameters: the .grad of each of them must be None": (
                _zero_grad("for slot in self._slots:\n        slot.grad = None"),
                (
                    "if set_to_none:\n    for slot in self._slots:\n        grad = slot.parameter.grad\n"
                    "        grad = None\nelse:\n    write_all(self._zeros())"
                ),
                (
                    "if set_to_none:\n    for slot in self._slots:\n        g = None\nelse:\n"
                    "    write_all(self._zeros())"
                ),
            ),
            "with set_to_none=False nothing is written: self._zeros() only makes the list of what is to be written": (
                _zero_grad(ALL_NONE, "self._zeros()"),
                _zero_grad(ALL_NONE, "pass"),
            ),
            "you forget velocities and the like too: only gradients must be forgotten": _zero_grad(
                "for slot in self._slots:\n        slot.parameter.grad = None\n        slot.state = {}"
            ),
        },
    ),
)
