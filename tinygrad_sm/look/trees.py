"""The tree of a Module as HTML: each Module in it with the shapes of its parameters and buffers, and their count.

A parameter counts where it stands first, so that the counts inside a Module add up to its own. Modules may stand
thousands of levels inside each other, or inside themselves, so nothing here calls itself; browsers allow 512 levels.
"""

from dataclasses import dataclass, field
from html import escape
from typing import Any, NamedTuple

from tinygrad_sm.errors import shown
from tinygrad_sm.look.heat import FAINT, note
from tinygrad_sm.tensors import Tensor

MOST_LINES, MOST_LEVELS, MOST_STATES = 200, 30, 20
"""So many Modules are shown, so deep inside, and of each Module so many parameters and buffers."""


class Counts(NamedTuple):
    """How many elements parameters, frozen ones among them, and buffers have."""

    parameters: int = 0
    frozen: int = 0
    buffers: int = 0


class State(NamedTuple):
    """A parameter or a buffer of a Module; same_as : where it stands before, None if this is its first place."""

    name: str
    tensor: Any
    is_parameter: bool
    same_as: str | None

    @property
    def counts(self) -> Counts:
        """What it adds to the counts."""
        size = 0 if self.same_as is not None else self.tensor.size
        if not self.is_parameter:
            return Counts(buffers=size)
        return Counts(parameters=size, frozen=0 if self.tensor.requires_grad else size)


@dataclass(eq=False)
class Branch:
    """A Module at a place in the tree, with its own parameters and buffers.

    same_as : where it stands before, and where what is inside it is shown; None if this is its first place.
    counts : of its own parameters and buffers, and of those of the Modules inside.
    """

    module: Any
    name: str = ""
    owner: "Branch | None" = None
    level: int = 0
    same_as: str | None = None
    states: list[State] = field(default_factory=list)
    counts: Counts = Counts()
    has_children: bool = False

    def path(self, name: str = "") -> str:
        """Return the path of this Module, or of an attribute of it."""
        names, branch = [name] if name else [], self
        while branch.owner is not None:
            names.append(branch.name)
            branch = branch.owner
        return ".".join(reversed(names))


def module_html(module: Any) -> str:
    """Return the tree of a Module: the Modules directly inside it are listed, and folded if there are some in them."""
    found = branches(module)
    listed = [branch for branch in found if branch.level <= MOST_LEVELS][:MOST_LINES]
    parts: list[str] = []
    unclosed: list[Branch] = []
    for branch in listed:
        while unclosed and unclosed[-1] is not branch.owner:
            parts.append("</div></details>")
            unclosed.pop()
        line = _line(branch)
        if branch.has_children:
            is_open = "" if unclosed else " open"
            parts.append(f'<details{is_open}><summary>{line}</summary><div style="margin-left:1.2em">')
            unclosed.append(branch)
        else:
            parts.append(f'<div style="margin-left:{"1em" if unclosed else "0"}">{line}</div>')
    parts += ["</div></details>" for _ in unclosed]
    if len(listed) < len(found):
        parts.append(note(f"{len(found) - len(listed):,} more Modules, deeper inside or further on, are not shown"))
    return f'<div style="line-height:1.6">{"".join(parts)}</div>'


def branches(root: Any) -> list[Branch]:
    """Return all places of Modules in the tree, each owner before what it owns, with the counts."""
    kind, trainable = _class_module(root), {id(parameter) for parameter in root.parameters()}
    found = [Branch(root)]
    places = {id(root): (found[0], "")}  # where each Tensor and Module stands first
    to_visit = [(found[0], iter(vars(root).items()))]
    while to_visit:
        branch, attributes = to_visit[-1]
        for name, value in attributes:
            is_module = isinstance(value, kind)
            if not (is_module or (isinstance(value, Tensor) and value.is_state)):
                continue
            owner, first_name = places.setdefault(id(value), (branch, name))
            is_first = (owner, first_name) == (branch, name)
            same_as = None if is_first else owner.path(first_name)
            if not is_module:
                branch.states.append(State(name, value, id(value) in trainable, same_as))
                continue
            branch.has_children = True
            found.append(Branch(value, name, branch, branch.level + 1, same_as))
            if is_first:
                to_visit.append((found[-1], iter(vars(value).items())))
                break
        else:
            to_visit.pop()
    for branch in reversed(found):
        branch.counts = _sum(branch.counts, *(state.counts for state in branch.states))
        if branch.owner is not None:
            branch.owner.counts = _sum(branch.owner.counts, branch.counts)
    return found


def _sum(*counts: Counts) -> Counts:
    return Counts(*map(sum, zip(*counts, strict=True)))


def _class_module(module: Any) -> type:
    """Return the class Module, which stands on a floor above: the first that notebooks were told how to show."""
    return [cls for cls in type(module).__mro__ if "_repr_html_" in vars(cls)][-1]


def _line(branch: Branch) -> str:
    """Return what is said of a Module: its name, its class with the options, its own parameters and buffers, counts."""
    module = branch.module
    if type(module).__repr__ is _class_module(module).__repr__:
        options = "" if branch.has_children else module.extra_repr()
        kind = f"<b>{_brief(type(module).__name__)}</b>" + (f"({_brief(options)})" if options else "")
    else:  # a class that shows itself in its own way
        kind = _brief(repr(module))
    head = f"{_brief(branch.name)}: {kind}" if branch.owner else kind
    if branch.same_as is not None:
        return f"{head} {_faint(_shared(branch.same_as))}"
    states = [_state(state) for state in branch.states[:MOST_STATES]]
    if more := len(branch.states) - len(states):
        states.append(f"{more:,} more")
    parameters, frozen, buffers = branch.counts
    counts = [f"{parameters:,} parameters"] if parameters or branch.owner is None else []
    counts += [f"{frozen:,} of them frozen"] if frozen else []
    counts += [f"{buffers:,} elements of buffers"] if buffers else []
    return " ".join([head, *([_faint(" · ".join(states))] if states else []), ", ".join(counts)]).rstrip()


def _state(state: State) -> str:
    marks = ["buffer"] if not state.is_parameter else [] if state.tensor.requires_grad else ["frozen"]
    marks += [] if state.same_as is None else [_shared(state.same_as)]
    return ", ".join([f"{_brief(state.name)} {state.tensor.shape}", *marks])


def _shared(path: str) -> str:
    return f"shared: the same as {_brief(path) or 'the outermost'}"


def _faint(markup: str) -> str:
    return f'<span style="{FAINT}">{markup}</span>'


def _brief(words: str) -> str:
    """Return text as HTML, on one line, and cut if it is long."""
    return escape(shown(" ".join(words.split()), longest=200))
