"""The page as a person uses it: train, draw, step through the tape, make a mistake, reload, a phone, the keys alone."""

import re

import pytest

from tests.browser import faults_by_axe, need_built
from tests.site.conftest import SITE, STARTS, build, draw, train, until_ready

SEVEN = [[(60, 55), (205, 55), (135, 235)]]
THREE = [[(80, 60), (170, 50), (190, 95), (130, 135), (195, 165), (190, 215), (85, 230)]]
PROGRAMS = ("digits", "hidden", "clouds", "spirals", "animals")


def number(text, pattern):
    return float(re.search(pattern, text)[1])


def picture(page):
    """Return what is on the pad, without the mark of the pen, which it has while it has the focus."""
    return page.locator("#pad").evaluate("pad => { pad.blur(); return pad.toDataURL(); }")


def go(page, name):
    page.click(f"nav a[href='#program={name}']")


def test_all_of_it_is_at_most_20_megabytes():
    need_built(SITE)
    assert sum(path.stat().st_size for path in SITE.rglob("*") if path.is_file()) <= build.MOST_BYTES


def test_it_says_from_the_first_second_how_far_it_is(opened):
    page = opened(wait=False)
    since = "&& performance.now() / 1000"  # the page began to load
    assert page.locator("#stage").is_visible()
    said = "/Fetching Python: [0-9.]+ of 1[0-9.]+ MB/.test(document.getElementById('stage').textContent)"
    assert page.wait_for_function(said + since).json_value() < 1.5
    assert page.locator("#code").input_value().startswith("import tinygrad_sm as tg")
    assert page.locator("#run").is_disabled()
    assert page.wait_for_function("document.body.dataset.state === 'ready'" + since, timeout=STARTS).json_value() < 30
    assert page.locator("#starting").is_hidden()
    assert re.match(r"Ready: tinygrad_sm [\d.]+ with NumPy 2.0.2 on Python 3.12", page.inner_text("#status"))


def test_a_learner_trains_draws_and_steps_through_the_tape(opened):
    page = opened()
    draw(page, SEVEN)
    page.wait_for_selector("#answer:has-text('train it first')")
    train(page)
    result = page.inner_text("#result")
    assert number(result, r"Loss ([\d.]+)") < 0.6
    assert number(result, r"([\d.]+) % of 2,000 right") > 83
    assert page.locator("#curves .dot.test").count() == 16
    assert page.locator("#curves .dot.batch").count() == 15
    assert page.locator("#learned canvas").count() == 10
    page.wait_for_selector("#answer:has-text('The model says 7')")
    page.click("#clear")
    page.wait_for_selector("#answer:has-text('Draw a digit')")
    draw(page, THREE)
    page.wait_for_selector("#answer:has-text('The model says 3')")
    shares = page.locator("#probabilities td:nth-child(2)").all_inner_texts()
    assert sum(float(share.rstrip(" %")) for share in shares) == pytest.approx(100, abs=0.6)
    coloured = """canvas => [...canvas.getContext("2d").getImageData(0, 0, 28, 28).data]
        .filter((x, i) => i % 4 < 3 && x < 250).length"""
    for place in (0, 1):
        assert page.locator(".seen canvas").nth(place).evaluate(coloured) > 50
    assert page.locator("#label").input_value() == "3"
    page.click("#tape")
    tape = page.frame_locator("iframe")
    tape.locator("#place:has-text('before step 1 of')").wait_for()
    steps = int(number(tape.locator("#place").inner_text(), r"of (\d+)"))
    for i in range(steps):
        page.keyboard.press("ArrowRight")
        assert tape.locator("#place").inner_text().startswith(f"step {i + 1} of {steps}")
    page.keyboard.press("ArrowLeft")
    assert tape.locator("#place").inner_text().startswith(f"step {steps - 1} of")
    with page.expect_download() as download:
        page.click("text=Save this tape")
    assert "label 3" in download.value.path().read_text("utf-8")


def test_an_error_is_the_frameworks_own_and_leads_to_its_line(opened):
    page = opened()
    code = page.locator("#code").input_value()
    page.fill("#code", code.replace("nn.Linear(784, 10)", "nn.Linear(784, 9)"))
    page.click("#run")
    page.wait_for_selector("#error pre")
    bottom = page.evaluate("document.querySelector('#error').getBoundingClientRect().bottom - innerHeight")
    assert bottom <= 0  # it is in the window
    said = page.inner_text("#error pre")
    assert said.startswith("ValueError: show: expected logits of shape (2000, 10)")
    page.fill("#code", code.replace("nn.Linear(784, 10)", "nn.Linear(783, 10)"))
    page.click("#run")
    page.wait_for_selector("#error pre:has-text('783')")
    said = page.inner_text("#error pre")
    assert said == "ValueError: Linear(783, 10) at '1': expected input of shape (..., 783), got float32 (2000, 784)"
    line = page.locator("#error li").first
    page.click("#error .link >> nth=0")
    selected = page.evaluate(
        "() => { const x = document.activeElement; return x.value.slice(x.selectionStart, x.selectionEnd); }"
    )
    assert selected.strip() == line.locator("code").inner_text()
    page.click("#reset")
    assert page.locator("#code").input_value() == code
    train(page)
    assert page.locator("#error pre").count() == 0


def test_the_address_brings_the_state_back_and_runs_nothing(opened):
    page = opened()
    go(page, "hidden")
    page.locator("#code").press("Control+Home")
    page.locator("#code").press_sequentially("print('mine', end='')\n")
    draw(page, THREE)
    page.wait_for_function("location.hash.includes('drawing=') && location.hash.includes('code=')")
    drawing = picture(page)
    page.reload()
    until_ready(page)
    assert page.locator("#code").input_value().startswith("print('mine', end='')\nimport")
    assert page.locator("nav [aria-current]").inner_text() == "Digits, a hidden layer"
    assert picture(page) == drawing
    assert page.locator("#printed").is_hidden()
    assert "Nothing has been trained" in page.inner_text("#result")
    train(page)
    assert page.inner_text("#printed").strip() == "mine"
    page.wait_for_selector("#answer:has-text('The model says 3')")
    go(page, "clouds")
    page.go_back()
    assert page.locator("#code").input_value().startswith("print('mine', end='')\nimport")


def test_a_program_that_prints_without_end_is_stopped(opened):
    page = opened()
    page.fill("#code", "i = 0\nwhile True:\n    print('line', i)\n    i += 1")
    page.click("#run")
    page.wait_for_selector("#printed:has-text('line')")
    page.wait_for_timeout(2000)
    page.click("#stop", timeout=5000)
    until_ready(page)


def test_what_was_printed_last_is_there_at_the_end(opened):
    page = opened()
    page.fill("#code", "for i in range(3000):\n    print('line', i)")
    train(page)
    assert page.inner_text("#printed").endswith("line 2998\nline 2999\n")


def test_an_endless_program_is_stopped(opened):
    page = opened()
    page.fill("#code", "print('begun')\nwhile True:\n    pass")
    page.click("#run")
    page.wait_for_selector("#printed:has-text('begun')")
    page.click("#stop")
    page.wait_for_selector("#status:has-text('Stopped')")
    until_ready(page)
    page.click("#reset")
    train(page)
    assert "right" in page.inner_text("#result")


@pytest.mark.parametrize(("name", "classes"), [("clouds", 3), ("spirals", 4)])
def test_regions_show_while_it_trains_and_the_page_answers(opened, name, classes):
    page = opened(f"#program={name}")
    longer = page.locator("#code").input_value().replace("range(101)", "range(1001)")  # clouds: seconds, not an instant
    page.fill("#code", longer)
    page.evaluate(
        """() => {
        window.seen = { said: new Set(), curves: new Set(), planes: new Set() };
        window.longest = 0; let last = performance.now();
        const look = () => {
            const now = performance.now();
            window.longest = Math.max(window.longest, now - last); last = now;
            if (document.body.dataset.state === "training") {
                const plane = document.getElementById("plane");
                seen.said.add(document.getElementById("result").textContent);
                seen.curves.add(document.querySelector("#curves .curve.test").getAttribute("d"));
                if (plane) seen.planes.add(plane.toDataURL());
            }
            requestAnimationFrame(look);
        };
        look(); }"""
    )
    train(page)
    seen = page.evaluate("Object.fromEntries(Object.entries(seen).map(([name, found]) => [name, found.size]))")
    assert min(seen.values()) > 5, seen
    assert page.evaluate("longest") < 1500  # milliseconds between two frames: 100 where nothing else runs
    assert number(page.inner_text("#result"), r"([\d.]+) % of") > 95
    assert page.locator(".classes li").count() == classes
    words = page.locator("#plane").get_attribute("aria-label")
    shares = [int(share) for share in re.findall(r"on (\d+) %", words)]
    assert len(shares) == classes
    assert min(shares) > 5
    assert sum(shares) == pytest.approx(100, abs=2)
    assert page.locator("canvas:not([role])").count() == 0
    if name == "spirals":
        page.fill("#code", page.locator("#code").input_value().replace("classes=4", "classes=6"))
        train(page)
        assert page.locator(".classes li").count() == 6


def test_cat_chicken_dog_with_every_number(opened):
    page = opened("#program=animals")
    train(page)
    assert page.locator("#learned canvas").count() == 3
    for animal in ("cat", "chicken", "dog"):
        page.click(f"button:text-is('A {animal}')")
        page.wait_for_selector(f"#answer:has-text('The model says {animal}')")
    cells = page.locator("#numbers tbody tr").first.locator("td").all_inner_texts()
    products = [float(cell.rpartition("≈ ")[2].replace("−", "-")) for cell in cells[:4]]
    bias, z = (float(cell.replace("−", "-")) for cell in cells[4:6])
    assert sum(products) + bias == pytest.approx(z, abs=0.03)
    page.locator("#question input[type=range]").first.focus()
    for _ in range(20):
        page.keyboard.press("ArrowRight")
    page.wait_for_function("location.hash.includes('pixels=1.00')")
    page.reload()
    until_ready(page)
    assert page.locator("#question output").first.inner_text() == "1.00"
    train(page)
    page.click("#tape")
    page.frame_locator("iframe").locator("h1:has-text('its label')").wait_for()


HANDS = {
    "7 with a bar": [[(70, 60), (200, 60), (130, 230)], [(105, 150), (195, 145)]],
    "7 that slants": [[(80, 85), (220, 45), (175, 110), (110, 240)]],
    "3 that is open": [
        [(85, 85), (125, 50), (175, 60), (185, 105), (140, 135), (190, 165), (185, 215), (135, 238), (80, 210)]
    ],
    "3 with a flat top": [[(80, 55), (195, 55), (130, 120), (180, 145), (195, 185), (170, 225), (120, 235), (75, 210)]],
}


def test_other_hands_are_read_too(opened):
    page = opened()
    train(page)
    for hand, strokes in HANDS.items():
        page.click("#clear")
        page.wait_for_selector("#answer:has-text('Draw a digit')")
        draw(page, strokes)
        page.wait_for_selector(f"#answer:has-text('The model says {hand[0]}')")


STOP = "(document.activeElement.id || document.activeElement.textContent)"


def tab_to(page, stop):
    """Press Tab until this has the focus, which is an id or a text; return what had it on the way."""
    passed = []
    while not passed or passed[-1] != stop:
        assert len(passed) < 30, passed
        page.keyboard.press("Tab")
        passed.append(page.evaluate(STOP))
    return passed


def test_the_keys_alone_train_draw_and_open_the_tape(opened):
    page = opened()
    press = page.keyboard.press
    assert "Digits" in tab_to(page, "Digits, a hidden layer")
    press("Enter")
    page.wait_for_selector("nav [aria-current]:has-text('a hidden layer')")
    tab_to(page, "code")
    described = page.locator("#code").get_attribute("aria-describedby").split()
    assert "Tab leaves the program" in " ".join(page.locator(f"#{name}").inner_text() for name in described)
    press("Control+End")
    page.keyboard.type("if True:  # as always\nprint('typed')")
    assert page.locator("#code").input_value().endswith("if True:  # as always\n    print('typed')")
    assert tab_to(page, "run") == ["run"]
    press("Enter")
    page.wait_for_function("document.activeElement.id === 'stop'")
    page.wait_for_function("document.activeElement.id === 'run'", timeout=STARTS)
    assert page.inner_text("#printed").strip() == "typed"
    tab_to(page, "pad")
    for keys in (["ArrowLeft"] * 5, [" "], ["ArrowRight"] * 11, ["ArrowDown", "ArrowDown", "ArrowLeft"] * 7, [" "]):
        for key in keys:
            press(key)
    page.wait_for_selector("#answer:has-text('The model says 7')")
    tab_to(page, "tape")
    press("Enter")
    page.frame_locator("iframe").locator("#place:has-text('before step 1 of')").wait_for()
    page.wait_for_function("document.activeElement.tagName === 'IFRAME'")
    press("ArrowRight")
    page.frame_locator("iframe").locator("#place:has-text('step 1 of')").wait_for()
    page.locator("#pad").focus()
    press("Delete")
    page.wait_for_selector("#answer:has-text('Draw a digit')")
    assert tab_to(page, "another") == ["clear", "another"]
    press("Enter")
    page.wait_for_selector("#answer:has-text('The model says')")
    page.locator("#code").focus()
    press("Control+Enter")
    page.wait_for_selector("#status:has-text('The program runs')")
    page.wait_for_selector("#status:has-text('The program is done')", timeout=STARTS)
    assert page.evaluate(STOP) == "code"


def test_the_pen_of_the_keys_says_where_it_is(opened):
    page = opened(wait=False)
    page.evaluate(
        """() => {
        window.said = [];
        const pen = document.querySelector("#pen[role=status]");
        new MutationObserver(() => said.push(pen.textContent)).observe(pen, { childList: true }); }"""
    )
    page.locator("#pad").focus()
    for key in ("ArrowRight", " ", "ArrowDown", "ArrowUp", " ", "Delete", *["ArrowLeft"] * 12, *["ArrowUp"] * 5):
        page.keyboard.press(key)
    said = page.evaluate("said")
    assert said[:7] == [
        "Pen up, column 11, row 5",
        "Pen up, column 12, row 5",
        "Pen down, column 12, row 5",
        "Pen down, column 12, row 6",
        "Pen down, column 12, row 5",
        "Pen up, column 12, row 5",
        "Pen up, column 12, row 5",
    ]
    assert said[-1] == "Pen up, column 1, row 1"
    page.keyboard.press(" ")
    page.keyboard.press("Tab")  # lifts it
    assert page.inner_text("#pen") == ""
    draw(page, SEVEN)
    assert page.inner_text("#pen") == ""  # where the mouse is, its reader sees


def test_the_axes_have_words_and_a_phone_shows_no_small_letters(opened):
    page = opened("#program=animals", width=390)
    train(page)
    page.wait_for_selector("#numbers table")
    words = page.locator("#curves text").all_text_contents()
    assert {"loss", "calls of show(), from 0", "20"} <= set(words)
    assert page.locator("figcaption .batch").inner_text() == "■ loss that the last step began with"
    sizes = page.evaluate(
        """() => [...document.querySelectorAll("body *")]
        .filter(x => x.checkVisibility() && [...x.childNodes].some(part => part.nodeType === Node.TEXT_NODE))
        .map(x => [parseFloat(getComputedStyle(x).fontSize) * (x.getScreenCTM?.().a ?? 1), x.textContent])"""
    )
    assert len(sizes) > 100
    assert [found for found in sizes if found[0] < 11] == []
    page.set_viewport_size({"width": 360, "height": 900})
    page.wait_for_function("Math.abs(document.getElementById('curves').getScreenCTM().a - 1) < 0.01")  # anew


@pytest.mark.parametrize("width", [360, 800])
def test_it_fits_a_narrow_window(opened, width):
    page = opened(width=width)
    train(page)
    draw(page, SEVEN)
    page.wait_for_selector("#answer:has-text('The model says 7')")
    page.click("#tape")
    page.frame_locator("iframe").locator("#next").wait_for()
    for name in PROGRAMS:
        if name != "digits":
            go(page, name)
            train(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
        boxes = page.evaluate(
            """() => [...document.querySelectorAll("button, nav a, select, #pad, textarea")]
            .filter(x => x.checkVisibility()).map(x => x.getBoundingClientRect().right)"""
        )
        assert max(boxes) <= width, name


@pytest.mark.parametrize(("scheme", "width"), [("light", 1200), ("dark", 360)])
def test_axe_finds_no_serious_fault(opened, scheme, width):
    page = opened(scheme=scheme, width=width)
    found = faults_by_axe(page)
    for name in PROGRAMS:
        go(page, name)
        train(page)
        if name == "digits":
            draw(page, SEVEN)
        if name in ("digits", "animals"):
            page.wait_for_selector("#answer:has-text('The model says')")
            page.click("#tape")
            page.frame_locator("iframe").locator("#next").wait_for()
        found += faults_by_axe(page)
    page.fill("#code", "print(1)\nx")
    page.click("#run")
    page.wait_for_selector("#error pre")
    assert found + faults_by_axe(page) == []
