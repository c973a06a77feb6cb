"""Finds out which operands an operation has and what it returns, by watching calls of it.

The files of operations have no annotations, because learners read them. So the types in the stubs come from what comes
when the rows of the table of cases run, with one operand at a time a Tensor and the others arrays. Functions that no
row calls, such as those of `nn.functional`, are called with a few samples.
"""

import ast
import inspect
import itertools
import sys
import textwrap
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from tinygrad_sm import Tensor
from tinygrad_sm.check.cases import CASES, OpCase
from tinygrad_sm.engine.primitive import Primitive

Operation = Callable[..., Any]

SAMPLES = {
    "an operand": (np.full((2, 3), 0.5), np.array([0, 1]), np.array([0.5, 0.25, 0.125])),
    "an option": (3, 1, (1,)),
}
"""What is tried for the required parameters of a function that no case calls."""


class Call(NamedTuple):
    """One call: which parameters got a Tensor or a sequence of operands, what all of them were, and the result."""

    tensors: frozenset[str]
    sequences: frozenset[str]
    has_array: bool
    has_array_without_axes: bool
    result: str


class Learned(NamedTuple):
    """What calls of an operation told.

    operands : the parameters that can make the result a Tensor, as Tensors
    sure : those of them that always do; labels do not, where a loss takes probabilities in their place
    sequences : those that take a sequence of operands
    of_tensors, of_arrays : the type of the result; "Any" where arrays may give a scalar, as NumPy's own stubs say it
    """

    operands: frozenset[str]
    sure: frozenset[str]
    sequences: frozenset[str]
    of_tensors: str
    of_arrays: str


def is_operation(function: Any) -> bool:
    """Whether the types of a function are to be learned: it is a Primitive, or its annotations tell nothing."""
    if isinstance(function, Primitive):
        return True
    if not inspect.isfunction(function) or function.__name__ == "<lambda>":
        return False
    definition = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(definition, ast.FunctionDef)
    parameters = [*definition.args.posonlyargs, *definition.args.args]
    annotations = [definition.returns, *(p.annotation for p in parameters[:1])]
    return bool(parameters) and all(a is None or ast.unparse(a) == "Any" for a in annotations)


def learn(functions: Iterable[Operation]) -> dict[Operation, Learned]:
    """Return what calls tell about the operations; raise TypeError, with what to do, for one that no call reaches."""
    functions = list(functions)
    with _watched(functions) as calls, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for case in CASES:
            _run(case, calls)
        for function in functions:
            if not calls[function]:
                _try_samples(function, calls[function])
    return {function: _conclusion(function, calls[function]) for function in functions}


@contextmanager
def _watched(functions: list[Operation]) -> Iterator[dict[Operation, list[Call]]]:
    """Put watched functions in the place of those that the modules of operations hold, as rows call some by name."""
    calls: dict[Operation, list[Call]] = {function: [] for function in functions}
    homes = {function: sys.modules[function.__module__] for function in functions}
    for function, home in homes.items():
        setattr(home, function.__name__, _watch(function, calls[function]))
    try:
        yield calls
    finally:
        for function, home in homes.items():
            setattr(home, function.__name__, function)


def _watch(function: Operation, calls: list[Call]) -> Operation:
    signature = inspect.signature(function)

    def watched(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        calls.append(_call(signature.bind(*args, **kwargs).arguments, result))
        return result

    return watched


def _call(arguments: dict[str, Any], result: Any) -> Call:
    tensors, sequences, arrays = set(), set(), []
    for name, value in arguments.items():
        parts = value if isinstance(value, list | tuple) else [value]
        found = [part for part in parts if isinstance(part, Tensor | np.ndarray)]
        arrays += found
        if any(isinstance(part, Tensor) for part in found):
            tensors.add(name)
        if found and parts is value:
            sequences.add(name)
    ndims = [array.ndim for array in arrays]
    return Call(frozenset(tensors), frozenset(sequences), bool(ndims), 0 in ndims, _type_of(result))


def _run(case: OpCase, calls: dict[Operation, list[Call]]) -> None:
    """Run a case on arrays, and with each of its operands a Tensor."""
    watched = _watch(case.op, calls[case.op]) if case.op in calls else case.op
    random = np.random.default_rng(0)
    for shapes in (case.fixed, *(case.shapes.draw(random) for _ in range(8))):
        arrays = case.operands(shapes)
        case._replace(op=watched)(*arrays)
        for i, array in enumerate(arrays):
            case._replace(op=watched)(*arrays[:i], Tensor(array), *arrays[i + 1 :])


def _try_samples(function: Operation, calls: list[Call]) -> None:
    """Call a function with all samples, of which some fit: arrays, and with each operand and option a Tensor."""
    watched = _watch(function, calls)
    parameters = inspect.signature(function).parameters.values()
    required = [p for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    operands = [p for p in required if _may_be_operand(p, function)]
    options = [p.name for p in parameters if p.default is not p.empty and p.annotation is Any]
    choices = [SAMPLES["an operand" if p in operands else "an option"] for p in required]
    for values in itertools.product(*choices):
        _attempt(watched, values)
        for i, p in enumerate(required):
            if p in operands:
                _attempt(watched, (*values[:i], Tensor(values[i]), *values[i + 1 :]))
        for name in options:
            _attempt(watched, values, **{name: Tensor(0.5)})


def _may_be_operand(parameter: inspect.Parameter, function: Operation) -> bool:
    if isinstance(function, Primitive):
        return parameter.name in function.operand_names
    return parameter.annotation in (Any, parameter.empty)


def _attempt(function: Operation, values: Iterable[Any], **options: Any) -> None:
    try:
        function(*values, **options)
    except Exception:  # noqa: BLE001  most samples fit no function
        return


def _conclusion(function: Operation, calls: list[Call]) -> Learned:
    with_tensor: dict[str, set[str]] = {}  # by the one parameter that got it
    for call in calls:
        for name in call.tensors if len(call.tensors) == 1 else ():
            with_tensor.setdefault(name, set()).add(call.result)
    operands = {name for name, results in with_tensor.items() if any("Tensor" in result for result in results)}
    sure = {name for name in operands if len(with_tensor[name]) == 1}
    of_tensors = set().union(*(with_tensor[name] for name in sure or with_tensor))
    of_arrays = {
        call.result for call in calls if call.has_array and not call.tensors and not call.has_array_without_axes
    }
    if len(of_tensors) != 1 or not of_arrays:
        raise TypeError(
            f"the types of {function.__name__} cannot be learned: Tensors gave {sorted(of_tensors) or 'nothing'}, "
            f"arrays {sorted(of_arrays) or 'nothing'}; write a row of check/cases that calls it, or annotate its result"
        )
    if isinstance(function, Primitive) and operands:
        operands = sure = set(function.operand_names)  # the engine makes a Tensor of the result, whichever it is
    return Learned(
        frozenset(operands),
        frozenset(sure),
        frozenset(name for call in calls for name in call.sequences & operands),
        of_tensors.pop(),
        of_arrays.pop() if len(of_arrays) == 1 else "Any",
    )


def _type_of(result: Any) -> str:
    """Return the type of a result, as an annotation. One without axes may be an array or a scalar of NumPy."""
    if isinstance(result, Tensor):
        return "Tensor"
    if isinstance(result, list):
        return f"list[{_type_of(result[0])}]"
    if hasattr(result, "_fields"):
        return type(result).__name__
    return "_Array" if isinstance(result, np.ndarray) and result.ndim else "Any"
