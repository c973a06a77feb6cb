"""Which form of a function runs: the plain one, which is read, or a quicker one that stands in the fast wing.

    @replaceable                                        # in a room that is read
    def total_of(x):
        return sum(float(value) for value in x)

    @faster(total_of, when=is_array, within=1e-12)      # in the wing
    def total_of_array(x):
        return x.sum()

Whoever calls `total_of` gets the quicker form where its condition holds, whenever it was imported; `total_of.plain` is
the plain one. What can be replaced so is a Primitive's forward, any of its rules, and what is marked as `replaceable`.
Without the wing (TINYGRAD_SM_PLAIN=1) nothing is registered. A test holds each pair equal.
"""

import functools
import os
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

HAS_WING = os.environ.get("TINYGRAD_SM_PLAIN", "") in ("", "0")
"""Whether quicker forms are to be used; the environment says so when the package is imported."""


class Pair(NamedTuple):
    """A plain form, a quicker one, when that runs, and how far their floats may differ, by their own measure."""

    plain: Callable[..., Any]
    quick: Callable[..., Any]
    when: Callable[..., bool]
    within: float


PAIRS: list[Pair] = []
"""All quicker forms, in the order in which they were registered; of several that hold, the last one runs."""


def replaceable(function: Callable[..., Any]) -> Any:
    """Let `faster` register quicker forms of a function, which costs a call, or of a method of a class, for nothing."""
    if not HAS_WING or "." in function.__qualname__:
        return function

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return call.forward(*args, **kwargs)  # type: ignore[attr-defined]

    call.forward = call.plain = function  # type: ignore[attr-defined]
    return call


def faster(
    function: Any, rule: int | None = None, when: Callable[..., bool] | None = None, within: float = 0.0
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a quicker form of a Primitive, of its rule for the operand `rule`, or of what is replaceable.

    when : what holds of the arguments where the form is right; None stands for always.
    within : how far floats may be from those of the plain form, relative to the largest of them; 0 is bit for bit.
    """
    if not HAS_WING:
        return lambda quick: quick
    owner, name = function, "forward"
    if not hasattr(function, name):  # a method
        class_name, _, name = function.__qualname__.partition(".")
        owner = getattr(sys.modules[function.__module__], class_name)

    def register(quick: Callable[..., Any]) -> Callable[..., Any]:
        before = getattr(owner, name) if rule is None else owner.rules[rule]

        def chosen(*args: Any, **kwargs: Any) -> Any:
            return quick(*args, **kwargs) if when(*args, **kwargs) else before(*args, **kwargs)  # type: ignore[misc]

        now = quick if when is None else functools.wraps(before)(chosen)
        if rule is None:
            setattr(owner, name, now)
        else:
            owner.rules = (*owner.rules[:rule], now, *owner.rules[rule + 1 :])
        plain = getattr(function, "plain", function) if rule is None else function.plain_rules[rule]
        PAIRS.append(Pair(plain, quick, when or _always, within))
        return quick

    return register


def _always(*args: Any, **kwargs: Any) -> bool:
    return True
