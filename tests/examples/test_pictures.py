"""The pictures show what they are given: points at their places, classes in their colours, equal numbers alike."""

import os

import numpy as np
import pictures
import pytest
from matplotlib.colors import to_hex, to_rgb

from tests.examples.helpers import start

ORANGE, BLUE, GREEN = "#D55E00", "#0072B2", "#009E73"


def linear(points):
    """Return probabilities of three classes: the first where x1 > 0, else the second, never the third."""
    p = 1 / (1 + np.exp(-3 * points[:, 0]))
    return np.stack([0.99 * p, 0.99 * (1 - p), np.full(len(p), 0.01)], axis=1)


POINTS = np.array([[1.0, -1.0], [-1.0, 1.0], [1.0, 1.0], [-1.0, -1.0]])
LABELS = np.array([0, 1, 0, 1])


def test_folders_are_made_and_files_are_pngs(figures, tmp_path):
    path = tmp_path / "new" / "folder" / "lines.png"
    pictures.lines(path, {"y": {"a": ([0, 1], [1, 2])}}, "Lines", "x")
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    assert len(figures) == 1


def test_lines_and_points_are_those_given(figures, tmp_path):
    panels = {
        "y": {"data (points)": ([3.0, 1.0], [4.0, 5.0]), "fit": ([0.0, 9.0], [1.0, 2.0])},
        "z": {"fit": ([0], [7])},
    }
    pictures.lines(tmp_path / "lines.png", panels, "Lines", "time")
    first, second = figures[0].axes
    assert [(axes.get_xlabel(), axes.get_ylabel()) for axes in (first, second)] == [("time", "y"), ("time", "z")]
    data, fit = first.get_lines()
    assert (data.get_label(), list(data.get_xdata()), list(data.get_ydata())) == ("data", [3, 1], [4, 5])
    assert (fit.get_label(), list(fit.get_xdata()), list(fit.get_ydata())) == ("fit", [0, 9], [1, 2])
    assert (data.get_linestyle(), fit.get_linestyle()) == ("None", "-")
    assert fit.get_color() == second.get_lines()[0].get_color() != data.get_color()


def test_a_number_among_curves_is_a_line_across_the_panel(figures, tmp_path):
    pictures.curves(tmp_path / "curves.png", {"loss": {"descent": [3.0, 2.0], "closed form": 1.5}}, "Descent", "step")
    [axes] = figures[0].axes
    descent, best = axes.get_lines()
    assert list(descent.get_ydata()) == [3, 2]
    assert (list(best.get_xdata()), list(best.get_ydata())) == ([0, 1], [1.5, 1.5])
    assert best.get_transform() == axes.get_yaxis_transform()  # from the left edge to the right one
    assert (best.get_marker(), best.get_label()) == ("None", "closed form")


def test_panels_of_one_quantity_share_its_scale_and_gaps_have_a_logarithmic_one(figures, tmp_path):
    panels = {"a": {"x": ([0, 1], [1, 2])}, "b": {"x": ([0, 1], [100, 0.1])}}
    pictures.lines(tmp_path / "own.png", panels, "Lines", "x", log=["b"])
    pictures.lines(tmp_path / "shared.png", panels, "Lines", "x", share=True)
    own, shared = ([axes.get_ylim() for axes in figure.axes] for figure in figures)
    assert own[0] != own[1]
    assert shared[0] == shared[1]
    assert shared[0][0] <= 0.1 < 100 <= shared[0][1]
    assert [axes.get_yscale() for axes in figures[0].axes] == ["linear", "log"]


def test_the_label_of_a_panel_keeps_away_from_the_panel_before(figures, tmp_path):
    panels = {"loss": {"a": [0.5, 0.25]}, "accuracy in %": {"a": [90.0, 91.5]}}
    pictures.curves(tmp_path / "curves.png", panels, "Two panels")
    first, second = figures[0].axes
    gap = second.get_tightbbox().x0 - first.get_window_extent().x1  # its label is what is farthest to the left
    assert gap > 0.2 * figures[0].dpi  # inches


@pytest.mark.parametrize(("count", "shape"), [(1, (1, 1)), (3, (1, 3)), (4, (2, 2)), (5, (2, 3)), (7, (3, 3))])
def test_panels_stand_in_rows_of_at_most_three(figures, tmp_path, count, shape):
    pictures.bars(tmp_path / "bars.png", {str(i): {"a": i} for i in range(count)}, "Many", "x")
    axes = figures[0].axes
    assert [panel.get_title() for panel in axes] == [str(i) for i in range(count)]
    assert axes[0].get_gridspec().get_geometry() == shape


def test_no_two_names_look_the_same():
    styles = pictures._styles(["a", "red", "b", "blue", "c", "d", "e"])
    assert len(set(styles.values())) == len({color for color, _ in styles.values()}) == 7
    assert len({style[0] for _, style in styles.values()}) == 7  # the markers differ too
    assert (styles["red"][0], styles["blue"][0]) == (ORANGE, BLUE)
    assert pictures._styles(["green", "red"])["green"][0] == GREEN


def test_a_long_title_is_written_in_lines_that_fit(figures, tmp_path):
    pictures.bars(tmp_path / "bars.png", {"": {"a": 1}}, "word " * 30, "x")
    [figure] = figures
    title = figure._suptitle
    assert title.get_text().replace("\n", " ") == ("word " * 30).strip()
    box = title.get_window_extent()
    assert box.x0 >= 0
    assert box.x1 <= figure.get_figwidth() * figure.dpi


def test_bars_go_to_their_values_from_the_top(figures, tmp_path):
    pictures.bars(tmp_path / "bars.png", {"logit": {"first": 2.5, "second": -1.0}}, "Bars", "part")
    [axes] = figures[0].axes
    first, second = axes.patches
    assert (first.get_width(), second.get_width()) == (2.5, -1.0)
    assert to_hex(first.get_facecolor()) != to_hex(second.get_facecolor())
    assert [label.get_text() for label in axes.get_yticklabels()] == ["first", "second"]
    assert axes.transData.transform((0, first.get_y()))[1] > axes.transData.transform((0, second.get_y()))[1]
    assert {text.get_text() for text in axes.texts} == {"2.5", "−1"}


def test_bars_of_equal_length_are_equal_in_all_panels(figures, tmp_path):
    panels = {"stack": {"a": 0.999, "b": 0.989}, "softmax": {"a": 0.365, "b": -0.2}}
    pictures.bars(tmp_path / "bars.png", panels, "Bars", "probability")
    [left, right] = figures[0].axes
    assert left.get_xlim() == right.get_xlim()
    lengths = [axes.patches[0].get_window_extent().width for axes in (left, right)]
    assert lengths[1] / lengths[0] == pytest.approx(0.365 / 0.999, rel=1e-6)
    low, high = left.get_xlim()
    assert low < -0.2 < 0.999 < high
    for axes in (left, right):
        for text in axes.texts:
            box, frame = text.get_window_extent(), axes.get_window_extent()
            assert frame.x0 <= box.x0 < box.x1 <= frame.x1


def test_large_numbers_are_written_out(figures, tmp_path):
    pictures.bars(tmp_path / "bars.png", {"": {"a": 1182.7, "b": -1500.0, "c": 852.4}}, "Bars", "µs")
    assert [text.get_text() for text in figures[0].axes[0].texts] == ["1,183", "−1,500", "852"]


def test_a_total_is_not_drawn_like_a_share(figures, tmp_path):
    pictures.bars(tmp_path / "bars.png", {"": {"a": 3.0, "b": -1.0, "sum": 2.0}}, "Bars", "share", total="sum")
    [axes] = figures[0].axes
    assert [bar.get_hatch() is None for bar in axes.patches] == [True, True, False]
    assert to_hex(axes.patches[2].get_facecolor()) == "#ffffff"
    line, _ = axes.get_lines()  # the other is that of 0
    height = line.get_ydata()[0]
    assert axes.patches[1].get_y() + axes.patches[1].get_height() < height < axes.patches[2].get_y()


def test_the_image_stands_beside_its_bars(figures, tmp_path):
    images, panels = np.arange(8.0).reshape(2, 2, 2), {"first": {"a": 0.9}, "second": {"a": 0.1}}
    pictures.bars(tmp_path / "bars.png", panels, "Bars", "probability", images=images)
    first, second = figures[0].axes
    for axes, image in zip((first, second), images, strict=True):
        [beside] = axes.child_axes
        np.testing.assert_array_equal(beside.images[0].get_array(), image)
        assert beside.get_window_extent().x0 > axes.get_window_extent().x1
    labels = min(text.get_window_extent().x0 for text in second.get_yticklabels())
    assert first.child_axes[0].get_window_extent().x1 < labels
    assert second.child_axes[0].get_window_extent().x1 <= figures[0].bbox.x1


def test_regions_have_the_colour_of_the_most_likely_class(figures, tmp_path):
    given = []

    def predict(points):
        given.append(points)
        return linear(points)

    panels = {"A": (predict, POINTS, LABELS, ("red", "green", "blue"))}
    pictures.decision_regions(tmp_path / "regions.png", panels, "Regions", ylabel="height")
    [axes] = figures[0].axes
    assert (axes.get_title(), axes.get_xlabel(), axes.get_ylabel()) == ("A", "x₁", "height")
    [image] = axes.get_images()
    left, right, bottom, top = image.get_extent()
    assert left < -1 < 1 < right
    assert bottom < -1 < 1 < top
    assert given[0].dtype == np.float32
    colors = image.get_array()
    strong, weak = 1 - colors[:, -1], 1 - colors[:, 130]  # far from the boundary at x1 = 0, and beside it
    assert np.allclose(strong / strong.max(), 1 - np.array(to_rgb(ORANGE)), atol=0.02)
    assert (strong.max(axis=1) > weak.max(axis=1) + 0.05).all()
    green = 1 - colors[:, 0]
    assert np.allclose(green / green.max(), 1 - np.array(to_rgb(GREEN)), atol=0.02)

    boundaries = np.concatenate([path.vertices for c in axes.collections for path in c.get_paths()])
    assert np.abs(boundaries[:, 0]).max() < 0.02
    assert np.ptp(boundaries[:, 1]) > 2
    assert [text.get_text() for text in figures[0].legends[0].get_texts()] == ["red", "green", "blue"]
    for line, places in zip(axes.get_lines(), (POINTS[::2], POINTS[1::2], POINTS[:0]), strict=True):
        np.testing.assert_array_equal(line.get_xydata(), places)
    assert [to_hex(line.get_color()).upper() for line in axes.get_lines()] == [ORANGE, GREEN, BLUE]


def test_a_single_probability_is_that_of_the_second_class(figures, tmp_path):
    def second(points):
        return linear(points)[:, 1] / 0.99

    for name, predict in (("flat", second), ("column", lambda points: second(points)[:, np.newaxis])):
        pictures.decision_regions(tmp_path / f"{name}.png", {"": (predict, POINTS, LABELS, ("red", "green"))}, "")
    for figure in figures:
        colors = figure.axes[0].get_images()[0].get_array()
        assert colors[0, -1].argmax() == 0  # on the right the first class, red, is the likelier
        assert colors[0, 0].argmax() == 1


def test_each_panel_of_regions_can_have_names_of_its_own_for_its_axes(figures, tmp_path):
    panel = (linear, POINTS, LABELS, ("a", "b", "c"))
    panels = {"first": panel, "second": panel}
    pictures.decision_regions(tmp_path / "regions.png", panels, "Regions", xlabel=["x", "q"], ylabel="y")
    assert [(axes.get_xlabel(), axes.get_ylabel()) for axes in figures[0].axes] == [("x", "y"), ("q", "y")]
    with pytest.raises(ValueError, match="shorter"):
        pictures.decision_regions(tmp_path / "regions.png", panels, "Regions", xlabel=["x"])


def test_a_threshold_moves_the_boundary_and_not_the_shades(figures, tmp_path):
    def second(points):
        return 1 / (1 + np.exp(-points[:, 0]))

    panels = dict.fromkeys(("low", "middle", "high"), (second, 3 * POINTS, LABELS, ("a", "b")))
    pictures.decision_regions(tmp_path / "regions.png", panels, "", thresholds=[0.2, 0.5, 0.8])
    shades = [axes.get_images()[0].get_array() for axes in figures[0].axes]
    for axes, shade, threshold in zip(figures[0].axes, shades, (0.2, 0.5, 0.8), strict=True):
        np.testing.assert_array_equal(shade, shades[0])
        left, right, *_ = axes.get_images()[0].get_extent()
        middle = shade[0, round(240 * (0 - left) / (right - left))]
        assert middle.min() > 0.99  # white where both are equally likely, whatever the threshold
        boundaries = {}
        for drawn in axes.collections:
            for path in drawn.get_paths():
                boundaries.setdefault(drawn.filled, []).append(path.vertices)
        at = np.log(threshold / (1 - threshold))
        for line in boundaries[False]:
            np.testing.assert_allclose(line[:, 0], at, atol=0.02)
        said = np.concatenate(boundaries[True])
        assert said[:, 0].min() == pytest.approx(at, abs=0.02)
        assert said[:, 0].max() == pytest.approx(right)


def test_panels_with_the_same_axes_show_the_same_part_of_the_plane(figures, tmp_path):
    panel = (linear, POINTS, LABELS, ("a", "b", "c"))
    panels = {"small": panel, "large": (linear, 5 * POINTS, *panel[2:]), "other": panel}
    pictures.decision_regions(tmp_path / "regions.png", panels, "", xlabel=["x₁", "x₁", "q₁"])
    limits = [(axes.get_xlim(), axes.get_ylim()) for axes in figures[0].axes]
    assert limits[0] == limits[1] != limits[2]
    assert limits[0][0][0] < -5 < 5 < limits[0][0][1]


def test_where_no_class_is_likelier_the_plane_is_white(figures, tmp_path):
    panels = {"": (lambda points: 0.5 + 0.01 * points[:, 0], POINTS, LABELS, ("a", "b"))}
    pictures.decision_regions(tmp_path / "regions.png", panels, "")
    shade = figures[0].axes[0].get_images()[0].get_array()
    assert shade.min() > 0.97
    assert np.abs(np.diff(shade, axis=1)).max() < 0.01  # and the colours begin without an edge


def test_where_one_class_is_everywhere_there_is_no_boundary(figures, tmp_path):
    panels = {"": (lambda points: np.full(len(points), 0.2), POINTS, LABELS, ("a", "b"))}
    pictures.decision_regions(tmp_path / "regions.png", panels, "")
    assert len(figures[0].axes[0].collections) == 0


def test_the_corners_of_a_simplex_are_certain(figures, tmp_path):
    p = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1], [1 / 3, 1 / 3, 1 / 3], [0, 0, 1], [0, 0, 1], [0, 0, 1.0]])
    values = np.array([1.0, 2.0, 3.0, 4.0, 5.0, 5.0, 5.0])
    panels = {"one": (p, values), "two": (p, values - 10)}
    pictures.simplex(tmp_path / "simplex.png", panels, "Simplex", ("cat", "dog", "hen"), label="value")
    first, second, bar = figures[0].axes
    assert bar.get_ylabel() == "value"
    places = {text.get_text(): text.xy for text in first.texts}
    [dots], [others] = first.collections, second.collections
    drawn = {tuple(np.round(spot, 3)): i for i, spot in enumerate(dots.get_offsets())}
    assert len(drawn) == 4
    of_cat, of_hen = (drawn[tuple(np.round(places[name], 3))] for name in ("cat", "hen"))
    assert places["cat"][0] < places["hen"][0] < places["dog"][0]
    assert (0.5, round(np.sqrt(0.75) / 3, 3)) in drawn
    assert dots.get_array()[of_hen] == (3 + 5 + 5 + 5) / 4
    assert dots.get_sizes()[of_hen] == 2 * dots.get_sizes()[of_cat]  # four points
    assert dots.get_clim() == others.get_clim() == (-9, 5)


@pytest.mark.parametrize(("ink", "largest"), [(True, 0.0), (False, 1.0)])
def test_grey_images_share_one_scale(figures, tmp_path, ink, largest):
    images = np.array([[[0.0, 1.0]], [[2.0, 4.0]], [[3.0, 1.0]]])
    pictures.image_grid(tmp_path / "grid.png", images, ["a", "b", "c"], "Images", columns=2, ink=ink)
    panels = figures[0].axes
    assert [panel.get_title() for panel in panels] == ["a", "b", "c"]
    for panel, image in zip(panels, images, strict=True):
        [shown] = panel.get_images()
        np.testing.assert_array_equal(shown.get_array(), image)
        assert shown.get_clim() == (0, 4)
        assert shown.to_rgba(np.array([4.0]))[0, 0] == largest


@pytest.mark.parametrize(("images", "end"), [(np.array([[[0.0, -2.0]], [[1.0, 0.5]]]), 2), (np.zeros((2, 1, 2)), 1)])
def test_diverging_images_are_white_at_0(figures, tmp_path, images, end):
    pictures.image_grid(tmp_path / "grid.png", images, ["a", "b"], "Images", diverging=True)
    [shown] = figures[0].axes[0].get_images()
    assert shown.get_clim() == (-end, end)
    blue, white, red = shown.to_rgba(np.array([-end, 0.0, end]))
    assert white[:3].min() > 0.95
    assert blue[2] > blue[0]
    assert red[0] > red[2]


def test_a_scale_has_arrows_only_where_numbers_lie_beyond_it(figures, tmp_path):
    few, many = np.array([[[0.5, -1.0], [1.0, 2.0]]]), np.append(np.ones(4000), 9.0)[np.newaxis, np.newaxis]
    for name, images in (("few", few), ("many", many)):
        pictures.weight_images(tmp_path / f"{name}.png", images, ["a"], "Weights")
    bars = [figure.axes[0].get_images()[0].colorbar for figure in figures]
    assert [bar.extend for bar in bars] == ["neither", "both"]


def test_so_few_pixels_that_they_can_be_read_have_their_numbers(figures, tmp_path):
    images = np.array([[[0.5, -1.0], [0.0, 2.0]]])
    pictures.weight_images(tmp_path / "weights.png", images, ["a"], "Weights")
    axes = figures[0].axes[0]
    written = {text.get_position()[::-1]: (text.get_text(), text.get_color()) for text in axes.texts}
    assert {place: text for place, (text, _) in written.items()} == {
        (0, 0): "0.50",
        (0, 1): "−1.00",
        (1, 0): "0.00",
        (1, 1): "2.00",
    }
    assert written[1, 1][1] == "white"  # on dark red
    assert written[1, 0][1] == "black"
    pictures.image_grid(tmp_path / "grid.png", np.zeros((1, 4, 4)), ["b"], "Images")
    assert len(figures[1].axes[0].texts) == 0


def test_the_curves_are_those_given(figures, tmp_path):
    panels = {"loss": {"training": [3.0, 2.0], "test": [4.0, 1.0]}, "accuracy": {"test": [50.0, 60.0]}}
    pictures.curves(tmp_path / "curves.png", panels, "A training")
    axes = figures[0].axes
    assert [panel.get_ylabel() for panel in axes] == ["loss", "accuracy"]
    for panel, series in zip(axes, panels.values(), strict=True):
        lines = {line.get_label(): line for line in panel.get_lines()}
        assert {name: list(line.get_ydata()) for name, line in lines.items()} == series
        assert all(list(line.get_xdata()) == [1, 2] for line in lines.values())
        assert panel.get_legend() is None  # it stands below all panels, and over no line
    [legend] = axes[0].figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["training", "test"]
    training, test, test_accuracy = (line for panel in axes for line in panel.get_lines())
    assert training.get_color() != test.get_color() == test_accuracy.get_color()


def test_weights_of_0_are_white(figures, tmp_path):
    weights = np.array([[[0.0, -1.0]], [[3.0, -2.0]]])
    pictures.weight_images(tmp_path / "weights.png", weights, ("cat", "dog"), "Weights")
    axes = figures[0].axes
    assert [panel.get_title() for panel in axes[:2]] == ["cat", "dog"]
    for panel, image in zip(axes, weights, strict=False):
        [shown] = panel.get_images()
        np.testing.assert_array_equal(shown.get_array(), image)
        assert shown.get_clim() == (-3, 3)
    negative, zero, positive = shown.to_rgba(np.array([-3.0, 0.0, 3.0]))
    assert zero[:3].min() > 0.95
    assert negative[2] > negative[0]  # blue
    assert positive[0] > positive[2]  # red


def test_a_row_of_the_confusion_matrix_is_a_true_class(figures, tmp_path):
    labels, predicted = np.array([0, 0, 0, 2, 1]), np.array([0, 1, 1, 2, 2])
    pictures.confusion_matrix(tmp_path / "confusion.png", labels, predicted, ("a", "b", "c"), "Confusion")
    [panel] = figures[0].axes
    counts = {text.get_position()[::-1]: int(text.get_text()) for text in panel.texts}
    assert [[counts[row, column] for column in range(3)] for row in range(3)] == [[1, 2, 0], [0, 0, 1], [0, 0, 1]]
    assert (panel.get_ylabel(), panel.get_xlabel()) == ("true class", "predicted class")
    assert [text.get_text() for text in panel.get_yticklabels()] == ["a", "b", "c"]
    assert panel.get_ylim() == (2.5, -0.5)  # the first row is at the top


def test_mistakes_are_shown_from_the_most_confident(figures, tmp_path):
    images = np.arange(4.0)[:, np.newaxis, np.newaxis] + np.zeros((4, 5, 5))
    probabilities = np.array([[0.6, 0.4], [0.1, 0.9], [0.125, 0.875], [1.0, 0.0]])
    mistakes = pictures.confident_mistakes

    mistakes(tmp_path / "some.png", images, np.array([1, 1, 0, 0]), probabilities, "01", "Wrong")
    assert [panel.get_title() for panel in figures[-1].axes] == ["true 0, said 1, 87.5 %", "true 1, said 0, 60.0 %"]
    assert [panel.get_images()[0].get_array()[0, 0] for panel in figures[-1].axes] == [2, 0]
    mistakes(tmp_path / "one.png", images, np.array([1, 1, 0, 0]), probabilities, "01", "Wrong", rows=1, columns=1)
    assert [panel.get_title() for panel in figures[-1].axes] == ["true 0, said 1, 87.5 %"]
    mistakes(tmp_path / "none.png", images, np.array([0, 1, 1, 0]), probabilities, "01", "Wrong")
    assert figures[-1].axes == []
    assert (tmp_path / "none.png").stat().st_size > 0


def test_without_matplotlib_it_says_how_to_get_it():
    program = "import sys; sys.modules['matplotlib'] = None; sys.path.insert(0, sys.argv[1]); import pictures"
    folder = pictures.__file__.rpartition("pictures")[0]
    status, text, errors = start("-c", program, folder)
    assert (status, text) == (1, "")
    assert errors.endswith(
        f'is missing: install what the examples need with  pip install "tinygrad_sm[examples]"{os.linesep}'
    )


def test_each_map_of_attention_has_the_characters_at_its_sides(figures, tmp_path):
    maps = np.tril(np.random.default_rng(0).random((3, 2, 4, 4)))
    pictures.attention_maps(tmp_path / "maps.png", maps, "a b.", "Maps")
    for axes, (i, j) in zip(figures[0].axes, np.ndindex(3, 2), strict=True):
        assert axes.get_title() == f"layer {i + 1}, head {j + 1}"
        [image] = axes.get_images()
        np.testing.assert_array_equal(image.get_array(), maps[i, j])
        assert image.get_clim() == (0, 1)
        for labels in (axes.get_xticklabels(), axes.get_yticklabels()):
            assert "".join(label.get_text() for label in labels) == "a␣b."  # spaces are characters too
