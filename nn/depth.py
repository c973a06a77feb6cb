"""How Modules that stand thousands of levels inside each other are shown, copied and pickled.

Python allows about 1,000 calls inside each other, so a function that calls itself for every level ends in a
RecursionError. A Module may also stand inside itself, as a child does that knows its parent.
"""

from sys import getrecursionlimit
from typing import Any

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


def pickled_state(module: Any) -> Any:
    """Return for pickle and deepcopy the attributes and, before them, the Modules `AHEAD` levels inside, numbered.

    Both write an attribute while they write its owner, in several calls of Python for each level. They meet these
    Modules first, the innermost first of all, and later only refer to them: so calls never exceed the limit.
    """
    state = object.__getstate__(module)
    level, seen = [module], {id(module)}
    for _ in range(AHEAD):
        inside = {id(child): child for owner in level for _, child in owner._children()}
        level = [child for child in inside.values() if id(child) not in seen]
        seen |= inside.keys()
    return {**dict(enumerate(level)), **state} if level and isinstance(state, dict) else state


def set_state(module: Any, state: Any) -> None:
    """Set the attributes that `pickled_state` gave, without the numbered Modules; they stand inside others already."""
    attributes, slots = state if isinstance(state, tuple) else (state, None)
    vars(module).update((name, value) for name, value in (attributes or {}).items() if isinstance(name, str))
    for name, value in (slots or {}).items():
        object.__setattr__(module, name, value)
