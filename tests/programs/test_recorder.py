"""Nothing slips past the recorder: what is asked of a recorded array is written down, or refused."""

import inspect
import operator
import threading
import warnings

import numpy as np
import pytest

from tinygrad_sm.programs.arrays import _ABOUT_SHAPES, _FACTS, Number, RecordedArray, name_of, record, recorded
from tinygrad_sm.programs.recording import Recording, under_way


def outcome(ask):
    """Return what came of a question to a recorded array: "recorded", "refused", "a fact", or "an error"."""
    recording = Recording()
    with under_way(recording), warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        x = recorded(recording, np.array([[2.0, 1.0], [3.0, 4.0]]), "input")
        try:
            result = ask(x)
        except Exception:  # noqa: BLE001  any error is as good as a refusal
            return "an error"
    if recording.refusal is not None:
        return "refused"
    if recording.calls or result is x:
        return "recorded"
    assert not isinstance(result, np.ndarray), "an array that no call gave"
    return "a fact"


METHODS = [name for name in dir(np.ndarray) if not name.startswith("_")]
ARGUMENTS = [(), (1,), (np.array([[1.0, 2.0], [3.0, 4.0]]),), ((2, 2),), (0, 1), ("f8",)]


@pytest.mark.parametrize("name", METHODS)
def test_every_attribute_and_method_of_an_array(name, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)  # x.tofile("f8") writes a file
    for arguments in ARGUMENTS:

        def ask(x, arguments=arguments):
            attribute = getattr(x, name)
            return attribute(*arguments) if callable(attribute) else attribute

        found = outcome(ask)
        assert found in ("recorded", "refused", "an error") or name in (*_FACTS, "base"), arguments


FUNCTIONS = [
    name
    for name in sorted(np.__all__)
    if callable(getattr(np, name))
    and not inspect.isclass(getattr(np, name))
    and name not in ("test", "show_config", "info", "bmat")
]
SHAPES = {function.__name__ for function in _ABOUT_SHAPES} | {
    "broadcast_shapes",
    "printoptions",
    "errstate",
    "iterable",
}
PURE = {
    "isscalar",
    "isfortran",
    "get_include",
    "may_share_memory",
    "shares_memory",
    "common_type",
    "min_scalar_type",
    "typename",
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_of_numpy(name):
    function = getattr(np, name)
    for arguments in (lambda x: (x,), lambda x: (x, x), lambda x: (x, 1), lambda x: ([x, x],)):
        found = outcome(lambda x, arguments=arguments: function(*arguments(x)))
        if found == "a fact":
            assert name in SHAPES | PURE or outcome_is_no_array(function, arguments), name


def outcome_is_no_array(function, arguments):
    """Whether a function's result for plain arrays depends on no value: it is the same for other values."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        one, other = (function(*arguments(np.full((2, 2), value))) for value in (1.0, 2.0))
    return repr(one) == repr(other)


def test_an_array_taken_out_is_refused():
    assert outcome(lambda x: np.asarray(x) * 2) == "refused"
    assert outcome(lambda x: float(x[0, 0])) == "refused"
    assert outcome(lambda x: x[0, 0].item()) == "refused"
    assert outcome(lambda x: list(x)) == "recorded"
    assert outcome(lambda x: x.dot(x)) == "recorded"
    assert outcome(lambda x: x[x > 1]) == "refused"
    assert outcome(lambda x: f"{x[0, 0]:.2f}") == "refused"


@pytest.mark.parametrize("name", ["add", "sub", "mul", "truediv", "pow", "floordiv", "mod", "matmul", "lt", "ge", "eq"])
def test_operators_in_both_orders_and_in_place(name):
    function = getattr(operator, name)
    plain, other = np.array([[2.0, 1.0], [3.0, 4.0]]), np.array([[1.0, 2.0], [0.5, 3.0]])
    for operand in (other, 2, 0.5, np.float32(3)) if name != "matmul" else (other,):
        for ordered in ((plain, operand), (operand, plain)):
            recording = Recording()
            with under_way(recording):
                x = recorded(recording, plain, "input")
                result = function(*(x if part is plain else part for part in ordered))
            expected = function(*ordered)
            assert isinstance(result, RecordedArray)
            assert (result.array.tobytes(), result.dtype) == (expected.tobytes(), expected.dtype)
            assert len(recording.calls) == 1
    if name in ("add", "sub", "mul", "truediv", "pow"):
        recording, array = Recording(), plain.copy()
        with under_way(recording):
            x = recorded(recording, array, "state")
            same = getattr(operator, f"i{name}")(x, other)
        assert same is x
        np.testing.assert_array_equal(array, function(plain, other))
        assert recording.calls[0].is_lasting


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, -1, 0.5, 2.0, 1.5, -0.5])
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16, np.int64])
def test_powers_have_the_bits_of_the_operator(exponent, dtype):
    x = np.linspace(1, 3, 50).astype(dtype)
    if dtype is np.int64 and exponent < 0 and isinstance(exponent, int):
        return
    recording = Recording()
    with under_way(recording):
        result = recorded(recording, x, "input") ** exponent
    assert (result.array.tobytes(), result.dtype) == ((x**exponent).tobytes(), (x**exponent).dtype)


def test_numbers_that_change_are_formulas():
    rates = {"lr": 0.5}
    recording = Recording()
    with under_way(recording):
        lr = Number(operator.getitem, rates, "lr")
        formula = 1 - (2 * lr) ** 2 / 4 + -lr
        assert formula > 0
        x = formula * recorded(recording, np.ones(2), "input")
    assert formula.value == 0.25
    assert x.array.tolist() == [0.25, 0.25]
    rates["lr"] = 0.0
    assert formula.now() == 1.0
    assert [guard.answer for guard in recording.calls if hasattr(guard, "answer")] == [True]


def test_another_thread_and_a_later_use_compute_and_write_nothing_down():
    recording, results = Recording(), []
    with under_way(recording):
        x = recorded(recording, np.ones(2), "input")
        worker = threading.Thread(target=lambda: results.append(x * 2))
        worker.start()
        worker.join()
        assert recording.calls == []
    results.append(np.exp(x) + 1)
    assert recording.calls == []
    assert [type(result) for result in results] == [np.ndarray, np.ndarray]


def test_names_of_functions():
    assert [name_of(f) for f in (np.exp, np.add.reduce, np.zeros, np.ndarray.astype)] == [
        "exp",
        "add.reduce",
        "zeros",
        "astype",
    ]
    assert record(np.add, 1, 2) == 3
