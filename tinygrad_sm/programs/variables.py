"""Which results of a program need names of their own in its text.

A *variable* is a result from the call that makes it to the call that writes over the whole of it: that one begins the
next variable in the same memory. So `np.exp(shifted, out=shifted)` reads as `exponentials = np.exp(shifted)`.
"""

import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np

from tinygrad_sm.programs.recording import Call, Value


class Variable:
    """A result with one name.

    begins_at : the number of the call that makes it.
    uses : the numbers of the calls that read it, one for each time that it stands there.
    is_lasting : whether it needs a name: a part of it is changed, or it is a gradient or a new state.
    """

    def __init__(self, value: Value, begins_at: int):
        self.value = value
        self.begins_at = begins_at
        self.uses: list[int] = []
        self.is_lasting = False


class Variables:
    """The variables of a list of calls.

    kept : the Values that are needed after the last call, but for results.
    named : the Values that have names already: where one of them shares an array, the array keeps its name.
    """

    def __init__(self, calls: list[Any], kept: Iterable[Value], named: Iterable[Value]):
        self.calls = calls
        self._phases = phases_of(calls)
        named = list(named)
        self._named = {id(value) for value in named}
        self._fixed = {id(value.root) for value in named}
        self.begun: dict[int, Variable] = {}  # by the number of the call
        self.overwritten: set[Variable] = set()
        self._used_at: dict[int, list[Variable]] = {}  # by the number of the call that reads them
        self._once: dict[Variable, bool] = {}
        now: dict[int, Variable] = {}
        for i, call in enumerate(calls):
            is_new = isinstance(call, Call) and self.writes_whole(call)
            base = call.result.base if isinstance(call, Call) and call.result is not None else None
            for value in operands_of(call) if is_new else call.reads():
                variable = now.get(id(value.root))
                if variable is None or self._has_own_name(value):
                    continue
                if base is None or id(call.result) in self._named:
                    variable.uses.append(i)
                    self._used_at.setdefault(i, []).append(variable)
                elif value is not base:  # a view is written out wherever it is used, so this may be anywhere
                    variable.is_lasting = True
            for value in call.changes if isinstance(call, Call) else ():
                if is_new and id(value.root) in now:
                    self.overwritten.add(now[id(value.root)])
                elif id(value.root) in now:
                    now[id(value.root)].is_lasting = True
            if is_new or (isinstance(call, Call) and call.result is not None and base is None):
                value = call.changes[0] if is_new else call.result
                now[id(value)] = self.begun[i] = Variable(value, i)
        for value in kept:
            if id(value.root) in now and not self._has_own_name(value):
                now[id(value.root)].is_lasting = True

    def _has_own_name(self, value: Value) -> bool:
        """Whether a value is a view that has a name, or a view of one."""
        return value.base is not None and (id(value) in self._named or self._has_own_name(value.base))

    def writes_whole(self, call: Call) -> bool:
        """Whether a call writes over a whole array what its function would give in a new one, laid out alike."""
        function, changes = call.function, call.changes
        if not isinstance(function, np.ufunc) or function.nout > 1 or function.signature or call.options or not changes:
            return False
        out = changes[0]
        if out.base is not None or out.origin != "new" or id(out) in self._fixed:
            return False
        arrays = [value.array for value in operands_of(call) if value.origin != "number"]
        same = [x for x in arrays if x.shape == out.array.shape]
        return (
            bool(same)
            and all(x.strides == out.array.strides for x in same)
            and natural_dtype(call) == out.array.dtype
            and all(x.ndim <= out.array.ndim for x in arrays)
        )

    def once(self, variable: Variable) -> bool:
        """Whether a variable can be written where it is used: once, in one operation, before what it reads changes.

        To be asked about variables in the order in which they begin.
        """
        begin, uses = variable.begins_at, variable.uses
        if variable not in self._once:
            self._once[variable] = (
                not variable.is_lasting
                and len(uses) == 1
                and id(variable.value) not in self._named
                and not self.calls[begin].draws
                and _operation(self.calls[begin]) == _operation(self.calls[uses[0]])
                and self._phases[begin] == self._phases[uses[0]]
                and not self._read_by(begin) & self._changed_between(begin, uses[0])
            )
        return self._once[variable]

    def _read_by(self, i: int) -> set[int]:
        """Return the ids of the arrays that call i reads, with what is written into it."""
        read = {id(value.root) for value in self.calls[i].reads()}
        return read.union(*(self._read_by(x.begins_at) for x in self._used_at.get(i, ()) if self.once(x)))

    def _changed_between(self, begin: int, end: int) -> set[int]:
        calls = [call for call in self.calls[begin + 1 : end] if isinstance(call, Call)]
        return {id(value.root) for call in calls if not self.writes_whole(call) for value in call.changes}


def handed_gradients(calls: list[Any], outputs: list[Value], named: list[Value]) -> dict[int, tuple[Value, Value]]:
    """Return the gradients that rules are given: by the number of a rule's first call, and what they are gradients of.

    They are found where an operation is called once, with an output that has a name, and its rules read one array that
    they have not made. What is changed afterwards is left out.

    outputs : those of all operations that have rules.
    """
    made_by = {id(value.root): i for i, value in _results(calls)}
    ids_of_outputs, ids_of_named = {id(value) for value in outputs}, {id(value) for value in named}
    operations: dict[Any, list[int]] = {}
    for i, call in enumerate(calls):
        if call.place is not None:
            operations.setdefault(call.place[:2], []).append(i)
    found = {}
    for (phase, name), numbers in operations.items():
        forward = operations.get(("forward", name), [])
        of_it = [value for i, value in _results(calls) if i in forward and id(value) in ids_of_outputs]
        if phase != "backward" or len(of_it) != 1 or id(of_it[0]) not in ids_of_named:
            continue
        own = {*forward, *numbers}
        read = {id(v): v for i in numbers for v in calls[i].reads() if made_by.get(id(v.root), i) not in own}
        later = [value for call in calls[numbers[0] :] if isinstance(call, Call) for value in call.changes]
        if len(read) == 1:
            [value] = read.values()
            if value.array.shape == of_it[0].array.shape and all(x.root is not value.root for x in later):
                found[numbers[0]] = value, of_it[0]
    return found


def phases_of(calls: list[Any]) -> list[str]:
    """Return the phase of each call: forward, backward from the first rule to the last, and update.

    Between rules gradients are added up, and after the last an optimizer or a clip may call operations again.
    """
    rules = [i for i, call in enumerate(calls) if call.place is not None and call.place[0] == "backward"]
    if not rules:
        return [call.place[0] if call.place else "update" for call in calls]
    return ["forward" if i < rules[0] else "backward" if i <= rules[-1] else "update" for i in range(len(calls))]


def without_doubles(names: dict[int, str], calls: list[Any]) -> dict[int, str]:
    """Return names of which no two are the same: the second weight is weight_2. Inputs keep theirs."""
    inputs = {id(value) for call in calls for value in call.reads() if value.origin == "input"}
    unique: dict[str, int] = {}
    for key, name in sorted(names.items(), key=lambda item: item[0] not in inputs):
        numbers = itertools.count(2)
        new = name
        while new in unique:
            new = f"{name}_{next(numbers)}"
        unique[new] = key
    return {key: name for name, key in unique.items()}


def _results(calls: list[Any]) -> list[tuple[int, Value]]:
    """Return what calls make, with their numbers, but for views of what other calls make."""
    made = [(i, call.result) for i, call in enumerate(calls) if isinstance(call, Call) and call.result is not None]
    return [(i, value) for i, value in made if value.base is None]


def operands_of(call: Call) -> list[Value]:
    """Return the Values that a ufunc reads, without the array that it writes."""
    return [x for x in call.arguments[: call.function.nin] if isinstance(x, Value)]


def natural_dtype(call: Call) -> Any:
    """Return the dtype that a ufunc's result has if nothing else is asked for; None if it refuses the operands."""
    operands = [_one_like(x) for x in call.arguments[: call.function.nin]]
    try:
        with np.errstate(all="ignore"):
            return np.asarray(call.function(*operands)).dtype
    except (TypeError, ValueError, OverflowError):
        return None


def _one_like(x: Any) -> Any:
    """Return an array with one element, of the dtype and with as many axes; a number as it is."""
    if not isinstance(x, Value):
        return x
    return x.array.value if x.origin == "number" else np.ones((1,) * x.array.ndim, x.array.dtype)


def _operation(call: Any) -> Any:
    return None if call.place is None else (call.place[0], call.place[1], str(call.place[2]))
