"""Augmented operators change leaves and the state of Modules as NumPy's do, under no_grad, and nothing else."""

import operator

import numpy as np
import pytest

import tinygrad_sm as tg
from tinygrad_sm import GradientError, Tensor, nn

OPERATORS = {
    "+=": operator.iadd,
    "-=": operator.isub,
    "*=": operator.imul,
    "/=": operator.itruediv,
    "**=": operator.ipow,
    "@=": operator.imatmul,
}
W = np.array([[1.0, 2.0], [3.0, 5.0]], np.float32)
STEPS = {"a number": 2, "a row": W[0], "an array of float64": W.astype(np.float64), "a matrix": W, "a list": [2.0, 3.0]}
FITTING = [(name, step) for name in OPERATORS for step in STEPS if name != "@=" or np.ndim(STEPS[step]) == 2]


class Running(nn.Module):
    """Keeps a mean of what it has seen, as a buffer."""

    def __init__(self):
        self.mean = nn.Buffer(W)
        self.weight = nn.Parameter(W)

    def forward(self, x):
        with tg.no_grad():
            self.mean *= 0.5
            self.mean += 0.5 * x
        return x - self.mean


def kinds_of_leaves(device="cpu"):
    running = Running().to(device)
    return {
        "a leaf": Tensor(W.copy(), requires_grad=True, device=device),
        "a parameter": running.weight,
        "a buffer": running.mean,
    }


@pytest.mark.parametrize(("name", "step"), FITTING)
@pytest.mark.parametrize("kind", ["a leaf", "a parameter", "a buffer"])
def test_under_no_grad_they_do_what_numpy_does(name, step, kind, device):
    t = kinds_of_leaves(device)[kind]
    same, array, expected = t, t.data, W.copy()
    expected = OPERATORS[name](expected, STEPS[step])
    other = STEPS[step] if isinstance(STEPS[step], int | list) else Tensor(STEPS[step], device=device)
    with tg.no_grad():
        t = OPERATORS[name](t, other)
    assert t is same
    assert t.data is array
    np.testing.assert_allclose(t.numpy(), expected, rtol=1e-6)
    assert (t.dtype, t.device) == (np.float32, Tensor(0.0, device=device).device)


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("kind", ["a leaf", "a parameter", "a buffer"])
def test_while_recording_they_are_refused(name, kind):
    t = kinds_of_leaves()[kind]
    with pytest.raises(GradientError, match=r"with tg\.no_grad\(\), or let an optimizer of nn\.optim"):
        OPERATORS[name](t, 2 * W)
    np.testing.assert_array_equal(t.data, W)


@pytest.mark.parametrize("kind", ["a leaf", "a parameter", "a buffer"])
@pytest.mark.parametrize(
    ("other", "error"),
    [
        (np.ones((3, 2, 2), np.float32), ValueError),  # it would grow
        (np.ones(3, np.float32), ValueError),
        (np.ones((2, 2), np.complex64), TypeError),
        ("text", TypeError),
        (None, TypeError),
    ],
    ids=["growth", "shape", "complex", "text", "None"],
)
def test_what_does_not_fit_changes_nothing(kind, other, error):
    t = kinds_of_leaves()[kind]
    loss = (t * leaf_like(t)).sum()
    with tg.no_grad(), pytest.raises(error):
        t += other
    np.testing.assert_array_equal(t.data, W)
    loss.backward()  # and nothing is stale


def leaf_like(t):
    return Tensor(np.ones_like(t.data), requires_grad=True)


def test_an_array_of_ints_is_not_made_one_of_floats():
    counts = Running()
    counts.mean = nn.Buffer([1, 2])
    with tg.no_grad():
        counts.mean += 1
        with pytest.raises(TypeError, match="int64, got float"):
            counts.mean /= 2
    assert counts.mean.tolist() == [2, 3]


@pytest.mark.parametrize("kind", ["a leaf", "a parameter", "a buffer"])
def test_a_graph_of_the_old_data_is_stale(kind):
    t, x = kinds_of_leaves()[kind], Tensor(W.copy(), requires_grad=True)
    loss = (t * x).sum()
    with tg.no_grad():
        t -= 1
    with pytest.raises(GradientError, match=r"was changed \(.* in place\) after multiply had used it"):
        loss.backward()
    assert x.grad is None


def test_of_other_tensors_they_make_new_ones():
    result = Tensor([1.0, 2.0], requires_grad=True) * 1
    constant = Tensor([1.0, 2.0])
    for t in (result, constant):
        before = t
        t += 1
        assert t is not before
        assert (t.tolist(), before.tolist()) == ([2, 3], [1, 2])
        assert t.requires_grad == before.requires_grad
    with tg.no_grad():
        before = constant
        constant -= 1
        assert constant is not before
        total = 0.0
        total += result
        assert total.tolist() == [1, 2]


def test_the_loop_of_every_course_trains_as_sgd_does():
    tg.manual_seed(0)
    random = np.random.default_rng(0)
    x, labels = random.normal(size=(32, 3)).astype(np.float32), random.integers(0, 4, 32)
    models = [nn.Linear(3, 4) for _ in range(2)]
    models[1].load_state_dict(models[0].state_dict())
    optimizer, losses = nn.optim.SGD(models[1].parameters(), lr=0.125), []
    for _ in range(60):
        for model in models:
            model.zero_grad()
            losses.append(nn.functional.cross_entropy(model(x), labels))
            losses[-1].backward()
        with tg.no_grad():
            for p in models[0].parameters():
                p -= 0.125 * p.grad
        optimizer.step()
    assert losses[-1].item() < 0.9 * losses[0].item()
    for mine, theirs in zip(*(model.parameters() for model in models), strict=True):
        np.testing.assert_array_equal(mine.data, theirs.data)


def test_an_attribute_stays_what_it_was():
    running = Running()
    state = running.state_dict()
    (running(np.ones((2, 2), np.float32)) * running.weight).sum().backward()
    with tg.no_grad():
        running.weight -= 0.5 * running.weight.grad
    assert [path for path, _ in running.named_parameters()] == ["weight"]
    assert running.state_dict().keys() == state.keys()
    np.testing.assert_array_equal(running.mean.data, 0.5 * W + 0.5)
    np.testing.assert_array_equal(running.weight.data, W - 0.5 * (1 - running.mean.data))


def test_what_does_not_fit_is_called_by_the_operator():
    w = Tensor(W.copy(), requires_grad=True)
    with tg.no_grad(), pytest.raises(ValueError, match=r"-=: expected shape \(2, 2\), got shape \(3, 2, 2\)"):
        w -= np.ones((3, 2, 2), np.float32)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.uint8, np.int8, np.int64])
@pytest.mark.parametrize(("name", "number"), [("+=", 1), ("*=", 3), ("-=", 0.1), ("*=", 1e300), ("/=", 3), ("**=", 2)])
def test_numbers_take_the_dtype_of_the_data_as_in_numpy(dtype, name, number):
    expected, state = np.full(2, 5, dtype), nn.Buffer(np.full(2, 5, dtype))
    with tg.no_grad(), np.errstate(all="ignore"):
        try:
            expected = OPERATORS[name](expected, number)
        except TypeError:
            with pytest.raises(TypeError):
                OPERATORS[name](state, number)
            return
        OPERATORS[name](state, number)
    np.testing.assert_array_equal(state.data, expected, strict=True)


def test_a_number_that_the_dtype_cannot_hold_is_refused_as_in_numpy():
    state = nn.Buffer(np.full(2, 5, np.int8))
    with tg.no_grad(), pytest.raises(OverflowError):
        state *= 300
    assert state.tolist() == [5, 5]


def test_python_floats_are_assigned_without_a_loss():
    w = nn.Parameter(np.zeros(2))
    assert w.assign([0.1, 1]).tolist() == [0.1, 1]
    nn.vector_to_parameters([0.1, 0.7], [w])
    assert w.tolist() == [0.1, 0.7]
    assert nn.Parameter([0.0, 0.0]).assign([0.1, 0.7]).tolist() == np.array([0.1, 0.7], np.float32).tolist()
