"""The helpers of tests in a browser: what is missing skips, or fails in CI; a foreign request fails a test."""

import urllib.error
import urllib.request

import pytest

from tests import browser as helpers


@pytest.mark.parametrize(("must", "kind"), [(False, pytest.skip.Exception), (True, pytest.fail.Exception)])
def test_what_is_missing_skips_or_fails(monkeypatch, must, kind):
    monkeypatch.setattr(helpers, "MUST_BE_THERE", must)
    helpers.need("it is there", "nothing")
    with pytest.raises(kind, match="apt-get install it"):
        helpers.need(None, "apt-get install it")


def test_a_folder_is_served_under_its_path_alone(tmp_path):
    (tmp_path / "a.txt").write_text("a")
    with helpers.served(tmp_path, under="/deep/") as address:
        assert urllib.request.urlopen(address + "a.txt").read() == b"a"
        for path in ("a.txt", "other/a.txt"):
            with pytest.raises(urllib.error.HTTPError, match="404"):
                urllib.request.urlopen(address.removesuffix("deep/") + path)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("<script>console.log(1)</script>", "the console: 1"),
        ("<script>throw new Error('no')</script>", "no"),
        ("<img src='http://127.0.0.1:9/x'>", "a request to http://127.0.0.1:9/x"),
        ("<img src='missing'>", "404 "),
    ],
)
def test_a_fault_of_a_page_fails_its_test(browser, tmp_path, text, fault):
    (tmp_path / "a.html").write_text(f"<link rel=icon href='data:,'>{text}")

    def visit():
        with helpers.served(tmp_path) as address, helpers.strict_pages(browser, own=address) as open_page:
            open_page(address + "a.html").wait_for_load_state("networkidle")

    with pytest.raises(AssertionError, match=fault):
        visit()
