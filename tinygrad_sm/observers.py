"""Watching operations: which of them made the first NaN, and where the time goes.

    with detect_anomaly():
        loss = cross_entropy(model(images), labels)
        loss.backward()

A NaN spreads: every operation that receives one returns one, until the loss is NaN and does not say where it began.
So each operation must be checked when it runs, while its inputs are still there.

Both tools here are observers (see `mode`): the engine calls what they return in place of each forward and of each
gradient rule, and knows nothing else of them. They treat an operation as a whole: operations that a forward or a rule
calls belong to it, so an observer sees nothing of them.
"""

import operator
import threading
import time
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np

from tinygrad_sm.arrays import described
from tinygrad_sm.backend import ARRAY_TYPES, PLAIN_OPERANDS, array_module, device_of, to_numpy
from tinygrad_sm.engine.mode import Mode, ModeScope, Observer, observe
from tinygrad_sm.engine.tape import Node, data_of, operand_name
from tinygrad_sm.errors import user_line


def _replace_observer(observer: Observer, *others: Observer) -> ModeScope:
    """Replace the observer by the others, or by nobody, inside a block."""
    return ModeScope(lambda mode: mode._replace(observers=(*(o for o in mode.observers if o is not observer), *others)))


def detect_anomaly() -> ModeScope:
    """Raise FloatingPointError at the first operation that makes a NaN or an Inf, forward or backward.

    An operation makes a NaN if none of its inputs holds one, and an Inf if none holds an Inf or a NaN: so the −∞ of a
    mask passes, and so does what follows from it. This checks the results of forwards and of gradient rules, but not
    the sums of gradients in the walk itself, about which NumPy still warns. A context manager, or a decorator.

    The error names the operation, the line of the program that called it, even for an anomaly in its gradient, and the
    ranges of its inputs. Checking every result takes time, so use this to find a fault, not to train.

    >>> import tinygrad_sm as tg
    >>> x = tg.Tensor([1.0, 2.0, 6.0], requires_grad=True)
    >>> with detect_anomaly():
    ...     tg.sqrt(tg.sqrt(x - 2.0))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    FloatingPointError: in sqrt, called at ...: 1 NaN made of
        x: float32 (3,), -1 .. 4, 0 NaN, 0 Inf
    Keep these values where sqrt and its gradient are finite: ...
    """
    return observe(AnomalyDetector())


class AnomalyDetector(Observer):
    """Checks the result of each forward and of each gradient rule; see `detect_anomaly`."""

    def __init__(self) -> None:
        self.lines: MutableMapping[Node, str] = WeakKeyDictionary()  # where nodes were recorded; keeps none alive

    def forward(self, op: Any, forward: Callable[..., Any]) -> Callable[..., Any]:
        """Return the forward with a check of its result."""

        def checked(*operands: Any, **static: Any) -> Any:
            with _replace_observer(self), np.errstate(all="ignore"):  # our error says more than NumPy's warnings
                result = forward(*operands, **static)
            out = result if op.saves is None else result[0]
            made = _new_non_finite(out, (*operands, *static.values()))
            if device_of(out) != "cpu" and (made or op.nondifferentiable):
                with np.errstate(all="ignore"):
                    forward(*map(_on_host, operands), **static)  # on the host, this checks the labels
            if made:
                raise _anomaly(op, f"in {op.name}, called at {user_line()}", made, _named(op, operands, static))
            return result

        return checked

    def recorded(self, node: Node, out: Any, line: Any) -> None:
        """Remember the line at which the operation was called."""
        self.lines[node] = str(line)

    def backward(self, node: Node, i: int, rule: Callable[..., Any]) -> Callable[..., Any]:
        """Return the rule with a check of its result."""
        op = node.op
        line = self.lines.get(node, "a line outside of this detect_anomaly()")
        # In a walk that is differentiated again, the rule records nodes: they get the same line of the program.
        recorded = _LineAssigner(self.lines, f"{line}, in the gradient rule of {op.name}")

        def checked(g: Any, out: Any, *operands: Any, **static: Any) -> Any:
            with _replace_observer(self, recorded), np.errstate(all="ignore"):
                part = rule(g, out, *operands, **static)
            if made := _new_non_finite(part, (g, out, *operands, *static.values())):
                operand = operand_name(op, i, node.operands[i])
                where = f"in the gradient rule of {op.name} for its operand {operand}, recorded at {line}"
                raise _anomaly(op, where, made, {"g": g, "out": out} | _named(op, operands, static))
            return part

        return checked


class _LineAssigner(Observer):
    """Assigns the one line to each node that is recorded."""

    def __init__(self, lines: MutableMapping[Node, str], line: str):
        self.lines = lines
        self.line = line

    def recorded(self, node: Node, out: Any, line: Any) -> None:
        self.lines[node] = self.line


def _on_host(x: Any) -> Any:
    return to_numpy(x) if type(x) in ARRAY_TYPES else x


def _non_finite(x: Any) -> tuple[int, int]:
    """Return how many NaN and how many Inf there are in an array, a Traced value or a number."""
    x = data_of(x)
    if type(x) not in PLAIN_OPERANDS:
        return 0, 0
    xp = array_module(x)
    array = xp.asarray(x)
    if array.dtype.kind not in "fc" or xp.isfinite(array).all():
        return 0, 0
    return int(xp.isnan(array).sum()), int(xp.isinf(array).sum())


def _new_non_finite(result: Any, inputs: Iterable[Any]) -> str:
    """Return what the operation itself made, such as "2 NaN"; empty if nothing, or if the inputs explain it."""
    nans, infs = _non_finite(result)
    if nans or infs:
        for given_nans, given_infs in map(_non_finite, inputs):
            if given_nans:
                return ""
            if given_infs:
                infs = 0
    return " and ".join(f"{n} {kind}" for n, kind in ((nans, "NaN"), (infs, "Inf")) if n)


def _named(op: Any, operands: tuple[Any, ...], static: dict[str, Any]) -> dict[str, Any]:
    """Return the inputs of an operation by name; operands without names are numbered."""
    names = op.operand_names or [f"number {i}" for i in range(len(operands))]
    return dict(zip(names, operands, strict=True)) | static


def _anomaly(op: Any, where: str, made: str, inputs: Mapping[str, Any]) -> FloatingPointError:
    lines = [f"{where}: {made} made of", *(f"    {name}: {_described_with_range(x)}" for name, x in inputs.items())]
    return FloatingPointError(
        "\n".join(lines) + f"\nKeep these values where {op.name} and its gradient are finite: choose safe ones before "
        "it, as in tg.where(x > 0, tg.sqrt(tg.where(x > 0, x, 1)), 0); if they have grown from step to step, lower the "
        "learning rate"
    )


def _described_with_range(x: Any) -> str:
    """Return an input's description for messages: of an array, also its finite range and how many are not finite."""
    x = data_of(x)
    if type(x) not in PLAIN_OPERANDS or not hasattr(x, "shape"):
        return described(x)
    xp = array_module(x)
    array = xp.asarray(x)
    finite = array[xp.isfinite(array)]
    shown = f"{finite.min().item():.4g} .. {finite.max().item():.4g}" if finite.size else "no finite value"
    nans, infs = _non_finite(array)
    return f"{described(x)}, {shown}, {nans} NaN, {infs} Inf"


class Row(NamedTuple):
    """What one operation cost: its calls, the seconds in its forward and in its rules, the bytes of its results."""

    calls: int = 0
    forward: float = 0.0
    backward: float = 0.0
    bytes: int = 0


class Profile(ModeScope, Observer):
    """Counts and times what runs inside of it; see `profile`."""

    def __init__(self) -> None:
        super().__init__(self._add_to_mode, self)
        self._rows: dict[str, Row] = {}
        self._lock = threading.Lock()  # threads may share a function that this decorates

    def _add_to_mode(self, mode: Mode) -> Mode:
        # If it is entered again, as by a decorated function that calls itself, it must not count everything twice.
        return mode if self in mode.observers else mode._replace(observers=(*mode.observers, self))

    def forward(self, op: Any, forward: Callable[..., Any]) -> Callable[..., Any]:
        """Return the forward, timed."""

        def timed(*operands: Any, **static: Any) -> Any:
            size = 0
            with _replace_observer(self):
                start = time.perf_counter()
                try:
                    result = forward(*operands, **static)
                    size = getattr(result if op.saves is None else result[0], "nbytes", 0)
                finally:
                    self._add(op, Row(calls=1, forward=time.perf_counter() - start, bytes=size))
            return result

        return timed

    def backward(self, node: Node, i: int, rule: Callable[..., Any]) -> Callable[..., Any]:
        """Return the rule, timed."""

        def timed(*arguments: Any, **static: Any) -> Any:
            with _replace_observer(self):
                start = time.perf_counter()
                try:
                    return rule(*arguments, **static)
                finally:
                    self._add(node.op, Row(backward=time.perf_counter() - start))

        return timed

    def _add(self, op: Any, row: Row) -> None:
        with self._lock:
            self._rows[op.name] = Row(*map(operator.add, self._rows.get(op.name, Row()), row))

    @property
    def rows(self) -> dict[str, Row]:
        """A row for each operation by its name, the one that took longest first."""
        return dict(sorted(self._rows.items(), key=lambda item: -item[1].forward - item[1].backward))

    @property
    def total(self) -> Row:
        """All rows together."""
        return Row(*map(sum, zip(Row(), *self.rows.values(), strict=True)))

    def __repr__(self) -> str:
        calls, forward, backward, _ = self.total
        return f"Profile(operations={len(self._rows)}, calls={calls}, forward={forward:.3g}, backward={backward:.3g})"

    def __str__(self) -> str:
        rows = {**self.rows, "total": self.total}
        width = max(map(len, rows))
        lines = [f"{'':{width}} {'calls':>9} {'forward ms':>12} {'backward ms':>12} {'bytes':>15}"]
        for name, row in rows.items():
            times = f"{1e3 * row.forward:12.3f} {1e3 * row.backward:12.3f}"
            lines.append(f"{name:{width}} {row.calls:9,} {times} {row.bytes:15,}")
        return "\n".join(lines)


def profile() -> Profile:
    """Count the operations that are called, and the time that they and their gradient rules take.

    The result is a context manager and a decorator, and holds the figures. Printed, it is a table. `rows` has a `Row`
    for each operation: calls, seconds forward and backward, bytes; `total` has their sums. Several uses of one profile
    add up. It does not count the time of the engine between operations, nor the residuals that forwards save. A view
    counts with the bytes of its elements, though it has no memory of its own.

    >>> import tinygrad_sm as tg
    >>> w = tg.ones(1000, requires_grad=True)
    >>> with profile() as p:
    ...     tg.sum(w * w * 2.0).backward()
    >>> p.rows["multiply"].calls, p.rows["multiply"].bytes, p.total.calls
    (2, 8000, 3)
    >>> p  # doctest: +ELLIPSIS
    Profile(operations=2, calls=3, forward=..., backward=...)
    >>> print(p)  # doctest: +ELLIPSIS, +NORMALIZE_WHITESPACE
        calls forward ms backward ms bytes
    ...
    total   3    ...                 8,004
    """
    return Profile()
