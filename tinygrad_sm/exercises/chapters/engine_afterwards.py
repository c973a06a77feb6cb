"""What a walk leaves behind: nodes that are freed, and gradients in .grad."""

from tinygrad_sm.exercises.chapters import walks_afterwards
from tinygrad_sm.exercises.exercise import Body, Exercise

TAPE = "engine/tape.py"


def _ran(then: str) -> str:
    return f"if not retain and any(is_traced(x) and x in uses for x in node.operands):\n    {then}"


def _writes(later: str, first: str = '(setattr, v, "grad", g)') -> str:
    return f"writes = [{first} if v.grad is None else {later} for v, g in owned.items()]"


EXERCISES = (
    Exercise(
        name="free",
        title="Freeing what was walked over",
        path=TAPE,
        piece=Body(
            "_release_node",
            "if not retain and any(is_traced(x) and x in uses for x in node.operands):  # one of its rules has run",
            "node.operands = node.saved = None",
        ),
        reading=("examples/small.py, graphs that are freed", "tinygrad_sm/engine/tape.py"),
        rows=(44,),
        minutes=10,
        task=(
            "The walk has just passed `node`. Free it: set node.operands and node.saved to None, so that the arrays "
            "that only the graph held go. Keep it if `retain` is true, and keep it if none of its rules has run. A "
            "rule has run for each operand that is a key of `uses`, whatever its count is by now. Operands may also "
            "be plain arrays, which cannot be looked up there: is_traced(x) says whether x is a Traced value."
        ),
        hints=(
            "retain is true for retain_graph=True and create_graph=True.",
            "any(is_traced(x) and x in uses for x in node.operands) says that a rule has run; the first half, that "
            "x is no array, has to be asked first.",
        ),
        probes=walks_afterwards.freeing,
        mistakes={
            "you free nothing: everything that was computed lives as long as the loss": "pass",
            "you free the node even if the graph is to be retained, so a second walk is refused": (
                "if any(is_traced(x) and x in uses for x in node.operands):\n    node.operands = node.saved = None"
            ),
            "you free the graphs that are to be retained, and retain the others": (
                (
                    "if retain and any(is_traced(x) and x in uses for x in node.operands):\n"
                    "    node.operands = node.saved = None"
                ),
                "if retain:\n    node.operands = node.saved = None",
            ),
            "you free nodes of which no rule has run, and so take them from the walk that will need them": (
                "if not retain:\n    node.operands = node.saved = None"
            ),
            "you keep nodes whose operands have no uses left: by now the walk has counted these down": (
                (
                    "if not retain and any(is_traced(x) and uses.get(x, 0) for x in node.operands):\n"
                    "    node.operands = node.saved = None"
                ),
                (
                    "if not retain and any(is_traced(x) and uses.get(x, 0) > 0 for x in node.operands):\n"
                    "    node.operands = None"
                ),
            ),
            "you keep what the forward saved: it must go too": _ran("node.operands = None"),
            "you keep the operands, and with them all that was computed before: they must go too": _ran(
                "node.saved = None"
            ),
            "you delete what must be None: whoever looks at the node then finds no such attribute": _ran(
                "del node.operands, node.saved"
            ),
            "your node has an empty row of operands: it must be None, which says that it was freed": _ran(
                "node.operands, node.saved = (), None"
            ),
            "you look up an array in `uses`, and cannot: operands may be arrays": (
                "if not retain and any(x in uses for x in node.operands):\n    node.operands = node.saved = None",
                "if not retain and set(node.operands) & set(uses):\n    node.operands = node.saved = None",
            ),
            "you free a node only if the rules of all operands have run: one must be enough": (
                (
                    "if not retain and all(is_traced(x) and x in uses for x in node.operands):\n"
                    "    node.operands = node.saved = None"
                ),
                ("if not retain and all(is_traced(x) and x in uses for x in node.operands):\n    node.operands = None"),
                (
                    "if not retain and all(x in uses for x in node.operands if is_traced(x)):\n"
                    "    node.operands = node.saved = None"
                ),
                "if not retain and all(x in uses for x in node.operands):\n    node.operands = node.saved = None",
            ),
            "you free nodes of which no rule has run, and graphs that are to be retained": (
                "node.operands = node.saved = None",
                (
                    "if not retain or any(is_traced(x) and x in uses for x in node.operands):\n"
                    "    node.operands = node.saved = None"
                ),
            ),
            "you free the nodes of which no rule has run, and keep the others": (
                "if not retain and not any(is_traced(x) and x in uses for x in node.operands):\n"
                "    node.operands = node.saved = None"
            ),
        },
    ),
    Exercise(
        name="add_to_grad",
        title="What backward() leaves in .grad",
        path="engine/backward.py",
        piece=Body(
            "add_all_or_none",
            'writes = [(setattr, v, "grad", g) if v.grad is None else (iadd, v.grad, g) for v, g in owned.items()]',
        ),
        reading=("tinygrad_sm/engine/backward.py, its first page",),
        rows=(44,),
        minutes=10,
        task=(
            "`owned` has the gradient g of each value v. Make `writes`, a list of calls that are written down and not "
            "yet called, such as (function, first argument, second argument): one for each v, after which v.grad has "
            "the gradient of this backward() added to those of earlier ones. Write nothing here yourself: the caller "
            "makes all of these calls at once. setattr, and iadd, which is += as a function, are imported."
        ),
        hints=(
            "Before the first backward(), v.grad is None: there is nothing to add to.",
            '(setattr, v, "grad", g) is v.grad = g, and (iadd, v.grad, g) is v.grad += g.',
        ),
        probes=walks_afterwards.added_to_grad,
        mistakes={
            "your second backward() replaces the gradient of the first: they must be added": (
                'writes = [(setattr, v, "grad", g) for v, g in owned.items()]'
            ),
            "your second backward() leaves .grad as it was: its gradient must be added to the first one": (
                'writes = [(setattr, v, "grad", g) for v, g in owned.items() if v.grad is None]'
            ),
            "your second backward() counts twice": _writes("(iadd, v.grad, 2 * g)"),
            "your second backward() adds .grad to itself: g must be added": _writes("(iadd, v.grad, v.grad)"),
            "at the first backward() there is nothing to add to: .grad is None": (
                "writes = [(iadd, v.grad, g) for v, g in owned.items()]"
            ),
            "you change the data, and .grad must change: steps are the optimizer's work": (
                "writes = [(iadd, v.data, g) for v, g in owned.items()]",
                _writes("(iadd, v.data, g)"),
            ),
            "nothing is written: .grad stays None": "writes = []",
            "your second backward() is subtracted from the first: they must be added": _writes("(iadd, v.grad, -g)"),
            "your second backward() takes the mean of both gradients: they must be added": _writes(
                '(setattr, v, "grad", (v.grad + g) / 2)'
            ),
            "your list has only the call for the last value: there must be one for each": (
                "for v, g in owned.items():\n"
                '    writes = [(setattr, v, "grad", g) if v.grad is None else (iadd, v.grad, g)]'
            ),
            "your gradients have the wrong sign: it is the optimizer that subtracts them": _writes(
                "(iadd, v.grad, -g)", '(setattr, v, "grad", -g)'
            ),
        },
    ),
)
