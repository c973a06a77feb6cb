"""What notebooks show: well-formed HTML of every number, escaped, of limited size, and loaded only when it is shown."""

import base64
import copy
import pickle
import re
import struct
import subprocess
import sys
import zlib
from html.parser import HTMLParser

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import leaf
from tinygrad_sm import Tensor, nn
from tinygrad_sm.look import display, heat, trees

VOID = {"img"}


class Page(HTMLParser):
    """Reads HTML: the tags with their attributes, the rows of tables, the lines of text; raises if it is not closed."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.tables, self.texts, self.levels, self.unclosed, self.by_tag = [], [], [], [], [], {}
        self.feed(text)
        self.close()
        assert not self.unclosed

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.unclosed.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        assert self.unclosed.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)
        self.levels.append((self.unclosed.count("details"), data))
        for tag in self.unclosed:
            self.by_tag[tag] = self.by_tag.get(tag, "") + data
        if "td" in self.unclosed or "th" in self.unclosed:
            self.tables[-1][-1][-1] += data

    @property
    def text(self):
        return "".join(self.texts)

    def of(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


def page(x):
    text = x._repr_html_()
    assert not re.search(r"<(script|style|link)|\bclass=|\bid=|http", text)
    return Page(text)


def exact_numbers(text):
    """Return the numbers of the first table with all their digits: those to which one points, else those shown."""
    (table,) = re.findall(r"<table.*?</table>", text)
    cells = re.findall(r'<td[^>]*>(?:<span title="([^"]*)">)?([^<]*)', table)
    return [exact or shown for exact, shown in cells]


SMALL = {
    "floats": np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32),
    "doubles": np.random.default_rng(0).normal(size=(3, 12)),
    "halves": np.array([[0.1, 65504], [6e-8, -0.0]], np.float16),
    "large numbers": np.array([1e308, -1e308, 5e-324, 0]),
    "integers": np.array([[2**62, -5], [0, 123456789]]),
    "bytes": np.arange(12, dtype=np.uint8),
    "booleans": np.array([[True, False], [False, True]]),
    "not finite": np.array([np.nan, np.inf, -np.inf, 1.5], np.float32),
    "only NaN": np.array([[np.nan]]),
    "complex": np.array([1 + 2j, 3 - 0.1j, complex(np.nan, np.inf)]),
    "column": np.array([[1.25], [2.5]]),
}


@pytest.mark.parametrize("array", SMALL.values(), ids=SMALL.keys())
def test_every_number_of_a_small_tensor_is_there(array):
    read = exact_numbers(Tensor(array)._repr_html_())
    read = np.array([x == "True" for x in read] if array.dtype == bool else read)
    np.testing.assert_array_equal(read.astype(array.dtype).reshape(array.shape), array)
    (table,) = page(Tensor(array)).tables
    head, *rows = table
    assert head[-1] == str(array.shape[-1] - 1)
    shown = [row[array.ndim > 1 :] for row in rows]
    assert shown == [[heat.text(x) for x in row] for row in np.atleast_2d(array)]


def test_zero_axes_and_no_elements():
    assert page(Tensor(0.1)).text == "Tensor shape () · float32 · cpu0.1"
    assert page(Tensor(np.float64(1) / 3)).of("span")[-1]["title"] == str(np.float64(1) / 3)
    assert "NaN" in page(Tensor(float("nan"))).text
    for shape in [(0,), (0, 3), (3, 0), (2, 0, 5), (0, 1, 28, 28)]:
        shown = page(tg.zeros(shape))
        assert shown.tables == []
        assert shown.text == f"Tensor shape {shape} · float32 · cpuno elements"


def grounds(x):
    return re.findall(r"rgba\((\d+),(\d+),(\d+),([\d.]+)\)", x._repr_html_())


def test_colors_say_sign_and_size():
    blue, orange = ("0", "114", "178"), ("213", "94", "0")
    assert grounds(Tensor([4.0, -2.0, 0.0, 1.0])) == [(*orange, "0.55"), (*blue, "0.28"), (*orange, "0.14")]
    assert grounds(Tensor([1.0, float("-inf")])) == [(*orange, "0.55"), (*blue, "0.55")]
    assert grounds(Tensor([float("nan")])) == [("128", "128", "128", ".35")]
    assert grounds(tg.zeros(3)) == []


def test_a_large_matrix_shows_its_corner_and_says_so():
    x = np.arange(784 * 100, dtype=np.float32).reshape(784, 100) - 1000
    shown = page(Tensor(x))
    (table,) = shown.tables
    assert [row[1:-1] for row in table[1:-1]] == [[heat.text(v) for v in row[:12]] for row in x[:12]]
    assert {row[-1] for row in table[1:]} == {"…"}
    assert set(table[-1]) == {"…"}
    assert shown.texts[-1] == "the first 12 of 784 rows and 12 of 100 columns; all are from -1000 to 7.74e+04"
    x[700] = np.nan
    x[701, 0] = np.inf
    assert page(Tensor(x)).text.endswith(", 100 NaN, 1 infinite")
    assert page(Tensor(np.ones(5000))).texts[-1] == "the first 12 of 5,000; all are from 1 to 1"
    assert page(Tensor(np.full(5000, np.nan))).texts[-1] == "the first 12 of 5,000; 5,000 NaN"
    assert [row[-1] for row in page(Tensor(np.ones((13, 2)))).tables[0]][-1] == "…"
    huge = np.broadcast_to(np.float32(1), (10_000, 10_000))  # its range would take a while
    assert page(Tensor(huge)).texts[-1] == "the first 12 of 10,000 rows and 12 of 10,000 columns"


def test_of_more_axes_the_first_matrix_is_shown():
    x = np.arange(24.0).reshape(2, 3, 4)
    shown = page(Tensor(x))
    assert [row[1:] for row in shown.tables[0][1:]] == [[heat.text(v) for v in row] for row in x[0]]
    assert shown.texts[-1] == "[0], the first of 2 matrices; all are from 0 to 23"
    assert (
        "[0, 0], the first of 6 matrices; the first 12 of 20 rows and 2 of 2 columns"
        in page(tg.ones((2, 3, 20, 2))).text
    )
    assert page(tg.ones((3, 8, 8))).of("img") == []  # three channels, or three of something else
    assert page(tg.ones((5, 1, 7, 9))).of("img") == []
    assert page(Tensor(np.ones((1, 8, 8), complex))).of("img") == []


def read_png(source):
    """Return the RGBA pixels of a PNG file with a palette, whose check sums must be right."""
    data = base64.b64decode(source.removeprefix("data:image/png;base64,"), validate=True)
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    chunks, at = {}, 8
    while at < len(data):
        (size,) = struct.unpack(">I", data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + size]
        assert struct.unpack(">I", data[at + 8 + size : at + 12 + size]) == (zlib.crc32(kind + body),)
        chunks[kind] = body
        at += size + 12
    assert list(chunks) == [b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"]
    width, height, *rest = struct.unpack(">2I5B", chunks[b"IHDR"])
    assert rest == [8, 3, 0, 0, 0]
    lines = np.frombuffer(zlib.decompress(chunks[b"IDAT"]), np.uint8).reshape(height, width + 1)
    assert not lines[:, 0].any()
    palette = np.frombuffer(chunks[b"PLTE"], np.uint8).reshape(256, 3)
    opacity = np.frombuffer(chunks[b"tRNS"], np.uint8).reshape(256, 1)
    return np.hstack([palette, opacity])[lines[:, 1:]].astype(int)


def picture(x):
    shown = page(Tensor(x))
    (image,) = shown.of("img")
    return read_png(image["src"]), shown.texts[-1]


def test_images_are_images():
    x = np.random.default_rng(0).random((128, 1, 9, 10))
    x[0, 0, 2, 3], x[1, 0, 0, 0] = 0, np.nan
    x /= np.nanmax(x[:8])
    pixels, said = picture(x)
    assert said == "the first 8 of 128 images; black is 0, white is 1; 1 NaN are transparent"
    assert pixels.shape == (9, 8 * 11 - 1, 4)
    assert not pixels[:, 10::11].any()  # between two images
    for i in range(8):
        image = pixels[:, 11 * i : 11 * i + 10]
        known = np.isfinite(x[i, 0])
        np.testing.assert_array_equal(image[known][:, 3], 255)
        for c in range(3):
            np.testing.assert_allclose(image[known][:, c], 255 * x[i, 0][known], atol=1.1)
        assert not image[~known].any()
    assert picture(np.eye(8, dtype=bool)[None])[1] == "black is 0, white is 1"
    assert picture(np.zeros((1, 8, 8)))[1] == "black is 0, white is 0"
    assert picture(np.full((1, 8, 8), np.inf))[1]


def test_signed_images_have_the_colors_of_tables():
    x = np.zeros((1, 1, 8, 8))
    x[0, 0, 0, :5] = [-2, -1, 0, 1, 2]
    x[0, 0, 1, :3] = [np.nan, np.inf, -np.inf]
    pixels, said = picture(x)
    assert said == "orange up to 2, blue down to -2; 1 NaN are transparent"
    full, half = 255, 128
    orange, blue = [*heat.ORANGE], [*heat.BLUE]
    np.testing.assert_allclose(pixels[0, [0, 1]], [[*blue, full], [*blue, half]], atol=2)
    np.testing.assert_allclose(pixels[0, [3, 4]], [[*orange, half], [*orange, full]], atol=2)
    np.testing.assert_array_equal(pixels[1, 1:3], [[*orange, full], [*blue, full]])
    assert pixels[0, 2, 3] == pixels[1, 0, 3] == 0


def test_of_a_large_image_some_pixels_are_shown():
    pixels, said = picture(np.ones((1, 500, 300)))
    assert pixels.shape[:2] == (63, 38)
    assert said == "black is 0, white is 1; one pixel of each 8 × 8, of 500 × 300"


def test_what_a_tensor_is_stands_before_its_numbers():
    w = leaf()
    w.name = "0.weight"
    assert page(w).text.startswith("Tensor shape (3,) · float64 · cpu · name 0.weight · requires a gradient")
    assert "made by multiply" in page(w * 2).text
    assert page(nn.Parameter([1.0])).text.startswith("Parameter shape (1,)")
    assert page(nn.Linear(3, 2).weight).text.startswith("Parameter shape (2, 3) · float32 · cpu · name weight")
    assert page(nn.Buffer([1.0])).text.startswith("Buffer")


def test_the_gradient_is_folded():
    w = leaf()
    assert page(w).of("details") == []
    (w * w).sum().backward()
    shown = page(w)
    assert shown.of("details") == [{}]  # not open
    assert shown.by_tag["summary"] == "gradient"
    assert [row for table in shown.tables for row in table[1:]] == [["1", "2", "3"], ["2", "4", "6"]]
    w.grad = np.zeros((3, 3, 3, 3))  # it is shown, whatever a program has put there
    assert "the first of 9 matrices" in page(w).text


def test_names_are_escaped():
    t = Tensor([1.0])
    t.name = '<script>alert("x")</script>&\n'
    html = t._repr_html_()
    assert "<script" not in html
    assert r'name <script>alert("x")</script>&\n' in Page(html).text
    t.name = "w" * 10_000
    assert len(t._repr_html_()) < 1000
    assert Page(heat.note("<b>")).text == "<b>"
    t.name = 7  # no text, but it can be shown
    assert "name 7" in page(t).text

    @tg.primitive
    def op(x, /):
        return x * 1

    op.vjp(lambda g, out, x: g)
    op.name = "<b>"
    assert "made by <b>" in page(op(leaf())).text
    with tg.profile() as p:
        op(leaf())
    assert page(p).tables[0][1][0] == "<b>"


def noise(shape, dtype=np.float64):
    x = np.random.default_rng(0).normal(size=2 * int(np.prod(shape))).view(np.complex128).reshape(shape)
    return x * 1e-300 if np.dtype(dtype).kind == "c" else x.real.astype(dtype)


LARGE = {
    "matrix": noise((1000, 1000)) * -1e-300,
    "images": noise((200, 1, 64, 64)),
    "long images": noise((5, 1, 8, 10_000)),
    "complex": noise((50, 50), np.complex128),
    "many axes": noise((1,) * 30 + (20, 20)),
}


@pytest.mark.parametrize("array", LARGE.values(), ids=LARGE.keys())
def test_a_tensor_takes_at_most_60_kb(array):
    t = Tensor(array, requires_grad=array.dtype.kind == "f")
    t.grad = array[::-1].copy()
    t.name = "<" * 10_000
    assert len(page(t).tags)
    assert 2_000 < len(t._repr_html_().encode()) <= 60_000


@pytest.mark.parametrize("shape", [(), (3,), (0,), (4, 5), (50, 60), (2, 3, 4), (3, 1, 8, 9)])
def test_on_every_device(device, shape):
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    host, t = Tensor(x), Tensor(x, device=device)
    assert t._repr_html_() == host._repr_html_().replace("· cpu", f"· {t.device}")


def test_a_class_that_shows_itself_is_shown_by_that():
    class Own(Tensor):
        __slots__ = ()

        def __repr__(self):
            return "mine"

    class Like(Tensor):
        __slots__ = ()

    assert Own([1.0])._repr_html_() is None
    assert Own([1.0]).__treescope_repr__("", None) is NotImplemented
    assert page(Like([1.0])).text.startswith("Like")


def test_text_stays_text_and_copies_stay_copies():
    t = nn.Linear(2, 1).weight
    before = repr(t), str(t)
    t._repr_html_()
    assert (repr(t), str(t)) == before
    assert "<" not in repr(t)
    for again in (copy.deepcopy(t), pickle.loads(pickle.dumps(t))):
        assert type(again) is nn.Parameter
        assert again._repr_html_() == t._repr_html_()
    assert "_repr_html_" not in Tensor.__slots__


def test_nothing_is_loaded_before_it_is_shown():
    program = """
import sys
def loaded():
    return sorted(n for n in sys.modules if n in ("html", "treescope") or n.startswith("tinygrad_sm.look"))
import tinygrad_sm as tg
from tinygrad_sm import nn
w, model = tg.ones(3, requires_grad=True), nn.Linear(2, 1)
with tg.profile() as p:
    (w * w).sum().backward()
report = tg.gradcheck(lambda x: x * x, [w])
print(w, model, p, report, repr([w, model, p, report]), hasattr(w, "_repr_html_"), file=sys.stderr)
print(loaded())
print([len(x._repr_html_()) > 99 for x in (w, model, p, report)], "html" in loaded(), "treescope" in loaded())
"""
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout.splitlines() == ["[]", "[True, True, True, True] True False"]


class Block(nn.Module):
    def __init__(self):
        self.inner = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 4, bias=False))
        self.scale = nn.Parameter([1.0])
        self.norm = nn.BatchNorm1d(4)


class Net(nn.Module):
    def __init__(self):
        self.table = nn.Embedding(10, 4)
        self.first, self.second = Block(), Block()
        self.head = nn.Linear(4, 10, bias=False)
        self.head.weight = self.table.weight
        self.again = self.first.norm
        self.first.scale.requires_grad_(False)


def test_a_module_is_a_tree_with_shapes_and_counts():
    model = Net()
    shown = page(model)
    lines = "\n".join(shown.texts)
    total = sum(p.size for p in model.parameters())
    buffers = sum(t.size for t in model.state_dict().values()) - total
    assert "".join(shown.texts).startswith(f"Net {total:,} parameters, 1 of them frozen, {buffers} elements of buffers")
    for path, p in model.named_parameters():
        assert f"{path.rpartition('.')[2]} {p.shape}" in lines
    found = trees.branches(model)
    for branch in found:
        if branch.same_as is None and branch.name != "head":
            assert branch.counts.parameters == sum(p.size for p in branch.module.parameters()), branch.name
    assert [(b.path(), b.same_as) for b in found if b.same_as is not None] == [("again", "first.norm")]
    assert {b.path() for b in found} == {path for path, _ in model.named_modules()} | {"again"}
    assert "weight (10, 4), shared: the same as table.weight" in lines
    assert "scale (1,), frozen" in lines
    assert "running_mean (4,), buffer" in lines
    assert shown.text.endswith("track_running_stats=True) shared: the same as first.norm")
    assert "Linear(in_features=4, out_features=8, bias=True)" in shown.text
    # the Modules directly inside are listed, and folded if there are some in them
    assert shown.of("details") == [{"open": None}] + 4 * [{}]
    assert [n for n, text in shown.levels if text.startswith(("table", "first", "second", "inner"))] == [1, 2, 3, 2, 3]
    assert page(nn.ReLU()).text == "ReLU 0 parameters"


def test_a_deep_module_is_shown_to_some_depth():
    model = nn.Linear(2, 2)
    for _ in range(5000):
        model = nn.Sequential(model)
    shown = page(model)
    assert len(shown.of("details")) == trees.MOST_LEVELS + 1
    assert shown.text.endswith("4,970 more Modules, deeper inside or further on, are not shown")
    assert shown.text.startswith("Sequential 6 parameters")


def test_a_module_inside_itself():
    class Child(nn.Module):
        def __init__(self, owner):
            self.owner, self.weight = owner, nn.Parameter([1.0, 2.0])

    class Owner(nn.Module):
        def __init__(self):
            self.child = Child(self)
            self.more = [1, 2]

    shown = page(Owner())
    assert shown.text == (
        "Owner 2 parameterschild: Child weight (2,) 2 parametersowner: Owner shared: the same as the outermost"
    )


def test_a_wide_module_is_cut():
    wide = nn.Sequential(*(nn.Linear(1, 1) for _ in range(1000)))
    shown = page(wide)
    assert shown.text.endswith("801 more Modules, deeper inside or further on, are not shown")
    assert "2,000 parameters" in shown.text
    many = nn.Module()
    for i in range(100):
        setattr(many, f"p{i}", nn.Parameter([1.0]))
    assert "p19 (1,) · 80 more 100 parameters" in page(many).text
    assert len(wide._repr_html_()) < 60_000


def test_names_and_options_of_modules_are_escaped():
    class Odd(nn.Module):
        def extra_repr(self):
            return "<script>" + "o" * 1000 + "\n"

    class Own(nn.Module):
        def __init__(self):
            self.weight = nn.Parameter([1.0])

        def __repr__(self):
            return "<mine>\nand more"

    model = nn.ModuleDict({"<b>": Odd(), "own": Own()})
    html = model._repr_html_()
    assert "<script" not in html
    assert "<mine" not in html
    text = Page(html).text
    assert "<b>: Odd(<script>ooo" in text
    assert "own: <mine> and more weight (1,) 1 parameters" in text
    assert len(html) < 2000
    assert Own()._repr_html_() is None


def test_a_report_of_gradcheck_says_its_sentence_and_its_figures():
    report = tg.gradcheck(lambda x: (tg.tanh(x) ** 2).sum(), [np.array([0.5, -1.0])])
    shown = page(report)
    assert shown.texts[0] == str(report)
    figures = dict(shown.tables[0])
    assert figures["derivatives compared one by one"] == "5 of 5"
    assert figures["highest order"] == "2"
    assert float(figures["largest possible error, relative"]) == pytest.approx(report.error_bound, rel=0.05)
    assert len(figures) == 7


def widths(x):
    return [float(w) for w in re.findall(r"width:([\d.]+)em", x._repr_html_())][2:]  # after the legend


def test_a_profile_is_a_table_with_bars():
    x = leaf(np.ones((100, 100)))
    with tg.profile() as p:
        tg.sum(tg.exp(x) * x).backward()
    head, *rows, total = page(p).tables[0]
    assert head == ["operation", "calls", " forward ms", " backward ms", "", "bytes"]
    assert [row[0] for row in rows] == list(p.rows)
    for name, calls, forward, backward, _, size in rows:
        row = p.rows[name]
        assert (int(calls), int(size.replace(",", ""))) == (row.calls, row.bytes)
        assert float(forward) == pytest.approx(1e3 * row.forward, abs=6e-4)
        assert float(backward) == pytest.approx(1e3 * row.backward, abs=6e-4)
    assert total[:2] == ["total", "3"]
    times = np.array([(row.forward, row.backward) for row in p.rows.values()])
    np.testing.assert_allclose(np.reshape(widths(p), (3, 2)), 12 * times / times.sum(axis=1).max(), atol=0.006)
    assert page(tg.profile()).tables[0][1][:2] == ["total", "0"]
    for i in range(display.MOST_OPERATIONS + 5):
        p._rows[f"op{i}"] = p.rows["exp"]
    assert page(p).texts[-1] == "8 operations that took less time are left out"


def test_treescope_builds_its_own_trees():
    treescope = pytest.importorskip("treescope", reason="treescope is not installed: pip install treescope")
    w = Tensor([[1.0, 2.0]], requires_grad=True)
    (w * w).sum().backward()
    text = treescope.render_to_text(w)
    assert re.sub(r"\s|,$", "", text).startswith(
        "Tensor(data=np.array([[1.,2.]],dtype=float32),requires_grad=True,grad=np.array([[2.,4.]],dtype=float32)"
    )
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    text = treescope.render_to_text(model)
    assert text.startswith("Sequential(\n  0=Linear(\n    in_features=3,")
    assert "name='0.weight'" in text
    assert "1=ReLU()" in text
    for _ in range(1000):
        model = nn.Sequential(model)
    assert "Sequential object" in treescope.render_to_text(model)
    assert treescope.render_to_html(model)
