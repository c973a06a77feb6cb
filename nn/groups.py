"""The parameters of an optimizer in groups with options of their own, and the state dicts of both.

    optimizer = SGD([{"params": body, "lr": 0.01}, {"params": head}], lr=0.1)
    optimizer.param_groups[0]["lr"] = 0.02
    state = optimizer.state_dict()

`optim.py` says what a step of each optimizer does to a parameter.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from tinygrad_sm.arguments import MAX_COUNT, integer, number
from tinygrad_sm.arrays import as_array, described
from tinygrad_sm.backend import ARRAY_TYPES, Array, device_of, is_writable, owned_copy, to_device
from tinygrad_sm.engine.tape import data_of
from tinygrad_sm.engine.versions import LEAVES_LOCK, write_all
from tinygrad_sm.errors import refuse_state
from tinygrad_sm.nn.module import Module, Parameter
from tinygrad_sm.nn.states import Optional, differences, faults_of
from tinygrad_sm.tensors import Tensor


class Slot:
    """One parameter of an optimizer, with its group and its state, such as a velocity."""

    def __init__(self, parameter: Tensor, group: dict[str, Any]):
        self.parameter = parameter
        self.group = group
        self.name = parameter.name  # as it was when the optimizer was made: the state knows it by this
        self.state: dict[str, Any] = {}  # empty until the first step that needs it
        self.scratch: dict[Any, Array] = {}  # arrays in which a quicker form of the step computes
        self.device = device_of(parameter.data)  # of the state

    def move_state(self) -> None:
        """Move the state to the parameter's device."""
        device = device_of(self.parameter.data)
        moved = {name: to_device(x, device) for name, x in self.state.items() if type(x) in ARRAY_TYPES}
        self.state, self.scratch, self.device = {**self.state, **moved}, {}, device


class Groups:
    """The parameters of an optimizer in groups, their options, and the state dict of it all."""

    def __init__(self, params: Iterable[Any], **options: Any):
        self.defaults = self._checked(options)
        self.param_groups = [self._with_defaults(group) for group in _as_groups(params)]
        parameters = [parameter for group in self.param_groups for parameter in group["params"]]
        _check_parameters(type(self).__name__, parameters)
        self._slots = [Slot(parameter, group) for group in self.param_groups for parameter in group["params"]]
        self._checked_groups: list[Any] | None = None  # their contents when a step last checked them

    def _with_defaults(self, group: dict[str, Any]) -> dict[str, Any]:
        unknown = [name for name in group if name != "params" and name not in self.defaults]
        if unknown:
            raise TypeError(
                f"{type(self).__name__}: expected the options {', '.join(self.defaults)} in a group, got {unknown[0]!r}"
            )
        return {"params": group["params"], **self._checked({**self.defaults, **group})}

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group, as of layers that begin to be trained: a dict with "params" and the options that differ.

        The other options are those that the constructor was given. It raises what the constructor raises for such a
        group, and then adds nothing. The state of an optimizer goes to one with the same groups only: to load a state,
        add the groups first. A schedule of the optimizer scales the new group's lr too, from its next step on.

        >>> from tinygrad_sm.nn.optim import SGD
        >>> optimizer = SGD([Parameter([1.0])], lr=0.1, momentum=0.9)
        >>> optimizer.add_param_group({"params": [Parameter([2.0])], "lr": 0.01})
        >>> [(group["lr"], group["momentum"]) for group in optimizer.param_groups]
        [(0.1, 0.9), (0.01, 0.9)]
        """
        self._check_groups()
        group = self._with_defaults(_as_group(param_group, len(self.param_groups)))
        _check_parameters(type(self).__name__, [*[slot.parameter for slot in self._slots], *group["params"]])
        slots = [Slot(parameter, group) for parameter in group["params"]]
        write_all([(list.append, self.param_groups, group), (list.extend, self._slots, slots)])

    @property
    def lr(self) -> float:
        """The learning rate of all groups. Setting it sets every group's; reading it is a ValueError if they differ."""
        rates = [group["lr"] for group in self.param_groups]
        if any(rate != rates[0] for rate in rates):
            raise ValueError(f"lr: the groups have different ones, {rates}: read them from optimizer.param_groups")
        return rates[0]

    @lr.setter
    def lr(self, value: float) -> None:
        lr = self._at_least_0({"lr": value}, "lr")
        write_all([(dict.update, group, lr) for group in self.param_groups])

    def _check_groups(self) -> None:
        """Raise unless groups and parameters are those of the slots; check the options and make them plain values."""
        places = [(id(group), id(parameter)) for group in self.param_groups for parameter in group["params"]]
        if places != [(id(slot.group), id(slot.parameter)) for slot in self._slots]:
            raise ValueError(
                f"{type(self).__name__}: expected in param_groups the groups and parameters that it was made with: set "
                "their options one by one, or make a new optimizer"
            )
        write_all([(dict.update, group, self._checked(group)) for group in self.param_groups])

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for i, group in enumerate(self.param_groups):
            lines += [f"Parameter Group {i}", *(f"    {name}: {x}" for name, x in group.items() if name != "params")]
        return "\n".join([*lines, ")"])

    def _new_state(self, data: Array) -> dict[str, Any]:
        """Return the first state of a parameter: arrays like its data, and numbers."""
        raise NotImplementedError

    def _checked(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options of a group as plain Python values; raise unless their values are legal."""
        raise NotImplementedError

    def _at_least_0(self, options: Mapping[str, Any], *names: str) -> dict[str, float]:
        return {name: number(type(self).__name__, name, options[name], smallest=0) for name in names}

    def state_dict(self) -> dict[str, Any]:
        """Return what the next steps depend on besides parameters and gradients: options, and copies of arrays.

        It has PyTorch's form. "param_groups" holds the options of each group, the numbers of its "params" and, where a
        Module has named them, their "param_names". "state" holds the state of each parameter. "optimizer" is the name
        of the class.
        """
        self._check_groups()
        with LEAVES_LOCK:
            remembered = [{name: _copied(value) for name, value in slot.state.items()} for slot in self._slots]
        return {"optimizer": type(self).__name__, "param_groups": self._group_states(), "state": remembered}

    def _group_states(self) -> list[dict[str, Any]]:
        slots, groups = enumerate(self._slots), []
        for group in self.param_groups:
            own = [next(slots) for _ in group["params"]]
            names = [slot.name for _, slot in own]
            state = {**self._checked(group), "params": [i for i, _ in own]}
            groups.append({**state, "param_names": names} if any(names) else state)
        return groups

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Set the options and the state from a state dict, so that the next steps are those of its optimizer.

        Raises CheckpointError with the differences if the class, the groups, or the shapes, dtypes or names of
        parameters do not fit; the optimizer is then unchanged. The order decides which parameter is which, so a name
        that both sides know must be the same.
        """
        writes = self._load_writes(state)
        with LEAVES_LOCK:  # not while another thread saves
            write_all(writes)

    def _load_writes(self, state: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """Return the writes of `load_state_dict`, or raise as it does."""
        owner = type(self).__name__
        self._check_groups()
        groups = self._group_states()
        for group in groups:
            names = group.get("param_names", [None for _ in group["params"]])
            group["param_names"] = Optional([Optional(name) for name in names])
        # A parameter has no state before its first step.
        remembered = [Optional(self._new_state(slot.parameter.data)) for slot in self._slots]
        faults = differences({"optimizer": owner, "param_groups": groups, "state": remembered}, state)
        if any(fault.endswith("scheduled_lr: unexpected") for fault in faults):
            faults.append("tinygrad_sm 0.1 saved it, with a schedule: end the training there, or load the model alone")
        refuse_state(owner, faults)
        for i, group in enumerate(state["param_groups"]):
            faults += [f"param_groups[{i}]: {fault}" for fault in faults_of(self._checked, group)]
        for i, loaded in enumerate(state["state"]):
            faults += faults_of(integer, f"state[{i}]", "step", (loaded or {}).get("step", 0), 0, MAX_COUNT)
        refuse_state(owner, faults)
        pairs = zip(self.param_groups, state["param_groups"], strict=True)
        writes: list[tuple[Any, ...]] = [(dict.update, own, self._checked(group)) for own, group in pairs]
        states = zip(self._slots, state["state"], strict=True)
        return [*writes, *[(setattr, slot, "state", _copied_to_device(slot, loaded)) for slot, loaded in states]]


def _copied_to_device(slot: Slot, loaded: Mapping[str, Any]) -> dict[str, Any]:
    """Return a loaded state with new arrays on the parameter's device: the given ones may be in use."""
    device = device_of(slot.parameter.data)
    return {
        name: owned_copy(as_array(data_of(value), device=device)) if hasattr(value, "shape") else value
        for name, value in (loaded or {}).items()
    }


def _copied(value: Any) -> Any:
    return owned_copy(value) if type(value) in ARRAY_TYPES else value


def _as_groups(params: Iterable[Any]) -> list[dict[str, Any]]:
    """Return the groups, each with a tuple of parameters; parameters without groups are one group."""
    given = as_list(params)
    groups = given if any(isinstance(group, dict) for group in given) else [{"params": given}]
    return [_as_group(group, i) for i, group in enumerate(groups)]


def _as_group(group: Any, i: int) -> dict[str, Any]:
    if not isinstance(group, dict) or "params" not in group:
        raise TypeError(f'expected every group to be a dict with "params", got {described(group)} in place {i}')
    return {**group, "params": tuple(as_list(group["params"]))}  # nothing can be appended


def as_list(params: Any) -> list[Any]:
    """Return the parameters, or groups of them, as a list that is not empty."""
    if isinstance(params, Tensor):
        raise TypeError("expected an iterable of parameters, got one Tensor: put it in a list")
    if isinstance(params, Module):
        raise TypeError(f"expected parameters, got the Module {type(params).__name__}: give its .parameters()")
    if not isinstance(params, Iterable):
        hint = ": call it, as in model.parameters()" if callable(params) else ": give model.parameters()"
        raise TypeError(f"expected an iterable of parameters, got {described(params)}{hint}")
    params = list(params)
    if not params:
        raise ValueError("expected parameters, got none: is the model without any, or the iterator used up?")
    return params


def _check_parameters(owner: str, parameters: list[Any]) -> None:
    """Raise unless an optimizer can change these parameters."""
    check_leaves(owner, parameters)
    for i, parameter in enumerate(parameters):
        if not (parameter.requires_grad or isinstance(parameter, Parameter)):  # a frozen one is skipped
            raise ValueError(
                f"{owner}: parameter {i}, {described(parameter)}, requires no gradient: give model.parameters()"
            )
    if len({id(parameter) for parameter in parameters}) < len(parameters):
        raise ValueError(f"{owner}: a parameter is given twice: it would be changed twice in each step")


def check_leaves(caller: str, parameters: list[Any]) -> None:
    """Raise unless these are leaf Tensors of floats, whose arrays can be changed in place."""
    check_tensors(caller, parameters)
    for i, parameter in enumerate(parameters):
        if parameter.node is not None or parameter.dtype.kind != "f":
            raise ValueError(
                f"{caller}: parameter {i}, {described(parameter)}, is no leaf of floats: give model.parameters()"
            )
        if not is_writable(parameter.data):
            raise ValueError(
                f"{caller}: parameter {i} has a read-only array, which cannot be changed in place: give it a copy"
            )


def check_tensors(caller: str, tensors: list[Any]) -> None:
    """Raise unless these are Tensors."""
    for i, tensor in enumerate(tensors):
        if not isinstance(tensor, Tensor):
            raise TypeError(
                f"{caller}: expected Tensors, got {type(tensor).__name__} in place {i}: give model.parameters()"
            )
