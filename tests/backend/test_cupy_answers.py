"""The strict double answers 609 expressions as the real CuPy 14.2.0 does: `cupy_answers.json`.

The answers were recorded on a machine without a GPU: CuPy's own front-end and the code of its kernels, compiled for the
CPU. An expression stands there with what it gives: of an array "arr", dtype, shape and its elements to 4 digits; of
anything else its type and how it prints; of an error its class and message, of which the class is compared. What stands
before the last semicolon is executed first.
"""

import copy
import json
import pickle
import platform
from pathlib import Path

import numpy as np
import pytest

from tests.backend import strict_cupy, strict_cupy_rules

ANSWERS = json.loads(Path(__file__).with_name("cupy_answers.json").read_text(encoding="utf-8"))

# C leaves it to the processor what becomes of a number that an integer cannot hold. Here, x86 has answered.
OF_X86 = {"n.astype('i4')", "n.astype('u1')", "(x*1e10).astype('i4')"}

pytestmark = pytest.mark.filterwarnings("ignore")


def variables(xp):
    """Return the names that the expressions use; the order of the draws is that of the recording."""
    random = np.random.default_rng(1)
    host = {
        "x": random.normal(size=(3, 4)),
        "f": random.normal(size=(3, 4)).astype("f4"),
        "h": random.normal(size=(3, 4)).astype("f2"),
        "i": np.array([2, 0, 1]),
        "u": np.array([1, 2, 250], "u1"),
        "b": np.array([True, False, True]),
        "s": np.array(2.0),
        "s4": np.array(2.0, "f4"),
        "e": np.zeros((0, 4)),
        "c": np.array([1 + 2j, 3j], "c8"),
        "n": np.array([1.0, np.nan, -np.inf, np.inf]),
        "n4": np.array([1.0, np.nan, -np.inf, np.inf, 0, -0.0], "f4"),
        "v": random.normal(size=4),
        "q": np.array([1, -2, 3], "i4"),
    }
    modules = {"xp": xp, "np": np, "pickle": pickle, "copy": copy}
    return {name: xp.asarray(array) for name, array in host.items()} | modules


def facts(value):
    """Return what is recorded of a value, as JSON has it."""
    if isinstance(value, tuple | list):
        return [facts(part) for part in value]
    on_device = hasattr(value, "get") and hasattr(value, "device")
    if not on_device and not isinstance(value, np.ndarray | np.generic):
        return [type(value).__name__, repr(value)[:60]]
    host = value.get() if on_device else np.asarray(value)
    text = np.array2string(host, precision=4, threshold=50).replace("\n", "")
    return ["arr", str(host.dtype), list(host.shape), text]


def answer(expression, names):
    """Return the facts of the value of the expression, or the class of the error."""
    *statements, last = expression.split(";")
    try:
        for statement in statements:
            exec(statement, names)
        return facts(eval(last.strip(), names))
    except Exception as error:  # noqa: BLE001
        return type(error).__name__


@pytest.mark.parametrize("expression", ANSWERS)
def test_the_double_answers_as_cupy(expression):
    if expression in OF_X86 and platform.machine() not in ("x86_64", "AMD64"):
        pytest.skip("the answer is that of an x86 processor")
    recorded = ANSWERS[expression]
    expected = recorded.partition(":")[0] if isinstance(recorded, str) else recorded
    assert answer(expression, variables(strict_cupy.namespace())) == expected


def test_all_answers_are_here():
    assert len(ANSWERS) == 609


# What was seen in CuPy's own code besides, and is in none of the expressions.


def test_products_of_half_precision_vectors_overflow_in_half():
    xp = strict_cupy.namespace()
    a, b = (xp.asarray(np.array(x, np.float16)) for x in ([300, -300], [300, 300]))
    for product in (a @ b, xp.dot(a, b), xp.vdot(a, b), xp.inner(a, b), a[None] @ b, a[None] @ b[:, None]):
        assert np.isnan(product.item())
    assert (a[None] @ xp.stack([b, b], axis=1)).get().tolist() == [[0, 0]]  # a product of matrices sums in float32


def test_a_missing_bound_of_clip_is_the_last_number_of_the_dtype():
    xp = strict_cupy.namespace()
    x = xp.asarray(np.array([-2.0, np.nan, 3.0], np.float32))
    assert x.clip(xp.asarray(np.float32(np.nan)), None).get().tolist()[::2] == [-2, 3]
    assert x.clip(2.0, 1.0).get().tolist() == [1, 1, 1]
    assert xp.clip(xp.asarray(np.array([5], np.uint8)), None, 3).get().tolist() == [3]


def test_integers_to_negative_powers():
    xp = strict_cupy.namespace()
    bases, exponents = xp.asarray(np.array([1, -1, -1, 0, 2, 2])), xp.asarray(np.array([-3, -3, -2, -1, -1, 3]))
    assert (bases**exponents).get().tolist() == [1, -1, 1, 0, 0, 8]
    bases **= exponents
    assert bases.get().tolist() == [1, -1, 1, 0, 0, 8]


@pytest.mark.parametrize("exponent", [0.5, np.float64(0.5), np.array(0.5)])
def test_a_power_of_one_half_is_no_root(exponent):
    xp = strict_cupy.namespace()
    for dtype in (np.float16, np.float32, np.float64):
        x = xp.asarray(np.array([-np.inf, -0.0, 4.0], dtype))
        found = (x ** (xp.asarray(exponent) if isinstance(exponent, np.ndarray) else exponent)).get()
        assert found.tolist() == [np.inf, 0, 2]
        assert not np.signbit(found).any()


def test_an_integer_of_any_size_is_compared_with_floats():
    xp = strict_cupy.namespace()
    x = xp.asarray(np.array([1.0, -0.0], np.float32))
    assert xp.maximum(x, 10**30).dtype == xp.minimum(10**30, x).dtype == np.float32
    assert xp.minimum(10**30, x).get().tolist() == [1, 0]


@pytest.mark.parametrize(("shape", "order"), [((), "C"), ((2, 3), "F")])
def test_new_memory_of_integers_is_poisoned(shape, order):
    assert (strict_cupy.namespace().empty(shape, np.int64, order).get() == 0x5A5A5A5A5A5A5A5A).all()


def test_zeros_have_the_sign_of_the_greater_and_the_smaller():
    xp = strict_cupy.namespace()
    a, b = xp.asarray(np.array([0.0, -0.0, -0.0])), xp.asarray(np.array([-0.0, 0.0, -0.0]))
    assert np.signbit(xp.maximum(a, b).get()).tolist() == [False, False, True]
    assert np.signbit(xp.minimum(a, b).get()).tolist() == [True, True, True]


def test_what_kernels_write_is_in_c_order():
    xp = strict_cupy.namespace()
    x = xp.asarray(np.arange(24.0).reshape(2, 3, 4)).transpose(2, 0, 1)
    made = [x + 1, xp.maximum(x, 0), x.clip(0, 1), xp.where(x > 1, x, 0), x.sum(0), x.take(xp.asarray([0, 1]), 1)]
    made += [x[xp.asarray([0, 1])], x @ x.swapaxes(1, 2), xp.stack([x, x]), xp.concatenate([x, x]), xp.sort(x)]
    assert all(part.flags.c_contiguous for part in made)


# Noise: a sum that depends on the order of its terms has other last bits than NumPy's.


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_sums_have_noise_of_one_unit(dtype):
    xp = strict_cupy.namespace()
    x = np.random.default_rng(0).normal(size=(40, 30)).astype(dtype)
    there = xp.asarray(x)
    pairs = [(there.sum(0), x.sum(0)), (xp.mean(there, 1), x.mean(1)), (there @ there.T, x @ x.T)]
    pairs += [(xp.einsum("ij->j", there), np.einsum("ij->j", x)), (xp.dot(there, there[0]), np.dot(x, x[0]))]
    for noisy, plain in pairs:
        noisy = noisy.get()
        differ = noisy != plain
        assert 0.4 < differ.mean() < 0.9
        assert (np.abs(noisy - plain) <= np.abs(np.spacing(plain))).all()
    again = there.sum(0)
    assert (again == pairs[0][0]).all()


def test_sums_without_rounding_have_no_noise():
    xp = strict_cupy.namespace()
    whole = np.arange(12, dtype=np.float32).reshape(3, 4) / 8
    there = xp.asarray(whole)
    assert (there.sum(0).get() == whole.sum(0)).all()
    assert (there @ there.T).get().tolist() == (whole @ whole.T).tolist()
    few = np.random.default_rng(0).normal(size=(2, 9))  # two terms have one order
    assert (xp.asarray(few).sum(0).get() == few.sum(0)).all()
    assert (xp.einsum("ij->ji", xp.asarray(few)).get() == few.T).all()
    assert (xp.einsum("i,j->ij", *xp.asarray(few)).get() == few[0][:, None] * few[1]).all()
    assert xp.sum(xp.asarray(np.array([np.inf, 0.1, 0.3]))).item() == np.inf


def test_noise_can_be_turned_off(monkeypatch):
    monkeypatch.setattr(strict_cupy_rules, "NOISE", False)
    x = np.random.default_rng(0).normal(size=(40, 30))
    assert (strict_cupy.namespace().asarray(x).sum(0).get() == x.sum(0)).all()
