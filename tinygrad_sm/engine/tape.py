"""The tape: what was computed is recorded, and a walk back over the record gives the gradients.

Think of the program

    y = exp(x)
    loss = y * y

Whoever holds `loss` must be able to ask for ∂loss/∂x, so a value has to know where it came from: `loss` is a `Traced`,
an array with a `node` that says "multiply, of y and y", and y has a node that says "exp, of x". All references run from
results to operands, so there are no cycles, and a graph dies with the last result that needs it.

    loss: Traced ── node ──▶ multiply ── operands ──▶ y: Traced ── node ──▶ exp ── operands ──▶ x: Traced, a leaf

Each operation has, next to its forward, one gradient rule per operand: it maps g, the gradient of the loss with respect
to the output, to the gradient with respect to that operand. The walk of the textbook is

    waiting, arrived, ready = uses(loss), {loss: 1}, [loss]
    while ready:
        value = ready.pop()
        g, node = arrived.pop(value), value.node
        if node is None:
            value.grad = g                                              # a leaf
            continue
        for i, operand in enumerate(node.operands):
            part = node.op.rules[i](g, value.data, *node.arrays)        # summed where the operand was broadcast
            arrived[operand] = arrived[operand] + part if operand in arrived else part
            waiting[operand] -= 1
            if waiting[operand] == 0:                                   # all that was made from it has been passed
                ready.append(operand)

`examples/textbook_walk.py` has it whole, and a test runs that in the place of the one here: the bits are the same. Here

- `count_uses` counts, and finds all that can be wrong before any rule runs: a graph that was freed, operands that have
  no gradient, leaves that were changed meanwhile (`check_fresh`). `_leading_to` leaves out what is not wanted;
- `gradients` walks, from several roots, to leaves or to wanted values. It frees what it has passed, is recorded itself
  where derivatives of derivatives are asked for, and lets hooks and observers see and replace what comes;
- `_fitted` undoes broadcasting and promotion, and refuses an answer of a rule in any other shape;
- `check_gradient` and `check_grad` look at g and at the `.grad` that is there; `backward` adds to it, all or nothing.

How operations and their rules are written, and how a call of one makes a node, stands in `primitive.py`.
"""

import functools
from collections.abc import Callable, Iterable, Set
from math import inf
from typing import Any, ClassVar

from numpy import errstate, float16, float32

from tinygrad_sm.backend import Array, as_array, check_same_device, described, is_writable, ones_like, taken, total
from tinygrad_sm.dtypes import check_unmasked
from tinygrad_sm.engine.mode import innermost_block
from tinygrad_sm.engine.versions import LAST_CHANGE, LEAVES_LOCK, NEVER_CHANGED, next_number, settle
from tinygrad_sm.errors import GradientError


class Traced:
    """An array, and where it came from: `node` is None for a leaf, a value that no recorded operation made."""

    __slots__ = (
        "__weakref__",
        "data",
        "grad",
        "hooks",
        "memory",
        "name",
        "needs_grad",
        "node",
        "number",
        "retains_grad",
    )
    result_type: ClassVar[type["Traced"]]  # what an operation makes of its result

    def __init__(self, data: Array, node: "Node | None" = None, needs_grad: bool = False):
        self.data = data
        self.node = node
        if node is None:
            self.number = next_number()  # of a leaf; any other value has that of its node
        self.needs_grad = needs_grad or node is not None  # whether walks come here: a Tensor's requires_grad
        self.retains_grad = False  # whether backward() leaves the gradient in `grad`, as it always does in leaves
        self.grad: Array | None = None
        self.hooks: tuple[Callable[[Any], Any], ...] = ()
        self.name: str | None = None
        self.memory = NEVER_CHANGED

    def __setstate__(self, state: Any) -> None:
        attributes, slots = state
        for name, value in {**(attributes or {}), **slots}.items():
            setattr(self, name, value)
        self.number = next_number()  # what was pickled in another process has a number of that one


Traced.result_type = Traced


def plain(x: Any) -> Any:
    """Return the array of a Traced value, and anything else as it is."""
    return x.data if isinstance(x, Traced) else x


class Node:
    """One recorded operation: what was called, on which operands, Traced or not, and what its forward saved.

    A node never holds its own output. Freeing it means dropping what it holds.
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
        """What the forward computed with, and first order rules too."""
        return [x.data if isinstance(x, Traced) else x for x in self.operands]


def gradients(
    roots: dict[Traced, Any],
    uses: dict[Traced, int],
    wanted: Set[Traced] = frozenset(),
    *,
    retain_graph: bool = False,
    create_graph: bool = False,
) -> dict[Traced, Any]:
    """Walk back from the roots, each given with its g, to the gradient of every leaf and of every value wanted.

    `uses` is what `count_uses` found: the walk goes where it leads, and empties it. Nothing else is changed but that
    nodes are freed as the walk passes them, unless the graph is retained; so a walk that a rule breaks off has consumed
    its graph, and no gradient has reached a leaf.
    """
    arrived = dict(roots)  # the sum of the gradients that have come to a value while others are still to come
    # A root may itself be an operand on the way to another root: then it must wait for the gradient from there.
    ready = [(root, arrived.pop(root)) for root in roots if uses.get(root) == 0]
    found = {}
    observers = innermost_block().value.observers
    while ready:
        value, g = ready.pop()
        for hook in value.hooks:
            g = _hooked(value, hook, g)
        node = value.node
        if node is None or value.retains_grad or value in wanted:
            found[value] = g
            if node is None:
                continue
        op, operands, static = node.op, node.operands, node.static
        if operands is None:  # a hook has walked this graph meanwhile
            raise _freed(op)
        arguments = [g, value, *operands] if create_graph else [g, value.data, *node.arrays]
        if op.saves is not None:
            static = {**static, "saved": op.saves(*operands, **static) if create_graph else node.saved}
        passed = False
        for i, operand in enumerate(operands):
            if not isinstance(operand, Traced) or (still_to_come := uses.get(operand)) is None:
                continue
            passed = True
            rule = op.rules[i] if op.rules else functools.partial(op.rule_for_each, i)
            for observer in observers:
                rule = observer.backward(node, i, rule)
            try:
                part = rule(*arguments, **static)
                data = operand.data
                # The quick test: a Traced part has another type, and NumPy has one object for each of its dtypes.
                if type(part) is not type(data) or part.shape != data.shape or part.dtype is not data.dtype:
                    part = _fitted(part, data, value.data.shape)
            except Exception as error:
                error.add_note(f"in the gradient rule of {op.name} for its operand {operand_name(op, i, operand)}")
                raise
            if operand in arrived:
                part = _added(arrived.pop(operand), part, data.dtype, is_last=still_to_come == 1)
            if still_to_come > 1:
                uses[operand], arrived[operand] = still_to_come - 1, part
            else:
                del uses[operand]
                ready.append((operand, part))
        if LAST_CHANGE.changed_at > node.number:
            check_fresh(node)  # a hook, or another thread, may have changed what the rules have just read
        if passed and not (retain_graph or create_graph):
            node.operands = node.saved = None
    return found


def age(value: Traced) -> int:
    """Return the number of a value, less than that of all that is made of it."""
    return value.number if value.node is None else value.node.number


def count_uses(roots: Iterable[Traced], wanted: Set[Traced] | None = None, oldest: float = 0) -> dict[Traced, int]:
    """Count how often each value that the roots depend on was used as an operand; each use will bring one gradient.

    Where only some values are wanted, what leads to none of them is left out. What is older than they are, or than
    `oldest`, cannot be made of them: of what it was made is not looked at. All that can be wrong with the rest of the
    graph is found here, before any rule has run.
    """
    if wanted:
        oldest = min(age(value) for value in wanted)
    uses = dict.fromkeys(roots, 0)
    to_visit = [root for root in uses if not oldest or age(root) >= oldest]
    while to_visit:
        node = to_visit.pop().node
        if node is None:
            continue
        op = node.op
        if node.operands is None:
            raise _freed(op)
        if op.rules is None and op.rule_for_each is None:
            raise GradientError(f"{op.name} has no gradient rules: give them with {op.name}.vjp(...)")
        if LAST_CHANGE.changed_at > node.number:
            check_fresh(node)
        for i, operand in enumerate(node.operands):
            if isinstance(operand, Traced) and operand.needs_grad:
                if i in op.refused:
                    raise GradientError(f"{op.name} has no gradient with respect to {operand_name(op, i, operand)}")
                if operand in uses:
                    uses[operand] += 1
                else:
                    uses[operand] = 1
                    if not oldest or age(operand) >= oldest:
                        to_visit.append(operand)
    return uses if wanted is None else _leading_to(wanted, uses)


def _freed(op: Any) -> GradientError:
    return GradientError(
        f"this graph was freed: an earlier backward() went through {op.name} already. Compute the loss again, all of "
        "it (what was computed before the loop is freed too), or keep the graph the first time: with retain_graph=True "
        "for backward(), create_graph=True for grad()"
    )


def check_fresh(node: Node) -> None:
    """Raise GradientError if an operand was changed after the node's forward began: the rules would read new data."""
    if LAST_CHANGE.changed_at == inf:
        settle()
    for i, operand in enumerate(node.operands):
        if isinstance(operand, Traced) and operand.memory.changed_at > node.number:
            raise GradientError(
                f"{operand_name(node.op, i, operand)} was changed (by an optimizer's step, assign, load_state_dict or "
                f"in place) after {node.op.name} had used it: compute the loss again after the change"
            )


def _leading_to(wanted: Set[Traced], uses: dict[Traced, int]) -> dict[Traced, int]:
    """Return the part of the uses that a walk needs which is to come to the wanted values and nowhere else."""
    users: dict[Traced, list[Traced]] = {value: [] for value in uses}
    for value in uses:
        for operand in (value.node.operands or ()) if value.node else ():  # the graph of an older one may be freed
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
    """Return what messages call the i-th operand: the name that its Module gave it, else that of the operation."""
    return repr(operand.name or (op.operand_names[i] if op.operand_names else f"number {i}"))


def _fitted(part: Any, data: Array, out_shape: tuple[int, ...]) -> Any:
    """Return a rule's result in the operand's shape and dtype: summed where it was broadcast, cast where promoted."""
    shape = getattr(part, "shape", None)
    if shape != data.shape:
        if shape is None or shape != out_shape or not broadcasts(data.shape, out_shape):
            raise ValueError(
                f"expected a gradient of the operand's shape {data.shape}, or of the output's shape {out_shape} where "
                f"the operand was broadcast to it; got {type(part).__name__ if shape is None else f'shape {shape}'}"
            )
        part = sum_to_shape(part, data.shape)
    return part if part.dtype == data.dtype else part.astype(data.dtype)


def _added(g: Any, part: Any, dtype: Any, is_last: bool) -> Any:
    """Return g + part, in half precision with more to come as float32: it stalls where one part is 2,048 times less."""
    if dtype != float16:
        return g + part
    return (g.astype(float32) + part).astype(float16 if is_last else float32)


def broadcasts(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    return len(shape) <= len(to) and all(n in (1, m) for n, m in zip(reversed(shape), reversed(to), strict=False))


def sum_to_shape(g: Any, shape: tuple[int, ...]) -> Any:
    """Undo the broadcasting of an operand of this shape: sum over the axes along which its values were repeated."""
    if g.shape == shape:
        return g
    new_axes = g.ndim - len(shape)
    stretched = (i for i, n in enumerate(shape, new_axes) if n == 1 != g.shape[i])
    return total(g, axis=(*range(new_axes), *stretched)).reshape(shape)


def _hooked(value: Traced, hook: Callable[[Any], Any], g: Any) -> Any:
    """Return what the hook makes of the gradient, in the dtype of the value; None leaves it as it is."""
    replaced = hook(g if isinstance(g, Traced) else as_array(g))
    if replaced is None:
        return g
    replaced = replaced if isinstance(g, Traced) else plain(replaced)
    if getattr(replaced, "shape", None) != value.data.shape:
        raise ValueError(f"a hook must return None or a gradient of {value.data.shape}, got {described(replaced)}")
    check_unmasked(replaced)
    check_same_device("a hook", [value.data, plain(replaced)])
    return replaced.astype(value.data.dtype)


def check_gradient(root: Traced, g: Any, caller: str = "backward()", retain_graph: bool = False) -> Array:
    """Return g, the gradient that a walk from the root starts with, as an array of the root's shape and dtype."""
    if not root.needs_grad:
        raise GradientError(
            "nothing to differentiate: this Tensor requires no gradient. Nothing that it was computed from has "
            "requires_grad=True, or it was computed under no_grad() or from plain arrays (.data, .numpy(), .detach())"
        )
    shape = root.data.shape
    if g is None:
        if root.data.size != 1:
            raise ValueError(
                f"{caller} needs a scalar, got shape {shape}: reduce it with .sum() or .mean(), or pass the gradient "
                "of the loss with respect to it, of that shape"
            )
        # New ones, where hooks could write into them, or into a residual that the graph keeps: see `scaled`.
        return ones_like(root.data, shared=not (root.hooks or retain_graph))
    g = as_array(plain(g), root.data.dtype)
    if g.shape != shape:
        raise ValueError(f"{caller} needs a gradient of the Tensor's own shape {shape}, got shape {g.shape}")
    check_same_device(caller, [root.data, g])
    return g


def backward(root: Traced, g: Any = None, retain_graph: bool = False) -> None:
    """Add the gradient of the root to the `grad` of every leaf it depends on, and of what else retains it."""
    roots: dict[Traced, Any] = {root: check_gradient(root, g, retain_graph=retain_graph)}
    uses = count_uses(roots)
    for value in [value for value in uses if value.grad is not None]:
        check_grad("backward()", value, writes=True, same_dtype=True)
    found = gradients(roots, uses, retain_graph=retain_graph)
    with LEAVES_LOCK:
        for value in found:  # what can fail is done before anything is written
            if value.grad is not None:
                check_grad("backward()", value, writes=True, same_dtype=True)  # again: a hook may have set it
        left = [(value, taken(found, value) if value.grad is None else found[value]) for value in list(found)]
        for value, g in left:
            if value.grad is None:  # asked again: a signal handler may have left a gradient meanwhile
                value.grad = g
                continue
            with errstate(all="ignore"):  # an error would leave some gradients with their part, and some without
                value.grad += g


def check_grad(caller: str, value: Traced, writes: bool = False, same_dtype: bool = False) -> None:
    """Raise ValueError unless `.grad` is None or an array like the data: nothing stops half-way.

    writes : whether the caller changes its elements.  same_dtype : whether another real dtype will not do.
    """
    grad, data = value.grad, value.data
    if grad is None:
        return
    is_like = type(grad) is type(data) and grad.shape == data.shape
    if not (is_like and (grad.dtype == data.dtype if same_dtype else grad.dtype.kind != "c")):
        raise ValueError(
            f"{caller}: expected the grad of {value.name or 'a parameter'} to be an array like {described(data)}, "
            f"got {described(grad)}"
        )
    if writes and not is_writable(grad):
        raise ValueError(f"{caller}: the grad of {value.name or 'a parameter'} is read-only: give a copy")
