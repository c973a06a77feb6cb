"""Passes: each makes the list of a program's calls shorter, or its memory smaller, and changes no number.

    calls = with_late_changes(with_early_questions(calls))
    calls = without_dead_calls(calls, kept)
    calls, stands_for = without_copies(calls, kept)
    constants = constants_of(calls, kept)
    places, size = shared_memory(calls, kept, is_placed)

`kept` are the Values that are needed after the last call: results, gradients, new state. What the passes gained stands
in `benchmarks/NOTES.md`.
"""

from collections.abc import Callable, Iterator
from math import inf
from typing import Any

from tinygrad_sm.programs.arrays import name_of
from tinygrad_sm.programs.recording import Call, Guard, Value
from tinygrad_sm.structures import replaced

LIKE = ("zeros_like", "ones_like", "empty_like")
"""Functions, of NumPy or of CuPy, that read nothing of an array but its shape and dtype."""


LARGE = 4096
"""Smaller results, in bytes, are not written over an operand: NumPy takes 0.1 to 0.4 µs to see how the two overlap."""


def without_dead_calls(calls: list[Any], kept: list[Value]) -> list[Any]:
    """Leave out calls whose results nothing needs."""
    needed = {id(value.root) for value in kept}
    left = []
    for call in reversed(calls):
        if isinstance(call, Call) and not (call.is_lasting or call.draws):
            written = call.changes or (call.result,)
            if not any(id(value.root) in needed for value in written if value is not None):
                continue
        needed |= {id(value.root) for value in call.reads()}
        left.append(call)
    return left[::-1]


def with_early_questions(calls: list[Any]) -> list[Any]:
    """Move questions about numbers to the beginning, and others, with the calls that they need, before lasting changes.

    They stay where they are if a call changes anything that they read or make.
    """
    of_numbers = [call for call in calls if isinstance(call, Guard) and call.value.origin == "number"]
    calls = [*of_numbers, *(call for call in calls if call not in of_numbers)]
    is_lasting = [isinstance(call, Call) and call.is_lasting for call in calls]
    if True not in is_lasting:
        return calls
    first = is_lasting.index(True)
    changed = {_memory(value) for call in calls if isinstance(call, Call) for value in call.changes}
    moved: set[int] = set()
    for i in range(first, len(calls)):
        if isinstance(calls[i], Guard):
            needed = _needed_by(i, calls, first)
            values = [value for j in needed for value in (*calls[j].reads(), getattr(calls[j], "result", None))]
            is_free = not any(value is not None and _memory(value) in changed for value in values)
            if is_free and not any(isinstance(calls[j], Call) and calls[j].draws for j in needed):
                moved |= needed
    rest = range(first, len(calls))
    return [*calls[:first], *(calls[i] for i in rest if i in moved), *(calls[i] for i in rest if i not in moved)]


def _needed_by(i: int, calls: list[Any], first: int) -> set[int]:
    """Return the numbers of a call and of those from the first on whose results it needs."""
    needed, wanted = {i}, {id(value) for value in calls[i].reads()}
    for j in range(i - 1, first - 1, -1):
        result = calls[j].result if isinstance(calls[j], Call) else None
        if result is not None and id(result) in wanted:
            needed.add(j)
            wanted |= {id(value) for value in calls[j].reads()}
    return needed


def with_late_changes(calls: list[Any]) -> list[Any]:
    """Move lasting changes that come before a question, such as those of running statistics, behind the last one.

    A change stays where it is if a call between reads or changes what it changes, or changes what it reads.
    """
    last = max((i for i, call in enumerate(calls) if isinstance(call, Guard)), default=0)
    before: list[Any] = []  # from the last question backwards
    late: list[Any] = []
    for call in reversed(calls[: last + 1]):
        is_lasting = isinstance(call, Call) and call.is_lasting and not call.draws
        is_moved = is_lasting and not any(_has_to_follow(other, call) for other in before)
        (late if is_moved else before).append(call)
    return [*before[::-1], *late[::-1], *calls[last + 1 :]]


def _has_to_follow(call: Any, change: Call) -> bool:
    """Whether a call reads or changes what a change before it changes, or changes what that reads."""
    changes = {_memory(value) for value in getattr(call, "changes", ())}
    touched = changes | {_memory(value) for value in call.reads()}
    return not touched.isdisjoint(map(_memory, change.changes)) or not changes.isdisjoint(map(_memory, change.reads()))


def _memory(value: Value) -> int:
    """Return the id of what has the memory of a value: two arrays outside of the step may be views of one."""
    if value.root.origin != "state":
        return id(value.root)
    array = value.root.array
    while (base := getattr(array, "base", None)) is not None:
        array = base
    return id(array)


def without_copies(calls: list[Any], kept: list[Value]) -> tuple[list[Any], dict[int, Value]]:
    """Leave out copies of what is not used any more; return also what stands for each copy, by the id of the copy."""
    last, constants = _last_uses(calls, kept), constants_of(calls, [])
    stands_for: dict[int, Value] = {}

    def now(x: Any) -> Any:
        return stands_for.get(id(x), x)

    left: list[Any] = []
    for i, call in enumerate(calls):
        if isinstance(call, Guard):
            left.append(call._replace(value=now(call.value)))
            continue
        call = _with(call, now)
        source, result = call.arguments[0] if call.arguments else None, call.result
        if (
            name_of(call.function) == "array"
            and isinstance(source, Value)
            and source.root.origin == "new"
            and id(source) not in constants
            and last[id(source.root)] == i
            and _layout(source) == _layout(result)
        ):
            stands_for[id(result)] = source
            last[id(source.root)] = last[id(result)]
        else:
            left.append(call)
    return left, stands_for


def _with(call: Call, now: Callable[[Any], Any]) -> Call:
    """Return a call with other Values in the place of some."""
    changed = Call(call.function, replaced(call.arguments, now), replaced(call.options, now), call.place)
    changed.result, changed.changes = call.result, replaced(call.changes, now)
    if call.result is not None and call.result.base is not None:
        call.result.base = now(call.result.base)
    return changed


def constants_of(calls: list[Any], kept: list[Value]) -> set[int]:
    """Return the ids of results that are the same in each run: made of shapes, numbers and such results alone.

    Those that are kept, or that a call changes, are none: they have to be made anew.
    """
    changed = {id(value.root) for call in calls if isinstance(call, Call) for value in call.changes}
    changed |= {id(value.root) for value in kept}
    constants: set[int] = set()
    for call in calls:
        result = call.result if isinstance(call, Call) else None
        if result is not None and not call.draws and id(result.root) not in changed:
            reads = () if name_of(call.function) in LIKE else call.reads()
            if all(id(value) in constants for value in reads):
                constants.add(id(result))
    return constants


def shared_memory(
    calls: list[Any], kept: list[Value], is_placed: Callable[[Value], bool]
) -> tuple[dict[int, int], int]:
    """Return where in one block of memory results lie, by their ids, and how many bytes the block has.

    Results whose lives do not overlap share memory. Where an operand dies in an elementwise call, the result of the
    same layout is written over it.
    """
    last, places = _last_uses(calls, kept), dict[int, int]()
    dying: dict[float, list[Value]] = {}
    block = _Block()
    for i, call in enumerate(calls):
        result = call.result if isinstance(call, Call) else None
        if result is not None and result.base is None and is_placed(result):
            over = next((value for value in _overwritable(call) if id(value) in places and last[id(value)] == i), None)
            if over is not None:
                places[id(result)] = places[id(over)]
                dying[i].remove(over)
            else:
                places[id(result)] = block.take(_length(result))
            dying.setdefault(last[id(result)], []).append(result)
        for value in dying.pop(i, ()):
            block.give(places[id(value)], _length(value))
    return places, block.size


def _last_uses(calls: list[Any], kept: list[Value]) -> dict[int, float]:
    """Return for each root the place of the last call that makes, reads or changes it or a view of it."""
    last: dict[int, float] = {}
    for i, call in enumerate(calls):
        written = (call.result, *call.changes) if isinstance(call, Call) else ()
        last |= {id(value.root): i for value in (*call.reads(), *written) if value is not None}
    return last | {id(value.root): inf for value in kept}


def _overwritable(call: Call) -> Iterator[Value]:
    """Yield the operands of an elementwise call that have the layout of its result."""
    is_elementwise = hasattr(call.function, "nin") and getattr(call.function, "signature", None) is None  # not matmul
    for value in call.reads() if is_elementwise else ():
        is_array = value.base is None and value.origin == "new"
        if is_array and value.array.nbytes >= LARGE and _layout(value) == _layout(call.result):
            yield value


def _layout(value: Any) -> Any:
    return value.array.shape, value.array.strides, value.array.dtype


def _length(value: Value) -> int:
    """Return the bytes of a value in a block: lines of the cache, so that no two values share one."""
    return -(-max(value.array.nbytes, 1) // 64) * 64


class _Block:
    """A block of memory that grows: parts of it are taken, and given back. free : (start, end), in order."""

    def __init__(self) -> None:
        self.free: list[tuple[int, int]] = []
        self.size = 0

    def take(self, length: int) -> int:
        """Return the start of a part, the smallest free one that is long enough, else a new one at the end."""
        fitting = [part for part in self.free if part[1] - part[0] >= length]
        if not fitting:
            self.size += length
            return self.size - length
        start, end = min(fitting, key=lambda part: part[1] - part[0])
        i = self.free.index((start, end))
        self.free[i : i + 1] = [(start + length, end)] if end > start + length else []
        return start

    def give(self, start: int, length: int) -> None:
        """Give a part back; it is joined to the free ones beside it."""
        joined: list[tuple[int, int]] = []
        for part in sorted([*self.free, (start, start + length)]):
            if joined and joined[-1][1] == part[0]:
                joined[-1] = joined[-1][0], part[1]
            else:
                joined.append(part)
        self.free = joined
