"""A sum over paths as the lecture writes it: a line of derivatives, and under it their numbers."""

import itertools
from typing import Any, NamedTuple

from tinygrad_sm.look.digits import typeset
from tinygrad_sm.look.text import wrapped

SUBSCRIPTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")

DIGITS = 6
"""The significant digits of the numbers."""

LONGEST = 12
"""The most factors of a path that are written; of a longer one, the first and the last of them."""


class Link(NamedTuple):
    """One or several factors in a row, as one derivative."""

    out: Any
    operand: Any
    value: float


def text_of_paths(paths: Any, fold: bool = True, width: int = 120) -> str:
    """Return the text of `Paths`; see `Paths.text`."""
    place = f" at {paths.labels[paths.element.value.key]}{list(paths.element.index)}" if paths.element.index else ""
    title = f"∂L/∂{name_of(paths, paths.element)}{place}, the sum over {len(paths.paths):,} path"
    title += "" if len(paths.paths) == 1 else "s"
    if paths.dropped:
        title += f"; {paths.dropped:,} more, with a factor 0, {'is' if paths.dropped == 1 else 'are'} left out"
    lines = wrapped(title, width)
    chains = _chains(paths, fold)
    shared = set.intersection(*[{link.operand for link in chain} for chain in chains]) if chains else set()
    for number, (path, chain) in enumerate(zip(paths.paths, chains, strict=True), 1):
        via = [name_of(paths, link.operand) for link in chain if link.operand not in shared]
        title = f"  via {_shortened(via, ', ')}:" if via else f"  path {number}:" if len(chains) > 1 else " "
        names = [f"∂{name_of(paths, link.out)}/∂{name_of(paths, link.operand)}" for link in chain] or ["∂L/∂L"]
        values = [f"({typeset(link.value, DIGITS)})" for link in chain] if len(chain) > 1 else []
        product = f"= {typeset(path.product, DIGITS)}"
        lines += wrapped(f"{title} {_shortened(names, ' · ')}", width)
        lines += wrapped(f"    = {_shortened(values, ' · ')} {product}" if values else f"    {product}", width)
    lines += [f"  the sum:  {typeset(paths.sum, DIGITS)}", f"  autodiff: {typeset(paths.autodiff, DIGITS)}"]
    return "\n".join(lines)


def name_of(paths: Any, element: Any) -> str:
    """Return the name of an element with its subscripts, counted from 1 as in the lecture; the loss is L."""
    if element == paths.loss:
        return "L"
    places = ",".join(str(i + 1) for i in element.index)
    return f"{paths.labels[element.value.key]}{places.translate(SUBSCRIPTS)}"


def _chains(paths: Any, fold: bool) -> list[list[Link]]:
    """Return the factors of each path, or with `fold` products of those between which nothing is to be shown.

    Where two paths lead through the same names, what tells them apart is shown too: one derivative has one value.
    """
    if not fold:
        return [[Link(factor.out, factor.operand, factor.value) for factor in path.factors] for path in paths.paths]
    alike: dict[tuple[Any, ...], list[Any]] = {}
    for path in paths.paths:
        alike.setdefault(tuple(link[:2] for link in _folded(path, set())), []).append(path)
    kept = {id(path): _differences(group) for group in alike.values() for path in group}
    return [_folded(path, kept[id(path)]) for path in paths.paths]


def _differences(group: list[Any]) -> set[Any]:
    """Return the elements that not all of these paths pass, and those that have two factors for one operand."""
    passed = [{factor.operand for factor in path.factors} for path in group]
    uses: dict[tuple[Any, Any], set[int]] = {}
    for factor in itertools.chain.from_iterable(path.factors for path in group):
        uses.setdefault((factor.out, factor.operand), set()).add(id(factor))
    twice = {out for (out, _), factors in uses.items() if len(factors) > 1}
    return (set.union(*passed) - set.intersection(*passed)) | twice


def _folded(path: Any, kept: set[Any]) -> list[Link]:
    """Return the factors of a path, those in a row as one where no name, or only a 1, stands between them."""
    links = [Link(factor.out, factor.operand, factor.value) for factor in path.factors]
    by_name = any(factor.operand.value.names for factor in path.factors[:-1])
    folded = list[Link]()
    for link in links:
        last = folded[-1] if folded else None
        is_shown = last is not None and last.operand in kept
        if last and not is_shown and (not last.operand.value.names if by_name else 1 in (last.value, link.value)):
            folded[-1] = Link(last.out, link.operand, last.value * link.value)
        else:
            folded.append(link)
    return folded


def _shortened(parts: list[str], between: str) -> str:
    half = LONGEST // 2
    return between.join(parts if len(parts) <= LONGEST else [*parts[:half], "…", *parts[-half:]])
