"""The built page, served as a part of a larger server, and a browser that opens it and forgives nothing."""

import pytest

from tests.browser import need_built, served, strict_pages
from tests.helpers import ROOT, loaded

SITE = ROOT / "build/site/try"
STARTS = 90_000
"""Milliseconds in which Python must have started, on a machine that does other things too."""

build = loaded(ROOT / "site/build.py", "site_build")


@pytest.fixture(scope="session")
def address():
    """Give the address of the page."""
    need_built(SITE)
    with served(SITE.parent) as site:
        yield f"{site}try/"


@pytest.fixture
def opened(browser, address):
    """Give a function that opens the page in a state, which stands in its address, and waits until Python is ready."""
    with strict_pages(browser, own=address.removesuffix("try/")) as open_page:

        def open_state(state="", wait=True, **options):
            page = open_page(address + state, **options)
            if wait:
                until_ready(page)
            return page

        open_state.faults = open_page.faults
        yield open_state


def until_ready(page):
    page.wait_for_selector("body[data-state=ready]", timeout=STARTS)


def train(page, wait=STARTS):
    """Press the button, and wait for the end of the program."""
    page.click("#run")
    page.wait_for_function("document.body.dataset.state !== 'training'", timeout=wait)
    until_ready(page)


def draw(page, strokes):
    """Draw strokes, each a list of points of the pad's 280×280, with the mouse."""
    page.locator("#pad").scroll_into_view_if_needed()
    box = page.locator("#pad").bounding_box()
    scale = box["width"] / 280
    for (x, y), *others in strokes:
        page.mouse.move(box["x"] + scale * x, box["y"] + scale * y)
        page.mouse.down()
        for x, y in others:
            page.mouse.move(box["x"] + scale * x, box["y"] + scale * y, steps=12)
        page.mouse.up()
