"""Nested lists, tuples and dicts: walking through them, and building the same form with other leaves.

>>> replaced({"a": [1, 2], "b": (3,)}, lambda leaf: 10 * leaf)
{'a': [10, 20], 'b': (30,)}

What a function is differentiated by may be such a structure, of Tensors, arrays and numbers. There a list, or a tuple
inside of another structure, that has numbers alone is itself one array.

>>> import numpy as np
>>> array_leaves(([1.0, 2.0], {"w": [np.zeros(2), 3.0]}))
[[1.0, 2.0], array([0., 0.]), 3.0]
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tinygrad_sm.arrays import described
from tinygrad_sm.backend import NUMBERS, is_array
from tinygrad_sm.engine.tape import is_traced

Test = Callable[[Any], bool]


def is_nested(x: Any) -> bool:
    """Whether a value is a tuple, such as a named one, a list or a dict; what C makes, as `time` does, is a leaf."""
    return type(x) in (tuple, list, dict) or (isinstance(x, tuple) and not hasattr(x, "n_sequence_fields"))


def rebuilt(x: Any, parts: list[Any]) -> Any:
    """Return a list or a tuple of x's class, whose constructor may take something else than its parts."""
    return parts if type(x) is list else tuple.__new__(type(x), parts)


def leaves_of(x: Any, is_nested: Test = is_nested) -> Iterator[Any]:
    """Yield what stands in nested tuples, lists and dicts."""
    if not is_nested(x):
        yield x
        return
    for part in x.values() if type(x) is dict else x:
        yield from leaves_of(part, is_nested) if is_nested(part) else (part,)


def replaced(x: Any, replace: Callable[[Any], Any], is_nested: Test = is_nested) -> Any:
    """Return nested tuples, lists and dicts with `replace` of each leaf in its place."""
    if not is_nested(x):
        return replace(x)
    if type(x) is dict:
        return {name: replaced(part, replace, is_nested) for name, part in x.items()}
    parts = [replaced(part, replace, is_nested) if is_nested(part) else replace(part) for part in x]
    return rebuilt(x, parts)


def holds_arrays(x: Any) -> bool:
    """Whether this is a structure of arrays: lists and tuples of numbers alone are none, but one array."""
    if type(x) in (list, tuple):
        return any(is_traced(part) or is_array(part) or holds_arrays(part) for part in x if type(part) not in NUMBERS)
    return is_nested(x)


def array_leaves(x: Any) -> list[Any]:
    """Return the arrays and numbers in a structure, in order; the parts of a tuple that stands outermost are apart."""
    parts = x if type(x) is tuple else (x,)
    return [leaf for part in parts for leaf in leaves_of(part, holds_arrays)]


def with_leaves(x: Any, leaves: Iterable[Any]) -> Any:
    """Return a structure of the form of x with other leaves."""
    rest = iter(leaves)
    if type(x) is tuple:
        return tuple([replaced(part, lambda _: next(rest), holds_arrays) for part in x])
    return replaced(x, lambda _: next(rest), holds_arrays)


def leaf_names(x: Any) -> list[str]:
    """Return the place of each leaf: the number of the outermost part, and how one reaches the leaf in it.

    >>> import numpy as np
    >>> leaf_names((np.zeros(2), {"w": [np.zeros(2), 3.0]}))
    ['0', "1['w'][0]", "1['w'][1]"]
    """
    parts = x if type(x) is tuple else (x,)
    return [f"{i}{path}" for i, part in enumerate(parts) for path in _paths(part)]


def _paths(x: Any) -> Iterator[str]:
    if not holds_arrays(x):
        yield ""
        return
    fields = getattr(x, "_fields", None)
    for key in _keys(x):
        step = f".{fields[key]}" if fields else f"[{key!r}]"
        yield from (step + path for path in _paths(x[key]))


def leaves_like(expected: str, given: Any, like: Any, is_outermost: bool = True) -> list[Any]:
    """Return the leaves of what is given, one for each leaf of a structure `like` it.

    Raises ValueError unless it has that form. `expected` begins the message, as in "vjp: expected v like the outputs".
    """
    if not (holds_arrays(like) or (is_outermost and type(like) is tuple)):
        return [given]
    kind = type(like) if type(like) in (dict, list) else tuple
    keys = _keys(like)
    if not isinstance(given, kind) or set(_keys(given)) != set(keys):
        raise ValueError(f"{expected}, {_form(like)}, got {_form(given)}")
    return [leaf for key in keys for leaf in leaves_like(expected, given[key], like[key], is_outermost=False)]


def _keys(x: Any) -> list[Any]:
    return list(x) if type(x) is dict else list(range(len(x)))


def _form(x: Any) -> str:
    if type(x) is dict:
        return f"a dict with the keys {', '.join(map(repr, x))}"
    return f"a {'list' if type(x) is list else 'tuple'} of {len(x)}" if is_nested(x) else described(x)
