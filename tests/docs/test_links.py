"""The links of a built site are followed, and so is what its styles and scripts name."""

import shutil
import sys

import pytest

from tests.helpers import ROOT, loaded

PATH = ROOT / "docs/extensions/links.py"


@pytest.fixture(scope="module")
def links():
    return loaded(PATH, "site_links")


def said(found):
    return [line.partition(": ")[2] for line in found]


def test_pages_that_lead_to_each_other_have_no_fault(links, tmp_path):
    (tmp_path / "a.html").write_text('<a id="x" href="b.html#y">b</a><a href="#x">x</a><a href="https://host/">out</a>')
    (tmp_path / "b.html").write_text('<p id="y"><img src="data:,"><a href="a.html#x">t</a>')
    assert links.faults(tmp_path) == ([], 2)


@pytest.mark.parametrize(
    ("page", "fault"),
    [
        ('<a href="b.html">', "b.html is not there"),
        ('<a href="folder/">', "folder/ is not there"),
        ('<a href="a.html#y">', "a.html#y names a place that is not there"),
        ('<a href="http://host/">', "http://host/ leads elsewhere, and not by https"),
        ('<img src="https://host/p.png">', "https://host/p.png would be fetched from another host"),
        ('<img src="//host/p.png">', "//host/p.png would be fetched from another host"),
        ('<img srcset="a.html 1x, p.png 2x">', "p.png is not there"),
        ('<video poster="p.png">', "p.png is not there"),
        ("<p style=\"background: url('p.png')\">", "p.png is not there"),
        ("<style>p { background: url(p.png) }</style>", "p.png is not there"),
        ('<script type="module">import { a } from "./a.js";</script>', "./a.js is not there"),
    ],
)
def test_a_fault_of_a_page_is_found(links, tmp_path, page, fault):
    (tmp_path / "folder").mkdir()
    (tmp_path / "a.html").write_text(page)
    assert said(links.faults(tmp_path)[0]) == [fault]


@pytest.mark.parametrize(
    ("name", "text", "faults"),
    [
        ("a.css", "@font-face { src: url('a.woff') } p { background: url( b.png#x ) }", ["a.woff", "b.png#x"]),
        ("a.css", '@import "b.css"; /* url(c.css) */', ["b.css"]),
        ("a.js", 'import "./a/b.js"; export * from "./c.js";', ["./a/b.js", "./c.js"]),
        ("a.mjs", 'import {\n  a,\n  b as c,\n} from "./b.mjs";', ["./b.mjs"]),
        ("a.js", 'const b = await import("./b.js"), c = import(name);', ["./b.js"]),
        ("a.js", 'new Worker("b.js"); new Worker(new URL("./c.js", import.meta.url));', ["./c.js", "b.js"]),
        ("a.js", 'fetch("b.json"); fetch(name); fetch(`${name}.json`);', ["b.json"]),
        ("a.js", 'import { a } from "bare"; import fs from "node:fs"; new URL("./folder/", here);', []),
    ],
)
def test_what_a_style_or_a_script_names_must_be_there(links, tmp_path, name, text, faults):
    (tmp_path / "folder").mkdir()
    (tmp_path / name).write_text(text)
    assert said(links.faults(tmp_path)[0]) == [f"{fault} is not there" for fault in faults]


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "site/try").glob("*.js")))
def test_every_script_of_the_page_that_runs_python_is_named(links, tmp_path, name):
    site = tmp_path / "try"
    shutil.copytree(ROOT / "site/try", site)
    before = said(links.faults(site)[0])
    (site / name).unlink()
    assert {line.removeprefix("./") for line in set(said(links.faults(site)[0])) - set(before)} == {
        f"{name} is not there"
    }


def test_the_faults_are_printed_and_fail_the_build(links, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["links.py", str(tmp_path)])
    assert links.main() == 1  # no page is there
    (tmp_path / "a.html").write_text('<a href="#x">')
    assert links.main() == 1
    assert "a.html: #x names a place that is not there\n1 pages, 1 faults" in capsys.readouterr().out
    (tmp_path / "a.html").write_text('<a id="x" href="#x">')
    assert links.main() == 0


def test_a_link_does_not_leave_the_site(links, tmp_path):
    site = tmp_path / "site"
    site.mkdir()
    (tmp_path / "README.md").write_text("not published")
    (site / "a.html").write_text('<a href="../README.md">r</a>')
    assert links.faults(site)[0] == ["a.html: ../README.md is not there"]
