"""The questions to an operation's rules: gradients of first order, and then each of them differentiated again."""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

import tinygrad_sm as tg
from tinygrad_sm.check.cases import CASES
from tinygrad_sm.exercises.exercise import LAST, Probe

GIVEN = "2, −3, 4, −5, ... in the shape of the result"

WRITES = 8
"""The stage of what a rule writes into: nothing of it is seen in an answer of first order."""

MANY = 5
"""With so many rows in the case table, one sample of each is asked; with fewer, two of each."""


class At(NamedTuple):
    """A call of an operation at which its gradients are asked for."""

    operands: tuple[Any, ...]
    static: dict[str, Any]


def at(*operands: Any, **static: Any) -> At:
    """Return a call; lists become arrays."""
    return At(tuple(np.array(x) for x in operands), static)


WRITES_INTO_G = (
    "your rule writes into g, which may be another rule's g too, or read-only: what it returns must be a new array"
)
WRITES_INTO_OUT = "your rule writes into out: that is the array of the result, and whoever holds it sees it change"
EPS = ("1e-3", "1e-4", "1e-5", "1e-6", "1e-7", "1e-8", "1e-9", "1e-10", "1e-12", "1e-15", "1e-16")
"""What is added where one fears to divide by 0."""


def rule_in_place(name: str, operands: str, *lines: str, last: str = "g") -> str:
    """Return an answer whose rule for the first operand has these lines, and returns the last."""
    body = "".join(f"    {line}\n" for line in lines)
    return f"def rule(g, out, {operands}):\n{body}    return {last}\n\n\n{name}.vjp(rule)"


def one_stage(call: At) -> int:
    """Return 0: all questions of first order are one stage."""
    return 0


def axes_later(call: At) -> int:
    """Return 0 for calls along all axes or along the last one, 1 for those along others, or of a number."""
    return int(call.static.get("axis", None) not in (None, -1) or call.operands[0].ndim == 0)


def broadcasts_later(call: At) -> int:
    """Return 0; 1 where an operand is broadcast, or where numbers are too small for an ε."""
    is_broadcast = len({x.shape for x in call.operands}) > 1
    return int(is_broadcast or any(0 < x.max(initial=0) < SMALL for x in call.operands))


SMALL = 1e-9
"""Below it lie the numbers with which an ε that was added is seen, whatever its size."""


def probes_of_rules(op: Any, *small: At, stage: Callable[[At], int] = one_stage) -> Callable[[], Iterator[Probe]]:
    """Return the questions to the rules of an operation: at the small calls given, then at those of the case table.

    The small ones come first, because a learner can check them by hand. No question is asked through another rule than
    those of the operation: g is given to the walk, and is no factor in a product.

    stage : of a call, for questions of first order.
    """

    def probes() -> Iterator[Probe]:
        cases = [case for case in CASES if case.op is op]
        seeds = (0, 1) if len(cases) < MANY else (0,)
        calls = [*small, *(At(tuple(c.operands(c.fixed, seed)), c.static) for c in cases for seed in seeds)]
        calls.sort(key=stage)
        for call in calls:
            for i in _floats(call):
                yield _first(op, call, i)._replace(stage=stage(call))
        for i in _floats(small[-1]):
            yield _writes(op, small[-1], i)
        for call in calls:
            for i in _floats(call):
                for j in _floats(call):
                    yield _second(op, call, i, j)

    return probes


def _floats(call: At) -> list[int]:
    return [i for i, x in enumerate(call.operands) if x.dtype.kind == "f"]


def _first(op: Any, call: At, i: int) -> Probe:
    def ask() -> Any:
        tensors = _tensors(call)
        out = op(*tensors, **call.static)
        return tg.grad(out, tensors[i], _weights(out))[0]

    name = op.operand_names[i]
    return Probe(f"∂L/∂{name} of {_described(op, call)}, where g is {GIVEN}", ask, name)


def _writes(op: Any, call: At, i: int) -> Probe:
    def ask() -> Any:
        tensors = _tensors(call)
        out = op(*tensors, **call.static)
        g = _weights(out)
        arrays = [g, out.data, *map(_array, tensors)]
        before = [array.copy() for array in arrays]
        tg.grad(out, tensors[i], g)
        return np.array([np.sum(array != old) for array, old in zip(arrays, before, strict=True)])

    name, listed = op.operand_names[i], ", ".join(["g", "out", *op.operand_names])
    question = f"how many elements the rule for {name} writes into, of {listed}, for {_described(op, call)}"
    return Probe(question, ask, name, WRITES)


def _array(x: Any) -> Any:
    return x.data if isinstance(x, tg.Tensor) else x


def _second(op: Any, call: At, i: int, j: int) -> Probe:
    def ask() -> Any:
        tensors = _tensors(call)
        out = op(*tensors, **call.static)
        (first,) = tg.grad(out, tensors[i], _weights(out), create_graph=True)
        if not first.requires_grad:
            return np.zeros(tensors[j].shape)
        (second,) = tg.grad(first, tensors[j], _weights(first), allow_unused=True)
        return np.zeros(tensors[j].shape) if second is None else second

    a, b = op.operand_names[i], op.operand_names[j]
    return Probe(f"the derivative of ∂L/∂{a} with respect to {b}, for {_described(op, call)}", ask, stage=LAST)


def _tensors(call: At) -> list[Any]:
    return [tg.Tensor(x, requires_grad=True) if x.dtype.kind == "f" else x for x in call.operands]


def _weights(out: Any) -> Any:
    """Return 2, −3, 4, −5, ... in the shape of an output: no two are equal, and none is 1, which nobody would miss."""
    signs = (-1.0) ** np.arange(out.size)
    return (signs * np.arange(2, out.size + 2)).reshape(out.shape)


def _described(op: Any, call: At) -> str:
    options = [f"{name}={value!r}" for name, value in call.static.items()]
    return f"{op.name}({', '.join([*map(shown, call.operands), *options])})"


def shown(x: Any) -> str:
    """Return an array as short text."""
    return " ".join(np.array2string(np.asarray(x), precision=3, separator=", ", threshold=20).split())
