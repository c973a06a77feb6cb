"""Places for the values of a tape, in rows: operands above results, few crossings, long edges straight.

The four steps are those of Sugiyama, Tagawa and Toda (1981): rows, the order in each row, columns, routes. An edge has
a bend in each row that it crosses, a node without width. Edges of one value share their bends.
"""

from bisect import bisect_right, insort
from collections.abc import Iterable, Sequence
from graphlib import TopologicalSorter
from itertools import pairwise
from math import inf
from typing import Any

Pair = tuple[Any, Any]
Near = dict[Any, list[Any]]  # of each node its neighbours in the row above, or in the row below


def layered(
    nodes: Sequence[Any], edges: Iterable[Pair], sizes: dict[Any, Pair], gap: tuple[float, float] = (28, 46)
) -> tuple[dict[Any, Pair], dict[Pair, list[Pair]]]:
    """Return the centre of each node, and for each edge its points, from the border of one node to that of the other.

    nodes : in the order of recording.  edges : from operands to results.  sizes : of each node its width and height.
    gap : between neighbours in a row, and between rows. y grows downwards.
    """
    edges = list(dict.fromkeys(edges))
    row_of = _rows(*_neighbours(nodes, edges))
    chains = {(a, b): [a, *((a, k, "bend") for k in range(row_of[a] + 1, row_of[b])), b] for a, b in edges}
    row_of |= {n: row_of[chain[0]] + k for chain in chains.values() for k, n in enumerate(chain)}
    up, down = _neighbours(row_of, dict.fromkeys(link for chain in chains.values() for link in pairwise(chain)))
    rows: list[list[Any]] = [[] for _ in range(1 + max(row_of.values(), default=-1))]
    for n in reversed(row_of):
        rows[row_of[n]].append(n)
    rows = _ordered(rows, up, down)
    width = {n: sizes[n][0] if n in sizes else 0 for n in row_of}
    x, borders = _columns(rows, up, down, width, gap[0]), [(0.0, -gap[1])]
    for row in rows:
        top = borders[-1][1] + gap[1]
        borders.append((top, top + max(sizes[n][1] for n in row if n in sizes)))
    y = {n: borders[k + 1] for n, k in row_of.items()}
    places = {n: (x[n], sum(y[n]) / 2) for n in nodes}
    routes = {}
    for (a, b), chain in chains.items():
        points = [(x[n], border) for n in chain for border in y[n]]
        points[0], points[-1] = (x[a], places[a][1] + sizes[a][1] / 2), (x[b], places[b][1] - sizes[b][1] / 2)
        routes[a, b] = list(dict.fromkeys(points))
    return places, routes


def _neighbours(nodes: Iterable[Any], edges: Iterable[Pair]) -> tuple[Near, Near]:
    up: Near = {n: [] for n in nodes}
    down: Near = {n: [] for n in up}
    for a, b in edges:
        up[b].append(a)
        down[a].append(b)
    return up, down


def _rows(up: Near, down: Near) -> dict[Any, int]:
    """Return the row of each node: below its operands, and just above its first use where that makes edges shorter."""
    row, longer, order = dict[Any, int](), dict[Any, int](), list(TopologicalSorter(up).static_order())
    for n in order:
        row[n] = 1 + max((row[m] for m in up[n]), default=-1)
        longer[n] = sum(min(1, longer[m]) if len(down[m]) == 1 else 1 for m in up[n])  # edges, if it moves down
    for n in reversed(order):
        if len(down[n]) >= max(1, longer[n]):
            row[n] = min(row[m] for m in down[n]) - 1
    return row


def _ordered(rows: list[list[Any]], up: Near, down: Near) -> list[list[Any]]:
    """Sort rows by the mean place of neighbours above, then below, and so on; return the order of fewest crossings."""
    place = {n: i for row in rows for i, n in enumerate(row)}
    best, fewest = rows, inf
    for sweep in range(min(24, 4 + 40_000 // len(place)) if place else 0):  # fewer in a drawing that nobody overlooks
        near = (up, down)[sweep % 2]
        for row in rows if near is up else rows[::-1]:
            mean, last = dict[Any, float](), 0.0
            for n in row:  # without neighbours it stays behind the one to its left
                mean[n] = last = sum(place[m] for m in near[n]) / len(near[n]) if near[n] else last
            row.sort(key=mean.__getitem__)
            place |= {n: i for i, n in enumerate(row)}
        for row in rows * 2:  # exchange neighbours where that removes crossings
            for i in range(len(row) - 1):
                u, v = row[i : i + 2]
                pairs = [(place[p], place[q]) for side in (up, down) for p in side[u] for q in side[v]]
                gain = sum((p > q) - (p < q) for p, q in pairs)
                if gain > 0 or (gain == 0 and sweep % 4 > 1):
                    row[i : i + 2], place[u], place[v] = (v, u), i + 1, i
        count = 0
        for row in rows:
            ends = list[int]()
            for end in (end for n in row for end in sorted(place[m] for m in down[n])):
                count += len(ends) - bisect_right(ends, end)
                insort(ends, end)
        if count < fewest:
            best, fewest = [row[:] for row in rows], count
    return best


def _columns(rows: list[list[Any]], up: Near, down: Near, width: dict[Any, float], gap: float) -> dict[Any, float]:
    """Return the centre of each node: near the mean of its neighbours' centres, those of bends most of all."""
    x = dict.fromkeys(width, 0.0)
    heavy = {n: 8 if not width[n] else 4 if up[n] else 1 for n in width}
    for sweep in range(8):
        old, near = dict(x), (up, down)[sweep % 2]
        for row in rows if near is up else rows[::-1]:
            blocks, at = list[Any](), 0.0  # of nodes that touch: their weight, their place, and where in it each stands
            for n in row:
                pull = {m: heavy[m] for m in near[n] or up[n] or down[n] or [n]}
                wish = sum(pull[m] * x[m] for m in pull) / sum(pull.values())
                at += width[n] / 2
                block = sum(pull.values()) * heavy[n] if near[n] else 0.01, wish - at, [(n, at)]
                at += width[n] / 2 + gap
                while blocks and blocks[-1][1] > block[1]:
                    w, p, members = blocks.pop()
                    block = w + block[0], (w * p + block[0] * block[1]) / (w + block[0]), members + block[2]
                blocks.append(block)
            x |= {n: p + at for _, p, members in blocks for n, at in members}
    return {n: (x[n] + old[n]) / 2 for n in x}
