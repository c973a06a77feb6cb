"""Kinds of steps that a compiled step once got wrong: each goes both ways, with the same results in each call.

A case is a generator: it makes a step, gives it to `wrap`, calls it, and yields what is to be the same.
"""

import collections
import dataclasses
import random
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

import tinygrad_sm as tg
from tests.interruptions import interrupted
from tests.nn.stress import exactly
from tinygrad_sm import nn

X = np.random.default_rng(0).normal(size=(10, 6, 4)).astype(np.float32)
COMPILED, REFUSED = {}, {}


def compiled(case):
    """Note a case whose step is to run as a program at last."""
    COMPILED[case.__name__] = case
    return case


def refused(case):
    """Note a case whose step can be no program: it warns."""
    REFUSED[case.__name__] = case
    return case


def bits(value):
    """Return what a step has returned in a form to compare: Tensors as their arrays, NumPy's scalars as 0-d arrays."""
    if isinstance(value, tuple):
        return [bits(item) for item in value]
    value = value.data if isinstance(value, tg.Tensor) else value
    return exactly(np.asarray(value) if isinstance(value, np.generic) else value)


def run(case, wrap):
    """Return what a case yields, and the step that it has made."""
    tg.manual_seed(0)
    random.seed(0)
    steps, found = [], []

    def wrapped(step):
        steps.append(wrap(step))
        return steps[-1]

    for value in case(wrapped):
        found.append(bits(value))
    return found, steps[-1]


@compiled
def parameters_of_several_blocks(wrap):
    p = nn.Parameter(np.ones(2**18 + 5, np.float32))
    optimizer = nn.optim.Adam([p], lr=0.1)

    def step(x):
        loss = (p * x).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    step = wrap(step)
    for i in range(6):
        yield step(np.full(2**18 + 5, 1.0 + i, np.float32)), p.data[:3].copy(), p.data[-3:].copy()


@compiled
def a_view_of_a_gradient(wrap):
    w = nn.Parameter(X[0])

    def step(x):
        w.grad = None
        (w * x).sum().backward()
        first = w.grad[0]
        first *= 0
        return w.grad.reshape(-1) * 1

    step = wrap(step)
    for x in X:
        yield step(x), w.grad.copy()


@compiled
def a_question_after_which_the_gradient_stays(wrap):
    w = nn.Parameter(X[0])

    def step(x):
        loss = (w * x).sum()
        if loss.data > 8:
            return loss.detach()
        w.grad = None
        loss.backward()
        return loss.detach()

    step = wrap(step)
    for i, x in enumerate(X):
        yield step(x * 100 if i == 6 else x * 0.01), w.grad.copy()


@compiled
def an_error_after_which_the_gradient_stays(wrap):
    w, loss_function = nn.Parameter(X[0]), nn.CrossEntropyLoss()

    def step(x, labels):
        w.grad = None
        loss = (w * x).sum()
        loss.backward()
        loss = loss_function(w * x, labels)
        w.grad = None
        loss.backward()
        return loss.detach()

    step = wrap(step)
    for i, x in enumerate(X):
        try:
            yield step(x, np.arange(6) % 4 + (7 if i == 6 else 0))
        except IndexError as error:
            yield str(error)
        yield w.grad.copy()


@compiled
def attributes_in_slots_and_other_containers(wrap):
    @dataclasses.dataclass(slots=True)
    class Config:
        scale: float = 1.0

    config, ordered, members = Config(), collections.OrderedDict(k=1.0), {"a"}
    row, names = collections.deque([2.0]), {"first": 1.0}

    def step(x):
        y = x * config.scale * ordered["k"] * row[0]
        return y + 1 if "a" in members and "first" in names else y

    step = wrap(step)
    changes = [
        lambda: setattr(config, "scale", 2.0),
        lambda: ordered.update(k=3.0),
        lambda: row.append(row.popleft() + 1),
        lambda: members.clear(),
        lambda: names.update(second=names.pop("first")),
    ]
    for change in changes:
        for x in X[:4]:
            yield step(x)
        change()
    yield step(X[0])


@compiled
def numbers_of_functions_and_modules(wrap):
    def helper(x, *, factor=2.0):
        return x * factor * helper.offset

    helper.offset = 1.0
    table = {"k": 1.0}
    get = table.get
    step = wrap(lambda x: helper(x) + get("k"))
    changes = [
        lambda: setattr(helper, "offset", 3.0),
        lambda: helper.__kwdefaults__.update(factor=0.5),
        lambda: table.update(k=-0.0),
    ]
    for change in changes:
        for x in X[:4]:
            yield step(x)
        change()
    yield step(X[0] * 0)


@compiled
def reductions_with_an_initial_value(wrap):
    step = wrap(lambda x: (np.add.reduce(x, initial=5.0), x.max(initial=2.0), np.sum(x, axis=0, where=x > 0)))
    for x in X:
        yield step(x)


@compiled
def outputs_by_position(wrap):
    w = nn.Parameter(X[0])

    def step(x):
        w.grad = None
        (w * x).sum().backward()
        np.clip(w.grad, -0.5, 0.5, w.grad)
        np.round(w.grad, 1, w.grad)
        return w.grad * 1

    step = wrap(step)
    for x in X:
        yield step(x), w.grad.copy()


@compiled
def means_of_half_precision(wrap):
    step = wrap(lambda x: (x.mean(), np.mean(x, axis=0), tg.mean(x)))
    for x in X:
        yield step((x * 100 + 500).astype(np.float16))


@compiled
def one_array_for_two_arguments(wrap):
    def step(x, y):
        x += 1
        return y * 2

    step = wrap(step)
    for i, x in enumerate(X):
        a, b = x.copy(), x.copy()
        yield step(a, a if i % 2 else b), step(a, a[:]), a, b


@compiled
def arguments_that_are_parameters(wrap):
    w = nn.Parameter(X[0])
    optimizer = nn.optim.SGD([w], lr=0.1)

    def step(x, weights):
        loss = (w * x).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return weights * 1

    step = wrap(step)
    for i, x in enumerate(X):
        yield step(x, w.data if i % 2 else X[1]), w.data.copy()


@compiled
def learning_rates_of_other_types_and_wrong_ones(wrap):
    w = nn.Parameter(X[0])
    optimizer = nn.optim.Adam([w], lr=0.1)

    def step(x):
        optimizer.zero_grad()
        (w * w * x).sum().backward()
        optimizer.step()

    step = wrap(step)
    for i, x in enumerate(X):
        optimizer.param_groups[0]["lr"] = np.float64(0.1 * np.cos(i)) if i < 4 else -1.0 if i == 8 else 0.01
        try:
            step(x)
        except ValueError as error:
            yield str(error)
        yield w.data.copy()


@refused
def a_question_after_a_change(wrap):
    mean = nn.Buffer(np.zeros(4, np.float32))

    def step(x):
        mean.assign(0.9 * mean.data + 0.1 * x.mean(axis=0))
        return x - mean.data if mean.data.sum() < 5 else x * 2

    step = wrap(step)
    for x in X:
        yield step(x), mean.data.copy()


@compiled
def questions_after_changes_on_which_they_do_not_depend(wrap):
    mean, count, w = nn.Buffer(np.zeros(4, np.float32)), nn.Buffer(np.array(0)), nn.Parameter(X[0])
    optimizer = nn.optim.SGD([w], lr=0.1)

    def step(x, labels):
        h = w * x
        mean.assign(0.9 * mean.data + 0.1 * h.data.mean(axis=0))
        count.assign(count.data + 1)
        loss = nn.CrossEntropyLoss()(h * tg.rand(4), labels)  # asks whether the labels are classes, and its sum finite
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    step = wrap(step)
    for i, x in enumerate(X):
        try:
            yield step(x, np.arange(6) % 4 + (i == 6))
        except IndexError as error:  # after the running mean was changed, as in the step itself
            yield str(error)
        yield mean.data.copy(), count.data.copy(), w.data.copy(), tg.get_rng_state()


@refused
def a_question_about_a_view_of_what_was_changed(wrap):
    mean = nn.Buffer(np.zeros(4, np.float32))
    first = tg.Tensor(mean.data[:2])

    def step(x):
        mean.assign(mean.data + 1)
        return x if first.data.sum() < 9 else x * 2

    step = wrap(step)
    for x in X:
        yield step(x), mean.data.copy()


@refused
def a_question_about_numbers_that_are_read_after_a_change_and_before_another(wrap):
    mean = nn.Buffer(np.zeros(4, np.float32))
    first = tg.Tensor(mean.data[:2])

    def step(x):
        mean.assign(mean.data + 1)
        read = first.data * 1
        mean.assign(mean.data - x[0])
        return x if read.sum() < 9 else x * 2

    step = wrap(step)
    for x in X:
        yield step(x), mean.data.copy()


@compiled
def changes_of_one_array_before_a_question(wrap):
    mean = nn.Buffer(np.zeros(4, np.float32))

    def step(x):
        mean.assign(x[0])
        mean.assign(x[1])
        total = x.sum(axis=0)
        total += 1
        return x * 2 if total.sum() < 99 else x

    step = wrap(step)
    for x in X:
        yield step(x), mean.data.copy()


@refused
def a_question_about_numbers_that_were_changed_after_they_were_kept(wrap):
    mean = nn.Buffer(np.zeros(4, np.float32))

    def step(x):
        total = x.sum(axis=0)
        mean.assign(total)
        total += 1
        return x * 2 if total.sum() < 99 else x

    step = wrap(step)
    for x in X:
        yield step(x), mean.data.copy()


@compiled
def the_update_alone(wrap):
    w = nn.Parameter(X[0])
    optimizer = nn.optim.SGD([w], lr=0.1, momentum=0.9)

    def step():
        nn.clip_grad_norm([w], 1.0)
        optimizer.step()

    step = wrap(step)
    for x in X:
        optimizer.zero_grad()
        (w * x).sum().backward()
        step()
        yield w.data.copy(), w.grad.copy()


@compiled
def a_learning_rate_by_hand(wrap):
    w = nn.Parameter(X[0])
    optimizer = nn.optim.SGD([w], lr=0.1)

    def step(x):
        w.grad = None
        (w * x).sum().backward()
        lr = optimizer.param_groups[0]["lr"]
        w.assign(w.data - lr * w.grad)
        return tg.Tensor(x) * lr + lr, optimizer.lr

    step = wrap(step)
    for i, x in enumerate(X):
        optimizer.lr = 0.1 / (1 + i)
        yield step(x)[0], step(x)[1], w.data.copy()


class Signed(nn.optim.Optimizer):
    """An optimizer of the user's, with a number of its own and a count in its state."""

    def __init__(self, params):
        super().__init__(params, lr=0.1)
        self.power = 1.0

    def _checked(self, options):
        return self._at_least_0(options, "lr")

    def _new_state(self, data):
        return {"count": 0, "sum": data * 0}

    def _update(self, theta, g, state, options):
        state = state or self._new_state(theta)
        total = state["sum"] + g
        decrease = options["lr"] * self.power * np.sign(total) / (1 + state["count"])
        return decrease, {"count": state["count"] + 1, "sum": total}


@compiled
def an_optimizer_of_the_users(wrap):
    w = nn.Parameter(X[0])
    optimizer = Signed([w])

    def step(x):
        optimizer.zero_grad()
        (w * x).sum().backward()
        optimizer.step()

    step = wrap(step)
    for i, x in enumerate(X):
        optimizer.power = 1.0 if i < 5 else 0.5
        step(x)
        yield w.data.copy(), optimizer.state_dict()["state"]


@compiled
def training_mode_set_in_the_step(wrap):
    model = nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5))
    step = wrap(lambda x: model.train()(x).sum())
    model.eval()
    for i, x in enumerate(X):
        if i == 5:
            model.eval()
        yield step(x)


@compiled
def a_mask_of_integers(wrap):
    step = wrap(lambda x, mask: np.where(mask, x, 0))
    for i, x in enumerate(X):
        yield step(x, (np.arange(24).reshape(6, 4) + i) % 2)


@compiled
def names_of_attributes_that_are_globals_too(wrap):
    w = nn.Parameter(X[0])
    optimizer = nn.optim.SGD([w], lr=0.1)

    def train(x):
        optimizer.zero_grad()
        (w * x).sum().backward()
        optimizer.step()

    train = wrap(train)
    for i, x in enumerate(X):
        globals()["step"] = i  # not the attribute `step` of the optimizer
        train(x)
        yield w.data.copy()
    del globals()["step"]


@compiled
def a_variable_without_value_yet(wrap):
    def outer():
        def step(x):
            return tg.exp(x) if x is not None else later

        wrapped = wrap(step)
        for x in X:
            yield wrapped(x)
        later = 1
        yield later

    yield from outer()


@compiled
def keyword_arguments_of_any_name(wrap):
    step = wrap(lambda x, **options: x * options["self"])
    for x in X:
        yield step(x, self=2.0)


@compiled
def named_tuples_slices_and_tensors(wrap):
    Batch = collections.namedtuple("Batch", "x rows")
    step = wrap(lambda batch: batch._replace(x=batch.x[batch.rows] * 2, rows=3))
    for x in X:
        result = step(Batch(tg.Tensor(x), slice(1, 3)))
        yield result.x, result.rows, type(result) is Batch


class Pair(tuple):
    """A tuple with a constructor of its own."""

    def __new__(cls, x, y):
        return super().__new__(cls, (x, y))


@compiled
def tuples_of_the_users(wrap):
    step = wrap(lambda pair, now: Pair(pair[0] * pair[1] + now.tm_hour, type(pair) is Pair))
    for x in X:
        result = step(Pair(tg.Tensor(x), x), time.gmtime(3600))
        yield result[0], result[1], type(result) is Pair


@compiled
def arrays_of_stride_0(wrap):
    step = wrap(lambda x: (x.sum(), x.mean(axis=0), x.std()))
    for x in X:
        yield step(np.broadcast_to(x[0], (50, 4)))


@refused
def a_state_in_a_dict(wrap):
    def step(x, state):
        state["h"] = tg.tanh(tg.Tensor(x) + state["h"])
        return state["h"].sum()

    step, state = wrap(step), {"h": tg.zeros(6, 4)}
    for x in X:
        yield step(x, state), state["h"].numpy()


@refused
def a_list_that_grows(wrap):
    step, seen = wrap(lambda x, log: log.append(float(len(log))) or x * 2), []
    for x in X:
        yield step(x, seen), list(seen)


@refused
def a_gradient_of_an_argument(wrap):
    w = nn.Parameter(X[0])

    def step(x):
        x.requires_grad_(True)
        (w.detach() * x * x).sum().backward()

    step = wrap(step)
    for x in X:
        image = tg.Tensor(x)
        step(image)
        yield image.grad.copy(), image.requires_grad


@refused
def stochastic_depth(wrap):
    step = wrap(lambda x: x * 2 if random.random() < 0.7 else x)
    for x in X:
        yield step(x)


@refused
def a_generator_of_numpys(wrap):
    generator = np.random.default_rng(0)
    step = wrap(lambda x: x * 2 if generator.random() < 0.9 else x)
    for x in X:
        yield step(x)


@refused
def a_seed_in_the_step(wrap):
    def step(x):
        tg.manual_seed(5)
        return x * tg.rand(4).data

    step = wrap(step)
    for x in X:
        yield step(x)


@refused
def an_array_that_counts(wrap):
    temperature = np.ones(1, np.float32)

    def step(x):
        np.multiply(temperature, 0.9, out=temperature)
        return x * temperature

    step = wrap(step)
    for x in X:
        yield step(x), temperature.copy()


@refused
def a_counter_in_slots(wrap):
    @dataclasses.dataclass(slots=True)
    class Meter:
        n: int = 0

    meter, counts = Meter(), collections.Counter()

    def step(x):
        meter.n += len(x)
        counts["calls"] += 1
        return x * 2

    step = wrap(step)
    for x in X:
        yield step(x), meter.n, counts["calls"]


@refused
def a_schedule_in_the_step(wrap):
    w = nn.Parameter(X[0])
    optimizer = nn.optim.SGD([w], lr=0.1)
    schedule = nn.schedules.CosineAnnealingLR(optimizer, 8)

    def step(x):
        optimizer.zero_grad()
        (w * x).sum().backward()
        optimizer.step()
        schedule.step()

    step = wrap(step)
    for x in X:
        step(x)
        yield w.data.copy(), optimizer.lr


@refused
def a_rate_set_through_its_group(wrap):
    w = nn.Parameter(X[0])
    optimizer = nn.optim.SGD([w], lr=0.1)
    group = optimizer.param_groups[0]

    def step(x, lr):
        group["lr"] = lr
        optimizer.zero_grad()
        (w * x).sum().backward()
        optimizer.step()

    step = wrap(step)
    for i, x in enumerate(X):
        step(x, 0.1 / (1 + i))
        yield w.data.copy()


@refused
def an_array_of_the_enclosing_function(wrap):
    h = np.zeros((6, 4), np.float32)

    def step(x):
        nonlocal h
        h = np.tanh(x + h)
        return h.sum()

    step = wrap(step)
    for x in X:
        yield step(x), h


@refused
def what_is_unique(wrap):
    buffer = nn.Buffer(np.zeros(4, np.float32))

    def step(x, i):
        buffer.assign(buffer.data + x.mean(axis=0))
        return np.unique(i)

    step = wrap(step)
    for i, x in enumerate(X):
        yield step(x, np.array([0, i // 5, 0])), buffer.data.copy()


@pytest.mark.parametrize("name", COMPILED)
def test_a_program_computes_the_same(name):
    eager, _ = run(COMPILED[name], lambda step: step)
    found, step = run(COMPILED[name], tg.compiled)
    assert found == eager
    assert step.why_eager is None
    assert step.program is not None


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_a_program_computes_the_same_and_warns(name):
    eager, _ = run(REFUSED[name], lambda step: step)
    with pytest.warns(UserWarning, match="runs as it is written, not as a program"):
        found, step = run(REFUSED[name], tg.compiled)
    assert found == eager
    assert step.why_eager is not None


def test_ctrl_c_while_a_step_is_recorded_leaves_plain_arrays():
    def interrupt():
        for at in range(1, 700, 7):
            w = nn.Parameter(np.ones(3))
            optimizer = nn.optim.SGD([w], lr=0.1, momentum=0.9)

            def step(w=w, optimizer=optimizer):
                optimizer.zero_grad()
                (w * w).sum().backward()
                optimizer.step()

            compiled_step = tg.compiled(step)
            with interrupted(at, KeyboardInterrupt):
                try:
                    compiled_step()
                except KeyboardInterrupt:
                    pass
                else:
                    break
            assert type(w.data) is np.ndarray
            assert type(optimizer.param_groups[0]["lr"]) is float
        return at

    # An error raised in a `finally`, where Python takes no signal, leaves blocks open, but only in this thread.
    assert ThreadPoolExecutor(1).submit(interrupt).result() > 100


def test_two_threads_record_steps_of_one_model():
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh())
    optimizer = nn.optim.SGD(model.parameters(), lr=0.01)
    errors = []

    def train(x):
        loss = (model(x) ** 2).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss.detach()

    def work(make):
        try:
            step = make()
            for x in X:
                step(x)
        except Exception as error:  # noqa: BLE001  to be seen in the main thread
            errors.append(error)

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(5):
            makes = [lambda: tg.compiled(train), lambda: tg.compiled(lambda x: model(x).sum().detach())]
            threads = [threading.Thread(target=work, args=(make,)) for make in makes]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
    assert errors == []
    assert all(type(p.data) is np.ndarray for p in model.parameters())
