"""The built site as a person sees it: in Chromium, on a desk and on a phone. `make test-site` builds it before."""

import re

import pytest

from tests.browser import faults_by_axe, need_built, served, strict_pages
from tests.helpers import ROOT

SITE = ROOT / "build/site"
KINDS = [
    "index",
    "start/read",
    "start/write",
    "start/import",
    "start/run",
    "reading_order",
    "reading/tape",
    "api/tensor",
    "notebooks/inside_the_tape",
    "notebooks/softmax_jacobian",
    "curriculum",
    "glossary",
    "from_pytorch",
    "teaching",
    "proofs",
    "examples",
    "benchmarks",
    "source/examples/micro.py",
]
"""A page of each kind, and all that a newcomer begins with."""
DARK = ["index", "reading/tape", "notebooks/softmax_jacobian"]
API = sorted({f"api/{path.stem}" for path in (ROOT / "docs/api").glob("*.md")} - {*KINDS})


@pytest.fixture(scope="module")
def address():
    """Give the address of the site, which is a part of a larger server."""
    need_built(SITE)
    with served(SITE) as address:
        yield address


def opener(browser, address):
    """Give a function that opens a page of the site by its name; see strict_pages."""
    with strict_pages(browser, own=address) as open_page:

        def open_name(name, **options):
            name, mark, place = re.fullmatch(r"([^?#]*)([?#]?)(.*)", name).groups()
            file = name if name.endswith(".html") else f"{name}.html"
            page = open_page(f"{address}{file}{mark}{place}", **options)
            page.wait_for_load_state("networkidle")
            return page

        yield open_name


@pytest.fixture
def opened(browser, address):
    yield from opener(browser, address)


@pytest.fixture
def opened_from_files(browser):
    need_built(SITE)
    yield from opener(browser, f"{SITE.as_uri()}/")


def look_at(page, *widths):
    """Hold a page to windows of these widths, and let axe look for serious faults in each."""
    for width in widths:
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert faults_by_axe(page) == []


@pytest.mark.parametrize("name", KINDS)
def test_a_page_fits_a_phone_and_a_desk_and_is_without_faults(opened, name):
    page = opened(name, width=390)
    assert page.locator("h1").count() == 1
    look_at(page, 390, 1280)


@pytest.mark.parametrize("name", API)
def test_a_page_of_names_is_without_faults(opened, name):
    look_at(opened(name), 1280)


@pytest.mark.parametrize("name", DARK)
def test_a_page_is_without_faults_in_the_dark(opened, name):
    look_at(opened(name, scheme="dark"), 1280)


def test_four_doors_lead_in(opened):
    page = opened("index")
    doors = page.locator(".doors strong a")
    names = ["Read it", "Write it", "Import it", "Run it"]
    assert doors.all_inner_texts() == names
    for door in names:
        doors.filter(has_text=door).click()
        assert page.locator("h1").inner_text().startswith(door)
        page.go_back()
    assert page.locator(".doors a", has_text="in this browser").get_attribute("href") == "try/index.html"


def test_the_door_to_run_it_leads_to_the_page_that_runs_python_and_back(opened):
    page = opened("start/run")
    page.locator("article a", has_text="the page that trains here").click()
    page.wait_for_selector("#programs a")
    assert page.url.endswith("/some/path/try/index.html")
    page.locator("#back a").first.click()
    page.wait_for_selector(".doors")


def test_the_site_works_from_files(opened_from_files):
    page = opened_from_files("index")
    page.locator(".sidebar-search").fill("logsumexp")
    page.locator(".sidebar-search").press("Enter")
    page.locator("#search-results li a", has_text="Softmax and its relatives").first.click()
    assert "logsumexp" in page.locator("article").inner_text()
    page = opened_from_files("notebooks/softmax_jacobian")
    page.wait_for_selector("mjx-container")


def test_prose_stands_beside_its_lines_where_there_is_room(opened):
    def first(width):
        page = opened("reading/tape", width=width)
        prose, code = page.locator(".beside .prose").first, page.locator(".beside .highlight").first
        return prose.bounding_box(), code.bounding_box()

    prose, code = first(1500)
    assert prose["x"] + prose["width"] <= code["x"]
    assert abs(prose["y"] - code["y"]) < 60
    prose, code = first(600)
    assert prose["y"] + prose["height"] <= code["y"]


def test_formulas_are_typeset_here(opened):
    """Also with what the menu of a formula offers to readers who hear or magnify it."""
    page = opened("notebooks/softmax_jacobian")
    page.wait_for_selector("mjx-container")
    assert page.locator("mjx-container").count() > 8
    assert page.locator("mjx-merror").count() == 0
    page.evaluate("MathJax.loader.load('a11y/explorer', 'a11y/complexity', 'a11y/assistive-mml', 'output/svg')")
    page.wait_for_load_state("networkidle")


def test_arrow_keys_scroll_code_and_stay_on_the_page(opened):
    page = opened("reading/tape", width=800)
    address = page.url
    page.locator("pre[tabindex='0']").first.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    page.wait_for_function("document.activeElement.scrollLeft > 0")
    assert page.url == address


def test_a_line_of_a_source_that_a_link_names_is_marked(opened):
    page = opened("source/examples/micro.py#L-3")
    colour = "getComputedStyle(document.querySelector('a[href=\"#L-%d\"]')).backgroundColor"
    assert page.evaluate(colour % 3) != page.evaluate(colour % 4)


def test_a_picture_is_as_dark_as_its_page(opened, tmp_path):
    """A reader may choose on the page what the system does not say."""
    image = pytest.importorskip("matplotlib.image")
    page, shot = opened("index", scheme="dark"), tmp_path / "shot.png"

    def corner():
        """Return how bright the first pixel of the picture is."""
        page.locator("img[src$='tape.svg']").screenshot(path=shot)
        return image.imread(shot)[8, 8, :3].mean()

    assert corner() < 0.3
    page.evaluate("document.body.dataset.theme = 'light'")
    page.wait_for_timeout(200)
    assert corner() > 0.9


def test_chinese_has_its_font(opened):
    page = opened("glossary")
    page.evaluate("document.fonts.ready")
    loaded = page.evaluate("[...document.fonts].filter(f => f.family.includes('Noto Sans SC')).map(f => f.status)")
    assert loaded == ["loaded"]


def test_an_operation_shows_its_rule(opened):
    page = opened("api/softmax#tg-softmax")
    text = page.locator("#tg-softmax").inner_text()
    assert "return p * (g - sum(g * p, axis, keepdims=True))" in text
    assert "proved as a formula at orders 1 and 2" in text


def test_the_map_leads_to_the_line(opened):
    page = opened("curriculum")
    page.locator("a", has_text="examples/show_digits.py::row_by_row").first.click()
    place = re.search(r"#L-(\d+)$", page.url)
    assert "def row_by_row" in (ROOT / "examples/show_digits.py").read_text("utf-8").splitlines()[int(place[1]) - 1]


def test_search_finds_an_operation(opened):
    page = opened("search.html?q=logsumexp", width=390)
    page.wait_for_selector("#search-results li a")
    assert page.locator("#search-results li a", has_text="Softmax").count()
    look_at(page, 390, 1280)
