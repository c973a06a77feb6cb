"""What is recorded: the node of an operation, and blocks in which none is made."""

from tinygrad_sm.exercises.chapters import walks_recording
from tinygrad_sm.exercises.exercise import Body, Exercise


def _recording(condition: str, saved: str = "saved") -> tuple[str, str]:
    """Return answers to the exercise `record` with this condition, the second without check_differentiable."""
    node = f"node = Node(self, operands, static, {saved}, number)\n"
    begin = f"node = None\nif {condition}:\n    "
    return f"{begin}self.check_differentiable(out, operands)\n    {node}", begin + node


EXERCISES = (
    Exercise(
        name="record",
        title="When an operation is recorded",
        path="engine/primitive.py",
        piece=Body("Primitive.__call__", "node = None", "node = Node(self, operands, static, saved, number)"),
        reading=("examples/small.py, its call of an operation", "tinygrad_sm/engine/primitive.py, its first page"),
        rows=(44,),
        minutes=10,
        task=(
            "The forward has run, `out` is its result, and `traced` are the operands that are Traced values. Set "
            "`node` to None, or to Node(self, operands, static, saved, number) if the operation is to be recorded. "
            "`record` says what the mode asks for, and x.requires_grad whether an operand needs a gradient. Before a "
            "node is made, self.check_differentiable(out, operands) refuses what carries no gradient."
        ),
        hints=(
            "Two things must be true: the mode records, and there is somebody to bring a gradient to.",
            "One operand that requires a gradient is enough: the others may be constants.",
            "any(x.requires_grad for x in traced)",
        ),
        probes=walks_recording.recording,
        mistakes={
            "you record inside of no_grad too, where `record` is false": _recording(
                "any(x.requires_grad for x in traced)"
            ),
            "you record operations on constants too, though none of their operands requires a gradient": _recording(
                "record"
            ),
            "you record only if all operands require a gradient: one must be enough, others may be constants": (
                *_recording("record and all(x.requires_grad for x in traced)"),
                *_recording("record and all(x.requires_grad for x in operands)"),
                *_recording("record and all(is_traced(x) and x.requires_grad for x in operands)"),
            ),
            "you look at the first operand alone, and the one that requires a gradient may be another": (
                *_recording("record and traced[0].requires_grad"),
                *_recording("record and operands[0].requires_grad"),
            ),
            "you look at the last operand alone, and the one that requires a gradient may be another": (
                *_recording("record and traced[-1].requires_grad"),
                *_recording("record and operands[-1].requires_grad"),
            ),
            "you record every operation: inside of no_grad too, and on constants too": (
                "node = Node(self, operands, static, saved, number)",
                "self.check_differentiable(out, operands)\nnode = Node(self, operands, static, saved, number)\n",
            ),
            "where nothing is recorded `node` has no value: it must be None there": tuple(
                answer.removeprefix("node = None\n")
                for answer in _recording("record and any(x.requires_grad for x in traced)")
            ),
            "nothing is ever recorded: `node` stays None, so no result requires a gradient": "node = None\n",
            "your node lacks what the forward has saved for its rules": _recording(
                "record and any(x.requires_grad for x in traced)", "None"
            ),
            "you record where only one of your two conditions holds: one of them must not be enough": _recording(
                "record or any(x.requires_grad for x in traced)"
            ),
            "your node is made without check_differentiable: a result of integers would carry a gradient": _recording(
                "record and any(x.requires_grad for x in traced)"
            )[1],
            "you check results where no node is made: there, one of integers or booleans must be allowed": (
                (
                    "self.check_differentiable(out, operands)\nnode = None\n"
                    "if record and any(x.requires_grad for x in traced):\n"
                    "    node = Node(self, operands, static, saved, number)\n"
                ),
                (
                    "node = None\nif record:\n    self.check_differentiable(out, operands)\n"
                    "    if any(x.requires_grad for x in traced):\n"
                    "        node = Node(self, operands, static, saved, number)\n"
                ),
                (
                    "node = None\nif any(x.requires_grad for x in traced):\n"
                    "    self.check_differentiable(out, operands)\n    if record:\n"
                    "        node = Node(self, operands, static, saved, number)\n"
                ),
            ),
            "you have the mode the wrong way round: you record where `record` is false": _recording(
                "not record and any(x.requires_grad for x in traced)"
            ),
            "you ask plain arrays for requires_grad: operands may be such, and only Traced values have it": _recording(
                "record and any(x.requires_grad for x in operands)"
            ),
            "you record where an operand requires no gradient: it must be the other way round": _recording(
                "record and any(not x.requires_grad for x in traced)"
            ),
        },
        hides={
            "engine/primitive.py": (
                "gets a node if one of them requires a gradient",
                ", and record a node if an operand requires a gradient and the mode is to record",
            )
        },
    ),
    Exercise(
        name="no_grad",
        title="A block in which nothing is recorded",
        path="engine/mode.py",
        piece=Body("no_grad"),
        reading=("examples/small.py, its no_grad", "tinygrad_sm/engine/mode.py"),
        rows=(36,),
        minutes=5,
        task=(
            "Return a ModeScope in which operations are not recorded. It takes a function that gets the Mode of the "
            "code around the block, and returns the Mode inside; where the block ends, the old one is back. A Mode "
            "has two fields: `record` says whether operations are recorded, and `observers` are those who watch. "
            "Whoever observes must go on observing."
        ),
        hints=(
            "A Mode is a named tuple: its method _replace returns another one, with one field changed.",
            "ModeScope(lambda mode: ...)",
        ),
        probes=walks_recording.modes,
        mistakes={
            "inside of your no_grad operations are still recorded": "return ModeScope(lambda mode: mode)",
            "your no_grad switches recording on instead of off": (
                "return ModeScope(lambda mode: mode._replace(record=True))"
            ),
            "your no_grad turns the mode around: a no_grad inside of a no_grad records again": (
                "return ModeScope(lambda mode: mode._replace(record=not mode.record))"
            ),
            "your no_grad forgets the observers: they see nothing of what happens inside": (
                "return ModeScope(lambda mode: Mode(record=False))",
                "return ModeScope(lambda mode: mode._replace(record=False, observers=()))",
            ),
            "you give ModeScope a Mode: it must get a function": "return ModeScope(Mode(record=False))",
            "your no_grad changes the mode at once, and nothing undoes that: the ModeScope must make the change": (
                "block = innermost_block()\nblock.value = block.value._replace(record=False)\n"
                "return ModeScope(lambda mode: mode)"
            ),
            "your no_grad keeps the Mode of when it was called: at the block itself it may be another": (
                "inside = current_mode()._replace(record=False)\nreturn ModeScope(lambda mode: inside)",
                "inside = innermost_block().value._replace(record=False)\nreturn ModeScope(lambda mode: inside)",
            ),
            "your no_grad takes the observers away, and still records": (
                "return ModeScope(lambda mode: mode._replace(observers=()))"
            ),
        },
    ),
)
