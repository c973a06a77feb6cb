"""Modules: objects that hold parameters and compute with them.

    class Perceptron(Module):
        def __init__(self):
            self.weight = Parameter([0.0, 0.0])
            self.bias = Parameter(0.0)

        def forward(self, x):
            return (self.weight * x).sum() + self.bias

Nothing has to be registered: a Module's parameters are those of its attributes, and of its attributes' attributes, that
are leaf Tensors and require a gradient; its buffers are its other leaf Tensors. It does not look into lists and dicts:
where Modules come in a row, `ModuleList` holds them.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from tinygrad_sm.backend import as_array, described, owned_copy
from tinygrad_sm.errors import CheckpointError
from tinygrad_sm.tape import plain
from tinygrad_sm.tensor import Tensor


class LoadedKeys(NamedTuple):
    """What a `load_state_dict` that was not strict passed over."""

    missing: list[str]
    unexpected: list[str]


def _is_leaf(value: Any) -> bool:
    return isinstance(value, Tensor) and value.node is None


class Module:
    """What all layers, losses and models are: a function of Tensors or arrays, `forward`, with parameters."""

    training = True

    def __setattr__(self, name: str, value: Any) -> None:
        old = vars(self).get(name)
        if isinstance(old, Tensor) and old.requires_grad and not (value is None or _is_leaf(value)):
            raise TypeError(
                f"{name} is a parameter: expected a leaf Tensor or None in its place, got {described(value)}"
            )
        object.__setattr__(self, name, value)
        if isinstance(value, Module | Tensor):
            for path, tensor in self._named_tensors():
                tensor.name = path  # so that messages can say which parameter they speak of

    def forward(self, *inputs: Any) -> Any:
        """Compute the result; each kind of Module says how."""
        raise TypeError(f"{type(self).__name__} has no forward: define forward(self, x) in its class")

    def __call__(self, *inputs: Any) -> Any:
        """Return self.forward(*inputs)."""
        return self.forward(*inputs)

    def _children(self) -> Iterator[tuple[str, "Module"]]:
        return ((name, value) for name, value in vars(self).items() if isinstance(value, Module))

    def modules(self) -> Iterator["Module"]:
        """Yield this Module and all inside it, each once, in the order of definition."""
        seen: dict[int, Module] = {}
        to_visit: list[Module] = [self]
        while to_visit:
            module = to_visit.pop()
            if id(module) not in seen:
                seen[id(module)] = module
                to_visit += reversed([child for _, child in module._children()])
        return iter(seen.values())

    def _named_tensors(self, prefix: str = "", seen: set[int] | None = None) -> Iterator[tuple[str, Tensor]]:
        """Yield the leaf Tensors with their paths, in the order of definition; what is shared, by its first path."""
        seen = {id(self)} if seen is None else seen
        for name, value in vars(self).items():
            if isinstance(value, Module | Tensor) and id(value) not in seen:
                seen.add(id(value))
                if isinstance(value, Module):
                    yield from value._named_tensors(f"{prefix}{name}.", seen)
                elif value.node is None:
                    yield prefix + name, value

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """Yield the parameters with their paths, as ("0.weight", Tensor), in the order of definition."""
        return ((path, tensor) for path, tensor in self._named_tensors() if tensor.requires_grad)

    def parameters(self) -> Iterator[Tensor]:
        """Yield the parameters in the order of definition, one that is shared once."""
        return (parameter for _, parameter in self.named_parameters())

    def zero_grad(self) -> None:
        """Forget the gradients: set `.grad` of every parameter to None."""
        for parameter in self.parameters():
            parameter.grad = None

    def train(self, mode: bool = True) -> "Module":
        """Set this Module and all inside it to training; some layers compute differently then."""
        for module in self.modules():
            module.training = mode
        return self

    def eval(self) -> "Module":
        """Set this Module and all inside it to evaluation."""
        return self.train(False)

    def state_dict(self) -> dict[str, Any]:
        """Return copies of the arrays of all parameters and buffers by path; later training does not change them."""
        return {path: owned_copy(tensor.data) for path, tensor in self._named_tensors()}

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> LoadedKeys:
        """Set parameters and buffers, in place, to the arrays of a state dict.

        Raises CheckpointError with every difference if a shape or dtype does not fit, or, where strict, if a path is
        missing or unexpected; the Module is then as it was.
        """
        own = dict(self._named_tensors())
        new = {path: as_array(plain(value)) for path, value in state.items()}
        keys = LoadedKeys([path for path in own if path not in new], [path for path in new if path not in own])
        wrong = [
            f"{path}: expected {own[path].dtype} {own[path].shape}, got {array.dtype} {array.shape}"
            for path, array in new.items()
            if path in own and (array.shape != own[path].shape or array.dtype != own[path].dtype)
        ]
        wrong += [f"{path}: read-only" for path in own if path in new and not own[path].data.flags.writeable]
        if strict:
            wrong += [f"{path}: missing" for path in keys.missing]
            wrong += [f"{path}: unexpected" for path in keys.unexpected]
        if wrong:
            raise CheckpointError(f"the state does not fit {type(self).__name__}:\n  " + "\n  ".join(wrong))
        for path, array in new.items():
            if path in own:
                own[path].assign(array)
        return keys

    def extra_repr(self) -> str:
        """Return what `repr` puts between the parentheses of a Module without children."""
        return ""

    def __repr__(self) -> str:
        lines = [f"({name}): {child!r}".replace("\n", "\n  ") for name, child in self._children()]
        inside = "".join(f"\n  {line}" for line in lines) + "\n" if lines else self.extra_repr()
        return f"{type(self).__name__}({inside})"


class ModuleList(Module):
    """Modules in a row, whose parameters are found, as those in a plain list are not; their names are "0", "1", ...

        self.layers = ModuleList(Linear(64, 64) for _ in range(3))
        ...
        for layer in self.layers:
            x = x + layer(x)

    A slice is another list of the same Modules.
    """

    def __init__(self, modules: Iterable[Module] = ()):
        self.extend(modules)

    def append(self, module: Module) -> "ModuleList":
        """Add a Module at the end."""
        return self.extend([module])

    def extend(self, modules: Iterable[Module]) -> "ModuleList":
        """Add Modules at the end."""
        modules, length = list(modules), len(self)
        for i, module in enumerate(modules, length):
            self._check_module(module, i)
        for i, module in enumerate(modules, length):
            setattr(self, str(i), module)
        return self

    def _check_module(self, module: Any, i: int) -> None:
        if not isinstance(module, Module):
            raise TypeError(f"{type(self).__name__}: expected Modules, got {module!r} in place {i}")

    def __len__(self) -> int:
        return len(list(self._children()))

    def __iter__(self) -> Iterator[Module]:
        return (module for _, module in self._children())

    def __getitem__(self, i: int | slice) -> Any:
        if not isinstance(i, slice):
            return list(self)[i]
        part = type(self).__new__(type(self))  # not a call: a subclass makes its own Modules then
        vars(part).update((str(k), module) for k, module in enumerate(list(self)[i]))  # leaves their parameters' names
        return part

    def __setitem__(self, i: int, module: Module) -> None:
        self._check_module(module, i)
        setattr(self, str(range(len(self))[i]), module)
