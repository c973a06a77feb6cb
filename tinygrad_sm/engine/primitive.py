"""Operations: a forward on plain arrays and, directly under it, one gradient rule per operand.

Imports from later files: those of the tape, `sources` (the text of a rule), `advice` (what errors say of keywords).

    @primitive(analytic=True)                       # right on complex numbers too, for the checker
    def multiply(a, b, /):
        return a * b
    multiply.vjp(lambda g, out, a, b: g * b,        # ∂L/∂a = g ⊙ b
                 lambda g, out, a, b: g * a)        # ∂L/∂b = g ⊙ a

Called on plain arrays, `multiply` is its forward and nothing else. Called on a Traced value it computes with the arrays
inside, and the result gets a node if one of them requires a gradient. Rules are written in these operations. So a walk
that hands them arrays costs what NumPy costs; one that hands them Traced values is recorded, by the same rules.

A rule is pure: it never writes into g, out, an operand or a residual, which a forward may save for its rules. It uses
operators, the methods that arrays and Tensors share, and primitives; `xp`, NumPy or CuPy, is for forwards. Its result
has the operand's shape or, if the operand was broadcast, the output's: the tape then sums over the repeated axes.
"""

import functools
import inspect
from collections.abc import Callable, Sequence
from operator import attrgetter
from types import MethodType
from typing import Any

from numpy import asarray, generic

from tinygrad_sm.advice import check_call, explain
from tinygrad_sm.arrays import as_array, described
from tinygrad_sm.backend import (
    ARRAY_TYPES,
    NUMBERS,
    PLAIN_OPERANDS,
    Array,
    HostArray,
    array_module,
    check_same_device,
    device_of,
    is_array,
)
from tinygrad_sm.dispatch import replaceable
from tinygrad_sm.dtypes import check_unmasked
from tinygrad_sm.engine.mode import innermost_block
from tinygrad_sm.engine.sources import source_of
from tinygrad_sm.engine.tape import Node, Traced, data_of, is_traced
from tinygrad_sm.engine.versions import next_number, share_views
from tinygrad_sm.errors import user_line


class Primitive:
    """An operation. The parameters of the forward before `/` are its operands; `*xs` makes their number open.

    What follows is static: given by position or keyword, it reaches forward and rules as keywords, with its defaults.
    """

    def __init__(self, forward: Callable[..., Any], analytic: bool, saves: Callable[..., Any] | None, is_view: bool):
        functools.update_wrapper(self, forward)
        self.name = forward.__name__
        self.forward = self.plain = forward  # a faster form may replace `forward`, never `plain`
        self.analytic = analytic
        self.saves = saves
        self.is_view = is_view
        self.rules: tuple[Any, ...] | None = None
        self.plain_rules: tuple[Any, ...] | None = None
        self.rule_for_each: Callable[..., Any] | None = None
        self.nondifferentiable: tuple[int, ...] = ()
        parameters = inspect.signature(forward).parameters.values()
        operands = [p for p in parameters if p.kind is p.POSITIONAL_ONLY]
        static = [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
        self.arity = None if any(p.kind is p.VAR_POSITIONAL for p in parameters) else len(operands)
        self.operand_names = tuple(p.name for p in operands)
        self.operand_defaults = tuple(p.default for p in operands)
        self.required = sum(p.default is p.empty for p in operands)
        self.static_names = tuple(p.name for p in static)
        self.defaults = {p.name: p.default for p in static if p.default is not p.empty}
        if self.arity == 0:
            raise TypeError(f"{self.name} has no operands: put / after them in its signature, as in f(x, /, axis)")

    def __repr__(self) -> str:
        return f"<primitive {self.name}{inspect.signature(self.plain)}>"

    def __reduce__(self) -> str:
        """Let pickle write the name and deepcopy return this very object, as for functions."""
        return self.plain.__qualname__

    def __get__(self, instance: Any, owner: type) -> Any:
        """Act as a method if a class has this primitive as an attribute, as functions do."""
        return self if instance is None else MethodType(self, instance)

    def vjp(self, *rules: Any) -> None:
        """Set one rule per operand: a function of (g, out, *operands, **static), or `zero`, or None.

        None marks an operand that has no gradient, such as labels: a Tensor that requires a gradient is refused there.
        If the forward saves a residual, the rules receive it as the keyword `saved`.
        """
        if len(rules) != self.arity:
            expected = "vjp_each" if self.arity is None else f"{self.arity} rules, for {', '.join(self.operand_names)}"
            raise TypeError(f"the gradient of {self.name} needs {expected}; got {len(rules)} rules")
        self.rules = self.plain_rules = rules
        self.nondifferentiable = tuple(i for i, rule in enumerate(rules) if rule is None)

    def rule_source(self, i: int) -> str:
        """Return the source of the i-th operand's plain rule, comments included, even if a faster rule runs."""
        return source_of(self.plain_rules[i] if self.plain_rules else self.rule_for_each)

    def vjp_each(self, rule: Callable[..., Any]) -> None:
        """Give the one rule of all operands in `*xs`: a function of (i, g, out, *xs, **static) for the i-th."""
        if self.arity is not None:
            raise TypeError(f"{self.name} has {self.arity} operands: give a rule for each of them with vjp")
        self.rule_for_each = rule

    @replaceable
    def __call__(self, *operands: Any, **static: Any) -> Any:
        """Compute the forward, and record a node if an operand requires a gradient and the mode is to record."""
        operands, static = self.bind_arguments(operands, static)
        if not all(map(_is_operand, operands)):
            operands = self._as_operands(operands)
        record, observers = innermost_block().value  # the mode
        number = next_number()  # of the node: a change of an operand from now on makes it stale
        out, saved = self._run_forward(list(map(data_of, operands)), static, observers)
        traced = list(filter(is_traced, operands))
        if not traced:
            return out
        out = as_result(out, self.name, operands)
        node = None
        if record and any(map(attrgetter("requires_grad"), traced)):
            self.check_differentiable(out, operands)
            node = Node(self, operands, static, saved, number)
        result = object.__new__(traced[-1].result_type)  # a Tensor; its __init__ would convert, and check again
        Traced.__init__(result, out, node)
        share_views(result, traced, self.is_view)  # what changes an operand changes its views
        for observer in observers if node else ():
            observer.recorded(node, result, user_line())
        return result

    def _run_forward(self, arrays: list[Any], static: dict[str, Any], observers: tuple[Any, ...]) -> Any:
        """Return the output of the forward on the arrays, and its residual; observers may wrap the forward."""
        forward = self.forward
        for observer in observers:
            forward = observer.forward(self, forward)
        try:
            out = forward(*arrays, **static)
        except Exception as error:
            if isinstance(error, AttributeError) and type(arrays[0]) in NUMBERS and len(arrays) == 1:
                return self._run_forward([asarray(arrays[0])], static, observers)  # a number has no shape
            self.annotate_error(error, arrays, static)
            raise
        return (out, None) if self.saves is None else out

    def annotate_error(self, error: Exception, arrays: Sequence[Any], static: dict[str, Any]) -> None:
        """Add to a forward's error what the forward was given; raise DeviceError if arrays are on several devices."""
        check_same_device(self.name, arrays)
        error.add_note(f"in {self.name}({', '.join(map(described, arrays))})")
        explain(error, self.plain, tuple(arrays), static)  # wrong keywords

    def check_differentiable(self, out: Array, operands: Any) -> None:
        """Raise TypeError if the output cannot carry a gradient, or an operand that has no rule requires one."""
        if out.dtype.kind != "f":
            raise TypeError(f"{self.name} gives {out.dtype}, and only floats carry gradients: pass .detach()")
        for i in self.nondifferentiable:
            if isinstance(operands[i], Traced) and operands[i].requires_grad:
                name = self.operand_names[i]
                raise TypeError(f"{self.name} has no gradient with respect to {name}: pass {name}.detach()")

    def bind_arguments(self, given: tuple[Any, ...], static: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Return operands and static arguments, with defaults: sum(x, 0) gives (x,), {"axis": 0, "keepdims": False}."""
        if len(given) != self.arity and self.arity is not None:
            extra = given[self.arity :]
            named = dict(zip(self.static_names, extra, strict=False))
            if len(given) < self.required or len(extra) > len(self.static_names) or named.keys() & static.keys():
                check_call(self.plain, given, static)  # raises the TypeError of a Python call
            given, static = given[: self.arity] + self.operand_defaults[len(given) :], named | static
        return given, {**self.defaults, **static}

    def _as_operands(self, given: tuple[Any, ...]) -> tuple[Any, ...]:
        """Return the operands; lists, and whatever else NumPy reads, become arrays on the others' device."""
        device = next((device_of(data_of(x)) for x in given if hasattr(x, "shape")), None)
        try:
            return tuple(x if _is_operand(x) else _converted(x, device) for x in given)
        except (TypeError, ValueError) as error:
            error.add_note(f"as an operand of {self.name}")
            raise


def _is_operand(x: Any) -> bool:
    return isinstance(x, Traced) or type(x) in PLAIN_OPERANDS


def as_result(out: Any, caller: str, operands: Sequence[Any]) -> Array:
    """Return a forward's result as an array, where NumPy returns a scalar for 0-d; refuse operands on mixed devices."""
    if isinstance(out, generic):
        return asarray(out)
    if len(operands) > 1 and device_of(out) != "cpu":
        check_same_device(caller, list(map(data_of, operands)))
    return out if is_array(out) else as_array(out)


def primitive(
    forward: Callable[..., Any] | None = None,
    /,
    *,
    analytic: bool = False,
    saves: Callable[..., Any] | None = None,
    is_view: bool = False,
) -> Any:
    """Make a Primitive of a forward: a decorator, bare or with options.

    `analytic` says that the forward is right on complex arrays too, so that complex steps can check the gradients.
    With `saves` the forward returns (out, saved), where `saved` is a residual that saves the rules work. `saves` itself
    computes this residual from the operands in the framework's operations, for a walk that is recorded. `is_view` says
    that the output is a view of its operands, for an array module whose view hides its base.
    """
    if forward is None:
        return functools.partial(Primitive, analytic=analytic, saves=saves, is_view=is_view)
    return Primitive(forward, analytic, saves, is_view)


def as_operand(x: Any, beside: Any = None) -> Any:
    """Return a Traced value or an array unchanged, and what else NumPy reads as an array, on the device of `beside`.

    Of a list with Traced values in it, the result is Traced too. Raises TypeError if x is a masked array.
    """
    if isinstance(x, Traced) or type(x) in ARRAY_TYPES:
        return x
    check_unmasked(x)
    return x if isinstance(x, HostArray | generic) or is_array(x) else _converted(x, device_of(data_of(beside)))


def holds_traced(x: Any) -> bool:
    """Whether this is a Traced value, or a list or tuple that has one in it, at any depth."""
    if not isinstance(x, list | tuple):
        return isinstance(x, Traced)
    kinds = set(map(type, x))  # a long list of numbers is looked through at the speed of C
    return any(issubclass(kind, (Traced, list, tuple)) for kind in kinds) and any(map(holds_traced, x))


def _converted(x: Any, device: str | None) -> Any:
    if holds_traced(x):
        return Traced.stack_nested(x)
    return as_array(x, device=None if hasattr(x, "shape") else device)


def zero(g: Any, out: Any, *operands: Any, **static: Any) -> Array:
    """Return zeros: the rule of an elementwise operation whose derivative is 0 wherever it exists, such as sign."""
    data = data_of(out)
    return array_module(data).zeros_like(data)
