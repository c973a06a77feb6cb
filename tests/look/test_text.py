"""A recording as text: every step with its numbers, in lines that fit, and a clear cut where there are too many."""

import re
import time

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import leaf
from tinygrad_sm import nn
from tinygrad_sm.look.entries import Arrival, Backward, Change, Forward
from tinygrad_sm.look.text import columns, cut, rule_lines, wrapped


def softmax_regression():
    """Record a step of softmax regression written by hand."""
    X = np.array([[0.5, 0.25], [1.0, -2.0]])
    W, b = leaf([[0.1, 0.2, 0.3], [0.4, 0.5, 0.6]]), leaf([0.0, 0.5, -0.5])
    with tg.look.record() as recording:
        logits = X @ W + b
        p = tg.softmax(logits, axis=1)
        loss = -tg.log(p[np.arange(2), [0, 2]]).mean()
        loss.backward()
    return recording


def flagship_step():
    """Record a training step of a batch, with its optimizer."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    optimizer = nn.optim.SGD(model.parameters(), lr=0.1)
    images = np.random.default_rng(0).random((32, 1, 28, 28), np.float32)
    with tg.look.record(model) as recording:
        loss = nn.CrossEntropyLoss()(model(images), np.arange(32) % 10)
        loss.backward()
        optimizer.step()
    return recording


def blocks(text):
    """Return the text of each step, by its number."""
    parts = re.split(r"\n(?= *\d+\. )", text)
    return {int(part.split(".")[0]): part for part in parts[1:]}


@pytest.mark.parametrize("record", [softmax_regression, flagship_step])
def test_every_step_has_its_title_and_its_numbers(record):
    recording = record()
    steps = blocks(recording.text())
    assert list(steps) == list(range(1, len(recording.steps) + 1))
    for step, text in zip(recording.steps, steps.values(), strict=True):
        if isinstance(step, Forward):
            assert step.operation.label + "(" in text
            assert f"test_text.py:{step.operation.line.lineno}: {step.operation.line.text[:40]}" in text
            assert step.operation.formula[:40] in text
            values = [step.operation.value]
        elif isinstance(step, Backward):
            rules = [line.strip() for answer in step.answers for line in answer.operand.rule.splitlines()[:1]]
            assert all(rule[:60] in text for rule in rules)
            values = [step.g, *(value for answer in step.answers for value in (answer.answer, answer.part))]
        elif isinstance(step, Arrival):
            assert "complete" in text
            values = [step.g]
        else:
            assert isinstance(step, Change)
            values = [step.before, step.after]
        for value in values:
            shown = value.array if value.size <= 100 else value.sample.reshape(-1)[:6]
            assert_written(shown, text)


def assert_written(array, text):
    """Check that each number stands in the text, in the order of the array, with the digits that are shown."""
    numbers = [float(x) for x in re.findall(r"-?(?:\d+\.?\d*(?:e-?\d+)?|inf|nan)", text.replace("−", "-"))]
    wanted = np.asarray(array, float).reshape(-1)
    windows = np.lib.stride_tricks.sliding_window_view(np.array(numbers), wanted.size)
    assert np.isclose(windows, wanted, rtol=1e-3, atol=6e-5, equal_nan=True).all(axis=1).any(), (wanted, text)


def test_the_numbers_of_a_recording_that_was_changed_are_not_those_of_the_text():
    recording = softmax_regression()
    text = recording.text()
    with pytest.raises(AssertionError):
        assert_written(recording["p"].value.array + 0.001, text)


def test_names_operands_and_sums():
    text = softmax_regression().text()
    assert re.search(r"\n   2\. logits = add\(matmul, b\) +\(2, 3\) float64\n", text)
    assert "softmax(logits, axis=1)" in text
    assert "add's rule for b:\n" in text
    assert "matmul's rule for b, which is W:\n" in text
    assert "summed over axis 0, along which it had been broadcast:\n" in text
    assert re.search(r"\nW, parameter +\(2, 3\) float64\n    \[\[0\.1 0\.2 0\.3\]\n     \[0\.4 0\.5 0\.6\]\]\n", text)
    assert re.search(r"\n  16\. ∂L/∂W, complete +\(2, 3\) float64\n", text)


def test_large_arrays_are_a_range_and_a_few():
    recording = flagship_step()
    text = recording.text()
    value = recording["1.weight"].value
    assert f"from {value.low:.4g} to {value.high:.4g}, mean".replace("-", "−") in text
    assert "before:" in text
    assert "after:" in text
    assert len(text.splitlines()) < 100


@pytest.mark.parametrize("width", [20, 40, 80, 200])
@pytest.mark.parametrize("record", [softmax_regression, flagship_step])
def test_no_line_is_wider_than_asked_and_what_is_too_long_is_wrapped(record, width):
    recording = record()
    text = recording.text(width)
    assert max(map(columns, text.splitlines())) <= width
    for operation in recording.operations if width > 40 else ():
        assert operation.formula in " ".join(text.split())


def test_the_width_is_the_terminals_and_at_most_120(monkeypatch):
    recording = softmax_regression()
    for columns_there, widest in (("5", 20), ("60", 60), ("300", 120)):
        monkeypatch.setenv("COLUMNS", columns_there)
        assert max(map(columns, recording.text().splitlines())) == widest
    monkeypatch.delenv("COLUMNS")
    assert max(map(columns, recording.text().splitlines())) <= 120


def test_chinese_characters_take_two_columns():
    权重 = leaf([1.0, 2.0])  # noqa: PLC2401
    with tg.look.record() as recording:
        损失 = tg.sum(权重 * 权重)  # noqa: PLC2401
        损失.backward()
    text = recording.text(60)
    assert "权重, parameter" in text
    assert max(map(columns, text.splitlines())) == 60
    assert cut("权重权重", 5) == "权重…"
    assert all(columns(part) <= 12 for part in wrapped("  权重权重权重权重权重", 12))


def test_names_cannot_move_the_cursor():
    w = leaf([1.0])
    w.name = "\x1b[2Jw\n" + "long" * 100
    with tg.look.record() as recording:
        (w * 2).sum().backward()
    text = recording.text(200)
    assert "\x1b" not in text
    assert r"\x1b[2Jw\n" in text
    assert max(map(columns, text.splitlines())) <= 200


def test_lines_of_rules_are_escaped_and_limited():
    assert rule_lines("lambda g: '\x1b[2J'") == [r"lambda g: '\x1b[2J'"]
    assert len(rule_lines("g" * 1000)[0]) == 300


def test_values_of_one_name_are_numbered():
    h = leaf([1.0])
    with tg.look.record() as recording:
        for _ in range(3):
            h = h * 2
        h.sum().backward()
    text = recording.text()
    assert "h#3 = multiply(h#2, 2)" in text
    assert "∂L/∂h#2 " in text


def test_ten_thousand_operations_are_cut():
    h = leaf(1.0)
    with tg.look.record() as recording:
        for _ in range(10_000):
            h = h * 1.0001
        h.backward()
    start = time.perf_counter()
    text = recording.text()
    assert time.perf_counter() - start < 5
    assert text.count("\n… 9,900 more steps\n") == 2  # forward and backward
    assert len(text.splitlines()) < 2_000
    assert text.startswith("10,000 operations, 10,001 leaves, 20,001 steps\n")
    assert re.search(r"\n20001\. ∂L/∂\w+, complete", text)  # the leaf is not cut
    assert text.count("multiply(") == 100
    assert len(blocks(recording.text(most=3))) == 7


def test_many_leaves_are_cut():
    xs = [leaf(1.0) for _ in range(110)]
    with tg.look.record() as recording:
        sum(x * 2 for x in xs).backward()
    assert "\n… 10 more leaves\n" in recording.text()


def test_odd_values():
    x = leaf([[np.nan, np.inf, -np.inf, 1.0]])
    with tg.look.record() as recording:
        big = tg.concatenate([x.reshape(-1)] * 50)
        empty = big[:0]
        total = big.sum() + empty.sum()
        total.backward()
    text = recording.text()
    assert "50 NaN, 100 ±∞" in text
    assert "from 1 to 1" in text
    assert "        empty\n" in text
    assert re.search(r"total = add\(sum, sum#2\) +\(\) float64\n", text)


def test_an_empty_recording_says_so():
    with tg.look.record() as recording:
        pass
    assert recording.text() == (
        "0 operations, 0 leaves, 0 steps\nnothing was recorded: no operation ran on a value that requires a gradient"
    )


@pytest.mark.parametrize(("width", "most"), [(19, 100), (80, 0)])
def test_widths_that_cannot_be(width, most):
    with pytest.raises(ValueError, match=f"at least 20 and at least 1 step, got {width} and {most}"):
        softmax_regression().text(width, most)
