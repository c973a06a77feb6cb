"""Pages driven in headless Chromium: to the end and back, each number against the recording, and nothing is fetched."""

import re

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import IN_FULL
from tests.look.recordings import EVIL, RECORDINGS, chain, mlp, oddities, softmax_regression, two_steps, values_of_steps
from tests.look.test_page import as_shown
from tinygrad_sm.look.entries import Arrival, Backward, Change, Forward

SHOWN = """() => [...document.querySelectorAll("#panel > .card .value")].map(shown => ({
    place: Number(shown.dataset.value),
    tables: [...shown.querySelectorAll("table")].map(table => [...table.rows]
        .map(row => [...row.cells].filter(cell => cell.className !== "more").map(cell => cell.textContent))
        .filter(row => row.length)),
    statistics: shown.querySelector(".statistics")?.textContent ?? "",
    said: shown.textContent,
    pictures: shown.querySelectorAll("canvas").length}))"""


@pytest.fixture
def opened(browser, tmp_path):
    """Give a function that opens a recording's page; a message of its console, an error or a request fails the test."""
    contexts, requests, faults = [], [], []

    def open_page(recording, scheme="light", width=1400, javascript=True, place="", **options):
        path = recording.page(tmp_path / "tape.html", **options)
        context = browser.new_context(
            color_scheme=scheme, viewport={"width": width, "height": 900}, offline=True, java_script_enabled=javascript
        )
        contexts.append(context)
        context.set_default_timeout(20_000)

        def route(it):
            requests.append(it.request.url)
            it.continue_()

        context.route("**", route)
        page = context.new_page()
        page.on("console", lambda message: faults.append(message.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("dialog", lambda dialog: faults.append(dialog.message))
        page.goto(path.as_uri() + place)
        return page

    open_page.faults = faults
    yield open_page
    for context in contexts:
        context.close()
    assert faults == []
    assert {re.sub("#.*", "", url) for url in requests} <= {(tmp_path / "tape.html").as_uri()}


def numbers(cells):
    """Return texts of cells as what a page's JSON holds."""
    words = {"True": True, "False": False, **{x: x for x in ("NaN", "∞", "-∞")}}
    return [[words[x] if x in words else float(x) for x in map(str.strip, row)] for row in cells]


def check_shown(shown, value):
    """Check what is on the screen for a value: the numbers of its first matrix, its statistics, or that it is empty."""
    if not value.sample.size:
        assert "no elements" in shown["said"]
    elif shown["tables"]:
        matrix = value.sample.reshape(-1, *(1, 1, *value.sample.shape)[-2:])[0]
        cells = numbers(shown["tables"][0])
        assert cells == [[as_shown(x) for x in row[: len(cells[0])]] for row in matrix[: len(cells)]]
        assert max(len(x.strip()) for row in shown["tables"][0] for x in row) <= 11
    else:
        assert shown["pictures"]
    if shown["statistics"]:
        found = re.findall(r"(?:lowest|highest|mean|deviation) (\S+)", shown["statistics"])
        assert numbers([found]) == [[as_shown(x) for x in (value.low, value.high, value.mean, value.std)]]
    for count, word in ((value.nans, "NaN"), (value.infs, "infinite")):
        assert not (shown["statistics"] and count) or f"{count} {word}" in shown["said"]


def check_step(page, recording, i):
    step = recording.steps[i]
    assert page.locator("#place").text_content().startswith(f"step {i + 1} of {len(recording.steps)}: ")
    shown = page.evaluate(SHOWN)
    for one, value in zip(shown, values_of_steps(recording)[i], strict=isinstance(step, Forward | Backward | Arrival)):
        check_shown(one, value)
    said = page.locator("#panel").text_content()
    marked = page.evaluate("[...document.querySelectorAll('#drawing .now')].map(x => x.id)")
    match step:
        case Forward(operation):
            assert operation.formula in said
            assert f"recordings.py:{operation.line.lineno}" in said
            assert operation.line.text in said
            assert all(f"{name} = {text}" in said for name, text in operation.options.items())
            assert set(marked) == {f"n{operation.key}"} | {
                f"e{x.source.key}-{operation.key}" for x in operation.operands
            }
        case Backward(operation, _, answers):
            rules = page.evaluate("[...document.querySelectorAll('#panel pre.rule')].map(x => x.textContent)")
            told = sorted(answers, key=lambda answer: operation.operands.index(answer.operand))
            assert rules == [answer.operand.rule for answer in told]
            assert [f"axis {a.summed[0]}" in said for a in told if len(a.summed) == 1].count(False) == 0
            assert "requires no gradient" in said or all(x.needs_gradient for x in operation.operands)
            wanted = {f"e{x.source.key}-{operation.key}" for x in operation.operands if x.needs_gradient}
            assert set(marked) == {f"n{operation.key}"} | wanted
        case Arrival(leaf, _):
            assert f"∂L/∂{leaf.label} has arrived" in said
            assert marked == [f"n{leaf.key}"]
        case Change(leaf, before, after, line):
            assert len(shown) == 3
            if shown[2]["tables"]:
                difference = (after.sample - before.sample).reshape(-1, *(1, 1, *after.sample.shape)[-2:])[0]
                cells = numbers(shown[2]["tables"][0])
                assert cells[0] == [as_shown(x) for x in difference[0][: len(cells[0])]]
            assert line.text in said
            assert marked == [f"n{leaf.key}"]


@pytest.mark.parametrize("scheme", ["light", "dark"] if IN_FULL else ["dark"])
@pytest.mark.parametrize("made", RECORDINGS)
def test_to_the_end_and_back(opened, made, scheme):
    recording = made()
    page = opened(recording, scheme)
    last = len(recording.steps)
    assert page.locator("#place").text_content() == f"before step 1 of {last}"
    given = page.locator("#panel .card").count()
    assert given == len(recording.leaves)
    for i in range(last):
        page.keyboard.press("ArrowRight")
        check_step(page, recording, i)
    page.keyboard.press("ArrowRight")
    check_step(page, recording, last - 1)
    assert page.locator("#next").is_disabled()
    for i in reversed(range(last - 1)):
        page.keyboard.press("ArrowLeft")
        check_step(page, recording, i)
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert page.locator("#place").text_content() == f"before step 1 of {last}"
    assert page.locator("#back").is_disabled()


def test_every_way_to_step(opened):
    recording = softmax_regression()
    page, last = opened(recording), len(recording.steps)
    page.keyboard.press("End")
    check_step(page, recording, last - 1)
    page.keyboard.press("Home")
    assert page.locator("#slider").input_value() == "0"
    page.locator("#next").click()
    page.locator("#next").click()
    page.keyboard.press("ArrowRight")  # a button that has the focus leaves the keys alone
    check_step(page, recording, 2)
    page.locator("#back").click()
    check_step(page, recording, 1)
    page.locator("#last").click()
    check_step(page, recording, last - 1)
    page.locator("#first").click()
    page.locator("#slider").fill("5")
    check_step(page, recording, 4)
    page.locator("#slider").focus()
    page.keyboard.press("ArrowLeft")
    check_step(page, recording, 3)
    page.keyboard.press("End")
    check_step(page, recording, last - 1)


def test_a_node_leads_to_its_step(opened):
    recording = softmax_regression()
    page = opened(recording)
    softmax = recording["p"]
    page.locator(f"#n{softmax.key}").click()
    check_step(page, recording, [s.operation for s in recording.steps if isinstance(s, Forward)].index(softmax))
    page.locator(f"#n{softmax.key}").click()  # once more: on to its next step
    assert page.locator("#panel > .badge").text_content() == "backward"
    page.locator(f"#n{recording['W'].key}").click()
    assert "∂L/∂W has arrived" in page.locator("#panel").text_content()
    page.locator(f"#n{recording['X'].key}").focus()
    page.keyboard.press("Enter")
    assert page.locator("#place").text_content().startswith("before")
    page.keyboard.press("ArrowRight")
    page.locator("#panel .link").first.click()
    assert page.locator("#place").text_content().startswith("before")
    assert page.evaluate("document.activeElement.id") == "panel"


def test_the_graph_shows_no_number_before_its_step(opened):
    recording = softmax_regression()
    page, loss = opened(recording), recording.operations[-1]
    assert loss.value.shape == ()
    visible = """id => [...document.querySelectorAll(`#${id} .key`)]
        .filter(x => getComputedStyle(x).visibility === "visible").map(x => x.textContent)"""
    first = next(i for i, step in enumerate(recording.steps) if isinstance(step, Backward))
    shown = []
    for _ in range(first + 2):
        shown.append(page.evaluate(visible, f"n{loss.key}"))
        page.keyboard.press("ArrowRight")
    made = [isinstance(s, Forward) and s.operation is loss for s in recording.steps].index(True) + 1
    assert shown == made * [[]] + (first + 1 - made) * [["value"]] + [["value", "grad"]]


def test_a_gradient_is_that_of_the_value_and_not_of_the_rules_argument(opened):
    z = tg.Tensor([1.0, 2.0], requires_grad=True)
    with tg.look.record() as recording:
        e = tg.exp(z)
        a = e / e.sum()
        tg.sum(a * a).backward()
    page = opened(recording)
    page.locator(f"#n{recording['a'].key}").click()
    page.locator(f"#n{recording['a'].key}").click()
    titles = page.evaluate("[...document.querySelectorAll('#panel .card h3')].map(x => x.textContent)")
    assert titles[:3] == ["g = ∂L/∂a", "∂L/∂e", "∂L/∂sum"]
    assert "for a = e" in page.locator("#panel .card .row").nth(1).text_content().replace("=", "= ").replace("  ", " ")


def test_a_step_can_be_linked_to(opened):
    recording = softmax_regression()
    check_step(opened(recording, place="#4"), recording, 3)
    check_step(opened(recording, place="#9999"), recording, len(recording.steps) - 1)


def test_names_are_text(opened):
    page = opened(oddities(), title=EVIL)
    assert page.title() == EVIL.replace("\u2028", " ") or page.title() == EVIL
    assert page.locator("h1").text_content() == EVIL
    assert page.locator("script").count() == 2
    assert EVIL in page.locator("#panel").text_content()


def test_pictures_have_the_signs_of_their_numbers(opened):
    random = np.random.default_rng(0)
    array = random.normal(size=(20, 30))
    array[0, :3] = np.nan, 0.0, 10.0
    x = tg.Tensor(array, requires_grad=True)
    with tg.look.record() as recording:
        tg.sum(x * 2.0)
    page = opened(recording)
    pixels = page.evaluate(
        """() => { const canvas = document.querySelector("#panel canvas");
        return [...canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data]; }"""
    )
    red, green, blue, alpha = np.array(pixels).reshape(20, 30, 4).transpose(2, 0, 1).astype(int)
    assert (alpha == 255).all()
    assert (red[0, 0], green[0, 0], blue[0, 0]) == (204, 121, 167)
    assert (red[0, 1], green[0, 1], blue[0, 1]) == (255, 255, 255)
    assert (red[0, 2], green[0, 2], blue[0, 2]) == (213, 94, 0)
    seen = np.abs(array) > 0.3
    assert ((red > blue) == (array > 0))[seen].all()
    page.locator("#panel canvas").hover(position={"x": 16 * 2 + 3, "y": 3})
    assert page.locator("#panel figcaption").first.text_content() == "row 0, column 2: 10"


def test_the_matrices_of_a_stack_have_one_scale_of_colours(opened):
    x = tg.Tensor(np.array([[[1.0]], [[-4.0]]]), requires_grad=True)
    with tg.look.record() as recording:
        tg.sum(x)
    page = opened(recording)
    colours = page.evaluate(
        "[...document.querySelectorAll('#panel td > span')].map(x => getComputedStyle(x).backgroundColor)"
    )
    (*orange, weak), (*blue, strong) = [[float(x) for x in re.findall(r"[\d.]+", colour)] for colour in colours]
    assert (orange, blue) == ([213, 94, 0], [0, 114, 178])
    assert (weak, strong) == pytest.approx((0.08 + 0.5 / 4, 0.58), abs=1 / 255)


def test_images_that_were_given_are_grey(opened):
    maps = np.linspace(0, 1, 2 * 8 * 8).reshape(2, 8, 8)
    with tg.look.record() as recording:
        tg.sum(maps * tg.Tensor(2.0, requires_grad=True))
    page = opened(recording)
    assert page.locator("#panel canvas").count() == 2
    pixels = page.evaluate(
        "[...document.querySelectorAll('#panel canvas')[1].getContext('2d').getImageData(7, 7, 1, 1).data]"
    )
    assert pixels == [16, 16, 16, 255]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [500, 800, 1400])
def test_it_is_legible_and_does_not_jump(opened, width, scheme):
    recording = mlp(batch=16)
    page = opened(recording, scheme, width)
    places = set()
    for _ in range(len(recording.steps) + 1):
        places.add(
            page.evaluate(
                """() => JSON.stringify(["#first", "#next", "#slider", "#place", "#graph", "#panel"].map(name => {
                const box = document.querySelector(name).getBoundingClientRect();
                return [box.x, box.y, box.width, box.height].map(Math.round); }))"""
            )
        )
        page.keyboard.press("ArrowRight")
    assert len(places) == 1
    assert page.evaluate(
        "document.documentElement.scrollWidth <= innerWidth && document.documentElement.scrollHeight <= innerHeight"
    )
    colours = page.evaluate(
        """() => [...document.querySelectorAll("body *")]
        .filter(x => x.checkVisibility() && !x.closest("svg, :disabled"))
        .filter(x => [...x.childNodes].some(y => y.nodeType === 3 && y.data.trim()))
        .map(x => {
            const behind = [];
            for (let y = x; y; y = y.parentElement) behind.unshift(getComputedStyle(y).backgroundColor);
            return [x.outerHTML.slice(0, 80), getComputedStyle(x).color, behind];
        })"""
    )
    assert len(colours) > 30
    for what, colour, behind in colours:
        assert contrast(blended([colour]), blended(behind)) >= 4.5, (what, colour, behind)


def blended(layers):
    """Return the colour of layers over each other, as three numbers from 0 to 1."""
    colour = np.zeros(3)
    for layer in layers:
        r, g, b, *alpha = map(float, re.findall(r"[\d.]+", layer))
        share = alpha[0] if alpha else 1.0
        colour = (1 - share) * colour + share * np.array([r, g, b]) / 255
    return colour


def contrast(a, b):
    """Return the contrast ratio of two colours by WCAG 2.1."""
    lights = [
        np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722] for c in (a, b)
    ]
    return (max(lights) + 0.05) / (min(lights) + 0.05)


def test_the_strongest_colours_leave_numbers_legible(opened):
    for scheme in ("light", "dark"):
        page = opened(two_steps(), scheme)
        cells = page.evaluate(
            """() => [...document.querySelectorAll("#panel td > span")].map(x => [getComputedStyle(x).color,
            [getComputedStyle(document.body).backgroundColor, getComputedStyle(x.parentElement).backgroundColor,
            getComputedStyle(x).backgroundColor]])"""
        )
        assert len(cells) == 4
        assert all(contrast(blended([colour]), blended(behind)) >= 4.5 for colour, behind in cells)


def test_the_whole_graph_can_be_seen(opened):
    page = opened(chain(40))
    hidden = "[document.querySelector('#drawing')].some(x => x.scrollHeight > x.clientHeight + 1)"
    assert page.evaluate(hidden)
    page.locator("#fit").click()
    assert not page.evaluate(hidden)
    drawing, graph = (page.locator(name).bounding_box() for name in ("#drawing svg", "#drawing"))
    assert drawing["y"] + drawing["height"] <= graph["y"] + graph["height"] + 1
    page.locator("#fit").click()
    assert page.evaluate(hidden)


def test_the_graph_follows(opened):
    recording = chain(40)
    page = opened(recording)
    for step in (41, 1, 42, len(recording.steps)):  # the last operation, the first, the last again, and the leaf
        page.locator("#slider").fill(str(step))
        node, graph = (page.locator(name).bounding_box() for name in ("#drawing .node.now", "#drawing"))
        assert graph["y"] <= node["y"] <= node["y"] + node["height"] <= graph["y"] + graph["height"]


def test_three_hundred_steps(opened):
    recording = chain(149)
    assert len(recording.steps) > 300
    page = opened(recording)
    for i in range(len(recording.steps)):
        page.keyboard.press("ArrowRight")
        if i % 50 == 0:
            check_step(page, recording, i)
    check_step(page, recording, len(recording.steps) - 1)


def test_nothing_recorded_is_said(opened):
    with tg.look.record() as recording:
        pass
    page = opened(recording)
    page.keyboard.press("ArrowRight")
    assert "Nothing was recorded" in page.locator("#panel").text_content()


def test_without_scripts_there_are_a_sentence_and_the_graph(opened):
    recording = softmax_regression()
    page = opened(recording, javascript=False)
    assert (
        page.locator("noscript").inner_text().startswith("This page shows one step at a time, which needs JavaScript")
    )
    assert page.locator(f"#n{recording['p'].key}").is_visible()


def test_what_a_page_would_fetch_is_stopped_and_told(opened):
    page = opened(softmax_regression())
    with page.expect_console_message():
        page.evaluate("fetch('https://example.com/').catch(() => 0)")
    assert ["Content Security Policy" in fault for fault in opened.faults] == [True] * len(opened.faults)
    opened.faults.clear()


def test_what_is_wider_than_its_place_is_scrolled_by_the_keys(opened):
    x = tg.Tensor(np.linspace(-1000, 1000, 10), requires_grad=True)
    with tg.look.record() as recording:
        tg.sum(x * x)
    page = opened(recording)
    assert page.locator("#panel .value[tabindex]").count() == 0
    page.set_viewport_size({"width": 360, "height": 900})
    wide = page.locator("#panel .value[tabindex='0']").first
    wide.focus()
    page.keyboard.press("ArrowRight")
    while (
        page.evaluate("document.querySelector('#panel .value').scrollLeft") == 0
    ):  # the page's policy lets none wait there
        page.wait_for_timeout(20)
    assert page.locator("#place").text_content().startswith("before step 1")
    page.set_viewport_size({"width": 1400, "height": 900})
    page.wait_for_selector("#panel .value[tabindex]", state="detached")


def test_what_is_unfolded_is_scrolled_by_the_keys_too(opened):
    x = tg.Tensor(np.linspace(-1000, 1000, 10), requires_grad=True)
    with tg.look.record() as recording:
        tg.sum(x * x).backward()
    page = opened(recording)
    page.set_viewport_size({"width": 360, "height": 900})
    while not page.locator("#panel details").count():
        page.click("#next")
    assert page.locator("#panel details .value[tabindex]").count() == 0
    page.click("#panel summary")
    page.locator("#panel details .value[tabindex='0']").first.wait_for()
