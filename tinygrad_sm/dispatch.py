"""Two forms of a function: the plain one, for reading, and a faster one in `fast/`, which runs in its place.

    @replaceable                                        # in `engine/` or `ops/`
    def total_of(x):
        return sum(float(value) for value in x)

    @faster(total_of, when=is_array, within=1e-12)      # in `fast/`
    def total_of_array(x):
        return x.sum()

A call of `total_of` runs the faster form where its condition holds, no matter when it was imported; `total_of.plain` is
the plain form. A Primitive's forward, its rules, and any function marked `replaceable` can have a faster form.
With TINYGRAD_SM_PLAIN=1, nothing is registered. A test checks that the two forms of each pair agree.
"""

import functools
import os
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

HAS_WING = os.environ.get("TINYGRAD_SM_PLAIN", "") in ("", "0")
"""Whether faster forms are used; the environment decides when the package is imported."""


class Pair(NamedTuple):
    """A plain form, a faster one, the condition for the faster one, and the relative difference that is allowed."""

    plain: Callable[..., Any]
    quick: Callable[..., Any]
    when: Callable[..., bool]
    within: float


PAIRS: list[Pair] = []
"""All faster forms, in the order in which they were registered; if several conditions hold, the last form runs."""


def replaceable(function: Callable[..., Any]) -> Any:
    """Let `faster` register faster forms of a function, at the cost of one more call, or of a method, at no cost."""
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
    """Register a faster form of a Primitive, of its rule for operand number `rule`, or of a `replaceable` function.

    when : a function of the arguments that is true where the faster form may run; None means always.
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
