"""A browser for tests, which forgives nothing: a message in the console, an error or a foreign request fails a test.

    @pytest.fixture
    def opened(browser):  # `browser` is in conftest.py
        with strict_pages(browser, own=SITE.as_uri()) as open_page:
            yield open_page

Where something is missing, tests skip and say why. With TINYGRAD_SM_SITE=1, which `make test-site` and `make test-try`
set, they fail. Tests of built pages run there alone: elsewhere the pages may be older than the source.
"""

import contextlib
import functools
import http.server
import importlib.util
import os
import shutil
import threading

import pytest

from tests.helpers import ROOT

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
AXE = ROOT / "build/npm/node_modules/axe-core/axe.min.js"
MUST_BE_THERE = os.environ.get("TINYGRAD_SM_SITE") == "1"


def need(thing, missing):
    """Skip the test if the thing is not there, or fail it where nothing may be missing; `missing` says what to do."""
    if not thing:
        (pytest.fail if MUST_BE_THERE else pytest.skip)(missing)


def need_built(folder):
    """Skip the test unless make has just built the site; fail if it has no such folder."""
    need(MUST_BE_THERE and folder.exists(), f"make test-site builds {folder.relative_to(ROOT)}, and tests it")


@contextlib.contextmanager
def chromium():
    """Start Chromium without a window."""
    need(importlib.util.find_spec("playwright"), "playwright is not installed: pip install playwright")
    need(CHROMIUM, "there is no chromium: apt-get install chromium")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield browser
        browser.close()


@contextlib.contextmanager
def strict_pages(browser, own):
    """Give a function that opens an address as a page; at the end nothing may have gone wrong in any of them.

    own : str, with which every address must begin that a page asks for.
    """
    contexts, faults = [], []

    def note(request):
        if not request.url.startswith((own, "data:", "blob:")):
            faults.append(f"a request to {request.url}")

    def failed(request):
        if request.failure != "net::ERR_ABORTED":  # the page was left
            faults.append(f"{request.failure} {request.url}")

    def open_page(url, width=1200, scheme="light"):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        context.set_default_timeout(30_000)
        context.on("request", note)
        context.on("requestfailed", failed)
        context.on("response", lambda answer: answer.status < 400 or faults.append(f"{answer.status} {answer.url}"))
        page = context.new_page()
        page.on("console", lambda message: faults.append(f"the console: {message.text}"))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.goto(url)
        return page

    open_page.faults = faults  # a test that expects one takes it from here
    yield open_page
    for context in contexts:
        context.close()
    assert not faults, "\n".join(faults)


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder under a path, and does not write about it."""

    def __init__(self, *args, under, **kwargs):
        self.under = under
        super().__init__(*args, **kwargs)

    def translate_path(self, path):
        if not path.startswith(self.under):
            return os.devnull + "/"  # is not found
        return super().translate_path(path.removeprefix(self.under))

    def do_GET(self):
        if self.path != "/favicon.ico":
            return super().do_GET()
        self.send_response(204)  # browsers ask for it by themselves: it is no fault of a page
        return self.end_headers()

    def handle(self):
        with contextlib.suppress(ConnectionError):  # a page that is left hangs up
            super().handle()

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def served(folder, under="/some/path/"):
    """Serve a folder as a part of a larger server; give the address of the folder."""
    handler = functools.partial(_Handler, directory=folder, under=under)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}{under}"
        server.shutdown()


def faults_by_axe(page):
    """Return what axe finds serious or critical in the page and in its frames."""
    need(AXE.exists(), "axe-core is not here: make try brings it")
    found = []
    for frame in page.frames:
        if frame != page.main_frame:
            frame.frame_element().scroll_into_view_if_needed()  # the browser lets what nobody sees wait
        frame.evaluate("new Promise((seen) => requestAnimationFrame(() => requestAnimationFrame(() => seen())))")
        frame.evaluate(AXE.read_text("utf-8") + "; null")
        results = frame.evaluate("axe.run({ preload: false, resultTypes: ['violations'] })")
        found += [
            (fault["id"], [node["html"][:200] for node in fault["nodes"]][:3])
            for fault in results["violations"]
            if fault["impact"] in ("serious", "critical")
        ]
    return found
