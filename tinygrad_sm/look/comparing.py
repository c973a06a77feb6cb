"""A debugger for gradients written by hand: what a student computed, beside what the tape has.

>>> import numpy as np
>>> import tinygrad_sm as tg
>>> X, model = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]), tg.nn.Linear(2, 4)
>>> with tg.look.record(model) as recording:
...     out = model(X)
...     (out * out).sum().backward()
>>> dout = 2 * out.numpy()
>>> tg.look.compare(recording, dweight=X.T @ dout, dbias=dout.sum(axis=0))
`dbias` is right, to the rounding of float32
`dweight` is wrong: it gives the gradient transposed (its shape is (2, 4), that of the value (4, 2))  ◀ the first

In the order of the walk, each gradient is judged by itself: what is only wrong because an earlier one is wrong is what
the rules give when they are fed with the student's own gradients, and is said to follow from that.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_sm.arrays import as_exact_array, described
from tinygrad_sm.backend import HostArray, to_numpy
from tinygrad_sm.engine.tape import data_of, is_traced
from tinygrad_sm.errors import GradientError
from tinygrad_sm.look.entries import Entry, Leaf
from tinygrad_sm.look.replay import in_float64
from tinygrad_sm.look.retracing import ROUNDING, Tape, Walk, is_close, largest
from tinygrad_sm.look.searching import Search, Slip

PREFIXES = ("dL_d", "grad_", "d_", "d")
SUFFIXES = ("_grad",)
"""How the gradient of a value is called, as `dW`, `d_W`, `grad_W`, `dL_dW` or `W_grad` for that of W."""


@dataclass(frozen=True)
class Row:
    """What is said of one gradient.

    name : as it was given.  value : the entry with whose gradient it was compared, None if there is none.
    verdict : "right"; "follows", wrong only because earlier ones are; "wrong"; or "unknown", where nothing can be said.
    mistakes : each of them explains the array; none if it is not clear.
    facts : what else helps.  causes : the names of the wrong ones from which it follows.
    """

    name: str
    value: Entry | None
    verdict: str
    mistakes: tuple[str, ...] = ()
    facts: tuple[str, ...] = ()
    causes: tuple[str, ...] = ()

    def __str__(self) -> str:
        facts = "; ".join(self.facts)
        if self.verdict == "right":
            return f"`{self.name}` is right" + (f", {facts}" if facts else "")
        if self.verdict == "follows":
            return f"`{self.name}` follows from the wrong {_listed(self.causes)}: right by itself"
        if self.verdict == "unknown":
            return f"`{self.name}`: {facts}"
        if not self.mistakes:
            return f"`{self.name}` is wrong: {facts}"
        return f"`{self.name}` is wrong: it {', or '.join(self.mistakes)}" + (f" ({facts})" if facts else "")


class Comparison:
    """What `compare` found: a row for each gradient, in the order of the walk; printed, a line for each.

    `comparison["dW"]` is the row of that name, and `comparison.first` the first wrong one, None if there is none.
    """

    def __init__(self, rows: list[Row]):
        self.rows = rows

    def __getitem__(self, name: str) -> Row:
        for row in self.rows:
            if row.name == name:
                return row
        raise KeyError(f"no gradient {name!r} was compared; there are: {', '.join(row.name for row in self.rows)}")

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def first(self) -> Row | None:
        """The first divergence in the order of the walk."""
        return next((row for row in self.rows if row.verdict == "wrong"), None)

    def __str__(self) -> str:
        return "\n".join(f"{row}  ◀ the first" if row is self.first else str(row) for row in self.rows)

    __repr__ = __str__


def compare(recording: Any, gradients: dict[str, Any] | None = None, /, **named: Any) -> Comparison:
    """Compare gradients that were computed by hand with those of a recording; say which is right, and what went wrong.

    gradients, named : the gradients by name: Tensors, arrays, lists or numbers. The gradient of the value W is called
        `dW`, `d_W`, `grad_W`, `W_grad` or `dL_dW`; in the dict a name may also be that of the value itself, such as the
        path "0.weight". `compare(recording, **locals())` takes what is called so, and passes over all other variables.

    If several values have the name, one of the same shape is taken: the one whose gradient it is, else the last.

    Right is what differs by at most one part in 10⁹ of the largest element in float64, 10⁵ in float32, 10² in half
    precision, the coarser of the dtypes of both; where the terms of a sum cancel, of these terms. The others are judged
    by what follows from the student's own earlier gradients. A mistake is named if it gives this very array.

    Raises GradientError if the recording holds no backward walk, ValueError if no gradient is given, and TypeError for
    what is no array of real numbers.
    """
    if not hasattr(recording, "steps"):
        raise TypeError(f"compare: expected a recording of tg.look.record, got {described(recording)}")
    tape = Tape(recording)
    if not tape.order:
        raise GradientError(
            "compare: the recording holds no gradients: call loss.backward() inside of the block of tg.look.record()"
        )
    if gradients is not None and not (isinstance(gradients, dict) and all(isinstance(name, str) for name in gradients)):
        raise TypeError(f"compare: expected a dict of gradients by name, got {described(gradients)}")
    given, rows = _matched(recording, tape, gradients or {}, named)
    if not given and not rows:
        names = ", ".join(dict.fromkeys(f"d{entry.names[0]}" for entry in tape.order.values() if entry.names))
        raise ValueError(
            f"compare: expected gradients by name, as compare(recording, dW=dW), of {names or 'named values'}; got "
            f"{'none of them' if gradients or named else 'none'}"
        )
    with np.errstate(all="ignore"):  # a student's array may hold anything
        return Comparison([*_Judge(tape, given).rows(), *rows])


@dataclass
class _Given:
    """A gradient of the student, and the values that it may be for."""

    name: str
    array: HostArray
    entries: list[Entry]


def _matched(
    recording: Any, tape: Tape, gradients: dict[str, Any], named: dict[str, Any]
) -> tuple[list[_Given], list[Row]]:
    """Return the gradients with the entries of their values, and a row for each that has none."""
    entries: dict[str, list[Entry]] = {}
    for entry in (*recording.leaves, *recording.operations):
        for name in entry.names:
            entries.setdefault(name, []).append(entry)
    is_all = any(not _values(name) for name in named)  # locals(), where most names are not meant
    found, rows = list[_Given](), list[Row]()
    for name, x in (*gradients.items(), *named.items()):
        is_chosen = name in gradients or not is_all
        of = next((value for value in ([name] * (name in gradients) + _values(name)) if value in entries), None)
        if of is None or _is_value(name, x, entries):
            if is_chosen:
                rows.append(Row(name, None, "unknown", facts=(_unmatched(name, of, entries),)))
            continue
        try:
            array = _as_array(name, x)
        except TypeError:
            if is_chosen:
                raise
            continue
        if not is_chosen and array.ndim == 0 and not any(entry.value.shape == () for entry in entries[of]):
            continue  # a number, such as a step dt where there is an array t
        walked = [entry for entry in entries[of] if entry.key in tape.order]
        whole = [entry for entry in walked if entry.g is not None and entry.g.is_whole]
        if whole:
            found.append(_Given(name, array, whole))
        else:
            rows.append(Row(name, entries[of][-1], "unknown", facts=(_without_gradient(of, entries[of][-1], walked),)))
    return found, rows


def _values(name: str) -> list[str]:
    """Return the names of the values whose gradient this name may stand for.

    >>> _values("dL_dW"), _values("W_grad"), _values("W")
    (['W', 'L_dW'], ['W'], [])
    """
    of = [name.removeprefix(prefix) for prefix in PREFIXES if name.startswith(prefix)]
    of += [name.removesuffix(suffix) for suffix in SUFFIXES if name.endswith(suffix)]
    return [value for value in of if value]


def _is_value(name: str, x: Any, entries: dict[str, list[Entry]]) -> bool:
    """Whether this is a Tensor of the forward pass whose own name looks like that of a gradient."""
    own = [entry.value.array for entry in entries.get(name, ())]
    return is_traced(x) and any(array is not None and np.array_equal(array, to_numpy(x.data)) for array in own)


def _as_array(name: str, x: Any) -> HostArray:
    try:
        array = np.asarray(to_numpy(as_exact_array(data_of(x))))
    except (TypeError, ValueError) as error:
        raise TypeError(f"compare: expected an array of numbers for {name}, got {described(x)}") from error
    if array.dtype.kind not in "biuf":
        raise TypeError(f"compare: expected real numbers for {name}, got {described(x)}")
    return array


def _unmatched(name: str, of: str | None, names: Iterable[str]) -> str:
    if of is not None:
        return "this is a value of the recording, not a gradient"
    values = _values(name)
    return f"no value of the recording is named {values[0] if values else name}; there are: {', '.join(names)}"


def _without_gradient(name: str, entry: Entry, walked: list[Entry]) -> str:
    if walked:
        size = walked[-1].value.size
        return (
            f"`{name}` has {size:,} elements, of which the recording keeps statistics: tg.look.record(largest={size})"
        )
    if isinstance(entry, Leaf) and entry.kind != "parameter":
        return f"`{name}` has no gradient in the recording, as it requires none: tg.Tensor(…, requires_grad=True)"
    return f"no backward walk of the recording reached `{name}`"


class _Judge:
    """Goes along the walk and judges each gradient that is given."""

    def __init__(self, tape: Tape, given: list[_Given]):
        self.tape = tape
        self.truth = Walk(tape)
        self.scales: dict[int, float] = {}
        self.unexplained = set[int]()  # where a hook, or a second walk, made another gradient than the rules
        for key, entry in tape.order.items():
            g, self.scales[key] = self.truth.expected(entry)
            if entry.g is not None and entry.g.array is not None:
                recorded = in_float64(entry.g.array)
                if g is not None and not is_close(g, recorded, _rounding(entry.g.dtype), self.scales[key]):
                    self.unexplained.add(key)
                g = recorded
            self.truth.set(entry, g)
        self.of: dict[int, list[_Given]] = {}
        for one in given:
            self.of.setdefault(self._chosen(one).key, []).append(one)
        self.walk, self.causes = Walk(tape), dict[int, dict[str, None]]()

    def _chosen(self, one: _Given) -> Entry:
        fitting = [entry for entry in one.entries if entry.value.shape == one.array.shape] or one.entries
        right = [entry for entry in fitting if self._is_right(one, entry)]
        return max(right or fitting, key=lambda entry: entry.key)

    def _is_right(self, one: _Given, entry: Entry) -> bool:
        truth = self.truth.g[entry.key]
        rounding = _rounding(one.array.dtype, entry.g.dtype if entry.g else one.array.dtype)
        return truth is not None and is_close(in_float64(one.array), truth, rounding, self.scales[entry.key])

    def rows(self) -> Iterator[Row]:
        """Yield the rows in the order of the walk."""
        for key, entry in self.tape.order.items():
            uses = self.tape.uses[key]
            causes = {name: None for use in uses for name in self.causes.get(use.operation.key, ())}
            expected, scale = self.walk.expected(entry)
            if key in self.unexplained or (expected is None and not causes):
                expected = None if causes else self.truth.g[key]
            for one in self.of.get(key, ()):
                row = self._row(one, entry, expected, scale, tuple(causes))
                expected = in_float64(one.array)
                causes = {one.name: None} if row.verdict == "wrong" else causes if row.verdict != "right" else {}
                yield row
            self.walk.set(entry, expected)
            self.causes[key] = causes

    def _row(self, one: _Given, entry: Entry, expected: HostArray | None, scale: float, causes: tuple[str, ...]) -> Row:
        which = _which(entry, one)
        assert entry.g is not None
        rounding, array = _rounding(one.array.dtype, entry.g.dtype), in_float64(one.array)
        follows = expected is not None and is_close(array, expected, rounding, scale)
        if self._is_right(one, entry) or (follows and not causes):
            return Row(one.name, entry, "right", facts=(*which, *_precision(one.array, entry, self.truth.g[entry.key])))
        if follows:
            return Row(one.name, entry, "follows", facts=which, causes=causes)
        if expected is None and causes:
            fact = f"differs, and comes after the wrong {_listed(causes)}, with which its rule cannot be computed"
            return Row(one.name, entry, "unknown", facts=(*which, fact), causes=causes)
        truth = self.truth.g[entry.key]
        found = list[Slip]()
        if expected is not None and array.size:
            found = self._search(self.walk, entry, array, expected, rounding).mistakes()
        if causes and truth is not None and array.size:
            harmless = self._search(self.truth, entry, truth, truth, rounding).explanations() if found else ()
            if any(slip in harmless for slip in found):  # with right gradients it gives the right one
                return Row(one.name, entry, "follows", facts=which, causes=causes)
            found = found or self._search(self.truth, entry, array, truth, rounding).mistakes()
        hints = []
        if not found and expected is not None and array.size:
            hints = self._search(self.walk, entry, array, expected, rounding).hints()
        facts = _differences(array, truth if expected is None else expected, entry, bool(causes), bool(found))
        return Row(one.name, entry, "wrong", tuple(map(str, found)), (*which, *hints, *facts))

    def _search(self, walk: Walk, entry: Entry, array: HostArray, right: HostArray, rounding: float) -> Search:
        return Search(self.tape, walk, entry, array, right, set(self.of), rounding)


def _which(entry: Entry, one: _Given) -> tuple[str, ...]:
    """Return which of several values of the name was taken."""
    if len(one.entries) == 1:
        return ()
    place = sorted(entry.key for entry in one.entries).index(entry.key) + 1
    line = "" if isinstance(entry, Leaf) else f", of {entry.line}"
    return (f"for the value number {place} of {len(one.entries)} with this name{line}",)


def _rounding(*dtypes: Any) -> float:
    return max(ROUNDING.get(dtype.itemsize, 1e-9) if dtype.kind == "f" else 1e-9 for dtype in dtypes)


def _precision(array: HostArray, entry: Entry, truth: HostArray | None) -> tuple[str, ...]:
    """Return that a gradient is right to the rounding of its dtype, if that is coarser than float64 and it differs."""
    dtypes = [x.dtype for x in (array, entry.g) if x is not None and x.dtype.kind == "f"]
    coarsest = min(dtypes, key=lambda dtype: dtype.itemsize)
    if coarsest.itemsize >= 8 or truth is None or is_close(in_float64(array), truth, 0.0):
        return ()
    return (f"to the rounding of {coarsest}",)


def _differences(
    array: HostArray, right: HostArray | None, entry: Entry, is_own: bool, is_named: bool
) -> Iterator[str]:
    """Yield what helps to find a mistake: the shape, what is not finite, a constant ratio, the largest difference."""
    if array.shape != entry.value.shape:
        yield f"its shape is {array.shape}, that of the value {entry.value.shape}"
    if right is None or array.shape != right.shape or is_named:
        return
    of = "what follows from your own gradients" if is_own else "the right one"
    odd = ~np.isfinite(array) & np.isfinite(right)
    if odd.any():
        place = tuple(int(i) for i in np.argwhere(odd)[0])
        yield f"{odd.sum()} of its {array.size} elements are not finite, the first at {place}"
        return
    if not largest(array):
        yield "it is 0 everywhere"
        return
    ratio = float((array * right).sum() / (right * right).sum())
    difference = np.where(np.isfinite(right), np.abs(array - right), 0)
    if is_close(array, ratio * right, 1e-5) and min(abs(ratio), abs(ratio - 1)) > 1e-4:
        yield f"it is {ratio:.4g} times {of}"
    place = tuple(int(i) for i in np.unravel_index(int(np.argmax(difference)), right.shape))
    at = f", at {place}" if place else ""
    digits = 4 if difference[place] > 1e-3 * abs(right[place]) else 9
    got, belongs = f"{array[place]:.{digits}g}", f"{right[place]:.{digits}g}"
    yield f"the largest difference is {difference[place]:.3g}{at}: {got} where {belongs} belongs"


def _listed(names: tuple[str, ...]) -> str:
    return " and ".join(f"`{name}`" for name in names)
