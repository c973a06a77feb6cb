"""The walk: what it begins with, what it counts and adds, and in which order it goes."""

from tinygrad_sm.exercises.chapters import walks
from tinygrad_sm.exercises.exercise import Body, Exercise

TAPE = "engine/tape.py"


EXERCISES = (
    Exercise(
        name="first_gradient",
        title="What the walk begins with",
        path="engine/backward.py",
        piece=Body("first_gradient"),
        reading=("examples/micro.py, its backward", "tinygrad_sm/engine/backward.py, its first page"),
        rows=(44,),
        minutes=5,
        task=(
            "The walk needs a g to begin with: ∂loss/∂loss. Return it as an array of the shape and the dtype of "
            "root.data, which has one element. array_module(root.data) is NumPy, or CuPy on a GPU."
        ),
        hints=(
            "By how much does the loss change if the loss changes by 1?",
            "It is an array of ones, like root.data.",
        ),
        probes=walks.first_gradients,
        mistakes={
            "your walk begins with 0: then every gradient is 0. How much does a loss change with itself?": (
                "return array_module(root.data).zeros_like(root.data)"
            ),
            "your walk begins with the value of the loss: that is the gradient of loss²/2": "return root.data",
            "your first gradient has shape () whatever the loss is: that may be of shape (1,) or (1, 1)": (
                "return array_module(root.data).ones((), root.data.dtype)",
                "return array_module(root.data).ones(())",
            ),
            "your first gradient is float64 whatever the loss is: it must have the loss's dtype": (
                "return array_module(root.data).ones(root.data.shape)",
                "return array_module(root.data).ones(root.data.shape, 'float64')",
            ),
            "your first gradient has shape (1,) whatever the loss is: that is mostly of shape ()": (
                "return array_module(root.data).ones(1, root.data.dtype)",
                "return array_module(root.data).ones(1)",
            ),
            "your first gradient is a number of Python: it must be an array": (
                "return 1.0",
                "return 1",
            ),
            "your first gradient is float32 whatever the loss is: it must have the loss's dtype": (
                "return array_module(root.data).ones(root.data.shape, 'float32')"
            ),
            "your first gradient is of integers whatever the loss is: it must have the loss's dtype": (
                "return array_module(root.data).ones(root.data.shape, int)",
                "return array_module(root.data).ones((), int)",
                "return array_module(root.data).array(1)",
                "return array_module(root.data).ones(1, int)",
                "return array_module(root.data).array([1])",
            ),
            "your walk begins with −1, as if the loss went down where it goes up": (
                "return -array_module(root.data).ones_like(root.data)"
            ),
        },
        hides={TAPE: ("{loss: 1}",)},
        docstring="Return the gradient that the walk begins with.",
    ),
    Exercise(
        name="count_uses",
        title="Counting uses",
        path=TAPE,
        piece=Body("count_uses", "if operand not in uses:", "uses[operand] = uses.get(operand, 0) + 1"),
        reading=("examples/textbook_walk.py, count_uses", "tinygrad_sm/engine/tape.py, its first page"),
        rows=(46,),
        minutes=10,
        task=(
            "`uses` counts for each value how often it was an operand. Here `operand` is one more use of a value: "
            "count it. A value that is met for the first time is to be visited too, once: put it into `to_visit`."
        ),
        hints=(
            "What is used twice brings two gradients, so it counts 2, even if both are in one node: y * y.",
            "Whether it is met for the first time, you see before you count it.",
            "dict.get(key, 0) is the count so far.",
        ),
        probes=walks.counts,
        mistakes={
            "you count each value once, however often it was used": (
                "if operand not in uses:\n    to_visit.append(operand)\nuses[operand] = 1"
            ),
            "you never visit the operands: what they were computed from is not counted": (
                "uses[operand] = uses.get(operand, 0) + 1"
            ),
            "you visit a value once for each of its uses, so what it was computed from is counted too often": (
                "to_visit.append(operand)\nuses[operand] = uses.get(operand, 0) + 1"
            ),
            "your first use counts 0: all counts are one too small": (
                "if operand not in uses:\n    to_visit.append(operand)\n    uses[operand] = 0\nelse:\n"
                "    uses[operand] += 1"
            ),
            "your first use counts twice: all counts are one too large": (
                "if operand not in uses:\n    to_visit.append(operand)\n    uses[operand] = 1\nuses[operand] += 1"
            ),
            "a value that is met for the first time is not in `uses` yet: there is nothing to add 1 to": (
                "uses[operand] += 1",
                "to_visit.append(operand)\nuses[operand] += 1",
            ),
            "you count only values that an operation made: leaves are used too": (
                "if operand.node is not None:\n    if operand not in uses:\n        to_visit.append(operand)\n"
                "    uses[operand] = uses.get(operand, 0) + 1"
            ),
            "you visit a value at its second use, and never one that is used once": (
                "if operand in uses:\n    to_visit.append(operand)\nuses[operand] = uses.get(operand, 0) + 1"
            ),
            "all of your counts stay 0: each use must add 1": (
                "if operand not in uses:\n    to_visit.append(operand)\nuses[operand] = uses.get(operand, 0)",
                "if operand not in uses:\n    to_visit.append(operand)\n    uses[operand] = 0",
            ),
            "a root counts 0 at first and is to be visited already: you visit one that another root uses again": (
                "uses[operand] = uses.get(operand, 0) + 1\nif uses[operand] == 1:\n    to_visit.append(operand)"
            ),
            "you visit `value` again, the user: it must be what it used, `operand`": (
                "if operand not in uses:\n    to_visit.append(value)\nuses[operand] = uses.get(operand, 0) + 1"
            ),
            "you count `value`, the user: it must be what it used, `operand`": (
                "if operand not in uses:\n    to_visit.append(operand)\nuses[value] = uses.get(value, 0) + 1"
            ),
            "your new list of what is to be visited forgets what was in it": (
                "if operand not in uses:\n    to_visit = [operand]\nuses[operand] = uses.get(operand, 0) + 1"
            ),
            "you never visit leaves: the walk must see where it ends": (
                "if operand not in uses and operand.node is not None:\n    to_visit.append(operand)\n"
                "uses[operand] = uses.get(operand, 0) + 1"
            ),
        },
    ),
    Exercise(
        name="accumulate",
        title="Gradients that arrive on several paths",
        path=TAPE,
        piece=Body("gradients", "if operand in arrived:", "arrived[operand] = part"),
        reading=("examples/micro.py, its backward",),
        rows=(44, 46),
        minutes=10,
        task=(
            "`part` is the gradient that one use of `operand` brings. `arrived` has, by value, what has arrived so "
            "far. Update arrived[operand]. Change no array in place: a rule may hand the same array to two operands. "
            "The source adds with added(...), which takes care of float16; you may leave that out, and use +."
        ),
        hints=(
            "A value that is used twice influences the loss on two paths.",
            "The first part stands alone; a later one is added to what is there.",
        ),
        probes=walks.accumulation,
        mistakes={
            "your walk keeps only the part that came last: the parts of all paths must be added": (
                "arrived[operand] = part"
            ),
            "your walk keeps only the part that came first: the parts of all paths must be added": (
                "arrived.setdefault(operand, part)"
            ),
            "your walk multiplies the parts of several paths: factors belong to one path, and paths must be added": (
                "arrived[operand] = arrived[operand] * part if operand in arrived else part"
            ),
            "your walk takes the mean of the parts: every path must count in full": (
                "arrived[operand] = (arrived[operand] + part) / 2 if operand in arrived else part"
            ),
            "before the first part there is nothing to add to: arrived has no such key": "arrived[operand] += part",
            "your walk counts the first part twice: every path must count once": (
                "arrived[operand] = arrived.get(operand, part) + part"
            ),
            "your walk adds in place, into an array that another operand has been given too": (
                "if operand in arrived:\n    arrived[operand] += part\nelse:\n    arrived[operand] = part"
            ),
            "your walk lets g arrive, the gradient of the output: it must be `part`, which the rule has made of g": (
                "arrived[operand] = arrived[operand] + g if operand in arrived else g",
                "arrived[operand] = g",
                "arrived[operand] = arrived.get(operand, 0) + g",
                "arrived[operand] = arrived[operand] + g if operand in arrived else part",
                "arrived[operand] = part + g",
            ),
            "your walk subtracts later parts from the first one: the parts of all paths must be added": (
                "arrived[operand] = arrived[operand] - part if operand in arrived else part"
            ),
            "your walk adds later parts twice: every path must count once": (
                "arrived[operand] = arrived[operand] + 2 * part if operand in arrived else part"
            ),
        },
        hides={TAPE: ("arrived[operand] = arrived[operand] + part if operand in arrived else part",)},
    ),
    Exercise(
        name="order",
        title="The order of the walk",
        path=TAPE,
        piece=Body("gradients", "if uses[operand] == 0:", "ready.append(operand)"),
        reading=("examples/textbook_walk.py, its first page", "docs/curriculum.md, row 46"),
        rows=(46,),
        minutes=15,
        task=(
            "`ready` lists the values that the walk can visit next. One use of `operand` has just been visited, and "
            "counted down: uses[operand] is how many are still to come. Append it to `ready` if it is ready."
        ),
        hints=(
            "A rule must be given the whole gradient of its output, and it runs once.",
            "With y = x·x and loss = y·y + exp(y), y gets one part from y·y and one from exp(y).",
            "It is ready when no use is left.",
        ),
        probes=walks.orders,
        mistakes={
            "a value is visited whenever a part arrives, though others are still to come": (
                "ready.append(operand)",
                "if operand not in ready:\n    ready.append(operand)",
                "if uses[operand] == 0 or operand.node is None:\n    ready.append(operand)",
            ),
            "a value that was used twice is visited one use too early, without its last part": (
                "if uses[operand] <= 1:\n    ready.append(operand)",
                "uses[operand] -= 1\nif uses[operand] <= 0:\n    ready.append(operand)",
            ),
            "a value that was used once is never visited, and one that was used twice after the first of its uses": (
                "if uses[operand] == 1:\n    ready.append(operand)",
                "uses[operand] -= 1\nif uses[operand] == 0:\n    ready.append(operand)",
            ),
            "a value is visited while uses of it are left, and never when none is: it must be the other way round": (
                "if uses[operand] > 0:\n    ready.append(operand)"
            ),
            "only leaves become ready, so the walk ends at the first operation": (
                "if operand.node is None:\n    ready.append(operand)"
            ),
            "leaves never become ready, so their gradients are lost": (
                "if uses[operand] == 0 and operand.node is not None:\n    ready.append(operand)",
                "if operand.node is not None:\n    ready.append(operand)",
            ),
            "the value that was just visited is put back: it must be its operand": (
                "if uses[operand] == 0:\n    ready.append(value)"
            ),
            "your new list of what is ready forgets what was in it": (
                "if uses[operand] == 0:\n    ready = [operand]",
                "if uses[operand] == 0:\n    ready[:] = [operand]",
            ),
        },
        hides={
            TAPE: (
                "            if uses[operand] == 0:                                      "
                "# every use of it has been visited\n                ready.append(operand)",
            )
        },
    ),
)
