"""The page of a recording as a file: each node, edge and number of the tape is in it, and no name breaks out."""

import base64
import json
import re
import tomllib
from html.parser import HTMLParser
from importlib import resources

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import ROOT, check_error
from tests.look.recordings import EVIL, RECORDINGS, chain, mlp, oddities, softmax_regression, two_steps, values_of_steps
from tinygrad_sm.look import page
from tinygrad_sm.look.values import copied
from tinygrad_sm.look.views import FINITE, INFINITE, MINUS_INFINITE, NAN, number, view


class Parsed(HTMLParser):
    """The elements of a page: ids, texts of scripts, and whatever might fetch something."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.tags, self.scripts, self.addresses, self.title = [], [], [], [], ""
        self.inside = None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append(tag)
        self.inside = tag
        if "id" in attrs:
            self.ids.append(attrs["id"])
        if tag == "script":
            self.scripts.append("")
        self.addresses += [(tag, name) for name in attrs if name in ("src", "href", "xlink:href", "srcset", "action")]
        self.addresses += [(tag, name) for name in attrs if name.startswith("on")]

    def handle_endtag(self, tag):
        self.inside = None

    def handle_data(self, data):
        if self.inside == "script":
            self.scripts[-1] += data
        if self.inside == "title" and not self.title:
            self.title = data

    @property
    def data(self):
        return json.loads(self.scripts[0], parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def parsed(recording, **options):
    return Parsed(page.page(recording, **options))


def check_view(shown, value):
    """Check that all that was kept of a value is in its view, as numbers or in pictures, or is said to be left out."""
    assert shown["shape"] == list(value.shape)
    assert shown["type"] == str(value.dtype)
    kept = value.sample
    if not value.is_whole:
        assert any(str(value.shape) in note and str(kept.shape) in note for note in shown["notes"])
    if kept.size == 0:
        assert "tables" not in shown
        assert "pictures" not in shown
        return
    for table in shown.get("tables", []):
        rows = kept.reshape(-1, *(1, 1, *kept.shape)[-2:])[0] if table["at"] == "" else kept[index(table["at"])]
        corner = rows[: len(table["rows"]), : len(table["rows"][0])]
        assert table["rows"] == [[as_shown(x) for x in row] for row in corner]
        assert table["more"] == [len(corner) < len(rows), corner.shape[1] < rows.shape[1]]
    if "pictures" in shown:
        assert shown["pictures"]["low"] <= shown["pictures"]["high"]
        for one in shown["pictures"]["codes"]:
            check_picture(one, shown["pictures"], kept)
    whole = sum(np.size(table["rows"]) for table in shown.get("tables", []))
    drawn = np.prod(shown["pictures"]["size"]) * len(shown["pictures"]["codes"]) if "pictures" in shown else 0
    assert max(whole, drawn) == kept.size or any("Shown" in note for note in shown["notes"])
    if whole < value.size:
        assert shown["statistics"] == {name: as_shown(getattr(value, name)) for name in ("low", "high", "mean", "std")}
        assert (shown["nans"], shown["infs"]) == (value.nans, value.infs)


def index(text):
    return tuple(int(i) for i in text.strip("[]").split(", "))


def as_shown(x):
    """Return a number as a page holds it, said once more: four digits, text for what JSON has no number for."""
    if isinstance(x, np.bool_):
        return bool(x)
    if isinstance(x, np.integer):
        return int(x)
    if not np.isfinite(x):
        return {"nan": "NaN", "inf": "∞", "-inf": "-∞"}[str(float(x))]
    return float(f"{x:.3e}") if np.isfinite(float(f"{x:.3e}")) else f"{x:.3e}"


def check_picture(one, pictures, kept):
    codes = np.frombuffer(base64.b64decode(one["codes"]), "<u2").reshape(pictures["size"])
    x = kept.reshape(-1, *(1, 1, *kept.shape)[-2:])[0] if one["at"] == "" else kept[index(one["at"])]
    x = x.reshape(pictures["size"]).astype(np.float64)
    low, high = pictures["low"], pictures["high"]
    assert np.array_equal(codes == NAN, np.isnan(x))
    assert np.array_equal(codes == INFINITE, x == np.inf)
    assert np.array_equal(codes == MINUS_INFINITE, x == -np.inf)
    finite = np.isfinite(x)
    share = codes[finite] / FINITE
    np.testing.assert_allclose(low * (1 - share) + high * share, x[finite], rtol=1e-12, atol=(high - low) / FINITE)


@pytest.mark.parametrize("made", RECORDINGS)
def test_every_node_edge_and_number_is_there(made):
    recording = made()
    found = parsed(recording)
    data = found.data
    assert data["digits"] == 4
    assert [entry["key"] for entry in data["entries"]] == [x.key for x in [*recording.leaves, *recording.operations]]
    for shown, entry in zip(data["entries"], [*recording.leaves, *recording.operations], strict=True):
        assert (shown["kind"], shown["label"], shown["names"]) == (entry.kind, entry.label, list(entry.names))
        assert f"n{entry.key}" in found.ids
        check_view(data["values"][shown["value"]], entry.value)
    operations = {entry["key"]: entry for entry in data["entries"] if entry["kind"] == "operation"}
    for operation in recording.operations:
        shown = operations[operation.key]
        assert (shown["formula"], shown["options"]) == (operation.formula, operation.options)
        assert shown["line"] == [f"recordings.py:{operation.line.lineno}", operation.line.text]
        assert shown["operands"] == [
            {"name": x.name, "from": x.source.key, "needs_gradient": x.needs_gradient, "rule": x.rule}
            for x in operation.operands
        ]
        assert {f"e{x.source.key}-{operation.key}" for x in operation.operands} <= set(found.ids)
    drawn = [key for key in found.ids if re.fullmatch(r"n\d+|e\d+-\d+", key)]
    assert (
        len(drawn)
        == len(set(drawn))
        == len(data["entries"])
        + len({(x.source.key, operation.key) for operation in recording.operations for x in operation.operands})
    )


@pytest.mark.parametrize("made", RECORDINGS)
def test_every_step_has_its_numbers(made):
    recording = made()
    data = parsed(recording).data
    assert len(data["steps"]) == len(recording.steps)
    for shown, step, values in zip(data["steps"], recording.steps, values_of_steps(recording), strict=True):
        assert shown["kind"] == type(step).__name__.lower()
        if shown["kind"] == "forward":
            places = [*shown["operands"], data["entries"][keys(data).index(shown["of"])]["value"]]
        elif shown["kind"] == "backward":
            told = sorted(shown["answers"], key=lambda answer: answer["operand"])
            pairs = [[x["answer"], x["part"]] if x["summed"] else [x["part"]] for x in told]
            places = [shown["g"], *(place for pair in pairs for place in pair)]
            assert [x["summed"] for x in shown["answers"]] == [list(answer.summed) for answer in step.answers]
        elif shown["kind"] == "arrival":
            places = [shown["g"], shown["value"]]
        else:
            places = [shown["before"], shown["after"]]
            difference = data["values"][shown["difference"]]
            check_view(
                {**difference, "shape": list(step.before.sample.shape)}, copied(step.after.sample - step.before.sample)
            )
        for place, value in zip(places, values, strict=True):
            check_view(data["values"][place], value)


def keys(data):
    return [entry["key"] for entry in data["entries"]]


def test_a_parameter_is_shown_as_it_was_then():
    data = parsed(two_steps()).data
    first, second = [step for step in data["steps"] if step["kind"] == "forward" and len(step["operands"]) == 2]
    shown = [data["values"][step["operands"][0]]["tables"][0]["rows"] for step in (first, second)]
    assert shown == [[[1, -2], [3, 0.5]], [[0.5, -1], [1.5, 0.25]]]
    changes = [
        data["values"][step["difference"]]["tables"][0]["rows"] for step in data["steps"] if step["kind"] == "change"
    ]
    assert changes == [[[-0.5, 1], [-1.5, -0.25]], [[-0.25, 0.5], [-0.75, -0.125]]]


def test_uses_that_need_a_gradient_are_counted():
    data = parsed(two_steps()).data
    assert [entry["uses"] for entry in data["entries"] if entry["kind"] == "parameter"] == [4]
    assert [entry["uses"] for entry in parsed(softmax_regression()).data["entries"] if entry["label"] == "X"] == [0]


def test_equal_values_are_written_once():
    data = parsed(chain(20)).data
    texts = [json.dumps(value) for value in data["values"]]
    assert len(texts) == len(set(texts)) < 60


def test_an_mlp_is_at_most_200_kB(tmp_path):
    assert mlp().page(tmp_path / "mlp.html").stat().st_size <= 200_000
    assert mlp().page(tmp_path / "mlp.html", images=(28, 28)).stat().st_size <= 200_000


def test_the_file_needs_nothing_else():
    found = parsed(oddities())
    assert found.addresses == []
    assert not {"link", "img", "iframe", "object", "embed", "base", "form"} & set(found.tags)
    assert "noscript" in found.tags
    text = page.page(oddities())
    assert not [x for x in re.findall(r"\w+://[^\"' ]*", text) if x != "http://www.w3.org/2000/svg"]
    assert "@import" not in text
    assert "url(" not in text
    assert len(re.findall("(?i)default-src 'none'", text)) == 1


def test_names_cannot_break_out():
    recording = oddities()
    assert EVIL in {name for leaf in recording.leaves for name in leaf.names}
    plain, found = parsed(chain(1)), parsed(recording, title=EVIL)
    assert len(found.scripts) == len(plain.scripts) == 2
    assert found.scripts[1] == plain.scripts[1]
    assert found.title == EVIL
    assert "<" not in found.scripts[0]
    assert EVIL in {name for entry in found.data["entries"] for name in entry["names"]}


def test_half_a_surrogate_can_be_written(tmp_path):
    x = tg.Tensor(1.0, requires_grad=True)
    x.name = "half \ud800"
    with tg.look.record() as recording:
        tg.exp(x)
    text = recording.page(tmp_path / "page.html", title="half \udc00").read_text("utf-8")
    assert Parsed(text).data["entries"][0]["label"] == "half \ud800"


def test_the_page_is_written_where_it_is_told(tmp_path):
    path = tmp_path / "new" / "folder" / "tape.html"
    recording = softmax_regression()
    assert recording.page(path) == path
    assert path.read_text("utf-8") == page.page(recording)
    assert recording.page(str(path), title="A & B") == path
    assert Parsed(path.read_text("utf-8")).title == "A & B"
    assert [x.name for x in path.parent.iterdir()] == ["tape.html"]


def test_nothing_recorded_is_a_page_too():
    with tg.look.record() as recording:
        pass
    assert parsed(recording).data == {"digits": 4, "entries": [], "steps": [], "values": []}


def test_forward_alone_has_no_empty_gradients():
    with tg.look.record() as recording:
        tg.exp(tg.Tensor(1.0, requires_grad=True))
    assert [step["kind"] for step in parsed(recording).data["steps"]] == ["forward"]


def test_a_large_recording_is_refused(tmp_path):
    recording = chain(10_000)

    def action(tmp_path):
        recording.page(tmp_path / "large" / "page.html")

    message = r"page: expected .* at most 2,000 leaves and operations, got 20,00\d; record less, .*"
    check_error(action, ValueError, message, tmp_path)
    assert not (tmp_path / "large").exists()


@pytest.mark.parametrize(
    ("images", "kind", "pattern"),
    [
        ((28,), ValueError, r"page: expected images to be an integer, or 2 of them, got \(28,\)"),
        ((0, 3), ValueError, "page: expected images to be an integer of at least 1, got 0"),
        ((2.5, 3), TypeError, r"page: expected images to be an integer of at least 1, got .*"),
    ],
)
def test_what_images_are_is_checked(images, kind, pattern, tmp_path):
    recording = chain(1)

    def action(tmp_path):
        recording.page(tmp_path / "page.html", images=images)

    check_error(action, kind, pattern, tmp_path)
    assert not (tmp_path / "page.html").exists()


def test_images_are_images():
    maps = np.arange(2 * 9 * 8, dtype=np.float32).reshape(2, 9, 8)
    shown = view(copied(maps), is_input=True)
    assert shown["is_grey"]
    made = view(copied(maps))
    assert not made["is_grey"]
    assert "In numbers: the first (9, 8) of (9, 8) of [0]." in made["notes"]
    check_view(made, copied(maps))
    assert "tables" not in shown
    assert [one["at"] for one in shown["pictures"]["codes"]] == ["[0]", "[1]"]
    assert view(copied(maps[:, None]))["pictures"]["codes"][1]["at"] == "[1, 0]"
    assert not view(copied(maps - 1), is_input=True)["is_grey"]
    check_view(shown, copied(maps))


def test_rows_and_columns_are_images_where_the_program_says_so():
    rows = np.random.default_rng(0).random((3, 784)).astype(np.float32)
    assert view(copied(rows))["tables"][0]["more"] == [False, True]
    shown = view(copied(rows), images=(28, 28))
    assert shown["pictures"]["size"] == [28, 28]
    assert [one["at"] for one in shown["pictures"]["codes"]] == ["[0]", "[1]", "[2]"]
    assert any("Each row is shown as an image of 28×28." in note for note in shown["notes"])
    check_view(shown, copied(rows))
    columns = view(copied(rows.T), images=(28, 28))
    assert [one["codes"] for one in columns["pictures"]["codes"]] == [
        one["codes"] for one in shown["pictures"]["codes"]
    ]
    assert [one["at"] for one in columns["pictures"]["codes"]] == ["[:, 0]", "[:, 1]", "[:, 2]"]
    small = view(copied(np.arange(8).reshape(2, 4)), images=(2, 2))
    assert [table["rows"] for table in small["tables"]] == [[[0, 1], [2, 3]], [[4, 5], [6, 7]]]


def test_what_is_left_out_is_said():
    many = view(copied(np.zeros((30, 3, 4))))
    assert len(many["tables"]) == 12
    assert "Shown: the first 12 of 30 matrices." in many["notes"]
    wide = view(copied(np.zeros((13, 11))))
    assert wide["tables"][0]["more"] == [True, True]
    assert "In numbers: the first (12, 10) of (13, 11)." in wide["notes"]
    large = view(copied(np.zeros((128, 784)), largest=500), largest=500)
    said = "More than 500 elements are kept as statistics of all of them and a sample: here the first "
    assert f"{said}(1, 784) of (128, 784)." in large["notes"]
    huge = view(copied(np.zeros((300, 200)), largest=10**6))
    assert huge["pictures"]["size"] == [50, 200]
    assert "The picture has the first (50, 200) of (300, 200)." in huge["notes"]
    with tg.look.record(largest=500) as recording:
        tg.sum(tg.Tensor(np.zeros((128, 784)), requires_grad=True))
    assert any("More than 500" in note for value in parsed(recording).data["values"] for note in value["notes"])


@pytest.mark.parametrize(
    ("array", "rows"),
    [
        (np.array(7), [[7]]),
        (np.array([True, False]), [[True, False]]),
        (np.array([2**62, -(2**53)]), [[str(2**62), -(2**53)]]),
        (np.array([255], np.uint8), [[255]]),
        (np.array([np.nan, np.inf, -np.inf]), [["NaN", "∞", "-∞"]]),
        (np.array([1.7976931348623157e308, 5e-324]), [["1.798e+308", 5e-324]]),
        (np.array([0.1, 1 / 3], np.float16), [[0.09998, 0.3333]]),
        (np.array([123456.0, -0.0]), [[123500.0, 0]]),
    ],
)
def test_numbers_of_all_kinds(array, rows):
    assert view(copied(array))["tables"][0]["rows"] == rows


def test_a_change_of_unsigned_and_bool_arrays_has_a_sign():
    for kind in (np.uint8, np.bool_):
        before, after = copied(np.array([1, 0], kind)), copied(np.array([0, 1], kind))
        assert page._difference(before, after).sample.tolist() == [-1, 1]


def test_a_number_keeps_four_digits():
    random = np.random.default_rng(0)
    for x in random.normal(size=100) * 10.0 ** random.integers(-300, 300, 100):
        assert abs(number(float(x)) - x) <= 0.5001e-3 * abs(x)


def test_what_stands_beside_the_code_is_packaged():
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"][
        "tinygrad_sm.look"
    ]
    beside = [x for x in resources.files("tinygrad_sm.look").iterdir() if x.is_file() and not x.name.endswith(".py")]
    assert {x.name for x in beside} >= {"page.html", "page.css", "page.js"}
    assert all(any(x.match(pattern) for pattern in patterns) for x in beside)
