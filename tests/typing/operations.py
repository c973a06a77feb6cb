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
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from types import FunctionType
from typing import Any, NamedTuple, get_overloads

import numpy as np

from tests.cases import CASES
from tinygrad_sm import Tensor
from tinygrad_sm.check.cases import OpCase
from tinygrad_sm.engine.primitive import Primitive

Operation = Callable[..., Any]
Form = Callable[[Any], Any]
"""What makes of an array another form of an operand."""

SAMPLES = {
    "an operand": (np.full((2, 3), 0.5), np.array([0, 1]), np.array([0.5, 0.25, 0.125])),
    "an option": (3, 1, (1,)),
    "an operand that may be left out": (np.array([0.5]), np.array([0.5, 0.25, 0.125])),
}
"""What is tried for the parameters of a function that no case calls."""


class Call(NamedTuple):
    """One call: which parameters got a Tensor, as it is or in a list, which a list of operands, and the result."""

    tensors: frozenset[str]
    lists: frozenset[str]
    has_array: bool
    has_array_without_axes: bool
    result: str


class Learned(NamedTuple):
    """What calls of an operation told.

    operands : the parameters that can make the result a Tensor, as Tensors
    sure : those of them that always do; labels do not, where a loss takes probabilities in their place
    rows : those that are a sequence of operands
    lists : those that may be a list of Tensors, which is then stacked
    of_tensors, of_arrays : the type of the result; "Any" where arrays may give a scalar, as NumPy's own stubs say it
    """

    operands: frozenset[str]
    sure: frozenset[str]
    rows: frozenset[str]
    lists: frozenset[str]
    of_tensors: str
    of_arrays: str


def is_operation(function: Any) -> bool:
    """Whether the types of a function are to be learned: it is a Primitive, or its annotations tell nothing."""
    if isinstance(function, Primitive):
        return True
    if not isinstance(function, FunctionType) or function.__name__ == "<lambda>" or get_overloads(function):
        return False
    definition = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(definition, ast.FunctionDef)
    parameters = [*definition.args.posonlyargs, *definition.args.args]
    annotations = [definition.returns, *(p.annotation for p in parameters[:1])]
    return bool(parameters) and all(a is None or ast.unparse(a) == "Any" for a in annotations)


def learn(functions: Iterable[Operation]) -> dict[Operation, Learned]:
    """Return what calls tell about the operations; raise TypeError, with what to do, for one that no call reaches."""
    functions, refusals = list(functions), {}
    with _watched(functions) as calls:
        for case in CASES:
            _run(case, calls)
        for function in functions:
            if not calls[function]:
                refusals[function] = _try_samples(function, calls[function], Tensor)
    with _watched(functions) as of_lists:
        for case in CASES:
            _run(case, of_lists, _list_of_leaves)
        for function in functions:
            _try_samples(function, of_lists[function], _list_of_leaves)
    return {x: _conclusion(x, calls[x], of_lists[x], refusals.get(x)) for x in functions}


@contextmanager
def _watched(functions: list[Operation]) -> Iterator[dict[Operation, list[Call]]]:
    """Put watched functions in the place of those that the modules of operations hold, as rows call some by name."""
    calls: dict[Operation, list[Call]] = {function: [] for function in functions}
    homes = {function: sys.modules[function.__module__] for function in functions}
    for function, home in homes.items():
        setattr(home, function.__name__, _Watched(function, calls[function]))
    try:
        yield calls
    finally:
        for function, home in homes.items():
            setattr(home, function.__name__, function)


class _Watched:
    """A function that notes its calls, and has all attributes of the original."""

    def __init__(self, function: Operation, calls: list[Call]):
        self._function = function
        self._signature = inspect.signature(function)
        self._calls = calls

    def __getattr__(self, name: str) -> Any:
        return getattr(self._function, name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        result = self._function(*args, **kwargs)
        self._calls.append(_call(self._signature.bind(*args, **kwargs).arguments, result))
        return result


def _watching(op: Operation, calls: dict[Operation, list[Call]]) -> Operation:
    """Return what a row calls, watched, or with watched defaults, as in `lambda a, b, op=op: op([a, b])`."""
    if op in calls:
        return _Watched(op, calls[op])
    if not (isinstance(op, FunctionType) and op.__defaults__):
        return op
    defaults = tuple(_watching(x, calls) if callable(x) else x for x in op.__defaults__)
    return FunctionType(op.__code__, op.__globals__, op.__name__, defaults, op.__closure__)


def _call(arguments: dict[str, Any], result: Any) -> Call:
    found = {name: list(_operands_in(value)) for name, value in arguments.items()}
    ndims = [x.ndim for parts in found.values() for x in parts]
    return Call(
        frozenset(name for name, parts in found.items() if any(isinstance(x, Tensor) for x in parts)),
        frozenset(name for name, parts in found.items() if parts and isinstance(arguments[name], list | tuple)),
        bool(ndims),
        0 in ndims,
        _type_of(result),
    )


def _operands_in(value: Any) -> Iterator[Any]:
    """Yield the Tensors and arrays of an argument, which may be a list or tuple of them."""
    if isinstance(value, Tensor | np.ndarray):
        yield value
    for part in value if isinstance(value, list | tuple) else ():
        yield from _operands_in(part)


def _list_of_leaves(array: Any) -> list[Tensor]:
    """Return the rows of an array as Tensors; those that require no gradient may become an array again."""
    return [Tensor(row, requires_grad=True) for row in array]


def _run(case: OpCase, calls: dict[Operation, list[Call]], form: Form | None = None) -> None:
    """Run a case on arrays and with each operand a Tensor or, if a form is given, try it with each in that form."""
    case = case._replace(op=_watching(case.op, calls))
    random = np.random.default_rng(0)
    for shapes in (case.fixed, *(case.shapes.draw(random) for _ in range(8))):
        arrays = case.operands(shapes)
        if form is None:
            case(*arrays)
        for i, array in enumerate(arrays):
            if form is None:
                case(*arrays[:i], Tensor(array), *arrays[i + 1 :])
            else:
                _attempt(case, form, arrays, i)


def _try_samples(function: Operation, calls: list[Call], form: Form) -> Exception | None:
    """Call a function with all samples, of which some fit: arrays, and with each operand in the form.

    Return the last refusal.
    """
    watched = _Watched(function, calls)
    parameters = inspect.signature(function).parameters.values()
    required = [p for p in parameters if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    options = [p.name for p in parameters if p.default is not p.empty and p.annotation is Any]
    operands = [i for i, p in enumerate(required) if _may_be_operand(p, function)]
    choices = [SAMPLES["an operand" if i in operands else "an option"] for i in range(len(required))]
    refusals = []
    for values in itertools.product(*choices):
        refusals += [_attempt(watched, form, values, i) for i in (None, *operands)]
        given = itertools.product(options, SAMPLES["an operand that may be left out"])
        refusals += [_attempt(watched, form, values, **{name: value}) for name, value in given]
    return next(filter(None, reversed(refusals)), None)


def _may_be_operand(parameter: inspect.Parameter, function: Operation) -> bool:
    if isinstance(function, Primitive):
        return parameter.name in function.operand_names
    return parameter.annotation in (Any, parameter.empty)


def _attempt(
    function: Operation, form: Form, values: Sequence[Any], i: int | None = None, **options: Any
) -> Exception | None:
    """Call a function, with the i-th of the values, and the options, in a form; return its refusal, if it refuses."""
    try:
        given = [form(value) if k == i else value for k, value in enumerate(values)]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            function(*given, **{name: form(value) for name, value in options.items()})
    except Exception as refusal:  # noqa: BLE001  most samples fit no function, and some functions take no lists
        return refusal
    return None


def _conclusion(function: Operation, calls: list[Call], of_lists: list[Call], refusal: Exception | None) -> Learned:
    with_tensor: dict[str, set[str]] = {}  # by the one parameter that got it
    for call in calls:
        for name in call.tensors if len(call.tensors) == 1 else ():
            with_tensor.setdefault(name, set()).add(call.result)
    operands = {name for name, results in with_tensor.items() if any("Tensor" in result for result in results)}
    sure = {name for name in operands if len(with_tensor[name]) == 1}
    results = set().union(*(with_tensor[name] for name in sure or with_tensor))
    of_arrays = {
        call.result for call in calls if call.has_array and not call.tensors and not call.has_array_without_axes
    }
    if len(results) != 1 or not of_arrays:
        raise TypeError(
            f"the types of {function.__name__} cannot be learned: Tensors gave {sorted(results) or 'nothing'}, "
            f"arrays {sorted(of_arrays) or 'nothing'}; write a row of tests/cases that calls it, or annotate its result"
        ) from refusal
    (of_tensors,) = results
    if isinstance(function, Primitive) and operands:
        operands = sure = set(function.operand_names)  # the engine makes a Tensor of the result, whichever it is
    rows = {name for call in calls for name in call.lists & operands}
    stacked = {name for call in of_lists if call.result == of_tensors for name in call.tensors & call.lists & operands}
    return Learned(
        frozenset(operands),
        frozenset(sure),
        frozenset(rows),
        frozenset(stacked - rows),
        of_tensors,
        of_arrays.pop() if len(of_arrays) == 1 else "Any",
    )


def _type_of(result: Any) -> str:
    """Return the type of a result, as an annotation. One without axes may be an array or a scalar of NumPy."""
    if isinstance(result, Tensor):
        return "Tensor"
    if isinstance(result, list):
        return f"list[{_type_of(result[0])}]"
    if hasattr(result, "_fields"):
        return f"<{type(result).__module__}.{type(result).__name__}>"
    return "_Array" if isinstance(result, np.ndarray) and result.ndim else "Any"
