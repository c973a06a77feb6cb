"""What a step depends on besides its arguments: the Modules, optimizers, Tensors and plain values that it can reach.

    watch = Watch(step)
    then = watch.now()
    are_equal(then, watch.now())        # whether nothing has changed

The names in a function's code, and its closure, lead to objects, and each of those to what its attributes and elements
are. What installed packages hold is not followed, nor are long lists; the elements of arrays are not compared.
"""

import dis
import functools
import sys
import types
from collections import deque
from collections.abc import Iterable, Iterator
from functools import partial
from io import IOBase
from itertools import chain
from operator import attrgetter, call, itemgetter
from typing import Any

import numpy as np

from tinygrad_sm.backend import is_array
from tinygrad_sm.tensors import Tensor

PLAIN = (bool, int, float, complex, str, bytes, type(None), np.generic)
"""Types of values that are compared by equality; all others are compared by identity."""

CONTAINERS = (list, tuple, dict, set, frozenset, deque)

LONGEST = 1000
"""Longer lists and dicts are data, not parts of a model."""

MOST_OBJECTS = 100_000

_TENSOR_FACTS = attrgetter("data"), attrgetter("_requires_grad"), attrgetter("hooks")
_cell_contents, _state = attrgetter("cell_contents"), attrgetter("state")


class Watch:
    """The leaves and optimizers that some objects lead to, and the sources of all that they depend on.

    arrays : NumPy's arrays that no Tensor holds.
    generators : NumPy's generators of random numbers.
    iterators : what gives something else each time that it is asked.
    """

    def __init__(self, *roots: Any):
        self.tensors: list[Tensor] = []
        self.optimizers: list[Any] = []
        self.arrays: list[Any] = []
        self.generators: list[Any] = []
        self.iterators: list[Any] = []
        self._sources: list[Any] = []  # functions without arguments, which return values; of C, to be quick
        self._seen: dict[int, Any] = {}  # by id; an object that lives keeps its id
        self._own = {str(getattr(x, "__module__", "")).partition(".")[0] for x in roots}  # the packages of the step
        to_visit = list(reversed(roots))
        while to_visit and len(self._seen) < MOST_OBJECTS:
            x = to_visit.pop()
            if id(x) not in self._seen and not isinstance(x, PLAIN):
                self._seen[id(x)] = x
                to_visit += reversed(list(self._inside(x)))
        self._sources += [partial(map, fact, self.tensors) for fact in _TENSOR_FACTS]

    def _inside(self, x: Any) -> Iterable[Any]:
        """Note the sources of what a step depends on in x, and return what x leads to."""
        if is_array(x):
            self.arrays.append(x)
        elif isinstance(x, Tensor):
            self.tensors += [x] if x.node is None else []
        elif isinstance(x, types.FunctionType):
            return self._inside_function(x)
        elif isinstance(x, types.ModuleType):
            pass  # its names are looked up where a function uses them
        elif isinstance(x, type):
            return () if self._is_library(x.__module__) else self._values(vars(x).values)
        elif isinstance(x, np.random.Generator):
            self.generators.append(x)
        elif isinstance(x, Iterator) and not isinstance(x, IOBase):
            self.iterators.append(x)
        elif {"param_groups", "_slots"} <= _attributes(x).keys():
            return [*self._inside_optimizer(x), *self._inside_classes(x)]
        else:
            return self._inside_object(x)
        return ()

    def _inside_object(self, x: Any) -> Iterable[Any]:
        found: list[Any] = [part for name in _PARTS if (part := _attribute(x, name)) is not None]
        if isinstance(x, CONTAINERS) and len(x) <= LONGEST:
            found += self._values(partial(iter, x))
            found += self._values(partial(dict.values, x)) if isinstance(x, dict) else ()
        attributes = _attributes(x)
        if "__wrapped__" in attributes and self._is_library(type(x).__module__):  # a compiled step
            return [*found, attributes["__wrapped__"]]
        if attributes:
            found += self._values(attributes.values)
        if slots := [name for kind in type(x).__mro__ for name in _slots_of(kind)]:
            found += self._values(partial(_slot_values, x, slots))
        is_foreign = self._is_foreign(type(x).__module__) and type(x) not in (*CONTAINERS, *_FUNCTION_LIKE)
        return () if is_foreign else [*found, *self._inside_classes(x)]

    def _inside_classes(self, x: Any) -> Iterable[Any]:
        """Note what stands in the user's classes of an object, and return it."""
        own = [kind for kind in type(x).__mro__ if not self._is_library(kind.__module__)]
        return [value for kind in own for value in self._values(vars(kind).values)]

    def _values(self, source: Any) -> list[Any]:
        self._sources.append(source)
        return list(source())

    def _inside_function(self, function: Any) -> Iterable[Any]:
        if self._is_library(function.__module__):
            return ()
        cells = [cell for cell in function.__closure__ or () if _is_filled(cell)]
        found = self._values(partial(map, _cell_contents, cells)) if cells else []
        names = [name for name in _globals_of(function.__code__) if name in function.__globals__]
        if names:
            found += self._values(partial(itemgetter(*names, names[0]), function.__globals__))
        modules = [x for x in found if isinstance(x, types.ModuleType)]  # as for config.scale
        for module in modules:
            used = [name for name in _attributes_of(function.__code__) if name in vars(module)]
            if used and not self._is_library(module.__name__):
                values = self._values(partial(itemgetter(*used, used[0]), vars(module)))
                modules += [x for x in values if isinstance(x, types.ModuleType) and x not in modules]
                found += values
        for place in ("__defaults__", "__kwdefaults__", "__dict__"):
            if value := getattr(function, place):
                found += self._values(value.values if type(value) is dict else partial(attrgetter(place), function))
        return found

    def _inside_optimizer(self, optimizer: Any) -> Iterable[Any]:
        self.optimizers.append(optimizer)
        for group in optimizer.param_groups:  # lr is a number that is read at each step, and so is a state's step
            names = [name for name in group if name != "lr"]
            has_lists = any(type(group[name]) is list for name in names)
            self._sources.append(
                partial(_options, group) if has_lists else partial(itemgetter(*names, "params"), group)
            )
        self._sources.append(partial(map, _state, optimizer._slots))
        not_read = ("param_groups", "_slots", "_checked_groups", "defaults")  # by a step, or seen above
        own = [name for name in vars(optimizer) if name not in not_read]
        if own:
            self._sources.append(partial(itemgetter(*own, own[0]), vars(optimizer)))
        return [slot.parameter for slot in optimizer._slots]

    def _is_foreign(self, module: str | None) -> bool:
        """Whether a module is of Python or of another package: what it holds is not followed."""
        return _is_installed(module) and str(module).partition(".")[0] not in self._own

    def _is_library(self, module: str | None) -> bool:
        return self._is_foreign(module) or f"{module}.".startswith("tinygrad_sm.")

    def now(self) -> list[Any]:
        """Return all that the step depends on now."""
        try:
            return list(chain.from_iterable(map(call, self._sources)))
        except (KeyError, ValueError, AttributeError, RuntimeError):  # a name, an option or an element is gone
            return [object()]  # which is like nothing else


_FUNCTION_LIKE = (types.MethodType, functools.partial, staticmethod, classmethod, property, types.BuiltinMethodType)
_PARTS = ("__func__", "__self__", "func", "args", "keywords", "fget")
"""Attributes by which methods, partial functions and properties lead to what they are made of."""


def _attributes(x: Any) -> dict[str, Any]:
    """Return the attributes that an object has itself; what its class makes of other names is not asked."""
    try:
        attributes = object.__getattribute__(x, "__dict__")
    except AttributeError:
        return {}
    return attributes if type(attributes) is dict else {}


def _attribute(x: Any, name: str) -> Any:
    return getattr(x, name, None) if isinstance(x, _FUNCTION_LIKE) else None


def _slots_of(kind: type) -> Iterable[str]:
    slots = vars(kind).get("__slots__", ())
    return (slots,) if isinstance(slots, str) else () if _is_installed(kind.__module__) else slots


def _slot_values(x: Any, slots: list[str]) -> list[Any]:
    return [getattr(x, name, None) for name in slots]


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:  # a variable without a value yet
        return False


@functools.cache
def _is_installed(module: str | None) -> bool:
    """Whether a module is of Python or of an installed package other than this one."""
    top = str(module).partition(".")[0]
    if top == "tinygrad_sm":
        return False
    path = str(getattr(sys.modules.get(top), "__file__", None) or "")
    return top in sys.stdlib_module_names - {"__main__"} or "site-packages" in path or "dist-packages" in path


def _options(group: dict[str, Any]) -> list[Any]:
    """Return the options of an optimizer's group but lr, with the numbers in lists, such as betas, one by one."""
    values = [x for name, x in group.items() if name != "lr"]
    return [part for x in values for part in (x if type(x) is list else (x,))]


def are_equal(then: Any, now: Any) -> bool:
    """Whether two sequences hold the same objects, and plain values that are equal."""
    return len(then) == len(now) and all(map(_is_same, then, now))


def _is_same(a: Any, b: Any) -> bool:
    if a is b or type(a) is not type(b):
        return a is b
    if isinstance(a, tuple):
        return are_equal(a, b)
    return isinstance(a, PLAIN) and repr(a) == repr(b)  # so 0.0 is not −0.0, and NaN is NaN


@functools.cache
def _globals_of(code: types.CodeType) -> tuple[str, ...]:
    """Return the global names that a function, and the functions inside of it, read."""
    return _names(code, ("LOAD_GLOBAL", "LOAD_NAME"))


@functools.cache
def _attributes_of(code: types.CodeType) -> tuple[str, ...]:
    """Return the names of attributes that a function, and the functions inside of it, read."""
    return _names(code, ("LOAD_ATTR", "LOAD_METHOD"))


def _names(code: types.CodeType, operations: tuple[str, ...]) -> tuple[str, ...]:
    own = [x.argval for x in dis.get_instructions(code) if x.opname in operations]
    inner = [_names(constant, operations) for constant in code.co_consts if isinstance(constant, types.CodeType)]
    return tuple(dict.fromkeys(chain(own, *inner)))
