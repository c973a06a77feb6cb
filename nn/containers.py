"""Containers: Modules that hold others, in a row or by names.

    self.layers = ModuleList(Linear(64, 64) for _ in range(3))
    self.heads = ModuleDict({"age": Linear(64, 1), "name": Linear(64, 1000)})

A Module does not look into lists and dicts, so the parameters of what they hold would not be trained.
"""

from bisect import bisect_left
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from operator import delitem, index, setitem
from typing import Any, Self

from tinygrad_sm.advice import instead_of_module
from tinygrad_sm.arrays import described
from tinygrad_sm.engine.versions import write_all
from tinygrad_sm.nn.module import NAMED_LEVELS, Module
from tinygrad_sm.tensors import Tensor


class _Container(Module):
    """The base of containers: all Modules among its attributes are its elements, and change together or not at all."""

    def __len__(self) -> int:
        return len(list(self._children()))

    def _replace_all(self, modules: dict[str, Module]) -> None:
        """Hold these Modules, by their names, and no others."""
        others = Module()
        vars(others).update((name, x) for name, x in vars(self).items() if not isinstance(x, Module))
        self._put(modules, others)

    def _put(self, modules: dict[str, Module], kept: Module) -> None:
        """Add the Modules, by their names, and keep only the attributes of `kept`: all at once."""
        added, names = Module(), dict[Tensor, str]()
        for name, module in modules.items():
            vars(added)[name] = module
            for path, tensor in module._named_tensors(f"{name}.", NAMED_LEVELS):  # see __setattr__
                if not any(owner._attribute_at(tensor.name) is tensor for owner in (kept, added)):
                    names.setdefault(tensor, path)
        removed = [] if kept is self else list(self._children())
        writes: list[tuple[Any, ...]] = [(delitem, vars(self), name) for name, _ in removed]
        writes += [(setitem, vars(self), name, module) for name, module in vars(added).items()]
        write_all([*writes, *[(setattr, tensor, "name", path) for tensor, path in names.items()]])

    def _check_module(self, module: Any, place: Any) -> None:
        if not isinstance(module, Module):
            hint = instead_of_module(type(self).__name__, module)
            raise TypeError(
                f"{type(self).__name__}: expected Modules, got {described(module)} in place {place!r}: {hint}"
            )


class ModuleList(_Container):
    """A list of Modules, named "0", "1", ..., whose parameters are found, unlike those in a plain list.

        self.layers = ModuleList(Linear(64, 64) for _ in range(3))
        ...
        for layer in self.layers:
            x = x + layer(x)

    A slice is another ModuleList of the same Modules. Inserting or deleting Modules renames those behind.
    """

    def __init__(self, modules: Iterable[Module] = ()):
        self.extend(modules)

    def append(self, module: Module) -> Self:
        return self.extend([module])

    def extend(self, modules: Iterable[Module]) -> Self:
        modules = list(modules)
        first = bisect_left(range(len(vars(self))), 1, key=lambda i: str(i) not in vars(self))  # the first free number
        for i, module in enumerate(modules, first):
            self._check_module(module, i)
            self._check_attribute(str(i), module)
        self._put({str(i): module for i, module in enumerate(modules, first)}, kept=self)
        return self

    __iadd__ = extend

    def insert(self, i: int, module: Module) -> None:
        """Insert a Module before index i; an index out of range means the nearest end, as in lists."""
        self._check_module(module, i)
        modules = list(self)
        modules.insert(i, module)
        self._renumber(modules)

    def __delitem__(self, i: int | slice) -> None:
        modules = list(self)
        del modules[i]
        self._renumber(modules)

    def _renumber(self, modules: list[Module]) -> None:
        self._replace_all({str(i): module for i, module in enumerate(modules)})

    def __iter__(self) -> Iterator[Module]:
        return iter([value for value in vars(self).values() if isinstance(value, Module)])

    def __getitem__(self, i: int | slice) -> Any:
        if not isinstance(i, slice):
            return list(self)[i]
        part = type(self).__new__(type(self))  # without __init__: a subclass makes its own Modules there
        vars(part).update((str(k), module) for k, module in enumerate(list(self)[i]))  # leaves their parameters' names
        return part

    def __setitem__(self, i: int, module: Module) -> None:
        self._check_module(module, i)
        setattr(self, [name for name, _ in self._children()][index(i)], module)


class Sequential(ModuleList):
    """Modules in a row: each gets the result of the one before. `model[0]` is the first.

    >>> from tinygrad_sm.nn import Linear, ReLU
    >>> Sequential(Linear(2, 3), ReLU())
    Sequential(
      (0): Linear(in_features=2, out_features=3, bias=True)
      (1): ReLU()
    )
    """

    def __init__(self, *layers: Module):
        super().__init__(layers)

    def forward(self, x: Any) -> Tensor:  # an array, if x is one and no layer has parameters
        if Sequential in map(type, vars(self).values()):
            return self._forward_of_rows(x)
        for layer in self:
            x = layer(x)
        return x

    def _forward_of_rows(self, x: Any) -> Any:
        """Compute as `forward` does, without a recursion into the rows inside, which would end at Python's limit."""
        rows = {self: iter(self)}  # the innermost last
        while rows:
            row = next(reversed(rows))
            for layer in rows[row]:
                if type(layer) is Sequential and "forward" not in vars(layer):
                    if layer in rows:
                        raise ValueError("Sequential: expected layers that end, got a Sequential inside itself")
                    rows[layer] = iter(layer)
                    break
                x = layer(x)
            else:
                del rows[row]
        return x


class ModuleDict(_Container):
    """Modules by names, whose parameters are found, unlike those in a plain dict, whose main methods it has.

    A key is part of a path, as in "heads.age.weight": it is text without dots, and no attribute of ModuleDict itself.

    >>> heads = ModuleDict({"age": Module()})
    >>> heads["name"] = Module()
    >>> list(heads), "age" in heads, len(heads)
    (['age', 'name'], True, 2)
    """

    def __init__(self, modules: Mapping[str, Module] | Iterable[tuple[str, Module]] | None = None):
        self.update({} if modules is None else modules)

    def update(self, modules: "Mapping[str, Module] | Iterable[tuple[str, Module]] | ModuleDict") -> None:
        """Set Modules by keys, those of a dict, of another ModuleDict, or of pairs: all of them or none."""
        given = self._as_dict(modules)
        for key, module in given.items():
            self._check(key, module)
        self._replace_all(self._modules() | given)

    def pop(self, key: str) -> Module:
        """Take out the Module of this key, and return it; KeyError if there is none."""
        modules = self._modules()
        module = modules.pop(key)
        self._replace_all(modules)
        return module

    def clear(self) -> None:
        self._replace_all({})

    def keys(self) -> KeysView[str]:
        return self._modules().keys()

    def values(self) -> ValuesView[Module]:
        return self._modules().values()

    def items(self) -> ItemsView[str, Module]:
        return self._modules().items()

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules())

    def __contains__(self, key: object) -> bool:
        return key in self._modules()

    def __getitem__(self, key: str) -> Module:
        return self._modules()[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self._check(key, module)
        setattr(self, key, module)

    def __delitem__(self, key: str) -> None:
        self.pop(key)

    def _modules(self) -> dict[str, Module]:
        return dict(self._children())

    def _as_dict(self, modules: Any) -> dict[str, Module]:
        try:
            return dict(modules)
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"{type(self).__name__}: expected a dict of Modules, or pairs of a key and a Module, got "
                f"{described(modules)}"
            ) from error

    def _check(self, key: Any, module: Any) -> None:
        kind = type(self).__name__
        if not isinstance(key, str) or not key:
            raise TypeError(f"{kind}: expected a text that is not empty as key of each Module, got {key!r}")
        self._check_module(module, key)
        self._check_attribute(key, module)
        if hasattr(self, key) and key not in self:
            raise ValueError(f"{kind} has an attribute {key!r} of its own: give the Module another key")
