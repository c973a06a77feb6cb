"""What the page is built from: the wheel without what it leaves out, and the NumPy that Pyodide's lock names."""

import base64
import hashlib
import json
import re
import zipfile

import numpy as np
import pytest

from tests.helpers import ROOT
from tests.site.conftest import build
from tinygrad_sm.datasets import mnist, toys


@pytest.fixture
def wheel(tmp_path):
    """Give a wheel as pip makes them, with a file of each kind."""
    path = tmp_path / "tinygrad_sm-0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as made:
        for name in ("__init__.py", "__init__.pyi", "look/page.js", "datasets/mnist.py"):
            made.writestr(f"tinygrad_sm/{name}", name * 100)
        for split in ("train", "t10k"):
            made.writestr(f"tinygrad_sm/datasets/{split}-images-idx3-ubyte.gz", "x")
        made.writestr("tinygrad_sm-0.dist-info/RECORD", "old")
    return path


def test_a_slim_wheel_has_a_record_of_what_it_has(wheel, tmp_path):
    slim = tmp_path / "slim.whl"
    build.slim(wheel, slim)
    with zipfile.ZipFile(slim) as made:
        names = made.namelist()
        record = [line.split(",") for line in made.read("tinygrad_sm-0.dist-info/RECORD").decode().splitlines()]
        for name, digest, size in record[:-1]:
            data = made.read(name)
            expected = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            assert (digest, int(size)) == (f"sha256={expected}", len(data))
    assert record[-1] == ["tinygrad_sm-0.dist-info/RECORD", "", ""]
    assert sorted(names) == sorted(row[0] for row in record)
    kept = {name.partition("/")[2] for name in names}
    assert kept == {"RECORD", "__init__.py", "look/page.js", "datasets/mnist.py"}


def test_a_wheel_without_a_record_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.whl", "w") as made:
        made.writestr("tinygrad_sm/__init__.py", "")
    with pytest.raises(ValueError, match=r"x\.whl: expected a wheel, which has a \.dist-info/RECORD"):
        build.slim(tmp_path / "x.whl", tmp_path / "slim.whl")


def test_the_archive_has_the_first_digits_of_both_sets(tmp_path):
    build.digits(tmp_path / "digits.npz")
    with np.load(tmp_path / "digits.npz") as file:
        for split in ("train", "test"):
            images, labels, _ = mnist(split, scale=None)
            np.testing.assert_array_equal(file[f"{split}_pixels"], images[:2000, 0])
            np.testing.assert_array_equal(file[f"{split}_labels"], labels[:2000])


def test_what_scripts_know_stands_in_the_page_and_the_links_to_the_site_only_where_there_is_one():
    html = (ROOT / "site/try/index.html").read_text("utf-8")
    facts = {"programs": {"a": "print('</script>')\n", "b": "x = {digits} < 2"}, "digits": 1234}
    made = build.page(html, facts, "9.8.7", is_in_site=True)
    assert 'href="../index.html"' in made
    assert "../" not in build.page(html, facts, "9.8.7", is_in_site=False)
    (texts,) = re.findall(r'<script type="application/json" id="facts">(.*?)</script>', made)
    assert json.loads(texts) == facts
    assert "1,234 digits to learn from and 1,234 to test" in made
    assert "</a> 9.8.7 (MPL 2.0)" in made


def test_a_page_without_a_place_for_them_is_refused():
    with pytest.raises(ValueError, match=r'expected <p id="back"> and {facts} and {pyodide}, which'):
        build.page("<p>{digits}</p>", {"digits": 1}, "1", is_in_site=True)


def test_the_page_has_the_animals_of_the_package():
    animals = build.facts()["animals"]
    assert list(animals) == list(toys.PROTOTYPES)
    np.testing.assert_allclose(list(animals.values()), toys.cat_chicken_dog(3, noise=0).images.reshape(3, 4))


def test_numpy_is_the_file_that_its_page_describes():
    page = (ROOT / "site/wasm/README.md").read_text("utf-8")
    data = (ROOT / "site/wasm" / build.NUMPY).read_bytes()
    assert build.NUMPY in page
    assert re.search(r"SHA-256 \| `(\w+)`", page)[1] == hashlib.sha256(data).hexdigest()
    assert re.search(r"bytes \| ([\d,]+)", page)[1] == f"{len(data):,}"


def test_another_numpy_is_refused(tmp_path):
    (tmp_path / "pyodide").mkdir()
    for name in build.PYODIDE:
        (tmp_path / "pyodide" / name).write_bytes(b"")
    lock = {"packages": {"numpy": {"file_name": build.NUMPY, "sha256": "0" * 64}}}
    (tmp_path / "pyodide/pyodide-lock.json").write_text(json.dumps(lock))
    with pytest.raises(ValueError, match="expected the SHA-256 of Pyodide's lock file, 0{64}, got ebb61241"):
        build.pyodide(tmp_path, tmp_path / "made")


def test_npm_brings_the_pyodide_for_which_numpy_was_compiled_and_names_no_server():
    lock = json.loads((ROOT / "site/package-lock.json").read_text("utf-8"))
    wanted = json.loads((ROOT / "site/package.json").read_text("utf-8"))["dependencies"]["pyodide"]
    assert lock["packages"]["node_modules/pyodide"]["version"] == wanted
    assert f"Pyodide {wanted}]" in (ROOT / "site/wasm/README.md").read_text("utf-8")
    assert all(entry["integrity"].startswith("sha512-") for name, entry in lock["packages"].items() if name)
    assert "resolved" not in json.dumps(lock)


@pytest.mark.parametrize(("size", "status"), [(20_000_000, 0), (20_000_001, "20000001 bytes are more than 20000000")])
def test_a_page_that_is_too_large_is_refused(monkeypatch, size, status):
    monkeypatch.setattr(build, "build", lambda *_: size)
    monkeypatch.setattr("sys.argv", ["build.py", "wheel", "packages", "folder"])
    assert build.main() == status
