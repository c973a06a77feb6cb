"""States: nested dicts and lists of plain Python values and arrays, in which optimizers and schedules are saved.

>>> check_state("a clock", {"hour": 0, "hands": [1.0, 2.0]}, {"hour": 3, "hands": [1.5, 2.5]})
>>> check_state("a clock", {"hour": 0, "hands": [1.0, 2.0]}, {"hour": "three", "hands": [1.5], "cuckoo": True})
Traceback (most recent call last):
...
tinygrad_sm.errors.CheckpointError: the state does not fit a clock:
  hour: expected int, got str 'three'
  hands: expected 2 of them, got 1
  cuckoo: unexpected
"""

from collections.abc import Mapping, Sequence
from typing import Any

from tinygrad_sm.arrays import described
from tinygrad_sm.backend import ARRAY_TYPES
from tinygrad_sm.dtypes import is_masked
from tinygrad_sm.engine.tape import plain
from tinygrad_sm.errors import CheckpointError


def check_state(owner: str, expected: Any, state: Any) -> None:
    """Raise CheckpointError with every difference unless the state is built like the one that is expected.

    Alike are: the keys of dicts, the lengths of lists, the shapes and dtypes of arrays, the types of numbers (an int
    does for a float). A string stands for itself: it says whose state this is.
    """
    refuse_state(owner, _differences(expected, state, ""))


def refuse_state(owner: str, differences: Sequence[str]) -> None:
    """Raise CheckpointError if there are differences."""
    if differences:
        raise CheckpointError(f"the state does not fit {owner}:\n  " + "\n  ".join(differences))


def _differences(expected: Any, state: Any, path: str) -> list[str]:
    at = f"{path}: " if path else ""
    if isinstance(expected, dict):
        if not isinstance(state, Mapping):
            return [f"{at}expected a dict, got {_named(state)}"]
        inside = f"{path}." if path else ""
        found = []
        for name, value in expected.items():
            found += _differences(value, state[name], inside + name) if name in state else [f"{inside}{name}: missing"]
        return found + [f"{inside}{name}: unexpected" for name in state if name not in expected]
    if isinstance(expected, list):
        if not isinstance(state, list | tuple):
            return [f"{at}expected a list, got {_named(state)}"]
        if len(state) != len(expected):
            return [f"{at}expected {len(expected)} of them, got {len(state)}"]
        pairs = enumerate(zip(expected, state, strict=True))
        return [line for i, (one, other) in pairs for line in _differences(one, other, f"{path}[{i}]")]
    if type(expected) in ARRAY_TYPES:
        array = plain(state)
        fits = (getattr(array, "shape", None), getattr(array, "dtype", None)) == (expected.shape, expected.dtype)
        fits = fits and not is_masked(array)
        return [] if fits else [f"{at}expected {described(expected)}, got {_named(array)}"]
    if isinstance(expected, str):
        return [] if state == expected else [f"{at}expected {expected!r}, got {state!r}"]
    fits = type(state) is type(expected) or (type(expected) is float and type(state) is int)
    return [] if fits else [f"{at}expected {type(expected).__name__}, got {_named(state)}"]


def _named(x: Any) -> str:
    """Return what messages say of a value; only the type of one that may be long."""
    return type(x).__name__ if isinstance(x, Mapping | list | tuple) else described(x)
