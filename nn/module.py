"""Modules: objects that hold parameters and compute with them.

    class Perceptron(Module):
        def __init__(self):
            self.weight = Parameter([0.0, 0.0])
            self.bias = Parameter(0.0)

        def forward(self, x):
            return (self.weight * x).sum() + self.bias

Nothing has to be registered. The Parameters and Buffers among a Module's attributes, and among those of the Modules
inside it, are its state. Nothing else is: `forward` may keep other values, as in `self.mask = mask`. A Module does not
look into lists and dicts; `ModuleList` holds Modules in a row, and `ModuleDict` by names.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from math import inf
from operator import setitem
from typing import Any, NamedTuple, Self

from tinygrad_sm.advice import explain
from tinygrad_sm.arrays import as_array, described
from tinygrad_sm.backend import Array, device_name, device_of, is_writable, owned_copy, to_device
from tinygrad_sm.engine.backward import check_grad
from tinygrad_sm.engine.tape import Traced, data_of
from tinygrad_sm.engine.versions import LEAVES_LOCK, change, write_all
from tinygrad_sm.errors import refuse_state
from tinygrad_sm.nn import depth
from tinygrad_sm.nn.calls import HasForward, P, R
from tinygrad_sm.tensors import Tensor

NAMED_LEVELS = 50
"""So many levels inside, a new Module around them extends the names of parameters; `named_parameters` extends all."""


class State(Tensor):
    """A leaf Tensor that is part of a Module's state; operations on it return ordinary Tensors.

    It holds a copy of the data, so a change of it never writes into the caller's array.
    """

    __slots__ = ()
    is_state = True

    def __init__(self, data: Any):
        array = as_array(data_of(data), is_new=not isinstance(data, Traced))
        super().__init__(owned_copy(array), device=device_of(array))


class Parameter(State):
    """A leaf Tensor that a Module trains: floats, a copy of the data.

    requires_grad : False freezes it. It stays a parameter of its Module, and optimizers pass over it.

    >>> weight = Parameter([0.0, 0.5])
    >>> weight
    Parameter([0. , 0.5], shape=(2,), dtype=float32, device=cpu, requires_grad=True)
    >>> weight * 2
    Tensor([0., 1.], shape=(2,), dtype=float32, device=cpu, made_by=multiply)
    """

    __slots__ = ()

    def __init__(self, data: Any, requires_grad: bool = True):
        super().__init__(data)
        self.requires_grad_()  # raises TypeError unless it holds floats
        self.requires_grad_(requires_grad)


class Buffer(State):
    """A leaf Tensor that belongs to a Module's state and is not trained, such as a running mean; a copy of the data."""

    __slots__ = ()


class LoadedKeys(NamedTuple):
    """The keys that `load_state_dict` with strict=False skipped."""

    missing: list[str]
    unexpected: list[str]


class Module:
    """The base of all layers, losses and models: a function `forward` of Tensors or arrays, with parameters.

    Its parameters are the Parameters among its attributes, and its buffers the Buffers, whenever they were set. Only a
    Parameter, a Buffer or None can replace one, so that no assignment loses state by mistake.

    >>> class Running(Module):
    ...     def __init__(self):
    ...         self.mean = Buffer([0.0])
    ...
    ...     def forward(self, x):
    ...         self.last = x
    ...         self.mean.assign(0.5 * self.mean + 0.5 * x)
    ...         return self.mean
    >>> running = Running()
    >>> running(Tensor([4.0])).item()
    2.0
    >>> running.state_dict()
    {'mean': array([2.], dtype=float32)}
    """

    training = True

    def __setattr__(self, name: str, value: Any) -> None:
        self._check_attribute(name, value)
        if hasattr(getattr(type(self), name, None), "__set__"):  # a property, which sets other attributes
            object.__setattr__(self, name, value)
            return
        changed, writes = Module(), list[tuple[Any, ...]]([(object.__setattr__, self, name, value)])
        vars(changed)[name] = value
        named = value._named_tensors(f"{name}.", NAMED_LEVELS) if isinstance(value, Module) else [(name, value)]
        for path, tensor in named:  # a shared one keeps the name of its first path
            if isinstance(tensor, State):
                owner = changed if f"{tensor.name}.".startswith(f"{name}.") else self
                if owner._attribute_at(tensor.name) is not tensor:
                    writes.append((setattr, tensor, "name", path))  # error messages name the parameter
        write_all(writes)

    def _check_attribute(self, name: str, value: Any) -> None:
        old = vars(self).get(name)
        if isinstance(old, Module) and not (value is None or isinstance(value, Module)):
            raise TypeError(f"{name} is a Module: expected a Module or None in its place, got {described(value)}")
        if isinstance(old, State) and not (value is None or isinstance(value, State)):
            kind = type(old).__name__
            raise TypeError(
                f"{name} is a {kind}: expected a Parameter, a Buffer or None in its place, got {described(value)}; "
                f"write {name}.assign(value) to change its data, or nn.{kind}(value) to replace it"
            )
        is_leaf = isinstance(value, Tensor) and value.node is None
        if is_leaf and value.requires_grad and not isinstance(value, State):
            raise TypeError(
                f"{name}: expected a Parameter, or a Tensor that requires no gradient, got a leaf that requires one, "
                f"{described(value)}; write nn.Parameter(data) to train it, or .detach() to keep its values"
            )
        if "." in name and isinstance(value, Module | State):
            raise ValueError(f"expected a name without dots, as they part the names of a path, got {name!r}")

    def forward(self, *inputs: Any, **options: Any) -> Any:
        """Compute the result; each subclass defines how."""
        raise TypeError(f"{type(self).__name__} has no forward: define forward(self, x) in its class")

    def __call__(self: HasForward[P, R], *inputs: P.args, **options: P.kwargs) -> R:
        try:
            return self.forward(*inputs, **options)
        except RecursionError as error:
            raise depth.too_deep(type(self).__name__) from error
        except TypeError as error:
            explain(error, self.forward, inputs, options)
            raise

    def _children(self) -> Iterator[tuple[str, "Module"]]:
        return ((name, value) for name, value in vars(self).items() if isinstance(value, Module))

    def named_children(self) -> Iterator[tuple[str, "Module"]]:
        """Yield the Modules among the attributes with their names; a shared one once, by its first name."""
        children: dict[int, tuple[str, Module]] = {}
        for name, child in self._children():
            children.setdefault(id(child), (name, child))
        return iter(children.values())

    def children(self) -> Iterator["Module"]:
        """Yield the Modules among the attributes, each once, in the order of definition."""
        return (child for _, child in self.named_children())

    def named_modules(self) -> Iterator[tuple[str, "Module"]]:
        """Yield this Module and all inside it with their paths; a shared one once, by its first path.

        >>> inner = Module()
        >>> inner.leaf, outer = Module(), Module()
        >>> outer.inner = inner
        >>> [path for path, _ in outer.named_modules()]
        ['', 'inner', 'inner.leaf']
        """
        return ((_path(place), module) for place, module in self._placed_modules())

    def modules(self) -> Iterator["Module"]:
        """Yield this Module and all inside it, each once, in the order of definition."""
        return (module for _, module in self._placed_modules())

    def _placed_modules(self) -> list[tuple[Any, "Module"]]:
        """Return this Module and all inside it, each with its place: the place of its owner and its name there.

        A path in text would be as long as the Module is deep, which nobody needs who asks for no paths.
        """
        found: dict[int, tuple[Any, Module]] = {}
        to_visit: list[tuple[Any, Module]] = [(None, self)]
        while to_visit:
            place, module = to_visit.pop()
            if id(module) not in found:
                found[id(module)] = place, module
                to_visit += reversed([((place, name), child) for name, child in module._children()])
        return list(found.values())

    def apply(self, fn: Callable[["Module"], Any]) -> Self:
        """Call fn with all Modules inside this one and then with this one, each once; return this Module.

        A Module comes after those inside it, as when a model is to be initialized: model.apply(init_weights).
        """
        ordered, seen = [], {id(self)}
        to_visit: list[tuple[Module, Iterator[tuple[str, Module]]]] = [(self, self._children())]
        while to_visit:
            module, children = to_visit[-1]
            child = next((child for _, child in children if id(child) not in seen), None)
            if child is None:
                ordered.append(module)
                to_visit.pop()
            else:
                seen.add(id(child))
                to_visit.append((child, child._children()))
        for module in ordered:
            fn(module)
        return self

    def _named_tensors(self, prefix: str = "", levels: float = inf) -> Iterator[tuple[str, Tensor]]:
        """Yield parameters and buffers with their paths, in the order of definition; a shared one by its first path.

        Those in Modules that are `levels` or more inside this one are left out.
        """
        seen = {id(self)}
        to_visit = [(prefix, iter(vars(self).items()))]  # a recursion would end at Python's limit
        while to_visit:
            prefix, attributes = to_visit[-1]
            for name, value in attributes:
                if id(value) in seen or not isinstance(value, Module | State):
                    continue
                seen.add(id(value))
                if isinstance(value, State):
                    yield prefix + name, value
                elif len(to_visit) < levels:
                    to_visit.append((f"{prefix}{name}.", iter(vars(value).items())))
                    break
            else:
                to_visit.pop()

    def named_parameters(self) -> Iterator[tuple[str, Parameter]]:
        """Yield the parameters with their paths, as ("0.weight", Parameter), in the order of definition."""
        for path, tensor in self._named_tensors():
            if len(path) > len(tensor.name or ""):  # its name was given further inside
                tensor.name = path
            if isinstance(tensor, Parameter):
                yield path, tensor

    def parameters(self) -> Iterator[Parameter]:
        """Yield the parameters in the order of definition, frozen ones too; a shared one only once."""
        return (parameter for _, parameter in self.named_parameters())

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Set whether all parameters require gradients; return this Module. False freezes it: see `Parameter`."""
        value = bool(requires_grad)
        write_all([(setattr, parameter, "_requires_grad", value) for parameter in self.parameters()])
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients: set `.grad` of every parameter to None.

        set_to_none : False fills the gradients that there are with zeros instead, in place: an array that was taken
            from `.grad` before holds zeros too.
        """
        parameters = list(self.parameters())
        write_all([(setattr, p, "grad", None) for p in parameters] if set_to_none else writes_of_zeros(parameters))

    def train(self, mode: bool = True) -> Self:
        """Set this Module and all inside it to training mode, in which some layers, such as Dropout, differ."""
        write_all([(object.__setattr__, module, "training", mode) for module in self.modules()])
        return self

    def eval(self) -> Self:
        """Set this Module and all inside it to evaluation mode."""
        return self.train(False)

    def to(self, device: str) -> Self:
        """Move all parameters and buffers to the device, with their gradients, in place; return this Module.

        An optimizer moves its state at its next step.
        """
        device = device_name(device)
        tensors = [tensor for _, tensor in self._named_tensors() if tensor.device != device]
        arrays = [to_device(tensor.data, device) for tensor in tensors]  # all copies first: memory may run out
        gradients = [None if tensor.grad is None else to_device(tensor.grad, device) for tensor in tensors]
        writes: list[tuple[Any, ...]] = [(setattr, t, "data", data) for t, data in zip(tensors, arrays, strict=True)]
        writes += [(setattr, t, "grad", grad) for t, grad in zip(tensors, gradients, strict=True)]
        change(tensors, write_all, writes)
        return self

    def state_dict(self) -> dict[str, Any]:
        """Return copies of the arrays of all parameters and buffers by path; later training does not change them."""
        with LEAVES_LOCK:  # of one moment, even while another thread trains
            return {path: owned_copy(tensor.data) for path, tensor in self._named_tensors()}

    def load_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> LoadedKeys:
        """Set parameters and buffers, in place, to the arrays of a state dict.

        A shared Tensor may stand under any of its paths or, as PyTorch saves it, under all, with equal values.

        Raises CheckpointError with the differences if a shape or dtype does not fit or, where strict, if a path is
        missing or unexpected; the Module is then unchanged.
        """
        writes, keys = self._load_writes(state, strict)
        change(writes, write_all, writes.values())
        return keys

    def _load_writes(
        self, state: Mapping[str, Any], strict: bool = True
    ) -> tuple[dict[Tensor, tuple[Any, ...]], LoadedKeys]:
        """Return, for each Tensor, the write of `load_state_dict`, and the keys that it skips; or raise as it does."""
        arrays, keys, differences = self._compare(state, strict)
        refuse_state(type(self).__name__, differences)
        writes = {  # of copies: the arrays may be those of this very model
            tensor: (setitem, tensor.data, ..., owned_copy(to_device(arrays[path], tensor.device)))
            for path, tensor in self._named_tensors()
            if path in arrays
        }
        return writes, keys

    def check_state_dict(self, state: Mapping[str, Any], strict: bool = True) -> None:
        """Raise what `load_state_dict` would raise, and change nothing."""
        refuse_state(type(self).__name__, self._compare(state, strict)[2])

    def _compare(self, state: Mapping[str, Any], strict: bool) -> tuple[dict[str, Array], LoadedKeys, list[str]]:
        """Return the arrays of a state dict by this Module's paths, the unmatched keys, and all differences."""
        if not isinstance(state, Mapping):
            raise TypeError(f"{type(self).__name__}: expected as state a dict of arrays, got {described(state)}")
        own = dict(self._named_tensors())
        paths = {id(tensor): path for path, tensor in own.items()}
        arrays: dict[str, Array] = {}
        wrong, unexpected, given = [], [], set()
        for name, value in state.items():
            path = name if name in own else paths.get(id(self._attribute_at(name)))
            if path is None:
                unexpected.append(name)
                continue
            given.add(path)
            array = _array_or_none(value)
            if array is None or (array.shape, array.dtype) != (own[path].shape, own[path].dtype):
                got = described(value if array is None else array)
                wrong.append(f"{name}: expected {described(own[path])}, got {got}")
            elif (first := arrays.setdefault(path, array)) is not array and first.tobytes() != array.tobytes():
                wrong.append(f"{name}: expected one value by all paths of this shared Tensor, got different ones")
        keys = LoadedKeys([path for path in own if path not in given], unexpected)
        wrong += [f"{path}: read-only" for path in own if path in given and not is_writable(own[path].data)]
        if strict:
            wrong += [f"{path}: missing" for path in keys.missing]
            wrong += [f"{path}: unexpected" for path in keys.unexpected]
        return arrays, keys, wrong

    def _attribute_at(self, path: Any) -> Any:
        """Return the attribute at a path, which need not be the first of a shared Tensor, or None."""
        value: Any = self
        for name in str(path).split("."):
            value = vars(value).get(name) if isinstance(value, Module) else None
        return value

    def extra_repr(self) -> str:
        """Return what `repr` puts between the parentheses of a Module without children."""
        return ""

    __repr__ = depth.shown
    __deepcopy__, __getstate__, __setstate__ = depth.deep_copy, depth.pickled_state, depth.set_state


def writes_of_zeros(parameters: Iterable[Tensor]) -> list[tuple[Any, ...]]:
    """Return the writes that fill the gradients that there are with zeros; ValueError unless all can be changed so."""
    with_gradient = [parameter for parameter in parameters if parameter.grad is not None]
    for parameter in with_gradient:
        check_grad("zero_grad", parameter, writes=True)
    return [(setitem, parameter.grad, ..., 0) for parameter in with_gradient]


def _path(place: Any) -> str:
    """Return the path of a Module at a place; see `Module._placed_modules`."""
    names: list[str] = []
    while place is not None:
        place, name = place
        names.append(name)
    return ".".join(reversed(names))


def _array_or_none(value: Any) -> Any:
    try:
        return as_array(data_of(value))
    except (OverflowError, RecursionError, RuntimeError, TypeError, ValueError):  # text, objects, ragged lists
        return None
