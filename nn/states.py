"""States: the nested dicts and lists of plain Python values and arrays that optimizers and schedules save.

>>> check_state("a clock", {"hour": 0, "hands": [1.0, 2.0]}, {"hour": 3, "hands": [1.5, 2.5]})
>>> check_state("a clock", {"hour": 0, "hands": [1.0, 2.0]}, {"hour": "three", "hands": [1.5], "cuckoo": True})
Traceback (most recent call last):
...
tinygrad_sm.errors.CheckpointError: the state does not fit a clock:
  hour: expected int, got str 'three'
  hands: expected 2 of them, got 1
  cuckoo: unexpected
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tinygrad_sm.arrays import described
from tinygrad_sm.backend import ARRAY_TYPES
from tinygrad_sm.dtypes import is_masked
from tinygrad_sm.engine.tape import data_of
from tinygrad_sm.errors import refuse_state


class Optional(NamedTuple):
    """A value that a state may lack, or have as None or an empty dict. In place of Optional(None) anything fits."""

    value: Any


def check_state(owner: str, expected: Any, state: Any) -> None:
    """Raise CheckpointError with the differences unless the state has the structure of the expected one.

    The structure is the keys of dicts, the lengths of lists, the shapes and dtypes of arrays, and the types of numbers
    (an int passes for a float). Strings must be equal: they say whose state this is.
    """
    refuse_state(owner, differences(expected, state))


def faults_of(check: Callable[..., Any], *arguments: Any) -> list[str]:
    """Return a list with the message of the TypeError or ValueError that a check raises, or an empty one."""
    try:
        check(*arguments)
    except (TypeError, ValueError) as error:
        return [str(error)]
    return []


def differences(expected: Any, state: Any, path: str = "") -> list[str]:
    """Return a line for each difference between the state at the path and the expected one; see `check_state`."""
    at = f"{path}: " if path else ""
    if isinstance(expected, Optional):
        is_absent = state is None or (isinstance(state, Mapping) and not state)
        return [] if is_absent or expected.value is None else differences(expected.value, state, path)
    if isinstance(expected, dict):
        if not isinstance(state, Mapping):
            return [f"{at}expected a dict, got {_described_briefly(state)}"]
        inside = f"{path}." if path else ""
        found = []
        for name, value in expected.items():
            if name in state:
                found += differences(value, state[name], inside + name)
            elif not isinstance(value, Optional):
                found.append(f"{inside}{name}: missing")
        return found + [f"{inside}{name}: unexpected" for name in state if name not in expected]
    if isinstance(expected, list):
        if not isinstance(state, list | tuple):
            return [f"{at}expected a list, got {_described_briefly(state)}"]
        if len(state) != len(expected):
            return [f"{at}expected {len(expected)} of them, got {len(state)}"]
        pairs = enumerate(zip(expected, state, strict=True))
        return [line for i, (one, other) in pairs for line in differences(one, other, f"{path}[{i}]")]
    if type(expected) in ARRAY_TYPES:
        array = data_of(state)
        fits = (getattr(array, "shape", None), getattr(array, "dtype", None)) == (expected.shape, expected.dtype)
        fits = fits and not is_masked(array)
        return [] if fits else [f"{at}expected {described(expected)}, got {_described_briefly(array)}"]
    if isinstance(expected, str):
        fits = isinstance(state, str) and state == expected
        got = repr(state) if isinstance(state, str) else _described_briefly(state)
        return [] if fits else [f"{at}expected {expected!r}, got {got}"]
    fits = type(state) is type(expected) or (type(expected) is float and type(state) is int)
    return [] if fits else [f"{at}expected {type(expected).__name__}, got {_described_briefly(state)}"]


def _described_briefly(x: Any) -> str:
    """Return the description of a value for messages: of dicts and lists, which may be long, only the type."""
    return type(x).__name__ if isinstance(x, Mapping | list | tuple) else described(x)
