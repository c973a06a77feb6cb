"""What `backward()` does in a group of processes: it weights what a walk finds, and sums it over all; see `parallel`.

The gradient of a mean over n rows is Σ_r (n_r/n) ∇L_r, with L_r the mean over the n_r rows of process r. What n_r is
depends on the loss from which the walk starts:

    a loss of nn        n_r is what it was divided by, such as the weights of its labels; it left a note of that
    any other           n_r is the number of rows, so this must be a mean over rows
    one with terms      n_r is the number of rows, but terms that are means of nn have their own n_r: before the walk,
                        a message sums these, and in the walk each term's gradient is scaled by the quotient

A sum over rows has n_r = n = 1. In a process without rows, n_r is 0.
"""

from collections.abc import Callable
from functools import partial
from typing import Any
from weakref import WeakSet, ref

from tinygrad_sm import shares
from tinygrad_sm.backend import Array, check_same_device
from tinygrad_sm.engine.tape import Node, Traced, count_uses, sequence_number
from tinygrad_sm.errors import GradientError
from tinygrad_sm.processes import Processes


class GradientSums:
    """Takes the place of a walk in a process of several: finds gradients, and sums those of some parameters.

    models : lists of these parameters
    means : by the id of a root, as long as it is there, a reference to it and its mean over the whole batch
    with_terms : the nodes of values that have losses of nn as terms, once a walk may have freed what leads to these
    """

    def __init__(self, processes: Processes):
        self.processes = processes
        self.models: list[list[Traced]] = []
        self.means: dict[int, tuple[ref[Traced], float]] = {}
        self.with_terms: WeakSet[Node] = WeakSet()
        self._walks = 0

    def place(self) -> str:
        """Return where this process is, for the names of messages."""
        part = shares.current or shares.Part(0, 0, 0, 0)
        done = f"after {self._walks} sums of gradients and {shares.steps} steps, lr {shares.last_rates}"
        return f"batch {part.number} of epoch {part.epoch}, {done}"

    def __call__(self, roots: Any, uses: Any, walk: Callable[[], Any]) -> tuple[dict[Traced, Any], dict[Traced, Array]]:
        """Walk; return the gradients of what only this process has, and the sums over all processes of the others."""
        part, ((root, seed),) = shares.current, roots.items()
        models = [i for i, model in enumerate(self.models) if any(parameter in uses for parameter in model)]
        if part is None or not models:
            return walk(), {}
        parameters = [parameter for i in models for parameter in self.models[i] if parameter.requires_grad]
        likes = [parameter.data for parameter in parameters]
        check_same_device("backward()", likes)
        strides = [like.strides for like in likes if like.ndim > 1]  # in which the vector has them, so it must be one
        name = f"backward(), {self.place()}, {sum(like.size for like in likes)} numbers of models {models}, {strides}"
        terms = losses_of_nn(uses)
        if len(terms) == 1 and terms[0][0] is root:
            note, terms = terms[0][1], []
        elif sequence_number(root) >= part.since:
            note = shares.Note(part.own_rows(), is_mean=True)
        else:
            raise GradientError(
                "backward(): a loader has given another batch since the loss was computed, and its rows would be "
                "weighted as those of that batch: call backward() before the next batch is asked for"
            )
        if not all(note.is_mean for _, note in terms):
            raise GradientError(
                'backward(): a loss of nn with reduction="sum" is a term of the loss, and what divides it may be the '
                'rows of this process or of all: take reduction="mean", or the backward() of the sum itself'
            )
        between = count_uses([root], {value for value, _ in terms}) if terms else {}
        self.with_terms.update(value.node for value in between if value.node and value.node not in shares.notes)
        found, change = self._walk_with_terms(walk, terms, seed, part, name)
        weight, is_scalar = float(note.weight), root.data.size == 1
        loss = weight * (root.data.item() + change) if weight and is_scalar else 0.0
        loss, total = self.processes.sum_numbers([loss, weight], name)
        divisor = note.divisor(total)
        gradients = [found.pop(parameter, None) for parameter in parameters]
        were_found = [gradient is not None for gradient in gradients]
        sums, counts = self.processes.sum_in_one(likes, gradients, weight / divisor, were_found)
        self._walks += 1
        if is_scalar:
            key = id(root)
            self.means[key] = ref(root, lambda _: self.means.pop(key, None)), loss / divisor
        return found, {p: g for p, g, count in zip(parameters, sums, counts, strict=True) if count}

    def note_of(self, x: Any) -> shares.Note | None:
        """Return the note of a loss of nn; GradientError if such losses are terms of x: each has its own note."""
        node = x.node if isinstance(x, Traced) else None
        if node is None or node in shares.notes:
            return shares.notes[node] if node else None
        new, seen = {node}, {node}
        while new:
            if any(node in shares.notes or node in self.with_terms for node in new):
                raise GradientError(
                    "group.mean: losses of nn are terms of x: take the mean of each, or of that on which backward() "
                    "was called"
                )
            operands = [operand for node in new for operand in node.operands or ()]  # a walk may have freed them
            new = {operand.node for operand in operands if isinstance(operand, Traced) and operand.node} - seen
            seen |= new
        return None

    def _walk_with_terms(self, walk: Any, terms: Any, seed: Any, part: shares.Part, name: str) -> tuple[Any, float]:
        """Walk, and scale what passes each term, so that it is right when all is weighted by the rows.

        Return what was found, and how the root changes if its terms are scaled as their gradients are: it is linear in
        them, with the gradient that passes as the factor.
        """
        if not terms:
            return walk(), 0.0
        weights, hooks, change = [float(note.weight) for _, note in terms], [value.hooks for value, _ in terms], 0.0
        totals = self.processes.sum_numbers(weights, f"the divisors of {len(terms)} losses, for {name}")

        def scaled(value: Traced, factor: float, g: Any) -> Any:
            nonlocal change
            if seed.size == 1:
                change += (factor - 1) * value.data.item() * g.item() / (seed.item() or 1)
            return g * factor

        for (value, note), weight, total in zip(terms, weights, totals, strict=True):
            factor = weight / note.divisor(total) * part.rows / (part.own or 1)
            value.hooks = (*value.hooks, partial(scaled, value, factor))
        try:
            return walk(), change
        finally:
            for (value, _), before in zip(terms, hooks, strict=True):
                value.hooks = before


def losses_of_nn(uses: Any) -> list[tuple[Traced, shares.Note]]:
    """Return the losses of nn among the values that a walk meets, in the order of their making, with their notes."""
    values = sorted((value for value in uses if value.node in shares.notes), key=sequence_number)
    return [(value, shares.notes[value.node]) for value in values]
