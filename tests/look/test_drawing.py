"""Pictures of tapes: all of the tape is there and nothing else, legible in both schemes, escaped, and limited."""

import re
import xml.etree.ElementTree as ElementTree
from types import SimpleNamespace

import numpy as np
import pytest
from matplotlib import font_manager
from matplotlib.textpath import TextToPath

import tinygrad_sm as tg
from tests.helpers import IN_FULL, leaf
from tinygrad_sm import nn
from tinygrad_sm.look import style
from tinygrad_sm.look.entries import Leaf, Operation
from tinygrad_sm.look.recording import Recording
from tinygrad_sm.look.style import DARK, LIGHT, STYLE
from tinygrad_sm.look.values import copied

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = '</title><script>alert("it\'s")</script>&amp;\x1b[31m\x00\u202e'


def softmax_regression():
    rng = np.random.default_rng(0)
    x, labels = rng.normal(size=(2, 4)), np.array([2, 0])
    W, b = leaf(rng.normal(size=(4, 3))), leaf(np.zeros(3))
    with tg.look.record() as recording:
        logits = x @ W + b
        p = tg.softmax(logits, axis=1)
        loss = -tg.log(p[np.arange(2), labels]).mean()
        loss.backward()
    return recording


def forward_alone():
    w = leaf()
    with tg.look.record() as recording:
        y = w * w  # noqa: F841  its name is recorded
    return recording


def mlp():
    tg.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Dropout(0.5), nn.Linear(5, 3))
    optimizer = nn.optim.SGD([*model.parameters(), leaf()], lr=0.1)
    with tg.look.record(model) as recording:
        nn.functional.cross_entropy(model(np.ones((4, 6), np.float32)), np.array([0, 1, 2, 0])).backward()
        optimizer.step()
    return recording


def attention():
    tg.manual_seed(0)
    model, x = nn.MultiheadAttention(8, 2, batch_first=True), tg.Tensor(np.ones((2, 3, 8), np.float32))
    with tg.look.record(model) as recording:
        (x + model(x, x, x, is_causal=True, need_weights=False)[0]).sum().backward()
    return recording


def every_kind():
    w, empty = leaf([[1.0, np.nan, -np.inf], [1e-9, 2.0, 12345.678]]), leaf(np.zeros((0, 3)))
    before = tg.exp(leaf(0.5))
    model = nn.Module()
    model.scale = nn.Buffer(np.array(3, np.int64))
    with tg.look.record() as recording:
        chosen = tg.where(np.array([[True, False, True]]), w, 7)
        total = (tg.sum(chosen) + tg.sum(empty)) * before * model.scale * 0.5  # noqa: F841
    return recording


def random_tape(seed):
    rng = np.random.default_rng(seed)
    made = [leaf(rng.normal(size=3)) for _ in range(3)]
    with tg.look.record() as recording:
        for _ in range(rng.integers(4, 25)):
            a, b = (made[-1 - int(min(rng.geometric(0.3) - 1, len(made) - 1))] for _ in range(2))
            made.append([a * b, a + 2.0, tg.sin(a), a * rng.normal(size=3), tg.sum(a) + b][rng.integers(5)])
    return recording


TAPES = [softmax_regression, forward_alone, mlp, attention, every_kind]


def parsed(svg):
    """Return the nodes and edges of a picture by their ids, with what they show and where."""
    root = ElementTree.fromstring(svg)
    outer = root.find(f"{SVG}g")
    shift = offset(outer) + offset(outer.findall(f"{SVG}g")[-1])
    nodes, edges = {}, {}
    for group in root.iter(f"{SVG}g"):
        kinds = group.get("class", "").split()
        if kinds[:1] == ["node"]:
            texts = [
                SimpleNamespace(
                    kind=text.get("class"),
                    text="".join(text.itertext()),
                    x=float(text.get("x", 0)),
                    y=float(text.get("y")),
                )
                for text in group.findall(f"{SVG}text")
            ]
            shown = {kind: [t.text for t in texts if t.kind == kind] for kind in ("label", "shape", "number", "key")}
            nodes[group.get("id")] = SimpleNamespace(
                kind=kinds[1],
                **shown,
                texts=texts,
                about=group.find(f"{SVG}title").text,
                at=offset(group) + shift,
                half=half_size(group.find(f"{SVG}path").get("d")),
            )
        elif kinds[:1] == ["edge"]:
            paths = [points_of(path.get("d")) + shift for path in group if path.get("class") == "line"]
            edges[group.get("id")] = SimpleNamespace(kinds=kinds[1:], about=group.find(f"{SVG}title").text, paths=paths)
    return SimpleNamespace(root=root, nodes=nodes, edges=edges)


def offset(group):
    found = re.fullmatch(r"translate\((\S+),(\S+)\)", group.get("transform"))
    return np.array([float(found[1]), float(found[2])])


def half_size(outline):
    """Return half of the width and of the height of an outline around (0, 0)."""
    x, y = map(float, re.match(r"M(-?[\d.]+),(-?[\d.]+)", outline).groups())
    if rounded := re.search(r"a([\d.]+),", outline):
        return np.array([float(rounded[1]) - x, -y])
    return np.abs(np.array(re.findall(r"(-?[\d.]+),(-?[\d.]+)", outline), float)).max(axis=0)


def points_of(path):
    """Return points on a path of uprights and of cubic curves."""
    points, t = [], np.linspace(0, 1, 30)[:, np.newaxis]
    for command, numbers in re.findall(r"([MVC])([^MVC]*)", path):
        at = np.array(re.findall(r"-?[\d.]+", numbers), float)
        if command == "M":
            points.append(at[np.newaxis])
        elif command == "V":
            points.append(points[-1][-1] + t * ([points[-1][-1][0], at[0]] - points[-1][-1]))
        else:
            a, (b, c, d) = points[-1][-1], at.reshape(3, 2)
            points.append((1 - t) ** 3 * a + 3 * (1 - t) ** 2 * t * b + 3 * (1 - t) * t**2 * c + t**3 * d)
    return np.concatenate(points)


def width_of(text, size, weight="normal"):
    """Return the width of a text in DejaVu Sans, wider than most, as the font has it."""
    font = font_manager.FontProperties(family="DejaVu Sans", weight=weight, size=size)
    return TextToPath().get_text_width_height_descent(text, font, ismath=False)[0]


def shape_of(value):
    return "×".join(map(str, value.shape)) or "scalar"


def is_number(entry):
    return entry.kind == "constant" and not entry.names and entry.value.size == 1


@pytest.mark.parametrize("numbers", [False, True])
@pytest.mark.parametrize("tape", TAPES)
def test_all_of_the_tape_is_there_and_nothing_else(tape, numbers):
    recording = tape()
    picture = parsed(recording.svg(numbers=numbers))
    entries = [*recording.leaves, *recording.operations]
    assert picture.nodes.keys() == {f"n{entry.key}" for entry in entries}
    for entry in entries:
        node = picture.nodes[f"n{entry.key}"]
        assert node.kind == entry.kind
        assert node.shape == [shape_of(entry.value)]
        if is_number(entry):
            continue  # see the test of numbers
        variable = f" → {entry.names[0]}" if isinstance(entry, Operation) and entry.names else ""
        assert node.label == [f"{entry.label}{variable}"]
    uses = {}
    for operation in recording.operations:
        for operand in operation.operands:
            uses.setdefault(f"e{operand.source.key}-{operation.key}", []).append(operand)
    assert picture.edges.keys() == uses.keys()
    for name, operands in uses.items():
        back = "gradient" if operands[0].needs_gradient else "no-gradient"
        assert picture.edges[name].kinds == [back, "twice"][: len(operands)]


def number_of(text):
    return float(text.replace("−", "-").replace("∞", "inf"))


@pytest.mark.parametrize("tape", TAPES)
def test_the_numbers_are_those_of_the_tape(tape):
    recording = tape()
    nodes = parsed(recording.svg(numbers=True)).nodes
    for entry in [*recording.leaves, *recording.operations]:
        node = nodes[f"n{entry.key}"]
        if is_number(entry):
            assert node.key == node.number == []
            assert number_of(node.label[0]) == pytest.approx(entry.value.sample.item(), rel=5e-4)
            continue
        values = [entry.value, entry.g] if entry.g else [entry.value]
        assert node.key == ["value", "grad"][: len(values)]
        shown = np.array(node.number).reshape(len(values), -1).tolist()
        for texts, value in zip(shown, values, strict=True):
            if value.size == 0:
                assert texts == ["empty"]
            elif value.size <= 6 and value.dtype == bool:
                assert texts == [str(x) for x in value.array.ravel()]
            elif value.size <= 6:
                expected = pytest.approx(value.array.ravel().tolist(), rel=5e-4, nan_ok=True)
                assert [number_of(text) for text in texts] == expected
            elif value.dtype != bool and value.low != value.high:
                ends = [number_of(text) for text in texts[0].split(", ")[0].split(" … ")]
                assert ends == pytest.approx([value.low, value.high], rel=5e-4)


def test_numbers_that_are_not_finite_are_said():
    def cells(array):
        entry = Leaf(1, "input", copied(np.array(array)), ("x",))
        return parsed(Recording({1: entry}, []).svg(numbers=True)).nodes["n1"].number

    assert cells([[1.0, np.nan], [np.inf, -np.inf]]) == ["1", "NaN", "∞", "−∞"]
    assert cells(-0.00123456) == ["−0.001235"]
    assert cells(np.float16(0.1)) == ["0.09998"]
    assert cells([True, False]) == ["True", "False"]
    assert cells([-3, 2**40]) == ["−3", "1.1e+12"]
    assert cells(np.zeros((0, 3))) == ["empty"]
    assert cells([1.0, -2.0, np.nan, np.nan, np.inf, 5.0, 0.0]) == ["−2 … 5, 2 NaN, 1 ±∞"]
    assert cells([np.nan] * 8) == ["8 NaN"]
    assert cells(np.full(7, 0.25)) == ["all 0.25"]
    assert cells(np.arange(7) > 3) == ["False … True"]
    assert cells(np.arange(1000)) == ["0 … 999"]
    assert cells(np.uint64([2**64 - 1])) == ["1.845e+19"]


def test_only_scalars_show_numbers_unless_asked_and_nothing_is_empty_before_backward():
    nodes = parsed(softmax_regression().svg()).nodes.values()
    assert {node.label[0]: (node.key, len(node.number)) for node in nodes if node.key} == {
        "mean": (["value", "grad"], 2),
        "negative → loss": (["value", "grad"], 2),
    }
    assert {tuple(node.key) for node in parsed(forward_alone().svg(numbers=True)).nodes.values()} == {("value",)}


def rectangle(node, text):
    size = 14 if text.kind == "label" else 12
    width = width_of(text.text, size)
    left = {"label": -width / 2, "shape": -width / 2, "number": text.x - width, "key": text.x}[text.kind]
    return np.array([[left, text.y - 0.75 * size], [left + width, text.y + 0.2 * size]]) + node.at


def overlaps(rectangles):
    low, high = np.array(rectangles).swapaxes(0, 1)
    both = (np.maximum(low, low[:, np.newaxis]) < np.minimum(high, high[:, np.newaxis]) - 0.1).all(axis=2)
    return (both.sum() - len(low)).item()


def test_texts_are_never_wider_than_estimated():
    for c in [*map(chr, range(33, 127)), *"×→…−∞±éößçñłαβγδεθλμπσφψωΔΣΩжщюæŒЩ"]:
        assert style.width_of(10 * c, 14) >= width_of(10 * c, 14), c
    assert style.width_of("名前", 14) >= 28


@pytest.mark.parametrize("numbers", [False, True])
@pytest.mark.parametrize(
    "tape", [*TAPES, *(lambda seed=seed: random_tape(seed) for seed in range(10 if IN_FULL else 3))]
)
def test_texts_are_in_their_boxes_and_nothing_lies_over_another(tape, numbers):
    picture = parsed(tape().svg(numbers=numbers))
    size = np.array([float(picture.root.get("width")), float(picture.root.get("height"))])
    boxes, texts = [], []
    for node in picture.nodes.values():
        box = np.array([node.at - node.half, node.at + node.half])
        boxes.append(box)
        drawn = [rectangle(node, text) for text in node.texts]
        texts += drawn
        for text, (low, high) in zip(node.texts, drawn, strict=True):
            if text.kind == "shape":
                assert low[1] >= box[1][1]
                boxes.append(np.array([low, high]))
            else:
                assert (low >= box[0]).all(), text
                assert (high <= box[1]).all(), text
    for low, high in boxes:
        assert (low >= 0).all()
        assert (high <= size).all()
    assert not overlaps(boxes)
    assert not overlaps([[low - [2, 0], high + [2, 0]] for low, high in texts])
    for edge in picture.edges.values():
        [points] = edge.paths
        assert (points >= 0).all()
        assert (points <= size).all()
        for low, high in boxes:
            assert not ((points > low + 0.1) & (points < high - 0.1)).all(axis=1).any()


@pytest.mark.parametrize("tape", TAPES)
def test_edges_run_from_operand_to_result(tape):
    picture = parsed(tape().svg())
    for name, edge in picture.edges.items():
        a, b = (picture.nodes[f"n{key}"] for key in name[1:].split("-"))
        [points] = edge.paths
        assert points[0] == pytest.approx(a.at + [0, a.half[1] + 17], abs=0.2)  # under the shape
        assert points[-1] == pytest.approx(b.at - [0, b.half[1] + 7], abs=0.2)  # above the arrow's head
        assert (np.diff(points[:, 1]) > -0.1).all()


def test_what_comes_from_the_user_is_escaped():
    w = leaf([2.0])
    w.name = HOSTILE
    with tg.look.record() as recording:
        w * 3.0
    [operation] = recording.operations
    operation.names, operation.formula, operation.static["<b>"] = (HOSTILE,), HOSTILE, HOSTILE
    operation.line = operation.line._replace(filename=f"/home/me/{HOSTILE}.py", text=HOSTILE)
    svg = recording.svg(numbers=True)
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e]|<script|<b>", svg)
    assert {element.tag.removeprefix(SVG) for element in ElementTree.fromstring(svg).iter()} == {
        *("svg", "style", "rect", "g", "path", "text", "tspan", "title")
    }
    picture = parsed(svg)
    node = picture.nodes[f"n{operation.key}"]
    assert node.label[0].startswith("multiply → </title><scr")
    assert (
        node.about.count('<script>alert("it\'s")</script>&amp;\\x1b[31m\\x00\\u202e') == 3
    )  # and an option, as a repr
    assert "<b>='</title><script>" in node.about.replace('"', "'")
    assert "/home" not in node.about
    assert picture.edges[f"e{recording.leaves[0].key}-{operation.key}"].about.count("<script>") == 2


@pytest.mark.parametrize("name", ["w" * 5000, "W" * 60, "名前" * 40, "layers.0." * 9 + "weight", "\U0001f600" * 50])
def test_long_names_lose_their_middle(name):
    entry = Leaf(1, "parameter", copied(np.zeros(2)), (name,))
    node = parsed(Recording({1: entry}, []).svg()).nodes["n1"]
    head, tail = node.label[0].split("…")
    assert name.startswith(head)
    assert name.endswith(tail)
    assert len(head) >= 4
    assert len(tail) >= 4
    assert 2 * node.half[0] < 270
    assert node.about.startswith(name[:200])


def test_a_node_says_what_stands_behind_it():
    recording = softmax_regression()
    nodes = parsed(recording.svg()).nodes
    softmax = nodes[f"n{recording['p'].key}"].about.splitlines()
    assert softmax[0] == "softmax → p"
    assert softmax[1] == recording["p"].formula
    assert softmax[2] == "axis=1"
    assert re.fullmatch(r"test_drawing\.py:\d+  p = tg.softmax\(logits, axis=1\)", softmax[3])
    assert softmax[4] == "2×3, float64"
    assert nodes[f"n{recording['W'].key}"].about == "W: parameter\n4×3, float64"
    edges = parsed(recording.svg()).edges
    assert edges[f"e{recording['W'].key}-{recording.operations[0].key}"].about == (
        "W is b of matmul; a gradient goes back"
    )
    [square] = parsed(forward_alone().svg()).edges.values()
    assert square.about == "w is a and b of multiply → y; a gradient goes back"


@pytest.mark.parametrize("tape", TAPES)
def test_the_legend_explains_what_occurs(tape):
    picture = parsed(tape().svg())
    samples = [
        group.get("class").split()[1] for group in picture.root.iter(f"{SVG}g") if "sample" in group.get("class", "")
    ]
    kinds = {node.kind for node in picture.nodes.values()} | {
        kind for edge in picture.edges.values() for kind in edge.kinds
    }
    assert len(samples) == len(set(samples))
    assert set(samples) == kinds


def test_kinds_differ_in_their_outlines():
    picture = parsed(every_kind().svg())
    assert {node.kind for node in picture.nodes.values()} == {"operation", "parameter", "input", "constant", "earlier"}
    samples = [group for group in picture.root.iter(f"{SVG}g") if "sample" in group.get("class", "")]
    outlines = [path.get("d") for group in samples for path in group if path.get("class") == "box"]
    assert len(set(outlines)) == len(outlines) == 5


def luminance(colour):
    c = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]


def contrast(a, b):
    """Return the contrast of two colours, by the formula of the WCAG."""
    low, high = sorted([luminance(a), luminance(b)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_and_lines_stand_out(scheme):
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    first, dark = re.findall(r"\.tape\{(--[^}]*)\}", STYLE)
    colours = dict(re.findall(r"--([\w-]+):(#\w{6});", dark if scheme == "dark" else first))
    assert colours == (DARK if scheme == "dark" else LIGHT)
    for ground in ["paper", *(name for name in colours if name.endswith("-fill"))]:
        assert contrast(colours["text"], colours[ground]) >= 7
        assert contrast(colours["soft"], colours[ground]) >= 4.5
        outline = colours["line" if ground == "paper" else ground.removesuffix("-fill")]
        assert contrast(outline, colours["paper"]) >= 3
        assert contrast(outline, colours[ground]) >= 3


def test_the_style_reaches_nothing_but_the_picture():
    plain = re.sub(r"@(media|supports)[^{]*\{(.*)\}\n", r"\2\n", STYLE)
    selectors = [one for rule in re.findall(r"([^{}]+)\{", plain) for one in rule.split(",")]
    assert len(selectors) > 30
    assert all(re.match(r"\s*\.tape\b", one) for one in selectors)


def test_pictures_in_one_page_do_not_share_ids():
    recording = softmax_regression()
    one, other = (set(re.findall(r' id="([^"]*)"', recording.svg(prefix=prefix))) for prefix in ("first-", ""))
    assert not one & other
    assert one == {f"first-{name}" for name in other}
    assert len(other) == 10 + 9
    with pytest.raises(ValueError, match=r"svg: expected a prefix of letters, .*got 'a\"b'"):
        recording.svg(prefix='a"b')


def test_nothing_is_asked_of_the_network():
    svg = softmax_regression().svg()
    assert re.findall('https?://[^"]*', svg) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"href|url\(|@import|<script", svg)


def test_an_empty_recording_says_so():
    with tg.look.record() as recording:
        pass
    assert (
        "".join(ElementTree.fromstring(recording.svg()).find(f"{SVG}g").itertext()).strip() == "Nothing was recorded."
    )


def leaves(n):
    value = copied(np.zeros(2))
    return Recording({key: Leaf(key, "parameter", value, (f"p{key}",)) for key in range(n)}, [])


def test_entries_without_edges_stand_in_rows():
    picture = parsed(leaves(40).svg())
    assert len(picture.nodes) == 40
    assert float(picture.root.get("width")) < 800


def test_what_nobody_could_read_is_refused():
    with pytest.raises(
        ValueError, match=r"svg: expected at most 2,000 leaves and operations.* got 10,000: record fewer"
    ):
        leaves(10_000).svg()
    assert leaves(10_000)._repr_svg_() is None
    assert leaves(3)._repr_svg_() == leaves(3).svg()


def test_the_largest_picture_is_drawn():
    x = leaf(1.0)
    with tg.look.record() as recording:
        for _ in range(999):
            x = x * 1.0001
    assert len(parsed(recording.svg()).nodes) == 1999
