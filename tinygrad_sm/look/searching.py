"""The search for the mistake that explains an array: what comes if one rule makes it is compared with the array.

    search = Search(tape, walk, value, array, right, stops, rounding)
    search.mistakes()       # [Slip("gives the gradient transposed")]

Each rule on the way to the value, from the gradients that the student has, makes each mistake in turn. A mistake is
named if it gives the array to rounding and the right gradient is another. What fits by accident would mislead, so a
mistake that can only be meant somewhere else is not tried (`slips.HOLDS`).
"""

from collections.abc import Iterator
from functools import cached_property
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from tinygrad_sm.backend import HostArray
from tinygrad_sm.check.mistakes import MISTAKES, Call, answer_of
from tinygrad_sm.look.entries import Entry, Operation
from tinygrad_sm.look.replay import in_float64
from tinygrad_sm.look.retracing import Tape, Use, Walk, is_close, largest
from tinygrad_sm.look.slips import (
    FACTORS,
    HOLDS,
    MOST_ENTRIES,
    OF_MANY,
    OF_THE_WHOLE,
    SLIPS,
    WEAKER,
    WITHOUT_LABELS,
    Rule,
    has_labels,
    of_a_loss,
)

NEAREST = 64
"""The most values on the way in whose rules mistakes are looked for."""

MOST_NAMES = 3
"""The most mistakes that are named for one array: more would help nobody."""

TRIED_ON_THE_WHOLE = ("has the wrong sign", "gives the gradient transposed")
"""Rows that `_try_the_whole` tries on the sum of all parts."""

FROM_ANYTHING = ("forgets the chain rule, g", "hands g on as it came")
"""Rows that are not tried where all elements are equal: ones come from anything."""

CLEARLY = 100
"""By how many times the rounding the array of a mistake must differ from the right one."""


class Slip(NamedTuple):
    """A mistake that explains an array.

    place : in which part of the gradient, or in which rule before that of the value itself; "" if it is of all of it.
    """

    sentence: str
    place: str = ""

    def __str__(self) -> str:
        return self.sentence + (f", in {self.place}" if self.place else "")


class Search:
    """The search for the mistakes in an array that was computed for the gradient of a value.

    walk : the gradients from which it may have been computed.  right : what follows from them.
    stops : the keys of the values whose gradients the student has.
    """

    def __init__(
        self, tape: Tape, walk: Walk, value: Entry, array: HostArray, right: HostArray, stops: set[int], rounding: float
    ):
        self.tape, self.walk, self.value, self.array, self.right = tape, walk, value, array, right
        self.stops, self.rounding = stops, rounding
        self.is_right = is_close(array, right, rounding)  # then what makes no difference is looked for
        self.has_square = False
        self.found: dict[Slip, None] = {}
        self.missing: dict[str, HostArray] = {}  # what it changes to leave out a use

    def explanations(self) -> dict[Slip, None]:
        """Return all mistakes that give the array."""
        self._try_the_whole()
        for rule in self._rules():
            self.has_square = self.has_square or rule.squares
            for sentence, made in self._answers(rule):
                self._try(sentence, made, rule)
            self._try_uses(rule)
        if self.is_right or not self.found:
            self._try_two_ways()
            self._try_functions()
            self._try_other_values()
        return self.found

    def mistakes(self) -> list[Slip]:
        """Return those that say most; none if too many are left, or if the array says nothing."""
        if not largest(self.array) or not np.isfinite(self.array).all():
            return []
        nearest = {slip.sentence: slip for slip in reversed(self.explanations())}
        found = list(nearest.values())
        for weak, stronger in WEAKER.items():
            others = [slip.sentence for slip in found if not slip.sentence.startswith(weak)]
            if any(one.startswith(stronger) for one in others if "" not in stronger or one not in FACTORS):
                found = [slip for slip in found if not slip.sentence.startswith(weak)]
        told = [slip for slip in found if slip.sentence not in FACTORS]
        alone = FACTORS if told else FACTORS[:1] if self.has_square else ()
        told += [slip for slip in found if slip.sentence in alone]
        return told if len(told) <= MOST_NAMES else []

    def hints(self) -> list[str]:
        """Return what one rule gives the array for, if it takes one other value, of the same shape, by name."""
        found = dict[str, None]()
        for rule in self._rules():
            if rule.source is self.value:
                for instead, part in self._with_others(rule):
                    made = None if part is None or part.shape != rule.part.shape else self.right + part - rule.part
                    if made is not None and is_close(made, self.array, self.rounding):
                        found[f"it is what the rule of {rule.op} gives {instead}"] = None
        return list(found) if len(found) == 1 else []

    def _with_others(self, rule: Rule) -> Iterator[tuple[str, HostArray | None]]:
        operation, replay = rule.use.operation, self.tape.replay(rule.use.operation)
        assert replay is not None
        for other in self._named():
            name, g, array = other.names[0], self.walk.g.get(other.key), other.value.array
            if g is not None and g.shape == rule.call.g.shape:
                yield f"to the gradient of `{name}`", self.tape.part(rule.use, g)
            if array is None or len(replay.operands) != 2:
                continue
            for i, x in enumerate(operand.source for operand in operation.operands):
                if x not in (rule.source, other) and x.value.shape == other.value.shape != ():
                    made = self.tape.part(rule.use, rule.call.g, replay.instead(i, in_float64(array)))
                    yield f"with `{name}` for {_label(x)}", made

    def _named(self) -> list[Entry]:
        entries = dict[int, Entry](self.tape.order)
        for key in (*self.between, self.value.key):
            for use in self.tape.uses[key]:
                entries |= {operand.source.key: operand.source for operand in use.operation.operands}
        return [entry for entry in entries.values() if entry.names]

    @cached_property
    def between(self) -> list[int]:
        """The keys of the values between this one and those of which the student has the gradient."""
        return self.tape.between(self.value.key, self.stops, NEAREST)

    @cached_property
    def dominators(self) -> list[int]:
        """The keys of the values through which all paths to the loss go, the nearest first."""
        return self.tape.dominators(self.value.key)

    def _rules(self) -> Iterator[Rule]:
        """Yield the rules on the way, the nearest first."""
        for key in reversed([*self.between, self.value.key]):
            for user in self.tape.users(key):
                rule = self._rule(key, [use for use in self.tape.uses[key] if use.operation is user])
                if rule is not None:
                    yield rule

    def _rule(self, key: int, uses: list[Use]) -> Rule | None:
        """Return the rule by which one operation, that used a value once or twice, answers."""
        use, operation = uses[0], uses[0].operation
        g, replay = self.walk.g.get(operation.key), self.tape.replay(operation)
        if g is None or replay is None or g.shape != operation.value.shape:
            return None

        def right(g: HostArray) -> Any:
            parts = [self.tape.part(one, g) for one in uses]
            return None if any(part is None for part in parts) else sum(parts)

        def exchanged(g: HostArray) -> Any:
            return self.tape.part(Use(operation, 1 - use.i), g)

        is_bias = operation.label == "linear" and use.i == 2  # its rule sums by itself
        answer, part = g if is_bias else self.tape.answer(use, g), right(g)
        if answer is None or part is None:
            return None
        others = tuple(x for j, x in enumerate(replay.operands) if j != use.i)
        is_pair = len(replay.operands) == 2 and len(uses) == 1 and operation.op.rules is not None
        x, other = np.asarray(replay.operands[use.i]), exchanged if is_pair else None
        call = Call(g, replay.out, x, others, replay.static, right, other)
        source = next(operand.source for operand in operation.operands if operand.source.key == key)
        return Rule(self.tape, use, source, call, part, answer if len(uses) == 1 else part)

    def _answers(self, rule: Rule) -> Iterator[tuple[str, HostArray]]:
        shape = self.array.shape if rule.source is self.value else None
        is_only = rule.source is self.value and len(self.tape.users(self.value.key)) == 1
        for sentence, row in MISTAKES.items():
            is_meant = sentence not in HOLDS or HOLDS[sentence](rule)
            made = answer_of(row, rule.call, rule.part.shape, shape) if is_meant else None
            if made is not None and not (is_only and sentence in TRIED_ON_THE_WHOLE):
                yield _with_name(sentence, rule), made
        for slip in SLIPS:
            yield from slip(rule)

    def _try(self, sentence: str, made: HostArray, rule: Rule) -> None:
        """Note the mistake if its answer, in place of the right one, leads to the array."""
        if sentence in FROM_ANYTHING and not np.ptp(self.array):
            return
        if rule.source is self.value and len(self.tape.users(self.value.key)) == 1:
            self._note(sentence, made)
            return
        right, wrong = self._reaching(rule, rule.part), self._reaching(rule, made)
        if right is None or wrong is None or not right.shape == wrong.shape == self.right.shape:
            return
        if largest(wrong) > self.rounding * largest(right):  # else it was left out, for whatever reason
            self._note(sentence, self.right + wrong - right, self._place(sentence, rule))

    def _try_uses(self, rule: Rule) -> None:
        """Try to leave out what comes through one of several uses of a value, or to count it twice."""
        part = self._reaching(rule, rule.part) if len(self.tape.users(rule.source.key)) > 1 else None
        if part is None or part.shape != self.right.shape:
            return
        use = f"one of {_uses_of(self.tape, rule.source)}"
        through = f"what comes through {_way(self.tape, rule.source, rule.use.operation)}"
        self.missing[f"{use}: {through}"] = -part
        self._note(f"misses {use}: {through}", self.right - part)
        if largest(part) and not is_close(part, self.right, self.rounding):  # else it is all, and the ratio says it
            self._note(f"has twice {through}, {use}", self.right + part)

    def _reaching(self, rule: Rule, part: HostArray) -> HostArray | None:
        """Return what comes of a part of the gradient of an operand in that of the value."""
        key = rule.source.key
        if key == self.value.key:
            return part
        if part.shape != rule.part.shape:
            return None
        return self.tape.pull({key: part}, self.value.key, self.between[self.between.index(key) + 1 :])

    def _place(self, sentence: str, rule: Rule) -> str:
        is_all = len(self.tape.users(rule.source.key)) == 1 and (
            rule.source is self.value or rule.source.key in self.dominators
        )
        if is_all and sentence.startswith(OF_THE_WHOLE):
            return ""
        rules = "" if rule.source is self.value else f"the rule of {rule.op}"
        through = "" if is_all else f"what comes through {_way(self.tape, rule.source, rule.use.operation)}"
        return ", in ".join(filter(None, [through, rules]))

    def _note(self, sentence: str, made: HostArray, place: str = "") -> None:
        is_mistake = self.is_right or not is_close(made, self.right, CLEARLY * self.rounding)
        if is_mistake and is_close(made, self.array, self.rounding):
            self.found[Slip(sentence, place)] = None

    def _try_the_whole(self) -> None:
        """Try what may have happened to the gradient after all its parts were added."""
        right, shape = self.right, self.array.shape
        self._note("has the wrong sign", -right)
        if right.ndim > 1:
            self._note("gives the gradient transposed", right.swapaxes(-1, -2))
            self._note("reshapes where it should transpose", right.swapaxes(-1, -2).reshape(right.shape))
        if right.ndim != len(shape) and [n for n in right.shape if n != 1] == [n for n in shape if n != 1]:
            remedy = "keepdims=True keeps the axis" if len(shape) < right.ndim else "keepdims=False takes the axis away"
            self._note(f"has the shape {shape} where {right.shape} belongs: {remedy}", right.reshape(shape))
        if len(self.tape.users(self.value.key)) > 2:
            for rule in self._rules():
                if rule.source is self.value:
                    of, through = _uses_of(self.tape, self.value), _way(self.tape, self.value, rule.use.operation)
                    self._note(f"has only one of {of}: what comes through {through}", rule.part)

    def _try_two_ways(self) -> None:
        """Try to leave out two uses, as those for the mean and for the variance in a batch norm."""
        for (first, a), (second, b) in combinations(self.missing.items(), 2):
            self._note(f"misses {first}; and {second}", self.right + a + b)

    def _try_functions(self) -> None:
        """Try mistakes in the derivative of a function that several operations compute."""
        last = self.dominators[-1:]
        users = self.tape.users(self.value.key)
        only = users[0].key if len(users) == 1 else None  # its rule was tried
        named = [key for key in self.dominators if key != only and (self.tape.order[key].names or key in last)]
        for key in dict.fromkeys(named[:12] + named[-1:]):
            outer, g = self.tape.order[key], self.walk.g.get(key)
            x, out = self.value.value.array, outer.value.array
            between = self.tape.between(self.value.key, [key])
            between = [one for one in between if self.tape.place[one] > self.tape.place[key]]
            if g is None or x is None or out is None or g.shape != out.shape:
                continue
            if x.size * out.size > MOST_ENTRIES or len(between) > NEAREST:
                continue

            def right(g: HostArray, key: int = key, between: list[int] = between) -> Any:
                return self.tape.pull({key: g}, self.value.key, between)

            call = Call(g, in_float64(out), in_float64(x), (), {}, right, None)
            for sentence in OF_MANY:
                made = answer_of(MISTAKES[sentence], call, call.x.shape, self.array.shape)
                if made is not None and (sentence != WITHOUT_LABELS or has_labels(call)):
                    self._note(sentence, made)
            for sentence, made in of_a_loss(call):
                self._note(sentence, made)

    def _try_other_values(self) -> None:
        """Try whether it is the gradient of another value; where all elements are equal, that would say nothing."""
        for entry in self.tape.order.values() if np.ptp(self.array) else ():
            if entry is not self.value and entry.names and entry.g is not None and entry.g.array is not None:
                self._note(f"is the gradient of `{entry.names[0]}`", in_float64(entry.g.array))


def _with_name(sentence: str, rule: Rule) -> str:
    """Return the sentence with the name of the matrix by which it says that the rule multiplies."""
    others = [x.source for x in rule.use.operation.operands if x.source is not rule.source and x.source.names]
    return sentence.replace("matrix that", f"matrix, `{others[0].names[0]}`, that") if others else sentence


def _uses_of(tape: Tape, value: Entry) -> str:
    """Return how a message speaks of the uses of a value, as in "the two uses of `W`"."""
    n = len(tape.users(value.key))
    count = {2: "two", 3: "three", 4: "four"}.get(n, str(n))
    return f"the {count} uses of {_label(value)}"


def _way(tape: Tape, value: Entry, user: Operation) -> str:
    """Return the name of the first value to which a use leads that has one; the operation, if others lead there too."""
    ends = [_first_named(tape, one) for one in tape.users(value.key)]
    end = _first_named(tape, user)
    if not end.names or ends.count(end) > 1:
        return user.label
    like = sorted({one.key for one in ends if one.names[:1] == end.names[:1]})
    which = f", number {like.index(end.key) + 1} of {len(like)}" if len(like) > 1 else ""
    return f"`{end.names[0]}`{which}"


def _first_named(tape: Tape, entry: Entry) -> Entry:
    while not entry.names and len(tape.users(entry.key)) == 1:
        entry = tape.users(entry.key)[0]
    return entry


def _label(entry: Entry) -> str:
    return f"`{entry.names[0]}`" if entry.names else f"what {entry.label} gave"
