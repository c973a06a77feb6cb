"""The drawings show what they are given: a line for each weight, numbers at their places, paths of gradients."""

import re

import drawings
import numpy as np
import pictures
import pytest
from matplotlib.colors import to_hex
from matplotlib.patches import Circle, FancyBboxPatch, Rectangle

from tests.examples.helpers import EXAMPLES


def texts(axes):
    """Return what is written, with its place, in data coordinates."""
    return {text.get_text(): text.get_position() for text in axes.texts if text.get_text()}


def network_parts(figure):
    [axes] = figure.axes
    circles = [patch for patch in axes.patches if isinstance(patch, Circle)]
    boxes = [patch for patch in axes.patches if isinstance(patch, FancyBboxPatch)]
    arrows = [text for text in axes.texts if getattr(text, "arrow_patch", None)]
    return axes, circles, boxes, arrows


def test_a_network_has_a_line_for_each_weight_and_one_softmax(figures, tmp_path):
    layers = [["x₁", "x₂", "x₃", "x₄"], ["o₁", "o₂", "o₃"], ["ŷ₁", "ŷ₂", "ŷ₃"]]
    drawings.network(tmp_path / "network.png", layers, "Softmax regression")
    axes, circles, [box], arrows = network_parts(figures[0])
    places = {text.get_text(): text.get_position() for text in axes.texts if text not in arrows}
    ends = {tuple(map(tuple, line.get_xydata())) for line in axes.get_lines()}
    assert ends == {(places[x], places[o]) for x in layers[0] for o in layers[1]}
    assert len(circles) == 4 + 3 + 3
    assert len(arrows) == 3 + 3  # into the box, and out of it
    heights = [places[o][1] for o in layers[1]]
    assert box.get_y() < min(heights) < max(heights) < box.get_y() + box.get_height()
    assert places["o₁"][0] < box.get_x() < box.get_x() + box.get_width() < places["ŷ₁"][0]
    assert places["x₁"][1] > places["x₄"][1]
    assert places["softmax"] == (box.get_x() + box.get_width() / 2, box.get_y() + box.get_height() / 2)


def test_nodes_that_are_left_out_have_no_lines(figures, tmp_path):
    drawings.network(tmp_path / "a.png", [["x₁", "⋮", "x₉"], ["z₁", "⋮", "z₅"], ["a₁", "⋮", "a₅"]], "Many")
    axes, circles, boxes, arrows = network_parts(figures[0])
    assert (len(axes.get_lines()), len(circles), len(boxes), len(arrows)) == (4, 6, 1, 4)
    drawings.network(tmp_path / "b.png", [["x₁", "x₂"], ["q₁", "q₂", "q₃"], ["ŷ"]], "Regression", output=None)
    axes, circles, boxes, arrows = network_parts(figures[1])
    assert (len(axes.get_lines()), len(circles), len(boxes), len(arrows)) == (6 + 3, 6, 0, 0)


@pytest.mark.parametrize("layers", [[["x"], ["z₁", "z₂"]], [["x"], ["z₁", "z₂"], ["a"]]])
def test_a_softmax_needs_a_probability_for_each_net_input(layers, tmp_path):
    with pytest.raises(
        ValueError, match=r"got layers of \[1, 2.*\] nodes: add the probabilities as the last layer, or"
    ):
        drawings.network(tmp_path / "network.png", layers, "A network")
    assert list(tmp_path.iterdir()) == []


def test_the_sigmoids_of_a_stack_have_a_box_each(figures, tmp_path):
    layers = [["x₁", "x₂"], ["z₁", "z₂", "z₃"], ["a₁", "a₂", "a₃"]]
    drawings.network(tmp_path / "stack.png", layers, "A stack", output="sigmoid")
    axes, circles, boxes, arrows = network_parts(figures[0])
    assert (len(axes.get_lines()), len(circles), len(boxes), len(arrows)) == (2 * 3, 8, 3, 3 + 3)
    heights = [axes.texts[i].get_position()[1] for i in range(len(axes.texts)) if axes.texts[i].get_text() == "σ"]
    assert heights == [1, 0, -1]


def test_an_index_behind_an_underscore_is_typeset(figures, tmp_path):
    drawings.network(tmp_path / "network.png", [["x"], ["q_U", "q₁"]], "A network", output=None)
    [axes] = figures[0].axes
    assert [name for name in texts(axes) if "U" in name] == [r"$\mathregular{q_{U}}$"]


PATHS = {
    "via a₁": [("L", "a₁", "∂L/∂a₁", -2.0), ("a₁", "z₁", "∂a₁/∂z₁", 0.25), ("z₁", "x₁", "∂z₁/∂w₁₁", 3.0)],
    "via a₂": [("L", "a₂", "∂L/∂a₂", 0.0), ("a₂", "z₁", "∂a₂/∂z₁", -0.25), ("z₁", "x₁", "∂z₁/∂w₁₁", 3.0)],
}


def test_every_path_goes_from_the_loss_to_the_weight_with_its_factors(figures, tmp_path):
    layers = [["x₁", "x₂"], ["z₁", "z₂"], ["a₁", "a₂"]]
    values = {"x₁": 3.0, "x₂": 1.5, "z₁": 0.0, "z₂": -0.5, "a₁": 0.5, "a₂": 0.125, "L": 0.75}
    sums = ["via a₁: −1.5", "via a₂: 0", "the sum: −1.5"]
    drawings.gradient_paths(tmp_path / "paths.png", layers, values, PATHS, sums, "Paths")
    [axes] = figures[0].axes
    written = texts(axes)
    places = {name.split("\n")[0]: place for name, place in written.items()}
    for name, value in (("x₁", "3"), ("x₂", "1.500"), ("z₂", "−0.500"), ("a₂", "0.125"), ("L", "0.750")):
        assert f"{name}\n{value}" in written
    for factor in ("∂L/∂a₁\n= −2", "∂a₁/∂z₁\n= 0.250", "∂L/∂a₂\n= 0", "∂a₂/∂z₁\n= −0.250", "∂z₁/∂w₁₁\n= 3"):
        assert factor in written
    assert len([name for name in written if name.startswith("∂z₁")]) == 1  # what both paths share is said once
    assert set(sums) <= set(written)

    steps = [text for text in axes.texts if getattr(text, "arrowprops", None) and text.arrowprops["linewidth"] == 2]
    came = {}
    for step in steps:
        nearest = [
            min(places, key=lambda name, at=at: np.hypot(*np.subtract(places[name], at)))
            for at in (step.xyann, step.xy)
        ]
        came.setdefault(step.arrowprops["color"], []).append(tuple(nearest))
    # The last step ends at the weight, which stands on the line from the input, under its factor.
    expected = [
        [(start, factor if end in layers[0] else end) for start, end, factor, _ in path] for path in PATHS.values()
    ]
    assert list(came.values()) == expected
    assert list(came) == [color for color, _ in pictures.STYLES[:2]]
    assert len({step.arrowprops["linestyle"] for step in steps}) == 2  # the colour-blind see two paths too
    assert len({step.xy for step in steps}) == len(steps)  # no arrow hides another
    of_sums = [next(text.get_color() for text in axes.texts if text.get_text() == line) for line in sums]
    assert of_sums == [*came, "black"]


def test_an_equation_has_every_number_at_its_place(figures, tmp_path):
    W, x = np.array([[0.5, -2.0, 0.25], [1.0, 0.0, -0.5]]), np.array([[0.75], [0.0], [1.0]])
    parts = [("W", W, ["cat", "dog"], ["x₁", "x₂", "x₃"], "signs"), "·", ("x", x, ["", "", ""], [""], "grey")]
    drawings.equation(tmp_path / "equation.png", parts, "Wx")
    [axes] = figures[0].axes
    cells = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    assert len(cells) == W.size + x.size
    numbers = [text.get_text() for text in axes.texts if re.fullmatch(r"−?[\d.]+", text.get_text())]
    assert numbers == ["0.50", "−2", "0.25", "1", "0", "−0.50", "0.75", "0", "1"]
    for cell, text in zip(cells, [text for text in axes.texts if text.get_text() in numbers], strict=True):
        assert text.get_position() == pytest.approx((cell.get_x() + 0.5, cell.get_y() + 0.5))
    red, blue, white = (cells[i].get_facecolor() for i in (3, 1, 4))
    assert red[0] > red[2]
    assert blue[2] > blue[0]
    assert min(white[:3]) > 0.95
    assert [to_hex(cell.get_facecolor()) for cell in cells[-2:]] == ["#000000", "#ffffff"]
    written = texts(axes)
    assert cells[2].get_x() + 1 < written["·"][0] < cells[6].get_x()
    assert written["dog"][1] == pytest.approx(cells[3].get_y() + 0.5)
    assert written["x₂"][0] == pytest.approx(cells[1].get_x() + 0.5)


def test_the_rows_of_an_image_have_their_colours_in_the_image_and_in_the_vector(figures, tmp_path):
    image = np.arange(20.0).reshape(5, 4)
    drawings.rows_of_an_image(tmp_path / "rows.png", image, {"green": 1, "blue": 2}, "Rows")
    whole, vector, pieces = figures[0].axes
    np.testing.assert_array_equal(whole.images[0].get_array(), image)
    np.testing.assert_array_equal(vector.images[0].get_array().ravel(), image.ravel())
    np.testing.assert_array_equal(pieces.images[0].get_array().ravel(), image[1:3].ravel())
    assert vector.images[0].get_extent()[:2] == [-0.5, 19.5]
    assert pieces.images[0].get_extent()[:2] == [3.5, 11.5]
    colors = [pictures.NAMED[name][0] for name in ("green", "blue")]
    for axes, starts in (
        (whole, [(-0.5, 0.5), (-0.5, 1.5)]),
        (vector, [(3.5, 0), (7.5, 0)]),
        (pieces, [(3.5, 0), (7.5, 0)]),
    ):
        assert [to_hex(mark.get_edgecolor()).upper() for mark in axes.patches] == colors
        assert [mark.get_xy() for mark in axes.patches] == starts
        assert {mark.get_width() for mark in axes.patches} == {4}
    assert [label.get_text() for label in whole.get_yticklabels()] == ["row 1", "row 2"]
    assert {"row 1, green", "row 2, blue"} <= texts(pieces).keys()


def test_the_symbols_of_all_networks_are_those_of_the_page_on_layouts():
    symbols = set()
    for path in EXAMPLES.glob("*.py"):
        text = path.read_text("utf-8")
        symbols |= set(re.findall(r'"([^\W\d₀-₉])[₀-₉]+"', text))
        symbols |= set("".join(re.findall(r'for name in "(\w+)"', text)))
    assert {"x", "z", "a"} <= symbols <= set("xqza")
