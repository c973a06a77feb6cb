"""A fused loss as its parts: the same values and gradients, and a recording like any other."""

import hypothesis
import numpy as np
import pytest

import tinygrad_sm as tg
from tests.helpers import leaf
from tinygrad_sm import nn
from tinygrad_sm.look import unfolding
from tinygrad_sm.look.entries import Backward, Forward, Leaf, Operation
from tinygrad_sm.nn import functional as F

DTYPES = [np.float64, np.float32, np.float16]


def softmax_regression(target, dtype=np.float64, loss=F.cross_entropy, **options):
    """Record a layer, its loss, and what is made of the loss."""
    random = np.random.default_rng(0)
    W = tg.Tensor(random.normal(size=(4, 3)).astype(dtype), requires_grad=True)
    X = random.normal(size=(len(target), 4)).astype(dtype)
    with tg.look.record() as recording:
        logits = X @ W
        penalty = tg.sum(W * W)
        total = 2 * loss(logits, target, **options) + 0.1 * penalty
        total.backward()
    return recording


LABELS = np.array([0, 2, 1, 2, 0])
SOFT = np.random.default_rng(1).dirichlet([1, 1, 1], 5)
TARGETS = {
    "labels": LABELS,
    "ignored labels": np.array([-100, 2, -100, 1, 0]),
    "one label": np.array([1]),
    "small integers": LABELS.astype(np.uint8),
    "large integers": LABELS.astype(np.uint64),
    "probabilities": SOFT,
    "masses other than 1": 2 * SOFT,
}


def assert_consistent(recording, original):
    """Check what every recording promises: keys, order, sources, and steps that fit the entries."""
    assert list(recording._entries) == [entry.key for entry in recording.entries]
    assert len(set(recording._entries)) == len(recording.entries)
    known = set()
    for step in recording.steps:
        if isinstance(step, Forward):
            for operand in step.operation.operands:
                assert isinstance(operand.source, Leaf) or operand.source in known
                assert recording._entries[operand.source.key] is operand.source
            known.add(step.operation)
        elif isinstance(step, Backward):
            assert step.operation in known
            assert all(answer.operand in step.operation.operands for answer in step.answers)
            assert step.operation.g is not None
    assert known == set(recording.operations)
    backward = [step.operation for step in recording.steps if isinstance(step, Backward)]
    places = {operation: i for i, operation in enumerate(backward)}
    for operation in backward if len(places) == len(backward) else ():  # of one walk
        for operand in operation.operands:
            assert places.get(operand.source, len(places)) > places[operation]
    assert {name for entry in recording.entries for name in entry.names} >= {
        name for entry in original.operations for name in entry.names
    }


def assert_like(recording, original, rounding=64):
    """Check that all that both have is equal, and the gradients of what was unfolded."""
    assert recording.steps
    for key, entry in original._entries.items():
        if key in recording._entries:
            other = recording._entries[key]
            for a, b in ((entry.value, other.value), (entry.g, other.g)):
                assert (a is None) == (b is None)
                if a is not None:
                    assert (a.dtype, a.shape) == (b.dtype, b.shape)
                    np.testing.assert_allclose(
                        b.sample,
                        a.sample,
                        rtol=0,
                        atol=rounding * np.finfo(a.dtype).eps * max(1, abs(a.sample).max())
                        if a.dtype.kind == "f"
                        else 0,
                    )
        else:
            assert isinstance(entry, Leaf)


def answers_to(recording, name):
    """Return what arrived at a value."""
    key = recording[name].key
    return [
        answer.part
        for step in recording.steps
        if isinstance(step, Backward)
        for answer in step.answers
        if answer.operand.source.key == key
    ]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("row", TARGETS)
def test_the_parts_give_what_the_fused_loss_gave(row, dtype):
    target = TARGETS[row]
    original = softmax_regression(target.astype(dtype) if target.ndim == 2 else target, dtype)
    recording = original.unfolded()
    assert_consistent(recording, original)
    assert_like(recording, original)
    labels = [operation.label for operation in recording.operations]
    assert "cross_entropy" not in labels
    picked = ["getitem", "mean"] if target.ndim == 1 else ["multiply", "sum", "mean"]
    first = labels.index("softmax")
    assert labels[first : first + 3 + len(picked)] == ["softmax", "log", *picked, "negative"]
    for a, b in zip(answers_to(original, "logits"), answers_to(recording, "logits"), strict=True):
        np.testing.assert_allclose(a.array, b.array, rtol=0, atol=64 * np.finfo(dtype).eps * abs(a.array).max())


def test_p_minus_y_comes_about():
    original = softmax_regression(LABELS)
    recording = original.unfolded()
    softmax, log = (next(x for x in recording.operations if x.label == name) for name in ("softmax", "log"))
    p, Y = softmax.value.array, np.eye(3)[LABELS]
    np.testing.assert_allclose(log.value.array, np.log(p), rtol=1e-14)
    np.testing.assert_allclose(log.g.array, -2 * Y / 5, rtol=1e-14)
    np.testing.assert_allclose(softmax.g.array, -2 * Y / p / 5, rtol=1e-14)
    np.testing.assert_allclose(answers_to(recording, "logits")[0].array, 2 * (p - Y) / 5, atol=1e-15)


def test_the_recording_itself_stays_as_it_is():
    original = softmax_regression(LABELS)
    entries, steps = dict(original._entries), list(original.steps)
    operands = {entry: list(entry.operands) for entry in original.operations}
    sources = {operand: operand.source for entry in original.operations for operand in entry.operands}
    recording = original.unfolded()
    assert original._entries == entries
    assert original.steps == steps
    assert {entry: entry.operands for entry in original.operations} == operands
    assert all(operand.source is source for operand, source in sources.items())
    shared = [entry for entry in recording.entries if entry in original.entries]
    assert {"matmul", "sum"} <= {entry.label for entry in shared}
    assert recording["W"] is original["W"]
    assert recording["total"] is not original["total"]
    assert recording["total"].key == original["total"].key


def test_names_lines_and_leaves():
    random = np.random.default_rng(0)
    W, labels = leaf(random.normal(size=(3, 3))), np.array([0, 1])
    with tg.look.record() as original:
        loss = F.cross_entropy(random.normal(size=(2, 3)) @ W, labels)
        loss.backward()
    recording = original.unfolded()
    assert recording["loss"].label == "negative"
    assert recording["loss"].key == original["loss"].key
    assert {operation.line for operation in recording.operations} == {original["loss"].line}
    assert "labels" in {name for entry in original.leaves for name in entry.names}
    assert "labels" not in {name for entry in recording.leaves for name in entry.names}  # an index now
    picking = next(operation for operation in recording.operations if operation.label == "getitem")
    assert picking.options["index"] == "(array([0, 1]), array([0, 1]))"


def test_labels_that_are_used_otherwise_stay():
    W, targets = leaf(np.eye(3)), np.array([[0.5, 0.25, 0.25]])
    with tg.look.record() as original:
        logits = np.ones((1, 3)) @ W
        loss = F.cross_entropy(logits, targets) + tg.sum(targets * logits)
        loss.backward()
    recording = original.unfolded()
    assert recording["targets"] is original["targets"]
    assert_consistent(recording, original)


@pytest.mark.parametrize("options", [{"reduction": "sum"}, {"label_smoothing": 0.1}, {"weight": [1.0, 2.0, 3.0]}])
def test_losses_of_log_softmax(options):
    original = softmax_regression(LABELS, **options)
    recording = original.unfolded()
    labels = [operation.label for operation in recording.operations]
    assert "log_softmax" in [operation.label for operation in original.operations]
    assert "log_softmax" not in labels
    assert labels[labels.index("softmax") + 1] == "log"
    assert_consistent(recording, original)
    assert_like(recording, original)


def test_log_softmax_along_other_axes_and_without_axes():
    x = leaf(np.random.default_rng(0).normal(size=(2, 3, 4)))
    with tg.look.record() as original:
        y = tg.log_softmax(x, axis=1)
        loss = tg.sum(y * y) + tg.log_softmax(x.sum())
        loss.backward()
    recording = original.unfolded()
    assert_consistent(recording, original)
    assert_like(recording, original)
    assert recording["y"].label == "log"


def test_a_recording_without_a_fused_loss_is_shared_whole():
    w = leaf()
    with tg.look.record() as original:
        tg.sum(tg.softmax(w)).backward()
    recording = original.unfolded()
    assert recording.entries == original.entries
    assert recording.steps == original.steps


def test_without_a_walk_there_are_values_alone():
    z = leaf([[1.0, 2.0]])
    with tg.look.record() as original:
        loss = F.cross_entropy(z, np.array([1]))
    recording = original.unfolded()
    assert all(operation.g is None for operation in recording.operations)
    assert len(recording.steps) == 5
    assert recording["loss"].value.array == pytest.approx(float(loss.data))


def test_several_walks_and_several_losses():
    z, y = leaf([[1.0, 2.0], [0.5, 0.0]]), np.array([1, 0])
    with tg.look.record() as original:
        first = F.cross_entropy(z, y)
        second = F.cross_entropy(3 * z, y)
        both = first + second
        first.backward(retain_graph=True)
        both.backward(retain_graph=True)
        (5 * both).backward()
    recording = original.unfolded()
    assert_consistent(recording, original)
    assert_like(recording, original)
    parts = answers_to(original, "z")
    unfolded = answers_to(recording, "z")
    assert len(parts) == len(unfolded) == 5
    for a, b in zip(parts, unfolded, strict=True):
        np.testing.assert_allclose(a.array, b.array, atol=1e-14)


@pytest.mark.parametrize("wanted", ["student", "teacher"])
def test_a_walk_to_one_of_logits_and_targets(wanted):
    student, teacher = leaf([[1.0, 2.0]]), leaf([[0.25, 0.75]])
    with tg.look.record() as original:
        loss = F.cross_entropy(student, teacher)
        tg.grad(loss, student if wanted == "student" else teacher)
    recording = original.unfolded()
    assert_consistent(recording, original)
    for name in ("student", "teacher"):
        assert len(answers_to(recording, name)) == (name == wanted)
    np.testing.assert_allclose(answers_to(recording, wanted)[0].array, answers_to(original, wanted)[0].array)


def test_logits_that_an_optimizer_changed_are_those_of_the_time():
    z = leaf([[1.0, 2.0]])
    optimizer = nn.optim.SGD([z], lr=1.0)
    with tg.look.record() as original:
        for _ in range(2):
            optimizer.zero_grad()
            loss = F.cross_entropy(z, np.array([0]))
            loss.backward()
            optimizer.step()
    recording = original.unfolded()
    assert_consistent(recording, original)
    assert_like(recording, original)
    first, second = (x for x in recording.operations if x.label == "softmax")
    assert first.value.array[0, 0] < second.value.array[0, 0]


def test_all_labels_ignored():
    original = softmax_regression(np.array([-100, -100]))
    recording = original.unfolded()
    assert_like(recording, original)
    assert abs(answers_to(recording, "logits")[0].array).max() == 0


def test_text_and_paths_work_on_it():
    original = softmax_regression(LABELS)
    recording = original.unfolded()
    text = recording.text(most=1000)
    assert "log(softmax)" in text
    assert "cross_entropy" not in text.replace("F.cross_entropy", "").replace("loss=", "")
    for index in np.ndindex(4, 3):
        a, b = original.paths("W", index), recording.paths("W", index)
        assert a.sum == pytest.approx(b.sum, abs=1e-13)
        assert len(b.paths) >= len(a.paths)


def test_it_may_be_asked_inside_of_the_block_and_without_grad():
    z = leaf([[1.0, 2.0]])
    with tg.look.record() as original:
        F.cross_entropy(z, np.array([1])).backward()
        before = len(original.steps)
        with tg.no_grad():
            recording = original.unfolded()
        assert len(original.steps) == before
    assert len(recording.operations) == 5


def test_logits_and_gradients_that_were_not_kept_whole():
    x = leaf(np.zeros((5, 30)))
    with tg.look.record(largest=100) as recording:
        logits = 2 * x
        loss = F.cross_entropy(logits, np.zeros(5, int))
        loss.backward()
    message = r"unfolded: logits of shape \(5, 30\) was not kept whole.*record\(largest=150\) keeps them"
    with pytest.raises(ValueError, match=message):
        recording.unfolded()


@pytest.mark.parametrize("logits", [[[0.0, 1000.0]], [[0.0, -np.inf]], [[-np.inf, -np.inf]]])
def test_where_a_softmax_rounds_to_0_the_parts_cannot_be_had(logits):
    z = leaf(logits)
    with tg.look.record() as recording:
        loss = F.cross_entropy(z, np.array([0]))
        loss.backward()
    with pytest.raises(ValueError, match=r"unfolded: cross_entropy at .*test_unfolding.py:\d+ gave .* rounds to 0"):
        recording.unfolded()


def test_nan_is_nan_in_parts_too():
    z = leaf([[1.0, np.nan], [1.0, 2.0]])
    with tg.look.record() as original:
        loss = F.cross_entropy(z, np.array([0, 1]))
        loss.backward()
    recording = original.unfolded()
    assert np.isnan(recording["loss"].value.array)
    assert np.isnan(answers_to(recording, "z")[0].array).tolist() == np.isnan(z.grad).tolist()


@pytest.mark.parametrize("dtype", DTYPES[:2])
@hypothesis.given(seed=hypothesis.strategies.integers(0, 10**6), spread=hypothesis.strategies.floats(0, 15))
def test_random_logits(dtype, seed, spread):
    random = np.random.default_rng(seed)
    N, C = random.integers(1, 6, 2)
    z = tg.Tensor((spread * random.normal(size=(N, C))).astype(dtype), requires_grad=True)
    target = random.integers(0, C, N) if seed % 2 else random.dirichlet(np.ones(C), N).astype(dtype)
    with tg.look.record() as original:
        loss = F.cross_entropy(z, target)
        loss.backward()
    recording = original.unfolded()
    assert_consistent(recording, original)
    assert_like(recording, original)


WRONG_PARTS = {
    "the sum": lambda z, y, ignored: -unfolding.sum(unfolding.log(tg.softmax(z, axis=1))[np.arange(len(y)), y]),
    "over all": lambda z, y, ignored: -unfolding.mean(unfolding.log(tg.softmax(z, axis=1))),
    "1e-9 off": lambda z, y, ignored: unfolding.cross_entropy_in_parts(z, y, ignored) * (1 + 1e-9),
    "no gradient of p": lambda z, y, ignored: (
        -unfolding.mean(unfolding.log(tg.softmax(z, axis=1).detach() + 0 * z)[np.arange(len(y)), y])
    ),
}


@pytest.mark.parametrize("row", WRONG_PARTS)
def test_wrong_parts_are_seen(row, monkeypatch):
    original = softmax_regression(LABELS)
    (fused,) = (operation for operation in original.operations if operation.label == "cross_entropy")
    assert isinstance(fused, Operation)
    monkeypatch.setitem(unfolding.PARTS, fused.op, WRONG_PARTS[row])
    with pytest.raises(ValueError, match="and its parts give"):
        original.unfolded()


def test_a_wrong_value_is_seen_without_a_walk(monkeypatch):
    z = leaf([[1.0, 2.0]])
    with tg.look.record() as original:
        loss = F.cross_entropy(z, np.array([1]))
    assert loss.shape == ()
    monkeypatch.setitem(unfolding.PARTS, original["loss"].op, WRONG_PARTS["1e-9 off"])
    with pytest.raises(ValueError, match="and its parts give"):
        original.unfolded()


@pytest.mark.parametrize("dtypes", [(np.float32, np.float64), (np.float16, np.float64), (np.float16, np.float32)])
def test_targets_that_are_more_precise_than_the_logits(dtypes):
    random = np.random.default_rng(7)
    z = tg.Tensor(random.normal(size=(5, 3)).astype(dtypes[0]), requires_grad=True)
    targets = np.eye(3, dtype=dtypes[1])[[0, 2, 1, 1, 0]]
    with tg.look.record() as original:
        F.cross_entropy(z, targets).backward()
    recording = original.unfolded()
    assert recording.operations[0].label == "softmax"
    fused, last = original.operations[-1].value, recording.operations[-1].value
    assert abs(float(fused.array) - float(last.array)) <= 8 * np.finfo(dtypes[0]).eps * fused.array
