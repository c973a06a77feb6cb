"""A Tensor takes, shows and gives back arrays as NumPy users expect, and says no where it must."""

import copy

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

import tinygrad_sm as tg
from tests.helpers import leaf
from tinygrad_sm import GradientError, Tensor
from tinygrad_sm.nn import Parameter


@pytest.mark.parametrize(
    ("data", "dtype", "shape"),
    [
        (1.5, np.float32, ()),
        (2, np.int64, ()),
        (True, np.bool_, ()),
        ([1, 2.5], np.float32, (2,)),
        ([[1, 2], [3, 4]], np.int64, (2, 2)),
        ([True, False], np.bool_, (2,)),
        ([], np.float32, (0,)),
        (np.float64(1.5), np.float64, ()),  # an instance of float too, but its dtype is said
        ([np.float64(1.5)], np.float64, (1,)),
        ([[np.arange(2.0)]], np.float64, (1, 1, 2)),
        (np.float16(1), np.float16, ()),
        (np.zeros((2, 0)), np.float64, (2, 0)),
        (np.zeros(2, np.uint8), np.uint8, (2,)),
        (1j, np.complex64, ()),
        (range(3), np.int64, (3,)),
    ],
)
def test_dtypes_of_what_tensors_are_made_of(data, dtype, shape):
    t = Tensor(data)
    assert (t.dtype, t.shape) == (dtype, shape)
    assert type(t.data) is np.ndarray
    assert (t.ndim, t.size, t.device, t.requires_grad, t.grad) == (len(shape), np.prod(shape), "cpu", False, None)


# Python's numbers follow what stands beside them, as in 0.2 + np.float32(1), which is a float32 (NEP 50).
ELEMENTS = [
    True,
    1,
    0.5,
    1j,
    np.True_,
    np.int8(2),
    np.uint8(2),
    np.int64(2),
    np.float16(2),
    np.float32(2),
    np.float64(2),
]
ELEMENTS += [np.complex64(2), np.array(2.0, np.float32), Tensor(2.0, dtype=np.float16)]


@given(elements=st.lists(st.sampled_from(ELEMENTS), min_size=2, max_size=4), data=st.data())
def test_the_dtype_of_a_list_does_not_depend_on_the_order(elements, data):
    dtype = Tensor(elements).dtype
    other = data.draw(st.permutations(elements))
    assert Tensor(other).dtype == dtype
    assert Tensor(tuple(other)).dtype == dtype
    assert Tensor([[[x]] for x in other]).dtype == dtype
    assert (tg.ones(len(other)) * other).dtype == Tensor(np.ones((), np.float32) * np.ones((), dtype)).dtype


@pytest.mark.parametrize("a", ELEMENTS, ids=lambda x: type(x).__name__)
@pytest.mark.parametrize("b", ELEMENTS, ids=lambda x: type(x).__name__)
def test_a_list_of_two_has_the_dtype_of_their_sum(a, b):
    has_dtype = [hasattr(x, "dtype") for x in (a, b)]
    if any(has_dtype):
        expected = np.add(*(np.asarray(x) if isinstance(x, Tensor) else x for x in (a, b))).dtype
    else:  # two of Python's: float32, int64 and so on
        expected = {bool: np.bool_, int: np.int64, float: np.float32, complex: np.complex64}[type(a + b)]
        expected = np.bool_ if type(a) is type(b) is bool else expected
    assert Tensor([a, b]).dtype == Tensor([[a], [b]]).dtype == expected


def test_lists_in_lists_decide_the_dtype_too():
    assert Tensor([[0.1, 0.2], np.zeros(2, np.float64)]).dtype == np.float64
    assert Tensor([[0.1, 0.2], [np.float32(0.1), 1]]).dtype == np.float32
    assert Tensor([[0.1, 0.2], [1, 2]]).dtype == np.float32
    assert Tensor([range(2), np.arange(2, dtype=np.int16)]).dtype == np.int16
    assert Tensor([0.1, np.float64(0.1)]).tolist() == [0.1, 0.1]
    assert Tensor([0.1, np.float64(0.1)], dtype=np.float16).dtype == np.float16
    big_endian = np.arange(3, dtype=">f8")
    assert Tensor(big_endian.view(np.recarray)).dtype == big_endian.dtype


def test_arrays_are_not_copied_but_converted_when_asked():
    array = np.arange(3.0)
    assert Tensor(array).data is array
    assert Tensor(array, dtype=np.float64).data is array
    assert Tensor(array, dtype="float32").dtype == np.float32
    t = Tensor(array, requires_grad=True)
    assert Tensor(t).data is array
    assert not Tensor(t).requires_grad


def test_repr_shows_data_shape_dtype_device_and_what_made_it():
    x = Tensor([1.0, 2.0], requires_grad=True)
    assert repr(x) == "Tensor([1., 2.], shape=(2,), dtype=float32, device=cpu, requires_grad=True)"
    assert repr(x * 2) == "Tensor([2., 4.], shape=(2,), dtype=float32, device=cpu, made_by=multiply)"
    assert repr(Tensor(3)) == "Tensor(3, shape=(), dtype=int64, device=cpu)"
    x.name = "0.bias"
    assert "name='0.bias', requires_grad=True" in repr(x)
    assert "..." in repr(tg.zeros(100, 100))


def test_the_ways_out_of_a_tensor():
    x = Tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    assert x.tolist() == [[1, 2], [3, 4]]
    assert x.numpy() is x.data
    assert (len(x), [row.tolist() for row in x]) == (2, [[1, 2], [3, 4]])
    one = x[1, 1]
    assert (one.item(), float(one), int(one), bool(one), type(one.item())) == (4, 4, 4, True, float)
    assert np.asarray(x.detach()).tolist() == x.tolist()
    assert np.array(x.detach(), np.float64).dtype == np.float64


def test_comparisons_and_arg_functions_give_plain_arrays():
    a, b = Tensor([1.0, 2.0, 3.0], requires_grad=True), Tensor([3.0, 2.0, 1.0])
    for result, expected in (
        (a == b, [False, True, False]),
        (a != b, [True, False, True]),
        (a < b, [True, False, False]),
        (a <= 2, [True, True, False]),
        (a > np.array([0, 2, 2]), [True, False, True]),
        (a >= b, [False, True, True]),
    ):
        assert type(result) is np.ndarray
        assert result.tolist() == expected
    assert (a.argmax(), a.argmin()) == (2, 0)
    assert Tensor(np.eye(3)).argmax(axis=1).tolist() == [0, 1, 2]
    assert len({a, b, a}) == 2  # Tensors are hashed by identity


def test_arg_functions_take_an_axis_and_formats_a_number():
    a = Tensor([[1.0, 3.0], [2.0, 0.0]], requires_grad=True)
    assert (a.argmax(axis=0).tolist(), a.argmin(axis=0).tolist()) == ([1, 0], [0, 1])
    assert f"{a.sum():.2f} {a[0, 0]}" == "6.00 Tensor(1., shape=(), dtype=float32, device=cpu, made_by=getitem)"
    with pytest.raises(ValueError, match="size"):
        f"{a:.2f}"
    assert (+a) is a


def test_methods_are_the_operations():
    x = Tensor(np.random.default_rng(0).random((2, 3, 4)) + 0.5, requires_grad=True)
    for name in ("exp", "log", "sqrt", "abs", "relu", "sigmoid", "tanh", "sum", "mean", "max", "logsumexp", "softmax"):
        np.testing.assert_array_equal(getattr(x, name)().data, getattr(tg, name)(x.data))
    np.testing.assert_array_equal(x.log_softmax(1).data, tg.log_softmax(x.data, axis=1))
    np.testing.assert_array_equal(x.mean((0, 2), keepdims=True).data, tg.mean(x.data, axis=(0, 2), keepdims=True))
    assert x.reshape(6, 4).shape == x.reshape((6, 4)).shape == x.reshape(-1, 4).shape == (6, 4)
    assert x.transpose().shape == x.transpose(None).shape == x.T.shape == (4, 3, 2)
    assert Tensor.exp(x).shape == (2, 3, 4)  # of the class, as of any method
    assert x.transpose(1, 0, 2).shape == x.transpose((1, 0, 2)).shape == x.swapaxes(0, 1).shape == (3, 2, 4)
    assert abs(-x).data.tolist() == x.data.tolist()
    assert (x[0] @ x[1].T).shape == (3, 3)


def test_elements_are_not_set():
    for t in (Tensor([1.0, 2.0]), Tensor([1.0, 2.0], requires_grad=True)):
        with pytest.raises(TypeError, match=r"not changed in place.*tg\.where.*assign"):
            t[0] = 1.0
        assert t.tolist() == [1, 2]


def test_indices_may_be_tensors():
    x = Tensor(np.arange(12.0).reshape(3, 4), requires_grad=True)
    rows, columns = Tensor([0, 2, 0]), Tensor([1, 1, 1])
    x[rows, columns].sum().backward()
    expected = np.zeros((3, 4))
    expected[0, 1], expected[2, 1] = 2, 1
    np.testing.assert_array_equal(x.grad, expected)
    np.testing.assert_array_equal(x[rows].data, x.data[[0, 2, 0]])
    assert x[x.data > 5].shape == (6,)


def test_a_gradient_is_asked_for_on_float_leaves_only():
    t = Tensor([1.0])
    assert t.requires_grad_() is t
    assert t.requires_grad
    (t * 2).backward()
    assert t.grad.tolist() == [2]
    t.requires_grad = False
    assert not (t * 2).requires_grad
    for integers in (Tensor([1]), Tensor([True])):
        with pytest.raises(TypeError, match="only floats carry gradients"):
            integers.requires_grad = True
    with pytest.raises(TypeError, match="only floats carry gradients, got complex64"):
        Tensor(1j, requires_grad=True)
    t.requires_grad_()
    with pytest.raises(GradientError, match=r"exp is not a leaf: use \.detach"):
        tg.exp(t).requires_grad_(False)


def test_detach_and_astype():
    x = Tensor([1.0, 2.0], requires_grad=True)
    assert x.detach().data is x.data
    (x * x.detach()).sum().backward()
    assert x.grad.tolist() == [1, 2]
    wide = x.astype(np.float64)
    assert wide.dtype == np.float64
    (g,) = tg.grad((wide * 3).sum(), x)
    assert (g.dtype, g.tolist()) == (np.float32, [3, 3])
    whole = x.astype(np.int64)
    assert (whole.dtype, whole.requires_grad) == (np.int64, False)
    for dtype in (bool, complex):
        assert not x.astype(dtype).requires_grad
    assert x.to("cpu") is x


def test_hooks_see_the_complete_gradient_and_may_replace_it():
    x = Tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    seen = []
    handle = y.register_hook(lambda g: seen.append(g.tolist()))
    doubling = x.register_hook(lambda g: g * 2)
    x.register_hook(lambda g: g + 1)
    (y * y + y).sum().backward()
    assert seen == [[5, 9]]  # once, with both uses of y
    assert x.grad.tolist() == [5 * 2 * 2 + 1, 9 * 2 * 2 + 1]
    handle.remove()
    doubling.remove()
    doubling.remove()

    def halve(g):
        return Tensor(g / 2)

    first, second = x.register_hook(halve), x.register_hook(halve)
    first.remove()
    x.grad = None
    (x * 4).sum().backward()
    assert x.grad.tolist() == [(4 + 1) / 2] * 2
    second.remove()
    x.grad = None
    (x * 2).sum().backward()
    assert seen == [[5, 9]]
    assert x.grad.tolist() == [3, 3]
    assert type(Tensor(1.0, requires_grad=True).register_hook(print)).__name__ == "HookHandle"


def test_hooks_get_arrays_for_scalars_too_and_answer_in_the_right_shape():
    z = Tensor([1.0], requires_grad=True)
    z.register_hook(lambda g: np.float64(3) * g.astype(np.float64))
    (z * 1.0).backward()
    assert (z.grad.dtype, z.grad.tolist()) == (np.float32, [3])
    x = Tensor(2.0, requires_grad=True)
    types = []
    y = x * x
    y.register_hook(lambda g: types.append(type(g)))
    (y * 3.0).backward()
    assert types == [np.ndarray]
    y = x * x
    y.register_hook(lambda g: np.ones(5))
    with pytest.raises(ValueError, match=r"a hook must return None or a gradient of \(\), got float64 \(5,\)"):
        y.backward()
    with pytest.raises(GradientError, match="requires no gradient"):
        Tensor(1.0).register_hook(print)


def test_retain_grad_keeps_the_gradient_of_what_is_no_leaf():
    x = Tensor([1.0, 2.0], requires_grad=True)
    y = x * 2
    z = y * 3
    y.retain_grad()
    z.sum().backward()
    assert (y.grad.tolist(), z.grad) == ([3, 3], None)
    with pytest.raises(GradientError, match="requires no gradient"):
        Tensor(1.0).retain_grad()


def test_gradients_accumulate_until_they_are_forgotten():
    x = Tensor([1.0, 2.0], requires_grad=True)
    for expected in ([2, 2], [4, 4]):
        (x * 2).sum().backward()
        assert x.grad.tolist() == expected
    x.grad = None
    (x * 2).sum().backward()
    assert x.grad.tolist() == [2, 2]
    (x * 2).backward([1.0, 10.0])
    assert x.grad.tolist() == [4, 22]


def test_assign_changes_a_leaf_in_place_or_nothing():
    array = np.zeros((2, 2), np.float32)
    x = Tensor(array, requires_grad=True)
    assert x.assign(np.ones((2, 2))) is x
    assert array.tolist() == [[1, 1], [1, 1]]
    assert x.dtype == np.float32
    x.assign(Tensor([[1, 2], [3, 4]]))
    for wrong, error in ((np.ones(2), ValueError), (np.ones((2, 2), complex), TypeError), ("ab", TypeError)):
        with pytest.raises(error):
            x.assign(wrong)
    with pytest.raises(GradientError, match="not a leaf"):
        (x * 2).assign(array)
    with pytest.raises(TypeError, match="expected int64, got float64"):
        Tensor([1]).assign([1.5])
    assert x.tolist() == [[1, 2], [3, 4]]


def test_deep_copies_are_leaves_of_their_own():
    x = Parameter([1.0, 2.0])
    x.name = "weight"
    (x * x).sum().backward()
    y = copy.deepcopy(x)
    assert (y.tolist(), y.grad.tolist(), y.requires_grad, y.name) == ([1, 2], [2, 4], True, "weight")
    assert not np.shares_memory(x.data, y.data)
    assert not np.shares_memory(x.grad, y.grad)
    pair = copy.deepcopy([x, x])
    assert pair[0] is pair[1]
    with pytest.raises(GradientError, match="multiply made this"):
        copy.deepcopy(x * 2)


def test_creation():
    assert tg.zeros(2, 3).tolist() == tg.zeros((2, 3)).tolist() == [[0, 0, 0], [0, 0, 0]]
    assert tg.ones(2).dtype == tg.eye(2).dtype == tg.full((2,), 7).dtype == tg.rand(2).dtype == np.float32
    assert tg.eye(2).tolist() == [[1, 0], [0, 1]]
    assert tg.full((2,), 7).tolist() == [7, 7]
    assert (tg.arange(3).dtype, tg.arange(3).tolist()) == (np.int64, [0, 1, 2])
    assert (tg.arange(1, 2, 0.5).dtype, tg.arange(1, 2, 0.5).tolist()) == (np.float32, [1, 1.5])
    assert tg.zeros_like(np.ones((2, 3), np.float16)).dtype == np.float16
    assert tg.ones_like(tg.zeros(2, 3)).tolist() == [[1, 1, 1], [1, 1, 1]]
    assert tg.randn(5, requires_grad=True).requires_grad
    tg.manual_seed(3)
    first = tg.rand(4).tolist(), tg.randn(4).tolist()
    tg.manual_seed(3)
    assert (tg.rand(4).tolist(), tg.randn(4).tolist()) == first
    assert tg.is_available("cpu")
    assert not tg.is_available("tpu")


def test_grad_returns_gradients_and_leaves_none_behind():
    x, y = Tensor([1.0, 2.0], requires_grad=True), Tensor(3.0, requires_grad=True)
    z = x * y
    gx, gz, gy = tg.grad((z * z).sum(), [x, z, y])
    assert (gx.tolist(), gz.tolist(), gy.tolist()) == ([18, 36], [6, 12], 30)
    assert x.grad is y.grad is None
    a, b = tg.grad([x * 2, x * y], [x, y], grad_outputs=[[1.0, 1.0], Tensor([1.0, 10.0])])
    assert (a.tolist(), b.tolist()) == ([5, 32], 21)
    assert tg.grad(x.sum(), [x, y], allow_unused=True)[1] is None
    layer = tg.nn.Linear(2, 1)
    assert [g.shape for g in tg.grad(layer(x).sum(), layer.parameters())] == [(1, 2), (1,)]
    loss = x.sum()
    with pytest.raises(GradientError, match="do not depend on input 1"):
        tg.grad(loss, [x, y])
    tg.grad(loss, x)  # the refusal has consumed nothing; this has
    with pytest.raises(GradientError, match="freed"):
        tg.grad(loss, x)
    z = x * y
    assert tg.grad([z, z, z * z], [x], [[1.0, 1.0]] * 3)[0].tolist() == [
        3 + 3 + 18,
        3 + 3 + 36,
    ]  # z is on the way to z²
    v, z = np.ones(2, np.float32), x * y
    a, b = tg.grad(x + z, [x, z], v)
    a.data *= 5.0  # gradients are the caller's own
    assert (b.tolist(), v.tolist()) == ([1, 1], [1, 1])
    with tg.no_grad():
        (slope,) = tg.grad(tg.enable_grad()(lambda: (x * x).sum())(), x, create_graph=True)
    assert slope.requires_grad
    (g,) = tg.grad(x, x, Tensor([1.0, 1.0], dtype=np.float64), create_graph=True)
    assert g.dtype == np.float32


def test_kinks_and_ties_follow_the_conventions():
    def slopes(f, *values):
        tensors = [Tensor(v, requires_grad=True) for v in values]
        return [g.item() for g in tg.grad(f(*tensors), tensors)]

    assert slopes(tg.relu, 0.0) == [0]
    assert slopes(tg.abs, 0.0) == [0]
    assert slopes(tg.maximum, 1.0, 1.0) == [0.5, 0.5]
    assert slopes(lambda x: tg.maximum(x, 0), 0.0) == [0.5]
    assert slopes(lambda a, b: a**b, 0.0, 0.0) == [0, 0]
    assert slopes(lambda a, b: a**b, 0.0, 2.0) == [0, 0]
    assert slopes(lambda a: a**0, 0.0) == [0]
    assert slopes(lambda a: a**1, 0.0) == [1]
    assert slopes(lambda a: a**2, -3.0) == [-6]
    with np.errstate(divide="ignore"):  # the slope of sqrt at 0 is ∞
        assert slopes(lambda x: tg.sqrt(tg.relu(x)), -1.0) == [0]  # not 0·∞
        assert slopes(lambda x: tg.sqrt(tg.maximum(x, 0.0)), -1.0) == [0]
    assert np.isnan(slopes(lambda x: tg.relu(x) * x, np.nan)).all()  # NaN is never hidden
    assert tg.relu(np.array([-np.inf, np.inf])).tolist() == [0, np.inf]
    assert slopes(lambda x: tg.where(np.array(False), 1 / x, x), 3.0) == [1]
    a, b = (Tensor(np.array(v), requires_grad=True) for v in (2.0, 0.0))
    ga, gb = tg.grad(a**b, [a, b], create_graph=True)
    assert tg.grad(ga, b)[0].item() == tg.grad(gb, a)[0].item() == 0.5  # mixed derivatives agree at b = 0
    for exponent in (np.array([-128], np.int8), np.array([0], np.uint8), np.array([True])):
        x = Tensor(np.array([1.1]), requires_grad=True)
        (g,) = tg.grad((x**exponent).sum(), x)
        np.testing.assert_allclose(g.data, int(exponent[0]) * 1.1 ** (int(exponent[0]) - 1))
    for reduction in (tg.sum, tg.max):
        assert slopes(lambda x, reduction=reduction: reduction(x, axis=-1), 3.0) == [
            1
        ]  # 0-d has an axis −1, as in NumPy
    assert tg.mean(np.full(70_000, 30, np.float16)) == 30
    x = Tensor([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]], requires_grad=True)
    (g,) = tg.grad(tg.max(x, axis=1).sum(), x)
    np.testing.assert_allclose(g.data, [[0, 0.5, 0.5], [1 / 3, 1 / 3, 1 / 3]], rtol=1e-6)


def test_why_there_is_no_grad():
    x = leaf()
    assert "no backward() has reached it" in x.why_no_grad()
    y = x * 2.0
    assert "not a leaf but the result of multiply: call .retain_grad()" in y.why_no_grad()
    z = y * 2.0
    y.retain_grad()
    assert "no backward() has reached it" in y.why_no_grad()
    z.sum().backward()
    assert "there is a gradient" in x.why_no_grad()
    assert "there is a gradient" in y.why_no_grad()
    assert "not a leaf" in z.why_no_grad()
    z.retain_grad()
    assert "freed by a grad(), or by a backward() before .retain_grad()" in z.why_no_grad()
    x.grad = None
    assert "none since .grad was cleared" in x.why_no_grad()
    assert "requires_grad is False" in x.detach().why_no_grad()
    assert "this holds int64: convert" in Tensor([1, 2]).why_no_grad()


def test_integers_of_one_element_index():
    assert [5, 6, 7][Tensor(1)] == 6
    assert leaf()[Tensor(1) :].shape == (2,)
    with pytest.raises(TypeError, match="float"):
        [5, 6, 7][Tensor(1.0)]
