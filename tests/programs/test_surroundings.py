"""A compiled step does what the step does, whatever changes between its calls or happens inside of it."""

import io
import threading
import time
import warnings

import mnist_softmax
import numpy as np
import pytest

import tinygrad_sm as tg
from tests.programs.helpers import Training, both_ways, same
from tinygrad_sm import nn

RANDOM = np.random.default_rng(0)
BATCHES = [(RANDOM.normal(size=(6, 4)).astype(np.float32), RANDOM.integers(0, 3, 6)) for _ in range(12)]


def compiled_training(**options):
    training = Training(**options)
    training.step = tg.compiled(training.step)
    return training


def test_from_the_third_call_on_the_step_itself_does_not_run():
    calls = []

    def step(x):
        calls.append(None)
        return tg.exp(x)

    def step_without_list(x):
        return tg.exp(x)

    program = tg.compiled(step_without_list)
    assert program.program is None
    for x, _ in BATCHES[:2]:
        program(x)
    assert program.program is not None
    np.testing.assert_array_equal(program(BATCHES[2][0]).data, np.exp(BATCHES[2][0]))
    changing = tg.compiled(step)
    changing(BATCHES[0][0])
    with pytest.warns(
        UserWarning, match="step runs as it is written, not as a program: the step changes a plain value"
    ):
        changing(BATCHES[0][0])
    for x, _ in BATCHES[:3]:
        changing(x)
    assert len(calls) == 5


CHANGES = {
    "parameters assigned": lambda t: t.model[0].weight.assign(np.ones((5, 4))),
    "parameters loaded": lambda t: t.model.load_state_dict({name: x + 1 for name, x in t.model.state_dict().items()}),
    "the array of a parameter replaced": lambda t: setattr(t.model[0].weight, "data", t.model[0].weight.data * 2),
    "a layer replaced": lambda t: setattr(t.model, "1", nn.Tanh()),
    "a parameter frozen": lambda t: t.model[0].weight.requires_grad_(False),
    "gradients cleared": lambda t: t.optimizer.zero_grad(),
    "gradients set": lambda t: setattr(t.model[0].weight, "grad", np.ones((5, 4), np.float32)),
    "evaluation mode": lambda t: t.model.eval(),
    "another learning rate": lambda t: setattr(t.optimizer, "lr", 0.01),
    "another momentum": lambda t: t.optimizer.param_groups[0].update(momentum=0.5),
    "the optimizer's state loaded": lambda t: t.optimizer.load_state_dict(t.optimizer.state_dict()),
    "a plain number of the step": lambda t: setattr(t, "scale", 0.5),
    "the seed": lambda t: tg.manual_seed(5),
    "no gradients recorded": lambda t: t.model[0].bias.requires_grad_(False),
}


@pytest.mark.parametrize("name", CHANGES)
@pytest.mark.parametrize("zero_grad", [True, False])
def test_what_changes_between_calls_changes_the_next_one(name, zero_grad):
    def change(training, i):
        if i == 5:
            CHANGES[name](training)

    both_ways(BATCHES, change, momentum=0.9, zero_grad=zero_grad, dropout=0.3)


def test_other_shapes_dtypes_and_layouts_have_programs_of_their_own():
    x, y = BATCHES[0]
    batches = [
        *BATCHES[:4],
        (x[:2], y[:2]),
        (x.astype(float), y),
        (np.asfortranarray(x), y),
        (x, y.astype(np.int8)),
    ] * 3
    training = both_ways(batches, programs=5)
    assert training.step.why_eager is None


def test_a_bad_label_is_the_eager_error_and_changes_nothing():
    training = compiled_training(momentum=0.9)
    for batch in BATCHES[:4]:
        training.step(*batch)
    before = training.state()
    x, y = BATCHES[5]
    for bad in (3, -1, 100):
        with pytest.raises(IndexError, match=rf"labels: expected 0..2 for 3 classes, got {bad} in row 2"):
            training.step(x, np.where(np.arange(6) == 2, bad, y))
        assert same(training.state(), before)
    training.step(x, y)
    assert training.step.why_eager is None


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_rows_that_are_not_finite(value):
    batches = [(x.copy(), y) for x, y in BATCHES]
    batches[5][0][2, 1] = value
    with np.errstate(all="ignore"):
        both_ways(batches)


def test_an_exception_inside_is_the_eager_one():
    training = compiled_training()
    training.step(*BATCHES[0])
    with pytest.raises(ValueError, match="expected input of shape"):
        training.step(BATCHES[0][0][:, :3], BATCHES[0][1])
    assert training.step.why_eager is None


def test_results_are_copies_and_gradients_are_valid_until_the_next_call():
    training = compiled_training()
    losses = [training.step(*batch) for batch in BATCHES]
    values = [loss.item() for loss in losses]
    assert len(set(values)) == len(values)
    eager = Training()
    assert [eager.step(*batch).item() for batch in BATCHES] == values
    for mine, theirs in zip(training.model.parameters(), eager.model.parameters(), strict=True):
        np.testing.assert_array_equal(mine.grad, theirs.grad)


REFUSED = {
    "reads": (lambda t, x: float(t.model(x).sum()), "reads an array into Python"),
    "keeps": (lambda t, x: t.kept.append(t.model(x)), "keeps an array|plain value"),
    "counts": (lambda t, x: setattr(t, "scale", t.scale + 1), "changes a plain value"),
    "schedules": (lambda t, x: setattr(t.optimizer, "lr", 0.5), "changes the option lr"),
    "watches": (lambda t, x: watched(t, x), "watches the step from inside"),
    "returns": (lambda t, x: t, "the step returns Training"),
}


def watched(t, x):
    with tg.detect_anomaly():
        return t.model(x)


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_program_cannot_do_runs_as_it_is_written_and_says_so(name):
    act, why = REFUSED[name]
    training = Training()
    training.kept = []

    @tg.compiled
    def step(x):
        return act(training, x)

    with pytest.warns(UserWarning, match=why):  # noqa: PT031  the first or the second call
        step(BATCHES[0][0])
        step(BATCHES[0][0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for x, _ in BATCHES[:3]:
            step(x)
    assert all(type(t.data) is np.ndarray for t in training.kept)


def test_numbers_that_escape_are_found_in_the_second_call():
    @tg.compiled
    def step(x):
        return tg.multiply(x, time.perf_counter())

    step(BATCHES[0][0])
    with pytest.warns(UserWarning, match="multiply has numbers that differ from call to call: make them arguments"):
        step(BATCHES[0][0])
    one, other = (step(np.ones(2)).tolist() for _ in range(2))
    assert one < other


def test_a_hook_runs_in_each_call():
    training = compiled_training()
    seen = []
    training.model[0].weight.register_hook(lambda g: seen.append(g.sum()))
    with pytest.warns(UserWarning, match="a Tensor has a hook"):
        training.step(*BATCHES[0])
    for batch in BATCHES[1:4]:
        training.step(*batch)
    assert len(seen) == 4


def test_an_observer_around_the_calls_sees_all_operations():
    training = compiled_training()
    for batch in BATCHES[:4]:
        training.step(*batch)
    with tg.profile() as profile:
        training.step(*BATCHES[4])
    assert "linear" in str(profile)


@pytest.mark.parametrize("threads", [4])
def test_threads_may_call_one_step(threads):
    @tg.compiled
    def step(x):
        return tg.exp(x) * 2 + tg.tanh(x)

    def run(k):
        for i in range(200):
            x = np.full((3, 2 + (i + k) % 3), 0.01 * k + i / 1000)
            np.testing.assert_array_equal(step(x).data, np.exp(x) * 2 + np.tanh(x))
        done.append(k)

    done = []
    workers = [threading.Thread(target=run, args=(k,)) for k in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(done) == threads
    assert step.why_eager is None


def test_a_question_about_values_chooses_the_program():
    @tg.compiled
    def step(x):
        y = x * 2
        return y + 1 if y.sum() > 0 else y - 1

    for i in range(12):
        x = np.full(3, 1.0 if i % 3 else -1.0)
        np.testing.assert_array_equal(step(x), x * 2 + np.sign(x))
    assert step.why_eager is None
    assert len(step._cases) == 2


def test_at_most_16_programs_are_kept():
    @tg.compiled
    def step(x):
        return tg.exp(x)

    for n in range(1, 30):
        for _ in range(3):
            step(np.ones(n))
    assert len(step._cases) == 16


class Scaled(nn.Module):
    """A Module of the user's, with a number in its class, and one in the globals of its method."""

    factor = 2.0

    def __init__(self):
        self.weight = nn.Parameter(np.ones(3))

    def forward(self, x):
        return x * self.weight * self.factor * SCALES.number * self.offset()

    @staticmethod
    def offset():
        return OFFSET


class SCALES:  # noqa: N801  as a configuration is written
    number = 1.0


OFFSET = 1.0


def test_numbers_of_classes_and_of_what_methods_use(monkeypatch):
    model = Scaled()
    step = tg.compiled(lambda x: model(x).sum())
    x, expected = np.arange(3.0), 6.0
    for change in (
        lambda: None,
        lambda: monkeypatch.setattr(Scaled, "factor", 4.0),
        lambda: monkeypatch.setattr(SCALES, "number", 0.25),
        lambda: monkeypatch.setitem(globals(), "OFFSET", 3.0),
    ):
        change()
        expected = 3 * Scaled.factor * SCALES.number * OFFSET
        assert [step(x).item() for _ in range(5)] == [expected] * 5
    assert step.why_eager is None


def test_another_librarys_object_that_changes_is_noticed():
    bar = mnist_softmax.tqdm(disable=False, file=io.StringIO())
    step = tg.compiled(lambda x: (bar.update(), tg.exp(x))[1])
    with pytest.warns(UserWarning, match="changes a plain value"):  # noqa: PT031  in the second call
        step(np.ones(2))
        step(np.ones(2))
    bar.close()
