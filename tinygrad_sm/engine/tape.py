"""The tape: operations record themselves, and a backward walk over the record gives the gradients.

Imports from later files: `backend`, `arrays`, `dtypes` (arrays, devices), `errors`, `mode` (`innermost_block().value`:
who observes), `versions` (what changed), `precision` (broadcasting), `dispatch` (`@replaceable`: faster in `fast/`).

Think of the program

    y = exp(x)
    loss = y * y

Whoever holds `loss` must be able to ask for ∂loss/∂x, so a value has to know where it came from: `loss` is a `Traced`,
an array with a `node` that says "multiply, of y and y", and y has a node that says "exp, of x". All references run from
results to operands, so there are no cycles, and a graph dies with the last result that needs it.

    loss: Traced ── node ──▶ multiply ── operands ──▶ y: Traced ── node ──▶ exp ── operands ──▶ x: Traced, a leaf

Each operation has a gradient rule per operand. The textbook's walk, in `examples/textbook_walk.py` bit for bit, is

    uses, arrived, ready = count_uses(loss), {loss: 1}, [loss]
    while ready:
        value = ready.pop()
        g, node = arrived.pop(value), value.node
        if node is None:
            value.grad = g                                              # a leaf
            continue
        for i, operand in enumerate(node.operands):
            part = node.op.rules[i](g, value.data, *node.arrays)        # summed where the operand was broadcast
            arrived[operand] = arrived[operand] + part if operand in arrived else part
            uses[operand] -= 1
            if uses[operand] == 0:                                      # every use of it has been visited
                ready.append(operand)

Here

- `count_uses` counts, and checks every node before any rule runs; `_needed_for` keeps what leads to `wanted` values;
- `gradients` walks to leaves or to `wanted`, the x of a grad(y, x), from one y or several. `apply_rules` calls rules,
  on arrays or, for derivatives of derivatives, on Traced values; `unbroadcast` undoes broadcasting and promotion, and
  refuses any other shape; `apply_hook` lets a hook see and replace a gradient; `_release_node` frees the node.

What `.backward()` does before and after a walk stands in `backward.py`; how a call makes a node, in `primitive.py`.
"""

import functools
from collections.abc import Callable, Iterable, Iterator, Set
from math import inf
from operator import attrgetter
from typing import Any, ClassVar

from numpy import float16, float32

from tinygrad_sm.arrays import as_array, described
from tinygrad_sm.backend import Array, check_same_device
from tinygrad_sm.dispatch import replaceable
from tinygrad_sm.dtypes import check_unmasked
from tinygrad_sm.engine.mode import innermost_block
from tinygrad_sm.engine.versions import LAST_CHANGE, NEVER_CHANGED, next_number, wait_for_changes
from tinygrad_sm.errors import GradientError
from tinygrad_sm.precision import broadcasts_to, sum_to_shape


class Traced:
    """An array, and where it came from: `node` is None for a leaf, a value that no recorded operation made."""

    __slots__ = (
        "__weakref__",
        "_requires_grad",
        "data",
        "grad",
        "hooks",
        "memory",
        "name",
        "node",
        "number",
        "retains_grad",
    )
    result_type: ClassVar[type["Traced"]]  # the class in which an operation returns its result
    stack_nested: ClassVar[Callable[[Any], "Traced"]]  # makes one Traced value of nested lists with some in them

    def __init__(self, data: Array, node: "Node | None" = None, requires_grad: bool = False):
        self.data = data
        self.node = node
        if node is None:
            self.number = next_number()  # by age; any other value has its node's, larger than its operands'
        self._requires_grad = requires_grad or node is not None
        self.retains_grad = False  # whether backward() stores the gradient in `grad`, as it does in leaves
        self.grad: Array | None = None
        self.hooks: tuple[Callable[[Any], Any], ...] = ()
        self.name: str | None = None
        self.memory = NEVER_CHANGED  # when the array last changed; views and shallow copies share it

    requires_grad: Any = property(attrgetter("_requires_grad"), doc="Whether backward() computes its gradient.")

    def __setstate__(self, state: Any) -> None:
        attributes, slots = state
        for name, value in {**(attributes or {}), **slots}.items():
            setattr(self, name, value)
        self.number = next_number()  # the pickled number may be from another process, which has its own counter


Traced.result_type = Traced


def data_of(x: Any) -> Any:
    """Return the array of a Traced value, and anything else as it is."""
    return x.data if isinstance(x, Traced) else x


def is_traced(x: Any) -> bool:
    """Whether this is a Traced value, and no array or number."""
    return isinstance(x, Traced)


class Node:
    """One recorded operation: its operands, Traced or not, its static arguments, and what its forward saved.

    A node never holds its own output. To free a node is to drop its operands and what its forward saved.
    """

    __slots__ = ("__weakref__", "number", "op", "operands", "saved", "static")

    def __init__(self, op: Any, operands: Any, static: dict[str, Any], saved: Any, number: int):
        self.op = op
        self.operands = operands
        self.static = static
        self.saved = saved
        self.number = number

    @property
    def arrays(self) -> list[Any]:
        """The operands as arrays, for the forward and for the rules of a first-order walk."""
        return list(map(data_of, self.operands))


@replaceable
def gradients(
    roots: dict[Traced, Any],
    uses: dict[Traced, int],
    wanted: Set[Traced] = frozenset(),
    *,
    retain_graph: bool = False,
    create_graph: bool = False,
) -> dict[Traced, Any]:
    """Walk back from the roots, each given with its g; return the gradient of every leaf and of every wanted value.

    `uses` comes from `count_uses`: the walk visits only the values in it, and counts their uses down. Unless the graph
    is retained, the walk frees each node that it has passed, even if a later rule raises. It never changes a `.grad`.
    """
    arrived = dict(roots)  # by value, the sum of the gradients that have reached it
    ready = list(filter(lambda root: uses.get(root) == 0, roots))  # a root that another root uses must wait
    found = {}
    while ready:
        value = ready.pop()
        g, node = arrived.pop(value), value.node
        for hook in value.hooks:
            g = apply_hook(value, hook, g)
        for observer in innermost_block().value.observers:
            observer.complete(value, g)
        if node is None or value.retains_grad or value in wanted:
            found[value] = g
        if node is None:
            continue
        for operand, part in apply_rules(node, value, g, uses, create_graph):
            uses[operand] -= 1
            if operand in arrived:
                part = added(arrived.pop(operand), part, operand.data.dtype, is_last=uses[operand] == 0)
            arrived[operand] = part
            if uses[operand] == 0:
                ready.append(operand)
        _release_node(node, uses, retain_graph or create_graph)
    return found


def apply_rules(
    node: Node, value: Traced, g: Any, uses: dict[Traced, int], create_graph: bool
) -> Iterator[tuple[Traced, Any]]:
    """Yield each operand in `uses` with the gradient that its rule computes from g, the gradient of the output."""
    op, operands, static = node.op, node.operands, node.static
    if operands is None:  # a hook has walked this graph, and freed it
        raise freed_error(op)
    arguments = [g, value, *operands] if create_graph else [g, value.data, *node.arrays]
    if op.saves is not None:
        static = {**static, "saved": op.saves(*operands, **static) if create_graph else node.saved}
    for i, operand in enumerate(operands):
        if isinstance(operand, Traced) and operand in uses:
            rule = op.rules[i] if op.rules else functools.partial(op.rule_for_each, i)
            observers = innermost_block().value.observers
            for observer in observers:
                rule = observer.backward(node, i, rule)
            try:
                answer = rule(*arguments, **static)
                part = unbroadcast(answer, operand.data, value.data.shape)
            except Exception as error:
                error.add_note(f"in the gradient rule of {op.name} for its operand {operand_name(op, i, operand)}")
                raise
            for observer in observers:
                observer.answered(node, i, answer, part)
            yield operand, part


def _release_node(node: Node, uses: dict[Traced, int], retain: bool) -> None:
    """Free a node whose rules have run, after checking that they read the same data as the forward."""
    if LAST_CHANGE.changed_at > node.number:  # something has changed since
        check_fresh(node)  # a hook or another thread may have changed an operand
    if not retain and any(is_traced(x) and x in uses for x in node.operands):  # one of its rules has run
        node.operands = node.saved = None


def sequence_number(value: Traced) -> int:
    """Return the number of a value; whatever was computed from it has a larger one."""
    return value.number if value.node is None else value.node.number


def count_uses(roots: Iterable[Traced], wanted: Set[Traced] | None = None, oldest: float = 0) -> dict[Traced, int]:
    """Count how often each value that the roots depend on was used as an operand; each use will bring one gradient.

    Values that depend on no wanted value are left out. Nodes older than all wanted values, or than `oldest`, cannot
    depend on them, so they are neither visited nor checked. All others are checked here, before any rule runs.
    """
    if wanted:
        oldest = min(map(sequence_number, wanted))
    uses = dict.fromkeys(roots, 0)
    to_visit, ends = list(uses), []
    while to_visit:
        value = to_visit.pop()
        if value.node is None or value.node.number < oldest:
            ends.append(value)
            continue
        check_node(value.node)
        for operand in value.node.operands:
            if isinstance(operand, Traced) and operand.requires_grad:
                if operand not in uses:
                    to_visit.append(operand)
                uses[operand] = uses.get(operand, 0) + 1
    return uses if wanted is None or all(value in wanted for value in ends) else _needed_for(wanted, uses)


def check_node(node: Node) -> None:
    """Raise GradientError if no walk can pass the node: it was freed, is stale, or a rule that it needs is missing."""
    op = node.op
    if node.operands is None:
        raise freed_error(op)
    if op.rules is None and op.rule_for_each is None:
        raise GradientError(f"{op.name} has no gradient rules: give them with {op.name}.vjp(...)")
    for i in op.nondifferentiable:
        if isinstance(node.operands[i], Traced) and node.operands[i].requires_grad:
            raise GradientError(f"{op.name} has no gradient with respect to {operand_name(op, i, node.operands[i])}")
    if LAST_CHANGE.changed_at > node.number:
        check_fresh(node)


def freed_error(op: Any) -> GradientError:
    """Return the error for a walk that reaches a node which an earlier walk has freed."""
    return GradientError(
        f"this graph was freed: an earlier backward() went through {op.name} already. Compute the loss again, all of "
        "it (what was computed before the loop is freed too), or keep the graph the first time: with retain_graph=True "
        "for backward(), create_graph=True for grad()"
    )


def check_fresh(node: Node) -> None:
    """Raise GradientError if an operand was changed after the node's forward began: the rules would read new data."""
    if LAST_CHANGE.changed_at == inf:  # a change is under way
        wait_for_changes()
    for i, operand in enumerate(node.operands):
        if isinstance(operand, Traced) and operand.memory.changed_at > node.number:
            raise GradientError(
                f"{operand_name(node.op, i, operand)} was changed (by an optimizer's step, assign, load_state_dict or "
                f"in place) after {node.op.name} had used it: compute the loss again after the change"
            )


def _needed_for(wanted: Set[Traced], uses: dict[Traced, int]) -> dict[Traced, int]:
    """Return the uses of the values that depend on a wanted one: a walk to the wanted values needs no others."""
    users: dict[Traced, list[Traced]] = {value: [] for value in uses}
    for value in uses:
        operands = value.node.operands if value.node else None  # None too if an older node was freed
        for operand in operands or ():
            if isinstance(operand, Traced) and operand in users:
                users[operand].append(value)
    leading = {value for value in wanted if value in uses}
    to_visit = list(leading)
    while to_visit:
        for user in users[to_visit.pop()]:
            if user not in leading:
                leading.add(user)
                to_visit.append(user)
    return {value: n for value, n in uses.items() if value in leading}


def operand_name(op: Any, i: int, operand: Traced) -> str:
    """Return the i-th operand's name for messages: the one from its Module, else the one from the operation."""
    return repr(operand.name or (op.operand_names[i] if op.operand_names else f"number {i}"))


def unbroadcast(part: Any, data: Array, out_shape: tuple[int, ...]) -> Any:
    """Return a rule's result in the operand's shape and dtype: summed where it was broadcast, cast where promoted."""
    shape = getattr(part, "shape", None)
    if shape != data.shape:
        if shape is None or shape != out_shape or not broadcasts_to(data.shape, out_shape):
            raise _shape_error(part, data.shape, out_shape)
        part = sum_to_shape(part, data.shape)
    return part if part.dtype == data.dtype else part.astype(data.dtype)


def _shape_error(part: Any, shape: tuple[int, ...], out_shape: tuple[int, ...]) -> ValueError:
    came = f"shape {part.shape}" if hasattr(part, "shape") else type(part).__name__
    return ValueError(
        f"expected a gradient of the operand's shape {shape}, or of the output's shape {out_shape} where the operand "
        f"was broadcast to it; got {came}"
    )


def added(g: Any, part: Any, dtype: Any, is_last: bool) -> Any:
    """Return g + part; for float16, in float32 until the last part: float16 loses parts 2,048 times smaller."""
    if dtype != float16:
        return g + part
    return (g.astype(float32) + part).astype(float16 if is_last else float32)


def apply_hook(value: Traced, hook: Callable[[Any], Any], g: Any) -> Any:
    """Return the gradient that the hook returns, in the value's dtype; return g unchanged if it returns None."""
    replaced = hook(g if isinstance(g, Traced) else as_array(g))
    if replaced is None:
        return g
    replaced = replaced if isinstance(g, Traced) else data_of(replaced)
    if getattr(replaced, "shape", None) != value.data.shape:
        raise ValueError(f"a hook must return None or a gradient of {value.data.shape}, got {described(replaced)}")
    check_unmasked(replaced)
    check_same_device("a hook", [value.data, data_of(replaced)])
    return replaced.astype(value.data.dtype)
