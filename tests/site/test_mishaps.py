"""What goes otherwise than expected: late answers, errors of another program, hostile messages, links of strangers."""

import socket
import urllib.parse

import pytest

from tests.site.conftest import SITE, STARTS, draw, train, until_ready
from tests.site.test_page import PROGRAMS, SEVEN, THREE, go, picture

MESSAGE = (
    "import js\nfrom pyodide.ffi import to_js\njs.postMessage(to_js(MESSAGE, dict_converter=js.Object.fromEntries))\n"
)


def test_the_programs_are_there_before_python_is(opened):
    page = opened(wait=False)
    for name in PROGRAMS:
        go(page, name)
        assert page.locator("#code").input_value().startswith("import tinygrad_sm as tg\n"), name
        assert page.locator("#reset").is_disabled()


def test_a_drawing_made_meanwhile_is_not_replaced_by_the_digit_of_the_address(opened):
    page = opened("#sample=5", wait=False)
    draw(page, THREE)
    drawing = picture(page)
    until_ready(page)
    page.wait_for_selector("#answer:has-text('train it first')")
    assert picture(page) == drawing
    page.wait_for_function("location.hash.includes('drawing=') && !location.hash.includes('sample=')")
    page.click("#another")
    page.wait_for_function("location.hash.includes('sample=')")
    page.wait_for_function("old => document.getElementById('pad').toDataURL() !== old", arg=drawing)


@pytest.mark.parametrize("sample", ["1e999", "-1", "x", "", "99999999999999999999"])
def test_no_digit_has_such_a_number(opened, sample):
    page = opened(f"#sample={sample}", wait=False)
    assert page.inner_text("#answer") == "Draw a digit."


def test_a_digit_of_the_address_comes_though_python_was_stopped(opened):
    page = opened("#sample=5")
    drawing = picture(page)
    page.fill("#code", "while True:\n    pass")
    page.click("#run")
    page.click("#another")
    page.click("#stop")
    until_ready(page)
    page.wait_for_function("old => document.getElementById('pad').toDataURL() !== old", arg=drawing)
    page.wait_for_selector("#answer:has-text('train it first')")


def test_a_tape_of_another_drawing_does_not_show(opened):
    page = opened()
    train(page)
    draw(page, SEVEN)
    page.wait_for_selector("#tape:enabled")
    page.evaluate("() => { for (const id of ['tape', 'clear']) document.getElementById(id).click(); }")
    page.wait_for_selector("#answer:has-text('Draw a digit')")
    draw(page, THREE)
    page.wait_for_selector("#answer:has-text('The model says 3')")  # Python answers in turn: the tape has come before
    assert page.locator("iframe").count() == 0
    assert page.locator("text=Save this tape").is_hidden()
    page.click("#tape")
    page.frame_locator("iframe").locator("h1:has-text('label 3')").wait_for()


def test_an_error_stays_with_its_program_and_its_line_may_be_gone(opened):
    page = opened()
    page.fill("#code", "print('of the digits')\nfor i in range(5_000_000):\n    pass\n\n1 / 0")
    page.click("#run")
    page.wait_for_selector("#printed:has-text('of the digits')")
    go(page, "clouds")
    page.wait_for_selector("#status:has-text('Digits ended with an error')", timeout=STARTS)
    assert page.locator("#error pre").count() == 0
    assert page.locator("#printed").is_hidden()
    go(page, "digits")
    assert page.inner_text("#error pre") == "ZeroDivisionError: division by zero"
    assert page.inner_text("#printed").strip() == "of the digits"
    page.fill("#code", "one line")
    page.click("#error .link:has-text('line 5')")
    assert page.evaluate("document.activeElement.id") == "code"
    page.click("#reset")
    assert page.locator("#error pre").count() == 0
    assert page.locator("#printed").is_hidden()


def test_what_a_program_sends_breaks_nothing(opened):
    page = opened("#program=animals")
    code = page.locator("#code").input_value()
    page.fill("#code", MESSAGE.replace("MESSAGE", "{'kind': 'answer', 'id': 999}") + code)
    train(page)
    page.wait_for_selector("#answer:has-text('The model says')")
    page.fill("#code", MESSAGE.replace("MESSAGE", "{'kind': 'broken', 'said': 'no memory'}") + "while True:\n    pass")
    page.click("#run")
    page.wait_for_selector("#error pre:has-text('no memory')")
    until_ready(page)
    page.fill("#code", code)
    train(page)
    page.wait_for_selector("#answer:has-text('The model says')")


def test_a_question_that_fails_is_not_the_last_one(opened):
    page = opened(wait=False)
    asked = page.evaluate(
        """async () => {
        const { Latest } = await import("./asking.js");
        let asked = 0;
        const latest = new Latest(async () => { asked += 1; throw new Error("no"); });
        for (let i = 0; i < 2; i++) await latest.now().catch(() => {});
        return asked; }"""
    )
    assert asked == 2


def test_it_says_that_a_program_came_with_the_address(opened):
    page = opened("#program=clouds&code=" + urllib.parse.quote("print(1)"), wait=False)
    words = page.locator("#came")
    assert words.inner_text() == "This program came with the address of the page: read it before you train."
    go(page, "spirals")
    assert words.is_hidden()
    go(page, "clouds")
    assert words.is_visible()
    page.click("#reset")
    assert words.is_hidden()
    page.fill("#code", "print(2)")
    go(page, "digits")
    page.go_back()
    page.wait_for_selector("nav [aria-current]:has-text('Three clouds')")
    assert page.locator("#code").input_value() == "print(2)"
    assert words.is_hidden()  # it is the reader's own


def test_links_lead_to_the_documentation_and_back(opened):
    if not (SITE.parent / "index.html").exists():
        pytest.skip("the page stands alone, and has no such links: make site")
    page = opened(wait=False)
    for name, title in (("its source", "reading"), ("documentation", "tinygrad_sm")):
        page.click(f"#back a:has-text('{name}')")
        assert title in page.locator("h1").inner_text().lower()
        page.go_back()
    page.goto(page.url.partition("try/")[0] + "start/run.html")
    page.locator("a[href*='try/index.html']").first.click()
    page.wait_for_selector("#code")
    assert page.locator("h1").inner_text() == "tinygrad_sm in this page"


def test_opened_as_a_file_it_says_that_it_needs_a_server(browser, address):
    page = browser.new_page()
    page.goto((SITE / "index.html").as_uri())
    assert page.inner_text("#status").startswith("Browsers run this page only from a server: python3 -m http.server")
    page.close()


@pytest.mark.parametrize(
    "state", ["drawing=abc", "drawing=zzzz-!!-%", "program=__proto__", "program=animals&pixels=NaN,1,2,1e999", "code=%"]
)
def test_a_broken_address_opens_the_page(opened, state):
    page = opened(f"#{state}", wait=False)
    page.wait_for_selector("nav [aria-current]")
    assert page.locator("#code").input_value()
    assert page.locator("#pad, #numbers").count() == 1


def test_the_back_button_leaves_a_program_that_runs(opened):
    page = opened("#program=animals")
    go(page, "clouds")
    page.fill("#code", page.locator("#code").input_value().replace("range(101)", "range(1001)"))
    page.wait_for_function("location.hash.includes('1001')")
    page.click("#run")
    page.wait_for_selector("#learned canvas")
    page.go_back()
    page.wait_for_selector("nav [aria-current]:has-text('Cat')")
    page.wait_for_selector("#status:has-text('Three clouds is done')", timeout=STARTS)
    assert page.inner_text("#result") == "Nothing has been trained yet."
    page.go_forward()
    page.wait_for_selector("#plane")
    assert "% of 300 right" in page.inner_text("#result")
    assert "range(1001)" in page.locator("#code").input_value()


def test_a_program_reaches_no_other_server(opened):
    page = opened()
    with socket.create_server(("127.0.0.1", 0)) as server:
        other = f"http://127.0.0.1:{server.getsockname()[1]}/"
        ask = f"import js\nask = js.XMLHttpRequest.new()\nask.open('GET', '{other}', False)\nask.send()"
        page.fill("#code", ask)
        page.click("#run")
        page.wait_for_selector("#error pre:has-text('NetworkError')")
        fetched = "url => fetch(url).then(() => 'reached', error => error.message)"
        assert page.workers[0].evaluate(fetched, other) == "Failed to fetch"
        assert page.evaluate(fetched, other) == "Failed to fetch"
        server.setblocking(False)
        with pytest.raises(BlockingIOError):
            server.accept()
    assert f"csp {other}" in opened.faults
    opened.faults.clear()


def test_what_the_page_has_not_it_names(opened):
    page = opened()
    for call, error, hint in (
        ("mnist('train')", "DatasetError: ", "It brings digits: from this_page import digits, test"),
        ("mnist('test')", "DatasetError: ", "It brings digits: from this_page import digits, test"),
        ("fashion_mnist()", "ImportError: ", "This page has Python, NumPy and tinygrad_sm alone."),
    ):
        page.fill("#code", f"from tinygrad_sm import datasets\ndatasets.{call}")
        page.click("#run")
        page.wait_for_selector("#error .link:has-text('line 2')")
        said = page.inner_text("#error pre")
        assert said.startswith(error), said
        assert said.endswith(hint), said
        page.click("#reset")


def test_a_long_run_is_drawn_as_a_short_one(opened):
    page = opened(wait=False)
    points, parts, ends = page.evaluate(
        """async () => {
        const { Losses, curves } = await import("./pictures.js");
        const losses = new Losses(), svg = document.getElementById("curves");
        for (let i = 0; i < 200_000; i++) losses.add(1 + 1 / (i + 1), i % 2 ? NaN : 2);
        losses.add(3, null);
        curves(svg, losses);
        const path = svg.querySelector(".curve.test").getAttribute("d");
        const parts = path.split("L");
        return [losses.points.length, parts.length, parts.at(-1).split(" ").map(Number)]; }"""
    )
    assert points <= 1000
    assert 400 <= parts <= 1001
    right, top = ends
    wide = page.evaluate("document.getElementById('curves').viewBox.baseVal.width")
    assert right == pytest.approx(wide - 10, abs=0.1)  # the newest call is there
    assert top < 40


def test_the_page_holds_no_tape_that_is_not_there(opened):
    page = opened("#program=animals")
    train(page)
    page.evaluate(
        """() => {
        window.held = new Set();
        const make = URL.createObjectURL, end = URL.revokeObjectURL;
        URL.createObjectURL = blob => { const url = make(blob); held.add(url); return url; };
        URL.revokeObjectURL = url => { held.delete(url); end(url); }; }"""
    )
    for _ in range(2):
        page.click("#tape")
        page.frame_locator("iframe").locator("#next").wait_for()
        page.wait_for_function("held.size === 1")
    kind = page.evaluate("fetch([...held][0]).then(page => page.blob()).then(page => page.type)")
    assert kind == "application/octet-stream"  # in a tab, the script of a page would run with the rights of this one
    go(page, "clouds")
    assert page.evaluate("held.size") == 0


def test_questions_leave_nothing_in_python(opened):
    page = opened("#program=animals")
    count = "import gc\nprint(sum(type(x) is memoryview for x in gc.get_objects()), end=';')"
    page.fill("#code", count)
    train(page)
    page.locator("#question input[type=range]").first.focus()
    for _ in range(10):
        for key in ("ArrowLeft", "ArrowRight"):
            page.keyboard.press(key)
    page.wait_for_selector("#answer:has-text('train it first')")
    before = page.inner_text("#printed").strip()
    train(page)
    assert page.inner_text("#printed").strip() == before


def test_enter_that_ends_a_composition_is_no_new_line(opened):
    page = opened(wait=False)
    taken = """code => document.getElementById("code").dispatchEvent(
        new KeyboardEvent("keydown", { key: "Enter", keyCode: code, cancelable: true })) === false"""
    assert page.evaluate(taken, 13)
    assert not page.evaluate(taken, 229)  # as in Safari, where isComposing is already false


def test_an_older_browser_that_limits_changes_keeps_the_address(opened):
    """Without URLSearchParams.size, and with an error where Safari throws one."""
    page = opened(wait=False)
    page.evaluate(
        """() => {
        delete URLSearchParams.prototype.size;
        const change = history.replaceState.bind(history);
        let changes = 0;
        history.replaceState = (...state) => {
            if (++changes === 1) throw new DOMException("too many", "SecurityError");
            change(...state);
        }; }"""
    )
    draw(page, THREE)
    page.wait_for_function("location.hash.includes('drawing=')")


def test_a_pen_that_the_keys_have_put_down(opened):
    page = opened()
    page.locator("#pad").focus()
    for key in (" ", "ArrowRight", "ArrowRight", "ArrowDown"):
        page.keyboard.press(key)
    content = "document.getElementById('pad').toDataURL()"
    before = page.evaluate(content)
    box = page.locator("#pad").bounding_box()
    page.mouse.move(box["x"] + 20, box["y"] + 200)
    page.mouse.move(box["x"] + 200, box["y"] + 220, steps=5)
    assert page.evaluate(content) == before  # the mouse draws only while its button is down
    page.keyboard.press("Tab")
    page.wait_for_selector("#answer:has-text('train it first')")
    page.wait_for_function("location.hash.includes('drawing=')")


def test_the_pad_leaves_the_browsers_own_keys_alone(opened):
    page = opened(wait=False)
    kept = """event => document.getElementById("pad").dispatchEvent(
        new KeyboardEvent("keydown", { key: "ArrowLeft", cancelable: true, ...event }))"""
    assert page.evaluate(kept, {"altKey": True})
    assert not page.evaluate(kept, {})


def test_a_second_finger_draws_nothing(opened):
    page = opened(wait=False)
    before = picture(page)
    page.evaluate(
        """() => {
        const pad = document.getElementById("pad");
        pad.setPointerCapture = () => {};
        const second = { isPrimary: false, pointerId: 7, clientX: 300, clientY: 300 };
        pad.dispatchEvent(new PointerEvent("pointerdown", second)); }"""
    )
    assert picture(page) == before
