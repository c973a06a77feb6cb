"""The call of an operation, and the backward walk, in one function each, to save calls of Python.

A call of a function costs Python as much as a tenth of an operation on a small array. So these two write out in line
the small functions of the engine, for nearly every call: one without observers.
"""

import functools
from collections.abc import Set
from typing import Any

from numpy import float16

from tinygrad_sm.backend import PLAIN_OPERANDS, HostArray, owned_copy
from tinygrad_sm.dispatch import faster
from tinygrad_sm.engine.mode import innermost_block
from tinygrad_sm.engine.primitive import Primitive, as_result
from tinygrad_sm.engine.tape import (
    Node,
    Traced,
    added,
    apply_hook,
    check_fresh,
    freed_error,
    gradients,
    is_traced,
    operand_name,
    unbroadcast,
)
from tinygrad_sm.engine.versions import LAST_CHANGE, next_number, share_views

_NO_STATIC: dict[str, Any] = {}  # one for all nodes without static arguments
_plain_call = Primitive.__call__


@faster(_plain_call)
def call(self: Primitive, *operands: Any, **static: Any) -> Any:
    """Call an operation on Traced values and arrays; the plain form handles lists, observers and errors.

    With the walk below, a chain of operations on ten numbers takes 0.66 of the time.
    """
    record, observers = innermost_block().value
    if observers:
        return _plain_call(self, *operands, **static)
    if len(operands) != self.arity:
        operands, static = self.bind_arguments(operands, static)
    elif self.defaults:
        static = {**self.defaults, **static} if static else self.defaults
    result_type, differentiate, arrays = None, False, []
    for operand in operands:
        if type(operand) in PLAIN_OPERANDS:
            arrays.append(operand)
        elif isinstance(operand, Traced):
            result_type = operand.result_type
            differentiate = differentiate or operand._requires_grad
            arrays.append(operand.data)
        else:
            return _plain_call(self, *operands, **static)
    saved, number = None, next_number()
    try:
        out = self.forward(*arrays, **static)
    except AttributeError:  # perhaps of a lone number, which has no shape: the plain form handles it
        return _plain_call(self, *operands, **static)
    except Exception as error:
        self.annotate_error(error, arrays, static)
        raise
    if self.saves is not None:
        out, saved = out
    if result_type is None:
        return out
    if type(out) is not HostArray:
        out = as_result(out, self.name, operands)
    node = None
    if record and differentiate:
        if self.nondifferentiable or out.dtype.kind != "f":
            self.check_differentiable(out, operands)
        node = Node(self, operands, static or _NO_STATIC, saved, number)
    result = object.__new__(result_type)
    Traced.__init__(result, out, node)
    if out.base is not None or node is None or self.is_view:  # perhaps a view of a leaf
        share_views(result, filter(is_traced, operands), self.is_view)
    return result


@faster(gradients)
def gradients_without_observers(
    roots: dict[Traced, Any],
    uses: dict[Traced, int],
    wanted: Set[Traced] = frozenset(),
    *,
    retain_graph: bool = False,
    create_graph: bool = False,
) -> dict[Traced, Any]:
    """Walk back without observers; `call` above says what the two gain."""
    if retain_graph and not create_graph:
        roots = {root: owned_copy(g) for root, g in roots.items()}  # else a rule may return what the graph keeps
    if innermost_block().value.observers:
        return gradients.plain(roots, uses, wanted, retain_graph=retain_graph, create_graph=create_graph)
    arrived = dict(roots)
    ready = [(root, arrived.pop(root)) for root in roots if uses.get(root) == 0]
    found = {}
    while ready:
        value, g = ready.pop()
        for hook in value.hooks:
            g = apply_hook(value, hook, g)
        node = value.node
        if node is None or value.retains_grad or value in wanted:
            found[value] = g
            if node is None:
                continue
        op, operands, static = node.op, node.operands, node.static
        if operands is None:
            raise freed_error(op)
        if create_graph:
            arguments = [g, value, *operands]
        else:
            arguments = [g, value.data, *[x.data if isinstance(x, Traced) else x for x in operands]]
        if op.saves is not None:
            static = {**static, "saved": op.saves(*operands, **static) if create_graph else node.saved}
        passed = False
        for i, operand in enumerate(operands):
            if not isinstance(operand, Traced) or (still_to_come := uses.get(operand)) is None:
                continue
            passed = True
            rule = op.rules[i] if op.rules else functools.partial(op.rule_for_each, i)
            try:
                part = rule(*arguments, **static)
                data = operand.data
                # The quick test: a Traced part has another type, and NumPy has one object for each of its dtypes.
                if type(part) is not type(data) or part.shape != data.shape or part.dtype is not data.dtype:
                    part = unbroadcast(part, data, value.data.shape)
            except Exception as error:
                error.add_note(f"in the gradient rule of {op.name} for its operand {operand_name(op, i, operand)}")
                raise
            if operand in arrived:
                before = arrived.pop(operand)
                part = added(before, part, data.dtype, still_to_come == 1) if data.dtype == float16 else before + part
            if still_to_come > 1:
                uses[operand], arrived[operand] = still_to_come - 1, part
            else:
                del uses[operand]
                ready.append((operand, part))
        if LAST_CHANGE.changed_at > node.number:
            check_fresh(node)
        if passed and not (retain_graph or create_graph):
            node.operands = node.saved = None
    return found
