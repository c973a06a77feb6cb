"""The parameters of an optimizer in groups with options of their own, and the state dicts of both.

    optimizer = SGD([{"params": body, "lr": 0.01}, {"params": head}], lr=0.1)
    optimizer.param_groups[0]["lr"] = 0.02
    state = optimizer.state_dict()

What a step does to a parameter, `optim.py` says for each kind of optimizer.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from tinygrad_sm.arguments import number
from tinygrad_sm.arrays import as_array, described
from tinygrad_sm.backend import ARRAY_TYPES, Array, device_of, is_writable, owned_copy, to_device
from tinygrad_sm.engine.tape import plain
from tinygrad_sm.engine.versions import LEAVES_LOCK
from tinygrad_sm.nn.module import Parameter
from tinygrad_sm.nn.states import Optional, differences, fault_of, refuse_state
from tinygrad_sm.tensors import Tensor


class Slot:
    """One parameter of an optimizer: the group it belongs to, and what is remembered of its past."""

    def __init__(self, parameter: Tensor, group: dict[str, Any]):
        self.parameter = parameter
        self.group = group
        self.state: dict[str, Any] = {}  # empty until the first step that needs it
        self.scratch: dict[Any, Array] = {}  # what a quicker form of the step computes in
        self.device = device_of(parameter.data)  # of what is remembered

    def move_state(self) -> None:
        """Move what is remembered to the device to which the parameter was moved."""
        device = device_of(self.parameter.data)
        moved = {name: to_device(x, device) for name, x in self.state.items() if type(x) in ARRAY_TYPES}
        self.state, self.scratch, self.device = {**self.state, **moved}, {}, device


class Groups:
    """The parameters of an optimizer, in groups with options of their own, and the state dict of all of it.

    A kind of optimizer says what it remembers of a parameter (`_new_state`), and which values its options may have
    (`_checked`).
    """

    def __init__(self, params: Iterable[Any], **options: Any):
        options = self._checked(options)
        self.param_groups = [self._complete(group, options) for group in _as_groups(params)]
        parameters = [parameter for group in self.param_groups for parameter in group["params"]]
        _check_parameters(type(self).__name__, parameters)
        self._slots = [Slot(parameter, group) for group in self.param_groups for parameter in group["params"]]
        self._checked_groups: list[Any] = []  # what was in them when a step found them right

    def _complete(self, group: dict[str, Any], options: dict[str, Any]) -> dict[str, Any]:
        unknown = [name for name in group if name != "params" and name not in options]
        if unknown:
            raise TypeError(
                f"{type(self).__name__}: expected the options {', '.join(options)} in a group, got {unknown[0]!r}"
            )
        return {"params": group["params"], **self._checked({**options, **group})}

    @property
    def lr(self) -> float:
        """The learning rate of all groups. To set it sets that of every group; groups that differ have none to read."""
        rates = [group["lr"] for group in self.param_groups]
        if any(rate != rates[0] for rate in rates):
            raise ValueError(f"lr: the groups have different ones, {rates}: read them from optimizer.param_groups")
        return rates[0]

    @lr.setter
    def lr(self, value: float) -> None:
        for group in self.param_groups:
            group |= self._at_least_0({"lr": value}, "lr")

    def _check_groups(self) -> None:
        """Make the options plain Python values, if they are what they may be, and the groups those of the slots."""
        places = [(id(group), id(parameter)) for group in self.param_groups for parameter in group["params"]]
        if places != [(id(slot.group), id(slot.parameter)) for slot in self._slots]:
            raise ValueError(
                f"{type(self).__name__}: expected in param_groups the groups and parameters that it was made with: set "
                "their options one by one, or make a new optimizer"
            )
        checked = [self._checked(group) for group in self.param_groups]
        for group, options in zip(self.param_groups, checked, strict=True):
            group |= options

    def _new_state(self, data: Array) -> dict[str, Any]:
        """Return what is remembered of a parameter at first: arrays like its data, and numbers."""
        raise NotImplementedError

    def _checked(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options of a group as plain Python values, if they are what they may be."""
        raise NotImplementedError

    def _at_least_0(self, options: Mapping[str, Any], *names: str) -> dict[str, float]:
        return {name: number(type(self).__name__, name, options[name], smallest=0) for name in names}

    def state_dict(self) -> dict[str, Any]:
        """Return all that the next steps depend on beside parameters and gradients: options, and copies of arrays.

        It has the form of PyTorch's: under "param_groups" the options of each group with the places of its "params"
        and, where a Module has named them, their "param_names"; under "state" what is remembered of each parameter; and
        under "optimizer" the name of the class.
        """
        self._check_groups()
        with LEAVES_LOCK:
            remembered = [{name: _copied(value) for name, value in slot.state.items()} for slot in self._slots]
        return {"optimizer": type(self).__name__, "param_groups": self._group_states(), "state": remembered}

    def _group_states(self) -> list[dict[str, Any]]:
        places, groups = iter(range(len(self._slots))), []
        for group in self.param_groups:
            names = [parameter.name for parameter in group["params"]]
            groups.append({**self._checked(group), "params": [next(places) for _ in names], "param_names": names})
            if not any(names):
                del groups[-1]["param_names"]
        return groups

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Set options and what is remembered to a state dict, so that the next steps are those of its optimizer.

        Raises CheckpointError with every difference if it is of another class or does not fit the groups and the
        shapes, dtypes and names of the parameters; the optimizer is then as it was. The order says which parameter is
        which, so a name that both know must be the same.
        """
        owner = type(self).__name__
        self._check_groups()
        groups = self._group_states()
        for group in groups:
            names = group.get("param_names", [None for _ in group["params"]])
            group["param_names"] = Optional([Optional(name) for name in names])
        remembered = [
            Optional(self._new_state(slot.parameter.data)) for slot in self._slots
        ]  # {} before its first step
        faults = differences({"optimizer": owner, "param_groups": groups, "state": remembered}, state)
        if any(fault.endswith("scheduled_lr: unexpected") for fault in faults):
            faults.append("tinygrad_sm 0.1 saved it, with a schedule: end the training there, or load the model alone")
        refuse_state(owner, faults)
        for i, group in enumerate(state["param_groups"]):
            faults += [f"param_groups[{i}]: {fault}" for fault in fault_of(self._checked, group)]
        for i, loaded in enumerate(state["state"]):
            if loaded and loaded.get("step", 0) < 0:
                faults.append(f"state[{i}].step: expected at least 0, got {loaded['step']}")
        refuse_state(owner, faults)
        states = [_taken_over(slot, loaded) for slot, loaded in zip(self._slots, state["state"], strict=True)]
        for own, group in zip(self.param_groups, state["param_groups"], strict=True):
            own |= self._checked(group)
        for slot, loaded in zip(self._slots, states, strict=True):
            slot.state = loaded


def _taken_over(slot: Slot, loaded: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a state dict remembers of a parameter as new arrays on its device: those given may be in use."""
    device = device_of(slot.parameter.data)
    return {
        name: owned_copy(as_array(plain(value), device=device)) if hasattr(value, "shape") else value
        for name, value in (loaded or {}).items()
    }


def _copied(value: Any) -> Any:
    return owned_copy(value) if type(value) in ARRAY_TYPES else value


def _as_groups(params: Iterable[Any]) -> list[dict[str, Any]]:
    """Return the groups, each with a list of parameters; parameters without groups are one group."""
    given = as_list(params)
    groups = given if any(isinstance(group, dict) for group in given) else [{"params": given}]
    for i, group in enumerate(groups):
        if not isinstance(group, dict) or "params" not in group:
            raise TypeError(f'expected every group to be a dict with "params", got {described(group)} in place {i}')
    return [{**group, "params": tuple(as_list(group["params"]))} for group in groups]  # nothing can be appended


def as_list(params: Iterable[Any]) -> list[Any]:
    """Return the parameters, or groups of them, as a list that is not empty."""
    if isinstance(params, Tensor):
        raise TypeError("expected an iterable of parameters, got one Tensor: put it in a list")
    params = list(params)
    if not params:
        raise ValueError("expected parameters, got none: is the model without any, or the iterator used up?")
    return params


def _check_parameters(owner: str, parameters: list[Any]) -> None:
    """Raise unless these are what an optimizer can change."""
    check_leaves(owner, parameters)
    for i, parameter in enumerate(parameters):
        if not (parameter.requires_grad or isinstance(parameter, Parameter)):  # that is frozen, and passed over
            raise ValueError(
                f"{owner}: parameter {i}, {described(parameter)}, requires no gradient: give model.parameters()"
            )
    if len({id(parameter) for parameter in parameters}) < len(parameters):
        raise ValueError(f"{owner}: a parameter is given twice: it would be changed twice in each step")


def check_leaves(caller: str, parameters: list[Any]) -> None:
    """Raise unless these are what can be changed in place: leaf Tensors of floats."""
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
            raise TypeError(f"{caller}: expected Tensors, got {type(tensor).__name__} in place {i}")
