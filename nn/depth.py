"""How Modules that stand thousands of levels inside each other are shown, copied and pickled.

Python allows about 1,000 calls inside each other, so a function that calls itself for every level ends in a
RecursionError. A Module may also stand inside itself, as a child does that knows its parent.
"""

import copy
import copyreg
from sys import getrecursionlimit
from typing import Any

ROOM = 50
"""So many calls inside each other must be left where the state of a Module is written: more than for one Module."""

AHEAD = 64
"""Of 5,000 levels, about 80 steps of this size, and at most 64 single levels, are being written at once."""


def too_deep(name: str) -> RuntimeError:
    """Return the error for a forward that went deeper than Python allows."""
    return RuntimeError(
        f"the forward of {name} goes deeper than Python's limit of {getrecursionlimit()} calls: it calls itself, or "
        "its Modules stand too deep inside each other; nn.Sequential has no such limit"
    )


def shown(module: Any) -> str:
    """Return the text of a Module with all inside it, one a line; "(...)" stands for one that is inside itself."""
    lines: list[str] = []
    open_modules: set[int] = set()  # those whose closing line is still to come
    to_show: list[tuple[str, str | None, Any]] = [("", "", module)]  # the next one last; without a label, it is closed
    while to_show:
        indent, label, module = to_show.pop()
        kind: Any = type(module)
        name, children = kind.__name__, list(module._children())
        if label is None:
            open_modules.remove(id(module))
            text = ")"
        elif id(module) in open_modules:
            text = f"{label}{name}(...)"
        elif kind.__repr__ is not shown:  # a class that shows itself in its own way
            text = f"{label}{module!r}"
        elif children:
            open_modules.add(id(module))
            text = f"{label}{name}("
            to_show.append((indent, None, module))
            to_show += [(f"{indent}  ", f"({path}): ", child) for path, child in reversed(children)]
        else:
            text = f"{label}{name}({module.extra_repr()})"
        lines.append(indent + text.replace("\n", f"\n{indent}"))
    return "\n".join(lines)


def deep_copy(module: Any, memo: dict[int, Any]) -> Any:
    """Return a deep copy: first an empty Module for each one inside, so that attributes then only refer to these.

    One with its own way to be copied or pickled is copied in that way, as it is met.
    """
    states = {}
    for each in [module, *module.modules()]:
        kind: Any = type(each)
        if id(each) not in memo and (each is module or kind.__deepcopy__ is deep_copy):
            make, arguments, *rest = each.__reduce_ex__(4)
            if each is module or make is copyreg.__newobj__:  # type: ignore[attr-defined]
                memo[id(each)] = make(*copy.deepcopy(arguments, memo))
                states[id(each)] = rest[0] if rest else None
    for key, state in states.items():
        if state is not None:
            memo[key].__setstate__(copy.deepcopy(state, memo))
    return memo[id(module)]


def pickled_state(module: Any) -> Any:
    """Return for pickle the attributes and, before them, the Modules `AHEAD` levels inside, numbered.

    Pickle writes an attribute while it writes its owner, in several calls of Python for each level. It meets these
    Modules first, the innermost first of all, and later only refers to them: so calls never exceed the limit. But where
    hundreds of Modules know their parents, a way through all of them may be as long as they are many.
    """
    try:
        _call_within(ROOM)
    except RecursionError as error:
        raise RuntimeError(
            f"pickle goes deeper than Python's limit of {getrecursionlimit()} calls: too many Modules refer to each "
            "other in circles; nn.save has no such limit"
        ) from error
    state = object.__getstate__(module)
    level, seen = [module], {id(module)}
    for _ in range(AHEAD):
        inside = {id(child): child for owner in level for _, child in owner._children()}
        level = [child for child in inside.values() if id(child) not in seen]
        seen |= inside.keys()
    return {**dict(enumerate(level)), **state} if level and isinstance(state, dict) else state


def _call_within(levels: int) -> None:
    if levels:
        _call_within(levels - 1)


def set_state(module: Any, state: Any) -> None:
    """Set the attributes that `pickled_state` gave, without the numbered Modules; they stand inside others already."""
    attributes, slots = state if isinstance(state, tuple) else (state, None)
    vars(module).update((name, value) for name, value in (attributes or {}).items() if isinstance(name, str))
    for name, value in (slots or {}).items():
        object.__setattr__(module, name, value)
