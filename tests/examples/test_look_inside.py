"""What `look_inside` writes has the numbers of the tape, and it would see others; the README shows its picture."""

import re

import look_inside
import numpy as np
import pytest

from tests.helpers import ROOT


@pytest.mark.parametrize("record", [look_inside.record_cat, look_inside.record_mlp, look_inside.record_flagship])
def test_pages_have_the_numbers_of_the_tape_and_no_others(record, tmp_path, capsys):
    recording, gradients = record()
    images = (28, 28) if record is look_inside.record_flagship else None
    page = recording.page(tmp_path / "page.html", images=images).read_text("utf-8")
    assert look_inside.faults_of(page, recording, gradients) == []
    for name, g in gradients.items():
        (fault,) = look_inside.faults_of(page, recording, gradients | {name: g * 1.01})
        assert fault.startswith(f"the gradient of {name}: ")


def test_an_entry_that_a_page_lacks_is_seen(tmp_path, capsys):
    recording, gradients = look_inside.record_mlp()
    page = recording.page(tmp_path / "page.html").read_text("utf-8")
    more, _ = look_inside.record_mlp()
    assert "tanh" in look_inside.faults_of(page, more, gradients)


def test_the_cat_is_right_by_hand_and_has_one_path_for_its_label(capsys):
    look_inside.record_cat()
    said = capsys.readouterr().out
    assert "`dz` is right\n`db` is right\n`dW` is right\n" in said
    assert "the sum over 1 path\n" in said


def test_the_readme_shows_the_tape_of_the_cat(capsys):
    recording, _ = look_inside.record_cat()
    shown = (ROOT / "docs/tape.svg").read_text("utf-8")
    assert _without_keys(recording.svg()) == _without_keys(shown)
    assert "](docs/tape.svg)" in (ROOT / "README.md").read_text("utf-8")


def _without_keys(svg):
    """Return a picture in which ids count from 0: its keys number what the process has made."""
    keys = {}

    def renamed(found):
        return re.sub(r"\d+", lambda key: str(keys.setdefault(key[0], len(keys))), found[0])

    return re.sub(r'id="[ne][\d-]+"', renamed, svg)


def test_gradients_of_the_cat_are_the_textbook_s(capsys):
    recording, gradients = look_inside.record_cat()
    a = next(operation for operation in recording.operations if operation.label == "softmax").value.array
    x = recording["x"].value.array
    assert np.allclose(gradients["W"], (a - [[1, 0, 0]]).T @ x, rtol=1e-12)
