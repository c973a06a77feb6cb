"""The page for those who write the engine: its session runs as it stands, and it names all chapters."""

import contextlib
import io
import re

from tests.helpers import ROOT
from tinygrad_sm.exercises import chapter_check, checking
from tinygrad_sm.exercises.__main__ import main
from tinygrad_sm.exercises.chapters import CHAPTERS, EXERCISES
from tinygrad_sm.exercises.readme import in_hours

PAGE = (ROOT / "docs/start/write.md").read_text("utf-8")
HOLE = '    raise NotImplementedError("exercise exp: write this piece")\n'
LINE = re.compile(r"(?<=line )\d+|(?<=\.py:)\d+")
"""The number of a line of the source, which may move."""


def test_the_session_of_the_page_runs(tmp_path, monkeypatch):
    """But for the training, which tests/exercises do."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checking, "train", lambda *_: chapter_check.Training(92.63, ""))
    place, body, ran = tmp_path / "work/tinygrad_sm/ops/elementwise.py", HOLE, 0
    for block in re.findall(r"^```text\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE):
        if block.startswith("$"):
            for said in re.split(r"^\$ python -m tinygrad_sm.exercises ", block, flags=re.MULTILINE)[1:]:
                command, _, expected = said.partition("\n")
                with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(out):
                    main(command.split())
                assert LINE.sub("0", out.getvalue()).strip() == LINE.sub("0", expected).strip()
                ran += 1
        elif block.startswith("# >>>"):
            assert block in place.read_text("utf-8")
        else:
            text = place.read_text("utf-8")
            assert text.count(body) == 1
            place.write_text(text.replace(body, block), "utf-8")
            body = block
    assert ran == PAGE.count("$ python") == 6


def test_the_page_names_all_chapters():
    assert re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE) == [chapter.name for chapter in CHAPTERS]
    assert f" {len(EXERCISES)} pieces of the framework" in PAGE
    assert f"together take {in_hours(sum(exercise.minutes for exercise in EXERCISES))}" in PAGE
